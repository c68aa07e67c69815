//! Packet protection (RFC 9001 section 5): keys from secrets, header protection taken off, payloads opened.

use std::ops::Range;

use aws_lc_rs::aead::quic::{self, HeaderProtectionKey};
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, HKDF_SHA384, Prk, Salt};

use super::QuicVersion;
use super::header::{Cid, Long};
use crate::base::PerSide;
use crate::tls::codes::CipherSuite;

/// The keys of one side at one level of encryption.
pub struct PacketKey {
    payload: LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    header: HeaderProtectionKey,
}

/// Keys are shown to nobody.
impl std::fmt::Debug for PacketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PacketKey")
    }
}

/// Bytes to derive.
struct Bytes(usize);

impl hkdf::KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label without context (RFC 9846 section 7.1).
fn expand_label(secret: &Prk, label: &str, out: &mut [u8]) -> Option<()> {
    let len = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_len = u8::try_from(6 + label.len()).ok()?;
    let info: [&[u8]; 5] = [&len, &[label_len], b"tls13 ", label.as_bytes(), &[0]];
    secret.expand(&info, Bytes(out.len())).ok()?.fill(out).ok()
}

impl PacketKey {
    /// From a secret of this suite (RFC 9001 section 5.1; labels of version 2: RFC 9369 section 3.3.2). `None`: no suite of
    /// QUIC, or a secret of another length.
    pub fn new(suite: CipherSuite, secret: &[u8], version: QuicVersion) -> Option<Self> {
        let (hash, payload, header) = match suite.0 {
            0x1301 => (HKDF_SHA256, &aead::AES_128_GCM, &quic::AES_128),
            0x1302 => (HKDF_SHA384, &aead::AES_256_GCM, &quic::AES_256),
            0x1303 => (HKDF_SHA256, &aead::CHACHA20_POLY1305, &quic::CHACHA20),
            _ => return None,
        };
        let hash_len = if suite.0 == 0x1302 { 48 } else { 32 };
        if secret.len() != hash_len {
            return None;
        }
        let secret = Prk::new_less_safe(hash, secret);
        let labels = if version == QuicVersion::V2 {
            ["quicv2 key", "quicv2 iv", "quicv2 hp"]
        } else {
            ["quic key", "quic iv", "quic hp"]
        };
        let (mut key, mut iv, mut mask) = ([0; 32], [0; aead::NONCE_LEN], [0; 32]);
        let key = key.get_mut(..payload.key_len())?;
        let mask = mask.get_mut(..header.key_len())?;
        expand_label(&secret, labels[0], key)?;
        expand_label(&secret, labels[1], &mut iv)?;
        expand_label(&secret, labels[2], mask)?;
        Some(Self {
            payload: LessSafeKey::new(UnboundKey::new(payload, key).ok()?),
            iv,
            header: HeaderProtectionKey::new(header, mask).ok()?,
        })
    }

    /// The keys of both sides for Initial packets, from the destination of the client's first (RFC 9001 section 5.2). `None`:
    /// this version has no known salt.
    pub fn initial(version: QuicVersion, destination: &Cid) -> Option<PerSide<Self>> {
        Self::initial_by(version.salt()?, version, destination)
    }

    /// The same where the salt is not the version's own (see [`QuicVersion::other_salt`]).
    pub fn initial_by(salt: &[u8; 20], version: QuicVersion, destination: &Cid) -> Option<PerSide<Self>> {
        const SUITE: CipherSuite = CipherSuite(0x1301);
        let common = Salt::new(HKDF_SHA256, salt).extract(destination.bytes());
        let side = |label| {
            let mut secret = [0; 32];
            expand_label(&common, label, &mut secret)?;
            Self::new(SUITE, &secret, version)
        };
        Some(PerSide { client: side("client in")?, server: side("server in")? })
    }

    /// Opens a packet: its number, and where its payload stands in `room`. `largest`: the greatest number opened before, of
    /// the same side and level. `None`: it is cut, or these are not its keys.
    pub fn open(
        &self,
        packet: &Long<'_>,
        largest: Option<u64>,
        room: &mut Vec<u8>,
    ) -> Option<(u64, Range<usize>)> {
        /// Bytes that a packet number has at most (RFC 9001 section 5.4.2: the sample begins behind so many).
        const NUMBER: usize = 4;
        const SAMPLE: usize = 16;
        if !packet.whole {
            return None;
        }
        let sample_at = packet.number_at.checked_add(NUMBER)?;
        let sample = packet.bytes.get(sample_at..sample_at + SAMPLE)?;
        let [first_mask, number_mask @ ..] = self.header.new_mask(sample).ok()?;
        room.clear();
        room.extend_from_slice(packet.bytes);
        let first = room.first_mut()?;
        *first ^= first_mask & 0x0f;
        let len = usize::from(*first & 3) + 1;
        let mut truncated = 0_u64;
        for (byte, mask) in
            room.get_mut(packet.number_at..packet.number_at + len)?.iter_mut().zip(number_mask)
        {
            *byte ^= mask;
            truncated = truncated << 8 | u64::from(*byte);
        }
        let number = full_number(truncated, len, largest);
        let mut nonce = self.iv;
        for (byte, of_number) in nonce.iter_mut().rev().zip(number.to_be_bytes().iter().rev()) {
            *byte ^= of_number;
        }
        let begins = packet.number_at + len;
        let (header, payload) = room.split_at_mut_checked(begins)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.payload.open_in_place(nonce, Aad::from(&*header), payload).ok()?.len();
        Some((number, begins..begins + opened))
    }
}

