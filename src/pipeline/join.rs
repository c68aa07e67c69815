//! The one place that sees all shards: it remembers what other traffic tells, waits for siblings,
//! judges and puts the events in order.

mod ahead;
mod around;
mod assess;
mod beside;
mod datagrams;
mod known;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::datagrams::Datagrams;
use self::known::{InClear, ShownInClear};
use super::benign::benign;
use super::clocks::Clocks;
use super::contrasts::{Contrasts, Reach};
use super::dialects::Dialects;
use super::ech::EchKeys;
use super::episodes::Episodes;
use super::families::Families;
use super::lookups::{Lookups, Said};
use super::make::{AsJudged, Make};
use super::memory::Recent;
use super::offers::{Offers, offer};
use super::order::Order;
use super::run::Settings;
use super::shard::{Out, What};
use super::statuses::{self, Statuses, issuer_of};
use crate::aside::dns::hidden;
use crate::base::{Addr, Endpoint, Limits, Lost, PacketNo, Seen, Side, Stamp};
use crate::cause::weigh::{Diagnosis, Hygiene, hygiene, weigh};
use crate::evidence::around::Path;
use crate::evidence::{Chain, Evidence, Outcome, Stage, Transport, outcome, rejection};
use crate::tls::cert::Certificate;
use crate::tls::chain::{ChainCache, Pool};
use crate::tls::given::Given;
use crate::tls::hello::Offer;
use crate::tls::trust::Trust;

/// An attempt with everything that is said of it.
#[derive(Debug)]
pub struct Judged {
    /// The facts.
    pub evidence: Box<Evidence>,
    /// Why it failed; `None` unless it did.
    pub diagnosis: Option<Diagnosis>,
    /// Defects that did not cause a failure.
    pub hygiene: Vec<Hygiene>,
    /// When it was decided, on capture time: where it had to wait for siblings, when that wait was over.
    pub decided: Stamp,
}

/// Certificates shown in clear.
type Shown = Seen<Vec<Arc<Certificate>>>;

/// A host name, shared with the hellos that ask for it.
type Name = Arc<str>;

/// A handshake that completed.
#[derive(Clone, Debug)]
struct Success {
    server: Seen<Endpoint>,
    /// The leaf shown, where it was in clear.
    leaf: Option<[u8; 32]>,
    /// Bytes of the ClientHello.
    hello: u32,
    /// The key of its encrypted hello.
    ech_key: Option<u8>,
    /// What the client offered.
    offer: Option<Arc<Offer>>,
}

/// A failure as others are compared with it: server, step, alert and offer.
type Failure = (Endpoint, Stage, Option<u8>, Option<u64>);

