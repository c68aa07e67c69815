//! The two sides share no way to speak: no version, suite, group, signature algorithm or
//! application protocol in common, or one of them does not bear what the other says.
//!
//! # Symptoms
//!
//! One kind of client fails always and at once, others work: `unsupported protocol`, `wrong version
//! number`, `tlsv1 alert protocol version`, `no shared cipher`, `handshake failure`, `no application
//! protocol`, `dh key too small`, `ERR_SSL_VERSION_OR_CIPHER_MISMATCH`. It begins at an upgrade.
//!
//! # On the wire
//!
//! - Server alert 70 after the ClientHello, or client alert 70 after the ServerHello: `version`.
//! - Server alert 40 or 71 directly after the ClientHello: `cipher_suite`; a server without any
//!   certificate says 40 as well (see storage_permission). 47 or 40 after a HelloRetryRequest: `group`.
//! - Alerts with one reading: 120 `alpn`, 86 `fallback_scsv`, 121 `ech_rejected`.
//!   TLS 1.3 seals 121: the client offers ECH, sends Finished, at once a record of an alert's size, and leaves without data.
//!   `inferred` where DNS gave it the key or its stack offers ECH with a key alone (Go), and where it then gets through with
//!   another key, the server had sent some, and its stack brings no GREASE unasked; `suspected` where only the second try tells.
//! - Client alert 40, 47 or 71 after a Diffie-Hellman prime below 1024 bits: `weak_parameters`.
//! - The answer to the ClientHello is no TLS at all: `plain_text_peer`. So is the answer to STARTTLS and its kin that
//!   the command is not known or TLS not set up: 500, 502, 504, 534, IMAP `BAD`, LDAP protocolError, PostgreSQL `N`
//!   (`inferred`; `suspected` where the server had listed TLS). So is RDP's SSL_NOT_ALLOWED_BY_SERVER, or its choice of
//!   RDP's own security. A refusal for the time being is storage_permission.
//! - RDP's HYBRID_REQUIRED_BY_SERVER: the server wants CredSSP (NLA) within TLS: `credssp_required`.
//! - A hello larger than one segment is acknowledged whole and meets a close, smaller ones pass: `hello_intolerance`,
//!   `inferred` where one of them was for the same name by the same client. Filters of names stop it whatever its size;
//!   where the server acknowledges nothing of it, look at firewall (`mtu_black_hole`).
//! - A TLCP hello (version 1.1 as 0x0101, suites 0xE0xx) that a server of TLS closes on or refuses: `gm_only`, the client's.
//!   A hello of TLS that a server refuses in a record of TLCP, or closes on although it speaks TLCP or SM4 suites with
//!   others: `gm_only`, the server's.
//!
//! A 40 after the client's key exchange or a CertificateRequest is about certificates, not this.
//!
//! # Remedy
//!
//! Compare the offer in the event with what the server is configured to take, and upgrade the older
//! side. Lowering the newer one is a stopgap.
//!
//! # References
//!
//! - RFC 9846 sections 4.1 and 6.2 (TLS 1.3 and its alerts), RFC 5246 (TLS 1.2), RFC 8996 (TLS 1.0
//!   and 1.1 are deprecated), RFC 9325 (what to offer).
//! - RFC 5321 section 4.2.4, RFC 4217 section 4, RFC 9051 section 7.1.3, RFC 4511 section 4.14.2: commands not known.
//! - \[MS-RDPBCGR\] section 2.2.1.2.2 (RDP). RFC 7301 (ALPN), RFC 7507 (fallback SCSV), RFC 7919 (FFDHE), RFC 9849 (ECH).
//! - GB/T 38636-2020 (TLCP). RFC 8701 (GREASE, against intolerance).

mod ech;
mod in_clear;
mod national;

