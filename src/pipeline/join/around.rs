//! What other traffic tells of a failed attempt.

use std::sync::Arc;

use super::{Failure, Join, Make, Name, Reach, Shown, Success, leaf, name, offer};
use crate::aside::dns::DnsAnswer;
use crate::base::{Addr, Endpoint, Seen, Span};
use crate::evidence::around::{ShownBefore, ShownToOther};
use crate::evidence::{Chain, Evidence, Outcome, rejection};
use crate::pipeline::benign::benign_beside;
use crate::pipeline::contrasts::{self, Beside};
use crate::pipeline::episodes::Place;
use crate::pipeline::statuses::verifying;
use crate::tls::cert::Certificate;
use crate::tls::chain::{Defect, Fault, KeyUse, Question, assess_cached};
use crate::tls::sealed::{JSSE_PADDING, SealedRecord, certificate_record_len};

impl<M: Make> Join<M> {
    /// Files it into the evidence.
    pub(super) fn look_around(&mut self, evidence: &mut Evidence) {
        let (client, server) = (evidence.client, evidence.server);
        let started = evidence.started;
        let before = |seen: &&Seen<DnsAnswer>| seen.when <= started;
        let host = name(evidence).cloned();
        if let Some(sni) = &host {
            for (asker, seen) in self.by_name.get(sni.as_ref()) {
                let list = if *asker == client.addr {
                    &mut evidence.around.answers
                } else {
                    &mut evidence.around.answers_to_others
                };
                if before(&seen.as_ref()) && list.len() < 4 {
                    list.push(seen.as_ref().clone());
                }
            }
        }
        let given: Vec<_> = self
            .by_address
            .get(&(client.addr, server.addr))
            .map(AsRef::as_ref)
            .filter(before)
            .cloned()
            .collect();
        evidence.around.names_of_server = given;
        let window = self.limits.sibling;
        // Of a connection that was rejected late, another with the same certificate says that it was not.
        let late = rejection::completed_before_close(evidence).then(|| leaf(evidence)).flatten();
        let near = |(seen, shown): &Success| {
            let near =
                seen.when - evidence.started >= Span(-window.0) && seen.when - evidence.ended <= window;
            (near && (late.is_none() || late == *shown)).then(|| seen.clone())
        };
        let by_host =
            host.as_ref().and_then(|sni| self.reached_names.get(&(client.addr, sni.clone())).find_map(near));
        // Without a name, the names under which the client knew this address stand for it.
        let by_name = || {
            evidence.around.names_of_server.iter().find_map(|seen| {
                self.reached_names.get(&(client.addr, seen.value.name.as_str().into())).find_map(near)
            })
        };
        let ends = (client.addr, server.addr);
        let by_address =
            || self.reached_addresses.get(&ends).find_map(|reach| near(&(reach.seen.clone(), reach.leaf)));
        evidence.around.sibling = match host {
            Some(_) => by_host,
            None => by_address().or_else(by_name).or_else(|| self.families.reached(evidence)),
        };
        evidence.around.server_completes =
            self.served.get(&server).next().map(|seen| seen.clone().map(|_| ()));
        let code = evidence.fatal_alert().map(|(_, alert, _)| alert.description.0);
        let mine: Failure = (server, evidence.stage, code, offer(evidence));
        let mut repeats = 0;
        for seen in self.failures.get(&client.addr) {
            let (other, stage, code, offered) = seen.value;
            if stage != mine.1
                || code != mine.2
                || (seen.when - evidence.ended).0.abs() > Span::from_secs(3600).0
            {
                continue;
            }
            if other == server {
                repeats += u32::from(offered == mine.3);
            } else if other.addr != server.addr && evidence.around.same_failure_elsewhere.len() < 4 {
                evidence.around.same_failure_elsewhere.push(seen.clone().map(|_| other));
            }
        }
        // This failure is remembered too.
        evidence.around.repeats = u32::saturating_sub(repeats, 1);
        if matches!(evidence.chain, Chain::Sealed(_)) {
            let key = (server.addr, host.clone());
            let fits = |chain: &Shown| of_their_size(&evidence.sealing.records.server, &chain.value);
            let fresh = |chain: &&Shown| (started - chain.when).0.abs() < RENEWED.0;
            let chains = self.shown.get(&key).map(|(_, chain)| chain);
            let shown = chains.filter(fresh).find_map(|chain| Some((chain, fits(chain)?)));
            evidence.around.shown_before =
                shown.map(|(chain, record)| ShownBefore { chain: chain.clone(), record, given: false });
            if evidence.around.shown_before.is_none()
                && let Some(host) = &host
            {
                let records = &evidence.sealing.records.server;
                let fits = |chain: Vec<_>| Some((of_their_size(records, &chain)?, chain));
                evidence.around.shown_before =
                    self.given.of_host(host).find_map(fits).map(|(record, chain)| ShownBefore {
                        chain: Seen::new(chain, record.at, record.when),
                        record,
                        given: true,
                    });
            }
        }
        // The exchange began while the handshake was under way.
        let (started, ended) = (evidence.started, evidence.ended);
        let behind = verifying(evidence).0;
        evidence.around.ocsp = self.statuses.during(client.addr, behind, ended);
        let begun = |seen: &&Seen<Endpoint>| seen.when >= started && seen.when <= ended;
        evidence.around.unreached = self.unreached.get(&client.addr).find(begun).cloned();
        if let Some(syn) = &evidence.tcp.syn {
            let asked = syn.value.wrapping_add(1);
            evidence.around.stray_syn_ack =
                self.strays.get(&(client, asked)).find(|seen| seen.value != server).cloned();
        }
        if let Some(syn) = &evidence.tcp.syn {
            let from = (server, syn.value.wrapping_add(1));
            evidence.around.astray = self.astray.get(&from).find(|seen| seen.value != client).cloned();
        } else if let Some(first_seq) = evidence.tcp.first_seq {
            // A capture on both sides of a translator shows each connection twice, each time with its own SYN.
            evidence.around.other_address =
                self.syns.get(&(server, first_seq)).find(|seen| seen.value != client).cloned();
        }
        evidence.around.path = self.paths.get(&(client.addr, server.addr)).next().cloned();
        let touched: Vec<_> = self
            .touched
            .get(&client.addr)
            .filter(|(when, _)| (*when - evidence.started).0.abs() < Span::from_secs(60).0)
            .collect();
        let mut ends: Vec<_> = touched.iter().map(|(_, end)| *end).collect();
        ends.sort_unstable();
        ends.dedup();
        evidence.around.scan = ends.len() >= 8;
        evidence.around.probes_versions = self.offers.probed(evidence);
        self.look_beside(evidence, host.as_ref());
        self.shown_to_other(evidence);
        self.look_for_revoked(evidence);
        self.clocks.answered(evidence, &self.trust);
        evidence.around.clocks = self.clocks.around(evidence);
    }

