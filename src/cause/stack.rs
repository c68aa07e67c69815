//! What a client's TLS stack does with a faulty certificate: which faults it rejects, with which alert, and which of
//! several it comes to first. From the stacks' sources, as of the versions named, and from the lab, whose measurements
//! (`tests/data/alert_matrix.csv`) count where the two differ.
//!
//! Read forwards, [`does`] says what a stack sends; read backwards, [`fits`] says whether an alert is about a fault, and
//! [`before`] which of two faults it is about. A stack that is not known may be any: then a code fits a fault specifically
//! where few other faults make any stack send it, and generically where some stack sends it for this fault and many others.

use crate::tls::chain::Fault;
use crate::tls::stack::Stack;

/// Who judged the certificate, as far as the wire tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judge {
    /// The stack, where its hello tells.
    pub stack: Option<Stack>,
    /// TLS 1.3 was agreed on.
    pub tls13: bool,
}

/// What a stack does with a certificate that has one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// It sends one of these alerts, the first most often.
    Sends(&'static [u8]),
    /// It closes without an alert.
    Closes,
    /// It goes on.
    Accepts,
}

/// How well a code fits a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The code is the one for this kind of fault.
    Specific,
    /// Some stack sends it for this fault, and for others.
    Generic,
    /// No stack sends it for this fault.
    No,
}

/// What a stack does with a fault in a server's chain, in its usual setting.
pub fn does(stack: Stack, fault: Fault, tls13: bool) -> Does {
    match stack {
        Stack::OpenSsl => openssl(fault),
        // Its names are checked behind the handshake (`Curl_ossl_verifyhost` in lib/vtls/openssl.c, curl 8).
        Stack::Curl if of_names(fault) => Does::Closes,
        Stack::Curl => openssl(fault),
        Stack::Python => python(fault),
        // `onConnectSecure` in lib/_tls_wrap.js looks at the result of a handshake that OpenSSL lets pass (Node.js 12 to 24).
        Stack::Node => match openssl(fault) {
            Does::Accepts => Does::Accepts,
            _ => Does::Closes,
        },
        Stack::Jsse => jsse(fault, tls13),
        Stack::GnuTls => gnutls(fault),
        Stack::Chromium => chromium(fault),
        Stack::Nss => nss(fault),
        Stack::Go => go(fault),
        Stack::Rustls => rustls(fault),
        Stack::Apple => apple(fault),
    }
}

/// OpenSSL 1.1.1 to 3.5: `x509table` in ssl/statem/statem_lib.c over the errors of crypto/x509/x509_vfy.c. Errors that the
/// table does not name are 46.
fn openssl(fault: Fault) -> Does {
    use Fault::*;
    Does::Sends(match fault {
        LeafExpired | IntermediateExpired | RootExpired => &[45],
        NotYetValid => &[42],
        // Which of its dates is looked at first depends on the day.
        LifetimeInverted => &[45, 42],
        MissingIntermediate | UnknownRoot | SelfSigned | NotACa | PathTooLong => &[48],
        // 80 where a program's own callback rejects (X509_V_ERR_UNSPECIFIED), as Perl's.
        SanMismatch | NoSan | IpNotInSan | WildcardDepth => &[42, 80],
        // The issuer is not found where its key identifier is not the one asked for.
        BadCertificateSignature => &[51, 48],
        WeakKey | WeakSignature => &[42],
        // `tls_process_server_certificate` fails with 42, in later versions 50.
        DecodeError => &[42, 50],
        EkuLacksServerAuth | EkuLacksClientAuth => &[43],
        // Where the key exchange needs what keyUsage forbids it is no verifier's matter (47, 40).
        KeyUsage => &[43, 47, 40],
        NameConstraints => &[46, 80],
        UnknownCritical => &[46],
        NoAki | NoSki | BasicConstraints | Profile | WrongOrder | UnrelatedExtra | LifetimeTooLong
        | LifetimePrivate | DistrustedCa => return Does::Accepts,
    })
}

/// CPython 3.10 to 3.14: `SSLContext.verify_flags` holds VERIFY_X509_STRICT since 3.13 (Lib/ssl.py), whose errors
/// OpenSSL's table does not name. The hello does not tell the version.
fn python(fault: Fault) -> Does {
    match fault {
        Fault::NoAki | Fault::NoSki | Fault::BasicConstraints | Fault::Profile => Does::Sends(&[46]),
        other => openssl(other),
    }
}

