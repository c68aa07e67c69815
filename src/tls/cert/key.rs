//! Public keys: the numbers inside, and what is wrong with them.

use super::PublicKey;
use crate::tls::der::{Der, bit_string, bits, dotted, magnitude, tag};
use num_bigint::BigUint;

/// The numbers of an RSA key, borrowed from its SubjectPublicKeyInfo.
#[derive(Clone, Copy, Debug)]
pub(in crate::tls) struct RsaKey<'a> {
    /// The RSAPublicKey (RFC 8017 appendix A.1.1), DER.
    pub(in crate::tls) der: &'a [u8],
    /// The modulus, big-endian.
    pub(in crate::tls) modulus: &'a [u8],
    /// The public exponent, big-endian.
    pub(in crate::tls) exponent: &'a [u8],
    /// Of a key under id-RSASSA-PSS: its parameters as DER, empty where there are none (RFC 4055 section 3.1).
    pub(in crate::tls) pss: Option<&'a [u8]>,
}

/// What a SubjectPublicKeyInfo holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::tls) enum Material<'a> {
    /// RSA.
    Rsa(RsaKey<'a>),
    /// An elliptic curve: the contents of its OID, empty where the curve is described instead of named, and the point
    /// (SEC 1 section 2.3).
    Ec(&'a [u8], &'a [u8]),
    /// Anything else: the contents of the OID, and the key's bits.
    Other(&'a [u8], &'a [u8]),
}

/// Contents of the OIDs of keys (RFC 4055, 5480, 8410, 9881).
pub(in crate::tls) mod oid {
    pub(in crate::tls) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    pub(in crate::tls) const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
    /// id-ea-rsa of X.509 annex, which some old CAs write.
    pub(in crate::tls) const RSA_X509: &[u8] = &[0x55, 0x08, 0x01, 0x01];
    pub(in crate::tls) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    pub(in crate::tls) const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01];
    pub(in crate::tls) const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    pub(in crate::tls) const ED448: &[u8] = &[0x2b, 0x65, 0x71];
    pub(in crate::tls) const ML_DSA_44: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11];
    pub(in crate::tls) const ML_DSA_65: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12];
    pub(in crate::tls) const ML_DSA_87: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13];
}

/// Contents of the OIDs of curves (RFC 5480, RFC 5639, GB/T 33560).
pub(in crate::tls) mod curve {
    pub(in crate::tls) const P224: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x21];
    pub(in crate::tls) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    pub(in crate::tls) const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
    pub(in crate::tls) const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
    pub(in crate::tls) const SECP256K1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x0a];
    pub(in crate::tls) const SM2: &[u8] = &[0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];
    pub(in crate::tls) const BP256R1: &[u8] = &[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07];
    pub(in crate::tls) const BP256T1: &[u8] = &[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x08];
    pub(in crate::tls) const BP384R1: &[u8] = &[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0b];
    pub(in crate::tls) const BP384T1: &[u8] = &[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0c];
    pub(in crate::tls) const BP512R1: &[u8] = &[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0d];
    pub(in crate::tls) const BP512T1: &[u8] = &[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0e];
}

/// Reads a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
pub(in crate::tls) fn material(spki: &[u8]) -> Option<Material<'_>> {
    let mut fields = Der(spki).want(tag::SEQUENCE)?.inside();
    let mut algorithm = fields.want(tag::SEQUENCE)?.inside();
    let oid = algorithm.want(tag::OID)?.body;
    let key = bit_string(fields.want(tag::BIT_STRING)?.body)?;
    Some(match oid {
        oid::RSA | oid::RSA_X509 | oid::RSA_PSS => {
            let mut numbers = Der(key).want(tag::SEQUENCE)?.inside();
            let modulus = numbers.want(tag::INTEGER)?.body;
            let exponent = numbers.want(tag::INTEGER)?.body;
            let pss = (oid == oid::RSA_PSS).then_some(algorithm.0);
            Material::Rsa(RsaKey { der: key, modulus, exponent, pss })
        }
        oid::EC => Material::Ec(algorithm.want(tag::OID).map_or(&[], |curve| curve.body), key),
        other => Material::Other(other, key),
    })
}

/// Primes by which no sound modulus can be divided.
const SMALL_PRIMES: [u32; 24] =
    [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97];

/// A modulus longer than this, in octets, is not looked into.
const LONGEST: usize = 2049;

/// What is wrong with a key whatever its size, told as what follows `the key RSA 2048, `; `None`: nothing that shows.
pub(in crate::tls) fn fault_of_key(key: &PublicKey) -> Option<String> {
    match material(&key.spki)? {
        Material::Rsa(key) => fault_of_rsa(&key),
        Material::Ec(curve, point) => fault_of_point(curve, point),
        Material::Other(oid, key) => {
            // RFC 8410 section 4, FIPS 204 table 2.
            let want = match oid {
                oid::ED25519 => 32,
                oid::ED448 => 57,
                oid::ML_DSA_44 => 1312,
                oid::ML_DSA_65 => 1952,
                oid::ML_DSA_87 => 2592,
                _ => return None,
            };
            (key.len() != want).then(|| format!("which has {} octets instead of {want}", key.len()))
        }
    }
}