use super::culprit::Weighed;
use super::{Certainty, Finding, Judgement, Party, Reason, client_certificate};
use crate::base::{Packets, Seen, Side};
use crate::evidence::upgrade::tells_trouble;
use crate::evidence::{Chain, Ending, Evidence, Reset, Stage, Transport};
use crate::tls::codes::{Version, is_grease};
use crate::tls::hello::ClientHello;

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "version",
        remedy: "Client and server share no TLS version. Upgrade the side that stays below TLS 1.2, or enable TLS 1.2 on the one that wants 1.3 alone.",
        steps: &[
            "See which versions the server takes: openssl s_client -connect HOST:443 -tls1_2, then -tls1_3.",
            "Compare with the offer in the event.",
            "Upgrade the older library; enable TLS 1.2 and 1.3 on the server.",
        ],
    },
    Reason {
        word: "cipher_suite",
        remedy: "No cipher suite of the offer suits the server and its certificate's key. Enable a modern ECDHE suite on both sides.",
        steps: &[
            "List what the server takes: nmap --script ssl-enum-ciphers -p 443 HOST.",
            "Check that suites fit the key: ECDSA suites need an ECDSA certificate, RSA suites an RSA one.",
            "Enable ECDHE with AES-GCM or ChaCha20 on the side that lacks it.",
            "If the offer is ordinary, check that the server has a certificate loaded.",
        ],
    },
    Reason {
        word: "group",
        remedy: "The sides share no key-exchange group. Enable X25519 and P-256 on both.",
        steps: &[
            "Compare supported_groups of the ClientHello with the server's list (ssl_ecdh_curve, Groups).",
            "Enable X25519 and P-256.",
        ],
    },
    Reason {
        word: "signature_algorithm",
        remedy: "The server's key cannot sign with any algorithm that the client offers, or the client's with any that the server asks for. Use a key that the other side accepts, or let that side offer more.",
        steps: &[
            "Compare signature_algorithms of the ClientHello (or of the CertificateRequest) with the certificate's key.",
            "Serve an RSA certificate beside the ECDSA one for old clients.",
        ],
    },
    Reason {
        word: "alpn",
        remedy: "The client demands an application protocol that the server does not speak. Enable it, or let the client offer another.",
        steps: &[
            "Compare the offer with openssl s_client -alpn h2,http/1.1.",
            "Enable the protocol on the server (e.g. http2 on), or correct the client's list.",
        ],
    },
    Reason {
        word: "fallback_scsv",
        remedy: "The client fell back to an older version after a first failure, and the server, which can do better, refused. Find why the first attempt failed.",
        steps: &[
            "Look at the same client's attempt right before this one.",
            "Mend what broke it; the refusal itself is right.",
        ],
    },
    Reason {
        word: "weak_parameters",
        remedy: "The client refuses the server's key exchange as too weak. Use ECDHE, or a Diffie-Hellman prime of at least 2048 bits.",
        steps: &[
            "Disable export suites and DHE, or set a 2048-bit group (ssl_dhparam with ffdhe2048).",
            "Enable ECDHE on old servers.",
        ],
    },
    Reason {
        word: "plain_text_peer",
        remedy: "The port does not speak TLS from the first byte, or its server knows no STARTTLS. Use the right port and way, or set TLS up there.",
        steps: &[
            "Read the peer's first bytes in the event: they name the protocol.",
            "Use the TLS port, or the client's STARTTLS option.",
            "On the server, add ssl to the listen directive, or set a certificate so that it offers STARTTLS.",
        ],
    },
    Reason {
        word: "credssp_required",
        remedy: "The RDP server takes logins by CredSSP (network level authentication) alone, and the client offered plain TLS. Let the client use NLA.",
        steps: &["On the client: xfreerdp /sec:nla, or enablecredsspsupport:i:1 in the .rdp file."],
    },
    Reason {
        word: "hello_intolerance",
        remedy: "The server, or a box before it, does not bear a ClientHello that takes more than one segment. Upgrade it; until then offer less.",
        steps: &[
            "Try a small hello: curl --curves X25519 against the post-quantum default.",
            "Upgrade the server or load balancer.",
            "As a stopgap, disable X25519MLKEM768 on the clients concerned.",
        ],
    },
    Reason {
        word: "ech_rejected",
        remedy: "The server could not decrypt the encrypted ClientHello, and the client stopped as it must. The published ECH keys are old or wrong.",
        steps: &[
            "Compare the HTTPS record's ech parameter with the server's current keys.",
            "Keep old ECH keys for at least the record's TTL.",
        ],
    },
    Reason {
        word: "gm_only",
        remedy: "One side speaks TLCP or national suites (SM2, SM4) alone, the other does not speak them: the event's side says who is alone. Let that side speak TLS with common suites too, or give the other TLCP.",
        steps: &[
            "See which side is GM-only: the client's offer, and the version in the server's records.",
            "On a server, enable both (Tongsuo: enable_ntls beside TLS, an RSA or ECDSA certificate beside the SM2 pair).",
            "On a client, offer TLS 1.2 or 1.3 as well, or send it to a server with an SM2 pair.",
        ],
    },
];

