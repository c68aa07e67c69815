//! Base64, as certificates in PEM and OCSP requests in URLs use it.

/// Decodes RFC 4648 section 4 and 5 (both alphabets). White space is ignored, padding is optional.
/// `None`: another letter is in it.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0u32, 0);
    for letter in text.trim_end_matches(['=', '\r', '\n', ' ']).bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
        held &= (1 << bits) - 1;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_decodes_with_and_without_padding() {
        for (text, want) in [("TQ==", "M"), ("TWE", "Ma"), ("TWFu", "Man"), ("TW\nFu", "Man"), ("", "")] {
            assert_eq!(decode(text).as_deref(), Some(want.as_bytes()));
        }
        assert_eq!(decode("T!"), None);
        assert_eq!(decode("-_-_"), decode("+/+/"));
    }
}
