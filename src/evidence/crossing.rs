//! One connection seen on both sides of a gateway: what became of each of its packets on the way through.
//!
//! [`trace`] keeps what each vantage point saw. `Crossing::of` pairs the packets of a connection across address
//! translation: by sequence numbers (as they are, or counted from the first where a firewall changes them) and payload. A
//! packet without a counterpart was dropped between the two, or made there. It counts as such only while the other
//! capture ran, and only where nobody acknowledged what it carried.

#[cfg(test)]
pub mod fixture;
mod pair;
#[cfg(test)]
mod tests;
pub mod trace;

use crate::base::{Endpoint, PacketNo, Packets, PerSide, Seen, Side, Span, Stamp};
use crate::decode::IcmpError;
use trace::{Mark, Trace, TraceNo, Traces};

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
    /// Of these, those that began while this attempt was under way, or at most ten seconds behind it.
    pub meanwhile: u32,
    /// Some of these were to the same server: it had room for more.
    pub to_server: bool,
    /// Other connections to the same server, whenever they began, that were open when the attempt began.
    pub held: u32,
    /// Some of them bear another port behind the gateway than before it: it takes ports from a pool of its own.
    pub renumbered: bool,
    /// Names (address and port behind the gateway) that connections to the same server bore: one after another did, and
    /// each name seen was held by an open one when the attempt began.
    pub pool_is_held: bool,
    /// Connections with the same server were under way before the captures began.
    pub strangers: bool,
    /// They bear other client addresses or ports behind the gateway than before it.
    pub translated: bool,
    /// Of these that had begun before, some had packets cross when this one's no longer did.
    pub went_on: bool,
    /// Large segments of theirs crossed, by who sent them.
    pub large: PerSide<bool>,
    /// Whether its first packet was handed to the station by which other connections enter the gateway; `None` where links
    /// have no addresses or nothing else crossed.
    pub handed: Option<bool>,
    /// Its server is, for all that is seen, the gateway itself.
    pub gateways_own: bool,
    /// A capture missed packets, as it counted itself.
    pub lossy: bool,
}

/// A connection across the gateway.
#[derive(Clone, Debug)]
pub struct Crossing {
    /// The vantage point on the client's side.
    pub near: Vantage,
    /// That one sees enough of it to tell of it.
    pub near_tells: bool,
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
/// Who begins so soon behind an attempt finds the gateway as it was.
const MEANWHILE: Span = Span::from_secs(10);
/// Addresses that differ in fewer bits are mostly on one link.
const NEIGHBOURS: u32 = 8;
/// A segment that may not fit a tunnel's MTU: the least MTU of IPv6 less its headers.
pub const LARGE: u32 = 1_200;

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

    /// What other connections tell about this one. Looks at many.
    pub fn beside(&self, vantage: Vantage, no: TraceNo) -> Beside {
        let mut beside = Beside { lossy: self.inside.lossy || self.outside.lossy, ..Beside::default() };
        let (here, there) = (self.of(vantage), self.of(vantage.other()));
        let Some(of) = here.get(no) else { return beside };
        let Some((first, last)) = of.marks.first().zip(of.marks.last()) else { return beside };
        let (begun, ahead) = (first.when, self.ahead_of(vantage));
        let twin_of = |trace: &Trace| there.like(trace, ahead).first().and_then(|no| there.get(*no));
        let (mut known, mut same) = (false, false);
        for trace in here.begun(begun - AROUND, begun + AROUND, BESIDE) {
            if trace.marks.first().map(|mark| mark.no) == Some(first.no) {
                continue;
            }
            let Some(twin) = twin_of(trace) else { continue };
            let Some((sent, came)) = trace.marks.first().zip(twin.marks.first()) else { continue };
            beside.crossed += 1;
            let meanwhile = sent.when >= begun && sent.when <= last.when + MEANWHILE;
            beside.meanwhile += u32::from(meanwhile);
            beside.to_server |= meanwhile && trace.server == of.server;
            beside.translated |= twin.client != trace.client;
            beside.gateways_own |=
                twin.client.addr != trace.client.addr && twin.client.addr == of.server.addr;
            let crossed = |mark: &Mark| {
                let same = |other: &Mark| (other.digest, other.payload) == (mark.digest, mark.payload);
                mark.payload > 0 && twin.marks.iter().any(same)
            };
            for mark in trace.marks.iter().filter(|mark| mark.payload >= LARGE) {
                *beside.large.of_mut(mark.from) |= crossed(mark);
            }
            beside.went_on |=
                sent.when < begun && trace.marks.iter().any(|mark| mark.when > last.when && crossed(mark));
            // What enters the gateway here: the client's packets where this is its side, else the server's.
            let enters = match sent.ttl.cmp(&came.ttl) {
                std::cmp::Ordering::Greater => trace.stations.client,
                std::cmp::Ordering::Less => trace.stations.server,
                std::cmp::Ordering::Equal => None,
            };
            if let (Some((_, theirs)), Some((_, ours))) = (enters, of.stations.client) {
                known = true;
                same |= theirs == ours;
            }
        }
        let mut names: Vec<(Endpoint, bool)> = Vec::new();
        let mut reused = false;
        for trace in here.of_server(of.server).take(BESIDE) {
            let Some(began) = trace.marks.first().filter(|mark| mark.is_syn() && mark.when < begun) else {
                continue;
            };
            let Some(twin) = twin_of(trace).filter(|_| began.no != first.no) else { continue };
            let held = !trace.is_over(begun) && trace.isn(Side::Server).is_some();
            beside.held += u32::from(held);
            beside.renumbered |= twin.client.port != trace.client.port;
            match names.iter_mut().find(|(name, _)| *name == twin.client) {
                Some((_, was)) => (reused, *was) = (true, *was || held),
                None => names.push((twin.client, held)),
            }
        }
        beside.pool_is_held = reused && names.iter().all(|(_, held)| *held);
        beside.strangers = here.has_strangers(of.server) || there.has_strangers(of.server);
        beside.handed = known.then_some(same);
        // A neighbour on the same link that has the gateway's station.
        beside.gateways_own |=
            beside.handed == Some(true) && of.client.addr.0 >> NEIGHBOURS == of.server.addr.0 >> NEIGHBOURS;
        beside
    }
}
