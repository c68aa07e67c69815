//! The read buffer that frames are lent from.
//!
//! Buffered reads were measured faster than a memory map (no page faults) and also serve pipes and
//! decompressors. Bytes move only when the free end of the buffer is used up, and then only the
//! part of one record that has arrived.

use std::io::{self, Read};
use std::sync::Arc;

use super::pieces::{FRONT, PIECE, Piece, Pieces};
use super::plainly;

/// Size at the start; also what one `read` asks for. So little that what was read is still near the processor when it is
/// looked at, and what is known of connections beside it.
const SIZE: usize = 128 << 10;

/// Size of a buffer that is given away: what goes from thread to thread goes in large pieces.
const GIVEN: usize = 1 << 20;

/// Less free room than this at the end is not worth a system call: move the rest to the front.
const ROOM: usize = 64 << 10;

/// Bytes of an input on their way to a parser.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// First byte not yet consumed.
    start: usize,
    /// Behind the last byte read.
    end: usize,
    /// Where `bytes[0]` lies in the input. It may be free, and lie before the input's begin: below zero this wraps.
    base: u64,
    input: Input,
    source: Source,
}

/// Where bytes come from.
enum Input {
    Read(Box<dyn Read + Send>),
    Pieces(Arc<Pieces>),
}

/// Whether more can be read.
enum Source {
    Open,
    Ended,
    Failed(String),
}

impl Buffer {
    /// Nothing is read yet.
    pub fn new(input: Box<dyn Read + Send>) -> Self {
        Self {
            bytes: vec![0; SIZE],
            start: 0,
            end: 0,
            base: 0,
            input: Input::Read(input),
            source: Source::Open,
        }
    }

