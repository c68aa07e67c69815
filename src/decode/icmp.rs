//! ICMP (RFC 792) and ICMPv6 (RFC 4443) errors with the packet they quote.

use super::ip::{extension_len, protocol};
use super::walk::{Rest, Walk};
use super::{Hop, IcmpError, Packet};
use crate::base::{Addr, Endpoint};

/// Extension headers of a quoted packet before reading stops.
const MOST_EXTENSIONS: usize = 8;

impl<'a> Walk<'a> {
    /// Destination unreachable, time exceeded and parameter problem; the rest is `Other`.
    #[inline(never)]
    pub fn icmp(&mut self, hop: Hop, rest: Rest<'a>) -> Packet<'a> {
        let Some((&[kind, code, _, _, _, _, m0, m1], quote)) = rest.take::<8>() else {
            return Packet::Undecodable;
        };
        let mtu = match (kind, code) {
            // RFC 1191 section 4; zero comes from routers older than it.
            (3, 4) => Some(u32::from(u16::from_be_bytes([m0, m1]))).filter(|&mtu| mtu != 0),
            (3 | 11 | 12, _) => None,
            _ => return Packet::Other,
        };
        error(hop, false, kind, code, mtu, quote.bytes)
    }

    /// Destination unreachable, packet too big, time exceeded and parameter problem; the rest is `Other`.
    #[inline(never)]
    pub fn icmpv6(&mut self, hop: Hop, rest: Rest<'a>) -> Packet<'a> {
        let Some((&[kind, code, _, _, m0, m1, m2, m3], quote)) = rest.take::<8>() else {
            return Packet::Undecodable;
        };
        match kind {
            1 | 3 | 4 => error(hop, true, kind, code, None, quote.bytes),
            2 => error(hop, true, kind, code, Some(u32::from_be_bytes([m0, m1, m2, m3])), quote.bytes),
            _ => Packet::Other,
        }
    }
}

fn error<'a>(hop: Hop, v6: bool, kind: u8, code: u8, mtu: Option<u32>, quote: &[u8]) -> Packet<'a> {
    let Some(quoted) = Quoted::read(quote) else { return Packet::Undecodable };
    let (src_port, dst_port, seq) = quoted.ports_and_seq();
    Packet::IcmpError(IcmpError {
        hop,
        v6,
        kind,
        code,
        mtu,
        quoted_src: Endpoint { addr: quoted.src, port: src_port },
        quoted_dst: Endpoint { addr: quoted.dst, port: dst_port },
        quoted_protocol: quoted.protocol,
        quoted_seq: seq,
    })
}

/// The start of a packet inside an error. Its lengths are not trusted: it is always cut, and some
/// stacks quote what they have already changed.
struct Quoted<'a> {
    src: Addr,
    dst: Addr,
    protocol: u8,
    /// Empty for a fragment other than the first: no ports there.
    transport: &'a [u8],
}

impl<'a> Quoted<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => {
                let &[first, _, _, _, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
                    bytes.first_chunk()?;
                let header = usize::from(first & 0x0f) * 4;
                let is_first = u16::from_be_bytes([f0, f1]) & 0x1fff == 0;
                let transport = bytes.get(header.max(20)..).filter(|_| is_first).unwrap_or_default();
                let (src, dst) = (Addr::v4([s0, s1, s2, s3]), Addr::v4([d0, d1, d2, d3]));
                Some(Self { src, dst, protocol, transport })
            }
            6 => {
                let (&[_, _, _, _, _, _, next, _], behind) = bytes.split_first_chunk::<8>()?;
                let (&src, behind) = behind.split_first_chunk::<16>()?;
                let (&dst, behind) = behind.split_first_chunk::<16>()?;
                let (protocol, transport) = behind_extensions(next, behind);
                Some(Self { src: Addr::v6(src), dst: Addr::v6(dst), protocol, transport })
            }
            _ => None,
        }
    }

    /// Zero and `None` where the quote does not reach that far.
    fn ports_and_seq(&self) -> (u16, u16, Option<u32>) {
        if !matches!(self.protocol, protocol::TCP | protocol::UDP) {
            return (0, 0, None);
        }
        let Some((&[p0, p1, q0, q1], behind)) = self.transport.split_first_chunk() else {
            return (0, 0, None);
        };
        let seq = behind.first_chunk().filter(|_| self.protocol == protocol::TCP);
        (u16::from_be_bytes([p0, p1]), u16::from_be_bytes([q0, q1]), seq.map(|&seq| u32::from_be_bytes(seq)))
    }
}

/// Protocol and start of what follows the extension headers, as far as the quote goes.
fn behind_extensions(mut protocol: u8, mut bytes: &[u8]) -> (u8, &[u8]) {
    for _ in 0..MOST_EXTENSIONS {
        if protocol == protocol::FRAGMENT
            && let Some((&[next, _, o0, o1, ..], behind)) = bytes.split_first_chunk::<8>()
        {
            protocol = next;
            bytes = if u16::from_be_bytes([o0, o1]) & 0xfff8 == 0 { behind } else { &[] };
        } else if let Some(len) = extension_len(protocol, true, bytes)
            && let (Some(&next), Some(behind)) = (bytes.first(), bytes.get(len..))
        {
            (protocol, bytes) = (next, behind);
        } else {
            break;
        }
    }
    (protocol, bytes)
}

