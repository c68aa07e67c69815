//! What may come in clear before TLS: proxies' requests and upgrades (STARTTLS and its kin).

/// Whether a client that begins with these bytes may still turn to TLS on the same connection.
pub fn may_upgrade(client: &[u8]) -> bool {
    matches!(
        client,
        // HTTP CONNECT; SOCKS 4 and 5; PostgreSQL's SSLRequest, or the GSSENCRequest before it; XMPP; LDAP; upgrades of mail and FTP
        // begin with the server's greeting.
        [b'C', b'O', b'N', b'N', b'E', b'C', b'T', b' ', ..]
            | [4 | 5, _, ..]
            | [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f | 0x30, ..]
            | [b'<', b'?' | b's', ..]
            | [0x30, ..]
            | [b'P', b'R', b'O', b'X', b'Y', ..]
            | [0x0d, 0x0a, 0x0d, 0x0a, 0, ..]
    ) || speaks_lines(client)
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
pub fn name(client: &[u8], server: &[u8]) -> Option<&'static str> {
    let has =
        |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word));
    Some(match (client, server) {
        (c, _) if c.starts_with(b"CONNECT ") => "http_connect",
        ([4 | 5, ..], _) => "socks",
        ([0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f, ..], _) => "postgresql",
        (c, _) if has(c, b"<stream:stream") || has(c, b"jabber") => "xmpp",
        (c, _) if has(c, b"1.3.6.1.4.1.1466.20037") => "ldap",
        (c, s) if s.starts_with(b"* ") || has(c, b" STARTTLS") && !has(c, b"EHLO") => "imap",
        (_, s) if s.starts_with(b"+OK") => "pop3",
        (c, s) if s.starts_with(b"220") && has(c, b"AUTH ") => "ftp",
        (c, s) if s.starts_with(b"220") && (has(c, b"EHLO") || has(c, b"HELO") || has(c, b"LHLO")) => "smtp",
        (_, s) if s.get(3..5) == Some(&[0, 10]) => "mysql",
        (c, _) if c.starts_with(b"PROXY ") || c.starts_with(b"\r\n\r\n\0") => "proxy_protocol",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preludes_are_named_by_what_was_said() {
        let cases: [(&[u8], &[u8], Option<&str>); 6] = [
            (b"CONNECT a:443 HTTP/1.1\r\n", b"HTTP/1.1 200 OK", Some("http_connect")),
            (b"\x05\x01\x00", b"\x05\x00", Some("socks")),
            (b"EHLO me\r\nSTARTTLS\r\n", b"220 mail ESMTP", Some("smtp")),
            (b"a STARTTLS\r\n", b"* OK ready", Some("imap")),
            (b"AUTH TLS\r\n", b"220 ftp", Some("ftp")),
            (b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK", None),
        ];
        for (client, server, named) in cases {
            assert_eq!(name(client, server), named);
        }
        assert!(!may_upgrade(b"GET / HTTP/1.1\r\nHost: a\r\n"));
        assert!(may_upgrade(b"a CAPABILITY\r\n"), "before the greeting came");
        assert!(!may_upgrade(b"\x00\x01\r\n") && !may_upgrade(b"no end of line"));
    }
}
