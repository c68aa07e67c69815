//! What other connections tell about one that failed.

use std::collections::BTreeMap;

use super::trace::{Mark, Trace, TraceNo, Traces};
use super::{Both, Crossing, Fate, Vantage};
use crate::base::{Endpoint, PacketNo, PerSide, Side, Span, Stamp};

/// What else the two captures show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Other connections whose SYN crossed within a minute of this attempt.
    pub crossed: u32,
    /// Of these, those whose SYN crossed between two packets of this one that did not; cites the last.
    pub meanwhile: Option<PacketNo>,
    /// Some of these were of the same client.
    pub of_client: bool,
    /// Another connection of the same client that began between two copies of a packet of this one that crossed in vain, and
    /// whose SYN/ACK the client took: its acknowledgment.
    pub taken: Option<PacketNo>,
    /// Some of these were to the same server: it had room for more.
    pub to_server: bool,
    /// SYNs to another server did not cross either, at about the same time, and nobody answered them: it may be that there is
    /// room for few.
    pub lost_too: bool,
    /// A packet of another connection crossed between two of this one that did not.
    pub went_on: bool,
    /// SYNs to the server's address on another port that crossed before and behind this attempt's first packet.
    pub to_host: (Option<PacketNo>, Option<PacketNo>),
    /// Other connections to the same server, whenever they began, that were open when the attempt began.
    pub held: u32,
    /// Some of them bear another port behind the gateway than before it: it takes ports from a pool of its own.
    pub renumbered: bool,
    /// So do connections to whatever server.
    pub moves_ports: bool,
    /// Names (address and port behind the gateway) that connections to the same server bore: one after another did, and
    /// each name seen was held by an open one when the attempt began.
    pub pool_is_held: bool,
    /// The ports of these follow each other without a gap.
    pub pool_is_whole: bool,
    /// A later SYN to the same server that left under one of these names.
    pub freed: Option<PacketNo>,
    /// An earlier connection of another client address, which bore this one's very name on the far side: its last packet
    /// there, and what sequence number comes behind all that it sent.
    pub handed_on: Option<(PacketNo, u32)>,
    /// Connections with the same server were under way before the captures began.
    pub strangers: bool,
    /// They bear other client addresses or ports behind the gateway than before it.
    pub translated: bool,
    /// The largest segment of others that crossed, by who sent it.
    pub largest: PerSide<u32>,
    /// The smallest one of others that was sent again and again and never crossed, where it is large and no part of a
    /// TLS handshake: its size, and its last copy.
    pub swallowed: PerSide<Option<(u32, PacketNo)>>,
    /// Hellos of the same client to the same server that name the same host, are of the same size, and were answered.
    pub alike: Alike,
    /// Whether its first packet was handed to the station by which other connections enter the gateway; `None` where links
    /// have no addresses or nothing else crossed.
    pub handed: Option<bool>,
    /// Its server is, for all that is seen, the gateway itself.
    pub gateways_own: bool,
    /// A connection to the same server that began on the far side during the attempt, and never was on the near side: its
    /// SYN.
    pub gateway_made: Option<PacketNo>,
    /// A capture missed packets, as it counted itself, or as it shows by what it lacks of others.
    pub lossy: bool,
}

/// When hellos that are like this one's crossed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alike {
    /// Before this one was sent first.
    pub before: Option<PacketNo>,
    /// Between two of its copies.
    pub between: Option<PacketNo>,
    /// Behind its last copy.
    pub after: Option<PacketNo>,
}

impl Alike {
    /// No policy told this hello from those.
    pub fn spares(&self) -> Option<PacketNo> {
        self.between.or(self.before.and(self.after))
    }
}

/// Other connections looked at for comparison.
const MOST: usize = 256;
/// How far from an attempt they may lie.
const AROUND: Span = Span::from_secs(60);
/// What happens so soon before or after happens at the same time.
const NEAR: Span = Span::from_secs(2);
/// Who acknowledges farther ahead means another connection.
const WINDOW: u32 = 1 << 20;
/// Addresses that differ in fewer bits are mostly on one link.
const NEIGHBOURS: u32 = 8;
/// A segment that may not fit a tunnel's MTU: the least MTU of IPv6 less its headers.
pub const LARGE: u32 = 1_200;
/// So often a segment is sent in vain that nothing lost it by chance.
const IN_VAIN: usize = 3;

impl Crossing {
    /// From the first packet that did not get through to the last, by the clock of this vantage point.
    fn in_vain(&self, vantage: Vantage) -> Option<(Stamp, Stamp)> {
        let own = self.own_clock(vantage);
        let lost = || self.packets.iter().filter(|one| one.fate == Fate::Dropped);
        let from = lost().next()?.from;
        span(
            lost()
                .filter(|one| one.from == from)
                .map(|one| one.mark().when - self.clock(one.mark().no) + own),
        )
    }

