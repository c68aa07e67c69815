use super::*;
use crate::base::Span;
use crate::decode::{Datagram, Hop, TcpFlags, TcpOptions};
use crate::evidence::around::StatusTrouble;

const SERVER: Endpoint = Endpoint { addr: Addr::v4([198, 51, 100, 2]), port: 443 };
const HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// A shard, and packets a millisecond apart.
struct Bench {
    shard: Shard,
    no: u64,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self { shard: Shard::new(Arc::new(limits), Arc::new(Ports::new(&[443])), 0), no: 0 }
    }

    fn now(&self) -> Stamp {
        Stamp(1_000_000 + i64::try_from(self.no).unwrap() * 1_000)
    }

    fn packet(&mut self, src: Endpoint, dst: Endpoint, flags: u8, seq: u32, ack: u32, payload: &[u8]) {
        self.no += 1;
        let hop = Hop { src: src.addr, dst: dst.addr, ttl: 60, ..Hop::default() };
        let segment = Segment {
            hop,
            src_port: src.port,
            dst_port: dst.port,
            seq,
            ack,
            flags: TcpFlags(flags),
            window: 9,
            options: TcpOptions::default(),
            payload,
            payload_wire_len: u32::try_from(payload.len()).unwrap(),
        };
        let now = self.now();
        self.shard.packet(&Packet::Segment(segment), PacketNo(self.no), now, now);
    }

    fn datagram(&mut self, src: Endpoint, dst: Endpoint, payload: &[u8]) {
        self.no += 1;
        let hop = Hop { src: src.addr, dst: dst.addr, ttl: 60, ..Hop::default() };
        let payload_wire_len = u32::try_from(payload.len()).unwrap();
        let datagram = Datagram { hop, src_port: src.port, dst_port: dst.port, payload, payload_wire_len };
        let now = self.now();
        self.shard.packet(&Packet::Datagram(datagram), PacketNo(self.no), now, now);
    }

    fn asks(&mut self, n: u16) {
        self.packet(client(n), SERVER, TcpFlags::SYN, 10, 0, &[]);
    }

    fn is_answered(&mut self, n: u16) {
        self.packet(SERVER, client(n), TcpFlags::SYN | TcpFlags::ACK, 90, 11, &[]);
    }

    fn greets(&mut self, n: u16) {
        self.packet(client(n), SERVER, TcpFlags::ACK, 11, 91, HELLO);
    }

    fn is_finished(&mut self, n: u16, port: u16) {
        let server = Endpoint { port, ..SERVER };
        self.packet(client(n), server, TcpFlags::SYN, 10, 0, &[]);
        self.packet(client(n), server, TcpFlags::ACK, 11, 91, b"GARBAGE that is no TLS");
    }

    fn follows(&self, n: u16, port: u16) -> Follows {
        self.shard.follows(&FlowKey::of(client(n), Endpoint { port, ..SERVER }).0)
    }

    /// Clients of the attempts that were reported, and whether each says that it was evicted.
    fn reported(&mut self) -> Vec<(u16, bool)> {
        let closed = self.shard.drain().filter_map(|out| match out.what {
            What::Closed(evidence) => Some((evidence.client.port, evidence.lost.flows_evicted == 1)),
            _ => None,
        });
        closed.collect()
    }
}

fn client(port: u16) -> Endpoint {
    Endpoint { addr: Addr::v4([192, 0, 2, 1]), port }
}

#[test]
fn a_full_table_gives_up_what_is_finished_then_what_has_shown_least() {
    let mut bench = Bench::new(Limits { flows: 4, ..Limits::default() });
    bench.is_finished(1, 8_080);
    bench.asks(2);
    bench.is_answered(2);
    bench.greets(2);
    bench.asks(3);
    bench.is_answered(3);
    bench.asks(4);
    assert_eq!(bench.shard.census(), Census { open: 3, finished: 1, bytes_held: bench.shard.held as u64 });
    bench.asks(5);
    assert_eq!((bench.reported(), bench.shard.table.len()), (vec![], 4), "the finished one left unsaid");
    for (n, left) in [(6, 4), (7, 5), (8, 6)] {
        bench.asks(n);
        assert_eq!(bench.reported(), [(left, true)], "the SYN that waited longest");
    }
    assert_eq!(bench.follows(3, 443), Follows::Attempt, "it was answered");
    assert_eq!(bench.shard.take_lost().flows_evicted, 3);
    bench.is_answered(7);
    bench.is_answered(8);
    bench.asks(9);
    bench.asks(10);
    assert_eq!(bench.reported(), [(3, true), (9, true)]);
    bench.is_answered(10);
    [7, 8, 10].into_iter().for_each(|n| bench.greets(n));
    bench.asks(11);
    assert_eq!(bench.reported(), [(2, true)], "the hello that waited longest");
}

