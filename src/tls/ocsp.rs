//! Online certificate status: requests and responses (RFC 6960).

use super::cert::{Certificate, hex};
use super::der::{Der, Tlv, bit_string, dotted, small, tag, time};
use super::signature::{Verdict, verify};
use crate::base::Stamp;
use aws_lc_rs::digest;

/// Answers and questions kept of one message; in use there is one.
const MOST: usize = 64;
/// Certificates kept of one response; in use there is at most one.
const CERTIFICATES: usize = 4;

/// Which certificate is asked about (RFC 6960 section 4.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertId {
    /// The hash algorithm, as a dotted OID.
    pub hash: String,
    /// Hash of the issuer's name.
    pub issuer_name_hash: Vec<u8>,
    /// Hash of the issuer's key.
    pub issuer_key_hash: Vec<u8>,
    /// Serial number as upper-case hexadecimal, as in [`Certificate::serial`].
    pub serial: String,
}

/// How the responder took the request (RFC 6960 section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There are answers.
    Successful,
    /// The request was malformed.
    MalformedRequest,
    /// The responder failed.
    InternalError,
    /// Try again later.
    TryLater,
    /// The request must be signed.
    SigRequired,
    /// The responder does not answer for this certificate.
    Unauthorized,
    /// A number nobody has registered.
    Other(u32),
}

impl Outcome {
    /// The name of RFC 6960.
    pub fn name(self) -> &'static str {
        match self {
            Self::Successful => "successful",
            Self::MalformedRequest => "malformedRequest",
            Self::InternalError => "internalError",
            Self::TryLater => "tryLater",
            Self::SigRequired => "sigRequired",
            Self::Unauthorized => "unauthorized",
            Self::Other(_) => "unregistered status",
        }
    }
}

/// What a responder says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not revoked.
    Good,
    /// Revoked at a time, perhaps for a reason (RFC 5280 section 5.3.1).
    Revoked {
        /// When.
        at: Stamp,
        /// CRLReason.
        reason: Option<u32>,
    },
    /// The responder does not know the certificate.
    Unknown,
}

/// The word of RFC 5280 section 5.3.1 for a reason.
pub fn reason_word(reason: u32) -> &'static str {
    match reason {
        0 => "unspecified",
        1 => "keyCompromise",
        2 => "cACompromise",
        3 => "affiliationChanged",
        4 => "superseded",
        5 => "cessationOfOperation",
        6 => "certificateHold",
        8 => "removeFromCRL",
        9 => "privilegeWithdrawn",
        10 => "aACompromise",
        _ => "unregistered reason",
    }
}

/// The answer about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which certificate.
    pub id: CertId,
    /// What is said of it.
    pub status: Status,
    /// From when on this is known to be right.
    pub this_update: Stamp,
    /// When newer information will be had; `None`: always.
    pub next_update: Option<Stamp>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Bytes of the whole.
    pub len: usize,
    /// How the request was taken. Unless `Successful`, the rest is empty.
    pub outcome: Outcome,
    /// When the response was signed.
    pub produced_at: Option<Stamp>,
    /// The answers, 64 at most.
    pub answers: Vec<Answer>,
    /// Certificates that came along, 4 at most.
    pub certificates: Vec<Certificate>,
    /// The signature algorithm's identifier, DER.
    pub signature_algorithm: Vec<u8>,
    /// The nonce that it repeats (RFC 9654 section 2.1).
    pub nonce: Option<Vec<u8>>,
    responder: Vec<u8>,
    signed_bytes: Vec<u8>,
    signature: Vec<u8>,
}

impl Response {
    /// It does not say good of all that it is about, or no longer does so at this time.
    pub fn is_bad_at(&self, now: Stamp) -> bool {
        let past = |answer: &Answer| answer.next_update.is_some_and(|next| next < now);
        self.outcome != Outcome::Successful
            || self.answers.iter().any(|answer| answer.status != Status::Good || past(answer))
    }
}

