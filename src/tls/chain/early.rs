//! Signatures that several threads verify before they are asked for, each of them once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::path::Verifier;
use crate::tls::cert::Certificate;
use crate::tls::signature::Verdict;

/// Verdicts that are kept at most, of 65 bytes each; then all are forgotten, and had anew.
const MOST: usize = 1 << 14;

/// SHA-256 of a certificate, and of its issuer's.
type Edge = ([u8; 32], [u8; 32]);

/// What came of signatures that were verified. Threads share it.
#[derive(Default)]
pub struct Verified(Mutex<HashMap<Edge, Verdict>>);

impl Verified {
    fn verdict(&self, cert: &Certificate, issuer: &Certificate) -> Verdict {
        let edge = (cert.sha256, issuer.sha256);
        let known = self.kept().get(&edge).copied();
        if let Some(verdict) = known {
            return verdict;
        }
        // Not while others wait. Who verifies the same meanwhile finds the same.
        let verdict = cert.signed_by(issuer);
        let mut kept = self.kept();
        if kept.len() == MOST {
            kept.clear();
        }
        kept.insert(edge, verdict);
        verdict
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Edge, Verdict>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Verifies, and leaves what came of it with the certificate.
pub(super) struct Early<'a>(pub &'a Verified);

impl Verifier for Early<'_> {
    fn signed(&mut self, cert: &Certificate, issuer: &Certificate) -> Verdict {
        cert.ahead.by(issuer).unwrap_or_else(|| {
            let verdict = self.0.verdict(cert, issuer);
            cert.ahead.set(Some((issuer, verdict)));
            verdict
        })
    }
}
