//! A small JSON writer: objects go straight into a byte buffer, no tree between.
//!
//! Whatever the strings hold, the output is valid UTF-8 on one line and shows no control character: those of RFC 8259
//! section 7 must be escaped; DEL, C1 controls, line separators and bidirectional overrides are escaped as well, since
//! events are read on terminals and hostile names travel in them.

use std::fmt::{self, Write as _};

/// An open object. Members are written in the order of the calls.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

/// Writes one object, its members by `fill`.
pub(super) fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fill(&mut Object { out, first: true });
    out.push(b'}');
}

/// Writes members without the braces around them, to be spliced by [`Object::members`].
pub(super) fn members(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    fill(&mut Object { out, first: true });
}

/// Writes one array, each item by `write`.
pub(super) fn array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// Writes one string.
#[inline]
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

/// Writes what a value displays as one string.
pub(super) fn display(value: &impl fmt::Display, out: &mut Vec<u8>) {
    out.push(b'"');
    // Writing into a Vec cannot fail; a Display that says otherwise leaves a shorter string.
    let _ = write!(Escaping(out), "{value}");
    out.push(b'"');
}

/// Writes one whole number.
pub(super) fn integer(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(value.unsigned_abs(), out);
}

/// Writes one whole number.
pub(super) fn unsigned(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut left = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        left -= 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(left..).unwrap_or_default());
}

/// A short text put together in place: to append to a vector byte by byte costs a look at its room for each.
pub(super) struct Short {
    bytes: [u8; 64],
    len: usize,
}

impl Short {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self { bytes: [0; 64], len: 0 }
    }

    /// Adds the first `used` of these bytes.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, bytes: &[u8; N], used: usize) {
        if let Some(room) = self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut) {
            *room = *bytes;
            self.len += used;
        }
    }

    /// Adds a number.
    #[inline]
    pub(super) fn number(&mut self, number: u16) {
        let digits = [10_000, 1_000, 100, 10, 1].map(|unit| b'0' + (number / unit % 10) as u8);
        let [a, b, c, d, e] = digits;
        let zeros = [10, 100, 1_000, 10_000].map(|least| u32::from(number < least)).iter().sum::<u32>();
        let shown = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]) >> (8 * zeros);
        self.put(&shown.to_le_bytes(), 5 - zeros as usize);
    }

    /// What was put together.
    pub(super) fn text(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Writes bytes as lower-case hexadecimal, without quotes.
pub(super) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
    out.reserve(bytes.len() * 2);
    for &byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

/// Writes bytes as lower-case hexadecimal.
pub(super) fn hex_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    hex(bytes, out);
    out.push(b'"');
}

impl Object<'_> {
    /// Writes a member's name; the value is the caller's to write. Names need no escaping: they are ours. Inlined, a name
    /// is a few constants to store.
    #[inline(always)]
    pub(super) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        self.begin(name, "")
    }

    /// Writes a member's name and what its value begins with, in one piece: to append costs a look at the room each time.
    #[inline(always)]
    fn begin(&mut self, name: &str, value: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        let mut piece = [0; 48];
        let used = 3 + name.len() + value.len();
        let mut room = &mut piece[..];
        add("\"", &mut room);
        add(name, &mut room);
        add("\":", &mut room);
        add(value, &mut room);
        match piece.get(..used) {
            Some(whole) => self.out.extend_from_slice(whole),
            None => [b"\"", name.as_bytes(), b"\":", value.as_bytes()]
                .into_iter()
                .for_each(|part| self.out.extend_from_slice(part)),
        }
        self.out
    }

    /// Members written by [`members`], one at least.
    #[inline]
    pub(super) fn members(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        write(self.out);
    }

    /// A word of a closed list of ours, which needs no escaping.
    #[inline(always)]
    pub(super) fn word(&mut self, name: &str, word: &'static str) {
        let out = self.begin(name, "\"");
        out.extend_from_slice(word.as_bytes());
        out.push(b'"');
    }

    /// A word as [`Object::word`] writes it, or null.
    #[inline(always)]
    pub(super) fn maybe_word(&mut self, name: &str, word: Option<&'static str>) {
        match word {
            Some(word) => self.word(name, word),
            None => self.null(name),
        }
    }

    /// A truth, or null.
    pub(super) fn maybe_boolean(&mut self, name: &str, value: Option<bool>) {
        match value {
            Some(value) => self.boolean(name, value),
            None => self.null(name),
        }
    }

    /// A string.
    #[inline(always)]
    pub(super) fn string(&mut self, name: &str, text: &str) {
        let out = self.begin(name, "\"");
        escape(text, out);
        out.push(b'"');
    }

    /// A string or null.
    #[inline(always)]
    pub(super) fn maybe_string(&mut self, name: &str, text: Option<&str>) {
        match text {
            Some(text) => self.string(name, text),
            None => self.null(name),
        }
    }

    /// What a value displays, as a string.
    #[inline]
    pub(super) fn display(&mut self, name: &str, value: &impl fmt::Display) {
        display(value, self.key(name));
    }

    /// A whole number.
    #[inline]
    pub(super) fn unsigned(&mut self, name: &str, value: u64) {
        unsigned(value, self.key(name));
    }

    /// A whole number or null.
    #[inline]
    pub(super) fn maybe_integer(&mut self, name: &str, value: Option<i64>) {
        self.maybe(name, value, integer);
    }

    /// True or false.
    #[inline]
    pub(super) fn boolean(&mut self, name: &str, value: bool) {
        self.key(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Null.
    #[inline(always)]
    pub(super) fn null(&mut self, name: &str) {
        self.begin(name, "null");
    }

    /// A value written by `write`, or null.
    #[inline(always)]
    pub(super) fn maybe<T>(&mut self, name: &str, value: Option<T>, write: impl FnOnce(T, &mut Vec<u8>)) {
        match value {
            Some(value) => write(value, self.key(name)),
            None => self.null(name),
        }
    }

    /// An object.
    #[inline(always)]
    pub(super) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        let out = self.begin(name, "{");
        fill(&mut Object { out, first: true });
        out.push(b'}');
    }

    /// An array, each item by `write`.
    #[inline]
    pub(super) fn array<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        write: impl FnMut(T, &mut Vec<u8>),
    ) {
        array(self.key(name), items, write);
    }
}

