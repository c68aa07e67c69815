//! A ring of packets that the kernel shares with this process: AF_PACKET with TPACKET_V3 (packet(7), Linux
//! Documentation/networking/packet_mmap.rst).
//!
//! The ring is a row of blocks. The kernel fills one and hands it over, full or after a time that is told it; the reader
//! takes its packets where they lie and gives it back. No system call a packet, and no copy.
//!
//! It takes `unsafe`: its socket options have no safe wrapper in any crate kept here, and the ring is
//! memory that another party writes. What keeps it sound: a block is read only between the kernel's hand-over (acquire)
//! and giving it back (release); every offset that the kernel wrote is checked against the block before use; packets are
//! lent for no longer than until the next call.
#![allow(unsafe_code, reason = "see above")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use smallvec::SmallVec;

use crate::decode::BURST;

/// Room in front of each packet for the VLAN tag that the kernel took out.
const TAG: usize = 4;

/// Frames have no fixed size in this version; the kernel wants one named that fits a header.
const FRAME: u32 = 2048;

/// An instruction of classic BPF, as `SO_ATTACH_FILTER` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip where a comparison holds.
    pub jt: u8,
    /// And where it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// A packet as it lies in the ring.
#[derive(Clone, Copy, Debug)]
pub struct RingPacket<'a> {
    /// From the link header on, with its VLAN tag put back.
    pub data: &'a [u8],
    /// Length on the wire.
    pub wire_len: u32,
    /// The kernel's stamp: seconds since 1970 and nanoseconds.
    pub stamp: (u32, u32),
}

