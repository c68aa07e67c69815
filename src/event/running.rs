//! The statistics of a program that runs on: how it is now, and what came since the last time.

use super::json::{self, Object, object};
use super::stats::{self, Stats};
use super::tally::Tally;
use crate::base::{Span, Stamp};

/// What `live` tells beside the totals of [`Stats`], which count since the start.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// Nothing comes after it.
    pub last: bool,
    /// When, by the clock.
    pub at: Stamp,
    /// How long it has run.
    pub uptime: Span,
    /// What came since the statistics before.
    pub since_last: Since,
    /// Each interface.
    pub interfaces: Vec<InterfaceNow>,
    /// Connections whose handshake is open.
    pub flows_open: u64,
    /// Connections remembered, so that what they still carry costs little.
    pub flows_finished: u64,
    /// Bytes of streams held for messages that are not complete.
    pub bytes_held: u64,
    /// What waits in each queue, by its name.
    pub queues: Vec<(&'static str, u64)>,
    /// From the moment a judgement could be made to its event being written, since the start.
    pub latency: Spread,
    /// From the last packet of an attempt to that moment: what judgement itself must wait for, since the start.
    pub wait: Spread,
    /// Where events go.
    pub output: OutputNow,
    /// Where the packets of failed handshakes go; `None` unless they are wanted.
    pub kept: Option<KeptNow>,
    /// Configurations taken over while it ran, and those that were refused.
    pub reloads: (u64, u64),
}

/// What came in a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Since {
    /// How long it was.
    pub time: Span,
    /// Packets analysed.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Packets that the kernel lost.
    pub kernel_dropped: u64,
    /// The attempts.
    pub tally: Tally,
    /// As [`Running::latency`], of this time.
    pub latency: Spread,
    /// As [`Running::wait`], of this time.
    pub wait: Spread,
}

/// How an interface is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceNow {
    /// As given.
    pub name: String,
    /// Why it cannot be read; `None` while it is up.
    pub down: Option<String>,
    /// How often it came back.
    pub returned: u64,
    /// How often the clock was set, which ended what was open.
    pub clock_sets: u64,
    /// Packets analysed.
    pub packets: u64,
    /// Packets that passed the filter, as the kernel counts.
    pub received: u64,
    /// Of them, lost because they were not read fast enough.
    pub dropped: u64,
    /// Lost by the card or its driver, where it tells.
    pub interface_dropped: u64,
    /// What the kernel keeps to itself.
    pub bypassed: BypassedNow,
}

/// Finished connections whose packets the kernel keeps to itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BypassedNow {
    /// How many now.
    pub connections: u64,
    /// Packets kept back since the start: counted, or estimated where the kernel has a list and no map.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
}

/// How long something took, of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many.
    pub count: u64,
    /// Half took no longer.
    pub p50: Span,
    /// 99 of a hundred took no longer.
    pub p99: Span,
    /// The longest.
    pub max: Span,
}

/// Where events go, and what did not arrive there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputNow {
    /// Events written.
    pub events: u64,
    /// Events that could not be written.
    pub lost: u64,
    /// Writes that failed.
    pub errors: u64,
}

/// The packets of failed handshakes that were written, and those that were not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptNow {
    /// Failed handshakes whose packets were written.
    pub handshakes: u64,
    /// Their packets.
    pub packets: u64,
    /// Of the failed handshakes, those of which packets had left memory already.
    pub cut: u64,
    /// Packets that could not be written.
    pub lost: u64,
    /// Bytes of recent packets held.
    pub held_bytes: u64,
}

