//! What a capture leaves open, in order of its beginning.

use std::vec::IntoIter;

use crate::base::PacketNo;
use crate::flow::table::Id;

/// What is still to be closed when the capture has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Left {
    /// A connection.
    Connection(Id),
    /// An attempt over datagrams.
    Talk(Id),
}

/// All of it, in twelve bytes each: a million may be open, and the memory is full when they are listed.
#[derive(Debug)]
pub(super) struct Leftover {
    rest: IntoIter<(u32, Left)>,
    /// First packets are written without so many bits at their end: with all, where the capture has less than 2³² packets.
    shift: u32,
}

impl Leftover {
    /// Lists what is open with its first packet; there is mostly as much as `count`.
    pub(super) fn of(open: impl Iterator<Item = (PacketNo, Left)>, count: usize) -> Self {
        let (mut all, mut shift) = (Vec::with_capacity(count), 0);
        for (first, left) in open {
            let first = loop {
                match u32::try_from(first.0 >> shift) {
                    Ok(first) => break first,
                    Err(_) => {
                        shift += 1;
                        all.iter_mut().for_each(|(first, _): &mut (u32, Left)| *first >>= 1);
                    }
                }
            };
            all.push((first, left));
        }
        all.sort_unstable();
        Self { rest: all.into_iter(), shift }
    }

    /// What is left began with this packet or behind it; `None` where nothing is.
    pub(super) fn first(&self) -> Option<PacketNo> {
        self.rest.as_slice().first().map(|&(first, _)| PacketNo(u64::from(first) << self.shift))
    }

    /// The one that comes so many behind the next.
    pub(super) fn ahead(&self, by: usize) -> Option<Left> {
        self.rest.as_slice().get(by).map(|&(_, left)| left)
    }
}

impl Iterator for Leftover {
    type Item = Left;

    fn next(&mut self) -> Option<Left> {
        self.rest.next().map(|(_, left)| left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Addr, Endpoint, FlowKey, PackedKey};
    use crate::flow::table::Table;

    #[test]
    fn what_is_left_comes_in_order_of_its_beginning_in_captures_of_any_length() {
        let mut table = Table::new(1);
        let mut id = |n: u16| {
            let low = Endpoint { addr: Addr(0), port: n };
            table.insert(PackedKey::from(FlowKey { low, high: low }), 0_u32)
        };
        let ids = [id(0), id(1), id(2), id(3)];
        // Of the long one's numbers the last three bits are left out.
        for (firsts, told) in [
            ([40, 7, 9_000, 8], [7, 8, 40, 9_000]),
            ([1 << 34, 3, 7 << 32, 9 << 3], [0, 9 << 3, 1 << 34, 7 << 32]),
        ] {
            let open = firsts.into_iter().zip(ids).map(|(first, id)| (PacketNo(first), Left::Connection(id)));
            let mut left = Leftover::of(open, 4);
            assert_eq!(left.ahead(3), Some(Left::Connection(ids[2])));
            for (first, id) in told.into_iter().zip([ids[1], ids[3], ids[0], ids[2]]) {
                assert_eq!(left.first(), Some(PacketNo(first)));
                assert_eq!(left.next(), Some(Left::Connection(id)));
            }
            assert_eq!((left.first(), left.next()), (None, None));
        }
    }
}
