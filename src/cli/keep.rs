//! The packets of failed handshakes, for `-w`. Which they are is known only at the end: files are read twice, and of
//! interfaces recent packets are held in memory.

use std::path::Path;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::Failure;
use crate::aside::dns::{self, DnsMessage};
use crate::base::{Addr, FlowKey, Limits, PacketNo, Packets, Side, Span, Stamp};
use crate::capture::file::FileReader;
use crate::capture::recent::{Recent, Taken};
use crate::capture::write::PcapngWriter;
use crate::cause::Cause;
use crate::decode::{Decoder, Packet};
use crate::event::asked_name;
use crate::evidence::{Evidence, Stage};
use crate::pipeline::Judged;

/// A moment, and one at or behind it.
type Window = (Stamp, Stamp);

/// Connections of one file and the stretches of packets in them that matter.
#[derive(Debug, Default)]
pub struct Wanted {
    stretches: HashMap<FlowKey, Vec<(PacketNo, PacketNo)>>,
    /// Packets of other connections that explain an attempt.
    asides: HashSet<PacketNo>,
    /// Questions and answers of a client for a name, and when they were said.
    lookups: HashMap<(Addr, String), Vec<Window>>,
}

/// A question comes no longer before its answer: resolvers of systems wait for five seconds.
const ASKED: Span = Span::from_secs(5);

impl Wanted {
    /// Wants the packets of this attempt, and those that its verdict rests on; those of other handshakes excepted.
    pub fn add(&mut self, judged: &Judged) {
        let Judged { evidence, diagnosis, .. } = judged;
        let around = &evidence.around;
        let findings = diagnosis.iter().flat_map(|said| said.primary.iter().chain(&said.also));
        if evidence.stage == Stage::Dns
            || findings.into_iter().any(|(cause, _)| *cause == Cause::DnsInconsistency)
        {
            self.add_lookups(evidence);
        }
        if evidence.stage == Stage::Dns {
            return;
        }
        let asides =
            around.ocsp.iter().map(|seen| &seen.at).chain(around.unreached.iter().map(|seen| &seen.at));
        self.asides.extend(asides.flat_map(Packets::iter));
        let (key, _) = FlowKey::of(evidence.client, evidence.server);
        self.stretches.entry(key).or_default().push((evidence.first, evidence.last));
    }

