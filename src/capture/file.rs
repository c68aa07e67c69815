//! Frames of capture files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use super::block::Block;
use super::buffer::Buffer;
use super::classic::Classic;
use super::ending::{Ending, OpenError, OpenWhy, Skipped};
use super::input::{self, Unpacked};
use super::pcapng::Pcapng;
use super::pieces::Pieces;
use super::{Stopped, plainly};
use crate::base::{PacketNo, Stamp};
use crate::decode::{BURST, Frame, Frames, LinkType};
use crate::tls::keys::Keys;

/// Reads the frames of one capture: pcap or pcapng, plain or compressed.
pub struct FileReader {
    buffer: Buffer,
    format: Format,
    progress: Progress,
    ending: Ending,
    read: Arc<AtomicU64>,
    size: Option<u64>,
    /// Its bytes are not those that come.
    was_packed: bool,
    /// The file itself, where it can be read at any place.
    file: Option<File>,
}

/// The two families of formats.
enum Format {
    Classic(Classic),
    Pcapng(Pcapng),
}

/// Where a reader is. Kept by the formats.
#[derive(Default)]
pub(super) struct Progress {
    /// Number of the last packet, as Wireshark counts.
    pub number: u64,
    /// Frames given.
    pub given: u64,
    /// Stamp of the last frame.
    pub last: Stamp,
    skipped: Option<Skipped>,
}

impl Progress {
    /// Notes that reading went on `bytes` further behind damage.
    pub fn skip(&mut self, stopped: Stopped, bytes: u64) {
        let skipped = self.skipped.get_or_insert(Skipped { first: stopped, places: 0, bytes: 0 });
        skipped.places += 1;
        skipped.bytes += bytes;
    }
}

/// A frame whose bytes lie in the buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Place for [`Buffer::lent`].
    pub at: usize,
    pub len: usize,
    pub stamp: Stamp,
    pub link: LinkType,
    pub wire_len: u32,
}

/// What a format found next.
pub(super) enum Step {
    Frame(Head),
    /// Nothing more: the clean end, or what was wrong.
    End(Option<Stopped>),
}

/// What a format says to the first bytes of a file.
pub(super) enum Opened<T> {
    This(T),
    NotThis,
    CutShort { wants: usize },
    Version(u16, u16),
}

