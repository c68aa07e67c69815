//! Keeps chosen frames as pcapng: the packets of failed handshakes (`-w`).

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

use super::{PACKET_MOST, plainly};
use crate::base::Stamp;
use crate::decode::{Frame, LinkType};

/// Longest comment on a packet, in bytes; an option holds 65 535.
const COMMENT_MOST: usize = 4_096;

/// Writes one pcapng section: an interface per link type, a packet block per frame with stamps in
/// microseconds. Little-endian on every host, so that equal input gives equal bytes.
pub struct PcapngWriter {
    out: BufWriter<Box<dyn Write + Send>>,
    name: String,
    /// Where the file is written and what it is called when it is whole.
    rename: Option<(PathBuf, PathBuf)>,
    /// The link type of each interface, and its packets.
    links: Vec<(LinkType, u64)>,
    packets: u64,
    /// Until when the capture ran that the frames are of.
    until: Option<Stamp>,
    block: Vec<u8>,
}

/// The file could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteError {
    /// The file, as given.
    pub name: String,
    /// What the system said.
    pub why: String,
    /// Packets written before.
    pub packets: u64,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, why, packets } = self;
        write!(f, "cannot write {name}: {why}")?;
        if *packets > 0 {
            write!(f, "; stopped after {}", super::Packets(*packets))?;
        }
        Ok(())
    }
}

impl std::error::Error for WriteError {}

