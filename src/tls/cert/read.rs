//! From DER bytes to a [`Certificate`].

use super::super::der::{Der, bit_string, bits, dotted, small, tag, time};
use super::key::{Material, curve, material, oid};
use super::{Ahead, Certificate, KeyKind, PublicKey, extensions, name, quirks};
use crate::base::Stamp;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

impl Certificate {
    /// Reads a certificate (RFC 5280 section 4.1). Never fails: the fields that can be read are
    /// filled, the others stay empty (dates at the epoch), and `damage` says what is wrong first.
    pub fn parse(der: &[u8]) -> Self {
        let mut cert = empty(der);
        let own = walk(der, &mut cert).err().map(str::to_owned).or(cert.damage.take());
        cert.damage = own.or_else(|| strict(der));
        cert
    }
}

/// All fields empty but the bytes and their hash.
fn empty(der: &[u8]) -> Certificate {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let mut sha256 = [0; 32];
    if let Some(bytes) = digest.as_ref().first_chunk() {
        sha256 = *bytes;
    }
    Certificate {
        der: Arc::from(der),
        sha256,
        serial: String::new(),
        subject: String::new(),
        issuer: String::new(),
        subject_der: Vec::new(),
        issuer_der: Vec::new(),
        not_before: Stamp::default(),
        not_after: Stamp::default(),
        common_name: None,
        alt_names: None,
        alt_names_critical: false,
        key: PublicKey::default(),
        signature_algorithm: String::new(),
        signature_algorithm_der: Vec::new(),
        tbs: 0..0,
        signature: Vec::new(),
        version: 1,
        basic_constraints: None,
        basic_constraints_critical: false,
        key_usage: None,
        extended_key_usage: None,
        authority_key_id: None,
        subject_key_id: None,
        name_constraints: None,
        unknown_critical: Vec::new(),
        must_staple: false,
        ocsp_urls: Vec::new(),
        crl_urls: Vec::new(),
        issuer_urls: Vec::new(),
        scts: (0, None),
        has_policies: false,
        quirks: Vec::new(),
        damage: None,
        ahead: Ahead::default(),
    }
}

/// What a strict parser holds against bytes that the walk could read.
fn strict(der: &[u8]) -> Option<String> {
    match X509Certificate::from_der(der) {
        Ok(([], _)) => None,
        Ok((rest, _)) => Some(format!("{} bytes follow the certificate", rest.len())),
        Err(err) => Some(format!("strict reading fails: {err}")),
    }
}

