//! Handshake messages rejoined from their fragments (RFC 6347 section 4.2.3): out of order, overlapping, sent again.

use std::borrow::Cow;

use crate::base::{PacketNo, Packets, Stamp};
use crate::tls::codes::HandshakeType;
use crate::tls::cursor::Cursor;

/// One fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The message's type.
    pub kind: HandshakeType,
    /// Which of the sender's messages it is.
    pub sequence: u16,
    /// Bytes of the whole message.
    pub whole: usize,
    /// Where in the message it begins.
    pub offset: usize,
    /// Its length, as it says.
    pub len: usize,
    /// Its bytes, as far as they were captured.
    pub body: &'a [u8],
}

/// The fragments in a handshake record in clear. What contradicts itself ends it.
pub fn fragments(record: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    let mut cursor = Cursor(record);
    std::iter::from_fn(move || {
        let kind = HandshakeType(cursor.u8()?);
        let whole = cursor.u24()?;
        let sequence = cursor.u16()?;
        let (offset, len) = (cursor.u24()?, cursor.u24()?);
        let (body, _) = cursor.at_most(len);
        (offset + len <= whole).then_some(Fragment { kind, sequence, whole, offset, len, body })
    })
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: HandshakeType,
    /// Which of the sender's messages it is.
    pub sequence: u16,
    /// Its body.
    pub body: Cow<'a, [u8]>,
    /// The packets that carried it.
    pub at: Packets,
    /// When it was whole.
    pub when: Stamp,
}

/// What became of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Took<'a> {
    /// It made its message whole.
    Whole(Message<'a>),
    /// There is more to come.
    Part,
    /// Nothing in it is new.
    Again,
    /// There was no room for it.
    Dropped,
}

#[derive(Debug)]
struct Partial {
    kind: HandshakeType,
    sequence: u16,
    whole: usize,
    bytes: Vec<u8>,
    /// What is there, ascending and apart from each other.
    have: Vec<(usize, usize)>,
    at: Packets,
}

/// The messages of one side.
#[derive(Debug, Default)]
pub struct Messages {
    partial: Vec<Partial>,
    /// What was whole already.
    done: Vec<(u16, HandshakeType)>,
    /// The latest fragment's place among those of its flight.
    latest: Option<(u16, usize)>,
    /// Flights that began once more.
    again: u32,
}

impl Messages {
    /// Messages that are not whole at once.
    const PARTIAL: usize = 8;
    /// Pieces of one message apart from each other.
    const PIECES: usize = 64;
    /// Messages of one side in clear; real handshakes have seven at most.
    const DONE: usize = 32;

    /// Takes a fragment. `copy`: its record was there before, as a capture has it that sees packets twice. `most`: bytes of all
    /// messages that are not whole.
    pub fn take<'a>(
        &mut self,
        fragment: &Fragment<'a>,
        copy: bool,
        no: PacketNo,
        when: Stamp,
        most: usize,
    ) -> Took<'a> {
        let place = (fragment.sequence, fragment.offset);
        let back = self.latest.is_some_and(|latest| place <= latest);
        self.latest = Some(place);
        let took = self.put(fragment, no, when, most);
        // A sender that begins once more goes back; fragments that arrive out of order are new.
        if back && !copy && took == Took::Again {
            self.again += 1;
        }
        took
    }

    fn put<'a>(&mut self, fragment: &Fragment<'a>, no: PacketNo, when: Stamp, most: usize) -> Took<'a> {
        let &Fragment { kind, sequence, whole, offset, body, .. } = fragment;
        if self.done.contains(&(sequence, kind)) {
            return Took::Again;
        }
        if self.done.len() >= Self::DONE {
            return Took::Dropped;
        }
        let known =
            self.partial.iter().position(|partial| partial.sequence == sequence && partial.kind == kind);
        if known.is_none() && body.len() == whole {
            self.done.push((sequence, kind));
            return Took::Whole(Message { kind, sequence, body: Cow::Borrowed(body), at: no.into(), when });
        }
        let held = self.held();
        let place = match known {
            Some(place) => place,
            None if self.partial.len() >= Self::PARTIAL || whole > most => return Took::Dropped,
            None => {
                let (bytes, have, at) = (Vec::new(), Vec::new(), Packets::none());
                self.partial.push(Partial { kind, sequence, whole, bytes, have, at });
                self.partial.len() - 1
            }
        };
        let Some(partial) = self.partial.get_mut(place).filter(|partial| partial.whole == whole) else {
            return Took::Dropped;
        };
        let end = offset + body.len();
        if partial.have.iter().any(|&(from, to)| from <= offset && end <= to) {
            return Took::Again;
        }
        let grows = end.saturating_sub(partial.bytes.len());
        if held + grows > most || partial.have.len() >= Self::PIECES {
            return Took::Dropped;
        }
        partial.bytes.resize(partial.bytes.len() + grows, 0);
        if let Some(room) = partial.bytes.get_mut(offset..end) {
            room.copy_from_slice(body);
        }
        partial.at.add(no);
        partial.cover(offset, end);
        if partial.have.first() != Some(&(0, whole)) {
            return Took::Part;
        }
        let Partial { kind, sequence, bytes, at, .. } = self.partial.swap_remove(place);
        self.done.push((sequence, kind));
        Took::Whole(Message { kind, sequence, body: Cow::Owned(bytes), at, when })
    }

    /// How often this side sent a flight once more, or a part of one.
    pub const fn again(&self) -> u32 {
        self.again
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.partial.iter().map(|partial| partial.bytes.len()).sum()
    }

    /// The first message that is not whole: its type, bytes there are, bytes it has, and the packets with them.
    pub fn pending(&self) -> Option<(HandshakeType, usize, usize, &Packets)> {
        let partial = self.partial.iter().min_by_key(|partial| partial.sequence)?;
        let have = partial.have.iter().map(|(from, to)| to - from).sum();
        Some((partial.kind, have, partial.whole, &partial.at))
    }
}

