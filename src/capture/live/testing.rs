//! Frames for tests of the kernel's programs.

use proptest::prelude::*;

use crate::base::{Addr, Endpoint, FlowKey};
use crate::decode::TcpFlags;

/// What the filter with a map takes for the beginning of something.
pub fn tells(flags: u8, payload: &[u8]) -> bool {
    let hello = matches!(payload, [22, 1 | 3, _, _, _, 1 | 2, ..]);
    let http = [&b"GET "[..], b"POST"].iter().any(|request| payload.starts_with(request));
    flags & TcpFlags::SYN != 0 || hello || http
}

/// A segment in a frame, behind as many tags.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Who sends.
    pub src: Endpoint,
    /// To whom.
    pub dst: Endpoint,
    /// As in the TCP header.
    pub flags: u8,
    /// VLAN tags.
    pub tags: usize,
    /// The word of flags and offset in an IPv4 header.
    pub fragment: u16,
    /// Words of TCP options.
    pub options: usize,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Sent {
    /// The same the other way.
    pub fn back(&self) -> Self {
        Self { src: self.dst, dst: self.src, ..self.clone() }
    }

    /// Its connection.
    pub fn key(&self) -> FlowKey {
        FlowKey::of(self.src, self.dst).0
    }

    /// Whether it may begin something, as the filter with a map says.
    pub fn tells(&self) -> bool {
        tells(self.flags, &self.payload)
    }

    /// As it is captured.
    pub fn frame(&self) -> Vec<u8> {
        let ports = [self.src.port.to_be_bytes(), self.dst.port.to_be_bytes()].concat();
        let offset = (5 + self.options as u8) << 4;
        let rest = [0, 0, 0, 7, 0, 0, 0, 9, offset, self.flags, 1, 0, 0, 0, 0, 0];
        let tcp = [&ports[..], &rest, &vec![1; 4 * self.options], &self.payload].concat();
        let v4 = self.src.addr.is_v4();
        let addr = |end: Endpoint| {
            if v4 { end.addr.0.to_be_bytes()[12..].to_vec() } else { end.addr.0.to_be_bytes().to_vec() }
        };
        let len = u16::try_from(tcp.len()).unwrap();
        let head = match v4 {
            true => {
                let ([l0, l1], [f0, f1]) = ((20 + len).to_be_bytes(), self.fragment.to_be_bytes());
                vec![0x45, 0, l0, l1, 0, 7, f0, f1, 64, 6, 0, 0]
            }
            false => vec![0x60, 0, 0, 0, len.to_be_bytes()[0], len.to_be_bytes()[1], 6, 64],
        };
        let kind: u16 = if v4 { 0x0800 } else { 0x86dd };
        let tags = [0x81, 0, 0, 5].repeat(self.tags);
        [&[2; 12][..], &tags, &kind.to_be_bytes(), &head, &addr(self.src), &addr(self.dst), &tcp].concat()
    }
}

/// Two ends of a connection, either of which may have sent.
pub fn ends() -> impl Strategy<Value = (Endpoint, Endpoint)> {
    // Few, so that connections share what they can share.
    let v4 = (1_u8..5, 1_u8..5).prop_map(|(a, b)| (Addr::v4([10, 0, 0, a]), Addr::v4([10, 0, b, 9])));
    let v6 = (1_u8..4, 0_u8..3, 1_u8..4).prop_map(|(a, b, c)| {
        let mut low = [0x20; 16];
        (low[3], low[9], low[15]) = (b, 2 - b, a);
        let mut high = [0x20; 16];
        (high[5], high[15]) = (b, c * 16);
        (Addr::v6(low), Addr::v6(high))
    });
    (prop_oneof![v4, v6], 1_000_u16..1_004, prop_oneof![Just(443_u16), Just(1_003)], any::<bool>()).prop_map(
        |((a, b), p, q, turned)| {
            let (one, other) = (Endpoint { addr: a, port: p }, Endpoint { addr: b, port: q });
            if turned { (other, one) } else { (one, other) }
        },
    )
}
