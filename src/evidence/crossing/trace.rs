//! What each vantage point saw of a connection: its packets, in brief.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::Vantage;
use crate::base::{Endpoint, FlowKey, PacketNo, PerSide, Seen, Side, Span, Stamp};
use crate::decode::{Frame, IcmpError, LinkType, Packet, Segment, TcpFlags};
use crate::evidence::Evidence;
use crate::tls::codes::Version;
use crate::tls::hello::ClientHello;

/// A segment in brief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub no: PacketNo,
    /// When this vantage point saw it, by its own clock.
    pub when: Stamp,
    /// Whose address it bears.
    pub from: Side,
    /// SYN, ACK, FIN, RST.
    pub flags: TcpFlags,
    /// TTL here.
    pub ttl: u8,
    /// IPv4 identification.
    pub ip_id: Option<u16>,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number; 0 where the flag is not set.
    pub ack: u32,
    /// Payload bytes on the wire.
    pub payload: u32,
    /// Of the first payload bytes.
    pub digest: u64,
    /// Its payload begins as a record of a TLS handshake does.
    pub greets: bool,
    /// The segment size that a SYN names.
    pub mss: Option<u16>,
}

/// Payload bytes that a digest covers: snap lengths cut behind them, and a ClientHello's random lies within.
const DIGESTED: usize = 64;
/// Ends of connections that are no more than known to be there.
const STRANGERS: usize = 16_384;
/// Shorter payloads are too much alike.
const TELLING: u32 = 48;

impl Mark {
    fn of(segment: &Segment<'_>, from: Side, no: PacketNo, when: Stamp) -> Self {
        let told = TcpFlags::SYN | TcpFlags::ACK | TcpFlags::FIN | TcpFlags::RST;
        let payload = segment.payload.get(..DIGESTED).unwrap_or(segment.payload);
        Self {
            no,
            when,
            from,
            flags: TcpFlags(segment.flags.0 & told),
            ttl: segment.hop.ttl,
            ip_id: segment.hop.ip_id,
            seq: segment.seq,
            ack: if segment.flags.ack() { segment.ack } else { 0 },
            payload: segment.payload_wire_len,
            digest: digest(payload),
            greets: matches!(payload, [22, 3, ..]),
            mss: segment.options.mss,
        }
    }

    /// A SYN that asks.
    pub fn is_syn(&self) -> bool {
        self.flags.syn() && !self.flags.ack()
    }

    /// A SYN that answers.
    pub fn is_syn_ack(&self) -> bool {
        self.flags.syn() && self.flags.ack()
    }

    /// The sequence number behind it.
    pub fn end(&self) -> u32 {
        let signs = u32::from(self.flags.syn()) + u32::from(self.flags.fin());
        self.seq.wrapping_add(self.payload).wrapping_add(signs)
    }
}

/// FNV-1a over words and their rest: whoever forges a collision deceives but the pairing of his own packets.
fn digest(bytes: &[u8]) -> u64 {
    let add = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| add(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, &byte| add(hash, u64::from(byte)))
}

/// Of the host that a hello names, where it stands in this segment.
fn named(payload: &[u8]) -> Option<u64> {
    let &[22, 3, minor, _, _, 1, _, _, _, ref body @ ..] = payload else { return None };
    let hello = ClientHello::parse(Version(0x0300 | u16::from(minor)), body)?;
    hello.sni.map(|host| digest(host.as_bytes()))
}

/// A station's address on the link.
pub type Station = [u8; 6];

/// A connection at one vantage point.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Who sent the SYN, received the SYN/ACK, or said hello.
    pub client: Endpoint,
    /// The other end.
    pub server: Endpoint,
    /// Its segments in order of capture, the first [`Trace::MOST`].
    pub marks: Vec<Mark>,
    /// ICMP errors that quote it, the first four.
    pub icmp: Vec<Seen<IcmpError>>,
    /// The stations that each side's first packet came from and was handed to.
    pub stations: PerSide<Option<(Station, Station)>>,
    /// A digest of the host that its hello names.
    pub host: Option<u64>,
    /// From here on its segments were not kept.
    pub cut: Option<Stamp>,
}

impl Trace {
    /// Segments kept of one connection: a handshake with its retransmissions takes fewer.
    pub const MOST: usize = 96;

    fn new(segment: &Segment<'_>, from: Side) -> Self {
        let (client, server) = match from {
            Side::Client => (segment.src(), segment.dst()),
            Side::Server => (segment.dst(), segment.src()),
        };
        Self {
            client,
            server,
            marks: Vec::with_capacity(1),
            icmp: Vec::new(),
            stations: PerSide::default(),
            host: None,
            cut: None,
        }
    }

