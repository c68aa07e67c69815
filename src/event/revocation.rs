//! An exchange about revocation as an event, and many of them counted.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::json::{self, Object, object};
use super::{Id, SCHEMA};
use crate::base::{Endpoint, Seen, Span};
use crate::evidence::around::StatusExchange;
use crate::tls::ocsp::{Status, reason_word};

/// The longest that is told apart, an hour; what took longer counts as that.
const LONGEST: u64 = 3_600_000_000;

/// What came of the exchanges of a run.
#[derive(Clone, Debug, Default)]
pub struct StatusTally {
    /// Exchanges.
    pub exchanges: u64,
    /// Of them, those with an answer.
    pub answered: u64,
    troubles: BTreeMap<&'static str, u64>,
    /// Request to the answer's first byte, in microseconds; made by the first record.
    rtt: Option<Histogram<u64>>,
}

impl StatusTally {
    /// Counts one.
    pub fn add(&mut self, exchange: &StatusExchange) {
        self.exchanges += 1;
        if let Some(trouble) = exchange.trouble() {
            *self.troubles.entry(trouble.word()).or_default() += 1;
        }
        let Some(took) = exchange.took_us else { return };
        self.answered += 1;
        if self.rtt.is_none() {
            self.rtt = Histogram::new_with_bounds(1, LONGEST, 2).ok();
        }
        if let Some(rtt) = &mut self.rtt {
            let took = exchange.first_us.unwrap_or(took);
            rtt.saturating_record(u64::try_from(took).unwrap_or(0).clamp(1, LONGEST));
        }
    }

    /// Half of the answers began within this, 99 of a hundred, and all.
    pub fn round_trips(&self) -> Option<(Span, Span, Span)> {
        let rtt = self.rtt.as_ref()?;
        let span = |micros: u64| Span(i64::try_from(micros).unwrap_or(i64::MAX));
        Some((span(rtt.value_at_quantile(0.5)), span(rtt.value_at_quantile(0.99)), span(rtt.max())))
    }

    /// What went wrong, and how often.
    pub fn troubles(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.troubles.iter().map(|(word, count)| (*word, *count))
    }

    pub(super) fn write(&self, o: &mut Object<'_>) {
        o.unsigned("exchanges", self.exchanges);
        o.unsigned("answered", self.answered);
        let times = self.round_trips();
        let micros = |span: Option<Span>| span.map(Span::micros);
        o.maybe_integer("p50_us", micros(times.map(|times| times.0)));
        o.maybe_integer("p99_us", micros(times.map(|times| times.1)));
        o.maybe_integer("max_us", micros(times.map(|times| times.2)));
        o.object("failures", |o| self.troubles().for_each(|(word, count)| o.unsigned(word, count)));
    }
}

/// What is known of an exchange beside itself.
#[derive(Clone, Copy, Debug)]
pub struct StatusKnown<'a> {
    /// The subjects of the certificates asked about.
    pub subjects: &'a [Option<String>],
    /// `good`, `bad` or `unknown`.
    pub signature: &'static str,
    /// Attempts that waited for it.
    pub waited_for: &'a [Id],
    /// File or interface.
    pub capture: &'a str,
}

