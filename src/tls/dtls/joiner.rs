//! Handshake messages rejoined from fragments that may be lost, come twice or out of order.

use std::collections::VecDeque;

use super::Fragment;
use crate::base::{PacketNo, Packets, Stamp};
use crate::tls::codes::{HandshakeType, Version};

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its type.
    pub kind: HandshakeType,
    /// Version of the record that its first fragment came in.
    pub record_version: Version,
    /// Its number among its sender's.
    pub number: u16,
    /// Its body, without the header.
    pub body: Vec<u8>,
    /// The packets that carried it.
    pub at: Packets,
    /// Stamp of the packet that completed it.
    pub when: Stamp,
}

/// A message of which fragments came.
#[derive(Clone, Debug)]
struct Partial {
    message: Message,
    len: usize,
    /// Stretches by where they begin; they may overlap.
    pieces: Vec<(usize, Vec<u8>)>,
}

impl Partial {
    /// Pieces kept of one message; a sender cuts it from its beginning to its end.
    const PIECES: usize = 64;

    /// Whether the piece brought anything.
    fn add(&mut self, offset: usize, body: &[u8]) -> bool {
        let reach = self.reach_from(offset);
        if reach >= offset + body.len() && !(body.is_empty() && self.pieces.is_empty())
            || self.pieces.len() >= Self::PIECES
        {
            return false;
        }
        let place = self.pieces.partition_point(|&(from, _)| from <= offset);
        self.pieces.insert(place, (offset, body.to_vec()));
        true
    }

    /// As far as the bytes reach without a hole from here on.
    fn reach_from(&self, offset: usize) -> usize {
        self.pieces.iter().fold(
            offset,
            |reach, (from, body)| {
                if *from <= reach { reach.max(from + body.len()) } else { reach }
            },
        )
    }

    fn is_whole(&self) -> bool {
        !self.pieces.is_empty() && self.reach_from(0) == self.len
    }

    fn have(&self) -> usize {
        self.pieces.iter().map(|(_, body)| body.len()).sum()
    }

    /// The message as far as it reaches from its beginning.
    fn join(self) -> Message {
        let mut message = self.message;
        for (from, body) in &self.pieces {
            let behind = message.body.len().checked_sub(*from).and_then(|known| body.get(known..));
            message.body.extend_from_slice(behind.unwrap_or_default());
        }
        message
    }
}

/// Rejoins the messages of one side, which are numbered.
#[derive(Clone, Debug)]
pub struct Joiner {
    limit: usize,
    /// Number of the message that is to come next; `None` before the first.
    next: Option<u16>,
    /// What came of it and of later ones, by number from the next one on.
    partial: VecDeque<Option<Partial>>,
    held: usize,
}

impl Joiner {
    /// Messages that wait for one before them: a server's longest flight has seven.
    const AHEAD: usize = 10;

