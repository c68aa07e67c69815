//! # Symptoms
//!
//! `NET::ERR_CERT_COMMON_NAME_INVALID`, `SSL_ERROR_BAD_CERT_DOMAIN`, `no alternative certificate
//! subject name matches`, `Hostname mismatch`, `unrecognized_name`.
//!
//! # On the wire
//!
//! The leaf's subjectAltName does not cover the SNI, and the client rejects with 42 (OpenSSL) or 46
//! (Chromium, Java): `inferred`, as those codes serve other faults too. curl, wget and Node check the
//! name behind the handshake and close without data: `suspected`. A server that knows no such name
//! answers the ClientHello with a fatal 112 (unrecognized_name): `proven` where it serves others, else `inferred`, since
//! Go says so without any certificate too. A client that sends no SNI and rejects a
//! certificate without another defect was given an address that it does not name: `ip_not_in_san`, `suspected`.
//!
//! Behind TLS 1.3 the certificate is sealed. OpenSSL then says 42 in clear of a name, of a date to come and of a weak key;
//! names go wrong the most: `suspected`, with the other two among the further findings. curl says nothing of a name:
//! it finishes the handshake and leaves without a request, `suspected` too.
//!
//! A name in Unicode, sent raw by the client or in the certificate, is compared as its A-labels; where it fits only so, that
//! is the reason: verifiers compare octets. Where the client offers an encrypted ClientHello (ECH), the name in clear may be
//! the public one around a name that is sealed, and GREASE looks the same: what that name does not fit is `suspected` at most,
//! unless TLS 1.2 or a HelloRetryRequest without ECH shows that the server did not take it. It must then show a certificate
//! for the name in clear.
//!
//! # Remedy
//!
//! Reissue the certificate with every name clients use, or correct the virtual host, the SNI or the DNS
//! record that leads to the wrong server. Write names in A-labels (`xn--…`).
//!
//! # References
//!
//! RFC 9525 section 6 (service identity), RFC 6066 section 3 (server_name and unrecognized_name), RFC 5280
//! section 7.2 (internationalized names), RFC 9849 sections 6.1.4, 6.1.6 and 6.2 (ECH).

use super::faults::explained;
use super::{Cause, Certainty, Finding, Judgement, Party, Reason, signal};
use crate::base::{Packets, Side};
use crate::evidence::{Chain, Evidence, rejection};
use super::signal::Signal;
use crate::tls::codes::{AlertDescription, AlertLevel};
use crate::tls::names::{self, Cover};
use crate::tls::stack::Stack;

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "san_mismatch",
        remedy: "Reissue the certificate with the name asked for, or ask by a name it has.",
        steps: &["List the names clients use", "Reissue with all of them in subjectAltName"],
    },
    Reason {
        word: "no_san",
        remedy: "Reissue with subjectAltName; clients do not look at the common name.",
        steps: &["Add the names to subjectAltName", "Reissue and install"],
    },
    Reason {
        word: "default_certificate",
        remedy: "Configure the virtual host of this name; the server fell back to its default certificate.",
        steps: &["Add the name to the host's configuration", "Give it its certificate", "Reload the server"],
    },
    Reason {
        word: "unrecognized_name",
        remedy: "Configure the name on the server, or correct the name that the client asks for.",
        steps: &["Compare the SNI with the server's names", "Add the name or correct the client"],
    },
    Reason {
        word: "ip_not_in_san",
        remedy: "Ask by name, or reissue with the address as an iPAddress entry.",
        steps: &["Use the host name in the client", "Or add the address to subjectAltName"],
    },
    Reason {
        word: "wildcard_depth",
        remedy: "Name the host itself: a wildcard stands for one label only.",
        steps: &["Add the full name or a deeper wildcard", "Reissue and install"],
    },
    Reason {
        word: "idn_not_a_label",
        remedy: "Write internationalized names in A-labels (xn--…), in the certificate and in what the client asks for.",
        steps: &["See which side sends Unicode", "Reissue with A-labels, or have the client convert the name"],
    },
];

