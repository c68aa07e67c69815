//! Failures that are none: what other traffic shows to have been a race, a scan, or not needed.

use crate::base::{Endpoint, Seen, Side, Span};
use crate::evidence::upgrade::Why;
use crate::evidence::{Ending, Evidence, Outcome, Stage, rejection};

/// Racing connections are begun within a fraction of a second (RFC 8305 section 5), and won within a few.
const RACE: Span = Span::from_secs(5);

/// What a failure is taken for where other traffic shows it to be none: the loser of a race, a scan,
/// a connection that was not needed.
pub(super) fn benign(evidence: &Evidence) -> Option<Outcome> {
    benign_beside(evidence, evidence.around.sibling.as_ref())
}

/// The same beside this success of the same client and service.
pub(super) fn benign_beside(evidence: &Evidence, sibling: Option<&Seen<Endpoint>>) -> Option<Outcome> {
    let around = &evidence.around;
    let client_left = matches!(
        evidence.ending.value,
        Ending::Silence { .. } | Ending::Fin { from: Side::Client } | Ending::Reset { from: Side::Client }
    );
    // Who asked for TLS and was told no neither raced nor scanned.
    let tcp_only = evidence.stage == Stage::Tcp && evidence.upgrade.is_none();
    if rejection::stops_as_refused(evidence).is_some() {
        if evidence.ech_is_genuine() || around.ech.as_ref().is_some_and(|ech| ech.again.is_some()) {
            return None; // the second try, which succeeds, is what the first one's refusal led to
        }
        if !rejection::late(evidence) {
            return Some(Outcome::Completed);
        }
    }
    if sibling.is_some() && rejection::completed_before_close(evidence) {
        return Some(Outcome::Completed);
    }
    // The other connection came while this one was under way, and ended the need for it.
    let sibling = sibling.is_some_and(|sibling| {
        let after = sibling.when - evidence.started;
        // Who resends its SYN for long before another try succeeds did not race: it failed first.
        (0..RACE.0).contains(&after.0) && evidence.ended - sibling.when < Span::from_secs(2)
    });
    let lost_race = sibling && (tcp_only || client_left && evidence.chain.clear().is_none());
    // A proxy that asks for credentials is asked again with them, mostly on another connection.
    let challenged = evidence.upgrade.as_ref().is_some_and(|upgrade| {
        upgrade.why() == Some(Why::Credentials) && !upgrade.credentials && around.sibling.is_some()
    });
    let not_wanted = rejection::silent_close(evidence) && !rejection::wanted(evidence);
    let scan = (tcp_only && around.scan) || (evidence.hello.is_some() && around.probes_versions);
    // What shows a fault by itself is none of these, whatever else succeeds.
    if tcp_only
        && (around.other_address.is_some()
            || around.astray.is_some()
            || evidence.refused_by_another().is_some())
    {
        return None;
    }
    // So does a large hello that is sent again and again while a small one passes.
    let stuck = evidence.tcp.repeats.client.as_ref().is_some_and(|repeats| repeats.value >= 2);
    let stuck = stuck && evidence.tcp.acked.server.unwrap_or(0) < evidence.tcp.bytes.client;
    if stuck && evidence.tcp.bytes.server == 0 && around.smaller_hello.is_some() {
        return None;
    }
    (lost_race || scan || not_wanted || challenged).then_some(Outcome::Abandoned)
}