/// Appends the event of a program that runs, a line of JSON: that of [`super::stats()`], and more.
pub fn running(totals: &Stats, now: &Running, out: &mut Vec<u8>) {
    object(out, |o| {
        stats::members(totals, o);
        o.boolean("final", now.last);
        o.display("at", &now.at);
        micros(o, "uptime_us", now.uptime);
        o.object("since_last", |o| since(&now.since_last, o));
        o.array("interfaces", &now.interfaces, |interface, out| object(out, |o| one(interface, o)));
        o.object("flows", |o| {
            o.unsigned("open", now.flows_open);
            o.unsigned("finished", now.flows_finished);
            o.unsigned("bytes_held", now.bytes_held);
        });
        o.object("queues", |o| now.queues.iter().for_each(|&(name, depth)| o.unsigned(name, depth)));
        o.object("latency", |o| spread(&now.latency, o));
        o.object("wait", |o| spread(&now.wait, o));
        o.object("output", |o| {
            o.unsigned("events", now.output.events);
            o.unsigned("lost", now.output.lost);
            o.unsigned("errors", now.output.errors);
        });
        o.maybe("kept", now.kept, |kept, out| {
            object(out, |o| {
                o.unsigned("handshakes", kept.handshakes);
                o.unsigned("packets", kept.packets);
                o.unsigned("cut", kept.cut);
                o.unsigned("lost", kept.lost);
                o.unsigned("held_bytes", kept.held_bytes);
            });
        });
        o.object("reloads", |o| {
            o.unsigned("taken_over", now.reloads.0);
            o.unsigned("refused", now.reloads.1);
        });
    });
    out.push(b'\n');
}

fn since(since: &Since, o: &mut Object<'_>) {
    micros(o, "time_us", since.time);
    o.unsigned("packets", since.packets);
    o.unsigned("bytes", since.bytes);
    o.unsigned("kernel_dropped", since.kernel_dropped);
    stats::counted(&since.tally, o);
    o.object("latency", |o| spread(&since.latency, o));
    o.object("wait", |o| spread(&since.wait, o));
}

fn one(interface: &InterfaceNow, o: &mut Object<'_>) {
    o.string("name", &interface.name);
    o.boolean("up", interface.down.is_none());
    o.maybe_string("down", interface.down.as_deref());
    o.unsigned("returned", interface.returned);
    o.unsigned("clock_sets", interface.clock_sets);
    o.unsigned("packets", interface.packets);
    o.unsigned("received", interface.received);
    o.unsigned("dropped", interface.dropped);
    o.unsigned("interface_dropped", interface.interface_dropped);
    o.object("bypassed", |o| {
        o.unsigned("connections", interface.bypassed.connections);
        o.unsigned("packets", interface.bypassed.packets);
        o.unsigned("bytes", interface.bypassed.bytes);
    });
}

fn spread(spread: &Spread, o: &mut Object<'_>) {
    o.unsigned("count", spread.count);
    micros(o, "p50_us", spread.p50);
    micros(o, "p99_us", spread.p99);
    micros(o, "max_us", spread.max);
}

fn micros(o: &mut Object<'_>, name: &str, span: Span) {
    json::integer(span.micros(), o.key(name));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use serde_json::{Value, json};

    #[test]
    fn a_running_program_tells_its_totals_and_how_it_is() {
        let mut out = Vec::new();
        running(&fixture::stats(), &fixture::running(), &mut out);
        assert_eq!(out.pop(), Some(b'\n'));
        let event: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(event["kind"], "stats");
        assert_eq!(event["final"], false);
        assert_eq!(event["failures"]["expired_cert"], 8);
        assert_eq!(event["since_last"]["time_us"], 60_000_000);
        assert_eq!(event["since_last"]["handshakes"], 1);
        assert_eq!(event["since_last"]["outcomes"]["completed"], 1);
        assert_eq!(event["interfaces"][1]["up"], false);
        assert_eq!(event["interfaces"][1]["down"], "it is down");
        assert_eq!(event["interfaces"][0]["bypassed"], json!({"connections": 2, "packets": 630, "bytes": 0}));
        assert_eq!(event["latency"], json!({"count": 9, "p50_us": 800, "p99_us": 2_000, "max_us": 2_100}));
        assert_eq!(event["queues"], json!({"output_bytes": 3}));
        assert_eq!(event["kept"]["cut"], 1);
    }

    #[test]
    fn what_a_run_to_its_end_tells_stands_first_unchanged() {
        let (mut plain, mut more) = (Vec::new(), Vec::new());
        stats::stats(&fixture::stats(), &mut plain);
        running(&fixture::stats(), &Running::default(), &mut more);
        let plain = plain.strip_suffix(b"}\n").unwrap();
        assert!(more.starts_with(plain));
    }
}
