//! How long things took: a histogram with one percent of precision over eight decades, in 50 KiB, whatever is counted.

use hdrhistogram::Histogram;

use crate::base::Span;
use crate::event::Spread;

/// The longest that is told apart, an hour; what took longer counts as that.
const LONGEST: u64 = 3_600_000_000;

/// How long one stage of the work took, each time.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// In microseconds; made by the first record.
    counts: Option<Histogram<u64>>,
    sum: u64,
}

impl Stage {
    /// Counts one. Clocks may step back; what took less than nothing took nothing.
    pub fn record(&mut self, took: Span) {
        let micros = u64::try_from(took.micros()).unwrap_or(0).min(LONGEST);
        if self.counts.is_none() {
            self.counts = Histogram::new_with_bounds(1, LONGEST, 2).ok();
        }
        if let Some(counts) = &mut self.counts {
            counts.saturating_record(micros);
            self.sum = self.sum.saturating_add(micros);
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.counts.as_ref().map_or(0, Histogram::len)
    }

    /// All of them together.
    pub fn sum(&self) -> Span {
        Span(i64::try_from(self.sum).unwrap_or(i64::MAX))
    }

    /// The usual, the rare and the worst.
    pub fn spread(&self) -> Spread {
        let Some(counts) = &self.counts else { return Spread::default() };
        let span = |micros: u64| Span(i64::try_from(micros).unwrap_or(i64::MAX));
        Spread {
            count: counts.len(),
            p50: span(counts.value_at_quantile(0.5)),
            p99: span(counts.value_at_quantile(0.99)),
            max: span(counts.max()),
        }
    }

    /// How many took more than `over` and at most `most`.
    pub fn between(&self, over: Option<Span>, most: Span) -> u64 {
        let Some(counts) = &self.counts else { return 0 };
        let upto = |span: Span| {
            let micros = u64::try_from(span.micros()).unwrap_or(0).min(LONGEST);
            counts.count_between(0, micros)
        };
        upto(most).saturating_sub(over.map_or(0, upto))
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        if let Some(counts) = &mut self.counts {
            counts.reset();
        }
        self.sum = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(millis: impl IntoIterator<Item = i64>) -> Stage {
        let mut stage = Stage::default();
        millis.into_iter().for_each(|millis| stage.record(Span::from_millis(millis)));
        stage
    }

    #[test]
    fn the_middle_the_tail_and_the_worst_are_within_a_percent() {
        let spread = of(1..=1_000).spread();
        assert_eq!(spread.count, 1_000);
        for (told, true_millis) in [(spread.p50, 500), (spread.p99, 990), (spread.max, 1_000)] {
            let off = (told.micros() - true_millis * 1_000).abs();
            assert!(off <= true_millis * 10, "{told} instead of {true_millis} ms");
        }
    }

    #[test]
    fn nothing_counted_is_nothing() {
        assert_eq!(Stage::default().spread(), Spread::default());
        let mut stage = of([5]);
        stage.clear();
        assert_eq!((stage.count(), stage.sum(), stage.spread()), (0, Span(0), Spread::default()));
    }

    #[test]
    fn a_clock_that_stepped_back_and_an_endless_wait_stay_in_bounds() {
        let stage = of([-1_000, i64::MAX]);
        assert_eq!(stage.count(), 2);
        assert_eq!(stage.between(None, Span(0)), 1);
        assert!(stage.sum() <= Span::from_secs(3_600));
    }

    #[test]
    fn the_parts_of_a_stretch_add_up_to_it() {
        let stage = of([1, 2, 3, 40, 50]);
        let (low, high) = (Span::from_millis(10), Span::from_millis(100));
        assert_eq!(stage.between(None, low), 3);
        assert_eq!(stage.between(Some(low), high), 2);
        assert_eq!(stage.between(None, high), 5);
    }
}
