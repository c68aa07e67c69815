//! One connection seen on both sides of a gateway: what became of each of its packets on the way through.
//!
//! [`trace`] keeps what each vantage point saw. [`Crossing::of`] pairs the packets of a connection across address
//! translation: by sequence numbers (as they are, or counted from the first where a firewall changes them) and payload. A
//! packet without a counterpart was dropped between the two, or made there. It counts as such only while the other
//! capture ran, and only where nobody acknowledged what it carried.

mod pair;
pub mod trace;

use crate::base::{Endpoint, PacketNo, Packets, Seen, Side, Span, Stamp};
use crate::decode::IcmpError;
use trace::{Mark, Station, Trace, TraceNo, Traces};

/// A side of the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vantage {
    /// The inner one.
    #[default]
    Inside,
    /// The outer one.
    Outside,
}

impl Vantage {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Outside => "outside",
        }
    }

    /// The opposite one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Inside => Self::Outside,
            Self::Outside => Self::Inside,
        }
    }

    /// The number as this vantage point's packets bear it.
    pub const fn mark(self, no: PacketNo) -> PacketNo {
        match self {
            Self::Inside => no,
            Self::Outside => no.outside(),
        }
    }
}

/// What became of a packet between the two vantage points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Both saw it; how long it took.
    Passed(Span),
    /// It went in and never came out.
    Dropped,
    /// It came out and never went in.
    Made,
    /// Cannot be told; why.
    Unknown(&'static str),
}

impl Fate {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Dropped => "dropped",
            Self::Made => "made",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// A packet as one vantage point saw it, and under which of the connection's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The packet.
    pub mark: Mark,
    /// Its client there.
    pub client: Endpoint,
    /// Its server there.
    pub server: Endpoint,
}

/// A packet on its way through the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossed {
    /// Whose address it bears.
    pub from: Side,
    /// On the client's side of the gateway.
    pub near: Option<Sight>,
    /// On the server's side.
    pub far: Option<Sight>,
    /// What became of it.
    pub fate: Fate,
    /// What it carries is not what it carried.
    pub rewritten: bool,
}

impl Crossed {
    /// As it was seen first.
    pub fn mark(&self) -> &Mark {
        const NOTHING: &Mark = &Mark {
            no: PacketNo(0),
            when: Stamp(0),
            from: Side::Client,
            flags: crate::decode::TcpFlags(0),
            ttl: 0,
            ip_id: None,
            seq: 0,
            ack: 0,
            payload: 0,
            digest: 0,
            mss: None,
        };
        self.near.as_ref().or(self.far.as_ref()).map_or(NOTHING, |sight| &sight.mark)
    }

    /// Its numbers on both sides.
    pub fn at(&self) -> Packets {
        [self.near, self.far].into_iter().flatten().map(|sight| sight.mark.no).collect()
    }

    /// Both saw it.
    pub fn passed(&self) -> bool {
        matches!(self.fate, Fate::Passed(_))
    }
}

/// What else the two captures show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Other connections whose SYN crossed within a minute of this attempt.
    pub crossed: u32,
    /// Of these to the same server.
    pub to_server: u32,
    /// Of these to the same server and still open when the attempt began.
    pub held: u32,
    /// They bear other client addresses or ports behind the gateway than before it.
    pub translated: bool,
    /// Whether its first packet was handed to the station that other connections cross by; `None` where links have no
    /// addresses or nothing else crossed.
    pub handed: Option<bool>,
    /// A capture missed packets, as it counted itself.
    pub lossy: bool,
}

/// A connection across the gateway.
#[derive(Clone, Debug)]
pub struct Crossing {
    /// The vantage point on the client's side.
    pub near: Vantage,
    /// How far the outer clock is ahead of the inner one.
    pub ahead: Span,
    /// The shortest way through and back; `None` where no packet passed each way.
    pub through: Option<Span>,
    /// Client and server on the client's side, as most of its packets bear them.
    pub near_ends: Option<(Endpoint, Endpoint)>,
    /// On the server's side.
    pub far_ends: Option<(Endpoint, Endpoint)>,
    /// Its packets in order of time.
    pub packets: Vec<Crossed>,
    /// ICMP errors that quote it, on the client's side and on the server's.
    pub icmp: (Vec<Seen<IcmpError>>, Vec<Seen<IcmpError>>),
    /// What else the captures show.
    pub beside: Beside,
}

impl Crossing {
    /// How far the clock that stamped this packet is ahead of the inner one.
    pub fn clock(&self, no: PacketNo) -> Span {
        if no.is_outside() { self.ahead } else { Span(0) }
    }
}

/// Both vantage points.
#[derive(Debug)]
pub struct Both {
    /// The inner one.
    pub inside: Traces,
    /// The outer one.
    pub outside: Traces,
    /// How far the outer clock is ahead, where it is known.
    pub ahead: Option<Span>,
}

/// Other connections looked at for comparison.
const BESIDE: usize = 256;
/// How far from an attempt they may lie.
const AROUND: Span = Span::from_secs(60);

