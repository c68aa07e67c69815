//! Attempts over QUIC, from datagrams made here.

use super::*;
use crate::base::Endpoint;
use crate::decode::Hop;
use crate::evidence::fixture::{CLIENT, Parses, ROUTER, START, icmp_error};
use crate::evidence::talk::fixture::Feed;
use crate::evidence::{Ending, Outcome};

const DESTINATION: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const OF_CLIENT: [u8; 4] = [0xc1; 4];
const OF_SERVER: [u8; 8] = [0x5e; 8];

/// A ClientHello for `a.test` with this random.
fn hello(random: u8) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([random; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    let extensions: &[u8] = &[
        0, 0, 0, 11, 0, 9, 0, 0, 6, b'a', b'.', b't', b'e', b's', b't', // server_name
        0, 43, 0, 3, 2, 3, 4, // supported_versions
        0, 57, 0, 0, // quic_transport_parameters
    ];
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    message(1, &body)
}

/// A ServerHello of TLS 1.3.
fn server_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([9; 32]);
    body.extend([0, 0x13, 0x01, 0, 0, 6, 0, 43, 0, 2, 3, 4]);
    message(2, &body)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    [&[kind][..], &len[1..], body].concat()
}

fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    let number = |n: usize| [0x40 | (n >> 8) as u8, n as u8];
    [&[6][..], &number(offset), &number(data.len()), data].concat()
}

/// CONNECTION_CLOSE of the transport.
fn close(code: u16) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    vec![0x1c, 0x40 | high, low, 0, 2, b'n', b'o']
}

/// The attempt, and what happens to it.
struct Story {
    feed: Feed<Parses>,
    version: QuicVersion,
    destination: Vec<u8>,
    number: u8,
}

impl Story {
    fn new() -> Self {
        Self {
            feed: Feed::new(Parses),
            version: QuicVersion::V1,
            destination: DESTINATION.to_vec(),
            number: 0,
        }
    }

    fn header(&self, from: Side, kind: Kind) -> Vec<u8> {
        let v2 = u8::from(self.version.has_types_of_v2());
        let number = match kind {
            Kind::Initial => 0,
            Kind::ZeroRtt => 1,
            Kind::Handshake => 2,
        };
        let ids: [&[u8]; 2] = match from {
            Side::Client => [&self.destination, &OF_CLIENT],
            Side::Server => [&OF_CLIENT, &OF_SERVER],
        };
        let mut header = vec![0xc0 | ((number + v2) & 3) << 4];
        header.extend(self.version.0.to_be_bytes());
        ids.iter().for_each(|id| {
            header.push(id.len() as u8);
            header.extend(*id);
        });
        if kind == Kind::Initial {
            header.push(0);
        }
        header
    }

    /// An Initial packet with these frames, padded.
    fn initial(&mut self, from: Side, frames: &[u8]) -> Vec<u8> {
        let cid = Cid::new(&self.destination).unwrap();
        let keys = PacketKey::initial(self.version, &cid).unwrap();
        let mut payload = frames.to_vec();
        payload.resize(payload.len().max(1_170), 0);
        self.number += 1;
        keys.of(from).seal(&self.header(from, Kind::Initial), self.number, &payload)
    }

    /// A Handshake packet that makes a datagram of this length; nobody has its keys.
    fn handshake(&self, from: Side, len: usize) -> Vec<u8> {
        let mut packet = self.header(from, Kind::Handshake);
        let rest = len - packet.len() - 2;
        packet.extend([0x40 | (rest >> 8) as u8, rest as u8]);
        packet.resize(len, 0xaa);
        packet
    }

    /// A datagram, so many milliseconds after the one before.
    fn send(&mut self, from: Side, payload: &[u8], after: i64) -> &mut Self {
        self.feed.send(from, payload, after);
        self
    }

    fn client(&mut self, frames: &[u8], after: i64) -> &mut Self {
        let packet = self.initial(Side::Client, frames);
        self.send(Side::Client, &packet, after)
    }

    fn server(&mut self, frames: &[u8], after: i64) -> &mut Self {
        let packet = self.initial(Side::Server, frames);
        self.send(Side::Server, &packet, after)
    }

