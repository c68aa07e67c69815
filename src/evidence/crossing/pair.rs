//! Which packet on one side is which on the other.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::trace::{Mark, Trace};
use super::{Beside, Crossed, Crossing, Fate, Sight, Vantage};
use crate::base::{Endpoint, Seen, Side, Span, Stamp};

/// One connection under all names that it has on each side.
pub(super) struct Views<'a> {
    pub inside: &'a [&'a Trace],
    pub outside: &'a [&'a Trace],
    /// First and last stamp of each whole capture.
    pub covers: ((Stamp, Stamp), (Stamp, Stamp)),
    /// How far the outer clock is ahead, where other traffic told.
    pub ahead: Option<Span>,
}

/// Why the fate of a packet is unknown that must have passed.
pub(super) const LACKS: &str = "the other side acknowledged it: the capture there lacks it";
/// Copies of one packet are no farther apart: gateways hold nothing for longer.
const HELD: Span = Span::from_millis(500);
/// Clocks are not read at the very moment.
const SLACK: Span = Span::from_millis(2);

/// A packet of one side, with sequence numbers as the inner side counts them.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    mark: &'a Mark,
    trace: &'a Trace,
    seq: u32,
    ack: u32,
    /// Its place among the other side's, once it is paired.
    with: Option<usize>,
    rewritten: bool,
}

impl Candidate<'_> {
    fn sight(&self) -> Sight {
        let Candidate { mark, trace, .. } = self;
        Sight { mark: **mark, client: trace.client, server: trace.server }
    }

    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.mark.end().wrapping_sub(self.mark.seq))
    }

    /// What a packet has in common with its copy.
    fn likeness(&self) -> (Side, u8, u32, u32, u32, u64) {
        let mark = self.mark;
        // The acknowledgment of a RST without ACK means nothing.
        (mark.from, mark.flags.0, self.seq, self.ack, mark.payload, mark.digest)
    }

    /// The same place in the stream, whatever it carries.
    fn place(&self) -> (Side, u8, u32, u32) {
        (self.mark.from, self.mark.flags.0, self.seq, self.mark.payload)
    }
}

/// Each side's packets in order of time. `counted`: by how much each side's numbers are to be raised to be those of the
/// inner view.
fn candidates<'a>(traces: &[&'a Trace], counted: impl Fn(&Trace) -> (u32, u32)) -> Vec<Candidate<'a>> {
    let mut all = Vec::new();
    for &trace in traces {
        let (client, server) = counted(trace);
        for mark in &trace.marks {
            let (own, peers) = match mark.from {
                Side::Client => (client, server),
                Side::Server => (server, client),
            };
            let ack = if mark.flags.ack() { mark.ack.wrapping_add(peers) } else { 0 };
            all.push(Candidate {
                mark,
                trace,
                seq: mark.seq.wrapping_add(own),
                ack,
                with: None,
                rewritten: false,
            });
        }
    }
    all.sort_by_key(|candidate| (candidate.mark.when, candidate.mark.no));
    all
}

/// By how much this view's sequence numbers are to be raised to be the inner one's: none, unless a firewall gives
/// connections other first numbers.
fn counted(inside: &[&Trace], trace: &Trace) -> (u32, u32) {
    let of = |side: Side| {
        let ours = trace.isn(side)?;
        let mut theirs = inside.iter().filter_map(|trace| trace.isn(side)).peekable();
        let first = *theirs.peek()?;
        if theirs.any(|isn| isn == ours) { Some(0) } else { Some(first.wrapping_sub(ours)) }
    };
    // Where there is no SYN the first bytes tell.
    let by_bytes = || {
        let hello = trace.hello()?;
        let twin = inside.iter().filter_map(|trace| trace.hello()).find(|own| own.digest == hello.digest)?;
        Some(twin.seq.wrapping_sub(hello.seq))
    };
    (of(Side::Client).or_else(by_bytes).unwrap_or(0), of(Side::Server).unwrap_or(0))
}

/// How far apart in time the copies of a packet may be.
#[derive(Clone, Copy)]
struct Reach {
    /// How far the outer clock is ahead; where nothing told yet, only packets of which each side has as many are paired.
    ahead: Option<Span>,
    /// Which side is the client's, once it is known: then no packet arrives before it left.
    near: Option<Vantage>,
}

