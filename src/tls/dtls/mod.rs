//! DTLS: records of a datagram, and handshake messages rejoined from their fragments.
//!
//! Read are DTLS 1.0 (RFC 4347), DTLS 1.2 (RFC 6347), its records with connection IDs (RFC 9146), what stands in clear of
//! DTLS 1.3 (RFC 9147), and the version 0x0100 that Cisco and OpenSSL spoke before the first of these. Messages have the
//! bodies of TLS but for the ClientHello's cookie and the HelloVerifyRequest.

mod joiner;

pub use joiner::{Joiner, Message};

use super::codes::{HandshakeType, Version};
use super::cursor::Cursor;

/// Bytes of a record's header.
pub const HEADER: usize = 13;
/// Bytes of a handshake fragment's header.
const FRAGMENT: usize = 12;
/// A server's request to send the ClientHello again with a cookie (RFC 6347 section 4.2.1).
pub const HELLO_VERIFY_REQUEST: HandshakeType = HandshakeType(3);
/// Content type of a record with a connection ID (RFC 9146 section 4).
pub const WITH_ID: u8 = 25;

/// A record of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Content type as sent; of a record of DTLS 1.3 with the short header, which seals it, 0.
    pub content_type: u8,
    /// Its version; 1.3's where the header is the short one.
    pub version: Version,
    /// Number of the keys that seal it; 0 in clear. Of the short header its last two bits.
    pub epoch: u16,
    /// Length of the body as the header says.
    pub len: u16,
    /// The body, as far as it was captured.
    pub body: &'a [u8],
}

/// The records of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a>(Cursor<'a>);

impl<'a> Records<'a> {
    /// Takes a datagram's payload apart. A preamble of CAPWAP (RFC 5415 section 4.2) is passed over.
    pub fn of(payload: &'a [u8]) -> Self {
        let inner = match payload {
            [1, 0, 0, 0, 20..=25, 0xfe, ..] => payload.get(4..).unwrap_or_default(),
            _ => payload,
        };
        Self(Cursor(inner))
    }

    /// RFC 9147 section 4: 001CSLEE, then sequence number and length where their bits say so. With a connection ID (C),
    /// whose length is not told, the header cannot be read: everything is the body.
    fn short(&mut self, first: u8) -> Option<Record<'a>> {
        let mut cursor = self.0;
        cursor.u8()?;
        let (with_id, long, with_len) = (first & 0x10 != 0, first & 8 != 0, first & 4 != 0);
        let body = if with_id {
            cursor.0
        } else {
            cursor.take(if long { 2 } else { 1 })?;
            let len = if with_len { usize::from(cursor.u16()?) } else { cursor.0.len() };
            let (body, rest) = cursor.0.split_at_checked(len).unwrap_or((cursor.0, &[]));
            self.0 = Cursor(rest);
            let len = u16::try_from(len).ok()?;
            return Some(Record {
                content_type: 0,
                version: Version::DTLS13,
                epoch: (first & 3).into(),
                len,
                body,
            });
        };
        self.0 = Cursor(&[]);
        let len = u16::try_from(body.len()).ok()?;
        Some(Record { content_type: 0, version: Version::DTLS13, epoch: (first & 3).into(), len, body })
    }

    fn long(&mut self) -> Option<Record<'a>> {
        let content_type = self.0.u8()?;
        let version = Version(self.0.u16()?);
        let epoch = self.0.u16()?;
        self.0.take(6)?;
        if !version.is_dtls() || !(20..=WITH_ID).contains(&content_type) {
            return None;
        }
        if content_type == WITH_ID {
            // The ID's length was agreed on in the hellos; it stands before the length.
            let rest = std::mem::replace(&mut self.0, Cursor(&[]));
            let len = u16::try_from(rest.0.len()).ok()?;
            return Some(Record { content_type, version, epoch, len, body: rest.0 });
        }
        let len = self.0.u16()?;
        let (body, _) = self.0.at_most(len.into());
        Some(Record { content_type, version, epoch, len, body })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let record = match *self.0.0.first()? {
            first @ 0x20..=0x3f => self.short(first),
            _ => self.long(),
        };
        if record.is_none() {
            self.0 = Cursor(&[]);
        }
        record
    }
}

/// A fragment of a handshake message (RFC 6347 section 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The message's type.
    pub kind: HandshakeType,
    /// Bytes of the whole message.
    pub len: usize,
    /// The message's number among its sender's.
    pub number: u16,
    /// Where in the message the fragment begins.
    pub offset: usize,
    /// Its bytes, as far as they were captured.
    pub body: &'a [u8],
    /// All of them were captured.
    pub whole: bool,
}

/// The fragments of one record in clear.
#[derive(Clone, Copy, Debug)]
pub struct Fragments<'a>(Cursor<'a>);

impl<'a> Fragments<'a> {
    /// Takes the body of a handshake record apart.
    pub fn of(record: &Record<'a>) -> Self {
        Self(Cursor(record.body))
    }
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Fragment<'a>> {
        let mut cursor = self.0;
        self.0 = Cursor(&[]);
        let kind = HandshakeType(cursor.u8()?);
        let len = cursor.u24()?;
        let number = cursor.u16()?;
        let (offset, size) = (cursor.u24()?, cursor.u24()?);
        if offset.checked_add(size)? > len {
            return None; // a lie
        }
        let (body, whole) = cursor.at_most(size);
        self.0 = cursor;
        Some(Fragment { kind, len, number, offset, body, whole })
    }
}

