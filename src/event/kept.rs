//! Pieces of JSON that come again and again: certificates of the same servers, hellos of the same programs.

use super::json::{self, Object, display, string};
use crate::base::Stamp;
use crate::tls::cert::Certificate;
use crate::tls::codes::{Group, SignatureScheme};
use crate::tls::hello::{ClientHello, ServerHello};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::fmt::Write as _;

/// Keeps pieces of JSON from event to event. What is written never depends on what is kept: keys are the whole of what a
/// piece is made from.
#[derive(Debug, Default)]
pub struct Kept {
    certificates: Memo,
    hellos: Memo,
    answers: Memo,
    key: Vec<u8>,
    second: Option<(i64, String)>,
}

impl Kept {
    pub(super) fn certificate(&mut self, certificate: &Certificate, out: &mut Vec<u8>) {
        self.certificates.write(&certificate.sha256, out, |out| super::certificate::write(certificate, out));
    }

    /// `ja3`, `ja4` and `offered`.
    pub(super) fn hello(&mut self, hello: &ClientHello, o: &mut Object<'_>) {
        let key = &mut self.key;
        key.clear();
        key.extend_from_slice(&hello.legacy_version.0.to_be_bytes());
        numbers(key, hello.supported_versions.iter().map(|version| version.0));
        numbers(key, hello.ciphers.iter().map(|cipher| cipher.0));
        numbers(key, hello.extensions.iter().map(|extension| extension.0));
        numbers(key, hello.groups.iter().map(|group| group.0));
        numbers(key, hello.signature_schemes.iter().map(|scheme| scheme.0));
        numbers(key, hello.point_formats.iter().map(|&format| u16::from(format)));
        let (first, last) = hello.alpn_ends.unwrap_or_default();
        key.extend_from_slice(&[u8::from(hello.alpn_ends.is_some()), first, last]);
        for protocol in &hello.alpn {
            numbers(key, protocol.bytes().map(u16::from));
        }
        o.members(|out| {
            self.hellos.write(&self.key, out, |out| {
                json::members(out, |o| {
                    o.string("ja3", &hello.ja3());
                    o.string("ja4", &hello.ja4());
                    o.object("offered", |o| offered(hello, o));
                });
            });
        });
    }

    /// `version` to `ja3s`.
    pub(super) fn choice(&mut self, choice: &Choice<'_>, o: &mut Object<'_>) {
        let key = &mut self.key;
        key.clear();
        let known = |present: bool, bit: u8| u8::from(present) << bit;
        key.push(
            known(choice.answer.is_some(), 0)
                | known(choice.group.is_some(), 1)
                | known(choice.scheme.is_some(), 2)
                | known(choice.answer.is_some_and(|answer| answer.alpn.is_some()), 3)
                | known(choice.resumed, 4)
                | known(choice.hello_retry, 5),
        );
        key.extend_from_slice(&choice.group.map_or(0, |group| group.0).to_be_bytes());
        key.extend_from_slice(&choice.scheme.map_or(0, |scheme| scheme.0).to_be_bytes());
        if let Some(answer) = choice.answer {
            for number in [answer.version.0, answer.legacy_version.0, answer.cipher.0] {
                key.extend_from_slice(&number.to_be_bytes());
            }
            numbers(key, answer.extensions.iter().map(|extension| extension.0));
            key.extend_from_slice(answer.alpn.as_deref().unwrap_or_default().as_bytes());
        }
        o.members(|out| {
            self.answers.write(&self.key, out, |out| json::members(out, |o| chosen(choice, o)));
        });
    }

    /// A stamp as a string. Events come in the order of time, so most share a second with the one before.
    pub(super) fn stamp(&mut self, stamp: Stamp, out: &mut Vec<u8>) {
        let secs = stamp.secs();
        if self.second.as_ref().is_none_or(|(kept, _)| *kept != secs) {
            let mut text = String::with_capacity(28);
            // Writing into a String cannot fail.
            let _ = write!(text, "{}", Stamp::from_secs(secs));
            text.truncate(text.len().saturating_sub("000000Z".len()));
            self.second = Some((secs, text));
        }
        out.push(b'"');
        out.extend_from_slice(self.second.as_ref().map_or(&[][..], |(_, text)| text.as_bytes()));
        let mut micros = stamp.0.rem_euclid(1_000_000);
        let mut unit = 100_000;
        while unit > 0 {
            out.push(b'0' + (micros / unit) as u8);
            micros %= unit;
            unit /= 10;
        }
        out.extend_from_slice(b"Z\"");
    }
}

/// A list behind its length, so that two lists never look like two others.
fn numbers(key: &mut Vec<u8>, list: impl ExactSizeIterator<Item = u16>) {
    key.extend_from_slice(&(list.len() as u32).to_be_bytes());
    key.extend(list.flat_map(u16::to_be_bytes));
}