impl CertId {
    fn read(id: &Tlv<'_>) -> Option<Self> {
        let mut fields = id.inside();
        let hash = fields.want(tag::SEQUENCE)?.inside().want(tag::OID)?;
        let name = fields.want(tag::OCTET_STRING)?;
        let key = fields.want(tag::OCTET_STRING)?;
        let serial = fields.want(tag::INTEGER)?;
        Some(Self {
            hash: dotted(hash.body),
            issuer_name_hash: name.body.to_vec(),
            issuer_key_hash: key.body.to_vec(),
            serial: hex(serial.body),
        })
    }

    /// Whether this is that certificate: its serial number and the hash of its issuer's name. A
    /// hash that is not known here leaves the serial number.
    pub fn is_of(&self, cert: &Certificate) -> bool {
        self.serial == cert.serial
            && self.digest(&cert.issuer_der).is_none_or(|hash| hash.as_ref() == self.issuer_name_hash)
    }

    /// Whether this certificate's key is the issuer's; `None` where the hash is not known here.
    pub fn is_issued_by(&self, issuer: &Certificate) -> Option<bool> {
        let key = spki_key(issuer)?;
        Some(self.digest(key)?.as_ref() == self.issuer_key_hash)
    }

    fn digest(&self, bytes: &[u8]) -> Option<digest::Digest> {
        let algorithm = match self.hash.as_str() {
            "1.3.14.3.2.26" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            "2.16.840.1.101.3.4.2.1" => &digest::SHA256,
            "2.16.840.1.101.3.4.2.2" => &digest::SHA384,
            "2.16.840.1.101.3.4.2.3" => &digest::SHA512,
            _ => return None,
        };
        Some(digest::digest(algorithm, bytes))
    }
}

/// The bits of a certificate's key.
fn spki_key(cert: &Certificate) -> Option<&[u8]> {
    let mut fields = Der(&cert.key.spki).want(tag::SEQUENCE)?.inside();
    fields.want(tag::SEQUENCE)?;
    bit_string(fields.want(tag::BIT_STRING)?.body)
}

/// Reads a request (RFC 6960 section 4.1.1): the certificates asked about, 64 at most. `None`:
/// the bytes are no request.
pub fn read_request(der: &[u8]) -> Option<Vec<CertId>> {
    let request = Der(der).want(tag::SEQUENCE)?;
    let mut fields = request.inside().want(tag::SEQUENCE)?.inside();
    let _ = fields.want(tag::context(0)); // version
    let _ = fields.want(tag::context(1)); // requestorName
    let list = fields.want(tag::SEQUENCE)?;
    let mut ids = Vec::new();
    for request in list.inside().take(MOST) {
        ids.push(CertId::read(&request.inside().want(tag::SEQUENCE)?)?);
    }
    (!ids.is_empty()).then_some(ids)
}

/// The nonce of a request (RFC 9654 section 2.1).
pub fn request_nonce(der: &[u8]) -> Option<Vec<u8>> {
    let request = Der(der).want(tag::SEQUENCE)?;
    let extensions =
        request.inside().want(tag::SEQUENCE)?.inside().find(|field| field.tag == tag::context(2))?;
    nonce(&extensions)
}

/// The nonce among these extensions. Some write its value without the OCTET STRING around it.
fn nonce(extensions: &Tlv<'_>) -> Option<Vec<u8>> {
    for extension in extensions.inside().want(tag::SEQUENCE)?.inside() {
        let mut fields = extension.inside();
        if fields.want(tag::OID)?.body == [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02] {
            let _ = fields.want(tag::BOOLEAN);
            let value = fields.want(tag::OCTET_STRING)?;
            let inner =
                value.inside().want(tag::OCTET_STRING).filter(|inner| inner.whole.len() == value.body.len());
            return Some(inner.map_or(value.body, |inner| inner.body).to_vec());
        }
    }
    None
}

/// Who signed a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The issuer.
    Issuer,
    /// Somebody whom the issuer entitled to.
    Delegate,
    /// Nobody who may, and why: what the response is or has.
    Untrusted(&'static str),
    /// Cannot be told here.
    Unknown,
}

