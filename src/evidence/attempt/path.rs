//! What the segments of an attempt show of the path: from where they come, and what does not get through.

use super::Attempt;
use crate::base::{PacketNo, Seen, Side, Span, Stamp};
use crate::decode::Segment;
use crate::evidence::{Doubt, Head, Reset};

impl Attempt {
    /// Notes from where a segment came that is no reset.
    pub(super) fn note_sender(&mut self, segment: &Segment<'_>, from: Side, no: PacketNo, now: Stamp) {
        let tcp = &mut self.evidence.tcp;
        let hop = &segment.hop;
        let ttl = tcp.ttl.of_mut(from);
        *ttl = Some(match *ttl {
            None => (hop.ttl, hop.ttl),
            Some((least, most)) => (least.min(hop.ttl), most.max(hop.ttl)),
        });
        match tcp.link.of(from) {
            None => *tcp.link.of_mut(from) = hop.link_src,
            first if *first != hop.link_src => *tcp.other_link.of_mut(from) = hop.link_src,
            _ => {}
        }
        if segment.flags.syn() {
            *tcp.mss.of_mut(from) = segment.options.mss.or(*tcp.mss.of(from));
        }
        let largest = tcp.largest.of_mut(from);
        *largest = (*largest).max(segment.payload_wire_len);
        // The same sender goes on behind a reset that bears its address.
        // Asked first: what is changed is kept.
        let acks_more = segment.payload_wire_len > 0 || !segment.flags.fin();
        if acks_more
            && !tcp.resets.is_empty()
            && let Some(reset) = tcp.resets.iter_mut().find(|reset| reset.value.from == from)
            && !segment.flags.syn()
            && now - reset.when < Span::from_secs(2)
            && reset.value.doubts.iter().all(|doubt| doubt.value != Doubt::SenderWentOn)
        {
            reset.value.doubts.push(Seen::new(Doubt::SenderWentOn, no, now));
        }
    }

    /// Notes a reset, and what contradicts it.
    pub(super) fn reset(&mut self, segment: &Segment<'_>, from: Side, no: PacketNo, now: Stamp) {
        self.ended_by_sign = true;
        let next = self.streams.of(from).offset(segment.seq);
        let sent = self.streams.of(from).next();
        let peer_spoke = *self.last_of.of(from.other());
        let tcp = &mut self.evidence.tcp;
        if tcp.resets.len() >= 8 {
            return;
        }
        let mut doubts = Vec::new();
        // Where the peer's packets are seen before and behind a router, so may be this side's, each with its own
        // TTL and link address; of this side perhaps one alone.
        let one_point = tcp.ttl.of(from.other()).is_none_or(|(least, most)| least == most);
        if let Some((least, most)) = *tcp.ttl.of(from)
            && one_point
            && !(least..=most).contains(&segment.hop.ttl)
        {
            let usual = if segment.hop.ttl > most { most } else { least };
            doubts.push(Seen::new(Doubt::Ttl(segment.hop.ttl, usual), no, now));
        }
        if let (Some(usual), Some(link)) = (*tcp.link.of(from), segment.hop.link_src)
            && usual != link
            && one_point
            && *tcp.other_link.of(from) != Some(link)
        {
            doubts.push(Seen::new(Doubt::LinkAddress, no, now));
        }
        if from == Side::Server
            && let (Some(rtt), Some(spoke)) = (tcp.rtt, peer_spoke)
        {
            let took = now - spoke;
            let unanswered = self.last_of.server.is_some_and(|server| server < spoke);
            if unanswered && rtt > Span::from_millis(1) && took.0 * 2 < rtt.0 {
                doubts.push(Seen::new(Doubt::TooSoon(took, rtt), no, now));
            }
        }
        if segment.flags.ack()
            && next.is_some_and(|offset| offset >= 0 && offset.cast_unsigned() < sent)
            && tcp.fin.of(from).is_none()
        {
            doubts.push(Seen::new(Doubt::BehindSequence, no, now));
        }
        let answers = match self.latest {
            Some((peer, asked, payload)) if peer != from && !segment.flags.ack() && asked == segment.seq => {
                Some(payload)
            }
            _ => None,
        };
        let value = Reset {
            from,
            ttl: segment.hop.ttl,
            ip_id: segment.hop.ip_id,
            ack: segment.flags.ack(),
            seq: segment.seq,
            answers,
            doubts,
        };
        tcp.resets.push(Seen::new(value, no, now));
    }

    /// Notes what stands still: a segment sent again because the peer lacks it, bytes that the peer has behind those
    /// it lacks, and segments that stand behind bytes which never came.
    pub(super) fn stuck(&mut self, segment: &Segment<'_>, from: Side, no: PacketNo, now: Stamp) {
        let tcp = &mut self.evidence.tcp;
        let stream = self.streams.of(from);
        if segment.flags.syn() {
            return;
        }
        let offset = stream.offset(segment.seq).and_then(|offset| u64::try_from(offset).ok());
        if let Some(offset) = offset {
            if segment.payload_wire_len == 0 {
                // The length of a window beyond is a stray of another connection.
                let near = offset.saturating_sub(stream.next()) < 1 << 16;
                let stands_at = self.stands_at.of_mut(from);
                *stands_at = (*stands_at).max(if near { offset } else { 0 });
            } else if offset < stream.next() && offset == stream.acked() && segment.payload_wire_len > 1 {
                let size = segment.payload_wire_len;
                match tcp.head.of_mut(from) {
                    Some(head) if head.value.offset == offset => {
                        head.value.size = head.value.size.min(size);
                        head.value.times += 1;
                        head.at.add(no);
                        head.when = now;
                    }
                    head => *head = Some(Seen::new(Head { offset, size, times: 1 }, no, now)),
                }
            }
        }
        let theirs = self.streams.of(from.other());
        let place = |seq: u32| theirs.offset(seq).and_then(|offset| u64::try_from(offset).ok());
        if let Some((left, right)) = segment.options.sack
            && let (Some(left), Some(right)) = (place(left), place(right))
            && left > theirs.acked()
            && left < right
        {
            match tcp.sacked.of_mut(from) {
                Some(sacked) => {
                    sacked.value = (left, right);
                    sacked.at.add(no);
                    sacked.when = now;
                }
                none => *none = Some(Seen::new((left, right), no, now)),
            }
        } else if tcp.sacked.of(from).as_ref().is_some_and(|sacked| sacked.value.0 <= theirs.acked()) {
            *tcp.sacked.of_mut(from) = None;
        }
    }
}
