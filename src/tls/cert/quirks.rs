//! What RFC 5280 forbids and most verifiers let pass: told once, when a certificate is read.

use super::super::der::{Der, Tlv, dotted, magnitude, tag, time};
use super::super::idn;
use super::{Certificate, Subtree, extensions};

/// Quirks told of one certificate.
const MOST: usize = 16;
/// From this second on, dates are GeneralizedTime: 2050-01-01.
const Y2050: i64 = 2_524_608_000;

/// Adds one.
pub(super) fn add(cert: &mut Certificate, says: impl Into<String>) {
    if cert.quirks.len() < MOST {
        cert.quirks.push(says.into());
    }
}

/// RFC 5280 section 4.1.2.2: positive, 20 octets at most.
pub(super) fn of_serial(octets: &[u8], cert: &mut Certificate) {
    if octets.first().is_some_and(|top| top & 0x80 != 0) {
        add(cert, "the serial number is negative (RFC 5280 section 4.1.2.2)");
    } else if magnitude(octets).is_empty() {
        add(cert, "the serial number is zero (RFC 5280 section 4.1.2.2)");
    }
    if octets.len() > 20 {
        let says = format!(
            "the serial number has {} octets, 20 are allowed (RFC 5280 section 4.1.2.2)",
            octets.len()
        );
        add(cert, says);
    }
}

/// One extension; `flag` is what stands for `critical`.
pub(super) fn of_extension(
    oid: &[u8],
    flag: Option<&[u8]>,
    value: &[u8],
    critical: bool,
    cert: &mut Certificate,
) {
    let title = || extensions::title(oid);
    match flag {
        Some([0]) => {
            add(cert, format!("{} spells out critical FALSE, the default (X.690 section 11.5)", title()))
        }
        Some([0xff]) | None => {}
        Some(_) => add(cert, format!("{} has a critical flag that is not DER (X.690 section 11.1)", title())),
    }
    // The list itself is empty.
    let empty = matches!(value, [0x30, 0]);
    match oid {
        [0x55, 0x1d, 15] => {
            if cert.key_usage == Some(0) {
                add(cert, "keyUsage has no bit set (RFC 5280 section 4.2.1.3)");
            }
            // What X.509 defines ends with decipherOnly, the ninth bit.
            if let [_, _, unused, bits @ ..] = value
                && (8 * bits.len()).saturating_sub(usize::from(*unused)) > 9
            {
                add(cert, "keyUsage has more than the nine bits there are (RFC 5280 section 4.2.1.3)");
            }
            // The last bit that is written is set.
            if let [_, _, unused, .., last] = value
                && u32::from(*unused) != last.trailing_zeros()
            {
                add(cert, "keyUsage is not written as short as can be (X.690 section 11.2.2)");
            }
        }
        [0x55, 0x1d, 19] if value == [0x30, 3, 1, 1, 0] => {
            add(cert, "basicConstraints spell out cA FALSE, the default (X.690 section 11.5)");
        }
        [0x55, 0x1d, 17] if empty => add(cert, "subjectAltName is empty (RFC 5280 section 4.2.1.6)"),
        [0x55, 0x1d, 30] => constraints(cert),
        [0x55, 0x1d, 36] => {
            if !critical {
                add(cert, "policyConstraints are not critical (RFC 5280 section 4.2.1.11)");
            }
            if empty {
                add(cert, "policyConstraints are empty (RFC 5280 section 4.2.1.11)");
            }
        }
        [0x55, 0x1d, 37] if empty => add(cert, "extKeyUsage is empty (RFC 5280 section 4.2.1.12)"),
        [0x55, 0x1d, 54] if !critical => {
            add(cert, "inhibitAnyPolicy is not critical (RFC 5280 section 4.2.1.14)");
        }
        _ => {}
    }
}

