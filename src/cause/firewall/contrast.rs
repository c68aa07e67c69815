//! A policy shown by contrast: what ends each time while its like, but for one thing, passes.

use super::repeats;
use crate::base::{Cite, Side};
use crate::cause::{Certainty, Finding, Party};
use crate::evidence::around::{Contrast, Passed};
use crate::evidence::{Ending, Evidence, Stage};

/// So many equal ends are no chance.
const ALIKE: u32 = 3;
/// So many around another client's success show that somebody listens.
const AROUND: u32 = 2;

/// What attempts that ended alike show beside one that passed.
pub(super) fn find(e: &Evidence) -> Option<Finding> {
    let contrast = e.around.contrast.as_ref()?;
    // Who answers by ICMP says more, and so does what contradicts a reset.
    let doubted = e.tcp.resets.iter().any(|reset| !reset.value.doubts.is_empty());
    if !e.tcp.icmp.is_empty() || doubted {
        return None;
    }
    let finding = match &contrast.passed.value {
        Passed::Name(_) if contrast.alike.value >= ALIKE => on_name(e)?,
        Passed::Client(_) if contrast.alike.value >= AROUND => on_syn(e, contrast)?,
        _ => return None,
    };
    Some(beside(e, contrast, finding))
}

/// Adds to what an attempt shows by itself where the policy acts. What follows a pause may have met a device that forgot
/// the connection, and resets as a filter does.
pub(super) fn with(e: &Evidence, mut finding: Finding) -> Finding {
    if matches!(finding.reason, "reset_after_hello" | "injected_reset" | "dropped_after_hello") {
        if e.tcp.pause.as_ref().is_some_and(|pause| !pause.value.answered) {
            finding.certainty = finding.certainty.min(Certainty::Suspected);
        }
        let named = |contrast: &&Contrast| matches!(contrast.passed.value, Passed::Name(_));
        let contrast = e.around.contrast.as_ref().filter(named);
        if let Some(contrast) = contrast.filter(|contrast| contrast.alike.value >= ALIKE) {
            return beside(e, contrast, finding);
        }
    }
    finding
}

/// Adds the other attempts, and where it acts.
fn beside(e: &Evidence, contrast: &Contrast, finding: Finding) -> Finding {
    let times = format!("{} attempts ended so", contrast.alike.value);
    let finding = finding.and(&contrast.alike.at, times);
    match &contrast.passed.value {
        Passed::Name(other) => {
            let other = other.as_deref().unwrap_or("no name");
            let on = if e.stage > Stage::ClientHello { "certificate, or on the name" } else { "name (SNI)" };
            let says = format!("meanwhile the same hello with {other} passed: it acts on the {on}");
            finding.and(&contrast.passed.at, says)
        }
        Passed::Client(other) => {
            let says = format!("between them {other} reached the port: it acts on the SYN, by who sends it");
            let finding = finding.and(&contrast.passed.at, says);
            match &contrast.other_port {
                Some(port) => finding.and(&port.at, format!("this client reached port {}", port.value)),
                None => finding,
            }
        }
    }
}

/// The hello met its end, another name passes.
fn on_name(e: &Evidence) -> Option<Finding> {
    if e.stage != Stage::ClientHello || e.retry.is_some() || e.tcp.bytes.server > 0 {
        return None;
    }
    let hello = e.hello.as_ref()?;
    match &e.ending.value {
        Ending::Reset { from: Side::Server } if repeats(e).is_none() => {
            let reset = e.tcp.resets.iter().find(|reset| reset.value.from == Side::Server)?;
            // A program that closes resets with ACK: so does a server that has no such name and says nothing of it, as
            // Windows' http.sys. A packet filter answers as a host does that has no such connection.
            let certainty = if reset.value.ack { Certainty::Suspected } else { Certainty::Inferred };
            let says = "the connection was reset right after the ClientHello";
            let finding = Finding::new(certainty, "reset_after_hello", Party::Path, &e.ending.at, says);
            Some(match e.tcp.ttl.server {
                Some((least, most)) if (least..=most).contains(&reset.value.ttl) => {
                    let says = "the reset comes from as far as the server: its own filter, or one beside it";
                    finding.and(&reset.at, says)
                }
                _ => finding,
            })
        }
        Ending::Silence { lasted } if e.tcp.acked.server.unwrap_or(0) < e.tcp.bytes.client => {
            let after = hello.at.clone().and(&repeats(e)?.at);
            let says = format!("the ClientHello was never wholly acknowledged in {lasted}");
            let cite = Cite::Silence { after, lasted: *lasted };
            Some(Finding::new(Certainty::Inferred, "dropped_after_hello", Party::Path, cite, says))
        }
        _ => None,
    }
}

