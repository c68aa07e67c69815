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

/// A MySQL server's greeting; with TLS among its capabilities or without.
fn mysql(tls: bool) -> Vec<u8> {
    let mut packet = b"\x4a\0\0\0\x0a8.0.36\0\x01\0\0\0saltsalt\0".to_vec();
    packet.extend_from_slice(&[0xff, if tls { 0xff } else { 0xf7 }, 8, 2, 0, 0x0f, 0]);
    packet.resize(78, 0);
    packet
}

/// RDP's request for TLS, and an answer to it.
const RDP_ASK: &[u8] = b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x01\0\0\0";
fn rdp(kind: u8, code: u8) -> [u8; 19] {
    [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, kind, 0, 8, 0, code, 0, 0, 0]
}

const CONNECT: &str = "CONNECT www.test:443 HTTP/1.1\r\nHost: www.test:443\r\n\r\n";

#[test]
fn refusals_of_databases_desktops_and_proxies() {
    let ssl_request = [&b"\x20\0\0\x01\x85\xae\x0f\0"[..], &[0; 28]].concat();
    let error = b"\x17\0\0\x02\xff\x13\x04#08S01Bad handshake";
    let through = |answer: &str| Talk::to(3128).say(Client, CONNECT).say(Server, answer).close(Client);
    let socks = |code: u8| {
        let talk = Talk::to(1080).say(Client, b"\x05\x01\0").say(Server, b"\x05\0");
        let talk = talk.say(Client, b"\x05\x01\0\x03\x08www.test\x01\xbb");
        talk.say(Server, [5, code, 0, 1, 0, 0, 0, 0, 0, 0]).close(Server)
    };
    let firewall = |name, reason| json!(["failed", name, "firewall", reason, "proven"]);
    let gone = |name| json!(["failed", name, "storage_permission", "listener_gone", "suspected"]);
    let nothing = |name| json!(["failed", name, null, null, null]);
    let cases = [
        (
            Talk::to(3306)
                .say(Server, mysql(true))
                .say(Client, &ssl_request)
                .say(Server, error)
                .close(Server),
            nothing("mysql"),
        ),
        (
            Talk::to(3389).say(Client, RDP_ASK).say(Server, rdp(3, 3)).close(Client),
            json!(["failed", "rdp", "storage_permission", "no_certificate_loaded", "inferred"]),
        ),
        (
            Talk::to(3389).say(Client, RDP_ASK).say(Server, rdp(3, 2)).close(Client),
            json!(["failed", "rdp", "protocol_version", "plain_text_peer", "inferred"]),
        ),
        (
            Talk::to(3389).say(Client, RDP_ASK).say(Server, rdp(3, 5)).close(Client),
            json!(["failed", "rdp", "protocol_version", "credssp_required", "inferred"]),
        ),
        (through("HTTP/1.1 403 Forbidden\r\n\r\nno"), firewall("http_connect", "proxy_refused")),
        (through("HTTP/1.1 407 Who?\r\n\r\n"), firewall("http_connect", "proxy_authentication")),
        (
            through("HTTP/1.1 502 Bad\r\nProxy-Status: x; error=dns_error\r\n\r\n"),
            json!(["failed", "http_connect", "dns_inconsistency", "proxy_lookup_failed", "inferred"]),
        ),
        (through("HTTP/1.1 503 Down\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n\r\n"), gone("http_connect")),
        (through("HTTP/1.1 504 Late\r\n\r\n"), nothing("http_connect")),
        (socks(2), firewall("socks", "proxy_refused")),
        (socks(5), gone("socks")),
        (socks(4), nothing("socks")),
    ];
    for (n, (talk, expected)) in cases.iter().enumerate() {
        assert_eq!(&talk.told(), expected, "case {n}");
    }
}

