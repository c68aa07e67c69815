//! TCP (RFC 9293) and UDP (RFC 768).

use super::walk::{Rest, Walk};
use super::{Datagram, Hop, Packet, Segment, TcpFlags, TcpOptions, tunnel};

/// Bytes of a TCP header without options.
const TCP_HEADER: usize = 20;

impl<'a> Walk<'a> {
    /// A segment. Sixteen bytes suffice, as a short snap length leaves: checksum and urgent pointer are not read.
    #[inline]
    pub fn tcp(&mut self, hop: Hop, rest: Rest<'a>) -> Packet<'a> {
        let Some(&[p0, p1, q0, q1, s0, s1, s2, s3, a0, a1, a2, a3, offset, flags, w0, w1]) =
            rest.bytes.first_chunk()
        else {
            return Packet::Undecodable;
        };
        let header = usize::from(offset >> 4) * 4;
        #[expect(clippy::cast_possible_truncation, reason = "at most 60")]
        let Some(payload_wire_len) = rest.wire_len().checked_sub(header as u32) else {
            return Packet::Undecodable;
        };
        if header < TCP_HEADER {
            return Packet::Undecodable;
        }
        let (options, payload) = match rest.bytes.split_at_checked(header) {
            Some((head, payload)) => (head.get(TCP_HEADER..).unwrap_or_default(), payload),
            None => (rest.bytes.get(TCP_HEADER..).unwrap_or_default(), <&[u8]>::default()),
        };
        let mut options = read_options(options);
        options.any = header > TCP_HEADER;
        Packet::Segment(Segment {
            hop,
            src_port: u16::from_be_bytes([p0, p1]),
            dst_port: u16::from_be_bytes([q0, q1]),
            seq: u32::from_be_bytes([s0, s1, s2, s3]),
            ack: u32::from_be_bytes([a0, a1, a2, a3]),
            flags: TcpFlags(flags),
            window: u16::from_be_bytes([w0, w1]),
            options,
            payload,
            payload_wire_len,
        })
    }

    /// A datagram, or what the tunnel that it is carries.
    #[inline]
    pub fn udp(&mut self, hop: Hop, rest: Rest<'a>) -> Packet<'a> {
        let Some((&[p0, p1, q0, q1, l0, l1, _, _], rest)) = rest.take::<8>() else {
            return Packet::Undecodable;
        };
        let rest = match u16::from_be_bytes([l0, l1]) {
            // A jumbogram (RFC 2675 section 4), or offload.
            0 => rest,
            1..8 => return Packet::Undecodable,
            len if u32::from(len) - 8 < rest.wire_len() => rest.of_len(u32::from(len) - 8),
            _ => rest,
        };
        let (src_port, dst_port) = (u16::from_be_bytes([p0, p1]), u16::from_be_bytes([q0, q1]));
        if tunnel::may_be(src_port, dst_port)
            && let Some(inner) = self.inside_udp(hop, src_port, dst_port, rest)
        {
            return inner;
        }
        Packet::Datagram(Datagram {
            hop,
            src_port,
            dst_port,
            payload: rest.bytes,
            payload_wire_len: rest.wire_len(),
        })
    }
}

/// The options that causes read (RFC 9293 section 3.1). Reading stops at the first malformed one.
#[inline]
pub(super) fn read_options(bytes: &[u8]) -> TcpOptions {
    if let Some(timestamp) = timestamp_alone(bytes) {
        return TcpOptions { timestamp, ..TcpOptions::default() };
    }
    if bytes.is_empty() { TcpOptions::default() } else { read_any_options(bytes) }
}

/// What nearly every segment of a connection has that uses timestamps (RFC 7323 appendix A).
#[inline]
pub(super) fn timestamp_alone(bytes: &[u8]) -> Option<Option<(u32, u32)>> {
    let &[1, 1, 8, 10, v0, v1, v2, v3, e0, e1, e2, e3] = bytes.as_array()? else { return None };
    Some(Some((u32::from_be_bytes([v0, v1, v2, v3]), u32::from_be_bytes([e0, e1, e2, e3]))))
}

#[inline(never)]
fn read_any_options(mut bytes: &[u8]) -> TcpOptions {
    let mut options = TcpOptions::default();
    while let [kind, behind @ ..] = bytes {
        match kind {
            0 => break,
            1 => {
                bytes = behind;
                continue;
            }
            _ => {}
        }
        let Some(&len) = behind.first() else { break };
        let Some((option, behind)) = bytes.split_at_checked(len.into()) else { break };
        match *option {
            [2, 4, m0, m1] => options.mss = Some(u16::from_be_bytes([m0, m1])),
            [4, 2] => options.sack_permitted = true,
            [5, _, l0, l1, l2, l3, r0, r1, r2, r3, ..] => {
                options.sack =
                    Some((u32::from_be_bytes([l0, l1, l2, l3]), u32::from_be_bytes([r0, r1, r2, r3])));
            }
            [8, 10, v0, v1, v2, v3, e0, e1, e2, e3] => {
                let value = u32::from_be_bytes([v0, v1, v2, v3]);
                options.timestamp = Some((value, u32::from_be_bytes([e0, e1, e2, e3])));
            }
            [] | [_] => break, // a length below two would never end
            _ => {}
        }
        bytes = behind;
    }
    options
}

#[cfg(test)]
mod tests {
    use super::super::LinkType;
    use super::super::build::*;
    use super::*;

    fn options_of(options: &[u8]) -> (TcpOptions, usize) {
        let packet = ethernet(0x0800, &ipv4(6, &tcp(options, PAYLOAD)));
        with_segment(&packet, |segment| (segment.options, segment.payload.len()))
    }

    #[test]
    fn the_header_tells_its_fields() {
        with_segment(&ethernet(0x0800, &inner4()), |segment| {
            assert_eq!((segment.seq, segment.ack, segment.window), (7, 9, 0x2000));
            assert_eq!(segment.flags, TcpFlags(0x18));
            assert_eq!(segment.options.timestamp, Some((3, 4)));
            assert!(segment.options.any);
        });
        let bare = ethernet(0x0800, &ipv4(6, &tcp(&[], &[])));
        with_segment(&bare, |segment| assert_eq!(segment.options, TcpOptions::default()));
    }

    #[test]
    fn a_syn_tells_its_options() {
        let (options, payload) =
            options_of(&[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]);
        let expected = TcpOptions {
            timestamp: Some((1, 0)),
            mss: Some(1_460),
            sack_permitted: true,
            sack: None,
            any: true,
        };
        assert_eq!((options, payload), (expected, PAYLOAD.len()));
    }

    #[test]
    fn the_first_block_of_a_selective_acknowledgment_is_read() {
        let (options, _) = options_of(&[1, 1, 5, 18, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 6, 0]);
        assert_eq!(options.sack, Some((256, 512)));
    }

    #[test]
    fn a_malformed_option_ends_the_options_and_not_the_segment() {
        let rows: [(&str, &[u8]); 4] = [
            ("length zero", &[2, 4, 5, 0xb4, 8, 0, 1, 1]),
            ("length one", &[2, 4, 5, 0xb4, 8, 1, 1, 1]),
            ("longer than the header", &[2, 4, 5, 0xb4, 8, 40, 0, 0]),
            ("no length", &[2, 4, 5, 0xb4, 1, 1, 1, 8]),
        ];
        for (name, bytes) in rows {
            let (options, payload) = options_of(bytes);
            let expected = TcpOptions { mss: Some(1_460), any: true, ..TcpOptions::default() };
            assert_eq!((options, payload), (expected, PAYLOAD.len()), "{name}");
        }
    }

    #[test]
    fn a_header_length_below_five_words_or_beyond_the_packet_is_undecodable() {
        for offset in [0x40, 0xf0] {
            let mut segment = tcp(&[], PAYLOAD);
            segment[12] = offset;
            with(LinkType::RAW, &ipv4(6, &segment), |packet| assert!(matches!(packet, Packet::Undecodable)));
        }
    }

    #[test]
    fn a_capture_that_ends_within_the_tcp_header_still_gives_the_segment() {
        let packet = ipv4(6, &tcp(&TIMESTAMPS, PAYLOAD));
        for cut in [36, 40, 45, 52] {
            let mut frame = frame(LinkType::RAW, &packet[..cut]);
            frame.wire_len = u32::try_from(packet.len()).unwrap();
            let mut decoder = decoder();
            let Packet::Segment(segment) = decoder.decode(&frame) else { panic!("cut at {cut}") };
            assert_eq!((segment.seq, segment.payload.len()), (7, 0));
            assert_eq!(segment.payload_wire_len as usize, PAYLOAD.len());
            assert!(segment.options.any);
        }
    }

    #[test]
    fn a_datagram_ends_where_its_length_says() {
        let rows = [(12, &b"abcd"[..]), (0, b"abcdefgh"), (99, b"abcdefgh"), (8, b"")];
        for (len, expected) in rows {
            let mut datagram = udp(5_000, 53, b"abcdefgh");
            datagram[5] = len;
            with(LinkType::RAW, &ipv4(17, &datagram), |packet| match packet {
                Packet::Datagram(datagram) => assert_eq!(datagram.payload, expected, "length {len}"),
                other => panic!("length {len}: {other:?}"),
            });
        }
        let mut datagram = udp(5_000, 53, b"abcdefgh");
        datagram[5] = 7;
        with(LinkType::RAW, &ipv4(17, &datagram), |packet| assert!(matches!(packet, Packet::Undecodable)));
    }
}