    /// From the first to the last copy of a packet that crossed again and again, by the clock of this vantage point.
    fn repeated(&self, vantage: Vantage) -> Option<(Stamp, Stamp)> {
        let own = self.own_clock(vantage);
        let mut copies: BTreeMap<_, Vec<Stamp>> = BTreeMap::new();
        for one in self.packets.iter().filter(|one| one.passed()) {
            let mark = one.mark();
            if (mark.payload > 0 || mark.flags.syn()) && !mark.flags.rst() {
                let when = mark.when - self.clock(mark.no) + own;
                copies.entry((one.from, mark.seq, mark.payload)).or_default().push(when);
            }
        }
        let often = copies.into_values().filter(|all| all.len() >= IN_VAIN);
        often.filter_map(|all| span(all.into_iter())).max_by_key(|(first, last)| *last - *first)
    }

    /// How far the clock of this vantage point is ahead of the inner one.
    fn own_clock(&self, vantage: Vantage) -> Span {
        if vantage == Vantage::Outside { self.ahead } else { Span(0) }
    }
}

/// The first and the last moment.
fn span(of: impl Iterator<Item = Stamp>) -> Option<(Stamp, Stamp)> {
    of.fold(None, |all, when| {
        let (first, last) = all.unwrap_or((when, when));
        Some((when.min(first), when.max(last)))
    })
}

/// The client's first acknowledgment of a SYN/ACK.
fn took(trace: &Trace) -> Option<PacketNo> {
    let answer = trace.isn(Side::Server)?.wrapping_add(1);
    let own = trace.marks.iter().filter(|mark| mark.from == Side::Client && mark.flags.ack());
    own.filter(|mark| !mark.flags.rst())
        .find(|mark| mark.ack.wrapping_sub(answer) < WINDOW)
        .map(|mark| mark.no)
}

/// The connection asked about, and where.
struct Asked<'a> {
    of: &'a Trace,
    here: &'a Traces,
    there: &'a Traces,
    ahead: Option<Span>,
    /// Between the packets that did not get through.
    in_vain: Option<(Stamp, Stamp)>,
    /// Between the copies of one that did.
    repeated: Option<(Stamp, Stamp)>,
}

impl Asked<'_> {
    fn twin(&self, trace: &Trace) -> Option<&Trace> {
        self.there.like(trace, self.ahead).first().and_then(|no| self.there.get(*no))
    }

    /// A moment while this connection's packets did not get through.
    fn meanwhile(&self, when: Stamp) -> bool {
        self.in_vain.is_some_and(|(first, last)| when > first && when < last)
    }

    /// Whether this connection was under way at the time.
    fn overlaps(&self, trace: &Trace) -> bool {
        let ends = trace.marks.first().zip(trace.marks.last());
        self.in_vain.zip(ends).is_some_and(|((first, last), (begin, end))| {
            begin.when - last <= NEAR && first - end.when <= NEAR
        })
    }

    /// Whether another server's SYNs did not get through at the time.
    fn lost_too(&self, trace: &Trace) -> bool {
        let about = |when: Stamp| {
            let near = |(first, last)| when - first >= Span(-NEAR.0) && when - last <= NEAR;
            self.in_vain.is_some_and(near)
        };
        let asked = trace.marks.first().is_some_and(|syn| syn.is_syn() && about(syn.when));
        asked && trace.server != self.of.server && trace.isn(Side::Server).is_none()
    }

    /// Who had the name before that this one has on the other side.
    fn handed_on(&self) -> Option<(PacketNo, u32)> {
        let name = self.twin(self.of)?;
        let syn = name.marks.first().filter(|mark| mark.is_syn())?;
        let back = self.ahead.map(|ahead| Span(-ahead.0));
        let earlier = self.there.of_server(name.server).take(MOST).find(|trace| {
            let begun = trace.marks.first().is_some_and(|mark| mark.when < syn.when);
            let own = || self.here.like(trace, back).first().and_then(|no| self.here.get(*no));
            trace.client == name.client
                && begun
                && own().is_some_and(|own| own.client.addr != self.of.client.addr)
        })?;
        let last = earlier.marks.last()?;
        let own = earlier.marks.iter().rev().find(|mark| mark.from == Side::Client && !mark.flags.rst())?;
        Some((last.no, own.end()))
    }
}

/// Whether the other side saw this segment too.
fn crossed(mark: &Mark, twin: &Trace) -> bool {
    let same =
        |other: &Mark| (other.digest, other.payload, other.flags) == (mark.digest, mark.payload, mark.flags);
    mark.payload > 0 && twin.marks.iter().any(same)
}

