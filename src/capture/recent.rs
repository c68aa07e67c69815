//! Recent packets in memory, so that those of a handshake that failed can still be written when that is known.
//!
//! A failure is known only at the end of its attempt and after the wait for siblings. Until then its packets are held here,
//! by connection; those of attempts that ended well are let go at once, so that the bound holds what is open and not what
//! passed. Packets that belong to no one connection (DNS, ICMP errors, OCSP over HTTP) form a ring of their own.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use crate::base::{FlowKey, PacketNo, Stamp};
use crate::decode::{Frame, LinkType};

/// Bytes held of one connection. A handshake with large chains and a staple stays below 64 KiB; a client that trickles
/// for minutes shall not push out a hundred others.
const ONE_CONNECTION: usize = 1 << 20;
/// The share of the bound that packets of no one connection may take.
const ASIDES: usize = 8;
/// What an entry takes beside its buffers: its place in the table and in the order of ages.
const ENTRY: usize = 160;
/// Emptied buffers kept for the next connections, and how large one may be.
const SPARE: usize = 256;
const SPARE_BYTES: usize = 16 << 10;

/// Recent packets of one ring, shared by the thread that captures and the one that writes.
#[derive(Debug)]
pub struct Recent {
    held: Mutex<Held>,
    bound: usize,
}

/// A packet of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFrame {
    meta: Meta,
    data: Box<[u8]>,
}

/// What was still held of an attempt.
#[derive(Debug, Default)]
pub struct Taken {
    /// Its packets, in order.
    pub frames: Vec<KeptFrame>,
    /// Whether some had left already.
    pub cut: bool,
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentHeld {
    /// Bytes, with what the tables take.
    pub bytes: u64,
    /// Connections.
    pub connections: u64,
    /// Connections whose packets left before their attempt was judged, since the beginning.
    pub pushed_out: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meta {
    no: PacketNo,
    stamp: Stamp,
    link: LinkType,
    wire_len: u32,
    /// Where its bytes end in the buffer of its connection.
    end: usize,
}

/// Packets of one connection, one behind the other.
#[derive(Debug, Default)]
struct Frames {
    metas: Vec<Meta>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    /// Which of the ring's connections it is: tells it from a later one with the same addresses.
    birth: u64,
    frames: Frames,
    /// It had more than [`ONE_CONNECTION`].
    overfull: bool,
}

#[derive(Debug, Default)]
struct Held {
    connections: HashMap<FlowKey, Connection, foldhash::fast::FixedState>,
    /// Connections by age: those with one packet, which a flood of SYNs makes, and those with more. What was let go, or has
    /// more than one by now, is passed over.
    singles: VecDeque<(u64, FlowKey)>,
    ages: VecDeque<(u64, FlowKey)>,
    asides: VecDeque<KeptFrame>,
    aside_bytes: usize,
    bytes: usize,
    births: u64,
    pushed_out: u64,
    spare: Vec<Frames>,
}

impl KeptFrame {
    fn of(frame: &Frame<'_>) -> Self {
        Self { meta: Meta::of(frame, frame.data.len()), data: frame.data.into() }
    }

    /// The packet as it came.
    pub fn frame(&self) -> Frame<'_> {
        self.meta.frame(&self.data)
    }

    /// Its number in the ring.
    pub fn no(&self) -> PacketNo {
        self.meta.no
    }

    /// When it was captured.
    pub fn stamp(&self) -> Stamp {
        self.meta.stamp
    }

    fn size(&self) -> usize {
        self.data.len() + size_of::<Self>()
    }
}

impl Meta {
    fn of(frame: &Frame<'_>, end: usize) -> Self {
        Self { no: frame.no, stamp: frame.stamp, link: frame.link, wire_len: frame.wire_len, end }
    }

    fn frame<'a>(&self, data: &'a [u8]) -> Frame<'a> {
        Frame { no: self.no, stamp: self.stamp, link: self.link, data, wire_len: self.wire_len }
    }
}

