//! Records of DTLS (RFC 4347, RFC 6347, RFC 9147), read datagram by datagram.
//!
//! A datagram holds whole records. Each says in clear which keys seal it (its epoch) and which one of theirs it is, so that what is
//! lost shows. Handshake messages come in fragments, which [`messages`] rejoins.

pub mod messages;

use super::codes::{AlertDescription, AlertLevel, ExtensionType, Version};
use super::cursor::Cursor;
use super::message::Alert;

/// Which header a record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// That of RFC 6347 section 4.1.
    Plain,
    /// The same with a connection ID: the content type is sealed (RFC 9146 section 4).
    WithId,
    /// The unified header of DTLS 1.3: content type and version are sealed (RFC 9147 section 4).
    Unified,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its header.
    pub form: Form,
    /// Content type as the header has it: 20 to 26, 0 where it has none.
    pub content_type: u8,
    /// Version as the header has it, DTLS 1.3 where it has none.
    pub version: Version,
    /// Which keys seal it, 0 for none; of a unified header the last two bits.
    pub epoch: u16,
    /// Which one of that epoch it is; nothing where the header seals that, as a unified one does.
    pub sequence: Option<u64>,
    /// Length of the body in bytes, as the header says or the datagram.
    pub len: u16,
    /// The body, as far as it was captured.
    pub body: &'a [u8],
}

/// Longest connection ID looked for where its length was not seen; real ones have up to 20 bytes.
const LONGEST_ID: usize = 32;
/// Content types: change_cipher_spec to ack (RFC 9147 section 11). Type 25 is that of records with a connection ID.
const TYPES: std::ops::RangeInclusive<u8> = 20..=26;
/// Content type of a record with a connection ID.
const WITH_ID: u8 = 25;

/// The records of one datagram. What is no record ends it.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    id_len: Option<u8>,
}

/// The records of one datagram; `id_len`: bytes of the connection IDs by which its receiver wants to be called, where known.
pub const fn records(payload: &[u8], id_len: Option<u8>) -> Records<'_> {
    Records { rest: payload, id_len }
}

/// The records of a datagram, without the four bytes that CAPWAP puts before them (RFC 5415 section 4.1: version 0, type 1).
pub const fn payload(datagram: &[u8]) -> &[u8] {
    match datagram {
        [1, 0, 0, 0, rest @ ..] if begins_record(rest) => rest,
        all => all,
    }
}

/// Whether bytes begin with a record's header in clear: its type, a version of DTLS.
pub const fn begins_record(payload: &[u8]) -> bool {
    matches!(payload, [20..=26, 0xfe, 0xfd..=0xff, ..] | [20..=26, 1, 0, ..])
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (record, rest) = match self.rest.first()? {
            first if first >> 5 == 1 => self.unified(),
            first if TYPES.contains(first) => self.plain(),
            _ => None,
        }
        .unzip();
        self.rest = rest.unwrap_or_default();
        record
    }
}

impl<'a> Records<'a> {
    fn plain(self) -> Option<(Record<'a>, &'a [u8])> {
        let mut cursor = Cursor(self.rest);
        let (content_type, version) = (cursor.u8()?, Version(cursor.u16()?));
        if !version.is_dtls() {
            return None;
        }
        let epoch = cursor.u16()?;
        let sequence =
            [0, 0].into_iter().chain(cursor.array::<6>()?).fold(0, |n, byte| n << 8 | u64::from(byte));
        let form = if content_type == WITH_ID { Form::WithId } else { Form::Plain };
        if form == Form::WithId {
            cursor.take(self.id_len.map_or_else(|| guess_id(cursor.0), usize::from))?;
        }
        let len = cursor.u16()?;
        let (body, _) = cursor.at_most(len.into());
        let sequence = Some(sequence);
        Some((Record { form, content_type, version, epoch, sequence, len, body }, cursor.0))
    }

    /// RFC 9147 section 4: 001CSLEE, then as these bits say a connection ID, one or two bytes of the sequence number, a length.
    fn unified(self) -> Option<(Record<'a>, &'a [u8])> {
        let mut cursor = Cursor(self.rest);
        let first = cursor.u8()?;
        if first & 0x10 != 0 {
            cursor.take(self.id_len?.into())?;
        }
        cursor.take(if first & 8 != 0 { 2 } else { 1 })?;
        let len = if first & 4 != 0 { cursor.u16()? } else { u16::try_from(cursor.0.len()).ok()? };
        let (body, _) = cursor.at_most(len.into());
        let epoch = (first & 3).into();
        let (form, content_type, version) = (Form::Unified, 0, Version::DTLS13);
        Some((Record { form, content_type, version, epoch, sequence: None, len, body }, cursor.0))
    }
}

