//! Protocols of commands and answers in lines: SMTP, FTP, NNTP, IMAP, POP3 and ManageSieve.

use super::{Protocol, Upgrade, Why, Word, by_words, has, no};

/// How a server of one of these greets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeting {
    /// `220`: SMTP or FTP.
    Ready,
    /// `200` or `201`: NNTP.
    News,
    /// `* `: IMAP.
    Star,
    /// `+OK`: POP3.
    Ok,
    /// `"`: ManageSieve.
    Quote,
}

/// A conversation.
#[derive(Debug)]
pub(super) struct Lines {
    greeting: Greeting,
    /// Lines of the server searched for an offer of TLS.
    heard: u8,
}

impl Lines {
    /// Lines of the server searched for an offer; greetings and lists of capabilities come first.
    const HEARD: u8 = 96;

    /// The conversation that a server begins so; `None` where too little is there to tell, `Some(None)` where it
    /// is none of these.
    pub fn begin(bytes: &[u8]) -> Option<Option<Self>> {
        const GREETINGS: [(&[u8], Greeting); 6] = [
            (b"220", Greeting::Ready),
            (b"200", Greeting::News),
            (b"201", Greeting::News),
            (b"* ", Greeting::Star),
            (b"+OK", Greeting::Ok),
            (b"\"", Greeting::Quote),
        ];
        if let Some((_, greeting)) = GREETINGS.iter().find(|(word, _)| bytes.starts_with(word)) {
            return Some(Some(Self { greeting: *greeting, heard: 0 }));
        }
        GREETINGS.iter().all(|(word, _)| !word.starts_with(bytes)).then_some(None)
    }

    /// One line of the client.
    pub fn client(&mut self, line: &[u8], offered: Option<bool>) -> Word {
        if let Some(protocol) = self.request(line) {
            Word::Ask(protocol, None)
        } else if self.greeting == Greeting::Ready && offered == Some(true) && masked(line) {
            Word::Masked
        } else if farewell(line) {
            Word::Farewell
        } else if line.is_empty() {
            Word::Nothing
        } else {
            Word::Other
        }
    }

    /// The protocol whose request for TLS this line is.
    fn request(&self, line: &[u8]) -> Option<Protocol> {
        let is = |word: &[u8]| line.eq_ignore_ascii_case(word);
        match self.greeting {
            Greeting::Ready if is(b"STARTTLS") => Some(Protocol::Smtp),
            Greeting::Ready => [&b"AUTH TLS"[..], b"AUTH SSL", b"AUTH TLS-C", b"AUTH TLS-P"]
                .iter()
                .any(|word| is(word))
                .then_some(Protocol::Ftp),
            Greeting::News => is(b"STARTTLS").then_some(Protocol::Nntp),
            Greeting::Star => {
                let mut words = line.split(|&byte| byte == b' ');
                let (tag, word) = (words.next()?, words.next()?);
                (!tag.is_empty() && word.eq_ignore_ascii_case(b"STARTTLS") && words.next().is_none())
                    .then_some(Protocol::Imap)
            }
            Greeting::Ok => is(b"STLS").then_some(Protocol::Pop3),
            Greeting::Quote => is(b"STARTTLS").then_some(Protocol::Sieve),
        }
    }

    /// One line of the server.
    pub fn server(&mut self, line: &[u8], asked: Option<&Upgrade>) -> Word {
        match asked {
            Some(upgrade) => answer(upgrade, line),
            None => self.hear(line),
        }
    }

    /// Looks for TLS among what the server says it can do.
    fn hear(&mut self, line: &[u8]) -> Word {
        if self.heard >= Self::HEARD {
            return Word::Nothing;
        }
        self.heard += 1;
        let extension = line.strip_prefix(b"250-").or(line.strip_prefix(b"250 "));
        if extension.is_some_and(masked) {
            Word::Masked
        } else if has(line, b"TLS") {
            Word::Offer(true)
        } else if extension.is_some() {
            // RFC 5321 section 4.1.1.1: the answer to EHLO lists every extension.
            Word::Offer(false)
        } else {
            Word::Nothing
        }
    }
}

/// A word as long as STARTTLS that something wrote over, as Cisco's inspection of ESMTP does with what it does not let
/// pass: in the server's list XXXXXXXA, where the last letter counts; from the client XXXXXXXX.
fn masked(word: &[u8]) -> bool {
    matches!(word, [rest @ .., b'A'..=b'Z'] if rest == b"XXXXXXX")
}

