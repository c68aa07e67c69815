//! Floor 8: the command line.

pub mod args;
pub mod explain;
pub mod man;
