//! Conversations as frames of a capture file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tlswhy::decode::TcpFlags;

/// What a capture came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    pub packets: u64,
    pub bytes: u64,
    pub handshakes: u64,
    pub completed: u64,
}

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// One packet to come.
pub struct Emit {
    pub at: i64,
    pub from_client: bool,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub payload: Payload,
}

pub enum Payload {
    Bytes(Vec<u8>),
    /// This much of an endless stream of sealed records, from this place.
    Bulk(usize, usize),
}

/// A sealed record of full size, RFC 9846 section 5.2.
pub const RECORD: usize = 5 + 16_384 + 17;
/// Records of the stream before it begins again.
const RECORDS: usize = 64;
pub const SEGMENT: u32 = 1_448;

/// The stream of sealed records.
pub fn bulk(random: &mut Random) -> Vec<u8> {
    let mut bulk = vec![0; RECORDS * RECORD];
    random.fill(&mut bulk);
    for record in bulk.chunks_mut(RECORD) {
        record[..5].copy_from_slice(&[23, 3, 3, 0x40, 0x11]);
    }
    bulk.extend_from_within(..SEGMENT as usize);
    bulk
}

/// A conversation: client, then server.
pub struct Talk {
    pub addresses: [[u8; 4]; 2],
    pub ports: [u16; 2],
    pub udp: bool,
    pub emits: VecDeque<Emit>,
}

impl Talk {
    /// A TCP segment.
    pub fn segment(&mut self, at: i64, from_client: bool, seq: u32, ack: u32, flags: u8, payload: Vec<u8>) {
        let payload = Payload::Bytes(payload);
        self.emits.push_back(Emit { at, from_client, seq, ack, flags, payload });
    }

    /// A UDP datagram.
    pub fn datagram(&mut self, at: i64, from_client: bool, message: Vec<u8>) {
        self.segment(at, from_client, 0, 0, 0, message);
    }
}

/// A classic capture file of Ethernet frames.
pub struct Writer {
    out: BufWriter<File>,
    bulk: Vec<u8>,
    frame: Vec<u8>,
    pub made: Made,
}

impl Writer {
    pub fn create(path: &Path, bulk: Vec<u8>) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        out.write_all(&262_144_u32.to_le_bytes())?;
        out.write_all(&1_u32.to_le_bytes())?;
        let made = Made { bytes: 24, ..Made::default() };
        Ok(Self { out, bulk, frame: Vec::with_capacity(2_048), made })
    }

    pub fn packet(&mut self, talk: &Talk, emit: &Emit) -> io::Result<()> {
        build(talk, emit, &self.bulk, &mut self.frame);
        let length = (self.frame.len() as u32).to_le_bytes();
        self.out.write_all(&((emit.at / 1_000_000) as u32).to_le_bytes())?;
        self.out.write_all(&((emit.at % 1_000_000) as u32).to_le_bytes())?;
        self.out.write_all(&length)?;
        self.out.write_all(&length)?;
        self.out.write_all(&self.frame)?;
        self.made.packets += 1;
        self.made.bytes += 16 + self.frame.len() as u64;
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<Made> {
        self.out.flush()?;
        Ok(self.made)
    }
}

fn build(talk: &Talk, emit: &Emit, bulk: &[u8], frame: &mut Vec<u8>) {
    let payload = match &emit.payload {
        Payload::Bytes(bytes) => bytes.as_slice(),
        Payload::Bulk(from, length) => {
            let from = from % (RECORDS * RECORD);
            &bulk[from..from + length]
        }
    };
    let (from, to) = if emit.from_client { (0, 1) } else { (1, 0) };
    let syn = emit.flags & TcpFlags::SYN != 0;
    let header = if talk.udp { 8 } else { 32 + if syn { 8 } else { 0 } };
    let length = (20 + header + payload.len()) as u16;
    frame.clear();
    frame.extend([2, 0, 0, 0, 0, to as u8 + 1, 2, 0, 0, 0, 0, from as u8 + 1, 8, 0, 0x45, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend(((emit.at / 7) as u16).to_be_bytes());
    frame.extend([0x40, 0, if emit.from_client { 64 } else { 52 }, if talk.udp { 17 } else { 6 }, 0, 0]);
    frame.extend(talk.addresses[from]);
    frame.extend(talk.addresses[to]);
    let check = checksum(&frame[14..], 0);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    frame.extend(talk.ports[from].to_be_bytes());
    frame.extend(talk.ports[to].to_be_bytes());
    if talk.udp {
        frame.extend((length - 20).to_be_bytes());
        frame.extend([0, 0]);
    } else {
        frame.extend(emit.seq.to_be_bytes());
        frame.extend(emit.ack.to_be_bytes());
        frame.extend([(header as u8 / 4) << 4, emit.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        if syn {
            frame.extend([2, 4, 5, 0xb4, 4, 2]);
        } else {
            frame.extend([1, 1]);
        }
        frame.extend([8, 10]);
        frame.extend(((emit.at / 1_000) as u32).to_be_bytes());
        frame.extend((((emit.at - 20_000) / 1_000) as u32).to_be_bytes());
        if syn {
            frame.extend([1, 3, 3, 7]);
        }
    }
    frame.extend_from_slice(payload);
    if !talk.udp {
        // RFC 9293 section 3.1: over the pseudo header as well.
        let pseudo = 6 + u32::from(length - 20) + u32::from(!checksum(&frame[26..34], 0));
        let check = checksum(&frame[34..], pseudo);
        frame[50..52].copy_from_slice(&check.to_be_bytes());
    }
}

/// The Internet checksum, RFC 1071.
pub fn checksum(bytes: &[u8], begin: u32) -> u16 {
    let pairs =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from));
    let mut sum = begin + pairs.sum::<u32>();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}
