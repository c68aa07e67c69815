//! Whose TLS stack made a ClientHello, told by its shape.
//!
//! Only stacks whose way of rejecting a certificate differs from the rest are told apart (see `cause::stack` and
//! `evidence::rejection`). A hello that fits none is `None`: programs choose suites and extensions of their own.

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
    /// Apple's own: Network.framework, with GREASE too, or Secure Transport, without.
    Apple,
    /// Mozilla's NSS, as in Firefox.
    Nss,
    /// Go's crypto/tls.
    Go,
    /// rustls.
    Rustls,
    /// SChannel, of Windows.
    SChannel,
}

/// In which order NSS writes extensions (`clientHelloSendersTLS` in lib/ssl/ssl3ext.c).
const NSS_ORDER: [u16; 19] = [0, 23, 0xff01, 10, 11, 35, 16, 14, 5, 34, 18, 51, 42, 43, 13, 44, 45, 49, 28];

/// In which order Go writes extensions (`clientHelloMsg.marshal` in crypto/tls/handshake_messages.go), and what of them it
/// always sends.
const GO_ORDER: [u16; 15] = [0, 5, 10, 11, 35, 13, 50, 0xff01, 23, 16, 18, 43, 44, 51, 45];
const GO_ALWAYS: [u16; 6] = [5, 10, 11, 13, 0xff01, 18];
/// The same from 1.24 on, which sorts what an inner hello may leave out behind the rest; some go where TLS 1.3 alone is offered.
const GO_ORDER_NOW: [u16; 19] =
    [0, 11, 35, 0xff01, 23, 18, 42, 57, 0xfe0d, 5, 10, 13, 50, 16, 43, 44, 51, 45, 41];
const GO_ALWAYS_NOW: [u16; 6] = [18, 5, 10, 13, 43, 51];

/// All suites of rustls in its order (`DEFAULT_CIPHER_SUITES` of its providers), those before TLS 1.3 from the fourth on.
const RUSTLS_SUITES: [u16; 9] = [0x1302, 0x1301, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8];

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

/// Suites for TLS 1.2 that Apple's stack asks for first; Chromium asks for AES-128 before AES-256.
const APPLE_SUITES: [u16; 4] = [0xc02c, 0xc02b, 0xcca9, 0xc030];

/// Suites for TLS 1.2 of Secure Transport, all ECDSA before all RSA (`KnownCipherSuites` in sslCipherSpecs.c).
const SECURE_TRANSPORT_SUITES: [u16; 4] = [0xc02c, 0xc02b, 0xc024, 0xc023];

/// In which orders Secure Transport writes extensions: macOS 10.8 to 10.13, and later.
const SECURE_TRANSPORT_ORDERS: [&[u16]; 2] = [
    &[0, 10, 11, 13, 13172, 16, 5, 18, 23, 21],
    &[0xff01, 0, 23, 35, 13, 5, 13172, 18, 16, 11, 51, 45, 43, 10, 21],
];

/// Suites of SChannel in its orders ("Cipher Suites in TLS/SSL (Schannel SSP)" in Microsoft's documentation): Windows 10, 11
/// and Server 2016 to 2022, then Windows 7 to 8.1 and Server 2008 R2 to 2012 R2.
const SCHANNEL_SUITES: [&[u16]; 2] = [
    &[
        0x1302, 0x1301, 0x1303, 0xc02c, 0xc02b, 0xc030, 0xc02f, 0x009f, 0x009e, 0xc024, 0xc023, 0xc028,
        0xc027, 0xc00a, 0xc009, 0xc014, 0xc013, 0x0039, 0x0033, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035,
        0x002f, 0x000a, 0x006a, 0x0040, 0x0038, 0x0032, 0x0013, 0x0005, 0x0004,
    ],
    &[
        0xc028, 0xc027, 0xc014, 0xc013, 0x009f, 0x009e, 0x0039, 0x0033, 0x009d, 0x009c, 0x003d, 0x003c,
        0x0035, 0x002f, 0xc02c, 0xc02b, 0xc024, 0xc023, 0xc00a, 0xc009, 0x006a, 0x0040, 0x0038, 0x0032,
        0x000a, 0x0013, 0x0005, 0x0004,
    ],
];

