use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;
use crate::base::{Addr, Endpoint, FlowKey, Limits, PackedKey, PacketNo};
use crate::capture::live::testing::tells;
use crate::decode::plain::Plain;
use crate::decode::{LinkType, TcpFlags};
use crate::pipeline::shard::Ports;

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [198, 51, 100, 2];

/// A client's segment, or its server's.
#[derive(Clone, Debug)]
struct Sent {
    port: u16,
    from_client: bool,
    flags: u8,
    payload: &'static [u8],
}

impl Sent {
    fn frame(&self) -> Vec<u8> {
        let (client, server) = ((CLIENT, self.port), (SERVER, 443));
        let (from, to) = if self.from_client { (client, server) } else { (server, client) };
        let mut tcp = etherparse::TcpHeader::new(from.1, to.1, 7, 9);
        let has = |bit| self.flags & bit != 0;
        (tcp.syn, tcp.ack, tcp.fin, tcp.rst) =
            (has(TcpFlags::SYN), has(TcpFlags::ACK), has(TcpFlags::FIN), has(TcpFlags::RST));
        let mut bytes = Vec::new();
        let packet = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(from.0, to.0, 64).tcp_header(tcp);
        packet.write(&mut bytes, self.payload).unwrap();
        bytes
    }

    fn key(&self) -> PackedKey {
        let end = |addr, port| Endpoint { addr: Addr::v4(addr), port };
        FlowKey::of(end(CLIENT, self.port), end(SERVER, 443)).0.into()
    }

    fn tells(&self) -> bool {
        tells(self.flags, self.payload)
    }
}

/// One who follows what a ring gives.
struct Follower(Shard);

impl Follower {
    fn new() -> Self {
        Self(Shard::new(Limits::default().into(), Ports::new(&[443]).into(), 0))
    }

    /// Takes a packet of this number; `before` sees it first.
    fn takes(
        &mut self,
        sent: &Sent,
        (no, now): (u64, Stamp),
        before: impl FnOnce(&Packet<'_>, &Frame<'_>, &Shard),
    ) {
        let data = sent.frame();
        let wire_len = u32::try_from(data.len()).unwrap();
        let frame = Frame { no: PacketNo(no), stamp: now, link: LinkType::ETHERNET, data: &data, wire_len };
        let packet = Packet::Segment(Plain::of(&data).unwrap().segment());
        before(&packet, &frame, &self.0);
        self.0.packet(&packet, PacketNo(no), now, now);
    }

    fn told(&mut self, now: Stamp) -> Vec<String> {
        self.0.tick(now);
        self.0.drain().map(|out| format!("{out:?}")).collect()
    }
}

const HELLO: &[u8] = &[22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];