/// Copies a text to the beginning of the room, which it leaves.
#[inline(always)]
fn add(text: &str, room: &mut &mut [u8]) {
    if let Some((head, rest)) = std::mem::take(room).split_at_mut_checked(text.len()) {
        head.copy_from_slice(text.as_bytes());
        *room = rest;
    }
}

struct Escaping<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(text, self.0);
        Ok(())
    }
}

/// Bytes that need a look: 0xc2 starts the C1 controls, 0xd8 U+061C, 0xe2 the separators and overrides, 0xef U+FEFF.
/// Without a branch, so that many bytes are looked at in one instruction.
const fn suspicious(byte: u8) -> bool {
    (byte < 0x20)
        | (byte == b'"')
        | (byte == b'\\')
        | (byte == 0x7f)
        | (byte == 0xc2)
        | (byte == 0xd8)
        | (byte == 0xe2)
        | (byte == 0xef)
}

/// Whether a byte is not one that ASCII prints, or is suspicious: half as many comparisons.
#[inline(always)]
const fn not_plain(byte: u8) -> bool {
    (byte.cast_signed() < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == 0x7f)
}

/// Whether any byte is such a one, sixteen at once.
#[inline(always)]
fn any(bytes: &[u8], such: impl Fn(u8) -> bool) -> bool {
    let among = |chunk: &[u8; 16]| chunk.iter().fold(0, |any, &byte| any | u8::from(such(byte))) != 0;
    match bytes.last_chunk::<16>() {
        // The last sixteen cover what is left behind the whole ones.
        Some(last) => among(last) || bytes.as_chunks::<16>().0.iter().any(among),
        None => {
            let mut all = [b' '; 16];
            if let Some(room) = all.get_mut(..bytes.len()) {
                room.copy_from_slice(bytes);
            }
            among(&all)
        }
    }
}

fn escape(text: &str, out: &mut Vec<u8>) {
    if any(text.as_bytes(), not_plain) {
        escape_some(text, out);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

#[inline(never)]
fn escape_some(text: &str, out: &mut Vec<u8>) {
    if !any(text.as_bytes(), suspicious) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if is_unprintable(c) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.extend_from_slice(b"\\u");
                    hex(&unit.to_be_bytes(), out);
                }
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Controls (Unicode Cc), line and paragraph separators, and the characters that reorder or hide text (Unicode TR 36
/// section 2.5): never shown raw, in events or on terminals.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        string(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_strings_come_back_whole_and_hide_nothing() {
        for text in
            ["a\"b\\c", "\0\u{1}\n\r\t\u{7f}", "\u{9b}31m", "ev\u{202e}il", "\u{feff}é√😀", "\u{2028}\u{61c}"]
        {
            let json = written(text);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            assert!(!json.chars().any(is_unprintable), "{json:?}");
        }
    }

    #[test]
    fn plain_strings_stay_as_they_are() {
        assert_eq!(written("www.example.com"), "\"www.example.com\"");
        assert_eq!(written("Müller © 例え"), "\"Müller © 例え\"");
    }

    #[test]
    fn short_numbers_are_written_without_leading_zeros() {
        for number in 0..=u16::MAX {
            let mut short = Short::new();
            short.put(b"<", 1);
            short.number(number);
            short.put(b">..", 1);
            assert_eq!(str::from_utf8(short.text()).unwrap(), format!("<{number}>"));
        }
    }

    #[test]
    fn whole_numbers_of_every_size_are_written() {
        for value in [0, 7, 10, -1, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            integer(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
