//! What is known of the running program, in one place: written by the loop and by who writes events, read for the
//! statistics and the metrics.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::{Lost, Span, Stamp};
use crate::capture::live::{clock, elapsed};
use crate::capture::recent::Recent;
use crate::cause::Diagnosis;
use crate::event::{
    BypassedNow, FileRead, InterfaceNow, KeptNow, OutputNow, Running, Since, Stats, StatusTally, Tally,
};
use crate::evidence::Evidence;
use crate::pipeline::Gauges;
use crate::pipeline::gauges::{Bypassed, Link, Reading};
use crate::telemetry::Snapshot;
use crate::telemetry::latency::Stage;

/// The loop comes around a few times a second. Where it has not for so long, something holds it.
const STALLED: Span = Span::from_secs(30);

/// An interface and where its rings tell.
pub struct Watched {
    /// As given.
    pub name: String,
    /// One for each ring.
    pub gauges: Vec<Arc<Gauges>>,
    /// One for each ring, where packets are kept.
    pub recents: Vec<Arc<Recent>>,
}

impl Watched {
    /// All its rings together.
    pub fn reading(&self) -> Reading {
        let mut readings = self.gauges.iter().map(|gauges| gauges.read());
        let mut all = readings.next().unwrap_or_default();
        readings.for_each(|reading| all.add(&reading));
        all
    }

    /// Whether it can be read.
    pub fn link(&self) -> Link {
        self.reading().kernel.link
    }
}

/// What is counted.
#[derive(Default)]
pub struct Account {
    tally: Tally,
    /// Exchanges about revocation.
    pub statuses: StatusTally,
    latency: Stage,
    wait: Stage,
    /// The same since the last statistics.
    tally_since: Tally,
    latency_since: Stage,
    wait_since: Stage,
    /// Packets, bytes and packets lost by the kernel at the last statistics, and when they were.
    before: (u64, u64, u64, Span),
    /// Events.
    pub output: OutputNow,
    /// Packets of failed handshakes.
    pub kept: KeptNow,
    /// Configurations taken over, and refused.
    pub reloads: (u64, u64),
    /// What the join lost, known at the end.
    lost: Option<Lost>,
}

impl Account {
    /// Counts an attempt.
    pub fn judged(&mut self, evidence: &Evidence, diagnosis: Option<&Diagnosis>) {
        self.tally.add(evidence, diagnosis);
        self.tally_since.add(evidence, diagnosis);
    }

    /// Counts an event that has been written: how long after it was decided, and how long after the attempt's last packet
    /// that was.
    pub fn written(&mut self, latency: Span, wait: Span) {
        self.output.events += 1;
        self.latency.record(latency);
        self.latency_since.record(latency);
        self.wait.record(wait);
        self.wait_since.record(wait);
    }
}

/// The place where it is all known.
pub struct Board {
    /// Each interface.
    pub interfaces: Vec<Watched>,
    /// Whether packets are kept for -w.
    pub keeps: bool,
    /// Bytes that wait to be written.
    pub queued: AtomicU64,
    /// The end has begun.
    pub over: AtomicBool,
    began: Span,
    beat: AtomicI64,
    account: Mutex<Account>,
}

impl Board {
    /// All zero.
    pub fn new(interfaces: Vec<Watched>, keeps: bool) -> Self {
        let began = elapsed();
        Self {
            interfaces,
            keeps,
            queued: AtomicU64::new(0),
            over: AtomicBool::new(false),
            began,
            beat: AtomicI64::new(began.0),
            account: Mutex::default(),
        }
    }

    /// What is counted; nobody holds it for long.
    pub fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop has come around.
    pub fn beat(&self) {
        self.beat.store(elapsed().0, Ordering::Relaxed);
    }

    /// Why it does not work, where it does not.
    pub fn sick(&self) -> Option<String> {
        let since = Span(elapsed().0 - self.beat.load(Ordering::Relaxed));
        (since > STALLED).then(|| format!("the loop has not come around for {since}"))
    }

