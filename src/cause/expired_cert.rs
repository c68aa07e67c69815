//! # Symptoms
//!
//! Browsers say `NET::ERR_CERT_DATE_INVALID` or `SEC_ERROR_EXPIRED_CERTIFICATE`, OpenSSL and curl
//! `certificate has expired`, Java `CertificateExpiredException: NotAfter`, Go `x509: certificate
//! has expired or is not yet valid`. All clients of the server fail from one second to the next;
//! where an intermediate or a root expired, often the old ones only.
//!
//! # On the wire
//!
//! The server's Certificate holds a notAfter before capture time (its last second still counts), and
//! the client answers with alert 45 (certificate_expired): `proven`. Chromium sends 46, GnuTLS and Go
//! 42 for any fault: `inferred` where no other defect competes. NSS sends 48 for an expired
//! intermediate. TLS 1.3 seals the certificate, but OpenSSL's clients send alert 45 in clear:
//! `inferred`. Where other clocks contradict the capture's, dates count that are past by both only. A server that sends 45
//! behind the client's Certificate found that one expired.
//!
//! # Remedy
//!
//! Renew the certificate that the finding names, install it with its intermediates, reload the
//! server, and look at the served chain again: `openssl s_client -connect HOST:443 -servername HOST
//! </dev/null | openssl x509 -noout -dates`. Then find out why renewal did not happen by itself
//! (the ACME client's timer and log, a reload hook that is missing, one node left out).
//!
//! # References
//!
//! RFC 5280 sections 4.1.2.5 and 6.1.3 (validity), RFC 9846 section 6.2 and RFC 5246 section 7.2.2
//! (certificate_expired), RFC 9773 (ACME renewal information).

use super::{Cause, Certainty, Finding, Judgement, Party, Reason, signal};
use crate::base::Packets;
use crate::evidence::{Chain, Evidence};

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "leaf_expired",
        remedy: "Renew the server's certificate and reload the server.",
        steps: &[
            "Issue a new certificate for the same names",
            "Install it with its intermediates",
            "Reload the server and check the dates it serves",
            "Repair the automatic renewal",
        ],
    },
    Reason {
        word: "intermediate_expired",
        remedy: "Replace the expired intermediate in the served chain by the CA's current one; the leaf may stay.",
        steps: &[
            "Fetch the current intermediate from the leaf's caIssuers address or the CA's site",
            "Replace the old one in the chain file",
            "Reload the server",
        ],
    },
    Reason {
        word: "root_expired",
        remedy: "Serve a chain that ends in a root still valid in the clients' stores, and drop the expired root or cross-certificate.",
        steps: &[
            "Remove the expired root or cross-certificate from the chain file",
            "Ask the CA for the chain to its current root",
            "Update the trust stores of old clients",
        ],
    },
    Reason {
        word: "client_cert_expired",
        remedy: "Renew the client's certificate; the server asked for one and refused the expired one.",
        steps: &[
            "Issue a new client certificate",
            "Install it with its key in the client",
            "Watch the dates of client certificates as those of servers",
        ],
    },
];

/// Judges.
pub fn judge(evidence: &Evidence) -> Judgement {
    signal::by_defect(evidence, Cause::ExpiredCert, |code, at| alone(evidence, code, at))
}

/// Alert 45 that no visible date explains.
fn alone(evidence: &Evidence, code: u8, at: &Packets) -> Option<Finding> {
    if code != 45 {
        return None;
    }
    let (reason, party, meaning) = if signal::is_about_client(evidence) {
        if evidence.client_chain.clear().is_some() {
            return None;
        }
        (
            "client_cert_expired",
            Party::Client,
            "the client's certificate, which the capture does not show, has expired",
        )
    } else if matches!(evidence.chain, Chain::Clear(_)) {
        return None;
    } else {
        (
            "leaf_expired",
            Party::Server,
            "a certificate of the chain, which the capture does not show, has expired",
        )
    };
    Some(signal::from_code(evidence, Certainty::Inferred, reason, party, (code, at), meaning))
}

#[cfg(test)]
mod tests {
    use super::super::chains_fixture::{Then, attempt, seen};
    use super::*;
    use crate::base::Side;
    use crate::evidence::Ending;
    use crate::evidence::around::{KnownFrom, ShownBefore};
    use crate::tls::chain::Fault;

    fn found(evidence: &Evidence) -> Option<(&'static str, Certainty, Party)> {
        judge(evidence).found().map(|finding| (finding.reason, finding.certainty, finding.party))
    }

    #[test]
    fn a_certificate_shown_in_clear_before_tells_of_a_sealed_one() {
        let sealed = Ending::SealedAlert { from: Side::Client, len: 19 };
        let mut evidence = attempt().sealed().with(&[Fault::LeafExpired]).ends(sealed);
        let record = crate::tls::sealed::SealedRecord {
            content_type: 23,
            len: 900,
            at: crate::base::PacketNo(6),
            when: evidence.started,
        };
        let chain = seen(Vec::new(), 2);
        evidence.around.shown_before = Some(ShownBefore::of_size(chain, record, KnownFrom::Server));
        let Judgement::Found(finding) = judge(&evidence) else { panic!("not found") };
        assert_eq!((finding.reason, finding.certainty), ("leaf_expired", Certainty::Inferred));
        assert_eq!(finding.proofs.len(), 3, "the certificate then, its size now, the alert: {finding:?}");
    }

