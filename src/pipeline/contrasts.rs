//! What attempts tell beside each other: which ended alike while another passed, and which pauses a path survives.

use std::sync::Arc;

use super::memory::Recent;
use super::offers::same_program;
use crate::base::{Addr, Endpoint, PacketNo, Packets, Seen, Side, Span, Stamp};
use crate::evidence::around::{Contrast, Passed, Pauses};
use crate::evidence::{Ending, Evidence, Outcome, Stage};
use crate::tls::hello::Offer;

/// Attempts longer apart may have met another server, or another rule.
const TOGETHER: Span = Span::from_secs(600);
/// A device's memory for idle connections stays the same for longer.
const SAME_DEVICE: Span = Span::from_secs(86_400);
/// PAWS compares with what came within a minute (`TCP_PAWS_MSL` in Linux; RFC 7323 section 5.5 has a longer bound).
const PAWS: Span = Span::from_secs(60);
/// A clock further behind than packets are reordered and capture clocks are wrong, in its own milliseconds.
const BEHIND: i32 = 1_000;

/// How a client reached an address.
#[derive(Debug)]
pub struct Reach {
    /// The server.
    pub seen: Seen<Endpoint>,
    /// The leaf shown where it was in clear.
    pub leaf: Option<[u8; 32]>,
    /// The name asked for.
    pub name: Option<Arc<str>>,
    /// What was offered.
    pub offer: Arc<Offer>,
    /// See [`crate::evidence::TcpFacts::clock`].
    pub clock: Option<u32>,
    /// The server took connections of this address whose clock was behind.
    pub takes_older: bool,
}

/// How an attempt ended that got no answer but from TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// SYNs, and silence.
    SynUnanswered,
    /// The SYN was reset.
    SynReset,
    /// A hello never wholly acknowledged, and silence.
    HelloUnanswered,
    /// The hello was reset; with ACK or without.
    HelloReset { ack: bool },
    /// The connection was reset behind the server's certificate, which was in clear.
    CertificateReset,
}

impl Fate {
    /// A reset later than this after the hello does not answer it.
    const PROMPT: Span = Span::from_secs(2);

    fn of(e: &Evidence) -> Option<Self> {
        // What follows a pause is compared by that.
        let other = e.upgrade.is_some() || e.retry.is_some() || e.tcp.pause.is_some();
        if e.outcome != Outcome::Failed || other {
            return None;
        }
        if let (Some(chain), Ending::Reset { .. }) = (e.chain.clear(), &e.ending.value) {
            let shown = e.client_key_exchange.is_none() && e.ending.when - chain.when < Self::PROMPT;
            return shown.then_some(Self::CertificateReset);
        }
        if e.tcp.bytes.server > 0 {
            return None;
        }
        let reset = || {
            let reset = e.tcp.resets.iter().find(|reset| reset.value.from == Side::Server)?;
            Some(reset.value.ack)
        };
        match (e.stage, &e.ending.value) {
            (Stage::Tcp, _) if e.tcp.syn.is_none() || e.tcp.syn_ack.is_some() => None,
            (Stage::Tcp, Ending::Silence { .. }) if e.tcp.syns >= 2 => Some(Self::SynUnanswered),
            (Stage::Tcp, Ending::Reset { from: Side::Server }) => reset().map(|_| Self::SynReset),
            (Stage::ClientHello, _) if e.tcp.syn_ack.is_none() => None,
            (Stage::ClientHello, Ending::Silence { .. })
                if e.tcp.acked.server.unwrap_or(0) < e.tcp.bytes.client =>
            {
                Some(Self::HelloUnanswered)
            }
            (Stage::ClientHello, Ending::Reset { from: Side::Server })
                if e.hello.as_ref().is_some_and(|hello| e.ending.when - hello.when < Self::PROMPT) =>
            {
                reset().map(|ack| Self::HelloReset { ack })
            }
            _ => None,
        }
    }

    fn is_of_tls(self) -> bool {
        matches!(self, Self::HelloUnanswered | Self::HelloReset { .. } | Self::CertificateReset)
    }
}

/// A failure to be compared with others.
#[derive(Debug)]
struct Failed {
    fate: Fate,
    name: Option<Arc<str>>,
    first: PacketNo,
    started: Stamp,
    at: Packets,
    clock: Option<u32>,
}

