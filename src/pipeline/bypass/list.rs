//! By a list: the busiest finished connections.
//!
//! Of a connection that spoke TLS and is over, a shard looks at nothing but what begins another one in its place. So most of
//! its packets need not be copied out of the kernel. One packet in [`SAMPLE`] is looked at to find the busiest; the kernel's
//! filter then keeps these back but for SYN, FIN and RST, and for a few by which the connection stays known
//! ([`crate::capture::live::LiveReader::bypass`]).
//!
//! No verdict may come of packets that were kept back. A connection leaves the list with its first FIN or RST, or when it
//! falls silent. Should another begin in its place before the kernel's filter is known to let that pass, then it is not
//! followed at all, and counted ([`Lost::handshakes_bypassed`](crate::base::Lost)).

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;

use super::sample::Sample;
use crate::base::{FlowKey, PackedKey, Span, Stamp};
use crate::capture::live::{ONE_PASSES, mix, reachable};
use crate::decode::plain::Plain;
use crate::decode::{Frame, Packet, Segment, TcpFlags};
use crate::pipeline::gauges::Bypassed;
use crate::pipeline::rings::Ring;
use crate::pipeline::shard::Shard;

/// One packet in so many is looked at, on average.
const SAMPLE: u32 = 64;
/// Looks at one connection after which it is kept back: at a thousand packets, within some seconds.
const BUSY: u32 = 16;
/// What is less than this share of all looks is not: the kernel's filter costs every packet a little.
const SHARE: u32 = 1 << 10;
/// Places for connections among which the busiest are found.
const PLACES: usize = 1 << 10;
/// Connections kept back at once: the program for so many has 1,000 instructions, with IPv6 2,100; the kernel takes 4,096.
const MOST: usize = 96;
/// How often the busiest are chosen.
const CHOOSE: Span = Span::from_millis(200);
/// After this half of what was met is forgotten.
const FORGET: Span = Span::from_secs(1);
/// The kernel gets a new filter no more often than this: to compile one takes it 0.2 ms.
const SETTLE: Span = Span::from_millis(10);
/// Not yet.
const LATER: Stamp = Stamp(i64::MAX);
/// A connection of which nothing passed for so long carries little, or is gone.
const SILENT: Span = Span::from_secs(3);

/// A connection and how often it was met, less how often others were at its place.
#[derive(Clone, Copy, Default)]
struct Place {
    key: FlowKey,
    met: u32,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// The kernel keeps back what is captured behind `from`.
    Back {
        /// Unknown until the kernel has the list.
        from: Stamp,
        /// When a packet of it last passed.
        seen: Stamp,
    },
    /// It is to pass again.
    Ending,
    /// It passes again, but what was captured up to then may have packets missing behind it.
    Until(Stamp),
}

/// What one ring knows of its busiest finished connections.
pub(in crate::pipeline) struct List {
    places: Box<[Place]>,
    secret: [u64; 2],
    sample: Sample,
    /// Looks, of which half are forgotten as those at one connection are.
    looks: u32,
    /// Connections kept back, or just before.
    kept: HashMap<FlowKey, Kept>,
    /// How many of them at most.
    most: usize,
    /// Marks of their ports: few others have any of these.
    marks: Marks,
    /// The kernel's list is no longer the right one.
    stale: bool,
    chosen: Stamp,
    forgot: Stamp,
    settled: Stamp,
    told: Bypassed,
    /// Beginnings of connections that were not followed.
    unfollowed: u64,
}

/// A set of ports' mixtures, with collisions.
struct Marks([u64; 64]);

impl Marks {
    const NONE: Self = Self([0; 64]);

    #[inline]
    fn place(one: u16, other: u16) -> (usize, u32) {
        let mix = one ^ other;
        (usize::from(mix >> 6) % 64, u32::from(mix % 64))
    }

