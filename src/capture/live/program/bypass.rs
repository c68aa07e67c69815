//! Connections whose packets the kernel keeps to itself.

use std::cmp::Ordering;

use super::super::ring::Instruction;
use super::{Assembler, ETHER_TYPE, FRAGMENT, Label, TAGS, TCP, V6_HEADER, op};
use crate::base::{Addr, Endpoint, FlowKey, PackedKey};
use crate::decode::TcpFlags;

/// Of the packets kept back, one in so many passes all the same: by it the connection stays known. A power of two.
pub const ONE_PASSES: u32 = 64;

/// Where the network header begins behind Ethernet without a tag, and with one. Of a tag that the kernel took out, the
/// program sees nothing.
const UNTAGGED: u32 = 14;
const TAGGED: u32 = 18;

const V4_HEADER: u32 = 20;
/// The flags in a TCP header.
const FLAGS: u32 = 13;
/// What begins or ends a connection always passes.
const TURNS: u32 = (TcpFlags::FIN | TcpFlags::SYN | TcpFlags::RST) as u32;

/// A random number of the kernel's (`SKF_AD_RANDOM`, linux/filter.h).
const RANDOM: u32 = ETHER_TYPE + 56;

/// Memory cells of a connection: the words of its lower and of its higher address, then the ports in the same order.
const LOW: u32 = 0;
const HIGH: u32 = 4;
const PORTS: u32 = 8;
/// The last word of each tells the lower from the higher; IPv4 has no other.
const LOW_LAST: u32 = LOW + 3;
const HIGH_LAST: u32 = HIGH + 3;

/// A connection as the program compares it.
#[derive(Clone, Copy)]
struct Cells {
    words: [u32; 9],
    /// The exclusive or of what differs most, the same for both directions.
    mix: u32,
}

impl Cells {
    /// `None` where the addresses end alike: the program could not tell which is the lower one.
    fn of(flow: FlowKey) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, ports] = PackedKey::from(flow).words();
        let words = match d.cmp(&h) {
            Ordering::Less => [a, b, c, d, e, f, g, h, ports],
            Ordering::Greater => [e, f, g, h, a, b, c, d, ports.rotate_left(16)],
            Ordering::Equal => return None,
        };
        Some(Self { words, mix: d ^ h ^ ports })
    }

    fn word(&self, cell: u32) -> u32 {
        self.words.get(cell as usize).copied().unwrap_or_default()
    }
}

/// The connection of a frame that such a program could keep back: TCP in IPv4 without options or in IPv6 without extension
/// headers, no fragment, in Ethernet with one tag at most. `None` for all others.
pub fn reachable(frame: &[u8]) -> Option<FlowKey> {
    let (kind, packet) = match frame.get(12..)? {
        [0x81, 0x00, _, _, k0, k1, packet @ ..] | [0x88, 0xa8, _, _, k0, k1, packet @ ..] => {
            ([*k0, *k1], packet)
        }
        [k0, k1, packet @ ..] => ([*k0, *k1], packet),
        _ => return None,
    };
    let port = |tcp: &[u8], at: usize| Some(u16::from_be_bytes(*tcp.get(at..)?.first_chunk()?));
    let (src, dst, tcp) = match (kind, packet) {
        ([0x08, 0x00], [0x45, _, _, _, _, _, f0, f1, _, 6, _, _, rest @ ..])
            if u32::from(u16::from_be_bytes([*f0, *f1])) & FRAGMENT == 0 =>
        {
            let (src, rest) = rest.split_first_chunk()?;
            let (dst, tcp) = rest.split_first_chunk()?;
            (Addr::v4(*src), Addr::v4(*dst), tcp)
        }
        ([0x86, 0xdd], [0x60..=0x6f, _, _, _, _, _, 6, _, rest @ ..]) => {
            let (src, rest) = rest.split_first_chunk()?;
            let (dst, tcp) = rest.split_first_chunk()?;
            (Addr::v6(*src), Addr::v6(*dst), tcp)
        }
        _ => return None,
    };
    let end = |addr, port| Endpoint { addr, port };
    Some(FlowKey::of(end(src, port(tcp, 0)?), end(dst, port(tcp, 2)?)).0)
}

