//! Certificates and hellos, which come again and again, parsed once.

use std::sync::Arc;

use super::cert::{CertCache, Certificate};
use super::codes::Version;
use super::hello::{ClientHello, HelloCache};
use super::keys::Keys;

/// Parses certificates and hellos, keeping what it has seen within bounds. Not shared between threads.
#[derive(Debug)]
pub struct Parser {
    certificates: CertCache,
    hellos: HelloCache,
    keys: Keys,
}

impl Parser {
    /// Keeps up to `certificates` certificates (`Limits::certificates`).
    pub fn new(certificates: usize) -> Self {
        let keys = Keys::default();
        Self { certificates: CertCache::new(certificates), hellos: HelloCache::default(), keys }
    }

    /// Asks this key log what opens records.
    pub fn ask(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// The key log.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The parsed certificate of these DER bytes.
    pub fn certificate(&mut self, der: &[u8]) -> Arc<Certificate> {
        self.certificates.get(der)
    }

    /// As [`ClientHello::parse`].
    pub fn client_hello(&mut self, record_version: Version, body: &[u8]) -> Option<ClientHello> {
        self.hellos.parse(record_version, body)
    }
}
