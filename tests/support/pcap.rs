//! A capture taken apart into its packets, and the ways in which packets get lost, cut, joined and out of order.

use std::collections::BTreeSet;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// A little-endian pcap: its head, and its packets with their headers of 16 bytes.
#[derive(Clone, Debug)]
pub struct Pcap {
    head: Vec<u8>,
    pub packets: Vec<Vec<u8>>,
}

/// Where the parts of a TCP segment are in its packet.
#[derive(Clone, Copy, Debug)]
struct Segment {
    ip: usize,
    tcp: usize,
    data: usize,
    end: usize,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn little(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

impl Pcap {
    /// Reads a little-endian pcap, or a pcapng whose interfaces are of one kind.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&0x0a0d_0d0a_u32.to_le_bytes()) {
            return Self::parse_ng(bytes);
        }
        let magic = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
        if ![0xa1b2_c3d4, 0xa1b2_3c4d].contains(&magic) {
            return None;
        }
        let head = bytes.get(..24)?.to_vec();
        let (mut packets, mut rest) = (Vec::new(), &bytes[24..]);
        while !rest.is_empty() {
            packets.push(rest.get(..16 + little(rest, 8)?)?.to_vec());
            rest = &rest[16 + little(rest, 8)?..];
        }
        Some(Self { head, packets })
    }