impl Frames {
    fn size(&self) -> usize {
        self.bytes.capacity() + self.metas.capacity() * size_of::<Meta>() + ENTRY
    }

    fn push(&mut self, frame: &Frame<'_>) {
        self.bytes.extend_from_slice(frame.data);
        self.metas.push(Meta::of(frame, self.bytes.len()));
    }

    fn iter(&self) -> impl Iterator<Item = (&Meta, &[u8])> {
        let starts = std::iter::once(0).chain(self.metas.iter().map(|meta| meta.end));
        self.metas
            .iter()
            .zip(starts)
            .map(|(meta, start)| (meta, self.bytes.get(start..meta.end).unwrap_or_default()))
    }

    /// Forgets what is not after `until`.
    fn drop_until(&mut self, until: PacketNo) {
        let gone = self.metas.partition_point(|meta| meta.no <= until);
        let Some(end) = gone.checked_sub(1).and_then(|last| self.metas.get(last)).map(|meta| meta.end) else {
            return;
        };
        self.metas.drain(..gone);
        self.bytes.drain(..end);
        self.metas.iter_mut().for_each(|meta| meta.end -= end);
    }

    fn clear(&mut self) {
        self.metas.clear();
        self.bytes.clear();
    }
}

impl Recent {
    /// Holds at most `bound` bytes.
    pub fn new(bound: usize) -> Self {
        Self { held: Mutex::default(), bound }
    }

    /// Holds a packet of a connection.
    pub fn keep(&self, key: FlowKey, frame: &Frame<'_>) {
        let mut held = self.lock();
        let Held { connections, singles, ages, bytes, births, spare, .. } = &mut *held;
        let connection = connections.entry(key).or_insert_with(|| {
            *births += 1;
            singles.push_back((*births, key));
            let frames = spare.pop().unwrap_or_default();
            *bytes += frames.size();
            Connection { birth: *births, frames, overfull: false }
        });
        if connection.frames.bytes.len() + frame.data.len() > ONE_CONNECTION.min(self.bound) {
            connection.overfull = true;
            return;
        }
        let before = connection.frames.size();
        connection.frames.push(frame);
        if connection.frames.metas.len() == 2 {
            ages.push_back((connection.birth, key));
        }
        *bytes += connection.frames.size() - before;
        held.shrink_to(self.bound - self.bound / ASIDES);
    }

    /// Holds a packet that belongs to no one connection.
    pub fn keep_aside(&self, frame: &Frame<'_>) {
        let mut held = self.lock();
        let kept = KeptFrame::of(frame);
        held.aside_bytes += kept.size();
        held.asides.push_back(kept);
        while held.aside_bytes > self.bound / ASIDES {
            let Some(oldest) = held.asides.pop_front() else { break };
            held.aside_bytes = held.aside_bytes.saturating_sub(oldest.size());
        }
    }

    /// Lets go what is held of a connection up to a packet.
    pub fn let_go(&self, key: &FlowKey, until: PacketNo) {
        self.lock().let_go(key, until);
    }

    /// Gives the packets of an attempt away. `None` where nothing is held of its connection.
    pub fn take(&self, key: &FlowKey, first: PacketNo, last: PacketNo) -> Option<Taken> {
        let mut held = self.lock();
        let connection = held.connections.get(key)?;
        let frames: Vec<KeptFrame> = connection
            .frames
            .iter()
            .filter(|(meta, _)| (first..=last).contains(&meta.no))
            .map(|(meta, data)| KeptFrame { meta: *meta, data: data.into() })
            .collect();
        let begins = frames.first().is_some_and(|frame| frame.no() == first);
        let cut = connection.overfull || !begins;
        held.let_go(key, last);
        Some(Taken { frames, cut })
    }