    /// What other attempts tell by ending alike or otherwise.
    fn look_beside(&self, evidence: &mut Evidence, host: Option<&Name>) {
        let (client, server) = (evidence.client.addr, evidence.server);
        let reach = self.reached_addresses.get(&(client, server.addr)).next();
        let named = host.and_then(|host| self.reached_names.get(&(client, Arc::clone(host))).next());
        let beside = Beside {
            reach,
            same_name: named.map(|(seen, _)| seen),
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
        let (parked, offers) = (&self.parked, &self.offers);
        let sibling = Seen::new(evidence.server, evidence.last, evidence.ended);
        let failed = |place: &Place| {
            let (_, other) = parked.get(place)?;
            if offers.probed(other) {
                return None; // a scan
            }
            benign_beside(other, Some(&sibling)).is_none().then_some(&**other)
        };
        let episode = self.episodes.ended_by(evidence, failed);
        if episode.is_some() {
            evidence.around.episode = episode;
        }
    }

    /// A client reached an address.
    pub(super) fn reached(&mut self, client: Addr, reach: Reach) {
        let key = (client, reach.seen.value.addr);
        let (clock, when) = (reach.clock, reach.seen.when);
        if let Some(former) = self.reached_addresses.exchange(key, reach)
            && contrasts::takes_older(&former, clock, when)
            && let Some(now) = self.reached_addresses.newest_mut(&key)
        {
            now.takes_older = true;
        }
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
        let other = |(who, shown): &&(Addr, Shown)| {
            let other = shown.value.first();
            *who != client
                && (shown.when - chain.when).0.abs() <= TOGETHER.0
                && other.is_some_and(|other| other.issuer_der != leaf.issuer_der && kind(other) == kind(leaf))
        };
        let Some((who, shown)) = self.shown.get(&(server, Some(Arc::clone(host)))).find(other) else {
            return;
        };
        let path = self.paths.get(&(*who, server)).next();
        let nearer = path
            .zip(evidence.tcp.ttl.server)
            .is_some_and(|(path, ours)| contrasts::nearer(ours, path.value.ttl));
        let found = ShownToOther { client: *who, chain: shown.clone(), nearer };
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
            host: evidence.sni(),
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

/// Certificates shown longer apart may have been exchanged between.
const TOGETHER: Span = Span::from_secs(600);

/// Certificates are renewed, mostly in the same size: what was shown longer ago than this may be another.
const RENEWED: Span = Span::from_secs(3600);

/// The sealed record that has just the size of a TLS 1.3 Certificate with these, bare or as JSSE pads it.
fn of_their_size(records: &[SealedRecord], chain: &[Arc<Certificate>]) -> Option<SealedRecord> {
    let lens: Vec<usize> = chain.iter().map(|certificate| certificate.der.len()).collect();
    let bare = certificate_record_len(&lens);
    records.iter().find(|record| [bare, bare + JSSE_PADDING].contains(&record.len.into())).copied()
}
