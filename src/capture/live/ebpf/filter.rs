//! The filter: behind the user's own, it keeps back the quiet segments of the connections in the map.

use super::super::program::{FRAGMENT, TAGS, TCP};
use super::super::ring::Instruction;
use super::code::{
    Alu, Call, Code, Label, R0, R1, R2, R3, R4, R6, R7, R8, R9, Reg, STACK, Size, Step, Test, Width, With,
};
use super::translate::{self, LEN};
use super::{EPOCH, MIX, SLOTS, STRIPES};
use crate::decode::TcpFlags;

/// Where the frame's headers are copied to: so that IPv4 addresses begin at a multiple of four and IPv6 addresses at one of
/// eight, as the kernel wants them read. Offsets of an untagged frame.
const FRAME: i16 = -86;
const ETHER_TYPE: i16 = FRAME + 12;
const NETWORK: i16 = FRAME + 14;
const TAG: i32 = 4;
const V4: u32 = 0x0800;
const V6: u32 = 0x86dd;
/// Up to the end of a TCP header without options, behind IPv4 and IPv6.
const V4_END: i32 = 54;
const V6_END: i32 = 74;
/// The flags.
const FLAGS: i16 = -8;
/// The beginning of the payload, and how much of it tells what it is.
const PAYLOAD: i16 = -96;
const TOLD: i32 = 6;

/// The program; `None` where the user's filter cannot be translated. `slots` and `told` are the numbers of the maps.
pub(super) fn filter(user: &[Instruction], slots: i32, told: i32, secret: u64) -> Option<Vec<Step>> {
    let mut code = Code::default();
    let [matched, pass] = [code.label(), code.label()];
    code.set(R6, With::Of(R1));
    let snap = translate::add(&mut code, user, matched)?;
    code.here(matched);
    let labels = Labels { pass, telling: code.label(), quiet: code.label() };
    headers(&mut code, secret, pass);
    mixed(&mut code, R8, R0);
    payload(&mut code, &labels);
    code.here(labels.quiet);
    keep_back(&mut code, slots, told, pass);
    code.here(labels.telling);
    mark(&mut code, slots, told);
    code.here(pass);
    code.number(R0, snap.into());
    code.end();
    code.finish()
}

/// Where the parts go on.
struct Labels {
    /// The packet is given to the program.
    pass: Label,
    /// A segment that may begin something.
    telling: Label,
    /// A segment that begins nothing.
    quiet: Label,
}

