//! Verifying signatures: of certificates, of OCSP answers, of the handshake.

use super::cert::{Certificate, KeyKind, read_key_kind};
use super::codes::{SignatureScheme, Version};
use super::der::{Der, small, tag};
use super::message::ServerKeyExchange;
use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};

/// What came of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The key made this signature.
    Good,
    /// It did not, or the key is of another kind than the algorithm.
    Bad,
    /// Cannot be told here, and why.
    Unsupported(&'static str),
    /// Cannot be told: the library refuses keys so small for this algorithm.
    KeyTooSmall,
}

impl Verdict {
    /// The signature was seen to be good.
    pub fn holds(self) -> bool {
        self == Self::Good
    }

    /// The signature was seen to be bad.
    pub fn fails(self) -> bool {
        self == Self::Bad
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Pkcs1(Hash),
    Pss(Hash),
    Ecdsa(Hash),
    Ed25519,
    MlDsa(u16),
    Unsupported(&'static str),
}

/// Verifies a signature made under an AlgorithmIdentifier (RFC 5280 section 4.1.1.2) with the key
/// of a SubjectPublicKeyInfo, both DER.
pub fn verify(spki: &[u8], algorithm: &[u8], message: &[u8], signature: &[u8]) -> Verdict {
    run(
        spki,
        by_identifier(algorithm).unwrap_or(Algorithm::Unsupported("the algorithm is unreadable")),
        message,
        signature,
    )
}

/// Verifies a signature made under a scheme of TLS (RFC 9846 section 4.2.3; in TLS 1.2 the two
/// bytes are a hash and a signature, RFC 5246 section 7.4.1.4.1, and bind no curve).
pub fn verify_scheme(spki: &[u8], scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Verdict {
    run(spki, by_scheme(scheme), message, signature)
}

/// Verifies the signature over the ephemeral parameters of a TLS 1.0–1.2 server (RFC 5246
/// section 7.4.3, RFC 4346 section 7.4.3, RFC 8422 section 5.4). A message without signature
/// is `Unsupported`.
pub fn verify_server_key_exchange(
    version: Version,
    client_random: &[u8; 32],
    server_random: &[u8; 32],
    exchange: &ServerKeyExchange,
    leaf: &Certificate,
) -> Verdict {
    if exchange.signature.is_empty() {
        return Verdict::Unsupported("an anonymous exchange is not signed");
    }
    let message = [client_random, server_random, exchange.params.as_slice()].concat();
    if let Some(scheme) = exchange.scheme {
        return verify_scheme(&leaf.key.spki, scheme, &message, &exchange.signature);
    }
    if version >= Version::TLS12 {
        return Verdict::Unsupported("TLS 1.2 without a signature scheme");
    }
    match leaf.key.kind {
        KeyKind::Ec(_) => run(&leaf.key.spki, Algorithm::Ecdsa(Hash::Sha1), &message, &exchange.signature),
        KeyKind::Rsa(_) => Verdict::Unsupported("RSA over MD5 and SHA-1, as before TLS 1.2"),
        _ => Verdict::Unsupported("this key's signatures before TLS 1.2"),
    }
}

fn by_identifier(identifier: &[u8]) -> Option<Algorithm> {
    let mut fields = Der(identifier).want(tag::SEQUENCE)?.inside();
    let oid = fields.want(tag::OID)?;
    Some(match oid.body {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, which] => match which {
            0x02 => Algorithm::Unsupported("MD2"),
            0x03 => Algorithm::Unsupported("MD4"),
            0x04 => Algorithm::Unsupported("MD5"),
            0x05 => Algorithm::Pkcs1(Hash::Sha1),
            0x0a => pss(fields)?,
            0x0b => Algorithm::Pkcs1(Hash::Sha256),
            0x0c => Algorithm::Pkcs1(Hash::Sha384),
            0x0d => Algorithm::Pkcs1(Hash::Sha512),
            0x0e => Algorithm::Pkcs1(Hash::Sha224),
            _ => Algorithm::Unsupported("an RSA algorithm that is not known here"),
        },
        [0x2b, 0x0e, 0x03, 0x02, 0x1d] => Algorithm::Pkcs1(Hash::Sha1),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => Algorithm::Ecdsa(Hash::Sha1),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, which] => match which {
            1 => Algorithm::Ecdsa(Hash::Sha224),
            2 => Algorithm::Ecdsa(Hash::Sha256),
            3 => Algorithm::Ecdsa(Hash::Sha384),
            4 => Algorithm::Ecdsa(Hash::Sha512),
            _ => Algorithm::Unsupported("an ECDSA algorithm that is not known here"),
        },
        [0x2b, 0x65, 0x70] => Algorithm::Ed25519,
        [0x2b, 0x65, 0x71] => Algorithm::Unsupported("Ed448"),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11] => Algorithm::MlDsa(44),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12] => Algorithm::MlDsa(65),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13] => Algorithm::MlDsa(87),
        [0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03] => Algorithm::Unsupported("DSA"),
        [0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75] => Algorithm::Unsupported("SM2"),
        _ => Algorithm::Unsupported("an algorithm that is not known here"),
    })
}

