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
            let cause = Cause::from_word(word).ok_or_else(|| Failure::Says(unknown(word)))?;
            report::explain::render(cause, style)
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Done::Well)
}

/// What to say of a word that is no cause.
fn unknown(word: &str) -> String {
    let words: Vec<_> = Cause::ALL.into_iter().map(Cause::word).collect();
    let plain = word.to_ascii_lowercase().replace(['-', ' '], "_");
    let near =
        words.iter().find(|known| **known == plain || known.contains(&plain) || plain.contains(*known));
    let hint =
        near.filter(|_| !plain.is_empty()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    format!("no cause is called '{word}'{hint} (the causes are {})", words.join(", "))
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

/// The manual page.
pub fn man() -> Result<Done, Failure> {
    let mut page = Vec::new();
    let mut command = Args::command();
    command.build();
    clap_mangen::Man::new(command).render(&mut page)?;
    std::io::stdout().lock().write_all(&page)?;
    Ok(Done::Well)
}

#[cfg(test)]
mod tests {
    use super::unknown;

    #[test]
    fn an_unknown_cause_is_answered_with_the_list_and_a_guess() {
        let said = unknown("expired");
        assert!(said.contains("did you mean expired_cert?") && said.contains("broken_chain"), "{said}");
        assert!(!unknown("zebra").contains("did you mean"));
    }
}
