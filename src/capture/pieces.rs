//! A file in pieces, which several threads read at once and one takes in order.
//!
//! To copy a file's bytes from the kernel's cache is the largest single part of reading it, and needs nobody's turn.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What one read asks for: half of it is still near the processor when the other half was read.
pub(super) const PIECE: usize = 256 << 10;

/// Bytes left free in front of each piece, for what the piece before ends with.
pub(super) const FRONT: usize = 64 << 10;

/// Pieces read and not taken yet at most.
const AHEAD: usize = 4;

/// Buffers that wait to be filled again at most.
const SPARE: usize = 16;

/// A regular file that is read from some place on.
pub struct Pieces {
    file: File,
    state: Mutex<State>,
    arrived: Condvar,
    /// Bytes read, for a progress bar.
    read: Arc<AtomicU64>,
}

struct State {
    /// Where the next piece begins that nobody reads yet.
    next: u64,
    /// Pieces in order, from the one that is due: `None` while somebody reads it.
    ahead: VecDeque<Option<Piece>>,
    /// Pieces taken so far, which is the number of the first of those.
    taken: u64,
    spare: Vec<Vec<u8>>,
    /// Behind a piece that was read nothing more is to come.
    ended: bool,
}

/// Bytes of the file behind [`FRONT`] free ones.
pub(super) struct Piece {
    pub bytes: Vec<u8>,
    /// How many they are; less than [`PIECE`] where the file ends behind them, or failed.
    pub len: usize,
    pub failure: Option<io::Error>,
}

impl Pieces {
    /// The rest of a file.
    pub(super) fn new(file: File, offset: u64, read: Arc<AtomicU64>) -> Self {
        let state = State { next: offset, ahead: VecDeque::new(), taken: 0, spare: Vec::new(), ended: false };
        Self { file, state: Mutex::new(state), arrived: Condvar::new(), read }
    }

    /// Reads one piece ahead, where not enough are. Any number of threads may do so at once.
    pub fn read_ahead(&self) {
        let state = self.state();
        if state.ahead.len() < AHEAD && !state.ended {
            drop(self.read(state));
        }
    }

    /// Whether the piece that is due has been read.
    pub fn is_here(&self) -> bool {
        matches!(self.state().ahead.front(), Some(Some(_)))
    }

    /// The piece that is due. Reads it, or waits for who does.
    pub(super) fn take(&self) -> Piece {
        let mut state = self.state();
        loop {
            match state.ahead.pop_front() {
                Some(Some(piece)) => {
                    state.taken += 1;
                    return piece;
                }
                Some(None) => {
                    state.ahead.push_front(None);
                    state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                None => state = self.read(state),
            }
        }
    }

    /// Gives a buffer back, to be filled again.
    pub(super) fn give_back(&self, bytes: Vec<u8>) {
        let mut state = self.state();
        if state.spare.len() < SPARE && bytes.len() == FRONT + PIECE {
            state.spare.push(bytes);
        }
    }

    fn read<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let (offset, no) = (state.next, state.taken + state.ahead.len() as u64);
        state.next += PIECE as u64;
        state.ahead.push_back(None);
        let bytes = state.spare.pop();
        drop(state);
        let piece = self.piece(bytes.unwrap_or_else(|| vec![0; FRONT + PIECE]), offset);
        let mut state = self.state();
        state.ended |= piece.len < PIECE;
        let place = no.checked_sub(state.taken).and_then(|place| usize::try_from(place).ok());
        if let Some(place) = place.and_then(|place| state.ahead.get_mut(place)) {
            *place = Some(piece);
        }
        self.arrived.notify_all();
        state
    }

    fn piece(&self, mut bytes: Vec<u8>, offset: u64) -> Piece {
        let (mut len, mut failure) = (0, None);
        while let Some(free) = bytes.get_mut(FRONT + len..FRONT + PIECE).filter(|free| !free.is_empty()) {
            match self.file.read_at(free, offset + len as u64) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        self.read.fetch_add(len as u64, Ordering::Relaxed);
        Piece { bytes, len, failure }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
