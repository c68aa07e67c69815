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
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use support::keys::{parted, with_keys};
use support::{Ran, Scratch, lab_roots, root, run, tell};
use tlswhy::base::{Limits, Side};
use tlswhy::capture::file::FileReader;
use tlswhy::evidence::decryption::HadKeys;
use tlswhy::evidence::{Evidence, Outcome};
use tlswhy::pipeline::shard::Ports;
use tlswhy::pipeline::{Arrival, AsJudged, Judged, Settings, Source, analyse};
use tlswhy::tls::codes::HandshakeType;
use tlswhy::tls::keys::Keys;
use tlswhy::tls::signature::Verdict;
use tlswhy::tls::trust::Trust;

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

fn corpora() -> Option<PathBuf> {
    let folder =
        std::env::var_os("TLSWHY_CORPORA").map_or_else(|| root().join("../shared/corpora"), PathBuf::from);
    let there = folder.join("keys").is_dir();
    if !there {
        tell(&format!("skipped: there are no third-party keys at {}", folder.display()));
    }
    there.then_some(folder)
}

fn has_tshark() -> bool {
    let there = Command::new("tshark").arg("-v").output().is_ok();
    if !there {
        tell("skipped: there is no tshark");
    }
    there
}

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
fn tshark(capture: &Path, log: Option<&Path>) -> Said {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture);
    command.args(["-Y", "(tls.handshake.type || dtls.handshake.type) && (tcp || udp)", "-T", "fields"]);
    // Otherwise it opens what the capture's own keys open, too.
    let log = log.map_or_else(String::new, |log| log.display().to_string());
    command.args(["-o", &format!("tls.keylog_file:{log}")]);
    let fields = ["tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport"];
    let of_tls = ["tls.handshake.type", "tls.handshake.certificate"];
    let of_dtls = ["dtls.handshake.type", "dtls.handshake.certificate"];
    for field in fields.into_iter().chain(of_tls).chain(of_dtls) {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    let mut said = Said::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let port = |n: usize| fields[n].split(',').next()?.parse::<u64>().ok();
        let udp = port(0).is_none();
        let n = if udp { 2 } else { 0 };
        let entry = said.entry((udp, port(n).unwrap(), port(n + 1).unwrap())).or_default();
        let all = |n: usize| {
            let values = fields.get(n).copied().unwrap_or_default().split(',');
            values.filter(|value| !value.is_empty())
        };
        entry.0.extend(all(4).chain(all(6)).map(|kind| kind.parse::<u8>().unwrap()));
        entry.1.extend(all(5).chain(all(7)).map(fingerprint));
    }
    said
}

/// SHA-256 of bytes in hexadecimal digits.
fn fingerprint(der: &str) -> String {
    let der: Vec<u8> =
        (0..der.len() / 2).map(|n| u8::from_str_radix(&der[2 * n..2 * n + 2], 16).unwrap()).collect();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
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
    let (clear, all) = (tshark(plain, None), tshark(capture, log));
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
            let Some((types, certificates)) = all.get(&ports) else { continue };
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
    let Some(folder) = corpora().filter(|_| has_tshark()) else { return };
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
    if !has_tshark() {
        return;
    }
    let scratch = Scratch::new("keys-tshark");
    // Each takes tshark half a second. Where datagrams are lost it does not open what comes again.
    let (dtls, others): (Vec<_>, Vec<_>) =
        with_keys().into_iter().partition(|path| path.to_string_lossy().contains("keys-dtls"));
    let dtls: Vec<_> = dtls.into_iter().filter(|path| !path.to_string_lossy().contains("lossy")).collect();
    assert!(dtls.len() >= 7, "{}", dtls.len());
    for path in others.iter().step_by(9).chain(&dtls) {
        let plain = scratch.write("plain.pcapng", &parted(path).0);
        let compared = compare(path, &plain, None);
        assert!(compared > 0, "{}", path.display());
    }
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

struct File(FileReader);

impl Source for File {
    fn next(&mut self) -> Option<Arrival<'_>> {
        self.0.next().map(Arrival::one)
    }
}

/// The attempts of a capture, by its own keys.
fn attempts(path: &Path) -> Vec<Evidence> {
    let keys = Keys::default();
    let settings = Settings {
        workers: 1,
        limits: Arc::new(Limits::default()),
        ports: Arc::new(Ports::new(&Ports::DEFAULT)),
        trust: Arc::new(Trust::empty("none")),
        given: Arc::default(),
        keys: keys.clone(),
        in_order: true,
    };
    let mut all = Vec::new();
    let mut source = File(FileReader::open(&root().join(path)).unwrap().with_keys(&keys));
    analyse(&mut source, &settings, &mut AsJudged, &mut |judged: Judged| {
        let mut evidence = *judged.evidence;
        evidence.verify_signatures();
        all.push(evidence);
    });
    all
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
    assert!(servers >= 100 && clients >= 20 && finished >= 150, "{servers} {clients} {finished}");
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

#[test]
fn with_keys_tls_13_reaches_the_verdict_of_its_twin_on_tls_12() {
    let mut twins: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let events = |folder: &str| read(&[folder]).handshakes();
    let all = events("captures");
    let name = |event: &Value| {
        let path = PathBuf::from(event["capture"].as_str().unwrap());
        path.file_name().unwrap().to_string_lossy().into_owned()
    };
    let key = |event: &Value| ["outcome", "cause", "reason"].map(|field| event[field].clone());
    for event in &all {
        let name = name(event);
        if let Some((words, version)) = parts(&name)
            && version == "12"
            && !name.starts_with("keys-")
        {
            twins.entry(without_server(&words).to_owned()).or_default().push(event.clone());
        }
    }
    let (mut with_twin, mut same, mut differ) = (0, 0, Vec::new());
    for event in &all {
        let name = name(event);
        let Some((words, version)) = parts(&name).filter(|_| name.starts_with("keys-")) else { continue };
        let Some(of) = twins.get(without_server(&words)).filter(|_| version == "13") else { continue };
        with_twin += 1;
        if of.iter().any(|twin| key(twin) == key(event)) {
            same += 1;
        } else {
            differ.push(format!(
                "{name}: {:?}, in clear {:?}",
                key(event),
                of.iter().map(key).collect::<Vec<_>>()
            ));
        }
    }
    tell(&format!("{same} of {with_twin} reach the verdict of their twins in clear"));
    assert!(with_twin >= 80 && differ.is_empty(), "{same} of {with_twin}; {}", differ.join("\n"));
}