/// Reads the headers. Register 8 becomes the sum of what both ends give, and 7 the offset of the payload; the byte of the
/// flags stands on the stack.
fn headers(code: &mut Code, secret: u64, pass: Label) {
    let [v4, v6, read] = [code.label(), code.label(), code.label()];
    // Register 7: the bytes of a tag in front. Of a tag that the kernel took out, the program sees nothing.
    code.set(R7, With::Just(0));
    copy(code, V4_END, pass);
    code.load(Size::Half, R0, STACK, ETHER_TYPE);
    let [tagged, known] = [code.label(), code.label()];
    TAGS.iter().for_each(|tag| code.when(Width::Of32, R0, Test::Equal, network(*tag), tagged));
    code.jump(known);
    code.here(tagged);
    code.set(R7, With::Just(TAG));
    copy(code, V4_END, pass);
    code.load(Size::Half, R0, STACK, ETHER_TYPE);
    code.here(known);
    code.number(R9, MIX);
    code.when(Width::Of32, R0, Test::Equal, network(V4), v4);
    code.when(Width::Of32, R0, Test::Equal, network(V6), v6);
    code.jump(pass);

    code.here(v4);
    code.load(Size::Byte, R0, STACK, NETWORK);
    code.when(Width::Of32, R0, Test::Differs, With::Just(0x45), pass);
    code.load(Size::Byte, R0, STACK, NETWORK + 9);
    code.when(Width::Of32, R0, Test::Differs, With::Just(TCP.cast_signed()), pass);
    code.load(Size::Half, R0, STACK, NETWORK + 6);
    code.when(Width::Of32, R0, Test::Bits, network(FRAGMENT), pass);
    code.number(R4, secret);
    let ends = [(NETWORK + 12, NETWORK + 20), (NETWORK + 16, NETWORK + 22)];
    for ((address, port), end) in ends.into_iter().zip([R1, R2]) {
        code.load(Size::Word, end, STACK, address);
        code.load(Size::Half, R0, STACK, port);
        code.long(Alu::Left, R0, With::Just(32));
        code.long(Alu::Or, end, With::Of(R0));
        code.long(Alu::Xor, end, With::Of(R4));
        mixed(code, end, R0);
    }
    code.load(Size::Byte, R3, STACK, NETWORK + 20 + 12);
    code.load(Size::Byte, R4, STACK, NETWORK + 20 + 13);
    code.long(Alu::Add, R7, With::Just(V4_END - 20));
    code.jump(read);

    code.here(v6);
    copy(code, V6_END, pass);
    code.load(Size::Byte, R0, STACK, NETWORK);
    code.alu(Width::Of32, Alu::And, R0, With::Just(0xf0));
    code.when(Width::Of32, R0, Test::Differs, With::Just(0x60), pass);
    code.load(Size::Byte, R0, STACK, NETWORK + 6);
    code.when(Width::Of32, R0, Test::Differs, With::Just(TCP.cast_signed()), pass);
    code.number(R4, secret);
    let ends = [(NETWORK + 8, NETWORK + 40), (NETWORK + 24, NETWORK + 42)];
    for ((address, port), end) in ends.into_iter().zip([R1, R2]) {
        code.load(Size::Long, end, STACK, address);
        code.long(Alu::Xor, end, With::Of(R4));
        mixed(code, end, R0);
        code.load(Size::Long, R3, STACK, address + 8);
        code.long(Alu::Xor, end, With::Of(R3));
        mixed(code, end, R0);
        code.load(Size::Half, R3, STACK, port);
        code.long(Alu::Xor, end, With::Of(R3));
        mixed(code, end, R0);
    }
    code.load(Size::Byte, R3, STACK, NETWORK + 40 + 12);
    code.load(Size::Byte, R4, STACK, NETWORK + 40 + 13);
    code.long(Alu::Add, R7, With::Just(V6_END - 20));

    code.here(read);
    // Both directions of a connection give the same sum.
    code.set(R8, With::Of(R1));
    code.long(Alu::Add, R8, With::Of(R2));
    code.alu(Width::Of32, Alu::Right, R3, With::Just(4));
    code.alu(Width::Of32, Alu::Left, R3, With::Just(2));
    code.long(Alu::Add, R7, With::Of(R3));
    code.store(Size::Long, STACK, FLAGS, R4);
}

/// Copies the headers of the frame, less a tag of so many bytes as register 7 says.
fn copy(code: &mut Code, end: i32, short: Label) {
    code.set(R1, With::Of(R6));
    code.set(R2, With::Of(R7));
    code.set(R3, With::Of(STACK));
    code.long(Alu::Add, R3, With::Just(FRAME.into()));
    code.set(R4, With::Just(end));
    code.call(Call::Bytes);
    code.when(Width::Of64, R0, Test::Differs, With::Just(0), short);
}

/// A number of two bytes as it lies in a packet.
#[expect(clippy::cast_possible_truncation, reason = "of two bytes")]
fn network(number: u32) -> With {
    With::Just((number as u16).to_be().into())
}

/// As [`super::mixed`]; register 9 is the factor.
fn mixed(code: &mut Code, what: Reg, scratch: Reg) {
    for _ in 0..2 {
        code.long(Alu::Multiply, what, With::Of(R9));
        code.set(scratch, With::Of(what));
        code.long(Alu::Right, scratch, With::Just(32));
        code.long(Alu::Xor, what, With::Of(scratch));
    }
}

