//! Certificate revocation lists (RFC 5280 section 5).

use super::cert::Certificate;
use super::der::{Der, Tlv, bit_string, magnitude, small, tag, time};
use super::signature::{Verdict, verify};
use crate::base::Stamp;
use std::sync::Arc;

/// A list as it was fetched, indexed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    der: Arc<[u8]>,
    /// The issuer's name, DER.
    pub issuer_der: Vec<u8>,
    /// When it was issued.
    pub this_update: Stamp,
    /// When the next one is due.
    pub next_update: Option<Stamp>,
    /// It lists changes only (deltaCRLIndicator), or certificates of one kind only (issuingDistributionPoint): who is not
    /// on it may be revoked all the same.
    pub partial: bool,
    signed: std::ops::Range<usize>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    /// Places in `der` of its entries, by serial number.
    entries: Vec<u32>,
}

/// What a list says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Since when.
    pub at: Stamp,
    /// CRLReason (section 5.3.1).
    pub reason: Option<u32>,
}

impl Crl {
    /// Entries read; the largest lists in use have some hundred thousand.
    const MOST: usize = 1_000_000;

    /// Reads a list. `None`: the bytes are none, or its entries are too many.
    pub fn read(der: &[u8]) -> Option<Self> {
        let outer = Der(der).want(tag::SEQUENCE)?;
        let mut fields = outer.inside();
        let list = fields.want(tag::SEQUENCE)?;
        let algorithm = fields.want(tag::SEQUENCE)?;
        let signature = bit_string(fields.want(tag::BIT_STRING)?.body)?;
        let place = |part: &Tlv<'_>| (part.whole.as_ptr() as usize).checked_sub(der.as_ptr() as usize);

        let mut fields = list.inside();
        let _ = fields.want(tag::INTEGER); // version
        fields.want(tag::SEQUENCE)?; // signature
        let issuer = fields.want(tag::SEQUENCE)?;
        let this_update = time(&fields.next()?)?;
        let dates = [tag::UTC_TIME, tag::GENERALIZED_TIME];
        let next_update = dates.into_iter().find_map(|tag| fields.want(tag)).and_then(|date| time(&date));
        let mut entries = Vec::new();
        if let Some(revoked) = fields.want(tag::SEQUENCE) {
            for entry in revoked.inside() {
                if entries.len() >= Self::MOST {
                    return None;
                }
                entries.push(u32::try_from(place(&entry)?).ok()?);
            }
        }
        let extensions = fields.want(tag::context(0)).and_then(|list| list.inside().want(tag::SEQUENCE));
        let partial = extensions.iter().flat_map(Tlv::inside).any(|extension| {
            // deltaCRLIndicator, issuingDistributionPoint
            matches!(extension.inside().want(tag::OID).map(|oid| oid.body), Some([0x55, 0x1d, 27 | 28]))
        });
        let begin = place(&list)?;
        entries.sort_by(|one, other| serial_at(der, *one).cmp(serial_at(der, *other)));
        Some(Self {
            issuer_der: issuer.whole.to_vec(),
            this_update,
            next_update,
            partial,
            signed: begin..begin + list.whole.len(),
            algorithm: algorithm.whole.to_vec(),
            signature: signature.to_vec(),
            entries,
            der: Arc::from(der),
        })
    }

    /// How many certificates it lists.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// It lists none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its bytes.
    pub fn size(&self) -> usize {
        self.der.len()
    }

    /// What it says of a certificate; `None` where it does not list it, or another CA issued it.
    pub fn revoked(&self, cert: &Certificate) -> Option<Revoked> {
        if cert.issuer_der != self.issuer_der {
            return None;
        }
        let wanted = octets(&cert.serial)?;
        let place = self
            .entries
            .binary_search_by(|&place| serial_at(&self.der, place).cmp(wanted.as_slice()))
            .ok()?;
        let mut fields =
            Der(self.der.get(*self.entries.get(place)? as usize..)?).want(tag::SEQUENCE)?.inside();
        fields.want(tag::INTEGER)?;
        let at = time(&fields.next()?)?;
        let extensions = fields.want(tag::SEQUENCE);
        let reason = extensions.iter().flat_map(Tlv::inside).find_map(|extension| {
            let mut inside = extension.inside();
            // reasonCode
            (inside.want(tag::OID)?.body == [0x55, 0x1d, 21]).then_some(())?;
            small(Der(inside.want(tag::OCTET_STRING)?.body).want(tag::ENUMERATED)?.body)
        });
        Some(Revoked { at, reason })
    }

    /// Whether this issuer signed it, and may (cRLSign, RFC 5280 section 6.3.3 (f)).
    pub fn signed(&self, issuer: &Certificate) -> Verdict {
        const CRL_SIGN: u8 = 6;
        if issuer.may(CRL_SIGN) == Some(false) {
            return Verdict::Bad;
        }
        let signed = self.der.get(self.signed.clone()).unwrap_or_default();
        verify(&issuer.key.spki, &self.algorithm, signed, &self.signature)
    }
}

