//! Shapes of sealed records.
use crate::base::{PacketNo, Stamp};

/// A sealed record's outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedRecord {
    /// Outer content type.
    pub content_type: u8,
    /// Length of the body in bytes.
    pub len: u16,
    /// The packet that completed its header.
    pub at: PacketNo,
    /// Its stamp.
    pub when: Stamp,
}