/// Reads field by field; what is wrong with the first one that cannot be read.
fn walk(der: &[u8], cert: &mut Certificate) -> Result<(), &'static str> {
    let outer = Der(der)
        .want(tag::SEQUENCE)
        .ok_or("no complete ASN.1 SEQUENCE; the bytes end early or are no certificate")?;
    let mut fields = outer.inside();
    let tbs = fields.want(tag::SEQUENCE).ok_or("the tbsCertificate is unreadable")?;
    let start = outer.whole.len() - outer.body.len();
    cert.tbs = start..start + tbs.whole.len();
    if let Some(algorithm) = fields.want(tag::SEQUENCE) {
        cert.signature_algorithm = algorithm_name(algorithm.whole);
        cert.signature_algorithm_der = algorithm.whole.to_vec();
        if let Some(signature) = fields.want(tag::BIT_STRING).and_then(|signature| bit_string(signature.body))
        {
            cert.signature = signature.to_vec();
        }
    }

    let mut fields = tbs.inside();
    if let Some(version) = fields.want(tag::context(0)) {
        let number = version.inside().want(tag::INTEGER).and_then(|number| small(number.body));
        cert.version = number.ok_or("the version is unreadable")?.saturating_add(1);
    }
    let serial = fields.want(tag::INTEGER).ok_or("the serialNumber is unreadable")?;
    cert.serial = hex(serial.body);
    quirks::of_serial(serial.body, cert);
    let inner = fields.want(tag::SEQUENCE).ok_or("the inner signature algorithm is unreadable")?;
    let issuer = fields.want(tag::SEQUENCE).ok_or("the issuer is unreadable")?;
    cert.issuer_der = issuer.whole.to_vec();
    let issuer_text = name::read(&issuer);
    let broken_issuer = issuer_text.is_none();
    cert.issuer = issuer_text.unwrap_or_default().0;
    let validity = fields.want(tag::SEQUENCE).ok_or("the validity is unreadable")?;
    let mut dates = validity.inside();
    let dates = [dates.next(), dates.next()];
    let [not_before, not_after] = dates.map(|date| time(&date?));
    cert.not_before = not_before.unwrap_or_default();
    cert.not_after = not_after.unwrap_or_default();
    let subject = fields.want(tag::SEQUENCE).ok_or("the subject is unreadable")?;
    cert.subject_der = subject.whole.to_vec();
    let subject_text = name::read(&subject);
    let broken_subject = subject_text.is_none();
    (cert.subject, cert.common_name) = subject_text.unwrap_or_default();
    let spki = fields.want(tag::SEQUENCE).ok_or("the subjectPublicKeyInfo is unreadable")?;
    cert.key = PublicKey { kind: key_kind(spki.whole), spki: spki.whole.to_vec() };
    let _ = fields.want(tag::context_primitive(1)); // issuerUniqueID
    let _ = fields.want(tag::context_primitive(2)); // subjectUniqueID
    let list = fields.want(tag::context(3));
    if let Some(list) = &list {
        extensions::read(list, cert);
    }
    quirks::of_whole(&tbs, &dates, list.is_some(), cert);

    let checks = [
        (broken_issuer, "the issuer is no sequence of names"),
        (not_before.is_none(), "notBefore is no date"),
        (not_after.is_none(), "notAfter is no date"),
        (broken_subject, "the subject is no sequence of names"),
        (cert.key.kind == KeyKind::Unreadable, "the public key is unreadable"),
        (list.is_none() && !fields.is_empty(), "the extensions are unreadable"),
        (!fields.is_empty(), "bytes follow the extensions"),
        (cert.signature_algorithm_der.is_empty(), "the signature algorithm is unreadable"),
        (cert.signature.is_empty(), "the signature is absent"),
        (
            inner.whole != cert.signature_algorithm_der.as_slice(),
            "the signed and the outer signature algorithm differ (RFC 5280 section 4.1.1.2)",
        ),
    ];
    match checks.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, says)) => Err(says),
        None => Ok(()),
    }
}

