//! The rings of one interface: opening them, dealing among them, and having them back when the interface is.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

use super::ebpf::{Map, MapFilter};
use super::pcap_reader::PcapReader;
use super::ring::{Instruction, PacketRing};
use super::{LiveError, LiveOptions, LiveStats, Taken, Waited, program, readable, retire_ms, stamp};
use crate::base::FlowKey;
use crate::capture::{PACKET_MOST, filter, plainly};
use crate::decode::LinkType;

/// Bytes of a block, at least: room for the largest packets.
const BLOCK_LEAST: u32 = 512 << 10;
/// And at most: as much as the kernel has in one piece. A block that lasts as long as the kernel may hold it back costs the
/// fewest wakes (`benches/NOTES.md`).
const BLOCK_MOST: u32 = 4 << 20;
/// Of so many blocks a ring is made where these bounds leave a choice: what is being read is not free for the kernel.
const BLOCKS: u32 = 16;

/// How an interface is read.
pub enum Opened {
    /// By rings of our own.
    Rings(Vec<MemberRing>, LinkType),
    /// By libpcap.
    Pcap(PcapReader, LinkType),
}

/// What the rings of an interface share.
struct Interface {
    name: String,
    promiscuous: bool,
    block: u32,
    blocks: u32,
    snap: u32,
    /// The filter in force.
    program: Mutex<Vec<Instruction>>,
    /// Among how many rings packets are dealt.
    rings: usize,
    /// The number of the interface that the group is of, and the group's.
    group: Mutex<(u32, Option<u16>)>,
}

/// A ring, alone or one among several.
pub struct MemberRing {
    shared: Arc<Interface>,
    ring: PacketRing,
    index: u32,
    /// In front of the filter: connections whose packets the kernel keeps to itself.
    bypass: Vec<Instruction>,
    /// In place of both, where the kernel knows such connections by a map.
    by_map: Option<MapFilter>,
    stats: LiveStats,
    /// The interface's own counts of what it lost; of the first ring only, since they are the same for all.
    missed: Vec<(File, u64)>,
}

/// Opens an interface with as many rings, or through libpcap where its link needs that.
pub fn open(name: &str, options: &LiveOptions, rings: usize) -> Result<Opened, LiveError> {
    // libpcap knows the link's type, words its refusals, and compiles the filter. A small ring will do for that.
    let probe = LiveOptions { ring: 1 << 20, promiscuous: false, ..options.clone() };
    let probe = PcapReader::open(name, &probe)?;
    let link = probe.link()?;
    if name == "any" || !matches!(link, LinkType::ETHERNET | LinkType::RAW) {
        drop(probe);
        return Ok(Opened::Pcap(PcapReader::open(name, options)?, link));
    }
    let compiled = probe.program()?;
    drop(probe);
    let block = block(options.ring);
    let shared = Arc::new(Interface {
        name: name.to_owned(),
        promiscuous: options.promiscuous,
        block,
        blocks: (options.ring / block).max(2),
        snap: options.snap.clamp(64, PACKET_MOST as u32),
        program: Mutex::default(),
        rings,
        group: Mutex::new((0, None)),
    });
    shared.take_program(compiled);
    let open = || -> io::Result<Vec<MemberRing>> {
        let mut members = Vec::with_capacity(rings);
        for _ in 0..rings {
            // Nothing passes before every ring has joined: a connection would change its ring.
            members.push(MemberRing::open(Arc::clone(&shared), &program::everything(0))?);
        }
        for member in &members {
            member.ring.filter(&shared.program())?;
        }
        Ok(members)
    };
    let mut members = open().map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => LiveError::Permission { name: name.to_owned() },
        _ => LiveError::Open { name: name.to_owned(), why: plainly(&error) },
    })?;
    if let Some(first) = members.first_mut() {
        first.missed = missed(name);
    }
    Ok(Opened::Rings(members, link))
}

