//! Ways through a proxy: HTTP's CONNECT (RFC 9110 section 9.3.6) and SOCKS (RFC 1928, RFC 1929, SOCKS 4 and 4a); and the
//! header that a balancer puts before a connection (HAProxy's PROXY protocol).

use super::{Cut, Protocol, Proxied, Refusal, Why, Word, printable, starts};
use crate::base::Side;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A conversation with an HTTP proxy, line by line.
#[derive(Debug, Default)]
pub(super) struct Connect {
    /// Where the request leads whose head is not whole yet.
    to: Option<Proxied>,
    /// The head of an answer, while it is read.
    answer: Option<Answer>,
}

/// What the head of an answer has told.
#[derive(Debug)]
struct Answer {
    status: u16,
    said: String,
    /// What a header field says of the reason.
    told: Option<Why>,
}

impl Connect {
    /// One line of the client.
    pub fn client(&mut self, line: &[u8]) -> Word {
        if let Some(rest) = line.strip_prefix(b"CONNECT ") {
            self.to = rest.split(|&byte| byte == b' ').next().and_then(authority);
            return if self.to.is_some() { Word::Nothing } else { Word::Foreign };
        }
        if self.to.is_none() {
            return Word::Other;
        }
        if line.is_empty() {
            self.answer = None;
            return Word::Ask(Protocol::HttpConnect, self.to.take());
        }
        if starts(line, b"Proxy-Authorization:") { Word::Credentials } else { Word::Nothing }
    }

    /// One line of the proxy.
    pub fn server(&mut self, line: &[u8]) -> Word {
        if self.answer.is_none() && line.starts_with(b"HTTP/1.") {
            let digits = line.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
            let Some(status) = digits.and_then(|digits| digits.parse().ok()) else { return Word::Foreign };
            self.answer = Some(Answer { status, said: printable(line, 80), told: None });
            return Word::Nothing;
        }
        let Some(answer) = &mut self.answer else { return Word::Nothing };
        if !line.is_empty() {
            if let Some(why) = told(line) {
                answer.told = Some(why);
                answer.said = format!("{}; {}", answer.said, printable(line, 80));
            }
            return Word::Nothing;
        }
        let Some(answer) = self.answer.take() else { return Word::Nothing };
        let why = match (answer.status, answer.told) {
            (100..200, _) => return Word::Nothing,
            (200..300, _) => return Word::Through,
            // RFC 9110 section 15.5.8.
            (407, _) => Why::Credentials,
            (_, Some(why)) => why,
            // RFC 9110 section 15.5.4, RFC 7725.
            (403 | 451, _) => Why::Policy,
            (500 | 502..=504, _) => Why::Unreached,
            _ => Why::Unclear,
        };
        Word::No(Refusal { why, said: answer.said })
    }
}

/// Host and port of a request (RFC 9110 section 7.2).
fn authority(text: &[u8]) -> Option<Proxied> {
    let text = std::str::from_utf8(text).ok()?;
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    proxied(host.as_bytes(), port.parse().ok()?)
}

/// A host of printable characters, in lower case.
fn proxied(host: &[u8], port: u16) -> Option<Proxied> {
    let plain = !host.is_empty() && host.len() <= 255 && host.iter().all(u8::is_ascii_graphic);
    let host = std::str::from_utf8(host).ok().filter(|_| plain)?.trim_end_matches('.');
    Some(Proxied { host: host.to_ascii_lowercase().into(), port })
}

/// What a header field of a refusal tells of its reason: Squid's, and Proxy-Status (RFC 9209 section 2.3).
fn told(line: &[u8]) -> Option<Why> {
    let line = std::str::from_utf8(line).ok()?;
    let (name, value) = line.split_once(':')?;
    let value = value.trim();
    if name.eq_ignore_ascii_case("X-Squid-Error") {
        let mut words = value.split(' ');
        return Some(match (words.next()?, words.next()) {
            ("ERR_ACCESS_DENIED", _) => Why::Policy,
            ("ERR_DNS_FAIL", _) => Why::NoName,
            // The number is errno's: ECONNREFUSED of Linux, and of the BSDs.
            ("ERR_CONNECT_FAIL", Some("111" | "61")) => Why::Closed,
            _ => Why::Unreached,
        });
    }
    if !name.eq_ignore_ascii_case("Proxy-Status") {
        return None;
    }
    let error = value.split(';').find_map(|part| part.trim().strip_prefix("error="))?;
    Some(match error.trim_matches('"') {
        "dns_error" => Why::NoName,
        "connection_refused" => Why::Closed,
        "destination_ip_prohibited" | "http_request_denied" => Why::Policy,
        "dns_timeout"
        | "destination_not_found"
        | "destination_unavailable"
        | "destination_ip_unroutable"
        | "connection_terminated"
        | "connection_timeout"
        | "connection_limit_reached" => Why::Unreached,
        _ => return None,
    })
}

/// A conversation with a SOCKS proxy.
#[derive(Debug, Default)]
pub(super) struct Socks {
    /// Version 4.
    four: bool,
    /// The client has named the methods that it knows.
    greeted: bool,
    /// The proxy has chosen one.
    chosen: bool,
}

