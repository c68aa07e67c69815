//! One sample of each encapsulation, and what must hold for all of them.

use super::build::*;
use super::{LinkType, Packet};

/// A GRE header with these flags, in IPv4.
fn gre(flags: u16, kind: u16, optional: &[u8], inner: &[u8]) -> Vec<u8> {
    let gre = join(&[&flags.to_be_bytes(), &kind.to_be_bytes(), optional, inner]);
    ethernet(0x0800, &ipv4(47, &gre))
}

fn over_udp(port: u16, head: &[u8], inner: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ipv4(17, &udp(50_000, port, &join(&[head, inner]))))
}

/// Name, link type and bytes; each carries the segment of `inner4` or `inner6`.
pub fn samples() -> Vec<(&'static str, LinkType, Vec<u8>)> {
    let (v4, v6) = (&inner4()[..], &inner6()[..]);
    let eth = &ethernet(0x0800, v4)[..];
    let segment = &tcp(&TIMESTAMPS, PAYLOAD)[..];
    let e = LinkType::ETHERNET;
    let mac8 = [STATION.as_slice(), &[0, 0]].concat();
    let sll = |hardware: u8, protocol: &[u8], inner: &[u8]| {
        join(&[&[0, 4, 0, hardware, 0, 6], &mac8, protocol, inner])
    };
    let sll2 =
        |protocol: &[u8], inner: &[u8]| join(&[protocol, &[0, 0, 0, 0, 0, 2, 0, 1, 4, 6], &mac8, inner]);
    let nflog = |len: [u8; 2], kind: [u8; 2], first: [u8; 8]| join(&[&[2, 0, 0, 0], &first, &len, &kind, v4]);
    let nflog_len = u16::try_from(v4.len() + 4).unwrap();
    let option4 = {
        let mut packet = join(&[&v4[..20], &[1, 1, 1, 0], segment]);
        packet[0] = 0x46;
        packet[3] += 4;
        packet
    };
    let extended =
        join(&[&[60, 0, 1, 4, 0, 0, 0, 0], &[43, 1, 1, 12], &[0; 12], &[6, 0, 0, 0, 0, 0, 0, 0], segment]);
    let atomic = join(&[&[6, 0, 0, 0, 0, 0, 0, 5], segment]);
    let authenticated = join(&[&[6, 4, 0, 0], &[0; 20], segment]);
    let extended_gtp = [0x34, 255, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 5, 0x40, 2, 0, 0, 0, 0, 0, 0, 0];
    let wifi = |control: [u8; 2], more: &[u8]| {
        join(&[&control, &[0; 22], more, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], v4])
    };
    let capwap = [0, 0x10, 0x03, 0x20, 0, 0, 0, 0];
    vec![
        ("ethernet, IPv4", e, eth.to_vec()),
        ("ethernet, IPv6", e, ethernet(0x86dd, v6)),
        ("802.1Q", e, ethernet(0x8100, &join(&[&[0, 5, 8, 0], v4]))),
        ("QinQ 0x88a8", e, ethernet(0x88a8, &join(&[&[0, 5, 0x81, 0, 0, 6, 0x86, 0xdd], v6]))),
        ("QinQ 0x9100", e, ethernet(0x9100, &join(&[&[0, 5, 0x81, 0, 0, 6, 8, 0], v4]))),
        ("Cisco metadata", e, ethernet(0x8909, &join(&[&[1, 1, 0, 1, 0, 9, 8, 0], v4]))),
        ("VN-Tag", e, ethernet(0x8926, &join(&[&[0, 1, 0, 9, 8, 0], v4]))),
        ("MACsec without encryption", e, ethernet(0x88e5, &join(&[&[0, 0, 0, 0, 0, 1, 8, 0], v4, &[9; 16]]))),
        ("MACsec with channel", e, ethernet(0x88e5, &join(&[&[0x20, 0], &[1; 12], &[8, 0], v4, &[9; 16]]))),
        ("LLC and SNAP", e, ethernet(90, &join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], v4]))),
        ("MPLS, two labels", e, ethernet(0x8847, &join(&[&[0, 0, 0x50, 9, 0, 1, 1, 9], v4]))),
        ("MPLS, IPv6", e, ethernet(0x8847, &join(&[&[0, 1, 1, 9], v6]))),
        ("MPLS pseudowire", e, ethernet(0x8847, &join(&[&[0, 1, 1, 9, 0, 0, 0, 0], eth]))),
        (
            "MPLS pseudowire without control word",
            e,
            ethernet(0x8847, &join(&[&[0, 1, 1, 9, 0x44], &eth[1..]])),
        ),
        ("PPPoE", e, ethernet(0x8864, &join(&[&[0x11, 0, 0, 1, 0, 90, 0, 0x21], v4]))),
        ("PPPoE, IPv6", e, ethernet(0x8864, &join(&[&[0x11, 0, 0, 1, 0, 90, 0, 0x57], v6]))),
        ("SLL", LinkType::LINUX_SLL, sll(1, &[8, 0], v4)),
        ("SLL, VLAN", LinkType::LINUX_SLL, sll(1, &[0x81, 0], &join(&[&[0, 5, 8, 0], v4]))),
        ("SLL2", LinkType::LINUX_SLL2, sll2(&[0x86, 0xdd], v6)),
        ("SLL2, QinQ", LinkType::LINUX_SLL2, sll2(&[0x88, 0xa8], &join(&[&[0, 5, 0x81, 0, 0, 6, 8, 0], v4]))),
        ("raw 101", LinkType::RAW, v4.to_vec()),
        ("raw 101, IPv6", LinkType::RAW, v6.to_vec()),
        ("raw 12", LinkType::RAW_DLT, v4.to_vec()),
        ("raw 14", LinkType::RAW_OPENBSD, v6.to_vec()),
        ("raw 228", LinkType::IPV4, v4.to_vec()),
        ("raw 229", LinkType::IPV6, v6.to_vec()),
        ("null, little endian", LinkType::NULL, join(&[&[2, 0, 0, 0], v4])),
        ("null, big endian", LinkType::NULL, join(&[&[0, 0, 0, 2], v4])),
        ("null, IPv6 of Linux", LinkType::NULL, join(&[&[10, 0, 0, 0], v6])),
        ("null, IPv6 of NetBSD", LinkType::NULL, join(&[&[0, 0, 0, 24], v6])),
        ("null, IPv6 of FreeBSD", LinkType::NULL, join(&[&[28, 0, 0, 0], v6])),
        ("null, IPv6 of macOS", LinkType::NULL, join(&[&[30, 0, 0, 0], v6])),
        ("loop", LinkType::LOOP, join(&[&[0, 0, 0, 24], v6])),
        ("PPP", LinkType::PPP, join(&[&[0xff, 3, 0, 0x21], v4])),
        ("PPP, fields compressed", LinkType::PPP, join(&[&[0x57], v6])),
        ("PPP in HDLC", LinkType::PPP_HDLC, join(&[&[0xff, 3, 0, 0x57], v6])),
        ("PPP with direction", LinkType::PPP_WITH_DIR, join(&[&[1, 0xff, 3, 0, 0x21], v4])),
        ("PPPoE alone", LinkType::PPP_ETHER, join(&[&[0x11, 0, 0, 1, 0, 90, 0, 0x21], v4])),
        ("Cisco HDLC", LinkType::C_HDLC, join(&[&[0x0f, 0, 8, 0], v4])),
        ("pflog", LinkType::PFLOG, join(&[&[61, 2], &[0; 62], v4])),
        (
            "NFLOG, little endian",
            LinkType::NFLOG,
            nflog(nflog_len.to_le_bytes(), [9, 0], [5, 0, 3, 0, 1, 0, 0, 0]),
        ),
        (
            "NFLOG, big endian",
            LinkType::NFLOG,
            nflog(nflog_len.to_be_bytes(), [0, 9], [0, 8, 0, 1, 8, 0, 3, 0]),
        ),
        ("pktap", LinkType::PKTAP, join(&[&[16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], eth])),
        ("IPv4 options", e, ethernet(0x0800, &option4)),
        ("IPv4 authentication header", e, ethernet(0x0800, &ipv4(51, &authenticated))),
        ("IPv6 extension headers", e, ethernet(0x86dd, &ipv6(0, &extended))),
        ("IPv6 atomic fragment", e, ethernet(0x86dd, &ipv6(44, &atomic))),
        ("IPv4 in IPv4", e, ethernet(0x0800, &ipv4(4, v4))),
        ("6in4", e, ethernet(0x0800, &ipv4(41, v6))),
        ("4in6", e, ethernet(0x86dd, &ipv6(4, v4))),
        ("IPv6 in IPv6", e, ethernet(0x86dd, &ipv6(41, v6))),
        ("Ethernet in IPv6", e, ethernet(0x86dd, &ipv6(143, eth))),
        ("EtherIP", e, ethernet(0x0800, &ipv4(97, &join(&[&[0x30, 0], eth])))),
        ("MPLS in IP", e, ethernet(0x0800, &ipv4(137, &join(&[&[0, 1, 1, 9], v4])))),
        ("GRE", e, gre(0, 0x0800, &[], v4)),
        ("GRE, IPv6", e, gre(0, 0x86dd, &[], v6)),
        ("GRE with checksum, key and sequence", e, gre(0xb000, 0x0800, &[0; 12], v4)),
        ("GRE with key", e, gre(0x2000, 0x0800, &[0; 4], v4)),
        ("GRE, bridged", e, gre(0, 0x6558, &[], eth)),
        ("GRE, MPLS", e, gre(0, 0x8847, &[0, 1, 1, 9], v4)),
        ("PPTP", e, gre(0x3081, 0x880b, &[0; 12], &join(&[&[0xff, 3, 0, 0x21], v4]))),
        ("WCCP", e, gre(0, 0x883e, &[0, 0, 0, 0], v4)),
        ("WCCP, version 1", e, gre(0, 0x883e, &[], v4)),
        ("ERSPAN I", e, gre(0, 0x88be, &[], eth)),
        ("ERSPAN II", e, gre(0x1000, 0x88be, &join(&[&[0; 4], &[0x10, 0, 0, 0, 0, 0, 0, 0]]), eth)),
        ("ERSPAN III", e, gre(0x1000, 0x22eb, &join(&[&[0; 4], &[0x20], &[0; 11]]), eth)),
        (
            "ERSPAN III, platform header",
            e,
            gre(0x1000, 0x22eb, &join(&[&[0; 4], &[0x20], &[0; 10], &[1], &[0; 8]]), eth),
        ),
        ("ERSPAN III, IP", e, gre(0x1000, 0x22eb, &join(&[&[0; 4], &[0x20], &[0; 9], &[8, 0]]), v4)),
        ("VXLAN", e, over_udp(4789, &[8, 0, 0, 0, 0, 0, 5, 0], eth)),
        ("VXLAN, group policy, old port", e, over_udp(8472, &[0x88, 0, 1, 0, 0, 0, 5, 0], eth)),
        ("VXLAN-GPE", e, over_udp(4790, &[0x0c, 0, 0, 2, 0, 0, 5, 0], v6)),
        ("GENEVE", e, over_udp(6081, &[0, 0, 0x65, 0x58, 0, 0, 5, 0], eth)),
        ("GENEVE with options", e, over_udp(6081, &[2, 0, 8, 0, 0, 0, 5, 0, 1, 8, 1, 1, 0, 0, 0, 0], v4)),
        ("MPLS in UDP", e, over_udp(6635, &[0, 1, 1, 9], v4)),
        ("GTP-U", e, over_udp(2152, &[0x30, 255, 0, 90, 0, 0, 0, 1], v4)),
        ("GTP-U with sequence number", e, over_udp(2152, &[0x32, 255, 0, 94, 0, 0, 0, 1, 0, 7, 0, 0], v6)),
        ("GTP-U with extensions", e, over_udp(2152, &extended_gtp, v4)),
        ("Teredo", e, over_udp(3544, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6], v6)),
        ("CAPWAP, 802.3", e, over_udp(5247, &[0, 0x10, 2, 0, 0, 0, 0, 0], eth)),
        ("CAPWAP, 802.11", e, over_udp(5247, &capwap, &wifi([0x08, 1], &[]))),
        ("CAPWAP, 802.11 QoS, four addresses", e, over_udp(5247, &capwap, &wifi([0x88, 3], &[0; 8]))),
        ("CAPWAP, 802.11, swapped", e, over_udp(5247, &capwap, &wifi([2, 0x08], &[]))),
        (
            "GRE in VXLAN in MPLS",
            e,
            ethernet(
                0x8847,
                &join(&[
                    &[0, 1, 1, 9],
                    &over_udp(4789, &[8, 0, 0, 0, 0, 0, 5, 0], &gre(0, 0x0800, &[], v4))[14..],
                ]),
            ),
        ),
    ]
}

