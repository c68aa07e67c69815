//! Roots that a verifier trusts. Reads no files: whoever calls brings the bytes.
//!
//! Captures may be years old, and are judged as of their own time: beside Mozilla's present roots
//! stand 134 that left its programme between 2012 and 2026 (`trust/retired.der`, taken from past
//! releases of certifi; the data are Mozilla's, MPL 2.0).

use super::cert::{Canonical, Certificate, canonical_name};
use super::der::{Der, tag};
use crate::base::base64;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Roots that were Mozilla's, one DER certificate after another.
static RETIRED: &[u8] = include_bytes!("trust/retired.der");

/// Trusted roots, found by their subject.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    name: String,
    /// Anchors by subject (DER). Most names have one.
    by_subject: HashMap<Vec<u8>, Vec<Anchor>>,
    /// Subjects (DER) by their canonical form, made when first asked for: comparing with every root in turn took
    /// two fifths of the time on a capture of many distinct chains.
    alike: OnceLock<HashMap<Canonical, Vec<Vec<u8>>>>,
    count: usize,
}

/// A root as bytes, parsed when a path first reaches it.
#[derive(Clone, Debug)]
struct Anchor {
    der: Bytes,
    /// In Mozilla's programme, hence under the CA/Browser Forum's rules.
    public: bool,
    cert: Arc<OnceLock<Arc<Certificate>>>,
}

#[derive(Clone, Debug)]
enum Bytes {
    Built(&'static [u8]),
    Read(Arc<[u8]>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Built(der) => der,
            Self::Read(der) => der,
        }
    }
}

/// A root that a path may end in.
#[derive(Clone, Debug)]
pub struct Root {
    /// The certificate.
    pub cert: Arc<Certificate>,
    /// It is one of Mozilla's, hence under the CA/Browser Forum's rules.
    pub public: bool,
}

/// Why bytes are no store of roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustError {
    /// Neither PEM with a CERTIFICATE block nor a DER certificate.
    NoCertificate,
    /// The base64 of the n-th CERTIFICATE block (from 1) does not decode.
    BadPem(usize),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => {
                f.write_str("no certificate inside (want PEM with BEGIN CERTIFICATE, or DER)")
            }
            Self::BadPem(n) => write!(f, "the base64 of certificate {n} does not decode"),
        }
    }
}

impl std::error::Error for TrustError {}

impl Trust {
    /// Where systems keep their roots as one PEM file, in the order to try.
    pub const SYSTEM_FILES: [&str; 6] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
        "/usr/local/share/certs/ca-root-nss.crt",
    ];

    /// Roots kept at most: the largest stores in use have a few hundred.
    pub const MOST: usize = 16_384;

    /// No roots at all.
    pub fn empty(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Mozilla's roots for TLS servers, past and present, as built in. Those that left in disgrace
    /// are told apart when a path ends in one (`DistrustedCa`).
    pub fn mozilla() -> Self {
        let mut trust = Self::empty("mozilla");
        for der in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            let der: &'static [u8] = der;
            trust.insert(der, || Bytes::Built(der), true);
        }
        for root in Der(RETIRED) {
            trust.insert(root.whole, || Bytes::Built(root.whole), true);
        }
        trust
    }

    /// Roots from a file's contents: PEM with any number of certificates, or one in DER.
    /// `name` is for messages. Roots that are Mozilla's are known as public.
    pub fn from_pem(name: &str, bytes: &[u8]) -> Result<Self, TrustError> {
        let mut trust = Self::empty(name);
        for der in certificates(bytes)? {
            trust.add(&der);
        }
        Ok(trust)
    }

    /// Adds one root.
    pub fn add(&mut self, der: &[u8]) {
        let public = built_in(der);
        self.insert(der, || Bytes::Read(Arc::from(der)), public);
    }

    fn insert(&mut self, der: &[u8], bytes: impl FnOnce() -> Bytes, public: bool) {
        if self.count >= Self::MOST {
            return;
        }
        let Some(subject) = subject(der) else { return };
        let anchors = self.by_subject.entry(subject.to_vec()).or_default();
        if anchors.iter().any(|anchor| *anchor.der == *der) {
            return;
        }
        anchors.push(Anchor { der: bytes(), public, cert: Arc::default() });
        self.count += 1;
        self.alike = OnceLock::new();
    }

    /// Adds all roots of another store.
    pub fn extend(&mut self, other: &Self) {
        self.alike = OnceLock::new();
        for (subject, anchors) in &other.by_subject {
            let own = self.by_subject.entry(subject.clone()).or_default();
            for anchor in anchors {
                if self.count < Self::MOST && !own.iter().any(|known| *known.der == *anchor.der) {
                    own.push(anchor.clone());
                    self.count += 1;
                }
            }
        }
        if self.name.is_empty() {
            self.name.clone_from(&other.name);
        } else if !other.name.is_empty() && self.name != other.name {
            self.name = format!("{} + {}", self.name, other.name);
        }
    }

    /// What the store is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Roots held.
    pub fn len(&self) -> usize {
        self.count
    }

    /// No root is held.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The roots of a name, compared byte by byte.
    pub fn named(&self, subject: &[u8]) -> Vec<Root> {
        self.by_subject.get(subject).into_iter().flatten().map(Anchor::root).collect()
    }

    /// As [`Trust::named`], with the comparison of RFC 5280 section 7.1. Walks all names.
    pub fn named_alike(&self, subject: &[u8]) -> Vec<Root> {
        let index = self.alike.get_or_init(|| {
            let mut index: HashMap<Canonical, Vec<Vec<u8>>> = HashMap::new();
            for name in self.by_subject.keys() {
                if let Some(canonical) = canonical_name(name) {
                    index.entry(canonical).or_default().push(name.clone());
                }
            }
            for names in index.values_mut() {
                names.sort_unstable();
            }
            index
        });
        let names = canonical_name(subject).and_then(|canonical| index.get(&canonical));
        names.into_iter().flatten().flat_map(|name| self.named(name)).collect()
    }

    /// Whether this very certificate is a root, and if so whether a public one.
    pub fn holds(&self, cert: &Certificate) -> Option<bool> {
        let anchors = self.by_subject.get(&cert.subject_der)?;
        anchors.iter().find(|anchor| *anchor.der == *cert.der).map(|anchor| anchor.public)
    }
}