    /// Nothing more comes for so many seconds.
    fn ends(&mut self, secs: i64, capture_ended: bool) -> Box<Evidence> {
        self.feed.ends(secs, capture_ended)
    }

    /// Both hellos and the server's flight.
    fn answered() -> Self {
        let mut story = Self::new();
        story.client(&crypto(0, &hello(1)), 0).server(&crypto(0, &server_hello()), 20);
        let flight = story.handshake(Side::Server, 1_200);
        story.send(Side::Server, &flight, 1);
        story
    }
}

#[test]
fn a_hello_is_read_whatever_the_order_of_its_bytes() {
    let hello = hello(1);
    let (head, tail) = hello.split_at(50);
    let whole = vec![crypto(0, &hello)];
    let swapped = vec![[crypto(50, tail), crypto(0, head)].concat()];
    let several = vec![crypto(50, tail), crypto(20, &hello[20..60]), crypto(0, &head[..30])];
    for datagrams in [whole, swapped, several] {
        let mut story = Story::new();
        for frames in &datagrams {
            story.client(frames, 1);
        }
        let evidence = story.ends(0, true);
        assert_eq!(evidence.sni(), Some("a.test"));
        let hello = evidence.hello.unwrap();
        assert!(hello.value.ja4().starts_with("q13d0103"), "{}", hello.value.ja4());
        assert_eq!(hello.at.last(), Some(PacketNo(datagrams.len() as u64)));
    }
}

#[test]
fn both_versions_complete_once_packets_of_1_rtt_answer_each_other() {
    for version in [QuicVersion::V1, QuicVersion::V2] {
        let mut story = Story::new();
        story.version = version;
        story.client(&crypto(0, &hello(1)), 0).server(&crypto(0, &server_hello()), 20);
        let (flight, finished) = (story.handshake(Side::Server, 1_200), story.handshake(Side::Client, 110));
        story.send(Side::Server, &flight, 0).send(Side::Client, &finished, 1);
        let short = [&[0x41][..], &[7; 60]].concat();
        story.send(Side::Client, &short, 1).send(Side::Server, &short, 20);
        assert_eq!(story.feed.last, Step::Open);
        story.send(Side::Client, &short, 1);
        assert_eq!(story.feed.last, Step::Settled);
        let evidence = story.ends(0, false);
        assert_eq!((evidence.outcome, evidence.stage), (Outcome::Completed, Stage::Application));
        assert_eq!(evidence.quic.unwrap().version, version);
    }
}

#[test]
fn behind_a_retry_the_client_goes_on_to_another_address_of_the_server_s() {
    let mut story = Story::new();
    story.client(&crypto(0, &hello(1)), 0);
    let mut retry = vec![0xf0, 0, 0, 0, 1, 4];
    retry.extend(OF_CLIENT);
    retry.push(3);
    retry.extend([7, 7, 7]);
    retry.extend([0; 40]);
    story.send(Side::Server, &retry, 20);
    story.destination = vec![7, 7, 7];
    story.client(&crypto(0, &hello(1)), 1).server(&crypto(0, &server_hello()), 20);
    let evidence = story.ends(0, true);
    assert!(evidence.quic.unwrap().retry.is_some());
    assert_eq!(evidence.stage, Stage::ServerHello);
    assert!(evidence.tcp.repeats.client.is_none(), "the server asked for it");
}

#[test]
fn a_server_s_list_of_versions_ends_it_or_is_heeded() {
    let list = |story: &mut Story, version: u32| {
        let mut list = vec![0x80, 0, 0, 0, 0, 4];
        list.extend(OF_CLIENT);
        list.push(8);
        list.extend(DESTINATION);
        list.extend(version.to_be_bytes());
        story.client(&crypto(0, &hello(1)), 0).send(Side::Server, &list, 20);
    };
    let mut story = Story::new();
    list(&mut story, QuicVersion::V2.0);
    assert_eq!(story.ends(30, false).outcome, Outcome::Failed);
    let mut story = Story::new();
    list(&mut story, QuicVersion::V2.0);
    story.version = QuicVersion::V2;
    story.client(&crypto(0, &hello(2)), 1).server(&crypto(0, &server_hello()), 20);
    let evidence = story.ends(0, true);
    let facts = evidence.quic.unwrap();
    assert_eq!((facts.first_version, facts.version), (Some(QuicVersion::V1), QuicVersion::V2));
    assert_eq!(evidence.hello.unwrap().value.random, [2; 32]);
}

