//! # Symptoms
//!
//! `certificate revoked`, `NET::ERR_CERT_REVOKED`, `SEC_ERROR_REVOKED_CERTIFICATE`,
//! `MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING`, `OCSP response has expired`; or handshakes that
//! stall for seconds and then fail.
//!
//! # On the wire
//!
//! Alert 44 (certificate_revoked), 45 or 48 of OpenSSL beside a CRL that is not current or could not be had, or 113 (bad_certificate_status_response); a stapled answer or one
//! over HTTP, on any port, that says revoked, unknown or tryLater, whose nextUpdate is past, which the issuer did not sign, or
//! which is about another certificate; a CRL that was fetched in clear and lists a presented certificate, or is not
//! current; a must-staple leaf without a staple, unless it is short-lived; an OCSP request that takes over 2 s, gets no OCSP response or none at all until the client rejects;
//! a responder that cannot be reached behind the certificate; or nothing at all for over 2 s and then the rejection of a
//! chain that is fine: `suspected`. curl asks for a staple only where it demands one.
//!
//! # Remedy
//!
//! Replace a revoked certificate and its key. Let the server refresh its staple, let it reach its
//! responder (port 80), and watch `openssl s_client -status`.
//!
//! # References
//!
//! RFC 6960 (OCSP), RFC 6066 section 8 (status_request), RFC 7633 (must-staple), RFC 5280 section 5.

use super::weigh::Hygiene;
use super::{Cause, Certainty, Finding, Judgement, Party, Reason, faults, signal};
use crate::base::{Packets, Seen, Span, Stamp};
use crate::evidence::around::{Method, Revoked, StatusExchange, StatusTrouble};
use crate::evidence::{Evidence, Outcome as EvidenceOutcome, rejection};
use crate::tls::cert::Certificate;
use crate::tls::ocsp::{Answer, Outcome, Response, Signer, Status, reason_word};
use crate::tls::stack::Stack;
use signal::Signal;
use std::sync::Arc;

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "revoked",
        remedy: "Replace the certificate and its key; find out why it was revoked.",
        steps: &["Make a new key", "Issue and install a new certificate", "Reload the server"],
    },
    Reason {
        word: "staple_missing",
        remedy: "Enable OCSP stapling, or reissue without must-staple.",
        steps: &[
            "Enable stapling",
            "Check that the server reaches the responder",
            "Or reissue without must-staple",
        ],
    },
    Reason {
        word: "staple_stale",
        remedy: "Let the server refresh its stapled answer.",
        steps: &[
            "Check the server's way to the responder",
            "Reload the server",
            "Look at openssl s_client -status",
        ],
    },
    Reason {
        word: "responder_down",
        remedy: "Restore the way to the OCSP responder.",
        steps: &["Check firewall and proxy on port 80", "Ask the CA", "Use stapling instead"],
    },
    Reason {
        word: "responder_slow",
        remedy: "Use stapling, so that clients need not ask the slow responder.",
        steps: &["Enable stapling", "Measure the responder", "Ask the CA"],
    },
    Reason {
        word: "try_later",
        remedy: "The responder is overloaded: use stapling and ask the CA.",
        steps: &["Enable stapling", "Ask the CA"],
    },
    Reason {
        word: "crl_stale",
        remedy: "Publish a current CRL, and let clients fetch it.",
        steps: &["Check nextUpdate of the CRL", "Repair its publication"],
    },
    Reason {
        word: "status_unknown",
        remedy: "The responder does not know the certificate: ask the CA.",
        steps: &["Check that serial and issuer are the CA's", "Ask the CA", "Reissue"],
    },
    Reason {
        word: "answer_untrusted",
        remedy: "The status is not signed by the CA or its delegate, or is about something else: repair the responder.",
        steps: &[
            "Check which key signs the answers",
            "Give the responder a current certificate for OCSPSigning",
            "Check for a proxy that answers instead",
        ],
    },
];

