//! Wire numbers as newtypes: a number nobody has registered is kept and printed as a number.

use std::cmp::Ordering;
use std::fmt;

mod extension;
mod group;
mod scheme;
mod suite;
mod suite_names;

pub use suite::{Auth, Bulk, Kx};

/// A protocol version as records and hellos carry it. In order of age: those of DTLS, whose numbers count down, stand
/// beside the version of TLS that has the same rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version(pub u16);

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.age().cmp(&other.age())
    }
}

impl Version {
    /// SSL 2.0.
    pub const SSL2: Self = Self(0x0002);
    /// SSL 3.0.
    pub const SSL3: Self = Self(0x0300);
    /// TLCP 1.1, GB/T 38636-2020.
    pub const TLCP: Self = Self(0x0101);
    /// TLS 1.0.
    pub const TLS10: Self = Self(0x0301);
    /// TLS 1.1.
    pub const TLS11: Self = Self(0x0302);
    /// TLS 1.2.
    pub const TLS12: Self = Self(0x0303);
    /// TLS 1.3.
    pub const TLS13: Self = Self(0x0304);

    /// DTLS as Cisco and OpenSSL had it before RFC 4347.
    pub const DTLS_OLD: Self = Self(0x0100);
    /// DTLS 1.0 (RFC 4347).
    pub const DTLS10: Self = Self(0xfeff);
    /// DTLS 1.2 (RFC 6347).
    pub const DTLS12: Self = Self(0xfefd);
    /// DTLS 1.3 (RFC 9147).
    pub const DTLS13: Self = Self(0xfefc);

    /// A version of DTLS.
    pub const fn is_dtls(self) -> bool {
        self.0 >> 8 == 0xfe || self.0 == Self::DTLS_OLD.0
    }

    /// Number of the version of TLS with the same rules, and behind it the own one.
    const fn age(self) -> (u16, u16) {
        let alike = match self {
            Self::DTLS_OLD | Self::DTLS10 => Self::TLS11,
            Self::DTLS12 => Self::TLS12,
            Self::DTLS13 => Self::TLS13,
            other => other,
        };
        (alike.0, self.0)
    }

    /// TLS 1.3 or one of its drafts (0x7fxx), as Facebook (0xfbxx, of the draft with that number) and Google (0x7e01 to
    /// 0x7e04, 0x7a12) tried it out before it was an RFC; or DTLS 1.3.
    pub const fn is_tls13(self) -> bool {
        matches!(self.0, 0x0304 | 0xfefc | 0x7f00..=0x7fff | 0xfb0e..=0xfb1c | 0x7e01..=0x7e04 | 0x7a12)
    }

    /// A draft of TLS 1.3 whose ServerHello has neither session id nor compression: up to 21.
    pub const fn is_early_draft(self) -> bool {
        matches!(self.0, 0x7f00..=0x7f15)
    }

    /// TLS or SSL before 1.2; TLCP is another family.
    pub fn is_older_tls(self) -> bool {
        self < Self::TLS12 && self != Self::TLCP
    }

    /// TLS's own, against TLCP's.
    pub const fn is_tls(self) -> bool {
        self.0 >> 8 == 3
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SSL2 => f.write_str("SSL 2.0"),
            Self::SSL3 => f.write_str("SSL 3.0"),
            Self::TLCP => f.write_str("TLCP 1.1"),
            Self::TLS10 => f.write_str("TLS 1.0"),
            Self::TLS11 => f.write_str("TLS 1.1"),
            Self::TLS12 => f.write_str("TLS 1.2"),
            Self::TLS13 => f.write_str("TLS 1.3"),
            Self::DTLS_OLD => f.write_str("DTLS 0.9"),
            Self::DTLS10 => f.write_str("DTLS 1.0"),
            Self::DTLS12 => f.write_str("DTLS 1.2"),
            Self::DTLS13 => f.write_str("DTLS 1.3"),
            Self(n) if n >> 8 == 0x7f => write!(f, "TLS 1.3 draft {}", n & 0xff),
            Self(n) if self.is_tls13() && n >> 8 == 0xfb => {
                write!(f, "TLS 1.3 draft {} (0x{n:04x})", n & 0xff)
            }
            Self(n) if self.is_tls13() => write!(f, "TLS 1.3 experiment (0x{n:04x})"),
            Self(n) => write!(f, "0x{n:04x}"),
        }
    }
}

/// An alert's description (RFC 9846 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertDescription(pub u8);

/// Constants and names in one list.
macro_rules! alerts {
    ($( $name:ident = $code:literal $word:literal ),+ $(,)?) => {
        impl AlertDescription {
            $( #[doc = $word] pub const $name: Self = Self($code); )+

            /// The registered name, or `None`.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $( $code => Some($word), )+ _ => None }
            }
        }
    };
}

