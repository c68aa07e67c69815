//! Link layers: what stands before the first IP header.

use super::walk::{Rest, Walk};
use super::{LinkType, Packet};

/// EtherType numbers (IEEE registry) that more than one layer uses.
pub(super) mod ether {
    pub const IPV4: u16 = 0x0800;
    pub const IPV6: u16 = 0x86dd;
    pub const VLAN: u16 = 0x8100;
    pub const QINQ: u16 = 0x88a8;
    pub const QINQ_OLD: u16 = 0x9100;
    pub const QINQ_OLDER: u16 = 0x9200;
    pub const MPLS: u16 = 0x8847;
    pub const MPLS_MULTICAST: u16 = 0x8848;
    pub const PPPOE_SESSION: u16 = 0x8864;
    /// Transparent Ethernet bridging, RFC 1701.
    pub const BRIDGED: u16 = 0x6558;
    /// Cisco metadata (security group tag): version, length, option, value.
    pub const CISCO_METADATA: u16 = 0x8909;
    /// IEEE 802.1AE (MACsec).
    pub const MACSEC: u16 = 0x88e5;
    /// Cisco VN-Tag.
    pub const VN_TAG: u16 = 0x8926;
    /// IEEE 802.1BR.
    pub const E_TAG: u16 = 0x893f;
    /// Below this the field is a length, and LLC follows (IEEE 802.3 section 3.2.6).
    pub const LEAST: u16 = 0x0600;
}

/// Tags one behind another before reading stops.
const MOST_TAGS: usize = 8;

/// Labels one behind another before reading stops; segment routing stacks about ten.
const MOST_LABELS: usize = 16;