impl Both {
    /// Nothing seen yet; at most so many connections on each side.
    pub fn new(most: usize, ahead: Option<Span>) -> Self {
        Self {
            inside: Traces::new(Vantage::Inside, most),
            outside: Traces::new(Vantage::Outside, most),
            ahead,
        }
    }

    /// One of them.
    pub fn of(&self, vantage: Vantage) -> &Traces {
        match vantage {
            Vantage::Inside => &self.inside,
            Vantage::Outside => &self.outside,
        }
    }

    /// One of them.
    pub fn of_mut(&mut self, vantage: Vantage) -> &mut Traces {
        match vantage {
            Vantage::Inside => &mut self.inside,
            Vantage::Outside => &mut self.outside,
        }
    }

    /// How far the clock of the other vantage point is ahead of this one's.
    fn ahead_of(&self, vantage: Vantage) -> Option<Span> {
        self.ahead.map(|ahead| match vantage {
            Vantage::Inside => ahead,
            Vantage::Outside => Span(-ahead.0),
        })
    }

    /// The connections on both sides that belong to this one of `vantage`, itself first.
    fn related(&self, vantage: Vantage, no: TraceNo) -> (Vec<TraceNo>, Vec<TraceNo>) {
        let (mut ours, mut theirs) = (vec![no], Vec::new());
        let (here, there) = (self.of(vantage), self.of(vantage.other()));
        // A SYN leads to its twin, and that one's SYN/ACK to whom it was delivered.
        for _ in 0..2 {
            for no in ours.clone() {
                let Some(trace) = here.get(no) else { continue };
                for found in there.like(trace, self.ahead_of(vantage)) {
                    if !theirs.contains(&found) && theirs.len() < 8 {
                        theirs.push(found);
                    }
                }
            }
            for no in theirs.clone() {
                let Some(trace) = there.get(no) else { continue };
                for found in here.like(trace, self.ahead_of(vantage.other())) {
                    if !ours.contains(&found) && ours.len() < 8 {
                        ours.push(found);
                    }
                }
            }
        }
        (ours, theirs)
    }

    /// Whether the other vantage point sees this connection from its SYN or its hello on: then it tells of it too.
    pub fn has_twin(&self, vantage: Vantage, no: TraceNo) -> bool {
        let (_, theirs) = self.related(vantage, no);
        let there = self.of(vantage.other());
        theirs.iter().filter_map(|no| there.get(*no)).any(|trace| {
            trace.isn(Side::Client).is_some_and(|_| trace.marks.first().is_some_and(Mark::is_syn))
                || trace.hello().is_some()
        })
    }

    /// What became of this connection's packets; `None` where nothing links the two captures.
    pub fn crossing(&self, vantage: Vantage, no: TraceNo) -> Option<Crossing> {
        let (ours, theirs) = self.related(vantage, no);
        let (inside, outside) = match vantage {
            Vantage::Inside => (ours, theirs),
            Vantage::Outside => (theirs, ours),
        };
        let inside: Vec<_> = inside.iter().filter_map(|no| self.inside.get(*no)).collect();
        let outside: Vec<_> = outside.iter().filter_map(|no| self.outside.get(*no)).collect();
        let seen = pair::Views {
            inside: &inside,
            outside: &outside,
            covers: (self.inside.covers?, self.outside.covers?),
            ahead: self.ahead,
        };
        let mut crossing = Crossing::of(&seen, vantage)?;
        let first = self.of(vantage).get(no)?;
        crossing.beside = self.beside(vantage, first);
        Some(crossing)
    }

    /// What other connections tell, begun at about the same time.
    fn beside(&self, vantage: Vantage, of: &Trace) -> Beside {
        let mut beside = Beside { lossy: self.inside.lossy || self.outside.lossy, ..Beside::default() };
        let (here, there) = (self.of(vantage), self.of(vantage.other()));
        let Some(first) = of.marks.first() else { return beside };
        let (begun, ahead) = (first.when, self.ahead_of(vantage));
        let (mut known, mut same) = (false, false);
        let handed = |trace: &Trace| trace.stations.client.map(|(_, to): (Station, Station)| to);
        for trace in here.begun(begun - AROUND, begun + AROUND, BESIDE) {
            if (trace.client, trace.server) == (of.client, of.server) {
                continue;
            }
            let Some(twin) = there.like(trace, ahead).first().and_then(|no| there.get(*no)) else { continue };
            beside.crossed += 1;
            beside.translated |= twin.client != trace.client;
            if let (Some(theirs), Some(ours)) = (handed(trace), handed(of)) {
                known = true;
                same |= theirs == ours;
            }
            if trace.server == of.server {
                beside.to_server += 1;
                let over = trace.marks.iter().any(|m| (m.flags.fin() || m.flags.rst()) && m.when < begun);
                let before = trace.marks.first().is_some_and(|mark| mark.when < begun);
                beside.held += u32::from(before && !over && trace.isn(Side::Server).is_some());
            }
        }
        beside.handed = known.then_some(same);
        beside
    }
}
