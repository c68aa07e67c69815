//! What clients learned of revocation, for the attempts that it is about.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::memory::Recent;
use crate::base::{Addr, Limits, PacketNo, Seen, Span, Stamp};
use crate::event::{Id, StatusKnown};
use crate::evidence::around::{Revoked, StatusExchange};
use crate::evidence::{Evidence, Outcome, rejection};
use crate::tls::cert::Certificate;
use crate::tls::crl::Crl;
use crate::tls::ocsp::{Response, Signer, Status};
use crate::tls::signature::Verdict;
use crate::tls::trust::Trust;

/// Revocation lists remembered at most; each is looked at for each certificate presented.
const LISTS: usize = 256;
/// Attempts named by one exchange.
const WAITED: usize = 8;

/// An exchange with what is known of it once the attempts around it have ended.
#[derive(Debug)]
pub struct Told {
    /// The exchange.
    pub seen: Arc<Seen<StatusExchange>>,
    /// The subjects of the certificates asked about, where attempts presented them.
    pub subjects: Vec<Option<String>>,
    /// `good`, `bad` or `unknown`.
    pub signature: &'static str,
    /// Attempts of this client that were under way and about it.
    pub waited_for: Vec<Id>,
    /// When it was decided, on capture time.
    pub decided: Stamp,
}

impl Told {
    /// What its event says beside the exchange itself.
    pub fn known<'a>(&'a self, capture: &'a str) -> StatusKnown<'a> {
        StatusKnown {
            subjects: &self.subjects,
            signature: self.signature,
            waited_for: &self.waited_for,
            capture,
        }
    }
}

/// When an exchange is told, and its place among others told then.
type Due = (Stamp, PacketNo, u32);

/// Before all others.
const FIRST: Due = (Stamp(i64::MIN), PacketNo(0), 0);

/// A list that was downloaded.
#[derive(Debug)]
struct Listed {
    crl: Arc<Crl>,
    seen: Seen<()>,
    /// Whether the issuer signed it, once somebody knew the issuer.
    verdict: Option<Verdict>,
}

/// The memory.
#[derive(Debug)]
pub struct Statuses {
    by_client: Recent<Addr, Arc<Seen<StatusExchange>>>,
    /// OCSP answers that say revoked, by serial number.
    revoked: Recent<String, Arc<Seen<StatusExchange>>>,
    lists: VecDeque<Listed>,
    lists_bytes: usize,
    waiting: BTreeMap<Due, Told>,
    /// Those that wait, by client: each attempt that ends asks for its own.
    of_client: BTreeSet<(Addr, Due)>,
    wait: Span,
    most_bytes: usize,
    most_waiting: usize,
    /// Lists that left a full memory.
    pub dropped: u64,
}

