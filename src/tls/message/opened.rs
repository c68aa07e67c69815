//! Messages that TLS 1.3 always seals.

use std::io::Read as _;

use super::super::codes::ExtensionType;
use super::super::cursor::Cursor;

/// What a server says behind its hello (RFC 9846 section 4.3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptedExtensions {
    /// The protocol chosen.
    pub alpn: Option<String>,
    /// Early data is taken.
    pub early_data: bool,
}

/// Reads EncryptedExtensions. `None`: it ends early.
pub fn encrypted_extensions(body: &[u8]) -> Option<EncryptedExtensions> {
    let mut extensions = Cursor(Cursor(body).vec16()?);
    let mut read = EncryptedExtensions::default();
    while !extensions.is_empty() {
        let kind = ExtensionType(extensions.u16()?);
        let mut body = Cursor(extensions.vec16()?);
        match kind {
            ExtensionType::ALPN => {
                let protocol = Cursor(body.vec16()?).vec8()?;
                read.alpn = Some(String::from_utf8_lossy(protocol).into_owned());
            }
            ExtensionType::EARLY_DATA => read.early_data = true,
            _ => {}
        }
    }
    Some(read)
}

/// The Certificate message inside a CompressedCertificate (RFC 8879 section 4): zlib, brotli or zstd. `None`: it ends
/// early, is damaged, of another algorithm, or unpacks to another length than it says or to more than `most` bytes.
pub fn uncompressed_certificate(body: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut cursor = Cursor(body);
    let algorithm = cursor.u16()?;
    let len = cursor.u24().filter(|&len| len <= most)?;
    let packed = cursor.vec24()?;
    let mut message = Vec::with_capacity(len);
    let bound = u64::try_from(len).ok()?.saturating_add(1);
    match algorithm {
        1 => flate2::read::ZlibDecoder::new(packed).take(bound).read_to_end(&mut message).ok()?,
        2 => brotli_decompressor::Decompressor::new(packed, 4_096)
            .take(bound)
            .read_to_end(&mut message)
            .ok()?,
        3 => zstd::stream::read::Decoder::new(packed).ok()?.take(bound).read_to_end(&mut message).ok()?,
        _ => return None,
    };
    (message.len() == len).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_protocol_and_early_data_are_read() {
        let body = b"\x00\x0d\x00\x10\x00\x05\x00\x03\x02h2\x00\x2a\x00\x00";
        let read = encrypted_extensions(body).unwrap();
        assert_eq!((read.alpn.as_deref(), read.early_data), (Some("h2"), true));
        assert_eq!(encrypted_extensions(b"\0\0").unwrap(), EncryptedExtensions::default());
        assert_eq!(encrypted_extensions(&body[..12]), None);
    }

    fn packed(algorithm: u8, len: u8, bytes: &[u8]) -> Vec<u8> {
        let packed_len = u8::try_from(bytes.len()).unwrap();
        [&[0, algorithm, 0, 0, len, 0, 0, packed_len], bytes].concat()
    }

    #[test]
    fn certificates_are_unpacked_as_long_as_they_say() {
        let plain = b"certificate certificate certificate";
        let zlib = {
            use std::io::Write as _;
            let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            writer.write_all(plain).unwrap();
            writer.finish().unwrap()
        };
        let zstd = zstd::encode_all(&plain[..], 3).unwrap();
        // An uncompressed meta-block of brotli (RFC 7932 section 9.2), then the last, empty one.
        let brotli = [&[0x0c, 0x11, 0x80][..], plain, &[0x03]].concat();
        for (algorithm, bytes) in [(1, &zlib), (3, &zstd)] {
            let whole = packed(algorithm, 35, bytes);
            assert_eq!(uncompressed_certificate(&whole, 100).unwrap(), plain, "{algorithm}");
            assert_eq!(uncompressed_certificate(&whole, 34), None);
            assert_eq!(uncompressed_certificate(&packed(algorithm, 34, bytes), 100), None);
            assert_eq!(uncompressed_certificate(&packed(algorithm, 36, bytes), 100), None);
            assert_eq!(uncompressed_certificate(&whole[..20], 100), None);
        }
        assert_eq!(uncompressed_certificate(&packed(2, 36, &brotli), 100), None);
        assert_eq!(uncompressed_certificate(&packed(9, 35, plain), 100), None);
    }
}
