//! What the sealed records of a TLS 1.3 handshake likely hold, by the order in which its messages have to come (RFC 9846
//! section 2) and by their sizes.
//!
//! ```text
//! server:  EncryptedExtensions [CertificateRequest] Certificate CertificateVerify Finished
//! client:  [EndOfEarlyData] [Certificate [CertificateVerify]] Finished, then data
//! ```
//!
//! OpenSSL, GnuTLS, JSSE and Go write a record for each message, rustls one for the whole flight. Sizes are told without
//! the record's own bytes (inner type, tag, padding). What fits more than one reading is not told.

use std::ops::Deref;

use super::{JSSE_PADDING, SealedRecord, looks_like_alert};
use crate::base::{PacketNo, PerSide, Stamp};
use crate::tls::cert::{KeyKind, PublicKey};
use crate::tls::codes::{CipherSuite, Version};

/// What a record likely holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Application data sent before the handshake was done (RFC 9846 section 2.3).
    EarlyData,
    /// EndOfEarlyData.
    EndOfEarlyData,
    /// EncryptedExtensions.
    EncryptedExtensions,
    /// CertificateRequest.
    CertificateRequest,
    /// Certificate, or CompressedCertificate (RFC 8879).
    Certificate,
    /// A Certificate without any.
    EmptyCertificate,
    /// CertificateVerify.
    CertificateVerify,
    /// Finished.
    Finished,
    /// Several messages of the flight in one record.
    Several,
    /// An alert.
    Alert,
    /// NewSessionTicket, or data of the server.
    TicketOrData,
    /// Application data.
    Data,
    /// It fits no message, or more than one.
    Unclear,
}

impl Part {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::EarlyData => "early_data",
            Self::EndOfEarlyData => "end_of_early_data",
            Self::EncryptedExtensions => "encrypted_extensions",
            Self::CertificateRequest => "certificate_request",
            Self::Certificate => "certificate",
            Self::EmptyCertificate => "empty_certificate",
            Self::CertificateVerify => "certificate_verify",
            Self::Finished => "finished",
            Self::Several => "several",
            Self::Alert => "alert",
            Self::TicketOrData => "ticket_or_data",
            Self::Data => "data",
            Self::Unclear => "unclear",
        }
    }
}

/// One record, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it likely holds.
    pub part: Part,
    /// Bytes of its body, as its header says.
    pub len: u16,
    /// Packet that completed it.
    pub at: PacketNo,
}

/// What is known of the handshake beside its sealed records.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The suite chosen.
    pub suite: CipherSuite,
    /// The version chosen.
    pub version: Version,
    /// The server took a pre-shared key: it sends no certificate.
    pub psk: bool,
    /// The client offered early data.
    pub early_data: bool,
    /// When the ServerHello came.
    pub answered: Stamp,
}

/// The handshake as its sealed records tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What each side sent, in order.
    pub parts: PerSide<Vec<Item>>,
    /// The first record of the server.
    pub first: Option<SealedRecord>,
    /// Zeros in each record of the server, as JSSE adds them.
    pub padding: usize,
    /// Bytes of the server's Certificate message with its header, and the record that began it. `None` where it has no
    /// record of its own.
    pub certificate: Option<(usize, SealedRecord)>,
    /// Bytes of the server's signature.
    pub signature: Option<usize>,
    /// Bytes of all messages that share records with the Certificate, its own among them, and the first such record;
    /// whether EncryptedExtensions are among them.
    pub several: Option<Several>,
    /// Bytes of the client's Certificate message.
    pub client_certificate: Option<(usize, SealedRecord)>,
    /// Bytes of the client's Certificate, CertificateVerify and Finished where they share a record, as from rustls; or of
    /// whatever else stands in their place.
    pub client_several: Option<(usize, SealedRecord)>,
    /// Bytes of a Finished.
    pub finished: usize,
}

/// Messages of the server's flight that share records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Several {
    /// Bytes of the messages with their headers.
    pub len: usize,
    /// The first record.
    pub record: SealedRecord,
    /// EncryptedExtensions are among them; else they have a record of their own.
    pub from_extensions: bool,
    /// Bytes of the Finished at their end.
    pub finished: usize,
    /// The client answered with a Certificate: a CertificateRequest is among them.
    pub requested: bool,
}

