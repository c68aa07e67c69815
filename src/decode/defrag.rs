//! IP datagrams rejoined from their fragments (RFC 791 section 3.2, RFC 8200 section 4.5).

use std::collections::BTreeMap;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::Hop;
use super::walk::Fragment;
use crate::base::{Addr, Limits, Span, Stamp};

/// The longest payload that a total length of 16 bits allows.
const LONGEST: u32 = 65_535;

/// Pieces of one datagram. An MTU of 576 cuts the longest into 119; far more is an attack.
const MOST_PIECES: usize = 256;

/// What the fragments of one datagram have in common. IPv6 fragments need not agree on the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: Addr,
    dst: Addr,
    id: u32,
    protocol: Option<u8>,
}

/// Bytes `start..end` of a datagram's payload; `bytes` is shorter where the capture cut them.
struct Piece {
    start: u32,
    end: u32,
    bytes: Box<[u8]>,
}

/// A datagram that waits for the rest of its fragments.
struct Pending {
    born: Stamp,
    serial: u64,
    /// Ascending, without overlaps.
    pieces: SmallVec<[Piece; 2]>,
    /// Sum of the pieces' lengths.
    have: u32,
    /// Length of the payload, known from the last fragment.
    total: Option<u32>,
    /// Header and protocol of the first fragment.
    first: Option<(Hop, u8)>,
    /// Fragments that were put in.
    fragments: u64,
}

/// A rejoined payload with the first fragment's header.
pub(super) struct Whole {
    /// The IP header's part.
    pub hop: Hop,
    /// Protocol of the payload.
    pub protocol: u8,
    /// The payload up to the first byte that the capture cut.
    pub bytes: Vec<u8>,
    /// How long it was on the wire.
    pub wire_len: u32,
}

/// The datagrams being rejoined: a bounded table that forgets by age. What it forgets, it counts.
pub(super) struct Defrag {
    most: usize,
    wait: Span,
    pending: HashMap<Key, Pending, foldhash::quality::RandomState>,
    /// By order of arrival.
    by_age: BTreeMap<u64, Key>,
    serial: u64,
    /// Stamp from which the oldest is too old; the end of time where there is none.
    due: Stamp,
    dropped: u64,
}

impl Defrag {
    /// Empty, with `Limits::fragments` datagrams at once and `Limits::fragment_wait` from the first fragment on.
    pub fn new(limits: &Limits) -> Self {
        Self {
            most: limits.fragments,
            wait: limits.fragment_wait,
            pending: HashMap::default(),
            by_age: BTreeMap::new(),
            serial: 0,
            due: Stamp(i64::MAX),
            dropped: 0,
        }
    }

    /// From when on `expire` has something to do.
    #[inline]
    pub fn due(&self) -> Stamp {
        self.due
    }

    /// Fragments given up since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Gives up the datagrams that have waited too long.
    pub fn expire(&mut self, now: Stamp) {
        while self.due <= now && self.drop_oldest() {}
    }

    /// Gives up all that wait: no more fragments will come.
    pub fn drop_all(&mut self) {
        while self.drop_oldest() {}
    }

    /// Puts one fragment in; the datagram where it is now whole. Of repeated bytes the first copy wins.
    pub fn add(&mut self, fragment: &Fragment<'_>, now: Stamp) -> Option<Whole> {
        let (start, mut len) = (fragment.offset, fragment.rest.wire_len());
        if fragment.more {
            len &= !7; // RFC 791 section 3.2: all but the last are a multiple of eight octets long
        }
        let Some(end) = start.checked_add(len).filter(|&end| len > 0 && end <= LONGEST) else {
            self.dropped += 1;
            return None;
        };
        let key = Key {
            src: fragment.hop.src,
            dst: fragment.hop.dst,
            id: fragment.id,
            protocol: fragment.hop.ip_id.map(|_| fragment.protocol),
        };
        let Some(pending) = self.pending_for(key, now) else {
            self.dropped += 1;
            return None;
        };
        pending.fragments += 1;
        if pending.contradicts(end, fragment.more) {
            return None;
        }
        if !fragment.more {
            pending.total = Some(end);
        }
        if start == 0 && pending.first.is_none() {
            pending.first = Some((fragment.hop, fragment.protocol));
        }
        if !pending.fill(start, end, fragment.rest.bytes) {
            self.remove(key).inspect(|pending| self.dropped += pending.fragments);
            return None;
        }
        if pending.total != Some(pending.have) || pending.first.is_none() {
            return None;
        }
        self.remove(key)?.join()
    }

    /// The entry of a datagram, new where there is none; the oldest makes room.
    fn pending_for(&mut self, key: Key, now: Stamp) -> Option<&mut Pending> {
        if !self.pending.contains_key(&key) {
            while self.pending.len() >= self.most {
                if !self.drop_oldest() {
                    return None;
                }
            }
            self.serial += 1;
            self.by_age.insert(self.serial, key);
            self.pending.insert(key, Pending::new(now, self.serial));
            self.set_due();
        }
        self.pending.get_mut(&key)
    }

    /// `false` where there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some((_, &key)) = self.by_age.first_key_value() else { return false };
        if let Some(pending) = self.remove(key) {
            self.dropped += pending.fragments;
        }
        true
    }

    fn remove(&mut self, key: Key) -> Option<Pending> {
        let pending = self.pending.remove(&key)?;
        self.by_age.remove(&pending.serial);
        self.set_due();
        Some(pending)
    }

    fn set_due(&mut self) {
        let oldest = self.by_age.first_key_value().and_then(|(_, key)| self.pending.get(key));
        self.due = oldest.map_or(Stamp(i64::MAX), |oldest| oldest.born + self.wait + Span(1));
    }
}

impl Pending {
    fn new(born: Stamp, serial: u64) -> Self {
        Self { born, serial, pieces: SmallVec::new(), have: 0, total: None, first: None, fragments: 0 }
    }

    /// Whether a fragment that ends at `end` disagrees with the others about the total length.
    fn contradicts(&self, end: u32, more: bool) -> bool {
        match self.total {
            Some(total) => end > total || (!more && end != total),
            None => !more && self.pieces.last().is_some_and(|last| last.end > end),
        }
    }

    /// Fills the holes within `start..end`; `false` where there would be too many pieces.
    fn fill(&mut self, start: u32, end: u32, bytes: &[u8]) -> bool {
        let mut at = start;
        while at < end {
            let place = self.pieces.partition_point(|piece| piece.end <= at);
            let stop = match self.pieces.get(place) {
                Some(piece) if piece.start <= at => {
                    at = piece.end;
                    continue;
                }
                Some(piece) => piece.start.min(end),
                None => end,
            };
            if self.pieces.len() >= MOST_PIECES {
                return false;
            }
            let (from, to) = ((at - start) as usize, (stop - start) as usize);
            let bytes = bytes.get(from..to.min(bytes.len())).unwrap_or_default().into();
            self.pieces.insert(place, Piece { start: at, end: stop, bytes });
            self.have += stop - at;
            at = stop;
        }
        true
    }

    /// The whole, of pieces that follow each other.
    fn join(self) -> Option<Whole> {
        let (hop, protocol) = self.first?;
        let mut bytes = Vec::with_capacity(self.have as usize);
        for piece in &self.pieces {
            bytes.extend_from_slice(&piece.bytes);
            if piece.bytes.len() < (piece.end - piece.start) as usize {
                break;
            }
        }
        Some(Whole { hop, protocol, bytes, wire_len: self.have })
    }
}
