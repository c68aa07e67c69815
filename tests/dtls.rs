//! DTLS as tshark reads it, in every capture that is at hand: each record and handshake fragment, what clients ask for, the
//! certificates of both sides.
//!
//! Third-party captures are read where their folder is there (see `corpora.rs`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tlswhy::tls::dtls::messages::fragments;
use tlswhy::tls::dtls::{payload, records};

use support::{files, root};

/// Sender's and receiver's address and port.
type Ends = (String, String, String, String);

fn tshark(capture: &Path, filter: &str, fields: &[&'static str]) -> Vec<BTreeMap<&'static str, String>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture).args(["-o", "tls.keylog_file:", "-d", "udp.port==443,dtls", "-Y", filter]);
    command.args(["-T", "fields", "-E", "separator=|"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let row = |line: &str| fields.iter().copied().zip(line.split('|').map(str::to_owned)).collect();
    out.lines().map(row).collect()
}

fn has_tshark() -> bool {
    let there = Command::new("tshark").arg("--version").output().is_ok_and(|out| out.status.success());
    if !there {
        eprintln!("skipped: no tshark here");
    }
    there
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn numbers(list: &str) -> Vec<u64> {
    list.split(',').filter_map(number).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ends(row: &BTreeMap<&'static str, String>) -> Ends {
    let first = |a: &str, b: &str| if row[a].is_empty() { row[b].clone() } else { row[a].clone() };
    let (source, target) = (first("ip.src", "ipv6.src"), first("ip.dst", "ipv6.dst"));
    (source, row["udp.srcport"].clone(), target, row["udp.dstport"].clone())
}

const ENDS: [&str; 6] = ["ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "udp.srcport", "udp.dstport"];

/// The captures with DTLS: the laboratory's, and those of others where they are at hand.
fn captures() -> Vec<PathBuf> {
    const OTHERS: [&str; 10] = [
        "dtls12-aes128ccm8-dsb",
        "snakeoil-dtls",
        "arkime_synthetic",
        "dtls1_2",
        "geforcenow",
        "capwap",
        "stun_zoom",
        "udt-dtls",
        "webrtc-stun",
        "stun_dtls_rtp",
    ];
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let own = files("captures").into_iter().map(|path| root().join(path));
    let own = own.filter(|path| name(path).contains("dtls") || name(path).contains("webrtc"));
    let own = own.filter(|path| name(path).contains(".pcap"));
    let beside = || root().join("../shared/corpora");
    let folder = std::env::var_os("TLSWHY_CORPORA").map_or_else(beside, PathBuf::from);
    let others =
        std::fs::read_dir(folder.join("pcap")).into_iter().flatten().flatten().map(|file| file.path());
    let others: Vec<_> =
        others.filter(|path| OTHERS.iter().any(|other| name(path).contains(other))).collect();
    if others.is_empty() {
        eprintln!("skipped in part: no third-party captures here");
    }
    let mut all: Vec<_> = own.chain(others).collect();
    all.sort();
    all
}

#[test]
fn records_and_fragments_read_as_tshark_reads_them() {
    const FIELDS: [&str; 8] = [
        "frame.number",
        "udp.payload",
        "dtls.record.content_type",
        "dtls.record.epoch",
        "dtls.record.length",
        "dtls.handshake.type",
        "dtls.handshake.message_seq",
        "dtls.handshake.fragment_offset",
    ];
    if !has_tshark() {
        return;
    }
    let (mut datagrams, mut read_records, mut read_fragments, mut differences) = (0, 0, 0, Vec::new());
    for capture in captures() {
        // One datagram in another has the fields of both.
        for row in tshark(&capture, "dtls && !icmp && !icmpv6", &FIELDS) {
            if row["udp.payload"].contains(',') {
                continue;
            }
            datagrams += 1;
            let datagram = bytes(&row["udp.payload"]);
            let all: Vec<_> = records(payload(&datagram), None).collect();
            let list = |field: &str| numbers(&row[field]);
            let own: [Vec<u64>; 3] = [
                all.iter().map(|record| record.content_type.into()).collect(),
                all.iter().map(|record| record.epoch.into()).collect(),
                all.iter().map(|record| record.len.into()).collect(),
            ];
            let theirs =
                [list("dtls.record.content_type"), list("dtls.record.epoch"), list("dtls.record.length")];
            let in_clear = all.iter().filter(|record| record.content_type == 22 && record.epoch == 0);
            let parts: Vec<_> = in_clear.flat_map(|record| fragments(record.body)).collect();
            let own_parts: [Vec<u64>; 3] = [
                parts.iter().map(|part| part.kind.0.into()).collect(),
                parts.iter().map(|part| part.sequence.into()).collect(),
                parts.iter().map(|part| part.offset as u64).collect(),
            ];
            let mut their_parts = [
                list("dtls.handshake.type"),
                list("dtls.handshake.message_seq"),
                list("dtls.handshake.fragment_offset"),
            ];
            // Of a file with its own secrets, tshark opens what is sealed as well, which stands behind.
            if all.iter().any(|record| record.content_type == 22 && record.epoch > 0) {
                their_parts.iter_mut().for_each(|list| list.truncate(parts.len()));
            }
            (read_records, read_fragments) = (read_records + all.len(), read_fragments + parts.len());
            if own != theirs || own_parts != their_parts {
                let frame = &row["frame.number"];
                differences.push(format!(
                    "{} {frame}: {own:?} {own_parts:?}, not {theirs:?} {their_parts:?}",
                    capture.display()
                ));
            }
        }
    }
    println!("{read_records} records, {read_fragments} fragments of {datagrams} datagrams");
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(datagrams >= 100);
}

/// JA4 as its specification says, from tshark's fields.
fn ja4(row: &BTreeMap<&'static str, String>) -> String {
    let grease = |n: &u64| n & 0x0f0f == 0x0a0a && n >> 8 == n & 0xff;
    let list =
        |field: &str| -> Vec<u64> { numbers(&row[field]).into_iter().filter(|n| !grease(n)).collect() };
    let hex = |list: &[u64]| list.iter().map(|n| format!("{n:04x}")).collect::<Vec<_>>().join(",");
    let short =
        |text: &str| if text.is_empty() { "0".repeat(12) } else { sha256(text.as_bytes())[..12].to_owned() };
    let (mut ciphers, mut extensions) =
        (list("dtls.handshake.ciphersuite"), list("dtls.handshake.extension.type"));
    // DTLS counts down.
    let listed = list("dtls.handshake.extensions.supported_version").into_iter().min();
    let version = match listed.or_else(|| number(&row["dtls.handshake.version"])) {
        Some(0xfefc) => "d3",
        Some(0xfefd) => "d2",
        Some(0xfeff) => "d1",
        _ => "00",
    };
    let named = if extensions.contains(&0) { 'd' } else { 'i' };
    let protocol = row["dtls.handshake.extensions_alpn_str"].split(',').next().unwrap();
    let protocol = match (protocol.chars().next(), protocol.chars().last()) {
        (Some(first), Some(last)) => format!("{first}{last}"),
        _ => "00".to_owned(),
    };
    let start =
        format!("d{version}{named}{:02}{:02}{protocol}", ciphers.len().min(99), extensions.len().min(99));
    ciphers.sort_unstable();
    extensions.retain(|kind| ![0, 16].contains(kind));
    extensions.sort_unstable();
    let schemes = hex(&list("dtls.handshake.sig_hash_alg"));
    let tail = match (extensions.is_empty(), schemes.is_empty()) {
        (true, _) => String::new(),
        (false, true) => hex(&extensions),
        (false, false) => format!("{}_{schemes}", hex(&extensions)),
    };
    format!("{start}_{}_{}", short(&hex(&ciphers)), short(&tail))
}

fn events(capture: &Path) -> Vec<Value> {
    let program = env!("CARGO_BIN_EXE_tlswhy");
    let out = Command::new(program).args(["read", "--json"]).arg(capture).output().unwrap();
    assert!(out.status.success(), "{}: {}", capture.display(), String::from_utf8_lossy(&out.stderr));
    let all = String::from_utf8(out.stdout).unwrap();
    let all = all.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|event| event["kind"] == "handshake" && event["transport"] == "dtls").collect()
}

#[test]
fn hellos_and_certificates_read_as_tshark_reads_them() {
    const FIELDS: [&str; 8] = [
        "dtls.handshake.type",
        "dtls.handshake.version",
        "dtls.handshake.extensions_server_name",
        "dtls.handshake.ciphersuite",
        "dtls.handshake.extension.type",
        "dtls.handshake.extensions.supported_version",
        "dtls.handshake.extensions_alpn_str",
        "dtls.handshake.sig_hash_alg",
    ];
    if !has_tshark() {
        return;
    }
    let (mut hellos, mut certificates, mut differences) = (0, 0, Vec::new());
    for capture in captures() {
        let mut asked: BTreeMap<Ends, BTreeSet<(String, String)>> = BTreeMap::new();
        let filter = "dtls.handshake.type == 1 && dtls.handshake.ciphersuite && !icmp";
        for row in tshark(&capture, filter, &[&FIELDS[..], &ENDS].concat()) {
            let name = row["dtls.handshake.extensions_server_name"].to_lowercase();
            asked.entry(ends(&row)).or_default().insert((name, ja4(&row)));
        }
        let mut shown: BTreeMap<Ends, BTreeSet<Vec<String>>> = BTreeMap::new();
        let fields = [&["dtls.handshake.certificate"][..], &ENDS].concat();
        for row in tshark(&capture, "dtls.handshake.certificate && !icmp", &fields) {
            let list = row["dtls.handshake.certificate"].split(',').map(|hex| sha256(&bytes(hex)));
            shown.entry(ends(&row)).or_default().insert(list.collect());
        }
        let mut met = BTreeSet::new();
        for event in events(&capture) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let end = |side: &str| (text(&event[side]["ip"]), event[side]["port"].to_string());
            let ((client, client_port), (server, server_port)) = (end("client"), end("server"));
            let forth = (client.clone(), client_port.clone(), server.clone(), server_port.clone());
            let back = (server, server_port, client, client_port);
            if !event["tls"]["ja4"].is_null() {
                hellos += 1;
                let read = (text(&event["sni"]), text(&event["tls"]["ja4"]));
                if !asked.get(&forth).is_some_and(|all| all.contains(&read)) {
                    differences.push(format!(
                        "{} {forth:?}: {read:?}, not {:?}",
                        capture.display(),
                        asked.get(&forth)
                    ));
                }
                met.insert(forth.clone());
            }
            for (list, from) in [("certificates", &back), ("client_certificates", &forth)] {
                let read: Vec<_> =
                    event[list].as_array().into_iter().flatten().map(|one| text(&one["sha256"])).collect();
                if read.is_empty() {
                    continue;
                }
                certificates += read.len();
                let again = ["client", "server"].map(|side| event["dtls"]["flights_again"][side].as_u64());
                if !shown.contains_key(from) && again.iter().flatten().any(|&times| times > 0) {
                    continue; // tshark 4.0 rejoins no message whose fragments came in two flights
                }
                if !shown.get(from).is_some_and(|all| all.contains(&read)) {
                    differences.push(format!(
                        "{} {from:?}: certificates {read:?}, not {:?}",
                        capture.display(),
                        shown.get(from)
                    ));
                }
                shown.remove(from);
            }
        }
        for ends in asked.keys().filter(|ends| !met.contains(*ends)) {
            differences.push(format!("{} {ends:?}: a hello is missing", capture.display()));
        }
        // ICE may go on between other addresses in the middle of a handshake: of no attempt, then.
        shown.retain(|ends, _| {
            let (a, b, c, d) = ends.clone();
            asked.contains_key(ends) || asked.contains_key(&(c, d, a, b))
        });
        for (ends, list) in shown {
            differences.push(format!("{} {ends:?}: certificates {list:?} are missing", capture.display()));
        }
    }
    println!("{hellos} hellos, {certificates} certificates");
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(hellos >= 10);
}
