use super::super::super::fixture::Parses;
use super::*;
use crate::base::{Addr, Span};
use crate::decode::Hop;

const CLIENT: Endpoint = Endpoint { addr: Addr::v4([192, 0, 2, 1]), port: 40_000 };
const SERVER: Endpoint = Endpoint { addr: Addr::v4([198, 51, 100, 2]), port: 443 };
const SYN: u8 = TcpFlags::SYN;
const ACK: u8 = TcpFlags::ACK;
/// As many bytes as [`hello`] has.
const SAID: u32 = 57;

/// The beginning of a hello in a record longer than any.
const LONG: [u8; 10] = [22, 3, 1, 0xff, 0xff, 1, 0, 0xff, 0xfb, 3];

/// A ClientHello that ends with zeros.
fn hello() -> Vec<u8> {
    let mut hello = vec![22, 3, 1, 0, 52, 1, 0, 0, 48, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 1, 1, 0, 0, 5, 0x33, 0x33, 0, 0, 0]);
    assert_eq!(hello.len(), SAID as usize);
    hello
}

fn segment(from: Side, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Segment<'_> {
    let (src, dst, ttl) = if from == Side::Client { (CLIENT, SERVER, 63) } else { (SERVER, CLIENT, 54) };
    Segment {
        hop: Hop { src: src.addr, dst: dst.addr, ttl, link_src: Some([ttl; 6]), ..Hop::default() },
        src_port: src.port,
        dst_port: dst.port,
        seq,
        ack,
        flags: TcpFlags(flags),
        window: 7,
        options: TcpOptions { mss: Some(1_460).filter(|_| flags & SYN != 0), ..TcpOptions::default() },
        payload,
        payload_wire_len: u32::try_from(payload.len()).unwrap(),
    }
}

/// The bare acknowledgment of one side; the client has said `said` bytes.
fn there(from: Side, said: u32) -> Segment<'static> {
    match from {
        Side::Client => segment(from, 101 + said, 501, ACK, &[]),
        Side::Server => segment(from, 501, 101 + said, ACK, &[]),
    }
}

/// The packets so far, kept whole by an attempt from the start and in few bytes beside it.
struct Both {
    attempt: Attempt,
    opening: Opening,
    idle: Option<Idle>,
    no: u64,
    at: Stamp,
}

impl Both {
    fn established() -> Self {
        let at = Stamp(1_000_000);
        let syn = segment(Side::Client, 100, 0, SYN, &[]);
        let (_, sends) = FlowKey::of(CLIENT, SERVER);
        let attempt = Attempt::new(CLIENT, SERVER, sends, true, PacketNo(9), at);
        let opening = Opening::new(&syn, sends, PacketNo(9), at, at).unwrap();
        let mut both = Self { attempt, opening, idle: None, no: 9, at };
        both.feed(&syn, Side::Client);
        for (from, segment) in [
            (Side::Server, segment(Side::Server, 500, 101, SYN | ACK, &[])),
            (Side::Client, there(Side::Client, 0)),
        ] {
            both.later(3, 20_000);
            both.feed(&segment, from);
            assert!(both.opening.take(&segment, direction(from), PacketNo(both.no), both.at, both.at));
        }
        both
    }

    fn later(&mut self, packets: u64, micros: i64) {
        self.no += packets;
        self.at = self.at + Span(micros);
    }

    fn feed(&mut self, segment: &Segment<'_>, from: Side) {
        let (no, at) = (PacketNo(self.no), self.at);
        self.attempt.segment(segment, from, no, at, at, &Limits::default(), &mut Parses);
    }

    /// Whether a packet leaves it idle; if so, the attempt takes it as well.
    fn takes(&mut self, segment: &Segment<'_>, from: Side) -> bool {
        let (no, at, way) = (PacketNo(self.no), self.at, direction(from));
        let stays = match &mut self.idle {
            Some(idle) => idle.take(segment, way, no, at, at),
            none => {
                *none = Idle::of(&self.opening, segment, way, no, at, at);
                none.is_some()
            }
        };
        if stays {
            self.feed(segment, from);
        }
        stays
    }

    /// What both ways know.
    fn known(self) -> [String; 2] {
        let (key, _) = FlowKey::of(CLIENT, SERVER);
        let later = match self.idle {
            Some(idle) => idle.into_attempt(&key, true, &Limits::default(), &mut Parses),
            None => self.opening.into_attempt(&key, true, &Limits::default()),
        };
        [self.attempt, later].map(|attempt| format!("{attempt:?}"))
    }
}

