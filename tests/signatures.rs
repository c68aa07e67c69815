//! What real software signed in its handshakes verifies, and what it signed with damaged keys does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use support::attempts::attempts;
use support::{captures, tell};
use tlswhy::tls::codes::Version;
use tlswhy::tls::signature::Verdict;

#[test]
fn what_sound_keys_signed_verifies_and_nothing_else_does() {
    // Server and client; before TLS 1.2 and by SM2 in TLCP, each counted.
    let (mut servers, mut clients, mut old, mut tlcp) = (0, 0, 0, 0);
    for path in captures() {
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
    tell(&format!("{servers} servers, {clients} clients, {old} before TLS 1.2, {tlcp} of TLCP"));
    assert!(servers >= 1050 && clients >= 105 && old >= 5 && tlcp >= 5, "{servers} {clients} {old} {tlcp}");
}
