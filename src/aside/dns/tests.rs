//! What is read of DNS messages.

use super::testing::{ASKED, answer, label, record};
use super::*;
use proptest::prelude::*;

#[test]
fn a_question_has_a_name_and_no_answer() {
    let mut query = answer([1, 0], "WWW.Example.com.", 28, &[]);
    query[7] = 0;
    let message = parse(&query).unwrap();
    assert!(!message.is_response && message.complete);
    assert_eq!((message.id, message.name.as_str(), message.qtype), (0x1234, "www.example.com", 28));
    assert_eq!(message.answer, DnsAnswer::default());
}

#[test]
fn aliases_are_followed_and_the_least_ttl_counts() {
    let bytes = answer(
        [0x81, 0x80],
        "www.example.com",
        1,
        &[
            record(&ASKED, 5, 300, &label("edge.cdn.net")),
            record(&label("edge.cdn.net"), 1, 20, &[192, 0, 2, 1]),
            record(&label("edge.cdn.net"), 1, 60, &[192, 0, 2, 2]),
            record(&label("other.net"), 1, 1, &[192, 0, 2, 3]),
        ],
    );
    let answer = parse(&bytes).unwrap().answer;
    assert_eq!(answer.cnames, ["edge.cdn.net"]);
    assert_eq!(answer.addresses, [Addr::v4([192, 0, 2, 1]), Addr::v4([192, 0, 2, 2])]);
    assert_eq!(answer.ttl, 20);
}

#[test]
fn a_name_that_does_not_exist_says_so() {
    let message = parse(&answer([0x81, 0x83], "nowhere.example", 1, &[])).unwrap();
    assert_eq!(message.rcode, Rcode::NXDOMAIN);
    assert!(message.answer.addresses.is_empty());
}

#[test]
fn an_extended_error_tells_a_bogus_signature() {
    let mut bytes = answer([0x81, 0x82], "bogus.example", 1, &[]);
    bytes[11] = 1;
    bytes.extend(record(&[0], 41, 0, &[0, 15, 0, 2, 0, 6]));
    let message = parse(&bytes).unwrap();
    assert_eq!((message.rcode, message.extended_error), (Rcode::SERVFAIL, Some(6)));
}

#[test]
fn an_https_record_with_ech_is_seen() {
    for (key, want) in [(5, true), (1, false)] {
        let data = [&[0, 1, 0][..], &[0, key, 0, 3, 2, b'h', b'2']].concat();
        let bytes = answer([0x81, 0x80], "example.com", 65, &[record(&ASKED, 65, 60, &data)]);
        let answer = parse(&bytes).unwrap().answer;
        assert!(answer.service);
        assert_eq!(answer.ech, want);
    }
}

#[test]
fn a_cut_answer_keeps_what_was_read() {
    let records = [record(&ASKED, 1, 60, &[192, 0, 2, 1]), record(&ASKED, 1, 60, &[192, 0, 2, 2])];
    let whole = answer([0x83, 0x80], "example.com", 1, &records);
    let message = parse(&whole[..whole.len() - 1]).unwrap();
    assert_eq!(message.answer.addresses, [Addr::v4([192, 0, 2, 1])]);
    assert!(message.truncated && !message.complete);
}

#[test]
fn pointers_that_chase_one_another_end() {
    let mut bytes = answer([0x81, 0x80], "example.com", 1, &[record(&[0xc0, 29], 1, 1, &[0; 4])]);
    assert_eq!(bytes[29..31], [0xc0, 29]);
    assert!(!parse(&bytes).unwrap().complete);
    bytes[12] = 0xc0;
    bytes[13] = 12;
    assert_eq!(parse(&bytes), None);
}

