//! Hours of traffic on an interface, to see that nothing grows: captures replayed in a circle with ever new
//! addresses, and real handshakes of known outcome beside them, in network namespaces of their own.
//!
//! `cargo bench --bench soak -- --minutes 60` (root, iproute2, tcpreplay, curl, openssl) writes a row every five seconds to
//! `target/bench/soak.csv` and says at the end whether memory, descriptors and threads stayed as they were, whether
//! every packet was counted and whether every real handshake was judged rightly. Options: `--mixed-pps 20000`,
//! `--handshakes-pps 10000`, `--program PATH`, `--with "ARGUMENTS"` for the program, `--csv FILE`, `--mb 200` for the
//! captures. Counters of losses at /metrics are read along where the program has that.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads clocks")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "no library code")]

mod common;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::store::{self, Scene};
use common::traffic::Plan;
use common::{grouped, number, option};

const SENDER: &str = "soak-a";
const LISTENER: &str = "soak-b";
const SEND_IF: &str = "soak-va";
const LISTEN_IF: &str = "soak-vb";
const CLIENT: &str = "10.99.0.1";
const SERVER: &str = "10.99.0.2";
/// Where the program is asked to answer /metrics, in its own namespace.
const METRICS: &str = "127.0.0.1:9187";
/// Between two samples.
const EVERY: Duration = Duration::from_secs(5);
/// Between two real handshakes. Of three, the last one's client refuses the certificate.
const REAL: Duration = Duration::from_millis(700);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let done =
        store::made_for_another(&arguments).map_or_else(|| soak(&arguments), |made| made.map(|()| true));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Children, namespaces and files that must not outlive the soak.
