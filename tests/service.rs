//! `tlswhy live` as a service: its configuration, what it tells the manager, how it is confined and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use support::service::{Live, Namespace, commands};
use support::{Scratch, root, run, tell};

const EXAMPLE: &str = "deploy/tlswhy.toml";
const UNIT: &str = "deploy/tlswhy.service";

/// The settings that `--check` prints: key, then value and origin.
fn in_force(config: &str) -> BTreeMap<String, String> {
    let ran = run(&["live", "--config", config, "--check"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut table = "";
    let mut settings = BTreeMap::new();
    for line in ran.stdout.lines().filter(|line| !line.is_empty() && !line.starts_with("# line")) {
        if line == "[limits]" {
            table = "limits.";
        } else if let Some(key) = line.strip_prefix("# ").and_then(|line| line.strip_suffix(" is not set")) {
            settings.insert(format!("{table}{key}"), String::new());
        } else if let Some((key, value)) = line.split_once(" = ") {
            let value = value.split("  # ").next().unwrap().trim_end_matches(" # default").trim_end();
            settings.insert(format!("{table}{key}"), value.to_owned());
        }
    }
    settings
}

/// The example with its commented settings in force.
fn uncommented() -> String {
    let is_setting =
        |line: &str| line.starts_with('#') && line.chars().nth(1).is_some_and(char::is_alphabetic);
    let lines = fs::read_to_string(root().join(EXAMPLE)).unwrap();
    lines.lines().map(|line| format!("{}\n", if is_setting(line) { &line[1..] } else { line })).collect()
}

#[test]
fn the_example_is_accepted_as_it_is() {
    let settings = in_force(EXAMPLE);
    assert_eq!(settings["interface"], "[\"eth0\"]");
    assert_eq!(settings["limits.stall"], "\"1 min\"");
}

#[test]
fn the_example_shows_every_key_with_its_default() {
    let scratch = Scratch::new("example");
    let plain = in_force(EXAMPLE);
    let text = uncommented();
    let shown = in_force(scratch.write("shown.toml", text.as_bytes()).to_str().unwrap());
    let mut table = String::new();
    let mut keys = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = format!("{name}.");
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.push(format!("{table}{key}"));
        }
    }
    keys.sort();
    assert_eq!(
        keys,
        plain.keys().cloned().collect::<Vec<_>>(),
        "the keys of the example are those of the program"
    );
    for (key, default) in &plain {
        if default.is_empty() {
            assert!(!shown[key].is_empty(), "{key} has no default; the example gives one");
        } else {
            assert_eq!(&shown[key], default, "{key}: the example and the program differ in its default");
        }
    }
}

