//! Classic pcap: one header, then records.
//!
//! The format is `draft-ietf-opsawg-pcap`; the modified one with longer record headers came with
//! the patches of A. Kuznetsov to libpcap 0.4 and was never written down: libpcap's
//! `sf-pcap.c` reads it, and so do we.

use super::block::Block;
use super::buffer::Buffer;
use super::file::{Head, Opened, Progress, Step};
use super::resync;
use super::{PACKET_MOST, Stopped, Unit, Why};
use crate::base::{PacketNo, Stamp};
use crate::decode::{Frame, LinkType};

/// Bytes of the file header behind which records begin.
pub(super) const FILE_HEADER: usize = 24;

/// How the records of a file are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Big-endian numbers.
    big: bool,
    /// Fractions of a second are nanoseconds, not microseconds.
    nanos: bool,
    /// Bytes of a record header: 16, or 24 in the modified format.
    pub header: usize,
    /// Order of the two lengths.
    lengths: Lengths,
}

/// Before version 2.3 the original length stood first, and some writers of 2.3 kept that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    OriginalFirst,
    SmallerIsCaptured,
}

/// A record header as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Time of capture, from 1970 to 2106: the format has 32 bits of seconds.
    pub stamp: Stamp,
    /// Fractions of a second lie below one second, as honest writers have them.
    pub fraction_fits: bool,
    /// Captured bytes, as claimed.
    pub captured: u32,
    /// Bytes on the wire, as claimed.
    pub original: u32,
}

impl Layout {
    /// Record headers have at least this size; what follows in the modified format is not used.
    pub const LEAST: usize = 16;

    /// Reads a record header.
    #[inline]
    pub fn record(self, bytes: &[u8; Self::LEAST]) -> Record {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
        let mut words = [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_le_bytes);
        if self.big {
            words = words.map(u32::swap_bytes);
        }
        let [secs, fraction, mut captured, mut original] = words;
        match self.lengths {
            Lengths::CapturedFirst => {}
            Lengths::SmallerIsCaptured if captured <= original => {}
            Lengths::OriginalFirst | Lengths::SmallerIsCaptured => {
                (captured, original) = (original, captured);
            }
        }
        let (micros, limit) =
            if self.nanos { (fraction / 1_000, 1_000_000_000) } else { (fraction, 1_000_000) };
        Record {
            stamp: Stamp(i64::from(secs) * 1_000_000 + i64::from(micros)),
            fraction_fits: fraction < limit,
            captured,
            original,
        }
    }
}

/// A reader of records.
pub(super) struct Classic {
    layout: Layout,
    link: LinkType,
}

