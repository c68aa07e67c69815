//! Both sides of a gateway read at once, beside each of them alone.

use std::io;

use super::common::crowd::Flood;
use super::common::gateway::AHEAD;
use super::common::store::{Capture, Scene};
use super::common::traffic::Plan;
use super::common::{grouped, number};
use super::ways::{Figures, Way, interleaved};
use super::{Asked, FLOOD};

/// Sizes of the inner capture, in MB.
const GROWING: [u64; 3] = [50, 200, 400];

/// What was told of the connections of two captures.
#[derive(Default)]
struct Told {
    completed: u64,
    /// Of them, those seen on both sides, with their translation, and without a cause.
    whole: u64,
    failed: u64,
    /// Of them, those that are proven to be the gateway's.
    proven: u64,
    otherwise: u64,
    strangers: u64,
    lost: String,
}

fn told(way: &Way, inner: &Capture) -> io::Result<Told> {
    let mut told = Told::default();
    way.events(inner, |event| {
        if event["kind"] == "stats" {
            told.lost = event["lost"].to_string();
        }
        if event["kind"] != "handshake" {
            return;
        }
        // A flood's SYNs come from elsewhere.
        let own = event["client"]["ip"].as_str().is_some_and(|ip| ip.starts_with("10."));
        let offset = event["vantages"]["clock_offset_us"].as_i64();
        let paired = offset.is_some_and(|offset| (offset - AHEAD).abs() < 1_000)
            && event["vantages"]["inside"]["client"] != event["vantages"]["outside"]["client"];
        match event["outcome"].as_str() {
            _ if !own => told.strangers += 1,
            Some("completed") => {
                told.completed += 1;
                told.whole += u64::from(paired && event["cause"].is_null());
            }
            Some("failed") => {
                told.failed += 1;
                let by_gateway = event["reason"] == "reset_after_hello" && event["certainty"] == "proven";
                told.proven += u64::from(paired && by_gateway);
            }
            _ => told.otherwise += 1,
        }
    })?;
    Ok(told)
}

impl Told {
    /// Says whether all that was made is told, and as it was.
    fn fits(&self, inner: &Capture) -> bool {
        let made = inner.made;
        let right = [self.completed, self.whole, self.failed, self.proven, self.otherwise]
            == [
                made.completed,
                made.completed,
                made.handshakes - made.completed,
                made.handshakes - made.completed,
                0,
            ];
        if !right {
            println!(
                "\nNOT as it was made: {} completed, {} of them paired and without a cause; {} failed, {} of them proven to be \
                 the gateway's; {} otherwise. Made: {} handshakes, {} completed.",
                self.completed,
                self.whole,
                self.failed,
                self.proven,
                self.otherwise,
                made.handshakes,
                made.completed
            );
        }
        right
    }
}

/// Time and memory of both sides beside each alone; whether all was told as it is.
pub fn sides(asked: &Asked) -> io::Result<bool> {
    println!("\n### Both sides of a gateway\n");
    println!(
        "The outer capture has what a gateway with address translation leaves of the inner one: a clock {:.1} s ahead, 20 to \
         300 µs on the way, and neither the hellos that it filtered nor its resets, of 20 connections in a thousand.\n",
        AHEAD as f64 / 1e6
    );
    println!(
        "| capture | MB, inner + outer | inner alone, CPU s | outer alone | both | × the sum | peak MB, inner | outer | both |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut well = true;
    let sizes = number(&asked.arguments, "--mb").map_or(GROWING.to_vec(), |mb| vec![mb]);
    for mixed in [true, false] {
        for mb in &sizes {
            let plan = Plan { bytes: mb * 1_000_000, mixed, unique: false };
            let (inner, outer) = (Scene::Traffic(plan).capture()?, Scene::OuterTraffic(plan).capture()?);
            let alone = asked.ours(1).remove(0);
            let both = Way::both("both", &asked.program, &outer.path, &asked.with);
            let figures = measured(&alone, &both, &inner, &outer, asked.runs.min(3))?;
            let name = if mixed { "mixed" } else { "handshakes" };
            row(name, &inner, &outer, &figures);
            well &= told(&both, &inner)?.fits(&inner);
        }
    }
    well &= flood(asked)?;
    Ok(well)
}

fn measured(
    alone: &Way,
    both: &Way,
    inner: &Capture,
    outer: &Capture,
    runs: usize,
) -> io::Result<[Figures; 3]> {
    let mut figures = [(); 3].map(|()| Figures::default());
    for _ in 0..runs {
        alone.run(inner, &mut figures[0])?;
        alone.run(outer, &mut figures[1])?;
        both.run(inner, &mut figures[2])?;
    }
    Ok(figures)
}

fn row(name: &str, inner: &Capture, outer: &Capture, [first, second, both]: &[Figures; 3]) {
    let seconds = |figures: &Figures| figures.least().as_secs_f64();
    println!(
        "| {name} | {:.0} + {:.0} | {:.3} | {:.3} | {:.3} | {:.2} | {:.0} | {:.0} | {:.0} |",
        inner.mb(),
        outer.mb(),
        seconds(first),
        seconds(second),
        seconds(both),
        seconds(both) / (seconds(first) + seconds(second)),
        first.peak_mb(),
        second.peak_mb(),
        both.peak_mb(),
    );
}

/// A flood of SYNs inside that the gateway drops, and real handshakes that cross it.
fn flood(asked: &Asked) -> io::Result<bool> {
    let (inner, outer) = (Scene::Flood(FLOOD).capture()?, Scene::OuterFlood(FLOOD).capture()?);
    let both = Way::both("both", &asked.program, &outer.path, &asked.with);
    let figures = interleaved(std::slice::from_ref(&both), &inner, asked.runs.min(2))?;
    let told = told(&both, &inner)?;
    let Flood { syns, handshakes } = FLOOD;
    println!(
        "\nA flood of {} SYNs inside amid {} handshakes: {:.3} CPU s, {:.0} MB at most. Events of the flood itself: {}. Lost, by \
         its own account: {}",
        grouped(syns),
        grouped(handshakes),
        figures[0].least().as_secs_f64(),
        figures[0].peak_mb(),
        grouped(told.strangers),
        told.lost
    );
    Ok(told.fits(&inner))
}