/// A socket with its ring.
#[derive(Debug)]
pub struct PacketRing {
    socket: OwnedFd,
    map: *mut u8,
    block: usize,
    blocks: usize,
    /// The block to read next, or being read.
    at: usize,
    /// Packets left in the block being read, and where the next begins in it.
    left: u32,
    offset: usize,
    /// The block being read is ours and must be given back.
    held: bool,
    /// Bytes that the last packet took in its block, and the last one before it that took another number.
    size: usize,
    other: usize,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl Send for PacketRing {}

impl PacketRing {
    /// A socket with a ring of `blocks` blocks of `block` bytes (a power of two, at least a page), of which one that is not
    /// full is handed over after `retire_ms`. It sees nothing until [`Self::bind`].
    ///
    /// # Errors
    /// The user may not capture, or there is no memory for the ring.
    pub fn new(block: u32, blocks: u32, retire_ms: u32) -> io::Result<Self> {
        // SAFETY: plain system call; the descriptor is owned from here on.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        set(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as libc::c_int))?;
        #[expect(clippy::cast_possible_truncation, reason = "four")]
        set(&socket, libc::PACKET_RESERVE, &(TAG as libc::c_uint))?;
        let request = libc::tpacket_req3 {
            tp_block_size: block,
            tp_block_nr: blocks,
            tp_frame_size: FRAME,
            tp_frame_nr: block / FRAME * blocks,
            tp_retire_blk_tov: retire_ms,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(&socket, libc::PACKET_RX_RING, &request)?;
        let (block, blocks) = (block as usize, blocks as usize);
        // SAFETY: a new mapping of the socket's own ring, of the size just asked for.
        let map = unsafe {
            libc::mmap(
                ptr::null_mut(),
                block * blocks,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            socket,
            map: map.cast(),
            block,
            blocks,
            at: 0,
            left: 0,
            offset: 0,
            held: false,
            size: 0,
            other: 0,
        })
    }

    /// Lets only packets through for which this program returns more than zero: so many of their bytes.
    ///
    /// # Errors
    /// The kernel refuses the program.
    pub fn filter(&self, program: &[Instruction]) -> io::Result<()> {
        with_program(program, |program| {
            set_at(&self.socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
        })
    }

    /// The same by a program of eBPF that the kernel has checked, in the place of any other.
    ///
    /// # Errors
    /// It is no filter for sockets.
    pub fn filter_by(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        set_at(&self.socket, libc::SOL_SOCKET, libc::SO_ATTACH_BPF, &program.as_raw_fd())
    }

    /// Sees the packets of this interface from here on.
    ///
    /// # Errors
    /// There is none, or it is down.
    pub fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: all zero is a valid address.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index.cast_signed();
        let len = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the address is a whole one of the length told.
        done(unsafe { libc::bind(self.socket.as_raw_fd(), ptr::from_ref(&address).cast(), len) })?;
        // Binding says by this whether the interface is up.
        self.error().map_or(Ok(()), Err)
    }

    /// Asks the interface for packets that are not addressed to it, for as long as this socket lives.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn promiscuous(&self, index: u32) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: index.cast_signed(),
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        set(&self.socket, libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Does not see what this host sends: on the loopback interface it is seen again as received.
    ///
    /// # Errors
    /// The kernel is older than 4.20.
    pub fn ignore_outgoing(&self) -> io::Result<()> {
        set(&self.socket, libc::PACKET_IGNORE_OUTGOING, &1_i32)
    }

    /// Joins the rings among which the kernel deals an interface's packets: a new group, or the one of this number.
    /// Fragments are joined first. `program` gives each packet's ring; its remainder by the number of rings counts.
    ///
    /// # Errors
    /// The interface went away, or the group is of another one.
    pub fn join(&self, group: Option<u16>, program: &[Instruction]) -> io::Result<u16> {
        let mut flags = libc::PACKET_FANOUT_CBPF | libc::PACKET_FANOUT_FLAG_DEFRAG;
        if group.is_none() {
            flags |= libc::PACKET_FANOUT_FLAG_UNIQUEID;
        }
        let asked = flags << 16 | u32::from(group.unwrap_or(0));
        set(&self.socket, libc::PACKET_FANOUT, &asked)?;
        with_program(program, |program| set(&self.socket, libc::PACKET_FANOUT_DATA, program))?;
        let joined: u32 = get(&self.socket, libc::SOL_PACKET, libc::PACKET_FANOUT)?;
        Ok((joined & 0xffff) as u16)
    }

    /// Packets that passed the filter since the last call, and how many of them found the ring full.
    pub fn take_counts(&self) -> (u32, u32) {
        let counts: io::Result<libc::tpacket_stats_v3> =
            get(&self.socket, libc::SOL_PACKET, libc::PACKET_STATISTICS);
        counts.map_or((0, 0), |counts| (counts.tp_packets, counts.tp_drops))
    }

    /// What the socket has to say: that its interface went down, once.
    pub fn error(&self) -> Option<io::Error> {
        match get::<libc::c_int>(&self.socket, libc::SOL_SOCKET, libc::SO_ERROR) {
            Ok(0) => None,
            Ok(code) => Some(io::Error::from_raw_os_error(code)),
            Err(error) => Some(error),
        }
    }

    /// The number of an interface, and whether it is up; `None` where there is none of this name.
    pub fn interface(&self, name: &str) -> Option<(u32, bool)> {
        // SAFETY: all zero is a valid request.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if name.len() >= request.ifr_name.len() {
            return None;
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed();
        }
        let fd = self.socket.as_raw_fd();
        // SAFETY: a whole request with a terminated name; the kernel writes the field that is read behind each call.
        let (index, flags) = unsafe {
            done(libc::ioctl(fd, libc::SIOCGIFINDEX as _, &raw mut request)).ok()?;
            let index = request.ifr_ifru.ifru_ifindex;
            done(libc::ioctl(fd, libc::SIOCGIFFLAGS as _, &raw mut request)).ok()?;
            (index, i32::from(request.ifr_ifru.ifru_flags))
        };
        Some((u32::try_from(index).ok()?, flags & libc::IFF_UP != 0))
    }

    /// The next packets, all of one block; none where the kernel has handed over no further block.
    #[inline]
    pub fn burst(&mut self) -> SmallVec<[RingPacket<'_>; BURST]> {
        let mut packets = SmallVec::new();
        while self.left == 0 {
            self.give_back();
            if !self.take_block() {
                return packets;
            }
        }
        let mut end = 0;
        while packets.len() < BURST && self.left > 0 {
            match self.packet(end) {
                Some((packet, behind)) => {
                    packets.push(packet);
                    end = behind;
                }
                // What the kernel writes does not come here.
                None => self.left = 0,
            }
        }
        packets
    }

    /// The next packet of the block being read, and where it ends in the block. `before`: where the one before it ended.
    #[inline]
    fn packet<'a>(&mut self, before: usize) -> Option<(RingPacket<'a>, usize)> {
        self.left -= 1;
        let start = self.offset;
        let header_len = size_of::<libc::tpacket3_hdr>();
        if start < before || start.checked_add(header_len).is_none_or(|end| end > self.block) {
            return None;
        }
        let block = self.block_at(self.at);
        // SAFETY: within the block (checked), which is ours until given back.
        let header: libc::tpacket3_hdr =
            unsafe { block.add(start).cast::<libc::tpacket3_hdr>().read_unaligned() };
        let size = header.tp_next_offset as usize;
        self.offset = start.saturating_add(size);
        self.look_ahead(block, size);
        let (mut from, mut len) = (start + usize::from(header.tp_mac), header.tp_snaplen as usize);
        let end = from.saturating_add(len);
        if from < start + header_len + TAG || end > self.block {
            return None;
        }
        let mut wire_len = header.tp_len;
        if header.tp_status & libc::TP_STATUS_VLAN_VALID != 0 && len >= 12 {
            let known = header.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            let tpid = if known { header.hv1.tp_vlan_tpid } else { libc::ETH_P_8021Q as u16 };
            #[expect(clippy::cast_possible_truncation, reason = "a tag's control information has 16 bits")]
            let tci = header.hv1.tp_vlan_tci as u16;
            let [t0, t1] = tpid.to_be_bytes();
            let [c0, c1] = tci.to_be_bytes();
            // SAFETY: the four bytes before the packet are reserved for this (PACKET_RESERVE) and lie behind the header
            // (checked), which lies behind the packet before it (checked); the twelve of the addresses are in the packet
            // (checked).
            unsafe {
                let packet = block.add(from);
                ptr::copy(packet, packet.sub(TAG), 12);
                packet.add(12 - TAG).cast::<[u8; TAG]>().write([t0, t1, c0, c1]);
            }
            from -= TAG;
            len += TAG;
            wire_len += TAG as u32;
        }
        // SAFETY: within the block (checked), apart from all others lent (checked), and not touched by the kernel before the
        // block is given back. That takes `&mut self`, for which `burst` lends it.
        let data = unsafe { std::slice::from_raw_parts(block.add(from), len) };
        Some((RingPacket { data, wire_len, stamp: (header.tp_sec, header.tp_nsec) }, end))
    }

