//! The Debian package: built of the program that the tests run, installed below a folder, run as its unit would, removed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::service::{Live, Namespace, commands};
use support::{root, tell};

/// A folder from which programs can be run, also by other users.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tlswhy-package-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where the package is installed.
    fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    /// The files below the root, relative to it, without what dpkg keeps for itself.
    fn files(&self) -> Vec<String> {
        let root = self.root();
        let files = support::files(&root).into_iter();
        let names = files.map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
        names.filter(|name| !name.starts_with("var/lib/dpkg/")).collect()
    }

    /// dpkg as if the root were the root of the system.
    fn dpkg(&self, args: &[&str]) {
        let output = Command::new("dpkg")
            .arg(format!("--root={}", self.root().display()))
            // The libraries are those of the system that runs the test.
            .args(["--force-script-chrootless", "--force-depends"])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "dpkg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Builds the package of the program under test.
fn build(place: &Place) -> PathBuf {
    let target = place.0.join("target");
    fs::create_dir_all(target.join("release")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tlswhy"), target.join("release/tlswhy")).unwrap();
    let output = Command::new("make")
        .args(["--no-print-directory", "package", "DEB=--fast", &format!("TARGET={}", target.display())])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packages = fs::read_dir(target.join("debian")).unwrap().map(|entry| entry.unwrap().path());
    packages.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb")).expect("a package")
}

/// What the unit starts, below the root; without capabilities but the unit's, as a user that is nobody.
fn as_the_unit(root: &Path) -> Vec<String> {
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/tlswhy.service")).unwrap();
    let setting =
        |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap();
    assert_eq!(setting("AmbientCapabilities"), "CAP_NET_RAW CAP_BPF");
    assert_eq!(setting("CapabilityBoundingSet"), "CAP_NET_RAW CAP_BPF");
    let only = "-all,+net_raw,+bpf";
    let words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"];
    let sets =
        [format!("--bounding-set={only}"), format!("--inh-caps={only}"), format!("--ambient-caps={only}")];
    let command = setting("ExecStart").split(' ').map(|word| match word.strip_prefix('/') {
        Some(path) => root.join(path).to_str().unwrap().to_owned(),
        None => word.to_owned(),
    });
    words.map(str::to_owned).into_iter().chain(sets).chain(command).collect()
}

#[test]
fn the_package_installs_runs_as_a_service_and_leaves_nothing() {
    if !commands(&["dpkg", "make", "strip", "setpriv", "ip"]) {
        return;
    }
    if Command::new("cargo").args(["deb", "--version"]).output().is_ok_and(|output| !output.status.success())
    {
        return tell("skipped: cargo-deb is not installed (make deb installs it)");
    }
    if Path::new("/usr/lib/systemd/system/tlswhy.service").exists() {
        return tell(
            "skipped: the service is installed on this system, and the package's scripts would stop it",
        );
    }
    let Some(namespace) = Namespace::new("package") else { return };
    let place = Place::new();
    let package = build(&place);

    let root = place.root();
    for folder in ["info", "updates", "triggers"] {
        fs::create_dir_all(root.join("var/lib/dpkg").join(folder)).unwrap();
    }
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    place.dpkg(&["--install", package.to_str().unwrap()]);
    let files = place.files();
    for name in [
        "etc/logrotate.d/tlswhy",
        "etc/tlswhy/tlswhy.toml",
        "usr/bin/tlswhy",
        "usr/lib/systemd/system/tlswhy.service",
        "usr/share/bash-completion/completions/tlswhy",
        "usr/share/doc/tlswhy/changelog.Debian.gz",
        "usr/share/doc/tlswhy/copyright",
        "usr/share/fish/vendor_completions.d/tlswhy.fish",
        "usr/share/man/man1/tlswhy.1.gz",
        "usr/share/zsh/vendor-completions/_tlswhy",
    ] {
        assert!(files.iter().any(|file| file == name), "{name} is not among {files:#?}");
    }
    for command in commands_of(&root.join("usr/bin/tlswhy")) {
        let page = format!("usr/share/man/man1/tlswhy-{command}.1.gz");
        assert!(files.contains(&page), "{page} is not among {files:#?}");
    }

    let config = root.join("etc/tlswhy/tlswhy.toml");
    let text = fs::read_to_string(&config).unwrap().replace("\"eth0\"", "\"lo\"");
    let text = text.replace("#sibling = \"10 s\"", "sibling = \"100 ms\"");
    // The folder that systemd makes for the service.
    let logs = root.join("var/log/tlswhy");
    fs::create_dir_all(&logs).unwrap();
    fs::set_permissions(&logs, fs::Permissions::from_mode(0o777)).unwrap();
    let text = text.replace("/var/log/tlswhy", logs.to_str().unwrap());
    fs::write(&config, &text).unwrap();
    let mut live = Live::run(&namespace, as_the_unit(&root), Some(Duration::from_secs(1)));
    live.wait_for("READY=1");
    live.wait_for("WATCHDOG=1");
    for (text, says) in [
        (format!("worker = 2\n{text}"), "did you mean workers?"),
        (format!("workers = 2\n{text}"), "a restart is needed to change workers"),
    ] {
        fs::write(&config, text).unwrap();
        live.reload();
        live.wait_for("RELOADING=1");
        live.wait_for("READY=1");
        live.wait_for_word(says);
    }
    namespace.refused_connection();
    let events = logs.join("events.jsonl");
    let has_event = || fs::read_to_string(&events).unwrap().contains("\"kind\":\"handshake\"");
    live.wait_until("an event", has_event);
    // As logrotate does: the file is moved away, and the service told.
    fs::rename(&events, logs.join("events.jsonl.1")).unwrap();
    live.reload();
    live.wait_for("READY=1");
    namespace.refused_connection();
    live.wait_until("an event in the new file", || events.exists() && has_event());
    for status in live.threads() {
        assert_eq!((status["CapEff"].as_str(), status["Seccomp"].as_str()), ("0000000000002000", "2"));
        assert_eq!(status["CapAmb"], "0000000000000000");
    }
    let ended = live.end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.told.iter().any(|told| told == "STOPPING=1"), "{:?}", ended.told);
    assert!(!ended.stderr.contains("not confined"), "{}", ended.stderr);

    // What the service would have written.
    for folder in ["var/log/private/tlswhy", "var/lib/private/tlswhy"] {
        fs::create_dir_all(root.join(folder)).unwrap();
        fs::write(root.join(folder).join("events.jsonl"), "{}").unwrap();
    }
    place.dpkg(&["--remove", "tlswhy"]);
    let left = place.files();
    assert!(
        left.iter().any(|file| file == "etc/tlswhy/tlswhy.toml"),
        "the changed configuration stays: {left:?}"
    );
    assert!(!left.iter().any(|file| file.starts_with("usr/")), "{left:?}");
    place.dpkg(&["--purge", "tlswhy"]);
    assert_eq!(place.files(), Vec::<String>::new());
}

/// The commands of the program, as its help lists them.
fn commands_of(program: &Path) -> Vec<String> {
    let help = Command::new(program).arg("--help").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let list =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<_> = list
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect();
    assert!(commands.len() >= 5, "{help}");
    commands
}
