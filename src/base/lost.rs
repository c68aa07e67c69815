//! What was not seen, and why: every drop ends here.

use super::Blank;

/// Names and counters of losses. One value per handshake says what touched it, one per run adds up.
macro_rules! losses {
    ($( $(#[doc = $doc:literal])+ $name:ident ),+ $(,)?) => {
        /// Counters of what the capture or a bound kept from us.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Lost { $( $(#[doc = $doc])+ pub $name: u64, )+ }

        impl Blank for Lost {
            const BLANK: &'static Self = &Self { $( $name: 0, )+ };
        }

        impl Lost {
            /// Name and count of everything that was lost, in a fixed order.
            pub fn counted(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [ $( (stringify!($name), self.$name), )+ ].into_iter().filter(|&(_, n)| n > 0)
            }

            /// Adds another count to this one.
            pub fn add(&mut self, other: &Self) {
                $( self.$name = self.$name.saturating_add(other.$name); )+
            }

            /// Whether nothing was lost.
            pub fn is_nothing(&self) -> bool {
                self.counted().next().is_none()
            }
        }
    };
}

losses! {
    /// Bytes of a stream that the capture never showed although the peer acknowledged them or later bytes came.
    gap_bytes,
    /// Segments whose repeated bytes differed from the first copy (the first copy won).
    overlap_conflicts,
    /// Segments dropped because a direction had too many holes.
    holes_dropped,
    /// Bytes dropped because a direction or a shard held too much.
    bytes_dropped,
    /// Packets cut short by the capture's snap length.
    snapped_packets,
    /// Packets whose headers could not be read.
    undecodable_packets,
    /// IP fragments that never found the rest of their datagram.
    fragments_dropped,
    /// Connections evicted from a full table before they ended.
    flows_evicted,
    /// Server or DNS memories that left a full table.
    asides_dropped,
    /// Attempts judged by one side of a gateway alone, since what both sides saw of them had left a full table.
    crossings_dropped,
    /// Events printed behind one of a later end, because too many waited for an attempt that stayed open.
    events_out_of_order,
    /// TLS records or messages that did not parse.
    malformed_messages,
    /// Packets the kernel dropped before we could read them.
    kernel_dropped,
    /// Connections not followed because the kernel kept back the packets of an earlier one between the same ends when they
    /// began.
    handshakes_bypassed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_add_up_and_name_themselves() {
        let mut all = Lost::default();
        assert!(all.is_nothing());
        all.add(&Lost { gap_bytes: 3, ..Lost::default() });
        all.add(&Lost { gap_bytes: 4, ..Lost::default() });
        assert_eq!(all.counted().collect::<Vec<_>>(), [("gap_bytes", 7)]);
    }
}
