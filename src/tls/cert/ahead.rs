//! A signature that was verified before it was asked for.

use super::Certificate;
use crate::tls::signature::Verdict;
use std::sync::OnceLock;

/// What came of verifying a certificate's signature ahead: by which issuer's key, told by its SHA-256; `None` where no
/// issuer was found. It says nothing of the certificate, only what need not be done again: all are equal, and a copy, which
/// may be changed, knows nothing.
#[derive(Debug, Default)]
pub struct Ahead(OnceLock<Option<([u8; 32], Verdict)>>);

impl Ahead {
    /// Whether it was tried.
    #[inline]
    pub(in crate::tls) fn is_done(&self) -> bool {
        self.0.get().is_some()
    }

    /// Keeps what came of it first.
    pub(in crate::tls) fn set(&self, came: Option<(&Certificate, Verdict)>) {
        // A thread that came second found the same, or the verdict of another key, which can be had anew.
        let _ = self.0.set(came.map(|(issuer, verdict)| (issuer.sha256, verdict)));
    }

    /// What came of it, if it was by this issuer's key.
    pub(in crate::tls) fn by(&self, issuer: &Certificate) -> Option<Verdict> {
        let (sha256, verdict) = (*self.0.get()?)?;
        (sha256 == issuer.sha256).then_some(verdict)
    }
}

impl Clone for Ahead {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Ahead {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Ahead {}
