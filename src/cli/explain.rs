//! `explain` and `schema`.

use super::args::Explain;
use crate::cause::Cause;
use crate::event::JSON_SCHEMA;
use crate::report::{Ink, Style, clean, explain};
use std::io::{self, Write};

/// Prints the page of a cause, or the list of causes. The error says which words are known.
pub fn run(args: &Explain, style: Style) -> Result<(), String> {
    let page = match &args.cause {
        Some(word) => explain::render(find(word)?, style),
        None => list(style),
    };
    print(&page)
}

/// Prints the JSON Schema of the events.
pub fn schema() -> Result<(), String> {
    print(JSON_SCHEMA)
}

/// Prints to standard output. A reader that went away (`| head`) is no error.
pub(super) fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// Every cause with its first sentence.
fn list(style: Style) -> String {
    let mut out = String::new();
    for cause in Cause::ALL {
        let word = style.ink(Ink::Cyan, format!("{:<20}", cause.word()));
        out.push_str(format!("{word}{}", explain::in_short(cause)).trim_end());
        out.push('\n');
    }
    out
}

/// The cause of a word: its own or one of its reasons'; case and hyphens do not matter.
fn find(typed: &str) -> Result<Cause, String> {
    let word = typed.to_ascii_lowercase().replace(['-', ' '], "_");
    let of_reason = || {
        let has = |cause: &Cause| cause.reasons().iter().any(|reason| reason.word == word);
        Cause::ALL.into_iter().find(has)
    };
    Cause::from_word(&word).or_else(of_reason).ok_or_else(|| {
        let known = Cause::ALL.map(Cause::word).join(", ");
        let meant = nearest(&word).map_or_else(String::new, |meant| format!(" did you mean {meant}?"));
        format!("no cause is called {:?};{meant} the causes are: {known}", clean(typed))
    })
}

/// The known word nearest to what was typed, if any is near.
fn nearest(typed: &str) -> Option<&'static str> {
    // Longer words than ours are no slip of the finger; the bound also keeps the comparison small.
    if typed.chars().count() > 40 {
        return None;
    }
    let causes = Cause::ALL.into_iter().map(Cause::word);
    let reasons = Cause::ALL.into_iter().flat_map(Cause::reasons).map(|reason| reason.word);
    let part = |word: &&str| typed.len() >= 4 && word.contains(typed);
    causes.clone().find(part).or_else(|| {
        let near = causes.chain(reasons).map(|word| (distance(typed, word), word));
        near.filter(|&(far, word)| far <= word.len() / 3).min().map(|(_, word)| word)
    })
}

/// Levenshtein's distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = i + 1;
        next.push(left);
        for ((&diagonal, &above), y) in row.iter().zip(row.iter().skip(1)).zip(b.chars()) {
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_found_however_it_is_spelled() {
        for typed in ["expired_cert", "Expired-Cert", "EXPIRED CERT"] {
            assert_eq!(find(typed), Ok(Cause::ExpiredCert));
        }
    }

    #[test]
    fn a_reason_leads_to_its_cause() {
        for cause in Cause::ALL {
            for reason in cause.reasons() {
                // A word may belong to two causes; the first is as good.
                assert!(find(reason.word).unwrap().reasons().iter().any(|r| r.word == reason.word));
            }
        }
    }

    #[test]
    fn an_unknown_word_gets_a_suggestion_and_the_list() {
        let error = find("expird_cert").unwrap_err();
        assert!(error.contains("did you mean expired_cert?"), "{error}");
        assert!(find("mismatch").unwrap_err().contains("did you mean name_mismatch?"));
        let error = find("weather").unwrap_err();
        assert!(!error.contains("did you mean"), "{error}");
        for cause in Cause::ALL {
            assert!(error.contains(cause.word()));
        }
        assert!(!find("\u{1b}[2J").unwrap_err().contains('\u{1b}'));
    }

    #[test]
    fn distances_are_counted_in_edits() {
        for (a, b, far) in [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("é", "e", 1)] {
            assert_eq!(distance(a, b), far);
        }
    }

    #[test]
    fn the_list_names_every_cause() {
        let list = list(Style::default());
        assert_eq!(list.lines().count(), Cause::ALL.len());
    }
}
