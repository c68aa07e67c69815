//! Reading DER (ITU-T X.690) with forgiveness: enough to describe what is wrong with it.
//!
//! Lengths that are not minimal are accepted; what runs past its end is not. Nothing recurses.

use crate::base::Stamp;
use crate::base::time::days;

/// Tags used here.
pub mod tag {
    #![expect(missing_docs, reason = "the names of ITU-T X.680")]
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const OID: u8 = 0x06;
    pub const ENUMERATED: u8 = 0x0a;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const T61_STRING: u8 = 0x14;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const UNIVERSAL_STRING: u8 = 0x1c;
    pub const BMP_STRING: u8 = 0x1e;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;

    /// `[n]`, constructed.
    pub const fn context(n: u8) -> u8 {
        0xa0 | n
    }

    /// `[n]`, primitive.
    pub const fn context_primitive(n: u8) -> u8 {
        0x80 | n
    }
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// The contents.
    pub body: &'a [u8],
    /// Identifier, length and contents.
    pub whole: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// The elements inside.
    pub fn inside(&self) -> Der<'a> {
        Der(self.body)
    }
}

/// Elements one after another.
#[derive(Clone, Copy, Debug)]
pub struct Der<'a>(pub &'a [u8]);

impl<'a> Der<'a> {
    /// The next element if it has this tag; otherwise nothing is consumed.
    pub fn want(&mut self, tag: u8) -> Option<Tlv<'a>> {
        if self.0.first() != Some(&tag) {
            return None;
        }
        self.next()
    }

    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = Tlv<'a>;

    /// The next element; `None` at the end and where the bytes are no element. What cannot be read
    /// is left behind, so that [`Der::is_empty`] tells the two apart.
    fn next(&mut self) -> Option<Tlv<'a>> {
        let &[tag, first, ref rest @ ..] = self.0 else { return None };
        if tag & 0x1f == 0x1f {
            return None; // multi-byte tags occur nowhere in X.509
        }
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (octets.iter().fold(0usize, |sum, &octet| (sum << 8) | usize::from(octet)), rest)
            }
            _ => return None,
        };
        let (body, after) = rest.split_at_checked(len)?;
        let (whole, _) = self.0.split_at_checked(self.0.len().checked_sub(after.len())?)?;
        self.0 = after;
        Some(Tlv { tag, body, whole })
    }
}

/// An object identifier's contents in dotted form; arcs beyond 64 bits are printed as `?`.
pub fn dotted(oid: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut arc: Option<u64> = Some(0);
    let mut first = true;
    for &octet in oid.iter().take(64) {
        arc = arc.and_then(|arc| (arc.leading_zeros() >= 8).then_some((arc << 7) | u64::from(octet & 0x7f)));
        if octet & 0x80 != 0 {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = match arc {
            Some(arc) if first => {
                let root = (arc / 40).min(2);
                write!(text, "{root}.{}", arc - root * 40)
            }
            Some(arc) => write!(text, ".{arc}"),
            None => write!(text, ".?"),
        };
        first = false;
        arc = Some(0);
    }
    text
}

/// An integer's contents without leading zeros (of a non-negative one).
pub fn magnitude(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|&&octet| octet == 0).count();
    integer.get(zeros..).unwrap_or_default()
}

/// Size in bits of an unsigned integer's contents.
pub fn bits(integer: &[u8]) -> u32 {
    let digits = magnitude(integer);
    let top = digits.first().map_or(0, |top| top.leading_zeros());
    u32::try_from(digits.len()).unwrap_or(u32::MAX).saturating_mul(8).saturating_sub(top)
}

/// A small unsigned integer.
pub fn small(integer: &[u8]) -> Option<u32> {
    let digits = magnitude(integer);
    if digits.len() > 4 || integer.is_empty() || integer.first().is_some_and(|top| top & 0x80 != 0) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, &digit| (sum << 8) | u32::from(digit)))
}

