//! Bounded memory of the recent past.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

use hashbrown::{Equivalent, HashTable};
use smallvec::SmallVec;

/// The latest few values of many keys; the key written longest ago leaves first.
#[derive(Debug)]
pub struct Recent<K, V> {
    table: HashTable<Entry<K, V>>,
    hasher: foldhash::fast::RandomState,
    /// Which key was written when, by its hash.
    order: VecDeque<(u64, u64)>,
    keys: usize,
    each: usize,
    turn: u64,
    /// Keys that left a full memory.
    pub dropped: u64,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    /// The turn of its newest value.
    turn: u64,
    /// Oldest first.
    values: SmallVec<[V; 1]>,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// At most `keys` keys with `each` values.
    pub fn new(keys: usize, each: usize) -> Self {
        Self {
            table: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
            order: VecDeque::new(),
            keys,
            each,
            turn: 0,
            dropped: 0,
        }
    }

    /// Remembers a value, the newest of its key.
    pub fn put(&mut self, key: K, value: V) {
        self.turn += 1;
        let (turn, hasher) = (self.turn, &self.hasher);
        let hash = hasher.hash_one(&key);
        match self.table.find_mut(hash, |entry| entry.key == key) {
            Some(entry) => {
                entry.turn = turn;
                if entry.values.len() >= self.each {
                    entry.values.remove(0);
                }
                entry.values.push(value);
            }
            None => {
                let entry = Entry { key, turn, values: smallvec::smallvec![value] };
                self.table.insert_unique(hash, entry, |entry| hasher.hash_one(&entry.key));
            }
        }
        self.order.push_back((turn, hash));
        while self.table.len() > self.keys || self.order.len() > self.keys.saturating_mul(2) {
            let Some((turn, hash)) = self.order.pop_front() else { break };
            if let Ok(oldest) = self.table.find_entry(hash, |entry| entry.turn == turn) {
                oldest.remove();
                self.dropped += 1;
            }
        }
    }

    /// The values of a key, newest first.
    pub fn get<Q>(&self, key: &Q) -> impl Iterator<Item = &V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.table
            .find(self.hasher.hash_one(key), |entry| key.equivalent(&entry.key))
            .into_iter()
            .flat_map(|entry| entry.values.iter().rev())
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
