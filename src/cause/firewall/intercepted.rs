//! A middlebox answered in the server's place, with a certificate of its own that the client rejected.

use crate::cause::signal::{self, Signal};
use crate::cause::weigh::Hygiene;
use crate::cause::{Cause, Certainty, Finding, Party, crossing};
use crate::evidence::{Evidence, Outcome};
use crate::tls::cert::Certificate;
use crate::tls::chain::Fault;
use crate::tls::names::{Cover, covers};
use std::sync::Arc;

/// Products that inspect TLS, by how an attribute of their issuers' names begins.
///
/// Names as seen in certificates that users of these products were shown: Durumeric et al., The Security Impact of HTTPS
/// Interception, NDSS 2017; de Carné de Carnavalet and Mannan, Killed by Proxy, NDSS 2016; and reports in public
/// issue trackers (`C = US, … O = Fortinet, OU = Certificate Authority, CN = FortiGate CA`; `CN=ca.<tenant>.goskope.com,
/// emailAddress=certadmin@netskope.com`; `CN=Sophos SSL CA_<serial>`; `CN=Cisco Umbrella Secondary SubCA lon-SG, O=Cisco`;
/// `CN=Zscaler Intermediate Root CA (zscalerthree.net)`; `CN=Forcepoint Cloud CA, O=Forcepoint LLC`). Products whose
/// authority bears whatever name its owner gives it (Palo Alto, Check Point, Squid) are in no such list.
const PRODUCTS: [(&str, &str); 18] = [
    ("CN=FortiGate CA", "FortiGate"),
    ("O=Fortinet", "FortiGate"),
    ("O=Zscaler Inc.", "Zscaler"),
    ("CN=Zscaler Intermediate Root CA", "Zscaler"),
    ("emailAddress=certadmin@netskope.com", "Netskope"),
    ("CN=Sophos SSL CA", "Sophos"),
    ("CN=Cisco Umbrella", "Cisco Umbrella"),
    ("CN=Forcepoint Cloud CA", "Forcepoint"),
    ("CN=Kaspersky Anti-Virus Personal Root", "Kaspersky"),
    ("CN=ESET SSL Filter CA", "ESET"),
    ("CN=avast! Web/Mail Shield", "Avast"),
    ("CN=Avast Web/Mail Shield", "Avast"),
    ("CN=AVG Web/Mail Shield", "AVG"),
    ("CN=Bitdefender Personal CA", "Bitdefender"),
    ("CN=mitmproxy", "mitmproxy"),
    ("CN=PortSwigger CA", "Burp"),
    ("CN=Charles Proxy", "Charles"),
    ("CN=DO_NOT_TRUST_FiddlerRoot", "Fiddler"),
];
/// Netskope's authorities are told by how the attribute ends.
const NETSKOPE: &str = ".goskope.com";

/// A chain that leads to no trusted root, for just the host that was asked for.
fn stands_in(e: &Evidence) -> Option<(&str, &[Arc<Certificate>])> {
    let chain = e.chain.clear()?;
    let (host, leaf) = (e.sni()?, chain.value.first()?);
    let untrusted = e.defects.iter().any(|defect| {
        matches!(defect.fault, Fault::UnknownRoot | Fault::SelfSigned | Fault::MissingIntermediate)
    });
    // A device's own pages bear its own name.
    (untrusted && covers(leaf, host) == Cover::Covers).then_some((host, chain.value.as_slice()))
}

/// The product that issued the leaf or what stands above it.
fn product(chain: &[Arc<Certificate>]) -> Option<(&'static str, &str)> {
    let issuers = chain.iter().map(|certificate| certificate.issuer.as_str());
    issuers.flat_map(|issuer| issuer.split(',').map(move |part| (part.trim_start(), issuer))).find_map(
        |(attribute, issuer)| {
            if attribute.starts_with("CN=ca.") && attribute.ends_with(NETSKOPE) {
                return Some(("Netskope", issuer));
            }
            // Most attributes begin like none.
            let of = |(start, _): &&(&str, &str)| {
                attribute.as_bytes().get(..5) == start.as_bytes().get(..5) && attribute.starts_with(start)
            };
            PRODUCTS.iter().find(of).map(|(_, product)| (*product, issuer))
        },
    )
}

