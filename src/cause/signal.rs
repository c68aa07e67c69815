//! Who rejected a handshake, at which step, and what that says of certificates.

use super::faults::{blamed, blamed_by, placed, placed_of_client};
use super::stack::Who;
use super::{Cause, Certainty, Finding, Judgement, Party};
use crate::base::{PacketNo, Packets, Side, Span};
use crate::evidence::around::ShownBefore;
use crate::evidence::clock::Contradiction;
use crate::evidence::{Chain, Ending, Evidence, Transport, rejection};
use crate::tls::cert::Certificate;
use crate::tls::chain::{Defect, Fault};
use crate::tls::codes::AlertDescription;
use crate::tls::sealed::Part;
use crate::tls::stack::Stack;
use std::sync::Arc;

/// Why no defect can be seen behind TLS 1.3.
pub const SEALED: &str = "TLS 1.3 seals the certificate";
/// Why a client's certificate cannot be seen behind TLS 1.3.
pub const SEALED_CLIENT: &str = "TLS 1.3 seals the client's certificate and the server's alert";
/// Why a certificate that the capture cut cannot be judged.
pub const CUT: &str = "the capture lacks a part of the certificate message";

/// Why dates cannot be judged.
pub const CAPTURE_CLOCK: &str = "other clocks contradict the capture's: which dates were valid is not known";

