//! The frame that nearly all frames are: TCP in IPv4 without options or fragments in Ethernet, captured whole.

use super::transport::{read_options, timestamp_alone};
use super::{Hop, Segment, TcpFlags, TcpOptions};
use crate::base::{Addr, Direction, PackedKey};

/// Bytes of an Ethernet header.
const LINK: usize = 14;
/// Bytes of an IPv4 header without options.
const IP: usize = 20;
/// Bytes of a TCP header without options.
const TCP: usize = 20;

/// Such a frame, found to be one: what its headers say is read when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    front: &'a [u8; LINK + IP + TCP],
    options: &'a [u8],
    /// The payload, all of it.
    pub payload: &'a [u8],
}

impl<'a> Plain<'a> {
    /// `None` leaves the frame to the walk through the layers, which gives the same segment for those it takes.
    #[inline]
    pub fn of(frame: &'a [u8]) -> Option<Self> {
        let front = frame.first_chunk::<{ LINK + IP + TCP }>()?;
        let behind = LINK + IP + usize::from(front[46] >> 4) * 4;
        let total = usize::from(u16::from_be_bytes([front[16], front[17]]));
        let options = frame.get(front.len()..behind)?;
        let payload = frame.get(behind..LINK + total)?;
        is_plain([front[12], front[13]], front[14], front[23], [front[20], front[21]]).then_some(Self {
            front,
            options,
            payload,
        })
    }

    /// The key of its connection, and the direction it took.
    #[inline]
    pub fn key(&self) -> (PackedKey, Direction) {
        let front = self.front;
        PackedKey::of_v4(
            short_end([front[26], front[27], front[28], front[29]], [front[34], front[35]]),
            short_end([front[30], front[31], front[32], front[33]], [front[36], front[37]]),
        )
    }

    /// Source and destination port.
    #[inline]
    pub fn ports(&self) -> [u16; 2] {
        let front = self.front;
        [[front[34], front[35]], [front[36], front[37]]].map(u16::from_be_bytes)
    }

    /// Its flags.
    #[inline]
    pub fn flags(&self) -> TcpFlags {
        TcpFlags(self.front[47])
    }

    /// All that its headers say.
    #[inline]
    pub fn segment(&self) -> Segment<'a> {
        // Each way writes its options where they stay: what was just written in parts is read as a whole slowly.
        match timestamp_alone(self.options) {
            Some(timestamp) => self.with(TcpOptions { timestamp, any: true, ..TcpOptions::default() }),
            None if self.options.is_empty() => self.with(TcpOptions::default()),
            None => self.with(TcpOptions { any: true, ..read_options(self.options) }),
        }
    }

    #[inline(always)]
    fn with(&self, options: TcpOptions) -> Segment<'a> {
        // Taken apart behind the options, so that nothing has to be put aside while they are read.
        let &[_, _, _, _, _, _, m0, m1, m2, m3, m4, m5, _, _, ref packet @ ..] = self.front;
        let &[_, _, _, _, i0, i1, f0, _, ttl, _, _, _, a0, a1, a2, a3, b0, b1, b2, b3, ref tcp @ ..] = packet;
        let &[p0, p1, q0, q1, s0, s1, s2, s3, c0, c1, c2, c3, _, flags, w0, w1, ..] = tcp;
        Segment {
            hop: Hop {
                src: Addr::v4([a0, a1, a2, a3]),
                dst: Addr::v4([b0, b1, b2, b3]),
                ttl,
                ip_id: Some(u16::from_be_bytes([i0, i1])),
                dont_fragment: f0 & 0x40 != 0,
                link_src: Some([m0, m1, m2, m3, m4, m5]),
            },
            src_port: u16::from_be_bytes([p0, p1]),
            dst_port: u16::from_be_bytes([q0, q1]),
            seq: u32::from_be_bytes([s0, s1, s2, s3]),
            ack: u32::from_be_bytes([c0, c1, c2, c3]),
            flags: TcpFlags(flags),
            window: u16::from_be_bytes([w0, w1]),
            options,
            payload: self.payload,
            #[expect(clippy::cast_possible_truncation, reason = "an IPv4 packet has less than 2^16 bytes")]
            payload_wire_len: self.payload.len() as u32,
        }
    }
}

