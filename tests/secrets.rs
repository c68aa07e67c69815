//! Secrets and application data stay inside: nothing that the program writes shows any of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::attempts::attempts_with;
use support::keys::{holds_secrets, parted, secrets, with_keys};
use support::{Scratch, base64, corpora, lab_roots, root, tell, tshark};
use tlswhy::base::PacketNo;
use tlswhy::tls::keys::Keys;

/// What the clients and servers of the laboratory said to each other once the handshake was over, and what third
/// parties did.
const TALK: [&str; 8] = [
    "GET / HTTP/1",
    "Host: www.example.test",
    "HTTP/1.0 200",
    "HTTP/1.1 200",
    "It works.",
    "user-agent",
    "text/html",
    "s_server -",
];

/// Everything that a run wrote.
fn wrote(args: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tlswhy"));
    let output = command.current_dir(root()).args(args).args(lab_roots()).output().unwrap();
    assert!(output.status.code().is_some(), "{args:?} ended by a signal");
    [output.stdout, output.stderr].concat()
}

/// Every form in which a secret could be told; twelve bytes of it would be too many.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = tshark::bytes(secret);
    let part = &bytes[..12];
    let list = |separator: &str| part.iter().map(u8::to_string).collect::<Vec<_>>().join(separator);
    vec![
        part.to_vec(),
        secret[..24].to_lowercase().into_bytes(),
        secret[..24].to_uppercase().into_bytes(),
        base64(part).as_bytes()[..16].to_vec(),
        list(", ").into_bytes(),
        list(",").into_bytes(),
    ]
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn assert_silent(output: &[u8], secrets: &[String], what: &str) {
    for secret in secrets {
        for form in forms(secret) {
            assert!(!holds(output, &form), "{what} shows a secret");
        }
    }
    for talk in TALK {
        assert!(!holds(output, talk.as_bytes()), "{what} shows application data: {talk}");
    }
}

/// The captures looked at, each with its key log where that lies beside it.
fn subjects() -> Vec<(PathBuf, Option<PathBuf>)> {
    // One in four: they are alike.
    let mut all: Vec<_> = with_keys().into_iter().step_by(4).map(|path| (path, None)).collect();
    all.push((PathBuf::from("captures/none/keys-dtls12-mutual-openssl.pcapng"), None));
    if let Some(corpora) = corpora() {
        for (log, capture) in [
            ("tls12-chacha20poly1305.keys", "apt_wireshark-4.4.18__tls12-chacha20poly1305.pcap"),
            ("tls13-20-chacha20poly1305.keys", "apt_wireshark-4.4.18__tls13-20-chacha20poly1305.pcap"),
        ] {
            all.push((corpora.join("pcap").join(capture), Some(corpora.join("keys").join(log))));
        }
        all.push((corpora.join("pcap/apt_wireshark-4.4.18__http2-brotli.pcapng"), None));
        all.push((corpora.join("pcap/apt_wireshark-4.4.18__http2_follow_multistream.pcapng"), None));
        all.push((corpora.join("pcap/apt_wireshark-4.4.18__dtls12-aes128ccm8-dsb.pcapng"), None));
        all.push((corpora.join("pcap/apt_wireshark-4.4.18__quic-with-secrets.pcapng"), None));
    }
    all
}

#[test]
fn no_output_shows_a_secret_or_application_data() {
    let scratch = Scratch::new("secrets");
    let mut looked = 0;
    for (capture, log) in subjects() {
        let path = capture.to_str().unwrap();
        let text = match &log {
            Some(log) => std::fs::read_to_string(log).unwrap(),
            None => parted(&capture).1,
        };
        let secrets = secrets(&text);
        assert!(!secrets.is_empty(), "{path}");
        looked += secrets.len();
        let with = |args: &[&str]| {
            let mut args = args.to_vec();
            if let Some(log) = &log {
                args.extend(["--keylog", log.to_str().unwrap()]);
            }
            args.push(path);
            wrote(&args)
        };
        let events = with(&["read", "--json"]);
        assert_silent(&events, &secrets, &format!("read --json {path}"));
        let kept = scratch.path("kept.pcapng");
        let table = with(&["read", "-w", kept.to_str().unwrap()]);
        assert_silent(&table, &secrets, &format!("read {path}"));
        let kept = std::fs::read(&kept).unwrap();
        assert!(!holds_secrets(&kept), "-w of {path} holds secrets");
        assert_silent(&kept, &secrets, &format!("-w of {path}"));
        for format in ["table", "json", "csv"] {
            let list = with(&["certs", "--format", format]);
            assert_silent(&list, &secrets, &format!("certs --format {format} {path}"));
        }
        for event in support::events(&String::from_utf8(events).unwrap()) {
            if let Some(id) = event["id"].as_str() {
                let ladder = with(&["show", id]);
                assert_silent(&ladder, &secrets, &format!("show {id} {path}"));
            }
        }
    }
    tell(&format!("{looked} secrets looked for"));
    assert!(looked >= 180, "{looked}");
}

#[test]
fn what_is_odd_about_a_key_log_is_told_without_its_contents() {
    let scratch = Scratch::new("secrets-odd");
    let capture = with_keys().into_iter().next().unwrap();
    let (plain, log) = parted(&capture);
    let secrets = secrets(&log);
    // Cut in the middle, joined, mistyped.
    let half = &log[..log.len() / 2];
    let odd = format!("{half}\n{}\n{}\n", log.replace(' ', "\t "), log.replace('_', "-"));
    let plain = scratch.write("plain.pcapng", &plain);
    let odd = scratch.write("odd.log", odd.as_bytes());
    let all = wrote(&["read", "--json", "--keylog", odd.to_str().unwrap(), plain.to_str().unwrap()]);
    assert_silent(&all, &secrets, "an odd key log");
    // A key log in the place of a capture, and a capture in the place of a key log.
    let all = wrote(&["read", odd.to_str().unwrap()]);
    assert_silent(&all, &secrets, "a key log read as a capture");
    let all = wrote(&["read", "--keylog", capture.to_str().unwrap(), plain.to_str().unwrap()]);
    assert_silent(&all, &secrets, "a capture read as a key log");
}

/// What a crash report, or a line of a developer, would show.
fn debugged(path: &Path) -> String {
    let keys = Keys::default();
    let mut text = String::new();
    for evidence in attempts_with(path, &keys) {
        if let Some(hello) = &evidence.hello {
            text += &format!("{:?}\n", keys.find(&hello.value.random, PacketNo(u64::MAX)));
        }
        text += &format!("{evidence:?}\n{evidence:#?}\n");
    }
    text + &format!("{keys:?} {keys:#?}")
}

#[test]
fn structures_printed_for_developers_show_neither() {
    for path in with_keys().iter().step_by(10) {
        let secrets = secrets(&parted(path).1);
        let text = debugged(path);
        assert!(text.contains("Secret(") || text.contains("Secrets"), "{}", path.display());
        assert_silent(text.as_bytes(), &secrets, &format!("Debug of {}", path.display()));
    }
}
