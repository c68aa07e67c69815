//! A connection on which nothing goes on, in few bytes: it is set up, the client has perhaps sent its hello, and since then
//! both sides said no more than that they are there.
//!
//! As with an [`Opening`], packets are kept as they came: the hello by its bytes, of acknowledgments that say the same the
//! latest of each side and how many there were. An [`Attempt`] is made of them as soon as anything else comes.

use super::{Later, Opening, Reached, is_bare};
use crate::base::{Direction, Endpoint, FlowKey, Limits, PacketNo, PerSide, Side, Stamp};
use crate::decode::{Segment, TcpFlags, TcpOptions};
use crate::evidence::attempt::{Attempt, Parse};
use crate::tls::record::starts_tls;

/// The latest of the acknowledgments of one side that say the same.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    last: Later,
    /// Value of its timestamp (RFC 7323).
    clock: u32,
    /// Its IPv4 identification.
    ip_id: u16,
    /// How many there were.
    packets: u16,
}

/// A connection on which nothing goes on, in two cache lines and what the client said.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Idle {
    opening: Opening,
    /// The client's hello, without the zeros at its end; empty where it said nothing.
    said: Box<[u8]>,
    said_at: Later,
    /// Value of its timestamp.
    said_clock: u32,
    zeros: u16,
    heard: PerSide<Heard>,
    marks: u8,
}

/// The latest packet of each side has an IPv4 identification.
const IP_ID: PerSide<u8> = PerSide { client: 1, server: 2 };
/// The same for a timestamp.
const CLOCK: PerSide<u8> = PerSide { client: 4, server: 8 };
/// The hello has a timestamp.
const SAID_CLOCK: u8 = 16;

/// Whether a payload is a ClientHello alone in its record, or the beginning of one, as far as lengths tell.
fn is_hello(payload: &[u8]) -> bool {
    let &[22, 3, _, r0, r1, 1, m0, m1, m2, _, ..] = payload else { return false };
    let record = usize::from(u16::from_be_bytes([r0, r1]));
    let message = u32::from_be_bytes([0, m0, m1, m2]) as usize;
    starts_tls(payload, Side::Client) == Some(true) && record == message + 4 && payload.len() <= record + 5
}

impl Idle {
    /// Bytes of a hello kept at most. A segment of a path without jumbo frames has less.
    const MOST: usize = 1 << 11;

    /// An established connection on which a packet comes that leaves it idle; `None` where it does not.
    pub fn of(
        opening: &Opening,
        segment: &Segment<'_>,
        from: Direction,
        no: PacketNo,
        stamp: Stamp,
        now: Stamp,
    ) -> Option<Self> {
        if opening.reached != Reached::Established {
            return None;
        }
        let mut idle = Self {
            opening: *opening,
            said: Box::default(),
            said_at: Later::default(),
            said_clock: 0,
            zeros: 0,
            heard: PerSide::default(),
            marks: 0,
        };
        let stays = idle.greet(segment, from, no, stamp, now) || idle.take(segment, from, no, stamp, now);
        stays.then_some(idle)
    }

    /// Whether the client has said anything.
    pub fn is_greeted(&self) -> bool {
        !self.said.is_empty()
    }

    /// Takes a packet that says no more than that its sender is there; `false` where it says more.
    pub fn take(
        &mut self,
        segment: &Segment<'_>,
        from: Direction,
        no: PacketNo,
        stamp: Stamp,
        now: Stamp,
    ) -> bool {
        let side = self.side(from);
        if !is_bare(segment, TcpFlags::ACK) || !self.is_in_place(segment, side) {
            return false;
        }
        let Some((last, clock)) = self.later(no, stamp, now) else { return false };
        let heard = self.heard.of_mut(side);
        let Some(packets) = heard.packets.checked_add(1) else { return false };
        (heard.last, heard.packets) = (last, packets);
        self.opening.clock = clock;
        self.note(segment, side);
        true
    }

    /// Takes the client's hello, where it is the first that is said and lies whole in the capture.
    fn greet(
        &mut self,
        segment: &Segment<'_>,
        from: Direction,
        no: PacketNo,
        stamp: Stamp,
        now: Stamp,
    ) -> bool {
        const FLAGS: u8 = TcpFlags::SYN | TcpFlags::ACK | TcpFlags::FIN | TcpFlags::RST;
        let payload = segment.payload;
        if self.side(from) != Side::Client
            || segment.flags.0 & FLAGS != TcpFlags::ACK
            || payload.len() != segment.payload_wire_len as usize
            || payload.len() > Self::MOST
            || !is_hello(payload)
            || !self.is_in_place(segment, Side::Client)
        {
            return false;
        }
        let Some((at, clock)) = self.later(no, stamp, now) else { return false };
        let end = payload.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let Some((said, zeros)) = payload.split_at_checked(end) else { return false };
        let Ok(zeros) = u16::try_from(zeros.len()) else { return false };
        (self.said, self.zeros, self.said_at) = (said.into(), zeros, at);
        if let Some((value, _)) = segment.options.timestamp {
            self.said_clock = value;
            self.marks |= SAID_CLOCK;
        }
        self.opening.clock = clock;
        self.note(segment, Side::Client);
        true
    }