impl Classic {
    /// Reads the file header at the front of the window, if its magic is one of pcap's.
    pub fn open(buffer: &mut Buffer) -> Opened<Self> {
        let Some(&magic) = buffer.window().first_chunk::<4>() else { return Opened::NotThis };
        // (big-endian, nanoseconds, record header, bytes behind the file header)
        let (big, nanos, header, behind) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, false, 16, 0),
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, false, 16, 0),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, true, 16, 0),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, true, 16, 0),
            [0x34, 0xcd, 0xb2, 0xa1] => (false, false, 24, 0),
            [0xa1, 0xb2, 0xcd, 0x34] => (true, false, 24, 0),
            // Ixia's hardware and software captures: four more bytes, the size of all records.
            [0xac, 0x01, 0x00, 0x1c] => (false, true, 16, 4),
            [0x1c, 0x00, 0x01, 0xac] => (true, true, 16, 4),
            [0xab, 0x01, 0x00, 0x1c] => (false, false, 16, 4),
            [0x1c, 0x00, 0x01, 0xab] => (true, false, 16, 4),
            _ => return Opened::NotThis,
        };
        if !buffer.holds(FILE_HEADER + behind) {
            return Opened::CutShort { wants: FILE_HEADER + behind };
        }
        let Some(&[_, _, _, _, a, b, c, d, .., w, x, y, z]) = buffer.window().first_chunk::<FILE_HEADER>()
        else {
            return Opened::NotThis;
        };
        let two = |two: [u8; 2]| if big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) };
        let lengths = match (two([a, b]), two([c, d])) {
            (0 | 1, minor) => return Opened::Version(two([a, b]), minor),
            (2, 0..3) | (543, _) => Lengths::OriginalFirst, // 543.0 is DG/UX
            (2, 3) => Lengths::SmallerIsCaptured,
            _ => Lengths::CapturedFirst,
        };
        // The upper half of the link type tells the length of the frame check sequence.
        let link = if big { [y, z] } else { [w, x] };
        buffer.take(FILE_HEADER + behind);
        Opened::This(Self { layout: Layout { big, nanos, header, lengths }, link: LinkType(two(link)) })
    }

    /// The next record, or how the file ends.
    #[inline]
    pub fn next(&mut self, buffer: &mut Buffer, progress: &mut Progress) -> Step {
        match self.next_here(buffer, progress) {
            Some(head) => Step::Frame(head),
            None => self.refill(buffer, progress),
        }
    }

    /// The next record, where it is sound and whole in the window.
    #[inline]
    pub fn next_here(&self, buffer: &mut Buffer, progress: &mut Progress) -> Option<Head> {
        let window = buffer.window();
        let record = self.layout.record(window.first_chunk()?);
        let captured = record.captured as usize;
        let whole = self.layout.header + captured;
        (captured <= PACKET_MOST && whole <= window.len()).then(|| self.give(buffer, progress, record))
    }

    /// Fills in the next records that are sound and whole in the window. How many, and how many bytes they take.
    #[inline]
    pub fn fill<'a>(
        &self,
        window: &'a [u8],
        progress: &mut Progress,
        frames: &mut [Frame<'a>],
    ) -> (usize, usize) {
        let mut rest = window;
        let mut count = 0;
        let mut last = progress.last;
        for (place, no) in frames.iter_mut().zip(progress.number + 1..) {
            let Some(header) = rest.first_chunk() else { break };
            let record = self.layout.record(header);
            let captured = record.captured as usize;
            let (begin, end) = (self.layout.header, self.layout.header + captured);
            let (Some(data), Some(behind)) = (rest.get(begin..end), rest.get(end..)) else { break };
            if captured > PACKET_MOST {
                break;
            }
            *place = Frame {
                no: PacketNo(no),
                stamp: record.stamp,
                link: self.link,
                data,
                wire_len: record.original.max(record.captured),
            };
            (rest, last) = (behind, record.stamp);
            count += 1;
        }
        progress.number += count as u64;
        progress.given += count as u64;
        progress.last = last;
        (count, window.len() - rest.len())
    }

    /// Places the next records that are sound and whole in the window in a block.
    pub fn place(&self, buffer: &mut Buffer, progress: &mut Progress, block: &mut Block) {
        let window = buffer.window();
        let (front, mut no, mut last) = (buffer.place(), progress.number, progress.last);
        let mut taken = 0;
        while let Some(rest) = window.get(taken..)
            && let Some(header) = rest.first_chunk()
        {
            let record = self.layout.record(header);
            let captured = record.captured as usize;
            let whole = self.layout.header + captured;
            if captured > PACKET_MOST || whole > rest.len() {
                break;
            }
            (no, last) = (no + 1, record.stamp);
            let at = front + taken + self.layout.header;
            block.place(PacketNo(no), self.head(at, record));
            taken += whole;
        }
        progress.given += no - progress.number;
        (progress.number, progress.last) = (no, last);
        buffer.take(taken);
    }

    #[inline]
    fn give(&self, buffer: &mut Buffer, progress: &mut Progress, record: Record) -> Head {
        let captured = record.captured as usize;
        let at = buffer.take(self.layout.header + captured) + self.layout.header;
        progress.number += 1;
        progress.given += 1;
        progress.last = record.stamp;
        self.head(at, record)
    }

    #[inline]
    fn head(&self, at: usize, record: Record) -> Head {
        Head {
            at,
            len: record.captured as usize,
            stamp: record.stamp,
            link: self.link,
            wire_len: record.original.max(record.captured),
        }
    }

    /// The record is not in the window: read on, or tell what is wrong with it.
    #[cold]
    fn refill(&mut self, buffer: &mut Buffer, progress: &mut Progress) -> Step {
        let header = self.layout.header;
        if !buffer.holds(header) {
            let has = buffer.window().len();
            return match buffer.failure() {
                None if has == 0 => Step::End(None),
                _ => Step::End(Some(cut_short(buffer, progress, header))),
            };
        }
        let Some(record) = buffer.window().first_chunk().map(|bytes| self.layout.record(bytes)) else {
            return Step::End(None); // the window holds a header: see above
        };
        let captured = record.captured as usize;
        if captured > PACKET_MOST {
            return self.resume(buffer, progress, record);
        }
        if !buffer.holds(header + captured) {
            return Step::End(Some(cut_short(buffer, progress, header + captured)));
        }
        Step::Frame(self.give(buffer, progress, record))
    }

    /// A damaged record header: go on behind it where that can be done with confidence.
    fn resume(&mut self, buffer: &mut Buffer, progress: &mut Progress, record: Record) -> Step {
        let stopped = Stopped {
            unit: Unit::Record,
            no: progress.number + 1,
            offset: buffer.offset(),
            why: Why::TooLong { claims: u64::from(record.captured), limit: PACKET_MOST as u64 },
        };
        let found = if progress.given > 0 { resync::find(buffer, self.layout, progress.last) } else { None };
        let Some(skip) = found else { return Step::End(Some(stopped)) };
        buffer.take(skip);
        progress.skip(stopped, skip as u64);
        let Some(record) = buffer.window().first_chunk().map(|bytes| self.layout.record(bytes)) else {
            return Step::End(None); // a record was found there
        };
        Step::Frame(self.give(buffer, progress, record))
    }
}

/// The input ends, or fails, inside a record.
fn cut_short(buffer: &Buffer, progress: &Progress, wants: usize) -> Stopped {
    let why = match buffer.failure() {
        Some(error) => Why::Input(error.to_owned()),
        None => Why::CutShort { has: buffer.window().len() as u64, wants: wants as u64 },
    };
    Stopped { unit: Unit::Record, no: progress.number + 1, offset: buffer.offset(), why }
}
