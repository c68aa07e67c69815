//! By a map: any finished connection, and any that is none of ours.
//!
//! What is over, or was never known, is changed by telling segments alone, and those the kernel lets pass
//! ([`crate::capture::live::BypassMap`]); so nothing can be missed, and nothing has to be taken back when a connection leaves
//! the shard's table. To list one costs a look into memory that is seldom in a cache, so one quiet packet in [`SAMPLE`] has its
//! connection listed: what carries little costs little, and what carries much is soon met.

use std::collections::VecDeque;
use std::sync::Arc;

use super::sample::Sample;
use crate::base::{FlowKey, Span, Stamp};
use crate::capture::live::{BypassMap, clock, elapsed, reachable};
use crate::decode::{Frame, Packet};
use crate::pipeline::gauges::Bypassed;
use crate::pipeline::shard::Shard;

/// One packet in so many is looked at, on average.
const SAMPLE: u32 = 8;
/// Between a packet's stamp and its being judged by the kernel's filter passes less.
const STAMPED: Span = Span::from_millis(10);
/// Two clocks that differ by more within one turn: one was set.
const SET: Span = Span::from_millis(5);
/// Since when what lies in the ring is stamped by a clock as it is now.
const SURE: Span = Span::from_secs(2);
/// Publications of which the moment is remembered.
const REMEMBERED: usize = 64;

/// What one ring knows of its map.
pub(in crate::pipeline) struct Map {
    map: Arc<BypassMap>,
    sample: Sample,
    /// Milliseconds that passed before the first publication, less what [`Self::let_all_pass`] added.
    began: Option<i64>,
    published: u64,
    /// Numbers, and when each was published by the clock that stamps packets.
    moments: VecDeque<(u64, Stamp)>,
    /// Numbers below this one were replaced before the latest packet was captured: what is marked with them was seen.
    seen: u64,
    /// What the clock was ahead of the time that passed, and since when it is sure that it was not set.
    ahead: Option<i64>,
    unsure_until: Span,
    /// Whether any is to be listed.
    listing: bool,
    /// Connections listed in the present epoch and in the one before, and when this one began.
    listed: [u64; 2],
    epoch: u64,
}

impl Map {
    pub(super) fn new(map: Arc<BypassMap>) -> Self {
        Self {
            map,
            sample: Sample::one_of(SAMPLE),
            began: None,
            published: 0,
            moments: VecDeque::new(),
            seen: 0,
            ahead: None,
            unsure_until: Span::default(),
            listing: false,
            listed: [0; 2],
            epoch: 0,
        }
    }

    /// Whether no look is due.
    #[inline]
    pub(super) fn passes_over(&mut self) -> bool {
        !self.listing || self.sample.passes_over()
    }

    /// Lists the connection of a packet that is looked at, where nothing is to be learned from it. One that may begin something
    /// where the kernel's filter does not look (in a tunnel, in fragments, behind options of IP) takes its connection out.
    #[inline]
    pub(super) fn sees(&mut self, packet: &Packet<'_>, frame: &Frame<'_>, shard: &Shard) {
        if let Packet::Segment(segment) = packet
            && Shard::may_begin(segment)
            && reachable(frame.data).is_none()
        {
            self.map.forget(&FlowKey::of(segment.src(), segment.dst()).0.into());
        }
        if self.listing && self.sample.is_due() {
            self.look(packet, frame.stamp, shard);
        }
    }

    fn look(&mut self, packet: &Packet<'_>, stamp: Stamp, shard: &Shard) {
        while let Some(&(number, moment)) = self.moments.front()
            && stamp > moment + STAMPED
        {
            self.seen = number;
            self.moments.pop_front();
        }
        if let Packet::Segment(segment) = packet
            && let Some(key) = shard.learns_nothing_from(segment)
        {
            self.listed[0] += u64::from(self.map.list(&key, self.seen));
        }
    }

    /// Publishes the next number. `listing`: whether any is to be listed from now on.
    pub(super) fn settle(&mut self, listing: bool) {
        self.listing = listing;
        let elapsed = elapsed();
        if self.publish(elapsed) {
            // Behind it: what was marked with the number before was captured earlier than that.
            self.note(elapsed, clock());
        }
    }

    /// Publishes the number of this moment; false where it has been already.
    fn publish(&mut self, elapsed: Span) -> bool {
        let millis = elapsed.0 / 1_000;
        let began = *self.began.get_or_insert(millis);
        let number = (millis - began).unsigned_abs() + 1;
        if number <= self.published {
            return false;
        }
        self.published = number;
        self.map.publish(number);
        if number / BypassMap::EPOCH > self.epoch {
            self.epoch = number / BypassMap::EPOCH;
            self.listed = [0, self.listed[0]];
        }
        true
    }

    /// Remembers when a number was published, unless the clock was set.
    fn note(&mut self, elapsed: Span, clock: Stamp) {
        let ahead = clock.0.saturating_sub(elapsed.0);
        if self.ahead.replace(ahead).is_some_and(|before| before.abs_diff(ahead) > SET.0.unsigned_abs()) {
            // What lies in the ring may be stamped by the clock as it was.
            self.moments.clear();
            self.unsure_until = Span(elapsed.0.saturating_add(SURE.0));
        }
        if elapsed >= self.unsure_until && self.moments.len() < REMEMBERED {
            self.moments.push_back((self.published, clock));
        }
    }

    /// All connections are forgotten: the next epoch of each begins.
    pub(super) fn let_all_pass(&mut self) {
        self.began = self.began.map(|began| began.saturating_sub_unsigned(BypassMap::EPOCH));
        self.moments.clear();
        self.ahead = None;
    }

    /// How many are kept back, and what they carried.
    pub(super) fn told(&self) -> Bypassed {
        let (packets, bytes) = self.map.kept_back();
        Bypassed { connections: self.listed[0].max(self.listed[1]), packets, bytes }
    }
}

#[cfg(test)]
mod tests;
