//! A [`Snapshot`] in Prometheus' text format (version 0.0.4).
//!
//! Labels are closed lists (outcomes, causes, queues) and the interfaces of the command line; never a name from the wire,
//! which would let strangers fill a server's memory.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, NoLabelSet, prometheus_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Snapshot;
use super::latency::Stage;
use crate::base::Span;
use crate::cause::Cause;
use crate::evidence::Outcome;

/// What the text is, for HTTP.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The upper bounds of the buckets of `tlswhy_stage_seconds`: from a fast hand-over to the longest wait.
const BUCKETS: [Span; 17] = [
    Span(100),
    Span(250),
    Span(500),
    Span::from_millis(1),
    Span(2_500),
    Span::from_millis(5),
    Span::from_millis(10),
    Span::from_millis(25),
    Span::from_millis(50),
    Span::from_millis(100),
    Span::from_millis(250),
    Span::from_millis(500),
    Span::from_secs(1),
    Span(2_500_000),
    Span::from_secs(10),
    Span::from_secs(30),
    Span::from_secs(120),
];

/// The metrics of a snapshot, one family behind the other.
pub fn render(snapshot: Snapshot) -> String {
    let mut registry = Registry::with_prefix("tlswhy");
    registry.register_collector(Box::new(Families(snapshot)));
    let mut text = String::with_capacity(16 << 10);
    // Writing into a String cannot fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Families(Snapshot);

/// No labels.
const NONE: [(&str, &str); 0] = [];

type Label<'a> = [(&'a str, &'a str); 1];

/// The families of one scrape.
struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, [(NONE, value)])
    }

    fn counters<S: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (S, u64)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.gauges(name, help, [(NONE, value)])
    }

    fn gauges<S: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (S, V)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