    /// Keeps what an attempt knows of the latest packet of a side.
    fn note(&mut self, segment: &Segment<'_>, side: Side) {
        let heard = self.heard.of_mut(side);
        self.marks &= !(IP_ID.of(side) | CLOCK.of(side));
        if let Some(ip_id) = segment.hop.ip_id {
            heard.ip_id = ip_id;
            self.marks |= IP_ID.of(side);
        }
        if let Some((value, _)) = segment.options.timestamp {
            heard.clock = value;
            self.marks |= CLOCK.of(side);
        }
    }

    /// Whether a segment stands where both sides are, and came the way that its sender's came before.
    fn is_in_place(&self, segment: &Segment<'_>, side: Side) -> bool {
        let PerSide { client, server } = self.stand();
        let (seq, ack) = if side == Side::Client { (client, server) } else { (server, client) };
        segment.seq == seq
            && segment.ack == ack
            && segment.hop.ttl == *self.opening.ttl.of(side)
            && segment.hop.link_src == self.opening.link(side)
            && segment.options.sack.is_none()
    }

    /// Sequence numbers of the next bytes.
    fn stand(&self) -> PerSide<u32> {
        #[expect(clippy::cast_possible_truncation, reason = "at most `MOST`")]
        let said = self.said.len() as u32 + u32::from(self.zeros);
        let seq = &self.opening.seq;
        PerSide { client: seq.client.wrapping_add(1).wrapping_add(said), server: seq.server.wrapping_add(1) }
    }

    fn side(&self, from: Direction) -> Side {
        if from == self.opening.client_sends() { Side::Client } else { Side::Server }
    }

    /// A packet's place behind the first one, and what the capture's clock is ahead of that; `None` where it is too far.
    fn later(&self, no: PacketNo, stamp: Stamp, now: Stamp) -> Option<(Later, u32)> {
        let packets = u32::try_from(no.0.wrapping_sub(self.opening.first.0)).ok()?;
        let micros = u32::try_from((stamp - self.opening.started).0).ok()?;
        Some((Later { packets, micros }, u32::try_from((now - self.opening.started).0).ok()?))
    }

    /// The first packet.
    pub fn first(&self) -> PacketNo {
        self.opening.first
    }

    /// Client and server of the connection with this key.
    pub fn ends(&self, key: &FlowKey) -> (Endpoint, Endpoint) {
        self.opening.ends(key)
    }

    /// It is given up when this passes; as an attempt's.
    pub fn deadline(&self, limits: &Limits) -> Stamp {
        self.opening.clock() + if self.is_greeted() { limits.stall } else { limits.idle }
    }

    /// Goes on as an attempt, which knows all that was seen.
    pub fn into_attempt(
        self,
        key: &FlowKey,
        tls_port: bool,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> Attempt {
        let stand = self.stand();
        let Self { opening, said, said_at, said_clock, zeros, heard, marks } = self;
        let mut attempt = opening.into_attempt(key, tls_port, limits);
        let mut take = |attempt: &mut Attempt, segment: &Segment<'_>, from, no, stamp| {
            attempt.segment(segment, from, no, stamp, opening.clock(), limits, parser);
        };
        let has = |mark: u8| marks & mark != 0;
        let begun = |from: Side, seq, ack, clock: Option<u32>| {
            let mut segment = opening.segment(key, from, TcpFlags::ACK, seq, ack);
            segment.hop.ip_id = Some(heard.of(from).ip_id).filter(|_| has(*IP_ID.of(from)));
            segment.options = TcpOptions { timestamp: clock.map(|value| (value, 0)), ..<_>::default() };
            segment
        };
        if !said.is_empty() {
            let whole: Vec<u8> = [&*said, &vec![0; zeros.into()]].concat();
            let clock = Some(said_clock).filter(|_| has(SAID_CLOCK));
            let asked = opening.seq.client.wrapping_add(1);
            let mut segment = begun(Side::Client, asked, stand.server, clock);
            (segment.payload, segment.payload_wire_len) = (&whole, stand.client.wrapping_sub(asked));
            let (no, stamp) = opening.when(said_at);
            take(&mut attempt, &segment, Side::Client, no, stamp);
        }
        let mut sides = [Side::Client, Side::Server];
        sides.sort_unstable_by_key(|&side| heard.of(side).last.packets);
        for from in sides {
            let Heard { last, clock, packets, .. } = *heard.of(from);
            let Some(others) = packets.checked_sub(1) else { continue };
            let (seq, ack) = match from {
                Side::Client => (stand.client, stand.server),
                Side::Server => (stand.server, stand.client),
            };
            let segment = begun(from, seq, ack, Some(clock).filter(|_| has(*CLOCK.of(from))));
            let (no, stamp) = opening.when(last);
            take(&mut attempt, &segment, from, no, stamp);
            *attempt.evidence.tcp.packets.of_mut(from) += u32::from(others);
        }
        attempt
    }
}

#[cfg(test)]
mod tests;
