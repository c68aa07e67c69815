//! The table: what each verifier holds against a chain, in which order, and what it then says.
//!
//! Read at the source (2026): OpenSSL's x509_vfy.c and statem_lib.c, BoringSSL's ssl_x509.cc, NSS's ssl3con.c and mozpkix, JDK
//! 21's CertificateMessage.java, GnuTLS's alert.c, rustls's error/mod.rs, Go's verify.go and handshake_server.go, .NET's
//! SslStream.Protocol.cs. Other places are named as they are known and were not read again: the orders within curl, Python, Node.js, wget, and the verifiers of
//! Java, Chromium and webpki. Where the lab's measurements (`tests/data/alert_matrix.csv`) differ, they count for the
//! version measured, and the comment says so.
//!
//! A rule is `always` where the stack itself checks with nothing set, and `maybe` where a program, a version or a level
//! of security decides, and for what does not decode: parsers differ in what they take.

use crate::tls::chain::Fault;
use Fault::*;

/// How far the order of the rules decides between two defects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first defect met ends the verification.
    First,
    /// All defects are gathered before one alert is sent, or the order is not known.
    All,
}

/// In which form a rejection behind TLS 1.3 appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An alert in clear.
    Clear,
    /// A sealed record of this many bytes.
    Sealed(u16),
    /// No alert: closed.
    Close,
}

/// One check of a verifier.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What it finds.
    pub faults: &'static [Fault],
    /// Whether the stack checks this whatever its program sets.
    pub always: bool,
    /// Alert codes up to TLS 1.2, the usual one first; none: it closes without an alert.
    pub tls12: &'static [u8],
    /// The same for TLS 1.3.
    pub tls13: &'static [u8],
}

/// One verifier, with its checks in order.
#[derive(Clone, Copy, Debug)]
pub struct Verifier {
    /// Its name.
    pub name: &'static str,
    /// Whether the first defect decides.
    pub order: Order,
    /// How it rejects behind TLS 1.3.
    pub form: Form,
    /// The checks; those of one rule have no order among themselves.
    pub rules: &'static [Rule],
}

const fn always(faults: &'static [Fault], codes: &'static [u8]) -> Rule {
    Rule { faults, always: true, tls12: codes, tls13: codes }
}

const fn maybe(faults: &'static [Fault], codes: &'static [u8]) -> Rule {
    Rule { faults, always: false, tls12: codes, tls13: codes }
}

const NAMES: &[Fault] = &[SanMismatch, IpNotInSan, WildcardDepth];
const ANCHORS: &[Fault] =
    &[MissingIntermediate, UnknownRoot, SelfSigned, DistrustedCa, WrongOrder, UnrelatedExtra];
/// The same for verifiers that find an intermediate by themselves (caIssuers, or one met or shipped before).
const ROOTS: &[Fault] = &[UnknownRoot, SelfSigned, DistrustedCa];
const FINDABLE: &[Fault] = &[MissingIntermediate, WrongOrder, UnrelatedExtra];
const DATES: &[Fault] = &[NotYetValid, LifetimeInverted];
const EXPIRED: &[Fault] = &[IntermediateExpired, RootExpired, LeafExpired];
const USES: &[Fault] = &[EkuLacksServerAuth, EkuLacksClientAuth, KeyUsage];

