//! Values that come and go, each at a place that never moves.

use crate::base::prefetch;

/// Values by number. It grows by chunks, so that nothing is copied and no doubling takes twice the memory; what was
/// freed is used again. A chunk that is left empty where there is much room gives its memory back: what a million connections
/// once took is there for what becomes of them.
#[derive(Debug)]
pub struct Pool<T> {
    /// One that was given back is empty.
    chunks: Vec<Vec<Option<T>>>,
    /// The free places of each chunk, one bit each.
    free: Vec<u64>,
    /// Chunks with free places, each once; one that was given back is still among them.
    roomy: Vec<u32>,
    /// Chunks that were given back and are no longer among those.
    gone: Vec<u32>,
    /// Places in chunks that have their memory.
    places: usize,
    len: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), roomy: Vec::new(), gone: Vec::new(), places: 0, len: 0 }
    }
}

impl<T> Pool<T> {
    /// Values in a chunk.
    const CHUNK: usize = u64::BITS as usize;
    /// Free places that are kept whatever comes.
    const SPARE: usize = 1 << 10;

    /// Keeps a value and numbers it.
    pub fn put(&mut self, value: T) -> u32 {
        self.put_with(|| value)
    }

    /// The same of a value that is made where it stays.
    #[inline]
    pub fn put_with(&mut self, make: impl FnOnce() -> T) -> u32 {
        self.len += 1;
        let chunk = self.roomy_chunk();
        let Some(free) = self.free.get_mut(chunk as usize) else { return u32::MAX };
        let at = free.trailing_zeros();
        *free &= free.wrapping_sub(1);
        if *free == 0 {
            self.roomy.pop();
        }
        let no = chunk.saturating_mul(u64::BITS).saturating_add(at);
        if let Some(place) = self.place(no) {
            *place = Some(make());
        }
        no
    }

    /// The value of this number.
    #[inline]
    pub fn get(&self, no: u32) -> Option<&T> {
        let no = no as usize;
        self.chunks.get(no / Self::CHUNK)?.get(no % Self::CHUNK)?.as_ref()
    }

    /// Has the value fetched.
    #[inline]
    pub fn approach(&self, no: u32) {
        let no = no as usize;
        if let Some(place) = self.chunks.get(no / Self::CHUNK).and_then(|chunk| chunk.get(no % Self::CHUNK)) {
            prefetch(place);
        }
    }

    /// The value of this number, to change.
    #[inline]
    pub fn get_mut(&mut self, no: u32) -> Option<&mut T> {
        self.place(no)?.as_mut()
    }

    /// Takes a value out; its number may be given again.
    #[inline]
    pub fn take(&mut self, no: u32) -> Option<T> {
        self.get(no)?;
        let chunk = no / u64::BITS;
        let free = self.free.get_mut(chunk as usize)?;
        if *free == 0 {
            self.roomy.push(chunk);
        }
        *free |= 1 << (no % u64::BITS);
        let is_empty = *free == u64::MAX;
        self.len -= 1;
        if is_empty && self.has_much_room() {
            return self.take_last(no);
        }
        // Last, so that it is moved once.
        self.place(no)?.take()
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().flatten()
    }

    /// Values kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a chunk less would do for long: as many values as a quarter of these must come before it is missed.
    fn has_much_room(&self) -> bool {
        self.places - self.len >= Self::SPARE + self.len / 4
    }

    /// Takes the last value out of its chunk, which gives its memory back.
    #[cold]
    fn take_last(&mut self, no: u32) -> Option<T> {
        let value = self.place(no)?.take();
        if let Some(chunk) = self.chunks.get_mut(no as usize / Self::CHUNK) {
            *chunk = Vec::new();
            self.places -= Self::CHUNK;
        }
        value
    }

    /// A chunk with a free place: the last of those that have any.
    #[inline]
    fn roomy_chunk(&mut self) -> u32 {
        match self.roomy.last() {
            Some(&last) if self.chunks.get(last as usize).is_some_and(|chunk| !chunk.is_empty()) => last,
            _ => self.next_chunk(),
        }
    }

