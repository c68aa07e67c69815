//! Whose TLS stack made a ClientHello, told by its shape.
//!
//! Only stacks whose way of rejecting a certificate differs from the rest are told apart (see `cause::stack` and
//! `evidence::outcome`). A hello that fits none is `None`: programs choose suites and extensions of their own.

use super::codes::{CipherSuite, ExtensionType, is_grease};
use super::hello::{ClientHello, Offer};

/// A client's TLS stack, or a program that sets one up in a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stack {
    /// OpenSSL, with whatever program.
    OpenSsl,
    /// curl on OpenSSL, for HTTPS: OpenSSL's own suites, HTTP by ALPN, and post-handshake authentication, which
    /// curl enables (`ossl_connect_step1` in lib/vtls/openssl.c) and OpenSSL does not by itself.
    Curl,
    /// Node.js, on an OpenSSL of its own.
    Node,
    /// Python 3.10 and later, on OpenSSL.
    Python,
    /// Java's own, JSSE.
    Jsse,
    /// GnuTLS.
    GnuTls,
    /// A browser of Chromium's family: BoringSSL with GREASE (RFC 8701).
    Chromium,
    /// Apple's own, Secure Transport or Network.framework, with GREASE too.
    Apple,
    /// NSS, as in Firefox.
    Nss,
    /// Go's crypto/tls.
    Go,
    /// rustls.
    Rustls,
}

/// In which order OpenSSL 1.1.1 to 4.0 writes extensions (`ext_defs` in ssl/statem/extensions.c), as far as clients
/// send them unasked or are often told to. Version 4 moves the server's name to the end.
const OPENSSL_ORDER: [u16; 16] = [0xff01, 0, 11, 10, 35, 5, 16, 22, 18, 23, 50, 49, 13, 43, 45, 51];

/// Suites for TLS 1.2 that Node.js asks for first (`DEFAULT_CIPHER_LIST_CORE` in src/node_constants.h): AES-128
/// before AES-256, RSA before ECDSA, then DHE.
const NODE_SUITES: [u16; 5] = [0xc02f, 0xc02b, 0xc030, 0xc02c, 0x009e];

/// Suites for TLS 1.2 that Python asks for first (`PY_SSL_DEFAULT_CIPHERS` in Modules/_ssl.c): ECDHE before DHE.
const PYTHON_SUITES: [u16; 6] = [0xc02c, 0xc030, 0xc02b, 0xc02f, 0xcca9, 0xcca8];

/// OpenSSL's own order of suites for TLS 1.2 begins so (`DEFAULT`: strength, then ECDHE before DHE). Python and
/// Node.js set lists of their own.
const OPENSSL_SUITES: [u16; 4] = [0xc02c, 0xc030, 0x009f, 0xcca9];

/// AES-CCM for TLS 1.3, and for TLS 1.2 with ECDSA and with DHE, as in GnuTLS's priority `NORMAL`.
const CCM_SUITES: [u16; 3] = [0x1304, 0xc0ad, 0xc09f];

/// Suites for TLS 1.2 that Apple's stack asks for first; Chromium asks for AES-128 before AES-256.
const APPLE_SUITES: [u16; 4] = [0xc02c, 0xc02b, 0xcca9, 0xc030];

/// NSS's order for TLS 1.3 (`cipherSuites` in lib/ssl/ssl3con.c): ChaCha20 in the middle.
const NSS_SUITES: [u16; 3] = [0x1301, 0x1303, 0x1302];

/// rustls's default suites (`DEFAULT_CIPHER_SUITES` in rustls/src/crypto/aws_lc_rs/mod.rs), all it has.
const RUSTLS_SUITES: [u16; 9] = [0x1302, 0x1301, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8];

