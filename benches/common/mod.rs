//! What the benches share: captures, programs that read them, what a child process cost.
#![allow(dead_code, reason = "each bench uses its part")]

pub mod child;
pub mod crowd;
pub mod frame;
pub mod gateway;
pub mod store;
pub mod traffic;

use std::time::Duration;

/// The word behind an option, as in `--mb 200`.
pub fn option(arguments: &[String], name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).cloned()
}

/// The number behind an option.
pub fn number(arguments: &[String], name: &str) -> Option<u64> {
    option(arguments, name)?.replace('_', "").parse().ok()
}

/// The program to measure: `--program PATH`, else the one built with the bench.
pub fn program(arguments: &[String]) -> String {
    option(arguments, "--program").unwrap_or_else(|| env!("CARGO_BIN_EXE_tlswhy").to_owned())
}

/// More arguments for the program, separated by spaces: `--with "--workers 2"`.
pub fn with(arguments: &[String]) -> Vec<String> {
    option(arguments, "--with")
        .map_or_else(Vec::new, |with| with.split_whitespace().map(str::to_owned).collect())
}

pub fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of.get(of.len() / 2).copied().unwrap_or_default()
}

/// Whole numbers with commas.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
