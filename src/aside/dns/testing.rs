//! Messages for tests.

/// A name on the wire, without compression.
pub fn label(name: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// An answer with these records in its answer section.
pub fn answer(flags: [u8; 2], name: &str, qtype: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, flags[0], flags[1], 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
    bytes.extend(label(name));
    bytes.extend(qtype.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(records.concat());
    bytes
}

/// A question.
pub fn question(id: u16, name: &str, qtype: u16) -> Vec<u8> {
    let mut bytes = answer([1, 0], name, qtype, &[]);
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    bytes
}

/// A record.
pub fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = owner.to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(ttl.to_be_bytes());
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

/// The name asked for, as a pointer to the question.
pub const ASKED: [u8; 2] = [0xc0, 12];
