//! Which known certificates a sealed flight can hold, by its sizes.

use super::{JSSE_PADDING, Reading, SealedRecord, Several, signature_of_key};
use crate::tls::cert::Certificate;
use crate::tls::codes::ExtensionType;
use crate::tls::hello::Offer;
use std::sync::Arc;

/// How well a chain fits a sealed flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// Padding hides all sizes.
    Hidden,
    /// The sizes are hidden by compression (RFC 8879); they do not contradict.
    Compressed,
    /// The Certificate is longer, by what may be a stapled answer or signed timestamps.
    Stapled,
    /// The record that holds the whole flight has about the size.
    Several,
    /// The Certificate has just this size, and the signature that of the leaf's key.
    Exact,
}

impl Fit {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Several => "several",
            Self::Stapled => "stapled",
            Self::Compressed => "compressed",
            Self::Hidden => "hidden",
        }
    }
}

/// What of a ClientHello decides how a server may write its flight.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// What the client offers.
    pub offer: &'a Offer,
    /// It asks for a name.
    pub name: bool,
}

impl Offered<'_> {
    fn asks(&self, kind: ExtensionType) -> bool {
        self.offer.extensions.contains(&kind)
    }
}

/// Header of the message, its context, and the length of its list (RFC 9846 section 4.4.2).
const CERTIFICATE: usize = 4 + 1 + 3;
/// Of each certificate: its length, and that of its extensions.
const EACH: usize = 3 + 2;
/// Of a CertificateVerify beside its signature: header, scheme, length (RFC 9846 section 4.4.3).
const VERIFY: usize = 4 + 2 + 2;
/// Of a stapled answer beside its bytes: the extension's header, and the status type with a length (RFC 8446 section 4.4.2.1).
const STAPLE: usize = 4 + 4;
/// What servers staple: the answer of a responder with an EC key at least, with a delegate's RSA certificate at most; or two to
/// four signed timestamps.
const STAPLES: std::ops::RangeInclusive<usize> = 100..=3_000;
/// A CertificateRequest, in bytes: with signature algorithms alone, and with many authorities.
const REQUEST: std::ops::RangeInclusive<usize> = 30..=600;

/// Bytes of a Certificate message with these certificates and no extensions.
fn message(chain: &[Arc<Certificate>]) -> usize {
    chain.iter().map(|cert| cert.der.len().saturating_add(EACH)).fold(CERTIFICATE, usize::saturating_add)
}

/// How well a client's chain fits what it sealed, and the record that says so.
pub fn client_fit(reading: &Reading, chain: &[Arc<Certificate>]) -> Option<(Fit, SealedRecord)> {
    let (leaf, len) = (chain.first()?, message(chain));
    if let Some((shown, record)) = reading.client_certificate {
        return (shown == len).then_some((Fit::Exact, record));
    }
    let (shown, record) = reading.client_several?;
    let (least, most) = signature_of_key(&leaf.key)?;
    let fixed = len + VERIFY + reading.finished;
    (fixed + least..=fixed + most).contains(&shown).then_some((Fit::Several, record))
}

/// Whether, and how well, a chain fits what the server sealed, and the record that says so. `staple` is the size of an
/// answer that the server is known to staple.
pub fn fit(
    reading: &Reading,
    chain: &[Arc<Certificate>],
    staple: Option<usize>,
    offered: Offered<'_>,
) -> Option<(Fit, SealedRecord)> {
    let leaf = chain.first()?;
    let signs = signature_of_key(&leaf.key);
    let len = message(chain);
    if let Some(several) = &reading.several {
        // A flight that the client, or the capture, cut behind its Certificate.
        let alone = [0, JSSE_PADDING].iter().any(|padding| several.len == len + padding);
        if alone && !several.from_extensions {
            return Some((Fit::Exact, several.record));
        }
        let fits = several_fits(several, len, signs?, staple, offered);
        return fits.then_some((Fit::Several, several.record));
    }
    let Some((shown, record)) = reading.certificate else {
        return reading.first.map(|record| (Fit::Hidden, record));
    };
    // Another key signed it: then it is another certificate.
    let signed = signs.zip(reading.signature);
    if signed.is_some_and(|((least, most), signature)| !(least..=most).contains(&signature)) {
        return None;
    }
    let extra = shown.checked_sub(len);
    let fit = match extra {
        Some(0) => Fit::Exact,
        Some(extra) if staple.is_some_and(|staple| staple + STAPLE == extra) => Fit::Exact,
        Some(extra)
            if STAPLES.contains(&extra)
                && (offered.offer.status_request
                    || offered.asks(ExtensionType::SIGNED_CERTIFICATE_TIMESTAMP)) =>
        {
            Fit::Stapled
        }
        // DER and its names compress by a tenth to a half, and by more where the certificates repeat each other's names;
        // keys and signatures, most of the rest, do not: what takes less than three tenths is another chain.
        None if offered.asks(ExtensionType::COMPRESS_CERTIFICATE) && shown * 10 >= len * 3 => Fit::Compressed,
        _ => return None,
    };
    Some((fit, record))
}

/// EncryptedExtensions, if they are among them, hold what the client asked for at most; ECDSA signatures vary.
fn several_fits(
    several: &Several,
    certificate: usize,
    (least, most): (usize, usize),
    staple: Option<usize>,
    offered: Offered<'_>,
) -> bool {
    let protocol = offered.offer.alpn.iter().map(|protocol| protocol.len() + 7).max().unwrap_or(0);
    // An answer to the name is empty (RFC 6066 section 3), a limit has two bytes (RFC 8449).
    let answers = 4 * usize::from(offered.name)
        + protocol
        + 6 * usize::from(offered.asks(ExtensionType::RECORD_SIZE_LIMIT));
    let extensions = if several.from_extensions { (6, 6 + answers) } else { (0, 0) };
    let request = if several.requested { (*REQUEST.start(), *REQUEST.end()) } else { (0, 0) };
    let fixed = certificate + VERIFY + several.finished;
    let (low, high) = (fixed + least + extensions.0 + request.0, fixed + most + extensions.1 + request.1);
    let window = |more: usize| (low + more..=high + more).contains(&several.len);
    window(0) || staple.is_some_and(|staple| window(staple + STAPLE))
}

#[cfg(test)]
mod tests;
