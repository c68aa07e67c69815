//! Attempts over DTLS, from datagrams made here.

use std::sync::Arc;

use super::*;
use crate::base::PacketNo;
use crate::evidence::decryption::{HadKeys, Held};
use crate::evidence::fixture::{Parses, SERVER, START, icmp_error};
use crate::evidence::talk::fixture::Feed;
use crate::evidence::{Ending, Outcome};
use crate::tls::cert::Certificate;
use crate::tls::codes::AlertDescription;
use crate::tls::hello::ClientHello;
use crate::tls::keys::{Keys, Secret, tls12};

/// A record; its number is made from how many were sent.
fn record(kind: u8, epoch: u8, number: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u16).to_be_bytes();
    [&[kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, number][..], &len, body].concat()
}

/// A part of a handshake message.
fn part(kind: u8, sequence: u8, whole: usize, offset: usize, body: &[u8]) -> Vec<u8> {
    let three = |n: usize| [0, (n >> 8) as u8, n as u8];
    [&[kind][..], &three(whole), &[0, sequence], &three(offset), &three(body.len()), body].concat()
}

fn whole(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    part(kind, sequence, body.len(), 0, body)
}

/// A ClientHello with this random and cookie, and the extension by which media's keys are asked for.
fn hello(random: u8, cookie: &[u8]) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend([random; 32]);
    body.extend([0, cookie.len() as u8]);
    body.extend(cookie);
    body.extend([0, 2, 0xc0, 0x2b, 1, 0, 0, 9, 0, 14, 0, 5, 0, 2, 0, 1, 0]);
    body
}

fn server_hello() -> Vec<u8> {
    server_hello_of([0xc0, 0x2b])
}

fn server_hello_of([high, low]: [u8; 2]) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend([9; 32]);
    body.extend([0, high, low, 0]);
    body
}

/// Reads each message anew, with a key log or without.
struct Knows(Option<Keys>);

impl Parse for Knows {
    fn certificate(&mut self, der: &[u8]) -> Arc<Certificate> {
        Parses.certificate(der)
    }

    fn client_hello(&mut self, record_version: Version, body: &[u8]) -> Option<ClientHello> {
        Parses.client_hello(record_version, body)
    }

    fn keys(&self) -> Option<&Keys> {
        self.0.as_ref()
    }
}

struct Story {
    feed: Feed<Knows>,
    numbers: PerSide<u8>,
}

impl Story {
    fn new() -> Self {
        Self { feed: Feed::new(Knows(None)), numbers: PerSide::default() }
    }

    /// A datagram, so many milliseconds after the one before.
    fn send(&mut self, from: Side, payload: &[u8], after: i64) -> &mut Self {
        self.feed.send(from, payload, after);
        self
    }

    /// A record in clear or sealed.
    fn says(&mut self, from: Side, kind: u8, epoch: u8, body: &[u8]) -> &mut Self {
        let number = self.numbers.of_mut(from);
        let sent = record(kind, epoch, if epoch == 0 { *number } else { 0 }, body);
        *number += 1;
        self.send(from, &sent, 20)
    }

    /// Both hellos and an empty flight.
    fn answered() -> Self {
        let mut story = Self::new();
        story.says(Side::Client, 22, 0, &whole(1, 0, &hello(1, &[])));
        story.says(Side::Server, 22, 0, &whole(2, 0, &server_hello()));
        story.says(Side::Server, 22, 0, &whole(14, 3, &[]));
        story
    }

    fn ends(&mut self, secs: i64, capture_ended: bool) -> Box<Evidence> {
        self.feed.ends(secs, capture_ended)
    }
}

#[test]
fn a_hello_counts_with_its_cookie_and_cites_both() {
    let mut story = Story::new();
    story.says(Side::Client, 22, 0, &whole(1, 0, &hello(1, &[])));
    story.says(Side::Server, 22, 0, &whole(3, 0, &[0xfe, 0xff, 2, 5, 5]));
    story.says(Side::Client, 22, 0, &whole(1, 1, &hello(1, &[5, 5])));
    story.says(Side::Server, 22, 0, &whole(2, 1, &server_hello()));
    let e = story.ends(70, false);
    let hello = e.hello.as_ref().unwrap();
    assert_eq!(hello.at.iter().collect::<Vec<_>>(), [PacketNo(1), PacketNo(3)]);
    assert!(hello.value.ja4().starts_with("dd2i0101"), "{}", hello.value.ja4());
    let facts = e.dtls.as_ref().unwrap();
    assert!(facts.verify.is_some() && facts.cookie && e.by_fingerprint());
    assert_eq!(e.version(), Some(Version::DTLS12));
}

#[test]
fn a_message_lost_to_the_capture_hides_no_other() {
    let mut story = Story::new();
    story.says(Side::Client, 22, 0, &whole(1, 0, &hello(1, &[])));
    story.says(Side::Server, 22, 0, &whole(14, 3, &[]));
    story.says(Side::Server, 22, 0, &part(2, 0, 38, 20, &server_hello()[20..]));
    story.says(Side::Server, 22, 0, &part(2, 0, 38, 0, &server_hello()[..30]));
    let e = story.ends(1, true);
    assert!(e.server_hello.is_some() && e.server_hello_done.is_some());
    assert_eq!(e.outcome, Outcome::Incomplete);
}

