//! Frames of a network interface, as they pass.
//!
//! Ethernet and raw IP come from a ring of our own (`ring.rs`); other links, and "any", through libpcap.

mod ebpf;
mod members;
mod pcap_reader;
mod program;
mod ring;
#[cfg(test)]
pub mod testing;

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use self::ebpf::Map as BypassMap;
use self::members::{MemberRing, Opened};
use self::pcap_reader::PcapReader;
pub use self::program::{ONE_PASSES, mix, reachable};
use super::filter::FilterError;
use super::{LATEST, PACKET_MOST};
use crate::base::{FlowKey, PacketNo, Span, Stamp};
use crate::decode::{Frame, Frames, LinkType};

/// The kernel may hold a packet back for so long, to hand over many at once: each wake finds code and data gone from the
/// caches, which at moderate rates costs more than the packets.
const RETIRE_MS: u32 = 20;
/// The same for each of several rings, whose events wait for the slowest of them.
const RETIRE_BESIDE_MS: u32 = 10;
/// A timer's tick, by which the kernel may be late with that (at 100 ticks a second).
const TIMER_MS: u32 = 10;

/// How long one wait for packets lasts on a silent link. A stop is noticed within this.
const WAIT_MS: u32 = 100;
/// How long one wait for an interface lasts.
const DOWN_MS: u64 = 100;

/// A packet that the kernel has judged by a filter is stamped this much later at most.
const STAMPED: Span = Span::from_millis(10);

/// How an interface is opened.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Bytes kept of each packet. The default is the most: network cards join segments into frames
    /// beyond 65 535 bytes, and the kernel's ring takes what a packet has, not this.
    pub snap: u32,
    /// See packets for other stations.
    pub promiscuous: bool,
    /// The kernel's ring in bytes; each ring of a group has as many.
    pub ring: u32,
    /// BPF expression, applied by the kernel.
    pub filter: Option<String>,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { snap: PACKET_MOST as u32, promiscuous: true, ring: 64 << 20, filter: None }
    }
}

/// What an interface gives.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and none is kept")]
pub enum Live<'a> {
    /// Frames, lent until the next call.
    Frames(Frames<'a>),
    /// Nothing came for a while, and nothing stamped before this will come. Goes back only where the clock is set back.
    Tick(Stamp),
    /// It went down or away, and why. The reader waits for it, ticking meanwhile.
    Down(String),
    /// It is back.
    Up,
    /// The stop flag was set.
    Stopped,
}

/// Packets of an interface since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveStats {
    /// Packets that passed the filter.
    pub received: u64,
    /// Of them, lost because they were not read fast enough.
    pub kernel_dropped: u64,
    /// Lost by the card or its driver, where it tells.
    pub interface_dropped: u64,
}

/// Reads one interface, or one of the rings among which the kernel deals its packets.
pub struct LiveReader {
    source: Backend,
    name: String,
    link: LinkType,
    /// Number of the next packet, and how far the one behind it is.
    number: u64,
    stride: u64,
    stop: Arc<AtomicBool>,
    state: State,
    /// The last wait gave nothing.
    silent: bool,
    filter: Option<String>,
}

enum Backend {
    Ring(MemberRing),
    Pcap(PcapReader),
}

/// What the next call does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Takes packets.
    Reading,
    /// Waits for packets.
    Idle,
    /// Waits for the interface.
    Down,
}

/// What is said while there are no frames.
enum Said {
    Tick(Stamp),
    Down(String),
    Up,
    Stopped,
}

impl From<Said> for Live<'_> {
    fn from(said: Said) -> Self {
        match said {
            Said::Tick(stamp) => Self::Tick(stamp),
            Said::Down(why) => Self::Down(why),
            Said::Up => Self::Up,
            Said::Stopped => Self::Stopped,
        }
    }
}

/// What a wait for packets ended with.
enum Waited {
    Ready,
    Nothing,
    Down(String),
}

/// An interface could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveError {
    /// The user may not capture.
    Permission {
        /// The interface, as given.
        name: String,
    },
    /// There is none of this name.
    NoSuchInterface {
        /// As given.
        name: String,
        /// Those that there are.
        others: Vec<String>,
    },
    /// The filter does not compile for this interface.
    Filter(FilterError),
    /// It cannot be opened for another reason, in libpcap's words.
    Open {
        /// The interface, as given.
        name: String,
        /// The reason.
        why: String,
    },
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission { name } => write!(
                f,
                "cannot open {name}: permission denied (give the binary cap_net_raw, or run as root)"
            ),
            Self::NoSuchInterface { name, others } if others.is_empty() => {
                write!(f, "cannot open {name}: no such interface")
            }
            Self::NoSuchInterface { name, others } => {
                write!(f, "cannot open {name}: no such interface (there are {})", others.join(", "))
            }
            Self::Filter(error) => error.fmt(f),
            Self::Open { name, why } => write!(f, "cannot open {name}: {why}"),
        }
    }
}

