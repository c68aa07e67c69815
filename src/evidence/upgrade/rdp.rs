//! RDP's negotiation of its security ([MS-RDPBCGR] sections 2.2.1.1 and 2.2.1.2), within X.224 over TPKT.

use super::{Cut, Protocol, Refusal, Why, Word};

/// How the bytes are cut (RFC 1006 section 6).
pub(super) fn cut(bytes: &[u8]) -> Cut {
    match bytes {
        [3, 0, high, low, ..] => match usize::from(u16::from_be_bytes([*high, *low])) {
            ..7 => Cut::Foreign,
            len if len > bytes.len() && len <= super::dialogue::LONGEST => Cut::More,
            len if len > super::dialogue::LONGEST => Cut::Long(len),
            len => Cut::Whole(len),
        },
        [3] | [3, 0] | [3, 0, _] => Cut::More,
        _ => Cut::Foreign,
    }
}

/// One message of the client.
pub(super) fn client(message: &[u8]) -> Word {
    match message.get(5) {
        // Connection Request: a cookie may stand before the request.
        Some(0xe0) => match message.last_chunk::<8>() {
            Some([1, _, 8, 0, protocols @ ..]) if u32::from_le_bytes(*protocols) != 0 => {
                Word::Ask(Protocol::Rdp, None)
            }
            // With correlation information behind it, which takes 36 bytes.
            _ => match message.len().checked_sub(44).and_then(|at| message.get(at..)) {
                Some([1, _, 8, 0, a, b, c, d, 6, ..]) if u32::from_le_bytes([*a, *b, *c, *d]) != 0 => {
                    Word::Ask(Protocol::Rdp, None)
                }
                _ => Word::Foreign,
            },
        },
        // Disconnect Request.
        Some(0x80) => Word::Farewell,
        _ => Word::Other,
    }
}

/// One message of the server.
pub(super) fn server(message: &[u8]) -> Word {
    let refuse = |why, said: &str| Word::No(Refusal { why, said: said.to_owned() });
    if message.get(5) != Some(&0xd0) {
        return Word::Nothing;
    }
    match message.get(11..) {
        Some([2, _, 8, 0, protocol @ ..]) if protocol.len() == 4 => {
            if protocol == [0; 4] {
                refuse(Why::Unsupported, "standard RDP security")
            } else {
                Word::Yes
            }
        }
        Some([3, _, 8, 0, code, 0, 0, 0]) => match code {
            1 => refuse(Why::Unclear, "SSL_REQUIRED_BY_SERVER"),
            2 => refuse(Why::Unsupported, "SSL_NOT_ALLOWED_BY_SERVER"),
            3 => refuse(Why::Trouble, "SSL_CERT_NOT_ON_SERVER"),
            4 => refuse(Why::Unclear, "INCONSISTENT_FLAGS"),
            5 => refuse(Why::OtherWay, "HYBRID_REQUIRED_BY_SERVER"),
            6 => refuse(Why::OtherWay, "SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER"),
            other => refuse(Why::Unclear, &format!("RDP_NEG_FAILURE {other}")),
        },
        // A server from before the negotiation knows its own security alone.
        Some([]) | None => refuse(Why::Unsupported, "no answer to the negotiation request"),
        _ => Word::Nothing,
    }
}
