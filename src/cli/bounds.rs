//! The bounds of [`Limits`] that whoever runs a gateway may set, and how they are written.

use crate::base::{Limits, Span};

/// One bound: its key under `[limits]`, what it may be, and where it lies.
pub struct Bound {
    /// The key.
    pub key: &'static str,
    least: u64,
    most: u64,
    place: fn(&mut Limits) -> Place<'_>,
}

/// Where a bound lies, and so its unit.
enum Place<'a> {
    Count(&'a mut usize),
    Bytes(&'a mut usize),
    Time(&'a mut Span),
}

const fn count(key: &'static str, least: u64, most: u64, place: fn(&mut Limits) -> Place<'_>) -> Bound {
    Bound { key, least, most, place }
}

const fn time(key: &'static str, place: fn(&mut Limits) -> Place<'_>) -> Bound {
    // From a tenth of a second, below which no network answers reliably, to a day.
    Bound { key, least: 100_000, most: 86_400_000_000, place }
}

/// All of them, in the order of the example file.
pub const BOUNDS: &[Bound] = &[
    count("flows", 1_024, 1 << 26, |limits| Place::Count(&mut limits.flows)),
    count("under_way", 1_024, 1 << 26, |limits| Place::Count(&mut limits.under_way)),
    time("remembered", |limits| Place::Time(&mut limits.remembered)),
    count("bytes_per_shard", 1 << 20, 1 << 40, |limits| Place::Bytes(&mut limits.bytes_per_shard)),
    count("bytes_per_side", 16 << 10, 16 << 20, |limits| Place::Bytes(&mut limits.bytes_per_side)),
    count("holes_per_side", 1, 4_096, |limits| Place::Count(&mut limits.holes_per_side)),
    count("fragments", 0, 1 << 20, |limits| Place::Count(&mut limits.fragments)),
    count("asides", 1, 1 << 24, |limits| Place::Count(&mut limits.asides)),
    count("servers", 1, 1 << 24, |limits| Place::Count(&mut limits.servers)),
    count("certificates", 1, 1 << 24, |limits| Place::Count(&mut limits.certificates)),
    time("syn_answer", |limits| Place::Time(&mut limits.syn_answer)),
    time("stall", |limits| Place::Time(&mut limits.stall)),
    time("idle", |limits| Place::Time(&mut limits.idle)),
    time("linger", |limits| Place::Time(&mut limits.linger)),
    time("after_end", |limits| Place::Time(&mut limits.after_end)),
    time("sibling", |limits| Place::Time(&mut limits.sibling)),
    time("fragment_wait", |limits| Place::Time(&mut limits.fragment_wait)),
];

/// Units of time in microseconds, and of bytes; the longest come first.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("ms", 1_000)];
const SIZES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl Bound {
    /// Its value, as it is written in the file.
    pub fn text(&self, limits: &Limits) -> String {
        let mut limits = limits.clone();
        match (self.place)(&mut limits) {
            Place::Count(count) => count.to_string(),
            Place::Bytes(bytes) => with_unit(*bytes as u64, &SIZES, ""),
            Place::Time(span) => with_unit(span.0.unsigned_abs(), &TIMES, " µs"),
        }
    }

    /// Sets it.
    ///
    /// # Errors
    /// What is allowed instead.
    pub fn set(&self, limits: &mut Limits, text: &str) -> Result<(), String> {
        let within = |value: Option<u64>| value.filter(|value| (self.least..=self.most).contains(value));
        let [least, most] = [self.least, self.most];
        match (self.place)(limits) {
            Place::Count(place) => {
                let value = within(text.parse().ok());
                *place = value
                    .and_then(|value| usize::try_from(value).ok())
                    .ok_or_else(|| format!("takes a number from {least} to {most}"))?;
            }
            Place::Bytes(place) => {
                let value = within(bytes(text));
                *place = value.and_then(|value| usize::try_from(value).ok()).ok_or_else(|| {
                    let [least, most] = [least, most].map(|bytes| with_unit(bytes, &SIZES, ""));
                    format!("takes bytes from {least} to {most} (a number, or with KiB, MiB or GiB)")
                })?;
            }
            Place::Time(place) => {
                let value = within(micros(text));
                *place = Span(value.and_then(|value| i64::try_from(value).ok()).ok_or_else(|| {
                    let [least, most] = [least, most].map(|span| with_unit(span, &TIMES, " µs"));
                    format!("takes a time from {least} to {most} (with ms, s, min or h)")
                })?);
            }
        }
        Ok(())
    }
}

/// A number of bytes: `1048576`, `1024 KiB`, `1MiB`.
pub fn bytes(text: &str) -> Option<u64> {
    scaled(text, &SIZES).or_else(|| text.trim().parse().ok())
}

/// A time in microseconds: `500 ms`, `30 s`, `10min`, `1 h`. A bare number would leave its unit to be guessed.
pub fn micros(text: &str) -> Option<u64> {
    scaled(text, &TIMES)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// In the greatest unit that leaves no rest.
fn with_unit(value: u64, units: &[(&str, u64)], bare: &str) -> String {
    match units.iter().find(|(_, scale)| value >= *scale && value.is_multiple_of(*scale)) {
        Some((name, scale)) => format!("{} {name}", value / scale),
        None => format!("{value}{bare}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_takes_its_default_and_gives_it_back() {
        for bound in BOUNDS {
            let mut limits = Limits::default();
            let text = bound.text(&limits);
            assert_eq!(bound.set(&mut limits, &text), Ok(()), "{} = {text}", bound.key);
            assert_eq!(limits, Limits::default(), "{} = {text}", bound.key);
        }
    }

    #[test]
    fn every_bound_is_another_field() {
        for bound in BOUNDS {
            let mut limits = Limits::default();
            let least = match (bound.place)(&mut limits) {
                Place::Count(_) | Place::Bytes(_) => bound.least.to_string(),
                Place::Time(_) => with_unit(bound.least, &TIMES, ""),
            };
            assert_eq!(bound.set(&mut limits, &least), Ok(()));
            let changed = BOUNDS.iter().filter(|b| b.text(&limits) != b.text(&Limits::default()));
            assert_eq!(changed.map(|bound| bound.key).collect::<Vec<_>>(), [bound.key]);
        }
    }

    #[test]
    fn sizes_and_times_are_written_with_their_units() {
        assert_eq!(["64 MiB", "64MiB", "67108864"].map(bytes), [Some(64 << 20); 3]);
        assert_eq!(["30 s", "30s", "30000 ms"].map(micros), [Some(30_000_000); 3]);
        assert_eq!(["", "s", "30", "30 d", "-1 s", "99999999999999999 h"].map(micros), [None; 6]);
        assert_eq!(["", "MiB", "1 MB", "99999999999999999 GiB"].map(bytes), [None; 4]);
    }

    #[test]
    fn a_value_out_of_bounds_is_answered_with_the_bounds() {
        let said = |key: &str, text: &str| {
            let bound = BOUNDS.iter().find(|bound| bound.key == key).unwrap();
            bound.set(&mut Limits::default(), text).unwrap_err()
        };
        assert_eq!(said("flows", "3"), "takes a number from 1024 to 67108864");
        assert_eq!(said("stall", "30"), "takes a time from 100 ms to 24 h (with ms, s, min or h)");
        assert!(said("bytes_per_shard", "lots").starts_with("takes bytes from 1 MiB to 1024 GiB"));
    }
}