#[test]
fn a_close_that_stands_for_an_alert_is_one() {
    let mut story = Story::new();
    story.client(&crypto(0, &hello(1)), 0).server(&close(0x178), 20);
    let evidence = story.ends(2, false);
    assert_eq!(evidence.outcome, Outcome::Failed);
    let (from, alert, at) = evidence.fatal_alert().unwrap();
    assert_eq!((from, alert.description.0, at.first()), (Side::Server, 120, Some(PacketNo(2))));
}

#[test]
fn a_close_without_an_error_is_a_goodbye_and_a_refusal_is_none() {
    let ended = |from: Side, code: u16| {
        let mut story = Story::new();
        story.client(&crypto(0, &hello(1)), 0).server(&[1], 20);
        let packet = story.initial(from, &close(code));
        story.send(from, &packet, 5);
        story.ends(2, false).outcome
    };
    assert_eq!(ended(Side::Client, 0), Outcome::Abandoned);
    assert_eq!(ended(Side::Client, 0x0c), Outcome::Abandoned);
    assert_eq!(ended(Side::Server, 2), Outcome::Failed);
}

#[test]
fn silence_is_a_failure_where_the_client_persisted() {
    let unanswered = |resent: &[i64], secs: i64, capture_ended: bool| {
        let mut story = Story::new();
        story.client(&crypto(0, &hello(1)), 0);
        resent.iter().for_each(|&after| {
            story.client(&crypto(0, &hello(1)), after);
        });
        story.ends(secs, capture_ended)
    };
    let evidence = unanswered(&[1_000, 2_000, 4_000], 30, false);
    assert_eq!(evidence.outcome, Outcome::Failed);
    assert!(matches!(evidence.ending.value, Ending::Silence { .. }));
    assert_eq!(evidence.tcp.repeats.client.as_ref().unwrap().value, 3);
    assert_eq!(unanswered(&[300, 600, 1_200], 30, false).outcome, Outcome::Abandoned, "it lost a race");
    assert_eq!(unanswered(&[], 30, false).outcome, Outcome::Abandoned);
    assert_eq!(unanswered(&[], 1, true).outcome, Outcome::Incomplete);
}

#[test]
fn a_client_that_closes_unanswered_waited_in_vain() {
    let mut story = Story::new();
    story.client(&crypto(0, &hello(1)), 0);
    [1_000, 2_000].iter().for_each(|&after| {
        story.client(&crypto(0, &hello(1)), after);
    });
    story.client(&close(0), 1_000);
    assert_eq!(story.feed.last, Step::Settled);
    assert_eq!(story.ends(0, false).outcome, Outcome::Failed);
}

#[test]
fn icmp_ends_it_too() {
    let mut story = Story::new();
    story.client(&crypto(0, &hello(1)), 0);
    let error = icmp_error(ROUTER, false, 3, 13, 17);
    story.feed.talk.as_mut().unwrap().evidence.icmp(error, PacketNo(2), START + Span::from_millis(9));
    assert_eq!(story.ends(30, false).outcome, Outcome::Failed);
}

#[test]
fn a_close_in_a_sealed_packet_is_told_by_its_size_and_by_the_silence_of_both() {
    let ended = |len: usize, again: bool, secs: i64| {
        let mut story = Story::answered();
        let word = story.handshake(Side::Client, len);
        story.send(Side::Client, &word, 5);
        if again {
            let flight = story.handshake(Side::Server, 1_200);
            story.send(Side::Server, &flight, 3_000);
        }
        story.ends(secs, secs < 3).outcome
    };
    assert_eq!(ended(135, false, 30), Outcome::Failed);
    assert_eq!(ended(223, false, 30), Outcome::Failed);
    assert_eq!(ended(40, false, 30), Outcome::Abandoned, "an acknowledgment");
    assert_eq!(ended(900, false, 30), Outcome::Abandoned, "a certificate of the client's");
    assert_eq!(ended(135, true, 30), Outcome::Abandoned, "the server still waits");
    assert_eq!(ended(135, false, 1), Outcome::Incomplete, "the capture ended");
}

