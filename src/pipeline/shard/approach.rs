//! Asks for the memory that the next packets will touch, ahead of them.

use super::{Shard, State};
use crate::base::{PackedKey, prefetch};
use crate::flow::table::Id;

impl Shard {
    /// Connections that no longer fit the caches near a processor. Fewer are looked up as fast as they are asked for ahead.
    const LARGE: usize = 1 << 16;

    /// Whether its connections are too many for a cache near the processor, so that looking ahead pays.
    #[inline]
    pub fn is_large(&self) -> bool {
        self.table.len() >= Self::LARGE
    }

    /// Has the memory fetched where the search for this connection begins. What it gives serves the further steps.
    #[inline]
    pub fn approach(&self, key: &PackedKey) -> u64 {
        self.table.approach(key)
    }

    /// Has the connection itself fetched, some packets behind [`Self::approach`].
    #[inline]
    pub fn approach_connection(&self, hash: u64) -> Option<Id> {
        self.table.approach_entry(hash)
    }

    /// Has what is known of it fetched, some packets behind [`Self::approach_connection`]. Gives the number of an attempt for
    /// the last step.
    #[inline]
    pub fn approach_state(&self, likely: Id) -> Option<u32> {
        self.table.approach_key(likely);
        match self.table.get(likely) {
            State::Done(_) | State::Http(_) | State::Dns(_) => return None,
            State::Opening(no) => self.openings.approach(no),
            State::Idle(no) => self.idle.approach(no),
            State::Open(no) => {
                self.attempts.approach(no);
                return Some(no);
            }
        }
        None
    }

    /// Has an attempt's facts fetched, some packets behind [`Self::approach_state`].
    #[inline]
    pub fn approach_facts(&self, attempt: u32) {
        if let Some(open) = self.attempts.get(attempt) {
            prefetch(&*open.attempt.evidence);
        }
    }

    /// Has what the end of a connection will touch fetched: what is known of it, its neighbours in its list, and where its
    /// key is found.
    pub(super) fn approach_end(&self, id: Id) {
        self.approach_state(id);
        self.table.approach_neighbours(id);
        self.table.approach(&self.table.packed_key(id));
    }
}