/// nameConstraints (RFC 5280 section 4.2.1.10).
fn constraints(cert: &mut Certificate) {
    let Some(constraints) = &cert.name_constraints else { return };
    if constraints.permitted.is_empty() && constraints.excluded.is_empty() {
        return add(cert, "nameConstraints are empty (RFC 5280 section 4.2.1.10)");
    }
    let dotted = constraints.permitted.iter().chain(&constraints.excluded).find_map(|tree| match tree {
        Subtree::Dns(name) if name.starts_with('.') => Some(name.clone()),
        _ => None,
    });
    if let Some(name) = dotted {
        let says =
            format!("nameConstraints have the dNSName {name} with a leading dot (RFC 5280 section 4.2.1.10)");
        add(cert, says);
    }
}

/// The certificate as a whole.
pub(super) fn of_whole(tbs: &Tlv<'_>, dates: &[Option<Tlv<'_>>; 2], extended: bool, cert: &mut Certificate) {
    if extended && cert.version < 3 {
        let says = format!(
            "version {} has extensions, which are for version 3 (RFC 5280 section 4.1.2.9)",
            cert.version
        );
        add(cert, says);
    }
    if cert.version > 3 {
        add(cert, format!("there is no version {} (RFC 5280 section 4.1.2.1)", cert.version));
    }
    let is_empty = |name: &[u8]| matches!(name, [0x30, 0]);
    if is_empty(&cert.issuer_der) {
        add(cert, "the issuer is empty (RFC 5280 section 4.1.2.4)");
    }
    if is_empty(&cert.subject_der) {
        match &cert.alt_names {
            Some(_) if cert.alt_names_critical => {}
            Some(_) => {
                add(cert, "the subject is empty and subjectAltName not critical (RFC 5280 section 4.2.1.6)")
            }
            None => {
                add(cert, "the subject is empty and there is no subjectAltName (RFC 5280 section 4.1.2.6)")
            }
        }
    }
    for (date, name) in dates.iter().flatten().zip(["notBefore", "notAfter"]) {
        let Some(stamp) = time(date) else { continue };
        let text = date.body;
        if date.tag == tag::GENERALIZED_TIME && stamp.secs() < Y2050 {
            add(cert, format!("{name} before 2050 is no UTCTime (RFC 5280 section 4.1.2.5)"));
        }
        let wanted = if date.tag == tag::UTC_TIME { 13 } else { 15 };
        if text.len() != wanted || text.last() != Some(&b'Z') {
            add(cert, format!("{name} is not written to the second in UTC (RFC 5280 section 4.1.2.5)"));
        }
    }
    let name = cert
        .alt_names
        .iter()
        .flat_map(|names| &names.dns)
        .find_map(|name| Some((name, unlike_a_host(name)?)));
    if let Some((name, why)) = name {
        let says = match idn::a_labels(name) {
            Some(ascii) => {
                format!(
                    "the dNSName {name:?} is in Unicode instead of A-labels, {ascii} (RFC 5280 section 7.2)"
                )
            }
            None => format!("the dNSName {name:?} {why} (RFC 5280 section 4.2.1.6)"),
        };
        add(cert, says);
    }
    if let Some(says) = unlike_der(tbs) {
        add(cert, format!("the encoding is not DER: {says}"));
    }
}

/// Why a dNSName is not in the preferred syntax (RFC 1034 section 3.5, as RFC 1123 section 2.1 has it), `*.` in front
/// allowed.
fn unlike_a_host(name: &str) -> Option<&'static str> {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    if !bare.is_ascii() {
        return Some("is not in ASCII");
    }
    if bare.is_empty() || bare.len() > 253 {
        return Some("is empty or longer than 253 octets");
    }
    bare.split('.').find_map(|label| {
        let hyphens = label.starts_with('-') || label.ends_with('-');
        let odd = |octet: u8| !octet.is_ascii_alphanumeric() && octet != b'-';
        match label {
            "" => Some("has an empty label"),
            _ if label.len() > 63 => Some("has a label of over 63 octets"),
            _ if label.contains('_') => Some("has an underscore"),
            _ if label.contains('*') => Some("has a wildcard that is not the whole first label"),
            _ if label.bytes().any(odd) || hyphens => Some("has a label that is no host's"),
            _ => None,
        }
    })
}

