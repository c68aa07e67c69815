//! # Symptoms
//!
//! `unable to get local issuer certificate`, `self-signed certificate in certificate chain`,
//! `NET::ERR_CERT_AUTHORITY_INVALID`, `SEC_ERROR_UNKNOWN_ISSUER`, `PKIX path building failed`,
//! `x509: certificate signed by unknown authority`. With a missing intermediate, browsers that fetch
//! or remember it succeed while curl, Java and Python fail.
//!
//! # On the wire
//!
//! No path leads from the presented leaf to a known root, and the client answers with alert 48
//! (unknown_ca): `proven`. Java and Chromium send 46, Go and GnuTLS 42. Roots of one's own are not
//! known to this program: beside another defect they weigh less, since the client may have been given
//! them. Alert 48 to a chain that is fine shows the client's trust store. A server that sends 40, 42
//! or 116 to an empty Certificate misses the client's; 48 means it does not know that one's issuer.
//!
//! # Remedy
//!
//! Serve the leaf and every intermediate, leaf first, without the root:
//! `openssl s_client -connect HOST:443 -servername HOST -showcerts </dev/null`. For a private CA,
//! install its root in the clients' trust stores.
//!
//! # References
//!
//! RFC 5246 section 7.4.2 and RFC 9846 section 4.4.2 (order and content of Certificate), RFC 5280
//! sections 4.2.1.9 and 6.1 (path validation), RFC 4158 (path building).

use super::{Cause, Certainty, Finding, Judgement, Party, Reason, client_certificate, signal};
use crate::base::Packets;
use crate::evidence::{Chain, Evidence};
use crate::tls::codes::Kx;
use crate::tls::sealed::empty_certificate;
use signal::Signal;

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "missing_intermediate",
        remedy: "Add the intermediate certificates to the served chain.",
        steps: &[
            "Fetch the intermediate from the leaf's caIssuers address",
            "Append it behind the leaf in the chain file",
            "Reload the server and check with openssl s_client -showcerts",
        ],
    },
    Reason {
        word: "unknown_root",
        remedy: "Use a certificate of a CA that the clients trust, or install the private root in the clients.",
        steps: &[
            "Find out which root signs the chain",
            "Install it in the clients' trust stores",
            "Or reissue from a public CA",
        ],
    },
    Reason {
        word: "self_signed",
        remedy: "Replace the self-signed certificate by one that a CA issued, or install it in the clients.",
        steps: &[
            "Issue a certificate from a CA that the clients know",
            "Install it with its chain",
            "Reload the server",
        ],
    },
    Reason {
        word: "wrong_order",
        remedy: "Put the chain in order: the leaf, then each issuer behind what it issued.",
        steps: &["Reorder the chain file", "Reload the server"],
    },
    Reason {
        word: "unrelated_extra",
        remedy: "Remove the certificates that do not belong to the leaf's chain.",
        steps: &[
            "Compare issuers and subjects in the chain file",
            "Remove what does not connect",
            "Reload the server",
        ],
    },
    Reason {
        word: "distrusted_ca",
        remedy: "Replace the certificate: trust stores have removed its CA.",
        steps: &["Choose a CA that the stores trust", "Issue and install a new certificate"],
    },
    Reason {
        word: "client_chain",
        remedy: "Make the server trust the client's CA, or give the client a certificate of a CA it names.",
        steps: &[
            "Compare the issuer of the client's certificate with the CAs in the server's CertificateRequest",
            "Add the CA to the server's client CA file, or reissue the client's certificate",
            "Let the client send its intermediates too",
        ],
    },
    Reason {
        word: "client_cert_absent",
        remedy: "Configure the client with a certificate and key; the server requires one.",
        steps: &[
            "Install a certificate of a CA that the server's CertificateRequest names",
            "Check that the client may read its key",
            "Or make the client certificate optional on the server",
        ],
    },
    Reason {
        word: "not_a_ca",
        remedy: "Reissue from a real CA: a certificate of the chain issued another although it may not.",
        steps: &[
            "Set basicConstraints CA:TRUE and keyUsage keyCertSign on the issuer",
            "Reissue what it issued",
        ],
    },
    Reason {
        word: "path_too_long",
        remedy: "Shorten the chain, or raise the pathLenConstraint of the CA above.",
        steps: &[
            "Find the CA whose pathLenConstraint is exceeded",
            "Issue from a CA within it, or reissue that CA",
        ],
    },
];

/// Judges.
pub fn judge(evidence: &Evidence) -> Judgement {
    if let Some(finding) = client_absent(evidence) {
        return Judgement::Found(finding);
    }
    match signal::by_defect(evidence, Cause::BrokenChain, |code, at| alone(evidence, code, at)) {
        Judgement::Found(finding) if finding.reason == "client_chain" => {
            Judgement::Found(with_request(evidence, finding))
        }
        Judgement::Found(finding) => Judgement::Found(finding),
        other => outside(evidence).map_or(other, Judgement::Found),
    }
}

