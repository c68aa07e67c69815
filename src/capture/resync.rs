//! Finds the next record of a classic pcap file behind a damaged record header.
//!
//! Classic pcap has no marks between records, so this is a guess, made only where it is a safe one:
//! a record header counts as found when it and its successors are plausible in every field.

use super::PACKET_MOST;
use super::buffer::Buffer;
use super::classic::Layout;
use crate::base::{Span, Stamp};

/// How far behind the damage is looked.
const REACH: usize = 256 << 10;

/// Plausible headers in a row that make a find.
const CHAIN: usize = 3;

/// What must be in the window to judge every candidate.
const WINDOW: usize = REACH + CHAIN * (PACKET_MOST + 24);

/// Records of one capture lie closer together than this, back or forth.
const APART: Span = Span::from_secs(86_400);

/// Nobody sends less than this in a frame: an IPv4 header.
const LEAST: u32 = 20;

/// How many bytes to skip from the front of the window to the next record that is plausible and
/// lies whole in the window. `last` is the stamp of the last good record.
pub(super) fn find(buffer: &mut Buffer, layout: Layout, last: Stamp) -> Option<usize> {
    let _ = buffer.holds(WINDOW); // fewer bytes are the rest of the file
    let ended = buffer.ended();
    let window = buffer.window();
    let reach = window.len().min(REACH);
    (1..reach).find(|&skip| window.get(skip..).is_some_and(|bytes| is_chain(bytes, layout, last, ended)))
}

/// Whether records follow each other from the first of these bytes on: three, or fewer where the
/// last ends with the file.
fn is_chain(mut bytes: &[u8], layout: Layout, last: Stamp, ended: bool) -> bool {
    for place in 0..CHAIN {
        if bytes.is_empty() && ended && place > 0 {
            return true;
        }
        let Some(record) = bytes.first_chunk().map(|bytes| layout.record(bytes)) else { return false };
        let apart = record.stamp - last;
        let plausible = record.fraction_fits
            && (LEAST..=PACKET_MOST as u32).contains(&record.captured)
            && (record.captured..=PACKET_MOST as u32).contains(&record.original)
            && (Span(-APART.0)..=APART).contains(&apart);
        if !plausible {
            return false;
        }
        match bytes.get(layout.header + record.captured as usize..) {
            Some(rest) => bytes = rest,
            // The last of the chain may be cut by the end of the file.
            None => return place > 0 && ended,
        }
    }
    true
}