/// Plaintext that a record holds at most (RFC 9846 section 5.1).
const FULL: usize = 1 << 14;
/// EncryptedExtensions are shorter: a longer first record holds several messages.
const SEVERAL: usize = 300;
/// Header of a message.
const HEADER: usize = 4;
/// Body of EndOfEarlyData with its header.
const END_OF_EARLY_DATA: usize = 4;
/// A Certificate message without any certificate.
const EMPTY_CERTIFICATE: usize = 8;

/// How a suite seals a message in a record of its own.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Bytes that each record adds: inner type and tag.
    around: usize,
    /// A Finished.
    finished: usize,
}

impl Sizes {
    fn of(suite: CipherSuite) -> Self {
        Self { around: 1 + suite.tag_len(), finished: HEADER + suite.hash_len() }
    }

    /// What a record with so much padding holds.
    fn inside(self, record: &SealedRecord, padding: usize) -> Option<usize> {
        usize::from(record.len).checked_sub(self.around + padding)
    }

    /// The padding, none or that of JSSE, with which a record holds just so much.
    fn padding(self, record: &SealedRecord, plain: usize) -> Option<usize> {
        [0, JSSE_PADDING].into_iter().find(|&padding| self.inside(record, padding) == Some(plain))
    }

    fn sum(self, records: &[SealedRecord], padding: usize) -> usize {
        records.iter().filter_map(|record| self.inside(record, padding)).sum()
    }
}

impl Reading {
    /// Reads the records of both sides. `None`: this is no TLS 1.3, its suite is not known, or the server sealed nothing.
    pub fn of(records: &PerSide<impl Deref<Target = [SealedRecord]>>, setting: &Setting) -> Option<Self> {
        if !(setting.version.is_tls13() || setting.suite.is_tls13()) || setting.suite.bulk().is_none() {
            return None;
        }
        // What the server sends behind the client's Finished is no part of its flight. A client that rejects may do so before
        // the flight is whole.
        let goes_on = |record: &&SealedRecord| {
            record.when >= setting.answered && !looks_like_alert(record.len, setting.suite, setting.version)
        };
        let answer = records.client.iter().find(goes_on);
        let of_flight = |record: &&SealedRecord| answer.is_none_or(|answer| record.at < answer.at);
        let flight = records.server.iter().take_while(of_flight).count();
        let flight = records.server.get(..flight).filter(|flight| !flight.is_empty())?;
        let sizes = Sizes::of(setting.suite);
        let (first, finished) = (flight.first().copied(), sizes.finished);
        let mut reading = Self { first, finished, ..Self::default() };
        let told = reading.flight(flight, setting);
        for record in records.server.iter().skip(told) {
            let alert = looks_like_alert(record.len, setting.suite, setting.version);
            reading.parts.server.push(record.read_as(if alert { Part::Alert } else { Part::TicketOrData }));
        }
        reading.client(&records.client, setting);
        let requested = reading.answers_with_certificate();
        if let Some(several) = &mut reading.several {
            several.requested = requested;
        }
        Some(reading)
    }

    /// The server asked for a certificate, as far as a record of its own, or the client's answer, tells.
    pub fn certificate_requested(&self) -> bool {
        let asks = |item: &Item| item.part == Part::CertificateRequest;
        self.parts.server.iter().any(asks) || self.answers_with_certificate()
    }

    fn answers_with_certificate(&self) -> bool {
        let shows = |item: &Item| matches!(item.part, Part::Certificate | Part::EmptyCertificate);
        self.parts.client.iter().any(shows)
    }

