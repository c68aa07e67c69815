//! Events in order of their ends: each is held until no attempt that is still open can end before it.

use std::collections::{BTreeMap, VecDeque};

use crate::base::PacketNo;

/// The last and the first packet of an attempt or an exchange, and the number of exchanges before it on the same connection:
/// its place in the order of ends.
pub type Place = (PacketNo, PacketNo, u32);

/// Values that wait for their turn.
///
/// Every shard says now and then which packet none of its open attempts ended before. What lies before all
/// of these marks is settled. An attempt that stays open for long (a stall, an unused connection) would hold
/// back everything behind it, so there is a bound; what leaves because of it may leave too early, and what
/// then comes too late is counted. When marks come does not change the order in which values leave.
#[derive(Debug)]
pub struct Order<T> {
    /// What came in order, which is nearly everything.
    row: VecDeque<(Place, T)>,
    /// The latest place that the row has had.
    newest: Place,
    /// The rest.
    others: BTreeMap<Place, T>,
    marks: Vec<PacketNo>,
    most: usize,
    gone: Place,
    /// Values that came after one of a later place had left.
    pub late: u64,
}

impl<T> Order<T> {
    /// Nothing waits yet, and at most `most` values will.
    pub fn new(shards: usize, most: usize) -> Self {
        Self {
            row: VecDeque::new(),
            newest: Place::default(),
            others: BTreeMap::new(),
            marks: vec![PacketNo::default(); shards],
            most,
            gone: Place::default(),
            late: 0,
        }
    }

    /// Takes a value, and gives the one that must leave because too many wait.
    #[inline]
    pub fn hold(&mut self, place: Place, value: T) -> Option<T> {
        self.late += u64::from(place < self.gone);
        if place > self.newest {
            self.newest = place;
            self.row.push_back((place, value));
        } else {
            self.put_before(place, value);
        }
        if self.row.len() + self.others.len() > self.most { self.pop() } else { None }
    }

    /// Of two values with one place the later one stays.
    #[inline(never)]
    fn put_before(&mut self, place: Place, value: T) {
        let same = self.row.binary_search_by_key(&place, |(other, _)| *other);
        match same.ok().and_then(|same| self.row.get_mut(same)) {
            Some(same) => same.1 = value,
            None => drop(self.others.insert(place, value)),
        }
    }

    /// A shard says that no attempt it has now, or will have, ended before packet `no`.
    pub fn mark(&mut self, shard: usize, no: PacketNo) {
        if let Some(mark) = self.marks.get_mut(shard) {
            *mark = no;
        }
    }

    /// The next value that ended before all marks and before `other`.
    pub fn settled(&mut self, other: PacketNo) -> Option<T> {
        let mark = self.marks.iter().copied().min().unwrap_or(other).min(other);
        let (first, ..) = self.first()?;
        if first < mark { self.pop() } else { None }
    }

    /// The first place, the row's or another.
    fn first(&self) -> Option<Place> {
        match (self.row.front(), self.others.first_key_value()) {
            (Some((place, _)), Some((other, _))) => Some(*place.min(other)),
            (Some((place, _)), None) | (None, Some((place, _))) => Some(*place),
            (None, None) => None,
        }
    }

    /// A value that will likely leave behind the next one.
    #[inline]
    pub fn soon(&self) -> Option<&T> {
        self.row.get(1).map(|(_, value)| value)
    }

    /// The next value, settled or not.
    pub fn pop(&mut self) -> Option<T> {
        let place = self.first()?;
        self.gone = self.gone.max(place);
        match self.row.pop_front_if(|(first, _)| *first == place) {
            Some((_, value)) => Some(value),
            None => self.others.pop_first().map(|(_, value)| value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(last: u64) -> Place {
        (PacketNo(last), PacketNo(1), 0)
    }

    #[test]
    fn a_value_leaves_once_every_shard_is_past_it() {
        let mut order = Order::new(2, 10);
        for last in [7, 3, 5] {
            assert_eq!(order.hold(place(last), last), None);
        }
        order.mark(0, PacketNo(6));
        assert_eq!(order.settled(PacketNo(100)), None);
        order.mark(1, PacketNo(9));
        assert_eq!(order.settled(PacketNo(4)), Some(3));
        assert_eq!(order.settled(PacketNo(100)), Some(5));
        assert_eq!(order.settled(PacketNo(100)), None);
        assert_eq!((order.pop(), order.late), (Some(7), 0));
    }

    #[test]
    fn too_many_values_push_the_first_out_and_a_late_one_is_counted() {
        let mut order = Order::new(1, 2);
        assert_eq!(order.hold(place(4), 4), None);
        assert_eq!(order.hold(place(8), 8), None);
        assert_eq!(order.hold(place(9), 9), Some(4));
        assert_eq!(order.hold(place(3), 3), Some(3));
        assert_eq!(order.late, 1);
    }

    /// Values pushed as `ends` says; shard 0 marks the smallest end still to come after each turn in `marked`.
    fn left(ends: &[u64], most: usize, marked: impl Fn(usize) -> bool) -> (Vec<u64>, u64) {
        let (mut order, mut left) = (Order::new(1, most), Vec::new());
        for (turn, &end) in ends.iter().enumerate() {
            left.extend(order.hold(place(end), end));
            if marked(turn) {
                let to_come = ends.iter().skip(turn + 1).min().copied().unwrap_or(u64::MAX);
                order.mark(0, PacketNo(to_come));
                left.extend(std::iter::from_fn(|| order.settled(PacketNo(u64::MAX))));
            }
        }
        left.extend(std::iter::from_fn(|| order.pop()));
        (left, order.late)
    }

    #[test]
    fn how_often_shards_mark_does_not_change_the_order() {
        let ends = [5, 9, 7, 30, 21, 22, 28, 6, 40, 33, 35, 31, 50, 41, 8, 60, 52, 55];
        for most in 1..=ends.len() {
            let never = left(&ends, most, |_| false);
            assert_eq!(left(&ends, most, |_| true), never, "{most} held");
            assert_eq!(left(&ends, most, |turn| turn % 3 == 0), never, "{most} held");
        }
    }
}
