//! Twelve judgements become one diagnosis. (To come.)
use super::{Cause, Finding};
use crate::evidence::Evidence;
/// What is said of one failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// The cause.
    pub primary: Option<(Cause, Finding)>,
    /// Further findings, in order.
    pub also: Vec<(Cause, Finding)>,
    /// Causes that could not be seen, and why.
    pub blind: Vec<(Cause, &'static str)>,
    /// What remains possible when there is no cause.
    pub candidates: Vec<Cause>,
}
/// Weighs.
pub fn weigh(_evidence: &Evidence) -> Diagnosis {
    Diagnosis::default()
}
/// Defects that did not cause a failure.
pub fn hygiene(_evidence: &Evidence) -> Vec<(Cause, &'static str, String)> {
    Vec::new()
}
