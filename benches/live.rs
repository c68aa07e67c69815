//! What `tlswhy live` loses and costs beside a bare libpcap loop with a ring of the same size, on the same replays.
//!
//! `cargo bench --bench live` (as root) makes two network namespaces with a veth pair between them, replays
//! a mixed capture of 200 MB, which `cargo bench --bench throughput` makes, at rising rates with tcpreplay, and prints loss
//! and CPU time of each. `-- --busy 36` replays so many finished connections that carry most of the packets beside a mixed capture, of
//! which `tlswhy live` leaves most in the kernel; `--no-bypass` has it read all. `-- --file FILE`, `-- --pps 50000,200000,0` (0: as fast as it can), `-- --loops N`, `-- --runs N`,
//! `-- --program PATH` (another build), `-- --workers N` say otherwise.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads clocks")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "no library code")]

mod common;

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::store::{self, Scene};
use common::traffic::Busy;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tlswhy::capture::live::{Live, LiveOptions, LiveReader};

/// The ring of both, in bytes.
const RING: i32 = 64 << 20;
/// What takes its turn in each run.
const NAMES: [&str; 4] =
    ["bare libpcap loop", "bare loop on our ring", "tlswhy live --no-bypass", "tlswhy live"];
const SENDER: (&str, &str) = ("live-bench-a", "live-bench0");
const RECEIVER: (&str, &str) = ("live-bench-b", "live-bench1");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--bare") {
        bare(&arguments[at + 1]);
        return ExitCode::SUCCESS;
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--ring") {
        own_ring(&arguments[at + 1]);
        return ExitCode::SUCCESS;
    }
    if !arguments.iter().any(|argument| argument == "--bench" || argument == "--make") {
        return ExitCode::SUCCESS;
    }
    if let Some(made) = store::made_for_another(&arguments) {
        made.expect("a capture");
        return ExitCode::SUCCESS;
    }
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    if let Some(missing) = missing() {
        println!("skipped: {missing}");
        return ExitCode::SUCCESS;
    }
    let file = if arguments.iter().any(|argument| argument == "--busy") {
        let connections = after("--busy").and_then(|count| count.parse().ok()).unwrap_or(36);
        Scene::Busy(Busy { connections, bytes: 20_000_000 }).capture().expect("a capture").path
    } else {
        after("--file").map_or_else(mixed, PathBuf::from)
    };
    if !file.exists() {
        println!("skipped: {} is not there (cargo bench --bench throughput makes it)", file.display());
        return ExitCode::SUCCESS;
    }
    let network = Network::new();
    let rates = after("--pps").unwrap_or("20000,50000,100000,200000,400000,0");
    let loops = after("--loops").unwrap_or("2");
    let runs: usize = after("--runs").and_then(|runs| runs.parse().ok()).unwrap_or(3);
    let program = after("--program").unwrap_or(env!("CARGO_BIN_EXE_tlswhy"));
    let workers = after("--workers").unwrap_or("1");
    let own = std::env::current_exe().expect("the path of this program");
    let own = own.to_str().expect("a path in UTF-8").to_owned();
    println!("{} x {loops}, ring of {} MiB, {workers} worker(s)", file.display(), RING >> 20);
    println!(
        "| packets/s asked | sent/s | program | lost | left in the kernel | CPU s per million packets | ratio |"
    );
    println!("|---|---|---|---|---|---|---|");
    for rate in rates.split(',') {
        let rate: u64 = rate.parse().expect("a rate is a number");
        let mut best: [Option<Run>; 4] = [None, None, None, None];
        for run in 1..=runs {
            let commands = [
                vec![own.as_str(), "--bare", RECEIVER.1],
                vec![own.as_str(), "--ring", RECEIVER.1],
                vec![program, "live", "-i", RECEIVER.1, "--json", "--workers", workers, "--no-bypass"],
                vec![program, "live", "-i", RECEIVER.1, "--json", "--workers", workers],
            ];
            for ((best, command), name) in best.iter_mut().zip(commands).zip(NAMES) {
                eprintln!("{rate} packets/s, run {run} of {runs}: {name}");
                let run = network.run(&command, &file, rate, loops);
                let lost = best.as_ref().map_or(0, |best| best.lost).max(run.lost);
                let better = best.as_ref().is_none_or(|best| run.cpu < best.cpu);
                if better {
                    *best = Some(run);
                }
                if let Some(best) = best {
                    best.lost = lost;
                }
            }
        }
        let [Some(bare), Some(ring), Some(all), Some(ours)] = &best else { continue };
        for (name, run) in NAMES.into_iter().zip([bare, ring, all, ours]) {
            println!(
                "| {} | {:.0} | {name} | {} | {} | {:.3} | {:.2} |",
                if rate == 0 { "all".to_owned() } else { rate.to_string() },
                run.rate,
                run.lost,
                run.bypassed,
                run.per_million(),
                run.per_million() / bare.per_million(),
            );
        }
    }
    ExitCode::SUCCESS
}