impl PcapngWriter {
    /// Starts a file. It is written as `NAME.part` and gets its name in [`Self::finish`], so that
    /// nobody takes a part for the whole; what is no regular file (a pipe, `/dev/null`) is written
    /// directly.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let name = path.display().to_string();
        let direct = fs::metadata(path).is_ok_and(|kind| !kind.is_file());
        let (place, rename) = if direct {
            (path.to_owned(), None)
        } else {
            let mut part = path.as_os_str().to_owned();
            part.push(".part");
            let part = PathBuf::from(part);
            (part.clone(), Some((part, path.to_owned())))
        };
        let file = if direct { File::options().write(true).open(place) } else { File::create(place) };
        match file {
            Ok(file) => Self::start(Box::new(file), name, rename),
            Err(error) => Err(WriteError { name, why: plainly(&error), packets: 0 }),
        }
    }

    /// Goes on with a file by a section of its own, or makes it. For programs that run on: what is there already stays,
    /// and the file has its name from the start.
    ///
    /// # Errors
    /// The file cannot be opened, or holds something else.
    pub fn append(path: &Path) -> Result<Self, WriteError> {
        let name = path.display().to_string();
        let failed = |why| WriteError { name: name.clone(), why, packets: 0 };
        let regular = fs::metadata(path).map_or(true, |kind| kind.is_file());
        let mut options = File::options();
        let file = options
            .read(regular)
            .append(true)
            .create(regular)
            .open(path)
            .map_err(|error| failed(plainly(&error)))?;
        let mut begins = Vec::new();
        if regular {
            (&file).take(4).read_to_end(&mut begins).map_err(|error| failed(plainly(&error)))?;
        }
        if !begins.is_empty() && begins != [0x0a, 0x0d, 0x0d, 0x0a] {
            return Err(failed("it is there and is no pcapng file, and stays as it is".into()));
        }
        let mut new = Self::start(Box::new(file), name, None)?;
        new.flush()?;
        Ok(new)
    }

    /// Writes to anything, under a name for messages.
    ///
    /// # Errors
    /// The first bytes cannot be written.
    pub fn from_writer(name: String, writer: Box<dyn Write + Send>) -> Result<Self, WriteError> {
        Self::start(writer, name, None)
    }

    fn start(
        writer: Box<dyn Write + Send>,
        name: String,
        rename: Option<(PathBuf, PathBuf)>,
    ) -> Result<Self, WriteError> {
        let out = BufWriter::with_capacity(256 << 10, writer);
        let mut new =
            Self { out, name, rename, links: Vec::new(), packets: 0, until: None, block: Vec::new() };
        new.begin(0x0a0d_0d0a);
        new.u32(0x1a2b_3c4d);
        new.u32(1); // version 1.0
        new.block.extend(u64::MAX.to_le_bytes()); // the section's length is not known
        new.option(4, concat!("tlswhy ", env!("CARGO_PKG_VERSION")).as_bytes()); // shb_userappl
        new.u32(0); // opt_endofopt
        new.end()?;
        Ok(new)
    }

    /// Writes one frame. What its snap length cut is remembered by its length on the wire; stamps
    /// before 1970 become 1970, for pcapng has none.
    ///
    /// # Errors
    /// The file cannot be written, or its 65 536 interfaces are used up.
    pub fn write(&mut self, frame: &Frame<'_>, comment: Option<&str>) -> Result<(), WriteError> {
        let interface = match self.links.iter().position(|(link, _)| *link == frame.link) {
            Some(place) => place,
            None => self.interface(frame.link)?,
        };
        let data = frame.data.get(..PACKET_MOST).unwrap_or(frame.data);
        let Stamp(micros) = frame.stamp;
        let ticks = u64::try_from(micros).unwrap_or(0);
        self.begin(6);
        self.u32(u32::try_from(interface).unwrap_or(0));
        let [low, high] = halves(ticks);
        self.u32(high);
        self.u32(low);
        let captured = u32::try_from(data.len()).unwrap_or(0); // at most PACKET_MOST
        self.u32(captured);
        self.u32(frame.wire_len.max(captured));
        self.block.extend(data);
        self.pad();
        if let Some(comment) = comment {
            self.option(1, comment.get(..comment.floor_char_boundary(COMMENT_MOST)).unwrap_or("").as_bytes());
            self.u32(0); // opt_endofopt
        }
        self.end()?;
        self.packets += 1;
        if let Some((_, packets)) = self.links.get_mut(interface) {
            *packets += 1;
        }
        Ok(())
    }

    /// Notes until when the capture ran that the frames are of. It is written behind them: who reads them knows then that
    /// nothing followed. The latest counts.
    pub fn ran_until(&mut self, until: Stamp) {
        self.until = self.until.max(Some(until));
    }

    /// Packets written.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Hands what is buffered to the system, so that a reader sees it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.out.flush().map_err(|error| self.failed(&error))
    }

    /// Completes the file, gives it its name, and returns how many packets it holds. Without this
    /// a `.part` file stays.
    ///
    /// # Errors
    /// The file cannot be written or renamed.
    pub fn finish(mut self) -> Result<u64, WriteError> {
        self.statistics()?;
        self.flush()?;
        if let Some((part, whole)) = self.rename.take() {
            fs::rename(part, whole).map_err(|error| self.failed(&error))?;
        }
        Ok(self.packets)
    }

    fn interface(&mut self, link: LinkType) -> Result<usize, WriteError> {
        self.begin(1);
        self.block.extend(link.0.to_le_bytes());
        self.block.extend([0, 0]);
        self.u32(0); // no snap length; the default resolution is microseconds
        self.end()?;
        self.links.push((link, 0)); // at most 65 536: one for each number
        Ok(self.links.len() - 1)
    }

    /// An Interface Statistics Block for each interface: until when it was captured, and how many packets were chosen.
    fn statistics(&mut self) -> Result<(), WriteError> {
        let Some(Stamp(micros)) = self.until else { return Ok(()) };
        let [low, high] = halves(u64::try_from(micros).unwrap_or(0));
        for (interface, (_, packets)) in std::mem::take(&mut self.links).into_iter().enumerate() {
            self.begin(5);
            self.u32(u32::try_from(interface).unwrap_or(0));
            self.u32(high);
            self.u32(low);
            self.option(3, [high.to_le_bytes(), low.to_le_bytes()].as_flattened()); // isb_endtime
            self.option(6, &packets.to_le_bytes()); // isb_filteraccept
            self.u32(0); // opt_endofopt
            self.end()?;
        }
        Ok(())
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.u32(kind);
        self.u32(0); // the length: see `end`
    }

    fn u32(&mut self, number: u32) {
        self.block.extend(number.to_le_bytes());
    }

    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.block.extend(code.to_le_bytes());
        self.block.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
        self.block.extend(value);
        self.pad();
    }

    /// Fills in both lengths and writes the block.
    fn end(&mut self) -> Result<(), WriteError> {
        let len = u32::try_from(self.block.len() + 4).unwrap_or(0).to_le_bytes(); // bounded: see `write`
        self.block.extend(len);
        if let Some(place) = self.block.get_mut(4..8) {
            place.copy_from_slice(&len);
        }
        self.out.write_all(&self.block).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> WriteError {
        WriteError { name: self.name.clone(), why: plainly(error), packets: self.packets }
    }
}

