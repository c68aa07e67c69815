//! How far one capture's clock is ahead of another's, told by the connections that both have.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::super::run::{Arrival, Source};
use crate::base::{Endpoint, Limits, Span, Stamp};
use crate::decode::{Decoder, Packet, Segment};

/// What only copies of one packet share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Copied {
    /// A SYN's first sequence number, and the end that no translator changed.
    Syn(u32, Endpoint),
    /// A SYN/ACK's numbers.
    Answer(u32, u32),
}

/// Stamps of a sample of all SYNs and SYN/ACKs of a capture, chosen so that other captures' samples hold the same ones.
#[derive(Debug, Default)]
struct Sample {
    stamps: HashMap<Copied, SmallVec<[Stamp; 4]>, FixedState>,
    /// Of the hashes, so many lowest bits are to be 0.
    bits: u32,
}

/// Packets in a sample.
const MOST: usize = 1 << 16;
/// Those that are right agree so well: a gateway's delays, and how far clocks drift apart within a capture.
const AGREE: i64 = Span::from_millis(200).0;

impl Sample {
    fn is_in(&self, copy: &Copied) -> bool {
        self.stamps.hasher().hash_one(copy).trailing_zeros() >= self.bits
    }

    fn put(&mut self, copy: Copied, when: Stamp) {
        if !self.is_in(&copy) {
            return;
        }
        let stamps = self.stamps.entry(copy).or_default();
        if stamps.len() < 4 {
            stamps.push(when);
        }
        if self.stamps.len() > MOST {
            self.bits += 1;
            let mut kept = std::mem::take(&mut self.stamps);
            kept.retain(|copy, _| self.is_in(copy));
            self.stamps = kept;
        }
    }

    fn segment(&mut self, segment: &Segment<'_>, when: Stamp) {
        if segment.flags.syn() && segment.flags.ack() {
            self.put(Copied::Answer(segment.seq, segment.ack), when);
        } else if segment.flags.syn() {
            // The inner client's address changes, or the outer server's.
            self.put(Copied::Syn(segment.seq, segment.dst()), when);
            self.put(Copied::Syn(segment.seq, segment.src()), when);
        }
    }

    fn of(source: &mut dyn Source, limits: &Limits) -> Self {
        let (mut sample, mut decoder) = (Self::default(), Decoder::new(limits));
        while let Some(arrival) = source.next() {
            let Arrival::Frames(frames) = arrival else { continue };
            for frame in &frames {
                if let Packet::Segment(segment) = decoder.decode(frame) {
                    sample.segment(&segment, frame.stamp);
                }
            }
        }
        sample
    }
}

/// How far the outer capture's clock is ahead of the inner one's, in microseconds; `None` where the two have no connection
/// in common. Reads both to their ends.
pub fn ahead(inside: &mut dyn Source, outside: &mut dyn Source, limits: &Limits) -> Option<Span> {
    agreed(&Sample::of(inside, limits), &Sample::of(outside, limits))
}

/// What most pairs say; a packet that takes its time one way is made up for by those of the other way.
fn agreed(inside: &Sample, outside: &Sample) -> Option<Span> {
    let mut said: Vec<(i64, bool)> = Vec::new();
    for (copy, ours) in &inside.stamps {
        for theirs in outside.stamps.get(copy).into_iter().flatten() {
            said.extend(ours.iter().map(|own| ((*theirs - *own).0, matches!(copy, Copied::Answer(..)))));
        }
    }
    said.sort_unstable();
    // The interval that holds the most of them; of several the one nearest to no difference at all.
    let mut best: Option<(usize, i64, usize)> = None;
    let mut end = 0;
    for (start, (first, _)) in said.iter().enumerate() {
        while said.get(end).is_some_and(|(other, _)| other - first <= AGREE) {
            end += 1;
        }
        let found = (end - start, -first.abs(), start);
        best = best.max(Some(found));
    }
    let (count, _, start) = best?;
    let agreed = said.get(start..start + count)?;
    let median = |answers: bool| {
        let of: Vec<i64> = agreed.iter().filter(|(_, is)| *is == answers).map(|(said, _)| *said).collect();
        of.get(of.len() / 2).copied()
    };
    match (median(false), median(true)) {
        (Some(out), Some(back)) => Some(Span(out + (back - out) / 2)),
        (one, other) => one.or(other).map(Span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample with these packets; `who` tells connections apart.
    fn sample(packets: &[(u32, bool, i64)]) -> Sample {
        let mut sample = Sample::default();
        for &(who, answers, micros) in packets {
            let server = Endpoint { port: 443, ..Endpoint::default() };
            let copy = if answers { Copied::Answer(who, 1) } else { Copied::Syn(who, server) };
            sample.put(copy, Stamp(micros));
        }
        sample
    }

    #[test]
    fn delays_of_both_ways_make_up_for_each_other() {
        let inside = sample(&[(1, false, 1_000), (1, true, 21_080)]);
        let outside = sample(&[(1, false, 501_080), (1, true, 521_000)]);
        assert_eq!(agreed(&inside, &outside), Some(Span(500_000)));
    }

    #[test]
    fn a_syn_that_one_capture_missed_does_not_shift_the_clock() {
        let inside =
            sample(&[(1, false, 0), (1, false, 1_000_000), (2, false, 5_000_000), (3, false, 6_000_000)]);
        let outside = sample(&[(1, false, 1_000_060), (2, false, 5_000_060), (3, false, 6_000_060)]);
        assert_eq!(agreed(&inside, &outside), Some(Span(60)));
    }

    #[test]
    fn captures_without_a_common_connection_agree_on_nothing() {
        assert_eq!(agreed(&sample(&[(1, false, 0)]), &sample(&[(2, false, 0)])), None);
    }

    #[test]
    fn samples_of_many_packets_are_bounded_and_hold_the_same_ones() {
        let (mut inside, mut outside) = (Sample::default(), Sample::default());
        for who in 0..300_000 {
            inside.put(Copied::Answer(who, 0), Stamp(i64::from(who)));
        }
        for who in 250_000..300_000 {
            outside.put(Copied::Answer(who, 0), Stamp(i64::from(who) + 7_000_000));
        }
        assert!(inside.stamps.len() <= MOST);
        assert_eq!(agreed(&inside, &outside), Some(Span(7_000_000)));
    }
}
