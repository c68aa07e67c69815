//! Chains seen before need no signature checks.

use super::path::{Budget, End, Path, Verifier, find_with};
use crate::tls::cert::Certificate;
use crate::tls::signature::Verdict;
use crate::tls::trust::Trust;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// Paths of presented chains, and signatures between two certificates, both bounded: a full
/// generation becomes the old one, and the one before goes. Serves one [`Trust`].
#[derive(Debug)]
pub struct ChainCache {
    young: HashTable<Entry>,
    old: HashTable<Entry>,
    edges: HashMap<([u8; 32], [u8; 32]), Verdict, FixedState>,
    old_edges: HashMap<([u8; 32], [u8; 32]), Verdict, FixedState>,
    /// Chains in one generation.
    most: usize,
    hasher: FixedState,
}

#[derive(Clone, Debug)]
struct Entry {
    hash: u64,
    chain: Arc<[[u8; 32]]>,
    /// The known certificates when no trusted path was found: others may complete it.
    known: Option<u64>,
    paths: Arc<[Path]>,
}

impl ChainCache {
    /// Chains longer than this are not remembered.
    const LONGEST: usize = 16;

    /// Holds up to `chains` chains.
    pub fn new(chains: usize) -> Self {
        Self {
            young: HashTable::new(),
            old: HashTable::new(),
            edges: HashMap::default(),
            old_edges: HashMap::default(),
            most: (chains / 2).max(1),
            hasher: FixedState::default(),
        }
    }

    /// Chains held.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The paths of a presented chain, found now or earlier.
    pub(super) fn paths(
        &mut self,
        presented: &[Arc<Certificate>],
        known: &[Arc<Certificate>],
        trust: &Trust,
    ) -> Arc<[Path]> {
        let mut hasher = self.hasher.build_hasher();
        presented.iter().for_each(|cert| hasher.write(&cert.sha256));
        let hash = hasher.finish();
        let same = |entry: &Entry| {
            entry.chain.iter().eq(presented.iter().map(|cert| &cert.sha256))
                && entry.known.is_none_or(|then| then == of_known(&self.hasher, known))
        };
        if let Some(entry) = self.young.find(hash, same) {
            return entry.paths.clone();
        }
        let entry = match self.old.find(hash, same) {
            Some(entry) => entry.clone(),
            None => {
                let paths: Arc<[Path]> =
                    find_with(presented, known, trust, &mut Budget::default(), self).into();
                let settled = paths.first().is_some_and(|path| matches!(path.end, End::Trusted { .. }));
                let known = (!settled).then(|| of_known(&self.hasher, known));
                Entry { hash, chain: presented.iter().map(|cert| cert.sha256).collect(), known, paths }
            }
        };
        let paths = entry.paths.clone();
        if presented.len() <= Self::LONGEST {
            // An entry whose known certificates have changed gives way.
            if let Ok(stale) = self.young.find_entry(hash, |other| other.chain == entry.chain) {
                stale.remove();
            }
            if self.young.len() >= self.most {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert_unique(hash, entry, |entry| entry.hash);
        }
        paths
    }
}

/// A digest of the known certificates. Order matters: it seldom changes.
fn of_known(hasher: &FixedState, known: &[Arc<Certificate>]) -> u64 {
    let mut hasher = hasher.build_hasher();
    known.iter().for_each(|cert| hasher.write(&cert.sha256));
    hasher.finish()
}

impl Verifier for ChainCache {
    fn signed(&mut self, cert: &Certificate, issuer: &Certificate) -> Verdict {
        let key = (cert.sha256, issuer.sha256);
        if let Some(&verdict) = self.edges.get(&key) {
            return verdict;
        }
        let verdict = match self.old_edges.get(&key) {
            Some(&verdict) => verdict,
            None => cert.signed_by(issuer),
        };
        if self.edges.len() >= self.most.saturating_mul(4) {
            self.old_edges = std::mem::take(&mut self.edges);
        }
        self.edges.insert(key, verdict);
        verdict
    }
}
