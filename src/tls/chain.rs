//! Everything that is wrong with a chain of certificates, not the first thing only.

use super::cert::Certificate;
use crate::base::Stamp;
use std::sync::Arc;

/// One thing wrong with a presented chain, told as a verifier at capture time would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// What is wrong.
    pub fault: Fault,
    /// Which certificate of the presented chain, leaf 0; `None` where it is about the path as a whole.
    pub cert: Option<usize>,
    /// For people: what the field says and what the rule wants.
    pub says: String,
}

/// The kinds of defects. Each belongs to one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the words are those of the causes' reasons")]
pub enum Fault {
    // expired_cert
    LeafExpired,
    IntermediateExpired,
    RootExpired,
    // validity_misconfig
    NotYetValid,
    LifetimeInverted,
    LifetimeTooLong,
    // broken_chain
    MissingIntermediate,
    UnknownRoot,
    SelfSigned,
    WrongOrder,
    UnrelatedExtra,
    DistrustedCa,
    NotACa,
    PathTooLong,
    // name_mismatch
    SanMismatch,
    NoSan,
    IpNotInSan,
    WildcardDepth,
    // damaged_key
    BadCertificateSignature,
    WeakKey,
    WeakSignature,
    DecodeError,
    // missing_extension
    EkuLacksServerAuth,
    EkuLacksClientAuth,
    KeyUsage,
    NoAki,
    NoSki,
    BasicConstraints,
    NameConstraints,
    UnknownCritical,
}

/// What a chain is judged against.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The certificates as presented, leaf first (as the peer ordered them).
    pub presented: &'a [Arc<Certificate>],
    /// Certificates that may complete a path: seen earlier in this traffic.
    pub known: &'a [Arc<Certificate>],
    /// Capture time.
    pub at: Stamp,
    /// The host asked for; `None` where none is known (names are then not judged).
    pub host: Option<&'a str>,
    /// The server's address, for certificates that name IP addresses.
    pub server_ip: Option<std::net::IpAddr>,
    /// Whether this is a client's chain (EKU clientAuth, no names).
    pub client: bool,
}
