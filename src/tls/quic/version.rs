//! Versions of QUIC.

use std::fmt;

/// A version as long headers bear it (RFC 9000 section 15, RFC 8999 section 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuicVersion(pub u32);

impl QuicVersion {
    /// Not a version: what a server's list of versions bears (RFC 8999 section 6).
    pub const NEGOTIATION: Self = Self(0);
    /// RFC 9000.
    pub const V1: Self = Self(1);
    /// RFC 9369.
    pub const V2: Self = Self(0x6b33_43cf);

    /// Reserved so that clients can provoke a negotiation (RFC 9000 section 15).
    pub const fn is_reserved(self) -> bool {
        self.0 & 0x0f0f_0f0f == 0x0a0a_0a0a
    }

    /// Google's own, with a handshake that is not TLS: `Q043`, `Q046`, `Q050`.
    pub const fn is_google(self) -> bool {
        self.0 >> 16 == 0x5130
    }

    /// The packet types have version 2's numbers (RFC 9369 section 3.2).
    pub const fn has_types_of_v2(self) -> bool {
        self.0 == Self::V2.0
    }

    /// From what the secret of Initial packets is extracted, beside the connection ID. `None`: this version's Initial packets
    /// cannot be opened.
    ///
    /// RFC 9001 section 5.2, RFC 9369 section 3.3.1; the drafts from 22 on; Meta's and Google's versions that followed a
    /// draft, as deployed. For reserved versions see also [`Self::other_salt`].
    pub const fn salt(self) -> Option<&'static [u8; 20]> {
        match self.0 {
            1 | 0xff00_0021..=0xff00_0022 => Some(&V1),
            0x6b33_43cf => Some(&V2),
            0xff00_001d..=0xff00_0020 => Some(&DRAFT_29),
            0xff00_0017..=0xff00_001c | 0xface_b002 | 0xface_b00e => Some(&DRAFT_23),
            0xff00_0016 | 0xface_b001 => Some(&DRAFT_22),
            0x5430_3530 => Some(&T050),
            0x5430_3531 => Some(&T051),
            _ if self.is_reserved() => Some(&V1),
            _ => None,
        }
    }

    /// A reserved version has no salt of its own: clients take that of the version they would speak, which in days of the
    /// drafts was this.
    pub const fn other_salt(self) -> Option<&'static [u8; 20]> {
        if self.is_reserved() { Some(&DRAFT_29) } else { None }
    }
}

const V1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc,
    0xbb, 0x7f, 0x0a,
];
const V2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9,
    0xbd, 0x2e, 0xd9,
];
const DRAFT_29: [u8; 20] = [
    0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43,
    0x90, 0xa8, 0x99,
];
const DRAFT_23: [u8; 20] = [
    0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe,
    0xf9, 0xf5, 0x02,
];
const DRAFT_22: [u8; 20] = [
    0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x19, 0x3a, 0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd, 0x7a,
    0x02, 0x64, 0x4a,
];
const T050: [u8; 20] = [
    0x7f, 0xf5, 0x79, 0xe5, 0xac, 0xd0, 0x72, 0x91, 0x55, 0x80, 0x30, 0x4c, 0x43, 0xa2, 0x36, 0x7c, 0x60,
    0x48, 0x83, 0x10,
];
const T051: [u8; 20] = [
    0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50, 0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc, 0xda,
    0x6e, 0x03, 0x3d,
];

impl fmt::Display for QuicVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V1 => f.write_str("1"),
            Self::V2 => f.write_str("2"),
            Self(draft @ 0xff00_0000..=0xff00_00ff) => write!(f, "draft-{:02}", draft & 0xff),
            Self(google) if matches!(google >> 16, 0x5130 | 0x5430) => {
                google.to_be_bytes().iter().try_for_each(|&byte| {
                    let shown = if byte.is_ascii_graphic() { char::from(byte) } else { '?' };
                    write!(f, "{shown}")
                })
            }
            Self(other) => write!(f, "{other:#010x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_shown_by_the_names_that_people_use() {
        let cases = [
            (1, "1"),
            (0x6b33_43cf, "2"),
            (0xff00_001d, "draft-29"),
            (0x5130_3436, "Q046"),
            (7, "0x00000007"),
        ];
        for (version, shown) in cases {
            assert_eq!(QuicVersion(version).to_string(), shown);
        }
    }

    #[test]
    fn google_s_own_handshake_has_no_salt() {
        for version in [0x5130_3433, 0x5130_3436, 0x5130_3530] {
            assert!(QuicVersion(version).is_google());
            assert_eq!(QuicVersion(version).salt(), None);
        }
        assert!(!QuicVersion::V1.is_google() && !QuicVersion(0x5430_3531).is_google());
    }
}
