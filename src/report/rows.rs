//! The failures to list, the same ones grouped, within a bound.

use super::style::clean;
use super::words;
use crate::base::{Addr, Endpoint, Packets, Stamp};
use crate::cause::{Cause, Certainty, Diagnosis};
use crate::event::{Id, asked_name};
use crate::evidence::{Evidence, Outcome, Stage};
use crate::tls::idn;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// What makes two failures the same for a reader. The client's port is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    client: Addr,
    server: Option<Endpoint>,
    name: String,
    verdict: Option<(Cause, &'static str)>,
}

/// The first of a group of equal failures, and how many there were.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub id: Id,
    pub when: Stamp,
    pub client: Endpoint,
    pub server: Option<Endpoint>,
    /// Empty where no name was asked for.
    pub name: String,
    /// `expired_cert / leaf_expired` or `undetermined`.
    pub verdict: String,
    pub certainty: Option<Certainty>,
    /// `proven, the server's side`; for an undetermined failure the candidates.
    pub weight: String,
    /// The first proof, or how it ended.
    pub why: String,
    pub at: Packets,
    /// The file that numbers those packets.
    pub capture: String,
    pub times: u64,
}

/// Failures to list: at most [`Failures::MOST`] groups, so that memory stays small whatever the capture.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    rows: Vec<Row>,
    index: HashMap<Key, usize, RandomState>,
    beyond: u64,
}

impl Failures {
    /// Groups kept. Nobody reads more; the events have them all.
    pub const MOST: usize = 1_000;
    /// Characters kept of a name or a proof: a host name has at most 253, a proof is a sentence.
    const LONGEST: usize = 400;

    /// Takes an attempt seen in the file or on the interface `capture`; those that did not fail are passed over.
    pub fn add(&mut self, evidence: &Evidence, diagnosis: Option<&Diagnosis>, capture: &str) {
        if evidence.outcome != Outcome::Failed {
            return;
        }
        let primary = diagnosis.and_then(|diagnosis| diagnosis.primary.as_ref());
        let server = (evidence.stage != Stage::Dns).then_some(evidence.server);
        let key = Key {
            client: evidence.client.addr,
            server,
            name: shorten(asked_name(evidence).unwrap_or_default()),
            verdict: primary.map(|(cause, finding)| (*cause, finding.reason)),
        };
        if let Some(row) = self.index.get(&key).and_then(|&place| self.rows.get_mut(place)) {
            row.times += 1;
            return;
        }
        if self.rows.len() >= Self::MOST {
            self.beyond += 1;
            return;
        }
        let proof = primary.and_then(|(_, finding)| finding.proofs.first());
        self.rows.push(Row {
            id: Id::of(evidence),
            when: evidence.started,
            client: evidence.client,
            server,
            name: idn::for_people(&key.name).into_owned(),
            verdict: words::verdict(primary),
            certainty: primary.map(|(_, finding)| finding.certainty),
            weight: primary
                .map_or_else(|| words::candidates(diagnosis), |(_, finding)| words::weight(finding)),
            why: shorten(&proof.map_or_else(|| words::ending(evidence), |proof| proof.says.clone())),
            at: proof.map_or(&evidence.ending.at, |proof| proof.cite.packets()).clone(),
            capture: shorten(capture),
            times: 1,
        });
        self.index.insert(key, self.rows.len() - 1);
    }

    /// Groups in the order of their first packets.
    pub(super) fn in_order(&self) -> Vec<&Row> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| (row.when, row.id));
        rows
    }

    /// Failures that found no place.
    pub(super) fn beyond(&self) -> u64 {
        self.beyond
    }
}

fn shorten(text: &str) -> String {
    clean(&text.chars().take(Failures::LONGEST).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;

    #[test]
    fn equal_failures_from_other_ports_make_one_row() {
        let mut failures = Failures::default();
        for port in 0..8 {
            let mut evidence = fixture::expired();
            evidence.client.port += port;
            failures.add(&evidence, Some(&fixture::expired_diagnosis()), "a.pcap");
        }
        failures.add(&fixture::expired(), None, "a.pcap");
        let rows = failures.in_order();
        assert_eq!(rows.len(), 2, "an undetermined failure is another");
        assert_eq!(rows.iter().map(|row| row.times).max(), Some(8));
    }

    #[test]
    fn a_million_different_failures_take_a_thousand_rows() {
        let mut failures = Failures::default();
        let mut evidence = fixture::expired();
        for n in 0..3_000 {
            evidence.client.addr.0 += 1;
            evidence.hello.as_mut().unwrap().value.sni = Some("x".repeat(n).into());
            failures.add(&evidence, None, "a.pcap");
        }
        assert_eq!(failures.rows.len(), Failures::MOST);
        assert_eq!(failures.index.len(), Failures::MOST);
        assert_eq!(failures.beyond(), 2_000);
        assert!(failures.rows.iter().all(|row| row.name.len() <= Failures::LONGEST));
    }

    #[test]
    fn a_success_is_no_row() {
        let mut failures = Failures::default();
        failures.add(&fixture::completed(), None, "a.pcap");
        assert!(failures.in_order().is_empty());
    }
}
