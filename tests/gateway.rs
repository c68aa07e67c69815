//! `tlswhy live` on both sides of a gateway: a client's network, a router that translates and filters, a server's.
//!
//! Needs root, for network namespaces, and iptables, conntrack and openssl; else it says that it is skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use support::judged::stamp;
use support::service::{commands, done, must};
use support::{Scratch, root, tell};
use tlswhy::base::{Limits, Stamp};
use tlswhy::capture::file::FileReader;
use tlswhy::decode::{Decoder, Packet};

const CLIENT: &str = "192.168.10.2";
const NAT: &str = "203.0.113.1";
const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The server too; the gateway drops each SYN to its port 443.
const BARRED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
/// What the gateway drops hellos and resets connections for; as long as the name in the recorded hello.
const RECORDED: &str = "www.example.test";
const DROPPED: &str = "cut.example.test";
const RESET: &str = "rst.example.test";

/// Shorter waits than by default, so that silence is told soon.
const LIMITS: &str = "[limits]\nsyn_answer = '4 s'\nstall = '5 s'\nidle = '5 s'\nafter_end = '500 ms'\nlinger = '1 s'\n\
                      sibling = '2 s'\n";
const SYN_ANSWER: i64 = 4_000;
const STALL: i64 = 5_000;
const AFTER_END: i64 = 500;
const LINGER: i64 = 1_000;
const SIBLING: i64 = 2_000;
/// Milliseconds that looking and writing may take beside them: both sides tick ten times a second, and others run here.
const LOOKING: i64 = 2_500;

/// The tests share addresses of links, and each measures times.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn failures_on_a_live_gateway_are_told_by_both_sides_and_in_time() {
    let Some(gateway) = Gateway::build("both") else { return };
    let live = gateway.listen();
    let neighbours = gateway.neighbours();
    std::thread::sleep(Duration::from_millis(600));
    gateway.good_handshake();
    let dropped_syn = gateway.client(|| drop(connect(BARRED, 443, 3_300)));
    let dropped_hello = gateway.client(|| hello_and_wait(DROPPED, 4_500));
    let reset = gateway.client(|| hello_and_wait(RESET, 1_000));
    let lost = gateway.client(|| {
        let mut stream = connect(SERVER, 443, 1_000).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        let port = stream.local_addr().unwrap().port().to_string();
        Gateway::must_at("g", &["conntrack", "-D", "-p", "tcp", "--orig-port-src", &port]);
        stream.write_all(&hello(RECORDED)).unwrap();
        wait_for_end(&mut stream, 1_000);
    });
    for client in [dropped_syn, dropped_hello, reset, lost] {
        client.join().unwrap();
    }
    // What nothing answers is told while everything goes on.
    live.wait_for("four failures", |told| {
        told.iter().filter(|told| told.event["outcome"] == "failed").count() >= 4
    });
    drop(neighbours);
    let told = live.end();
    let handshakes: Vec<_> = told.iter().filter(|told| told.event["kind"] == "handshake").collect();
    for one in &handshakes {
        println!(
            "{} {} {} {} {} ms",
            one.event["outcome"], one.event["cause"], one.event["reason"], one.event["certainty"], one.after
        );
    }
    for Told { event, .. } in &handshakes {
        assert_eq!(event["capture"], "in0 + out0", "{event}");
        assert_eq!(event["vantages"]["client_side"], "inside", "{event}");
    }
    let only = |what: &str, fits: &dyn Fn(&Value) -> bool| {
        let mut these = handshakes.iter().filter(|told| fits(&told.event));
        let one = *these.next().unwrap_or_else(|| panic!("no {what}: {handshakes:?}"));
        assert!(these.next().is_none(), "{what} is told twice: {handshakes:?}");
        one
    };
    let of_name = |name: &'static str, outcome: &'static str| {
        move |event: &Value| event["sni"] == name && event["outcome"] == outcome
    };
    let good = only("good one", &of_name(RECORDED, "completed"));
    assert!(good.event["cause"].is_null() && good.event["reason"].is_null(), "{}", good.event);
    translated(good);
    assert!(good.after <= AFTER_END + LINGER + SIBLING + LOOKING, "{good:?}");

    let syn = only("dropped SYN", &|event| event["server"]["ip"] == BARRED.to_string());
    verdict(syn, "firewall", "syn_dropped");
    assert!(fates(syn).iter().all(|fate| fate == "dropped") && fates(syn).len() >= 2, "{}", syn.event);
    assert!(syn.after <= SYN_ANSWER + SIBLING + LOOKING, "{syn:?}");

    let hello = only("dropped hello", &of_name(DROPPED, "failed"));
    verdict(hello, "firewall", "dropped_after_hello");
    translated(hello);
    assert_eq!(fates(hello)[..3], ["passed", "passed", "passed"], "{}", hello.event);
    assert!(fates(hello).contains(&"dropped".to_owned()), "{}", hello.event);
    assert!(hello.after <= STALL + SIBLING + LOOKING, "{hello:?}");

    let reset = only("reset", &of_name(RESET, "failed"));
    verdict(reset, "firewall", "reset_after_hello");
    translated(reset);
    assert!(fates(reset).contains(&"made".to_owned()), "{}", reset.event);
    assert!(reset.after <= AFTER_END + SIBLING + LOOKING, "{reset:?}");

    let lost = only("lost mapping", &of_name(RECORDED, "failed"));
    verdict(lost, "nat_drop", "mapping_lost");
    assert!(lost.after <= AFTER_END + SIBLING + LOOKING, "{lost:?}");
}

