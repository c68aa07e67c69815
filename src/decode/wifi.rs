//! IEEE 802.11 data frames, as access points send them to their controller.

use super::Packet;
use super::walk::{Rest, Walk};

impl<'a> Walk<'a> {
    /// A frame from its frame control field on (IEEE 802.11-2020 section 9.2). Only unencrypted data frames
    /// lead anywhere; of several aggregated ones the first is read.
    pub fn wifi(&mut self, rest: Rest<'a>) -> Packet<'a> {
        const TYPE: u8 = 0x0f; // version and type
        const DATA: u8 = 0x08;
        const NO_DATA: u8 = 0x40;
        const QOS: u8 = 0x80;
        const BOTH_DS: u8 = 0x03;
        const PROTECTED: u8 = 0x40;
        const ORDER: u8 = 0x80;
        let (kind, flags) = match rest.bytes {
            [kind, flags, ..] if kind & TYPE == DATA => (*kind, *flags),
            // Some controllers swap the two bytes.
            [flags, kind, ..] if kind & TYPE == DATA => (*kind, *flags),
            _ => return Packet::Other,
        };
        if kind & NO_DATA != 0 || flags & PROTECTED != 0 {
            return Packet::Other;
        }
        let addresses = if flags & BOTH_DS == BOTH_DS { 30 } else { 24 };
        let Some(mut rest) = rest.skip(addresses) else { return Packet::Undecodable };
        if kind & QOS != 0 {
            let Some((&[qos, _], behind)) = rest.take::<2>() else { return Packet::Undecodable };
            let control = if flags & ORDER == 0 { 0 } else { 4 };
            let aggregate = if qos & 0x80 == 0 { 0 } else { 14 };
            let Some(behind) = behind.skip(control + aggregate) else { return Packet::Undecodable };
            rest = behind;
        }
        self.llc(rest)
    }
}
