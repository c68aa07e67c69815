//! How an attempt ended, read from its facts alone: before, and apart from, any cause.

use super::rejection::{goodbye, shows_certificate};
use super::{Chain, Ending, Evidence, Outcome};
use crate::base::{Packets, Seen, Side, Span, Stamp};
use crate::tls::codes::{AlertDescription, AlertLevel, Version};
use crate::tls::sealed::{SealedRecord, looks_like_alert, looks_like_finished};

/// What the attempt alone does not hold: the clock when it was closed, and what was said in clear.
#[derive(Debug)]
pub struct Lookout<'a> {
    /// Capture time now.
    pub now: Stamp,
    /// The capture stopped; the attempt did not.
    pub capture_ended: bool,
    /// The server's port is one on which attempts are TLS even without a byte.
    pub tls_port: bool,
    /// First bytes in clear by the server.
    pub server_said: &'a [u8],
    /// First bytes in clear by the client.
    pub client_said: &'a [u8],
}

/// SYNs resent for less than this may still be answered: people and programs wait longer.
const PATIENCE: Span = Span::from_secs(3);
/// A client that leaves this long after an unanswered hello waited for it; sooner, it changed its mind.
const WAITED: Span = Span::from_secs(5);
/// What was lost by chance on its way to the client has come again by then.
const STUCK: Span = Span::from_secs(2);
/// A server that says nothing to a hello for this long will not answer.
const UNANSWERED: Span = Span::from_secs(10);
/// Bytes that a server may send unasked: two tickets or so, larger where they hold a client's certificate.
const MOST_UNASKED: u64 = 8 << 10;
/// An alert that closes an idle connection comes later after Finished than one that rejects it.
pub(super) const AT_ONCE: Span = Span::from_secs(1);

/// Application data has flowed behind a handshake: nothing that follows can make it fail.
pub fn carries_data(evidence: &Evidence) -> bool {
    let sealing = &evidence.sealing;
    let data = &sealing.application;
    // What a server says to a client that is silent may all be session tickets of TLS 1.3, or HTTP/2's first frames.
    let of_use = data.server > 0 && data.client > 0 || data.server > MOST_UNASKED;
    let finished = &sealing.finished;
    match evidence.version() {
        // A TLS 1.3 server answers the client's Finished with tickets or data, or rejects with an alert.
        Some(version) if version.is_tls13() => finished.client.is_some() && of_use,
        _ => {
            // A client may send data before the server's Finished (RFC 7918); a server sends none before its own,
            // which a capture may lack.
            data.client > 0 && finished.client.is_some() && finished.server.is_some()
                || of_use && (finished.client.is_some() || data.client > 0)
        }
    }
}

/// Whether anything of TLS was seen.
pub fn speaks_tls(evidence: &Evidence) -> bool {
    evidence.hello.is_some() || evidence.server_hello.is_some() || evidence.retry.is_some()
}

/// Writes `outcome` and `ending`.
pub fn settle(evidence: &mut Evidence, look: &Lookout<'_>) {
    let (outcome, ending) = read(evidence, look);
    evidence.outcome = outcome;
    evidence.ending = ending;
}

