//! # Symptoms
//!
//! `decrypt error`, `bad signature`, `certificate signature failure`, `ee key too small`, `ca md too
//! weak`, `asn1 encoding routines`.
//!
//! # On the wire
//!
//! In TLS 1.2 the signature over ServerKeyExchange is checked with the leaf's key: where it fails and
//! the client rejects, `proven` (`inferred` where it sends another code, as Go's 10, or leaves). So is a client's
//! CertificateVerify, which covers all messages before it. Where another certificate that was shown has the key that
//! signed, or a key of another kind or size did, it is `key_mismatch`. An RSA signature whose padding is whole was made
//! by that very key, over other contents. Otherwise a certificate's signature does not verify by its issuer's
//! key and the client sends 51 (decrypt_error), or the key is weak (42). nginx and haproxy load a
//! damaged private key and sign with it. With keys the same is seen of TLS 1.3, and a Finished that does not fit the messages
//! before it is `proven` where the other side says decrypt_error (51). bad_record_mac (20) is none of this. Behind TLS 1.3 the size of CertificateVerify
//! shows an RSA key of 1024 bits or less: `inferred` with OpenSSL's 42 in clear, `suspected` with a sealed alert.
//!
//! # Remedy
//!
//! Compare key and certificate (`openssl pkey -pubout` against `openssl x509 -pubkey`), check the key
//! (`openssl pkey -check`), restore both from one issue.
//!
//! # References
//!
//! RFC 5246 sections 7.4.3 and 7.4.8, RFC 8017 section 9, RFC 8422 section 5.4, RFC 9846 sections 4.4.3 and 4.4.4; NIST SP 800-57 part
//! 1 (key sizes).

use super::{Cause, Certainty, Finding, Judgement, Party, Reason, signal};
use crate::base::{Packets, Side};
use crate::evidence::signatures::Maker;
use crate::evidence::{Ending, Evidence};
use crate::tls::cert::{Certificate, KeyKind};
use crate::tls::codes::AlertDescription;
use crate::tls::signature::Verdict;
use signal::Signal;
use std::sync::Arc;

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "bad_certificate_signature",
        remedy: "Reinstall the certificate from the CA: its bytes or its issuer are wrong.",
        steps: &["Verify with openssl verify", "Fetch certificate and issuer again", "Install and reload"],
    },
    Reason {
        word: "bad_handshake_signature",
        remedy: "Restore the private key: what it signs does not verify by the certificate.",
        steps: &["Run openssl pkey -check", "Restore or renew key and certificate", "Reload the server"],
    },
    Reason {
        word: "key_mismatch",
        remedy: "Install the key that belongs to the certificate.",
        steps: &[
            "Compare the public keys of both files",
            "Install the pair of one issue",
            "Reload the server",
        ],
    },
    Reason {
        word: "weak_key",
        remedy: "Reissue with RSA of 2048 bits or P-256, signed over SHA-256.",
        steps: &["Make a new key", "Reissue and install"],
    },
    Reason {
        word: "decode_error",
        remedy: "Reinstall the certificate: its encoding is damaged.",
        steps: &["Read it with openssl x509 -text", "Fetch it again from the CA"],
    },
    Reason {
        word: "bad_finished",
        remedy: "Look for a middlebox or a library fault: the two sides computed different keys.",
        steps: &["Repeat without middleboxes", "Update both TLS libraries"],
    },
];

/// Judges.
pub fn judge(evidence: &Evidence) -> Judgement {
    if evidence.key_exchange_verdict.is_some_and(|verdict| verdict.fails())
        && let Some(finding) = bad_key_exchange(evidence)
    {
        return Judgement::Found(finding);
    }
    if evidence.decryption.server_verify_verdict.is_some_and(|verdict| verdict.fails())
        && let Some(finding) = bad_server_verify(evidence)
    {
        return Judgement::Found(finding);
    }
    if let Some(finding) = bad_finished(evidence) {
        return Judgement::Found(finding);
    }
    if evidence.certificate_verify_verdict.is_some_and(|verdict| verdict.fails())
        && let Some(finding) = bad_certificate_verify(evidence)
    {
        return Judgement::Found(finding);
    }
    if let Some(finding) = signed_amiss(evidence).or_else(|| weak_key(evidence)) {
        return Judgement::Found(finding);
    }
    signal::by_defect(evidence, Cause::DamagedKey, |code, at| alone(evidence, code, at))
}