#[test]
fn another_connection_between_the_same_ends_is_another_attempt() {
    let mut story = Story::answered();
    story.destination = vec![9; 8];
    let cid = Cid::new(&[9; 8]).unwrap();
    let keys = PacketKey::initial(QuicVersion::V1, &cid).unwrap();
    let mut header = vec![0xc0, 0, 0, 0, 1, 8];
    header.extend([9; 8]);
    header.extend([4, 0xdd, 0xdd, 0xdd, 0xdd, 0]);
    let mut payload = crypto(0, &hello(3));
    payload.resize(1_170, 0);
    let packet = keys.client.seal(&header, 1, &payload);
    story.send(Side::Client, &packet, 9);
    assert_eq!(story.feed.last, Step::Another);
    assert_eq!(story.ends(0, true).tcp.packets.client, 1, "nothing is noted of it");
}

#[test]
fn what_the_capture_cut_or_begins_behind_is_incomplete() {
    let mut story = Story::new();
    let packet = story.initial(Side::Client, &crypto(0, &hello(1)));
    let mut damaged = packet.clone();
    damaged[600] ^= 1;
    story.send(Side::Client, &damaged, 0);
    let evidence = story.ends(60, false);
    assert_eq!((evidence.outcome, evidence.hello.is_none()), (Outcome::Incomplete, true));
    assert_eq!(evidence.quic.unwrap().unopened, 1);
}

#[test]
fn google_s_own_versions_are_told_and_not_read() {
    let mut story = Story::new();
    let mut packet = vec![0xc3];
    packet.extend(b"Q046");
    packet.resize(1_350, 0x55);
    story.send(Side::Client, &packet, 0);
    let evidence = story.ends(60, false);
    assert_eq!(evidence.outcome, Outcome::Incomplete);
    assert_eq!(evidence.quic.unwrap().version.to_string(), "Q046");
}

#[test]
fn whatever_bytes_come_nothing_breaks() {
    let mut seed = 7_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    for _ in 0..300 {
        let mut story = Story::answered();
        let mut packet = story.initial(Side::Client, &crypto(20, &hello(1)));
        for _ in 0..=next() % 4 {
            let at = usize::from(next()) % packet.len().min(60);
            packet[at] = next();
        }
        let keep = packet.len().min(usize::from(next()) * 5);
        story.send(Side::Client, &packet[..keep], 1).send(Side::Server, &packet, 1);
        let _ = story.feed.talk.take().map(|talk| talk.held());
    }
}

#[test]
fn a_ladder_says_what_datagrams_hold() {
    let mut story = Story::new();
    let mut teller = Teller::default();
    let mut say = |payload: &[u8], from: Side| {
        let Endpoint { addr, port } = CLIENT;
        let hop = Hop { src: addr, dst: addr, ttl: 64, ip_id: None, dont_fragment: true, link_src: None };
        let datagram =
            Datagram { hop, src_port: port, dst_port: port, payload, payload_wire_len: payload.len() as u32 };
        teller.say(&datagram, from)
    };
    let hello = story.initial(Side::Client, &crypto(0, &hello(1)));
    assert_eq!(say(&hello, Side::Client), ["Initial[ClientHello]"]);
    let mut answer = story.initial(Side::Server, &crypto(0, &server_hello()));
    answer.extend(story.handshake(Side::Server, 200));
    answer.extend([0x41; 40]);
    assert_eq!(say(&answer, Side::Server), ["Initial[ServerHello]", "Handshake", "1-RTT"]);
    let again = story.initial(Side::Client, &crypto(0, &self::hello(1)));
    assert_eq!(say(&again, Side::Client), ["Initial[the same again]"]);
    let closing = story.initial(Side::Client, &close(0x12a));
    assert_eq!(say(&closing, Side::Client), ["Initial[CONNECTION_CLOSE: alert 42]"]);
}
