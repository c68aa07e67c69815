//! Evidence and citations in a person's words.

use super::style::clean;
use crate::base::{Cite, Packets, Side};
use crate::cause::{Cause, Diagnosis, Finding};
use crate::evidence::{Ending, Evidence, Outcome, Stage, rejection};

/// `packet 6`, `packets 6, 8`, `packets 1–4, 9 …`; of two vantage points `packets 4, 5 inside, 3 outside`.
pub fn packets(packets: &Packets) -> String {
    let (outside, numbers): (Vec<_>, Vec<_>) = packets.iter().partition(|no| no.is_outside());
    let [numbers, outside] =
        [numbers, outside].map(|all| all.iter().map(|no| no.number()).collect::<Vec<_>>());
    match (numbers.is_empty(), outside.is_empty()) {
        (_, true) => numbered(&numbers),
        (true, false) => format!("{} outside", numbered(&outside)),
        (false, false) => format!("{} inside, {} outside", numbered(&numbers), ranges(&outside)),
    }
}

fn numbered(numbers: &[u64]) -> String {
    match numbers {
        [] => String::from("no packet"),
        [one] => format!("packet {one}"),
        _ => format!("packets {}", ranges(numbers)),
    }
}

/// Runs of three and more become `first–last`; at most four parts are shown.
fn ranges(numbers: &[u64]) -> String {
    const MOST: usize = 4;
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &no in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == no => *last = no,
            _ => runs.push((no, no)),
        }
    }
    let part = |&(first, last): &(u64, u64)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}–{last}"),
    };
    let mut text = runs.iter().take(MOST).map(part).collect::<Vec<_>>().join(", ");
    if runs.len() > MOST {
        text.push_str(" …");
    }
    text
}

/// Where a proof is to be seen.
pub fn cite(cite: &Cite) -> String {
    match cite {
        Cite::Packets(at) => packets(at),
        Cite::Silence { after, lasted } => format!("{lasted} of silence after {}", packets(after)),
    }
}

/// What ended an attempt, and at which step.
pub fn ending(evidence: &Evidence) -> String {
    let step = step(evidence.stage);
    if let Some(quiet) = rejection::quiet(evidence) {
        return quiet.to_owned();
    }
    match &evidence.ending.value {
        Ending::Alert { from, alert } => {
            format!("the {from} sent {} alert {} {step}", alert.level.word(), alert.description)
        }
        Ending::SealedAlert { from, len } => {
            format!("the {from} sent a sealed alert ({len} bytes, its content is encrypted) {step}")
        }
        Ending::ConnectionClose { from, code } => {
            format!("the {from} closed the connection with QUIC's error {code:#x} {step}")
        }
        Ending::Reset { from } => format!("a reset that bears the {from}'s address ended it {step}"),
        Ending::Fin { from } => format!("the {from} closed without an alert {step}"),
        Ending::Silence { lasted } => format!("nothing came for {lasted} {step}"),
        Ending::CaptureEnded => format!("the capture ended {step}"),
        Ending::NoAddress => String::from("the name had no address"),
        Ending::WentOn => String::from("it went on to carry data"),
        Ending::PlainText { said } => format!("the server answered in plain text: “{}”", clean(said)),
        Ending::Refused { said } => format!("the server refused TLS in clear: “{}”", clean(said)),
    }
}

/// The step after which it ended.
fn step(stage: Stage) -> &'static str {
    match stage {
        Stage::Dns => "at the lookup",
        Stage::Tcp => "before any byte of TLS",
        Stage::ClientHello => "after the ClientHello",
        Stage::ServerHello => "after the ServerHello",
        Stage::Certificate => "after the server's certificate",
        Stage::KeyExchange => "after the client's key exchange",
        Stage::Finished => "after a Finished",
        Stage::Application => "after application data",
    }
}

/// `expired_cert / leaf_expired`, or `undetermined`.
pub fn verdict(primary: Option<&(Cause, Finding)>) -> String {
    match primary {
        Some((cause, finding)) => format!("{} / {}", cause.word(), finding.reason),
        None => String::from("undetermined"),
    }
}

/// `proven, the server's fault`.
pub fn weight(finding: &Finding) -> String {
    let party = match finding.party {
        crate::cause::Party::Server => "the server's side",
        crate::cause::Party::Client => "the client's side",
        crate::cause::Party::Path => "on the path between",
    };
    format!("{}, {party}", finding.certainty.word())
}

/// `one of expired_cert, broken_chain`, or an empty text.
pub fn candidates(diagnosis: Option<&Diagnosis>) -> String {
    let words: Vec<_> =
        diagnosis.map_or(&[][..], |diagnosis| &diagnosis.candidates).iter().map(|c| c.word()).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => format!("perhaps {one}"),
        many => format!("one of {}", many.join(", ")),
    }
}

/// An outcome as a sentence has it.
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotTls => "not TLS",
        other => other.word(),
    }
}

/// An arrow from the sender's column.
pub fn arrow(from: Side, columns: usize) -> String {
    let shaft = "─".repeat(columns.saturating_sub(1));
    match from {
        Side::Client => format!("{shaft}▶"),
        Side::Server => format!("◀{shaft}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{PacketNo, Span};
    use crate::event::fixture;

    #[test]
    fn citations_read_like_a_sentence() {
        let of = |numbers: &[u64]| packets(&numbers.iter().map(|&no| PacketNo(no)).collect());
        assert_eq!(of(&[6]), "packet 6");
        assert_eq!(of(&[6, 8]), "packets 6, 8");
        assert_eq!(of(&[6, 7, 8, 11, 12]), "packets 6–8, 11, 12");
        assert_eq!(of(&[1, 3, 5, 7, 9]), "packets 1, 3, 5, 7 …");
        let silence = Cite::Silence { after: PacketNo(9).into(), lasted: Span::from_secs(30) };
        assert_eq!(cite(&silence), "30.0 s of silence after packet 9");
    }

    #[test]
    fn an_ending_says_who_did_what_and_when() {
        assert_eq!(
            ending(&fixture::expired()),
            "the client sent fatal alert certificate_expired (45) after the server's certificate"
        );
        assert_eq!(ending(&fixture::syn_dropped()), "nothing came for 30.0 s before any byte of TLS");
    }
}
