//! Records cut from a byte stream, handshake messages rejoined across them.

use super::codes::{HandshakeType, Version};
use super::message::Alert;
use crate::base::{Packets, Stamp};

/// One thing read from one direction of a connection, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A whole handshake message in clear.
    Handshake {
        /// Its type.
        kind: HandshakeType,
        /// Version of the record its first byte came in.
        record_version: Version,
        /// Its body, without the four-byte header.
        body: Vec<u8>,
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
pub struct Read {
    /// What was read.
    pub unit: Unit,
    /// The packets that carried it.
    pub at: Packets,
    /// Stamp of the packet that completed it.
    pub when: Stamp,
}