impl Signer {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Issuer | Self::Delegate => "good",
            Self::Untrusted(_) => "bad",
            Self::Unknown => "unknown",
        }
    }
}

impl Response {
    /// Reads a response (RFC 6960 section 4.2.1). `None`: the bytes are no response, or one of
    /// another type than id-pkix-ocsp-basic.
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut fields = Der(der).want(tag::SEQUENCE)?.inside();
        let outcome = match small(fields.want(tag::ENUMERATED)?.body)? {
            0 => Outcome::Successful,
            1 => Outcome::MalformedRequest,
            2 => Outcome::InternalError,
            3 => Outcome::TryLater,
            5 => Outcome::SigRequired,
            6 => Outcome::Unauthorized,
            other => Outcome::Other(other),
        };
        let mut response = Self {
            len: der.len(),
            outcome,
            produced_at: None,
            answers: Vec::new(),
            certificates: Vec::new(),
            signature_algorithm: Vec::new(),
            nonce: None,
            responder: Vec::new(),
            signed_bytes: Vec::new(),
            signature: Vec::new(),
        };
        let Some(bytes) = fields.want(tag::context(0)) else {
            return (outcome != Outcome::Successful).then_some(response);
        };
        let mut fields = bytes.inside().want(tag::SEQUENCE)?.inside();
        if fields.want(tag::OID)?.body != [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01] {
            return None;
        }
        response.basic(fields.want(tag::OCTET_STRING)?.body)?;
        Some(response)
    }

    fn basic(&mut self, der: &[u8]) -> Option<()> {
        let mut fields = Der(der).want(tag::SEQUENCE)?.inside();
        let data = fields.want(tag::SEQUENCE)?;
        self.signed_bytes = data.whole.to_vec();
        self.signature_algorithm = fields.want(tag::SEQUENCE)?.whole.to_vec();
        self.signature = bit_string(fields.want(tag::BIT_STRING)?.body)?.to_vec();
        if let Some(list) = fields.want(tag::context(0)) {
            let list = list.inside().want(tag::SEQUENCE)?;
            self.certificates =
                list.inside().take(CERTIFICATES).map(|cert| Certificate::parse(cert.whole)).collect();
        }

        let mut fields = data.inside();
        let _ = fields.want(tag::context(0)); // version
        self.responder = fields.next()?.whole.to_vec(); // by name or by key
        self.produced_at = Some(time(&fields.want(tag::GENERALIZED_TIME)?)?);
        for answer in fields.want(tag::SEQUENCE)?.inside().take(MOST) {
            self.answers.push(Answer::read(&answer)?);
        }
        self.nonce = fields.want(tag::context(1)).and_then(|extensions| nonce(&extensions));
        Some(())
    }

    /// The answer about a certificate.
    pub fn about(&self, cert: &Certificate) -> Option<&Answer> {
        self.answers.iter().find(|answer| answer.id.is_of(cert))
    }

    /// Who signed this: the issuer, or somebody whom the issuer entitled to (RFC 6960 section 4.2.2.2): with a certificate
    /// of the same CA for OCSPSigning, which is valid at capture time.
    pub fn signer(&self, issuer: &Certificate, at: Stamp) -> Signer {
        let by = |key: &Certificate| {
            verify(&key.key.spki, &self.signature_algorithm, &self.signed_bytes, &self.signature)
        };
        let direct = by(issuer);
        if direct.holds() {
            return Signer::Issuer;
        }
        let mut why = None;
        for delegate in &self.certificates {
            let signed = by(delegate);
            if !signed.holds() {
                continue;
            }
            let purposes = delegate.extended_key_usage.as_deref().unwrap_or_default();
            if !purposes.iter().any(|purpose| purpose == "1.3.6.1.5.5.7.3.9") {
                why = Some("is signed with a certificate that is not for OCSPSigning");
            } else if delegate.issuer_der != issuer.subject_der || delegate.signed_by(issuer).fails() {
                why = Some("is signed with a certificate that is not of the certificate's issuer");
            } else if !delegate.signed_by(issuer).holds() {
                return Signer::Unknown;
            } else if at < delegate.not_before || at > delegate.not_after {
                why = Some("is signed with a certificate that is not valid at capture time");
            } else {
                return Signer::Delegate;
            }
        }
        match why {
            Some(why) => Signer::Untrusted(why),
            None if direct.fails() && (!self.certificates.is_empty() || self.names(issuer)) => {
                Signer::Untrusted("has a signature that does not verify")
            }
            None => Signer::Unknown,
        }
    }

    /// Whether the responder calls itself by this name or key.
    fn names(&self, issuer: &Certificate) -> bool {
        let Some(id) = Der(&self.responder).next() else { return false };
        match id.tag {
            0xa1 => id.body == issuer.subject_der,
            _ => spki_key(issuer).is_some_and(|key| {
                let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key);
                id.inside().next().is_some_and(|octets| octets.body == hash.as_ref())
            }),
        }
    }

    /// Whether the issuer signed this, or somebody whom the issuer entitled to (RFC 6960 section
    /// 4.2.2.2: a certificate issued directly by the same CA, with the purpose OCSPSigning).
    pub fn signed(&self, issuer: &Certificate) -> Verdict {
        let by = |key: &Certificate| {
            verify(&key.key.spki, &self.signature_algorithm, &self.signed_bytes, &self.signature)
        };
        let direct = by(issuer);
        if !direct.fails() {
            return direct;
        }
        let purposes = |cert: &Certificate| cert.extended_key_usage.clone().unwrap_or_default();
        let delegates = self
            .certificates
            .iter()
            .filter(|cert| purposes(cert).iter().any(|purpose| purpose == "1.3.6.1.5.5.7.3.9"));
        for delegate in delegates {
            let entitled = delegate.signed_by(issuer);
            if !entitled.fails() && by(delegate).holds() {
                return entitled;
            }
        }
        direct
    }
}

