use super::*;
use crate::tls::samples::{ECDSA_FLIGHT, bytes};
use proptest::prelude::*;

const ECDHE_RSA: CipherSuite = CipherSuite(0xc02f);
const ECDHE_ECDSA_CBC: CipherSuite = CipherSuite(0xc009);

/// Bodies of the flight's messages behind ServerHello: each record holds one.
fn flight() -> Vec<Vec<u8>> {
    let stream = bytes(ECDSA_FLIGHT);
    let mut rest = &stream[..];
    let mut bodies = Vec::new();
    while !rest.is_empty() {
        let len = usize::from(u16::from_be_bytes([rest[3], rest[4]]));
        bodies.push(rest[9..5 + len].to_vec());
        rest = &rest[5 + len..];
    }
    bodies.split_off(1)
}

fn v16(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes()[..], body].concat()
}

fn v24(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[1..], body].concat()
}

#[test]
fn a_chain_is_split_into_its_certificates() {
    let body = &flight()[0];
    let read = certificates(body).unwrap();
    assert_eq!(read.ders.len(), 1);
    assert_eq!((read.ders[0].len(), &read.ders[0][..2]), (516, &[0x30, 0x82][..]));
    assert!(!read.cut);
    let two = v24(&[v24(b"leaf"), v24(b"issuer")].concat());
    assert_eq!(certificates(&two).unwrap().ders, [&b"leaf"[..], b"issuer"]);
}

#[test]
fn a_cut_chain_keeps_the_whole_certificates_and_shows_the_torn_one() {
    let two = v24(&[v24(b"leaf"), v24(b"issuer")].concat());
    let read = certificates(&two[..two.len() - 2]).unwrap();
    assert_eq!(read.ders, [b"leaf"]);
    assert!(read.cut);
    assert_eq!(read.partial, Some(&b"issu"[..]));
    for n in 3..two.len() {
        assert!(certificates(&two[..n]).unwrap().cut, "{n}");
    }
    assert_eq!(certificates(&two[..2]), None);
}

#[test]
fn a_client_without_a_certificate_sends_an_empty_list() {
    let read = certificates(&[0, 0, 0]).unwrap();
    assert!(read.ders.is_empty() && !read.cut);
}

#[test]
fn a_hostile_list_stops_at_64() {
    let read_all = v24(&[0; 3 * 1000]);
    let read = certificates(&read_all).unwrap();
    assert_eq!(read.ders.len(), 64);
    assert!(read.cut);
}

#[test]
fn the_tls_1_3_form_has_a_context_and_extensions() {
    let staple = [&[0, 5][..], &v16(&[&[1][..], &v24(b"ocsp")].concat())].concat();
    let list = [v24(b"leaf"), v16(&staple), v24(b"issuer"), v16(&[])].concat();
    let body = [&[0][..], &v24(&list)].concat();
    let read = certificates13(&body).unwrap();
    assert_eq!(read.ders, [&b"leaf"[..], b"issuer"]);
    assert_eq!(read.staple, Some(&b"ocsp"[..]));
    assert!(!read.cut);
    assert!(certificates13(&body[..body.len() - 1]).unwrap().cut);
}

#[test]
fn an_ecdhe_exchange_of_tls_1_0_names_no_scheme() {
    let read = ServerKeyExchange::parse(&flight()[1], Version::TLS10, ECDHE_ECDSA_CBC).unwrap();
    assert_eq!(read.group, Some(Group::X25519));
    assert_eq!(read.params, flight()[1][..36]);
    assert_eq!((read.scheme, read.dh_bits), (None, None));
    assert_eq!(read.signature.len(), 139);
}

#[test]
fn an_ecdhe_exchange_of_tls_1_2_names_its_scheme() {
    let params = [&[3, 0, 29, 2][..], b"pt"].concat();
    let body = [&params[..], &[8, 4], &v16(b"signature")].concat();
    let read = ServerKeyExchange::parse(&body, Version::TLS12, ECDHE_RSA).unwrap();
    assert_eq!(read.scheme, Some(SignatureScheme::RSA_PSS_RSAE_SHA256));
    assert_eq!((read.params, read.signature), (params, b"signature".to_vec()));
    for n in 0..body.len() {
        assert_eq!(ServerKeyExchange::parse(&body[..n], Version::TLS12, ECDHE_RSA), None, "{n}");
    }
}