/// Java 11 to 21: `getCertificateAlert` in sun/security/ssl/CertificateMessage.java; under TLS 1.3 46 for all (measured
/// with 17).
fn jsse(fault: Fault, tls13: bool) -> Does {
    use Fault::*;
    Does::Sends(match fault {
        NoAki | NoSki | BasicConstraints | Profile | WrongOrder | UnrelatedExtra | LifetimeTooLong
        | LifetimePrivate | DistrustedCa => return Does::Accepts,
        _ if tls13 => &[46],
        LeafExpired | IntermediateExpired | RootExpired => &[45],
        NotYetValid | BadCertificateSignature => &[42],
        LifetimeInverted => &[45, 42],
        WeakKey | WeakSignature => &[43, 46],
        DecodeError => &[42, 46],
        _ => &[46],
    })
}

/// GnuTLS 3.6 to 3.8: `gnutls_error_to_alert` in lib/alert.c gives 42 for any failed verification, which is collected
/// as a set of flags (lib/x509/verify.c), and 80 for a key usage that forbids the exchange.
fn gnutls(fault: Fault) -> Does {
    use Fault::*;
    Does::Sends(match fault {
        NoAki | NoSki | BasicConstraints | Profile | UnrelatedExtra | LifetimeTooLong | LifetimePrivate
        | DistrustedCa => return Does::Accepts,
        KeyUsage => &[80, 42],
        DecodeError => &[42, 50],
        _ => &[42],
    })
}

/// Chromium 100 and later: `SSLClientSocketImpl::VerifyCert` leaves BoringSSL's default, 46, for all. Key usage and the
/// encoding are BoringSSL's own matter (`ssl_cert_check_key_usage`, ssl/ssl_cert.cc).
fn chromium(fault: Fault) -> Does {
    use Fault::*;
    Does::Sends(match fault {
        NoAki | NoSki | BasicConstraints | Profile | WrongOrder | UnrelatedExtra | LifetimePrivate
        | MissingIntermediate => return Does::Accepts,
        KeyUsage => &[47, 46],
        DecodeError => &[50, 46, 42],
        _ => &[46],
    })
}

/// NSS 3.50 to 3.110: `ssl3_SendAlertForCertError` in lib/ssl/ssl3con.c; Firefox's verifier, mozilla::pkix, hands it the
/// same errors. Firefox knows most intermediates; tstclnt does not.
fn nss(fault: Fault) -> Does {
    use Fault::*;
    Does::Sends(match fault {
        LeafExpired | NotYetValid | LifetimeInverted => &[45],
        IntermediateExpired | RootExpired => &[48, 45],
        MissingIntermediate | UnknownRoot | NotACa => &[48, 42],
        DistrustedCa => &[49, 48],
        SelfSigned | PathTooLong | SanMismatch | NoSan | IpNotInSan | WildcardDepth => &[42, 48],
        BadCertificateSignature => &[42, 48],
        EkuLacksServerAuth | EkuLacksClientAuth | KeyUsage => &[46],
        WeakKey | WeakSignature | DecodeError | NameConstraints | UnknownCritical => &[42],
        NoAki | NoSki | BasicConstraints | Profile | WrongOrder | UnrelatedExtra | LifetimeTooLong
        | LifetimePrivate => return Does::Accepts,
    })
}

/// Go 1.16 to 1.25: `verifyServerCertificate` in crypto/tls/handshake_client.go sends 42 for all.
fn go(fault: Fault) -> Does {
    use Fault::*;
    Does::Sends(match fault {
        NoAki | NoSki | BasicConstraints | Profile | WrongOrder | UnrelatedExtra | LifetimeTooLong
        | LifetimePrivate | DistrustedCa | WeakKey => return Does::Accepts,
        _ => &[42],
    })
}

/// rustls 0.21 to 0.23: `From<CertificateError> for AlertDescription` in rustls/src/error.rs over the errors of webpki.
fn rustls(fault: Fault) -> Does {
    use Fault::*;
    Does::Sends(match fault {
        LeafExpired | IntermediateExpired | NotYetValid | LifetimeInverted => &[45],
        MissingIntermediate | UnknownRoot | SelfSigned => &[48],
        // webpki tells the reason of the best path: what is no CA may be no issuer at all.
        NotACa | PathTooLong | NameConstraints => &[46, 48],
        SanMismatch | NoSan | IpNotInSan | WildcardDepth | UnknownCritical | DecodeError => &[42],
        BadCertificateSignature => &[51, 48],
        EkuLacksServerAuth | EkuLacksClientAuth => &[43],
        WeakKey | WeakSignature => &[46, 51, 42],
        // CaUsedAsEndEntity.
        BasicConstraints => &[46],
        RootExpired | KeyUsage | NoAki | NoSki | Profile | WrongOrder | UnrelatedExtra | LifetimeTooLong
        | LifetimePrivate | DistrustedCa => return Does::Accepts,
    })
}

