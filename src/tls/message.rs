//! The other clear handshake messages: ServerKeyExchange, CertificateRequest, CertificateStatus.

use super::codes::{AlertDescription, AlertLevel, Group, SignatureScheme};

/// An alert in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Warning or fatal.
    pub level: AlertLevel,
    /// What it says.
    pub description: AlertDescription,
}

/// The ephemeral parameters of a TLS 1.0–1.2 server (RFC 5246 section 7.4.3, RFC 8422 section 5.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerKeyExchange {
    /// The bytes that the signature covers beside the two randoms.
    pub params: Vec<u8>,
    /// ECDHE group.
    pub group: Option<Group>,
    /// Size of the DHE prime in bits.
    pub dh_bits: Option<u32>,
    /// Signature scheme; `None` before TLS 1.2 and for anonymous exchanges.
    pub scheme: Option<SignatureScheme>,
    /// The signature; empty for anonymous exchanges.
    pub signature: Vec<u8>,
}

/// What a server wants of a client's certificate (RFC 5246 section 7.4.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRequest {
    /// Acceptable schemes.
    pub schemes: Vec<SignatureScheme>,
    /// Acceptable issuers as DER names.
    pub authorities: Vec<Vec<u8>>,
}