/// A connection that carried bytes behind a pause, or was to.
#[derive(Debug)]
struct Paused {
    lasted: Span,
    failed: bool,
    at: Packets,
    when: Stamp,
}

/// The network from which a client comes, as far as its address tells: most translators stand in front of one.
fn network(client: Addr) -> u128 {
    if client.is_v4() { client.0 >> 8 << 8 } else { client.0 >> 64 << 64 }
}

/// What to compare with.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// The latest success of the client at the same address.
    pub reach: Option<&'a Reach>,
    /// The latest success of the client under the same name.
    pub same_name: Option<&'a Seen<Endpoint>>,
    /// The latest success at the same server, and whose.
    pub served: Option<&'a Seen<Addr>>,
    /// A success that comes so much later still counts.
    pub later: Span,
}

/// Failures and pauses of the recent past.
#[derive(Debug)]
pub struct Contrasts {
    failed: Recent<(Addr, Endpoint), Failed>,
    /// By the client's network and the server.
    paused: Recent<(u128, Addr), Paused>,
}

impl Contrasts {
    /// Nothing yet; at most this many clients and servers.
    pub fn new(most: usize) -> Self {
        Self { failed: Recent::new(most, 16), paused: Recent::new(most, 32) }
    }

    /// Files what later attempts may want to know of this one.
    pub fn remember(&mut self, e: &Evidence) {
        if let Some(fate) = Fate::of(e) {
            let failed = Failed {
                fate,
                name: name(e),
                first: e.first,
                started: e.started,
                at: e.ending.at.clone(),
                clock: e.tcp.clock,
            };
            self.failed.put((e.client.addr, e.server), failed);
        }
        if let Some(pause) = &e.tcp.pause
            && let failed = unanswered(e)
            && (failed || pause.value.answered)
        {
            let paused =
                Paused { lasted: pause.value.lasted, failed, at: pause.at.clone(), when: pause.when };
            self.paused.put((network(e.client.addr), e.server.addr), paused);
        }
    }

    /// The attempts that ended like this one, and one that passed meanwhile.
    pub fn contrast(&self, e: &Evidence, beside: &Beside<'_>) -> Option<Contrast> {
        let fate = Fate::of(e)?;
        let asked = name(e);
        let alike = |other: &&Failed| {
            other.fate == fate
                && other.name == asked
                && other.first != e.first
                && (other.started - e.started).0.abs() <= TOGETHER.0
        };
        let mut all = Seen::new(1, Packets::none(), e.started);
        let mut last = e.started;
        for other in self.failed.get(&(e.client.addr, e.server)).filter(alike) {
            all.value += 1;
            all.at.add_all(&other.at);
            all.when = all.when.min(other.started);
            last = last.max(other.started);
        }
        let meanwhile = |when: Stamp| when > all.when && when - e.ended <= beside.later;
        let reach = beside.reach.filter(|reach| meanwhile(reach.seen.when));
        let here = reach.filter(|reach| reach.seen.value.port == e.server.port);
        let passed = if fate.is_of_tls() {
            // The name itself passes now and then.
            let name_passes =
                beside.same_name.is_some_and(|seen| seen.value.addr == e.server.addr && meanwhile(seen.when));
            let other = here.filter(|reach| {
                asked.is_some() && reach.name != asked && !name_passes && same_program(&reach.offer, e)
            });
            other.map(|reach| reach.seen.clone().map(|_| Passed::Name(reach.name.clone())))
        } else {
            let between = |seen: &&Seen<Addr>| seen.when > all.when && seen.when < last;
            let served = beside.served.filter(|seen| seen.value != e.client.addr).filter(between);
            // The client itself gets in now and then.
            served.filter(|_| here.is_none()).map(|seen| seen.clone().map(Passed::Client))
        };
        let other_port = reach.filter(|reach| reach.seen.value.port != e.server.port);
        let other_port = other_port.map(|reach| reach.seen.clone().map(|server| server.port));
        passed.map(|passed| Contrast { alike: all, passed, other_port })
    }

