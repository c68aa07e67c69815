//! DTLS's part of an attempt over datagrams.
//!
//! Its messages are those of TLS, and mean what they mean there: an [`Attempt`] reads them. What is told here is where they
//! lie in datagrams, what was sent again, and how an attempt ends without a connection that closes. WebRTC sends STUN, DTLS
//! and media between the same ports (RFC 7983): the first byte tells them apart.

mod outcome;
mod teller;

use std::borrow::Cow;

pub use teller::Teller;

use super::{Beginning, Place, Step};
use crate::base::{Direction, Limits, Packets, PerSide, Seen, Side, Span, Stamp};
use crate::decode::Datagram;
use crate::evidence::attempt::{Attempt, Parse};
use crate::evidence::{Evidence, Stage};
use crate::tls::codes::{AlertDescription, AlertLevel, CipherSuite, HandshakeType, Version};
use crate::tls::dtls::{self, Fragments, HELLO_VERIFY_REQUEST, Joiner, Record, Records, WITH_ID};
use crate::tls::message::Alert;
use crate::tls::record::{Read, Unit};
use crate::tls::sealed::{looks_like_alert, looks_like_finished};

/// Content types.
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// Reads the datagrams of one attempt.
#[derive(Debug)]
pub struct Reader {
    /// Reads the messages; the facts are lent to it meanwhile.
    attempt: Attempt,
    joiners: Option<PerSide<Joiner>>,
    /// Random of the hello that began it, where one did.
    random: Option<[u8; 32]>,
    /// A cookie was asked for.
    verify: Option<Seen<()>>,
    /// Each side's latest datagram that brought something new.
    news: PerSide<Option<Stamp>>,
    /// STUN, or media, between the same ports.
    real_time: bool,
    over: bool,
}

/// Whether this datagram begins an attempt.
pub(super) fn begin(datagram: &Datagram<'_>) -> Option<Beginning> {
    let (kind, random) = dtls::begins(datagram.payload)?;
    let from = if kind == HandshakeType::CLIENT_HELLO { Side::Client } else { Side::Server };
    let (client, server) = match from {
        Side::Client => (datagram.src(), datagram.dst()),
        Side::Server => (datagram.dst(), datagram.src()),
    };
    let no_place = (<_>::default(), <_>::default());
    let attempt = Attempt::new(client, server, Direction::LowToHigh, false, no_place.0, no_place.1);
    let tag = random.and_then(|random| random.first_chunk().copied()).map_or(1, u32::from_be_bytes);
    let reader = Reader {
        attempt,
        joiners: None,
        random,
        verify: None,
        news: PerSide::default(),
        real_time: false,
        over: false,
    };
    Some(Beginning { reader: super::Reader::Dtls(Box::new(reader)), from, tag })
}

