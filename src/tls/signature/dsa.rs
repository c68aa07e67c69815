//! DSA, which no TLS stack in use takes any more but old captures show.

use super::Verdict;
use super::hash::Hash;
use crate::tls::der::{Der, bit_string, bits, tag};
use num_bigint::BigUint;

/// The largest prime and subgroup whose powers are computed, in bits.
const MOST_BITS: u32 = 4_096;
const MOST_ORDER_BITS: u32 = 512;

/// Verifies (FIPS 186-4 section 4.7) by the key of a SubjectPublicKeyInfo (RFC 3279 section 2.3.2).
pub(super) fn verify(spki: &[u8], hash: Hash, message: &[u8], signature: &[u8]) -> Verdict {
    let Some([p, q, g, y]) = numbers(spki) else {
        return Verdict::Unsupported("DSA without parameters of its own");
    };
    if bits(p) > MOST_BITS || bits(q) > MOST_ORDER_BITS {
        return Verdict::Unsupported("DSA keys over 4096 bits");
    }
    if holds([p, q, g, y], hash, message, signature) == Some(true) { Verdict::Good } else { Verdict::Bad }
}

/// The prime, the order, the generator and the public value.
fn numbers(spki: &[u8]) -> Option<[&[u8]; 4]> {
    let mut fields = Der(spki).want(tag::SEQUENCE)?.inside();
    let mut algorithm = fields.want(tag::SEQUENCE)?.inside();
    algorithm.want(tag::OID)?;
    let mut parameters = algorithm.want(tag::SEQUENCE)?.inside();
    let mut number = || parameters.want(tag::INTEGER).map(|number| number.body);
    let (p, q, g) = (number()?, number()?, number()?);
    let key = bit_string(fields.want(tag::BIT_STRING)?.body)?;
    Some([p, q, g, Der(key).want(tag::INTEGER)?.body])
}

fn holds(numbers: [&[u8]; 4], hash: Hash, message: &[u8], signature: &[u8]) -> Option<bool> {
    let [p, q, g, y] = numbers.map(BigUint::from_bytes_be);
    let mut fields = Der(signature).want(tag::SEQUENCE)?.inside();
    let mut number = || {
        let number = fields.want(tag::INTEGER)?.body;
        let value = BigUint::from_bytes_be(number);
        (number.first()? & 0x80 == 0 && value > BigUint::ZERO && value < q).then_some(value)
    };
    let (r, s) = (number()?, number()?);
    if p <= BigUint::from(1u8) {
        return None;
    }
    let digest = hash.of(&[message]);
    // The leftmost bits, as many as the order has.
    let long = (8 * digest.len() as u64).saturating_sub(q.bits());
    let z = BigUint::from_bytes_be(&digest) >> long;
    let w = s.modinv(&q)?;
    let (u1, u2) = (z * &w % &q, &r * &w % &q);
    Some(g.modpow(&u1, &p) * y.modpow(&u2, &p) % &p % &q == r)
}
