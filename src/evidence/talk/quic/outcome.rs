//! How an attempt over QUIC ended, read from its facts alone.
//!
//! QUIC says goodbye where TCP would close, but in packets that are sealed from the server's flight on. What a close in a
//! Handshake packet looks like from outside is told by its size, by what did not follow it, and by the server's silence: a
//! server that had not received it would go on sending its flight.

use super::facts::{Closed, Confirmed, Latest, QuicFacts};
use crate::base::{Packets, Seen, Side, Span, Stamp};
use crate::evidence::{Ending, Evidence, Outcome, outcome};
use crate::tls::codes::{AlertDescription, AlertLevel};
use crate::tls::message::Alert;
use crate::tls::quic::frames::Close;

/// A first packet sent again for less than this may still be answered; clients that race TCP leave it at that sooner.
const PATIENCE: Span = Span::from_secs(3);
/// Who repeats itself for this long wants an answer (RFC 9002 section 6.2.2: the first repeat comes after about a second).
const TRIED: Span = Span::from_millis(900);
/// A server that says nothing for this long will not answer.
const UNANSWERED: Span = Span::from_secs(10);
/// A server that lacks the client's answer to its flight sends that again sooner (RFC 9002 section 6.2: about a second,
/// then twice as long each time).
const HEARD: Span = Span::from_secs(3);
/// What is under way already when the client closes comes within this.
const CROSSING: Span = Span::from_secs(1);
/// Bytes of a datagram whose Handshake packet closes for a reason of TLS: measured, aioquic 78 to 135, Chromium 223. A bare
/// acknowledgment is shorter, a client's Certificate longer; a Finished is followed by 1-RTT packets.
const CLOSING: std::ops::RangeInclusive<u32> = 60..=400;

/// Writes `outcome` and `ending`.
pub(super) fn settle(e: &mut Evidence, facts: &QuicFacts, now: Stamp, capture_ended: bool) {
    let (outcome, ending) = read(e, facts, now, capture_ended);
    e.outcome = outcome;
    e.ending = ending;
}

fn read(e: &Evidence, facts: &QuicFacts, now: Stamp, capture_ended: bool) -> (Outcome, Seen<Ending>) {
    let over = |value| Seen::new(value, e.last, e.ended);
    let stopped = || outcome::stopped(e, now, capture_ended);
    if facts.confirmed >= Confirmed::Asked {
        let psk = e.server_hello.as_ref().is_some_and(|hello| hello.value.psk);
        let outcome = if psk { Outcome::Resumed } else { Outcome::Completed };
        let ending = if facts.confirmed == Confirmed::WentOn { over(Ending::WentOn) } else { stopped() };
        return (outcome, ending);
    }
    // A client that was never answered, and says so when it gives up.
    let unanswered = e.tcp.packets.server == 0 && e.hello.is_some();
    if let Some(close) = &facts.close
        && !unanswered
    {
        return closed(close);
    }
    // Without the client's hello the capture does not show what was asked.
    if e.hello.is_none() {
        return (Outcome::Incomplete, stopped());
    }
    let waited = now - e.hello.as_ref().map_or(e.started, |hello| hello.when);
    let latest = facts.latest.client.map_or(e.started, |latest| latest.when);
    let persisted = latest - e.hello.as_ref().map_or(e.started, |hello| hello.when);
    let resent = e.tcp.repeats.client.as_ref().map_or(0, |repeats| repeats.value);
    if e.tcp.packets.server == 0 {
        // The client's further packets show that it was answered.
        let one_sided = facts.handshakes.client.is_some() || facts.one_rtt.client.is_some();
        let outcome = if one_sided {
            Outcome::Incomplete
        } else if facts.version.is_reserved() {
            // Who begins so asks which versions there are.
            Outcome::Abandoned
        } else if !e.tcp.icmp.is_empty() || resent >= 2 && persisted >= PATIENCE {
            return (Outcome::Failed, silence(e, now));
        } else if capture_ended && waited < PATIENCE {
            Outcome::Incomplete
        } else {
            Outcome::Abandoned
        };
        return (outcome, stopped());
    }
    // The server speaks no version of the client's, and the client left it at that.
    if let Some(offered) = &facts.negotiation
        && e.server_hello.is_none()
        && !facts.version.is_reserved()
        && !offered.value.contains(&facts.version)
    {
        let quiet = now - e.ended >= PATIENCE || !capture_ended;
        return (if quiet { Outcome::Failed } else { Outcome::Incomplete }, stopped());
    }
    // What was sent to a program that is gone its host answers by ICMP.
    let client_gone = e.tcp.icmp.iter().any(|error| error.value.hop.src == e.client.addr);
    if let Some(latest) = rejected(e, facts, now) {
        let len = u16::try_from(latest.len).unwrap_or(u16::MAX);
        return (
            Outcome::Failed,
            Seen::new(Ending::SealedAlert { from: Side::Client, len }, latest.no, latest.when),
        );
    }
    if client_gone {
        return (Outcome::Abandoned, stopped());
    }
    let answered = e.server_hello.is_some() || e.retry.is_some();
    // Both go on, and neither gets further.
    let stuck = resent >= 2 && persisted >= PATIENCE;
    if stuck || !answered && resent >= 2 && persisted >= TRIED && now - e.ended >= UNANSWERED {
        return (Outcome::Failed, silence(e, now));
    }
    (if capture_ended { Outcome::Incomplete } else { Outcome::Abandoned }, stopped())
}

/// A CONNECTION_CLOSE that could be read.
fn closed(close: &Seen<Closed>) -> (Outcome, Seen<Ending>) {
    let Closed { from, code, .. } = close.value;
    if let Some(description) = Close::alert(code) {
        let description = AlertDescription(description);
        let farewell =
            [AlertDescription::CLOSE_NOTIFY, AlertDescription::USER_CANCELED].contains(&description);
        let alert = Alert { level: AlertLevel::FATAL, description };
        let ending = close.clone().map(|_| Ending::Alert { from, alert });
        return (if farewell { Outcome::Abandoned } else { Outcome::Failed }, ending);
    }
    // An application that leaves before its keys are there says no more than that.
    let left = code == Close::NO_ERROR || code == Close::APPLICATION && from == Side::Client;
    let ending = close.clone().map(|_| Ending::ConnectionClose { from, code });
    (if left { Outcome::Abandoned } else { Outcome::Failed }, ending)
}

/// The client's last word is a Handshake packet of a close's size, no 1-RTT packet stands behind it, and the server, which
/// would send its flight again if it waited for the client's Finished, is silent too.
fn rejected(e: &Evidence, facts: &QuicFacts, now: Stamp) -> Option<Latest> {
    let latest = facts.latest.client.filter(|latest| latest.handshake && !latest.one_rtt)?;
    let finished = facts.one_rtt.client.is_some();
    let by_size = CLOSING.contains(&latest.len);
    let silent = facts.latest.server.is_none_or(|server| server.when - latest.when < CROSSING)
        && now - e.ended >= HEARD;
    let flight = e.server_hello.is_some() && facts.handshakes.server.is_some();
    // Where keys opened it, what it says counts.
    (by_size && silent && flight && !finished && !e.is_open()).then_some(latest)
}

/// The client's hello, and that nothing useful came.
fn silence(e: &Evidence, now: Stamp) -> Seen<Ending> {
    let at: Packets = e.hello.as_ref().map_or_else(|| e.first.into(), |hello| hello.at.clone());
    let since = e.hello.as_ref().map_or(e.started, |hello| hello.when);
    Seen { value: Ending::Silence { lasted: now - since }, at, when: e.ended }
}
