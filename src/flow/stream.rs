//! One direction of a TCP connection, put back in order.
//!
//! Segments may come out of order, repeated, overlapping, wrapped around 2³², cut by a snap length
//! or not at all. The first copy of a byte wins (RFC 9293 leaves it open; Linux and Windows keep
//! what they have), a later copy that differs is counted.

use std::collections::BTreeMap;

use crate::base::{Blank, PacketNo, Rare, Stamp};

/// What a stream hands on, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes, and the packet that carried them.
    Bytes(&'a [u8], PacketNo, Stamp),
    /// That many bytes will never come; the packet that showed it.
    Gap(u64, PacketNo, Stamp),
}

/// What a segment was to the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// Bytes never seen before.
    pub fresh: u32,
    /// Bytes seen before (a retransmission), not counting one-byte keep-alive probes.
    pub repeated: u32,
    /// A repeated byte differed from its first copy.
    pub conflict: bool,
    /// It left a hole in front of it.
    pub ahead: bool,
    /// Bytes dropped because a bound was reached.
    pub dropped: u32,
}

/// A segment that waits for what comes before it.
#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    /// Bytes on the wire; more than `bytes` where the capture cut the packet.
    wire: u64,
    at: PacketNo,
    when: Stamp,
}

/// The segments beyond a hole, by offset, and their bytes together.
#[derive(Debug, Default)]
struct Waiting {
    segments: BTreeMap<u64, Held>,
    bytes: usize,
}

impl Blank for Waiting {
    const BLANK: &'static Self = &Self { segments: BTreeMap::new(), bytes: 0 };
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Stream {
    /// Sequence number of offset 0; `None` until known.
    base: Option<u32>,
    /// Offset of the next byte to hand on.
    next: u64,
    /// Most connections have none.
    held: Rare<Waiting>,
    /// The latest bytes handed on, to compare repeats with; ends at `next` unless `stale`.
    recent: Vec<u8>,
    recent_end: u64,
    /// Greatest offset the peer acknowledged.
    acked: u64,
}

impl Stream {
    /// Bytes kept for comparison with repeats: a full server flight of ordinary size.
    const RECENT: usize = 8 * 1024;
    /// The largest block that the allocator has at hand.
    const AT_HAND: usize = 1_024;

    /// Nothing is known yet.
    pub const NEW: Self =
        Self { base: None, next: 0, held: Rare::NEW, recent: Vec::new(), recent_end: 0, acked: 0 };

    /// Offset 0 is this sequence number. Ignored once known.
    pub fn start(&mut self, seq: u32) {
        self.base.get_or_insert(seq);
    }

    /// Whether the first byte's place is known.
    pub fn started(&self) -> bool {
        self.base.is_some()
    }

    /// Offset of the next byte to hand on.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Bytes waiting behind holes.
    pub fn held_bytes(&self) -> usize {
        self.held.bytes
    }

    /// The sequence number of the next byte to hand on.
    pub fn next_seq(&self) -> Option<u32> {
        #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
        self.base.map(|base| base.wrapping_add(self.next as u32))
    }

    /// Offset of a sequence number, near the stream's present place; negative before its start.
    pub fn offset(&self, seq: u32) -> Option<i64> {
        let next = self.next_seq()?;
        let ahead = seq.wrapping_sub(next).cast_signed();
        // No capture brings a side near 2^63 bytes.
        Some(self.next.cast_signed().wrapping_add(i64::from(ahead)))
    }

    /// Where the first bytes begin that wait behind a hole.
    pub fn held_at(&self) -> Option<u64> {
        self.held.segments.first_key_value().map(|(&offset, _)| offset)
    }

    /// Takes the payload of a segment that is next in order, whole, with nothing waiting behind holes: nearly each is. The
    /// caller hands it on. `false`: it is another, for [`Self::push`].
    #[inline]
    pub fn push_next(&mut self, seq: u32, payload: &[u8], wire: u32) -> bool {
        let is_next = self.next_seq() == Some(seq)
            && payload.len() == wire as usize
            && !payload.is_empty()
            && self.held.segments.is_empty();
        if is_next {
            self.remember(payload);
            self.next = self.next.saturating_add(u64::from(wire));
        }
        is_next
    }