/// What shows that a rejected certificate is a middlebox's.
pub(super) fn find(e: &Evidence) -> Option<Finding> {
    let (rejected, says) = match signal::read(e) {
        Signal::Alert(code @ (40 | 42 | 46 | 48), at) => (at, signal::said("the client", code)),
        Signal::Sealed(at) => (at, "the client sends a sealed alert".to_owned()),
        Signal::Silent(at) | Signal::Late(at) => (at, "the client leaves without a word".to_owned()),
        _ => return None,
    };
    let (host, chain) = stands_in(e)?;
    let shown = &e.chain.clear()?.at;
    let other = e.around.shown_to_other.as_ref().filter(|_| !is_for_tests(chain));
    let finding = match product(chain) {
        Some((product, issuer)) => {
            // An inside server may have its certificate from the firewall at hand.
            let inside = e.server.addr.is_private() && other.is_none();
            let certainty = if inside { Certainty::Suspected } else { Certainty::Inferred };
            let says =
                format!("the certificate for {host} is issued by {product}, which inspects TLS ({issuer})");
            Finding::new(certainty, "intercepted", Party::Path, shown, says)
        }
        None => {
            // Of machines that share an address one may have been left with another certificate; it is no nearer.
            let certainty = if other?.nearer { Certainty::Inferred } else { Certainty::Suspected };
            let issuer = &chain.first()?.issuer;
            let says = format!("the certificate for {host} is issued by {issuer}, which nobody trusts");
            Finding::new(certainty, "intercepted", Party::Path, shown, says)
        }
    };
    let finding = match other {
        Some(other) => {
            let issuer = other.chain.value.first().map_or("", |leaf| leaf.issuer.as_str());
            let says = format!("{} was shown one of {issuer} for this name by the same server", other.client);
            finding.and(&other.chain.at, says)
        }
        None => finding,
    };
    let mut finding = finding.and(rejected, says);
    if let Some(own) = crossing::spliced(e).filter(|_| finding.certainty == Certainty::Inferred) {
        finding.certainty = Certainty::Proven;
        finding = finding.and(own, "nothing of this connection crossed: the gateway made one of its own to that server");
    }
    Some(finding)
}

/// Certificates that an authority issues for trying out, with an untrusted root, are a server's own mistake.
fn is_for_tests(chain: &[Arc<Certificate>]) -> bool {
    chain.iter().any(|certificate| certificate.issuer.contains("(STAGING)"))
}

