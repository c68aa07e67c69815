use super::*;
use crate::tls::cert::forge::{Forge, Key, der, seq};

/// Self-signed certificates made by `openssl req -x509` 3.0, one a kind of key.
fn cases() -> Vec<(&'static [u8], &'static str, &'static str, Verdict)> {
    let good = Verdict::Good;
    vec![
        (include_bytes!("../../../tests/data/rsa1024-sha1.der"), "RSA 1024", "sha1WithRSAEncryption", good),
        (
            include_bytes!("../../../tests/data/rsa2047-sha384.der"),
            "RSA 2047",
            "sha384WithRSAEncryption",
            good,
        ),
        (include_bytes!("../../../tests/data/rsa2048-pss.der"), "RSA 2048", "RSASSA-PSS-SHA256", good),
        (include_bytes!("../../../tests/data/rsa2048-md5.der"), "RSA 2048", "md5WithRSAEncryption", good),
        (include_bytes!("../../../tests/data/ed25519.der"), "Ed25519", "Ed25519", good),
        (include_bytes!("../../../tests/data/ed448.der"), "Ed448", "Ed448", Verdict::Unsupported("Ed448")),
        (include_bytes!("../../../tests/data/p521.der"), "EC P-521", "ecdsa-with-SHA512", good),
        (include_bytes!("../../../tests/data/p384-sha256.der"), "EC P-384", "ecdsa-with-SHA256", good),
        (include_bytes!("../../../tests/data/sm2.der"), "EC SM2", "SM2-with-SM3", good),
    ]
}

/// Self-signed certificates of every kind of signature, named by what they are: see `signed.sh` beside them.
fn signed() -> Vec<Certificate> {
    Der(include_bytes!("../../../tests/data/signed.der")).map(|cert| Certificate::parse(cert.whole)).collect()
}

fn of(name: &str) -> Certificate {
    signed().into_iter().find(|cert| cert.common_name.as_deref() == Some(name)).unwrap()
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
fn every_kind_of_signature_is_verified() {
    let all = signed();
    assert_eq!(all.len(), 91);
    for cert in all {
        let name = cert.common_name.clone().unwrap();
        let expected = match name.as_str() {
            "secp224r1-compressed" => Verdict::Unsupported("a compressed point on this curve"),
            "explicit-sha256" => Verdict::Unsupported("a curve that is described instead of named"),
            // Nobody can tell by which identifier it was signed.
            "sm2-other-id" => Verdict::Bad,
            _ => Verdict::Good,
        };
        assert_eq!(cert.signed_by(&cert), expected, "{name}");
    }
}

#[test]
fn a_signature_over_other_contents_is_bad_whatever_its_kind() {
    for mut cert in signed() {
        let name = cert.common_name.clone().unwrap();
        if !cert.signed_by(&cert).holds() {
            continue;
        }
        cert.tbs.end -= 1;
        assert_eq!(cert.signed_by(&cert), Verdict::Bad, "{name}");
        // RSA shows that the same key signed something else.
        let rsa = name.starts_with("rsa").then_some(true);
        let by_key = |cert: &Certificate, of: &Certificate| {
            is_by_key_of_certificate(&of.key.spki, &cert.signature_algorithm_der, &cert.signature)
        };
        assert_eq!(by_key(&cert, &cert), rsa, "{name}");
        let last = cert.signature.len() - 1;
        cert.signature[last] ^= 1;
        assert_eq!(cert.signed_by(&cert), Verdict::Bad, "{name}");
        assert_eq!(by_key(&cert, &cert), rsa.map(|_| false), "{name}");
    }
}

#[test]
fn a_signature_that_is_no_der_is_bad() {
    for name in ["prime256v1-sha256", "brainpoolP384r1-sha384", "secp224r1-sha224", "sm2-common-id"] {
        let mut cert = of(name);
        let [0x30, len, 2, first, rest @ ..] = cert.signature.as_slice() else { panic!("{name}") };
        let long = [&[0x30, 0x81, *len, 2, *first], rest].concat();
        let zero = [&[0x30, len + 1, 2, first + 1, 0], rest].concat();
        let inner = [&[0x30, len + 1, 2, 0x81, *first], rest].concat();
        for spoilt in [long, zero, inner] {
            cert.signature = spoilt;
            assert_eq!(cert.signed_by(&cert), Verdict::Bad, "{name}");
        }
    }
}

#[test]
fn a_pss_key_keeps_to_its_parameters() {
    let (limited, free) = (of("rsapss-limited-sha256"), of("rsapss-sha256"));
    let small = of("rsa1024-pss-salt0");
    let by = |key: &Certificate, algorithm: &Certificate| {
        verify(&key.key.spki, &algorithm.signature_algorithm_der, b"", &[])
    };
    assert_eq!(by(&limited, &small), Verdict::Bad, "its salt is 32 octets at least");
    assert_eq!(by(&free, &of("rsa1024-sha512")), Verdict::Bad, "PKCS #1 is not for it");
}

#[test]
fn rsa_before_tls_1_2_signs_both_digests_without_naming_them() {
    let signature = include_bytes!("../../../tests/data/md5-sha1.sig");
    let key = of("rsa1024-sha512").key.spki;
    let verify = |version, message: &[u8]| verify_handshake(version, &key, None, message, signature);
    assert_eq!(verify(Version::TLS11, b"hello"), Verdict::Good);
    assert_eq!(verify(Version::TLS11, b"hullo"), Verdict::Bad);
    assert_eq!(is_by_key_of_handshake(Version::TLS10, &key, None, signature), Some(true));
    assert!(matches!(verify(Version::TLS12, b"hello"), Verdict::Unsupported(_)), "TLS 1.2 names them");
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
    let rsa = Certificate::parse(include_bytes!("../../../tests/data/rsa2048-pss.der"));
    let ec = Certificate::parse(include_bytes!("../../../tests/data/p521.der"));
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
        verify_server_key_exchange(Version::TLS12, &client, server, exchange, std::slice::from_ref(&leaf))
    };
    assert_eq!(check(&exchange, &server), Verdict::Good);
    assert_eq!(check(&exchange, &[3; 32]), Verdict::Bad);
    exchange.params[0] ^= 1;
    assert_eq!(check(&exchange, &server), Verdict::Bad);
    exchange.signature.clear();
    assert!(matches!(check(&exchange, &server), Verdict::Unsupported(_)));
}