#[test]
fn attempts_under_way_have_a_bound_of_their_own() {
    let mut bench = Bench::new(Limits { under_way: 2, ..Limits::default() });
    for n in 1..=3 {
        bench.asks(n);
        bench.is_answered(n);
        bench.greets(n);
    }
    assert_eq!(bench.reported(), [(1, true)]);
    assert_eq!(bench.shard.attempts.len(), 2);
}

#[test]
fn hellos_that_nobody_answers_leave_half_of_the_room_free() {
    let mut bench = Bench::new(Limits { bytes_per_shard: 64 << 10, ..Limits::default() });
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    let padding = [&[1, 0x44, 0, 21, 1, 0x40][..], &[0; 0x140]].concat();
    let len = u8::try_from(body.len() + padding.len() - 256).unwrap();
    let hello = [&[22, 3, 1, 1, len + 4, 1, 0, 1, len][..], &body, &padding].concat();
    for n in 1..=1_000 {
        bench.asks(n);
        bench.is_answered(n);
        bench.packet(client(n), SERVER, TcpFlags::ACK, 11, 91, &hello);
    }
    assert_eq!((bench.reported(), bench.shard.attempts.len()), (vec![], 1_000));
    assert!((32 << 10..=33 << 10).contains(&bench.shard.held), "{}", bench.shard.held);
}

#[test]
fn a_finished_connection_is_known_while_it_carries_something() {
    let mut bench = Bench::new(Limits { remembered: Span::from_secs(10), ..Limits::default() });
    bench.is_finished(1, 8_080);
    for n in 2..2_000 {
        for _ in 0..20 {
            bench.packet(client(1), Endpoint { port: 8_080, ..SERVER }, TcpFlags::ACK, 40, 91, b"more");
        }
        bench.is_finished(n, 8_081);
    }
    let known =
        |n| bench.shard.table.find(&FlowKey::of(client(n), Endpoint { port: 8_081, ..SERVER }).0.into());
    assert!(known(1_999).is_some() && known(2).is_none());
    assert!(
        bench
            .shard
            .table
            .find(&FlowKey::of(client(1), Endpoint { port: 8_080, ..SERVER }).0.into())
            .is_some()
    );
    // Some 450 end within ten seconds.
    assert!(bench.shard.table.len() < 1_000, "{}", bench.shard.table.len());
}

#[test]
fn what_was_silent_for_longer_than_it_is_remembered_is_new_whether_its_entry_has_left_or_not() {
    let server = Endpoint { port: 8_080, ..SERVER };
    for others in [0, 1, 5] {
        let mut bench = Bench::new(Limits { remembered: Span::from_secs(10), ..Limits::default() });
        for n in [1, 2] {
            bench.is_finished(n, 8_080);
        }
        bench.no += 5_000;
        bench.packet(client(2), server, TcpFlags::ACK, 40, 91, b"more");
        bench.no += 8_000;
        // Whatever ends makes some entries leave.
        (0..others).for_each(|n| bench.is_finished(100 + n, 8_080));
        bench.reported();
        for n in [1, 2] {
            bench.packet(client(n), server, TcpFlags::ACK, 60, 91, HELLO);
        }
        assert_eq!(bench.follows(1, 8_080), Follows::Attempt, "13 s silent, beside {others}");
        assert_eq!(bench.follows(2, 8_080), Follows::Nothing, "8 s silent, beside {others}");
    }
}

