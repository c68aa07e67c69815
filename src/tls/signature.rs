//! Signatures.

/// What checking a signature gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It verifies.
    Good,
    /// It does not.
    Bad,
    /// Nobody here can tell; why.
    Unsupported(&'static str),
}
