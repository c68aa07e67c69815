//! Finds numbers by hash at the cost of one cache line.

use crate::base::prefetch;

/// Numbers in a line.
const ROOM: usize = 12;

/// One cache line: for each number the tag of its hash, 0 where there is none.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line {
    tags: [u8; ROOM],
    /// How many numbers found no room here and went on to the next line.
    passed: u32,
    numbers: [u32; ROOM],
}

const EMPTY: Line = Line { tags: [0; ROOM], passed: 0, numbers: [0; ROOM] };

impl Line {
    /// The first number that is the one meant, of those that may have this tag: all that have it, and now and then
    /// another.
    #[inline(always)]
    fn find(&self, tag: u8, is_meant: impl Fn(u32) -> bool) -> Option<u32> {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGHS: u64 = ONES << 7;
        let [a, b, c, d, e, f, g, h, behind @ ..] = self.tags;
        let first = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let behind = u64::from(u32::from_le_bytes(behind));
        for (begin, tags) in [(0, first), (8, behind)] {
            // Bytes that are equal become zero, whose high bit is then set. A borrow may set it in the one behind as well.
            let differ = tags ^ (ONES * u64::from(tag));
            let mut equal = differ.wrapping_sub(ONES) & !differ & HIGHS;
            while equal != 0 {
                let place = begin + equal.trailing_zeros() / 8;
                if let Some(&number) = self.numbers.get(place as usize)
                    && is_meant(number)
                {
                    return Some(number);
                }
                equal &= equal - 1;
            }
        }
        None
    }

    /// The place of this number with this tag.
    fn place_of(&self, tag: u8, number: u32) -> Option<usize> {
        let both = |(&one, &other): (&u8, &u32)| one == tag && other == number;
        self.tags.iter().zip(&self.numbers).position(both)
    }
}

/// Numbers by hash. Nothing marks what was removed, so numbers that come and go leave no trace.
#[derive(Debug, Default)]
pub(crate) struct Index {
    lines: Vec<Line>,
    len: usize,
}

impl Index {
    /// Lines at the start; always a power of two.
    const LEAST: usize = 8;
    /// Numbers for each line before there are twice as many.
    const FULL: usize = 9;

    /// Bytes that this many numbers take at most, unless they have been more.
    #[cfg(test)]
    pub const fn bytes(numbers: usize) -> usize {
        let lines = numbers.div_ceil(Self::FULL).next_power_of_two();
        (if lines < Self::LEAST { Self::LEAST } else { lines }) * size_of::<Line>()
    }

    /// The number with this hash that is the one meant.
    #[inline(always)]
    pub fn find(&self, hash: u64, is_meant: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        for step in 0..self.lines.len() {
            let line = self.lines.get(self.place(hash, step))?;
            if let Some(number) = line.find(tag, &is_meant) {
                return Some(number);
            }
            if line.passed == 0 {
                return None;
            }
        }
        None
    }

    /// Has the line fetched in which a search for this hash begins.
    #[inline]
    pub fn approach(&self, hash: u64) {
        if let Some(line) = self.lines.get(self.place(hash, 0)) {
            prefetch(line);
        }
    }

    /// The first number that may be the one of this hash.
    #[inline]
    pub fn likely(&self, hash: u64) -> Option<u32> {
        let line = self.lines.get(self.place(hash, 0))?;
        line.find(tag(hash), |_| true)
    }

    /// Adds a number that is not there yet. `hash_of` gives the hash of each that is.
    pub fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if self.len >= self.lines.len() * Self::FULL {
            let lines = (self.lines.len() * 2).max(Self::LEAST);
            let old = std::mem::replace(&mut self.lines, vec![EMPTY; lines]);
            for line in &old {
                for (&tag, number) in line.tags.iter().zip(line.numbers) {
                    if tag != 0 {
                        self.add(hash_of(number), number);
                    }
                }
            }
        }
        self.add(hash, number);
        self.len += 1;
    }

    /// Takes a number out.
    pub fn remove(&mut self, hash: u64, number: u32) {
        let tag = tag(hash);
        for step in 0..self.lines.len() {
            let at = self.place(hash, step);
            let Some(line) = self.lines.get_mut(at) else { return };
            let found = line.place_of(tag, number);
            if let Some(place) = found.and_then(|place| line.tags.get_mut(place)) {
                *place = 0;
                self.len -= 1;
                for step in 0..step {
                    let at = self.place(hash, step);
                    if let Some(line) = self.lines.get_mut(at) {
                        line.passed -= 1;
                    }
                }
                return;
            }
            if line.passed == 0 {
                return;
            }
        }
    }

    fn add(&mut self, hash: u64, number: u32) {
        for step in 0..self.lines.len() {
            let at = self.place(hash, step);
            let Some(line) = self.lines.get_mut(at) else { return };
            if let Some(free) = line.tags.iter().position(|&tag| tag == 0)
                && let (Some(place), Some(kept)) = (line.tags.get_mut(free), line.numbers.get_mut(free))
            {
                *place = tag(hash);
                *kept = number;
                return;
            }
            line.passed += 1;
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    fn place(&self, hash: u64, step: usize) -> usize {
        (hash as usize).wrapping_add(step) & self.lines.len().wrapping_sub(1)
    }
}

#[inline]
fn tag(hash: u64) -> u8 {
    (hash >> 57) as u8 | 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn whatever_comes_and_goes_is_found_as_long_as_it_is_there() {
        // Hashes of few values, so that lines run over.
        let hash = |number: u32| u64::from(number % 7) << 57 | u64::from(number % 3);
        let step = (proptest::prelude::any::<bool>(), 0u32..120);
        proptest::proptest!(|(steps in proptest::collection::vec(step, 0..400))| {
            let (mut index, mut there) = (Index::default(), BTreeSet::new());
            for (adds, number) in steps {
                if adds && there.insert(number) {
                    index.insert(hash(number), number, hash);
                } else if !adds && there.remove(&number) {
                    index.remove(hash(number), number);
                }
                proptest::prop_assert_eq!(index.len, there.len());
            }
            for number in 0..120 {
                let found = index.find(hash(number), |other| other == number);
                proptest::prop_assert_eq!(found.is_some(), there.contains(&number));
            }
            there.iter().for_each(|&number| index.remove(hash(number), number));
            proptest::prop_assert!(index.lines.iter().all(|line| line.passed == 0 && line.tags == [0; ROOM]));
        });
    }

    #[test]
    fn numbers_that_come_and_go_do_not_make_it_grow() {
        let mut index = Index::default();
        let hash = |number: u32| u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for number in 0..100_000 {
            index.insert(hash(number), number, hash);
            if number >= 1_000 {
                index.remove(hash(number - 1_000), number - 1_000);
            }
        }
        assert_eq!(index.lines.len() * size_of::<Line>(), Index::bytes(1_000));
    }
}
