//! Bounded memory of the recent past.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use crate::base::prefetch;
use crate::flow::index::Index;

/// The latest few values of many keys; the key written longest ago leaves first. Full, it allocates no more.
#[derive(Debug)]
pub struct Recent<K, V> {
    /// Places of the keys in `slots`.
    index: Index,
    slots: Slots<K, V>,
    /// The key written last.
    newest: u32,
    /// The key written longest ago.
    oldest: u32,
    hasher: RandomState,
    keys: usize,
    each: usize,
    /// Keys that left a full memory.
    pub dropped: u64,
}

#[derive(Debug)]
struct Slot<K, V> {
    hash: u64,
    key: K,
    /// The oldest first.
    values: SmallVec<[V; 1]>,
    newer: u32,
    older: u32,
}

/// Slots in boxes of [`Slots::BOX`]: they grow without being moved, and without twice the memory meanwhile.
#[derive(Debug)]
struct Slots<K, V> {
    boxes: Vec<Vec<Slot<K, V>>>,
    len: usize,
}

impl<K, V> Slots<K, V> {
    const BOX: usize = 64;

    fn get(&self, place: u32) -> Option<&Slot<K, V>> {
        let place = place as usize;
        self.boxes.get(place / Self::BOX)?.get(place % Self::BOX)
    }

    fn get_mut(&mut self, place: u32) -> Option<&mut Slot<K, V>> {
        let place = place as usize;
        self.boxes.get_mut(place / Self::BOX)?.get_mut(place % Self::BOX)
    }

    fn push(&mut self, slot: Slot<K, V>) {
        if self.len.is_multiple_of(Self::BOX) {
            self.boxes.push(Vec::with_capacity(Self::BOX));
        }
        self.len += 1;
        if let Some(last) = self.boxes.last_mut() {
            last.push(slot);
        }
    }
}

/// No place.
const NONE: u32 = u32::MAX;

impl<K: Hash + Eq, V> Recent<K, V> {
    /// At most `keys` keys with `each` values.
    pub fn new(keys: usize, each: usize) -> Self {
        Self {
            index: Index::default(),
            slots: Slots { boxes: Vec::new(), len: 0 },
            newest: NONE,
            oldest: NONE,
            hasher: RandomState::default(),
            keys: keys.clamp(1, NONE as usize - 1),
            each: each.max(1),
            dropped: 0,
        }
    }

    /// Remembers a value, the newest of its key.
    pub fn put(&mut self, key: K, value: V) {
        drop(self.exchange(key, value));
    }

    /// As [`Self::put`]; takes the place of a value that is `same`, if there is one.
    pub fn put_anew(&mut self, key: K, value: V, same: impl Fn(&V) -> bool) {
        drop(self.write(key, value, |slot| slot.values.retain(|value| !same(value))));
    }

    /// As [`Self::put`]. Gives the value of the key that left for it.
    pub fn exchange(&mut self, key: K, value: V) -> Option<V> {
        self.write(key, value, |_| ())
    }

    fn write(&mut self, key: K, value: V, before: impl FnOnce(&mut Slot<K, V>)) -> Option<V> {
        let hash = self.hasher.hash_one(&key);
        let known = self.index.find(hash, |place| self.slots.get(place).is_some_and(|slot| slot.key == key));
        let place = match known {
            Some(place) => {
                self.unlink(place);
                place
            }
            None => self.place_for(hash, key),
        };
        self.link(place);
        let each = self.each;
        let slot = self.slots.get_mut(place)?;
        before(slot);
        let left = (slot.values.len() >= each).then(|| slot.values.remove(0));
        slot.values.push(value);
        // What will leave for the next key.
        if self.is_full()
            && let Some(oldest) = self.slots.get(self.oldest)
        {
            prefetch(oldest);
        }
        left
    }

    /// No key was ever written.
    pub fn is_empty(&self) -> bool {
        self.slots.len == 0
    }

    /// Has fetched where a write of a key begins, and where the one stands that leaves for it. For `key` may stand what is hashed
    /// as it is.
    #[inline]
    pub fn approach(&self, key: &(impl Hash + ?Sized)) {
        self.index.approach(self.hasher.hash_one(key));
        if self.is_full()
            && let Some(oldest) = self.slots.get(self.oldest)
        {
            self.index.approach(oldest.hash);
        }
    }