    fn parse_ng(mut rest: &[u8]) -> Option<Self> {
        let (mut link, mut nano, mut packets) = (None, false, Vec::new());
        while !rest.is_empty() {
            let block = rest.get(..little(rest, 4)?)?;
            rest = &rest[block.len()..];
            match little(block, 0)? {
                // An interface: its link type, and the resolution of its clock among the options.
                1 => {
                    let kind = little(block, 8)? & 0xffff;
                    if link.is_some_and(|link| link != kind) {
                        return None;
                    }
                    link = Some(kind);
                    let mut options = &block[16..block.len() - 4];
                    while options.len() >= 4 {
                        let code = little(options, 0)? & 0xffff;
                        let len = little(options, 0)? >> 16;
                        if code == 9 {
                            nano = options[4] == 9;
                        }
                        options = options.get(4 + len.next_multiple_of(4)..).unwrap_or(&[]);
                    }
                }
                // A packet.
                6 => {
                    let stamp = (little(block, 12)? as u64) << 32 | little(block, 16)? as u64;
                    let second = if nano { 1_000_000_000 } else { 1_000_000 };
                    let (held, length) = (little(block, 20)?, little(block, 24)?);
                    let numbers = [stamp / second, stamp % second, held as u64, length as u64];
                    let mut packet: Vec<u8> =
                        numbers.iter().flat_map(|&n| u32::try_from(n).unwrap().to_le_bytes()).collect();
                    packet.extend_from_slice(block.get(28..28 + held)?);
                    packets.push(packet);
                }
                _ => {}
            }
        }
        let magic: u32 = if nano { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        let mut head = magic.to_le_bytes().to_vec();
        head.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
        head.extend(u32::try_from(link?).ok()?.to_le_bytes());
        Some(Self { head, packets })
    }

    /// The packets as of this second, each so many seconds after its own; those of its client, who sent the first, under
    /// a port so much higher and an address whose last byte is `client`.
    pub fn later(&self, second: u32, ports: u16, client: u8) -> Vec<Vec<u8>> {
        let first = u32::from_le_bytes(self.packets[0][..4].try_into().unwrap());
        let asker = self.addresses(&self.packets[0]).unwrap().0.to_vec();
        let mut packets = self.packets.clone();
        for packet in &mut packets {
            let own = u32::from_le_bytes(packet[..4].try_into().unwrap());
            packet[..4].copy_from_slice(&(second + own - first).to_le_bytes());
            let (ip, at) = (self.ip(packet).unwrap(), self.segment(packet).unwrap());
            let asks = self.addresses(packet).unwrap().0 == asker;
            let (port, address) = if asks { (at.tcp, ip + 12) } else { (at.tcp + 2, ip + 16) };
            let moved = u16_at(packet, port).unwrap() + ports;
            packet[port..port + 2].copy_from_slice(&moved.to_be_bytes());
            packet[address + 3] = client;
        }
        packets
    }

    /// The same without what is no TCP over IPv4.
    pub fn tcp_only(&self) -> Self {
        let tcp = |packet: &&Vec<u8>| self.segment(packet).is_some_and(|at| packet[at.ip] >> 4 == 4);
        Self { head: self.head.clone(), packets: self.packets.iter().filter(tcp).cloned().collect() }
    }

    /// The packets of the connection whose SYN comes last.
    pub fn last_connection(&self) -> Self {
        let ports = |packet: &Vec<u8>| {
            let at = self.segment(packet)?;
            Some((
                u16_at(packet, at.tcp)?,
                u16_at(packet, at.tcp + 2)?,
                packet[at.tcp + 13] & (SYN | ACK) == SYN,
            ))
        };
        let last = self.packets.iter().rev().filter_map(ports).find(|(.., syn)| *syn);
        let of_it = |packet: &&Vec<u8>| {
            let both =
                |(from, to): (u16, u16)| last.is_some_and(|(a, b, _)| [(a, b), (b, a)].contains(&(from, to)));
            ports(packet).is_some_and(|(from, to, _)| both((from, to)))
        };
        Self { head: self.head.clone(), packets: self.packets.iter().filter(of_it).cloned().collect() }
    }

    /// What the server of the first connection sent, in order.
    pub fn said_by_server(&self) -> Vec<u8> {
        let segments = || self.packets.iter().filter_map(|packet| Some((packet, self.segment(packet)?)));
        let ports = |packet: &[u8], at: Segment| (u16_at(packet, at.tcp), u16_at(packet, at.tcp + 2));
        let is_syn = |(packet, at): &(&Vec<u8>, Segment)| packet[at.tcp + 13] & (SYN | ACK) == SYN;
        let Some((client, server)) = segments().find(is_syn).map(|(packet, at)| ports(packet, at)) else {
            return Vec::new();
        };
        let mut sent: Vec<_> = segments()
            .filter(|(packet, at)| ports(packet, *at) == (server, client) && at.end > at.data)
            .map(|(packet, at)| (u32_at(packet, at.tcp + 4).unwrap(), packet[at.data..at.end].to_vec()))
            .collect();
        let Some(first) = sent.first().map(|(sequence, _)| *sequence) else { return Vec::new() };
        sent.sort_by_key(|(sequence, _)| sequence.wrapping_sub(first));
        let mut bytes: Vec<u8> = Vec::new();
        for (sequence, data) in sent {
            let begins = sequence.wrapping_sub(first) as usize;
            bytes.truncate(begins.min(bytes.len()));
            bytes.extend(data);
        }
        bytes
    }

    /// Packet `n` as a reset, for these flags beside RST and these numbers.
    pub fn as_reset(&self, n: usize, flags: u8, sequence: u32, acknowledgment: u32) -> Vec<u8> {
        let mut packet = self.packets[n].clone();
        let at = self.segment(&packet).unwrap();
        packet[at.tcp + 4..at.tcp + 8].copy_from_slice(&sequence.to_be_bytes());
        packet[at.tcp + 8..at.tcp + 12].copy_from_slice(&acknowledgment.to_be_bytes());
        packet[at.tcp + 13] = RST | flags;
        packet
    }

    /// The numbers of a segment: sequence and acknowledgment.
    pub fn numbers(&self, n: usize) -> (u32, u32) {
        let at = self.segment(&self.packets[n]).unwrap();
        (u32_at(&self.packets[n], at.tcp + 4).unwrap(), u32_at(&self.packets[n], at.tcp + 8).unwrap())
    }

    /// The file of other packets.
    pub fn with<'a>(&self, packets: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
        let mut bytes = self.head.clone();
        packets.into_iter().for_each(|packet| bytes.extend_from_slice(packet));
        bytes
    }

    pub fn whole(&self) -> Vec<u8> {
        self.with(&self.packets)
    }

    pub fn without(&self, n: usize) -> Vec<u8> {
        self.with(self.packets.iter().enumerate().filter(|(i, _)| *i != n).map(|(_, packet)| packet))
    }

    /// Each packet is lost with a chance of `per_mille`.
    pub fn lossy(&self, per_mille: usize, seed: u64) -> Vec<u8> {
        let mut dice = Dice::new(seed);
        self.with(self.packets.iter().filter(|_| dice.below(1000) >= per_mille))
    }