impl std::error::Error for LiveError {}

impl LiveReader {
    /// Opens an interface. The reader ends when `stop` is set, by a signal handler say.
    ///
    /// # Errors
    /// There is none of this name, it may not be opened, or the filter does not compile.
    pub fn open(name: &str, options: &LiveOptions, stop: Arc<AtomicBool>) -> Result<Self, LiveError> {
        let mut opened = Self::open_group(name, options, 1, &stop)?;
        opened.pop().ok_or_else(|| LiveError::Open { name: name.to_owned(), why: "it has no ring".into() })
    }

    /// Opens an interface as several rings, among which the kernel deals its packets: both directions of a connection
    /// go to the same, and so do those of a tunnel between two ends. An ICMP error goes to any. Links that need libpcap
    /// ("any", tunnels without Ethernet) have one ring only, however many are asked for.
    ///
    /// The n-th ring numbers its packets n, n + `rings`, n + 2 `rings`, ...: each number occurs once.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_group(
        name: &str,
        options: &LiveOptions,
        rings: usize,
        stop: &Arc<AtomicBool>,
    ) -> Result<Vec<Self>, LiveError> {
        let rings = rings.max(1);
        let (sources, link): (Vec<Backend>, _) = match members::open(name, options, rings)? {
            Opened::Rings(rings, link) => (rings.into_iter().map(Backend::Ring).collect(), link),
            Opened::Pcap(reader, link) => (vec![Backend::Pcap(reader)], link),
        };
        let stride = sources.len() as u64;
        let reader = |(source, number)| Self {
            source,
            name: name.to_owned(),
            link,
            number,
            stride,
            stop: Arc::clone(stop),
            state: State::Reading,
            silent: false,
            filter: options.filter.clone(),
        };
        Ok(sources.into_iter().zip(1..).map(reader).collect())
    }

    /// The interface, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The link type of its frames.
    pub fn link(&self) -> LinkType {
        self.link
    }

    /// The next frames, or a tick when there are none just now. Waits no longer than 100 ms. An interface that goes
    /// down or away is waited for.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    #[inline]
    pub fn next(&mut self) -> Live<'_> {
        if self.stop.load(Ordering::Relaxed) {
            return Live::Stopped;
        }
        if self.state != State::Reading
            && let Some(said) = self.wait()
        {
            return said.into();
        }
        let (link, stride, number) = (self.link, self.stride, &mut self.number);
        let numbers = std::iter::repeat_with(|| {
            let no = PacketNo(*number);
            *number += stride;
            no
        });
        let frames: Frames<'_> = match &mut self.source {
            Backend::Ring(member) => {
                member.burst().zip(numbers).map(|(taken, no)| taken.frame(no, link)).collect()
            }
            Backend::Pcap(reader) => {
                reader.next().into_iter().zip(numbers).map(|(taken, no)| taken.frame(no, link)).collect()
            }
        };
        if !frames.is_empty() {
            return Live::Frames(frames);
        }
        drop(frames);
        self.state = State::Idle;
        Live::Tick(now(stride))
    }

    /// Waits for packets, or for the interface; `None` where there are packets to take.
    #[inline(never)]
    fn wait(&mut self) -> Option<Said> {
        if self.state == State::Down {
            std::thread::sleep(Duration::from_millis(DOWN_MS));
            let back = match &mut self.source {
                Backend::Ring(member) => member.is_back(),
                Backend::Pcap(reader) => Ok(reader.is_back()),
            };
            return Some(match back {
                Ok(true) => {
                    self.state = State::Reading;
                    Said::Up
                }
                Ok(false) => self.tick(),
                Err(why) => Said::Down(why),
            });
        }
        // Where packets came just before, and for a ring beside others, whose events wait for its tick, no longer than until
        // the next block is due.
        let timeout = match self.stride {
            1 if self.silent => WAIT_MS,
            1 => RETIRE_MS + TIMER_MS,
            _ => RETIRE_BESIDE_MS,
        };
        let waited = match &mut self.source {
            Backend::Ring(member) => member.wait(timeout),
            Backend::Pcap(reader) => reader.wait(timeout),
        };
        match waited {
            Waited::Ready => {
                self.state = State::Reading;
                self.silent = false;
            }
            Waited::Nothing => {
                self.silent = true;
                return Some(self.tick());
            }
            Waited::Down(why) => {
                self.state = State::Down;
                return Some(Said::Down(why));
            }
        }
        None
    }

    /// From now on gives what this filter matches. One that does not compile here leaves the old in force; who asks has
    /// compiled it before.
    pub fn refilter(&mut self, filter: Option<&str>) {
        // libpcap empties its ring for it, so it is not done in vain.
        if filter == self.filter.as_deref() {
            return;
        }
        let taken = match &mut self.source {
            Backend::Ring(member) => member.refilter(filter, self.link),
            Backend::Pcap(reader) => reader.refilter(filter),
        };
        if taken {
            self.filter = filter.map(str::to_owned);
        }
    }

    /// Whether [`Self::bypass`] can do anything here.
    pub fn may_bypass(&self) -> bool {
        matches!(self.source, Backend::Ring(_)) && self.link == LinkType::ETHERNET
    }

    /// From now on has the kernel keep back what the map says that [`Self::bypass_map`] gives, where it can, and why not
    /// where it cannot: another filter then stays in force.
    ///
    /// # Errors
    /// The user may not (`CAP_BPF`), or the kernel or the filter is of another kind.
    pub fn bypass_by_map(&mut self) -> Result<(), String> {
        match &mut self.source {
            Backend::Ring(member) => member.bypass_by_map(),
            Backend::Pcap(_) => Err("it is read through libpcap".into()),
        }
    }

    /// The map of what the kernel keeps back, where there is one. It may be gone after another filter was put in force.
    pub fn bypass_map(&self) -> Option<Arc<BypassMap>> {
        match &self.source {
            Backend::Ring(member) => member.map(),
            Backend::Pcap(_) => None,
        }
    }

    /// From now on has the kernel keep back most packets of these connections, and of no others. What begins or ends a
    /// connection always passes, and of the rest one in [`ONE_PASSES`]. No two of them may have the same [`mix`], and each must
    /// have one.
    ///
    /// How many of them are kept back, from the first on, and the stamp behind which a packet has met no earlier list;
    /// `None` where the kernel refuses and the earlier list stays in force.
    pub fn bypass(&mut self, flows: &[FlowKey]) -> Option<(usize, Stamp)> {
        let Backend::Ring(member) = &mut self.source else { return None };
        let count = member.bypass(flows)?;
        Some((count, clock() + STAMPED))
    }

    /// Packets seen and lost since the interface was opened. Where the kernel does not tell, the
    /// last known counts.
    pub fn stats(&mut self) -> LiveStats {
        match &mut self.source {
            Backend::Ring(member) => member.stats(),
            Backend::Pcap(reader) => reader.stats(),
        }
    }

    fn tick(&mut self) -> Said {
        if self.stop.load(Ordering::Relaxed) {
            return Said::Stopped;
        }
        Said::Tick(now(self.stride))
    }
}