fn direction(from: Side) -> Direction {
    let (_, sends) = FlowKey::of(CLIENT, SERVER);
    if from == Side::Client { sends } else { sends.opposite() }
}

#[test]
fn an_idle_connection_takes_128_bytes() {
    assert_eq!(size_of::<Option<Idle>>(), 128);
}

#[test]
fn what_an_idle_connection_becomes_knows_what_an_attempt_from_the_start_knows() {
    let step = (proptest::prelude::any::<bool>(), 1_u64..500, 0_i64..40_000_000, 0_u32..4);
    let steps = proptest::collection::vec(step, 0..12);
    proptest::proptest!(|(greets in proptest::prelude::any::<bool>(), steps in steps)| {
        let (hello, mut both) = (hello(), Both::established());
        let mut said = 0;
        let add = |segment: &mut Segment<'_>, what: u32, n: u16| {
            segment.hop.ip_id = Some(n).filter(|_| what & 1 != 0);
            segment.options.timestamp = Some((7_000 + u32::from(n), 3)).filter(|_| what & 2 != 0);
        };
        if greets {
            both.later(1, 5_000_000);
            let mut hello = segment(Side::Client, 101, 501, ACK | 8, &hello);
            add(&mut hello, 3, 1);
            proptest::prop_assert!(both.takes(&hello, Side::Client));
            said = SAID;
        }
        for ((client, packets, micros, what), n) in steps.into_iter().zip(2..) {
            both.later(packets, micros);
            let from = if client { Side::Client } else { Side::Server };
            let mut there = there(from, said);
            add(&mut there, what, n);
            proptest::prop_assert!(both.takes(&there, from));
        }
        if let Some(idle) = &both.idle {
            proptest::prop_assert_eq!(idle.deadline(&Limits::default()), both.attempt.deadline);
        }
        let [from_the_start, later] = both.known();
        proptest::prop_assert_eq!(from_the_start, later);
    });
}

#[test]
fn anything_else_is_left_to_an_attempt() {
    let hello = hello();
    let greeting = segment(Side::Client, 101, 501, ACK, &hello);
    let wakes = |greets: bool, from: Side, segment: &Segment<'_>| {
        let mut both = Both::established();
        both.later(1, 1_000);
        assert!(!greets || both.takes(&greeting, Side::Client));
        both.later(1, 1_000);
        !both.takes(segment, from)
    };
    let said = [&hello[..], b"x"].concat();
    for payload in
        [&hello[..9], &said, b"GET / HTTP/1.1\r\n\r\n", &LONG, &[23, 3, 3, 0, 52, 1, 0, 0, 48, 3, 3]]
    {
        assert!(wakes(false, Side::Client, &segment(Side::Client, 101, 501, ACK, payload)), "{payload:?}");
    }
    assert!(wakes(false, Side::Server, &segment(Side::Server, 501, 101, ACK, &hello)), "the server's");
    assert!(wakes(true, Side::Client, &greeting), "sent again");
    assert!(wakes(true, Side::Server, &there(Side::Server, 0)), "not acknowledged");
    for from in [Side::Client, Side::Server] {
        let there = there(from, SAID);
        assert!(!wakes(true, from, &there));
        assert!(wakes(true, from, &Segment { flags: TcpFlags(ACK | TcpFlags::FIN), ..there }));
        assert!(wakes(true, from, &Segment { flags: TcpFlags(TcpFlags::RST), ..there }));
        assert!(wakes(true, from, &Segment { seq: there.seq.wrapping_sub(1), ..there }), "keeps it alive");
        assert!(wakes(true, from, &Segment { hop: Hop { ttl: 9, ..there.hop }, ..there }), "another way");
    }
}

#[test]
fn a_hello_behind_probes_and_one_cut_by_the_capture_are_left_to_an_attempt() {
    let hello = hello();
    let greeting = segment(Side::Client, 101, 501, ACK, &hello);
    let mut both = Both::established();
    assert!(!both.takes(&Segment { payload_wire_len: SAID + 1, ..greeting }, Side::Client));
    assert!(both.takes(&there(Side::Server, 0), Side::Server));
    assert!(!both.takes(&greeting, Side::Client));
}
