//! ECDSA on the curves that no kept library offers: P-224 and Brainpool's of 512 bits. Only the public operation is done,
//! on public numbers, so its time tells nobody anything.

use crate::tls::cert::{curve, numbers_of_curve};
use num_bigint::BigUint;

/// What is needed beside the equation: a generator and its order, in hexadecimal (SEC 2 section 2.6.2, RFC 5639 section
/// 3.7). All have cofactor 1.
struct Group {
    oid: &'static [u8],
    x: &'static str,
    y: &'static str,
    order: &'static str,
}

const GROUPS: [Group; 3] = [
    Group {
        oid: curve::P224,
        x: "b70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21",
        y: "bd376388b5f723fb4c22dfe6cd4375a05a07476444d5819985007e34",
        order: "ffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3d",
    },
    Group {
        oid: curve::BP512R1,
        x: "81aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d1687b93b97d5f7c6d5047406a5e688b352209bcb9f822",
        y: "7dde385d566332ecc0eabfa9cf7822fdf209f70024a57b1aa000c55b881f8111b2dcde494a5f485e5bca4bd88a2763aed1ca2b2fa8f0540678cd1e0f3ad80892",
        order: "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb58796829ca90069",
    },
    Group {
        oid: curve::BP512T1,
        x: "640ece5c12788717b9c1ba06cbc2a6feba85842458c56dde9db1758d39c0313d82ba51735cdb3ea499aa77a7d6943a64f7a3f25fe26f06b51baa2696fa9035da",
        y: "5b534bd595f5af0fa2c892376c84ace1bb4e3019b71634c01131159cae03cee9d9932184beef216bd71df2dadf86a627306ecff96dbb8bace198b61e00f8b332",
        order: "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb58796829ca90069",
    },
];

/// Whether r and s sign a digest (FIPS 186-5 section 6.4.2) by the key whose point is `point`, uncompressed (SEC 1 section
/// 2.3.4). `digest`: its leftmost octets, as many as the order has at most. `None`: another curve, or a compressed point.
pub(super) fn verify(oid: &[u8], point: &[u8], digest: &[u8], r: &[u8], s: &[u8]) -> Option<bool> {
    let group = GROUPS.iter().find(|group| group.oid == oid)?;
    let number = |digits: &str| BigUint::parse_bytes(digits.as_bytes(), 16);
    let [prime, a, b] = numbers_of_curve(oid)?;
    let order = number(group.order)?;
    let field = Field { prime, a };
    let generator = Point { x: number(group.x)?, y: number(group.y)?, z: BigUint::from(1u8) };
    let [4, key @ ..] = point else { return None };
    let (x, y) = key.split_at_checked(key.len() / 2)?;
    let key = Point { x: BigUint::from_bytes_be(x), y: BigUint::from_bytes_be(y), z: BigUint::from(1u8) };
    if x.len() != y.len() || !field.holds(&key, &b) {
        return Some(false);
    }
    let (r, s) = (BigUint::from_bytes_be(r), BigUint::from_bytes_be(s));
    if r == BigUint::ZERO || s == BigUint::ZERO || r >= order || s >= order {
        return Some(false);
    }
    let inverse = s.modinv(&order)?;
    let u = BigUint::from_bytes_be(digest) * &inverse % &order;
    let v = &r * inverse % &order;
    let sum = field.sum_of_multiples(&u, &generator, &v, &key);
    Some(field.affine_x(&sum).is_some_and(|x| x % order == r))
}

/// A point in Jacobian coordinates: x / z², y / z³; z is zero at infinity.
#[derive(Clone)]
struct Point {
    x: BigUint,
    y: BigUint,
    z: BigUint,
}

impl Point {
    const INFINITY: Self = Self { x: BigUint::ZERO, y: BigUint::ZERO, z: BigUint::ZERO };

    fn is_infinity(&self) -> bool {
        self.z == BigUint::ZERO
    }
}

/// A prime field, and the coefficient of the curve over it. All numbers are below the prime.
struct Field {
    prime: BigUint,
    a: BigUint,
}

impl Field {
    fn times(&self, one: &BigUint, other: &BigUint) -> BigUint {
        one * other % &self.prime
    }

    fn minus(&self, one: &BigUint, other: &BigUint) -> BigUint {
        (one + &self.prime - other) % &self.prime
    }

    /// The affine point is on y² = x³ + ax + b.
    fn holds(&self, point: &Point, b: &BigUint) -> bool {
        let Point { x, y, .. } = point;
        let right = ((x * x + &self.a) * x + b) % &self.prime;
        *x < self.prime && *y < self.prime && self.times(y, y) == right
    }

