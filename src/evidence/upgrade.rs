//! A client's wish for TLS in a protocol that begins in clear, and the server's answer to it.
//!
//! Read are the commands and answers of SMTP and LMTP (RFC 3207), IMAP and POP3 (RFC 9051 section 6.2.1, RFC 2595
//! section 4), FTP (RFC 4217 section 4), NNTP (RFC 4642), ManageSieve (RFC 5804 section 2.2), XMPP (RFC 6120 section
//! 5.4.2), LDAP (RFC 4511 section 4.14) and PostgreSQL ("SSL Session Encryption" of its protocol). Who never asks for
//! TLS leaves nothing here: a mail client without TLS is no attempt.

use super::outcome::{Lookout, first_close, whole};
use super::{Ending, Evidence, Outcome};
use crate::base::{PacketNo, Seen, Side, Span, Stamp};

/// What was said in clear about TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The protocol's name, as in [`Evidence::prelude`].
    pub protocol: &'static str,
    /// The last request for TLS.
    pub asked: Seen<()>,
    /// Whether the server's list of what it can do named TLS before; `None` where no such list was seen.
    pub offered: Option<bool>,
    /// The server agreed.
    pub accepted: Option<Seen<()>>,
    /// The server said no, at once or after it had agreed.
    pub refused: Option<Seen<Refusal>>,
    /// The client went on in clear behind the refusal: it did not insist on TLS.
    pub went_on: Option<Seen<()>>,
}

/// A server's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What its code or words mean.
    pub why: Why,
    /// Its first words, printable.
    pub said: String,
}

/// What a refusal means by its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// TLS is out of order at the moment, by the server's own account.
    Trouble,
    /// The server has TLS by its own account and cannot begin it now; the words do not say why.
    Unable,
    /// The server does not know the request, or is not set up for it.
    Unsupported,
    /// Neither: a general close, too many connections, a refusal without a code.
    Unclear,
}

/// One answer of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No(Why),
}

/// Follows what both sides say in clear.
#[derive(Debug, Default)]
pub struct Dialogue {
    offered: Option<bool>,
    heard: u8,
    upgrade: Option<Box<Upgrade>>,
}

/// A server that agrees and then closes within this was not waiting in vain for a hello.
const AT_ONCE: Span = Span::from_secs(5);

impl Dialogue {
    /// Pieces of the server searched for an offer of TLS; greetings and lists of capabilities come first.
    const HEARD: u8 = 8;
    /// Bytes searched of each.
    const SEARCHED: usize = 1_500;

    /// Takes what the client sent in clear; `greeting` is how the server began.
    pub fn client(&mut self, bytes: &[u8], greeting: &[u8], no: PacketNo, now: Stamp) {
        if let Some(protocol) = request(bytes, greeting) {
            let asked = Seen::new((), no, now);
            let offered = self.offered;
            self.upgrade = Some(Box::new(Upgrade {
                protocol,
                asked,
                offered,
                accepted: None,
                refused: None,
                went_on: None,
            }));
            return;
        }
        let Some(upgrade) = &mut self.upgrade else { return };
        if upgrade.refused.is_none() {
            // A client that has asked waits (RFC 3207 section 4, RFC 2920 section 3.1): what speaks on was quoting
            // the word, as the body of a mail does.
            self.upgrade = None;
        } else if !farewell(bytes) {
            upgrade.went_on.get_or_insert(Seen::new((), no, now));
        }
    }

    /// Takes what the server sent in clear.
    pub fn server(&mut self, bytes: &[u8], no: PacketNo, now: Stamp) {
        let Some(upgrade) = &mut self.upgrade else {
            self.hear(bytes);
            return;
        };
        if upgrade.refused.is_some() {
            return;
        }
        let lines = !matches!(upgrade.protocol, "xmpp" | "ldap" | "postgresql");
        let mut take = |part: &[u8]| match answer(upgrade, part) {
            Some(Answer::Yes) => {
                upgrade.accepted.get_or_insert(Seen::new((), no, now));
            }
            Some(Answer::No(why)) => {
                let said = printable(part, 80);
                upgrade.refused.get_or_insert(Seen::new(Refusal { why, said }, no, now));
            }
            None => {}
        };
        if lines {
            bytes.split(|&byte| byte == b'\n').take(64).for_each(|line| take(line.trim_ascii_end()));
        } else {
            take(bytes);
        }
    }

