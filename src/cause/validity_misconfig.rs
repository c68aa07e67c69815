//! # Symptoms
//!
//! `certificate is not yet valid`, `NET::ERR_CERT_DATE_INVALID` with a correct certificate,
//! `CertificateNotYetValidException`; one machine rejects every site (its clock), or all clients reject
//! a new certificate for an hour.
//!
//! # On the wire
//!
//! notBefore lies behind capture time, or notAfter before notBefore. NSS and rustls answer 45, OpenSSL
//! and Java 42, Chromium 46. Alert 45 to a chain whose dates are valid at capture time means the
//! client's clock: `suspected`, or `inferred` where the same client rejects other servers too. So does a rejection
//! without a readable code of a chain in which nothing is wrong: `suspected`. Behind TLS 1.3 a 42 in clear by curl is
//! a date to come more often than a weak key (a name it checks elsewhere): `suspected`.
//!
//! The wire tells of clocks too. The first four bytes of a hello's random are the time where a stack is old enough, and an
//! HTTP answer is dated. A client whose own clock is off by more than a day, and by whose clock the chain has expired or
//! is yet to become valid: `inferred` where a third host's clock goes as the capture's, else `suspected`, as one of the
//! two is wrong. The same holds of a server that rejects a client's certificate with 42, 45, 46 or 49. Where the chain is in
//! order by the client's own clock, it is not the clock.
//!
//! The capture's clock may be wrong itself: then every certificate looks expired or to come. Where several hosts' clocks,
//! a certificate logged later (RFC 6962) or a verified OCSP answer made later contradict it, dates that are not wrong by both
//! are not judged; where one clock does, `suspected`.
//!
//! # Remedy
//!
//! Set the clocks by NTP (`timedatectl`, `chronyc tracking`); reissue certificates whose dates are
//! wrong; let new ones age an hour before use; keep public lifetimes within the limit of their date.
//!
//! # References
//!
//! RFC 5280 section 4.1.2.5; RFC 5246 section 7.4.1.2 (gmt_unix_time); RFC 9110 section 6.6.1 (Date); RFC 6960 section
//! 4.2.2.1 (producedAt); RFC 6962 section 3.2 (signed timestamps); CA/Browser Forum Baseline Requirements section 6.3.2 (lifetimes); RFC 5905
//! (NTP).

use super::{Cause, Certainty, Finding, Judgement, Party, Reason, signal};
use crate::base::{Packets, Seen};
use crate::evidence::clock::{self, Clocks, Own, Reading};
use crate::evidence::{Evidence, rejection};
use crate::tls::stack::Stack;
use signal::Signal;

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "not_yet_valid",
        remedy: "Wait until notBefore, or reissue with an earlier one, after checking the CA's clock.",
        steps: &["Compare notBefore with the time", "Check the clocks of CA and server", "Reissue if needed"],
    },
    Reason {
        word: "lifetime_too_long",
        remedy: "Reissue with a lifetime that the clients' policy allows.",
        steps: &["Look up the limit for the date of issue", "Reissue within it"],
    },
    Reason {
        word: "lifetime_inverted",
        remedy: "Reissue: the certificate ends before it begins.",
        steps: &["Repair the CA's profile", "Reissue and install"],
    },
    Reason {
        word: "client_clock",
        remedy: "Set the client's clock.",
        steps: &[
            "Compare the client's date with the certificate's",
            "Enable NTP on the client",
            "Check the battery of its clock",
        ],
    },
    Reason {
        word: "server_clock",
        remedy: "Set the clock of the server, which judges client certificates by it.",
        steps: &["Compare the server's date", "Enable NTP on the server"],
    },
    Reason {
        word: "backdated",
        remedy: "Reissue with a notBefore near the date of issue.",
        steps: &["Repair the CA's profile", "Reissue"],
    },
];

