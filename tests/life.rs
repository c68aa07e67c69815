//! `tlswhy live` as an operator meets it: the built program on a wire of its own, its files, its signals, its metrics.
//!
//! Each test has a network namespace, which ends with it. Without root or a tool it needs, a test says so and is skipped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use support::{Scratch, events, lab_roots, root, run, tell};
use tlswhy::capture::file::FileReader;

const FAILED: &str = "captures/expired_cert/client-cert-curl-tls12.pcap";
const RESET: &str = "captures/firewall/sni-reset-inside.pcap";
const GOOD: &str = "captures/none/plain-https-tls12.pcap";

/// A namespace with a wire in it: `va` is listened on, `vb` is its other end. `small` has room for 64 KiB.
struct Lab {
    holder: Child,
    scratch: Scratch,
}

impl Lab {
    /// Runs a test in a thread inside a namespace of its own; says why where there can be none.
    fn within(name: &str, test: impl FnOnce(&Self) + Send) {
        match Self::new(name) {
            Ok(lab) => std::thread::scope(|scope| {
                let inside = scope.spawn(|| {
                    let space = File::open(format!("/proc/{}/ns/net", lab.holder.id())).unwrap();
                    rustix::thread::move_into_link_name_space(space.as_fd(), None).unwrap();
                    for link in ["lo", "va", "vb"] {
                        lab.ip(&["link", "set", link, "up"]);
                    }
                    test(&lab);
                });
                if let Err(panic) = inside.join() {
                    std::panic::resume_unwind(panic);
                }
            }),
            Err(why) => tell(&format!("skipped {name}: {why}")),
        }
    }

