//! What keys opened of an attempt.

use std::fmt;

use super::{AlertFrom, Chain, Evidence};
use crate::base::{Blank, PacketNo, PerSide, Seen, Side};
use crate::tls::codes::{AlertDescription, HandshakeType, Version};
use crate::tls::message::{Alert, CertificateVerify};
use crate::tls::signature::{Verdict, verify_handshake};

/// Why a signature is not verified.
pub(super) const NOT_ALL: &str = "not all signed messages were seen";

/// Whether there were keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HadKeys {
    /// Nobody asked: no keys at all were given, or nothing was sealed.
    #[default]
    Unasked,
    /// Keys were given, none for this connection.
    Absent,
    /// They were found.
    Found,
    /// They were found, but the suite or the version is not supported.
    Unsupported,
}

impl HadKeys {
    /// The word in events; `None` where nobody asked.
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Unasked => None,
            Self::Absent => Some("absent"),
            Self::Found => Some("found"),
            Self::Unsupported => Some("unsupported"),
        }
    }
}

/// What an opened record held. Application data is never looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A handshake message.
    Message(HandshakeType),
    /// An alert.
    Alert(AlertDescription),
    /// Nothing: it does not open.
    Damaged,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(kind) => write!(f, "{kind}"),
            Self::Alert(description) => write!(f, "alert {description}"),
            Self::Damaged => f.write_str("does not open"),
        }
    }
}

/// What keys opened. Of most attempts there is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decryption {
    /// Whether there were keys.
    pub keys: HadKeys,
    /// Records that opened.
    pub opened: u32,
    /// Records that did not: damaged on the way, or the keys are of another connection.
    pub failed: u32,
    /// Records for which the log has no secret, though it has others of the connection.
    pub passed: u32,
    /// What they held, in order, first 64.
    pub held: Vec<(Side, PacketNo, Held)>,
    /// The server's CertificateVerify (TLS 1.3).
    pub server_verify: Option<Box<Seen<CertificateVerify>>>,
    /// Whether it verifies by the leaf's key; `None` where there was none to check.
    pub server_verify_verdict: Option<Verdict>,
    /// Each side's Finished, and whether its `verify_data` is right; `None` where that cannot be told.
    pub finished: PerSide<Option<Seen<bool>>>,
}

impl Blank for Decryption {
    const BLANK: &'static Self = &Self {
        keys: HadKeys::Unasked,
        opened: 0,
        failed: 0,
        passed: 0,
        held: Vec::new(),
        server_verify: None,
        server_verify_verdict: None,
        finished: PerSide { client: None, server: None },
    };
}

impl Decryption {
    /// Most that is kept of what records held.
    const MOST: usize = 64;

    /// Notes what a record held.
    pub fn note(&mut self, from: Side, at: PacketNo, held: Held) {
        if self.held.len() < Self::MOST {
            self.held.push((from, at, held));
        }
    }
}

impl Evidence {
    /// Takes an alert that keys opened. Whether it ends the handshake: a goodbye behind the sender's Finished is none that does,
    /// and is noted alone.
    pub(super) fn opened_alert(&mut self, from: Side, alert: Alert, seen: Seen<()>) -> bool {
        self.decryption.note(from, seen.at.last().unwrap_or_default(), Held::Alert(alert.description));
        let goodbye =
            alert.description == AlertDescription::CLOSE_NOTIFY && self.sealing.finished.of(from).is_some();
        !goodbye && self.alert(AlertFrom { from, alert, sealed: true }, seen)
    }

    /// Something sealed waited for keys to the end.
    pub(super) fn keys_were_absent(&mut self) {
        if self.decryption.keys == HadKeys::Unasked {
            self.decryption.keys = HadKeys::Absent;
        }
    }

    /// Every sealed record that matters was opened: what sizes tell need not be asked.
    pub fn is_open(&self) -> bool {
        let Decryption { opened, failed, passed, .. } = *self.decryption;
        opened > 0 && failed == 0 && passed == 0
    }

    /// The alert that ended it was sealed, and keys opened it.
    pub fn ended_by_opened_alert(&self) -> bool {
        matches!(self.ending.value, super::Ending::Alert { .. })
            && self.alerts.iter().any(|alert| alert.value.sealed && alert.at == self.ending.at)
    }

    /// The server's signature over the handshake was seen, in clear or opened.
    pub fn is_signed_by_server(&self) -> bool {
        self.key_exchange.is_some() || self.decryption.server_verify.is_some()
    }

    /// This side's Finished is the one that belongs to the messages before it, so that none of them is hidden: a hello that
    /// ECH sealed, or what the capture altered.
    fn is_right(&self, side: Side) -> bool {
        self.decryption.finished.of(side).as_ref().is_some_and(|finished| finished.value)
    }

    /// This side's Finished, where it is wrong although the messages before it are known to be those that it covers.
    pub fn wrong_finished(&self, side: Side) -> Option<&Seen<bool>> {
        let sure = match side {
            _ if !self.version()?.is_tls13() => true,
            Side::Server => self.decryption.server_verify_verdict.is_some_and(Verdict::holds),
            Side::Client => self.is_right(Side::Server),
        };
        self.decryption.finished.of(side).as_ref().filter(|finished| sure && !finished.value)
    }

    /// A signature of TLS 1.3 is wrong only where the signer's Finished shows that it covers the messages at hand.
    pub(super) fn of_opened(&self, side: Side, verdict: Verdict) -> Verdict {
        if verdict.fails() && !self.is_right(side) { Verdict::Unsupported(NOT_ALL) } else { verdict }
    }

    /// Verifies the server's CertificateVerify of TLS 1.3, once.
    pub(super) fn verify_server_certificate_verify(&mut self) {
        if self.decryption.server_verify_verdict.is_some() {
            return;
        }
        let (Some(verify), Chain::Clear(chain)) = (&self.decryption.server_verify, &self.chain) else {
            return;
        };
        let Some(leaf) = chain.value.first() else { return };
        let CertificateVerify { scheme, signature, signed } = &verify.value;
        let verdict = match signed {
            Some(signed) => verify_handshake(Version::TLS13, &leaf.key.spki, *scheme, signed, signature),
            None => Verdict::Unsupported(NOT_ALL),
        };
        self.decryption.server_verify_verdict = Some(self.of_opened(Side::Server, verdict));
    }
}
