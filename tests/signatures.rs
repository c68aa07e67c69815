//! What real software signed in its handshakes verifies, and what it signed with damaged keys does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::path::Path;
use std::sync::Arc;

use support::{captures_in, root};
use tlswhy::base::Limits;
use tlswhy::capture::file::FileReader;
use tlswhy::evidence::Evidence;
use tlswhy::pipeline::shard::Ports;
use tlswhy::pipeline::{Arrival, AsJudged, Judged, Settings, Source, analyse};
use tlswhy::tls::codes::Version;
use tlswhy::tls::signature::Verdict;
use tlswhy::tls::trust::Trust;

struct File(FileReader);

impl Source for File {
    fn next(&mut self) -> Option<Arrival<'_>> {
        self.0.next().map(Arrival::one)
    }
}

/// The attempts of a capture, their signatures verified whatever became of them.
fn attempts(path: &Path) -> Vec<Evidence> {
    let settings = Settings {
        workers: 1,
        limits: Arc::new(Limits::default()),
        ports: Arc::new(Ports::new(&Ports::DEFAULT)),
        trust: Arc::new(Trust::empty("none")),
        given: Arc::default(),
        keys: tlswhy::tls::keys::Keys::default(),
        in_order: true,
    };
    let mut all = Vec::new();
    let mut source = File(FileReader::open(path).unwrap());
    analyse(&mut source, &settings, &mut AsJudged, &mut |judged: Judged| {
        let mut evidence = *judged.evidence;
        evidence.verify_signatures();
        all.push(evidence);
    });
    all
}

#[test]
fn what_sound_keys_signed_verifies_and_nothing_else_does() {
    // Server and client; before TLS 1.2 and by SM2 in TLCP, each counted.
    let (mut servers, mut clients, mut old, mut tlcp) = (0, 0, 0, 0);
    for path in captures_in(&root().join("captures")) {
        let name = path.file_name().unwrap().to_string_lossy();
        let damaged =
            ["wrong-scalar", "wrong-exponent", "key-mismatch"].iter().any(|word| name.contains(word));
        for evidence in attempts(&path) {
            let expected = |by_client: bool| {
                if damaged && by_client == name.contains("client-wrong") {
                    Verdict::Bad
                } else {
                    Verdict::Good
                }
            };
            if let Some(verdict) = evidence.key_exchange_verdict {
                assert_eq!(verdict, expected(false), "{name}: the server");
                servers += 1;
                let before = |version| version < Version::TLS12 && version != Version::TLCP;
                old += u32::from(evidence.version().is_some_and(before));
            }
            if let Some(verdict) = evidence.certificate_verify_verdict {
                assert_eq!(verdict, expected(true), "{name}: the client");
                clients += 1;
                tlcp += u32::from(evidence.version() == Some(Version::TLCP));
            }
        }
    }
    assert!(servers >= 700 && clients >= 55 && old >= 2 && tlcp >= 3, "{servers} {clients} {old} {tlcp}");
}
