//! Room in a full table: who leaves first.

use super::{DONE, OPENINGS, Over, Shard, State};
use crate::base::{PackedKey, Stamp};
use crate::flow::table::Id;

impl Shard {
    /// An entry for a connection that is not in the table.
    pub(super) fn entry(&mut self, key: PackedKey, now: Stamp) -> Id {
        if self.table.len() >= self.limits.flows {
            self.make_room(now);
        }
        self.table.insert(key, State::Done(Over::default().at(now)))
    }

    /// Finished connections leave first; then those without a byte, SYNs that nobody answered before others, and of
    /// each kind the longest idle; then attempts.
    fn make_room(&mut self, now: Stamp) {
        if self.table.front(DONE).is_none() && !self.evict_opening(now) {
            self.evict_attempt(now);
        }
        if self.table.len() >= self.limits.flows
            && let Some(id) = self.table.front(DONE)
        {
            self.table.remove(id);
        }
    }

    fn evict_opening(&mut self, now: Stamp) -> bool {
        let Some(id) = OPENINGS.iter().find_map(|(_, list)| self.table.front(*list)) else { return false };
        let State::Opening(no) = self.table.get(id) else { return false };
        let Some(opening) = self.openings.take(no) else { return false };
        self.lost.flows_evicted += 1;
        self.close_opening(id, opening, now, true, true);
        true
    }

    /// Room for one more attempt or exchange, which is to be this entry's.
    pub(super) fn make_way(&mut self, id: Id, now: Stamp) {
        if self.under_way() >= self.limits.under_way {
            // Out of the way itself.
            self.table.unlink(id);
            self.evict_attempt(now);
        }
    }

    /// Gives up the attempt that would have been given up next: one that has ended, or the longest idle.
    fn evict_attempt(&mut self, now: Stamp) {
        // Who is not due has gone on since it was armed.
        const LOOKS: usize = 64;
        for look in 1.. {
            let Some((id, due)) = self.timers.soonest(&mut self.table) else { return };
            let (armed, deadline) = match self.table.get(id) {
                State::Open(no) => match self.attempts.get_mut(no) {
                    Some(open) => {
                        (std::mem::replace(&mut open.armed, open.attempt.deadline), open.attempt.deadline)
                    }
                    None => return,
                },
                State::Http(no) => match self.exchanges.get(no) {
                    Some(http) => (http.deadline, http.deadline),
                    None => return,
                },
                State::Dns(no) => match self.channels.get(no) {
                    Some(channel) => (channel.deadline, channel.deadline),
                    None => return,
                },
                State::Idle(no) => match self.idle.deadline(no, &self.limits) {
                    Some(deadline) => (due, deadline),
                    None => return,
                },
                State::Opening(_) | State::Done(_) => continue,
            };
            if deadline > armed && look < LOOKS {
                self.timers.arm(&mut self.table, id, deadline);
                continue;
            }
            self.lost.flows_evicted += 1;
            match self.table.get(id) {
                State::Open(no) => {
                    if let Some(open) = self.attempts.get_mut(no) {
                        open.attempt.evidence.lost.flows_evicted += 1;
                    }
                }
                State::Idle(no) => return self.close_idle(id, no, now, true, true),
                _ => {}
            }
            return self.close(id, now, true);
        }
    }
}