    /// Takes a segment's payload. `wire` is its length on the wire. `holes` and `room` bound what
    /// waits. Hands on what is now in order.
    #[expect(clippy::too_many_arguments, reason = "one call on the path of every segment")]
    pub fn push(
        &mut self,
        seq: u32,
        payload: &[u8],
        wire: u32,
        at: PacketNo,
        when: Stamp,
        holes: usize,
        room: usize,
        out: &mut impl FnMut(Piece<'_>),
    ) -> Took {
        self.start(seq);
        let mut took = Took::default();
        if wire == 0 {
            return took;
        }
        let Some(mut offset) = self.offset(seq) else { return took };
        let mut payload = payload;
        let mut wire = u64::from(wire);
        let next = i64::try_from(self.next).unwrap_or(i64::MAX);
        if offset < next {
            let old = next.saturating_sub(offset).cast_unsigned().min(wire);
            if !(old == 1 && wire == 1) {
                took.repeated = u32::try_from(old).unwrap_or(u32::MAX);
            }
            let cut = usize::try_from(old).unwrap_or(usize::MAX).min(payload.len());
            let (before, after) = payload.split_at_checked(cut).unwrap_or((payload, &[]));
            took.conflict = self.differs(offset, before);
            payload = after;
            wire -= old;
            offset = next;
            if wire == 0 {
                return took;
            }
        }
        let offset = offset.cast_unsigned();
        if offset > self.next && self.acked >= offset {
            // The peer has everything up to here: the capture missed it, it will not come again.
            self.skip_to(offset, at, when, out);
        }
        if offset == self.next && self.held.segments.is_empty() {
            took.fresh = u32::try_from(wire).unwrap_or(u32::MAX);
            self.hand_on(payload, wire, at, when, out);
            return took;
        }
        self.hold(offset, payload, wire, at, when, holes, room, &mut took);
        took.ahead = offset > self.next;
        self.release(out);
        took
    }

    /// The peer acknowledged up to this sequence number.
    pub fn acknowledge(&mut self, ack: u32) -> Option<u64> {
        let offset = u64::try_from(self.offset(ack)?).ok()?;
        // An acknowledgment far beyond anything seen is a stray of another connection.
        if offset.saturating_sub(self.next) > 1 << 30 {
            return None;
        }
        self.acked = self.acked.max(offset);
        Some(self.acked)
    }

    /// Greatest offset the peer acknowledged.
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// Hands on everything held, with the gaps between: nothing more will come.
    pub fn flush(&mut self, out: &mut impl FnMut(Piece<'_>)) {
        while let Some((&offset, held)) = self.held.segments.first_key_value() {
            let (at, when) = (held.at, held.when);
            self.skip_to(offset, at, when, out);
            self.release(out);
        }
    }

    fn skip_to(&mut self, offset: u64, at: PacketNo, when: Stamp, out: &mut impl FnMut(Piece<'_>)) {
        // Segments held before the target are handed on in their place.
        while self.next < offset {
            let stop = match self.held.segments.first_key_value() {
                Some((&first, _)) if first < offset => first,
                _ => offset,
            };
            if stop > self.next {
                out(Piece::Gap(stop - self.next, at, when));
                self.next = stop;
            }
            self.release(out);
        }
    }

    /// Hands on the bytes at `next` and moves it.
    fn hand_on(
        &mut self,
        payload: &[u8],
        wire: u64,
        at: PacketNo,
        when: Stamp,
        out: &mut impl FnMut(Piece<'_>),
    ) {
        if !payload.is_empty() {
            self.remember(payload);
            out(Piece::Bytes(payload, at, when));
        }
        let seen = payload.len() as u64;
        if wire > seen {
            out(Piece::Gap(wire - seen, at, when));
        }
        self.next = self.next.saturating_add(wire);
    }

    fn remember(&mut self, payload: &[u8]) {
        if self.recent_end != self.next || self.recent.len() + payload.len() > Self::RECENT {
            self.recent.clear();
        }
        if payload.len() <= Self::RECENT {
            let len = self.recent.len() + payload.len();
            if len > self.recent.capacity() {
                // A hello is followed by less than itself, the first segment of an answer by a few more: with room for
                // two more of the kind nearly all that a side says in clear is moved never or once.
                let room = (3 * len).min(Self::RECENT);
                let room = if len <= Self::AT_HAND * 2 / 3 { room.min(Self::AT_HAND) } else { room };
                self.recent.reserve_exact(room - self.recent.len());
            }
            self.recent.extend_from_slice(payload);
        }
        self.recent_end = self.next.saturating_add(payload.len() as u64);
    }

    /// Whether bytes at an earlier offset differ from their first copy, as far as it is kept.
    fn differs(&self, offset: i64, bytes: &[u8]) -> bool {
        let Ok(end) = i64::try_from(self.recent_end) else { return false };
        let start = end.saturating_sub(i64::try_from(self.recent.len()).unwrap_or(0));
        let from = offset.max(start);
        let to = offset.saturating_add(i64::try_from(bytes.len()).unwrap_or(0)).min(end);
        let (Ok(in_new), Ok(in_old), Ok(len)) = (
            usize::try_from(from.saturating_sub(offset)),
            usize::try_from(from.saturating_sub(start)),
            usize::try_from(to.saturating_sub(from)),
        ) else {
            return false;
        };
        match (bytes.get(in_new..in_new + len), self.recent.get(in_old..in_old + len)) {
            (Some(new), Some(old)) => new != old,
            _ => false,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the tail of push")]
    fn hold(
        &mut self,
        mut offset: u64,
        mut payload: &[u8],
        mut wire: u64,
        at: PacketNo,
        when: Stamp,
        holes: usize,
        room: usize,
        took: &mut Took,
    ) {
        // The part that an earlier held segment already covers.
        if let Some((&before, held)) = self.held.segments.range(..=offset).next_back() {
            let covered = (before + held.wire).saturating_sub(offset).min(wire);
            if covered > 0 {
                let have = usize::try_from(offset - before).ok().and_then(|from| held.bytes.get(from..));
                let cut = usize::try_from(covered).unwrap_or(usize::MAX).min(payload.len());
                let (repeat, rest) = payload.split_at_checked(cut).unwrap_or((payload, &[]));
                took.conflict |= have.is_some_and(|have| have.iter().zip(repeat).any(|(a, b)| a != b));
                took.repeated = took.repeated.saturating_add(u32::try_from(covered).unwrap_or(u32::MAX));
                payload = rest;
                wire -= covered;
                offset += covered;
            }
        }
        // Fill the stretches between the held segments that follow.
        while wire > 0 {
            let following =
                self.held.segments.range(offset..).next().map(|(&start, held)| (start, held.wire));
            let free = following.map_or(wire, |(start, _)| (start - offset).min(wire));
            if free > 0 {
                if self.held.segments.len() >= holes || self.held.bytes + payload.len() > room {
                    took.dropped = took.dropped.saturating_add(u32::try_from(free).unwrap_or(u32::MAX));
                } else {
                    let keep = usize::try_from(free).unwrap_or(usize::MAX).min(payload.len());
                    let bytes = payload.get(..keep).unwrap_or_default().to_vec();
                    self.held.bytes += bytes.len();
                    self.held.segments.insert(offset, Held { bytes, wire: free, at, when });
                    took.fresh = took.fresh.saturating_add(u32::try_from(free).unwrap_or(u32::MAX));
                }
            }
            let covered = following.map_or(0, |(_, held)| held);
            let step = (free + covered).min(wire);
            let cut = usize::try_from(step).unwrap_or(usize::MAX).min(payload.len());
            payload = payload.get(cut..).unwrap_or_default();
            took.repeated =
                took.repeated.saturating_add(u32::try_from(step.saturating_sub(free)).unwrap_or(u32::MAX));
            offset += step;
            wire -= step;
        }
    }

    /// Hands on what has become contiguous.
    fn release(&mut self, out: &mut impl FnMut(Piece<'_>)) {
        // Asked first: what is changed is kept.
        while !self.held.segments.is_empty()
            && let Some(first) = self.held.segments.first_entry()
        {
            if *first.key() > self.next {
                return;
            }
            let (start, held) = first.remove_entry();
            self.held.bytes = self.held.bytes.saturating_sub(held.bytes.len());
            let old = self.next - start;
            if old >= held.wire {
                continue;
            }
            let cut = usize::try_from(old).unwrap_or(usize::MAX).min(held.bytes.len());
            let fresh = held.bytes.get(cut..).unwrap_or_default();
            self.hand_on(fresh, held.wire - old, held.at, held.when, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream whose first byte has this sequence number, and the text it handed on; a gap of
    /// three bytes is written `<3>`.
    struct Bench {
        stream: Stream,
        text: String,
        packet: u64,
    }

    impl Bench {
        fn new(seq: u32) -> Self {
            let mut stream = Stream::default();
            stream.start(seq);
            Self { stream, text: String::new(), packet: 0 }
        }

        fn push(&mut self, seq: u32, bytes: &str) -> Took {
            self.push_cut(seq, bytes, bytes.len() as u32)
        }

        fn push_cut(&mut self, seq: u32, bytes: &str, wire: u32) -> Took {
            self.packet += 1;
            let text = &mut self.text;
            self.stream.push(
                seq,
                bytes.as_bytes(),
                wire,
                PacketNo(self.packet),
                Stamp(0),
                4,
                64,
                &mut |piece| write_piece(text, piece),
            )
        }

        fn flush(&mut self) {
            let text = &mut self.text;
            self.stream.flush(&mut |piece| write_piece(text, piece));
        }
    }

    fn write_piece(text: &mut String, piece: Piece<'_>) {
        match piece {
            Piece::Bytes(bytes, ..) => text.push_str(std::str::from_utf8(bytes).unwrap()),
            Piece::Gap(n, ..) => text.push_str(&format!("<{n}>")),
        }
    }

    #[test]
    fn in_order_bytes_pass_straight_through() {
        let mut bench = Bench::new(100);
        bench.push(100, "abc");
        bench.push(103, "def");
        assert_eq!(bench.text, "abcdef");
        assert_eq!(bench.stream.held_bytes(), 0);
    }

    #[test]
    fn reordered_segments_wait_for_the_hole() {
        let mut bench = Bench::new(0);
        assert!(bench.push(6, "ghi").ahead);
        bench.push(3, "def");
        assert_eq!(bench.text, "");
        assert_eq!(bench.stream.held_at(), Some(3));
        bench.push(0, "abc");
        assert_eq!(bench.text, "abcdefghi");
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut bench = Bench::new(u32::MAX - 1);
        bench.push(1, "def");
        bench.push(u32::MAX - 1, "abc");
        assert_eq!(bench.text, "abcdef");
    }

    #[test]
    fn the_first_copy_wins_and_the_disagreement_is_noted() {
        let mut bench = Bench::new(0);
        bench.push(0, "abcdef");
        let took = bench.push(3, "XXXghi");
        assert!(took.conflict);
        assert_eq!((took.repeated, took.fresh), (3, 3));
        assert_eq!(bench.text, "abcdefghi");
        assert!(!bench.push(0, "abcdef").conflict);
    }

    #[test]
    fn overlap_among_waiting_segments_is_noted_too() {
        let mut bench = Bench::new(0);
        bench.push(3, "def");
        let took = bench.push(1, "bcXXXg");
        assert_eq!(took.fresh, 3);
        bench.push(0, "a");
        assert_eq!(bench.text, "abcdefg");
        bench.push(9, "jk");
        assert!(bench.push(9, "jX").conflict);
    }

    #[test]
    fn a_gap_the_peer_acknowledged_is_skipped_when_later_bytes_come() {
        let mut bench = Bench::new(0);
        bench.push(0, "abc");
        bench.stream.acknowledge(6);
        bench.push(6, "ghi");
        assert_eq!(bench.text, "abc<3>ghi");
    }

    #[test]
    fn a_cut_packet_hands_on_its_bytes_and_the_gap() {
        let mut bench = Bench::new(0);
        bench.push_cut(0, "ab", 5);
        bench.push(5, "fg");
        assert_eq!(bench.text, "ab<3>fg");
    }

    #[test]
    fn a_keep_alive_probe_is_no_retransmission() {
        let mut bench = Bench::new(0);
        bench.push(0, "abc");
        assert_eq!(bench.push(2, "c").repeated, 0);
        assert_eq!(bench.push(1, "bc").repeated, 2);
    }

    #[test]
    fn holes_and_bytes_are_bounded_and_drops_are_told() {
        let mut bench = Bench::new(0);
        for n in 1..=4 {
            assert_eq!(bench.push(n * 10, "x").dropped, 0);
        }
        assert_eq!(bench.push(50, "xyz").dropped, 3);
        bench.flush();
        assert_eq!(bench.text, "<10>x<9>x<9>x<9>x");
    }

    #[test]
    fn any_order_of_segments_gives_the_same_bytes() {
        let whole = "the quick brown fox jumps over";
        proptest::proptest!(|(cuts in proptest::collection::vec((0usize..30, 1usize..9), 1..40), seed in 0u32..)| {
            let mut stream = Stream::default();
            stream.start(seed);
            let mut got = Vec::new();
            let mut cover = vec![false; whole.len()];
            for (n, &(from, len)) in cuts.iter().enumerate() {
                let to = (from + len).min(whole.len());
                let part = &whole.as_bytes()[from..to];
                cover[from..to].fill(true);
                let took = stream.push(seed.wrapping_add(from as u32), part, part.len() as u32, PacketNo(n as u64), Stamp(0), 64, 1024,
                    &mut |piece| if let Piece::Bytes(bytes, ..) = piece { got.extend_from_slice(bytes) });
                proptest::prop_assert!(!took.conflict);
            }
            let contiguous = cover.iter().take_while(|&&c| c).count();
            proptest::prop_assert_eq!(&got[..], &whole.as_bytes()[..contiguous]);
        });
    }
}