    /// Asks for the header of the next packet, and for those behind it by guess: where each begins stands in the one before.
    /// Most packets are as large as the one before them, or as the last one that was not (segments and acknowledgments).
    #[inline]
    fn look_ahead(&mut self, block: *const u8, size: usize) {
        if size != self.size {
            self.other = std::mem::replace(&mut self.size, size);
        }
        for guess in [0, size, self.other, size.saturating_mul(2), size.saturating_add(self.other)] {
            let ahead = self.offset.saturating_add(guess);
            if self.left > 0 && ahead < self.block {
                fetch_ahead(block.wrapping_add(ahead));
            }
        }
    }

    fn block_at(&self, place: usize) -> *mut u8 {
        // SAFETY: `place` is below `blocks`, so this stays inside the mapping.
        unsafe { self.map.add(place * self.block) }
    }

    fn status(&self, place: usize) -> &AtomicU32 {
        let status = std::mem::offset_of!(libc::tpacket_block_desc, hdr);
        // SAFETY: aligned (blocks are pages), inside the mapping, and only ever accessed as an atomic.
        unsafe { AtomicU32::from_ptr(self.block_at(place).add(status).cast()) }
    }

    fn take_block(&mut self) -> bool {
        if self.status(self.at).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        // SAFETY: handed over by the kernel; the description stands at the block's beginning.
        let described: libc::tpacket_hdr_v1 = unsafe {
            let header = self.block_at(self.at).add(std::mem::offset_of!(libc::tpacket_block_desc, hdr));
            header.cast::<libc::tpacket_hdr_v1>().read()
        };
        self.left = described.num_pkts;
        self.offset = described.offset_to_first_pkt as usize;
        self.held = true;
        true
    }

    fn give_back(&mut self) {
        if std::mem::take(&mut self.held) {
            self.status(self.at).store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.at = (self.at + 1) % self.blocks;
        }
    }
}

/// Another processor has just written the next packet: its header, and the packet's own headers behind that, are on
/// their way here while this packet is looked at.
#[inline]
fn fetch_ahead(header: *const u8) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..3 {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint; no address is wrong for it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(header.wrapping_add(64 * line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = header;
}

impl Drop for PacketRing {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, from which nothing is lent any more.
        unsafe { libc::munmap(self.map.cast(), self.block * self.blocks) };
    }
}

impl AsFd for PacketRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn with_program<T>(
    program: &[Instruction],
    f: impl FnOnce(&libc::sock_fprog) -> io::Result<T>,
) -> io::Result<T> {
    let mut filter: Vec<libc::sock_filter> = program
        .iter()
        .map(|step| libc::sock_filter { code: step.code, jt: step.jt, jf: step.jf, k: step.k })
        .collect();
    let len = u16::try_from(filter.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // The kernel copies the program before the call returns.
    f(&libc::sock_fprog { len, filter: filter.as_mut_ptr() })
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    set_at(socket, libc::SOL_PACKET, option, value)
}

fn set_at<T>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the value is whole and of the length told; the kernel only reads it.
    done(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, ptr::from_ref(value).cast(), len) })
}

/// Types of which every sequence of bytes is a value.
trait Plain: Copy {}
impl Plain for libc::c_int {}
impl Plain for u32 {}
impl Plain for libc::tpacket_stats_v3 {}

fn get<T: Plain>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int) -> io::Result<T> {
    // SAFETY: all zero and whatever the kernel writes are values of the type; it writes at most the length told.
    unsafe {
        let mut value: T = std::mem::zeroed();
        let mut len = size_of::<T>() as libc::socklen_t;
        done(libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut len))?;
        Ok(value)
    }
}
