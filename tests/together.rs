//! What only several attempts together tell: made of the lab's packets, sent again and again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::pcap::Pcap;
use support::{Scratch, lab_roots, root, run};

const ACK: u8 = 16;
/// When the first attempt begins.
const BEGIN: u32 = 1_795_000_000;
/// The last byte of the lab's client, and of another.
const CLIENT: u8 = 10;
const OTHER: u8 = 11;

fn read(name: &str) -> Pcap {
    Pcap::parse(&std::fs::read(root().join("captures").join(name)).unwrap()).unwrap()
}

/// A handshake that completes and carries data, for `www.example.test`.
fn good() -> Pcap {
    read("none/curl-nginx-tls13.pcap")
}

/// Another name of the same length in the ClientHello.
fn renamed(pcap: &Pcap) -> Pcap {
    let mut pcap = pcap.clone();
    for packet in &mut pcap.packets {
        let name = b"www.example.test";
        if let Some(at) = packet.windows(name.len()).position(|window| window == name) {
            packet[at..at + 3].copy_from_slice(b"bad");
        }
    }
    pcap
}

/// The file of these packets, in order of their stamps.
fn file(scratch: &Scratch, like: &Pcap, parts: &[Vec<Vec<u8>>]) -> PathBuf {
    let stamp = |packet: &[u8]| {
        let field = |at: usize| u32::from_le_bytes(packet[at..at + 4].try_into().unwrap());
        (field(0), field(4))
    };
    let mut packets = parts.concat();
    packets.sort_by_key(|packet| stamp(packet));
    scratch.write("together.pcap", &like.with(&packets))
}

/// What the program prints.
fn told(words: &[&str], path: &Path) -> String {
    let mut args: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    args.extend(lab_roots());
    args.push(path.to_str().unwrap().to_owned());
    run(&args).stdout
}

/// Events, the same whatever the number of workers.
fn events(path: &Path) -> Vec<Value> {
    let read = |workers: &str| told(&["read", "--json", "--no-progress", "--workers", workers], path);
    let one = read("1");
    assert_eq!(one, read("3"));
    let mut events = support::events(&one);
    events.retain(|event| event["kind"] == "handshake");
    events.sort_by_key(|event| event["ts"].as_str().unwrap().to_owned());
    events
}

fn failed(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|event| event["outcome"] == "failed").collect()
}

fn verdict(event: &Value) -> (&str, &str) {
    (event["reason"].as_str().unwrap_or("-"), event["certainty"].as_str().unwrap_or("-"))
}

#[test]
fn ten_failures_and_the_success_behind_them_are_one_episode() {
    let scratch = Scratch::new("episode");
    let (bad, good) = (read("expired_cert/curl-tls12.pcap"), good());
    let mut parts: Vec<_> = (0..10).map(|n| bad.later(BEGIN + 2 * u32::from(n), n, CLIENT)).collect();
    parts.push(good.later(BEGIN + 30, 100, CLIENT));
    parts.push(good.later(BEGIN + 40, 101, CLIENT));
    let path = file(&scratch, &bad, &parts);
    let events = events(&path);
    assert_eq!(events.len(), 12);
    let first = events[0]["id"].clone();
    for (n, event) in (1..).zip(&events[..11]) {
        assert_eq!(event["episode"]["id"], first, "{n}");
        assert_eq!(event["episode"]["attempt"], n);
        assert_eq!(event["episode"]["first_ts"], events[0]["ts"]);
    }
    assert_eq!(events[10]["outcome"], "completed");
    assert!(events[11].get("episode").is_none(), "it had ended");

    let table = told(&["read", "--no-progress"], &path);
    assert_eq!(table.matches("×10").count(), 1, "{table}");
    let page = told(&["show", events[3]["id"].as_str().unwrap()], &path);
    assert!(page.contains("Attempt 4 of 11 at this service"), "{page}");
    for (n, event) in events[..11].iter().enumerate() {
        let id = event["id"].as_str().unwrap();
        assert!(page.contains(id), "attempt {} is not named: {page}", n + 1);
    }
}

