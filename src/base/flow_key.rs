//! Who talks to whom.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address in sixteen bytes; IPv4 is kept mapped (`::ffff:a.b.c.d`), which is
/// cheap to copy, compare and hash on the path of every packet. Aligned as two words: as one number, which asks for 16 bytes,
/// it made an end of 18 bytes take 32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(Rust, packed(8))]
pub struct Addr(pub u128);

impl Addr {
    /// From the four bytes of an IPv4 header.
    pub const fn v4(bytes: [u8; 4]) -> Self {
        Self(0xffff_0000_0000 | u32::from_be_bytes(bytes) as u128)
    }

    /// From the sixteen bytes of an IPv6 header.
    pub const fn v6(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Whether this is an IPv4 address.
    pub const fn is_v4(self) -> bool {
        self.0 >> 32 == 0xffff
    }

    /// As the standard library writes it.
    pub fn ip(self) -> IpAddr {
        let v6 = Ipv6Addr::from(self.0);
        match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(v6),
        }
    }

    /// Private, loopback, link-local, unique-local or carrier-grade NAT space (RFC 1918, 6598,
    /// 4193): an address that address translation may stand in front of.
    pub fn is_private(self) -> bool {
        match self.ip() {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                v4.is_private() || v4.is_loopback() || v4.is_link_local() || (a == 100 && b & 0xc0 == 64)
            }
            IpAddr::V6(v6) => v6.is_loopback() || v6.segments()[0] & 0xfe00 == 0xfc00,
        }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(v4: Ipv4Addr) -> Self {
        Self::v4(v4.octets())
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

/// An address and a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub addr: Addr,
    /// The TCP or UDP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addr.ip() {
            IpAddr::V4(v4) => write!(f, "{v4}:{}", self.port),
            IpAddr::V6(v6) => write!(f, "[{v6}]:{}", self.port),
        }
    }
}

/// The two ends of a TCP connection, the same whichever sent the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// The smaller end.
    pub low: Endpoint,
    /// The greater end.
    pub high: Endpoint,
}

/// A [`FlowKey`] in 36 bytes, as a table of very many keeps it.
#[derive(Clone, Copy, Debug, Eq)]
pub struct PackedKey([u32; 9]);

impl PartialEq for PackedKey {
    /// All words at once: they are nearly always the same, and a call to compare memory costs more.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |differ, (&one, other)| differ | (one ^ other)) == 0
    }
}

impl From<FlowKey> for PackedKey {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "each word takes its 32 bits")]
    fn from(FlowKey { low, high }: FlowKey) -> Self {
        let [a, b, c, d] = [96, 64, 32, 0].map(|shift| (low.addr.0 >> shift) as u32);
        let [e, f, g, h] = [96, 64, 32, 0].map(|shift| (high.addr.0 >> shift) as u32);
        Self([a, b, c, d, e, f, g, h, u32::from(low.port) << 16 | u32::from(high.port)])
    }
}

impl PackedKey {
    /// The key of a packet between two IPv4 ends and the direction it took, as [`FlowKey::of`] gives them. Each end is an
    /// address in front of a port, in 48 bits.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "each word takes its bits")]
    pub fn of_v4(src: u64, dst: u64) -> (Self, Direction) {
        let (low, high) = (src.min(dst), src.max(dst));
        let ports = (low as u32) << 16 | (high as u32 & 0xffff);
        let direction = if src <= dst { Direction::LowToHigh } else { Direction::HighToLow };
        (Self([0, 0, 0xffff, (low >> 16) as u32, 0, 0, 0xffff, (high >> 16) as u32, ports]), direction)
    }

    /// A hash that nobody foresees who does not know the two numbers: multiplied to twice the length and folded, as foldhash
    /// does, but without its state, through which each word would go.
    #[inline]
    pub fn hash(&self, secret: [u64; 2]) -> u64 {
        let [a, b, c, d, e, f, g, h, ports] = self.0.map(u64::from);
        let [first, second] = secret;
        let mut hash = first ^ ports;
        // Of IPv4 addresses nothing else differs. Comparing arrays would be a call.
        if a | b | (c ^ 0xffff) | e | f | (g ^ 0xffff) != 0 {
            hash = folded(hash ^ (a << 32 | b), second ^ (c << 32 | g));
            hash = folded(hash ^ (e << 32 | f), second);
        }
        folded(hash, second ^ (d << 32 | h))
    }