impl Partial {
    /// Bytes from `from` to `to` are there.
    fn cover(&mut self, from: usize, to: usize) {
        let (mut from, mut to) = (from, to);
        self.have.retain(|&(start, end)| {
            let apart = end < from || to < start;
            if !apart {
                (from, to) = (from.min(start), to.max(end));
            }
            apart
        });
        let place = self.have.partition_point(|&(start, _)| start < from);
        self.have.insert(place, (from, to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Stamp;

    fn part<'a>(sequence: u16, offset: usize, body: &'a [u8], whole: usize) -> Fragment<'a> {
        Fragment { kind: HandshakeType::CERTIFICATE, sequence, whole, offset, len: body.len(), body }
    }

    fn take<'a>(messages: &mut Messages, fragment: &Fragment<'a>, no: u64) -> Took<'a> {
        messages.take(fragment, false, PacketNo(no), Stamp(0), 1 << 17)
    }

    fn body(took: Took<'_>) -> Vec<u8> {
        match took {
            Took::Whole(message) => message.body.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fragments_are_rejoined_out_of_order_and_with_overlaps() {
        let mut messages = Messages::default();
        assert_eq!(take(&mut messages, &part(2, 4, b"efgh", 10), 1), Took::Part);
        assert_eq!(take(&mut messages, &part(2, 8, b"ij", 10), 2), Took::Part);
        assert_eq!(messages.pending().map(|pending| (pending.1, pending.2)), Some((6, 10)));
        assert_eq!(body(take(&mut messages, &part(2, 0, b"abcdef", 10), 3)), b"abcdefghij");
        assert_eq!((messages.held(), messages.again()), (0, 0));
    }

    #[test]
    fn a_flight_sent_again_counts_once() {
        let mut messages = Messages::default();
        for round in 0..3 {
            take(&mut messages, &part(1, 0, b"ab", 4), 1);
            take(&mut messages, &part(1, 2, b"cd", 4), 2);
            take(&mut messages, &part(2, 0, b"xy", 2), 3);
            assert_eq!(messages.again(), round);
        }
    }

    #[test]
    fn nothing_grows_without_bound() {
        let mut messages = Messages::default();
        assert_eq!(take(&mut messages, &part(1, 0, b"a", 1 << 20), 1), Took::Dropped);
        for n in 0..8 {
            assert_eq!(take(&mut messages, &part(n, 0, b"a", 9), 1), Took::Part);
        }
        assert_eq!(take(&mut messages, &part(8, 0, b"a", 9), 1), Took::Dropped);
        assert_eq!(take(&mut messages, &part(1, 0, b"ab", 10), 1), Took::Dropped, "another length");
    }

    #[test]
    fn several_messages_in_one_record() {
        let one = [14, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0];
        let record = [&one[..], &one].concat();
        assert_eq!(fragments(&record).count(), 2);
        let beyond = [11, 0, 0, 1, 0, 3, 0, 0, 1, 0, 0, 1, 9];
        assert_eq!(fragments(&beyond).count(), 0);
        assert_eq!(fragments(&one[..11]).count(), 0);
    }
}
