//! How an attempt over DTLS ended, read from its facts alone.
//!
//! Nobody closes a flow of datagrams: who leaves falls silent, and what is lost comes again.

use super::DtlsFacts;
use crate::base::{Packets, Seen, Side, Span, Stamp};
use crate::evidence::{AlertFrom, Chain, Ending, Evidence, Outcome, outcome};
use crate::tls::codes::{AlertDescription, AlertLevel};

pub(super) use outcome::{carries_data, finished};

/// A hello sent again for less than this may still be answered (RFC 6347 section 4.2.4.1: the second repeat comes after three
/// seconds).
const PATIENCE: Span = Span::from_secs(3);
/// Who says nothing more for this long has given up, or waits for nothing: the next repeat would be there.
const QUIET: Span = Span::from_secs(10);

/// Both finished, as far as one of them shows: in a full handshake before DTLS 1.3 the server says so last, to who has (RFC 5246
/// section 7.3). The client's word may have gone another way: ICE changes addresses meanwhile.
pub(super) fn set_up(e: &Evidence) -> bool {
    let by_server = e.server_hello_done.is_some()
        && e.sealing.finished.server.is_some()
        && e.version().is_some_and(|version| !version.is_tls13());
    finished(e) || by_server
}

/// Writes `outcome` and `ending`.
pub(super) fn settle(e: &mut Evidence, facts: &DtlsFacts, now: Stamp, capture_ended: bool) {
    let (outcome, ending) = read(e, facts, now, capture_ended);
    e.outcome = outcome;
    e.ending = ending;
}

fn read(e: &Evidence, facts: &DtlsFacts, now: Stamp, capture_ended: bool) -> (Outcome, Seen<Ending>) {
    let over = |value| Seen::new(value, e.last, e.ended);
    let stopped = || outcome::stopped(e, now, capture_ended);
    if carries_data(e) || facts.media && set_up(e) {
        return (success(e), over(Ending::WentOn));
    }
    // Anyone may send an alert in clear; behind both Finished nobody heeds one. What keys open is its sender's own.
    if finished(e) {
        let opened = alert(e, true).filter(|(outcome, _)| *outcome == Outcome::Failed);
        return opened.unwrap_or_else(|| (success(e), stopped()));
    }
    if let Some(ending) = alert(e, false) {
        return ending;
    }
    // Begun in the middle: what came before may explain everything.
    if e.hello.is_none() {
        return (Outcome::Incomplete, stopped());
    }
    if let Some((no, len)) = facts.alert_first.client.filter(|_| e.server_hello.is_some()) {
        let when = e.sealing.records.client.iter().find(|record| record.at == no).map(|record| record.when);
        let ending = Ending::SealedAlert { from: Side::Client, len };
        return (Outcome::Failed, Seen::new(ending, no, when.unwrap_or(e.ended)));
    }
    if set_up(e) {
        return (success(e), stopped());
    }
    let resent = |side: Side| e.tcp.repeats.of(side).as_ref().map_or(0, |repeats| repeats.value);
    let waited = now - e.started;
    if e.tcp.packets.server == 0 {
        // What only a client sends that was answered: the server's half is not in the capture.
        let one_sided =
            e.client_key_exchange.is_some() || facts.cookie || !e.sealing.records.client.is_empty();
        return if one_sided {
            (Outcome::Incomplete, stopped())
        } else if !e.tcp.icmp.is_empty() || resent(Side::Client) >= 2 && waited >= PATIENCE {
            (Outcome::Failed, silence(e, now))
        } else if capture_ended && waited < PATIENCE {
            (Outcome::Incomplete, stopped())
        } else {
            (Outcome::Abandoned, stopped())
        };
    }
    // To a program that is gone its host answers by ICMP.
    if e.tcp.icmp.iter().any(|error| error.value.hop.src == e.client.addr) {
        return (Outcome::Abandoned, stopped());
    }
    // One side goes on asking, and nothing useful comes.
    let stuck = resent(Side::Client).max(resent(Side::Server)) >= 2;
    if stuck && waited >= PATIENCE && (!capture_ended || now - e.ended >= QUIET || resent(Side::Client) >= 2)
    {
        return (Outcome::Failed, silence(e, now));
    }
    (if capture_ended { Outcome::Incomplete } else { Outcome::Abandoned }, stopped())
}

/// An alert that ended it; `sealed`: of those alone that keys opened.
fn alert(e: &Evidence, sealed: bool) -> Option<(Outcome, Seen<Ending>)> {
    let farewell = |said: &AlertFrom| {
        [AlertDescription::CLOSE_NOTIFY, AlertDescription::USER_CANCELED].contains(&said.alert.description)
    };
    let fatal =
        |seen: &&Seen<AlertFrom>| seen.value.alert.level == AlertLevel::FATAL && !farewell(&seen.value);
    let ending = |seen: &Seen<AlertFrom>| {
        seen.clone().map(|said| Ending::Alert { from: said.from, alert: said.alert })
    };
    let alerts = || e.alerts.iter().filter(|seen| seen.value.sealed || !sealed);
    if let Some(seen) = alerts().find(fatal) {
        return Some((Outcome::Failed, ending(seen)));
    }
    let goodbye = alerts().find(|seen| farewell(&seen.value))?;
    Some((Outcome::Abandoned, ending(goodbye)))
}

/// Completed, or resumed where no certificate was sent.
fn success(e: &Evidence) -> Outcome {
    let resumed = match &e.server_hello {
        Some(hello) if hello.value.version.is_tls13() => hello.value.psk,
        // RFC 5246 section 7.3: in an abbreviated handshake the server finishes first, and the client sends no keys.
        _ => {
            e.chain == Chain::Unsent
                && e.server_hello_done.is_none()
                && e.client_key_exchange.is_none()
                && {
                    let at =
                        |side: Side| e.sealing.finished.of(side).as_ref().and_then(|seen| seen.at.first());
                    matches!((at(Side::Server), at(Side::Client)), (Some(server), Some(client)) if server < client)
                }
        }
    };
    if resumed { Outcome::Resumed } else { Outcome::Completed }
}

/// The client's hellos, and that nothing useful came.
fn silence(e: &Evidence, now: Stamp) -> Seen<Ending> {
    let at: Packets = e.hello.as_ref().map_or_else(|| e.first.into(), |hello| hello.at.clone());
    Seen { value: Ending::Silence { lasted: now - e.started }, at, when: e.ended }
}
