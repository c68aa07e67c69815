//! Verifying signatures: of certificates, of OCSP answers, of the handshake.
//!
//! What the library verifies quickly is left to it; what it refuses (old hashes, small and large RSA keys, parameters of
//! RSASSA-PSS, Brainpool curves, P-224, SM2) is verified by public operations on public numbers, so their time tells nobody
//! anything. A signature over an old hash that verifies is good: that the hash is weak is said elsewhere.

mod curves;
mod dsa;
mod hash;
mod rsa;
#[cfg(test)]
mod tests;
mod weierstrass;

use self::hash::Hash;
use self::rsa::{Padding, Pss};
use super::cert::{Certificate, Material, curve, key_oid, material};
use super::chain::encryption_certificate;
use super::codes::{SignatureScheme, Version};
use super::der::{Der, magnitude, tag};
use super::message::{CertificateVerify, ServerKeyExchange};
use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};
use std::sync::Arc;

/// What came of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The key made this signature.
    Good,
    /// It did not, or the key is of another kind than the algorithm.
    Bad,
    /// Cannot be told here, and why.
    Unsupported(&'static str),
}

impl Verdict {
    /// The signature was seen to be good.
    pub fn holds(self) -> bool {
        self == Self::Good
    }

    /// The signature was seen to be bad.
    pub fn fails(self) -> bool {
        self == Self::Bad
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rsa(Padding),
    Ecdsa(Hash),
    Dsa(Hash),
    /// SM2 with SM3, by one of these identifiers of the signer.
    Sm2(&'static [&'static str]),
    Ed25519,
    MlDsa(u16),
    Unsupported(&'static str),
}

/// Of certificates. Where no identifier is given, OpenSSL 3 takes the empty one.
const SM2_OF_CERTIFICATES: Algorithm = Algorithm::Sm2(&[curves::COMMON_ID, ""]);

/// Verifies a signature made under an AlgorithmIdentifier (RFC 5280 section 4.1.1.2) with the key
/// of a SubjectPublicKeyInfo, both DER.
pub fn verify(spki: &[u8], algorithm: &[u8], message: &[u8], signature: &[u8]) -> Verdict {
    run(spki, by_identifier(algorithm), message, signature)
}

/// Verifies a signature made under a scheme of TLS (RFC 9846 section 4.2.3; in TLS 1.2 the two
/// bytes are a hash and a signature, RFC 5246 section 7.4.1.4.1, and bind no curve).
pub fn verify_scheme(spki: &[u8], scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Verdict {
    run(spki, by_scheme(scheme), message, signature)
}

/// Verifies what a side of a handshake signed with the key of its certificate: under a scheme from TLS 1.2 on, under
/// what the key's kind implies before (RFC 4346 section 7.4.3, RFC 8422 section 5.4) and in TLCP (GB/T 38636 section
/// 6.4.5.4).
pub fn verify_handshake(
    version: Version,
    spki: &[u8],
    scheme: Option<SignatureScheme>,
    message: &[u8],
    signature: &[u8],
) -> Verdict {
    run(spki, of_handshake(version, spki, scheme), message, signature)
}

/// Whether the key made a handshake's signature over *some* contents. Only RSA tells, whose padding is whole then.
pub fn is_by_key_of_handshake(
    version: Version,
    spki: &[u8],
    scheme: Option<SignatureScheme>,
    signature: &[u8],
) -> Option<bool> {
    is_by_key(spki, of_handshake(version, spki, scheme), signature)
}

/// As [`is_by_key_of_handshake`], of a signature under an AlgorithmIdentifier.
pub fn is_by_key_of_certificate(spki: &[u8], algorithm: &[u8], signature: &[u8]) -> Option<bool> {
    is_by_key(spki, by_identifier(algorithm), signature)
}

/// What the server of a TLS 1.0 to 1.2 handshake signs: both randoms and the parameters (RFC 5246 section 7.4.3, RFC 8422
/// section 5.4); in a TLCP exchange without parameters its second certificate, the one for encryption, stands for them
/// (GB/T 38636 section 6.4.5.4).
pub fn signed_by_server(
    client_random: &[u8; 32],
    server_random: &[u8; 32],
    exchange: &ServerKeyExchange,
    chain: &[Arc<Certificate>],
) -> Vec<u8> {
    let mut message = [client_random, server_random, exchange.params.as_slice()].concat();
    if exchange.params.is_empty()
        && let Some(encipherment) = encryption_certificate(chain)
    {
        let der = &encipherment.der;
        let len = u32::try_from(der.len()).unwrap_or(u32::MAX).to_be_bytes();
        message.extend_from_slice(len.get(1..).unwrap_or_default());
        message.extend_from_slice(der);
    }
    message
}

/// Verifies the signature over the ephemeral parameters of a server before TLS 1.3 with its leaf's key, the first of
/// the chain. A message without signature is `Unsupported`.
pub fn verify_server_key_exchange(
    version: Version,
    client_random: &[u8; 32],
    server_random: &[u8; 32],
    exchange: &ServerKeyExchange,
    chain: &[Arc<Certificate>],
) -> Verdict {
    let Some(leaf) = chain.first() else { return Verdict::Unsupported("no certificate") };
    if exchange.signature.is_empty() {
        return Verdict::Unsupported("an anonymous exchange is not signed");
    }
    if version == Version::TLCP && exchange.params.is_empty() && encryption_certificate(chain).is_none() {
        return Verdict::Unsupported("no encryption certificate, which the signature covers");
    }
    let message = signed_by_server(client_random, server_random, exchange, chain);
    verify_handshake(version, &leaf.key.spki, exchange.scheme, &message, &exchange.signature)
}

/// Verifies what a client signed to show that it has the key of its certificate (RFC 5246 section 7.4.8): `signed` are
/// the handshake messages so far.
pub fn verify_certificate_verify(
    version: Version,
    leaf: &Certificate,
    verify: &CertificateVerify,
    signed: &[u8],
) -> Verdict {
    if version == Version::SSL3 {
        return Verdict::Unsupported("SSL 3.0 mixes the master secret in");
    }
    let verdict =
        |message: &[u8]| verify_handshake(version, &leaf.key.spki, verify.scheme, message, &verify.signature);
    if version != Version::TLCP {
        return verdict(signed);
    }
    // GB/T 38636 section 6.4.5.8 has the digest signed, as Tongsuo does; GmSSL signs the messages.
    match verdict(&Hash::Sm3.of(&[signed])) {
        Verdict::Bad => verdict(signed),
        other => other,
    }
}

/// A handshake's signature that no key of this kind and size makes.
pub fn is_of_another_size(
    version: Version,
    spki: &[u8],
    scheme: Option<SignatureScheme>,
    signature: &[u8],
) -> bool {
    match (of_handshake(version, spki, scheme), material(spki)) {
        (Algorithm::Rsa(_), Some(Material::Rsa(key))) => magnitude(key.modulus).len() != signature.len(),
        (Algorithm::Ecdsa(_) | Algorithm::Sm2(_), Some(Material::Ec(curve, _))) => {
            curves::is_of_another_size(curve, signature)
        }
        (Algorithm::Unsupported(_), _) | (_, None) => false,
        (Algorithm::Ed25519, Some(Material::Other(key_oid::ED25519, _))) => false,
        (Algorithm::MlDsa(_) | Algorithm::Dsa(_), Some(Material::Other(..))) => false,
        _ => true,
    }
}

fn of_handshake(version: Version, spki: &[u8], scheme: Option<SignatureScheme>) -> Algorithm {
    match (scheme, material(spki)) {
        // RFC 8998 binds its identifier to TLS 1.3; before, SM2 signs as in certificates.
        (Some(SignatureScheme(0x0708)), _) if !version.is_tls13() => SM2_OF_CERTIFICATES,
        (Some(scheme), _) => by_scheme(scheme),
        (None, Some(Material::Ec(curve::SM2, _))) => SM2_OF_CERTIFICATES,
        (None, _) if version == Version::TLCP => Algorithm::Unsupported("TLCP without SM2"),
        (None, _) if version >= Version::TLS12 => {
            Algorithm::Unsupported("TLS 1.2 without a signature scheme")
        }
        (None, Some(Material::Ec(..))) => Algorithm::Ecdsa(Hash::Sha1),
        (None, Some(Material::Rsa(_))) => Algorithm::Rsa(Padding::Md5Sha1),
        (None, Some(Material::Other(key_oid::DSA, _))) => Algorithm::Dsa(Hash::Sha1),
        _ => Algorithm::Unsupported("this key's signatures before TLS 1.2"),
    }
}

fn by_identifier(identifier: &[u8]) -> Algorithm {
    let unreadable = Algorithm::Unsupported("the algorithm is unreadable");
    let Some(algorithm) = Der(identifier).want(tag::SEQUENCE) else { return unreadable };
    let mut fields = algorithm.inside();
    let Some(oid) = fields.want(tag::OID) else { return unreadable };
    let pkcs1 = |hash| Algorithm::Rsa(Padding::Pkcs1(hash));
    match oid.body {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, which] => match which {
            0x02 => pkcs1(Hash::Md2),
            0x03 => Algorithm::Unsupported("MD4"),
            0x04 => pkcs1(Hash::Md5),
            0x05 => pkcs1(Hash::Sha1),
            0x0a => match Pss::read(fields.0) {
                Ok(pss) => Algorithm::Rsa(Padding::Pss(pss)),
                Err(why) => Algorithm::Unsupported(why),
            },
            0x0b => pkcs1(Hash::Sha256),
            0x0c => pkcs1(Hash::Sha384),
            0x0d => pkcs1(Hash::Sha512),
            0x0e => pkcs1(Hash::Sha224),
            _ => Algorithm::Unsupported("an RSA algorithm that is not known here"),
        },
        [0x2b, 0x0e, 0x03, 0x02, 0x1d] => pkcs1(Hash::Sha1),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => Algorithm::Ecdsa(Hash::Sha1),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, which] => match which {
            1 => Algorithm::Ecdsa(Hash::Sha224),
            2 => Algorithm::Ecdsa(Hash::Sha256),
            3 => Algorithm::Ecdsa(Hash::Sha384),
            4 => Algorithm::Ecdsa(Hash::Sha512),
            _ => Algorithm::Unsupported("an ECDSA algorithm that is not known here"),
        },
        key_oid::ED25519 => Algorithm::Ed25519,
        key_oid::ED448 => Algorithm::Unsupported("Ed448"),
        key_oid::ML_DSA_44 => Algorithm::MlDsa(44),
        key_oid::ML_DSA_65 => Algorithm::MlDsa(65),
        key_oid::ML_DSA_87 => Algorithm::MlDsa(87),
        [0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03] => Algorithm::Dsa(Hash::Sha1),
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, which @ 1..=4] => Algorithm::Dsa(match which {
            1 => Hash::Sha224,
            2 => Hash::Sha256,
            3 => Hash::Sha384,
            _ => Hash::Sha512,
        }),
        // NIST's for SHA-3: DSA from 5, ECDSA from 9, RSA from 13 on, each with 224, 256, 384 and 512 bits.
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, which @ 5..=16] => {
            let hash = match (which - 5) % 4 {
                0 => Hash::Sha3_224,
                1 => Hash::Sha3_256,
                2 => Hash::Sha3_384,
                _ => Hash::Sha3_512,
            };
            match which {
                5..=8 => Algorithm::Dsa(hash),
                9..=12 => Algorithm::Ecdsa(hash),
                _ => pkcs1(hash),
            }
        }
        [0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75] => SM2_OF_CERTIFICATES,
        // sm3WithRSAEncryption
        [0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x78] => pkcs1(Hash::Sm3),
        _ => Algorithm::Unsupported("an algorithm that is not known here"),
    }
}

