//! The connections of one shard by their addresses, each in one of several lists.
//!
//! An entry lies in a slab that grows by chunks and is never moved. What finds it is an index of numbers, cut in parts
//! that grow each for itself: no doubling copies more than a small part of a full table, or takes its memory
//! twice.

use std::cell::Cell;
use std::hash::BuildHasher;

use super::index::Index;
use super::pool::Pool;
use crate::base::{FlowKey, PackedKey, prefetch};

/// Number of an entry, as long as it is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(u32);

/// Number of a list, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List(pub u32);

/// Entries in a chunk of the slab.
const CHUNK: usize = 1 << 11;
/// Parts of the index.
const PARTS: usize = 64;
/// A link to the end of list `n` is written as the number `ENDS + n`.
const ENDS: u32 = 0xfff0_0000;
/// A link of an entry that is in no list.
const NOWHERE: u32 = u32::MAX;

/// Neighbours in a list.
#[derive(Clone, Copy, Debug)]
struct Links {
    before: u32,
    behind: u32,
}

impl Links {
    const NONE: Self = Self { before: NOWHERE, behind: NOWHERE };
}

/// Half a cache line, where the state has eight bytes.
#[derive(Debug)]
#[repr(align(32))]
struct Entry<S> {
    /// What of the key differs between IPv4 connections.
    near: [u32; 3],
    /// The number of the whole key, where there is more.
    whole: u32,
    state: S,
    links: Links,
}

/// The key has no more than what lies in the entry.
const NEAR: u32 = u32::MAX;

/// Entries by key; `S` is what is known of each. A removed entry's state is the default one.
#[derive(Debug)]
pub struct Table<S> {
    index: Box<[Index]>,
    chunks: Vec<Vec<Entry<S>>>,
    /// Keys with other than IPv4 addresses.
    whole: Pool<PackedKey>,
    /// The last and the first of each list: `before` and `behind` its end.
    ends: Box<[Links]>,
    /// The first free entry; each links to the next.
    free: u32,
    len: usize,
    secret: [u64; 2],
}

impl<S: Copy + Default> Table<S> {
    /// An empty table with this many lists.
    pub fn new(lists: u32) -> Self {
        Self {
            index: (0..PARTS).map(|_| Index::default()).collect(),
            chunks: Vec::new(),
            whole: Pool::default(),
            ends: (0..lists).map(|list| Links { before: ENDS + list, behind: ENDS + list }).collect(),
            free: NOWHERE,
            len: 0,
            secret: [0_u64, 1].map(|n| foldhash::fast::RandomState::default().hash_one(n)),
        }
    }

    /// Entries in the table.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Has the memory fetched where the search for a key begins; gives the key's hash for the further steps.
    #[inline]
    pub fn approach(&self, key: &PackedKey) -> u64 {
        let hash = self.hash(key);
        if let Some(part) = self.index.get(part(hash)) {
            part.approach(hash);
        }
        hash
    }

    /// Has the entry fetched that is likely the one of this hash, once [`Self::approach`] had time. It may be another.
    #[inline]
    pub fn approach_entry(&self, hash: u64) -> Option<Id> {
        let id = self.index.get(part(hash))?.likely(hash)?;
        prefetch(self.entry(id)?);
        Some(Id(id))
    }

    /// Has what more there is to the key of an entry fetched.
    #[inline]
    pub fn approach_key(&self, id: Id) {
        if let Some(entry) = self.entry(id.0)
            && entry.whole != NEAR
        {
            self.whole.approach(entry.whole);
        }
    }

    /// Has the entries fetched that stand beside one in its list.
    pub fn approach_neighbours(&self, id: Id) {
        let Some(entry) = self.entry(id.0) else { return };
        let neighbours = [entry.links.before, entry.links.behind];
        neighbours.iter().filter_map(|&beside| self.entry(beside)).for_each(prefetch);
    }

    /// The entry of a key.
    #[inline]
    pub fn find(&self, key: &PackedKey) -> Option<Id> {
        self.find_known(key).map(|(id, _)| id)
    }

    /// The entry of a key, and what is known of it.
    #[inline(always)]
    pub fn find_known(&self, key: &PackedKey) -> Option<(Id, S)> {
        let hash = self.hash(key);
        let part = self.index.get(part(hash))?;
        let ([low, high, ports], is_near) = key.near();
        let is_meant = |entry: &Entry<S>| {
            let [a, b, c] = entry.near;
            (a ^ low) | (b ^ high) | (c ^ ports) == 0
                && if is_near { entry.whole == NEAR } else { self.whole.get(entry.whole) == Some(key) }
        };
        let state = Cell::new(S::default());
        let found = part.find(hash, |id| {
            let entry = self.entry(id).filter(|entry| is_meant(entry));
            entry.inspect(|entry| state.set(entry.state)).is_some()
        });
        found.map(|id| (Id(id), state.get()))
    }