#[test]
fn a_late_copy_of_a_datagram_is_late_for_as_long_as_its_attempt_is_remembered() {
    let quic = |bench: &mut Bench| {
        // A first packet with too little in it to be read.
        let payload = [&[0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0][..], &[0; 1_190]].concat();
        bench.datagram(client(1), SERVER, &payload);
        bench.shard.talks.open()
    };
    for between in [0, 1, 7] {
        let mut bench = Bench::new(Limits { remembered: Span::from_secs(600), ..Limits::default() });
        assert_eq!(quic(&mut bench), 1);
        bench.no += 120_000;
        bench.shard.tick(bench.now());
        assert_eq!((bench.shard.talks.open(), quic(&mut bench)), (0, 0), "a copy");
        bench.no += 400_000;
        // Of a finished attempt whatever else comes counts for nothing, also where others are under way.
        for n in 0..between {
            bench.datagram(client(1), SERVER, &[0x40, 1, 2, 3]);
            bench.datagram(client(50 + n), SERVER, &[0xc0, 0, 0, 0, 1, 8, 9, 9, 9, 9, 9, 9, 9, 9, 0, 0]);
        }
        bench.no += 300_000;
        bench.shard.tick(bench.now());
        let open = bench.shard.talks.open();
        assert_eq!(quic(&mut bench), open + 1, "after 700 s, {between} others");
    }
}

#[test]
fn a_mark_tells_of_the_earliest_packet_behind_which_anything_may_still_end() {
    let mut bench = Bench::new(Limits::default());
    bench.asks(1);
    for n in 2..1_100 {
        bench.asks(n);
        bench.is_answered(n);
        bench.greets(n);
    }
    let mark = |bench: &mut Bench| {
        let now = bench.now();
        bench.no += 5_000;
        bench.shard.mark(PacketNo(bench.no), now);
        bench.shard.drain().find_map(|out| match out.what {
            What::Mark(_, no) => Some(no.0),
            _ => None,
        })
    };
    assert_eq!(mark(&mut bench), Some(1), "an unanswered SYN");
    bench.is_answered(1);
    bench.greets(1);
    assert_eq!(mark(&mut bench), Some(4), "the first hello");
}

#[test]
fn the_end_closes_in_order_of_beginnings_some_at_a_time() {
    let mut bench = Bench::new(Limits::default());
    for n in 1..=3_000 {
        bench.asks(n);
        if n % 3 == 0 {
            bench.is_answered(n);
            bench.greets(n);
        }
    }
    let now = bench.now();
    let mut ends = Vec::new();
    while let Some(next) = bench.shard.finish(now) {
        let some: Vec<_> = bench.shard.drain().filter(|out| matches!(out.what, What::Closed(_))).collect();
        assert!(!some.is_empty() && some.len() <= 1_024 && some.iter().all(|out| out.no < next));
        ends.extend(some.iter().map(|out| out.no));
    }
    ends.extend(bench.shard.drain().filter(|out| matches!(out.what, What::Closed(_))).map(|out| out.no));
    assert_eq!(ends.len(), 3_000);
    assert!(ends.is_sorted());
}

#[test]
fn what_was_seen_behind_a_deadline_is_not_long_ago() {
    let (deadline, seen) = (Stamp(9 << 20), Stamp(10 << 20));
    assert!(since(seconds(seen), deadline) < Span(0));
    assert_eq!(since(seconds(deadline), seen), Span(1 << 20));
}

/// What a shard tells of exchanges: method, certificates asked about, trouble, packets.
fn told(bench: &mut Bench) -> Vec<(&'static str, usize, Option<&'static str>, Vec<u64>)> {
    let outs = bench.shard.drain().filter_map(|out| match out.what {
        What::Status(seen) => {
            let exchange = &seen.value;
            let packets = seen.at.iter().map(|no| no.0).collect();
            Some((
                exchange.method.word(),
                exchange.asked.len(),
                exchange.trouble().map(StatusTrouble::word),
                packets,
            ))
        }
        _ => None,
    });
    outs.collect()
}

/// An OCSP request for one certificate.
fn request() -> Vec<u8> {
    let id = [&[0x30, 7, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a][..], &[4, 1, 9, 4, 1, 9, 2, 1, 5]].concat();
    [5, 4, 3, 2, 1]
        .iter()
        .fold(id, |inside, _| [&[0x30, u8::try_from(inside.len()).unwrap()][..], &inside].concat())
}