/// What one Ethernet segment holds of a ClientHello.
const SEGMENT: u64 = 1_460;

/// Judges.
pub fn judge(e: &Evidence) -> Judgement {
    if e.stage == Stage::Dns {
        return Judgement::Absent;
    }
    if let Ending::Refused { said } = &e.ending.value {
        return in_clear::refused(e, said);
    }
    let Some(hello) = &e.hello else {
        return match e.fatal_alert() {
            Some((_, alert, _)) if matches!(alert.description.0, 40 | 70 | 71 | 86 | 120) => {
                Judgement::Blind("the ClientHello is not in the capture")
            }
            _ => Judgement::Absent,
        };
    };
    if let Some(finding) = client_certificate::unfit(e) {
        return Judgement::Found(finding);
    }
    if let Some(finding) = negotiated(e) {
        return Judgement::Found(finding.and(&hello.at, offer(&hello.value)));
    }
    let own = national::only(e, &hello.value).or_else(|| ech::rejected(e));
    let found = own.or_else(|| match &e.ending.value {
        Ending::Alert { from, alert } => by_alert(e, &hello.value, *from, alert.description.0, &e.ending.at),
        Ending::PlainText { said } if !tells_trouble(said) => Some(Finding::new(
            Certainty::Proven,
            "plain_text_peer",
            Party::Server,
            &e.ending.at,
            format!("the peer answered the ClientHello with \"{said}\", which is no TLS"),
        )),
        Ending::Fin { from: Side::Server } | Ending::Reset { from: Side::Server } => closed(e),
        Ending::Silence { .. } => intolerant(e),
        _ => None,
    });
    match found {
        Some(finding) => Judgement::Found(finding.and(&hello.at, offer(&hello.value))),
        None if closed_on_hello(e) => {
            Judgement::Blind("a server may close on a hello of which it speaks no version or suite, instead of saying so")
        }
        None if handshake_failure(e) => Judgement::Blind("alert 40 to an ordinary offer does not say what is lacking"),
        None => Judgement::Absent,
    }
}

/// A server that completes with nobody took the hello and closed without a word.
fn closed_on_hello(e: &Evidence) -> bool {
    matches!(e.ending.value, Ending::Fin { from: Side::Server })
        && e.stage == Stage::ClientHello
        && (e.retry.is_none() && e.prelude.is_none() && e.upgrade.is_none())
        && e.tcp.acked.server.is_some_and(|acked| acked >= e.tcp.bytes.client)
        && e.around.server_completes.is_none()
}

/// A QUIC server listed its versions, none of which the client went on with (RFC 8999 section 6).
fn negotiated(e: &Evidence) -> Option<Finding> {
    let facts = e.quic.as_deref()?;
    let listed = facts.negotiation.as_ref().filter(|listed| !listed.value.contains(&facts.version))?;
    if e.server_hello.is_some() || e.fatal_alert().is_some() || facts.version.is_reserved() {
        return None;
    }
    let words: Vec<_> = listed.value.iter().map(ToString::to_string).collect();
    let says = format!("the client speaks QUIC version {}, the server lists {}", facts.version, words.join(", "));
    Some(Finding::new(Certainty::Proven, "version", Party::Server, &listed.at, says))
}

/// The server sent handshake_failure before it chose anything.
fn handshake_failure(e: &Evidence) -> bool {
    e.server_hello.is_none()
        && matches!(e.fatal_alert(), Some((Side::Server, alert, _)) if alert.description.0 == 40)
}

