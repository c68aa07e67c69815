//! Tunnels in UDP. Ports are only a hint: each header is checked, and where the inside leads to no
//! transport the outer datagram stands.

use super::Packet;
use super::link::ether;
use super::walk::{Rest, Walk};

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

/// Whether a datagram between these ports may be a tunnel.
#[inline]
pub(super) const fn may_be(src: u16, dst: u16) -> bool {
    matches!(
        dst,
        port::GTP_U
            | port::TEREDO
            | port::VXLAN
            | port::VXLAN_GPE
            | port::CAPWAP_DATA
            | port::GENEVE
            | port::MPLS
            | port::VXLAN_LINUX
    ) || matches!(src, port::GTP_U | port::TEREDO | port::CAPWAP_DATA)
}

impl<'a> Walk<'a> {
    /// What lies inside; `None` where it is no tunnel, or one that leads nowhere.
    #[inline(never)]
    pub fn inside_udp(&mut self, src: u16, dst: u16, rest: Rest<'a>) -> Option<Packet<'a>> {
        if !self.deeper() {
            return None;
        }
        let inner = match (dst, src) {
            (port::VXLAN | port::VXLAN_LINUX, _) => self.vxlan(rest),
            (port::VXLAN_GPE, _) => self.vxlan_gpe(rest),
            (port::GENEVE, _) => self.geneve(rest),
            (port::MPLS, _) => Some(self.mpls(rest)),
            (port::GTP_U, _) | (_, port::GTP_U) => self.gtp_u(rest),
            (port::CAPWAP_DATA, _) | (_, port::CAPWAP_DATA) => self.capwap(rest),
            (port::TEREDO, _) | (_, port::TEREDO) => self.teredo(rest),
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

    /// draft-ietf-nvo3-vxlan-gpe-13 section 3: the P flag says that a next protocol follows.
    fn vxlan_gpe(&mut self, rest: Rest<'a>) -> Option<Packet<'a>> {
        match rest.take::<8>()? {
            (&[0x08, _, _, _, ..], rest) => Some(self.ethernet(rest)),
            (&[0x0c, _, _, 1 | 2, ..], rest) => Some(self.ip(rest)),
            (&[0x0c, _, _, 3, ..], rest) => Some(self.ethernet(rest)),
            (&[0x0c, _, _, 5, ..], rest) => Some(self.mpls(rest)),
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
    fn capwap(&mut self, rest: Rest<'a>) -> Option<Packet<'a>> {
        const NATIVE: u8 = 0x01; // T, the last bit of the third byte
        const FRAGMENT: u8 = 0x80;
        let &[preamble, header, wireless, flags, ..] = rest.bytes.first_chunk::<8>()?;
        let inner = rest.skip(usize::from(header >> 3) * 4)?;
        if preamble != 0 || header >> 3 < 2 || flags & FRAGMENT != 0 {
            return None;
        }
        Some(if wireless & NATIVE == 0 { self.ethernet(inner) } else { self.wifi(inner) })
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
