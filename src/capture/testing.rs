//! Capture files made in memory, for tests.

use std::io::{Cursor, Write};

use super::{Ending, file::FileReader};

/// Byte order of a made file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Little,
    Big,
}

impl End {
    pub fn u16(self, n: u16) -> [u8; 2] {
        if self == Self::Big { n.to_be_bytes() } else { n.to_le_bytes() }
    }
    pub fn u32(self, n: u32) -> [u8; 4] {
        if self == Self::Big { n.to_be_bytes() } else { n.to_le_bytes() }
    }
    pub fn u64(self, n: u64) -> [u8; 8] {
        if self == Self::Big { n.to_be_bytes() } else { n.to_le_bytes() }
    }
}

/// A pcap file under construction.
pub struct Pcap {
    pub bytes: Vec<u8>,
    pub end: End,
    /// Further bytes of each record header.
    pub behind: usize,
}

impl Pcap {
    pub fn new(end: End, magic: u32) -> Self {
        Self::with(end, magic, (2, 4), 1)
    }

    pub fn with(end: End, magic: u32, version: (u16, u16), link: u32) -> Self {
        let mut bytes = end.u32(magic).to_vec();
        bytes.extend(end.u16(version.0));
        bytes.extend(end.u16(version.1));
        for word in [0, 0, 65_535, link] {
            bytes.extend(end.u32(word));
        }
        Self { bytes, end, behind: if magic == 0xa1b2_cd34 { 8 } else { 0 } }
    }

    /// A record with both lengths as given.
    pub fn claim(mut self, secs: u32, fraction: u32, captured: u32, original: u32, data: &[u8]) -> Self {
        for word in [secs, fraction, captured, original] {
            self.bytes.extend(self.end.u32(word));
        }
        self.bytes.extend(std::iter::repeat_n(0xee, self.behind));
        self.bytes.extend(data);
        self
    }

    pub fn record(self, secs: u32, fraction: u32, data: &[u8]) -> Self {
        let len = u32::try_from(data.len()).unwrap();
        self.claim(secs, fraction, len, len, data)
    }
}

/// A pcapng block with right lengths.
pub fn block(end: End, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let len = end.u32(u32::try_from(padded + 12).unwrap());
    let mut bytes = [end.u32(kind), len].concat();
    bytes.extend(body);
    bytes.resize(8 + padded, 0);
    bytes.extend(len);
    bytes
}

pub fn section(end: End) -> Vec<u8> {
    let body = [&end.u32(0x1a2b_3c4d)[..], &end.u16(1), &end.u16(0), &end.u64(u64::MAX)].concat();
    block(end, 0x0a0d_0d0a, &body)
}

/// An interface with options as (code, value).
pub fn interface(end: End, link: u16, snap: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let body = [&end.u16(link)[..], &[0, 0], &end.u32(snap)].concat();
    block(end, 1, &with_options(end, body, options))
}

/// Interface statistics with options as (code, value).
pub fn statistics(end: End, index: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let body = [&end.u32(index)[..], &[0; 8]].concat();
    block(end, 5, &with_options(end, body, options))
}

/// The end of a capture's time, in ticks, as statistics have it.
pub fn ticks(end: End, ticks: u64) -> [u8; 8] {
    let (high, low) = ((ticks >> 32) as u32, ticks as u32);
    *[end.u32(high), end.u32(low)].as_flattened().first_chunk().unwrap()
}

fn with_options(end: End, mut body: Vec<u8>, options: &[(u16, &[u8])]) -> Vec<u8> {
    for (code, value) in options {
        body.extend(end.u16(*code));
        body.extend(end.u16(u16::try_from(value.len()).unwrap()));
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    if !options.is_empty() {
        body.extend([0; 4]);
    }
    body
}

pub fn enhanced(end: End, index: u32, ticks: u64, data: &[u8]) -> Vec<u8> {
    let len = end.u32(u32::try_from(data.len()).unwrap());
    let (high, low) = ((ticks >> 32) as u32, ticks as u32);
    let body = [&end.u32(index)[..], &end.u32(high), &end.u32(low), &len, &len, data].concat();
    block(end, 6, &body)
}

pub fn simple(end: End, original: u32, data: &[u8]) -> Vec<u8> {
    block(end, 3, &[&end.u32(original)[..], data].concat())
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// A frame by value: number, stamp, link type, bytes, length on the wire.
pub type Owned = (u64, i64, u16, Vec<u8>, u32);

pub fn open(bytes: impl Into<Vec<u8>>) -> Result<FileReader, String> {
    FileReader::from_reader("test".into(), Box::new(Cursor::new(bytes.into()))).map_err(|e| e.to_string())
}

/// All frames and the ending.
pub fn read(bytes: impl Into<Vec<u8>>) -> (Vec<Owned>, Ending) {
    let mut reader = open(bytes).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = reader.next() {
        frames.push((frame.no.0, frame.stamp.0, frame.link.0, frame.data.to_vec(), frame.wire_len));
    }
    assert_eq!(reader.packets_read(), frames.len() as u64);
    assert!(reader.next().is_none(), "the end stays the end");
    (frames, reader.ending().clone())
}
