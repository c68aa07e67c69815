//! A connection that has carried no byte yet, in few bytes.
//!
//! Most connections that are open at any moment are idle from their first packet on (SYNs of a flood, connections that a
//! browser opens in store). Of such a one there is nothing to know but its SYN, its SYN/ACK and its first
//! acknowledgment. They are kept as they came, and given to an [`Attempt`] as soon as anything else comes, so that
//! both ways lead to the same facts.

mod idle;

pub use self::idle::Idle;

use super::attempt::Attempt;
use super::attempt::opened::Syn;
use crate::base::{Direction, Endpoint, FlowKey, Limits, PacketNo, PerSide, Side, Span, Stamp};
use crate::decode::{Hop, Segment, TcpFlags, TcpOptions};

/// What of a connection was seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// A SYN.
    Asked,
    /// Its SYN/ACK.
    Answered,
    /// The acknowledgment of that.
    Established,
}

/// When a packet came, as distances from the first.
#[derive(Clone, Copy, Debug, Default)]
struct Later {
    packets: u32,
    micros: u32,
}

/// The first packets of a connection without a byte, in 64 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// The SYN.
    pub first: PacketNo,
    /// Its stamp.
    pub started: Stamp,
    /// Sequence numbers of SYN and SYN/ACK.
    seq: PerSide<u32>,
    answer: Later,
    acknowledgment: Later,
    /// What the capture's clock was ahead of the first stamp at the latest packet.
    clock: u32,
    /// The greatest segment that each side takes; 0 where it did not say.
    mss: PerSide<u16>,
    link: PerSide<[u8; 6]>,
    ttl: PerSide<u8>,
    reached: Reached,
    marks: u8,
}

/// The client's end of the flow key is the lower one.
const CLIENT_IS_LOW: u8 = 1;
/// The SYN carried timestamps or permitted selective acknowledgments.
const RICH: u8 = 2;
/// The link of the client has addresses, and that of the server.
const LINKED: PerSide<u8> = PerSide { client: 4, server: 8 };

/// Whether a segment has just these of SYN, ACK, FIN and RST, and carries nothing.
fn is_bare(segment: &Segment<'_>, flags: u8) -> bool {
    let told = TcpFlags::SYN | TcpFlags::ACK | TcpFlags::FIN | TcpFlags::RST;
    segment.flags.0 & told == flags && segment.payload_wire_len == 0
}

impl Opening {
    /// Begins with a SYN; `None` where it is not a plain one.
    pub fn new(
        segment: &Segment<'_>,
        client_sends: Direction,
        no: PacketNo,
        stamp: Stamp,
        now: Stamp,
    ) -> Option<Self> {
        let options = &segment.options;
        let rich = options.timestamp.is_some() || options.sack_permitted;
        let mut opening = Self {
            first: no,
            started: stamp,
            seq: PerSide::default(),
            answer: Later::default(),
            acknowledgment: Later::default(),
            clock: u32::try_from((now - stamp).0).ok()?,
            mss: PerSide::default(),
            link: PerSide::default(),
            ttl: PerSide::default(),
            reached: Reached::Asked,
            marks: if client_sends == Direction::LowToHigh { CLIENT_IS_LOW } else { 0 }
                | if rich { RICH } else { 0 },
        };
        (is_bare(segment, TcpFlags::SYN) && opening.note_sender(segment, Side::Client)).then_some(opening)
    }

    /// Notes who sent a SYN or a SYN/ACK; `false` where that cannot be kept.
    fn note_sender(&mut self, segment: &Segment<'_>, from: Side) -> bool {
        *self.seq.of_mut(from) = segment.seq;
        *self.mss.of_mut(from) = segment.options.mss.unwrap_or(0);
        *self.ttl.of_mut(from) = segment.hop.ttl;
        *self.link.of_mut(from) = segment.hop.link_src.unwrap_or_default();
        if segment.hop.link_src.is_some() {
            self.marks |= LINKED.of(from);
        }
        segment.options.mss != Some(0)
    }

    fn link(&self, of: Side) -> Option<[u8; 6]> {
        (self.marks & LINKED.of(of) != 0).then_some(*self.link.of(of))
    }

