//! Pauses that a device on the path did not survive.

use crate::base::{Cite, Side, Span};
use crate::cause::{Certainty, Finding, Party};
use crate::evidence::around::Pauses;
use crate::evidence::{Ending, Evidence};

/// A pause worth a word by itself: shorter ones hardly any device forgets.
const PAUSE: Span = Span::from_secs(30);
/// So many connections that all failed behind their pauses are no chance.
const FAILED: u32 = 3;

/// What devices forget an idle TCP connection after, by default, in seconds.
const KNOWN: [(i64, &str); 9] = [
    (60, "AWS Application Load Balancer"), // docs.aws.amazon.com: idle_timeout.timeout_seconds
    (240, "Azure Load Balancer and NAT gateway"), // learn.microsoft.com: TCP idle timeout, 4 minutes
    (300, "F5 BIG-IP"),                    // techdocs.f5.com: TCP profile, Idle Timeout
    (350, "AWS NAT gateway and Network Load Balancer"), // docs.aws.amazon.com: TCP idle timeout
    (600, "Google Cloud firewall rules"),  // cloud.google.com: connection tracking, 10 minutes
    (900, "SonicWall"),                    // sonicwall.com: default TCP connection timeout, 15 minutes
    (1_200, "Google Cloud NAT"),           // cloud.google.com: TCP established, 20 minutes
    (1_800, "Juniper SRX"),                // juniper.net: inactivity-timeout of TCP, 30 minutes
    (3_600, "Cisco ASA, FortiGate, Palo Alto, Check Point"), // vendors' references: timeout conn 1:00:00, 3600
];

/// The client's bytes behind a pause met silence or a reset.
pub(super) fn find(e: &Evidence) -> Option<Finding> {
    let pause = e.tcp.pause.as_ref().filter(|pause| !pause.value.answered)?;
    // Who closed before needs no device to forget it; nor is there one where longer pauses were survived.
    let longer = |pauses: &Pauses| {
        pauses.longest_passed.as_ref().is_some_and(|passed| passed.value >= pauses.shortest_failed)
    };
    let pauses = e.around.pauses.as_ref();
    if e.tcp.fin.client.is_some() || e.tcp.fin.server.is_some() || pauses.is_some_and(longer) {
        return None;
    }
    let cite: Cite = match e.ending.value {
        Ending::Silence { lasted } => Cite::Silence { after: pause.at.clone(), lasted },
        Ending::Reset { from: Side::Server } => (&e.ending.at).into(),
        _ => return None,
    };
    let several =
        pauses.filter(|pauses| pauses.failed.value >= FAILED && pauses.longest_passed.is_some());
    if several.is_none() && pause.value.lasted < PAUSE {
        return None;
    }
    let certainty = if several.is_some() { Certainty::Inferred } else { Certainty::Suspected };
    let says = format!("the client spoke after {} in which neither side sent anything", seconds(pause.value.lasted));
    let finding = Finding::new(certainty, "idle_timeout", Party::Path, &pause.at, says)
        .and(cite, "and met no answer");
    let Some((pauses, passed)) = several.and_then(|all| Some((all, all.longest_passed.as_ref()?))) else {
        return Some(finding);
    };
    let says = format!(
        "{} connections failed so, the shortest pause {}{}",
        pauses.failed.value,
        seconds(pauses.shortest_failed),
        device(passed.value, pauses.shortest_failed)
    );
    let survived = match passed.value {
        Span(0) => "connections without a pause worked meanwhile".to_owned(),
        lasted => format!("pauses up to {} were survived", seconds(lasted)),
    };
    Some(finding.and(&pauses.failed.at, says).and(&passed.at, survived))
}

/// Time-outs are set in seconds, and known by them.
fn seconds(span: Span) -> String {
    format!("{} s", span.0 / 1_000_000)
}

