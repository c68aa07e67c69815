//! Counts of outcomes and causes. Two tallies add up, so each worker or file may keep its own.

use crate::cause::{Cause, Diagnosis};
use crate::evidence::{Evidence, Outcome};
use std::collections::BTreeMap;

/// How many attempts ended how. Bounded: the keys are closed lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    outcomes: BTreeMap<Outcome, u64>,
    reasons: BTreeMap<(Cause, &'static str), u64>,
    undetermined: u64,
}

impl Tally {
    /// Counts one attempt; the diagnosis counts only where it failed.
    pub fn add(&mut self, evidence: &Evidence, diagnosis: Option<&Diagnosis>) {
        *self.outcomes.entry(evidence.outcome).or_default() += 1;
        if evidence.outcome == Outcome::Failed {
            match diagnosis.and_then(|diagnosis| diagnosis.primary.as_ref()) {
                Some((cause, finding)) => *self.reasons.entry((*cause, finding.reason)).or_default() += 1,
                None => self.undetermined += 1,
            }
        }
    }

    /// Adds another tally to this one.
    pub fn merge(&mut self, other: &Self) {
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += count;
        }
        for (reason, count) in &other.reasons {
            *self.reasons.entry(*reason).or_default() += count;
        }
        self.undetermined += other.undetermined;
    }

    /// Attempts in all.
    pub fn attempts(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Attempts with this outcome.
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    /// Failures whose cause could not be told.
    pub fn undetermined(&self) -> u64 {
        self.undetermined
    }

    /// Failures by this cause.
    pub fn cause(&self, cause: Cause) -> u64 {
        self.reasons_of(cause).map(|(_, count)| count).sum()
    }

    /// Failures by this cause's reasons, in the order of the words.
    pub fn reasons_of(&self, cause: Cause) -> impl Iterator<Item = (&'static str, u64)> {
        self.reasons.iter().filter(move |((of, _), _)| *of == cause).map(|((_, word), count)| (*word, *count))
    }

    /// Causes that occurred, in the order of [`Cause::ALL`], with their counts.
    pub fn causes(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().map(|cause| (cause, self.cause(cause))).filter(|&(_, count)| count > 0)
    }

    /// Succeeded (completed and resumed) and all that count (those and the failed). Scans, health checks and
    /// abandoned attempts stay out.
    pub fn success(&self) -> (u64, u64) {
        let succeeded = self.outcome(Outcome::Completed) + self.outcome(Outcome::Resumed);
        (succeeded, succeeded + self.outcome(Outcome::Failed))
    }

    /// The share of those that succeeded, 0 to 1; `None` where none counts.
    pub fn success_rate(&self) -> Option<f64> {
        let (succeeded, all) = self.success();
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        (all > 0).then(|| succeeded as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;

    #[test]
    fn abandoned_and_incomplete_attempts_stay_out_of_the_success_rate() {
        let mut tally = Tally::default();
        let mut evidence = fixture::completed();
        for outcome in Outcome::ALL {
            evidence.outcome = outcome;
            tally.add(&evidence, None);
        }
        assert_eq!(tally.attempts(), 6);
        assert_eq!(tally.success(), (2, 3));
    }

    #[test]
    fn nothing_has_no_success_rate() {
        assert_eq!(Tally::default().success_rate(), None);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let (mut whole, mut a, mut b) = (Tally::default(), Tally::default(), Tally::default());
        let failures = [
            (fixture::expired(), Some(fixture::expired_diagnosis())),
            (fixture::syn_dropped(), Some(fixture::syn_dropped_diagnosis())),
            (fixture::sealed_alert(), None),
            (fixture::completed(), None),
        ];
        for (n, (evidence, diagnosis)) in failures.iter().enumerate() {
            whole.add(evidence, diagnosis.as_ref());
            if n % 2 == 0 { &mut a } else { &mut b }.add(evidence, diagnosis.as_ref());
        }
        a.merge(&b);
        assert_eq!(a, whole);
        assert_eq!(a.undetermined(), 1);
        assert_eq!(a.causes().collect::<Vec<_>>(), [(Cause::ExpiredCert, 1), (Cause::Firewall, 1)]);
        assert_eq!(a.success_rate(), Some(0.25));
    }

    #[test]
    fn a_cause_beside_a_success_is_not_counted() {
        let mut tally = Tally::default();
        tally.add(&fixture::completed(), Some(&fixture::expired_diagnosis()));
        assert_eq!(tally.causes().count(), 0);
    }
}
