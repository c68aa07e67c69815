//! Bytes of a file, standard input or any reader, decompressed where their magic bytes say so.

use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Compressed inside compressed this deep is unpacked; more is a trick.
const LAYERS: usize = 3;

/// What compressed bytes are read in.
const CHUNK: usize = 256 << 10;

/// Counts the bytes that pass, for a progress bar.
struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// An input whose compression is undone.
pub(super) struct Unpacked {
    pub reader: Box<dyn Read + Send>,
    /// The count of bytes taken from below it.
    pub read: Arc<AtomicU64>,
    pub was_packed: bool,
}

/// Undoes compression, where there is any.
pub(super) fn unpack(reader: Box<dyn Read + Send>) -> io::Result<Unpacked> {
    let count = Arc::new(AtomicU64::new(0));
    let mut reader: Box<dyn Read + Send> = Box::new(Counting { inner: reader, count: Arc::clone(&count) });
    let mut was_packed = false;
    for _ in 0..LAYERS {
        let start = first_bytes(&mut reader)?;
        let packing = Packing::of(&start);
        reader = Box::new(Cursor::new(start).chain(reader));
        was_packed |= packing.is_some();
        reader = match packing {
            None => break,
            Some(Packing::Gzip) => {
                Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(CHUNK, reader)))
            }
            // Its window is bounded by zstd's own default, 128 MiB.
            Some(Packing::Zstd) => {
                Box::new(zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(CHUNK, reader))?)
            }
        };
    }
    Ok(Unpacked { reader, read: count, was_packed })
}

/// Up to four bytes; fewer only where the input has no more.
fn first_bytes(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(4);
    reader.take(4).read_to_end(&mut start)?;
    Ok(start)
}

/// How bytes are compressed.
enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Packing {
    fn of(start: &[u8]) -> Option<Self> {
        match *start {
            [0x1f, 0x8b, 0x08, _] => Some(Self::Gzip),
            // The second is a skippable frame (RFC 8878 section 3.1.2), as pzstd writes first.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstd),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut unpacked = unpack(Box::new(Cursor::new(bytes)))?;
        let mut all = Vec::new();
        unpacked.reader.read_to_end(&mut all).map(|_| all)
    }

    #[test]
    fn every_packing_gives_the_plain_bytes() {
        let plain = b"some bytes that are long enough to be packed packed packed".to_vec();
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        assert_eq!(read(plain.clone()).unwrap(), plain);
        assert_eq!(read(gzip(&plain)).unwrap(), plain);
        assert_eq!(read(zstd.clone()).unwrap(), plain);
        assert_eq!(read(gzip(&zstd)).unwrap(), plain);
    }

    #[test]
    fn members_and_frames_that_follow_each_other_are_one_input() {
        let gz = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(read(gz).unwrap(), b"one two");
        let zst =
            [zstd::encode_all(&b"one "[..], 1).unwrap(), zstd::encode_all(&b"two"[..], 1).unwrap()].concat();
        assert_eq!(read(zst).unwrap(), b"one two");
    }

    #[test]
    fn short_inputs_are_plain() {
        for bytes in [&b""[..], b"\x1f", b"\x1f\x8b", b"\x28\xb5\x2f"] {
            assert_eq!(read(bytes.to_vec()).unwrap(), bytes);
        }
    }

    #[test]
    fn the_count_is_of_packed_bytes() {
        let packed = gzip(&vec![7; 1 << 20]);
        let mut unpacked = unpack(Box::new(Cursor::new(packed.clone()))).unwrap();
        io::copy(&mut unpacked.reader, &mut io::sink()).unwrap();
        assert_eq!(unpacked.read.load(Ordering::Relaxed), packed.len() as u64);
    }
}
