//! The handshake messages but the hellos: Certificate, ServerKeyExchange, CertificateRequest, CertificateStatus,
//! CertificateVerify, and what TLS 1.3 always seals. Alerts too.
//!
//! Each reader takes a message's body, behind the four-byte header.

use super::codes::{
    AlertDescription, AlertLevel, Auth, CipherSuite, ExtensionType, Group, Kx, SignatureScheme, Version,
};
use super::cursor::{Cursor, numbers};

mod opened;

pub use opened::{EncryptedExtensions, encrypted_extensions, uncompressed_certificate};

/// An alert in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Warning or fatal.
    pub level: AlertLevel,
    /// What it says.
    pub description: AlertDescription,
}

/// The ephemeral parameters of a TLS 1.0–1.2 server (RFC 5246 section 7.4.3, RFC 8422 section 5.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerKeyExchange {
    /// The bytes that the signature covers beside the two randoms; empty where that is not known (TLCP's ECC
    /// exchange signs the encryption certificate instead).
    pub params: Vec<u8>,
    /// ECDHE group.
    pub group: Option<Group>,
    /// Size of the DHE prime in bits.
    pub dh_bits: Option<u32>,
    /// Signature scheme; `None` before TLS 1.2 and for anonymous exchanges.
    pub scheme: Option<SignatureScheme>,
    /// The signature; empty for anonymous exchanges.
    pub signature: Vec<u8>,
}

/// What a client signed to show that it has the key of its certificate, before TLS 1.3 (RFC 5246 section 7.4.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateVerify {
    /// Signature scheme; `None` before TLS 1.2.
    pub scheme: Option<SignatureScheme>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The handshake messages that it covers; `None` where not all of them are to be had.
    pub signed: Option<Vec<u8>>,
}

/// What a server wants of a client's certificate (RFC 5246 section 7.4.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRequest {
    /// Acceptable kinds of certificate (ClientCertificateType); empty in TLS 1.3, which has none.
    pub types: Vec<u8>,
    /// Acceptable schemes.
    pub schemes: Vec<SignatureScheme>,
    /// Acceptable issuers as DER names.
    pub authorities: Vec<Vec<u8>>,
}

/// Most certificates taken from one message; real chains stay below ten.
const MOST_CERTIFICATES: usize = 64;

/// The certificates of one Certificate message, borrowed from its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates<'a> {
    /// Whole DER certificates in the order sent; none where a client has none to show.
    pub ders: Vec<&'a [u8]>,
    /// The message ended early, contradicted its lengths, or held more than 64 certificates.
    pub cut: bool,
    /// What is there of a certificate whose end is missing.
    pub partial: Option<&'a [u8]>,
    /// OCSP answer stapled to the leaf (TLS 1.3 form only; before, it is a message of its own).
    pub staple: Option<&'a [u8]>,
}

/// Reads a Certificate of SSL 3.0 to TLS 1.2 and of TLCP (RFC 5246 section 7.4.2). A body cut by the capture gives
/// the certificates that are whole. `None`: not even the list's length is there.
pub fn certificates(body: &[u8]) -> Option<Certificates<'_>> {
    let mut cursor = Cursor(body);
    let len = cursor.u24()?;
    Some(certificate_list(&mut cursor, len, false))
}

/// Reads a Certificate of TLS 1.3 (RFC 9846 section 4.4.2): a context before the list, extensions behind each
/// certificate. As [`certificates`] otherwise.
pub fn certificates13(body: &[u8]) -> Option<Certificates<'_>> {
    let mut cursor = Cursor(body);
    cursor.vec8()?;
    let len = cursor.u24()?;
    Some(certificate_list(&mut cursor, len, true))
}

/// Reads the list of both forms.
fn certificate_list<'a>(cursor: &mut Cursor<'a>, len: usize, extended: bool) -> Certificates<'a> {
    let (list, whole) = cursor.at_most(len);
    let mut list = Cursor(list);
    let mut found = Certificates { cut: !whole || !cursor.is_empty(), ..Certificates::default() };
    while !list.is_empty() {
        if found.ders.len() >= MOST_CERTIFICATES {
            found.cut = true;
            break;
        }
        let Some(len) = list.u24() else {
            found.cut = true;
            break;
        };
        let (der, whole) = list.at_most(len);
        if !whole {
            found.cut = true;
            found.partial = Some(der).filter(|der| !der.is_empty());
            break;
        }
        found.ders.push(der);
        if extended {
            let Some(extensions) = list.vec16() else {
                found.cut = true;
                break;
            };
            if found.ders.len() == 1 {
                found.staple = staple(extensions);
            }
        }
    }
    found
}

/// The OCSP answer among a certificate's extensions (RFC 9846 section 4.4.2.1).
fn staple(extensions: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor(extensions);
    while !cursor.is_empty() {
        let kind = ExtensionType(cursor.u16()?);
        let body = cursor.vec16()?;
        if kind == ExtensionType::STATUS_REQUEST {
            return certificate_status(body);
        }
    }
    None
}