    pub fn twice(&self, n: usize) -> Vec<u8> {
        let times = |i| if i == n { 2 } else { 1 };
        self.with(
            self.packets.iter().enumerate().flat_map(|(i, packet)| std::iter::repeat_n(packet, times(i))),
        )
    }

    /// Every packet twice, as from a mirror of both ports.
    pub fn doubled(&self) -> Vec<u8> {
        self.with(self.packets.iter().flat_map(|packet| [packet, packet]))
    }

    /// The packet comes once more behind so many others, as a copy that went another way.
    pub fn again(&self, n: usize, behind: usize) -> Vec<u8> {
        let at = (n + 1 + behind).min(self.packets.len());
        let mut copy = self.packets[n].clone();
        copy[..8].copy_from_slice(&self.packets[at - 1][..8]);
        let mut packets = self.packets.clone();
        packets.insert(at, copy);
        self.with(&packets)
    }

    /// Every packet twice, before and behind a router: the copy has another TTL and other link addresses.
    pub fn routed(&self) -> Vec<u8> {
        let mut packets = Vec::new();
        for packet in &self.packets {
            packets.push(packet.clone());
            let (Some(ip), true) = (self.ip(packet), little(&self.head, 20) == Some(1)) else { continue };
            let mut copy = packet.clone();
            copy[16..28].copy_from_slice(&[2, 0, 0, 0, 9, 1, 2, 0, 0, 0, 9, 2]);
            if copy[ip] >> 4 == 4 {
                copy[ip + 8] = copy[ip + 8].saturating_sub(1);
                let end = ip + 4 * usize::from(copy[ip] & 15);
                copy[ip + 10..ip + 12].fill(0);
                let sum = checksum(&[&copy[ip..end]]);
                copy[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
            } else {
                copy[ip + 7] = copy[ip + 7].saturating_sub(1);
            }
            packets.push(copy);
        }
        self.with(&packets)
    }

    /// The clock ticks once in so many of its parts of a second.
    pub fn coarse(&self, parts: u32) -> Vec<u8> {
        let mut packets = self.packets.clone();
        for packet in &mut packets {
            let part = u32::from_le_bytes(packet[4..8].try_into().unwrap());
            packet[4..8].copy_from_slice(&(part / parts * parts).to_le_bytes());
        }
        self.with(&packets)
    }

    /// From the packet on, the clock is so many seconds behind.
    pub fn set_back(&self, n: usize, seconds: u32) -> Vec<u8> {
        let mut packets = self.packets.clone();
        for packet in &mut packets[n..] {
            let second = u32::from_le_bytes(packet[..4].try_into().unwrap());
            packet[..4].copy_from_slice(&(second - seconds).to_le_bytes());
        }
        self.with(&packets)
    }

    /// Packets from one on to before another are lost.
    pub fn without_run(&self, from: usize, to: usize) -> Vec<u8> {
        self.with(self.packets[..from].iter().chain(&self.packets[to.min(self.packets.len())..]))
    }

    /// The packet and its successor change places, their stamps stay.
    pub fn swapped(&self, n: usize) -> Vec<u8> {
        let mut packets = self.packets.clone();
        swap(&mut packets, n);
        self.with(&packets)
    }

    /// Every second packet changes places with its successor.
    pub fn all_swapped(&self, first: usize) -> Vec<u8> {
        let mut packets = self.packets.clone();
        for n in (first..packets.len().saturating_sub(1)).step_by(2) {
            swap(&mut packets, n);
        }
        self.with(&packets)
    }

    /// No packet keeps more than so many bytes.
    pub fn snapped(&self, most: usize) -> Vec<u8> {
        let packets: Vec<_> = self
            .packets
            .iter()
            .map(|packet| {
                let mut packet = packet[..packet.len().min(16 + most)].to_vec();
                let len = u32::try_from(packet.len() - 16).unwrap();
                packet[8..12].copy_from_slice(&len.to_le_bytes());
                packet
            })
            .collect();
        self.with(&packets)
    }

    /// Some bytes of the packets, not of their headers, take other values.
    pub fn damaged(&self, seed: u64) -> Vec<u8> {
        let mut packets = self.packets.clone();
        let mut dice = Dice::new(seed);
        for _ in 0..4 {
            let n = dice.below(packets.len());
            let packet = &mut packets[n];
            if packet.len() > 16 {
                let at = 16 + dice.below(packet.len() - 16);
                packet[at] = u8::try_from(dice.below(256)).unwrap();
            }
        }
        self.with(&packets)
    }

    /// Where the IP packet begins, behind an Ethernet or a cooked header.
    fn ip(&self, packet: &[u8]) -> Option<usize> {
        let (kind, ip) = match little(&self.head, 20)? {
            1 => (12, 14),
            113 => (14, 16),
            276 => (0, 20),
            _ => return None,
        };
        [0x0800, 0x86dd].contains(&u16_at(packet, 16 + kind)?).then_some(16 + ip)
    }

    /// The two addresses of an IP packet.
    fn addresses<'a>(&self, packet: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let ip = self.ip(packet)?;
        match packet.get(ip)? >> 4 {
            4 => Some((packet.get(ip + 12..ip + 16)?, packet.get(ip + 16..ip + 20)?)),
            6 => Some((packet.get(ip + 8..ip + 24)?, packet.get(ip + 24..ip + 40)?)),
            _ => None,
        }
    }