impl Stack {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OpenSsl => "openssl",
            Self::Curl => "curl",
            Self::Node => "node",
            Self::Python => "python",
            Self::Jsse => "jsse",
            Self::GnuTls => "gnutls",
            Self::Chromium => "chromium",
            Self::Apple => "apple",
            Self::Nss => "nss",
            Self::Go => "go",
            Self::Rustls => "rustls",
        }
    }

    /// OpenSSL below, whatever the program.
    pub const fn is_openssl(self) -> bool {
        matches!(self, Self::OpenSsl | Self::Curl | Self::Node | Self::Python)
    }

    /// Browsers open connections that they may not need.
    pub const fn preconnects(self) -> bool {
        matches!(self, Self::Chromium | Self::Apple)
    }

    /// The stack that made a hello, or none of these.
    pub fn of(hello: &ClientHello) -> Option<Self> {
        if hello.malformed || hello.sslv2_framed { None } else { Self::of_offer(&hello.offer) }
    }

    /// As [`Stack::of`], by what a whole hello offers.
    pub fn of_offer(hello: &Offer) -> Option<Self> {
        if hello.extensions.iter().any(|kind| is_grease(kind.0)) {
            return Some(if begins_with(hello, &APPLE_SUITES) { Self::Apple } else { Self::Chromium });
        }
        if is_gnutls(hello) {
            return Some(Self::GnuTls);
        }
        if is_nss(hello) {
            return Some(Self::Nss);
        }
        if is_jsse(hello) {
            return Some(Self::Jsse);
        }
        if is_go(hello) {
            return Some(Self::Go);
        }
        if is_rustls(hello) {
            return Some(Self::Rustls);
        }
        if !is_openssl(hello) {
            return None;
        }
        let asks_for = |name: &str| hello.alpn.iter().any(|protocol| protocol == name);
        let http = asks_for("h2")
            || asks_for("http/1.1") && hello.extensions.contains(&ExtensionType::POST_HANDSHAKE_AUTH);
        Some(if begins_with(hello, &NODE_SUITES) {
            Self::Node
        } else if begins_with(hello, &PYTHON_SUITES) {
            Self::Python
        } else if begins_with(hello, &OPENSSL_SUITES) && http {
            Self::Curl
        } else {
            Self::OpenSsl
        })
    }

    /// Whether programs on this stack verify, or often verify, behind both Finished (TLS 1.2), and then close without
    /// a word: wget and others that call `gnutls_certificate_verify_peers` after the handshake, and Node.js
    /// (`onConnectSecure` in lib/_tls_wrap.js).
    pub const fn verifies_late(self) -> bool {
        matches!(self, Self::GnuTls | Self::Node)
    }

    /// Whether programs on this stack may reject within the handshake by closing without a word: Node.js behind TLS
    /// 1.3, Python's asyncio (`_on_handshake_complete` in asyncio/sslproto.py), Java's HttpClient, and those on GnuTLS
    /// that close where verification fails.
    pub const fn rejects_silently(self) -> bool {
        matches!(self, Self::Node | Self::Python | Self::Jsse | Self::GnuTls)
    }
}

/// The second version of status_request (RFC 6961), which of the stacks in use only JSSE sends, in the order of its
/// `SSLExtension`.
fn is_jsse(hello: &Offer) -> bool {
    let place = |code: u16| hello.extensions.iter().position(|kind| kind.0 == code);
    matches!((place(10), place(17), place(23)), (Some(groups), Some(status), Some(secret)) if groups < status && status < secret)
}

/// The suites for TLS 1.2 and older begin with these.
fn begins_with(hello: &Offer, suites: &[u16]) -> bool {
    let ciphers = hello.ciphers.iter().map(|suite| suite.0);
    let older = ciphers.filter(|code| code >> 8 != 0x13 && !is_grease(*code));
    older.take(suites.len()).eq(suites.iter().copied())
}

/// A size limit for records without GnuTLS's AES-CCM, and NSS's order.
fn is_nss(hello: &Offer) -> bool {
    let newest = hello.ciphers.iter().map(|suite| suite.0).filter(|code| code >> 8 == 0x13);
    hello.extensions.contains(&ExtensionType::RECORD_SIZE_LIMIT) && newest.take(3).eq(NSS_SUITES)
}

/// The suites of TLS 1.3 behind all others (`clientHelloMsg` in crypto/tls/handshake_client.go), and certificate
/// timestamps, which Go always asks for, beside a stapled answer.
fn is_go(hello: &Offer) -> bool {
    let new = |suite: &CipherSuite| suite.0 >> 8 == 0x13;
    let first_new = hello.ciphers.iter().position(new);
    first_new.is_some_and(|place| place > 0 && hello.ciphers.iter().skip(place).all(new))
        && hello.extensions.contains(&ExtensionType(18))
        && hello.status_request
}

/// No suites but rustls's, in its order, the signal of RFC 5746 last where TLS 1.2 is offered.
fn is_rustls(hello: &Offer) -> bool {
    let real = hello.ciphers.iter().filter(|suite| !suite.is_signal()).map(|suite| suite.0);
    let all = real.eq(RUSTLS_SUITES);
    all && hello.ciphers.last().is_some_and(|suite| suite.is_signal())
}

/// Point formats before groups, encrypt-then-MAC and extended master secret, and nothing out of OpenSSL's order.
fn is_openssl(hello: &Offer) -> bool {
    let has = |kind: ExtensionType| hello.extensions.contains(&kind);
    // Without suites before TLS 1.3 there are no point formats.
    let only13 = hello.ciphers.iter().all(|suite| suite.0 >> 8 == 0x13 || suite.is_signal());
    let marks = has(ExtensionType::ENCRYPT_THEN_MAC) && has(ExtensionType::EXTENDED_MASTER_SECRET);
    if !marks || (!has(ExtensionType::EC_POINT_FORMATS) && !only13) {
        return false;
    }
    let placed = hello.extensions.iter().filter(|kind| **kind != ExtensionType::SERVER_NAME);
    let places = placed.filter_map(|kind| OPENSSL_ORDER.iter().position(|&known| known == kind.0));
    places.is_sorted()
}

