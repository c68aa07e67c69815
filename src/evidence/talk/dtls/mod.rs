//! DTLS's part of an attempt over datagrams.
//!
//! What is lost comes again, and a hole is no failure: each message in clear is read as soon as it is whole. Sealed records show
//! their epoch, mostly their type and always their size; where there are keys, `unsealing` opens each by the number that it
//! bears.

mod facts;
mod outcome;
mod teller;
mod transcript;
mod unsealing;

pub use facts::DtlsFacts;
pub use teller::Teller;

use self::transcript::Transcript;
use self::unsealing::Unsealing;
use super::{Beginning, Place, Step};
use crate::base::{Limits, PerSide, Seen, Side, Span, Stamp};
use crate::decode::Datagram;
use crate::evidence::attempt::{Parse, messages as said};
use crate::evidence::{AlertFrom, Chain, Evidence, Stage};
use crate::tls::codes::{CipherSuite, HandshakeType, Version};
use crate::tls::dtls::messages::{Message, Messages, Took, fragments};
use crate::tls::dtls::{self, Form, Record, begins_record, records};
use crate::tls::hello::ServerHello;
use crate::tls::message::{self, CertificateVerify};
use crate::tls::sealed::{SealedRecord, looks_like_alert, looks_like_finished};

/// Content types.
mod kind {
    pub const CHANGE_CIPHER_SPEC: u8 = 20;
    pub const ALERT: u8 = 21;
    pub const HANDSHAKE: u8 = 22;
    pub const APPLICATION: u8 = 23;
}

/// Reads the datagrams of one attempt.
#[derive(Debug, Default)]
pub struct Reader {
    messages: PerSide<Messages>,
    /// Random of the client's hello: who begins another attempt has another.
    random: Option<[u8; 32]>,
    /// The server's messages that came before its hello: at most as many bytes as a side may hold.
    early: Vec<Message<'static>>,
    /// What a client's CertificateVerify and each Finished cover.
    transcript: Transcript,
    /// Bytes of the connection IDs that each side wants to be called by.
    ids: PerSide<Option<u8>>,
    /// Records in clear of each side, so that copies are told.
    seen: PerSide<Window>,
    facts: DtlsFacts,
    /// Where there may be keys.
    unsealing: Option<Box<Unsealing>>,
    /// Somebody ended it.
    over: bool,
}

/// Which of the latest records were there.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    next: u64,
    bits: u64,
}

impl Window {
    /// Whether this record was there before.
    fn again(&mut self, sequence: u64) -> bool {
        if sequence >= self.next {
            let ahead = sequence - self.next + 1;
            self.bits = if ahead < 64 { self.bits << ahead } else { 0 } | 1;
            self.next = sequence + 1;
            return false;
        }
        let behind = self.next - 1 - sequence;
        let bit = if behind < 64 { 1 << behind } else { return false };
        let again = self.bits & bit != 0;
        self.bits |= bit;
        again
    }
}

/// The hello that a datagram begins with: who sends such, its random.
fn hello(payload: &[u8]) -> Option<(Side, [u8; 32], Record<'_>)> {
    let record = records(payload, None).next().filter(|record| record.epoch == 0)?;
    let first = fragments(record.body).next().filter(|_| record.content_type == kind::HANDSHAKE)?;
    let random = *first.body.get(2..)?.first_chunk().filter(|_| first.offset == 0)?;
    match first.kind {
        HandshakeType::CLIENT_HELLO => Some((Side::Client, random, record)),
        HandshakeType::SERVER_HELLO => Some((Side::Server, random, record)),
        _ => None,
    }
}

/// Whether this datagram begins an attempt.
pub(super) fn begin(datagram: &Datagram<'_>) -> Option<Beginning> {
    /// A server's hello is among its first records, unless it comes again.
    const FIRST: u64 = 2;
    let (from, random, record) = hello(dtls::payload(datagram.payload))?;
    if from == Side::Server && record.sequence? >= FIRST {
        return None;
    }
    let tag = random.iter().fold(1, |tag: u32, &byte| tag.wrapping_mul(0x0100_0193) ^ u32::from(byte));
    Some(Beginning { reader: super::Reader::Dtls(Box::default()), from, tag })
}