    /// Reads the server's flight; gives how many of its records that took.
    fn flight(&mut self, flight: &[SealedRecord], setting: &Setting) -> usize {
        let sizes = Sizes::of(setting.suite);
        // Between EncryptedExtensions and Finished, by a pre-shared key, nothing; else at least two messages.
        let before = if setting.psk { 1 } else { 3 };
        let end = flight.iter().enumerate().skip(before).find_map(|(place, record)| {
            let padding = sizes.padding(record, sizes.finished)?;
            let verify = sizes.inside(flight.get(place - 1)?, padding)?;
            let signed = verify.checked_sub(HEADER + 4).filter(|&len| is_signature(len));
            (setting.psk || signed.is_some()).then_some((place, padding, signed))
        });
        match end {
            Some((place, padding, _)) if setting.psk => {
                self.padding = padding;
                for (nth, record) in flight.iter().take(place + 1).enumerate() {
                    let part = match nth {
                        0 => Part::EncryptedExtensions,
                        _ if nth == place => Part::Finished,
                        _ => Part::Unclear,
                    };
                    self.parts.server.push(record.read_as(part));
                }
                place + 1
            }
            Some((place, padding, signed)) => {
                (self.padding, self.signature) = (padding, signed);
                let asked = has_request(flight, place, sizes, padding);
                let begins = 1 + usize::from(asked);
                for (nth, record) in flight.iter().take(place + 1).enumerate() {
                    let part = match nth {
                        0 => Part::EncryptedExtensions,
                        1 if asked => Part::CertificateRequest,
                        _ if nth == place => Part::Finished,
                        _ if nth + 1 == place => Part::CertificateVerify,
                        _ => Part::Certificate,
                    };
                    self.parts.server.push(record.read_as(part));
                }
                let certificate = flight.get(begins..place - 1).unwrap_or_default();
                self.certificate = certificate.first().map(|first| (sizes.sum(certificate, padding), *first));
                place + 1
            }
            None => self.several(flight, sizes, setting.psk),
        }
    }

    /// Reads a flight whose Certificate has no record of its own: in one that is too long for EncryptedExtensions, and those
    /// that go on with it.
    fn several(&mut self, flight: &[SealedRecord], sizes: Sizes, psk: bool) -> usize {
        let long = |record: &SealedRecord| usize::from(record.len) > SEVERAL;
        let begins = flight.iter().take(2).position(long).unwrap_or(0);
        let rest = flight.get(begins..).unwrap_or_default();
        let full = |record: &&SealedRecord| usize::from(record.len) >= FULL + sizes.around;
        let count = rest.iter().take_while(full).count() + 1;
        // Messages in records of their own that nothing measures are padded.
        if psk || count < rest.len() || !rest.first().is_some_and(long) {
            self.parts.server.extend(flight.iter().map(|record| record.read_as(Part::Unclear)));
            return flight.len();
        }
        let several = rest.get(..count).unwrap_or(rest);
        let alone = flight.iter().take(begins).map(|record| record.read_as(Part::EncryptedExtensions));
        self.parts.server.extend(alone.chain(several.iter().map(|record| record.read_as(Part::Several))));
        self.several = several.first().map(|first| Several {
            len: sizes.sum(several, 0),
            record: *first,
            from_extensions: begins == 0,
            finished: sizes.finished,
            requested: false,
        });
        begins + several.len()
    }

