//! What the tests of the built program share: the captures, their labels, and a way to run it.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod attempts;
pub mod judged;
pub mod keys;
pub mod pcap;
pub mod service;
pub mod stacks;
pub mod tally;
pub mod tshark;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The root of the package; the program runs here, so that names in events are relative to it.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A line that is seen on each run; what `println!` writes is seen of tests that fail.
#[allow(clippy::explicit_write, reason = "what eprintln! writes is held back too")]
pub fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error takes a line");
}

/// Where third-party captures are: `../shared/corpora` beside the checkout, or `TLSWHY_CORPORA`. A test that goes
/// without them says so.
pub fn corpora() -> Option<PathBuf> {
    let beside = || root().join("../shared/corpora");
    let folder = std::env::var_os("TLSWHY_CORPORA").map_or_else(beside, PathBuf::from);
    let there = folder.join("manifest.tsv").is_file();
    if !there {
        tell(&format!("skipped in part: there are no third-party captures at {}", folder.display()));
    }
    there.then_some(folder)
}

/// The captures whose names fit: the package's, and those of others where they are at hand.
pub fn captures_and_corpora(own: impl Fn(&str) -> bool, others: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    fn fits(path: &Path, fit: impl Fn(&str) -> bool) -> bool {
        path.file_name().and_then(std::ffi::OsStr::to_str).is_some_and(fit)
    }
    let mut all: Vec<_> = captures().into_iter().filter(|path| fits(path, &own)).collect();
    let corpora = corpora().map(|folder| files(folder.join("pcap")));
    all.extend(corpora.into_iter().flatten().filter(|path| fits(path, &others)));
    all.into_iter().map(|path| root().join(path)).collect()
}

/// What the program said and how it ended.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let ran = Self {
            code: output.status.code().expect("the program ended by a signal"),
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        };
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        ran
    }

    /// Every line as an event.
    pub fn events(&self) -> Vec<Value> {
        events(&self.stdout)
    }

    /// The handshakes among the events.
    pub fn handshakes(&self) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["kind"] == "handshake").collect()
    }
}

/// Lines of JSON.
pub fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tlswhy"));
    command.current_dir(root()).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Runs the program in the root of the package.
pub fn run<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Ran {
    Ran::of(program().args(args).output().expect("the program starts"))
}

/// The same with bytes on standard input.
pub fn run_with_input<S: AsRef<std::ffi::OsStr>>(args: &[S], input: &[u8]) -> Ran {
    let mut child = program()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer ends");
    Ran::of(output)
}

/// The roots of the laboratories that made the captures, as options; those that are there.
pub fn lab_roots() -> Vec<String> {
    let mut options = vec!["--trust".to_owned(), "mozilla".to_owned()];
    for root in ["captures/lab-root.pem", "captures/lab-root-net.pem"] {
        if self::root().join(root).is_file() {
            options.extend(["--trust".to_owned(), root.to_owned()]);
        }
    }
    options
}

/// The roots that lie in a folder of captures, as options beside the public ones.
pub fn roots_in(folder: &Path) -> Vec<String> {
    let pem = |path: &PathBuf| path.extension().is_some_and(|end| end == "pem");
    let roots = files(folder).into_iter().filter(pem).map(|path| path.to_str().expect("UTF-8").to_owned());
    let roots = ["mozilla".to_owned()].into_iter().chain(roots);
    roots.flat_map(|root| ["--trust".to_owned(), root]).collect()
}

/// Every file under a folder, sorted, relative to the root where it is inside.
pub fn files(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.insert(path);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&root().join(folder), &mut found);
    found.into_iter().map(|path| path.strip_prefix(root()).map(Path::to_owned).unwrap_or(path)).collect()
}

/// The name without `.pcap`, `.pcapng`, and `.gz` or `.zst` behind it; nothing where it is no capture.
pub fn stem(path: &Path) -> Option<PathBuf> {
    let text = path.to_str()?;
    let plain = text.strip_suffix(".gz").or_else(|| text.strip_suffix(".zst")).unwrap_or(text);
    plain.strip_suffix(".pcap").or_else(|| plain.strip_suffix(".pcapng")).map(PathBuf::from)
}

