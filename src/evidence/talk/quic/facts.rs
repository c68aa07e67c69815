//! What QUIC shows beside the messages of TLS in it.

use crate::base::{PacketNo, PerSide, Seen, Side, Stamp};
use crate::tls::quic::QuicVersion;
use crate::tls::quic::header::Cid;

/// QUIC's side of the story.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuicFacts {
    /// The version that the client's packets bear, or the server's where it chose another (RFC 9368).
    pub version: QuicVersion,
    /// The client's first version, where another followed.
    pub first_version: Option<QuicVersion>,
    /// What the server speaks, where it speaks none of the client's version (RFC 8999 section 6).
    pub negotiation: Option<Seen<Vec<QuicVersion>>>,
    /// The server wanted the client's address confirmed (RFC 9000 section 8.1.2).
    pub retry: Option<Seen<()>>,
    /// Early data (RFC 9001 section 4.6): how many packets.
    pub early_data: Option<Seen<u32>>,
    /// The connection ID that each side chose for itself; the client's may be empty.
    pub ids: PerSide<Option<Cid>>,
    /// Datagrams of each side with an Initial packet.
    pub initials: PerSide<u32>,
    /// Datagrams of each side with a Handshake packet.
    pub handshakes: PerSide<Option<Seen<u32>>>,
    /// Datagrams of each side with a 1-RTT packet; the citation is of the first.
    pub one_rtt: PerSide<Option<Seen<u32>>>,
    /// How far 1-RTT packets answered each other.
    pub confirmed: Confirmed,
    /// The latest datagram of each side.
    pub latest: PerSide<Option<Latest>>,
    /// The first CONNECTION_CLOSE that could be read.
    pub close: Option<Seen<Closed>>,
    /// Initial packets that could not be opened.
    pub unopened: u32,
}

/// How far 1-RTT packets answered each other, which shows that both sides finished: the client has keys for them only
/// behind the server's Finished, and the server reads none before the client's (RFC 9001 section 5.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confirmed {
    /// Not at all.
    #[default]
    No,
    /// The client sent one.
    Asked,
    /// The server sent one behind it.
    Answered,
    /// The client went on.
    WentOn,
}

/// The shape of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest {
    /// Its packet.
    pub no: PacketNo,
    /// When.
    pub when: Stamp,
    /// Bytes of its payload.
    pub len: u32,
    /// It has a Handshake packet.
    pub handshake: bool,
    /// It has a 1-RTT packet.
    pub one_rtt: bool,
}

/// CONNECTION_CLOSE (RFC 9000 section 19.19).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Who sent it.
    pub from: Side,
    /// Its error code.
    pub code: u64,
    /// The words for people, printable, at most 80 bytes of them.
    pub reason: String,
}