fn by_scheme(scheme: SignatureScheme) -> Algorithm {
    let pkcs1 = |hash| Algorithm::Rsa(Padding::Pkcs1(hash));
    let pss = |hash| Algorithm::Rsa(Padding::Pss(Pss::of(hash)));
    match scheme.0 {
        0x0101 => pkcs1(Hash::Md5),
        0x0201 => pkcs1(Hash::Sha1),
        0x0301 => pkcs1(Hash::Sha224),
        0x0401 => pkcs1(Hash::Sha256),
        0x0501 => pkcs1(Hash::Sha384),
        0x0601 => pkcs1(Hash::Sha512),
        0x0103 => Algorithm::Ecdsa(Hash::Md5),
        0x0203 => Algorithm::Ecdsa(Hash::Sha1),
        0x0303 => Algorithm::Ecdsa(Hash::Sha224),
        // The last three are of Brainpool curves (RFC 8734).
        0x0403 | 0x081a => Algorithm::Ecdsa(Hash::Sha256),
        0x0503 | 0x081b => Algorithm::Ecdsa(Hash::Sha384),
        0x0603 | 0x081c => Algorithm::Ecdsa(Hash::Sha512),
        0x0804 | 0x0809 => pss(Hash::Sha256),
        0x0805 | 0x080a => pss(Hash::Sha384),
        0x0806 | 0x080b => pss(Hash::Sha512),
        0x0807 => Algorithm::Ed25519,
        0x0808 => Algorithm::Unsupported("Ed448"),
        0x0708 => Algorithm::Sm2(&[curves::TLS13_ID]),
        0x0904 => Algorithm::MlDsa(44),
        0x0905 => Algorithm::MlDsa(65),
        0x0906 => Algorithm::MlDsa(87),
        0x0102 => Algorithm::Dsa(Hash::Md5),
        0x0202 => Algorithm::Dsa(Hash::Sha1),
        0x0302 => Algorithm::Dsa(Hash::Sha224),
        0x0402 => Algorithm::Dsa(Hash::Sha256),
        0x0502 => Algorithm::Dsa(Hash::Sha384),
        0x0602 => Algorithm::Dsa(Hash::Sha512),
        _ => Algorithm::Unsupported("a scheme that is not known here"),
    }
}

