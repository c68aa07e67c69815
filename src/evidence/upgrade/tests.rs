//! What clients and servers say, and what it comes to.

use super::ldap::{START_TLS, ber};
use super::sql::SSL_REQUEST;
use super::*;
use crate::base::PacketNo;
use crate::evidence::fixture::{START, connected, ends, greeted, seen};

/// Client and server in turn, the server first.
fn talk(turns: &[&[u8]]) -> Option<Box<Upgrade>> {
    let mut dialogue = Dialogue::default();
    for (n, bytes) in turns.iter().enumerate() {
        let no = PacketNo(n as u64 + 1);
        let from = if n % 2 == 0 { Side::Server } else { Side::Client };
        assert_eq!(dialogue.hear(from, bytes, no, START), None, "no TLS");
    }
    dialogue.end().0
}

fn why(turns: &[&[u8]]) -> Option<Why> {
    talk(turns).and_then(|upgrade| upgrade.refused.map(|refused| refused.value.why))
}

const EHLO: &[u8] = b"EHLO me\r\n";
const OFFER: &[u8] = b"250-mail\r\n250 STARTTLS\r\n";
const ASK: &[u8] = b"STARTTLS\r\n";

#[test]
fn a_refusal_means_what_its_protocol_says() {
    let smtp = |answer| why(&[b"220 mail ESMTP\r\n", EHLO, OFFER, ASK, answer]);
    let bare = |answer| why(&[b"220 mail ESMTP\r\n", EHLO, b"250-mail\r\n250 SIZE\r\n", ASK, answer]);
    let imap = |answer| why(&[b"* OK ready\r\n", b"a1 starttls\r\n", answer]);
    let pop3 = |answer| why(&[b"+OK ready\r\n", b"STLS\r\n", answer]);
    let ftp = |answer| why(&[b"220 ftp\r\n", b"AUTH TLS\r\n", answer]);
    let nntp = |answer| why(&[b"200 news\r\n", ASK, answer]);
    let sieve = |answer| why(&[b"\"SIEVE\" \"x\"\r\n\"STARTTLS\"\r\nOK\r\n", ASK, answer]);
    let cases = [
        ("postfix", smtp(b"454 4.7.0 TLS not available due to local problem\r\n"), Some(Why::Trouble)),
        ("over several lines", smtp(b"454-no\r\n454 TLS\r\n"), Some(Why::Trouble)),
        ("a rate limit", smtp(b"454 4.7.0 Error: too many new TLS sessions\r\n"), Some(Why::Unclear)),
        ("the service closes", smtp(b"421 4.3.2 closing\r\n"), Some(Why::Unclear)),
        ("dovecot", smtp(b"421 4.3.2 TLS initialization failed.\r\n"), Some(Why::Trouble)),
        ("not known", smtp(b"502 5.5.1 not implemented\r\n"), Some(Why::Unsupported)),
        ("454 of a server that offered nothing", bare(b"454 TLS not available\r\n"), Some(Why::Unable)),
        ("another 4xx of one that offered nothing", bare(b"451 try later\r\n"), Some(Why::Unclear)),
        ("agreed", smtp(b"220 go\r\n"), None),
        ("agreed, then in trouble", imap(b"a1 OK go\r\n* BYE [UNAVAILABLE] no\r\n"), Some(Why::Trouble)),
        ("agreed, then goodbye", imap(b"a1 OK go\r\n* BYE\r\n"), Some(Why::Unable)),
        ("untagged words come between", imap(b"* CAPABILITY IMAP4rev1\r\na1 NO no\r\n"), Some(Why::Unable)),
        ("not set up", imap(b"a1 BAD TLS support isn't enabled.\r\n"), Some(Why::Unsupported)),
        ("a system error", pop3(b"-ERR [SYS/TEMP] no\r\n"), Some(Why::Trouble)),
        ("not enabled", pop3(b"-ERR TLS support isn't enabled.\r\n"), Some(Why::Unsupported)),
        ("no reason", pop3(b"-ERR no\r\n"), Some(Why::Unclear)),
        ("a resource", ftp(b"431 Unable\r\n"), Some(Why::Trouble)),
        ("a policy", ftp(b"534 Request denied\r\n"), Some(Why::Unsupported)),
        (
            "vsftpd without ssl_enable",
            ftp(b"530 Please login with USER and PASS.\r\n"),
            Some(Why::Unsupported),
        ),
        ("configuration or resource", nntp(b"580 Can not initiate TLS\r\n"), Some(Why::Unable)),
        ("no reason, but TLS was offered", sieve(b"NO \"no\"\r\n"), Some(Why::Unable)),
        ("later", sieve(b"BYE (TRYLATER) \"no\"\r\n"), Some(Why::Trouble)),
    ];
    for (name, found, expected) in cases {
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn protocols_without_lines_are_read_too() {
    let ldap = |code: u8| -> Option<Why> {
        let mut ask = vec![0x30, 0x1d, 2, 1, 1, 0x77, 0x18, 0x80, 0x16];
        ask.extend_from_slice(START_TLS);
        // Active Directory writes lengths in four bytes.
        let answer = [0x30, 0x84, 0, 0, 0, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, code, 4, 0, 4, 0];
        why(&[b"", &ask, &answer])
    };
    assert_eq!([ldap(0), ldap(2), ldap(52)], [None, Some(Why::Unsupported), Some(Why::Unable)]);
    assert_eq!(ldap(53), Some(Why::Unclear));
    let postgresql = |answer| why(&[b"", &SSL_REQUEST, answer]);
    assert_eq!([postgresql(b"S"), postgresql(b"N")], [None, Some(Why::Unsupported)]);
    let xmpp = |answer| why(&[b"<stream:features><starttls/>", b"<starttls xmlns='x'/>", answer]);
    assert_eq!([xmpp(b"<proceed/>"), xmpp(b"<failure/></stream:stream>")], [None, Some(Why::Unable)]);
}

#[test]
fn who_speaks_on_before_the_answer_was_quoting() {
    let mail =
        [&b"220 mail\r\n"[..], b"Use this command:\r\nSTARTTLS\r\n", b"", b"Bye\r\n.\r\n", b"554 spam\r\n"];
    assert_eq!(talk(&mail), None);
    assert_eq!(talk(&[b"220 mail\r\n", b"EHLO me\r\n", b"502 no\r\n"]), None, "nobody asked");
    assert_eq!(talk(&[b"SSH-2.0-x\r\n", ASK, b"502 no\r\n"]), None, "another protocol");
}

#[test]
fn a_goodbye_is_no_going_on() {
    let refused = [&b"220 mail\r\n"[..], ASK, b"454 no\r\n", b"QUIT\r\n", b"221 bye\r\n"];
    assert_eq!(talk(&refused).unwrap().went_on, None);
    let opportunistic = [&b"220 mail\r\n"[..], ASK, b"454 no\r\n", b"MAIL FROM:<a@b.test>\r\n"];
    assert!(talk(&opportunistic).unwrap().went_on.is_some());
    // The server's answer to the next words is captured before them.
    let out_of_order = [&b""[..], &SSL_REQUEST, b"NR\0\0\0\x08\0\0\0\0", b"\0\0\0\x09\0\x03\0\0\0"];
    assert!(talk(&out_of_order).unwrap().went_on.is_some());
    let again = [&b"220 ftp\r\n"[..], b"AUTH TLS\r\n", b"504 no\r\n", b"AUTH SSL\r\n", b"234 go\r\n"];
    let again = talk(&again).unwrap();
    assert!(again.accepted.is_some() && again.refused.is_none(), "the last request counts");
}

fn refused(e: &mut Evidence) -> &mut Upgrade {
    e.tcp.bytes = crate::base::PerSide { client: 20, server: 80 };
    e.upgrade = talk(&[b"220 mail\r\n", ASK, b"454 no\r\n"]);
    e.upgrade.as_mut().unwrap()
}

fn outcome(e: &Evidence, capture_ended: bool) -> Option<Outcome> {
    let look = Lookout {
        now: START + Span::from_secs(60),
        capture_ended,
        tls_port: false,
        server_said: b"",
        client_said: b"",
    };
    settle(e, &look).map(|(outcome, _)| outcome)
}

#[test]
fn a_refusal_fails_the_attempt_unless_the_client_can_do_without() {
    let mut e = connected();
    refused(&mut e);
    assert_eq!(outcome(&e, false), Some(Outcome::Failed));
    assert_eq!(
        outcome(&e, true),
        Some(Outcome::Incomplete),
        "what the client did next is not in the capture"
    );
    e.tcp.fin.client = Some(seen((), 9, 60));
    assert_eq!(outcome(&e, true), Some(Outcome::Failed));
    e.tcp.gap.client = 10;
    assert_eq!(outcome(&e, true), Some(Outcome::Incomplete));
    e.tcp.gap.client = 0;
    refused(&mut e).went_on = Some(seen((), 8, 50));
    assert_eq!(outcome(&e, false), Some(Outcome::Abandoned));
    let mut e = greeted();
    refused(&mut e);
    assert_eq!(outcome(&e, true), Some(Outcome::Failed), "the client sent its hello all the same");
}

#[test]
fn a_server_that_leaves_instead_of_an_answer_fails_it_too() {
    let mut e = connected();
    refused(&mut e).refused = None;
    assert_eq!(outcome(&e, false), None);
    e.tcp.fin.server = Some(seen((), 9, 60));
    assert_eq!(outcome(&e, false), Some(Outcome::Failed));
    e.tcp.fin.client = Some(seen((), 8, 50));
    assert_eq!(outcome(&e, false), Some(Outcome::Abandoned), "the client left first");
    ends(&mut e, Ending::CaptureEnded, 9, 60);
    e.upgrade = None;
    assert_eq!(outcome(&e, false), None, "nobody asked");
}

#[test]
fn elements_longer_than_they_are_end_the_reading() {
    for bytes in [
        &b""[..],
        &[0x30],
        &[0x30, 5, 1],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 1],
        &[0x30, 0x80],
        &[0x30, 0x81],
    ] {
        assert_eq!(ber(bytes), None);
    }
    assert_eq!(ber(&[4, 1, 7, 9]), Some((4, &[7][..], &[9][..])));
}

/// Who says what, in order.
type Said<'a> = (Side, &'a [u8]);
use Side::{Client, Server};