impl Reader {
    /// Takes one datagram. Nothing is noted of one that is another's or none of ours.
    pub(super) fn datagram(
        &mut self,
        e: &mut Evidence,
        datagram: &Datagram<'_>,
        from: Side,
        place: Place,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> Step {
        let payload = dtls::payload(datagram.payload);
        // RFC 7983: what shares the ports is told by its first byte.
        match payload.first() {
            Some(20..=63) => {}
            Some(128..=191) if outcome::set_up(e) => {
                // Media sealed with this handshake's keys (RFC 5764).
                self.facts.media = true;
                return Step::Settled;
            }
            Some(0..=3) => {
                self.facts.stun = true;
                return Step::NotOurs;
            }
            _ => return Step::NotOurs,
        }
        if let Some((Side::Client, random, _)) = hello(payload)
            && from == Side::Client
            && self.random.is_some_and(|known| known != random)
            && !(self.facts.verify.is_some() && e.server_hello.is_none())
        {
            return Step::Another;
        }
        if self.unsealing.is_none()
            && let Some(keys) = parser.keys().filter(|keys| keys.are_there(place.no))
        {
            self.unsealing = Some(Box::new(Unsealing::new(keys.clone(), limits)));
        }
        let mut ours = false;
        for record in records(payload, *self.ids.of(from.other())) {
            ours |= record.form == Form::Unified || begins_record(payload);
            self.record(e, &record, from, place, limits, parser);
        }
        if !ours {
            return Step::NotOurs;
        }
        if let Some(unsealing) = &mut self.unsealing {
            self.over |= unsealing.open(e, &mut self.transcript, false);
        }
        let again = self.messages.of(from).again();
        if e.tcp.repeats.of(from).as_ref().map_or(0, |repeats| repeats.value) < again {
            let at = match e.tcp.repeats.of(from) {
                Some(repeats) => repeats.at.clone().and(&place.no.into()),
                None => place.no.into(),
            };
            *e.tcp.repeats.of_mut(from) = Some(Seen { value: again, at, when: place.stamp });
            let times = e.tcp.repeated.of_mut(from);
            if times.len() < crate::evidence::Trouble::TIMES {
                times.push(place.stamp);
            }
        }
        if outcome::carries_data(e) { Step::Settled } else { Step::Open }
    }

    fn record(
        &mut self,
        e: &mut Evidence,
        record: &Record<'_>,
        from: Side,
        place: Place,
        limits: &Limits,
        parser: &mut impl Parse,
    ) {
        if record.epoch > 0 || record.form != Form::Plain {
            if let Some(unsealing) = &mut self.unsealing {
                unsealing.keep(record, from, place);
            }
            return self.sealed(e, record, from, place);
        }
        let seen = Seen::new((), place.no, place.stamp);
        match record.content_type {
            kind::HANDSHAKE => {
                let copy = record.sequence.is_some_and(|sequence| self.seen.of_mut(from).again(sequence));
                for fragment in fragments(record.body) {
                    let messages = self.messages.of_mut(from);
                    match messages.take(&fragment, copy, place.no, place.stamp, limits.bytes_per_side) {
                        Took::Whole(message) => self.whole(e, from, record.version, message, limits, parser),
                        Took::Dropped => e.lost.bytes_dropped += fragment.body.len() as u64,
                        Took::Part | Took::Again => {}
                    }
                }
            }
            kind::ALERT => {
                let Some(alert) = dtls::alert(record.body) else { return };
                self.over |= e.alert(AlertFrom { from, alert, sealed: false }, seen);
            }
            kind::CHANGE_CIPHER_SPEC => {
                e.sealing.ccs.of_mut(from).get_or_insert(seen);
            }
            _ => {}
        }
    }

    /// A whole message in clear.
    fn whole(
        &mut self,
        e: &mut Evidence,
        from: Side,
        version: Version,
        message: Message<'_>,
        limits: &Limits,
        parser: &mut impl Parse,
    ) {
        let Message { kind, sequence, body, at, when } = message;
        let seen = Seen { value: (), at, when };
        match (from, kind) {
            (Side::Client, HandshakeType::CLIENT_HELLO) => {
                // One with a cookie takes the place of the one without; behind the server's hello it asks for nothing new.
                if e.server_hello.is_some() && e.hello.is_some() {
                    return;
                }
                let Some(hello) = parser.client_hello(version, &body) else { return };
                self.random = Some(hello.random);
                self.facts.cookie |= dtls::cookie_len(&body).is_some_and(|len| len > 0);
                self.ids.client = dtls::id_len(&body, true);
                self.transcript.add(from, sequence, kind, &body);
                let at = e.hello.as_ref().map(|first| first.at.clone()).unwrap_or_default().and(&seen.at);
                e.hello = Some(Box::new(Seen { value: hello, at, when: seen.when }));
                e.stage = e.stage.max(Stage::ClientHello);
            }
            (Side::Server, HandshakeType::HELLO_VERIFY_REQUEST) => {
                self.facts.verify.get_or_insert(seen);
            }
            (Side::Server, HandshakeType::SERVER_HELLO) => {
                let Some(hello) = ServerHello::parse(&body) else {
                    e.lost.malformed_messages += 1;
                    return;
                };
                if hello.retry {
                    e.retry.get_or_insert(Box::new(seen.map(|()| hello)));
                } else if e.server_hello.is_none() {
                    if hello.version.is_tls13() && !hello.psk {
                        e.chain = Chain::Sealed(seen.at.clone());
                    }
                    self.ids.server = dtls::id_len(&body, false);
                    if self.ids.server.is_none() {
                        self.ids.client = None; // the server takes none
                    }
                    self.transcript.add(from, sequence, kind, &body);
                    e.server_hello = Some(Box::new(seen.map(|()| hello)));
                    e.stage = e.stage.max(Stage::ServerHello);
                    for message in std::mem::take(&mut self.early) {
                        self.whole(e, from, version, message, limits, parser);
                    }
                }
            }
            (Side::Server, _) if e.server_hello.is_none() => {
                if self.early_held() + body.len() > limits.bytes_per_side {
                    e.lost.bytes_dropped += body.len() as u64;
                    return;
                }
                let (body, Seen { at, .. }) = (body.into_owned().into(), seen);
                self.early.push(Message { kind, sequence, body, at, when });
            }
            (Side::Client, HandshakeType::CERTIFICATE_VERIFY) => {
                let version = e.version().unwrap_or_default();
                let signed = self.transcript.before(sequence).filter(|_| e.lost.malformed_messages == 0);
                match self.unsealing {
                    Some(_) => self.transcript.add(from, sequence, kind, &body),
                    None => self.transcript.end(),
                }
                if let Some((scheme, signature)) = message::certificate_verify(&body, version) {
                    let verify = CertificateVerify { scheme, signature: signature.to_vec(), signed };
                    e.certificate_verify = Some(Box::new(seen.map(|()| verify)));
                }
            }
            _ => {
                self.transcript.add(from, sequence, kind, &body);
                said::clear(e, from, kind, &body, seen, parser);
            }
        }
    }

    /// A sealed record: its place, its type where that is in clear, its size.
    fn sealed(&mut self, e: &mut Evidence, record: &Record<'_>, from: Side, place: Place) {
        let hello = e.server_hello.as_ref();
        let (cipher, version) =
            hello.map_or((CipherSuite(0), Version(0)), |hello| (hello.value.cipher, hello.value.version));
        self.facts.ids |= record.form == Form::WithId;
        let seen = Seen::new((), place.no, place.stamp);
        let first = record.sequence == Some(0);
        let sealing = &mut *e.sealing;
        // A sealed type takes one byte more than what it stands in (RFC 9146 section 4).
        let len = record.len - u16::from(record.form == Form::WithId && record.len > 0);
        let alert = looks_like_alert(len, cipher, version);
        let content_type = match record.form {
            Form::Plain => record.content_type,
            Form::WithId if first && alert => kind::ALERT,
            Form::WithId if first => kind::HANDSHAKE,
            Form::WithId if alert => kind::ALERT,
            Form::WithId => kind::APPLICATION,
            // Epoch 2 carries handshakes, 3 and beyond all else (RFC 9147 section 6.1).
            Form::Unified if alert => kind::ALERT,
            Form::Unified if record.epoch == 2 => kind::HANDSHAKE,
            Form::Unified => kind::APPLICATION,
        };
        match content_type {
            kind::HANDSHAKE if record.form == Form::Unified => {
                // The client acknowledges with these keys as well.
                if from == Side::Server || looks_like_finished(len, cipher, version) {
                    sealing.finished.of_mut(from).get_or_insert(seen);
                }
                e.stage = e.stage.max(Stage::Certificate);
            }
            kind::HANDSHAKE => {
                sealing.finished.of_mut(from).get_or_insert(seen);
                e.stage = e.stage.max(Stage::Finished);
            }
            kind::APPLICATION => {
                if record.form == Form::Unified && from == Side::Client {
                    sealing.finished.client.get_or_insert(seen);
                }
                *sealing.application.of_mut(from) += u64::from(len);
                e.stage = e.stage.max(Stage::Finished);
            }
            kind::ALERT if first && sealing.finished.of(from).is_none() => {
                self.facts.alert_first.of_mut(from).get_or_insert((place.no, len));
            }
            _ => {}
        }
        let kept = e.sealing.records.of_mut(from);
        if kept.len() < 16 {
            kept.push(SealedRecord { content_type, len, at: place.no, when: place.stamp });
        }
        if outcome::carries_data(e) {
            e.stage = Stage::Application;
        }
    }

    /// How long to wait for the next datagram before the attempt is taken as it stands.
    pub(super) fn patience(&self, e: &Evidence, limits: &Limits) -> Span {
        if self.over {
            limits.after_end
        } else if outcome::set_up(e) {
            limits.linger
        } else {
            // RFC 6347 section 4.2.4.1: repeats come after one second at first, then after twice as long, up to 60 s.
            limits.stall
        }
    }

    /// Writes how it ended.
    pub(super) fn close(
        mut self,
        e: &mut Evidence,
        now: Stamp,
        capture_ended: bool,
        parser: &mut impl Parse,
    ) {
        for Message { kind, body, at, when, .. } in std::mem::take(&mut self.early) {
            said::clear(e, Side::Server, kind, &body, Seen { value: (), at, when }, parser);
        }
        for side in [Side::Client, Side::Server] {
            let Some((kind, have, want, at)) = self.messages.of(side).pending() else { continue };
            e.unfinished.get_or_insert((side, kind, have, want));
            if kind == HandshakeType::CERTIFICATE && side == Side::Server && e.chain == Chain::Unsent {
                e.chain = Chain::Cut(at.clone());
            }
        }
        if let Some(mut unsealing) = self.unsealing.take() {
            unsealing.open(e, &mut self.transcript, true);
            unsealing.conclude(e, &self.transcript);
        }
        outcome::settle(e, &self.facts, now, capture_ended);
        e.dtls = Some(Box::new(self.facts));
    }

    /// Bytes of what came before the server's hello.
    fn early_held(&self) -> usize {
        self.early.iter().map(|message| message.body.len()).sum()
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        let unsealing = self.unsealing.as_ref().map_or(0, |unsealing| unsealing.held());
        self.messages.client.held()
            + self.messages.server.held()
            + self.early_held()
            + self.transcript.held()
            + unsealing
    }
}

#[cfg(test)]
mod tests;