/// A bit string's contents without its count of unused bits.
pub fn bit_string(body: &[u8]) -> Option<&[u8]> {
    match body {
        [0..=7, bits @ ..] => Some(bits),
        _ => None,
    }
}

/// UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5). Seconds and the final `Z` may be absent,
/// an offset from UTC is honoured, a fraction is dropped.
pub fn time(element: &Tlv<'_>) -> Option<Stamp> {
    let text = element.body;
    let (year, rest) = match element.tag {
        tag::UTC_TIME => {
            let (year, rest) = digits(text, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        tag::GENERALIZED_TIME => digits(text, 4)?,
        _ => return None,
    };
    let (month, rest) = digits(rest, 2)?;
    let (day, rest) = digits(rest, 2)?;
    let (hour, rest) = digits(rest, 2)?;
    let (minute, rest) = digits(rest, 2)?;
    let (second, rest) = digits(rest, 2).unwrap_or((0, rest));
    let rest = match rest {
        [b'.' | b',', fraction @ ..] => {
            let len = fraction.iter().take_while(|octet| octet.is_ascii_digit()).count();
            fraction.get(len..)?
        }
        rest => rest,
    };
    let offset = match rest {
        [] | [b'Z'] => 0,
        [sign @ (b'+' | b'-'), offset @ ..] => {
            let (hours, offset) = digits(offset, 2)?;
            let (minutes, offset) = digits(offset, 2)?;
            if !offset.is_empty() {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let sane =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !sane {
        return None;
    }
    let secs = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(Stamp::from_secs(secs))
}

/// The first `n` octets as a decimal number, and what follows them.
fn digits(text: &[u8], n: usize) -> Option<(i64, &[u8])> {
    let (digits, rest) = text.split_at_checked(n)?;
    let mut number = 0;
    for digit in digits {
        number = number * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tag: u8, text: &str) -> Option<String> {
        time(&Tlv { tag, body: text.as_bytes(), whole: &[] }).map(|stamp| stamp.to_string())
    }

    #[test]
    fn times_are_read_in_every_form_seen() {
        let cases = [
            (tag::UTC_TIME, "240229235959Z", Some("2024-02-29T23:59:59.000000Z")),
            (tag::UTC_TIME, "500101000000Z", Some("1950-01-01T00:00:00.000000Z")),
            (tag::UTC_TIME, "2402292359Z", Some("2024-02-29T23:59:00.000000Z")),
            (tag::UTC_TIME, "240229235959+0100", Some("2024-02-29T22:59:59.000000Z")),
            (tag::GENERALIZED_TIME, "99991231235959Z", Some("9999-12-31T23:59:59.000000Z")),
            (tag::GENERALIZED_TIME, "20240229235959.5Z", Some("2024-02-29T23:59:59.000000Z")),
            (tag::UTC_TIME, "241329235959Z", None),
            (tag::UTC_TIME, "", None),
        ];
        for (tag, text, want) in cases {
            assert_eq!(at(tag, text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn an_element_that_runs_past_the_end_is_left_behind() {
        let mut der = Der(&[0x02, 0x01, 0x05, 0x30, 0x05, 0x00]);
        assert_eq!(der.next().map(|e| e.body), Some(&[5u8][..]));
        assert_eq!(der.next(), None);
        assert!(!der.is_empty());
    }

    #[test]
    fn identifiers_are_dotted() {
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b]), "1.2.840.113549.1.1.11");
        assert_eq!(dotted(&[0x55, 0x1d, 0x11]), "2.5.29.17");
        assert_eq!(dotted(&[0x88, 0x37, 0x03]), "2.999.3");
    }

    #[test]
    fn sizes_count_from_the_highest_set_bit() {
        assert_eq!(bits(&[0x00, 0x80, 0x00]), 16);
        assert_eq!(bits(&[0x7f, 0xff]), 15);
        assert_eq!(bits(&[]), 0);
    }
}