#[test]
fn every_encapsulation_leads_to_its_segment() {
    for (name, link, data) in samples() {
        assert!(link.is_known(), "{name}");
        with(link, &data, |packet| assert_inner(name, &packet));
    }
}

#[test]
fn padding_behind_the_packet_is_not_payload() {
    for (name, link, mut data) in samples() {
        data.extend([0xee; 24]);
        with(link, &data, |packet| assert_inner(name, &packet));
    }
}

#[test]
fn a_cut_at_any_byte_gives_less_but_nothing_false() {
    for (name, link, data) in samples() {
        for cut in 0..data.len() {
            let mut frame = frame(link, &data[..cut]);
            frame.wire_len = u32::try_from(data.len()).unwrap();
            let mut decoder = decoder();
            match decoder.decode(&frame) {
                Packet::Segment(segment) => {
                    assert_eq!((segment.src_port, segment.seq), (40_000, 7), "{name} cut at {cut}");
                    assert!(PAYLOAD.starts_with(segment.payload), "{name} cut at {cut}");
                    assert_eq!(segment.payload_wire_len as usize, PAYLOAD.len(), "{name} cut at {cut}");
                }
                Packet::IcmpError(error) => panic!("{name} cut at {cut}: {error:?}"),
                Packet::Datagram(_) | Packet::Other | Packet::Undecodable => {}
            }
            assert_eq!(decoder.take_lost().snapped_packets, 1);
        }
    }
}