#[test]
fn a_bad_file_is_refused_line_by_line() {
    let scratch = Scratch::new("bad");
    let path = scratch.write("bad.toml", b"interface = 'lo'\nwokers = 2\n[limits]\nstall = 'soon'\n");
    let ran = run(&["live", "--config", path.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr.contains("bad.toml:2: there is no key wokers; did you mean workers?"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("bad.toml:4: stall = \"soon\": stall takes a time from"), "{}", ran.stderr);
}

#[test]
fn the_unit_is_understood_and_leaves_little_exposed() {
    if !commands(&["systemd-analyze"]) {
        return;
    }
    let scratch = Scratch::new("unit");
    // The program is looked for where the unit says.
    let text = fs::read_to_string(root().join(UNIT)).unwrap();
    let unit = scratch
        .write("tlswhy.service", text.replace("/usr/bin/tlswhy", env!("CARGO_BIN_EXE_tlswhy")).as_bytes());
    let unit = unit.to_str().unwrap();
    for args in [
        &["verify", "--man=no", unit][..],
        &["security", "--offline=yes", "--threshold=20", "--no-pager", unit],
    ] {
        let output = Command::new("systemd-analyze").args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let all = String::from_utf8_lossy(&output.stdout);
        if args[0] == "security" && said.contains("unrecognized option") {
            tell("skipped: this systemd rates no units offline");
            continue;
        }
        assert!(output.status.success(), "{args:?}\n{said}{all}");
        assert!(!said.contains("tlswhy.service:"), "{said}");
    }
}

#[test]
fn every_thread_is_confined() {
    let Some(namespace) = Namespace::new("confined") else { return };
    let scratch = Scratch::new("confined");
    let config = scratch.write("t.toml", b"interface = 'lo'\nworkers = 2\nconfine = 'require'\n");
    let mut live = Live::start(&namespace, &["--config", config.to_str().unwrap()]);
    live.wait_for("READY=1");
    live.wait_until("threads", || live.threads().len() >= 4);
    let threads = live.threads();
    for status in threads {
        for (name, value) in [
            ("Uid", "65534\t65534\t65534\t65534"),
            ("Groups", ""),
            ("CapInh", "0000000000000000"),
            ("CapPrm", "0000000000002000"),
            ("CapEff", "0000000000002000"),
            ("CapBnd", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
        ] {
            assert_eq!(status[name].trim(), value, "{name} of {status:?}");
        }
    }
    let ended = live.end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("confined: user nobody, capabilities net_raw, no new privileges, Landlock ABI "),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_confined_program_judges_as_before() {
    let Some(namespace) = Namespace::new("judges") else { return };
    let scratch = Scratch::new("judges");
    // The example's own bound holds a failure back for longer than a test should wait.
    let config = scratch.write("t.toml", b"interface = 'lo'\n[limits]\nsibling = '100 ms'\n");
    let mut live = Live::start(&namespace, &["--config", config.to_str().unwrap()]);
    live.wait_for("READY=1");
    namespace.refused_connection();
    live.wait_for_event("handshake");
    let ended = live.end();
    let events = support::events(&ended.stdout);
    assert_eq!(events[0]["outcome"], "failed", "{}", ended.stdout);
    assert_eq!(events.last().unwrap()["kind"], "stats");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn the_manager_hears_of_each_state() {
    let Some(namespace) = Namespace::new("manager") else { return };
    let scratch = Scratch::new("manager");
    let config = scratch.write("t.toml", b"interface = 'lo'\n");
    let mut live = Live::watched(&namespace, &["--config", config.to_str().unwrap()]);
    assert!(live.wait_for("READY=1").contains("STATUS=listening on lo"));
    live.wait_for("WATCHDOG=1");
    live.wait_for("WATCHDOG=1");
    live.reload();
    live.wait_for("RELOADING=1");
    live.wait_for("READY=1");
    let ended = live.end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.told.iter().any(|told| told == "STOPPING=1"), "{:?}", ended.told);
}

#[test]
fn a_bad_configuration_leaves_the_old_one_running() {
    let Some(namespace) = Namespace::new("reload") else { return };
    let scratch = Scratch::new("reload");
    let limits = "[limits]\nsibling = '100 ms'\n";
    let config = scratch.write("t.toml", format!("interface = 'lo'\n{limits}").as_bytes());
    let mut live = Live::start(&namespace, &["--config", config.to_str().unwrap()]);
    live.wait_for("READY=1");
    for (text, says) in [
        ("worker = 2\n", "the old one stays in force: "),
        ("workers = 2\n", "a restart is needed to change workers"),
    ] {
        // As an editor does: a new file in the place of the old.
        let new = scratch.write("t.toml.new", format!("interface = 'lo'\n{text}{limits}").as_bytes());
        fs::rename(new, &config).unwrap();
        live.reload();
        live.wait_for("READY=1");
        live.wait_for_word(says);
    }
    namespace.refused_connection();
    live.wait_for_event("handshake");
    let ended = live.end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("t.toml:2: there is no key worker; did you mean workers?"),
        "{}",
        ended.stderr
    );
}

/// The program as root without the right to become anybody, as in a container.
fn cannot_leave_root(namespace: &Namespace, how: &str) -> Live {
    let only = "-all,+net_raw";
    let container = ["setpriv".to_owned(), format!("--bounding-set={only}"), format!("--inh-caps={only}")];
    let live = [env!("CARGO_BIN_EXE_tlswhy"), "live", "-i", "lo", "--confine", how].map(str::to_owned);
    Live::run(namespace, container.into_iter().chain(live), None)
}

#[test]
fn what_cannot_be_confined_is_told_or_ends_the_program_as_asked() {
    if !commands(&["setpriv"]) {
        return;
    }
    let Some(namespace) = Namespace::new("container") else { return };
    let mut live = cannot_leave_root(&namespace, "auto");
    live.wait_for("READY=1");
    let ended = live.end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("confined: user root, capabilities net_raw, "), "{}", ended.stderr);
    assert!(ended.stderr.contains("not confined: the user (CAP_SETUID and CAP_SETGID"), "{}", ended.stderr);
    let ended = cannot_leave_root(&namespace, "require").ended();
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("cannot confine the user (CAP_SETUID"), "{}", ended.stderr);
}

#[test]
fn a_user_is_taken_at_the_word() {
    let Some(namespace) = Namespace::new("user") else { return };
    let ended = Live::start(&namespace, &["-i", "lo", "--user", "no-such-user"]).ended();
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("cannot become user no-such-user: this system has none"),
        "{}",
        ended.stderr
    );
    let ended = Live::start(&namespace, &["-i", "lo", "--user", "daemon", "--confine", "off"]).ended();
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    let mut live = Live::start(&namespace, &["-i", "lo", "--user", "daemon", "--no-reopen"]);
    live.wait_for("READY=1");
    assert!(live.end().stderr.contains("confined: user daemon, capabilities none, "));
}

#[test]
fn files_that_the_new_user_cannot_open_are_told_at_once() {
    let Some(namespace) = Namespace::new("unread") else { return };
    let scratch = Scratch::new("unread");
    let config = scratch.write("t.toml", b"interface = 'lo'\n");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let output = scratch.path("events.jsonl");
    let args = ["--config", config.to_str().unwrap(), "-o", output.to_str().unwrap()];
    let mut live = Live::start(&namespace, &args);
    live.wait_for("READY=1");
    live.reload();
    live.wait_for("RELOADING=1");
    live.wait_for("READY=1");
    let ended = live.end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("events.jsonl cannot be made again by this user"), "{}", ended.stderr);
    assert!(ended.stderr.contains("t.toml cannot be read any more: a reload will leave"), "{}", ended.stderr);
    assert!(ended.stderr.contains("the old one stays in force: cannot read "), "{}", ended.stderr);
}
