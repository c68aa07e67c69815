//! Programs that read a capture: the floors, this program, others.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::common::child;
use super::common::frame::Made;
use super::common::store::{self, Capture, Scene};
use super::common::traffic::Plan;

/// A program that reads.
#[derive(Clone)]
pub struct Way {
    pub name: String,
    words: Vec<String>,
    /// Reads the beginning only, since the whole would take too long.
    most: Option<u64>,
    /// Where it writes what it must write somewhere.
    folder: Option<PathBuf>,
}

/// What a way cost on one capture, run by run.
#[derive(Clone, Default)]
pub struct Figures {
    pub cpu: Vec<Duration>,
    pub wall: Vec<Duration>,
    pub peak_kb: u64,
    /// Megabytes of what was read.
    pub mb: f64,
}

/// In a way's words: the capture.
const FILE: &str = "{file}";

impl Way {
    fn new(name: &str, words: &[&str]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Self { name: name.to_owned(), words, most: None, folder: None }
    }

    /// One of the two floors, by this executable.
    pub fn floor(which: &str) -> io::Result<Self> {
        let own = std::env::current_exe()?.display().to_string();
        let name = if which == "flows" {
            "floor: headers, flow table, TLS records"
        } else {
            "floor: read and walk headers"
        };
        Ok(Self::new(name, &[&own, "--floor", which, FILE]))
    }

    /// This program.
    pub fn tlswhy(name: &str, program: &str, workers: usize, with: &[String]) -> Self {
        let mut way = Self::new(name, &[program, "read", "--json", "--no-progress", "--workers"]);
        way.words.push(workers.to_string());
        way.words.extend(with.iter().cloned());
        way.words.push(FILE.to_owned());
        way
    }

    /// This program on both sides of a gateway; what it is run on is the inner one.
    pub fn both(name: &str, program: &str, outer: &Path, with: &[String]) -> Self {
        let outer = outer.display().to_string();
        let mut way = Self::new(
            name,
            &[program, "read", "--json", "--no-progress", "--inside", FILE, "--outside", &outer],
        );
        way.words.extend(with.iter().cloned());
        way
    }

    /// Others that are installed, as their manuals say; says of each that is not.
    pub fn peers() -> io::Result<Vec<Self>> {
        let scratch = std::env::temp_dir().join(format!("tlswhy-bench-{}", std::process::id()));
        let inside = scratch.display().to_string();
        let fields = ["frame.number", "tls.handshake.extensions_server_name", "tls.alert_message.desc"];
        let mut tshark =
            vec!["tshark", "-n", "-r", FILE, "-Y", "tls.handshake or tls.alert_message", "-T", "fields"];
        tshark.extend(fields.iter().flat_map(|field| ["-e", field]));
        let all = [
            Self::new("tcpdump -w /dev/null", &["tcpdump", "-r", FILE, "-w", "/dev/null"]),
            Self::new("ndpiReader", &["ndpiReader", "-q", "-i", FILE]),
            Self { most: Some(20_000_000), ..Self::new("tshark, TLS fields (first 20 MB)", &tshark) },
            Self {
                folder: Some(scratch.clone()),
                ..Self::new(
                    "suricata, one thread",
                    &[
                        "suricata",
                        "-r",
                        FILE,
                        "-l",
                        &inside,
                        "-k",
                        "none",
                        "-S",
                        "/dev/null",
                        "--runmode",
                        "single",
                    ],
                )
            },
            Self {
                folder: Some(scratch.clone()),
                ..Self::new("zeek, SSL scripts", &["zeek", "-b", "-C", "-r", FILE, "base/protocols/ssl"])
            },
            Self {
                folder: Some(scratch.clone()),
                ..Self::new(
                    "mercury, TLS with certificates",
                    &[
                        "mercury",
                        "-r",
                        FILE,
                        "-f",
                        &format!("{inside}/mercury.json"),
                        "-s",
                        "tls",
                        "--certs-json",
                        "--metadata",
                    ],
                )
            },
        ];
        let trial = Scene::Traffic(Plan { bytes: 1_000_000, mixed: true, unique: true }).capture()?;
        let mut there = Vec::new();
        for way in all {
            let program = &way.words[0];
            if !installed(program) {
                println!("{program}: not installed, skipped");
            } else if let Err(error) = way.run(&trial, &mut Figures::default()) {
                println!("{program}: skipped ({error})");
            } else {
                there.push(way);
            }
        }
        Ok(there)
    }