/// How long the kernel holds packets back from each of so many rings.
fn retire_ms(rings: u64) -> u32 {
    if rings > 1 { RETIRE_BESIDE_MS } else { RETIRE_MS }
}

/// The clock, less the time for which the kernel may hold a packet back after its stamp. What comes later than that all the
/// same is read, only not in its place.
fn now(rings: u64) -> Stamp {
    clock() - Span::from_millis(i64::from(retire_ms(rings) + TIMER_MS))
}

/// A packet as either source gives it.
struct Taken<'a> {
    data: &'a [u8],
    wire_len: u32,
    stamp: Stamp,
}

impl<'a> Taken<'a> {
    #[inline]
    fn frame(self, no: PacketNo, link: LinkType) -> Frame<'a> {
        let Self { data, wire_len, stamp } = self;
        Frame { no, stamp, link, data: data.get(..PACKET_MOST).unwrap_or(data), wire_len }
    }
}

/// A stamp of the kernel's.
fn stamp(secs: i64, micros: i64) -> Stamp {
    Stamp(secs.saturating_mul(1_000_000).saturating_add(micros).clamp(0, LATEST.0))
}

/// Waits until a descriptor can be read, or has an error.
fn readable(fd: BorrowedFd<'_>, timeout_ms: u32) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(timeout_ms) * 1_000_000 };
    poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout)).is_ok_and(|count| count > 0)
}

/// The clock that packets are stamped by.
#[expect(clippy::disallowed_methods, reason = "a silent link has no packet to take the time from")]
pub fn clock() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp(i64::try_from(since.as_micros()).unwrap_or(LATEST.0))
}

