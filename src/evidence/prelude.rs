//! What may come in clear before TLS: proxies' requests and upgrades (STARTTLS and its kin).

use super::upgrade::{GSS_REQUEST, Protocol, SSL_REQUEST, begins_header};

/// Whether a client that begins with these bytes may still turn to TLS on the same connection; `None` where more of them
/// must tell.
pub fn may_upgrade(client: &[u8]) -> Option<bool> {
    // HTTP CONNECT; SOCKS 4 and 5; PostgreSQL's SSLRequest, or the GSSENCRequest before it; RDP; XMPP; LDAP; upgrades of
    // mail and FTP begin with the server's greeting.
    const WORDS: [&[u8]; 5] = [b"CONNECT ", b"PROXY ", b"\r\n\r\n\0", &SSL_REQUEST, &GSS_REQUEST];
    let sure =
        matches!(client, [4 | 5, _, ..] | [3, 0, _, _, _, 0xe0, ..] | [b'<', b'?' | b's', ..] | [0x30, ..])
            || WORDS.iter().any(|word| client.starts_with(word))
            || speaks_lines(client);
    // What begins with a zero is a question to DNS over TCP as well, which nobody cuts so early.
    let cut = |word: &&[u8]| word.starts_with(client) && !client.starts_with(&[0]);
    let rdp = matches!(client, [3] | [3, 0] | [3, 0, _] | [3, 0, _, _] | [3, 0, _, _, _]);
    let may = rdp || matches!(client, [4 | 5] | [b'<'] | []) || WORDS.iter().any(cut);
    if sure {
        Some(true)
    } else if may {
        None
    } else {
        Some(false)
    }
}

/// A command in a line, as clients of mail and FTP send that do not wait for the greeting; no request of HTTP.
fn speaks_lines(client: &[u8]) -> bool {
    let Some(end) = client.iter().position(|&byte| byte == b'\r') else { return false };
    let (line, rest) = client.split_at(end);
    rest.starts_with(b"\r\n")
        && !line.is_empty()
        && line.iter().all(|byte| (0x20..0x7f).contains(byte))
        && !line.windows(6).any(|window| window == b"HTTP/1" || window == b"HTTP/2")
}

/// Names the protocol that was upgraded or the proxy that was asked, from the first bytes of both sides.
pub fn name(client: &[u8], server: &[u8]) -> Option<Protocol> {
    let has =
        |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word));
    Some(match (client, server) {
        (c, _) if c.starts_with(b"CONNECT ") => Protocol::HttpConnect,
        ([4 | 5, ..], _) => Protocol::Socks,
        (c, _) if c.starts_with(&SSL_REQUEST) => Protocol::PostgreSql,
        ([3, 0, _, _, _, 0xe0, ..], _) => Protocol::Rdp,
        (c, _) if has(c, b"<stream:stream") || has(c, b"jabber") => Protocol::Xmpp,
        (c, _) if has(c, b"1.3.6.1.4.1.1466.20037") => Protocol::Ldap,
        (c, s) if s.starts_with(b"* ") || has(c, b" STARTTLS") && !has(c, b"EHLO") => Protocol::Imap,
        (_, s) if s.starts_with(b"+OK") => Protocol::Pop3,
        (c, s) if s.starts_with(b"220") && has(c, b"AUTH ") => Protocol::Ftp,
        (c, s) if s.starts_with(b"220") && (has(c, b"EHLO") || has(c, b"HELO") || has(c, b"LHLO")) => {
            Protocol::Smtp
        }
        (_, s) if s.get(3..5) == Some(&[0, 10]) => Protocol::MySql,
        (c, _) if begins_header(c) => Protocol::ProxyProtocol,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preludes_are_named_by_what_was_said() {
        let cases: [(&[u8], &[u8], Option<Protocol>); 6] = [
            (b"CONNECT a:443 HTTP/1.1\r\n", b"HTTP/1.1 200 OK", Some(Protocol::HttpConnect)),
            (b"\x05\x01\x00", b"\x05\x00", Some(Protocol::Socks)),
            (b"EHLO me\r\nSTARTTLS\r\n", b"220 mail ESMTP", Some(Protocol::Smtp)),
            (b"a STARTTLS\r\n", b"* OK ready", Some(Protocol::Imap)),
            (b"AUTH TLS\r\n", b"220 ftp", Some(Protocol::Ftp)),
            (b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK", None),
        ];
        for (client, server, named) in cases {
            assert_eq!(name(client, server), named);
        }
        let told = |client: &[u8]| may_upgrade(client);
        assert_eq!(told(b"GET / HTTP/1.1\r\nHost: a\r\n"), Some(false));
        assert_eq!(told(b"a CAPABILITY\r\n"), Some(true), "before the greeting came");
        assert_eq!([told(b"\x00\x01\r\n"), told(b"no end of line")], [Some(false); 2]);
        assert_eq!([told(b"CON"), told(b"\x05"), told(b"\r\n")], [None; 3], "cut short");
        assert_eq!(told(b"\x00\x00"), Some(false), "DNS over TCP");
    }
}