#[test]
fn where_a_proxy_was_to_lead_is_told() {
    let talk = Talk::to(3128).say(Client, CONNECT).say(Server, "HTTP/1.1 403 no\r\n\r\n").close(Client);
    let event = &talk.events()[0];
    assert_eq!(event["proxied"], json!({"host": "www.test", "port": 443}));
    assert_eq!((&event["sni"], &event["server"]["port"]), (&json!("www.test"), &json!(3128)));
}

#[test]
fn a_proxy_that_refuses_another_service_is_no_attempt_at_tls() {
    let ask = "CONNECT www.test:22 HTTP/1.1\r\n\r\n";
    let ssh = Talk::to(3128).say(Client, ask).say(Server, "HTTP/1.1 403 no\r\n\r\n").close(Client);
    assert_eq!(ssh.told(), Value::Null);
    // Nobody knows where it would have led.
    let login = Talk::to(1080).say(Client, b"\x05\x01\x02").say(Server, b"\x05\x02");
    let login = login.say(Client, b"\x01\x01b\x01x").say(Server, b"\x01\x01").close(Server);
    assert_eq!(login.told(), Value::Null);
}

#[test]
fn a_server_without_tls_that_nobody_asks_is_no_attempt() {
    let login = [&b"\x28\0\0\x01\x85\xa6\x0f\0"[..], &[0; 36]].concat();
    for talk in [
        Talk::to(3306).say(Server, mysql(false)).close(Client),
        Talk::to(3306)
            .say(Server, mysql(false))
            .say(Client, &login)
            .say(Server, b"\x07\0\0\x02\0\0\0\x02\0\0\0"),
        Talk::to(3389)
            .say(Client, b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\0\0\0\0")
            .say(Server, rdp(3, 1)),
    ] {
        assert_eq!(talk.told(), Value::Null);
    }
}

#[test]
fn what_masks_starttls_is_on_the_path() {
    let masked = |talk: Talk| talk.say(Server, "250-mail.test\r\n250-XXXXXXXA\r\n250 HELP\r\n");
    let begun = || masked(Talk::to(25).say(Server, "220 ****\r\n").say(Client, "EHLO me\r\n"));
    let told = |certainty| json!(["failed", "smtp", "firewall", "starttls_stripped", certainty]);
    let asks = begun().say(Client, "STARTTLS\r\n").say(Server, "500 what?\r\n").say(Client, "QUIT\r\n");
    assert_eq!(asks.close(Client).told(), told("inferred"));
    assert_eq!(begun().say(Client, "QUIT\r\n").close(Client).told(), told("suspected"));
    let mail = begun().say(Client, "MAIL FROM:<a@b.test>\r\n").say(Server, "250 ok\r\n");
    assert_eq!(mail.close(Client).told(), Value::Null);
}

#[test]
fn commands_that_come_a_byte_at_a_time() {
    let mut talk = Talk::to(25);
    let said: [(By, &str); 6] = [
        (Server, "220-mail.test\r\n220 ESMTP\r\n"),
        (Client, "EHLO a-host-with-a-long-name.example.test\r\n"),
        (Server, "250-mail.test\r\n250 STARTTLS\r\n"),
        (Client, "STARTTLS\r\n"),
        (Server, "454 4.7.0 TLS not available\r\n"),
        (Client, "QUIT\r\n"),
    ];
    for (by, words) in said {
        talk = words.as_bytes().chunks(1).fold(talk, |talk, byte| talk.say(by, byte));
    }
    let expected = json!(["failed", "smtp", "storage_permission", "no_certificate_loaded", "inferred"]);
    assert_eq!(talk.close(Client).told(), expected);
    let connect = CONNECT.as_bytes().chunks(1).fold(Talk::to(3128), |talk, byte| talk.say(Client, byte));
    let refused = connect.say(Server, "HTTP/1.1 403 no\r\n\r\n").close(Client);
    assert_eq!(refused.told(), json!(["failed", "http_connect", "firewall", "proxy_refused", "proven"]));
}
