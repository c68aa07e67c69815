//! Says what datagrams of QUIC hold, for a ladder of packets.

use smallvec::SmallVec;

use super::{Keys, opened_as_first};
use crate::base::{PacketNo, PerSide, Side, Stamp};
use crate::decode::Datagram;
use crate::tls::quic::crypto::Stream;
use crate::tls::quic::frames::{Close, Frame, frames};
use crate::tls::quic::header::{Kind, Long, Packet, packets};

/// Says what datagrams hold.
#[derive(Debug, Default)]
pub struct Teller {
    keys: SmallVec<[Box<Keys>; 1]>,
    crypto: PerSide<Stream>,
    one_rtt: PerSide<bool>,
}

impl Teller {
    /// Bytes of handshake messages kept at once.
    const MOST: usize = 1 << 16;
    /// Keys at once.
    const KEYS: usize = 4;

    /// What one datagram holds, such as `Initial[ClientHello]`. Of 1-RTT packets only the first of each side is more than
    /// its kind.
    pub(in super::super) fn say(&mut self, datagram: &Datagram<'_>, from: Side) -> Vec<String> {
        let mut room = Vec::new();
        packets(datagram.payload)
            .map(|packet| match packet {
                Packet::Long(long) => match long.kind {
                    Kind::Initial => self.initial(&long, from, &mut room),
                    Kind::ZeroRtt => "0-RTT".to_owned(),
                    Kind::Handshake => "Handshake".to_owned(),
                },
                Packet::Retry { .. } => "Retry".to_owned(),
                Packet::Negotiation { versions, .. } => {
                    let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
                    format!("Version Negotiation[{}]", versions.join(", "))
                }
                Packet::Unknown(version) => format!("QUIC {version}"),
                Packet::Short(_) => {
                    *self.one_rtt.of_mut(from) = true;
                    "1-RTT".to_owned()
                }
            })
            .collect()
    }

    fn initial(&mut self, packet: &Long<'_>, from: Side, room: &mut Vec<u8>) -> String {
        if from == Side::Client
            && !self.keys.iter().any(|keys| keys.fits(packet))
            && self.keys.len() < Self::KEYS
            && let Some(keys) = opened_as_first(packet)
        {
            if self.keys.first().is_some_and(|former| former.version != keys.version) {
                self.crypto = PerSide::default();
            }
            self.keys.insert(0, keys);
        }
        if let Some(first) = self.keys.first()
            && first.version != packet.version
            && self.keys.len() < Self::KEYS
            && let Some(keys) = Keys::new(packet.version, first.destination)
        {
            self.keys.push(Box::new(keys));
        }
        let mut keys = self.keys.iter_mut().filter(|keys| keys.version == packet.version);
        let opened = keys.find_map(|keys| keys.open(from, packet, room));
        let Some(payload) = opened.and_then(|payload| room.get(payload)) else {
            return "Initial".to_owned();
        };
        let mut words: Vec<String> = Vec::new();
        let (mut crypto, mut fresh) = (false, false);
        for frame in frames(payload, packet.version) {
            match frame {
                Frame::Crypto { offset, data } => {
                    crypto = true;
                    let stream = self.crypto.of_mut(from);
                    fresh |= stream.push(offset, data, PacketNo::default(), Stamp(0), Self::MOST);
                }
                Frame::Close(close) => words.push(match Close::alert(close.code) {
                    Some(alert) => format!("CONNECTION_CLOSE: alert {alert}"),
                    None => format!("CONNECTION_CLOSE: {:#x}", close.code),
                }),
                Frame::Other => {}
            }
        }
        while let Some(message) = self.crypto.of_mut(from).message() {
            words.insert(0, message.kind.to_string());
        }
        if words.is_empty() {
            let word = match (crypto, fresh) {
                (true, true) => "part of a message",
                (true, false) => "the same again",
                (false, _) => "ACK",
            };
            words.push(word.to_owned());
        }
        format!("Initial[{}]", words.join(", "))
    }
}