struct Stage {
    children: Vec<Child>,
    folder: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
        for name in [SENDER, LISTENER] {
            drop(Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// What the program printed so far.
#[derive(Default)]
struct Printed {
    handshakes: AtomicU64,
    failed: AtomicU64,
    real_completed: AtomicU64,
    real_failed: AtomicU64,
    other: AtomicU64,
    stats: Mutex<Option<serde_json::Value>>,
}

#[derive(Clone, Copy, Default)]
struct Sample {
    seconds: f64,
    rss_kb: u64,
    descriptors: u64,
    threads: u64,
    cpu: f64,
    /// At the interface.
    packets: u64,
    handshakes: u64,
    /// Sum of all counters of losses at `/metrics`, where there is one.
    lost: Option<u64>,
}

fn soak(arguments: &[String]) -> io::Result<bool> {
    if !is_root() {
        println!("soak: skipped (needs root for its network namespaces)");
        return Ok(true);
    }
    for needed in ["ip", "tcpreplay", "curl", "openssl"] {
        if Command::new("sh").args(["-c", &format!("command -v {needed}")]).output()?.stdout.is_empty() {
            println!("soak: skipped ({needed} is not installed)");
            return Ok(true);
        }
    }
    let minutes: f64 = option(arguments, "--minutes").and_then(|word| word.parse().ok()).unwrap_or(1.0);
    let lasts = Duration::from_secs_f64(minutes * 60.0);
    let bytes = number(arguments, "--mb").unwrap_or(200) * 1_000_000;
    let rates = [
        (true, number(arguments, "--mixed-pps").unwrap_or(20_000)),
        (false, number(arguments, "--handshakes-pps").unwrap_or(10_000)),
    ];
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }

    let folder = std::env::temp_dir().join(format!("tlswhy-soak-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let mut stage = Stage { children: Vec::new(), folder: folder.clone() };
    network()?;
    let printed = Arc::new(Printed::default());
    let mut program = Command::new("ip");
    program.args(["netns", "exec", LISTENER, &common::program(arguments)]);
    program.args(["live", "--json", "-i", LISTEN_IF]).args(common::with(arguments));
    let help = Command::new(common::program(arguments)).args(["live", "--help"]).output()?.stdout;
    let metrics = String::from_utf8_lossy(&help).contains("--metrics");
    if metrics {
        program.args(["--metrics", METRICS]);
    }
    let mut program = program.stdout(Stdio::piped()).spawn()?;
    let id = program.id();
    let reader = {
        let (printed, output) = (Arc::clone(&printed), program.stdout.take().expect("piped"));
        std::thread::spawn(move || read(output, &printed))
    };
    stage.children.push(program);
    std::thread::sleep(Duration::from_secs(2));

    let before = at_interface()?;
    server(&mut stage)?;
    for (mixed, rate) in rates {
        let capture = Scene::Traffic(Plan { bytes, mixed, unique: true }).capture()?;
        if rate > 0 {
            // Bursts of two milliseconds: single packets would keep a processor busy with waiting.
            let mut replay = Command::new("ip");
            replay.args(["netns", "exec", SENDER, "tcpreplay", "--quiet", "--loop=1000000", "--unique-ip"]);
            replay.args([format!("--pps={rate}"), format!("--pps-multi={}", (rate / 500).max(1))]);
            replay.args([format!("--duration={}", lasts.as_secs().max(1)), format!("--intf1={SEND_IF}")]);
            stage
                .children
                .push(replay.arg(&capture.path).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        }
    }
    let real = {
        let (stop, folder) = (Arc::clone(&stop), folder.clone());
        std::thread::spawn(move || handshakes(lasts, &stop, &folder))
    };

    let csv = option(arguments, "--csv").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench").join("soak.csv"),
        PathBuf::from,
    );
    let samples = watch(id, lasts, before, &printed, &csv, metrics, &stop)?;
    let [completed, failed] = real.join().expect("no panic");
    // What was sent last is on its way; tcpreplay ends by itself.
    std::thread::sleep(Duration::from_secs(3));
    let sent = at_interface()? - before;
    Command::new("kill").args(["-TERM", &id.to_string()]).status()?;
    let well = stage.children[0].wait()?.success();
    reader.join().expect("no panic");
    drop(stage);
    println!("every sample: {}", csv.display());
    let verdict = judge(&samples, sent, &printed, [completed, failed]);
    Ok(verdict && well && samples.len() > 2)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

fn ip(words: &str) -> io::Result<()> {
    let status = Command::new("ip").args(words.split_whitespace()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("ip {words}: {status}"))) }
}

fn network() -> io::Result<()> {
    ip(&format!("netns add {SENDER}"))?;
    ip(&format!("netns add {LISTENER}"))?;
    ip(&format!("link add {SEND_IF} netns {SENDER} type veth peer name {LISTEN_IF} netns {LISTENER}"))?;
    for (space, interface, address) in [(SENDER, SEND_IF, CLIENT), (LISTENER, LISTEN_IF, SERVER)] {
        // No IPv6: its neighbour discovery would come among the packets that are counted.
        drop(
            Command::new("ip")
                .args(["netns", "exec", space, "sysctl", "-qw"])
                .arg("net.ipv6.conf.all.disable_ipv6=1")
                .status(),
        );
        ip(&format!("-n {space} address add {address}/24 dev {interface}"))?;
        ip(&format!("-n {space} link set lo up"))?;
        ip(&format!("-n {space} link set {interface} up"))?;
    }
    Ok(())
}

/// Packets in both directions since the interface is there.
fn at_interface() -> io::Result<u64> {
    let words = ["-n", LISTENER, "-s", "-j", "link", "show", "dev", LISTEN_IF];
    let said: serde_json::Value = serde_json::from_slice(&Command::new("ip").args(words).output()?.stdout)?;
    let stats = &said[0]["stats64"];
    Ok(["rx", "tx"].iter().filter_map(|way| stats[way]["packets"].as_u64()).sum())
}

/// A server of OpenSSL's with a certificate that nobody knows.
fn server(stage: &mut Stage) -> io::Result<()> {
    let file = |name: &str| stage.folder.join(name).display().to_string();
    let (key, certificate) = (file("key.pem"), file("certificate.pem"));
    let mut request = Command::new("openssl");
    request.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30".split(' '));
    request.args(["-subj", "/CN=soak.example.test", "-keyout", &key, "-out", &certificate]);
    request.stderr(Stdio::null()).status()?;
    let mut server = Command::new("ip");
    server.args(["netns", "exec", LISTENER, "openssl", "s_server", "-quiet", "-www", "-accept", "443"]);
    server.args(["-cert", &certificate, "-key", &key]);
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    stage.children.push(server.spawn()?);
    std::thread::sleep(Duration::from_millis(500));
    Ok(())
}

/// Real handshakes until the time is over. How many completed, and how many failed.
fn handshakes(lasts: Duration, stop: &AtomicBool, folder: &Path) -> [u64; 2] {
    let begin = Instant::now();
    let mut count = [0, 0];
    for n in 0_u64.. {
        if begin.elapsed() >= lasts || stop.load(Relaxed) {
            break;
        }
        let refuses = n % 3 == 2;
        let mut curl = Command::new("ip");
        curl.args(["netns", "exec", SENDER, "curl", "-s", "--max-time", "20", "-o"]).arg(folder.join("page"));
        curl.args(if refuses { &["--tlsv1.2"][..] } else { &["-k"][..] });
        curl.args([
            "--connect-to",
            &format!("soak.example.test:443:{SERVER}:443"),
            "https://soak.example.test/",
        ]);
        match curl.stderr(Stdio::null()).status() {
            Ok(status) if status.success() && !refuses => count[0] += 1,
            Ok(status) if status.code() == Some(60) && refuses => count[1] += 1,
            other => eprintln!("curl: {other:?}"),
        }
        std::thread::sleep(REAL);
    }
    count
}

fn read(output: impl io::Read, printed: &Printed) {
    let mut lines = BufReader::with_capacity(1 << 20, output);
    let mut line = Vec::new();
    let has = |line: &[u8], word: &str| line.windows(word.len()).any(|window| window == word.as_bytes());
    while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let beginning = &line[..line.len().min(700)];
        if has(beginning, r#""kind":"handshake""#) {
            printed.handshakes.fetch_add(1, Relaxed);
            let real = has(beginning, &format!(r#""client":{{"ip":"{CLIENT}""#));
            // Where among the fields the outcome stands is not ours to know.
            if real {
                let event: serde_json::Value = serde_json::from_slice(&line).unwrap_or_default();
                match event["outcome"].as_str() {
                    Some("completed" | "resumed") => printed.real_completed.fetch_add(1, Relaxed),
                    Some("failed") => printed.real_failed.fetch_add(1, Relaxed),
                    _ => printed.other.fetch_add(1, Relaxed),
                };
            } else if has(&line, r#""outcome":"failed""#) {
                printed.failed.fetch_add(1, Relaxed);
            }
        } else if has(beginning, r#""kind":"stats""#) {
            *printed.stats.lock().expect("no panic") = serde_json::from_slice(&line).ok();
        }
        line.clear();
    }
}

/// Takes samples until the time is over or the program ended.
fn watch(
    id: u32,
    lasts: Duration,
    before: u64,
    printed: &Printed,
    csv: &Path,
    metrics: bool,
    stop: &AtomicBool,
) -> io::Result<Vec<Sample>> {
    let mut out = File::create(csv)?;
    writeln!(
        out,
        "seconds,rss_kb,descriptors,threads,cpu_seconds,packets_at_interface,handshakes,lost_in_metrics"
    )?;
    let begin = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    let mut told = 0;
    while begin.elapsed() < lasts && !stop.load(Relaxed) {
        std::thread::sleep(EVERY.min(lasts.saturating_sub(begin.elapsed())));
        let Some((rss_kb, threads)) = status(id) else {
            eprintln!("soak: the program has ended");
            break;
        };
        let sample = Sample {
            seconds: begin.elapsed().as_secs_f64(),
            rss_kb,
            descriptors: fs::read_dir(format!("/proc/{id}/fd"))?.count() as u64,
            threads,
            cpu: cpu(id)?,
            packets: at_interface()? - before,
            handshakes: printed.handshakes.load(Relaxed),
            lost: if metrics { lost() } else { None },
        };
        let Sample { seconds, descriptors, cpu, packets, handshakes, lost, .. } = sample;
        let lost = lost.map_or(String::new(), |lost| lost.to_string());
        writeln!(
            out,
            "{seconds:.1},{rss_kb},{descriptors},{threads},{cpu:.2},{packets},{handshakes},{lost}"
        )?;
        if sample.seconds as u64 / 60 > told {
            told = sample.seconds as u64 / 60;
            let (packets, handshakes) = (grouped(packets), grouped(handshakes));
            println!("{told} min: {rss_kb} kB, {packets} packets, {handshakes} handshakes, {cpu:.0} CPU s");
        }
        samples.push(sample);
    }
    Ok(samples)
}

/// Resident kB and threads.
fn status(id: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let number = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    Some((number("VmRSS:")?, number("Threads:")?))
}

/// Seconds of user and system time, proc_pid_stat(5), in ticks of 10 ms.
fn cpu(id: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok());
    Ok(ticks.sum::<u64>() as f64 / 100.0)
}

/// The sum of all counters of losses at /metrics; lookups that give place to newer ones are none.
fn lost() -> Option<u64> {
    let url = format!("http://{METRICS}/metrics");
    let curl = ["netns", "exec", LISTENER, "curl", "-s", "--max-time", "3", &url];
    let text = String::from_utf8(Command::new("ip").args(curl).output().ok()?.stdout).ok()?;
    let counters = text.lines().filter(|line| {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        ["drop", "lost"].iter().any(|word| name.contains(word)) && !line.contains("asides_dropped")
    });
    let values = counters.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    (!text.is_empty()).then(|| values.sum::<f64>() as u64)
}

/// Says what the samples tell; true where nothing grew or was lost.
fn judge(samples: &[Sample], sent: u64, printed: &Printed, [completed, failed]: [u64; 2]) -> bool {
    let Some(last) = samples.last() else { return false };
    let stats = printed.stats.lock().expect("no panic").take().unwrap_or_default();
    let counted = stats["packets"].as_u64().unwrap_or_default();
    let handshakes = grouped(printed.handshakes.load(Relaxed));
    println!(
        "{:.1} min, {} packets, {handshakes} handshakes, {:.2} CPU seconds a million packets",
        last.seconds / 60.0,
        grouped(sent),
        last.cpu / (sent.max(1) as f64 / 1e6),
    );
    // The tables of what is remembered fill up first.
    let steady: Vec<_> = samples.iter().filter(|sample| sample.seconds >= last.seconds / 3.0).collect();
    let growth = slope(&steady) * (last.seconds - steady[0].seconds);
    let (least, most) = (
        steady.iter().map(|sample| sample.rss_kb).min().unwrap_or_default(),
        steady.iter().map(|sample| sample.rss_kb).max().unwrap_or_default(),
    );
    let allowed = 1_024.0 + most as f64 * 0.02;
    let mut well = true;
    let mut say = |good: bool, text: String| {
        well &= good;
        println!("{} {text}", if good { "ok  " } else { "NOT " });
    };
    say(
        growth <= allowed,
        format!(
            "memory after the first third: {least} to {most} kB, along its slope {growth:+.0} kB (allowed {allowed:.0})"
        ),
    );
    let same = |name: &str, of: fn(&Sample) -> u64, say: &mut dyn FnMut(bool, String)| {
        let (first, last) = (of(steady[0]), of(last));
        say(last <= first, format!("{name}: {first}, at the end {last}"));
    };
    same("descriptors", |sample| sample.descriptors, &mut say);
    same("threads", |sample| sample.threads, &mut say);
    let interfaces = stats["interfaces"].as_array().into_iter().flatten();
    let bypassed = interfaces.filter_map(|one| one["bypassed"]["packets"].as_u64()).sum::<u64>();
    // The counters are read one after another while packets may still pass, at the begin and at the end.
    const MEANWHILE: u64 = 64;
    say(
        sent.abs_diff(counted + bypassed) <= MEANWHILE,
        format!(
            "packets at the interface {}, read {}, left in the kernel {}",
            grouped(sent),
            grouped(counted),
            grouped(bypassed)
        ),
    );
    match last.lost {
        Some(lost) => say(lost == 0, format!("losses at /metrics: {lost}")),
        None => println!("     no /metrics to read"),
    }
    // Lookups that are remembered give place to newer ones: a bound that is kept, no loss.
    let mut lost = stats["lost"].as_object().cloned().unwrap_or_default();
    let forgotten = lost.remove("asides_dropped").and_then(|count| count.as_u64()).unwrap_or_default();
    let said = serde_json::Value::from(lost.clone());
    say(
        lost.is_empty(),
        format!("losses in the last event: {said}; lookups forgotten: {}", grouped(forgotten)),
    );
    let [found_completed, found_failed, other] =
        [&printed.real_completed, &printed.real_failed, &printed.other].map(|count| count.load(Relaxed));
    say(
        [found_completed, found_failed, other] == [completed, failed, 0],
        format!(
            "real handshakes: {completed} completed and {failed} refused, told {found_completed} and {found_failed} (and {other} otherwise)"
        ),
    );
    well
}

/// kB a second, least squares.
fn slope(samples: &[&Sample]) -> f64 {
    let count = samples.len().max(1) as f64;
    let (x, y) = (
        samples.iter().map(|sample| sample.seconds).sum::<f64>() / count,
        samples.iter().map(|sample| sample.rss_kb as f64).sum::<f64>() / count,
    );
    let over = samples.iter().map(|sample| (sample.seconds - x) * (sample.rss_kb as f64 - y)).sum::<f64>();
    let under = samples.iter().map(|sample| (sample.seconds - x).powi(2)).sum::<f64>();
    if under > 0.0 { over / under } else { 0.0 }
}
