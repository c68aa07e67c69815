//! PPP, PPPoE and Cisco HDLC.

use super::Packet;
use super::walk::{Rest, Walk};

impl<'a> Walk<'a> {
    /// PPP (RFC 1661 section 2) behind the address and control bytes where they are not compressed away
    /// (RFC 1662 section 3.1).
    pub fn ppp(&mut self, rest: Rest<'a>) -> Packet<'a> {
        const IPV4: u16 = 0x0021;
        const IPV6: u16 = 0x0057;
        const MPLS: u16 = 0x0281;
        const MPLS_MULTICAST: u16 = 0x0283;
        let rest = match rest.take::<2>() {
            Some(([0xff, 0x03], behind)) => behind,
            _ => rest,
        };
        // An odd first byte is a compressed protocol field (RFC 1661 section 6.5).
        let (protocol, rest) = match rest.bytes {
            [p, bytes @ ..] if p & 1 == 1 => (u16::from(*p), Rest { bytes, ..rest }),
            [p0, p1, bytes @ ..] => (u16::from_be_bytes([*p0, *p1]), Rest { bytes, ..rest }),
            _ => return Packet::Undecodable,
        };
        match protocol {
            IPV4 => self.ipv4(rest),
            IPV6 => self.ipv6(rest),
            MPLS | MPLS_MULTICAST if self.deeper() => self.mpls(rest),
            _ => Packet::Other,
        }
    }

    /// A PPPoE session packet (RFC 2516 section 4).
    pub fn pppoe(&mut self, rest: Rest<'a>) -> Packet<'a> {
        match rest.take::<6>() {
            Some((&[0x11, 0, ..], rest)) => self.ppp(rest),
            Some(_) => Packet::Other,
            None => Packet::Undecodable,
        }
    }

    /// PPP in HDLC-like framing, or Cisco HDLC: address 0x0f (unicast) or 0x8f (broadcast), then an EtherType.
    pub fn hdlc(&mut self, rest: Rest<'a>) -> Packet<'a> {
        match rest.take::<4>() {
            Some((&[0x0f | 0x8f, _, k0, k1], rest)) => self.ether_type(u16::from_be_bytes([k0, k1]), rest),
            Some(_) => self.ppp(rest),
            None => Packet::Undecodable,
        }
    }
}