/// Adds to a finding about the client's chain what the server asked for, where the chain is none of it.
fn with_request(evidence: &Evidence, finding: Finding) -> Finding {
    match (client_certificate::outside(evidence), &evidence.certificate_request) {
        (Some((at, says)), Some(request)) => {
            finding.and(at, says).and(&request.at, client_certificate::wanted(&request.value))
        }
        _ => finding,
    }
}

/// A server that rejects, with a code that may mean it, a client whose certificate is of no CA that it named.
fn outside(evidence: &Evidence) -> Option<Finding> {
    let (shown, says) = client_certificate::outside(evidence)?;
    let request = evidence.certificate_request.as_ref()?;
    let (at, end, sure) = match signal::read(evidence) {
        Signal::ServerAlert(code @ (40 | 42 | 46 | 49 | 80), at) => {
            (at, signal::said("the server", code), Certainty::Inferred)
        }
        Signal::ServerSilent(at) => (at, "the server closes without a word".to_owned(), Certainty::Suspected),
        _ => return None,
    };
    // What every server rejects may be it as well.
    let rival = super::faults::has_hard(&evidence.client_defects);
    let certainty = if rival { Certainty::Suspected } else { sure };
    let finding = Finding::new(certainty, "client_chain", Party::Client, shown, says);
    Some(finding.and(&request.at, client_certificate::wanted(&request.value)).and(at, end))
}

/// ECDHE of TLCP agrees on a key by the certificates of both sides (GB/T 38636 section 6.4.5.8), and the client has none.
/// Tongsuo's client then gives up with internal_error.
fn no_half_for_agreement(evidence: &Evidence) -> Option<Finding> {
    let agrees = evidence.server_hello.as_ref().is_some_and(|hello| hello.value.cipher.kx() == Kx::SmEcdhe);
    let empty = evidence.client_chain.clear().filter(|chain| agrees && chain.value.is_empty())?;
    let (from, alert, at) = evidence.fatal_alert()?;
    let shown = "the client has no certificate, and ECDHE of TLCP needs one of each side";
    let says = format!("the {} gives up with {}", from.word(), alert.description);
    Some(Finding::new(Certainty::Inferred, "client_cert_absent", Party::Client, &empty.at, shown).and(at, says))
}

fn client_absent(evidence: &Evidence) -> Option<Finding> {
    let reason = "client_cert_absent";
    if let Some(finding) = no_half_for_agreement(evidence) {
        return Some(finding);
    }
    match signal::read(evidence) {
        Signal::ServerAlert(code, at) => {
            let empty = evidence.client_chain.clear().filter(|chain| chain.value.is_empty());
            let says = signal::said("the server", code);
            // GnuTLS says decode_error, rustls certificate_required of TLS 1.3 even in TLS 1.2.
            if let (Some(empty), 40..=42 | 46 | 49 | 50 | 80 | 116) = (empty, code) {
                let shown = "the client answers the CertificateRequest with an empty Certificate";
                // RFC 5246 section 7.4.6: handshake_failure is what a server says then; it says it of much else too.
                let certainty = if code == 116 { Certainty::Proven } else { Certainty::Inferred };
                let finding = Finding::new(certainty, reason, Party::Client, &empty.at, shown);
                let request = evidence.certificate_request.as_ref();
                let finding = match request.filter(|request| !request.value.authorities.is_empty()) {
                    Some(request) => finding.and(&request.at, client_certificate::wanted(&request.value)),
                    None => finding,
                };
                return Some(finding.and(at, says));
            }
            (code == 116).then(|| Finding::new(Certainty::Proven, reason, Party::Client, at, says))
        }
        Signal::ServerSilent(at) => {
            let empty = evidence.client_chain.clear().filter(|chain| chain.value.is_empty())?;
            let shown = "the client answers the CertificateRequest with an empty Certificate";
            let says = "the server closes without a word";
            let finding = Finding::new(Certainty::Suspected, reason, Party::Client, &empty.at, shown);
            Some(finding.and(at, says))
        }
        Signal::ServerSealed(at) => {
            let hello = evidence.server_hello.as_ref().filter(|hello| hello.value.version.is_tls13())?;
            // With the Finished behind it, it is the client's first; later ones of that size may hold data.
            let mut records = evidence.sealing.records.client.iter().enumerate();
            let (record, beside) = records.find_map(|(place, record)| {
                let beside = empty_certificate(record.len, hello.value.cipher)?;
                (beside.is_empty() || place == 0).then_some((record, beside))
            })?;
            let shown =
                format!("a sealed record of {} bytes, the size of an empty client Certificate{beside}", record.len);
            let says = "the server sends a sealed alert behind the client's Finished";
            Some(Finding::new(Certainty::Inferred, reason, Party::Client, record.at, shown).and(at, says))
        }
        _ => None,
    }
}