/// Judges.
pub fn judge(evidence: &Evidence) -> Judgement {
    let (code, at) = match signal::read(evidence) {
        Signal::Alert(code @ (42 | 44 | 46 | 113), at) => (Some(code), at),
        // OpenSSL's words for a list that is not current, and for one that could not be had.
        Signal::Alert(code @ (45 | 48), at)
            if list_is_wrong(evidence) && !faults::explained(&evidence.defects, code) =>
        {
            (Some(code), at)
        }
        Signal::Sealed(at) | Signal::Silent(at) | Signal::Late(at) => (None, at),
        Signal::ServerAlert(44, at) => {
            let meaning = "the client's certificate is revoked";
            let finding =
                signal::from_code(evidence, Certainty::Proven, "revoked", Party::Client, (44, at), meaning);
            return Judgement::Found(finding);
        }
        _ => return Judgement::Absent,
    };
    let named = matches!(code, Some(44 | 113));
    // curl verifies chains within the handshake; behind it, names and stapled answers.
    let late_curl = evidence.stack() == Some(Stack::Curl) && matches!(signal::read(evidence), Signal::Late(_));
    let silent = matches!(signal::read(evidence), Signal::Silent(_) | Signal::Late(_));
    // curl asks for a stapled answer only where it demands one, and judges it behind the handshake (`verifystatus` in
    // lib/vtls/openssl.c).
    let demanded = evidence.stack() == Some(Stack::Curl) && rejection::wants_staple(evidence);
    if demanded
        && evidence.staple.is_none()
        && let Signal::Late(at) = signal::read(evidence)
    {
        let (certainty, says) = match evidence.chain.clear() {
            Some(_) => (Certainty::Inferred, "the client demands a stapled OCSP answer, none came"),
            None => (Certainty::Suspected, "the client demands a stapled OCSP answer, which TLS 1.3 seals"),
        };
        let asked = evidence.hello.as_ref().map_or(at, |hello| &hello.at);
        let finding = Finding::new(certainty, "staple_missing", Party::Server, asked, says);
        return Judgement::Found(finding.and(at, "curl finishes the handshake and leaves without a request"));
    }
    // certificate_revoked is no word for a responder that says nothing.
    let fits = |reason: &str| {
        (code != Some(44) || !reason.starts_with("responder_")) && (!late_curl || evidence.staple.is_some())
    };
    if let Some((reason, shown, says)) = status(evidence, named).filter(|(reason, ..)| fits(reason)) {
        // Behind a sealed chain nobody can tell whose status the exchange was about.
        let sure = if evidence.chain.clear().is_some() { Certainty::Proven } else { Certainty::Inferred };
        let unreached = evidence.around.unreached.as_ref().is_some_and(|unreached| unreached.at == shown);
        // Told by an answer that was stapled elsewhere.
        let unsure = evidence.around.shown_before.as_ref().is_some_and(|before| {
            !before.is_sure() && before.staple.as_ref().is_some_and(|staple| staple.at == shown)
        });
        let certainty = match (named, faults::has_hard(&evidence.defects)) {
            // Most clients ask nobody: what another one learned is no reason of this one's.
            (false, _) if reason == "revoked" && evidence.staple.is_none() && !learned(evidence) => Certainty::Suspected,
            // Which HTTP server it was is not known; who leaves without a word may have been in no mood to wait.
            _ if unreached || (silent && !named) => Certainty::Suspected,
            (true, _) => sure,
            (false, true) => Certainty::Suspected,
            (false, false) if unsure => Certainty::Suspected,
            (false, false) => Certainty::Inferred,
        };
        let end = code.map_or("the client gives up".to_owned(), |code| signal::said("the client", code));
        return Judgement::Found(Finding::new(certainty, reason, Party::Server, &shown, says).and(at, end));
    }
    if let Some(waited) = stalled(evidence)
        && !named
        && !faults::has_hard(&evidence.defects)
    {
        let says = format!("the client thinks for {waited} behind the certificate, as it does while a responder is silent");
        let shown = signal::chain_at(evidence);
        let finding = Finding::new(Certainty::Suspected, "responder_down", Party::Server, shown, says);
        let end = code.map_or("the client gives up".to_owned(), |code| signal::said("the client", code));
        return Judgement::Found(finding.and(at, end));
    }
    if let (true, Some(code)) = (named, code) {
        let reason = if code == 44 { "revoked" } else { "status_unknown" };
        let clear = evidence.chain.clear().is_some();
        let certainty = if clear { Certainty::Proven } else { Certainty::Inferred };
        let meaning = "the certificate's revocation status";
        let finding = signal::from_code(evidence, certainty, reason, Party::Server, (code, at), meaning);
        return Judgement::Found(finding);
    }
    signal::by_defect(evidence, Cause::Revocation, |_, _| None)
}

