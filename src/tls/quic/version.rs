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
            1 | 0xff00_0021..=0xff00_0022 => Some(V1),
            0x6b33_43cf => Some(V2),
            0xff00_001d..=0xff00_0020 => Some(DRAFT_29),
            0xff00_0017..=0xff00_001c | 0xface_b002 | 0xface_b00e => Some(DRAFT_23),
            0xff00_0016 | 0xface_b001 => Some(DRAFT_22),
            0x5430_3530 => Some(T050),
            0x5430_3531 => Some(T051),
            _ if self.is_reserved() => Some(V1),
            _ => None,
        }
    }

    /// A reserved version has no salt of its own: clients take that of the version they would speak, which in days of the
    /// drafts was this.
    pub const fn other_salt(self) -> Option<&'static [u8; 20]> {
        if self.is_reserved() { Some(DRAFT_29) } else { None }
    }
}

const V1: &[u8; 20] = b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a";
const V2: &[u8; 20] = b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9";
const DRAFT_29: &[u8; 20] =
    b"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99";
const DRAFT_23: &[u8; 20] =
    b"\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02";
const DRAFT_22: &[u8; 20] =
    b"\x7f\xbc\xdb\x0e\x7c\x66\xbb\xe9\x19\x3a\x96\xcd\x21\x51\x9e\xbd\x7a\x02\x64\x4a";
const T050: &[u8; 20] = b"\x7f\xf5\x79\xe5\xac\xd0\x72\x91\x55\x80\x30\x4c\x43\xa2\x36\x7c\x60\x48\x83\x10";
const T051: &[u8; 20] = b"\x7a\x4e\xde\xf4\xe7\xcc\xee\x5f\xa4\x50\x6c\x19\x12\x4f\xc8\xcc\xda\x6e\x03\x3d";

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
