//! A filter with a map: the kernel keeps to itself what passes on connections of which nothing is to be learned any more.
//!
//! The map has a slot for a connection by its hash. This program writes there which connections are over or are none of
//! ours; the kernel's filter drops their *quiet* segments, of any number of connections, and counts them.
//!
//! No verdict can miss them. Of such a connection a quiet segment changes nothing: it is neither a SYN nor does its payload begin
//! with a hello or an HTTP request ([`filter`]), and nothing else begins anything there. Every *telling* segment passes, and with
//! it, in the kernel and at once, the connection leaves the map. An HTTP answer passes for its date.
//!
//! What is still in the ring when a connection is listed could be a telling segment, whose successors must not be kept back. So
//! the filter leaves a mark in the slot of every telling segment: the number that the program published last. Those of numbers
//! that were replaced before the packet that is being looked at was captured have all been seen, for packets come in their order.
//! A slot with a later mark takes no connection for the moment.
//!
//! An entry holds for an *epoch* of some seconds, which begins for each connection at another time. Then a few packets pass,
//! by which the connection stays known, and it is listed again.

mod code;
mod filter;
mod kernel;
mod translate;

use std::hash::BuildHasher as _;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use self::kernel::{Program, Words};
use super::ring::Instruction;
use crate::base::PackedKey;

/// Slots: 4 MiB, the largest value that older kernels take.
const SLOTS: usize = 1 << 19;
/// An epoch has two to this power of the numbers that are published.
const EPOCH: u32 = 13;
/// A slot that holds a connection; one that does not holds a mark.
const LISTED: u64 = 1 << 63;
/// A random odd number.
const MIX: u64 = 0x9e6c_63d0_876a_9a35;
/// Counters, among which the processors share, each in a cache line of its own behind the published number.
const STRIPES: usize = 64;
/// Words of a cache line.
const LINE: usize = 8;

/// The map of one ring, which this program writes and the kernel's filter reads.
#[derive(Debug)]
pub struct Map {
    slots: Words,
    told: Words,
    secret: u64,
}

impl Map {
    /// An empty one, of connections by a hash with this secret.
    ///
    /// # Errors
    /// The user may not (`CAP_BPF`), the kernel is older than 5.5, or there is no memory.
    fn new(secret: u64) -> io::Result<Self> {
        Ok(Self { slots: Words::new(SLOTS)?, told: Words::new(LINE * (1 + STRIPES))?, secret })
    }

    /// Publishes a number. It never becomes smaller; a connection's entry holds until so many more have been published as
    /// [`Map::EPOCH`] says, at most.
    pub fn publish(&self, number: u64) {
        if let Some(published) = self.told.all().first() {
            published.store(number, Ordering::Relaxed);
        }
    }

    /// Numbers for which an entry holds, at most.
    pub const EPOCH: u64 = 1 << EPOCH;

