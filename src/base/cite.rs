//! Citations: which packets a fact was read from.

use std::fmt;

use super::time::{Span, Stamp};

/// A packet's number in its capture file, from 1, as Wireshark counts. Where both sides of a gateway are read, numbers
/// of the outer side bear a mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketNo(pub u64);

impl PacketNo {
    /// More packets no capture has.
    const OUTSIDE: u64 = 1 << 62;

    /// The packet of this number on the outer side.
    #[must_use]
    pub const fn outside(self) -> Self {
        Self(self.0 | Self::OUTSIDE)
    }

    /// Whether it is one of the outer side.
    pub const fn is_outside(self) -> bool {
        self.0 & Self::OUTSIDE != 0
    }

    /// The number in its file.
    pub const fn number(self) -> u64 {
        self.0 & !Self::OUTSIDE
    }
}

impl fmt::Display for PacketNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_outside() { write!(f, "o{}", self.number()) } else { self.0.fmt(f) }
    }
}

/// The packets that carried one fact, ascending and without repeats. Usually one or two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packets(Kept);

/// Sixteen bytes, for there are many: facts that few packets carried, near each other, are kept without allocation.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    /// How many, by how much each of the others lies behind the first, the first.
    Few(u8, u16, u32, u64),
    /// More, or farther apart.
    #[expect(clippy::box_collection, reason = "a vector alone is larger than the rest")]
    Many(Box<Vec<PacketNo>>),
}

impl Clone for Kept {
    /// One packet, as mostly, is written as two whole numbers: what was just written in parts is moved on slowly.
    #[inline]
    fn clone(&self) -> Self {
        match self {
            Self::Few(1, _, _, first) => Self::Few(1, 0, 0, *first),
            Self::Few(have, one, others, first) => Self::Few(*have, *one, *others, *first),
            Self::Many(all) => Self::Many(all.clone()),
        }
    }
}

/// Three distances as two numbers, and back.
#[inline]
const fn packed([one, two, three]: [u16; 3]) -> (u16, u32) {
    (one, two as u32 | (three as u32) << 16)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each takes its half")]
const fn list(one: u16, others: u32) -> [u16; 3] {
    [one, others as u16, (others >> 16) as u16]
}

impl Default for Kept {
    fn default() -> Self {
        Self::Few(0, 0, 0, 0)
    }
}

impl Kept {
    /// Of the same packets always the same.
    fn of(all: Vec<PacketNo>) -> Self {
        let mut behind = [0; 3];
        let Some((first, others)) = all.split_first().filter(|(_, others)| others.len() <= behind.len())
        else {
            return Self::Many(Box::new(all));
        };
        for (place, no) in behind.iter_mut().zip(others) {
            match u16::try_from(no.0 - first.0) {
                Ok(apart) => *place = apart,
                Err(_) => return Self::Many(Box::new(all)),
            }
        }
        let (one, others) = packed(behind);
        #[expect(clippy::cast_possible_truncation, reason = "at most four")]
        Self::Few(all.len() as u8, one, others, first.0)
    }
}

impl Packets {
    /// More packets than this behind one fact are cut: the first ones and the last stay.
    const MOST: usize = 16;

    /// Nothing cited yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// One packet.
    #[inline]
    pub fn one(no: PacketNo) -> Self {
        Self(Kept::Few(1, 0, 0, no.0))
    }

    /// The same, where it was written just now and is to be kept: of one packet, in whole numbers, as a copy is.
    #[inline]
    #[must_use]
    pub fn anew(self) -> Self {
        match self.0 {
            Kept::Few(1, _, _, first) => Self::one(PacketNo(first)),
            _ => self,
        }
    }

    /// Adds one packet, keeping order. Beyond sixteen the newest replaces the last.
    #[inline]
    pub fn add(&mut self, no: PacketNo) {
        match &mut self.0 {
            Kept::Few(0, ..) => self.0 = Kept::Few(1, 0, 0, no.0),
            Kept::Few(1, _, _, first) if *first == no.0 => {}
            _ => self.add_more(no),
        }
    }

    fn add_more(&mut self, no: PacketNo) {
        match &mut self.0 {
            Kept::Few(have, one, others, first) => {
                let mut behind = list(*one, *others);
                let last =
                    usize::from(*have).checked_sub(2).and_then(|at| behind.get(at)).copied().unwrap_or(0);
                let apart = no.0.checked_sub(*first).and_then(|apart| u16::try_from(apart).ok());
                if let Some(apart) = apart {
                    if apart == 0 || behind.iter().take(usize::from(*have) - 1).any(|&old| old == apart) {
                        return;
                    }
                    if apart > last
                        && let Some(place) = behind.get_mut(usize::from(*have) - 1)
                    {
                        *place = apart;
                        (*one, *others) = packed(behind);
                        *have += 1;
                        return;
                    }
                }
                let mut all: Vec<PacketNo> = self.iter().collect();
                insert(&mut all, no);
                self.0 = Kept::of(all);
            }
            Kept::Many(all) => insert(all, no),
        }
    }

    /// Adds all packets of another citation.
    #[inline]
    pub fn add_all(&mut self, other: &Self) {
        match other.0 {
            Kept::Few(0, ..) => {}
            Kept::Few(1, _, _, first) => self.add(PacketNo(first)),
            _ => other.iter().for_each(|no| self.add(no)),
        }
    }

    /// Both citations together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.add_all(other);
        self
    }

    /// Ascending.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = PacketNo> + '_ {
        let have = match &self.0 {
            Kept::Few(have, ..) => usize::from(*have),
            Kept::Many(all) => all.len(),
        };
        (0..have).filter_map(|nth| match &self.0 {
            Kept::Few(_, _, _, first) if nth == 0 => Some(PacketNo(*first)),
            Kept::Few(_, one, others, first) => {
                let apart = list(*one, *others).get(nth - 1).copied()?;
                Some(PacketNo(first + u64::from(apart)))
            }
            Kept::Many(all) => all.get(nth).copied(),
        })
    }

    /// The first packet cited.
    #[inline]
    pub fn first(&self) -> Option<PacketNo> {
        match &self.0 {
            Kept::Few(0, ..) => None,
            Kept::Few(_, _, _, first) => Some(PacketNo(*first)),
            Kept::Many(all) => all.first().copied(),
        }
    }

    /// The last packet cited.
    #[inline]
    pub fn last(&self) -> Option<PacketNo> {
        match &self.0 {
            Kept::Few(0, ..) => None,
            Kept::Few(have, one, others, first) => {
                let behind = list(*one, *others);
                let apart = usize::from(*have).checked_sub(2).and_then(|at| behind.get(at)).copied();
                Some(PacketNo(first + u64::from(apart.unwrap_or(0))))
            }
            Kept::Many(all) => all.last().copied(),
        }
    }

    /// Whether nothing is cited.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Kept::Few(0, ..))
    }
}