#[test]
fn a_side_that_is_silent_or_down_holds_nothing_up() {
    let Some(gateway) = Gateway::build("silent") else { return };
    let live = gateway.listen();
    // Not a packet outside.
    gateway.client(|| drop(connect(BARRED, 443, 3_300))).join().unwrap();
    live.wait_for("the dropped SYN", |told| told.iter().any(|told| told.event["outcome"] == "failed"));
    let first = live.told().remove(0);
    assert_eq!(first.event["server"]["ip"], BARRED.to_string(), "{first:?}");
    assert!(first.after <= SYN_ANSWER + SIBLING + LOOKING, "{first:?}");
    // Nothing shows that the way out was open: no proof.
    assert_ne!(first.event["certainty"], "proven", "{first:?}");
    for side in ["out0", "in0"] {
        gateway.link(side, "down");
        live.wait_said(&format!("{side}: "));
        std::thread::sleep(Duration::from_millis(500));
        gateway.link(side, "up");
        live.wait_said(&format!("{side} is back"));
        gateway.good_handshake();
        let before = live.told().iter().filter(|told| told.event["outcome"] == "completed").count();
        live.wait_for("one more handshake", |told| {
            told.iter().filter(|told| told.event["outcome"] == "completed").count() > before
        });
        let last = live.told().pop().unwrap();
        translated(&last);
        assert!(last.after <= AFTER_END + LINGER + SIBLING + LOOKING, "{last:?}");
    }
    // What is open when the end comes is told then.
    let silent = gateway.client(|| hello_and_wait(DROPPED, 3_000));
    std::thread::sleep(Duration::from_millis(500));
    let before = live.told().len();
    let told = live.end();
    silent.join().unwrap();
    let last: Vec<_> = told[before..].iter().filter(|told| told.event["kind"] == "handshake").collect();
    assert_eq!(last.len(), 1, "{told:?}");
    assert_eq!((&last[0].event["sni"], &last[0].event["outcome"]), (&json!(DROPPED), &json!("incomplete")));
    let stats = &told.last().unwrap().event;
    assert_eq!(
        (&stats["kind"], &stats["final"], &stats["lost"]),
        (&json!("stats"), &json!(true), &json!({}))
    );
    let returned = |n: usize| stats["interfaces"][n]["returned"].as_u64();
    assert_eq!([returned(0), returned(1)], [Some(1), Some(1)], "{stats}");
}

/// The cause, with proof: others cross meanwhile.
fn verdict(told: &Told, cause: &str, reason: &str) {
    let event = &told.event;
    let words = ["cause", "reason", "certainty"].map(|field| event[field].as_str().unwrap_or("-"));
    assert_eq!(words, [cause, reason, "proven"], "{event}");
    // The packets of each side are cited as its own.
    assert!(event["proofs"].as_array().unwrap().iter().any(|proof| !proof["packets"].is_null()), "{event}");
}

