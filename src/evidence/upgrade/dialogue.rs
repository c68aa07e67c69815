//! What both sides say in clear, cut into messages however it comes, and followed to its end.

use super::{Protocol, Proxied, Refusal, Upgrade, Why, ldap, lines, printable, proxy, rdp, sql, until, xmpp};
use crate::base::{PacketNo, PerSide, Seen, Side, Stamp};
use crate::tls::record::starts_tls;

/// What one message in clear says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Nothing that matters here.
    Nothing,
    /// The client says something else: it speaks on.
    Other,
    /// The client says goodbye.
    Farewell,
    /// The client asks for TLS, or a proxy for a way.
    Ask(Protocol, Option<Proxied>),
    /// What stands where STARTTLS would was written over.
    Masked,
    /// The client has shown credentials.
    Credentials,
    /// The server lists TLS among what it can do, or lists without it.
    Offer(bool),
    /// The server agrees.
    Yes,
    /// The proxy leads through: what follows is another conversation.
    Through,
    /// The server says no.
    No(Refusal),
    /// This is not what it looked like.
    Foreign,
}

/// How the first bytes of one side are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A message of so many bytes.
    Whole(usize),
    /// A message of so many bytes, of which the first few say enough.
    Long(usize),
    /// A message that is not yet whole.
    More,
    /// None of this protocol.
    Foreign,
}

/// What messages of a protocol are read by.
#[derive(Debug, Default)]
enum Speech {
    /// Too little was said.
    #[default]
    Unknown,
    Lines(lines::Lines),
    Xmpp,
    Ldap(ldap::Ldap),
    PostgreSql(sql::PostgreSql),
    MySql(sql::MySql),
    Rdp,
    Connect(proxy::Connect),
    Socks(proxy::Socks),
    /// Nothing of ours.
    Other,
}

/// Bytes of one side that do not make a message yet.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Bytes to come that belong to a message of which enough is known.
    skip: usize,
    /// The same up to the end of the line.
    skip_line: bool,
    /// The latest packet of them.
    last: Option<(PacketNo, Stamp)>,
}

/// Longest part of a message that is looked at.
pub(super) const LONGEST: usize = 1_024;
/// Bytes taken at a time.
const CHUNK: usize = 2_048;

/// Follows what both sides say in clear.
#[derive(Debug, Default)]
pub struct Dialogue(Option<Box<Talk>>);

#[derive(Debug, Default)]
struct Talk {
    speech: Speech,
    held: PerSide<Held>,
    offered: Option<bool>,
    masked: Option<Seen<String>>,
    /// The client said more behind what was masked than goodbye.
    spoke_on: bool,
    credentials: bool,
    upgrade: Option<Box<Upgrade>>,
    proxied: Option<Box<Seen<Proxied>>>,
    /// TLS may begin within the bytes at hand.
    expects_tls: bool,
}