    /// Adds an entry, in no list yet. The key must not be in the table.
    pub fn insert(&mut self, key: PackedKey, state: S) -> Id {
        let (near, is_near) = key.near();
        let whole = if is_near { NEAR } else { self.whole.put(key) };
        let entry = Entry { near, whole, state, links: Links::NONE };
        let id = match self.entry_mut(self.free) {
            Some(place) => {
                let next = place.links.behind;
                *place = entry;
                std::mem::replace(&mut self.free, next)
            }
            None => self.push(entry),
        };
        let hash = self.hash(&key);
        let (chunks, whole, secret) = (&self.chunks, &self.whole, self.secret);
        if let Some(part) = self.index.get_mut(part(hash)) {
            part.insert(hash, id, |id| get(chunks, id).map_or(0, |entry| entry.key(whole).hash(secret)));
        }
        self.len += 1;
        Id(id)
    }

    /// Takes an entry out of the table and of its list.
    pub fn remove(&mut self, id: Id) {
        self.unlink(id);
        let free = self.free;
        let Some(key) = self.entry(id.0).map(|entry| entry.key(&self.whole)) else { return };
        let Some(entry) = self.entry_mut(id.0) else { return };
        let whole = std::mem::replace(&mut entry.whole, NEAR);
        entry.state = S::default();
        entry.links.behind = free;
        self.free = id.0;
        self.whole.take(whole);
        self.len -= 1;
        let hash = self.hash(&key);
        if let Some(part) = self.index.get_mut(part(hash)) {
            part.remove(hash, id.0);
        }
    }

    /// What is known of an entry.
    #[inline]
    pub fn get(&self, id: Id) -> S {
        self.entry(id.0).map(|entry| entry.state).unwrap_or_default()
    }

    /// Notes what is known of an entry.
    #[inline]
    pub fn set(&mut self, id: Id, state: S) {
        if let Some(entry) = self.entry_mut(id.0) {
            entry.state = state;
        }
    }

    /// The key of an entry.
    pub fn packed_key(&self, id: Id) -> PackedKey {
        self.entry(id.0).map_or(PackedKey::of_near([0; 3]), |entry| entry.key(&self.whole))
    }

    /// The addresses of an entry.
    pub fn key(&self, id: Id) -> FlowKey {
        self.entry(id.0).map(|entry| entry.key(&self.whole).unpack()).unwrap_or_default()
    }

    /// Puts an entry at the end of a list, and takes it out of the one it was in.
    pub fn place(&mut self, id: Id, list: List) {
        self.unlink(id);
        let end = ENDS + list.0;
        let Some(links) = self.links_mut(end) else { return };
        let last = std::mem::replace(&mut links.before, id.0);
        if let Some(entry) = self.entry_mut(id.0) {
            entry.links = Links { before: last, behind: end };
        }
        if let Some(links) = self.links_mut(last) {
            links.behind = id.0;
        }
    }

    /// Takes an entry out of its list.
    pub fn unlink(&mut self, id: Id) {
        let Some(entry) = self.entry_mut(id.0) else { return };
        let links = std::mem::replace(&mut entry.links, Links::NONE);
        if let Some(before) = self.links_mut(links.before) {
            before.behind = links.behind;
        }
        if let Some(behind) = self.links_mut(links.behind) {
            behind.before = links.before;
        }
    }

    /// The first entry of a list.
    #[inline]
    pub fn front(&self, list: List) -> Option<Id> {
        let first = self.ends.get(list.0 as usize)?.behind;
        (first < ENDS).then_some(Id(first))
    }

    /// All entries, in no order; also removed ones, whose state is the default.
    pub fn iter(&self) -> impl Iterator<Item = (Id, S)> {
        self.chunks.iter().flatten().zip(0..).map(|(entry, id)| (Id(id), entry.state))
    }

