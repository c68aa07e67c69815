//! Requests for TLS in clear and their answers, from packets to events.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader};
use serde_json::{Value, json};
use support::{run, run_with_input};

/// Who speaks.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Client,
    Server,
}
use By::{Client, Server};

/// A conversation over TCP, a packet every 10 ms, as a capture.
struct Talk {
    file: Vec<u8>,
    packets: u32,
    port: u16,
    next: [u32; 2],
}

impl Talk {
    /// Connected.
    fn to(port: u16) -> Self {
        let mut file = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
        file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
        let mut talk = Self { file, packets: 0, port, next: [1_000, 9_000] };
        talk.put(Client, b"", |tcp| tcp.syn());
        talk.next[0] += 1;
        talk.put(Server, b"", |tcp| tcp.syn());
        talk.next[1] += 1;
        talk.put(Client, b"", |tcp| tcp);
        talk
    }

    fn put(
        &mut self,
        by: By,
        bytes: &[u8],
        flags: impl FnOnce(PacketBuilderStep<TcpHeader>) -> PacketBuilderStep<TcpHeader>,
    ) {
        let (client, server) = ([192, 0, 2, 10], [198, 51, 100, 20]);
        let (from, to, ports, [seq, ack]) = match by {
            Client => (client, server, (40_000, self.port), self.next),
            Server => (server, client, (self.port, 40_000), [self.next[1], self.next[0]]),
        };
        let tcp =
            PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(from, to, 64).tcp(ports.0, ports.1, seq, 64_240);
        let step = flags(if self.packets == 0 { tcp } else { tcp.ack(ack) });
        let mut packet = Vec::new();
        step.write(&mut packet, bytes).unwrap();
        let length = u32::try_from(packet.len()).unwrap();
        for number in [1_795_000_000, self.packets * 10_000, length, length] {
            self.file.extend(number.to_le_bytes());
        }
        self.file.extend(packet);
        self.packets += 1;
    }

    fn say(mut self, by: By, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.put(by, bytes, |tcp| tcp.psh());
        self.next[usize::from(by == Server)] += u32::try_from(bytes.len()).unwrap();
        self
    }

    fn close(mut self, by: By) -> Self {
        self.put(by, b"", |tcp| tcp.fin());
        self.next[usize::from(by == Server)] += 1;
        self
    }

    fn events(&self) -> Vec<Value> {
        run_with_input(&["read", "--json", "--no-progress", "-"], &self.file).handshakes()
    }

    /// Outcome, `starttls`, cause, reason and certainty of the only attempt; nothing where there is none.
    fn told(&self) -> Value {
        match self.events().as_slice() {
            [] => Value::Null,
            [event] => {
                json!(["outcome", "starttls", "cause", "reason", "certainty"].map(|name| event[name].clone()))
            }
            more => panic!("{more:?}"),
        }
    }
}

/// A mail server that lists STARTTLS.
fn smtp() -> Talk {
    Talk::to(25)
        .say(Server, "220 mail.test ESMTP\r\n")
        .say(Client, "EHLO me\r\n")
        .say(Server, "250-mail.test\r\n250 STARTTLS\r\n")
}

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];

#[test]
fn a_refusal_is_cited_and_names_the_protocol() {
    let talk = smtp().say(Client, "STARTTLS\r\n").say(Server, "454 4.7.0 TLS not available\r\n");
    let events = talk.say(Client, "QUIT\r\n").close(Client).events();
    let event = &events[0];
    assert_eq!(event["stage"], "tcp");
    assert_eq!(
        event["ending"],
        json!({"what": "refused", "from": "server", "packets": [8], "said": "454 4.7.0 TLS not available"})
    );
    assert_eq!(event["side"], "server");
    assert_eq!((&event["proofs"][0]["packets"], &event["proofs"][1]["packets"]), (&json!([8]), &json!([7])));
}