/// The time since the first call, by a clock that nobody sets: for intervals and patience.
#[expect(clippy::disallowed_methods, reason = "what waits for a client or a second has no packet to go by")]
pub fn elapsed() -> Span {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let since = BEGAN.get_or_init(Instant::now).elapsed();
    Span(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what is tested here is how long things take")]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    /// The loopback interface with a filter, where this user may open it.
    fn loopback(filter: &str) -> Option<(LiveReader, Arc<AtomicBool>)> {
        let stop = Arc::new(AtomicBool::new(false));
        let options = LiveOptions { filter: Some(filter.to_owned()), ..LiveOptions::default() };
        match LiveReader::open("lo", &options, Arc::clone(&stop)) {
            Ok(reader) => Some((reader, stop)),
            Err(error @ (LiveError::Permission { .. } | LiveError::NoSuchInterface { .. })) => {
                eprintln!("skipped: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn packets_of_the_loopback_interface_are_numbered_and_stamped() {
        let (to, from) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let port = to.local_addr().unwrap().port();
        let Some((mut reader, _)) = loopback(&format!("udp dst port {port}")) else { return };
        assert_eq!(reader.link(), LinkType::ETHERNET);
        let before = now(1);
        for n in 0..3 {
            from.send_to(&[b'a' + n; 40], ("127.0.0.1", port)).unwrap();
        }
        let began = Instant::now();
        let mut numbers = Vec::new();
        while numbers.len() < 3 && began.elapsed() < Duration::from_secs(5) {
            if let Live::Frames(frames) = reader.next() {
                for frame in &frames {
                    numbers.push((frame.no.0, frame.data.last().copied()));
                    assert!(frame.stamp >= before && frame.wire_len == 14 + 20 + 8 + 40);
                }
            }
        }
        assert_eq!(numbers, [(1, Some(b'a')), (2, Some(b'b')), (3, Some(b'c'))]);
        let stats = reader.stats();
        assert!(stats.received >= 3 && stats.kernel_dropped == 0, "{stats:?}");
    }

    #[test]
    fn a_snap_length_cuts_packets_and_a_new_filter_holds_at_once() {
        let (to, from) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let port = to.local_addr().unwrap().port();
        let options =
            LiveOptions { snap: 64, filter: Some(format!("udp port {port}")), ..LiveOptions::default() };
        let Ok(mut reader) = LiveReader::open("lo", &options, Arc::default()) else { return };
        let next = |reader: &mut LiveReader| {
            from.send_to(&[7; 40_000], ("127.0.0.1", port)).unwrap();
            let frame = |_| match reader.next() {
                Live::Frames(frames) => {
                    frames.first().map(|frame| (frame.no.0, frame.data.len(), frame.wire_len))
                }
                _ => None,
            };
            (0..20).find_map(frame)
        };
        assert_eq!(next(&mut reader), Some((1, 64, 40_042)));
        reader.refilter(Some("udp src port 9 and udp dst port 7"));
        assert_eq!(next(&mut reader), None);
        reader.refilter(None);
        assert!(next(&mut reader).is_some_and(|(_, len, _)| len == 64));
    }

    #[test]
    fn a_silent_link_ticks_and_stops_when_told() {
        let Some((mut reader, stop)) = loopback("udp src port 9 and udp dst port 7") else { return };
        let mut last = Stamp::default();
        for _ in 0..5 {
            let Live::Tick(stamp) = reader.next() else { panic!("something came") };
            assert!(stamp >= last && stamp <= now(1));
            last = stamp;
        }
        let setter = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            stop.store(true, Ordering::Relaxed);
        });
        while !matches!(reader.next(), Live::Stopped) {}
        setter.join().unwrap();
    }

    #[test]
    fn a_missing_interface_names_those_that_there_are() {
        let opened = LiveReader::open("no-such-if", &LiveOptions::default(), Arc::default());
        match opened.err().unwrap() {
            error @ LiveError::NoSuchInterface { .. } => {
                let said = error.to_string();
                assert!(said.starts_with("cannot open no-such-if: no such interface"), "{said}");
            }
            error @ LiveError::Permission { .. } => eprintln!("skipped: {error}"),
            error => panic!("{error:?}"),
        }
    }

    #[test]
    fn a_bad_filter_is_told_as_for_files() {
        let options = LiveOptions { filter: Some("tcp prot 443".into()), ..LiveOptions::default() };
        match LiveReader::open("lo", &options, Arc::default()).err().unwrap() {
            LiveError::Filter(error) => {
                assert!(error.to_string().starts_with("cannot compile the filter 'tcp prot 443': "));
            }
            error => eprintln!("skipped: {error}"),
        }
    }
}
