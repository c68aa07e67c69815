//! Memory of clocks: what hosts told of the time, and what that says of the capture's.
//!
//! One reading for each host is kept (see [`crate::evidence::clock`] for what a reading is), and the times of the latest
//! hellos of hosts whose clock is not known: two of one host that lie as far apart as their packets make a reading.
//! The capture's own clock is put to the vote of the hosts heard within the hour: it is contradicted where more of them
//! agree with each other than with it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::memory::Recent;
use super::statuses::issuer_of;
use crate::base::{Addr, Seen, Span, Stamp};
use crate::evidence::Evidence;
use crate::evidence::around::StatusExchange;
use crate::evidence::clock::{Clocks as Known, Reading, Witness, of_hellos};
use crate::tls::cert::Certificate;
use crate::tls::ocsp::{Response, Signer};
use crate::tls::trust::Trust;

/// Hosts that have a vote: enough that a few wrong clocks among many are outvoted.
const VOTERS: usize = 64;
/// Issuers whose certificates begin behind the capture.
const ISSUERS: usize = 16;
/// Clocks are set now and then: what was told longer ago than this may be no more.
const FRESH: Span = Span::from_secs(3_600);
/// What the same host tells within this is the same.
const AGAIN: Span = Span::from_secs(60);
/// Two hellos at least so far apart tell whether what they tell runs on; and how exactly it has to. Both times are whole
/// seconds, and packets are stamped a little later than hellos are made.
const APART: Span = Span::from_secs(2);
const EXACT: Span = Span::from_millis(1_500);
/// Caches hand out what is older than today, without always saying so; older than lists and answers live it is a clock.
const CACHED: Span = Span(31 * Span::DAY.0);

/// The memory.
#[derive(Debug)]
pub(super) struct Clocks {
    /// Times in hellos that are far from the capture's.
    told: Recent<Addr, Seen<Stamp>>,
    /// Hosts' own clocks.
    hosts: Recent<Addr, Seen<Reading>>,
    /// The latest readings, each of another host.
    voters: VecDeque<Seen<Reading>>,
    /// Certificates that begin behind the capture, each of another issuer.
    early: VecDeque<(Arc<Certificate>, Seen<Reading>)>,
}

