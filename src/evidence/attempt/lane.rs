//! One direction of sealed records and the secrets that open them, in order.

use super::messages::Sealed;
use crate::base::{Packets, Side, Stamp};
use crate::tls::codes::{CipherSuite, HandshakeType, Version};
use crate::tls::keys::{Secret, tls12, tls13};
use crate::tls::record::Joiner;

/// A sealed record with its bytes.
#[derive(Debug)]
pub(super) struct Record {
    pub from: Side,
    pub content_type: u8,
    pub version: Version,
    pub body: Vec<u8>,
    pub at: Packets,
    pub when: Stamp,
    /// Its receiver had not left yet.
    pub heard: bool,
}

impl Record {
    pub(super) fn len(&self) -> u16 {
        u16::try_from(self.body.len()).unwrap_or(u16::MAX)
    }

    /// The record without its bytes.
    pub(super) fn sealed(&self) -> Sealed {
        let &Self { from, content_type, when, heard, .. } = self;
        Sealed { from, content_type, len: self.len(), when, heard }
    }

    /// Its five bytes of header, which TLS 1.3 authenticates from draft 25 on.
    fn header(&self, version: Version) -> ([u8; 5], usize) {
        let ([major, minor], [high, low]) = (self.version.0.to_be_bytes(), self.len().to_be_bytes());
        let before = version.0 >> 8 == 0x7f && version.0 & 0xff < 25;
        ([self.content_type, major, minor, high, low], if before { 0 } else { 5 })
    }
}

/// Which secret of TLS 1.3 seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Epoch {
    Early,
    Handshake,
    Application,
}

/// What opens one direction.
#[derive(Debug)]
pub(super) enum Cipher {
    Tls13 {
        epoch: Epoch,
        opener: Option<Box<tls13::Opener>>,
        early: Option<Box<tls13::Opener>>,
        /// Records of this epoch that went by without a key.
        passed: u64,
    },
    Tls12(tls12::Opener),
}

/// One direction once there are keys.
#[derive(Debug)]
pub(super) struct Lane {
    pub cipher: Cipher,
    pub joiner: Joiner,
    /// Records may have been lost before the next.
    pub unsure: bool,
}

impl Lane {
    /// Records that a gap may have hidden.
    const LOST: u64 = 16;

    /// Begins with the first sealed record. `limit`: bytes kept of an incomplete message.
    pub(super) fn new(cipher: Cipher, limit: usize) -> Self {
        Self { cipher, joiner: Joiner::new(limit), unsure: false }
    }

    /// Its Finished has gone by, and the secret of what follows is not known.
    pub(super) fn wants_secret(&self) -> bool {
        matches!(self.cipher, Cipher::Tls13 { epoch: Epoch::Application, opener: None, .. })
    }

    /// Takes that secret.
    pub(super) fn take_secret(&mut self, suite: CipherSuite, secret: &Secret) {
        if let Cipher::Tls13 { opener, passed, .. } = &mut self.cipher {
            *opener = tls13::Opener::new(suite, secret).map(Box::new);
            if let Some(opener) = opener {
                (0..*passed).for_each(|_| opener.skip());
            }
        }
    }

    /// Another secret of TLS 1.3 seals behind a message of this type. `first`: the side's Finished was not seen before.
    pub(super) fn turn(&mut self, kind: HandshakeType, first: bool) {
        let Cipher::Tls13 { epoch, opener, passed, .. } = &mut self.cipher else { return };
        match kind {
            HandshakeType::END_OF_EARLY_DATA => *epoch = Epoch::Handshake,
            HandshakeType::FINISHED if first => (*epoch, *opener, *passed) = (Epoch::Application, None, 0),
            HandshakeType::KEY_UPDATE => {
                if let Some(opener) = opener {
                    opener.update();
                }
            }
            _ => {}
        }
    }

    /// Opens the next record.
    pub(super) fn open(&mut self, record: &Record, version: Version) -> Opened {
        let ahead = if self.unsure { Self::LOST } else { 0 };
        let opened = match &mut self.cipher {
            Cipher::Tls12(opener) if !matches!(record.content_type, 21 | 22) => {
                opener.skip(&record.body);
                Opened::Passed
            }
            Cipher::Tls12(opener) => {
                let &Record { content_type, version, ref body, .. } = record;
                match opener.open_ahead(tls12::Sealed { content_type, version, body }, ahead) {
                    Some(content) => Opened::Plain(record.content_type, content),
                    None => {
                        opener.skip(&record.body);
                        Opened::Failed
                    }
                }
            }
            Cipher::Tls13 { epoch, opener, early, passed } => {
                let (header, len) = record.header(version);
                let header = header.get(..len).unwrap_or_default();
                let open = |opener: &mut Option<Box<tls13::Opener>>| {
                    let plain = opener.as_mut()?.open_ahead(header, &record.body, ahead)?;
                    Some(Opened::Plain(plain.content_type, plain.content))
                };
                if *epoch == Epoch::Early
                    && let Some(opened) = open(early)
                {
                    opened
                } else if let Some(opened) = open(opener) {
                    if *epoch == Epoch::Early {
                        *epoch = Epoch::Handshake;
                    }
                    opened
                } else if let Some(opener) = opener {
                    if *epoch == Epoch::Early {
                        Opened::Early
                    } else {
                        opener.skip();
                        Opened::Failed
                    }
                } else {
                    *passed += 1;
                    Opened::Keyless
                }
            }
        };
        if matches!(opened, Opened::Plain(..)) {
            self.unsure = false;
        }
        opened
    }
}

/// What came of a record.
pub(super) enum Opened {
    Plain(u8, zeroize::Zeroizing<Vec<u8>>),
    /// Of a kind that is not looked at.
    Passed,
    /// Early data without its key, or that the server does not take.
    Early,
    /// The log has no secret for it.
    Keyless,
    Failed,
}