/// TLS 1.3 seals the certificate, but not the size of what its key signs.
fn weak_key(evidence: &Evidence) -> Option<Finding> {
    if let Some(at) = signal::bad_certificate_behind_tls13(evidence) {
        let meaning = "a key or hash of the chain may be too weak for it";
        return Some(signal::from_code(evidence, Certainty::Suspected, "weak_key", Party::Server, (42, at), meaning));
    }
    let (record, bits) = signal::short_rsa(evidence)?;
    let (certainty, at, says) = match signal::read(evidence) {
        Signal::Alert(42, at) => (Certainty::Inferred, at, signal::said("the client", 42)),
        // Some stacks take 1024 bits: then it is something else.
        Signal::Sealed(at) | Signal::Silent(at) | Signal::Late(at) => {
            (Certainty::Suspected, at, "the client gives up".to_owned())
        }
        _ => return None,
    };
    let shown = format!("a sealed record of the size of a CertificateVerify by RSA with {bits} bits");
    Some(Finding::new(certainty, "weak_key", Party::Server, record, shown).and(at, says))
}

/// The same server signed another handshake with a key that is not the leaf's, and the sealed certificate has the size of
/// that leaf.
fn signed_amiss(evidence: &Evidence) -> Option<Finding> {
    let before = evidence.around.shown_before.as_ref()?;
    let misfit = before.misfit.as_ref()?;
    let (Signal::Sealed(at) | Signal::Silent(at)) = signal::read(evidence) else { return None };
    let certainty = if before.is_sure() { Certainty::Inferred } else { Certainty::Suspected };
    let says = "the same server signed another handshake, and the signature does not verify by the leaf's key";
    let finding = Finding::new(certainty, "bad_handshake_signature", Party::Server, misfit, says);
    Some(finding.and(before.record.at, before.says()).and(at, "the client gives up"))
}

/// ServerKeyExchange of TLS 1.2 and older.
fn bad_key_exchange(evidence: &Evidence) -> Option<Finding> {
    let place = &evidence.key_exchange.as_ref()?.at;
    bad_server_signature(evidence, place, SERVERS, &evidence.maker_of_key_exchange())
}

/// The server's CertificateVerify of TLS 1.3, opened by keys.
fn bad_server_verify(evidence: &Evidence) -> Option<Finding> {
    let place = &evidence.decryption.server_verify.as_ref()?.at;
    bad_server_signature(evidence, place, OPENED, &evidence.maker_of_server_verify())
}

/// A Finished that keys opened is not the one that belongs to the messages before it, and the other side says so.
fn bad_finished(evidence: &Evidence) -> Option<Finding> {
    let Ending::Alert { from, alert } = &evidence.ending.value else { return None };
    let other = from.other();
    let finished = evidence.wrong_finished(other)?;
    if alert.description != AlertDescription::DECRYPT_ERROR {
        return None;
    }
    let party = if other == Side::Client { Party::Client } else { Party::Server };
    let says = format!("the {}'s Finished does not fit the messages before it", other.word());
    let said = signal::said(&format!("the {}", from.word()), alert.description.0);
    let finding = Finding::new(Certainty::Proven, "bad_finished", party, &finished.at, says);
    Some(finding.and(&evidence.ending.at, said))
}

