//! Certificate revocation lists (RFC 5280 section 5).

use super::cert::{Certificate, hex, same_name};
use super::der::{Der, bit_string, dotted, small, tag, time};
use super::signature::{Verdict, verify};
use crate::base::{Stamp, base64};

/// A list, its serial numbers in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// Who issued it, DER.
    pub issuer_der: Vec<u8>,
    /// When it was issued.
    pub this_update: Stamp,
    /// When the next one will be; `None` where it does not say.
    pub next_update: Option<Stamp>,
    /// Its cRLNumber, upper-case hexadecimal.
    pub number: Option<String>,
    /// It lists changes to another only (section 5.2.4).
    pub delta: bool,
    /// It may list certificates of other issuers (section 5.2.5).
    pub indirect: bool,
    /// Its issuingDistributionPoint, DER: which part of the issuer's certificates it is about.
    pub scope: Vec<u8>,
    /// A critical extension that is not known here: it must not be relied on to say that a certificate is not
    /// revoked, but what it lists is (section 5.2).
    pub unknown_critical: bool,
    /// Entries beyond the bound, or with serial numbers beyond 20 bytes (section 4.1.2.2), that are not kept.
    pub dropped: u64,
    entries: Vec<Entry>,
    signature_algorithm: Vec<u8>,
    signature: Vec<u8>,
    signed_bytes: Vec<u8>,
}

/// A certificate that the list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// The serial number without leading zeros, behind its length.
    serial: [u8; 21],
    reason: Option<u8>,
    at: Stamp,
}

impl Crl {
    /// Reads a list, DER or PEM, and keeps `most` entries. `None`: it is none, or not whole.
    pub fn read(bytes: &[u8], most: usize) -> Option<Self> {
        if bytes.first() == Some(&b'-') {
            return Self::of_der(&from_pem(bytes)?, most);
        }
        Self::of_der(bytes, most)
    }

    fn of_der(der: &[u8], most: usize) -> Option<Self> {
        let mut fields = Der(der).want(tag::SEQUENCE)?.inside();
        let tbs = fields.want(tag::SEQUENCE)?;
        let signature_algorithm = fields.want(tag::SEQUENCE)?.whole.to_vec();
        let signature = bit_string(fields.want(tag::BIT_STRING)?.body)?.to_vec();

        let mut fields = tbs.inside();
        let _ = fields.want(tag::INTEGER); // version, absent in the first
        fields.want(tag::SEQUENCE)?; // signature
        let issuer_der = fields.want(tag::SEQUENCE)?.whole.to_vec();
        let this_update = time(&fields.next()?)?;
        let next_update = match fields.want(tag::UTC_TIME).or_else(|| fields.want(tag::GENERALIZED_TIME)) {
            Some(next) => Some(time(&next)?),
            None => None,
        };
        let mut crl = Self {
            issuer_der,
            this_update,
            next_update,
            number: None,
            delta: false,
            indirect: false,
            scope: Vec::new(),
            unknown_critical: false,
            dropped: 0,
            entries: Vec::new(),
            signature_algorithm,
            signature,
            signed_bytes: tbs.whole.to_vec(),
        };
        if let Some(list) = fields.want(tag::SEQUENCE) {
            let mut list = list.inside();
            for entry in list.by_ref() {
                crl.entry(entry.inside(), most)?;
            }
            if !list.is_empty() {
                return None;
            }
        }
        if let Some(extensions) = fields.want(tag::context(0)) {
            crl.extensions(extensions.inside().want(tag::SEQUENCE)?.inside())?;
        }
        crl.entries.sort_unstable();
        crl.entries.shrink_to_fit();
        Some(crl)
    }

