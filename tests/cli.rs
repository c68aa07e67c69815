//! The built program as a user meets it: what it prints where, and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Ran, Scratch, captures, files, lab_roots, root, run, stem};
use tlswhy::cause::Cause;
use unicode_width::UnicodeWidthStr as _;

const FAILED: &str = "captures/firewall/sni-reset-inside.pcap";
const MIXED: &str = "captures/firewall/sni-reset-beside-success.pcap";
const GOOD: &str = "captures/none/plain-https-tls12.pcap";
const CUT: &str = "captures/odd/truncated-file.pcap";

/// The program with the laboratories' roots.
fn read(args: &[&str]) -> Ran {
    let mut all = vec!["read".to_owned()];
    all.extend(lab_roots());
    all.extend(args.iter().map(|&word| word.to_owned()));
    run(&all)
}

fn failed(ran: &Ran) -> usize {
    ran.handshakes().iter().filter(|event| event["outcome"] == "failed").count()
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let ran = read(&["no-such.pcap"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no-such.pcap"), "{}", ran.stderr);
}

#[test]
fn a_file_that_is_no_capture_is_named() {
    let ran = read(&["Cargo.toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("Cargo.toml"), "{}", ran.stderr);
}

#[test]
fn one_unreadable_file_does_not_take_the_others_with_it() {
    let alone = read(&["--json", FAILED]);
    for bad in ["no-such.pcap", "Cargo.toml"] {
        let ran = read(&["--json", bad, FAILED]);
        assert_eq!(ran.code, 2, "{bad}");
        assert!(ran.stderr.contains(bad), "{}", ran.stderr);
        assert_eq!(ran.handshakes(), alone.handshakes(), "{bad}");
    }
}

#[test]
fn an_unknown_cause_is_answered_with_the_list() {
    let ran = run(&["explain", "gremlins"]);
    assert_eq!(ran.code, 2);
    for cause in Cause::ALL {
        assert!(ran.stderr.contains(cause.word()), "{}", ran.stderr);
    }
}

#[test]
fn a_bad_filter_is_answered_with_the_manual() {
    let ran = read(&["-f", "port and", FAILED]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("pcap-filter(7)"), "{}", ran.stderr);
    assert!(ran.stdout.is_empty());
}

#[test]
fn a_filter_leaves_only_what_it_matches() {
    assert_eq!(read(&["--json", "-f", "tcp port 443", FAILED]).handshakes().len(), 1);
    assert_eq!(read(&["--json", "-f", "udp", FAILED]).handshakes().len(), 0);
}

#[test]
fn the_exit_code_tells_of_failures_only_where_asked() {
    assert_eq!(read(&[FAILED]).code, 0);
    assert_eq!(read(&["--exit-code", FAILED]).code, 1);
    assert_eq!(read(&["--exit-code", GOOD]).code, 0);
}

#[test]
fn bad_use_ends_with_two() {
    for args in [&["read"][..], &["reed", "x"], &["read", "--workers", "many", GOOD], &["show", "zz", GOOD]] {
        let ran = run(args);
        assert_eq!(ran.code, 2, "{args:?}");
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_closed_pipe_is_quiet() {
    let folders: Vec<_> = Cause::ALL.into_iter().map(|cause| format!("captures/{}", cause.word())).collect();
    let output = Command::new("sh")
        .args(["-c", "{ \"$0\" read --json \"$@\"; echo $? >&2; } | head -n 1", env!("CARGO_BIN_EXE_tlswhy")])
        .args(folders)
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "0\n");
    assert_eq!(support::events(&String::from_utf8(output.stdout).unwrap()).len(), 1);
}

#[test]
fn a_truncated_file_is_analysed_as_far_as_it_goes() {
    let ran = read(&["--json", CUT]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains(CUT), "{}", ran.stderr);
    assert_eq!(ran.handshakes().len(), 1);
}

#[test]
fn json_prints_events_and_last_the_statistics() {
    let ran = read(&["--json", "captures"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.ends_with('\n'));
    let events = ran.events();
    let kinds: Vec<_> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "stats").count(), 1);
    assert_eq!(kinds.last(), Some(&"stats"));
    assert!(events.iter().all(|event| event["schema"] == "tlswhy/1"));
    let stats = events.last().unwrap();
    let counted = |kind: &str| kinds.iter().filter(|other| **other == kind).count();
    assert_eq!(stats["handshakes"].as_u64().unwrap() as usize, counted("handshake"));
    assert_eq!(stats["revocation"]["exchanges"].as_u64().unwrap() as usize, counted("revocation"));
    assert_eq!(counted("handshake") + counted("revocation") + 1, kinds.len());
    assert_eq!(stats["outcomes"]["failed"].as_u64().unwrap() as usize, failed(&ran));
}

/// What breaks a schema, as far as its words are known here.
fn breaks(schema: &Value, all: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(target) = schema["$ref"].as_str() {
        let found =
            all.pointer(target.trim_start_matches('#')).unwrap_or_else(|| panic!("{target} is not there"));
        wrong.extend(breaks(found, all, value, at));
    }
    for (word, least, most) in [("anyOf", 1, usize::MAX), ("oneOf", 1, 1)] {
        if let Some(choices) = schema[word].as_array() {
            let fit = choices.iter().filter(|choice| breaks(choice, all, value, at).is_empty()).count();
            if fit < least || fit > most {
                wrong.push(format!("{at}: fits {fit} of {word}"));
            }
        }
    }
    if schema.get("const").is_some_and(|constant| constant != value) {
        wrong.push(format!("{at}: {value} is not {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        wrong.push(format!("{at}: {value} is not among the words"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is = |word: &Value| word == kind || (word == "number" && kind == "integer");
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::Array(words) => words.iter().any(is),
        word => is(word),
    };
    if !fits {
        wrong.push(format!("{at}: {kind} is not {}", schema["type"]));
    }
    if let (Value::Object(fields), Some(items)) = (value, schema["properties"].as_object()) {
        for (name, inner) in items {
            if let Some(field) = fields.get(name) {
                wrong.extend(breaks(inner, all, field, &format!("{at}.{name}")));
            }
        }
        for (name, field) in fields.iter().filter(|(name, _)| !items.contains_key(*name)) {
            match schema.get("additionalProperties") {
                Some(inner) => wrong.extend(breaks(inner, all, field, &format!("{at}.{name}"))),
                // A schema lets others pass; an event of ours has no field that ours does not describe.
                None => wrong.push(format!("{at}.{name}: the schema does not know it")),
            }
        }
    }
    if let (Value::Object(fields), Some(names)) = (value, schema["required"].as_array()) {
        for name in names.iter().filter(|name| !fields.contains_key(name.as_str().unwrap())) {
            wrong.push(format!("{at}: {name} is missing"));
        }
    }
    if let (Value::Array(items), Some(inner)) = (value, schema.get("items")) {
        for (n, item) in items.iter().enumerate() {
            wrong.extend(breaks(inner, all, item, &format!("{at}[{n}]")));
        }
    }
    wrong
}

#[test]
fn every_event_obeys_the_schema() {
    let ran = run(&["schema"]);
    assert_eq!(ran.code, 0);
    let schema: Value = serde_json::from_str(&ran.stdout).unwrap();
    let mut wrong = Vec::new();
    for event in read(&["--json", "captures"]).events() {
        let kind = event["kind"].as_str().unwrap();
        let own = &schema["$defs"][kind];
        assert!(own["required"].as_array().is_some_and(|names| !names.is_empty()), "{kind} requires nothing");
        for line in breaks(own, &schema, &event, kind) {
            wrong.push(format!("{}: {line}", event["capture"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_schema_check_can_fail() {
    let schema: Value =
        serde_json::json!({"type": "object", "required": ["a"], "properties": {"b": {"enum": ["x"]}}});
    assert_eq!(breaks(&schema, &schema, &serde_json::json!({"b": "y", "c": 1}), "").len(), 3);
}

#[test]
fn explain_prints_the_page_of_each_cause() {
    for cause in Cause::ALL {
        let ran = run(&["explain", cause.word()]);
        assert_eq!(ran.code, 0);
        for heading in ["Symptoms", "On the wire", "Remedy", "References"] {
            assert!(
                ran.stdout.lines().any(|line| line == heading),
                "{}: {heading}\n{}",
                cause.word(),
                ran.stdout
            );
        }
    }
    let list = run(&["explain"]).stdout;
    assert!(Cause::ALL.into_iter().all(|cause| list.contains(cause.word())), "{list}");
}

#[test]
fn the_help_of_every_command_shows_an_example() {
    let help = run(&["--help"]);
    assert_eq!(help.code, 0);
    let commands: Vec<_> = help
        .stdout
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() >= 5, "{}", help.stdout);
    let mut without = Vec::new();
    for command in commands {
        let help = run(&[command, "--help"]);
        assert_eq!(help.code, 0, "{command}");
        if !help.stdout.contains("Example") || !help.stdout.contains(&format!("tlswhy {command}")) {
            without.push(command);
        }
    }
    assert!(without.is_empty(), "no example: {without:?}");
}

#[test]
fn text_for_people_fits_a_page_and_has_no_colours_where_there_is_no_terminal() {
    let mut pages = vec![("read".to_owned(), read(&["captures"]))];
    for cause in Cause::ALL {
        pages.push((cause.word().to_owned(), run(&["explain", cause.word()])));
    }
    for (name, ran) in pages {
        assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{name} has colours");
        for line in ran.stdout.lines() {
            assert!(line.width() <= 100, "{name}: {} columns: {line}", line.width());
        }
    }
    assert!(read(&["--color", "always", FAILED]).stdout.contains('\u{1b}'));
}

#[test]
fn show_prints_the_packets_of_a_failed_handshake() {
    for capture in [FAILED, MIXED] {
        let events = read(&["--json", capture]).handshakes();
        let event = events.iter().find(|event| event["outcome"] == "failed").unwrap();
        let id = event["id"].as_str().unwrap();
        for id in [id, &id[..8]] {
            let ran = run(&["show", id, capture]);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            for step in ["SYN", "ClientHello", "RST"] {
                assert!(ran.stdout.contains(step), "{capture}: no {step} in\n{}", ran.stdout);
            }
            assert!(ran.stdout.contains(event["id"].as_str().unwrap()), "{}", ran.stdout);
        }
    }
}

#[test]
fn show_says_so_where_no_id_begins_so() {
    let ran = run(&["show", "ffffffffffffffff", GOOD]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("ffffffffffffffff"), "{}", ran.stderr);
}

#[test]
fn written_packets_are_those_of_failed_handshakes() {
    let scratch = Scratch::new("write");
    let out = scratch.path("out.pcapng");
    let out = out.to_str().unwrap();
    let mut wrong = Vec::new();
    let every_fifth = captures().into_iter().step_by(5).map(|path| path.to_str().unwrap().to_owned());
    for capture in every_fifth.chain([FAILED, MIXED, GOOD].map(str::to_owned)) {
        let first = read(&["--json", "-w", out, &capture]);
        assert_eq!(first.code, 0, "{}", first.stderr);
        let again = read(&["--json", out]);
        let (before, after) = (failed(&first), failed(&again));
        // What shows how long nothing came, or what a server's certificates are, are packets of others; keys are left out.
        let waited = |event: &&Value| {
            // Nothing closes over datagrams but silence.
            let by_others = event["ending"]["what"] == "silence"
                || event["transport"] == "quic"
                || event["transport"] == "dtls"
                || event["sealed"]["chain"].is_object()
                || event["decryption"]["keys"] == "found";
            event["outcome"] == "failed" && by_others
        };
        let silent = first.handshakes().iter().filter(waited).count();
        let opened = first.handshakes().iter().any(|event| event["decryption"]["keys"] == "found");
        if !(before.saturating_sub(silent)..=before).contains(&after) {
            wrong.push(format!("{capture}: {before} failed, {after} when its packets are read again"));
        }
        let others: Vec<_> = again
            .handshakes()
            .iter()
            .filter(|event| {
                let may_be =
                    silent > 0 && (event["outcome"] == "incomplete" || event["outcome"] == "abandoned");
                event["outcome"] != "failed" && !may_be && !opened
            })
            .map(|event| event["outcome"].to_string())
            .collect();
        if !others.is_empty() {
            wrong.push(format!("{capture}: what was written also holds {}", others.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_dns_said_is_written_with_the_failures_that_rest_on_it() {
    /// That TLS was to follow shows in another client's handshake, which is no failure's.
    const BY_ANOTHER: &str = "captures/dns_inconsistency/private-address-loopback.pcap";
    let scratch = Scratch::new("write-names");
    let out = scratch.path("out.pcapng");
    let out = out.to_str().unwrap();
    let said = |ran: &Ran| -> Vec<_> {
        let failed = |event: &&Value| event["outcome"] == "failed";
        let words = |event: &Value| {
            ["cause", "reason", "certainty", "stage", "sni"].map(|field| event[field].to_string())
        };
        ran.handshakes().iter().filter(failed).map(words).collect()
    };
    let mut lookups = 0;
    for capture in files("captures/dns_inconsistency").iter().filter(|path| stem(path).is_some()) {
        let capture = capture.to_str().unwrap();
        let first = read(&["--json", "-w", out, capture]);
        let again = read(&["--json", out]);
        let [before, after] = [said(&first), said(&again)];
        assert_eq!(before == after, capture != BY_ANOTHER, "{capture}: {before:?}, then {after:?}");
        let outcomes = again.handshakes();
        let sound = outcomes.iter().filter(|event| event["outcome"] != "failed");
        assert_eq!(sound.count(), 0, "{capture}: more than failures is written");
        lookups += before.iter().filter(|[_, _, _, stage, _]| stage == "\"dns\"").count();
    }
    assert!(lookups >= 12, "{lookups}");
}

/// A client that waits eight seconds for its responder: beyond a bound of a tenth of a second nothing is known of its end.
const SLOW: &str = "captures/revocation/ocsp-slow-java-tls12.pcap";

#[test]
fn the_service_s_file_has_the_bounds_of_reading_captures_too() {
    let scratch = Scratch::new("bounds-of-reading");
    let text = b"interface = 'eth0'\nfilter = 'udp'\njson = true\n[limits]\nstall = '100 ms'\n";
    let path = scratch.write("t.toml", text);
    let config = ["--config", path.to_str().unwrap()];
    let outcome = |more: &[&str]| {
        let ran = read(&[&["--json", SLOW], more].concat());
        ran.handshakes().iter().map(|event| event["outcome"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!((outcome(&[]), outcome(&config)), (vec!["\"failed\"".into()], vec!["\"incomplete\"".into()]));
    let id = read(&["--json", SLOW]).handshakes()[0]["id"].as_str().unwrap().to_owned();
    let shown = run(&[&["show", &id, SLOW], &config[..]].concat());
    assert!(shown.stdout.contains("nothing came for 100.0 ms"), "{}", shown.stdout);
    let served = |more: &[&str]| {
        let ran = run(&[&["certs", "--format", "json", SLOW], more].concat());
        let first: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
        first["failed"].to_string()
    };
    assert_eq!((served(&[]), served(&config)), ("1".into(), "0".into()));
}

#[test]
fn a_configuration_that_cannot_be_used_stops_the_reading() {
    let scratch = Scratch::new("unusable");
    let path = scratch.write("t.toml", b"wokers = 2\n");
    for config in [path.to_str().unwrap(), "no-such.toml"] {
        let ran = read(&["--config", config, SLOW]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        assert!(ran.stderr.contains(config), "{}", ran.stderr);
    }
}
