//! Records of TLS 1.3 (RFC 9846 sections 5.2, 5.3 and 7).

use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

use super::Secret;
use super::aead::{Aead, Algorithm, nonce};
use crate::tls::codes::CipherSuite;

/// The hash of a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl Hash {
    /// That of a suite; `None` for those of SM3 and GOST, which are not supported here.
    pub fn of(suite: CipherSuite) -> Option<Self> {
        let name = suite.name()?;
        match suite.hash_len() {
            48 => Some(Self::Sha384),
            32 if !name.ends_with("SM3") && !name.contains("GOST") => Some(Self::Sha256),
            _ => None,
        }
    }

    /// Bytes of a digest.
    #[expect(clippy::len_without_is_empty, reason = "no digest is empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    /// The digest of these bytes, one after another.
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &aws_lc_rs::digest::SHA256,
            Self::Sha384 => &aws_lc_rs::digest::SHA384,
        };
        let mut context = aws_lc_rs::digest::Context::new(algorithm);
        parts.iter().for_each(|part| context.update(part));
        context.finish().as_ref().to_vec()
    }

    /// HMAC of these bytes.
    pub fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec()
    }
}

/// Length of a derived key.
struct Len(usize);

impl hkdf::KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label (RFC 9846 section 7.1) with an empty context, as traffic keys have it; `label` without the prefix
/// `tls13 `. At most 64 bytes. QUIC uses the same (RFC 9001 section 5.1).
pub fn hkdf_expand_label(hash: Hash, secret: &[u8], label: &[u8], len: usize) -> Option<Secret> {
    const PREFIX: &[u8] = b"tls13 ";
    let algorithm = match hash {
        Hash::Sha256 => hkdf::HKDF_SHA256,
        Hash::Sha384 => hkdf::HKDF_SHA384,
    };
    let mut out = Zeroizing::new([0; Secret::MOST]);
    let out = out.get_mut(..len)?;
    let wants = u16::try_from(len).ok()?.to_be_bytes();
    let label_len = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    hkdf::Prk::new_less_safe(algorithm, secret)
        .expand(&[&wants, &label_len, PREFIX, label, &[0]], Len(len))
        .ok()?
        .fill(out)
        .ok()?;
    Secret::new(out)
}

/// What a record holds: the inner content type, and its bytes without padding. Wiped when it goes.
#[derive(Debug)]
pub struct Plain {
    /// 21 alert, 22 handshake, 23 application data.
    pub content_type: u8,
    /// The bytes.
    pub content: Zeroizing<Vec<u8>>,
}

/// Opens the records of one direction under one traffic secret, in order.
#[derive(Debug)]
pub struct Opener {
    hash: Hash,
    algorithm: Algorithm,
    secret: Secret,
    aead: Aead,
    iv: [u8; 12],
    /// Number of the next record.
    number: u64,
}

impl Opener {
    /// With this traffic secret. `None`: the suite is not supported, or the secret has not the length of its hash.
    pub fn new(suite: CipherSuite, secret: &Secret) -> Option<Self> {
        Self::with(Hash::of(suite)?, Algorithm::of(suite)?, secret)
    }

    fn with(hash: Hash, algorithm: Algorithm, secret: &Secret) -> Option<Self> {
        let exposed = secret.expose();
        if exposed.len() != hash.len() {
            return None;
        }
        let key = hkdf_expand_label(hash, exposed, b"key", algorithm.key_len())?;
        let iv = hkdf_expand_label(hash, exposed, b"iv", 12)?;
        Some(Self {
            hash,
            algorithm,
            secret: secret.clone(),
            aead: Aead::new(algorithm, key.expose())?,
            iv: iv.expose().try_into().ok()?,
            number: 0,
        })
    }

    /// Opens the next record; `header` is its five bytes (none before draft 25). Where it does not verify, its number is
    /// not used up.
    pub fn open(&mut self, header: &[u8], body: &[u8]) -> Option<Plain> {
        self.open_ahead(header, body, 0)
    }