/// How far the SYN/ACK had come.
fn answered(trace: &Trace) -> Option<u8> {
    trace.marks.iter().find(|mark| mark.is_syn_ack()).map(|mark| mark.ttl)
}

/// Whether a capture lacks what the host behind it acknowledged: `seen` on the other side, and no copy of it here. Only
/// where both have the same first numbers.
fn lacks(here: &Trace, seen: &Trace) -> bool {
    let alike = |side| here.isn(side).is_some() && here.isn(side) == seen.isn(side);
    let whole = here.cut.is_none() && seen.cut.is_none();
    let lacking = |mark: &&Mark| {
        let covers = |other: &Mark| {
            let (begins, ends) = (other.seq.wrapping_sub(mark.seq), other.end().wrapping_sub(mark.seq));
            other.from == mark.from && begins.cast_signed() <= 0 && ends.cast_signed() > 0
        };
        let acks = |other: &Mark| {
            let beyond = other.ack.wrapping_sub(mark.end());
            other.from != mark.from && other.flags.ack() && !other.flags.rst() && beyond < WINDOW
        };
        mark.payload > 0 && !here.marks.iter().any(covers) && here.marks.iter().any(acks)
    };
    whole && alike(Side::Client) && alike(Side::Server) && seen.marks.iter().any(|mark| lacking(&mark))
}

impl Both {
    /// What other connections tell about this one. Looks at many.
    pub fn beside(&self, vantage: Vantage, no: TraceNo, crossing: &Crossing) -> Beside {
        let mut beside = Beside { lossy: self.inside.lossy || self.outside.lossy, ..Beside::default() };
        let (here, there) = (self.of(vantage), self.of(vantage.other()));
        let Some(of) = here.get(no) else { return beside };
        let Some(first) = of.marks.first() else { return beside };
        let (in_vain, repeated) = (crossing.in_vain(vantage), crossing.repeated(vantage));
        let asked = Asked { of, here, there, ahead: self.ahead_of(vantage), in_vain, repeated };
        let (mut known, mut same) = (false, false);
        let (mut unseen, mut reached) = (Vec::new(), Vec::new());
        let last = of.marks.last().map_or(first.when, |last| last.when);
        for trace in here.begun(first.when - AROUND, last + AROUND, MOST) {
            if trace.marks.first().map(|mark| mark.no) == Some(first.no) {
                continue;
            }
            let Some(twin) = asked.twin(trace) else {
                beside.lost_too |= asked.lost_too(trace);
                unseen.push(trace);
                continue;
            };
            reached.extend(answered(trace).map(|ttl| (trace.server, ttl)));
            let Some((sent, came)) = trace.marks.first().zip(twin.marks.first()) else { continue };
            beside.add(&asked, trace, twin);
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
        // Who answered beyond the gateway at other times did so now.
        let missed =
            |trace: &&Trace| answered(trace).is_some_and(|ttl| reached.contains(&(trace.server, ttl)));
        beside.lossy |= unseen.iter().any(missed);
        beside.ports(&asked, first);
        beside.strangers = here.has_strangers(of.server) || there.has_strangers(of.server);
        beside.handed = known.then_some(same);
        // A neighbour on the same link that has the gateway's station.
        beside.gateways_own |=
            beside.handed == Some(true) && of.client.addr.0 >> NEIGHBOURS == of.server.addr.0 >> NEIGHBOURS;
        beside.gateway_made = self.made_meanwhile(vantage, of);
        beside.handed_on = asked.handed_on().filter(|_| crossing.near == vantage);
        beside
    }

    /// A connection of the other side to the same server that has none on this side.
    fn made_meanwhile(&self, vantage: Vantage, of: &Trace) -> Option<PacketNo> {
        let (here, there) = (self.of(vantage), self.of(vantage.other()));
        let (first, last) = of.marks.first().zip(of.marks.last())?;
        let ahead = self.ahead_of(vantage)?;
        let own = there.of_server(of.server).take(MOST).find(|trace| {
            let began = trace.marks.first().filter(|mark| mark.is_syn());
            let during =
                began.is_some_and(|syn| syn.when - ahead > first.when && syn.when - ahead < last.when);
            let back = self.ahead_of(vantage.other());
            during && trace.isn(Side::Server).is_some() && here.like(trace, back).is_empty()
        })?;
        own.marks.first().map(|syn| syn.no)
    }
}

impl Beside {
    /// Another connection that crossed.
    fn add(&mut self, asked: &Asked<'_>, trace: &Trace, twin: &Trace) {
        let (Some(syn), Some(first)) = (trace.marks.first(), asked.of.marks.first()) else { return };
        self.crossed += 1;
        if asked.meanwhile(syn.when) {
            self.meanwhile = Some(syn.no);
            self.of_client |= trace.client.addr == asked.of.client.addr;
            self.to_server |= trace.server == asked.of.server;
        }
        let meanwhile = asked.repeated.is_some_and(|(first, last)| syn.when > first && syn.when < last);
        if meanwhile && trace.client.addr == asked.of.client.addr {
            self.taken = self.taken.or_else(|| took(trace));
        }
        if trace.server.addr == asked.of.server.addr && trace.server.port != asked.of.server.port {
            let place = if syn.when < first.when { &mut self.to_host.0 } else { &mut self.to_host.1 };
            *place = Some(syn.no);
        }
        // Looked for where it may have hidden what became of this connection.
        self.lossy |= !self.lossy && asked.overlaps(trace) && (lacks(twin, trace) || lacks(trace, twin));
        self.translated |= twin.client != trace.client;
        self.moves_ports |= twin.client.port != trace.client.port;
        self.gateways_own |=
            twin.client.addr != trace.client.addr && twin.client.addr == asked.of.server.addr;
        for mark in &trace.marks {
            let meanwhile = !self.went_on && asked.meanwhile(mark.when);
            let largest = self.largest.of_mut(mark.from);
            if !meanwhile && mark.payload < LARGE && mark.payload <= *largest {
                continue; // it tells nothing new
            }
            let passed = crossed(mark, twin);
            self.went_on |= meanwhile && (passed || mark.is_syn());
            if passed {
                *largest = mark.payload.max(*largest);
            } else if mark.payload >= LARGE && !mark.greets {
                let copies = |other: &&Mark| other.from == mark.from && other.seq == mark.seq;
                let smallest = self.swallowed.of_mut(mark.from);
                let smaller = smallest.is_none_or(|(size, _)| mark.payload <= size);
                if smaller && trace.marks.iter().filter(copies).count() >= IN_VAIN {
                    *smallest = Some((mark.payload, mark.no));
                }
            }
        }
        self.hello(asked, trace, twin);
    }

