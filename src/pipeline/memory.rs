//! Bounded memory of the recent past.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use crate::base::prefetch;
use crate::flow::index::Index;

/// The latest few values of many keys; the key written longest ago leaves first. Full, it allocates no more.
#[derive(Debug)]
pub struct Recent<K, V> {
    slots: Boxes<Slot<K, V>>,
    /// Where the keys are, and how long ago each was written.
    places: Places,
    hasher: RandomState,
    each: usize,
    /// Keys that left a full memory.
    pub dropped: u64,
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    /// The oldest first.
    values: SmallVec<[V; 1]>,
}

/// What finds a key and, where that is not there yet, becomes it. To bring the key itself may cost more than to find it.
pub trait Finds<K>: Hash {
    /// Whether this is the key.
    fn is(&self, key: &K) -> bool;

    /// The key. It has the same hash.
    fn own(self) -> K;
}

impl<K: Hash + Eq> Finds<K> for K {
    #[inline]
    fn is(&self, key: &K) -> bool {
        self == key
    }

    #[inline]
    fn own(self) -> K {
        self
    }
}

/// A name, or something with a name, as it lies elsewhere.
impl Finds<Arc<str>> for &Arc<str> {
    #[inline]
    fn is(&self, key: &Arc<str>) -> bool {
        *self == key
    }

    #[inline]
    fn own(self) -> Arc<str> {
        Arc::clone(self)
    }
}

impl<T: Hash + Eq> Finds<(T, Arc<str>)> for (T, &Arc<str>) {
    #[inline]
    fn is(&self, (one, name): &(T, Arc<str>)) -> bool {
        self.0 == *one && self.1 == name
    }

    #[inline]
    fn own(self) -> (T, Arc<str>) {
        (self.0, Arc::clone(self.1))
    }
}

impl<T: Hash + Eq> Finds<(T, Option<Arc<str>>)> for (T, Option<&Arc<str>>) {
    #[inline]
    fn is(&self, (one, name): &(T, Option<Arc<str>>)) -> bool {
        self.0 == *one && self.1 == name.as_ref()
    }

    #[inline]
    fn own(self) -> (T, Option<Arc<str>>) {
        (self.0, self.1.cloned())
    }
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// At most `keys` keys with `each` values.
    pub fn new(keys: usize, each: usize) -> Self {
        Self {
            slots: Boxes::default(),
            places: Places::new(keys),
            hasher: RandomState::default(),
            each: each.max(1),
            dropped: 0,
        }
    }

    /// Remembers a value, the newest of its key.
    pub fn put(&mut self, key: impl Finds<K>, value: V) {
        drop(self.exchange(key, value));
    }

    /// As [`Self::put`]; takes the place of a value that is `same`, if there is one.
    pub fn put_anew(&mut self, key: impl Finds<K>, value: V, same: impl Fn(&V) -> bool) {
        drop(self.write(key, value, |slot| slot.values.retain(|value| !same(value))));
    }

    /// As [`Self::put`]. Gives the value of the key that left for it.
    pub fn exchange(&mut self, key: impl Finds<K>, value: V) -> Option<V> {
        self.write(key, value, |_| ())
    }

    fn write(&mut self, key: impl Finds<K>, value: V, before: impl FnOnce(&mut Slot<K, V>)) -> Option<V> {
        let hash = self.hasher.hash_one(&key);
        let place = match self.place(hash, |known| key.is(known)) {
            Some(place) => {
                self.places.renew(place);
                place
            }
            None => match self.places.take(hash) {
                Place::Another(place) => {
                    self.slots.push(Slot { key: key.own(), values: SmallVec::new() });
                    place
                }
                Place::Oldest(place) => {
                    self.dropped += 1;
                    let slot = self.slots.get_mut(place)?;
                    slot.key = key.own();
                    slot.values.clear();
                    place
                }
            },
        };
        let each = self.each;
        let slot = self.slots.get_mut(place)?;
        before(slot);
        let left = (slot.values.len() >= each).then(|| slot.values.remove(0));
        slot.values.push(value);
        // What will leave for the next key.
        if self.places.are_full()
            && let Some(oldest) = self.slots.get(self.places.oldest)
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
        self.places.approach(self.hasher.hash_one(key));
    }