/// Adds to many, in order; beyond sixteen the newest replaces the last.
fn insert(all: &mut Vec<PacketNo>, no: PacketNo) {
    match all.binary_search(&no) {
        Ok(_) => {}
        Err(_) if all.len() >= Packets::MOST => {
            if let Some(last) = all.last_mut()
                && no > *last
            {
                *last = no;
            }
        }
        Err(place) => all.insert(place, no),
    }
}

impl FromIterator<PacketNo> for Packets {
    fn from_iter<I: IntoIterator<Item = PacketNo>>(iter: I) -> Self {
        let mut packets = Self::default();
        for no in iter {
            packets.add(no);
        }
        packets
    }
}

impl From<PacketNo> for Packets {
    fn from(no: PacketNo) -> Self {
        Self::one(no)
    }
}

/// What a finding rests on: packets, or the silence after one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cite {
    /// These packets show it.
    Packets(Packets),
    /// Nothing came after these packets for that long.
    Silence {
        /// The packets left unanswered.
        after: Packets,
        /// How long the capture went on without an answer.
        lasted: Span,
    },
}

impl Cite {
    /// The packets to look at.
    pub fn packets(&self) -> &Packets {
        match self {
            Self::Packets(packets) | Self::Silence { after: packets, .. } => packets,
        }
    }
}

impl From<Packets> for Cite {
    fn from(packets: Packets) -> Self {
        Self::Packets(packets)
    }
}

impl From<&Packets> for Cite {
    fn from(packets: &Packets) -> Self {
        Self::Packets(packets.clone())
    }
}

impl From<PacketNo> for Cite {
    fn from(no: PacketNo) -> Self {
        Self::Packets(Packets::one(no))
    }
}

/// A fact with the packets it was read from and when the last of them was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// The fact.
    pub value: T,
    /// The packets that carried it.
    pub at: Packets,
    /// Stamp of the packet that completed it.
    pub when: Stamp,
}

impl<T> Seen<T> {
    /// A fact read from one packet.
    pub fn new(value: T, at: impl Into<Packets>, when: Stamp) -> Self {
        Self { value, at: at.into(), when }
    }

    /// The same citation for something derived from the fact.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Seen<U> {
        Seen { value: f(self.value), at: self.at, when: self.when }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_ascending_and_unique() {
        let packets: Packets = [7, 3, 7, 5].map(PacketNo).into_iter().collect();
        assert_eq!(packets.iter().map(|no| no.0).collect::<Vec<_>>(), [3, 5, 7]);
    }

    #[test]
    fn a_citation_takes_sixteen_bytes_and_holds_whatever_is_added() {
        assert_eq!(size_of::<Packets>(), 16);
        proptest::proptest!(|(numbers in proptest::collection::vec(1u64..200_000, 0..12))| {
            let packets: Packets = numbers.iter().copied().map(PacketNo).collect();
            let mut sorted = numbers;
            sorted.sort_unstable();
            sorted.dedup();
            let cited: Vec<u64> = packets.iter().map(|no| no.0).collect();
            proptest::prop_assert_eq!(&cited, &sorted);
            proptest::prop_assert_eq!(packets.first().map(|no| no.0), sorted.first().copied());
            proptest::prop_assert_eq!(packets.last().map(|no| no.0), sorted.last().copied());
            // In whatever order they came.
            let again: Packets = sorted.iter().rev().copied().map(PacketNo).collect();
            proptest::prop_assert_eq!(again, packets);
        });
    }

    #[test]
    fn a_long_citation_keeps_its_first_and_its_last() {
        let packets: Packets = (1..=100).map(PacketNo).collect();
        assert_eq!(packets.iter().count(), 16);
        assert_eq!(packets.first(), Some(PacketNo(1)));
        assert_eq!(packets.last(), Some(PacketNo(100)));
    }
}