#[test]
fn failures_far_apart_and_lost_races_are_no_episode() {
    let scratch = Scratch::new("no-episode");
    let bad = read("expired_cert/curl-tls12.pcap");
    let parts =
        [bad.later(BEGIN, 0, CLIENT), bad.later(BEGIN + 60, 1, CLIENT), bad.later(BEGIN + 62, 1, OTHER)];
    let path = file(&scratch, &bad, &parts);
    for event in events(&path) {
        assert_eq!((&event["episode"]["id"], &event["episode"]["attempt"]), (&event["id"], &Value::from(1)));
    }
    for name in ["none/happy-eyeballs-slow-ipv6.pcap", "none/ipv6-refused-curl.pcap"] {
        let events = events(&root().join("captures").join(name));
        assert!(events.iter().all(|event| event.get("episode").is_none()), "{name}");
    }
}

/// Up to the hello for another name, which is reset as a packet filter does: without ACK.
fn reset(second: u32, ports: u16, flags: u8) -> Vec<Vec<u8>> {
    let pcap = renamed(&good());
    let (_, asked) = pcap.numbers(3);
    let mut reset = pcap.as_reset(4, flags, asked, if flags == 0 { 0 } else { pcap.numbers(4).1 });
    // It takes a round trip.
    let micros = u32::from_le_bytes(pcap.packets[3][4..8].try_into().unwrap()) + 21_000;
    let second_of = |n: usize| u32::from_le_bytes(pcap.packets[n][..4].try_into().unwrap());
    reset[..4].copy_from_slice(&(second_of(3) + micros / 1_000_000).to_le_bytes());
    reset[4..8].copy_from_slice(&(micros % 1_000_000).to_le_bytes());
    let mut short = pcap.clone();
    short.packets.truncate(4);
    short.packets.push(reset);
    short.later(second, ports, CLIENT)
}

#[test]
fn a_name_reset_each_time_while_another_passes_is_a_policy_on_the_name() {
    let scratch = Scratch::new("on-name");
    let good = good();
    let with = |flags: u8, passes: u32| {
        let parts = [
            reset(BEGIN, 1, flags),
            reset(BEGIN + 4, 2, flags),
            good.later(BEGIN + passes, 10, CLIENT),
            reset(BEGIN + 8, 3, flags),
            // Time goes on.
            good.later(BEGIN + 60, 11, OTHER),
        ];
        events(&file(&scratch, &good, &parts))
    };
    let interleaved = with(0, 6);
    let found = failed(&interleaved);
    assert_eq!(found.len(), 3);
    for event in &found {
        assert_eq!(verdict(event), ("reset_after_hello", "inferred"), "{event}");
        assert!(event["proofs"].to_string().contains("it acts on the name (SNI)"));
    }
    let program = with(ACK, 6);
    assert!(failed(&program).iter().all(|event| event["certainty"] != "inferred"), "{program:?}");
    let mut before = vec![good.later(BEGIN - 30, 10, CLIENT), good.later(BEGIN + 60, 11, OTHER)];
    before.extend([1, 2, 3].map(|n| reset(BEGIN + 4 * u32::from(n), n, 0)));
    let before = events(&file(&scratch, &good, &before));
    assert_eq!(failed(&before).len(), 3);
    assert!(
        failed(&before).iter().all(|event| event["certainty"] != "inferred"),
        "the server may have broken"
    );
}

/// A SYN that is refused as a closed port refuses.
fn refused(second: u32, ports: u16) -> Vec<Vec<u8>> {
    let pcap = good();
    let (isn, _) = pcap.numbers(0);
    let mut short = pcap.clone();
    short.packets = vec![pcap.packets[0].clone(), pcap.as_reset(1, ACK, 0, isn.wrapping_add(1))];
    short.later(second, ports, CLIENT)
}