/// Judges.
pub fn judge(evidence: &Evidence) -> Judgement {
    // OpenSSL says 42 in clear behind TLS 1.3 of a date to come too.
    if let Some(at) = signal::bad_certificate_behind_tls13(evidence) {
        let meaning = "a certificate of the chain may begin later, or the client's clock be behind";
        let finding =
            signal::from_code(evidence, Certainty::Suspected, "not_yet_valid", Party::Server, (42, at), meaning);
        return Judgement::Found(finding);
    }
    if let Some(finding) = nothing_wrong(evidence) {
        return Judgement::Found(finding);
    }
    signal::by_defect(evidence, Cause::ValidityMisconfig, |code, at| alone(evidence, code, at))
}

/// A rejection without a readable code of a chain in which nothing is wrong at capture time: it is about what only the
/// client has, and of that its clock goes wrong the most; else its roots and its revocation lists.
fn nothing_wrong(evidence: &Evidence) -> Option<Finding> {
    let (Signal::Late(at) | Signal::Sealed(at)) = signal::read(evidence) else { return None };
    let wrong = evidence.defects.iter().any(|defect| !defect.fault.is_mild());
    let chain = evidence.chain.clear().filter(|chain| !chain.value.is_empty())?;
    // curl checks dates within the handshake; a staple or an answer may be at fault.
    let elsewhere = evidence.stack() == Some(Stack::Curl)
        || evidence.staple.is_some()
        || rejection::staple_missing(evidence)
        || !evidence.around.ocsp.is_empty();
    if wrong || elsewhere || evidence.sni().is_none() {
        return None;
    }
    let clocks = &evidence.around.clocks;
    let of_client = match clock::own(clocks.client.as_ref(), &chain.value, evidence.started) {
        Own::InOrder => return None,
        Own::Explains(seen) => Some(seen),
        Own::Unknown => None,
    };
    if clocks.contradiction().is_some() {
        return None;
    }
    let says = "nothing is wrong with the presented chain at capture time: it is about the client's clock, roots or lists";
    let certainty = of_client.map_or(Certainty::Suspected, |seen| how_sure(clocks, seen));
    let finding = Finding::new(certainty, "client_clock", Party::Client, signal::chain_at(evidence), says)
        .and(at, "the client rejects it");
    Some(match of_client {
        Some(seen) => beside(finding.and(&seen.at, seen.value.says(seen.when)), clocks),
        None => finding,
    })
}

/// A date alert to dates that are valid: somebody's clock.
fn alone(evidence: &Evidence, code: u8, at: &Packets) -> Option<Finding> {
    let about_client = signal::is_about_client(evidence);
    let (shown, defects) = if about_client {
        (evidence.client_chain.clear()?, &evidence.client_defects)
    } else {
        (evidence.chain.clear()?, &evidence.defects)
    };
    // GnuTLS denies access for whatever is wrong with a client's certificate.
    let dated = matches!(code, 42 | 45 | 46) || (about_client && code == 49);
    if !dated || super::faults::explained(defects, code) || (about_client && shown.value.is_empty()) {
        return None;
    }
    let clocks = &evidence.around.clocks;
    let (reason, party, reading) = if about_client {
        ("server_clock", Party::Server, &clocks.server)
    } else {
        ("client_clock", Party::Client, &clocks.client)
    };
    // The server's own clock is no contradiction to the capture's here.
    let contradicted = clocks.against.iter().any(|seen| !about_client || seen.value.host != evidence.server.addr);
    if contradicted {
        return None;
    }
    let date = |certainty| {
        let meaning = "the presented dates are valid at capture time";
        signal::from_code(evidence, certainty, reason, party, (code, at), meaning)
    };
    let own = match clock::own(reading.as_ref(), &shown.value, evidence.started) {
        Own::InOrder => return None,
        Own::Explains(seen) => {
            let finding = date(how_sure(clocks, seen)).and(&seen.at, seen.value.says(seen.when));
            let finding = finding.and(&shown.at, "the presented certificates are not valid at that time");
            Some(beside(finding, clocks))
        }
        Own::Unknown => None,
    };
    if about_client {
        return own.or_else(|| matches!(code, 42 | 45).then(|| date(Certainty::Suspected)));
    }
    match (code, evidence.around.same_failure_elsewhere.first()) {
        (42 | 45, Some(other)) => {
            let says = format!("the same client rejects {} at the same step", other.value);
            Some(own.unwrap_or_else(|| date(Certainty::Inferred)).and(&other.at, says)).map(|mut finding| {
                finding.certainty = Certainty::Inferred;
                finding
            })
        }
        _ if own.is_some() => own,
        (45, None) => Some(date(Certainty::Suspected)),
        (42, None) if evidence.sni().is_some() => Some(date(Certainty::Suspected)),
        _ => None,
    }
}

