//! The handshake messages that a client's CertificateVerify covers before TLS 1.3, where it is in clear: kept with keys or
//! without, until nobody will sign them.

use crate::base::{PerSide, Side};
use crate::tls::codes::HandshakeType;

/// The messages of a handshake before TLS 1.3, as they were sent, until it shows that nobody will sign them.
///
/// The sides are kept apart and put together in the order that the protocol has (RFC 5246 section 7.3), since a capture
/// may store an answer before its question.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    /// The ClientHello.
    hello: Vec<u8>,
    /// What the server sent, and what the client sent behind its hello.
    rest: Option<Box<PerSide<Vec<u8>>>>,
}

impl Transcript {
    /// Bytes kept of one handshake. Real ones have some 10 kB.
    const MOST: usize = 64 << 10;
    /// Room for a server's messages with a chain of two EC certificates.
    const FLIGHT: usize = 2 << 10;

    /// Begins with the ClientHello that counts.
    pub(super) fn begin(&mut self, hello: &[u8]) {
        self.hello.clear();
        self.hello.reserve_exact(4 + hello.len());
        push(&mut self.hello, HandshakeType::CLIENT_HELLO, hello);
    }

    /// Begins with one in SSL 2.0 framing, which counts without its length (RFC 5246 appendix E.2).
    pub(super) fn begin_sslv2(&mut self, hello: &[u8]) {
        self.hello = hello.to_vec();
    }

    /// Nobody will sign: everything is let go.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// A message behind the ClientHello.
    pub(super) fn add(&mut self, from: Side, kind: HandshakeType, body: &[u8]) {
        if self.hello.is_empty() {
            return; // nobody will sign it
        }
        if self.held() + 4 + body.len() > Self::MOST {
            self.end();
        } else if kind != HandshakeType::HELLO_REQUEST {
            // RFC 5246 section 7.4.1.1: a HelloRequest is not in the hashes.
            let list = self.rest.get_or_insert_default().of_mut(from);
            if list.is_empty() && from == Side::Server {
                list.reserve_exact(Self::FLIGHT.max(4 + body.len()));
            }
            push(list, kind, body);
        }
    }

    /// Everything so far; `None` where something of it is not to be had.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let Self { hello, rest } = std::mem::take(self);
        let rest = rest?;
        // RFC 5246 section 7.3: ServerHello … ServerHelloDone, then Certificate (behind SupplementalData, RFC 4680).
        let server = rest.server.first() == Some(&HandshakeType::SERVER_HELLO.0)
            && rest.server.ends_with(&[HandshakeType::SERVER_HELLO_DONE.0, 0, 0, 0]);
        let client = matches!(
            rest.client.first().map(|&kind| HandshakeType(kind)),
            Some(HandshakeType::CERTIFICATE | HandshakeType::SUPPLEMENTAL_DATA)
        );
        let whole = !hello.is_empty() && server && client;
        whole.then(|| [hello, rest.server, rest.client].concat())
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.hello.len() + self.rest.as_ref().map_or(0, |rest| rest.server.len() + rest.client.len())
    }
}

/// Appends a message with its header.
pub(super) fn push(list: &mut Vec<u8>, kind: HandshakeType, body: &[u8]) {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    list.reserve(4 + body.len());
    list.push(kind.0);
    list.extend_from_slice(len.get(1..).unwrap_or_default());
    list.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_in_the_order_of_the_protocol() {
        let mut transcript = Transcript::default();
        transcript.begin(b"hi");
        transcript.add(Side::Client, HandshakeType::CERTIFICATE, b"c");
        transcript.add(Side::Server, HandshakeType::SERVER_HELLO, b"s");
        transcript.add(Side::Server, HandshakeType::HELLO_REQUEST, b"");
        transcript.add(Side::Server, HandshakeType::SERVER_HELLO_DONE, b"");
        let whole = b"\x01\0\0\x02hi\x02\0\0\x01s\x0e\0\0\0\x0b\0\0\x01c";
        assert_eq!(transcript.take().unwrap(), whole);
        assert_eq!((transcript.take(), transcript.held()), (None, 0));
    }

    #[test]
    fn nothing_is_signed_without_a_hello_or_beyond_the_bound() {
        let mut transcript = Transcript::default();
        transcript.add(Side::Server, HandshakeType::SERVER_HELLO, b"s");
        assert_eq!(transcript.take(), None);
        transcript.begin(b"hi");
        transcript.add(Side::Client, HandshakeType::CERTIFICATE, b"c");
        transcript.add(Side::Server, HandshakeType::SERVER_HELLO_DONE, b"");
        assert_eq!(transcript.take(), None, "the ServerHello came before its question");
        transcript.begin(b"hi");
        transcript.add(Side::Server, HandshakeType::CERTIFICATE, &[0; Transcript::MOST]);
        transcript.add(Side::Server, HandshakeType::SERVER_HELLO_DONE, b"");
        assert_eq!((transcript.held(), transcript.take()), (0, None));
    }
}