/// RSASSA-PSS-params (RFC 4055 section 3.1). Only the combinations in use are verified: MGF1 over
/// the same hash, a salt as long as the hash.
fn pss(mut fields: Der<'_>) -> Option<Algorithm> {
    let Some(parameters) = fields.want(tag::SEQUENCE) else {
        return Some(Algorithm::Unsupported("RSASSA-PSS with SHA-1"));
    };
    let mut parameters = parameters.inside();
    let Some(hash) = parameters.want(tag::context(0)) else {
        return Some(Algorithm::Unsupported("RSASSA-PSS with SHA-1"));
    };
    let (hash, len) = match hash.inside().want(tag::SEQUENCE)?.inside().want(tag::OID)?.body {
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => (Hash::Sha256, 32),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => (Hash::Sha384, 48),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => (Hash::Sha512, 64),
        _ => return Some(Algorithm::Unsupported("RSASSA-PSS with this hash")),
    };
    let _mask = parameters.want(tag::context(1));
    let salt = match parameters.want(tag::context(2)) {
        Some(salt) => small(salt.inside().want(tag::INTEGER)?.body)?,
        None => 20,
    };
    Some(if salt == len {
        Algorithm::Pss(hash)
    } else {
        Algorithm::Unsupported("RSASSA-PSS with this salt length")
    })
}

fn by_scheme(scheme: SignatureScheme) -> Algorithm {
    match scheme.0 {
        0x0201 => Algorithm::Pkcs1(Hash::Sha1),
        0x0301 => Algorithm::Pkcs1(Hash::Sha224),
        0x0401 => Algorithm::Pkcs1(Hash::Sha256),
        0x0501 => Algorithm::Pkcs1(Hash::Sha384),
        0x0601 => Algorithm::Pkcs1(Hash::Sha512),
        0x0203 => Algorithm::Ecdsa(Hash::Sha1),
        0x0303 => Algorithm::Ecdsa(Hash::Sha224),
        0x0403 => Algorithm::Ecdsa(Hash::Sha256),
        0x0503 => Algorithm::Ecdsa(Hash::Sha384),
        0x0603 => Algorithm::Ecdsa(Hash::Sha512),
        0x0804 | 0x0809 => Algorithm::Pss(Hash::Sha256),
        0x0805 | 0x080a => Algorithm::Pss(Hash::Sha384),
        0x0806 | 0x080b => Algorithm::Pss(Hash::Sha512),
        0x0807 => Algorithm::Ed25519,
        0x0808 => Algorithm::Unsupported("Ed448"),
        0x0708 => Algorithm::Unsupported("SM2"),
        0x0904 => Algorithm::MlDsa(44),
        0x0905 => Algorithm::MlDsa(65),
        0x0906 => Algorithm::MlDsa(87),
        0x0101 => Algorithm::Unsupported("MD5"),
        scheme if scheme & 0xff == 2 => Algorithm::Unsupported("DSA"),
        _ => Algorithm::Unsupported("a scheme that is not known here"),
    }
}

