//! Records of TLS 1.0 to 1.2 (RFC 5246 section 6.2.3, RFC 5288, RFC 6655, RFC 7366, RFC 7905), and of DTLS 1.0 and 1.2
//! (RFC 6347 section 4.1.2).

use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, hmac};
use md5::{Digest as _, Md5};
use zeroize::{Zeroize as _, Zeroizing};

use super::Secret;
use super::aead::{Aead, Algorithm, nonce};
use crate::base::{PerSide, Side};
use crate::tls::codes::{Bulk, CipherSuite, Version};
use crate::tls::hello::{ClientHello, ServerHello};

/// Secrets of a session and what was agreed.
#[derive(Clone, Debug)]
pub struct Session {
    /// The master secret.
    pub master: Secret,
    /// The suite.
    pub suite: CipherSuite,
    /// TLS 1.0 to 1.2; of DTLS the version of TLS with the same rules.
    pub version: Version,
    /// The hellos' randoms.
    pub randoms: PerSide<[u8; 32]>,
    /// Encrypt-then-MAC was agreed (RFC 7366).
    pub encrypt_then_mac: bool,
}

/// A record as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// Its content type.
    pub content_type: u8,
    /// The version in its header.
    pub version: Version,
    /// What stands behind the header.
    pub body: &'a [u8],
}

/// How records are protected.
enum Protection {
    Aead { aead: Aead, explicit: usize, iv: [u8; 12] },
    Cbc(Box<Cbc>),
}

/// AES in CBC mode with its MAC.
struct Cbc {
    key: DecryptingKey,
    mac: hmac::Key,
    encrypt_then_mac: bool,
    /// In TLS 1.0, the last block of the record before.
    chained: Option<[u8; BLOCK]>,
}

/// Opens the records of one direction, in order.
pub struct Opener {
    protection: Protection,
    /// Number of the next record.
    number: u64,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Bytes of an AES block.
const BLOCK: usize = 16;

/// Most bytes of keys: two MACs of SHA-384, two keys of 32, two IVs of 16.
const KEY_BLOCK: usize = 2 * (48 + 32 + 16);

/// The key and the hash of a CBC suite's name: key bytes, MAC.
fn cbc(suite: CipherSuite) -> Option<(usize, hmac::Algorithm)> {
    let name = suite.name()?;
    let key_len = match () {
        () if name.contains("AES_128_CBC") => 16,
        () if name.contains("AES_256_CBC") => 32,
        () => return None,
    };
    let mac = match name.rsplit('_').next()? {
        "SHA" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "SHA256" => hmac::HMAC_SHA256,
        "SHA384" => hmac::HMAC_SHA384,
        _ => return None,
    };
    Some((key_len, mac))
}

impl Session {
    /// What these hellos agreed on.
    pub fn new(master: Secret, hello: &ClientHello, server: &ServerHello) -> Self {
        Self {
            master,
            suite: server.cipher,
            version: server.version.of_tls(),
            randoms: PerSide { client: hello.random, server: server.random },
            encrypt_then_mac: server.encrypt_then_mac,
        }
    }

    /// What opens the records behind each side's ChangeCipherSpec. `None`: the suite or the version is not supported.
    pub fn openers(&self) -> Option<PerSide<Opener>> {
        if !(Version::TLS10..=Version::TLS12).contains(&self.version) {
            return None;
        }
        let (mac_len, key_len, iv_len) = match self.suite.bulk()? {
            Bulk::Aead { explicit, .. } => (0, Algorithm::of(self.suite)?.key_len(), 12 - explicit),
            Bulk::Cbc { block: BLOCK, mac } => {
                // RFC 5246 section 6.3: from TLS 1.1 on records bring their own.
                let iv = if self.version == Version::TLS10 { BLOCK } else { 0 };
                (mac, cbc(self.suite)?.0, iv)
            }
            Bulk::Cbc { .. } | Bulk::Stream { .. } => return None,
        };
        let PerSide { client, server } = &self.randoms;
        let mut block = Zeroizing::new([0; KEY_BLOCK]);
        let block = block.get_mut(..2 * (mac_len + key_len + iv_len))?;
        self.prf(b"key expansion", &[server.as_slice(), client].concat(), block)?;
        let (macs, rest) = block.split_at_checked(2 * mac_len)?;
        let (keys, ivs) = rest.split_at_checked(2 * key_len)?;
        let half = |of: &'_ [u8], side| -> Option<Zeroizing<Vec<u8>>> {
            let (client, server) = of.split_at_checked(of.len() / 2)?;
            Some(Zeroizing::new(if side == Side::Client { client } else { server }.to_vec()))
        };
        let opener = |side| {
            Some(Opener {
                protection: self.protection(&half(macs, side)?, &half(keys, side)?, &half(ivs, side)?)?,
                number: 0,
            })
        };
        Some(PerSide { client: opener(Side::Client)?, server: opener(Side::Server)? })
    }

