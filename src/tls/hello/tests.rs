use super::*;
use crate::tls::codes::SignatureScheme;
use crate::tls::samples::{CHROME, ECDSA_FLIGHT, RETRY_CLIENT, RETRY_SERVER, SSLV2, bytes};
use proptest::prelude::*;

fn chrome_body() -> Vec<u8> {
    let mut record = bytes(CHROME);
    record.resize(517, 0);
    record.split_off(9)
}

/// A ClientHello's body with these extensions.
fn with_extensions(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, body) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend((body.len() as u16).to_be_bytes());
        list.extend(*body);
    }
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    hello.extend((list.len() as u16).to_be_bytes());
    hello.extend(list);
    hello
}

fn sni(name: &[u8]) -> Vec<u8> {
    let mut body = ((name.len() + 3) as u16).to_be_bytes().to_vec();
    body.push(0);
    body.extend((name.len() as u16).to_be_bytes());
    body.extend(name);
    body
}

fn parse(body: &[u8]) -> ClientHello {
    ClientHello::parse(Version::TLS10, body).unwrap()
}

#[test]
fn a_browsers_hello_is_read_in_full() {
    let hello = parse(&chrome_body());
    assert_eq!(hello.sni.as_deref(), Some("cloudflare-quic.com"));
    assert_eq!(hello.alpn, ["h2", "http/1.1"]);
    assert_eq!(hello.supported_versions, [Version(0x3a3a), Version::TLS13, Version::TLS12]);
    assert_eq!(hello.highest_version(), Version::TLS13);
    assert_eq!(hello.groups[1..], [Group::X25519, Group::SECP256R1, Group::SECP384R1]);
    assert_eq!(hello.key_shares, [Group(0xeaea), Group::X25519]);
    assert_eq!(hello.ciphers.len(), 16);
    assert_eq!(hello.extensions.len(), 18);
    assert_eq!(hello.signature_schemes[0], SignatureScheme::ECDSA_SECP256R1_SHA256);
    assert_eq!(hello.point_formats, [0]);
    assert_eq!(hello.ticket_len, Some(0));
    assert!(hello.status_request && hello.extended_master_secret);
    assert!(!hello.psk && !hello.early_data && !hello.ech && !hello.fallback_scsv && !hello.malformed);
}

#[test]
fn a_cut_hello_keeps_its_name_and_says_that_it_is_cut() {
    let body = chrome_body();
    let cut = parse(&body[..160]);
    assert!(cut.malformed);
    assert_eq!(cut.sni.as_deref(), Some("cloudflare-quic.com"));
    assert_eq!(cut.ciphers.len(), 16);
    assert_eq!(ClientHello::parse(Version::TLS10, &body[..33]), None);
}

#[test]
fn every_truncation_is_malformed_or_nothing() {
    let body = chrome_body();
    let ciphers_end = 2 + 32 + 33 + 2 + 32 + 2;
    for n in 0..body.len() {
        match ClientHello::parse(Version::TLS10, &body[..n]) {
            None => assert!(n < 34),
            // A hello without extensions may end behind its compression methods.
            Some(hello) => assert_eq!(hello.malformed, n != ciphers_end, "{n}"),
        }
    }
}

#[test]
fn an_extension_that_contradicts_itself_does_not_hide_the_ones_behind_it() {
    let hello = parse(&with_extensions(&[(10, &[0, 9, 0, 29]), (0, &sni(b"Example.COM")), (35, &[1, 2, 3])]));
    assert!(hello.malformed);
    assert_eq!(hello.groups, [Group::X25519]);
    assert_eq!(hello.sni.as_deref(), Some("example.com"));
    assert_eq!(hello.ticket_len, Some(3));
}

#[test]
fn the_first_of_two_names_stands_and_the_repeat_is_malformed() {
    let hello = parse(&with_extensions(&[(0, &sni(b"a.test")), (0, &sni(b"b.test"))]));
    assert_eq!(hello.sni.as_deref(), Some("a.test"));
    assert!(hello.malformed);
}

#[test]
fn a_name_is_safe_to_print_whatever_its_bytes() {
    let read = |name: &[u8]| parse(&with_extensions(&[(0, &sni(name))])).sni.unwrap();
    assert_eq!(&*read(b"A.Test."), "a.test.");
    assert_eq!(&*read("b\u{fc}cher.test".as_bytes()), "b\u{fc}cher.test");
    assert_eq!(&*read(b"a\n\x1b[31m\xff\\"), "a\\x0a\\x1b[31m\\xff\\\\");
    let long = parse(&with_extensions(&[(0, &sni(&[b'x'; 300]))]));
    assert_eq!(long.sni.map(|name| name.len()), Some(255));
    assert!(long.malformed);
}

