//! Every bound of the core, each with its reason. Nothing grows without one.

use super::time::Span;

/// Bounds and time-outs, handed down to whoever holds something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections known at once to one shard. Full: finished ones leave first, then those that have shown least, then
    /// the longest idle.
    pub flows: usize,
    /// Of these, connections that have carried a byte and are not finished: each takes some kilobytes, where there are many
    /// less than one until its hello is answered.
    pub under_way: usize,
    /// A finished connection that has been silent for this long is forgotten. While it is known, what it still carries
    /// costs one look-up; behind that, a look at each segment's first bytes.
    pub remembered: Span,
    /// Bytes kept for one direction while a message is incomplete. rustls refuses handshake
    /// messages over 65 535 bytes; real chains with staples stay below.
    pub bytes_per_side: usize,
    /// Holes in one direction. Beyond this the path is reordering wildly or attacking.
    pub holes_per_side: usize,
    /// Bytes kept by one shard for all its connections.
    pub bytes_per_shard: usize,
    /// Sealed records remembered per side: enough to see Finished and what followed.
    pub sealed_records: usize,
    /// IP datagrams being rejoined at once.
    pub fragments: usize,
    /// Longest wait for the other fragments. RFC 791 suggests 15 s, Linux waits 30 s.
    pub fragment_wait: Span,
    /// DNS answers, OCSP replies and the like remembered by the join.
    pub asides: usize,
    /// Servers whose earlier behaviour is remembered.
    pub servers: usize,
    /// Distinct certificates kept parsed.
    pub certificates: usize,
    /// Bytes of one revocation list: the largest that public CAs publish have some 20 MB.
    pub list_bytes: usize,
    /// Serial numbers kept of one revocation list, 40 bytes each.
    pub list_entries: usize,
    /// Bytes of all revocation lists remembered.
    pub lists_bytes: usize,
    /// A SYN without any answer is given up after this. Linux retries for 127 s by default, but a
    /// person and most programs give up within 10 to 30 s.
    pub syn_answer: Span,
    /// An open handshake with no packet for this long has stalled.
    pub stall: Span,
    /// An established connection that never carried a byte is given up after this; preconnects and
    /// translators that forget idle connections show only when it speaks at last.
    pub idle: Span,
    /// After a FIN, a reset or a fatal alert, late and reordered packets are still read for this long.
    pub after_end: Span,
    /// A finished handshake that has seen no application data yet is settled after this.
    pub linger: Span,
    /// A failure waits this long for a sibling that succeeds (Happy Eyeballs, a retry).
    pub sibling: Span,
    /// Events held back to print a file's events in order of their ends.
    pub held_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 1 << 20,
            under_way: 1 << 18,
            remembered: Span::from_secs(120),
            bytes_per_side: 131_072,
            holes_per_side: 32,
            bytes_per_shard: 64 << 20,
            sealed_records: 16,
            fragments: 1_024,
            fragment_wait: Span::from_secs(30),
            asides: 16_384,
            servers: 16_384,
            certificates: 16_384,
            list_bytes: 32 << 20,
            list_entries: 1_000_000,
            lists_bytes: 128 << 20,
            syn_answer: Span::from_secs(30),
            stall: Span::from_secs(60),
            idle: Span::from_secs(600),
            after_end: Span::from_secs(2),
            linger: Span::from_secs(10),
            sibling: Span::from_secs(10),
            held_events: 8_192,
        }
    }
}
