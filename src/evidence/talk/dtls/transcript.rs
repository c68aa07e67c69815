//! The handshake messages in clear, and those that keys opened: what a client's CertificateVerify and each Finished cover.

use crate::base::Side;
use crate::evidence::attempt::unsealed::Unsealed;
use crate::tls::codes::HandshakeType;

/// A message that was said.
#[derive(Debug)]
struct Said {
    from: Side,
    /// Which one of the sender's messages it is.
    sequence: u16,
    kind: HandshakeType,
    /// As hashes cover it: with DTLS's own header, as if it had come in one piece (RFC 6347 section 4.2.6).
    bytes: Vec<u8>,
}

/// The messages of a handshake before DTLS 1.3, in whatever order they came.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    said: Vec<Said>,
    held: usize,
}

impl Transcript {
    /// Bytes kept of one handshake. Real ones have some 10 kB.
    const MOST: usize = 64 << 10;

    /// Takes a whole message. What was answered by a HelloVerifyRequest is not in the hashes, nor is that: a ClientHello takes the
    /// place of the one before. A capture may store it behind its answer.
    pub(super) fn add(&mut self, from: Side, sequence: u16, kind: HandshakeType, body: &[u8]) {
        if self.held + body.len() > Self::MOST {
            return;
        }
        if kind == HandshakeType::CLIENT_HELLO {
            self.said.retain(|said| said.from == Side::Server);
            self.held = self.said.iter().map(|said| said.bytes.len()).sum();
        }
        let [_, len @ ..] = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
        let [high, low] = sequence.to_be_bytes();
        let bytes = [&[kind.0], &len[..], &[high, low, 0, 0, 0], &len, body].concat();
        self.held += bytes.len();
        self.said.push(Said { from, sequence, kind, bytes });
    }

    /// Nobody will ask: everything is let go.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Everything that the client signed in its message of this number; `None` where something is missing.
    pub(super) fn before(&self, sequence: u16) -> Option<Vec<u8>> {
        let (server, mut client) = (self.of(Side::Server), self.of(Side::Client));
        client.retain(|said| said.sequence < sequence);
        let done = server.iter().position(|said| said.kind == HandshakeType::SERVER_HELLO_DONE)?;
        let (flight, [hello, own @ ..]) = (server.get(..=done)?, client.as_slice()) else { return None };
        let whole = are_whole(flight)
            && are_whole(&client)
            && hello.kind == HandshakeType::CLIENT_HELLO
            && flight.first()?.kind == HandshakeType::SERVER_HELLO
            && own.last()?.sequence.checked_add(1) == Some(sequence);
        let all = || [*hello].into_iter().chain(flight.iter().copied()).chain(own.iter().copied());
        whole.then(|| all().flat_map(|said| said.bytes.iter().copied()).collect())
    }

    /// Gives them over in order, so that it is judged what each Finished says. Whether none is missing in between.
    pub(super) fn give(&self, unsealed: &mut Unsealed) -> bool {
        let sides = [Side::Client, Side::Server].map(|side| self.of(side));
        for said in sides.iter().flatten() {
            unsealed.flights.add_framed(said.from, said.kind, &said.bytes);
        }
        sides.iter().all(|said| are_whole(said))
    }

    /// One side's, in order.
    fn of(&self, side: Side) -> Vec<&Said> {
        let mut said: Vec<_> = self.said.iter().filter(|said| said.from == side).collect();
        said.sort_by_key(|said| said.sequence);
        said
    }
}

/// Each is the next one behind the one before.
fn are_whole(said: &[&Said]) -> bool {
    said.windows(2).all(|pair| match pair {
        [a, b] => a.sequence.checked_add(1) == Some(b.sequence),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: [(u16, HandshakeType, &[u8]); 2] =
        [(0, HandshakeType::CLIENT_HELLO, b"hi"), (1, HandshakeType::CERTIFICATE, b"c")];
    const SERVER: [(u16, HandshakeType, &[u8]); 2] =
        [(0, HandshakeType::SERVER_HELLO, b"s"), (1, HandshakeType::SERVER_HELLO_DONE, b"")];

    /// All of both sides, those of the one that is named first before the other's.
    fn said(first: Side) -> Transcript {
        let mut transcript = Transcript::default();
        for side in [first, first.other()] {
            for (sequence, kind, body) in if side == Side::Client { CLIENT } else { SERVER } {
                transcript.add(side, sequence, kind, body);
            }
        }
        transcript
    }

    #[test]
    fn messages_come_in_the_order_of_the_protocol_whatever_the_capture_s() {
        let whole = [
            &b"\x01\0\0\x02\0\0\0\0\0\0\0\x02hi"[..],
            b"\x02\0\0\x01\0\0\0\0\0\0\0\x01s",
            b"\x0e\0\0\0\0\x01\0\0\0\0\0\0",
            b"\x0b\0\0\x01\0\x01\0\0\0\0\0\x01c",
        ]
        .concat();
        for first in [Side::Client, Side::Server] {
            let mut transcript = said(first);
            assert_eq!(transcript.held(), whole.len());
            // What follows is none of it.
            transcript.add(Side::Client, 2, HandshakeType::CERTIFICATE_VERIFY, b"v");
            transcript.add(Side::Server, 2, HandshakeType::FINISHED, b"f");
            assert_eq!(transcript.before(2).unwrap(), whole, "{first:?} first");
            transcript.end();
            assert_eq!((transcript.before(2), transcript.held()), (None, 0));
        }
    }

    #[test]
    fn a_hello_takes_the_place_of_the_one_that_was_sent_back() {
        let mut transcript = Transcript::default();
        transcript.add(Side::Client, 0, HandshakeType::CLIENT_HELLO, b"without a cookie");
        transcript.add(Side::Client, 1, HandshakeType::CLIENT_HELLO, b"hi");
        transcript.add(Side::Server, 1, HandshakeType::SERVER_HELLO, b"s");
        transcript.add(Side::Server, 2, HandshakeType::SERVER_HELLO_DONE, b"");
        transcript.add(Side::Client, 2, HandshakeType::CERTIFICATE, b"c");
        assert_eq!(transcript.before(3).unwrap().len(), 4 * 12 + 4);
    }

    #[test]
    fn nothing_is_told_where_a_message_is_missing() {
        for missing in 0..4 {
            let mut transcript = said(Side::Client);
            transcript.said.remove(missing);
            assert_eq!(transcript.before(2), None, "without message {missing}");
        }
        assert_eq!(said(Side::Client).before(3), None, "the client's last before it");
        assert!(said(Side::Client).give(&mut Unsealed::default()));
        let mut transcript = said(Side::Client);
        transcript.add(Side::Server, 3, HandshakeType::FINISHED, b"f");
        assert!(!transcript.give(&mut Unsealed::default()));
    }

    #[test]
    fn the_greatest_number_has_none_behind_it_and_nothing_is_kept_beyond_the_bound() {
        let mut transcript = said(Side::Client);
        transcript.add(Side::Client, u16::MAX, HandshakeType::CERTIFICATE, b"");
        transcript.add(Side::Client, u16::MAX, HandshakeType::CLIENT_KEY_EXCHANGE, b"");
        assert_eq!((transcript.before(2).is_some(), transcript.before(0)), (true, None));
        assert!(!transcript.give(&mut Unsealed::default()));
        let held = transcript.held();
        transcript.add(Side::Client, 2, HandshakeType::CERTIFICATE, &[0; Transcript::MOST]);
        assert_eq!(transcript.held(), held);
    }
}
