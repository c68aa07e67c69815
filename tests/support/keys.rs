//! Captures with their keys: Decryption Secrets Blocks taken out, looked into and put back.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{captures, root};

/// The block type of decryption secrets (`draft-ietf-opsawg-pcapng` section 4.7).
const SECRETS: u32 = 10;

/// The captures of the package that bring their keys.
pub fn with_keys() -> Vec<PathBuf> {
    captures()
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("keys-")))
        .collect()
}

/// The blocks of a little-endian pcapng file.
fn blocks(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while rest.len() >= 12 {
        let len = u32::from_le_bytes(rest[4..8].try_into().expect("four bytes")) as usize;
        let (block, behind) = rest.split_at(len);
        found.push(block);
        rest = behind;
    }
    found
}

fn is_secrets(block: &&[u8]) -> bool {
    block[..4] == SECRETS.to_le_bytes()
}

/// Whether a pcapng file holds any secrets.
pub fn holds_secrets(bytes: &[u8]) -> bool {
    blocks(bytes).iter().any(is_secrets)
}

/// A pcapng file, packed by gzip or not, without its key logs, and those.
pub fn parted(path: &Path) -> (Vec<u8>, String) {
    let mut bytes = std::fs::read(root().join(path)).expect("the capture is read");
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut plain = Vec::new();
        flate2::bufread::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).expect("it is unpacked");
        bytes = plain;
    }
    let all = blocks(&bytes);
    let plain = all.iter().filter(|block| !is_secrets(block)).copied().collect::<Vec<_>>().concat();
    let logs = all.iter().filter(|block| is_secrets(block)).map(|block| {
        let len = u32::from_le_bytes(block[12..16].try_into().expect("four bytes")) as usize;
        String::from_utf8(block[16..16 + len].to_vec()).expect("a key log is text")
    });
    (plain, logs.collect::<Vec<_>>().join("\n"))
}

/// The secrets of a key log in hexadecimal digits.
pub fn secrets(log: &str) -> Vec<String> {
    log.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split(' ').nth(2)?.to_owned()))
        .collect()
}
