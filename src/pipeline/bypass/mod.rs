//! Finished connections whose packets the kernel keeps to itself, where that may be asked of it.
//!
//! By a map it keeps back what any of them carries and counts it ([`map`]); by a list only the busiest ones' ([`list`]), where
//! this user may use no map.

mod list;
mod map;

use self::list::List;
use self::map::Map;
use super::gauges::Bypassed;
use super::rings::Ring;
use super::shard::Shard;
use crate::base::Stamp;
use crate::decode::plain::Plain;
use crate::decode::{Frame, Packet};

/// What one ring knows of them.
pub(super) enum Bypass {
    ByList(Box<List>),
    ByMap(Box<Map>),
}

impl Bypass {
    /// As the ring can; `None` where it is not to.
    pub(super) fn of(ring: &dyn Ring) -> Option<Self> {
        if !ring.bypasses() {
            return None;
        }
        Some(match ring.bypass_map() {
            Some(map) => Self::ByMap(Box::new(Map::new(map))),
            None => Self::ByList(Box::new(List::new(Bypassed::default()))),
        })
    }

    /// Whether there is nothing to see in a plain frame, as in most, so that the shard may have it as it is.
    #[inline]
    pub(super) fn passes_over(&mut self, plain: &Plain<'_>) -> bool {
        match self {
            Self::ByList(list) => list.passes_over(plain),
            Self::ByMap(map) => map.passes_over(),
        }
    }

    /// Sees every other packet before the shard; whether the shard is to have it.
    #[inline]
    pub(super) fn sees(&mut self, packet: &Packet<'_>, frame: &Frame<'_>, shard: &Shard) -> bool {
        match self {
            Self::ByList(list) => list.sees(packet, frame, shard),
            Self::ByMap(map) => {
                map.sees(packet, frame.stamp, shard);
                true
            }
        }
    }

    /// Has the kernel know what has changed.
    pub(super) fn settle(&mut self, ring: &mut dyn Ring, shard: &Shard, now: Stamp) {
        match self {
            Self::ByList(list) => list.settle(ring, shard, now),
            // Another filter took the place of the map's.
            Self::ByMap(map) if ring.bypass_map().is_none() => {
                *self = Self::ByList(Box::new(List::new(map.told())));
            }
            Self::ByMap(map) => map.settle(),
        }
    }

    /// How many connections were not followed since the last call.
    pub(super) fn take_unfollowed(&mut self) -> u64 {
        match self {
            Self::ByList(list) => list.take_unfollowed(),
            Self::ByMap(_) => 0,
        }
    }

    /// The clock was set, or all connections are forgotten: nothing is kept back any more.
    pub(super) fn let_all_pass(&mut self) {
        match self {
            Self::ByList(list) => list.let_all_pass(),
            Self::ByMap(map) => map.let_all_pass(),
        }
    }

    /// How many are kept back, and what they carried.
    pub(super) fn told(&self) -> Bypassed {
        match self {
            Self::ByList(list) => list.told(),
            Self::ByMap(map) => map.told(),
        }
    }
}