impl Dialogue {
    /// Takes what one side sent in clear. What remains of it where TLS begins within.
    pub fn hear<'a>(&mut self, from: Side, bytes: &'a [u8], no: PacketNo, now: Stamp) -> Option<&'a [u8]> {
        let talk = self.0.get_or_insert_default();
        let mut at = 0;
        for chunk in bytes.chunks(CHUNK) {
            if matches!(talk.speech, Speech::Other) {
                // The server's answer to what the client says on may be captured before it.
                let refused = talk.upgrade.as_ref().is_some_and(|upgrade| upgrade.refused.is_some());
                if from == Side::Client && refused {
                    talk.speaks_on(no, now);
                }
                return None;
            }
            at += chunk.len();
            if let Some(rest) = talk.take(from, chunk, no, now) {
                return bytes.get(at - rest..);
            }
        }
        None
    }

    /// Bytes of one side are missing: what was asked or answered there is not known.
    pub fn gap(&mut self) {
        let Some(talk) = &mut self.0 else { return };
        talk.speech = Speech::Other;
        talk.held = PerSide::default();
        if talk.upgrade.as_ref().is_some_and(|upgrade| upgrade.refused.is_none()) {
            talk.upgrade = None;
        }
        talk.spoke_on = true;
    }

    /// The client went on in clear: no TLS follows.
    pub fn went_on(&self) -> bool {
        let upgrade = self.0.as_ref().and_then(|talk| talk.upgrade.as_ref());
        upgrade.is_some_and(|upgrade| upgrade.went_on.is_some())
    }

    /// Whether what is said is one of the protocols known here.
    pub fn follows(&self) -> bool {
        self.0.as_ref().is_some_and(|talk| !matches!(talk.speech, Speech::Other))
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        let held = |held: &Held| held.bytes.capacity();
        self.0
            .as_ref()
            .map_or(0, |talk| size_of::<Talk>() + held(&talk.held.client) + held(&talk.held.server))
    }

    /// What came of it, and where a proxy led.
    pub fn end(&mut self) -> (Option<Box<Upgrade>>, Option<Box<Seen<Proxied>>>) {
        let Some(talk) = self.0.take() else { return (None, None) };
        let silent = !talk.spoke_on && talk.offered != Some(true);
        let (masked, offered) = (talk.masked.filter(|_| silent), talk.offered);
        let upgrade = talk.upgrade.or_else(|| {
            // The client left once it had the list, of which something was written over.
            let masked = masked?;
            let refusal = Refusal { why: Why::Stripped, said: masked.value.clone() };
            Some(Box::new(Upgrade {
                refused: Some(masked.clone().map(|_| refusal)),
                offered,
                ..Upgrade::new(Protocol::Smtp, masked.map(|_| ()))
            }))
        });
        (upgrade, talk.proxied)
    }
}

impl Talk {
    /// Takes bytes of one side; how many of them are TLS already.
    fn take(&mut self, from: Side, mut bytes: &[u8], no: PacketNo, now: Stamp) -> Option<usize> {
        let held = self.held.of_mut(from);
        held.last = Some((no, now));
        let skip = held.skip.min(bytes.len());
        held.skip -= skip;
        bytes = bytes.get(skip..).unwrap_or_default();
        if held.skip_line {
            let end = bytes.iter().position(|&byte| byte == b'\n');
            held.skip_line = end.is_none();
            bytes = end.and_then(|end| bytes.get(end + 1..)).unwrap_or(&[]);
        }
        held.bytes.extend_from_slice(bytes);
        let unknown = matches!(self.speech, Speech::Unknown);
        let rest = self.read(from);
        // What the other side had said before anybody could tell what it was.
        if unknown && rest.is_none() && !matches!(self.speech, Speech::Unknown) {
            self.read(from.other());
        }
        rest
    }

