//! The decoder: one walk for each frame, and the fragments that wait between walks.

use super::defrag::{Defrag, Whole};
use super::plain::Plain;
use super::walk::{Content, Fragment, Rest, Walk};
use super::{Frame, LinkType, Packet};
use crate::base::{Limits, Lost, Stamp};

/// Fragments inside rejoined datagrams before reading stops.
const NESTING: usize = 4;

/// Turns frames into packets. It holds no more than the fragments of incomplete datagrams.
pub struct Decoder {
    fragments: Defrag,
    /// The datagram rejoined last, from which a packet borrows.
    whole: Vec<u8>,
    lost: Lost,
}

impl Decoder {
    /// A decoder that waits for fragments within these bounds (`fragments`, `fragment_wait`).
    pub fn new(limits: &Limits) -> Self {
        Self { fragments: Defrag::new(limits), whole: Vec::new(), lost: Lost::default() }
    }

    /// Decodes one frame; a frame that completes a fragmented datagram gives the whole datagram's transport.
    #[inline]
    pub fn decode<'a>(&'a mut self, frame: &Frame<'a>) -> Packet<'a> {
        match self.plain(frame) {
            Some(plain) => Packet::Segment(plain.segment()),
            None => self.layers(frame),
        }
    }

    /// The first half of [`Self::decode`]: finds the frame that nearly all frames are. What is `None` is for
    /// [`Self::layers`].
    #[inline]
    pub fn plain<'a>(&mut self, frame: &Frame<'a>) -> Option<Plain<'a>> {
        if frame.wire_len as usize > frame.data.len() {
            self.lost.snapped_packets += 1;
        }
        if frame.link == LinkType::ETHERNET { Plain::of(frame.data) } else { None }
    }

    /// The second half of [`Self::decode`]: layer by layer.
    pub fn layers<'a>(&'a mut self, frame: &Frame<'a>) -> Packet<'a> {
        let missing = (frame.wire_len as usize).saturating_sub(frame.data.len());
        let mut walk = Walk::default();
        #[expect(clippy::cast_possible_truncation, reason = "not more than the u32 it was taken from")]
        let packet = walk.frame(frame.link, Rest { bytes: frame.data, missing: missing as u32 });
        if let Some(fragment) = &walk.fragment {
            return self.rejoin(fragment, frame.stamp);
        }
        if matches!(packet, Packet::Undecodable) {
            self.lost.undecodable_packets += 1;
        }
        packet
    }

    /// Forgets the fragments that have waited too long at `now`. Every fragment does this as well; it is for links on which
    /// none comes any more.
    pub fn expire(&mut self, now: Stamp) {
        self.fragments.expire(now);
    }

    /// Forgets all fragments: the capture has ended.
    pub fn finish(&mut self) {
        self.fragments.drop_all();
    }

    /// Datagrams of which fragments wait; never more than `Limits::fragments`.
    pub fn fragments_held(&self) -> usize {
        self.fragments.held()
    }

    /// What was lost since the last call: `fragments_dropped`, `undecodable_packets`, `snapped_packets`.
    pub fn take_lost(&mut self) -> Lost {
        let mut lost = std::mem::take(&mut self.lost);
        lost.fragments_dropped = self.fragments.take_dropped();
        lost
    }

    /// Adds a fragment, and reads the datagram where it is whole. What that tunnels may be a fragment again.
    #[inline(never)]
    fn rejoin<'a>(&'a mut self, fragment: &Fragment<'_>, now: Stamp) -> Packet<'a> {
        // By the time of fragments alone: whoever else is looked at beside them, and when, makes no difference.
        self.fragments.expire(now);
        let Some(mut whole) = self.fragments.add(fragment, now) else { return Packet::Other };
        for _ in 0..NESTING {
            let mut walk = Walk::default();
            whole.read(&mut walk);
            let Some(fragment) = &walk.fragment else { break };
            match self.fragments.add(fragment, now) {
                Some(next) => whole = next,
                None => return Packet::Other,
            }
        }
        self.whole = std::mem::take(&mut whole.bytes);
        let packet = whole.read_from(&self.whole, &mut Walk::default());
        if matches!(packet, Packet::Undecodable) {
            self.lost.undecodable_packets += 1;
        }
        packet
    }
}

impl Whole {
    fn read<'a>(&'a self, walk: &mut Walk<'a>) -> Packet<'a> {
        self.read_from(&self.bytes, walk)
    }

    /// Reads it where its bytes have been moved elsewhere.
    fn read_from<'a>(&self, bytes: &'a [u8], walk: &mut Walk<'a>) -> Packet<'a> {
        walk.link_src = self.hop.link_src;
        let missing = (self.wire_len as usize).saturating_sub(bytes.len());
        #[expect(clippy::cast_possible_truncation, reason = "not more than the u32 it was taken from")]
        let rest = Rest { bytes, missing: missing as u32 };
        match self.content {
            Content::Ip(protocol) => walk.payload(protocol, self.hop, rest),
            Content::Ethernet => walk.ethernet(rest),
            Content::Wifi => walk.wifi(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::*;
    use super::*;

    #[test]
    fn losses_are_counted_once_and_taken() {
        let mut decoder = decoder();
        let packet = inner4();
        let mut snapped = frame(LinkType::RAW, &packet[..60]);
        snapped.wire_len = 70;
        decoder.decode(&snapped);
        decoder.decode(&frame(LinkType::RAW, &packet[..30]));
        decoder.decode(&frame(LinkType::RAW, &ipv4_fragment(1, 0, true, &[0; 24])));
        decoder.finish();
        let expected =
            Lost { snapped_packets: 1, undecodable_packets: 1, fragments_dropped: 1, ..Lost::default() };
        assert_eq!(decoder.take_lost(), expected);
        assert!(decoder.take_lost().is_nothing());
    }

    #[test]
    fn fragments_of_a_tunnel_that_carries_fragments_are_rejoined() {
        let whole = tcp(&TIMESTAMPS, PAYLOAD);
        let inner = [ipv4_fragment(9, 0, true, &whole[..24]), ipv4_fragment(9, 24, false, &whole[24..])];
        let mut decoder = decoder();
        for (place, fragment) in inner.iter().enumerate() {
            let id = 70 + u16::try_from(place).unwrap();
            let mut outer =
                [ipv4_fragment(id, 0, true, &fragment[..16]), ipv4_fragment(id, 16, false, &fragment[16..])];
            outer.iter_mut().for_each(|packet| packet[9] = 4);
            for (half, packet) in outer.iter().enumerate() {
                let packet = decoder.decode(&frame(LinkType::RAW, packet));
                match (place, half) {
                    (1, 1) => assert_inner("the last", &packet),
                    _ => assert!(matches!(packet, Packet::Other)),
                }
            }
        }
        decoder.finish();
        assert!(decoder.take_lost().is_nothing());
    }
}
