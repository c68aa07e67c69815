//! Deadlines on capture time, for very many entries of a [`Table`] that rarely expire.
//!
//! A wheel: each list of the table holds what is due within the same quarter of a second. A deadline that moves is not
//! moved here: the holder keeps the true one, and an entry that is looked at early is armed again. So a packet that
//! postpones a deadline costs nothing here. Within the quarter of a second that is under way, deadlines are kept exactly.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::table::{Id, List, Table};
use crate::base::Stamp;

/// Timers of one shard.
#[derive(Debug)]
pub struct Timers {
    /// The stretch of time that is under way; the lists of all before it are empty.
    at: i64,
    /// What is due within it.
    soon: BinaryHeap<Reverse<(Stamp, Id)>>,
    /// The table's list for the stretches 0, `LISTS`, 2 `LISTS`, …
    first_list: u32,
}

impl Timers {
    /// Lists that the wheel takes: some eighteen minutes. What is due later is looked at once in between.
    pub const LISTS: u32 = 1 << 12;
    /// A stretch has 2¹⁸ µs.
    const STRETCH: u32 = 18;

    /// No timers; the wheel takes the table's lists from this one on.
    pub fn new(first_list: List) -> Self {
        Self { at: i64::MIN >> Self::STRETCH, soon: BinaryHeap::new(), first_list: first_list.0 }
    }

    /// Nothing is due until this has passed.
    pub fn due(&self) -> Stamp {
        let next = Stamp((self.at + 1) << Self::STRETCH);
        self.soon.peek().map_or(next, |Reverse((soonest, _))| next.min(*soonest))
    }

    /// Has an entry looked at once `deadline` has passed, instead of when it was to be.
    pub fn arm<S: Copy + Default>(&mut self, table: &mut Table<S>, id: Id, deadline: Stamp) {
        let stretch = deadline.0 >> Self::STRETCH;
        if stretch <= self.at {
            table.unlink(id);
            self.soon.push(Reverse((deadline, id)));
        } else {
            table.place(id, self.list(stretch.min(self.at + i64::from(Self::LISTS) - 1)));
        }
    }

    /// The next entry to look at: it is in no list any more, and is to be armed again unless its time has come. It may
    /// have been looked at before, or be another than the one that was armed.
    pub fn expired<S: Copy + Default>(&mut self, table: &mut Table<S>, now: Stamp) -> Option<Id> {
        let target = now.0 >> Self::STRETCH;
        self.at = self.at.max(target - i64::from(Self::LISTS));
        loop {
            if let Some(id) = table.front(self.list(self.at)) {
                table.unlink(id);
                return Some(id);
            }
            if self.soon.peek().is_some_and(|Reverse((soonest, _))| *soonest < now) {
                return self.soon.pop().map(|Reverse((_, id))| id);
            }
            if self.at >= target {
                return None;
            }
            self.at += 1;
        }
    }

    /// An entry that was to be looked at before nearly all others, and by when; it is in no list any more.
    pub fn soonest<S: Copy + Default>(&mut self, table: &mut Table<S>) -> Option<(Id, Stamp)> {
        if let Some(Reverse((due, id))) = self.soon.pop() {
            return Some((id, due));
        }
        let stretches = self.at..self.at + i64::from(Self::LISTS);
        let found = |stretch| Some((table.front(self.list(stretch))?, Stamp((stretch + 1) << Self::STRETCH)));
        let (id, due) = stretches.into_iter().find_map(found)?;
        table.unlink(id);
        Some((id, due))
    }

    #[expect(clippy::cast_possible_truncation, reason = "below the number of lists")]
    fn list(&self, stretch: i64) -> List {
        List(self.first_list + stretch.rem_euclid(i64::from(Self::LISTS)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Addr, Endpoint, FlowKey, PackedKey};

    /// A table of the deadlines, in microseconds, and a wheel in which all are armed.
    fn armed(deadlines: &[i64]) -> (Table<u32>, Timers) {
        let (mut table, mut timers) = (Table::new(Timers::LISTS), Timers::new(List(0)));
        timers.expired(&mut table, Stamp(0));
        for (&deadline, n) in deadlines.iter().zip(0..) {
            let low = Endpoint { addr: Addr(0), port: n };
            let id = table.insert(PackedKey::from(FlowKey { low, high: low }), n.into());
            timers.arm(&mut table, id, Stamp(deadline));
        }
        (table, timers)
    }

    /// Numbers of those whose deadline has passed at `now`, in order of their deadlines; others are armed again.
    fn passed(table: &mut Table<u32>, timers: &mut Timers, deadlines: &[i64], now: i64) -> Vec<u32> {
        let mut passed = Vec::new();
        while let Some(id) = timers.expired(table, Stamp(now)) {
            let n = table.get(id);
            let deadline = deadlines[n as usize];
            if deadline < now {
                passed.push(n);
            } else {
                timers.arm(table, id, Stamp(deadline));
            }
        }
        passed.sort_by_key(|&n| deadlines[n as usize]);
        passed
    }

    #[test]
    fn a_deadline_passes_to_the_microsecond() {
        let deadlines = [30, 10, 20, 600_000_000, 599_999_999];
        let (mut table, mut timers) = armed(&deadlines);
        let mut at = |now: i64| passed(&mut table, &mut timers, &deadlines, now);
        assert!(at(10).is_empty());
        assert_eq!(at(25), [1, 2]);
        assert_eq!(at(599_999_999), [0]);
        assert_eq!(at(600_000_000), [4]);
        assert_eq!(at(600_000_001), [3]);
    }

    #[test]
    fn deadlines_beyond_the_wheel_and_leaps_of_time_are_kept() {
        let week = 7 * 86_400_000_000;
        let deadlines = [week, week + 1, 5];
        let (mut table, mut timers) = armed(&deadlines);
        let mut at = |now: i64| passed(&mut table, &mut timers, &deadlines, now);
        assert_eq!(at(week - 1_000_000), [2]);
        assert!(at(week).is_empty());
        assert_eq!(at(week + 1), [0]);
        assert_eq!(at(3 * week), [1]);
    }

    #[test]
    fn nothing_is_due_before_the_time_it_says() {
        let deadlines = [700_000, 5_000_000];
        let (mut table, mut timers) = armed(&deadlines);
        for now in (0..6_000_000).step_by(997) {
            let due = timers.due();
            let passed = passed(&mut table, &mut timers, &deadlines, now);
            assert!(passed.is_empty() || due < Stamp(now));
        }
        assert!(timers.due() > Stamp(5_900_000));
    }

    #[test]
    fn the_soonest_is_found_in_the_wheel_too() {
        let (mut table, mut timers) = armed(&[90_000_000, 40_000_000]);
        assert_eq!(timers.soonest(&mut table).map(|(id, _)| table.get(id)), Some(1));
    }
}
