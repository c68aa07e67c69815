//! Twelve judgements become one diagnosis.

use super::faults::{placed, placed_of_client};
use super::{Cause, Finding, Judgement};
use crate::base::Side;
use crate::evidence::{Chain, Ending, Evidence, Outcome};
use crate::tls::chain::Fault;
use std::cmp::Reverse;

/// What is said of one failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// The cause.
    pub primary: Option<(Cause, Finding)>,
    /// Further findings, in order.
    pub also: Vec<(Cause, Finding)>,
    /// Causes that could not be seen, and why.
    pub blind: Vec<(Cause, &'static str)>,
    /// What remains possible when there is no cause.
    pub candidates: Vec<Cause>,
}

/// Weighs: the surest finding is the cause; equally sure ones stand in the order of [`Cause::ALL`].
pub fn weigh(evidence: &Evidence) -> Diagnosis {
    let mut found = Vec::new();
    let mut diagnosis = Diagnosis::default();
    for cause in Cause::ALL {
        match cause.judge(evidence) {
            Judgement::Found(finding) => found.push((cause, finding)),
            Judgement::Blind(why) => diagnosis.blind.push((cause, why)),
            Judgement::Absent => {}
        }
    }
    found.sort_by_key(|(_, finding)| Reverse(finding.certainty));
    // An installer's certificate says more than that it is self-signed: the real one was never loaded.
    if let Some(place) = found.iter().position(|(_, finding)| finding.reason == "snakeoil_certificate") {
        let snakeoil = found.remove(place);
        found.insert(0, snakeoil);
    }
    let mut found = found.into_iter();
    diagnosis.primary = found.next();
    diagnosis.also = found.collect();
    if diagnosis.primary.is_none() {
        diagnosis.candidates = candidates(evidence, &diagnosis.blind);
    }
    diagnosis
}

/// Causes that remain: those the alert's code allows, the unseen ones where any is; else the unseen.
fn candidates(evidence: &Evidence, blind: &[(Cause, &'static str)]) -> Vec<Cause> {
    let unseen = |cause: Cause| blind.iter().any(|(other, _)| *other == cause);
    let Ending::Alert { from, alert } = &evidence.ending.value else {
        return blind.iter().map(|(cause, _)| *cause).collect();
    };
    // Of the stacks in use only OpenSSL rejects in clear behind TLS 1.3; it has codes of its own for most defects
    // (ssl_x509err2alert) and says 42 of names, of dates to come and of weak keys.
    let openssl = matches!(evidence.chain, Chain::Sealed(_)) && *from == Side::Client;
    let allowed = match alert.description.0 {
        42 if openssl => &[Cause::NameMismatch, Cause::ValidityMisconfig, Cause::DamagedKey],
        code => backwards(code, *from),
    };
    let narrowed: Vec<Cause> = allowed.iter().copied().filter(|&cause| unseen(cause)).collect();
    if narrowed.is_empty() { allowed.to_vec() } else { narrowed }
}

/// Causes for which some stack sends the code, the likelier ones first.
fn backwards(code: u8, from: Side) -> &'static [Cause] {
    use Cause::*;
    match (code, from) {
        (40, Side::Server) => &[ProtocolVersion, StoragePermission, MissingExtension],
        (40, Side::Client) => &[ProtocolVersion, MissingExtension, DamagedKey],
        (42 | 46, _) => &[
            ExpiredCert,
            ValidityMisconfig,
            Revocation,
            NameMismatch,
            MissingExtension,
            DamagedKey,
            BrokenChain,
        ],
        (43, _) => &[MissingExtension],
        (44 | 113, _) => &[Revocation],
        (45, _) => &[ExpiredCert, ValidityMisconfig, Revocation],
        (48, _) => &[BrokenChain, Revocation],
        (51, _) => &[DamagedKey],
        (70, _) => &[ProtocolVersion, StoragePermission],
        (71 | 86 | 120 | 121, _) => &[ProtocolVersion],
        (80, Side::Server) => &[StoragePermission],
        (112, _) => &[NameMismatch],
        (116, _) => &[BrokenChain],
        _ => &[],
    }
}

/// Defects that did not cause a failure: cause, reason and what is wrong, of both chains. Nothing
/// for a handshake that failed, and no unknown root: a client that went on knows it.
pub fn hygiene(evidence: &Evidence) -> Vec<(Cause, &'static str, String)> {
    if evidence.outcome == Outcome::Failed {
        return Vec::new();
    }
    let server = evidence.defects.iter().map(|defect| (defect, placed(defect.fault)));
    let client = evidence.client_defects.iter().map(|defect| (defect, placed_of_client(defect.fault)));
    server
        .chain(client)
        .filter(|(defect, _)| defect.fault != Fault::UnknownRoot)
        .map(|(defect, (cause, reason))| (cause, reason, defect.says.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Certainty;
    use super::super::chains_fixture::{Then, attempt};
    use super::*;

    #[test]
    fn the_surest_finding_is_the_cause() {
        let diagnosis =
            weigh(&attempt().with(&[Fault::LeafExpired, Fault::UnknownRoot]).alert(Side::Client, 48));
        let (cause, finding) = diagnosis.primary.unwrap();
        assert_eq!((cause, finding.certainty), (Cause::BrokenChain, Certainty::Proven));
    }

    #[test]
    fn a_sealed_certificate_leaves_candidates_instead_of_a_guess() {
        let diagnosis = weigh(&attempt().sealed().alert(Side::Client, 42));
        assert!(diagnosis.primary.is_none());
        assert_eq!(
            diagnosis.candidates,
            [Cause::NameMismatch, Cause::ValidityMisconfig, Cause::DamagedKey],
            "what OpenSSL means by it"
        );
        let sealed = Ending::SealedAlert { from: Side::Client, len: 19 };
        let candidates = weigh(&attempt().sealed().ends(sealed)).candidates;
        assert!(candidates.contains(&Cause::ExpiredCert) && candidates.contains(&Cause::BrokenChain));
        assert!(!candidates.contains(&Cause::Firewall));
    }

    #[test]
    fn a_defect_of_a_completed_handshake_is_hygiene_but_a_private_root_is_not() {
        let mut evidence = attempt().with(&[Fault::LeafExpired, Fault::UnknownRoot]);
        evidence.outcome = Outcome::Completed;
        let words: Vec<_> = hygiene(&evidence).into_iter().map(|(_, reason, _)| reason).collect();
        assert_eq!(words, ["leaf_expired"]);
    }
}
