//! `tlswhy live` on a replay says what `tlswhy read` says of the same file.
//!
//! Needs root, for network namespaces, and tcpreplay; else it says that it is skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use support::judged::{stamp, word};
use support::keys::parted;
use support::pcap::Pcap;
use support::service::{done, must};
use support::{Scratch, events, lab_roots, root, run, tell};

/// Failures of every kind that fits into seconds, successes, ICMP, DNS, OCSP, upgrades, tags, fragments, tunnels, both
/// families. None whose verdict turns on milliseconds: a replay does not keep those.
const CAPTURES: [&str; 33] = [
    "broken_chain/missing-intermediate-curl-tls12",
    "broken_chain/self-signed-curl-tls12",
    "broken_chain/missing-intermediate-smtp-postfix-curl-tls12",
    "broken_chain/client-cert-unknown-node-node-tls12",
    "dns_inconsistency/answers-differ",
    "dns_inconsistency/hosts-file-elsewhere",
    "firewall/icmp-admin-prohibited",
    "firewall/sni-reset-inside",
    "nat_drop/flushed-under-reply-outside",
    "none/complete-chain-rustls-python-tls12",
    "none/curl-nginx-tls13",
    "none/good-imap-dovecot-curl-tls13",
    "none/happy-eyeballs-slow-ipv6",
    "none/ipv6-refused-python",
    "none/lossy-6-node-tls12",
    "none/resumed-curl-python-tls13",
    "none/retry-request-s-client-tls13",
    "none/stapled-good-go-rustls-tls12",
    "revocation/ocsp-down-java-tls12",
    "revocation/ocsp-try-later-java-tls13",
    "revocation/stapled-revoked-nginx-gnutls-tls12",
    "odd/ipv4-fragments",
    "odd/qinq",
    "odd/tunnel-geneve",
    "odd/tunnel-gre-name-mismatch",
    "odd/tunnel-ipip",
    "odd/tunnel-mpls",
    "odd/tunnel-pppoe",
    "odd/tunnel-gtp",
    "odd/tunnel-6in4",
    "odd/tunnel-vxlan",
    "odd/vlan",
    "odd/starttls-smtp-name-mismatch",
];

/// The tests share the names of the namespaces.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn live_says_of_a_replay_what_read_says_of_the_file() {
    let Some(cable) = Cable::lay() else { return };
    let scratch = Scratch::new("live-read");
    let file = merged(&scratch);
    let events = json(&["read", "--json"], &file);
    let read = said(&events, true);
    assert!(
        read.len() >= CAPTURES.len() && read.iter().filter(|event| event.contains("\"failed\"")).count() > 10
    );
    let live = cable.replay_in_time(&file, 1, &events);
    same(&said(&live, true), &read);
    let stats = live.last().unwrap();
    assert_eq!(stats["packets"], events.last().unwrap()["packets"]);
    assert_eq!(stats["lost"], serde_json::json!({}));
}

