//! RSA signatures: whatever the library does quickly is left to it, the rest is reckoned here. Only the public
//! operation is done, on public numbers.

use super::Verdict;
use super::hash::Hash;
use crate::tls::cert::RsaKey;
use crate::tls::der::{Der, bits, magnitude, small, tag};
use aws_lc_rs::signature::{self as lc, RsaParameters, UnparsedPublicKey};
use num_bigint::BigUint;

/// The largest modulus whose power is computed, and the longest exponent, both in bits: what OpenSSL takes
/// (`OPENSSL_RSA_MAX_MODULUS_BITS`, `OPENSSL_RSA_MAX_PUBEXP_BITS`). A hostile certificate cannot ask for more.
const MOST_BITS: u32 = 16_384;
const MOST_EXPONENT_BITS: u32 = 64;

/// Parameters of RSASSA-PSS (RFC 4055 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pss {
    /// Of the message.
    pub(super) hash: Hash,
    /// Of MGF1.
    pub(super) mask: Hash,
    /// Octets of the salt.
    pub(super) salt: usize,
}

impl Pss {
    /// Over one hash, with a salt as long (RFC 9846 section 4.2.3).
    pub(super) const fn of(hash: Hash) -> Self {
        Self { hash, mask: hash, salt: hash.len() }
    }

    /// Reads RSASSA-PSS-params; what is absent is SHA-1, MGF1 with SHA-1, and 20. `Err`: what is not supported or not
    /// readable.
    pub(super) fn read(parameters: &[u8]) -> Result<Self, &'static str> {
        const UNREADABLE: &str = "the parameters of RSASSA-PSS are unreadable";
        let hash_of = |fields: &mut Der<'_>| {
            let algorithm = fields.want(tag::SEQUENCE).ok_or(UNREADABLE)?;
            let oid = algorithm.inside().want(tag::OID).ok_or(UNREADABLE)?;
            Hash::of_oid(oid.body).ok_or("RSASSA-PSS with this hash")
        };
        let mut fields = Der(parameters).want(tag::SEQUENCE).ok_or(UNREADABLE)?.inside();
        let mut read = Self::of(Hash::Sha1);
        if let Some(hash) = fields.want(tag::context(0)) {
            read.hash = hash_of(&mut hash.inside())?;
        }
        if let Some(mask) = fields.want(tag::context(1)) {
            let mut inside = mask.inside().want(tag::SEQUENCE).ok_or(UNREADABLE)?.inside();
            let function = inside.want(tag::OID).ok_or(UNREADABLE)?;
            if function.body != [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08] {
                return Err("RSASSA-PSS with a mask that is not MGF1");
            }
            read.mask = hash_of(&mut inside)?;
        }
        if let Some(salt) = fields.want(tag::context(2)) {
            let salt =
                salt.inside().want(tag::INTEGER).and_then(|salt| small(salt.body)).ok_or(UNREADABLE)?;
            read.salt = usize::try_from(salt).map_err(|_| UNREADABLE)?;
        }
        if let Some(trailer) = fields.want(tag::context(3)) {
            // "other values are not supported" (RFC 4055 section 3.1).
            if trailer.inside().want(tag::INTEGER).and_then(|field| small(field.body)) != Some(1) {
                return Err("RSASSA-PSS with a trailer field other than 1");
            }
        }
        if !fields.is_empty() {
            return Err(UNREADABLE);
        }
        Ok(read)
    }

    /// A key with parameters of its own takes these hashes only, and no shorter salt (RFC 4055 section 3.3).
    fn within(self, own: Self) -> bool {
        self.hash == own.hash && self.mask == own.mask && self.salt >= own.salt
    }
}

/// How the signed digest was padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2).
    Pkcs1(Hash),
    /// MD5 and SHA-1 one after the other, without DigestInfo (RFC 4346 section 7.4.3).
    Md5Sha1,
    /// RSASSA-PSS (RFC 8017 section 8.1).
    Pss(Pss),
}

/// Verifies.
pub(super) fn verify(key: &RsaKey<'_>, padding: Padding, message: &[u8], signature: &[u8]) -> Verdict {
    match (padding, key.pss) {
        // RFC 4055 section 1.2: a key under id-RSASSA-PSS is for that alone.
        (Padding::Pkcs1(_) | Padding::Md5Sha1, Some(_)) => return Verdict::Bad,
        (Padding::Pss(asked), Some(own)) if !own.is_empty() => match Pss::read(own) {
            Ok(own) if !asked.within(own) => return Verdict::Bad,
            Ok(_) => {}
            Err(why) => return Verdict::Unsupported(why),
        },
        _ => {}
    }
    if let Some(with) = fast(key, padding) {
        return match UnparsedPublicKey::new(with, key.der).verify(message, signature) {
            Ok(()) => Verdict::Good,
            Err(_) => Verdict::Bad,
        };
    }
    let opened = match open(key, signature) {
        Ok(Some(opened)) => opened,
        Ok(None) => return Verdict::Bad,
        Err(why) => return Verdict::Unsupported(why),
    };
    let good = match padding {
        Padding::Pkcs1(hash) => {
            let digest = hash.of(&[message]);
            pkcs1(&opened).is_some_and(|inside| inside.strip_prefix(hash.prefix()) == Some(digest.as_slice()))
        }
        Padding::Md5Sha1 => {
            let digests = [Hash::Md5.of(&[message]), Hash::Sha1.of(&[message])].concat();
            pkcs1(&opened) == Some(digests.as_slice())
        }
        Padding::Pss(pss) => unmask(&opened, key, pss)
            .is_some_and(|(salt, digest)| pss.hash.of(&[&[0; 8], &pss.hash.of(&[message]), &salt]) == digest),
    };
    if good { Verdict::Good } else { Verdict::Bad }
}