fn sent() -> impl Strategy<Value = Sent> {
    const ACK: u8 = TcpFlags::ACK;
    let flags = prop_oneof![
        6 => Just(ACK),
        1 => Just(TcpFlags::SYN),
        1 => Just(TcpFlags::SYN | ACK),
        1 => Just(TcpFlags::RST),
        1 => Just(TcpFlags::FIN | ACK)
    ];
    let payload = prop_oneof![
        3 => Just(&b""[..]),
        3 => Just(&[23, 3, 3, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]),
        1 => Just(&b"x"[..]),
        1 => Just(&b"GET /crl HTTP/1.1\r\nHost: a\r\n\r\n"[..]),
        1 => Just(&b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"[..]),
        1 => Just(HELLO),
        1 => Just(&[22, 3, 3, 0, 9, 2, 0, 0, 5][..]),
        1 => Just(&[21, 3, 3, 0, 2, 2, 40][..]),
    ];
    (40_000_u16..40_003, any::<bool>(), flags, payload).prop_map(|(port, from_client, flags, payload)| Sent {
        port,
        from_client,
        flags,
        payload,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// The kernel filters packets of which many lie in the ring before they are looked at.
    #[test]
    fn whatever_is_kept_back_nothing_else_is_told(
        batches in prop::collection::vec((prop::collection::vec(sent(), 0..12), 1_i64..60), 1..14)
    ) {
        let map = Arc::new(BypassMap::apart());
        let mut bypass = Map { listing: true, ..Map::new(Arc::clone(&map)) };
        let (mut all, mut some) = (Follower::new(), Follower::new());
        let (mut no, mut now) = (0, Stamp::from_secs(1_000));
        for (batch, millis) in batches {
            let mut ring = Vec::new();
            for sent in &batch {
                (no, now) = (no + 1, now + Span::from_millis(millis));
                // An answer's head passes, and takes nothing out of the map.
                if !map.meets(&sent.key(), sent.tells()) || sent.payload.starts_with(b"H") {
                    ring.push((sent, (no, now)));
                }
                all.takes(sent, (no, now), |_, _, _| {});
            }
            for (sent, at) in ring {
                some.takes(sent, at, |packet, frame, shard| {
                    bypass.sample.hurry();
                    bypass.sees(packet, frame, shard);
                });
            }
            bypass.publish(Span(now.0));
            bypass.note(Span(now.0), now);
            prop_assert_eq!(some.told(now), all.told(now));
        }
    }
}

/// A connection that is known to nobody, and what it is looked at with.
fn quiet() -> Sent {
    Sent { port: 40_000, from_client: true, flags: TcpFlags::ACK, payload: b"x" }
}

struct Bench {
    map: Arc<BypassMap>,
    bypass: Map,
    follower: Follower,
    elapsed: Span,
    now: Stamp,
    no: u64,
}

impl Bench {
    fn new() -> Self {
        let map = Arc::new(BypassMap::apart());
        let (elapsed, now) = (Span::from_secs(7), Stamp::from_secs(1_000));
        let bypass = Map { listing: true, ..Map::new(Arc::clone(&map)) };
        Self { map, bypass, follower: Follower::new(), elapsed, now, no: 0 }
    }

    /// Time passes, and a number is published.
    fn passes(&mut self, span: Span) {
        (self.elapsed, self.now) = (Span(self.elapsed.0 + span.0), self.now + span);
        self.bypass.publish(self.elapsed);
        self.bypass.note(self.elapsed, self.now);
    }

    /// A packet comes; whether it was kept back.
    fn comes(&mut self, sent: &Sent) -> bool {
        let kept = self.map.meets(&sent.key(), sent.tells());
        if !kept {
            self.no += 1;
            let bypass = &mut self.bypass;
            self.follower
                .takes(sent, (self.no, self.now), |packet, frame, shard| bypass.sees(packet, frame, shard));
        }
        kept
    }

    /// Of so many quiet packets, as many are kept back.
    fn kept_of(&mut self, count: usize) -> usize {
        (0..count).filter(|_| self.comes(&quiet())).count()
    }

    /// One whose packets are kept back.
    fn with_one() -> Self {
        let mut bench = Self::new();
        bench.passes(Span::from_millis(20));
        bench.passes(Span::from_millis(20));
        assert!((80..100).contains(&bench.kept_of(100)));
        bench
    }
}

#[test]
fn what_is_none_of_ours_is_kept_back_within_some_packets_and_counted_as_one() {
    let bench = Bench::with_one();
    assert_eq!(bench.bypass.told().connections, 1);
}

#[test]
fn what_begins_where_the_kernel_does_not_look_is_taken_out() {
    let mut bench = Bench::with_one();
    let syn = Sent { flags: TcpFlags::SYN, payload: b"", ..quiet() };
    // Two tags: passed, and not looked into.
    let data = syn.frame();
    let tagged = [&data[..12], &[0x81, 0, 0, 5, 0x81, 0, 0, 6], &data[12..]].concat();
    let wire_len = u32::try_from(tagged.len()).unwrap();
    let packet = Packet::Segment(Plain::of(&data).unwrap().segment());
    let frame =
        Frame { no: PacketNo(9), stamp: bench.now, link: LinkType::ETHERNET, data: &tagged, wire_len };
    bench.bypass.sees(&packet, &frame, &bench.follower.0);
    bench.follower.0.packet(&packet, frame.no, frame.stamp, frame.stamp);
    assert_eq!(bench.kept_of(100), 0);
}

#[test]
fn where_none_is_to_be_listed_all_pass_before_long() {
    let mut bench = Bench::with_one();
    bench.bypass.listing = false;
    assert!(bench.kept_of(9) > 0, "its entry holds on");
    bench.passes(Span::from_millis(BypassMap::EPOCH.cast_signed()));
    assert_eq!(bench.kept_of(100), 0);
}

#[test]
fn an_attempt_is_never_kept_back_nor_what_lies_in_the_ring_behind_a_syn() {
    let mut bench = Bench::with_one();
    let syn = Sent { flags: TcpFlags::SYN, payload: b"", ..quiet() };
    assert!(!bench.comes(&syn));
    bench.passes(Span::from_millis(20));
    bench.passes(Span::from_millis(20));
    assert_eq!(bench.kept_of(100), 0);
    // Over, and begun anew by a SYN that was captured and is not looked at yet.
    let mut bench = Bench::with_one();
    assert!(!bench.map.meets(&syn.key(), true));
    assert_eq!(bench.kept_of(100), 0);
    bench.passes(Span::from_millis(9));
    assert_eq!(bench.kept_of(100), 0, "it may have been stamped before the number was published");
}

#[test]
fn an_entry_ends_with_its_epoch_and_its_connection_is_soon_listed_again() {
    let mut bench = Bench::with_one();
    let epoch = Span::from_millis(BypassMap::EPOCH.cast_signed());
    bench.passes(epoch);
    bench.passes(Span::from_millis(20));
    assert!(!bench.comes(&quiet()));
    assert!((80..99).contains(&bench.kept_of(99)));
    assert_eq!(bench.bypass.told().connections, 1);
    bench.passes(epoch);
    bench.passes(epoch);
    assert_eq!(bench.bypass.told().connections, 0);
}

#[test]
fn where_all_is_forgotten_nothing_is_kept_back_until_it_is_listed_again() {
    let mut bench = Bench::with_one();
    bench.bypass.let_all_pass();
    bench.passes(Span::from_millis(20));
    assert!(!bench.comes(&quiet()));
    bench.passes(Span::from_millis(20));
    assert!((80..99).contains(&bench.kept_of(99)));
}

#[test]
fn where_the_clock_was_set_nothing_is_listed_for_a_moment_whose_mark_may_be_newer() {
    for step in [Span::from_secs(-3_600), Span::from_secs(3_600)] {
        let mut bench = Bench::with_one();
        assert!(!bench.map.meets(&quiet().key(), true));
        bench.now = bench.now + step;
        for _ in 0..19 {
            bench.passes(Span::from_millis(100));
            assert_eq!(bench.kept_of(20), 0);
        }
        for _ in 0..4 {
            bench.passes(Span::from_millis(100));
        }
        assert!(bench.kept_of(20) > 0);
    }
}
