//! Builders of packets for the tests of this floor, layer by layer, by hand.

use super::{Decoder, Frame, LinkType, Packet, Segment};
use crate::base::{Addr, Limits, PacketNo, Stamp};

pub const SRC4: [u8; 4] = [192, 0, 2, 1];
pub const DST4: [u8; 4] = [192, 0, 2, 2];
pub const SRC6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub const DST6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
pub const STATION: [u8; 6] = [2, 0, 0, 0, 0, 7];
pub const PAYLOAD: &[u8] = b"\x16\x03\x01\x00\x05hello";
pub const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 3, 0, 0, 0, 4];

/// All parts one behind another.
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// 40000 to 443, sequence number 7, acknowledging 9.
pub fn tcp(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let offset = u8::try_from(((20 + options.len()) / 4) << 4).unwrap();
    let head = [0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 7, 0, 0, 0, 9, offset, 0x18, 0x20, 0, 0xff, 0xff, 0, 0];
    join(&[&head, options, payload])
}

pub fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    join(&[&src.to_be_bytes(), &dst.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload])
}

pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let head = [0x45, 0, len[0], len[1], 0x12, 0x34, 0x40, 0, 57, protocol, 0xba, 0xad];
    join(&[&head, &SRC4, &DST4, payload])
}

/// One part of a datagram: `offset` in bytes.
pub fn ipv4_fragment(id: u16, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv4(6, payload);
    let place = u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 };
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    packet[6..8].copy_from_slice(&place.to_be_bytes());
    packet
}

pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
    join(&[&[0x60, 0, 0, 0, len[0], len[1], next, 57], &SRC6, &DST6, payload])
}

/// One part of a datagram that carries `next`: `offset` in bytes.
pub fn ipv6_fragment(id: u32, next: u8, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    let place = u16::try_from(offset).unwrap() | u16::from(more);
    ipv6(44, &join(&[&[next, 0], &place.to_be_bytes(), &id.to_be_bytes(), payload]))
}

pub fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[2, 0, 0, 0, 0, 9], &STATION, &kind.to_be_bytes(), payload])
}

/// The TCP segment that the samples carry, in IPv4.
pub fn inner4() -> Vec<u8> {
    ipv4(6, &tcp(&TIMESTAMPS, PAYLOAD))
}

/// The same in IPv6.
pub fn inner6() -> Vec<u8> {
    ipv6(6, &tcp(&TIMESTAMPS, PAYLOAD))
}

pub fn frame(link: LinkType, data: &[u8]) -> Frame<'_> {
    let wire_len = u32::try_from(data.len()).unwrap();
    Frame { no: PacketNo(1), stamp: Stamp(0), link, data, wire_len }
}

pub fn decoder() -> Decoder {
    Decoder::new(&Limits::default())
}

/// Decodes one frame and hands the packet to `look`.
pub fn with<T>(link: LinkType, data: &[u8], look: impl FnOnce(Packet<'_>) -> T) -> T {
    look(decoder().decode(&frame(link, data)))
}

/// Decodes one Ethernet frame that must be a segment.
#[track_caller]
pub fn with_segment<T>(data: &[u8], look: impl FnOnce(Segment<'_>) -> T) -> T {
    with(LinkType::ETHERNET, data, |packet| match packet {
        Packet::Segment(segment) => look(segment),
        other => panic!("no segment but {other:?}"),
    })
}

/// That a packet is the segment of `inner4` or `inner6`.
#[track_caller]
pub fn assert_inner(name: &str, packet: &Packet<'_>) {
    let Packet::Segment(segment) = packet else { panic!("{name}: {packet:?}") };
    let (src, dst) = (segment.hop.src, segment.hop.dst);
    let v4 = (Addr::v4(SRC4), Addr::v4(DST4));
    let v6 = (Addr::v6(SRC6), Addr::v6(DST6));
    assert!((src, dst) == v4 || (src, dst) == v6, "{name}: {src} > {dst}");
    assert_eq!((segment.src_port, segment.dst_port, segment.seq), (40_000, 443, 7), "{name}");
    assert_eq!((segment.hop.ttl, segment.payload), (57, PAYLOAD), "{name}");
    assert_eq!(segment.payload_wire_len as usize, PAYLOAD.len(), "{name}");
}
