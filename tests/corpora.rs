//! Third-party captures with labels, where their folder is there: no false failure, no wrong proof, no crash.
//!
//! The folder is `../shared/corpora` beside the checkout, or `TLSWHY_CORPORA`.

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
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::tally::{at_most_in_a_million, blames_network};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("TLSWHY_CORPORA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"), PathBuf::from);
    if folder.join("manifest.tsv").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: there are no third-party captures at {}", folder.display());
    None
}

fn events(file: &Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_tlswhy"))
        .args(["read", "--json", "--no-progress"])
        .arg(file)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {:?} {stderr}", file.display(), output.status);
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["kind"] == "handshake")
        .collect()
}

/// One row of the manifest.
struct Label {
    file: String,
    stream: String,
    outcome: String,
    cause: String,
    alternatives: Vec<String>,
    confidence: String,
}

fn labels(folder: &Path) -> Vec<Label> {
    let text = std::fs::read_to_string(folder.join("manifest.tsv")).unwrap();
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split('\t').map(str::to_owned);
            let mut next = || columns.next();
            let (file, stream, outcome, cause) = (next()?, next()?, next()?, next()?);
            let (_note, _source) = (next()?, next()?);
            let alternatives =
                next()?.split('|').filter(|word| !word.is_empty()).map(str::to_owned).collect();
            let confidence = next()?;
            Some(Label { file, stream, outcome, cause, alternatives, confidence })
        })
        .collect()
}

/// The design's numbers of the causes.
fn number(cause: &str) -> &'static str {
    match cause {
        "expired_cert" => "1",
        "broken_chain" => "2",
        "nat_drop" => "3",
        "dns_inconsistency" => "4",
        "firewall" => "5",
        "revocation" => "6",
        "name_mismatch" => "7",
        "protocol_version" => "8",
        "damaged_key" => "9",
        "storage_permission" => "10",
        "validity_misconfig" => "11",
        "missing_extension" => "12",
        other => panic!("{other} is no cause"),
    }
}

/// `tcp client:port>server:port #n` against an event, either way round.
fn is_of(stream: &str, event: &Value) -> bool {
    if stream == "*" {
        return true;
    }
    let ends = stream.strip_prefix("tcp ").unwrap_or(stream);
    let ends = ends.split(' ').next().unwrap_or(ends);
    let Some((one, two)) = ends.split_once('>') else { return false };
    let parse = |end: &str| -> Option<(std::net::IpAddr, u64)> {
        let (ip, port) = end.rsplit_once(':')?;
        Some((ip.parse().ok()?, port.parse().ok()?))
    };
    let of = |end: &Value| -> Option<(std::net::IpAddr, u64)> {
        Some((end["ip"].as_str()?.parse().ok()?, end["port"].as_u64()?))
    };
    let asked = (parse(one), parse(two));
    let seen = (of(&event["client"]), of(&event["server"]));
    asked == seen || asked == (seen.1, seen.0)
}

