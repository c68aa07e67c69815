//! Names of an attempt: our own, and the Community ID that other tools give the same flow.

use crate::base::{Addr, Endpoint};
use crate::evidence::{Evidence, Stage};
use aws_lc_rs::digest;
use std::fmt;

/// Name of one attempt, sixteen hexadecimal digits. The same packets give the same name, whatever the file's name, the
/// order of files or the number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);

impl Id {
    /// The fewest digits that [`Id::matches`] accepts: shorter ones name too many attempts.
    pub const FEWEST_DIGITS: usize = 4;

    /// The name of an attempt: FNV-1a (64 bit, draft-eastlake-fnv) over, in this order, the first packet's stamp, the client's
    /// and the server's address and port, the client's initial sequence number and the ClientHello's random (each
    /// behind a byte that says whether it is known) and the name of a failed lookup; then MurmurHash3's finalizer,
    /// so that a prefix is as good as any.
    pub fn of(evidence: &Evidence) -> Self {
        let mut hash = Fnv::default();
        hash.add(&evidence.started.0.to_be_bytes());
        for end in [evidence.client, evidence.server] {
            hash.add(&end.addr.0.to_be_bytes());
            hash.add(&end.port.to_be_bytes());
        }
        match &evidence.tcp.syn {
            Some(syn) => hash.add(&[1]).add(&syn.value.to_be_bytes()),
            None => hash.add(&[0]),
        };
        match &evidence.hello {
            Some(hello) => hash.add(&[1]).add(&hello.value.random),
            None => hash.add(&[0]),
        };
        if evidence.stage == Stage::Dns {
            hash.add(asked_name(evidence).unwrap_or_default().as_bytes());
        }
        Self(hash.finish())
    }

    /// The first eight digits, as the table of failures shows them.
    pub fn short(self) -> String {
        format!("{:08x}", self.0 >> 32)
    }

    /// Whether `typed` is this name or its beginning (at least four digits, case ignored).
    pub fn matches(self, typed: &str) -> bool {
        typed.len() >= Self::FEWEST_DIGITS && self.to_string().starts_with(&typed.to_ascii_lowercase())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The name that the client wanted to reach: the SNI, or for a lookup that failed the name asked.
pub fn asked_name(evidence: &Evidence) -> Option<&str> {
    // Before a hello the proxy was told the name.
    let proxied = || evidence.host().map(|host| &**host).filter(|_| evidence.hello.is_none());
    evidence.sni().or_else(proxied).or_else(|| match evidence.stage {
        Stage::Dns => {
            let answered = evidence.around.answers.first().map(|answer| answer.value.name.as_str());
            answered.or_else(|| evidence.around.unanswered.as_ref().map(|asked| asked.value.name.as_str()))
        }
        _ => None,
    })
}

struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) -> &mut Self {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self
    }

    fn finish(&self) -> u64 {
        let mut hash = self.0;
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    }
}

/// Community ID version 1 with seed 0, as Zeek, Suricata and Wireshark write it: `1:` and the base64 of SHA-1 over seed,
/// the smaller end's address, the greater end's, the IP protocol, a zero byte and the two ports. ASCII.
pub fn community_id(a: Endpoint, b: Endpoint, protocol: u8) -> [u8; 30] {
    // Mapped IPv4 addresses order as IPv4 ones do; the ports decide where the addresses are the same.
    let (low, high) = if (a.addr, a.port) <= (b.addr, b.port) { (a, b) } else { (b, a) };
    const MOST: usize = 2 + 16 + 16 + 6;
    let mut input = [0; MOST];
    let used = {
        let mut room = &mut input[..];
        add(&[0, 0], &mut room);
        add_addr(low.addr, &mut room);
        add_addr(high.addr, &mut room);
        add(&[protocol, 0], &mut room);
        add(&low.port.to_be_bytes(), &mut room);
        add(&high.port.to_be_bytes(), &mut room);
        MOST - room.len()
    };
    let sum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, input.get(..used).unwrap_or_default());
    let mut text = *b"1:                            ";
    for (room, chunk) in text.split_at_mut(2).1.chunks_exact_mut(4).zip(sum.as_ref().chunks(3)) {
        room.copy_from_slice(&base64(chunk));
    }
    text
}

