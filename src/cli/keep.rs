//! The packets of failed handshakes, for `-w`. Which they are is known only at the end: files are read twice, and of
//! interfaces recent packets are held in memory.

use std::path::Path;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::Failure;
use crate::aside::dns::{self, DnsMessage};
use crate::base::{Addr, FlowKey, Limits, PacketNo, Packets, Side};
use crate::capture::file::FileReader;
use crate::capture::recent::{Recent, Taken};
use crate::capture::write::PcapngWriter;
use crate::decode::{Decoder, Frame, Packet};
use crate::event::asked_name;
use crate::evidence::{Evidence, Stage};

/// Connections of one file and the stretches of packets in them that matter.
#[derive(Debug, Default)]
pub struct Wanted {
    stretches: HashMap<FlowKey, Vec<(PacketNo, PacketNo)>>,
    /// Packets of other connections that explain an attempt.
    asides: HashSet<PacketNo>,
    /// Client, name, first and last packet of lookups that failed.
    lookups: Vec<(Addr, String, PacketNo, PacketNo)>,
}

impl Wanted {
    /// Wants the packets of this attempt.
    pub fn add(&mut self, evidence: &Evidence) {
        if evidence.stage == Stage::Dns {
            let name = asked_name(evidence).unwrap_or_default().to_owned();
            self.lookups.push((evidence.client.addr, name, evidence.first, evidence.last));
            return;
        }
        let around = &evidence.around;
        let asides =
            around.ocsp.iter().map(|seen| &seen.at).chain(around.unreached.iter().map(|seen| &seen.at));
        self.asides.extend(asides.flat_map(Packets::iter));
        let (key, _) = FlowKey::of(evidence.client, evidence.server);
        self.stretches.entry(key).or_default().push((evidence.first, evidence.last));
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty() && self.lookups.is_empty()
    }

    fn has(&self, key: &FlowKey, no: PacketNo) -> bool {
        self.stretches
            .get(key)
            .is_some_and(|stretches| stretches.iter().any(|&(first, last)| (first..=last).contains(&no)))
    }

    fn has_lookup(&self, packet: &Packet<'_>, no: PacketNo) -> bool {
        self.lookups.iter().any(|(client, name, first, last)| {
            (first..=last).contains(&&no) && of_lookup(packet, *client, name).is_some()
        })
    }

    fn wants(&self, packet: &Packet<'_>, no: PacketNo) -> bool {
        let wanted = match packet {
            Packet::Segment(segment) => {
                self.has(&FlowKey::of(segment.src(), segment.dst()).0, no) || self.has_lookup(packet, no)
            }
            Packet::IcmpError(error) => self.has(&FlowKey::of(error.quoted_src, error.quoted_dst).0, no),
            Packet::Datagram(datagram) => {
                self.has(&FlowKey::of(datagram.src(), datagram.dst()).0, no) || self.has_lookup(packet, no)
            }
            Packet::Other | Packet::Undecodable => false,
        };
        wanted || self.asides.contains(&no)
    }

