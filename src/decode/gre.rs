//! GRE (RFC 2784, RFC 2890; version 1 of RFC 2637) and what switches mirror in it: ERSPAN.

use super::Packet;
use super::link::ether;
use super::walk::{Rest, Walk};

const CHECKSUM: u8 = 0x80;
const ROUTING: u8 = 0x40;
const KEY: u8 = 0x20;
const SEQUENCE: u8 = 0x10;
/// In the second byte, version 1 only.
const ACKNOWLEDGMENT: u8 = 0x80;

/// `ERSPAN` types I and II.
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;
/// PPP in version 1 (PPTP).
const PPP: u16 = 0x880b;
/// Web Cache Communication Protocol: redirected packets.
const WCCP: u16 = 0x883e;

impl<'a> Walk<'a> {
    /// GRE from its header on; the caller has counted the layer.
    pub fn gre(&mut self, rest: Rest<'a>) -> Packet<'a> {
        let Some((&[flags, version, k0, k1], rest)) = rest.take::<4>() else { return Packet::Undecodable };
        let kind = u16::from_be_bytes([k0, k1]);
        let is_set = |bit: u8| if flags & bit == 0 { 0 } else { 4 };
        let optional = match version & 0x07 {
            // Source routes (RFC 1701) have long been deprecated; RFC 2784 section 2.3 has receivers drop them.
            0 if flags & ROUTING == 0 => is_set(CHECKSUM) + is_set(KEY) + is_set(SEQUENCE),
            1 if kind == PPP => {
                is_set(KEY) + is_set(SEQUENCE) + if version & ACKNOWLEDGMENT == 0 { 0 } else { 4 }
            }
            _ => return Packet::Other,
        };
        let Some(rest) = rest.skip(optional) else { return Packet::Undecodable };
        match kind {
            // Type I has neither sequence number nor header (draft-foschiano-erspan-03 section 4.1).
            ERSPAN if flags & SEQUENCE == 0 => self.ethernet(rest),
            ERSPAN => rest.skip(8).map_or(Packet::Undecodable, |rest| self.ethernet(rest)),
            ERSPAN_III => self.erspan_iii(rest),
            PPP => self.ppp(rest),
            // Version 2 puts four bytes before the packet; they do not look like an IP version.
            WCCP => match rest.bytes.first().map(|first| first >> 4) {
                Some(4) => self.ipv4(rest),
                _ => rest.skip(4).map_or(Packet::Undecodable, |rest| self.ip(rest)),
            },
            ..ether::LEAST => Packet::Other,
            _ => self.ether_type(kind, rest),
        }
    }

    /// draft-foschiano-erspan-03 section 4.3: twelve bytes, eight more where the last bit says so.
    fn erspan_iii(&mut self, rest: Rest<'a>) -> Packet<'a> {
        let Some((&[.., frame_type, last], rest)) = rest.take::<12>() else { return Packet::Undecodable };
        let rest = if last & 1 == 0 { Some(rest) } else { rest.skip(8) };
        match (rest, frame_type >> 2 & 0x1f) {
            (Some(rest), 0) => self.ethernet(rest),
            (Some(rest), 2) => self.ip(rest),
            (Some(_), _) => Packet::Other,
            (None, _) => Packet::Undecodable,
        }
    }
}
