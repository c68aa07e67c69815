//! Values seen before, within a bound.

use hashbrown::HashTable;

/// Values by a hash of what they were made from, in two generations: when the young one is full it becomes the old one
/// and the old one goes, so that what is used often stays. Not shared between threads.
#[derive(Clone, Debug)]
pub(super) struct Generations<T> {
    young: HashTable<(u64, T)>,
    old: HashTable<(u64, T)>,
    /// Weight of the young generation.
    weight: usize,
    /// Values in one generation at most.
    most: usize,
    /// Weight of one generation at most.
    heaviest: usize,
}

impl<T: Clone> Generations<T> {
    /// At most `most` values in all, and twice the weight of `heaviest`.
    pub(super) fn new(most: usize, heaviest: usize) -> Self {
        let (young, old) = (HashTable::new(), HashTable::new());
        Self { young, old, weight: 0, most: (most / 2).max(1), heaviest }
    }

    /// The value of this hash that is the one looked for. Of `weight`, should it have to move.
    pub(super) fn get(&mut self, hash: u64, weight: usize, same: impl FnMut(&T) -> bool) -> Option<T> {
        self.look(hash, weight, same, T::clone)
    }

    /// What `take` makes of that value. To copy all of it may cost more than what is wanted: counts of references are changed
    /// slowly.
    pub(super) fn look<R>(
        &mut self,
        hash: u64,
        weight: usize,
        mut same: impl FnMut(&T) -> bool,
        take: impl FnOnce(&T) -> R,
    ) -> Option<R> {
        if let Some((_, value)) = self.young.find(hash, |(_, value)| same(value)) {
            return Some(take(value));
        }
        let (_, value) = self.old.find(hash, |(_, value)| same(value))?;
        let (value, taken) = (value.clone(), take(value));
        self.put(hash, weight, value);
        Some(taken)
    }

    /// Keeps a value; the hash has none like it.
    pub(super) fn put(&mut self, hash: u64, weight: usize, value: T) {
        if self.young.len() >= self.most || self.weight.saturating_add(weight) > self.heaviest {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight = self.weight.saturating_add(weight);
        self.young.insert_unique(hash, (hash, value), |(hash, _)| *hash);
    }

    /// Removes a value that has been replaced.
    pub(super) fn remove(&mut self, hash: u64, same: impl Fn(&T) -> bool) {
        if let Ok(stale) = self.young.find_entry(hash, |(_, value)| same(value)) {
            stale.remove();
        }
    }

    /// Values held.
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