/// What a failed handshake shows of a certificate being rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal<'a> {
    /// The client sent an alert in clear behind the server's certificate.
    Alert(u8, &'a Packets),
    /// The client sent a sealed alert there.
    Sealed(&'a Packets),
    /// The client closed without a word behind the server's whole flight.
    Silent(&'a Packets),
    /// The client closed right behind both Finished, without data.
    Late(&'a Packets),
    /// The server sent an alert in clear behind the client's certificate.
    ServerAlert(u8, &'a Packets),
    /// The server sent a sealed alert behind the client's Finished.
    ServerSealed(&'a Packets),
    /// The server closed without a word behind the client's certificate and Finished.
    ServerSilent(&'a Packets),
    /// No rejection of a certificate.
    None,
}

/// Reads the signal.
pub fn read(evidence: &Evidence) -> Signal<'_> {
    let at = &evidence.ending.at;
    let resumed = evidence.server_hello.as_ref().is_some_and(|hello| hello.value.psk);
    let certificate_sent = evidence.server_hello.is_some() && evidence.chain != Chain::Unsent && !resumed;
    let finished = &evidence.sealing.finished;
    let behind_client = evidence.client_key_exchange.is_some() || evidence.client_chain != Chain::Unsent;
    match &evidence.ending.value {
        Ending::Alert { from: Side::Client, alert } if certificate_sent => {
            Signal::Alert(alert.description.0, at)
        }
        Ending::Alert { from: Side::Server, alert }
            if alert.description == AlertDescription(116)
                || (evidence.certificate_request.is_some() && behind_client) =>
        {
            Signal::ServerAlert(alert.description.0, at)
        }
        Ending::SealedAlert { from: Side::Client, .. } if certificate_sent => Signal::Sealed(at),
        Ending::SealedAlert { from: Side::Server, .. } if finished.client.is_some() => {
            Signal::ServerSealed(at)
        }
        Ending::Fin { from: Side::Server } | Ending::Reset { from: Side::Server }
            if rejection::left_at_certificate(evidence) =>
        {
            Signal::ServerSilent(at)
        }
        // Failed behind both Finished: the client said goodbye, whoever closed TCP first.
        Ending::Fin { from: Side::Server } | Ending::Reset { from: Side::Server }
            if certificate_sent && finished.client.is_some() && finished.server.is_some() =>
        {
            Signal::Late(at)
        }
        Ending::Fin { from: Side::Client } | Ending::Reset { from: Side::Client } if certificate_sent => {
            let forged = evidence
                .tcp
                .resets
                .iter()
                .any(|reset| reset.value.from == Side::Client && !reset.value.doubts.is_empty());
            if finished.client.is_some() && finished.server.is_some() {
                Signal::Late(at)
            } else if forged || !evidence.tcp.icmp.is_empty() {
                Signal::None
            } else {
                Signal::Silent(at)
            }
        }
        _ => Signal::None,
    }
}

/// bad_certificate in clear behind TLS 1.3: by OpenSSL, of the stacks in use the only one that does not seal it.
/// It means a wrong name, a date to come, or a key or hash that is weak (`ssl_x509err2alert` in
/// ssl/statem/statem_lib.c). Not where the key is known to be short.
pub fn bad_certificate_behind_tls13(evidence: &Evidence) -> Option<&Packets> {
    match read(evidence) {
        Signal::Alert(42, at)
            if matches!(evidence.chain, Chain::Sealed(_))
                // Over QUIC every stack closes in packets that everyone can read, until the client's own are sealed.
                && evidence.transport == Transport::Tcp
                && evidence.known_chain().is_none()
                && short_rsa(evidence).is_none() =>
        {
            Some(at)
        }
        _ => None,
    }
}

/// Signatures of RSA with 768 and 1024 bits; ECDSA and EdDSA make none of this length.
const SHORT_RSA: [usize; 2] = [96, 128];

/// The record of a CertificateVerify that only an RSA key of 1024 bits or less can have made, and the key's bits.
pub fn short_rsa(evidence: &Evidence) -> Option<(PacketNo, usize)> {
    let reading = evidence.sealed_reading()?;
    let len = reading.signature.filter(|len| SHORT_RSA.contains(len))?;
    let verify = reading.parts.server.iter().find(|item| item.part == Part::CertificateVerify)?;
    Some((verify.at, 8 * len))
}

/// Codes by which a client rejects a certificate: 42 to 46, 48, 51, 113, and rarely 40, 47, 50, 80.
pub fn rejects(code: u8) -> bool {
    matches!(code, 40 | 42..=48 | 50 | 51 | 80 | 113)
}

/// `the client rejects with certificate_expired (45)`.
pub fn said(who: &str, code: u8) -> String {
    format!("{who} rejects with {}", AlertDescription(code))
}

/// The judgement of `cause` as far as defects of a chain tell, and what stands where they do not:
/// `alone(code)` gives the finding for a code that no defect explains.
pub fn by_defect(
    evidence: &Evidence,
    cause: Cause,
    alone: impl Fn(u8, &Packets) -> Option<Finding>,
) -> Judgement {
    let clear = evidence.chain.clear().is_some();
    let blind = match evidence.chain {
        Chain::Cut(_) => CUT,
        _ => SEALED,
    };
    match read(evidence) {
        Signal::None => Judgement::Absent,
        Signal::Alert(code, _) if !rejects(code) => Judgement::Absent,
        Signal::Alert(code, at) => {
            if let Some((defect, certainty)) =
                blamed_by(Who::is_client_of(evidence), &evidence.defects, Some(code), cause)
            {
                // A code for everything may as well be about the revocation status that the client asked for.
                let status = !evidence.around.ocsp.is_empty() || evidence.around.unreached.is_some();
                let doubt = !clear
                    || (defect.fault == Fault::NotYetValid && far_ahead(evidence))
                    || (matches!(code, 42 | 46) && status);
                let certainty = if doubt { certainty.min(Certainty::Inferred) } else { certainty };
                return of_server(evidence, defect, certainty, at, &said("the client", code));
            }
            if let Some(finding) = alone(code, at) {
                return Judgement::Found(finding);
            }
            if clear && is_of_dates(cause, code) && evidence.around.clocks.contradiction().is_some() {
                return Judgement::Blind(CAPTURE_CLOCK);
            }
            if !clear && matches!(code, 42 | 46) { Judgement::Blind(blind) } else { Judgement::Absent }
        }
        Signal::Sealed(at) => {
            without_code(evidence, cause, Certainty::Inferred, at, "the client sends a sealed alert", blind)
        }
        Signal::Silent(at) => {
            let says = "the client closes without a word behind the server's whole flight";
            without_code(evidence, cause, Certainty::Suspected, at, says, blind)
        }
        Signal::Late(at) => {
            // Clients that verify chains during the handshake check the name behind it.
            let misnamed =
                blamed_by(Who::is_client_of(evidence), &evidence.defects, None, Cause::NameMismatch)
                    .is_some();
            let name_only = match evidence.stack() {
                Some(Stack::Curl) => !rejection::wants_staple(evidence),
                Some(stack) if stack.verifies_late() => false,
                _ => misnamed,
            };
            if name_only && cause != Cause::NameMismatch {
                return Judgement::Absent;
            }
            let says = "the client closes at once behind both Finished, without data";
            without_code(evidence, cause, Certainty::Suspected, at, says, blind)
        }
        Signal::ServerAlert(code, at) => match blamed(&evidence.client_defects, Some(generic(code)), cause) {
            Some((defect, certainty)) => {
                of_client(evidence, defect, certainty, at, &said("the server", code))
            }
            None => alone(code, at).map_or(Judgement::Absent, Judgement::Found),
        },
        Signal::ServerSilent(at) => match blamed(&evidence.client_defects, None, cause) {
            Some((defect, _)) if !defect.fault.is_mild() => {
                let says = "the server closes without a word behind the client's certificate";
                of_client(evidence, defect, Certainty::Suspected, at, says)
            }
            _ if evidence.client_chain.clear().is_none() && may_be_of_a_client(cause) => {
                Judgement::Blind(SEALED_CLIENT)
            }
            _ => Judgement::Absent,
        },
        Signal::ServerSealed(at) if may_be_of_a_client(cause) => sealed_of_client(evidence, cause, at),
        Signal::ServerSealed(_) => Judgement::Absent,
    }
}

/// GnuTLS denies access for whatever is wrong with a client's certificate; then 49 reads as 46.
const fn generic(code: u8) -> u8 {
    if code == 49 { 46 } else { code }
}

/// Causes that a server may have to reject a client's certificate.
fn may_be_of_a_client(cause: Cause) -> bool {
    !matches!(cause, Cause::NameMismatch)
}

/// A server's sealed alert, and what is known of the client's certificates.
fn sealed_of_client(evidence: &Evidence, cause: Cause, at: &Packets) -> Judgement {
    let known = evidence.around.client_shown_before.is_some();
    match blamed(&evidence.client_defects, None, cause) {
        Some((defect, certainty)) if known && !defect.fault.is_mild() => {
            // The server may know a root that this program does not.
            let private = defect.fault == Fault::UnknownRoot;
            let most = if private { Certainty::Suspected } else { Certainty::Inferred };
            let says = "the server sends a sealed alert behind the client's Finished";
            of_client(evidence, defect, certainty.min(most), at, says)
        }
        _ => Judgement::Blind(SEALED_CLIENT),
    }
}

fn without_code(
    evidence: &Evidence,
    cause: Cause,
    most: Certainty,
    at: &Packets,
    says: &str,
    blind: &'static str,
) -> Judgement {
    match blamed_by(Who::is_client_of(evidence), &evidence.defects, None, cause) {
        Some((defect, certainty)) if !defect.fault.is_mild() => {
            of_server(evidence, defect, certainty.min(most), at, says)
        }
        _ if evidence.chain.clear().is_some() => Judgement::Absent,
        // A renewed certificate has the names, uses and constraints of the one before.
        _ if matches!(cause, Cause::NameMismatch | Cause::MissingExtension) && known_for_sure(evidence) => {
            Judgement::Absent
        }
        _ => Judgement::Blind(blind),
    }
}

/// The certificates behind the seal are known, as far as their size tells.
fn known_for_sure(evidence: &Evidence) -> bool {
    evidence.around.shown_before.as_ref().is_some_and(ShownBefore::is_sure)
}

/// The packets of the server's certificates, in this handshake or an earlier one, or of the end where there are none.
pub fn chain_at(evidence: &Evidence) -> &Packets {
    match &evidence.chain {
        Chain::Clear(chain) => &chain.at,
        Chain::Sealed(at) => evidence.known_chain().map_or(at, |chain| &chain.at),
        Chain::Cut(at) => at,
        Chain::Unsent => &evidence.ending.at,
    }
}

fn of_server(
    evidence: &Evidence,
    defect: &Defect,
    certainty: Certainty,
    at: &Packets,
    says: &str,
) -> Judgement {
    let (_, reason) = placed(defect.fault);
    let unsure = evidence.around.shown_before.as_ref().is_some_and(|before| !before.is_sure());
    let certainty = if unsure { certainty.min(Certainty::Suspected) } else { certainty };
    let damaged = damaged_on_the_way(evidence);
    let certainty = if damaged { certainty.min(Certainty::Suspected) } else { certainty };
    let finding = Finding::new(certainty, reason, Party::Server, chain_at(evidence), defect.says.clone());
    let finding = match &evidence.around.shown_before {
        Some(before) => finding.and(before.record.at, before.says()),
        None => finding,
    };
    let chain = evidence.known_chain().map_or(&[][..], |chain| &chain.value);
    let finding = finding.and(at, says);
    let finding = if damaged {
        finding.and(at, "segments came again with other bytes: the alert may be about a record damaged on the way (bad_record_mac)")
    } else {
        finding
    };
    on_both_clocks(evidence, defect, chain, finding)
}

/// Bytes of the connection came twice and differed, and what the alert says is sealed: a record that was damaged on the way
/// is answered by one of the same size (RFC 9846 section 5.2).
fn damaged_on_the_way(evidence: &Evidence) -> bool {
    evidence.lost.overlap_conflicts > 0 && matches!(evidence.ending.value, Ending::SealedAlert { .. })
}

fn of_client(
    evidence: &Evidence,
    defect: &Defect,
    certainty: Certainty,
    at: &Packets,
    says: &str,
) -> Judgement {
    let (_, reason) = placed_of_client(defect.fault);
    let known = evidence.known_client_chain();
    let shown = known.map_or(at, |chain| &chain.at);
    let finding = Finding::new(certainty, reason, Party::Client, shown, defect.says.clone());
    let finding = match &evidence.around.client_shown_before {
        Some(before) if evidence.client_chain.clear().is_none() => {
            finding.and(before.record.at, before.says())
        }
        _ => finding,
    };
    let finding = finding.and(at, says);
    let chain = known.map_or(&[][..], |chain| &chain.value);
    on_both_clocks(evidence, defect, chain, finding)
}

/// A date that is wrong by the capture's clock alone, where other clocks contradict that, shows nothing, or little.
fn on_both_clocks(
    evidence: &Evidence,
    defect: &Defect,
    chain: &[Arc<Certificate>],
    mut finding: Finding,
) -> Judgement {
    let clocks = &evidence.around.clocks;
    match clocks.doubt(defect, chain, evidence.started) {
        None => {}
        Some(Contradiction::One) => {
            finding.certainty = Certainty::Suspected;
            for seen in &clocks.against {
                finding = finding.and(&seen.at, seen.value.says(seen.when));
            }
        }
        Some(Contradiction::Firm) => return Judgement::Blind(CAPTURE_CLOCK),
    }
    Judgement::Found(finding)
}

/// The cause is about dates, and the code may be.
fn is_of_dates(cause: Cause, code: u8) -> bool {
    matches!((cause, code), (Cause::ExpiredCert | Cause::ValidityMisconfig, 42 | 45 | 46))
}

/// A finding from a code alone: what the chain shows, then the alert.
pub fn from_code(
    evidence: &Evidence,
    certainty: Certainty,
    reason: &'static str,
    party: Party,
    (code, at): (u8, &Packets),
    meaning: &str,
) -> Finding {
    let who = match evidence.ending.value {
        Ending::Alert { from: Side::Server, .. } => "the server",
        _ => "the client",
    };
    Finding::new(certainty, reason, party, at, format!("{}: {meaning}", said(who, code)))
}

/// The server ended it, and it is about the client's certificate.
pub fn is_about_client(evidence: &Evidence) -> bool {
    matches!(read(evidence), Signal::ServerAlert(..) | Signal::ServerSealed(_) | Signal::ServerSilent(_))
}

/// The certificate begins so long after the capture that the capturing host's clock may be what is wrong.
fn far_ahead(evidence: &Evidence) -> bool {
    let begins = evidence.chain.clear().and_then(|chain| chain.value.first()).map(|leaf| leaf.not_before);
    begins.is_some_and(|begins| begins - evidence.started > Span::from_secs(30 * 86_400))
}