/// Memory of one capture and the attempts that wait in it.
pub struct Join<M: Make = AsJudged> {
    make: M,
    limits: Arc<Limits>,
    trust: Arc<Trust>,
    chains: ChainCache,
    /// Authorities that were presented, or given beforehand.
    pool: Pool,
    /// Certificates given beforehand.
    given: Arc<Given>,
    /// What clients asked of DNS and were told.
    lookups: Lookups,
    /// Successes by client and server name.
    reached_names: Recent<(Addr, Name), Success>,
    /// Successes by client and server address.
    reached_addresses: Recent<(Addr, Addr), Reach>,
    /// Successes by server, and whose they were.
    served: Recent<Endpoint, Seen<Addr>>,
    /// Servers with national protocols.
    dialects: Dialects,
    /// Keys for encrypted hellos.
    ech: EchKeys,
    /// Successes over datagrams.
    datagrams: Datagrams,
    /// Certificates shown in clear, and to whom.
    shown: ShownInClear,
    /// Failures by client.
    failures: Recent<Addr, Seen<Failure>>,
    /// What connections without data offered: for telling scans.
    offers: Offers,
    /// HTTP servers that did not answer, by client.
    unreached: Recent<Addr, Seen<Endpoint>>,
    /// What clients learned of revocation.
    statuses: Statuses,
    /// What hosts told of the time.
    clocks: Clocks,
    /// SYNs by server and first sequence number.
    syns: Recent<(Endpoint, u32), Seen<Endpoint>>,
    /// SYN/ACKs that answered nothing: by receiver and acknowledgment.
    strays: Recent<(Endpoint, u32), Seen<Endpoint>>,
    /// SYN/ACKs that went to a client which reset them: by server and acknowledgment.
    astray: Recent<(Endpoint, u32), Seen<Endpoint>>,
    /// ClientHellos on connections without a SYN, by server and first sequence number.
    moved: Recent<(Endpoint, u32), Seen<Endpoint>>,
    /// How servers' packets reached clients.
    paths: Recent<(Addr, Addr), Seen<Path>>,
    /// Successes of hosts that have addresses of both families.
    families: Families,
    /// Attempts without a byte, by client: for telling scans.
    touched: Recent<Addr, (Stamp, Endpoint)>,
    /// Which failures are one story.
    episodes: Episodes,
    /// Failures beside each other.
    contrasts: Contrasts,
    /// Failed attempts that wait for siblings, by when they are judged; and the last packet of each, which every mark asks
    /// for.
    parked: BTreeMap<(Stamp, PacketNo), (PacketNo, Box<Evidence>)>,
    /// Judged attempts of which something is to be made: a few one after the other, as each takes the same code.
    decided: Vec<Judged>,
    /// What was made of judged attempts, waiting for earlier ends; `None` lets it go as decided.
    order: Option<Order<M::Made>>,
    now: Stamp,
}

impl<M: Make> Join<M> {
    /// An empty memory. With `in_order` events leave in order of their ends, else as soon as they are decided.
    pub fn making(make: M, settings: &Settings, in_order: bool, shards: usize) -> Self {
        let (limits, trust) = (Arc::clone(&settings.limits), Arc::clone(&settings.trust));
        let given = Arc::clone(&settings.given);
        let asides = limits.asides;
        let servers = limits.servers;
        Self {
            make,
            chains: ChainCache::new(servers),
            pool: Pool::new(servers, Arc::clone(&given)),
            given,
            lookups: Lookups::new(limits.sibling, limits.servers, asides),
            reached_names: Recent::new(servers, 1),
            reached_addresses: Recent::new(servers, 1),
            served: Recent::new(servers, 1),
            dialects: Dialects::new(servers),
            ech: EchKeys::new(servers),
            datagrams: Datagrams::new(servers),
            shown: ShownInClear::new(servers),
            failures: Recent::new(servers, 8),
            offers: Offers::new(servers),
            unreached: Recent::new(servers, 8),
            statuses: Statuses::new(&limits),
            clocks: Clocks::new(servers),
            syns: Recent::new(asides, 2),
            strays: Recent::new(asides, 2),
            astray: Recent::new(asides, 2),
            moved: Recent::new(asides, 2),
            paths: Recent::new(servers, 1),
            families: Families::new(servers),
            touched: Recent::new(servers, 16),
            episodes: Episodes::new(servers),
            contrasts: Contrasts::new(servers),
            parked: BTreeMap::new(),
            decided: Vec::new(),
            order: in_order.then(|| Order::new(shards, limits.held_events)),
            now: Stamp(i64::MIN),
            limits,
            trust,
        }
    }

    /// Takes what a shard gave; calls come in order of `at`, then `no`, and [`Self::make_decided`] behind some of them.
    pub fn take(&mut self, out: Out, each: &mut dyn FnMut(M::Made)) {
        self.pass(out.at, each);
        match out.what {
            What::Dns(said) => self.dns(*said, out.at),
            What::NoResolver(what) => {
                let (client, resolver, says) = *what;
                self.lookups.unreachable(client, resolver, says);
            }
            What::Hidden(client, how) => self.lookups.told.hides(client, how),
            What::Status(seen) => {
                self.clocks.exchanged(&seen);
                if let Some(told) = self.statuses.put(*seen, out.at) {
                    self.tell(told, each);
                }
            }
            What::Syn(server, first_seq, seen) => {
                self.lookups.told.connects(seen.value, server);
                self.syns.put((server, first_seq), seen);
            }
            What::StraySynAck(seen, to, ack) => self.strays.put((to, ack), seen),
            What::Unreached(client, seen) => self.unreached.put(client, seen),
            What::Astray(server, ack, seen) => self.astray.put((server, ack), seen),
            What::Moved(server, first_seq, seen) => self.moved.put((server, first_seq), seen),
            What::Dated(host, date) => self.clocks.dated(host, date),
            What::Closed(evidence) => self.closed(evidence, out.at, each),
            What::Mark(shard, no) => self.mark(shard, no, each),
        }
    }