/// What the dearest signature of each kind costs: `cargo test --release --lib costs -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn costs_of_every_kind() {
    let time = |name: &str, verify: &dyn Fn() -> Verdict| {
        let begun = std::time::Instant::now();
        let mut rounds = 0_u32;
        while rounds < 3 || begun.elapsed().as_millis() < 200 {
            std::hint::black_box(verify());
            rounds += 1;
        }
        println!("{name}: {:?} {:?}", begun.elapsed() / rounds, verify());
    };
    for cert in signed() {
        time(cert.common_name.as_deref().unwrap(), &|| cert.signed_by(&cert));
    }
    for (der, _, name, _) in cases() {
        let cert = Certificate::parse(der);
        time(name, &|| cert.signed_by(&cert));
    }
    for (octets, exponent) in [(512, 3), (1024, 3), (1024, 8), (2048, 3), (2048, 8)] {
        for last in [0xf1, 0xf0] {
            let modulus = [vec![0, 0xff], vec![0x5a; octets - 2], vec![last]].concat();
            let numbers = seq(&[&der(tag::INTEGER, &modulus), &der(tag::INTEGER, &vec![0x7f; exponent])]);
            let algorithm = seq(&[&der(tag::OID, key_oid::RSA), &[5, 0]]);
            let spki = seq(&[&algorithm, &der(tag::BIT_STRING, &[&[0], numbers.as_slice()].concat())]);
            let name =
                format!("RSA of {} bits ending in {last:x}, exponent of {exponent} octets", 8 * octets);
            let signature = vec![0x7e; octets];
            time(&name, &|| verify_scheme(&spki, SignatureScheme(0x0301), b"", &signature));
        }
    }
    let number =
        |octets: usize| der(tag::INTEGER, &[vec![0, 0xff], vec![0x5a; octets - 2], vec![0xf1]].concat());
    let algorithm = seq(&[&der(tag::OID, key_oid::DSA), &seq(&[&number(512), &number(64), &number(511)])]);
    let spki = seq(&[&algorithm, &der(tag::BIT_STRING, &[&[0], number(510).as_slice()].concat())]);
    let signature = seq(&[&number(63), &number(62)]);
    time("DSA of 4096 bits", &|| verify_scheme(&spki, SignatureScheme(0x0202), b"", &signature));
}
