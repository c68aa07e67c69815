//! Which packets may still be wanted when a handshake is known to have failed.

use std::sync::Arc;

use super::shard::{Follows, Shard};
use crate::aside::dns;
use crate::base::{FlowKey, Stamp};
use crate::capture::recent::Recent;
use crate::decode::{Frame, Packet};

/// Keeps packets of one ring: those of open attempts by connection, and beside them DNS and HTTP, which explain attempts
/// of others. What a finished connection carries is not kept.
pub(super) struct Retain {
    recent: Arc<Recent>,
}

impl Retain {
    /// Keeps them here.
    pub(super) fn new(recent: Arc<Recent>) -> Self {
        Self { recent }
    }

    /// Hands a packet to the shard, and keeps its frame where that followed or follows its connection.
    pub(super) fn packet(&mut self, shard: &mut Shard, packet: &Packet<'_>, frame: &Frame<'_>, now: Stamp) {
        let key = match packet {
            Packet::Segment(segment) => FlowKey::of(segment.src(), segment.dst()).0,
            Packet::IcmpError(error) => FlowKey::of(error.quoted_src, error.quoted_dst).0,
            Packet::Datagram(datagram) => {
                if dns::may_be(datagram.src_port, datagram.dst_port) {
                    self.recent.keep_aside(frame);
                }
                return shard.packet(packet, frame.no, frame.stamp, now);
            }
            Packet::Other | Packet::Undecodable => return shard.packet(packet, frame.no, frame.stamp, now),
        };
        // The packet that ends an attempt belongs to it, and so does the one that begins it.
        let before = shard.follows(&key);
        shard.packet(packet, frame.no, frame.stamp, now);
        let after = shard.follows(&key);
        if [before, after].contains(&Follows::Attempt) {
            self.recent.keep(key, frame);
        }
        // Responders that answer, or do not, explain attempts on other connections.
        let http =
            matches!(packet, Packet::Segment(segment) if segment.src_port == 80 || segment.dst_port == 80);
        if http && [before, after] != [Follows::Nothing; 2] {
            self.recent.keep_aside(frame);
        }
    }

    /// Lets go what will never be judged.
    pub(super) fn let_go(&self, shard: &mut Shard) {
        for (key, last) in shard.take_unreported() {
            self.recent.let_go(&key, last);
        }
    }
}
