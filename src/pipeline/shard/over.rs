//! Connections that are over, and how long ago.

use super::Shard;
use crate::base::{Span, Stamp};

/// What is known of a connection that is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Over {
    /// When its latest packet came, in seconds of capture time.
    pub seen: u32,
    /// It spoke TLS: what it still carries is sealed.
    pub tls: bool,
}

impl Over {
    /// Its latest packet came now.
    #[inline]
    pub fn at(self, now: Stamp) -> Self {
        Self { seen: seconds(now), ..self }
    }
}

impl Shard {
    /// Whether a connection that is over has been silent for longer than it is remembered. It is as one that was never seen,
    /// whether its entry still stands or not: when entries leave depends on what else the shard follows.
    #[inline]
    pub(super) fn has_forgotten(&self, over: Over, now: Stamp) -> bool {
        since(over.seen, now) > self.limits.remembered
    }
}

/// Whole seconds of capture time, as far as they tell longer from shorter ago.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they wrap in 136 years")]
pub(super) fn seconds(at: Stamp) -> u32 {
    // As 2²⁰ µs, which is near enough.
    (at.0 >> 20) as u32
}

/// How long ago a second passed; negative where `now` lies before it, as a deadline may.
pub(super) fn since(seconds_then: u32, now: Stamp) -> Span {
    Span(i64::from(seconds(now).wrapping_sub(seconds_then).cast_signed()) << 20)
}
