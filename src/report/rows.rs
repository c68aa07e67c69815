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
    /// The story of which the latest of them is a part.
    episode: Option<u64>,
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
    /// The row of each row's latest story.
    episodes: HashMap<u64, usize, RandomState>,
    beyond: u64,
    /// How another command is told to read the same captures; `None` where a row's own says it.
    pub sources: Option<String>,
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
        let certainty = primary.map(|(_, finding)| finding.certainty);
        let episode = evidence.around.episode.map(|episode| episode.id);
        if let Some(&place) = self.index.get(&key) {
            self.count(place, episode);
            return;
        }
        // Attempts of one story have one cause, unless two of them are sure of different ones.
        let same_story = episode.and_then(|episode| self.episodes.get(&episode)).copied().filter(|&place| {
            self.rows.get(place).is_some_and(|row| certainty.min(row.certainty) < Some(Certainty::Inferred))
        });
        let full = self.rows.len() >= Self::MOST;
        if full && same_story.is_none() {
            self.beyond += 1;
            return;
        }
        let proof = primary.and_then(|(_, finding)| finding.proofs.first());
        let new = Row {
            id: Id::of(evidence),
            when: evidence.started,
            client: evidence.client,
            server,
            name: idn::for_people(&key.name).into_owned(),
            verdict: words::verdict(primary),
            certainty,
            episode,
            weight: primary
                .map_or_else(|| words::candidates(diagnosis), |(_, finding)| words::weight(finding)),
            why: shorten(&proof.map_or_else(|| words::ending(evidence), |proof| proof.says.clone())),
            at: proof.map_or(&evidence.ending.at, |proof| proof.cite.packets()).clone(),
            capture: shorten(capture),
            times: 1,
        };
        match same_story.and_then(|place| Some((place, self.rows.get_mut(place)?))) {
            Some((place, row)) => {
                row.times += 1;
                // The surest of them says why.
                if certainty > row.certainty {
                    let times = row.times;
                    *row = Row { times, ..new };
                    self.index.retain(|_, other| *other != place);
                    self.index.insert(key, place);
                }
            }
            None => {
                self.rows.push(new);
                self.index.insert(key, self.rows.len() - 1);
                if let Some(episode) = episode {
                    self.episodes.insert(episode, self.rows.len() - 1);
                }
            }
        }
    }

    /// Another of the row's kind.
    fn count(&mut self, place: usize, episode: Option<u64>) {
        let Some(row) = self.rows.get_mut(place) else { return };
        row.times += 1;
        if row.episode != episode {
            // One story a row, so that they stay as few as the rows.
            if let Some(former) = row.episode.take() {
                self.episodes.remove(&former);
            }
            if let Some(new) = episode
                && !self.episodes.contains_key(&new)
            {
                row.episode = episode;
                self.episodes.insert(new, place);
            }
        }
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
    use crate::evidence::around::Episode;

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

    /// The same story's attempt at another address, suspected or proven.
    fn attempt(episode: u64, diagnosis: Option<&Diagnosis>, failures: &mut Failures) {
        let mut evidence = fixture::expired();
        evidence.server.addr.0 += failures.rows.len() as u128 + 1;
        let first = evidence.started;
        evidence.around.episode = Some(Episode { id: episode, attempt: 1, first });
        failures.add(&evidence, diagnosis, "a.pcap");
    }

    #[test]
    fn attempts_of_one_story_make_one_row_whose_verdict_is_the_surest() {
        let mut failures = Failures::default();
        for diagnosis in [None, None, Some(fixture::expired_diagnosis()), None] {
            attempt(7, diagnosis.as_ref(), &mut failures);
        }
        let rows = failures.in_order();
        assert_eq!(rows.iter().map(|row| row.times).collect::<Vec<_>>(), [4]);
        assert!(rows[0].verdict.contains("leaf_expired"));
        attempt(8, None, &mut failures);
        assert_eq!(failures.rows.len(), 2, "another story");
    }

    #[test]
    fn two_sure_causes_in_one_story_are_two_rows() {
        let mut failures = Failures::default();
        let mut other = fixture::expired_diagnosis();
        other.primary = Some((Cause::BrokenChain, other.primary.unwrap().1));
        for diagnosis in [fixture::expired_diagnosis(), other] {
            attempt(7, Some(&diagnosis), &mut failures);
        }
        assert_eq!(failures.rows.len(), 2);
    }

    #[test]
    fn stories_are_remembered_for_as_many_rows_as_there_are() {
        let mut failures = Failures::default();
        for episode in 0..50 {
            let mut evidence = fixture::expired();
            evidence.around.episode = Some(Episode { id: episode, attempt: 1, first: evidence.started });
            failures.add(&evidence, None, "a.pcap");
        }
        assert_eq!((failures.rows.len(), failures.episodes.len()), (1, 1));
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
