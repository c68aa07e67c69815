//! The packets of a datagram and what their headers say in clear (RFC 9000 section 17, RFC 8999).

use super::{QuicVersion, varint};

/// A connection ID, at most [`Cid::MOST`] bytes (RFC 9000 section 17.2).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Cid {
    len: u8,
    bytes: [u8; Self::MOST],
}

impl Cid {
    /// Bytes that one has at most.
    pub const MOST: usize = 20;

    /// `None`: too long.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut cid = Self { len: u8::try_from(bytes.len()).ok()?, bytes: [0; Self::MOST] };
        cid.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(cid)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Its owner tells connections by address and port alone.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl std::fmt::Debug for Cid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Kinds of packets with a long header whose payload is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Carries ClientHello and ServerHello.
    Initial,
    /// Early data.
    ZeroRtt,
    /// Carries the rest of the handshake.
    Handshake,
}

/// A packet with a long header and a protected payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its version.
    pub version: QuicVersion,
    /// Destination.
    pub to: Cid,
    /// Source.
    pub from: Cid,
    /// The token of an Initial packet (RFC 9000 section 17.2.2): a Retry's, or one of an earlier connection.
    pub token: &'a [u8],
    /// All of it, header first, as far as it was captured.
    pub bytes: &'a [u8],
    /// Where its packet number begins.
    pub number_at: usize,
    /// The capture has all of it.
    pub whole: bool,
}

/// One packet of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Initial, 0-RTT or Handshake.
    Long(Long<'a>),
    /// The server wants the client's address confirmed (RFC 9000 section 17.2.5).
    Retry {
        /// Its version.
        version: QuicVersion,
        /// Destination: the client's.
        to: Cid,
        /// What the client's next Initial packet is to be sent to.
        from: Cid,
    },
    /// The server speaks none of the client's version (RFC 8999 section 6).
    Negotiation {
        /// Destination: the client's.
        to: Cid,
        /// Source: what the client's packet was sent to.
        from: Cid,
        /// What it speaks, sixteen at most.
        versions: Vec<QuicVersion>,
    },
    /// A long header of a version whose further layout is not known.
    Unknown(QuicVersion),
    /// A packet with a short header: 1-RTT. It ends its datagram.
    Short(&'a [u8]),
}

/// The packets of a datagram, in order (RFC 9000 section 12.2). Ends at padding and at what is no packet.
pub fn packets(datagram: &[u8]) -> Packets<'_> {
    Packets { rest: datagram }
}

/// See [`packets`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

