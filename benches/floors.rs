//! What reading a capture costs at the least: two programs that do as little as they can and still look at every
//! packet. They know our own captures only: classic files of this machine's byte order, Ethernet, IPv4.
//!
//! * [`headers`] reads the file in pieces of 1 MiB and touches of each packet the record header (16 bytes), the
//!   Ethernet type, the IP addresses and protocol, and the TCP ports, numbers and flags or UDP ports: 58 of the first
//!   70 bytes, no payload.
//! * [`flows`] does the same, finds the connection in a hash table by addresses, ports and protocol, counts packets and bytes
//!   there (one cache line an entry), and looks at the first five bytes of each TCP payload: whether they are a TLS
//!   record's header. Nothing leaves the table but for a new connection (SYN) of the same addresses and ports.
//!
//! A packet is looked at where it was read; nothing is copied but what a piece cuts in two.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of one read.
const PIECE: usize = 1 << 20;

/// One packet: addresses (lower end first), protocol, TCP flags, bytes of payload and its beginning.
struct Seen<'a> {
    ends: [u64; 2],
    protocol: u8,
    flags: u8,
    numbers: u64,
    from_lower: bool,
    payload: &'a [u8],
}

/// Walks headers. Returns a sum of what was seen.
pub fn headers(path: &Path) -> io::Result<u64> {
    let mut sum = 0_u64;
    walk(path, |frame| {
        if let Some(seen) = look(frame) {
            sum = sum
                .wrapping_add(seen.ends[0] ^ seen.ends[1] ^ seen.numbers)
                .wrapping_add(u64::from(seen.flags) + seen.payload.len() as u64);
        }
    })?;
    Ok(sum)
}

/// Walks headers and keeps connections. Returns how many were seen, and how many records.
pub fn flows(path: &Path) -> io::Result<(u64, u64)> {
    let mut table = Table::new();
    let mut records = 0;
    walk(path, |frame| {
        let Some(seen) = look(frame) else { return };
        let key = [seen.ends[0], seen.ends[1] | u64::from(seen.protocol) << 56];
        const SYN: u8 = 2;
        const ACK: u8 = 16;
        let entry = table.entry(key);
        if seen.flags & (SYN | ACK) == SYN {
            *entry = Entry { key, ..Entry::default() };
        }
        let side = usize::from(seen.from_lower);
        entry.packets[side] += 1;
        entry.bytes[side] += seen.payload.len() as u64;
        if seen.protocol == 6 {
            // RFC 9846 section 5.1: content type, version, length.
            if let [20..=23, 3, 0..=4, high, _, ..] = seen.payload
                && *high <= 0x41
            {
                entry.records += 1;
                records += 1;
            }
        }
    })?;
    Ok((table.seen, records))
}

/// Reads in pieces and lends every frame.
fn walk(path: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = File::open(path)?;
    // What a piece leaves over lies before the next.
    let mut buffer = vec![0; PIECE + (256 << 10)];
    let (mut start, mut end) = (0, 0);
    let mut skip = 24;
    loop {
        buffer.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        let room = (buffer.len() - end).min(PIECE);
        let count = file.read(&mut buffer[end..end + room])?;
        if count == 0 {
            return Ok(());
        }
        end += count;
        let mut rest = &buffer[start..end];
        if skip > 0 {
            rest = rest.get(std::mem::take(&mut skip)..).unwrap_or_default();
        }
        while let Some((header, behind)) = rest.split_first_chunk::<16>() {
            let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
            let Some((frame, next)) = behind.split_at_checked(length) else { break };
            each(frame);
            rest = next;
        }
        start = end - rest.len();
    }
}

#[inline(always)]
fn look(frame: &[u8]) -> Option<Seen<'_>> {
    let (first, _) = frame.split_first_chunk::<34>()?;
    if first[12] != 8 || first[13] != 0 {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([first[16], first[17]]));
    let (protocol, source, target) = (first[23], word(first, 26), word(first, 30));
    let transport = frame.get(14 + usize::from(first[14] & 15) * 4..14 + total)?;
    let (ports, numbers, flags, payload) = match protocol {
        6 => {
            let (tcp, _) = transport.split_first_chunk::<20>()?;
            let numbers =
                u64::from_le_bytes([tcp[4], tcp[5], tcp[6], tcp[7], tcp[8], tcp[9], tcp[10], tcp[11]]);
            (
                [tcp[0], tcp[1], tcp[2], tcp[3]],
                numbers,
                tcp[13],
                transport.get(usize::from(tcp[12] >> 4) * 4..)?,
            )
        }
        17 => {
            let (udp, payload) = transport.split_first_chunk::<8>()?;
            ([udp[0], udp[1], udp[2], udp[3]], 0, 0, payload)
        }
        _ => return None,
    };
    let one = u64::from(source) << 16 | u64::from(u16::from_le_bytes([ports[0], ports[1]]));
    let other = u64::from(target) << 16 | u64::from(u16::from_le_bytes([ports[2], ports[3]]));
    let from_lower = one <= other;
    let ends = if from_lower { [one, other] } else { [other, one] };
    Some(Seen { ends, protocol, flags, numbers, from_lower, payload })
}

fn word(bytes: &[u8; 34], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A connection, one cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Entry {
    key: [u64; 2],
    bytes: [u64; 2],
    packets: [u32; 2],
    records: u32,
}

/// Open addressing: an entry lies at its hash or behind it, with no gap between. Grows at seven eighths.
struct Table {
    entries: Vec<Entry>,
    used: usize,
    seen: u64,
}

impl Table {
    fn new() -> Self {
        Self { entries: vec![Entry::default(); 1 << 12], used: 0, seen: 0 }
    }

    fn hash(key: [u64; 2]) -> usize {
        let folded = |a: u64, b: u64| {
            let wide = u128::from(a) * u128::from(b);
            wide as u64 ^ (wide >> 64) as u64
        };
        let first = folded(key[0] ^ 0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9);
        folded(first ^ key[1], 0x94d0_49bb_1331_11eb) as usize
    }

    /// Where the key is, or the free place where it would be.
    #[inline(always)]
    fn place(&self, key: [u64; 2]) -> usize {
        let mask = self.entries.len() - 1;
        let mut at = Self::hash(key) & mask;
        while self.entries[at].key != key && self.entries[at].key != [0; 2] {
            at = (at + 1) & mask;
        }
        at
    }

    #[inline(always)]
    fn entry(&mut self, key: [u64; 2]) -> &mut Entry {
        let mut at = self.place(key);
        if self.entries[at].key != key {
            self.seen += 1;
            if self.used * 8 >= self.entries.len() * 7 {
                self.grow();
                at = self.place(key);
            }
            self.used += 1;
            self.entries[at] = Entry { key, ..Entry::default() };
        }
        &mut self.entries[at]
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![Entry::default(); self.entries.len() * 2];
        for entry in std::mem::replace(&mut self.entries, larger) {
            if entry.key != [0; 2] {
                let at = self.place(entry.key);
                self.entries[at] = entry;
            }
        }
    }
}
