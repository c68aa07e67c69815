//! # Symptoms
//!
//! `decrypt error`, `bad signature`, `certificate signature failure`, `ee key too small`, `ca md too
//! weak`, `asn1 encoding routines`.
//!
//! # On the wire
//!
//! In TLS 1.2 the signature over ServerKeyExchange is checked with the leaf's key: where it fails and
//! the client rejects, `proven` (`inferred` where it sends another code, as Go's 10, or leaves). Otherwise a certificate's signature does not verify by its issuer's
//! key and the client sends 51 (decrypt_error), or the key is weak (42). nginx and haproxy load a
//! damaged private key and sign with it. bad_record_mac (20) is none of this. Behind TLS 1.3 the size of CertificateVerify
//! shows an RSA key of 1024 bits or less: `inferred` with OpenSSL's 42 in clear, `suspected` with a sealed alert.
//!
//! # Remedy
//!
//! Compare key and certificate (`openssl pkey -pubout` against `openssl x509 -pubkey`), check the key
//! (`openssl pkey -check`), restore both from one issue.
//!
//! # References
//!
//! RFC 5246 section 7.4.3, RFC 8422 section 5.4, RFC 9846 sections 4.4.3 and 4.4.4; NIST SP 800-57 part
//! 1 (key sizes).

use super::{Cause, Certainty, Finding, Judgement, Party, Reason, signal};
use crate::base::Packets;
use crate::evidence::Evidence;
use crate::tls::cert::KeyKind;
use signal::Signal;

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
    if let Some(finding) = weak_key(evidence) {
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

fn bad_key_exchange(evidence: &Evidence) -> Option<Finding> {
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
    let shown = "the signature over ServerKeyExchange does not verify by the leaf's key";
    let place = &evidence.key_exchange.as_ref()?.at;
    let reason = if is_of_another_kind(evidence) { "key_mismatch" } else { "bad_handshake_signature" };
    Some(Finding::new(certainty, reason, Party::Server, place, shown).and(at, says))
}

/// The leaf's key is of another kind than the scheme that signed (RFC 9846 section 4.2.3).
fn is_of_another_kind(evidence: &Evidence) -> bool {
    let scheme = evidence.key_exchange.as_ref().and_then(|exchange| exchange.value.scheme);
    let leaf = evidence.chain.clear().and_then(|chain| chain.value.first());
    let (Some(scheme), Some(leaf)) = (scheme, leaf) else { return false };
    // SHA-1 to SHA-512 with RSA (1) or ECDSA (3); RSA-PSS is 0x0804 to 0x0806 and 0x0809 to 0x080b.
    match (&leaf.key.kind, scheme.0 >> 8, scheme.0 & 0xff) {
        (KeyKind::Rsa(_), 2..=6, algorithm) => algorithm == 3,
        (KeyKind::Ec(_), 2..=6, algorithm) => algorithm == 1,
        (KeyKind::Ec(_), 8, 4..=6 | 9..=11) => true,
        _ => false,
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
        let signed = evidence.certificate_verify.is_some();
        let reason = if signed { "bad_handshake_signature" } else { "bad_finished" };
        return Some(finding(Certainty::Suspected, reason, Party::Client));
    }
    let good = evidence.key_exchange_verdict.is_some_and(|verdict| verdict.holds());
    let unsigned = evidence.chain.clear().is_some() && evidence.key_exchange.is_none();
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
        match judge(evidence) {
            Judgement::Found(finding) => Some((finding.reason, finding.certainty)),
            _ => None,
        }
    }

    #[test]
    fn a_bad_key_exchange_signature_and_an_alert_are_proof() {
        let mut evidence = attempt().alert(Side::Client, 51);
        evidence.key_exchange = Some(seen(crate::tls::message::ServerKeyExchange::default(), 6).into());
        evidence.key_exchange_verdict = Some(crate::tls::signature::Verdict::Bad);
        assert_eq!(found(&evidence), Some(("bad_handshake_signature", Certainty::Proven)));
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
