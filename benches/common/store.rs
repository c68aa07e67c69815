//! The captures that benches read: made once, under `target/bench/`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::crowd::{self, Crowd, Flood, Of};
use super::frame::Made;
use super::gateway;
use super::traffic::{self, Busy, Plan};

/// Raised when the same scene gives another file, so that old captures are made anew.
const EDITION: u32 = 3;

/// Before the words of what is seen beyond a gateway.
const OUTER: &str = "outer-";

/// What a capture shows.
#[derive(Clone, Copy)]
pub enum Scene {
    Traffic(Plan),
    Crowd(Crowd),
    Flood(Flood),
    Busy(Busy),
    /// A flood of names.
    Names(Flood),
    /// What is seen of them beyond a gateway.
    OuterTraffic(Plan),
    OuterFlood(Flood),
}

/// A capture that is there.
#[derive(Clone)]
pub struct Capture {
    pub path: PathBuf,
    pub made: Made,
}

impl Capture {
    pub fn mb(&self) -> f64 {
        self.made.bytes as f64 / 1e6
    }
}

impl Scene {
    fn words(&self) -> String {
        match self {
            Self::Traffic(Plan { bytes, mixed, unique }) => {
                let kind = if *mixed { "mixed" } else { "handshakes" };
                format!("{kind}-{}-{bytes}", if *unique { "unique" } else { "repeated" })
            }
            Self::Crowd(Crowd { flows, packets }) => format!("crowd-{flows}-{packets}"),
            Self::Flood(Flood { syns, handshakes }) => format!("flood-{syns}-{handshakes}"),
            Self::Busy(Busy { connections, bytes }) => format!("busy-{connections}-{bytes}"),
            Self::Names(Flood { syns, handshakes }) => format!("names-{syns}-{handshakes}"),
            Self::OuterTraffic(plan) => format!("{OUTER}{}", Self::Traffic(*plan).words()),
            Self::OuterFlood(plan) => format!("{OUTER}{}", Self::Flood(*plan).words()),
        }
    }

    fn from_words(words: &str) -> Option<Self> {
        if let Some(inner) = words.strip_prefix(OUTER) {
            return Some(match Self::from_words(inner)? {
                Self::Traffic(plan) => Self::OuterTraffic(plan),
                Self::Flood(plan) => Self::OuterFlood(plan),
                _ => return None,
            });
        }
        let words: Vec<_> = words.split('-').collect();
        let [kind, first, second] = words[..] else { return None };
        let second = second.parse().ok()?;
        Some(match kind {
            "mixed" | "handshakes" => {
                Self::Traffic(Plan { bytes: second, mixed: kind == "mixed", unique: first == "unique" })
            }
            "crowd" => Self::Crowd(Crowd { flows: first.parse().ok()?, packets: second }),
            "busy" => Self::Busy(Busy { connections: first.parse().ok()?, bytes: second }),
            "flood" => Self::Flood(Flood { syns: first.parse().ok()?, handshakes: second }),
            "names" => Self::Names(Flood { syns: first.parse().ok()?, handshakes: second }),
            _ => return None,
        })
    }

    /// The capture of this scene, made where it is not there yet: by a process of its own, since what that has
    /// resident would count as every later child's. An outer one is made of the inner one, which must be there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn capture(&self) -> io::Result<Capture> {
        let words = self.words();
        let path = folder()?.join(format!("{words}-{EDITION}.pcap"));
        if let Some(made) = told(&path) {
            return Ok(Capture { path, made });
        }
        eprintln!("making {}", path.display());
        let status = Command::new(std::env::current_exe()?).args(["--make", &words]).status()?;
        match told(&path) {
            Some(made) if status.success() => Ok(Capture { path, made }),
            _ => Err(io::Error::other(format!("{} was not made", path.display()))),
        }
    }

    fn make(&self, path: &Path) -> io::Result<Made> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        match self {
            Self::Traffic(plan) => traffic::make(path, plan, root),
            Self::Busy(plan) => traffic::busy(path, plan, root),
            Self::Flood(plan) => crowd::flood(path, plan, Of::Syns, root),
            Self::Names(plan) => crowd::flood(path, plan, Of::Names, root),
            Self::OuterTraffic(_) | Self::OuterFlood(_) => {
                let inner = path.with_file_name(path.file_name().map_or(String::new(), |name| {
                    name.to_string_lossy().trim_start_matches(OUTER).to_owned()
                }));
                gateway::outside(path, &inner)
            }
            Self::Crowd(plan) => crowd::crowd(path, plan, root),
        }
    }
}

/// Where this process was begun by [`Scene::capture`]: makes what it was begun for.
pub fn made_for_another(arguments: &[String]) -> Option<io::Result<()>> {
    let words = super::option(arguments, "--make")?;
    Some((|| {
        let scene = Scene::from_words(&words).ok_or_else(|| io::Error::other(format!("no scene {words}")))?;
        let path = folder()?.join(format!("{words}-{EDITION}.pcap"));
        let made = scene.make(&path)?;
        tell(&path, &made)
    })())
}

/// The first bytes of a capture, whole packets.
///
/// # Errors
/// It cannot be read or written.
pub fn beginning(of: &Capture, bytes: u64) -> io::Result<Capture> {
    let path = of.path.with_extension(format!("first-{bytes}.pcap"));
    if let Some(made) = told(&path) {
        return Ok(Capture { path, made });
    }
    let mut file = io::BufReader::new(File::open(&of.path)?.take(bytes));
    let mut made = Made { bytes: 24, ..Made::default() };
    io::copy(&mut (&mut file).take(24), &mut io::sink())?;
    let mut header = [0; 16];
    while file.read_exact(&mut header).is_ok() {
        let length = u64::from(u32::from_le_bytes([header[8], header[9], header[10], header[11]]));
        if io::copy(&mut (&mut file).take(length), &mut io::sink())? < length {
            break;
        }
        made.packets += 1;
        made.bytes += 16 + length;
    }
    io::copy(&mut File::open(&of.path)?.take(made.bytes), &mut File::create(&path)?)?;
    tell(&path, &made)?;
    Ok(Capture { path, made })
}

fn folder() -> io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// What is written beside a capture that was finished.
fn told(path: &Path) -> Option<Made> {
    let text = fs::read_to_string(path.with_extension("made")).ok()?;
    let numbers: Vec<u64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let [packets, bytes, handshakes, completed] = numbers[..] else { return None };
    let whole = fs::metadata(path).is_ok_and(|meta| meta.len() == bytes);
    whole.then_some(Made { packets, bytes, handshakes, completed })
}

fn tell(path: &Path, made: &Made) -> io::Result<()> {
    let Made { packets, bytes, handshakes, completed } = made;
    fs::write(path.with_extension("made"), format!("{packets} {bytes} {handshakes} {completed}\n"))
}