    /// Capture time has come to `now`: judges what has waited long enough.
    pub fn advance(&mut self, now: Stamp, each: &mut dyn FnMut(M::Made)) {
        self.pass(now, each);
        self.make_decided(each);
    }

    fn pass(&mut self, now: Stamp, each: &mut dyn FnMut(M::Made)) {
        if now <= self.now {
            return;
        }
        self.now = now;
        while let Some(entry) = self.parked.first_entry() {
            if entry.key().0 >= now {
                break;
            }
            let decided = entry.key().0;
            let (_, evidence) = entry.remove();
            self.judge(evidence, decided, each);
        }
        while let Some(evidence) = self.next_lookup(now) {
            self.judge_lookup(evidence, each);
        }
        while let Some(told) = self.statuses.next_before(now) {
            self.tell(told, each);
        }
    }

    /// A shard is past `no`: lets go what has its place in the order for certain.
    fn mark(&mut self, shard: usize, no: PacketNo, each: &mut dyn FnMut(M::Made)) {
        self.make_decided(each);
        let Some(order) = &mut self.order else { return };
        order.mark(shard, no);
        let parked = self.parked.values().map(|(last, _)| *last).min().unwrap_or(no);
        let open = self.lookups.earliest().map_or(parked, |lookup| lookup.min(parked));
        let open = self.statuses.earliest().map_or(open, |status| status.min(open));
        while let Some(made) = order.settled(open) {
            if let Some(soon) = order.soon() {
                M::approach(soon);
            }
            each(made);
        }
    }

    /// The capture ended: judges and lets go everything.
    pub fn finish(&mut self, each: &mut dyn FnMut(M::Made)) {
        while let Some((_, (_, evidence))) = self.parked.pop_first() {
            self.judge(evidence, self.now, each);
        }
        while let Some(evidence) = self.next_lookup(Stamp(i64::MAX)) {
            self.judge_lookup(evidence, each);
        }
        while let Some(told) = self.statuses.next_before(Stamp(i64::MAX)) {
            self.tell(told, each);
        }
        self.make_decided(each);
        while let Some(made) = self.order.as_mut().and_then(Order::pop) {
            each(made);
        }
    }

    /// Behind [`Self::finish`]: takes the next time for the first, whatever it is.
    pub fn begin_again(&mut self) {
        self.now = Stamp(i64::MIN);
        // What was told is known by its distance from the clock that was set.
        self.clocks = Clocks::new(self.limits.servers);
    }

    /// Nothing more is judged for the moment.
    pub fn pause(&mut self) {
        self.make.pause();
    }

    /// From now on judges by other roots.
    pub fn renew(&mut self, trust: Arc<Trust>) {
        self.trust = trust;
        self.chains = ChainCache::new(self.limits.servers);
    }

    /// What left full tables, and events out of order because too many waited.
    pub fn lost(&self) -> Lost {
        Lost {
            asides_dropped: self.shown.by_server.dropped + self.statuses.dropped + self.lookups.dropped(),
            events_out_of_order: self.order.as_ref().map_or(0, |order| order.late),
            ..Lost::default()
        }
    }

    fn dns(&mut self, said: Said, at: Stamp) {
        let client = said.client.addr;
        if let Some(answer) = self.lookups.take(said, at) {
            self.ech.answered(client, &answer);
            for address in answer.value.given().take(16) {
                self.families.told(client, address, Arc::clone(&answer));
            }
        }
    }