/// Copies bytes to the beginning of the room, which they leave.
fn add(bytes: &[u8], room: &mut &mut [u8]) {
    if let Some((head, rest)) = std::mem::take(room).split_at_mut_checked(bytes.len()) {
        head.copy_from_slice(bytes);
        *room = rest;
    }
}

fn add_addr(addr: Addr, room: &mut &mut [u8]) {
    let bytes = addr.0.to_be_bytes();
    match bytes.last_chunk::<4>() {
        Some(v4) if addr.is_v4() => add(v4, room),
        _ => add(&bytes, room),
    }
}

/// RFC 4648 section 4, of one to three bytes, padded.
#[inline]
fn base64(bytes: &[u8]) -> [u8; 4] {
    match *bytes {
        [a, b, c] => digits([0, a, b, c]),
        [a, b] => with_pads(digits([0, a, b, 0]), 1),
        [a] => with_pads(digits([0, a, 0, 0]), 2),
        _ => [b'='; 4],
    }
}

#[inline]
fn digits(group: [u8; 4]) -> [u8; 4] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = u32::from_be_bytes(group);
    let digit = |shift: u32| DIGITS.get((group >> shift & 63) as usize).copied().unwrap_or(b'=');
    [digit(18), digit(12), digit(6), digit(0)]
}

fn with_pads([a, b, c, _]: [u8; 4], pads: usize) -> [u8; 4] {
    [a, b, if pads > 1 { b'=' } else { c }, b'=']
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use std::net::IpAddr;

    fn end(ip: &str, port: u16) -> Endpoint {
        Endpoint { addr: ip.parse::<IpAddr>().unwrap().into(), port }
    }

    #[test]
    fn community_ids_are_those_of_the_specification() {
        // github.com/corelight/community-id-spec, baseline, seed 0.
        let cases = [
            ("128.232.110.120", 34855, "66.35.250.204", 80, 6, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            ("66.35.250.204", 80, "128.232.110.120", 34855, 6, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            ("192.168.1.52", 54585, "8.8.8.8", 53, 17, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
        ];
        for (a, a_port, b, b_port, protocol, id) in cases {
            assert_eq!(str::from_utf8(&community_id(end(a, a_port), end(b, b_port), protocol)).unwrap(), id);
        }
    }

    #[test]
    fn base64_pads_every_rest() {
        for (bytes, text) in
            [(&b"f"[..], b"Zg=="), (b"fo", b"Zm8="), (b"foo", b"Zm9v"), (b"\xff\xff", b"//8=")]
        {
            assert_eq!(&base64(bytes), text);
        }
    }

    #[test]
    fn a_name_depends_on_the_packets_alone() {
        let evidence = fixture::expired();
        let mut same = evidence.clone();
        same.first = crate::base::PacketNo(900);
        assert_eq!(Id::of(&evidence), Id::of(&same));
        let mut other = evidence.clone();
        other.client.port += 1;
        assert_ne!(Id::of(&evidence), Id::of(&other));
        other = evidence.clone();
        other.hello.as_mut().unwrap().value.random[31] ^= 1;
        assert_ne!(Id::of(&evidence), Id::of(&other));
    }

    #[test]
    fn a_typed_beginning_finds_its_attempt() {
        let id = Id(0x1c9f_04ab_0000_0001);
        assert_eq!(id.short(), "1c9f04ab");
        assert!(id.matches("1c9f") && id.matches("1C9F04AB") && id.matches("1c9f04ab00000001"));
        assert!(!id.matches("1c9") && !id.matches("1c9e") && !id.matches(""));
    }
}
