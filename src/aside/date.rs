//! The clock of who answers over HTTP.

use crate::base::time::days;
use crate::base::{Span, Stamp};

/// Lines of a head looked at: servers send Date among the first.
const LINES: usize = 32;

/// The sender's time in the head of an answer: its Date (RFC 9110 section 6.6.1), and its Age added where a cache hands on
/// what another host dated (RFC 9111 section 5.1). `None` where the head has no Date that can be read; the head may go
/// on in later bytes.
pub fn clock(answer: &[u8]) -> Option<Stamp> {
    if !is_answer(answer) {
        return None;
    }
    let (mut date, mut age) = (None, 0);
    for line in answer.split(|&octet| octet == b'\n').skip(1).take(LINES) {
        match line {
            [b'\r'] | [] => break,
            // Whole, with its end.
            [.., b'\r'] => {}
            _ => continue,
        }
        let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':')) else {
            continue;
        };
        if name.eq_ignore_ascii_case("date") {
            date = read(value.trim());
        } else if name.eq_ignore_ascii_case("age") {
            age = value.trim().parse::<u32>().unwrap_or(0).into();
        }
    }
    date.map(|date| date + Span::from_secs(age))
}

/// The first bytes of an HTTP/1 answer.
#[inline]
pub fn is_answer(payload: &[u8]) -> bool {
    matches!(payload, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', ..])
}

/// IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT`: what senders must send (RFC 9110 section 5.6.7). The two obsolete forms
/// are not read.
pub fn read(text: &str) -> Option<Stamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let mut number = |len: usize, most: i64| {
        let word = words.next().filter(|word| word.len() == len)?;
        Some(word)
            .filter(|word| word.bytes().all(|octet| octet.is_ascii_digit()))?
            .parse()
            .ok()
            .filter(|&number| number <= most)
    };
    let day: i64 = number(2, 31)?;
    let month = words.next()?;
    let month = MONTHS.iter().zip(1..).find(|(name, _)| **name == month)?.1;
    let year: i64 = words.next().filter(|year| year.len() == 4)?.parse().ok().filter(|&year| year >= 1970)?;
    let time = words.next().filter(|time| time.len() == 8)?;
    let mut seconds = 0;
    for (part, most) in time.split(':').zip([23, 59, 60]) {
        let part: u32 = part.parse().ok().filter(|&part| part <= most)?;
        seconds = seconds * 60 + i64::from(part);
    }
    let whole =
        time.split(':').count() == 3 && day > 0 && words.next() == Some("GMT") && words.next().is_none();
    whole.then(|| Stamp::from_secs(days(year, month, day) * 86_400 + seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_date_is_read_in_the_form_that_senders_must_use() {
        let date = |text| read(text).map(|stamp| stamp.to_string());
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT").as_deref(), Some("1994-11-06T08:49:37.000000Z"));
        assert_eq!(date("Thu, 01 Jan 1970 00:00:00 GMT").as_deref(), Some("1970-01-01T00:00:00.000000Z"));
        for other in [
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "0",
            "",
        ] {
            assert_eq!(date(other), None, "{other}");
        }
    }

    #[test]
    fn the_clock_of_who_answers_is_its_date_and_the_age_of_what_it_keeps() {
        let fresh = b"HTTP/1.1 200 OK\r\nServer: x\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nbody";
        let sent = Stamp::from_secs(784_111_777);
        assert_eq!(clock(fresh), Some(sent));
        let kept = b"HTTP/1.1 200 OK\r\nAge: 60\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
        assert_eq!(clock(kept), Some(sent + Span::from_secs(60)));
    }

    #[test]
    fn absent_where_the_date_is_in_the_body_or_cut_or_not_http() {
        assert_eq!(clock(b"HTTP/1.1 200 OK\r\n\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), None);
        assert_eq!(clock(b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GM"), None);
        assert_eq!(clock(b"SIP/2.0 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,40}") {
            clock(&[b"HTTP/1.1 200\r\nDate:".as_slice(), &bytes].concat());
            read(&text);
        }
    }
}
