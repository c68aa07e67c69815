use super::fixture::{Gateway, NAT, Way, hello, sent};
use super::{Crossing, Fate, Vantage};
use crate::base::{Endpoint, Side, Span};
use crate::decode::TcpFlags;
use crate::evidence::fixture::CLIENT;

/// The first letters of the fates, in order.
fn fates(crossing: &Crossing) -> String {
    crossing.packets.iter().filter_map(|one| one.fate.word().chars().next()).collect()
}

const ACK: u8 = TcpFlags::ACK;

/// Connected; what was done; then other traffic until the tenth second.
fn after_connecting(script: impl FnOnce(&mut Gateway)) -> Crossing {
    let mut gateway = Gateway::default();
    gateway.connect();
    script(&mut gateway);
    gateway.until(10_000);
    gateway.crossing().unwrap()
}

#[test]
fn a_connection_is_found_through_translation_with_every_packet_and_the_clock() {
    let crossing = after_connecting(|gateway| {
        gateway.send(hello(25), Way::Passes);
        gateway.send(sent(45, Side::Server, ACK, 1, 518, 900), Way::Passes);
    });
    assert_eq!(fates(&crossing), "ppppp");
    assert_eq!(
        (crossing.near, crossing.ahead, crossing.through),
        (Vantage::Inside, Span(0), Some(Span(100)))
    );
    assert_eq!(crossing.near_ends.map(|(client, _)| client), Some(CLIENT));
    assert_eq!(crossing.far_ends.map(|(client, _)| client), Some(NAT));
    assert!(crossing.packets.iter().all(|one| one.fate == Fate::Passed(Span(50))));
}

#[test]
fn what_goes_in_alone_was_dropped_and_what_comes_out_alone_was_made() {
    let crossing = after_connecting(|gateway| {
        gateway.send(hello(25), Way::Dropped);
        gateway.send(sent(26, Side::Server, TcpFlags::RST, 1, 0, 0), Way::Made);
    });
    assert_eq!(fates(&crossing), "pppdm");
}

#[test]
fn behind_the_end_of_the_other_capture_nothing_is_known() {
    let mut gateway = Gateway::default();
    gateway.connect();
    gateway.send(hello(25), Way::Dropped);
    let crossing = gateway.crossing().unwrap();
    assert_eq!(fates(&crossing), "pppu");
}

#[test]
fn what_the_server_acknowledged_was_missed_by_the_capture() {
    let crossing = after_connecting(|gateway| {
        gateway.send(hello(25), Way::Dropped);
        gateway.send(sent(45, Side::Server, ACK, 1, 518, 0), Way::Passes);
    });
    assert_eq!(fates(&crossing), "pppup");
}

#[test]
fn a_copy_that_came_through_explains_the_acknowledgment() {
    let crossing = after_connecting(|gateway| {
        gateway.send(hello(25), Way::Passes);
        gateway.send(hello(900), Way::Dropped);
        gateway.send(sent(950, Side::Server, ACK, 1, 518, 0), Way::Passes);
    });
    assert_eq!(fates(&crossing), "ppppdp");
}

#[test]
fn sequence_numbers_that_a_firewall_changes_are_counted_from_the_first() {
    let mut gateway = Gateway::default();
    gateway.raised = 123_456;
    gateway.connect();
    gateway.send(hello(25), Way::Passes);
    gateway.send(sent(45, Side::Server, ACK, 1, 518, 900), Way::Passes);
    gateway.until(10_000);
    assert_eq!(fates(&gateway.crossing().unwrap()), "ppppp");
}

#[test]
fn bytes_that_came_out_in_other_segments_passed() {
    let crossing = after_connecting(|gateway| {
        gateway.send(hello(25), Way::Passes);
        // Offload joined them on one side.
        gateway.send(sent(45, Side::Server, ACK, 1, 518, 1_000), Way::Dropped);
        gateway.send(sent(45, Side::Server, ACK, 1_001, 518, 1_000), Way::Dropped);
        gateway.send(sent(45, Side::Server, ACK, 1, 518, 2_000), Way::Made);
    });
    assert_eq!(fates(&crossing), "ppppppp");
}

#[test]
fn a_hello_under_another_name_is_the_same_hello() {
    let crossing = after_connecting(|gateway| {
        gateway.names.1 = Endpoint { port: 1_025, ..NAT };
        gateway.send(hello(25), Way::Passes);
    });
    assert_eq!(fates(&crossing), "pppp");
    let last = crossing.packets.last().and_then(|one| one.far);
    assert_eq!(last.map(|far| far.client.port), Some(1_025));
}

#[test]
fn nothing_links_captures_without_a_common_connection() {
    let mut gateway = Gateway::default();
    gateway.both.ahead = None;
    gateway.send(sent(0, Side::Client, TcpFlags::SYN, 0, 0, 0), Way::Dropped);
    gateway.until(10_000);
    assert!(gateway.crossing().is_none());
}

/// So many connections of other clients, each of as many packets.
fn others(gateway: &mut Gateway, count: u16, packets: i64) {
    for n in 0..count {
        gateway.names = (Endpoint { port: n, ..CLIENT }, Endpoint { port: n, ..NAT });
        gateway.isn.0 += 100;
        for again in 0..packets {
            gateway
                .send(sent(i64::from(n) + 1_000 * again, Side::Client, TcpFlags::SYN, 0, 0, 0), Way::Passes);
        }
    }
}

#[test]
fn connections_beyond_the_bound_push_the_oldest_out() {
    let mut gateway = Gateway::default();
    gateway.connect();
    others(&mut gateway, 200, 2);
    assert!(gateway.crossing().is_none());
    assert_eq!((gateway.both.inside.dropped, gateway.both.outside.dropped), (101, 101));
}

#[test]
fn a_flood_of_single_packets_pushes_out_no_conversation() {
    let mut gateway = Gateway::default();
    gateway.connect();
    others(&mut gateway, 20_000, 1);
    assert_eq!(fates(&gateway.crossing().unwrap()), "ppp");
    assert_eq!((gateway.both.inside.dropped, gateway.both.outside.dropped), (19_200, 19_200));
}

#[test]
fn what_one_side_told_is_known_when_its_packets_have_left() {
    let mut gateway = Gateway::default();
    gateway.connect();
    let crossing = gateway.crossing().unwrap();
    let [near, far] = [crossing.packets[0].near, crossing.packets[0].far].map(|sight| sight.unwrap().mark.no);
    gateway.both.told.add(&crossing, Vantage::Outside);
    assert!(gateway.both.told.contains(far) && !gateway.both.told.contains(near));
}