    /// Bytes of one side are missing: what was asked or answered there is not known.
    pub fn gap(&mut self) {
        if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.refused.is_none()) {
            self.upgrade = None;
        }
    }

    /// The client went on in clear: no TLS follows.
    pub fn went_on(&self) -> bool {
        self.upgrade.as_ref().is_some_and(|upgrade| upgrade.went_on.is_some())
    }

    /// What came of it.
    pub fn take(&mut self) -> Option<Box<Upgrade>> {
        self.upgrade.take()
    }

    /// Looks for TLS among what the server says it can do.
    fn hear(&mut self, bytes: &[u8]) {
        if self.heard >= Self::HEARD || self.offered == Some(true) {
            return;
        }
        self.heard += 1;
        if has(bytes.get(..Self::SEARCHED).unwrap_or(bytes), b"TLS") {
            self.offered = Some(true);
        } else if bytes.starts_with(b"250") {
            // RFC 5321 section 4.1.1.1: the answer to EHLO lists every extension.
            self.offered = Some(false);
        }
    }
}

fn has(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

/// PostgreSQL's SSLRequest.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
/// LDAP's StartTLS (RFC 4511 section 4.14.1).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// The protocol whose request for TLS these bytes of the client end with.
fn request(bytes: &[u8], greeting: &[u8]) -> Option<&'static str> {
    match bytes.first()? {
        0 if *bytes == SSL_REQUEST => return Some("postgresql"),
        b'<' => return (bytes.len() <= 1_024 && has(bytes, b"<starttls")).then_some("xmpp"),
        0x30 if bytes.len() <= 128 => {
            let (0x30, message, _) = ber(bytes)? else { return None };
            let (_, _, operation) = ber(message)?;
            let (0x77, request, _) = ber(operation)? else { return None };
            return has(request, START_TLS).then_some("ldap");
        }
        _ => {}
    }
    // RFC 3207 section 4.1, RFC 2920 section 3.1: the request is the last of a group that is sent at once.
    let tail = bytes.get(bytes.len().saturating_sub(66)..)?;
    let line = tail.strip_suffix(b"\n")?.trim_ascii_end();
    let line = line.rsplit(|&byte| byte == b'\n').next()?;
    let is = |word: &[u8]| line.eq_ignore_ascii_case(word);
    match greeting {
        [b'2', b'2', b'0', ..] if is(b"STARTTLS") => Some("smtp"),
        [b'2', b'2', b'0', ..]
            if [&b"AUTH TLS"[..], b"AUTH SSL", b"AUTH TLS-C", b"AUTH TLS-P"].iter().any(|word| is(word)) =>
        {
            Some("ftp")
        }
        [b'2', b'0', b'0' | b'1', ..] if is(b"STARTTLS") => Some("nntp"),
        [b'*', b' ', ..] => {
            let mut words = line.split(|&byte| byte == b' ');
            let (tag, word) = (words.next()?, words.next()?);
            (!tag.is_empty() && word.eq_ignore_ascii_case(b"STARTTLS") && words.next().is_none())
                .then_some("imap")
        }
        [b'+', b'O', b'K', ..] if is(b"STLS") => Some("pop3"),
        [b'"', ..] if is(b"STARTTLS") => Some("sieve"),
        _ => None,
    }
}

/// A goodbye, or nothing that wants an answer: the client does not go on in clear.
fn farewell(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or(bytes);
    let ends = |word: &[u8]| {
        line.len() >= word.len()
            && line.len() <= word.len() + 16
            && line.get(line.len() - word.len()..).is_some_and(|end| end.eq_ignore_ascii_case(word))
    };
    ends(b"QUIT")
        || ends(b"LOGOUT")
        || has(bytes.get(..64).unwrap_or(bytes), b"</stream:stream")
        // PostgreSQL's Terminate.
        || bytes == [b'X', 0, 0, 0, 4]
        // LDAP's UnbindRequest (RFC 4511 section 4.3).
        || ber(bytes).and_then(|(_, message, _)| ber(message)).is_some_and(|(_, _, operation)| operation.first() == Some(&0x42))
}

