//! Frames of a network interface, as they pass.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use pcap::{Active, Capture, Device};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::filter::{self, FilterError};
use super::{LATEST, PACKET_MOST, lower};
use crate::base::{PacketNo, Span, Stamp};
use crate::decode::{Frame, LinkType};

/// How long the kernel may hold packets back to give them in one piece, and how long one wait for
/// them lasts. A stop is noticed within this.
const WAIT_MS: i32 = 100;

/// A tick is this much behind the clock. A packet is handed over up to [`WAIT_MS`] after its
/// stamp; with this margin none comes after a later tick.
const BEHIND: Span = Span::from_millis(250);

/// How an interface is opened.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Bytes kept of each packet. The default is the most: network cards join segments into frames
    /// beyond 65 535 bytes, and the kernel's ring takes what a packet has, not this.
    pub snap: u32,
    /// See packets for other stations.
    pub promiscuous: bool,
    /// The kernel's ring in bytes.
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
pub enum Live<'a> {
    /// A frame, lent until the next call.
    Frame(Frame<'a>),
    /// Nothing came for a while, and nothing stamped before this will come. Never goes back.
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

/// Reads one interface.
pub struct LiveReader {
    capture: Capture<Active>,
    name: String,
    link: LinkType,
    number: u64,
    stop: Arc<AtomicBool>,
    /// There may be packets to take without waiting.
    ready: bool,
    /// Stamp of the last tick.
    ticked: Stamp,
    stats: LiveStats,
}

/// An interface could not be opened or read.
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
        let mut opened = activate(name, options, options.promiscuous);
        // Some interfaces ("any", tunnels) know no promiscuous mode, which the crate takes for an error.
        if options.promiscuous && matches!(&opened, Err(error) if !is_permission(&filter::said(error))) {
            opened = activate(name, options, false);
        }
        let mut capture = opened.map_err(|error| cannot_open(name, &error))?;
        let link = filter::link_type(capture.get_datalink()).ok_or_else(|| LiveError::Open {
            name: name.to_owned(),
            why: "its link type has no number in capture files".into(),
        })?;
        if let Some(expression) = &options.filter {
            capture.filter(expression, true).map_err(|error| {
                LiveError::Filter(FilterError { expression: expression.clone(), why: filter::said(&error) })
            })?;
        }
        Ok(Self {
            capture,
            name: name.to_owned(),
            link,
            number: 0,
            stop,
            ready: true,
            ticked: Stamp::default(),
            stats: LiveStats::default(),
        })
    }

    /// Opens an interface as several rings, among which the kernel deals its packets: both directions of a connection
    /// go to the same.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_group(
        name: &str,
        options: &LiveOptions,
        rings: usize,
        stop: &Arc<AtomicBool>,
    ) -> Result<Vec<Self>, LiveError> {
        let rings = rings.min(1);
        (0..rings).map(|_| Self::open(name, options, Arc::clone(stop))).collect()
    }

    /// The interface, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The link type of its frames.
    pub fn link(&self) -> LinkType {
        self.link
    }

    /// The next frame, or a tick when there is none just now. Never waits longer than about 100 ms. Packets are
    /// numbered from 1. An interface that goes down or away is waited for.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Live<'_> {
        if self.stop.load(Ordering::Relaxed) {
            return Live::Stopped;
        }
        if !self.ready {
            self.ready = self.wait();
            if !self.ready {
                return if self.stop.load(Ordering::Relaxed) { Live::Stopped } else { self.tick() };
            }
        }
        match self.capture.next_packet() {
            Ok(packet) => {
                self.number += 1;
                let micros = packet.header.ts.tv_sec.saturating_mul(1_000_000);
                Live::Frame(Frame {
                    no: PacketNo(self.number),
                    stamp: Stamp(micros.saturating_add(packet.header.ts.tv_usec).clamp(0, LATEST.0)),
                    link: self.link,
                    data: packet.data.get(..PACKET_MOST).unwrap_or(packet.data),
                    wire_len: packet.header.len.max(packet.header.caplen),
                })
            }
            Err(pcap::Error::TimeoutExpired) => {
                self.ready = false;
                self.ticked = now().max(self.ticked);
                Live::Tick(self.ticked)
            }
            // Somebody else's request to leave the loop; the flag decides.
            Err(pcap::Error::NoMorePackets) => Live::Stopped,
            Err(error) => {
                self.ready = false;
                Live::Down(lower(&filter::said(&error)))
            }
        }
    }

    /// Packets seen and lost since the interface was opened. Where the kernel does not tell, the
    /// last known counts.
    pub fn stats(&mut self) -> LiveStats {
        if let Ok(stat) = self.capture.stats() {
            // libpcap's counters have 32 bits and start again; ours have 64 and do not.
            let add = |so_far: &mut u64, low: u32| {
                let grown = low.wrapping_sub(*so_far as u32);
                *so_far += u64::from(grown);
            };
            add(&mut self.stats.received, stat.received);
            add(&mut self.stats.kernel_dropped, stat.dropped);
            add(&mut self.stats.interface_dropped, stat.if_dropped);
        }
        self.stats
    }

    /// Whether packets came within the wait. A blocking read would not do: on a silent link it
    /// does not come back in spite of its timeout (libpcap issues 550, 899, 903).
    fn wait(&self) -> bool {
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(WAIT_MS) * 1_000_000 };
        // Errors too: taking the next packet tells which.
        poll(&mut [PollFd::new(&self.capture, PollFlags::IN)], Some(&timeout)).is_ok_and(|count| count > 0)
    }

    fn tick(&mut self) -> Live<'static> {
        self.ticked = now().max(self.ticked);
        Live::Tick(self.ticked)
    }
}

