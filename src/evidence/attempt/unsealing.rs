//! Sealed records of an attempt for which there may be keys.
//!
//! They are kept until the keys are found, then opened in order, and what they hold becomes facts as clear messages do. What
//! does not open is judged by its size, as where there are no keys. Application data is dropped as it is opened.

use std::sync::Arc;

use super::lane::{Cipher, Epoch, Lane, Opened, Record};
use super::unsealed::{By, Unsealed};
use super::waiting::Waiting;
use super::{Attempt, Parse};
use crate::base::{Limits, PacketNo, PerSide, Seen, Side};
use crate::evidence::decryption::{HadKeys, Held};
use crate::evidence::{Chain, Evidence, Stage, outcome};
use crate::tls::codes::{AlertDescription, AlertLevel, HandshakeType};
use crate::tls::keys::{Keys, Secret, Secrets, tls12, tls13};
use crate::tls::message::Alert;
use crate::tls::record::{Read, Unit};

#[derive(Debug)]
enum State {
    /// No keys yet.
    Waiting,
    Open(Box<PerSide<Lane>>),
    /// They are of no use, or too much was kept.
    GaveUp,
}

/// Sealed records, and what opens them.
#[derive(Debug)]
pub(super) struct Unsealing {
    keys: Keys,
    state: State,
    pub(super) unsealed: Unsealed,
    waiting: Waiting<Record>,
    /// How far the attempt had got before its first sealed record.
    before: Option<Stage>,
    secrets: Option<Arc<Secrets>>,
    session: Option<tls12::Session>,
    limit: usize,
}

/// Most records that wait for keys.
const MOST_WAITING: usize = 128;

impl Unsealing {
    pub(super) fn new(keys: Keys, limits: &Limits) -> Self {
        Self {
            keys,
            state: State::Waiting,
            unsealed: Unsealed::default(),
            waiting: Waiting::new(MOST_WAITING, limits.bytes_per_side),
            before: None,
            secrets: None,
            session: None,
            limit: limits.bytes_per_side,
        }
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        let joined = match &self.state {
            State::Open(lanes) => lanes.client.joiner.held() + lanes.server.joiner.held(),
            _ => 0,
        };
        self.waiting.held() + self.unsealed.flights.held() + joined
    }

    /// The capture lacks bytes of this side: records may be among them.
    pub(super) fn gap(&mut self, from: Side) {
        if let State::Open(lanes) = &mut self.state {
            let lane = lanes.of_mut(from);
            lane.unsure = true;
            lane.joiner.cut();
        }
    }

    /// The capture lacks a part of one record of this side.
    pub(super) fn pass(&mut self, from: Side) {
        self.gap(from);
    }

    /// Keeps a record until there are keys.
    fn wait(&mut self, record: Record) {
        let bytes = record.body.len();
        if self.waiting.push(record, bytes) > 0 {
            self.state = State::GaveUp;
        }
    }

    fn give_up(&mut self) {
        self.state = State::GaveUp;
        self.waiting.give_up();
    }

    /// Looks for the keys of this attempt, as known before packet `at`. `late`: a part of them will do. Whether they were
    /// found now.
    fn find(&mut self, e: &mut Evidence, at: PacketNo, late: bool) -> bool {
        let (State::Waiting, Some(hello), Some(server)) = (&self.state, &e.hello, &e.server_hello) else {
            return false;
        };
        let Some(secrets) = self.keys.find(&hello.value.random, at) else { return false };
        let (suite, version) = (server.value.cipher, server.value.version);
        let lane = |cipher| Lane::new(cipher, self.limit);
        let lanes = if version.is_tls13() {
            let ready = match (&secrets.client_handshake, &secrets.server_handshake) {
                (Some(_), Some(_)) => true,
                (None, None) => false,
                _ => late,
            };
            if !ready {
                return false;
            }
            let opener = |secret: &Option<Secret>| tls13::Opener::new(suite, secret.as_ref()?).map(Box::new);
            let early = hello.value.early_data;
            let lanes = PerSide {
                client: lane(Cipher::Tls13 {
                    epoch: if early { Epoch::Early } else { Epoch::Handshake },
                    opener: opener(&secrets.client_handshake),
                    early: opener(&secrets.client_early).filter(|_| early),
                    passed: 0,
                }),
                server: lane(Cipher::Tls13 {
                    epoch: Epoch::Handshake,
                    opener: opener(&secrets.server_handshake),
                    early: None,
                    passed: 0,
                }),
            };
            let any = |lane: &Lane| matches!(&lane.cipher, Cipher::Tls13 { opener: Some(_), .. });
            Some(lanes).filter(|lanes| any(&lanes.client) || any(&lanes.server))
        } else {
            let Some(master) = &secrets.master else { return false };
            let session = tls12::Session::new(master.clone(), &hello.value, &server.value);
            let openers = session.openers();
            self.session = Some(session);
            openers.map(|PerSide { client, server }| PerSide {
                client: lane(Cipher::Tls12(client)),
                server: lane(Cipher::Tls12(server)),
            })
        };
        self.secrets = Some(secrets);
        let Some(lanes) = lanes else {
            e.decryption.keys = HadKeys::Unsupported;
            self.give_up();
            return false;
        };
        e.decryption.keys = HadKeys::Found;
        self.state = State::Open(Box::new(lanes));
        true
    }

