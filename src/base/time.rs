//! Capture time. The core never asks a clock: a [`Stamp`] always comes from a packet.

use std::fmt;
use std::ops::{Add, Sub};

/// A moment of capture time: microseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub i64);

/// A stretch of capture time in microseconds; may be negative where a capture's clock steps back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub i64);

impl Stamp {
    /// From whole seconds since the epoch, as certificates write their dates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The date alone, `2026-11-23`.
    pub fn date(self) -> String {
        let (year, month, day) = civil(self.secs().div_euclid(86_400));
        format!("{year:04}-{month:02}-{day:02}")
    }
}

impl Span {
    /// A day.
    pub const DAY: Self = Self::from_secs(86_400);

    /// From whole seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// From milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }
}

impl Sub for Stamp {
    type Output = Span;
    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Stamp {
    type Output = Stamp;
    fn add(self, span: Span) -> Stamp {
        Stamp(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Stamp {
    type Output = Stamp;
    fn sub(self, span: Span) -> Stamp {
        Stamp(self.0.saturating_sub(span.0))
    }
}

/// RFC 3339 in UTC with microseconds: `2026-11-23T09:30:00.000001Z`.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.secs();
        let (year, month, day) = civil(secs.div_euclid(86_400));
        let of_day = secs.rem_euclid(86_400);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let micros = self.0.rem_euclid(1_000_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

/// As a person says it: `71 µs`, `12.3 ms`, `4.0 s`, `3 min`, `2.5 h`, `17 d`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0;
        let magnitude = micros.unsigned_abs();
        #[expect(clippy::cast_precision_loss, reason = "shown to one decimal")]
        let value = micros as f64;
        match magnitude {
            0..1_000 => write!(f, "{micros} µs"),
            1_000..1_000_000 => write!(f, "{:.1} ms", value / 1e3),
            1_000_000..180_000_000 => write!(f, "{:.1} s", value / 1e6),
            180_000_000..7_200_000_000 => write!(f, "{:.0} min", value / 6e7),
            7_200_000_000..172_800_000_000 => write!(f, "{:.1} h", value / 3.6e9),
            _ => write!(f, "{:.0} d", value / 8.64e10),
        }
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar; months and days count from 1.
pub const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // days since 0000-03-01
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153; // from March
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year_of_era + era * 400 + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_prints_as_rfc_3339() {
        assert_eq!(Stamp(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Stamp(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(Stamp(1_709_164_800_000_042).to_string(), "2024-02-29T00:00:00.000042Z");
    }

    #[test]
    fn days_are_counted_back_and_forth() {
        for day in (-1_000_000..1_000_000).step_by(37) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn a_span_prints_as_a_person_says_it() {
        let cases = [
            (71, "71 µs"),
            (12_345, "12.3 ms"),
            (4_000_000, "4.0 s"),
            (600_000_000, "10 min"),
            (9_000_000_000, "2.5 h"),
            (1_468_800_000_000, "17 d"),
        ];
        for (micros, said) in cases {
            assert_eq!(Span(micros).to_string(), said);
        }
    }
}