    fn new(name: &str) -> Result<Self, String> {
        let scratch = Scratch::new(&format!("life-{name}"));
        // The program, started as root, becomes nobody, who opens its outputs anew.
        fs::set_permissions(scratch.path(""), fs::Permissions::from_mode(0o777)).unwrap();
        fs::create_dir_all(scratch.path("small")).unwrap();
        let small = scratch.path("small");
        // What it has mounted and made ends with it. Without IPv6 nothing is on the wire but what is sent.
        let script = format!(
            "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; ip link add va type veth peer name vb && mount -t tmpfs -o size=64k none {} && echo made && exec sleep 600",
            small.display()
        );
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("no unshare: {error}"))?;
        let mut made = [0; 5];
        let ready = holder.stdout.as_mut().unwrap().read_exact(&mut made);
        let mut lab = Self { holder, scratch };
        if ready.is_err() {
            let mut why = String::new();
            lab.holder.stderr.as_mut().unwrap().read_to_string(&mut why).unwrap();
            return Err(format!("no namespace: {}", why.trim()));
        }
        Ok(lab)
    }

    fn ip(&self, args: &[&str]) {
        assert!(Command::new("ip").args(args).status().unwrap().success(), "ip {args:?}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// A file on the small disk, as the program sees it and as we do.
    fn small(&self, name: &str) -> (PathBuf, PathBuf) {
        let inside = self.path("small").join(name);
        let outside = PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), inside.display()));
        (inside, outside)
    }

    /// Starts the program on `va` with these further options, and waits until it listens.
    fn live(&self, options: &[&str]) -> Live {
        self.live_to(options, Stdio::null())
    }

    fn live_to(&self, options: &[&str], stdout: Stdio) -> Live {
        let mut child = Command::new("nsenter")
            .args(["--mount", "--target", &self.holder.id().to_string()])
            .arg(format!("--wdns={}", root().display()))
            .args([env!("CARGO_BIN_EXE_tlswhy"), "live", "-i", "va", "--metrics", "0"])
            .args(lab_roots())
            .args(options)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let mut stderr = child.stderr.take().unwrap();
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(len @ 1..) = stderr.read(&mut piece) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..len]));
            }
        });
        let mut live = Live { child, said, address: None };
        live.wait("it says where its metrics are", |live| {
            let said = live.said();
            let address =
                said.split_once("metrics at http://").and_then(|(_, rest)| rest.split_once("/metrics"));
            live.address = address.and_then(|(address, _)| address.parse().ok());
            live.address.is_some()
        });
        live
    }

    /// Sends the packets of a capture, and waits until they have been analysed.
    fn send(&self, live: &mut Live, capture: &str) {
        let before = live.metric("tlswhy_packets_total");
        let mut wire = pcap::Capture::from_device("vb").unwrap().open().unwrap();
        let mut reader = FileReader::open(&root().join(capture)).unwrap();
        let mut sent = 0;
        while let Some(frame) = reader.next() {
            wire.sendpacket(frame.data).unwrap();
            sent += 1;
        }
        live.wait("what was sent is analysed", |live| {
            live.metric("tlswhy_packets_total") >= before + f64::from(sent)
        });
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// The program while it runs.
struct Live {
    child: Child,
    said: Arc<Mutex<String>>,
    address: Option<SocketAddr>,
}

impl Live {
    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits for something to become true.
    fn wait(&mut self, what: &str, mut so: impl FnMut(&mut Self) -> bool) {
        for _ in 0..1_500 {
            if so(self) {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended with {status} before {what}\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{what}: not within 30 s\n{}", self.said());
    }

    fn wait_said(&mut self, words: &str) {
        self.wait(words, |live| live.said().contains(words));
    }

    /// An answer: status and body.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address.unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: tlswhy\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The value of a metric, by its name and labels.
    fn metric(&self, name: &str) -> f64 {
        let (status, page) = self.get("/metrics");
        assert_eq!(status, 200);
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        page.lines().find_map(value).unwrap_or_else(|| panic!("no {name} in\n{page}"))
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and the exit code.
    fn end(mut self) -> (i32, String) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.child.wait().unwrap();
        // What it said last has been read when the pipe has ended.
        while Arc::strong_count(&self.said) > 1 {
            std::thread::sleep(Duration::from_millis(5));
        }
        (status.code().unwrap(), self.said())
    }

    /// Descriptors and threads that it has.
    fn holds(&self) -> (usize, usize) {
        let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", self.child.id())).unwrap().count();
        (count("fd"), count("task"))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lines(path: &Path) -> Vec<Value> {
    events(&fs::read_to_string(path).unwrap())
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["kind"] == kind).collect()
}

#[test]
fn events_and_statistics_go_to_the_file_and_the_end_tells_what_was_open() {
    Lab::within("events", |lab| {
        let out = lab.path("events.jsonl");
        let mut live = lab.live(&["-o", out.to_str().unwrap(), "--stats-interval", "1"]);
        lab.send(&mut live, GOOD);
        lab.send(&mut live, FAILED);
        live.wait("statistics are told", |_| of_kind(&lines(&out), "stats").len() >= 2);
        let (code, said) = live.end();
        assert_eq!(code, 0, "{said}");
        let all = lines(&out);
        let told: Vec<_> = of_kind(&all, "handshake").iter().map(|event| event["outcome"].clone()).collect();
        // The failed one still waited for siblings when the end came.
        assert_eq!(told, ["completed", "failed"]);
        let stats = of_kind(&all, "stats");
        let (last, before) = stats.split_last().unwrap();
        assert!(before.iter().all(|stats| stats["final"] == false) && last["final"] == true);
        assert_eq!(all.last().unwrap(), *last);
        assert_eq!((&last["handshakes"], &last["output"]["events"]), (&2.into(), &2.into()));
        assert_eq!((&last["output"]["lost"], &last["latency"]["count"]), (&0.into(), &2.into()));
        let sum: u64 = stats.iter().map(|stats| stats["since_last"]["packets"].as_u64().unwrap()).sum();
        assert_eq!(&Value::from(sum), &last["packets"]);
        let received = last["interfaces"][0]["received"].as_u64();
        assert!(received >= last["packets"].as_u64(), "{last}");
    });
}

#[test]
fn metrics_are_what_prometheus_takes_and_agree_with_the_events() {
    Lab::within("metrics", |lab| {
        let out = lab.path("events.jsonl");
        let mut live = lab.live(&["-o", out.to_str().unwrap(), "-i", "lo", "-f", "not port 9187"]);
        assert_eq!(live.get("/healthz"), (200, "ok\n".into()));
        assert_eq!(live.get("/readyz"), (200, "ready\n".into()));
        lab.send(&mut live, GOOD);
        live.wait("the handshake is counted", |live| {
            live.metric("tlswhy_handshakes_total{outcome=\"completed\"}") == 1.0
        });
        live.wait("its event is written", |live| live.metric("tlswhy_events_total") == 1.0);
        assert_eq!(live.metric("tlswhy_interface_up{interface=\"va\"}"), 1.0);
        assert_eq!(live.metric("tlswhy_capture_dropped_total{reason=\"kernel\"}"), 0.0);
        assert_eq!(live.metric("tlswhy_stage_seconds_count{stage=\"latency\"}"), 1.0);
        let (_, page) = live.get("/metrics");
        prometheus_takes(&page);
        let mut check = match Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
        {
            Ok(check) => check,
            Err(error) => return tell(&format!("promtool is not asked: {error}")),
        };
        check.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let found = check.wait_with_output().unwrap();
        assert!(found.status.success(), "{}\n{page}", String::from_utf8_lossy(&found.stderr));
    });
}

/// The text format's rules: a family's help and type before its samples, families in one piece, numbers, no sample twice.
fn prometheus_takes(page: &str) {
    let (mut families, mut samples) = (Vec::new(), Vec::new());
    let mut types = std::collections::BTreeMap::new();
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            families.push(name.to_owned());
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
            let name = sample.split('{').next().unwrap();
            assert!(
                name.starts_with("tlswhy_") && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
            );
            let family = families.last().unwrap();
            let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line} in {family}"));
            let histogram = types[family] == "histogram";
            assert!(suffix.is_empty() != histogram, "{line}");
            assert!(!samples.contains(&sample.to_owned()), "{line} twice");
            samples.push(sample.to_owned());
        }
    }
    assert!(samples.len() > 50, "{page}");
}

#[test]
fn a_hangup_opens_the_outputs_anew_and_a_bad_configuration_changes_nothing() {
    Lab::within("hangup", |lab| {
        let (out, kept, roots) = (lab.path("events.jsonl"), lab.path("failed.pcapng"), lab.path("roots.pem"));
        fs::copy(root().join("captures/lab-root.pem"), &roots).unwrap();
        let mut options = ["-o", "", "-w", "", "--trust", ""];
        (options[1], options[3], options[5]) =
            (out.to_str().unwrap(), kept.to_str().unwrap(), roots.to_str().unwrap());
        let mut live = lab.live(&options);
        lab.send(&mut live, GOOD);
        live.wait("the event is there", |_| !lines(&out).is_empty());
        let old = lab.path("events.jsonl.1");
        fs::rename(&out, &old).unwrap();
        fs::rename(&kept, lab.path("failed.pcapng.1")).unwrap();
        live.signal(rustix::process::Signal::HUP);
        live.wait_said("taken over");
        live.wait("both files are there again", |_| out.exists() && kept.exists());
        fs::write(&roots, "no certificate").unwrap();
        live.signal(rustix::process::Signal::HUP);
        live.wait_said("the new configuration is refused and the old one stays in force: ");
        assert_eq!(live.metric("tlswhy_reloads_total{result=\"refused\"}"), 1.0);
        lab.send(&mut live, GOOD);
        live.wait("the event is in the new file", |_| !lines(&out).is_empty());
        assert_eq!(lines(&old).len(), 1);
        let (code, said) = live.end();
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(roots.to_str().unwrap()), "{said}");
    });
}

