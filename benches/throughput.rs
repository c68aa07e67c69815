//! How fast the program reads captures, beside floors (`floors.rs`) and beside other programs on the same files in the
//! same run, and how its time and memory grow.
//!
//! `make bench`, or `cargo bench --bench throughput -- [WHAT…] [OPTIONS]`, where WHAT is any of
//!
//! * `files`: mixed and handshake-heavy captures of 200 MB and 1,200 MB, every handshake unique, and again with the
//!   certificates of 256 servers; floors, this program with one and two workers, other programs;
//! * `growth`: time and memory over the size of the file, 200 to 1,200 MB;
//! * `flows`: time a packet and memory with 10,000, 100,000 and 1,000,000 connections open at once;
//! * `flood`: five million SYNs of distinct clients, and lookups of as many names, amid 400 handshakes of known outcome;
//! * `sides`: both sides of a gateway at once, beside each alone; with a flood inside, too.
//!
//! Options: `--mb N` for captures of another size in `files` and `sides`, `--runs N`, `--program PATH` for another build,
//! `--against PATH` for a second one in the same turns, `--with "ARGUMENTS"` for both, `--no-peers`, `--plots` to write
//! `benches/plots/`. The captures, 25 GB for all, are made once under `target/bench/`. Times are CPU seconds (user and
//! system) of the whole child; runs are interleaved, the least counts, the median shows how quiet the machine was.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "no library code")]

mod common;
mod floors;
mod plot;
mod sides;
mod ways;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use common::crowd::{Crowd, Flood};
use common::store::{self, Capture, Scene};
use common::traffic::Plan;
use common::{grouped, median, number, option};
use plot::Chart;
use ways::{Figures, Way, interleaved};

const SIZES: [u64; 2] = [200, 1_200];
const GROWING: [u64; 4] = [200, 400, 800, 1_200];
const CROWDS: [u64; 3] = [10_000, 100_000, 1_000_000];
const FLOOD: Flood = Flood { syns: 5_000_000, handshakes: 400 };
/// Packets that follow once a crowd's connections are open.
const FOLLOWING: u64 = 8_000_000;

