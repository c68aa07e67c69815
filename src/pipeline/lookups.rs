//! Lookups that gave no address: which of them kept a client from TLS.
//!
//! A lookup says nothing of the protocol that would have followed. It counts where the client also asked for
//! the name's HTTPS record (only web clients do), or where a handshake in the capture bears the name. Else it
//! counts where both kinds of addresses were asked for, as a program does that is about to connect, and is
//! only suspected. Probes, service discovery and what a search list appends do not count.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::memory::Recent;
use crate::aside::dns::{DnsAnswer, Rcode, qtype};
use crate::base::{Addr, Endpoint, PacketNo, Seen, Span, Stamp};
use crate::evidence::{Around, Ending, Evidence, Outcome, Stage};

/// A lookup as one shard saw it.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Who asked.
    pub client: Endpoint,
    /// Who answered.
    pub resolver: Endpoint,
    /// The question, where the capture has it.
    pub asked: Option<Seen<()>>,
    /// The answer.
    pub answer: Seen<DnsAnswer>,
}

impl Lookup {
    /// The question, or the answer where the capture lacks it.
    fn begin(&self) -> Seen<()> {
        match &self.asked {
            Some(asked) => asked.clone(),
            None => Seen { value: (), at: self.answer.at.clone(), when: self.answer.when },
        }
    }
}

/// Refused lookups of one client for one name.
#[derive(Debug)]
struct Refused {
    first: Lookup,
    answers: Vec<Seen<DnsAnswer>>,
    due: Stamp,
}

/// Refused lookups that may yet be answered, and what tells which were for TLS.
#[derive(Debug)]
pub struct Lookups {
    waiting: BTreeMap<(Addr, String), Refused>,
    /// When each is judged, by its first packet; those that were answered meanwhile stay behind here.
    due: VecDeque<(Stamp, PacketNo, (Addr, String))>,
    /// Questions for HTTPS records.
    https: Recent<(Addr, String), Seen<&'static str>>,
    /// When a client last found a name.
    found: Recent<(Addr, String), Stamp>,
    /// Names in hellos.
    spoken: Recent<Arc<str>, Seen<&'static str>>,
    wait: Span,
    most: usize,
    /// Lookups forgotten because too many waited.
    pub dropped: u64,
}

impl Lookups {
    /// Answers kept of one refused lookup.
    const ANSWERS: usize = 4;

    /// None yet. A refused lookup waits for `wait`; at most `most` do.
    pub fn new(wait: Span, most: usize) -> Self {
        Self {
            waiting: BTreeMap::new(),
            due: VecDeque::new(),
            https: Recent::new(most, 1),
            found: Recent::new(most, 1),
            spoken: Recent::new(most, 1),
            wait,
            most,
            dropped: 0,
        }
    }

    /// A handshake bears this name, in lower case.
    pub fn spoken(&mut self, name: Arc<str>, hello: Seen<()>) {
        self.spoken.put(name, hello.map(|()| "a handshake bears the name"));
    }

    /// Takes an answer, given at capture time `now`.
    pub fn answered(&mut self, lookup: &Lookup, now: Stamp) {
        let answer = &lookup.answer.value;
        let key = (lookup.client.addr, answer.name.clone());
        if answer.qtype == qtype::HTTPS {
            let asked = lookup.begin().map(|()| "the client asked for the HTTPS record of the name");
            self.https.put(key.clone(), asked);
        }
        if !answer.addresses.is_empty() {
            self.found(&key);
            self.found.put(key, lookup.answer.when);
        } else if refused(answer) && may_be_a_server(&answer.name) {
            self.refuse(key, lookup, now);
        }
    }

    /// A name was found: neither it, nor what it is a part of or has as a part, by a search list, is missed.
    fn found(&mut self, key: &(Addr, String)) {
        let (client, name) = key;
        self.waiting.remove(key);
        for shorter in shorter(name) {
            self.waiting.remove(&(*client, shorter.to_owned()));
        }
        let below = format!("{name}.");
        let longer: Vec<_> = self
            .waiting
            .range((*client, below.clone())..)
            .map(|(key, _)| key)
            .take_while(|(other, waits)| other == client && waits.starts_with(&below))
            .cloned()
            .collect();
        for key in longer {
            self.waiting.remove(&key);
        }
    }