fn run(spki: &[u8], algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Verdict {
    let with: &'static dyn VerificationAlgorithm = match (algorithm, read_key_kind(spki)) {
        (Algorithm::Unsupported(why), _) => return Verdict::Unsupported(why),
        (_, KeyKind::Unreadable) => return Verdict::Unsupported("the key is unreadable"),
        (Algorithm::Pkcs1(_) | Algorithm::Pss(_), KeyKind::Rsa(bits)) if bits > 8192 => {
            return Verdict::Unsupported("RSA keys over 8192 bits");
        }
        (Algorithm::Pkcs1(hash), KeyKind::Rsa(bits)) => match (hash, bits) {
            (_, ..1024) => return Verdict::KeyTooSmall,
            (Hash::Sha1, _) => &lc::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            (Hash::Sha256, _) => &lc::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            (Hash::Sha384, ..2048) => return Verdict::KeyTooSmall,
            (Hash::Sha384, _) => &lc::RSA_PKCS1_2048_8192_SHA384,
            (Hash::Sha512, _) => &lc::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
            (Hash::Sha224, _) => return Verdict::Unsupported("RSA with SHA-224"),
        },
        (Algorithm::Pss(hash), KeyKind::Rsa(bits)) => match (hash, bits) {
            (_, ..2048) => return Verdict::KeyTooSmall,
            (Hash::Sha256, _) => &lc::RSA_PSS_2048_8192_SHA256,
            (Hash::Sha384, _) => &lc::RSA_PSS_2048_8192_SHA384,
            (Hash::Sha512, _) => &lc::RSA_PSS_2048_8192_SHA512,
            _ => return Verdict::Unsupported("RSASSA-PSS with this hash"),
        },
        (Algorithm::Ecdsa(hash), KeyKind::Ec(curve)) => match (curve.as_str(), hash) {
            ("P-256", Hash::Sha1) => &lc::ECDSA_P256_SHA1_ASN1,
            ("P-256", Hash::Sha256) => &lc::ECDSA_P256_SHA256_ASN1,
            ("P-256", Hash::Sha384) => &lc::ECDSA_P256_SHA384_ASN1,
            ("P-256", Hash::Sha512) => &lc::ECDSA_P256_SHA512_ASN1,
            ("P-384", Hash::Sha256) => &lc::ECDSA_P384_SHA256_ASN1,
            ("P-384", Hash::Sha384) => &lc::ECDSA_P384_SHA384_ASN1,
            ("P-384", Hash::Sha512) => &lc::ECDSA_P384_SHA512_ASN1,
            ("P-521", Hash::Sha1) => &lc::ECDSA_P521_SHA1_ASN1,
            ("P-521", Hash::Sha224) => &lc::ECDSA_P521_SHA224_ASN1,
            ("P-521", Hash::Sha256) => &lc::ECDSA_P521_SHA256_ASN1,
            ("P-521", Hash::Sha384) => &lc::ECDSA_P521_SHA384_ASN1,
            ("P-521", Hash::Sha512) => &lc::ECDSA_P521_SHA512_ASN1,
            ("1.3.132.0.10", Hash::Sha256) => &lc::ECDSA_P256K1_SHA256_ASN1,
            ("P-256" | "P-384", _) => return Verdict::Unsupported("ECDSA with this curve and hash"),
            _ => return Verdict::Unsupported("this curve"),
        },
        (Algorithm::Ed25519, KeyKind::Ed25519) => &lc::ED25519,
        (Algorithm::MlDsa(44), KeyKind::MlDsa(44)) => &lc::ML_DSA_44,
        (Algorithm::MlDsa(65), KeyKind::MlDsa(65)) => &lc::ML_DSA_65,
        (Algorithm::MlDsa(87), KeyKind::MlDsa(87)) => &lc::ML_DSA_87,
        _ => return Verdict::Bad,
    };
    match UnparsedPublicKey::new(with, spki).verify(message, signature) {
        Ok(()) => Verdict::Good,
        Err(_) => Verdict::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::cert::forge::{Forge, Key};

    /// Self-signed certificates made by `openssl req -x509` 3.0, one a kind of key.
    fn cases() -> Vec<(&'static [u8], &'static str, &'static str, Verdict)> {
        vec![
            (
                include_bytes!("../../tests/data/rsa1024-sha1.der"),
                "RSA 1024",
                "sha1WithRSAEncryption",
                Verdict::Good,
            ),
            (
                include_bytes!("../../tests/data/rsa2047-sha384.der"),
                "RSA 2047",
                "sha384WithRSAEncryption",
                Verdict::KeyTooSmall,
            ),
            (
                include_bytes!("../../tests/data/rsa2048-pss.der"),
                "RSA 2048",
                "RSASSA-PSS-SHA256",
                Verdict::Good,
            ),
            (
                include_bytes!("../../tests/data/rsa2048-md5.der"),
                "RSA 2048",
                "md5WithRSAEncryption",
                Verdict::Unsupported("MD5"),
            ),
            (include_bytes!("../../tests/data/ed25519.der"), "Ed25519", "Ed25519", Verdict::Good),
            (include_bytes!("../../tests/data/ed448.der"), "Ed448", "Ed448", Verdict::Unsupported("Ed448")),
            (include_bytes!("../../tests/data/p521.der"), "EC P-521", "ecdsa-with-SHA512", Verdict::Good),
            (
                include_bytes!("../../tests/data/p384-sha256.der"),
                "EC P-384",
                "ecdsa-with-SHA256",
                Verdict::Good,
            ),
            (
                include_bytes!("../../tests/data/sm2.der"),
                "EC SM2",
                "SM2-with-SM3",
                Verdict::Unsupported("SM2"),
            ),
        ]
    }

    #[test]
    fn every_kind_of_key_is_named_and_verified_as_far_as_it_can_be() {
        for (der, key, algorithm, verdict) in cases() {
            let cert = Certificate::parse(der);
            assert_eq!(cert.damage, None, "{algorithm}");
            assert_eq!(cert.key.kind.to_string(), key);
            assert_eq!(cert.signature_algorithm, algorithm);
            assert_eq!(cert.signed_by(&cert), verdict, "{algorithm}");
        }
    }

    #[test]
    fn one_flipped_bit_makes_a_signature_bad() {
        for (der, _, algorithm, verdict) in cases() {
            if verdict == Verdict::Good {
                let mut cert = Certificate::parse(der);
                let last = cert.signature.len() - 1;
                cert.signature[last] ^= 1;
                assert_eq!(cert.signed_by(&cert), Verdict::Bad, "{algorithm}");
            }
        }
    }

    #[test]
    fn a_key_of_another_kind_cannot_have_signed() {
        let rsa = Certificate::parse(include_bytes!("../../tests/data/rsa2048-pss.der"));
        let ec = Certificate::parse(include_bytes!("../../tests/data/p521.der"));
        assert_eq!(rsa.signed_by(&ec), Verdict::Bad);
    }

    #[test]
    fn a_key_exchange_is_verified_over_both_randoms() {
        let key = Key::new();
        let leaf = Forge::leaf("a.example", "a.example").sign(&key, &key);
        let (client, server) = ([1; 32], [2; 32]);
        let params = b"\x03\x00\x1d\x20 and a point".to_vec();
        let signature = key.sign(&[&client[..], &server, &params].concat());
        let scheme = Some(SignatureScheme(0x0403));
        let mut exchange = ServerKeyExchange { params, scheme, signature, ..ServerKeyExchange::default() };
        let check = |exchange: &ServerKeyExchange, server: &[u8; 32]| {
            verify_server_key_exchange(Version::TLS12, &client, server, exchange, &leaf)
        };
        assert_eq!(check(&exchange, &server), Verdict::Good);
        assert_eq!(check(&exchange, &[3; 32]), Verdict::Bad);
        exchange.params[0] ^= 1;
        assert_eq!(check(&exchange, &server), Verdict::Bad);
        exchange.signature.clear();
        assert!(matches!(check(&exchange, &server), Verdict::Unsupported(_)));
    }
}