/// Whether the padding inside is whole: then this key made the signature, over other contents. `None` where it cannot
/// be opened.
pub(super) fn is_padded(key: &RsaKey<'_>, padding: Padding, signature: &[u8]) -> Option<bool> {
    let opened = match open(key, signature) {
        Ok(Some(opened)) => opened,
        Ok(None) => return Some(false),
        Err(_) => return None,
    };
    Some(match padding {
        Padding::Pkcs1(_) | Padding::Md5Sha1 => pkcs1(&opened).is_some(),
        Padding::Pss(pss) => unmask(&opened, key, pss).is_some(),
    })
}

/// What the library has for this, if it has. It takes odd numbers only, and exponents up to 33 bits.
fn fast(key: &RsaKey<'_>, padding: Padding) -> Option<&'static RsaParameters> {
    let exponent = bits(key.exponent);
    let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if !odd(key.modulus) || !odd(key.exponent) || !(2..=33).contains(&exponent) {
        return None;
    }
    Some(match (padding, bits(key.modulus)) {
        (Padding::Pkcs1(Hash::Sha1), 1024..=8192) => &lc::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (Padding::Pkcs1(Hash::Sha256), 1024..=8192) => &lc::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        (Padding::Pkcs1(Hash::Sha512), 1024..=8192) => &lc::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        (Padding::Pkcs1(Hash::Sha384), 2048..=8192) => &lc::RSA_PKCS1_2048_8192_SHA384,
        (Padding::Pss(pss), 2048..=8192) if pss == Pss::of(Hash::Sha256) => &lc::RSA_PSS_2048_8192_SHA256,
        (Padding::Pss(pss), 2048..=8192) if pss == Pss::of(Hash::Sha384) => &lc::RSA_PSS_2048_8192_SHA384,
        (Padding::Pss(pss), 2048..=8192) if pss == Pss::of(Hash::Sha512) => &lc::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// RSAVP1 (RFC 8017 section 5.2.2): the signature raised to the exponent, as long as the modulus. `Ok(None)`: it is no
/// signature by such a key.
fn open(key: &RsaKey<'_>, signature: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    if bits(key.modulus) > MOST_BITS {
        return Err("RSA keys over 16384 bits");
    }
    if bits(key.exponent) > MOST_EXPONENT_BITS {
        return Err("RSA exponents over 64 bits");
    }
    let len = magnitude(key.modulus).len();
    let modulus = BigUint::from_bytes_be(key.modulus);
    let number = BigUint::from_bytes_be(signature);
    if signature.len() != len || number >= modulus || bits(key.exponent) == 0 || bits(key.modulus) < 2 {
        return Ok(None);
    }
    let opened = number.modpow(&BigUint::from_bytes_be(key.exponent), &modulus).to_bytes_be();
    let mut whole = vec![0; len.saturating_sub(opened.len())];
    whole.extend_from_slice(&opened);
    Ok(Some(whole))
}

/// What EMSA-PKCS1-v1_5 (RFC 8017 section 9.2) wraps.
fn pkcs1(opened: &[u8]) -> Option<&[u8]> {
    let padded = opened.strip_prefix(&[0, 1])?;
    let end = padded.iter().position(|&octet| octet != 0xff)?;
    let (filling, rest) = padded.split_at_checked(end)?;
    if filling.len() < 8 {
        return None;
    }
    rest.strip_prefix(&[0])
}

/// The salt and the hash H that EMSA-PSS (RFC 8017 section 9.1.2) wraps.
fn unmask<'a>(opened: &'a [u8], key: &RsaKey<'_>, pss: Pss) -> Option<(Vec<u8>, &'a [u8])> {
    let em_bits = usize::try_from(bits(key.modulus).checked_sub(1)?).ok()?;
    let em_len = em_bits.div_ceil(8);
    let (above, encoded) = opened.split_at_checked(opened.len().checked_sub(em_len)?)?;
    let (rest, trailer) = encoded.split_at_checked(em_len.checked_sub(1)?)?;
    let (masked, digest) = rest.split_at_checked(rest.len().checked_sub(pss.hash.len())?)?;
    if above.iter().any(|&octet| octet != 0) || trailer != [0xbc] {
        return None;
    }
    let free = 8 * em_len - em_bits;
    let top = 0xff_u8.checked_shr(u32::try_from(free).ok()?).unwrap_or(0);
    if masked.first()? & !top != 0 {
        return None;
    }
    let mut block: Vec<u8> = Vec::with_capacity(masked.len() + 64);
    let mut counter: u32 = 0;
    while block.len() < masked.len() {
        block.extend_from_slice(&pss.mask.of(&[digest, &counter.to_be_bytes()]));
        counter += 1;
    }
    block.truncate(masked.len());
    block.iter_mut().zip(masked).for_each(|(mask, octet)| *mask ^= octet);
    if let Some(first) = block.first_mut() {
        *first &= top;
    }
    let (filling, salt) = block.split_at_checked(block.len().checked_sub(pss.salt)?)?;
    let (one, zeros) = filling.split_last()?;
    (*one == 1 && zeros.iter().all(|&octet| octet == 0)).then(|| (salt.to_vec(), digest))
}
