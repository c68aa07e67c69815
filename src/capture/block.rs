//! Frames that travel together, as they lie in one piece of a file.

use super::file::Head;
use crate::base::{PacketNo, Stamp};
use crate::decode::{Frame, LinkType};

/// Frames in order, with their bytes. Those that are left out still say what time it was.
#[derive(Debug, Default)]
pub struct Block {
    pub(super) bytes: Vec<u8>,
    places: Vec<Place>,
    /// Behind the last frame.
    until: (Stamp, PacketNo),
}

/// Where a frame lies. Small, since many of them go from one processor to another.
#[derive(Clone, Copy, Debug)]
struct Place {
    no: PacketNo,
    stamp: Stamp,
    at: u32,
    len: u32,
    wire_len: u32,
    link: LinkType,
    left_out: bool,
}

impl Place {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a block is at most a few records long")]
    fn new(no: PacketNo, head: Head) -> Self {
        let Head { at, len, stamp, link, wire_len } = head;
        Self { no, stamp, at: at as u32, len: len as u32, wire_len, link, left_out: false }
    }

    #[inline]
    fn frame<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        let Self { no, stamp, link, wire_len, .. } = *self;
        let (at, len) = (self.at as usize, self.len as usize);
        Frame { no, stamp, link, data: bytes.get(at..at + len).unwrap_or_default(), wire_len }
    }
}

impl Block {
    /// Bytes beyond which no frame is added.
    const FULL: usize = 256 << 10;

    /// The stamp of each frame, and the frame unless it is left out.
    pub fn frames(&self) -> impl Iterator<Item = (Stamp, Option<Frame<'_>>)> {
        self.places.iter().map(|place| (place.stamp, (!place.left_out).then(|| place.frame(&self.bytes))))
    }

    /// A frame by its place among [`Self::frames`].
    #[inline]
    pub fn frame(&self, place: usize) -> Option<Frame<'_>> {
        self.places.get(place).map(|place| place.frame(&self.bytes))
    }

    /// The latest stamp, and the number of the last frame, also of frames that are left out.
    pub fn until(&self) -> (Stamp, PacketNo) {
        self.until
    }

    /// Leaves frames out.
    pub fn retain(&mut self, mut wanted: impl FnMut(&Frame<'_>) -> bool) {
        for place in &mut self.places {
            place.left_out = !wanted(&place.frame(&self.bytes));
        }
    }

    /// Takes all frames out; their bytes stay, to be written over.
    pub fn clear(&mut self) {
        self.places.clear();
        self.until = (Stamp(i64::MIN), PacketNo(0));
    }

    /// Adds a frame whose bytes lie here, or will.
    #[inline]
    pub(super) fn place(&mut self, no: PacketNo, head: Head) {
        self.places.push(Place::new(no, head));
        self.pass(head.stamp, no);
    }

    /// Empty, to add frames to.
    #[must_use]
    pub fn emptied(mut self) -> Self {
        self.clear();
        self.bytes.clear();
        self
    }

    /// Adds a copy of a frame.
    pub fn push(&mut self, frame: &Frame<'_>) {
        let Frame { no, stamp, link, data, wire_len } = *frame;
        let at = self.bytes.len();
        self.bytes.extend_from_slice(data);
        self.place(no, Head { at, len: data.len(), stamp, link, wire_len });
    }

    /// Adds nothing but time, which has come to this stamp.
    #[inline]
    pub fn pass(&mut self, stamp: Stamp, no: PacketNo) {
        self.until = (self.until.0.max(stamp), self.until.1.max(no));
    }

    /// Whether it has enough.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= Self::FULL
    }
}