    /// Begins; keeps at most `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { limit, next: None, partial: VecDeque::new(), held: 0 }
    }

    /// Takes a fragment. Whether it brought anything that had not been there.
    pub fn push(&mut self, fragment: &Fragment<'_>, version: Version, no: PacketNo, when: Stamp) -> bool {
        let next = *self.next.get_or_insert(fragment.number);
        let Some(ahead) = fragment.number.checked_sub(next).map(usize::from) else { return false };
        if ahead >= Self::AHEAD || fragment.len > self.limit || self.held + fragment.body.len() > self.limit {
            return true; // new, and not to be kept
        }
        while self.partial.len() <= ahead {
            self.partial.push_back(None);
        }
        let Some(place) = self.partial.get_mut(ahead) else { return true };
        let partial = place.get_or_insert_with(|| Partial {
            message: Message {
                kind: fragment.kind,
                record_version: version,
                number: fragment.number,
                body: Vec::new(),
                at: Packets::none(),
                when,
            },
            len: fragment.len,
            pieces: Vec::new(),
        });
        if partial.len != fragment.len || partial.message.kind != fragment.kind {
            return false; // contradicts what came before
        }
        let fresh = partial.add(fragment.offset, fragment.body);
        if fresh {
            self.held += fragment.body.len();
            partial.message.at.add(no);
            partial.message.when = when;
        }
        fresh
    }

    /// The next message, once it is whole.
    pub fn message(&mut self) -> Option<Message> {
        if !self.partial.front()?.as_ref()?.is_whole() {
            return None;
        }
        let whole = self.partial.pop_front()??;
        self.held = self.held.saturating_sub(whole.have());
        self.next = self.next.map(|next| next.wrapping_add(1));
        Some(whole.join())
    }

    /// The message that began and never became whole: its type, bytes had and bytes wanted.
    pub fn unfinished(&self) -> Option<(HandshakeType, usize, usize)> {
        let partial = self.partial.iter().flatten().next()?;
        Some((partial.message.kind, partial.have().min(partial.len), partial.len))
    }

    /// The next message as far as its bytes reach from its beginning.
    pub fn cut(&mut self) -> Option<Message> {
        Some(self.partial.front_mut()?.take()?.join())
    }

    /// Bytes held.
    pub const fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: Version = Version::DTLS12;

    fn fragment(number: u16, offset: usize, body: &[u8]) -> Fragment<'_> {
        Fragment { kind: HandshakeType(11), len: 6, number, offset, body, whole: true }
    }

    fn push(joiner: &mut Joiner, number: u16, offset: usize, body: &[u8], no: u64) -> bool {
        joiner.push(&fragment(number, offset, body), V, PacketNo(no), Stamp(0))
    }

    #[test]
    fn fragments_come_in_any_order_and_twice() {
        let mut joiner = Joiner::new(1_000);
        assert!(push(&mut joiner, 0, 4, b"ef", 1));
        assert!(push(&mut joiner, 0, 0, b"abc", 2));
        assert!(!push(&mut joiner, 0, 0, b"ab", 3), "known");
        assert_eq!((joiner.message(), joiner.unfinished()), (None, Some((HandshakeType(11), 5, 6))));
        assert!(push(&mut joiner, 0, 2, b"cd", 4));
        let message = joiner.message().unwrap();
        assert_eq!(
            (&message.body[..], message.at),
            (&b"abcdef"[..], Packets::from_iter([1, 2, 4].map(PacketNo)))
        );
        assert!(!push(&mut joiner, 0, 0, b"abcdef", 5), "sent again");
        assert_eq!((joiner.message(), joiner.held()), (None, 0));
    }

    #[test]
    fn a_later_message_waits_for_the_one_before() {
        let mut joiner = Joiner::new(1_000);
        push(&mut joiner, 0, 0, b"abcdef", 1);
        joiner.message().unwrap();
        push(&mut joiner, 2, 0, b"third!", 2);
        assert_eq!(joiner.message(), None);
        push(&mut joiner, 1, 0, b"second", 3);
        let both = [joiner.message().unwrap().body, joiner.message().unwrap().body];
        assert_eq!(both, [b"second".to_vec(), b"third!".to_vec()]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut joiner = Joiner::new(10);
        push(&mut joiner, 0, 0, b"a", 1);
        push(&mut joiner, 1, 0, b"b", 2);
        push(&mut joiner, 60, 0, b"c", 3);
        assert_eq!(joiner.held(), 2);
        let long = Fragment { len: 11, ..fragment(2, 0, b"d") };
        joiner.push(&long, V, PacketNo(4), Stamp(0));
        assert_eq!(joiner.held(), 2);
        let cut = joiner.cut().unwrap();
        assert_eq!(cut.body, b"a");
    }

    #[test]
    fn a_message_without_a_body_is_whole_at_once() {
        let mut joiner = Joiner::new(10);
        let done = Fragment { kind: HandshakeType(14), len: 0, number: 0, offset: 0, body: b"", whole: true };
        joiner.push(&done, V, PacketNo(1), Stamp(0));
        assert_eq!(joiner.message().unwrap().kind, HandshakeType(14));
    }
}
