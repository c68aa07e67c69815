//! Authorities that servers may leave out: given beforehand, or presented earlier in the traffic.

use crate::tls::cert::Certificate;
use crate::tls::generations::Generations;
use crate::tls::given::Given;
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Authorities by their subject, within a bound.
#[derive(Debug)]
pub struct Pool {
    given: Arc<Given>,
    seen: Generations<Arc<[Arc<Certificate>]>>,
    hasher: RandomState,
}

impl Pool {
    /// Authorities of one name that are kept: cross-signed ones have two or three.
    const ALIKE: usize = 4;
    /// Authorities handed out for one chain.
    const MOST: usize = 16;

    /// Holds up to `subjects` names beside those given.
    pub fn new(subjects: usize, given: Arc<Given>) -> Self {
        Self { given, seen: Generations::new(subjects, usize::MAX), hasher: RandomState::default() }
    }

    /// Remembers the authorities of a presented chain. A self-signed one leads nowhere.
    pub fn learn(&mut self, presented: &[Arc<Certificate>]) {
        for cert in presented.iter().skip(1).filter(|cert| cert.is_ca() && !cert.is_self_issued()) {
            let hash = self.hasher.hash_one(&cert.subject_der);
            let alike = |list: &Arc<[Arc<Certificate>]>| {
                list.first().is_some_and(|first| first.subject_der == cert.subject_der)
            };
            let list = self.seen.get(hash, 1, alike).unwrap_or_default();
            if list.len() >= Self::ALIKE || list.iter().any(|other| other.sha256 == cert.sha256) {
                continue;
            }
            self.seen.remove(hash, alike);
            self.seen.put(hash, 1, list.iter().chain([cert]).cloned().collect());
        }
    }

    /// Authorities that may stand above these certificates.
    pub(super) fn above(&mut self, presented: &[Arc<Certificate>]) -> Vec<Arc<Certificate>> {
        let mut found: Vec<Arc<Certificate>> = Vec::new();
        // By their places among those presented and, behind these, those found.
        let mut below: SmallVec<[usize; Self::MOST]> = (0..presented.len().min(Self::MOST)).collect();
        while let Some(place) = below.pop() {
            let Some(cert) = presented.iter().chain(&found).nth(place) else { continue };
            let name = &cert.issuer_der;
            let hash = self.hasher.hash_one(name);
            let seen =
                self.seen.get(hash, 1, |list| list.first().is_some_and(|first| first.subject_der == *name));
            let given = self.given.authorities(name);
            for cert in given.iter().chain(seen.iter().flat_map(|list| list.iter())) {
                let known = presented.iter().chain(&found).any(|other| other.sha256 == cert.sha256);
                if !known && found.len() < Self::MOST {
                    below.push(presented.len() + found.len());
                    found.push(Arc::clone(cert));
                }
            }
        }
        found
    }
}

impl Default for Pool {
    /// An empty one.
    fn default() -> Self {
        Self::new(16, Arc::default())
    }
}
