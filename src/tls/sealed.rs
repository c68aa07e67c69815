//! What the sizes of sealed records tell. Shapes only, never causes: padding, compression and records that hold
//! several messages can hide or imitate every one of them.

mod fit;
mod reading;

use super::codes::{Bulk, CipherSuite, Version};
use crate::base::{PacketNo, Stamp};
use smallvec::SmallVec;

pub use fit::{Fit, Offered, client_fit, fit};
pub use reading::{Item, Part, Reading, Setting, Several, key_of_signature, signature_of_key};

/// One sealed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedRecord {
    /// Outer content type: 20 to 24.
    pub content_type: u8,
    /// Length of the body in bytes, as its header says.
    pub len: u16,
    /// Packet that completed it.
    pub at: PacketNo,
    /// That packet's stamp.
    pub when: Stamp,
}

/// The first sealed records of one side, in order. Until data flows there are few more than these.
pub type Records = SmallVec<[SealedRecord; 4]>;

/// Body of an alert.
const ALERT: usize = 2;
/// JSSE fills up each TLS 1.3 record with this many zeros (measured on Java 17).
pub const JSSE_PADDING: usize = 16;

/// Body lengths that `plain` bytes of content have once sealed: one for AEAD and stream suites, two for CBC
/// (MAC-then-encrypt, encrypt-then-MAC of RFC 7366) and for TLS 1.3 (bare, and as JSSE pads). Empty for unknown suites.
fn sealed_lens(plain: usize, suite: CipherSuite, version: Version) -> [Option<usize>; 2] {
    let Some(bulk) = suite.bulk() else { return [None; 2] };
    if version.is_tls13() || suite.is_tls13() {
        // RFC 9846 section 5.2: content, inner type, tag.
        let bare = plain + 1 + suite.tag_len();
        return [Some(bare), Some(bare + JSSE_PADDING)];
    }
    match bulk {
        Bulk::Aead { explicit, tag } => [Some(explicit + plain + tag), None],
        Bulk::Stream { mac } => [Some(plain + mac), None],
        Bulk::Cbc { block, mac } => {
            // RFC 5246 section 6.2.3.2; TLS 1.0 and SSL 3.0 have no IV in the record.
            let iv = if version >= Version::TLS11 || version == Version::TLCP { block } else { 0 };
            let pad = |n: usize| (n + 1).next_multiple_of(block);
            [Some(iv + pad(plain + mac)), Some(iv + pad(plain) + mac)]
        }
    }
}

/// Whether a body of `len` bytes has the size of a sealed alert. In TLS 1.3 it is 19 (CCM_8: 11), from JSSE 35; in
/// TLS 1.2 26 with GCM, 18 with ChaCha20-Poly1305, 48 with AES-CBC and SHA-1.
pub fn looks_like_alert(len: u16, suite: CipherSuite, version: Version) -> bool {
    /// No suite makes one larger: a MAC has 64 bytes at most, an IV and padding 16 each.
    const LARGEST: u16 = 128;
    len <= LARGEST && sealed_lens(ALERT, suite, version).contains(&Some(len.into()))
}

/// Whether a body of `len` bytes has the size of a sealed Finished. In TLS 1.3 it is 53 or 69 by the suite's hash
/// (from JSSE 69 or 85); in TLS 1.2 40 with GCM, 32 with ChaCha20-Poly1305, 64 with AES-CBC and SHA-1.
pub fn looks_like_finished(len: u16, suite: CipherSuite, version: Version) -> bool {
    let verify_data = match version {
        version if version.is_tls13() || suite.is_tls13() => suite.hash_len(),
        Version::SSL3 => 36,
        _ => 12,
    };
    sealed_lens(4 + verify_data, suite, version).contains(&Some(len.into()))
}

/// What else is in a TLS 1.3 record that has the size of an empty Certificate (RFC 9846 section 4.4.2: 8 bytes): nothing,
/// bare (25 bytes) or as JSSE pads it, or the Finished, as rustls sends both together. `None`: it has another size.
pub fn empty_certificate(len: u16, suite: CipherSuite) -> Option<&'static str> {
    const MESSAGE: usize = 8;
    let (len, around) = (usize::from(len), 1 + suite.tag_len());
    if len == MESSAGE + around || len == MESSAGE + around + JSSE_PADDING {
        Some("")
    } else if len == MESSAGE + 4 + suite.hash_len() + around {
        Some(" with the Finished behind it")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V10: Version = Version::TLS10;
    const V12: Version = Version::TLS12;
    const V13: Version = Version::TLS13;

    #[test]
    fn an_empty_certificate_shows_alone_and_with_the_finished() {
        for (suite, sizes) in [(0x1301, [25, 41, 61]), (0x1302, [25, 41, 77])] {
            let alone = sizes.map(|len| empty_certificate(len, CipherSuite(suite)).map(str::is_empty));
            assert_eq!(alone, [Some(true), Some(true), Some(false)]);
            for finished in [53, 69, 85] {
                assert_eq!(empty_certificate(finished, CipherSuite(suite)), None, "{finished}");
            }
        }
    }

    #[test]
    fn alerts_and_finished_have_the_sizes_that_suites_give_them() {
        // suite, version, alert, finished
        let cases = [
            (0x1301, V13, 19, 53),
            (0x1302, V13, 19, 69),
            (0x1303, V13, 19, 53),
            (0x1305, V13, 11, 45),
            (0x1302, V13, 35, 85),
            (0xc02f, V12, 26, 40),
            (0xcca8, V12, 18, 32),
            (0xc0ae, V12, 18, 32),
            (0x002f, V12, 48, 64),
            (0x002f, V10, 32, 48),
            (0xc014, V12, 52, 68), // encrypt-then-MAC
            (0x003c, V12, 64, 80),
            (0xc028, V12, 80, 96),
            (0x000a, V12, 32, 48),
            (0x0005, V12, 22, 36),
            (0x0004, V12, 18, 32),
            (0x0005, Version::SSL3, 22, 60),
            (0xe013, Version::TLCP, 64, 80),
        ];
        for (code, version, alert, finished) in cases {
            let suite = CipherSuite(code);
            assert!(looks_like_alert(alert, suite, version), "{suite} {version} alert {alert}");
            assert!(looks_like_finished(finished, suite, version), "{suite} {version} finished {finished}");
            assert!(!looks_like_alert(finished, suite, version), "{suite} {version}");
            assert!(!looks_like_finished(alert, suite, version), "{suite} {version}");
        }
    }

    #[test]
    fn one_byte_more_is_neither() {
        assert!(!looks_like_alert(20, CipherSuite(0x1301), V13));
        assert!(!looks_like_finished(54, CipherSuite(0x1301), V13));
        assert!(!looks_like_alert(0, CipherSuite(0x7777), V12));
    }
}