/// Judges.
pub fn judge(evidence: &Evidence) -> Judgement {
    if let Some((Side::Server, alert, at)) = evidence.fatal_alert()
        && alert.description == AlertDescription::UNRECOGNIZED_NAME
        && alert.level == AlertLevel::FATAL
    {
        let says = match evidence.sni() {
            Some(_) if evidence.may_hide_name() => {
                format!("{}: by ECH, the name may be another than the one in clear", signal::said("the server", 112))
            }
            Some(name) => format!("{}: it has no {name}", signal::said("the server", 112)),
            None => signal::said("the server", 112),
        };
        // Go says it without any certificate too (`errNoCertificates` in crypto/tls); who serves others has one.
        let served = &evidence.around.server_completes;
        let certainty = if served.is_some() { Certainty::Proven } else { Certainty::Inferred };
        let finding = Finding::new(certainty, "unrecognized_name", Party::Server, at, says);
        return Judgement::Found(match served {
            Some(served) => finding.and(&served.at, "the same server completes other handshakes"),
            None => finding,
        });
    }
    if signal::is_about_client(evidence) {
        return Judgement::Absent;
    }
    let judgement = match sealed(evidence).or_else(|| late_about_address(evidence)) {
        Some(finding) => Judgement::Found(finding),
        None => {
            signal::by_defect(evidence, Cause::NameMismatch, |code, at| of_address(evidence, code, at))
        }
    };
    match judgement {
        Judgement::Found(finding) => Judgement::Found(qualified(evidence, finding)),
        other => other,
    }
}

/// What the name in clear does not tell: that it is the one meant (ECH), and that it was the server who wrote it in
/// Unicode.
fn qualified(evidence: &Evidence, mut finding: Finding) -> Finding {
    let Some((sni, hello)) = evidence.sni().zip(evidence.hello.as_ref()) else { return finding };
    if finding.reason == "idn_not_a_label" && !sni.is_ascii() {
        finding.party = Party::Client;
    }
    if !evidence.may_hide_name() {
        return finding;
    }
    finding.certainty = finding.certainty.min(Certainty::Suspected);
    let says = format!("the client offers ECH, by GREASE or in earnest: then {sni} is the outer name, and the name meant is sealed");
    finding.and(&hello.at, says)
}

/// What a client's way of rejecting says of a certificate that TLS 1.3 seals.
fn sealed(evidence: &Evidence) -> Option<Finding> {
    if !matches!(evidence.chain, Chain::Sealed(_)) || evidence.known_chain().is_some() {
        return None;
    }
    let curl = evidence.stack() == Some(Stack::Curl) || rejection::upgrades_like_curl(evidence);
    // curl checks the name itself behind the handshake, and all else within it (`ossl_verifyhost` in
    // lib/vtls/openssl.c).
    let (at, says) = match (signal::read(evidence), signal::bad_certificate_behind_tls13(evidence)) {
        (Signal::Late(at), _) if curl && !rejection::wants_staple(evidence) => {
            (at, "curl finishes the handshake and leaves without a request, as it does where the name does not match")
        }
        // A program's own check in OpenSSL's callback, such as Perl's of the name, ends so.
        (Signal::Alert(80, at), _) if !curl => {
            (at, "OpenSSL rejects with internal_error (80), as it does where the program's own check, mostly of the name, fails")
        }
        // Of what OpenSSL says 42 of, names go wrong the most.
        (_, Some(at)) if !curl => {
            (at, "OpenSSL rejects with bad_certificate (42), which it says of a wrong name, more rarely of a date or a weak key")
        }
        _ => return None,
    };
    let reason = if evidence.sni().is_some() { "san_mismatch" } else { "ip_not_in_san" };
    let asked = match (evidence.sni(), evidence.hello.as_ref()) {
        (Some(name), Some(hello)) => Some((&hello.at, format!("the client asked for {name}"))),
        _ => None,
    };
    let finding = Finding::new(Certainty::Suspected, reason, Party::Server, at, says);
    Some(match asked {
        Some((at, says)) => finding.and(at, says),
        None => finding,
    })
}

