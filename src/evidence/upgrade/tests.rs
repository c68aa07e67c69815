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
