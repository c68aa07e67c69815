//! TLCP, SM2 in TLS 1.3 and encrypted hellos, from captures of real software to events.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use serde_json::{Value, json};
use support::{run, run_with_input};

/// Handshakes of the events, in order of their first packets.
fn handshakes(output: &str) -> Vec<Value> {
    let events = output.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut found: Vec<_> = events.filter(|event| event["kind"] == "handshake").collect();
    found.sort_by_key(|event| event["ts"].as_str().unwrap().to_owned());
    found
}

/// Handshakes of a capture, judged by the lab's roots.
fn judged(name: &str) -> Vec<Value> {
    let path = format!("captures/{name}.pcap");
    handshakes(&run(&["read", "--json", "--trust", "captures/lab-root.pem", &path]).stdout)
}

/// Cause, reason, side and certainty.
fn verdict(event: &Value) -> [&str; 4] {
    ["cause", "reason", "side", "certainty"].map(|field| event[field].as_str().unwrap_or("-"))
}

#[test]
fn a_pair_of_certificates_is_one_holders_and_has_no_defect() {
    let events = judged("none/tlcp-intermediate-tongsuo");
    assert_eq!((&events[0]["transport"], &events[0]["outcome"]), (&json!("tlcp"), &json!("completed")));
    let subjects: Vec<_> =
        events[0]["certificates"].as_array().unwrap().iter().map(|cert| &cert["subject"]).collect();
    assert_eq!(subjects[..2], ["CN=www.example.test"; 2]);
    assert_eq!(events[0]["hygiene"], json!([]));
}

#[test]
fn an_expired_encryption_certificate_is_told_by_its_place() {
    let events = judged("expired_cert/tlcp-encryption-tongsuo");
    assert_eq!(verdict(&events[0]), ["expired_cert", "leaf_expired", "server", "proven"]);
    let says = events[0]["proofs"][0]["says"].as_str().unwrap();
    assert!(says.starts_with("the encryption certificate CN=www.example.test"), "{says}");
}

#[test]
fn a_session_of_tlcp_is_resumed_without_certificates() {
    let events = judged("none/tlcp-resumed-tongsuo");
    let outcomes: Vec<_> = events.iter().map(|event| event["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["completed", "resumed"]);
}

#[test]
fn tlcp_is_found_on_any_port() {
    let mut capture = std::fs::read("captures/expired_cert/tlcp-pair-tongsuo.pcap").unwrap();
    let mut at = 24;
    while at + 16 < capture.len() {
        let len = u32::from_le_bytes(capture[at + 8..at + 12].try_into().unwrap()) as usize;
        // Behind Ethernet and IPv4.
        for port in [at + 16 + 34, at + 16 + 36] {
            if capture[port..port + 2] == 443_u16.to_be_bytes() {
                capture[port..port + 2].copy_from_slice(&24_430_u16.to_be_bytes());
            }
        }
        at += 16 + len;
    }
    let events = handshakes(
        &run_with_input(&["read", "--json", "--trust", "captures/lab-root.pem", "-"], &capture).stdout,
    );
    assert_eq!(events[0]["server"]["port"], 24_430);
    assert_eq!(verdict(&events[0]), ["expired_cert", "leaf_expired", "server", "proven"]);
}

#[test]
fn a_server_of_tlcp_alone_is_known_by_its_alert_or_by_what_it_speaks_with_others() {
    let of = |name: &str| {
        let events = judged(&format!("protocol_version/{name}"));
        verdict(events.last().unwrap()).map(str::to_owned)
    };
    assert_eq!(of("gm-server-curl"), ["protocol_version", "gm_only", "server", "proven"]);
    assert_eq!(of("gm-server-mute-known-curl"), ["protocol_version", "gm_only", "server", "inferred"]);
    assert_eq!(of("sm2-tls13-server-known-curl"), ["protocol_version", "gm_only", "server", "inferred"]);
    assert_eq!(of("gm-server-mute-curl"), ["-"; 4], "nothing else tells of it");
    let dual = judged("none/tlcp-and-tls-tongsuo");
    assert!(dual.iter().all(|event| event["outcome"] == "completed"), "it speaks both");
}

#[test]
fn a_client_of_tlcp_alone_is_refused_in_as_many_ways_as_there_are_servers() {
    for (server, certainty) in [
        ("java", "proven"),
        ("gnutls-serv", "proven"),
        ("rustls", "inferred"),
        ("nginx", "inferred"),
        ("stunnel", "suspected"),
    ] {
        let events = judged(&format!("protocol_version/tlcp-client-{server}"));
        assert_eq!(verdict(&events[0]), ["protocol_version", "gm_only", "client", certainty], "{server}");
    }
}

#[test]
fn a_refused_key_shows_in_the_second_try_and_a_key_from_dns_names_the_host() {
    let events = judged("protocol_version/ech-old-key-retried-go");
    assert_eq!(verdict(&events[0]), ["protocol_version", "ech_rejected", "server", "inferred"]);
    assert_eq!(events[1]["outcome"], "completed");
    assert_eq!([0, 1].map(|n| events[n]["tls"]["ech"]["config_id"].as_u64()), [Some(7), Some(23)]);
    let told = judged("none/ech-taken-told-go");
    assert_eq!(told[0]["sni"], "shop.example.test");
    assert_eq!(
        told[0]["tls"]["ech"],
        json!({ "config_id": 7, "genuine": true, "name": "www.example.test", "refused": false })
    );
}

#[test]
fn grease_is_no_refusal() {
    for name in ["none/ech-grease-chromium-go", "none/ech-grease-rustls-go"] {
        for event in judged(name) {
            assert_eq!(
                (&event["outcome"], &event["tls"]["ech"]["genuine"]),
                (&json!("completed"), &json!(false)),
                "{name}"
            );
        }
    }
}