impl Answer {
    fn read(answer: &Tlv<'_>) -> Option<Self> {
        let mut fields = answer.inside();
        let id = CertId::read(&fields.want(tag::SEQUENCE)?)?;
        let status = fields.next()?;
        let status = match status.tag {
            0x80 => Status::Good,
            0xa1 => {
                let mut revoked = status.inside();
                let at = time(&revoked.want(tag::GENERALIZED_TIME)?)?;
                let reason = match revoked.want(tag::context(0)) {
                    Some(reason) => Some(small(reason.inside().want(tag::ENUMERATED)?.body)?),
                    None => None,
                };
                Status::Revoked { at, reason }
            }
            0x82 => Status::Unknown,
            _ => return None,
        };
        let this_update = time(&fields.want(tag::GENERALIZED_TIME)?)?;
        let next_update = match fields.want(tag::context(0)) {
            Some(next) => Some(time(&next.inside().want(tag::GENERALIZED_TIME)?)?),
            None => None,
        };
        Some(Self { id, status, this_update, next_update })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::cert::forge::{Forge, Key, der, ecdsa_sha256, seq, year};

    const SHA1: [u8; 5] = [0x2b, 0x0e, 0x03, 0x02, 0x1a];

    fn id(cert: &Certificate) -> Vec<u8> {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &cert.issuer_der);
        seq(&[
            &seq(&[&der(tag::OID, &SHA1)]),
            &der(tag::OCTET_STRING, hash.as_ref()),
            &der(tag::OCTET_STRING, &[7; 20]),
            &der(tag::INTEGER, &[0x05, 0xa0]),
        ])
    }

    fn moment(text: &str) -> Vec<u8> {
        der(tag::GENERALIZED_TIME, text.as_bytes())
    }

