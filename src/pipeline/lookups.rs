//! What clients ask of DNS and are told: which lookups kept a client from TLS, and what a handshake can be compared with.
//!
//! A lookup says nothing of the protocol that would have followed. It counts where the client also asked for
//! the name's HTTPS record (only web clients do), or where a handshake in the capture bears the name. Else it
//! counts where both kinds of addresses were asked for, as a program does that is about to connect, and is
//! only suspected. Probes, service discovery and what a search list appends do not count, nor do names that the client
//! found or spoke to all the same.

mod questions;
mod told;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::memory::Recent;
use crate::aside::dns::{DnsAnswer, DnsMessage, Rcode, qtype};
use crate::base::{Addr, Endpoint, PacketNo, Seen, Span, Stamp};
use crate::evidence::around::{Rival, Unanswered};
use crate::evidence::{Around, Ending, Evidence, Outcome, Stage};
use questions::{Key, Question, Questions};
pub(super) use told::Answer;
pub use told::Told;

/// A message as one shard saw it.
#[derive(Clone, Debug)]
pub struct Said {
    /// Who asked.
    pub client: Endpoint,
    /// Who answers.
    pub resolver: Endpoint,
    /// TTL or hop limit of its packet.
    pub ttl: u8,
    /// The question or the answer.
    pub message: Seen<DnsMessage>,
}

/// Lookups of one client for one name that gave no address so far.
#[derive(Debug)]
struct Missed {
    client: Endpoint,
    resolver: Endpoint,
    begin: Seen<()>,
    answers: Vec<Seen<DnsAnswer>>,
    rival: Option<Rival>,
    unanswered: Option<Seen<Unanswered>>,
    due: Stamp,
}

/// The answer to a question, while others may contradict it.
#[derive(Debug)]
struct Settled {
    name: String,
    qtype: u16,
    /// The question was sent once.
    once: bool,
    answer: Answer,
    ttl: u8,
}

/// When a lookup is judged, its first packet and whose it is.
type Due = (Stamp, PacketNo, (Addr, String));

/// Lookups that may yet be answered, what tells which were for TLS, and what clients were told.
#[derive(Debug)]
pub struct Lookups {
    questions: Questions,
    /// Answered questions.
    settled: Recent<Key, Settled>,
    /// What clients were told.
    pub told: Told,
    waiting: BTreeMap<(Addr, String), Missed>,
    /// When each is judged, by its first packet; those that were answered meanwhile stay behind here. Those that are known
    /// to be for TLS wait apart, so that others take no room from them.
    due: [VecDeque<Due>; 2],
    /// Questions for HTTPS records.
    https: Recent<(Addr, String), Seen<&'static str>>,
    /// When a client last found a name.
    found: Recent<(Addr, String), Stamp>,
    /// Names in hellos, and whose the last was.
    spoken: Recent<Arc<str>, (Addr, Seen<&'static str>)>,
    /// Resolvers that an ICMP error says cannot be reached: who asked, and who says so.
    unreachable: Recent<(Endpoint, Endpoint), Seen<Addr>>,
    wait: Span,
    most: usize,
    /// Lookups forgotten because too many waited.
    forgotten: u64,
}

impl Lookups {
    /// Answers kept of one lookup.
    const ANSWERS: usize = 4;
    /// A second answer to a question comes within this of the first.
    const RIVAL: Span = Span::from_secs(5);
    /// At the capture's end, who has asked again has waited at least this long for an answer: the least time-out in use
    /// is a second.
    const PATIENCE: Span = Span::from_secs(3);

    /// None yet. A lookup waits for `wait`; at most `most` do. At most `asides` names are remembered.
    pub fn new(wait: Span, most: usize, asides: usize) -> Self {
        Self {
            questions: Questions::new(wait, most),
            settled: Recent::new(most, 1),
            told: Told::new(asides),
            waiting: BTreeMap::new(),
            due: [VecDeque::new(), VecDeque::new()],
            https: Recent::new(most, 1),
            found: Recent::new(most, 1),
            spoken: Recent::new(most, 1),
            unreachable: Recent::new(most / 4, 1),
            wait,
            most,
            forgotten: 0,
        }
    }

    /// Whether nothing was ever asked or told.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.settled.is_empty() && self.questions.earliest().is_none()
    }

    /// Has fetched what [`Self::spoken`] will look at.
    #[inline]
    pub fn approach(&self, name: &str) {
        self.spoken.approach(name);
    }

    /// A client's handshake bears this name, in lower case.
    pub fn spoken(&mut self, client: Addr, name: &Arc<str>, hello: Seen<()>) {
        self.spoken.put(name, (client, hello.map(|()| "a handshake bears the name")));
    }