    /// The bytes that are here.
    #[inline]
    pub fn window(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Where the window begins, for [`Self::lent`].
    pub fn place(&self) -> usize {
        self.start
    }

    /// Where the window begins in the input.
    pub fn offset(&self) -> u64 {
        self.base.wrapping_add(self.start as u64)
    }

    /// Takes `len` bytes from the window, or all that it has, and returns their place for [`Self::lent`].
    #[inline]
    pub fn take(&mut self, len: usize) -> usize {
        let at = self.start;
        self.start = self.start.saturating_add(len).min(self.end);
        at
    }

    /// Bytes taken since the last refill.
    #[inline]
    pub fn lent(&self, at: usize, len: usize) -> &[u8] {
        self.bytes.get(at..at.saturating_add(len)).unwrap_or_default()
    }

    /// Gives the whole buffer away, in which all that was taken since the last refill has its place, and goes on with another
    /// one, to which the window moves.
    pub fn trade(&mut self, mut spare: Vec<u8>) -> Vec<u8> {
        let window = self.window();
        let rest = window.len();
        // A piece comes in a buffer of its own, with room for the rest in front.
        let size = match &self.input {
            Input::Read(_) => rest.max(GIVEN),
            Input::Pieces(pieces) => {
                pieces.give_back(std::mem::take(&mut spare));
                rest
            }
        };
        if spare.len() < size {
            spare.resize(size, 0);
        }
        if let Some(front) = spare.get_mut(..rest) {
            front.copy_from_slice(window);
        }
        self.base = self.offset();
        (self.start, self.end) = (0, rest);
        std::mem::replace(&mut self.bytes, spare)
    }

    /// Reads on in pieces from here on, which others read ahead. They have to begin where this has come to.
    pub fn go_on_in(&mut self, pieces: Arc<Pieces>) {
        self.input = Input::Pieces(pieces);
    }

    /// How many bytes of the input have been read.
    pub fn read(&self) -> u64 {
        self.base.wrapping_add(self.end as u64)
    }

    /// Whether the window holds `need` bytes, after reading as much as that takes. `need` is
    /// bounded by the caller; the buffer grows to it.
    #[inline]
    pub fn holds(&mut self, need: usize) -> bool {
        self.end - self.start >= need || self.refill(need)
    }

    /// Whether the input ended (or failed) and the window holds all that is left of it.
    pub fn ended(&self) -> bool {
        !matches!(self.source, Source::Open)
    }

    /// What the input failed with.
    pub fn failure(&self) -> Option<&str> {
        match &self.source {
            Source::Failed(error) => Some(error),
            Source::Open | Source::Ended => None,
        }
    }

    #[cold]
    fn refill(&mut self, need: usize) -> bool {
        while self.end - self.start < need {
            if self.ended() {
                return false;
            }
            match &self.input {
                Input::Read(_) => self.read_on(need),
                Input::Pieces(pieces) => {
                    let piece = pieces.take();
                    self.take_piece(piece);
                }
            }
        }
        true
    }

    /// Reads behind the window, which is moved where there is little room for `need` bytes.
    fn read_on(&mut self, need: usize) {
        if self.bytes.len() < need {
            self.bytes.resize(need.next_multiple_of(SIZE), 0);
        }
        let room = self.bytes.len() - self.end;
        if self.start > 0 && (room < ROOM || self.bytes.len() - self.start < need) {
            self.bytes.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            self.start = 0;
        }
        let (Input::Read(input), Some(free)) = (&mut self.input, self.bytes.get_mut(self.end..)) else {
            return;
        };
        match input.read(free) {
            Ok(0) => self.source = Source::Ended,
            // A reader that claims more than it was given room for is not believed.
            Ok(count) => self.end = (self.end + count).min(self.bytes.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.source = Source::Failed(plainly(&error)),
        }
    }

    /// Goes on in the buffer of the next piece, in front of which the window is put; a window too long for that takes the
    /// piece in.
    fn take_piece(&mut self, mut piece: Piece) {
        if piece.len < PIECE {
            self.source =
                piece.failure.as_ref().map_or(Source::Ended, |error| Source::Failed(plainly(error)));
        }
        let offset = self.offset();
        let window = self.bytes.get(self.start..self.end).unwrap_or_default();
        let start = FRONT.checked_sub(window.len());
        if let Some((start, free)) = start.and_then(|start| Some((start, piece.bytes.get_mut(start..FRONT)?)))
        {
            free.copy_from_slice(window);
            (self.start, self.end) = (start, FRONT + piece.len);
            std::mem::swap(&mut self.bytes, &mut piece.bytes);
        } else {
            let mut long = window.to_vec();
            long.extend_from_slice(piece.bytes.get(FRONT..FRONT + piece.len).unwrap_or_default());
            (self.start, self.end) = (0, long.len());
            self.bytes = long;
        }
        self.base = offset.wrapping_sub(self.start as u64);
        if let Input::Pieces(pieces) = &self.input {
            pieces.give_back(piece.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_their_order_and_offset_over_refills() {
        let all: Vec<u8> = (0..3 * SIZE).map(|n| (n * 7 % 251) as u8).collect();
        let mut buffer = Buffer::new(Box::new(io::Cursor::new(all.clone())));
        let mut at = 0;
        while buffer.holds(1_001) {
            assert_eq!(buffer.offset(), at as u64);
            let place = buffer.take(1_001);
            assert_eq!(buffer.lent(place, 1_001), &all[at..at + 1_001]);
            at += 1_001;
        }
        assert_eq!(buffer.window(), &all[at..]);
        assert!(buffer.ended() && buffer.failure().is_none());
    }

    #[test]
    fn what_was_taken_stays_in_the_buffer_that_is_given_away() {
        let all: Vec<u8> = (0..3 * SIZE).map(|n| (n * 7 % 251) as u8).collect();
        let mut buffer = Buffer::new(Box::new(io::Cursor::new(all.clone())));
        assert!(buffer.holds(2_000));
        let place = buffer.take(1_500);
        let given = buffer.trade(Vec::new());
        assert_eq!(given[place..place + 1_500], all[..1_500]);
        assert_eq!((buffer.offset(), &buffer.window()[..500]), (1_500, &all[1_500..2_000]));
        let mut at = 1_500;
        while buffer.holds(1_001) {
            let place = buffer.take(1_001);
            assert_eq!(buffer.trade(vec![9; 7])[place..place + 1_001], all[at..at + 1_001]);
            at += 1_001;
        }
        assert_eq!(buffer.window(), &all[at..]);
    }

    #[test]
    fn it_grows_for_one_long_need_only() {
        let mut buffer = Buffer::new(Box::new(io::repeat(5).take(5 * SIZE as u64)));
        assert!(buffer.holds(4 * SIZE + 3));
        assert_eq!(buffer.bytes.len(), 5 * SIZE);
        assert!(!buffer.holds(5 * SIZE + 1));
    }
}