/// curl and wget, given an address, leave a certificate that does not name it behind the handshake.
fn late_about_address(evidence: &Evidence) -> Option<Finding> {
    let Signal::Late(at) = signal::read(evidence) else { return None };
    let late = evidence.stack().is_some_and(|stack| stack == Stack::Curl || stack.verifies_late());
    let other = evidence.defects.iter().any(|defect| !defect.fault.is_mild());
    if !late || other || !rejection::misses_address(evidence) {
        return None;
    }
    let leaf = evidence.chain.clear()?.value.first()?;
    let says = format!("{} does not name the address {}, and the client sent no name", leaf.called(), evidence.server_address().unwrap_or(evidence.server.addr.ip()));
    let shown = signal::chain_at(evidence);
    let finding = Finding::new(Certainty::Suspected, "ip_not_in_san", Party::Server, shown, says);
    Some(finding.and(at, "the client finishes the handshake and leaves without a request"))
}

/// A client that sends no name was given an address, which hardly any certificate names. Clients without SNI, and
/// those that know a name for the address, may mean a name.
fn of_address(evidence: &Evidence, code: u8, at: &Packets) -> Option<Finding> {
    let leaf = evidence.chain.clear()?.value.first()?;
    let address = evidence.server.addr.ip();
    let known = evidence.around.names_of_server.iter().any(|answer| {
        names::covers(leaf, &answer.value.name) == Cover::Covers
    });
    let modern = evidence.hello.as_ref().is_some_and(|hello| !hello.value.supported_versions.is_empty());
    if !rejection::misses_address(evidence) || !modern || known || !matches!(code, 42 | 46 | 80) || explained(&evidence.defects, code) {
        return None;
    }
    let says = format!("{} does not name the address {address}, and the client sent no name", leaf.called());
    Some(
        Finding::new(Certainty::Suspected, "ip_not_in_san", Party::Server, signal::chain_at(evidence), says)
            .and(at, signal::said("the client", code)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::chains_fixture::{Then, attempt};
    use super::*;
    use crate::base::Side;
    use crate::evidence::Ending;
    use crate::evidence::around::{KnownFrom, ShownBefore};
    use crate::tls::chain::Fault;
    use crate::tls::codes::{ExtensionType, Version};

    fn found(evidence: &Evidence) -> Option<(&'static str, Certainty)> {
        judge(evidence).found().map(|finding| (finding.reason, finding.certainty))
    }

    #[test]
    fn a_sealed_certificate_that_is_known_and_names_the_host_is_not_to_blame() {
        let sealed = Ending::SealedAlert { from: Side::Client, len: 19 };
        let mut evidence = attempt().sealed().ends(sealed);
        assert_eq!(judge(&evidence), Judgement::Blind(signal::SEALED));
        let (at, when) = (crate::base::PacketNo(6), evidence.started);
        let record = crate::tls::sealed::SealedRecord { content_type: 23, len: 900, at, when };
        let chain = super::super::chains_fixture::seen(Vec::new(), 2);
        let mut known = ShownBefore::of_size(chain, record, KnownFrom::Server);
        evidence.around.shown_before = Some(known.clone());
        assert_eq!(judge(&evidence), Judgement::Absent);
        known.rivals = true;
        evidence.around.shown_before = Some(known);
        assert_eq!(judge(&evidence), Judgement::Blind(signal::SEALED), "another may have been shown");
    }

    #[test]
    fn unrecognized_name_is_proof_where_the_server_serves_others() {
        let mut evidence = attempt().alert(Side::Server, 112);
        assert_eq!(found(&evidence), Some(("unrecognized_name", Certainty::Inferred)));
        evidence.around.server_completes = Some(super::super::chains_fixture::seen((), 20));
        assert_eq!(found(&evidence), Some(("unrecognized_name", Certainty::Proven)));
    }

    #[test]
    fn a_sole_mismatch_with_bad_certificate_is_likely() {
        let evidence = attempt().with(&[Fault::SanMismatch]).alert(Side::Client, 42);
        assert_eq!(found(&evidence), Some(("san_mismatch", Certainty::Inferred)));
    }

    #[test]
    fn a_programs_own_check_rejects_with_internal_error() {
        let evidence = attempt().with(&[Fault::SanMismatch]).alert(Side::Client, 80);
        assert_eq!(found(&evidence), Some(("san_mismatch", Certainty::Inferred)));
        assert_eq!(found(&attempt().sealed().alert(Side::Client, 80)), Some(("san_mismatch", Certainty::Suspected)));
        assert_eq!(found(&attempt().with(&[Fault::LeafExpired]).alert(Side::Client, 80)), None);
    }

    #[test]
    fn absent_where_the_client_says_expired() {
        let evidence = attempt().with(&[Fault::SanMismatch]).alert(Side::Client, 45);
        assert_eq!(judge(&evidence), Judgement::Absent);
    }

    #[test]
    fn a_rejection_without_a_name_asked_for_is_about_the_address() {
        let mut evidence = attempt().alert(Side::Client, 42);
        assert_eq!(found(&evidence), None, "a name was asked for");
        let hello = &mut evidence.hello.as_mut().unwrap().value;
        hello.sni = None;
        hello.supported_versions = vec![crate::tls::codes::Version::TLS12];
        assert_eq!(found(&evidence), Some(("ip_not_in_san", Certainty::Suspected)));
        assert_eq!(found(&evidence.with(&[Fault::LeafExpired])), None);
    }

    /// As [`attempt`], by a client that offers ECH, to a server that speaks this version.
    fn with_ech(version: Version) -> Evidence {
        let mut evidence = attempt().with(&[Fault::SanMismatch]);
        evidence.hello.as_mut().unwrap().value.ech = true;
        evidence.server_hello.as_mut().unwrap().value.version = version;
        evidence
    }

    #[test]
    fn the_outer_name_of_ech_is_suspected_at_most() {
        let evidence = with_ech(Version::TLS13).alert(Side::Client, 42);
        assert_eq!(found(&evidence), Some(("san_mismatch", Certainty::Suspected)));
        let Judgement::Found(finding) = judge(&evidence) else { panic!() };
        assert!(finding.proofs.iter().any(|proof| proof.says.contains("the name meant is sealed")));
    }

    #[test]
    fn the_name_in_clear_counts_where_ech_was_not_taken() {
        let inferred = Some(("san_mismatch", Certainty::Inferred));
        assert_eq!(found(&with_ech(Version::TLS12).alert(Side::Client, 42)), inferred, "TLS 1.2 has none");
        let mut evidence = with_ech(Version::TLS13).alert(Side::Client, 42);
        let mut retry = evidence.server_hello.clone().unwrap();
        evidence.retry = Some(retry.clone());
        assert_eq!(found(&evidence), inferred, "the HelloRetryRequest refuses it");
        retry.value.extensions.push(ExtensionType::ENCRYPTED_CLIENT_HELLO);
        evidence.retry = Some(retry);
        assert_eq!(found(&evidence), Some(("san_mismatch", Certainty::Suspected)), "it may take it");
    }

    #[test]
    fn absent_with_ech_where_nothing_is_misnamed() {
        let mut evidence = with_ech(Version::TLS13).with(&[]).alert(Side::Client, 42);
        assert_eq!(found(&evidence), None);
        evidence = evidence.sealed();
        assert_eq!(found(&evidence.alert(Side::Client, 46)), None, "sealed: blind");
    }

    #[test]
    fn a_name_in_unicode_is_the_fault_of_who_sent_it() {
        let mut evidence = attempt().with(&[Fault::IdnNotALabel]).alert(Side::Client, 42);
        let party = |evidence: &Evidence| judge(evidence).found().map(|finding| (finding.reason, finding.certainty, finding.party));
        let told = |party| Some(("idn_not_a_label", Certainty::Inferred, party));
        assert_eq!(party(&evidence), told(Party::Server));
        evidence.hello.as_mut().unwrap().value.sni = Some("bücher.example".into());
        assert_eq!(party(&evidence), told(Party::Client));
        assert_eq!(judge(&evidence.alert(Side::Client, 45)), Judgement::Absent);
    }

    #[test]
    fn blind_behind_tls_13() {
        assert_eq!(judge(&attempt().sealed().alert(Side::Client, 46)), Judgement::Blind(signal::SEALED));
    }
}