    /// Why it sees no packets, where it sees none.
    pub fn blind(&self) -> Option<String> {
        if self.over.load(Ordering::Relaxed) {
            return Some("it is ending".into());
        }
        let mut downs = Vec::new();
        for interface in &self.interfaces {
            downs.push(format!("{}: {}", interface.name, interface.link().down?));
        }
        Some(format!("no interface is up ({})", downs.join("; ")))
    }

    /// How it is now.
    pub fn look(&self) -> Snapshot {
        let account = self.account();
        self.snapshot(&account)
    }

    /// How it is now; what is counted from statistics to statistics begins anew. `lost`: what the analyses lost in all,
    /// when they have ended.
    pub fn turn(&self, lost: Option<Lost>) -> Snapshot {
        let mut account = self.account();
        account.lost = lost;
        let mut snapshot = self.snapshot(&account);
        snapshot.now.last = account.lost.is_some();
        let totals = &snapshot.totals;
        account.before = (totals.packets, totals.bytes, totals.lost.kernel_dropped, elapsed());
        account.tally_since = Tally::default();
        account.latency_since.clear();
        account.wait_since.clear();
        snapshot
    }

    fn snapshot(&self, account: &Account) -> Snapshot {
        let mut totals =
            Stats { tally: account.tally.clone(), revocation: account.statuses.clone(), ..Stats::default() };
        let mut now = Running {
            at: clock(),
            uptime: Span(elapsed().0 - self.began.0),
            queues: vec![("output_bytes", self.queued.load(Ordering::Relaxed))],
            latency: account.latency.spread(),
            wait: account.wait.spread(),
            output: account.output,
            reloads: account.reloads,
            ..Running::default()
        };
        for interface in &self.interfaces {
            let reading = interface.reading();
            add(&mut totals, &mut now, &interface.name, reading, account.lost.is_some());
        }
        if let Some(lost) = &account.lost {
            totals.lost.clone_from(lost);
        }
        if self.keeps {
            let recents = self.interfaces.iter().flat_map(|interface| &interface.recents);
            let held_bytes = recents.map(|recent| recent.held().bytes).sum();
            now.kept = Some(KeptNow { held_bytes, ..account.kept });
        }
        let (packets, bytes, dropped, when) = account.before;
        now.since_last = Since {
            time: Span(elapsed().0 - when.0.max(self.began.0)),
            packets: totals.packets.saturating_sub(packets),
            bytes: totals.bytes.saturating_sub(bytes),
            kernel_dropped: totals.lost.kernel_dropped.saturating_sub(dropped),
            tally: account.tally_since.clone(),
            latency: account.latency_since.spread(),
            wait: account.wait_since.spread(),
        };
        let stages = vec![("latency", account.latency.clone()), ("wait", account.wait.clone())];
        Snapshot { totals, now, stages }
    }
}

/// Adds what one interface says.
fn add(totals: &mut Stats, now: &mut Running, name: &str, reading: Reading, ended: bool) {
    let earliest = |a: Option<Stamp>, b: Option<Stamp>| [a, b].into_iter().flatten().min();
    totals.packets += reading.packets;
    totals.bytes += reading.bytes;
    totals.first = earliest(totals.first, reading.first);
    totals.last = totals.last.max(reading.last);
    totals.lost.add(&reading.lost);
    let Link { down, returned } = reading.kernel.link;
    let ending = if ended { down.clone() } else { Some("running".to_owned()) };
    totals.files.push(FileRead { name: name.to_owned(), packets: reading.packets, stopped: ending });
    now.flows_open += reading.flows_open;
    now.flows_finished += reading.flows_finished;
    now.bytes_held += reading.bytes_held;
    let Bypassed { connections, packets, bytes } = reading.bypassed;
    now.interfaces.push(InterfaceNow {
        name: name.to_owned(),
        down,
        returned,
        clock_sets: reading.clock_sets,
        packets: reading.packets,
        received: reading.kernel.received,
        dropped: reading.kernel.dropped,
        interface_dropped: reading.kernel.interface_dropped,
        bypassed: BypassedNow { connections, packets, bytes },
    });
}