impl FileReader {
    /// Opens a path, or standard input for `-`. Compression and format are told by magic bytes, not
    /// by the name.
    ///
    /// # Errors
    /// The file cannot be opened, is a folder, is empty, or does not begin as a capture does.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if path.as_os_str() == "-" {
            return Self::from_reader("standard input".into(), Box::new(io::stdin()));
        }
        let name = path.display().to_string();
        let failed = |why| OpenError { name: name.clone(), why };
        let file = File::open(path).map_err(|error| failed(OpenWhy::Io(plainly(&error))))?;
        let kind = file.metadata().map_err(|error| failed(OpenWhy::Io(plainly(&error))))?;
        if kind.is_dir() {
            return Err(failed(OpenWhy::Folder));
        }
        let again = if kind.is_file() { file.try_clone().ok() } else { None };
        let mut reader = Self::from_reader(name.clone(), Box::new(file))?;
        reader.size = kind.is_file().then_some(kind.len());
        reader.file = again;
        Ok(reader)
    }

    /// Reads a capture from anything, under a name for messages.
    ///
    /// # Errors
    /// Its first bytes cannot be read or are not those of a capture.
    pub fn from_reader(name: String, reader: Box<dyn Read + Send>) -> Result<Self, OpenError> {
        let Unpacked { reader, read, was_packed } = match input::unpack(reader) {
            Ok(unpacked) => unpacked,
            Err(error) => return Err(OpenError { name, why: OpenWhy::Io(plainly(&error)) }),
        };
        let mut buffer = Buffer::new(reader);
        match Format::open(&mut buffer) {
            Ok(format) => Ok(Self {
                buffer,
                format,
                progress: Progress::default(),
                ending: Ending { name, reached: false, packets: 0, skipped: None, stopped: None },
                read,
                size: None,
                was_packed,
                file: None,
            }),
            Err(why) => Err(OpenError { name, why }),
        }
    }

    /// The next frame, lent from the read buffer until the next call; `None` at the end, whatever it
    /// is: see [`Self::ending`]. Blocks while a pipe has nothing to read.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        let head = self.step()?;
        Some(self.frame(PacketNo(self.progress.number), &head))
    }

    /// The next frame, and those behind it that are in the read buffer already; otherwise as [`Self::next`].
    pub fn burst(&mut self) -> Option<Frames<'_>> {
        let mut heads = SmallVec::<[_; BURST]>::new();
        let first = self.step()?;
        heads.push((PacketNo(self.progress.number), first));
        while heads.len() < BURST {
            let Some(head) = self.step_here() else { break };
            heads.push((PacketNo(self.progress.number), head));
        }
        Some(heads.iter().map(|(no, head)| self.frame(*no, head)).collect())
    }

    /// Lends the next frames, as [`Self::burst`] does, where they need not be moved. False at the end.
    pub fn lend(&mut self, take: &mut dyn FnMut(&[Frame<'_>])) -> bool {
        const NONE: Frame<'_> =
            Frame { no: PacketNo(0), stamp: Stamp(0), link: LinkType(0), data: &[], wire_len: 0 };
        if let Format::Classic(classic) = &self.format {
            let mut frames = [NONE; BURST];
            let (count, taken) = classic.fill(self.buffer.window(), &mut self.progress, &mut frames);
            if let Some(frames) = frames.get(..count).filter(|frames| !frames.is_empty()) {
                take(frames);
                self.buffer.take(taken);
                return true;
            }
            // It must be read first. Those behind it come with the next call.
            return self.next().map(|frame| take(&[frame])).is_some();
        }
        self.burst().map(|frames| take(&frames)).is_some()
    }

    /// All frames of the next piece of the file, with the piece itself; otherwise as [`Self::next`]. Where to put them is
    /// given, if only to be filled again.
    pub fn block(&mut self, mut block: Block) -> Option<Block> {
        block.clear();
        let first = self.step()?;
        block.place(PacketNo(self.progress.number), first);
        if let Format::Classic(classic) = &self.format {
            classic.place(&mut self.buffer, &mut self.progress, &mut block);
        } else {
            while let Some(head) = self.step_here() {
                block.place(PacketNo(self.progress.number), head);
            }
        }
        block.bytes = self.buffer.trade(std::mem::take(&mut block.bytes));
        Some(block)
    }

    /// What is not read yet, for threads that read it ahead; from here on frames come from what they read. `None` where the
    /// file is packed, or none.
    pub fn pieces(&mut self) -> Option<Arc<Pieces>> {
        let file = self.file.take().filter(|_| !self.was_packed && !self.buffer.ended())?;
        let pieces = Arc::new(Pieces::new(file, self.buffer.read(), Arc::clone(&self.read)));
        self.buffer.go_on_in(Arc::clone(&pieces));
        Some(pieces)
    }

    /// The next frame, where that moves no bytes.
    #[inline]
    fn step_here(&mut self) -> Option<Head> {
        match &mut self.format {
            Format::Classic(classic) => classic.next_here(&mut self.buffer, &mut self.progress),
            Format::Pcapng(pcapng) if pcapng.is_here(&self.buffer) => {
                match pcapng.next(&mut self.buffer, &mut self.progress) {
                    Step::Frame(head) => Some(head),
                    // It takes nothing, so that the next call comes upon it again.
                    Step::End(_) => None,
                }
            }
            Format::Pcapng(_) => None,
        }
    }

    #[inline]
    fn step(&mut self) -> Option<Head> {
        let step = match &mut self.format {
            Format::Classic(classic) => classic.next(&mut self.buffer, &mut self.progress),
            Format::Pcapng(pcapng) => pcapng.next(&mut self.buffer, &mut self.progress),
        };
        match step {
            Step::Frame(head) => Some(head),
            Step::End(stopped) => {
                self.end(stopped);
                None
            }
        }
    }

    #[inline]
    fn frame(&self, no: PacketNo, head: &Head) -> Frame<'_> {
        Frame {
            no,
            stamp: head.stamp,
            link: head.link,
            data: self.buffer.lent(head.at, head.len),
            wire_len: head.wire_len,
        }
    }

    #[cold]
    fn end(&mut self, stopped: Option<Stopped>) {
        self.ending.reached = true;
        self.ending.packets = self.progress.given;
        self.ending.skipped = self.progress.skipped.take().or_else(|| self.ending.skipped.take());
        self.ending.stopped = stopped;
    }

    /// How the file ended, once [`Self::next`] gave `None`.
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Until when the capture ran, where the file has it and it can be believed (pcapng, section 4.6); asked behind the last
    /// frame. Never before the last frame.
    pub fn ran_until(&self) -> Option<Stamp> {
        match &self.format {
            Format::Pcapng(pcapng) if self.ending.is_clean() => pcapng.ran_until(&self.progress),
            _ => None,
        }
    }

    /// Frames given so far.
    pub fn packets_read(&self) -> u64 {
        self.progress.given
    }

    /// Bytes taken from the file so far, before decompression and with some read ahead; for a progress bar.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The file's size, in the bytes that [`Self::bytes_read`] counts; `None` for pipes.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Files TLS key logs (Decryption Secrets Blocks) away here as they are met, and forgets those of another capture.
    pub fn with_keys(mut self, keys: &Keys) -> Self {
        keys.next_capture();
        if let Format::Pcapng(pcapng) = &mut self.format {
            pcapng.keys = Some(keys.clone());
        }
        self
    }
}

