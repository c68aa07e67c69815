//! Sealed records of DTLS 1.0 and 1.2 for which there may be keys (RFC 6347 section 4.1): kept until the keys are found, then
//! opened.
//!
//! A record says which number it has, so that each opens by itself, whatever is lost. Handshake messages and alerts of the first
//! keys are kept; application data never is, nor what a connection ID hides the type of.

use super::transcript::Transcript;
use super::{Place, Window, kind};
use crate::base::{Limits, PacketNo, PerSide, Seen, Side};
use crate::evidence::Evidence;
use crate::evidence::attempt::unsealed::{By, Unsealed};
use crate::evidence::attempt::waiting::Waiting;
use crate::evidence::decryption::{HadKeys, Held};
use crate::tls::codes::{HandshakeType, Version};
use crate::tls::dtls::messages::{Messages, Took, fragments};
use crate::tls::dtls::{self, Form, Record};
use crate::tls::keys::Keys;
use crate::tls::keys::tls12::{self, Sealed};

/// A record of the first keys.
#[derive(Debug)]
struct Kept {
    from: Side,
    content_type: u8,
    version: Version,
    /// Its epoch and its sequence number in one.
    number: u64,
    body: Vec<u8>,
    place: Place,
}

/// Sealed records, and what opens them.
#[derive(Debug)]
pub(super) struct Unsealing {
    keys: Keys,
    waiting: Waiting<Kept>,
    session: Option<tls12::Session>,
    openers: Option<PerSide<tls12::Opener>>,
    messages: PerSide<Messages>,
    /// Numbers of what opened, so that copies are told.
    opened: PerSide<Window>,
    /// Something sealed was seen.
    any: bool,
    /// Sealed records that are not to be opened although they may hold a message.
    passed: u32,
    unsealed: Unsealed,
    limit: usize,
}

impl Unsealing {
    /// Most records that wait for keys.
    const MOST: usize = 64;

    pub fn new(keys: Keys, limits: &Limits) -> Self {
        Self {
            keys,
            waiting: Waiting::new(Self::MOST, limits.bytes_per_side),
            session: None,
            openers: None,
            messages: PerSide::default(),
            opened: PerSide::default(),
            any: false,
            passed: 0,
            unsealed: Unsealed::default(),
            limit: limits.bytes_per_side,
        }
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.waiting.held() + self.messages.client.held() + self.messages.server.held()
    }

    /// Keeps a sealed record until there are keys.
    pub fn keep(&mut self, record: &Record<'_>, from: Side, place: Place) {
        self.any = true;
        let (content_type, version) = (record.content_type, record.version);
        if record.form == Form::Plain && !matches!(content_type, kind::ALERT | kind::HANDSHAKE) {
            return;
        }
        let whole = record.body.len() == usize::from(record.len);
        // The next epochs are sealed by the keys of another handshake.
        let Some(sequence) = record
            .sequence
            .filter(|_| record.form == Form::Plain && record.epoch == 1 && whole && !self.waiting.gave_up())
        else {
            self.passed = self.passed.saturating_add(1);
            return;
        };
        let number = u64::from(record.epoch) << 48 | sequence;
        let kept = Kept { from, content_type, version, number, body: record.body.to_vec(), place };
        let passed = self.waiting.push(kept, record.body.len());
        self.passed = self.passed.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
    }

    /// Looks for the keys as known before packet `at`; whether there are any that open.
    fn find(&mut self, e: &mut Evidence, at: PacketNo) -> bool {
        if self.openers.is_some() || self.waiting.gave_up() {
            return self.openers.is_some();
        }
        let (Some(hello), Some(server)) = (&e.hello, &e.server_hello) else { return false };
        let Some(secrets) = self.keys.find(&hello.value.random, at) else { return false };
        let version = server.value.version;
        let ours = [Version::DTLS10, Version::DTLS12].contains(&version);
        let master = match &secrets.master {
            Some(master) if ours => master.clone(),
            None if ours => return false,
            _ => {
                e.decryption.keys = HadKeys::Unsupported;
                self.waiting.give_up();
                return false;
            }
        };
        let session = tls12::Session::new(master, &hello.value, &server.value);
        self.openers = session.openers();
        e.decryption.keys = if self.openers.is_some() { HadKeys::Found } else { HadKeys::Unsupported };
        if self.openers.is_none() {
            self.waiting.give_up();
        }
        self.session = Some(session);
        self.openers.is_some()
    }

    /// Opens what waits, if there are keys by now. Whether somebody ended it. `late`: it ends here.
    pub fn open(&mut self, e: &mut Evidence, transcript: &mut Transcript, late: bool) -> bool {
        let last = match self.waiting.last() {
            Some(kept) => kept.place.no,
            None if late && self.any => e.last,
            None => return false,
        };
        if !self.find(e, if late { e.last.max(last) } else { last }) {
            return false;
        }
        let mut over = false;
        for kept in self.waiting.take() {
            over |= self.open_one(e, transcript, &kept);
        }
        if e.decryption.opened == 0 && e.decryption.failed >= 4 {
            self.openers = None;
            self.waiting.give_up();
        }
        over
    }

    /// Opens one record and takes what it holds. Whether it ends the handshake.
    fn open_one(&mut self, e: &mut Evidence, transcript: &mut Transcript, kept: &Kept) -> bool {
        let &Kept { from, content_type, version, number, ref body, place } = kept;
        let Some(openers) = &self.openers else { return false };
        let Some(content) = openers.of(from).open_at(number, Sealed { content_type, version, body }) else {
            e.decryption.failed += 1;
            e.decryption.note(from, place.no, Held::Damaged);
            return false;
        };
        if self.opened.of_mut(from).again(number) {
            return false;
        }
        e.decryption.opened += 1;
        if content_type == kind::ALERT {
            let seen = Seen::new((), place.no, place.stamp);
            return dtls::alert(&content).is_some_and(|alert| e.opened_alert(from, alert, seen));
        }
        for fragment in fragments(&content) {
            let messages = self.messages.of_mut(from);
            let Took::Whole(message) = messages.take(&fragment, false, place.no, place.stamp, self.limit)
            else {
                continue;
            };
            e.decryption.note(from, place.no, Held::Message(message.kind));
            if message.kind == HandshakeType::FINISHED && !self.unsealed.has_finished(from) {
                transcript.add(from, message.sequence, message.kind, &message.body);
                let seen = Seen { value: (), at: message.at, when: message.when };
                self.unsealed.finish(e, from, &message.body, seen);
            }
        }
        false
    }

    /// What the messages of both sides tell once all are there.
    pub fn conclude(&mut self, e: &mut Evidence, transcript: &Transcript) {
        if self.any {
            e.keys_were_absent();
        }
        if e.decryption.keys == HadKeys::Found {
            e.decryption.passed += self.passed;
        }
        if let Some(session) = &self.session
            && transcript.give(&mut self.unsealed)
        {
            self.unsealed.conclude(e, &By::Session(session));
        }
    }
}
