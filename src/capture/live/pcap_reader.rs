//! An interface through libpcap: for the links whose headers it makes up itself.

use std::os::fd::AsFd as _;

use pcap::{Active, Capture, Device};

use super::program;
use super::ring::Instruction;
use super::{LiveError, LiveOptions, LiveStats, RETIRE_MS, Taken, Waited, readable, stamp};
use crate::capture::filter::{self, FilterError};
use crate::capture::{PACKET_MOST, lower};
use crate::decode::LinkType;

/// An open capture of libpcap's.
pub struct PcapReader {
    capture: Capture<Active>,
    name: String,
    options: LiveOptions,
    /// Why no more packets came.
    failed: Option<String>,
    stats: LiveStats,
    /// libpcap's counters, as last read: they have 32 bits and start again.
    read: [u32; 3],
}

impl PcapReader {
    /// Opens an interface.
    ///
    /// # Errors
    /// There is none of this name, it may not be opened, or the filter does not compile.
    pub fn open(name: &str, options: &LiveOptions) -> Result<Self, LiveError> {
        let mut opened = activate(name, options, options.promiscuous);
        // Some interfaces ("any", tunnels) know no promiscuous mode, which the crate takes for an error.
        if options.promiscuous && matches!(&opened, Err(error) if !is_permission(&filter::said(error))) {
            opened = activate(name, options, false);
        }
        let mut capture = opened.map_err(|error| cannot_open(name, &error))?;
        if let Some(expression) = &options.filter {
            capture.filter(expression, true).map_err(|error| {
                LiveError::Filter(FilterError { expression: expression.clone(), why: filter::said(&error) })
            })?;
        }
        Ok(Self {
            capture,
            name: name.to_owned(),
            options: options.clone(),
            failed: None,
            stats: LiveStats::default(),
            read: [0; 3],
        })
    }

    /// The link type of its frames.
    ///
    /// # Errors
    /// It has no number in files.
    pub fn link(&self) -> Result<LinkType, LiveError> {
        filter::link_type(self.capture.get_datalink()).ok_or_else(|| LiveError::Open {
            name: self.name.clone(),
            why: "its link type has no number in capture files".into(),
        })
    }

    /// The filter as libpcap compiles it for this interface, VLAN tags included, which the kernel keeps beside a packet.
    pub fn program(&self) -> Result<Option<Vec<Instruction>>, LiveError> {
        let Some(expression) = &self.options.filter else { return Ok(None) };
        let failed = |why| LiveError::Filter(FilterError { expression: expression.clone(), why });
        let compiled =
            self.capture.compile(expression, true).map_err(|error| failed(filter::said(&error)))?;
        let snap = self.options.snap.clamp(64, PACKET_MOST as u32);
        program::compiled(&compiled, snap)
            .map(Some)
            .ok_or_else(|| failed("its program cannot be read".into()))
    }

    /// The next packet that lies ready.
    pub fn next(&mut self) -> Option<Taken<'_>> {
        match self.capture.next_packet() {
            Ok(packet) => Some(Taken {
                data: packet.data,
                wire_len: packet.header.len.max(packet.header.caplen),
                stamp: stamp(packet.header.ts.tv_sec, packet.header.ts.tv_usec),
            }),
            Err(pcap::Error::TimeoutExpired) => None,
            Err(error) => {
                self.failed = Some(lower(&filter::said(&error)));
                None
            }
        }
    }

    /// Waits for packets. A blocking read would not do: on a silent link it does not come back in spite of its timeout
    /// (libpcap issues 550, 899, 903).
    pub fn wait(&mut self, timeout_ms: u32) -> Waited {
        match self.failed.take() {
            Some(why) => Waited::Down(why),
            // Errors are ready too: taking the next packet tells which.
            None if readable(self.capture.as_fd(), timeout_ms) => Waited::Ready,
            None => Waited::Nothing,
        }
    }

    /// Opens it again, where it can be.
    pub fn is_back(&mut self) -> bool {
        match Self::open(&self.name, &self.options) {
            Ok(again) => {
                self.stats();
                let stats = self.stats;
                *self = Self { stats, ..again };
                true
            }
            Err(_) => false,
        }
    }

    /// Gives what this filter matches; false where it does not compile here.
    pub fn refilter(&mut self, filter: Option<&str>) -> bool {
        let taken = self.capture.filter(filter.unwrap_or(""), true).is_ok();
        if taken {
            self.options.filter = filter.map(str::to_owned);
        }
        taken
    }

    /// Packets seen and lost.
    pub fn stats(&mut self) -> LiveStats {
        if let Ok(stat) = self.capture.stats() {
            let read = [stat.received, stat.dropped, stat.if_dropped];
            let [received, dropped, missed] =
                [0, 1, 2].map(|n: usize| match (read.get(n), self.read.get(n)) {
                    (Some(now), Some(before)) => u64::from(now.wrapping_sub(*before)),
                    _ => 0,
                });
            self.stats.received += received;
            self.stats.kernel_dropped += dropped;
            self.stats.interface_dropped += missed;
            self.read = read;
        }
        self.stats
    }
}

fn activate(name: &str, options: &LiveOptions, promiscuous: bool) -> Result<Capture<Active>, pcap::Error> {
    Capture::from_device(name)?
        .promisc(promiscuous)
        .snaplen(i32::try_from(options.snap).unwrap_or(i32::MAX).clamp(64, PACKET_MOST as i32))
        .timeout(RETIRE_MS as i32)
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
mod tests {
    use super::*;

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