/// What tells a connection from others in such a program, which tells no two apart that have the same; `None` where it cannot
/// know the connection.
pub fn mix(flow: &FlowKey) -> Option<u32> {
    Cells::of(*flow).map(|cells| cells.mix)
}

/// To be put in front of a filter: keeps back all packets of these connections but one in [`ONE_PASSES`] and those with SYN,
/// FIN or RST. Every other packet goes on to the filter: those of other connections, for addresses and ports are compared in full, and
/// those that are not as [`reachable`] says, and those of connections that [`mix`] does not tell apart.
pub fn bypass(flows: &[FlowKey]) -> Vec<Instruction> {
    let cells = |v4: bool| {
        let flows = flows.iter().filter(|flow| flow.low.addr.is_v4() == v4);
        let mut cells: Vec<Cells> = flows.filter_map(|flow| Cells::of(*flow)).collect();
        cells.sort_unstable_by_key(|cells| cells.mix);
        // Two of one mix would have to be tried one behind the other, and an attacker could make many.
        cells.dedup_by_key(|cells| cells.mix);
        cells
    };
    let (four, six) = (cells(true), cells(false));
    if four.is_empty() && six.is_empty() {
        return Vec::new();
    }
    let mut asm = Assembler::default();
    asm.ether_type(UNTAGGED, Some(Label::Tagged));
    asm.here(Label::Tagged);
    asm.ether_type(TAGGED, None);
    // The mix and these words give the last one.
    asm.here(Label::V4);
    asm.mix();
    asm.search(&four, &[LOW_LAST, PORTS]);
    asm.here(Label::V6);
    asm.mix();
    asm.search(&six, &[LOW, LOW + 1, LOW + 2, LOW_LAST, HIGH, HIGH + 1, HIGH + 2, PORTS]);
    asm.here(Label::Kept);
    asm.step(op::LOAD_WORD, RANDOM);
    asm.step(op::AND, ONE_PASSES - 1);
    asm.when(op::JUMP_EQUAL, 0, Label::Passed, Label::Next);
    asm.step(op::RETURN, 0);
    asm.here(Label::Passed);
    asm.finish()
}

impl Assembler {
    /// Goes on at V4 or V6 with the cells filled, at `tag` with a tag, or passes the packet.
    fn ether_type(&mut self, network: u32, tag: Option<Label>) {
        let [v4, v6, out] = [self.fresh(), self.fresh(), self.fresh()];
        self.step(op::LOAD_LEN, 0);
        self.when(op::JUMP_FROM, network, Label::Next, out);
        self.step(op::LOAD_HALF, network - 2);
        self.when(op::JUMP_EQUAL, 0x0800, v4, Label::Next);
        self.when(op::JUMP_EQUAL, 0x86dd, v6, Label::Next);
        if let Some(label) = tag {
            TAGS.iter().for_each(|tag| self.when(op::JUMP_EQUAL, *tag, label, Label::Next));
        }
        self.here(out);
        self.jump(Label::Passed);
        self.here(v4);
        self.cells_of_v4(network);
        self.here(v6);
        self.cells_of_v6(network);
    }

    fn cells_of_v4(&mut self, network: u32) {
        let [up, out] = [self.fresh(), self.fresh()];
        let tcp = network + V4_HEADER;
        // A load beyond the packet's end would drop it.
        self.step(op::LOAD_LEN, 0);
        self.when(op::JUMP_FROM, tcp + FLAGS + 1, Label::Next, out);
        self.step(op::LOAD_BYTE, network);
        self.when(op::JUMP_EQUAL, 0x45, Label::Next, out);
        self.step(op::LOAD_BYTE, network + 9);
        self.when(op::JUMP_EQUAL, TCP, Label::Next, out);
        self.step(op::LOAD_HALF, network + 6);
        self.when(op::JUMP_BITS, FRAGMENT, out, Label::Next);
        self.step(op::LOAD_BYTE, tcp + FLAGS);
        self.when(op::JUMP_BITS, TURNS, out, Label::Next);
        self.lower_first(network + 12, network + 16, up);
        self.ends(&[network + 16], &[network + 12]);
        self.ports_turned(tcp);
        self.jump(Label::V4);
        self.here(up);
        self.ends(&[network + 12], &[network + 16]);
        self.ports(tcp);
        self.jump(Label::V4);
        self.here(out);
        self.jump(Label::Passed);
    }

