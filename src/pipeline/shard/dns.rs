//! Questions to resolvers and their answers, in datagrams and on connections.

use super::{Out, Place, Shard, State, What};
use crate::aside::dns::stream::Framer;
use crate::aside::dns::{self, DnsMessage};
use crate::base::{Direction, Endpoint, PackedKey, PacketNo, Seen, Span, Stamp};
use crate::decode::{Datagram, IcmpError, Segment};
use crate::flow::stream::{Piece, Stream};
use crate::flow::table::Id;
use crate::pipeline::lookups::Said;

/// Connections to resolvers followed at once by one shard: most carry one question.
const CHANNELS: usize = 4_096;
/// A connection on which nothing is said for so long is forgotten. RFC 7766 section 6.2.3 has servers close after seconds.
const IDLE: Span = Span::from_secs(30);

/// A connection to a resolver (RFC 7766).
#[derive(Debug)]
pub(super) struct Channel {
    client_sends: Direction,
    to_resolver: (Stream, Framer),
    to_client: (Stream, Framer),
    /// Forgotten when this passes.
    pub deadline: Stamp,
    /// The packet it began with.
    pub first: PacketNo,
}

impl Channel {
    /// Bytes held.
    pub fn held(&self) -> usize {
        let of = |(stream, framer): &(Stream, Framer)| stream.held_bytes() + framer.held();
        of(&self.to_resolver) + of(&self.to_client)
    }
}

impl Shard {
    /// Reads a datagram that may be for a resolver or from one.
    pub(super) fn of_resolver(&mut self, datagram: &Datagram<'_>, place: Place) {
        let source = datagram.src();
        let target = datagram.dst();
        if let Some(message) = dns::parse(datagram.payload) {
            self.say(message, (source, target), datagram.hop.ttl, (place.no, place.stamp), place.now);
        }
    }

    fn say(
        &mut self,
        message: DnsMessage,
        (source, target): (Endpoint, Endpoint),
        ttl: u8,
        (no, when): (PacketNo, Stamp),
        now: Stamp,
    ) {
        let (client, resolver) = if message.is_response { (target, source) } else { (source, target) };
        let said = Said { client, resolver, ttl, message: Seen::new(message, no, when) };
        self.out.push(Out { at: now, no, what: What::Dns(Box::new(said)) });
    }

    /// An ICMP error about a question: the resolver, or its port, cannot be reached.
    pub(super) fn no_resolver(&mut self, error: &IcmpError, place: Place) {
        let unreachable = error.kind == if error.v6 { 1 } else { 3 };
        if unreachable && error.quoted_protocol == 17 && error.quoted_dst.port == 53 {
            let says = Seen::new(error.hop.src, place.no, place.stamp);
            let what = What::NoResolver(Box::new((error.quoted_src, error.quoted_dst, says)));
            self.out.push(Out { at: place.now, no: place.no, what });
        }
    }

    /// Follows a connection to a resolver. `known`: its entry, which is done.
    pub(super) fn follow_channel(
        &mut self,
        known: Option<Id>,
        key: PackedKey,
        sends: Direction,
        segment: &Segment<'_>,
        place: Place,
    ) {
        if self.channels.len() >= CHANNELS {
            self.lost.asides_dropped += 1;
            return;
        }
        let id = known.unwrap_or_else(|| self.entry(key, place.now));
        self.make_way(id, place.now);
        let client_sends = if segment.dst_port == 53 { sends } else { sends.opposite() };
        let channel = Channel {
            client_sends,
            to_resolver: <_>::default(),
            to_client: <_>::default(),
            deadline: place.now + IDLE,
            first: place.no,
        };
        let no = self.channels.put(channel);
        self.table.set(id, State::Dns(no));
        self.arm(id, place.now + IDLE);
        self.of_channel(id, no, sends, segment, place);
    }

    pub(super) fn of_channel(
        &mut self,
        id: Id,
        no: u32,
        direction: Direction,
        segment: &Segment<'_>,
        place: Place,
    ) {
        let Some(channel) = self.channels.get_mut(no) else { return };
        let before = channel.held();
        channel.deadline = place.now + IDLE;
        let from_client = direction == channel.client_sends;
        let (stream, framer) = if from_client { &mut channel.to_resolver } else { &mut channel.to_client };
        let mut said = Vec::new();
        let mut broken = false;
        stream.push(
            segment.seq,
            segment.payload,
            segment.payload_wire_len,
            place.no,
            place.stamp,
            self.limits.holes_per_side,
            self.limits.bytes_per_side,
            &mut |piece| match piece {
                Piece::Bytes(bytes, no, when) => framer.push(bytes, |message| {
                    let message = dns::parse(message).filter(|message| !message.name.is_empty());
                    said.extend(message.map(|message| (message, no, when)));
                }),
                // What lacks bytes cannot be cut into messages any more.
                Piece::Gap(..) => broken = true,
            },
        );
        self.held = self.held.saturating_sub(before).saturating_add(channel.held());
        for (message, no, when) in said {
            self.say(message, (segment.src(), segment.dst()), segment.hop.ttl, (no, when), place.now);
        }
        let full = self.held > self.limits.bytes_per_shard;
        if full {
            self.lost.bytes_dropped += before as u64;
        }
        if broken || full || segment.flags.rst() || segment.flags.fin() && !from_client {
            self.close(id, place.now, false);
        }
    }
}