/// What came of a conversation that is cut into pieces of so many bytes, and where the TLS in it begins.
fn cut(said: &[Said<'_>], pieces: usize) -> (Option<Box<Upgrade>>, Option<Proxied>, Vec<u8>) {
    let (mut dialogue, mut tls) = (Dialogue::default(), Vec::new());
    for (n, (from, bytes)) in said.iter().enumerate() {
        for piece in bytes.chunks(pieces) {
            if let Some(rest) = dialogue.hear(*from, piece, PacketNo(n as u64 + 1), START) {
                tls = rest.to_vec();
            }
        }
    }
    let (upgrade, proxied) = dialogue.end();
    (upgrade, proxied.map(|seen| seen.value), tls)
}

/// The same however it is cut.
fn follow(said: &[Said<'_>]) -> (Option<Box<Upgrade>>, Option<Proxied>) {
    let (upgrade, proxied, _) = cut(said, usize::MAX);
    for pieces in [1, 2, 3, 7, 64] {
        let (again, to, _) = cut(said, pieces);
        assert_eq!((&again, &to), (&upgrade, &proxied), "in pieces of {pieces}");
    }
    (upgrade, proxied)
}

fn told(said: &[Said<'_>]) -> (Option<Protocol>, Option<Why>, bool, bool) {
    let (upgrade, _) = follow(said);
    let upgrade = upgrade.as_deref();
    (
        upgrade.map(|upgrade| upgrade.protocol),
        upgrade.and_then(Upgrade::why),
        upgrade.is_some_and(|upgrade| upgrade.accepted.is_some()),
        upgrade.is_some_and(|upgrade| upgrade.went_on.is_some()),
    )
}

const HELLO: [u8; 6] = [22, 3, 1, 0, 80, 1];

#[test]
fn lines_say_the_same_however_they_are_cut() {
    let smtp = [
        (Server, &b"220-mail.test\r\n220 ESMTP\r\n"[..]),
        (Client, EHLO),
        (Server, b"250-mail.test\r\n250-STARTTLS\r\n250 SIZE\r\n"),
        (Client, ASK),
        (Server, b"454-4.7.0 TLS is not\r\n454 4.7.0 available\r\n"),
        (Client, b"MAIL FROM:<a@b.test>\r\n"),
    ];
    assert_eq!(told(&smtp[..5]), (Some(Protocol::Smtp), Some(Why::Trouble), false, false));
    assert_eq!(told(&smtp), (Some(Protocol::Smtp), Some(Why::Trouble), false, true));
    let imap = [
        (Server, &b"* OK [CAPABILITY IMAP4rev1 STARTTLS LITERAL+] ready\r\n"[..]),
        (Client, b"a1 STARTTLS\r\n"),
        (Server, b"* CAPABILITY IMAP4rev1\r\na1 OK begin\r\n"),
    ];
    assert_eq!(told(&imap), (Some(Protocol::Imap), None, true, false));
    let long = [b"220 ".to_vec(), vec![b'x'; 5_000], b"\r\n".to_vec()].concat();
    let long = [(Server, &long[..]), (Client, ASK), (Server, b"502 what?\r\n")];
    assert_eq!(told(&long), (Some(Protocol::Smtp), Some(Why::Unsupported), false, false), "a long greeting");
}

#[test]
fn mysql_asks_by_a_packet_behind_which_tls_may_come_at_once() {
    let greeting = |low: u8, high: u8| {
        let mut packet = vec![0, 0, 0, 0, 10];
        packet.extend_from_slice(b"5.5.5-10.11\0\x01\0\0\0saltsalt\0");
        packet.extend_from_slice(&[low, high, 8, 2, 0, 0x0f, 0]);
        packet.extend_from_slice(&[0; 24]);
        packet[0] = u8::try_from(packet.len() - 4).unwrap();
        packet
    };
    let ask = [&[32, 0, 0, 1, 0x85, 0xae, 0x0f, 0][..], &[0; 28]].concat();
    let with = greeting(0xff, 0xf7 | 8);
    let ok = [(Server, &with[..]), (Client, &ask)];
    assert_eq!(told(&ok), (Some(Protocol::MySql), None, false, false));
    assert_eq!(follow(&ok).0.unwrap().offered, Some(true));
    let both = [&ask[..], &HELLO].concat();
    assert_eq!(cut(&[(Server, &with), (Client, &both)], usize::MAX).2, HELLO, "in one segment");
    let error = b"\x19\0\0\x02\xff\x15\x04#08S01Bad handshake of it";
    let refused = [(Server, &with[..]), (Client, &ask), (Server, error)];
    assert_eq!(told(&refused), (Some(Protocol::MySql), Some(Why::Unclear), false, false));
    let without = greeting(0xff, 0xf7);
    let login = [&[40, 0, 0, 1, 0x85, 0xa6, 0x0f, 0][..], &[0; 36]].concat();
    assert_eq!(told(&[(Server, &without), (Client, &login)]).0, None, "a login in clear");
}

#[test]
fn postgresql_may_ask_for_gssapi_first() {
    let gss = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x30];
    let both = [(Client, &gss[..]), (Server, b"N"), (Client, &SSL_REQUEST), (Server, b"S")];
    assert_eq!(told(&both), (Some(Protocol::PostgreSql), None, true, false));
    assert_eq!(told(&both[..2]).0, None, "nobody asked for TLS");
    let error = b"E\0\0\0\x25SFATAL\0C53300\0Mtoo many clients\0\0";
    let full = [(Client, &SSL_REQUEST[..]), (Server, &error[..])];
    assert_eq!(follow(&full).0.unwrap().refused.unwrap().value.said, "too many clients");
}

#[test]
fn rdp_names_what_it_refuses() {
    let ask = |protocols: u8| {
        let mut packet = b"\x03\0\0\x27\x22\xe0\0\0\0\0\0Cookie: mstshash=bob\r\n\x01\0\x08\0".to_vec();
        packet.extend_from_slice(&[protocols, 0, 0, 0]);
        packet[3] = u8::try_from(packet.len()).unwrap();
        packet
    };
    let answer =
        |kind: u8, code: u8| [3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, kind, 0, 8, 0, code, 0, 0, 0];
    let (tls, own) = (ask(1), ask(0));
    let rdp = |kind, code| told(&[(Client, &tls), (Server, &answer(kind, code))]);
    assert_eq!(rdp(2, 1), (Some(Protocol::Rdp), None, true, false));
    assert_eq!(rdp(2, 0).1, Some(Why::Unsupported), "it chose its own security");
    assert_eq!(
        [rdp(3, 2).1, rdp(3, 3).1, rdp(3, 5).1],
        [Why::Unsupported, Why::Trouble, Why::OtherWay].map(Some)
    );
    let old = [3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0];
    assert_eq!(told(&[(Client, &tls), (Server, &old)]).1, Some(Why::Unsupported), "of before");
    assert_eq!(told(&[(Client, &own), (Server, &answer(3, 1))]).0, None, "nobody asked for TLS");
}

#[test]
fn an_http_proxy_says_why() {
    let ask = b"CONNECT WWW.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\n\r\n";
    let http = |answer: &'static str| told(&[(Client, &ask[..]), (Server, answer.as_bytes())]).1;
    assert_eq!(http("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n"), Some(Why::Policy));
    assert_eq!(
        http("HTTP/1.1 407 Auth\r\nX-Squid-Error: ERR_CACHE_ACCESS_DENIED 0\r\n\r\n"),
        Some(Why::Credentials)
    );
    assert_eq!(http("HTTP/1.1 503 Down\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\n\r\n"), Some(Why::NoName));
    assert_eq!(http("HTTP/1.1 503 Down\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n\r\n"), Some(Why::Closed));
    assert_eq!(
        http("HTTP/1.1 503 Down\r\nX-Squid-Error: ERR_CONNECT_FAIL 110\r\n\r\n"),
        Some(Why::Unreached)
    );
    assert_eq!(
        http("HTTP/1.1 502 Bad\r\nProxy-Status: p; error=connection_refused\r\n\r\n"),
        Some(Why::Closed)
    );
    assert_eq!(http("HTTP/1.0 504 Late\r\n\r\n"), Some(Why::Unreached));
    assert_eq!(http("HTTP/1.1 400 Bad\r\n\r\n"), Some(Why::Unclear));
    assert_eq!(http("HTTP/1.1 403 not whole\r\nContent-"), None);
    let with = b"CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nProxy-Authorization: Basic Ym9iOg==\r\n\r\n";
    let again = [
        (Client, &ask[..]),
        (Server, b"HTTP/1.1 407 A\r\n\r\n"),
        (Client, with),
        (Server, b"HTTP/1.1 200 OK\r\n\r\n"),
    ];
    let (refused, to) = follow(&again[..2]);
    assert!(!refused.unwrap().credentials);
    assert_eq!(to, Some(Proxied { host: "www.example.com".into(), port: 443 }));
    let (upgrade, to) = follow(&again);
    assert_eq!(upgrade, None, "it leads through");
    assert_eq!(to.unwrap().address(), "2001:db8::1".parse().ok());
}

#[test]
fn socks_says_why() {
    let ask = b"\x05\x01\0\x03\x0fwww.example.com\x01\xbb";
    let greet = [(Client, &b"\x05\x02\0\x02"[..]), (Server, b"\x05\0"), (Client, ask)];
    let socks = |code: u8| {
        let answer = [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
        let (upgrade, to) = follow(&[&greet[..], &[(Server, &answer)]].concat());
        (upgrade.and_then(|upgrade| upgrade.why()), to.unwrap().port)
    };
    assert_eq!([socks(0), socks(2)], [(None, 443), (Some(Why::Policy), 443)]);
    assert_eq!([socks(4).0, socks(5).0], [Some(Why::Unreached), Some(Why::Closed)]);
    let login = [
        (Client, &b"\x05\x01\x02"[..]),
        (Server, b"\x05\x02"),
        (Client, b"\x01\x03bob\x01x"),
        (Server, b"\x01\x01"),
    ];
    assert_eq!(told(&login).0, None, "where it would have led is not known");
    let four =
        [(Client, &b"\x04\x01\x01\xbb\0\0\0\x01bob\0www.example.com\0"[..]), (Server, b"\0\x5d\0\0\0\0\0\0")];
    let (upgrade, to) = follow(&four);
    assert_eq!((upgrade.unwrap().why(), &*to.unwrap().host), (Some(Why::Credentials), "www.example.com"));
}

#[test]
fn behind_a_proxy_another_conversation_begins() {
    let said = [
        (Client, &b"CONNECT mail.test:25 HTTP/1.0\r\n\r\n"[..]),
        (Server, b"HTTP/1.0 200 go\r\n\r\n220 mail\r\n"),
        (Client, EHLO),
        (Server, OFFER),
        (Client, ASK),
        (Server, b"454 no\r\n"),
    ];
    let (upgrade, to) = follow(&said);
    assert_eq!(
        upgrade.as_ref().map(|upgrade| (upgrade.protocol, upgrade.why())),
        Some((Protocol::Smtp, Some(Why::Trouble)))
    );
    assert_eq!(to, Some(Proxied { host: "mail.test".into(), port: 25 }));
}

#[test]
fn a_balancers_header_stands_before_all() {
    let first = [&b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 443\r\n"[..], &HELLO].concat();
    assert_eq!(cut(&[(Client, &first)], usize::MAX).2, HELLO);
    let second = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[1; 12], &HELLO].concat();
    assert_eq!(cut(&[(Client, &second)], usize::MAX).2, HELLO);
    let smtp = [
        (Client, &b"PROXY UNKNOWN\r\n"[..]),
        (Server, b"220 mail\r\n"),
        (Client, ASK),
        (Server, b"220 go\r\n"),
    ];
    assert_eq!(told(&smtp), (Some(Protocol::Smtp), None, true, false));
}

#[test]
fn what_is_written_over_starttls_is_told() {
    let masked = b"250-mail\r\n250-SIZE\r\n250-XXXXXXXA\r\n250 HELP\r\n";
    let said = [
        (Server, &b"220 ****\r\n"[..]),
        (Client, EHLO),
        (Server, masked),
        (Client, ASK),
        (Server, b"500 what?\r\n"),
    ];
    assert_eq!(told(&said).1, Some(Why::Stripped), "the client asks anyhow");
    assert_eq!(told(&said[..3]).1, Some(Why::Stripped), "it leaves");
    let mail = [&said[..3], &[(Client, &b"MAIL FROM:<a@b.test>\r\n"[..])]].concat();
    assert_eq!(told(&mail).0, None, "it goes on in clear");
    let at_server = [
        (Server, &b"220 x\r\n"[..]),
        (Client, EHLO),
        (Server, OFFER),
        (Client, b"XXXXXXXX\r\n"),
        (Server, b"500 what?\r\n"),
    ];
    assert_eq!(told(&at_server).1, Some(Why::Stripped), "on the server's side of it");
    let plain = [
        (Server, &b"220 x\r\n"[..]),
        (Client, EHLO),
        (Server, b"250-x\r\n250 SIZE\r\n"),
        (Client, b"QUIT\r\n"),
    ];
    assert_eq!(told(&plain).0, None, "merely not offered");
}

#[test]
fn any_bytes_are_borne() {
    let mut seed = 1_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let starts: [&[u8]; 11] = [
        b"PROXY ",
        b"220 ",
        b"* OK ",
        b"CONNECT a:1 ",
        &[5, 1, 0],
        &[4, 1],
        &[3, 0, 0, 19],
        &[0x30, 0x84],
        &[0, 0, 0, 8],
        b"<s",
        &[60, 0, 0, 0, 10],
    ];
    for start in starts {
        for from in [Client, Server] {
            let mut dialogue = Dialogue::default();
            dialogue.hear(from, start, PacketNo(1), START);
            for n in 0..200 {
                let bytes: Vec<u8> = (0..usize::from(next())).map(|_| next()).collect();
                let side = if next() % 2 == 0 { Client } else { Server };
                dialogue.hear(side, &bytes, PacketNo(n), START);
                assert!(dialogue.held() < 16_384);
            }
            dialogue.end();
        }
    }
}
