//! Runs a program and tells what it cost: the kernel's own account of that one child, by wait4(2).
#![allow(unsafe_code, reason = "no safe crate gives one child's usage")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads clocks")]

use std::io;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// What a child cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub wall: Duration,
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// The most it had resident. Not below what this process has: a child begins as its copy.
    pub peak_kb: u64,
    /// Whether it ended well.
    pub well: bool,
}

/// Runs to the end.
pub fn run(command: &mut Command) -> io::Result<Cost> {
    let begin = Instant::now();
    wait(&command.spawn()?, begin)
}

/// Waits for the end of a child that began at `begin`.
pub fn wait(child: &Child, begin: Instant) -> io::Result<Cost> {
    let id = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: rusage holds plain numbers, for which all zeroes are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the types that wait4 writes; nobody else waits for this child,
    // since it is borrowed and `Child` only does when asked.
    let waited = unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) };
    if waited != id {
        return Err(io::Error::last_os_error());
    }
    let time = |of: libc::timeval| Duration::new(of.tv_sec as u64, of.tv_usec as u32 * 1_000);
    Ok(Cost {
        wall: begin.elapsed(),
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak_kb: usage.ru_maxrss as u64,
        well: libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
    })
}