impl Reader {
    /// Takes one datagram. Nothing is noted of one that is another's or none of ours.
    pub(super) fn datagram(
        &mut self,
        evidence: &mut Evidence,
        datagram: &Datagram<'_>,
        from: Side,
        place: Place,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> Step {
        match datagram.payload.first() {
            Some(20..=63 | 1) => {}
            // STUN, and TURN's channels.
            Some(0..=3 | 64..=79) => {
                self.real_time = true;
                return Step::NotOurs;
            }
            // Media, or control of it, by keys that the handshake gave.
            Some(128..=191) => {
                self.real_time = true;
                return self.media(evidence, datagram, from);
            }
            _ => return Step::NotOurs,
        }
        if let Some((HandshakeType::CLIENT_HELLO, random)) = dtls::begins(datagram.payload)
            && from == Side::Client
            && self.is_another(evidence, random)
        {
            return Step::Another;
        }
        std::mem::swap(&mut *self.attempt.evidence, evidence);
        let fresh = self.records(datagram, from, place, limits, parser);
        std::mem::swap(&mut *self.attempt.evidence, evidence);
        if fresh {
            *self.news.of_mut(from) = Some(place.stamp);
        } else {
            count(evidence.tcp.repeats.of_mut(from), place);
        }
        if outcome::carries_data(evidence) { Step::Settled } else { Step::Open }
    }

    /// A hello with another random is another attempt's (RFC 6347 section 4.2.8), unless a cookie was asked for: some clients
    /// then make a new one.
    fn is_another(&mut self, evidence: &Evidence, random: Option<[u8; 32]>) -> bool {
        let asked = self.verify.is_some() && evidence.server_hello.is_none() && evidence.alerts.is_empty();
        if self.random.is_some() && !asked {
            return random != self.random;
        }
        self.random = random;
        false
    }

    fn media(&mut self, evidence: &mut Evidence, datagram: &Datagram<'_>, from: Side) -> Step {
        let finished = &evidence.sealing.finished;
        if finished.client.is_none() || finished.server.is_none() {
            return Step::NotOurs;
        }
        *evidence.sealing.application.of_mut(from) += u64::from(datagram.payload_wire_len);
        evidence.stage = Stage::Application;
        // One who only listens says nothing.
        Step::Settled
    }

    /// Reads the records of a datagram. Whether anything of them is new.
    fn records(
        &mut self,
        datagram: &Datagram<'_>,
        from: Side,
        place: Place,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> bool {
        let mut fresh = false;
        for record in Records::of(datagram.payload) {
            fresh |= match (record.epoch, record.content_type) {
                (_, 0) => self.sealed_by_13(&record, from, place),
                (0, HANDSHAKE) => self.handshake(&record, from, place, limits, parser),
                (0, ALERT) => {
                    if let &[level, description] = record.body {
                        let alert =
                            Alert { level: AlertLevel(level), description: AlertDescription(description) };
                        self.over |= alert.level == AlertLevel::FATAL;
                        self.unit(Unit::Alert(alert), from, place.no, place, parser);
                    }
                    true
                }
                (0, CHANGE_CIPHER_SPEC) => {
                    let before = self.attempt.evidence.sealing.ccs.of(from).is_some();
                    self.unit(Unit::ChangeCipherSpec, from, place.no, place, parser);
                    !before
                }
                (0, _) => false,
                _ => self.sealed(&record, from, place, parser),
            };
        }
        fresh
    }

    fn unit(
        &mut self,
        unit: Unit<'_>,
        from: Side,
        at: impl Into<Packets>,
        place: Place,
        parser: &mut impl Parse,
    ) {
        self.attempt.unit(from, Read { unit, at: at.into(), when: place.stamp }, parser);
        // What is signed are messages with DTLS's own headers, which are not kept.
        self.attempt.forget_transcript();
    }

    fn handshake(
        &mut self,
        record: &Record<'_>,
        from: Side,
        place: Place,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> bool {
        let mut fresh = false;
        for fragment in Fragments::of(record) {
            if fragment.kind == HELLO_VERIFY_REQUEST {
                fresh |= self.verify.is_none();
                self.verify.get_or_insert(Seen::new((), place.no, place.stamp));
            }
            if !fragment.whole {
                self.attempt.evidence.lost.malformed_messages += 1;
                continue;
            }
            let joiners = self.joiners.get_or_insert_with(|| {
                let joiner = Joiner::new(limits.bytes_per_side);
                PerSide { client: joiner.clone(), server: joiner }
            });
            fresh |= joiners.of_mut(from).push(&fragment, record.version, place.no, place.stamp);
            while let Some(message) = self.joiners.as_mut().and_then(|both| both.of_mut(from).message()) {
                let unit = Unit::Handshake {
                    kind: message.kind,
                    record_version: message.record_version,
                    body: Cow::Owned(message.body),
                };
                // The one with the cookie counts.
                let again = message.kind == HandshakeType::CLIENT_HELLO && self.verify.is_some();
                let former = again.then(|| self.attempt.evidence.hello.take()).flatten();
                self.unit(unit, from, message.at, place, parser);
                match (&mut self.attempt.evidence.hello, former) {
                    (Some(hello), Some(former)) => hello.at = former.at.and(&hello.at),
                    (none, former) => *none = former,
                }
            }
        }
        fresh
    }

    fn agreed(&self) -> (CipherSuite, Version) {
        let hello = self.attempt.evidence.server_hello.as_ref();
        hello.map_or((CipherSuite(0), Version(0)), |hello| (hello.value.cipher, hello.value.version))
    }

    /// A sealed record of DTLS 1.2 or older. With a connection ID its type is sealed as well (RFC 9146 section 4): its size
    /// tells.
    fn sealed(&mut self, record: &Record<'_>, from: Side, place: Place, parser: &mut impl Parse) -> bool {
        let (content_type, len) = if record.content_type == WITH_ID {
            let (cipher, version) = self.agreed();
            // The ID and the length stand before, the inner type behind.
            const AROUND: u16 = 3;
            let sizes = (0..=20).filter_map(|id| record.len.checked_sub(AROUND + id));
            let of_size = |looks: fn(u16, CipherSuite, Version) -> bool| {
                sizes.clone().find(|&len| looks(len, cipher, version))
            };
            let handshake = self.attempt.evidence.sealing.finished.of(from).is_none();
            match (of_size(looks_like_finished), of_size(looks_like_alert)) {
                (Some(len), _) if handshake => (HANDSHAKE, len),
                (_, Some(len)) => (ALERT, len),
                _ => (APPLICATION_DATA, record.len),
            }
        } else {
            (record.content_type, record.len)
        };
        let known = self.attempt.evidence.sealing.finished.of(from).is_some();
        self.over |= content_type == ALERT;
        self.unit(Unit::Sealed { content_type, len }, from, place.no, place, parser);
        !(content_type == HANDSHAKE && known)
    }

    /// A sealed record of DTLS 1.3: its epoch tells handshake (2) from what follows (3), its type is sealed.
    fn sealed_by_13(&mut self, record: &Record<'_>, from: Side, place: Place) -> bool {
        let evidence = &mut *self.attempt.evidence;
        let Some(hello) = evidence.server_hello.as_ref() else { return false };
        let (cipher, version) = (hello.value.cipher, hello.value.version);
        let seen = Seen::new((), place.no, place.stamp);
        let alert = looks_like_alert(record.len, cipher, version);
        let sealing = &mut *evidence.sealing;
        let kept = crate::tls::sealed::SealedRecord {
            content_type: APPLICATION_DATA,
            len: record.len,
            at: place.no,
            when: place.stamp,
        };
        let records = sealing.records.of_mut(from);
        if records.len() < 16 {
            records.push(kept);
        }
        match record.epoch {
            2 if alert => self.over = true,
            2 => {
                let known = sealing.finished.of(from).is_some();
                sealing.finished.of_mut(from).get_or_insert(seen);
                let stage = if from == Side::Client { Stage::Finished } else { Stage::Certificate };
                evidence.stage = evidence.stage.max(stage);
                return !known;
            }
            3 if !alert => *sealing.application.of_mut(from) += u64::from(record.len),
            _ => {}
        }
        true
    }

    /// How long to wait for the next datagram before the attempt is taken as it stands.
    pub(super) fn patience(&self, evidence: &Evidence, limits: &Limits) -> Span {
        let finished = &evidence.sealing.finished;
        if self.over {
            limits.after_end
        } else if finished.client.is_some() && finished.server.is_some() {
            limits.linger
        } else if evidence.tcp.packets.server == 0 {
            limits.syn_answer
        } else {
            limits.stall
        }
    }

    /// Writes how it ended; whether it counts as an attempt.
    pub(super) fn close(
        mut self,
        evidence: &mut Evidence,
        now: Stamp,
        capture_ended: bool,
        _limits: &Limits,
        parser: &mut impl Parse,
    ) -> bool {
        for side in [Side::Client, Side::Server] {
            let Some(joiner) = self.joiners.as_mut().map(|both| both.of_mut(side)) else { continue };
            if let Some((kind, have, want)) = joiner.unfinished() {
                evidence.unfinished.get_or_insert((side, kind, have, want));
            }
            // A hello whose end never came is read as far as it goes.
            if side == Side::Client
                && evidence.hello.is_none()
                && let Some(message) = joiner.cut().filter(|cut| cut.kind == HandshakeType::CLIENT_HELLO)
                && let Some(hello) = parser.client_hello(message.record_version, &message.body)
            {
                evidence.hello = Some(Box::new(Seen { value: hello, at: message.at, when: message.when }));
                evidence.stage = evidence.stage.max(Stage::ClientHello);
            }
        }
        let told = outcome::Told { verify: self.verify, news: self.news };
        outcome::settle(evidence, &told, now, capture_ended);
        true
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.joiners.as_ref().map_or(0, |both| both.client.held() + both.server.held())
    }
}

/// One more of them.
fn count(counted: &mut Option<Seen<u32>>, place: Place) {
    match counted {
        Some(seen) => {
            seen.value = seen.value.saturating_add(1);
            seen.at.add(place.no);
            seen.when = place.stamp;
        }
        none => *none = Some(Seen::new(1, place.no, place.stamp)),
    }
}