impl Clocks {
    /// Nothing yet; at most so many hosts.
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            told: Recent::new(hosts, 4),
            hosts: Recent::new(hosts, 1),
            voters: VecDeque::new(),
            early: VecDeque::new(),
        }
    }

    /// Has fetched where a search for these hosts begins.
    #[inline]
    pub(super) fn approach(&self, hosts: [Addr; 2]) {
        hosts.iter().for_each(|host| self.told.approach(host));
    }

    /// An attempt has ended: takes the times in it.
    pub(super) fn learn(&mut self, evidence: &Evidence, trust: &Trust) {
        for (host, told) in of_hellos(evidence).into_iter().flatten() {
            self.hello(host, told);
        }
        let host = evidence.server.addr;
        let Some(chain) = evidence.chain.clear() else { return };
        if let Some(leaf) = chain.value.first() {
            if let Some(logged) = leaf.scts.1
                && logged - chain.when > Reading::OFF
            {
                let reading = Reading { host, ahead: logged - chain.when, by: Witness::Timestamp };
                self.hear(Seen { value: reading, at: chain.at.clone(), when: chain.when });
            }
            if leaf.not_before - chain.when > Reading::OFF {
                let reading = Reading { host, ahead: leaf.not_before - chain.when, by: Witness::NotBefore };
                self.begins_early(leaf, Seen { value: reading, at: chain.at.clone(), when: chain.when });
            }
        }
        if let Some(staple) = &evidence.staple {
            let issuer = || issuer_of(chain.value.first()?, &chain.value, trust);
            let ours = Seen { value: (), at: staple.at.clone(), when: staple.when };
            self.answer(host, &staple.value, &issuer, ours);
        }
    }

    /// An HTTP answer was dated.
    pub(super) fn dated(&mut self, host: Addr, date: Seen<Stamp>) {
        let ahead = date.value - date.when;
        if (-CACHED.0..-Reading::OFF.0).contains(&ahead.0) {
            return;
        }
        self.hear(date.map(|_| Reading { host, ahead, by: Witness::Date }));
    }

    /// An exchange about revocation: its Date.
    pub(super) fn exchanged(&mut self, seen: &Seen<StatusExchange>) {
        if let (Some(clock), Some(first)) = (seen.value.clock, seen.value.first_us) {
            let date = Seen { value: clock, at: seen.at.clone(), when: seen.when + Span(first) };
            self.dated(seen.value.responder.addr, date);
        }
    }

    /// The OCSP answers that a client got over HTTP about the certificates presented to it.
    pub(super) fn answered(&mut self, evidence: &Evidence, trust: &Trust) {
        let Some(chain) = evidence.chain.clear() else { return };
        for seen in &evidence.around.ocsp {
            if let (Some(response), Some(place)) = (&seen.value.response, seen.value.about(&chain.value)) {
                let issuer = || issuer_of(chain.value.get(place)?, &chain.value, trust);
                let ours = Seen { value: (), at: seen.at.clone(), when: seen.value.ended };
                self.answer(seen.value.responder.addr, response, &issuer, ours);
            }
        }
    }

    /// A signed answer cannot be older than its signature. One that was made shortly before says that the capture's clock is
    /// right.
    fn answer(
        &mut self,
        host: Addr,
        response: &Response,
        issuer: &dyn Fn() -> Option<Arc<Certificate>>,
        seen: Seen<()>,
    ) {
        let Some(produced) = response.produced_at else { return };
        let ahead = produced - seen.when;
        if ahead.0 < -Reading::OFF.0 {
            return;
        }
        let mut verified = false;
        if ahead > Reading::OFF {
            // By its own time: by the capture's, a delegate may have yet to become valid.
            match issuer().map(|issuer| response.signer(&issuer, produced)) {
                Some(Signer::Issuer | Signer::Delegate) => verified = true,
                Some(Signer::Untrusted(_)) => return,
                _ => {}
            }
        }
        self.hear(seen.map(|()| Reading { host, ahead, by: Witness::Answer { verified } }));
    }

    fn hello(&mut self, host: Addr, told: Seen<Stamp>) {
        let ahead = told.value - told.when;
        if ahead.0.saturating_abs() <= Reading::OFF.0 {
            return self.hear(told.map(|_| Reading { host, ahead, by: Witness::Hello }));
        }
        let runs_on = |other: &&Seen<Stamp>| {
            let passed = told.when - other.when;
            passed.0.saturating_abs() >= APART.0 && apart(told.value - other.value, passed) <= EXACT
        };
        let other = self.told.get(&host).find(runs_on).map(|other| other.at.clone());
        if let Some(at) = other {
            let reading = Reading { host, ahead, by: Witness::Hellos };
            self.hear(Seen { value: reading, at: at.and(&told.at), when: told.when });
        }
        self.told.put(host, told);
    }

    fn hear(&mut self, seen: Seen<Reading>) {
        let (host, exact) = (seen.value.host, seen.value.is_exact());
        let same = |other: &Seen<Reading>| other.value.host == host && other.value.is_exact() == exact;
        if let Some(place) = self.voters.iter().position(same) {
            let again = self.voters.get(place).is_some_and(|other| {
                (seen.when - other.when).0.saturating_abs() < AGAIN.0
                    && apart(seen.value.ahead, other.value.ahead) < APART
                    && seen.value.by == other.value.by
            });
            if again {
                return;
            }
            self.voters.remove(place);
        } else if self.voters.len() >= VOTERS {
            self.voters.pop_front();
        }
        if exact {
            self.hosts.put(host, seen.clone());
        }
        self.voters.push_back(seen);
    }

    /// A certificate begins behind the capture.
    fn begins_early(&mut self, leaf: &Arc<Certificate>, seen: Seen<Reading>) {
        if let Some(place) = self.early.iter().position(|(other, _)| other.issuer_der == leaf.issuer_der) {
            self.early.remove(place);
        } else if self.early.len() >= ISSUERS {
            self.early.pop_front();
        }
        self.early.push_back((Arc::clone(leaf), seen));
    }

    /// What is known of the clocks around an attempt.
    pub(super) fn around(&self, evidence: &Evidence) -> Known {
        let [client, server] = of_hellos(evidence);
        let client = self.of_host(evidence.client.addr, client, evidence.ended);
        let server = self.of_host(evidence.server.addr, server, evidence.ended);
        let fresh = |seen: &&Seen<Reading>| is_fresh(seen, evidence.ended);
        let heard = || self.voters.iter().rev().filter(fresh);
        let right = || heard().filter(|seen| !seen.value.is_off());
        // Of the client's clock, and of time since a start, nothing follows for the capture's.
        let wrong = || {
            heard().filter(|seen| {
                seen.value.is_off()
                    && seen.value.host != evidence.client.addr
                    && !seen.value.may_count_from_start(seen.when)
            })
        };
        let with = |one: &Seen<Reading>| -> Vec<_> {
            wrong().filter(|other| agree(&one.value, &other.value)).cloned().collect()
        };
        // All that agree with one exact clock agree with each other, and so do all that tell bounds.
        let exact = wrong().filter(|seen| seen.value.is_exact()).map(with).max_by_key(Vec::len);
        let mut against = exact.or_else(|| wrong().next().map(with)).unwrap_or_default();
        let issuer =
            evidence.known_chain().and_then(|chain| chain.value.first()).map(|leaf| &leaf.issuer_der);
        let early = self.early.iter().rev().filter(|(leaf, seen)| {
            is_fresh(seen, evidence.ended)
                && Some(&leaf.issuer_der) != issuer
                && seen.value.host != evidence.server.addr
        });
        let early: Vec<_> = early
            .map(|(_, seen)| seen)
            .filter(|seen| against.iter().all(|other| agree(&other.value, &seen.value)))
            .collect();
        // One may be made so.
        if !against.is_empty() || early.len() >= 2 {
            against.extend(early.into_iter().cloned());
        }
        if against.len() <= right().count() {
            against.clear();
        }
        against.sort_by_key(|seen| !seen.value.is_exact());
        against.truncate(4);
        Known { client, server, agrees: right().next().cloned(), against }
    }

    /// A host's own clock, best by the hello of the attempt itself: one address may stand for many hosts.
    fn of_host(&self, host: Addr, hello: Option<(Addr, Seen<Stamp>)>, at: Stamp) -> Option<Seen<Reading>> {
        let known = self.hosts.get(&host).find(|seen| is_fresh(seen, at));
        if let Some((_, told)) = hello {
            let ahead = told.value - told.when;
            if ahead.0.saturating_abs() <= Reading::OFF.0 {
                return Some(told.map(|_| Reading { host, ahead, by: Witness::Hello }));
            }
            if let Some(seen) = known
                && seen.value.by == Witness::Hellos
                && apart(seen.value.ahead, ahead).0 <= 2 * EXACT.0
            {
                return Some(seen.clone());
            }
        }
        known.filter(|seen| seen.value.by == Witness::Date).cloned()
    }
}