impl Socks {
    /// How the bytes are cut.
    pub fn cut(&self, from: Side, bytes: &[u8]) -> Cut {
        let whole = |len: Option<usize>| match len {
            Some(len) if len <= bytes.len() => Cut::Whole(len),
            _ => Cut::More,
        };
        let at = |at: usize| bytes.get(at).map(|&byte| usize::from(byte));
        match (from, bytes) {
            (Side::Client, [4, ..]) => {
                let end = |from: usize| {
                    bytes.get(from..)?.iter().position(|&byte| byte == 0).map(|end| from + end + 1)
                };
                let named = matches!(bytes.get(4..8), Some([0, 0, 0, last]) if *last != 0);
                whole(end(8).and_then(|user| if named { end(user) } else { Some(user) }))
            }
            (Side::Client, [5, ..]) if !self.greeted => whole(at(1).map(|methods| 2 + methods)),
            // RFC 1929 section 2.
            (Side::Client, [1, ..]) => {
                let name = at(1).map(|name| 2 + name);
                whole(name.and_then(|end| at(end).map(|password| end + 1 + password)))
            }
            (Side::Client | Side::Server, [5, ..]) if from == Side::Client || self.chosen => {
                whole(match bytes.get(3) {
                    Some(1) => Some(10),
                    Some(3) => at(4).map(|name| 7 + name),
                    Some(4) => Some(22),
                    None => None,
                    _ => return Cut::Foreign,
                })
            }
            (Side::Server, [5 | 1, ..]) => whole(Some(2)),
            (Side::Server, [0, ..]) if self.four => whole(Some(8)),
            _ => Cut::Foreign,
        }
    }

    /// One message of the client.
    pub fn client(&mut self, message: &[u8]) -> Word {
        match message {
            // SOCKS 4: CONNECT, port, address, user, and a name where the address is 0.0.0.x (4a).
            [4, 1, high, low, address @ ..] => {
                self.four = true;
                let Some((four, rest)) = address.split_first_chunk::<4>() else { return Word::Foreign };
                let name = rest.split(|&byte| byte == 0).nth(1).filter(|name| !name.is_empty());
                let host =
                    name.map_or_else(|| Ipv4Addr::from(*four).to_string().into_bytes(), <[u8]>::to_vec);
                ask(&host, *high, *low)
            }
            [5, ..] if !self.greeted => {
                self.greeted = true;
                Word::Nothing
            }
            [1, ..] => Word::Credentials,
            // RFC 1928 section 4: CONNECT.
            [5, 1, _, 1, a, b, c, d, high, low] => {
                ask(Ipv4Addr::new(*a, *b, *c, *d).to_string().as_bytes(), *high, *low)
            }
            [5, 1, _, 3, _, name @ .., high, low] => ask(name, *high, *low),
            [5, 1, _, 4, address @ .., high, low] => match address.first_chunk::<16>() {
                Some(sixteen) => ask(Ipv6Addr::from(*sixteen).to_string().as_bytes(), *high, *low),
                None => Word::Foreign,
            },
            _ => Word::Foreign,
        }
    }

    /// One message of the proxy.
    pub fn server(&mut self, message: &[u8]) -> Word {
        let refuse = |why, said: &str| Word::No(Refusal { why, said: said.to_owned() });
        match message {
            [0, 0x5a, ..] if self.four => Word::Through,
            [0, 0x5b, ..] if self.four => refuse(Why::Unreached, "SOCKS4 reply 91: rejected or failed"),
            [0, code @ (0x5c | 0x5d), ..] if self.four => {
                refuse(Why::Credentials, &format!("SOCKS4 reply {code}: the user is not identified"))
            }
            // Before the request nobody knows where it would lead.
            [1, status] if *status != 0 => Word::Foreign,
            [5, method] => {
                self.chosen = true;
                // None, or a user's name and password; others wrap what follows.
                if matches!(method, 0 | 2) { Word::Nothing } else { Word::Foreign }
            }
            // RFC 1928 section 6.
            [5, 0, ..] => Word::Through,
            [5, code, ..] => {
                let (why, words) = match code {
                    2 => (Why::Policy, "connection not allowed by ruleset"),
                    3 => (Why::Unreached, "network unreachable"),
                    4 => (Why::Unreached, "host unreachable"),
                    5 => (Why::Closed, "connection refused"),
                    6 => (Why::Unreached, "TTL expired"),
                    1 => (Why::Unreached, "general failure"),
                    _ => (Why::Unclear, "not supported"),
                };
                refuse(why, &format!("SOCKS5 reply {code}: {words}"))
            }
            _ => Word::Nothing,
        }
    }
}

fn ask(host: &[u8], high: u8, low: u8) -> Word {
    let to = proxied(host, u16::from_be_bytes([high, low]));
    to.map_or(Word::Foreign, |to| Word::Ask(Protocol::Socks, Some(to)))
}

/// How the second version of a balancer's header begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Whether a balancer's header begins so.
pub fn begins_header(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PROXY ") || bytes.starts_with(SIGNATURE)
}

/// Bytes of a balancer's header; `None` while it is not whole.
pub(super) fn header(bytes: &[u8]) -> Option<usize> {
    let len = match bytes.strip_prefix(SIGNATURE) {
        Some([_, _, high, low, ..]) => 16 + usize::from(u16::from_be_bytes([*high, *low])),
        Some(_) => return None,
        None => bytes.iter().position(|&byte| byte == b'\n')? + 1,
    };
    (len <= bytes.len()).then_some(len)
}