/// Alert 48 that no visible defect explains.
fn alone(evidence: &Evidence, code: u8, at: &Packets) -> Option<Finding> {
    if code != 48 {
        return None;
    }
    let finding = |certainty, reason, party, meaning: &str| {
        signal::from_code(evidence, certainty, reason, party, (code, at), meaning)
    };
    if signal::is_about_client(evidence) {
        let meaning = "it does not know the issuer of the client's certificate";
        let sure = evidence.client_chain.clear().is_some_and(|chain| !chain.value.is_empty());
        let certainty = if sure { Certainty::Proven } else { Certainty::Inferred };
        return Some(finding(certainty, "client_chain", Party::Client, meaning));
    }
    if !matches!(evidence.chain, Chain::Clear(_)) {
        let meaning = "no path to a root it trusts; the capture does not show the chain";
        return Some(finding(Certainty::Inferred, "unknown_root", Party::Server, meaning));
    }
    // RFC 5280 lets NSS call an expired issuer unknown: then the dates are to blame.
    if super::faults::explained(&evidence.defects, code) {
        return None;
    }
    let meaning = "the presented chain leads to a known root, so the client's trust store lacks it";
    let Some(other) = evidence.around.same_failure_elsewhere.first() else {
        return Some(finding(Certainty::Suspected, "unknown_root", Party::Client, meaning));
    };
    let says = format!("the same client rejects {} at the same step", other.value);
    Some(finding(Certainty::Inferred, "unknown_root", Party::Client, meaning).and(&other.at, says))
}

#[cfg(test)]
mod tests {
    use super::super::chains_fixture::{Then, attempt, seen};
    use super::*;
    use crate::base::Side;
    use crate::evidence::Ending;
    use crate::tls::chain::Fault;
    use crate::tls::codes::CipherSuite;

    fn found(evidence: &Evidence) -> Option<(&'static str, Certainty, Party)> {
        judge(evidence).found().map(|finding| (finding.reason, finding.certainty, finding.party))
    }

    #[test]
    fn a_missing_intermediate_and_unknown_ca_are_proof() {
        let evidence = attempt().with(&[Fault::MissingIntermediate]).alert(Side::Client, 48);
        assert_eq!(found(&evidence), Some(("missing_intermediate", Certainty::Proven, Party::Server)));
    }

    #[test]
    fn unknown_ca_to_a_good_chain_is_the_clients_store() {
        let mut evidence = attempt().alert(Side::Client, 48);
        assert_eq!(found(&evidence), Some(("unknown_root", Certainty::Suspected, Party::Client)));
        evidence.around.same_failure_elsewhere.push(seen(evidence.server, 30));
        assert_eq!(found(&evidence), Some(("unknown_root", Certainty::Inferred, Party::Client)));
    }

    #[test]
    fn absent_where_the_client_says_expired() {
        let evidence = attempt().with(&[Fault::SelfSigned, Fault::LeafExpired]).alert(Side::Client, 45);
        assert_eq!(judge(&evidence), Judgement::Absent);
    }

    #[test]
    fn blind_behind_tls_13_without_a_code_of_its_own() {
        assert_eq!(judge(&attempt().sealed().alert(Side::Client, 42)), Judgement::Blind(signal::SEALED));
        let silent = attempt().sealed().ends(Ending::Fin { from: Side::Client });
        assert_eq!(judge(&silent), Judgement::Blind(signal::SEALED));
    }

    #[test]
    fn an_empty_client_certificate_and_handshake_failure_point_one_way() {
        let evidence = attempt().client_shows(0, &[]).alert(Side::Server, 40);
        assert_eq!(found(&evidence), Some(("client_cert_absent", Certainty::Inferred, Party::Client)));
        let evidence = attempt().client_shows(0, &[]).alert(Side::Server, 116);
        assert_eq!(found(&evidence), Some(("client_cert_absent", Certainty::Proven, Party::Client)));
    }

    #[test]
    fn a_client_without_certificates_cannot_agree_on_a_key_in_tlcp() {
        let mut evidence = attempt().client_shows(0, &[]).alert(Side::Client, 80);
        assert_eq!(judge(&evidence), Judgement::Absent);
        evidence.server_hello.as_mut().unwrap().value.cipher = CipherSuite(0xe011);
        assert_eq!(found(&evidence), Some(("client_cert_absent", Certainty::Inferred, Party::Client)));
    }

    #[test]
    fn a_handshake_failure_without_certificate_request_is_none_of_this() {
        assert_eq!(judge(&attempt().alert(Side::Server, 40)), Judgement::Absent);
    }

    #[test]
    fn a_server_that_does_not_know_the_clients_issuer() {
        let evidence = attempt().client_shows(1, &[Fault::UnknownRoot]).alert(Side::Server, 48);
        assert_eq!(found(&evidence), Some(("client_chain", Certainty::Proven, Party::Client)));
        let evidence = attempt().client_shows(1, &[]).alert(Side::Server, 48);
        assert_eq!(found(&evidence), Some(("client_chain", Certainty::Proven, Party::Client)));
    }
}