/// How long the client took between the server's whole flight and its rejection, where that is longer than
/// verification takes and the leaf, if it is in clear, says whom to ask.
fn stalled(evidence: &Evidence) -> Option<Span> {
    let flight = rejection::flight(evidence)?;
    let leaf = evidence.chain.clear().and_then(|chain| chain.value.first());
    let asks = leaf.is_none_or(|leaf| !leaf.ocsp_urls.is_empty() && !is_short_lived(leaf));
    // Who leaves without a word may have lost patience.
    let rejected = matches!(signal::read(evidence), Signal::Alert(..) | Signal::Sealed(_));
    let waited = evidence.ending.when - flight;
    (rejected && asks && waited > StatusExchange::SLOW && evidence.tcp.repeats.server.is_none()).then_some(waited)
}

/// What is wrong with the status that the capture shows.
fn status(evidence: &Evidence, named: bool) -> Option<(&'static str, Packets, String)> {
    let chain = evidence.chain.clear().map_or(&[][..], |chain| &chain.value);
    let leaf = chain.first();
    let known = evidence.known_chain().and_then(|chain| chain.value.first());
    if let Some(staple) = &evidence.staple
        && let Some((reason, says)) = fault(&staple.value, leaf, evidence)
    {
        return Some((reason, staple.at.clone(), format!("the stapled OCSP answer {says}")));
    }
    if let Some(before) = &evidence.around.shown_before
        && let Some(staple) = &before.staple
        && let Some((reason, says)) = fault(&staple.value, before.chain.value.first(), evidence)
    {
        let says = format!("the OCSP answer stapled in another handshake {says}, and this flight has room for just it");
        return Some((reason, staple.at.clone(), says));
    }
    if let Some((reason, says)) = further_fault(evidence) {
        let at = evidence.staple.as_ref().map_or_else(|| signal::chain_at(evidence).clone(), |staple| staple.at.clone());
        return Some((reason, at, says));
    }
    if let Some(revoked) = &evidence.around.revoked
        && (named || learned(evidence) || !evidence.defects.iter().any(|defect| !defect.fault.is_mild()))
    {
        return Some(("revoked", revoked.at.clone(), said_of(&revoked.value)));
    }
    for exchange in &evidence.around.ocsp {
        let told = &exchange.value;
        let about = told.about(chain);
        // Of a sealed certificate, time alone tells.
        if !chain.is_empty() && about.is_none() {
            continue;
        }
        let cert = about.and_then(|place| chain.get(place));
        if let Some(found) = trouble(exchange, cert, evidence) {
            return Some(found);
        }
    }
    // Between the server's flight and the rejection, and the leaf says whom to ask.
    if let Some(unreached) = &evidence.around.unreached
        && rejection::flight(evidence).is_some_and(|flight| unreached.when >= flight)
        && leaf.is_none_or(|leaf| !leaf.ocsp_urls.is_empty() && !is_short_lived(leaf))
    {
        let says = format!("the client could not connect to {} behind the certificate, which names a responder", unreached.value);
        return Some(("responder_down", unreached.at.clone(), says));
    }
    if rejection::staple_missing(evidence) && known.is_none_or(|leaf| !is_short_lived(leaf)) {
        let says = "the leaf demands a stapled OCSP answer (RFC 7633), the client asked for one, none came";
        return Some(("staple_missing", signal::chain_at(evidence).clone(), says.to_owned()));
    }
    None
}