    fn refuse(&mut self, key: (Addr, String), lookup: &Lookup, now: Stamp) {
        if let Some(refused) = self.waiting.get_mut(&key) {
            if refused.answers.len() < Self::ANSWERS {
                refused.answers.push(lookup.answer.clone());
            }
            return;
        }
        // What a search list made of a name that was refused before.
        if shorter(&key.1).any(|name| self.waiting.contains_key(&(key.0, name.to_owned()))) {
            return;
        }
        if self.due.len() >= self.most {
            self.dropped += 1;
            return;
        }
        let due = now + self.wait;
        let no = lookup.answer.at.iter().next().unwrap_or_default();
        self.due.push_back((due, no, key.clone()));
        self.waiting
            .insert(key, Refused { first: lookup.clone(), answers: vec![lookup.answer.clone()], due });
    }

    /// The next lookup that stayed refused until before `now` and was for TLS, as an attempt.
    pub fn next_before(&mut self, now: Stamp) -> Option<Box<Evidence>> {
        while self.due.front().is_some_and(|(due, _, _)| *due < now) {
            let (due, _, key) = self.due.pop_front()?;
            if self.waiting.get(&key).is_some_and(|refused| refused.due == due)
                && let Some(refused) = self.waiting.remove(&key)
                && let Some(evidence) = self.attempt(&key, refused)
            {
                return Some(evidence);
            }
        }
        None
    }

    /// No lookup that waits ended before this packet.
    pub fn earliest(&self) -> Option<PacketNo> {
        self.due.iter().map(|(_, no, _)| *no).min()
    }

    fn attempt(&self, key: &(Addr, String), refused: Refused) -> Option<Box<Evidence>> {
        let for_tls = self.https.get(key).chain(self.spoken.get(key.1.as_str())).next().cloned();
        let asked = |kind: u16| refused.answers.iter().any(|answer| answer.value.qtype == kind);
        let addresses = asked(qtype::A) || asked(qtype::AAAA);
        if !addresses || for_tls.is_none() && !(asked(qtype::A) && asked(qtype::AAAA)) {
            return None;
        }
        // Some servers refuse the kind of address that they do not have.
        if let Some(found) = self.found.get(key).next()
            && (!asked(qtype::A) || refused.first.answer.when - *found < self.wait)
        {
            return None;
        }
        let begin = refused.first.begin();
        let Lookup { client, resolver, .. } = refused.first;
        let first = begin.at.iter().next()?;
        let mut evidence = Evidence::new(client, resolver, first, begin.when);
        let last = refused.answers.last()?;
        evidence.last = last.at.iter().last()?;
        evidence.ended = last.when;
        evidence.stage = Stage::Dns;
        evidence.outcome = Outcome::Failed;
        evidence.ending = Seen { value: Ending::NoAddress, at: last.at.clone(), when: last.when };
        evidence.around = Around { answers: refused.answers, for_tls, ..Around::default() }.into();
        Some(Box::new(evidence))
    }
}

fn refused(answer: &DnsAnswer) -> bool {
    [Rcode::NXDOMAIN, Rcode::SERVFAIL].contains(&Rcode(answer.rcode))
        && [qtype::A, qtype::AAAA, qtype::HTTPS].contains(&answer.qtype)
}

/// What a search list may have made the name of: all that stands before one of its dots.
fn shorter(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').filter_map(|(dot, _)| name.get(..dot))
}

