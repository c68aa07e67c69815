//! QUIC as tshark reads it: what clients ask for, in every capture of QUIC that is at hand.
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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use support::{files, root};

/// Client's address and port.
type Client = (String, u64);

/// What a ClientHello asks for: name, first protocol, JA4.
type Asked = (String, String, String);

const FIELDS: [&str; 12] = [
    "ip.src",
    "ipv6.src",
    "udp.srcport",
    "tls.handshake.version",
    "tls.handshake.extensions_server_name",
    "tls.handshake.extensions_alpn_str",
    "tls.handshake.ciphersuite",
    "tls.handshake.extension.type",
    "tls.handshake.sig_hash_alg",
    "tls.handshake.extensions.supported_version",
    "tls.handshake.sig_hash_alg_len",
    "frame.number",
];

fn has_tshark() -> bool {
    let there = Command::new("tshark").arg("--version").output().is_ok_and(|out| out.status.success());
    if !there {
        eprintln!("skipped: no tshark here");
    }
    there
}

fn number(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn numbers(list: &str) -> Vec<u16> {
    let grease = |n: &u16| n & 0x0f0f == 0x0a0a && n >> 8 == n & 0xff;
    list.split(',').filter_map(number).filter(|n| !grease(n)).collect()
}

fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The list of signature_algorithms: tshark puts those of other extensions beside it.
fn schemes(fields: &BTreeMap<&str, &str>) -> Vec<u16> {
    const SIGNATURE_ALGORITHMS: u16 = 13;
    const WITH_LISTS: [u16; 3] = [SIGNATURE_ALGORITHMS, 34, 50];
    let kinds = numbers(fields["tls.handshake.extension.type"]);
    let kinds = kinds.into_iter().filter(|kind| WITH_LISTS.contains(kind));
    let lens = numbers(fields["tls.handshake.sig_hash_alg_len"]);
    let all: Vec<_> = fields["tls.handshake.sig_hash_alg"].split(',').collect();
    let mut begins = 0;
    for (kind, len) in kinds.zip(lens) {
        let end = begins + usize::from(len / 2);
        if kind == SIGNATURE_ALGORITHMS {
            return numbers(&all[begins..end].join(","));
        }
        begins = end;
    }
    Vec::new()
}

/// JA4 as its specification says, from tshark's fields.
fn ja4(fields: &BTreeMap<&str, &str>) -> String {
    let hex = |list: &[u16]| list.iter().map(|n| format!("{n:04x}")).collect::<Vec<_>>().join(",");
    let mut ciphers = numbers(fields["tls.handshake.ciphersuite"]);
    let mut extensions = numbers(fields["tls.handshake.extension.type"]);
    let versions = numbers(fields["tls.handshake.extensions.supported_version"]);
    let version = versions.into_iter().max().or_else(|| number(fields["tls.handshake.version"]));
    let version = match version {
        Some(0x0304) => "13",
        Some(0x0303) => "12",
        _ => "00",
    };
    let named = if extensions.contains(&0) { 'd' } else { 'i' };
    let protocol = fields["tls.handshake.extensions_alpn_str"].split(',').next().unwrap();
    let ends = match (protocol.chars().next(), protocol.chars().last()) {
        (Some(first), Some(last)) => format!("{first}{last}"),
        _ => "00".to_owned(),
    };
    let start = format!("q{version}{named}{:02}{:02}{ends}", ciphers.len(), extensions.len());
    ciphers.sort_unstable();
    extensions.retain(|kind| ![0, 16].contains(kind));
    extensions.sort_unstable();
    let schemes = hex(&schemes(fields));
    let tail = if schemes.is_empty() { hex(&extensions) } else { format!("{}_{schemes}", hex(&extensions)) };
    format!("{start}_{}_{}", short_hash(&hex(&ciphers)), short_hash(&tail))
}

/// Every ClientHello over QUIC that tshark shows, by client.
fn theirs(capture: &Path) -> BTreeMap<Client, Vec<Asked>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture).args(["-o", "tls.keylog_file:", "-Y", "quic && tls.handshake.type == 1"]);
    command.args(["-T", "fields", "-E", "separator=|"]);
    FIELDS.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let mut all: BTreeMap<Client, Vec<Asked>> = BTreeMap::new();
    for line in out.lines() {
        let fields: BTreeMap<_, _> = FIELDS.into_iter().zip(line.split('|')).collect();
        let address = if fields["ip.src"].is_empty() { fields["ipv6.src"] } else { fields["ip.src"] };
        let client = (address.to_owned(), fields["udp.srcport"].parse().unwrap());
        let name = fields["tls.handshake.extensions_server_name"].to_lowercase();
        let protocol = fields["tls.handshake.extensions_alpn_str"].split(',').next().unwrap().to_owned();
        all.entry(client).or_default().push((name, protocol, ja4(&fields)));
    }
    all
}