/// The client itself asked about this chain while it could have waited for the answer, or shortly before.
fn learned(evidence: &Evidence) -> bool {
    let chain = evidence.chain.clear().map_or(&[][..], |chain| &chain.value);
    evidence.around.ocsp.iter().any(|exchange| chain.is_empty() || exchange.value.about(chain).is_some())
}

/// What is wrong with an answer stapled for a certificate above the leaf (RFC 6961).
fn further_fault(evidence: &Evidence) -> Option<(&'static str, String)> {
    let chain = &evidence.chain.clear()?.value;
    evidence.further_staples.iter().find_map(|(place, response)| {
        let cert = chain.get(usize::from(*place))?;
        let (reason, says) = fault(response, Some(cert), evidence)?;
        Some((reason, format!("the OCSP answer stapled for {} {says}", cert.called())))
    })
}

/// The client fetched a list about this chain, and something is wrong with it.
fn list_is_wrong(evidence: &Evidence) -> bool {
    let Some(chain) = evidence.chain.clear() else { return false };
    evidence.around.ocsp.iter().any(|exchange| {
        let cert = exchange.value.about(&chain.value).and_then(|place| chain.value.get(place));
        exchange.value.method == Method::Crl
            && cert.is_some_and(|cert| trouble(exchange, Some(cert), evidence).is_some())
    })
}

/// What is wrong with an exchange that this client waited for.
fn trouble(
    exchange: &Seen<StatusExchange>,
    cert: Option<&Arc<Certificate>>,
    evidence: &Evidence,
) -> Option<(&'static str, Packets, String)> {
    let told = &exchange.value;
    let of_list = told.method == Method::Crl;
    let what = if of_list { "the CRL that the client fetched" } else { "the OCSP answer of the responder" };
    let told_of = |reason, says: &str| Some((reason, exchange.at.clone(), format!("{what} {says}")));
    if let Some(response) = &told.response
        && let Some((reason, says)) = fault(response, cert, evidence)
    {
        return told_of(reason, says);
    }
    if let Some(crl) = &told.crl {
        let issuer = cert.and_then(|cert| issuer_of(cert, evidence));
        if issuer.is_some_and(|issuer| crl.signed(issuer).fails()) {
            return told_of("answer_untrusted", "is not signed by the certificate's issuer");
        }
        if crl.next_update.is_some_and(|next| next < evidence.ending.when) {
            return told_of("crl_stale", "has a nextUpdate before the capture");
        }
        if crl.this_update > evidence.ending.when {
            return told_of("crl_stale", "is dated after the capture");
        }
    }
    if told.nonce_differs() {
        return told_of("answer_untrusted", "has another nonce than the request (RFC 9654)");
    }
    // Such certificates need no status (CA/Browser Forum BR 7.1.2.11.2): who is asked all the same decides nothing.
    if cert.is_some_and(|cert| is_short_lived(cert)) {
        return None;
    }
    match told.trouble()? {
        StatusTrouble::Unanswered => told_of("responder_down", "did not come"),
        StatusTrouble::HttpError => told_of("responder_down", "is an HTTP error"),
        StatusTrouble::Slow => told_of("responder_slow", "takes over two seconds"),
        _ if of_list => told_of("responder_down", "is no CRL"),
        _ => told_of("responder_down", "is no OCSP response"),
    }
}

fn said_of(revoked: &Revoked) -> String {
    let Revoked { certificate, called, by, at, reason, verified } = revoked;
    let which = if *certificate == 0 { "the leaf" } else { called.as_str() };
    let why = reason.map(|reason| format!(" ({})", reason_word(reason))).unwrap_or_default();
    let sure = if *verified { "" } else { "; its signature could not be verified" };
    format!("{by} in the capture says that {which} was revoked at {at}{why}{sure}")
}

/// The issuer's certificate: presented, or a root.
fn issuer_of<'a>(cert: &Certificate, evidence: &'a Evidence) -> Option<&'a Certificate> {
    let chain = evidence.chain.clear()?;
    let presented = chain.value.iter().find(|other| other.subject_der == cert.issuer_der);
    let root = evidence.around.issuer.as_ref().filter(|root| root.subject_der == cert.issuer_der);
    presented.or(root).map(AsRef::as_ref)
}