    /// Takes the packet that was to come next; `false` where it is another, of which an [`Attempt`] can tell more.
    pub fn take(
        &mut self,
        segment: &Segment<'_>,
        from: Direction,
        no: PacketNo,
        stamp: Stamp,
        now: Stamp,
    ) -> bool {
        let (Ok(packets), Ok(micros), Ok(clock)) = (
            u32::try_from(no.0.wrapping_sub(self.first.0)),
            u32::try_from((stamp - self.started).0),
            u32::try_from((now - self.started).0),
        ) else {
            return false;
        };
        let later = Later { packets, micros };
        let asked = self.seq.client.wrapping_add(1);
        let from_client = from == self.client_sends();
        match self.reached {
            Reached::Asked
                if !from_client
                    && is_bare(segment, TcpFlags::SYN | TcpFlags::ACK)
                    && segment.ack == asked
                    && segment.options.mss != Some(0) =>
            {
                self.note_sender(segment, Side::Server);
                self.answer = later;
                self.reached = Reached::Answered;
            }
            Reached::Answered
                if from_client
                    && is_bare(segment, TcpFlags::ACK)
                    && segment.seq == asked
                    && segment.ack == self.seq.server.wrapping_add(1)
                    && segment.hop.ttl == self.ttl.client
                    && segment.hop.link_src == self.link(Side::Client)
                    && segment.options.sack.is_none() =>
            {
                self.acknowledgment = later;
                self.reached = Reached::Established;
            }
            _ => return false,
        }
        self.clock = clock;
        true
    }

    /// What was seen so far.
    pub fn reached(&self) -> Reached {
        self.reached
    }

    /// The latest packet.
    pub fn last(&self) -> PacketNo {
        PacketNo(self.first.0 + u64::from(self.answer.packets.max(self.acknowledgment.packets)))
    }

    /// It is given up when this passes; as an attempt's.
    pub fn deadline(&self, limits: &Limits) -> Stamp {
        self.clock() + Self::patience(self.reached, limits)
    }

    /// How long to wait for the next packet.
    pub fn patience(reached: Reached, limits: &Limits) -> Span {
        match reached {
            Reached::Asked => limits.syn_answer,
            Reached::Answered => limits.stall,
            Reached::Established => limits.idle,
        }
    }

    /// Client and server of the connection with this key.
    pub fn ends(&self, key: &FlowKey) -> (Endpoint, Endpoint) {
        match self.client_sends() {
            Direction::LowToHigh => (key.low, key.high),
            Direction::HighToLow => (key.high, key.low),
        }
    }

    /// Goes on as an attempt, which knows all that was seen.
    pub fn into_attempt(self, key: &FlowKey, tls_port: bool, limits: &Limits) -> Attempt {
        let mut attempt = self.attempt(key, tls_port);
        self.tell(&mut attempt, limits);
        attempt
    }

    /// An attempt that knows nothing of it yet but its first packet.
    #[inline]
    pub fn attempt(&self, key: &FlowKey, tls_port: bool) -> Attempt {
        let (client, server) = self.ends(key);
        Attempt::new(client, server, self.client_sends(), tls_port, self.first, self.started)
    }

    /// Tells such an attempt all that was seen.
    pub fn tell(&self, attempt: &mut Attempt, limits: &Limits) {
        attempt.was_asked(&self.syn(Side::Client, Later::default()), self.marks & RICH != 0);
        if self.reached >= Reached::Answered {
            attempt.was_answered(&self.syn(Side::Server, self.answer));
        }
        if self.reached == Reached::Established {
            let (no, when) = self.when(self.acknowledgment);
            attempt.was_established(no, when);
        }
        attempt.deadline = self.deadline(limits);
    }

    /// The SYN or the SYN/ACK.
    fn syn(&self, from: Side, later: Later) -> Syn {
        let (no, when) = self.when(later);
        let mss = Some(*self.mss.of(from)).filter(|&mss| mss != 0);
        Syn { seq: *self.seq.of(from), no, when, sender: (*self.ttl.of(from), self.link(from)), mss }
    }

