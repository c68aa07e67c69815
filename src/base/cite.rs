//! Citations: which packets a fact was read from.

use smallvec::SmallVec;
use std::fmt;

use super::time::{Span, Stamp};

/// A packet's number in its capture file, from 1, as Wireshark counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketNo(pub u64);

impl fmt::Display for PacketNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The packets that carried one fact, ascending and without repeats. Usually one or two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packets(SmallVec<[PacketNo; 2]>);

impl Packets {
    /// More packets than this behind one fact are cut: the first ones and the last stay.
    const MOST: usize = 16;

    /// Nothing cited yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// One packet.
    pub fn one(no: PacketNo) -> Self {
        let mut packets = Self::default();
        packets.add(no);
        packets
    }

    /// Adds one packet, keeping order. Beyond sixteen the newest replaces the last.
    pub fn add(&mut self, no: PacketNo) {
        match self.0.binary_search(&no) {
            Ok(_) => {}
            Err(_) if self.0.len() >= Self::MOST => {
                if let Some(last) = self.0.last_mut()
                    && no > *last
                {
                    *last = no;
                }
            }
            Err(place) => self.0.insert(place, no),
        }
    }

    /// Adds all packets of another citation.
    pub fn add_all(&mut self, other: &Self) {
        for &no in &other.0 {
            self.add(no);
        }
    }

    /// Both citations together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.add_all(other);
        self
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = PacketNo> + '_ {
        self.0.iter().copied()
    }

    /// The first packet cited.
    pub fn first(&self) -> Option<PacketNo> {
        self.0.first().copied()
    }

    /// The last packet cited.
    pub fn last(&self) -> Option<PacketNo> {
        self.0.last().copied()
    }

    /// Whether nothing is cited.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
    fn a_long_citation_keeps_its_first_and_its_last() {
        let packets: Packets = (1..=100).map(PacketNo).collect();
        assert_eq!(packets.iter().count(), 16);
        assert_eq!(packets.first(), Some(PacketNo(1)));
        assert_eq!(packets.last(), Some(PacketNo(100)));
    }
}