    fn command(&self, path: &Path) -> io::Result<Command> {
        let words = self.words.iter().map(|word| word.replace(FILE, &path.display().to_string()));
        let words: Vec<String> = words.collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        if let Some(folder) = &self.folder {
            // As empty as for the first run.
            drop(fs::remove_dir_all(folder));
            fs::create_dir_all(folder)?;
            command.current_dir(folder);
        }
        Ok(command)
    }

    /// Runs once, and adds to the figures.
    pub fn run(&self, capture: &Capture, figures: &mut Figures) -> io::Result<()> {
        let capture = match self.most {
            Some(most) if most < capture.made.bytes => &store::beginning(capture, most)?,
            _ => capture,
        };
        let cost = child::run(&mut self.command(&fs::canonicalize(&capture.path)?)?)?;
        if let Some(folder) = &self.folder {
            drop(fs::remove_dir_all(folder));
        }
        if !cost.well {
            return Err(io::Error::other(format!("{} failed on {}", self.name, capture.path.display())));
        }
        figures.cpu.push(cost.cpu);
        figures.wall.push(cost.wall);
        figures.peak_kb = figures.peak_kb.max(cost.peak_kb);
        figures.mb = capture.mb();
        Ok(())
    }

    /// What this program finds in a capture: counts, and a hash of all that it printed but the names of files.
    pub fn events(
        &self,
        capture: &Capture,
        mut each: impl FnMut(&serde_json::Value),
    ) -> io::Result<(Made, u64)> {
        use std::hash::{BuildHasher, Hasher};
        let mut child = self.command(&capture.path)?.stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::with_capacity(1 << 20, child.stdout.take().expect("piped"));
        let mut found = Made { bytes: capture.made.bytes, ..Made::default() };
        let mut hasher = foldhash::fast::FixedState::default().build_hasher();
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            hasher.write(&line);
            let event: serde_json::Value = serde_json::from_slice(&line)?;
            if event["kind"] == "stats" {
                found.packets = event["packets"].as_u64().unwrap_or_default();
            } else if event["kind"] == "handshake" {
                found.handshakes += 1;
                found.completed += u64::from(event["outcome"] == "completed");
            }
            each(&event);
            line.clear();
        }
        if !child.wait()?.success() {
            return Err(io::Error::other(format!("{} failed on {}", self.name, capture.path.display())));
        }
        Ok((found, hasher.finish()))
    }
}

impl Figures {
    pub fn least(&self) -> Duration {
        self.cpu.iter().min().copied().unwrap_or_default()
    }

    pub fn least_wall(&self) -> Duration {
        self.wall.iter().min().copied().unwrap_or_default()
    }

    /// Megabytes a CPU second, in the best run.
    pub fn rate(&self) -> f64 {
        self.mb / self.least().as_secs_f64()
    }

    pub fn peak_mb(&self) -> f64 {
        self.peak_kb as f64 / 1_024.0
    }
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Ways in turn, again and again, so that what else the machine does meets all alike.
pub fn interleaved(ways: &[Way], capture: &Capture, runs: usize) -> io::Result<Vec<Figures>> {
    let mut figures = vec![Figures::default(); ways.len()];
    for _ in 0..runs {
        for (way, figures) in ways.iter().zip(&mut figures) {
            way.run(capture, figures)?;
        }
    }
    Ok(figures)
}