    fn push(&mut self, entry: Entry<S>) -> u32 {
        if self.chunks.last().is_none_or(|last| last.len() >= CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let place = self.chunks.last_mut().map_or(0, |last| {
            last.push(entry);
            last.len() - 1
        });
        u32::try_from(before + place).unwrap_or(NOWHERE)
    }

    #[inline]
    fn hash(&self, key: &PackedKey) -> u64 {
        key.hash(self.secret)
    }

    #[inline]
    fn entry(&self, id: u32) -> Option<&Entry<S>> {
        get(&self.chunks, id)
    }

    #[inline]
    fn entry_mut(&mut self, id: u32) -> Option<&mut Entry<S>> {
        self.chunks.get_mut(id as usize / CHUNK)?.get_mut(id as usize % CHUNK)
    }

    fn links_mut(&mut self, of: u32) -> Option<&mut Links> {
        match of.checked_sub(ENDS) {
            Some(list) => self.ends.get_mut(list as usize),
            None => self.entry_mut(of).map(|entry| &mut entry.links),
        }
    }
}

impl<S> Entry<S> {
    fn key(&self, whole: &Pool<PackedKey>) -> PackedKey {
        whole.get(self.whole).copied().unwrap_or(PackedKey::of_near(self.near))
    }
}

#[inline]
fn get<S>(chunks: &[Vec<Entry<S>>], id: u32) -> Option<&Entry<S>> {
    chunks.get(id as usize / CHUNK)?.get(id as usize % CHUNK)
}

/// The part of the index for a hash: by bits that it uses for nothing else.
#[inline]
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Addr, Endpoint};

    fn key(n: u32) -> PackedKey {
        let low = Endpoint { addr: Addr::v4(n.to_be_bytes()), port: 7 };
        PackedKey::from(FlowKey { low, high: Endpoint { port: 443, ..low } })
    }

    /// The states of a list, from its front.
    fn numbers(table: &Table<u32>, list: u32) -> Vec<u32> {
        let behind = |id: &Id| table.entry(id.0).map(|entry| entry.links.behind).filter(|&next| next < ENDS);
        let ids = std::iter::successors(table.front(List(list)), |id| behind(id).map(Id));
        ids.map(|id| table.get(id)).collect()
    }

    #[test]
    fn entries_are_found_by_their_key_until_they_are_removed() {
        let mut table = Table::new(1);
        let ids: Vec<Id> = (0..10_000).map(|n| table.insert(key(n), n)).collect();
        assert!((0..10_000).all(|n| table.find(&key(n)) == Some(ids[n as usize])));
        assert_eq!(table.key(ids[77]), key(77).unpack());
        for &id in &ids[..5_000] {
            table.remove(id);
        }
        assert_eq!((table.len(), table.find(&key(4_999)), table.get(ids[3])), (5_000, None, 0));
        assert!((5_000..10_000).all(|n| table.find(&key(n)).is_some()));
        // What was freed is used again.
        let again = table.insert(key(4_999), 9);
        assert!(again <= ids[4_999] && table.find(&key(4_999)) == Some(again));
    }

    #[test]
    fn an_entry_is_in_one_list_at_a_time_behind_those_that_came_before() {
        let mut table = Table::new(2);
        let ids: Vec<Id> = (0..5).map(|n| table.insert(key(n), n)).collect();
        ids.iter().for_each(|&id| table.place(id, List(0)));
        table.place(ids[1], List(1));
        table.place(ids[0], List(0));
        table.remove(ids[3]);
        assert_eq!((numbers(&table, 0), numbers(&table, 1)), (vec![2, 4, 0], vec![1]));
        table.unlink(ids[1]);
        assert_eq!((table.front(List(0)), table.front(List(1))), (Some(ids[2]), None));
    }

    #[test]
    fn keys_of_both_versions_of_ip_that_end_alike_are_told_apart() {
        let mut table = Table::new(1);
        let v6 = |front: u8| {
            let mut bytes = [0; 16];
            (bytes[0], bytes[10], bytes[11]) = (front, 0xff, 0xff);
            let low = Endpoint { addr: Addr::v6(bytes), port: 7 };
            PackedKey::from(FlowKey { low, high: Endpoint { port: 443, ..low } })
        };
        // The first is IPv4 mapped, which is the same as IPv4.
        let keys = [0, 1, 2].map(v6);
        assert_eq!(keys[0], key(0));
        let ids = keys.map(|key| table.insert(key, table.len()));
        assert_eq!(keys.map(|key| table.find(&key)), ids.map(Some));
        assert_eq!(ids.map(|id| PackedKey::from(table.key(id))), keys);
        table.remove(ids[1]);
        assert_eq!(keys.map(|key| table.find(&key)), [Some(ids[0]), None, Some(ids[2])]);
        table.insert(keys[1], 9);
        assert_eq!((table.find(&keys[1]), table.whole.len()), (Some(ids[1]), 2));
    }

    #[test]
    fn a_connection_of_which_nothing_more_is_known_takes_at_most_40_bytes() {
        // A state of eight bytes, as a shard's; a million such over IPv4, and what finds them.
        let million = 1 << 20;
        let index = PARTS * Index::bytes(million / PARTS);
        assert!(size_of::<Entry<(u32, u32)>>() + index / million <= 40);
    }
}