    fn is_full(&self) -> bool {
        self.slots.len >= self.keys
    }

    /// The values of a key, newest first.
    pub fn get<Q>(&self, key: &Q) -> impl Iterator<Item = &V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let same = |place: u32| self.slots.get(place).is_some_and(|slot| slot.key.borrow() == key);
        let found = self.index.find(hash, same).and_then(|place| self.slots.get(place));
        found.into_iter().flat_map(|slot| slot.values.iter().rev())
    }

    /// The newest value of a key, to be changed; its place among the keys stays.
    pub fn newest_mut(&mut self, key: &K) -> Option<&mut V> {
        let hash = self.hasher.hash_one(key);
        let same = |place: u32| self.slots.get(place).is_some_and(|slot| slot.key == *key);
        let place = self.index.find(hash, same)?;
        self.slots.get_mut(place)?.values.last_mut()
    }

    /// A place for a new key: another one, or that of the oldest.
    fn place_for(&mut self, hash: u64, key: K) -> u32 {
        let place = if !self.is_full() {
            let place = u32::try_from(self.slots.len).unwrap_or(NONE);
            self.slots.push(Slot { hash, key, values: SmallVec::new(), newer: NONE, older: NONE });
            place
        } else {
            let place = self.oldest;
            self.unlink(place);
            self.dropped += 1;
            if let Some(slot) = self.slots.get_mut(place) {
                self.index.remove(slot.hash, place);
                (slot.hash, slot.key) = (hash, key);
                slot.values.clear();
            }
            place
        };
        let slots = &self.slots;
        self.index.insert(hash, place, |place| slots.get(place).map_or(0, |slot| slot.hash));
        place
    }

    /// Makes it the newest.
    fn link(&mut self, place: u32) {
        let before = self.newest;
        if let Some(slot) = self.slots.get_mut(place) {
            (slot.older, slot.newer) = (before, NONE);
        }
        match self.slots.get_mut(before) {
            Some(slot) => slot.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }

    fn unlink(&mut self, place: u32) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        let (older, newer) = (slot.older, slot.newer);
        match self.slots.get_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
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

    #[test]
    fn what_leaves_for_a_value_is_given_and_the_newest_can_be_changed() {
        let mut recent = Recent::new(2, 1);
        assert_eq!(recent.exchange('a', 1), None);
        assert_eq!(recent.exchange('a', 2), Some(1));
        *recent.newest_mut(&'a').unwrap() += 5;
        assert_eq!(recent.get(&'a').next(), Some(&7));
        assert_eq!(recent.newest_mut(&'b'), None);
    }

    #[test]
    fn a_value_that_is_the_same_gives_way() {
        let mut recent = Recent::new(2, 3);
        for value in [1, 12, 21, 2] {
            recent.put_anew('a', value, |other| other % 10 == value % 10);
        }
        assert_eq!(recent.get(&'a').copied().collect::<Vec<_>>(), [2, 21]);
    }

    /// What [`Recent`] promises, kept as a list.
    #[derive(Default)]
    struct Listed(Vec<(u8, Vec<u32>)>);

    impl Listed {
        fn put(&mut self, key: u8, value: u32, keys: usize, each: usize) {
            let mut values = match self.0.iter().position(|(other, _)| *other == key) {
                Some(place) => self.0.remove(place).1,
                None => Vec::new(),
            };
            values.push(value);
            values.drain(..values.len().saturating_sub(each));
            self.0.push((key, values));
            self.0.drain(..self.0.len().saturating_sub(keys));
        }
    }

    #[test]
    fn it_is_a_list_of_the_keys_written_last() {
        for (keys, each) in [(1, 1), (2, 3), (7, 2), (16, 4)] {
            let (mut recent, mut listed) = (Recent::new(keys, each), Listed::default());
            let mut random = 1_u32;
            for value in 0..3_000 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let key = (random >> 24) as u8 % 24;
                recent.put(key, value);
                listed.put(key, value, keys, each);
                for key in 0..24 {
                    let expected = listed.0.iter().find(|(other, _)| *other == key);
                    let expected = expected.into_iter().flat_map(|(_, values)| values.iter().rev());
                    assert!(recent.get(&key).eq(expected), "{keys} {each} {value} {key}");
                }
            }
        }
    }
}
