//! What clients were told of names and addresses, so that a handshake can be compared with it.
//!
//! Memory is shared so that a flood of names hides little: refusals have their own place, and so have clients that ask for
//! many names; and while names come so fast that they will soon be forgotten, what a client was told last is kept with each
//! connection that it begins.

use std::hash::Hash;
use std::sync::Arc;

use crate::aside::dns::DnsAnswer;
use crate::aside::dns::hidden::{DISCOVERY, Way};
use crate::base::{Addr, Endpoint, Seen, Span, Stamp};
use crate::evidence::Evidence;
use crate::evidence::around::Rival;
use crate::pipeline::memory::Recent;

/// An answer, shared by all that lead to it.
pub(in crate::pipeline) type Answer = Arc<Seen<DnsAnswer>>;
/// A host name.
type Name = Arc<str>;

/// Names that a client asks for in a minute: beyond, it has a place apart. A browser that opens a page asks for a hundred.
const MANY: u32 = 1_000;
const MINUTE: Span = Span::from_secs(60);
/// Addresses of one answer by which it can be found.
const ADDRESSES: usize = 16;

/// A memory in which clients that write much take room from each other only.
#[derive(Debug)]
struct Fair<K, V> {
    calm: Recent<K, V>,
    busy: Recent<K, V>,
}

impl<K: Hash + Eq, V> Fair<K, V> {
    fn new(keys: usize, each: usize) -> Self {
        Self { calm: Recent::new(keys, each), busy: Recent::new(keys / 4, each) }
    }

    fn put(&mut self, busy: bool, key: K, value: V) {
        let place = if busy { &mut self.busy } else { &mut self.calm };
        place.put(key, value);
    }

    fn get(&self, key: &K) -> impl Iterator<Item = &V> {
        self.calm.get(key).chain(self.busy.get(key))
    }

    fn dropped(&self) -> u64 {
        self.calm.dropped + self.busy.dropped
    }
}

/// Answers by all that a handshake may be compared by.
#[derive(Debug)]
pub struct Told {
    /// Addresses, by client and name.
    by_client: Fair<(Addr, Name), Answer>,
    /// Refusals, by client and name.
    denied: Fair<(Addr, Name), Answer>,
    /// Addresses, by name: who was told.
    by_name: Fair<Name, (Addr, Answer)>,
    /// By client and the address given.
    by_address: Fair<(Addr, Addr), Answer>,
    /// Names to which records of a name's services lead, by client and that name.
    led: Recent<(Addr, Name), Name>,
    /// Contradicting answers, by client and name.
    rivals: Recent<(Addr, Name), Arc<Rival>>,
    /// Names asked for this minute, by client: when it began and how many.
    rates: Recent<Addr, (Stamp, u32)>,
    /// What each client was told last.
    latest: Recent<Addr, Answer>,
    /// What a client had been told when it began a connection, by client and server.
    with: Recent<(Endpoint, Endpoint), Box<[Answer]>>,
    /// When this minute began, and how many addresses were given in it and in the one before.
    pace: (Stamp, usize, usize),
    most: usize,
    /// Encrypted resolvers that a client's own named to it.
    designated: Recent<(Addr, Addr), ()>,
    /// Clients that ask where no packet shows it.
    hidden: Recent<Addr, Seen<Way>>,
}

impl Told {
    /// Nothing yet; at most so many names.
    pub fn new(most: usize) -> Self {
        Self {
            by_client: Fair::new(most, 8),
            denied: Fair::new(most / 4, 2),
            by_name: Fair::new(most, 8),
            by_address: Fair::new(most, 4),
            led: Recent::new(most / 4, 4),
            rivals: Recent::new(most / 4, 2),
            rates: Recent::new(most, 1),
            latest: Recent::new(most, 8),
            with: Recent::new(most, 1),
            pace: (Stamp(i64::MIN), 0, 0),
            most,
            designated: Recent::new(most / 4, 1),
            hidden: Recent::new(most / 4, 1),
        }
    }

    /// A client asks; whether it asks for many names.
    pub fn asks(&mut self, client: Addr, now: Stamp) -> bool {
        let (began, count) = self.rates.get(&client).next().copied().unwrap_or((now, 0));
        if now - began > MINUTE {
            // Who has asked for many stays apart for another minute.
            self.rates.put(client, (now, if count > MANY { MANY } else { 1 }));
        } else {
            self.rates.put(client, (began, count.saturating_add(1)));
        }
        count > MANY
    }

    /// Whether a client asks for many names.
    pub fn is_busy(&self, client: Addr) -> bool {
        self.rates.get(&client).next().is_some_and(|(_, count)| *count > MANY)
    }

    /// A client is told something.
    pub fn put(&mut self, client: Addr, answer: &Answer) {
        let said = &answer.value;
        let busy = self.is_busy(client);
        let name: Name = said.name.as_str().into();
        if said.name == DISCOVERY {
            for address in said.given() {
                self.designated.put((client, address), ());
            }
            return;
        }
        if !said.targets.is_empty() {
            // `_xmpps-client._tcp.example.com` serves `example.com`.
            let served = said.name.split_once("._tcp.").map_or(said.name.as_str(), |(_, served)| served);
            let served: Name = served.into();
            for target in &said.targets {
                self.led.put((client, Arc::clone(&served)), target.as_str().into());
            }
        }
        if !said.has_address() {
            if !said.truncated && said.targets.is_empty() {
                self.denied.put(busy, (client, name), Arc::clone(answer));
            }
            return;
        }
        let (began, now, before) = &mut self.pace;
        if answer.when - *began > MINUTE {
            (*began, *before, *now) = (answer.when, *now, 0);
        }
        *now += 1;
        for address in said.given().take(ADDRESSES) {
            self.by_address.put(busy, (client, address), Arc::clone(answer));
        }
        self.by_client.put(busy, (client, Arc::clone(&name)), Arc::clone(answer));
        self.by_name.put(busy, name, (client, Arc::clone(answer)));
        self.latest.put(client, Arc::clone(answer));
    }

