//! Twelve judgements become one diagnosis.

use super::faults::{placed, placed_of_client};
use super::stack::Who;
use super::{Cause, Certainty, Finding, Judgement, firewall, revocation};
use crate::base::{Seen, Side};
use crate::evidence::clock::Contradiction;
use crate::evidence::{Chain, Ending, Evidence, Outcome, Transport};
use crate::tls::cert::Certificate;
use crate::tls::chain::{Defect, Fault};
use std::cell::LazyCell;
use std::cmp::Reverse;
use std::sync::Arc;

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

/// Weighs: the surest finding is the cause. Equally sure ones stand in the order of likelihood that the alert gives
/// them where it is all that was seen, else in that of [`Cause::ALL`].
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
    let likely = match evidence.chain {
        Chain::Sealed(_) => allowed(evidence),
        _ => &[],
    };
    let place = |cause: &Cause| likely.iter().position(|other| other == cause).unwrap_or(likely.len());
    found.sort_by_key(|(cause, finding)| (Reverse(finding.certainty), place(cause)));
    // An installer's certificate says more than that it is self-signed: the real one was never loaded. A middlebox's says
    // more than that its root is unknown: the server's never came.
    let says_more = |finding: &Finding| {
        finding.reason == "snakeoil_certificate"
            || finding.reason == "intercepted" && finding.certainty >= Certainty::Inferred
    };
    if let Some(place) = found.iter().position(|(_, finding)| says_more(finding)) {
        let first = found.remove(place);
        found.insert(0, first);
    }
    // Who was sent to another server was shown its certificate.
    let is_wrong_address = |(cause, finding): &(Cause, Finding)| {
        *cause == Cause::DnsInconsistency && finding.certainty >= Certainty::Inferred
    };
    if found.first().is_some_and(|(cause, _)| *cause == Cause::NameMismatch)
        && let Some(place) = found.iter().position(is_wrong_address)
    {
        let address = found.remove(place);
        found.insert(0, address);
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
    if !matches!(evidence.ending.value, Ending::Alert { .. }) {
        return blind.iter().map(|(cause, _)| *cause).collect();
    }
    let allowed = allowed(evidence);
    let narrowed: Vec<Cause> = allowed.iter().copied().filter(|&cause| unseen(cause)).collect();
    if narrowed.is_empty() { allowed.to_vec() } else { narrowed }
}

/// The causes that an alert's code allows, the likelier ones first; none where there is no alert in clear.
fn allowed(evidence: &Evidence) -> &'static [Cause] {
    let Ending::Alert { from, alert } = &evidence.ending.value else { return &[] };
    // Of the stacks in use only OpenSSL rejects in clear behind TLS 1.3; it has codes of its own for most defects
    // (ssl_x509err2alert) and says 42 of names, of dates to come and of weak keys.
    let over_tcp = evidence.transport == Transport::Tcp;
    let openssl = over_tcp && matches!(evidence.chain, Chain::Sealed(_)) && *from == Side::Client;
    match alert.description.0 {
        42 if openssl => &[Cause::NameMismatch, Cause::ValidityMisconfig, Cause::DamagedKey],
        code => backwards(code, *from),
    }
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

/// A defect that did not cause a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hygiene {
    /// Where it belongs.
    pub cause: Cause,
    /// A word of the cause's list.
    pub reason: &'static str,
    /// What is wrong.
    pub says: String,
    /// Whether the client's stack rejects a server for it ([`Who::rejects`]); `None` where that is not known.
    pub client_rejects: Option<bool>,
}

/// Defects that did not cause a failure, of both chains. Of a handshake that failed those that no finding tells; of
/// another one no unknown root: a client that went on knows it. No dates that other clocks refute.
pub fn hygiene(evidence: &Evidence, diagnosis: Option<&Diagnosis>) -> Vec<Hygiene> {
    let clean = evidence.defects.is_empty() && evidence.client_defects.is_empty();
    let mut found = if clean { Vec::new() } else { of_defects(evidence, diagnosis) };
    found.extend(revocation::hygiene(evidence));
    found.extend(firewall::hygiene(evidence));
    found
}