impl ServerKeyExchange {
    /// Reads a ServerKeyExchange by the suite that the server chose (RFC 5246 section 7.4.3, RFC 8422 section 5.4,
    /// RFC 4279, RFC 5054, GB/T 38636-2020). `None`: it ends early, or the suite has no such message or one not
    /// supported here.
    pub fn parse(body: &[u8], version: Version, cipher: CipherSuite) -> Option<Self> {
        let mut cursor = Cursor(body);
        let kx = cipher.kx();
        if matches!(kx, Kx::Psk | Kx::RsaPsk | Kx::DhePsk | Kx::EcdhePsk) {
            cursor.vec16()?; // identity hint
        }
        let before = cursor;
        let mut read = Self::default();
        match kx {
            Kx::Ecdhe | Kx::EcdhePsk | Kx::SmEcdhe => {
                match cursor.u8()? {
                    3 => read.group = Some(Group(cursor.u16()?)),
                    1 => {
                        // explicit_prime: p, a, b, base, order, cofactor
                        for _ in 0..6 {
                            cursor.vec8()?;
                        }
                    }
                    _ => return None,
                }
                cursor.vec8()?;
            }
            Kx::Dhe | Kx::DhePsk => {
                read.dh_bits = Some(bits(cursor.vec16()?));
                cursor.vec16()?;
                cursor.vec16()?;
            }
            Kx::RsaExport => {
                cursor.vec16()?;
                cursor.vec16()?;
            }
            Kx::Srp => {
                cursor.vec16()?;
                cursor.vec16()?;
                cursor.vec8()?;
                cursor.vec16()?;
            }
            Kx::SmEcc | Kx::Psk | Kx::RsaPsk => {}
            _ => return None,
        }
        let read_len = before.0.len() - cursor.0.len();
        read.params = before.0.get(..read_len).unwrap_or_default().to_vec();
        let signed = match kx {
            Kx::Psk | Kx::RsaPsk | Kx::DhePsk | Kx::EcdhePsk => false,
            _ => !matches!(cipher.auth(), Auth::Anon | Auth::Shared),
        };
        if signed {
            if has_scheme(version) {
                read.scheme = Some(SignatureScheme(cursor.u16()?));
            }
            read.signature = cursor.vec16()?.to_vec();
        }
        Some(read)
    }
}

/// Whether signatures of this version say their scheme: from TLS 1.2 on, not in TLCP.
fn has_scheme(version: Version) -> bool {
    version >= Version::TLS12
}

/// Bits of a number in big-endian bytes.
fn bits(number: &[u8]) -> u32 {
    let Some(first) = number.iter().position(|&byte| byte != 0) else { return 0 };
    let rest = number.get(first..).unwrap_or_default();
    let leading = rest.first().map_or(0, |byte| byte.leading_zeros());
    u32::try_from(rest.len()).unwrap_or(u32::MAX).saturating_mul(8).saturating_sub(leading)
}

impl CertificateRequest {
    /// Reads a CertificateRequest: of TLS 1.3 (RFC 9846 section 4.3.2), of TLS 1.2 (RFC 5246 section 7.4.4), or of
    /// what came before and TLCP, which name no schemes. `None`: it ends early.
    pub fn parse(body: &[u8], version: Version) -> Option<Self> {
        let mut cursor = Cursor(body);
        let mut read = Self::default();
        if version.is_tls13() {
            cursor.vec8()?;
            let mut extensions = Cursor(cursor.vec16()?);
            while !extensions.is_empty() {
                let kind = ExtensionType(extensions.u16()?);
                let mut body = Cursor(extensions.vec16()?);
                match kind {
                    ExtensionType::SIGNATURE_ALGORITHMS => read.schemes = schemes(body.vec16()?),
                    ExtensionType::CERTIFICATE_AUTHORITIES => read.authorities = authorities(body.vec16()?)?,
                    _ => {}
                }
            }
            return Some(read);
        }
        read.types = cursor.vec8()?.to_vec();
        if has_scheme(version) {
            read.schemes = schemes(cursor.vec16()?);
        }
        read.authorities = authorities(cursor.vec16()?)?;
        Some(read)
    }
}

fn schemes(list: &[u8]) -> Vec<SignatureScheme> {
    numbers(list).map(SignatureScheme).collect()
}

/// DER names behind 16-bit lengths.
fn authorities(list: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut cursor = Cursor(list);
    let mut names = Vec::new();
    while !cursor.is_empty() {
        names.push(cursor.vec16()?.to_vec());
    }
    Some(names)
}

/// The OCSP answer (DER) of a CertificateStatus message: type 1, or the first of type 2's list (RFC 6066 section 8,
/// RFC 6961). `None`: it ends early, holds none or is of another type.
pub fn certificate_status(body: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor(body);
    let kind = cursor.u8()?;
    let answer = cursor.vec24()?;
    let answer = match kind {
        1 => answer,
        2 => Cursor(answer).vec24()?,
        _ => return None,
    };
    Some(answer).filter(|answer| !answer.is_empty())
}

/// The OCSP answers behind the first of a CertificateStatus message of type 2 (RFC 6961 section 2.2), each with the place of
/// its certificate, eight at most.
pub fn further_statuses(body: &[u8]) -> Vec<(u8, &[u8])> {
    const MOST: u8 = 8;
    let mut cursor = Cursor(body);
    let mut found = Vec::new();
    if cursor.u8() == Some(2)
        && let Some(list) = cursor.vec24()
    {
        let mut list = Cursor(list);
        for place in 0..=MOST {
            let Some(answer) = list.vec24() else { break };
            if place > 0 && !answer.is_empty() {
                found.push((place, answer));
            }
        }
    }
    found
}

/// Scheme and signature of a CertificateVerify (RFC 9846 section 4.4.3); no scheme before TLS 1.2 and in TLCP.
/// `None`: it ends early.
pub fn certificate_verify(body: &[u8], version: Version) -> Option<(Option<SignatureScheme>, &[u8])> {
    let mut cursor = Cursor(body);
    let scheme = if has_scheme(version) { Some(SignatureScheme(cursor.u16()?)) } else { None };
    Some((scheme, cursor.vec16()?))
}

#[cfg(test)]
mod tests;
