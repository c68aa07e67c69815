//! A cause's page: the `//!` lines of its source, then its reasons and what to do about each.

use super::style::{Ink, Style, wrap};
use crate::cause::Cause;

/// Renders a cause's page. Ends with a line break.
pub fn render(cause: Cause, style: Style) -> String {
    let mut out = style.ink(Ink::Bold, cause.word()) + "\n\n";
    page(cause.source(), style, &mut out);
    if !cause.reasons().is_empty() {
        out.push_str(&format!("\n{}\n", style.ink(Ink::Bold, "Reasons")));
    }
    for reason in cause.reasons() {
        out.push_str(&format!("\n  {}\n", style.ink(Ink::Cyan, reason.word)));
        hanging(reason.remedy, "    ", "    ", style, &mut out);
        for (n, step) in reason.steps.iter().enumerate() {
            let start = format!("    {}. ", n + 1);
            hanging(step, &start, &" ".repeat(start.len()), style, &mut out);
        }
    }
    out
}

/// The first sentence of a cause's page.
pub fn in_short(cause: Cause) -> String {
    let lines: Vec<_> = lines(cause.source()).take_while(|line| !line.is_empty()).collect();
    let text = lines.join(" ");
    match text.split_once(". ") {
        Some((sentence, _)) => format!("{sentence}."),
        None => text,
    }
}

/// The text of a source's `//!` lines.
fn lines(source: &str) -> impl Iterator<Item = &str> {
    source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
}

/// Headings stand out, paragraphs and items fill the page, fenced lines stay as they are.
fn page(source: &str, style: Style, out: &mut String) {
    let mut block = String::new();
    let mut fenced = false;
    let mut headed = false;
    for line in lines(source) {
        if line.starts_with("```") {
            flush(&mut block, style, out);
            fenced = !fenced;
        } else if fenced {
            out.push_str(&format!("    {line}\n"));
        } else if let Some(heading) = line.strip_prefix('#') {
            flush(&mut block, style, out);
            if !out.ends_with("\n\n") {
                out.push('\n');
            }
            out.push_str(&format!("{}\n", style.ink(Ink::Bold, heading.trim_start_matches('#').trim())));
        } else if line.is_empty() {
            flush(&mut block, style, out);
            if !out.ends_with("\n\n") && !headed {
                out.push('\n');
            }
        } else {
            if is_item(line) {
                flush(&mut block, style, out);
            } else if !block.is_empty() {
                block.push(' ');
            }
            block.push_str(line.trim());
        }
        headed = line.starts_with('#') && !fenced;
    }
    flush(&mut block, style, out);
}

fn is_item(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("- ") || line.starts_with("* ") || line.starts_with('|') || {
        let digits = line.chars().take_while(char::is_ascii_digit).count();
        digits > 0 && line.get(digits..).is_some_and(|rest| rest.starts_with(". "))
    }
}

fn flush(block: &mut String, style: Style, out: &mut String) {
    let text = std::mem::take(block);
    let indent = if is_item(&text) { "    " } else { "  " };
    if !text.is_empty() {
        hanging(&text, "  ", indent, style, out);
    }
}

fn hanging(text: &str, first: &str, others: &str, style: Style, out: &mut String) {
    for (n, line) in wrap(text, style.columns() - others.len().max(first.len())).iter().enumerate() {
        out.push_str(&format!("{}{line}\n", if n == 0 { first } else { others }));
    }
}

#[cfg(test)]
mod tests {
    use super::super::style::width;
    use super::*;

    const SOURCE: &str = "//! The certificate names other hosts\n//! than the one asked for. More.\n//!\n//! # Symptoms\n//!\n//! \
        curl exits 60.\n//!\n//! # References\n//! - RFC 9525 section 6\n//!   (matching)\n//! - RFC 6066\n\nuse x;\n";

    #[test]
    fn a_page_is_the_heading_of_its_source() {
        let mut out = String::new();
        page(SOURCE, Style::default(), &mut out);
        let expected = "  The certificate names other hosts than the one asked for. More.\n\nSymptoms\n  curl exits 60.\n\n\
            References\n  - RFC 9525 section 6 (matching)\n  - RFC 6066\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn headings_are_bold_on_a_terminal() {
        let mut out = String::new();
        page(SOURCE, Style { colour: true, width: 80 }, &mut out);
        assert!(out.contains("\u{1b}[1mSymptoms\u{1b}[0m"));
    }

    #[test]
    fn every_cause_has_a_page_that_fits() {
        for cause in Cause::ALL {
            let page = render(cause, Style { colour: false, width: 80 });
            assert!(page.starts_with(cause.word()));
            assert!(page.lines().all(|line| width(line) <= 80), "{page}");
            assert!(!in_short(cause).is_empty());
        }
    }
}
