//! Connections that one side has told of, and that the other may see end much later: a server that a filter cut off waits for
//! minutes, when what was seen on both sides has left already.

use std::collections::{HashSet, VecDeque};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::{Crossing, Vantage};
use crate::base::{Endpoint, PacketNo};

/// By their first packets.
#[derive(Debug)]
pub struct Told {
    known: HashSet<PacketNo, RandomState>,
    order: VecDeque<PacketNo>,
    most: usize,
}

impl Told {
    /// None yet; at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { known: HashSet::default(), order: VecDeque::new(), most }
    }

    /// A connection was told; `other` is the side that did not tell.
    pub fn add(&mut self, crossing: &Crossing, other: Vantage) {
        let mut named: SmallVec<[(Endpoint, Endpoint); 2]> = SmallVec::new();
        let sights =
            crossing.packets.iter().map(|one| if crossing.near == other { one.near } else { one.far });
        for sight in sights.flatten() {
            let ends = (sight.client, sight.server);
            if named.contains(&ends) {
                continue;
            }
            named.push(ends);
            if self.known.insert(sight.mark.no) {
                self.order.push_back(sight.mark.no);
            }
        }
        while self.order.len() > self.most {
            self.order.pop_front().map(|oldest| self.known.remove(&oldest));
        }
    }

    /// Whether the connection that begins with this packet was told.
    pub fn contains(&self, first: PacketNo) -> bool {
        self.known.contains(&first)
    }
}
