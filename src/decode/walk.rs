//! What is carried from layer to layer while one frame is read.

use super::{Hop, Packet};

/// Layers inside layers (tunnels, label stacks, PPP) before reading stops.
const NESTING: u8 = 8;

/// The bytes not yet read of one packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest<'a> {
    /// Those that were captured.
    pub bytes: &'a [u8],
    /// How many more there were on the wire, after them.
    pub missing: u32,
}

impl<'a> Rest<'a> {
    /// The first `N` bytes and what follows; `None` where fewer were captured.
    #[inline]
    pub fn take<const N: usize>(self) -> Option<(&'a [u8; N], Self)> {
        let (head, bytes) = self.bytes.split_first_chunk()?;
        Some((head, Self { bytes, ..self }))
    }

    /// What follows the next `n` bytes; `None` where fewer were captured.
    #[inline]
    pub fn skip(self, n: usize) -> Option<Self> {
        Some(Self { bytes: self.bytes.get(n..)?, ..self })
    }

    /// The same where a header says that `len` bytes belong to it: what lies behind is padding,
    /// what was not captured is missing.
    #[inline]
    pub fn of_len(self, len: u32) -> Self {
        match self.bytes.get(..len as usize) {
            Some(bytes) => Self { bytes, missing: 0 },
            None => Self { bytes: self.bytes, missing: len - self.captured() },
        }
    }

    /// Length on the wire.
    #[inline]
    pub fn wire_len(self) -> u32 {
        self.captured().saturating_add(self.missing)
    }

    /// Captured length; a frame longer than 4 GiB does not fit any capture format.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "capture formats count frames in 32 bits")]
    fn captured(self) -> u32 {
        self.bytes.len() as u32
    }
}

/// What fragments are parts of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content {
    /// The payload of an IP datagram; in IPv6 only the protocol of the first fragment counts.
    Ip(u8),
    /// An Ethernet frame in CAPWAP.
    Ethernet,
    /// An 802.11 frame in CAPWAP.
    Wifi,
}

/// One part of an IP datagram, or of a frame in CAPWAP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    /// The IP header's part.
    pub hop: Hop,
    /// Identification, 16 bits in IPv4 and 32 in IPv6.
    pub id: u32,
    /// What it is a part of.
    pub content: Content,
    /// Where in the datagram's payload it lies, in bytes.
    pub offset: u32,
    /// Whether more follow.
    pub more: bool,
    /// Its payload.
    pub rest: Rest<'a>,
}

/// The reading of one frame, layer by layer. Each layer is a method that returns what it led to.
#[derive(Default)]
pub(super) struct Walk<'a> {
    /// Link address of the outermost frame's sender.
    pub link_src: Option<[u8; 6]>,
    /// Where a fragment ended the walk (which then returned `Other`).
    pub fragment: Option<Fragment<'a>>,
    depth: u8,
}

impl<'a> Walk<'a> {
    /// Goes one layer deeper; `false` where that is too deep.
    pub fn deeper(&mut self) -> bool {
        self.depth += 1;
        self.depth <= NESTING
    }

    /// Whether the walk ended in something of use: a transport, or a fragment of one.
    pub fn arrived(&self, packet: &Packet<'a>) -> bool {
        self.fragment.is_some() || !matches!(packet, Packet::Other | Packet::Undecodable)
    }
}