/// Both sides name it, each in its own way.
fn translated(told: &Told) {
    let vantages = &told.event["vantages"];
    assert_eq!(vantages["inside"]["client"]["ip"], CLIENT, "{}", told.event);
    assert_eq!(vantages["outside"]["client"]["ip"], NAT, "{}", told.event);
    assert_eq!(vantages["inside"]["server"], vantages["outside"]["server"], "{}", told.event);
    // One host stamps both.
    assert!(vantages["clock_offset_us"].as_i64().unwrap().abs() < 20_000, "{}", told.event);
}

fn fates(told: &Told) -> Vec<String> {
    let packets = told.event["vantages"]["packets"].as_array().unwrap();
    packets.iter().map(|packet| packet["fate"].as_str().unwrap().to_owned()).collect()
}

/// An event, and how long after its last packet it was written, in milliseconds.
#[derive(Clone, Debug)]
struct Told {
    event: Value,
    after: i64,
}

/// Client, gateway and server, each in a namespace, removed at the end.
struct Gateway {
    _turn: MutexGuard<'static, ()>,
    servers: Vec<Child>,
    scratch: Scratch,
}

fn space(which: &str) -> String {
    format!("tlswhy-gateway-{}-{which}", std::process::id())
}

impl Gateway {
    /// `None` where this user may not, or lacks a program.
    fn build(name: &str) -> Option<Self> {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        if !commands(&["ip", "iptables", "conntrack", "openssl"]) {
            return None;
        }
        let mut gateway =
            Self { _turn: turn, servers: Vec::new(), scratch: Scratch::new(&format!("gateway-{name}")) };
        for which in ["c", "g", "s"] {
            if !done(&["ip", "netns", "add", &space(which)]) {
                tell("skipped: only root may make network namespaces");
                return None;
            }
        }
        gateway.links();
        if !gateway.rules() {
            return None;
        }
        gateway.serve();
        Some(gateway)
    }

