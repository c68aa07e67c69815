//! XMPP's STARTTLS (RFC 6120 section 5.4), tag by tag.

use super::{Protocol, Refusal, Upgrade, Why, Word, has};

/// One tag of the client, with the text before it.
pub(super) fn client(tag: &[u8]) -> Word {
    let tag = of(tag);
    if tag.starts_with(b"<starttls") {
        Word::Ask(Protocol::Xmpp, None)
    } else if tag.starts_with(b"</stream:stream") {
        Word::Farewell
    } else if tag.starts_with(b"<?") || tag.starts_with(b"</starttls") || has(tag, b"<stream:stream") {
        Word::Nothing
    } else {
        Word::Other
    }
}

/// One tag of the server.
pub(super) fn server(tag: &[u8], asked: Option<&Upgrade>) -> Word {
    let tag = of(tag);
    let no = |why| Word::No(Refusal { why, said: String::new() });
    let Some(upgrade) = asked else {
        return if tag.starts_with(b"<starttls") {
            Word::Offer(true)
        } else if has(tag, b"</stream:features") {
            Word::Offer(false)
        } else {
            Word::Nothing
        };
    };
    if tag.starts_with(b"<proceed") {
        Word::Yes
    } else if tag.starts_with(b"<failure") {
        // RFC 6120 section 5.4.2.2: a malformed request, no offer, or an internal error.
        no(if upgrade.offered == Some(true) || upgrade.accepted.is_some() {
            Why::Unable
        } else {
            Why::Unclear
        })
    } else if tag.starts_with(b"<stream:error") || tag.starts_with(b"</stream:stream") {
        no(Why::Unclear)
    } else {
        Word::Nothing
    }
}

/// The tag without the text before it.
fn of(tag: &[u8]) -> &[u8] {
    let at = tag.iter().position(|&byte| byte == b'<').unwrap_or(0);
    tag.get(at..).unwrap_or(tag)
}