fn fault_of_rsa(key: &RsaKey<'_>) -> Option<String> {
    let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    let says = |says: &str| Some(says.to_owned());
    match magnitude(key.exponent) {
        [] => return says("whose public exponent is 0, which no private key can have"),
        [1] => return says("whose public exponent is 1: anybody can sign in its name"),
        exponent if !odd(exponent) => {
            return says("whose public exponent is even, which no private key can have");
        }
        exponent if bits(exponent) > 64 => {
            return says("whose public exponent is over 64 bits, which verifiers refuse");
        }
        _ => {}
    }
    if !odd(key.modulus) {
        return says("whose modulus is even: it is damaged or no product of two primes");
    }
    if key.modulus.len() > LONGEST {
        return None;
    }
    let modulus = BigUint::from_bytes_be(key.modulus);
    let factor = SMALL_PRIMES.into_iter().find(|&prime| &modulus % prime == BigUint::ZERO)?;
    Some(format!("whose modulus is divisible by {factor}: it is damaged or no product of two primes"))
}

fn fault_of_point(curve: &[u8], point: &[u8]) -> Option<String> {
    if curve.is_empty() {
        return Some("whose curve is described instead of named, which RFC 5480 forbids".to_owned());
    }
    let Some(known) = CURVES.iter().find(|known| known.oid == curve) else {
        return Some(format!("on the curve {}, for which TLS has no use", dotted(curve)));
    };
    let off = || Some("whose point is not on its curve".to_owned());
    let [prime, a, b] = known.numbers()?;
    let len = usize::try_from(prime.bits().div_ceil(8)).ok()?;
    let (x, y) = match point {
        [4, rest @ ..] if rest.len() == 2 * len => rest.split_at_checked(len)?,
        // Whether a compressed one is on it takes a root: it is left to who verifies by it.
        [2 | 3, x @ ..] if x.len() == len => {
            return if BigUint::from_bytes_be(x) < prime { None } else { off() };
        }
        _ => return Some(format!("whose point has {} octets, as none on its curve has", point.len())),
    };
    let (x, y) = (BigUint::from_bytes_be(x), BigUint::from_bytes_be(y));
    if x >= prime || y >= prime {
        return off();
    }
    // y² = x³ + ax + b
    let right = ((&x * &x + a) * &x + b) % &prime;
    if &y * &y % &prime == right { None } else { off() }
}

/// Prime, a and b of y² = x³ + ax + b, where the curve of this OID is known.
pub(in crate::tls) fn numbers_of_curve(oid: &[u8]) -> Option<[BigUint; 3]> {
    CURVES.iter().find(|known| known.oid == oid)?.numbers()
}

/// A curve y² = x³ + ax + b over a prime field, its numbers in hexadecimal (SEC 2, RFC 5639, GB/T 32918.5).
struct Curve {
    oid: &'static [u8],
    prime: &'static str,
    a: A,
    b: &'static str,
}

impl Curve {
    fn numbers(&self) -> Option<[BigUint; 3]> {
        let number = |digits: &str| BigUint::parse_bytes(digits.as_bytes(), 16);
        let prime = number(self.prime)?;
        let a = match self.a {
            A::MinusThree => &prime - 3u32,
            A::Is(digits) => number(digits)?,
        };
        Some([prime, a, number(self.b)?])
    }
}

