//! Requests for revocation status, as events show them.

use super::handshake::{endpoint, packets};
use super::json::{Object, object, string};
use super::{SCHEMA, Spread};
use crate::base::Seen;
use crate::evidence::around::{Answer, StatusExchange};
use crate::tls::cert::Certificate;
use crate::tls::ocsp::{self, Status, reason_word};
use crate::tls::signature::Verdict;
use std::sync::Arc;

/// How many there were, and how long answers took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    /// Requests.
    pub exchanges: u64,
    /// Of them, with an answer.
    pub answered: u64,
    /// Lists among the answers.
    pub lists: u64,
    /// From the request to the whole answer.
    pub took: Spread,
}

/// Appends the event of a request and its answer, a line of JSON. `certificates`: those asked about, where they are known.
pub fn status(
    seen: &Seen<StatusExchange>,
    certificates: &[Option<Arc<Certificate>>],
    capture: &str,
    out: &mut Vec<u8>,
) {
    let exchange = &seen.value;
    object(out, |o| {
        o.string("schema", SCHEMA);
        o.string("kind", "revocation");
        o.display("ts", &exchange.ended);
        o.display("first_ts", &seen.when);
        o.string("capture", capture);
        endpoint("client", Some(exchange.client), o);
        endpoint("responder", Some(exchange.responder), o);
        o.word("method", exchange.method.word());
        o.string("url", &exchange.url);
        o.maybe_integer("http_status", exchange.status.map(i64::from));
        o.word("answer", answer(exchange));
        let of = |id: &ocsp::CertId, place: usize| {
            certificates.get(place).cloned().flatten().filter(|cert| id.is_of(cert))
        };
        o.array("certificates", exchange.ids.iter().enumerate(), |(place, id), out| {
            object(out, |o| {
                o.string("serial", &id.serial);
                o.maybe_string("subject", of(id, place).as_deref().map(|cert| cert.subject.as_str()));
                let told = exchange.response().and_then(|response| {
                    response.answers.iter().find(|answer| answer.id.serial == id.serial)
                });
                told_of(told, o);
            });
        });
        o.maybe("list", exchange.crl(), |crl, out| {
            object(out, |o| {
                o.unsigned("entries", crl.len() as u64);
                o.unsigned("bytes", crl.size() as u64);
                o.boolean("partial", crl.partial);
                o.display("this_update", &crl.this_update);
                o.maybe("next_update", crl.next_update, |stamp, out| super::json::display(&stamp, out));
            });
        });
        o.maybe(
            "produced_at",
            exchange.response().and_then(|response| response.produced_at),
            |stamp, out| {
                super::json::display(&stamp, out);
            },
        );
        o.word(
            "signature",
            match exchange.signed {
                Some(Verdict::Good) => "good",
                Some(Verdict::Bad) => "bad",
                _ => "unknown",
            },
        );
        o.word(
            "nonce",
            match exchange.same_nonce() {
                Some(true) => "same",
                Some(false) => "differs",
                None => "absent",
            },
        );
        o.maybe_integer("first_byte_us", exchange.first_byte_us);
        o.maybe_integer("took_us", exchange.took_us);
        packets(&seen.at, o);
    });
    out.push(b'\n');
}

/// A word for what came back.
fn answer(exchange: &StatusExchange) -> &'static str {
    match &exchange.answer {
        Answer::None => "none",
        Answer::Cut => "too_long",
        Answer::Other => "other",
        Answer::Ocsp(response) => response.outcome.name(),
        Answer::Crl(_) => "list",
    }
}

/// What was told of one certificate.
fn told_of(told: Option<&ocsp::Answer>, o: &mut Object<'_>) {
    let (word, revoked) = match told.map(|answer| answer.status) {
        Some(Status::Good) => (Some("good"), None),
        Some(Status::Unknown) => (Some("unknown"), None),
        Some(Status::Revoked { at, reason }) => (Some("revoked"), Some((at, reason))),
        None => (None, None),
    };
    o.maybe_word("status", word);
    o.maybe("revoked_at", revoked.map(|(at, _)| at), |stamp, out| super::json::display(&stamp, out));
    o.maybe("reason", revoked.and_then(|(_, reason)| reason), |reason, out| string(reason_word(reason), out));
    o.maybe("this_update", told.map(|answer| answer.this_update), |stamp, out| {
        super::json::display(&stamp, out)
    });
    o.maybe("next_update", told.and_then(|answer| answer.next_update), |stamp, out| {
        super::json::display(&stamp, out);
    });
}

/// Appends the member `revocation` of statistics.
pub(super) fn statuses(statuses: &Statuses, o: &mut Object<'_>) {
    o.object("revocation", |o| {
        o.unsigned("exchanges", statuses.exchanges);
        o.unsigned("answered", statuses.answered);
        o.unsigned("lists", statuses.lists);
        let micros = |span: crate::base::Span| (statuses.took.count > 0).then(|| span.micros());
        o.maybe_integer("p50_us", micros(statuses.took.p50));
        o.maybe_integer("p99_us", micros(statuses.took.p99));
        o.maybe_integer("max_us", micros(statuses.took.max));
    });
}