/// The serial number of the entry there, without leading zeros.
fn serial_at(der: &[u8], place: u32) -> &[u8] {
    let entry = der.get(place as usize..).and_then(|rest| Der(rest).want(tag::SEQUENCE));
    let serial = entry.and_then(|entry| entry.inside().want(tag::INTEGER));
    magnitude(serial.map_or(&[], |serial| serial.body))
}

/// Octets of hexadecimal digits, without leading zeros.
fn octets(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks_exact(2);
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let all: Option<Vec<u8>> = digits.map(octet).collect();
    Some(magnitude(&all?).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::cert::forge::{Forge, Key, der, ecdsa_sha256, name, seq};

    fn moment(text: &str) -> Vec<u8> {
        der(tag::UTC_TIME, text.as_bytes())
    }

    /// A list of serial numbers.
    fn list(key: &Key, serials: &[&[u8]], extensions: &[u8]) -> Vec<u8> {
        let reason =
            seq(&[&der(tag::OID, &[0x55, 0x1d, 21]), &der(tag::OCTET_STRING, &der(tag::ENUMERATED, &[1]))]);
        let entry =
            |serial: &&[u8]| seq(&[&der(tag::INTEGER, serial), &moment("250101000000Z"), &seq(&[&reason])]);
        let entries: Vec<u8> = serials.iter().flat_map(entry).collect();
        let body = seq(&[
            &der(tag::INTEGER, &[1]),
            &ecdsa_sha256(),
            &name("Sub"),
            &moment("250101000000Z"),
            &moment("250201000000Z"),
            &der(tag::SEQUENCE, &entries),
            extensions,
        ]);
        let bits = [&[0][..], &key.sign(&body)].concat();
        seq(&[&body, &ecdsa_sha256(), &der(tag::BIT_STRING, &bits)])
    }

    #[test]
    fn a_listed_certificate_is_found_among_many_with_its_reason() {
        let key = Key::new();
        let leaf = Forge::leaf("a.example", "Sub").sign(&Key::new(), &key);
        let others: Vec<[u8; 3]> =
            (0..500_u16).map(|n| [1, n.to_be_bytes()[0], n.to_be_bytes()[1]]).collect();
        let mut serials: Vec<&[u8]> = others.iter().map(|serial| &serial[..]).collect();
        serials.insert(250, &[0x05, 0xa0]);
        let crl = Crl::read(&list(&key, &serials, &[])).unwrap();
        assert_eq!(crl.len(), 501);
        assert_eq!(crl.revoked(&leaf).and_then(|revoked| revoked.reason), Some(1));
        let without = Crl::read(&list(&key, &serials[..250], &[])).unwrap();
        assert_eq!(without.revoked(&leaf), None);
    }

    #[test]
    fn a_list_of_another_issuer_says_nothing() {
        let key = Key::new();
        let leaf = Forge::leaf("a.example", "Other").sign(&Key::new(), &key);
        assert_eq!(Crl::read(&list(&key, &[&[0x05, 0xa0]], &[])).unwrap().revoked(&leaf), None);
    }

    #[test]
    fn its_issuers_key_signed_it_and_must_be_allowed_to() {
        let key = Key::new();
        let crl = Crl::read(&list(&key, &[&[1]], &[])).unwrap();
        let issuer = Forge::ca("Sub", "Root").sign(&key, &Key::new());
        assert_eq!(crl.signed(&issuer), Verdict::Good);
        assert_eq!(crl.signed(&Forge::ca("Sub", "Root").sign(&Key::new(), &key)), Verdict::Bad);
        let usage = der(tag::BIT_STRING, &[2, 0x04]);
        let forge = Forge::ca("Sub", "Root").without(&[0x55, 0x1d, 15]).with(&[0x55, 0x1d, 15], true, &usage);
        assert_eq!(crl.signed(&forge.sign(&key, &Key::new())), Verdict::Bad, "keyCertSign alone");
    }

    #[test]
    fn a_delta_is_no_whole_list_and_other_bytes_are_none() {
        let delta =
            seq(&[&der(tag::OID, &[0x55, 0x1d, 27]), &der(tag::OCTET_STRING, &der(tag::INTEGER, &[1]))]);
        let extensions = der(tag::context(0), &seq(&[&delta]));
        assert!(Crl::read(&list(&Key::new(), &[&[1]], &extensions)).unwrap().partial);
        assert!(!Crl::read(&list(&Key::new(), &[], &[])).unwrap().partial);
        assert_eq!(Crl::read(b"<html>"), None);
        let whole = list(&Key::new(), &[&[1], &[2]], &[]);
        for cut in 0..whole.len() {
            let _ = Crl::read(&whole[..cut]);
        }
    }
}
