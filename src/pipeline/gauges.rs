//! What a running ring tells of itself while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use crate::base::{Lost, Stamp};

/// Whether an interface can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Why not, for people; `None` while it is up.
    pub down: Option<String>,
    /// How often it came back.
    pub returned: u64,
}

/// What the kernel and the interface say of one ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Packets that passed the filters, since the ring was opened.
    pub received: u64,
    /// Of them, lost because they were not read fast enough.
    pub dropped: u64,
    /// Lost by the card or its driver, where it tells. The same for every ring of an interface.
    pub interface_dropped: u64,
    /// Up or down.
    pub link: Link,
}

/// Finished connections whose packets the kernel keeps to itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bypassed {
    /// How many now.
    pub connections: u64,
    /// Packets kept back so far: by a map counted, by a list estimated by those that pass.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
}

/// One look at a ring. Counts only grow; flows and bytes held are as of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Times that it looked for packets: a ring that is alive goes on turning while none come.
    pub turns: u64,
    /// Frames analysed.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// The earliest packet's stamp; `None` before the first.
    pub first: Option<Stamp>,
    /// The latest packet's stamp.
    pub last: Option<Stamp>,
    /// Connections followed.
    pub flows_open: u64,
    /// Finished connections remembered.
    pub flows_finished: u64,
    /// How often the clock was set.
    pub clock_sets: u64,
    /// Bytes of streams held.
    pub bytes_held: u64,
    /// What the kernel says.
    pub kernel: Kernel,
    /// What it keeps to itself.
    pub bypassed: Bypassed,
    /// Losses so far, those of the kernel included.
    pub lost: Lost,
}

impl Reading {
    /// Adds another ring of the same interface.
    pub fn add(&mut self, other: &Self) {
        self.turns += other.turns;
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        self.flows_open += other.flows_open;
        self.flows_finished += other.flows_finished;
        self.bytes_held += other.bytes_held;
        self.clock_sets = self.clock_sets.max(other.clock_sets);
        self.kernel.received += other.kernel.received;
        self.kernel.dropped += other.kernel.dropped;
        self.kernel.interface_dropped = self.kernel.interface_dropped.max(other.kernel.interface_dropped);
        self.bypassed.connections += other.bypassed.connections;
        self.bypassed.packets += other.bypassed.packets;
        self.bypassed.bytes += other.bypassed.bytes;
        if self.kernel.link.down.is_none() {
            self.kernel.link.down.clone_from(&other.kernel.link.down);
        }
        self.kernel.link.returned = self.kernel.link.returned.max(other.kernel.link.returned);
        self.lost.add(&other.lost);
    }
}

/// The last reading of a ring, shared with whoever watches. The ring's thread writes it once a batch and never waits.
#[derive(Debug, Default)]
pub struct Gauges(Mutex<Reading>);

impl Gauges {
    /// All zero.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The last reading.
    pub fn read(&self) -> Reading {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the reading, unless somebody looks at it just now: the next batch tells it then.
    pub(super) fn tell(&self, reading: &Reading) {
        if let Ok(mut held) = self.0.try_lock() {
            held.clone_from(reading);
        }
    }

    /// Replaces the reading for good: the ring has ended.
    pub(super) fn settle(&self, reading: Reading) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_of_one_interface_add_up_and_share_its_losses() {
        let ring = |packets, dropped, down: Option<&str>| Reading {
            packets,
            last: Some(Stamp(packets.cast_signed())),
            kernel: Kernel {
                dropped,
                interface_dropped: 5,
                link: Link { down: down.map(str::to_owned), returned: 1 },
                ..Kernel::default()
            },
            ..Reading::default()
        };
        let mut all = ring(3, 1, None);
        all.add(&ring(4, 2, Some("it is down")));
        assert_eq!((all.packets, all.kernel.dropped, all.kernel.interface_dropped), (7, 3, 5));
        assert_eq!(all.last, Some(Stamp(4)));
        assert_eq!(all.kernel.link, Link { down: Some("it is down".into()), returned: 1 });
    }
}
