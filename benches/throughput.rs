//! How fast the program reads captures, beside the floor: reading the file in large pieces and walking its
//! record, Ethernet, IP and TCP headers, with no analysis at all.
//!
//! `cargo bench` makes the captures under `target/bench/` once; `cargo bench -- --mb 1200` makes larger ones.
//! `cargo test` runs this on small captures, where only the number of handshakes counts.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads clocks")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "no library code")]

mod traffic;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use traffic::{Made, Plan};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tlswhy");
/// Raised when `traffic` writes something else for the same plan, so that old captures are made anew.
const EDITION: u32 = 1;

/// What one way of reading costs: medians.
struct Figures {
    name: String,
    wall: Duration,
    cpu: Option<Duration>,
    memory_kb: Option<u64>,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("throughput: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<bool> {
    let arguments: Vec<String> = std::env::args().collect();
    let measuring = arguments.iter().any(|argument| argument == "--bench");
    let asked = arguments.iter().position(|argument| argument == "--mb").and_then(|at| arguments.get(at + 1));
    let megabytes = asked.and_then(|mb| mb.parse().ok()).unwrap_or(if measuring { 200 } else { 2 });
    let runs = if measuring { 7 } else { 1 };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cores = std::thread::available_parallelism()?.get();
    let plans = [
        Plan { name: "mixed", bytes: megabytes * 1_000_000, mixed: true },
        Plan { name: "mixed-half", bytes: megabytes * 500_000, mixed: true },
        Plan { name: "handshakes", bytes: megabytes * 500_000, mixed: false },
        Plan { name: "handshakes-half", bytes: megabytes * 250_000, mixed: false },
    ];
    let mut well = true;
    for pair in plans.chunks(2) {
        let (path, made) = capture(&pair[0], root)?;
        let (half_path, half) = capture(&pair[1], root)?;
        for workers in [1, cores] {
            well &= counts_agree(&path, made, workers)?;
        }
        well &= counts_agree(&half_path, half, 1)?;
        if measuring {
            report(pair[0].name, made, &measure(&path, cores, runs)?);
            let [small, large] = [peak_memory(&half_path, 1)?, peak_memory(&path, 1)?];
            println!("  peak memory, 1 worker: {small} kB for {}, {large} kB for {}\n", mb(half), mb(made));
        }
    }
    Ok(well)
}

fn mb(made: Made) -> String {
    format!("{:.1} MB", made.bytes as f64 / 1e6)
}

/// The capture of a plan, made where it is not there yet.
fn capture(plan: &Plan, root: &Path) -> io::Result<(PathBuf, Made)> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}-{}-{EDITION}.pcap", plan.name, plan.bytes));
    let told = path.with_extension("made");
    if let Ok(text) = fs::read_to_string(&told)
        && let [packets, bytes, handshakes, completed] = text.split_whitespace().collect::<Vec<_>>()[..]
        && fs::metadata(&path).is_ok_and(|meta| meta.len().to_string() == bytes)
    {
        let number = |word: &str| word.parse().map_err(io::Error::other);
        let (packets, bytes) = (number(packets)?, number(bytes)?);
        return Ok((
            path,
            Made { packets, bytes, handshakes: number(handshakes)?, completed: number(completed)? },
        ));
    }
    let made = traffic::make(&path, plan, root)?;
    fs::write(told, format!("{} {} {} {}\n", made.packets, made.bytes, made.handshakes, made.completed))?;
    Ok((path, made))
}

/// Whether the program finds every packet and handshake that was written.
fn counts_agree(path: &Path, made: Made, workers: usize) -> io::Result<bool> {
    let mut child = program(path, workers).stdout(Stdio::piped()).spawn()?;
    let mut found = Made { bytes: made.bytes, ..Made::default() };
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let event: serde_json::Value = serde_json::from_str(&line?)?;
        if event["kind"] == "stats" {
            found.packets = event["packets"].as_u64().unwrap_or_default();
        } else {
            found.handshakes += 1;
            found.completed += u64::from(event["outcome"] == "completed");
        }
    }
    let well = child.wait()?.success() && found == made;
    if !well {
        eprintln!(
            "{}, {workers} workers: {} packets, {} handshakes, {} completed, where {}, {} and {} were written",
            path.display(),
            found.packets,
            found.handshakes,
            found.completed,
            made.packets,
            made.handshakes,
            made.completed
        );
    }
    Ok(well)
}

fn program(path: &Path, workers: usize) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["read", "--json", "--no-progress", "--workers", &workers.to_string()]).arg(path);
    command.stdout(Stdio::null());
    command
}

