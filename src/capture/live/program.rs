//! Programs of classic BPF that the kernel runs for us: which ring a packet goes to, and which packets pass.

mod bypass;

use std::collections::BTreeMap;

use pcap::BpfProgram;

pub use bypass::{ONE_PASSES, bypass, mix, reachable};

use super::ring::Instruction;

/// Operations that are used here (linux/bpf_common.h).
pub(super) mod op {
    pub const A_IS: u16 = 0x00;
    pub const A_FROM_MEMORY: u16 = 0x60;
    pub const LOAD_WORD: u16 = 0x20;
    pub const LOAD_HALF: u16 = 0x28;
    pub const LOAD_BYTE: u16 = 0x30;
    pub const LOAD_LEN: u16 = 0x80;
    pub const LOAD_LEN_TO_X: u16 = 0x81;
    pub const V4_HEADER_TO_X: u16 = 0xb1;
    pub const LOAD_WORD_AT_X: u16 = 0x40;
    pub const LOAD_HALF_AT_X: u16 = 0x48;
    pub const LOAD_BYTE_AT_X: u16 = 0x50;
    pub const X_IS: u16 = 0x01;
    pub const X_FROM_MEMORY: u16 = 0x61;
    pub const STORE: u16 = 0x02;
    pub const STORE_X: u16 = 0x03;
    pub const X_FROM_A: u16 = 0x07;
    pub const A_FROM_X: u16 = 0x87;
    pub const NEGATE: u16 = 0x84;
    pub const DIVIDE_BY_X: u16 = 0x3c;
    pub const MODULO_X: u16 = 0x9c;
    pub const ADD_X: u16 = 0x0c;
    pub const MULTIPLY: u16 = 0x24;
    pub const AND: u16 = 0x54;
    pub const SHIFT_LEFT: u16 = 0x64;
    pub const SHIFT_RIGHT: u16 = 0x74;
    pub const XOR_X: u16 = 0xac;
    pub const OR_X: u16 = 0x4c;
    pub const JUMP: u16 = 0x05;
    pub const JUMP_EQUAL: u16 = 0x15;
    pub const JUMP_ABOVE_X: u16 = 0x2d;
    pub const JUMP_FROM: u16 = 0x35;
    pub const JUMP_BITS: u16 = 0x45;
    pub const RETURN: u16 = 0x06;
    pub const RETURN_A: u16 = 0x16;
}

/// Added to an offset: from the network header on, wherever the packet itself begins (linux/filter.h).
const NETWORK: u32 = (-0x10_0000_i32).cast_unsigned();
/// The place of the packet's EtherType, behind a VLAN tag that the kernel took out.
const ETHER_TYPE: u32 = (-0x1000_i32).cast_unsigned();

pub(super) const TCP: u32 = 6;
/// More fragments, or an offset.
pub(super) const FRAGMENT: u32 = 0x3fff;
/// EtherTypes of VLAN tags.
pub(super) const TAGS: [u32; 2] = [0x8100, 0x88a8];
const V6_HEADER: u32 = 40;

/// Memory cells.
const IP: u32 = 0;
const HASH: u32 = 1;

/// Places in a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Next,
    Tagged,
    Ppp,
    Ip,
    V4,
    V6,
    Ports,
    Mixed,
    Other,
    Kept,
    Passed,
    /// One of those that [`Assembler::fresh`] gives.
    Fresh(u32),
}

/// A program under construction: jumps are to labels that come later.
#[derive(Default)]
struct Assembler {
    steps: Vec<(Instruction, Label, Label)>,
    labels: BTreeMap<Label, usize>,
    fresh: u32,
}

impl Assembler {
    fn step(&mut self, code: u16, k: u32) {
        self.steps.push((Instruction { code, jt: 0, jf: 0, k }, Label::Next, Label::Next));
    }

    /// Compares A: jumps to `yes` or `no`.
    fn when(&mut self, code: u16, k: u32, yes: Label, no: Label) {
        self.steps.push((Instruction { code, jt: 0, jf: 0, k }, yes, no));
    }

    fn jump(&mut self, to: Label) {
        self.steps.push((Instruction { code: op::JUMP, jt: 0, jf: 0, k: 0 }, to, Label::Next));
    }

    fn here(&mut self, label: Label) {
        self.labels.insert(label, self.steps.len());
    }

    /// A label that nobody else has.
    fn fresh(&mut self) -> Label {
        self.fresh += 1;
        Label::Fresh(self.fresh)
    }

    fn finish(self) -> Vec<Instruction> {
        let to = |label: Label, from: usize| {
            let at = self.labels.get(&label).map_or(from + 1, |at| *at);
            at.saturating_sub(from + 1)
        };
        let place = |(from, &(step, yes, no)): (usize, &(Instruction, Label, Label))| {
            if step.code == op::JUMP {
                return Instruction { k: u32::try_from(to(yes, from)).unwrap_or(0), ..step };
            }
            let short = |label| u8::try_from(to(label, from)).unwrap_or(0);
            Instruction { jt: short(yes), jf: short(no), ..step }
        };
        self.steps.iter().enumerate().map(place).collect()
    }

