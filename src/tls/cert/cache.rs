//! Certificates seen before are not parsed again.

use super::Certificate;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::sync::Arc;

/// A bounded cache of parsed certificates, keyed by their bytes.
///
/// Two generations: when the young one is full it becomes the old one and the old one goes, so
/// that what is used often stays. Not shared between threads.
#[derive(Debug)]
pub struct CertCache {
    young: HashTable<Arc<Certificate>>,
    old: HashTable<Arc<Certificate>>,
    /// DER bytes in the young generation.
    bytes: usize,
    /// Certificates in one generation at most.
    most: usize,
    hasher: FixedState,
}

impl CertCache {
    /// DER bytes of one generation at most, counted before parsing. Public certificates are about
    /// 1.5 kB; only huge ones reach this before the count.
    const BYTES: usize = 32 << 20;

    /// Holds up to `certificates` (`Limits::certificates`).
    pub fn new(certificates: usize) -> Self {
        Self {
            young: HashTable::new(),
            old: HashTable::new(),
            bytes: 0,
            most: (certificates / 2).max(1),
            hasher: FixedState::default(),
        }
    }

    /// The certificate of these bytes, parsed now or earlier.
    pub fn get(&mut self, der: &[u8]) -> Arc<Certificate> {
        let hash = self.hasher.hash_one(der);
        if let Some(cert) = self.young.find(hash, |cert| *cert.der == *der) {
            return cert.clone();
        }
        let cert = match self.old.find(hash, |cert| *cert.der == *der) {
            Some(cert) => cert.clone(),
            None => Arc::new(Certificate::parse(der)),
        };
        if self.young.len() >= self.most || self.bytes.saturating_add(der.len()) > Self::BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(der.len());
        self.young.insert_unique(hash, cert.clone(), |cert| self.hasher.hash_one(&*cert.der));
        cert
    }

    /// Certificates held.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
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
