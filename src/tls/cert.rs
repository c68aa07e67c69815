//! The certificate fields that causes read.
//!
//! Reading never fails: what can be read is, and [`Certificate::damage`] says what could not.

mod ahead;
mod cache;
mod extensions;
#[cfg(test)]
pub(crate) mod forge;
mod key;
mod name;
mod quirks;
mod read;

pub use ahead::Ahead;
pub use cache::CertCache;
pub(in crate::tls) use key::{
    Material, RsaKey, curve, fault_of_key, material, numbers_of_curve, oid as key_oid,
};
pub use name::{
    COMMON_NAME, Canonical, EMAIL, canonical as canonical_name, same as same_name, text as name_text,
    values as values_of_name,
};
pub(in crate::tls) use read::hex;

use crate::base::Stamp;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A certificate as presented: its bytes, and what could be read from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The DER bytes.
    pub der: Arc<[u8]>,
    /// SHA-256 of the DER bytes.
    pub sha256: [u8; 32],
    /// Serial number as upper-case hexadecimal without separators.
    pub serial: String,
    /// Subject as a person reads it (RFC 4514 order as presented: `CN=…, O=…`).
    pub subject: String,
    /// Issuer as a person reads it.
    pub issuer: String,
    /// Subject as DER, for comparison (RFC 5280 section 7.1, byte-wise as most stacks do).
    pub subject_der: Vec<u8>,
    /// Issuer as DER.
    pub issuer_der: Vec<u8>,
    /// First moment of validity.
    pub not_before: Stamp,
    /// Last second of validity.
    pub not_after: Stamp,
    /// Common name of the subject, the last where there are several.
    pub common_name: Option<String>,
    /// Names in subjectAltName; `None` where the extension is absent.
    pub alt_names: Option<AltNames>,
    /// subjectAltName is critical.
    pub alt_names_critical: bool,
    /// The public key.
    pub key: PublicKey,
    /// Name of the signature algorithm, e.g. `sha256WithRSAEncryption`, `ecdsa-with-SHA384`.
    pub signature_algorithm: String,
    /// The signature algorithm's identifier with parameters, DER.
    pub signature_algorithm_der: Vec<u8>,
    /// The signed part, as a range of `der`.
    pub tbs: std::ops::Range<usize>,
    /// The signature's bits.
    pub signature: Vec<u8>,
    /// X.509 version, from 1.
    pub version: u32,
    /// basicConstraints: `None` absent; else (cA, pathLenConstraint).
    pub basic_constraints: Option<(bool, Option<u32>)>,
    /// The basic constraints are critical.
    pub basic_constraints_critical: bool,
    /// keyUsage bits, bit 0 = digitalSignature (RFC 5280 section 4.2.1.3).
    pub key_usage: Option<u16>,
    /// extendedKeyUsage as dotted OIDs.
    pub extended_key_usage: Option<Vec<String>>,
    /// authorityKeyIdentifier's key identifier; `Some(empty)` where the extension has none.
    pub authority_key_id: Option<Vec<u8>>,
    /// subjectKeyIdentifier.
    pub subject_key_id: Option<Vec<u8>>,
    /// nameConstraints.
    pub name_constraints: Option<NameConstraints>,
    /// Critical extensions nobody here understands, as dotted OIDs.
    pub unknown_critical: Vec<String>,
    /// status_request among the TLS features (RFC 7633), "must-staple".
    pub must_staple: bool,
    /// OCSP responders.
    pub ocsp_urls: Vec<String>,
    /// CRL distribution points.
    pub crl_urls: Vec<String>,
    /// Where the issuer's certificate can be had.
    pub issuer_urls: Vec<String>,
    /// Signed certificate timestamps: how many, and the earliest.
    pub scts: (usize, Option<Stamp>),
    /// certificatePolicies is present.
    pub has_policies: bool,
    /// Rules of RFC 5280 that the certificate breaks by itself, whoever looks and whatever it is used for, and that most
    /// verifiers let pass.
    pub quirks: Vec<String>,
    /// What is wrong with the encoding, where the full parse failed and only the raw walk stands.
    pub damage: Option<String>,
    /// What verifying its signature ahead came to.
    pub ahead: Ahead,
}

