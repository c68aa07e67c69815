//! Handshake messages out of CRYPTO frames, which come in any order and again (RFC 9000 sections 7.5 and 19.6).

use smallvec::SmallVec;

use crate::base::{PacketNo, Packets, Stamp};
use crate::tls::codes::HandshakeType;

/// A part of a handshake's bytes, its place, and the packet that brought it.
#[derive(Clone, Debug)]
struct Part {
    offset: u64,
    data: Vec<u8>,
    no: PacketNo,
    when: Stamp,
}

/// A whole handshake message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its type.
    pub kind: HandshakeType,
    /// Its header and its body.
    pub bytes: Vec<u8>,
    /// The packets that brought it.
    pub at: Packets,
    /// When the last of them came.
    pub when: Stamp,
}

impl Message {
    /// What stands behind the four-byte header.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(4..).unwrap_or_default()
    }
}

/// The bytes of one side at one level of encryption.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Place of the first byte of `ready`.
    base: u64,
    /// Bytes in order of the message that is under way.
    ready: Vec<u8>,
    /// Which packets brought `ready`: where each one's bytes end.
    brought: SmallVec<[(u64, PacketNo, Stamp); 2]>,
    /// Bytes behind holes, in order of place.
    waiting: Vec<Part>,
    /// Bytes that were dropped because too many waited.
    pub dropped: u64,
}

impl Stream {
    /// Parts that may wait. Some clients cut a ClientHello into dozens, in random order.
    const PARTS: usize = 256;

    /// Takes the bytes of one frame; whether any of them may be new. `most`: bytes held at once.
    pub fn push(&mut self, offset: u64, data: &[u8], no: PacketNo, when: Stamp, most: usize) -> bool {
        if data.is_empty() {
            return false;
        }
        let end = offset.saturating_add(data.len() as u64);
        let next = self.base + self.ready.len() as u64;
        if end <= next {
            return false;
        }
        if end - self.base > most as u64 || self.waiting.len() >= Self::PARTS {
            self.dropped += data.len() as u64;
            return true;
        }
        if offset > next {
            let place = self.waiting.partition_point(|part| part.offset <= offset);
            // The same again adds nothing.
            let known = place.checked_sub(1).and_then(|before| self.waiting.get(before));
            let fresh = known.is_none_or(|known| known.offset + (known.data.len() as u64) < end);
            if fresh {
                self.waiting.insert(place, Part { offset, data: data.to_vec(), no, when });
            }
            return fresh;
        }
        self.append(offset, data, no, when);
        let mut parts = std::mem::take(&mut self.waiting).into_iter().peekable();
        while let Some(part) = parts.next_if(|part| part.offset <= self.base + self.ready.len() as u64) {
            self.append(part.offset, &part.data, part.no, part.when);
        }
        self.waiting = parts.collect();
        true
    }

    /// Bytes of which those behind the end are new.
    fn append(&mut self, offset: u64, data: &[u8], no: PacketNo, when: Stamp) {
        let next = self.base + self.ready.len() as u64;
        let known = usize::try_from(next.saturating_sub(offset)).unwrap_or(usize::MAX);
        let Some(fresh) = data.get(known..).filter(|fresh| !fresh.is_empty()) else { return };
        self.ready.extend_from_slice(fresh);
        self.brought.push((self.base + self.ready.len() as u64, no, when));
    }

    /// The next whole message.
    pub fn message(&mut self) -> Option<Message> {
        let &[kind, a, b, c, ..] = self.ready.as_slice() else { return None };
        let len = 4 + usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        if self.ready.len() < len {
            return None;
        }
        let rest = self.ready.split_off(len);
        let bytes = std::mem::replace(&mut self.ready, rest);
        self.base += len as u64;
        let mut at = Packets::default();
        let mut when = Stamp(i64::MIN);
        let mut before = 0;
        for &(end, no, stamp) in &self.brought {
            at.add(no);
            when = when.max(stamp);
            if end >= self.base {
                break;
            }
            before += 1;
        }
        let done = before + usize::from(self.brought.get(before).is_some_and(|last| last.0 == self.base));
        self.brought.drain(..done.min(self.brought.len()));
        Some(Message { kind: HandshakeType(kind), bytes, at, when })
    }