    /// The next lookup that kept a client from TLS.
    fn next_lookup(&mut self, now: Stamp) -> Option<Box<Evidence>> {
        if self.lookups.is_empty() {
            return None;
        }
        let names = &self.reached_names;
        let reached = |client: Addr, name: &str, since: Stamp| {
            names.get(&(client, Name::from(name))).any(|success| success.server.when >= since)
        };
        self.lookups.next_before(now, self.now, &reached)
    }

    fn closed(&mut self, mut evidence: Box<Evidence>, at: Stamp, each: &mut dyn FnMut(M::Made)) {
        match evidence.outcome {
            Outcome::Completed => {
                self.assess(&mut evidence);
                if rejection::late(&evidence) || rejection::stops_as_refused(&evidence).is_some() {
                    evidence.outcome = Outcome::Failed;
                }
            }
            // Some clients say a polite goodbye to a server whose signature does not verify.
            Outcome::Abandoned if evidence.is_signed_by_server() => {
                evidence.verify_signatures();
                let verdicts = [evidence.key_exchange_verdict, evidence.decryption.server_verify_verdict];
                if verdicts.into_iter().flatten().any(|verdict| verdict.fails()) {
                    evidence.outcome = Outcome::Failed;
                }
            }
            _ => {}
        }
        if evidence.outcome == Outcome::Failed
            && evidence.is_signed_by_server()
            && let Some(chain) = evidence.chain.clear()
        {
            // Before what it shows now takes their place.
            let key = (evidence.server.addr, name(&evidence).cloned());
            let other = |shown: &&Arc<InClear>| shown.chain.value.first() != chain.value.first();
            let by_server = &self.shown.by_server;
            let named = by_server.get(&key).find(other);
            let shown = named.or_else(|| by_server.get(&(key.0, None)).find(other));
            let shown = shown.map(|shown| shown.chain.clone());
            if shown.is_some() {
                evidence.around.shown_earlier = shown;
            }
            evidence.verify_signatures();
            self.shown.signed_amiss(&evidence);
        }
        self.shown_to_other(&mut evidence);
        self.remember(&evidence);
        self.look_for_key(&mut evidence);
        self.statuses.ended(&evidence, &self.trust);
        let ended = matches!(evidence.outcome, Outcome::Incomplete | Outcome::Abandoned);
        if ended && self.moved_on(&mut evidence) {
            evidence.outcome = Outcome::Failed;
        } else if evidence.outcome == Outcome::Incomplete && self.families.reached(&evidence).is_some() {
            evidence.outcome = Outcome::Abandoned;
        }
        if evidence.outcome != Outcome::Failed {
            self.make.look_across(&mut evidence);
        }
        if evidence.outcome == Outcome::Failed {
            // Now, since a full memory may have lost it when this is judged.
            self.lookups.told.tell(&mut evidence);
            let place = (at + self.limits.sibling, evidence.first);
            self.episodes.waits(&evidence, place);
            self.parked.insert(place, (evidence.last, evidence));
            if self.parked.len() > self.limits.held_events
                && let Some((_, (_, oldest))) = self.parked.pop_first()
            {
                self.judge(oldest, at, each);
            }
        } else {
            if matches!(evidence.outcome, Outcome::Completed | Outcome::Resumed) {
                self.end_episode(&mut evidence);
            }
            self.look_for_revoked(&mut evidence);
            if M::ASKS_FOR_SEALED
                && matches!(evidence.chain, Chain::Sealed(_))
                && let Some(before) = self.shown_before(&evidence)
            {
                evidence.around.shown_before = Some(before);
            }
            if evidence.defects.iter().chain(&*evidence.client_defects).any(|d| d.fault.is_of_the_moment()) {
                evidence.around.clocks = self.clocks.around(&evidence);
            }
            let hygiene = hygiene(&evidence, None);
            self.let_go(Judged { hygiene, evidence, diagnosis: None, decided: at }, each);
        }
    }

