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
            && let Some(inner) = self.inside_udp(src_port, dst_port, rest)
        {
            return inner;
        }
        Packet::Datagram(Datagram { hop, src_port, dst_port, payload: rest.bytes })
    }
}

/// The options that causes read (RFC 9293 section 3.1). Reading stops at the first malformed one.
#[inline]
fn read_options(bytes: &[u8]) -> TcpOptions {
    // Nearly every segment of a connection that uses timestamps looks like this (RFC 7323 appendix A).
    if let Some(&[1, 1, 8, 10, v0, v1, v2, v3, e0, e1, e2, e3]) = bytes.as_array() {
        let value = u32::from_be_bytes([v0, v1, v2, v3]);
        let echo = u32::from_be_bytes([e0, e1, e2, e3]);
        return TcpOptions { timestamp: Some((value, echo)), ..TcpOptions::default() };
    }
    if bytes.is_empty() { TcpOptions::default() } else { read_any_options(bytes) }
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