#[test]
fn labelled_third_party_captures_get_no_false_failure_and_no_wrong_proof() {
    let Some(folder) = folder() else { return };
    let mut read: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    // Outcome and confidence: rows, rows as labelled.
    let mut table: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    let (mut sure, mut found) = (0, 0);
    // Attempts that did not fail, by file and name; and those of them that the network is blamed for.
    let (mut sound, mut blamed) = (BTreeSet::new(), BTreeSet::new());
    for label in labels(&folder) {
        if label.outcome == "robustness" {
            continue;
        }
        let all = read.entry(label.file.clone()).or_insert_with(|| events(&folder.join(&label.file)));
        let here: Vec<&Value> =
            all.iter().filter(|event| label.stream == "*" || is_of(&label.stream, event)).collect();
        // Of captures of QUIC the label speaks of TCP alone: in one of them a client says that nobody answered it. That has no
        // cause.
        let spoken_of = |event: &&Value| {
            label.outcome != "quic" || event["transport"] == "tcp" || !event["cause"].is_null()
        };
        let here: Vec<_> = here.into_iter().filter(spoken_of).collect();
        let failures: Vec<_> = here.iter().filter(|event| event["outcome"] == "failed").collect();
        let row = table.entry((label.outcome.clone(), label.confidence.clone())).or_default();
        row.0 += 1;
        let told = |what: &str| format!("{what}: {} {}", label.file, label.stream);
        if label.outcome.starts_with("failed") {
            let counts = label.confidence == "high" || label.confidence == "med";
            sure += usize::from(counts);
            if !failures.is_empty() {
                row.1 += 1;
                found += usize::from(counts);
            }
            for event in failures {
                if event["certainty"] == "proven" {
                    let cause = number(event["cause"].as_str().unwrap());
                    if cause != label.cause && !label.alternatives.iter().any(|other| other == cause) {
                        wrong.push(told(&format!("proven {}", event["cause"])));
                    }
                }
            }
        } else {
            let allowed = label.alternatives.iter().any(|word| word != "completed" && word != "incomplete");
            for event in here.iter().filter(|_| !allowed) {
                let id = (label.file.clone(), event["id"].to_string());
                if blames_network(event) {
                    blamed.insert(id.clone());
                }
                sound.insert(id);
            }
            if failures.is_empty() || allowed {
                row.1 += 1;
            } else {
                wrong.push(told("a false failure"));
            }
        }
    }
    println!("{:<12} {:<6} {:>5} {:>11}", "outcome", "label", "rows", "as labelled");
    for ((outcome, confidence), (rows, agreed)) in &table {
        println!("{outcome:<12} {confidence:<6} {rows:>5} {agreed:>11}");
    }
    let rate = at_most_in_a_million(blamed.len(), sound.len());
    let (blamed, sound) = (blamed.len(), sound.len());
    println!(
        "of {sound} sound attempts {blamed} are laid to a firewall or a translator, as proven or inferred: at most {rate:.0} in a million"
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(blamed, 0, "the network is blamed for what did not fail");
    assert!(found * 10 >= sure * 9, "{found} of {sure} failures labelled with confidence were found");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the limit is on a child's time")]
fn hostile_and_damaged_captures_end_soon_and_without_a_panic() {
    let Some(folder) = folder() else { return };
    let mut files: Vec<_> =
        std::fs::read_dir(folder.join("malformed")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 100);
    for file in files {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tlswhy"))
            .args(["read", "--json", "--no-progress"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > Duration::from_secs(20) {
                child.kill().unwrap();
                panic!("{} takes over 20 s", file.display());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
        assert!(!said.contains("panicked"), "{}: {said}", file.display());
        match status.code() {
            Some(0) => {}
            Some(2) => assert!(said.starts_with("tlswhy: "), "{}: {said}", file.display()),
            code => panic!("{}: exit {code:?} {said}", file.display()),
        }
    }
}

/// What OpenSSL reads of a list: how many entries.
fn entries_by_openssl(file: &Path) -> Option<usize> {
    let form = if std::fs::read(file).ok()?.starts_with(b"-----") { "PEM" } else { "DER" };
    let output = Command::new("openssl")
        .args(["crl", "-noout", "-text", "-inform", form, "-in"])
        .arg(file)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output
        .status
        .success()
        .then(|| text.lines().filter(|line| line.trim().starts_with("Serial Number:")).count())
}

#[test]
fn lists_have_the_entries_that_openssl_finds() {
    let Some(folder) = folder() else { return };
    let (mut same, mut differ) = (0, Vec::new());
    for part in ["certs/pkits/ca", "certs/openssl", "certs/pyca-custom"] {
        let Ok(entries) = std::fs::read_dir(folder.join(part)) else { continue };
        for file in entries.map(|entry| entry.unwrap().path()) {
            if !file.to_string_lossy().to_lowercase().contains("crl") {
                continue;
            }
            // One takes a certificate off a hold, which is no entry here; the other has a time that is none.
            if file.ends_with("deltaCRLCA1deltaCRL.crl") || file.ends_with("crl_invalid_time.der") {
                continue;
            }
            let bytes = std::fs::read(&file).unwrap();
            let ours = tlswhy::tls::crl::Crl::read(&bytes, 100_000).map(|crl| crl.len());
            if ours == entries_by_openssl(&file) { same += 1 } else { differ.push((file, ours)) }
        }
    }
    println!("{same} lists read alike; otherwise: {differ:?}");
    assert!(differ.is_empty() && same > 0, "{differ:?}");
}

#[test]
fn answers_say_what_openssl_reads_in_them() {
    use tlswhy::tls::ocsp::{Outcome, Response, Status, read_request};
    let Some(folder) = folder() else { return };
    let Ok(files) = std::fs::read_dir(folder.join("certs/pyca-ocsp")) else { return };
    let mut read = 0;
    for file in files.map(|entry| entry.unwrap().path()) {
        let request = file.to_string_lossy().contains("req");
        let option = if request { "-reqin" } else { "-respin" };
        let Ok(output) =
            Command::new("openssl").args(["ocsp", "-noverify", "-text", option]).arg(&file).output()
        else {
            return;
        };
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let bytes = std::fs::read(&file).unwrap();
        if request {
            let theirs = text.lines().filter(|line| line.trim().starts_with("Serial Number:")).count();
            assert_eq!(read_request(&bytes).map(|ids| ids.len()), Some(theirs), "{}", file.display());
        } else {
            let ours = Response::read(&bytes).unwrap();
            let words: Vec<_> = ours
                .answers
                .iter()
                .map(|answer| match answer.status {
                    Status::Good => "good",
                    Status::Revoked { .. } => "revoked",
                    Status::Unknown => "unknown",
                })
                .collect();
            let theirs: Vec<_> =
                text.lines().filter_map(|line| line.trim().strip_prefix("Cert Status: ")).collect();
            assert_eq!(words, theirs, "{}", file.display());
            assert_eq!(ours.outcome == Outcome::Unauthorized, text.contains("unauthorized (6)"));
        }
        read += 1;
    }
    println!("{read} requests and answers read alike");
    assert!(read > 0);
}
