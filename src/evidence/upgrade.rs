//! A client's wish for TLS in a protocol that begins in clear, and the answer to it, by the server or by a proxy.
//!
//! Read are SMTP and LMTP (RFC 3207), IMAP and POP3 (RFC 9051 section 6.2.1, RFC 2595 section 4), FTP (RFC 4217 section
//! 4), NNTP (RFC 4642) and ManageSieve (RFC 5804 section 2.2) in `lines`; XMPP (RFC 6120 section 5.4.2), LDAP (RFC
//! 4511 section 4.14), PostgreSQL and MySQL, RDP, HTTP's CONNECT and SOCKS each in a file of its own. Bytes come in
//! any pieces: each side's are held until they make a message. Who never asks for TLS leaves nothing here: a mail client
//! without TLS is no attempt. Behind a proxy that agrees another of these protocols may begin.

mod dialogue;
mod ldap;
mod lines;
mod proxy;
mod rdp;
mod sql;
mod xmpp;

use std::net::IpAddr;
use std::sync::Arc;

pub use self::dialogue::Dialogue;
use self::dialogue::{Cut, Word};
pub(super) use self::proxy::begins_header;
pub(super) use self::sql::{GSS_REQUEST, SSL_REQUEST};
use super::outcome::{Lookout, first_close, whole};
use super::{Ending, Evidence, Outcome};
use crate::base::{Seen, Side, Span};

/// A protocol that begins in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// SMTP and LMTP.
    Smtp,
    /// FTP.
    Ftp,
    /// NNTP.
    Nntp,
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
    /// ManageSieve.
    Sieve,
    /// XMPP.
    Xmpp,
    /// LDAP.
    Ldap,
    /// PostgreSQL.
    PostgreSql,
    /// MySQL and MariaDB.
    MySql,
    /// RDP.
    Rdp,
    /// An HTTP proxy.
    HttpConnect,
    /// A SOCKS proxy.
    Socks,
    /// A balancer's PROXY header.
    ProxyProtocol,
}

impl Protocol {
    /// Its word in events (`starttls`).
    pub const fn word(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Ftp => "ftp",
            Self::Nntp => "nntp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Sieve => "sieve",
            Self::Xmpp => "xmpp",
            Self::Ldap => "ldap",
            Self::PostgreSql => "postgresql",
            Self::MySql => "mysql",
            Self::Rdp => "rdp",
            Self::HttpConnect => "http_connect",
            Self::Socks => "socks",
            Self::ProxyProtocol => "proxy_protocol",
        }
    }

    /// Whether it leads to another server.
    pub const fn is_proxy(self) -> bool {
        matches!(self, Self::HttpConnect | Self::Socks)
    }
}

/// Where a client wants a proxy to lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// A name, or an address in text.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
}

impl Proxied {
    /// The host where it is a name.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.address().is_none().then_some(&self.host)
    }

    /// The host where it is an address.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl Evidence {
    /// The host name asked for: of TLS, or where that has none of the proxy.
    pub fn host(&self) -> Option<&Arc<str>> {
        let sni = self.hello.as_ref().and_then(|hello| hello.value.sni.as_ref());
        sni.or_else(|| self.proxied.as_ref().and_then(|to| to.value.name()))
    }

    /// The address of the server that the client meant, as far as it is known: behind a proxy the packets do not have it.
    pub fn server_address(&self) -> Option<IpAddr> {
        match &self.proxied {
            Some(to) => to.value.address(),
            None => Some(self.server.addr.ip()),
        }
    }
}

/// What was said in clear about TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The protocol, as in [`Evidence::prelude`].
    pub protocol: Protocol,
    /// The last request for TLS, or for a way to it.
    pub asked: Seen<()>,
    /// Whether the server's list of what it can do named TLS before; `None` where no such list was seen.
    pub offered: Option<bool>,
    /// A word of this conversation that something on the path wrote over, as long as STARTTLS.
    pub masked: Option<Seen<String>>,
    /// The client showed credentials to the proxy.
    pub credentials: bool,
    /// The server agreed.
    pub accepted: Option<Seen<()>>,
    /// The server said no, at once or after it had agreed.
    pub refused: Option<Seen<Refusal>>,
    /// The client went on in clear behind the refusal: it did not insist on TLS.
    pub went_on: Option<Seen<()>>,
}

/// A no.
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
    /// The server wants another way of authentication within TLS, which the client did not offer (RDP's CredSSP).
    OtherWay,
    /// Something on the path wrote over the offer of TLS, or over the request for it.
    Stripped,
    /// The proxy does not lead there, by policy.
    Policy,
    /// The proxy does not take the client's credentials, or asks for some.
    Credentials,
    /// The proxy found no address for the name.
    NoName,
    /// The server refused the proxy's connection.
    Closed,
    /// The proxy did not get there; its words do not say why.
    Unreached,
    /// None of these: a general close, too many connections, a refusal without a code.
    Unclear,
}

impl Upgrade {
    /// Asked for, and nothing said of it yet.
    pub fn new(protocol: Protocol, asked: Seen<()>) -> Self {
        Self {
            protocol,
            asked,
            offered: None,
            masked: None,
            credentials: false,
            accepted: None,
            refused: None,
            went_on: None,
        }
    }

    /// What its refusal means.
    pub fn why(&self) -> Option<Why> {
        self.refused.as_ref().map(|refused| refused.value.why)
    }
}

/// A server that agrees and then closes within this was not waiting in vain for a hello.
const AT_ONCE: Span = Span::from_secs(5);

fn until(bytes: &[u8], end: u8) -> Cut {
    bytes.iter().position(|&byte| byte == end).map_or(Cut::More, |at| Cut::Whole(at + 1))
}

fn has(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

fn starts(bytes: &[u8], word: &[u8]) -> bool {
    bytes.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// A refusal whose words are those of the message.
fn no(why: Why, message: &[u8]) -> Word {
    Word::No(Refusal { why, said: printable(message, 80) })
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

/// Whether the request alone makes an attempt of a connection without TLS: it was refused, or the server left. What a
/// proxy refuses counts where it would lead to a port of TLS.
pub fn counts(e: &Evidence, tls_port: impl Fn(u16) -> bool) -> bool {
    let wanted = |protocol: Protocol| {
        !protocol.is_proxy() || e.proxied.as_ref().is_some_and(|to| tls_port(to.value.port))
    };
    e.upgrade.as_ref().is_some_and(|upgrade| {
        wanted(upgrade.protocol) && (upgrade.refused.is_some() || e.outcome == Outcome::Failed)
    })
}

#[cfg(test)]
mod tests;
