//! Connections on which nothing goes on: many are open at any moment, and each is to take little.

use super::{NONE, Open, Place, Shard, State};
use crate::base::{Direction, Limits, PacketNo, Stamp, prefetch};
use crate::decode::Segment;
use crate::evidence::attempt::Attempt;
use crate::evidence::opening::Idle;
use crate::flow::pool::Pool;
use crate::flow::table::Id;

/// Idle connections by number.
#[derive(Debug, Default)]
pub(super) struct Idles {
    kept: Pool<Idle>,
    /// The latest packet of each, by its place: looked over for every mark.
    latest: Vec<PacketNo>,
    /// How many have a hello.
    greeted: usize,
}

impl Idles {
    fn put(&mut self, idle: Idle, last: PacketNo) -> u32 {
        self.greeted += usize::from(idle.is_greeted());
        let no = self.kept.put(idle);
        if self.latest.len() <= no as usize {
            self.latest.resize(no as usize + 1, NONE);
        }
        self.note_latest(no, last);
        no
    }

    fn remove(&mut self, no: u32) -> Option<Idle> {
        let idle = self.kept.take(no)?;
        self.greeted -= usize::from(idle.is_greeted());
        self.note_latest(no, NONE);
        Some(idle)
    }

    fn note_latest(&mut self, no: u32, last: PacketNo) {
        if let Some(latest) = self.latest.get_mut(no as usize) {
            *latest = last;
        }
    }

    /// Takes a segment that leaves a connection idle; `false` where it does not.
    #[inline]
    pub(super) fn take(
        &mut self,
        no: u32,
        segment: &Segment<'_>,
        direction: Direction,
        place: Place,
    ) -> bool {
        let Some(idle) = self.kept.get_mut(no) else { return true };
        let stays = idle.take(segment, direction, place.no, place.stamp, place.now);
        if stays {
            self.note_latest(no, place.no);
        }
        stays
    }

    pub(super) fn first(&self, no: u32) -> Option<PacketNo> {
        self.kept.get(no).map(Idle::first)
    }

    pub(super) fn deadline(&self, no: u32, limits: &Limits) -> Option<Stamp> {
        self.kept.get(no).map(|idle| idle.deadline(limits))
    }

    /// The latest packet of each.
    pub(super) fn latest(&self) -> impl Iterator<Item = PacketNo> {
        self.latest.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Has what is known of one fetched.
    #[inline]
    pub(super) fn approach(&self, no: u32) {
        self.kept.approach(no);
        if let Some(latest) = self.latest.get(no as usize) {
            prefetch(latest);
        }
    }
}

impl Shard {
    /// A hello waits for its answer in few bytes from this part on of the attempts that may be under way. Before, to copy it
    /// costs more than it saves.
    const PART: usize = 256;

    /// What takes kilobytes, or a hello's bytes.
    pub(super) fn under_way(&self) -> usize {
        self.attempts.len() + self.exchanges.len() + self.channels.len() + self.idle.greeted
    }

    /// Keeps a connection without a byte in few bytes, where a segment allows for that.
    pub(super) fn stays_idle(
        &mut self,
        id: Id,
        opening: u32,
        direction: Direction,
        segment: &Segment<'_>,
        place: Place,
    ) -> bool {
        if segment.payload_wire_len > 0 && self.under_way() < self.limits.under_way / Self::PART {
            return false;
        }
        let Place { no, stamp, now } = place;
        let kept = self.openings.get(opening);
        let Some(idle) = kept.and_then(|kept| Idle::of(kept, segment, direction, no, stamp, now)) else {
            return false;
        };
        if idle.is_greeted() {
            self.make_way(id, now);
        }
        self.openings.take(opening);
        let deadline = idle.deadline(&self.limits);
        let kept = self.idle.put(idle, no);
        self.table.set(id, State::Idle(kept));
        self.arm(id, deadline);
        true
    }

    /// Takes an idle connection out of those, as an attempt.
    pub(super) fn attempt_of_idle(&mut self, id: Id, no: u32) -> Option<Attempt> {
        let idle = self.idle.remove(no)?;
        let key = self.table.key(id);
        let tls_port = self.ports.contains(idle.ends(&key).1.port);
        Some(idle.into_attempt(&key, tls_port, &self.limits, &mut self.parser))
    }

    /// Ends an idle connection.
    pub(super) fn close_idle(&mut self, id: Id, no: u32, at: Stamp, capture_ended: bool, evicted: bool) {
        let Some(mut attempt) = self.attempt_of_idle(id, no) else { return };
        if evicted {
            attempt.evidence.lost.flows_evicted += 1;
        }
        self.forget(id, at);
        self.close_attempt(id, Open { attempt, held: 0, armed: at }, at, capture_ended);
    }
}
