//! What a server asked of a client's certificate in its CertificateRequest, and whether the client's fits.

use super::signal::{self, Signal};
use super::{Certainty, Finding, Party};
use crate::base::Packets;
use crate::evidence::Evidence;
use crate::tls::cert::{Certificate, KeyKind, name_text, same_name};
use crate::tls::codes::SignatureScheme;
use crate::tls::message::CertificateRequest;
use std::sync::Arc;

/// Names that are spelled out.
const NAMED: usize = 3;

/// The certificates that a client showed, where it showed any.
fn shown(evidence: &Evidence) -> Option<(&Packets, &[Arc<Certificate>])> {
    let chain = evidence.client_chain.clear()?;
    (!chain.value.is_empty()).then_some((&chain.at, chain.value.as_slice()))
}

/// The CAs that a request names, in words.
pub fn wanted(request: &CertificateRequest) -> String {
    let names: Vec<String> = request.authorities.iter().take(NAMED).map(|name| name_text(name)).collect();
    match request.authorities.len() {
        0 => "the CertificateRequest names no CAs".to_owned(),
        1 => format!("the CertificateRequest names one CA: {}", names.join("; ")),
        n if n > NAMED => format!("the CertificateRequest names {n} CAs, among them {}", names.join("; ")),
        n => format!("the CertificateRequest names {n} CAs: {}", names.join("; ")),
    }
}

/// No certificate of the client's chain is of a CA, or issued by one, that the request names (RFC 5246 section 7.4.6);
/// says whose it is. `None` as well where the request names none, which leaves the choice to the client.
pub fn outside(evidence: &Evidence) -> Option<(&Packets, String)> {
    let request = evidence.certificate_request.as_ref()?;
    let (at, chain) = shown(evidence)?;
    let leaf = chain.first()?;
    let authorities = &request.value.authorities;
    let named = |cert: &Arc<Certificate>| {
        let is = |name: &Vec<u8>| same_name(name, &cert.issuer_der) || same_name(name, &cert.subject_der);
        authorities.iter().any(is)
    };
    if authorities.is_empty() || leaf.issuer_der.is_empty() || chain.iter().take(16).any(named) {
        return None;
    }
    let says = format!(
        "the client's certificate {} was issued by {}, which the server did not name",
        leaf.called(),
        leaf.issuer
    );
    Some((at, says))
}

/// A client's key that the request has no use for: its kind is not among the certificate types (RFC 5246 section 7.4.4,
/// RFC 8422 section 5.5), or not among the signature algorithms, or the client signed under none of them.
pub fn unfit(evidence: &Evidence) -> Option<Finding> {
    let (certainty, at, says) = match signal::read(evidence) {
        Signal::ServerAlert(code @ (10 | 40 | 42 | 43 | 46 | 47 | 49 | 51 | 80), at) => {
            (Certainty::Inferred, at, signal::said("the server", code))
        }
        Signal::ServerSilent(at) => (Certainty::Suspected, at, "the server closes without a word".to_owned()),
        _ => return None,
    };
    let request = evidence.certificate_request.as_ref()?;
    let (place, chain) = shown(evidence)?;
    let kind = &chain.first()?.key.kind;
    let CertificateRequest { types, schemes, .. } = &request.value;
    let scheme = evidence.certificate_verify.as_ref().and_then(|verify| verify.value.scheme);
    // rsa_sign, dss_sign, ecdsa_sign, which stands for EdDSA too.
    let wanted = match kind {
        KeyKind::Rsa(_) => 1,
        KeyKind::Dsa(_) => 2,
        KeyKind::Ec(_) | KeyKind::Ed25519 | KeyKind::Ed448 => 64,
        _ => return None,
    };
    let shows = format!("the client's certificate has the key {kind}");
    let lacks = if !types.is_empty() && !types.contains(&wanted) {
        format!("the CertificateRequest does not take such keys: its certificate types are {types:?}")
    } else if !schemes.is_empty() && !schemes.iter().any(|scheme| makes(kind, *scheme)) {
        format!("the CertificateRequest takes no signature by such a key, only {}", few(schemes))
    } else if let Some(scheme) = scheme.filter(|scheme| !schemes.is_empty() && !schemes.contains(scheme)) {
        format!("the client signs with {scheme}, but the CertificateRequest takes {} only", few(schemes))
    } else {
        return None;
    };
    let finding = Finding::new(certainty, "signature_algorithm", Party::Client, place, shows);
    Some(finding.and(&request.at, lacks).and(at, says))
}

