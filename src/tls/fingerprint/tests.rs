use super::*;
use crate::tls::codes::{CipherSuite, Group, SignatureScheme};
use crate::tls::hello::ClientHello;
use crate::tls::samples::{CHROME, RETRY_CLIENT, RETRY_SERVER, bytes};

/// The hello of a record: behind record and message header.
fn hello(record: &[u8]) -> ClientHello {
    ClientHello::parse(Version::TLS10, &record[9..]).unwrap()
}

fn chrome() -> ClientHello {
    let mut record = bytes(CHROME);
    record.resize(517, 0);
    hello(&record)
}

/// The example of JA3's own description.
fn published() -> Offer {
    Offer {
        legacy_version: Version(769),
        ciphers: [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4].map(CipherSuite).to_vec(),
        extensions: [0, 10, 11].map(ExtensionType).to_vec(),
        groups: [23, 24, 25].map(Group).to_vec(),
        point_formats: vec![0],
        ..Offer::default()
    }
}

#[test]
fn ja3_agrees_with_the_published_examples() {
    assert_eq!(published().ja3(), "ada70206e40642a3e4461f35503241d5");
    let bare = Offer {
        legacy_version: Version(769),
        ciphers: [4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99].map(CipherSuite).to_vec(),
        ..Offer::default()
    };
    assert_eq!(bare.ja3_string(), "769,4-5-10-9-100-98-3-6-19-18-99,,,");
    assert_eq!(bare.ja3(), "de350869b8c85de67a350c8d186f11e6");
}

#[test]
fn ja3_of_real_hellos_agrees_with_wireshark() {
    assert_eq!(chrome().ja3(), "cd08e31494f9531f560d64c695473da9");
    let retry = hello(&bytes(RETRY_CLIENT)[..236]);
    assert_eq!(retry.ja3_string(), "771,4866-4867-4865-255,11-10-35-22-23-13-43-45-51,21-23-24,0-1-2");
    assert_eq!(retry.ja3(), "0f14b679807628ec7f9c02cada3ee941");
}

#[test]
fn ja3s_of_a_real_hello_agrees_with_wireshark() {
    let server = ServerHello::parse(&bytes(RETRY_SERVER)[9..93]).unwrap();
    assert_eq!(server.ja3s_string(), "771,4866,43-51");
    assert_eq!(server.ja3s(), "15af977ce25de452b96affa2addb1036");
}

#[test]
fn ja4_agrees_with_the_published_example() {
    assert_eq!(chrome().ja4(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    assert_eq!(
        chrome().ja4_raw(),
        "t13d1516h2_002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9_\
         0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01_\
         0403,0804,0401,0503,0805,0501,0806,0601"
    );
}

#[test]
fn ja4_ignores_the_order_of_extensions_and_ja3_does_not() {
    let mut shuffled = chrome();
    shuffled.extensions.reverse();
    assert_eq!(shuffled.ja4(), chrome().ja4());
    assert_ne!(shuffled.ja3(), chrome().ja3());
}

#[test]
fn ja4_of_an_empty_hello_is_all_zeros() {
    let empty = Offer { legacy_version: Version::TLS12, ..Offer::default() };
    assert_eq!(empty.ja4(), "t12i000000_000000000000_000000000000");
}

#[test]
fn ja4_shows_an_unprintable_protocol_in_hexadecimal() {
    let mut hello = chrome();
    hello.alpn_ends = Some((0xab, 0xcd));
    assert!(hello.ja4().starts_with("t13d1516ad_"), "{}", hello.ja4());
    hello.alpn_ends = Some((b'h', b'h'));
    assert!(hello.ja4().starts_with("t13d1516hh_"));
}

#[test]
fn ja4_counts_stop_at_99_and_leave_the_schemes_out_where_there_are_none() {
    let mut hello = chrome();
    hello.ciphers = (0..200).map(CipherSuite).collect();
    hello.signature_schemes.clear();
    assert!(hello.ja4().starts_with("t13d9916h2_"));
    assert!(hello.ja4_raw().ends_with(",ff01"));
    hello.signature_schemes = vec![SignatureScheme(0x0a0a)];
    assert!(hello.ja4_raw().ends_with(",ff01"));
}