    fn links(&self) {
        for which in ["c", "g", "s"] {
            Self::must_at(which, &["ip", "link", "set", "lo", "up"]);
            Self::must_at(which, &["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"]);
            Self::must_at(which, &["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"]);
        }
        for (end, which, own) in [("c", "in0", "eth0"), ("s", "out0", "eth0")] {
            must(&[
                "ip",
                "link",
                "add",
                which,
                "netns",
                &space("g"),
                "type",
                "veth",
                "peer",
                "name",
                own,
                "netns",
                &space(end),
            ]);
            for (space, link) in [("g", which), (end, own)] {
                let off = ["tso", "off", "gso", "off", "gro", "off", "tx", "off"];
                done(
                    &[&["ip", "netns", "exec", &self::space(space), "ethtool", "-K", link][..], &off]
                        .concat(),
                );
                Self::must_at(space, &["ip", "link", "set", link, "up"]);
            }
        }
        Self::must_at("c", &["ip", "addr", "add", &format!("{CLIENT}/24"), "dev", "eth0"]);
        Self::must_at("g", &["ip", "addr", "add", "192.168.10.1/24", "dev", "in0"]);
        Self::must_at("g", &["ip", "addr", "add", &format!("{NAT}/24"), "dev", "out0"]);
        for address in [SERVER, BARRED] {
            Self::must_at("s", &["ip", "addr", "add", &format!("{address}/24"), "dev", "eth0"]);
        }
        Self::must_at("c", &["ip", "route", "add", "default", "via", "192.168.10.1"]);
        Self::must_at("s", &["ip", "route", "add", "default", "via", NAT]);
        Self::must_at("g", &["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
    }

    /// Translation that takes up no connection in the middle, and a filter. False where the kernel has them not.
    fn rules(&self) -> bool {
        let barred = BARRED.to_string();
        let by_name =
            |name| ["-p", "tcp", "--dport", "443", "-m", "string", "--algo", "bm", "--string", name];
        let nat =
            ["-t", "nat", "-A", "POSTROUTING", "-o", "out0", "-p", "tcp", "-j", "SNAT", "--to-source", NAT];
        let rules = [
            nat.to_vec(),
            vec!["-A", "FORWARD", "-p", "tcp", "-d", &barred, "--dport", "443", "--syn", "-j", "DROP"],
            [&["-A", "FORWARD"][..], &by_name(DROPPED), &["-j", "DROP"]].concat(),
            [&["-A", "FORWARD"][..], &by_name(RESET), &["-j", "REJECT", "--reject-with", "tcp-reset"]]
                .concat(),
        ];
        let set =
            |rule: &Vec<&str>| done(&[&["ip", "netns", "exec", &space("g"), "iptables"][..], rule].concat());
        let all = rules.iter().all(set)
            && done(&[
                "ip",
                "netns",
                "exec",
                &space("g"),
                "sysctl",
                "-qw",
                "net.netfilter.nf_conntrack_tcp_loose=0",
            ]);
        if !all {
            tell("skipped: this kernel has no address translation or no string match");
        }
        all
    }

    /// TLS on port 443, and something that answers on port 80.
    fn serve(&mut self) {
        let [key, leaf] = ["key.pem", "leaf.pem"].map(|name| self.scratch.path(name).display().to_string());
        let subject = format!("/CN={RECORDED}");
        must(&[
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &leaf,
        ]);
        let server = Command::new("ip")
            .args(["netns", "exec", &space("s"), "openssl", "s_server", "-quiet", "-www", "-accept", "443"])
            .args(["-key", &key, "-cert", &leaf])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.servers.push(server);
        let listening = within("s", || TcpListener::bind((SERVER, 80)).unwrap()).join().unwrap();
        std::thread::spawn(move || {
            for stream in listening.incoming() {
                let Ok(mut stream) = stream else { return };
                // The tests' process ends, and this with it.
                std::thread::spawn(move || {
                    let mut asked = [0; 100];
                    let _ = stream.read(&mut asked);
                    let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello\n");
                });
            }
        });
        let mut tries = 0;
        while within("s", || TcpStream::connect((SERVER, 443)).is_err()).join().unwrap() {
            tries += 1;
            assert!(tries < 200, "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Something in the client's place.
    fn client<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        within("c", what)
    }

    /// Small exchanges with port 80, four a second, until it is dropped.
    fn neighbours(&self) -> Neighbours {
        let going = Arc::new(AtomicBool::new(true));
        let goes = Arc::clone(&going);
        let thread = self.client(move || {
            while goes.load(Ordering::Relaxed) {
                if let Some(mut stream) = connect(SERVER, 80, 500) {
                    let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
                    wait_for_end(&mut stream, 300);
                }
                std::thread::sleep(Duration::from_millis(250));
            }
        });
        Neighbours { going, thread: Some(thread) }
    }

    fn good_handshake(&self) {
        let to = format!("{SERVER}:443");
        let mut client = Command::new("ip")
            .args(["netns", "exec", &space("c"), "openssl", "s_client", "-quiet", "-connect", &to])
            .args(["-servername", RECORDED])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        client.stdin.take().unwrap().write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let said = client.wait_with_output().unwrap();
        assert!(String::from_utf8_lossy(&said.stdout).contains("200 ok"), "{said:?}");
    }

    fn link(&self, which: &str, state: &str) {
        Self::must_at("g", &["ip", "link", "set", which, state]);
    }

    fn listen(&self) -> Listening {
        let config = self.scratch.write("limits.toml", LIMITS.as_bytes());
        let mut child = Command::new("ip")
            .args(["netns", "exec", &space("g"), env!("CARGO_BIN_EXE_tlswhy"), "live", "--json"])
            .args(["--inside", "in0", "--outside", "out0", "--config"])
            .arg(config)
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, told) = (Arc::new(Mutex::new(String::new())), Arc::new(Mutex::new(Vec::new())));
        let (mut errors, heard) = (child.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(len @ 1..) = errors.read(&mut piece) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..len]));
            }
        });
        let (out, list) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&told));
        let reading = std::thread::spawn(move || {
            for line in out.lines() {
                let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let ended = event["end_ts"].as_str().and_then(stamp);
                let after = ended.map_or(0, |ended| (now().0 - ended.0) / 1_000);
                list.lock().unwrap().push(Told { event, after });
            }
        });
        let live = Listening { child, said, told, reading: Some(reading) };
        live.wait_said("listening inside on in0, outside on out0");
        live
    }

    fn must_at(which: &str, command: &[&str]) {
        must(&[&["ip", "netns", "exec", &space(which)][..], command].concat());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        for server in &mut self.servers {
            drop(server.kill());
            drop(server.wait());
        }
        for which in ["c", "g", "s"] {
            done(&["ip", "netns", "del", &space(which)]);
        }
    }
}

