//! Distinguished names as a person reads them (RFC 4514).

use super::super::der::{Der, Tlv, dotted, tag};
use std::fmt::Write;

/// The longest name that is spelled out, in bytes; the rest is cut.
const LONGEST: usize = 1024;

/// A name's text, and its last common name. `None` where the RDNSequence is broken; the parts
/// before the break are lost with it.
pub(super) fn read(name: &Tlv<'_>) -> Option<(String, Option<String>)> {
    let mut parts = Vec::new();
    let mut common_name = None;
    let mut sets = name.inside();
    while let Some(set) = sets.want(tag::SET) {
        let mut text = String::new();
        let mut pairs = set.inside();
        while let Some(pair) = pairs.want(tag::SEQUENCE) {
            let mut inside = pair.inside();
            let oid = inside.want(tag::OID)?;
            let value = string(&inside.next()?);
            if !text.is_empty() {
                text.push('+');
            }
            match short(oid.body) {
                Some(word) => text.push_str(word),
                None => text.push_str(&dotted(oid.body)),
            }
            text.push('=');
            escape(&value, &mut text);
            if oid.body == [0x55, 0x04, 0x03] {
                common_name = Some(value);
            }
        }
        if !pairs.is_empty() {
            return None;
        }
        parts.push(text);
    }
    if !sets.is_empty() {
        return None;
    }
    parts.reverse(); // RFC 4514 section 2.1: the last comes first
    let mut text = parts.join(", ");
    if text.len() > LONGEST {
        let mut cut = LONGEST;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.truncate(cut);
        text.push('…');
    }
    Some((text, common_name))
}

/// The text of a name in DER; what cannot be read says so.
pub fn text(name: &[u8]) -> String {
    let text = Der(name).want(tag::SEQUENCE).and_then(|name| read(&name));
    text.map_or_else(|| "(unreadable)".to_owned(), |(text, _)| text)
}

/// The short names of RFC 4514 section 3 and those that OpenSSL made customary.
fn short(oid: &[u8]) -> Option<&'static str> {
    Some(match oid {
        [0x55, 0x04, 0x03] => "CN",
        [0x55, 0x04, 0x04] => "SN",
        [0x55, 0x04, 0x05] => "serialNumber",
        [0x55, 0x04, 0x06] => "C",
        [0x55, 0x04, 0x07] => "L",
        [0x55, 0x04, 0x08] => "ST",
        [0x55, 0x04, 0x09] => "street",
        [0x55, 0x04, 0x0a] => "O",
        [0x55, 0x04, 0x0b] => "OU",
        [0x55, 0x04, 0x0c] => "title",
        [0x55, 0x04, 0x0f] => "businessCategory",
        [0x55, 0x04, 0x11] => "postalCode",
        [0x55, 0x04, 0x2a] => "GN",
        [0x55, 0x04, 0x61] => "organizationIdentifier",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01] => "emailAddress",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
        _ => return None,
    })
}

/// A directory string in whichever alphabet; what does not decode becomes U+FFFD.
fn string(value: &Tlv<'_>) -> String {
    match value.tag {
        tag::BMP_STRING => {
            let units = value.body.chunks_exact(2).map(|pair| match pair {
                &[high, low] => u16::from_be_bytes([high, low]),
                _ => 0xfffd,
            });
            char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect()
        }
        tag::UNIVERSAL_STRING => value
            .body
            .chunks_exact(4)
            .map(|quad| match quad {
                &[a, b, c, d] => char::from_u32(u32::from_be_bytes([a, b, c, d])).unwrap_or('\u{fffd}'),
                _ => '\u{fffd}',
            })
            .collect(),
        // T.61 is written as Latin-1 by everyone.
        tag::T61_STRING => value.body.iter().map(|&octet| char::from(octet)).collect(),
        _ => String::from_utf8_lossy(value.body).into_owned(),
    }
}

