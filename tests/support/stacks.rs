//! Whose client and whose server made a capture.

use std::path::Path;

use super::{Label, root};

/// A client's and a server's stack, from the programs of `made_by`: the server is the first that is known to serve, or
/// else the last but one; the client is the last that is not it. A derived capture has those of its source.
pub fn stacks(label: &Label) -> (String, String) {
    if let Some((_, source)) = label.why.split_once("made from ") {
        let source = Path::new("captures").join(source);
        if root().join(&source).is_file() {
            return stacks(&super::label(&source));
        }
    }
    const SERVERS: [&str; 12] = [
        "nginx",
        "s_server",
        "gnutls-serv",
        "HAProxy",
        "stunnel",
        "SSLServerSocket",
        "https",
        "ssl server",
        "plain",
        "http.server",
        "SMTP",
        "OpenSSH",
    ];
    const HELPERS: [&str; 14] = [
        "iptables",
        "ip6tables",
        "nftables",
        "conntrack",
        "dnsmasq",
        "dig ",
        "editcap",
        "(resolver)",
        "(proxy)",
        "tunnel's ends",
        "HTTP responder",
        " ocsp",
        "Linux (",
        "(raw socket)",
    ];
    let is = |part: &str, words: &[&str]| words.iter().any(|word| part.contains(word));
    let programs = label.made_by.split_once("; ").map_or("", |(_, programs)| programs);
    // Brackets may hold a comma.
    let parts: Vec<_> = programs
        .split(", ")
        .filter(|part| !is(part, &HELPERS) && !part.starts_with("server without"))
        .collect();
    let known = parts.iter().position(|part| is(part, &SERVERS));
    let server = known.or_else(|| parts.len().checked_sub(2));
    let client = (0..parts.len()).rev().find(|&n| Some(n) != server);
    let family = |n: Option<usize>| n.map_or("none", |n| family(parts[n])).to_owned();
    (family(client), family(server))
}

/// A program with its TLS library; its own name where it is not listed.
fn family(program: &str) -> &str {
    const FAMILIES: [(&str, &str); 16] = [
        ("pyOpenSSL", "pyOpenSSL"),
        ("(SMTP)", "Python (OpenSSL)"),
        ("http.server", "no TLS"),
        ("plain", "no TLS"),
        ("OpenSSH", "no TLS"),
        ("curl", "curl (OpenSSL)"),
        ("wget", "wget (GnuTLS)"),
        ("GnuTLS", "GnuTLS tools"),
        ("OpenSSL", "OpenSSL tools"),
        ("nginx", "nginx (OpenSSL)"),
        ("HAProxy", "HAProxy (OpenSSL)"),
        ("stunnel", "stunnel (OpenSSL)"),
        ("Python", "Python (OpenSSL)"),
        ("Node", "Node.js (OpenSSL)"),
        ("Java", "Java"),
        ("NSS", "NSS tools"),
    ];
    let known = FAMILIES.iter().find(|(word, _)| program.contains(word)).map(|(_, family)| *family);
    known.unwrap_or_else(|| program.split(|c: char| c.is_ascii_digit()).next().unwrap_or(program).trim())
}
