//! seccomp: the system calls that the program and its crates use once they have started.
//!
//! Any other call returns `EPERM` and does nothing. It is not answered with death: a library of tomorrow may try a
//! call that is not in the list and do well without it, and a sensor that is killed sees nothing at all, while who
//! breaks in gains as little from the one as from the other.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter_all_threads,
};

/// Allowed with any arguments. Which files `openat` reaches is Landlock's.
const FREE: &[c_long] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads and their waiting.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    // Signals of its own.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Time and chance.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
    // Files.
    libc::SYS_close,
    libc::SYS_copy_file_range,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
    // Descriptors and waiting for them.
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    // Connections that come in, and sockets that are open already.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    // Who and where one is.
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getrusage,
    libc::SYS_getuid,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// The older forms that only some machines have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
    libc::SYS_getdents,
    libc::SYS_lstat,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(target_arch = "aarch64")]
const OLDER: &[c_long] = &[libc::SYS_renameat];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OLDER: &[c_long] = &[];

/// The requests that terminals, descriptors and interfaces take.
#[allow(clippy::unnecessary_cast, reason = "C libraries differ in the type of these numbers")]
const REQUESTS: &[u64] = &[
    libc::TCGETS as u64,
    libc::TIOCGWINSZ as u64,
    libc::FIONBIO as u64,
    libc::FIONREAD as u64,
    libc::FIOCLEX as u64,
    libc::SIOCGIFADDR as u64,
    libc::SIOCGIFFLAGS as u64,
    libc::SIOCGIFHWADDR as u64,
    libc::SIOCGIFINDEX as u64,
    libc::SIOCGIFMTU as u64,
    libc::SIOCGIFNAME as u64,
    libc::SIOCETHTOOL as u64,
];

/// Holds where every argument compares so: its place, how, and with what.
fn rule(arguments: &[(u8, SeccompCmpArgLen, SeccompCmpOp, u64)]) -> Result<SeccompRule, String> {
    let conditions = arguments
        .iter()
        .map(|(index, length, compare, value)| {
            SeccompCondition::new(*index, length.clone(), compare.clone(), *value)
        })
        .collect::<Result<Vec<_>, _>>();
    conditions.and_then(SeccompRule::new).map_err(|error| error.to_string())
}

/// What is allowed: a call without rules always, one with rules where one of them holds.
fn allowed(reopen: bool) -> Result<BTreeMap<c_long, Vec<SeccompRule>>, String> {
    use SeccompCmpArgLen::{Dword, Qword};
    use SeccompCmpOp::{Eq, MaskedEq};
    let equal = |index, values: &[u64]| {
        values.iter().map(|&value| rule(&[(index, Dword, Eq, value)])).collect::<Result<Vec<_>, _>>()
    };
    let no_code = || rule(&[(2, Dword, MaskedEq(libc::PROT_EXEC as u64), 0)]);
    let thread = libc::CLONE_THREAD as u64;
    let own = u64::from(std::process::id());
    let mut all: BTreeMap<_, _> = FREE.iter().chain(OLDER).map(|&call| (call, Vec::new())).collect();
    // A thread, never a process. The arguments of clone3 cannot be seen: see `no_clone3`.
    all.insert(libc::SYS_clone, vec![rule(&[(0, Dword, MaskedEq(thread), thread)])?]);
    all.insert(libc::SYS_clone3, Vec::new());
    // No new code.
    all.insert(libc::SYS_mmap, vec![no_code()?]);
    all.insert(libc::SYS_mprotect, vec![no_code()?]);
    all.insert(libc::SYS_prctl, equal(0, &[libc::PR_SET_NAME as u64, libc::PR_GET_NAME as u64])?);
    // Limits are read, not set.
    all.insert(libc::SYS_prlimit64, vec![rule(&[(2, Qword, Eq, 0)])?]);
    // abort() signals its own thread.
    all.insert(libc::SYS_tgkill, equal(0, &[own])?);
    all.insert(libc::SYS_ioctl, equal(1, REQUESTS)?);
    if reopen {
        // A packet socket; those that ask the kernel for an interface's number and state. None can be connected.
        let mut families = equal(0, &[libc::AF_PACKET as u64, libc::AF_UNIX as u64])?;
        let route = libc::NETLINK_ROUTE as u64;
        families.push(rule(&[(0, Dword, Eq, libc::AF_NETLINK as u64), (2, Dword, Eq, route)])?);
        all.insert(libc::SYS_socket, families);
        all.insert(libc::SYS_bind, Vec::new());
    }
    Ok(all)
}

fn compile(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    then: SeccompAction,
) -> Result<BpfProgram, String> {
    let target = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    SeccompFilter::new(rules, otherwise, then, target)
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())
}

/// The C library tries clone3 first and takes clone, whose flags can be seen, only where the kernel has no clone3.
fn no_clone3() -> Result<BpfProgram, String> {
    let rules = [(libc::SYS_clone3, Vec::new())].into();
    compile(rules, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))
}

/// Filters the calls of all threads from here on. How many are allowed.
pub(super) fn enforce(reopen: bool) -> Result<usize, String> {
    let enforce = || {
        let rules = allowed(reopen)?;
        let count = rules.len();
        let filters =
            [no_clone3()?, compile(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?];
        // The first filter must not forbid to add the second.
        for filter in &filters {
            apply_filter_all_threads(filter).map_err(|error| error.to_string())?;
        }
        Ok(count)
    };
    enforce().map_err(|why: String| format!("system calls ({why})"))
}
