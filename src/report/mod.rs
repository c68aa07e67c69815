//! Floor 6: evidence and verdicts as text for people. Renders only; the caller prints.
//!
//! [`text`] is the summary and the table of failures, [`ladder`] one handshake packet by packet, [`explain`] a cause's page, [`certs`]
//! the list of certificates.

pub mod certs;
pub mod explain;
pub mod ladder;
mod rows;
mod style;
pub mod text;
mod words;

pub use rows::Failures;
pub use style::{Ink, Style, clean, pad, thousands};