    /// Whether its hello is like the one asked about, and was answered.
    fn hello(&mut self, asked: &Asked<'_>, trace: &Trace, twin: &Trace) {
        let (Some(own), Some(other)) = (asked.of.hello(), trace.hello()) else { return };
        let same = asked.of.host.is_some()
            && (trace.client.addr, trace.server, trace.host, other.payload)
                == (asked.of.client.addr, asked.of.server, asked.of.host, own.payload);
        let answered = || trace.marks.iter().any(|mark| mark.from == Side::Server && crossed(mark, twin));
        if !same || !answered() || !crossed(other, twin) {
            return;
        }
        let copies = asked.of.marks.iter().filter(|mark| mark.from == Side::Client && mark.seq == own.seq);
        let last = copies.filter(|mark| mark.payload > 0).map(|mark| mark.when).max().unwrap_or(own.when);
        let place = if other.when < own.when {
            &mut self.alike.before
        } else if other.when < last {
            &mut self.alike.between
        } else {
            &mut self.alike.after
        };
        *place = Some(other.no);
    }

    /// What names the translator had for connections to this server.
    fn ports(&mut self, asked: &Asked<'_>, first: &Mark) {
        let mut names: Vec<(Endpoint, bool)> = Vec::new();
        let mut reused = false;
        let of_server = || asked.here.of_server(asked.of.server).take(MOST);
        let begun = |trace: &Trace| trace.marks.first().copied().filter(Mark::is_syn);
        for trace in of_server() {
            let Some(began) = begun(trace).filter(|syn| syn.when < first.when) else { continue };
            let Some(twin) = asked.twin(trace).filter(|_| began.no != first.no) else { continue };
            let held = !trace.is_over(first.when) && trace.isn(Side::Server).is_some();
            self.held += u32::from(held);
            self.renumbered |= twin.client.port != trace.client.port;
            match names.iter_mut().find(|(name, _)| *name == twin.client) {
                Some((_, was)) => (reused, *was) = (true, *was || held),
                None => names.push((twin.client, held)),
            }
        }
        self.pool_is_held = reused && names.iter().all(|(_, held)| *held);
        let ports = || names.iter().map(|(name, _)| usize::from(name.port));
        let spread = ports().max().zip(ports().min()).map(|(most, least)| most - least + 1);
        let one_address = names.windows(2).all(|two| {
            two.iter().all(|(name, _)| Some(name.addr) == names.first().map(|(name, _)| name.addr))
        });
        self.pool_is_whole = one_address && spread == Some(names.len());
        let last = asked.of.marks.last().map_or(first.when, |mark| mark.when);
        let later = of_server().find_map(|trace| {
            let syn = begun(trace).filter(|syn| syn.when > last)?;
            let name = asked.twin(trace)?.client;
            names.iter().any(|(held, _)| *held == name).then_some(syn.no)
        });
        self.freed = later;
    }
}
