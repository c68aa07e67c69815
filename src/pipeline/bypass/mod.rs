//! Finished connections whose packets the kernel keeps to itself, where that may be asked of it.
//!
//! By a map it keeps back what any of them carries and counts it ([`map`]); by a list only the busiest ones' ([`list`]), where
//! this user may use no map. A ring on which little passes is read as a whole, for that costs next to nothing, and its packets
//! then have the numbers that they have in a file.

mod list;
mod map;
mod sample;

use self::list::List;
use self::map::Map;
use super::gauges::Bypassed;
use super::rings::Ring;
use super::shard::Shard;
use crate::base::{Span, Stamp};
use crate::decode::plain::Plain;
use crate::decode::{Frame, Packet};

/// How often it is found out how busy a ring is.
const MEASURE: Span = Span::from_millis(250);

/// What one ring knows of them.
pub(super) struct Bypass {
    way: Way,
    meter: Meter,
}

enum Way {
    ByList(Box<List>),
    ByMap(Box<Map>),
}

/// Whether so many packets pass that it pays.
struct Meter {
    /// Packets a second from which on it does.
    from: u64,
    pays: bool,
    /// When that was found out, and how many had passed then.
    at: Span,
    passed: u64,
}

impl Meter {
    fn new(from: u64) -> Self {
        Self { from, pays: from == 0, at: Span::default(), passed: 0 }
    }

    /// So many packets have passed in all.
    fn read(&mut self, passed: u64, elapsed: Span) {
        let took = elapsed.0.saturating_sub(self.at.0);
        if took < MEASURE.0 {
            return;
        }
        let rate = passed.saturating_sub(self.passed).saturating_mul(1_000_000) / took.unsigned_abs();
        self.pays = rate >= self.from;
        (self.at, self.passed) = (elapsed, passed);
    }
}

impl Bypass {
    /// As the ring can; `None` where it is not to.
    pub(super) fn of(ring: &dyn Ring) -> Option<Self> {
        let meter = Meter::new(ring.bypasses_from()?);
        let way = match ring.bypass_map() {
            Some(map) => Way::ByMap(Box::new(Map::new(map))),
            None => Way::ByList(Box::new(List::new(Bypassed::default()))),
        };
        Some(Self { way, meter })
    }

    /// Whether there is nothing to see in a plain frame, as in most, so that the shard may have it as it is.
    #[inline]
    pub(super) fn passes_over(&mut self, plain: &Plain<'_>) -> bool {
        match &mut self.way {
            Way::ByList(list) => list.passes_over(plain),
            Way::ByMap(map) => map.passes_over(),
        }
    }

    /// Sees every other packet before the shard; whether the shard is to have it.
    #[inline]
    pub(super) fn sees(&mut self, packet: &Packet<'_>, frame: &Frame<'_>, shard: &Shard) -> bool {
        match &mut self.way {
            Way::ByList(list) => list.sees(packet, frame, shard),
            Way::ByMap(map) => {
                map.sees(packet, frame, shard);
                true
            }
        }
    }

    /// Has the kernel know what has changed. `read`: packets that were read so far.
    pub(super) fn settle(&mut self, ring: &mut dyn Ring, shard: &Shard, now: Stamp, read: u64) {
        self.meter.read(read + self.told().packets, ring.elapsed());
        match &mut self.way {
            Way::ByList(list) => list.settle(ring, shard, now, self.meter.pays),
            // Another filter took the place of the map's.
            Way::ByMap(map) if ring.bypass_map().is_none() => {
                self.way = Way::ByList(Box::new(List::new(map.told())));
            }
            Way::ByMap(map) => map.settle(self.meter.pays),
        }
    }

    /// How many connections were not followed since the last call.
    pub(super) fn take_unfollowed(&mut self) -> u64 {
        match &mut self.way {
            Way::ByList(list) => list.take_unfollowed(),
            Way::ByMap(_) => 0,
        }
    }

    /// The clock was set, or all connections are forgotten: nothing is kept back any more.
    pub(super) fn let_all_pass(&mut self) {
        match &mut self.way {
            Way::ByList(list) => list.let_all_pass(),
            Way::ByMap(map) => map.let_all_pass(),
        }
    }

    /// How many are kept back, and what they carried.
    pub(super) fn told(&self) -> Bypassed {
        match &self.way {
            Way::ByList(list) => list.told(),
            Way::ByMap(map) => map.told(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_pays_from_so_many_packets_a_second_on_and_is_found_out_four_times_a_second() {
        let mut meter = Meter::new(100_000);
        let rows = [
            (1_000, 90_000, false),
            (1_250, 114_900, false),
            (1_400, 600_000, false),
            (1_500, 140_000, true),
            (1_700, 140_000, true),
            (1_750, 164_000, false),
        ];
        for (millis, passed, pays) in rows {
            meter.read(passed, Span::from_millis(millis));
            assert_eq!(meter.pays, pays, "{millis}");
        }
        let mut always = Meter::new(0);
        assert!(always.pays);
        always.read(0, Span::from_millis(500));
        assert!(always.pays);
    }
}
