//! Fingerprints of hellos: JA3, JA3S and JA4.
//!
//! JA3 and JA3S (Salesforce, 2017) are MD5 sums of decimal lists, GREASE left out of JA3. JA4 (FoxIO; the TLS client
//! part is under the BSD licence) has a readable part and two truncated SHA-256 sums over sorted lists, so that it
//! survives a client that shuffles its extensions.

use md5::{Digest, Md5};

use super::codes::{ExtensionType, Version, is_grease};
use super::hello::{Offer, ServerHello};

impl Offer {
    /// The JA3 string: version, suites, extensions, groups and point formats in decimal, in the order sent.
    pub fn ja3_string(&self) -> String {
        let mut out = String::with_capacity(256);
        push_number(&mut out, self.legacy_version.0.into());
        out.push(',');
        push_list(&mut out, self.ciphers.iter().map(|suite| suite.0));
        out.push(',');
        push_list(&mut out, self.extensions.iter().map(|kind| kind.0));
        out.push(',');
        push_list(&mut out, self.groups.iter().map(|group| group.0));
        out.push(',');
        push_list(&mut out, self.point_formats.iter().map(|&format| format.into()));
        out
    }

    /// JA3: the string's MD5, 32 hexadecimal digits.
    pub fn ja3(&self) -> String {
        hex(&Md5::digest(self.ja3_string()), 16)
    }

    /// JA4, such as `t13d1516h2_8daaf6152771_e5627efa2ab1` over TCP, `q13…` over QUIC, `dd2…` of DTLS.
    pub fn ja4(&self) -> String {
        let (ciphers, extensions) = self.ja4_lists();
        format!("{}_{}_{}", self.ja4_start(), short_hash(&ciphers), short_hash(&extensions))
    }

    /// JA4 with the lists themselves in place of their hashes (`JA4_r`).
    pub fn ja4_raw(&self) -> String {
        let (ciphers, extensions) = self.ja4_lists();
        format!("{}_{ciphers}_{extensions}", self.ja4_start())
    }

    /// It came in QUIC: it has that protocol's parameters, by the number of RFC 9001 or that of the drafts.
    pub fn is_of_quic(&self) -> bool {
        self.extensions.iter().any(|kind| matches!(kind.0, 57 | 0xffa5))
    }

    /// The readable part: protocol, version, SNI, two counts, ends of the first ALPN protocol.
    fn ja4_start(&self) -> String {
        let listed = self.supported_versions.iter().copied().filter(|version| !is_grease(version.0));
        let version = match listed.max().unwrap_or(self.legacy_version) {
            Version::TLS13 => "13",
            Version::TLS12 => "12",
            Version::TLS11 => "11",
            Version::TLS10 => "10",
            Version::SSL3 => "s3",
            Version::SSL2 => "s2",
            Version::DTLS10 => "d1",
            Version::DTLS12 => "d2",
            Version::DTLS13 => "d3",
            _ => "00",
        };
        let named = if self.extensions.contains(&ExtensionType::SERVER_NAME) { 'd' } else { 'i' };
        let ciphers = self.ciphers.iter().filter(|suite| !is_grease(suite.0)).count().min(99);
        let extensions = self.extensions.iter().filter(|kind| !is_grease(kind.0)).count().min(99);
        let (first, last) = match self.alpn_ends {
            None => ('0', '0'),
            Some((first, last)) if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() => {
                (first.into(), last.into())
            }
            Some((first, last)) => (hex_digit(first >> 4), hex_digit(last & 15)),
        };
        // The protocol cannot be told otherwise: this extension has no place in a hello over TCP (RFC 9001 section 8.2).
        let transport = match self.legacy_version.is_dtls() {
            true => 'd',
            false if self.is_of_quic() => 'q',
            false => 't',
        };
        format!("{transport}{version}{named}{ciphers:02}{extensions:02}{first}{last}")
    }

    /// Sorted suites; sorted extensions without SNI and ALPN, then signature schemes in the order sent.
    fn ja4_lists(&self) -> (String, String) {
        let mut numbers: Vec<u16> =
            self.ciphers.iter().map(|suite| suite.0).filter(|&n| !is_grease(n)).collect();
        numbers.sort_unstable();
        let mut ciphers = String::with_capacity(numbers.len() * 5);
        push_hex_list(&mut ciphers, &numbers);
        numbers.clear();
        numbers.extend(
            self.extensions.iter().map(|kind| kind.0).filter(|&n| !is_grease(n) && n != 0 && n != 16),
        );
        numbers.sort_unstable();
        let mut extensions = String::with_capacity((numbers.len() + self.signature_schemes.len()) * 5 + 1);
        push_hex_list(&mut extensions, &numbers);
        numbers.clear();
        numbers.extend(self.signature_schemes.iter().map(|scheme| scheme.0).filter(|&n| !is_grease(n)));
        if !extensions.is_empty() && !numbers.is_empty() {
            extensions.push('_');
            push_hex_list(&mut extensions, &numbers);
        }
        (ciphers, extensions)
    }
}

impl ServerHello {
    /// The JA3S string: `legacy_version`, suite and extensions in decimal, in the order sent.
    pub fn ja3s_string(&self) -> String {
        let mut out = String::with_capacity(48);
        push_number(&mut out, self.legacy_version.0.into());
        out.push(',');
        push_number(&mut out, self.cipher.0.into());
        out.push(',');
        push_list(&mut out, self.extensions.iter().map(|kind| kind.0));
        out
    }

    /// JA3S: the string's MD5, 32 hexadecimal digits.
    pub fn ja3s(&self) -> String {
        hex(&Md5::digest(self.ja3s_string()), 16)
    }
}

/// Decimal, without the formatting machinery: fingerprints are made for every handshake.
fn push_number(out: &mut String, n: u32) {
    let mut unit = 1;
    while unit <= n / 10 {
        unit *= 10;
    }
    while unit > 0 {
        out.push(hex_digit((n / unit % 10) as u8));
        unit /= 10;
    }
}

/// Decimal numbers joined by `-`, GREASE left out.
fn push_list(out: &mut String, numbers: impl Iterator<Item = u16>) {
    for (i, n) in numbers.filter(|&n| !is_grease(n)).enumerate() {
        if i > 0 {
            out.push('-');
        }
        push_number(out, n.into());
    }
}

/// Four hexadecimal digits each, joined by commas.
fn push_hex_list(out: &mut String, numbers: &[u16]) {
    for (i, n) in numbers.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        for byte in n.to_be_bytes() {
            out.push(hex_digit(byte >> 4));
            out.push(hex_digit(byte & 15));
        }
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from(if nibble < 10 { b'0' + nibble } else { b'a' - 10 + (nibble & 15) })
}

/// The first `most` bytes in hexadecimal.
fn hex(bytes: &[u8], most: usize) -> String {
    let mut out = String::with_capacity(most * 2);
    for byte in bytes.iter().take(most) {
        out.push(hex_digit(byte >> 4));
        out.push(hex_digit(byte & 15));
    }
    out
}

/// The first six bytes of a list's SHA-256; zeros for an empty list.
fn short_hash(list: &str) -> String {
    if list.is_empty() {
        return "000000000000".to_owned();
    }
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, list.as_bytes()).as_ref(), 6)
}

#[cfg(test)]
mod tests;
