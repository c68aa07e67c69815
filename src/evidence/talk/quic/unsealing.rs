//! Handshake packets for which there may be keys (RFC 9001 section 5.1): kept until the keys are found, then opened.
//!
//! What they hold becomes facts as clear messages do. Packets of 1-RTT are never kept.

use std::sync::Arc;

use super::facts::QuicFacts;
use crate::base::{Limits, PacketNo, PerSide, Seen, Side, Stamp};
use crate::evidence::attempt::Parse;
use crate::evidence::attempt::unsealed::{By, Unsealed};
use crate::evidence::attempt::waiting::Waiting;
use crate::evidence::decryption::{HadKeys, Held};
use crate::evidence::{Chain, Evidence};
use crate::tls::codes::AlertDescription;
use crate::tls::keys::{Keys, Secret, Secrets};
use crate::tls::quic::crypto::{Message, Stream};
use crate::tls::quic::frames::{Close, Frame, frames};
use crate::tls::quic::header::{Long, Packet, packets};
use crate::tls::quic::protection::PacketKey;

/// A Handshake packet.
#[derive(Debug)]
struct Sealed {
    from: Side,
    bytes: Vec<u8>,
    no: PacketNo,
    when: Stamp,
}

/// Handshake packets, and what opens them.
#[derive(Debug)]
pub(super) struct Unsealing {
    keys: Keys,
    waiting: Waiting<Sealed>,
    secrets: Option<Arc<Secrets>>,
    openers: PerSide<Option<PacketKey>>,
    largest: PerSide<Option<u64>>,
    crypto: PerSide<Stream>,
    pub unsealed: Unsealed,
    limit: usize,
}

impl Unsealing {
    /// Most packets that wait for keys.
    const MOST: usize = 64;

    pub fn new(keys: Keys, limits: &Limits) -> Self {
        Self {
            keys,
            waiting: Waiting::new(Self::MOST, limits.bytes_per_side),
            secrets: None,
            openers: PerSide::default(),
            largest: PerSide::default(),
            crypto: PerSide::default(),
            unsealed: Unsealed::default(),
            limit: limits.bytes_per_side,
        }
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.waiting.held()
            + self.unsealed.flights.held()
            + self.crypto.client.held()
            + self.crypto.server.held()
    }

    /// Keeps a packet until there are keys.
    pub fn keep(&mut self, packet: &Long<'_>, from: Side, no: PacketNo, when: Stamp) {
        if packet.whole && !self.waiting.gave_up() {
            let sealed = Sealed { from, bytes: packet.bytes.to_vec(), no, when };
            self.waiting.push(sealed, packet.bytes.len());
        }
    }

    /// Looks for the keys as known before packet `at`; whether there are any. `late`: one side's will do.
    fn find(&mut self, facts: &QuicFacts, e: &mut Evidence, at: PacketNo, late: bool) -> bool {
        if self.secrets.is_some() {
            return true;
        }
        let (Some(hello), Some(server)) = (&e.hello, &e.server_hello) else { return false };
        let Some(secrets) = self.keys.find(&hello.value.random, at) else { return false };
        let both = secrets.client_handshake.is_some() && secrets.server_handshake.is_some();
        if !both && !late {
            return false;
        }
        let suite = server.value.cipher;
        let opener =
            |secret: &Option<Secret>| PacketKey::new(suite, secret.as_ref()?.expose(), facts.version);
        self.openers =
            PerSide { client: opener(&secrets.client_handshake), server: opener(&secrets.server_handshake) };
        let any = self.openers.client.is_some() || self.openers.server.is_some();
        if secrets.client_handshake.is_some() || secrets.server_handshake.is_some() {
            e.decryption.keys = if any { HadKeys::Found } else { HadKeys::Unsupported };
        }
        self.secrets = any.then_some(secrets);
        any
    }

    /// Opens what waits, if there are keys by now. Whether a side closed. `late`: it ends here.
    pub fn open(
        &mut self,
        facts: &mut QuicFacts,
        e: &mut Evidence,
        late: bool,
        parser: &mut impl Parse,
    ) -> bool {
        let Some(last) = self.waiting.last().map(|sealed| sealed.no) else { return false };
        let at = if late { e.last.max(last) } else { last };
        if !self.find(facts, e, at, late) {
            return false;
        }
        let mut closes = false;
        let mut room = Vec::new();
        for Sealed { from, bytes, no, when } in self.waiting.take() {
            let Some(Packet::Long(long)) = packets(&bytes).next() else { continue };
            let largest = self.largest.of_mut(from);
            let opened = self.openers.of(from).as_ref().map(|key| key.open(&long, *largest, &mut room));
            match opened {
                None => {}
                Some(None) => {
                    e.decryption.failed += 1;
                    e.decryption.note(from, no, Held::Damaged);
                }
                Some(Some((number, payload))) => {
                    *largest = (*largest).max(Some(number));
                    e.decryption.opened += 1;
                    let payload = room.get(payload).unwrap_or_default();
                    for frame in frames(payload, long.version) {
                        match frame {
                            Frame::Crypto { offset, data } => {
                                let stream = self.crypto.of_mut(from);
                                stream.push(offset, data, no, when, self.limit);
                            }
                            Frame::Close(close) => {
                                closes = true;
                                if let Some(alert) = Close::alert(close.code) {
                                    e.decryption.note(from, no, Held::Alert(AlertDescription(alert)));
                                }
                                super::closed(facts, e, close, from, (no, when), true);
                            }
                            Frame::Other => {}
                        }
                    }
                }
            }
            while let Some(message) = self.crypto.of_mut(from).message() {
                self.message(e, message, from, parser);
            }
        }
        closes
    }

    fn message(&mut self, e: &mut Evidence, message: Message, from: Side, parser: &mut impl Parse) {
        let (kind, body) = (message.kind, message.body());
        self.unsealed.note(e, from, kind, body, &message.at);
        let seen = Seen { value: (), at: message.at.clone(), when: message.when };
        self.unsealed.take13(e, from, kind, body, seen, self.limit, parser);
    }

    /// What the messages of both sides tell once all are there, and whether the server's chain was cut.
    pub fn conclude(&self, e: &mut Evidence) {
        if self.waiting.last().is_some() {
            e.keys_were_absent();
        }
        if let Some(secrets) = &self.secrets {
            self.unsealed.conclude(e, &By::Secrets(secrets));
        }
        if self.openers.server.is_some()
            && let Chain::Sealed(at) = &e.chain
            && self.crypto.server.is_waiting()
        {
            e.chain = Chain::Cut(at.clone());
        }
    }
}