    /// Has the kernel keep back the quiet segments of this connection, unless a telling one of it may not have been seen:
    /// one that was marked with no less than `seen`. Whether it does so from now on and did not before.
    pub fn list(&self, key: &PackedKey, seen: u64) -> bool {
        let hash = hash(key, self.secret);
        let (Some(published), Some(slot)) = (self.told.all().first(), self.slot(hash)) else { return false };
        let (tag, there) = (tag(hash, published.load(Ordering::Relaxed)), slot.load(Ordering::Relaxed));
        let is_unseen = there & LISTED == 0 && there >= seen;
        // Where the kernel comes between, it was a telling segment.
        there != tag
            && !is_unseen
            && slot.compare_exchange(there, tag, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Takes a connection out, as the kernel does with a telling segment.
    pub fn forget(&self, key: &PackedKey) {
        if let (Some(published), Some(slot)) = (self.told.all().first(), self.slot(hash(key, self.secret))) {
            slot.store(published.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn slot(&self, hash: u64) -> Option<&AtomicU64> {
        #[expect(clippy::cast_possible_truncation, reason = "a remainder")]
        self.slots.all().get(hash as usize % SLOTS)
    }

    /// Packets that were kept back so far, and their bytes.
    pub fn kept_back(&self) -> (u64, u64) {
        let sum = |word: usize| {
            let counters = self.told.all().iter().skip(LINE + word).step_by(LINE);
            counters.map(|counter: &AtomicU64| counter.load(Ordering::Relaxed)).sum()
        };
        (sum(0), sum(1))
    }
}

#[cfg(test)]
impl Map {
    /// One that no kernel's program knows.
    pub fn apart() -> Self {
        Self { slots: Words::apart(SLOTS), told: Words::apart(LINE * (1 + STRIPES)), secret: 7 }
    }

    /// What the kernel's program does with a segment: whether it keeps it back.
    pub fn meets(&self, key: &PackedKey, tells: bool) -> bool {
        let hash = hash(key, self.secret);
        let published = self.told.all()[0].load(Ordering::Relaxed);
        let slot = self.slot(hash).unwrap();
        if tells {
            slot.store(published, Ordering::Relaxed);
        }
        let keeps_back = !tells && slot.load(Ordering::Relaxed) == tag(hash, published);
        self.told.all()[LINE].fetch_add(keeps_back.into(), Ordering::Relaxed);
        keeps_back
    }
}

/// A filter with its map.
pub struct MapFilter {
    map: Arc<Map>,
    program: Program,
}

impl MapFilter {
    /// What passes this filter and is not kept back. `before`: the map of the filter in whose place this one is put.
    ///
    /// # Errors
    /// As [`Map::new`]; or the filter does what cannot be translated, which is "unsupported".
    pub fn new(user: &[Instruction], before: Option<Arc<Map>>) -> io::Result<Self> {
        let secret = || foldhash::fast::RandomState::default().hash_one(0_u64);
        let map = before.map_or_else(|| Map::new(secret()).map(Arc::new), Ok)?;
        let steps = filter::filter(user, map.slots.number(), map.told.number(), map.secret)
            .ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self { program: Program::load(&steps)?, map })
    }

    /// Its map.
    pub fn map(&self) -> &Arc<Map> {
        &self.map
    }
}

impl AsFd for MapFilter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

/// What stands in the slot of a listed connection when `published` is the number.
fn tag(hash: u64, published: u64) -> u64 {
    let epoch = published.wrapping_add(hash & (Map::EPOCH - 1)) >> EPOCH;
    hash ^ epoch.wrapping_mul(MIX) | LISTED
}

/// The hash of a connection, the same for both directions, which nobody foresees who does not know the secret. The kernel's
/// program computes it from the bytes as they lie in a packet, so it is of these.
fn hash(key: &PackedKey, secret: u64) -> u64 {
    let ([low, high, ports], is_v4) = key.near();
    let end = |address: u64, port: u16| -> u64 {
        let [address, port] = [address, u64::from(port.to_be())];
        mixed((address | port << 32) ^ secret)
    };
    #[expect(clippy::cast_possible_truncation, reason = "each port takes its 16 bits")]
    let [low_port, high_port] = [(ports >> 16) as u16, ports as u16];
    if is_v4 {
        let address = |word: u32| u64::from(word.to_be());
        return mixed(end(address(low), low_port).wrapping_add(end(address(high), high_port)));
    }
    let [a, b, c, d, e, f, g, h, _] = key.words();
    let long = |high: u32, low: u32| (u64::from(high) << 32 | u64::from(low)).to_be();
    let end = |first: u64, second: u64, port: u16| {
        mixed(mixed(mixed(first ^ secret) ^ second) ^ u64::from(port.to_be()))
    };
    mixed(end(long(a, b), long(c, d), low_port).wrapping_add(end(long(e, f), long(g, h), high_port)))
}

fn mixed(mut number: u64) -> u64 {
    for _ in 0..2 {
        number = number.wrapping_mul(MIX);
        number ^= number >> 32;
    }
    number
}

#[cfg(test)]
mod tests;
