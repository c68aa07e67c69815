//! Bounded memory of the recent past.

use std::borrow::Borrow;
use std::hash::Hash;

use lru::LruCache;
use smallvec::SmallVec;

/// The latest few values of many keys; the key written longest ago leaves first.
#[derive(Debug)]
pub struct Recent<K: Hash + Eq, V> {
    /// Of each key, the oldest value first.
    kept: LruCache<K, SmallVec<[V; 1]>, foldhash::fast::RandomState>,
    keys: usize,
    each: usize,
    /// Keys that left a full memory.
    pub dropped: u64,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// At most `keys` keys with `each` values.
    pub fn new(keys: usize, each: usize) -> Self {
        let kept = LruCache::unbounded_with_hasher(foldhash::fast::RandomState::default());
        Self { kept, keys, each, dropped: 0 }
    }

    /// Remembers a value, the newest of its key.
    pub fn put(&mut self, key: K, value: V) {
        let values = self.kept.get_or_insert_mut(key, SmallVec::new);
        if values.len() >= self.each {
            values.remove(0);
        }
        values.push(value);
        if self.kept.len() > self.keys {
            self.kept.pop_lru();
            self.dropped += 1;
        }
    }

    /// The values of a key, newest first.
    pub fn get<Q>(&self, key: &Q) -> impl Iterator<Item = &V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.kept.peek(key).into_iter().flat_map(|values| values.iter().rev())
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
