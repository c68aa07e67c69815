//! Programs of eBPF, step by step (Linux Documentation/bpf/standardization/instruction-set.rst).

use std::collections::BTreeMap;

/// An instruction, as the kernel reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Step {
    code: u8,
    /// Destination in the low half, source in the high one.
    registers: u8,
    offset: i16,
    operand: i32,
}

/// A register. Calls and [`Code::packet`] spoil 1 to 5; 10 is the end of 512 bytes of stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reg(pub u8);

/// What is returned, and what a packet's bytes are read into.
pub const R0: Reg = Reg(0);
/// First argument of a call.
pub const R1: Reg = Reg(1);
/// Second argument.
pub const R2: Reg = Reg(2);
/// Third argument.
pub const R3: Reg = Reg(3);
/// Fourth argument.
pub const R4: Reg = Reg(4);
/// Stays what it is over a call; [`Code::packet`] takes the packet from here.
pub const R6: Reg = Reg(6);
/// Stays what it is over a call.
pub const R7: Reg = Reg(7);
/// Stays what it is over a call.
pub const R8: Reg = Reg(8);
/// Stays what it is over a call.
pub const R9: Reg = Reg(9);
/// The end of the stack.
pub const STACK: Reg = Reg(10);

/// How much is loaded or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Size {
    /// Four bytes.
    Word = 0x00,
    /// Two.
    Half = 0x08,
    /// One.
    Byte = 0x10,
    /// Eight.
    Long = 0x18,
}

/// What is done with two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Alu {
    /// Sum.
    Add = 0x00,
    /// Difference.
    Subtract = 0x10,
    /// Product.
    Multiply = 0x20,
    /// Quotient.
    Divide = 0x30,
    /// Bits of either.
    Or = 0x40,
    /// Bits of both.
    And = 0x50,
    /// Shifted to the left.
    Left = 0x60,
    /// Shifted to the right.
    Right = 0x70,
    /// The number negated.
    Negate = 0x80,
    /// Remainder.
    Modulo = 0x90,
    /// Bits of one of them.
    Xor = 0xa0,
    /// The second one.
    Move = 0xb0,
}

/// How two numbers are compared, without signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Test {
    /// They are the same.
    Equal = 0x10,
    /// The first is greater.
    Above = 0x20,
    /// The first is not smaller.
    From = 0x30,
    /// They have a bit in common.
    Bits = 0x40,
    /// They are not the same.
    Differs = 0x50,
}

/// The second of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// What a register holds.
    Of(Reg),
    /// This one; its sign goes on where 64 bits are asked for.
    Just(i32),
}

impl With {
    /// The source bit, the register's half and the operand.
    fn parts(self) -> (u8, u8, i32) {
        match self {
            Self::Of(Reg(source)) => (0x08, source << 4, 0),
            Self::Just(operand) => (0, 0, operand),
        }
    }
}

/// How many bits are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// The lower half of both; the rest of the result is zero.
    Of32,
    /// All.
    Of64,
}

/// A function of the kernel's (`linux/bpf.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Call {
    /// The number of the processor.
    Processor = 8,
    /// Bytes of the packet (1) from an offset (2) on are copied to the stack (3), as many (4). 0 where it has them.
    Bytes = 26,
}

/// A place in a program, to jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(u32);

/// A program under construction: jumps are to labels that come later.
#[derive(Debug, Default)]
pub struct Code {
    steps: Vec<Step>,
    /// The places of jumps, and where they go.
    jumps: Vec<(usize, Label)>,
    labels: BTreeMap<Label, usize>,
    fresh: u32,
}

impl Code {
    /// A label that nobody else has.
    pub fn label(&mut self) -> Label {
        self.fresh += 1;
        Label(self.fresh)
    }

    /// The label is here.
    pub fn here(&mut self, label: Label) {
        self.labels.insert(label, self.steps.len());
    }

    /// A register becomes what an operation on it and `with` gives.
    pub fn alu(&mut self, width: Width, alu: Alu, Reg(to): Reg, with: With) {
        let class = match width {
            Width::Of32 => 0x04,
            Width::Of64 => 0x07,
        };
        let (source, from, operand) = with.parts();
        self.push(class | alu as u8 | source, from | to, 0, operand);
    }

    /// The same of all 64 bits.
    pub fn long(&mut self, alu: Alu, to: Reg, with: With) {
        self.alu(Width::Of64, alu, to, with);
    }

    /// A register becomes another, or a number.
    pub fn set(&mut self, to: Reg, with: With) {
        self.alu(Width::Of64, Alu::Move, to, with);
    }

    /// A register becomes a number of 64 bits.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    pub fn number(&mut self, Reg(to): Reg, number: u64) {
        self.push(0x18, to, 0, (number as u32).cast_signed());
        self.push(0, 0, 0, ((number >> 32) as u32).cast_signed());
    }

    /// A register becomes the address of what a map of one entry holds.
    pub fn value_of(&mut self, Reg(to): Reg, map: i32) {
        // BPF_PSEUDO_MAP_VALUE
        self.push(0x18, 2 << 4 | to, 0, map);
        self.push(0, 0, 0, 0);
    }

    /// A register becomes what lies at an address and an offset.
    pub fn load(&mut self, size: Size, Reg(to): Reg, Reg(address): Reg, offset: i16) {
        self.push(0x61 | size as u8, address << 4 | to, offset, 0);
    }

    /// What a register holds is put at an address and an offset.
    pub fn store(&mut self, size: Size, Reg(address): Reg, offset: i16, Reg(from): Reg) {
        self.push(0x63 | size as u8, from << 4 | address, offset, 0);
    }

    /// What a register holds is added at an address and an offset, by one processor at a time.
    pub fn add_at(&mut self, Reg(address): Reg, offset: i16, Reg(from): Reg) {
        self.push(0xdb, from << 4 | address, offset, 0);
    }

    /// Register 0 becomes a number in the packet, from this offset on, and `behind` where there is one. A packet that is
    /// shorter is dropped.
    pub fn packet(&mut self, size: Size, offset: i32, behind: Option<Reg>) {
        match behind {
            None => self.push(0x20 | size as u8, 0, 0, offset),
            Some(Reg(behind)) => self.push(0x40 | size as u8, behind << 4, 0, offset),
        }
    }

    /// Calls the kernel.
    pub fn call(&mut self, call: Call) {
        self.push(0x85, 0, 0, call as i32);
    }

    /// Goes on at a label.
    pub fn jump(&mut self, to: Label) {
        self.jumps.push((self.steps.len(), to));
        self.push(0x05, 0, 0, 0);
    }

    /// Goes on at a label where a register compares like that.
    pub fn when(&mut self, width: Width, Reg(what): Reg, test: Test, with: With, to: Label) {
        let class = match width {
            Width::Of32 => 0x06,
            Width::Of64 => 0x05,
        };
        let (source, from, operand) = with.parts();
        self.jumps.push((self.steps.len(), to));
        self.push(class | test as u8 | source, from | what, 0, operand);
    }

    /// Returns what register 0 holds.
    pub fn end(&mut self) {
        self.push(0x95, 0, 0, 0);
    }

    /// The program; `None` where a jump goes too far, or nowhere.
    pub fn finish(mut self) -> Option<Vec<Step>> {
        for (at, label) in &self.jumps {
            let to = self.labels.get(label)?.checked_sub(at + 1)?;
            self.steps.get_mut(*at)?.offset = i16::try_from(to).ok()?;
        }
        Some(self.steps)
    }

    fn push(&mut self, code: u8, registers: u8, offset: i16, operand: i32) {
        self.steps.push(Step { code, registers, offset, operand });
    }
}
