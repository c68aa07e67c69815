//! How an attempt over DTLS ended, read from its facts alone.
//!
//! Nothing closes here: a side says an alert, or nothing more. A flight that is not answered is sent again after a second
//! and then after twice as long each time (RFC 6347 section 4.2.4); some stacks begin sooner.

use crate::base::{Packets, PerSide, Seen, Side, Span, Stamp};
use crate::evidence::{Chain, Ending, Evidence, Outcome};
use crate::tls::codes::{AlertDescription, AlertLevel};
use crate::tls::sealed::looks_like_alert;

/// A hello sent again for less than this may still be answered.
const PATIENCE: Span = Span::from_secs(3);
/// What was under way when an alert was sent comes within this.
const AT_ONCE: Span = Span::from_secs(1);

/// What the facts of an attempt do not hold.
#[derive(Debug)]
pub(super) struct Told {
    /// The server asked for a cookie.
    pub verify: Option<Seen<()>>,
    /// Each side's latest datagram that brought something new.
    pub news: PerSide<Option<Stamp>>,
}

/// Both finished, and data went both ways: nothing that follows can make it fail.
pub(super) fn carries_data(e: &Evidence) -> bool {
    finished(e) && e.sealing.application.client > 0 && e.sealing.application.server > 0
}

fn finished(e: &Evidence) -> bool {
    e.sealing.finished.client.is_some() && e.sealing.finished.server.is_some()
}

/// Writes `outcome` and `ending`.
pub(super) fn settle(e: &mut Evidence, told: &Told, now: Stamp, capture_ended: bool) {
    let (outcome, ending) = read(e, told, now, capture_ended);
    e.outcome = outcome;
    e.ending = ending;
}

fn read(e: &Evidence, told: &Told, now: Stamp, capture_ended: bool) -> (Outcome, Seen<Ending>) {
    let over = |ending| Seen::new(ending, e.last, e.ended);
    let stopped = || {
        let silence = Ending::Silence { lasted: now - e.ended };
        over(if capture_ended { Ending::CaptureEnded } else { silence })
    };
    let data = &e.sealing.application;
    if finished(e) && (data.client > 0 || data.server > 0) && !rejected_behind(e) {
        return (success(e), over(Ending::WentOn));
    }
    if let Some(ending) = alert(e) {
        return ending;
    }
    if e.hello.is_none() {
        return (Outcome::Incomplete, stopped());
    }
    if let Some(ending) = sealed_alert(e) {
        return (Outcome::Failed, ending);
    }
    if finished(e) {
        return (success(e), stopped());
    }
    let since = e.hello.as_ref().map_or(e.started, |hello| hello.when);
    let repeats = |side: Side| e.tcp.repeats.of(side).as_ref();
    let lasted = |side: Side| repeats(side).map_or(Span(0), |repeats| repeats.when - since);
    if e.tcp.packets.server == 0 {
        let went_on = e.client_key_exchange.is_some() || e.sealing.ccs.client.is_some();
        let tried = repeats(Side::Client).is_some_and(|repeats| repeats.value >= 2);
        return if went_on {
            (Outcome::Incomplete, stopped()) // one direction only
        } else if !e.tcp.icmp.is_empty() || tried && lasted(Side::Client) >= PATIENCE {
            (Outcome::Failed, silence(e, now))
        } else if capture_ended && now - since < PATIENCE {
            (Outcome::Incomplete, stopped())
        } else {
            (Outcome::Abandoned, stopped())
        };
    }
    // Who asked for a cookie has kept nothing, and waits for nothing.
    let asked_only = e.server_hello.is_none() && e.retry.is_none() && told.verify.is_some();
    let stuck = [Side::Client, Side::Server].into_iter().any(|side| {
        // Sent again and again, and nothing new came from the other side since.
        repeats(side).is_some_and(|repeats| {
            repeats.value >= 2
                && told.news.of(side.other()).is_none_or(|news| repeats.when - news >= PATIENCE)
        })
    });
    if stuck && (!asked_only || repeats(Side::Client).is_some_and(|repeats| repeats.value >= 2)) {
        return (Outcome::Failed, silence(e, now));
    }
    (if capture_ended { Outcome::Incomplete } else { Outcome::Abandoned }, stopped())
}

/// Completed, or resumed where no certificate was sent.
fn success(e: &Evidence) -> Outcome {
    let resumed = match &e.server_hello {
        Some(hello) if hello.value.version.is_tls13() => hello.value.psk,
        // RFC 5246 section 7.3: in an abbreviated handshake the server finishes first.
        _ => {
            e.chain == Chain::Unsent
                && matches!((&e.sealing.ccs.server, &e.sealing.ccs.client),
                    (Some(server), Some(client)) if server.at.first() < client.at.first())
        }
    };
    if resumed { Outcome::Resumed } else { Outcome::Completed }
}

/// A fatal alert in clear, or a warning that was the last word.
fn alert(e: &Evidence) -> Option<(Outcome, Seen<Ending>)> {
    let farewell =
        |d: AlertDescription| d == AlertDescription::CLOSE_NOTIFY || d == AlertDescription::USER_CANCELED;
    let fatal = e.alerts.iter().find(|seen| seen.value.alert.level == AlertLevel::FATAL);
    let last = || e.alerts.last().filter(|seen| seen.at.last() == Some(e.last) && !finished(e));
    let seen = fatal.or_else(last)?;
    let said = seen.value;
    let outcome = if !farewell(said.alert.description) {
        Outcome::Failed
    } else if finished(e) {
        return None;
    } else {
        Outcome::Abandoned
    };
    Some((outcome, seen.clone().map(|said| Ending::Alert { from: said.from, alert: said.alert })))
}

/// A sealed record of an alert's size by the client before the server's Finished, or in place of its own.
fn sealed_alert(e: &Evidence) -> Option<Seen<Ending>> {
    let hello = e.server_hello.as_ref()?;
    let tls13 = hello.value.version.is_tls13();
    let kind = if tls13 { 23 } else { 21 };
    let record = e.sealing.records.client.iter().find(|record| {
        record.content_type == kind && looks_like_alert(record.len, hello.value.cipher, hello.value.version)
    })?;
    let finished = if tls13 { &e.sealing.finished.client } else { &e.sealing.finished.server };
    let before = finished.as_ref().is_none_or(|finished| {
        finished.at.first() > Some(record.at) && finished.when - record.when < AT_ONCE
    });
    before.then(|| {
        let ending = Ending::SealedAlert { from: Side::Client, len: record.len };
        Seen::new(ending, record.at, record.when)
    })
}

/// Data that the server sent while the client's rejection was under way.
fn rejected_behind(e: &Evidence) -> bool {
    e.sealing.application.client == 0 && sealed_alert(e).is_some()
}

/// The hello, and that nothing useful came.
fn silence(e: &Evidence, now: Stamp) -> Seen<Ending> {
    let at: Packets = e.hello.as_ref().map_or_else(|| e.first.into(), |hello| hello.at.clone());
    let since = e.hello.as_ref().map_or(e.started, |hello| hello.when);
    Seen { value: Ending::Silence { lasted: now - since }, at, when: e.ended }
}
