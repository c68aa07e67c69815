//! Floor 1: a captured frame becomes a [`Packet`]: segment, datagram or ICMP message, whatever
//! link layers, tunnels and fragments lie around it.

use crate::base::{Addr, Endpoint, PacketNo, Stamp};

/// A link type as capture files number them (`LINKTYPE_*` of tcpdump.org, not the platform's `DLT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a four-byte address family in the capturing host's byte order.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// Raw IP (also 12 and 14 in files from some systems).
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: the address family in network order.
    pub const LOOP: Self = Self(108);
    /// Linux "any" device, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux "any" device, version 2.
    pub const LINUX_SLL2: Self = Self(276);
}

/// One captured frame as it lies in the read buffer.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its number in the file, from 1.
    pub no: PacketNo,
    /// When it was captured.
    pub stamp: Stamp,
    /// What its first bytes are.
    pub link: LinkType,
    /// The captured bytes.
    pub data: &'a [u8],
    /// How long it was on the wire; more than `data` where a snap length cut it.
    pub wire_len: u32,
}

/// What the IP header (innermost, where tunnelled) told about a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// Sender.
    pub src: Addr,
    /// Receiver.
    pub dst: Addr,
    /// TTL or hop limit on arrival at the capture point.
    pub ttl: u8,
    /// IPv4 identification; `None` for IPv6.
    pub ip_id: Option<u16>,
    /// IPv4 don't-fragment bit; always true for IPv6.
    pub dont_fragment: bool,
    /// The sending station's link address where the link has one; of the outermost frame.
    pub link_src: Option<[u8; 6]>,
}

/// TCP flags, RFC 9293 section 3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Acknowledgment field is significant.
    pub const ACK: u8 = 0x10;

    /// Whether all these bits are set.
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }
    /// FIN is set.
    pub const fn fin(self) -> bool {
        self.has(Self::FIN)
    }
    /// SYN is set.
    pub const fn syn(self) -> bool {
        self.has(Self::SYN)
    }
    /// RST is set.
    pub const fn rst(self) -> bool {
        self.has(Self::RST)
    }
    /// ACK is set.
    pub const fn ack(self) -> bool {
        self.has(Self::ACK)
    }
}

/// The TCP options that causes read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Timestamp value and echo (RFC 7323).
    pub timestamp: Option<(u32, u32)>,
    /// Maximum segment size, in a SYN.
    pub mss: Option<u16>,
    /// First SACK block (RFC 2018): left and right edge.
    pub sack: Option<(u32, u32)>,
    /// Whether any option was present at all.
    pub any: bool,
}

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The IP header's part.
    pub hop: Hop,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number of the first payload byte (of the SYN where SYN is set).
    pub seq: u32,
    /// Acknowledgment number; meaningful where the flag is set.
    pub ack: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Window as sent, unscaled.
    pub window: u16,
    /// Options.
    pub options: TcpOptions,
    /// The captured payload.
    pub payload: &'a [u8],
    /// Payload bytes on the wire; more than `payload` where a snap length cut the packet.
    pub payload_wire_len: u32,
}

impl Segment<'_> {
    /// The sender.
    pub fn src(&self) -> Endpoint {
        Endpoint { addr: self.hop.src, port: self.src_port }
    }

    /// The receiver.
    pub fn dst(&self) -> Endpoint {
        Endpoint { addr: self.hop.dst, port: self.dst_port }
    }
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The IP header's part.
    pub hop: Hop,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// The captured payload.
    pub payload: &'a [u8],
}

/// What an ICMP or ICMPv6 error says about a packet sent earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Who sent the error.
    pub hop: Hop,
    /// Whether this is ICMPv6 (its types and codes differ).
    pub v6: bool,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The next-hop MTU of "fragmentation needed" or "packet too big".
    pub mtu: Option<u32>,
    /// Sender of the quoted packet.
    pub quoted_src: Endpoint,
    /// Receiver of the quoted packet.
    pub quoted_dst: Endpoint,
    /// IP protocol number of the quoted packet (6 TCP, 17 UDP).
    pub quoted_protocol: u8,
    /// The quoted TCP sequence number, where the quote holds it.
    pub quoted_seq: Option<u32>,
}

/// A frame decoded down to its transport.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// TCP.
    Segment(Segment<'a>),
    /// UDP.
    Datagram(Datagram<'a>),
    /// An ICMP error with the packet it quotes.
    IcmpError(IcmpError),
    /// Something else, or a fragment that waits for its rest.
    Other,
    /// The headers could not be read: too short, or they contradict themselves.
    Undecodable,
}