/// Bytes of each block of a ring of so many, a power of two.
fn block(ring: u32) -> u32 {
    let share = (ring / BLOCKS).clamp(BLOCK_LEAST, BLOCK_MOST);
    1 << share.ilog2()
}

impl Interface {
    /// A filter expression, compiled, or none is what matters from now on.
    fn take_program(&self, compiled: Option<Vec<Instruction>>) {
        let program = compiled.unwrap_or_else(|| program::everything(self.snap));
        *self.program.lock().unwrap_or_else(PoisonError::into_inner) = program;
    }

    fn program(&self) -> Vec<Instruction> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl MemberRing {
    fn open(shared: Arc<Interface>, program: &[Instruction]) -> io::Result<Self> {
        let ring = PacketRing::new(shared.block, shared.blocks, retire_ms(shared.rings as u64))?;
        ring.filter(program)?;
        let Some((index, _)) = ring.interface(&shared.name) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        // A host's own packets on the loopback interface would be seen twice.
        if shared.name == "lo" {
            ring.ignore_outgoing()?;
        }
        let (bypass, stats, missed) = (Vec::new(), LiveStats::default(), Vec::new());
        let mut member = Self { shared, ring, index, bypass, by_map: None, stats, missed };
        member.attach(index)?;
        if member.shared.rings > 1 {
            member.join()?;
        }
        Ok(member)
    }

    fn attach(&mut self, index: u32) -> io::Result<()> {
        self.ring.bind(index)?;
        if self.shared.promiscuous {
            // Tunnels know no promiscuous mode, and have no stranger's packets.
            let _ = self.ring.promiscuous(index);
        }
        self.index = index;
        Ok(())
    }

    fn join(&self) -> io::Result<()> {
        let mut group = self.shared.group.lock().unwrap_or_else(PoisonError::into_inner);
        if group.0 != self.index {
            *group = (self.index, None);
        }
        group.1 = Some(self.ring.join(group.1, &program::dealer())?);
        Ok(())
    }

    /// The next packets that lie ready, a burst at most.
    #[inline]
    pub fn burst(&mut self) -> impl Iterator<Item = Taken<'_>> {
        self.ring.burst().into_iter().map(|packet| {
            let (secs, nanos) = packet.stamp;
            Taken {
                data: packet.data,
                wire_len: packet.wire_len,
                stamp: stamp(i64::from(secs), i64::from(nanos / 1_000)),
            }
        })
    }

    /// Waits for packets.
    pub fn wait(&self, timeout_ms: u32) -> Waited {
        if !readable(self.ring.as_fd(), timeout_ms) {
            return Waited::Nothing;
        }
        match self.ring.error() {
            None => Waited::Ready,
            Some(_) => Waited::Down(match self.ring.interface(&self.shared.name) {
                Some((index, _)) if index == self.index => "it went down".into(),
                _ => "it went away".into(),
            }),
        }
    }

    /// Whether the interface can be read again; where it is another of the same name, reads that.
    ///
    /// # Errors
    /// It is there again and may not be read.
    pub fn is_back(&mut self) -> Result<bool, String> {
        match self.ring.interface(&self.shared.name) {
            Some((index, true)) if index == self.index => Ok(true), // the kernel has taken up where it left
            Some((index, true)) => match self.move_to(index) {
                Ok(()) => Ok(true),
                Err(error) => Err(format!("it is back and cannot be opened: {}", plainly(&error))),
            },
            _ => Ok(false),
        }
    }

    fn move_to(&mut self, index: u32) -> io::Result<()> {
        if self.shared.rings == 1 {
            return self.attach(index); // on the same socket: no privilege is needed for that
        }
        // A socket cannot leave its group.
        let again = Self::open(Arc::clone(&self.shared), &self.shared.program())?;
        self.stats();
        self.ring = again.ring;
        self.index = again.index;
        self.filter()
    }