// OpenSSL 1.1.1 to 4.0. Order: `X509_verify_cert` and `verify_chain` in crypto/x509/x509_vfy.c (leaf's key, building,
// extensions with purpose and path length, level of security, names, signatures and dates from the root down, name
// constraints). Codes: `x509table` in ssl/statem/statem_lib.c; what it does not list is 46.
const OPENSSL_UP_TO_CA: [Rule; 5] = [
    maybe(&[DecodeError], &[42, 50, 47, 48, 51, 80]),
    maybe(&[WeakKey], &[42]),
    always(ANCHORS, &[48]),
    always(&[UnknownCritical], &[46]),
    // CA:TRUE alone is 48; the strict extras have no line in `x509table`.
    always(&[NotACa, PathTooLong], &[48]),
];
const OPENSSL_UP_TO_NAMES: [Rule; 2] = [
    // KeyUsage up to TLS 1.2: where it forbids the key exchange alone, 40 by either side.
    always(USES, &[43, 40]),
    maybe(&[WeakSignature], &[42]),
];
const OPENSSL_BEHIND_NAMES: [Rule; 4] = [
    // The leaf of an issuer with another key but the same name is 48 (lab: `badsig`); changed bytes are 51 (`badsig2`).
    always(&[BadCertificateSignature], &[51, 48]),
    always(EXPIRED, &[45]),
    always(DATES, &[42]),
    always(&[NameConstraints], &[46]),
];
/// X509_V_FLAG_X509_STRICT.
const OPENSSL_STRICT: [Rule; 1] = [maybe(&[NoAki, NoSki, BasicConstraints, Profile], &[46, 48])];
const PYTHON_NAMES: [Rule; 2] = [maybe(NAMES, &[42]), maybe(&[NoSan], &[42])];

/// Several parts of a verifier, one behind the other: `N` is the sum of their lengths, or this does not compile.
const fn behind<const N: usize>(parts: &[&[Rule]]) -> [Rule; N] {
    let mut rules = [maybe(&[], &[]); N];
    let mut room = rules.as_mut_slice();
    let mut parts = parts;
    while let [part, later @ ..] = parts {
        let (to, further) = room.split_at_mut(part.len());
        to.copy_from_slice(part);
        (parts, room) = (later, further);
    }
    assert!(room.is_empty());
    rules
}

/// OpenSSL with a program of its own kind: whether names are checked is the program's choice (`X509_VERIFY_PARAM_set1_host`;
/// s_client: `-verify_hostname`). 80: a callback of the program's own rejects (X509_V_ERR_UNSPECIFIED), as Perl's for the name.
pub const OPENSSL: Verifier = Verifier {
    name: "OpenSSL",
    order: Order::First,
    form: Form::Clear,
    rules: &behind::<14>(&[
        &OPENSSL_UP_TO_CA,
        &OPENSSL_UP_TO_NAMES,
        &[maybe(NAMES, &[42, 80]), maybe(&[NoSan], &[42, 80])],
        &OPENSSL_BEHIND_NAMES,
        &OPENSSL_STRICT,
    ]),
};

/// curl on OpenSSL: as OpenSSL, but the name is compared behind the handshake (`ossl_verifyhost` in lib/vtls/openssl.c),
/// without an alert (lab: it closes).
pub const CURL: Verifier = Verifier {
    name: "curl on OpenSSL",
    rules: &behind::<13>(&[
        &OPENSSL_UP_TO_CA,
        &OPENSSL_UP_TO_NAMES,
        &OPENSSL_BEHIND_NAMES,
        &[always(NAMES, &[]), maybe(&[NoSan], &[])],
    ]),
    ..OPENSSL
};

/// Python up to 3.12: `check_hostname` sets the name for OpenSSL (`_ssl_configure_hostname` in Modules/_ssl.c). The common
/// name counts where no alternative name is there, unless the program says otherwise, as urllib3 2 does.
pub const PYTHON: Verifier = Verifier {
    name: "Python",
    rules: &behind::<13>(&[&OPENSSL_UP_TO_CA, &OPENSSL_UP_TO_NAMES, &PYTHON_NAMES, &OPENSSL_BEHIND_NAMES]),
    ..OPENSSL
};

/// Python since 3.13: `create_default_context` in Lib/ssl.py sets VERIFY_X509_STRICT. Identifiers that lack are found among
/// the extensions (`check_extensions`), before names and dates; `x509table` does not list them: 46.
pub const PYTHON_STRICT: Verifier = Verifier {
    name: "Python, strict",
    rules: &behind::<14>(&[
        &OPENSSL_UP_TO_CA,
        &OPENSSL_STRICT,
        &OPENSSL_UP_TO_NAMES,
        &PYTHON_NAMES,
        &OPENSSL_BEHIND_NAMES,
    ]),
    ..OPENSSL
};