/// Upper-case hexadecimal of an integer's contents, a leading zero octet left out.
pub(in crate::tls) fn hex(integer: &[u8]) -> String {
    let digits = match integer {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    let digit = |n: u8| char::from(if n < 10 { b'0' + n } else { b'A' + n - 10 });
    digits.iter().take(64).flat_map(|octet| [digit(octet >> 4), digit(octet & 15)]).collect()
}

/// Kind and size of the key in a SubjectPublicKeyInfo.
fn key_kind(spki: &[u8]) -> KeyKind {
    read_key(spki).unwrap_or(KeyKind::Unreadable)
}

fn read_key(spki: &[u8]) -> Option<KeyKind> {
    Some(match material(spki)? {
        Material::Rsa(key) => KeyKind::Rsa(bits(key.modulus)),
        Material::Ec(named, _) => KeyKind::Ec(match named {
            curve::P256 => "P-256".to_owned(),
            curve::P384 => "P-384".to_owned(),
            curve::P521 => "P-521".to_owned(),
            curve::SM2 => "SM2".to_owned(),
            [] => "explicit".to_owned(),
            other => dotted(other),
        }),
        Material::Other(oid, _) => match oid {
            oid::ED25519 => KeyKind::Ed25519,
            oid::ED448 => KeyKind::Ed448,
            oid::ML_DSA_44 => KeyKind::MlDsa(44),
            oid::ML_DSA_65 => KeyKind::MlDsa(65),
            oid::ML_DSA_87 => KeyKind::MlDsa(87),
            // id-dsa: the prime is the first parameter
            oid::DSA => {
                let algorithm = Der(spki).want(tag::SEQUENCE)?.inside().want(tag::SEQUENCE)?;
                let parameters = algorithm.inside().nth(1).filter(|field| field.tag == tag::SEQUENCE);
                let prime = parameters.and_then(|parameters| parameters.inside().want(tag::INTEGER));
                KeyKind::Dsa(prime.map_or(0, |prime| bits(prime.body)))
            }
            other => KeyKind::Other(dotted(other)),
        },
    })
}

/// The customary name of a signature algorithm, given its AlgorithmIdentifier; the dotted OID
/// where it has none, empty where there is no OID.
pub(in crate::tls) fn algorithm_name(identifier: &[u8]) -> String {
    let Some(algorithm) = Der(identifier).want(tag::SEQUENCE) else { return String::new() };
    let mut inside = algorithm.inside();
    let Some(oid) = inside.want(tag::OID) else { return String::new() };
    let known = match oid.body {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, rest @ ..] => match rest {
            [0x02] => "md2WithRSAEncryption",
            [0x03] => "md4WithRSAEncryption",
            [0x04] => "md5WithRSAEncryption",
            [0x05] => "sha1WithRSAEncryption",
            [0x0a] => return pss_name(inside),
            [0x0b] => "sha256WithRSAEncryption",
            [0x0c] => "sha384WithRSAEncryption",
            [0x0d] => "sha512WithRSAEncryption",
            [0x0e] => "sha224WithRSAEncryption",
            _ => return dotted(oid.body),
        },
        [0x2b, 0x0e, 0x03, 0x02, 0x1d] => "sha1WithRSAEncryption",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => "ecdsa-with-SHA1",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, hash] => match hash {
            1 => "ecdsa-with-SHA224",
            2 => "ecdsa-with-SHA256",
            3 => "ecdsa-with-SHA384",
            4 => "ecdsa-with-SHA512",
            _ => return dotted(oid.body),
        },
        [0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03] => "dsa-with-SHA1",
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, which] => match which {
            0x01 => "dsa-with-SHA224",
            0x02 => "dsa-with-SHA256",
            0x03 => "dsa-with-SHA384",
            0x04 => "dsa-with-SHA512",
            0x05 => "dsa-with-SHA3-224",
            0x06 => "dsa-with-SHA3-256",
            0x07 => "dsa-with-SHA3-384",
            0x08 => "dsa-with-SHA3-512",
            0x09 => "ecdsa-with-SHA3-224",
            0x0a => "ecdsa-with-SHA3-256",
            0x0b => "ecdsa-with-SHA3-384",
            0x0c => "ecdsa-with-SHA3-512",
            0x0d => "rsassa-pkcs1-v1_5-with-SHA3-224",
            0x0e => "rsassa-pkcs1-v1_5-with-SHA3-256",
            0x0f => "rsassa-pkcs1-v1_5-with-SHA3-384",
            0x10 => "rsassa-pkcs1-v1_5-with-SHA3-512",
            0x11 => "ML-DSA-44",
            0x12 => "ML-DSA-65",
            0x13 => "ML-DSA-87",
            _ => return dotted(oid.body),
        },
        [0x2b, 0x65, 0x70] => "Ed25519",
        [0x2b, 0x65, 0x71] => "Ed448",
        [0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75] => "SM2-with-SM3",
        other => return dotted(other),
    };
    known.to_owned()
}