/// Other traffic through the gateway.
struct Neighbours {
    going: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        self.going.store(false, Ordering::Relaxed);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// A thread in a namespace.
fn within<T: Send + 'static>(
    which: &str,
    what: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let path = format!("/run/netns/{}", space(which));
    std::thread::spawn(move || {
        let there = File::open(path).unwrap();
        rustix::thread::move_into_link_name_space(there.as_fd(), None).unwrap();
        what()
    })
}

fn connect(to: Ipv4Addr, port: u16, millis: u64) -> Option<TcpStream> {
    TcpStream::connect_timeout(&SocketAddrV4::new(to, port).into(), Duration::from_millis(millis)).ok()
}

/// Says hello under this name, and waits for whatever comes.
fn hello_and_wait(name: &str, millis: u64) {
    let mut stream = connect(SERVER, 443, 1_000).unwrap();
    stream.write_all(&hello(name)).unwrap();
    wait_for_end(&mut stream, millis);
}

fn wait_for_end(stream: &mut TcpStream, millis: u64) {
    stream.set_read_timeout(Some(Duration::from_millis(millis))).unwrap();
    let mut heard = [0; 4_096];
    while let Ok(1..) = stream.read(&mut heard) {}
}

/// A recorded ClientHello with another name, as long, and a random of its own.
fn hello(name: &str) -> Vec<u8> {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let mut reader = FileReader::open(&root().join("captures/none/plain-https-inside.pcap")).unwrap();
    let mut decoder = Decoder::new(&Limits::default());
    let mut hello = loop {
        let frame = reader.next().expect("a hello");
        match decoder.decode(&frame) {
            Packet::Segment(segment) if segment.payload.first() == Some(&22) => {
                break segment.payload.to_vec();
            }
            _ => {}
        }
    };
    let at = hello.windows(name.len()).position(|bytes| bytes == RECORDED.as_bytes()).unwrap();
    hello[at..at + name.len()].copy_from_slice(name.as_bytes());
    let salt = NEXT.fetch_add(1, Ordering::Relaxed);
    hello[11..43].iter_mut().for_each(|byte| *byte = byte.wrapping_add(salt));
    hello
}

fn now() -> Stamp {
    #[expect(clippy::disallowed_methods, reason = "how late an event is, is told by the clock")]
    let now = std::time::SystemTime::now();
    Stamp(i64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()).unwrap())
}

/// A running `tlswhy live`.
struct Listening {
    child: Child,
    said: Arc<Mutex<String>>,
    told: Arc<Mutex<Vec<Told>>>,
    reading: Option<std::thread::JoinHandle<()>>,
}

impl Listening {
    fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..1_000 {
            if holds() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{what}: not within 20 s; {:?}\n{}", self.told(), self.said.lock().unwrap());
    }

    fn wait_for(&self, what: &str, holds: impl Fn(&[Told]) -> bool) {
        self.wait_until(what, || holds(&self.told()));
    }

    fn wait_said(&self, words: &str) {
        self.wait_until(words, || self.said.lock().unwrap().contains(words));
    }

    /// SIGTERM: it ends soon, and well; everything that it told.
    fn end(mut self) -> Vec<Told> {
        let pid = rustix::process::Pid::from_child(&self.child);
        let asked = now();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.said.lock().unwrap());
        assert!((now().0 - asked.0) / 1_000 < LOOKING, "it ends late");
        self.reading.take().unwrap().join().unwrap();
        self.told()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