/// Node.js: OpenSSL verifies with a callback that accepts (`VerifyCallback` in src/crypto), `onConnectSecure` in
/// lib/_tls_wrap.js then destroys the socket; no alert. The leaf's key is not measured against a level (lab: `rsa1024`).
pub const NODE: Verifier = Verifier {
    name: "Node.js",
    order: Order::First,
    form: Form::Close,
    rules: &[
        maybe(&[DecodeError], &[42, 50, 47, 80]),
        always(ANCHORS, &[]),
        always(&[UnknownCritical], &[]),
        always(&[NotACa, PathTooLong], &[]),
        // Up to TLS 1.2 OpenSSL itself refuses a key whose use forbids the key exchange (40).
        always(&[EkuLacksServerAuth, EkuLacksClientAuth], &[]),
        Rule { faults: &[KeyUsage], always: true, tls12: &[40], tls13: &[] },
        maybe(&[WeakSignature, WeakKey], &[]),
        always(&[BadCertificateSignature], &[]),
        always(EXPIRED, &[]),
        always(DATES, &[]),
        always(&[NameConstraints], &[]),
        always(NAMES, &[]),
        maybe(&[NoSan], &[]),
    ],
};

/// BoringSSL's own verifier. Codes: `SSL_alert_from_verify_result` in ssl/ssl_x509.cc (45 for dates to come as well; no
/// level of security).
pub const BORINGSSL: Verifier = Verifier {
    name: "BoringSSL",
    order: Order::All,
    form: Form::Sealed(19),
    rules: &[
        maybe(&[DecodeError], &[50, 42, 47, 80]),
        always(ANCHORS, &[48]),
        always(&[UnknownCritical], &[46]),
        always(&[NotACa, PathTooLong], &[48]),
        always(&[EkuLacksServerAuth, EkuLacksClientAuth], &[43]),
        always(&[KeyUsage], &[43, 47]),
        maybe(NAMES, &[42]),
        maybe(&[NoSan], &[42]),
        always(&[BadCertificateSignature], &[51, 48]),
        always(EXPIRED, &[45]),
        always(DATES, &[45]),
        always(&[NameConstraints], &[46]),
        maybe(&[WeakSignature], &[46]),
    ],
};

/// Chromium verifies by itself (pki/verify_certificate_chain.cc, net/cert), gathers all errors, and lets BoringSSL say 46
/// whatever they are. The common name never counts. Too long a lifetime: under public roots only. KeyUsage: 47 behind TLS
/// 1.3, a close up to TLS 1.2 (lab).
pub const CHROMIUM: Verifier = Verifier {
    name: "Chromium",
    order: Order::All,
    form: Form::Sealed(19),
    rules: &[
        maybe(&[DecodeError], &[46, 42, 47, 50]),
        always(ROOTS, &[46]),
        maybe(FINDABLE, &[46]),
        always(&[UnknownCritical, NotACa, PathTooLong, NameConstraints], &[46]),
        always(&[EkuLacksServerAuth, EkuLacksClientAuth], &[46]),
        Rule { faults: &[KeyUsage], always: true, tls12: &[], tls13: &[47] },
        always(NAMES, &[46]),
        always(&[NoSan], &[46]),
        always(&[BadCertificateSignature], &[46]),
        always(EXPIRED, &[46]),
        always(DATES, &[46]),
        maybe(&[WeakKey, WeakSignature, LifetimeTooLong, BasicConstraints, NoAki, NoSki, Profile], &[46]),
    ],
};

