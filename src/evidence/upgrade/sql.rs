//! PostgreSQL ("SSL Session Encryption" of its protocol) and MySQL ("Connection Phase" of its).

use super::{Cut, Protocol, Refusal, Why, Word, by_words, no, printable};
use crate::base::Side;

/// PostgreSQL's SSLRequest.
pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
/// Its GSSENCRequest, which may come before.
pub const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x30];

/// A conversation with PostgreSQL.
#[derive(Debug, Default)]
pub(super) struct PostgreSql {
    /// The client has asked for encryption by GSSAPI, and waits.
    gss: bool,
}

impl PostgreSql {
    /// How the bytes are cut.
    pub fn cut(&self, from: Side, bytes: &[u8]) -> Cut {
        let length = |at: usize| {
            let four = bytes.get(at..at + 4)?.first_chunk::<4>()?;
            usize::try_from(u32::from_be_bytes(*four)).ok()
        };
        let (at, least) = match (from, bytes) {
            (Side::Server, [b'S' | b'N' | b'G', ..]) => return Cut::Whole(1),
            (Side::Server, [b'E', ..]) => (1, 4),
            (Side::Client, [b'X', ..]) => (1, 4),
            (Side::Client, [0, ..]) => (0, 8),
            _ => return Cut::Foreign,
        };
        match length(at) {
            None => Cut::More,
            // The longest start-up packet that a server takes (MAX_STARTUP_PACKET_LENGTH).
            Some(len) if len < least || len > 10_000 => Cut::Foreign,
            Some(len) if at + len > super::dialogue::LONGEST => Cut::Long(at + len),
            Some(len) if at + len > bytes.len() => Cut::More,
            Some(len) => Cut::Whole(at + len),
        }
    }

    /// One message of the client.
    pub fn client(&mut self, message: &[u8]) -> Word {
        self.gss = message == GSS_REQUEST;
        if message == SSL_REQUEST {
            Word::Ask(Protocol::PostgreSql, None)
        } else if self.gss {
            Word::Nothing
        } else if message.first() == Some(&b'X') {
            Word::Farewell
        } else {
            Word::Foreign
        }
    }

    /// One message of the server.
    pub fn server(&mut self, message: &[u8]) -> Word {
        let gss = std::mem::take(&mut self.gss);
        match message {
            [b'G'] => Word::Foreign,
            _ if gss => Word::Nothing,
            [b'S'] => Word::Yes,
            [b'N'] => no(Why::Unsupported, message),
            [b'E', _, _, _, _, fields @ ..] => {
                // Each field is a letter and a text that ends with a zero byte; M is the message.
                let text = fields.split(|&byte| byte == 0).find_map(|field| field.strip_prefix(b"M"));
                let text = text.unwrap_or(fields);
                no(by_words(Why::Unclear, text), text)
            }
            _ => Word::Nothing,
        }
    }
}

/// The capability of both sides to speak TLS (CLIENT_SSL).
const CLIENT_SSL: u16 = 0x0800;

/// A conversation with MySQL or MariaDB.
#[derive(Debug, Default)]
pub(super) struct MySql {
    greeted: bool,
}

impl MySql {
    /// Whether a server begins so: `Some(None)` where too little is there to tell, `None` where it does not.
    pub fn begin(bytes: &[u8]) -> Option<Option<Self>> {
        // The first packet: number 0, and protocol version 10.
        match bytes {
            [_, 0, 0, 0, 10, ..] => Some(Some(Self::default())),
            [len] | [len, 0] | [len, 0, 0] | [len, 0, 0, 0] if *len >= 40 => Some(None),
            _ => None,
        }
    }

    /// One packet of the client.
    pub fn client(&mut self, packet: &[u8]) -> Word {
        match packet {
            // SSLRequest: flags, the greatest packet, a character set and zeros.
            [32, 0, 0, 1, low, high, ..] if packet.len() == 36 => {
                if u16::from_le_bytes([*low, *high]) & CLIENT_SSL == 0 {
                    return Word::Foreign;
                }
                Word::Ask(Protocol::MySql, None)
            }
            // A login in clear.
            _ => Word::Foreign,
        }
    }

    /// One packet of the server.
    pub fn server(&mut self, packet: &[u8]) -> Word {
        let payload = packet.get(4..).unwrap_or_default();
        if !std::mem::replace(&mut self.greeted, true) {
            // The version ends with a zero byte; behind it come a number, eight bytes of salt, a zero, and capabilities.
            let end = payload.iter().position(|&byte| byte == 0).unwrap_or(payload.len());
            return match payload.get(end + 14..end + 16) {
                Some(&[low, high]) => Word::Offer(u16::from_le_bytes([low, high]) & CLIENT_SSL != 0),
                _ => Word::Foreign,
            };
        }
        match payload {
            [0xff, low, high, text @ ..] => {
                let text = if let [b'#', _, _, _, _, _, text @ ..] = text { text } else { text };
                let code = u16::from_le_bytes([*low, *high]);
                let said = format!("{code} {}", printable(text, 74));
                Word::No(Refusal { why: by_words(Why::Unclear, text), said })
            }
            _ => Word::Nothing,
        }
    }
}

/// How MySQL's packets are cut: three bytes of length, and a number.
pub(super) fn cut(bytes: &[u8]) -> Cut {
    let &[a, b, c, _, ..] = bytes else { return Cut::More };
    let len = 4 + (usize::from(c) << 16 | usize::from(b) << 8 | usize::from(a));
    if len > super::dialogue::LONGEST {
        Cut::Long(len)
    } else if len > bytes.len() {
        Cut::More
    } else {
        Cut::Whole(len)
    }
}
