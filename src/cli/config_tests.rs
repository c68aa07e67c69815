use std::ffi::OsString;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A file with this text, and a command line that names it.
struct Case {
    path: PathBuf,
    _folder: TempDir,
}

impl Case {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tlswhy.toml");
        std::fs::write(&path, text).unwrap();
        Self { path, _folder: folder }
    }

    fn argv(&self, more: &[&str]) -> Vec<OsString> {
        self.argv_of("live", more)
    }

    fn argv_of(&self, command: &str, more: &[&str]) -> Vec<OsString> {
        let path = self.path.to_str().unwrap();
        ["tlswhy", command, "--config", path].iter().chain(more).map(OsString::from).collect()
    }

    fn shared(&self, command: &str, more: &[&str]) -> Shared {
        match parse(&self.argv_of(command, more)) {
            Ok(mut args) => args.command.shared().cloned().unwrap(),
            Err(Unusable::Use(error)) => panic!("{error}"),
            Err(Unusable::File(why)) => panic!("{why}"),
        }
    }

    fn live(&self, more: &[&str]) -> LiveArgs {
        match parse(&self.argv(more)) {
            Ok(Args { command: Command::Live(args) }) => *args,
            Ok(_) => panic!("another command"),
            Err(Unusable::Use(error)) => panic!("{error}"),
            Err(Unusable::File(why)) => panic!("{why}"),
        }
    }
}

/// What is said of a text that is wrong.
fn wrong(text: &str) -> String {
    File::from_text("x.toml", text).unwrap_err()
}

#[test]
fn the_file_says_what_the_command_line_could() {
    let case = Case::new(
        "interface = ['eth0', 'eth1']\nworkers = 3\nports = [443, 8443]\nfilter = 'tcp'\npromiscuous = false\n\
         json = true\nconfine = 'require'\nreopen = true\n[limits]\nflows = 10_000\nstall = '2 min'\n\
         bytes_per_shard = '32 MiB'\n",
    );
    let live = case.live(&[]);
    assert_eq!(live.interfaces, ["eth0", "eth1"]);
    assert_eq!((live.shared.workers, live.shared.ports.as_slice()), (Some(3), &[443, 8443][..]));
    assert_eq!(live.shared.filter.as_deref(), Some("tcp"));
    assert!(live.no_promiscuous && live.json && !live.service.no_reopen);
    assert_eq!(live.service.confine, Confine::Require);
    let limits = &live.shared.limits;
    assert_eq!((limits.flows, limits.stall.0, limits.bytes_per_shard), (10_000, 120_000_000, 32 << 20));
    assert_eq!(limits.idle, Limits::default().idle);
}

#[test]
fn the_command_line_counts_more_than_the_file() {
    let case = Case::new("interface = 'eth0'\nworkers = 3\ntrust = ['system']\n");
    let live = case.live(&["-i", "lo", "--workers", "2"]);
    assert_eq!((live.interfaces.as_slice(), live.shared.workers), (&["lo".to_owned()][..], Some(2)));
    assert_eq!(live.shared.trust, ["system"]);
    let from = |key: &str| live.service.in_force.iter().find(|setting| setting.key == key).unwrap().from;
    assert_eq!(from("workers"), From::CommandLine);
    assert_eq!(from("trust"), From::File(3));
    assert_eq!(from("limits.flows"), From::Default);
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest() {
    let said = wrong("interface = 'eth0'\nworker = 2\n\n[limits]\nflow = 1\n");
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("x.toml:2: there is no key worker; did you mean workers? (the keys are "));
    assert!(lines[1].starts_with("x.toml:5: [limits] has no key flow; did you mean flows? (the keys are "));
    assert_eq!(lines.len(), 2);
    assert!(!wrong("zebra_crossing = 1").contains("did you mean"));
}