/// NSS with its older verifier (`CERT_VerifyCertificate`), as tstclnt 3.87. Codes: `ssl3_SendAlertForCertError` in
/// lib/ssl/ssl3con.c. Lab: self-signed is 42 (not 48, as for an unknown issuer), CA:FALSE is 48. Dates are looked at first,
/// the name last (`SSL_AuthCertificate` in lib/ssl/sslauth.c).
pub const NSS: Verifier = Verifier {
    name: "NSS",
    order: Order::First,
    form: Form::Sealed(19),
    rules: &[
        maybe(&[DecodeError], &[42, 50, 80]),
        always(&[LeafExpired, NotYetValid, LifetimeInverted], &[45]),
        always(USES, &[46]),
        always(&[UnknownCritical], &[42]),
        always(&[SelfSigned], &[42, 48]),
        always(
            &[MissingIntermediate, UnknownRoot, WrongOrder, UnrelatedExtra, NotACa, PathTooLong],
            &[48, 42],
        ),
        always(&[IntermediateExpired, RootExpired], &[48]),
        always(&[DistrustedCa], &[48, 49]),
        always(&[BadCertificateSignature], &[42, 48]),
        always(&[NameConstraints], &[42, 48]),
        maybe(&[WeakKey, WeakSignature], &[42]),
        always(NAMES, &[42]),
        maybe(&[NoSan], &[42]),
    ],
};

/// Firefox: mozilla::pkix (lib/mozpkix/lib/pkixcheck.cpp: `CheckIssuerIndependentProperties`; pkixbuild.cpp:
/// `BuildForward`, which defers the leaf's dates until a path is found), then the name. The same codes as NSS.
pub const FIREFOX: Verifier = Verifier {
    name: "Firefox",
    order: Order::First,
    form: Form::Sealed(19),
    rules: &[
        maybe(&[DecodeError], &[42]),
        always(&[UnknownCritical], &[42]),
        always(&[DistrustedCa], &[48, 49]),
        maybe(&[WeakSignature, WeakKey], &[42]),
        always(&[KeyUsage], &[46]),
        always(&[NotACa, PathTooLong, BasicConstraints], &[42, 48]),
        always(&[EkuLacksServerAuth, EkuLacksClientAuth], &[46]),
        always(&[NameConstraints, BadCertificateSignature], &[42, 48]),
        always(&[SelfSigned], &[42, 48]),
        always(&[UnknownRoot], &[48]),
        maybe(FINDABLE, &[48]),
        always(&[IntermediateExpired, RootExpired], &[48, 45]),
        always(&[LeafExpired], &[45]),
        // SEC_ERROR_NOT_YET_VALID has no line of its own in the source; tstclnt's verifier calls it expired.
        always(DATES, &[42, 45]),
        maybe(&[LifetimeTooLong], &[42]),
        always(NAMES, &[42]),
        always(&[NoSan], &[42]),
    ],
};

/// GnuTLS within the handshake: all flags of `gnutls_certificate_verify_peers3` become GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR,
/// which `gnutls_error_to_alert` (lib/alert.c) calls 42. A wrong use of the key is 80 (no line there; lab: behind TLS 1.3).
pub const GNUTLS: Verifier = Verifier {
    name: "GnuTLS",
    order: Order::All,
    form: Form::Sealed(19),
    rules: &[
        maybe(&[DecodeError], &[42, 50]),
        always(ANCHORS, &[42]),
        always(&[UnknownCritical, NotACa, PathTooLong, NameConstraints], &[42]),
        always(&[EkuLacksServerAuth, EkuLacksClientAuth], &[42]),
        always(&[KeyUsage], &[80, 42]),
        always(&[BadCertificateSignature], &[42]),
        always(EXPIRED, &[42]),
        always(DATES, &[42]),
        maybe(&[WeakKey, WeakSignature, BasicConstraints], &[42]),
        maybe(NAMES, &[42]),
        maybe(&[NoSan], &[42]),
    ],
};