    /// The values of a key, newest first.
    pub fn get<Q>(&self, key: &Q) -> impl Iterator<Item = &V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let place = self.place(self.hasher.hash_one(key), |known| known.borrow() == key);
        let found = place.and_then(|place| self.slots.get(place));
        found.into_iter().flat_map(|slot| slot.values.iter().rev())
    }

    /// The newest value of a key, to be changed; its place among the keys stays.
    pub fn newest_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.place(self.hasher.hash_one(key), |known| known == key)?;
        self.slots.get_mut(place)?.values.last_mut()
    }

    #[inline]
    fn place(&self, hash: u64, is: impl Fn(&K) -> bool) -> Option<u32> {
        let is_meant = |place: u32| self.slots.get(place).is_some_and(|slot| is(&slot.key));
        self.places.index.find(hash, is_meant)
    }
}

/// No place.
const NONE: u32 = u32::MAX;

/// The places of a memory's slots, in order of writing: the same code for all memories, and their links side by side, of
/// which a write touches four.
#[derive(Debug)]
struct Places {
    index: Index,
    links: Vec<Link>,
    /// Of the key written last.
    newest: u32,
    /// Of the key written longest ago.
    oldest: u32,
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    hash: u64,
    newer: u32,
    older: u32,
}

/// Where a new key goes.
enum Place {
    /// Into a slot that is yet to be made.
    Another(u32),
    /// Into that of the key written longest ago.
    Oldest(u32),
}

impl Places {
    fn new(most: usize) -> Self {
        Self {
            index: Index::default(),
            links: Vec::new(),
            newest: NONE,
            oldest: NONE,
            most: most.clamp(1, NONE as usize - 1),
        }
    }

    fn are_full(&self) -> bool {
        self.links.len() >= self.most
    }

    fn approach(&self, hash: u64) {
        self.index.approach(hash);
        if self.are_full()
            && let Some(oldest) = self.links.get(self.oldest as usize)
        {
            self.index.approach(oldest.hash);
        }
    }

    /// A place for a new key, which is then the newest.
    #[inline(never)]
    fn take(&mut self, hash: u64) -> Place {
        let place = if self.are_full() {
            let place = self.oldest;
            self.unlink(place);
            if let Some(link) = self.links.get_mut(place as usize) {
                let left = std::mem::replace(&mut link.hash, hash);
                self.index.remove(left, place);
            }
            Place::Oldest(place)
        } else {
            let place = u32::try_from(self.links.len()).unwrap_or(NONE);
            self.links.push(Link { hash, newer: NONE, older: NONE });
            Place::Another(place)
        };
        let (Place::Another(number) | Place::Oldest(number)) = place;
        let links = &self.links;
        self.index.insert(hash, number, |place| links.get(place as usize).map_or(0, |link| link.hash));
        self.link(number);
        place
    }

    /// Its key was written again: it is the newest.
    #[inline(never)]
    fn renew(&mut self, place: u32) {
        self.unlink(place);
        self.link(place);
    }

    fn link(&mut self, place: u32) {
        let before = self.newest;
        if let Some(link) = self.links.get_mut(place as usize) {
            (link.older, link.newer) = (before, NONE);
        }
        match self.links.get_mut(before as usize) {
            Some(link) => link.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }

    fn unlink(&mut self, place: u32) {
        let Some(&Link { older, newer, .. }) = self.links.get(place as usize) else { return };
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        match self.links.get_mut(newer as usize) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
    }
}

/// Values in boxes of [`Boxes::EACH`]: they grow without being moved, and without twice the memory meanwhile.
#[derive(Debug)]
struct Boxes<T> {
    boxes: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Boxes<T> {
    fn default() -> Self {
        Self { boxes: Vec::new(), len: 0 }
    }
}

impl<T> Boxes<T> {
    const EACH: usize = 64;

    fn get(&self, place: u32) -> Option<&T> {
        let place = place as usize;
        self.boxes.get(place / Self::EACH)?.get(place % Self::EACH)
    }

    fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        let place = place as usize;
        self.boxes.get_mut(place / Self::EACH)?.get_mut(place % Self::EACH)
    }

    fn push(&mut self, value: T) {
        if self.len.is_multiple_of(Self::EACH) {
            self.boxes.push(Vec::with_capacity(Self::EACH));
        }
        self.len += 1;
        if let Some(last) = self.boxes.last_mut() {
            last.push(value);
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
