//! What a confined program can still do, by trying: in a process of its own, which this test starts from itself.

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
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType};
use support::{Scratch, tell};
use tlswhy::confine::{Plan, User, confine, is_root};

/// Where the child finds its folders; what tells it that it is one.
const FOLDER: &str = "TLSWHY_CONFINE_FOLDER";
/// What is different with it.
const WITH: &str = "TLSWHY_CONFINE_WITH";

type Said = BTreeMap<String, String>;

/// Confines a process of its own and has it try; what came of each.
fn tried(with: &str) -> Said {
    let scratch = Scratch::new(&format!("confine-{with}"));
    for (folder, mode) in [("written", 0o777), ("read", 0o777), ("elsewhere", 0o777)] {
        fs::create_dir(scratch.path(folder)).unwrap();
        fs::set_permissions(scratch.path(folder), fs::Permissions::from_mode(mode)).unwrap();
        scratch.write(&format!("{folder}/there"), b"there");
        let open = fs::Permissions::from_mode(0o666);
        fs::set_permissions(scratch.path(&format!("{folder}/there")), open).unwrap();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_confinement", "--ignored", "--nocapture"])
        .env(FOLDER, scratch.path(""))
        .env(WITH, with)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    // The harness may have begun the first line.
    let lines = text.lines().filter_map(|line| line.split_once("> ")?.1.split_once(": "));
    lines.map(|(what, came)| (what.to_owned(), came.to_owned())).collect()
}

/// Not a test by itself: what the child does.
#[test]
#[ignore = "the other tests run it in a process of its own"]
fn in_confinement() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let with = std::env::var(WITH).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _waiting = TcpStream::connect(address).unwrap();
    let early = (with == "early").then(|| std::thread::spawn(std::thread::park));
    let plan = Plan {
        user: is_root().then(|| User::find("nobody").unwrap()),
        write: vec![folder.join("written")],
        read: vec![folder.join("read")],
        reopen: with != "for-good",
    };
    let confined = confine(&plan).unwrap();
    println!("> in force: {confined}");
    println!("> lacks: {}", confined.lacks.join(", "));
    said("accept", listener.accept());
    try_everything("", &folder, address);
    std::thread::spawn(move || try_everything("thread ", &folder, address)).join().unwrap();
    if let Some(thread) = early {
        thread.thread().unpark();
        thread.join().unwrap();
    }
}

fn said<T, E: Into<io::Error>>(what: &str, result: Result<T, E>) {
    let came = match result.map_err(Into::into) {
        Ok(_) => "done".to_owned(),
        Err(error) => nix::Error::from_raw(error.raw_os_error().unwrap_or(0)).to_string(),
    };
    println!("> {what}: {}", came.split(':').next().unwrap());
}

fn try_everything(who: &str, folder: &Path, address: std::net::SocketAddr) {
    let said_as = |what: &str, result: io::Result<()>| said(&format!("{who}{what}"), result);
    let path = |name: &str| folder.join(name);
    let open = |path: &Path| fs::File::open(path).map(drop);
    // Files.
    said_as("read the passwords", open(Path::new("/etc/shadow")));
    said_as("read what everybody may", open(Path::new("/etc/passwd")));
    said_as("read an input", open(&path("read/there")));
    said_as("list inputs", fs::read_dir(path("read")).map(drop));
    said_as("write an input", fs::write(path("read/there"), b"x"));
    said_as("read elsewhere", open(&path("elsewhere/there")));
    said_as("write elsewhere", fs::write(path("elsewhere/there"), b"x"));
    said_as("make elsewhere", fs::write(path("elsewhere/new"), b"x"));
    said_as("make an output", fs::write(path("written/new"), b"x"));
    said_as("rename an output", fs::rename(path("written/new"), path("written/old")));
    said_as("truncate an output", fs::write(path("written/old"), b""));
    said_as("remove an output", fs::remove_file(path("written/old")));
    said_as("run an output", fs::set_permissions(path("written/there"), fs::Permissions::from_mode(0o755)));
    said_as("link an output", std::os::unix::fs::symlink("/etc/shadow", path("written/link")));
    // Network.
    let socket = |family, kind, protocol| {
        nix::sys::socket::socket(family, kind, SockFlag::empty(), protocol).map(drop).map_err(io::Error::from)
    };
    said_as("connect", TcpStream::connect(address).map(drop));
    said_as("listen", TcpListener::bind("127.0.0.1:0").map(drop));
    said_as("udp", UdpSocket::bind("127.0.0.1:0").map(drop));
    said_as("packet socket", socket(AddressFamily::Packet, SockType::Raw, SockProtocol::EthAll));
    said_as("netfilter", socket(AddressFamily::Netlink, SockType::Raw, SockProtocol::NetlinkNetFilter));
    said_as("routes", socket(AddressFamily::Netlink, SockType::Raw, SockProtocol::NetlinkRoute));
    // Processes.
    let parent = nix::unistd::getppid();
    said_as("start a program", Command::new("/bin/true").spawn().map(drop));
    let program = c"/bin/true";
    said_as("become a program", nix::unistd::execv(program, &[program]).map(drop).map_err(Into::into));
    said_as("trace its parent", nix::sys::ptrace::attach(parent).map_err(Into::into));
    said_as("signal its parent", nix::sys::signal::kill(parent, None).map_err(Into::into));
    // Privileges.
    said_as("become root", nix::unistd::setuid(0.into()).map_err(Into::into));
    let none = None::<&str>;
    let flags = nix::mount::MsFlags::empty();
    let mounted = nix::mount::mount(Some("none"), &path("written"), Some("tmpfs"), flags, none);
    said_as("mount", mounted.map_err(Into::into));
    let user = nix::sched::CloneFlags::CLONE_NEWUSER;
    said_as("own namespace", nix::sched::unshare(user).map_err(Into::into));
}

