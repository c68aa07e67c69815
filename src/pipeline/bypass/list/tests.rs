use std::sync::Arc;

use etherparse::{PacketBuilder, TcpOptionElement};

use super::*;
use crate::base::{Limits, PacketNo};
use crate::decode::{Decoder, LinkType};
use crate::pipeline::gauges::{Gauges, Kernel};
use crate::pipeline::run::{Arrival, Source};
use crate::pipeline::shard::Ports;

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [198, 51, 100, 2];
const DATA: &[u8] = &[23, 3, 3, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A ring whose kernel takes so many connections; what it was given last.
struct Taker {
    room: usize,
    list: Vec<FlowKey>,
    clock: Stamp,
}

impl Source for Taker {
    fn next(&mut self) -> Option<Arrival<'_>> {
        None
    }
}

impl Ring for Taker {
    fn gauges(&self) -> Arc<Gauges> {
        Gauges::new()
    }
    fn kernel(&mut self) -> Kernel {
        Kernel::default()
    }
    fn elapsed(&self) -> Span {
        Span::default()
    }
    fn refilter(&mut self, _: Option<&str>) {}
    fn bypass(&mut self, flows: &[FlowKey]) -> Option<(usize, Stamp)> {
        let count = flows.len().min(self.room);
        self.list = flows[..count].to_vec();
        Some((count, self.clock))
    }
}

struct Bench {
    bypass: List,
    shard: Shard,
    decoder: Decoder,
    taker: Taker,
    client: [u8; 4],
    now: Stamp,
    no: u64,
}

impl Bench {
    fn new(room: usize) -> Self {
        let limits = Limits::default();
        Self {
            bypass: List::new(Bypassed::default()),
            decoder: Decoder::new(&limits),
            shard: Shard::new(Arc::new(limits), Arc::new(Ports::new(&[443])), 0),
            taker: Taker { room, list: Vec::new(), clock: Stamp(0) },
            client: CLIENT,
            now: Stamp::from_secs(1),
            no: 0,
        }
    }

    /// A segment of a client's; whether it gets to the shard.
    fn sends(&mut self, port: u16, flags: u8, payload: &[u8]) -> bool {
        let has = |bit| flags & bit != 0;
        let seq = if has(TcpFlags::SYN) { 7 } else { 8 };
        let mut tcp =
            PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(self.client, SERVER, 64).tcp(port, 443, seq, 9);
        if has(TcpFlags::SYN) {
            tcp = tcp.syn().options(&[TcpOptionElement::SelectiveAcknowledgementPermitted]).unwrap();
        }
        if has(TcpFlags::FIN) {
            tcp = tcp.fin();
        }
        if has(TcpFlags::RST) {
            tcp = tcp.rst();
        }
        if has(TcpFlags::ACK) {
            tcp = tcp.ack(1);
        }
        let mut data = Vec::new();
        tcp.write(&mut data, payload).unwrap();
        self.no += 1;
        self.now = self.now + Span(100);
        let frame = Frame {
            no: PacketNo(self.no),
            stamp: self.now,
            link: LinkType::ETHERNET,
            data: &data,
            wire_len: u32::try_from(data.len()).unwrap(),
        };
        // As rings are followed.
        let plain = self.decoder.plain(&frame).expect("it is plain");
        if self.bypass.passes_over(&plain) {
            self.shard.glance(&plain, &frame, self.now);
            return true;
        }
        let packet = Packet::Segment(plain.segment());
        let has = self.bypass.sees(&packet, &frame, &self.shard);
        if has {
            self.shard.packet(&packet, frame.no, self.now, self.now);
        }
        has
    }

