//! What other traffic tells of a failed attempt.

use std::sync::Arc;

use super::{Failure, Join, Make, Reach, Success, leaf, name, offer};
use crate::base::{Endpoint, Seen, Span};
use crate::evidence::around::{Ech, KnownFrom, ShownBefore};
use crate::evidence::{Chain, Evidence, Transport, rejection};
use crate::pipeline::statuses::verifying;
use crate::tls::hello::Offer;
use crate::tls::sealed::Fit;

impl<M: Make> Join<M> {
    /// Files it into the evidence.
    pub(super) fn look_around(&mut self, evidence: &mut Evidence) {
        let (client, server) = (evidence.client, evidence.server);
        let host = name(evidence).cloned();
        let window = self.limits.sibling;
        // Of a connection that was rejected late, another with the same certificate says that it was not.
        let late = rejection::completed_before_close(evidence).then(|| leaf(evidence)).flatten();
        let near = |seen: &Seen<Endpoint>, shown: Option<[u8; 32]>| {
            let near =
                seen.when - evidence.started >= Span(-window.0) && seen.when - evidence.ended <= window;
            (near && (late.is_none() || late == shown)).then(|| seen.clone())
        };
        let alien = |offer: &Offer| rejection::is_of_another_program(evidence, offer);
        let named = |success: &Success| {
            let alien = success.offer.as_deref().is_some_and(alien);
            if alien { None } else { near(&success.server, success.leaf) }
        };
        let of_host =
            host.as_ref().and_then(|sni| self.reached_names.get(&(client.addr, sni.clone())).next());
        let by_host = of_host.and_then(named);
        let smaller_hello = of_host.filter(|_| by_host.is_some()).and_then(|it| smaller_hello(it, evidence));
        // Without a name, the names under which the client knew this address stand for it.
        let by_name = || {
            evidence.around.names_of_server.iter().find_map(|seen| {
                self.reached_names.get(&(client.addr, seen.value.name.as_str().into())).find_map(named)
            })
        };
        let ends = (client.addr, server.addr);
        let reached = |reach: &Reach| {
            if alien(&reach.offer) { None } else { near(&reach.seen, reach.leaf) }
        };
        let by_address = || self.reached_addresses.get(&ends).find_map(reached);
        let other_name = if host.is_some() && by_host.is_none() { by_address() } else { None };
        let over_tcp = evidence.transport == Transport::Tcp;
        if over_tcp {
            evidence.around.sibling = match host {
                Some(_) => by_host,
                None => by_address().or_else(by_name).or_else(|| self.families.reached(evidence)),
            };
        } else {
            let tcp = by_host.or_else(by_address);
            let sibling = self.datagrams.reached(client.addr, server.addr);
            evidence.around.sibling = sibling.and_then(|seen| near(seen, None));
            evidence.around.over_tcp = tcp;
        }
        if over_tcp && (other_name.is_some() || smaller_hello.is_some()) {
            (evidence.around.other_name, evidence.around.smaller_hello) = (other_name, smaller_hello);
        }
        evidence.around.server_completes = if over_tcp {
            self.served.get(&server).next().map(|seen| seen.clone().map(|_| ()))
        } else {
            self.datagrams.served(&server).cloned()
        };
        self.look_for_key(evidence);
        if let Some(national) = self.dialects.of(&server) {
            evidence.around.national = Some(national.clone());
        }
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
        // This failure is remembered too. Behind a proxy the others may be of other servers.
        let repeats = if evidence.proxied.is_some() { 0 } else { repeats };
        evidence.around.repeats = u32::saturating_sub(repeats, 1);
        // The exchange began while the handshake was under way.
        let (started, ended) = (evidence.started, evidence.ended);
        let behind = verifying(evidence).0;
        evidence.around.ocsp = self.statuses.during(client.addr, behind, ended);
        if matches!(evidence.chain, Chain::Sealed(_)) {
            let known = self.known_chains(evidence);
            evidence.around.shown_before = known.as_ref().and_then(|known| known.fitting.first()).cloned();
            evidence.around.known_chains = known.map(Box::new);
        }
        if let Some(before) = self.client_shown_before(evidence) {
            evidence.around.client_shown_before = Some(Box::new(before));
        }
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

    /// Whether DNS gave the client the key of its encrypted hello, and whether the client got through with another.
    pub(super) fn look_for_key(&self, evidence: &mut Evidence) {
        let Some(hello) = &evidence.hello else { return };
        let Some(key) = hello.value.ech_key else { return };
        let client = evidence.client.addr;
        let told = self.ech.name(client, &hello.value);
        let by_other_key = |success: &&Success| {
            success.ech_key.is_some_and(|other| other != key)
                && success.server.value == evidence.server
                && success.server.when >= evidence.started
        };
        let again = if rejection::stops_as_refused(evidence).is_some()
            && let Some(sni) = &hello.value.sni
        {
            let success = self.reached_names.get(&(client, Arc::clone(sni))).find(by_other_key);
            success.and_then(|success| Some(success.server.clone().map(|_| ())).zip(success.ech_key))
        } else {
            None
        };
        if told.is_some() || again.is_some() {
            let again = again.map(|(seen, key)| seen.map(|()| key));
            evidence.around.ech = Some(Ech { told, again });
        }
    }

    /// The certificates of which a sealed record has just the size: what the server showed for this name not long before, or
    /// what was given for it.
    pub(super) fn shown_before(&self, evidence: &Evidence) -> Option<ShownBefore> {
        let mut fitting = self.known_chains(evidence)?.fitting.into_iter();
        let near = |it: &ShownBefore| matches!(it.from, KnownFrom::Server | KnownFrom::Given);
        fitting.find(|it| near(it) && it.fit == Fit::Exact)
    }
}

/// What one segment of the network of today holds of a ClientHello: a tunnel or two may take from an Ethernet frame.
const ONE_SEGMENT: u32 = 1_400;

/// The size of the hello that completed, where it fits one segment, and this one's at the same server does not.
fn smaller_hello(success: &Success, evidence: &Evidence) -> Option<Seen<u32>> {
    let hello = evidence.hello.as_ref()?;
    let fits = (1..=ONE_SEGMENT).contains(&success.hello) && success.server.value == evidence.server;
    (fits && hello.value.len > ONE_SEGMENT).then(|| success.server.clone().map(|_| success.hello))
}