/// Who a datagram that begins an attempt comes from, and the random of its hello: it holds the beginning of a ClientHello, of
/// a ServerHello or of a HelloVerifyRequest (whose random is none) in clear.
pub fn begins(payload: &[u8]) -> Option<(HandshakeType, Option<[u8; 32]>)> {
    let record = Records::of(payload).next()?;
    if record.content_type != 22 || record.epoch != 0 {
        return None;
    }
    let fragment = Fragments::of(&record).next()?;
    // A server that asks for a cookie has sent one message before its hello.
    if fragment.number > 1 || fragment.offset != 0 || fragment.body.len() + FRAGMENT > record.len.into() {
        return None;
    }
    let mut cursor = Cursor(fragment.body);
    if !Version(cursor.u16()?).is_dtls() {
        return None;
    }
    match fragment.kind {
        HandshakeType::CLIENT_HELLO | HandshakeType::SERVER_HELLO => {
            Some((fragment.kind, Some(cursor.array()?)))
        }
        HELLO_VERIFY_REQUEST => Some((fragment.kind, None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of DTLS 1.2.
    pub(super) fn record(content_type: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut record = vec![content_type, 0xfe, 0xfd];
        record.extend(epoch.to_be_bytes());
        record.extend([0; 6]);
        record.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        record.extend(body);
        record
    }

    /// A fragment of a message of `len` bytes.
    pub(super) fn fragment(kind: u8, len: u32, number: u16, offset: u32, body: &[u8]) -> Vec<u8> {
        let mut fragment = vec![kind];
        fragment.extend(&len.to_be_bytes()[1..]);
        fragment.extend(number.to_be_bytes());
        fragment.extend(&offset.to_be_bytes()[1..]);
        fragment.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
        fragment.extend(body);
        fragment
    }

    fn hello(kind: u8, number: u16) -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; 32]);
        record(22, 0, &fragment(kind, 34, number, 0, &body))
    }

    #[test]
    fn a_datagram_holds_several_records() {
        let datagram = [record(22, 0, b"abc"), record(20, 0, b"\x01"), record(22, 1, &[9; 40])].concat();
        let read: Vec<_> = Records::of(&datagram).map(|r| (r.content_type, r.epoch, r.body.len())).collect();
        assert_eq!(read, [(22, 0, 3), (20, 0, 1), (22, 1, 40)]);
        // Cut by the capture, the last is as long as its header says.
        let last = Records::of(&datagram[..datagram.len() - 10]).last().unwrap();
        assert_eq!((last.len, last.body.len()), (40, 30));
        assert_eq!(Records::of(b"\x80\x60\0\0").count(), 0, "media");
        assert_eq!(Records::of(&[]).count(), 0);
    }

    #[test]
    fn records_of_dtls_1_3_have_a_short_header() {
        // 001CSLEE: no ID, long sequence number, length, epoch 2; then short ones, without a length, epoch 3.
        let datagram = [&[0x2e, 0, 5, 0, 3][..], b"abc", &[0x23, 6], b"defg"].concat();
        let read: Vec<_> = Records::of(&datagram).map(|r| (r.content_type, r.epoch, r.body)).collect();
        assert_eq!(read, [(0, 2, &b"abc"[..]), (0, 3, b"defg")]);
        let with_id: Vec<_> = Records::of(&[0x3e, 1, 2, 3, 4]).map(|r| (r.epoch, r.len)).collect();
        assert_eq!(with_id, [(2, 4)]);
    }

    #[test]
    fn a_record_with_an_id_takes_the_rest() {
        let datagram = record(25, 1, &[0; 60]);
        let read: Vec<_> = Records::of(&datagram).map(|r| (r.content_type, r.epoch)).collect();
        assert_eq!(read, [(25, 1)]);
    }

    #[test]
    fn fragments_beyond_their_message_are_none() {
        let body = fragment(11, 10, 2, 8, b"abc");
        assert_eq!(Fragments::of(&Records::of(&record(22, 0, &body)).next().unwrap()).count(), 0);
        let two = [fragment(11, 10, 2, 0, b"abc"), fragment(14, 0, 3, 0, b"")].concat();
        let record = record(22, 0, &two);
        let read: Vec<_> = Fragments::of(&Records::of(&record).next().unwrap()).collect();
        assert_eq!((read.len(), read[0].body, read[1].kind), (2, &b"abc"[..], HandshakeType(14)));
    }

    #[test]
    fn hellos_begin_an_attempt_and_nothing_else_does() {
        assert_eq!(begins(&hello(1, 0)), Some((HandshakeType::CLIENT_HELLO, Some([7; 32]))));
        assert_eq!(begins(&hello(2, 1)), Some((HandshakeType::SERVER_HELLO, Some([7; 32]))));
        assert_eq!(begins(&hello(11, 1)), None, "a certificate");
        assert_eq!(begins(&hello(1, 9)), None, "late in a handshake");
        assert_eq!(begins(&record(23, 1, b"data")), None);
        // Behind the preamble of CAPWAP.
        assert!(begins(&[&[1, 0, 0, 0][..], &hello(1, 0)].concat()).is_some());
        for end in 0..hello(1, 0).len() {
            assert_eq!(begins(&hello(1, 0)[..end]), None, "{end}");
        }
    }
}