    fn add(&mut self, key: &FlowKey) {
        let FlowKey { low, high } = key;
        let (word, bit) = Self::place(low.port, high.port);
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    #[inline]
    fn has(&self, one: u16, other: u16) -> bool {
        let (word, bit) = Self::place(one, other);
        self.0.get(word).is_some_and(|word| word >> bit & 1 == 1)
    }
}

impl List {
    /// None known yet. `told`: what was kept back before.
    pub(super) fn new(told: Bypassed) -> Self {
        Self {
            places: vec![Place::default(); PLACES].into(),
            secret: [0_u64, 1].map(|n| foldhash::fast::RandomState::default().hash_one(n)),
            sample: Sample::one_of(SAMPLE),
            looks: 0,
            kept: HashMap::new(),
            most: MOST,
            marks: Marks::NONE,
            stale: false,
            chosen: Stamp(i64::MIN),
            forgot: Stamp(i64::MIN),
            settled: Stamp(i64::MIN),
            told: Bypassed { connections: 0, ..told },
            unfollowed: 0,
        }
    }

    /// Whether there is nothing to see in a plain frame, as in most, so that the shard may have it as it is: a segment amid
    /// its connection, which is none of those kept back, and no look is due.
    #[inline]
    pub(super) fn passes_over(&mut self, plain: &Plain<'_>) -> bool {
        let [source, target] = plain.ports();
        !turns(plain.flags()) && !self.marks.has(source, target) && self.sample.passes_over()
    }

    /// Sees every other packet before the shard; whether the shard is to have it.
    #[inline]
    pub(super) fn sees(&mut self, packet: &Packet<'_>, frame: &Frame<'_>, shard: &Shard) -> bool {
        let Packet::Segment(segment) = packet else { return true };
        if self.marks.has(segment.src_port, segment.dst_port)
            && let Some(shard_has) = self.meets_kept(segment, frame, shard)
        {
            return shard_has;
        }
        if self.sample.is_due() || turns(segment.flags) {
            self.look(segment, frame, shard);
        }
        true
    }

    /// A packet of a connection that is kept back, or was; `None` where it is none.
    #[cold]
    fn meets_kept(&mut self, segment: &Segment<'_>, frame: &Frame<'_>, shard: &Shard) -> Option<bool> {
        let key = FlowKey::of(segment.src(), segment.dst()).0;
        let kept = self.kept.get_mut(&key)?;
        if let Kept::Until(until) = *kept
            && frame.stamp > until
        {
            self.kept.remove(&key);
            return None;
        }
        let begins = segment.flags.syn() && !segment.flags.ack();
        if let Kept::Back { from, seen } = kept {
            let from = *from;
            *seen = frame.stamp;
            if turns(segment.flags) || !shard.has_finished(&key) {
                *kept = Kept::Ending;
                self.stale = true;
            } else if frame.stamp > from && reachable(frame.data) == Some(key) {
                let others = u64::from(ONE_PASSES - 1);
                self.told.packets += others;
                self.told.bytes += others * u64::from(frame.wire_len);
            }
        }
        self.unfollowed += u64::from(begins);
        Some(!begins)
    }

    /// Notes whose packet this is, or forgets it where it is the last one.
    #[cold]
    fn look(&mut self, segment: &Segment<'_>, frame: &Frame<'_>, shard: &Shard) {
        let key = FlowKey::of(segment.src(), segment.dst()).0;
        #[expect(clippy::cast_possible_truncation, reason = "a remainder")]
        let place = (PackedKey::from(key).hash(self.secret) % PLACES as u64) as usize;
        let Some(place) = self.places.get_mut(place) else { return };
        if turns(segment.flags) {
            if place.key == key {
                place.met = 0;
            }
            return;
        }
        self.looks = self.looks.saturating_add(1);
        if !shard.has_finished(&key) || reachable(frame.data) != Some(key) {
            return;
        }
        if place.key == key {
            place.met = place.met.saturating_add(1);
        } else if place.met == 0 {
            *place = Place { key, met: 1 };
        } else {
            place.met -= 1;
        }
    }