    fn protection(&self, mac: &[u8], key: &[u8], fixed: &[u8]) -> Option<Protection> {
        Some(match self.suite.bulk()? {
            Bulk::Aead { explicit, .. } => {
                let mut iv = [0; 12];
                iv.get_mut(..fixed.len())?.copy_from_slice(fixed);
                Protection::Aead { aead: Aead::new(Algorithm::of(self.suite)?, key)?, explicit, iv }
            }
            _ => {
                let algorithm = if key.len() == 16 { &cipher::AES_128 } else { &cipher::AES_256 };
                Protection::Cbc(Box::new(Cbc {
                    key: DecryptingKey::cbc(UnboundCipherKey::new(algorithm, key).ok()?).ok()?,
                    mac: hmac::Key::new(cbc(self.suite)?.1, mac),
                    encrypt_then_mac: self.encrypt_then_mac,
                    chained: fixed.try_into().ok(),
                }))
            }
        })
    }

    /// The `verify_data` of a side's Finished, over all handshake messages before it (RFC 5246 section 7.4.9). `None`: not
    /// supported.
    pub fn verify_data(&self, side: Side, messages: &[&[u8]]) -> Option<[u8; 12]> {
        let label: &[u8] = if side == Side::Client { b"client finished" } else { b"server finished" };
        let hash = if self.version == Version::TLS12 {
            super::tls13::Hash::of(self.suite)?.digest(messages)
        } else {
            let mut md5 = Md5::new();
            messages.iter().for_each(|message| md5.update(message));
            let sha1 =
                aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &messages.concat());
            [md5.finalize().as_slice(), sha1.as_ref()].concat()
        };
        let mut data = [0; 12];
        self.prf(label, &hash, &mut data)?;
        Some(data)
    }

    /// The pseudorandom function (RFC 5246 section 5; RFC 4346 section 5).
    fn prf(&self, label: &[u8], seed: &[u8], out: &mut [u8]) -> Option<()> {
        let seed = [label, seed].concat();
        let secret = self.master.expose();
        if self.version == Version::TLS12 {
            let hash = match super::tls13::Hash::of(self.suite)? {
                super::tls13::Hash::Sha256 => hmac::HMAC_SHA256,
                super::tls13::Hash::Sha384 => hmac::HMAC_SHA384,
            };
            let key = hmac::Key::new(hash, secret);
            p_hash(&|parts| keyed(&key, parts), &seed, out);
            return Some(());
        }
        // The two halves overlap by a byte where the length is odd.
        let half = secret.len().div_ceil(2);
        let (first, second) = (secret.get(..half)?, secret.get(secret.len() - half..)?);
        p_hash(&|parts| hmac_md5(first, parts), &seed, out);
        let mut other = Zeroizing::new(vec![0; out.len()]);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, second);
        p_hash(&|parts| keyed(&key, parts), &seed, &mut other);
        out.iter_mut().zip(other.iter()).for_each(|(byte, other)| *byte ^= other);
        Some(())
    }
}

/// HMAC-MD5 (RFC 2104) with a key of at most 64 bytes.
fn hmac_md5(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = Zeroizing::new([with; 64]);
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let mut inner = Md5::new_with_prefix(pad(0x36).as_slice());
    parts.iter().for_each(|part| inner.update(part));
    Md5::new_with_prefix(pad(0x5c).as_slice()).chain_update(inner.finalize()).finalize().to_vec()
}