/// What DER forbids among elements that were read: lengths and integers longer than needed, booleans other than 0 and
/// 255. Octet strings are not opened. Without recursion; bounded by the bytes, each of which is looked at once a level.
fn unlike_der(tbs: &Tlv<'_>) -> Option<String> {
    /// Levels in certificates in use: about eight.
    const DEEPEST: usize = 16;
    let mut levels: Vec<Der<'_>> = vec![tbs.inside()];
    while let Some(level) = levels.last_mut() {
        let Some(element) = level.next() else {
            levels.pop();
            continue;
        };
        let needed = match element.body.len() {
            0..=0x7f => 2,
            0x80..=0xff => 3,
            0x100..=0xffff => 4,
            0x1_0000..=0xff_ffff => 5,
            _ => 6,
        };
        if element.whole.len() - element.body.len() > needed {
            return Some("a length takes more octets than it needs (X.690 section 10.1)".to_owned());
        }
        match (element.tag, element.body) {
            (tag::INTEGER, [0, next, ..]) if next & 0x80 == 0 => {
                return Some("an INTEGER takes more octets than it needs (X.690 section 8.3.2)".to_owned());
            }
            (tag::INTEGER, [0xff, next, ..]) if next & 0x80 != 0 => {
                return Some("an INTEGER takes more octets than it needs (X.690 section 8.3.2)".to_owned());
            }
            (tag::OID, [.., last]) if last & 0x80 != 0 => {
                return Some(format!("an OBJECT IDENTIFIER ends early ({})", dotted(element.body)));
            }
            _ => {}
        }
        if element.tag & 0x20 != 0 && levels.len() < DEEPEST {
            levels.push(element.inside());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::cert::forge::{Forge, Key, der, seq};

    fn quirks(forge: Forge) -> Vec<String> {
        let key = Key::new();
        forge.sign(&key, &key).quirks.clone()
    }

    #[test]
    fn a_sound_certificate_has_none() {
        assert_eq!(quirks(Forge::leaf("www.example.com", "Sub")), Vec::<String>::new());
        assert_eq!(quirks(Forge::ca("Sub", "Root")), Vec::<String>::new());
    }

    #[test]
    fn host_names_follow_the_preferred_syntax() {
        for name in ["example.com", "*.example.com", "xn--bcher-kva.example", "1.example", "localhost"] {
            assert_eq!(unlike_a_host(name), None, "{name}");
        }
        for name in
            ["a_b.example", "a..example", ".example", "w*.example", "-a.example", "bücher.example", "a b", ""]
        {
            assert!(unlike_a_host(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_serial_number_is_positive_and_short() {
        let mut cert = Certificate::parse(&[]);
        of_serial(&[1; 20], &mut cert);
        assert_eq!(cert.quirks, Vec::<String>::new());
        of_serial(&[0x80], &mut cert);
        of_serial(&[0], &mut cert);
        of_serial(&[1; 21], &mut cert);
        assert_eq!(cert.quirks.len(), 3, "{:?}", cert.quirks);
    }

    #[test]
    fn lengths_and_integers_longer_than_needed_are_no_der() {
        let sound = seq(&[&der(tag::INTEGER, &[0, 0x80]), &der(tag::OID, &[0x55, 0x1d, 15])]);
        let of = |bytes: &[u8]| unlike_der(&Der(bytes).next().unwrap());
        assert_eq!(of(&sound), None);
        assert!(of(&seq(&[&der(tag::INTEGER, &[0, 1])])).is_some());
        assert!(of(&seq(&[&[tag::OCTET_STRING, 0x81, 1, 0]])).is_some());
    }
}
