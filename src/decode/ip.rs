//! IPv4 (RFC 791) and IPv6 (RFC 8200).

use super::walk::{Content, Fragment, Rest, Walk};
use super::{Hop, Packet};
use crate::base::Addr;

/// IP protocol numbers (IANA registry) that are read.
pub(super) mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const IPV4: u8 = 4;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const IPV6: u8 = 41;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const ETHER_IP: u8 = 97;
    pub const MOBILITY: u8 = 135;
    pub const MPLS: u8 = 137;
    pub const HIP: u8 = 139;
    pub const SHIM6: u8 = 140;
    /// Ethernet behind a segment routing header, RFC 8986 section 4.9.
    pub const ETHERNET: u8 = 143;
}

/// Extension headers one behind another before reading stops.
const MOST_EXTENSIONS: usize = 16;

impl<'a> Walk<'a> {
    /// IPv4 or IPv6, as the version field says.
    pub fn ip(&mut self, rest: Rest<'a>) -> Packet<'a> {
        match rest.bytes.first().map(|first| first >> 4) {
            Some(4) => self.ipv4(rest),
            Some(6) => self.ipv6(rest),
            _ => Packet::Undecodable,
        }
    }

    /// IPv4 from its header on. Checksums are not looked at: offload leaves them wrong.
    #[inline]
    pub fn ipv4(&mut self, rest: Rest<'a>) -> Packet<'a> {
        let Some((&[version, _, l0, l1, i0, i1, f0, f1, ttl, protocol, _, _], addresses)) = rest.take::<12>()
        else {
            return Packet::Undecodable;
        };
        let Some((&src, addresses)) = addresses.take::<4>() else { return Packet::Undecodable };
        let Some((&dst, _)) = addresses.take::<4>() else { return Packet::Undecodable };
        let header = u16::from(version & 0x0f) * 4;
        let total = u16::from_be_bytes([l0, l1]);
        // A length of zero is left by segmentation offload: the packet is as long as the frame.
        let whole = if total == 0 { rest } else { rest.of_len(total.into()) };
        if version >> 4 != 4 || header < 20 || (total != 0 && total < header) {
            return Packet::Undecodable;
        }
        let Some(rest) = whole.skip(header.into()) else { return Packet::Undecodable };
        let hop = Hop {
            src: Addr::v4(src),
            dst: Addr::v4(dst),
            ttl,
            ip_id: Some(u16::from_be_bytes([i0, i1])),
            dont_fragment: f0 & 0x40 != 0,
            link_src: self.link_src,
        };
        let place = u16::from_be_bytes([f0, f1]);
        if place & 0x3fff != 0 {
            let offset = u32::from(place & 0x1fff) * 8;
            let id = u16::from_be_bytes([i0, i1]).into();
            self.fragment = Some(Fragment {
                hop,
                id,
                content: Content::Ip(protocol),
                offset,
                more: place & 0x2000 != 0,
                rest,
            });
            return Packet::Other;
        }
        self.payload(protocol, hop, rest)
    }

    /// IPv6 from its header on.
    #[inline]
    pub fn ipv6(&mut self, rest: Rest<'a>) -> Packet<'a> {
        let Some((&[version, _, _, _, l0, l1, next, ttl], rest)) = rest.take::<8>() else {
            return Packet::Undecodable;
        };
        let Some((&src, rest)) = rest.take::<16>() else { return Packet::Undecodable };
        let Some((&dst, rest)) = rest.take::<16>() else { return Packet::Undecodable };
        if version >> 4 != 6 {
            return Packet::Undecodable;
        }
        // Zero: a jumbogram (RFC 2675) or segmentation offload.
        let len = u16::from_be_bytes([l0, l1]);
        let rest = if len == 0 { rest } else { rest.of_len(len.into()) };
        let hop = Hop {
            src: Addr::v6(src),
            dst: Addr::v6(dst),
            ttl,
            ip_id: None,
            dont_fragment: true,
            link_src: self.link_src,
        };
        self.payload(next, hop, rest)
    }

    /// What an IP header carries; also the entry for a rejoined datagram.
    #[inline]
    pub fn payload(&mut self, protocol: u8, hop: Hop, rest: Rest<'a>) -> Packet<'a> {
        match protocol {
            protocol::TCP => self.tcp(hop, rest),
            protocol::UDP => self.udp(hop, rest),
            _ => self.other_payload(protocol, hop, rest),
        }
    }

    #[inline(never)]
    fn other_payload(&mut self, mut protocol: u8, mut hop: Hop, mut rest: Rest<'a>) -> Packet<'a> {
        let v6 = hop.ip_id.is_none();
        for _ in 0..MOST_EXTENSIONS {
            match protocol {
                protocol::TCP => return self.tcp(hop, rest),
                protocol::UDP => return self.udp(hop, rest),
                protocol::ICMP => return self.icmp(hop, rest),
                protocol::ICMPV6 => return self.icmpv6(hop, rest),
                protocol::FRAGMENT if v6 => {
                    let Some((&[next, _, o0, o1, i0, i1, i2, i3], behind)) = rest.take::<8>() else {
                        return Packet::Undecodable;
                    };
                    let place = u16::from_be_bytes([o0, o1]);
                    let (offset, more) = (u32::from(place & 0xfff8), place & 1 != 0);
                    if offset != 0 || more {
                        let id = u32::from_be_bytes([i0, i1, i2, i3]);
                        self.fragment = Some(Fragment {
                            hop,
                            id,
                            content: Content::Ip(next),
                            offset,
                            more,
                            rest: behind,
                        });
                        return Packet::Other;
                    }
                    // An atomic fragment is a whole datagram, RFC 6946.
                    (protocol, rest) = (next, behind);
                }
                _ => {
                    if protocol == protocol::ROUTING
                        && v6
                        && let Some(last) = final_destination(rest.bytes)
                    {
                        hop.dst = last;
                    }
                    let Some(len) = extension_len(protocol, v6, rest.bytes) else { break };
                    let (Some(&next), Some(behind)) = (rest.bytes.first(), rest.skip(len)) else {
                        return Packet::Undecodable;
                    };
                    (protocol, rest) = (next, behind);
                }
            }
        }
        self.inside_ip(protocol, rest)
    }

    /// Tunnels that are IP protocols of their own.
    fn inside_ip(&mut self, protocol: u8, rest: Rest<'a>) -> Packet<'a> {
        if !self.deeper() {
            return Packet::Undecodable;
        }
        match protocol {
            protocol::IPV4 => self.ipv4(rest),
            protocol::IPV6 => self.ipv6(rest),
            protocol::GRE => self.gre(rest),
            protocol::MPLS => self.mpls(rest),
            protocol::ETHERNET => self.ethernet(rest),
            // RFC 3378: version 3, then twelve reserved bits.
            protocol::ETHER_IP => match rest.take::<2>() {
                Some(([0x30, 0], rest)) => self.ethernet(rest),
                _ => Packet::Undecodable,
            },
            _ => Packet::Other,
        }
    }
}

/// Length of an extension header that says its length itself (RFC 8200 section 4, RFC 4302 section 2.2);
/// `None` where `protocol` is none, or where even the length was not captured.
pub(super) fn extension_len(protocol: u8, v6: bool, bytes: &[u8]) -> Option<usize> {
    let &[_, len] = bytes.first_chunk()?;
    match protocol {
        protocol::AUTHENTICATION => Some((usize::from(len) + 2) * 4),
        protocol::HOP_BY_HOP
        | protocol::ROUTING
        | protocol::DESTINATION_OPTIONS
        | protocol::MOBILITY
        | protocol::HIP
        | protocol::SHIM6
            if v6 =>
        {
            Some((usize::from(len) + 1) * 8)
        }
        _ => None,
    }
}

/// Whom a packet that still has segments left to visit is for: both ends number their flow by that address.
/// Types 0 (deprecated) and 2 (RFC 6275) list it last, segment routing (RFC 8754 section 2) first.
fn final_destination(header: &[u8]) -> Option<Addr> {
    let &[_, len, kind, left, ..] = header.first_chunk::<8>()?;
    if left == 0 {
        return None;
    }
    let len = (usize::from(len) + 1) * 8;
    let addresses = header.get(8..len)?;
    match kind {
        0 | 2 => addresses.last_chunk().copied().map(Addr::v6),
        4 => addresses.first_chunk().copied().map(Addr::v6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::*;
    use super::super::{LinkType, Packet};
    use super::*;

    fn is_undecodable(link: LinkType, data: &[u8]) -> bool {
        with(link, data, |packet| matches!(packet, Packet::Undecodable))
    }

    #[test]
    fn a_total_length_of_zero_means_as_long_as_captured() {
        let mut packet = inner4();
        packet[2..4].fill(0);
        with_segment(&ethernet(0x0800, &packet), |segment| {
            assert_eq!((segment.payload, segment.payload_wire_len as usize), (PAYLOAD, PAYLOAD.len()));
        });
        let mut packet = inner6();
        packet[4..6].fill(0);
        with_segment(&ethernet(0x86dd, &packet), |segment| {
            assert_eq!((segment.payload, segment.payload_wire_len as usize), (PAYLOAD, PAYLOAD.len()));
        });
    }

    #[test]
    fn an_offloaded_and_cut_segment_is_as_long_as_its_frame() {
        let mut packet = ipv4(6, &tcp(&[], &[1; 60]));
        packet[2..4].fill(0);
        let mut frame = frame(LinkType::RAW, &packet);
        frame.wire_len += 64_000;
        let mut decoder = decoder();
        let Packet::Segment(segment) = decoder.decode(&frame) else { panic!() };
        assert_eq!((segment.payload.len(), segment.payload_wire_len), (60, 64_060));
    }

    #[test]
    fn a_short_capture_leaves_the_length_on_the_wire() {
        let packet = ethernet(0x0800, &ipv4(6, &tcp(&TIMESTAMPS, &[7; 1_000])));
        let mut frame = frame(LinkType::ETHERNET, &packet[..96]);
        frame.wire_len = u32::try_from(packet.len()).unwrap();
        let mut decoder = decoder();
        let Packet::Segment(segment) = decoder.decode(&frame) else { panic!() };
        assert_eq!((segment.payload.len(), segment.payload_wire_len), (30, 1_000));
    }

    #[test]
    fn headers_that_contradict_themselves_are_undecodable() {
        let broken = |place: usize, value: u8| {
            let mut packet = inner4();
            packet[place] = value;
            is_undecodable(LinkType::IPV4, &packet)
        };
        assert!(broken(0, 0x44), "a header shorter than twenty bytes");
        assert!(broken(0, 0x55), "another version");
        assert!(broken(3, 19), "a total length shorter than the header");
        assert!(broken(3, 39), "a total length that ends within the TCP header");
        assert!(!broken(10, 0x55), "a wrong checksum is what offload leaves");
        assert!(is_undecodable(LinkType::ETHERNET, &ethernet(0x86dd, &inner4())));
        assert!(is_undecodable(LinkType(147), &inner4()));
        assert!(is_undecodable(LinkType::RAW, &[]));
    }

    #[test]
    fn the_header_tells_its_fields() {
        with_segment(&ethernet(0x0800, &inner4()), |segment| {
            let hop = segment.hop;
            assert_eq!((hop.ttl, hop.ip_id, hop.dont_fragment), (57, Some(0x1234), true));
        });
        with_segment(&ethernet(0x86dd, &inner6()), |segment| {
            let hop = segment.hop;
            assert_eq!((hop.ttl, hop.ip_id, hop.dont_fragment), (57, None, true));
        });
    }

    #[test]
    fn a_routed_packet_is_for_its_last_segment() {
        let last = [0x20; 16];
        let routed = |kind: u8, left: u8, list: [[u8; 16]; 2]| {
            let header = join(&[&[6, 4, kind, left, 0, 0, 0, 0], &list[0], &list[1]]);
            let packet = ipv6(43, &join(&[&header, &tcp(&[], PAYLOAD)]));
            with_segment(&ethernet(0x86dd, &packet), |segment| segment.hop.dst)
        };
        assert_eq!(routed(4, 1, [last, DST6]), Addr::v6(last), "segment routing");
        assert_eq!(routed(0, 1, [DST6, last]), Addr::v6(last), "type 0");
        assert_eq!(routed(4, 0, [last, DST6]), Addr::v6(DST6), "arrived");
    }

    #[test]
    fn other_protocols_are_other() {
        for protocol in [2, 50, 89, 132, 253] {
            with(LinkType::RAW, &ipv4(protocol, &[0; 40]), |packet| assert!(matches!(packet, Packet::Other)));
        }
        let no_next_header = ipv6(59, &[]);
        with(LinkType::RAW, &no_next_header, |packet| assert!(matches!(packet, Packet::Other)));
    }
}