impl Statuses {
    /// Nothing yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            by_client: Recent::new(limits.servers, 8),
            revoked: Recent::new(limits.servers, 2),
            lists: VecDeque::new(),
            lists_bytes: 0,
            waiting: BTreeMap::new(),
            of_client: BTreeSet::new(),
            // As a failure waits for its siblings: by then the attempts that waited for it have ended.
            wait: limits.sibling,
            most_bytes: limits.lists_bytes,
            most_waiting: limits.held_events,
            dropped: 0,
        }
    }

    /// Takes an exchange, told at capture time `now`. One that waits gives way to it where too many do.
    pub fn put(&mut self, seen: Seen<StatusExchange>, now: Stamp) -> Option<Told> {
        let seen = Arc::new(seen);
        let exchange = &seen.value;
        self.by_client.put(exchange.client.addr, Arc::clone(&seen));
        for answer in exchange.response.iter().flat_map(|response| &response.answers) {
            if matches!(answer.status, Status::Revoked { .. }) {
                self.revoked.put(answer.id.serial.clone(), Arc::clone(&seen));
            }
        }
        if let Some(crl) = &exchange.crl {
            self.keep(Arc::clone(crl), Seen { value: (), at: seen.at.clone(), when: seen.when });
        }
        let told = Told {
            subjects: vec![None; exchange.asked.len()],
            signature: "unknown",
            waited_for: Vec::new(),
            decided: now + self.wait,
            seen: Arc::clone(&seen),
        };
        let due = (now + self.wait, exchange.first, exchange.nth);
        self.of_client.insert((exchange.client.addr, due));
        self.waiting.insert(due, told);
        if self.waiting.len() > self.most_waiting { self.pop() } else { None }
    }

    /// The one that was to be told first.
    fn pop(&mut self) -> Option<Told> {
        let (due, told) = self.waiting.pop_first()?;
        self.of_client.remove(&(told.seen.value.client.addr, due));
        Some(told)
    }

    fn keep(&mut self, crl: Arc<Crl>, seen: Seen<()>) {
        let same = |other: &Listed| {
            other.crl.issuer_der == crl.issuer_der
                && other.crl.scope == crl.scope
                && other.crl.delta == crl.delta
        };
        if let Some(place) = self.lists.iter().position(same) {
            if self.lists.get(place).is_some_and(|other| other.crl.this_update > crl.this_update) {
                return;
            }
            self.remove(place);
        }
        self.lists_bytes += crl.bytes();
        self.lists.push_back(Listed { crl, seen, verdict: None });
        while self.lists.len() > LISTS || self.lists_bytes > self.most_bytes {
            self.dropped += 1;
            self.remove(0);
        }
    }

    fn remove(&mut self, place: usize) {
        if let Some(gone) = self.lists.remove(place) {
            self.lists_bytes = self.lists_bytes.saturating_sub(gone.crl.bytes());
        }
    }

    /// The exchanges of a client that began in this time, newest first, at most four.
    pub fn during(&self, client: Addr, from: Stamp, to: Stamp) -> Vec<Seen<StatusExchange>> {
        let during = |seen: &&Arc<Seen<StatusExchange>>| seen.when >= from && seen.when <= to;
        self.by_client.get(&client).filter(during).take(4).map(|seen| seen.as_ref().clone()).collect()
    }

    /// An attempt has ended: names it in the exchanges that it waited for.
    pub fn ended(&mut self, evidence: &Evidence, trust: &Trust) {
        if self.waiting.is_empty() || evidence.server_hello.is_none() {
            return;
        }
        let chain = evidence.chain.clear().map_or(&[][..], |chain| &chain.value);
        let (from, to) = verifying(evidence);
        let client = evidence.client.addr;
        let of_client = self.of_client.range((client, FIRST)..).take_while(|(other, _)| *other == client);
        for (_, due) in of_client {
            let Some(told) = self.waiting.get_mut(due) else { continue };
            let exchange = &told.seen.value;
            if !chain.is_empty() {
                for (id, subject) in exchange.asked.iter().zip(&mut told.subjects) {
                    let cert = chain.iter().find(|cert| id.is_of(cert));
                    if subject.is_none() {
                        *subject = cert.map(|cert| cert.called());
                    }
                }
            }
            let about = exchange.about(chain);
            if let (Some(cert), "unknown") = (about.and_then(|place| chain.get(place)), told.signature)
                && let Some(issuer) = issuer_of(cert, chain, trust)
            {
                told.signature = match (&exchange.response, &exchange.crl) {
                    (Some(response), _) if !response.answers.is_empty() => {
                        response.signer(&issuer, told.seen.when).word()
                    }
                    (_, Some(crl)) => word(crl.signed(&issuer)),
                    _ => "unknown",
                };
            }
            let overlaps = (from..=to).contains(&told.seen.when);
            let sealed = evidence.chain.clear().is_none();
            if overlaps && (sealed || about.is_some()) && told.waited_for.len() < WAITED {
                told.waited_for.push(Id::of(evidence));
            }
        }
    }

    /// The next exchange that was to be told before `now`.
    pub fn next_before(&mut self, now: Stamp) -> Option<Told> {
        let (due, _) = self.waiting.first_key_value()?;
        if due.0 < now { self.pop() } else { None }
    }

    /// No exchange that waits ended before this packet.
    pub fn earliest(&self) -> Option<PacketNo> {
        self.waiting.values().map(|told| told.seen.value.last).min()
    }

    /// A presented certificate that is revoked by what was seen up to the attempt's end.
    pub fn revoked(&mut self, evidence: &Evidence, trust: &Trust) -> Option<Seen<Revoked>> {
        if self.lists.is_empty() && self.revoked.is_empty() {
            return None;
        }
        let chain = &evidence.chain.clear()?.value;
        chain.iter().enumerate().find_map(|(place, cert)| {
            let issuer = || issuer_of(cert, chain, trust);
            let (by, (at, reason), verified, seen) = self
                .by_list(cert, &issuer, evidence.ended)
                .or_else(|| self.by_answer(cert, &issuer, evidence.ended))?;
            Some(seen.map(|()| Revoked {
                certificate: place,
                called: cert.called(),
                by,
                at,
                reason,
                verified,
            }))
        })
    }

    fn by_list(
        &mut self,
        cert: &Certificate,
        issuer: &dyn Fn() -> Option<Arc<Certificate>>,
        until: Stamp,
    ) -> Option<Ground> {
        let known = |listed: &&mut Listed| listed.seen.when <= until && listed.crl.is_current(until);
        self.lists.iter_mut().filter(known).find_map(|listed| {
            let (at, reason) = listed.crl.revokes(cert)?;
            if listed.verdict.is_none() {
                listed.verdict = issuer().map(|issuer| listed.crl.signed(&issuer));
            }
            let verified = listed.verdict.is_some_and(Verdict::holds);
            let forged = listed.verdict.is_some_and(Verdict::fails);
            (!forged).then(|| ("a CRL", (at, reason.map(u32::from)), verified, listed.seen.clone()))
        })
    }

    fn by_answer(
        &self,
        cert: &Certificate,
        issuer: &dyn Fn() -> Option<Arc<Certificate>>,
        until: Stamp,
    ) -> Option<Ground> {
        let known = |seen: &&Arc<Seen<StatusExchange>>| seen.when <= until;
        self.revoked.get(&cert.serial).filter(known).find_map(|seen| {
            let response: &Response = seen.value.response.as_ref()?;
            let answer = response.about(cert)?;
            let Status::Revoked { at, reason } = answer.status else { return None };
            let issuer = issuer();
            if issuer.as_ref().is_some_and(|issuer| answer.id.is_issued_by(issuer) == Some(false)) {
                return None;
            }
            let signer = issuer.map_or(Signer::Unknown, |issuer| response.signer(&issuer, seen.when));
            let seen = Seen { value: (), at: seen.at.clone(), when: seen.when };
            let forged = matches!(signer, Signer::Untrusted(_));
            (!forged).then(|| ("an OCSP answer", (at, reason), signer != Signer::Unknown, seen))
        })
    }
}

