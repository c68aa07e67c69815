//! Rules for any single certificate of a path.

use super::super::Fault;
use super::{Found, Title};
use crate::base::{Span, Stamp};
use crate::tls::cert::{Certificate, KeyKind, fault_of_key};
use crate::tls::names;

const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
pub(super) const ANY_PURPOSE: &str = "2.5.29.37.0";

/// keyUsage bits (RFC 5280 section 4.2.1.3).
pub(super) const DIGITAL_SIGNATURE: u8 = 0;
pub(super) const KEY_ENCIPHERMENT: u8 = 2;
pub(super) const KEY_CERT_SIGN: u8 = 5;

/// Dates against capture time (RFC 5280 section 4.1.2.5: both ends are inclusive, whole seconds).
pub(super) fn dates(
    cert: &Certificate,
    place: Option<usize>,
    title: &Title<'_>,
    expired: Fault,
    found: &mut Found<'_>,
) {
    let unread = Stamp::default();
    let (begin, end, at) = (cert.not_before, cert.not_after, found.question.at);
    if end < begin && end != unread {
        found.add(
            Fault::LifetimeInverted,
            place,
            format!("{title} has notAfter {end} before notBefore {begin}: it was never valid"),
        );
    } else if at.secs() > end.secs() && end != unread {
        let (end, at, since) = apart(end, at);
        found.add(expired, place, format!("{title} has notAfter {end}, {since} before the capture at {at}"));
    } else if at.secs() < begin.secs() && begin != unread {
        let (at, begin, until) = apart(at, begin);
        found.add(
            Fault::NotYetValid,
            place,
            format!("{title} has notBefore {begin}, {until} after the capture at {at}"),
        );
    }
}

/// Two moments as precisely as they differ, and how far apart they are.
fn apart(earlier: Stamp, later: Stamp) -> (String, String, Span) {
    let span = later - earlier;
    if span.micros() > 2 * 86_400_000_000 {
        (earlier.date(), later.date(), span)
    } else {
        (earlier.to_string(), later.to_string(), span)
    }
}

/// extendedKeyUsage (RFC 5280 section 4.2.1.12; of CAs as all verifiers in use do).
pub(super) fn purpose(cert: &Certificate, place: Option<usize>, title: &Title<'_>, found: &mut Found<'_>) {
    let Some(purposes) = &cert.extended_key_usage else { return };
    let (fault, wanted, word) = if found.question.client {
        (Fault::EkuLacksClientAuth, CLIENT_AUTH, "clientAuth")
    } else {
        (Fault::EkuLacksServerAuth, SERVER_AUTH, "serverAuth")
    };
    // Server Gated Cryptography of old intermediates stands for serverAuth.
    let gated = |oid: &String| place != Some(0) && wanted == SERVER_AUTH && oid == "2.16.840.1.113730.4.1";
    if !purposes.iter().any(|oid| oid == wanted || oid == ANY_PURPOSE || gated(oid)) {
        let listed: Vec<String> = purposes.iter().map(|oid| purpose_name(oid)).collect();
        found.add(fault, place, format!("{title} has extKeyUsage {} without {word}", names::few(&listed)));
    }
}

fn purpose_name(oid: &str) -> String {
    match oid {
        SERVER_AUTH => "serverAuth",
        CLIENT_AUTH => "clientAuth",
        "1.3.6.1.5.5.7.3.3" => "codeSigning",
        "1.3.6.1.5.5.7.3.4" => "emailProtection",
        "1.3.6.1.5.5.7.3.8" => "timeStamping",
        "1.3.6.1.5.5.7.3.9" => "OCSPSigning",
        other => other,
    }
    .to_owned()
}

pub(super) fn usage_names(usage: u16) -> String {
    const NAMES: [&str; 9] = [
        "digitalSignature",
        "nonRepudiation",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];
    let set = NAMES.iter().enumerate().filter(|(bit, _)| usage >> bit & 1 == 1);
    let names: Vec<&str> = set.map(|(_, name)| *name).collect();
    if names.is_empty() { "(none)".to_owned() } else { names.join(", ") }
}

/// RFC 5280 section 4.2: a critical extension that is not understood forbids the use.
pub(super) fn critical(cert: &Certificate, place: Option<usize>, title: &Title<'_>, found: &mut Found<'_>) {
    if let Some(first) = cert.unknown_critical.first() {
        let what = match first.as_str() {
            "1.3.6.1.4.1.11129.2.4.3" => "the poison of a precertificate (RFC 6962 section 3.1)".to_owned(),
            _ => names::few(&cert.unknown_critical),
        };
        let says = format!("{title} has a critical extension that verifiers do not take: {what}");
        found.add(Fault::UnknownCritical, place, says);
    }
}

/// Keys below 112 bits of security (NIST SP 800-57 part 1; OpenSSL's security level 2).
pub(super) fn weak_key(cert: &Certificate, place: Option<usize>, title: &Title<'_>, found: &mut Found<'_>) {
    let fault = fault_of_key(&cert.key);
    let weak = match &cert.key.kind {
        KeyKind::Rsa(bits) | KeyKind::Dsa(bits) if *bits < 2048 => "below the 2048 bits that verifiers want",
        KeyKind::Dsa(_) => "which no TLS stack accepts any more",
        // secp192r1, sect163k1, secp160k1, secp160r1
        KeyKind::Ec(curve)
            if matches!(
                curve.as_str(),
                "1.2.840.10045.3.1.1" | "1.3.132.0.1" | "1.3.132.0.9" | "1.3.132.0.8"
            ) =>
        {
            "below 224 bits"
        }
        _ => match &fault {
            Some(fault) => fault,
            None => return,
        },
    };
    found.add(Fault::WeakKey, place, format!("{title} has the key {}, {weak}", cert.key.kind));
}

/// Signatures over MD5 and SHA-1, which verifiers refuse but on roots.
pub(super) fn weak_signature(
    cert: &Certificate,
    place: Option<usize>,
    title: &Title<'_>,
    found: &mut Found<'_>,
) {
    let algorithm = cert.signature_algorithm.to_ascii_lowercase();
    let hash = ["md2", "md4", "md5", "sha1"].into_iter().find(|hash| algorithm.contains(hash));
    if let Some(hash) = hash {
        let says = format!(
            "{title} is signed with {}: verifiers refuse {}",
            cert.signature_algorithm,
            if hash == "sha1" { "SHA-1 since 2017".to_owned() } else { hash.to_uppercase() }
        );
        found.add(Fault::WeakSignature, place, says);
    }
}