struct Asked {
    arguments: Vec<String>,
    program: String,
    with: Vec<String>,
    runs: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let done = if let Some(made) = store::made_for_another(&arguments) {
        made.map(|()| true)
    } else if let (Some(which), Some(path)) = (option(&arguments, "--floor"), arguments.get(3)) {
        floor(&which, Path::new(path)).map(|()| true)
    } else {
        bench(arguments)
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("throughput: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a child of this process does: one of the floors.
fn floor(which: &str, path: &Path) -> io::Result<()> {
    if which == "flows" {
        let (flows, records) = floors::flows(path)?;
        println!("{flows} flows, {records} records");
    } else {
        println!("{}", floors::headers(path)?);
    }
    Ok(())
}

fn bench(arguments: Vec<String>) -> io::Result<bool> {
    let asked = Asked {
        program: common::program(&arguments),
        with: common::with(&arguments),
        runs: number(&arguments, "--runs").unwrap_or(5) as usize,
        arguments,
    };
    let parts = ["files", "growth", "flows", "flood", "sides"];
    let chosen = |part: &str| {
        let named = asked.arguments.iter().any(|argument| argument == part);
        named || !asked.arguments.iter().skip(1).any(|argument| parts.contains(&argument.as_str()))
    };
    println!("{}", machine());
    let mut well = true;
    if chosen("files") {
        well &= files(&asked)?;
    }
    if chosen("growth") {
        growth(&asked)?;
    }
    if chosen("flows") {
        flows(&asked)?;
    }
    if chosen("flood") {
        well &= flood(&asked, Scene::Flood(FLOOD), "packets of as many clients")?;
        well &= flood(&asked, Scene::Names(FLOOD), "packets of lookups")?;
    }
    if chosen("sides") {
        well &= sides::sides(&asked)?;
    }
    Ok(well)
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let named = |line: &&str| line.starts_with("model name");
    let model =
        cpus.lines().find(named).and_then(|line| line.split_once(": ")).map_or("", |(_, model)| model);
    let count = cpus.lines().filter(named).count();
    let (kernel, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    let load = load.split(' ').next().unwrap_or_default();
    format!("{count} × {model}, Linux {}, load {load} at the start\n", kernel.trim())
}

impl Asked {
    /// This program, and the one to compare it with, by their number of workers.
    fn ours(&self, workers: usize) -> Vec<Way> {
        let plural = if workers == 1 { "" } else { "s" };
        let mut ways = vec![Way::tlswhy(
            &format!("tlswhy, {workers} worker{plural}"),
            &self.program,
            workers,
            &self.with,
        )];
        if let Some(other) = option(&self.arguments, "--against") {
            let name = format!("the other tlswhy, {workers} worker{plural}");
            ways.push(Way::tlswhy(&name, &other, workers, &self.with));
        }
        ways
    }
}

/// Mixed and handshake-heavy captures: floors, ours, others.
fn files(asked: &Asked) -> io::Result<bool> {
    let peers = if asked.arguments.iter().any(|word| word == "--no-peers") { vec![] } else { Way::peers()? };
    let mut ways = vec![Way::floor("headers")?, Way::floor("flows")?];
    ways.extend(asked.ours(1));
    ways.extend(asked.ours(2));
    ways.extend(peers);
    let sizes = number(&asked.arguments, "--mb").map_or(SIZES.to_vec(), |mb| vec![mb]);
    let mut well = true;
    for mb in sizes {
        for (mixed, unique) in [(true, true), (true, false), (false, true), (false, false)] {
            let capture = Scene::Traffic(Plan { bytes: mb * 1_000_000, mixed, unique }).capture()?;
            println!(
                "\n### {}, {}: {} MB, {} packets, {} handshakes\n",
                if mixed { "mixed" } else { "handshakes" },
                if unique { "each unique" } else { "certificates of 256 servers" },
                grouped(capture.mb() as u64),
                grouped(capture.made.packets),
                grouped(capture.made.handshakes)
            );
            well &= agree(asked, &capture)?;
            let figures = interleaved(&ways, &capture, asked.runs)?;
            table(&capture, &ways, &figures);
        }
    }
    Ok(well)
}

/// Whether every packet and handshake that was written is found, and whether two workers print what one does.
fn agree(asked: &Asked, capture: &Capture) -> io::Result<bool> {
    let (one, two) = (&asked.ours(1)[0], &asked.ours(2)[0]);
    let (found, printed) = one.events(capture, |_| {})?;
    let (_, by_two) = two.events(capture, |_| {})?;
    if found != capture.made {
        println!("NOT what was written: found {found:?}, written {:?}\n", capture.made);
    }
    if printed != by_two {
        println!("NOT the same events with one and two workers\n");
    }
    Ok(found == capture.made && printed == by_two)
}

fn table(capture: &Capture, ways: &[Way], figures: &[Figures]) {
    let at = |start: &str| ways.iter().position(|way| way.name.starts_with(start)).map(|at| &figures[at]);
    let floor = at("floor: headers").map_or(f64::NAN, Figures::rate);
    let ndpi = at("ndpiReader").map_or(f64::NAN, Figures::rate);
    println!(
        "| program | CPU s least | median | wall s least | MB/s | packets/s | handshakes/s | peak MB | × flow-table floor's time | × ndpiReader's speed |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (way, figures) in ways.iter().zip(figures) {
        let rate = figures.rate();
        let a_mb = |count: u64| grouped((count as f64 / capture.mb() * rate) as u64);
        let times = |ratio: f64| if ratio.is_nan() { String::new() } else { format!("{ratio:.2}") };
        println!(
            "| {} | {:.3} | {:.3} | {:.3} | {} | {} | {} | {:.0} | {} | {} |",
            way.name,
            figures.least().as_secs_f64(),
            median(figures.cpu.clone()).as_secs_f64(),
            figures.least_wall().as_secs_f64(),
            grouped(rate as u64),
            a_mb(capture.made.packets),
            a_mb(capture.made.handshakes),
            figures.peak_mb(),
            times(floor / rate),
            times(rate / ndpi),
        );
    }
    if let (Some(one), Some(two)) = (at("tlswhy, 1"), at("tlswhy, 2")) {
        let faster = one.least_wall().as_secs_f64() / two.least_wall().as_secs_f64();
        println!("\nTwo workers: {faster:.2} × as fast by the clock as one.");
    }
}

/// Time and memory over the size of the file.
fn growth(asked: &Asked) -> io::Result<()> {
    println!("\n### Growth with the size of the file\n");
    println!("| capture | MB | tlswhy CPU s | a GB | peak MB | flow-table floor CPU s |");
    println!("|---|---|---|---|---|---|");
    let ways = [asked.ours(1).remove(0), Way::floor("flows")?];
    let mut lines = HashMap::new();
    for mixed in [true, false] {
        let name = if mixed { "mixed" } else { "handshakes" };
        for mb in GROWING {
            let capture = Scene::Traffic(Plan { bytes: mb * 1_000_000, mixed, unique: true }).capture()?;
            let figures = interleaved(&ways, &capture, asked.runs.min(3))?;
            let [cpu, floor] = [0, 1].map(|way| figures[way].least().as_secs_f64());
            let (size, peak) = (capture.mb(), figures[0].peak_mb());
            println!("| {name} | {size:.0} | {cpu:.3} | {:.3} | {peak:.0} | {floor:.3} |", cpu * 1e3 / size);
            lines.entry((name, "time")).or_insert_with(Vec::new).push((size, cpu));
            lines.entry((name, "peak")).or_insert_with(Vec::new).push((size, peak));
        }
    }
    let line = |name: &'static str, what| (name, lines.get(&(name, what)).cloned().unwrap_or_default());
    let chart = |title, up, what| Chart {
        title,
        across: "size of the capture (MB)",
        up,
        by_tens: false,
        lines: vec![line("handshakes", what), line("mixed", what)],
    };
    plotted(asked, "growth", &[chart("Time", "CPU seconds", "time"), chart("Memory", "MB at most", "peak")])
}

/// Time a packet and memory over the connections that are open at once.
fn flows(asked: &Asked) -> io::Result<()> {
    println!("\n### Connections open at once\n");
    println!(
        "A quarter each: connected without a byte, plain HTTP, after a ClientHello, finished handshakes with bulk. \
         When all are open, {} packets follow, each on a connection chosen by chance. A packet's time is what as many more of \
         them take: to open the connections and to close them is then in neither.\n",
        grouped(FOLLOWING)
    );
    println!(
        "| connections | ns a packet that follows | × that at 10,000 | floor, ns a packet | CPU s to open and close all | peak MB | bytes a connection |"
    );
    println!("|---|---|---|---|---|---|---|");
    let ways = [asked.ours(1).remove(0), Way::floor("flows")?];
    let mut captures = Vec::new();
    for flows in CROWDS {
        let following = |packets| Scene::Crowd(Crowd { flows, packets }).capture();
        captures.push((flows, following(FOLLOWING)?, following(2 * FOLLOWING)?));
    }
    let mut figures = vec![[[(); 2]; 2].map(|pair| pair.map(|()| Figures::default())); captures.len()];
    for _ in 0..asked.runs {
        for ((_, fewer, more), figures) in captures.iter().zip(&mut figures) {
            for (way, [with_fewer, with_more]) in ways.iter().zip(figures) {
                way.run(fewer, with_fewer)?;
                way.run(more, with_more)?;
            }
        }
    }
    let mut lines = [(); 3].map(|()| Vec::new());
    let mut first = None;
    for ((flows, ..), [ours, floor]) in captures.iter().zip(&figures) {
        let [fewer, more] = ours;
        let a_packet = |[fewer, more]: &[Figures; 2]| {
            (more.least().as_secs_f64() - fewer.least().as_secs_f64()) * 1e9 / FOLLOWING as f64
        };
        let (ours, floor) = (a_packet(ours), a_packet(floor));
        let ratio = ours / *first.get_or_insert(ours);
        let opening = fewer.least().as_secs_f64() - ours * FOLLOWING as f64 / 1e9;
        println!(
            "| {} | {ours:.0} | {ratio:.2} | {floor:.0} | {opening:.3} | {:.0} | {:.0} |",
            grouped(*flows),
            more.peak_mb(),
            more.peak_kb as f64 * 1_024.0 / *flows as f64,
        );
        let across = *flows as f64;
        for (line, value) in lines.iter_mut().zip([ours, floor, more.peak_mb()]) {
            line.push((across, value));
        }
    }
    let [ours, floor, peak] = lines;
    let across = "connections open at once";
    let time = Chart {
        title: "Time a packet",
        across,
        up: "ns",
        by_tens: true,
        lines: vec![("tlswhy", ours), ("floor", floor)],
    };
    let memory =
        Chart { title: "Memory", across, up: "MB at most", by_tens: true, lines: vec![("tlswhy", peak)] };
    plotted(asked, "flows", &[time, memory])
}

/// A flood, and what becomes of real handshakes in it.
fn flood(asked: &Asked, scene: Scene, what: &str) -> io::Result<bool> {
    let capture = scene.capture()?;
    let ways = [asked.ours(1).remove(0), Way::floor("flows")?];
    let figures = interleaved(&ways, &capture, asked.runs.min(3))?;
    let (mut completed, mut failed, mut otherwise, mut strangers) = (0_u64, 0, 0, 0_u64);
    let mut lost = String::new();
    ways[0].events(&capture, |event| {
        if event["kind"] == "stats" {
            lost = event["lost"].to_string();
        } else if event["client"]["ip"].as_str().is_some_and(|ip| ip.starts_with("10.1.")) {
            match event["outcome"].as_str() {
                Some("completed") => completed += 1,
                Some("failed") => failed += 1,
                _ => otherwise += 1,
            }
        } else {
            strangers += 1;
        }
    })?;
    let made = capture.made;
    println!("\n### A flood: {} {what} amid {} handshakes\n", grouped(made.packets), made.handshakes);
    println!("| program | CPU s | ns a packet | peak MB |\n|---|---|---|---|");
    for (way, figures) in ways.iter().zip(&figures) {
        let seconds = figures.least().as_secs_f64();
        println!(
            "| {} | {seconds:.3} | {:.0} | {:.0} |",
            way.name,
            seconds * 1e9 / made.packets as f64,
            figures.peak_mb()
        );
    }
    let well = [completed, failed, otherwise] == [made.completed, made.handshakes - made.completed, 0];
    println!(
        "\n{}: of {} handshakes {} completed and {} failed; told: {completed} completed, {failed} failed, {otherwise} otherwise. \
         Events of the flood itself: {}. Lost, by its own account: {lost}",
        if well { "Every real handshake was judged" } else { "NOT every real handshake was judged" },
        made.handshakes,
        made.completed,
        made.handshakes - made.completed,
        grouped(strangers),
    );
    Ok(well)
}

fn plotted(asked: &Asked, name: &str, charts: &[Chart<'_>]) -> io::Result<()> {
    if !asked.arguments.iter().any(|word| word == "--plots") {
        return Ok(());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/plots");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("{name}.svg")), plot::svg(charts))
}
