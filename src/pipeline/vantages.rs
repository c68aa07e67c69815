//! Both sides of a gateway at once.
//!
//! ```text
//!  inside ──▶ decode ──▶ shard ──▶ join ─┐
//!               └─▶ traces ─▶ crossing ──┼─▶ judged handshakes
//!               ┌─▶ traces ─▶            │
//!  outside ─▶ decode ──▶ shard ──▶ join ─┘
//! ```
//!
//! Each vantage point has a shard and a join of its own, for the same addresses may stand for two things on the two sides.
//! What joins them is [`Both`]: before an attempt is judged, its packets are held against those of the other side. An
//! attempt that both saw is told once, as the side of its client saw it.

pub mod clocks;
mod live;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::join::{Join, Judged};
use super::make::Make;
use super::run::{Arrival, Merge, Settings, Source, Totals};
use super::shard::Shard;
use super::statuses::Told;
use crate::base::{Limits, Span, Stamp};
use crate::cause::crossing;
use crate::decode::{Decoder, Frames};
use crate::evidence::crossing::{Both, Vantage};
use crate::evidence::{Evidence, Outcome, Stage};

pub use live::analyse_rings_of_both;

/// Connections kept of each side: some kilobytes each.
const TRACES: usize = 16_384;

/// What was seen on both sides, shared by those who see and those who judge.
pub(super) type Shared = Arc<Mutex<Both>>;

/// Nobody leaves it half written.
pub(super) fn lock(shared: &Shared) -> MutexGuard<'_, Both> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nothing seen yet.
pub(super) fn shared(limits: &Limits, ahead: Option<Span>) -> Shared {
    Arc::new(Mutex::new(Both::new(TRACES.min(limits.flows), ahead)))
}

/// One side's attempts on their way to being told: with what the other side shows, and without what it tells itself.
struct Side<M> {
    vantage: Vantage,
    both: Shared,
    make: Rc<RefCell<M>>,
    /// The other side told of the attempt that is looked at, whose packets have left since.
    told_before: bool,
}

impl<M: Make> Make for Side<M> {
    type Made = Option<(Stamp, M::Made)>;

    fn make(&mut self, judged: Judged) -> Self::Made {
        let evidence = &judged.evidence;
        if self.told_by_other(evidence) {
            return None;
        }
        if evidence.lost.crossings_dropped > 0 {
            lock(&self.both).of_mut(self.vantage).missing += 1;
        }
        let ended_well = matches!(evidence.outcome, Outcome::Completed | Outcome::Resumed);
        if let Some(crossing) = evidence.around.crossing.as_ref().filter(|_| !ended_well) {
            // There it may stay open until what was seen here has left.
            lock(&self.both).told.add(crossing, self.vantage.other());
        }
        Some((judged.evidence.ended, self.make.borrow_mut().make(judged)))
    }

    fn look_across(&mut self, evidence: &mut Evidence) {
        let both = lock(&self.both);
        let Some(no) = both.of(self.vantage).of_attempt(evidence) else {
            self.told_before = both.told.contains(evidence.first);
            if evidence.tcp.syn.is_some() {
                evidence.lost.crossings_dropped = 1;
            }
            return;
        };
        self.told_before = false;
        let Some(mut crossing) = both.crossing(self.vantage, no) else { return };
        if !matches!(evidence.outcome, Outcome::Completed | Outcome::Resumed) {
            crossing.beside = both.beside(self.vantage, no, &crossing);
        }
        drop(both);
        evidence.around.crossing = Some(Box::new(crossing));
        // What one side alone takes for a client that left, or cannot see the end of, the other may have seen fail.
        if matches!(evidence.outcome, Outcome::Incomplete | Outcome::Abandoned) && crossing::prove(evidence) {
            evidence.outcome = Outcome::Failed;
        }
    }

    fn status(&mut self, told: Told) -> Option<Self::Made> {
        // What both sides see is told once.
        if self.vantage == Vantage::Outside {
            return None;
        }
        let ended = told.seen.value.ended;
        Some(Some((ended, self.make.borrow_mut().status(told)?)))
    }

    fn pause(&mut self) {
        self.make.borrow_mut().pause();
    }
}

impl<M> Side<M> {
    /// The client's side tells of it. Lookups of clients are the inner side's.
    fn told_by_other(&self, evidence: &Evidence) -> bool {
        match &evidence.around.crossing {
            _ if evidence.stage == Stage::Dns => self.vantage == Vantage::Outside,
            Some(crossing) => crossing.near != self.vantage && crossing.near_tells,
            None => self.told_before,
        }
    }
}

/// One vantage point that is read from a file.
struct Point<M: Make> {
    vantage: Vantage,
    decoder: Decoder,
    shard: Shard,
    merge: Merge,
    join: Join<Side<M>>,
    totals: Totals,
    /// How far its capture time has come; `None` once it has ended and nothing is open.
    now: Option<Stamp>,
    /// Its source has ended.
    ended: bool,
}

/// Where a capture's clock leaps, time passes in steps, as in `run`.
const STEP: Span = Span::from_secs(1);
const STEPS: i64 = 1_024;

impl<M: Make> Point<M> {
    fn new(vantage: Vantage, both: &Shared, make: &Rc<RefCell<M>>, settings: &Settings) -> Self {
        let side = Side { vantage, both: Arc::clone(both), make: Rc::clone(make), told_before: false };
        Self {
            vantage,
            decoder: Decoder::new(&settings.limits),
            shard: Shard::new(Arc::clone(&settings.limits), Arc::clone(&settings.ports), 0)
                .with_keys(&settings.keys),
            merge: Merge::default(),
            join: Join::making(side, settings, false, 1),
            totals: Totals::default(),
            now: Some(Stamp(i64::MIN)),
            ended: false,
        }
    }

