//! Offers and names seen before are not made again.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::shape::{self, Shape};
use super::{ClientHello, Offer, name};
use crate::tls::codes::Version;
use crate::tls::generations::Generations;

/// Reads ClientHellos; those that offer the same share one [`Offer`], those that ask for the same host one name. Bounded;
/// not shared between threads.
#[derive(Debug)]
pub struct HelloCache {
    /// What is being read, with its memory.
    scratch: Offer,
    offers: Generations<Arc<Offer>>,
    /// The shape of what is being read, with its memory.
    shape: Vec<u8>,
    /// Shapes of well-formed hellos.
    shapes: Generations<Arc<Shape>>,
    names: Generations<Arc<str>>,
    hasher: RandomState,
}

impl Default for HelloCache {
    fn default() -> Self {
        Self {
            scratch: Offer::default(),
            offers: Generations::new(Self::OFFERS, Self::BYTES),
            shape: Vec::new(),
            shapes: Generations::new(Self::OFFERS, Self::BYTES),
            names: Generations::new(Self::NAMES, Self::BYTES),
            hasher: RandomState::default(),
        }
    }
}

impl HelloCache {
    /// Distinct offers. A network has some hundred programs; what browsers vary passes through.
    const OFFERS: usize = 2_048;
    /// Distinct names.
    const NAMES: usize = 16_384;
    /// Bytes of one generation of offers, and of one of names: an offer has some 600.
    const BYTES: usize = 1 << 20;

    /// As [`ClientHello::parse`].
    pub fn parse(&mut self, record_version: Version, body: &[u8]) -> Option<ClientHello> {
        let shape = shape::of(body, &mut self.shape).map(|own| (own, self.hasher.hash_one(&*self.shape)));
        if let Some((own, hash)) = &shape {
            let bytes = &*self.shape;
            let same = |known: &Arc<Shape>| *known.bytes == *bytes;
            let offer = |known: &Arc<Shape>| Arc::clone(&known.offer);
            if let Some(offer) = self.shapes.look(*hash, bytes.len(), same, offer) {
                let sni = own.sni.map(|sent| self.names.name(&self.hasher, sent));
                return Some(ClientHello::of(record_version, own, sni, offer));
            }
        }
        let own = self.scratch.read(body)?;
        let sni = own.sni.map(|sent| self.names.name(&self.hasher, sent));
        let scratch = &self.scratch;
        let (hash, weight) = (self.hasher.hash_one(scratch), scratch.weight());
        let offer = self.offers.get(hash, weight, |offer| **offer == *scratch).unwrap_or_else(|| {
            let offer = Arc::new(scratch.clone());
            self.offers.put(hash, weight, Arc::clone(&offer));
            offer
        });
        if let Some((_, hash)) = shape.filter(|_| !own.malformed) {
            let known = Shape { bytes: self.shape.as_slice().into(), offer: Arc::clone(&offer) };
            self.shapes.put(hash, self.shape.len(), Arc::new(known));
        }
        Some(ClientHello::of(record_version, &own, sni, offer))
    }
}

impl Generations<Arc<str>> {
    /// The name of these bytes. Those that are not shown as they were sent are made anew.
    fn name(&mut self, hasher: &RandomState, sent: &[u8]) -> Arc<str> {
        let hash = hasher.hash_one(sent);
        self.get(hash, sent.len(), |known| known.as_bytes() == sent).unwrap_or_else(|| {
            let made = name(sent);
            if made.as_bytes() == sent {
                self.put(hash, sent.len(), Arc::clone(&made));
            }
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::samples::{CHROME, RETRY_CLIENT, bytes};

    fn bodies() -> [Vec<u8>; 2] {
        let mut chrome = bytes(CHROME);
        chrome.resize(517, 0);
        [chrome.split_off(9), bytes(RETRY_CLIENT)[9..236].to_vec()]
    }

    #[test]
    fn a_hello_is_read_as_without_a_cache() {
        let mut cache = HelloCache::default();
        for body in bodies().iter().chain(&bodies()) {
            for end in [body.len(), body.len() - 1, body.len() / 2, 40, 34, 33] {
                let body = &body[..end];
                assert_eq!(
                    cache.parse(Version::TLS10, body),
                    ClientHello::parse(Version::TLS10, body),
                    "{end}"
                );
            }
        }
    }

    #[test]
    fn a_hello_with_any_byte_changed_is_read_as_without_a_cache() {
        let mut cache = HelloCache::default();
        let [chrome, other] = bodies();
        // Without GREASE for its first suite.
        let mut plain = chrome.clone();
        let first = 35 + usize::from(plain[34]) + 2;
        plain[first..first + 2].copy_from_slice(&[0x13, 0x02]);
        for body in [plain, other, chrome] {
            for place in 0..body.len() {
                for change in [1, 0x80, 0xff] {
                    let mut body = body.clone();
                    cache.parse(Version::TLS10, &body);
                    body[place] ^= change;
                    for _ in 0..2 {
                        assert_eq!(
                            cache.parse(Version::TLS10, &body),
                            ClientHello::parse(Version::TLS10, &body),
                            "{place} ^ {change}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn hellos_that_differ_in_random_alone_share_offer_and_name() {
        let mut cache = HelloCache::default();
        let [mut body, other] = bodies();
        let one = cache.parse(Version::TLS10, &body).unwrap();
        body[7] ^= 1;
        let two = cache.parse(Version::TLS10, &body).unwrap();
        assert_ne!(one.random, two.random);
        assert!(Arc::ptr_eq(&one.offer, &two.offer));
        assert!(Arc::ptr_eq(one.sni.as_ref().unwrap(), two.sni.as_ref().unwrap()));
        assert!(!Arc::ptr_eq(&one.offer, &cache.parse(Version::TLS10, &other).unwrap().offer));
    }

    #[test]
    fn offers_that_are_new_each_time_stay_within_the_bound() {
        let mut cache = HelloCache::default();
        let [mut body, _] = bodies();
        let suites = 35 + usize::from(body[34]) + 2;
        for n in 0..10_000_u16 {
            body[suites..suites + 2].copy_from_slice(&n.to_be_bytes());
            let hello = cache.parse(Version::TLS10, &body).unwrap();
            assert_eq!(hello.ciphers[0].0, n);
            assert!(cache.offers.len() <= HelloCache::OFFERS);
        }
    }
}