    fn twice(&self, point: &Point) -> Point {
        if point.is_infinity() || point.y == BigUint::ZERO {
            return Point::INFINITY;
        }
        let Point { x, y, z } = point;
        let (xx, yy, zz) = (self.times(x, x), self.times(y, y), self.times(z, z));
        let s = self.times(&(x * 4u8), &yy);
        let m = (xx * 3u8 + &self.a * self.times(&zz, &zz)) % &self.prime;
        let third = self.minus(&self.times(&m, &m), &((&s * 2u8) % &self.prime));
        let down = (self.times(&yy, &yy) * 8u8) % &self.prime;
        let y = self.minus(&self.times(&m, &self.minus(&s, &third)), &down);
        Point { z: self.times(&(&point.y * 2u8), z), x: third, y }
    }

    fn sum(&self, one: &Point, other: &Point) -> Point {
        if one.is_infinity() {
            return other.clone();
        }
        if other.is_infinity() {
            return one.clone();
        }
        let (zz1, zz2) = (self.times(&one.z, &one.z), self.times(&other.z, &other.z));
        let (u1, u2) = (self.times(&one.x, &zz2), self.times(&other.x, &zz1));
        let s1 = self.times(&one.y, &self.times(&other.z, &zz2));
        let s2 = self.times(&other.y, &self.times(&one.z, &zz1));
        if u1 == u2 {
            return if s1 == s2 { self.twice(one) } else { Point::INFINITY };
        }
        let (h, r) = (self.minus(&u2, &u1), self.minus(&s2, &s1));
        let hh = self.times(&h, &h);
        let (hhh, v) = (self.times(&h, &hh), self.times(&u1, &hh));
        let x = self.minus(&self.times(&r, &r), &((&hhh + &v * 2u8) % &self.prime));
        let y = self.minus(&self.times(&r, &self.minus(&v, &x)), &self.times(&s1, &hhh));
        Point { x, y, z: self.times(&self.times(&one.z, &other.z), &h) }
    }

    /// `u` times one and `v` times the other, bit by bit from the top.
    fn sum_of_multiples(&self, u: &BigUint, one: &Point, v: &BigUint, other: &Point) -> Point {
        let both = self.sum(one, other);
        let mut sum = Point::INFINITY;
        for bit in (0..u.bits().max(v.bits())).rev() {
            sum = self.twice(&sum);
            sum = match (u.bit(bit), v.bit(bit)) {
                (true, true) => self.sum(&sum, &both),
                (true, false) => self.sum(&sum, one),
                (false, true) => self.sum(&sum, other),
                (false, false) => sum,
            };
        }
        sum
    }

    /// `None` at infinity.
    fn affine_x(&self, point: &Point) -> Option<BigUint> {
        let inverse = point.z.modinv(&self.prime)?;
        Some(self.times(&point.x, &self.times(&inverse, &inverse)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(group: &Group) -> (Field, BigUint, Point, BigUint) {
        let number = |digits: &str| BigUint::parse_bytes(digits.as_bytes(), 16).unwrap();
        let [prime, a, b] = numbers_of_curve(group.oid).unwrap();
        let generator = Point { x: number(group.x), y: number(group.y), z: BigUint::from(1u8) };
        (Field { prime, a }, b, generator, number(group.order))
    }

    #[test]
    fn every_generator_is_on_its_curve_and_has_its_order() {
        for group in &GROUPS {
            let (field, b, generator, order) = parts(group);
            assert!(field.holds(&generator, &b));
            let zero = BigUint::ZERO;
            let whole = field.sum_of_multiples(&order, &generator, &zero, &generator);
            assert!(whole.is_infinity());
            let less = field.sum_of_multiples(&(&order - 1u8), &generator, &zero, &generator);
            assert_eq!(field.affine_x(&less).unwrap(), generator.x, "the generator's negative");
        }
    }

    #[test]
    fn numbers_out_of_range_and_points_off_the_curve_sign_nothing() {
        for group in &GROUPS {
            let (_, _, generator, order) = parts(group);
            let point = [&[4], generator.x.to_bytes_be().as_slice(), &generator.y.to_bytes_be()].concat();
            let order = order.to_bytes_be();
            for (r, s) in [(&[0][..], &[1][..]), (&[1], &[0]), (&order, &[1]), (&[1], &order)] {
                assert_eq!(verify(group.oid, &point, &[7], r, s), Some(false));
            }
            let mut off = point.clone();
            *off.last_mut().unwrap() ^= 1;
            assert_eq!(verify(group.oid, &off, &[7], &[1], &[1]), Some(false));
            assert_eq!(verify(group.oid, &point[..9], &[7], &[1], &[1]), Some(false));
            assert_eq!(verify(group.oid, &[2, 1], &[7], &[1], &[1]), None, "compressed");
        }
        assert_eq!(verify(curve::P256, &[4], &[7], &[1], &[1]), None);
    }
}