#[cfg(test)]
impl PacketKey {
    /// The packet that opens to this payload: `header` without the packet number, which takes one byte; its length field,
    /// two bytes, is written here.
    pub(crate) fn seal(&self, header: &[u8], number: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = header.to_vec();
        let len = 1 + payload.len() + 16;
        bytes.extend([0x40 | (len >> 8) as u8, len as u8]);
        let number_at = bytes.len();
        bytes.push(number);
        let mut nonce = self.iv;
        nonce[11] ^= number;
        let mut sealed = payload.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.payload.seal_in_place_append_tag(nonce, Aad::from(&bytes[..]), &mut sealed).unwrap();
        bytes.extend(sealed);
        let [first, mask @ ..] = self.header.new_mask(&bytes[number_at + 4..number_at + 20]).unwrap();
        bytes[0] ^= first & 0x0f;
        bytes[number_at] ^= mask[0];
        bytes
    }
}

/// The packet number of which `truncated` are the last `len` bytes (RFC 9000 appendix A.3).
fn full_number(truncated: u64, len: usize, largest: Option<u64>) -> u64 {
    let window = 1_u64 << (8 * len);
    let expected = largest.map_or(0, |largest| largest + 1);
    let candidate = expected & !(window - 1) | truncated;
    if candidate + window / 2 <= expected && candidate < (1 << 62) - window {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{Frame, frames};
    use super::super::header::{Packet, packets};
    use super::super::samples::{self, DESTINATION};
    use super::*;
    use crate::tls::samples::bytes;

    fn opened(version: QuicVersion, packet: &str) -> Vec<u8> {
        let keys = PacketKey::initial(version, &Cid::new(&DESTINATION).unwrap()).unwrap();
        let datagram = bytes(packet);
        let Some(Packet::Long(long)) = packets(&datagram).next() else { panic!() };
        let mut room = Vec::new();
        let (number, payload) = keys.server.open(&long, None, &mut room).unwrap();
        assert_eq!(number, 1);
        room[payload].to_vec()
    }

    #[test]
    fn the_server_s_initial_of_each_version_s_specification_opens() {
        for (version, packet) in
            [(QuicVersion::V1, samples::SERVER_V1), (QuicVersion::V2, samples::SERVER_V2)]
        {
            let payload = opened(version, packet);
            let all: Vec<_> = frames(&payload, version).collect();
            let [Frame::Other, Frame::Crypto { offset: 0, data }] = all[..] else { panic!("{all:?}") };
            assert_eq!((data.len(), data[0]), (90, 2), "a ServerHello");
        }
    }

    #[test]
    fn a_changed_byte_another_side_or_another_connection_does_not_open() {
        let datagram = bytes(samples::SERVER_V1);
        let key = |cid: &[u8]| PacketKey::initial(QuicVersion::V1, &Cid::new(cid).unwrap()).unwrap();
        let opens = |datagram: &[u8], keys: &PacketKey| match packets(datagram).next() {
            Some(Packet::Long(long)) => keys.open(&long, None, &mut Vec::new()).is_some(),
            _ => false,
        };
        let keys = key(&DESTINATION);
        assert!(opens(&datagram, &keys.server));
        assert!(!opens(&datagram, &keys.client));
        assert!(!opens(&datagram, &key(&[1, 2, 3]).server));
        for at in [0, 40, datagram.len() - 1] {
            let mut changed = datagram.clone();
            changed[at] ^= 1;
            assert!(!opens(&changed, &keys.server), "{at}");
        }
        for end in 0..datagram.len() {
            assert!(!opens(&datagram[..end], &keys.server), "{end}");
        }
    }

    #[test]
    fn packet_numbers_are_completed() {
        // RFC 9000 appendix A.3
        assert_eq!(full_number(0x9b32, 2, Some(0xa82f_30ea)), 0xa82f_9b32);
        assert_eq!(full_number(0, 1, None), 0);
        assert_eq!(full_number(1, 1, Some(0xff)), 0x101);
        assert_eq!(full_number(0xff, 1, Some(0x100)), 0xff);
    }

    #[test]
    fn a_suite_that_quic_has_not_or_a_secret_of_another_length_gives_no_key() {
        assert!(PacketKey::new(CipherSuite(0x1303), &[7; 32], QuicVersion::V1).is_some());
        assert!(PacketKey::new(CipherSuite(0x1302), &[7; 32], QuicVersion::V1).is_none());
        assert!(PacketKey::new(CipherSuite(0x1304), &[7; 32], QuicVersion::V1).is_none());
    }
}
