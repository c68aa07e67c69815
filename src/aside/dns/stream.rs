//! Messages on a TCP connection: two octets of length go before each (RFC 1035 section 4.2.2, RFC 7766 section 8).

/// The first message of a stream, and how many bytes it takes. `None`: it is not complete yet.
pub fn framed(stream: &[u8]) -> Option<(&[u8], usize)> {
    let (len, rest) = stream.split_first_chunk::<2>()?;
    let len = usize::from(u16::from_be_bytes(*len));
    Some((rest.get(..len)?, len + 2))
}

/// One direction's bytes until they make messages. Holds one message at most, which is 64 KiB.
#[derive(Debug, Default)]
pub struct Framer {
    held: Vec<u8>,
}

impl Framer {
    /// Takes the next bytes, and gives each message that is now whole.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        // Nearly always a segment holds whole messages.
        let mut rest = bytes;
        if !self.held.is_empty() {
            self.held.extend_from_slice(bytes);
            let held = std::mem::take(&mut self.held);
            let mut left = held.as_slice();
            while let Some((message, len)) = framed(left) {
                each(message);
                left = left.get(len..).unwrap_or_default();
            }
            self.held = left.to_vec();
            return;
        }
        while let Some((message, len)) = framed(rest) {
            each(message);
            rest = rest.get(len..).unwrap_or_default();
        }
        self.held.extend_from_slice(rest);
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.held.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_framed_message_waits_for_its_end() {
        assert_eq!(framed(&[0, 2, 7]), None);
        assert_eq!(framed(&[0, 2, 7, 8, 9]), Some((&[7, 8][..], 4)));
    }

    proptest! {
        #[test]
        fn messages_are_the_same_however_they_are_cut(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
            cut in 1..50_usize,
        ) {
            let mut stream = Vec::new();
            for message in &messages {
                stream.extend((message.len() as u16).to_be_bytes());
                stream.extend(message);
            }
            let (mut framer, mut read) = (Framer::default(), Vec::new());
            for piece in stream.chunks(cut) {
                framer.push(piece, |message| read.push(message.to_vec()));
            }
            prop_assert_eq!(read, messages);
            prop_assert!(framer.held.is_empty());
        }
    }
}
