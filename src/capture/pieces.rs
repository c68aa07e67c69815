//! A file in pieces, which several threads read at once and one takes in order.
//!
//! To copy a file's bytes from the kernel's cache is the largest single part of reading it, and needs nobody's turn.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What one read asks for. So little that it is still near the processor when its records are looked for.
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
    /// Who read it ahead.
    reader: Option<usize>,
}

impl Pieces {
    /// The rest of a file.
    pub(super) fn new(file: File, offset: u64, read: Arc<AtomicU64>) -> Self {
        let state = State { next: offset, ahead: VecDeque::new(), taken: 0, spare: Vec::new(), ended: false };
        Self { file, state: Mutex::new(state), arrived: Condvar::new(), read }
    }

    /// Reads one piece ahead, where not enough are. Any number of threads may do so at once, each under a number of its own.
    pub fn read_ahead(&self, reader: usize) {
        let state = self.state();
        if state.ahead.len() < AHEAD && !state.ended {
            drop(self.read(state, Some(reader)));
        }
    }

    /// Whether the piece that is due has been read, and by this one, in whose cache it is.
    pub fn is_here(&self, reader: usize) -> bool {
        matches!(self.state().ahead.front(), Some(Some(piece)) if piece.reader == Some(reader))
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
                None => state = self.read(state, None),
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

    fn read<'a>(&'a self, mut state: MutexGuard<'a, State>, reader: Option<usize>) -> MutexGuard<'a, State> {
        let (offset, no) = (state.next, state.taken + state.ahead.len() as u64);
        state.next += PIECE as u64;
        state.ahead.push_back(None);
        let bytes = state.spare.pop();
        drop(state);
        let bytes = bytes.unwrap_or_else(|| vec![0; FRONT + PIECE]);
        let piece = self.piece(bytes, offset, reader);
        let mut state = self.state();
        state.ended |= piece.len < PIECE;
        let place = no.checked_sub(state.taken).and_then(|place| usize::try_from(place).ok());
        if let Some(place) = place.and_then(|place| state.ahead.get_mut(place)) {
            *place = Some(piece);
        }
        self.arrived.notify_all();
        state
    }

    fn piece(&self, mut bytes: Vec<u8>, offset: u64, reader: Option<usize>) -> Piece {
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
        Piece { bytes, len, failure, reader }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use tempfile::NamedTempFile;

    use super::super::block::Block;
    use super::super::ending::Ending;
    use super::super::file::FileReader;
    use super::super::testing::{End::Little, Owned, Pcap, enhanced, gzip, interface, read, section};
    use super::*;

    fn file(bytes: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// Bytes that differ, so many that records cross the ends of pieces at many places; one crosses with more than fits in front.
    fn payloads() -> impl Iterator<Item = Vec<u8>> {
        let sizes = (0..1_500).map(|n: usize| n * 37 % 1_400).chain([200_000, 60, 250_000, 250_000, 1, 0]);
        sizes.enumerate().map(|(n, size)| (0..size).map(|place| (n * 7 + place * 13 % 251) as u8).collect())
    }

    fn pcap() -> Pcap {
        payloads()
            .fold(Pcap::new(Little, 0xa1b2_c3d4), |pcap, payload| pcap.record(1_700_000_000, 1, &payload))
    }

    fn pcapng() -> Vec<u8> {
        let mut bytes = [section(Little), interface(Little, 1, 0, &[])].concat();
        payloads().for_each(|payload| bytes.extend(enhanced(Little, 0, 1_700_000_000_000_000, &payload)));
        bytes
    }

    /// All frames and the ending, block by block, while other threads read ahead.
    fn in_blocks(path: &Path, threads: usize) -> (Vec<Owned>, Ending) {
        let mut reader = FileReader::open(path).unwrap();
        let pieces = reader.pieces();
        std::thread::scope(|scope| {
            for id in 0..threads {
                let pieces = pieces.clone();
                scope.spawn(move || pieces.inspect(|pieces| (0..50).for_each(|_| pieces.read_ahead(id))));
            }
            let (mut frames, mut spare) = (Vec::new(), Block::default());
            while let Some(block) = reader.block(spare) {
                for frame in block.frames().filter_map(|(_, frame)| frame) {
                    frames.push((
                        frame.no.0,
                        frame.stamp.0,
                        frame.link.0,
                        frame.data.to_vec(),
                        frame.wire_len,
                    ));
                }
                spare = block;
            }
            (frames, reader.ending().clone())
        })
    }

    #[test]
    fn whoever_reads_ahead_the_frames_and_the_end_are_those_of_the_file() {
        let whole = pcap().bytes;
        let damaged = [&whole[..600_000], &[0xff; 40][..], &whole[600_000..]].concat();
        let cut = whole[..whole.len() - 9].to_vec();
        let files = [whole, damaged, cut, pcapng(), gzip(&pcapng()), Pcap::new(Little, 0xa1b2_c3d4).bytes];
        for (n, bytes) in files.into_iter().enumerate() {
            let file = file(&bytes);
            let (frames, ending) = read(bytes);
            for threads in [0, 1, 3] {
                let (told, ended) = in_blocks(file.path(), threads);
                assert_eq!(told.len(), frames.len(), "file {n}, {threads} threads");
                assert!(told == frames, "file {n}, {threads} threads");
                let name =
                    |ending: &Ending| ending.to_string().split_once(": ").map(|(_, rest)| rest.to_owned());
                assert_eq!(name(&ended), name(&ending), "file {n}, {threads} threads");
            }
        }
    }

    #[test]
    fn no_more_is_read_ahead_than_a_few_pieces_and_nothing_behind_the_end() {
        let file = file(&vec![7; 6 * PIECE + 5]);
        let pieces = Pieces::new(file.reopen().unwrap(), 3, Arc::default());
        (0..20).for_each(|_| pieces.read_ahead(0));
        assert_eq!(pieces.read.load(Ordering::Relaxed), (AHEAD * PIECE) as u64);
        assert!(pieces.is_here(0) && !pieces.is_here(1), "read by another");
        let lens: Vec<_> = (0..8).map(|_| (pieces.read_ahead(0), pieces.take().len).1).collect();
        assert_eq!(lens, [PIECE, PIECE, PIECE, PIECE, PIECE, PIECE, 2, 0]);
        assert!(!pieces.is_here(0));
    }

    #[test]
    fn a_file_that_is_cut_meanwhile_ends_there() {
        let file = file(&vec![7; 4 * PIECE]);
        let pieces = Pieces::new(file.reopen().unwrap(), 0, Arc::default());
        assert_eq!(pieces.take().len, PIECE);
        file.as_file().set_len(PIECE as u64 + 9).unwrap();
        assert_eq!((pieces.take().len, pieces.take().len), (9, 0));
    }
}