/// Exempt from revocation: at most ten days of validity, seven where issued from 2026-03-15 (CA/Browser Forum BR 1.6.1,
/// short-lived subscriber certificate).
fn is_short_lived(cert: &Certificate) -> bool {
    const FROM: Stamp = Stamp::from_secs(1_773_532_800);
    let days = if cert.not_before >= FROM { 7 } else { 10 };
    // Both ends count.
    let seconds = Span((cert.not_after - cert.not_before).0 + Span::from_secs(1).0);
    seconds <= Span::from_secs(days * 86_400)
}

fn fault(
    response: &Response,
    cert: Option<&Arc<Certificate>>,
    evidence: &Evidence,
) -> Option<(&'static str, &'static str)> {
    match response.outcome {
        Outcome::Successful => {}
        Outcome::TryLater => return Some(("try_later", "says tryLater")),
        Outcome::Unauthorized => return Some(("status_unknown", "says unauthorized")),
        Outcome::MalformedRequest => return Some(("responder_down", "says malformedRequest")),
        _ => return Some(("responder_down", "is an error of the responder")),
    }
    let now = evidence.ending.when;
    let between = evidence.around.clocks.between(now);
    if let Some(cert) = cert {
        let issuer = issuer_of(cert, evidence);
        let about = |answer: &&Answer| {
            answer.id.is_of(cert) && issuer.is_none_or(|issuer| answer.id.is_issued_by(issuer) != Some(false))
        };
        if !response.answers.iter().any(|answer| about(&answer)) {
            return Some(("answer_untrusted", "is about another certificate"));
        }
        if let Some(Signer::Untrusted(why)) = issuer.map(|issuer| response.signer(issuer, now)) {
            return Some(("answer_untrusted", why));
        }
        return response.answers.iter().filter(about).find_map(|answer| said(answer, between));
    }
    response.answers.iter().find_map(|answer| said(answer, between))
}

/// What is wrong with an answer, whenever it was between these moments.
fn said(answer: &Answer, (earliest, latest): (Stamp, Stamp)) -> Option<(&'static str, &'static str)> {
    match answer.status {
        Status::Revoked { .. } => Some(("revoked", "says revoked")),
        Status::Unknown => Some(("status_unknown", "says unknown")),
        Status::Good if answer.next_update.is_some_and(|next| next < earliest) => {
            Some(("staple_stale", "has a nextUpdate before the capture"))
        }
        Status::Good if answer.this_update > latest => Some(("staple_stale", "is dated after the capture")),
        Status::Good => None,
    }
}