    /// The next secret of a side of TLS 1.3, behind its Finished.
    fn application_secret(&mut self, e: &Evidence, from: Side, at: PacketNo) -> Option<Secret> {
        let of = |secrets: &Secrets| match from {
            Side::Client => secrets.client_traffic.clone(),
            Side::Server => secrets.server_traffic.clone(),
        };
        if let Some(secret) = self.secrets.as_deref().and_then(of) {
            return Some(secret);
        }
        // A log that grows may have got it by now.
        self.secrets = self.keys.find(&e.hello.as_ref()?.value.random, at);
        self.secrets.as_deref().and_then(of)
    }

    /// What the messages of both sides tell once all are there.
    fn conclude(&self, e: &mut Evidence) {
        if self.waiting.last().is_some() {
            e.keys_were_absent();
        }
        match (&self.session, &self.secrets) {
            (Some(session), _) => self.unsealed.conclude(e, &By::Session(session)),
            (None, Some(secrets)) => self.unsealed.conclude(e, &By::Secrets(secrets)),
            (None, None) => {}
        }
    }
}

impl Attempt {
    /// A sealed record, with its bytes since there may be keys.
    pub(super) fn kept(&mut self, record: Record) {
        let Some(mut unsealing) = self.unsealing.take() else {
            self.shape(record.sealed(), &record.at);
            return;
        };
        unsealing.before.get_or_insert(self.evidence.stage);
        if !matches!(unsealing.state, State::Open(_)) {
            self.shape(record.sealed(), &record.at);
        }
        if !matches!(unsealing.state, State::GaveUp) {
            unsealing.wait(record);
        }
        self.unsealing = Some(unsealing);
    }

    /// Opens what waits, if there are keys by now. `late`: it ends here.
    pub(super) fn unseal(&mut self, late: bool, parser: &mut impl Parse) {
        let Some(mut unsealing) = self.unsealing.take() else { return };
        let last = unsealing.waiting.last().and_then(|record| record.at.last());
        if let Some(last) = last {
            let at = if late { self.evidence.last.max(last) } else { last };
            if unsealing.find(&mut self.evidence, at, late)
                && let Some(stage) = unsealing.before
            {
                // What sizes told is told by contents now.
                self.evidence.stage = stage.max(Stage::ServerHello);
                self.evidence.sealing.finished = PerSide::default();
                self.evidence.sealing.application = PerSide::default();
            }
            if matches!(unsealing.state, State::Open(_)) {
                for record in unsealing.waiting.take() {
                    self.open(&mut unsealing, &record, parser);
                }
            }
        }
        self.unsealing = Some(unsealing);
    }

    /// Opens one record and takes what it holds.
    fn open(&mut self, unsealing: &mut Unsealing, record: &Record, parser: &mut impl Parse) {
        let no = record.at.last().unwrap_or_default();
        match self.try_open(unsealing, record, no) {
            Opened::Plain(content_type, content) => {
                self.evidence.decryption.opened += 1;
                match content_type {
                    21 => self.opened_alert(record, &content),
                    22 => self.opened_handshake(unsealing, record, &content, parser),
                    _ => {}
                }
                self.count_data(unsealing, record, content_type);
            }
            Opened::Passed => self.count_data(unsealing, record, record.content_type),
            Opened::Early => {}
            Opened::Keyless => {
                self.evidence.decryption.passed += 1;
                self.shape(record.sealed(), &record.at);
            }
            Opened::Failed => {
                let decryption = &mut *self.evidence.decryption;
                decryption.failed += 1;
                decryption.note(record.from, no, Held::Damaged);
                if decryption.opened == 0 && decryption.failed >= 4 {
                    unsealing.state = State::GaveUp;
                }
                self.shape(record.sealed(), &record.at);
            }
        }
    }

    fn try_open(&mut self, unsealing: &mut Unsealing, record: &Record, no: PacketNo) -> Opened {
        let (suite, version) = self.suite();
        // A server that asked for another hello takes no early data (RFC 9846 section 4.2.10).
        let before = self.evidence.hello.as_ref().is_some_and(|hello| Some(no) < hello.at.first());
        if record.from == Side::Client && before {
            return Opened::Early;
        }
        // The secret behind Finished is looked for once it is needed.
        let next = match &unsealing.state {
            State::Open(lanes) if lanes.of(record.from).wants_secret() => {
                unsealing.application_secret(&self.evidence, record.from, no)
            }
            _ => None,
        };
        let State::Open(lanes) = &mut unsealing.state else { return Opened::Failed };
        let lane = lanes.of_mut(record.from);
        if let Some(secret) = next {
            lane.take_secret(suite, &secret);
        }
        lane.open(record, version)
    }

