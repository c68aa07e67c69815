//! Every capture with packets lost, doubled, late, cut, split or joined, or with damaged bytes: the program ends
//! well, proves nothing wrong, and calls no sound attempt failed with more than a suspicion.
//!
//! `cargo test --test perturb -- --nocapture` prints what became of the verdicts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use support::judged::{failed, handshakes, judged_in, said, word};
use support::pcap::Pcap;
use support::{Attempt, Label, Scratch, lab_roots, root};

/// The ends of a connection, the client first.
type Ends = (String, String);

/// A capture that this file can take apart, and which attempt of its label each connection is.
struct Sample {
    path: PathBuf,
    pcap: Pcap,
    label: Label,
    attempts: BTreeMap<Ends, Vec<Attempt>>,
}

fn ends(event: &Value) -> Ends {
    (event["client"].to_string(), event["server"].to_string())
}

impl Sample {
    /// The attempts that an event may be of: those between the same ends, or else all.
    fn attempts(&self, event: &Value) -> &[Attempt] {
        let (client, server) = ends(event);
        let found = self.attempts.get(&(client.clone(), server.clone()));
        found.or_else(|| self.attempts.get(&(server, client))).unwrap_or(&self.label.attempts)
    }
}

/// Every capture but those that are packed or big-endian; these have the same packets as others.
fn samples() -> &'static [Sample] {
    static SAMPLES: OnceLock<Vec<Sample>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let captures = judged_in(Path::new("captures"), &lab_roots());
        let all = captures.len();
        let samples: Vec<_> = captures
            .into_iter()
            .filter_map(|judged| {
                let pcap = Pcap::parse(&std::fs::read(root().join(&judged.path)).unwrap())?;
                let mut attempts: BTreeMap<Ends, Vec<Attempt>> = BTreeMap::new();
                for pair in judged.pairs {
                    if let (Some(attempt), Some(event)) = (pair.attempt, pair.event) {
                        attempts.entry(ends(&event)).or_default().push(attempt);
                    }
                }
                Some(Sample { path: judged.path, pcap, label: judged.label, attempts })
            })
            .collect();
        println!("{} of {all} captures are taken apart", samples.len());
        assert!(samples.len() + 8 >= all);
        samples
    })
}

