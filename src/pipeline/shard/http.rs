//! Connections over which a client asks about revocation.

use super::{Out, Shard, State, What};
use crate::aside::date;
use crate::base::{Direction, PackedKey, Seen};
use crate::decode::Segment;
use crate::evidence::exchange::Exchange;
use crate::flow::table::Id;

/// Connections to responders followed at once by one shard: each is over in well under a second.
const EXCHANGES: usize = 4_096;

impl Shard {
    /// Follows an HTTP connection whose client asks for a revocation status. `known`: its entry, which is done.
    pub(super) fn ask(
        &mut self,
        known: Option<Id>,
        key: PackedKey,
        sends: Direction,
        segment: &Segment<'_>,
        place: super::Place,
    ) {
        let Some(http) = Exchange::begin(segment, sends, place.no, place.now) else { return };
        if self.exchanges.len() >= EXCHANGES {
            self.lost.asides_dropped += 1;
            return;
        }
        let id = known.unwrap_or_else(|| self.entry(key, place.now));
        self.make_way(id, place.now);
        let no = self.exchanges.put(http);
        self.table.set(id, State::Http(no));
        self.arm(id, place.now + self.limits.linger);
        self.held += self.exchanges.get(no).map_or(0, Exchange::held);
        self.of_exchange(id, no, sends, segment, place);
    }

    /// Takes the Date of an answer that is not followed further, where its segment begins with the head.
    #[inline]
    pub(super) fn hear(&mut self, segment: &Segment<'_>, place: super::Place) {
        if date::is_answer(segment.payload)
            && let Some(clock) = date::clock(segment.payload)
        {
            let seen = Seen::new(clock, place.no, place.stamp);
            self.out.push(Out { at: place.now, no: place.no, what: What::Dated(segment.hop.src, seen) });
        }
    }

    pub(super) fn of_exchange(
        &mut self,
        id: Id,
        no: u32,
        direction: Direction,
        segment: &Segment<'_>,
        place: super::Place,
    ) {
        let Some(http) = self.exchanges.get_mut(no) else { return };
        let before = http.held();
        let over = http.segment(segment, direction, place.no, place.stamp, place.now, &self.limits);
        let told = http.drain().map(|seen| Out {
            at: place.now,
            no: seen.value.first,
            what: What::Status(Box::new(seen)),
        });
        self.out.extend(told);
        self.held = self.held.saturating_sub(before).saturating_add(http.held());
        if self.held > self.limits.bytes_per_shard {
            self.lost.bytes_dropped += http.held() as u64;
            return self.close(id, place.now, true);
        }
        if over {
            self.close(id, place.now, false);
        }
    }
}