/// A handshake that completed with a middlebox's certificate.
pub fn hygiene(e: &Evidence) -> Option<Hygiene> {
    if !matches!(e.outcome, Outcome::Completed | Outcome::Resumed) {
        return None;
    }
    let (host, chain) = stands_in(e)?;
    let (product, issuer) = product(chain)?;
    let says = format!("the certificate for {host} is issued by {product} ({issuer}), which reads along");
    Some(Hygiene { cause: Cause::Firewall, reason: "intercepted", says, client_rejects: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Addr, Side};
    use crate::cause::weigh::{hygiene as all_hygiene, weigh};
    use crate::evidence::around::ShownToOther;
    use crate::evidence::fixture::{alert, answered, certificate, seen, shown};
    use crate::tls::codes::Version;

    fn issued_by(issuer: &str, host: &str) -> Arc<Certificate> {
        let mut leaf = (*certificate(host, &[host])).clone();
        leaf.issuer = issuer.to_owned();
        Arc::new(leaf)
    }

    fn rejected(issuer: &str, host: &str, code: u8) -> Evidence {
        let leaf = issued_by(issuer, host);
        alert(shown(answered(Version::TLS12), leaf, &[Fault::UnknownRoot]), Side::Client, code)
    }

    const FORTIGATE: &str = "CN=FortiGate CA, OU=Certificate Authority, O=Fortinet, L=Sunnyvale";
    const HOST: &str = "www.example.com";

    fn found(e: &Evidence) -> Option<(Certainty, &'static str)> {
        super::super::judge(e).found().map(|finding| (finding.certainty, finding.reason))
    }

    #[test]
    fn a_known_product_issued_what_the_client_rejects() {
        let e = rejected(FORTIGATE, HOST, 48);
        assert_eq!(found(&e), Some((Certainty::Inferred, "intercepted")));
        let diagnosis = weigh(&e);
        assert_eq!(diagnosis.primary.map(|(cause, _)| cause), Some(Cause::Firewall));
        assert!(diagnosis.also.iter().any(|(cause, _)| *cause == Cause::BrokenChain));
    }

    #[test]
    fn an_unknown_root_alone_is_a_broken_chain() {
        let e = rejected("CN=Our Own CA, O=Somebody", HOST, 48);
        assert_eq!(found(&e), None);
        assert_eq!(weigh(&e).primary.map(|(cause, _)| cause), Some(Cause::BrokenChain));
    }

    #[test]
    fn absent_from_a_devices_own_page_and_where_the_client_minds_something_else() {
        assert_eq!(found(&rejected(FORTIGATE, "FGT60F", 48)), None);
        assert_eq!(found(&rejected(FORTIGATE, HOST, 45)), None);
        let leaf = issued_by(FORTIGATE, HOST);
        let trusted = alert(shown(answered(Version::TLS12), leaf, &[]), Side::Client, 48);
        assert_eq!(found(&trusted), None, "it leads to a trusted root");
    }

    #[test]
    fn an_inside_server_may_have_its_certificate_from_the_firewall() {
        let mut e = rejected(FORTIGATE, HOST, 48);
        e.server.addr = Addr::v4([192, 168, 1, 9]);
        assert_eq!(found(&e), Some((Certainty::Suspected, "intercepted")));
        assert_eq!(weigh(&e).primary.map(|(cause, _)| cause), Some(Cause::BrokenChain));
    }

    #[test]
    fn blind_behind_tls13() {
        let mut e = rejected(FORTIGATE, HOST, 48);
        e.chain = crate::evidence::Chain::Sealed(seen((), 6, 41).at);
        assert_eq!(found(&e), None);
    }

    #[test]
    fn another_client_was_shown_a_trusted_chain() {
        let mut e = rejected("CN=Web Gateway, O=Somebody", HOST, 48);
        let chain = seen(vec![issued_by("CN=R11, O=Let's Encrypt", HOST)], 30, 5_000);
        let client = Addr::v4([10, 0, 0, 8]);
        e.around.shown_to_other = Some(ShownToOther { client, chain, nearer: false });
        assert_eq!(found(&e), Some((Certainty::Suspected, "intercepted")));
        e.around.shown_to_other.as_mut().unwrap().nearer = true;
        assert_eq!(found(&e), Some((Certainty::Inferred, "intercepted")));
        let mut staging = rejected("CN=(STAGING) Pretend Pear X1", HOST, 48);
        staging.around.shown_to_other = e.around.shown_to_other.clone();
        assert_eq!(found(&staging), None);
    }

    #[test]
    fn a_completed_handshake_with_a_middlebox_is_hygiene() {
        let mut e = shown(answered(Version::TLS12), issued_by(FORTIGATE, HOST), &[Fault::UnknownRoot]);
        e.outcome = Outcome::Completed;
        let words: Vec<_> = all_hygiene(&e, None).into_iter().map(|item| item.reason).collect();
        assert_eq!(words, ["intercepted"]);
        let mut own = shown(answered(Version::TLS12), issued_by("CN=Ours", HOST), &[Fault::UnknownRoot]);
        own.outcome = Outcome::Completed;
        assert!(all_hygiene(&own, None).is_empty());
    }
}
