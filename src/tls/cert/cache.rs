//! Certificates seen before are not parsed again.

use super::Certificate;
use crate::tls::generations::Generations;
use foldhash::fast::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// A bounded cache of parsed certificates, keyed by their bytes. Not shared between threads.
#[derive(Debug)]
pub struct CertCache {
    kept: Generations<Arc<Certificate>>,
    hasher: RandomState,
}

impl CertCache {
    /// DER bytes of one generation at most, counted before parsing. Public certificates are about
    /// 1.5 kB; only huge ones reach this before the count.
    const BYTES: usize = 32 << 20;

    /// Holds up to `certificates` (`Limits::certificates`).
    pub fn new(certificates: usize) -> Self {
        Self { kept: Generations::new(certificates, Self::BYTES), hasher: RandomState::default() }
    }

    /// The certificate of these bytes, parsed now or earlier.
    pub fn get(&mut self, der: &[u8]) -> Arc<Certificate> {
        let hash = self.hasher.hash_one(der);
        self.kept.get(hash, der.len(), |cert| *cert.der == *der).unwrap_or_else(|| {
            let cert = Arc::new(Certificate::parse(der));
            self.kept.put(hash, der.len(), Arc::clone(&cert));
            cert
        })
    }

    /// Certificates held.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_give_the_same_certificate() {
        let mut cache = CertCache::new(16);
        let one = cache.get(b"0\x03\x02\x01\x05");
        assert!(Arc::ptr_eq(&one, &cache.get(b"0\x03\x02\x01\x05")));
        assert!(!Arc::ptr_eq(&one, &cache.get(b"0\x03\x02\x01\x06")));
    }

    #[test]
    fn the_cache_stays_within_its_bound_and_keeps_what_is_used() {
        let mut cache = CertCache::new(16);
        let often = cache.get(b"often");
        for n in 0..1_000u32 {
            cache.get(&n.to_be_bytes());
            assert!(Arc::ptr_eq(&often, &cache.get(b"often")));
            assert!(cache.len() <= 16);
        }
    }
}