/// Writes each variant of each capture that differs from it, and reads them all: the variant, its sample, its events.
fn read(
    kind: &str,
    variants: impl Fn(&Pcap) -> Vec<Vec<u8>>,
) -> (usize, Vec<(usize, &'static Sample, Value)>) {
    let (mut written, mut events) = (0, Vec::new());
    for lab in [true, false] {
        let scratch = Scratch::new(&format!("{}-{lab}", kind.replace(' ', "-")));
        let mut here = 0;
        for (n, sample) in samples().iter().enumerate().filter(|(_, sample)| sample.label.lab == lab) {
            let whole = sample.pcap.whole();
            for (m, bytes) in variants(&sample.pcap).into_iter().enumerate() {
                if bytes != whole {
                    scratch.write(&format!("{n}-{m}.pcap"), &bytes);
                    here += 1;
                }
            }
        }
        if here > 0 {
            let roots = if lab { lab_roots() } else { Vec::new() };
            for event in handshakes(&scratch.path(""), &roots) {
                let name = Path::new(word(&event, "capture").unwrap()).file_stem().unwrap().to_str().unwrap();
                let (n, m) = name.split_once('-').unwrap();
                events.push((m.parse().unwrap(), &samples()[n.parse::<usize>().unwrap()], event));
            }
        }
        written += here;
    }
    (written, events)
}

/// Perturbs each capture in every way of one kind and lists the verdicts that its label does not bear out.
fn wrong(kind: &str, variants: impl Fn(&Pcap) -> Vec<Vec<u8>>) -> Vec<String> {
    let (written, events) = read(kind, variants);
    assert!(written > 0, "{kind}");
    let mut wrong = Vec::new();
    let mut came: BTreeMap<&str, usize> = BTreeMap::new();
    let mut causes: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut misled: BTreeMap<String, usize> = BTreeMap::new();
    for (variant, sample, event) in events {
        let attempts = sample.attempts(&event);
        let sound = !attempts.iter().any(|attempt| attempt.has_outcome("failed"));
        let cause = word(&event, "cause");
        let right = cause.is_some_and(|cause| attempts.iter().any(|attempt| attempt.has_cause(cause)));
        let certainty = word(&event, "certainty").unwrap_or("undetermined");
        let what = match (failed(&event), sound) {
            (false, true) => "sound",
            (false, false) => "failure missed",
            (true, true) => "false failure",
            (true, false) if cause.is_none() => "undetermined",
            (true, false) => "cause",
        };
        *came.entry(what).or_default() += 1;
        if failed(&event) {
            let (rights, of) = causes.entry(certainty.to_owned()).or_default();
            *rights += usize::from(right);
            *of += 1;
        }
        if certainty == "inferred" && !right {
            let told: Vec<_> = attempts.iter().map(Attempt::told).collect();
            let line = format!("{}: {}, got {}", sample.path.display(), told.join(" or "), said(&event));
            *misled.entry(line).or_default() += 1;
        }
        // A scanner's hello that the server refused: that it failed is allowed, of what is not told.
        let untold = attempts.iter().any(|attempt| attempt.cause.is_none() && attempt.has_outcome("failed"));
        let bad = match certainty {
            "proven" => !right && !untold,
            "inferred" => failed(&event) && sound,
            _ => false,
        };
        if bad {
            let name = sample.path.display().to_string();
            let told: Vec<_> = attempts.iter().map(Attempt::told).collect();
            let line =
                format!("{name}, {kind} {variant}: expected {}, got {}", told.join(" or "), said(&event));
            wrong.push(line);
        }
    }
    causes.remove("undetermined");
    let causes: Vec<_> =
        causes.iter().map(|(certainty, (right, of))| format!("{certainty} {right} of {of} right")).collect();
    println!("{kind}: {written} files, {came:?}, {}", causes.join(", "));
    for (line, times) in &misled {
        println!("  inferred and wrong, {times} times: {line}");
    }
    wrong
}

/// The packets to try one by one, from this one on: all, or of a long capture as many as this spread over it, since what that
/// takes grows with the square of its packets.
fn places(pcap: &Pcap, from: usize) -> impl Iterator<Item = usize> {
    const MOST: usize = 80;
    (from..pcap.packets.len()).step_by(pcap.packets.len().div_ceil(MOST).max(1))
}

/// Fails with all that is wrong.
fn expect_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_lost_packet_proves_nothing_wrong() {
    expect_none(&wrong("lost", |pcap| places(pcap, 0).map(|n| pcap.without(n)).collect()));
}

#[test]
fn a_run_of_lost_packets_proves_nothing_wrong() {
    let mut all = Vec::new();
    for (kind, run) in [("2 lost", 2), ("4 lost", 4)] {
        all.extend(wrong(kind, |pcap| places(pcap, 0).map(|n| pcap.without_run(n, n + run)).collect()));
    }
    expect_none(&all);
}

#[test]
fn loss_here_and_there_proves_nothing_wrong() {
    let mut all = Vec::new();
    for (kind, per_mille, seeds) in [("0.1 % lost", 1, 40), ("1 % lost", 10, 20), ("5 % lost", 50, 12)] {
        all.extend(wrong(kind, |pcap| (0..seeds).map(|seed| pcap.lossy(per_mille, seed)).collect()));
    }
    expect_none(&all);
}

#[test]
fn one_direction_alone_proves_nothing_wrong() {
    let mut all = Vec::new();
    for (kind, of_client) in [("client only", true), ("server only", false)] {
        all.extend(wrong(kind, |pcap| pcap.one_way(0, of_client).into_iter().collect()));
        let later = format!("{kind} from a packet on");
        all.extend(wrong(&later, |pcap| {
            places(pcap, 1).filter_map(|n| pcap.one_way(n, of_client)).collect()
        }));
    }
    expect_none(&all);
}

#[test]
fn a_doubled_packet_proves_nothing_wrong() {
    let mut all = wrong("doubled", |pcap| places(pcap, 0).map(|n| pcap.twice(n)).collect());
    all.extend(wrong("all doubled", |pcap| vec![pcap.doubled()]));
    all.extend(wrong("doubled by a router", |pcap| vec![pcap.routed()]));
    all.extend(wrong("again behind 4", |pcap| places(pcap, 0).map(|n| pcap.again(n, 4)).collect()));
    expect_none(&all);
}

#[test]
fn neighbours_that_change_places_prove_nothing_wrong() {
    let mut all = wrong("swapped", |pcap| places(pcap, 1).map(|n| pcap.swapped(n - 1)).collect());
    all.extend(wrong("all swapped", |pcap| (0..2).map(|first| pcap.all_swapped(first)).collect()));
    expect_none(&all);
}

#[test]
fn short_snap_lengths_prove_nothing_wrong() {
    expect_none(&wrong("snapped", |pcap| [54, 68, 96, 128, 256, 600].map(|most| pcap.snapped(most)).into()));
}

#[test]
fn a_capture_that_begins_late_proves_nothing_wrong() {
    expect_none(&wrong("late", |pcap| places(pcap, 1).map(|n| pcap.with(&pcap.packets[n..])).collect()));
}

#[test]
fn a_capture_that_ends_early_proves_nothing_wrong() {
    expect_none(&wrong("early", |pcap| places(pcap, 1).map(|n| pcap.with(&pcap.packets[..n])).collect()));
}

#[test]
fn segments_in_pieces_prove_nothing_wrong() {
    let mut all = wrong("split", |pcap| [700, 100, 7].map(|most| pcap.split(most)).into());
    let split = |pcap: &Pcap| Pcap::parse(&pcap.split(200)).unwrap();
    all.extend(wrong("split and swapped", |pcap| (0..2).map(|n| split(pcap).all_swapped(n)).collect()));
    all.extend(wrong("split and 5 % lost", |pcap| (0..8).map(|seed| split(pcap).lossy(50, seed)).collect()));
    expect_none(&all);
}

#[test]
fn segments_that_offloading_joined_prove_nothing_wrong() {
    let mut all = wrong("joined", |pcap| vec![pcap.joined(true)]);
    all.extend(wrong("joined, IP length 0", |pcap| vec![pcap.joined(false)]));
    expect_none(&all);
}

#[test]
fn a_coarse_clock_and_one_set_back_prove_nothing_wrong() {
    let mut all =
        wrong("coarse clock", |pcap| [1_000, 10_000, 1_000_000].map(|parts| pcap.coarse(parts)).into());
    all.extend(wrong("clock set back", |pcap| places(pcap, 1).map(|n| pcap.set_back(n, 2)).collect()));
    expect_none(&all);
}

#[test]
fn damaged_bytes_do_not_stop_the_program() {
    let (written, events) = read("damaged", |pcap| (0..6).map(|seed| pcap.damaged(seed)).collect());
    println!("damaged: {written} files, {} events", events.len());
    assert!(events.len() * 2 > written);
}