impl Format {
    fn open(buffer: &mut Buffer) -> Result<Self, OpenWhy> {
        if !buffer.holds(4) {
            return Err(match (buffer.failure(), buffer.window()) {
                (Some(error), _) => OpenWhy::Io(error.to_owned()),
                (None, []) => OpenWhy::Empty,
                (None, bytes) => OpenWhy::NotACapture(bytes.to_vec()),
            });
        }
        let wants = match Classic::open(buffer) {
            Opened::This(classic) => return Ok(Self::Classic(classic)),
            Opened::Version(major, minor) => return Err(OpenWhy::Version(major, minor)),
            Opened::CutShort { wants } => Some(wants),
            Opened::NotThis => match Pcapng::open(buffer) {
                Opened::This(pcapng) => return Ok(Self::Pcapng(pcapng)),
                Opened::Version(major, minor) => return Err(OpenWhy::Version(major, minor)),
                Opened::CutShort { wants } => Some(wants),
                Opened::NotThis => None,
            },
        };
        Err(match (wants, buffer.failure()) {
            (_, Some(error)) => OpenWhy::Io(error.to_owned()),
            (Some(wants), None) => OpenWhy::CutShort { has: buffer.window().len(), wants },
            (None, None) => {
                let _ = buffer.holds(8);
                OpenWhy::NotACapture(buffer.window().iter().copied().take(8).collect())
            }
        })
    }

    /// Whether these bytes begin as a capture file that can be read.
    pub fn is_begun_by(start: &[u8]) -> bool {
        let mut buffer = Buffer::new(Box::new(io::Cursor::new(start.to_vec())));
        buffer.holds(4)
            && !(matches!(Classic::open(&mut buffer), Opened::NotThis)
                && matches!(Pcapng::open(&mut buffer), Opened::NotThis))
    }
}

/// Whether a file, packed or not, begins as a capture does. Reads a few bytes only.
///
/// # Errors
/// The file cannot be opened or read.
pub(super) fn looks_like_a_capture(path: &Path) -> io::Result<bool> {
    let reader = input::unpack(Box::new(File::open(path)?))?.reader;
    let mut start = Vec::with_capacity(32);
    reader.take(32).read_to_end(&mut start)?;
    Ok(Format::is_begun_by(&start))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