/// RFC 4514 section 2.4; control characters too, so that a name cannot move a terminal's cursor.
fn escape(value: &str, into: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (place, letter) in value.chars().enumerate() {
        match letter {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => {
                into.push('\\');
                into.push(letter);
            }
            '#' | ' ' if place == 0 => {
                into.push('\\');
                into.push(letter);
            }
            ' ' if place == last => into.push_str("\\ "),
            letter if letter.is_control() => {
                let mut utf8 = [0; 4];
                for octet in letter.encode_utf8(&mut utf8).bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(into, "\\{octet:02X}");
                }
            }
            letter => into.push(letter),
        }
    }
}

/// The names as DER were equal, or they differ only by string type, letter case or runs of spaces
/// (RFC 5280 section 7.1, the practical part of it).
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one == other || canonical(one).is_some_and(|one| canonical(other) == Some(one))
}

/// A name in the form in which equal names are equal: types and folded values, in order.
pub type Canonical = Vec<(Vec<u8>, String)>;

/// Types and folded values in order; `None` for a broken name.
pub fn canonical(name: &[u8]) -> Option<Canonical> {
    let mut list = Vec::new();
    for set in Der(name).want(tag::SEQUENCE)?.inside() {
        for pair in set.inside() {
            let mut inside = pair.inside();
            let oid = inside.want(tag::OID)?;
            let text = string(&inside.next()?);
            let folded = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
            list.push((oid.body.to_vec(), folded));
        }
        list.push((Vec::new(), String::new())); // where one RDN ends
    }
    Some(list)
}

/// emailAddress of PKCS#9.
pub const EMAIL: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];
/// commonName.
pub const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The values of a name's attributes of one type, in order.
pub fn values(name: &[u8], of: &[u8]) -> Vec<String> {
    let sets = Der(name).want(tag::SEQUENCE).into_iter().flat_map(|sets| sets.inside());
    let pairs = sets.flat_map(|set| set.inside());
    let value = |pair: Tlv<'_>| {
        let mut inside = pair.inside();
        let oid = inside.want(tag::OID)?;
        (oid.body == of).then(|| inside.next().map(|value| string(&value)))?
    };
    pairs.filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(oid: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, body: &[u8]| {
            let mut all = vec![tag, u8::try_from(body.len()).unwrap()];
            all.extend_from_slice(body);
            all
        };
        let pair = [wrap(tag::OID, oid), wrap(tag, value)].concat();
        wrap(tag::SET, &wrap(tag::SEQUENCE, &pair))
    }

    fn name(parts: &[Vec<u8>]) -> Vec<u8> {
        let body = parts.concat();
        let mut all = vec![tag::SEQUENCE, u8::try_from(body.len()).unwrap()];
        all.extend(body);
        all
    }

    fn text(name: &[u8]) -> String {
        read(&Der(name).next().unwrap()).unwrap().0
    }

    #[test]
    fn the_most_specific_part_comes_first() {
        let name = name(&[attribute(&[0x55, 4, 6], 0x13, b"US"), attribute(&[0x55, 4, 3], 0x0c, b"a, b")]);
        assert_eq!(text(&name), "CN=a\\, b, C=US");
    }

    #[test]
    fn control_characters_are_escaped() {
        let name = name(&[attribute(&[0x55, 4, 3], 0x0c, b"a\x1b[2J")]);
        assert_eq!(text(&name), "CN=a\\1B[2J");
    }

    #[test]
    fn wide_strings_are_decoded() {
        let name = name(&[attribute(&[0x55, 4, 10], tag::BMP_STRING, &[0x4e, 0x2d, 0x56, 0xfd])]);
        assert_eq!(text(&name), "O=中国");
    }

    #[test]
    fn names_that_differ_in_string_type_and_case_are_the_same() {
        let printable = name(&[attribute(&[0x55, 4, 3], 0x13, b"My  CA")]);
        let utf8 = name(&[attribute(&[0x55, 4, 3], 0x0c, b"my ca")]);
        let other = name(&[attribute(&[0x55, 4, 3], 0x0c, b"my cb")]);
        assert!(same(&printable, &utf8));
        assert!(!same(&printable, &other));
    }
}