    /// The next one with its memory; else one that gets it.
    #[cold]
    fn next_chunk(&mut self) -> u32 {
        while let Some(&last) = self.roomy.last() {
            if self.chunks.get(last as usize).is_some_and(|chunk| !chunk.is_empty()) {
                return last;
            }
            self.roomy.pop();
            self.gone.push(last);
        }
        let next = self.gone.pop().unwrap_or_else(|| {
            self.chunks.push(Vec::new());
            self.free.push(0);
            u32::try_from(self.chunks.len() - 1).unwrap_or(u32::MAX)
        });
        if let (Some(chunk), Some(free)) =
            (self.chunks.get_mut(next as usize), self.free.get_mut(next as usize))
        {
            chunk.reserve_exact(Self::CHUNK);
            chunk.resize_with(Self::CHUNK, || None);
            *free = u64::MAX;
            self.places += Self::CHUNK;
            self.roomy.push(next);
        }
        next
    }

    #[inline]
    fn place(&mut self, no: u32) -> Option<&mut Option<T>> {
        let no = no as usize;
        self.chunks.get_mut(no / Self::CHUNK)?.get_mut(no % Self::CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_freed_place_is_used_again_before_the_pool_grows() {
        let mut pool = Pool::default();
        let numbers: Vec<u32> = (0..200).map(|value| pool.put(value)).collect();
        assert_eq!((pool.take(numbers[70]), pool.take(numbers[70])), (Some(70), None));
        assert_eq!(pool.put(7), numbers[70]);
        assert_eq!((pool.get(numbers[70]), pool.get(numbers[199]), pool.len()), (Some(&7), Some(&199), 200));
    }

    #[test]
    fn what_is_left_keeps_its_number_while_emptied_chunks_give_their_memory_back() {
        let mut pool = Pool::default();
        let numbers: Vec<u32> = (0..100_000).map(|value| pool.put(value)).collect();
        // From both ends, and every one but each thousandth.
        for (value, &no) in numbers.iter().enumerate().rev().filter(|(value, _)| value % 1_000 != 7) {
            assert_eq!(pool.take(no), Some(value));
        }
        assert_eq!((pool.len(), pool.iter().count()), (100, 100));
        // Those that were emptied while there was not much room yet stay.
        assert!(pool.places <= 100_000 / 4 + 100 * 64, "{} places", pool.places);
        assert!((7..100_000).step_by(1_000).all(|value| pool.get(numbers[value]) == Some(&value)));
        // They are filled again before the pool grows.
        let again: BTreeMap<u32, usize> = (0..99_900).map(|value| (pool.put(value), value)).collect();
        assert_eq!((again.len(), pool.len()), (99_900, 100_000));
        assert_eq!(pool.chunks.len(), 100_000_usize.div_ceil(64));
        assert!(again.iter().all(|(&no, value)| pool.get(no) == Some(value)));
    }

    #[test]
    fn a_pool_is_a_map_of_the_numbers_that_it_gave() {
        let step = (proptest::prelude::any::<bool>(), 1..3_000_usize, proptest::prelude::any::<u32>());
        proptest::proptest!(|(steps in proptest::collection::vec(step, 0..12))| {
            let (mut pool, mut there) = (Pool::default(), BTreeMap::new());
            for (puts, count, seed) in steps {
                for n in 0..count {
                    if puts {
                        let before = there.insert(pool.put(n), n);
                        proptest::prop_assert!(before.is_none());
                    } else {
                        let from = seed.wrapping_mul(2_654_435_761).wrapping_add(n as u32) % 3_000;
                        let Some((&no, _)) = there.range(from..).next() else { break };
                        proptest::prop_assert_eq!(pool.take(no), there.remove(&no));
                    }
                }
                proptest::prop_assert_eq!(pool.len(), there.len());
                proptest::prop_assert!(there.iter().all(|(&no, n)| pool.get(no) == Some(n)));
                let live = pool.chunks.iter().map(Vec::len).sum::<usize>();
                proptest::prop_assert_eq!(pool.places, live);
                proptest::prop_assert!(pool.roomy.len() + pool.gone.len() <= pool.chunks.len());
            }
        });
    }
}