/// Tells segments that begin something from those that begin nothing: see [`super`].
fn payload(code: &mut Code, labels: &Labels) {
    let [any, read, hello] = [code.label(), code.label(), code.label()];
    code.load(Size::Long, R0, STACK, FLAGS);
    code.when(Width::Of64, R0, Test::Bits, With::Just(TcpFlags::SYN.into()), labels.telling);
    code.load(Size::Word, R4, R6, LEN);
    code.when(Width::Of64, R7, Test::From, With::Of(R4), labels.quiet);
    code.long(Alu::Subtract, R4, With::Of(R7));
    // The kernel wants to see for itself that what is read is something, and no more than there is room for.
    code.when(Width::Of64, R4, Test::From, With::Just(1), any);
    code.jump(labels.quiet);
    code.here(any);
    let long = code.label();
    code.when(Width::Of64, R4, Test::Above, With::Just(TOLD), long);
    code.jump(read);
    code.here(long);
    code.set(R4, With::Just(TOLD));
    code.here(read);
    code.set(R0, With::Just(0));
    code.store(Size::Long, STACK, PAYLOAD, R0);
    code.set(R1, With::Of(R6));
    code.set(R2, With::Of(R7));
    code.set(R3, With::Of(STACK));
    code.long(Alu::Add, R3, With::Just(PAYLOAD.into()));
    code.call(Call::Bytes);
    code.when(Width::Of64, R0, Test::Differs, With::Just(0), labels.pass);
    code.load(Size::Byte, R0, STACK, PAYLOAD);
    // The Date of an answer is looked at, and begins nothing.
    code.when(Width::Of64, R0, Test::Equal, With::Just(b'H'.into()), labels.pass);
    code.when(Width::Of64, R0, Test::Equal, With::Just(22), hello);
    code.load(Size::Word, R0, STACK, PAYLOAD);
    for request in [b"GET ", b"POST"] {
        let word = u32::from_ne_bytes(*request).cast_signed();
        code.when(Width::Of32, R0, Test::Equal, With::Just(word), labels.telling);
    }
    code.jump(labels.quiet);
    // A record of handshake that begins with a hello, of TLS or of GM/T.
    code.here(hello);
    code.load(Size::Byte, R0, STACK, PAYLOAD + 1);
    let version = code.label();
    for major in [1, 3] {
        code.when(Width::Of64, R0, Test::Equal, With::Just(major), version);
    }
    code.jump(labels.quiet);
    code.here(version);
    code.load(Size::Byte, R0, STACK, PAYLOAD + 5);
    for kind in [1, 2] {
        code.when(Width::Of64, R0, Test::Equal, With::Just(kind), labels.telling);
    }
}

/// Register 1 becomes the address of the connection's slot, 2 the number that the program published last.
fn slot(code: &mut Code, slots: i32, told: i32) {
    code.value_of(R1, slots);
    code.set(R0, With::Of(R8));
    code.long(Alu::And, R0, With::Just((SLOTS - 1) as i32));
    code.long(Alu::Left, R0, With::Just(3));
    code.long(Alu::Add, R1, With::Of(R0));
    code.value_of(R2, told);
    code.load(Size::Long, R2, R2, 0);
}

/// Drops and counts the packet where its connection is in the map.
fn keep_back(code: &mut Code, slots: i32, told: i32, pass: Label) {
    slot(code, slots, told);
    code.load(Size::Long, R1, R1, 0);
    // As `super::tag`.
    code.set(R0, With::Of(R8));
    code.long(Alu::And, R0, With::Just((1 << EPOCH) - 1));
    code.long(Alu::Add, R0, With::Of(R2));
    code.long(Alu::Right, R0, With::Just(EPOCH as i32));
    code.long(Alu::Multiply, R0, With::Of(R9));
    code.long(Alu::Xor, R0, With::Of(R8));
    code.number(R2, super::LISTED);
    code.long(Alu::Or, R0, With::Of(R2));
    code.when(Width::Of64, R0, Test::Differs, With::Of(R1), pass);
    code.call(Call::Processor);
    code.long(Alu::And, R0, With::Just((STRIPES - 1) as i32));
    code.long(Alu::Left, R0, With::Just(6));
    code.value_of(R1, told);
    code.long(Alu::Add, R1, With::Of(R0));
    code.set(R0, With::Just(1));
    code.add_at(R1, 64, R0);
    code.load(Size::Word, R0, R6, LEN);
    code.add_at(R1, 72, R0);
    code.set(R0, With::Just(0));
    code.end();
}

/// Takes whatever is in the slot out of it, and leaves when that was.
fn mark(code: &mut Code, slots: i32, told: i32) {
    slot(code, slots, told);
    code.store(Size::Long, R1, 0, R2);
}
