//! The last line of a run.

use super::json::{Object, object, unsigned};
use super::{SCHEMA, StatusTally, Tally};
use crate::base::{Lost, Stamp};
use crate::evidence::Outcome;
use std::io::Write as _;

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Packets read.
    pub packets: u64,
    /// Their bytes as captured.
    pub bytes: u64,
    /// The earliest packet's stamp; `None` where there was no packet.
    pub first: Option<Stamp>,
    /// The latest packet's stamp.
    pub last: Option<Stamp>,
    /// The attempts.
    pub tally: Tally,
    /// Exchanges about revocation.
    pub revocation: StatusTally,
    /// What the captures and the bounds kept from us.
    pub lost: Lost,
    /// The files or interfaces, in the order read.
    pub files: Vec<FileRead>,
}

/// One file or interface that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRead {
    /// As given.
    pub name: String,
    /// Packets read.
    pub packets: u64,
    /// `None`: read to its end. Else why it stopped early, for people.
    pub stopped: Option<String>,
}

/// Appends the event of a run, a line of JSON. `ts` is the last packet's stamp, null where there was none.
pub fn stats(stats: &Stats, out: &mut Vec<u8>) {
    object(out, |o| members(stats, o));
    out.push(b'\n');
}

/// The members of the event, which a run that goes on shares with one that has ended.
pub(super) fn members(stats: &Stats, o: &mut Object<'_>) {
    o.string("schema", SCHEMA);
    o.string("kind", "stats");
    o.maybe("ts", stats.last, |stamp, out| super::json::display(&stamp, out));
    o.maybe("first_ts", stats.first, |stamp, out| super::json::display(&stamp, out));
    o.maybe("last_ts", stats.last, |stamp, out| super::json::display(&stamp, out));
    o.unsigned("packets", stats.packets);
    o.unsigned("bytes", stats.bytes);
    counted(&stats.tally, o);
    o.object("revocation", |o| stats.revocation.write(o));
    o.object("lost", |o| stats.lost.counted().for_each(|(name, count)| o.unsigned(name, count)));
    o.array("files", &stats.files, |file, out| {
        object(out, |o| {
            o.string("name", &file.name);
            unsigned(file.packets, o.key("packets"));
            o.string("ending", file.stopped.as_deref().unwrap_or("complete"));
        });
    });
}

/// The attempts by outcome and cause.
pub(super) fn counted(tally: &Tally, o: &mut Object<'_>) {
    o.unsigned("handshakes", tally.attempts());
    o.object("outcomes", |o| {
        Outcome::ALL.into_iter().for_each(|outcome| o.unsigned(outcome.word(), tally.outcome(outcome)));
    });
    o.maybe("success_rate", tally.success_rate(), |rate, out| {
        // Display of a finite f64 is a JSON number; writing into a Vec cannot fail.
        let _ = write!(out, "{rate}");
    });
    o.object("failures", |o| {
        tally.causes().for_each(|(cause, count)| o.unsigned(cause.word(), count));
        o.unsigned("undetermined", tally.undetermined());
    });
    o.object("reasons", |o| {
        for (cause, _) in tally.causes() {
            o.object(cause.word(), |o| {
                tally.reasons_of(cause).for_each(|(reason, count)| o.unsigned(reason, count));
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;
    use serde_json::{Value, json};

    fn event(of: &Stats) -> Value {
        let mut out = Vec::new();
        stats(of, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn an_empty_run_has_no_times_and_no_rate() {
        let event = event(&Stats::default());
        for null in ["ts", "first_ts", "last_ts", "success_rate"] {
            assert_eq!(event[null], Value::Null, "{null}");
        }
        assert_eq!(event["failures"], json!({"undetermined": 0}));
        assert_eq!(event["outcomes"]["not_tls"], 0);
    }

    #[test]
    fn a_run_counts_causes_and_names_its_files() {
        let event = event(&fixture::stats());
        assert_eq!(event["ts"], "2026-11-23T09:42:11.500000Z");
        assert_eq!(event["failures"]["expired_cert"], 8);
        assert_eq!(event["reasons"]["expired_cert"], json!({"leaf_expired": 8}));
        assert_eq!(event["files"][0], json!({"name": "a.pcapng", "packets": 40_000, "ending": "complete"}));
        assert_eq!(event["files"][1]["ending"], "stopped after 311 packets: cut short");
        assert_eq!(event["lost"], json!({"snapped_packets": 3}));
        assert_eq!(event["success_rate"], 0.8);
    }
}
