//! `explain`, `schema`, `completions`, `man`: pages about the program itself.

use std::io::Write as _;

use clap::CommandFactory as _;

use super::args::{Args, ExplainArgs};
use super::{Done, Failure, output};
use crate::cause::Cause;
use crate::report;

/// The page of a cause, or the list of causes.
pub fn run(args: &ExplainArgs) -> Result<Done, Failure> {
    let style = output::style(args.color);
    let text = match &args.cause {
        None => {
            let mut list = String::new();
            for cause in Cause::ALL {
                list.push_str(&format!(
                    "{}  {}\n",
                    report::pad(cause.word(), 18),
                    report::explain::in_short(cause)
                ));
            }
            list
        }
        Some(word) => {
            let cause = find(word).ok_or_else(|| Failure::Says(unknown(word)))?;
            report::explain::render(cause, style)
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Done::Well)
}

/// The word as it would be ours: case, hyphens and blanks do not matter.
fn plain(typed: &str) -> String {
    typed.to_ascii_lowercase().replace(['-', ' '], "_")
}

/// The cause of a word: its own or one of its reasons'.
fn find(typed: &str) -> Option<Cause> {
    let word = plain(typed);
    let has = |cause: &Cause| cause.reasons().iter().any(|reason| reason.word == word);
    Cause::from_word(&word).or_else(|| Cause::ALL.into_iter().find(has))
}

/// What to say of a word that is no cause.
fn unknown(word: &str) -> String {
    let words: Vec<_> = Cause::ALL.into_iter().map(Cause::word).collect();
    let hint = nearest(&plain(word)).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    format!("no cause is called '{}'{hint} (the causes are {})", report::clean(word), words.join(", "))
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
        // What is typed may stand for a whole word or for one of its parts: `expird` for expired_cert.
        let parts = |word: &'static str| std::iter::once(word).chain(word.split('_').filter(|p| p.len() > 4));
        let far = |word| parts(word).filter_map(|part| near_to(typed, part)).min();
        // Equally near, a cause comes before a reason.
        let near = causes.chain(reasons).filter_map(|word| Some((far(word)?, word)));
        near.min_by_key(|&(far, _)| far).map(|(_, word)| word)
    })
}

/// The distance, where it is small for a word of that length.
pub(super) fn near_to(typed: &str, word: &str) -> Option<usize> {
    Some(distance(typed, word)).filter(|&far| far <= word.len() / 3)
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

/// The JSON Schema of the events.
pub fn schema() -> Result<Done, Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(crate::event::JSON_SCHEMA.as_bytes())?;
    Ok(Done::Well)
}

/// A completion script.
pub fn completions(shell: clap_complete::Shell) -> Result<Done, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "tlswhy", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Done::Well)
}

/// The manual page of the program or of one of its commands.
pub fn man(of: Option<&str>) -> Result<Done, Failure> {
    let mut page = Vec::new();
    let mut command = Args::command();
    command.build();
    if let Some(word) = of {
        let names: Vec<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        command = command.find_subcommand(word).cloned().ok_or_else(|| {
            let word = report::clean(word);
            Failure::Says(format!("no command is called '{word}' (the commands are {})", names.join(", ")))
        })?;
    }
    let source = concat!("tlswhy ", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command).source(source).render(&mut page)?;
    std::io::stdout().lock().write_all(&page)?;
    Ok(Done::Well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_found_however_it_is_spelled() {
        for typed in ["expired_cert", "Expired-Cert", "EXPIRED CERT"] {
            assert_eq!(find(typed), Some(Cause::ExpiredCert));
        }
    }

    #[test]
    fn a_reason_leads_to_its_cause() {
        assert_eq!(find("leaf-expired"), Some(Cause::ExpiredCert));
        for cause in Cause::ALL {
            for reason in cause.reasons() {
                // A word may belong to two causes; the first is as good.
                let found = find(reason.word).unwrap();
                assert!(found.reasons().iter().any(|other| other.word == reason.word));
            }
        }
    }

    #[test]
    fn an_unknown_cause_is_answered_with_the_list_and_a_guess() {
        let said = unknown("expired");
        assert!(said.contains("did you mean expired_cert?") && said.contains("broken_chain"), "{said}");
        assert!(unknown("expird_cert").contains("did you mean expired_cert?"));
        assert!(unknown("expird").contains("did you mean expired_cert?"));
        assert!(!unknown("zebra").contains("did you mean"));
        assert!(!unknown("\u{1b}[2J").contains('\u{1b}'));
    }

    #[test]
    fn distances_are_counted_in_edits() {
        for (a, b, far) in [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("é", "e", 1)] {
            assert_eq!(distance(a, b), far);
        }
    }
}
