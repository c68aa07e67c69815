//! `tlswhy live` in a network of its own, with the test as its service manager.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Scratch, tell};

/// Longest wait for anything; a slow machine needs a little, a fault all of it.
const PATIENCE: Duration = Duration::from_secs(40);
const STEP: Duration = Duration::from_millis(20);

/// Whether these programs are installed; says so where they are not.
pub fn commands(names: &[&str]) -> bool {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let is_there = |name: &&&str| folders.iter().any(|folder| Path::new(folder).join(name).exists());
    let missing: Vec<_> = names.iter().filter(|name| !is_there(name)).collect();
    if !missing.is_empty() {
        tell(&format!("skipped: {missing:?} are not installed"));
    }
    missing.is_empty()
}

/// Runs a command, and whether it went well.
pub fn done(command: &[&str]) -> bool {
    let ran =
        Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}

/// Runs a command that has to go well.
pub fn must(command: &[&str]) {
    assert!(done(command), "{} failed", command.join(" "));
}

/// A network namespace with a loopback interface, removed at the end.
pub struct Namespace(String);

impl Namespace {
    /// None, and a line that says so, where this user or machine cannot make one.
    pub fn new(name: &str) -> Option<Self> {
        if !commands(&["ip"]) {
            return None;
        }
        let name = format!("service-{name}-{}", std::process::id());
        let ip = |args: &[&str]| {
            Command::new("ip").args(args).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        if !ip(&["netns", "add", &name]) {
            tell("skipped: no network namespace can be made (root can)");
            return None;
        }
        let namespace = Self(name);
        assert!(ip(&["-n", &namespace.0, "link", "set", "lo", "up"]), "lo goes up");
        Some(namespace)
    }

    /// A connection to the port of HTTPS, where nobody listens.
    pub fn refused_connection(&self) {
        let path = format!("/run/netns/{}", self.0);
        let connect = move || {
            setns(File::open(path).expect("the namespace"), CloneFlags::CLONE_NEWNET).expect("is entered");
            TcpStream::connect("127.0.0.1:443").expect_err("nobody listens");
        };
        // A namespace belongs to a thread.
        std::thread::spawn(connect).join().expect("the connection was tried");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.0]).status());
    }
}

/// A running program.
pub struct Live {
    child: Child,
    manager: UnixDatagram,
    scratch: Scratch,
}

/// What it had said when it ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// What it told the manager after the last wait.
    pub told: Vec<String>,
}

impl Live {
    /// `tlswhy live` with these arguments.
    pub fn start(namespace: &Namespace, args: &[&str]) -> Self {
        let live = [env!("CARGO_BIN_EXE_tlswhy"), "live"];
        Self::run(namespace, live.iter().chain(args), None)
    }

    /// The same, with a manager that wants to hear of it.
    pub fn watched(namespace: &Namespace, args: &[&str]) -> Self {
        let live = [env!("CARGO_BIN_EXE_tlswhy"), "live"];
        Self::run(namespace, live.iter().chain(args), Some(Duration::from_secs(1)))
    }

    /// A command that becomes the program.
    pub fn run<S: AsRef<OsStr>>(
        namespace: &Namespace,
        words: impl IntoIterator<Item = S>,
        watchdog: Option<Duration>,
    ) -> Self {
        let scratch = Scratch::new(&format!("live-{}", namespace.0));
        let socket = scratch.path("notify");
        let manager = UnixDatagram::bind(&socket).expect("a socket");
        manager.set_read_timeout(Some(STEP)).expect("a time-out");
        // As systemd's: the program may be anybody.
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).expect("a mode");
        let file = |name: &str| File::create(scratch.path(name)).expect("a file");
        let mut command = Command::new("ip");
        // This becomes the program: its process is the child's.
        command.args(["netns", "exec", &namespace.0]).args(words);
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        command.env("NOTIFY_SOCKET", socket).env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        let child = command.spawn().expect("the program starts");
        Self { child, manager, scratch }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.scratch.path(name)).expect("UTF-8")
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn hear(&self) -> Option<String> {
        let mut buffer = [0; 4_096];
        let length = self.manager.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Waits until the manager is told this; what exactly.
    pub fn wait_for(&mut self, word: &str) -> String {
        let mut waited = Duration::ZERO;
        loop {
            let Some(heard) = self.hear() else {
                let ended = self.child.try_wait().expect("a child").is_some();
                assert!(!ended && waited < PATIENCE, "no {word}; it said {}", self.text("stderr"));
                waited += STEP;
                continue;
            };
            if heard.lines().any(|line| line == word) {
                return heard;
            }
        }
    }

    /// Waits until standard error has this.
    pub fn wait_for_word(&self, word: &str) {
        self.wait_until(word, || self.text("stderr").contains(word));
    }

    /// Waits for an event of this kind.
    pub fn wait_for_event(&self, kind: &str) {
        self.wait_until(kind, || self.text("stdout").contains(&format!("\"kind\":\"{kind}\"")));
    }

    /// Waits until something holds.
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let mut waited = Duration::ZERO;
        while !holds() {
            assert!(waited < PATIENCE, "no {what}; it said {}", self.text("stderr"));
            std::thread::sleep(STEP);
            waited += STEP;
        }
    }

    /// `/proc/PID/task/*/status` of every thread.
    pub fn threads(&self) -> Vec<BTreeMap<String, String>> {
        let folder = format!("/proc/{}/task", self.child.id());
        let status =
            |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).expect("a status");
        let fields = |text: String| {
            let fields = text.lines().filter_map(|line| line.split_once(':'));
            fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
        };
        fs::read_dir(folder)
            .expect("threads")
            .map(|thread| fields(status(thread.expect("a thread"))))
            .collect()
    }

    /// Asks it to reload, as `systemctl reload` does.
    pub fn reload(&self) {
        kill(self.pid(), Signal::SIGHUP).expect("it runs");
    }

    /// Asks it to end, as `systemctl stop` does.
    pub fn end(self) -> Ended {
        kill(self.pid(), Signal::SIGTERM).expect("it runs");
        self.ended()
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> Ended {
        let status = self.child.wait().expect("it ends");
        self.manager.set_nonblocking(true).expect("no more waiting");
        let told = std::iter::from_fn(|| self.hear()).collect();
        let code = status.code().unwrap_or_else(|| panic!("{status}: {}", self.text("stderr")));
        Ended { code, stdout: self.text("stdout"), stderr: self.text("stderr"), told }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