/// How sure a host's own clock makes it: that of the capture may be the wrong one unless a third goes as it does.
fn how_sure(clocks: &Clocks, seen: &Seen<Reading>) -> Certainty {
    if clocks.agrees.is_some() && !seen.value.may_count_from_start(seen.when) {
        Certainty::Inferred
    } else {
        Certainty::Suspected
    }
}

/// Adds whose clock goes as the capture's.
fn beside(finding: Finding, clocks: &Clocks) -> Finding {
    match &clocks.agrees {
        Some(third) => finding.and(&third.at, third.value.says(third.when)),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::super::chains_fixture::{Then, attempt, seen};
    use super::*;
    use crate::base::Side;
    use crate::evidence::Ending;
    use crate::tls::chain::Fault;

    fn found(evidence: &Evidence) -> Option<(&'static str, Certainty)> {
        judge(evidence).found().map(|finding| (finding.reason, finding.certainty))
    }

    #[test]
    fn a_certificate_of_tomorrow_is_found() {
        let evidence = attempt().with(&[Fault::NotYetValid]).alert(Side::Client, 45);
        assert_eq!(found(&evidence), Some(("not_yet_valid", Certainty::Proven)));
    }

    #[test]
    fn valid_dates_and_certificate_expired_are_the_clients_clock() {
        let mut evidence = attempt().alert(Side::Client, 45);
        assert_eq!(found(&evidence), Some(("client_clock", Certainty::Suspected)));
        evidence.around.same_failure_elsewhere.push(seen(evidence.server, 30));
        assert_eq!(found(&evidence), Some(("client_clock", Certainty::Inferred)));
    }

    use crate::base::{Addr, Span};
    use crate::evidence::clock::Witness;

    const YEAR: Span = Span::from_secs(365 * 86_400);

    fn reading(host: Addr, ahead: Span, by: Witness) -> Seen<Reading> {
        seen(Reading { host, ahead, by }, 3)
    }

    /// Certificates that are valid for two days around the capture.
    fn of_today() -> Vec<std::sync::Arc<crate::tls::cert::Certificate>> {
        let mut cert = (*crate::evidence::fixture::certificate("www.example.com", &[])).clone();
        let now = super::super::chains_fixture::NOW;
        (cert.not_before, cert.not_after) = (now - Span::DAY, now + Span::DAY);
        vec![std::sync::Arc::new(cert)]
    }

    /// A client whose clock is so far ahead, beside a third whose clock is right.
    fn told(ahead: Span) -> Evidence {
        let mut evidence = attempt();
        evidence.chain = crate::evidence::Chain::Clear(seen(of_today(), 6));
        let client = reading(evidence.client.addr, ahead, Witness::Hellos);
        evidence.around.clocks.client = Some(client);
        evidence.around.clocks.agrees = Some(reading(evidence.server.addr, Span(0), Witness::Hello));
        evidence
    }

    #[test]
    fn a_clients_own_clock_that_is_off_explains_what_it_rejects() {
        for code in [42, 45, 46] {
            let evidence = told(YEAR).alert(Side::Client, code);
            assert_eq!(found(&evidence), Some(("client_clock", Certainty::Inferred)), "{code}");
        }
        let Judgement::Found(finding) = judge(&told(YEAR).alert(Side::Client, 46)) else { panic!() };
        assert_eq!(finding.proofs.len(), 4, "the alert, the dates, its clock, another clock: {finding:?}");
    }

    #[test]
    fn the_capture_may_be_wrong_itself_where_no_third_clock_is_known() {
        let mut evidence = told(YEAR).alert(Side::Client, 45);
        evidence.around.clocks.agrees = None;
        assert_eq!(found(&evidence), Some(("client_clock", Certainty::Suspected)));
    }

    #[test]
    fn a_clock_that_may_count_from_the_start_of_the_machine_is_a_suspicion() {
        let since_start = Span(Span::DAY.0 - super::super::chains_fixture::NOW.0);
        let evidence = told(since_start).alert(Side::Client, 45);
        assert_eq!(found(&evidence), Some(("client_clock", Certainty::Suspected)));
    }

    #[test]
    fn absent_where_the_chain_is_in_order_by_the_clients_own_clock_too() {
        assert_eq!(judge(&told(Span::from_secs(1)).alert(Side::Client, 45)), Judgement::Absent);
        let sealed = Ending::SealedAlert { from: Side::Client, len: 26 };
        assert_eq!(judge(&told(Span::from_secs(1)).ends(sealed.clone())), Judgement::Absent);
        assert_eq!(found(&told(YEAR).ends(sealed)), Some(("client_clock", Certainty::Inferred)));
    }

    #[test]
    fn absent_where_the_leaf_is_at_fault_whatever_the_clients_clock() {
        let evidence = told(YEAR).with(&[Fault::SanMismatch]).alert(Side::Client, 46);
        assert_eq!(judge(&evidence), Judgement::Absent);
    }

    #[test]
    fn a_server_whose_clock_is_off_rejects_a_client_certificate_of_today() {
        let mut evidence = attempt().client_shows(1, &[]).alert(Side::Server, 45);
        evidence.client_chain = crate::evidence::Chain::Clear(seen(of_today(), 7));
        assert_eq!(found(&evidence), Some(("server_clock", Certainty::Suspected)));
        let own = reading(evidence.server.addr, YEAR, Witness::Date);
        evidence.around.clocks.server = Some(own.clone());
        evidence.around.clocks.against = vec![own];
        assert_eq!(found(&evidence), Some(("server_clock", Certainty::Suspected)), "or the capture's");
        evidence.around.clocks.against.clear();
        evidence.around.clocks.agrees = Some(reading(evidence.client.addr, Span(0), Witness::Hello));
        assert_eq!(found(&evidence), Some(("server_clock", Certainty::Inferred)));
        evidence.around.clocks.server = Some(reading(evidence.server.addr, Span(0), Witness::Date));
        assert_eq!(judge(&evidence), Judgement::Absent);
    }

    /// A certificate to come by the capture's clock, which so many others contradict.
    fn contradicted(by: usize) -> Evidence {
        let mut evidence = attempt().with(&[Fault::NotYetValid]).alert(Side::Client, 45);
        let other = Addr::v4([198, 51, 100, 7]);
        evidence.around.clocks.against = vec![reading(other, YEAR, Witness::Date); by];
        evidence
    }

    #[test]
    fn a_certificate_to_come_is_a_suspicion_where_another_clock_says_that_it_has() {
        assert_eq!(found(&contradicted(0)), Some(("not_yet_valid", Certainty::Proven)));
        assert_eq!(found(&contradicted(1)), Some(("not_yet_valid", Certainty::Suspected)));
    }

    #[test]
    fn blind_where_several_clocks_contradict_the_captures() {
        assert_eq!(judge(&contradicted(2)), Judgement::Blind(signal::CAPTURE_CLOCK));
        let mut expired = told(YEAR).with(&[Fault::LeafExpired]).alert(Side::Client, 45);
        let other = reading(Addr::v4([198, 51, 100, 7]), Span(-YEAR.0), Witness::Date);
        expired.around.clocks.against = vec![other; 2];
        assert_eq!(Cause::ExpiredCert.judge(&expired), Judgement::Blind(signal::CAPTURE_CLOCK));
        // Nor is a chain known to be valid that looks so.
        let valid = contradicted(2).with(&[]).alert(Side::Client, 45);
        assert_eq!(judge(&valid), Judgement::Blind(signal::CAPTURE_CLOCK));
    }

    #[test]
    fn absent_where_the_leaf_has_expired() {
        let evidence = attempt().with(&[Fault::LeafExpired]).alert(Side::Client, 45);
        assert_eq!(judge(&evidence), Judgement::Absent);
    }

    #[test]
    fn blind_behind_tls_13() {
        assert_eq!(judge(&attempt().sealed().alert(Side::Client, 46)), Judgement::Blind(signal::SEALED));
    }
}