impl Collector for Families {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Snapshot { totals, now, stages } = &self.0;
        let mut page = Page { encoder };
        page.encoder
            .encode_descriptor("build", "The version that runs", None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        page.gauges("uptime_seconds", "How long the program has run", [(NONE, seconds(now.uptime))])?;
        page.counter("packets", "Packets analysed", totals.packets)?;
        page.counter("bytes", "Captured bytes of the packets analysed", totals.bytes)?;
        let statuses = &totals.revocation;
        page.counter("revocation_exchanges", "Exchanges about revocation over HTTP", statuses.exchanges)?;
        page.counter("revocation_answered", "Exchanges about revocation with an answer", statuses.answered)?;
        page.counters(
            "revocation_failures",
            "Exchanges about revocation that failed, by what went wrong",
            statuses.troubles().map(|(word, count)| ([("outcome", word)], count)),
        )?;
        let sum = |of: fn(&crate::event::InterfaceNow) -> u64| now.interfaces.iter().map(of).sum::<u64>();
        page.counter(
            "capture_received",
            "Packets that passed the filter, as the kernel counts",
            sum(|one| one.received),
        )?;
        page.counters(
            "capture_dropped",
            "Packets lost before they were read: by the kernel for want of room, by the interface or its driver",
            [
                ([("reason", "kernel")], sum(|one| one.dropped)),
                ([("reason", "interface")], sum(|one| one.interface_dropped)),
            ],
        )?;
        let by_name = |of: fn(&crate::event::InterfaceNow) -> u64| {
            now.interfaces
                .iter()
                .map(move |one| -> (Label<'_>, u64) { ([("interface", &one.name)], of(one)) })
        };
        page.gauges(
            "interface_up",
            "Whether the interface can be read",
            by_name(|one| u64::from(one.down.is_none())),
        )?;
        page.counters("interface_packets", "Packets analysed of an interface", by_name(|one| one.packets))?;
        page.counters("interface_returns", "How often an interface came back", by_name(|one| one.returned))?;
        page.gauges(
            "bypassed_connections",
            "Finished connections whose packets the kernel keeps to itself",
            by_name(|one| one.bypassed.connections),
        )?;
        page.counters(
            "bypassed_packets",
            "Packets of finished connections that the kernel kept to itself; they are in no other count",
            by_name(|one| one.bypassed.packets),
        )?;
        page.counters(
            "clock_sets",
            "How often the clock was set, which ended what was open",
            by_name(|one| one.clock_sets),
        )?;
        page.counters(
            "lost",
            "What the capture or a bound kept from the analysis; the word says what, as in the events",
            totals.lost.counted().map(|(what, count)| ([("what", what)], count)),
        )?;
        page.gauge("flows_active", "Connections whose handshake is open", now.flows_open)?;
        page.gauge("flows_finished", "Finished connections remembered", now.flows_finished)?;
        page.gauge(
            "flows_bytes",
            "Bytes of streams held for messages that are not complete",
            now.bytes_held,
        )?;
        page.counters(
            "handshakes",
            "Attempts to set up TLS by how they ended",
            Outcome::ALL.map(|outcome| ([("outcome", outcome.word())], totals.tally.outcome(outcome))),
        )?;
        let causes = Cause::ALL.map(|cause| (cause.word(), totals.tally.cause(cause)));
        page.counters(
            "failures",
            "Failed handshakes by cause",
            causes
                .into_iter()
                .chain([("undetermined", totals.tally.undetermined())])
                .map(|(cause, count)| ([("cause", cause)], count)),
        )?;
        page.gauges(
            "queue_depth",
            "What waits in a queue, in what its name says",
            now.queues.iter().map(|&(name, depth)| ([("queue", name)], depth)),
        )?;
        page.counter("events", "Events written", now.output.events)?;
        page.counter("events_lost", "Events that could not be written", now.output.lost)?;
        page.counter("output_errors", "Writes of events that failed", now.output.errors)?;
        if let Some(kept) = &now.kept {
            page.counter("kept_handshakes", "Failed handshakes whose packets were written", kept.handshakes)?;
            page.counter("kept_packets", "Packets of failed handshakes that were written", kept.packets)?;
            page.counter(
                "kept_cut",
                "Failed handshakes of which packets had left memory before the verdict",
                kept.cut,
            )?;
            page.counter("kept_lost", "Packets of failed handshakes that could not be written", kept.lost)?;
            page.gauge("recent_bytes", "Bytes of recent packets held", kept.held_bytes)?;
        }
        page.counters(
            "reloads",
            "Configurations offered while the program ran",
            [([("result", "taken_over")], now.reloads.0), ([("result", "refused")], now.reloads.1)],
        )?;
        let mut family = page.encoder.encode_descriptor(
            "stage_seconds",
            "How long events took: latency from the moment a judgement could be made to the event being written, wait from \
             the last packet of the attempt to that moment",
            None,
            MetricType::Histogram,
        )?;
        for (name, stage) in stages {
            let labels: Label<'_> = [("stage", name)];
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                seconds(stage.sum()),
                stage.count(),
                &buckets(stage),
                None,
            )?;
        }
        let spreads = stages.iter().flat_map(|(name, stage)| {
            let spread = stage.spread();
            [("median", spread.p50), ("p99", spread.p99), ("max", spread.max)]
                .map(|(of, span)| ([("stage", *name), ("of", of)], seconds(span)))
        });
        page.gauges(
            "stage_spread_seconds",
            "The same since the start as median, 99th percentile and maximum",
            spreads,
        )
    }
}

fn buckets(stage: &Stage) -> Vec<(f64, u64)> {
    let overs = std::iter::once(None).chain(BUCKETS.into_iter().map(Some));
    let bounded = BUCKETS.into_iter().zip(overs);
    bounded.map(|(most, over)| (seconds(most), stage.between(over, most))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a duration for people and graphs")]
fn seconds(span: Span) -> f64 {
    span.micros() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{InterfaceNow, Running};

    fn snapshot() -> Snapshot {
        let mut latency = Stage::default();
        for millis in [1, 2, 40, 200_000] {
            latency.record(Span::from_millis(millis));
        }
        let up = InterfaceNow { name: "eth\"0\n".into(), received: 7, dropped: 2, ..InterfaceNow::default() };
        let now = Running { interfaces: vec![up], queues: vec![("output_bytes", 4)], ..Running::default() };
        Snapshot {
            now,
            stages: vec![("latency", latency), ("wait", Stage::default())],
            ..Snapshot::default()
        }
    }

    #[test]
    fn every_outcome_and_cause_is_there_from_the_start() {
        let text = render(Snapshot::default());
        for outcome in Outcome::ALL {
            assert!(text.contains(&format!("tlswhy_handshakes_total{{outcome=\"{}\"}} 0\n", outcome.word())));
        }
        for cause in Cause::ALL {
            assert!(text.contains(&format!("tlswhy_failures_total{{cause=\"{}\"}} 0\n", cause.word())));
        }
        assert!(text.contains("tlswhy_failures_total{cause=\"undetermined\"} 0\n"), "{text}");
        assert!(text.contains("tlswhy_packets_total 0\n"), "{text}");
    }

    #[test]
    fn a_histogram_ends_with_all() {
        let text = render(snapshot());
        let line = |le: &str, count| {
            format!("tlswhy_stage_seconds_bucket{{stage=\"latency\",le=\"{le}\"}} {count}\n")
        };
        for (le, count) in [("0.0001", 0), ("0.0025", 2), ("0.05", 3), ("120", 3), ("+Inf", 4)] {
            assert!(text.contains(&line(le, count)), "{le}\n{text}");
        }
        assert!(text.contains("tlswhy_stage_seconds_sum{stage=\"latency\"} 200.043\n"), "{text}");
    }

    #[test]
    fn odd_names_of_interfaces_stay_inside_their_label() {
        let text = render(snapshot());
        assert!(text.contains("tlswhy_interface_up{interface=\"eth\\\"0\\n\"} 1\n"), "{text}");
        assert!(text.contains("tlswhy_capture_dropped_total{reason=\"kernel\"} 2\n"), "{text}");
    }
}