/// Secure Transport and Network.framework (macOS 10.15 and later; the table in OSX/libsecurity_ssl/lib/tls_helpers.c):
/// 45 for dates, 48 for roots, 46 for the rest.
fn apple(fault: Fault) -> Does {
    use Fault::*;
    Does::Sends(match fault {
        LeafExpired | IntermediateExpired | RootExpired | NotYetValid | LifetimeInverted => &[45, 46],
        MissingIntermediate | UnknownRoot | SelfSigned => &[48, 46],
        DecodeError => &[42, 46, 50],
        NoAki | NoSki | BasicConstraints | Profile | WrongOrder | UnrelatedExtra => return Does::Accepts,
        _ => &[46],
    })
}

const fn of_names(fault: Fault) -> bool {
    matches!(fault, Fault::SanMismatch | Fault::NoSan | Fault::IpNotInSan | Fault::WildcardDepth)
}

/// How `code`, an AlertDescription (RFC 9846 section 6.2), fits `fault`; without one, whether the judge rejects it.
pub fn fits(judge: Judge, fault: Fault, code: Option<u8>) -> Fit {
    let known = judge.stack.map(|stack| does(stack, fault, judge.tls13));
    let Some(code) = code else {
        return if known == Some(Does::Accepts) { Fit::No } else { Fit::Generic };
    };
    match (known, of_any(fault, code)) {
        (None, any) => any,
        (Some(Does::Sends(codes)), any) if codes.contains(&code) => match any {
            Fit::Specific => Fit::Specific,
            _ => Fit::Generic,
        },
        (Some(_), _) => Fit::No,
    }
}

/// Over all stacks in use.
fn of_any(fault: Fault, code: u8) -> Fit {
    use Fault::*;
    // 42 bad_certificate and 46 certificate_unknown: some stack sends one of them for every fault.
    if matches!(code, 42 | 46) {
        return Fit::Generic;
    }
    match (fault, code) {
        (LeafExpired | IntermediateExpired | RootExpired | NotYetValid | LifetimeInverted, 45)
        | (MissingIntermediate | UnknownRoot | SelfSigned | DistrustedCa | NotACa | PathTooLong, 48)
        | (EkuLacksServerAuth | EkuLacksClientAuth | KeyUsage, 43)
        | (BadCertificateSignature, 51)
        | (DecodeError, 50) => Fit::Specific,
        // NSS: 48 for an expired issuer; where a path cannot be built, its defects read as 48 too.
        (
            IntermediateExpired | RootExpired | BadCertificateSignature | NameConstraints | WrongOrder
            | UnrelatedExtra | BasicConstraints | NoAki | NoSki | Profile,
            48,
        )
        // Chromium, GnuTLS and OpenSSL where the key usage forbids the key exchange.
        | (KeyUsage, 40 | 47 | 80)
        | (DecodeError, 47 | 48 | 51 | 80)
        // JSSE: the certificate's algorithm is disabled (`getCertificateAlert` in CertificateMessage.java).
        | (WeakKey | WeakSignature, 43)
        // OpenSSL where a callback of the program's own rejects, as Perl's for the name (X509_V_ERR_UNSPECIFIED).
        | (SanMismatch | NoSan | IpNotInSan | WildcardDepth, 80)
        | (UnknownCritical, 43)
        // NSS: an authority marked as not trusted.
        | (DistrustedCa, 49) => Fit::Generic,
        _ => Fit::No,
    }
}

/// Whether a stack comes to `one` before `other`, and stops there. False where it does not, collects all, or is not known.
pub fn before(judge: Judge, one: Fault, other: Fault) -> bool {
    let step = |fault| judge.stack.and_then(|stack| step(stack, fault));
    matches!((step(one), step(other)), (Some(one), Some(other)) if one < other)
}