/// What says that a certificate is revoked, since when and why, whether its signature was verified, and where it was seen.
type Ground = (&'static str, (Stamp, Option<u32>), bool, Seen<()>);

/// When the client could have waited for a status: behind the server's flight, or its certificates in clear; up to its own
/// Finished, or the end of an attempt that failed.
pub fn verifying(evidence: &Evidence) -> (Stamp, Stamp) {
    let shown = evidence.chain.clear().map(|chain| chain.when);
    let from = shown.or_else(|| rejection::flight(evidence)).unwrap_or(evidence.started);
    let finished = evidence.sealing.finished.client.as_ref().map(|finished| finished.when);
    let completed = matches!(evidence.outcome, Outcome::Completed | Outcome::Resumed);
    (from, finished.filter(|_| completed).unwrap_or(evidence.ended))
}

/// The certificate of who issued this one: presented, or a root.
pub fn issuer_of(cert: &Certificate, chain: &[Arc<Certificate>], trust: &Trust) -> Option<Arc<Certificate>> {
    let presented = chain.iter().filter(|other| other.subject_der == cert.issuer_der).cloned();
    let roots = trust.named(&cert.issuer_der).into_iter().map(|root| root.cert);
    presented.chain(roots).find(|issuer| !cert.signed_by(issuer).fails())
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Bad => "bad",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use crate::evidence::Chain;
    use crate::tls::cert::forge::{Forge, Key};
    use crate::tls::crl::tests::list;

    const SECOND: [&str; 2] = ["20260101000000Z", "20270101000000Z"];

    /// A list that names the leaf's serial number, or none, by a key, and a completed attempt that presents leaf and issuer.
    fn story(named: bool, own_key: bool) -> (Seen<StatusExchange>, Evidence) {
        let (key, leaf_key) = (Key::new(), Key::new());
        let issuer = Forge::ca("Issuer", "Issuer").sign(&key, &key);
        let leaf = Forge::leaf("example.com", "Issuer").sign(&leaf_key, &key);
        let number = u128::from_str_radix(&leaf.serial, 16).unwrap().to_be_bytes();
        let serials: &[&[u8]] = if named { &[&number] } else { &[&[77]] };
        let der = list(&issuer, if own_key { &key } else { &leaf_key }, serials, SECOND);
        let mut evidence = fixture::completed();
        let mut seen = fixture::exchanges().remove(2);
        seen.value.crl = Crl::read(&der, 9).map(Arc::new);
        seen.when = evidence.started;
        evidence.chain = Chain::Clear(Seen::new(vec![leaf, issuer], PacketNo(6), evidence.started));
        (seen, evidence)
    }

    fn revoked(named: bool, own_key: bool) -> Option<Seen<Revoked>> {
        let (seen, evidence) = story(named, own_key);
        let mut statuses = Statuses::new(&Limits::default());
        statuses.put(seen, evidence.started);
        statuses.revoked(&evidence, &Trust::empty("none"))
    }

    #[test]
    fn a_presented_certificate_that_a_signed_list_names_is_revoked() {
        let found = revoked(true, true).unwrap();
        assert_eq!((found.value.certificate, found.value.by, found.value.verified), (0, "a CRL", true));
        assert!(!found.at.is_empty());
    }

    #[test]
    fn neither_another_list_nor_one_of_a_foreign_key_revokes() {
        assert_eq!(revoked(false, true), None);
        assert_eq!(revoked(true, false), None);
    }

    #[test]
    fn what_was_learned_behind_the_end_does_not_count() {
        let (mut seen, evidence) = story(true, true);
        seen.when = evidence.ended + Span::from_secs(1);
        let mut statuses = Statuses::new(&Limits::default());
        statuses.put(seen, evidence.ended);
        assert_eq!(statuses.revoked(&evidence, &Trust::empty("none")), None);
    }

    #[test]
    fn lists_beyond_the_bound_leave_and_are_counted() {
        let mut statuses = Statuses::new(&Limits { lists_bytes: 1_500, ..Limits::default() });
        for _ in 0..4 {
            let (mut seen, evidence) = story(true, true);
            if let Some(crl) = seen.value.crl.as_mut().and_then(Arc::get_mut) {
                crl.scope = vec![
                    u8::try_from(statuses.dropped).unwrap(),
                    u8::try_from(statuses.lists.len()).unwrap(),
                ];
            }
            statuses.put(seen, evidence.started);
        }
        assert!(statuses.lists_bytes <= 1_500 && statuses.dropped > 0);
    }

    #[test]
    fn an_attempt_that_was_under_way_waited_for_the_exchange_about_its_chain() {
        let (seen, mut evidence) = story(true, true);
        let mut statuses = Statuses::new(&Limits::default());
        evidence.client = seen.value.client;
        statuses.put(seen, evidence.started);
        statuses.ended(&evidence, &Trust::empty("none"));
        let told = statuses.next_before(Stamp(i64::MAX)).unwrap();
        assert_eq!((told.waited_for, told.signature), (vec![Id::of(&evidence)], "good"));
    }
}