    /// The parts of a whole TCP segment in an IP packet that is not fragmented.
    fn segment(&self, packet: &[u8]) -> Option<Segment> {
        let ip = self.ip(packet)?;
        let (tcp, end) = match packet.get(ip)? >> 4 {
            4 if packet.get(ip + 9)? == &6 && u16_at(packet, ip + 6)? & 0x3fff == 0 => {
                let len = usize::from(u16_at(packet, ip + 2)?);
                let end = if len == 0 { packet.len() } else { ip + len };
                (ip + 4 * usize::from(packet[ip] & 15), end)
            }
            6 if packet.get(ip + 6)? == &6 => (ip + 40, ip + 40 + usize::from(u16_at(packet, ip + 4)?)),
            _ => return None,
        };
        let data = tcp + 4 * usize::from(packet.get(tcp + 12)? >> 4);
        (data <= end && end <= packet.len()).then_some(Segment { ip, tcp, data, end })
    }

    /// From packet `n` on the packets of one side only: of those who send a SYN, or of the others. `None`: nobody is
    /// seen to.
    pub fn one_way(&self, n: usize, of_client: bool) -> Option<Vec<u8>> {
        let clients: BTreeSet<_> = self
            .packets
            .iter()
            .filter(|packet| self.segment(packet).is_some_and(|at| packet[at.tcp + 13] & (SYN | ACK) == SYN))
            .filter_map(|packet| Some(self.addresses(packet)?.0))
            .collect();
        let sent = |packet: &[u8]| {
            self.addresses(packet).is_none_or(|(source, _)| clients.contains(source) == of_client)
        };
        let kept = self.packets.iter().enumerate().filter(|(i, packet)| *i < n || sent(packet));
        (!clients.is_empty()).then(|| self.with(kept.map(|(_, packet)| packet)))
    }

    /// Every segment with more data than `most` comes in pieces.
    pub fn split(&self, most: usize) -> Vec<u8> {
        let mut packets = Vec::new();
        for packet in &self.packets {
            let Some(at) = self.segment(packet).filter(|at| at.end - at.data > most) else {
                packets.push(packet.clone());
                continue;
            };
            let sequence = u32_at(packet, at.tcp + 4).unwrap();
            let pieces = packet[at.data..at.end].chunks(most);
            let last = pieces.len() - 1;
            for (n, piece) in pieces.enumerate() {
                let mut flags = packet[at.tcp + 13];
                if n < last {
                    flags &= !(FIN | PSH);
                }
                let sequence = sequence.wrapping_add(u32::try_from(n * most).unwrap());
                packets.push(rebuilt(packet, at, sequence, flags, piece, true));
            }
        }
        self.with(&packets)
    }