#[test]
fn the_packets_of_failures_alone_are_written_and_fail_again_when_read() {
    Lab::within("write", |lab| {
        let kept = lab.path("failed.pcapng");
        let mut live = lab.live(&["-w", kept.to_str().unwrap()]);
        for capture in [GOOD, FAILED, GOOD, RESET] {
            lab.send(&mut live, capture);
        }
        let (code, said) = live.end();
        assert_eq!(code, 0, "{said}");
        let mut args = vec!["read".to_owned(), "--json".to_owned(), kept.to_str().unwrap().to_owned()];
        args.extend(lab_roots());
        let found: Vec<_> = run(&args).handshakes();
        let told: Vec<_> = found.iter().map(|event| (&event["outcome"], &event["cause"])).collect();
        let failed = Value::from("failed");
        assert_eq!(told, [(&failed, &"expired_cert".into()), (&failed, &"firewall".into())]);
    });
}

#[test]
fn packets_that_had_to_leave_memory_are_counted_and_said() {
    Lab::within("recent", |lab| {
        let (out, kept) = (lab.path("events.jsonl"), lab.path("failed.pcapng"));
        let options = ["-o", out.to_str().unwrap(), "-w", kept.to_str().unwrap(), "--recent", "1KiB"];
        let mut live = lab.live(&options);
        lab.send(&mut live, FAILED);
        let (code, said) = live.end();
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("--recent gives more room"), "{said}");
        assert_eq!(lines(&out).last().unwrap()["kept"]["cut"], 1);
    });
}

#[test]
fn a_full_disk_is_said_and_counted_and_ends_nothing() {
    Lab::within("full", |lab| {
        let (out, seen) = lab.small("events.jsonl");
        let (_, filler) = lab.small("filler");
        let mut live = lab.live(&["-o", out.to_str().unwrap()]);
        // One page is left: a line begins, and has no room for its end.
        fs::write(&filler, vec![0; 60 << 10]).unwrap();
        for _ in 0..3 {
            lab.send(&mut live, GOOD);
        }
        live.wait_said("no space left on device; events are lost until it takes them again");
        live.wait("the loss is counted", |live| live.metric("tlswhy_events_lost_total") >= 1.0);
        assert_eq!(live.get("/healthz").0, 200);
        fs::remove_file(&filler).unwrap();
        lab.send(&mut live, GOOD);
        live.wait_said("takes events again");
        let lost = live.metric("tlswhy_events_lost_total");
        let (code, said) = live.end();
        assert_eq!(code, 0, "{said}");
        // Every line is whole.
        let written = of_kind(&lines(&seen), "handshake").len();
        assert!(written >= 1 && written as f64 + lost == 4.0, "{written} written, {lost} lost");
    });
}