    /// The last words of both addresses and the ports, and whether nothing else differs: both addresses are IPv4.
    #[inline(always)]
    pub fn near(&self) -> ([u32; 3], bool) {
        let [a, b, c, d, e, f, g, h, ports] = self.0;
        ([d, h, ports], a | b | (c ^ 0xffff) | e | f | (g ^ 0xffff) == 0)
    }

    /// The key of two IPv4 ends, from what [`Self::near`] gives.
    pub const fn of_near([low, high, ports]: [u32; 3]) -> Self {
        Self([0, 0, 0xffff, low, 0, 0, 0xffff, high, ports])
    }

    /// The words of the lower address, those of the higher one, and the ports in the same order.
    pub fn words(&self) -> [u32; 9] {
        self.0
    }

    /// The same as addresses and ports.
    #[expect(clippy::cast_possible_truncation, reason = "each port takes its 16 bits")]
    pub fn unpack(&self) -> FlowKey {
        let [a, b, c, d, e, f, g, h, ports] = self.0;
        let addr = |words: [u32; 4]| Addr(words.iter().fold(0, |addr, &word| addr << 32 | u128::from(word)));
        FlowKey {
            low: Endpoint { addr: addr([a, b, c, d]), port: (ports >> 16) as u16 },
            high: Endpoint { addr: addr([e, f, g, h]), port: ports as u16 },
        }
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
fn folded(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

/// Which end of a [`FlowKey`] sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From `low` to `high`.
    LowToHigh,
    /// From `high` to `low`.
    HighToLow,
}

impl Direction {
    /// The way back.
    pub const fn opposite(self) -> Self {
        match self {
            Self::LowToHigh => Self::HighToLow,
            Self::HighToLow => Self::LowToHigh,
        }
    }
}

impl FlowKey {
    /// The key of a packet and the direction it took.
    pub fn of(src: Endpoint, dst: Endpoint) -> (Self, Direction) {
        if src <= dst {
            (Self { low: src, high: dst }, Direction::LowToHigh)
        } else {
            (Self { low: dst, high: src }, Direction::HighToLow)
        }
    }
}

/// A TLS role: the client is who sent the SYN or the ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Who asked.
    Client,
    /// Who was asked.
    Server,
}

impl Side {
    /// The peer.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// `client` or `server`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One value for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerSide<T> {
    /// The client's.
    pub client: T,
    /// The server's.
    pub server: T,
}

impl<T> PerSide<T> {
    /// The value of one side.
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// The value of one side, to change.
    pub fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_share_one_key() {
        let a = Endpoint { addr: Addr::v4([192, 0, 2, 1]), port: 40_000 };
        let b = Endpoint { addr: Addr::v4([192, 0, 2, 9]), port: 443 };
        assert_eq!(FlowKey::of(a, b).0, FlowKey::of(b, a).0);
        assert_ne!(FlowKey::of(a, b).1, FlowKey::of(b, a).1);
    }

    #[test]
    fn a_packed_key_unpacks_to_itself() {
        let low = Endpoint { addr: Addr::v6([0x20; 16]), port: 443 };
        let high = Endpoint { addr: Addr::v6([0xfe; 16]), port: 65_535 };
        let key = FlowKey { low, high };
        assert_eq!(PackedKey::from(key).unpack(), key);
    }

    #[test]
    fn two_ipv4_ends_have_the_same_key_by_the_short_way() {
        let ends =
            [([192, 0, 2, 1], 40_000), ([192, 0, 2, 9], 443), ([192, 0, 2, 9], 80), ([255; 4], 65_535)];
        for ((from, from_port), (to, to_port)) in ends.iter().flat_map(|from| ends.map(|to| (*from, to))) {
            let end = |addr, port| Endpoint { addr: Addr::v4(addr), port };
            let packed = |addr, port: u16| u64::from(u32::from_be_bytes(addr)) << 16 | u64::from(port);
            let (key, direction) = FlowKey::of(end(from, from_port), end(to, to_port));
            let short = PackedKey::of_v4(packed(from, from_port), packed(to, to_port));
            assert_eq!(short, (PackedKey::from(key), direction));
        }
    }

    #[test]
    fn an_ipv4_address_comes_back_as_itself() {
        let addr = Addr::v4([198, 51, 100, 7]);
        assert!(addr.is_v4());
        assert_eq!(addr.to_string(), "198.51.100.7");
        assert!(!Addr::v6([0x20; 16]).is_v4());
    }
}
