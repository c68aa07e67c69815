//! An attempt over TCP while it runs: segments go in, facts with their packets are kept.
//!
//! A segment is first read for what it shows of the opening and the path (`opened`, `path`, `pauses`); its bytes go through a
//! reassembled stream to the record reader of their direction, or to the dialogue in clear before TLS (`clear`). What is read
//! means something by `messages`. Where there may be keys, sealed records wait for them (`waiting`), are opened one direction
//! each (`lane`, `unsealing`), and what they hold goes to `unsealed`; without keys their sizes alone are noted.

mod clear;
mod flights;
mod lane;
pub(super) mod messages;
pub(super) mod opened;
mod path;
mod pauses;
mod transcript;
pub(super) mod unsealed;
mod unsealing;
pub(super) mod waiting;

use std::sync::Arc;

use self::pauses::clock;
use self::transcript::Transcript;
use self::unsealing::Unsealing;
use super::upgrade::Dialogue;
use super::{Chain, Evidence, Trouble};
use crate::base::{
    Blank, Direction, Endpoint, Limits, PacketNo, PerSide, Rare, Seen, Side, Span, Stamp, boxed,
};
use crate::decode::Segment;
use crate::flow::stream::{Piece, Stream};
use crate::tls::cert::Certificate;
use crate::tls::codes::{HandshakeType, Version};
use crate::tls::hello::ClientHello;
use crate::tls::keys::Keys;
use crate::tls::record::{Inbound, Read, starts_tls};

/// Parses certificates and hellos, keeping those it has seen. Handed in, because it outlives every attempt.
pub trait Parse {
    /// The parsed certificate of these DER bytes.
    fn certificate(&mut self, der: &[u8]) -> Arc<Certificate>;

    /// The ClientHello of this body.
    fn client_hello(&mut self, record_version: Version, body: &[u8]) -> Option<ClientHello>;

    /// The key log, where one may hold something.
    fn keys(&self) -> Option<&Keys> {
        None
    }
}

/// What the shard should do with an attempt after a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Keep feeding it.
    Open,
    /// It is settled: close it now.
    Settled,
    /// The connection carries something else than TLS and never mattered: forget it.
    NotOurs,
}

/// How one direction is being read.
#[derive(Debug, Default)]
enum Reading {
    /// Nothing yet.
    #[default]
    Silent,
    /// In clear before TLS: a proxy's or an upgrade's prelude. Its first bytes are kept.
    Prelude,
    /// TLS records.
    Tls(Box<Inbound>),
    /// Bytes that are no TLS; its first bytes are kept.
    Other,
    /// The first bytes are missing: what comes behind them says nothing of the protocol unless it is TLS.
    Beheaded,
}

impl Blank for PerSide<Vec<u8>> {
    const BLANK: &'static Self = &Self { client: Vec::new(), server: Vec::new() };
}

/// One attempt to set up TLS while it runs.
#[derive(Debug)]
pub struct Attempt {
    /// The facts so far.
    pub evidence: Box<Evidence>,
    /// Which direction of the flow key is the client's.
    pub client_sends: Direction,
    /// It is settled one way or another when this passes.
    pub deadline: Stamp,
    streams: PerSide<Stream>,
    reading: PerSide<Reading>,
    /// First bytes in clear of each side, at most [`Attempt::FIRST`].
    first_bytes: Rare<PerSide<Vec<u8>>>,
    clear_segments: u32,
    dialogue: Dialogue,
    /// What a client's CertificateVerify will cover, while there may be one.
    transcript: Transcript,
    /// Sealed records and what opens them, where there may be keys.
    unsealing: Option<Box<Unsealing>>,
    tls_port: bool,
    ended_by_sign: bool,
    last_of: PerSide<Option<Stamp>>,
    /// IPv4 identification of each side's latest segment that is no reset, from the first byte on.
    ip_id: PerSide<Option<u16>>,
    /// Timestamp value of the same (RFC 7323).
    clock: PerSide<Option<u32>>,
    /// The latest segment that is no reset: who sent it, the byte it asks for, and its payload.
    latest: Option<(Side, u32, u32)>,
    /// The longest silence that bytes of the client ended since the server last spoke.
    paused: Span,
    /// The greatest offset at which each side's segments without payload stand.
    stands_at: PerSide<u64>,
}