fn is_by_key(spki: &[u8], algorithm: Algorithm, signature: &[u8]) -> Option<bool> {
    match (algorithm, material(spki)?) {
        (Algorithm::Rsa(padding), Material::Rsa(key)) => rsa::is_padded(&key, padding, signature),
        _ => None,
    }
}

fn run(spki: &[u8], algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Verdict {
    if let Algorithm::Unsupported(why) = algorithm {
        return Verdict::Unsupported(why);
    }
    let Some(key) = material(spki) else { return Verdict::Unsupported("the key is unreadable") };
    let with: &'static dyn VerificationAlgorithm = match (algorithm, key) {
        (Algorithm::Rsa(padding), Material::Rsa(key)) => {
            return rsa::verify(&key, padding, message, signature);
        }
        (Algorithm::Ecdsa(hash), Material::Ec(curve, point)) => {
            return curves::ecdsa(curve, spki, point, hash, message, signature);
        }
        (Algorithm::Dsa(hash), Material::Other(key_oid::DSA, _)) => {
            return dsa::verify(spki, hash, message, signature);
        }
        (Algorithm::Sm2(ids), Material::Ec(curve::SM2, point)) => {
            return curves::sm2(point, ids, message, signature);
        }
        (Algorithm::Ed25519, Material::Other(key_oid::ED25519, _)) => &lc::ED25519,
        (Algorithm::MlDsa(44), Material::Other(key_oid::ML_DSA_44, _)) => &lc::ML_DSA_44,
        (Algorithm::MlDsa(65), Material::Other(key_oid::ML_DSA_65, _)) => &lc::ML_DSA_65,
        (Algorithm::MlDsa(87), Material::Other(key_oid::ML_DSA_87, _)) => &lc::ML_DSA_87,
        _ => return Verdict::Bad,
    };
    match UnparsedPublicKey::new(with, spki).verify(message, signature) {
        Ok(()) => Verdict::Good,
        Err(_) => Verdict::Bad,
    }
}
