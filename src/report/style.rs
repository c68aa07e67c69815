//! Widths and colours: what every page for people shares.

use crate::event::is_unprintable;
use std::fmt::Display;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How to render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to use ANSI colours.
    pub colour: bool,
    /// Columns of the terminal; [`Style::columns`] keeps it within reason.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { colour: false, width: 100 }
    }
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// A title.
    Bold,
    /// Beside the point.
    Dim,
    /// A failure, a cause.
    Red,
    /// A success.
    Green,
    /// Something to note.
    Yellow,
    /// A name to type.
    Cyan,
}

impl Style {
    /// The narrowest and the widest page: below, nothing fits; above, lines are hard to follow.
    const COLUMNS: (usize, usize) = (40, 160);

    /// Columns to fill.
    pub fn columns(self) -> usize {
        self.width.clamp(Self::COLUMNS.0, Self::COLUMNS.1)
    }

    /// The text in its colour.
    pub fn ink(self, ink: Ink, text: impl Display) -> String {
        let code = match ink {
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Red => "1;31",
            Ink::Green => "32",
            Ink::Yellow => "33",
            Ink::Cyan => "36",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// The text as it may be shown: what a peer sent cannot steer the terminal or reorder the line.
pub fn clean(text: &str) -> String {
    if !text.chars().any(is_unprintable) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_unprintable(c) { '\u{fffd}' } else { c }).collect()
}

/// Columns that a text takes; East Asian wide characters take two.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text in at most `columns`, its end replaced by `…` where it does not fit.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = take(text, columns.saturating_sub(1)).to_owned();
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The text filled with spaces to `columns`, or cut to them.
pub fn pad(text: &str, columns: usize) -> String {
    let mut kept = cut(text, columns);
    kept.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&kept))));
    kept
}

/// The text in lines of at most `columns`, broken at spaces, words longer than a line wherever they must.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for mut word in text.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) <= columns {
            line.push(' ');
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        while width(word) > columns {
            let head = take(word, columns);
            lines.push(head.to_owned());
            word = word.get(head.len()..).unwrap_or_default();
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The longest beginning that fits in `columns`.
fn take(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let end = text
        .char_indices()
        .find(|(_, c)| {
            used += c.width().unwrap_or(0);
            used > columns
        })
        .map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default()
}

/// A count with thousands set apart: `40,311`.
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 packet`, `2 packets`.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(cut("例え.テスト", 7), "例え.…");
        assert_eq!(width(&pad("例え.テスト", 8)), 8);
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("any", 0), "");
    }

    #[test]
    fn no_line_is_longer_than_the_page() {
        let text =
            "the leaf names a-very-long-host-name.that.does.not.fit.example and 例え例え例え例え例え only";
        for columns in 2..50 {
            let lines = wrap(text, columns);
            assert!(lines.iter().all(|line| width(line) <= columns), "{columns}: {lines:?}");
            let without_spaces = |s: &str| s.replace(' ', "");
            assert_eq!(without_spaces(&lines.concat()), without_spaces(text));
        }
    }

    #[test]
    fn a_peer_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[31m\u{202e}b"), "a\u{fffd}[31m\u{fffd}b");
    }

    #[test]
    fn thousands_are_set_apart() {
        for (count, said) in [(0, "0"), (999, "999"), (1_000, "1,000"), (40_311_000, "40,311,000")] {
            assert_eq!(thousands(count), said);
        }
    }
}