    /// Whether the hello of this connection, on which no byte was seen, came from another address.
    fn moved_on(&self, evidence: &mut Evidence) -> bool {
        let silent = evidence.tcp.established.is_some() && evidence.tcp.bytes.client == 0;
        if let (true, Some(syn)) = (silent, &evidence.tcp.syn) {
            let from = (evidence.server, syn.value.wrapping_add(1));
            evidence.around.other_address =
                self.moved.get(&from).find(|seen| seen.value != evidence.client).cloned();
        }
        evidence.around.other_address.is_some()
    }

    /// Whether a presented certificate is revoked, as the capture so far tells.
    fn look_for_revoked(&mut self, evidence: &mut Evidence) {
        if let Some(revoked) = self.statuses.revoked(evidence, &self.trust) {
            evidence.around.revoked = Some(revoked);
        }
        // Who issued the leaf, to verify what is said of it.
        if let Some(chain) = evidence.chain.clear()
            && let Some(leaf) = chain.value.first()
            && (evidence.staple.is_some() || !evidence.around.ocsp.is_empty())
            && !chain.value.iter().any(|cert| cert.subject_der == leaf.issuer_der)
        {
            let issuer = issuer_of(leaf, &chain.value, &self.trust);
            if issuer.is_some() {
                evidence.around.issuer = issuer;
            }
        }
    }

    fn tell(&mut self, told: statuses::Told, each: &mut dyn FnMut(M::Made)) {
        self.make_decided(each);
        let exchange = &told.seen.value;
        let place = (exchange.last, exchange.first, exchange.nth);
        if let Some(made) = self.make.status(told) {
            self.hold(place, made, each);
        }
    }

    fn let_go(&mut self, judged: Judged, each: &mut dyn FnMut(M::Made)) {
        // Their facts are to be in a cache still.
        const MOST: usize = 32;
        self.decided.push(judged);
        if self.decided.len() >= MOST {
            self.make_decided(each);
        }
    }

    /// Has something made of what was decided.
    pub fn make_decided(&mut self, each: &mut dyn FnMut(M::Made)) {
        let mut decided = std::mem::take(&mut self.decided);
        for judged in decided.drain(..) {
            let place = (judged.evidence.last, judged.evidence.first, 0);
            let made = self.make.make(judged);
            self.hold(place, made, each);
        }
        self.decided = decided;
    }

    #[inline(always)]
    fn hold(&mut self, place: super::order::Place, made: M::Made, each: &mut dyn FnMut(M::Made)) {
        let leaves = match &mut self.order {
            Some(order) => order.hold(place, made),
            None => Some(made),
        };
        if let Some(made) = leaves {
            each(made);
        }
    }

