//! # Symptoms
//!
//! `unsupported certificate purpose`, `SEC_ERROR_INADEQUATE_CERT_TYPE`,
//! `ERR_SSL_KEY_USAGE_INCOMPATIBLE`, `unhandled critical extension`, `permitted subtree violation`.
//!
//! # On the wire
//!
//! The leaf's extKeyUsage or keyUsage forbids the use, and the client sends 43
//! (unsupported_certificate): `proven`; Chromium 46 or 47, GnuTLS 42 or 80. Unknown critical extensions
//! and name constraints read as 46 or 42. Absent AKI and SKI, and what else breaks the profile of RFC 5280 or, of public
//! certificates, the Baseline Requirements (`profile_violation`), is rejected by strict verifiers only (Python
//! since 3.13), with 46. A 46 in clear behind TLS 1.3 comes from OpenSSL, which has codes of its own for most
//! other faults: `unknown_critical`, `suspected`, though name constraints share it.
//! TLCP presents two certificates of one holder, the first for signatures (digitalSignature), the second for encipherment
//! (keyEncipherment, dataEncipherment or keyAgreement): halves in each other's place, or one alone, are `key_usage`.
//!
//! # Remedy
//!
//! Reissue from a profile with extKeyUsage serverAuth (clients: clientAuth), keyUsage digitalSignature
//! (keyEncipherment for RSA key transport), and no critical extension of one's own.
//!
//! # References
//!
//! RFC 5280 sections 4.2 and 4.2.1.3 to 4.2.1.12; RFC 5246 section 7.4.2; GB/T 38636-2020 section 6.4.5.3 (TLCP).

use super::{Cause, Certainty, Finding, Judgement, Party, Reason, signal};
use crate::base::Packets;
use crate::evidence::{Chain, Evidence};

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "eku_lacks_server_auth",
        remedy: "Reissue the certificate with extKeyUsage serverAuth.",
        steps: &["Correct the CA's profile: extKeyUsage serverAuth", "Reissue and install"],
    },
    Reason {
        word: "eku_lacks_client_auth",
        remedy: "Reissue the certificate with extKeyUsage clientAuth in the client's certificate.",
        steps: &[
            "Correct the CA's profile: extKeyUsage clientAuth in the client's certificate",
            "Reissue and install",
        ],
    },
    Reason {
        word: "key_usage",
        remedy: "Reissue the certificate with keyUsage digitalSignature.",
        steps: &["Correct the CA's profile: keyUsage digitalSignature", "Reissue and install"],
    },
    Reason {
        word: "no_aki",
        remedy: "Reissue the certificate with an authorityKeyIdentifier.",
        steps: &["Correct the CA's profile: an authorityKeyIdentifier", "Reissue and install"],
    },
    Reason {
        word: "no_ski",
        remedy: "Reissue the certificate with a subjectKeyIdentifier in the CA.",
        steps: &["Correct the CA's profile: a subjectKeyIdentifier in the CA", "Reissue and install"],
    },
    Reason {
        word: "basic_constraints",
        remedy: "Reissue the certificate with basicConstraints that fit its role.",
        steps: &["Correct the CA's profile: basicConstraints that fit its role", "Reissue and install"],
    },
    Reason {
        word: "name_constraints",
        remedy: "Reissue the certificate with names that its CA's name constraints permit.",
        steps: &[
            "Correct the CA's profile: names that its CA's name constraints permit",
            "Reissue and install",
        ],
    },
    Reason {
        word: "unknown_critical",
        remedy: "Reissue the certificate with no critical extension that clients do not know.",
        steps: &[
            "Correct the CA's profile: no critical extension that clients do not know",
            "Reissue and install",
        ],
    },
    Reason {
        word: "profile_violation",
        remedy: "Reissue the certificate from a profile that keeps to RFC 5280, for strict verifiers such as Python's.",
        steps: &["Correct what the finding names in the CA's profile", "Reissue and install"],
    },
];

/// Judges.
pub fn judge(evidence: &Evidence) -> Judgement {
    signal::by_defect(evidence, Cause::MissingExtension, |code, at| alone(evidence, code, at))
}

/// Alert 43 that no visible extension explains.
fn alone(evidence: &Evidence, code: u8, at: &Packets) -> Option<Finding> {
    let (reason, party) = if signal::is_about_client(evidence) {
        ("eku_lacks_client_auth", Party::Client)
    } else {
        ("eku_lacks_server_auth", Party::Server)
    };
    let clear = party == Party::Server && evidence.chain.clear().is_some();
    let certainty = if clear { Certainty::Suspected } else { Certainty::Inferred };
    let meaning = "the certificate is not made for this use";
    if code == 46 && party == Party::Server && matches!(evidence.chain, Chain::Sealed(_)) {
        // Of the stacks in use only OpenSSL rejects in clear behind TLS 1.3. It has codes of its own for dates, chains,
        // names, keys, purposes and revocation (ssl_x509err2alert), and 46 for what is left.
        let meaning = "from OpenSSL, an unknown critical extension, name constraints, or what strict verification asks";
        let certainty = Certainty::Suspected;
        return Some(signal::from_code(evidence, certainty, "unknown_critical", party, (code, at), meaning));
    }
    (code == 43).then(|| signal::from_code(evidence, certainty, reason, party, (code, at), meaning))
}

#[cfg(test)]
mod tests {
    use super::super::chains_fixture::{Then, attempt};
    use super::*;
    use crate::base::Side;
    use crate::tls::chain::Fault;

    fn found(evidence: &Evidence) -> Option<(&'static str, Certainty)> {
        judge(evidence).found().map(|finding| (finding.reason, finding.certainty))
    }

    #[test]
    fn a_code_signing_certificate_is_found() {
        let evidence = attempt().with(&[Fault::EkuLacksServerAuth]).alert(Side::Client, 43);
        assert_eq!(found(&evidence), Some(("eku_lacks_server_auth", Certainty::Proven)));
    }

    #[test]
    fn absent_where_the_client_says_expired() {
        let evidence = attempt().with(&[Fault::KeyUsage]).alert(Side::Client, 45);
        assert_eq!(judge(&evidence), Judgement::Absent);
    }

    #[test]
    fn what_openssl_has_no_code_for_is_suspected_behind_tls_13() {
        let evidence = attempt().sealed().alert(Side::Client, 46);
        assert_eq!(found(&evidence), Some(("unknown_critical", Certainty::Suspected)));
    }

    #[test]
    fn blind_behind_tls_13() {
        assert_eq!(judge(&attempt().sealed().alert(Side::Client, 42)), Judgement::Blind(signal::SEALED));
    }
}
