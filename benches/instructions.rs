//! How many instructions the program needs for a packet and for a handshake, counted by callgrind, beside the figures
//! committed in `benches/instructions.toml`. More than the allowance there fails: the hot path has become slower.
//!
//! `make instructions`. Each figure is the difference of two captures of one kind, so that what the program does once
//! (its roots, say) is not in it. `TLSWHY_WRITE_INSTRUCTIONS=1` commits what was counted as the new figures.
//!
//! The counts hardly differ from run to run (hash tables have seeds) and not with the machine's speed or load. They
//! do differ between processors whose features let the C library and the cryptography choose other code: callgrind shows
//! programs one processor with AVX2 or one without, so this is skipped without AVX2, and the C library is asked for its
//! plainest copies. Another compiler gives other counts as well; the allowance leaves room for a minor one.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "no library code")]

mod common;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use common::crowd::Crowd;
use common::store::{self, Capture, Scene};
use common::traffic::Plan;
use common::{grouped, with};

struct Counted {
    name: &'static str,
    /// A capture, and one that it goes beyond.
    scenes: [Scene; 2],
    /// By what the difference is divided.
    by: fn(&Capture) -> u64,
}

const COUNTED: [Counted; 4] = [
    Counted {
        name: "following_packet",
        scenes: [crowd(100_000), crowd(50_000)],
        by: |capture| capture.made.packets,
    },
    Counted {
        name: "mixed_packet",
        scenes: [traffic(20, true, true), traffic(10, true, true)],
        by: |capture| capture.made.packets,
    },
    Counted {
        name: "unique_handshake",
        scenes: [traffic(4, false, true), traffic(2, false, true)],
        by: |capture| capture.made.handshakes,
    },
    // Where the larger goes beyond the other, nearly all servers have been met.
    Counted {
        name: "repeated_handshake",
        scenes: [traffic(12, false, false), traffic(6, false, false)],
        by: |capture| capture.made.handshakes,
    },
];

/// Connections that are open, and packets that follow on them.
const fn crowd(packets: u64) -> Scene {
    Scene::Crowd(Crowd { flows: 2_000, packets })
}

const fn traffic(mb: u64, mixed: bool, unique: bool) -> Scene {
    Scene::Traffic(Plan { bytes: mb * 1_000_000, mixed, unique })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let done =
        store::made_for_another(&arguments).map_or_else(|| check(&arguments), |made| made.map(|()| true));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(arguments: &[String]) -> io::Result<bool> {
    if !fs::read_to_string("/proc/cpuinfo")?.contains(" avx2") {
        println!("instructions: skipped (the figures are of a processor with AVX2)");
        return Ok(true);
    }
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("instructions: skipped (valgrind is not installed)");
        return Ok(true);
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml");
    let text = fs::read_to_string(&path)?;
    let committed: toml::Table = text.parse().map_err(io::Error::other)?;
    // How much more is well: 0.05 is five of a hundred.
    let allowance = committed["allowance"].as_float().expect("a number") * 100.0;
    let mut lines = String::new();
    let writes = std::env::var_os("TLSWHY_WRITE_INSTRUCTIONS").is_some();
    let mut well = true;
    for Counted { name, scenes: [large, small], by: of } in COUNTED {
        let (large, small) = (large.capture()?, small.capture()?);
        let [more, less] = [count(arguments, &large.path)?, count(arguments, &small.path)?];
        let found = more.saturating_sub(less) / (of(&large) - of(&small)).max(1);
        let known = committed["instructions"].get(name).and_then(toml::Value::as_integer).unwrap_or(1) as u64;
        lines += &format!("{name} = {found}\n");
        let by = (found as f64 / known as f64 - 1.0) * 100.0;
        let good = by <= allowance;
        well &= good || writes;
        let word = match by {
            _ if writes => "new ",
            _ if !good => "NOT ",
            ..-10.0 => "less", // worth committing, or the allowance is for nothing
            _ => "ok  ",
        };
        println!("{word} {name}: {} instructions, committed {} ({by:+.1} %)", grouped(found), grouped(known));
    }
    if writes {
        let before = text.split_once("[instructions]").map_or("", |(before, _)| before);
        fs::write(path, format!("{before}[instructions]\n{lines}"))?;
    } else if !well {
        println!(
            "more than {allowance:.0} % above the committed figures: find out why, or commit the new ones with TLSWHY_WRITE_INSTRUCTIONS=1"
        );
    }
    Ok(well)
}

/// All instructions of one run.
fn count(arguments: &[String], capture: &Path) -> io::Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", &common::program(arguments)]);
    valgrind.args(["read", "--json", "--no-progress", "--workers", "1"]).args(with(arguments)).arg(capture);
    valgrind.env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-AVX,-ERMS,-FSRM");
    let done = valgrind.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?.wait_with_output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match collected {
        Some(collected) if done.status.success() => Ok(collected),
        _ => Err(io::Error::other(format!("valgrind failed: {said}"))),
    }
}