fn bad_server_signature(
    evidence: &Evidence,
    place: &Packets,
    words: (&str, &str),
    maker: &Maker<'_>,
) -> Option<Finding> {
    let (certainty, at, says) = match signal::read(evidence) {
        // A code of its own for another defect that is there: that one was checked first.
        Signal::Alert(code @ (43..=45 | 48), _) if super::faults::explained(&evidence.defects, code) => {
            return None;
        }
        Signal::Alert(code, at) if code == 20 || signal::rejects(code) => {
            (Certainty::Proven, at, signal::said("the client", code))
        }
        // Go says unexpected_message of it in TLS 1.2 (`doFullHandshake` in crypto/tls/handshake_client.go).
        Signal::Alert(code, at) => (Certainty::Inferred, at, signal::said("the client", code)),
        Signal::Sealed(at) | Signal::Silent(at) => {
            (Certainty::Inferred, at, "the client gives up".to_owned())
        }
        _ => return None,
    };
    let leaf = evidence.chain.clear().and_then(|chain| chain.value.first());
    let finding = bad(certainty, Party::Server, place, words, leaf, maker);
    Some(finding.and(at, says))
}

/// What the client signed does not verify by the key of its certificate.
fn bad_certificate_verify(evidence: &Evidence) -> Option<Finding> {
    let (certainty, at, says) = match signal::read(evidence) {
        // Chains are checked before signatures.
        Signal::ServerAlert(code @ (43..=45 | 48), _)
            if super::faults::explained(&evidence.client_defects, code) =>
        {
            return None;
        }
        Signal::ServerAlert(code, at) if code == 20 || signal::rejects(code) => {
            (Certainty::Proven, at, signal::said("the server", code))
        }
        Signal::ServerAlert(code, at) => (Certainty::Inferred, at, signal::said("the server", code)),
        Signal::ServerSilent(at) => (Certainty::Inferred, at, "the server gives up".to_owned()),
        _ => return None,
    };
    let place = &evidence.certificate_verify.as_ref()?.at;
    let leaf = evidence.client_chain.clear().and_then(|chain| chain.value.first());
    let maker = evidence.maker_of_certificate_verify();
    let finding = bad(certainty, Party::Client, place, CLIENTS, leaf, &maker);
    Some(finding.and(at, says))
}

/// What the server signs, and by whose key.
const SERVERS: (&str, &str) = ("the signature over ServerKeyExchange", "the leaf's key");
/// What the server signs in TLS 1.3, and by whose key.
const OPENED: (&str, &str) =
    ("the server's CertificateVerify, over all messages before it,", "the leaf's key");
/// What the client signs, and by whose key.
const CLIENTS: (&str, &str) =
    ("the client's CertificateVerify, over all messages before it,", "the key of its certificate");

/// A signature that does not verify, and what is seen of who made it.
fn bad(
    certainty: Certainty,
    party: Party,
    place: &Packets,
    (what, whose): (&str, &str),
    leaf: Option<&Arc<Certificate>>,
    maker: &Maker<'_>,
) -> Finding {
    let kind = leaf.map(|leaf| &leaf.key.kind);
    let size = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
    let fails = format!("{what} does not verify by {whose}");
    let (reason, says) = match (maker, kind) {
        (Maker::Another(cert, _), _) => {
            ("key_mismatch", format!("{fails}{size}, but by that of another certificate, {}", cert.called()))
        }
        (Maker::AnotherKind, _) => {
            ("key_mismatch", format!("{fails}{size}: a key of another kind or size made it"))
        }
        (Maker::Same, _) => {
            let over = "that key made it, but over other contents, so a message was altered";
            ("bad_handshake_signature", format!("{fails}{size}: {over}"))
        }
        (Maker::Unknown, Some(KeyKind::Rsa(_))) => {
            let opens = "what it opens to is no padding, so the private key is damaged or another";
            ("bad_handshake_signature", format!("{fails}{size}: {opens}"))
        }
        (Maker::Unknown, _) => ("bad_handshake_signature", format!("{fails}{size}")),
    };
    let finding = Finding::new(certainty, reason, party, place, says);
    match maker {
        Maker::Another(cert, at) if *at != place => {
            finding.and(*at, format!("the certificate {} was shown here", cert.called()))
        }
        _ => finding,
    }
}