impl Attempt {
    /// Bytes in clear kept of each side, to name a prelude or a plain-text peer.
    const FIRST: usize = 256;
    /// Client segments in clear after which no upgrade to TLS is awaited.
    const CLEAR_SEGMENTS: u32 = 64;
    /// Bytes of the client that may come in smaller segments.
    const CLEAR_BYTES: u64 = 2_048;

    /// Begins with the first segment seen. Its parts are written where it stays. `client` is who sent the SYN or the ClientHello.
    #[inline]
    pub fn new(
        client: Endpoint,
        server: Endpoint,
        client_sends: Direction,
        tls_port: bool,
        no: PacketNo,
        now: Stamp,
    ) -> Self {
        Self {
            evidence: boxed(|| Evidence::new(client, server, no, now)),
            client_sends,
            deadline: now,
            streams: PerSide { client: Stream::NEW, server: Stream::NEW },
            reading: PerSide { client: Reading::Silent, server: Reading::Silent },
            first_bytes: Rare::NEW,
            clear_segments: 0,
            dialogue: Dialogue::default(),
            transcript: Transcript::default(),
            unsealing: None,
            tls_port,
            ended_by_sign: false,
            last_of: PerSide { client: None, server: None },
            ip_id: PerSide { client: None, server: None },
            clock: PerSide { client: None, server: None },
            latest: None,
            paused: Span(0),
            stands_at: PerSide { client: 0, server: 0 },
        }
    }

