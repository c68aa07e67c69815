//! What the benches measure with is right itself: the captures they make, the floors, what a child cost.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests")]

#[path = "../benches/common/mod.rs"]
#[allow(unsafe_code, reason = "a bench's code")]
mod common;
#[path = "../benches/floors.rs"]
mod floors;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::crowd::{self, Crowd, Flood, Of};
use common::gateway;
use common::traffic::{self, Plan};
use common::{child, frame::Made};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the program prints of a capture, one event an element; the last is `stats`.
fn events(capture: &Path) -> Vec<serde_json::Value> {
    printed(&[capture.as_os_str()])
}

/// What the program prints with these arguments.
fn printed(arguments: &[&OsStr]) -> Vec<serde_json::Value> {
    let read =
        Command::new(env!("CARGO_BIN_EXE_tlswhy")).args(["read", "--json"]).args(arguments).output().unwrap();
    let lines = String::from_utf8(read.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_handshake_of_a_made_capture_ends_as_it_was_written() {
    for (mixed, unique) in [(true, true), (false, true), (false, false)] {
        let capture = path(&format!("made-{mixed}-{unique}.pcap"));
        let made = traffic::make(&capture, &Plan { bytes: 1_000_000, mixed, unique }, root()).unwrap();
        let events = events(&capture);
        let completed = events.iter().filter(|event| event["outcome"] == "completed").count() as u64;
        let (handshakes, stats) = (events.len() as u64 - 1, events.last().unwrap());
        let found =
            Made { packets: stats["packets"].as_u64().unwrap(), bytes: made.bytes, handshakes, completed };
        assert_eq!(found, made);
    }
}

#[test]
fn what_a_gateway_leaves_of_a_capture_is_paired_with_it_connection_by_connection() {
    let (inner, outer) = (path("inner.pcap"), path("outer.pcap"));
    let made =
        traffic::make(&inner, &Plan { bytes: 1_000_000, mixed: false, unique: false }, root()).unwrap();
    gateway::outside(&outer, &inner).unwrap();
    let sides = [OsStr::new("--inside"), inner.as_os_str(), OsStr::new("--outside"), outer.as_os_str()];
    let events = printed(&sides);
    let paired = events.iter().filter(|event| {
        let ahead = event["vantages"]["clock_offset_us"].as_i64().unwrap_or_default();
        (ahead - gateway::AHEAD).abs() < 1_000
    });
    let proven = events.iter().filter(|event| event["certainty"] == "proven").count() as u64;
    assert_eq!(paired.count() as u64, made.handshakes);
    assert_eq!(proven, made.handshakes - made.completed);
}

#[test]
fn a_flood_of_names_asks_for_each_once_amid_handshakes() {
    let capture = path("names.pcap");
    let made = crowd::flood(&capture, &Flood { syns: 6_000, handshakes: 12 }, Of::Names, root()).unwrap();
    let events = events(&capture);
    let own =
        |event: &&serde_json::Value| event["client"]["ip"].as_str().is_some_and(|ip| ip.starts_with("10."));
    assert_eq!((made.handshakes, events.iter().filter(own).count()), (12, 12));
    // One of six is never answered.
    assert!(made.packets > 11_000, "{made:?}");
}

#[test]
fn unique_certificates_are_unique_and_bear_the_name_that_was_asked_for() {
    let capture = path("unique.pcap");
    traffic::make(&capture, &Plan { bytes: 500_000, mixed: false, unique: true }, root()).unwrap();
    let mut serials = Vec::new();
    for event in events(&capture) {
        if let Some(leaf) = event["certificates"].get(0) {
            assert_eq!(leaf["sans"][0], event["sni"]);
            serials.push(leaf["serial"].to_string());
        }
    }
    let count = serials.len();
    serials.sort();
    serials.dedup();
    assert!(count > 20 && serials.len() == count, "{count} certificates, {} serial numbers", serials.len());
}

#[test]
fn the_floor_counts_every_connection_of_a_crowd_and_every_client_of_a_flood_once() {
    let (one, other) = (path("crowd.pcap"), path("flood.pcap"));
    crowd::crowd(&one, &Crowd { flows: 5_000, packets: 1_000 }, root()).unwrap();
    assert_eq!(floors::flows(&one).unwrap().0, 5_000);
    let made = crowd::flood(&other, &Flood { syns: 30_000, handshakes: 12 }, Of::Syns, root()).unwrap();
    assert_eq!(made.handshakes, 12);
    assert_eq!(floors::flows(&other).unwrap().0, 30_012);
}

#[test]
fn the_floor_walks_every_packet_wherever_a_piece_ends() {
    let (whole, first, rest) = (path("whole.pcap"), path("first.pcap"), path("rest.pcap"));
    let crowd = |path, packets| crowd::crowd(path, &Crowd { flows: 4_000, packets }, root()).unwrap();
    let (all, opened) = (crowd(&whole, 3_000), crowd(&first, 0));
    assert_eq!(all.packets - opened.packets, 3_000);
    let bytes = std::fs::read(&whole).unwrap();
    assert!(bytes.len() > 3 << 20, "several pieces");
    let (before, after) = bytes.split_at(opened.bytes as usize);
    assert!(std::fs::read(&first).unwrap() == before, "the beginning of one of more packets");
    std::fs::write(&rest, [&bytes[..24], after].concat()).unwrap();
    let sums = [&first, &rest, &whole].map(|path| floors::headers(path).unwrap());
    assert_eq!(sums[0].wrapping_add(sums[1]), sums[2]);
}

#[test]
fn a_child_is_charged_with_its_own_memory_and_time_only() {
    let large = child::run(
        Command::new("dd").args("if=/dev/zero of=/dev/null bs=80M count=2 status=none".split(' ')),
    );
    let small = child::run(&mut Command::new("true"));
    let failed = child::run(Command::new("sh").args(["-c", "exit 3"]));
    let (large, small, failed) = (large.unwrap(), small.unwrap(), failed.unwrap());
    assert!(large.well && small.well && !failed.well);
    assert!(large.peak_kb > 80_000 && small.peak_kb < large.peak_kb / 2, "{large:?} {small:?}");
    assert!(small.cpu < large.cpu, "{large:?} {small:?}");
}
