//! Which known certificates a sealed handshake may have been shown: those that servers show in clear, and those given
//! beforehand, as far as the sizes of its records have room for them.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{Join, Make, Name, Shown, name};
use crate::base::{Addr, Endpoint, Packets, Seen, Span};
use crate::cause::faults::placed;
use crate::evidence::Evidence;
use crate::evidence::around::{KnownChains, KnownFrom, ShownBefore};
use crate::pipeline::memory::Recent;
use crate::tls::cert::Certificate;
use crate::tls::chain::{Defect, Fault};
use crate::tls::given::Given;
use crate::tls::ocsp::Response as OcspResponse;
use crate::tls::sealed::{self, Fit, Offered, Reading};

/// Certificates are renewed, mostly in the same size: what was shown longer ago than this may be another.
const RENEWED: Span = Span::from_secs(3600);

/// What a server showed in clear.
#[derive(Debug)]
pub(super) struct InClear {
    /// To whom.
    pub client: Addr,
    /// Which.
    pub chain: Shown,
    /// Bytes of the answer stapled to it; 0 where there was none.
    staple_len: usize,
    /// That answer, where it is not good.
    staple: Option<Arc<Seen<OcspResponse>>>,
}

impl InClear {
    fn of(evidence: &Evidence, chain: &Shown) -> Self {
        let staple = evidence.staple.as_deref();
        let bad = |staple: &&Seen<OcspResponse>| staple.value.is_bad_at(evidence.started);
        Self {
            client: evidence.client.addr,
            chain: chain.clone(),
            staple_len: staple.map_or(0, |staple| staple.value.len),
            staple: staple.filter(bad).map(|staple| Arc::new(staple.clone())),
        }
    }
}

/// The same certificates in the same order.
fn is_like(one: &[Arc<Certificate>], other: &[Arc<Certificate>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.sha256 == other.sha256)
}

/// What of clear handshakes tells of sealed ones.
pub(super) struct ShownInClear {
    /// By server and name.
    pub by_server: Recent<(Addr, Option<Name>), Arc<InClear>>,
    /// By server, whatever the name.
    by_address: Recent<Addr, Arc<InClear>>,
    /// By name, whatever the server.
    by_name: Recent<Name, Arc<InClear>>,
    /// By client: its own certificates.
    by_client: Recent<Addr, Shown>,
    /// Servers that signed with another key than that of the leaf they showed: the leaf, and what they signed.
    misfits: Recent<Endpoint, Seen<[u8; 32]>>,
}

impl ShownInClear {
    /// Chains kept of a server and name: those of its two kinds of keys, or before and after a renewal.
    const EACH: usize = 2;
    /// Chains kept of an address, of a name and of a client; of fewer of them.
    const OTHERS: usize = 4;

    pub fn new(servers: usize) -> Self {
        Self {
            by_server: Recent::new(servers, Self::EACH),
            by_address: Recent::new(servers / Self::OTHERS, Self::OTHERS),
            by_name: Recent::new(servers / Self::OTHERS, Self::OTHERS),
            by_client: Recent::new(servers / Self::OTHERS, Self::OTHERS),
            misfits: Recent::new(servers, 1),
        }
    }

    /// Has fetched what [`Self::remember`] will look at of a server.
    #[inline]
    pub fn approach(&self, server: Addr, name: Option<&str>) {
        self.by_server.approach(&(server, name));
        self.by_address.approach(&server);
        if let Some(name) = name {
            self.by_name.approach(name);
        }
    }

    /// Keeps what the two sides show in clear.
    pub fn remember(&mut self, evidence: &Evidence) {
        if let Some(chain) = evidence.chain.clear().filter(|chain| !chain.value.is_empty()) {
            self.of_server(evidence, chain);
        }
        if let Some(chain) = evidence.client_chain.clear().filter(|chain| !chain.value.is_empty()) {
            let same = |other: &Shown| is_like(&other.value, &chain.value);
            self.by_client.put_anew(evidence.client.addr, chain.clone(), same);
        }
    }

    fn of_server(&mut self, evidence: &Evidence, chain: &Shown) {
        let host = name(evidence);
        let shown = Arc::new(InClear::of(evidence, chain));
        let same = |other: &Arc<InClear>| is_like(&other.chain.value, &shown.chain.value);
        let server = evidence.server.addr;
        self.by_server.put_anew((server, host), Arc::clone(&shown), same);
        self.by_address.put_anew(server, Arc::clone(&shown), same);
        if let Some(host) = host {
            self.by_name.put_anew(host, Arc::clone(&shown), same);
        }
    }