    /// Has the kernel take over what has changed, and now and then chooses anew.
    /// `listing`: whether any is to be added.
    pub(super) fn settle(&mut self, ring: &mut dyn Ring, shard: &Shard, now: Stamp, listing: bool) {
        if self.settled.0 < now.0.saturating_sub(SETTLE.0) {
            if self.chosen.0 < now.0.saturating_sub(CHOOSE.0) {
                self.chosen = now;
                self.choose(shard, now, listing);
            }
            if self.stale {
                self.settled = now;
                self.give(ring);
            }
        }
    }

    /// How many connections were not followed since the last call.
    pub(super) fn take_unfollowed(&mut self) -> u64 {
        std::mem::take(&mut self.unfollowed)
    }

    /// The clock was set, or all connections are forgotten: nothing is kept back any more.
    pub(super) fn let_all_pass(&mut self) {
        self.places.fill(Place::default());
        self.stale |= !self.kept.is_empty();
        self.kept.values_mut().for_each(|kept| *kept = Kept::Ending);
        [self.chosen, self.forgot, self.settled] = [Stamp(i64::MIN); 3];
    }

    /// How many are kept back, and what they carried, by those that pass.
    pub(super) fn told(&self) -> Bypassed {
        self.told
    }

    fn choose(&mut self, shard: &Shard, now: Stamp, listing: bool) {
        for kept in self.kept.values_mut() {
            if matches!(kept, Kept::Back { seen, .. } if now - *seen > SILENT) {
                *kept = Kept::Ending;
                self.stale = true;
            }
        }
        self.kept.retain(|_, kept| !matches!(kept, Kept::Until(until) if *until < now));
        let least = BUSY.max(self.looks / SHARE);
        let mut busy: Vec<Place> = self.places.iter().filter(|place| place.met >= least).copied().collect();
        busy.sort_unstable_by_key(|place| std::cmp::Reverse(place.met));
        // The kernel's program knows one connection of a mix.
        let mut mixes: HashSet<Option<u32>> = self.kept.keys().map(mix).chain([None]).collect();
        for Place { key, .. } in busy {
            if listing && self.kept.len() < self.most && shard.has_finished(&key) && mixes.insert(mix(&key)) {
                self.kept.insert(key, Kept::Back { from: LATER, seen: now });
                self.stale = true;
            }
        }
        if self.forgot.0 < now.0.saturating_sub(FORGET.0) {
            self.forgot = now;
            self.looks /= 2;
            self.places.iter_mut().for_each(|place| place.met /= 2);
        }
    }

    /// Gives the kernel the list.
    fn give(&mut self, ring: &mut dyn Ring) {
        let back = |kept: &Kept| matches!(kept, Kept::Back { .. });
        let flows: Vec<FlowKey> =
            self.kept.iter().filter(|(_, kept)| back(kept)).map(|(key, _)| *key).collect();
        self.marks = Marks::NONE;
        self.kept.keys().for_each(|key| self.marks.add(key));
        // Where the kernel refuses, the old list stays in force, and what leaves it is not done with.
        let Some((count, until)) = ring.bypass(&flows) else { return };
        let refused = flows.get(count..).unwrap_or_default();
        if !refused.is_empty() {
            self.most = count;
        }
        for (key, kept) in &mut self.kept {
            match kept {
                Kept::Back { from, .. } if !refused.contains(key) => *from = until.min(*from),
                Kept::Back { .. } | Kept::Ending => *kept = Kept::Until(until),
                Kept::Until(_) => {}
            }
        }
        self.told.connections = count as u64;
        self.stale = false;
    }
}

/// Whether a connection begins or ends by it.
#[inline]
fn turns(flags: TcpFlags) -> bool {
    flags.0 & (TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST) != 0
}

#[cfg(test)]
mod tests;
