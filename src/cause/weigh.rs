//! Many judgements, one diagnosis. To be written; the type stands.

use super::{Cause, Finding};

/// What is wrong with one failed attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// The cause; `None` where nothing reaches `suspected`.
    pub primary: Option<(Cause, Finding)>,
    /// Further findings, in order.
    pub also: Vec<(Cause, Finding)>,
    /// The causes that could not be seen, and why.
    pub blind: Vec<(Cause, &'static str)>,
    /// The causes that remain possible where `primary` is `None`.
    pub candidates: Vec<Cause>,
}