/// P_hash (RFC 5246 section 5).
fn p_hash(hmac: &dyn Fn(&[&[u8]]) -> Vec<u8>, seed: &[u8], out: &mut [u8]) {
    let mut a = hmac(&[seed]);
    let mut rest = out;
    while !rest.is_empty() {
        let mut block = hmac(&[&a, seed]);
        let n = block.len().min(rest.len());
        let (now, later) = rest.split_at_mut(n);
        now.iter_mut().zip(&block).for_each(|(byte, from)| *byte = *from);
        block.zeroize();
        a = hmac(&[&a]);
        rest = later;
    }
}

impl Opener {
    /// Opens the next record. `None`: it does not verify; its number is not used up.
    pub fn open(&mut self, record: Sealed<'_>) -> Option<Zeroizing<Vec<u8>>> {
        self.open_ahead(record, 0)
    }

    /// Opens the record of this number: of DTLS epoch and sequence number of its header in one (RFC 6347 section 4.1.2.1).
    pub fn open_at(&self, number: u64, record: Sealed<'_>) -> Option<Zeroizing<Vec<u8>>> {
        self.protection.open(number, record)
    }

    /// As [`Self::open`], where up to `most` records may have been lost before it.
    pub fn open_ahead(&mut self, record: Sealed<'_>, most: u64) -> Option<Zeroizing<Vec<u8>>> {
        let (number, plain) = (self.number..=self.number.saturating_add(most))
            .find_map(|number| Some((number, self.protection.open(number, record)?)))?;
        self.number = number;
        self.skip(record.body);
        Some(plain)
    }

    /// A record went by that is not to be opened, or does not verify.
    pub fn skip(&mut self, body: &[u8]) {
        self.number = self.number.saturating_add(1);
        if let Protection::Cbc(cbc) = &mut self.protection
            && let Some(last) = cbc.last_block(body)
            && let Some(chained) = &mut cbc.chained
        {
            *chained = last;
        }
    }
}

impl Cbc {
    /// The last block of a record's ciphertext, behind which an encrypt-then-MAC may stand.
    fn last_block(&self, body: &[u8]) -> Option<[u8; BLOCK]> {
        let tag = if self.encrypt_then_mac { self.mac.algorithm().tag_len() } else { 0 };
        body.get(..body.len().checked_sub(tag)?)?.last_chunk().copied()
    }
}

impl Protection {
    fn open(&self, number: u64, record: Sealed<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let Sealed { content_type, version, body } = record;
        match self {
            Self::Aead { aead, explicit, iv } => {
                let (own, sealed) = body.split_at_checked(*explicit)?;
                let nonce = if *explicit == 0 {
                    nonce(*iv, number)
                } else {
                    let mut nonce = *iv;
                    nonce.get_mut(12 - explicit..)?.copy_from_slice(own);
                    nonce
                };
                let len = sealed.len().checked_sub(aead.tag_len())?;
                aead.open(nonce, &pseudo_header(number, content_type, version, len)?, sealed)
            }
            Self::Cbc(cbc) => {
                let Cbc { key, mac, encrypt_then_mac, chained } = &**cbc;
                let mac_len = mac.algorithm().tag_len();
                let whole = body;
                let (body, tag) = if *encrypt_then_mac {
                    whole.split_at_checked(whole.len().checked_sub(mac_len)?)?
                } else {
                    (whole, &[][..])
                };
                if *encrypt_then_mac {
                    // RFC 7366 section 3: the MAC covers the IV as well.
                    let header = pseudo_header(number, content_type, version, body.len())?;
                    let made = keyed(mac, &[&header, body]);
                    constant_time::verify_slices_are_equal(&made, tag).ok()?;
                }
                let (iv, sealed) = match chained {
                    Some(iv) => (*iv, body),
                    None => {
                        let (iv, sealed) = body.split_first_chunk::<BLOCK>()?;
                        (*iv, sealed)
                    }
                };
                if sealed.is_empty() || sealed.len() % BLOCK != 0 {
                    return None;
                }
                let mut plain = Zeroizing::new(sealed.to_vec());
                key.decrypt(&mut plain, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?;
                let padding = usize::from(*plain.last()?);
                let end = plain.len().checked_sub(padding + 1)?;
                if !plain.get(end..)?.iter().all(|&byte| usize::from(byte) == padding) {
                    return None;
                }
                plain.truncate(end);
                if !encrypt_then_mac {
                    let len = plain.len().checked_sub(mac_len)?;
                    let (content, tag) = plain.split_at_checked(len)?;
                    let header = pseudo_header(number, content_type, version, len)?;
                    constant_time::verify_slices_are_equal(&keyed(mac, &[&header, content]), tag).ok()?;
                    plain.truncate(len);
                }
                Some(plain)
            }
        }
    }
}

fn keyed(key: &hmac::Key, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().to_vec()
}

/// What is authenticated beside the content (RFC 5246 sections 6.2.3.1 and 6.2.3.3).
fn pseudo_header(number: u64, content_type: u8, version: Version, len: usize) -> Option<[u8; 13]> {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    let ([major, minor], [high, low]) = (version.0.to_be_bytes(), u16::try_from(len).ok()?.to_be_bytes());
    Some([a, b, c, d, e, f, g, h, content_type, major, minor, high, low])
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::aead;

    use super::*;

    /// Seals content by ChaCha20-Poly1305, as this side does.
    pub(crate) fn seal(
        session: &Session,
        side: Side,
        number: u64,
        content_type: u8,
        version: Version,
        content: &[u8],
    ) -> Vec<u8> {
        let mut block = [0; 2 * (32 + 12)];
        let PerSide { client, server } = &session.randoms;
        session.prf(b"key expansion", &[server.as_slice(), client].concat(), &mut block).unwrap();
        let (keys, ivs) = block.split_at(2 * 32);
        let at = usize::from(side == Side::Server);
        let key = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, &keys[at * 32..][..32]).unwrap();
        let iv = ivs[at * 12..][..12].try_into().unwrap();
        let header = pseudo_header(number, content_type, version, content.len()).unwrap();
        let (nonce, mut sealed) = (nonce(iv, number), content.to_vec());
        aead::LessSafeKey::new(key)
            .seal_in_place_append_tag(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(header),
                &mut sealed,
            )
            .unwrap();
        sealed
    }