#[test]
fn a_service_record_gives_hints_a_target_and_protocols() {
    let target = label("svc.example.net");
    let hint6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 12]].concat();
    let params = [
        &[0, 1, 0, 6, 2, b'h', b'2', 2, b'h', b'3'][..],
        &[0, 4, 0, 8, 192, 0, 2, 1, 192, 0, 2, 2],
        &[0, 5, 0, 1, 9],
        &[0, 6, 0, 16],
        &hint6,
    ]
    .concat();
    let data = [&[0, 1][..], &target, &params].concat();
    let answer =
        parse(&answer([0x81, 0x80], "example.com", 65, &[record(&ASKED, 65, 60, &data)])).unwrap().answer;
    let hints = [Addr::v4([192, 0, 2, 1]), Addr::v4([192, 0, 2, 2]), Addr::v6(hint6.try_into().unwrap())];
    assert_eq!(answer.hints, hints);
    assert_eq!(
        (answer.targets, answer.alpn, answer.ech),
        (vec!["svc.example.net".into()], vec!["h2".into(), "h3".into()], true)
    );
    assert!(answer.addresses.is_empty());
}

#[test]
fn an_alias_of_services_leads_on_and_its_addresses_may_come_along() {
    let alias = [&[0, 0][..], &label("svc.example.net")].concat();
    let mut bytes = answer([0x81, 0x80], "example.com", 65, &[record(&ASKED, 65, 60, &alias)]);
    bytes[11] = 1;
    bytes.extend(record(&label("svc.example.net"), 1, 60, &[192, 0, 2, 7]));
    let answer = parse(&bytes).unwrap().answer;
    assert_eq!(
        (answer.targets, answer.hints),
        (vec!["svc.example.net".into()], vec![Addr::v4([192, 0, 2, 7])])
    );
}

#[test]
fn mail_and_service_records_lead_to_hosts() {
    let mail = [&[0, 10][..], &label("mx.example.net")].concat();
    let message = parse(&answer([0x81, 0x80], "example.com", 15, &[record(&ASKED, 15, 60, &mail)])).unwrap();
    assert_eq!(message.answer.targets, ["mx.example.net"]);
    let srv = [&[0, 10, 0, 1, 20, 103][..], &label("chat.example.net")].concat();
    let asked = "_xmpps-client._tcp.example.com";
    let message = parse(&answer([0x81, 0x80], asked, 33, &[record(&ASKED, 33, 60, &srv)])).unwrap();
    assert_eq!(message.answer.targets, ["chat.example.net"]);
}

#[test]
fn a_negative_answer_names_its_zone_and_holds_for_the_lesser_time() {
    let mut bytes = answer([0x81, 0x83], "gone.example.com", 1, &[]);
    bytes[9] = 1;
    let soa = [label("ns.example.com"), label("host.example.com"), vec![0; 16], vec![0, 0, 0, 60]].concat();
    bytes.extend(record(&label("example.com"), 6, 300, &soa));
    assert_eq!(parse(&bytes).unwrap().answer.negative, Some(("example.com".into(), 60)));
}

#[test]
fn the_bits_of_validation_are_kept() {
    let mut bytes = answer([0x81, 0xb0], "example.com", 1, &[]);
    bytes[11] = 1;
    bytes.extend(record(&[0], 41, 0x8000, &[]));
    let message = parse(&bytes).unwrap();
    assert!(message.authentic && message.checking_disabled && message.dnssec_ok && message.answer.unchecked);
}

#[test]
fn questions_of_another_class_are_not_for_us() {
    let mut bytes = answer([1, 0], "version.bind", 16, &[]);
    let last = bytes.len() - 1;
    bytes[last] = 3;
    assert_eq!(parse(&bytes), None);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_records_are_survived(body in proptest::collection::vec(any::<u8>(), 0..200), count in 0u8..9) {
        let mut bytes = vec![0, 1, 0x81, 0x80, 0, 1, 0, count, 0, 0, 0, count];
        bytes.extend([1, b'a', 0, 0, 1, 0, 1]);
        bytes.extend(body);
        prop_assert!(parse(&bytes).is_some());
    }
}
