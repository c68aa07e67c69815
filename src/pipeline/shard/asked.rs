//! HTTP connections on which clients ask for revocation status.

use super::{Out, Place, Shard, State, What};
use crate::base::{Direction, PackedKey};
use crate::decode::Segment;
use crate::evidence::exchange::Exchange;
use crate::flow::table::Id;

impl Shard {
    /// Follows an HTTP connection whose client asks for a revocation status. `known`: its entry, which is done.
    pub(super) fn ask(
        &mut self,
        known: Option<Id>,
        key: PackedKey,
        sends: Direction,
        segment: &Segment<'_>,
        place: Place,
    ) {
        let room =
            if self.exchanges.len() < self.limits.lists_under_way { self.limits.list_bytes } else { 1 << 16 };
        let Some(mut http) = Exchange::begin(segment, sends, place.no, place.now, room) else { return };
        let id = known.unwrap_or_else(|| self.entry(key, place.now));
        self.make_way(id, place.now);
        http.segment(segment, sends, place.no, place.stamp, place.now, &self.limits);
        self.arm(id, http.deadline);
        let no = self.exchanges.put(http);
        self.table.set(id, State::Http(no));
    }

    /// A segment of such a connection.
    pub(super) fn of_exchange(
        &mut self,
        id: Id,
        no: u32,
        direction: Direction,
        segment: &Segment<'_>,
        place: Place,
    ) {
        let Some(http) = self.exchanges.get_mut(no) else { return };
        let over = http.segment(segment, direction, place.no, place.stamp, place.now, &self.limits);
        for seen in http.take_done() {
            self.out.push(Out { at: place.now, no: place.no, what: What::Status(Box::new(seen)) });
        }
        if over {
            self.close(id, place.now, false);
        }
    }
}