    /// An ICMP error says that a resolver cannot be reached.
    pub fn unreachable(&mut self, client: Endpoint, resolver: Endpoint, says: Seen<Addr>) {
        self.unreachable.put((client, resolver), says);
    }

    /// Takes a message, given at capture time `now`. The answer, where it tells its client something.
    pub fn take(&mut self, said: Said, now: Stamp) -> Option<Answer> {
        let message = &said.message.value;
        let key = (said.client.addr, message.name.clone());
        if message.qtype == qtype::HTTPS && !message.name.is_empty() {
            let seen = said.message.clone().map(|_| "the client asked for the HTTPS record of the name");
            self.https.put(key.clone(), seen);
        }
        if !message.is_response {
            let busy = self.told.asks(said.client.addr, now);
            let of_address = [qtype::A, qtype::AAAA, qtype::HTTPS].contains(&message.qtype);
            if of_address && may_be_a_server(&message.name) {
                self.questions.ask(&said, now, busy);
            }
            return None;
        }
        let (client, resolver) = (said.client, said.resolver);
        let question = self.questions.answered(&said);
        let Said { ttl, message, .. } = said;
        let id = message.value.id;
        let answer: Answer =
            Arc::new(message.map(|message| DnsAnswer { resolver: resolver.addr, ..message.answer }));
        let transaction = (client, resolver, id);
        let begin = match question {
            Some(question) => {
                let (name, qtype, once) = (question.name, question.qtype, question.times == 1);
                let settled = Settled { name, qtype, once, answer: Arc::clone(&answer), ttl };
                self.settled.put(transaction, settled);
                question.asked
            }
            None => {
                if let Some(rival) = self.rival(&transaction, &answer, ttl) {
                    self.contradict(key, rival);
                    return None; // the client has what it asked for
                }
                Seen { value: (), at: answer.at.clone(), when: answer.when }
            }
        };
        self.told.put(client.addr, &answer);
        let said = &answer.value;
        if said.truncated {
            return None; // it will be asked again over TCP
        }
        let waits = self.waiting.get_mut(&key);
        if let Some(missed) = waits
            && said.unchecked
            && said.has_address()
            && missed
                .answers
                .iter()
                .any(|answer| answer.value.rcode == Rcode::SERVFAIL.0 && !answer.value.unchecked)
        {
            // It fails where it is validated, and only there.
            missed.answers.push(answer.as_ref().clone());
            return Some(answer);
        }
        if said.has_address() && !leads_nowhere(said) || !said.targets.is_empty() {
            self.found(&key);
            self.found.put(key, answer.when);
        } else if may_be_a_server(&said.name) && self.denies(&key, said) {
            self.refuse(key, (client, resolver), begin, &answer, now);
        }
        Some(answer)
    }

    /// Whether an answer keeps its client from the name.
    fn denies(&self, key: &(Addr, String), said: &DnsAnswer) -> bool {
        let refused = [Rcode::NXDOMAIN, Rcode::SERVFAIL, Rcode::REFUSED].contains(&Rcode(said.rcode));
        match said.qtype {
            qtype::A => refused || said.rcode == 0 && !said.service,
            qtype::AAAA => {
                // Most names have none.
                refused || leads_nowhere(said) || said.rcode == 0 && self.waiting.contains_key(key)
            }
            qtype::HTTPS => refused,
            _ => false,
        }
    }

    /// The answer that came before this one to the same question, which says something else.
    fn rival(&self, transaction: &Key, second: &Answer, second_ttl: u8) -> Option<Rival> {
        let settled = self.settled.get(transaction).next()?;
        let said = &second.value;
        let first = &settled.answer;
        let same_question = settled.once && settled.name == said.name && settled.qtype == said.qtype;
        let soon = (second.when - first.when).0 < Self::RIVAL.0;
        let differs = if first.value.has_address() && said.has_address() {
            !said.given().any(|address| first.value.gives(address))
        } else {
            first.value.has_address() != said.has_address() && !first.value.truncated && !said.truncated
        };
        (same_question && soon && differs).then(|| Rival {
            first: first.as_ref().clone(),
            second: second.as_ref().clone(),
            ttl: (settled.ttl, second_ttl),
        })
    }

    fn contradict(&mut self, key: (Addr, String), rival: Rival) {
        if let Some(missed) = self.waiting.get_mut(&key) {
            missed.rival = Some(rival.clone());
        }
        self.told.contradicted(key.0, rival);
    }