    /// Of an attempt that met no answer behind a pause: what others survived.
    pub fn pauses(&self, e: &Evidence, beside: &Beside<'_>) -> Option<Pauses> {
        let pause = e.tcp.pause.as_ref().filter(|_| unanswered(e))?;
        let recent = |other: &&Paused| (other.when - pause.when).0.abs() <= SAME_DEVICE.0;
        let path = (network(e.client.addr), e.server.addr);
        let all = || self.paused.get(&path).filter(recent);
        let mut failed = Seen::new(1, Packets::none(), pause.when);
        let mut shortest_failed = pause.value.lasted;
        for other in all().filter(|other| other.failed && other.at != pause.at) {
            failed.value += 1;
            failed.at.add_all(&other.at);
            failed.when = failed.when.min(other.when);
            shortest_failed = shortest_failed.min(other.lasted);
        }
        let longest = all().filter(|other| !other.failed).max_by_key(|other| other.lasted);
        let longest = longest.map(|other| Seen::new(other.lasted, other.at.clone(), other.when));
        let without = || {
            let reach = beside.reach.filter(|reach| reach.seen.when > failed.when)?;
            Some(Seen::new(Span(0), reach.seen.at.clone(), reach.seen.when))
        };
        Some(Pauses { longest_passed: longest.or_else(without), shortest_failed, failed })
    }

    /// By how much the clock of unanswered SYNs is behind that of a connection of the same address which was set up
    /// within the minute. Only where it is so of [`Self::BEHIND`] attempts and of none otherwise, since some hosts begin
    /// each connection's clock anywhere, and where the server is not known to take older ones.
    pub fn clock_behind(&self, e: &Evidence, reach: Option<&Reach>) -> Option<Seen<Span>> {
        let reach = reach.filter(|reach| !reach.takes_older && reach.seen.value.port == e.server.port)?;
        if Fate::of(e) != Some(Fate::SynUnanswered) || (reach.seen.when - e.started).0.abs() > PAWS.0 {
            return None;
        }
        let behind = |clock: Option<u32>| {
            let behind = reach.clock?.wrapping_sub(clock?).cast_signed();
            (behind > BEHIND).then_some(behind)
        };
        let near = |other: &&Failed| {
            other.fate == Fate::SynUnanswered
                && other.first != e.first
                && (other.started - e.started).0.abs() <= TOGETHER.0
        };
        let mut others = 0;
        for other in self.failed.get(&(e.client.addr, e.server)).filter(near) {
            behind(other.clock)?;
            others += 1;
        }
        let ours = behind(e.tcp.clock).filter(|_| others + 1 >= Self::BEHIND)?;
        Some(reach.seen.clone().map(|_| Span::from_millis(ours.into())))
    }

    /// So many clocks are all behind by chance once in eight times.
    const BEHIND: u32 = 3;
}

/// The client spoke behind a pause, and met silence or a reset.
fn unanswered(e: &Evidence) -> bool {
    let ended = matches!(e.ending.value, Ending::Silence { .. } | Ending::Reset { from: Side::Server });
    // Who closed before needs no translator to say so.
    let closed = e.tcp.fin.client.is_some() || e.tcp.fin.server.is_some();
    let pause = e.tcp.pause.as_ref();
    e.outcome == Outcome::Failed && ended && !closed && pause.is_some_and(|pause| !pause.value.answered)
}

/// Whether a server took a connection, which began then, whose clock is behind that of another of the same address
/// within the minute.
pub fn takes_older(former: &Reach, clock: Option<u32>, when: Stamp) -> bool {
    let behind =
        former.clock.zip(clock).is_some_and(|(old, new)| old.wrapping_sub(new).cast_signed() > BEHIND);
    former.takes_older || behind && (when - former.seen.when).0.abs() <= PAWS.0
}

/// Whether packets with these TTLs crossed fewer routers than those with the others.
pub fn nearer(ours: (u8, u8), theirs: (u8, u8)) -> bool {
    let hops = |ttl: u8| match ttl {
        0..=64 => 64 - ttl,
        65..=128 => 128 - ttl,
        _ => 255 - ttl,
    };
    hops(ours.0).max(hops(ours.1)) < hops(theirs.0).min(hops(theirs.1))
}