/// wget on GnuTLS asks for the verdict behind the handshake (`ssl_check_certificate` in src/gnutls.c) and closes. Lab:
/// uses of the key are not looked at.
pub const WGET: Verifier = Verifier {
    name: "wget on GnuTLS",
    order: Order::All,
    form: Form::Close,
    rules: &[
        maybe(&[DecodeError], &[42, 50]),
        always(ANCHORS, &[]),
        always(&[UnknownCritical, NotACa, PathTooLong, NameConstraints], &[]),
        always(&[BadCertificateSignature], &[]),
        always(EXPIRED, &[]),
        always(DATES, &[]),
        maybe(&[WeakKey, WeakSignature, BasicConstraints], &[]),
        always(NAMES, &[]),
        maybe(&[NoSan], &[]),
    ],
};

/// Java 11 to 21. Up to TLS 1.2: `getCertificateAlert` in sun/security/ssl/CertificateMessage.java: 45 expired, 42 not yet
/// valid or a bad signature, 43 a disabled algorithm, else 46. Behind TLS 1.3 the lab saw 46 for all of them (JDK 17).
/// Builds first, then checks from the root down, then the leaf's uses, then the name if the program asks for it.
pub const JSSE: Verifier = Verifier {
    name: "Java",
    order: Order::First,
    form: Form::Sealed(35),
    rules: &[
        maybe(&[DecodeError], &[42]),
        always(ANCHORS, &[46]),
        Rule { faults: &[WeakKey, WeakSignature], always: false, tls12: &[43, 46], tls13: &[43, 46] },
        always(&[NotACa, PathTooLong, NameConstraints, BasicConstraints], &[46]),
        Rule { faults: EXPIRED, always: true, tls12: &[45, 46], tls13: &[46] },
        Rule { faults: DATES, always: true, tls12: &[42, 46], tls13: &[46] },
        Rule { faults: &[BadCertificateSignature], always: true, tls12: &[42, 46], tls13: &[46] },
        always(&[UnknownCritical], &[46]),
        always(USES, &[46]),
        maybe(NAMES, &[46]),
        maybe(&[NoSan], &[46]),
    ],
};

/// Go: `verifyServerCertificate` in crypto/tls/handshake_client.go says 42 whatever `Verify` found. Order: `Certificate.Verify`
/// in crypto/x509/verify.go (the leaf's critical extensions and dates, its name, the path, uses). No common name since
/// 1.15, no SHA-1 since 1.18; key usage, key sizes and identifiers are not looked at.
pub const GO: Verifier = Verifier {
    name: "Go",
    order: Order::First,
    form: Form::Sealed(19),
    rules: &[
        maybe(&[DecodeError], &[42, 50]),
        always(&[UnknownCritical], &[42]),
        always(&[LeafExpired, NotYetValid, LifetimeInverted], &[42]),
        always(NAMES, &[42]),
        always(&[NoSan], &[42]),
        always(ANCHORS, &[42]),
        always(&[NotACa, PathTooLong, NameConstraints, BadCertificateSignature, BasicConstraints], &[42]),
        always(&[IntermediateExpired, RootExpired], &[42]),
        maybe(&[WeakSignature, WeakKey], &[42]),
        always(&[EkuLacksServerAuth, EkuLacksClientAuth], &[42]),
    ],
};

/// rustls with webpki. Codes: `From<&CertificateError> for AlertDescription` in rustls/src/error/mod.rs (45 for dates to come
/// as well; lab: CA:FALSE is 46, as is a CA's certificate as a leaf). webpki gathers the likeliest error over several
/// paths, so the order does not decide.
pub const RUSTLS: Verifier = Verifier {
    name: "rustls",
    order: Order::All,
    form: Form::Sealed(19),
    rules: &[
        maybe(&[DecodeError], &[42, 46, 50]),
        always(&[UnknownCritical], &[42, 46]),
        always(&[LeafExpired, IntermediateExpired, NotYetValid, LifetimeInverted], &[45]),
        maybe(&[RootExpired], &[45]),
        always(&[EkuLacksServerAuth, EkuLacksClientAuth], &[43]),
        always(ANCHORS, &[48, 46]),
        always(&[NotACa, PathTooLong, BasicConstraints], &[46, 48]),
        always(&[NameConstraints], &[46, 42, 48]),
        always(&[BadCertificateSignature], &[51]),
        maybe(&[WeakSignature, WeakKey], &[51, 42, 46, 48]),
        always(NAMES, &[42]),
        always(&[NoSan], &[42]),
    ],
};