    /// Reads the messages that one side has sent whole; how many bytes are TLS instead.
    fn read(&mut self, from: Side) -> Option<usize> {
        let mut held = std::mem::take(self.held.of_mut(from));
        let (no, now) = held.last?;
        let (mut at, mut tls) = (0, None);
        while let Some(rest) = held.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.expects_tls && starts_tls(rest, from) == Some(true) {
                tls = Some(rest.len());
                break;
            }
            if matches!(self.speech, Speech::Unknown) {
                let Some(header) = self.recognize(from, rest) else { break };
                if header > 0 {
                    at += header;
                    continue;
                }
            }
            let cut = match self.speech.cut(from, rest) {
                Cut::More if rest.len() < LONGEST => break,
                Cut::More if self.speech.has_lines() => {
                    held.skip_line = true;
                    rest.len()
                }
                Cut::Long(len) if rest.len() < len.min(LONGEST) => break,
                Cut::Whole(len) | Cut::Long(len) => {
                    held.skip = len.saturating_sub(rest.len());
                    len.min(rest.len())
                }
                Cut::More | Cut::Foreign => {
                    self.speech = Speech::Other;
                    at = held.bytes.len();
                    break;
                }
            };
            let message = rest.get(..cut).unwrap_or(rest);
            match from {
                Side::Client => self.client(message, no, now),
                Side::Server => self.server(message, rest, no, now),
            }
            at += cut;
        }
        if tls.is_some() || matches!(self.speech, Speech::Other) {
            held = Held::default();
        } else {
            held.bytes.drain(..at.min(held.bytes.len()));
        }
        *self.held.of_mut(from) = held;
        tls
    }

    /// Tells by its first bytes what is spoken, and how many of them a balancer said before; `None` where more must tell.
    fn recognize(&mut self, from: Side, rest: &[u8]) -> Option<usize> {
        let long = rest.len() >= LONGEST;
        match begin(from, rest) {
            Some(Speech::Unknown) => {
                let header = proxy::header(rest);
                self.expects_tls |= header.is_some();
                if header.is_none() && long {
                    self.speech = Speech::Other;
                }
                return header;
            }
            Some(speech) => self.speech = speech,
            None if long => self.speech = Speech::Other,
            None => return None,
        }
        Some(0)
    }

    /// One message of the client.
    fn client(&mut self, message: &[u8], no: PacketNo, now: Stamp) {
        match self.speech.client(message, self.offered) {
            Word::Ask(protocol, to) => {
                if let Some(to) = to {
                    self.proxied = Some(Seen::new(to, no, now).into());
                }
                self.expects_tls = true;
                self.upgrade = Some(Box::new(Upgrade {
                    offered: self.offered,
                    masked: self.masked.clone().filter(|_| self.offered != Some(true)),
                    credentials: self.credentials,
                    ..Upgrade::new(protocol, Seen::new((), no, now))
                }));
            }
            Word::Masked => {
                let masked = Seen::new(printable(message.trim_ascii(), 80), no, now);
                self.masked = Some(masked.clone());
                self.upgrade = Some(Box::new(Upgrade {
                    offered: self.offered,
                    masked: Some(masked),
                    ..Upgrade::new(Protocol::Smtp, Seen::new((), no, now))
                }));
            }
            Word::Credentials => self.credentials = true,
            Word::Nothing => {}
            Word::Foreign => {
                self.speech = Speech::Other;
                self.speaks_on(no, now);
            }
            word => {
                if word != Word::Farewell {
                    self.spoke_on |= self.masked.is_some();
                }
                let refused = self.upgrade.as_ref().is_some_and(|upgrade| upgrade.refused.is_some());
                if word != Word::Farewell || !refused {
                    self.speaks_on(no, now);
                }
            }
        }
    }

    /// The client says something else than TLS.
    fn speaks_on(&mut self, no: PacketNo, now: Stamp) {
        match &mut self.upgrade {
            Some(upgrade) if upgrade.refused.is_some() => {
                upgrade.went_on.get_or_insert(Seen::new((), no, now));
            }
            // A client that has asked waits (RFC 3207 section 4, RFC 2920 section 3.1): what speaks on was quoting
            // the word, as the body of a mail does.
            upgrade => *upgrade = None,
        }
    }

    /// One message of the server; `rest` begins with it.
    fn server(&mut self, message: &[u8], rest: &[u8], no: PacketNo, now: Stamp) {
        let asked = self.upgrade.as_deref().filter(|upgrade| upgrade.refused.is_none());
        let word = self.speech.server(message, asked);
        let Some(upgrade) = self.upgrade.as_deref_mut().filter(|upgrade| upgrade.refused.is_none()) else {
            match word {
                Word::Offer(true) => self.offered = Some(true),
                Word::Offer(false) => self.offered = self.offered.or(Some(false)),
                Word::Masked => {
                    self.masked = Some(Seen::new(printable(message.trim_ascii(), 80), no, now));
                }
                Word::Foreign => self.speech = Speech::Other,
                _ => {}
            }
            return;
        };
        match word {
            Word::Yes => {
                upgrade.accepted.get_or_insert(Seen::new((), no, now));
            }
            Word::Through => {
                self.upgrade = None;
                (self.speech, self.offered, self.masked) = (Speech::Unknown, None, None);
            }
            Word::No(mut refusal) => {
                if upgrade.masked.is_some() && matches!(refusal.why, Why::Unsupported | Why::Unclear) {
                    refusal.why = Why::Stripped;
                }
                if refusal.said.is_empty() {
                    refusal.said = printable(rest.trim_ascii(), 80);
                }
                upgrade.refused = Some(Seen::new(refusal, no, now));
            }
            Word::Foreign => self.speech = Speech::Other,
            _ => {}
        }
    }
}

