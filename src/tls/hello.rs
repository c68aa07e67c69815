//! ClientHello, ServerHello and HelloRetryRequest.

use super::codes::{CipherSuite, ExtensionType, Group, SignatureScheme, Version};

/// What a client offered (RFC 5246 section 7.4.1.2, RFC 9846 section 4.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// Version of the record that carried it.
    pub record_version: Version,
    /// `legacy_version`.
    pub legacy_version: Version,
    /// `random`.
    pub random: [u8; 32],
    /// `legacy_session_id`; 0 to 32 bytes.
    pub session_id: Vec<u8>,
    /// Offered suites in order, GREASE included.
    pub ciphers: Vec<CipherSuite>,
    /// Extension types in order, GREASE included.
    pub extensions: Vec<ExtensionType>,
    /// The host name asked for (RFC 6066 section 3), lower case, as sent otherwise.
    pub sni: Option<String>,
    /// ALPN protocols in order (RFC 7301).
    pub alpn: Vec<String>,
    /// `supported_versions`, empty where the extension is absent.
    pub supported_versions: Vec<Version>,
    /// `supported_groups`.
    pub groups: Vec<Group>,
    /// Groups with a key share (TLS 1.3).
    pub key_shares: Vec<Group>,
    /// `signature_algorithms`.
    pub signature_schemes: Vec<SignatureScheme>,
    /// `ec_point_formats`.
    pub point_formats: Vec<u8>,
    /// Asked for a stapled OCSP answer.
    pub status_request: bool,
    /// Offered a pre-shared key (TLS 1.3 resumption).
    pub psk: bool,
    /// Sends early data behind this hello.
    pub early_data: bool,
    /// Length of the session ticket offered (RFC 5077); `Some(0)` asks for one.
    pub ticket_len: Option<usize>,
    /// Encrypted ClientHello (0xfe0d) is present, real or GREASE.
    pub ech: bool,
    /// `TLS_FALLBACK_SCSV` (RFC 7507) is among the suites.
    pub fallback_scsv: bool,
    /// Extended master secret (RFC 7627).
    pub extended_master_secret: bool,
    /// It came in SSL 2.0 framing (RFC 5246 appendix E.2).
    pub sslv2_framed: bool,
    /// The extensions ended early or contradicted their lengths; what was read before stands.
    pub malformed: bool,
    /// JA3 string's MD5, hexadecimal.
    pub ja3: String,
    /// JA4 fingerprint.
    pub ja4: String,
}

/// What the server chose (RFC 5246 section 7.4.1.3, RFC 9846 section 4.1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerHello {
    /// The negotiated version: `supported_versions` where present, else `legacy_version`.
    pub version: Version,
    /// `legacy_version`.
    pub legacy_version: Version,
    /// `random`.
    pub random: [u8; 32],
    /// `session_id`, echoed or new.
    pub session_id: Vec<u8>,
    /// The chosen suite.
    pub cipher: CipherSuite,
    /// Extension types in order.
    pub extensions: Vec<ExtensionType>,
    /// Chosen ALPN protocol where in clear (TLS 1.2).
    pub alpn: Option<String>,
    /// The key share's group (TLS 1.3), or the group a HelloRetryRequest asks for.
    pub group: Option<Group>,
    /// A pre-shared key was accepted (TLS 1.3 resumption).
    pub psk: bool,
    /// This is a HelloRetryRequest, told by its random (RFC 9846 section 4.1.3).
    pub retry: bool,
    /// The server promises a CertificateStatus message (TLS 1.2).
    pub status_request: bool,
    /// The server promises a new session ticket (TLS 1.2).
    pub session_ticket: bool,
    /// The random's tail says that a newer version was possible (RFC 9846 section 4.1.3).
    pub downgrade_sentinel: bool,
    /// The extensions ended early or contradicted their lengths.
    pub malformed: bool,
    /// JA3S string's MD5, hexadecimal.
    pub ja3s: String,
}
