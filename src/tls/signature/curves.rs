//! Signatures by elliptic curves.

use super::Verdict;
use super::hash::Hash;
use super::weierstrass;
use crate::tls::cert::curve;
use crate::tls::der::{Der, magnitude, tag};
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::signature::{self as lc, EcdsaVerificationAlgorithm, UnparsedPublicKey};
use bp256::{BrainpoolP256r1, BrainpoolP256t1};
use bp384::{BrainpoolP384r1, BrainpoolP384t1};
use ecdsa::signature::hazmat::PrehashVerifier;
use sm2::dsa::signature::Verifier;

/// The identifier of a signer of a certificate, of TLCP and of TLS 1.2 (GB/T 35276 section 10).
pub(super) const COMMON_ID: &str = "1234567812345678";
/// The identifier in a handshake of TLS 1.3 (RFC 8998 section 3.2.1).
pub(super) const TLS13_ID: &str = "TLSv1.3+GM+Cipher+Suite";

/// Verifies ECDSA on a Brainpool curve (RFC 5639) of so many octets.
macro_rules! brainpool {
    ($curve:ty, $len:literal, $point:expr, $hash:expr, $message:expr, $signature:expr) => {{
        let Ok(key) = ecdsa::VerifyingKey::<$curve>::from_sec1_bytes($point) else { return Verdict::Bad };
        let Some((r, s)) = numbers::<$len>($signature) else { return Verdict::Bad };
        let Ok(signature) = ecdsa::Signature::<$curve>::from_scalars(r, s) else { return Verdict::Bad };
        verdict(key.verify_prehash(&fitted($hash, $message, $len), &signature).is_ok())
    }};
}

/// Verifies SM2 with SM3 (GB/T 32918.2) by a key's point, for any of these identifiers.
pub(super) fn sm2(point: &[u8], ids: &[&str], message: &[u8], signature: &[u8]) -> Verdict {
    let Some((r, s)) = numbers::<32>(signature) else { return Verdict::Bad };
    let Ok(signature) = sm2::dsa::Signature::from_scalars(r, s) else { return Verdict::Bad };
    let holds = |id: &&str| {
        let key = sm2::dsa::VerifyingKey::from_sec1_bytes(id, point);
        key.is_ok_and(|key| key.verify(message, &signature).is_ok())
    };
    verdict(ids.iter().any(holds))
}

/// Verifies ECDSA by a key on the curve of this OID (RFC 5480 section 2.1.1): `spki` is the whole key, `point` its bits.
pub(super) fn ecdsa(
    oid: &[u8],
    spki: &[u8],
    point: &[u8],
    hash: Hash,
    message: &[u8],
    signature: &[u8],
) -> Verdict {
    let fast = match (oid, hash) {
        (curve::P256, Hash::Sha256) => &lc::ECDSA_P256_SHA256_ASN1,
        (curve::P384, Hash::Sha384) => &lc::ECDSA_P384_SHA384_ASN1,
        (curve::P256, _) => {
            return padded(&lc::ECDSA_P256_SHA256_ASN1, &digest::SHA256, spki, hash, message, signature);
        }
        (curve::P384, _) => {
            return padded(&lc::ECDSA_P384_SHA384_ASN1, &digest::SHA384, spki, hash, message, signature);
        }
        (curve::P521, _) => {
            return padded(&lc::ECDSA_P521_SHA512_ASN1, &digest::SHA512, spki, hash, message, signature);
        }
        (curve::SECP256K1, _) => {
            return padded(&lc::ECDSA_P256K1_SHA256_ASN1, &digest::SHA256, spki, hash, message, signature);
        }
        (curve::BP256R1, _) => return brainpool!(BrainpoolP256r1, 32, point, hash, message, signature),
        (curve::BP256T1, _) => return brainpool!(BrainpoolP256t1, 32, point, hash, message, signature),
        (curve::BP384R1, _) => return brainpool!(BrainpoolP384r1, 48, point, hash, message, signature),
        (curve::BP384T1, _) => return brainpool!(BrainpoolP384t1, 48, point, hash, message, signature),
        (curve::P224, _) => return reckoned::<28>(oid, point, hash, message, signature),
        (curve::BP512R1 | curve::BP512T1, _) => {
            return reckoned::<64>(oid, point, hash, message, signature);
        }
        ([], _) => return Verdict::Unsupported("a curve that is described instead of named"),
        _ => return Verdict::Unsupported("this curve"),
    };
    verdict(UnparsedPublicKey::new(fast, spki).verify(message, signature).is_ok())
}