fn ours(capture: &Path) -> BTreeMap<Client, Vec<Asked>> {
    let mut all: BTreeMap<Client, Vec<Asked>> = BTreeMap::new();
    for event in events(capture) {
        if event["kind"] != "handshake" || event["transport"] != "quic" || event["tls"]["ja4"].is_null() {
            continue;
        }
        // Behind a reserved version tshark 4.0 keeps the keys of that.
        if event["quic"]["first_version"].as_str().is_some_and(|first| first.starts_with("0x")) {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let client = (text(&event["client"]["ip"]), event["client"]["port"].as_u64().unwrap());
        let asked = (text(&event["sni"]), text(&event["alpn"][0]), text(&event["tls"]["ja4"]));
        all.entry(client).or_default().push(asked);
    }
    all
}

fn events(capture: &Path) -> Vec<Value> {
    let program = env!("CARGO_BIN_EXE_tlswhy");
    let out = Command::new(program).args(["read", "--json"]).arg(capture).output().unwrap();
    assert!(out.status.success(), "{}: {}", capture.display(), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The captures of QUIC: the laboratory's, and those of others where they are at hand.
fn captures() -> Vec<PathBuf> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let own = files("captures").into_iter().map(|path| root().join(path));
    let own = own.filter(|path| name(path).contains("quic") && name(path).contains(".pcap"));
    let beside = || root().join("../shared/corpora");
    let folder = std::env::var_os("TLSWHY_CORPORA").map_or_else(beside, PathBuf::from);
    let others =
        std::fs::read_dir(folder.join("pcap")).into_iter().flatten().flatten().map(|file| file.path());
    let others = others.filter(|path| name(path).contains("quic"));
    let mut all: Vec<_> = own.chain(others).collect();
    all.sort();
    all
}

#[test]
fn hellos_over_quic_read_as_tshark_reads_them() {
    if !has_tshark() {
        return;
    }
    let (mut hellos, mut differences) = (0, Vec::new());
    let captures = captures();
    for capture in &captures {
        let (theirs, ours) = (theirs(capture), ours(capture));
        for (client, asked) in &theirs {
            hellos += 1;
            let read = ours.get(client).map_or(&[][..], Vec::as_slice);
            // Of a hello that was sent again behind another version both are right.
            if read.is_empty() || !read.iter().all(|one| asked.contains(one)) {
                differences.push(format!("{} {client:?}: {read:?}, not {asked:?}", capture.display()));
            }
        }
        for client in ours.keys().filter(|client| !theirs.contains_key(*client)) {
            differences.push(format!("{} {client:?}: tshark has none", capture.display()));
        }
    }
    println!("{hellos} clients of {} captures", captures.len());
    assert!(differences.is_empty(), "{} of {hellos}:\n{}", differences.len(), differences.join("\n"));
    assert!(captures.len() >= 20 && hellos >= 20);
}

#[test]
fn a_fallback_to_tcp_is_told_with_what_it_fell_back_from() {
    for name in ["dropped", "prohibited", "port-closed"] {
        let events = events(&root().join(format!("captures/firewall/quic-{name}-fallback-tcp.pcap")));
        let attempts: Vec<_> = events.iter().filter(|event| event["kind"] == "handshake").collect();
        let [quic, tcp] = attempts[..] else { panic!("{attempts:#?}") };
        assert_eq!((&quic["transport"], &tcp["transport"]), (&"quic".into(), &"tcp".into()));
        assert_eq!((&quic["outcome"], &tcp["outcome"]), (&"failed".into(), &"completed".into()), "{name}");
        assert_eq!(quic["cause"], "firewall", "{name}");
        assert_eq!(quic["episode"]["id"], tcp["episode"]["id"], "{name}");
        assert_eq!(
            (&quic["episode"]["attempt"], &tcp["episode"]["attempt"]),
            (&1.into(), &2.into()),
            "{name}"
        );
    }
}