/// A goodbye: the client does not go on in clear.
fn farewell(line: &[u8]) -> bool {
    let ends = |word: &[u8]| {
        line.len() >= word.len()
            && line.len() <= word.len() + 16
            && line.get(line.len() - word.len()..).is_some_and(|end| end.eq_ignore_ascii_case(word))
    };
    ends(b"QUIT") || ends(b"LOGOUT")
}

/// What one line of the server answers.
fn answer(upgrade: &Upgrade, line: &[u8]) -> Word {
    let offered = upgrade.offered == Some(true) || upgrade.accepted.is_some();
    // A refusal without a code of its own: who has offered TLS has it, and cannot begin it.
    let vague = if offered { Why::Unable } else { Why::Unclear };
    let refuse = |why: Why| no(by_words(why, line), line);
    match upgrade.protocol {
        Protocol::Smtp | Protocol::Ftp | Protocol::Nntp => coded(upgrade, line, vague),
        Protocol::Imap => {
            let mut words = line.split(|&byte| byte == b' ');
            let (Some(tag), Some(word)) = (words.next(), words.next()) else { return Word::Nothing };
            match (tag, word) {
                (b"*", b"BYE") => refuse(vague),
                (b"*" | b"+", _) => Word::Nothing,
                (_, b"OK") => Word::Yes,
                // RFC 9051 section 6.2.1: "TLS negotiation can't be initiated, due to server configuration error".
                (_, b"NO") => refuse(Why::Unable),
                // RFC 9051 section 7.1.3: an unknown command.
                (_, b"BAD") => {
                    refuse(if upgrade.accepted.is_some() { Why::Unclear } else { Why::Unsupported })
                }
                _ => Word::Nothing,
            }
        }
        Protocol::Pop3 if line.starts_with(b"+OK") => Word::Yes,
        Protocol::Pop3 if line.starts_with(b"-ERR") => refuse(vague),
        Protocol::Sieve => match line.split(|&byte| byte == b' ').next() {
            Some(b"OK") => Word::Yes,
            Some(b"NO" | b"BYE") => refuse(vague),
            _ => Word::Nothing,
        },
        _ => Word::Nothing,
    }
}

/// An answer that begins with three digits; a hyphen behind them says that more lines follow.
fn coded(upgrade: &Upgrade, line: &[u8], vague: Why) -> Word {
    use Protocol::{Ftp, Nntp, Smtp};
    let Some((code @ &[first @ b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'], rest)) = line.split_first_chunk::<3>()
    else {
        return Word::Nothing;
    };
    if !matches!(rest.first(), None | Some(b' ')) {
        return Word::Nothing;
    }
    if first < b'4' {
        // Another code answers a command that was sent in one group with the request.
        let yes =
            matches!((upgrade.protocol, code), (Smtp, b"220") | (Ftp, b"234" | b"334") | (Nntp, b"382"));
        return if yes { Word::Yes } else { Word::Nothing };
    }
    let why = match (upgrade.protocol, code) {
        // A server that agreed and then speaks in clear: the code may be about anything.
        (_, b"500" | b"502" | b"503") if upgrade.accepted.is_some() => Why::Unclear,
        _ if upgrade.accepted.is_some() => Why::Unable,
        // RFC 3207 section 4: "TLS not available due to temporary reason". Small servers say so of TLS that they never
        // had nor offered.
        (Smtp, b"454") if upgrade.offered == Some(false) => Why::Unable,
        // RFC 2228 section 5.1: "Need some unavailable resource to process security".
        (Smtp, b"454") | (Ftp, b"431") => Why::Trouble,
        // RFC 4642 section 2.2.2: "a server configuration or resource problem".
        (Nntp, b"580") => Why::Unable,
        // RFC 5321 section 3.8, RFC 959 section 4.2.1 and RFC 3977 section 3.2.1: the whole service closes.
        (Smtp | Ftp, b"421") | (Nntp, b"400") => Why::Unclear,
        _ if first == b'4' => vague,
        // RFC 5321 section 4.2.4, RFC 4217 section 4 (502, 504, 534): not known here.
        _ => Why::Unsupported,
    };
    no(by_words(why, line), line)
}
