//! Floor 1: a captured frame becomes a [`Packet`]: segment, datagram or ICMP message, whatever
//! link layers, tunnels and fragments lie around it.
//!
//! A [`Decoder`] walks the headers by hand. etherparse, the usual crate, has no SLL2, GRE, VXLAN, GENEVE,
//! MPLS or PPPoE and reads fields that nothing here asks for; tests use it to build packets and as an oracle.
//!
//! Reading order: `decoder` (the state), `plain` (what nearly all frames are), `walk` (what is carried from layer to layer), `link`, `ip`,
//! `transport`, `icmp`; then the rare layers: `tunnel`, `gre`, `ppp`, `wifi`, `defrag`.

mod decoder;
mod defrag;
mod gre;
mod icmp;
mod ip;
mod link;
pub mod plain;
mod ppp;
mod transport;
mod tunnel;
mod walk;
mod wifi;

#[cfg(test)]
mod build;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod samples;

pub use decoder::Decoder;

use smallvec::SmallVec;

use crate::base::{Addr, Endpoint, PacketNo, Stamp};

/// A link type as capture files number them (`LINKTYPE_*` of tcpdump.org, not the platform's `DLT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a four-byte address family in the capturing host's byte order.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// PPP, with or without the address and control bytes of RFC 1662.
    pub const PPP: Self = Self(9);
    /// Raw IP as some systems write it into files: `DLT_RAW` of most.
    pub const RAW_DLT: Self = Self(12);
    /// Raw IP as OpenBSD writes it into files.
    pub const RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC-like framing, or Cisco HDLC.
    pub const PPP_HDLC: Self = Self(50);
    /// PPPoE without the Ethernet header before it.
    pub const PPP_ETHER: Self = Self(51);
    /// Raw IP.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// OpenBSD loopback: the address family in network order.
    pub const LOOP: Self = Self(108);
    /// Linux "any" device, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// The log device of OpenBSD's packet filter.
    pub const PFLOG: Self = Self(117);
    /// PPP after one byte that is zero for received and not for sent.
    pub const PPP_PPPD: Self = Self(166);
    /// The same under its later name.
    pub const PPP_WITH_DIR: Self = Self(204);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux netfilter log: attributes, one of which is the packet.
    pub const NFLOG: Self = Self(239);
    /// Apple's packet tap: a header that names the link type that follows.
    pub const PKTAP: Self = Self(258);
    /// Linux "any" device, version 2.
    pub const LINUX_SLL2: Self = Self(276);

    /// Whether [`Decoder`] reads frames of this type; all others come out as [`Packet::Undecodable`].
    pub const fn is_known(self) -> bool {
        matches!(
            self,
            Self::NULL
                | Self::ETHERNET
                | Self::PPP
                | Self::RAW_DLT
                | Self::RAW_OPENBSD
                | Self::PPP_HDLC
                | Self::PPP_ETHER
                | Self::RAW
                | Self::C_HDLC
                | Self::LOOP
                | Self::LINUX_SLL
                | Self::PFLOG
                | Self::PPP_PPPD
                | Self::PPP_WITH_DIR
                | Self::IPV4
                | Self::IPV6
                | Self::NFLOG
                | Self::PKTAP
                | Self::LINUX_SLL2
        )
    }
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

/// Frames that are lent together at most: enough that the memory that each needs is fetched at the same time, little
/// enough that it is all still there when its turn comes.
pub const BURST: usize = 32;

/// Frames that are lent together, in order; at least one.
pub type Frames<'a> = SmallVec<[Frame<'a>; BURST]>;

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
    /// The SYN permits selective acknowledgments (RFC 2018).
    pub sack_permitted: bool,
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
    /// Length of the payload on the wire.
    pub payload_wire_len: u32,
}

impl Datagram<'_> {
    /// Its sender.
    pub fn src(&self) -> Endpoint {
        Endpoint { addr: self.hop.src, port: self.src_port }
    }

    /// Its receiver.
    pub fn dst(&self) -> Endpoint {
        Endpoint { addr: self.hop.dst, port: self.dst_port }
    }
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

impl IcmpError {
    /// The receiver cannot be reached, for whatever reason; a packet too big is none.
    pub const fn unreachable(&self) -> bool {
        if self.v6 { self.kind == 1 } else { self.kind == 3 && self.code != 4 }
    }
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