    /// Those of the packets of no one connection, from `first` to `last`, that `wanted` says yes to.
    pub fn asides(
        &self,
        first: PacketNo,
        last: PacketNo,
        mut wanted: impl FnMut(&Frame<'_>) -> bool,
    ) -> Vec<KeptFrame> {
        let held = self.lock();
        let start = held.asides.partition_point(|kept| kept.no() < first);
        let inside = held.asides.range(start..).take_while(|kept| kept.no() <= last);
        inside.filter(|kept| wanted(&kept.frame())).cloned().collect()
    }

    /// Those that came from one moment to another, both included, that `wanted` says yes to.
    pub fn asides_between(
        &self,
        from: Stamp,
        until: Stamp,
        mut wanted: impl FnMut(&Frame<'_>) -> bool,
    ) -> Vec<KeptFrame> {
        let held = self.lock();
        let start = held.asides.partition_point(|kept| kept.stamp() < from);
        let inside = held.asides.range(start..).take_while(|kept| kept.stamp() <= until);
        inside.filter(|kept| wanted(&kept.frame())).cloned().collect()
    }

    /// How much is held.
    pub fn held(&self) -> RecentHeld {
        let held = self.lock();
        RecentHeld {
            bytes: (held.bytes + held.aside_bytes) as u64,
            connections: held.connections.len() as u64,
            pushed_out: held.pushed_out,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn let_go(&mut self, key: &FlowKey, until: PacketNo) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.frames.drop_until(until);
        if connection.frames.metas.is_empty() {
            self.remove(key);
        }
        // What was let go leaves its place among the ages behind.
        for ages in [&mut self.singles, &mut self.ages] {
            if ages.len() > 2 * self.connections.len() + 1_024 {
                let connections = &self.connections;
                ages.retain(|(birth, key)| connections.get(key).is_some_and(|one| one.birth == *birth));
            }
        }
    }

    fn remove(&mut self, key: &FlowKey) {
        if let Some(mut connection) = self.connections.remove(key) {
            self.bytes = self.bytes.saturating_sub(connection.frames.size());
            if self.spare.len() < SPARE && connection.frames.size() <= SPARE_BYTES {
                connection.frames.clear();
                self.spare.push(connection.frames);
            }
        }
    }

    /// Connections leave: first those with one packet, each time the oldest.
    fn shrink_to(&mut self, bound: usize) {
        while self.bytes > bound {
            let single = self.singles.pop_front();
            let Some((birth, key)) = single.or_else(|| self.ages.pop_front()) else { break };
            let has_grown = |one: &Connection| single.is_some() && one.frames.metas.len() > 1;
            let leaves = |one: &Connection| one.birth == birth && !has_grown(one);
            if self.connections.get(&key).is_some_and(leaves) {
                self.remove(&key);
                self.pushed_out += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Addr, Endpoint};

    fn key(n: u16) -> FlowKey {
        let end = |host, port| Endpoint { addr: Addr::v4([10, 0, 0, host]), port };
        FlowKey::of(end(1, n), end(2, 443)).0
    }

    fn frame(no: u64, data: &[u8]) -> Frame<'_> {
        let wire_len = u32::try_from(data.len()).unwrap();
        Frame { no: PacketNo(no), stamp: Stamp(no as i64), link: LinkType::ETHERNET, data, wire_len }
    }

    fn numbers(frames: &[KeptFrame]) -> Vec<u64> {
        frames.iter().map(|frame| frame.no().0).collect()
    }

    #[test]
    fn an_attempts_packets_come_back_as_they_were() {
        let recent = Recent::new(1 << 20);
        for no in 1..=6 {
            recent.keep(key(1 + (no % 2) as u16), &frame(no, &[no as u8; 60]));
        }
        let taken = recent.take(&key(2), PacketNo(1), PacketNo(5)).unwrap();
        assert_eq!(numbers(&taken.frames), [1, 3, 5]);
        assert!(!taken.cut);
        assert_eq!(taken.frames[1].frame().data, [3; 60]);
        assert!(recent.take(&key(2), PacketNo(1), PacketNo(5)).is_none(), "given away once");
    }

    #[test]
    fn a_later_attempt_on_the_same_connection_keeps_its_own() {
        let recent = Recent::new(1 << 20);
        for no in 1..=6 {
            recent.keep(key(1), &frame(no, &[no as u8; 60]));
        }
        recent.let_go(&key(1), PacketNo(3));
        let taken = recent.take(&key(1), PacketNo(4), PacketNo(6)).unwrap();
        assert_eq!(numbers(&taken.frames), [4, 5, 6]);
        assert_eq!(taken.frames[0].frame().data, [4; 60]);
    }

    #[test]
    fn the_oldest_connection_leaves_first_and_is_told_as_cut() {
        let recent = Recent::new(64 << 10);
        let big = [0; 1_000];
        for no in 1..=200 {
            recent.keep(key(no as u16), &frame(no, &big));
        }
        let held = recent.held();
        assert!(held.bytes <= 64 << 10 && held.connections > 20, "{held:?}");
        assert_eq!(held.connections + held.pushed_out, 200);
        assert!(recent.take(&key(1), PacketNo(1), PacketNo(1)).is_none());
        assert!(!recent.take(&key(200), PacketNo(200), PacketNo(200)).unwrap().cut);
        // It goes on after its first packets had to leave.
        recent.keep(key(1), &frame(201, &big));
        assert!(recent.take(&key(1), PacketNo(1), PacketNo(201)).unwrap().cut);
    }

    #[test]
    fn what_ended_well_takes_no_room() {
        let recent = Recent::new(64 << 10);
        recent.keep(key(9), &frame(1, &[9; 100]));
        for no in 2..=100_000 {
            recent.keep(key(1), &frame(no, &[0; 1_000]));
            recent.let_go(&key(1), PacketNo(no));
        }
        assert_eq!(numbers(&recent.take(&key(9), PacketNo(1), PacketNo(1)).unwrap().frames), [1]);
        assert_eq!(recent.held(), RecentHeld::default());
        let held = recent.lock();
        assert!(held.ages.len() <= 1_100 && held.singles.len() <= 1_100);
    }

    #[test]
    fn a_flood_of_single_packets_does_not_push_out_a_conversation() {
        let recent = Recent::new(64 << 10);
        for no in 1..=2 {
            recent.keep(key(1), &frame(no, &[1; 1_000]));
        }
        for no in 3..=20_000 {
            recent.keep(key(no as u16), &frame(no, &[2; 60]));
        }
        assert!(recent.held().bytes <= 64 << 10 && recent.held().pushed_out > 19_000);
        assert_eq!(numbers(&recent.take(&key(1), PacketNo(1), PacketNo(2)).unwrap().frames), [1, 2]);
    }

    #[test]
    fn one_connection_cannot_take_all() {
        let recent = Recent::new(4 << 20);
        recent.keep(key(2), &frame(1, &[2; 100]));
        for no in 2..=6_000 {
            recent.keep(key(1), &frame(no, &[0; 1_000]));
        }
        assert!(recent.take(&key(1), PacketNo(2), PacketNo(6_000)).unwrap().cut);
        assert!(!recent.take(&key(2), PacketNo(1), PacketNo(1)).unwrap().cut);
        assert_eq!(recent.held().pushed_out, 0);
    }

    #[test]
    fn packets_of_no_connection_are_found_by_number_and_wish() {
        let recent = Recent::new(64 << 10);
        for no in 1..=1_000 {
            recent.keep_aside(&frame(no, &[no as u8; 100]));
        }
        let found =
            recent.asides(PacketNo(990), PacketNo(995), |frame| frame.data.first() != Some(&(991_u64 as u8)));
        assert_eq!(numbers(&found), [990, 992, 993, 994, 995]);
        assert!(recent.asides(PacketNo(1), PacketNo(9), |_| true).is_empty(), "the oldest have left");
        assert!(recent.held().bytes <= 8 << 10);
    }
}