    /// Takes what comes next; at the end closes what is open.
    fn step(&mut self, source: &mut dyn Source, both: &Shared) {
        let Some(now) = self.now else { return };
        if self.ended {
            // Each end may leave kilobytes, which are judged before many more come.
            if self.shard.finish(now).is_none() {
                self.now = None;
            }
            self.merge.extend(0, self.shard.drain(), &self.join);
            return;
        }
        match source.next() {
            Some(Arrival::Frames(frames)) => self.frames(&frames, &mut lock(both)),
            // Of a file that has just been opened, nothing is known.
            Some(Arrival::Tick(Stamp(i64::MIN))) => {}
            Some(Arrival::Tick(stamp)) => {
                self.pass(stamp);
                lock(both).of_mut(self.vantage).pass(stamp);
                self.decoder.expire(now);
                self.shard.tick(now);
            }
            None => self.ended = true,
        }
        self.merge.extend(0, self.shard.drain(), &self.join);
    }

    fn pass(&mut self, stamp: Stamp) -> Stamp {
        let before = self.now.unwrap_or(stamp);
        let now = before.max(stamp);
        if before > Stamp(i64::MIN) && now - before > STEP {
            let steps = (1..STEPS).map(|n| before + Span(n * STEP.0)).take_while(|&step| step < now);
            for step in steps {
                self.shard.tick(step);
                self.merge.extend(0, self.shard.drain(), &self.join);
            }
        }
        self.now = Some(now);
        now
    }

    fn frames(&mut self, frames: &Frames<'_>, both: &mut Both) {
        let traces = both.of_mut(self.vantage);
        for frame in frames {
            self.totals.count(frame);
            let now = self.pass(frame.stamp);
            let packet = self.decoder.decode(frame);
            let no = self.vantage.mark(frame.no);
            traces.packet(&packet, frame, no);
            self.shard.packet(&packet, no, frame.stamp, now);
        }
    }

    /// Judges what was decided before this moment of its own clock.
    fn judge(&mut self, until: Stamp, each: &mut dyn FnMut(Option<(Stamp, M::Made)>)) {
        self.merge.release(until, &mut self.join, each);
        if until < Stamp(i64::MAX) {
            self.join.advance(until, each);
        }
    }

    fn finish(mut self, each: &mut dyn FnMut(Option<(Stamp, M::Made)>)) -> Totals {
        self.merge.finish(&mut self.join, each);
        self.decoder.finish();
        self.totals.lost.add(&self.decoder.take_lost());
        self.totals.lost.add(&self.shard.take_lost());
        self.totals.lost.add(&self.join.lost());
        self.totals
    }
}

/// Analyses two captures of one gateway to their ends, in the calling thread; `ahead` is how far the outer one's clock is
/// ahead (see [`clocks`]). Hands what `make` makes of every judged attempt to `each`, in order of their ends.
pub fn analyse_both<M: Make>(
    inside: &mut dyn Source,
    outside: &mut dyn Source,
    ahead: Option<Span>,
    settings: &Settings,
    make: &mut M,
    each: &mut dyn FnMut(M::Made),
) -> [Totals; 2] {
    let both = shared(&settings.limits, ahead);
    let make = Rc::new(RefCell::new(make));
    let mut inner = Point::new(Vantage::Inside, &both, &make, settings);
    let mut outer = Point::new(Vantage::Outside, &both, &make, settings);
    let ahead = ahead.unwrap_or(Span(0));
    let by_outer = |stamp: Stamp| Stamp(stamp.0.saturating_add(ahead.0));
    let by_inner = |stamp: Stamp| Stamp(stamp.0.saturating_sub(ahead.0));
    let mut waiting: BTreeMap<(Stamp, u64), M::Made> = BTreeMap::new();
    let mut number = 0;
    let mut hold = |vantage: Vantage, made: Option<(Stamp, M::Made)>, each: &mut dyn FnMut(M::Made)| {
        let Some((ended, made)) = made else { return };
        number += 1;
        waiting.insert((if vantage == Vantage::Inside { by_outer(ended) } else { ended }, number), made);
        if waiting.len() > settings.limits.held_events
            && let Some((_, first)) = waiting.pop_first()
        {
            each(first);
        }
    };
    while inner.now.is_some() || outer.now.is_some() {
        // Who is behind goes on.
        let inner_first = match (inner.now, outer.now) {
            (Some(inner), Some(outer)) => by_outer(inner) <= outer,
            (inner, _) => inner.is_some(),
        };
        if inner_first {
            inner.step(inside, &both)
        } else {
            outer.step(outside, &both)
        }
        let (of_inner, of_outer) =
            (inner.now.unwrap_or(Stamp(i64::MAX)), outer.now.unwrap_or(Stamp(i64::MAX)));
        inner.judge(of_inner.min(by_inner(of_outer)), &mut |made| hold(Vantage::Inside, made, each));
        outer.judge(of_outer.min(by_outer(of_inner)), &mut |made| hold(Vantage::Outside, made, each));
    }
    let mut totals = [Totals::default(), Totals::default()];
    totals[0] = inner.finish(&mut |made| hold(Vantage::Inside, made, each));
    totals[1] = outer.finish(&mut |made| hold(Vantage::Outside, made, each));
    for (totals, vantage) in totals.iter_mut().zip([Vantage::Inside, Vantage::Outside]) {
        totals.lost.crossings_dropped = lock(&both).of(vantage).missing;
    }
    waiting.into_values().for_each(each);
    totals
}