    /// A sealed alert, and certificates known from elsewhere that expired.
    fn known(before: impl FnOnce(&mut ShownBefore)) -> Evidence {
        let sealed = Ending::SealedAlert { from: Side::Client, len: 19 };
        let mut evidence = attempt().sealed().with(&[Fault::LeafExpired]).ends(sealed);
        let (at, when) = (crate::base::PacketNo(6), evidence.started);
        let record = crate::tls::sealed::SealedRecord { content_type: 23, len: 900, at, when };
        let mut shown = ShownBefore::of_size(seen(Vec::new(), 2), record, KnownFrom::Server);
        before(&mut shown);
        evidence.around.shown_before = Some(shown);
        evidence
    }

    #[test]
    fn what_only_may_have_been_shown_is_suspected() {
        let sure = known(|_| ());
        assert_eq!(found(&sure), Some(("leaf_expired", Certainty::Inferred, Party::Server)));
        let doubts: [fn(&mut ShownBefore); 3] = [
            |before| before.rivals = true,
            |before| before.fit = crate::tls::sealed::Fit::Compressed,
            |before| before.from = KnownFrom::Address,
        ];
        for doubt in doubts {
            assert_eq!(found(&known(doubt)), Some(("leaf_expired", Certainty::Suspected, Party::Server)));
        }
    }

    #[test]
    fn a_record_damaged_on_the_way_looks_the_same() {
        let mut evidence = known(|_| ());
        evidence.lost.overlap_conflicts = 1;
        assert_eq!(found(&evidence), Some(("leaf_expired", Certainty::Suspected, Party::Server)));
    }

    #[test]
    fn a_known_chain_without_the_defect_leaves_it_possible() {
        let mut renewed = known(|_| ());
        renewed.defects = attempt().defects;
        assert_eq!(judge(&renewed), Judgement::Blind(signal::SEALED), "it may be an older one of the same size");
    }

    #[test]
    fn a_clients_sealed_certificate_is_known_by_its_size() {
        let mut evidence = known(|_| ());
        evidence.around.client_shown_before = evidence.around.shown_before.take().map(|mut before| {
            before.from = KnownFrom::Client;
            Box::new(before)
        });
        evidence.ending.value = Ending::SealedAlert { from: Side::Server, len: 19 };
        evidence.sealing.finished.client = Some(seen((), 7));
        evidence.client_defects = evidence.defects.clone();
        assert_eq!(found(&evidence), Some(("client_cert_expired", Certainty::Inferred, Party::Client)));
        evidence.around.client_shown_before = None;
        evidence.client_defects = attempt().client_defects;
        assert_eq!(judge(&evidence), Judgement::Blind(signal::SEALED_CLIENT));
    }

    #[test]
    fn an_expired_leaf_and_its_own_alert_are_proof() {
        let evidence = attempt().with(&[Fault::LeafExpired]).alert(Side::Client, 45);
        assert_eq!(found(&evidence), Some(("leaf_expired", Certainty::Proven, Party::Server)));
    }

    #[test]
    fn chromiums_one_code_makes_a_sole_expiry_likely() {
        let evidence = attempt().with(&[Fault::LeafExpired, Fault::UnknownRoot]).alert(Side::Client, 46);
        assert_eq!(found(&evidence), Some(("leaf_expired", Certainty::Inferred, Party::Server)));
    }

    #[test]
    fn absent_where_the_client_complains_of_its_root() {
        let evidence = attempt().with(&[Fault::LeafExpired, Fault::UnknownRoot]).alert(Side::Client, 48);
        assert_eq!(judge(&evidence), Judgement::Absent);
    }

    #[test]
    fn absent_when_the_client_did_not_reject() {
        let evidence = attempt().with(&[Fault::LeafExpired]).alert(Side::Server, 40);
        assert_eq!(judge(&evidence), Judgement::Absent);
    }

    #[test]
    fn behind_tls_13_only_alert_45_tells() {
        assert_eq!(
            found(&attempt().sealed().alert(Side::Client, 45)),
            Some(("leaf_expired", Certainty::Inferred, Party::Server))
        );
        assert_eq!(judge(&attempt().sealed().alert(Side::Client, 46)), Judgement::Blind(signal::SEALED));
        let sealed = attempt().sealed().ends(Ending::SealedAlert { from: Side::Client, len: 19 });
        assert_eq!(judge(&sealed), Judgement::Blind(signal::SEALED));
    }

    #[test]
    fn a_silent_close_is_a_suspicion() {
        let evidence = attempt().with(&[Fault::LeafExpired]).ends(Ending::Fin { from: Side::Client });
        assert_eq!(found(&evidence), Some(("leaf_expired", Certainty::Suspected, Party::Server)));
    }

    #[test]
    fn a_server_that_refuses_an_expired_client_blames_the_client() {
        let evidence = attempt().client_shows(1, &[Fault::LeafExpired]).alert(Side::Server, 45);
        assert_eq!(found(&evidence), Some(("client_cert_expired", Certainty::Proven, Party::Client)));
    }
}