/// The lower and the upper half.
fn halves(number: u64) -> [u32; 2] {
    [number & u64::from(u32::MAX), number >> 32].map(|half| u32::try_from(half).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::testing::read;
    use super::*;
    use crate::base::PacketNo;
    use std::process::Command;
    use std::sync::{Arc, Mutex};

    /// A writer whose bytes can be looked at afterwards.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frame(no: u64, stamp: i64, link: LinkType, data: &[u8], wire_len: u32) -> Frame<'_> {
        Frame { no: PacketNo(no), stamp: Stamp(stamp), link, data, wire_len }
    }

    const ETHERNET: [u8; 43] = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x08, 0x00, // Ethernet
        0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        0, 53, 0, 53, 0, 9, 0, 0, b'x', // UDP
    ];

    fn write(writer: &mut PcapngWriter) {
        let stamp = 1_700_000_000_123_456;
        writer.write(&frame(7, stamp, LinkType::ETHERNET, &ETHERNET, 43), None).unwrap();
        writer.write(&frame(8, stamp + 1, LinkType::RAW, &ETHERNET[14..], 900), Some("why: ü")).unwrap();
        writer.write(&frame(9, stamp + 2, LinkType::ETHERNET, &ETHERNET, 43), Some("")).unwrap();
    }

    #[test]
    fn what_is_written_is_read_back() {
        let shared = Shared::default();
        let mut writer = PcapngWriter::from_writer("x".into(), Box::new(shared.clone())).unwrap();
        write(&mut writer);
        assert_eq!(writer.finish().unwrap(), 3);
        let (frames, ending) = read(shared.0.lock().unwrap().clone());
        assert!(ending.is_clean(), "{ending}");
        let stamp = 1_700_000_000_123_456;
        assert_eq!(
            frames,
            [
                (1, stamp, 1, ETHERNET.to_vec(), 43),
                (2, stamp + 1, 101, ETHERNET[14..].to_vec(), 900),
                (3, stamp + 2, 1, ETHERNET.to_vec(), 43),
            ]
        );
    }

    #[test]
    fn until_when_the_capture_ran_is_written_behind_the_packets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcapng");
        let mut writer = PcapngWriter::create(&path).unwrap();
        write(&mut writer);
        let until = Stamp(1_700_000_003_000_000);
        writer.ran_until(until);
        writer.ran_until(Stamp(5));
        writer.finish().unwrap();
        wireshark_reads(&path);
        let mut reader = crate::capture::file::FileReader::open(&path).unwrap();
        while reader.next().is_some() {}
        assert_eq!(reader.ran_until(), Some(until));
    }

    #[test]
    fn what_pcapng_cannot_hold_is_bounded() {
        let shared = Shared::default();
        let mut writer = PcapngWriter::from_writer("x".into(), Box::new(shared.clone())).unwrap();
        let long = vec![1; PACKET_MOST + 9];
        let comment = "ü".repeat(COMMENT_MOST);
        writer.write(&frame(1, -5, LinkType::ETHERNET, &long, 7), Some(&comment)).unwrap();
        writer.finish().unwrap();
        let (frames, ending) = read(shared.0.lock().unwrap().clone());
        assert!(ending.is_clean(), "{ending}");
        assert_eq!((frames[0].1, frames[0].3.len(), frames[0].4), (0, PACKET_MOST, PACKET_MOST as u32));
    }

    #[test]
    fn a_file_gets_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcapng");
        let part = PathBuf::from(format!("{}.part", path.display()));
        let mut writer = PcapngWriter::create(&path).unwrap();
        write(&mut writer);
        assert!(part.exists() && !path.exists());
        writer.finish().unwrap();
        assert!(!part.exists() && path.exists());
        wireshark_reads(&path);
    }

    /// Asks tshark, where there is one.
    fn wireshark_reads(path: &Path) {
        let fields = ["frame.number", "frame.time_epoch", "frame.len", "frame.cap_len", "frame.comment"];
        let mut command = Command::new("tshark");
        command.arg("-r").arg(path).args(["-t", "ud", "-T", "fields", "-E", "separator=|"]);
        for field in fields {
            command.args(["-e", field]);
        }
        let Ok(output) = command.output() else {
            eprintln!("skipped: there is no tshark to read the file");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let want = "1|1700000000.123456000|43|43|\n2|1700000000.123457000|900|29|why: ü\n\
                    3|1700000000.123458000|43|43|";
        assert_eq!(lines.trim_end(), want);
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let error = PcapngWriter::create(Path::new("/no/such/folder/x.pcapng")).err().unwrap();
        assert_eq!(error.to_string(), "cannot write /no/such/folder/x.pcapng: no such file or folder");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_with_the_packets_written_before() {
        let mut writer = PcapngWriter::create(Path::new("/dev/full")).unwrap();
        write(&mut writer);
        let error = writer.finish().err().unwrap();
        assert_eq!(error.why, "no space left on device");
        assert_eq!(error.packets, 3);
    }

    #[test]
    fn a_file_is_gone_on_with_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcapng");
        for no in 1..=3 {
            let mut writer = PcapngWriter::append(&path).unwrap();
            let data = [no as u8; 60];
            let frame = Frame {
                no: PacketNo(no),
                stamp: Stamp(5),
                link: LinkType::ETHERNET,
                data: &data,
                wire_len: 60,
            };
            writer.write(&frame, None).unwrap();
            assert_eq!(writer.finish(), Ok(1));
        }
        let mut reader = crate::capture::file::FileReader::open(&path).unwrap();
        let mut first_bytes = Vec::new();
        while let Some(frame) = reader.next() {
            first_bytes.extend(frame.data.first().copied());
        }
        assert_eq!(first_bytes, [1, 2, 3]);
        fs::write(&path, "notes").unwrap();
        let said = PcapngWriter::append(&path).err().unwrap().to_string();
        assert!(said.contains("is no pcapng file"), "{said}");
        assert_eq!(fs::read(&path).unwrap(), b"notes");
    }
}