/// The coefficient a.
enum A {
    MinusThree,
    Is(&'static str),
}

const CURVES: [Curve; 13] = [
    // prime192v1
    Curve {
        oid: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01],
        prime: "fffffffffffffffffffffffffffffffeffffffffffffffff",
        a: A::MinusThree,
        b: "64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1",
    },
    // secp224r1
    Curve {
        oid: curve::P224,
        prime: "ffffffffffffffffffffffffffffffff000000000000000000000001",
        a: A::MinusThree,
        b: "b4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4",
    },
    // prime256v1
    Curve {
        oid: curve::P256,
        prime: "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
        a: A::MinusThree,
        b: "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    },
    // secp384r1
    Curve {
        oid: curve::P384,
        prime: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
        a: A::MinusThree,
        b: "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    },
    // secp521r1
    Curve {
        oid: curve::P521,
        prime: "1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        a: A::MinusThree,
        b: "51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
    },
    // secp256k1
    Curve {
        oid: curve::SECP256K1,
        prime: "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
        a: A::Is("0"),
        b: "7",
    },
    // brainpoolP256r1
    Curve {
        oid: curve::BP256R1,
        prime: "a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377",
        a: A::Is("7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9"),
        b: "26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6",
    },
    // brainpoolP256t1
    Curve {
        oid: curve::BP256T1,
        prime: "a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377",
        a: A::MinusThree,
        b: "662c61c430d84ea4fe66a7733d0b76b7bf93ebc4af2f49256ae58101fee92b04",
    },
    // brainpoolP384r1
    Curve {
        oid: curve::BP384R1,
        prime: "8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53",
        a: A::Is(
            "7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826",
        ),
        b: "4a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11",
    },
    // brainpoolP384t1
    Curve {
        oid: curve::BP384T1,
        prime: "8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53",
        a: A::MinusThree,
        b: "7f519eada7bda81bd826dba647910f8c4b9346ed8ccdc64e4b1abd11756dce1d2074aa263b88805ced70355a33b471ee",
    },
    // brainpoolP512r1
    Curve {
        oid: curve::BP512R1,
        prime: "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528aa6056583a48f3",
        a: A::Is(
            "7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94ca",
        ),
        b: "3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94cadc083e67984050b75ebae5dd2809bd638016f723",
    },
    // brainpoolP512t1
    Curve {
        oid: curve::BP512T1,
        prime: "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528aa6056583a48f3",
        a: A::MinusThree,
        b: "7cbbbcf9441cfab76e1890e46884eae321f70c0bcb4981527897504bec3e36a62bcdfa2304976540f6450085f2dae145c22553b465763689180ea2571867423e",
    },
    // SM2
    Curve {
        oid: curve::SM2,
        prime: "fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff",
        a: A::MinusThree,
        b: "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93",
    },
];

#[cfg(test)]
mod tests {
    use super::super::forge::{der, seq};
    use super::super::{Certificate, KeyKind};
    use super::*;

    /// An RSA key of these numbers.
    fn rsa(modulus: &[u8], exponent: &[u8]) -> PublicKey {
        let numbers = seq(&[&der(tag::INTEGER, modulus), &der(tag::INTEGER, exponent)]);
        let algorithm = seq(&[&der(tag::OID, oid::RSA), &[5, 0]]);
        let spki = seq(&[&algorithm, &der(tag::BIT_STRING, &[&[0], numbers.as_slice()].concat())]);
        PublicKey { kind: KeyKind::Rsa(2048), spki }
    }

    #[test]
    fn sound_keys_of_every_curve_have_no_fault() {
        for cert in Der(include_bytes!("../../../tests/data/signed.der")) {
            let mut cert = Certificate::parse(cert.whole);
            let (name, fault) = (cert.common_name.clone().unwrap(), fault_of_key(&cert.key));
            if name == "explicit-sha256" {
                assert!(fault.unwrap().contains("described instead of named"));
                continue;
            }
            assert_eq!(fault, None, "{name}");
            if name == "secp224r1-compressed" {
                continue; // whether it is on the curve takes a root
            }
            let last = cert.key.spki.len() - 1;
            cert.key.spki[last] ^= 1;
            let spoilt = fault_of_key(&cert.key);
            match cert.key.kind {
                KeyKind::Ec(_) => assert_eq!(spoilt.unwrap(), "whose point is not on its curve", "{name}"),
                KeyKind::Rsa(_) => assert!(spoilt.unwrap().contains("exponent is even"), "{name}"),
                _ => assert_eq!(spoilt, None, "{name}"),
            }
        }
    }

    #[test]
    fn numbers_that_no_rsa_key_has_are_told() {
        let modulus: Vec<u8> = [&[0, 0xff][..], &[0x5a; 254], &[0x0f]].concat();
        let wrong =
            |modulus: &[u8], exponent: &[u8]| fault_of_key(&rsa(modulus, exponent)).unwrap_or_default();
        for (exponent, says) in [
            (&[0][..], "exponent is 0"),
            (&[1], "exponent is 1"),
            (&[2], "exponent is even"),
            (&[1, 0, 0], "exponent is even"),
            (&[1, 0, 0, 0, 0, 0, 0, 0, 1], "exponent is over 64 bits"),
        ] {
            assert!(wrong(&modulus, exponent).contains(says), "{says}");
        }
        assert!(wrong(&[0, 0xff, 0x10], &[3]).contains("modulus is even"));
        assert!(wrong(&[0, 0xff, 0xff], &[3]).contains("divisible by 3"));
        // 65 521 is a prime, so nothing shows.
        assert_eq!(wrong(&[0, 0xff, 0xf1], &[3]), "");
    }

    #[test]
    fn a_curve_without_use_in_tls_is_named() {
        let algorithm = seq(&[&der(tag::OID, oid::EC), &der(tag::OID, &[0x2b, 0x81, 0x04, 0x00, 0x1a])]);
        let spki = seq(&[&algorithm, &der(tag::BIT_STRING, &[0, 4, 1, 1])]);
        let key = PublicKey { kind: KeyKind::Ec("1.3.132.0.26".into()), spki };
        assert_eq!(fault_of_key(&key).unwrap(), "on the curve 1.3.132.0.26, for which TLS has no use");
    }
}