    #[test]
    fn a_record_of_dtls_opens_by_the_number_that_it_bears_and_in_any_order() {
        let session = session(0xcca9, Version::TLS12, false);
        let openers = session.openers().unwrap();
        for number in [1 << 48 | 7, 1 << 48, 1 << 48 | 3] {
            let sealed = seal(&session, Side::Server, number, 22, Version::DTLS12, b"Finished");
            let open = |number, version| {
                openers.server.open_at(number, Sealed { content_type: 22, version, body: &sealed })
            };
            assert_eq!(open(number, Version::DTLS12).unwrap().as_slice(), b"Finished");
            assert!(open(number + 1, Version::DTLS12).is_none() && open(number, Version::TLS12).is_none());
        }
    }

    #[test]
    fn hmac_md5_is_that_of_rfc_2202() {
        let made = hmac_md5(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(made, b"\x75\x0c\x78\x3e\x6a\xb0\xb5\x03\xea\xa8\x6e\x31\x0a\x5d\xb7\x38");
    }

    fn session(suite: u16, version: Version, encrypt_then_mac: bool) -> Session {
        Session {
            master: Secret::new(&[5; 48]).unwrap(),
            suite: CipherSuite(suite),
            version,
            randoms: PerSide { client: [1; 32], server: [2; 32] },
            encrypt_then_mac,
        }
    }

    #[test]
    fn what_is_supported_is_said() {
        for (suite, version, has) in [
            (0xc02f, Version::TLS12, true),
            (0xcca8, Version::TLS12, true),
            (0xc0ae, Version::TLS12, true),
            (0xc028, Version::TLS12, true),
            (0x002f, Version::TLS10, true),
            (0x000a, Version::TLS12, false),
            (0x0005, Version::TLS12, false),
            (0x0041, Version::TLS12, false),
            (0x002f, Version::SSL3, false),
        ] {
            assert_eq!(session(suite, version, false).openers().is_some(), has, "{suite:#06x} {version}");
        }
    }

    #[test]
    fn a_short_or_foreign_record_opens_nothing() {
        for (suite, etm) in [(0xc02f, false), (0xcca8, false), (0x002f, false), (0x002f, true)] {
            let mut openers = session(suite, Version::TLS12, etm).openers().unwrap();
            for len in 0..100 {
                let body = vec![9; len];
                let record = Sealed { content_type: 22, version: Version::TLS12, body: &body };
                assert!(openers.client.open(record).is_none());
            }
        }
    }
}
