//! To be written.
use super::{Judgement, Reason};
use crate::evidence::Evidence;

/// The reasons.
pub const REASONS: &[Reason] = &[];

/// Judges.
pub fn judge(_evidence: &Evidence) -> Judgement {
    Judgement::Absent
}