/// A key of this kind signs under this scheme.
fn makes(kind: &KeyKind, scheme: SignatureScheme) -> bool {
    match kind {
        KeyKind::Rsa(_) => scheme.is_rsa(),
        KeyKind::Dsa(_) => scheme.0 & 0xff == 2,
        KeyKind::Ec(_) => scheme.is_ecdsa() || scheme == SignatureScheme::SM2SIG_SM3,
        KeyKind::Ed25519 => scheme == SignatureScheme::ED25519,
        KeyKind::Ed448 => scheme == SignatureScheme::ED448,
        _ => true,
    }
}

fn few(schemes: &[SignatureScheme]) -> String {
    let names: Vec<String> = schemes.iter().take(8).map(ToString::to_string).collect();
    let rest = schemes.len().saturating_sub(names.len());
    if rest == 0 { names.join(", ") } else { format!("{} and {rest} more", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::chains_fixture::{Then, attempt};
    use super::super::{Cause, Judgement};
    use super::*;
    use crate::base::Side;
    use crate::evidence::Chain;
    use crate::tls::cert::forge::{Forge, Key, name};

    /// TLS 1.2 in which a client shows a P-256 certificate by "CA", answered with this alert.
    fn answered(code: u8, ask: impl FnOnce(&mut CertificateRequest)) -> Evidence {
        let key = Key::new();
        let mut evidence = attempt().client_shows(1, &[]).alert(Side::Server, code);
        if let Chain::Clear(chain) = &mut evidence.client_chain {
            chain.value = vec![Forge::leaf("alice", "CA").sign(&key, &key)];
        }
        ask(&mut evidence.certificate_request.as_mut().unwrap().value);
        evidence
    }

    fn found(judgement: &Judgement) -> Option<(&'static str, Certainty, Party)> {
        match judgement {
            Judgement::Found(finding) => Some((finding.reason, finding.certainty, finding.party)),
            _ => None,
        }
    }

    #[test]
    fn an_issuer_that_the_server_did_not_name_explains_a_rejection() {
        let other =
            |request: &mut CertificateRequest| request.authorities = vec![name("Other"), name("Third")];
        for (code, certainty) in
            [(48, Certainty::Proven), (42, Certainty::Inferred), (40, Certainty::Inferred)]
        {
            let judgement = Cause::BrokenChain.judge(&answered(code, other));
            assert_eq!(found(&judgement), Some(("client_chain", certainty, Party::Client)), "{code}");
            let Judgement::Found(finding) = judgement else { return };
            let says: Vec<_> = finding.proofs.iter().map(|proof| proof.says.as_str()).collect();
            assert!(says.iter().any(|says| says.contains("issued by CN=CA")), "{says:?}");
            assert!(says.iter().any(|says| says.contains("2 CAs: CN=Other; CN=Third")), "{says:?}");
        }
    }

    #[test]
    fn an_issuer_that_the_server_named_does_not() {
        let this = |request: &mut CertificateRequest| request.authorities = vec![name("Other"), name("CA")];
        assert_eq!(outside(&answered(42, this)), None);
        assert_eq!(Cause::BrokenChain.judge(&answered(42, this)), Judgement::Absent);
        assert_eq!(outside(&answered(42, |_| {})), None, "any will do");
    }

    #[test]
    fn a_kind_of_key_that_the_server_does_not_take_is_told() {
        let rsa = [SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::RSA_PSS_RSAE_SHA256];
        for ask in [(|request| request.types = vec![1, 2]) as fn(&mut CertificateRequest), |request| {
            request.schemes = vec![SignatureScheme::RSA_PKCS1_SHA256]
        }] {
            let judgement = Cause::ProtocolVersion.judge(&answered(40, ask));
            let expected = ("signature_algorithm", Certainty::Inferred, Party::Client);
            assert_eq!(found(&judgement), Some(expected));
        }
        let both = |request: &mut CertificateRequest| {
            request.types = vec![1, 64];
            request.schemes = [&rsa[..], &[SignatureScheme::ECDSA_SECP256R1_SHA256]].concat();
        };
        assert_eq!(unfit(&answered(40, both)), None);
    }

    #[test]
    fn nothing_is_said_of_a_client_that_showed_no_certificate() {
        let evidence = attempt().client_shows(0, &[]).alert(Side::Server, 40);
        assert_eq!((outside(&evidence), unfit(&evidence)), (None, None));
    }
}