fn verdict(good: bool) -> Verdict {
    if good { Verdict::Good } else { Verdict::Bad }
}

/// A digest as the number that ECDSA signs (FIPS 186-5 section 6.4.2): its leftmost octets where it is too long; zeros
/// before it change nothing.
fn fitted(hash: Hash, message: &[u8], len: usize) -> Vec<u8> {
    let digest = hash.of(&[message]);
    let mut number = vec![0; len.saturating_sub(digest.len())];
    number.extend(digest.into_iter().take(len));
    number
}

/// On a curve of `N` octets that only [`weierstrass`] knows.
fn reckoned<const N: usize>(
    oid: &[u8],
    point: &[u8],
    hash: Hash,
    message: &[u8],
    signature: &[u8],
) -> Verdict {
    let Some((r, s)) = numbers::<N>(signature) else { return Verdict::Bad };
    match weierstrass::verify(oid, point, &fitted(hash, message, N), &r, &s) {
        Some(good) => verdict(good),
        None => Verdict::Unsupported("a compressed point on this curve"),
    }
}

/// The library names a hash for each curve, but takes any digest of that length.
fn padded(
    with: &'static EcdsaVerificationAlgorithm,
    as_if: &'static digest::Algorithm,
    spki: &[u8],
    hash: Hash,
    message: &[u8],
    signature: &[u8],
) -> Verdict {
    let number = fitted(hash, message, as_if.output_len());
    let Ok(digest) = Digest::import_less_safe(&number, as_if) else {
        return Verdict::Unsupported("ECDSA with this curve and hash");
    };
    verdict(UnparsedPublicKey::new(with, spki).verify_digest(&digest, signature).is_ok())
}

/// Whether r or s are longer than the curve's order, or both so much shorter that chance does not make them.
pub(super) fn is_of_another_size(oid: &[u8], signature: &[u8]) -> bool {
    let want = match oid {
        curve::P256 | curve::SECP256K1 | curve::SM2 => 32,
        curve::P224 => 28,
        curve::P384 => 48,
        curve::BP512R1 | curve::BP512T1 => 64,
        curve::P521 => 66,
        _ => return false,
    };
    let longest = Der(signature).want(tag::SEQUENCE).and_then(|numbers| {
        numbers
            .inside()
            .filter(|number| number.tag == tag::INTEGER)
            .map(|number| magnitude(number.body).len())
            .max()
    });
    longest.is_some_and(|longest| longest > want || longest + 8 < want)
}

/// r and s of Ecdsa-Sig-Value (RFC 3279 section 2.2.3), each of `N` octets. Only DER, as OpenSSL has it: it encodes what it
/// read anew and compares (`ossl_ecdsa_simple_verify` and `ossl_sm2_internal_verify`).
fn numbers<const N: usize>(signature: &[u8]) -> Option<([u8; N], [u8; N])> {
    let mut outer = Der(signature);
    let sequence = outer.want(tag::SEQUENCE)?;
    let shortest = if sequence.body.len() < 0x80 { 2 } else { 3 };
    if sequence.whole.len() != sequence.body.len() + shortest {
        return None;
    }
    let mut fields = sequence.inside();
    let mut number = || {
        let element = fields.want(tag::INTEGER)?;
        let number = element.body;
        let padded = matches!(number, [0, next, ..] if next & 0x80 == 0);
        if padded || element.whole.len() != number.len() + 2 {
            return None;
        }
        let digits = magnitude(number);
        let mut whole = [0; N];
        whole.get_mut(N.checked_sub(digits.len())?..)?.copy_from_slice(digits);
        (number.first()? & 0x80 == 0).then_some(whole)
    };
    let both = (number()?, number()?);
    (fields.is_empty() && outer.is_empty()).then_some(both)
}
