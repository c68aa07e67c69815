//! Pauses that the client ends, whether anything answers, and answers that are for another connection.

use super::Attempt;
use crate::base::{PacketNo, Seen, Span, Stamp};
use crate::decode::Segment;
use crate::evidence::{Challenge, Pause};

impl Attempt {
    /// The client sent new bytes: notes how long the connection had been silent.
    pub(super) fn note_pause(&mut self, no: PacketNo, now: Stamp) {
        let Some(last) = self.last_of.client.max(self.last_of.server) else { return };
        self.paused = self.paused.max(now - last);
        if now - last >= Pause::SHORTEST {
            let pause = Pause { lasted: now - last, answered: false };
            self.evidence.tcp.pause = Some(Seen::new(pause, no, now));
        }
    }

    /// Notes what a segment of the server, which is no reset, says of the client's last.
    #[inline(always)]
    pub(super) fn note_answer(&mut self, segment: &Segment<'_>, no: PacketNo, now: Stamp) {
        self.paused = Span(0);
        let tcp = &mut self.evidence.tcp;
        if tcp.pause.as_ref().is_some_and(|pause| !pause.value.answered)
            && let Some(pause) = &mut tcp.pause
        {
            pause.value.answered = true;
        }
        if tcp.syn_ack.is_none()
            && let Some(syn) = &tcp.syn
            && !segment.flags.syn()
            && segment.ack != syn.value.wrapping_add(1)
            && segment.payload_wire_len == 0
        {
            // The SYN's own timestamp is known from when it was sent again.
            let echo = segment.options.timestamp.map(|(_, echo)| echo);
            let ahead = tcp.clock.zip(echo).map(|(clock, echo)| {
                let own = clock.wrapping_add(millis(now));
                Span::from_millis(echo.wrapping_sub(own).cast_signed().into())
            });
            let value = Challenge { asks: segment.ack, ahead };
            match &mut tcp.challenge {
                Some(challenge) => {
                    challenge.value = value;
                    challenge.at.add(no);
                }
                none => *none = Some(Seen::new(value, no, now)),
            }
        }
    }
}