#[test]
fn what_comes_before_the_server_s_hello_is_bounded_and_its_loss_counted() {
    let mut story = Story::new();
    story.says(Side::Client, 22, 0, &whole(1, 0, &hello(1, &[])));
    let (most, size) = (Limits::default().bytes_per_side, 60_000);
    for sequence in 1..6 {
        story.says(Side::Server, 22, 0, &whole(11, sequence, &vec![0; size]));
    }
    assert!((size..=most).contains(&story.feed.talk.as_ref().unwrap().held()));
    let e = story.ends(70, false);
    assert_eq!(e.lost.bytes_dropped, 3 * size as u64);
}

#[test]
fn both_finished_is_success_and_data_settles_it() {
    let mut story = Story::answered();
    story.says(Side::Client, 22, 1, &[0; 40]).says(Side::Server, 22, 1, &[0; 40]);
    assert_eq!(story.feed.last, Step::Open);
    story.says(Side::Client, 23, 1, &[0; 50]).says(Side::Server, 23, 1, &[0; 50]);
    assert_eq!(story.feed.last, Step::Settled);
    assert_eq!(story.ends(0, false).outcome, Outcome::Completed);
}

#[test]
fn media_behind_both_finished_settle_it_and_stun_is_passed_over() {
    let mut story = Story::answered();
    assert_eq!(story.send(Side::Client, &[0, 1, 0, 0], 5).feed.last, Step::NotOurs);
    assert_eq!(story.send(Side::Client, &[0x80; 40], 5).feed.last, Step::NotOurs, "before the keys");
    story.says(Side::Client, 22, 1, &[0; 40]).says(Side::Server, 22, 1, &[0; 40]);
    assert_eq!(story.send(Side::Server, &[0x80; 40], 5).feed.last, Step::Settled);
    let e = story.ends(0, false);
    assert_eq!((e.outcome, &e.ending.value), (Outcome::Completed, &Ending::WentOn));
}

#[test]
fn an_alert_in_clear_ends_it_and_one_behind_both_finished_does_not() {
    let mut story = Story::answered();
    story.says(Side::Client, 21, 0, &[2, 48]);
    let e = story.ends(2, false);
    assert_eq!((e.outcome, e.fatal_alert().unwrap().1.description.0), (Outcome::Failed, 48));
    let mut story = Story::answered();
    story.says(Side::Client, 22, 1, &[0; 40]).says(Side::Server, 22, 1, &[0; 40]);
    story.says(Side::Client, 21, 0, &[2, 48]);
    assert_eq!(story.ends(2, false).outcome, Outcome::Completed);
}

#[test]
fn a_sealed_alert_in_place_of_finished_rejects() {
    let mut story = Story::answered();
    story.says(Side::Client, 21, 1, &[0; 26]);
    let e = story.ends(2, false);
    assert_eq!(
        (e.outcome, &e.ending.value),
        (Outcome::Failed, &Ending::SealedAlert { from: Side::Client, len: 26 })
    );
}

#[test]
fn a_hello_sent_again_and_again_is_silence() {
    let hello = whole(1, 0, &hello(1, &[]));
    let mut story = Story::new();
    story.says(Side::Client, 22, 0, &hello);
    assert_eq!(story.ends(60, false).outcome, Outcome::Abandoned, "once");
    let mut story = Story::new();
    for _ in 0..3 {
        story.says(Side::Client, 22, 0, &hello);
    }
    let e = story.ends(10, false);
    assert_eq!((e.outcome, e.tcp.repeats.client.as_ref().unwrap().value), (Outcome::Failed, 2));
}

#[test]
fn a_copy_of_a_packet_is_no_repeat() {
    let datagram = record(22, 0, 0, &whole(1, 0, &hello(1, &[])));
    let mut story = Story::new();
    story.send(Side::Client, &datagram, 0).send(Side::Client, &datagram, 1).send(Side::Client, &datagram, 1);
    let e = story.ends(10, false);
    assert_eq!((e.tcp.repeats.client.is_some(), e.outcome), (false, Outcome::Abandoned));
}

#[test]
fn another_random_is_another_attempt() {
    let mut story = Story::answered();
    story.says(Side::Client, 22, 0, &whole(1, 0, &hello(2, &[])));
    assert_eq!(story.feed.last, Step::Another);
}

#[test]
fn a_closed_port_says_so() {
    let mut story = Story::new();
    story.says(Side::Client, 22, 0, &whole(1, 0, &hello(1, &[])));
    let error = icmp_error(SERVER.addr, false, 3, 3, 17);
    story.feed.talk.as_mut().unwrap().evidence.icmp(error, PacketNo(2), START);
    assert_eq!(story.ends(5, false).outcome, Outcome::Failed);
}

