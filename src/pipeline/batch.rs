//! Decoded packets on their way to a shard in another thread: one allocation for many.

use std::ops::Range;

use crate::base::{PacketNo, Stamp};
use crate::decode::{Datagram, IcmpError, Packet, Segment};

/// A decoded packet whose payload lies in its batch.
#[derive(Debug)]
enum Kept {
    Segment(Segment<'static>, Range<usize>),
    Datagram(Datagram<'static>, Range<usize>),
    IcmpError(IcmpError),
}

/// Packets for one shard, in order, and how far capture time has come.
#[derive(Debug, Default)]
pub struct Batch {
    kept: Vec<(Kept, PacketNo, Stamp, Stamp)>,
    bytes: Vec<u8>,
    /// Capture time behind the last packet of any shard.
    pub watermark: Stamp,
    /// The last packet dealt to any shard.
    pub last: PacketNo,
}

impl Batch {
    /// Adds a packet, captured at `stamp` while capture time stood at `now`.
    pub fn push(&mut self, packet: &Packet<'_>, no: PacketNo, stamp: Stamp, now: Stamp) {
        let start = self.bytes.len();
        let kept = match *packet {
            Packet::Segment(segment) => {
                self.bytes.extend_from_slice(segment.payload);
                Kept::Segment(Segment { payload: &[], ..segment }, start..self.bytes.len())
            }
            Packet::Datagram(datagram) => {
                self.bytes.extend_from_slice(datagram.payload);
                Kept::Datagram(Datagram { payload: &[], ..datagram }, start..self.bytes.len())
            }
            Packet::IcmpError(error) => Kept::IcmpError(error),
            Packet::Other | Packet::Undecodable => return,
        };
        self.kept.push((kept, no, stamp, now));
    }

    /// Hands each packet on, in order.
    pub fn each(&self, mut f: impl FnMut(Packet<'_>, PacketNo, Stamp, Stamp)) {
        for (kept, no, stamp, now) in &self.kept {
            let payload = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
            let packet = match kept {
                Kept::Segment(segment, range) => {
                    Packet::Segment(Segment { payload: payload(range), ..*segment })
                }
                Kept::Datagram(datagram, range) => {
                    Packet::Datagram(Datagram { payload: payload(range), ..*datagram })
                }
                Kept::IcmpError(error) => Packet::IcmpError(*error),
            };
            f(packet, *no, *stamp, *now);
        }
    }

    /// Empties it; it keeps its memory for the next packets.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.bytes.clear();
    }

    /// Packets in it.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether it holds no packet.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Payload bytes in it.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}