    /// Keeps that a server signed with another key than its leaf's.
    pub fn signed_amiss(&mut self, evidence: &Evidence) {
        let amiss = evidence.key_exchange_verdict.is_some_and(|verdict| verdict.fails());
        if let (true, Some(chain), Some(exchange)) = (amiss, evidence.chain.clear(), &evidence.key_exchange)
            && let Some(leaf) = chain.value.first()
        {
            let seen = Seen { value: leaf.sha256, at: exchange.at.clone(), when: exchange.when };
            self.misfits.put(evidence.server, seen);
        }
    }
}

/// A chain that may be behind the seal.
struct Candidate {
    chain: Shown,
    from: KnownFrom,
    staple_len: usize,
    staple: Option<Arc<Seen<OcspResponse>>>,
}

impl<M: Make> Join<M> {
    /// What is known for this server or name, and what of it has the size of what was sealed.
    pub(super) fn known_chains(&self, evidence: &Evidence) -> Option<KnownChains> {
        if evidence.server_hello.as_ref()?.value.psk {
            return None;
        }
        let reading = evidence.sealed_reading()?;
        let hello = evidence.hello.as_ref()?;
        let offered = Offered { offer: &hello.value.offer, name: hello.value.sni.is_some() };
        let candidates = self.candidates(evidence);
        let mut found = KnownChains {
            known: u32::try_from(candidates.len()).unwrap_or(u32::MAX),
            ..KnownChains::default()
        };
        for candidate in &candidates {
            self.fitting(evidence, &reading, candidate, offered, &mut found.fitting);
        }
        if found.fitting.is_empty() {
            let others = others_given(&self.given, evidence);
            found.known += u32::try_from(others.len()).unwrap_or(0);
            for candidate in &others {
                self.fitting(evidence, &reading, candidate, offered, &mut found.fitting);
            }
        }
        let measured = reading.certificate.is_some() || reading.several.is_some();
        let shown = candidates.iter().find(|candidate| candidate.from == KnownFrom::Server);
        if found.fitting.is_empty() && measured {
            found.changed = shown.and_then(|candidate| candidate.chain.at.last());
        }
        // Who asked about a leaf while it shook hands was shown that one.
        found.fitting.sort_by_key(|it| (it.asked_about.is_none(), Reverse(it.fit), it.lacks, it.from));
        // What hides its size has room for much: where something fits to the byte, that counts alone.
        let best = found.fitting.first().map(|it| it.fit);
        found.fitting.retain(|it| Some(it.fit) == best || it.asked_about.is_some());
        found.fitting.truncate(KnownChains::MOST);
        (found.known > 0).then_some(found)
    }

    /// What this client showed in clear, of which the record of its sealed Certificate has the size.
    pub(super) fn client_shown_before(&self, evidence: &Evidence) -> Option<ShownBefore> {
        let reading = evidence.sealed_reading()?;
        let of_size = |chain: &Shown| {
            let (fit, record) = sealed::client_fit(&reading, &chain.value)?;
            Some(ShownBefore { fit, ..ShownBefore::of_size(chain.clone(), record, KnownFrom::Client) })
        };
        self.shown.by_client.get(&evidence.client.addr).find_map(of_size)
    }

    /// What was shown in clear not long before or behind, and what was given for the name; each chain once.
    fn candidates(&self, evidence: &Evidence) -> Vec<Candidate> {
        let host = name(evidence);
        let server = evidence.server.addr;
        let fresh = |shown: &&Arc<InClear>| (evidence.started - shown.chain.when).0.abs() < RENEWED.0;
        let of = |from| {
            move |shown: &Arc<InClear>| Candidate {
                chain: shown.chain.clone(),
                from,
                staple_len: shown.staple_len,
                staple: shown.staple.clone(),
            }
        };
        let shown = &self.shown;
        let key = (server, host.cloned());
        let by_server = shown.by_server.get(&key).filter(fresh).map(of(KnownFrom::Server));
        let named = host.into_iter().flat_map(|host| shown.by_name.get(host));
        let by_name = named.filter(fresh).map(of(KnownFrom::Name));
        let by_address = shown.by_address.get(&server).filter(fresh).map(of(KnownFrom::Address));
        let given = host.into_iter().flat_map(|host| self.given.of_host(host));
        let given = given.map(|chain| given_chain(evidence, chain, KnownFrom::Given));
        let mut candidates: Vec<Candidate> = Vec::new();
        for candidate in by_server.chain(given).chain(by_name).chain(by_address) {
            let same = |other: &Candidate| is_like(&other.chain.value, &candidate.chain.value);
            if !candidates.iter().any(same) {
                candidates.push(candidate);
            }
        }
        candidates
    }

