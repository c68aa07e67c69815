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

use serde_json::Value;
use tlswhy::tls::dtls::messages::fragments;
use tlswhy::tls::dtls::{payload, records};

use support::tshark::{self, Row, address, bytes, number, numbers, sha256};
use support::{captures_and_corpora, run, tell};

/// Sender's and receiver's address and port.
type Ends = (String, String, String, String);

fn rows(capture: &Path, filter: &str, fields: &[&'static str]) -> Vec<Row> {
    tshark::rows(capture, &["-d", "udp.port==443,dtls"], filter, fields)
}

fn ends(row: &Row) -> Ends {
    let (source, target) = (address(row, "ip.src", "ipv6.src"), address(row, "ip.dst", "ipv6.dst"));
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
    captures_and_corpora(
        |name| name.contains("dtls") || name.contains("webrtc"),
        |name| OTHERS.iter().any(|other| name.contains(other)),
    )
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
    if !tshark::is_there() {
        return;
    }
    let (mut datagrams, mut read_records, mut read_fragments, mut differences) = (0, 0, 0, Vec::new());
    for capture in captures() {
        // One datagram in another has the fields of both.
        for row in rows(&capture, "dtls && !icmp && !icmpv6", &FIELDS) {
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
    tell(&format!("{read_records} records, {read_fragments} fragments of {datagrams} datagrams"));
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    // The package's own alone; of third parties' there are more.
    assert!(read_records >= 700 && read_fragments >= 480, "{read_records} {read_fragments}");
}

/// JA4 from tshark's fields.
fn ja4(row: &Row) -> String {
    // DTLS counts down.
    let listed = numbers(&row["dtls.handshake.extensions.supported_version"]).into_iter();
    let listed = listed.filter(|&version| !tshark::is_grease(version)).min();
    let version = match listed.or_else(|| number(&row["dtls.handshake.version"])) {
        Some(0xfefc) => "dd3",
        Some(0xfefd) => "dd2",
        Some(0xfeff) => "dd1",
        _ => "d00",
    };
    let hello = tshark::Hello {
        transport_and_version: version,
        ciphers: numbers(&row["dtls.handshake.ciphersuite"]),
        extensions: numbers(&row["dtls.handshake.extension.type"]),
        schemes: numbers(&row["dtls.handshake.sig_hash_alg"]),
        protocol: row["dtls.handshake.extensions_alpn_str"].split(',').next().unwrap(),
    };
    hello.ja4()
}

fn events(capture: &Path) -> Vec<Value> {
    let ran = run(&["read", "--json", capture.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}: {}", capture.display(), ran.stderr);
    ran.handshakes().into_iter().filter(|event| event["transport"] == "dtls").collect()
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
    if !tshark::is_there() {
        return;
    }
    let (mut hellos, mut certificates, mut differences) = (0, 0, Vec::new());
    for capture in captures() {
        let mut asked: BTreeMap<Ends, BTreeSet<(String, String)>> = BTreeMap::new();
        let filter = "dtls.handshake.type == 1 && dtls.handshake.ciphersuite && !icmp";
        for row in rows(&capture, filter, &[&FIELDS[..], &ENDS].concat()) {
            let name = row["dtls.handshake.extensions_server_name"].to_lowercase();
            asked.entry(ends(&row)).or_default().insert((name, ja4(&row)));
        }
        let mut shown: BTreeMap<Ends, BTreeSet<Vec<String>>> = BTreeMap::new();
        let fields = [&["dtls.handshake.certificate"][..], &ENDS].concat();
        for row in rows(&capture, "dtls.handshake.certificate && !icmp", &fields) {
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
    tell(&format!("{hellos} hellos, {certificates} certificates"));
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(hellos >= 40 && certificates >= 65, "{hellos} {certificates}");
}
