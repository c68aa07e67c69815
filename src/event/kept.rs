//! Pieces of JSON that come again and again: certificates of the same servers, hellos of the same programs.

use super::json::{self, Object, display, string};
use super::line::{Line, Shared};
use crate::base::Stamp;
use crate::cause::Certainty;
use crate::tls::cert::Certificate;
use crate::tls::codes::{Group, SignatureScheme};
use crate::tls::hello::{Offer, ServerHello};
use crate::tls::stack::Stack;
use foldhash::fast::RandomState;
use hashbrown::{Equivalent, HashMap};
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Keeps pieces of JSON from event to event. What is written never depends on what is kept: keys are the whole of what a
/// piece is made from.
#[derive(Debug, Default)]
pub struct Kept {
    certificates: Memo<[u8; 32]>,
    offers: Memo<This>,
    answers: Memo<Box<[u8]>>,
    key: Vec<u8>,
    minute: Option<(i64, String)>,
    /// The capture's name, and the member that names it.
    capture: (String, Vec<u8>),
    apart: Apart,
}

/// Pieces that are to lie beside the text under way, where that is asked for.
type Apart = Option<Vec<Shared>>;

impl Kept {
    /// Has a text written from its beginning, without the pieces that are to lie beside it.
    pub(super) fn apart(&mut self, text: &mut Vec<u8>, write: impl FnOnce(&mut Self, &mut Vec<u8>)) {
        /// A hello, an answer and two certificates.
        const USUAL: usize = 4;
        text.clear();
        self.apart = Some(Vec::with_capacity(USUAL));
        write(self, text);
    }

    /// The line of that text. It is written to memory that is far from the processor, and to change a count of references waits
    /// for all that was written before: what the text was made of is best let go of first.
    #[inline]
    pub fn line(&mut self, text: &[u8]) -> Line {
        Line::new(text, self.apart.take().unwrap_or_default())
    }

    /// `capture`. Events of one capture follow each other.
    pub(super) fn capture(&mut self, name: &str, o: &mut Object<'_>) {
        let (known, member) = &mut self.capture;
        if known != name || member.is_empty() {
            name.clone_into(known);
            member.clear();
            json::members(member, |o| o.string("capture", name));
        }
        o.members(|out| out.extend_from_slice(member));
    }

    pub(super) fn certificate(&mut self, certificate: &Certificate, out: &mut Vec<u8>) {
        let sha256 = &certificate.sha256;
        let make = |out: &mut Vec<u8>| super::certificate::write(certificate, out);
        self.certificates.write(sha256, || *sha256, &mut self.apart, out, make);
    }

    /// `ja3`, `ja4` and `offered`.
    pub(super) fn hello(&mut self, offer: &Arc<Offer>, o: &mut Object<'_>) {
        o.members(|out| {
            self.offers.write(
                &Spot(Arc::as_ptr(offer)),
                || This(Arc::clone(offer)),
                &mut self.apart,
                out,
                |out| {
                    json::members(out, |o| {
                        o.string("ja3", &offer.ja3());
                        o.string("ja4", &offer.ja4());
                        o.maybe("client_stack", Stack::of_offer(offer), |stack, out| {
                            json::object(out, |o| {
                                o.word("name", stack.word());
                                // Told by a shape, which others may take on: never proven.
                                let certainty =
                                    if stack.is_sure() { Certainty::Inferred } else { Certainty::Suspected };
                                o.word("certainty", certainty.word());
                            });
                        });
                        o.object("offered", |o| offered(offer, o));
                    });
                },
            );
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
            let key = self.key.as_slice();
            let make = |out: &mut Vec<u8>| json::members(out, |o| chosen(choice, o));
            self.answers.write(key, || key.into(), &mut self.apart, out, make);
        });
    }

