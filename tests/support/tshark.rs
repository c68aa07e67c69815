//! What tshark reads of a capture, to compare with: rows of fields, and JA4 made of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::tell;

/// The fields of one packet, as tshark writes them.
pub type Row = BTreeMap<&'static str, String>;

/// Whether it is installed; a test that goes without it says so.
pub fn is_there() -> bool {
    let there = Command::new("tshark").arg("--version").output().is_ok_and(|out| out.status.success());
    if !there {
        tell("skipped: no tshark here");
    }
    there
}

/// The packets of a capture that pass the filter; what is sealed stays so but for the keys inside of the capture.
pub fn rows(capture: &Path, options: &[&str], filter: &str, fields: &[&'static str]) -> Vec<Row> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture).args(["-o", "tls.keylog_file:"]).args(options);
    command.args(["-Y", filter, "-T", "fields", "-E", "separator=|"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    // A capture that is cut short is read up to there.
    let read = output.status.success() || errors.contains("cut short");
    assert!(read, "tshark of {}: {errors}", capture.display());
    let text = String::from_utf8(output.stdout).expect("fields are UTF-8");
    let row = |line: &str| fields.iter().copied().zip(line.split('|').map(str::to_owned)).collect();
    text.lines().map(row).collect()
}

/// The address of either family under these fields.
pub fn address(row: &Row, v4: &str, v6: &str) -> String {
    if row[v4].is_empty() { row[v6].clone() } else { row[v4].clone() }
}

/// A number, decimal or behind `0x`.
pub fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The numbers of a field with several values.
pub fn numbers(list: &str) -> Vec<u64> {
    list.split(',').filter_map(number).collect()
}

/// Whether a value stands there so that nobody relies on its absence (RFC 8701).
pub fn is_grease(n: u64) -> bool {
    n & 0x0f0f == 0x0a0a && n >> 8 == n & 0xff
}

/// The bytes of hexadecimal digits, with colons between them or without.
pub fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).expect("a byte")).collect()
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What JA4 is made of; GREASE may stand in the lists.
pub struct Hello<'a> {
    /// As JA4 writes them: `q13`, `dd2`.
    pub transport_and_version: &'a str,
    pub ciphers: Vec<u64>,
    pub extensions: Vec<u64>,
    pub schemes: Vec<u64>,
    /// The first protocol of ALPN, or nothing.
    pub protocol: &'a str,
}

impl Hello<'_> {
    /// JA4 as its specification says.
    pub fn ja4(mut self) -> String {
        let hex = |list: &[u64]| list.iter().map(|n| format!("{n:04x}")).collect::<Vec<_>>().join(",");
        let short = |text: &str| {
            if text.is_empty() { "0".repeat(12) } else { sha256(text.as_bytes())[..12].to_owned() }
        };
        for list in [&mut self.ciphers, &mut self.extensions, &mut self.schemes] {
            list.retain(|&n| !is_grease(n));
        }
        let named = if self.extensions.contains(&0) { 'd' } else { 'i' };
        let protocol = match (self.protocol.chars().next(), self.protocol.chars().last()) {
            (Some(first), Some(last)) => format!("{first}{last}"),
            _ => "00".to_owned(),
        };
        let (ciphers, extensions) = (self.ciphers.len().min(99), self.extensions.len().min(99));
        let start = format!("{}{named}{ciphers:02}{extensions:02}{protocol}", self.transport_and_version);
        self.ciphers.sort_unstable();
        self.extensions.retain(|kind| ![0, 16].contains(kind));
        self.extensions.sort_unstable();
        let schemes = hex(&self.schemes);
        let tail = match (self.extensions.is_empty(), schemes.is_empty()) {
            (true, _) => String::new(),
            (false, true) => hex(&self.extensions),
            (false, false) => format!("{}_{schemes}", hex(&self.extensions)),
        };
        format!("{start}_{}_{}", short(&hex(&self.ciphers)), short(&tail))
    }
}
