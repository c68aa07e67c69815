//! Floor 6: how a running program is, for those who watch it.
//!
//! * [`latency`] counts how long things took.
//! * [`metrics`] renders a [`Snapshot`] in Prometheus' text format.
//! * [`http`] answers `GET /metrics`, `/healthz` and `/readyz`, whatever its clients do.

pub mod http;
pub mod latency;
pub mod metrics;

use crate::event::{Running, Stats};

use latency::Stage;

/// How the program is at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What it has seen since the start.
    pub totals: Stats,
    /// How it is now.
    pub now: Running,
    /// How long things took since the start, by name.
    pub stages: Vec<(&'static str, Stage)>,
}