#[cfg(test)]
mod tests {
    use super::super::LinkType;
    use super::super::build::*;
    use super::*;

    fn icmp(kind: u8, code: u8, rest: [u8; 4], quote: &[u8]) -> Option<IcmpError> {
        let packet = ipv4(1, &join(&[&[kind, code, 0, 0], &rest, quote]));
        with(LinkType::RAW, &packet, |packet| match packet {
            Packet::IcmpError(error) => Some(error),
            _ => None,
        })
    }

    fn icmpv6(kind: u8, code: u8, rest: [u8; 4], quote: &[u8]) -> Option<IcmpError> {
        let packet = ipv6(58, &join(&[&[kind, code, 0, 0], &rest, quote]));
        with(LinkType::RAW, &packet, |packet| match packet {
            Packet::IcmpError(error) => Some(error),
            _ => None,
        })
    }

    #[test]
    fn an_error_names_the_connection_it_is_about() {
        let error = icmp(3, 13, [0; 4], &inner4()).unwrap();
        assert_eq!((error.v6, error.kind, error.code, error.mtu), (false, 3, 13, None));
        assert_eq!(error.quoted_src, Endpoint { addr: Addr::v4(SRC4), port: 40_000 });
        assert_eq!(error.quoted_dst, Endpoint { addr: Addr::v4(DST4), port: 443 });
        assert_eq!((error.quoted_protocol, error.quoted_seq), (6, Some(7)));
        let error = icmpv6(1, 1, [0; 4], &inner6()).unwrap();
        assert_eq!((error.v6, error.kind, error.code, error.mtu), (true, 1, 1, None));
        assert_eq!(error.quoted_src, Endpoint { addr: Addr::v6(SRC6), port: 40_000 });
        assert_eq!(error.quoted_seq, Some(7));
    }

    #[test]
    fn eight_quoted_bytes_of_tcp_suffice() {
        let error = icmp(11, 0, [0; 4], &inner4()[..28]).unwrap();
        assert_eq!((error.quoted_dst.port, error.quoted_seq), (443, Some(7)));
    }

    #[test]
    fn a_packet_too_big_tells_the_mtu() {
        assert_eq!(icmp(3, 4, [0, 0, 5, 0x78], &inner4()).unwrap().mtu, Some(1_400));
        assert_eq!(icmp(3, 4, [0; 4], &inner4()).unwrap().mtu, None, "an old router");
        assert_eq!(icmp(3, 1, [0, 0, 5, 0x78], &inner4()).unwrap().mtu, None);
        assert_eq!(icmpv6(2, 0, [0, 0, 5, 0], &inner6()).unwrap().mtu, Some(1_280));
    }

    #[test]
    fn other_kinds_are_not_errors() {
        for kind in [0, 5, 8, 9, 13] {
            assert_eq!(icmp(kind, 0, [0; 4], &inner4()), None);
        }
        for kind in [128, 129, 133, 135, 136] {
            assert_eq!(icmpv6(kind, 0, [0; 4], &inner6()), None);
        }
    }

    #[test]
    fn a_quote_behind_extension_headers_is_found() {
        let quote = ipv6(0, &join(&[&[44, 0, 1, 4, 0, 0, 0, 0], &[6, 0, 0, 1, 0, 0, 0, 5], &tcp(&[], &[])]));
        let error = icmpv6(3, 1, [0; 4], &quote).unwrap();
        assert_eq!((error.quoted_protocol, error.quoted_dst.port, error.quoted_seq), (6, 443, Some(7)));
    }

    #[test]
    fn a_quoted_later_fragment_has_no_ports() {
        let error = icmp(11, 1, [0; 4], &ipv4_fragment(5, 1_480, true, &[0xaa; 40])).unwrap();
        assert_eq!((error.quoted_src.port, error.quoted_seq), (0, None));
        assert_eq!(error.quoted_src.addr, Addr::v4(SRC4));
    }

    #[test]
    fn a_quoted_datagram_has_ports_and_no_sequence_number() {
        let error = icmp(3, 3, [0; 4], &ipv4(17, &udp(5_000, 53, b"query"))).unwrap();
        assert_eq!((error.quoted_protocol, error.quoted_dst.port, error.quoted_seq), (17, 53, None));
    }

    #[test]
    fn a_quote_cut_at_any_byte_does_no_harm() {
        for cut in 0..=inner4().len() {
            let error = icmp(3, 1, [0; 4], &inner4()[..cut]);
            assert_eq!(error.is_some(), cut >= 20);
            assert_eq!(error.is_some_and(|error| error.quoted_seq == Some(7)), cut >= 28);
        }
        for cut in 0..=inner6().len() {
            assert_eq!(icmpv6(1, 0, [0; 4], &inner6()[..cut]).is_some(), cut >= 40);
        }
    }
}