/// What an alert tells, by sender and step.
fn by_alert(e: &Evidence, hello: &ClientHello, from: Side, code: u8, at: &Packets) -> Option<Finding> {
    let early = e.server_hello.is_none() && e.client_key_exchange.is_none();
    let make = |certainty, reason, party, says: &str| Some(Finding::new(certainty, reason, party, at, says));
    match (from, code) {
        (Side::Server, 70) if early => {
            // A server without any certificate, or with strict names, says 70 to an offer of TLS 1.3 alone.
            let explains = highest(hello).is_some_and(Version::is_older_tls);
            let certainty = match (explains, only13(hello)) {
                (true, _) => Certainty::Proven,
                (_, false) => Certainty::Inferred,
                (_, true) => Certainty::Suspected,
            };
            let old = highest(hello).is_some_and(Version::is_older_tls);
            let party = if old { Party::Client } else { Party::Server };
            make(certainty, "version", party, "the server refuses every version offered")
        }
        (Side::Client, 70) if e.server_hello.is_some() => {
            let chosen = e.version()?;
            let certainty = if chosen.is_older_tls() { Certainty::Proven } else { Certainty::Inferred };
            make(
                certainty,
                "version",
                Party::Server,
                &format!("the client refuses {chosen}, which the server chose"),
            )
        }
        (Side::Server, 71) if early => make(
            Certainty::Proven,
            "cipher_suite",
            Party::Client,
            "the server finds the offered suites too weak",
        ),
        // The alert names the matter; which protocols the server would have taken is not on the wire.
        (Side::Server, 120) => make(
            Certainty::Inferred,
            "alpn",
            Party::Server,
            "the server speaks no application protocol of the offer",
        ),
        (Side::Server, 86) => make(
            Certainty::Proven,
            "fallback_scsv",
            Party::Client,
            "the client fell back although the server can do better",
        ),
        (Side::Client, 121) => make(
            Certainty::Proven,
            "ech_rejected",
            Party::Server,
            "the server could not decrypt the encrypted hello",
        ),
        (Side::Server, 40 | 47 | 109) if early && e.retry.is_some() => make(
            Certainty::Suspected,
            "group",
            Party::Client,
            "the second hello did not satisfy the server's wish for a group",
        ),
        (Side::Server, 40) if early => {
            let says = "the server finds nothing in the offer that it can use";
            if (ordinary(hello) || national::ordinary(hello)) && e.around.server_completes.is_none() {
                // A server that could not load its certificate answers an ordinary offer so too.
                None
            } else {
                // Tongsuo says the same where it has no pair of certificates.
                let tlcp = national::asked(hello) && e.around.server_completes.is_none();
                let certainty = if tlcp { Certainty::Suspected } else { Certainty::Inferred };
                make(certainty, narrowest(hello), Party::Client, says)
            }
        }
        (Side::Server, 47 | 109) if early => {
            let says = "the server objects to the ClientHello's form";
            let reason =
                if hello.key_shares.is_empty() && only13(hello) { "group" } else { "hello_intolerance" };
            make(Certainty::Suspected, reason, Party::Server, says)
        }
        // OpenSSL 3 refuses the SHA-1 signatures of TLS 1.0 and 1.1 at its default security level with this code.
        (Side::Client, 80) if e.version().is_some_and(Version::is_older_tls) => {
            let chosen = e.version()?;
            let says = format!("the client cannot go on with {chosen}, which the server chose");
            make(Certainty::Suspected, "version", Party::Server, &says)
        }
        (Side::Client, 40 | 47 | 71) => {
            let exchange = e.key_exchange.as_ref()?;
            let bits = exchange.value.dh_bits.filter(|&bits| bits < 2048)?;
            let says = format!("the server offers a Diffie-Hellman prime of {bits} bits");
            make(Certainty::Inferred, "weak_parameters", Party::Server, "the client refuses the key exchange")
                .map(|finding| finding.and(&exchange.at, says))
        }
        _ => None,
    }
}

/// The server closed without a word of TLS.
fn closed(e: &Evidence) -> Option<Finding> {
    if e.server_hello.is_some() || e.retry.is_some() || !matches!(e.chain, Chain::Unsent) {
        return None;
    }
    intolerant(e)
}

