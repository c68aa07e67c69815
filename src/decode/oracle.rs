//! Random packets: against etherparse, and against panics.

use etherparse::{PacketBuilder, SlicedPacket, TcpOptionElement, TransportSlice};
use proptest::prelude::*;

use super::build::{decoder, frame};
use super::samples::samples;
use super::{LinkType, Packet};
use crate::base::Addr;

const LINKS: [u16; 22] =
    [0, 1, 9, 12, 14, 50, 51, 101, 104, 108, 113, 117, 166, 204, 228, 229, 239, 258, 276, 105, 127, 9_999];

fn addr(bytes: &[u8]) -> Addr {
    match bytes {
        bytes if bytes.len() == 4 => Addr::v4(bytes.try_into().unwrap()),
        bytes => Addr::v6(bytes.try_into().unwrap()),
    }
}

proptest! {
    #[test]
    fn random_bytes_of_any_link_type_do_no_harm(link in 0..LINKS.len(), data: Vec<u8>, more in 0u32..2_000) {
        let mut frame = frame(LinkType(LINKS[link]), &data);
        frame.wire_len += more;
        decoder().decode(&frame);
    }

    #[test]
    fn damaged_packets_do_no_harm(
        which: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let all = samples();
        let (_, link, mut data) = which.get(&all).clone();
        for (place, value) in damage {
            *place.get_mut(&mut data) = value;
        }
        let mut decoder = decoder();
        let packet = decoder.decode(&frame(link, &data));
        if let Packet::Segment(segment) = packet {
            prop_assert!(segment.payload.len() <= segment.payload_wire_len as usize);
        }
    }

    #[test]
    fn etherparse_reads_the_same(
        v6: bool,
        vlan: Option<u8>,
        is_tcp: bool,
        src: [u8; 16],
        dst: [u8; 16],
        ports: (u16, u16),
        numbers: (u32, u32, u16),
        flags: [bool; 4],
        timestamp: Option<(u32, u32)>,
        mss: Option<u16>,
        sack: Option<(u32, u32)>,
        payload: Vec<u8>,
    ) {
        let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let v4 = |bytes: [u8; 16]| [bytes[0], bytes[1], bytes[2], bytes[3]];
        let ip = match (vlan, v6) {
            (None, false) => link.ipv4(v4(src), v4(dst), 61),
            (None, true) => link.ipv6(src, dst, 61),
            (Some(id), false) => link.single_vlan(u16::from(id).try_into().unwrap()).ipv4(v4(src), v4(dst), 61),
            (Some(id), true) => link.single_vlan(u16::from(id).try_into().unwrap()).ipv6(src, dst, 61),
        };
        let mut data = Vec::new();
        if is_tcp {
            let mut options = Vec::new();
            options.extend(mss.map(TcpOptionElement::MaximumSegmentSize));
            options.extend(timestamp.map(|(value, echo)| TcpOptionElement::Timestamp(value, echo)));
            options.extend(sack.map(|first| TcpOptionElement::SelectiveAcknowledgement(first, [None; 3])));
            let mut tcp = ip.tcp(ports.0, ports.1, numbers.0, numbers.2);
            if flags[0] { tcp = tcp.syn(); }
            if flags[1] { tcp = tcp.fin(); }
            if flags[2] { tcp = tcp.rst(); }
            if flags[3] { tcp = tcp.ack(numbers.1); }
            tcp.options(&options).unwrap().write(&mut data, &payload).unwrap();
        } else {
            // Ports of tunnels are another test's.
            let ports = (ports.0 | 0x8000, ports.1 | 0x8000);
            ip.udp(ports.0, ports.1).write(&mut data, &payload).unwrap();
        }
        let theirs = SlicedPacket::from_ethernet(&data).unwrap();
        let mut decoder = decoder();
        match (decoder.decode(&frame(LinkType::ETHERNET, &data)), theirs.transport) {
            (Packet::Segment(ours), Some(TransportSlice::Tcp(theirs))) => {
                prop_assert_eq!((ours.src_port, ours.dst_port), (theirs.source_port(), theirs.destination_port()));
                prop_assert_eq!((ours.seq, ours.ack), (theirs.sequence_number(), theirs.acknowledgment_number()));
                prop_assert_eq!(ours.window, theirs.window_size());
                let flags = (ours.flags.syn(), ours.flags.fin(), ours.flags.rst(), ours.flags.ack());
                prop_assert_eq!(flags, (theirs.syn(), theirs.fin(), theirs.rst(), theirs.ack()));
                prop_assert_eq!(ours.payload, theirs.payload());
                prop_assert_eq!(ours.payload.len(), ours.payload_wire_len as usize);
                let options = ours.options;
                prop_assert_eq!((options.mss, options.timestamp, options.sack), (mss, timestamp, sack));
                prop_assert_eq!(options.any, !theirs.options().is_empty());
                let len = if v6 { 16 } else { 4 };
                prop_assert_eq!((ours.hop.src, ours.hop.dst), (addr(&src[..len]), addr(&dst[..len])));
                prop_assert_eq!(ours.hop.ttl, 61);
            }
            (Packet::Datagram(ours), Some(TransportSlice::Udp(theirs))) => {
                prop_assert_eq!((ours.src_port, ours.dst_port), (theirs.source_port(), theirs.destination_port()));
                prop_assert_eq!(ours.payload, theirs.payload());
            }
            (ours, theirs) => prop_assert!(false, "{ours:?} and {theirs:?}"),
        }
    }
}