    /// A message that began and whose end is missing: its type, bytes there and bytes wanted, header and all.
    pub fn unfinished(&self) -> Option<(HandshakeType, usize, usize)> {
        let &[kind, a, b, c, ..] = self.ready.as_slice() else { return None };
        let want = 4 + usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        Some((HandshakeType(kind), self.ready.len(), want))
    }

    /// The bytes in order of a message that is not whole, with the packets that brought them; empty where there is none.
    pub fn cut(&self) -> (&[u8], Packets) {
        let mut at = Packets::default();
        self.brought.iter().for_each(|(_, no, _)| at.add(*no));
        (&self.ready, at)
    }

    /// Something of it is there and waits for the rest.
    pub fn is_waiting(&self) -> bool {
        !self.ready.is_empty() || !self.waiting.is_empty()
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.ready.len() + self.waiting.iter().map(|part| part.data.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1 << 16;

    fn pushed(stream: &mut Stream, offset: u64, data: &[u8], no: u64) {
        stream.push(offset, data, PacketNo(no), Stamp::from_secs(no as i64), MOST);
    }

    const TWO: [u8; 11] = [1, 0, 0, 3, 7, 8, 9, 2, 0, 0, 0];

    #[test]
    fn messages_come_whole_whatever_the_order_of_their_bytes() {
        let orders: [&[(usize, usize)]; 5] = [
            &[(0, 11)],
            &[(0, 5), (5, 11)],
            &[(5, 11), (0, 5)],
            &[(8, 11), (3, 9), (2, 4), (0, 2)],
            &[(4, 6), (4, 11), (4, 6), (0, 11), (0, 3)],
        ];
        for order in orders {
            let mut stream = Stream::default();
            for (no, &(from, to)) in order.iter().enumerate() {
                pushed(&mut stream, from as u64, &TWO[from..to], no as u64 + 1);
            }
            let one = stream.message().unwrap();
            assert_eq!((one.kind, one.body()), (HandshakeType::CLIENT_HELLO, &[7, 8, 9][..]), "{order:?}");
            assert_eq!(stream.message().unwrap().bytes, [2, 0, 0, 0], "{order:?}");
            assert!(stream.message().is_none() && !stream.is_waiting() && stream.held() == 0, "{order:?}");
        }
    }

    #[test]
    fn a_message_names_the_packets_that_brought_it() {
        let mut stream = Stream::default();
        pushed(&mut stream, 5, &TWO[5..], 1);
        pushed(&mut stream, 0, &TWO[..5], 4);
        let one = stream.message().unwrap();
        assert_eq!(one.at.iter().collect::<Vec<_>>(), [PacketNo(1), PacketNo(4)]);
        assert_eq!(one.when, Stamp::from_secs(4));
        assert_eq!(stream.message().unwrap().at.iter().collect::<Vec<_>>(), [PacketNo(1)]);
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut stream = Stream::default();
        pushed(&mut stream, 0, &TWO[..6], 1);
        assert!(stream.message().is_none());
        assert_eq!(stream.unfinished(), Some((HandshakeType::CLIENT_HELLO, 6, 7)));
        assert_eq!(stream.cut().0, &TWO[..6]);
    }

    #[test]
    fn it_never_holds_more_than_its_bound() {
        let mut stream = Stream::default();
        for n in 1..100_000_u64 {
            stream.push(n * 7, &[0; 5], PacketNo(n), Stamp::from_secs(0), MOST);
        }
        assert!(stream.held() <= MOST && stream.waiting.len() <= Stream::PARTS && stream.dropped > 0);
        pushed(&mut stream, u64::MAX, &[1; 9], 1);
        pushed(&mut stream, 0, &[0xff; 20], 1);
        assert!(stream.message().is_none());
    }
}
