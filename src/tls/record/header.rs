//! Record headers: whether bytes are TLS at all, and whether a handshake record is in clear.

use crate::base::Side;
use crate::tls::codes::{HandshakeType, Version};

/// Longest record body: 2^14 of content, and the 2048 that TLS 1.2 allows for its expansion (RFC 5246
/// section 6.2.3; RFC 9846 section 5.2 allows 256).
pub const MOST_BODY: usize = (1 << 14) + 2048;

/// Content type of ChangeCipherSpec.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
/// Content type of alerts.
pub(super) const ALERT: u8 = 21;
/// Content type of handshake messages.
pub(super) const HANDSHAKE: u8 = 22;
/// Bytes of a record header.
pub(super) const HEADER: usize = 5;
/// Bytes of an SSL 2.0 ClientHello up to its challenge length.
pub(super) const SSLV2_HEADER: usize = 11;
/// Bytes of a handshake record that tell a clear hello from a sealed message: up to the session id's length.
pub(super) const PROBE: usize = 39;
/// Whether a byte may be a record's content type.
const fn is_content_type(byte: u8) -> bool {
    matches!(byte, 20..=24)
}

/// Whether two bytes may be a record's version: SSL 3.0 to TLS 1.3, TLCP, and drafts of TLS 1.3.
const fn is_record_version(major: u8, minor: u8) -> bool {
    matches!((major, minor), (3, 0..=4) | (1, 1) | (0x7f, _))
}

/// Whether the first bytes of a stream can be the start of TLS from that side; `None` where they are too few to
/// tell.
///
/// A client starts with a ClientHello, in a TLS record or in SSL 2.0 framing (RFC 5246 appendix E.2). A server
/// starts with a handshake record or an alert.
pub fn starts_tls(first: &[u8], side: Side) -> Option<bool> {
    let &kind = first.first()?;
    if side == Side::Client && kind & 0x80 != 0 {
        return starts_sslv2(first);
    }
    if kind != HANDSHAKE && (side == Side::Client || kind != ALERT) {
        return Some(false);
    }
    let &major = first.get(1)?;
    if !matches!(major, 1 | 3 | 0x7f) {
        return Some(false);
    }
    let &minor = first.get(2)?;
    if !is_record_version(major, minor) {
        return Some(false);
    }
    let len = usize::from(u16::from_be_bytes([*first.get(3)?, *first.get(4)?]));
    if len == 0 || len > MOST_BODY || (kind == ALERT && len > 8) {
        return Some(false);
    }
    if kind == ALERT {
        return Some(true);
    }
    let message = HandshakeType(*first.get(HEADER)?);
    Some(match side {
        Side::Client => message == HandshakeType::CLIENT_HELLO,
        Side::Server => message.is_known(),
    })
}

/// Whether these bytes are the start of an SSL 2.0 ClientHello, checked strictly: many protocols start with a
/// byte over 0x7f.
fn starts_sslv2(first: &[u8]) -> Option<bool> {
    let (&high, rest) = first.split_first()?;
    let len = usize::from(u16::from_be_bytes([high & 0x7f, *rest.first()?]));
    if rest.get(1).is_some_and(|&kind| kind != 1) {
        return Some(false);
    }
    if rest.get(2).is_some_and(|&major| major != 0 && major != 3) {
        return Some(false);
    }
    let &[_, _, major, minor, c0, c1, s0, s1, h0, h1] = rest.first_chunk::<10>()?;
    let version_fits = matches!((major, minor), (0, 2) | (3, _));
    let ciphers = usize::from(u16::from_be_bytes([c0, c1]));
    let session = usize::from(u16::from_be_bytes([s0, s1]));
    let challenge = usize::from(u16::from_be_bytes([h0, h1]));
    Some(
        version_fits
            && ciphers > 0
            && ciphers % 3 == 0
            && matches!(session, 0 | 16)
            && (16..=32).contains(&challenge)
            && len == SSLV2_HEADER - 2 + ciphers + session + challenge,
    )
}

/// What a header's first bytes say.
pub(super) enum Header {
    /// They fit so far; this many bytes are needed.
    Want(usize),
    /// Not TLS.
    Alien,
    /// TLS, but the length is impossible.
    TooLong,
    Record {
        content_type: u8,
        version: Version,
        len: u16,
    },
    /// SSL 2.0 ClientHello of this length.
    Sslv2(u16),
}

/// Reads a header. Judges each byte as soon as it is there, so that the outcome does not depend on the cut.
#[inline(always)]
pub(super) fn header(bytes: &[u8], fresh: bool) -> Header {
    // What nearly all begin with, in one look.
    if let &[content_type @ 20..=24, 3, minor @ 0..=4, high, low, ..] = bytes {
        let len = u16::from_be_bytes([high, low]);
        if usize::from(len) <= MOST_BODY {
            return Header::Record { content_type, version: Version(0x0300 | u16::from(minor)), len };
        }
    }
    any_header(bytes, fresh)
}

#[cold]
fn any_header(bytes: &[u8], fresh: bool) -> Header {
    let Some(&content_type) = bytes.first() else { return Header::Want(1) };
    if fresh && content_type & 0x80 != 0 {
        return match (starts_sslv2(bytes), bytes) {
            (Some(true), &[high, low, ..]) => Header::Sslv2(u16::from_be_bytes([high & 0x7f, low])),
            (None, _) => Header::Want(bytes.len() + 1),
            _ => Header::Alien,
        };
    }
    if !is_content_type(content_type) || bytes.get(1).is_some_and(|major| !matches!(major, 1 | 3 | 0x7f)) {
        return Header::Alien;
    }
    match *bytes {
        [_, major, minor, ..] if !is_record_version(major, minor) => Header::Alien,
        [_, major, minor, high, low, ..] => {
            let len = u16::from_be_bytes([high, low]);
            if usize::from(len) > MOST_BODY {
                return Header::TooLong;
            }
            Header::Record { content_type, version: Version(u16::from_be_bytes([major, minor])), len }
        }
        _ => Header::Want(bytes.len() + 1),
    }
}

/// Whether the first [`PROBE`] bytes of a handshake record behind ChangeCipherSpec are a clear hello: the second
/// ClientHello after a HelloRetryRequest, or the ServerHello behind one (RFC 9846 appendix E.4). Chance in
/// sealed bytes: under 2^-40.
pub(super) fn is_clear_hello(first: &[u8], record_len: u16) -> bool {
    let (Some(&[kind, 0, high, low, 3, minor]), Some(&session)) = (first.first_chunk::<6>(), first.get(38))
    else {
        return false;
    };
    let whole = usize::from(u16::from_be_bytes([high, low])) + 4;
    matches!(kind, 1 | 2)
        && minor <= 4
        && session <= 32
        && whole > PROBE
        && (whole == usize::from(record_len) || (whole > usize::from(record_len) && record_len > 512))
}

/// Whether a handshake record that follows a gap still looks clear: its first message has a known type and fits.
pub(super) fn is_clear_message(first: &[u8], record_len: u16, limit: usize) -> bool {
    let Some(&[kind, a, b, c]) = first.first_chunk::<4>() else { return false };
    let whole = u32::from_be_bytes([0, a, b, c]) as usize + 4;
    let record = usize::from(record_len);
    HandshakeType(kind).is_known() && whole <= limit && (whole == record || (whole > 4 && a == 0))
}
