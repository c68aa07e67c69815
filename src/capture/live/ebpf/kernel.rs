//! Memory that the kernel's programs share with this process, and programs handed to the kernel (bpf(2)).
//!
//! It takes `unsafe`: the system call has no safe wrapper in any crate kept here, and another party writes to the memory.
//! What keeps it sound: a request is whole, and what it points to lives longer than the call; the memory is reached by
//! atomics alone, within the length that was mapped, and stays mapped for as long as its owner lives.
#![allow(unsafe_code, reason = "see above")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr;
use std::sync::atomic::AtomicU64;

use super::code::Step;

const MAP_CREATE: libc::c_long = 0;
const PROG_LOAD: libc::c_long = 5;
const ARRAY: u32 = 2;
const MMAPABLE: u32 = 1 << 10;
const SOCKET_FILTER: u32 = 1;

/// What both are named, for `bpftool`.
const NAME: [u8; 16] = *b"tlswhy\0\0\0\0\0\0\0\0\0\0";
/// Of functions that only programs under the GPL may call, none is called.
const LICENCE: &[u8] = b"MIT\0";

/// The beginning of `bpf_attr` that makes a map.
#[repr(C)]
struct MapCreate {
    kind: u32,
    key: u32,
    value: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    node: u32,
    name: [u8; 16],
}

/// The beginning of `bpf_attr` that loads a program.
#[repr(C)]
struct ProgLoad {
    kind: u32,
    count: u32,
    steps: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// Words that the kernel's programs and this process read and write.
#[derive(Debug)]
pub struct Words {
    map: OwnedFd,
    start: *mut libc::c_void,
    count: usize,
}

// SAFETY: the mapping belongs to this value alone, is not tied to a thread, and is reached by atomics only.
unsafe impl Send for Words {}
// SAFETY: as before.
unsafe impl Sync for Words {}

impl Words {
    /// So many, all zero; at most 2¹⁹.
    ///
    /// # Errors
    /// The user may not (`CAP_BPF`), the kernel is older than 5.5, or there is no memory.
    pub fn new(count: usize) -> io::Result<Self> {
        let bytes = count.saturating_mul(size_of::<AtomicU64>());
        let value = u32::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let map = request(
            MAP_CREATE,
            &MapCreate {
                kind: ARRAY,
                key: 4,
                value,
                entries: 1,
                flags: MMAPABLE,
                inner: 0,
                node: 0,
                name: NAME,
            },
        )?;
        // SAFETY: a new mapping of the map just made, of its size.
        let start = unsafe {
            let may = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(ptr::null_mut(), bytes, may, libc::MAP_SHARED, map.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { map, start, count })
    }

    /// The words.
    pub fn all(&self) -> &[AtomicU64] {
        // SAFETY: as many zeroed or since written words, aligned as a page is, mapped for as long as `self` lives. Nobody
        // reaches them but by atomics; the kernel's programs write aligned words.
        unsafe { std::slice::from_raw_parts(self.start.cast::<AtomicU64>(), self.count) }
    }

    /// By which a program names them, while they live.
    pub fn number(&self) -> i32 {
        self.map.as_raw_fd()
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, from which nothing is lent any more.
        unsafe { libc::munmap(self.start, self.count * size_of::<AtomicU64>()) };
    }
}

/// A filter of packets that the kernel has checked.
#[derive(Debug)]
pub struct Program(OwnedFd);

impl Program {
    /// Hands it over. What it names stays with it.
    ///
    /// # Errors
    /// The user may not (`CAP_BPF`), or the kernel refuses the program.
    pub fn load(steps: &[Step]) -> io::Result<Self> {
        let count = u32::try_from(steps.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        request(
            PROG_LOAD,
            &ProgLoad {
                kind: SOCKET_FILTER,
                count,
                steps: steps.as_ptr().addr() as u64,
                licence: LICENCE.as_ptr().addr() as u64,
                log_level: 0,
                log_size: 0,
                log: 0,
                kernel_version: 0,
                flags: 0,
                name: NAME,
            },
        )
        .map(Self)
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Asks for what is answered with a descriptor.
fn request<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    let fd = call(command, attributes)?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: just opened, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn call<T>(command: libc::c_long, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are a whole beginning of `bpf_attr` of the length told, of which the kernel takes the rest for
    // zero; it only reads them, and what they point to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_ref(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
pub mod testing {
    //! Programs run on one frame, as the kernel runs them.

    use std::cell::UnsafeCell;

    use super::*;

    const PROG_TEST_RUN: libc::c_long = 10;

    /// The beginning of `bpf_attr` that runs a program.
    #[repr(C)]
    struct TestRun {
        program: u32,
        said: UnsafeCell<u32>,
        data_len: u32,
        out_len: u32,
        data: u64,
        out: u64,
        repeat: u32,
        duration: UnsafeCell<u32>,
    }

    impl Words {
        /// Words that no program knows.
        pub fn apart(count: usize) -> Self {
            let bytes = count * size_of::<AtomicU64>();
            let (may, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
            // SAFETY: a new mapping of nothing else.
            let start = unsafe { libc::mmap(ptr::null_mut(), bytes, may, kind, -1, 0) };
            assert_ne!(start, libc::MAP_FAILED);
            Self { map: std::fs::File::open("/dev/null").unwrap().into(), start, count }
        }
    }

    impl Program {
        /// What it returns of a frame.
        pub fn run(&self, frame: &[u8]) -> io::Result<u32> {
            // The kernel takes an Ethernet header off that a packet socket's filter sees.
            let data = [&[0; 14][..], frame].concat();
            let run = TestRun {
                program: self.0.as_raw_fd().cast_unsigned(),
                said: UnsafeCell::new(0),
                data_len: u32::try_from(data.len()).map_err(io::Error::other)?,
                out_len: 0,
                data: data.as_ptr().addr() as u64,
                out: 0,
                repeat: 1,
                duration: UnsafeCell::new(0),
            };
            call(PROG_TEST_RUN, &run)?;
            Ok(run.said.into_inner())
        }
    }
}
