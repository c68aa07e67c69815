//! Certificates made for tests, well formed or not.

use super::super::der::tag;
use super::Certificate;
use crate::base::Stamp;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use std::sync::Arc;

/// One DER element.
pub fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let mut all = vec![tag];
    match len {
        0..=0x7f => all.push(len as u8),
        0x80..=0xff => all.extend([0x81, len as u8]),
        _ => all.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    all.extend_from_slice(body);
    all
}

/// A SEQUENCE of elements.
pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    der(tag::SEQUENCE, &parts.concat())
}

/// A name of one common name.
pub fn name(common: &str) -> Vec<u8> {
    let pair = seq(&[&der(tag::OID, &[0x55, 4, 3]), &der(tag::UTF8_STRING, common.as_bytes())]);
    seq(&[&der(tag::SET, &pair)])
}

/// An ECDSA key on P-256.
pub struct Key(pub EcdsaKeyPair);

impl Key {
    pub fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub fn spki(&self) -> Vec<u8> {
        let curve = der(tag::OID, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
        let kind = der(tag::OID, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]);
        let mut point = vec![0];
        point.extend_from_slice(self.0.public_key().as_ref());
        seq(&[&seq(&[&kind, &curve]), &der(tag::BIT_STRING, &point)])
    }

    /// The key identifier: the first eight bytes of the public point.
    pub fn id(&self) -> Vec<u8> {
        self.0.public_key().as_ref()[1..9].to_vec()
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }
}

/// `ecdsa-with-SHA256`.
pub fn ecdsa_sha256() -> Vec<u8> {
    seq(&[&der(tag::OID, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])])
}

/// Midnight of the first of a year.
pub fn year(year: i64) -> Stamp {
    let leaps = (1970..year).filter(|y| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0)).count() as i64;
    Stamp::from_secs(((year - 1970) * 365 + leaps) * 86_400)
}

fn time(stamp: Stamp) -> Vec<u8> {
    let digits: String = stamp.to_string().chars().take(19).filter(char::is_ascii_digit).collect();
    match digits.strip_prefix("20").filter(|_| stamp < year(2050)) {
        Some(digits) => der(tag::UTC_TIME, format!("{digits}Z").as_bytes()),
        None => der(tag::GENERALIZED_TIME, format!("{digits}Z").as_bytes()),
    }
}

/// A certificate to be made.
#[derive(Clone)]
pub struct Forge {
    pub subject: Vec<u8>,
    pub issuer: Vec<u8>,
    pub from: Stamp,
    pub until: Stamp,
    pub extensions: Vec<Vec<u8>>,
    /// Breaks the signature.
    pub spoil: bool,
    /// Replaces the key's SubjectPublicKeyInfo.
    pub spki: Option<Vec<u8>>,
}

impl Forge {
    /// Valid through 2024 and 2025, no extensions.
    pub fn bare(subject: &str, issuer: &str) -> Self {
        Self {
            subject: name(subject),
            issuer: name(issuer),
            from: year(2024),
            until: year(2026),
            extensions: Vec::new(),
            spoil: false,
            spki: None,
        }
    }

    /// A server's certificate for one DNS name.
    pub fn leaf(host: &str, issuer: &str) -> Self {
        let san = seq(&[&der(0x82, host.as_bytes())]);
        Self::bare(host, issuer).with(&[0x55, 0x1d, 17], false, &san)
    }

    /// A CA with its key, and a leaf of it.
    pub fn issuer_and_leaf() -> (Key, Arc<Certificate>, Arc<Certificate>) {
        let (key, leaf_key) = (Key::new(), Key::new());
        let issuer = Self::ca("Issuer", "Issuer").sign(&key, &key);
        let leaf = Self::leaf("example.com", "Issuer").sign(&leaf_key, &key);
        (key, issuer, leaf)
    }

    /// A CA's certificate.
    pub fn ca(subject: &str, issuer: &str) -> Self {
        let yes = seq(&[&der(tag::BOOLEAN, &[0xff])]);
        Self::bare(subject, issuer).with(&[0x55, 0x1d, 19], true, &yes).with(
            &[0x55, 0x1d, 15],
            true,
            &der(tag::BIT_STRING, &[1, 0x06]),
        )
    }

    pub fn with(mut self, oid: &[u8], critical: bool, value: &[u8]) -> Self {
        let flag = if critical { der(tag::BOOLEAN, &[0xff]) } else { Vec::new() };
        let value = der(tag::OCTET_STRING, value);
        self.extensions.push(seq(&[&der(tag::OID, oid), &flag, &value]));
        self
    }

    /// The extension is left out.
    pub fn without(mut self, oid: &[u8]) -> Self {
        let needle = der(tag::OID, oid);
        self.extensions.retain(|extension| !extension[2..].starts_with(&needle));
        self
    }

    pub fn dated(mut self, from: Stamp, until: Stamp) -> Self {
        (self.from, self.until) = (from, until);
        self
    }

    /// The DER bytes, for `key`, signed by `by`, with both key identifiers.
    pub fn der(&self, key: &Key, by: &Key) -> Vec<u8> {
        let forge = self.clone().with(&[0x55, 0x1d, 14], false, &der(tag::OCTET_STRING, &key.id())).with(
            &[0x55, 0x1d, 35],
            false,
            &seq(&[&der(0x80, &by.id())]),
        );
        forge.der_without_ids(key, by)
    }

    /// As [`Forge::der`], without key identifiers.
    pub fn der_without_ids(&self, key: &Key, by: &Key) -> Vec<u8> {
        let spki = self.spki.clone().unwrap_or_else(|| key.spki());
        let tbs = seq(&[
            &der(tag::context(0), &der(tag::INTEGER, &[2])),
            &der(tag::INTEGER, &[0x05, 0xa0]),
            &ecdsa_sha256(),
            &self.issuer,
            &seq(&[&time(self.from), &time(self.until)]),
            &self.subject,
            &spki,
            &if self.extensions.is_empty() {
                Vec::new()
            } else {
                der(tag::context(3), &der(tag::SEQUENCE, &self.extensions.concat()))
            },
        ]);
        let signature = if self.spoil { by.sign(b"something else") } else { by.sign(&tbs) };
        let bits = [&[0][..], &signature].concat();
        seq(&[&tbs, &ecdsa_sha256(), &der(tag::BIT_STRING, &bits)])
    }

    /// The certificate.
    pub fn sign(&self, key: &Key, by: &Key) -> Arc<Certificate> {
        Arc::new(Certificate::parse(&self.der(key, by)))
    }
}
