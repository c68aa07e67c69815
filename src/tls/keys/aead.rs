//! Authenticated ciphers of TLS 1.2, TLS 1.3 and QUIC, for opening only.

use aes::{Aes128, Aes256};
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ccm::aead::consts::{U8, U12, U16};
use ccm::aead::{AeadInOut as _, KeyInit as _};
use ccm::{Ccm, Tag};
use zeroize::Zeroizing;

use crate::tls::codes::CipherSuite;

/// What a suite's records are sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// AES-128-GCM.
    Aes128Gcm,
    /// AES-256-GCM.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
    /// AES-128-CCM.
    Aes128Ccm,
    /// AES-128-CCM with a tag of 8 bytes.
    Aes128Ccm8,
    /// AES-256-CCM.
    Aes256Ccm,
    /// AES-256-CCM with a tag of 8 bytes.
    Aes256Ccm8,
}

impl Algorithm {
    /// The suite's; `None` where it has none that is supported here.
    pub fn of(suite: CipherSuite) -> Option<Self> {
        let name = suite.name()?;
        let has = |part: &str| name.contains(part);
        Some(match () {
            () if has("AES_128_GCM") => Self::Aes128Gcm,
            () if has("AES_256_GCM") => Self::Aes256Gcm,
            () if has("CHACHA20_POLY1305") => Self::ChaCha20Poly1305,
            () if has("AES_128_CCM_8") => Self::Aes128Ccm8,
            () if has("AES_256_CCM_8") => Self::Aes256Ccm8,
            () if has("AES_128_CCM") => Self::Aes128Ccm,
            () if has("AES_256_CCM") => Self::Aes256Ccm,
            () => return None,
        })
    }

    /// Bytes of its key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes128Ccm | Self::Aes128Ccm8 => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::Aes256Ccm | Self::Aes256Ccm8 => 32,
        }
    }

    /// Bytes of its tag.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Aes128Ccm8 | Self::Aes256Ccm8 => 8,
            _ => 16,
        }
    }
}

/// A cipher with its key.
pub struct Aead(Cipher);

enum Cipher {
    Aws(LessSafeKey),
    Ccm128(Box<Ccm<Aes128, U16, U12>>),
    Ccm128Short(Box<Ccm<Aes128, U8, U12>>),
    Ccm256(Box<Ccm<Aes256, U16, U12>>),
    Ccm256Short(Box<Ccm<Aes256, U8, U12>>),
}

impl std::fmt::Debug for Aead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Aead")
    }
}

impl Aead {
    /// `None`: the key has another length than the algorithm's.
    pub fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        let aws = |algorithm| Some(Cipher::Aws(LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?)));
        let cipher = match algorithm {
            Algorithm::Aes128Gcm => aws(&aead::AES_128_GCM),
            Algorithm::Aes256Gcm => aws(&aead::AES_256_GCM),
            Algorithm::ChaCha20Poly1305 => aws(&aead::CHACHA20_POLY1305),
            Algorithm::Aes128Ccm => Ccm::new_from_slice(key).ok().map(|ccm| Cipher::Ccm128(Box::new(ccm))),
            Algorithm::Aes128Ccm8 => {
                Ccm::new_from_slice(key).ok().map(|ccm| Cipher::Ccm128Short(Box::new(ccm)))
            }
            Algorithm::Aes256Ccm => Ccm::new_from_slice(key).ok().map(|ccm| Cipher::Ccm256(Box::new(ccm))),
            Algorithm::Aes256Ccm8 => {
                Ccm::new_from_slice(key).ok().map(|ccm| Cipher::Ccm256Short(Box::new(ccm)))
            }
        };
        cipher.map(Self)
    }

    /// Bytes of its tag.
    pub const fn tag_len(&self) -> usize {
        match &self.0 {
            Cipher::Ccm128Short(_) | Cipher::Ccm256Short(_) => 8,
            _ => 16,
        }
    }

    /// The plain bytes of a body with its tag at the end. `None`: it does not verify.
    pub fn open(&self, nonce: [u8; 12], aad: &[u8], body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (sealed, tag) = body.split_at_checked(body.len().checked_sub(self.tag_len())?)?;
        let mut plain = Zeroizing::new(vec![0; sealed.len()]);
        macro_rules! ccm {
            ($ccm:expr) => {{
                plain.copy_from_slice(sealed);
                let tag = Tag::try_from(tag).ok()?;
                $ccm.decrypt_inout_detached(&nonce.into(), aad, plain.as_mut_slice().into(), &tag).ok()?;
            }};
        }
        match &self.0 {
            Cipher::Aws(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_separate_gather(nonce, Aad::from(aad), sealed, tag, &mut plain).ok()?;
            }
            Cipher::Ccm128(ccm) => ccm!(ccm),
            Cipher::Ccm128Short(ccm) => ccm!(ccm),
            Cipher::Ccm256(ccm) => ccm!(ccm),
            Cipher::Ccm256Short(ccm) => ccm!(ccm),
        }
        Some(plain)
    }
}

/// The nonce of a record or packet: its number exclusive-or the connection's (RFC 9846 section 5.3).
pub fn nonce(mut iv: [u8; 12], number: u64) -> [u8; 12] {
    for (byte, number) in iv.iter_mut().skip(4).zip(number.to_be_bytes()) {
        *byte ^= number;
    }
    iv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_opens_what_it_sealed_and_nothing_else() {
        let (nonce, aad) = ([7; 12], b"header");
        for (suite, tag) in [(0x1304, 16), (0x1305, 8), (0xc0a3, 8), (0xc09f, 16)] {
            let algorithm = Algorithm::of(CipherSuite(suite)).unwrap();
            assert_eq!(algorithm.tag_len(), tag);
            let key = vec![3; algorithm.key_len()];
            let mut sealed = b"some content".to_vec();
            macro_rules! seal {
                ($cipher:ty, $tag:ty) => {{
                    let ccm = Ccm::<$cipher, $tag, U12>::new_from_slice(&key).unwrap();
                    let tag =
                        ccm.encrypt_inout_detached(&nonce.into(), aad, sealed.as_mut_slice().into()).unwrap();
                    sealed.extend_from_slice(&tag);
                }};
            }
            match algorithm {
                Algorithm::Aes128Ccm => seal!(Aes128, U16),
                Algorithm::Aes128Ccm8 => seal!(Aes128, U8),
                Algorithm::Aes256Ccm => seal!(Aes256, U16),
                _ => seal!(Aes256, U8),
            }
            let aead = Aead::new(algorithm, &key).unwrap();
            assert_eq!(aead.open(nonce, aad, &sealed).unwrap().as_slice(), b"some content");
            sealed[2] ^= 1;
            assert!(aead.open(nonce, aad, &sealed).is_none());
            assert!(aead.open(nonce, aad, &sealed[..7]).is_none(), "shorter than its tag");
            assert!(Aead::new(algorithm, &key[1..]).is_none());
        }
    }
}