fn is_fresh(seen: &Seen<Reading>, at: Stamp) -> bool {
    (seen.when - at).0.saturating_abs() <= FRESH.0
}

/// How far two readings lie apart.
fn apart(one: Span, other: Span) -> Span {
    Span(one.0.saturating_sub(other.0).saturating_abs())
}

/// Whether both can be true of one time: exact ones are the same, others are no later.
fn agree(one: &Reading, other: &Reading) -> bool {
    let same = apart(one.ahead, other.ahead) <= Reading::SAME;
    match (one.is_exact(), other.is_exact()) {
        (true, true) => same,
        (true, false) => same || one.ahead > other.ahead,
        (false, true) => same || one.ahead < other.ahead,
        (false, false) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::PacketNo;
    use crate::evidence::Chain;
    use crate::evidence::clock::Contradiction;
    use crate::evidence::fixture::{CLIENT, SERVER, START, answered, certificate, seen};
    use crate::tls::codes::Version;

    const YEAR: Span = Span::from_secs(365 * 86_400);

    fn host(n: u8) -> Addr {
        Addr::v4([198, 51, 100, n])
    }

    /// A time told `secs` after the start, by a clock that is so far ahead.
    fn told(secs: i64, ahead: Span) -> Seen<Stamp> {
        let when = START + Span::from_secs(secs);
        Seen::new(Stamp::from_secs((when + ahead).secs()), PacketNo(10 + secs.unsigned_abs()), when)
    }

    fn clocks() -> Clocks {
        Clocks::new(16)
    }

    /// A TLS 1.2 attempt whose hellos tell these times, each by its distance.
    fn attempt(client: Option<Span>, server: Option<Span>) -> Evidence {
        let mut e = answered(Version::TLS12);
        let random = |ahead: Option<Span>| {
            let mut random = [7; 32];
            if let Some(ahead) = ahead {
                let gmt = u32::try_from((START + ahead).secs()).unwrap();
                random[..4].copy_from_slice(&gmt.to_be_bytes());
            }
            random
        };
        let hello = e.hello.as_mut().unwrap();
        hello.value.supported_versions.clear();
        hello.value.random = random(client);
        e.server_hello.as_mut().unwrap().value.random = random(server);
        e
    }

    fn contradiction(clocks: &Clocks) -> Option<Contradiction> {
        clocks.around(&attempt(None, None)).contradiction()
    }

    #[test]
    fn a_hello_near_the_packets_time_is_real_and_says_that_the_capture_is_right() {
        let mut clocks = clocks();
        let attempt = attempt(Some(Span::from_secs(-1)), None);
        clocks.learn(&attempt, &Trust::empty("none"));
        let known = clocks.around(&attempt);
        let client = known.client.unwrap().value;
        assert_eq!((client.host, client.by), (CLIENT.addr, Witness::Hello));
        assert_eq!(known.agrees.unwrap().value.host, CLIENT.addr);
        assert_eq!(known.server, None, "random bytes");
    }

    #[test]
    fn a_clock_far_off_is_real_where_two_hellos_run_on_with_the_packets() {
        let mut clocks = clocks();
        clocks.hello(CLIENT.addr, told(-60, YEAR));
        let attempt = attempt(Some(YEAR), None);
        assert_eq!(clocks.around(&attempt).client, None, "one may be random");
        clocks.learn(&attempt, &Trust::empty("none"));
        let client = clocks.around(&attempt).client.unwrap();
        assert_eq!(client.value.by, Witness::Hellos);
        assert_eq!(client.at.iter().count(), 2, "both hellos are cited");
        assert_eq!(clocks.around(&attempt).against, [], "a wrong client says nothing of the capture");
    }

    #[test]
    fn absent_where_hellos_repeat_jump_or_come_at_once() {
        for (why, first, second) in [
            (
                "the same bytes again",
                told(0, YEAR),
                Seen { when: START + Span::from_secs(9), ..told(0, YEAR) },
            ),
            ("random", told(0, YEAR), told(9, Span(3 * YEAR.0))),
            ("at once", told(0, YEAR), told(1, YEAR)),
        ] {
            let mut clocks = clocks();
            clocks.hello(CLIENT.addr, first);
            clocks.hello(CLIENT.addr, second);
            assert!(clocks.voters.is_empty(), "{why}");
        }
    }

    #[test]
    fn another_host_behind_the_same_address_has_a_clock_of_its_own() {
        let mut clocks = clocks();
        for secs in [-60, -30] {
            clocks.hello(CLIENT.addr, told(secs, YEAR));
        }
        assert!(clocks.around(&attempt(Some(YEAR), None)).client.is_some());
        assert_eq!(clocks.around(&attempt(None, None)).client, None);
        let right = clocks.around(&attempt(Some(Span(0)), None)).client.unwrap();
        assert!(!right.value.is_off());
    }

    #[test]
    fn hosts_that_agree_with_each_other_outvote_the_capture() {
        let mut clocks = clocks();
        clocks.dated(host(1), told(0, YEAR));
        assert_eq!(contradiction(&clocks), Some(Contradiction::One));
        clocks.dated(host(1), told(100, YEAR));
        assert_eq!(contradiction(&clocks), Some(Contradiction::One), "one host has one vote");
        clocks.dated(host(2), told(0, Span(YEAR.0 + 2_000_000)));
        assert_eq!(contradiction(&clocks), Some(Contradiction::Firm));
        clocks.dated(host(3), told(0, Span(0)));
        assert_eq!(contradiction(&clocks), Some(Contradiction::Firm), "two against one");
        clocks.dated(host(4), told(0, Span(0)));
        assert_eq!(contradiction(&clocks), None);
    }

    #[test]
    fn clocks_that_are_wrong_each_in_its_way_say_little() {
        let mut clocks = clocks();
        clocks.dated(host(1), told(0, YEAR));
        clocks.dated(host(2), told(0, Span(2 * YEAR.0)));
        assert_eq!(contradiction(&clocks), Some(Contradiction::One));
    }

    #[test]
    fn what_was_told_long_ago_or_before_the_clock_was_set_is_forgotten() {
        let mut clocks = clocks();
        clocks.dated(host(1), told(-7_200, YEAR));
        assert_eq!(contradiction(&clocks), None);
    }

    #[test]
    fn a_date_of_days_ago_may_be_a_caches() {
        let mut clocks = clocks();
        clocks.dated(host(1), told(0, Span(-7 * Span::DAY.0)));
        assert_eq!(contradiction(&clocks), None);
        clocks.dated(host(1), told(0, Span(-YEAR.0)));
        assert_eq!(contradiction(&clocks), Some(Contradiction::One));
    }

    #[test]
    fn time_since_a_start_is_not_held_against_the_capture() {
        let mut clocks = clocks();
        for secs in [0, 3] {
            clocks.hello(host(1), told(secs, Span(86_400 * 1_000_000 - START.0)));
        }
        assert_eq!((clocks.voters.len(), contradiction(&clocks)), (1, None));
    }

    /// An attempt at a server that shows such a leaf.
    fn showing(n: u8, issuer: &str, begins: Span, logged: Option<Span>) -> Evidence {
        let mut leaf = (*certificate("a", &[])).clone();
        leaf.issuer_der = issuer.as_bytes().to_vec();
        leaf.not_before = START + begins;
        leaf.scts.1 = logged.map(|logged| START + logged);
        let mut e = attempt(None, None);
        e.server.addr = host(n);
        e.chain = Chain::Clear(seen(vec![Arc::new(leaf)], 6, 41));
        e
    }

    #[test]
    fn a_certificate_logged_in_the_future_refutes_the_capture() {
        let mut clocks = clocks();
        let own = showing(1, "CA", YEAR, Some(YEAR));
        clocks.learn(&own, &Trust::empty("none"));
        assert_eq!(clocks.around(&own).contradiction(), Some(Contradiction::Firm));
    }

    #[test]
    fn certificates_to_come_of_several_issuers_refute_the_capture_but_not_those_of_one() {
        let mut clocks = clocks();
        let own = showing(1, "CA 1", YEAR, None);
        clocks.learn(&own, &Trust::empty("none"));
        clocks.learn(&showing(2, "CA 1", YEAR, None), &Trust::empty("none"));
        clocks.learn(&showing(3, "CA 2", YEAR, None), &Trust::empty("none"));
        assert_eq!(clocks.around(&own).contradiction(), None, "one other issuer");
        clocks.learn(&showing(4, "CA 3", YEAR, None), &Trust::empty("none"));
        assert_eq!(clocks.around(&own).contradiction(), Some(Contradiction::Firm));
    }

    #[test]
    fn bounds_and_clocks_agree_where_the_clock_is_no_earlier() {
        let reading = |ahead, by| Reading { host: SERVER.addr, ahead, by };
        let (date, logged) =
            (|ahead| reading(ahead, Witness::Date), |ahead| reading(ahead, Witness::Timestamp));
        let twice = Span(2 * YEAR.0);
        for (one, other, agreed) in [
            (date(YEAR), date(YEAR), true),
            (date(YEAR), date(twice), false),
            (date(twice), logged(YEAR), true),
            (date(YEAR), logged(twice), false),
            (logged(YEAR), logged(twice), true),
        ] {
            assert_eq!((agree(&one, &other), agree(&other, &one)), (agreed, agreed), "{one:?} {other:?}");
        }
    }

    #[test]
    fn the_voters_are_bounded() {
        let mut clocks = clocks();
        for n in 0..=255 {
            clocks.dated(host(n), told(0, YEAR));
        }
        for n in 0..=255 {
            clocks.learn(&showing(1, &n.to_string(), YEAR, None), &Trust::empty("none"));
        }
        assert_eq!((clocks.voters.len(), clocks.early.len()), (VOTERS, ISSUERS));
    }
}