/// A hello of more than one segment, at a server that answers others.
fn intolerant(e: &Evidence) -> Option<Finding> {
    let size = e.tcp.bytes.client;
    if e.transport != Transport::Tcp || e.stage > Stage::ClientHello || e.retry.is_some() || size <= SEGMENT || e.prelude.is_some() {
        return None;
    }
    let small = e.around.smaller_hello.as_ref();
    let other = small.map(|seen| &seen.at).or(e.around.sibling.as_ref().map(|seen| &seen.at));
    let other = other.or(e.around.server_completes.as_ref().map(|seen| &seen.at))?;
    // Bytes that never arrived are the path's doing, and so is a reset that somebody else sent.
    let reset = e.tcp.resets.iter().find(|reset| reset.value.from == Side::Server);
    if reset.is_some_and(|reset| Weighed::reset(e, &reset.value).contradicted()) {
        return None;
    }
    // A server that reads one segment and closes need not have got the next.
    let closed = matches!(e.ending.value, Ending::Fin { .. } | Ending::Reset { .. });
    let taken = taken(e, reset);
    let whole = taken >= size;
    if !(whole || closed && small.is_some() && taken > 0) {
        return None;
    }
    let says = format!("a ClientHello of {size} bytes met no answer of TLS; the server acknowledged {taken} of them");
    let passes = match small {
        Some(small) => format!("one of {} bytes for the same name is answered", small.value),
        None => "the same server completes other handshakes".to_owned(),
    };
    // Of a hello that only lies there, what came back may have been lost.
    let certainty = if closed && whole && small.is_some() { Certainty::Inferred } else { Certainty::Suspected };
    let finding = Finding::new(certainty, "hello_intolerance", Party::Server, &e.ending.at, says);
    Some(finding.and(other, passes))
}

/// How many bytes of the client the server acknowledged, be it in a reset.
fn taken(e: &Evidence, reset: Option<&Seen<Reset>>) -> u64 {
    let acked = e.tcp.acked.server.unwrap_or(0);
    let reset = reset.map(|seen| &seen.value).filter(|reset| reset.ack);
    let in_reset = reset.zip(e.tcp.first_seq).map(|(reset, first)| reset.ack_field.wrapping_sub(first));
    // One that acknowledges nothing of use is far off.
    let in_reset = in_reset.map(u64::from).filter(|taken| *taken <= e.tcp.bytes.client);
    acked.max(in_reset.unwrap_or(0))
}

/// The highest version offered.
fn highest(hello: &ClientHello) -> Option<Version> {
    let listed = hello.supported_versions.iter().copied().filter(|version| !is_grease(version.0));
    // Drafts of TLS 1.3 count as 1.3.
    let listed = listed.map(|version| if version.is_tls13() { Version::TLS13 } else { version });
    listed.max().or_else(|| (hello.legacy_version >= Version::SSL2).then_some(hello.legacy_version))
}

/// Only TLS 1.3 is offered.
fn only13(hello: &ClientHello) -> bool {
    let mut real = hello.supported_versions.iter().filter(|version| !is_grease(version.0)).peekable();
    real.peek().is_some() && real.all(|version| version.is_tls13())
}

/// An offer that any server of today can take: enough strong suites, TLS 1.2 or newer.
fn ordinary(hello: &ClientHello) -> bool {
    let strong = hello.ciphers.iter().filter(|suite| !suite.is_signal() && !suite.weak()).count();
    strong >= 5
        && narrowest(hello) == "cipher_suite"
        && !national::asked(hello)
        && highest(hello).is_some_and(|version| version >= Version::TLS12)
}

/// Which part of the offer leaves a server the least choice.
fn narrowest(hello: &ClientHello) -> &'static str {
    let groups = hello.groups.iter().filter(|group| !crate::tls::codes::is_grease(group.0)).count();
    let suites = hello.ciphers.iter().filter(|suite| !suite.is_signal() && !suite.weak()).count();
    if groups == 1 && suites > 2 {
        "group"
    } else if matches!(hello.signature_schemes.len(), 1..=2) && suites > 2 {
        "signature_algorithm"
    } else {
        "cipher_suite"
    }
}