/// Whether this is TCP in an IPv4 packet without options that is no fragment: an EtherType, version and length of the
/// header, a protocol, and the bits of "more fragments" and of the fragment's offset.
#[inline]
fn is_plain(ether_type: [u8; 2], version: u8, protocol: u8, fragment: [u8; 2]) -> bool {
    u16::from_be_bytes(ether_type) == 0x0800
        && version == 0x45
        && protocol == 6
        && u16::from_be_bytes(fragment) & 0x3fff == 0
}

/// The key of a frame whose headers begin as such a frame's do. Of the rest nothing is checked: it may yet turn out to be
/// undecodable, but never to have other ends.
#[inline]
pub fn key(frame: &[u8]) -> Option<PackedKey> {
    let &[k0, k1, version, _, _, _, _, _, f0, f1, _, protocol, _, _, ref ends @ ..] =
        frame.get(12..)?.first_chunk::<26>()?;
    let &[a0, a1, a2, a3, b0, b1, b2, b3, p0, p1, q0, q1] = ends;
    let (src, dst) = (short_end([a0, a1, a2, a3], [p0, p1]), short_end([b0, b1, b2, b3], [q0, q1]));
    is_plain([k0, k1], version, protocol, [f0, f1]).then(|| PackedKey::of_v4(src, dst).0)
}

/// An address in front of a port, in 48 bits.
#[inline]
fn short_end(addr: [u8; 4], port: [u8; 2]) -> u64 {
    u64::from(u32::from_be_bytes(addr)) << 16 | u64::from(u16::from_be_bytes(port))
}

#[cfg(test)]
mod tests {
    use super::super::build::*;
    use super::super::walk::{Rest, Walk};
    use super::super::{LinkType, Packet};
    use super::*;
    use crate::base::FlowKey;

    fn segment(frame: &[u8]) -> Option<Segment<'_>> {
        Plain::of(frame).map(|plain| plain.segment())
    }

    /// What the layers give.
    fn walked(frame: &[u8]) -> String {
        match Walk::default().frame(LinkType::ETHERNET, Rest { bytes: frame, missing: 0 }) {
            Packet::Segment(segment) => format!("{segment:?}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_segment_is_read_in_one_look_and_others_are_left_alone() {
        let plain = ethernet(0x0800, &ipv4(6, &tcp(&TIMESTAMPS, PAYLOAD)));
        assert_eq!(segment(&plain).unwrap().payload, PAYLOAD);
        assert_eq!(
            segment(&plain).map(|segment| FlowKey::of(segment.src(), segment.dst()).0.into()),
            key(&plain)
        );
        assert!(segment(&ethernet(0x86dd, &ipv6(6, &tcp(&TIMESTAMPS, PAYLOAD)))).is_none());
        assert!(segment(&ethernet(0x0800, &ipv4(17, &udp(1, 2, PAYLOAD)))).is_none());
        assert!(segment(&plain[..plain.len() - 1]).is_none(), "cut by the capture");
    }

    #[test]
    fn one_look_and_the_walk_through_the_layers_agree_whatever_the_bytes() {
        let options = join(&[&TIMESTAMPS, &[4, 2, 1, 1]]);
        let frames = [&[][..], &TIMESTAMPS, &options].map(|options| {
            let mut frame = ethernet(0x0800, &ipv4(6, &tcp(options, PAYLOAD)));
            frame.extend([0; 6]); // padding
            frame
        });
        let change = (0usize..200, proptest::prelude::any::<u8>());
        proptest::proptest!(|(which in 0usize..3, changes in proptest::collection::vec(change, 0..4))| {
            let mut frame = frames[which].clone();
            for (at, value) in changes {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
            if let Some(plain) = Plain::of(&frame) {
                let segment = plain.segment();
                proptest::prop_assert_eq!(format!("{segment:?}"), walked(&frame));
                let (key, direction) = FlowKey::of(segment.src(), segment.dst());
                proptest::prop_assert_eq!(plain.key(), (key.into(), direction));
                proptest::prop_assert_eq!(plain.ports(), [segment.src_port, segment.dst_port]);
                proptest::prop_assert_eq!((plain.flags(), plain.payload), (segment.flags, segment.payload));
            }
            if let Some(key) = key(&frame) {
                let told = match Walk::default().frame(LinkType::ETHERNET, Rest { bytes: &frame, missing: 0 }) {
                    Packet::Segment(segment) => Some(FlowKey::of(segment.src(), segment.dst()).0.into()),
                    Packet::Other | Packet::Undecodable => None,
                    other => panic!("{other:?}"),
                };
                proptest::prop_assert!(told.is_none_or(|told: PackedKey| told == key));
            }
        });
    }
}