/// Appends the event of an exchange about revocation, a line of JSON.
pub fn revocation(seen: &Seen<StatusExchange>, known: &StatusKnown<'_>, out: &mut Vec<u8>) {
    let exchange = &seen.value;
    object(out, |o| {
        o.string("schema", SCHEMA);
        o.string("kind", "revocation");
        o.display("ts", &seen.when);
        o.display("end_ts", &exchange.ended);
        o.string("capture", known.capture);
        o.object("client", |o| end(exchange.client, o));
        o.object("responder", |o| end(exchange.responder, o));
        o.word("method", exchange.method.word());
        o.string("host", &exchange.host);
        o.maybe_string("target", Some(exchange.target.as_str()).filter(|target| !target.is_empty()));
        o.array("asked", exchange.asked.iter().enumerate(), |(n, id), out| {
            object(out, |o| {
                o.string("serial", &id.serial);
                json::hex_string(&id.issuer_name_hash, o.key("issuer_name_hash"));
                json::hex_string(&id.issuer_key_hash, o.key("issuer_key_hash"));
                o.maybe_string("subject", known.subjects.get(n).and_then(Option::as_deref));
            });
        });
        let status = exchange.status.filter(|status| *status > 0);
        o.maybe_integer("http_status", status.map(i64::from));
        o.word("outcome", outcome(exchange));
        let response = exchange.response.as_ref();
        o.maybe_word("ocsp_status", response.map(|response| response.outcome.name()));
        o.array("answers", response.into_iter().flat_map(|response| &response.answers), |answer, out| {
            object(out, |o| {
                o.string("serial", &answer.id.serial);
                o.word("status", word(answer.status));
                let (at, reason) = match answer.status {
                    Status::Revoked { at, reason } => (Some(at), reason),
                    _ => (None, None),
                };
                o.maybe("revoked_at", at, |at, out| json::display(&at, out));
                o.maybe_word("reason", reason.map(reason_word));
                o.display("this_update", &answer.this_update);
                o.maybe("next_update", answer.next_update, |next, out| json::display(&next, out));
            });
        });
        let produced = response.and_then(|response| response.produced_at);
        o.maybe("produced_at", produced, |at, out| json::display(&at, out));
        o.maybe("crl", exchange.crl.as_ref(), |crl, out| {
            object(out, |o| {
                o.maybe_string("number", crl.number.as_deref());
                o.unsigned("entries", crl.len() as u64 + crl.dropped);
                o.boolean("delta", crl.delta);
                o.boolean("indirect", crl.indirect);
                o.boolean("partial", !crl.scope.is_empty());
                o.display("this_update", &crl.this_update);
                o.maybe("next_update", crl.next_update, |next, out| json::display(&next, out));
            });
        });
        o.word("signature", known.signature);
        o.maybe_word("nonce", nonce(exchange));
        o.maybe_integer("rtt_us", exchange.first_us);
        o.maybe_integer("took_us", exchange.took_us);
        o.array("waited_for", known.waited_for, json::display);
        o.array("packets", seen.at.iter(), |no, out| json::unsigned(no.0, out));
    });
    out.push(b'\n');
}

fn end(end: Endpoint, o: &mut Object<'_>) {
    o.display("ip", &end.addr.ip());
    o.unsigned("port", u64::from(end.port));
}

/// What came of it in a word: what went wrong, else the worst that the answer says.
fn outcome(exchange: &StatusExchange) -> &'static str {
    if let Some(trouble) = exchange.trouble() {
        return trouble.word();
    }
    let answers = exchange.response.iter().flat_map(|response| &response.answers);
    let worst = answers.map(|answer| answer.status).max_by_key(|status| match status {
        Status::Good => 0,
        Status::Unknown => 1,
        Status::Revoked { .. } => 2,
    });
    match (worst, &exchange.crl) {
        (Some(worst), _) => word(worst),
        (None, Some(_)) => "list",
        (None, None) => "cut",
    }
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Good => "good",
        Status::Revoked { .. } => "revoked",
        Status::Unknown => "unknown",
    }
}

/// How the nonces compare; `None` where none was asked for.
fn nonce(exchange: &StatusExchange) -> Option<&'static str> {
    exchange.nonce.as_ref()?;
    let answered = exchange.response.as_ref().and_then(|response| response.nonce.as_ref());
    Some(match answered {
        Some(_) if exchange.nonce_differs() => "differs",
        Some(_) => "same",
        None => "unanswered",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;

    #[test]
    fn exchanges_are_counted_by_what_came_of_them() {
        let mut tally = StatusTally::default();
        fixture::exchanges().iter().for_each(|exchange| tally.add(&exchange.value));
        assert_eq!((tally.exchanges, tally.answered), (3, 2));
        assert_eq!(tally.troubles().collect::<Vec<_>>(), [("unanswered", 1)]);
        let (p50, _, max) = tally.round_trips().unwrap();
        // A histogram of two digits.
        assert!((p50.micros() - 20_000).abs() < 200 && (max.micros() - 20_000).abs() < 200);
    }

    #[test]
    fn the_worst_that_an_answer_says_is_its_outcome() {
        let outcomes: Vec<_> = fixture::exchanges().iter().map(|exchange| outcome(&exchange.value)).collect();
        assert_eq!(outcomes, ["revoked", "unanswered", "list"]);
    }
}