    /// A name was found: neither it, nor what it is a part of or has as a part, by a search list, is missed.
    fn found(&mut self, key: &(Addr, String)) {
        let (client, name) = key;
        self.waiting.remove(key);
        for shorter in shorter(name) {
            self.waiting.remove(&(*client, shorter.to_owned()));
        }
        self.forget_longer(key);
    }

    /// What a search list made of this name is no lookup of its own.
    fn forget_longer(&mut self, (client, name): &(Addr, String)) {
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

    fn refuse(
        &mut self,
        key: (Addr, String),
        (client, resolver): (Endpoint, Endpoint),
        begin: Seen<()>,
        answer: &Answer,
        now: Stamp,
    ) {
        if let Some(missed) = self.waiting.get_mut(&key) {
            if missed.answers.len() < Self::ANSWERS {
                missed.answers.push(answer.as_ref().clone());
            }
            return;
        }
        let missed = Missed {
            client,
            resolver,
            begin,
            answers: vec![answer.as_ref().clone()],
            rival: None,
            unanswered: None,
            due: now + self.wait,
        };
        self.miss(key, missed);
    }

    fn miss(&mut self, key: (Addr, String), missed: Missed) {
        // What a search list made of a name that was missed before.
        if shorter(&key.1).any(|name| self.waiting.contains_key(&(key.0, name.to_owned()))) {
            return;
        }
        self.forget_longer(&key);
        let for_tls =
            self.https.get(&key).next().is_some() || self.spoken.get(key.1.as_str()).next().is_some();
        // Who asks for many names leaves room to others.
        let most = if self.told.is_busy(key.0) { self.most / 4 } else { self.most };
        let [others, likely] = &mut self.due;
        let due = if for_tls { likely } else { others };
        if due.len() >= most {
            self.forgotten += 1;
            return;
        }
        let first = missed.answers.first().map(|answer| &answer.at);
        let no = first.unwrap_or(&missed.begin.at).first().unwrap_or_default();
        due.push_back((missed.due, no, key.clone()));
        self.waiting.insert(key, missed);
    }

    /// Nobody answered a question up to capture time `clock`.
    fn silence(&mut self, (client, resolver, _): Key, question: Question, clock: Stamp) {
        let Question { name, qtype, asked, times, last, .. } = question;
        let kinds = [qtype::A, qtype::AAAA];
        let unreachable = self.unreachable.get(&(client, resolver)).next().cloned();
        let too_soon = unreachable.is_none() && clock - asked.when < Self::PATIENCE;
        if !kinds.contains(&qtype) || !may_be_a_server(&name) || too_soon {
            return;
        }
        let key = (client.addr, name);
        if !self.waiting.contains_key(&key) {
            let missed = Missed {
                client,
                resolver,
                begin: asked.clone(),
                answers: Vec::new(),
                rival: None,
                unanswered: None,
                due: last + self.wait + self.wait,
            };
            self.miss(key.clone(), missed);
        }
        let Some(missed) = self.waiting.get_mut(&key) else { return };
        let nothing = Unanswered { name: key.1, times: (0, 0), resolvers: Vec::new(), unreachable: None };
        let so_far = missed.unanswered.get_or_insert_with(|| asked.clone().map(|()| nothing));
        so_far.at.add_all(&asked.at);
        so_far.when = so_far.when.max(last);
        let value = &mut so_far.value;
        let count = if qtype == qtype::A { &mut value.times.0 } else { &mut value.times.1 };
        *count += times;
        if value.resolvers.len() < 4 && !value.resolvers.contains(&resolver.addr) {
            value.resolvers.push(resolver.addr);
        }
        value.unreachable = value.unreachable.take().or(unreachable);
    }

    /// The next lookup that stayed without an address until before `now` and was for TLS, as an attempt. `clock`: how far
    /// capture time has come, at the capture's end less than `now`. `reached`: whether a client has reached a name since then.
    pub fn next_before(
        &mut self,
        now: Stamp,
        clock: Stamp,
        reached: &dyn Fn(Addr, &str, Stamp) -> bool,
    ) -> Option<Box<Evidence>> {
        while let Some((key, question)) = self.questions.next_before(now) {
            self.silence(key, question, clock);
        }
        while let Some((due, _, key)) = self.next_due(now) {
            if self.waiting.get(&key).is_some_and(|missed| missed.due == due)
                && let Some(missed) = self.waiting.remove(&key)
                && !reached(key.0, &key.1, missed.begin.when)
                && let Some(evidence) = self.attempt(&key, missed, clock)
            {
                return Some(evidence);
            }
        }
        None
    }

    fn next_due(&mut self, now: Stamp) -> Option<Due> {
        let [others, likely] = &mut self.due;
        let first = match (others.front(), likely.front()) {
            (Some(other), Some(like)) => {
                if like < other {
                    likely
                } else {
                    others
                }
            }
            (None, _) => likely,
            (_, None) => others,
        };
        first.pop_front_if(|(due, _, _)| *due < now)
    }

    /// No lookup that waits ended before this packet.
    pub fn earliest(&self) -> Option<PacketNo> {
        let waiting = self.due.iter().flatten().map(|(_, no, _)| *no).min();
        [waiting, self.questions.earliest()].into_iter().flatten().min()
    }

    /// What left full memories.
    pub fn dropped(&self) -> u64 {
        self.forgotten + self.questions.dropped + self.told.dropped()
    }

    fn attempt(&self, key: &(Addr, String), missed: Missed, clock: Stamp) -> Option<Box<Evidence>> {
        let (speaker, spoken) = self.spoken.get(key.1.as_str()).next().cloned().unzip();
        // It had an address from elsewhere: a hosts file, a cache, another resolver.
        if speaker == Some(key.0) && spoken.as_ref().is_some_and(|hello| hello.when >= missed.begin.when) {
            return None;
        }
        let for_tls = self.https.get(key).next().cloned().or(spoken);
        let Missed { begin, answers, unanswered, .. } = missed;
        let denied = |kind: u16| {
            answers.iter().any(|answer| answer.value.qtype == kind && !answer.value.has_address())
                || answers.iter().any(|answer| answer.value.qtype == kind && leads_nowhere(&answer.value))
        };
        let silent = unanswered.as_ref().map_or((0, 0), |seen| seen.value.times);
        let (four, six) = (denied(qtype::A), denied(qtype::AAAA));
        if !answers.is_empty() {
            if !four && !six || for_tls.is_none() && !(four && six) {
                return None;
            }
        } else {
            // A client whose answer the capture lacks does not ask again.
            let again = |times: u32| {
                times != 1 || unanswered.as_ref().is_some_and(|seen| seen.value.unreachable.is_some())
            };
            let both = silent.0 > 0 && silent.1 > 0;
            if !again(silent.0) || !again(silent.1) || for_tls.is_none() && !both {
                return None;
            }
        }
        // That a name has no address, or one that leads nowhere, is often meant so.
        let plain = |answer: &Seen<DnsAnswer>| answer.value.rcode == 0;
        if !answers.is_empty() && answers.iter().all(plain) && for_tls.is_none() {
            return None;
        }
        // Some servers refuse the kind of address that they do not have.
        let when = answers.first().map_or(begin.when, |answer| answer.when);
        let found = self.found.get(key).next().copied().or_else(|| self.told.found(key.0, &key.1));
        if found.is_some_and(|found| !four && silent.0 == 0 || when - found < self.wait) {
            return None;
        }
        let at = answers.iter().map(|answer| &answer.at).chain(unanswered.as_ref().map(|seen| &seen.at));
        let mut cited = crate::base::Packets::none();
        at.for_each(|at| cited.add_all(at));
        let mut evidence = Evidence::new(missed.client, missed.resolver, begin.at.first()?, begin.when);
        evidence.last = cited.last()?;
        let asked_last = unanswered.as_ref().map_or(begin.when, |seen| seen.when);
        evidence.ended = answers.last().map_or(asked_last, |answer| answer.when);
        evidence.stage = Stage::Dns;
        evidence.outcome = Outcome::Failed;
        let last = answers.last().map_or_else(|| cited.clone(), |answer| answer.at.clone());
        evidence.ending = Seen { value: Ending::NoAddress, at: last, when: evidence.ended };
        let rivals = missed.rival.into_iter().collect();
        // A refusal may be followed by a question to another resolver, or for another name of a search list.
        let cut_short = clock - evidence.ended < self.wait;
        evidence.around =
            Around { answers, rivals, unanswered, cut_short, for_tls, ..Around::default() }.into();
        Some(Box::new(evidence))
    }
}

/// Zones that each network fills as it likes (RFC 6762 appendix G): who gives itself a name there means itself.
const PRIVATE_ZONES: [&str; 6] = ["corp", "home", "internal", "intranet", "lan", "private"];

/// All addresses given are the unspecified one or loopback ones: the client is sent to itself.
fn leads_nowhere(answer: &DnsAnswer) -> bool {
    let own = answer.name.rsplit('.').next().is_some_and(|top| PRIVATE_ZONES.contains(&top));
    let nowhere = |address: Addr| address.ip().is_unspecified() || !own && address.ip().is_loopback();
    answer.has_address() && answer.given().all(nowhere)
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