/// Every capture of the package, sorted, relative to its root.
pub fn captures() -> Vec<PathBuf> {
    captures_in(Path::new("captures"))
}

/// Every capture of a folder, sorted.
pub fn captures_in(folder: &Path) -> Vec<PathBuf> {
    files(folder).into_iter().filter(|path| stem(path).is_some()).collect()
}

/// The file of a path, as text.
pub fn text(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One attempt of a label.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub outcome: String,
    pub also_outcome: Vec<String>,
    pub cause: Option<String>,
    pub reason: Option<String>,
    pub side: Option<String>,
    pub also: Vec<String>,
    pub visible: bool,
    /// Of `together`: between the points of capture (`gateway`) or beyond the outer one (`server_side`).
    pub place: Option<String>,
}

impl Attempt {
    /// For people.
    pub fn told(&self) -> String {
        match &self.cause {
            None => self.outcome.clone(),
            Some(cause) => {
                format!("{} {cause}{}", self.outcome, if self.visible { "" } else { " (not visible)" })
            }
        }
    }

    pub fn has_outcome(&self, outcome: &str) -> bool {
        self.outcome == outcome || self.also_outcome.iter().any(|also| also == outcome)
    }

    pub fn has_cause(&self, cause: &str) -> bool {
        self.cause.as_deref() == Some(cause) || self.also.iter().any(|also| also == cause)
    }
}

/// What the author of a capture says of it.
#[derive(Clone, Debug)]
pub struct Label {
    /// Whether it is judged by the laboratories' roots.
    pub lab: bool,
    /// The side of the gateway it was recorded at, where there was one.
    pub vantage: Option<String>,
    pub made_by: String,
    pub why: String,
    pub attempts: Vec<Attempt>,
    /// Of a pair on both sides of the gateway: the connections, as one knows them who has both captures.
    pub together: Vec<Attempt>,
}

/// The attempts under a key of a label.
fn attempts(label: &toml::Table, key: &str) -> Vec<Attempt> {
    let attempts = label.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
    attempts
        .iter()
        .map(|attempt| Attempt {
            outcome: attempt["outcome"].as_str().expect("a word").to_owned(),
            also_outcome: words(attempt.get("also_outcome")),
            cause: attempt.get("cause").map(|cause| cause.as_str().expect("a word").to_owned()),
            reason: attempt.get("reason").map(|reason| reason.as_str().expect("a word").to_owned()),
            side: attempt.get("side").map(|side| side.as_str().expect("a word").to_owned()),
            also: words(attempt.get("also")),
            visible: attempt.get("visible").and_then(toml::Value::as_bool).unwrap_or(false),
            place: attempt.get("where").map(|place| place.as_str().expect("a word").to_owned()),
        })
        .collect()
}

fn words(value: Option<&toml::Value>) -> Vec<String> {
    match value {
        None => Vec::new(),
        Some(toml::Value::String(word)) => vec![word.clone()],
        Some(value) => value
            .as_array()
            .expect("a list of words")
            .iter()
            .map(|word| word.as_str().expect("a word").to_owned())
            .collect(),
    }
}

/// The label beside a capture.
pub fn label(capture: &Path) -> Label {
    let path = stem(capture).expect("is a capture").with_extension("toml");
    let read: toml::Table = text(&path).parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let word = |key| read.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let lab = match word("trust").as_deref() {
        Some("lab") => true,
        Some("mozilla") => false,
        other => panic!("{}: trust is {other:?}", path.display()),
    };
    Label {
        lab,
        vantage: word("vantage"),
        made_by: word("made_by").unwrap_or_default(),
        why: word("why").unwrap_or_default(),
        attempts: attempts(&read, "attempt"),
        together: attempts(&read, "together"),
    }
}

/// Bytes in Base64 (RFC 4648 section 4).
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, n| bits << 8 | usize::from(group.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * n) & 63]);
            text.push(if n > group.len() { '=' } else { digit });
        }
    }
    text
}

/// A folder for one test, removed with it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        // Thousands of small files are written fastest where no disk is behind them.
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let path = folder.join(format!("tlswhy-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("the file is written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
