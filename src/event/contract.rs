//! Tests that every kind of event obeys `schema.json`, by a small validator of the keywords which that file uses.

use super::{Inventory, JSON_SCHEMA, Running, Stats, certificate_event, fixture, handshake, running, stats};
use crate::base::{PacketNo, Side};
use crate::cause::Cause;
use crate::evidence::around::{Episode, KnownChains};
use crate::evidence::decryption::{HadKeys, Held};
use crate::evidence::talk::quic::Closed;
use crate::evidence::{Doubt, Ending, Protocol, Proxied, QuicFacts, Transport, fixture as evidence_fixture};
use crate::tls::codes::{AlertDescription, HandshakeType};
use crate::tls::quic::QuicVersion;
use serde_json::{Value, json};

/// The keywords that say something about validity here; another one in the schema fails the test.
const CHECKED: [&str; 13] = [
    "$ref",
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minItems",
    "oneOf",
    "anyOf",
    "minimum",
    "maximum",
];
/// Keywords that are checked elsewhere or say nothing.
const OTHERS: [&str; 7] = ["$schema", "$id", "$defs", "title", "description", "format", "pattern"];

fn root() -> Value {
    serde_json::from_str(JSON_SCHEMA).unwrap()
}

fn check(value: &Value, schema: &Value, path: &str) -> Result<(), String> {
    let root = root();
    for (keyword, rule) in schema.as_object().ok_or("no schema")? {
        let fits = match keyword.as_str() {
            "$ref" => {
                let pointer = rule.as_str().unwrap().trim_start_matches('#');
                check(value, root.pointer(pointer).ok_or(format!("no {pointer}"))?, path)?;
                true
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|t| is(value, t)),
                one => is(value, one),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "required" => {
                let have = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                if let Some(missing) = rule.as_array().unwrap().iter().find(|name| !have(name)) {
                    return Err(format!("{path} lacks {missing}"));
                }
                true
            }
            "properties" => {
                for (name, of) in rule.as_object().unwrap() {
                    if let Some(member) = value.get(name) {
                        check(member, of, &format!("{path}.{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    if rule.is_object() && schema["properties"].get(name).is_none() {
                        check(member, rule, &format!("{path}.{name}"))?;
                    }
                }
                true
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(item, rule, &format!("{path}[{n}]"))?;
                }
                true
            }
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "oneOf" => count(value, rule, path) == 1,
            "anyOf" => count(value, rule, path) >= 1,
            "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().unwrap()),
            other => OTHERS.contains(&other),
        };
        if !fits {
            return Err(format!("{path}: {value} breaks {keyword} {rule}"));
        }
    }
    Ok(())
}

fn count(value: &Value, rules: &Value, path: &str) -> usize {
    rules.as_array().unwrap().iter().filter(|rule| check(value, rule, path).is_ok()).count()
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

fn handshakes() -> Vec<Value> {
    let hygiene = [Some(true), Some(false), None].map(fixture::no_ski);
    let mut client_refused = fixture::expired();
    client_refused.client_chain = client_refused.chain.clone();
    client_refused.lost.gap_bytes = 7;
    client_refused.prelude = Some(Protocol::Smtp);
    let to = Proxied { host: "mail.example.com".into(), port: 25 };
    client_refused.proxied = Some(evidence_fixture::seen(to, 4, 20).into());
    client_refused.around.episode = Some(Episode { id: 7, attempt: 2, first: client_refused.started });
    let mut opened = fixture::expired();
    opened.decryption.keys = HadKeys::Found;
    opened.decryption.opened = 3;
    opened.decryption.note(Side::Server, PacketNo(6), Held::Message(HandshakeType::CERTIFICATE));
    opened.decryption.note(Side::Client, PacketNo(8), Held::Alert(AlertDescription::CERTIFICATE_EXPIRED));
    let mut refused_in_clear = fixture::syn_dropped();
    refused_in_clear.ending.value = Ending::Refused { said: "454 TLS not available".to_owned() };
    let mut reset = evidence_fixture::resent(evidence_fixture::greeted(), 2);
    reset.tcp.sacked.server = Some(evidence_fixture::seen((1_448, 1_750), 6, 50));
    reset.tcp.fin.client = Some(evidence_fixture::seen((), 12, 300));
    let doubts = [Doubt::SenderWentOn, Doubt::NewData];
    let reset = evidence_fixture::reset(evidence_fixture::icmp(reset, false, 3, 1), Side::Server, &doubts);
    let mut changed = fixture::sealed_rejection();
    changed.around.shown_before = None;
    changed.around.known_chains =
        Some(Box::new(KnownChains { changed: Some(PacketNo(3)), ..KnownChains::default() }));
    let mut over_quic = evidence_fixture::greeted();
    over_quic.ending.value = Ending::ConnectionClose { from: Side::Server, code: 2 };
    over_quic.transport = Transport::Quic;
    let versions = vec![QuicVersion::V1, QuicVersion::V2];
    over_quic.quic = Some(Box::new(QuicFacts {
        version: QuicVersion::V2,
        first_version: Some(QuicVersion(0x1a2a_3a4a)),
        negotiation: Some(evidence_fixture::seen(versions, 2, 20)),
        close: Some(evidence_fixture::seen(
            Closed { from: Side::Server, code: 2, reason: "busy".to_owned() },
            5,
            60,
        )),
        unopened: 1,
        ..QuicFacts::default()
    }));
    let mut hidden = fixture::completed();
    let hello = &mut hidden.hello.as_mut().unwrap().value;
    (hello.ech, hello.ech_key) = (true, Some(7));
    let stories = [
        (fixture::sealed_rejection(), None),
        (changed, None),
        (hidden, None),
        (reset, None),
        (over_quic, None),
        (evidence_fixture::syn(3), None),
        (fixture::crossed(), Some(fixture::crossed_diagnosis())),
        (fixture::completed(), None),
        (fixture::expired(), Some(fixture::expired_diagnosis())),
        (fixture::syn_dropped(), Some(fixture::syn_dropped_diagnosis())),
        (fixture::sealed_alert(), None),
        (fixture::nxdomain(), None),
        (client_refused, None),
        (refused_in_clear, None),
        (opened, None),
    ];
    stories
        .iter()
        .map(|(evidence, diagnosis)| {
            let mut out = Vec::new();
            handshake(evidence, diagnosis.as_ref(), &hygiene, "a.pcapng", &mut out);
            serde_json::from_slice(&out).unwrap()
        })
        .collect()
}

#[test]
fn every_handshake_obeys_the_schema() {
    for event in handshakes() {
        check(&event, &root()["$defs"]["handshake"], "handshake").unwrap();
        check(&event, &root(), "event").unwrap();
    }
}

#[test]
fn every_exchange_about_revocation_obeys_the_schema() {
    let known = root()["$defs"]["revocation"]["properties"].clone();
    for exchange in fixture::exchanges() {
        let waited_for = [super::Id(7)];
        let said = super::StatusKnown {
            subjects: &[Some("CN=www.example.com".to_owned())],
            signature: "good",
            waited_for: &waited_for,
            capture: "a.pcapng",
        };
        let mut out = Vec::new();
        super::revocation(&exchange, &said, &mut out);
        let event: Value = serde_json::from_slice(&out).unwrap();
        check(&event, &root()["$defs"]["revocation"], "revocation").unwrap();
        check(&event, &root(), "event").unwrap();
        for (name, _) in event.as_object().unwrap() {
            assert!(known.get(name).is_some(), "{name} is not in the schema");
        }
    }
}

#[test]
fn every_run_obeys_the_schema() {
    for run in [Stats::default(), fixture::stats()] {
        let mut out = Vec::new();
        stats(&run, &mut out);
        let event = serde_json::from_slice(&out).unwrap();
        check(&event, &root()["$defs"]["stats"], "stats").unwrap();
        check(&event, &root(), "event").unwrap();
    }
}

#[test]
fn the_statistics_of_a_running_program_obey_the_schema() {
    let known = &root()["$defs"]["stats"]["properties"];
    for now in [Running::default(), fixture::running()] {
        let mut out = Vec::new();
        running(&fixture::stats(), &now, &mut out);
        let event: Value = serde_json::from_slice(&out).unwrap();
        check(&event, &root()["$defs"]["stats"], "stats").unwrap();
        check(&event, &root(), "event").unwrap();
        for (name, value) in event.as_object().unwrap() {
            assert!(known.get(name).is_some(), "{name} is not in the schema");
            let item = value.get(0).map_or((value, &known[name]), |item| (item, &known[name]["items"]));
            for (inner, _) in item.0.as_object().into_iter().flatten() {
                let open = item.1["additionalProperties"].is_object();
                let described = item.1.get("properties").is_none_or(|of| of.get(inner).is_some());
                assert!(open || described, "{name}.{inner} is not in the schema");
            }
        }
    }
}

#[test]
fn every_field_written_is_in_the_schema() {
    let known = &root()["$defs"]["handshake"]["properties"];
    for event in handshakes() {
        for (name, value) in event.as_object().unwrap() {
            assert!(known.get(name).is_some(), "{name} is not in the schema");
            for (inner, _) in value.as_object().into_iter().flatten() {
                let described = known[name].get("properties").is_none_or(|of| of.get(inner).is_some());
                assert!(described, "{name}.{inner} is not in the schema");
            }
        }
    }
}

#[test]
fn every_certificate_of_an_inventory_obeys_the_schema() {
    let mut inventory = Inventory::default();
    inventory.add(&fixture::expired());
    let known = &root()["$defs"]["certificate_event"]["properties"];
    for item in inventory.by_expiry() {
        let mut out = Vec::new();
        certificate_event(item, item.last, &mut out);
        let event: Value = serde_json::from_slice(&out).unwrap();
        check(&event, &root(), "event").unwrap();
        for name in event.as_object().unwrap().keys() {
            assert!(known.get(name).is_some(), "{name} is not in the schema");
        }
    }
}

#[test]
fn a_broken_event_is_refused() {
    let good = handshakes().remove(7);
    for (field, bad) in [
        ("cause", json!("bad_luck")),
        ("outcome", json!(null)),
        ("proofs", json!([{"packets": [0], "says": "x"}])),
        ("proofs", json!([{"packets": [1]}])),
        ("client", json!(null)),
        ("kind", json!("stats")),
    ] {
        let mut event = good.clone();
        event[field] = bad;
        assert!(check(&event, &root(), "event").is_err(), "{field}");
    }
}

#[test]
fn the_schema_knows_every_cause_and_nothing_unchecked() {
    let mut causes: Vec<_> = Cause::ALL.iter().map(|cause| cause.word()).collect();
    let root = root();
    let mut listed: Vec<_> = root["$defs"]["cause"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    causes.sort_unstable();
    listed.sort_unstable();
    assert_eq!(causes, listed);
    fn keywords(schema: &Value, seen: &mut Vec<String>) {
        for (keyword, rule) in schema.as_object().into_iter().flatten() {
            seen.push(keyword.clone());
            match keyword.as_str() {
                "properties" | "$defs" => {
                    rule.as_object().unwrap().values().for_each(|inner| keywords(inner, seen));
                }
                "items" | "additionalProperties" => keywords(rule, seen),
                "oneOf" | "anyOf" => rule.as_array().unwrap().iter().for_each(|inner| keywords(inner, seen)),
                _ => {}
            }
        }
    }
    let mut seen = Vec::new();
    keywords(&root, &mut seen);
    for keyword in seen {
        assert!(CHECKED.contains(&&*keyword) || OTHERS.contains(&&*keyword), "{keyword}");
    }
}