/// SChannel, for programs that let it verify (the default: "Performing Authentication Using Schannel" in Microsoft's
/// documentation) and for .NET, which verifies and has SChannel send what `CreateFatalHandshakeAlertToken` and
/// `GetAlertMessageFromChain` of SslStream.Protocol.cs choose: 48 for a root, 45 for all dates, 42 for a name, a signature,
/// an extension or a use, 43 for a use by a trust list, else 46. Its own codes by Microsoft's list of errors for TLS alerts (45
/// SEC_E_CERT_EXPIRED, 48 SEC_E_UNTRUSTED_ROOT, 42, 43 and 46 SEC_E_CERT_UNKNOWN). Not measured, so no order, and no rule
/// but for roots, dates and names is sure. Other programs (WinINet, curl) verify by themselves and may close.
pub const SCHANNEL: Verifier = Verifier {
    name: "SChannel",
    order: Order::All,
    form: Form::Sealed(19),
    rules: &[
        maybe(&[DecodeError], &[42, 46]),
        always(ROOTS, &[48, 46]),
        maybe(FINDABLE, &[48, 46]),
        always(EXPIRED, &[45, 46]),
        always(DATES, &[45, 46]),
        always(NAMES, &[42, 46]),
        maybe(USES, &[42, 43, 46]),
        maybe(&[NoSan, BadCertificateSignature, NotACa, PathTooLong, WeakKey, WeakSignature], &[42, 46]),
        maybe(&[UnknownCritical, NameConstraints, BasicConstraints, NoAki, NoSki, Profile], &[42, 46]),
        maybe(&[LifetimeTooLong, LifetimePrivate], &[42, 46]),
    ],
};

/// Secure Transport and Network.framework. Partial source only, none of it read for this table: the codes are those of
/// its kinds of trust (expired 45, unknown root 48, else 42 or 46), and all are in doubt.
pub const APPLE: Verifier = Verifier {
    name: "Secure Transport",
    order: Order::All,
    form: Form::Sealed(19),
    rules: &[
        always(EXPIRED, &[45, 42, 46]),
        always(DATES, &[45, 42, 46]),
        always(ROOTS, &[48, 42, 46]),
        maybe(FINDABLE, &[48, 42, 46]),
        always(NAMES, &[42, 46]),
        maybe(&[NoSan, LifetimeTooLong, LifetimePrivate, WeakKey, WeakSignature], &[42, 46]),
        maybe(USES, &[42, 46]),
        maybe(&[UnknownCritical, NameConstraints, DecodeError, NotACa, PathTooLong], &[42, 46]),
        maybe(&[BasicConstraints, NoAki, NoSki, Profile], &[42, 46]),
        maybe(&[BadCertificateSignature], &[42, 46]),
    ],
};

impl Verifier {
    /// The first check that finds a defect, with its place in the order; none where this verifier never minds.
    pub fn check(&self, fault: Fault) -> Option<(usize, &'static Rule)> {
        self.rules.iter().enumerate().find(|(_, rule)| rule.faults.contains(&fault))
    }

    /// Whether it says `code` of a defect; without one, whether it may reject for it.
    pub fn says(&self, fault: Fault, code: Option<u8>, tls13: bool) -> bool {
        self.check(fault).is_some_and(|(_, rule)| code.is_none_or(|code| rule.codes(tls13).contains(&code)))
    }
}

impl Rule {
    /// The codes of a version.
    pub const fn codes(&self, tls13: bool) -> &'static [u8] {
        if tls13 { self.tls13 } else { self.tls12 }
    }
}