    fn response(cert: &Certificate, status: &[u8], by: &Key, along: &[u8]) -> Vec<u8> {
        let next = der(tag::context(0), &moment("20250108000000Z"));
        let answer = seq(&[&id(cert), status, &moment("20250101000000Z"), &next]);
        let data =
            seq(&[&der(tag::context(2), &der(4, &[1; 20])), &moment("20250101000000Z"), &seq(&[&answer])]);
        let bits = [&[0][..], &by.sign(&data)].concat();
        let along = if along.is_empty() { Vec::new() } else { der(tag::context(0), &seq(&[along])) };
        let basic = seq(&[&data, &ecdsa_sha256(), &der(tag::BIT_STRING, &bits), &along]);
        let kind = der(tag::OID, &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01]);
        let bytes = seq(&[&kind, &der(tag::OCTET_STRING, &basic)]);
        seq(&[&der(tag::ENUMERATED, &[0]), &der(tag::context(0), &bytes)])
    }

    #[test]
    fn a_good_answer_is_read_and_verified() {
        let (key, issuer, leaf) = Forge::issuer_and_leaf();
        let response = Response::read(&response(&leaf, &[0x80, 0], &key, &[])).unwrap();
        let answer = response.about(&leaf).unwrap();
        assert_eq!(answer.status, Status::Good);
        assert_eq!(answer.this_update, year(2025));
        assert_eq!(answer.next_update.unwrap().date(), "2025-01-08");
        assert_eq!(response.signed(&issuer), Verdict::Good);
        let other = Key::new();
        let stranger = Forge::ca("Issuer", "Issuer").sign(&other, &other);
        assert_eq!(response.signed(&stranger), Verdict::Bad);
    }

    #[test]
    fn a_revocation_carries_its_time_and_reason() {
        let (key, _, leaf) = Forge::issuer_and_leaf();
        let reason = der(tag::context(0), &der(tag::ENUMERATED, &[1]));
        let status = der(0xa1, &[moment("20240601000000Z"), reason].concat());
        let response = Response::read(&response(&leaf, &status, &key, &[])).unwrap();
        let Status::Revoked { at, reason } = response.about(&leaf).unwrap().status else { panic!() };
        assert_eq!(at.date(), "2024-06-01");
        assert_eq!(reason.map(reason_word), Some("keyCompromise"));
    }

    #[test]
    fn a_delegate_needs_the_purpose_ocsp_signing() {
        let (key, issuer, leaf) = Forge::issuer_and_leaf();
        let delegate_key = Key::new();
        let purpose = seq(&[&der(tag::OID, &[0x2b, 6, 1, 5, 5, 7, 3, 9])]);
        let plain = Forge::bare("Responder", "Issuer");
        let entitled = plain.clone().with(&[0x55, 0x1d, 37], false, &purpose);
        for (delegate, want) in [(entitled, Verdict::Good), (plain, Verdict::Bad)] {
            let along = delegate.der(&delegate_key, &key);
            let response = Response::read(&response(&leaf, &[0x80, 0], &delegate_key, &along)).unwrap();
            assert_eq!(response.signed(&issuer), want);
            let signer = response.signer(&issuer, year(2025));
            assert_eq!(signer.word(), if want.holds() { "good" } else { "bad" });
        }
    }

    #[test]
    fn a_refusal_has_no_answers() {
        let response = Response::read(&[0x30, 3, 0x0a, 1, 3]).unwrap();
        assert_eq!((response.outcome, response.answers.len()), (Outcome::TryLater, 0));
        assert_eq!(Response::read(&[0x30, 3, 0x0a, 1, 0]), None);
    }

    #[test]
    fn a_request_names_its_certificates() {
        let (_, _, leaf) = Forge::issuer_and_leaf();
        let list = seq(&[&seq(&[&id(&leaf)])]);
        let ids = read_request(&seq(&[&seq(&[&list])])).unwrap();
        assert!(ids[0].is_of(&leaf));
        assert_eq!(read_request(b"0\x00"), None);
    }

    #[test]
    fn cut_responses_are_refused_without_panic() {
        let (key, _, leaf) = Forge::issuer_and_leaf();
        let whole = response(&leaf, &[0x80, 0], &key, &[]);
        for cut in 0..whole.len() {
            assert_eq!(Response::read(&whole[..cut]), None, "{cut}");
        }
    }
}
