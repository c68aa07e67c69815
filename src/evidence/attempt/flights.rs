//! The handshake messages of both sides as they were sent, kept where there may be keys: what each Finished covers, and each
//! CertificateVerify of TLS 1.3.

use crate::base::{PerSide, Side};
use crate::tls::codes::HandshakeType;
use crate::tls::keys::tls13::Hash;

/// One side's messages, one behind another.
#[derive(Debug, Default)]
struct Flight {
    bytes: Vec<u8>,
    /// Type of each, and where it ends.
    ends: Vec<(HandshakeType, usize)>,
}

impl Flight {
    /// The bytes of these messages.
    fn of(&self, from: usize, to: usize) -> Option<&[u8]> {
        let end = |n: usize| n.checked_sub(1).map_or(Some(0), |n| self.ends.get(n).map(|&(_, end)| end));
        self.bytes.get(end(from)?..end(to)?)
    }

    fn position(&self, kind: HandshakeType) -> Option<usize> {
        self.ends.iter().position(|&(of, _)| of == kind)
    }
}

/// All messages of a handshake. The sides are kept apart, since a capture may store an answer before its question.
#[derive(Debug, Default)]
pub(in crate::evidence) struct Flights {
    sides: PerSide<Flight>,
    /// Some message was not taken.
    broken: bool,
}

impl Flights {
    /// Bytes kept of one handshake. Real ones have some 10 kB.
    const MOST: usize = 256 << 10;

    /// Adds a message.
    pub(in crate::evidence) fn add(&mut self, from: Side, kind: HandshakeType, body: &[u8]) {
        if kind == HandshakeType::HELLO_REQUEST {
            return; // RFC 5246 section 7.4.1.1: not in the hashes
        }
        if self.held() + body.len() > Self::MOST {
            self.broken = true;
        }
        if !self.broken {
            let flight = self.sides.of_mut(from);
            super::transcript::push(&mut flight.bytes, kind, body);
            flight.ends.push((kind, flight.bytes.len()));
        }
    }

    /// Adds a message with its header: of DTLS, whose own is covered (RFC 6347 section 4.2.6).
    pub(in crate::evidence) fn add_framed(&mut self, from: Side, kind: HandshakeType, message: &[u8]) {
        let flight = self.sides.of_mut(from);
        flight.bytes.extend_from_slice(message);
        flight.ends.push((kind, flight.bytes.len()));
    }

    /// Bytes held.
    pub(in crate::evidence) fn held(&self) -> usize {
        self.sides.client.bytes.len() + self.sides.server.bytes.len()
    }

    /// Of a TLS 1.3 handshake: the hash of what this side's message of that type covers (RFC 9846 section 4.4.1). `None`:
    /// not all of it is there.
    pub(in crate::evidence) fn hash_before13(
        &self,
        hash: Hash,
        from: Side,
        kind: HandshakeType,
    ) -> Option<Vec<u8>> {
        let PerSide { client, server } = &self.sides;
        let is = |flight: &Flight, n: usize, kind| flight.ends.get(n).is_some_and(|&(of, _)| of == kind);
        let hello = HandshakeType::CLIENT_HELLO;
        let retried = is(server, 1, HandshakeType::SERVER_HELLO);
        let hellos = if retried { 2 } else { 1 };
        if self.broken
            || !(0..hellos).all(|n| is(client, n, hello))
            || is(client, hellos, hello)
            || !is(server, hellos - 1, HandshakeType::SERVER_HELLO)
        {
            return None;
        }
        let first = if retried {
            let mut message = vec![254, 0, 0, u8::try_from(hash.len()).ok()?];
            message.extend(hash.digest(&[client.of(0, 1)?]));
            [&message, server.of(0, 1)?, client.of(1, 2)?].concat()
        } else {
            client.of(0, 1)?.to_vec()
        };
        let (by_server, by_client): (&[u8], &[u8]) = match from {
            Side::Server => (server.of(hellos - 1, server.position(kind)?)?, &[]),
            Side::Client => {
                let finished = server.position(HandshakeType::FINISHED)? + 1;
                let messages = client.ends.get(hellos..)?;
                let before = messages.iter().position(|&(of, _)| of == kind)? + hellos;
                (server.of(hellos - 1, finished)?, client.of(hellos, before)?)
            }
        };
        Some(hash.digest(&[&first, by_server, by_client]))
    }

    /// Of a handshake before TLS 1.3: what this side's Finished covers (RFC 5246 section 7.4.9). `None`: not all of it is
    /// there.
    pub(in crate::evidence) fn before_finished12(&self, from: Side) -> Option<Vec<&[u8]>> {
        let PerSide { client, server } = &self.sides;
        if self.broken
            || client.position(HandshakeType::CLIENT_HELLO)? != 0
            || server.position(HandshakeType::SERVER_HELLO)? != 0
        {
            return None;
        }
        let finished = |flight: &Flight| flight.position(HandshakeType::FINISHED);
        let hello = client.of(0, 1)?;
        let full = server.position(HandshakeType::SERVER_HELLO_DONE).map(|done| done + 1);
        Some(match (full, from) {
            (Some(done), Side::Client) => vec![hello, server.of(0, done)?, client.of(1, finished(client)?)?],
            (Some(done), Side::Server) => vec![
                hello,
                server.of(0, done)?,
                client.of(1, finished(client)? + 1)?,
                server.of(done, finished(server)?)?,
            ],
            (None, Side::Server) => vec![hello, server.of(0, finished(server)?)?],
            (None, Side::Client) => {
                vec![hello, server.of(0, finished(server)? + 1)?, client.of(1, finished(client)?)?]
            }
        })
    }
}
