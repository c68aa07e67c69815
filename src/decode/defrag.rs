//! IP datagrams rejoined from their fragments (RFC 791 section 3.2, RFC 8200 section 4.5), and likewise the frames
//! that CAPWAP cuts (RFC 5415 section 3.4).

use std::collections::BTreeMap;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::Hop;
use super::walk::{Content, Fragment};
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
    content: Option<Content>,
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
    /// Header and content of the first fragment.
    first: Option<(Hop, Content)>,
    /// Fragments that were put in.
    fragments: u64,
}

/// A rejoined payload with the first fragment's header.
pub(super) struct Whole {
    /// The IP header's part.
    pub hop: Hop,
    /// What the payload is.
    pub content: Content,
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

    /// Datagrams that wait.
    pub fn held(&self) -> usize {
        self.pending.len()
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
        let v6 = fragment.hop.ip_id.is_none();
        let is_ipv6 = |content: &Content| v6 && matches!(content, Content::Ip(_));
        let key = Key {
            src: fragment.hop.src,
            dst: fragment.hop.dst,
            id: fragment.id,
            content: Some(fragment.content).filter(|content| !is_ipv6(content)),
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
            pending.first = Some((fragment.hop, fragment.content));
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
        let (hop, content) = self.first?;
        let mut bytes = Vec::with_capacity(self.have as usize);
        for piece in &self.pieces {
            bytes.extend_from_slice(&piece.bytes);
            if piece.bytes.len() < (piece.end - piece.start) as usize {
                break;
            }
        }
        Some(Whole { hop, content, bytes, wire_len: self.have })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::build::*;
    use super::super::{Decoder, Frame, LinkType, Packet};
    use super::*;

    /// A TCP segment with a payload of 4 000 different bytes.
    fn segment() -> Vec<u8> {
        let payload: Vec<u8> = (0..4_000u16).map(|n| u8::try_from(n % 251).unwrap()).collect();
        tcp(&TIMESTAMPS, &payload)
    }

    /// The parts of `whole` cut at these places.
    fn parts(whole: &[u8], cuts: &[usize], v6: bool) -> Vec<Vec<u8>> {
        let starts = [&[0], cuts].concat();
        let ends = [cuts, &[whole.len()]].concat();
        let part = |(&start, &end): (&usize, &usize)| {
            let (bytes, more) = (&whole[start..end], end < whole.len());
            if v6 { ipv6_fragment(77, 6, start, more, bytes) } else { ipv4_fragment(77, start, more, bytes) }
        };
        starts.iter().zip(&ends).map(part).collect()
    }

    fn at(seconds: i64, packet: &[u8]) -> Frame<'_> {
        Frame { stamp: Stamp::from_secs(seconds), ..frame(LinkType::RAW, packet) }
    }

    /// The payloads of the segments that these packets give, one a second.
    fn payloads(decoder: &mut Decoder, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        for (second, packet) in (0..).zip(packets) {
            if let Packet::Segment(segment) = decoder.decode(&at(second, packet)) {
                assert_eq!(segment.payload.len(), segment.payload_wire_len as usize);
                payloads.push(segment.payload.to_vec());
            }
        }
        payloads
    }

    fn dropped(mut decoder: Decoder) -> u64 {
        decoder.finish();
        decoder.take_lost().fragments_dropped
    }

    #[test]
    fn the_last_fragment_gives_the_whole() {
        for v6 in [false, true] {
            let (whole, mut decoder) = (segment(), decoder());
            let packets = parts(&whole, &[1_480, 2_960], v6);
            assert_eq!(payloads(&mut decoder, &packets[..2]), [[0; 0]; 0]);
            let Packet::Segment(segment) = decoder.decode(&frame(LinkType::RAW, &packets[2])) else {
                panic!()
            };
            assert_eq!((segment.payload, segment.hop.ttl, segment.seq), (&whole[32..], 57, 7));
            assert_eq!(dropped(decoder), 0);
        }
    }

    #[test]
    fn only_the_time_of_fragments_makes_others_give_up() {
        let (whole, mut decoder) = (segment(), decoder());
        let packets = parts(&whole, &[1_480, 2_960], false);
        let other = ipv4(6, &tcp(&TIMESTAMPS, PAYLOAD));
        // Of two captures in one, the second may be of an earlier time.
        for (second, packet) in [(0, &packets[0]), (1_000, &other), (1, &packets[1]), (1_000, &other)] {
            decoder.decode(&at(second, packet));
        }
        assert!(matches!(decoder.decode(&at(2, &packets[2])), Packet::Segment(_)));
        assert_eq!(dropped(decoder), 0);
    }

    proptest! {
        #[test]
        fn fragments_come_in_any_order_and_more_than_once(
            v6: bool,
            cuts in prop::collection::btree_set(1usize..500, 1..12),
            order in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let whole = segment();
            let cuts: Vec<usize> = cuts.into_iter().map(|cut| cut * 8).collect();
            let mut packets = parts(&whole, &cuts, v6);
            let count = packets.len();
            for index in &order {
                packets.push(packets[index.index(count)].clone());
            }
            // A Fisher-Yates shuffle by the same numbers.
            for (place, index) in order.iter().enumerate() {
                let other = index.index(packets.len());
                let place = place % packets.len();
                packets.swap(place, other);
            }
            let mut decoder = Decoder::new(&Limits { fragment_wait: Span::from_secs(1_000), ..Limits::default() });
            let payloads = payloads(&mut decoder, &packets);
            prop_assert!(!payloads.is_empty());
            for payload in payloads {
                prop_assert_eq!(&payload, &whole[32..]);
            }
        }

        #[test]
        fn random_fragments_do_no_harm(
            fragments in prop::collection::vec((0u8..3, 0usize..8_192, any::<bool>(), 0usize..400, any::<bool>()), 0..200),
        ) {
            let limits = Limits { fragments: 2, ..Limits::default() };
            let mut decoder = Decoder::new(&limits);
            let mut given = 0;
            for (id, place, more, len, v6) in fragments {
                let bytes = vec![0x5a; len];
                let packet = if v6 {
                    ipv6_fragment(id.into(), 6, place * 8, more, &bytes)
                } else {
                    ipv4_fragment(id.into(), place * 8, more, &bytes)
                };
                given += 1;
                decoder.decode(&frame(LinkType::RAW, &packet));
                prop_assert!(decoder.fragments_held() <= 2);
            }
            prop_assert!(dropped(decoder) <= given);
        }
    }

    #[test]
    fn of_overlapping_fragments_the_first_copy_wins() {
        let whole = segment();
        let mut false_copy = whole.clone();
        false_copy[32..].fill(0xee);
        let mut packets = parts(&whole, &[800, 1_600], false);
        // Overlaps the first, and all of the second but what comes after it.
        packets.insert(1, ipv4_fragment(77, 400, true, &false_copy[400..1_200]));
        packets.insert(2, ipv4_fragment(77, 0, true, &false_copy[..1_200]));
        let mut decoder = decoder();
        let mut expected = whole[32..].to_vec();
        expected[768..1_168].fill(0xee);
        assert_eq!(payloads(&mut decoder, &packets), [expected]);
    }

    #[test]
    fn incomplete_datagrams_are_forgotten_by_time() {
        let packets = parts(&segment(), &[1_480, 2_960], false);
        let mut decoder = decoder();
        decoder.decode(&at(100, &packets[0]));
        decoder.decode(&at(101, &packets[1]));
        let other = ipv4_fragment(5, 0, true, &[0; 24]);
        decoder.decode(&at(130, &other));
        assert_eq!((decoder.fragments_held(), decoder.take_lost().fragments_dropped), (2, 0));
        decoder.decode(&at(131, &other));
        assert_eq!((decoder.fragments_held(), decoder.take_lost().fragments_dropped), (1, 2));
        assert!(matches!(decoder.decode(&at(131, &packets[2])), Packet::Other));
        decoder.expire(Stamp::from_secs(162));
        assert_eq!((decoder.fragments_held(), decoder.take_lost().fragments_dropped), (0, 3));
    }

    #[test]
    fn incomplete_datagrams_are_forgotten_by_number_oldest_first() {
        let limits = Limits { fragments: 4, ..Limits::default() };
        let mut decoder = Decoder::new(&limits);
        let whole = segment();
        for id in 0..10 {
            decoder.decode(&frame(LinkType::RAW, &ipv4_fragment(id, 0, true, &whole[..1_480])));
        }
        assert_eq!((decoder.fragments_held(), decoder.take_lost().fragments_dropped), (4, 6));
        let mut finished = |id| {
            let last = ipv4_fragment(id, 1_480, false, &whole[1_480..]);
            matches!(decoder.decode(&frame(LinkType::RAW, &last)), Packet::Segment(_))
        };
        assert!(finished(9) && finished(6), "the newest four were kept");
        assert!(!finished(5), "older ones were not");
        let mut none = Decoder::new(&Limits { fragments: 0, ..Limits::default() });
        none.decode(&frame(LinkType::RAW, &ipv4_fragment(1, 0, true, &whole[..1_480])));
        assert_eq!(dropped(none), 1);
    }

    #[test]
    fn a_datagram_in_too_many_pieces_is_dropped() {
        let mut decoder = decoder();
        for piece in 0..=MOST_PIECES {
            assert_eq!(decoder.fragments_held(), piece.min(1));
            decoder.decode(&frame(LinkType::RAW, &ipv4_fragment(1, piece * 16, true, &[0; 8])));
        }
        assert_eq!(decoder.fragments_held(), 0);
        assert_eq!(dropped(decoder), MOST_PIECES as u64 + 1);
    }

    #[test]
    fn fragments_that_reach_beyond_the_longest_datagram_or_hold_nothing_are_dropped() {
        let rows = [(65_528, false, 8), (0, true, 0), (65_000, true, 600), (8, true, 7)];
        for (offset, more, len) in rows {
            let mut decoder = decoder();
            decoder.decode(&frame(LinkType::RAW, &ipv4_fragment(1, offset, more, &vec![0; len])));
            assert_eq!(decoder.fragments_held(), 0, "{len} bytes at {offset}");
            assert_eq!(dropped(decoder), 1, "{len} bytes at {offset}");
        }
    }

    #[test]
    fn a_second_end_does_not_move_the_first() {
        let whole = segment();
        let mut packets = parts(&whole, &[1_480, 2_960], false);
        packets.insert(0, packets[2].clone());
        packets.insert(1, ipv4_fragment(77, 1_480, false, &[0xee; 80]));
        packets.insert(1, ipv4_fragment(77, 2_960, true, &[0xee; 1_600]));
        let mut decoder = decoder();
        assert_eq!(payloads(&mut decoder, &packets[..5]), [whole[32..].to_vec()]);
    }

    #[test]
    fn a_cut_fragment_gives_the_payload_up_to_the_cut() {
        let whole = segment();
        let packets = parts(&whole, &[1_480, 2_960], false);
        let mut decoder = decoder();
        for (packet, kept) in packets.iter().zip([1_500, 120, 120]) {
            let cut = Frame { data: &packet[..kept], ..frame(LinkType::RAW, packet) };
            if let Packet::Segment(segment) = decoder.decode(&cut) {
                assert_eq!(segment.payload, &whole[32..1_580]);
                assert_eq!(segment.payload_wire_len, 4_000);
                return;
            }
        }
        panic!("not rejoined");
    }

    #[test]
    fn datagrams_with_other_addresses_protocols_or_numbers_do_not_mix() {
        let whole = segment();
        let first = ipv4_fragment(1, 0, true, &whole[..1_480]);
        let last = ipv4_fragment(1, 1_480, false, &whole[1_480..]);
        for (name, place) in [("number", 5), ("protocol", 9), ("source", 15), ("destination", 19)] {
            let mut other = last.clone();
            other[place] ^= 0x40;
            let mut decoder = decoder();
            assert!(payloads(&mut decoder, &[first.clone(), other]).is_empty(), "{name}");
            assert_eq!(decoder.fragments_held(), 2, "{name}");
        }
    }
}