/// Alert 51 that no visible signature explains.
fn alone(evidence: &Evidence, code: u8, at: &Packets) -> Option<Finding> {
    if code != 51 {
        return None;
    }
    let finding = |certainty, reason, party| {
        signal::from_code(
            evidence,
            certainty,
            reason,
            party,
            (code, at),
            "a signature or Finished does not verify",
        )
    };
    if signal::is_about_client(evidence) {
        // What verifies here verifies there: then it is the Finished.
        let good = evidence.certificate_verify_verdict.is_some_and(|verdict| verdict.holds());
        let signed = evidence.certificate_verify.is_some() && !good;
        let reason = if signed { "bad_handshake_signature" } else { "bad_finished" };
        return Some(finding(Certainty::Suspected, reason, Party::Client));
    }
    let verdicts = [evidence.key_exchange_verdict, evidence.decryption.server_verify_verdict];
    let good = verdicts.into_iter().flatten().any(Verdict::holds);
    let leaf = evidence.chain.clear().and_then(|chain| chain.value.first());
    if good && let Some(KeyKind::Rsa(bits @ ..2048)) = leaf.map(|leaf| &leaf.key.kind) {
        // rustls verifies nothing by so small a key and says it of the signature (`RSA_PKCS1_2048_8192_SHA256` of ring).
        let meaning = format!("the signatures verify, but by an RSA key of {bits} bits, which it may not take");
        let at = (code, at);
        return Some(signal::from_code(evidence, Certainty::Inferred, "weak_key", Party::Server, at, &meaning));
    }
    let unsigned = evidence.chain.clear().is_some() && evidence.key_exchange.is_none()
        && evidence.decryption.server_verify.is_none();
    Some(if good || unsigned {
        finding(Certainty::Suspected, "bad_certificate_signature", Party::Server)
    } else {
        finding(Certainty::Inferred, "bad_handshake_signature", Party::Server)
    })
}

#[cfg(test)]
mod tests {
    use super::super::chains_fixture::{Then, attempt, seen};
    use super::*;
    use crate::base::Side;
    use crate::tls::chain::Fault;

    fn found(evidence: &Evidence) -> Option<(&'static str, Certainty)> {
        judge(evidence).found().map(|finding| (finding.reason, finding.certainty))
    }

    #[test]
    fn a_bad_key_exchange_signature_and_an_alert_are_proof() {
        let mut evidence = attempt().alert(Side::Client, 51);
        evidence.key_exchange = Some(seen(crate::tls::message::ServerKeyExchange::default(), 6).into());
        evidence.key_exchange_verdict = Some(crate::tls::signature::Verdict::Bad);
        assert_eq!(found(&evidence), Some(("bad_handshake_signature", Certainty::Proven)));
    }

    #[test]
    fn a_server_that_signed_amiss_in_clear_does_so_behind_the_seal() {
        let sealed = crate::evidence::Ending::SealedAlert { from: Side::Client, len: 19 };
        let mut evidence = attempt().sealed().ends(sealed);
        let (at, when) = (crate::base::PacketNo(6), evidence.started);
        let record = crate::tls::sealed::SealedRecord { content_type: 23, len: 900, at, when };
        let from = crate::evidence::around::KnownFrom::Server;
        let mut known = crate::evidence::around::ShownBefore::of_size(seen(Vec::new(), 2), record, from);
        evidence.around.shown_before = Some(known.clone());
        assert_eq!(judge(&evidence), Judgement::Blind(signal::SEALED), "nothing amiss is known");
        known.misfit = Some(Packets::one(crate::base::PacketNo(3)));
        evidence.around.shown_before = Some(known);
        assert_eq!(found(&evidence), Some(("bad_handshake_signature", Certainty::Inferred)));
        let unused = evidence.alert(Side::Server, 40);
        assert_eq!(judge(&unused), Judgement::Absent, "the client rejected nothing");
    }

