//! QUIC (RFC 9000, RFC 9001, RFC 9369) as far as a handshake in it shows: the packets of a datagram, their protection, their
//! frames, and the bytes of CRYPTO frames put in order.
//!
//! Everyone who sees a client's first packet can open Initial packets (RFC 9001 section 5.2): ClientHello, ServerHello and
//! a CONNECTION_CLOSE in them are as good as in clear. Handshake packets need a key log. 1-RTT packets are never opened.

pub mod crypto;
pub mod frames;
pub mod header;
pub mod protection;
#[cfg(test)]
pub mod samples;
mod version;

pub use version::QuicVersion;

/// A variable-length integer (RFC 9000 section 16), and what stands behind it. `None`: it ends early.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let first = *bytes.first()?;
    let (own, rest) = bytes.split_at_checked(1 << (first >> 6))?;
    let rest_of_own = own.get(1..)?;
    let value = rest_of_own.iter().fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte));
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_the_lengths_that_their_first_bits_say() {
        // RFC 9000 appendix A.1
        let cases: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, value) in cases {
            assert_eq!(varint(bytes), Some((value, &[][..])));
            assert_eq!(varint(&bytes[..bytes.len() - 1]), None);
        }
    }
}