impl<'a> Walk<'a> {
    /// A whole frame.
    #[inline]
    pub fn frame(&mut self, link: LinkType, rest: Rest<'a>) -> Packet<'a> {
        if link == LinkType::ETHERNET {
            if let Some(&[_, _, _, _, _, _, a, b, c, d, e, f]) = rest.bytes.first_chunk() {
                self.link_src = Some([a, b, c, d, e, f]);
            }
            return self.ethernet(rest);
        }
        self.other_frame(link, rest)
    }

    #[inline(never)]
    fn other_frame(&mut self, link: LinkType, rest: Rest<'a>) -> Packet<'a> {
        match link {
            LinkType::RAW | LinkType::RAW_DLT | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => {
                self.ip(rest)
            }
            LinkType::NULL | LinkType::LOOP => self.loopback(rest),
            LinkType::LINUX_SLL => self.linux_sll(rest),
            LinkType::LINUX_SLL2 => self.linux_sll2(rest),
            LinkType::PPP => self.ppp(rest),
            LinkType::PPP_HDLC | LinkType::C_HDLC => self.hdlc(rest),
            LinkType::PPP_ETHER => self.pppoe(rest),
            LinkType::PPP_PPPD | LinkType::PPP_WITH_DIR => match rest.skip(1) {
                Some(rest) => self.ppp(rest),
                None => Packet::Undecodable,
            },
            LinkType::PFLOG => self.pflog(rest),
            LinkType::NFLOG => self.nflog(rest),
            LinkType::PKTAP => self.pktap(rest),
            _ => Packet::Undecodable,
        }
    }

    /// Ethernet from the destination address on.
    #[inline]
    pub fn ethernet(&mut self, rest: Rest<'a>) -> Packet<'a> {
        let Some((&[.., k0, k1], rest)) = rest.take::<14>() else { return Packet::Undecodable };
        self.ether_type(u16::from_be_bytes([k0, k1]), rest)
    }

    /// What an EtherType announces, behind any tags.
    #[inline]
    pub fn ether_type(&mut self, mut kind: u16, mut rest: Rest<'a>) -> Packet<'a> {
        for _ in 0..=MOST_TAGS {
            let tag = match kind {
                ether::IPV4 => return self.ipv4(rest),
                ether::IPV6 => return self.ipv6(rest),
                ether::VLAN | ether::QINQ | ether::QINQ_OLD | ether::QINQ_OLDER => {
                    rest.take::<2>().map(|t| t.1)
                }
                ether::VN_TAG => rest.skip(4),
                ether::CISCO_METADATA | ether::E_TAG => rest.skip(6),
                _ => return self.other_ether_type(kind, rest),
            };
            let Some((&next, behind)) = tag.and_then(Rest::take::<2>) else { return Packet::Undecodable };
            kind = u16::from_be_bytes(next);
            rest = behind;
        }
        Packet::Undecodable
    }

    #[inline(never)]
    fn other_ether_type(&mut self, kind: u16, rest: Rest<'a>) -> Packet<'a> {
        if !self.deeper() {
            return Packet::Undecodable;
        }
        match kind {
            ..ether::LEAST => self.llc(rest),
            ether::MPLS | ether::MPLS_MULTICAST => self.mpls(rest),
            ether::PPPOE_SESSION => self.pppoe(rest),
            ether::BRIDGED => self.ethernet(rest),
            ether::MACSEC => self.macsec(rest),
            _ => Packet::Other,
        }
    }

    /// LLC and SNAP (IEEE 802.2; RFC 1042).
    pub fn llc(&mut self, rest: Rest<'a>) -> Packet<'a> {
        match rest.take::<8>() {
            Some((&[0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, k0, k1], rest)) => match u16::from_be_bytes([k0, k1]) {
                ..ether::LEAST => Packet::Other,
                kind => self.ether_type(kind, rest),
            },
            Some((&[0x06, 0x06, 0x03, ..], _)) => {
                rest.skip(3).map_or(Packet::Undecodable, |rest| self.ip(rest))
            }
            _ => Packet::Other,
        }
    }

    /// A label stack (RFC 3032). Nothing says what it carries: IP by its first four bits (RFC 4928),
    /// else Ethernet, behind a control word where those bits are zero (RFC 4385 section 3, RFC 4448).
    pub fn mpls(&mut self, mut rest: Rest<'a>) -> Packet<'a> {
        for _ in 0..MOST_LABELS {
            let Some((&[_, _, label, _], behind)) = rest.take::<4>() else { return Packet::Undecodable };
            rest = behind;
            if label & 1 == 0 {
                continue;
            }
            return match rest.bytes.first().map_or(0, |first| first >> 4) {
                4 | 6 => {
                    let packet = self.ip(rest);
                    // A station's address may begin with 4 or 6 as well.
                    if matches!(packet, Packet::Undecodable) { self.ethernet(rest) } else { packet }
                }
                0 => rest.skip(4).map_or(Packet::Undecodable, |rest| self.ethernet(rest)),
                _ => self.ethernet(rest),
            };
        }
        Packet::Undecodable
    }

    /// MACsec that only protects integrity (IEEE 802.1AE section 9.3): flags, short length, packet number,
    /// and the channel where flagged. The check value behind the packet is cut off as padding is.
    fn macsec(&mut self, rest: Rest<'a>) -> Packet<'a> {
        const CHANNEL: u8 = 0x20;
        const ENCRYPTED_OR_CHANGED: u8 = 0x0c;
        let Some((&[flags, ..], behind)) = rest.take::<6>() else { return Packet::Undecodable };
        if flags & ENCRYPTED_OR_CHANGED != 0 {
            return Packet::Other;
        }
        let inner = behind.skip(if flags & CHANNEL == 0 { 0 } else { 8 }).and_then(Rest::take::<2>);
        inner.map_or(Packet::Undecodable, |(&kind, rest)| self.ether_type(u16::from_be_bytes(kind), rest))
    }

    /// BSD loopback: an address family in either byte order, as the file may come from another machine.
    fn loopback(&mut self, rest: Rest<'a>) -> Packet<'a> {
        let Some((&family, rest)) = rest.take::<4>() else { return Packet::Undecodable };
        let family = u32::from_le_bytes(family);
        match if family > 0xffff { family.swap_bytes() } else { family } {
            2 => self.ipv4(rest),
            // AF_INET6 of Linux; NetBSD and OpenBSD; FreeBSD; macOS.
            10 | 24 | 28 | 30 => self.ipv6(rest),
            _ => Packet::Other,
        }
    }

    /// <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>
    fn linux_sll(&mut self, rest: Rest<'a>) -> Packet<'a> {
        let Some((&[_, _, h0, h1, l0, l1, a, b, c, d, e, f, _, _, p0, p1], rest)) = rest.take::<16>() else {
            return Packet::Undecodable;
        };
        if [l0, l1] == [0, 6] {
            self.link_src = Some([a, b, c, d, e, f]);
        }
        self.cooked(u16::from_be_bytes([h0, h1]), u16::from_be_bytes([p0, p1]), rest)
    }

    /// <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html>
    fn linux_sll2(&mut self, rest: Rest<'a>) -> Packet<'a> {
        let Some((&[p0, p1, _, _, _, _, _, _, h0, h1, _, len, a, b, c, d, e, f, _, _], rest)) =
            rest.take::<20>()
        else {
            return Packet::Undecodable;
        };
        if len == 6 {
            self.link_src = Some([a, b, c, d, e, f]);
        }
        self.cooked(u16::from_be_bytes([h0, h1]), u16::from_be_bytes([p0, p1]), rest)
    }

    /// The protocol field of the Linux "any" devices: an EtherType unless the hardware type (`ARPHRD_*`)
    /// gives it another meaning.
    fn cooked(&mut self, hardware: u16, protocol: u16, rest: Rest<'a>) -> Packet<'a> {
        const NETLINK: u16 = 824;
        const ETH_P_802_2: u16 = 4;
        match (hardware, protocol) {
            (NETLINK, _) => Packet::Other,
            (_, ETH_P_802_2) => self.llc(rest),
            (_, ..ether::LEAST) => Packet::Other,
            _ => self.ether_type(protocol, rest),
        }
    }

    /// OpenBSD's `pflog`: the header's length, in its first byte, is rounded up to four.
    fn pflog(&mut self, rest: Rest<'a>) -> Packet<'a> {
        let Some(&len) = rest.bytes.first() else { return Packet::Undecodable };
        let rest = rest.skip(usize::from(len).next_multiple_of(4));
        rest.map_or(Packet::Undecodable, |rest| self.ip(rest))
    }

    /// <https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html>: attributes in the byte order of the
    /// capturing machine. No field tells which; the types, all below 256, do.
    fn nflog(&mut self, rest: Rest<'a>) -> Packet<'a> {
        const PAYLOAD: u8 = 9;
        let Some(mut rest) = rest.skip(4) else { return Packet::Undecodable };
        // An attribute takes four bytes at least, so this ends.
        while let Some((&[l0, l1, t0, t1], value)) = rest.take::<4>() {
            let (len, kind) = match (t0, t1) {
                (kind, 0) => (u16::from_le_bytes([l0, l1]), kind),
                (0, kind) => (u16::from_be_bytes([l0, l1]), kind),
                _ => return Packet::Undecodable,
            };
            let Some(value_len) = len.checked_sub(4) else { return Packet::Undecodable };
            if kind == PAYLOAD {
                return self.ip(value.of_len(value_len.into()));
            }
            let Some(behind) = rest.skip(usize::from(len).next_multiple_of(4)) else { break };
            rest = behind;
        }
        Packet::Other
    }

    /// Apple's `pktap`, little endian: header length, next header, link type of what follows.
    fn pktap(&mut self, rest: Rest<'a>) -> Packet<'a> {
        let Some(&[l0, l1, l2, l3, _, _, _, _, d0, d1, ..]) = rest.bytes.first_chunk::<12>() else {
            return Packet::Undecodable;
        };
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        match rest.skip(len) {
            Some(rest) if len >= 12 && self.deeper() => {
                self.frame(LinkType(u16::from_le_bytes([d0, d1])), rest)
            }
            _ => Packet::Undecodable,
        }
    }
}