    /// A client that signed with another key than its certificate's.
    fn bad_client() -> Evidence {
        let mut evidence = attempt().client_shows(1, &[]);
        evidence.certificate_verify = Some(seen(crate::tls::message::CertificateVerify::default(), 7).into());
        evidence.certificate_verify_verdict = Some(crate::tls::signature::Verdict::Bad);
        evidence
    }

    #[test]
    fn a_clients_bad_signature_and_the_servers_alert_are_proof() {
        for code in [51, 40, 42] {
            let Judgement::Found(finding) = judge(&bad_client().alert(Side::Server, code)) else { panic!("{code}") };
            let expected = ("bad_handshake_signature", Certainty::Proven, Party::Client);
            assert_eq!((finding.reason, finding.certainty, finding.party), expected, "{code}");
        }
    }

    #[test]
    fn a_clients_bad_signature_is_not_blamed_where_its_certificate_expired() {
        let mut evidence = bad_client().alert(Side::Server, 45);
        evidence.client_defects = attempt().with(&[Fault::LeafExpired]).defects;
        assert_eq!(judge(&evidence), Judgement::Absent);
    }

    #[test]
    fn a_servers_bad_certificate_verify_that_keys_opened_is_proof() {
        let mut evidence = attempt().alert(Side::Client, 51);
        evidence.decryption.server_verify = Some(seen(crate::tls::message::CertificateVerify::default(), 7).into());
        evidence.decryption.server_verify_verdict = Some(Verdict::Bad);
        assert_eq!(found(&evidence), Some(("bad_handshake_signature", Certainty::Proven)));
        evidence.decryption.server_verify_verdict = Some(Verdict::Good);
        assert_eq!(found(&evidence), Some(("bad_certificate_signature", Certainty::Suspected)));
    }

    #[test]
    fn a_finished_that_does_not_fit_is_proof_where_the_other_side_says_so() {
        let mut evidence = attempt().alert(Side::Server, 51);
        assert_ne!(found(&evidence), Some(("bad_finished", Certainty::Proven)));
        // In TLS 1.3 a hello may be hidden, which the server's Finished tells.
        evidence.decryption.finished.client = Some(seen(false, 8));
        let mut hidden = evidence.clone();
        hidden.server_hello.as_mut().unwrap().value.version = crate::tls::codes::Version::TLS13;
        assert_ne!(found(&hidden), Some(("bad_finished", Certainty::Proven)));
        hidden.decryption.finished.server = Some(seen(true, 7));
        assert_eq!(found(&hidden), Some(("bad_finished", Certainty::Proven)));
        let Judgement::Found(finding) = judge(&evidence) else { panic!("nothing") };
        let expected = ("bad_finished", Certainty::Proven, Party::Client);
        assert_eq!((finding.reason, finding.certainty, finding.party), expected);
        evidence.decryption.finished.client = Some(seen(true, 8));
        assert_ne!(found(&evidence), Some(("bad_finished", Certainty::Proven)));
    }

    #[test]
    fn a_clients_good_signature_leaves_the_finished() {
        let mut evidence = bad_client().alert(Side::Server, 51);
        evidence.certificate_verify_verdict = Some(crate::tls::signature::Verdict::Good);
        assert_eq!(found(&evidence), Some(("bad_finished", Certainty::Suspected)));
    }

    #[test]
    fn a_bad_certificate_signature_is_found() {
        let evidence = attempt().with(&[Fault::BadCertificateSignature]).alert(Side::Client, 51);
        assert_eq!(found(&evidence), Some(("bad_certificate_signature", Certainty::Proven)));
    }

    #[test]
    fn absent_for_a_bad_record_mac() {
        assert_eq!(judge(&attempt().alert(Side::Client, 20)), Judgement::Absent);
    }

    #[test]
    fn blind_behind_tls_13() {
        assert_eq!(judge(&attempt().sealed().alert(Side::Client, 46)), Judgement::Blind(signal::SEALED));
    }
}