/// The loop that costs least: takes every packet of an interface and looks at nothing.
fn bare(interface: &str) {
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop)).expect("a signal handler");
    let mut capture = pcap::Capture::from_device(interface)
        .expect("a name")
        .promisc(true)
        .snaplen(262_144)
        .timeout(100)
        .buffer_size(RING)
        .open()
        .and_then(pcap::Capture::setnonblock)
        .expect("an interface");
    eprintln!("listening");
    let (mut packets, mut bytes) = (0_u64, 0_u64);
    let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    while !stop.load(Ordering::Relaxed) {
        match capture.next_packet() {
            Ok(packet) => {
                packets += 1;
                bytes += packet.data.len() as u64;
            }
            Err(_) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(capture.as_fd(), PollFlags::IN)], Some(&timeout));
            }
        }
    }
    tell(packets, bytes, capture.stats().map_or(0, |stats| stats.dropped.into()));
}

/// The same on the program's own ring.
fn own_ring(interface: &str) {
    let stop = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop)).expect("a signal handler");
    let mut reader = LiveReader::open(interface, &LiveOptions::default(), stop).expect("an interface");
    eprintln!("listening");
    let (mut packets, mut bytes) = (0_u64, 0_u64);
    loop {
        match reader.next() {
            Live::Frames(frames) => {
                packets += frames.len() as u64;
                bytes += frames.iter().map(|frame| frame.data.len() as u64).sum::<u64>();
            }
            Live::Stopped => break,
            _ => {}
        }
    }
    tell(packets, bytes, reader.stats().kernel_dropped);
}

fn tell(packets: u64, bytes: u64, dropped: u64) {
    println!(
        "{{\"kind\":\"stats\",\"packets\":{packets},\"bytes\":{bytes},\"lost\":{{\"kernel_dropped\":{dropped}}}}}"
    );
}

/// What one replay came to.
struct Run {
    sent: u64,
    /// Packets sent a second.
    rate: f64,
    /// Packets sent and not read, but for those that were left in the kernel on purpose: where some were, those that it lost.
    lost: u64,
    /// Packets left in the kernel, as the program estimates.
    bypassed: u64,
    cpu: Duration,
}

impl Run {
    fn per_million(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.sent as f64
    }
}

/// Two namespaces and a cable between them.
struct Network;