fn of_defects(evidence: &Evidence, diagnosis: Option<&Diagnosis>) -> Vec<Hygiene> {
    let server = evidence.defects.iter().map(|defect| (defect, placed(defect.fault), true));
    let client = evidence.client_defects.iter().map(|defect| (defect, placed_of_client(defect.fault), false));
    let refuted = |defect: &Defect, chain: Option<&Seen<Vec<Arc<Certificate>>>>| {
        let chain = chain.map_or(&[][..], |chain| &chain.value);
        evidence.around.clocks.doubt(defect, chain, evidence.started) == Some(Contradiction::Firm)
    };
    let server = server.filter(|(defect, ..)| !refuted(defect, evidence.known_chain()));
    let client = client.filter(|(defect, ..)| !refuted(defect, evidence.client_chain.clear()));
    let findings =
        || diagnosis.into_iter().flat_map(|diagnosis| diagnosis.primary.iter().chain(&diagnosis.also));
    let told = |defect: &Defect| findings().any(|(_, finding)| tells(finding, defect));
    let failed = evidence.outcome == Outcome::Failed;
    let client_is = LazyCell::new(|| Who::is_client_of(evidence));
    let item = |(defect, (cause, reason), of_server): (&Defect, _, bool)| Hygiene {
        cause,
        reason,
        says: defect.says.clone(),
        client_rejects: if of_server { rejects(evidence, defect, || *client_is) } else { None },
    };
    server
        .chain(client)
        .filter(|(defect, ..)| if failed { !told(defect) } else { defect.fault != Fault::UnknownRoot })
        .filter(|(_, (cause, _), _)| *cause != Cause::NameMismatch || !evidence.may_hide_name())
        .map(item)
        .collect()
}

/// Whether the client's stack rejects a server for the defect that a finding tells; `None` where that is not known, or
/// it tells none.
pub fn client_rejects(evidence: &Evidence, finding: &Finding) -> Option<bool> {
    let defect = evidence.defects.iter().find(|defect| tells(finding, defect))?;
    rejects(evidence, defect, || Who::is_client_of(evidence))
}

fn rejects(evidence: &Evidence, defect: &Defect, client: impl Fn() -> Option<Who>) -> Option<bool> {
    // What lacks may be a root that a client that went on was given; the name meant may be another; so may the time.
    let given = defect.fault == Fault::MissingIntermediate && evidence.outcome != Outcome::Failed;
    let renamed = placed(defect.fault).0 == Cause::NameMismatch && evidence.may_hide_name();
    let chain = evidence.known_chain().map_or(&[][..], |chain| &chain.value);
    let at_another_time = evidence.around.clocks.doubt(defect, chain, evidence.started).is_some();
    let unsure = given || renamed || at_another_time;
    if unsure { None } else { client()?.rejects(defect.fault) }
}

fn tells(finding: &Finding, defect: &Defect) -> bool {
    finding.proofs.iter().any(|proof| proof.says == defect.says)
}

#[cfg(test)]
mod tests {
    use super::super::chains_fixture::{Then, attempt, seen};
    use super::*;
    use crate::tls::codes::ExtensionType;
    use crate::tls::hello::{ClientHello, Offer};
    use std::sync::Arc;

    #[test]
    fn the_surest_finding_is_the_cause() {
        let diagnosis =
            weigh(&attempt().with(&[Fault::LeafExpired, Fault::UnknownRoot]).alert(Side::Client, 48));
        let (cause, finding) = diagnosis.primary.unwrap();
        assert_eq!((cause, finding.certainty), (Cause::BrokenChain, Certainty::Proven));
    }

    #[test]
    fn nothing_is_proven_of_certificates_that_count_by_their_fingerprint() {
        use crate::evidence::Transport;
        use crate::evidence::fixture::{alert, answered, certificate, shown};
        use crate::tls::codes::Version;
        for code in [42, 46, 48] {
            let leaf = certificate("WebRTC", &[]);
            let mut e = alert(shown(answered(Version::DTLS12), leaf, &[]), Side::Client, code);
            e.transport = Transport::Dtls;
            let hello = &mut e.hello.as_mut().unwrap().value;
            Arc::make_mut(&mut hello.offer).extensions.push(ExtensionType::USE_SRTP);
            assert!(e.by_fingerprint());
            let diagnosis = weigh(&e);
            let proven = |(_, finding): &(Cause, Finding)| finding.certainty == Certainty::Proven;
            assert!(
                !diagnosis.primary.iter().chain(&diagnosis.also).any(proven),
                "alert {code}: {diagnosis:?}"
            );
        }
    }