/// The SYN met its end, another client gets in.
fn on_syn(e: &Evidence, contrast: &Contrast) -> Option<Finding> {
    let syn = e.tcp.syn.as_ref()?;
    let elsewhere = e.around.stray_syn_ack.is_some() || e.around.astray.is_some();
    if e.tcp.syn_ack.is_some() || e.hello.is_some() || elsewhere || e.refused_by_another().is_some() {
        return None;
    }
    match &e.ending.value {
        Ending::Reset { from: Side::Server } => {
            // A balancer may send this client to a machine on which nobody listens.
            let certainty =
                if contrast.alike.value >= ALIKE { Certainty::Inferred } else { Certainty::Suspected };
            let says = format!("{} refused this client with a reset", e.server);
            Some(Finding::new(certainty, "syn_reset", Party::Path, &e.ending.at, says))
        }
        Ending::Silence { lasted } if e.tcp.syns >= 2 => {
            // A way that is broken for this client alone would lose its packets to other ports too.
            let sure = contrast.other_port.is_some() && contrast.alike.value >= ALIKE;
            let certainty = if sure { Certainty::Inferred } else { Certainty::Suspected };
            let says = format!("{} SYNs, and nothing answered in {lasted}", e.tcp.syns);
            let cite = Cite::Silence { after: syn.at.clone(), lasted: *lasted };
            Some(Finding::new(certainty, "syn_dropped", Party::Path, cite, says))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Addr, Seen, Span};
    use crate::cause::{Cause, Judgement};
    use crate::evidence::{Doubt, Pause};
    use crate::evidence::fixture::{answered, certificate, greeted, icmp, resent, reset, seen, shown, syn};
    use crate::tls::codes::Version;

    /// A reset from a device on the way to the server.
    const NEARER: [Doubt; 2] =
        [Doubt::Ttl(60, 55), Doubt::TooSoon(Span::from_millis(1), Span::from_millis(20))];

    fn contrasted(mut e: Evidence, alike: u32, passed: Passed) -> Evidence {
        let at = [20, 30].map(crate::base::PacketNo).into_iter().collect();
        let alike = Seen { value: alike, at, when: e.started };
        let passed = seen(passed, 25, 3_000);
        e.around.contrast = Some(Contrast { alike, passed, other_port: None });
        e
    }

    fn other_name() -> Passed {
        Passed::Name(Some("other.test".into()))
    }

    fn other_client() -> Passed {
        Passed::Client(Addr::v4([10, 0, 0, 8]))
    }

    fn found(e: &Evidence) -> Option<(Certainty, &'static str)> {
        super::super::judge(e).found().map(|finding| (finding.certainty, finding.reason))
    }

    #[test]
    fn a_name_reset_each_time_while_another_passes() {
        let e = contrasted(reset(greeted(), Side::Server, &[]), 3, other_name());
        assert_eq!(found(&e), Some((Certainty::Inferred, "reset_after_hello")));
        let proofs = find(&e).unwrap().proofs;
        let cited = |no| proofs.iter().any(|proof| proof.cite.packets().iter().any(|packet| packet.0 == no));
        assert!(cited(20) && cited(30) && cited(25), "the other attempts are cited");
        assert!(proofs.iter().any(|proof| proof.says.contains("acts on the name (SNI)")));
    }

    #[test]
    fn a_program_that_knows_no_such_name_resets_with_ack() {
        let mut e = contrasted(reset(greeted(), Side::Server, &[]), 3, other_name());
        e.tcp.resets[0].value.ack = true;
        assert_eq!(found(&e), Some((Certainty::Suspected, "reset_after_hello")));
    }

    #[test]
    fn a_name_dropped_each_time_while_another_passes() {
        let e = contrasted(resent(greeted(), 4), 3, other_name());
        assert_eq!(found(&e), Some((Certainty::Inferred, "dropped_after_hello")));
        let mut half = e.clone();
        half.tcp.acked.server = Some(300);
        assert_eq!(found(&half), Some((Certainty::Inferred, "dropped_after_hello")), "its second segment");
        let mut heard = e.clone();
        heard.tcp.acked.server = Some(517);
        assert_eq!(find(&heard), None, "it arrived");
    }

    #[test]
    fn blind_with_fewer() {
        let e = contrasted(reset(greeted(), Side::Server, &[]), 2, other_name());
        assert_eq!(find(&e), None);
        assert!(matches!(super::super::judge(&e), Judgement::Blind(_)));
        assert_eq!(find(&greeted()), None);
    }

    #[test]
    fn a_port_refused_to_one_client_alone() {
        let e = contrasted(reset(syn(1), Side::Server, &[]), 3, other_client());
        assert_eq!(found(&e), Some((Certainty::Inferred, "syn_reset")));
        assert_eq!(found(&reset(syn(1), Side::Server, &[])), Some((Certainty::Suspected, "port_closed")));
        let twice = contrasted(reset(syn(1), Side::Server, &[]), 2, other_client());
        assert_eq!(found(&twice), Some((Certainty::Suspected, "syn_reset")));
        assert_eq!(Cause::StoragePermission.judge(&twice), Judgement::Absent, "somebody listens");
        let once = contrasted(reset(syn(1), Side::Server, &[]), 1, other_client());
        assert_eq!(found(&once), Some((Certainty::Suspected, "port_closed")));
    }

    #[test]
    fn a_syn_dropped_for_one_client_may_be_lost_on_its_way() {
        let mut e = contrasted(syn(4), 3, other_client());
        assert_eq!(found(&e), Some((Certainty::Suspected, "syn_dropped")));
        e.around.contrast.as_mut().unwrap().other_port = Some(seen(8_443, 26, 3_500));
        assert_eq!(found(&e), Some((Certainty::Inferred, "syn_dropped")));
    }

    #[test]
    fn what_a_contradicted_reset_acts_on_is_said_too() {
        let e = contrasted(reset(greeted(), Side::Server, &NEARER), 3, other_name());
        assert_eq!(found(&e), Some((Certainty::Proven, "reset_after_hello")));
        let Judgement::Found(finding) = super::super::judge(&e) else { panic!() };
        assert!(finding.proofs.iter().any(|proof| proof.says.contains("(SNI)")));
    }

    #[test]
    fn behind_the_certificate_it_may_have_been_that() {
        let leaf = certificate("www.example.com", &["www.example.com"]);
        let shown = shown(answered(Version::TLS12), leaf, &[]);
        let e = contrasted(reset(shown, Side::Server, &[Doubt::Ttl(60, 55)]), 3, other_name());
        let Judgement::Found(finding) = super::super::judge(&e) else { panic!() };
        assert!(finding.proofs.iter().any(|proof| proof.says.contains("acts on the certificate")));
    }

    #[test]
    fn behind_a_pause_a_gateway_may_have_forgotten_the_connection() {
        let mut e = reset(greeted(), Side::Server, &NEARER);
        let lasted = Span::from_secs(21);
        e.tcp.pause = Some(seen(Pause { lasted, answered: false }, 4, 21));
        assert_eq!(found(&e), Some((Certainty::Suspected, "reset_after_hello")));
    }

    #[test]
    fn absent_where_a_router_says_why() {
        let e = contrasted(icmp(syn(4), false, 3, 13), 3, other_client());
        assert_eq!(found(&e), Some((Certainty::Proven, "icmp_prohibited")));
    }
}