    /// Finds the first IP header, behind a second VLAN tag or PPPoE too: X and a cell hold its offset from the network
    /// header. Goes on at V4, V6 or Other.
    fn find_ip(&mut self) {
        let equal = op::JUMP_EQUAL;
        self.step(op::X_IS, 0);
        self.step(op::LOAD_HALF, ETHER_TYPE);
        self.when(equal, 0x0800, Label::Ip, Label::Next);
        self.when(equal, 0x86dd, Label::Ip, Label::Next);
        for tag in [0x8100, 0x88a8, 0x9100] {
            self.when(equal, tag, Label::Tagged, Label::Next);
        }
        self.when(equal, 0x8864, Label::Ppp, Label::Other);
        self.here(Label::Tagged);
        self.step(op::X_IS, 4);
        self.step(op::LOAD_HALF, NETWORK.wrapping_add(2));
        self.when(equal, 0x0800, Label::Ip, Label::Next);
        self.when(equal, 0x86dd, Label::Ip, Label::Other);
        self.here(Label::Ppp);
        self.step(op::X_IS, 8);
        self.step(op::LOAD_HALF, NETWORK.wrapping_add(6));
        self.when(equal, 0x0021, Label::Ip, Label::Next);
        self.when(equal, 0x0057, Label::Ip, Label::Other);
        self.here(Label::Ip);
        self.step(op::STORE_X, IP);
        self.step(op::LOAD_BYTE_AT_X, NETWORK);
        self.step(op::SHIFT_RIGHT, 4);
        self.when(equal, 4, Label::V4, Label::Next);
        self.when(equal, 6, Label::V6, Label::Other);
    }

    /// X: the offset of what follows the IPv4 header.
    fn behind_v4(&mut self) {
        self.step(op::X_FROM_MEMORY, IP);
        self.step(op::LOAD_BYTE_AT_X, NETWORK);
        self.step(op::AND, 0xf);
        self.step(op::SHIFT_LEFT, 2);
        self.step(op::ADD_X, 0);
        self.step(op::X_FROM_A, 0);
    }

    /// X: the offset of what follows the IPv6 header.
    fn behind_v6(&mut self) {
        self.step(op::X_FROM_MEMORY, IP);
        self.step(op::A_IS, V6_HEADER);
        self.step(op::ADD_X, 0);
        self.step(op::X_FROM_A, 0);
    }

    /// The exclusive or of these words of the IP header goes to a cell.
    fn hash_words(&mut self, words: &[u32]) {
        for (n, word) in words.iter().enumerate() {
            self.step(op::X_FROM_MEMORY, IP);
            self.step(op::LOAD_WORD_AT_X, NETWORK.wrapping_add(*word));
            if n > 0 {
                self.step(op::X_FROM_MEMORY, HASH);
                self.step(op::XOR_X, 0);
            }
            self.step(op::STORE, HASH);
        }
    }
}

/// Every packet, cut to `snap` bytes.
pub fn everything(snap: u32) -> Vec<Instruction> {
    vec![Instruction { code: op::RETURN, jt: 0, jf: 0, k: snap }]
}

/// A compiled filter expression; what it matches is cut to `snap` bytes.
pub fn compiled(program: &BpfProgram, snap: u32) -> Option<Vec<Instruction>> {
    // The crate shows an instruction's fields only as text: code, both jumps, operand.
    program
        .get_instructions()
        .iter()
        .map(|step| {
            let text = step.to_string();
            let mut fields = text.split(' ');
            let mut step = Instruction {
                code: fields.next()?.parse().ok()?,
                jt: fields.next()?.parse().ok()?,
                jf: fields.next()?.parse().ok()?,
                k: fields.next()?.parse().ok()?,
            };
            if step.code == op::RETURN && step.k > 0 {
                step.k = snap;
            }
            Some(step)
        })
        .collect()
}

/// The ring of a packet, the same for both directions: a TCP connection by addresses and ports, everything else by
/// addresses, so that tunnels (whose ports differ by direction) and fragments stay together. What has no IP header within
/// reach goes to the first ring.
///
/// The kernel's own hash does not do: it takes the ports of a tunnel's outer datagrams.
pub fn dealer() -> Vec<Instruction> {
    let mut asm = Assembler::default();
    asm.find_ip();

    asm.here(Label::V4);
    asm.hash_words(&[12, 16]);
    asm.step(op::X_FROM_MEMORY, IP);
    asm.step(op::LOAD_HALF_AT_X, NETWORK.wrapping_add(6));
    asm.when(op::JUMP_BITS, FRAGMENT, Label::Mixed, Label::Next);
    asm.step(op::LOAD_BYTE_AT_X, NETWORK.wrapping_add(9));
    asm.when(op::JUMP_EQUAL, TCP, Label::Next, Label::Mixed);
    asm.behind_v4();
    asm.jump(Label::Ports);

    asm.here(Label::V6);
    // Words 1 and 3 of each address: the subnet, and the host.
    asm.hash_words(&[12, 20, 28, 36]);
    asm.step(op::X_FROM_MEMORY, IP);
    asm.step(op::LOAD_BYTE_AT_X, NETWORK.wrapping_add(6));
    asm.when(op::JUMP_EQUAL, TCP, Label::Next, Label::Mixed);
    asm.behind_v6();

    asm.here(Label::Ports);
    asm.step(op::LOAD_HALF_AT_X, NETWORK);
    asm.step(op::STORE, IP);
    asm.step(op::LOAD_HALF_AT_X, NETWORK.wrapping_add(2));
    asm.step(op::X_FROM_MEMORY, IP);
    asm.step(op::XOR_X, 0);
    asm.step(op::X_FROM_MEMORY, HASH);
    asm.step(op::XOR_X, 0);
    asm.step(op::STORE, HASH);

    asm.here(Label::Mixed);
    asm.step(op::A_FROM_MEMORY, HASH);
    asm.step(op::MULTIPLY, 0x9e37_79b1);
    asm.step(op::SHIFT_RIGHT, 16);
    asm.step(op::RETURN_A, 0);

    asm.here(Label::Other);
    asm.step(op::RETURN, 0);
    asm.finish()
}

#[cfg(test)]
mod tests;