alerts! {
    CLOSE_NOTIFY = 0 "close_notify",
    UNEXPECTED_MESSAGE = 10 "unexpected_message",
    BAD_RECORD_MAC = 20 "bad_record_mac",
    DECRYPTION_FAILED = 21 "decryption_failed",
    RECORD_OVERFLOW = 22 "record_overflow",
    DECOMPRESSION_FAILURE = 30 "decompression_failure",
    HANDSHAKE_FAILURE = 40 "handshake_failure",
    NO_CERTIFICATE = 41 "no_certificate",
    BAD_CERTIFICATE = 42 "bad_certificate",
    UNSUPPORTED_CERTIFICATE = 43 "unsupported_certificate",
    CERTIFICATE_REVOKED = 44 "certificate_revoked",
    CERTIFICATE_EXPIRED = 45 "certificate_expired",
    CERTIFICATE_UNKNOWN = 46 "certificate_unknown",
    ILLEGAL_PARAMETER = 47 "illegal_parameter",
    UNKNOWN_CA = 48 "unknown_ca",
    ACCESS_DENIED = 49 "access_denied",
    DECODE_ERROR = 50 "decode_error",
    DECRYPT_ERROR = 51 "decrypt_error",
    TOO_MANY_CIDS_REQUESTED = 52 "too_many_cids_requested",
    EXPORT_RESTRICTION = 60 "export_restriction",
    PROTOCOL_VERSION = 70 "protocol_version",
    INSUFFICIENT_SECURITY = 71 "insufficient_security",
    INTERNAL_ERROR = 80 "internal_error",
    INAPPROPRIATE_FALLBACK = 86 "inappropriate_fallback",
    USER_CANCELED = 90 "user_canceled",
    NO_RENEGOTIATION = 100 "no_renegotiation",
    MISSING_EXTENSION = 109 "missing_extension",
    UNSUPPORTED_EXTENSION = 110 "unsupported_extension",
    CERTIFICATE_UNOBTAINABLE = 111 "certificate_unobtainable",
    UNRECOGNIZED_NAME = 112 "unrecognized_name",
    BAD_CERTIFICATE_STATUS_RESPONSE = 113 "bad_certificate_status_response",
    BAD_CERTIFICATE_HASH_VALUE = 114 "bad_certificate_hash_value",
    UNKNOWN_PSK_IDENTITY = 115 "unknown_psk_identity",
    CERTIFICATE_REQUIRED = 116 "certificate_required",
    GENERAL_ERROR = 117 "general_error",
    NO_APPLICATION_PROTOCOL = 120 "no_application_protocol",
    ECH_REQUIRED = 121 "ech_required",
    // Of TLCP (GB/T 38636-2020 section 6.4.4.3).
    UNSUPPORTED_SITE2SITE = 200 "unsupported_site2site",
    NO_AREA = 201 "no_area",
    UNSUPPORTED_AREATYPE = 202 "unsupported_areatype",
    BAD_IBCPARAM = 203 "bad_ibcparam",
    UNSUPPORTED_IBCPARAM = 204 "unsupported_ibcparam",
    IDENTITY_NEED = 205 "identity_need",
}

impl fmt::Display for AlertDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "alert {}", self.0),
        }
    }
}

/// An alert's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AlertLevel(pub u8);

impl AlertLevel {
    /// The connection may go on.
    pub const WARNING: Self = Self(1);
    /// The connection ends.
    pub const FATAL: Self = Self(2);

    /// `warning`, `fatal` or `unknown`.
    pub const fn word(self) -> &'static str {
        match self.0 {
            1 => "warning",
            2 => "fatal",
            _ => "unknown",
        }
    }
}

/// A cipher suite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CipherSuite(pub u16);

/// A named group (curve, finite field or KEM).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(pub u16);

/// A signature scheme; in TLS 1.2 a hash and a signature byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignatureScheme(pub u16);

/// A handshake message's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandshakeType(pub u8);

macro_rules! handshake_types {
    ($( $name:ident = $code:literal $word:literal ),+ $(,)?) => {
        impl HandshakeType {
            $( #[doc = $word] pub const $name: Self = Self($code); )+

            /// The message's name as the RFCs write it, or `None`.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $( $code => Some($word), )+ _ => None }
            }
        }
    };
}

handshake_types! {
    HELLO_REQUEST = 0 "HelloRequest",
    CLIENT_HELLO = 1 "ClientHello",
    SERVER_HELLO = 2 "ServerHello",
    NEW_SESSION_TICKET = 4 "NewSessionTicket",
    END_OF_EARLY_DATA = 5 "EndOfEarlyData",
    ENCRYPTED_EXTENSIONS = 8 "EncryptedExtensions",
    CERTIFICATE = 11 "Certificate",
    SERVER_KEY_EXCHANGE = 12 "ServerKeyExchange",
    CERTIFICATE_REQUEST = 13 "CertificateRequest",
    SERVER_HELLO_DONE = 14 "ServerHelloDone",
    CERTIFICATE_VERIFY = 15 "CertificateVerify",
    CLIENT_KEY_EXCHANGE = 16 "ClientKeyExchange",
    FINISHED = 20 "Finished",
    CERTIFICATE_URL = 21 "CertificateURL",
    CERTIFICATE_STATUS = 22 "CertificateStatus",
    SUPPLEMENTAL_DATA = 23 "SupplementalData",
    KEY_UPDATE = 24 "KeyUpdate",
    COMPRESSED_CERTIFICATE = 25 "CompressedCertificate",
    NEXT_PROTOCOL = 67 "NextProtocol",
}

/// An extension's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtensionType(pub u16);

/// RFC 8701: 0x0a0a, 0x1a1a … 0xfafa stand for nothing and must be ignored.
pub const fn is_grease(n: u16) -> bool {
    n & 0x0f0f == 0x0a0a && n >> 8 == n & 0xff
}

impl HandshakeType {
    /// Whether it is a type that a record may carry in clear.
    pub const fn is_known(self) -> bool {
        self.name().is_some()
    }
}

impl fmt::Display for HandshakeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "handshake message {}", self.0),
        }
    }
}

/// Prints the registered name, else `0x%04x`.
macro_rules! display_by_name {
    ($( $newtype:ty ),+) => { $(
        impl fmt::Display for $newtype {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "0x{:04x}", self.0),
                }
            }
        }
    )+ };
}

display_by_name!(CipherSuite, Group, SignatureScheme, ExtensionType);