    /// The first sequence number that each side's SYN bears.
    pub fn isn(&self, side: Side) -> Option<u32> {
        self.marks.iter().find(|mark| mark.from == side && mark.flags.syn()).map(|mark| mark.seq)
    }

    /// The client's first segment with payload.
    pub fn hello(&self) -> Option<&Mark> {
        self.first_word(Side::Client)
    }

    /// A side's first segment with payload.
    fn first_word(&self, side: Side) -> Option<&Mark> {
        self.marks.iter().find(|mark| mark.from == side && mark.payload > 0)
    }

    /// Whether it is a side's first word.
    fn is_first_word(&self, mark: &Mark) -> bool {
        self.first_word(mark.from).is_some_and(|first| first.no == mark.no)
    }

    /// Whether it is seen from its SYN or a first word on, as an attempt is.
    pub(super) fn begins(&self) -> bool {
        let words = || [Side::Client, Side::Server].into_iter().any(|side| self.first_word(side).is_some());
        self.marks.first().is_some_and(Mark::is_syn) || words()
    }

    /// It has no more than one packet.
    fn is_single(&self) -> bool {
        self.marks.len() <= 1
    }

    /// Somebody ended it before this moment.
    pub fn is_over(&self, at: Stamp) -> bool {
        self.marks.iter().any(|mark| (mark.flags.fin() || mark.flags.rst()) && mark.when < at)
    }

    fn is_of(&self, a: Endpoint, b: Endpoint) -> bool {
        (self.client, self.server) == (a, b)
    }
}

/// By what a connection is recognized elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Trait {
    /// The client's first sequence number.
    Syn(u32),
    /// The server's, and what it acknowledges.
    Answer(u32, u32),
    /// A side's first bytes.
    Bytes(u64),
}

fn trait_of(mark: &Mark, first_word: bool) -> Option<Trait> {
    if mark.is_syn() {
        Some(Trait::Syn(mark.seq))
    } else if mark.is_syn_ack() {
        Some(Trait::Answer(mark.seq, mark.ack))
    } else if first_word && mark.payload >= TELLING {
        Some(Trait::Bytes(mark.digest))
    } else {
        None
    }
}

/// A trace's number.
pub type TraceNo = u64;

/// Traces in order of their beginnings. What has left since is passed over.
#[derive(Debug, Default)]
struct Row {
    numbers: VecDeque<TraceNo>,
    /// How many have left, where that is counted.
    gone: usize,
}

/// The connections of one vantage point.
#[derive(Debug)]
pub struct Traces {
    /// Which it is.
    pub vantage: Vantage,
    /// Stamps of its first and its last packet, of whatever kind.
    pub covers: Option<(Stamp, Stamp)>,
    /// It missed packets, as it counted itself.
    pub lossy: bool,
    open: HashMap<FlowKey, TraceNo, RandomState>,
    kept: HashMap<TraceNo, Trace, RandomState>,
    by_trait: HashMap<Trait, SmallVec<[TraceNo; 2]>, RandomState>,
    by_server: HashMap<Endpoint, Row, RandomState>,
    /// By age: all, those of one packet, as a flood of SYNs makes them, and those that have grown.
    order: Row,
    singles: Row,
    grown: Row,
    /// Kept traces of one packet.
    single: usize,
    /// Ends of connections that had begun before the capture did.
    strangers: HashMap<Endpoint, (), RandomState>,
    next: TraceNo,
    most: usize,
    /// Connections that left because there were too many.
    pub dropped: u64,
    /// Of them, those that were asked for afterwards.
    pub missing: u64,
}

/// Traces of one packet that are kept for each of more. They are small, and a flood's; among 80,000 SYNs a second one stays for
/// longer than it takes its answer to come, or its client to send it again.
const SINGLES: usize = 8;

impl Traces {
    /// Nothing seen yet; at most so many connections.
    pub fn new(vantage: Vantage, most: usize) -> Self {
        Self {
            vantage,
            covers: None,
            lossy: false,
            open: HashMap::default(),
            kept: HashMap::default(),
            by_trait: HashMap::default(),
            by_server: HashMap::default(),
            order: Row::default(),
            singles: Row::default(),
            grown: Row::default(),
            single: 0,
            strangers: HashMap::default(),
            next: 0,
            most: most.max(1),
            dropped: 0,
            missing: 0,
        }
    }

    /// Capture time has come here, whatever came.
    pub fn pass(&mut self, now: Stamp) {
        let (first, last) = self.covers.unwrap_or((now, now));
        self.covers = Some((first.min(now), last.max(now)));
    }

