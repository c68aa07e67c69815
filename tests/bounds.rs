//! What a flood of connections or of names must not do: take memory without end, or the verdicts of others.

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

use support::{captures, files, root};
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
/// First datagrams of QUIC behind each packet of a capture, and attempts over datagrams that a shard may follow: those of the
/// flood behind five packets.
const INITIALS: u32 = 100;
const TALKS: usize = 512;
/// Names that are remembered: those of the flood behind ten packets.
const NAMES: usize = 4_096;

/// What a capture is flooded with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flood {
    /// SYNs of hosts that are not there.
    Syns,
    /// Questions for names that nobody asked for before, and answers to them.
    Names,
    /// First datagrams of QUIC by hosts that are not there.
    Initials,
}

/// A capture amid packets of a flood, as many behind each of its own.
struct Flooded {
    kind: Flood,
    real: FileReader,
    behind_each: u32,
    left: u32,
    sent: u32,
    no: u64,
    stamp: Stamp,
    syn: Vec<u8>,
    dns: Vec<u8>,
    initial: Vec<u8>,
}

impl Flooded {
    fn new(path: &Path, behind_each: u32, kind: Flood) -> Self {
        let real = FileReader::open(path).unwrap();
        let syn = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &[0; 40]].concat();
        let (dns, initial) = (Vec::new(), first_datagram());
        Self { kind, real, behind_each, left: 0, sent: 0, no: 0, stamp: Stamp(0), syn, dns, initial }
    }

    /// The next first datagram, of a source that comes once.
    fn write_initial(&mut self) {
        self.sent += 1;
        let [_, b, c, d] = self.sent.to_be_bytes();
        self.initial[26..30].copy_from_slice(&[45, b, c, d]);
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

    /// The next question or answer for a name of its own. A third is asked by one bot, and does not exist or is never
    /// answered; all others by hosts that come once, and are given an address.
    fn write_dns(&mut self) {
        self.sent += 1;
        let (nth, answers) = (self.sent / 2, self.sent % 2 == 1);
        let [a, b, c, d] = nth.to_be_bytes();
        let bot = nth.is_multiple_of(3);
        let client = if bot { [45, 66, 66, 66] } else { [45, b, c, d] };
        let answers = answers && !(bot && nth.is_multiple_of(2));
        let name = format!("{nth:08x}");
        let code = if bot { 3 } else { 0 };
        let flags: [u8; 2] = if answers { [0x81, 0x80 | code] } else { [1, 0] };
        let has_record = answers && !bot;
        let mut dns = vec![c, d, flags[0], flags[1], 0, 1, 0, u8::from(has_record), 0, 0, 0, 0, 8];
        dns.extend(name.as_bytes());
        dns.extend(b"\x05flood\x04test\0\0\x01\0\x01");
        if has_record {
            dns.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, a]);
        }
        let ports = if answers { [0, 53, c | 0x80, d] } else { [c | 0x80, d, 0, 53] };
        let resolver = [198, 51, 100, 53];
        let (src, dst) = if answers { (resolver, client) } else { (client, resolver) };
        let len = |of: usize| u16::try_from(of).unwrap().to_be_bytes();
        let [total, udp] = [len(28 + dns.len()), len(8 + dns.len())];
        let head = [0x45, 0, total[0], total[1], c, d, 0x40, 0, 61, 17, 0, 0];
        self.dns.clear();
        self.dns.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        for part in [&head[..], &src, &dst, &ports, &udp, &[0, 0], &dns] {
            self.dns.extend(part);
        }
    }
}

impl Source for Flooded {
    fn next(&mut self) -> Option<Arrival<'_>> {
        self.no += 1;
        if self.left > 0 {
            self.left -= 1;
            let data = match self.kind {
                Flood::Syns => {
                    self.write_syn();
                    &self.syn
                }
                Flood::Names => {
                    self.write_dns();
                    &self.dns
                }
                Flood::Initials => {
                    self.write_initial();
                    &self.initial
                }
            };
            let wire_len = u32::try_from(data.len()).unwrap();
            return Some(Arrival::one(Frame {
                no: PacketNo(self.no),
                stamp: self.stamp,
                link: LinkType::ETHERNET,
                data,
                wire_len,
            }));
        }
        let frame = self.real.next()?;
        self.left = self.behind_each;
        self.stamp = self.stamp.max(frame.stamp);
        Some(Arrival::one(Frame { no: PacketNo(self.no), ..frame }))
    }
}

/// The frame with which a client of QUIC begins: Ethernet and IPv4 without options.
fn first_datagram() -> Vec<u8> {
    let mut real = FileReader::open(&root().join("captures/none/quic-v1-aioquic.pcap")).unwrap();
    let frame = real.next().unwrap();
    assert!(frame.data.len() >= 1_200 && frame.data[14] == 0x45);
    frame.data.to_vec()
}

fn settings(workers: usize, limits: Limits) -> Settings {
    Settings {
        workers,
        limits: Arc::new(limits),
        ports: Arc::new(Ports::new(&Ports::DEFAULT)),
        trust: Arc::new(Trust::empty("none")),
        given: Arc::default(),
        keys: tlswhy::tls::keys::Keys::default(),
        in_order: true,
    }
}