impl Speech {
    fn has_lines(&self) -> bool {
        matches!(self, Self::Lines(_) | Self::Connect(_))
    }

    fn cut(&self, from: Side, bytes: &[u8]) -> Cut {
        match self {
            Self::Lines(_) | Self::Connect(_) => until(bytes, b'\n'),
            Self::Xmpp => until(bytes, b'>'),
            Self::Ldap(_) => ldap::cut(bytes),
            Self::PostgreSql(speech) => speech.cut(from, bytes),
            Self::MySql(_) => sql::cut(bytes),
            Self::Rdp => rdp::cut(bytes),
            Self::Socks(speech) => speech.cut(from, bytes),
            Self::Unknown | Self::Other => Cut::Foreign,
        }
    }

    fn client(&mut self, message: &[u8], offered: Option<bool>) -> Word {
        match self {
            Self::Lines(speech) => speech.client(message.trim_ascii_end(), offered),
            Self::Xmpp => xmpp::client(message),
            Self::Ldap(speech) => speech.client(message),
            Self::PostgreSql(speech) => speech.client(message),
            Self::MySql(speech) => speech.client(message),
            Self::Rdp => rdp::client(message),
            Self::Connect(speech) => speech.client(message.trim_ascii_end()),
            Self::Socks(speech) => speech.client(message),
            Self::Unknown | Self::Other => Word::Nothing,
        }
    }

    fn server(&mut self, message: &[u8], asked: Option<&Upgrade>) -> Word {
        match self {
            Self::Lines(speech) => speech.server(message.trim_ascii_end(), asked),
            Self::Xmpp => xmpp::server(message, asked),
            Self::Ldap(speech) => speech.server(message),
            Self::PostgreSql(speech) => speech.server(message),
            Self::MySql(speech) => speech.server(message),
            Self::Rdp => rdp::server(message),
            Self::Connect(speech) => speech.server(message.trim_ascii_end()),
            Self::Socks(speech) => speech.server(message),
            Self::Unknown | Self::Other => Word::Nothing,
        }
    }
}

/// What a conversation is that one side begins so; `None` while that cannot be told. [`Speech::Unknown`] where a
/// balancer's header comes first.
fn begin(from: Side, bytes: &[u8]) -> Option<Speech> {
    if from == Side::Server {
        if let Some(speech) = sql::MySql::begin(bytes) {
            return speech.map(Speech::MySql);
        }
        return Some(match bytes {
            [b'<', ..] => Speech::Xmpp,
            _ => lines::Lines::begin(bytes)?.map_or(Speech::Other, Speech::Lines),
        });
    }
    Some(match bytes {
        [0x30, ..] => Speech::Ldap(ldap::Ldap::default()),
        [b'<', ..] => Speech::Xmpp,
        [0, ..] => Speech::PostgreSql(sql::PostgreSql::default()),
        [3, 0, ..] => Speech::Rdp,
        [4 | 5, ..] => Speech::Socks(proxy::Socks::default()),
        _ if proxy::begins_header(bytes) => Speech::Unknown,
        _ if bytes.starts_with(b"CONNECT ") => Speech::Connect(proxy::Connect::default()),
        _ => return None,
    })
}