    /// Takes one packet; `no` bears this vantage point's mark.
    pub fn packet(&mut self, packet: &Packet<'_>, frame: &Frame<'_>, no: PacketNo) {
        self.pass(frame.stamp);
        match packet {
            Packet::Segment(segment) => self.segment(segment, frame, no),
            Packet::IcmpError(error) if error.quoted_protocol == 6 => {
                let (key, _) = FlowKey::of(error.quoted_src, error.quoted_dst);
                let trace = self.open.get(&key).and_then(|no| self.kept.get_mut(no));
                if let Some(trace) = trace.filter(|trace| trace.icmp.len() < 4) {
                    trace.icmp.push(Seen::new(*error, no, frame.stamp));
                }
            }
            _ => {}
        }
    }

    fn segment(&mut self, segment: &Segment<'_>, frame: &Frame<'_>, no: PacketNo) {
        let (key, _) = FlowKey::of(segment.src(), segment.dst());
        let asks = segment.flags.syn() && !segment.flags.ack();
        let open = self.open.get(&key).copied().filter(|of| {
            // Another SYN begins another connection.
            let other = |trace: &Trace| {
                asks && (!trace.is_of(segment.src(), segment.dst())
                    || trace.isn(Side::Client).is_some_and(|isn| isn != segment.seq))
            };
            self.kept.get(of).is_some_and(|trace| !other(trace))
        });
        let Some(of) = open.or_else(|| self.begin(key, segment)) else { return };
        let Some(trace) = self.kept.get_mut(&of) else { return };
        if trace.marks.len() >= Trace::MOST {
            trace.cut.get_or_insert(frame.stamp);
            return;
        }
        let from = if segment.src() == trace.client { Side::Client } else { Side::Server };
        let mark = Mark::of(segment, from, no, frame.stamp);
        let station = trace.stations.of_mut(from);
        if station.is_none() && !mark.flags.rst() {
            *station = stations(frame);
        }
        let first_word = mark.payload > 0 && trace.first_word(from).is_none();
        trace.marks.push(mark);
        if trace.marks.len() == 2 {
            self.single -= 1;
            self.grown.numbers.push_back(of);
        }
        if first_word && from == Side::Client {
            trace.host = named(segment.payload);
        }
        // Of a capture that began too late, the hello stands for the SYN before it.
        let without = first_word && from == Side::Client && trace.isn(Side::Client).is_none();
        let before = without.then(|| Trait::Syn(mark.seq.wrapping_sub(1)));
        for found_by in trait_of(&mark, first_word).into_iter().chain(before) {
            let list = self.by_trait.entry(found_by).or_default();
            if !list.contains(&of) && list.len() < 8 {
                list.push(of);
            }
        }
    }

    /// A connection begins, or is joined at a place where it may be recognized.
    fn begin(&mut self, key: FlowKey, segment: &Segment<'_>) -> Option<TraceNo> {
        let from = if segment.flags.syn() {
            if segment.flags.ack() { Side::Server } else { Side::Client }
        } else {
            match segment.payload {
                // A record with a ClientHello.
                [22, 3, _, _, _, 1, ..] | [22, 1, 1, _, _, 1, ..] => Side::Client,
                [22, 3, _, _, _, 2, ..] | [22, 1, 1, _, _, 2, ..] => Side::Server,
                _ => {
                    self.strangers.extend([segment.src(), segment.dst()].map(|end| (end, ())));
                    if self.strangers.len() > STRANGERS {
                        self.strangers.clear();
                    }
                    return None;
                }
            }
        };
        self.make_room();
        let no = self.next;
        self.next += 1;
        self.open.insert(key, no);
        let trace = Trace::new(segment, from);
        for row in [&mut self.order, &mut self.singles, self.by_server.entry(trace.server).or_default()] {
            row.numbers.push_back(no);
        }
        self.kept.insert(no, trace);
        self.single += 1;
        Some(no)
    }

    /// The oldest leaves, of each kind that is too many.
    fn make_room(&mut self) {
        while self.single >= self.most * SINGLES
            && let Some(no) = self.singles.numbers.pop_front()
        {
            if self.get(no).is_some_and(Trace::is_single) {
                self.forget(no);
            }
        }
        while self.kept.len() - self.single >= self.most
            && let Some(no) = self.grown.numbers.pop_front()
        {
            self.forget(no);
        }
        let most = 2 * self.kept.len() + 1_024;
        for row in [&mut self.order, &mut self.singles, &mut self.grown] {
            if row.numbers.len() > most {
                row.numbers.retain(|no| self.kept.contains_key(no));
            }
        }
    }