impl Reach {
    fn fits(&self, inside: &Mark, outside: &Mark, as_many: bool) -> bool {
        let Some(ahead) = self.ahead else { return as_many };
        let later = (outside.when - inside.when).0 - ahead.0;
        match self.near {
            None => later.abs() <= HELD.0,
            Some(near) => {
                let outward = (inside.from == Side::Client) == (near == Vantage::Inside);
                let later = if outward { later } else { -later };
                (-SLACK.0..=HELD.0).contains(&later)
            }
        }
    }
}

/// Pairs what is alike by `likeness`, near in time.
fn pair<K: Ord>(
    inside: &mut [Candidate<'_>],
    outside: &mut [Candidate<'_>],
    reach: Reach,
    rewritten: bool,
    likeness: impl for<'a> Fn(&Candidate<'a>) -> Option<K>,
) {
    let mut alike: BTreeMap<K, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    let single = |(_, candidate): &(usize, &Candidate<'_>)| candidate.with.is_none();
    for (place, candidate) in inside.iter().enumerate().filter(single) {
        likeness(candidate).into_iter().for_each(|key| alike.entry(key).or_default().0.push(place));
    }
    for (place, candidate) in outside.iter().enumerate().filter(single) {
        likeness(candidate).into_iter().for_each(|key| alike.entry(key).or_default().1.push(place));
    }
    for (ours, mut theirs) in alike.into_values() {
        let as_many = ours.len() == theirs.len();
        // Those first that have the same IP identification: routers leave it as it is.
        for by_id in [true, false] {
            for &own in &ours {
                let Some(mine) = inside.get(own).filter(|mine| mine.with.is_none()) else { continue };
                let fits = |other: &usize| {
                    let Some(other) = outside.get(*other) else { return false };
                    let same =
                        mine.mark.ip_id.is_some_and(|id| id != 0) && mine.mark.ip_id == other.mark.ip_id;
                    reach.fits(mine.mark, other.mark, as_many) && (same || !by_id)
                };
                let Some(at) = theirs.iter().position(fits) else { continue };
                let other = theirs.remove(at);
                if let (Some(mine), Some(twin)) = (inside.get_mut(own), outside.get_mut(other)) {
                    (mine.with, twin.with) = (Some(other), Some(own));
                    (mine.rewritten, twin.rewritten) = (rewritten, rewritten);
                }
            }
        }
    }
}

/// What the pairs say of the clocks: the outer one is ahead by at least and at most so much, for no packet arrives before
/// it left.
struct Clocks {
    least: Option<Span>,
    most: Option<Span>,
}

impl Clocks {
    fn of(inside: &[Candidate<'_>], outside: &[Candidate<'_>], near: Vantage) -> Self {
        let mut clocks = Self { least: None, most: None };
        for own in inside {
            let Some(twin) = own.with.and_then(|with| outside.get(with)) else { continue };
            let apart = twin.mark.when - own.mark.when;
            let outward = (own.mark.from == Side::Client) == (near == Vantage::Inside);
            if outward {
                clocks.most = Some(clocks.most.map_or(apart, |most| most.min(apart)));
            } else {
                clocks.least = Some(clocks.least.map_or(apart, |least| least.max(apart)));
            }
        }
        clocks
    }

    /// `elsewhere`: what other traffic said, which counts where packets passed one way only.
    fn ahead(&self, elsewhere: Option<Span>) -> Option<Span> {
        match (self.least, self.most) {
            (Some(least), Some(most)) => Some(Span(least.0 + (most.0 - least.0) / 2)),
            (Some(least), None) => Some(elsewhere.map_or(least, |said| said.max(least))),
            (None, Some(most)) => Some(elsewhere.map_or(most, |said| said.min(most))),
            (None, None) => elsewhere,
        }
    }

    /// The shortest way through and back.
    fn through(&self) -> Option<Span> {
        self.least.zip(self.most).map(|(least, most)| Span(most.0 - least.0)).filter(|through| through.0 >= 0)
    }
}

/// The vantage point on the client's side: there the client's packets have crossed fewer routers.
fn near_of(inside: &[Candidate<'_>], outside: &[Candidate<'_>]) -> Option<Vantage> {
    inside.iter().find_map(|own| {
        let twin = outside.get(own.with?)?;
        let (outward, inward) = match own.mark.from {
            Side::Client => (own.mark.ttl, twin.mark.ttl),
            Side::Server => (twin.mark.ttl, own.mark.ttl),
        };
        match outward.cmp(&inward) {
            std::cmp::Ordering::Greater => Some(Vantage::Inside),
            std::cmp::Ordering::Less => Some(Vantage::Outside),
            std::cmp::Ordering::Equal => None,
        }
    })
}

/// The same, where no packet has a copy: by the client's packets that have come least far.
fn nearer_of(inside: &[Candidate<'_>], outside: &[Candidate<'_>]) -> Option<Vantage> {
    let ttl = |side: &[Candidate<'_>]| {
        side.iter().filter(|one| one.mark.from == Side::Client).map(|one| one.mark.ttl).max()
    };
    match ttl(inside)?.cmp(&ttl(outside)?) {
        std::cmp::Ordering::Greater => Some(Vantage::Inside),
        std::cmp::Ordering::Less => Some(Vantage::Outside),
        std::cmp::Ordering::Equal => None,
    }
}

/// `a` lies at or behind `b`, as sequence numbers go round.
fn reached(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() >= 0
}

/// One side of the gateway, as the packets of the other are held against it.
struct Other<'a, 'b> {
    candidates: &'b [Candidate<'a>],
    covers: (Stamp, Stamp),
    /// How far its clock is ahead of the one whose packets are asked for.
    ahead: Option<Span>,
    cut: Option<Stamp>,
}

impl Other<'_, '_> {
    /// Why a packet of the opposite side that is not here need not have been dropped.
    fn excuse(&self, of: &Candidate<'_>) -> Option<&'static str> {
        let Some(ahead) = self.ahead else { return Some("nothing relates the clocks of the two captures") };
        let when = of.mark.when + ahead;
        if when - SLACK <= self.covers.0 {
            return Some("the other capture had not begun");
        }
        if when + SLACK >= self.covers.1 {
            return Some("the other capture had ended");
        }
        if self.cut.is_some_and(|cut| when + HELD >= cut) {
            return Some("it is behind the packets that are kept of a connection");
        }
        None
    }

    /// Its bytes came here in other segments.
    fn resegmented(&self, of: &Candidate<'_>) -> Option<&Candidate<'_>> {
        let ahead = self.ahead?;
        let near = |other: &&Candidate<'_>| {
            other.mark.from == of.mark.from
                && other.mark.payload > 0
                && ((other.mark.when - of.mark.when).0 - ahead.0).abs() <= HELD.0
        };
        if of.mark.payload == 0 || of.mark.flags.rst() {
            return None;
        }
        // From its first byte on, segment by segment.
        let (mut at, end, mut first) = (of.seq, of.seq.wrapping_add(of.mark.payload), None);
        for _ in 0..self.candidates.len() {
            let covers = |other: &&Candidate<'_>| {
                let (begin, end) = (other.seq, other.seq.wrapping_add(other.mark.payload));
                reached(at, begin) && !reached(at, end)
            };
            let next = self.candidates.iter().filter(near).find(covers)?;
            first.get_or_insert(next);
            at = next.seq.wrapping_add(next.mark.payload);
            if reached(at, end) {
                return first;
            }
        }
        None
    }
}

/// The peer has it: an acknowledgment that it sent itself says so, and no other copy that crossed explains that.
fn acknowledged(of: &Candidate<'_>, own: &[Candidate<'_>], at_the_peer: &[Candidate<'_>]) -> bool {
    let takes_place = of.end() != of.seq;
    let explained = own.iter().any(|copy| copy.with.is_some() && copy.place() == of.place());
    takes_place
        && !explained
        && at_the_peer.iter().any(|other| {
            other.mark.from != of.mark.from
                && other.mark.flags.ack()
                && !other.mark.flags.rst()
                && reached(other.ack, of.end())
        })
}

/// Client and server as most packets of a view bear them.
fn ends(candidates: &[Candidate<'_>]) -> Option<(Endpoint, Endpoint)> {
    let mut counts: Vec<((Endpoint, Endpoint), usize)> = Vec::new();
    for candidate in candidates {
        let ends = (candidate.trace.client, candidate.trace.server);
        match counts.iter_mut().find(|(other, _)| *other == ends) {
            Some((_, count)) => *count += 1,
            None => counts.push((ends, 1)),
        }
    }
    counts.iter().min_by_key(|(_, count)| Reverse(*count)).map(|(ends, _)| *ends)
}

impl Crossing {
    /// What became of each packet. `seen`: who saw the connection from its beginning. `None` where nothing relates
    /// the two captures.
    pub(super) fn of(views: &Views<'_>, seen: Vantage) -> Option<Self> {
        let mut inside = candidates(views.inside, |_| (0, 0));
        let mut outside = candidates(views.outside, |trace| counted(views.inside, trace));
        // Resets last: anybody can make one that looks like another.
        let first = Reach { ahead: views.ahead, near: None };
        pair(&mut inside, &mut outside, first, false, |one| (!one.mark.flags.rst()).then(|| one.likeness()));
        let near = near_of(&inside, &outside).or_else(|| nearer_of(&inside, &outside)).unwrap_or(
            match (inside.is_empty(), outside.is_empty()) {
                (false, false) => Vantage::Inside,
                _ => seen,
            },
        );
        let clocks = Clocks::of(&inside, &outside, near);
        let ahead = clocks.ahead(views.ahead);
        let reach = Reach { ahead, near: Some(near) };
        pair(&mut inside, &mut outside, reach, false, |one| Some(one.likeness()));
        pair(&mut inside, &mut outside, reach, true, |one| (one.mark.payload > 0).then(|| one.place()));
        // Numbers alone may say that it is one connection: then it is told once, and no packet's fate is known.
        if ahead.is_none() && (inside.is_empty() || outside.is_empty()) {
            return None;
        }
        let cut = |traces: &[&Trace]| traces.iter().filter_map(|trace| trace.cut).min();
        let at_inside = Other {
            candidates: &inside,
            covers: views.covers.0,
            ahead: ahead.map(|ahead| Span(-ahead.0)),
            cut: cut(views.inside),
        };
        let at_outside =
            Other { candidates: &outside, covers: views.covers.1, ahead, cut: cut(views.outside) };
        let ahead = ahead.unwrap_or(Span(0));
        let mut packets = Vec::new();
        for (here, own, other) in
            [(Vantage::Inside, &inside, &at_outside), (Vantage::Outside, &outside, &at_inside)]
        {
            for candidate in own {
                if here == Vantage::Outside && candidate.with.is_some() {
                    continue; // told with its twin
                }
                packets.push(crossed(candidate, own, (here, near), other, ahead));
            }
        }
        packets.sort_by_key(|crossed| {
            let mark = crossed.mark();
            let here = if crossed.near.is_some() { near } else { near.other() };
            (if here == Vantage::Inside { mark.when + ahead } else { mark.when }, mark.no)
        });
        let icmp = |traces: &[&Trace]| {
            let mut all: Vec<Seen<_>> = traces.iter().flat_map(|trace| trace.icmp.iter().cloned()).collect();
            all.truncate(4);
            all
        };
        let (mut near_ends, mut far_ends) = (ends(&inside), ends(&outside));
        let mut icmp = (icmp(views.inside), icmp(views.outside));
        if near == Vantage::Outside {
            std::mem::swap(&mut near_ends, &mut far_ends);
            icmp = (icmp.1, icmp.0);
        }
        let through = clocks.through();
        let near_views = if near == Vantage::Inside { views.inside } else { views.outside };
        let near_tells = near_views.iter().any(|trace| trace.begins());
        Some(Self {
            near,
            near_tells,
            ahead,
            through,
            near_ends,
            far_ends,
            packets,
            icmp,
            beside: Beside::default(),
        })
    }
}

/// One packet's fate.
fn crossed(
    candidate: &Candidate<'_>,
    own: &[Candidate<'_>],
    (here, near): (Vantage, Vantage),
    other: &Other<'_, '_>,
    ahead: Span,
) -> Crossed {
    let from = candidate.mark.from;
    // Whether it travels from here to the other side.
    let goes = (here == near) == (from == Side::Client);
    let twin = candidate.with.and_then(|with| other.candidates.get(with));
    let twin_or_part = twin.or_else(|| other.resegmented(candidate));
    let apart = if here == Vantage::Inside { ahead } else { Span(-ahead.0) };
    let fate = match twin_or_part {
        Some(twin) => {
            let later = Span((twin.mark.when - candidate.mark.when).0 - apart.0);
            Fate::Passed(if goes { later } else { Span(-later.0) })
        }
        None => match other.excuse(candidate) {
            Some(why) => Fate::Unknown(why),
            None if !goes => Fate::Made,
            None if acknowledged(candidate, own, other.candidates) => Fate::Unknown(LACKS),
            None => Fate::Dropped,
        },
    };
    let (ours, theirs) = (Some(candidate.sight()), twin.map(Candidate::sight));
    let (near, far) = if here == near { (ours, theirs) } else { (theirs, ours) };
    Crossed { from, near, far, fate, rewritten: candidate.rewritten }
}