/// What the client and the server of `Story::keyed` seal with.
fn session() -> tls12::Session {
    tls12::Session {
        master: Secret::new(&[5; 48]).unwrap(),
        suite: CipherSuite(0xcca9),
        version: Version::TLS12,
        randoms: PerSide { client: [1; 32], server: [9; 32] },
        encrypt_then_mac: false,
    }
}

/// The line of a key log by which it opens, or does not.
fn line(secret: u8) -> String {
    format!("CLIENT_RANDOM {} {}\n", "01".repeat(32), format!("{secret:02x}").repeat(48))
}

impl Story {
    /// Both hellos and an empty flight, for which there may be keys.
    fn keyed(log: &str) -> (Self, Keys) {
        let keys = Keys::default();
        keys.will_come();
        keys.add(log.as_bytes());
        let mut story = Self::new();
        story.feed.parser = Knows(Some(keys.clone()));
        story.says(Side::Client, 22, 0, &whole(1, 0, &hello(1, &[])));
        story.says(Side::Server, 22, 0, &whole(2, 0, &server_hello_of([0xcc, 0xa9])));
        story.says(Side::Server, 22, 0, &whole(14, 1, &[]));
        (story, keys)
    }

    /// A record sealed by the session's keys.
    fn seals(&mut self, from: Side, kind: u8, number: u8, content: &[u8]) -> &mut Self {
        let version = Version::DTLS12;
        let sealed =
            tls12::tests::seal(&session(), from, 1 << 48 | u64::from(number), kind, version, content);
        self.send(from, &record(kind, 1, number, &sealed), 20)
    }

    /// Both Finished.
    fn finishes(&mut self) -> &mut Self {
        self.seals(Side::Client, 22, 0, &whole(20, 1, &[7; 12]));
        self.seals(Side::Server, 22, 0, &whole(20, 2, &[7; 12]))
    }
}

#[test]
fn an_alert_that_keys_open_is_a_rejection_behind_both_finished_too() {
    let (mut story, _) = Story::keyed(&line(5));
    story.finishes().seals(Side::Client, 21, 1, &[2, 45]);
    let e = story.ends(70, false);
    assert_eq!(e.outcome, Outcome::Failed);
    assert!(
        matches!(e.ending.value, Ending::Alert { from: Side::Client, alert } if alert.description.0 == 45)
    );
    assert!(e.ended_by_opened_alert() && e.is_open());
    let finished = Held::Message(HandshakeType::FINISHED);
    let rejects = Held::Alert(AlertDescription::CERTIFICATE_EXPIRED);
    let held = [(Side::Client, 4, finished), (Side::Server, 5, finished), (Side::Client, 6, rejects)];
    assert_eq!(e.decryption.held, held.map(|(from, no, held)| (from, PacketNo(no), held)));
    // Nobody computed these.
    assert_eq!(e.decryption.finished.client.as_ref().map(|seen| seen.value), Some(false));
}

#[test]
fn without_keys_or_with_wrong_ones_sizes_alone_are_judged() {
    for (log, keys) in [(String::new(), HadKeys::Absent), (line(6), HadKeys::Found)] {
        let (mut story, _) = Story::keyed(&log);
        story.finishes().seals(Side::Client, 21, 1, &[2, 45]);
        let e = story.ends(70, false);
        assert_eq!((e.outcome, e.decryption.keys, e.decryption.opened), (Outcome::Completed, keys, 0));
        assert!(e.alerts.is_empty() && !e.is_open());
    }
}

#[test]
fn keys_that_come_last_open_what_was_kept_and_copies_count_once() {
    let (mut story, keys) = Story::keyed("");
    story.seals(Side::Client, 21, 3, &[2, 48]).seals(Side::Client, 21, 3, &[2, 48]);
    // A forged one, as anybody can send it.
    story.send(Side::Client, &record(21, 1, 3, &[0; 18]), 5);
    keys.add(line(5).as_bytes());
    let e = story.ends(70, false);
    assert_eq!((e.decryption.opened, e.decryption.failed, e.alerts.len()), (1, 1, 1));
    assert_eq!(e.outcome, Outcome::Failed);
}

#[test]
fn a_goodbye_ends_no_handshake_and_data_is_neither_kept_nor_opened() {
    let (mut story, _) = Story::keyed(&line(5));
    story.finishes().seals(Side::Server, 21, 1, &[1, 0]);
    let held = story.feed.talk.as_ref().unwrap().held();
    story.seals(Side::Client, 23, 1, b"a secret");
    assert_eq!((story.feed.last, story.feed.talk.as_ref().unwrap().held()), (Step::Settled, held));
    let e = story.ends(1, false);
    assert_eq!((e.outcome, e.decryption.opened, e.alerts.len()), (Outcome::Completed, 3, 0));
}

#[test]
fn what_waits_for_keys_is_bounded() {
    let (mut story, keys) = Story::keyed("");
    for number in 0..200 {
        story.seals(Side::Client, 21, number, &[2, 48]);
    }
    assert!(story.feed.talk.as_ref().unwrap().held() < 2_000);
    keys.add(line(5).as_bytes());
    let e = story.ends(70, false);
    assert_eq!((e.decryption.opened, e.decryption.failed), (0, 0));
}