    fn entry(&mut self, mut fields: Der<'_>, most: usize) -> Option<()> {
        let number = fields.want(tag::INTEGER)?;
        let at = time(&fields.next()?)?;
        let mut reason = None;
        if let Some(extensions) = fields.want(tag::SEQUENCE) {
            for extension in extensions.inside() {
                let mut parts = extension.inside();
                // reasonCode (section 5.3.1).
                if parts.want(tag::OID)?.body == [0x55, 0x1d, 21] {
                    let _ = parts.want(tag::BOOLEAN);
                    let value = parts.want(tag::OCTET_STRING)?;
                    let code = value.inside().want(tag::ENUMERATED)?;
                    reason = small(code.body).and_then(|code| u8::try_from(code).ok());
                }
            }
        }
        match serial(number.body) {
            // removeFromCRL takes a hold back (section 5.3.1).
            Some(_) if reason == Some(8) => {}
            Some(serial) if self.entries.len() < most => self.entries.push(Entry { serial, reason, at }),
            _ => self.dropped += 1,
        }
        Some(())
    }

    fn extensions(&mut self, list: Der<'_>) -> Option<()> {
        for extension in list {
            let mut fields = extension.inside();
            let kind = fields.want(tag::OID)?.body;
            let critical = fields.want(tag::BOOLEAN).is_some_and(|critical| critical.body != [0]);
            let value = fields.want(tag::OCTET_STRING)?;
            match kind {
                [0x55, 0x1d, 20] => {
                    self.number = value.inside().want(tag::INTEGER).map(|number| hex(number.body));
                }
                [0x55, 0x1d, 27] => self.delta = true,
                [0x55, 0x1d, 28] => {
                    self.scope = value.body.to_vec();
                    let mut parts = value.inside().want(tag::SEQUENCE)?.inside();
                    self.indirect = parts.any(|part| part.tag == 0x84 && part.body != [0]);
                }
                // authorityKeyIdentifier, freshestCRL, issuerAltName, expiredCertsOnCRL.
                [0x55, 0x1d, 35 | 46 | 18 | 60] => {}
                _ => self.unknown_critical |= critical,
            }
        }
        Some(())
    }

    /// Certificates that it names.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// It names none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.entries.len() * size_of::<Entry>() + self.signed_bytes.len() + self.issuer_der.len() + 512
    }

    /// When and why a certificate was revoked, if it is of this issuer and the list names it.
    pub fn revokes(&self, cert: &Certificate) -> Option<(Stamp, Option<u8>)> {
        if !same_name(&self.issuer_der, &cert.issuer_der) || self.indirect {
            return None;
        }
        let wanted = serial(&from_hex(&cert.serial)?)?;
        let place = self.entries.binary_search_by(|entry| entry.serial.cmp(&wanted)).ok()?;
        self.entries.get(place).map(|entry| (entry.at, entry.reason))
    }

    /// The moment lies between its updates (RFC 5280 section 6.3.3: a list that is not current is none).
    pub fn is_current(&self, at: Stamp) -> bool {
        self.this_update <= at && self.next_update.is_none_or(|next| at <= next)
    }

    /// Whether this issuer signed it, and may (cRLSign, section 4.2.1.3).
    pub fn signed(&self, issuer: &Certificate) -> Verdict {
        if !same_name(&self.issuer_der, &issuer.subject_der) || issuer.may(6) == Some(false) {
            return Verdict::Bad;
        }
        verify(&issuer.key.spki, &self.signature_algorithm, &self.signed_bytes, &self.signature)
    }

    /// The signature algorithm, as a dotted OID.
    pub fn algorithm(&self) -> String {
        let oid = Der(&self.signature_algorithm)
            .want(tag::SEQUENCE)
            .and_then(|fields| fields.inside().want(tag::OID));
        oid.map_or_else(String::new, |oid| dotted(oid.body))
    }
}