    fn forget(&mut self, no: TraceNo) {
        let Some(trace) = self.kept.remove(&no) else { return };
        self.dropped += 1;
        self.single -= usize::from(trace.is_single());
        if let Some(row) = self.by_server.get_mut(&trace.server) {
            row.gone += 1;
            if row.gone == row.numbers.len() {
                self.by_server.remove(&trace.server);
            } else if row.gone > row.numbers.len() / 2 {
                row.numbers.retain(|no| self.kept.contains_key(no));
                row.gone = 0;
            }
        }
        let (key, _) = FlowKey::of(trace.client, trace.server);
        if self.open.get(&key) == Some(&no) {
            self.open.remove(&key);
        }
        let before = trace.hello().map(|hello| Trait::Syn(hello.seq.wrapping_sub(1)));
        let found_by = trace.marks.iter().filter_map(|mark| trait_of(mark, trace.is_first_word(mark)));
        let found_by = found_by.chain(before);
        for found_by in found_by {
            if let Some(list) = self.by_trait.get_mut(&found_by) {
                list.retain(|other| *other != no);
                if list.is_empty() {
                    self.by_trait.remove(&found_by);
                }
            }
        }
    }

    /// The connection of this number.
    pub fn get(&self, no: TraceNo) -> Option<&Trace> {
        self.kept.get(&no)
    }

    /// The connection of an attempt at this vantage point.
    pub fn of_attempt(&self, evidence: &Evidence) -> Option<TraceNo> {
        let (client, server) = (evidence.client, evidence.server);
        if let Some(syn) = &evidence.tcp.syn {
            let list = self.by_trait.get(&Trait::Syn(syn.value))?;
            let of = |no: &&TraceNo| self.get(**no).is_some_and(|trace| trace.is_of(client, server));
            return list.iter().rev().find(of).copied();
        }
        let (key, _) = FlowKey::of(client, server);
        self.open.get(&key).copied().filter(|no| self.get(*no).is_some_and(|t| t.is_of(client, server)))
    }

    /// Connections here that share what only one connection has with this one, which another vantage point saw; `ahead` is
    /// how far this one's clock is ahead of that one's, where it is known.
    pub fn like(&self, other: &Trace, ahead: Option<Span>) -> SmallVec<[TraceNo; 4]> {
        let mut found = SmallVec::new();
        for mark in &other.marks {
            let Some(of) = trait_of(mark, other.is_first_word(mark)) else { continue };
            // Where that one's SYN was not seen, its hello is behind it.
            let of = match (of, other.isn(mark.from)) {
                (Trait::Bytes(_), None) if mark.from == Side::Client && !self.by_trait.contains_key(&of) => {
                    Trait::Syn(mark.seq.wrapping_sub(1))
                }
                (of, _) => of,
            };
            for &no in self.by_trait.get(&of).into_iter().flatten() {
                let Some(trace) = self.get(no) else { continue };
                if !found.contains(&no) && is_like(trace, other, of, mark, ahead) && found.len() < 8 {
                    found.push(no);
                }
            }
        }
        found
    }

    /// Whether connections with this end were under way when the capture began.
    pub fn has_strangers(&self, end: Endpoint) -> bool {
        self.strangers.contains_key(&end)
    }

    /// Connections to this server, newest first.
    pub fn of_server(&self, server: Endpoint) -> impl Iterator<Item = &Trace> {
        self.by_server
            .get(&server)
            .into_iter()
            .flat_map(|row| row.numbers.iter().rev())
            .filter_map(|no| self.get(*no))
    }

    /// Connections whose SYN came in this span, newest first; at most so many.
    pub fn begun(&self, from: Stamp, until: Stamp, most: usize) -> impl Iterator<Item = &Trace> {
        let begun = move |trace: &&Trace| {
            trace.marks.first().is_some_and(|mark| mark.is_syn() && mark.when >= from && mark.when <= until)
        };
        self.order.numbers.iter().rev().filter_map(|no| self.get(*no)).filter(begun).take(most)
    }
}

/// Whether what makes them alike is no chance.
fn is_like(here: &Trace, other: &Trace, by: Trait, mark: &Mark, ahead: Option<Span>) -> bool {
    // A translator changes one end, hardly ever both.
    let an_end = here.server == other.server || here.client == other.client;
    match by {
        Trait::Answer(..) => true,
        Trait::Syn(_) => an_end,
        // Some programs send the same hello each time.
        Trait::Bytes(_) => here.marks.iter().filter(|own| own.digest == mark.digest).any(|own| {
            let apart = (own.when - mark.when).0 - ahead.unwrap_or(Span(0)).0;
            (an_end || own.seq == mark.seq) && apart.abs() < Span::from_secs(2).0
        }),
    }
}

/// From which station to which; `None` where the link has none.
fn stations(frame: &Frame<'_>) -> Option<(Station, Station)> {
    match (frame.link, frame.data) {
        (LinkType::ETHERNET, &[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..]) => {
            Some(([s0, s1, s2, s3, s4, s5], [d0, d1, d2, d3, d4, d5]))
        }
        _ => None,
    }
}