#[test]
fn the_station_is_that_of_the_outermost_frame() {
    let mut inner = ethernet(0x0800, &inner4());
    inner[6..12].copy_from_slice(&[2, 9, 9, 9, 9, 9]);
    let data = over_udp(4789, &[8, 0, 0, 0, 0, 0, 5, 0], &inner);
    with_segment(&data, |segment| assert_eq!(segment.hop.link_src, Some(STATION)));
    for (name, link, data) in samples() {
        let has_station =
            matches!(link, LinkType::ETHERNET | LinkType::LINUX_SLL | LinkType::LINUX_SLL2 | LinkType::PKTAP);
        with(link, &data, |packet| {
            let Packet::Segment(segment) = packet else { panic!("{name}") };
            assert_eq!(segment.hop.link_src, has_station.then_some(STATION), "{name}");
        });
    }
}

#[test]
fn layers_beyond_the_bound_are_not_read() {
    let nested = |times: usize| (0..times).fold(inner4(), |inner, _| ipv4(4, &inner));
    with(LinkType::RAW, &nested(8), |packet| assert_inner("eight", &packet));
    with(LinkType::RAW, &nested(9), |packet| assert!(matches!(packet, Packet::Undecodable)));
    let tagged =
        |times: usize| ethernet(0x8100, &join(&[&[0, 5, 0x81, 0].repeat(times), &[0, 5, 8, 0], &inner4()]));
    with(LinkType::ETHERNET, &tagged(7), |packet| assert_inner("eight tags", &packet));
    with(LinkType::ETHERNET, &tagged(16_000), |packet| assert!(matches!(packet, Packet::Undecodable)));
}