#[test]
fn an_empty_name_list_is_no_name() {
    let hello = parse(&with_extensions(&[(0, &[0, 0])]));
    assert_eq!(hello.sni, None);
    assert!(!hello.malformed);
}

#[test]
fn a_draft_counts_as_the_highest_version() {
    let hello = parse(&with_extensions(&[(43, &[4, 0x7f, 0x17, 3, 3])]));
    assert_eq!(hello.highest_version(), Version(0x7f17));
    assert_eq!(parse(&with_extensions(&[])).highest_version(), Version::TLS12);
}

#[test]
fn marks_of_resumption_early_data_and_ech_are_seen() {
    let hello = parse(&with_extensions(&[(0xfe0d, &[0]), (42, &[]), (41, &[0, 0]), (22, &[])]));
    assert!(hello.ech && hello.early_data && hello.psk && hello.encrypt_then_mac);
}

#[test]
fn an_ssl_2_hello_is_read() {
    let hello = ClientHello::parse_sslv2(&bytes(SSLV2)[2..]).unwrap();
    assert!(hello.sslv2_framed && !hello.malformed);
    assert_eq!(hello.legacy_version, Version::TLS10);
    assert_eq!(hello.record_version, Version::SSL2);
    assert_eq!(hello.ciphers.first(), Some(&CipherSuite(0x0039)));
    assert_eq!(hello.random[..16], [0; 16]);
    assert_ne!(hello.random[16..], [0; 16]);
    assert!(ClientHello::parse_sslv2(&bytes(SSLV2)[2..40]).unwrap().malformed);
    assert_eq!(ClientHello::parse_sslv2(&[2, 3, 1]), None);
}

#[test]
fn a_retry_request_is_told_by_its_random() {
    let stream = bytes(RETRY_SERVER);
    let retry = ServerHello::parse(&stream[9..93]).unwrap();
    assert!(retry.retry && !retry.malformed);
    assert_eq!((retry.version, retry.legacy_version), (Version::TLS13, Version::TLS12));
    assert_eq!(retry.group, Some(Group::SECP256R1));
    let hello = ServerHello::parse(&stream[108..]).unwrap();
    assert!(!hello.retry && !hello.malformed && !hello.downgrade_sentinel);
    assert_eq!((hello.cipher, hello.group), (CipherSuite(0x1302), Some(Group::SECP256R1)));
}

#[test]
fn the_clients_share_grows_after_a_retry() {
    let stream = bytes(RETRY_CLIENT);
    assert_eq!(parse(&stream[9..236]).key_shares, [Group(21)]);
    assert_eq!(parse(&stream[251..486]).key_shares, [Group::SECP256R1]);
}

#[test]
fn a_tls_1_0_server_hello_is_read() {
    let hello = ServerHello::parse(&bytes(ECDSA_FLIGHT)[9..98]).unwrap();
    assert_eq!(hello.version, Version::TLS10);
    assert_eq!(hello.cipher.to_string(), "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA");
    assert!(hello.extended_master_secret && !hello.malformed && !hello.session_ticket);
}

#[test]
fn a_tlcp_hello_and_one_without_extensions_are_read() {
    let mut body = vec![1, 1];
    body.extend([9; 32]);
    body.extend([0, 0xe0, 0x13, 0]);
    let hello = ServerHello::parse(&body).unwrap();
    assert_eq!((hello.version, hello.cipher), (Version::TLCP, CipherSuite(0xe013)));
    assert!(!hello.malformed);
}

#[test]
fn a_downgrade_is_marked_in_the_random() {
    let mut body = vec![3, 3];
    body.extend([9; 24]);
    body.extend(b"DOWNGRD\x01");
    body.extend([0, 0xc0, 0x2f, 0]);
    assert!(ServerHello::parse(&body).unwrap().downgrade_sentinel);
}

#[test]
fn a_server_hello_cut_in_its_extensions_keeps_the_suite() {
    let body = &bytes(RETRY_SERVER)[9..93];
    let cut = ServerHello::parse(&body[..80]).unwrap();
    assert!(cut.malformed);
    assert_eq!((cut.cipher, cut.version), (CipherSuite(0x1302), Version::TLS13));
    assert_eq!(ServerHello::parse(&body[..60]), None);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = ClientHello::parse(Version::TLS10, &body).map(|hello| (hello.ja3(), hello.ja4()));
        let _ = ClientHello::parse_sslv2(&body);
        let _ = ServerHello::parse(&body).map(|hello| hello.ja3s());
    }

    #[test]
    fn a_damaged_hello_never_panics(at in 0usize..508, byte in any::<u8>()) {
        let mut body = chrome_body();
        body[at] = byte;
        let hello = parse(&body);
        prop_assert!(!hello.ja4().is_empty());
    }
}