    /// One of its packets as it was seen, as far as an attempt reads it.
    fn segment(&self, key: &FlowKey, from: Side, flags: u8, seq: u32, ack: u32) -> Segment<'static> {
        let (client, server) = self.ends(key);
        let (src, dst) = if from == Side::Client { (client, server) } else { (server, client) };
        let (ttl, link_src) = (*self.ttl.of(from), self.link(from));
        Segment {
            hop: Hop { src: src.addr, dst: dst.addr, ttl, link_src, ..Hop::default() },
            src_port: src.port,
            dst_port: dst.port,
            seq,
            ack,
            flags: TcpFlags(flags),
            window: 0,
            options: TcpOptions::default(),
            payload: &[],
            payload_wire_len: 0,
        }
    }

    /// The number and the stamp of a packet.
    fn when(&self, later: Later) -> (PacketNo, Stamp) {
        (PacketNo(self.first.0 + u64::from(later.packets)), self.started + Span(later.micros.into()))
    }

    fn clock(&self) -> Stamp {
        self.started + Span(self.clock.into())
    }

    fn client_sends(&self) -> Direction {
        if self.marks & CLIENT_IS_LOW != 0 { Direction::LowToHigh } else { Direction::HighToLow }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Parses;
    use super::*;
    use crate::base::Addr;

    const CLIENT: Endpoint = Endpoint { addr: Addr::v4([192, 0, 2, 1]), port: 40_000 };
    const SERVER: Endpoint = Endpoint { addr: Addr::v4([198, 51, 100, 2]), port: 443 };

    /// A segment with what a SYN of today carries.
    fn bare(from: Side, seq: u32, ack: u32, flags: u8) -> Segment<'static> {
        let (src, dst, ttl) = if from == Side::Client { (CLIENT, SERVER, 63) } else { (SERVER, CLIENT, 54) };
        let link_src = Some([ttl; 6]);
        let hop = Hop { src: src.addr, dst: dst.addr, ttl, ip_id: Some(9), dont_fragment: true, link_src };
        let options = TcpOptions {
            timestamp: Some((1, 2)),
            mss: Some(1_460).filter(|_| flags & TcpFlags::SYN != 0),
            sack_permitted: flags & TcpFlags::SYN != 0,
            sack: None,
            any: true,
        };
        Segment {
            hop,
            src_port: src.port,
            dst_port: dst.port,
            seq,
            ack,
            flags: TcpFlags(flags),
            window: 7,
            options,
            payload: &[],
            payload_wire_len: 0,
        }
    }

    fn begun() -> [(Side, Segment<'static>); 3] {
        let syn_ack = TcpFlags::SYN | TcpFlags::ACK;
        [
            (Side::Client, bare(Side::Client, 100, 0, TcpFlags::SYN)),
            (Side::Server, bare(Side::Server, 500, 101, syn_ack)),
            (Side::Client, bare(Side::Client, 101, 501, TcpFlags::ACK)),
        ]
    }

    fn direction(from: Side, client_sends: Direction) -> Direction {
        match (from, client_sends) {
            (Side::Client, sends) => sends,
            (Side::Server, Direction::LowToHigh) => Direction::HighToLow,
            (Side::Server, Direction::HighToLow) => Direction::LowToHigh,
        }
    }

    /// Packets and their stamps; the capture's clock is 5 µs ahead.
    fn place(n: i64) -> (PacketNo, Stamp, Stamp) {
        (PacketNo(20 + n.cast_unsigned()), Stamp(1_000 + n * 300), Stamp(1_005 + n * 300))
    }

    #[test]
    fn a_connection_without_a_byte_takes_64_bytes() {
        assert_eq!(size_of::<Option<Opening>>(), 64);
    }

    #[test]
    fn what_an_opening_becomes_knows_what_an_attempt_from_the_start_knows() {
        let (limits, mut parser) = (Limits::default(), Parses);
        let (key, sends) = FlowKey::of(CLIENT, SERVER);
        for came in 1..=3 {
            let mut attempt = Attempt::new(CLIENT, SERVER, sends, true, place(0).0, place(0).1);
            let mut opening = None::<Opening>;
            for ((from, segment), n) in begun().iter().take(came).zip(0..) {
                let (no, stamp, now) = place(n);
                attempt.segment(segment, *from, no, stamp, now, &limits, &mut parser);
                match &mut opening {
                    None => opening = Opening::new(segment, sends, no, stamp, now),
                    Some(opening) => assert!(opening.take(segment, direction(*from, sends), no, stamp, now)),
                }
            }
            let opening = opening.unwrap();
            assert_eq!(opening.last(), attempt.evidence.last);
            assert_eq!(opening.deadline(&limits), attempt.deadline);
            let later = opening.into_attempt(&key, true, &limits);
            assert_eq!(format!("{later:?}"), format!("{attempt:?}"), "after {came} packets");
        }
    }

    #[test]
    fn anything_but_the_next_plain_packet_is_left_to_an_attempt() {
        let (_, sends) = FlowKey::of(CLIENT, SERVER);
        let [(_, syn), (_, syn_ack), (_, ack)] = begun();
        let (no, stamp, now) = place(0);
        let with_data = Segment { payload: b"x", payload_wire_len: 1, ..syn };
        assert!(Opening::new(&with_data, sends, no, stamp, now).is_none());
        let mut opening = Opening::new(&syn, sends, no, stamp, now).unwrap();
        let mut takes = |segment: &Segment<'_>, from, stamp| {
            opening.take(segment, direction(from, sends), PacketNo(30), stamp, Stamp(9_000))
        };
        let later = Stamp(2_000);
        assert!(!takes(&syn, Side::Client, later), "sent again");
        assert!(!takes(&Segment { ack: 7, ..syn_ack }, Side::Server, later), "answers another SYN");
        assert!(!takes(&syn_ack, Side::Server, Stamp(10)), "the clock stepped back");
        assert!(takes(&syn_ack, Side::Server, later));
        let elsewhere = Segment { hop: Hop { ttl: 62, ..ack.hop }, ..ack };
        assert!(!takes(&elsewhere, Side::Client, later), "captured on both sides of a router");
        assert!(!takes(&Segment { seq: 100, ..ack }, Side::Client, later), "keeps it alive");
        assert!(takes(&ack, Side::Client, later));
        assert!(!takes(&ack, Side::Client, later), "once more");
    }
}
