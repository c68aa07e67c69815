//! The events depend on the packets alone: not on the number of threads, nor on how the capture is packed or given.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::io::Write as _;
use std::path::Path;

use serde_json::Value;
use support::{Scratch, captures, lab_roots, root, run, run_with_input};

fn read(extra: &[&str]) -> support::Ran {
    let mut args = vec!["read".to_owned(), "--json".to_owned()];
    args.extend(lab_roots());
    args.extend(extra.iter().map(|&word| word.to_owned()));
    run(&args)
}

#[test]
fn one_two_and_eight_workers_give_the_same_bytes() {
    let one = read(&["--workers", "1", "captures"]);
    assert!(one.events().len() > captures().len() / 2, "{}", one.stderr);
    for workers in ["2", "8"] {
        let many = read(&["--workers", workers, "captures"]);
        let differ = one.stdout.lines().zip(many.stdout.lines()).find(|(a, b)| a != b);
        if let Some((a, b)) = differ {
            panic!("{workers} workers differ from one:\n{a}\n{b}");
        }
        assert_eq!(one.stdout.lines().count(), many.stdout.lines().count(), "{workers} workers");
        assert_eq!(one.stderr, many.stderr, "{workers} workers");
    }
}

#[test]
fn a_filter_leaves_out_packets_but_no_time_whatever_the_workers() {
    // What it refuses at the end of a capture still tells how long the others were silent.
    let one = read(&["--workers", "1", "-f", "tcp port 443", "captures"]);
    assert!(one.events().iter().any(|event| event["ending"]["what"] == "silence"));
    let many = read(&["--workers", "3", "-f", "tcp port 443", "captures"]);
    let differ = one.stdout.lines().zip(many.stdout.lines()).find(|(a, b)| a != b);
    assert_eq!(differ, None);
}

#[test]
fn every_capture_is_read() {
    let ran = read(&["captures"]);
    let stats = ran.events().pop().unwrap();
    let mut names: Vec<_> =
        stats["files"].as_array().unwrap().iter().map(|file| file["name"].clone()).collect();
    let mut expected: Vec<_> = captures().iter().map(|path| Value::from(path.to_str().unwrap())).collect();
    names.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
    assert_eq!(names, expected);
}

/// Events without the name of the capture.
fn nameless(ran: &support::Ran) -> Vec<Value> {
    let mut handshakes = ran.handshakes();
    for event in &mut handshakes {
        event.as_object_mut().unwrap().remove("capture");
    }
    handshakes
}

#[test]
fn a_file_packed_or_on_standard_input_gives_the_same_events() {
    let scratch = Scratch::new("shards");
    let samples = [
        "captures/expired_cert/curl-tls12.pcap",
        "captures/none/plain-https-tls12.pcap",
        "captures/firewall/sni-reset-inside.pcap",
        "captures/odd/starttls-smtp-name-mismatch.pcap",
    ];
    let mut seen = 0;
    for sample in samples.into_iter().filter(|sample| root().join(sample).is_file()) {
        seen += 1;
        let bytes = std::fs::read(root().join(sample)).unwrap();
        let plain = nameless(&read(&[sample]));
        assert!(!plain.is_empty(), "{sample}");

        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        let name = format!("{}.gz", Path::new(sample).file_name().unwrap().to_str().unwrap());
        let packed = scratch.write(&name, &encoder.finish().unwrap());
        assert_eq!(nameless(&read(&[packed.to_str().unwrap()])), plain, "{sample} in gzip");

        let mut args = vec!["read".to_owned(), "--json".to_owned()];
        args.extend(lab_roots());
        args.push("-".to_owned());
        assert_eq!(nameless(&run_with_input(&args, &bytes)), plain, "{sample} on standard input");
    }
    assert!(seen >= 3, "the samples are gone");
}