fn name(e: &Evidence) -> Option<Arc<str>> {
    e.hello.as_ref().and_then(|hello| hello.value.sni.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{START, greeted, hello, resent, reset, seen, syn};
    use crate::evidence::{Doubt, Pause};

    const OTHER: Addr = Addr::v4([10, 0, 0, 8]);

    /// The fixture's failure, begun so many seconds on; its first packet is that number times ten.
    fn at(mut e: Evidence, secs: i64) -> Evidence {
        let by = Span::from_secs(secs);
        e.first = PacketNo(1 + secs.cast_unsigned() * 10);
        for stamp in [&mut e.started, &mut e.ended, &mut e.ending.when] {
            *stamp = *stamp + by;
        }
        if let Some(hello) = &mut e.hello {
            hello.when = hello.when + by;
        }
        e
    }

    fn reach(name: &str, secs: i64) -> Reach {
        let e = greeted();
        Reach {
            seen: seen(e.server, 99, secs * 1_000),
            leaf: None,
            name: Some(name.into()),
            offer: Arc::clone(&hello().offer),
            clock: None,
            takes_older: false,
        }
    }

    fn beside(reach: Option<&Reach>) -> Beside<'_> {
        Beside { reach, same_name: None, served: None, later: Span::from_secs(10) }
    }

    fn three(e: &Evidence) -> Contrasts {
        let mut contrasts = Contrasts::new(8);
        for secs in [0, 10, 20] {
            contrasts.remember(&at(e.clone(), secs));
        }
        contrasts
    }

    #[test]
    fn three_resets_of_one_name_while_another_passes() {
        let e = reset(greeted(), Side::Server, &[]);
        let contrast = three(&e).contrast(&at(e, 20), &beside(Some(&reach("other.test", 15)))).unwrap();
        assert_eq!((contrast.alike.value, contrast.alike.when), (3, START));
        assert_eq!(contrast.passed.value, Passed::Name(Some("other.test".into())));
    }

    #[test]
    fn what_contradicts_a_reset_leaves_it_comparable() {
        let e = reset(greeted(), Side::Server, &[Doubt::Ttl(60, 55)]);
        let contrast = three(&e).contrast(&at(e, 20), &beside(Some(&reach("other.test", 15))));
        assert_eq!(contrast.map(|contrast| contrast.alike.value), Some(3));
    }

    #[test]
    fn absent_where_the_other_passed_before_or_the_name_itself_or_another_program() {
        let e = at(reset(greeted(), Side::Server, &[]), 20);
        let contrasts = three(&reset(greeted(), Side::Server, &[]));
        let found = |reach: &Reach| contrasts.contrast(&e, &beside(Some(reach))).is_some();
        assert!(!found(&reach("other.test", -1)), "the server may have broken since");
        assert!(!found(&reach("www.example.com", 15)));
        let mut other = reach("other.test", 15);
        Arc::make_mut(&mut other.offer).groups.reverse();
        assert!(!found(&other));
        let passes = seen(e.server, 98, 12_000);
        let sometimes = Beside { same_name: Some(&passes), ..beside(None) };
        let good = reach("other.test", 15);
        assert!(contrasts.contrast(&e, &Beside { reach: Some(&good), ..sometimes }).is_none());
    }

    #[test]
    fn what_ended_otherwise_or_long_ago_is_not_counted() {
        let e = reset(greeted(), Side::Server, &[]);
        let contrasts = three(&e);
        let silent = at(resent(greeted(), 3), 20);
        let good = reach("other.test", 25);
        assert_eq!(contrasts.contrast(&silent, &beside(Some(&good))).unwrap().alike.value, 1);
        let late = at(e, 700);
        let good = reach("other.test", 705);
        assert_eq!(contrasts.contrast(&late, &beside(Some(&good))).unwrap().alike.value, 1);
    }

    #[test]
    fn a_port_refused_to_one_client_and_open_to_another() {
        let e = reset(syn(1), Side::Server, &[]);
        let served = seen(OTHER, 50, 15_000);
        let with = |reach| Beside { served: Some(&served), ..beside(reach) };
        let contrast = three(&e).contrast(&at(e.clone(), 20), &with(None)).unwrap();
        assert_eq!(contrast.passed.value, Passed::Client(OTHER));
        let own = reach("www.example.com", 12);
        assert!(three(&e).contrast(&at(e.clone(), 20), &with(Some(&own))).is_none(), "it gets in");
        let mut elsewhere = reach("www.example.com", 12);
        elsewhere.seen.value.port = 8_443;
        let contrast = three(&e).contrast(&at(e, 20), &with(Some(&elsewhere))).unwrap();
        assert_eq!(contrast.other_port.map(|seen| seen.value), Some(8_443));
    }

    fn idle(secs: i64, answered: bool) -> Evidence {
        let mut e = at(greeted(), secs);
        let pause = Pause { lasted: Span::from_secs(secs), answered };
        e.tcp.pause = Some(Seen::new(pause, PacketNo(secs.cast_unsigned()), START));
        e
    }

    #[test]
    fn pauses_that_failed_stand_beside_those_that_did_not() {
        let mut contrasts = Contrasts::new(8);
        for (secs, answered) in [(400, false), (361, false), (200, true), (100, true)] {
            contrasts.remember(&idle(secs, answered));
        }
        let mut mine = idle(500, false);
        mine.client.addr = Addr::v4([10, 0, 0, 99]); // a neighbour
        contrasts.remember(&mine);
        let pauses = contrasts.pauses(&mine, &beside(None)).unwrap();
        assert_eq!((pauses.failed.value, pauses.shortest_failed), (3, Span::from_secs(361)));
        assert_eq!(pauses.longest_passed.map(|seen| seen.value), Some(Span::from_secs(200)));
        mine.tcp.fin.server = Some(seen((), 8, 100));
        assert_eq!(contrasts.pauses(&mine, &beside(None)), None, "the server had closed");
        assert_eq!(contrasts.pauses(&greeted(), &beside(None)), None, "no pause");
    }

    #[test]
    fn connections_without_a_pause_count_where_none_survived_one() {
        let mut contrasts = Contrasts::new(8);
        contrasts.remember(&idle(400, false));
        let mine = idle(500, false);
        let (before, behind) = (reach("a", -9), reach("a", 9));
        assert_eq!(contrasts.pauses(&mine, &beside(Some(&before))).unwrap().longest_passed, None);
        let pauses = contrasts.pauses(&mine, &beside(Some(&behind))).unwrap();
        assert_eq!(pauses.longest_passed.map(|seen| seen.value), Some(Span(0)));
    }

    #[test]
    fn syns_whose_clocks_are_all_behind_that_of_their_address() {
        let mut e = syn(3);
        e.tcp.clock = Some(5_000);
        let contrasts = three(&e);
        let mine = at(e.clone(), 20);
        let mut ahead = reach("a", 25);
        ahead.clock = Some(9_000);
        let found = |other: &Reach| contrasts.clock_behind(&mine, Some(other)).map(|seen| seen.value);
        assert_eq!(found(&ahead), Some(Span::from_secs(4)));
        for (why, clock, secs) in
            [("ahead itself", 2_000, 20), ("reordered", 5_500, 20), ("later", 9_000, 90)]
        {
            let mut other = reach("a", secs);
            other.clock = Some(clock);
            assert_eq!(found(&other), None, "{why}");
        }
        ahead.takes_older = true;
        assert_eq!(found(&ahead), None, "the server takes older ones");
        ahead.takes_older = false;
        assert_eq!(Contrasts::new(8).clock_behind(&mine, Some(&ahead)), None, "one alone");
        let mut some_ahead = three(&e);
        e.tcp.clock = Some(9_500);
        some_ahead.remember(&at(e.clone(), 21));
        assert_eq!(some_ahead.clock_behind(&mine, Some(&ahead)), None, "clocks begin anywhere");
        e.tcp.clock = None;
        assert_eq!(contrasts.clock_behind(&at(e, 20), Some(&ahead)), None, "no timestamps");
    }

    #[test]
    fn a_server_that_takes_older_clocks_is_known_by_that() {
        let (mut ahead, mut behind) = (reach("a", 20), reach("a", 30));
        (ahead.clock, behind.clock) = (Some(9_000), Some(5_000));
        let takes = |former: &Reach, now: &Reach| takes_older(former, now.clock, now.seen.when);
        assert!(takes(&ahead, &behind) && !takes(&behind, &ahead));
        behind.seen.when = behind.seen.when + Span::from_secs(60);
        assert!(!takes(&ahead, &behind), "too late to tell");
    }

    #[test]
    fn fewer_routers_whatever_the_ttl_began_with() {
        assert!(nearer((63, 63), (55, 57)) && nearer((127, 127), (55, 55)));
        assert!(!nearer((55, 55), (55, 55)) && !nearer((50, 63), (55, 55)));
    }
}