    /// Files what later attempts may want to know of this one.
    fn remember(&mut self, evidence: &Evidence) {
        let (client, server) = (evidence.client, evidence.server);
        // First, and what leaves for it last: to change a count of references waits for all that was written before.
        let over_tcp = evidence.transport == Transport::Tcp;
        let went_well = matches!(evidence.outcome, Outcome::Completed | Outcome::Resumed);
        let hello = evidence.hello.as_ref().map(|hello| &hello.value).filter(|_| over_tcp && went_well);
        let sni = hello.and_then(|hello| hello.sni.clone());
        let [first, second] = [0; 2].map(|_| hello.map(|hello| Arc::clone(&hello.offer)));
        let mut former = (None, None);
        if let (Some(ttl), Some(rtt), Some(syn_ack)) =
            (*evidence.tcp.ttl.of(Side::Server), evidence.tcp.rtt, &evidence.tcp.syn_ack)
        {
            let path = Seen { value: Path { ttl, rtt }, at: syn_ack.at.clone(), when: syn_ack.when };
            self.paths.put((client.addr, server.addr), path);
        }
        if let Some(hello) = &evidence.hello
            && let Some(sni) = &hello.value.sni
        {
            let seen = Seen { value: (), at: hello.at.clone(), when: hello.when };
            self.lookups.spoken(client.addr, sni, seen);
        }
        if let Some(hello) = &evidence.server_hello
            && let Some(way) = hidden::way(server, evidence.sni()).or_else(|| {
                let designated = self.lookups.told.is_designated(client.addr, server.addr);
                designated.then_some(hidden::Way::Https)
            })
        {
            self.lookups.told.hides(client.addr, Seen { value: way, at: hello.at.clone(), when: hello.when });
        }
        self.dialects.learn(evidence, self.served.get(&server).next());
        match evidence.outcome {
            Outcome::Completed | Outcome::Resumed
                if evidence.transport != Transport::Tcp && outcome::carries_data(evidence) =>
            {
                self.datagrams.completed(evidence);
            }
            Outcome::Completed | Outcome::Resumed if outcome::carries_data(evidence) => {
                let at =
                    evidence.server_hello.as_ref().map_or_else(|| evidence.last.into(), |s| s.at.clone());
                let seen = Seen { value: server, at, when: evidence.ended };
                // A proxy leads to many servers: what one of them does says nothing of the others.
                let proxied = evidence.proxied.is_some();
                if !proxied {
                    self.served.put(server, seen.clone().map(|_| client.addr));
                    self.families.won(evidence, &seen);
                }
                let leaf = leaf(evidence);
                if let Some(asked) = name(evidence) {
                    let (len, ech_key) = hello.map_or((0, None), |hello| (hello.len, hello.ech_key));
                    let success = Success { server: seen.clone(), leaf, hello: len, ech_key, offer: first };
                    former.0 = self.reached_names.exchange((client.addr, asked), success);
                }
                if let Some(offer) = second.filter(|_| !proxied) {
                    let clock = evidence.tcp.clock;
                    let reach = Reach { seen, leaf, name: sni, offer, clock, takes_older: false };
                    former.1 = self.reached(client.addr, reach);
                }
            }
            Outcome::Failed => {
                let code = evidence.fatal_alert().map(|(_, alert, _)| alert.description.0);
                let failure = (server, evidence.stage, code, offer(evidence));
                self.failures.put(client.addr, Seen::new(failure, evidence.last, evidence.ended));
            }
            _ => {}
        }
        self.contrasts.remember(evidence);
        self.offers.remember(evidence);
        if evidence.proxied.is_none() {
            self.clocks.learn(evidence, &self.trust);
        }
        if evidence.stage == Stage::Tcp && evidence.tcp.bytes.client == 0 {
            self.touched.put(client.addr, (evidence.started, server));
        }
        self.shown.remember(evidence);
        drop(former);
    }

    fn judge(&mut self, mut evidence: Box<Evidence>, decided: Stamp, each: &mut dyn FnMut(M::Made)) {
        self.look_around(&mut evidence);
        self.make.look_across(&mut evidence);
        self.assess(&mut evidence);
        self.find_rivals(&mut evidence);
        self.compare_chains(&mut evidence);
        evidence.verify_signatures();
        if let Some(outcome) = benign(&evidence) {
            evidence.outcome = outcome;
            self.episodes.judged(&evidence, false);
            self.let_go(
                Judged { hygiene: hygiene(&evidence, None), evidence, diagnosis: None, decided },
                each,
            );
            return;
        }
        evidence.around.episode = self.episodes.judged(&evidence, true);
        let diagnosis = weigh(&evidence);
        let hygiene = hygiene(&evidence, Some(&diagnosis));
        self.let_go(Judged { evidence, diagnosis: Some(diagnosis), hygiene, decided }, each);
    }

    /// A lookup that failed has no traffic of its own to look at.
    fn judge_lookup(&mut self, mut evidence: Box<Evidence>, each: &mut dyn FnMut(M::Made)) {
        evidence.around.episode = self.episodes.judged(&evidence, true);
        let diagnosis = Some(weigh(&evidence));
        let decided = self.now.min(evidence.ended + self.limits.sibling);
        self.let_go(Judged { evidence, diagnosis, hygiene: Vec::new(), decided }, each);
    }
}

/// The host name asked for.
fn name(evidence: &Evidence) -> Option<&Name> {
    evidence.host()
}

/// The leaf shown in clear.
fn leaf(evidence: &Evidence) -> Option<[u8; 32]> {
    evidence.chain.clear().and_then(|chain| chain.value.first()).map(|leaf| leaf.sha256)
}