    /// A stamp as a string. Events come in the order of time, so most share a minute with the one before.
    pub(super) fn stamp(&mut self, stamp: Stamp, out: &mut Vec<u8>) {
        let minute = stamp.secs().div_euclid(60);
        if self.minute.as_ref().is_none_or(|(kept, _)| *kept != minute) {
            let mut text = String::with_capacity(28);
            // Writing into a String cannot fail.
            let _ = write!(text, "{}", Stamp::from_secs(minute.saturating_mul(60)));
            text.truncate(text.len().saturating_sub("00.000000Z".len()));
            self.minute = Some((minute, text));
        }
        out.push(b'"');
        out.extend_from_slice(self.minute.as_ref().map_or(&[][..], |(_, text)| text.as_bytes()));
        let (second, micros) = (stamp.secs().rem_euclid(60) as u32, stamp.0.rem_euclid(1_000_000) as u32);
        let digit = |number: u32, unit: u32| b'0' + (number / unit % 10) as u8;
        out.extend_from_slice(&[
            digit(second, 10),
            digit(second, 1),
            b'.',
            digit(micros, 100_000),
            digit(micros, 10_000),
            digit(micros, 1_000),
            digit(micros, 100),
            digit(micros, 10),
            digit(micros, 1),
            b'Z',
            b'"',
        ]);
    }
}

/// A list behind its length, so that two lists never look like two others.
fn numbers(key: &mut Vec<u8>, list: impl ExactSizeIterator<Item = u16>) {
    key.extend_from_slice(&(list.len() as u32).to_be_bytes());
    key.extend(list.flat_map(u16::to_be_bytes));
}

/// What was agreed on.
#[derive(Clone, Copy)]
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

fn offered(hello: &Offer, o: &mut Object<'_>) {
    if hello.supported_versions.is_empty() {
        o.array("versions", [hello.legacy_version], |version, out| display(&version, out));
    } else {
        o.array("versions", &hello.supported_versions, display);
    }
    o.array("ciphers", &hello.ciphers, display);
    o.array("groups", &hello.groups, display);
    o.array("signature_algorithms", &hello.signature_schemes, display);
    o.array("alpn", &hello.alpn, |protocol, out| string(protocol, out));
    o.boolean("ech", hello.ech);
}

/// This very offer, which the parser shares among hellos; another that says the same is another.
#[derive(Clone, Debug)]
struct This(Arc<Offer>);

impl PartialEq for This {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for This {}

impl Hash for This {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Spot(Arc::as_ptr(&self.0)).hash(state);
    }
}

/// Where an offer is: looks for [`This`] without counting one more reference to it.
#[derive(Hash)]
struct Spot(*const Offer);

impl Equivalent<This> for Spot {
    fn equivalent(&self, other: &This) -> bool {
        self.0 == Arc::as_ptr(&other.0)
    }
}

/// Pieces by what they are made from, within a bound.
#[derive(Debug)]
struct Memo<K> {
    kept: HashMap<K, Arc<[u8]>, RandomState>,
    bytes: usize,
}

impl<K> Default for Memo<K> {
    fn default() -> Self {
        Self { kept: HashMap::default(), bytes: 0 }
    }
}

impl<K: Hash + Eq> Memo<K> {
    /// Bytes of pieces. A certificate takes about 600, a hello 1 500; full, it starts anew.
    const MOST_BYTES: usize = 4 << 20;
    /// What the key and the table itself take for each piece, roughly.
    const OVERHEAD: usize = 128;