/// What is not so, of claims on what came of each try, by the thread that confined itself and by one that it started.
fn differs(said: &Said, claims: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (what, expected) in claims {
        for who in ["", "thread "] {
            let came = said.get(&format!("{who}{what}")).map_or("not tried", String::as_str);
            if came != *expected {
                wrong.push(format!("{who}{what}: {came}, not {expected}"));
            }
        }
    }
    wrong
}

/// Whether this kernel has a layer; says so where it has not.
fn has(said: &Said, layer: &str) -> bool {
    let lacks = said["lacks"].contains(layer);
    if lacks {
        tell(&format!("skipped: this kernel lacks {}", said["lacks"]));
    }
    !lacks
}

#[test]
fn files_are_reached_in_the_folders_of_the_plan_only() {
    let said = tried("files");
    if !has(&said, "Landlock") {
        return;
    }
    let wrong = differs(
        &said,
        &[
            ("read the passwords", "EACCES"),
            ("read what everybody may", "EACCES"),
            ("read an input", "done"),
            ("list inputs", "done"),
            ("write an input", "EACCES"),
            ("read elsewhere", "EACCES"),
            ("write elsewhere", "EACCES"),
            ("make elsewhere", "EACCES"),
            ("make an output", "done"),
            ("rename an output", "done"),
            ("truncate an output", "done"),
            ("remove an output", "done"),
        ],
    );
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), said["in force"]);
}

#[test]
fn no_call_leads_out() {
    let said = tried("calls");
    if !has(&said, "system calls") {
        return;
    }
    let refused = [
        "run an output",
        "link an output",
        "connect",
        "listen",
        "udp",
        "netfilter",
        "start a program",
        "become a program",
        "trace its parent",
        "signal its parent",
        "become root",
        "mount",
        "own namespace",
    ];
    let mut wrong = differs(&said, &refused.map(|what| (what, "EPERM")));
    wrong.extend(differs(&said, &[("routes", "done")]));
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), said["in force"]);
    assert_eq!(said["accept"], "done", "a connection to a socket that was open before");
}

#[test]
fn an_interface_can_be_opened_again_unless_that_was_given_up() {
    let (kept, given_up) = (tried("kept"), tried("for-good"));
    assert_eq!(given_up["packet socket"], "EPERM");
    assert_eq!(given_up["routes"], if has(&given_up, "system calls") { "EPERM" } else { "done" });
    assert!(given_up["in force"].contains("capabilities none"), "{}", given_up["in force"]);
    if !is_root() {
        tell("skipped: only root has the capability to keep");
        return;
    }
    assert!(differs(&kept, &[("packet socket", "done")]).is_empty(), "{kept:?}");
    assert!(kept["in force"].starts_with("user nobody, capabilities net_raw, no new privileges"), "{kept:?}");
}

#[test]
fn threads_that_were_there_before_are_told() {
    // The harness itself has one: it waits while the test runs in a second.
    assert!(tried("alone")["lacks"].starts_with("threads that were started before (1)"));
    assert!(tried("early")["lacks"].starts_with("threads that were started before (2)"));
}

#[test]
fn an_unknown_user_is_named() {
    let said = User::find("no-such-user").unwrap_err().to_string();
    assert!(said.starts_with("cannot become user no-such-user: this system has none"), "{said}");
}
