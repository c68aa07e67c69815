//! Captures with a packet lost, doubled, late or cut, or with damaged bytes: the program ends well and proves nothing wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::path::PathBuf;

use support::{Label, Ran, Scratch, captures, lab_roots, label, root, run};

/// Every so many captures are perturbed.
const EVERY: usize = 5;

/// These always are: with a packet lost, late or swapped they once gave a wrong proof.
const ALWAYS: [&str; 5] = [
    "captures/odd/reordered.pcap",
    "captures/firewall/mtu-black-hole-down-inside.pcap",
    "captures/expired_cert/curl-haproxy-tls13.pcap",
    "captures/revocation/crl-curl-tls12.pcap",
    "captures/storage_permission/snakeoil-haproxy-python-tls12.pcap",
];

/// A classic pcap, little-endian: its head, and its packets with their headers of 16 bytes.
struct Pcap {
    head: Vec<u8>,
    packets: Vec<Vec<u8>>,
}

impl Pcap {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..24).filter(|head| head[..4] == 0xa1b2_c3d4_u32.to_le_bytes())?.to_vec();
        let (mut packets, mut rest) = (Vec::new(), &bytes[24..]);
        while !rest.is_empty() {
            let len = u32::from_le_bytes(rest.get(8..12)?.try_into().ok()?) as usize;
            packets.push(rest.get(..16 + len)?.to_vec());
            rest = &rest[16 + len..];
        }
        Some(Self { head, packets })
    }

    fn with<'a>(&self, packets: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
        let mut bytes = self.head.clone();
        packets.into_iter().for_each(|packet| bytes.extend_from_slice(packet));
        bytes
    }

    fn without(&self, n: usize) -> Vec<u8> {
        self.with(self.packets.iter().enumerate().filter(|(i, _)| *i != n).map(|(_, packet)| packet))
    }

    fn twice(&self, n: usize) -> Vec<u8> {
        let times = |i| if i == n { 2 } else { 1 };
        self.with(
            self.packets.iter().enumerate().flat_map(|(i, packet)| std::iter::repeat_n(packet, times(i))),
        )
    }

    /// The packet and its successor change places, their stamps stay.
    fn swapped(&self, n: usize) -> Vec<u8> {
        let mut packets = self.packets.clone();
        packets.swap(n, n + 1);
        let (before, after) = packets.split_at_mut(n + 1);
        before[n][..8].swap_with_slice(&mut after[0][..8]);
        self.with(&packets)
    }

    fn snapped(&self, most: usize) -> Vec<u8> {
        let packets: Vec<_> = self
            .packets
            .iter()
            .map(|packet| {
                let mut packet = packet[..packet.len().min(16 + most)].to_vec();
                let len = u32::try_from(packet.len() - 16).unwrap();
                packet[8..12].copy_from_slice(&len.to_le_bytes());
                packet
            })
            .collect();
        self.with(&packets)
    }

    /// Some bytes of the packets, not of their headers, take other values.
    fn damaged(&self, seed: u64) -> Vec<u8> {
        let mut packets = self.packets.clone();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for _ in 0..4 {
            let n = next(packets.len());
            let packet = &mut packets[n];
            if packet.len() > 16 {
                let at = 16 + next(packet.len() - 16);
                packet[at] = u8::try_from(next(256)).unwrap();
            }
        }
        self.with(&packets)
    }
}

/// Captures judged by the laboratories' roots that this file can take apart, with their labels.
fn samples() -> Vec<(PathBuf, Pcap, Label)> {
    let samples: Vec<_> = captures()
        .into_iter()
        .enumerate()
        .filter(|(n, path)| n % EVERY == 0 || ALWAYS.iter().any(|name| path == std::path::Path::new(name)))
        .filter_map(|(_, path)| {
            let pcap = Pcap::parse(&std::fs::read(root().join(&path)).unwrap())?;
            let label = label(&path);
            label.lab.then_some((path, pcap, label))
        })
        .collect();
    assert!(samples.len() >= 20);
    samples
}

fn read(scratch: &Scratch) -> Ran {
    let mut args = vec!["read".to_owned(), "--json".to_owned(), "--workers".to_owned(), "2".to_owned()];
    args.extend(lab_roots());
    args.push(scratch.path("").to_str().unwrap().to_owned());
    let ran = run(&args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran
}

/// Perturbs each sample in every way of one kind and lists the proofs that its label does not bear out.
fn wrong_proofs(kind: &str, variants: impl Fn(&Pcap) -> Vec<Vec<u8>>) -> Vec<String> {
    let scratch = Scratch::new(kind);
    let samples = samples();
    let mut written = 0;
    for (n, (_, pcap, _)) in samples.iter().enumerate() {
        for (m, bytes) in variants(pcap).into_iter().enumerate() {
            scratch.write(&format!("{n}-{m}.pcap"), &bytes);
            written += 1;
        }
    }
    assert!(written >= samples.len());
    let mut wrong = Vec::new();
    for event in read(&scratch).handshakes().iter().filter(|event| event["certainty"] == "proven") {
        let name =
            std::path::Path::new(event["capture"].as_str().unwrap()).file_stem().unwrap().to_str().unwrap();
        let (n, m) = name.split_once('-').unwrap();
        let (path, _, label) = &samples[n.parse::<usize>().unwrap()];
        let cause = event["cause"].as_str().unwrap();
        let told = |attempt: &support::Attempt| {
            attempt.cause.as_deref() == Some(cause) || attempt.also.iter().any(|also| also == cause)
        };
        if !label.attempts.iter().any(told) {
            wrong.push(format!(
                "{}, {kind} {m} (from 0): proven {cause}/{}",
                path.display(),
                event["reason"]
            ));
        }
    }
    wrong
}

#[test]
fn a_lost_packet_proves_nothing_wrong() {
    let wrong = wrong_proofs("lost", |pcap| (0..pcap.packets.len()).map(|n| pcap.without(n)).collect());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_doubled_packet_proves_nothing_wrong() {
    let wrong = wrong_proofs("doubled", |pcap| (0..pcap.packets.len()).map(|n| pcap.twice(n)).collect());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn neighbours_that_change_places_prove_nothing_wrong() {
    let wrong =
        wrong_proofs("swapped", |pcap| (1..pcap.packets.len()).map(|n| pcap.swapped(n - 1)).collect());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn short_snap_lengths_prove_nothing_wrong() {
    let wrong =
        wrong_proofs("snapped", |pcap| [54, 68, 96, 128, 256, 600].map(|most| pcap.snapped(most)).into());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_capture_that_begins_late_or_ends_early_proves_nothing_wrong() {
    let late =
        wrong_proofs("late", |pcap| (1..pcap.packets.len()).map(|n| pcap.with(&pcap.packets[n..])).collect());
    let early = wrong_proofs("early", |pcap| {
        (1..pcap.packets.len()).map(|n| pcap.with(&pcap.packets[..n])).collect()
    });
    assert!(late.is_empty() && early.is_empty(), "{}\n{}", late.join("\n"), early.join("\n"));
}

#[test]
fn damaged_bytes_do_not_stop_the_program() {
    let scratch = Scratch::new("damaged");
    for (n, (_, pcap, _)) in samples().iter().enumerate() {
        for seed in 0..40 {
            scratch.write(&format!("{n}-{seed}.pcap"), &pcap.damaged(seed + 1000 * n as u64));
        }
    }
    assert!(read(&scratch).events().len() > 40);
}