    /// Adds the ways to send this chain, whole or without its last certificates, that fit.
    fn fitting(
        &self,
        evidence: &Evidence,
        reading: &Reading,
        candidate: &Candidate,
        offered: Offered<'_>,
        found: &mut Vec<ShownBefore>,
    ) {
        let chain = &candidate.chain.value;
        let staple = Some(candidate.staple_len).filter(|&len| len > 0);
        for len in (1..=chain.len()).rev() {
            let part = chain.get(..len).unwrap_or_default();
            let Some((fit, record)) = sealed::fit(reading, part, staple, offered) else { continue };
            let near = matches!(candidate.from, KnownFrom::Server | KnownFrom::Given);
            if fit == Fit::Hidden && !near {
                continue;
            }
            let lacks = chain.len() - len;
            // What is measured roughly shows no part of a chain.
            let given_longer = candidate.from.is_given();
            if lacks > 0 && fit != Fit::Exact && !given_longer {
                continue;
            }
            let alone = sealed::fit(reading, part, None, offered);
            let stapled = alone.is_none_or(|(alone, _)| alone != fit);
            let leaf = part.first().map(|leaf| leaf.sha256);
            let misfit = self.shown.misfits.get(&evidence.server).find(|seen| Some(seen.value) == leaf);
            let mut seen = candidate.chain.clone();
            seen.value.truncate(len);
            if candidate.from.is_given() {
                (seen.at, seen.when) = (Packets::one(record.at), record.when);
            }
            found.push(ShownBefore {
                chain: seen,
                record,
                from: candidate.from,
                fit,
                lacks,
                stapled,
                staple: candidate.staple.clone().filter(|_| stapled),
                asked_about: asked_about(evidence, part),
                misfit: misfit.map(|seen| seen.at.clone()),
                rivals: asked_about_another(evidence, part),
            });
            break;
        }
    }

    /// Whether another chain that fits has defects of other causes than the likeliest, whose defects these are.
    pub(super) fn find_rivals(&mut self, evidence: &mut Evidence) {
        let Some(known) = evidence.around.known_chains.take() else { return };
        let likeliest = causes(&evidence.defects);
        let mut others = known.fitting.iter().skip(1);
        let differs = others.any(|other| {
            let chain = &other.chain.value;
            causes(&self.defects_of(evidence, chain)) != likeliest
        });
        evidence.around.known_chains = Some(known);
        let identified = |before: &ShownBefore| before.asked_about.is_some();
        if let Some(before) = &mut evidence.around.shown_before
            && !identified(before)
        {
            before.rivals |= differs;
        }
    }
}

/// The causes that a chain's defects would have, the unknown root aside, which a client may have been given.
fn causes(defects: &[Defect]) -> Vec<crate::cause::Cause> {
    let grave = defects.iter().filter(|it| !it.fault.is_mild() && it.fault != Fault::UnknownRoot);
    let mut causes: Vec<_> = grave.map(|defect| placed(defect.fault).0).collect();
    causes.sort_unstable();
    causes.dedup();
    causes
}

/// Where the client asked a responder about this leaf during the handshake.
fn asked_about(evidence: &Evidence, chain: &[Arc<Certificate>]) -> Option<Packets> {
    let of_leaf = evidence
        .around
        .ocsp
        .iter()
        .find(|seen| !seen.value.asked.is_empty() && seen.value.about(chain) == Some(0));
    of_leaf.map(|seen| seen.at.clone())
}

/// The client asked responders during the handshake, and never about one of these.
fn asked_about_another(evidence: &Evidence, chain: &[Arc<Certificate>]) -> bool {
    let mut asked = evidence.around.ocsp.iter().filter(|seen| !seen.value.asked.is_empty()).peekable();
    asked.peek().is_some() && asked.all(|seen| seen.value.about(chain).is_none())
}

fn given_chain(evidence: &Evidence, chain: Vec<Arc<Certificate>>, from: KnownFrom) -> Candidate {
    let chain = Seen::new(chain, evidence.first, evidence.started);
    Candidate { chain, from, staple_len: 0, staple: None }
}

/// What was given for other hosts.
fn others_given(given: &Given, evidence: &Evidence) -> Vec<Candidate> {
    let host = evidence.sni();
    given.of_others(host).map(|chain| given_chain(evidence, chain, KnownFrom::GivenForOthers)).collect()
}
