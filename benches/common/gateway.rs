//! What a capture on the outer side of a gateway shows of one on the inner side: other addresses and ports of clients, a hop
//! more or less, a clock that is ahead, and not what the gateway itself dropped or made.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use tlswhy::decode::TcpFlags;

use super::frame::{Made, Random};

/// How far the outer clock is ahead, in microseconds.
pub const AHEAD: i64 = 3_200_000;
/// The least and most time that a packet takes through the gateway.
const THROUGH: (u64, u64) = (20, 300);

/// A packet that waits for those that came before it.
type Waiting = Reverse<(i64, u64, Vec<u8>)>;

/// A client's end, the server's, the protocol.
type Flow = ([u8; 6], [u8; 6], u8);

/// What of a frame matters here: Ethernet and IPv4 without options.
struct Look {
    flow: Flow,
    from_client: bool,
    flags: u8,
    /// TCP payload bytes.
    payload: usize,
}

fn look(frame: &[u8]) -> Option<Look> {
    let (head, rest) = frame.split_first_chunk::<38>()?;
    let end = |ip: usize, port: usize| {
        [head[ip], head[ip + 1], head[ip + 2], head[ip + 3], head[port], head[port + 1]]
    };
    let (src, dst) = (end(26, 34), end(30, 36));
    // Servers are in 198.18.0.0/16.
    let from_client = dst[..2] == [198, 18];
    let flow = if from_client { (src, dst, head[23]) } else { (dst, src, head[23]) };
    let (flags, header) =
        if head[23] == 6 { (*rest.get(9)?, usize::from(rest.get(8)? >> 4) * 4) } else { (0, 8) };
    let total = usize::from(u16::from_be_bytes([head[16], head[17]]));
    Some(Look { flow, from_client, flags, payload: total.saturating_sub(20 + header) })
}

/// Each record of a classic file: stamp in microseconds, frame.
fn records(path: &Path, mut each: impl FnMut(i64, Vec<u8>) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    io::copy(&mut (&mut file).take(24), &mut io::sink())?;
    let mut header = [0; 16];
    while file.read_exact(&mut header).is_ok() {
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let mut frame = vec![0; word(8) as usize];
        file.read_exact(&mut frame)?;
        each(i64::from(word(0)) * 1_000_000 + i64::from(word(4)), frame)?;
    }
    Ok(())
}

/// Connections that the gateway reset: a reset in the server's name, and no word of the server's before.
fn resets(path: &Path) -> io::Result<HashSet<Flow>> {
    let mut answered: HashMap<Flow, bool> = HashMap::new();
    let mut reset = HashSet::new();
    records(path, |_, frame| {
        let Some(Look { flow, from_client: false, flags, payload }) = look(&frame) else { return Ok(()) };
        if flow.2 == 6 && flags & TcpFlags::RST != 0 {
            if !answered.get(&flow).copied().unwrap_or(false) {
                reset.insert(flow);
            }
        } else if flow.2 == 6 && payload > 0 {
            answered.insert(flow, true);
        }
        Ok(())
    })?;
    Ok(reset)
}

/// Writes the outer capture of an inner one. SYNs of clients outside of 10.0.0.0/8, a flood's, are dropped by the gateway.
pub fn outside(path: &Path, inner: &Path) -> io::Result<Made> {
    let reset = resets(inner)?;
    let mut out =
        Outer { file: BufWriter::with_capacity(1 << 20, File::create(path)?), made: Made::default() };
    out.head(inner)?;
    let mut random = Random(7);
    let mut waiting: BinaryHeap<Waiting> = BinaryHeap::new();
    let mut number = 0;
    records(inner, |at, mut frame| {
        let Some(seen) = look(&frame) else { return Ok(()) };
        let hello = seen.from_client && seen.payload > 0;
        let made_there = !seen.from_client && seen.flags & TcpFlags::RST != 0;
        let dropped = reset.contains(&seen.flow) && (hello || made_there);
        if dropped || seen.flow.0[0] != 10 {
            return Ok(());
        }
        translate(&mut frame, &seen);
        let through = (THROUGH.0 + random.below(THROUGH.1 - THROUGH.0)) as i64;
        // What the server says was here before it was inside.
        let when = at + AHEAD + if seen.from_client { through } else { -through };
        number += 1;
        waiting.push(Reverse((when, number, frame)));
        let until = at + AHEAD - 2 * THROUGH.1 as i64;
        while waiting.peek().is_some_and(|Reverse((first, ..))| *first < until) {
            out.next(&mut waiting)?;
        }
        Ok(())
    })?;
    while !waiting.is_empty() {
        out.next(&mut waiting)?;
    }
    out.file.flush()?;
    Ok(out.made)
}

struct Outer {
    file: BufWriter<File>,
    made: Made,
}

impl Outer {
    /// The same head as the inner file's.
    fn head(&mut self, inner: &Path) -> io::Result<()> {
        self.made.bytes = io::copy(&mut File::open(inner)?.take(24), &mut self.file)?;
        Ok(())
    }

    fn next(&mut self, waiting: &mut BinaryHeap<Waiting>) -> io::Result<()> {
        let Some(Reverse((when, _, frame))) = waiting.pop() else { return Ok(()) };
        let length = (frame.len() as u32).to_le_bytes();
        self.file.write_all(&((when / 1_000_000) as u32).to_le_bytes())?;
        self.file.write_all(&((when % 1_000_000) as u32).to_le_bytes())?;
        self.file.write_all(&length)?;
        self.file.write_all(&length)?;
        self.file.write_all(&frame)?;
        self.made.packets += 1;
        self.made.bytes += 16 + frame.len() as u64;
        Ok(())
    }
}

/// Gives the client its outer name, and the packet its TTL there.
fn translate(frame: &mut [u8], seen: &Look) {
    // Its address and port; no two clients get the same name.
    let (ip, port) = if seen.from_client { (26, 34) } else { (30, 36) };
    frame[ip] = 100;
    frame[ip + 1] ^= 0x40;
    frame[port] ^= 0x15;
    frame[port + 1] ^= 0xc3;
    frame[22] = if seen.from_client { frame[22] - 1 } else { frame[22] + 1 };
    frame[24..26].copy_from_slice(&[0, 0]);
    let check = super::frame::checksum(&frame[14..34], 0);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    if seen.flow.2 == 6 {
        frame[50..52].copy_from_slice(&[0, 0]);
        let length = u32::from(u16::from_be_bytes([frame[16], frame[17]])) - 20;
        let pseudo = 6 + length + u32::from(!super::frame::checksum(&frame[26..34], 0));
        let check = super::frame::checksum(&frame[34..], pseudo);
        frame[50..52].copy_from_slice(&check.to_be_bytes());
    }
}
