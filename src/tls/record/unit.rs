//! What is read from one direction of a connection.

use std::borrow::Cow;

use crate::base::{Packets, Stamp};
use crate::tls::codes::{HandshakeType, Version};
use crate::tls::message::Alert;

/// One thing read from one direction of a connection, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// A whole handshake message in clear.
    Handshake {
        /// Its type.
        kind: HandshakeType,
        /// Version of the record its first byte came in.
        record_version: Version,
        /// Its body, without the four-byte header; borrowed from the bytes fed where it lay whole in them.
        body: Cow<'a, [u8]>,
    },
    /// A ClientHello in SSL 2.0 framing; the body starts at `msg_type`.
    Sslv2ClientHello {
        /// The message without its two-byte length.
        body: Vec<u8>,
    },
    /// An alert in clear (two-byte body).
    Alert(Alert),
    /// ChangeCipherSpec.
    ChangeCipherSpec,
    /// A record whose content is encrypted or is application data: its outer type and body length.
    Sealed {
        /// Outer content type: 20 to 24.
        content_type: u8,
        /// Length of the body in bytes.
        len: u16,
    },
    /// The same with its body, where [`super::Inbound::keep_sealed`] asked for it.
    Kept {
        /// Outer content type: 20 to 24.
        content_type: u8,
        /// Version of the record.
        version: Version,
        /// The sealed bytes, as many as the header says.
        body: Vec<u8>,
    },
    /// A record or message that contradicts itself; reading goes on at the next record where possible.
    Malformed(&'static str),
    /// Bytes that are no TLS record where one had to start; nothing more is read from this direction.
    NotTls,
    /// Bytes were missing from the capture in the middle of a message; reading went on behind them or stopped.
    Gap {
        /// How many bytes.
        bytes: u64,
    },
}

/// A unit with the packets it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// What was read.
    pub unit: Unit<'a>,
    /// The packets that carried it.
    pub at: Packets,
    /// Stamp of the packet that completed it.
    pub when: Stamp,
}

impl Unit<'_> {
    /// The same without what it borrows.
    pub fn into_owned(self) -> Unit<'static> {
        match self {
            Self::Handshake { kind, record_version, body } => {
                Unit::Handshake { kind, record_version, body: Cow::Owned(body.into_owned()) }
            }
            Self::Sslv2ClientHello { body } => Unit::Sslv2ClientHello { body },
            Self::Alert(alert) => Unit::Alert(alert),
            Self::ChangeCipherSpec => Unit::ChangeCipherSpec,
            Self::Sealed { content_type, len } => Unit::Sealed { content_type, len },
            Self::Kept { content_type, version, body } => Unit::Kept { content_type, version, body },
            Self::Malformed(why) => Unit::Malformed(why),
            Self::NotTls => Unit::NotTls,
            Self::Gap { bytes } => Unit::Gap { bytes },
        }
    }
}
