//! A filter of classic BPF in front of a program of eBPF: a socket takes one of either.

use super::super::program::op;
use super::super::ring::Instruction;
use super::code::{Alu, Code, Label, R0, R6, R7, R8, STACK, Size, Test, Width, With};

/// Where its sixteen memory cells lie on the stack.
const CELLS: i16 = -256;
/// A packet's length in what the kernel shows of it (`__sk_buff`).
pub(super) const LEN: i16 = 0;

/// Adds a filter that goes on at `matched` with what it matches and drops all else; register 6 is the packet. How many bytes
/// of a match it wants; `None` where it does something that is not known here, or wants more of some matches than of others.
///
/// The accumulator is register 0, the index 7, as in the kernel's own translation (`net/core/filter.c`).
pub(super) fn add(code: &mut Code, filter: &[Instruction], matched: Label) -> Option<u32> {
    let mut snap = None;
    let places: Vec<Label> = filter.iter().map(|_| code.label()).collect();
    for register in [R0, R7] {
        code.set(register, With::Just(0));
    }
    for (at, (step, here)) in filter.iter().zip(&places).enumerate() {
        code.here(*here);
        let place = |distance: u32| places.get(at + 1 + usize::try_from(distance).ok()?).copied();
        let (k, by_x) = (step.k.cast_signed(), step.code & 0x08 != 0);
        let operand = if by_x { With::Of(R7) } else { With::Just(k) };
        match step.code {
            // From the packet, by an offset, alone or behind the index. What lies below zero is the kernel's own lore.
            op::LOAD_WORD | op::LOAD_HALF | op::LOAD_BYTE if k >= 0 => code.packet(size(step.code), k, None),
            op::LOAD_WORD_AT_X | op::LOAD_HALF_AT_X | op::LOAD_BYTE_AT_X if k >= 0 => {
                code.packet(size(step.code), k, Some(R7))
            }
            // The length of an IPv4 header that begins here.
            op::V4_HEADER_TO_X if k >= 0 => {
                code.set(R8, With::Of(R0));
                code.packet(Size::Byte, k, None);
                code.alu(Width::Of32, Alu::And, R0, With::Just(0xf));
                code.alu(Width::Of32, Alu::Left, R0, With::Just(2));
                code.set(R7, With::Of(R0));
                code.set(R0, With::Of(R8));
            }
            op::LOAD_LEN => code.load(Size::Word, R0, R6, LEN),
            op::LOAD_LEN_TO_X => code.load(Size::Word, R7, R6, LEN),
            op::A_IS => code.alu(Width::Of32, Alu::Move, R0, With::Just(k)),
            op::X_IS => code.alu(Width::Of32, Alu::Move, R7, With::Just(k)),
            op::A_FROM_MEMORY => code.load(Size::Word, R0, STACK, cell(k)?),
            op::X_FROM_MEMORY => code.load(Size::Word, R7, STACK, cell(k)?),
            op::STORE => code.store(Size::Word, STACK, cell(k)?, R0),
            op::STORE_X => code.store(Size::Word, STACK, cell(k)?, R7),
            op::X_FROM_A => code.alu(Width::Of32, Alu::Move, R7, With::Of(R0)),
            op::A_FROM_X => code.alu(Width::Of32, Alu::Move, R0, With::Of(R7)),
            op::NEGATE => code.alu(Width::Of32, Alu::Negate, R0, With::Just(0)),
            op::JUMP => code.jump(place(step.k)?),
            // Nothing is divided by nothing: such a packet is dropped.
            op::DIVIDE_BY_X | op::MODULO_X => {
                let some = code.label();
                code.when(Width::Of32, R7, Test::Differs, With::Just(0), some);
                code.set(R0, With::Just(0));
                code.end();
                code.here(some);
                code.alu(Width::Of32, alu(step.code)?, R0, operand);
            }
            // Classes of operations, whose kinds have the same numbers in both.
            other if other & 0x07 == 0x04 => code.alu(Width::Of32, alu(other)?, R0, operand),
            other if other & 0x07 == 0x05 => {
                let test = match other & 0xf0 {
                    0x10 => Test::Equal,
                    0x20 => Test::Above,
                    0x30 => Test::From,
                    0x40 => Test::Bits,
                    _ => return None,
                };
                code.when(Width::Of32, R0, test, operand, place(step.jt.into())?);
                code.jump(place(step.jf.into())?);
            }
            op::RETURN if step.k == 0 => {
                code.set(R0, With::Just(0));
                code.end();
            }
            op::RETURN if *snap.get_or_insert(step.k) == step.k => code.jump(matched),
            _ => return None,
        }
    }
    snap
}

fn size(code: u16) -> Size {
    match code & 0x18 {
        0x08 => Size::Half,
        0x10 => Size::Byte,
        _ => Size::Word,
    }
}

fn alu(code: u16) -> Option<Alu> {
    Some(match code & 0xf0 {
        0x00 => Alu::Add,
        0x10 => Alu::Subtract,
        0x20 => Alu::Multiply,
        0x30 => Alu::Divide,
        0x40 => Alu::Or,
        0x50 => Alu::And,
        0x60 => Alu::Left,
        0x70 => Alu::Right,
        0x90 => Alu::Modulo,
        0xa0 => Alu::Xor,
        _ => return None,
    })
}

fn cell(number: i32) -> Option<i16> {
    let number = i16::try_from(number).ok().filter(|number| (0..16).contains(number))?;
    Some(CELLS + 4 * number)
}