impl Network {
    fn new() -> Self {
        drop(Self);
        for (space, _) in [SENDER, RECEIVER] {
            ip(&["netns", "add", space]);
        }
        ip(&[
            "link", "add", SENDER.1, "netns", SENDER.0, "type", "veth", "peer", "name", RECEIVER.1, "netns",
            RECEIVER.0,
        ]);
        for (space, link) in [SENDER, RECEIVER] {
            // No packets of the kernel's own, and none split or joined.
            quietly(&["ip", "netns", "exec", space, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"]);
            quietly(&[
                "ip", "netns", "exec", space, "ethtool", "-K", link, "tso", "off", "gso", "off", "gro", "off",
            ]);
            ip(&["-n", space, "link", "set", link, "mtu", "65535", "up"]);
        }
        Self
    }

    /// Runs a program on the cable during one replay.
    fn run(&self, command: &[&str], file: &Path, rate: u64, loops: &str) -> Run {
        let mut program = Command::new("ip")
            .args(["netns", "exec", RECEIVER.0, "taskset", "-c", "1"])
            .args(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut said = BufReader::new(program.stderr.take().expect("piped"));
        let mut line = String::new();
        while said.read_line(&mut line).is_ok_and(|read| read > 0) && !line.contains("listening") {}
        std::thread::spawn(move || io::copy(&mut said, &mut io::sink()));
        let out = program.stdout.take().expect("piped");
        let reading = std::thread::spawn(move || {
            BufReader::new(out)
                .lines()
                .map_while(Result::ok)
                .filter(|line| line.contains("\"kind\":\"stats\""))
                .last()
        });
        sleep(Duration::from_millis(300));
        let before = cpu(&program);
        let speed = if rate == 0 { "--topspeed".to_owned() } else { format!("--pps={rate}") };
        let began = Instant::now();
        let replay = Command::new("ip")
            .args(["netns", "exec", SENDER.0, "taskset", "-c", "0", "tcpreplay", "-q", "-K", "-i", SENDER.1])
            .args([&speed, &format!("--loop={loops}")])
            .arg(file)
            .output()
            .expect("tcpreplay runs");
        let took = began.elapsed();
        let text = String::from_utf8_lossy(&replay.stdout).into_owned();
        let number = |before: &str| -> Option<f64> {
            let at = text.find(before)? + before.len();
            text[at..].split_whitespace().next()?.replace(',', "").parse().ok()
        };
        let sent = number("Successful packets:").unwrap_or_default();
        let rate = text
            .find(" pps")
            .and_then(|at| text[..at].rsplit(' ').next()?.parse().ok())
            .unwrap_or(sent / took.as_secs_f64());
        sleep(Duration::from_millis(500));
        let cpu = cpu(&program) - before;
        quietly(&["kill", "-TERM", &program.id().to_string()]);
        let stats = reading.join().expect("reads").unwrap_or_default();
        program.wait().expect("ends");
        let stats: serde_json::Value = serde_json::from_str(&stats).unwrap_or_default();
        let packets = stats["packets"].as_u64().unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let sent = sent as u64;
        let bypassed = stats["interfaces"][0]["bypassed"]["packets"].as_u64().unwrap_or_default();
        let lost = sent.saturating_sub(packets + bypassed);
        Run { sent, rate, lost, bypassed, cpu }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for (space, _) in [SENDER, RECEIVER] {
            quietly(&["ip", "netns", "del", space]);
        }
    }
}

/// CPU time of all threads of a process so far.
fn cpu(of: &Child) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", of.id())).into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let mut text = String::new();
        fs::File::open(task.path().join("schedstat")).ok()?.read_to_string(&mut text).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// The newest mixed capture of 200 MB that the other benchmark has made.
fn mixed() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    let files = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mixed = files.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("mixed-")
            && name.contains("-200000000-")
            && name.ends_with(".pcap")
            && !name.contains("first")
    });
    let made = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
    mixed.max_by_key(made).unwrap_or_else(|| folder.join("mixed-….pcap"))
}

fn missing() -> Option<String> {
    for program in ["ip", "tcpreplay", "ethtool", "taskset"] {
        if Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            return Some(format!("{program} is not installed"));
        }
    }
    (fs::metadata("/proc/self").map_or(1, |own| std::os::unix::fs::MetadataExt::uid(&own)) != 0)
        .then(|| "only root may make network namespaces".into())
}

fn ip(arguments: &[&str]) {
    let well = Command::new("ip").args(arguments).status().is_ok_and(|status| status.success());
    assert!(well, "ip {} failed", arguments.join(" "));
}

fn quietly(command: &[&str]) {
    let _ = Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
}