    /// Takes the wanted packets of one attempt from those that each ring of its interface still holds, in order, and says
    /// whether some were gone. For an analysis that runs on, where a file cannot be read twice.
    pub fn rescue(evidence: &Evidence, rings: &[Arc<Recent>], limits: &Limits) -> Taken {
        let mut wanted = Self::default();
        wanted.add(evidence);
        let mut taken = Taken::default();
        if evidence.stage == Stage::Dns {
            let mut decoder = Decoder::new(limits);
            let mut wants = |frame: &Frame<'_>| {
                let packet = decoder.decode(frame);
                wanted.wants(&packet, frame.no)
            };
            for ring in rings {
                taken.frames.extend(ring.asides(evidence.first, evidence.last, &mut wants));
            }
            taken.cut = taken.frames.is_empty();
        } else {
            let (key, _) = FlowKey::of(evidence.client, evidence.server);
            let of_rings = rings.iter().filter_map(|ring| ring.take(&key, evidence.first, evidence.last));
            match of_rings.max_by_key(|of_ring| of_ring.frames.len()) {
                Some(own) => taken = own,
                None => taken.cut = true,
            }
            // An ICMP error may have come by another ring than the connection.
            let errors = evidence.tcp.icmp.iter().flat_map(|seen| seen.at.iter());
            for no in errors.chain(wanted.asides.iter().copied()) {
                if taken.frames.iter().all(|frame| frame.no() != no) {
                    taken.frames.extend(rings.iter().flat_map(|ring| ring.asides(no, no, |_| true)));
                }
            }
        }
        taken.frames.sort_by_key(|frame| (frame.stamp(), frame.no()));
        taken
    }

    /// Reads a file again and writes the wanted packets.
    pub fn copy(&self, path: &Path, limits: &Limits, writer: &mut PcapngWriter) -> Result<(), Failure> {
        if self.is_empty() {
            return Ok(());
        }
        let mut reader = FileReader::open(path).map_err(|error| Failure::Says(error.to_string()))?;
        let mut decoder = Decoder::new(limits);
        let mut last = None;
        while let Some(frame) = reader.next() {
            last = last.max(Some(frame.stamp));
            let packet = decoder.decode(&frame);
            if self.wants(&packet, frame.no) {
                writer.write(&frame, None).map_err(|error| Failure::Says(error.to_string()))?;
            }
        }
        if let Some(until) = last.max(reader.ran_until()) {
            writer.ran_until(until);
        }
        Ok(())
    }
}

/// A question of this client for this name, or an answer to it; and which side sent it. On a connection, the first whole
/// message of a segment.
pub(super) fn of_lookup(packet: &Packet<'_>, client: Addr, name: &str) -> Option<(Side, DnsMessage)> {
    let (hop, ports, message) = match packet {
        Packet::Datagram(datagram) => {
            (&datagram.hop, (datagram.src_port, datagram.dst_port), Some(datagram.payload))
        }
        Packet::Segment(segment) => {
            let framed = dns::stream::framed(segment.payload).map(|(message, _)| message);
            (&segment.hop, (segment.src_port, segment.dst_port), framed)
        }
        _ => return None,
    };
    let from = match client {
        client if hop.src == client => Side::Client,
        client if hop.dst == client => Side::Server,
        _ => return None,
    };
    let message = dns::may_be(ports.0, ports.1).then(|| dns::parse(message?))??;
    (message.name == name).then_some((from, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Seen, Stamp};
    use crate::decode::{Hop, IcmpError, LinkType};
    use crate::event::fixture;

    fn frame(no: u64) -> Frame<'static> {
        Frame { no: PacketNo(no), stamp: Stamp(no as i64), link: LinkType::ETHERNET, data: b"x", wire_len: 1 }
    }

    #[test]
    fn an_error_that_came_by_another_ring_is_saved_with_its_connection() {
        let mut evidence = fixture::syn_dropped();
        (evidence.first, evidence.last) = (PacketNo(3), PacketNo(9));
        let error = IcmpError {
            hop: Hop::default(),
            v6: true,
            kind: 1,
            code: 1,
            mtu: None,
            quoted_src: evidence.client,
            quoted_dst: evidence.server,
            quoted_protocol: 6,
            quoted_seq: None,
        };
        evidence.tcp.icmp.push(Seen::new(error, PacketNo(6), Stamp(6)));
        let rings = [Recent::new(1 << 20), Recent::new(1 << 20)].map(Arc::new);
        let (key, _) = FlowKey::of(evidence.client, evidence.server);
        for no in [3, 5, 9, 11] {
            rings[0].keep(key, &frame(no));
        }
        for no in [4, 6, 8] {
            rings[1].keep_aside(&frame(no));
        }
        let taken = Wanted::rescue(&evidence, &rings, &Limits::default());
        let numbers: Vec<_> = taken.frames.iter().map(|frame| frame.no().0).collect();
        assert_eq!((numbers, taken.cut), (vec![3, 5, 6, 9], false));
        // They are given once; what came after them stays for a later attempt.
        assert!(Wanted::rescue(&evidence, &rings, &Limits::default()).cut);
        assert!(rings[0].take(&key, PacketNo(11), PacketNo(11)).is_some());
    }
}