    /// Segments of one sender with data in sequence become one, as a card that offloads hands them over; only bare
    /// acknowledgements may lie between. Its IP length is true, or 0.
    pub fn joined(&self, true_length: bool) -> Vec<u8> {
        let mut packets: Vec<Vec<u8>> = Vec::new();
        for packet in &self.packets {
            let bare = |packet: &[u8]| {
                self.segment(packet).is_some_and(|at| at.data == at.end && packet[at.tcp + 13] & !PSH == ACK)
            };
            let before = packets.len() - packets.iter().rev().take_while(|packet| bare(packet)).count();
            let joined =
                before.checked_sub(1).and_then(|n| Some((n, self.both(&packets[n], packet, true_length)?)));
            match joined {
                Some((n, joined)) => packets[n] = joined,
                None => packets.push(packet.clone()),
            }
        }
        self.with(&packets)
    }

    /// Two segments as one, where the second follows the first.
    fn both(&self, before: &[u8], packet: &[u8], true_length: bool) -> Option<Vec<u8>> {
        let (one, two) = (self.segment(before)?, self.segment(packet)?);
        let ends = |bytes: &[u8], at: Segment| bytes[at.tcp..at.tcp + 4].to_vec();
        let numbers = |bytes: &[u8], at: Segment| u32_at(bytes, at.tcp + 4).zip(u32_at(bytes, at.tcp + 8));
        let ((sequence, acknowledged), (next, next_acknowledged)) =
            (numbers(before, one)?, numbers(packet, two)?);
        let length = |at: Segment| at.end - at.data;
        let fits = self.addresses(before) == self.addresses(packet)
            && ends(before, one) == ends(packet, two)
            && acknowledged == next_acknowledged
            && next == sequence.wrapping_add(u32::try_from(length(one)).ok()?)
            && length(one) > 0
            && length(two) > 0
            && length(one) + length(two) < 60_000
            && before[one.tcp + 13] & (SYN | FIN | RST) == 0
            && packet[two.tcp + 13] & (SYN | RST) == 0;
        let data = [&before[one.data..one.end], &packet[two.data..two.end]].concat();
        let flags = before[one.tcp + 13] | packet[two.tcp + 13];
        fits.then(|| rebuilt(before, one, sequence, flags, &data, true_length))
    }
}

fn swap(packets: &mut [Vec<u8>], n: usize) {
    packets.swap(n, n + 1);
    let (before, after) = packets.split_at_mut(n + 1);
    before[n][..8].swap_with_slice(&mut after[0][..8]);
}

/// A segment with other data, its lengths and checksums made to fit.
fn rebuilt(packet: &[u8], at: Segment, sequence: u32, flags: u8, data: &[u8], true_length: bool) -> Vec<u8> {
    let mut bytes = packet[..at.data].to_vec();
    bytes.extend_from_slice(data);
    bytes[at.tcp + 4..at.tcp + 8].copy_from_slice(&sequence.to_be_bytes());
    bytes[at.tcp + 13] = flags;
    let held = u32::try_from(bytes.len() - 16).unwrap().to_le_bytes();
    bytes[8..12].copy_from_slice(&held);
    bytes[12..16].copy_from_slice(&held);
    let four = bytes[at.ip] >> 4 == 4;
    let length = bytes.len() - at.ip - if four { 0 } else { 40 };
    let length = if true_length { u16::try_from(length).unwrap() } else { 0 };
    let addresses = if four {
        bytes[at.ip + 2..at.ip + 4].copy_from_slice(&length.to_be_bytes());
        bytes[at.ip + 10..at.ip + 12].fill(0);
        let sum = checksum(&[&bytes[at.ip..at.tcp]]);
        bytes[at.ip + 10..at.ip + 12].copy_from_slice(&sum.to_be_bytes());
        at.ip + 12..at.ip + 20
    } else {
        bytes[at.ip + 4..at.ip + 6].copy_from_slice(&length.to_be_bytes());
        at.ip + 8..at.ip + 40
    };
    bytes[at.tcp + 16..at.tcp + 18].fill(0);
    let size = u32::try_from(bytes.len() - at.tcp).unwrap().to_be_bytes();
    let sum = checksum(&[&bytes[addresses], &size, &[0, 0, 0, 6], &bytes[at.tcp..]]);
    bytes[at.tcp + 16..at.tcp + 18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// The Internet checksum (RFC 1071); each part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let pairs = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 =
        pairs.map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// Numbers that look random and are the same on each run.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut dice = Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // Near seeds begin alike.
        for _ in 0..8 {
            dice.below(2);
        }
        dice
    }

    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % below as u64).unwrap()
    }
}
