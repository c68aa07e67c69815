//! Of lookups that gave no address.

use super::super::{Certainty, Finding, Judgement, Party};
use super::list;
use crate::aside::dns::{DnsAnswer, ExtendedError, Rcode, qtype};
use crate::base::{Addr, Packets, Seen};
use crate::evidence::Evidence;
use crate::evidence::around::Unanswered;

/// Judges a lookup.
pub(super) fn judge(e: &Evidence) -> Judgement {
    let around = &e.around;
    // A resolver may refuse kinds of records that it does not know; addresses are what matters.
    let of_address = |answer: &&Seen<DnsAnswer>| answer.value.qtype != qtype::HTTPS;
    let weigh = |answer: &&Seen<DnsAnswer>| (!of_address(answer), weight(&answer.value));
    let Some(answer) = around.answers.iter().min_by_key(weigh) else {
        return match &around.unanswered {
            Some(silence) => Judgement::Found(unanswered(e, silence)),
            None => Judgement::Blind("no DNS answer for the name is in the capture"),
        };
    };
    let mut answers = Packets::none();
    around.answers.iter().for_each(|answer| answers.add_all(&answer.at));
    // Without a trace of TLS, another protocol may have been meant.
    let sure = around.for_tls.is_some() && !around.cut_short;
    let inferred = if sure { Certainty::Inferred } else { Certainty::Suspected };
    if let Some(rival) = around.rivals.first() {
        let (_, says) = refusal(&rival.first);
        let finding = Finding::new(inferred, "spoofed_answer", Party::Path, &rival.first.at, says);
        let other = format!("a second answer to the same question gave {}", list(&rival.second));
        return Judgement::Found(for_tls(e, finding.and(&rival.second.at, other)));
    }
    // The same question without validation has an answer.
    let unchecked = around.answers.iter().find(|other| other.value.unchecked && other.value.has_address());
    if let Some(unchecked) = unchecked.filter(|_| answer.value.rcode == Rcode::SERVFAIL.0) {
        let says = format!("the resolver could not resolve {}", answer.value.name);
        let other = format!("asked not to validate, it gave {}", list(unchecked));
        let finding = Finding::new(inferred, "dnssec_bogus", Party::Server, &answer.at, says);
        return Judgement::Found(for_tls(e, finding.and(&unchecked.at, other)));
    }
    let (reason, says) = refusal(answer);
    // Where the client is sent to itself, it may serve what is not seen on the wire.
    let certainty = if sure && !answer.value.has_address() { Certainty::Proven } else { inferred };
    let party = if reason == "blocked" { Party::Path } else { Party::Server };
    Judgement::Found(for_tls(e, Finding::new(certainty, reason, party, &answers, says)))
}

fn for_tls(e: &Evidence, finding: Finding) -> Finding {
    match &e.around.for_tls {
        Some(seen) => finding.and(seen.at.clone(), seen.value.to_owned()),
        None => finding,
    }
}

/// The lower, the more an answer tells of why its client got nowhere.
fn weight(answer: &DnsAnswer) -> u8 {
    let error = answer.extended_error.map(ExtendedError);
    match Rcode(answer.rcode) {
        _ if error.is_some_and(ExtendedError::is_policy) => 0,
        // An address was given, so the client used it.
        _ if answer.has_address() && !answer.unchecked => 1,
        Rcode::SERVFAIL if error.is_some_and(ExtendedError::is_bogus) => 2,
        Rcode::NXDOMAIN => 3,
        Rcode::SERVFAIL => 4,
        Rcode::REFUSED => 5,
        _ => 6,
    }
}

/// The reason for which an answer keeps its client from the name, and what it says.
pub(super) fn refusal(answer: &Seen<DnsAnswer>) -> (&'static str, String) {
    let DnsAnswer { name, rcode, .. } = &answer.value;
    let error = answer.value.extended_error.map(ExtendedError);
    let words = answer.value.error_words().map(|words| format!(": {words}")).unwrap_or_default();
    let zone = match &answer.value.negative {
        Some((zone, _)) if zone.is_empty() => ", as the root zone says".to_owned(),
        Some((zone, seconds)) => format!(", as the zone {zone} says for {seconds} s"),
        None => String::new(),
    };
    match Rcode(*rcode) {
        _ if error.is_some_and(ExtendedError::is_policy) => {
            ("blocked", format!("the resolver withholds {name}{words}"))
        }
        Rcode::NXDOMAIN => ("nxdomain", format!("the resolver says that {name} does not exist{zone}")),
        Rcode::SERVFAIL if error.is_some_and(ExtendedError::is_bogus) => {
            ("dnssec_bogus", format!("the resolver found the signatures of {name} to be bogus{words}"))
        }
        Rcode::SERVFAIL => ("servfail", format!("the resolver could not resolve {name}{words}")),
        Rcode::REFUSED => ("refused", format!("the resolver will not answer for {name}{words}")),
        _ if answer.value.given().any(|address| address.ip().is_unspecified()) => {
            ("blocked", format!("the resolver gives {} for {name}, which leads nowhere", list(answer)))
        }
        _ if answer.value.has_address() => {
            ("private_address", format!("the resolver gives {} for {name}, the client itself", list(answer)))
        }
        _ => ("no_address", format!("{name} has no such record{zone}")),
    }
}

/// Nobody said anything.
fn unanswered(e: &Evidence, silence: &Seen<Unanswered>) -> Finding {
    let Unanswered { name, times: (four, six), resolvers, unreachable } = &silence.value;
    let whom: Vec<_> = resolvers.iter().map(Addr::to_string).collect();
    let says = format!("{} questions for {name} to {} and no answer", four + six, whom.join(", "));
    let certainty = match (&e.around.for_tls, unreachable) {
        (None, _) => Certainty::Suspected,
        _ if e.around.cut_short => Certainty::Suspected,
        (Some(_), None) => Certainty::Inferred,
        (Some(_), Some(_)) => Certainty::Proven,
    };
    let finding = Finding::new(certainty, "no_answer", Party::Path, &silence.at, says);
    let finding = match unreachable {
        Some(error) => {
            finding.and(&error.at, format!("{} says that the resolver cannot be reached", error.value))
        }
        None => finding,
    };
    for_tls(e, finding)
}