    /// Takes one segment of the connection, captured at `now`; `clock` is capture time, which never steps
    /// back.
    #[inline(always)] // there is one place where segments come from
    #[expect(clippy::too_many_arguments, reason = "a segment with its place")]
    pub fn segment(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        no: PacketNo,
        now: Stamp,
        clock: Stamp,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> Step {
        let evidence = &mut *self.evidence;
        let keep_alive = segment.payload_wire_len <= 1
            && !segment.flags.syn()
            && !segment.flags.fin()
            && !segment.flags.rst()
            && self.streams.of(from).next_seq().is_some_and(|next| segment.seq == next.wrapping_sub(1));
        if !keep_alive {
            evidence.last = no;
            evidence.ended = now;
        }
        *evidence.tcp.packets.of_mut(from) += 1;
        if segment.payload.len() < segment.payload_wire_len as usize {
            evidence.lost.snapped_packets += 1;
        }
        if segment.flags.rst() {
            self.reset(segment, from, no, now);
        } else {
            self.note_sender(segment, from, no, now);
        }
        if from == Side::Server && !segment.flags.rst() {
            self.note_answer(segment, no, now);
        }
        if segment.flags.syn() {
            self.synchronize(segment, from, no, now);
        } else if segment.flags.ack() && from == Side::Client {
            let tcp = &mut self.evidence.tcp;
            if tcp.established.is_none() && tcp.syn_ack.is_some() && !segment.flags.rst() {
                tcp.established = Some(Seen::new((), no, now));
            }
        }
        if segment.flags.ack()
            && !segment.flags.rst()
            && let Some(acked) = self.streams.of_mut(from.other()).acknowledge(segment.ack)
        {
            *self.evidence.tcp.acked.of_mut(from) = Some(acked);
        }
        if !segment.flags.rst() {
            self.stuck(segment, from, no, now);
            self.payload(segment, from, no, now, limits, parser);
            self.latest = Some((from, segment.ack, segment.payload_wire_len));
        }
        if segment.flags.fin() {
            let fin = self.evidence.tcp.fin.of_mut(from);
            if fin.is_none() {
                *fin = Some(Seen::new((), no, now));
            }
            self.ended_by_sign = true;
        }
        let tcp = &mut self.evidence.tcp;
        let own_reset =
            segment.flags.rst() && tcp.resets.last().is_some_and(|reset| reset.value.doubts.is_empty());
        if from == Side::Client && (segment.flags.fin() || own_reset) {
            tcp.sent_before_leave.get_or_insert(tcp.bytes.server);
        }
        *self.last_of.of_mut(from) = Some(now);
        self.deadline = clock + self.patience(limits);
        self.step()
    }

    /// Whether a SYN begins another connection on the same addresses and ports.
    pub fn is_new_connection(&self, segment: &Segment<'_>, from: Side) -> bool {
        segment.flags.syn()
            && !segment.flags.ack()
            && (from == Side::Server
                || self.evidence.tcp.syn.as_ref().is_none_or(|syn| syn.value != segment.seq))
            && (self.evidence.tcp.syn.is_some() || self.evidence.tcp.packets.client > 0)
    }

    /// Nothing more comes: what waited behind holes is read, and the evidence is closed.
    /// `now` is capture time; `capture_ended` says that the capture stopped, not the attempt.
    pub fn close(
        mut self,
        now: Stamp,
        capture_ended: bool,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> Box<Evidence> {
        for side in [Side::Client, Side::Server] {
            let unseen = self.streams.of(side).acked().saturating_sub(self.streams.of(side).next());
            // A FIN takes one sequence number too.
            let fin = u64::from(self.evidence.tcp.fin.of(side).is_some());
            let unseen = unseen.saturating_sub(fin);
            if unseen > 0 {
                *self.evidence.tcp.unseen.of_mut(side) = unseen;
            }
            // A hole that the peer never acknowledged is the network's loss, not the capture's.
            // Where no acknowledgment of the peer was seen, the capture may be at fault.
            let captured = self.evidence.tcp.acked.of(side.other()).is_none()
                || self.streams.of(side).acked() > self.streams.of(side).next();
            let (stream, stands_at) = (self.streams.of(side), self.stands_at.of(side).saturating_sub(fin));
            let behind = stream.held_at().or((stands_at > stream.next()).then_some(stands_at));
            if !captured && let Some(behind) = behind {
                let tcp = &mut self.evidence.tcp;
                *tcp.hole.of_mut(side) =
                    Some(Seen::new(stream.next(), self.evidence.last, self.evidence.ended));
                *tcp.hole_bytes.of_mut(side) = behind - stream.next();
            }
            let before = (self.evidence.lost.gap_bytes, *self.evidence.tcp.gap.of(side));
            let mut pieces = Vec::new();
            self.streams.of_mut(side).flush(&mut |piece| pieces.push(OwnedPiece::of(piece)));
            for piece in &pieces {
                self.read(side, piece.lend(), limits, parser);
            }
            if !captured && !pieces.is_empty() {
                (self.evidence.lost.gap_bytes, *self.evidence.tcp.gap.of_mut(side)) = before;
            }
        }
        self.end_unsealing(parser);
        for side in [Side::Client, Side::Server] {
            if let Reading::Tls(inbound) = self.reading.of(side)
                && let Some((kind, have, want)) = inbound.pending()
            {
                self.evidence.unfinished.get_or_insert((side, kind, have, want));
                if kind == HandshakeType::CERTIFICATE && side == Side::Server {
                    let at = self.evidence.server_hello.as_ref().map(|hello| hello.at.clone());
                    if matches!(self.evidence.chain, Chain::Unsent) {
                        self.evidence.chain = Chain::Cut(at.unwrap_or_default());
                    }
                }
            }
        }
        if let Reading::Tls(inbound) = &self.reading.server {
            self.evidence.server_record = inbound.record_version();
        }
        (self.evidence.upgrade, self.evidence.proxied) = self.dialogue.end();
        self.name_prelude();
        let lookout = super::outcome::Lookout {
            now,
            capture_ended,
            tls_port: self.tls_port,
            server_said: &self.first_bytes.server,
            client_said: &self.first_bytes.client,
        };
        super::outcome::settle(&mut self.evidence, &lookout);
        self.evidence
    }

    /// Bytes held by this attempt, for the shard's bound. Where room is scarce, what is held only in case that the client
    /// will sign is let go of first.
    #[inline]
    pub fn held(&mut self, roomy: bool) -> usize {
        if !roomy {
            self.transcript.end();
        }
        let inbound = |reading: &Reading| match reading {
            Reading::Tls(inbound) => inbound.held(),
            _ => 0,
        };
        self.streams.client.held_bytes()
            + self.streams.server.held_bytes()
            + inbound(&self.reading.client)
            + inbound(&self.reading.server)
            + self.dialogue.held()
            + self.transcript.held()
            + self.unsealing.as_ref().map_or(0, |unsealing| unsealing.held())
    }

    /// How long to wait for the next packet before the attempt is taken as it stands.
    fn patience(&self, limits: &Limits) -> Span {
        if self.ended_by_sign {
            limits.after_end
        } else if self.evidence.sealing.finished.client.is_some()
            && self.evidence.sealing.finished.server.is_some()
        {
            limits.linger
        } else if self.evidence.tcp.packets.server == 0 && self.evidence.hello.is_none() {
            limits.syn_answer
        } else if self.evidence.tcp.established.is_some()
            && self.evidence.tcp.bytes.client == 0
            && self.evidence.tcp.bytes.server == 0
        {
            limits.idle
        } else {
            limits.stall
        }
    }

    #[inline(always)]
    fn step(&self) -> Step {
        let evidence = &self.evidence;
        if super::outcome::carries_data(evidence) || self.dialogue.went_on() {
            return Step::Settled;
        }
        let tls =
            matches!(self.reading.client, Reading::Tls(_)) || matches!(self.reading.server, Reading::Tls(_));
        if !tls && matches!(self.reading.client, Reading::Other) {
            let answered = !matches!(self.reading.server, Reading::Silent);
            return if !self.tls_port {
                Step::NotOurs
            } else if answered {
                Step::Settled
            } else {
                Step::Open
            };
        }
        let long = evidence.tcp.bytes.client > Self::CLEAR_BYTES || !self.dialogue.follows();
        if !tls && self.clear_segments > Self::CLEAR_SEGMENTS && long {
            return if self.tls_port { Step::Settled } else { Step::NotOurs };
        }
        Step::Open
    }

    #[inline(always)]
    fn payload(
        &mut self,
        segment: &Segment<'_>,
        from: Side,
        no: PacketNo,
        now: Stamp,
        limits: &Limits,
        parser: &mut impl Parse,
    ) {
        let wire = segment.payload_wire_len;
        if wire == 0 {
            return;
        }
        let seq = segment.seq.wrapping_add(u32::from(segment.flags.syn()));
        if from == Side::Client && self.evidence.tcp.first_seq.is_none() {
            self.evidence.tcp.first_seq = Some(seq);
            self.evidence.tcp.clock = clock(segment, now);
        }
        let fresh = if self.streams.of_mut(from).push_next(seq, segment.payload, wire) {
            self.read(from, Piece::Bytes(segment.payload, no, now), limits, parser);
            wire
        } else {
            self.payload_elsewhere(seq, segment, from, no, now, limits, parser)
        };
        *self.evidence.tcp.bytes.of_mut(from) += u64::from(fresh);
        if from == Side::Client && fresh > 0 {
            self.note_pause(no, now);
        }
    }

    /// Takes bytes that are not just the next (cut, repeated, or with a hole before them), and says how many are new.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "a segment with its place")]
    fn payload_elsewhere(
        &mut self,
        seq: u32,
        segment: &Segment<'_>,
        from: Side,
        no: PacketNo,
        now: Stamp,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> u32 {
        let mut stream = std::mem::take(self.streams.of_mut(from));
        let took = stream.push(
            seq,
            segment.payload,
            segment.payload_wire_len,
            no,
            now,
            limits.holes_per_side,
            limits.bytes_per_side,
            &mut |piece| self.read(from, piece, limits, parser),
        );
        *self.streams.of_mut(from) = stream;
        let evidence = &mut *self.evidence;
        if took.repeated > 0 {
            match evidence.tcp.repeats.of_mut(from) {
                Some(repeats) => {
                    repeats.value += 1;
                    repeats.at.add(no);
                    repeats.when = now;
                }
                none => *none = Some(Seen::new(1, no, now)),
            }
            let times = evidence.tcp.repeated.of_mut(from);
            if times.len() < Trouble::TIMES {
                times.push(now);
            }
        }
        if took.conflict {
            evidence.lost.overlap_conflicts += 1;
        }
        if took.dropped > 0 {
            evidence.lost.holes_dropped += 1;
            evidence.lost.bytes_dropped += u64::from(took.dropped);
        }
        took.fresh
    }

    /// Reads the next bytes in order of one side.
    fn read(&mut self, from: Side, mut piece: Piece<'_>, limits: &Limits, parser: &mut impl Parse) {
        match piece {
            Piece::Bytes(bytes, no, now) => {
                if !matches!(self.reading.of(from), Reading::Tls(_))
                    && !self.begin(from, bytes, no, limits, parser)
                {
                    if !matches!(self.reading.of(from), Reading::Prelude | Reading::Silent) {
                        return;
                    }
                    // TLS may begin behind the last word in clear of one segment.
                    let Some(rest) = self.dialogue.hear(from, bytes, no, now) else { return };
                    self.turn_to_tls(from, no, limits, parser);
                    piece = Piece::Bytes(rest, no, now);
                }
            }
            Piece::Gap(bytes, ..) => {
                self.evidence.lost.gap_bytes += bytes;
                self.dialogue.gap();
                *self.evidence.tcp.gap.of_mut(from) += bytes;
            }
        }
        let mut inbound = match (std::mem::take(self.reading.of_mut(from)), piece) {
            (Reading::Tls(inbound), _) => inbound,
            (Reading::Silent, Piece::Gap(..)) => return *self.reading.of_mut(from) = Reading::Beheaded,
            (other, _) => return *self.reading.of_mut(from) = other,
        };
        let mut out = |read: Read<'_>| self.unit(from, read, parser);
        match piece {
            Piece::Bytes(bytes, no, now) => inbound.feed(bytes, no, now, &mut out),
            Piece::Gap(bytes, no, now) => inbound.gap(bytes, no, now, &mut out),
        }
        // Unless it has shown to be no TLS.
        if matches!(self.reading.of(from), Reading::Silent) {
            *self.reading.of_mut(from) = Reading::Tls(inbound);
        }
    }

    /// Decides what a direction that is not yet TLS begins with. Whether it is TLS now.
    fn begin(
        &mut self,
        from: Side,
        bytes: &[u8],
        no: PacketNo,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> bool {
        let client_is_tls = matches!(self.reading.client, Reading::Tls(_));
        let is_tls = starts_tls(bytes, from).unwrap_or(bytes.len() < 3 && bytes.first() == Some(&22));
        if is_tls {
            self.turn_to_tls(from, no, limits, parser);
            return true;
        }
        if matches!(self.reading.of(from), Reading::Beheaded) {
            return false;
        }
        if from == Side::Client {
            self.clear_segments += 1;
        }
        let server_spoke = !self.first_bytes.server.is_empty();
        let first = self.first_bytes.of_mut(from);
        let room = Self::FIRST.saturating_sub(first.len());
        first.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or(bytes));
        let reading = match from {
            Side::Client if matches!(self.reading.client, Reading::Silent) => {
                match super::prelude::may_upgrade(&self.first_bytes.client) {
                    None if !server_spoke => return false,
                    Some(false) if !server_spoke => Reading::Other,
                    _ => Reading::Prelude,
                }
            }
            Side::Server if matches!(self.reading.server, Reading::Silent) => {
                if client_is_tls {
                    Reading::Other
                } else {
                    Reading::Prelude
                }
            }
            _ => return false,
        };
        *self.reading.of_mut(from) = reading;
        false
    }
}

/// A piece that outlives the stream's buffer, for the flush at the end.
struct OwnedPiece {
    bytes: Vec<u8>,
    gap: u64,
    no: PacketNo,
    when: Stamp,
}

impl OwnedPiece {
    fn of(piece: Piece<'_>) -> Self {
        match piece {
            Piece::Bytes(bytes, no, when) => Self { bytes: bytes.to_vec(), gap: 0, no, when },
            Piece::Gap(gap, no, when) => Self { bytes: Vec::new(), gap, no, when },
        }
    }

    fn lend(&self) -> Piece<'_> {
        if self.gap > 0 {
            Piece::Gap(self.gap, self.no, self.when)
        } else {
            Piece::Bytes(&self.bytes, self.no, self.when)
        }
    }
}