    /// Wants what DNS said.
    fn add_lookups(&mut self, evidence: &Evidence) {
        let around = &evidence.around;
        let client = evidence.client.addr;
        let mut add = |name: &str, from: Stamp, until: Stamp| {
            let windows = self.lookups.entry((client, name.to_owned())).or_default();
            windows.push((Stamp(from.0.saturating_sub(ASKED.0)), until));
        };
        let rivals = around.rivals.iter().flat_map(|rival| [&rival.first, &rival.second]);
        for answer in around.answers.iter().chain(&around.names_of_server).chain(rivals) {
            add(&answer.value.name, answer.when, answer.when);
        }
        if let Some(name) = asked_name(evidence).filter(|_| evidence.stage == Stage::Dns) {
            add(name, evidence.started, evidence.ended);
            // As a web client it asked for the HTTPS record too.
            around.for_tls.iter().for_each(|seen| add(name, seen.when, seen.when + ASKED));
            around.unanswered.iter().for_each(|seen| add(name, evidence.started, seen.when));
        }
        let unreachable = around.unanswered.iter().filter_map(|seen| seen.value.unreachable.as_ref());
        let cited =
            around.answers_to_others.iter().map(|seen| &seen.at).chain(unreachable.map(|seen| &seen.at));
        self.asides.extend(cited.flat_map(Packets::iter));
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

    fn has_lookup(&self, packet: &Packet<'_>, when: Stamp) -> bool {
        if self.lookups.is_empty() {
            return false;
        }
        let Some((ends, message)) = dns_message(packet) else { return false };
        let said =
            |windows: &Vec<Window>| windows.iter().any(|(from, until)| (from..=until).contains(&&when));
        ends.into_iter().any(|end| self.lookups.get(&(end, message.name.clone())).is_some_and(said))
    }

    fn wants(&self, packet: &Packet<'_>, no: PacketNo, when: Stamp) -> bool {
        let key = match packet {
            Packet::Segment(segment) => FlowKey::of(segment.src(), segment.dst()).0,
            Packet::IcmpError(error) => FlowKey::of(error.quoted_src, error.quoted_dst).0,
            Packet::Datagram(datagram) => FlowKey::of(datagram.src(), datagram.dst()).0,
            Packet::Other | Packet::Undecodable => return false,
        };
        self.has(&key, no) || self.asides.contains(&no) || self.has_lookup(packet, when)
    }

    /// Takes the wanted packets of one attempt from those that each ring of its interface still holds, in order, and says
    /// whether some were gone. For an analysis that runs on, where a file cannot be read twice.
    pub fn rescue(judged: &Judged, rings: &[Arc<Recent>], limits: &Limits) -> Taken {
        let evidence = &judged.evidence;
        let mut wanted = Self::default();
        wanted.add(judged);
        let mut taken = Taken::default();
        let windows = wanted.lookups.values().flatten();
        let mut numbers = HashSet::new();
        let mut decoder = Decoder::new(limits);
        for (ring, (from, until)) in
            rings.iter().flat_map(|ring| windows.clone().map(move |window| (ring, window)))
        {
            let said = ring.asides_between(*from, *until, |frame| {
                let packet = decoder.decode(frame);
                wanted.has_lookup(&packet, frame.stamp)
            });
            taken.frames.extend(said.into_iter().filter(|frame| numbers.insert(frame.no())));
        }
        if evidence.stage == Stage::Dns {
            taken.cut = taken.frames.is_empty();
        } else {
            let (key, _) = FlowKey::of(evidence.client, evidence.server);
            let of_rings = rings.iter().filter_map(|ring| ring.take(&key, evidence.first, evidence.last));
            match of_rings.max_by_key(|of_ring| of_ring.frames.len()) {
                Some(own) => {
                    taken.cut = own.cut;
                    taken.frames.extend(own.frames);
                }
                None => taken.cut = true,
            }
        }
        // An ICMP error may have come by another ring than the connection.
        let errors = evidence.tcp.icmp.iter().flat_map(|seen| seen.at.iter());
        for no in errors.chain(wanted.asides.iter().copied()) {
            if taken.frames.iter().all(|frame| frame.no() != no) {
                taken.frames.extend(rings.iter().flat_map(|ring| ring.asides(no, no, |_| true)));
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
            if self.wants(&packet, frame.no, frame.stamp) {
                writer.write(&frame, None).map_err(|error| Failure::Says(error.to_string()))?;
            }
        }
        if let Some(until) = last.max(reader.ran_until()) {
            writer.ran_until(until);
        }
        Ok(())
    }
}

/// A message of DNS, and the two that it was sent between. On a connection, the first whole one of a segment.
fn dns_message(packet: &Packet<'_>) -> Option<([Addr; 2], DnsMessage)> {
    let (hop, ports) = match packet {
        Packet::Datagram(datagram) => (&datagram.hop, (datagram.src_port, datagram.dst_port)),
        Packet::Segment(segment) => (&segment.hop, (segment.src_port, segment.dst_port)),
        _ => return None,
    };
    if !dns::may_be(ports.0, ports.1) {
        return None;
    }
    let message = match packet {
        Packet::Datagram(datagram) => datagram.payload,
        Packet::Segment(segment) => dns::stream::framed(segment.payload)?.0,
        _ => return None,
    };
    Some(([hop.src, hop.dst], dns::parse(message)?))
}

/// A question of this client for this name, or an answer to it; and which side sent it.
pub(super) fn of_lookup(packet: &Packet<'_>, client: Addr, name: &str) -> Option<(Side, DnsMessage)> {
    let (ends, message) = dns_message(packet)?;
    let from = match ends {
        [src, _] if src == client => Side::Client,
        [_, dst] if dst == client => Side::Server,
        _ => return None,
    };
    (message.name == name).then_some((from, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Seen, Stamp};
    use crate::decode::{Frame, Hop, IcmpError, LinkType};
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
        let judged = Judged {
            decided: evidence.ended,
            evidence: Box::new(evidence),
            diagnosis: None,
            hygiene: Vec::new(),
        };
        let evidence = &judged.evidence;
        let rings = [Recent::new(1 << 20), Recent::new(1 << 20)].map(Arc::new);
        let (key, _) = FlowKey::of(evidence.client, evidence.server);
        for no in [3, 5, 9, 11] {
            rings[0].keep(key, &frame(no));
        }
        for no in [4, 6, 8] {
            rings[1].keep_aside(&frame(no));
        }
        let taken = Wanted::rescue(&judged, &rings, &Limits::default());
        let numbers: Vec<_> = taken.frames.iter().map(|frame| frame.no().0).collect();
        assert_eq!((numbers, taken.cut), (vec![3, 5, 6, 9], false));
        // They are given once; what came after them stays for a later attempt.
        assert!(Wanted::rescue(&judged, &rings, &Limits::default()).cut);
        assert!(rings[0].take(&key, PacketNo(11), PacketNo(11)).is_some());
    }
}