const TRY_LATER: &[u8] = &[0x30, 3, 0x0a, 1, 3];

#[test]
fn several_exchanges_on_one_kept_connection_are_told_one_by_one_on_any_port() {
    let mut bench = Bench::new(Limits::default());
    let responder = Endpoint { port: 8_889, ..SERVER };
    let body = request();
    let post = [
        format!("POST / HTTP/1.1\r\nHost: o\r\nContent-Type: application/ocsp-request\r\nContent-Length: {}\r\n\r\n", body.len())
            .as_bytes(),
        &body,
    ]
    .concat();
    let answer = [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n"[..],
        &TRY_LATER[..2],
        b"\r\n3\r\n",
        &TRY_LATER[2..],
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let (cut, _) = (post.len() - 4, 0);
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
    bench.packet(client(1), responder, TcpFlags::SYN, 10, 0, &[]);
    bench.packet(responder, client(1), TcpFlags::SYN | TcpFlags::ACK, 90, 11, &[]);
    let (mut sent, mut got) = (11, 91);
    for _ in 0..2 {
        // The body comes over two segments, and so does the answer.
        bench.packet(client(1), responder, TcpFlags::ACK, sent, got, &post[..cut]);
        bench.packet(client(1), responder, TcpFlags::ACK, sent + len(&post[..cut]), got, &post[cut..]);
        sent += len(&post);
        bench.packet(responder, client(1), TcpFlags::ACK, got, sent, &answer[..50]);
        bench.packet(responder, client(1), TcpFlags::ACK, got + 50, sent, &answer[50..]);
        got += len(&answer);
    }
    let want = |first: u64| ("ocsp_post", 1, Some("try_later"), vec![first, first + 1, first + 2, first + 3]);
    assert_eq!(told(&mut bench), [want(3), want(7)]);
}

#[test]
fn a_request_without_an_answer_is_told_when_the_client_leaves() {
    let mut bench = Bench::new(Limits::default());
    let responder = Endpoint { port: 80, ..SERVER };
    bench.packet(client(1), responder, TcpFlags::SYN, 10, 0, &[]);
    bench.packet(client(1), responder, TcpFlags::ACK, 11, 91, b"GET /ca.crl HTTP/1.1\r\nHost: c\r\n\r\n");
    bench.packet(client(1), responder, TcpFlags::RST, 47, 91, &[]);
    assert_eq!(told(&mut bench), [("crl", 0, Some("unanswered"), vec![2])]);
}

#[test]
fn a_page_that_is_no_list_is_not_told_as_one() {
    let mut bench = Bench::new(Limits::default());
    let server = Endpoint { port: 80, ..SERVER };
    bench.packet(client(1), server, TcpFlags::SYN, 10, 0, &[]);
    let get = b"GET /crlf HTTP/1.1\r\nHost: c\r\n\r\n";
    bench.packet(client(1), server, TcpFlags::ACK, 11, 91, get);
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nfoo";
    bench.packet(server, client(1), TcpFlags::ACK, 91, 11 + u32::try_from(get.len()).unwrap(), page);
    assert_eq!(told(&mut bench), []);
}

const RESOLVER: Endpoint = Endpoint { addr: Addr::v4([198, 51, 100, 53]), port: 53 };

/// What was said on connections and in datagrams to resolvers: name, whether it is an answer, the packets.
fn said(bench: &mut Bench) -> Vec<(String, bool, Vec<u64>)> {
    bench
        .shard
        .drain()
        .filter_map(|out| match out.what {
            What::Dns(said) => {
                let at = said.message.at.iter().map(|no| no.0).collect();
                assert_eq!(said.resolver, RESOLVER);
                Some((said.message.value.name, said.message.value.is_response, at))
            }
            _ => None,
        })
        .collect()
}

/// A message behind its length.
fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

#[test]
fn questions_over_tcp_are_read_however_they_are_cut() {
    use crate::aside::dns::testing::{answer, question};
    let [first, second] = ["one.test", "two.test"].map(|name| framed(&question(7, name, 1)));
    let answers = [
        framed(&answer([0x81, 0x80], "one.test", 1, &[])),
        framed(&answer([0x81, 0x83], "two.test", 1, &[])),
    ];
    let asked = [first.clone(), second].concat();
    let answered = answers.concat();
    for cut in [1, 2, 3, asked.len()] {
        let mut bench = Bench::new(Limits::default());
        bench.packet(client(5), RESOLVER, TcpFlags::SYN, 10, 0, &[]);
        bench.packet(RESOLVER, client(5), TcpFlags::SYN | TcpFlags::ACK, 90, 11, &[]);
        bench.packet(client(5), RESOLVER, TcpFlags::ACK, 11, 91, &[]);
        bench.packet(client(5), RESOLVER, TcpFlags::ACK, 11, 91, &asked[..cut]);
        let rest = 11 + u32::try_from(cut).unwrap();
        bench.packet(client(5), RESOLVER, TcpFlags::ACK, rest, 91, &asked[cut..]);
        bench.packet(RESOLVER, client(5), TcpFlags::ACK, 91, 99, &answered);
        bench.packet(RESOLVER, client(5), TcpFlags::FIN | TcpFlags::ACK, 99, 99, &[]);
        let names: Vec<_> = said(&mut bench).into_iter().map(|(name, answer, _)| (name, answer)).collect();
        let want = [("one.test", false), ("two.test", false), ("one.test", true), ("two.test", true)];
        assert_eq!(names, want.map(|(name, answer)| (name.to_owned(), answer)), "cut at {cut}");
        assert_eq!(bench.shard.census().open, 0);
    }
    // In the middle of a connection.
    let mut bench = Bench::new(Limits::default());
    bench.packet(client(5), RESOLVER, TcpFlags::ACK, 11, 91, &first);
    assert_eq!(said(&mut bench), [("one.test".to_owned(), false, vec![1])]);
}

#[test]
fn connections_to_resolvers_have_a_bound_and_end_by_silence() {
    use crate::aside::dns::testing::question;
    let asked = framed(&question(7, "one.test", 1));
    let mut bench = Bench::new(Limits::default());
    for n in 0..5_000 {
        bench.packet(client(n), RESOLVER, TcpFlags::ACK, 11, 91, &asked[..20]);
    }
    assert_eq!((bench.shard.census().open, bench.shard.take_lost().asides_dropped), (4_096, 904));
    bench.shard.tick(Stamp::from_secs(100));
    assert_eq!((bench.shard.census().open, bench.shard.census().bytes_held), (0, 0));
}

#[test]
fn the_date_of_an_answer_is_told_of_whatever_page_and_with_what_is_followed() {
    let mut bench = Bench::new(Limits::default());
    let server = Endpoint { port: 80, ..SERVER };
    let answer = b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n";
    let date = Stamp::from_secs(784_111_777);
    bench.packet(client(1), server, TcpFlags::SYN, 10, 0, &[]);
    bench.packet(client(1), server, TcpFlags::ACK, 11, 91, b"GET / HTTP/1.1\r\n\r\n");
    bench.packet(server, client(1), TcpFlags::ACK, 91, 29, answer);
    // The beginning of this connection was not seen.
    bench.packet(server, client(2), TcpFlags::ACK, 91, 29, answer);
    let dated = |out: Out| match out.what {
        What::Dated(host, seen) => Some((host, seen.value, seen.at.first())),
        _ => None,
    };
    let told: Vec<_> = bench.shard.drain().filter_map(dated).collect();
    assert_eq!(told, [3, 4].map(|no| (SERVER.addr, date, Some(PacketNo(no)))));
    bench.packet(client(3), server, TcpFlags::SYN, 10, 0, &[]);
    bench.packet(client(3), server, TcpFlags::ACK, 11, 91, b"GET /ca.crl HTTP/1.1\r\n\r\n");
    bench.packet(server, client(3), TcpFlags::ACK, 91, 35, answer);
    let clocks: Vec<_> = bench
        .shard
        .drain()
        .filter_map(|out| if let What::Status(seen) = out.what { Some(seen.value.clock) } else { None })
        .collect();
    assert_eq!(clocks, [Some(date)]);
}