/// A connection ID behind its length.
fn cid(bytes: &[u8]) -> Option<(Cid, &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    let (own, rest) = rest.split_at_checked(len.into())?;
    Some((Cid::new(own)?, rest))
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let datagram = std::mem::take(&mut self.rest);
        let &first = datagram.first()?;
        if first & 0x80 == 0 {
            // Zeros behind the last packet are padding, as some stacks put it. Without the fixed bit it may be greased
            // (RFC 9287), which nobody does before the handshake is done.
            return (first & 0x40 != 0).then_some(Packet::Short(datagram));
        }
        let (version, ids) = datagram.get(1..)?.split_first_chunk()?;
        let version = QuicVersion(u32::from_be_bytes(*version));
        let known = version == QuicVersion::NEGOTIATION || version.salt().is_some();
        if !known {
            return Some(Packet::Unknown(version));
        }
        let (to, rest) = cid(ids)?;
        let (from, rest) = cid(rest)?;
        if version == QuicVersion::NEGOTIATION {
            let versions = rest.as_chunks().0.iter().map(|four| QuicVersion(u32::from_be_bytes(*four)));
            return Some(Packet::Negotiation { to, from, versions: versions.take(16).collect() });
        }
        let number = (first >> 4 & 3).wrapping_sub(u8::from(version.has_types_of_v2())) & 3;
        let kind = match number {
            0 => Kind::Initial,
            1 => Kind::ZeroRtt,
            2 => Kind::Handshake,
            _ => return Some(Packet::Retry { version, to, from }),
        };
        let (token, rest) = if kind == Kind::Initial {
            let (len, rest) = varint(rest)?;
            rest.split_at_checked(usize::try_from(len).ok()?)?
        } else {
            (&[][..], rest)
        };
        let (len, rest) = varint(rest)?;
        let number_at = datagram.len() - rest.len();
        let end = usize::try_from(len).ok().and_then(|len| number_at.checked_add(len))?;
        let (bytes, whole) = match datagram.split_at_checked(end) {
            Some((bytes, rest)) => {
                self.rest = rest;
                (bytes, true)
            }
            None => (datagram, false),
        };
        Some(Packet::Long(Long { kind, version, to, from, token, bytes, number_at, whole }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(first: u8, version: u32, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        bytes.extend(version.to_be_bytes());
        bytes.extend([2, 0xaa, 0xbb, 1, 0xcc]);
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn packets_that_share_a_datagram_are_told_apart() {
        let mut datagram = long(0xc0, 1, &[1, 0x77, 3, 9, 9, 9]);
        datagram.extend(long(0xe0, 1, &[2, 8, 8]));
        datagram.extend([0x41, 1, 2, 3]);
        let all: Vec<_> = packets(&datagram).collect();
        let [Packet::Long(initial), Packet::Long(handshake), Packet::Short(short)] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!((initial.kind, initial.token, initial.whole), (Kind::Initial, &[0x77][..], true));
        assert_eq!((initial.to.bytes(), initial.from.bytes()), (&[0xaa, 0xbb][..], &[0xcc][..]));
        assert_eq!(initial.bytes[initial.number_at..], [9, 9, 9]);
        assert_eq!((handshake.kind, &handshake.bytes[handshake.number_at..]), (Kind::Handshake, &[8, 8][..]));
        assert_eq!(short.len(), 4);
    }

    #[test]
    fn version_2_numbers_its_types_otherwise() {
        // RFC 9369 section 3.2
        let kinds = [0xd0, 0xe0, 0xf0].map(|first| {
            let datagram = long(first, 0x6b33_43cf, if first == 0xd0 { &[0, 0] } else { &[0] });
            match packets(&datagram).next() {
                Some(Packet::Long(long)) => long.kind,
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(kinds, [Kind::Initial, Kind::ZeroRtt, Kind::Handshake]);
        let retry = long(0xc0, 0x6b33_43cf, &[1; 20]);
        assert!(matches!(packets(&retry).next(), Some(Packet::Retry { .. })));
    }

    #[test]
    fn a_list_of_versions_is_read_and_bounded() {
        let mut datagram = long(0x80, 0, &[]);
        (1..=40_u32).for_each(|n| datagram.extend(n.to_be_bytes()));
        let Some(Packet::Negotiation { versions, .. }) = packets(&datagram).next() else { panic!() };
        assert_eq!((versions.len(), versions[0]), (16, QuicVersion::V1));
    }

    #[test]
    fn what_the_capture_cut_is_told_and_nothing_follows_it() {
        let datagram = long(0xc0, 1, &[0, 0x44, 0x00, 1, 2]);
        let all: Vec<_> = packets(&datagram).collect();
        assert!(matches!(&all[..], [Packet::Long(long)] if !long.whole));
    }

    #[test]
    fn padding_and_junk_end_a_datagram() {
        let mut datagram = long(0xe0, 1, &[1, 8]);
        datagram.extend([0; 30]);
        assert_eq!(packets(&datagram).count(), 1);
        let full = long(0xc0, 1, &[1, 0x77, 3, 9, 9, 9]);
        for end in 0..full.len() {
            let _ = packets(&full[..end]).count();
        }
        let mut too_long = vec![0xc0, 0, 0, 0, 1, 21];
        too_long.resize(100, 0);
        assert_eq!(packets(&too_long).count(), 0, "RFC 9000 section 17.2: 20 bytes at most");
        assert_eq!(
            packets(&long(0xc0, 0x5130_3436, &[1])).next(),
            Some(Packet::Unknown(QuicVersion(0x5130_3436)))
        );
    }
}