impl Anchor {
    fn root(&self) -> Root {
        let cert = self.cert.get_or_init(|| Arc::new(Certificate::parse(&self.der)));
        Root { cert: cert.clone(), public: self.public }
    }
}

/// Whether these bytes are one of Mozilla's roots, past or present.
fn built_in(der: &[u8]) -> bool {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().any(|root| root.as_ref() == der)
        || Der(RETIRED).any(|root| root.whole == der)
}

/// A certificate's subject, without reading the rest.
fn subject(der: &[u8]) -> Option<&[u8]> {
    let mut fields = Der(der).want(tag::SEQUENCE)?.inside().want(tag::SEQUENCE)?.inside();
    let _ = fields.want(tag::context(0));
    fields.want(tag::INTEGER)?; // serialNumber
    fields.want(tag::SEQUENCE)?; // signature
    fields.want(tag::SEQUENCE)?; // issuer
    fields.want(tag::SEQUENCE)?; // validity
    Some(fields.want(tag::SEQUENCE)?.whole)
}

/// The DER certificates in a file: every `CERTIFICATE`, `X509 CERTIFICATE` and `TRUSTED CERTIFICATE`
/// block of PEM (RFC 7468; of the last the certificate only), or the one certificate in DER.
/// At most [`Trust::MOST`].
pub fn certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, TrustError> {
    if bytes.first() == Some(&tag::SEQUENCE) {
        return match Der(bytes).want(tag::SEQUENCE) {
            Some(cert) if subject(cert.whole).is_some() => Ok(vec![cert.whole.to_vec()]),
            _ => Err(TrustError::NoCertificate),
        };
    }
    let text = String::from_utf8_lossy(bytes);
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(label) = line.strip_prefix("-----BEGIN ") {
            block = label.ends_with("CERTIFICATE-----").then(String::new);
        } else if line.starts_with("-----END ") {
            let Some(text) = block.take() else { continue };
            let number = found.len() + 1;
            let der = base64::decode(&text).ok_or(TrustError::BadPem(number))?;
            let cert = Der(&der).want(tag::SEQUENCE).ok_or(TrustError::BadPem(number))?;
            found.push(cert.whole.to_vec());
            if found.len() >= Trust::MOST {
                break;
            }
        } else if let Some(block) = &mut block {
            block.push_str(line);
        }
    }
    if found.is_empty() { Err(TrustError::NoCertificate) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mozilla_roots_are_found_by_subject_and_are_public() {
        let trust = Trust::mozilla();
        assert!(trust.len() > 100);
        let der = webpki_root_certs::TLS_SERVER_ROOT_CERTS[0].as_ref();
        let cert = Certificate::parse(der);
        assert_eq!(cert.damage, None);
        assert_eq!(trust.holds(&cert), Some(true));
        assert_eq!(trust.named(&cert.subject_der).len(), 1);
        assert!(trust.named(b"nobody").is_empty());
    }

    #[test]
    fn roots_of_the_past_are_trusted_too() {
        let trust = Trust::mozilla();
        let retired: Vec<Certificate> = Der(RETIRED).map(|root| Certificate::parse(root.whole)).collect();
        assert_eq!(retired.len(), 134);
        assert!(retired.iter().all(|root| trust.holds(root) == Some(true)));
        assert!(retired.iter().any(|root| root.subject.contains("CN=DST Root CA X3")));
    }

    #[test]
    fn a_file_without_certificate_is_refused() {
        let key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(Trust::from_pem("x", key).err(), Some(TrustError::NoCertificate));
        assert_eq!(Trust::from_pem("x", b"").err(), Some(TrustError::NoCertificate));
        let broken = b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        assert_eq!(Trust::from_pem("x", broken).err(), Some(TrustError::BadPem(1)));
    }
}