/// The place of a check in a stack's order; `None` where all are made (GnuTLS, Chromium), or the order is not known.
fn step(stack: Stack, fault: Fault) -> Option<u8> {
    use Fault::*;
    let of_path = matches!(fault, MissingIntermediate | UnknownRoot | SelfSigned | DistrustedCa | NotACa);
    let of_purpose = matches!(fault, EkuLacksServerAuth | EkuLacksClientAuth | KeyUsage | UnknownCritical);
    Some(match stack {
        // `verify_chain` in crypto/x509/x509_vfy.c (1.1.1 to 3.5): build, extensions, levels, names; then from the root down,
        // of each certificate the signature and the dates (`internal_verify`); name constraints last.
        Stack::OpenSsl | Stack::Curl | Stack::Python => match fault {
            DecodeError => 0,
            _ if of_path => 1,
            _ if of_purpose => 2,
            PathTooLong | NoAki | NoSki | BasicConstraints | Profile => 2,
            WeakKey | WeakSignature => 3,
            _ if of_names(fault) && stack == Stack::Curl => 9,
            _ if of_names(fault) => 4,
            RootExpired => 5,
            IntermediateExpired => 6,
            BadCertificateSignature => 7,
            LeafExpired | NotYetValid | LifetimeInverted => 8,
            NameConstraints => 9,
            _ => return None,
        },
        // `Certificate.Verify` in crypto/x509/verify.go: the leaf itself, its name, then paths, then purposes.
        Stack::Go => match fault {
            DecodeError => 0,
            UnknownCritical => 1,
            LeafExpired | NotYetValid | LifetimeInverted => 2,
            _ if of_names(fault) => 3,
            _ if of_path => 4,
            IntermediateExpired
            | RootExpired
            | BadCertificateSignature
            | PathTooLong
            | NameConstraints
            | WeakSignature => 4,
            EkuLacksServerAuth | EkuLacksClientAuth => 5,
            _ => return None,
        },
        // `verify_for_usage`, then the name (rustls/src/webpki/server_verifier.rs); of the leaf first what needs no issuer
        // (`check_issuer_independent_properties` in webpki's src/verify_cert.rs).
        Stack::Rustls => match fault {
            DecodeError | UnknownCritical => 0,
            LeafExpired | NotYetValid | LifetimeInverted => 1,
            BasicConstraints => 2,
            EkuLacksServerAuth | EkuLacksClientAuth => 3,
            _ if of_path => 4,
            IntermediateExpired | PathTooLong => 4,
            BadCertificateSignature => 5,
            NameConstraints => 6,
            _ if of_names(fault) => 7,
            _ => return None,
        },
        // Of paths and dates NSS's own verifier looks at dates first (`cert_VerifyCertWithFlags` in lib/certhigh/certvfy.c),
        // mozilla::pkix at paths (`BuildCertChain` in lib/mozpkix/lib/pkixbuild.cpp); the name comes last in both.
        Stack::Nss if of_names(fault) => 1,
        Stack::Nss => 0,
        // A path first (sun.security.provider.certpath), the purpose (EndEntityChecker), then the name
        // (`checkIdentity` in X509TrustManagerImpl).
        Stack::Jsse => match fault {
            DecodeError => 0,
            _ if of_path => 1,
            RootExpired | IntermediateExpired | PathTooLong | NameConstraints | UnknownCritical => 2,
            BadCertificateSignature | LeafExpired | NotYetValid | LifetimeInverted => 3,
            EkuLacksServerAuth | EkuLacksClientAuth | KeyUsage => 4,
            _ if of_names(fault) => 5,
            _ => return None,
        },
        Stack::GnuTls | Stack::Chromium | Stack::Node | Stack::Apple => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Judge = Judge { stack: None, tls13: false };

    const fn by(stack: Stack) -> Judge {
        Judge { stack: Some(stack), tls13: false }
    }

    #[test]
    fn certificate_expired_means_dates_and_nothing_else() {
        assert_eq!(fits(NOBODY, Fault::LeafExpired, Some(45)), Fit::Specific);
        assert_eq!(fits(NOBODY, Fault::NotYetValid, Some(45)), Fit::Specific, "NSS and rustls say so");
        assert_eq!(fits(NOBODY, Fault::SanMismatch, Some(45)), Fit::No);
        assert_eq!(fits(NOBODY, Fault::UnknownRoot, Some(45)), Fit::No);
    }

    #[test]
    fn certificate_unknown_fits_all_and_tells_nothing_unless_the_stack_is_known() {
        for fault in [Fault::LeafExpired, Fault::UnknownRoot, Fault::SanMismatch, Fault::KeyUsage] {
            assert_eq!(fits(NOBODY, fault, Some(46)), Fit::Generic);
            assert_eq!(fits(by(Stack::OpenSsl), fault, Some(46)), Fit::No);
        }
        assert_eq!(fits(by(Stack::OpenSsl), Fault::UnknownCritical, Some(46)), Fit::Generic);
    }

    #[test]
    fn nss_calls_an_expired_issuer_unknown() {
        for judge in [NOBODY, by(Stack::Nss)] {
            assert_eq!(fits(judge, Fault::IntermediateExpired, Some(48)), Fit::Generic);
            assert_eq!(fits(judge, Fault::LeafExpired, Some(48)), Fit::No);
        }
    }

    #[test]
    fn what_a_stack_accepts_it_did_not_reject_without_a_word_either() {
        assert_eq!(fits(by(Stack::Rustls), Fault::RootExpired, None), Fit::No);
        assert_eq!(fits(NOBODY, Fault::RootExpired, None), Fit::Generic);
    }

    #[test]
    fn every_stack_that_stops_at_the_first_fault_has_an_order() {
        assert!(before(by(Stack::OpenSsl), Fault::SanMismatch, Fault::LeafExpired));
        assert!(before(by(Stack::Go), Fault::LeafExpired, Fault::SanMismatch));
        assert!(before(by(Stack::Rustls), Fault::LeafExpired, Fault::UnknownRoot));
        assert!(before(by(Stack::Nss), Fault::LeafExpired, Fault::SanMismatch));
        assert!(!before(by(Stack::Nss), Fault::UnknownRoot, Fault::LeafExpired), "it has two verifiers");
        assert!(!before(by(Stack::GnuTls), Fault::LeafExpired, Fault::SanMismatch), "it collects all");
    }

    /// The row of the matrix, and what we call its fault.
    const FAULTS: [(&str, Fault); 18] = [
        ("expired", Fault::LeafExpired),
        ("notyet", Fault::NotYetValid),
        ("wronghost", Fault::SanMismatch),
        ("nointer", Fault::MissingIntermediate),
        ("roguechain", Fault::MissingIntermediate),
        ("unkca", Fault::UnknownRoot),
        ("selfsigned", Fault::SelfSigned),
        ("noca_inter", Fault::NotACa),
        ("exp_inter", Fault::IntermediateExpired),
        ("ekuclient", Fault::EkuLacksServerAuth),
        ("ku_bad", Fault::KeyUsage),
        ("crit", Fault::UnknownCritical),
        ("badsig", Fault::BadCertificateSignature),
        ("badsig2", Fault::BadCertificateSignature),
        ("toolong", Fault::LifetimePrivate),
        ("nosan", Fault::NoSan),
        ("rsa1024", Fault::WeakKey),
        ("noeku", Fault::Profile),
    ];

    /// Cells that differ, each with the reason.
    const EXCEPTIONS: [(&str, &str, &str); 5] = [
        ("nosan", "*", "the common name fits, and these look at it under a private root"),
        ("rsa1024", "*", "the least size is a setting: these take 1024 bits, and reject less"),
        ("noeku", "python", "the table has the version that is strict"),
        ("ekuclient", "wget", "it verifies without a purpose"),
        ("ku_bad", "wget", "it verifies without a purpose"),
    ];

    #[test]
    fn every_cell_of_the_measured_matrix_is_what_the_table_says() {
        let matrix = include_str!("../../tests/data/alert_matrix.csv");
        let mut lines = matrix.lines();
        let clients: Vec<&str> = lines.next().unwrap().split(',').skip(2).collect();
        let mut compared = 0;
        for line in lines {
            let mut cells = line.split(',');
            let (row, version) = (cells.next().unwrap(), cells.next().unwrap());
            let Some((_, fault)) = FAULTS.iter().find(|(name, _)| *name == row) else { continue };
            for (client, cell) in clients.iter().zip(cells) {
                let excepted =
                    EXCEPTIONS.iter().any(|(name, who, _)| *name == row && (who == client || *who == "*"));
                // `-` was not run; S40: the server stopped first.
                if excepted || cell == "-" || cell.starts_with('S') {
                    continue;
                }
                let stack = match *client {
                    "openssl" => Stack::OpenSsl,
                    "curl" => Stack::Curl,
                    "python" => Stack::Python,
                    "java" => Stack::Jsse,
                    "nss" => Stack::Nss,
                    "chromium" => Stack::Chromium,
                    "gnutls" => Stack::GnuTls,
                    "wget" => Stack::GnuTls,
                    "node" => Stack::Node,
                    other => panic!("{other}"),
                };
                let says = does(stack, *fault, version == "13");
                let digits: String = cell.chars().take_while(char::is_ascii_digit).collect();
                let same = match (cell, digits.parse::<u8>()) {
                    ("ok", _) => says == Does::Accepts,
                    // wget is GnuTLS, and closes.
                    (_, Err(_)) => says == Does::Closes || *client == "wget" && says != Does::Accepts,
                    (_, Ok(code)) => matches!(says, Does::Sends(codes) if codes.contains(&code)),
                };
                assert!(same, "{row} TLS {version} {client}: {cell}, the table {says:?}");
                compared += 1;
            }
        }
        assert!(compared > 200, "{compared}");
    }
}