/// In which orders SChannel writes extensions, up to TLS 1.2 and for TLS 1.3 (captures of Windows 7, 10 and 11).
const SCHANNEL_ORDERS: [&[u16]; 2] = [
    &[0, 5, 10, 11, 13, 35, 16, 23, 24, 0xff01],
    &[0, 5, 43, 13, 35, 10, 11, 16, 51, 49, 23, 0xff01, 45, 41],
];

/// AES-CCM for TLS 1.3, and for TLS 1.2 with ECDSA and with DHE, as in GnuTLS's priority `NORMAL`.
const CCM_SUITES: [u16; 3] = [0x1304, 0xc0ad, 0xc09f];

impl Stack {
    /// The stack that made a hello, or none of these.
    pub fn of(hello: &ClientHello) -> Option<Self> {
        if hello.malformed || hello.sslv2_framed { None } else { Self::of_offer(&hello.offer) }
    }

    /// As [`Stack::of`], by what a whole hello offers.
    pub fn of_offer(hello: &Offer) -> Option<Self> {
        hello.whose.or(|| Self::tell(hello))
    }

    fn tell(hello: &Offer) -> Option<Self> {
        let begins_with = |suites: &[u16]| {
            let ciphers = hello.ciphers.iter().map(|suite| suite.0);
            // Secure Transport has the signal for renegotiation first, all others last.
            let older = ciphers
                .filter(|&code| code >> 8 != 0x13 && !is_grease(code) && !CipherSuite(code).is_signal());
            older.take(suites.len()).eq(suites.iter().copied())
        };
        if hello.extensions.iter().any(|kind| is_grease(kind.0)) {
            return Some(if begins_with(&APPLE_SUITES) { Self::Apple } else { Self::Chromium });
        }
        if is_gnutls(hello) {
            return Some(Self::GnuTls);
        }
        if is_jsse(hello) {
            return Some(Self::Jsse);
        }
        if is_nss(hello) {
            return Some(Self::Nss);
        }
        if is_go(hello) {
            return Some(Self::Go);
        }
        if is_rustls(hello) {
            return Some(Self::Rustls);
        }
        if is_schannel(hello) {
            return Some(Self::SChannel);
        }
        if begins_with(&SECURE_TRANSPORT_SUITES) && is_secure_transport(hello) {
            return Some(Self::Apple);
        }
        if !is_openssl(hello) {
            return None;
        }
        let asks_for = |name: &str| hello.alpn.iter().any(|protocol| protocol == name);
        let http = asks_for("h2")
            || asks_for("http/1.1") && hello.extensions.contains(&ExtensionType::POST_HANDSHAKE_AUTH);
        Some(if begins_with(&NODE_SUITES) {
            Self::Node
        } else if begins_with(&PYTHON_SUITES) {
            Self::Python
        } else if begins_with(&OPENSSL_SUITES) && http {
            Self::Curl
        } else {
            Self::OpenSsl
        })
    }

    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OpenSsl => "openssl",
            Self::Curl => "curl",
            Self::Node => "node",
            Self::Python => "python",
            Self::Jsse => "java",
            Self::GnuTls => "gnutls",
            Self::Chromium => "chromium",
            Self::Apple => "apple",
            Self::Nss => "nss",
            Self::Go => "go",
            Self::Rustls => "rustls",
            Self::SChannel => "schannel",
        }
    }

    /// Whether the hello's shape is this stack's alone. Programs that pass for browsers copy those of Chromium, Safari and Firefox
    /// (uTLS: `HelloChrome_Auto`, `HelloFirefox_Auto`), others that pass for a Windows program SChannel's, and keep their own
    /// verifier; the other shapes nobody is known to copy.
    pub const fn is_sure(self) -> bool {
        !matches!(self, Self::Chromium | Self::Apple | Self::Nss | Self::SChannel)
    }

    /// Browsers open connections that they may not need.
    pub const fn preconnects(self) -> bool {
        matches!(self, Self::Chromium | Self::Apple)
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

/// Whether extensions stand in an order, others and the padding left aside.
fn in_order(hello: &Offer, order: &[u16]) -> bool {
    hello.extensions.iter().filter_map(|kind| order.iter().position(|&known| known == kind.0)).is_sorted()
}

/// A size limit for records and extended master secret in NSS's order, ChaCha20 second among the suites of TLS 1.3
/// (`cipherSuites` in lib/ssl/ssl3con.c), and no AES-CCM.
fn is_nss(hello: &Offer) -> bool {
    hello.extensions.contains(&ExtensionType::RECORD_SIZE_LIMIT)
        && hello.extensions.contains(&ExtensionType::EXTENDED_MASTER_SECRET)
        && hello.ciphers.iter().map(|suite| suite.0).take(3).eq([0x1301, 0x1303, 0x1302])
        && in_order(hello, &NSS_ORDER)
}

/// A stapled answer, signed timestamps and renegotiation_info asked for in Go's order, and no encrypt-then-MAC.
fn is_go(hello: &Offer) -> bool {
    let has = |code: &u16| hello.extensions.iter().any(|kind| kind.0 == *code);
    let made_by = |order: &[u16], always: &[u16]| {
        always.iter().all(has)
            && hello.extensions.iter().all(|kind| order.contains(&kind.0) || kind.0 == 41)
            && in_order(hello, order)
    };
    made_by(&GO_ORDER, &GO_ALWAYS) || made_by(&GO_ORDER_NOW, &GO_ALWAYS_NOW)
}

/// Suites of rustls alone, in its order, with the signal for renegotiation at their end, and a stapled answer asked for.
fn is_rustls(hello: &Offer) -> bool {
    let suites = || hello.ciphers.iter().filter(|suite| !suite.is_signal());
    let places = || suites().map(|suite| RUSTLS_SUITES.iter().position(|&known| known == suite.0));
    hello.ciphers.last().is_some_and(|suite| suite.is_signal())
        && hello.status_request
        && hello.extensions.contains(&ExtensionType::EXTENDED_MASTER_SECRET)
        && !hello.extensions.contains(&ExtensionType::ENCRYPT_THEN_MAC)
        && suites().count() >= 3
        && places().all(|place| place.is_some())
        && places().is_sorted()
}

/// Whether all codes stand in a list, in its order.
fn all_in_order(codes: impl Iterator<Item = u16> + Clone, order: &[u16]) -> bool {
    let place = |code: u16| order.iter().position(|&known| known == code);
    codes.clone().all(|code| place(code).is_some()) && codes.filter_map(place).is_sorted()
}

/// Nothing but SChannel's suites and extensions, each in an order of its own, point formats and extended master secret (a
/// part of every Windows that is kept up to date since 2015), and no signal for renegotiation.
fn is_schannel(hello: &Offer) -> bool {
    let suites = || hello.ciphers.iter().map(|suite| suite.0);
    let extensions = || hello.extensions.iter().map(|kind| kind.0);
    let has = |kind: ExtensionType| hello.extensions.contains(&kind);
    has(ExtensionType::EC_POINT_FORMATS)
        && has(ExtensionType::EXTENDED_MASTER_SECRET)
        && extensions().any(|code| code == 0xff01)
        && suites().count() >= 6
        && SCHANNEL_SUITES.iter().any(|order| all_in_order(suites(), order))
        && SCHANNEL_ORDERS.iter().any(|order| all_in_order(extensions(), order))
}

/// Nothing but Secure Transport's extensions in one of its orders, a stapled answer and signed timestamps asked for.
fn is_secure_transport(hello: &Offer) -> bool {
    let extensions = || hello.extensions.iter().map(|kind| kind.0);
    hello.status_request
        && extensions().any(|code| code == 18)
        && SECURE_TRANSPORT_ORDERS.iter().any(|order| all_in_order(extensions(), order))
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

    const WINDOWS_7: [u16; 9] = [0xc028, 0xc027, 0xc014, 0xc013, 0x009f, 0x009e, 0x009d, 0xc02c, 0xc02b];

    #[test]
    fn stacks_are_told_by_what_their_sources_write() {
        let node = [0x1302, 0x1303, 0x1301, 0xc02f, 0xc02b, 0xc030, 0xc02c, 0x009e, 0xc027, 0x00ff];
        let python = [0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0x00ff];
        let gnutls = [0x1302, 0x1303, 0x1301, 0x1304, 0xc02c, 0xcca9, 0xc0ad, 0xc00a];
        let nss = [0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8];
        let java = [0x1302, 0x1301, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030];
        let rustls = [0x1302, 0x1301, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8, 0x00ff];
        let go = [0xc02b, 0xc02f, 0xc02c, 0xc030, 0x1301, 0x1302, 0x1303];
        let windows_10 =
            [0xc02c, 0xc02b, 0xc030, 0xc02f, 0xc024, 0xc023, 0xc028, 0xc027, 0x009d, 0x002f, 0x000a];
        let windows_11 = [0x1302, 0x1301, 0xc02c, 0xc02b, 0xc030, 0xc02f, 0x009f, 0x009e, 0xc024, 0x002f];
        let secure_transport = [0x00ff, 0xc02c, 0xc02b, 0xc024, 0xc023, 0xc00a, 0xc009, 0xc030, 0xc02f];
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
                "Go 1.27",
                hello(&go, &[0, 11, 35, 0xff01, 23, 18, 5, 10, 13, 50, 43, 51, 45], &[]),
                Some(Stack::Go),
            ),
            (
                "Go 1.27 with ECH",
                hello(&go, &[0, 18, 0xfe0d, 5, 10, 13, 50, 43, 51, 45], &[]),
                Some(Stack::Go),
            ),
            ("rustls", hello(&rustls, &[35, 0, 45, 23, 11, 5, 43, 10, 13, 51], &[]), Some(Stack::Rustls)),
            (
                "Safari",
                hello(
                    &[0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030],
                    &[0x4a4a, 0, 23],
                    &["h2"],
                ),
                Some(Stack::Apple),
            ),
            ("Windows 7", hello(&WINDOWS_7, &[0, 5, 10, 11, 13, 23, 0xff01], &[]), Some(Stack::SChannel)),
            (
                "Windows 10",
                hello(&windows_10, &[0, 5, 10, 11, 13, 35, 23, 0xff01], &[]),
                Some(Stack::SChannel),
            ),
            (
                "Windows 10 by address",
                hello(&windows_10, &[10, 11, 13, 35, 23, 0xff01], &[]),
                Some(Stack::SChannel),
            ),
            (
                "Windows 11",
                hello(&windows_11, &[0, 5, 43, 13, 35, 10, 11, 16, 51, 49, 23, 0xff01, 45], &["http/1.1"]),
                Some(Stack::SChannel),
            ),
            // Some inspecting proxies offer what the client offered, by OpenSSL.
            ("Windows 7 behind a proxy", hello(&WINDOWS_7, &[10, 11, 13, 0, 0xff01], &[]), None),
            ("Windows 10 by name only", hello(&windows_10, &[0xff01, 0, 23, 35, 13, 5, 10, 11], &[]), None),
            (
                "Secure Transport",
                hello(&secure_transport, &[0, 10, 11, 13, 13172, 16, 5, 18, 23], &["h2"]),
                Some(Stack::Apple),
            ),
            ("like rustls", hello(&java, &[35, 0, 45, 23, 11, 5, 43, 10, 13, 51], &[]), None),
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
