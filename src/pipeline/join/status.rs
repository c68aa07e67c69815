//! What was asked about revocation, beside the certificates that were presented.

use std::sync::Arc;

use super::{Join, Make};
use crate::base::{Seen, Span, Stamp};
use crate::evidence::Evidence;
use crate::evidence::around::{Answer, Listed, Method, StatusExchange};
use crate::tls::cert::Certificate;
use crate::tls::ocsp::CertId;
use crate::tls::trust::Trust;

/// A request for revocation status with what is known of the certificates asked about.
#[derive(Debug)]
pub struct Asked {
    /// What was asked, and what came back.
    pub exchange: Seen<StatusExchange>,
    /// The certificates, where they were presented before; as many as were asked about.
    pub certificates: Vec<Option<Arc<Certificate>>>,
}

/// How long before a handshake a client may have fetched a list for it.
const FETCHED: Span = Span::from_secs(60);

impl<M: Make> Join<M> {
    /// A chain that was not met before.
    pub(super) fn learn(&mut self, chain: &[Arc<Certificate>]) {
        self.pool.learn(chain);
        for cert in chain {
            let issuer = self.issuer(cert, chain);
            self.presented.put(cert.serial.clone(), (Arc::clone(cert), issuer));
        }
    }

    /// The first certificate of a chain that a list names.
    pub(super) fn listed(&mut self, chain: &[Arc<Certificate>], until: Stamp) -> Option<Seen<Listed>> {
        let places = Places { chain, trust: &self.trust };
        self.lists.names(chain, until, |cert| places.issuer(cert))
    }

    /// The certificate of an issuer: of the chain, or a root.
    fn issuer(&self, cert: &Certificate, chain: &[Arc<Certificate>]) -> Option<Arc<Certificate>> {
        Places { chain, trust: &self.trust }.issuer(cert)
    }

    /// A status was asked for.
    pub(super) fn asked(&mut self, mut exchange: Seen<StatusExchange>, each: &mut dyn FnMut(M::Made)) {
        let certificates: Vec<Option<Arc<Certificate>>> = {
            let of = |id: &CertId| self.presented.get(&id.serial).find(|(cert, _)| id.is_of(cert));
            let known: Vec<_> = exchange.value.ids.iter().map(of).collect();
            let issuer = known.iter().flatten().find_map(|(_, issuer)| issuer.as_ref());
            exchange.value.signed =
                exchange.value.response().zip(issuer).map(|(response, issuer)| response.signed(issuer));
            known.into_iter().map(|known| known.map(|(cert, _)| Arc::clone(cert))).collect()
        };
        if let Answer::Crl(crl) = &exchange.value.answer {
            let when = exchange.value.ended;
            let seen = Seen { value: Arc::clone(crl), at: exchange.at.clone(), when };
            self.lists.put(&seen, exchange.value.client.addr);
        }
        self.status.put(exchange.value.client.addr, exchange.clone());
        let place = (exchange.at.last().unwrap_or_default(), exchange.at.first().unwrap_or_default());
        let made = self.make.asked(Asked { exchange, certificates });
        if let Some(made) = made {
            self.queue(place, made, each);
        }
    }

    /// Requests for status during the attempt that are about its certificates, and a list that was out of date.
    pub(super) fn look_for_status(&self, evidence: &mut Evidence) {
        let (started, ended) = (evidence.started, evidence.ended);
        let chain = evidence.chain.clear().map(|chain| chain.value.as_slice()).unwrap_or_default();
        let mut found = Vec::new();
        let mut stale = None;
        for seen in self.status.get(&evidence.client.addr) {
            let exchange = &seen.value;
            // It began while the handshake was under way.
            let during = seen.when >= started && seen.when <= ended;
            let shortly = seen.when >= started - FETCHED && seen.when <= ended;
            if let (true, Some(crl)) = (shortly, exchange.crl()) {
                let of_chain = chain.is_empty() || chain.iter().any(|cert| cert.issuer_der == crl.issuer_der);
                let due = crl.next_update.filter(|due| *due < seen.when && of_chain);
                stale = stale.or(due.map(|due| Seen { value: due, at: seen.at.clone(), when: seen.when }));
            }
            let about = |cert: &&Arc<Certificate>| exchange.ids.iter().any(|id| id.is_of(cert));
            let cert = chain.iter().find(about);
            let of_chain = chain.is_empty() || exchange.ids.is_empty() || cert.is_some();
            if during && exchange.method != Method::Crl && of_chain && found.len() < 4 {
                let mut seen = seen.clone();
                let issuer = cert.and_then(|cert| self.issuer(cert, chain));
                let signed =
                    seen.value.response().zip(issuer).map(|(response, issuer)| response.signed(&issuer));
                seen.value.signed = signed.or(seen.value.signed);
                found.push(seen);
            }
        }
        evidence.around.status = found;
        evidence.around.stale_list = stale;
    }
}

/// Where an issuer's certificate may be found: in the chain, and among the roots.
struct Places<'a> {
    chain: &'a [Arc<Certificate>],
    trust: &'a Trust,
}

impl Places<'_> {
    fn issuer(&self, cert: &Certificate) -> Option<Arc<Certificate>> {
        let holds = |issuer: &&Arc<Certificate>| {
            issuer.subject_der == cert.issuer_der && cert.signed_by(issuer).holds()
        };
        let presented = self.chain.iter().find(holds).cloned();
        presented.or_else(|| {
            let roots = self.trust.named(&cert.issuer_der).into_iter().map(|root| root.cert);
            roots.into_iter().find(|root| holds(&root))
        })
    }
}
