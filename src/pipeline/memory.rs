//! Bounded memory of the recent past.

use std::collections::VecDeque;
use std::hash::Hash;

use hashbrown::HashMap;

/// The latest few values of many keys; the key written longest ago leaves first.
#[derive(Debug)]
pub struct Recent<K, V> {
    map: HashMap<K, (u64, VecDeque<V>)>,
    order: VecDeque<(u64, K)>,
    keys: usize,
    each: usize,
    turn: u64,
    /// Keys that left a full memory.
    pub dropped: u64,
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    /// At most `keys` keys with `each` values.
    pub fn new(keys: usize, each: usize) -> Self {
        Self { map: HashMap::new(), order: VecDeque::new(), keys, each, turn: 0, dropped: 0 }
    }

    /// Remembers a value, the newest of its key.
    pub fn put(&mut self, key: K, value: V) {
        self.turn += 1;
        let turn = self.turn;
        let (last, values) = self.map.entry(key.clone()).or_default();
        *last = turn;
        values.push_front(value);
        values.truncate(self.each);
        self.order.push_back((turn, key));
        while self.map.len() > self.keys || self.order.len() > self.keys.saturating_mul(2) {
            let Some((turn, key)) = self.order.pop_front() else { break };
            if self.map.get(&key).is_some_and(|(last, _)| *last == turn) {
                self.map.remove(&key);
                self.dropped += 1;
            }
        }
    }

    /// The values of a key, newest first.
    pub fn get<Q>(&self, key: &Q) -> impl Iterator<Item = &V>
    where
        Q: Hash + hashbrown::Equivalent<K> + ?Sized,
    {
        self.map.get(key).into_iter().flat_map(|(_, values)| values.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_values_stay_and_the_oldest_key_leaves() {
        let mut recent = Recent::new(2, 2);
        for (key, value) in [('a', 1), ('a', 2), ('a', 3), ('b', 4), ('c', 5)] {
            recent.put(key, value);
        }
        assert_eq!(recent.get(&'a').count(), 0);
        assert_eq!(recent.get(&'b').copied().collect::<Vec<_>>(), [4]);
        recent.put('b', 6);
        recent.put('d', 7);
        assert_eq!(recent.get(&'b').copied().collect::<Vec<_>>(), [6, 4]);
        assert_eq!(recent.dropped, 2);
    }
}