#[test]
fn a_bad_value_is_refused_with_what_is_allowed() {
    for (text, says) in [
        ("workers = 'many'", "x.toml:1: workers = \"many\": workers cannot be that: invalid digit"),
        ("workers = [1, 2]", "x.toml:1: workers = (array): workers takes one value ("),
        ("ports = [1, 70000]", "x.toml:1: ports = (array): ports cannot be that: 70000 is not in 0..=65535"),
        ("json = 'yes'", "x.toml:1: json = \"yes\": json takes true or false"),
        ("confine = 'some'", "x.toml:1: confine = \"some\": confine takes auto, require, off"),
        ("flows = 3", "x.toml:1: flows is a bound; it stands under [limits]"),
        ("limits = 3", "x.toml:1: limits is a table"),
        ("[limits]\nstall = 30", "x.toml:2: stall = 30: stall takes a time from 100 ms to 24 h"),
        ("[limits]\nflows = {}", "x.toml:2: flows = (table): flows takes a number from "),
        ("json = true\njson = true", "x.toml:2: duplicate key"),
        ("json = ", "x.toml:1: "),
    ] {
        let said = wrong(text);
        assert!(said.starts_with(says), "{text}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_file_without_an_interface_needs_one_on_the_command_line() {
    let case = Case::new("workers = 1\n");
    let Err(Unusable::File(said)) = parse(&case.argv(&[])) else { panic!("it was taken") };
    assert!(said.ends_with("names no interface (interface = [\"eth0\"], or -i eth0)"), "{said}");
    assert_eq!(case.live(&["-i", "lo"]).interfaces, ["lo"]);
}

#[test]
fn commands_that_read_captures_take_bounds_and_what_all_share() {
    let case = Case::new(
        "interface = 'eth0'\nworkers = 3\ntrust = 'system'\ncerts = 'c.pem'\nports = [443, 8443]\ncolor = 'never'\n\
         [limits]\nstall = '2 min'\n",
    );
    for (command, more) in [("read", &["x.pcap"][..]), ("show", &["1234", "x.pcap"]), ("certs", &["x.pcap"])]
    {
        let shared = case.shared(command, more);
        assert_eq!((shared.workers, shared.ports.as_slice()), (Some(3), &[443, 8443][..]), "{command}");
        assert_eq!(
            (shared.trust.as_slice(), shared.certs),
            (&["system".to_owned()][..], vec!["c.pem".into()])
        );
        assert_eq!(shared.limits.stall.0, 120_000_000, "{command}");
        let more: Vec<_> = more.iter().chain(&["--workers", "2", "--trust=mozilla"]).copied().collect();
        let shared = case.shared(command, &more);
        assert_eq!(
            (shared.workers, shared.trust.as_slice()),
            (Some(2), &["mozilla".to_owned()][..]),
            "{command}"
        );
    }
}

#[test]
fn what_is_the_service_s_alone_is_left_to_it() {
    let case = Case::new(
        "inside = 'lan0'\noutside = 'wan0'\nfilter = 'udp'\njson = true\nwrite = 'w.pcapng'\nexit_code = true\n",
    );
    let Ok(Args { command: Command::Read(read) }) = parse(&case.argv_of("read", &["x.pcap"])) else {
        panic!("it was not taken")
    };
    assert_eq!(read.shared.filter, None);
    assert!(read.sides.inside.is_empty() && !read.json && read.write.is_none() && !read.exit_code);
    assert_eq!(case.shared("read", &["x.pcap", "-f", "tcp"]).filter.as_deref(), Some("tcp"));
}

#[test]
fn a_bad_file_is_refused_with_the_same_words_by_all() {
    let case = Case::new("interface = 'eth0'\nrecent = 'lots'\nwokers = 1\n[limits]\nflow = 1\n");
    let says = |command: &str, more: &[&str]| match parse(&case.argv_of(command, more)) {
        Err(Unusable::File(why)) => why,
        _ => panic!("{command} took it"),
    };
    let live = says("live", &[]);
    assert_eq!(live.lines().count(), 3, "{live}");
    assert_eq!(says("read", &["x.pcap"]), live);
    assert_eq!(says("show", &["1234", "x.pcap"]), live);
    assert_eq!(says("certs", &["x.pcap"]), live);
}

#[test]
fn what_is_in_force_is_printed_as_a_file_that_says_the_same() {
    let case =
        Case::new("interface = ['eth0']\nfilter = 'host 192.0.2.1 or \"x\"'\n[limits]\nidle = '5 min'\n");
    let first = case.live(&["--no-promiscuous"]);
    let text = render(&first.service.in_force);
    assert!(text.contains("promiscuous = false") && text.contains("# command line"), "{text}");
    let again = Case::new(&text).live(&[]);
    let values = |args: &LiveArgs| {
        args.service
            .in_force
            .iter()
            .map(|setting| (setting.key.clone(), setting.values.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&first), values(&again));
}

#[test]
fn a_reload_names_what_changed_and_what_waits() {
    let case = Case::new("interface = 'eth0'\n");
    let old = case.live(&[]);
    assert!(reload_with(&case.argv(&[]), &old).unwrap().says.ends_with("nothing changed"));
    std::fs::write(&case.path, "interface = 'eth1'\nexit_code = true\n").unwrap();
    let new = reload_with(&case.argv(&[]), &old).unwrap();
    assert_eq!(
        new.says,
        "configuration taken over: changed: exit_code; a restart is needed to change interface"
    );
    assert!(new.args.exit_code);
}

#[test]
fn a_reload_of_a_bad_file_says_why() {
    let case = Case::new("interface = 'eth0'\n");
    let old = case.live(&[]);
    for (text, says) in [
        ("interface = 'eth0'\nfilter = 'port and'\n", "pcap-filter(7)"),
        ("interface = 'eth0'\ntrust = '/no-such.pem'\n", "/no-such.pem"),
        ("interfaces = 'eth0'\n", "did you mean interface?"),
    ] {
        std::fs::write(&case.path, text).unwrap();
        let Err(why) = reload_with(&case.argv(&[]), &old) else { panic!("taken: {text}") };
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn every_key_of_a_setting_that_changes_at_once_is_a_key() {
    let all = command();
    let keys: Vec<_> = options(all.find_subcommand("live").unwrap()).map(|(_, key)| key).collect();
    let bounds: Vec<_> = BOUNDS.iter().map(|bound| format!("limits.{}", bound.key)).collect();
    for key in AT_ONCE {
        assert!(keys.iter().chain(&bounds).any(|known| known == key), "{key}");
    }
}