    /// A connection with a ClientHello, reset and over.
    fn is_over(&mut self, port: u16) {
        let hello = [&[22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
        self.sends(port, TcpFlags::SYN, &[]);
        self.sends(port, TcpFlags::ACK, &hello);
        self.sends(port, TcpFlags::RST, &[]);
        self.passes(10_000);
    }

    fn passes(&mut self, millis: i64) {
        self.now = self.now + Span::from_millis(millis);
        self.shard.tick(self.now);
    }

    fn carries(&mut self, port: u16, packets: usize) {
        assert!(
            (0..packets).all(|_| self.sends(port, TcpFlags::ACK, DATA)),
            "no packet is withheld from the shard"
        );
    }

    fn settles(&mut self) -> u64 {
        self.passes(1_001);
        self.taker.clock = self.now + Span::from_millis(10);
        self.bypass.settle(&mut self.taker, &self.shard, self.now, true);
        self.bypass.take_unfollowed()
    }

    /// The ports of clients whose packets are kept back.
    fn kept_back(&self) -> Vec<u16> {
        let mut ports: Vec<u16> =
            self.taker.list.iter().map(|flow| flow.low.port.max(flow.high.port)).collect();
        ports.sort_unstable();
        ports
    }

    /// One that is kept back.
    fn with_one(room: usize) -> Self {
        let mut bench = Self::new(room);
        bench.is_over(40_000);
        bench.carries(40_000, 3_000);
        bench.settles();
        assert_eq!(bench.kept_back(), [40_000]);
        bench
    }
}

#[test]
fn a_finished_connection_that_carries_much_is_kept_back_until_its_end() {
    for end in [TcpFlags::FIN | TcpFlags::ACK, TcpFlags::RST] {
        let mut bench = Bench::with_one(9);
        assert_eq!(bench.bypass.told().connections, 1);
        bench.carries(40_000, 1);
        assert_eq!(bench.bypass.told().packets, 0, "it may have met the old filter");
        bench.passes(11);
        bench.carries(40_000, 1);
        assert_eq!(bench.bypass.told().packets, 63, "each that passes stands for those that do not");
        assert!(bench.sends(40_000, end, &[]));
        bench.settles();
        assert_eq!((bench.kept_back(), bench.bypass.told().connections), (vec![], 0));
    }
}

#[test]
fn others_are_never_kept_back() {
    let mut bench = Bench::new(9);
    // Over, and of little; under way; unknown.
    bench.is_over(40_001);
    bench.carries(40_001, 300);
    bench.sends(40_002, TcpFlags::SYN, &[]);
    bench.carries(40_002, 3_000);
    bench.carries(40_003, 3_000);
    bench.settles();
    assert_eq!(bench.kept_back(), [0; 0]);
    // It carried much before it ended.
    bench.is_over(40_004);
    bench.carries(40_004, 3_000);
    bench.sends(40_004, TcpFlags::FIN | TcpFlags::ACK, &[]);
    bench.settles();
    assert_eq!(bench.kept_back(), [0; 0]);
}

#[test]
fn of_two_that_the_kernel_cannot_tell_apart_one_is_kept_back() {
    let mut bench = Bench::new(9);
    // What their addresses differ by, their ports differ by.
    let one = (CLIENT, 40_000);
    let other = ([192, 1, 2, 1], 40_001);
    for (client, port) in [one, other] {
        bench.client = client;
        bench.is_over(port);
    }
    for (client, port) in [one, other].repeat(60) {
        bench.client = client;
        bench.carries(port, 50);
    }
    bench.settles();
    assert_eq!((bench.kept_back().len(), bench.bypass.told().connections), (1, 1));
}

#[test]
fn one_that_begins_anew_while_packets_may_be_missing_is_not_followed_and_counted() {
    let mut bench = Bench::with_one(9);
    assert!(!bench.sends(40_000, TcpFlags::SYN, &[]), "the list is in force");
    assert!(!bench.sends(40_000, TcpFlags::SYN, &[]), "again");
    assert_eq!(bench.settles(), 2);
    assert_eq!(bench.kept_back(), [0; 0]);
    assert!(!bench.sends(40_000, TcpFlags::SYN, &[]), "captured before the list was given up");
    bench.passes(11);
    assert!(bench.sends(40_000, TcpFlags::SYN, &[]));
    assert_eq!(bench.settles(), 1);
}

#[test]
fn one_that_begins_anew_behind_its_end_is_followed() {
    let mut bench = Bench::with_one(9);
    bench.sends(40_000, TcpFlags::RST, &[]);
    bench.settles();
    bench.passes(11);
    assert!(bench.sends(40_000, TcpFlags::SYN, &[]));
    assert_eq!(bench.settles(), 0);
}

#[test]
fn one_that_falls_silent_passes_again() {
    let mut bench = Bench::with_one(9);
    bench.settles();
    bench.settles();
    assert_eq!(bench.kept_back(), [40_000]);
    bench.settles();
    assert_eq!(bench.kept_back(), [0; 0]);
}

#[test]
fn what_a_kernel_has_no_room_for_passes() {
    let mut bench = Bench::new(1);
    for port in [40_000, 40_001] {
        bench.is_over(port);
    }
    for _ in 0..60 {
        bench.carries(40_000, 50);
        bench.carries(40_001, 50);
    }
    bench.settles();
    assert_eq!((bench.kept_back().len(), bench.bypass.told().connections), (1, 1));
    bench.passes(11);
    let refused = if bench.kept_back() == [40_000] { 40_001 } else { 40_000 };
    assert!(bench.sends(refused, TcpFlags::SYN, &[]));
}

#[test]
fn nothing_is_kept_back_where_all_is_forgotten() {
    let mut bench = Bench::with_one(9);
    bench.bypass.let_all_pass();
    bench.settles();
    assert_eq!(bench.kept_back(), [0; 0]);
}