/// The clock, less the margin by which packets may come late.
#[expect(clippy::disallowed_methods, reason = "a silent link has no packet to take the time from")]
fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp(i64::try_from(since.as_micros()).unwrap_or(LATEST.0)) - BEHIND
}

fn activate(name: &str, options: &LiveOptions, promiscuous: bool) -> Result<Capture<Active>, pcap::Error> {
    Capture::from_device(name)?
        .promisc(promiscuous)
        .snaplen(i32::try_from(options.snap).unwrap_or(i32::MAX).clamp(64, PACKET_MOST as i32))
        .timeout(WAIT_MS)
        .immediate_mode(false)
        .buffer_size(i32::try_from(options.ring).unwrap_or(i32::MAX))
        .open()?
        .setnonblock()
}

/// What libpcap lists beside network interfaces.
const NO_NETWORK: [&str; 5] = ["bluetooth", "dbus-", "nflog", "nfqueue", "usbmon"];

fn is_permission(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    said.contains("permission") || said.contains("not permitted")
}

fn cannot_open(name: &str, error: &pcap::Error) -> LiveError {
    let why = filter::said(error);
    let name = name.to_owned();
    if is_permission(&why) {
        return LiveError::Permission { name };
    }
    if why.contains("No such device") {
        let mut others: Vec<_> = Device::list().unwrap_or_default().into_iter().map(|d| d.name).collect();
        others.retain(|other| !NO_NETWORK.iter().any(|start| other.starts_with(start)));
        return LiveError::NoSuchInterface { name, others };
    }
    if why.contains("not up") {
        let why = format!("it is down (bring it up with ip link set {name} up)");
        return LiveError::Open { name, why };
    }
    LiveError::Open { name, why: lower(&why) }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what is tested here is how long things take")]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

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
        let before = now();
        for n in 0..3 {
            from.send_to(&[b'a' + n; 40], ("127.0.0.1", port)).unwrap();
        }
        let began = Instant::now();
        let mut numbers = Vec::new();
        while numbers.len() < 3 && began.elapsed() < Duration::from_secs(5) {
            if let Live::Frame(frame) = reader.next() {
                numbers.push((frame.no.0, frame.data.last().copied()));
                assert!(frame.stamp >= before && frame.wire_len == 14 + 20 + 8 + 40);
            }
        }
        assert_eq!(numbers, [(1, Some(b'a')), (2, Some(b'b')), (3, Some(b'c'))]);
        let stats = reader.stats();
        assert!(stats.received >= 3 && stats.kernel_dropped == 0, "{stats:?}");
    }

    #[test]
    fn a_silent_link_ticks_and_stops_when_told() {
        let Some((mut reader, stop)) = loopback("udp src port 9 and udp dst port 7") else { return };
        let began = Instant::now();
        let mut last = Stamp::default();
        for _ in 0..4 {
            let Live::Tick(stamp) = reader.next() else { panic!("something came") };
            assert!(stamp >= last);
            last = stamp;
        }
        assert!((Duration::from_millis(250)..Duration::from_secs(2)).contains(&began.elapsed()));
        let began = Instant::now();
        let setter = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            stop.store(true, Ordering::Relaxed);
        });
        while !matches!(reader.next(), Live::Stopped) {}
        assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
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

    #[test]
    fn the_refusal_says_what_to_do() {
        let error =
            pcap::Error::PcapError("eth0: You don't have permission to capture on that device".into());
        assert_eq!(
            cannot_open("eth0", &error).to_string(),
            "cannot open eth0: permission denied (give the binary cap_net_raw, or run as root)"
        );
    }
}
