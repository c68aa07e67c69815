//! Chains seen before need no signature checks.

use super::path::{Budget, End, Path, Verifier, find_with};
use super::rules::same_throughout;
use super::{Defects, KeyUse, Pool, Question, judge};
use crate::tls::cert::Certificate;
use crate::tls::generations::Generations;
use crate::tls::signature::Verdict;
use crate::tls::trust::Trust;
use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

/// Paths of presented chains, and signatures between two certificates, both bounded: a full
/// generation becomes the old one, and the one before goes. Serves one [`Trust`].
#[derive(Debug)]
pub struct ChainCache {
    chains: Generations<Entry>,
    edges: Generations<(Edge, Verdict)>,
    verdicts: Generations<Arc<Judged>>,
    hasher: RandomState,
    /// Chains whose paths had to be found.
    pub misses: u64,
}

/// A question and what was found, without what names the moment.
#[derive(Debug)]
struct Judged {
    /// These very paths.
    paths: Arc<[Path]>,
    host: Option<Box<str>>,
    server_ip: Option<IpAddr>,
    client: bool,
    uses: KeyUse,
    /// Seconds of capture time in which the answer is the same.
    throughout: Range<i64>,
    defects: Defects,
}

/// A certificate and its issuer, by their SHA-256.
type Edge = ([u8; 32], [u8; 32]);

#[derive(Clone, Debug)]
struct Entry {
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
            chains: Generations::new(chains, usize::MAX),
            edges: Generations::new(chains.saturating_mul(4), usize::MAX),
            verdicts: Generations::new(chains, usize::MAX),
            hasher: RandomState::default(),
            misses: 0,
        }
    }

    /// Chains held.
    pub fn len(&self) -> usize {
        self.chains.len()
    }

    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The paths of a presented chain, found now or earlier.
    pub(super) fn paths(
        &mut self,
        presented: &[Arc<Certificate>],
        trust: &Trust,
        pool: &mut Pool,
    ) -> Arc<[Path]> {
        let mut hasher = self.hasher.build_hasher();
        presented.iter().for_each(|cert| hasher.write(&cert.sha256));
        let hash = hasher.finish();
        let same = |entry: &Entry| entry.chain.iter().eq(presented.iter().map(|cert| &cert.sha256));
        let kept = self.chains.look(hash, 1, same, |entry| (entry.known, Arc::clone(&entry.paths)));
        if let Some((None, paths)) = kept {
            return paths;
        }
        let known = &pool.above(presented);
        if let Some((Some(then), paths)) = kept
            && then == of_known(&self.hasher, known)
        {
            return paths;
        }
        self.misses += 1;
        let paths: Arc<[Path]> = find_with(presented, known, trust, &mut Budget::default(), self).into();
        if presented.len() <= Self::LONGEST {
            let settled = paths.first().is_some_and(|path| matches!(path.end, End::Trusted { .. }));
            let known = (!settled).then(|| of_known(&self.hasher, known));
            let chain: Arc<[[u8; 32]]> = presented.iter().map(|cert| cert.sha256).collect();
            // An entry whose known certificates have changed gives way.
            self.chains.remove(hash, |other| other.chain == chain);
            self.chains.put(hash, 1, Entry { chain, known, paths: Arc::clone(&paths) });
        }
        paths
    }
}

impl ChainCache {
    /// The defects of a chain whose paths these are.
    pub(super) fn verdict(&mut self, question: &Question<'_>, paths: &Arc<[Path]>) -> Defects {
        let mut hasher = self.hasher.build_hasher();
        Arc::as_ptr(paths).hash(&mut hasher);
        (question.host, question.server_ip, question.client, question.uses).hash(&mut hasher);
        let hash = hasher.finish();
        let second = question.at.secs();
        let same = |judged: &Arc<Judged>| {
            Arc::ptr_eq(&judged.paths, paths)
                && judged.host.as_deref() == question.host
                && judged.server_ip == question.server_ip
                && judged.client == question.client
                && judged.uses == question.uses
        };
        let now = |judged: &Arc<Judged>| judged.throughout.contains(&second).then(|| judged.defects.clone());
        let known = self.verdicts.look(hash, 1, same, now);
        if let Some(Some(defects)) = known {
            return defects;
        }
        let defects: Defects = judge(question, paths).into();
        if !question.presented.is_empty()
            && question.presented.len() <= Self::LONGEST
            && !defects.iter().any(|defect| defect.fault.is_of_the_moment())
        {
            if known.is_some() {
                self.verdicts.remove(hash, same);
            }
            let judged = Judged {
                paths: Arc::clone(paths),
                host: question.host.map(Box::from),
                server_ip: question.server_ip,
                client: question.client,
                uses: question.uses,
                throughout: same_throughout(question.presented, paths, second),
                defects: defects.clone(),
            };
            self.verdicts.put(hash, 1, Arc::new(judged));
        }
        defects
    }
}

/// A digest of the known certificates. Order matters: it seldom changes.
fn of_known(hasher: &RandomState, known: &[Arc<Certificate>]) -> u64 {
    let mut hasher = hasher.build_hasher();
    known.iter().for_each(|cert| hasher.write(&cert.sha256));
    hasher.finish()
}

impl Verifier for ChainCache {
    fn signed(&mut self, cert: &Certificate, issuer: &Certificate) -> Verdict {
        let edge = (cert.sha256, issuer.sha256);
        let hash = self.hasher.hash_one(edge);
        if let Some((_, verdict)) = self.edges.get(hash, 1, |(other, _)| *other == edge) {
            return verdict;
        }
        let verdict = cert.signed_by(issuer);
        self.edges.put(hash, 1, (edge, verdict));
        verdict
    }
}
