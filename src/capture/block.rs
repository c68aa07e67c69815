//! Frames that travel together, as they lie in one piece of a file.

use super::file::Head;
use crate::base::{PacketNo, Stamp};
use crate::decode::Frame;

/// Frames in order, with their bytes. Empty ones are filled again.
#[derive(Debug, Default)]
pub struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) heads: Vec<(PacketNo, Head)>,
    /// The latest stamp of all frames that were read for it, and the last one's number; refused ones count.
    pub(super) until: (Stamp, PacketNo),
}

impl Block {
    /// Bytes beyond which no frame is added.
    const FULL: usize = 256 << 10;

    /// Its frames.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.heads.iter().map(|(no, head)| Frame {
            no: *no,
            stamp: head.stamp,
            link: head.link,
            data: self.bytes.get(head.at..head.at.saturating_add(head.len)).unwrap_or_default(),
            wire_len: head.wire_len,
        })
    }

    /// The latest stamp, and the number of the last frame, also of frames that were left out.
    pub fn until(&self) -> (Stamp, PacketNo) {
        self.until
    }

    /// Leaves frames out.
    pub fn retain(&mut self, mut wanted: impl FnMut(&Frame<'_>) -> bool) {
        let bytes = &self.bytes;
        self.heads.retain(|(no, head)| {
            let data = bytes.get(head.at..head.at.saturating_add(head.len)).unwrap_or_default();
            wanted(&Frame { no: *no, stamp: head.stamp, link: head.link, data, wire_len: head.wire_len })
        });
    }

    /// Empties it; it keeps its memory.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.until = (Stamp(i64::MIN), PacketNo(0));
    }

    /// Adds a copy of a frame; to be cleared of bytes first.
    pub fn push(&mut self, frame: &Frame<'_>) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(frame.data);
        let Frame { no, stamp, link, data, wire_len } = *frame;
        self.heads.push((no, Head { at, len: data.len(), stamp, link, wire_len }));
        self.pass(stamp, no);
    }

    /// Nothing but time: this stamp was read.
    pub fn pass(&mut self, stamp: Stamp, no: PacketNo) {
        self.until = (self.until.0.max(stamp), self.until.1.max(no));
    }

    /// An empty one to add frames to.
    #[must_use]
    pub fn emptied(mut self) -> Self {
        self.clear();
        self.bytes.clear();
        self
    }

    /// Whether it has enough.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= Self::FULL
    }
}