#[test]
fn refusals_of_each_protocol() {
    let storage =
        |name, certainty| json!(["failed", name, "storage_permission", "no_certificate_loaded", certainty]);
    let plain = |name, certainty| json!(["failed", name, "protocol_version", "plain_text_peer", certainty]);
    let ldap_ask = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
    let cases = [
        (
            smtp().say(Client, "STARTTLS\r\n").say(Server, "454 TLS not available\r\n").close(Client),
            storage("smtp", "inferred"),
        ),
        (
            smtp().say(Client, "STARTTLS\r\n").say(Server, "502 5.5.1 what?\r\n").close(Client),
            plain("smtp", "suspected"),
        ),
        (
            Talk::to(143)
                .say(Server, "* OK ready\r\n")
                .say(Client, "a STARTTLS\r\n")
                .say(Server, "a BAD TLS support isn't enabled.\r\n")
                .say(Client, "b LOGOUT\r\n")
                .close(Client),
            plain("imap", "inferred"),
        ),
        (
            Talk::to(110)
                .say(Server, "+OK ready\r\n")
                .say(Client, "STLS\r\n")
                .say(Server, "+OK go\r\n")
                .say(Server, "-ERR [SYS/TEMP] TLS initialization failed.\r\n")
                .close(Server),
            storage("pop3", "inferred"),
        ),
        (
            Talk::to(21)
                .say(Server, "220 ftp\r\n")
                .say(Client, "AUTH SSL\r\n")
                .say(Server, "530 Please login with USER and PASS.\r\n")
                .say(Client, "AUTH TLS\r\n")
                .say(Server, "530 Please login with USER and PASS.\r\n")
                .close(Client),
            plain("ftp", "inferred"),
        ),
        (
            Talk::to(389)
                .say(Client, ldap_ask)
                .say(Server, b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00")
                .close(Client),
            storage("ldap", "suspected"),
        ),
        (
            Talk::to(5432).say(Client, SSL_REQUEST).say(Server, "N").close(Client),
            plain("postgresql", "inferred"),
        ),
        (
            smtp().say(Client, "STARTTLS\r\n").say(Server, "421 4.3.2 closing\r\n").close(Server),
            json!(["failed", "smtp", null, null, null]),
        ),
    ];
    for (n, (talk, expected)) in cases.iter().enumerate() {
        assert_eq!(&talk.told(), expected, "case {n}");
    }
}

#[test]
fn a_client_that_goes_on_in_clear_did_not_insist() {
    let went_on = smtp().say(Client, "STARTTLS\r\n").say(Server, "454 TLS not available\r\n");
    let went_on = went_on.say(Client, "MAIL FROM:<a@b.test>\r\n").say(Server, "250 ok\r\n").close(Client);
    assert_eq!(went_on.told(), json!(["abandoned", "smtp", null, null, null]));
    let prefers = Talk::to(5432).say(Client, SSL_REQUEST).say(Server, "N");
    let prefers = prefers.say(Client, b"\0\0\0\x10\0\x03\0\0user\0me\0\0").close(Client);
    assert_eq!(prefers.told(), json!(["abandoned", "postgresql", null, null, null]));
}

#[test]
fn a_capture_that_ends_at_the_refusal_leaves_it_open() {
    let talk = smtp().say(Client, "STARTTLS\r\n").say(Server, "454 TLS not available\r\n");
    assert_eq!(talk.told(), json!(["incomplete", "smtp", null, null, null]));
}

#[test]
fn who_never_asks_for_tls_is_no_attempt() {
    for talk in [
        smtp().say(Client, "MAIL FROM:<a@b.test>\r\n").say(Server, "454 later\r\n").close(Client),
        smtp().say(Client, "QUIT\r\n").close(Client),
        // STARTTLS is not on offer: a client that must have it leaves, and one that wants none does the same.
        Talk::to(25)
            .say(Server, "220 mail.test\r\n")
            .say(Client, "EHLO me\r\n")
            .say(Server, "250 mail.test\r\n")
            .close(Client),
        Talk::to(143).say(Server, "* BYE [UNAVAILABLE] full\r\n").close(Server),
        Talk::to(389).say(Client, b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00").close(Server),
        smtp().say(Client, "STARTTLS\r\n").say(Server, "220 go\r\n").close(Client),
    ] {
        assert_eq!(talk.told(), Value::Null);
    }
}

#[test]
fn keys_that_postfix_and_dovecot_cannot_load() {
    for (capture, starttls, certainty) in [
        ("key-absent-smtp-postfix-curl", json!("smtp"), "inferred"),
        ("key-absent-smtp-postfix-s-client", json!("smtp"), "inferred"),
        ("no-certificate-smtp-postfix-gnutls", json!("smtp"), "inferred"),
        ("key-cut-off-imap-dovecot-curl", json!("imap"), "inferred"),
        ("key-cut-off-imap-dovecot-s-client", json!("imap"), "inferred"),
        ("key-of-another-pop3-dovecot-s-client", json!("pop3"), "inferred"),
        ("key-cut-off-imaps-dovecot-curl", Value::Null, "suspected"),
    ] {
        let path = format!("captures/storage_permission/{capture}.pcap");
        let events = run(&["read", "--json", "--no-progress", &path]).handshakes();
        let [event] = events.as_slice() else { panic!("{capture}: {events:?}") };
        assert_eq!(event["starttls"], starttls, "{capture}");
        let verdict = ["outcome", "cause", "reason", "certainty"].map(|name| event[name].clone());
        assert_eq!(
            json!(verdict),
            json!(["failed", "storage_permission", "no_certificate_loaded", certainty]),
            "{capture}"
        );
    }
}
