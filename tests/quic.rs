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

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use support::tshark::{self, Row, address, number, numbers};
use support::{captures_and_corpora, run, tell};

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

/// The list of signature_algorithms: tshark puts those of other extensions beside it.
fn schemes(fields: &Row) -> Vec<u64> {
    const SIGNATURE_ALGORITHMS: u64 = 13;
    const WITH_LISTS: [u64; 3] = [SIGNATURE_ALGORITHMS, 34, 50];
    let kinds = numbers(&fields["tls.handshake.extension.type"]);
    let kinds = kinds.into_iter().filter(|kind| WITH_LISTS.contains(kind));
    let lens = numbers(&fields["tls.handshake.sig_hash_alg_len"]);
    let all: Vec<_> = fields["tls.handshake.sig_hash_alg"].split(',').collect();
    let mut begins = 0;
    for (kind, len) in kinds.zip(lens) {
        let end = begins + usize::try_from(len / 2).unwrap();
        if kind == SIGNATURE_ALGORITHMS {
            return numbers(&all[begins..end].join(","));
        }
        begins = end;
    }
    Vec::new()
}

/// JA4 from tshark's fields.
fn ja4(fields: &Row) -> String {
    let listed = numbers(&fields["tls.handshake.extensions.supported_version"]).into_iter();
    let listed = listed.filter(|&version| !tshark::is_grease(version)).max();
    let hello = tshark::Hello {
        transport_and_version: match listed.or_else(|| number(&fields["tls.handshake.version"])) {
            Some(0x0304) => "q13",
            Some(0x0303) => "q12",
            _ => "q00",
        },
        ciphers: numbers(&fields["tls.handshake.ciphersuite"]),
        extensions: numbers(&fields["tls.handshake.extension.type"]),
        schemes: schemes(fields),
        protocol: fields["tls.handshake.extensions_alpn_str"].split(',').next().unwrap(),
    };
    hello.ja4()
}

/// Every ClientHello over QUIC that tshark shows, by client.
fn theirs(capture: &Path) -> BTreeMap<Client, Vec<Asked>> {
    let mut all: BTreeMap<Client, Vec<Asked>> = BTreeMap::new();
    for fields in tshark::rows(capture, &[], "quic && tls.handshake.type == 1", &FIELDS) {
        let client = (address(&fields, "ip.src", "ipv6.src"), fields["udp.srcport"].parse().unwrap());
        let name = fields["tls.handshake.extensions_server_name"].to_lowercase();
        let protocol = fields["tls.handshake.extensions_alpn_str"].split(',').next().unwrap().to_owned();
        all.entry(client).or_default().push((name, protocol, ja4(&fields)));
    }
    all
}

/// The same as the program reads it, and the clients that began with a version without a name.
fn ours(capture: &Path) -> (BTreeMap<Client, Vec<Asked>>, BTreeSet<Client>) {
    let (mut all, mut unnamed) = (BTreeMap::<Client, Vec<Asked>>::new(), BTreeSet::new());
    for event in events(capture) {
        if event["transport"] != "quic" || event["tls"]["ja4"].is_null() {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let client = (text(&event["client"]["ip"]), event["client"]["port"].as_u64().unwrap());
        let asked = (text(&event["sni"]), text(&event["alpn"][0]), text(&event["tls"]["ja4"]));
        if text(&event["quic"]["first_version"]).starts_with("0x") {
            unnamed.insert(client.clone());
        }
        all.entry(client).or_default().push(asked);
    }
    (all, unnamed)
}

fn events(capture: &Path) -> Vec<Value> {
    let ran = run(&["read", "--json", capture.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}: {}", capture.display(), ran.stderr);
    ran.handshakes()
}

/// The captures of QUIC: the laboratory's, and those of others where they are at hand.
fn captures() -> Vec<PathBuf> {
    let of_quic = |name: &str| name.contains("quic") && name.contains(".pcap");
    captures_and_corpora(of_quic, of_quic)
}

#[test]
fn hellos_over_quic_read_as_tshark_reads_them() {
    if !tshark::is_there() {
        return;
    }
    let (mut hellos, mut unopened, mut differences) = (0, 0, Vec::new());
    let captures = captures();
    for capture in &captures {
        let (theirs, (ours, unnamed)) = (theirs(capture), ours(capture));
        for (client, asked) in &theirs {
            hellos += 1;
            let read = ours.get(client).map_or(&[][..], Vec::as_slice);
            // Of a hello that was sent again behind another version both are right.
            if read.is_empty() || !read.iter().all(|one| asked.contains(one)) {
                differences.push(format!("{} {client:?}: {read:?}, not {asked:?}", capture.display()));
            }
        }
        for client in ours.keys().filter(|client| !theirs.contains_key(*client)) {
            // tshark 4.0 keeps the keys of the version that came first: it opens none behind one that does not exist.
            if unnamed.contains(client) {
                unopened += 1;
            } else {
                differences.push(format!("{} {client:?}: tshark has none", capture.display()));
            }
        }
    }
    tell(&format!("{hellos} clients of {} captures; {unopened} that tshark does not open", captures.len()));
    assert!(differences.is_empty(), "{} of {hellos}:\n{}", differences.len(), differences.join("\n"));
    // The package's own alone; of third parties' there are more.
    assert!(captures.len() >= 26 && hellos >= 26 && unopened <= 1, "{} {hellos} {unopened}", captures.len());
}

#[test]
fn a_fallback_to_tcp_is_told_with_what_it_fell_back_from() {
    for name in ["dropped", "prohibited", "port-closed"] {
        let attempts = events(Path::new(&format!("captures/firewall/quic-{name}-fallback-tcp.pcap")));
        let [quic, tcp] = &attempts[..] else { panic!("{attempts:#?}") };
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
