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
                    return shard.packet(packet, frame.no, frame.stamp, now);
                }
                let key = FlowKey::of(datagram.src(), datagram.dst()).0;
                let before = shard.follows_talk(&key);
                shard.packet(packet, frame.no, frame.stamp, now);
                if before || shard.follows_talk(&key) {
                    self.recent.keep(key, frame);
                }
                return;
            }
            Packet::Other | Packet::Undecodable => return shard.packet(packet, frame.no, frame.stamp, now),
        };
        // The packet that ends an attempt belongs to it, and so does the one that begins it.
        let before = shard.follows(&key);
        shard.packet(packet, frame.no, frame.stamp, now);
        let after = shard.follows(&key);
        if matches!(packet, Packet::IcmpError(_)) && shard.follows_talk(&key) {
            return self.recent.keep(key, frame);
        }
        if [before, after].contains(&Follows::Attempt) {
            self.recent.keep(key, frame);
        }
        // The kernel deals an ICMP error to any ring; its connection is followed by one.
        if matches!(packet, Packet::IcmpError(_)) && after == Follows::Nothing {
            self.recent.keep_aside(frame);
        }
        // Responders that answer, or do not, explain attempts on other connections.
        let Packet::Segment(segment) = packet else { return };
        let http = segment.src_port == 80 || segment.dst_port == 80;
        if http && [before, after] != [Follows::Nothing; 2] || dns::may_be(segment.src_port, segment.dst_port)
        {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Limits, PacketNo};
    use crate::decode::{Decoder, LinkType};
    use crate::pipeline::shard::Ports;
    use etherparse::PacketBuilder;

    const CLIENT: [u8; 4] = [192, 0, 2, 1];
    const SERVER: [u8; 4] = [198, 51, 100, 2];

    /// A ring that has seen these segments of a client: their flags and payloads.
    fn ring(port: u16, segments: &[(bool, &[u8])]) -> (Arc<Recent>, Retain, Shard) {
        let limits = Arc::new(Limits::default());
        let recent = Arc::new(Recent::new(1 << 20));
        let mut retain = Retain::new(Arc::clone(&recent));
        let mut decoder = Decoder::new(&limits);
        let mut shard = Shard::new(limits, Arc::new(Ports::new(&[443])), 0);
        shard.tell_unreported();
        let mut seq = 7;
        for (no, &(syn, payload)) in (1..).zip(segments) {
            let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
                .ipv4(CLIENT, SERVER, 64)
                .tcp(40_000, port, seq, 64_240);
            let builder = if syn { builder.syn() } else { builder.ack(1) };
            let mut data = Vec::new();
            builder.write(&mut data, payload).unwrap();
            seq += u32::from(syn) + u32::try_from(payload.len()).unwrap();
            let frame = Frame {
                no: PacketNo(no),
                stamp: Stamp::from_secs(1),
                link: LinkType::ETHERNET,
                data: &data,
                wire_len: u32::try_from(data.len()).unwrap(),
            };
            let packet = decoder.decode(&frame);
            retain.packet(&mut shard, &packet, &frame, frame.stamp);
        }
        (recent, retain, shard)
    }

    #[test]
    fn an_open_attempt_is_kept_from_its_first_packet() {
        let (recent, retain, mut shard) = ring(443, &[(true, b""), (false, b"\x16\x03\x01\x02\x00\x01")]);
        retain.let_go(&mut shard);
        let key = FlowKey::of(
            crate::base::Endpoint { addr: crate::base::Addr::v4(CLIENT), port: 40_000 },
            crate::base::Endpoint { addr: crate::base::Addr::v4(SERVER), port: 443 },
        );
        let taken = recent.take(&key.0, PacketNo(1), PacketNo(2)).unwrap();
        assert_eq!((taken.frames.len(), taken.cut), (2, false));
    }

    #[test]
    fn a_connection_that_turns_out_to_be_none_of_ours_is_let_go() {
        let (recent, retain, mut shard) =
            ring(9_000, &[(true, b""), (false, b"\x00\x00\x00\x08of a database")]);
        assert_eq!(recent.held().connections, 1);
        retain.let_go(&mut shard);
        assert_eq!(recent.held().connections, 0);
    }

    #[test]
    fn a_connection_that_ends_by_silence_without_a_report_is_let_go() {
        let (recent, retain, mut shard) = ring(22, &[(true, b""), (false, b"SSH-2.0-OpenSSH_10.0\r\n")]);
        retain.let_go(&mut shard);
        assert_eq!(recent.held().connections, 1);
        shard.tick(Stamp::from_secs(3_600));
        retain.let_go(&mut shard);
        assert_eq!(recent.held().connections, 0);
    }

    #[test]
    fn what_belongs_to_no_attempt_is_never_kept() {
        let (recent, ..) = ring(443, &[(false, b"in the middle of something"), (false, b"more of it")]);
        assert_eq!(recent.held(), Default::default());
    }
}