/// What is wrong with the status of a chain that the client took all the same.
pub fn hygiene(evidence: &Evidence) -> Vec<Hygiene> {
    if evidence.outcome == EvidenceOutcome::Failed {
        return Vec::new();
    }
    // Whether a client asks for the status at all is the program's choice.
    let item = |reason, says| Hygiene { cause: Cause::Revocation, reason, says, client_rejects: None };
    let mut found = Vec::new();
    if let Some(revoked) = &evidence.around.revoked {
        found.push(item("revoked", said_of(&revoked.value)));
        return found;
    }
    let leaf = evidence.chain.clear().and_then(|chain| chain.value.first());
    if let Some(staple) = &evidence.staple
        && let Some((reason, says)) = fault(&staple.value, leaf, evidence)
    {
        found.push(item(reason, format!("the stapled OCSP answer {says}")));
    }
    if let Some((reason, says)) = further_fault(evidence) {
        found.push(item(reason, says));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::chains_fixture::{Then, attempt, seen};
    use super::*;
    use crate::base::{PacketNo, Side};

    fn found(evidence: &Evidence) -> Option<(&'static str, Certainty)> {
        judge(evidence).found().map(|finding| (finding.reason, finding.certainty))
    }

    #[test]
    fn certificate_revoked_has_one_reading() {
        assert_eq!(found(&attempt().alert(Side::Client, 44)), Some(("revoked", Certainty::Proven)));
        assert_eq!(
            found(&attempt().sealed().alert(Side::Client, 44)),
            Some(("revoked", Certainty::Inferred))
        );
    }

    #[test]
    fn a_staple_that_the_sealed_flight_has_room_for_tells_and_so_does_one_that_it_lacks() {
        use crate::evidence::around::{KnownFrom, ShownBefore};
        let sealed = crate::evidence::Ending::SealedAlert { from: Side::Client, len: 19 };
        let mut evidence = attempt().sealed().ends(sealed);
        let record = crate::tls::sealed::SealedRecord { content_type: 23, len: 900, at: PacketNo(6), when: evidence.started };
        let mut leaf = Certificate::parse(&[]);
        leaf.must_staple = true;
        leaf.not_after = leaf.not_before + Span::from_secs(90 * 86_400);
        let mut known = ShownBefore::of_size(seen(vec![Arc::new(leaf)], 2), record, KnownFrom::Server);
        evidence.around.shown_before = Some(known.clone());
        assert_eq!(found(&evidence), Some(("staple_missing", Certainty::Inferred)));
        // OCSPResponse { tryLater } (RFC 6960 section 4.2.1).
        let later = Response::read(&[0x30, 0x03, 0x0a, 0x01, 0x03]).unwrap();
        (known.stapled, known.staple) = (true, Some(Arc::new(seen(later, 2))));
        evidence.around.shown_before = Some(known.clone());
        assert_eq!(found(&evidence), Some(("try_later", Certainty::Inferred)));
        known.staple = None;
        evidence.around.shown_before = Some(known);
        assert_eq!(found(&evidence), None, "a good one");
    }

    #[test]
    fn a_staple_that_says_try_later_is_likely_to_blame() {
        let mut evidence = attempt().alert(Side::Client, 46);
        // OCSPResponse { tryLater } (RFC 6960 section 4.2.1).
        let later = Response::read(&[0x30, 0x03, 0x0a, 0x01, 0x03]).unwrap();
        evidence.staple = Some(seen(later, 6).into());
        assert_eq!(found(&evidence), Some(("try_later", Certainty::Inferred)));
    }

    #[test]
    fn a_responder_that_cannot_be_reached_is_a_suspicion_and_no_reading_of_revoked() {
        let mut evidence = attempt().sealed().alert(Side::Client, 46);
        evidence.sealing.finished.server = Some(seen((), 6));
        let silent = judge(&evidence);
        evidence.around.unreached = Some(seen(evidence.server, 7));
        assert_eq!(found(&evidence), Some(("responder_down", Certainty::Suspected)));
        assert_eq!(silent, Judgement::Blind(signal::SEALED), "without the attempt to reach one");
        let mut evidence = evidence.alert(Side::Client, 44);
        assert_eq!(found(&evidence), Some(("revoked", Certainty::Inferred)));
        evidence.chain = crate::evidence::Chain::Clear(seen(Vec::new(), 6));
        assert_eq!(found(&evidence), Some(("revoked", Certainty::Proven)));
    }

    fn exchange(method: Method, url: &str) -> StatusExchange {
        let evidence = attempt();
        StatusExchange {
            client: evidence.client,
            responder: evidence.server,
            method,
            host: String::new(),
            target: url.to_owned(),
            asked: Vec::new(),
            nonce: None,
            clock: None,
            status: Some(200),
            response: None,
            crl: None,
            cut: false,
            first_us: Some(10),
            took_us: Some(10),
            first: PacketNo(5),
            last: PacketNo(6),
            ended: Stamp(0),
            nth: 0,
        }
    }

    #[test]
    fn a_list_seen_that_names_the_leaf_makes_it_revoked() {
        let revoked = Revoked {
            certificate: 0,
            called: "CN=www.example.com".to_owned(),
            by: "a CRL",
            at: Stamp::from_secs(0),
            reason: Some(1),
            verified: true,
        };
        let mut evidence = attempt().alert(Side::Client, 46);
        evidence.chain = crate::evidence::Chain::Clear(seen(Vec::new(), 6));
        evidence.around.revoked = Some(seen(revoked.clone(), 9));
        let Judgement::Found(finding) = judge(&evidence) else { panic!() };
        // Another client fetched the list.
        assert_eq!((finding.reason, finding.certainty), ("revoked", Certainty::Suspected));
        assert!(finding.proofs.iter().any(|proof| proof.cite.packets().iter().any(|no| no.0 == 9)));
        assert_eq!(hygiene(&evidence), [], "of a failure");
        evidence.outcome = EvidenceOutcome::Completed;
        assert_eq!(hygiene(&evidence).len(), 1, "of what the client took all the same");
        evidence.around.revoked = None;
        assert_eq!(hygiene(&evidence), []);
    }

    #[test]
    fn what_is_no_answer_blames_the_responder_behind_a_sealed_chain_and_stays_unsure() {
        for (status, reason) in [(Some(503), "responder_down"), (None, "responder_down")] {
            let mut evidence = attempt().sealed().alert(Side::Client, 46);
            let told = StatusExchange { status, took_us: None, ..exchange(Method::OcspPost, "/") };
            evidence.around.ocsp = vec![seen(told, 7)];
            assert_eq!(found(&evidence), Some((reason, Certainty::Inferred)));
        }
    }

    #[test]
    fn another_nonce_than_asked_for_is_not_to_be_trusted() {
        let mut evidence = attempt().sealed().alert(Side::Client, 46);
        let mut told = exchange(Method::OcspPost, "/");
        let mut response = Response::read(&[0x30, 0x03, 0x0a, 0x01, 0x03]).unwrap();
        (response.outcome, response.nonce) = (Outcome::Successful, Some(vec![1]));
        (told.nonce, told.response) = (Some(vec![2]), Some(response));
        evidence.around.ocsp = vec![seen(told.clone(), 7)];
        assert_eq!(found(&evidence), Some(("answer_untrusted", Certainty::Inferred)));
        told.nonce = Some(vec![1]);
        evidence.around.ocsp = vec![seen(told, 7)];
        assert_eq!(judge(&evidence), Judgement::Blind(signal::SEALED), "with the same nonce");
    }

    #[test]
    fn an_answer_about_none_of_the_presented_certificates_decides_nothing() {
        let mut evidence = attempt().alert(Side::Client, 46);
        evidence.chain = crate::evidence::Chain::Clear(seen(vec![leaf_of(60)], 6));
        let told = StatusExchange { status: Some(503), ..exchange(Method::OcspPost, "/") };
        evidence.around.ocsp = vec![seen(told, 7)];
        assert_eq!(judge(&evidence), Judgement::Absent);
    }

    fn leaf_of(days: i64) -> Arc<Certificate> {
        let key = crate::tls::cert::forge::Key::new();
        let forged = crate::tls::cert::forge::Forge::leaf("example.com", "Issuer").sign(&key, &key);
        let mut leaf = forged.as_ref().clone();
        leaf.not_before = Stamp::from_secs(1_800_000_000);
        leaf.not_after = Stamp::from_secs(1_800_000_000 + days * 86_400 - 1);
        Arc::new(leaf)
    }

    #[test]
    fn short_lived_certificates_need_no_status() {
        assert!(is_short_lived(&leaf_of(7)));
        assert!(!is_short_lived(&leaf_of(8)), "issued after 2026-03-15");
        let mut early = leaf_of(10).as_ref().clone();
        let by = Span::from_secs(200_000_000);
        (early.not_before, early.not_after) =
            (Stamp(early.not_before.0 - by.0), Stamp(early.not_after.0 - by.0));
        assert!(is_short_lived(&early));
    }

    #[test]
    fn absent_without_any_sign_of_a_status() {
        assert_eq!(judge(&attempt().alert(Side::Client, 46)), Judgement::Absent);
    }

    #[test]
    fn blind_behind_tls_13() {
        assert_eq!(judge(&attempt().sealed().alert(Side::Client, 46)), Judgement::Blind(signal::SEALED));
    }
}