/// A serial number as entries keep it; `None` where it is longer than any may be.
fn serial(number: &[u8]) -> Option<[u8; 21]> {
    let digits = super::der::magnitude(number);
    let mut kept = [0; 21];
    let (len, room) = kept.split_first_mut()?;
    *len = u8::try_from(digits.len()).ok()?;
    room.get_mut(..digits.len())?.copy_from_slice(digits);
    Some(kept)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// The list between the lines of RFC 7468.
fn from_pem(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once("-----BEGIN X509 CRL-----")?;
    let (body, _) = rest.split_once("-----END X509 CRL-----")?;
    let body: String = body.chars().filter(|letter| !letter.is_whitespace()).collect();
    base64::decode(&body)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tls::cert::forge::{Forge, Key, der, ecdsa_sha256, seq};

    /// A list by this key of the issuer's name, which names these serial numbers.
    pub(crate) fn list(issuer: &Certificate, key: &Key, serials: &[&[u8]], times: [&str; 2]) -> Vec<u8> {
        let moment = |text: &str| der(tag::GENERALIZED_TIME, text.as_bytes());
        let reason = seq(&[&seq(&[
            &der(tag::OID, &[0x55, 0x1d, 21]),
            &der(tag::OCTET_STRING, &der(tag::ENUMERATED, &[1])),
        ])]);
        let entries: Vec<Vec<u8>> = serials
            .iter()
            .map(|serial| seq(&[&der(tag::INTEGER, serial), &moment("20240601000000Z"), &reason]))
            .collect();
        let entries: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        let (from, to) = (moment(times[0]), moment(times[1]));
        let version = der(tag::INTEGER, &[1]);
        let tbs = seq(&[&version, &ecdsa_sha256(), &issuer.subject_der, &from, &to, &seq(&entries)]);
        let bits = [&[0][..], &key.sign(&tbs)].concat();
        seq(&[&tbs, &ecdsa_sha256(), &der(tag::BIT_STRING, &bits)])
    }

    /// Some list.
    pub(crate) fn any() -> Vec<u8> {
        let key = Key::new();
        list(&Forge::ca("Issuer", "Issuer").sign(&key, &key), &key, &[&[9]], WEEK)
    }

    const WEEK: [&str; 2] = ["20250101000000Z", "20250108000000Z"];

    #[test]
    fn a_listed_certificate_is_revoked_and_others_are_not() {
        let (key, issuer, leaf) = Forge::issuer_and_leaf();
        let serial = from_hex(&leaf.serial).unwrap();
        let crl = Crl::read(&list(&issuer, &key, &[&[9], &serial, &[1, 2, 3]], WEEK), 10).unwrap();
        let (at, reason) = crl.revokes(&leaf).unwrap();
        assert_eq!((at.date().as_str(), reason, crl.len()), ("2024-06-01", Some(1), 3));
        assert_eq!(crl.signed(&issuer), Verdict::Good);
        let other = Crl::read(&list(&issuer, &key, &[&[9]], WEEK), 10).unwrap();
        assert_eq!(other.revokes(&leaf), None);
        assert!(!other.is_current(other.this_update + crate::base::Span::from_secs(8 * 86_400)));
    }

    #[test]
    fn a_list_of_another_key_is_not_the_issuers() {
        let (_, issuer, _) = Forge::issuer_and_leaf();
        let crl = Crl::read(&list(&issuer, &Key::new(), &[&[9]], WEEK), 10).unwrap();
        assert_eq!(crl.signed(&issuer), Verdict::Bad);
    }

    #[test]
    fn entries_beyond_the_bound_are_counted() {
        let (key, issuer, _) = Forge::issuer_and_leaf();
        let crl = Crl::read(&list(&issuer, &key, &[&[9], &[8], &[7]], WEEK), 2).unwrap();
        assert_eq!((crl.len(), crl.dropped), (2, 1));
    }

    #[test]
    fn a_cut_list_is_none() {
        let (key, issuer, _) = Forge::issuer_and_leaf();
        let whole = list(&issuer, &key, &[&[9]], WEEK);
        for cut in 0..whole.len() {
            assert_eq!(Crl::read(&whole[..cut], 10), None, "{cut}");
        }
    }
}
