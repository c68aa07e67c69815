//! Revocation answers.
use super::signature::Verdict;
use crate::base::Stamp;

/// An OCSP response (RFC 6960).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspResponse {
    /// responseStatus: 0 successful, 1 malformedRequest, 2 internalError, 3 tryLater, 5 sigRequired, 6 unauthorized.
    pub status: u8,
    /// producedAt.
    pub produced_at: Option<Stamp>,
    /// One answer a certificate.
    pub answers: Vec<SingleAnswer>,
    /// Whether the signature verifies.
    pub signed: Option<Verdict>,
}

/// The status of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleAnswer {
    /// Serial number, upper-case hexadecimal.
    pub serial: String,
    /// Good, revoked or unknown.
    pub status: CertStatus,
    /// thisUpdate.
    pub this_update: Stamp,
    /// nextUpdate.
    pub next_update: Option<Stamp>,
}

/// certStatus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertStatus {
    /// Not revoked.
    Good,
    /// Revoked.
    Revoked {
        /// When.
        at: Stamp,
        /// CRLReason, RFC 5280 section 5.3.1.
        reason: Option<u8>,
    },
    /// The responder does not know it.
    Unknown,
}

impl OcspResponse {
    /// To come.
    pub fn parse(_der: &[u8]) -> Option<Self> {
        None
    }
}