    /// As [`Self::open`], where up to `most` records may have been lost before it.
    pub fn open_ahead(&mut self, header: &[u8], body: &[u8], most: u64) -> Option<Plain> {
        let (number, mut content) = (self.number..=self.number.saturating_add(most))
            .find_map(|number| Some((number, self.aead.open(nonce(self.iv, number), header, body)?)))?;
        self.number = number.saturating_add(1);
        // RFC 9846 section 5.4: the type is the last byte that is not zero.
        let end = content.iter().rposition(|&byte| byte != 0)?;
        let content_type = content.get(end).copied()?;
        content.truncate(end);
        Some(Plain { content_type, content })
    }

    /// A record went by that does not verify.
    pub fn skip(&mut self) {
        self.number = self.number.saturating_add(1);
    }

    /// The next generation of keys, behind a KeyUpdate (RFC 9846 section 7.2).
    pub fn update(&mut self) -> Option<()> {
        let next = hkdf_expand_label(self.hash, self.secret.expose(), b"traffic upd", self.hash.len())?;
        *self = Self::with(self.hash, self.algorithm, &next)?;
        Some(())
    }
}

/// The `verify_data` of a Finished (RFC 9846 section 4.4.4) by the owner of this handshake traffic secret.
pub fn verify_data(hash: Hash, secret: &Secret, transcript_hash: &[u8]) -> Option<Vec<u8>> {
    let key = hkdf_expand_label(hash, secret.expose(), b"finished", hash.len())?;
    Some(hash.hmac(key.expose(), transcript_hash))
}

/// What a CertificateVerify signs (RFC 9846 section 4.4.3).
pub fn signed_content(by_server: bool, transcript_hash: &[u8]) -> Vec<u8> {
    let context: &[u8] =
        if by_server { b"TLS 1.3, server CertificateVerify" } else { b"TLS 1.3, client CertificateVerify" };
    [&[0x20; 64], context, &[0], transcript_hash].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(digits: &str) -> Vec<u8> {
        let digits: Vec<_> = digits.split_whitespace().collect::<String>().into_bytes();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    /// RFC 8448 section 3: the server's handshake traffic secret and its keys.
    const SERVER: &str = "b67b7d690cc16c4e75e54213cb2d37b4 e9c912bcded9105d42befd59d391ad38";

    #[test]
    fn keys_are_derived_as_in_the_traces_of_rfc_8448() {
        let secret = unhex(SERVER);
        let expand = |label: &[u8], len| {
            hkdf_expand_label(Hash::Sha256, &secret, label, len).unwrap().expose().to_vec()
        };
        assert_eq!(expand(b"key", 16), unhex("3fce516009c21727d0f2e4e86ee403bc"));
        assert_eq!(expand(b"iv", 12), unhex("5d313eb2671276ee13000b30"));
        assert_eq!(
            expand(b"finished", 32),
            unhex("008d3b66f816ea559f96b537e885c31fc068bf492c652f01f288a1d8cdc19fc8")
        );
    }

    /// RFC 8448 section 3: the client's application traffic secret, and its close_notify.
    #[test]
    fn an_alert_of_rfc_8448_opens_at_its_place_only() {
        let secret = unhex("9e40646ce79a7f9dc05af8889bce6552 875afa0b06df0087f792ebb7c17504a5");
        let suite = CipherSuite(0x1301);
        let opener = || Opener::new(suite, &Secret::new(&secret).unwrap()).unwrap();
        let header = unhex("1703030013");
        let body = unhex("c9872760655666b74d7ff1153efd6db6d0b0e3");
        let plain = opener().open_ahead(&header, &body, 3).unwrap();
        assert_eq!((plain.content_type, plain.content.as_slice()), (21, &[1, 0][..]));
        let mut first = opener();
        assert!(first.open(&header, &body).is_none(), "application data came before");
        first.skip();
        assert!(first.open(&header, &body).is_some());
        assert!(Opener::new(suite, &Secret::new(&[1; 48]).unwrap()).is_none(), "of another suite");
    }
}
