//! What a caller makes of judged attempts: events, rows, counts.

use super::join::Judged;
use super::statuses::Told;
use crate::evidence::Evidence;

/// What becomes of a judged attempt at once, while its facts are at hand. What is made of it then waits for its place in
/// the order of ends: a line of text waits in a third of the memory that the facts take.
pub trait Make {
    /// What it becomes.
    type Made;

    /// Whether it asks which certificates a handshake sealed, whatever came of it; else that is looked for where one failed.
    const ASKS_FOR_SEALED: bool = false;

    /// Makes it.
    fn make(&mut self, judged: Judged) -> Self::Made;

    /// Has fetched what is soon to leave: it has waited for long.
    fn approach(made: &Self::Made) {
        let _ = made;
    }

    /// Adds to an attempt what another vantage point shows of it, before it is judged or let go.
    fn look_across(&mut self, evidence: &mut Evidence) {
        let _ = evidence;
    }

    /// What becomes of an exchange about revocation, if anything.
    fn status(&mut self, told: Told) -> Option<Self::Made> {
        drop(told);
        None
    }

    /// Live: nothing more is judged for the moment, so what was held back to leave together leaves now.
    fn pause(&mut self) {}
}

impl<M: Make> Make for &mut M {
    type Made = M::Made;

    const ASKS_FOR_SEALED: bool = M::ASKS_FOR_SEALED;

    fn make(&mut self, judged: Judged) -> Self::Made {
        (**self).make(judged)
    }

    fn approach(made: &Self::Made) {
        M::approach(made);
    }

    fn look_across(&mut self, evidence: &mut Evidence) {
        (**self).look_across(evidence);
    }

    fn status(&mut self, told: Told) -> Option<Self::Made> {
        (**self).status(told)
    }

    fn pause(&mut self) {
        (**self).pause();
    }
}

/// It stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct AsJudged;

impl Make for AsJudged {
    type Made = Judged;

    fn make(&mut self, judged: Judged) -> Judged {
        judged
    }
}
