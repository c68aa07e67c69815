//! The clock that packets are stamped by, which people and time servers set, and the eras between two such moments.
//!
//! Time-outs go by stamps. Where the clock is set forward, everything open would look as if it had been silent for that long;
//! where it is set back, nothing would ever be over. So a set clock begins an era: what is open ends with the one before, as
//! if the capture had, and nothing is said of its silence.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::{Span, Stamp};

/// A step of less than this passes for packets out of order, and is slewed rather than set by most time daemons (ntpd
/// steps from 128 ms on, chrony by default from 1 s on and only when it starts).
const STEP: Span = Span::from_secs(2);

/// The era that the rings of an interface are in: whoever sees the clock being set begins the next for all.
#[derive(Debug, Default)]
pub(super) struct Eras(AtomicU64);

/// Capture time of one ring.
#[derive(Debug)]
pub(super) struct Clock {
    now: Stamp,
    era: u64,
    /// How far stamps have been ahead of the time that passed, at most: what comes late, or is read late, is less so.
    ahead: Option<Span>,
}

impl Clock {
    /// Before the first stamp.
    pub(super) fn new() -> Self {
        Self { now: Stamp(i64::MIN), era: 0, ahead: None }
    }

    /// The latest stamp of this era.
    #[inline]
    pub(super) fn now(&self) -> Stamp {
        self.now
    }

    /// The era it is in.
    pub(super) fn era(&self) -> u64 {
        self.era
    }

    /// Whether this stamp, seen when `elapsed` had passed by a clock that nobody sets, or another ring, tells that the
    /// clock was set. If so [`Self::turn`] is to follow, else [`Self::pass`].
    #[inline]
    pub(super) fn is_set(&self, stamp: Stamp, elapsed: Span, eras: &Eras) -> bool {
        let ahead = Span(stamp.0.saturating_sub(elapsed.0));
        let Some(most) = self.ahead else { return false };
        eras.0.load(Ordering::Relaxed) != self.era
            || stamp.0 < self.now.0.saturating_sub(STEP.0)
            || ahead.0 > most.0.saturating_add(STEP.0)
    }

    /// Time has passed to this stamp.
    #[inline]
    pub(super) fn pass(&mut self, stamp: Stamp, elapsed: Span) {
        let ahead = Span(stamp.0.saturating_sub(elapsed.0));
        self.ahead = Some(self.ahead.map_or(ahead, |most| most.max(ahead)));
        self.now = self.now.max(stamp);
    }

    /// Begins the next era, or follows into the one that another ring began.
    pub(super) fn turn(&mut self, eras: &Eras) {
        let next = self.era + 1;
        self.era = eras.0.fetch_max(next, Ordering::Relaxed).max(next);
        (self.now, self.ahead) = (Stamp(i64::MIN), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes stamps and elapsed times in milliseconds; gives those at which the clock had been set.
    fn set_at(seen: &[(i64, i64)]) -> Vec<usize> {
        let (mut clock, eras) = (Clock::new(), Eras::default());
        let mut set = Vec::new();
        for (n, &(stamp, elapsed)) in seen.iter().enumerate() {
            let (stamp, elapsed) = (Stamp(stamp * 1_000), Span::from_millis(elapsed));
            if clock.is_set(stamp, elapsed, &eras) {
                set.push(n);
                clock.turn(&eras);
            }
            clock.pass(stamp, elapsed);
        }
        set
    }

    #[test]
    fn a_clock_set_back_or_forward_is_noticed_once() {
        assert_eq!(set_at(&[(500_000, 10), (500_100, 110), (100_000, 120), (100_100, 220)]), [2]);
        assert_eq!(set_at(&[(500_000, 10), (500_100, 110), (900_000, 120), (900_100, 220)]), [2]);
        assert_eq!(set_at(&[(500_000, 10), (900_000, 20), (500_020, 30)]), [1, 2]);
    }

    #[test]
    fn silence_and_packets_out_of_order_are_no_setting() {
        assert_eq!(set_at(&[(500_000, 10), (560_000, 60_010), (559_100, 60_020)]), [0; 0]);
    }

    #[test]
    fn what_was_left_in_the_ring_for_long_and_is_read_at_once_is_none() {
        // Ten seconds of packets, read in a moment; there was a silence among them.
        assert_eq!(set_at(&[(500_000, 10), (500_010, 10_010), (508_000, 10_011), (510_000, 10_012)]), [0; 0]);
    }

    #[test]
    fn a_ring_follows_another_into_the_next_era() {
        let eras = Eras::default();
        let mut rings = [Clock::new(), Clock::new()];
        rings.iter_mut().for_each(|ring| ring.pass(Stamp(7), Span(1)));
        rings[0].turn(&eras);
        assert!(rings[1].is_set(Stamp(8), Span(2), &eras));
        rings[1].turn(&eras);
        rings.iter_mut().for_each(|ring| ring.pass(Stamp(9), Span(3)));
        assert_eq!(rings.each_ref().map(Clock::era), [1, 1]);
        assert!(!rings.iter().any(|ring| ring.is_set(Stamp(10), Span(4), &eras)));
    }
}