    /// When a client was last given an address for a name that does not lead to itself.
    pub fn found(&self, client: Addr, name: &str) -> Option<Stamp> {
        let key = (client, Name::from(name));
        let known = self.by_client.get(&key);
        let counts = |answer: &&Answer| !super::leads_nowhere(&answer.value) && !answer.value.unchecked;
        known.filter(counts).map(|answer| answer.when).max()
    }

    /// A client got two answers to one question.
    pub fn contradicted(&mut self, client: Addr, rival: Rival) {
        let name: Arc<str> = rival.first.value.name.as_str().into();
        self.rivals.put((client, name), Arc::new(rival));
    }

    /// A client begins a connection. Costs nothing while what it was told will outlive that.
    pub fn connects(&mut self, client: Endpoint, server: Endpoint) {
        let (_, now, before) = self.pace;
        if now.max(before) < self.most / 8 {
            return;
        }
        let pair = (client.addr, server.addr);
        let given = self.by_address.get(&pair);
        let known: Box<[Answer]> = given.chain(self.latest.get(&client.addr)).take(8).cloned().collect();
        if !known.is_empty() {
            self.with.put((client, server), known);
        }
    }

    /// A client has asked a resolver where no packet shows it.
    pub fn hides(&mut self, client: Addr, how: Seen<Way>) {
        self.hidden.put(client, how);
    }

    /// Whether this server is an encrypted resolver that the client's own named to it (RFC 9462).
    pub fn is_designated(&self, client: Addr, server: Addr) -> bool {
        !self.designated.is_empty() && self.designated.get(&(client, server)).next().is_some()
    }

    /// Files it into a failed attempt's evidence.
    pub fn tell(&self, evidence: &mut Evidence) {
        let (client, server, started) = (evidence.client.addr, evidence.server.addr, evidence.started);
        let before = |answer: &&Answer| answer.when <= started;
        let ends = (evidence.client, evidence.server);
        let with: Vec<&Answer> = self.with.get(&ends).flat_map(|known| known.iter()).filter(before).collect();
        let pair = (client, server);
        let given = self.by_address.get(&pair).chain(with.iter().copied()).filter(before);
        let mut given: Vec<_> = given.filter(|answer| answer.value.gives(server)).collect();
        given.dedup_by_key(|answer| answer.at.first());
        // Without a name, that under which the client was given the address last stands for it.
        let sni = evidence.hello.as_ref().map(|hello| hello.value.sni.clone());
        let name = sni.unwrap_or_else(|| given.first().map(|answer| answer.value.name.as_str().into()));
        let hidden = self.hidden.get(&client).find(|seen| seen.when <= started).cloned();
        if let Some(how) = hidden {
            evidence.around.hidden_dns = Some(how);
        }
        if !given.is_empty() {
            evidence.around.names_of_server = values(given.into_iter().take(4));
        }
        if let Some(name) = name {
            self.tell_of(name, &with, evidence);
        }
    }

    /// Files what was told of this name.
    fn tell_of(&self, name: Name, with: &[&Answer], evidence: &mut Evidence) {
        let (client, started) = (evidence.client.addr, evidence.started);
        let before = |answer: &&Answer| answer.when <= started;
        let key = (client, name);
        let names: Vec<Name> = [&key.1].into_iter().chain(self.led.get(&key)).cloned().collect();
        let of_name = |name: &Name| {
            let key = (client, Arc::clone(name));
            let known: Vec<_> = self.by_client.get(&key).chain(self.denied.get(&key)).collect();
            known
        };
        let kept =
            with.iter().copied().filter(|answer| names.iter().any(|name| **name == *answer.value.name));
        let mut answers: Vec<_> = names.iter().flat_map(of_name).chain(kept).filter(before).collect();
        answers.sort_by_key(|answer| std::cmp::Reverse((answer.when, answer.at.first())));
        answers.dedup_by_key(|answer| answer.at.first());
        let to_others =
            self.by_name.get(&key.1).filter(|(asker, answer)| *asker != client && before(&answer));
        let to_others: Vec<_> = to_others.map(|(_, answer)| answer).take(4).collect();
        let rivals: Vec<_> = self.rivals.get(&key).filter(|rival| rival.first.when <= started).collect();
        if answers.is_empty() && to_others.is_empty() && rivals.is_empty() {
            return;
        }
        let around = &mut evidence.around;
        around.answers = values(answers.into_iter().take(8));
        around.answers_to_others = values(to_others.into_iter());
        around.rivals = rivals.into_iter().map(|rival| rival.as_ref().clone()).collect();
    }

    /// Names that left a full memory.
    pub fn dropped(&self) -> u64 {
        self.by_client.dropped() + self.by_address.dropped()
    }
}

fn values<'a>(answers: impl Iterator<Item = &'a Answer>) -> Vec<Seen<DnsAnswer>> {
    answers.map(|answer| answer.as_ref().clone()).collect()
}