/// Names under which somebody may run a server: neither single labels (browsers make such up to find out whether a
/// resolver lies), nor service and proxy discovery, nor reverse lookups and names without DNS (RFC 6761, 6762, 7686).
fn may_be_a_server(name: &str) -> bool {
    let Some((first, _)) = name.split_once('.') else { return false };
    let top = name.rsplit('.').next().unwrap_or_default();
    !["wpad", "isatap", "localhost"].contains(&first)
        && !["arpa", "local", "localhost", "localdomain", "invalid", "onion"].contains(&top)
        && !name.split('.').any(|label| label.is_empty() || label.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: [u8; 4] = [192, 0, 2, 1];

    fn end(addr: [u8; 4], port: u16) -> Endpoint {
        Endpoint { addr: Addr::v4(addr), port }
    }

    /// The answer in packet `no`, at second `no`.
    fn lookup(name: &str, kind: u16, rcode: u16, no: u64) -> Lookup {
        let when = Stamp::from_secs(i64::try_from(no).unwrap());
        let addresses = if rcode == 0 && kind != 65 { vec![Addr::v4([198, 51, 100, 1])] } else { Vec::new() };
        let answer = DnsAnswer { name: name.into(), qtype: kind, rcode, addresses, ..DnsAnswer::default() };
        Lookup {
            client: end(CLIENT, 40_000),
            resolver: end([192, 0, 2, 53], 53),
            asked: Some(Seen::new((), PacketNo(no - 1), when)),
            answer: Seen::new(answer, PacketNo(no), when),
        }
    }

    fn lookups(answers: &[(&str, u16, u16)]) -> Lookups {
        let mut lookups = Lookups::new(Span::from_secs(10), 8);
        for (no, (name, kind, rcode)) in (2..).step_by(2).zip(answers) {
            let lookup = lookup(name, *kind, *rcode, no);
            lookups.answered(&lookup, lookup.answer.when);
        }
        lookups
    }

    fn judged(lookups: &mut Lookups) -> Vec<(String, bool)> {
        let next = || lookups.next_before(Stamp::from_secs(1_000));
        std::iter::from_fn(next)
            .map(|e| (e.around.answers[0].value.name.clone(), e.around.for_tls.is_some()))
            .collect()
    }

    #[test]
    fn both_kinds_of_addresses_refused_are_one_suspected_attempt() {
        let mut lookups = lookups(&[("www.example.com", 1, 3), ("www.example.com", 28, 3)]);
        assert_eq!(lookups.next_before(Stamp::from_secs(12)).map(|e| e.first), None);
        let evidence = lookups.next_before(Stamp::from_secs(13)).unwrap();
        assert_eq!((evidence.first, evidence.last), (PacketNo(1), PacketNo(4)));
        assert_eq!((evidence.stage, evidence.outcome), (Stage::Dns, Outcome::Failed));
        assert!(evidence.around.for_tls.is_none());
        assert!(judged(&mut lookups).is_empty());
    }

    #[test]
    fn one_kind_alone_counts_where_the_name_is_known_to_be_for_tls() {
        let alone = [("www.example.com", 1, 2)];
        assert_eq!(judged(&mut lookups(&alone)), []);
        let web = [("www.example.com", 65, 2), ("www.example.com", 1, 2)];
        assert_eq!(judged(&mut lookups(&web)), [("www.example.com".to_owned(), true)]);
        let mut spoken = lookups(&alone);
        spoken.spoken("www.example.com".into(), Seen::new((), PacketNo(9), Stamp(9)));
        assert_eq!(judged(&mut spoken), [("www.example.com".to_owned(), true)]);
    }

    #[test]
    fn a_name_that_is_found_in_the_end_was_not_missed() {
        let again = [("www.example.com", 1, 2), ("www.example.com", 28, 2), ("www.example.com", 1, 0)];
        assert_eq!(judged(&mut lookups(&again)), []);
        let searched = [("www.corp", 1, 3), ("www.corp", 28, 3), ("www.corp.example.com", 1, 0)];
        assert_eq!(judged(&mut lookups(&searched)), []);
    }

    #[test]
    fn a_name_that_has_one_kind_of_address_was_not_missed() {
        let web = ("www.example.com", 65, 0);
        assert_eq!(judged(&mut lookups(&[("www.example.com", 1, 0), web, ("www.example.com", 28, 3)])), []);
        assert_eq!(judged(&mut lookups(&[("www.example.com", 28, 0), web, ("www.example.com", 1, 3)])), []);
        let removed = [("www.example.com", 1, 0), web, web, web, web, web, web, ("www.example.com", 1, 3)];
        assert_eq!(judged(&mut lookups(&removed)), [("www.example.com".to_owned(), true)]);
    }

    #[test]
    fn what_a_search_list_appends_is_no_other_attempt() {
        let searched =
            ["www.example.com", "www.example.com.lan"].map(|name| [(name, 1, 3), (name, 28, 3)]).concat();
        assert_eq!(judged(&mut lookups(&searched)), [("www.example.com".to_owned(), false)]);
    }

    #[test]
    fn probes_and_discovery_are_no_attempts() {
        for name in
            ["qzvkwjfl", "wpad.example.com", "_ldap._tcp.example.com", "1.2.0.192.in-addr.arpa", "tv.local"]
        {
            assert_eq!(judged(&mut lookups(&[(name, 1, 3), (name, 28, 3)])), [], "{name}");
        }
    }

    #[test]
    fn names_refused_and_found_in_turn_stay_within_the_bound() {
        let turns: Vec<_> =
            (0..40).map(|turn| ("www.example.com", 1, if turn % 2 == 0 { 3 } else { 0 })).collect();
        let mut lookups = Lookups::new(Span::from_secs(1_000), 8);
        for (no, (name, kind, rcode)) in (2..).step_by(2).zip(&turns) {
            let lookup = lookup(name, *kind, *rcode, no);
            lookups.answered(&lookup, Stamp(0));
        }
        assert_eq!((lookups.due.len(), lookups.dropped), (8, 12));
    }

    #[test]
    fn too_many_that_wait_are_counted() {
        let names: Vec<_> = (0..10).map(|n| format!("n{n}.example.com")).collect();
        let answers: Vec<_> = names.iter().map(|name| (name.as_str(), 1, 3)).collect();
        assert_eq!(lookups(&answers).dropped, 2);
    }
}