/// RSASSA-PSS with the hash of its parameters (RFC 4055 section 3.1; absent means SHA-1).
fn pss_name(mut parameters: Der<'_>) -> String {
    let hash = parameters
        .want(tag::SEQUENCE)
        .and_then(|fields| fields.inside().want(tag::context(0)))
        .and_then(|hash| hash.inside().want(tag::SEQUENCE))
        .and_then(|hash| hash.inside().want(tag::OID));
    match hash.map(|hash| hash.body) {
        None => "RSASSA-PSS-SHA1".to_owned(),
        Some([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]) => "RSASSA-PSS-SHA256".to_owned(),
        Some([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02]) => "RSASSA-PSS-SHA384".to_owned(),
        Some([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03]) => "RSASSA-PSS-SHA512".to_owned(),
        Some([0x2b, 0x0e, 0x03, 0x02, 0x1a]) => "RSASSA-PSS-SHA1".to_owned(),
        Some(other) => format!("RSASSA-PSS with {}", dotted(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::forge::{Forge, Key, der, seq};
    use super::*;
    use proptest::prelude::*;

    fn forged(forge: Forge) -> Certificate {
        let key = Key::new();
        Certificate::parse(&forge.der(&key, &key))
    }

    #[test]
    fn the_fields_of_a_sound_certificate_are_read() {
        let cert = forged(Forge::leaf("example.com", "CA"));
        assert_eq!(cert.damage, None);
        assert_eq!((cert.subject.as_str(), cert.issuer.as_str()), ("CN=example.com", "CN=CA"));
        assert_eq!((cert.serial.as_str(), cert.version), ("05A0", 3));
        assert_eq!(
            (cert.not_before.date(), cert.not_after.date()),
            ("2024-01-01".into(), "2026-01-01".into())
        );
        assert_eq!(cert.alt_names.as_ref().map(|names| names.dns.clone()), Some(vec!["example.com".into()]));
        assert_eq!(cert.key.kind, KeyKind::Ec("P-256".into()));
        assert_eq!(cert.basic_constraints, None);
        assert!(cert.authority_key_id.is_some() && cert.subject_key_id.is_some());
    }

    #[test]
    fn urls_features_and_timestamps_are_read() {
        let place = |method: u8, url: &str| {
            let method = der(tag::OID, &[0x2b, 6, 1, 5, 5, 7, 0x30, method]);
            seq(&[&method, &der(0x86, url.as_bytes())])
        };
        let access = seq(&[&place(1, "http://o"), &place(2, "http://i")]);
        let point = der(tag::context(0), &der(tag::context(0), &der(0x86, b"http://c")));
        let sct = [&[0u8][..], &[9; 32], &1_700_000_000_000u64.to_be_bytes(), &[0; 6]].concat();
        let list = [&[0, 49][..], &[0, 47], &sct].concat();
        let cert = forged(
            Forge::leaf("example.com", "CA")
                .with(&[0x2b, 6, 1, 5, 5, 7, 1, 1], false, &access)
                .with(&[0x55, 0x1d, 31], false, &seq(&[&seq(&[&point])]))
                .with(&[0x2b, 6, 1, 5, 5, 7, 1, 0x18], false, &seq(&[&der(tag::INTEGER, &[5])]))
                .with(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2], false, &der(tag::OCTET_STRING, &list)),
        );
        assert_eq!(cert.damage, None);
        assert_eq!((cert.ocsp_urls, cert.issuer_urls), (vec!["http://o".into()], vec!["http://i".into()]));
        assert_eq!(cert.crl_urls, ["http://c"]);
        assert!(cert.must_staple);
        assert_eq!(cert.scts, (1, Some(Stamp::from_secs(1_700_000_000))));
    }

    #[test]
    fn an_extension_that_occurs_twice_is_damage() {
        let cert = forged(Forge::leaf("a.example", "CA").with(&[0x55, 0x1d, 17], false, &seq(&[])));
        let damage = cert.damage.unwrap();
        assert!(damage.contains("subjectAltName occurs more than once"), "{damage}");
        assert_eq!(cert.alt_names.unwrap().dns, ["a.example"]);
    }

    #[test]
    fn a_certificate_cut_anywhere_is_damaged_but_read_as_far_as_it_goes() {
        let key = Key::new();
        let whole = Forge::leaf("example.com", "CA").der(&key, &key);
        for cut in 0..whole.len() {
            assert!(Certificate::parse(&whole[..cut]).damage.is_some(), "{cut}");
        }
        let mut spoilt = whole;
        let spki = spoilt.windows(2).position(|pair| pair == [0x2a, 0x86]).unwrap();
        spoilt[spki - 2] = 0x07; // the key's algorithm is no OID
        let cert = Certificate::parse(&spoilt);
        assert_eq!(cert.issuer, "CN=CA");
        assert!(cert.damage.is_some());
    }

    proptest! {
        #[test]
        fn any_spoilt_octets_are_survived(at in 0usize..400, octet in any::<u8>(), more in 0usize..400, other in any::<u8>()) {
            use std::sync::LazyLock;
            static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
                let key = Key::new();
                Forge::ca("example.com", "CA").der(&key, &key)
            });
            let mut bytes = WHOLE.clone();
            let len = bytes.len();
            bytes[at % len] = octet;
            bytes[more % len] = other;
            let cert = Certificate::parse(&bytes);
            let _ = cert.signed_by(&cert);
        }
    }
}