/// What was agreed on.
pub(super) struct Choice<'a> {
    /// The ServerHello.
    pub answer: Option<&'a ServerHello>,
    /// The group of the key exchange.
    pub group: Option<Group>,
    /// The scheme of the server's signature.
    pub scheme: Option<SignatureScheme>,
    /// From a session or PSK.
    pub resumed: bool,
    /// A HelloRetryRequest came first.
    pub hello_retry: bool,
}

fn chosen(choice: &Choice<'_>, o: &mut Object<'_>) {
    let answer = choice.answer;
    o.maybe("version", answer.map(|answer| answer.version), |version, out| display(&version, out));
    o.maybe("cipher", answer.map(|answer| answer.cipher), |cipher, out| display(&cipher, out));
    o.maybe("group", choice.group, |group, out| display(&group, out));
    o.maybe("signature_algorithm", choice.scheme, |scheme, out| display(&scheme, out));
    o.maybe_string("alpn", answer.and_then(|answer| answer.alpn.as_deref()));
    o.boolean("resumed", choice.resumed);
    o.boolean("hello_retry", choice.hello_retry);
    o.maybe("ja3s", answer, |answer, out| string(&answer.ja3s(), out));
}

fn offered(hello: &ClientHello, o: &mut Object<'_>) {
    if hello.supported_versions.is_empty() {
        o.array("versions", [hello.legacy_version], |version, out| display(&version, out));
    } else {
        o.array("versions", &hello.supported_versions, display);
    }
    o.array("ciphers", &hello.ciphers, display);
    o.array("groups", &hello.groups, display);
    o.array("signature_algorithms", &hello.signature_schemes, display);
    o.array("alpn", &hello.alpn, |protocol, out| string(protocol, out));
}

/// Pieces by what they are made from, within a bound.
#[derive(Debug, Default)]
struct Memo {
    kept: HashMap<Box<[u8]>, Box<[u8]>, RandomState>,
    bytes: usize,
}

impl Memo {
    /// Bytes of keys and pieces. A certificate takes about 600, a hello 1 500; full, it starts anew.
    const MOST_BYTES: usize = 4 << 20;
    /// What the table itself takes for each piece, roughly.
    const OVERHEAD: usize = 48;

    fn write(&mut self, key: &[u8], out: &mut Vec<u8>, make: impl FnOnce(&mut Vec<u8>)) {
        if let Some(piece) = self.kept.get(key) {
            out.extend_from_slice(piece);
            return;
        }
        let start = out.len();
        make(out);
        let Some(piece) = out.get(start..) else { return };
        let bytes = key.len() + piece.len() + Self::OVERHEAD;
        if bytes > Self::MOST_BYTES {
            return;
        }
        if self.bytes + bytes > Self::MOST_BYTES {
            self.kept.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.kept.insert(key.into(), piece.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use crate::event::json::object;

    #[test]
    fn a_piece_is_made_once_and_written_each_time() {
        let mut memo = Memo::default();
        let mut out = Vec::new();
        memo.write(b"key", &mut out, |out| out.extend_from_slice(b"one"));
        memo.write(b"key", &mut out, |_| panic!("made twice"));
        memo.write(b"other", &mut out, |out| out.extend_from_slice(b"two"));
        assert_eq!(out, b"oneonetwo");
    }

    #[test]
    fn memory_stays_within_its_bound() {
        let mut memo = Memo::default();
        for n in 0..40_u8 {
            memo.write(&[n], &mut Vec::new(), |out| out.resize(1 << 20, n));
            assert!(memo.bytes <= Memo::MOST_BYTES);
        }
        memo.write(b"too much", &mut Vec::new(), |out| out.resize(Memo::MOST_BYTES, 0));
        assert!(!memo.kept.contains_key(&b"too much"[..]));
    }

    #[test]
    fn a_stamp_is_written_as_it_displays() {
        let mut kept = Kept::default();
        for micros in [0, -1, 1, 999_999, 1_000_000, 1_709_164_800_000_042, 1_709_164_800_900_000] {
            let mut out = Vec::new();
            kept.stamp(Stamp(micros), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{}\"", Stamp(micros)));
        }
    }

    #[test]
    fn hellos_that_differ_in_one_number_are_kept_apart() {
        let written = |kept: &mut Kept, hello: &ClientHello| {
            let mut out = Vec::new();
            object(&mut out, |o| kept.hello(hello, o));
            serde_json::from_slice::<serde_json::Value>(&out).unwrap()
        };
        let mut kept = Kept::default();
        let hello = fixture::completed().hello.unwrap().value;
        let first = written(&mut kept, &hello);
        let mut other = hello.clone();
        let moved = other.groups.pop().unwrap();
        other.signature_schemes.insert(0, crate::tls::codes::SignatureScheme(moved.0));
        assert_ne!(written(&mut kept, &other), first);
        other = hello.clone();
        other.alpn = vec!["h2http/1.1".into()];
        assert_ne!(written(&mut kept, &other), first);
        assert_eq!(written(&mut kept, &hello), first);
        assert_eq!(first, written(&mut Kept::default(), &hello));
    }
}