/// Names in subjectAltName.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AltNames {
    /// dNSName entries as written.
    pub dns: Vec<String>,
    /// iPAddress entries.
    pub ips: Vec<IpAddr>,
    /// rfc822Name entries as written.
    pub emails: Vec<String>,
    /// uniformResourceIdentifier entries as written.
    pub uris: Vec<String>,
    /// directoryName entries, DER.
    pub directories: Vec<Vec<u8>>,
    /// Tags of entries of other kinds.
    pub others: Vec<u8>,
}

impl AltNames {
    /// The hosts: DNS names as written, and addresses.
    pub fn hosts(&self) -> impl Iterator<Item = String> {
        self.dns.iter().cloned().chain(self.ips.iter().map(ToString::to_string))
    }

    /// There is no entry of any kind.
    pub fn is_empty(&self) -> bool {
        let texts = [&self.dns, &self.emails, &self.uris];
        texts.iter().all(|list| list.is_empty())
            && self.ips.is_empty()
            && self.directories.is_empty()
            && self.others.is_empty()
    }
}

/// nameConstraints (RFC 5280 section 4.2.1.10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameConstraints {
    /// Names of these kinds must be in one of these.
    pub permitted: Vec<Subtree>,
    /// Names must be in none of these.
    pub excluded: Vec<Subtree>,
}

/// A set of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subtree {
    /// A host and what is below it, lower case.
    Dns(String),
    /// Address and mask.
    Ip(IpAddr, IpAddr),
    /// A mailbox, a host, or with a dot in front the hosts below a domain.
    Email(String),
    /// A host, or with a dot in front the hosts below a domain.
    Uri(String),
    /// The beginning of a distinguished name, DER.
    Directory(Vec<u8>),
    /// Another kind, its tag: not compared.
    Other(u8),
}

/// A public key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicKey {
    /// Kind and size.
    pub kind: KeyKind,
    /// The SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
}

/// Kind and size of a public key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, its modulus in bits.
    Rsa(u32),
    /// An elliptic curve: `P-256`, `P-384`, `P-521`, `SM2` or the dotted OID.
    Ec(String),
    /// Ed25519.
    Ed25519,
    /// Ed448.
    Ed448,
    /// ML-DSA with its parameter set: 44, 65, 87.
    MlDsa(u16),
    /// DSA, its prime in bits.
    Dsa(u32),
    /// Something else, as a dotted OID.
    Other(String),
    /// Unreadable.
    #[default]
    Unreadable,
}

impl Certificate {
    /// Subject and issuer are the same name.
    pub fn is_self_issued(&self) -> bool {
        !self.subject_der.is_empty() && self.subject_der == self.issuer_der
    }

    /// Self-issued, and its own key signed it. Costs a signature check (30 to 200 µs).
    pub fn is_self_signed(&self) -> bool {
        self.is_self_issued() && self.signed_by(self).holds()
    }

    /// Whether this certificate's signature is `issuer`'s. Names are not compared.
    pub fn signed_by(&self, issuer: &Certificate) -> super::signature::Verdict {
        if let Some(verdict) = self.ahead.by(issuer) {
            return verdict;
        }
        let signed = self.der.get(self.tbs.clone()).unwrap_or_default();
        super::signature::verify(&issuer.key.spki, &self.signature_algorithm_der, signed, &self.signature)
    }

    /// May issue certificates (RFC 5280 section 4.2.1.9): cA is set, or it is a version 1
    /// certificate, which could not say so.
    pub fn is_ca(&self) -> bool {
        match self.basic_constraints {
            Some((ca, _)) => ca,
            None => self.version == 1,
        }
    }

    /// Bit `bit` of keyUsage, 0 = digitalSignature; `None` where the extension is absent.
    pub fn may(&self, bit: u8) -> Option<bool> {
        self.key_usage.map(|usage| usage >> bit & 1 == 1)
    }

    /// The name by which a person would tell this certificate from others: its subject, else its
    /// first alternative name, else its serial number.
    pub fn called(&self) -> String {
        if !self.subject.is_empty() {
            return self.subject.clone();
        }
        match self.alt_names.as_ref().and_then(|names| names.dns.first()) {
            Some(name) => name.clone(),
            None => format!("serial {}", self.serial),
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Ec(curve) => write!(f, "EC {curve}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Ed448 => f.write_str("Ed448"),
            Self::MlDsa(set) => write!(f, "ML-DSA-{set}"),
            Self::Dsa(bits) => write!(f, "DSA {bits}"),
            Self::Other(oid) => write!(f, "algorithm {oid}"),
            Self::Unreadable => f.write_str("unreadable"),
        }
    }
}
