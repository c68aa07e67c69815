//! Floor 6: where frames come from (files, interfaces) and go to (`-w`).
//!
//! * [`mod@file`] reads pcap and pcapng, plain or compressed, from a path or standard input.
//! * [`walk`] turns the paths of a command line into the files to read, in a fixed order.
//! * [`live`] reads interfaces; the only place of the program where a clock is asked.
//! * [`filter`] applies a BPF expression to frames of any link type.
//! * [`recent`] holds packets until it is known whether they are wanted; [`mod@write`] keeps those as pcapng.
//!
//! A file that cannot be opened is an [`OpenError`]. A file that is damaged further on is no
//! error: its frames are given as far as they go, and [`Ending`] says where and why it stopped.

pub mod block;
mod buffer;
mod classic;
mod ending;
pub mod file;
pub mod filter;
mod input;
pub mod live;
mod pcapng;
pub mod pieces;
pub mod recent;
mod resync;
pub mod walk;
pub mod write;

pub use ending::{Ending, OpenError, OpenWhy, Skipped};

use std::fmt;
use std::io;

use crate::base::Stamp;

/// Most captured bytes of one packet, as libpcap and Wireshark have it (`MAXIMUM_SNAPLEN`). No
/// [`crate::decode::Frame`] of this floor holds more.
pub const PACKET_MOST: usize = 262_144;

/// Longest pcapng block that is read. Real ones (long name lists, key logs) stay far below.
pub const BLOCK_MOST: usize = 16 << 20;

/// What a file is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A packet record of a pcap file.
    Record,
    /// A block of a pcapng file, its section headers included.
    Block,
}

/// Where reading a file stopped before its end, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// What could not be read.
    pub unit: Unit,
    /// Its number in the file, from 1.
    pub no: u64,
    /// Its first byte in the file, from 0, after decompression.
    pub offset: u64,
    /// What was wrong.
    pub why: Why,
}

/// What was wrong with a record or block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The file ends inside it.
    CutShort {
        /// Bytes of it that are there.
        has: u64,
        /// Bytes it should have.
        wants: u64,
    },
    /// It claims more bytes than any honest one has.
    TooLong {
        /// Its claim.
        claims: u64,
        /// The bound: [`PACKET_MOST`] or [`BLOCK_MOST`].
        limit: u64,
    },
    /// A block claims fewer bytes than its kind has at least.
    TooShort {
        /// Its claim.
        claims: u64,
        /// The least its kind has.
        least: u64,
    },
    /// The two lengths around a block differ.
    Lengths {
        /// In front.
        first: u32,
        /// Behind.
        last: u32,
    },
    /// A packet claims more bytes than its block has.
    Overfull {
        /// The packet's claim.
        packet: u32,
        /// Room in the block.
        room: u64,
    },
    /// A packet came from an interface that its section does not describe.
    NoInterface {
        /// The interface it names, from 0.
        index: u32,
        /// Interfaces described so far.
        known: u64,
    },
    /// A section header whose byte order cannot be told.
    ByteOrder(u32),
    /// A section of a version that nobody has defined.
    Version(u16, u16),
    /// The file could not be read or decompressed further.
    Input(String),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Record => "record",
            Unit::Block => "block",
        };
        write!(f, "{unit} {} (at byte {}) {}", Grouped(self.no), Grouped(self.offset), self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CutShort { has, wants } => {
                write!(f, "is cut short, {} of {} bytes are there", Grouped(has), Grouped(wants))
            }
            Self::TooLong { claims, limit } => {
                write!(f, "claims {} bytes, limit {}", Grouped(claims), Grouped(limit))
            }
            Self::TooShort { claims, least } => {
                write!(f, "claims {} bytes, its kind has at least {}", Grouped(claims), Grouped(least))
            }
            Self::Lengths { first, last } => write!(
                f,
                "claims {} bytes in front and {} behind",
                Grouped(u64::from(first)),
                Grouped(u64::from(last))
            ),
            Self::Overfull { packet, room } => write!(
                f,
                "claims a packet of {} bytes and has room for {}",
                Grouped(u64::from(packet)),
                Grouped(room)
            ),
            Self::NoInterface { index, known } => {
                write!(f, "names interface {index}, its section describes {known}")
            }
            Self::ByteOrder(magic) => write!(f, "has the unknown byte-order mark 0x{magic:08x}"),
            Self::Version(major, minor) => write!(f, "has the unknown version {major}.{minor}"),
            Self::Input(ref error) => write!(f, "could not be read: {error}"),
        }
    }
}

/// A number with its digits in groups of three: `16 777 216`.
#[derive(Clone, Copy, Debug)]
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut said = String::with_capacity(digits.len() + digits.len() / 3);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                said.push(' ');
            }
            said.push(digit);
        }
        f.pad(&said)
    }
}

/// A count of packets: `1 packet`, `40 311 packets`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packets(pub u64);

impl fmt::Display for Packets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packet{}", Grouped(self.0), if self.0 == 1 { "" } else { "s" })
    }
}

/// The latest stamp that is believed, the last microsecond of the year 9999. Later ones are damage
/// and are moved here, so that sums of stamps stay far from overflow.
pub(crate) const LATEST: Stamp = Stamp(253_402_300_799_999_999);

/// The earliest stamp that is believed, the first microsecond of the year 1.
pub(crate) const EARLIEST: Stamp = Stamp(-62_135_596_800_000_000);

/// An operating system's error as part of a sentence: lower case, without its number.
pub(crate) fn plainly(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => return "no such file or folder".into(),
        io::ErrorKind::PermissionDenied => return "permission denied".into(),
        _ => {}
    }
    let text = error.to_string();
    lower(text.split(" (os error").next().unwrap_or(&text))
}

/// A sentence as part of another: its first letter small, unless it begins with an abbreviation or
/// a single letter.
pub(crate) fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let cases =
            [(0, "0"), (999, "999"), (1_000, "1 000"), (40_311, "40 311"), (16_777_216, "16 777 216")];
        for (number, said) in cases {
            assert_eq!(Grouped(number).to_string(), said);
        }
    }

    #[test]
    fn system_errors_become_parts_of_a_sentence() {
        assert_eq!(plainly(&io::Error::from_raw_os_error(21)), "is a directory");
        assert_eq!(plainly(&io::Error::other("I/O error")), "I/O error");
    }

    #[test]
    fn readers_and_writers_can_move_to_another_thread() {
        fn moves<T: Send>() {}
        moves::<file::FileReader>();
        moves::<live::LiveReader>();
        moves::<filter::Filter>();
        moves::<write::PcapngWriter>();
    }

    #[test]
    fn the_believed_stamps_are_whole_years() {
        assert_eq!(LATEST.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(EARLIEST.to_string(), "0001-01-01T00:00:00.000000Z");
    }
}
