//! What is said of a capture file that could not be opened, or not be read to its end.

use std::fmt;

use super::{Grouped, Packets, Stopped};

/// How reading a file ended. Prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The file, as given.
    pub name: String,
    /// Whether the end is reached at all.
    pub reached: bool,
    /// Frames given.
    pub packets: u64,
    /// Damage that was skipped; packets behind it have numbers of our own.
    pub skipped: Option<Skipped>,
    /// Where and why it stopped; `None`: at the end of the file, every byte in its place.
    pub stopped: Option<Stopped>,
}

/// Damage in a classic pcap file behind which reading went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The first place.
    pub first: Stopped,
    /// How many places.
    pub places: u64,
    /// Bytes passed over, all places together.
    pub bytes: u64,
}

impl Ending {
    /// Whether the file was read to its end and all of it was understood.
    pub fn is_clean(&self) -> bool {
        self.reached && self.skipped.is_none() && self.stopped.is_none()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packets = Packets(self.packets);
        write!(f, "{}: ", self.name)?;
        if let Some(Skipped { first, places, bytes }) = &self.skipped {
            let bytes = Grouped(*bytes);
            match places {
                1 => write!(f, "{first}; skipped {bytes} bytes")?,
                _ => write!(f, "{first}; skipped {bytes} bytes in {} places", Grouped(*places))?,
            }
            write!(f, ", so packets from {} on have other numbers than elsewhere; ", Grouped(first.no))?;
        }
        match &self.stopped {
            Some(stopped) => write!(f, "{stopped}; stopped after {packets}"),
            None if self.reached => write!(f, "read to the end, {packets}"),
            None => write!(f, "not yet read to the end"),
        }
    }
}

/// Why a file could not be opened as a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError {
    /// The file, as given.
    pub name: String,
    /// What was wrong.
    pub why: OpenWhy,
}

/// See [`OpenError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenWhy {
    /// The system, or the decompressor, said this.
    Io(String),
    /// It is a folder.
    Folder,
    /// It has no bytes.
    Empty,
    /// It ends inside its header.
    CutShort {
        /// Bytes that are there.
        has: usize,
        /// Bytes of the header.
        wants: usize,
    },
    /// A version of the format that nobody has defined.
    Version(u16, u16),
    /// It begins with these bytes (at most eight).
    NotACapture(Vec<u8>),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: ", self.name)?;
        match &self.why {
            OpenWhy::Io(error) => f.write_str(error),
            OpenWhy::Folder => f.write_str("it is a folder"),
            OpenWhy::Empty => f.write_str("it is empty"),
            OpenWhy::CutShort { has, wants } => {
                write!(f, "it ends inside its header, {has} of {wants} bytes are there")
            }
            OpenWhy::Version(major, minor) => write!(f, "format version {major}.{minor} is unknown"),
            OpenWhy::NotACapture(bytes) => {
                f.write_str("it is neither pcap nor pcapng; it begins with")?;
                for byte in bytes {
                    write!(f, " {byte:02x}")?;
                }
                match advice(bytes) {
                    Some(advice) => write!(f, " ({advice})"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// What to do with a file that begins so.
fn advice(bytes: &[u8]) -> Option<&'static str> {
    Some(match bytes {
        [0x42, 0x5a, 0x68, ..] => "bzip2: unpack it with bunzip2 first",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz: unpack it with unxz first",
        [0x04, 0x22, 0x4d, 0x18, ..] => "lz4: unpack it with unlz4 first",
        [b'P', b'K', 3, 4, ..] => "zip: unpack it with unzip first",
        [b's', b'n', b'o', b'o', b'p', ..] => "snoop: convert it with editcap -F pcapng IN OUT first",
        [b'G', b'M', b'B', b'U', ..] | [b'R', b'T', b'S', b'S', ..] => {
            "Microsoft Network Monitor: convert it with editcap -F pcapng IN OUT first"
        }
        _ => return None,
    })
}