/// Client, server, outcome and verdict of every attempt that is not the flood's.
fn verdicts(path: &Path, kind: Flood, flood: u32, workers: usize) -> (Vec<String>, Totals) {
    let limits = match kind {
        Flood::Syns => Limits { flows: FLOWS, under_way: 256, ..Limits::default() },
        Flood::Initials => Limits { under_way: 4 * TALKS, ..Limits::default() },
        Flood::Names => Limits { asides: NAMES, servers: NAMES, ..Limits::default() },
    };
    let settings = settings(workers, Limits { sibling: Span::from_secs(10), ..limits });
    let is_flood =
        |end: Endpoint| end.addr >= Addr::v4([45, 0, 0, 0]) && end.addr <= Addr::v4([45, 255, 255, 255]);
    let mut verdicts = Vec::new();
    let source = &mut Flooded::new(path, flood, kind);
    let totals = analyse(source, &settings, &mut AsJudged, &mut |judged: Judged| {
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
        let (quiet, _) = verdicts(&path, Flood::Syns, 0, 1);
        for workers in [1, 2] {
            let (flooded, totals) = verdicts(&path, Flood::Syns, FLOOD, workers);
            assert_eq!(flooded, quiet, "{}, {workers} workers", path.display());
            packets += totals.packets;
            evicted += totals.lost.flows_evicted;
        }
    }
    assert!(packets > 300_000 && evicted > packets / 3, "{evicted} evicted of {packets}");
}

#[test]
fn a_flood_of_first_datagrams_changes_no_verdict_of_who_is_answered() {
    let over_udp = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        path.extension().is_some_and(|e| e == "pcap") && (name.contains("quic") || name.contains("dtls"))
    };
    // What is left unanswered looks as the flood does.
    let folders =
        ["none", "expired_cert", "broken_chain", "name_mismatch"].map(|of| format!("captures/{of}"));
    let captures: Vec<_> = folders.into_iter().flat_map(files).filter(over_udp).collect();
    assert!(captures.len() >= 20, "{captures:?}");
    let mut evicted = 0;
    for path in captures.into_iter().map(|path| root().join(path)) {
        let (quiet, _) = verdicts(&path, Flood::Initials, 0, 1);
        let (flooded, totals) = verdicts(&path, Flood::Initials, INITIALS, 1);
        assert_eq!(flooded, quiet, "{}", path.display());
        evicted += totals.lost.flows_evicted;
    }
    assert!(evicted > 10_000, "{evicted} evicted");
}

/// The captures in which what DNS said to a handshake's own client is the cause: what others were told before a flood may be
/// forgotten in it.
fn lookups() -> Vec<PathBuf> {
    let pcaps = files("captures/dns_inconsistency").into_iter();
    let own = |path: &PathBuf| !path.ends_with("private-address-outside.pcap");
    pcaps
        .filter(|path| path.extension().is_some_and(|e| e == "pcap") && own(path))
        .map(|path| root().join(path))
        .collect()
}

#[test]
fn a_flood_of_names_changes_no_verdict() {
    let captures = lookups();
    assert!(captures.len() >= 20, "{captures:?}");
    let (mut packets, mut dropped) = (0, 0);
    for path in captures {
        let (quiet, _) = verdicts(&path, Flood::Names, 0, 1);
        for workers in [1, 2] {
            let (flooded, totals) = verdicts(&path, Flood::Names, FLOOD, workers);
            assert_eq!(flooded, quiet, "{}, {workers} workers", path.display());
            packets += totals.packets;
            dropped += totals.lost.asides_dropped;
        }
    }
    assert!(packets > 300_000 && dropped > packets / 6, "{dropped} dropped of {packets}");
}

/// Five million names amid one capture, as `cargo test --release --test bounds -- --ignored --nocapture` says it: the memory of the process.
#[test]
#[ignore = "takes a minute; prints how much memory it took"]
fn five_million_names() {
    let path = root().join("captures/dns_inconsistency/hosts-file-elsewhere.pcap");
    let (quiet, packets) = verdicts(&path, Flood::Names, 0, 1);
    let each = u32::try_from(10_000_000 / packets.packets).unwrap();
    let (flooded, totals) = verdicts(&path, Flood::Names, each, 1);
    // Hundreds of thousands of names lie between an answer and its connection: it may be forgotten, and what is left is judged.
    assert_eq!(flooded.len(), quiet.len());
    assert!(flooded.iter().all(|verdict| verdict.contains(" Failed Some(")), "{flooded:?}");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    println!("{} packets, {} asides dropped, {peak}", totals.packets, totals.lost.asides_dropped);
}

/// All that is known of every attempt of a capture, and its verdict.
fn told(path: &Path, under_way: usize) -> (Vec<String>, Totals) {
    let settings = settings(1, Limits { under_way, ..Limits::default() });
    let mut told = Vec::new();
    let totals =
        analyse(&mut Flooded::new(path, 0, Flood::Syns), &settings, &mut AsJudged, &mut |judged: Judged| {
            told.push(format!("{:?} {:?}", judged.evidence, judged.diagnosis));
        });
    (told, totals)
}

#[test]
fn a_hello_that_waits_in_few_bytes_is_known_as_well_as_any_other() {
    // With room for so few, every hello waits so; by default, only where a thousand others are under way.
    let few = 255;
    let mut waited = 0;
    for path in captures() {
        let (usual, totals) = told(&path, Limits::default().under_way);
        let (kept, of_few) = told(&path, few);
        assert_eq!(totals.lost, of_few.lost, "{}", path.display());
        assert!(usual == kept, "{}", path.display());
        waited += usual.len();
    }
    assert!(waited > 1_000, "{waited}");
}
