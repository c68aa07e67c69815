//! Deadlines on capture time, for very many things that rarely expire.
//!
//! A deadline that moves is not taken out: the holder keeps the true one, and a timer that fires
//! early is armed again. So a packet that postpones a deadline costs nothing here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::base::Stamp;

/// Timers of one shard; `K` says whose.
#[derive(Debug)]
pub struct Timers<K: Ord> {
    heap: BinaryHeap<Reverse<(Stamp, K)>>,
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new() }
    }
}

impl<K: Ord> Timers<K> {
    /// Wakes `key` once `at` has passed.
    pub fn arm(&mut self, at: Stamp, key: K) {
        self.heap.push(Reverse((at, key)));
    }

    /// The next key whose time is before `now`, earliest first, with the time it was armed for.
    pub fn expired(&mut self, now: Stamp) -> Option<(Stamp, K)> {
        if self.heap.peek()?.0.0 >= now {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| due)
    }

    /// Timers armed.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is armed.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_only_when_passed() {
        let mut timers = Timers::default();
        timers.arm(Stamp(30), 'c');
        timers.arm(Stamp(10), 'a');
        timers.arm(Stamp(20), 'b');
        assert_eq!(timers.expired(Stamp(10)), None);
        assert_eq!(timers.expired(Stamp(25)), Some((Stamp(10), 'a')));
        assert_eq!(timers.expired(Stamp(25)), Some((Stamp(20), 'b')));
        assert_eq!(timers.expired(Stamp(25)), None);
        assert_eq!(timers.len(), 1);
    }
}
