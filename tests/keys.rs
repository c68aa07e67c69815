//! What keys open: as Wireshark opens it, wherever the keys lie, and nothing where they do not fit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use support::attempts::attempts;
use support::keys::{parted, with_keys};
use support::{Ran, Scratch, corpora, lab_roots, root, run, tell, tshark};
use tlswhy::base::Side;
use tlswhy::evidence::Outcome;
use tlswhy::evidence::decryption::HadKeys;
use tlswhy::tls::codes::HandshakeType;
use tlswhy::tls::signature::Verdict;

/// Key logs of third-party captures, and the captures.
const LOGS: [(&str, &str); 9] = [
    ("tls12-chacha20poly1305.keys", "apt_wireshark-4.4.18__tls12-chacha20poly1305.pcap"),
    ("tls13-20-chacha20poly1305.keys", "apt_wireshark-4.4.18__tls13-20-chacha20poly1305.pcap"),
    ("dhe1_keylog.dat", "apt_wireshark-4.4.18__dhe1.pcapng.gz"),
    ("", "apt_wireshark-4.4.18__http2-brotli.pcapng"),
    ("", "apt_wireshark-4.4.18__http2_follow_multistream.pcapng"),
    ("", "apt_wireshark-4.4.18__dtls12-aes128ccm8-dsb.pcapng"),
    ("", "apt_wireshark-4.4.18__quic-with-secrets.pcapng"),
    ("", "apt_wireshark-4.4.18__quic-fragmented-handshakes.pcapng.gz"),
    ("", "quiclog-pcap2qlog__examples__draft-02__ngtcp2-29-dsb.pcapng"),
];

