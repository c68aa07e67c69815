//! Tunnels in UDP. Ports are only a hint: each header is checked, and where the inside leads to no
//! transport the outer datagram stands.

use super::link::ether;
use super::walk::{Content, Fragment, Rest, Walk};
use super::{Hop, Packet};

/// UDP ports (IANA registry) of tunnels.
mod port {
    pub const GTP_U: u16 = 2152;
    pub const TEREDO: u16 = 3544;
    pub const VXLAN: u16 = 4789;
    pub const VXLAN_GPE: u16 = 4790;
    pub const CAPWAP_DATA: u16 = 5247;
    pub const GENEVE: u16 = 6081;
    pub const MPLS: u16 = 6635;
    /// VXLAN before it had a port of its own; Linux kept it as its default.
    pub const VXLAN_LINUX: u16 = 8472;
}

/// Whether a datagram between these ports may be a tunnel. Most use a port of their own only as destination, so that
/// the source can spread flows; some middleboxes answer from it.
#[inline]
pub(super) const fn may_be(src: u16, dst: u16) -> bool {
    is_tunnel(dst) || is_tunnel(src)
}

#[inline]
const fn is_tunnel(port: u16) -> bool {
    matches!(
        port,
        port::GTP_U
            | port::TEREDO
            | port::VXLAN
            | port::VXLAN_GPE
            | port::CAPWAP_DATA
            | port::GENEVE
            | port::MPLS
            | port::VXLAN_LINUX
    )
}