#[test]
fn an_output_that_nobody_reads_holds_up_neither_capture_nor_watchers() {
    Lab::within("stuck", |lab| {
        let mut live = lab.live_to(&["--json"], Stdio::piped());
        // More than a pipe holds.
        for _ in 0..40 {
            lab.send(&mut live, GOOD);
        }
        live.wait("all are judged", |live| {
            live.metric("tlswhy_handshakes_total{outcome=\"completed\"}") == 40.0
        });
        assert!(live.metric("tlswhy_queue_depth{queue=\"output_bytes\"}") > 0.0);
        assert_eq!(live.get("/healthz").0, 200);
        // It waits for the reader now; who does not want to wait says so again.
        live.signal(rustix::process::Signal::INT);
        live.wait("it is ending", |live| live.child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(600));
        live.signal(rustix::process::Signal::INT);
        assert_eq!(live.child.wait().unwrap().code(), Some(1));
    });
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    Lab::within("closed", |lab| {
        let mut live = lab.live_to(&["--json"], Stdio::piped());
        drop(live.child.stdout.take());
        let mut wire = pcap::Capture::from_device("vb").unwrap().open().unwrap();
        let mut reader = FileReader::open(&root().join(GOOD)).unwrap();
        while let Some(frame) = reader.next() {
            wire.sendpacket(frame.data).unwrap();
        }
        assert_eq!(live.child.wait().unwrap().code(), Some(0));
        let told = ["confined", "listening", "metrics"];
        assert_eq!(live.said().lines().count(), told.len(), "{}", live.said());
    });
}

#[test]
fn scrapes_reloads_and_slow_clients_leave_no_descriptor_and_no_thread_behind() {
    Lab::within("descriptors", |lab| {
        let (out, kept) = (lab.path("events.jsonl"), lab.path("failed.pcapng"));
        let mut live = lab.live(&["-o", out.to_str().unwrap(), "-w", kept.to_str().unwrap()]);
        lab.send(&mut live, GOOD);
        let before = live.holds();
        for n in 0..20 {
            let slow: Vec<_> = (0..20).map(|_| TcpStream::connect(live.address.unwrap()).unwrap()).collect();
            assert_eq!(live.get("/metrics").0, 200);
            drop(slow);
            live.signal(rustix::process::Signal::HUP);
            live.wait("it is taken over", |live| {
                live.metric("tlswhy_reloads_total{result=\"taken_over\"}") >= f64::from(n + 1)
            });
        }
        lab.send(&mut live, FAILED);
        live.wait("nothing is left open", |live| live.holds() == before);
    });
}

#[test]
fn each_interface_is_named_in_its_events() {
    Lab::within("two", |lab| {
        let out = lab.path("events.jsonl");
        // What is sent on vb leaves there and arrives on va.
        let mut live = lab.live(&["-i", "vb", "-o", out.to_str().unwrap()]);
        lab.send(&mut live, GOOD);
        live.wait("both have told it", |_| of_kind(&lines(&out), "handshake").len() == 2);
        let mut named: Vec<_> =
            lines(&out).iter().map(|event| event["capture"].as_str().unwrap().to_owned()).collect();
        named.sort();
        assert_eq!(named, ["va", "vb"]);
        let (code, said) = live.end();
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("listening on va, vb"), "{said}");
    });
}

#[test]
fn an_interface_that_goes_down_is_said_and_taken_up_again() {
    Lab::within("down", |lab| {
        let out = lab.path("events.jsonl");
        let mut live = lab.live(&["-o", out.to_str().unwrap()]);
        lab.ip(&["link", "set", "va", "down"]);
        live.wait_said("va: ");
        live.wait("nothing is seen", |live| live.get("/readyz").0 == 503);
        assert!(live.get("/readyz").1.starts_with("no interface is up (va: "), "{:?}", live.get("/readyz"));
        assert_eq!(live.metric("tlswhy_interface_up{interface=\"va\"}"), 0.0);
        lab.ip(&["link", "set", "va", "up"]);
        live.wait_said("va is back");
        assert_eq!(live.get("/readyz"), (200, "ready\n".into()));
        lab.send(&mut live, GOOD);
        let (code, said) = live.end();
        assert_eq!(code, 0, "{said}");
        let all = lines(&out);
        assert_eq!(of_kind(&all, "handshake").len(), 1);
        let interface = &all.last().unwrap()["interfaces"][0];
        assert_eq!((&interface["returned"], &interface["clock_sets"]), (&1.into(), &0.into()));
    });
}
