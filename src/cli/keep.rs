//! The packets of failed handshakes, for `-w`: which they are is known only when all is read, so files are read twice.

use std::path::Path;

use hashbrown::HashMap;

use super::Failure;
use crate::base::{FlowKey, Limits, PacketNo};
use crate::capture::file::FileReader;
use crate::capture::write::PcapngWriter;
use crate::decode::{Decoder, Packet};
use crate::evidence::Evidence;

/// Connections of one file and the stretches of packets in them that matter.
#[derive(Debug, Default)]
pub struct Wanted {
    stretches: HashMap<FlowKey, Vec<(PacketNo, PacketNo)>>,
}

impl Wanted {
    /// Wants the packets of this attempt.
    pub fn add(&mut self, evidence: &Evidence) {
        let (key, _) = FlowKey::of(evidence.client, evidence.server);
        self.stretches.entry(key).or_default().push((evidence.first, evidence.last));
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    fn has(&self, key: &FlowKey, no: PacketNo) -> bool {
        self.stretches
            .get(key)
            .is_some_and(|stretches| stretches.iter().any(|&(first, last)| (first..=last).contains(&no)))
    }

    /// Reads a file again and writes the wanted packets.
    pub fn copy(&self, path: &Path, limits: &Limits, writer: &mut PcapngWriter) -> Result<(), Failure> {
        if self.is_empty() {
            return Ok(());
        }
        let mut reader = FileReader::open(path).map_err(|error| Failure::Says(error.to_string()))?;
        let mut decoder = Decoder::new(limits);
        while let Some(frame) = reader.next() {
            let key = match decoder.decode(&frame) {
                Packet::Segment(segment) => FlowKey::of(segment.src(), segment.dst()).0,
                Packet::IcmpError(error) => FlowKey::of(error.quoted_src, error.quoted_dst).0,
                _ => continue,
            };
            if self.has(&key, frame.no) {
                writer.write(&frame, None).map_err(|error| Failure::Says(error.to_string()))?;
            }
        }
        Ok(())
    }
}