#[test]
fn a_dhe_exchange_tells_the_primes_size() {
    let params = [v16(&[&[0, 0x7f][..], &[0xff; 127]].concat()), v16(&[2]), v16(&[5; 128])].concat();
    let body = [&params[..], &[4, 1], &v16(b"s")].concat();
    let read = ServerKeyExchange::parse(&body, Version::TLS12, CipherSuite(0x009e)).unwrap();
    assert_eq!((read.dh_bits, read.params), (Some(1023), params.clone()));
    let anonymous = ServerKeyExchange::parse(&params, Version::TLS12, CipherSuite(0x0034)).unwrap();
    assert_eq!((anonymous.scheme, anonymous.signature), (None, vec![]));
}

#[test]
fn a_tlcp_exchange_is_a_signature_alone() {
    let read = ServerKeyExchange::parse(&v16(b"sm2"), Version::TLCP, CipherSuite(0xe013)).unwrap();
    assert_eq!((read.params, read.signature, read.scheme), (vec![], b"sm2".to_vec(), None));
}

#[test]
fn a_suite_without_key_exchange_message_gives_nothing() {
    assert_eq!(ServerKeyExchange::parse(&[0; 40], Version::TLS12, CipherSuite(0x002f)), None);
    assert_eq!(ServerKeyExchange::parse(&[0; 40], Version::TLS13, CipherSuite(0x1301)), None);
}

#[test]
fn a_certificate_request_is_read_in_all_three_forms() {
    let old = CertificateRequest::parse(&flight()[2], Version::TLS10).unwrap();
    assert_eq!((old.schemes, old.authorities), (vec![], vec![]));
    let names = v16(&v16(b"name"));
    let tls12 = [&[1, 1][..], &v16(&[4, 3, 8, 4]), &names].concat();
    let schemes = vec![SignatureScheme(0x0403), SignatureScheme(0x0804)];
    let mut expected = CertificateRequest { types: vec![1], schemes, authorities: vec![b"name".to_vec()] };
    assert_eq!(CertificateRequest::parse(&tls12, Version::TLS12).as_ref(), Some(&expected));
    let extensions = [&[0, 13][..], &v16(&v16(&[4, 3, 8, 4])), &[0, 47], &v16(&names)].concat();
    let tls13 = [&[0][..], &v16(&extensions)].concat();
    expected.types.clear();
    assert_eq!(CertificateRequest::parse(&tls13, Version::TLS13).as_ref(), Some(&expected));
    assert_eq!(CertificateRequest::parse(&tls12[..9], Version::TLS12), None);
}

#[test]
fn a_status_holds_the_ocsp_answer() {
    let one = [&[1][..], &v24(b"ocsp")].concat();
    assert_eq!(certificate_status(&one), Some(&b"ocsp"[..]));
    let multi = [&[2][..], &v24(&v24(b"ocsp"))].concat();
    assert_eq!(certificate_status(&multi), Some(&b"ocsp"[..]));
    assert_eq!(certificate_status(&one[..5]), None);
    assert_eq!(certificate_status(&[1, 0, 0, 0]), None);
    assert_eq!(certificate_status(&[3, 0, 0, 1, 9]), None);
}

#[test]
fn a_certificate_verify_names_its_scheme_from_tls_1_2_on() {
    let body = [&[8, 7][..], &v16(b"sig")].concat();
    assert_eq!(
        certificate_verify(&body, Version::TLS13),
        Some((Some(SignatureScheme::ED25519), &b"sig"[..]))
    );
    assert_eq!(certificate_verify(&body[2..], Version::TLS10), Some((None, &b"sig"[..])));
    assert_eq!(certificate_verify(&body[..4], Version::TLS12), None);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300), suite in any::<u16>()) {
        for version in [Version::TLCP, Version::SSL3, Version::TLS10, Version::TLS12, Version::TLS13] {
            let _ = ServerKeyExchange::parse(&body, version, CipherSuite(suite));
            let _ = ServerKeyExchange::parse(&body, version, ECDHE_RSA);
            let _ = CertificateRequest::parse(&body, version);
            let _ = certificate_verify(&body, version);
        }
        let _ = (certificates(&body), certificates13(&body), certificate_status(&body));
    }
}