#[test]
fn a_port_refused_to_one_client_and_open_to_another_is_a_policy_on_the_syn() {
    let scratch = Scratch::new("on-syn");
    let good = good();
    let refusals = [1, 2, 3].map(|n| refused(BEGIN + 4 * u32::from(n), n));
    let with = |second: u32| {
        let mut parts = refusals.to_vec();
        parts.extend([good.later(second, 20, OTHER), good.later(BEGIN + 90, 21, OTHER)]);
        events(&file(&scratch, &good, &parts))
    };
    let between = with(BEGIN + 10);
    for event in failed(&between) {
        assert_eq!(verdict(event), ("syn_reset", "inferred"), "{event}");
        assert!(event["proofs"].to_string().contains("it acts on the SYN"));
    }
    assert_eq!(failed(&between).len(), 3);
    let behind = with(BEGIN + 30);
    assert!(failed(&behind).iter().all(|event| event["certainty"] == "suspected"), "it may have come back");
}

/// A connection whose hello comes so many seconds after it was set up, and is answered or sent in vain.
fn paused(second: u32, pause: u32, ports: u16, answered: bool) -> Vec<Vec<u8>> {
    let pcap = good();
    let mut packets = pcap.later(second, ports, CLIENT);
    let second_of = |packet: &[u8]| u32::from_le_bytes(packet[..4].try_into().unwrap());
    for packet in &mut packets[3..] {
        let late = second_of(packet) + pause;
        packet[..4].copy_from_slice(&late.to_le_bytes());
    }
    if !answered {
        packets.truncate(4);
        for again in [1, 3, 7] {
            let mut copy = packets[3].clone();
            let late = second_of(&copy) + again;
            copy[..4].copy_from_slice(&late.to_le_bytes());
            packets.push(copy);
        }
    }
    packets
}

#[test]
fn pauses_that_are_not_survived_show_a_devices_limit() {
    let scratch = Scratch::new("idle");
    let good = good();
    let with = |survived: u32| {
        let parts = [
            paused(BEGIN, survived, 1, true),
            paused(BEGIN + 10, 355, 2, false),
            paused(BEGIN + 20, 400, 3, false),
            paused(BEGIN + 30, 450, 4, false),
            good.later(BEGIN + 900, 5, CLIENT),
        ];
        events(&file(&scratch, &good, &parts))
    };
    let below = with(300);
    let found = failed(&below);
    assert_eq!(found.len(), 3, "{below:?}");
    let last = found.last().unwrap();
    assert_eq!(verdict(last), ("idle_timeout", "inferred"), "{last}");
    assert!(last["proofs"].to_string().contains("350 s, as AWS NAT gateway"), "{last}");
    let longer = with(500);
    assert!(
        failed(&longer).iter().all(|event| event["certainty"] != "inferred"),
        "one survived a longer pause"
    );
}

#[test]
fn a_trusted_chain_shown_to_another_client_suspects_interception() {
    let scratch = Scratch::new("intercepted");
    let (bad, good) = (
        read("broken_chain/unknown-root-curl-s-server-tls12.pcap"),
        read("none/ecdhe-curl-nginx-tls12.pcap"),
    );
    // Certificates are judged at their time.
    let begin = u32::from_le_bytes(good.packets[0][..4].try_into().unwrap());
    let found = |good: &Pcap, second: u32, client: u8| {
        let parts = [bad.later(begin, 1, CLIENT), good.later(second, 2, client)];
        let events = events(&file(&scratch, &bad, &parts));
        let failed = failed(&events);
        assert_eq!(failed.len(), 1, "{events:?}");
        assert_eq!(failed[0]["reason"], "unknown_root");
        failed[0]["also"].to_string().contains("intercepted")
    };
    assert!(found(&good, begin - 60, OTHER) && found(&good, begin + 5, OTHER));
    assert!(!found(&good, begin - 60, CLIENT), "the same client: the server's certificate was exchanged");
    assert!(!found(&good, begin - 3_600, OTHER), "too long ago to tell");
    let rsa = read("none/ecdhe-rsa-python-haproxy-tls12.pcap");
    assert!(!found(&rsa, begin - 60, OTHER), "a certificate for another kind of key");
}
