//! What the segments of an attempt show of the path: from where they come, and what does not get through.

use super::Attempt;
use crate::base::{PacketNo, Seen, Side, Span, Stamp};
use crate::decode::Segment;
use crate::evidence::{Doubt, Head, Reset};

/// What comes later behind a reset is not about it (Weaver, Sommer, Paxson: Detecting Forged TCP Reset Packets, NDSS 2009).
const BEHIND: Span = Span::from_secs(2);

impl Attempt {
    /// Notes from where a segment came that is no reset.
    #[inline(always)] // as all that a segment goes through, in one place
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
        // Of what came before the first byte an opening keeps none.
        if tcp.bytes.client > 0 || segment.payload_wire_len > 0 {
            *self.ip_id.of_mut(from) = hop.ip_id;
            *self.clock.of_mut(from) = segment.options.timestamp.map(|(value, _)| value);
        }
        if tcp.resets.is_empty() {
            return;
        }
        self.behind_resets(segment, from, no, now);
    }

    /// Notes what a sender does behind resets that bear its address. Asked before the segment is taken.
    #[cold]
    fn behind_resets(&mut self, segment: &Segment<'_>, from: Side, no: PacketNo, now: Stamp) {
        if segment.flags.syn() {
            return;
        }
        let stream = self.streams.of(from);
        let place = |seq: u32| stream.offset(seq).and_then(|offset| u64::try_from(offset).ok());
        // What waits behind a hole may be what comes again.
        let end = place(segment.seq).map_or(0, |offset| offset + u64::from(segment.payload_wire_len));
        let new_bytes = segment.payload_wire_len > 0 && stream.held_at().is_none() && end > stream.next();
        let theirs = self.streams.of(from.other());
        let acks_more = segment.payload_wire_len > 0 || !segment.flags.fin();
        let said = theirs.offset(segment.ack).filter(|_| segment.flags.ack());
        let new_ack = acks_more && said.is_some_and(|offset| offset > theirs.acked().cast_signed());
        for reset in self.evidence.tcp.resets.iter_mut().filter(|reset| reset.value.from == from) {
            let value = &mut reset.value;
            value.later += 1;
            if now - reset.when >= BEHIND {
                continue;
            }
            let since = place(value.seq).unwrap_or(0);
            let before = theirs.offset(value.ack_field).filter(|_| value.ack).unwrap_or(i64::MIN);
            let doubts = [
                (Doubt::SenderWentOn, acks_more),
                (Doubt::NewAck, new_ack && said > Some(before)),
                (Doubt::NewData, new_bytes && end > since),
            ];
            for (doubt, shown) in doubts {
                if shown && value.doubts.iter().all(|known| known.value != doubt) {
                    value.doubts.push(Seen::new(doubt, no, now));
                }
            }
        }
    }

    /// Notes a reset, and what contradicts it.
    #[cold]
    pub(super) fn reset(&mut self, segment: &Segment<'_>, from: Side, no: PacketNo, now: Stamp) {
        self.ended_by_sign = true;
        let next = self.streams.of(from).offset(segment.seq);
        let sent = self.streams.of(from).next();
        let beyond = sent.max(self.streams.of(from).acked()).cast_signed();
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
        // RFC 7323 section 5.4: a host's clock does not go back. What stands in front of bytes seen may have been sent before.
        if let (Some((value, _)), Some(before)) = (segment.options.timestamp, *self.clock.of(from))
            && value.wrapping_sub(before).cast_signed() < 0
            && next.is_some_and(|offset| offset >= beyond)
        {
            doubts.push(Seen::new(Doubt::OldTimestamp, no, now));
        }
        // RFC 9293 section 3.10.7.1: what answers a segment stands where that asks. What a program aborts is reset with ACK
        // (Linux tcp_send_active_reset, BSD tcp_outflags of CLOSED, lwIP tcp_abort), though section 3.10.5 asks for none.
        // Who had closed before answers segments that the capture may lack, as it may lack bytes before a reset that stands
        // beyond those seen.
        let asked = self.streams.of(from).acked().cast_signed();
        let open = tcp.fin.of(from).is_none() && tcp.resets.iter().all(|reset| reset.value.from != from);
        if !segment.flags.ack()
            && open
            && tcp.syn.is_some()
            && tcp.acked.of(from.other()).is_some()
            && next.is_some_and(|offset| offset > asked && offset == sent.cast_signed())
        {
            doubts.push(Seen::new(Doubt::Unasked, no, now));
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
            ip_id_of_host: *self.ip_id.of(from),
            dont_fragment: segment.hop.dont_fragment,
            ack: segment.flags.ack(),
            seq: segment.seq,
            ack_field: segment.ack,
            window: segment.window,
            timestamp: segment.options.timestamp.map(|(value, _)| value),
            ahead: next.map(|offset| offset - beyond),
            sent: tcp.bytes,
            after: peer_spoke.map(|spoke| now - spoke),
            paused: self.paused,
            later: 0,
            answers,
            doubts,
        };
        tcp.resets.push(Seen::new(value, no, now));
    }

    /// Notes what stands still: a segment sent again because the peer lacks it, bytes that the peer has behind those
    /// it lacks, and segments that stand behind bytes which never came.
    #[inline(always)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Direction, Limits, PerSide};
    use crate::decode::{Hop, TcpFlags, TcpOptions};
    use crate::evidence::fixture::{CLIENT, Parses, SERVER, START};
    use crate::evidence::tamper::{Forged, forged};

    /// Where the client's bytes begin, and the server's.
    const SEQ: PerSide<u32> = PerSide { client: 101, server: 501 };
    /// A record of a hello that goes on, with 200 bytes here.
    const BYTES: [u8; 200] = {
        let mut bytes = [0; 200];
        (bytes[0], bytes[1], bytes[2], bytes[3], bytes[5]) = (22, 3, 1, 2, 1);
        bytes
    };

    /// A connection on which the client has sent 200 bytes, 20 ms from the server; the number of its last packet, and
    /// the timestamp of the next.
    struct Talk(Attempt, u64, u32);

    impl Talk {
        fn greeted() -> Self {
            let mut talk =
                Self(Attempt::new(CLIENT, SERVER, Direction::LowToHigh, true, PacketNo(1), START), 0, 7);
            talk.says(Side::Client, TcpFlags::SYN, (100, 0), 0, 0);
            talk.says(Side::Server, TcpFlags::SYN | TcpFlags::ACK, (500, 101), 0, 20);
            talk.says(Side::Client, TcpFlags::ACK, (101, 501), 0, 20);
            talk.says(Side::Client, TcpFlags::ACK, (101, 501), 200, 21);
            talk
        }

        /// A segment with these numbers and so many bytes, whatever its sender: TTL and options are always the same.
        fn says(&mut self, from: Side, flags: u8, (seq, ack): (u32, u32), len: usize, millis: i64) {
            self.1 += 1;
            let (src, dst) = if from == Side::Client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
            let ip_id = u16::try_from(self.1).ok();
            let segment = Segment {
                hop: Hop { src: src.addr, dst: dst.addr, ttl: 60, ip_id, ..Hop::default() },
                src_port: src.port,
                dst_port: dst.port,
                seq,
                ack,
                flags: TcpFlags(flags),
                window: 512,
                options: TcpOptions { timestamp: Some((self.2, 7)), any: true, ..TcpOptions::default() },
                payload: &BYTES[..len],
                payload_wire_len: u32::try_from(len).unwrap(),
            };
            let now = START + Span::from_millis(millis);
            self.0.segment(&segment, from, PacketNo(self.1), now, now, &Limits::default(), &mut Parses);
        }

        /// A reset in the server's name.
        fn resets(&mut self, flags: u8, numbers: (u32, u32), millis: i64) {
            self.says(Side::Server, TcpFlags::RST | flags, numbers, 0, millis);
        }

        fn doubts(&self) -> Vec<Doubt> {
            let resets = &self.0.evidence.tcp.resets;
            resets.iter().flat_map(|reset| &reset.value.doubts).map(|doubt| doubt.value).collect()
        }
    }

    const SERVER_AT: u32 = SEQ.server;
    const HELLO_READ: u32 = SEQ.client + 200;

    #[test]
    fn a_reset_is_kept_with_what_its_header_says_and_what_came_before() {
        let mut talk = Talk::greeted();
        talk.says(Side::Server, TcpFlags::ACK, (SERVER_AT, HELLO_READ), 0, 41);
        talk.resets(TcpFlags::ACK, (SERVER_AT, HELLO_READ), 42);
        let reset = &talk.0.evidence.tcp.resets[0].value;
        assert_eq!((reset.window, reset.timestamp, reset.ack_field), (512, Some(7), HELLO_READ));
        assert_eq!((reset.ip_id, reset.ip_id_of_host, reset.dont_fragment), (Some(6), Some(5), false));
        assert_eq!((reset.ahead, reset.after), (Some(0), Some(Span::from_millis(21))));
        assert_eq!((reset.sent.client, reset.sent.server, reset.later), (200, 0, 0));
        assert_eq!(talk.doubts(), []);
    }

    #[test]
    fn the_hosts_answer_behind_a_reset_like_its_own_contradicts_it() {
        let mut talk = Talk::greeted();
        talk.resets(0, (SERVER_AT, 0), 42);
        talk.says(Side::Server, TcpFlags::ACK, (SERVER_AT, HELLO_READ), 0, 43);
        assert_eq!(talk.doubts(), [Doubt::SenderWentOn, Doubt::NewAck]);
        talk.says(Side::Server, TcpFlags::ACK, (SERVER_AT, HELLO_READ), 90, 44);
        assert_eq!(talk.doubts(), [Doubt::SenderWentOn, Doubt::NewAck, Doubt::NewData]);
        assert_eq!(talk.0.evidence.tcp.resets[0].value.later, 2);
        assert_eq!(forged(&talk.0.evidence, Side::Server)[0].0, Forged::RstSeqData);
    }

    #[test]
    fn an_acknowledgment_that_a_reset_overtook_does_not_contradict_it() {
        let mut talk = Talk::greeted();
        talk.resets(TcpFlags::ACK, (SERVER_AT, HELLO_READ), 42);
        talk.says(Side::Server, TcpFlags::ACK, (SERVER_AT, HELLO_READ), 0, 43);
        assert_eq!(talk.doubts(), [Doubt::SenderWentOn]);
    }

    #[test]
    fn bytes_that_a_reset_overtook_do_not_contradict_it() {
        let mut talk = Talk::greeted();
        talk.resets(TcpFlags::ACK, (SERVER_AT + 90, HELLO_READ), 42);
        talk.says(Side::Server, TcpFlags::ACK, (SERVER_AT, HELLO_READ), 90, 43);
        assert_eq!(talk.doubts(), [Doubt::SenderWentOn]);
    }

    #[test]
    fn a_copy_of_bytes_before_the_reset_does_not_contradict_it() {
        let mut talk = Talk::greeted();
        talk.says(Side::Server, TcpFlags::ACK, (SERVER_AT, HELLO_READ), 90, 41);
        talk.resets(0, (SERVER_AT, 0), 42);
        talk.says(Side::Server, TcpFlags::ACK, (SERVER_AT, HELLO_READ), 90, 43);
        assert_eq!(talk.doubts(), [Doubt::SenderWentOn]);
    }

    #[test]
    fn a_fin_that_a_reset_overtook_and_what_comes_long_behind_say_nothing() {
        let mut talk = Talk::greeted();
        talk.resets(0, (SERVER_AT, 0), 42);
        talk.says(Side::Server, TcpFlags::FIN | TcpFlags::ACK, (SERVER_AT, HELLO_READ), 0, 43);
        assert_eq!(talk.doubts(), []);
        talk.says(Side::Server, TcpFlags::ACK, (SERVER_AT + 1, HELLO_READ), 0, 2_042);
        assert_eq!(talk.doubts(), []);
    }

    #[test]
    fn a_reset_whose_clock_went_back_was_not_the_clients() {
        for (timestamp, doubts) in [(6, &[Doubt::OldTimestamp][..]), (7, &[]), (8, &[])] {
            let mut talk = Talk::greeted();
            talk.2 = timestamp;
            talk.says(Side::Client, TcpFlags::RST | TcpFlags::ACK, (HELLO_READ, SERVER_AT), 0, 22);
            assert_eq!(talk.doubts(), doubts, "{timestamp}");
        }
        let mut overtaken = Talk::greeted();
        overtaken.2 = 6;
        overtaken.says(Side::Client, TcpFlags::RST | TcpFlags::ACK, (SEQ.client, SERVER_AT), 0, 22);
        assert!(!overtaken.doubts().contains(&Doubt::OldTimestamp), "it may have been sent before the hello");
    }

    #[test]
    fn a_reset_without_ack_answers_something() {
        let mut talk = Talk::greeted();
        talk.says(Side::Client, TcpFlags::RST, (HELLO_READ, 0), 0, 22);
        assert_eq!(talk.doubts(), [Doubt::Unasked]);
        let mut aborted = Talk::greeted();
        aborted.says(Side::Client, TcpFlags::RST | TcpFlags::ACK, (HELLO_READ, SERVER_AT), 0, 22);
        aborted.says(Side::Client, TcpFlags::RST, (HELLO_READ, 0), 0, 41);
        assert_eq!(aborted.doubts(), [], "it had closed, and what it answers may be lost");
        let mut answers = Talk::greeted();
        answers.says(Side::Server, TcpFlags::ACK, (SERVER_AT, HELLO_READ), 90, 41);
        answers.says(Side::Client, TcpFlags::RST, (HELLO_READ, 0), 0, 42);
        assert_eq!(answers.doubts(), []);
    }

    #[test]
    fn resets_that_guess_ahead_were_forged() {
        let mut talk = Talk::greeted();
        for guess in [0, 1_460, 4_380] {
            talk.resets(TcpFlags::ACK, (SERVER_AT + guess, HELLO_READ), 25);
        }
        let tests = forged(&talk.0.evidence, Side::Server);
        assert_eq!(tests.len(), 1);
        assert_eq!((tests[0].0, tests[0].1.iter().count()), (Forged::RstSeqChange, 3));
    }

    #[test]
    fn what_is_sent_again_is_kept_with_its_times() {
        let mut talk = Talk::greeted();
        for millis in [221, 621] {
            talk.says(Side::Client, TcpFlags::ACK, (101, 501), 200, millis);
        }
        let at = |millis| START + Span::from_millis(millis);
        assert_eq!(talk.0.evidence.tcp.repeated.client, [at(221), at(621)]);
        let mut asking =
            Talk(Attempt::new(CLIENT, SERVER, Direction::LowToHigh, true, PacketNo(1), START), 0, 7);
        for millis in [0, 1_000, 1_001, 3_000] {
            asking.says(Side::Client, TcpFlags::SYN, (100, 0), 0, millis);
        }
        assert_eq!(asking.0.evidence.tcp.syn_again, [at(1_000), at(3_000)], "one is a copy");
    }
}
