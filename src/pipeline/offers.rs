//! What clients offer to one server, one connection after another: programs repeat themselves, scanners do not.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::memory::Recent;
use crate::base::{Addr, Endpoint, Span, Stamp};
use crate::evidence::{Evidence, outcome};
use crate::tls::codes::{Version, is_grease};
use crate::tls::hello::Offer;

/// Scanners try one version after another within this.
const PROBING: Span = Span::from_secs(60);
/// So many highest versions within that no client offers, nor a crowd of them behind one address: TLS 1.1 is in no
/// browser since 2020 (RFC 8996), and programs stay with what they have.
const VERSIONS: usize = 3;

/// The highest versions that connections without data offered, by client and server.
#[derive(Debug)]
pub struct Offers(Recent<(Addr, Endpoint), (Stamp, Version)>);

impl Offers {
    /// An empty memory of this many clients and servers.
    pub fn new(most: usize) -> Self {
        Self(Recent::new(most, 6))
    }

    /// Files what an attempt offered, unless it went on to carry data: no scanner sends any.
    pub fn remember(&mut self, evidence: &Evidence) {
        let Some(version) = highest(evidence).filter(|_| !outcome::carries_data(evidence)) else { return };
        let key = (evidence.client.addr, evidence.server);
        let fresh = Span(PROBING.0 / 4);
        let known = |(when, other): &(Stamp, Version)| *other == version && near(*when, evidence, fresh);
        if !self.0.get(&key).any(known) {
            self.0.put(key, (evidence.started, version));
        }
    }

    /// Whether this client asks this server for one highest version after another, as sslscan, testssl, nmap and JARM do.
    pub fn probed(&self, evidence: &Evidence) -> bool {
        let key = (evidence.client.addr, evidence.server);
        let offered = self.0.get(&key).filter(|(when, _)| near(*when, evidence, PROBING));
        let mut versions: Vec<_> = offered.map(|(_, version)| *version).collect();
        versions.sort_unstable();
        versions.dedup();
        versions.len() >= VERSIONS
    }
}

fn near(when: Stamp, evidence: &Evidence, window: Span) -> bool {
    (when - evidence.started).0.abs() < window.0
}

/// What a client offered, as far as it tells one program from another: GREASE varies.
pub fn offer(evidence: &Evidence) -> Option<u64> {
    evidence.hello.as_ref().map(|hello| of_offer(&hello.value))
}

/// Whether a hello comes from the same program as this offer, as far as that decides what becomes of it: what it offers,
/// and hence its size but for the name.
pub fn same_program(other: &Offer, evidence: &Evidence) -> bool {
    let groups = |offer: &Offer| -> Vec<_> {
        offer.groups.iter().copied().filter(|group| !is_grease(group.0)).collect()
    };
    evidence.hello.as_ref().is_some_and(|hello| {
        let own: &Offer = &hello.value;
        of_offer(own) == of_offer(other) && groups(own) == groups(other)
    })
}

fn of_offer(hello: &Offer) -> u64 {
    let mut hasher = DefaultHasher::new();
    hello.ciphers.iter().filter(|suite| !is_grease(suite.0)).for_each(|suite| suite.hash(&mut hasher));
    let versions = hello.supported_versions.iter().filter(|version| !is_grease(version.0));
    versions.for_each(|version| version.hash(&mut hasher));
    hello.legacy_version.hash(&mut hasher);
    hasher.finish()
}

/// The highest version that a client offered, unless it says that it fell back (RFC 7507).
fn highest(evidence: &Evidence) -> Option<Version> {
    let hello = &evidence.hello.as_ref()?.value;
    let listed = hello.supported_versions.iter().copied().filter(|version| !is_grease(version.0));
    (!hello.fallback_scsv).then(|| listed.max().unwrap_or(hello.legacy_version).of_tls())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::greeted;
    use crate::tls::codes::CipherSuite;

    /// A refused hello of this highest version, so many seconds on.
    fn asks(version: Version, secs: i64) -> Evidence {
        let mut e = greeted();
        e.started = e.started + Span::from_secs(secs);
        e.hello.as_mut().unwrap().value.supported_versions = vec![version];
        e
    }

    #[test]
    fn one_version_after_another_is_a_scan() {
        let mut offers = Offers::new(8);
        for (n, version) in [Version::TLS10, Version::TLS11, Version::TLS12].into_iter().enumerate() {
            assert!(!offers.probed(&asks(version, 0)), "after {n}");
            offers.remember(&asks(version, n.try_into().unwrap()));
        }
        assert!(offers.probed(&asks(Version::TLS13, 4)));
        assert!(!offers.probed(&asks(Version::TLS13, 400)), "long after");
    }

    #[test]
    fn two_kinds_of_clients_and_a_fallback_are_none() {
        let mut offers = Offers::new(8);
        for secs in 0..9 {
            offers.remember(&asks(Version::TLS12, secs));
            offers.remember(&asks(Version::TLS13, secs));
        }
        let mut fell_back = asks(Version::TLS11, 9);
        fell_back.hello.as_mut().unwrap().value.fallback_scsv = true;
        offers.remember(&fell_back);
        assert!(!offers.probed(&asks(Version::TLS12, 10)));
    }

    #[test]
    fn an_offer_is_the_same_but_for_grease() {
        let (plain, mut greased, mut other) = (greeted(), greeted(), greeted());
        greased.hello.as_mut().unwrap().value.ciphers.insert(0, CipherSuite(0x3a3a));
        other.hello.as_mut().unwrap().value.ciphers.reverse();
        assert_eq!(offer(&plain), offer(&greased));
        assert_ne!(offer(&plain), offer(&other));
    }
}
