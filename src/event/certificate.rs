//! A certificate as events show it.

use super::json::{Object, array, display, hex, object, string};
use crate::tls::cert::{Certificate, KeyKind};

/// One certificate as a JSON object: subject, issuer, serial, sha256, sans, not_before, not_after, key,
/// signature_algorithm.
pub fn certificate_json(certificate: &Certificate) -> String {
    let mut out = Vec::with_capacity(512);
    write(certificate, &mut out);
    // The writer puts out UTF-8 only.
    String::from_utf8(out).unwrap_or_default()
}

pub(super) fn write(certificate: &Certificate, out: &mut Vec<u8>) {
    object(out, |o| members(certificate, o));
}

/// The members, for objects that say more.
pub(super) fn members(certificate: &Certificate, o: &mut Object<'_>) {
    o.string("subject", &certificate.subject);
    o.string("issuer", &certificate.issuer);
    o.string("serial", &certificate.serial);
    let out = o.key("sha256");
    out.push(b'"');
    hex(&certificate.sha256, out);
    out.push(b'"');
    let out = o.key("sans");
    match &certificate.alt_names {
        None => out.extend_from_slice(b"[]"),
        Some(names) if names.ips.is_empty() => array(out, &names.dns, |name, out| string(name, out)),
        Some(names) => {
            let dns = names.dns.iter().map(Name::Dns);
            array(out, dns.chain(names.ips.iter().map(Name::Ip)), |name, out| match name {
                Name::Dns(name) => string(name, out),
                Name::Ip(ip) => display(ip, out),
            });
        }
    }
    o.display("not_before", &certificate.not_before);
    o.display("not_after", &certificate.not_after);
    o.object("key", |o| {
        let (algorithm, bits, curve) = key(&certificate.key.kind);
        o.maybe_string("algorithm", algorithm);
        o.maybe_integer("bits", bits.map(i64::from));
        o.maybe_string("curve", curve);
    });
    o.string("signature_algorithm", &certificate.signature_algorithm);
}

enum Name<'a> {
    Dns(&'a String),
    Ip(&'a std::net::IpAddr),
}

/// Algorithm, size in bits, curve.
fn key(kind: &KeyKind) -> (Option<&str>, Option<u32>, Option<&str>) {
    match kind {
        KeyKind::Rsa(bits) => (Some("RSA"), Some(*bits), None),
        KeyKind::Ec(curve) => {
            let bits = match curve.as_str() {
                "P-256" | "SM2" => Some(256),
                "P-384" => Some(384),
                "P-521" => Some(521),
                _ => None,
            };
            (Some("EC"), bits, Some(curve))
        }
        KeyKind::Ed25519 => (Some("Ed25519"), Some(256), None),
        KeyKind::Ed448 => (Some("Ed448"), Some(456), None),
        KeyKind::MlDsa(set) => (
            Some(match set {
                44 => "ML-DSA-44",
                65 => "ML-DSA-65",
                87 => "ML-DSA-87",
                _ => "ML-DSA",
            }),
            None,
            None,
        ),
        KeyKind::Dsa(bits) => (Some("DSA"), Some(*bits), None),
        KeyKind::Other(oid) => (Some(oid), None, None),
        KeyKind::Unreadable => (None, None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use crate::tls::cert::AltNames;

    #[test]
    fn a_certificate_names_its_hosts_and_its_key() {
        let mut certificate = fixture::leaf();
        certificate.alt_names = Some(AltNames {
            dns: vec!["a.example".into(), "*.a.example".into()],
            ips: vec!["2001:db8::1".parse().unwrap()],
            others: vec![0xa0],
            ..AltNames::default()
        });
        certificate.key.kind = KeyKind::Ec("P-384".into());
        let json: serde_json::Value = serde_json::from_str(&certificate_json(&certificate)).unwrap();
        assert_eq!(json["sans"], serde_json::json!(["a.example", "*.a.example", "2001:db8::1"]));
        assert_eq!(json["key"], serde_json::json!({"algorithm": "EC", "bits": 384, "curve": "P-384"}));
        assert_eq!(json["sha256"].as_str().unwrap().len(), 64);
        assert_eq!(json["not_after"], "2026-11-01T00:00:00.000000Z");
    }

    #[test]
    fn a_hostile_subject_stays_one_line_of_json() {
        let mut certificate = fixture::leaf();
        certificate.subject = "CN=good.example\0.evil\n\u{1b}[31m\"}".into();
        let json = certificate_json(&certificate);
        assert!(!json.chars().any(char::is_control));
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["subject"], certificate.subject.as_str());
    }
}