/// What one line (or message) of the server answers; `None` where it is no answer.
fn answer(upgrade: &Upgrade, part: &[u8]) -> Option<Answer> {
    let offered = upgrade.offered == Some(true) || upgrade.accepted.is_some();
    // A refusal without a code of its own: who has offered TLS has it, and cannot begin it.
    let vague = if offered { Why::Unable } else { Why::Unclear };
    let no = |why: Why| Some(Answer::No(by_words(why, part)));
    match upgrade.protocol {
        "smtp" | "ftp" | "nntp" => coded(upgrade, part, vague),
        "imap" => {
            let mut words = part.split(|&byte| byte == b' ');
            let (tag, word) = (words.next()?, words.next()?);
            match (tag, word) {
                (b"*", b"BYE") => no(vague),
                (b"*" | b"+", _) => None,
                (_, b"OK") => Some(Answer::Yes),
                // RFC 9051 section 6.2.1: "TLS negotiation can't be initiated, due to server configuration error".
                (_, b"NO") => no(Why::Unable),
                // RFC 9051 section 7.1.3: an unknown command.
                (_, b"BAD") => no(if upgrade.accepted.is_some() { Why::Unclear } else { Why::Unsupported }),
                _ => None,
            }
        }
        "pop3" if part.starts_with(b"+OK") => Some(Answer::Yes),
        "pop3" if part.starts_with(b"-ERR") => no(vague),
        "sieve" => match part.split(|&byte| byte == b' ').next()? {
            b"OK" => Some(Answer::Yes),
            b"NO" | b"BYE" => no(vague),
            _ => None,
        },
        "xmpp" if has(part, b"<proceed") => Some(Answer::Yes),
        // RFC 6120 section 5.4.2.2: a malformed request, no offer, or an internal error.
        "xmpp" if has(part, b"<failure") => no(vague),
        "xmpp" if has(part, b"<stream:error") || has(part, b"</stream:stream") => no(Why::Unclear),
        "postgresql" => match part {
            [b'S'] => Some(Answer::Yes),
            [b'N'] => Some(Answer::No(Why::Unsupported)),
            [b'E', ..] => Some(Answer::No(Why::Unclear)),
            _ => None,
        },
        "ldap" => {
            let (0x30, message, _) = ber(part)? else { return None };
            let (_, _, operation) = ber(message)?;
            let (0x78, response, _) = ber(operation)? else { return None };
            let (0x0a, code, _) = ber(response)? else { return None };
            match code {
                [0] => Some(Answer::Yes),
                // RFC 4511 section 4.14.2: protocolError where TLS is not supported, "whether by design or by current
                // configuration"; unavailable where "the TLS subsystem is not presently available". OpenLDAP says
                // the latter too where none was ever configured.
                [2] => Some(Answer::No(Why::Unsupported)),
                [52] => Some(Answer::No(Why::Unable)),
                _ => Some(Answer::No(Why::Unclear)),
            }
        }
        _ => None,
    }
}