impl<'a> Walk<'a> {
    /// What lies inside; `None` where it is no tunnel, or one that leads nowhere.
    #[inline(never)]
    pub fn inside_udp(&mut self, hop: Hop, src: u16, dst: u16, rest: Rest<'a>) -> Option<Packet<'a>> {
        if !self.deeper() {
            return None;
        }
        let inner = match if is_tunnel(dst) { dst } else { src } {
            port::VXLAN | port::VXLAN_LINUX => self.vxlan(rest),
            port::VXLAN_GPE => self.vxlan_gpe(rest),
            port::GENEVE => self.geneve(rest),
            port::MPLS => Some(self.mpls(rest)),
            port::GTP_U => self.gtp_u(rest),
            port::CAPWAP_DATA => self.capwap(hop, src, rest),
            port::TEREDO => self.teredo(rest),
            _ => None,
        }?;
        self.arrived(&inner).then_some(inner)
    }

    /// RFC 7348 section 5: the I flag alone, or with that of a group policy.
    fn vxlan(&mut self, rest: Rest<'a>) -> Option<Packet<'a>> {
        match rest.take::<8>()? {
            (&[0x08 | 0x88, .., 0], rest) => Some(self.ethernet(rest)),
            _ => None,
        }
    }

    /// draft-ietf-nvo3-vxlan-gpe-13 section 3: version 0, I flag, a next protocol (Ethernet where none is given).
    fn vxlan_gpe(&mut self, rest: Rest<'a>) -> Option<Packet<'a>> {
        let (&[flags, _, _, next, ..], rest) = rest.take::<8>()?;
        match (flags & 0xf8, next) {
            (0x08, 1 | 2) => Some(self.ip(rest)),
            (0x08, 0 | 3) => Some(self.ethernet(rest)),
            (0x08, 5) => Some(self.mpls(rest)),
            _ => None,
        }
    }

    /// RFC 8926 section 3.4: version 0, options in words of four bytes, an EtherType.
    fn geneve(&mut self, rest: Rest<'a>) -> Option<Packet<'a>> {
        let (&[options, _, k0, k1, ..], rest) = rest.take::<8>()?;
        let rest = rest.skip(usize::from(options & 0x3f) * 4)?;
        match u16::from_be_bytes([k0, k1]) {
            _ if options >> 6 != 0 => None,
            ..ether::LEAST => None,
            kind => Some(self.ether_type(kind, rest)),
        }
    }

    /// 3GPP TS 29.281 section 5.1: version 1, protocol type 1, message G-PDU.
    fn gtp_u(&mut self, rest: Rest<'a>) -> Option<Packet<'a>> {
        const G_PDU: u8 = 255;
        const EXTENSIONS: u8 = 0x04;
        const ANY_OPTIONAL: u8 = 0x07;
        /// More than any user plane puts one behind another.
        const MOST_EXTENSIONS: usize = 8;
        let (&[flags, kind, ..], mut rest) = rest.take::<8>()?;
        if flags >> 4 != 0b0011 || kind != G_PDU {
            return None;
        }
        if flags & ANY_OPTIONAL != 0 {
            // Sequence number, N-PDU number and next extension stand all three where one is flagged.
            let (&[_, _, _, mut next], behind) = rest.take::<4>()?;
            rest = behind;
            for _ in 0..MOST_EXTENSIONS {
                if flags & EXTENSIONS == 0 || next == 0 {
                    break;
                }
                let len = usize::from(*rest.bytes.first()?) * 4;
                next = *rest.bytes.get(..len)?.last()?;
                rest = rest.skip(len)?;
            }
        }
        Some(self.ip(rest))
    }

    /// RFC 5415 section 4.3: a data packet between access point and controller, not under DTLS.
    fn capwap(&mut self, hop: Hop, port: u16, rest: Rest<'a>) -> Option<Packet<'a>> {
        const NATIVE: u8 = 0x01; // T, the last bit of the third byte
        const FRAGMENT: u8 = 0x80;
        const LAST: u8 = 0x40;
        let &[preamble, header, wireless, flags, i0, i1, o0, o1] = rest.bytes.first_chunk()?;
        let rest = rest.skip(usize::from(header >> 3) * 4)?;
        if preamble != 0 || header >> 3 < 2 {
            return None;
        }
        let content = if wireless & NATIVE == 0 { Content::Ethernet } else { Content::Wifi };
        if flags & FRAGMENT != 0 {
            // Access points number on their own; behind one address their ports differ.
            let id = u32::from(port) << 16 | u32::from(u16::from_be_bytes([i0, i1]));
            let (offset, more) = (u32::from(u16::from_be_bytes([o0, o1]) & 0xfff8), flags & LAST == 0);
            self.fragment = Some(Fragment { hop, id, content, offset, more, rest });
            return Some(Packet::Other);
        }
        Some(if content == Content::Ethernet { self.ethernet(rest) } else { self.wifi(rest) })
    }

    /// RFC 4380 section 5.1.1: IPv6, behind an authentication and an origin indication where present.
    fn teredo(&mut self, mut rest: Rest<'a>) -> Option<Packet<'a>> {
        if let [0, 1, id, auth, ..] = rest.bytes {
            rest = rest.skip(13 + usize::from(*id) + usize::from(*auth))?;
        }
        if let [0, 0, ..] = rest.bytes {
            rest = rest.skip(8)?;
        }
        Some(self.ipv6(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::super::LinkType;
    use super::super::build::*;
    use super::*;

    fn outer_stands(port: u16, payload: &[u8]) -> bool {
        let data = ipv4(17, &udp(50_000, port, payload));
        with(LinkType::RAW, &data, |packet| match packet {
            Packet::Datagram(datagram) => datagram.dst_port == port && datagram.payload == payload,
            _ => false,
        })
    }

    #[test]
    fn a_payload_that_is_no_tunnel_leaves_the_datagram() {
        let eth = ethernet(0x0800, &inner4());
        let arp = ethernet(0x0806, &[0; 28]);
        let rows: [(&str, u16, Vec<u8>); 10] = [
            ("empty", 4789, vec![]),
            ("VXLAN without its flag", 4789, join(&[&[0; 8], &eth])),
            ("VXLAN with a reserved bit", 4789, join(&[&[0x48, 0, 0, 0, 0, 0, 0, 0], &eth])),
            ("VXLAN with ARP", 4789, join(&[&[8, 0, 0, 0, 0, 0, 0, 0], &arp])),
            ("VXLAN with a damaged packet", 4789, join(&[&[8, 0, 0, 0, 0, 0, 0, 0], &eth[..40]])),
            ("GENEVE of another version", 6081, join(&[&[0x40, 0, 0x65, 0x58, 0, 0, 0, 0], &eth])),
            ("GTP-U echo", 2152, join(&[&[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0]])),
            (
                "GTP-U with an empty extension",
                2152,
                join(&[&[0x34, 255, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0]]),
            ),
            ("CAPWAP under DTLS", 5247, join(&[&[1, 0, 0, 0, 0x16, 0xfe, 0xfd, 0, 0], &eth])),
            ("QUIC from a tunnel's port", 8472, vec![0x43; 60]),
        ];
        for (name, port, payload) in rows {
            assert!(outer_stands(port, &payload), "{name}");
        }
    }

    #[test]
    fn a_tunnel_answering_from_its_port_is_read() {
        let data =
            udp(6_081, 50_000, &join(&[&[0, 0, 0x65, 0x58, 0, 0, 5, 0], &ethernet(0x0800, &inner4())]));
        with(LinkType::RAW, &ipv4(17, &data), |packet| assert_inner("GENEVE", &packet));
    }

    #[test]
    fn a_fragment_inside_a_tunnel_waits_for_its_rest() {
        let whole = tcp(&TIMESTAMPS, PAYLOAD);
        let over = |fragment: &[u8]| {
            let inner = join(&[&[8, 0, 0, 0, 0, 0, 5, 0], &ethernet(0x0800, fragment)]);
            ipv4(17, &udp(50_000, 4789, &inner))
        };
        let mut decoder = decoder();
        let first = over(&ipv4_fragment(9, 0, true, &whole[..24]));
        assert!(matches!(decoder.decode(&frame(LinkType::RAW, &first)), Packet::Other));
        let last = over(&ipv4_fragment(9, 24, false, &whole[24..]));
        assert_inner("VXLAN", &decoder.decode(&frame(LinkType::RAW, &last)));
    }

    #[test]
    fn a_frame_that_capwap_cut_is_rejoined() {
        let head = [0x08, 1].into_iter().chain([0; 22]).chain([0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
        let whole: Vec<u8> = head.chain(inner4()).collect();
        let part = |flags: u8, offset: u8, bytes: &[u8]| {
            let inner = join(&[&[0, 0x10, 3, flags, 0, 9, 0, offset], bytes]);
            ipv4(17, &udp(50_000, 5247, &inner))
        };
        let mut decoder = decoder();
        let last = part(0xc0, 48, &whole[48..]);
        assert!(matches!(decoder.decode(&frame(LinkType::RAW, &last)), Packet::Other));
        let first = part(0x80, 0, &whole[..48]);
        assert_inner("CAPWAP", &decoder.decode(&frame(LinkType::RAW, &first)));
    }
}