    #[test]
    fn a_sealed_certificate_and_a_sealed_alert_leave_candidates() {
        let sealed = Ending::SealedAlert { from: Side::Client, len: 19 };
        let diagnosis = weigh(&attempt().sealed().ends(sealed));
        assert!(diagnosis.primary.is_none());
        let candidates = diagnosis.candidates;
        assert!(candidates.contains(&Cause::ExpiredCert) && candidates.contains(&Cause::BrokenChain));
        assert!(!candidates.contains(&Cause::Firewall));
    }

    #[test]
    fn what_openssl_says_of_three_things_is_told_by_likelihood() {
        let diagnosis = weigh(&attempt().sealed().alert(Side::Client, 42));
        let findings = diagnosis.primary.iter().chain(&diagnosis.also);
        let told: Vec<_> = findings.map(|(cause, finding)| (*cause, finding.certainty)).collect();
        let suspected = [Cause::NameMismatch, Cause::ValidityMisconfig, Cause::DamagedKey];
        assert_eq!(told, suspected.map(|cause| (cause, Certainty::Suspected)));
    }

    #[test]
    fn a_defect_of_a_completed_handshake_is_hygiene_but_a_private_root_is_not() {
        let mut evidence = attempt().with(&[Fault::LeafExpired, Fault::UnknownRoot]);
        evidence.outcome = Outcome::Completed;
        let words: Vec<_> = hygiene(&evidence, None).iter().map(|item| item.reason).collect();
        assert_eq!(words, ["leaf_expired"]);
    }

    /// A hello of Go's, whose verifier never looks at identifiers, or one that tells no stack.
    fn by_go(evidence: Evidence) -> Evidence {
        let codes = |codes: &[u16]| codes.iter().copied().map(ExtensionType).collect();
        let extensions = codes(&[0, 5, 10, 11, 13, 0xff01, 18, 43, 51]);
        let hello = ClientHello {
            offer: Arc::new(Offer { extensions, ..Offer::default() }),
            ..ClientHello::default()
        };
        Evidence { hello: Some(seen(hello, 1).into()), ..evidence }
    }

    #[test]
    fn hygiene_says_what_the_client_that_went_on_would_have_rejected() {
        let faults =
            [Fault::LeafExpired, Fault::NoAki, Fault::WeakKey, Fault::WrongOrder, Fault::MissingIntermediate];
        let mut evidence = by_go(attempt().with(&faults));
        evidence.outcome = Outcome::Completed;
        let rejects: Vec<_> = hygiene(&evidence, None).iter().map(|item| item.client_rejects).collect();
        assert_eq!(rejects, [Some(true), Some(false), None, None, None]);
    }

    #[test]
    fn who_has_no_stack_or_judges_its_own_certificate_rejects_nothing_that_is_known() {
        let mut evidence = attempt().with(&[Fault::LeafExpired]);
        evidence.outcome = Outcome::Completed;
        assert_eq!(hygiene(&evidence, None)[0].client_rejects, None, "no stack is told");
        let mut evidence = by_go(attempt());
        evidence.client_defects = attempt().with(&[Fault::LeafExpired]).defects;
        evidence.outcome = Outcome::Completed;
        assert_eq!(hygiene(&evidence, None)[0].client_rejects, None, "its own");
    }

    #[test]
    fn a_further_finding_says_whether_the_client_rejects_its_defect() {
        let evidence =
            by_go(attempt().with(&[Fault::LeafExpired, Fault::SanMismatch]).alert(Side::Client, 42));
        let diagnosis = weigh(&evidence);
        let also: Vec<_> = diagnosis
            .also
            .iter()
            .map(|(cause, finding)| (*cause, client_rejects(&evidence, finding)))
            .collect();
        assert!(also.contains(&(Cause::NameMismatch, Some(true))), "{also:?}");
        let alone = weigh(&by_go(attempt().alert(Side::Client, 48)));
        let (_, finding) = alone.primary.unwrap();
        assert_eq!(client_rejects(&evidence, &finding), None, "it tells no defect: {finding:?}");
    }

    #[test]
    fn every_defect_of_a_failed_handshake_is_told_once() {
        let faults = [Fault::LeafExpired, Fault::IntermediateExpired, Fault::SanMismatch, Fault::NoAki];
        let evidence = attempt().with(&faults).alert(Side::Client, 45);
        let diagnosis = weigh(&evidence);
        assert_eq!(diagnosis.primary.as_ref().map(|(_, finding)| finding.reason), Some("leaf_expired"));
        let words: Vec<_> = hygiene(&evidence, Some(&diagnosis)).iter().map(|item| item.reason).collect();
        assert_eq!(words, ["intermediate_expired", "san_mismatch", "no_aki"]);
    }
}
