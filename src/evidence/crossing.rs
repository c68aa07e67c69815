//! One connection seen on both sides of a gateway: what became of each of its packets on the way through.
//!
//! [`trace`] keeps what each vantage point saw. `Crossing::of` pairs the packets of a connection across address
//! translation: by sequence numbers (as they are, or counted from the first where a firewall changes them) and payload. A
//! packet without a counterpart was dropped between the two, or made there. It counts as such only while the other
//! capture ran, and only where nobody acknowledged what it carried.

mod beside;
#[cfg(test)]
pub mod fixture;
mod pair;
#[cfg(test)]
mod tests;
mod told;
pub mod trace;

use crate::base::{Endpoint, PacketNo, Packets, Seen, Side, Span, Stamp};
use crate::decode::IcmpError;
use trace::{Mark, TraceNo, Traces};

pub use beside::{Alike, Beside, LARGE};
pub use told::Told;

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
            greets: false,
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

/// A connection across the gateway.
#[derive(Clone, Debug)]
pub struct Crossing {
    /// The vantage point on the client's side.
    pub near: Vantage,
    /// That one sees enough of it to tell of it.
    pub near_tells: bool,
    /// How far the outer clock is ahead of the inner one; 0 where nothing relates them.
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
    /// A capture lacks a packet that its side must have seen.
    pub fn lacks(&self) -> bool {
        // Nobody invents what a connection says.
        let invented = |one: &Crossed| {
            let mark = one.mark();
            one.fate == Fate::Made && mark.payload > 0 && !mark.flags.rst()
        };
        let missed = |one: &Crossed| one.fate == Fate::Unknown(pair::LACKS) || invented(one);
        self.packets.iter().any(missed)
    }

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
    /// What one of them told of already.
    pub told: Told,
}

impl Both {
    /// Nothing seen yet; at most so many connections on each side.
    pub fn new(most: usize, ahead: Option<Span>) -> Self {
        Self {
            told: Told::new(most * 8),
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

    /// What became of this connection's packets; `None` where nothing links the two captures. What other connections tell
    /// is left out: see [`Self::beside`].
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
        Crossing::of(&seen, vantage)
    }
}