    /// Gives what this filter matches; false where it does not compile. It knows no VLAN tags: to compile for the
    /// interface itself takes a privilege that may be gone.
    pub fn refilter(&mut self, filter: Option<&str>, link: LinkType) -> bool {
        let compiled = match filter.map(|expression| filter::compile(link, expression)) {
            None => None,
            Some(Ok(program)) => program::compiled(&program, self.shared.snap),
            Some(Err(_)) => return false,
        };
        self.shared.take_program(compiled);
        let before = self.by_map.take();
        if let Some(before) = &before {
            // Without the privilege that it took, what keeps packets back ends with the old filter.
            self.by_map = MapFilter::new(&self.shared.program(), Some(Arc::clone(before.map()))).ok();
        }
        let taken = self.filter().is_ok();
        if !taken {
            self.by_map = before;
        }
        taken
    }

    /// Has the kernel keep back what a map lists, from now on.
    ///
    /// # Errors
    /// As [`MapFilter::new`], or it cannot be put in force.
    pub fn bypass_by_map(&mut self) -> Result<(), String> {
        let filter = MapFilter::new(&self.shared.program(), None).and_then(|filter| {
            self.ring.filter_by(filter.as_fd())?;
            Ok(filter)
        });
        self.by_map = Some(filter.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => "it may not use a map (cap_bpf)".to_owned(),
            io::ErrorKind::Unsupported => "the filter asks for more than bytes of a packet".to_owned(),
            _ => plainly(&error),
        })?);
        Ok(())
    }

    /// The map in force.
    pub fn map(&self) -> Option<Arc<Map>> {
        self.by_map.as_ref().map(|filter| Arc::clone(filter.map()))
    }

    /// Has the kernel keep back most packets of these connections, and of no others: see [`program::bypass`]. How many of
    /// them, from the first on; `None` where it refuses and the old ones stay.
    pub fn bypass(&mut self, flows: &[FlowKey]) -> Option<usize> {
        // A kernel that has no room for as many (net.core.optmem_max) may have it for fewer.
        let mut some = flows;
        loop {
            let program = program::bypass(some);
            let before = std::mem::replace(&mut self.bypass, program);
            if self.filter().is_ok() {
                return Some(some.len());
            }
            self.bypass = before;
            if some.is_empty() {
                return None;
            }
            some = some.get(..some.len() / 2).unwrap_or_default();
        }
    }

    /// Puts the filter in force, with what stands in front of it.
    fn filter(&self) -> io::Result<()> {
        if let Some(filter) = &self.by_map {
            return self.ring.filter_by(filter.as_fd());
        }
        let mut program = self.bypass.clone();
        program.extend(self.shared.program());
        self.ring.filter(&program)
    }

    /// Packets seen and lost.
    pub fn stats(&mut self) -> LiveStats {
        let (received, dropped) = self.ring.take_counts();
        self.stats.received += u64::from(received);
        self.stats.kernel_dropped += u64::from(dropped);
        let lost = self.missed.iter_mut().map(|(file, before)| count(file).saturating_sub(*before));
        self.stats.interface_dropped = self.stats.interface_dropped.max(lost.sum());
        self.stats
    }
}

/// The interface's own counters, opened now because a confined process could not later, and what they stand at.
fn missed(name: &str) -> Vec<(File, u64)> {
    ["rx_missed_errors", "rx_fifo_errors"]
        .into_iter()
        .filter_map(|counter| {
            let mut file = File::open(format!("/sys/class/net/{name}/statistics/{counter}")).ok()?;
            let before = count(&mut file);
            Some((file, before))
        })
        .collect()
}

/// The number in a file of one; 0 where there is none any more.
fn count(file: &mut File) -> u64 {
    let mut text = String::new();
    if file.rewind().and_then(|()| file.read_to_string(&mut text)).is_err() {
        return 0;
    }
    text.trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_made_of_sixteen_blocks_where_the_kernel_has_such() {
        let mib = 1 << 20;
        assert_eq!(
            [1, 8, 20, 64, 1_024].map(|ring| block(ring * mib) >> 10),
            [512, 512, 1_024, 4_096, 4_096]
        );
    }
}
