//! What a flood of connections must not do: take memory without end, or the verdicts of others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use support::{files, root};
use tlswhy::base::{Addr, Endpoint, Limits, PacketNo, Span, Stamp};
use tlswhy::capture::file::FileReader;
use tlswhy::decode::{Frame, LinkType};
use tlswhy::evidence::Outcome;
use tlswhy::pipeline::shard::Ports;
use tlswhy::pipeline::{Arrival, AsJudged, Judged, Settings, Source, Totals, analyse};
use tlswhy::tls::trust::Trust;

/// SYNs behind each packet of a capture.
const FLOOD: u32 = 1_000;
/// Connections that a shard may know: those of the flood behind five packets.
const FLOWS: usize = 5_500;

/// A capture amid SYNs of hosts that are not there, as many behind each of its packets.
struct Flooded {
    real: FileReader,
    behind_each: u32,
    left: u32,
    sent: u32,
    no: u64,
    stamp: Stamp,
    syn: Vec<u8>,
}

impl Flooded {
    fn new(path: &Path, behind_each: u32) -> Self {
        let real = FileReader::open(path).unwrap();
        let syn = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &[0; 40]].concat();
        Self { real, behind_each, left: 0, sent: 0, no: 0, stamp: Stamp(0), syn }
    }

    /// The next SYN, to port 443 or 80, of a source that comes once.
    fn write_syn(&mut self) {
        self.sent += 1;
        let [a, b, c, d] = self.sent.to_be_bytes();
        let port = if d & 1 == 0 { 443_u16 } else { 80 }.to_be_bytes();
        let ip = [0x45, 0, 0, 40, c, d, 0x40, 0, 61, 6, 0, 0, 45, b, c, d, 198, 51, 100, a];
        let tcp = [c, d, port[0], port[1], d, c, b, a, 0, 0, 0, 0, 0x50, 2, 0x40, 0, 0, 0, 0, 0];
        self.syn[14..34].copy_from_slice(&ip);
        self.syn[34..].copy_from_slice(&tcp);
    }
}

impl Source for Flooded {
    fn next(&mut self) -> Option<Arrival<'_>> {
        self.no += 1;
        if self.left > 0 {
            self.left -= 1;
            self.write_syn();
            let wire_len = u32::try_from(self.syn.len()).unwrap();
            return Some(Arrival::one(Frame {
                no: PacketNo(self.no),
                stamp: self.stamp,
                link: LinkType::ETHERNET,
                data: &self.syn,
                wire_len,
            }));
        }
        let frame = self.real.next()?;
        self.left = self.behind_each;
        self.stamp = self.stamp.max(frame.stamp);
        Some(Arrival::one(Frame { no: PacketNo(self.no), ..frame }))
    }
}

/// Client, server, outcome and verdict of every attempt that is not the flood's.
fn verdicts(path: &Path, flood: u32, workers: usize) -> (Vec<String>, Totals) {
    let settings = Settings {
        workers,
        limits: Arc::new(Limits {
            flows: FLOWS,
            under_way: 256,
            sibling: Span::from_secs(10),
            ..Limits::default()
        }),
        ports: Arc::new(Ports::new(&Ports::DEFAULT)),
        trust: Arc::new(Trust::empty("none")),
        given: Arc::default(),
        in_order: true,
    };
    let is_flood =
        |end: Endpoint| end.addr >= Addr::v4([45, 0, 0, 0]) && end.addr <= Addr::v4([45, 255, 255, 255]);
    let mut verdicts = Vec::new();
    let totals = analyse(&mut Flooded::new(path, flood), &settings, &mut AsJudged, &mut |judged: Judged| {
        let evidence = &judged.evidence;
        if is_flood(evidence.client) {
            assert_ne!(evidence.outcome, Outcome::Failed);
        } else {
            let verdict = judged.diagnosis.as_ref().and_then(|diagnosis| diagnosis.primary.as_ref());
            let verdict = verdict.map(|(cause, finding)| format!("{cause:?} {}", finding.reason));
            verdicts
                .push(format!("{} {} {:?} {verdict:?}", evidence.client, evidence.server, evidence.outcome));
        }
    });
    verdicts.sort();
    (verdicts, totals)
}

/// Of each cause, and of the successes, every capture whose name has the fewest letters of its folder.
fn one_of_each() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root().join("captures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    let shortest = |folder: PathBuf| {
        let pcaps = files(folder.strip_prefix(root()).unwrap()).into_iter();
        pcaps
            .filter(|path| path.extension().is_some_and(|e| e == "pcap"))
            .min_by_key(|path| (path.as_os_str().len(), path.clone()))
    };
    folders.into_iter().filter_map(shortest).map(|path| root().join(path)).collect()
}

#[test]
fn a_flood_of_half_open_connections_changes_no_verdict() {
    let captures = one_of_each();
    assert!(captures.len() >= 12, "{captures:?}");
    let (mut packets, mut evicted) = (0, 0);
    for path in captures {
        let (quiet, _) = verdicts(&path, 0, 1);
        for workers in [1, 2] {
            let (flooded, totals) = verdicts(&path, FLOOD, workers);
            assert_eq!(flooded, quiet, "{}, {workers} workers", path.display());
            packets += totals.packets;
            evicted += totals.lost.flows_evicted;
        }
    }
    assert!(packets > 300_000 && evicted > packets / 3, "{evicted} evicted of {packets}");
}