/// All ways of reading in turn, several times.
fn measure(path: &Path, cores: usize, runs: usize) -> io::Result<Vec<Figures>> {
    let mut floors = Vec::new();
    let mut ways: Vec<(usize, Vec<Duration>, Vec<Duration>)> = vec![(1, Vec::new(), Vec::new())];
    if cores > 1 {
        ways.push((cores, Vec::new(), Vec::new()));
    }
    for _ in 0..runs {
        let begin = Instant::now();
        std::hint::black_box(floor(path)?);
        floors.push(begin.elapsed());
        for (workers, walls, cpus) in &mut ways {
            let (begin, used) = (Instant::now(), cpu_of_children()?);
            program(path, *workers).status()?;
            walls.push(begin.elapsed());
            cpus.push(cpu_of_children()?.saturating_sub(used));
        }
    }
    let wall = median(floors);
    let mut figures = vec![Figures { name: "floor".into(), wall, cpu: Some(wall), memory_kb: None }];
    for (workers, walls, cpus) in ways {
        let plural = if workers == 1 { "" } else { "s" };
        figures.push(Figures {
            name: format!("{workers} worker{plural}"),
            wall: median(walls),
            cpu: Some(median(cpus)),
            memory_kb: Some(peak_memory(path, workers)?),
        });
    }
    Ok(figures)
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
}

fn report(name: &str, made: Made, figures: &[Figures]) {
    println!("{name}: {}, {} packets, {} handshakes", mb(made), made.packets, made.handshakes);
    println!(
        "                 wall      CPU     MB/s   packets/s  handshakes/s  peak memory  times the floor"
    );
    let floor = figures[0].wall.as_secs_f64();
    for one in figures {
        let seconds = one.wall.as_secs_f64();
        println!(
            "  {:10} {:7.3} s {:>7} {:8.0} {:11.0} {:>13} {:>12} {:>16.2}",
            one.name,
            seconds,
            one.cpu.map_or(String::new(), |cpu| format!("{:.2} s", cpu.as_secs_f64())),
            made.bytes as f64 / 1e6 / seconds,
            made.packets as f64 / seconds,
            if one.memory_kb.is_some() {
                format!("{:.0}", made.handshakes as f64 / seconds)
            } else {
                String::new()
            },
            one.memory_kb.map_or(String::new(), |kb| format!("{:.1} MB", kb as f64 / 1024.0)),
            seconds / floor,
        );
    }
}

/// Reads in pieces of 1 MiB and looks at the headers of every packet.
fn floor(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 2 << 20];
    let (mut start, mut end, mut sum) = (0, 0, 0_u64);
    let mut skip = 24;
    loop {
        buffer.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        let count = file.read(&mut buffer[end..end + (1 << 20)])?;
        if count == 0 {
            return Ok(sum);
        }
        end += count;
        start += std::mem::take(&mut skip);
        while let Some((header, rest)) = buffer[start..end].split_first_chunk::<16>() {
            let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
            let Some(frame) = rest.get(..length) else { break };
            sum = sum.wrapping_add(headers(frame));
            start += 16 + length;
        }
    }
}

fn headers(frame: &[u8]) -> u64 {
    let [_, _, _, _, _, _, _, _, _, _, _, _, 8, 0, ip @ ..] = frame else { return 0 };
    let [begin, _, _, _, _, _, _, _, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3, ..] = ip else {
        return 0;
    };
    let addresses = u64::from_le_bytes([*s0, *s1, *s2, *s3, *d0, *d1, *d2, *d3]);
    let Some(transport) = ip.get(usize::from(begin & 15) * 4..) else { return addresses };
    match (protocol, transport) {
        (6, [p0, p1, p2, p3, s0, s1, s2, s3, _, _, _, _, offset, flags, ..]) => {
            let numbers = u64::from_le_bytes([*p0, *p1, *p2, *p3, *s0, *s1, *s2, *s3]);
            let payload = transport.get(usize::from(offset >> 4) * 4..).map_or(0, <[u8]>::len) as u64;
            addresses ^ numbers ^ payload ^ u64::from(*flags)
        }
        (17, [p0, p1, p2, p3, ..]) => addresses ^ u64::from(u32::from_le_bytes([*p0, *p1, *p2, *p3])),
        _ => addresses,
    }
}

/// What children that have ended used, in ticks of 10 ms: user and system time of proc_pid_stat(5).
fn cpu_of_children() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind_name.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<u64>().ok());
    Ok(Duration::from_millis(ticks.sum::<u64>() * 10))
}

/// The most memory that the program had resident, in kB, asked for every millisecond.
fn peak_memory(path: &Path, workers: usize) -> io::Result<u64> {
    let mut child = program(path, workers).spawn()?;
    let mut most = 0;
    while child.try_wait()?.is_none() {
        most = resident(&child).unwrap_or_default().max(most);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(most)
}

fn resident(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
}