/// The offer in words.
fn offer(hello: &ClientHello) -> String {
    let suites = hello.ciphers.iter().filter(|suite| !suite.is_signal()).count();
    let version = highest(hello).unwrap_or(hello.legacy_version);
    let protocols = if hello.alpn.is_empty() {
        "none".to_owned()
    } else {
        hello.alpn.iter().take(4).cloned().collect::<Vec<_>>().join(" ")
    };
    format!("the client offers up to {version}, {suites} suites, application protocols: {protocols}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;
    use crate::evidence::Doubt;
    use crate::evidence::upgrade::Why;
    use crate::evidence::fixture::{alert, answered, bare, ends, greeted, refused, reset, seen};
    use crate::tls::codes::CipherSuite;
    use crate::tls::message::ServerKeyExchange;

    fn found(e: &Evidence) -> (Certainty, &'static str) {
        match judge(e) {
            Judgement::Found(finding) => (finding.certainty, finding.reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_quic_server_lists_versions_that_the_client_lacks() {
        use crate::evidence::QuicFacts;
        use crate::tls::quic::QuicVersion;
        let mut e = greeted();
        let mut facts = QuicFacts { version: QuicVersion::V1, ..QuicFacts::default() };
        facts.negotiation = Some(seen(vec![QuicVersion::V2], 5, 41));
        e.quic = Some(Box::new(facts));
        assert_eq!(found(&e), (Certainty::Proven, "version"));
        let facts = e.quic.as_mut().unwrap();
        facts.version = QuicVersion::V2;
        assert_eq!(judge(&e), Judgement::Absent, "the client went on with one of them");
    }

    #[test]
    fn openssl_cannot_go_on_with_an_old_version() {
        let e = alert(answered(Version::TLS10), Side::Client, 80);
        assert_eq!(found(&e), (Certainty::Suspected, "version"));
        assert_eq!(judge(&alert(answered(Version::TLS12), Side::Client, 80)), Judgement::Absent);
    }

    #[test]
    fn a_version_alert_is_proof_where_the_offer_explains_it() {
        let mut e = alert(greeted(), Side::Server, 70);
        assert_eq!(found(&e), (Certainty::Inferred, "version"));
        // A server without a certificate says so too to an offer of TLS 1.3 alone.
        e.hello.as_mut().unwrap().value.supported_versions = vec![Version(0x2a2a), Version::TLS13];
        assert_eq!(found(&e), (Certainty::Suspected, "version"));
        let hello = &mut e.hello.as_mut().unwrap().value;
        hello.supported_versions.clear();
        hello.legacy_version = Version::TLS10;
        assert_eq!(found(&e), (Certainty::Proven, "version"));
    }

    #[test]
    fn a_client_that_refuses_an_old_version() {
        assert_eq!(found(&alert(answered(Version::TLS10), Side::Client, 70)), (Certainty::Proven, "version"));
    }

    #[test]
    fn a_handshake_failure_is_read_by_the_offer() {
        let mut e = alert(greeted(), Side::Server, 40);
        // An ordinary offer: a server that could not load its certificate answers so too.
        assert!(matches!(judge(&e), Judgement::Blind(_)));
        e.hello.as_mut().unwrap().value.ciphers = vec![CipherSuite(5)];
        assert_eq!(found(&e), (Certainty::Inferred, "cipher_suite"));
    }

    #[test]
    fn a_close_on_a_hello_leaves_it_open() {
        let mut e = greeted();
        e.tcp.acked.server = Some(e.tcp.bytes.client);
        ends(&mut e, Ending::Fin { from: Side::Server }, 5, 41);
        assert!(matches!(judge(&e), Judgement::Blind(_)));
        e.around.server_completes = Some(seen((), 1, 0));
        assert_eq!(judge(&e), Judgement::Absent, "the server completes with others");
    }

    #[test]
    fn alerts_with_one_reading() {
        for (from, code, reason) in [
            (Side::Server, 71, "cipher_suite"),
            (Side::Server, 86, "fallback_scsv"),
            (Side::Client, 121, "ech_rejected"),
        ] {
            assert_eq!(found(&alert(greeted(), from, code)), (Certainty::Proven, reason));
        }
        assert_eq!(found(&alert(greeted(), Side::Server, 120)), (Certainty::Inferred, "alpn"));
    }

    #[test]
    fn a_handshake_failure_behind_the_key_exchange_is_not_this() {
        let mut e = alert(answered(Version::TLS12), Side::Server, 40);
        e.client_key_exchange = Some(seen((), 8, 50));
        assert_eq!(judge(&e), Judgement::Absent);
    }

    #[test]
    fn a_small_prime_refused() {
        let mut e = alert(answered(Version::TLS12), Side::Client, 40);
        assert_eq!(judge(&e), Judgement::Absent);
        let exchange = ServerKeyExchange { dh_bits: Some(768), ..ServerKeyExchange::default() };
        e.key_exchange = Some(seen(exchange, 6, 41).into());
        assert_eq!(found(&e), (Certainty::Inferred, "weak_parameters"));
    }

    #[test]
    fn a_peer_that_speaks_plain_text() {
        let mut e = greeted();
        ends(&mut e, Ending::PlainText { said: "HTTP/1.1 400 Bad Request".to_owned() }, 5, 41);
        assert_eq!(found(&e), (Certainty::Proven, "plain_text_peer"));
    }

    #[test]
    fn trouble_told_in_clear_is_not_another_protocol() {
        let mut e = greeted();
        ends(&mut e, Ending::PlainText { said: "-ERR [SYS/TEMP] TLS initialization faile".to_owned() }, 5, 41);
        assert_eq!(judge(&e), Judgement::Absent);
    }

    #[test]
    fn a_server_that_does_not_know_the_request_for_tls() {
        let mut e = refused(Why::Unsupported);
        assert_eq!(found(&e), (Certainty::Inferred, "plain_text_peer"));
        e.upgrade.as_mut().unwrap().offered = Some(true);
        assert_eq!(found(&e), (Certainty::Suspected, "plain_text_peer"), "it contradicts itself");
        assert_eq!(judge(&refused(Why::Trouble)), Judgement::Absent);
        assert!(matches!(judge(&refused(Why::Unclear)), Judgement::Blind(_)));
    }

    #[test]
    fn a_large_hello_reset_by_a_server_that_serves_others() {
        let mut e = reset(greeted(), Side::Server, &[]);
        e.tcp.bytes.client = 1_750;
        e.tcp.acked.server = Some(1_750);
        assert_eq!(judge(&e), Judgement::Absent);
        e.around.server_completes = Some(seen((), 1, 0));
        assert_eq!(found(&e), (Certainty::Suspected, "hello_intolerance"));
        e.around.smaller_hello = Some(seen(517, 20, 300));
        assert_eq!(found(&e), (Certainty::Inferred, "hello_intolerance"), "a small one for the same name passes");
        ends(&mut e, Ending::Silence { lasted: Span::from_secs(60) }, 9, 60_000);
        assert_eq!(found(&e), (Certainty::Suspected, "hello_intolerance"), "the answer may have been lost");
    }

    #[test]
    fn a_large_hello_of_which_the_server_reads_one_segment() {
        let mut e = reset(greeted(), Side::Server, &[]);
        e.tcp.bytes.client = 1_750;
        e.tcp.first_seq = Some(1_001);
        e.around.smaller_hello = Some(seen(517, 20, 300));
        let reset = &mut e.tcp.resets[0].value;
        (reset.ack, reset.ack_field) = (true, 1_001 + 1_448);
        assert_eq!(found(&e), (Certainty::Suspected, "hello_intolerance"));
        e.tcp.resets[0].value.ack_field = 1_001 + 1_750;
        assert_eq!(found(&e), (Certainty::Inferred, "hello_intolerance"), "its reset acknowledges all");
        e.tcp.resets[0].value.ack_field = 1_001;
        assert_eq!(judge(&e), Judgement::Absent, "nothing of it arrived");
    }

    #[test]
    fn a_large_hello_reset_by_somebody_else_is_no_intolerance_of_the_server() {
        let mut e = reset(greeted(), Side::Server, &[Doubt::LinkAddress]);
        e.tcp.bytes.client = 1_750;
        e.tcp.acked.server = Some(1_750);
        e.around.smaller_hello = Some(seen(517, 20, 300));
        assert_eq!(judge(&e), Judgement::Absent);
    }

    #[test]
    fn absent_where_a_certificate_was_rejected_and_blind_without_the_hello() {
        assert_eq!(judge(&alert(answered(Version::TLS12), Side::Client, 45)), Judgement::Absent);
        assert!(matches!(judge(&alert(bare(), Side::Server, 40)), Judgement::Blind(_)));
    }
}