    /// Counts what flows behind the handshake, as by sizes, but exactly.
    fn count_data(&mut self, unsealing: &Unsealing, record: &Record, content_type: u8) {
        let State::Open(lanes) = &unsealing.state else { return };
        let counts = match &lanes.of(record.from).cipher {
            Cipher::Tls12(_) => content_type == 23,
            Cipher::Tls13 { epoch, .. } => {
                *epoch == Epoch::Application
                    && content_type != 21
                    && self.evidence.sealing.finished.client.as_ref().is_some_and(|finished| {
                        record.from == Side::Server || finished.at != record.at || content_type == 23
                    })
            }
        };
        if counts && record.heard {
            *self.evidence.sealing.application.of_mut(record.from) += u64::from(record.len());
        }
        if outcome::carries_data(&self.evidence) {
            self.reach(Stage::Application);
        }
    }

    fn opened_alert(&mut self, record: &Record, content: &[u8]) {
        for pair in content.chunks_exact(2) {
            let &[level, description] = pair else { continue };
            let alert = Alert { level: AlertLevel(level), description: AlertDescription(description) };
            let seen = Seen { value: (), at: record.at.clone(), when: record.when };
            self.ended_by_sign |= self.evidence.opened_alert(record.from, alert, seen);
        }
    }

    fn opened_handshake(
        &mut self,
        unsealing: &mut Unsealing,
        record: &Record,
        content: &[u8],
        parser: &mut impl Parse,
    ) {
        let no = record.at.last().unwrap_or_default();
        let mut units: Vec<Read<'_>> = Vec::new();
        if let State::Open(lanes) = &mut unsealing.state {
            let joiner = &mut lanes.of_mut(record.from).joiner;
            joiner.feed(content, record.version, record.at.clone(), no, record.when, &mut |read| {
                units.push(read)
            });
        }
        for Read { unit, at, when } in units {
            match unit {
                Unit::Handshake { kind, body, .. } => {
                    let seen = Seen { value: kind, at: at.and(&record.at), when };
                    self.opened_message(unsealing, record.from, seen, &body, parser);
                }
                _ => self.evidence.lost.malformed_messages += 1,
            }
        }
    }

    /// A whole message that was sealed.
    fn opened_message(
        &mut self,
        unsealing: &mut Unsealing,
        from: Side,
        seen: Seen<HandshakeType>,
        body: &[u8],
        parser: &mut impl Parse,
    ) {
        let Seen { value: kind, at, when } = seen;
        let e = &mut *self.evidence;
        let first = !unsealing.unsealed.has_finished(from);
        unsealing.unsealed.note(e, from, kind, body, &at);
        let State::Open(lanes) = &mut unsealing.state else { return };
        let lane = lanes.of_mut(from);
        let seen = Seen { value: (), at, when };
        match (&lane.cipher, kind) {
            (Cipher::Tls13 { .. }, _) => {
                lane.turn(kind, first);
                unsealing.unsealed.take13(e, from, kind, body, seen, unsealing.limit, parser);
            }
            (Cipher::Tls12(_), HandshakeType::FINISHED) if first => {
                unsealing.unsealed.finish(e, from, body, seen);
                self.reach(Stage::Finished);
            }
            // What follows is sealed by the keys of another handshake.
            (Cipher::Tls12(_), HandshakeType::HELLO_REQUEST | HandshakeType::CLIENT_HELLO) => {
                unsealing.state = State::GaveUp;
            }
            (Cipher::Tls12(_), _) => {}
        }
    }

    /// The last look before the attempt is judged.
    pub(super) fn end_unsealing(&mut self, parser: &mut impl Parse) {
        self.unseal(true, parser);
        let Some(unsealing) = self.unsealing.take() else { return };
        let e = &mut *self.evidence;
        unsealing.conclude(e);
        if let (State::Open(lanes), Chain::Sealed(at)) = (&unsealing.state, &e.chain)
            && e.is_open()
            && e.lost.gap_bytes == 0
        {
            // All that the server sent was opened, and no whole chain is among it.
            let cut = lanes.server.joiner.partial();
            let is_chain =
                |kind| matches!(kind, HandshakeType::CERTIFICATE | HandshakeType::COMPRESSED_CERTIFICATE);
            let held = || e.decryption.held.iter().filter(|(from, ..)| *from == Side::Server);
            let sent = held().any(|(.., held)| matches!(held, Held::Message(kind) if is_chain(*kind)));
            let seen = held().next().is_some() && !sent;
            if cut.is_some_and(|cut| is_chain(cut.kind)) {
                e.chain = Chain::Cut(at.clone());
            } else if seen {
                e.chain = Chain::Unsent;
            }
        }
    }
}