    fn cells_of_v6(&mut self, network: u32) {
        let [up, out] = [self.fresh(), self.fresh()];
        let tcp = network + V6_HEADER;
        self.step(op::LOAD_LEN, 0);
        self.when(op::JUMP_FROM, tcp + FLAGS + 1, Label::Next, out);
        self.step(op::LOAD_BYTE, network);
        self.step(op::AND, 0xf0);
        self.when(op::JUMP_EQUAL, 0x60, Label::Next, out);
        self.step(op::LOAD_BYTE, network + 6);
        self.when(op::JUMP_EQUAL, TCP, Label::Next, out);
        self.step(op::LOAD_BYTE, tcp + FLAGS);
        self.when(op::JUMP_BITS, TURNS, out, Label::Next);
        let [src, dst] = [8, 24].map(|at| [0, 4, 8, 12].map(|word| network + at + word));
        self.lower_first(src[3], dst[3], up);
        self.ends(&dst, &src);
        self.ports_turned(tcp);
        self.jump(Label::V6);
        self.here(up);
        self.ends(&src, &dst);
        self.ports(tcp);
        self.jump(Label::V6);
        self.here(out);
        self.jump(Label::Passed);
    }

    /// Jumps where the word of the sender's address is the lower one.
    fn lower_first(&mut self, src: u32, dst: u32, up: Label) {
        self.step(op::LOAD_WORD, src);
        self.step(op::X_FROM_A, 0);
        self.step(op::LOAD_WORD, dst);
        self.when(op::JUMP_ABOVE_X, 0, up, Label::Next);
    }

    /// Fills the cells of both addresses, from the words at these places; the last ones are the last cells'.
    fn ends(&mut self, low: &[u32], high: &[u32]) {
        for (words, last) in [(low, LOW_LAST), (high, HIGH_LAST)] {
            for (word, cell) in words.iter().rev().zip((0..=last).rev()) {
                self.step(op::LOAD_WORD, *word);
                self.step(op::STORE, cell);
            }
        }
    }

    fn ports(&mut self, tcp: u32) {
        self.step(op::LOAD_WORD, tcp);
        self.step(op::STORE, PORTS);
    }

    fn ports_turned(&mut self, tcp: u32) {
        self.step(op::LOAD_HALF, tcp + 2);
        self.step(op::SHIFT_LEFT, 16);
        self.step(op::X_FROM_A, 0);
        self.step(op::LOAD_HALF, tcp);
        self.step(op::OR_X, 0);
        self.step(op::STORE, PORTS);
    }

    /// A: the mix of the cells.
    fn mix(&mut self) {
        self.step(op::A_FROM_MEMORY, PORTS);
        for cell in [LOW_LAST, HIGH_LAST] {
            self.step(op::X_FROM_MEMORY, cell);
            self.step(op::XOR_X, 0);
        }
    }

    /// Finds the connection of the mix in A by halves, and compares these words of it.
    fn search(&mut self, flows: &[Cells], words: &[u32]) {
        match flows {
            [] => self.jump(Label::Passed),
            [one] => {
                let other = self.fresh();
                self.when(op::JUMP_EQUAL, one.mix, Label::Next, other);
                for &cell in words {
                    self.step(op::A_FROM_MEMORY, cell);
                    self.when(op::JUMP_EQUAL, one.word(cell), Label::Next, other);
                }
                self.jump(Label::Kept);
                self.here(other);
                self.jump(Label::Passed);
            }
            _ => {
                let [left, right] = [self.fresh(), self.fresh()];
                let (lower, upper) = flows.split_at(flows.len() / 2);
                self.when(op::JUMP_FROM, upper.first().map_or(0, |first| first.mix), Label::Next, left);
                // The way there may be longer than a comparison can jump.
                self.jump(right);
                self.here(left);
                self.search(lower, words);
                self.here(right);
                self.search(upper, words);
            }
        }
    }
}

#[cfg(test)]
mod tests;