/// How long a connection ID is before a record's length, if that record is the datagram's last.
fn guess_id(rest: &[u8]) -> usize {
    let fits = |&n: &usize| {
        let len = rest.get(n..n + 2).map(|len| len.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)));
        len.is_some_and(|len| n + 2 + len == rest.len())
    };
    (0..=LONGEST_ID).find(fits).unwrap_or(0)
}

/// The alert of a record in clear. `None`: it holds fewer than two bytes.
pub fn alert(body: &[u8]) -> Option<Alert> {
    let &[level, description, ..] = body else { return None };
    Some(Alert { level: AlertLevel(level), description: AlertDescription(description) })
}

/// How long the cookie of a ClientHello's body is (RFC 6347 section 4.2.1).
pub fn cookie_len(body: &[u8]) -> Option<usize> {
    let mut cursor = Cursor(body);
    cursor.take(2 + 32)?;
    cursor.vec8()?;
    Some(cursor.vec8()?.len())
}

/// Bytes of the connection IDs by which the sender of this hello wants to be called (RFC 9146 section 3); `None`: it asks for
/// none.
pub fn id_len(body: &[u8], client: bool) -> Option<u8> {
    let mut cursor = Cursor(body);
    cursor.take(2 + 32)?;
    cursor.vec8()?;
    if client {
        cursor.vec8()?; // the cookie
        cursor.vec16()?;
        cursor.vec8()?;
    } else {
        cursor.take(3)?;
    }
    let mut extensions = Cursor(cursor.vec16()?);
    while !extensions.is_empty() {
        let kind = ExtensionType(extensions.u16()?);
        let value = extensions.vec16()?;
        if kind == ExtensionType::CONNECTION_ID {
            return value.first().copied();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(kind: u8, epoch: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, sequence][..], &len, body].concat()
    }

    #[test]
    fn a_datagram_holds_several_records() {
        let datagram = [plain(20, 0, 4, &[1]), plain(22, 1, 0, &[7; 40])].concat();
        let read: Vec<_> =
            records(&datagram, None).map(|record| (record.content_type, record.epoch, record.len)).collect();
        assert_eq!(read, [(20, 0, 1), (22, 1, 40)]);
        assert!(begins_record(&datagram));
    }

    #[test]
    fn what_is_no_record_ends_it() {
        let mut datagram = plain(22, 0, 0, &[1, 2]);
        datagram.extend([22, 3, 3, 0, 0]);
        assert_eq!(records(&datagram, None).count(), 1);
        assert_eq!(records(&[0x80, 1, 2, 3], None).count(), 0, "media");
        assert_eq!(records(&[22, 0xfe], None).count(), 0);
        let plain = plain(22, 0, 0, &[1, 2]);
        assert_eq!(payload(&[&[1, 0, 0, 0][..], &plain].concat()), plain, "behind CAPWAP's four bytes");
        assert_eq!(payload(&[1, 0, 0, 0, 9]), [1, 0, 0, 0, 9]);
    }

    #[test]
    fn a_cut_body_keeps_its_length() {
        let whole = plain(23, 1, 9, &[5; 100]);
        let record = records(&whole[..50], None).next().unwrap();
        assert_eq!((record.len, record.body.len()), (100, 37));
    }

    #[test]
    fn connection_ids_are_passed_over_and_their_length_is_told_by_what_follows() {
        let mut record = plain(25, 1, 1, &[]);
        record.truncate(11);
        record.extend([0xaa, 0xbb, 0xcc, 0, 20]);
        record.extend([0; 20]);
        for id_len in [Some(3), None] {
            let read = records(&record, id_len).next().unwrap();
            assert_eq!((read.form, read.len), (Form::WithId, 20), "{id_len:?}");
        }
    }

    #[test]
    fn a_unified_header_has_what_its_bits_say() {
        // no ID, two bytes of number, a length, epoch 2; then one byte of number, no length, epoch 3
        let datagram = [&[0x2e, 1, 2, 0, 3, 9, 9, 9][..], &[0x23, 7, 1, 2, 3, 4]].concat();
        let read: Vec<_> = records(&datagram, None).map(|record| (record.epoch, record.len)).collect();
        assert_eq!(read, [(2, 3), (3, 4)]);
        assert_eq!(records(&[0x3e, 1, 2, 3, 4, 5, 6, 7], None).count(), 0, "an ID of unknown length");
        assert_eq!(records(&[0x3e, 0xaa, 1, 2, 0, 1, 5], Some(1)).next().unwrap().len, 1);
    }

    #[test]
    fn the_hello_says_how_it_wants_to_be_called() {
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; 32]);
        body.extend([0, 3, 1, 2, 3, 0, 2, 0xc0, 0x2b, 1, 0]);
        assert_eq!((cookie_len(&body), id_len(&body, true)), (Some(3), None));
        body.extend([0, 7, 0, 54, 0, 3, 2, 0xaa, 0xbb]);
        assert_eq!(id_len(&body, true), Some(2));
        assert_eq!(cookie_len(&body[..35]), None);
    }
}