fn read(e: &Evidence, look: &Lookout<'_>) -> (Outcome, Seen<Ending>) {
    if let Some(settled) = super::upgrade::settle(e, look) {
        return settled;
    }
    if !speaks_tls(e) {
        return if e.tcp.bytes.client == 0 && e.tcp.bytes.server == 0 {
            tcp_only(e, look)
        } else {
            no_hello(e, look)
        };
    }
    if carries_data(e) {
        return (success(e), Seen::new(Ending::WentOn, e.last, e.ended));
    }
    let first_close = first_close(e);
    if plain_text(e, look) {
        let said = look
            .server_said
            .iter()
            .take(40)
            .map(|&byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' })
            .collect();
        return (Outcome::Failed, Seen::new(Ending::PlainText { said }, e.last, e.ended));
    }
    if let Some(ending) = alert(e, first_close.as_ref()) {
        return ending;
    }
    // Begun in the middle: what came before may explain everything.
    let begun_in_the_middle = e.hello.is_none() && e.tcp.syn.is_none();
    if e.tcp.packets.client == 0 || begun_in_the_middle {
        return (Outcome::Incomplete, closing(e, look));
    }
    if e.tcp.packets.server == 0 {
        return client_only(e, look);
    }
    // A client that rejects behind its own Finished (NSS): its alert crosses the server's Finished.
    if let Some(server) = &e.sealing.finished.server
        && let Some(ending) = client_sealed_alert(e)
        && crossed(e, server, &ending)
        && e.version().is_some_and(|version| !version.is_tls13())
    {
        return (Outcome::Failed, ending);
    }
    if finished(e) {
        return after_finished(e, first_close, look);
    }
    // Behind the server's close it is a goodbye.
    let server_left = first_close.as_ref().filter(|close| {
        matches!(close.value, Ending::Fin { from: Side::Server } | Ending::Reset { from: Side::Server })
    });
    if let Some(ending) = client_sealed_alert(e)
        && server_left.is_none_or(|close| ending.at.first() < close.at.first())
    {
        return (Outcome::Failed, ending);
    }
    // What the capture lacks may have said more.
    if e.lost.gap_bytes > 0 || e.tcp.unseen.client > 0 || e.tcp.unseen.server > 0 {
        return (Outcome::Incomplete, closing(e, look));
    }
    match first_close {
        Some(close) => closed(e, close, look),
        None => unanswered(e, look),
    }
}

/// Whether the client sent its sealed alert before it can have seen the server's Finished: it had not acknowledged it.
/// On the client's side of a path the alert comes first, on the server's side behind it.
fn crossed(e: &Evidence, finished: &Seen<()>, alert: &Seen<Ending>) -> bool {
    let (Some((read, captured)), Some(before)) = (e.sealing.alert_behind, e.sealing.finished_behind) else {
        return false;
    };
    if alert.at.last() < finished.at.last() { read <= captured } else { read <= before }
}

/// Bytes of a record with its header.
fn wire_len(record: &SealedRecord) -> u64 {
    u64::from(record.len) + 5
}

/// Completed, or resumed where no certificate was sent.
fn success(e: &Evidence) -> Outcome {
    let resumed = match &e.server_hello {
        Some(hello) if hello.value.version.is_tls13() => hello.value.psk,
        _ => {
            // RFC 5246 section 7.3: in an abbreviated handshake the server finishes first.
            e.chain == Chain::Unsent
                && match (&e.sealing.ccs.server, &e.sealing.ccs.client) {
                    (Some(server), Some(client)) => server.at.first() < client.at.first(),
                    _ => false,
                }
        }
    };
    if resumed { Outcome::Resumed } else { Outcome::Completed }
}

pub(super) fn finished(e: &Evidence) -> bool {
    let sealing = &e.sealing;
    sealing.finished.client.is_some() && sealing.finished.server.is_some()
}

/// The first FIN or reset, and who sent it.
pub(super) fn first_close(e: &Evidence) -> Option<Seen<Ending>> {
    let fins = [Side::Client, Side::Server].into_iter().filter_map(|from| {
        let fin = e.tcp.fin.of(from).as_ref()?;
        Some(fin.clone().map(|()| Ending::Fin { from }))
    });
    let resets =
        e.tcp.resets.iter().map(|reset| reset.clone().map(|reset| Ending::Reset { from: reset.from }));
    fins.chain(resets).min_by_key(|close| close.at.first())
}

/// The last word for attempts that just stopped.
fn closing(e: &Evidence, look: &Lookout<'_>) -> Seen<Ending> {
    first_close(e).unwrap_or_else(|| stopped(e, look.now, look.capture_ended))
}

/// Nobody said that it ends.
pub(super) fn stopped(e: &Evidence, now: Stamp, capture_ended: bool) -> Seen<Ending> {
    let silence = Ending::Silence { lasted: now - e.ended };
    Seen::new(if capture_ended { Ending::CaptureEnded } else { silence }, e.last, e.ended)
}

fn silence(e: &Evidence, look: &Lookout<'_>) -> Seen<Ending> {
    let at: Packets = match &e.hello {
        Some(hello) => hello.at.clone(),
        None => e.tcp.syn.as_ref().map_or_else(|| e.last.into(), |syn| syn.at.clone()),
    };
    let since = e.hello.as_ref().map(|hello| hello.when).or(e.tcp.syn.as_ref().map(|syn| syn.when));
    Seen { value: Ending::Silence { lasted: look.now - since.unwrap_or(e.ended) }, at, when: e.ended }
}

/// No byte of payload by anybody.
fn tcp_only(e: &Evidence, look: &Lookout<'_>) -> (Outcome, Seen<Ending>) {
    let tcp = &e.tcp;
    let Some(syn) = &tcp.syn else { return (Outcome::Incomplete, closing(e, look)) };
    let tried = look.now - syn.when;
    let reset_by = |side| tcp.resets.iter().any(|reset| reset.value.from == side);
    let persistent = tcp.syns >= 3 || (tcp.syns >= 2 && tried >= PATIENCE);
    if tcp.syn_ack.is_none() {
        return if reset_by(Side::Server) {
            // A scanner's SYN is bare; a program's SYN carries SACK and timestamps.
            let outcome = if tcp.syn_rich { Outcome::Failed } else { Outcome::Abandoned };
            (outcome, closing(e, look))
        } else if persistent || !tcp.icmp.is_empty() {
            (Outcome::Failed, silence(e, look))
        } else if look.capture_ended && tried < PATIENCE {
            (Outcome::Incomplete, closing(e, look))
        } else {
            (Outcome::Abandoned, silence(e, look))
        };
    }
    // Either side repeats itself for long: what it says does not get through.
    let kept_answering = tcp.syn_rich && tcp.syn_acks >= 3 && tried >= PATIENCE && tcp.fin.server.is_none();
    let unheard = tcp.established.is_none()
        && tcp.syn_acks >= 2
        && (persistent || kept_answering)
        && !reset_by(Side::Client);
    // A FIN or an acknowledgment behind bytes that the server lacks as well.
    if headless(e) && waited_for_the_head(e, look) {
        return (Outcome::Failed, silence(e, look));
    }
    // Who is reset in its own name, and asks again, did not do it.
    let asked_again = tcp.syn_rich
        && tcp.resets.iter().any(|reset| {
            reset.value.from == Side::Client && tcp.last_syn.is_some_and(|last| last > reset.when)
        });
    if asked_again || unheard {
        return (Outcome::Failed, if unheard { silence(e, look) } else { closing(e, look) });
    }
    if first_close(e).is_none() && look.capture_ended {
        return (Outcome::Incomplete, closing(e, look));
    }
    (Outcome::Abandoned, closing(e, look))
}

/// Bytes were sent, and no hello is among them.
fn no_hello(e: &Evidence, look: &Lookout<'_>) -> (Outcome, Seen<Ending>) {
    let in_clear = !(look.client_said.is_empty() && look.server_said.is_empty());
    // A server of TLS answers a request in clear with an alert.
    let by_server = |seen: &Seen<super::AlertFrom>| seen.value.from == Side::Server;
    let misplaced = !look.client_said.is_empty()
        && super::prelude::may_upgrade(look.client_said) == Some(false)
        && e.tcp.hole.client.is_none()
        && e.alerts.iter().all(by_server);
    if look.tls_port && in_clear && (e.alerts.is_empty() || misplaced) {
        return (Outcome::NotTls, closing(e, look));
    }
    let close = closing(e, look);
    let client_left =
        matches!(close.value, Ending::Fin { from: Side::Client } | Ending::Reset { from: Side::Client });
    // A part of a hello that the server acknowledged and the client never went on with.
    let from_the_start =
        e.tcp.syn.as_ref().is_some_and(|syn| e.tcp.first_seq == Some(syn.value.wrapping_add(1)));
    if client_left && !in_clear && from_the_start && whole(e, Side::Client) && whole(e, Side::Server) {
        return (Outcome::Abandoned, close);
    }
    if headless(e) && waited_for_the_head(e, look) {
        return (Outcome::Failed, silence(e, look));
    }
    (Outcome::Incomplete, close)
}

/// The client's first bytes never came, the server says that it lacks them too, and has answered nothing.
fn headless(e: &Evidence) -> bool {
    e.tcp.hole.client.as_ref().is_some_and(|hole| hole.value == 0)
        && e.tcp.acked.server == Some(0)
        && e.tcp.bytes.server == 0
        // Beside its SYN/ACKs it has acknowledged again.
        && e.tcp.packets.server > e.tcp.syn_acks
        && e.tcp.established.is_some()
}

/// The capture went on while the head of the client's bytes stayed away.
fn waited_for_the_head(e: &Evidence, look: &Lookout<'_>) -> bool {
    let since = e.tcp.established.as_ref().map_or(e.started, |established| established.when);
    look.now - since >= PATIENCE
}

/// An alert in clear that ended it.
fn alert(e: &Evidence, close: Option<&Seen<Ending>>) -> Option<(Outcome, Seen<Ending>)> {
    let farewell =
        |d: AlertDescription| d == AlertDescription::CLOSE_NOTIFY || d == AlertDescription::USER_CANCELED;
    let harmless = |d: AlertDescription| {
        farewell(d) || d == AlertDescription::NO_RENEGOTIATION || d == AlertDescription::UNRECOGNIZED_NAME
    };
    let fatal = e
        .alerts
        .iter()
        .find(|seen| seen.value.alert.level == AlertLevel::FATAL && !farewell(seen.value.alert.description));
    // Some stacks send certificate alerts as warnings and close: then the warning was the last word.
    let last_word = || {
        let seen = e.alerts.last()?;
        (close.is_some() && !finished(e) && !harmless(seen.value.alert.description)).then_some(seen)
    };
    let seen = fatal.or_else(last_word);
    let Some(seen) = seen else {
        let seen = e.alerts.iter().find(|seen| farewell(seen.value.alert.description))?;
        if finished(e) {
            return None;
        }
        let ending = Ending::Alert { from: seen.value.from, alert: seen.value.alert };
        return Some((Outcome::Abandoned, seen.clone().map(|_| ending)));
    };
    let ending = seen.clone().map(|said| Ending::Alert { from: said.from, alert: said.alert });
    // Behind the client's own FIN or reset, a server's alert is noise.
    let left_first = seen.value.from == Side::Server
        && close.is_some_and(|close| {
            matches!(close.value, Ending::Fin { from: Side::Client } | Ending::Reset { from: Side::Client })
                && close.at.first() < seen.at.first()
        });
    (!left_first).then_some((Outcome::Failed, ending))
}

/// Only the client's half is in the capture.
fn client_only(e: &Evidence, look: &Lookout<'_>) -> (Outcome, Seen<Ending>) {
    let went_on = e.client_key_exchange.is_some()
        || e.sealing.ccs.client.is_some()
        || !e.sealing.records.client.is_empty()
        || e.tcp.acked.client.is_some_and(|acked| acked > 0);
    let resent = e.tcp.repeats.client.as_ref().map_or(0, |repeats| repeats.value);
    if !went_on && resent >= 2 {
        return (Outcome::Failed, silence(e, look));
    }
    (Outcome::Incomplete, closing(e, look))
}

/// Both Finished were seen, and no data yet.
fn after_finished(e: &Evidence, close: Option<Seen<Ending>>, look: &Lookout<'_>) -> (Outcome, Seen<Ending>) {
    if let Some(version) = e.version()
        && version.is_tls13()
        && let Some(client) = &e.sealing.finished.client
        && let Some(hello) = &e.server_hello
    {
        let left = close.as_ref().is_some_and(|close| {
            matches!(close.value, Ending::Fin { from: Side::Client } | Ending::Reset { from: Side::Client })
        });
        // Who has sent tickets or data has taken the client's certificate: what follows is a goodbye.
        let behind = |record: &&SealedRecord| record.at > client.at.last().unwrap_or_default();
        // Nor is anything left to reject in a Finished alone: who is asked for a certificate sends one, be it empty
        // (RFC 9846 section 4.4.2).
        let asked = !e
            .sealing
            .records
            .client
            .iter()
            .find(|record| record.when >= hello.when)
            .is_some_and(|first| looks_like_finished(first.len, hello.value.cipher, version));
        let rejected = e.sealing.records.server.iter().find(behind).filter(|record| {
            asked
                && !e.is_open()
                && record.when - client.when < AT_ONCE
                && looks_like_alert(record.len, hello.value.cipher, version)
                && behind_flight(e, &record.at.into()) == 0
        });
        if let Some(record) = rejected
            && goodbye(e, Side::Client).is_none_or(|goodbye| goodbye.at > record.at)
            && whole(e, Side::Server)
            && (!left || e.sealing.application.client > 0)
        {
            let ending = Ending::SealedAlert { from: Side::Server, len: record.len };
            return (Outcome::Failed, Seen::new(ending, record.at, record.when));
        }
        // A server that has taken the client's certificate sends tickets or data; Node.js closes where it has not.
        if let Some(close) = close
            && matches!(
                close.value,
                Ending::Fin { from: Side::Server } | Ending::Reset { from: Side::Server }
            )
            && close.when - client.when < AT_ONCE
            && e.sealing.application.server == 0
            && shows_certificate(e)
            && whole(e, Side::Server)
        {
            return (Outcome::Failed, close);
        }
    }
    (success(e), closing(e, look))
}

/// A sealed record of an alert's size by the client in the place of its Finished, or behind it
/// where the server has not finished.
fn client_sealed_alert(e: &Evidence) -> Option<Seen<Ending>> {
    // What was opened is no matter of sizes.
    let hello = e.server_hello.as_ref().filter(|_| !e.is_open())?;
    let (cipher, version) = (hello.value.cipher, hello.value.version);
    // The Finished of either side (TLS 1.3: of the client) may be in what the capture lacks; then this is a goodbye.
    if !whole(e, Side::Client) || !version.is_tls13() && !whole(e, Side::Server) {
        return None;
    }
    let record = e.sealing.records.client.iter().find(|record| {
        let kind = if version.is_tls13() { 23 } else { 21 };
        record.content_type == kind
            && record.when >= hello.when
            && looks_like_alert(record.len, cipher, version)
    })?;
    // Who has finished has taken what the server sent, though the capture may lack its end: a goodbye.
    let accepted = e.sealing.finished.client.as_ref().filter(|_| version.is_tls13());
    if accepted.is_some_and(|finished| finished.at.last() <= Some(record.at)) {
        return None;
    }
    let ending = Ending::SealedAlert { from: Side::Client, len: record.len };
    Some(Seen::new(ending, record.at, record.when))
}

/// Whether the capture has every byte that this side is known to have sent.
pub(super) fn whole(e: &Evidence, side: Side) -> bool {
    *e.tcp.gap.of(side) == 0 && *e.tcp.unseen.of(side) == 0 && e.tcp.hole.of(side).is_none()
}

/// The client spoke TLS from the first byte, the server answered something else.
fn plain_text(e: &Evidence, look: &Lookout<'_>) -> bool {
    !look.server_said.is_empty()
        && e.tcp.syn_ack.is_some()
        && e.tcp.hole.server.is_none()
        // A command in clear that asked for TLS may be in what the capture lacks.
        && whole(e, Side::Client)
        && look.client_said.is_empty()
        && e.server_hello.is_none()
        && e.retry.is_none()
        && e.hello.is_some()
}

/// Somebody closed in the middle.
fn closed(e: &Evidence, close: Seen<Ending>, look: &Lookout<'_>) -> (Outcome, Seen<Ending>) {
    let by_server =
        matches!(close.value, Ending::Fin { from: Side::Server } | Ending::Reset { from: Side::Server });
    if by_server {
        return (Outcome::Failed, close);
    }
    let forged =
        e.tcp.resets.iter().any(|reset| reset.value.from == Side::Client && !reset.value.doubts.is_empty());
    if forged && matches!(close.value, Ending::Reset { .. }) {
        return (Outcome::Failed, close);
    }
    let resent = e.tcp.repeats.client.as_ref().map_or(0, |repeats| repeats.value);
    let waited = e.hello.as_ref().map_or(Span(0), |hello| close.when - hello.when);
    if e.server_hello.is_none() && e.retry.is_none() && !flight_stuck(e, close.when) {
        let answered_late = e.tcp.bytes.server > 0;
        let gave_up = waited >= WAITED || (resent >= 2 && waited >= Span::from_millis(1_500));
        // Data that goes on being resent behind the client's own FIN never arrived.
        let never_arrived = resent >= 3 && look.now - close.when >= PATIENCE;
        return if !answered_late && (gave_up || never_arrived) {
            (Outcome::Failed, silence(e, look))
        } else {
            (Outcome::Abandoned, close)
        };
    }
    let sent = e.tcp.sent_before_leave.unwrap_or(e.tcp.bytes.server);
    let sent = sent.saturating_sub(behind_flight(e, &close.at));
    let read_all = e.tcp.acked.client.is_some_and(|acked| acked >= sent);
    let before = |seen: &Packets| seen.last() < close.at.first();
    let flight_whole = match e.version() {
        Some(version) if version.is_tls13() && e.is_open() => {
            e.sealing.finished.server.as_ref().is_some_and(|seen| before(&seen.at))
        }
        Some(version) if version.is_tls13() => sealed_flight_whole(e, version, &close.at),
        _ => e.server_hello_done.as_ref().is_some_and(|done| before(&done.at)),
    };
    let silent = e.client_key_exchange.is_none() && e.sealing.records.client.is_empty();
    // Retransmissions that met no answer: the flight got stuck, the client gave up.
    let flight_resent = e.tcp.repeats.server.as_ref().map_or(0, |repeats| repeats.value) >= 2;
    let stuck =
        resent >= 3 || (flight_resent && !read_all && waited >= WAITED) || flight_stuck(e, close.when);
    if flight_whole && read_all && silent {
        return (Outcome::Failed, close);
    }
    if stuck {
        return (Outcome::Failed, silence(e, look));
    }
    (Outcome::Abandoned, close)
}

/// Bytes of the tickets that a TLS 1.3 server sent behind its Finished before `close`; a client that rejects need not
/// have seen them.
fn behind_flight(e: &Evidence, close: &Packets) -> u64 {
    let Some(hello) = e.server_hello.as_ref().filter(|hello| hello.value.version.is_tls13()) else {
        return 0;
    };
    let is_finished =
        |record: &&SealedRecord| looks_like_finished(record.len, hello.value.cipher, hello.value.version);
    let before = e.sealing.records.server.iter().filter(|record| Some(record.at) < close.first());
    before.skip_while(|record| !is_finished(record)).skip(1).map(wire_len).sum()
}

/// Whether the server's flight of TLS 1.3 was there before `close`: it ends with Finished, in a record of its own
/// where EncryptedExtensions has one.
fn sealed_flight_whole(e: &Evidence, version: Version, close: &Packets) -> bool {
    /// Longer than EncryptedExtensions alone: such a first record holds several messages.
    const SEVERAL: u16 = 300;
    let Some(hello) = &e.server_hello else { return false };
    let mut before = e.sealing.records.server.iter().filter(|record| Some(record.at) < close.first());
    // GnuTLS and Go send tickets behind it without waiting for the client's.
    let is_finished = |record: &SealedRecord| looks_like_finished(record.len, hello.value.cipher, version);
    before.next().is_some_and(|first| first.len > SEVERAL || is_finished(first) || before.any(is_finished))
}

/// A part of the server's flight never came while the client waited for it. What is lost by chance comes again
/// before: the first resends follow within a few hundred milliseconds (RFC 6298).
fn flight_stuck(e: &Evidence, until: Stamp) -> bool {
    let head = e.tcp.head.server.as_ref().is_some_and(|head| {
        let offset = head.value.offset;
        // Sent again and again, and the last word is that the client has what stands behind it.
        head.value.times >= 3
            && e.tcp.sacked.client.as_ref().is_some_and(|sacked| sacked.value.0 > offset)
            && e.tcp.acked.client.is_some_and(|acked| acked <= offset)
    });
    let since = e.hello.as_ref().map_or(e.started, |hello| hello.when);
    (e.tcp.hole.server.is_some() || head) && until - since >= STUCK
}

/// Nobody closed.
fn unanswered(e: &Evidence, look: &Lookout<'_>) -> (Outcome, Seen<Ending>) {
    let count = |side: Side| e.tcp.repeats.of(side).as_ref().map_or(0, |repeats| repeats.value);
    let since = e.hello.as_ref().map_or(e.started, |hello| hello.when);
    let waited = look.now - since;
    let resent = count(Side::Client).max(count(Side::Server));
    let answered = e.server_hello.is_some() || e.retry.is_some();
    let failed = (resent >= 2 && waited >= PATIENCE)
        || flight_stuck(e, look.now)
        || (!answered && look.now - e.ended >= UNANSWERED)
        || (e.tcp.syn_acks >= 3 && !answered && waited >= PATIENCE);
    if failed { (Outcome::Failed, silence(e, look)) } else { (Outcome::Incomplete, closing(e, look)) }
}