/// The sender's timestamp clock, as far as capture time tells it.
pub(super) fn clock(segment: &Segment<'_>, now: Stamp) -> Option<u32> {
    segment.options.timestamp.map(|(value, _)| value.wrapping_sub(millis(now)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "timestamps wrap too")]
fn millis(now: Stamp) -> u32 {
    (now.0 / 1_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{FlowKey, Limits, Side};
    use crate::decode::{Hop, TcpFlags, TcpOptions};
    use crate::evidence::fixture::{CLIENT, Parses, SERVER, START};

    const SYN: u8 = TcpFlags::SYN;
    const ACK: u8 = TcpFlags::ACK;
    /// The first bytes of a ClientHello.
    const HELLO: &[u8] = &[22, 3, 1, 0, 100, 1, 0, 0, 96, 3, 3];

    /// Packets of a connection: milliseconds, sender, flags, sequence number, acknowledgment, timestamps, payload.
    type Came<'a> = (i64, Side, u8, u32, u32, Option<(u32, u32)>, &'a [u8]);

    fn attempt(packets: &[Came<'_>]) -> Attempt {
        let (_, sends) = FlowKey::of(CLIENT, SERVER);
        let mut attempt = Attempt::new(CLIENT, SERVER, sends, true, PacketNo(1), START);
        for (no, &(millis, from, flags, seq, ack, timestamp, payload)) in (1..).zip(packets) {
            let (src, dst) = if from == Side::Client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
            let segment = Segment {
                hop: Hop { src: src.addr, dst: dst.addr, ttl: 64, ..Hop::default() },
                src_port: src.port,
                dst_port: dst.port,
                seq,
                ack,
                flags: TcpFlags(flags),
                window: 7,
                options: TcpOptions { timestamp, ..TcpOptions::default() },
                payload,
                payload_wire_len: u32::try_from(payload.len()).unwrap(),
            };
            let when = START + Span::from_millis(millis);
            attempt.segment(&segment, from, PacketNo(no), when, when, &Limits::default(), &mut Parses);
        }
        attempt
    }

    fn set_up() -> Vec<Came<'static>> {
        vec![
            (0, Side::Client, SYN, 100, 0, None, b""),
            (20, Side::Server, SYN | ACK, 500, 101, None, b""),
            (20, Side::Client, ACK, 101, 501, None, b""),
        ]
    }

    fn pause(packets: &[Came<'_>]) -> Option<(Span, bool)> {
        attempt(packets).evidence.tcp.pause.as_ref().map(|pause| (pause.value.lasted, pause.value.answered))
    }

    #[test]
    fn a_pause_lasts_from_the_last_packet_to_the_clients_bytes() {
        let mut packets = set_up();
        packets.push((400_020, Side::Client, ACK, 101, 501, None, HELLO));
        assert_eq!(pause(&packets), Some((Span::from_secs(400), false)));
        packets.push((409_000, Side::Client, ACK, 101, 501, None, HELLO));
        assert_eq!(pause(&packets), Some((Span::from_secs(400), false)), "sent again");
        packets.push((410_000, Side::Server, ACK, 501, 112, None, b""));
        assert_eq!(pause(&packets), Some((Span::from_secs(400), true)));
    }

    #[test]
    fn keep_alives_leave_no_pause_and_a_reset_is_no_answer() {
        let mut packets = set_up();
        for n in 1..100 {
            packets.push((n * 4_000, Side::Client, ACK, 100, 501, None, b""));
            packets.push((n * 4_000 + 20, Side::Server, ACK, 501, 101, None, b""));
        }
        packets.push((400_000, Side::Client, ACK, 101, 501, None, HELLO));
        assert_eq!(pause(&packets), None);
        let mut packets = set_up();
        packets.push((30_020, Side::Client, ACK, 101, 501, None, HELLO));
        packets.push((30_040, Side::Server, TcpFlags::RST, 501, 0, None, b""));
        assert_eq!(pause(&packets), Some((Span::from_secs(30), false)));
    }

    #[test]
    fn a_reset_knows_the_silence_that_what_it_answers_ended() {
        let paused = |packets: &[Came<'_>]| attempt(packets).evidence.tcp.resets[0].value.paused;
        let refused = |at| (at, Side::Server, TcpFlags::RST, 501, 0, None, &b""[..]);
        let (first, rest) = HELLO.split_at(5);
        let mut packets = set_up();
        packets.push((520, Side::Client, ACK, 101, 501, None, first));
        packets.push((521, Side::Client, ACK, 106, 501, None, rest));
        packets.push(refused(522));
        assert_eq!(paused(&packets), Span::from_millis(500), "the rest came at once behind the first");
        packets.insert(5, (522, Side::Server, ACK, 501, 112, None, b""));
        assert_eq!(paused(&packets), Span(0), "the server was reached behind the silence");
    }

    #[test]
    fn an_acknowledgment_of_another_connection_is_a_challenge() {
        let first = 1_000_000;
        let packets = [
            (0, Side::Client, SYN, 100, 0, Some((first, 0)), &b""[..]),
            (20, Side::Server, ACK, 7_000, 9_000, Some((5, first + 60_000)), b""),
            (20, Side::Client, TcpFlags::RST, 9_000, 0, None, b""),
            (1_000, Side::Client, SYN, 100, 0, Some((first + 1_000, 0)), b""),
            (1_020, Side::Server, ACK, 7_000, 9_000, Some((5, first + 60_000)), b""),
        ];
        let told = |packets: &[Came<'_>]| attempt(packets).evidence.tcp.challenge.clone();
        let once = told(&packets[..2]).unwrap();
        assert_eq!(once.value, Challenge { asks: 9_000, ahead: None }, "the first SYN's clock is not kept");
        let twice = told(&packets).unwrap();
        assert_eq!(twice.at.iter().count(), 2);
        assert_eq!(twice.value.ahead, Some(Span::from_millis(58_980)));
        assert_eq!(told(&set_up()), None);
    }
}