    /// Writes the piece of `key`, made now or earlier, or lays it apart; `own` gives the key to keep.
    fn write<Q: Hash + Equivalent<K> + ?Sized>(
        &mut self,
        key: &Q,
        own: impl FnOnce() -> K,
        apart: &mut Apart,
        out: &mut Vec<u8>,
        make: impl FnOnce(&mut Vec<u8>),
    ) {
        if let Some(piece) = self.kept.get(key) {
            match (apart, u32::try_from(out.len())) {
                (Some(apart), Ok(place)) => apart.push((place, Arc::clone(piece))),
                _ => out.extend_from_slice(piece),
            }
            return;
        }
        let start = out.len();
        make(out);
        let Some(piece) = out.get(start..) else { return };
        let bytes = piece.len() + Self::OVERHEAD;
        if bytes > Self::MOST_BYTES {
            return;
        }
        if self.bytes + bytes > Self::MOST_BYTES {
            self.kept.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.kept.insert(own(), piece.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use crate::event::json::object;
    use crate::tls::codes::ExtensionType;

    #[test]
    fn a_piece_is_made_once_and_written_each_time() {
        let mut memo: Memo<u8> = Memo::default();
        let mut out = Vec::new();
        memo.write(&1, || 1, &mut None, &mut out, |out| out.extend_from_slice(b"one"));
        memo.write(&1, || 1, &mut None, &mut out, |_| panic!("made twice"));
        memo.write(&2, || 2, &mut None, &mut out, |out| out.extend_from_slice(b"two"));
        assert_eq!(out, b"oneonetwo");
    }

    #[test]
    fn memory_stays_within_its_bound() {
        let mut memo: Memo<u8> = Memo::default();
        for n in 0..40_u8 {
            memo.write(&n, || n, &mut None, &mut Vec::new(), |out| out.resize(1 << 20, n));
            assert!(memo.bytes <= Memo::<u8>::MOST_BYTES);
        }
        memo.write(&99, || 99, &mut None, &mut Vec::new(), |out| out.resize(Memo::<u8>::MOST_BYTES, 0));
        assert!(!memo.kept.contains_key(&99));
    }

    #[test]
    fn a_stamp_is_written_as_it_displays() {
        let mut kept = Kept::default();
        for micros in
            [0, -1, 1, 999_999, 1_000_000, 1_709_164_859_000_042, 1_709_164_860_900_000, -61_000_000]
        {
            let mut out = Vec::new();
            kept.stamp(Stamp(micros), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{}\"", Stamp(micros)));
        }
    }

    #[test]
    fn offers_are_kept_apart() {
        let written = |kept: &mut Kept, offer: &Arc<Offer>| {
            let mut out = Vec::new();
            object(&mut out, |o| kept.hello(offer, o));
            serde_json::from_slice::<serde_json::Value>(&out).unwrap()
        };
        let mut kept = Kept::default();
        let offer = fixture::completed().hello.unwrap().value.offer;
        let first = written(&mut kept, &offer);
        let mut other = (*offer).clone();
        other.groups.pop();
        assert_ne!(written(&mut kept, &Arc::new(other)), first);
        assert_eq!(written(&mut kept, &offer), first);
        assert_eq!(written(&mut kept, &Arc::new((*offer).clone())), first);
    }

    #[test]
    fn choices_that_differ_in_one_thing_are_kept_apart() {
        let answer = fixture::completed().server_hello.unwrap().value;
        let other = ServerHello { extensions: [ExtensionType(0)].into_iter().collect(), ..answer.clone() };
        let named = ServerHello { alpn: Some("h2".into()), ..answer.clone() };
        let nothing = Choice { answer: None, group: None, scheme: None, resumed: false, hello_retry: false };
        let choices = [
            Choice { answer: Some(&answer), ..nothing },
            Choice { answer: Some(&other), ..nothing },
            Choice { answer: Some(&named), ..nothing },
            Choice { group: Some(Group(23)), ..nothing },
            Choice { scheme: Some(SignatureScheme(23)), ..nothing },
            Choice { resumed: true, ..nothing },
            Choice { hello_retry: true, ..nothing },
            nothing,
        ];
        let mut kept = Kept::default();
        let written: Vec<_> = (0..2)
            .flat_map(|_| &choices)
            .map(|choice| {
                let mut out = Vec::new();
                object(&mut out, |o| kept.choice(choice, o));
                out
            })
            .collect();
        for (n, one) in written.iter().enumerate() {
            for (m, other) in written.iter().enumerate() {
                assert_eq!(one == other, n % choices.len() == m % choices.len(), "{n} {m}");
            }
        }
    }
}