#[test]
fn two_rings_say_the_same_but_for_the_packets_numbers() {
    let Some(cable) = Cable::lay() else { return };
    let scratch = Scratch::new("live-two");
    let file = merged(&scratch);
    let events = json(&["read", "--json"], &file);
    let live = cable.replay_in_time(&file, 2, &events);
    same(&said(&live, false), &said(&events, false));
    let mut numbers = BTreeMap::new();
    for event in &live {
        for proof in event["proofs"].as_array().into_iter().flatten() {
            for number in proof["packets"].as_array().into_iter().flatten() {
                *numbers.entry(number.as_u64().unwrap() % 2).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(numbers.len(), 2, "both rings saw failures: {numbers:?}");
}

#[test]
fn an_interface_that_goes_down_or_away_is_read_again_when_it_is_back() {
    for rings in [1, 2] {
        let Some(mut cable) = Cable::lay() else { return };
        let scratch = Scratch::new("live-back");
        let one = |name: &str| scratch.write("one.pcap", &pcap(name).whole());
        let live = cable.listen(rings);
        cable.send(&one("broken_chain/self-signed-curl-tls12"));
        // Down and up again: the same interface.
        cable.set("down");
        std::thread::sleep(Duration::from_millis(300));
        cable.set("up");
        std::thread::sleep(Duration::from_millis(700));
        cable.send(&one("broken_chain/missing-intermediate-curl-tls12"));
        // Away and there again: another one of the same name.
        cable.cut();
        std::thread::sleep(Duration::from_millis(300));
        cable.connect();
        std::thread::sleep(Duration::from_millis(900));
        cable.send(&one("revocation/stapled-revoked-nginx-gnutls-tls12"));
        let events = live.stop();
        // At the end all are told at once, and several rings do not share one order of packets.
        let mut reasons: Vec<_> = events.iter().filter_map(|event| event["reason"].as_str()).collect();
        reasons.sort_unstable();
        assert_eq!(reasons, ["missing_intermediate", "revoked", "self_signed"], "{rings} ring(s)");
    }
}

#[test]
fn keys_that_are_written_while_it_listens_open_what_was_captured_before() {
    let Some(cable) = Cable::lay() else { return };
    let scratch = Scratch::new("live-keys");
    let name = "captures/expired_cert/keys-expired-nss-s-server-tls13.pcapng";
    let (plain, log) = parted(Path::new(name));
    let file = scratch.write("plain.pcapng", &plain);
    let keys = scratch.write("keys.log", b"");
    let live = cable.listen_with(1, &["--keylog", keys.to_str().unwrap()]);
    cable.send(&file);
    let mut written = std::fs::OpenOptions::new().append(true).open(&keys).unwrap();
    let (first, rest) = log.split_at(100);
    written.write_all(first.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    written.write_all(rest.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let events = live.stop();
    let event = events.iter().find(|event| event["kind"] == "handshake").unwrap();
    assert_eq!(event["decryption"]["keys"], "found", "{event}");
    assert_eq!(event["alert"]["code"], 45);
    assert_eq!((&event["alert"]["sealed"], &event["certainty"]), (&true.into(), &"proven".into()));
}

#[test]
fn what_a_finished_connection_carries_stays_in_the_kernel_and_every_verdict_is_the_same() {
    for rings in [1, 2] {
        let Some(cable) = Cable::lay() else { return };
        let scratch = Scratch::new("live-bypass");
        let long = pcap("none/plain-https-tls12");
        let packets = behind(&busy(&long), &long.packets[11..], 250);
        let carried = scratch.write("busy.pcap", &long.with(&packets));
        // Between the same ends begins another one, which fails.
        let packets = behind(&packets, &successor(&long), 500);
        let next = scratch.write("next.pcap", &long.with(&packets[packets.len() - successor(&long).len()..]));
        let whole = scratch.write("whole.pcap", &long.with(&packets));
        let read = said(&json(&["read", "--json"], &whole), false);
        let told = |event: &str| event.contains("self_signed") || event.contains("completed");
        assert!(read.len() == 2 && read.iter().all(|event| told(event)), "{read:?}");
        for way in [By::Map, By::List, By::None] {
            let Some(live) = cable.listen_by(way, rings) else { continue };
            cable.send_at(PACE, &carried);
            std::thread::sleep(Duration::from_millis(300));
            cable.send(&next);
            let events = live.stop();
            same(&said(&events, false), &read);
            let stats = events.last().unwrap();
            let all = packets.len() as u64;
            let read = stats["packets"].as_u64().unwrap();
            let kept = stats["interfaces"][0]["bypassed"]["packets"].as_u64().unwrap();
            assert_eq!(stats["lost"], serde_json::json!({}));
            match way {
                By::Map => {
                    assert!(read < all / 8, "{read} read of {all}");
                    assert_eq!(read + kept, all, "what is kept back is counted");
                }
                By::List => {
                    let estimated = (all / 3..all * 2).contains(&kept);
                    assert!(read < all / 2 && estimated, "{read} read, some {kept} kept back, of {all}");
                }
                By::None => assert_eq!((read, kept), (all, 0)),
            }
        }
    }
}

#[test]
fn a_connection_that_takes_the_place_of_a_busy_one_without_its_end_is_judged_where_the_kernel_has_a_map() {
    let Some(cable) = Cable::lay() else { return };
    let scratch = Scratch::new("live-reuse");
    let long = pcap("none/plain-https-tls12");
    let packets = behind(&busy(&long), &successor(&long), 250);
    let file = scratch.write("reuse.pcap", &long.with(&packets));
    let rows = [
        (By::Map, vec!["completed", "failed"], serde_json::json!({})),
        (By::List, vec!["completed"], serde_json::json!({ "handshakes_bypassed": 1 })),
    ];
    for (way, outcomes, lost) in rows {
        let Some(live) = cable.listen_by(way, 1) else { continue };
        cable.send_at(PACE, &file);
        let events = live.stop();
        let handshakes = events.iter().filter(|event| event["kind"] == "handshake");
        let told: Vec<_> = handshakes.map(|event| event["outcome"].clone()).collect();
        assert_eq!(told, outcomes);
        assert_eq!(events.last().unwrap()["lost"], lost);
    }
}

/// How what finished connections carry is kept back.
#[derive(Clone, Copy)]
enum By {
    /// As by root, who may use one.
    Map,
    /// As by who may capture and nothing else.
    List,
    /// Not at all.
    None,
}

/// Packets a second of a busy connection.
const PACE: u32 = 4_000;

/// A connection without its end, which carries much in both directions for three seconds.
fn busy(long: &Pcap) -> Vec<Vec<u8>> {
    let carried: Vec<_> = (0..12_000).map(|n| long.packets[9 + n % 2].clone()).collect();
    behind(&behind(&[], &long.packets[..11], 250), &carried, 250)
}

/// One that fails, between the ends of another.
fn successor(of: &Pcap) -> Vec<Vec<u8>> {
    let (ends, next) = (ends(&of.packets[0]), pcap("broken_chain/self-signed-curl-tls12").packets);
    next.iter().map(|packet| between(packet, &next[0], ends)).collect()
}

/// Where addresses and ports stand in a plain packet of a capture, behind its header of 16 bytes.
const ENDS_AT: std::ops::Range<usize> = 16 + 14 + 12..16 + 14 + 24;

/// Sender and receiver: addresses, then ports.
fn ends(packet: &[u8]) -> [u8; 12] {
    packet[ENDS_AT].try_into().unwrap()
}

/// The packet of a connection, as one between these ends: `first` is its client's.
fn between(packet: &[u8], first: &[u8], [a @ .., p0, p1, q0, q1]: [u8; 12]) -> Vec<u8> {
    let (client, server): ([u8; 4], [u8; 4]) = (a[..4].try_into().unwrap(), a[4..].try_into().unwrap());
    let from_client = ends(packet) == ends(first);
    let turned = [&server[..], &client, &[q0, q1, p0, p1]].concat();
    let straight = [&client[..], &server, &[p0, p1, q0, q1]].concat();
    let mut packet = packet.to_vec();
    packet[ENDS_AT].copy_from_slice(if from_client { &straight } else { &turned });
    packet
}

/// These packets behind those, so many microseconds apart.
fn behind(packets: &[Vec<u8>], more: &[Vec<u8>], apart: u64) -> Vec<Vec<u8>> {
    let word =
        |packet: &[u8], at: usize| u64::from(u32::from_le_bytes(packet[at..at + 4].try_into().unwrap()));
    let mut at = packets.last().map_or_else(now, |last| word(last, 0) * 1_000_000 + word(last, 4));
    let mut packets = packets.to_vec();
    for packet in more {
        at += apart;
        let mut packet = packet.clone();
        packet[..4].copy_from_slice(&u32::try_from(at / 1_000_000).unwrap().to_le_bytes());
        packet[4..8].copy_from_slice(&u32::try_from(at % 1_000_000).unwrap().to_le_bytes());
        packets.push(packet);
    }
    packets
}

/// Fails with what one says and the other does not.
fn same(live: &[String], read: &[String]) {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|event| !those.contains(event)).cloned().collect()
    };
    let (live_only, read_only) = (only(live, read), only(read, live));
    assert!(
        live == read,
        "only live says:\n{}\nonly read says:\n{}",
        live_only.join("\n"),
        read_only.join("\n")
    );
}

/// The packets of the chosen captures, one capture behind the other, from now on.
fn merged(scratch: &Scratch) -> PathBuf {
    const GAP: u64 = 20_000;
    let mut at = now();
    let (mut all, mut head) = (Vec::new(), None);
    for name in CAPTURES {
        let capture = pcap(name);
        let nano = capture.whole().starts_with(&0xa1b2_3c4d_u32.to_le_bytes());
        let stamp = |packet: &[u8]| {
            let word = |at: usize| u64::from(u32::from_le_bytes(packet[at..at + 4].try_into().unwrap()));
            word(0) * 1_000_000 + if nano { word(4) / 1_000 } else { word(4) }
        };
        let first = stamp(&capture.packets[0]);
        let mut last = at;
        for packet in &capture.packets {
            let moved = at + stamp(packet).saturating_sub(first);
            last = last.max(moved);
            let mut packet = packet.clone();
            packet[..4].copy_from_slice(&u32::try_from(moved / 1_000_000).unwrap().to_le_bytes());
            packet[4..8].copy_from_slice(&u32::try_from(moved % 1_000_000).unwrap().to_le_bytes());
            all.push(packet);
        }
        at = last + GAP;
        if !nano && head.is_none() {
            head = Some(capture);
        }
    }
    scratch.write("merged.pcap", &head.expect("a capture in microseconds").with(&all))
}

fn pcap(name: &str) -> Pcap {
    let path = root().join("captures").join(name).with_extension("pcap");
    Pcap::parse(&std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "what is captured live is stamped by the clock")]
    let now = std::time::SystemTime::now();
    u64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// The events of a run on a file.
fn json(command: &[&str], file: &Path) -> Vec<Value> {
    let mut args: Vec<String> = command.iter().map(ToString::to_string).collect();
    args.extend(lab_roots());
    args.push(file.display().to_string());
    run(&args).events()
}

/// When the handshakes of a run began and ended, in microseconds from the first beginning on.
fn times(events: &[Value]) -> [Vec<i64>; 2] {
    let micros = |event: &Value, field: &str| word(event, field).and_then(stamp).unwrap().0;
    let handshakes = || events.iter().filter(|event| event["kind"] == "handshake");
    let first = handshakes().map(|event| micros(event, "ts")).min().unwrap_or_default();
    ["ts", "end_ts"].map(|field| {
        let mut times: Vec<_> = handshakes().map(|event| micros(event, field) - first).collect();
        times.sort_unstable();
        times
    })
}

/// What the handshakes of a run are, without times, ids and names; with or without the packets' numbers.
fn said(events: &[Value], numbers: bool) -> Vec<String> {
    let handshakes = events.iter().filter(|event| event["kind"] == "handshake");
    let mut said: Vec<String> = handshakes
        .map(|event| {
            let mut event = event.clone();
            let fields = event.as_object_mut().unwrap();
            for field in ["id", "ts", "end_ts", "capture", "timing_us"] {
                fields.remove(field);
            }
            if let Some(episode) = fields.get_mut("episode").and_then(Value::as_object_mut) {
                episode.retain(|field, _| field == "attempt");
            }
            // Of two rings either may be read first: a success is then heard of before or behind the failures around it.
            if !numbers {
                fields.remove("episode");
            }
            strip(&mut event, numbers);
            event.to_string()
        })
        .collect();
    said.sort();
    said
}

/// Takes times out of sentences, and packets' numbers where they are not wanted.
fn strip(value: &mut Value, numbers: bool) {
    match value {
        Value::String(text) => *text = timeless(text),
        Value::Array(values) => values.iter_mut().for_each(|value| strip(value, numbers)),
        Value::Object(fields) => {
            let of_packets = |field: &str| field == "packets" || field == "packet";
            fields.retain(|field, _| !field.ends_with("_us") && (numbers || !of_packets(field)));
            fields.values_mut().for_each(|value| strip(value, numbers));
        }
        _ => {}
    }
}

/// A sentence whose durations are all the same.
fn timeless(text: &str) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    for at in 1..words.len() {
        let unit = words[at].trim_end_matches([',', '.', ';', ')', ':']);
        let number = words[at - 1].trim_start_matches('(').parse::<f64>().is_ok();
        if number && ["µs", "ms", "s", "min", "h"].contains(&unit) {
            words[at - 1] = "some";
            words[at] = "time";
        }
    }
    words.join(" ")
}

/// Two network namespaces and a cable between them, removed at the end.
struct Cable {
    _turn: std::sync::MutexGuard<'static, ()>,
    spaces: [String; 2],
}

const ENDS: [&str; 2] = ["tlswhy0", "tlswhy1"];

impl Cable {
    /// `None` where this user may not, or has no tcpreplay.
    fn lay() -> Option<Self> {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if !done(&["tcpreplay", "-V"]) {
            tell("skipped: tcpreplay is not installed");
            return None;
        }
        let spaces = ["a", "b"].map(|end| format!("tlswhy-live-{}-{end}", std::process::id()));
        let cable = Self { _turn: turn, spaces };
        if !cable.spaces.iter().all(|space| done(&["ip", "netns", "add", space])) {
            tell("skipped: only root may make network namespaces");
            return None;
        }
        cable.connect();
        Some(cable)
    }

    fn connect(&self) {
        let [a, b] = &self.spaces;
        must(&[
            "ip", "link", "add", ENDS[0], "netns", a, "type", "veth", "peer", "name", ENDS[1], "netns", b,
        ]);
        for (space, end) in self.spaces.iter().zip(ENDS) {
            // Nothing of the kernel's own, and no packet split or joined.
            must(&["ip", "netns", "exec", space, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"]);
            let off = ["tso", "off", "gso", "off", "gro", "off", "tx", "off"];
            done(&[&["ip", "netns", "exec", space, "ethtool", "-K", end][..], &off].concat());
            must(&["ip", "-n", space, "link", "set", end, "mtu", "65535", "up"]);
        }
    }

    fn cut(&mut self) {
        must(&["ip", "-n", &self.spaces[1], "link", "del", ENDS[1]]);
    }

    fn set(&self, state: &str) {
        must(&["ip", "-n", &self.spaces[1], "link", "set", ENDS[1], state]);
    }

    /// Sends a file's packets at the pace that they have in it.
    fn send(&self, file: &Path) {
        let file = file.display().to_string();
        must(&["ip", "netns", "exec", &self.spaces[0], "tcpreplay", "-q", "-i", ENDS[0], &file]);
    }

    /// Sends a file's packets, so many a second.
    fn send_at(&self, pace: u32, file: &Path) {
        let (pace, file) = (format!("--pps={pace}"), file.display().to_string());
        must(&["ip", "netns", "exec", &self.spaces[0], "tcpreplay", "-q", "-K", &pace, "-i", ENDS[0], &file]);
    }

    fn listen(&self, rings: usize) -> Listening {
        self.listen_with(rings, &[])
    }

    fn listen_with(&self, rings: usize, more: &[&str]) -> Listening {
        self.listen_as(&[], rings, more)
    }

    /// `None` where this system refuses a map.
    fn listen_by(&self, way: By, rings: usize) -> Option<Listening> {
        let always = ["--bypass-from=0"];
        let (before, more): (&[&str], &[&str]) = match way {
            By::Map => (&[], &always),
            By::List => (&["setpriv", "--bounding-set=-bpf,-sys_admin"], &always),
            By::None => (&[], &["--no-bypass"]),
        };
        let live = self.listen_as(before, rings, more);
        if matches!(way, By::Map) && live.said.contains("the busiest") {
            tell(&format!("skipped: {}", live.said));
            live.stop();
            return None;
        }
        assert_eq!(live.said.contains("it may not use a map (cap_bpf)"), matches!(way, By::List));
        Some(live)
    }

    /// `before`: a command that starts it, and its arguments.
    fn listen_as(&self, before: &[&str], rings: usize, more: &[&str]) -> Listening {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.spaces[1]])
            .args(before)
            .args([env!("CARGO_BIN_EXE_tlswhy"), "live", "-i", ENDS[1], "--json"])
            .args(["--workers", &rings.to_string()])
            .args(more)
            .args(lab_roots())
            .current_dir(root())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening") {
            assert!(errors.read_line(&mut said).unwrap() > 0, "it does not start");
        }
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        let mut out = child.stdout.take().unwrap();
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        Listening { child, said, reading }
    }

    /// Plays a file's packets. On a busy machine some come late, which is another story: then once more, some times.
    fn replay_in_time(&self, file: &Path, rings: usize, read: &[Value]) -> Vec<Value> {
        const LATE: i64 = 3_000;
        let (mut tries, of_file) = (5, times(read));
        loop {
            let live = self.listen(rings);
            self.send(file);
            let events = live.stop();
            let of_replay = times(&events);
            let both = of_replay.iter().flatten().zip(of_file.iter().flatten());
            let late = both.map(|(replay, file)| (replay - file).abs()).max().unwrap_or_default();
            tries -= 1;
            if late <= LATE || tries == 0 {
                return events;
            }
            tell(&format!("played again: packets came up to {late} µs late"));
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for space in &self.spaces {
            done(&["ip", "netns", "del", space]);
        }
    }
}

/// A running `tlswhy live`.
struct Listening {
    child: Child,
    /// What it said until it listened.
    said: String,
    reading: std::thread::JoinHandle<String>,
}

impl Listening {
    /// Ends it, and gives its events.
    fn stop(mut self) -> Vec<Value> {
        std::thread::sleep(Duration::from_millis(300));
        must(&["kill", "-TERM", &self.child.id().to_string()]);
        let text = self.reading.join().unwrap();
        assert!(self.child.wait().unwrap().success());
        events(&text)
    }
}