/// A size limit for records (RFC 8449), which beside GnuTLS only NSS asks for, and AES-CCM, which NSS does not offer.
fn is_gnutls(hello: &Offer) -> bool {
    let ccm = |suite: &CipherSuite| CCM_SUITES.contains(&suite.0);
    hello.extensions.contains(&ExtensionType::RECORD_SIZE_LIMIT)
        && hello.status_request
        && hello.ciphers.iter().any(ccm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn hello(suites: &[u16], extensions: &[u16], alpn: &[&str]) -> ClientHello {
        let offer = Offer {
            ciphers: suites.iter().copied().map(CipherSuite).collect(),
            extensions: extensions.iter().copied().map(ExtensionType).collect(),
            alpn: alpn.iter().map(|&name| name.to_owned().into()).collect(),
            status_request: extensions.contains(&5),
            ..Offer::default()
        };
        ClientHello { offer: Arc::new(offer), ..ClientHello::default() }
    }

    const DEFAULT: [u16; 9] = [0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0x009f, 0xcca9, 0xcca8, 0x00ff];

    #[test]
    fn stacks_are_told_by_what_their_sources_write() {
        let node = [0x1302, 0x1303, 0x1301, 0xc02f, 0xc02b, 0xc030, 0xc02c, 0x009e, 0xc027, 0x00ff];
        let python = [0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0x00ff];
        let gnutls = [0x1302, 0x1303, 0x1301, 0x1304, 0xc02c, 0xcca9, 0xc0ad, 0xc00a];
        let nss = [0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8];
        let java = [0x1302, 0x1301, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030];
        let go = [0xc02b, 0xc02f, 0xc02c, 0xc030, 0x1301, 0x1302, 0x1303];
        let openssl = [0, 11, 10, 35, 22, 23, 13, 43, 45, 51];
        let chromium = hello(&[0xfafa, 0x1301, 0xc02b], &[0x4a4a, 10, 45, 23, 43, 0, 16], &["h2"]);
        let curl = [0, 11, 10, 16, 22, 23, 49, 13, 43, 45, 51, 21];
        let cases = [
            ("s_client", hello(&DEFAULT, &openssl, &[]), Some(Stack::OpenSsl)),
            (
                "OpenSSL 4",
                hello(&DEFAULT, &[0xff01, 11, 10, 35, 22, 23, 13, 43, 45, 51, 0], &[]),
                Some(Stack::OpenSsl),
            ),
            ("TLS 1.2 alone", hello(&DEFAULT[3..], &[0, 11, 10, 35, 22, 23, 13], &[]), Some(Stack::OpenSsl)),
            (
                "TLS 1.3 alone",
                hello(&DEFAULT[..3], &[0, 10, 35, 22, 23, 13, 43, 45, 51], &[]),
                Some(Stack::OpenSsl),
            ),
            ("Python", hello(&python, &openssl, &[]), Some(Stack::Python)),
            (
                "Python for HTTP/2",
                hello(&python, &[0, 11, 10, 35, 16, 22, 23, 13, 43, 45, 51], &["h2"]),
                Some(Stack::Python),
            ),
            ("curl", hello(&DEFAULT, &curl, &["h2", "http/1.1"]), Some(Stack::Curl)),
            ("curl --http1.1", hello(&DEFAULT, &curl, &["http/1.1"]), Some(Stack::Curl)),
            ("Node.js", hello(&node, &openssl, &[]), Some(Stack::Node)),
            (
                "GnuTLS",
                hello(&gnutls, &[5, 10, 11, 13, 22, 23, 35, 51, 43, 0xff01, 0, 45, 28], &[]),
                Some(Stack::GnuTls),
            ),
            (
                "GnuTLS, shuffled",
                hello(&gnutls, &[28, 51, 0, 10, 45, 5, 22, 13, 11, 23, 35, 43], &[]),
                Some(Stack::GnuTls),
            ),
            ("Chromium", chromium, Some(Stack::Chromium)),
            ("NSS", hello(&nss, &[0, 23, 0xff01, 10, 11, 51, 43, 13, 45, 28, 21], &[]), Some(Stack::Nss)),
            ("Java", hello(&java, &[0, 5, 10, 11, 17, 23, 35, 13, 43, 45, 50, 51], &[]), Some(Stack::Jsse)),
            ("Go", hello(&go, &[0, 5, 10, 11, 13, 0xff01, 18, 43, 51], &[]), Some(Stack::Go)),
            (
                "rustls",
                hello(
                    &[&RUSTLS_SUITES[..], &[0x00ff]].concat(),
                    &[35, 0, 45, 23, 11, 5, 43, 10, 13, 51],
                    &[],
                ),
                Some(Stack::Rustls),
            ),
            ("suites of rustls and others", hello(&java, &[35, 0, 45, 23, 11, 5, 43, 10, 13, 51], &[]), None),
            (
                "Safari",
                hello(
                    &[0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030],
                    &[0x4a4a, 0, 23],
                    &["h2"],
                ),
                Some(Stack::Apple),
            ),
        ];
        for (name, hello, stack) in cases {
            assert_eq!(Stack::of(&hello), stack, "{name}");
        }
    }

    #[test]
    fn a_hello_that_was_cut_tells_nothing() {
        let whole = hello(&DEFAULT, &[0, 11, 10, 35, 22, 23, 13, 43, 45, 51], &[]);
        assert_eq!(Stack::of(&ClientHello { malformed: true, ..whole }), None);
    }
}
