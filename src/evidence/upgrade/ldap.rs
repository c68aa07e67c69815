//! LDAP's StartTLS (RFC 4511 section 4.14).

use super::{Cut, Protocol, Why, Word, has, no};

/// The name of the extended operation (RFC 4511 section 4.14.1).
pub(super) const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// A conversation.
#[derive(Debug, Default)]
pub(super) struct Ldap {
    /// The message ID of the request for TLS.
    asked: Vec<u8>,
}

impl Ldap {
    /// One message of the client.
    pub fn client(&mut self, message: &[u8]) -> Word {
        let Some((id, operation)) = envelope(message) else { return Word::Other };
        match ber(operation) {
            Some((0x77, request, _)) if has(request, START_TLS) => {
                self.asked = id.to_vec();
                Word::Ask(Protocol::Ldap, None)
            }
            // UnbindRequest (RFC 4511 section 4.3).
            _ if operation.first() == Some(&0x42) => Word::Farewell,
            _ => Word::Other,
        }
    }

    /// One message of the server.
    pub fn server(&self, message: &[u8]) -> Word {
        let answer = || {
            let (id, operation) = envelope(message)?;
            let (0x78, response, _) = ber(operation)? else { return None };
            let (0x0a, code, behind) = ber(response)? else { return None };
            // Behind the code and the matched name stands a text for people.
            let text = ber(behind).and_then(|(_, _, rest)| ber(rest)).map_or(&[][..], |(_, text, _)| text);
            Some((id, code, text))
        };
        let Some((id, code, text)) = answer() else { return Word::Nothing };
        let said = |code: &[u8]| {
            let mut said = format!("result {} ", code.first().copied().unwrap_or(0)).into_bytes();
            said.extend_from_slice(text);
            said.trim_ascii_end().to_vec()
        };
        match code {
            // A notice of disconnection answers nothing (RFC 4511 section 4.4.1).
            _ if id == [0] => no(Why::Unclear, &said(code)),
            _ if id != self.asked => Word::Nothing,
            [0] => Word::Yes,
            // RFC 4511 section 4.14.2: protocolError where TLS is not supported, "whether by design or by current
            // configuration"; unavailable where "the TLS subsystem is not presently available". OpenLDAP says
            // the latter too where none was ever configured.
            [2] => no(Why::Unsupported, &said(code)),
            [52] => no(Why::Unable, &said(code)),
            _ => no(Why::Unclear, &said(code)),
        }
    }
}

/// Message ID and operation.
fn envelope(message: &[u8]) -> Option<(&[u8], &[u8])> {
    // What is too long to be held whole is read as far as it goes.
    let (0x30, _, rest) = header(message)? else { return None };
    let (0x02, id, operation) = ber(rest)? else { return None };
    Some((id, operation))
}

/// How the bytes are cut.
pub(super) fn cut(bytes: &[u8]) -> Cut {
    if bytes.first().is_some_and(|&tag| tag != 0x30) {
        return Cut::Foreign;
    }
    match header(bytes) {
        Some((_, len, content)) => {
            let whole = bytes.len() - content.len() + len;
            if len > super::dialogue::LONGEST {
                Cut::Long(whole)
            } else if content.len() < len {
                Cut::More
            } else {
                Cut::Whole(whole)
            }
        }
        None if bytes.get(1).is_some_and(|&short| !matches!(short, 0..=0x7f | 0x81..=0x84)) => Cut::Foreign,
        None => Cut::More,
    }
}

/// Tag, length, and what follows of one element of BER with a length of up to four bytes (RFC 4511 section 5.1).
fn header(bytes: &[u8]) -> Option<(u8, usize, &[u8])> {
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
    Some((tag, len, rest))
}

/// Tag, content and what follows of one element.
pub(super) fn ber(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, len, rest) = header(bytes)?;
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}