/// Which devices forget between these pauses.
fn device(passed: Span, failed: Span) -> String {
    let between = |(secs, _): &&(i64, &str)| (passed.0..=failed.0).contains(&Span::from_secs(*secs).0);
    let known: Vec<_> = KNOWN.iter().filter(between).collect();
    // The longer a time-out that still fits, the nearer it is to the pauses that failed.
    let named: Vec<_> =
        known.iter().rev().take(2).map(|(secs, who)| format!("{secs} s, as {who}")).collect();
    if named.is_empty() { String::new() } else { format!("; a limit in between is {}", named.join(", or ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{PacketNo, Packets, Seen};
    use crate::evidence::Pause;
    use crate::evidence::fixture::{answered, ends, greeted, resent, reset, seen};
    use crate::tls::codes::Version;

    /// The hello comes behind such a pause, and meets nothing.
    fn idle(secs: i64) -> Evidence {
        let mut e = resent(greeted(), 4);
        e.tcp.pause = Some(seen(Pause { lasted: Span::from_secs(secs), answered: false }, 4, 21));
        e
    }

    fn among(mut e: Evidence, failed: u32, shortest: i64, passed: Option<i64>) -> Evidence {
        let at: Packets = [20, 30].map(PacketNo).into_iter().collect();
        e.around.pauses = Some(Pauses {
            failed: Seen { value: failed, at, when: e.started },
            shortest_failed: Span::from_secs(shortest),
            longest_passed: passed.map(|secs| seen(Span::from_secs(secs), 40, 9_000)),
        });
        e
    }

    fn found(e: &Evidence) -> Option<(Certainty, &'static str)> {
        super::super::judge(e).found().map(|finding| (finding.certainty, finding.reason))
    }

    #[test]
    fn silence_after_a_pause_may_be_an_idle_timeout() {
        assert_eq!(found(&idle(360)), Some((Certainty::Suspected, "idle_timeout")));
        assert_eq!(found(&idle(20)), None, "no device is so forgetful");
        assert_eq!(found(&resent(greeted(), 4)), None, "no pause, or keep-alives within it");
        let mut refused = reset(idle(360), Side::Server, &[]);
        assert_eq!(found(&refused), Some((Certainty::Suspected, "idle_timeout")));
        refused.tcp.fin.server = Some(seen((), 3, 20));
        assert_eq!(find(&refused), None, "the server had closed");
    }

    #[test]
    fn three_that_failed_and_shorter_ones_that_did_not_show_the_limit() {
        let e = among(idle(400), 3, 361, Some(200));
        assert_eq!(found(&e), Some((Certainty::Inferred, "idle_timeout")));
        let says: Vec<_> = find(&e).unwrap().proofs.into_iter().map(|proof| proof.says).collect();
        assert!(says.iter().any(|says| says.contains("350 s, as AWS NAT gateway")), "{says:?}");
        assert!(says.iter().any(|says| says.contains("up to 200 s")), "{says:?}");
        assert_eq!(found(&among(idle(8), 3, 6, Some(0))), Some((Certainty::Inferred, "idle_timeout")));
    }

    #[test]
    fn fewer_are_suspected_and_a_longer_pause_that_was_survived_tells_against_it() {
        assert_eq!(found(&among(idle(400), 2, 361, Some(200))), Some((Certainty::Suspected, "idle_timeout")));
        assert_eq!(found(&among(idle(400), 3, 361, None)), Some((Certainty::Suspected, "idle_timeout")));
        assert_eq!(find(&among(idle(400), 3, 361, Some(500))), None);
    }

    #[test]
    fn a_limit_is_named_where_one_lies_between() {
        let device = |passed, failed| device(Span::from_secs(passed), Span::from_secs(failed));
        assert_eq!(device(241, 299), "");
        assert!(device(230, 250).contains("240 s, as Azure"));
        assert!(device(0, 400).contains("350 s") && !device(0, 400).contains("60 s, as AWS App"));
    }

    #[test]
    fn absent_where_the_server_answered() {
        let mut e = answered(Version::TLS12);
        e.tcp.pause = Some(seen(Pause { lasted: Span::from_secs(400), answered: true }, 4, 21));
        ends(&mut e, Ending::Silence { lasted: Span::from_secs(60) }, 5, 60_000);
        assert_eq!(find(&e), None);
    }
}
