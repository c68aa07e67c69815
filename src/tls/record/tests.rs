use super::*;
use crate::base::Side;
use crate::tls::samples::{CHROME, ECDSA_FLIGHT, RETRY_CLIENT, RETRY_SERVER, SSLV2, bytes};
use proptest::prelude::*;

const LIMIT: usize = 65_536;

fn record(content_type: u8, body: &[u8]) -> Vec<u8> {
    [&[content_type, 3, 3][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

/// Feeds pieces, the first as packet 1.
fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Read<'static>>, Inbound) {
    let mut inbound = Inbound::new(LIMIT);
    let mut reads = Vec::new();
    for (i, piece) in pieces.into_iter().enumerate() {
        let no = i as u64 + 1;
        inbound.feed(piece, PacketNo(no), Stamp(no as i64), &mut |Read { unit, at, when }| {
            reads.push(Read { unit: unit.into_owned(), at, when });
        });
    }
    (reads, inbound)
}

fn units(stream: &[u8]) -> Vec<Unit<'static>> {
    read_pieces([stream]).0.into_iter().map(|read| read.unit).collect()
}

/// One word per unit.
fn words(units: &[Unit]) -> Vec<String> {
    units
        .iter()
        .map(|unit| match unit {
            Unit::Handshake { kind, body, .. } => format!("{kind} {}", body.len()),
            Unit::Sslv2ClientHello { body } => format!("sslv2 {}", body.len()),
            Unit::Alert(alert) => format!("alert {} {}", alert.level.0, alert.description.0),
            Unit::ChangeCipherSpec => "ccs".to_owned(),
            Unit::Sealed { content_type, len } => format!("{content_type}/{len}"),
            Unit::Kept { content_type, body, .. } => format!("{content_type}/{} kept", body.len()),
            Unit::Malformed(_) => "malformed".to_owned(),
            Unit::NotTls => "not tls".to_owned(),
            Unit::Gap { bytes } => format!("gap {bytes}"),
        })
        .collect()
}

fn packets(read: &Read) -> Vec<u64> {
    read.at.iter().map(|no| no.0).collect()
}

/// A stream with everything in it.
fn medley() -> Vec<u8> {
    let long = message(11, &[7; 700]);
    [
        record(22, &[message(2, &[1; 40]), long[..300].to_vec()].concat()),
        record(22, &long[300..600]),
        record(22, &[]),
        record(22, &[long[600..].to_vec(), message(14, &[]), message(22, &[1; 9])].concat()),
        record(21, &[1, 112]),
        record(21, &[1, 90, 1, 0]),
        record(20, &[1]),
        record(22, &[0xab; 40]),
        record(23, &[0; 900]),
        record(23, &[]),
        record(21, &[2, 45]),
        record(21, &[0xcd; 26]),
        record(24, &[5; 30]),
        vec![b'H', b'T'],
    ]
    .concat()
}

#[test]
fn a_medley_gives_each_unit_in_order() {
    assert_eq!(
        words(&units(&medley())),
        [
            "ServerHello 40",
            "Certificate 700",
            "ServerHelloDone 0",
            "CertificateStatus 9",
            "alert 1 112",
            "alert 1 90",
            "alert 1 0",
            "ccs",
            "22/40",
            "23/900",
            "23/0",
            "alert 2 45",
            "21/26",
            "24/30",
            "not tls",
        ]
    );
}

#[test]
fn every_cut_in_two_gives_the_same_units() {
    for stream in [medley(), bytes(RETRY_CLIENT), bytes(RETRY_SERVER), bytes(ECDSA_FLIGHT), bytes(SSLV2)] {
        let whole = units(&stream);
        for cut in 0..=stream.len() {
            let (reads, _) = read_pieces([&stream[..cut], &stream[cut..]]);
            let units: Vec<_> = reads.into_iter().map(|read| read.unit).collect();
            assert_eq!(units, whole, "cut at {cut}");
        }
    }
}

#[test]
fn single_bytes_give_the_same_units() {
    let (reads, _) = read_pieces(medley().chunks(1));
    assert_eq!(reads.into_iter().map(|read| read.unit).collect::<Vec<_>>(), units(&medley()));
}

#[test]
fn a_retried_handshake_is_read_in_clear_behind_change_cipher_spec() {
    let client = units(&bytes(RETRY_CLIENT));
    assert_eq!(words(&client)[..4], ["ClientHello 227", "ccs", "ClientHello 235", "23/69"]);
    assert_eq!(words(&units(&bytes(RETRY_SERVER))), ["ServerHello 84", "ccs", "ServerHello 151"]);
}

#[test]
fn a_second_hello_split_over_records_is_read_too() {
    let second = &bytes(RETRY_CLIENT)[247..486];
    let long = message(1, &[&second[4..], &[0; 900]].concat());
    let stream = [record(20, &[1]), record(22, &long[..600]), record(22, &long[600..])].concat();
    assert_eq!(words(&units(&stream)), ["ccs", "ClientHello 1135"]);
}

#[test]
fn a_real_flight_is_read() {
    assert_eq!(
        words(&units(&bytes(ECDSA_FLIGHT))),
        [
            "ServerHello 89",
            "Certificate 522",
            "ServerKeyExchange 177",
            "CertificateRequest 6",
            "ServerHelloDone 0"
        ]
    );
}

#[test]
fn an_ssl_2_hello_comes_whole() {
    let stream = [bytes(SSLV2), record(22, &message(16, &[1; 66]))].concat();
    assert_eq!(words(&units(&stream)), ["sslv2 103", "ClientKeyExchange 66"]);
}

#[test]
fn a_unit_cites_the_packets_that_carried_it_and_no_others() {
    let long = message(11, &[7; 100]);
    let first = record(22, &[message(2, &[1; 40]), long[..60].to_vec()].concat());
    let second = record(22, &[long[60..].to_vec(), message(14, &[])].concat());
    let (a, b) = first.split_at(30);
    let (reads, _) = read_pieces([a, b, &second]);
    assert_eq!(reads.iter().map(packets).collect::<Vec<_>>(), [vec![1, 2], vec![2, 3], vec![3]]);
    assert_eq!(reads.iter().map(|read| read.when.0).collect::<Vec<_>>(), [2, 3, 3]);
}

#[test]
fn a_message_cites_the_header_of_its_record() {
    let stream = record(22, &[message(14, &[]), message(14, &[])].concat());
    let (reads, _) = read_pieces([&stream[..3], &stream[3..]]);
    assert_eq!(reads.iter().map(packets).collect::<Vec<_>>(), [vec![1, 2], vec![2]]);
}

#[test]
fn a_sealed_record_cites_all_its_packets() {
    let stream = record(23, &[0; 30]);
    let (reads, _) = read_pieces([&stream[..2], &stream[2..10], &stream[10..]]);
    assert_eq!(packets(&reads[0]), [1, 2, 3]);
}

#[test]
fn a_sealed_finished_is_not_taken_for_a_message() {
    let stream = [record(20, &[1]), record(22, &[1; 40]), record(22, &[0; 48])].concat();
    assert_eq!(words(&units(&stream)), ["ccs", "22/40", "22/48"]);
}

#[test]
fn an_alert_of_another_shape_is_sealed() {
    assert_eq!(words(&units(&record(21, &[3, 40]))), ["21/2"]);
    assert_eq!(words(&units(&record(21, &[2, 40, 9]))), ["21/3"]);
    assert_eq!(words(&units(&record(21, &[]))), ["21/0"]);
    let sealed = [record(20, &[1]), record(21, &[1, 0, 1, 0])].concat();
    assert_eq!(words(&units(&sealed)), ["ccs", "21/4"]);
}

#[test]
fn a_change_cipher_spec_of_another_shape_is_malformed() {
    for body in [&[2][..], &[1, 1], &[], &[0; 300]] {
        assert_eq!(
            words(&units(&[record(20, body), record(21, &[2, 40])].concat())),
            ["malformed", "alert 2 40"]
        );
    }
}

#[test]
fn an_unknown_message_costs_only_its_record() {
    let stream = [record(22, &message(99, &[0; 9])), record(22, &message(14, &[]))].concat();
    assert_eq!(words(&units(&stream)), ["malformed", "ServerHelloDone 0"]);
}

#[test]
fn a_message_over_the_limit_is_passed_over_unread() {
    let mut inbound = Inbound::new(100);
    let mut reads = Vec::new();
    let long = message(11, &[7; 5000]);
    let stream =
        [record(22, &long[..3000]), record(22, &[&long[3000..], &message(14, &[])[..]].concat())].concat();
    inbound.feed(&stream, PacketNo(1), Stamp(1), &mut |read| reads.push(read.unit));
    assert_eq!(words(&reads), ["malformed", "ServerHelloDone 0"]);
    assert_eq!(inbound.held(), 0);
}

#[test]
fn a_message_broken_off_is_malformed_and_kept_to_look_at() {
    let stream = [record(22, &message(11, &[7; 100])[..50]), record(23, &[0; 20])].concat();
    let (reads, inbound) = read_pieces([&stream[..]]);
    assert_eq!(words(&reads.into_iter().map(|read| read.unit).collect::<Vec<_>>()), ["malformed", "23/20"]);
    assert_eq!(inbound.pending(), Some((HandshakeType::CERTIFICATE, 46, 100)));
}

#[test]
fn an_alert_may_break_a_message_off() {
    let stream = [record(22, &message(11, &[7; 100])[..50]), record(21, &[2, 80])].concat();
    assert_eq!(words(&units(&stream)), ["alert 2 80"]);
}

#[test]
fn an_incomplete_message_is_pending_and_its_bytes_are_bounded() {
    let body = message(11, &vec![7; 60_000]);
    let stream: Vec<u8> = body.chunks(16_384).flat_map(|part| record(22, part)).collect();
    let (reads, inbound) = read_pieces(stream[..50_000].chunks(1_460));
    assert!(reads.is_empty());
    let (kind, have, want) = inbound.pending().unwrap();
    assert_eq!((kind, want), (HandshakeType::CERTIFICATE, 60_000));
    assert!(have > 49_000 && inbound.held() >= have && inbound.held() <= 60_000);
    assert_eq!(inbound.partial().unwrap().body.len(), have);
}

#[test]
fn an_impossible_length_ends_the_reading() {
    let stream = [&[22, 3, 3, 0xff, 0xff][..], &[0; 100]].concat();
    let (reads, inbound) = read_pieces([&stream[..], &record(21, &[2, 40])]);
    assert_eq!(words(&reads.into_iter().map(|read| read.unit).collect::<Vec<_>>()), ["malformed", "not tls"]);
    assert!(inbound.is_dead());
}

#[test]
fn other_protocols_are_not_tls() {
    for other in
        [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"SSH-2.0-x\r\n", &[22, 3, 9, 0, 5], &[0x80, 0x2e, 4, 0, 1]]
    {
        assert_eq!(words(&units(other)), ["not tls"], "{other:?}");
    }
}

#[test]
fn tlcp_and_draft_records_are_tls() {
    let hello = message(2, &[1; 40]);
    let tlcp = [&[22, 1, 1, 0, 44][..], &hello].concat();
    let draft = [&[22, 0x7f, 0x12, 0, 44][..], &hello].concat();
    for stream in [tlcp, draft] {
        assert_eq!(words(&units(&stream)), ["ServerHello 40"]);
    }
}

/// Feeds a stream of which `from..to` is missing.
fn with_gap(stream: &[u8], from: usize, to: usize) -> (Vec<String>, Inbound) {
    let mut inbound = Inbound::new(LIMIT);
    let mut reads = Vec::new();
    inbound.feed(&stream[..from], PacketNo(1), Stamp(1), &mut |read| reads.push(read.unit));
    inbound.gap((to - from) as u64, PacketNo(2), Stamp(2), &mut |read| reads.push(read.unit));
    inbound.feed(&stream[to..], PacketNo(2), Stamp(2), &mut |read| reads.push(read.unit));
    (words(&reads), inbound)
}

#[test]
fn a_gap_inside_sealed_bytes_does_not_matter() {
    let stream = [record(23, &[0; 900]), record(21, &[2, 40])].concat();
    assert_eq!(with_gap(&stream, 10, 800).0, ["23/900", "alert 2 40"]);
    assert_eq!(with_gap(&stream, 10, 905).0, ["23/900", "alert 2 40"]);
}

#[test]
fn a_gap_inside_a_message_costs_only_that_message() {
    let flight = [message(2, &[1; 40]), message(11, &[7; 700]), message(14, &[])].concat();
    let (words, inbound) = with_gap(&record(22, &flight), 150, 600);
    assert_eq!(words, ["ServerHello 40", "gap 450", "ServerHelloDone 0"]);
    assert_eq!(inbound.pending(), Some((HandshakeType::CERTIFICATE, 97, 700)));
}

#[test]
fn a_gap_over_a_message_boundary_costs_the_record() {
    let flight = [message(2, &[1; 40]), message(11, &[7; 100]), message(12, &[7; 100])].concat();
    let stream = [record(22, &flight), record(22, &message(14, &[]))].concat();
    assert_eq!(with_gap(&stream, 60, 200).0, ["ServerHello 40", "gap 140", "ServerHelloDone 0"]);
}

#[test]
fn behind_a_gap_over_records_a_plausible_header_is_found() {
    let certificate = record(22, &message(11, &[7; 700]));
    let stream = [record(22, &message(2, &[1; 40])), certificate, record(22, &message(14, &[]))].concat();
    assert_eq!(with_gap(&stream, 30, 400).0, ["gap 370", "ServerHelloDone 0"]);
    assert_eq!(with_gap(&stream, 0, 20).0, ["gap 20", "Certificate 700", "ServerHelloDone 0"]);
}

#[test]
fn a_gap_that_hides_change_cipher_spec_does_not_turn_finished_into_messages() {
    let stream =
        [record(22, &message(16, &[1; 66])), record(20, &[1]), record(22, &[0; 40]), record(23, &[9; 30])];
    let (words, inbound) = with_gap(&stream.concat(), 20, 79);
    assert_eq!(words, ["gap 59", "22/40", "23/30"]);
    assert!(inbound.changed());
}

#[test]
fn a_gap_over_the_body_of_change_cipher_spec_leaves_it_known() {
    let stream = [record(20, &[1]), record(22, &[9; 40])].concat();
    assert_eq!(with_gap(&stream, 5, 6).0, ["gap 1", "ccs", "22/40"]);
}

#[test]
fn a_search_without_end_ends() {
    let stream = vec![0u8; 100_000];
    let (words, inbound) = with_gap(&stream, 0, 10);
    assert_eq!(words, ["gap 10", "not tls"]);
    assert!(inbound.is_dead());
}

#[test]
fn the_start_of_tls_is_told_by_its_first_bytes() {
    let mut hello = bytes(CHROME);
    hello.resize(517, 0);
    for n in 0..6 {
        assert_eq!(starts_tls(&hello[..n], Side::Client), None, "{n}");
    }
    assert_eq!(starts_tls(&hello, Side::Client), Some(true));
    let sslv2 = bytes(SSLV2);
    assert_eq!(starts_tls(&sslv2[..10], Side::Client), None);
    assert_eq!(starts_tls(&sslv2, Side::Client), Some(true));
    assert_eq!(starts_tls(&sslv2, Side::Server), Some(false));
    assert_eq!(starts_tls(&bytes(ECDSA_FLIGHT), Side::Server), Some(true));
    assert_eq!(starts_tls(&bytes(ECDSA_FLIGHT), Side::Client), Some(false));
    assert_eq!(starts_tls(&record(21, &[2, 40]), Side::Server), Some(true));
    assert_eq!(starts_tls(&record(21, &[2, 40]), Side::Client), Some(false));
    assert_eq!(starts_tls(&[22, 1, 1, 0, 60, 1], Side::Client), Some(true));
    assert_eq!(starts_tls(b"G", Side::Client), Some(false));
    assert_eq!(starts_tls(&[0x80, 0x80, 1, 3, 1, 0, 4, 0, 0, 0, 16], Side::Client), Some(false));
}

/// Streams that mix records of all kinds with junk.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(any::<u8>(), 0..60);
    let part = prop_oneof![
        (0u8..30, body.clone()).prop_map(|(kind, body)| record(22, &message(kind, &body))),
        (19u8..26, body.clone()).prop_map(|(kind, body)| record(kind, &body)),
        (0u8..3).prop_map(|byte| record(20, &[byte])),
        (0u8..3, any::<u8>()).prop_map(|(level, description)| record(21, &[level, description])),
        (0usize..500).prop_map(|n| bytes(RETRY_CLIENT)[n.min(236)..486].to_vec()),
        body,
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn random_pieces_give_the_same_units(stream in streams(), cuts in proptest::collection::vec(1usize..50, 1..40)) {
        let mut pieces = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        let (reads, inbound) = read_pieces(pieces);
        let (whole, reference) = read_pieces([&stream[..]]);
        let units = |reads: Vec<Read<'static>>| reads.into_iter().map(|read| read.unit).collect::<Vec<_>>();
        prop_assert_eq!(units(reads), units(whole));
        prop_assert_eq!(inbound.pending(), reference.pending());
    }

    #[test]
    fn random_bytes_and_gaps_never_panic(
        steps in proptest::collection::vec((streams(), 0u64..100), 0..6),
        limit in 0usize..200,
    ) {
        let mut inbound = Inbound::new(limit);
        for (i, (piece, gap)) in steps.iter().enumerate() {
            let no = i as u64 + 1;
            inbound.feed(piece, PacketNo(no), Stamp(0), &mut |read| assert!(!read.at.is_empty()));
            inbound.gap(*gap, PacketNo(no + 1), Stamp(0), &mut |_| {});
            prop_assert!(inbound.held() <= limit * 2);
        }
    }
}
