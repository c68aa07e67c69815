//! What other attempts tell of one: how they ended, which pauses they survived, what they were shown.

use std::sync::Arc;

use super::known::InClear;
use super::{Join, Make, Name, Reach, name};
use crate::base::{Addr, Seen, Span};
use crate::evidence::around::ShownToOther;
use crate::evidence::{Evidence, Outcome, rejection};
use crate::pipeline::benign::benign_beside;
use crate::pipeline::contrasts::{self, Beside};
use crate::pipeline::episodes::Place;
use crate::tls::cert::Certificate;
use crate::tls::chain::{Defect, Fault, KeyUse, Question, assess_cached};

/// Certificates shown longer apart may have been exchanged between.
const TOGETHER: Span = Span::from_secs(600);

impl<M: Make> Join<M> {
    /// What other attempts tell by ending alike or otherwise.
    pub(super) fn look_beside(&self, evidence: &mut Evidence, host: Option<&Name>) {
        let (client, server) = (evidence.client.addr, evidence.server);
        let reach = self.reached_addresses.get(&(client, server.addr)).next();
        let named = host.and_then(|host| self.reached_names.get(&(client, Arc::clone(host))).next());
        let beside = Beside {
            reach,
            same_name: named.map(|success| &success.server),
            served: self.served.get(&server).next(),
            later: self.limits.sibling,
        };
        let contrast = self.contrasts.contrast(evidence, &beside);
        let pauses = self.contrasts.pauses(evidence, &beside);
        let clock_behind = self.contrasts.clock_behind(evidence, reach);
        let around = &mut evidence.around;
        (around.contrast, around.pauses, around.clock_behind) = (contrast, pauses, clock_behind);
    }

    /// Looks for the failures that this success ended; those that it shows to be none do not count.
    pub(super) fn end_episode(&mut self, evidence: &mut Evidence) {
        let (parked, offers, transport) = (&self.parked, &self.offers, evidence.transport);
        let sibling = Seen::new(evidence.server, evidence.last, evidence.ended);
        let failed = |place: &Place| {
            let (_, other) = parked.get(place)?;
            if offers.probed(other) {
                return None; // a scan
            }
            let alien = evidence
                .hello
                .as_ref()
                .is_some_and(|hello| rejection::is_of_another_program(other, &hello.value.offer));
            if alien {
                return Some(&**other);
            }
            // Who gets in over TCP where datagrams were not answered fell back.
            let sibling = (other.transport == transport).then_some(&sibling);
            benign_beside(other, sibling).is_none().then_some(&**other)
        };
        let episode = self.episodes.ended_by(evidence, failed);
        if episode.is_some() {
            evidence.around.episode = episode;
        }
    }

    /// A client reached an address. Gives how it did before.
    pub(super) fn reached(&mut self, client: Addr, reach: Reach) -> Option<Reach> {
        let key = (client, reach.seen.value.addr);
        let (clock, when) = (reach.clock, reach.seen.when);
        let former = self.reached_addresses.exchange(key, reach);
        if let Some(former) = &former
            && contrasts::takes_older(former, clock, when)
            && let Some(now) = self.reached_addresses.newest_mut(&key)
        {
            now.takes_older = true;
        }
        former
    }

    /// Looks for a chain of another issuer that another client was shown for the same name at about the same time.
    pub(super) fn shown_to_other(&self, evidence: &mut Evidence) {
        if evidence.outcome != Outcome::Failed || evidence.around.shown_to_other.is_some() {
            return;
        }
        let (client, server) = (evidence.client.addr, evidence.server.addr);
        let (Some(chain), Some(host)) = (evidence.chain.clear(), name(evidence)) else { return };
        let Some(leaf) = chain.value.first() else { return };
        // Servers have a certificate for each kind of key, often of different issuers.
        let kind = |certificate: &Certificate| std::mem::discriminant(&certificate.key.kind);
        let other = |shown: &&Arc<InClear>| {
            let other = shown.chain.value.first();
            shown.client != client
                && (shown.chain.when - chain.when).0.abs() <= TOGETHER.0
                && other.is_some_and(|other| other.issuer_der != leaf.issuer_der && kind(other) == kind(leaf))
        };
        let by_server = &self.shown.by_server;
        let Some(shown) = by_server.get(&(server, Some(Arc::clone(host)))).find(other) else { return };
        let path = self.paths.get(&(shown.client, server)).next();
        let nearer = path
            .zip(evidence.tcp.ttl.server)
            .is_some_and(|(path, ours)| contrasts::nearer(ours, path.value.ttl));
        let found = ShownToOther { client: shown.client, chain: shown.chain.clone(), nearer };
        evidence.around.shown_to_other = Some(found);
    }

    /// Keeps what another client was shown only where that leads to a trusted root, and this chain does not.
    pub(super) fn compare_chains(&mut self, evidence: &mut Evidence) {
        let Some(other) = &evidence.around.shown_to_other else { return };
        let untrusted = |defects: &[Defect]| {
            defects.iter().any(|defect| {
                matches!(defect.fault, Fault::UnknownRoot | Fault::SelfSigned | Fault::MissingIntermediate)
            })
        };
        let question = Question {
            presented: &other.chain.value,
            at: evidence.started,
            host: evidence.host().map(|host| &**host),
            server_ip: None,
            client: false,
            uses: KeyUse::Unknown,
        };
        let stands = untrusted(&evidence.defects)
            && !untrusted(&assess_cached(&question, &self.trust, &mut self.pool, &mut self.chains));
        if !stands {
            evidence.around.shown_to_other = None;
        }
    }
}
