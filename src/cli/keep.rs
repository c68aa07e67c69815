//! The packets of failed handshakes, for `-w`: which they are is known only when all is read, so files are read twice.

use std::path::Path;

use hashbrown::{HashMap, HashSet};

use super::Failure;
use crate::aside::dns::{self, DnsMessage};
use crate::base::{Addr, FlowKey, Limits, PacketNo, Packets, Side};
use crate::capture::file::FileReader;
use crate::capture::write::PcapngWriter;
use crate::decode::{Datagram, Decoder, Packet};
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

    fn has_lookup(&self, datagram: &Datagram<'_>, no: PacketNo) -> bool {
        self.lookups.iter().any(|(client, name, first, last)| {
            (first..=last).contains(&&no) && of_lookup(datagram, *client, name).is_some()
        })
    }

    /// Reads a file again and writes the wanted packets.
    pub fn copy(&self, path: &Path, limits: &Limits, writer: &mut PcapngWriter) -> Result<(), Failure> {
        if self.is_empty() {
            return Ok(());
        }
        let mut reader = FileReader::open(path).map_err(|error| Failure::Says(error.to_string()))?;
        let mut decoder = Decoder::new(limits);
        while let Some(frame) = reader.next() {
            let wanted = match decoder.decode(&frame) {
                Packet::Segment(segment) => self.has(&FlowKey::of(segment.src(), segment.dst()).0, frame.no),
                Packet::IcmpError(error) => {
                    self.has(&FlowKey::of(error.quoted_src, error.quoted_dst).0, frame.no)
                }
                Packet::Datagram(datagram) => self.has_lookup(&datagram, frame.no),
                Packet::Other | Packet::Undecodable => false,
            };
            if wanted || self.asides.contains(&frame.no) {
                writer.write(&frame, None).map_err(|error| Failure::Says(error.to_string()))?;
            }
        }
        Ok(())
    }
}

/// A question of this client for this name, or an answer to it; and which side sent it.
pub(super) fn of_lookup(datagram: &Datagram<'_>, client: Addr, name: &str) -> Option<(Side, DnsMessage)> {
    let from = match client {
        client if datagram.hop.src == client => Side::Client,
        client if datagram.hop.dst == client => Side::Server,
        _ => return None,
    };
    let message =
        dns::may_be(datagram.src_port, datagram.dst_port).then(|| dns::parse(datagram.payload))??;
    (message.name == name).then_some((from, message))
}