/// An answer that begins with three digits; a hyphen behind them says that more lines follow.
fn coded(upgrade: &Upgrade, line: &[u8], vague: Why) -> Option<Answer> {
    let (code @ &[first @ b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'], rest) = line.split_first_chunk::<3>()?
    else {
        return None;
    };
    if !matches!(rest.first(), None | Some(b' ')) {
        return None;
    }
    if first < b'4' {
        // Another code answers a command that was sent in one group with the request.
        let yes = matches!(
            (upgrade.protocol, code),
            ("smtp", b"220") | ("ftp", b"234" | b"334") | ("nntp", b"382")
        );
        return yes.then_some(Answer::Yes);
    }
    let why = match (upgrade.protocol, code) {
        // A server that agreed and then speaks in clear: the code may be about anything.
        (_, b"500" | b"502" | b"503") if upgrade.accepted.is_some() => Why::Unclear,
        _ if upgrade.accepted.is_some() => Why::Unable,
        // RFC 3207 section 4: "TLS not available due to temporary reason". Small servers say so of TLS that they never
        // had nor offered.
        ("smtp", b"454") if upgrade.offered == Some(false) => Why::Unable,
        // RFC 2228 section 5.1: "Need some unavailable resource to process security".
        ("smtp", b"454") | ("ftp", b"431") => Why::Trouble,
        // RFC 4642 section 2.2.2: "a server configuration or resource problem".
        ("nntp", b"580") => Why::Unable,
        // RFC 5321 section 3.8, RFC 959 section 4.2.1 and RFC 3977 section 3.2.1: the whole service closes.
        ("smtp" | "ftp", b"421") | ("nntp", b"400") => Why::Unclear,
        _ if first == b'4' => vague,
        // RFC 5321 section 4.2.4, RFC 4217 section 4 (502, 504, 534): not known here.
        _ => Why::Unsupported,
    };
    Some(Answer::No(by_words(why, line)))
}

/// Corrects what a code means by the words behind it.
fn by_words(why: Why, line: &[u8]) -> Why {
    if has(line, b"too many") {
        Why::Unclear
    } else if trouble(line) {
        Why::Trouble
    } else if why != Why::Unable && UNKNOWN.iter().any(|word| has(line, word)) {
        Why::Unsupported
    } else {
        why
    }
}

/// What servers say of a command that they do not know.
const UNKNOWN: [&[u8]; 6] =
    [b"unknown", b"unrecognized", b"unsupported", b"not supported", b"not implemented", b"n't enabled"];

/// Whether the words tell of a trouble of the server's own: UNAVAILABLE (RFC 5530 section 3), SYS/TEMP and SYS/PERM (RFC
/// 3206 section 4), TRYLATER (RFC 5804 section 1.3), Dovecot's "TLS initialization failed" and its like, Postfix's
/// "local problem".
fn trouble(line: &[u8]) -> bool {
    [&b"[UNAVAILABLE]"[..], b"[SYS/", b"(TRYLATER)", b"initializ", b"local problem"]
        .iter()
        .any(|word| has(line, word))
}

/// Whether a server that answers a hello in clear tells of its own TLS being out of order.
pub fn tells_trouble(said: &str) -> bool {
    trouble(said.as_bytes()) && (has(said.as_bytes(), b"TLS") || has(said.as_bytes(), b"SSL"))
}

/// Tag, content and what follows of one element of BER with a length of up to four bytes (RFC 4511 section 5.1).
fn ber(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (len, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (long, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (long.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

fn printable(bytes: &[u8], most: usize) -> String {
    bytes
        .iter()
        .take(most)
        .map(|&byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' })
        .collect()
}

/// How an attempt ended whose client asked for TLS in clear; `None` where TLS itself tells.
pub fn settle(e: &Evidence, look: &Lookout<'_>) -> Option<(Outcome, Seen<Ending>)> {
    let upgrade = e.upgrade.as_deref()?;
    let tls = e.server_hello.is_some()
        || e.retry.is_some()
        || e.alerts.iter().any(|alert| alert.value.from == Side::Server);
    if tls {
        return None;
    }
    let complete = whole(e, Side::Client) && whole(e, Side::Server);
    if let Some(refused) = &upgrade.refused {
        let outcome = if upgrade.went_on.is_some() {
            Outcome::Abandoned
        } else if !complete || look.capture_ended && e.hello.is_none() && first_close(e).is_none() {
            // What the client did next may be a mail in clear.
            Outcome::Incomplete
        } else {
            Outcome::Failed
        };
        let ending = refused.clone().map(|refusal| Ending::Refused { said: refusal.said });
        return Some((outcome, ending));
    }
    if e.hello.is_some() {
        return None;
    }
    let close = first_close(e)?;
    let since = upgrade.accepted.as_ref().unwrap_or(&upgrade.asked).when;
    match close.value {
        Ending::Fin { from: Side::Server } | Ending::Reset { from: Side::Server }
            if complete && close.when - since < AT_ONCE =>
        {
            Some((Outcome::Failed, close))
        }
        _ => Some((Outcome::Abandoned, close)),
    }
}

/// Whether the request alone makes an attempt of a connection without TLS: it was refused, or the server left.
pub fn counts(e: &Evidence) -> bool {
    e.upgrade.as_ref().is_some_and(|upgrade| upgrade.refused.is_some() || e.outcome == Outcome::Failed)
}

#[cfg(test)]
mod tests;