fn read(extra: &[&str]) -> Ran {
    let mut args = vec!["read".to_owned(), "--json".to_owned()];
    args.extend(lab_roots());
    args.extend(extra.iter().map(|&word| word.to_owned()));
    let ran = run(&args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

/// What each sender of a capture said: the types of its handshake messages, and its certificates.
type Said = BTreeMap<(bool, u64, u64), (Vec<u8>, Vec<String>)>;

/// As tshark reads it: whether over UDP, by source and destination port.
fn said(capture: &Path, log: Option<&Path>) -> Said {
    const FIELDS: [&str; 8] = [
        "tcp.srcport",
        "tcp.dstport",
        "udp.srcport",
        "udp.dstport",
        "tls.handshake.type",
        "dtls.handshake.type",
        "tls.handshake.certificate",
        "dtls.handshake.certificate",
    ];
    let log = log.map(|log| format!("tls.keylog_file:{}", log.display()));
    let options: Vec<_> = log.iter().flat_map(|log| ["-o", log]).collect();
    let filter = "(tls.handshake.type || dtls.handshake.type) && (tcp || udp)";
    let mut said = Said::new();
    for row in tshark::rows(capture, &options, filter, &FIELDS) {
        let port = |field: &str| row[field].split(',').next()?.parse::<u64>().ok();
        let (protocol, udp) = if port("tcp.srcport").is_some() { ("tcp", false) } else { ("udp", true) };
        let ports = ["src", "dst"].map(|end| port(&format!("{protocol}.{end}port")).unwrap());
        let entry = said.entry((udp, ports[0], ports[1])).or_default();
        let all = |field: &str| row[field].split(',').filter(|value| !value.is_empty());
        let types = all("tls.handshake.type").chain(all("dtls.handshake.type"));
        entry.0.extend(types.map(|kind| kind.parse::<u8>().unwrap()));
        let certificates = all("tls.handshake.certificate").chain(all("dtls.handshake.certificate"));
        entry.1.extend(certificates.map(|der| tshark::sha256(&tshark::bytes(der))));
    }
    said
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Compares what was opened of a capture with what tshark opens. How many messages there were.
fn compare(capture: &Path, plain: &Path, log: Option<&Path>) -> usize {
    let path = capture.to_str().unwrap();
    let ran = match log {
        Some(log) => read(&["--keylog", log.to_str().unwrap(), path]),
        None => read(&[path]),
    };
    let (clear, all) = (said(plain, None), said(capture, log));
    let mut compared = 0;
    for event in ran.handshakes() {
        let Some(opened) = event.get("decryption").filter(|opened| opened["keys"] == "found") else {
            continue;
        };
        assert_eq!(opened["failed"], 0, "{path}: {opened}");
        let (client, server) =
            (event["client"]["port"].as_u64().unwrap(), event["server"]["port"].as_u64().unwrap());
        let udp = event["transport"] != "tcp";
        for (side, ports) in [("client", (udp, client, server)), ("server", (udp, server, client))] {
            let mut before = clear.get(&ports).map_or_else(Vec::new, |said| said.0.clone());
            let nothing = (Vec::new(), Vec::new());
            let (types, certificates) = all.get(&ports).unwrap_or(&nothing);
            // What stood in clear comes before what was sealed, but where datagrams are lost.
            let sealed = types.iter().filter(|kind| match before.iter().position(|known| known == *kind) {
                Some(place) => {
                    before.remove(place);
                    false
                }
                None => true,
            });
            let theirs: Vec<_> = sealed.map(|&kind| HandshakeType(kind).to_string()).collect();
            let ours: Vec<_> =
                names(&opened[side]).into_iter().filter(|name| !name.starts_with("alert ")).collect();
            // Behind Finished a connection that works is not followed.
            let needed = theirs.iter().position(|name| name == "Finished").map_or(theirs.len(), |at| at + 1);
            assert!(ours.len() >= needed, "{path} {side}: {ours:?}, by tshark {theirs:?}");
            assert_eq!(ours, theirs[..ours.len()], "{path} {side}");
            compared += ours.len();
            let field = if side == "client" { "client_certificates" } else { "certificates" };
            let shown = event.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
            let shown: Vec<_> =
                shown.iter().map(|cert| cert["sha256"].as_str().unwrap().to_owned()).collect();
            if !shown.is_empty() || !certificates.is_empty() {
                assert_eq!(&shown, certificates, "{path} {side}");
            }
        }
    }
    compared
}

#[test]
fn third_party_captures_open_as_in_tshark() {
    let Some(folder) = corpora().filter(|_| tshark::is_there()) else { return };
    for (log, capture) in LOGS {
        let log = folder.join("keys").join(log);
        let capture = folder.join("pcap").join(capture);
        let log = Some(log.as_path()).filter(|log| log.is_file());
        let scratch = Scratch::new("keys-plain");
        let plain =
            if log.is_some() { capture.clone() } else { scratch.write("plain.pcapng", &parted(&capture).0) };
        let compared = compare(&capture, &plain, log);
        assert!(compared >= 2, "{}: {compared} messages", capture.display());
        tell(&format!("{}: {compared} messages as tshark has them", capture.display()));
        // Of those with the log inside: the messages are those that the two ends had.
        for evidence in log.map_or_else(|| attempts(&capture), |_| Vec::new()) {
            let finished = &evidence.decryption.finished;
            if evidence.decryption.keys == HadKeys::Found {
                let right = [Side::Client, Side::Server]
                    .map(|side| finished.of(side).as_ref().map(|seen| seen.value));
                assert_eq!(right, [Some(true); 2], "{}", capture.display());
            }
        }
    }
}

#[test]
fn own_captures_open_as_in_tshark() {
    if !tshark::is_there() {
        return;
    }
    let scratch = Scratch::new("keys-tshark");
    let mut messages = 0;
    // Each takes tshark half a second. Where datagrams are lost it does not open what comes again.
    let (dtls, others): (Vec<_>, Vec<_>) =
        with_keys().into_iter().partition(|path| path.to_string_lossy().contains("keys-dtls"));
    let dtls: Vec<_> = dtls.into_iter().filter(|path| !path.to_string_lossy().contains("lossy")).collect();
    assert!(dtls.len() >= 7, "{}", dtls.len());
    for path in others.iter().step_by(9).chain(&dtls) {
        let plain = scratch.write("plain.pcapng", &parted(path).0);
        let compared = compare(path, &plain, None);
        assert!(compared > 0, "{}", path.display());
        messages += compared;
    }
    tell(&format!("{messages} messages as tshark has them"));
    assert!(messages >= 150, "{messages}");
}

/// Everything of an event but where it lies.
fn verdict(mut event: Value) -> Value {
    event.as_object_mut().unwrap().remove("capture");
    event
}

fn verdicts(ran: &Ran) -> Vec<Value> {
    ran.handshakes().into_iter().map(verdict).collect()
}

#[test]
fn keys_beside_a_capture_open_what_keys_inside_of_it_do() {
    let scratch = Scratch::new("keys-beside");
    for path in with_keys().iter().step_by(7) {
        let (plain, log) = parted(path);
        let inside = verdicts(&read(&[path.to_str().unwrap()]));
        assert!(inside.iter().any(|event| event["decryption"]["keys"] == "found"), "{}", path.display());
        let plain = scratch.write("plain.pcapng", &plain);
        let log = scratch.write("keys.log", log.as_bytes());
        let (plain, log) = (plain.to_str().unwrap(), log.to_str().unwrap());
        assert_eq!(verdicts(&read(&["--keylog", log, plain])), inside, "{}", path.display());
        assert!(
            verdicts(&read(&[plain])).iter().all(|event| event.get("decryption").is_none()),
            "{}: nobody gave keys",
            path.display()
        );
    }
}

#[test]
fn packed_captures_bring_their_keys_too() {
    let scratch = Scratch::new("keys-packed");
    let path = with_keys().into_iter().next().unwrap();
    let bytes = std::fs::read(root().join(&path)).unwrap();
    let expected = verdicts(&read(&[path.to_str().unwrap()]));
    let packed = scratch.write("a.pcapng.zst", &zstd::encode_all(&bytes[..], 1).unwrap());
    assert_eq!(verdicts(&read(&[packed.to_str().unwrap()])), expected);
}

#[test]
fn keys_of_other_connections_change_nothing_but_are_counted() {
    let scratch = Scratch::new("keys-wrong");
    for path in with_keys().iter().step_by(11) {
        let (plain, log) = parted(path);
        // The same connections, each secret with another last digit.
        let wrong: String = log
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let last = line.chars().last().unwrap_or('0');
                format!("{}{}\n", &line[..line.len() - 1], if last == '0' { '1' } else { '0' })
            })
            .collect();
        let plain = scratch.write("plain.pcapng", &plain);
        let wrong = scratch.write("wrong.log", wrong.as_bytes());
        let (plain, wrong) = (plain.to_str().unwrap(), wrong.to_str().unwrap());
        let mut with = read(&["--keylog", wrong, plain]).handshakes();
        let without = read(&[plain]).handshakes();
        for event in &mut with {
            let said = event.as_object_mut().unwrap().remove("decryption");
            let said = said.unwrap_or_else(|| panic!("{}: keys were given", path.display()));
            assert_eq!(said["opened"], 0, "{}", path.display());
            assert!(said["failed"].as_u64().unwrap() > 0, "{}: {said}", path.display());
        }
        assert_eq!(with, without, "{}", path.display());
    }
}

#[test]
fn a_log_that_is_missing_ends_the_work_and_odd_lines_are_told_once() {
    let path = with_keys().into_iter().next().unwrap();
    let path = path.to_str().unwrap();
    let ran = run(&["read", "--keylog", "/no/such/file", path]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("/no/such/file") && ran.stderr.contains("SSLKEYLOGFILE"), "{}", ran.stderr);
    let scratch = Scratch::new("keys-odd");
    let odd = scratch.write("odd.log", b"# fine\nCLIENT_RANDOM short 00\nwhat is this\n");
    let ran = run(&["read", "--keylog", odd.to_str().unwrap(), path]);
    assert_eq!((ran.code, ran.stderr.matches("2 lines that are no lines").count()), (0, 1), "{}", ran.stderr);
}

#[test]
fn every_signature_and_finished_that_keys_open_is_right_but_those_of_damaged_keys() {
    let (mut servers, mut clients, mut finished) = (0, 0, 0);
    for path in with_keys() {
        let name = path.display().to_string();
        for evidence in attempts(&path) {
            let opened = &evidence.decryption;
            assert_eq!((opened.keys, opened.failed), (HadKeys::Found, 0), "{name}: {opened:?}");
            for side in [Side::Client, Side::Server] {
                if let Some(seen) = opened.finished.of(side) {
                    assert!(seen.value, "{name}: the {}'s Finished", side.word());
                    finished += 1;
                }
            }
            if let Some(verdict) = opened.server_verify_verdict {
                assert_eq!(verdict, Verdict::Good, "{name}: the server's signature");
                servers += 1;
            }
            if let Some(verdict) = evidence.certificate_verify_verdict {
                let expected = if name.contains("wrong-scalar") { Verdict::Bad } else { Verdict::Good };
                assert_eq!(verdict, expected, "{name}: the client's signature");
                clients += 1;
            }
            if matches!(evidence.outcome, Outcome::Completed | Outcome::Resumed) {
                let both = opened.finished.client.is_some() && opened.finished.server.is_some();
                assert!(both, "{name}: {opened:?}");
            }
        }
    }
    tell(&format!("{servers} servers, {clients} clients, {finished} Finished"));
    assert!(servers >= 235 && clients >= 45 && finished >= 380, "{servers} {clients} {finished}");
}

/// Fault, client and version of a name like `keys-expired-curl-nginx-tls13`.
fn parts(name: &str) -> Option<(String, String)> {
    let (rest, version) = name.rsplit_once("-tls")?;
    Some((rest.strip_prefix("keys-").unwrap_or(rest).to_owned(), version.split('.').next()?.to_owned()))
}

/// `expired-curl` of `expired-curl-nginx`: the server is another one in each.
fn without_server(words: &str) -> &str {
    let known = [
        "s-server",
        "gnutls-serv",
        "nginx",
        "apache",
        "haproxy",
        "java",
        "node",
        "python",
        "rustls",
        "openssl4",
    ];
    known.iter().find_map(|server| words.strip_suffix(server)?.strip_suffix('-')).unwrap_or(words)
}

/// Outcome, cause and reason of each attempt of a capture, in order.
type Verdicts = Vec<[Value; 3]>;

/// Of the name alone a twin: a key usage of another key, with which the server shows nothing (see its label).
const NO_TWIN: &str = "captures/missing_extension/key-usage-curl-tls12.pcap";

#[test]
fn with_keys_tls_13_reaches_the_verdict_of_its_twins_on_tls_12() {
    let mut by_capture: BTreeMap<String, Verdicts> = BTreeMap::new();
    for event in read(&["captures"]).handshakes() {
        let verdict = ["outcome", "cause", "reason"].map(|field| event[field].clone());
        by_capture.entry(event["capture"].as_str().unwrap().to_owned()).or_default().push(verdict);
    }
    // Sealed and in clear: the same fault met by the same client, whatever the server.
    let (mut sealed, mut twins) = (Vec::new(), BTreeMap::<String, Vec<&String>>::new());
    for capture in by_capture.keys() {
        let name = Path::new(capture).file_name().unwrap().to_string_lossy();
        let Some((words, version)) = parts(&name) else { continue };
        let words = without_server(&words).to_owned();
        match (name.starts_with("keys-"), version.as_str()) {
            (true, "13") => sealed.push((capture, words)),
            (false, "12") if capture != NO_TWIN => twins.entry(words).or_default().push(capture),
            _ => {}
        }
    }
    let (mut captures, mut pairs, mut differ) = (0, 0, Vec::new());
    for (capture, words) in sealed {
        let of = twins.get(&words).map_or(&[][..], Vec::as_slice);
        captures += u32::from(!of.is_empty());
        for &twin in of {
            pairs += 1;
            let (with_keys, in_clear) = (&by_capture[capture], &by_capture[twin]);
            if with_keys != in_clear {
                differ.push(format!("{capture}: {with_keys:?}; {twin}: {in_clear:?}"));
            }
        }
    }
    tell(&format!("{captures} captures with keys, {pairs} twins in clear, {} verdicts differ", differ.len()));
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(captures >= 170 && pairs >= 180, "{captures} {pairs}");
}
