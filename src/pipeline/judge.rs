//! The join of an interface: what its rings hand over, judged in order of time.

use super::follow::JUST_BEHIND;
use super::join::Join;
use super::make::Make;
use super::renewal::Renewal;
use super::run::{Merge, Settings};
use super::shard::Out;
use crate::base::{Lost, Stamp};

/// How far a ring is: nothing that it will give was decided before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// The era of the clock.
    pub era: u64,
    /// The time in it.
    pub stamp: Stamp,
}

impl Mark {
    /// Before everything.
    const BEGIN: Self = Self { era: 0, stamp: Stamp(i64::MIN) };
    /// Behind everything: a ring that has ended holds nobody back.
    pub(super) const END: Self = Self { era: u64::MAX, stamp: Stamp(i64::MAX) };
}

/// Waits for every ring's capture time to pass before it judges.
pub(super) struct Judge<M: Make<Made = ()>> {
    join: Join<M>,
    /// The era that is judged, and what came of it.
    era: u64,
    merge: Merge,
    /// What came of later ones, and of which ring.
    later: Vec<(usize, u64, Out)>,
    /// How far each ring is.
    marks: Vec<Mark>,
    /// The renewal taken over last.
    newest: u64,
}

impl<M: Make<Made = ()>> Judge<M> {
    /// Of as many rings.
    pub(super) fn new(rings: usize, settings: &Settings, make: M) -> Self {
        Self {
            join: Join::making(make, settings, false, rings),
            era: 0,
            merge: Merge::default(),
            later: Vec::new(),
            marks: vec![Mark::BEGIN; rings],
            newest: 0,
        }
    }

    /// Takes what left a ring's shard, of which era it is, and how far the ring is now.
    pub(super) fn take(
        &mut self,
        ring: usize,
        era: u64,
        outs: impl IntoIterator<Item = Out>,
        mark: Mark,
        renewal: &Renewal,
    ) {
        if let Some(newer) = renewal.newer(&mut self.newest) {
            self.join.renew(newer.trust);
        }
        if era > self.era {
            self.later.extend(outs.into_iter().map(|out| (ring, era, out)));
        } else {
            self.merge.extend(ring, outs, &self.join);
        }
        if let Some(of_ring) = self.marks.get_mut(ring) {
            *of_ring = mark;
        }
        // What is left when all have ended is released in `finish`.
        let mut least = self.marks.iter().copied().min().unwrap_or(Mark::BEGIN);
        if least < Mark::END {
            while self.era < least.era {
                self.turn();
            }
            if self.marks.len() == 1 {
                least.stamp = least.stamp + JUST_BEHIND; // nobody else can still give something of this moment
            }
            self.merge.release(least.stamp, &mut self.join, &mut drop);
            self.join.advance(least.stamp, &mut drop);
        }
        self.join.pause();
    }

    /// An era is over: what it left is judged, and time begins anew.
    fn turn(&mut self) {
        std::mem::take(&mut self.merge).finish(&mut self.join, &mut drop);
        self.join.begin_again();
        self.era += 1;
        let later = std::mem::take(&mut self.later);
        let (now, later): (Vec<_>, _) = later.into_iter().partition(|(_, era, _)| *era <= self.era);
        self.later = later;
        now.into_iter().for_each(|(ring, _, out)| self.merge.extend(ring, [out], &self.join));
    }

    /// All rings have ended: judges what is left. What the join lost.
    pub(super) fn finish(mut self) -> Lost {
        while !self.later.is_empty() {
            self.turn();
        }
        self.merge.finish(&mut self.join, &mut drop);
        self.join.pause();
        self.join.lost()
    }
}