    fn client(&mut self, records: &[SealedRecord], setting: &Setting) {
        let sizes = Sizes::of(setting.suite);
        let alert = |record: &SealedRecord| looks_like_alert(record.len, setting.suite, setting.version);
        let early = records.iter().take_while(|record| record.when < setting.answered).count();
        // Early data goes on until the client has read the server's Finished; its end is told only where the server took it.
        let behind = records.iter().skip(early);
        let ends = behind.clone().position(|record| sizes.padding(record, END_OF_EARLY_DATA).is_some());
        let ends = ends.filter(|_| setting.early_data).map(|place| early + place);
        let begins = ends.map_or(early, |place| place + 1);
        for (nth, record) in records.iter().take(begins).enumerate() {
            let part = if Some(nth) == ends { Part::EndOfEarlyData } else { Part::EarlyData };
            self.parts.client.push(record.read_as(part));
        }
        let rest = records.get(begins..).unwrap_or_default();
        // Certificate, in one record or two, and CertificateVerify stand before Finished.
        let end = rest.iter().take(4).enumerate().find_map(|(place, record)| {
            sizes.padding(record, sizes.finished).map(|padding| (place, padding))
        });
        if let Some((place @ 2.., padding)) = end
            && let Some(certificate) = rest.get(..place - 1)
            && let Some(first) = certificate.first()
        {
            self.client_certificate = Some((sizes.sum(certificate, padding), *first));
        }
        let end = end.map(|(place, _)| place);
        if end.is_none() {
            let first = rest.first().filter(|record| !alert(record));
            self.client_several = first.and_then(|first| Some((sizes.inside(first, 0)?, *first)));
        }
        let is_empty =
            |record: &SealedRecord, beside| sizes.padding(record, EMPTY_CERTIFICATE + beside).is_some();
        for (nth, record) in rest.iter().enumerate() {
            let part = match end {
                Some(end) if nth == end => Part::Finished,
                None if nth == 0 && is_empty(record, sizes.finished) => Part::EmptyCertificate,
                _ if alert(record) => Part::Alert,
                Some(end) if nth > end => Part::Data,
                Some(1) if is_empty(record, 0) => Part::EmptyCertificate,
                Some(end) if nth + 1 == end && end > 1 => Part::CertificateVerify,
                Some(end) if end > 1 => Part::Certificate,
                Some(_) => Part::Unclear,
                // rustls sends Certificate, CertificateVerify and Finished in one record.
                None if nth == 0 => Part::Several,
                None => Part::Data,
            };
            self.parts.client.push(record.read_as(part));
        }
    }
}

impl SealedRecord {
    const fn read_as(&self, part: Part) -> Item {
        Item { part, len: self.len, at: self.at }
    }
}

/// Whether a CertificateRequest stands behind EncryptedExtensions: one record more than a Certificate needs, which takes a
/// second only where the first is full.
fn has_request(flight: &[SealedRecord], finished: usize, sizes: Sizes, padding: usize) -> bool {
    /// The shortest Certificate of use: an Ed25519 leaf of the least size.
    const LEAST: usize = 200;
    let between = flight.get(1..finished - 1).unwrap_or_default();
    let (Some(first), Some(second)) = (between.first(), between.get(1)) else { return false };
    let inside = |record| sizes.inside(record, padding).unwrap_or(0);
    // A Certificate in two records has a full one first.
    inside(first) < FULL && (inside(second) >= LEAST || between.len() > 2)
}

/// Whether signatures of this length are in use in TLS 1.3 (RFC 9846 section 4.2.3): RSA by whole bytes of the modulus,
/// ECDSA as DER, EdDSA, ML-DSA.
fn is_signature(len: usize) -> bool {
    key_of_signature(len).is_some()
}

/// The key that makes signatures of this length, as people call it. ECDSA's vary by a few bytes (DER of two integers).
pub fn key_of_signature(len: usize) -> Option<String> {
    Some(match len {
        64 => "Ed25519".to_owned(),
        114 => "Ed448".to_owned(),
        66..=72 => "P-256".to_owned(),
        98..=104 => "P-384".to_owned(),
        132..=139 => "P-521".to_owned(),
        2420 => "ML-DSA-44".to_owned(),
        3309 => "ML-DSA-65".to_owned(),
        4627 => "ML-DSA-87".to_owned(),
        96 | 128..=2048 if len.is_multiple_of(8) => format!("RSA {}", 8 * len),
        _ => return None,
    })
}

/// The least and greatest signature by a key; `None`: not known.
pub fn signature_of_key(key: &PublicKey) -> Option<(usize, usize)> {
    Some(match &key.kind {
        KeyKind::Rsa(bits) => {
            let len = usize::try_from(*bits).ok()?.div_ceil(8);
            (len, len)
        }
        KeyKind::Ec(curve) => match curve.as_str() {
            "P-256" | "SM2" => (66, 72),
            "P-384" => (98, 104),
            "P-521" => (132, 139),
            _ => return None,
        },
        KeyKind::Ed25519 => (64, 64),
        KeyKind::Ed448 => (114, 114),
        KeyKind::MlDsa(44) => (2420, 2420),
        KeyKind::MlDsa(65) => (3309, 3309),
        KeyKind::MlDsa(87) => (4627, 4627),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
