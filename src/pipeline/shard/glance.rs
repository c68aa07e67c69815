//! The short way of a frame: of nearly all segments nothing counts but that they came.

use super::{Place, Shard, State, seconds};
use crate::aside::dns;
use crate::base::Stamp;
use crate::decode::plain::Plain;
use crate::decode::{Decoder, Frame, TcpFlags};
use crate::flow::table::Id;

/// What the payload begins with of a segment that may begin something on a connection that is over: a request or an answer
/// of HTTP.
fn may_be_http(first: u8) -> bool {
    matches!(first, b'G' | b'P' | b'H')
}

/// The same on a connection that is not known, where a record of handshake may be a hello.
pub(super) fn may_begin(first: u8) -> bool {
    first == 22 || may_be_http(first)
}

/// Whether a segment of a connection that is over says nothing.
#[inline]
fn says_nothing_more(plain: &Plain<'_>) -> bool {
    !plain.flags().syn() && plain.payload.first().is_none_or(|&first| !may_be_http(first))
}

/// Whether a segment of a connection that is not known says nothing: it begins none, and no handshake.
#[inline]
fn says_nothing(plain: &Plain<'_>) -> bool {
    let [source, target] = plain.ports();
    plain.flags().0 & (TcpFlags::SYN | TcpFlags::RST) == 0
        && plain.payload.first().is_none_or(|&first| !may_begin(first))
        && !dns::may_be(source, target)
}

impl Shard {
    /// Decodes a frame and takes it, as [`Self::packet`] does.
    #[inline(always)] // as the next, part of the loop over frames
    pub fn frame(&mut self, decoder: &mut Decoder, frame: &Frame<'_>, now: Stamp) {
        match decoder.plain(frame) {
            Some(plain) => self.glance(&plain, frame, now),
            None => self.layered(decoder, frame, now),
        }
    }

    /// Takes a plain frame, as [`Self::packet`] does its segment.
    #[inline(always)]
    pub fn glance(&mut self, plain: &Plain<'_>, frame: &Frame<'_>, now: Stamp) {
        self.tick(now);
        let known = self.table.find_known(&plain.key().0);
        match known {
            Some((id, State::Done(over))) if says_nothing_more(plain) && !self.has_forgotten(over, now) => {
                if over.seen != seconds(now) {
                    self.table.set(id, State::Done(over.at(now)));
                }
            }
            None if says_nothing(plain) => {}
            _ => self.plain(known, plain, Place { no: frame.no, stamp: frame.stamp, now }),
        }
    }

    /// A plain segment that says something. `known`: the entry of its connection.
    #[inline(never)]
    fn plain(&mut self, known: Option<(Id, State)>, plain: &Plain<'_>, place: Place) {
        let (_, direction) = plain.key();
        self.segment_of(known, || plain.key().0, direction, &plain.segment(), place);
    }

    #[inline(never)]
    fn layered(&mut self, decoder: &mut Decoder, frame: &Frame<'_>, now: Stamp) {
        let packet = decoder.layers(frame);
        self.packet(&packet, frame.no, frame.stamp, now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use etherparse::PacketBuilder;

    use super::super::{Out, Ports};
    use super::*;
    use crate::base::{Limits, PacketNo};
    use crate::decode::LinkType;

    /// Beginnings of payloads, those that a shard looks for among them.
    const PAYLOADS: [&[u8]; 9] = [
        b"",
        b"x",
        b"GET /crl HTTP/1.1\r\n\r\n",
        b"Get",
        b"POST ",
        b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
        &[22, 3, 1, 0, 9, 1, 0, 0, 5],
        &[22, 3, 3, 0, 9, 2, 0, 0, 5],
        &[0, 12, 7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    ];
    const FLAGS: [u8; 7] = [16, 2, 18, 4, 20, 17, 0];
    const PORTS: [u16; 4] = [443, 80, 53, 8_081];

    fn frame(from_client: bool, port: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
        let (client, server) = (([192, 0, 2, 1], 40_000), ([198, 51, 100, 2], port));
        let (from, to) = if from_client { (client, server) } else { (server, client) };
        let mut header = etherparse::TcpHeader::new(from.1, to.1, 7, 9);
        (header.syn, header.ack) = (flags & TcpFlags::SYN != 0, flags & TcpFlags::ACK != 0);
        (header.rst, header.fin) = (flags & TcpFlags::RST != 0, flags & TcpFlags::FIN != 0);
        let mut bytes = Vec::new();
        let packet = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(from.0, to.0, 64).tcp_header(header);
        packet.write(&mut bytes, payload).unwrap();
        bytes
    }

    #[test]
    fn the_short_way_and_the_long_one_know_and_tell_the_same() {
        let one = (proptest::prelude::any::<bool>(), 0..PORTS.len(), 0..FLAGS.len(), 0..PAYLOADS.len());
        proptest::proptest!(|(all in proptest::collection::vec(one, 1..30))| {
            let new = || Shard::new(Arc::new(Limits::default()), Arc::new(Ports::new(&[443])), 0);
            let decoder = || Decoder::new(&Limits::default());
            let ((mut short, mut long), mut decoders) = ((new(), new()), (decoder(), decoder()));
            for (no, (from_client, port, flags, payload)) in (1_u64..).zip(all) {
                let data = frame(from_client, PORTS[port], FLAGS[flags], PAYLOADS[payload]);
                let now = Stamp::from_secs(100 + i64::try_from(no).unwrap());
                let wire_len = u32::try_from(data.len()).unwrap() + u32::from(no == 3);
                let frame = Frame { no: PacketNo(no), stamp: now, link: LinkType::ETHERNET, data: &data, wire_len };
                short.frame(&mut decoders.0, &frame, now);
                let packet = decoders.1.decode(&frame);
                long.packet(&packet, frame.no, now, now);
                let told = |shard: &mut Shard| format!("{:?}", shard.drain().collect::<Vec<Out>>());
                proptest::prop_assert_eq!(told(&mut short), told(&mut long));
                let states = |shard: &Shard| shard.table.iter().map(|(_, state)| state).collect::<Vec<_>>();
                proptest::prop_assert_eq!(states(&short), states(&long));
            }
            proptest::prop_assert_eq!(short.census(), long.census());
            proptest::prop_assert_eq!(decoders.0.take_lost(), decoders.1.take_lost());
        });
    }
}
