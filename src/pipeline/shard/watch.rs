//! What others may know of a shard while it runs.

use std::sync::Arc;

use super::glance::may_begin;
use super::{Ports, Shard, State};
use crate::aside::dns;
use crate::base::{FlowKey, PackedKey, PacketNo};
use crate::decode::Segment;
use crate::flow::table::Id;

/// What a shard holds just now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections followed.
    pub open: u64,
    /// Finished connections remembered.
    pub finished: u64,
    /// Bytes of streams held.
    pub bytes_held: u64,
}

/// What a shard does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// An attempt is under way on it, or may begin.
    Attempt,
    /// It asks for a revocation status.
    Http,
    /// It is finished, or not known.
    Nothing,
}

impl Shard {
    /// From now on remembers which connections end without a report.
    pub fn tell_unreported(&mut self) {
        self.unreported.get_or_insert_default();
    }

    /// The connections that ended without a report since the last call, and their last packets.
    pub fn take_unreported(&mut self) -> Vec<(FlowKey, PacketNo)> {
        self.unreported.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What it does with a connection.
    pub fn follows(&self, key: &FlowKey) -> Follows {
        match self.table.find(&(*key).into()).map(|id| self.table.get(id)) {
            Some(State::Opening(_) | State::Idle(_) | State::Open(_)) => Follows::Attempt,
            Some(State::Http(_)) => Follows::Http,
            Some(State::Done(_) | State::Dns(_)) | None => Follows::Nothing,
        }
    }

    /// Whether this is a connection that spoke TLS and is over: of what it still carries, nothing but its end and what
    /// begins another connection in its place is looked at.
    pub fn has_finished(&self, key: &FlowKey) -> bool {
        let state = self.table.find(&(*key).into()).map(|id| self.table.get(id));
        matches!(state, Some(State::Done(over)) if over.tls)
    }

    /// The connection of a segment from which nothing is learned, and nothing from others that are as quiet: it is over, or
    /// none of ours, and the segment begins nothing. Nothing else begins anything there.
    pub fn learns_nothing_from(&self, segment: &Segment<'_>) -> Option<PackedKey> {
        if Self::may_begin(segment) || dns::may_be(segment.src_port, segment.dst_port) {
            return None;
        }
        let key = FlowKey::of(segment.src(), segment.dst()).0.into();
        match self.table.find_known(&key) {
            None | Some((_, State::Done(_))) => Some(key),
            Some(_) => None,
        }
    }

    /// Whether a segment may begin something on a connection that is over, or none of ours.
    pub fn may_begin(segment: &Segment<'_>) -> bool {
        segment.flags.syn() || segment.payload.first().is_some_and(|first| may_begin(*first))
    }

    /// Whether it follows an attempt over datagrams between these ends.
    pub fn follows_talk(&self, key: &FlowKey) -> bool {
        self.talks.follows(key)
    }

    /// From now on counts silent attempts on these ports.
    pub fn renew(&mut self, ports: Arc<Ports>) {
        self.ports = ports;
    }

    /// What it holds; cheap enough for every batch.
    pub fn census(&self) -> Census {
        let under_way = self.attempts.len() + self.exchanges.len() + self.channels.len();
        let open = self.openings.len() + self.idle.len() + under_way;
        let finished = self.table.len().saturating_sub(open) + self.talks.finished();
        let open = open + self.talks.open();
        Census { open: open as u64, finished: finished as u64, bytes_held: self.held as u64 }
    }

    pub(super) fn leave_unreported(&mut self, id: Id, last: PacketNo) {
        if let Some(unreported) = &mut self.unreported {
            unreported.push((self.table.key(id), last));
        }
    }
}
