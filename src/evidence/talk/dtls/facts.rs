//! What DTLS shows beside TLS.

use crate::base::{PacketNo, PerSide, Seen};
use crate::evidence::{Evidence, Transport};
use crate::tls::codes::ExtensionType;

/// What DTLS shows beside TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DtlsFacts {
    /// The server asked the client to show that it is where it says (HelloVerifyRequest, RFC 6347 section 4.2.1).
    pub verify: Option<Seen<()>>,
    /// The client's hello has the cookie that it was asked for.
    pub cookie: bool,
    /// Records bear connection IDs (RFC 9146).
    pub ids: bool,
    /// STUN goes between the same ports (RFC 8445, RFC 7983).
    pub stun: bool,
    /// Media sealed with the handshake's keys followed (RFC 5764).
    pub media: bool,
    /// The first sealed record of each side has an alert's type or size: its packet and length in bytes.
    pub alert_first: PerSide<Option<(PacketNo, u16)>>,
}

impl Evidence {
    /// The two ends set up keys for media (DTLS-SRTP, RFC 5764). They make certificates for themselves and tell each other
    /// the fingerprints beforehand, in signalling that is not in these packets (RFC 8122, RFC 8827 section 6.5): no root, name
    /// or date counts.
    pub fn by_fingerprint(&self) -> bool {
        let srtp = |extensions: &[ExtensionType]| extensions.contains(&ExtensionType::USE_SRTP);
        self.transport == Transport::Dtls
            && self.hello.as_ref().is_some_and(|hello| srtp(&hello.value.extensions))
    }
}
