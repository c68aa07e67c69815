//! What came of attempts, counted.

use std::collections::BTreeMap;

use serde_json::Value;

use super::judged::{Judged, Pair, failed, word};

/// The causes that the path gives; the others are the two ends'.
const NETWORK: [&str; 3] = ["firewall", "nat_drop", "dns_inconsistency"];

/// So many of so many; more is better.
pub type Figure = (usize, usize);

/// The bounds of Wilson's 95 % interval of a share, in percent.
pub fn wilson((right, of): Figure) -> (f64, f64) {
    let (share, n, z) = (right as f64 / of as f64, of as f64, 1.96_f64);
    let middle = share + z * z / (2.0 * n);
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    (100.0 * ((middle - half) / scale).max(0.0), 100.0 * ((middle + half) / scale).min(1.0))
}

pub fn percent((right, of): Figure) -> String {
    if of == 0 { "–".into() } else { format!("{right}/{of} {:.1} %", 100.0 * right as f64 / of as f64) }
}

/// At most so many in a million, 95 times in a hundred: by the rule of three where none of `of` was seen, else the upper
/// bound of Wilson's interval.
pub fn at_most_in_a_million(seen: usize, of: usize) -> f64 {
    match seen {
        0 => (3e6 / of as f64).min(1e6),
        _ => 1e4 * wilson((seen, of)).1,
    }
}

pub fn interval(figure: Figure) -> String {
    if figure.1 == 0 {
        return "–".into();
    }
    let (low, high) = wilson(figure);
    format!("{} ({low:.0}–{high:.0})", percent(figure))
}

/// One attempt with what is needed to count it.
pub struct Case<'a> {
    pub judged: &'a Judged,
    pub pair: &'a Pair,
}

impl Case<'_> {
    pub fn event(&self) -> Option<&Value> {
        self.pair.event.as_ref()
    }

    /// The cause that the label names.
    pub fn truth(&self) -> Option<&str> {
        self.pair.attempt.as_ref()?.cause.as_deref()
    }

    /// Whether the label allows a failure.
    pub fn may_fail(&self) -> bool {
        self.pair.attempt.as_ref().is_some_and(|attempt| attempt.has_outcome("failed"))
    }

    pub fn detected(&self) -> bool {
        self.event().is_some_and(failed)
    }

    /// The cause that was named.
    pub fn named(&self) -> Option<&str> {
        word(self.event()?, "cause")
    }

    /// Whether the network is blamed, as proven or inferred.
    pub fn blames_network(&self) -> bool {
        self.event().is_some_and(blames_network)
    }

    pub fn has_cause(&self, cause: &str) -> bool {
        self.pair.attempt.as_ref().is_some_and(|attempt| attempt.has_cause(cause))
    }

    pub fn right(&self) -> bool {
        self.named().is_some_and(|cause| self.has_cause(cause))
    }

    pub fn outcome_right(&self) -> bool {
        match (&self.pair.attempt, self.event()) {
            (Some(attempt), Some(event)) => attempt.has_outcome(word(event, "outcome").unwrap()),
            _ => false,
        }
    }

    /// Whether the true cause is the one named, or among the further findings or the candidates.
    pub fn kept(&self) -> bool {
        let Some(event) = self.event().filter(|event| failed(event)) else { return false };
        let also = list(event, "also").iter().filter_map(|finding| word(finding, "cause"));
        let candidates = list(event, "candidates").iter().filter_map(Value::as_str);
        self.right() || also.chain(candidates).any(|cause| self.has_cause(cause))
    }

    /// The group of a failed attempt: by the label's cause and vantage, else by what ServerHello chose and by the
    /// alert, both as the event reads them from the packets.
    pub fn group(&self) -> &'static str {
        let event = self.event().unwrap_or(&Value::Null);
        if self.truth().is_some_and(|cause| NETWORK.contains(&cause)) {
            return match self.judged.label.vantage.as_deref() {
                Some("outside") => "network, outside",
                _ => "network, inside",
            };
        }
        match word(&event["tls"], "version") {
            None => "no version chosen",
            Some("TLS 1.3") if event["alert"]["sealed"] == false => "TLS 1.3, alert in clear",
            Some("TLS 1.3") => "TLS 1.3, sealed",
            Some(_) => "TLS 1.2 and below",
        }
    }
}

/// Whether an event says of a firewall or a translator that it ended an attempt, as proven or inferred.
pub fn blames_network(event: &Value) -> bool {
    failed(event)
        && matches!(word(event, "cause"), Some("firewall" | "nat_drop"))
        && matches!(word(event, "certainty"), Some("proven" | "inferred"))
}

/// The items of a list of an event.
pub fn list<'a>(event: &'a Value, field: &str) -> &'a [Value] {
    event[field].as_array().map_or(&[], Vec::as_slice)
}

/// What came of some attempts.
#[derive(Default)]
pub struct Tally {
    /// Labelled as failed; of them reported so, given a cause, the right one, the right one still possible.
    pub failed: usize,
    pub detected: usize,
    pub named: usize,
    pub right: usize,
    pub kept: usize,
    /// Causes named, for whatever attempt, and the right ones.
    pub verdicts: usize,
    pub verdicts_right: usize,
    /// Labelled as not failed; of them not reported as failed.
    pub benign: usize,
    pub quiet: usize,
}

impl Tally {
    pub fn of<'a>(cases: impl IntoIterator<Item = &'a Case<'a>>) -> Self {
        let mut tally = Self::default();
        for case in cases {
            let named = case.named().is_some();
            if case.truth().is_some() {
                tally.failed += 1;
                tally.detected += usize::from(case.detected());
                tally.named += usize::from(named);
                tally.right += usize::from(case.right());
                tally.kept += usize::from(case.kept());
            } else {
                tally.benign += 1;
                tally.quiet += usize::from(!case.detected() || case.may_fail());
            }
            tally.verdicts += usize::from(named);
            tally.verdicts_right += usize::from(case.right());
        }
        tally
    }

    pub fn recall(&self) -> Figure {
        (self.right, self.failed)
    }

    pub fn precision(&self) -> Figure {
        (self.verdicts_right, self.verdicts)
    }

    pub const HEAD: &str = "| | failed | detected | given a cause | recall | precision | true cause kept, of the detected |\n\
                        |---|---:|---:|---:|---:|---:|---:|\n";

    pub fn row(&self, name: &str) -> String {
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} |\n",
            self.failed,
            percent((self.detected, self.failed)),
            percent((self.named, self.failed)),
            interval(self.recall()),
            interval(self.precision()),
            percent((self.kept, self.detected)),
        )
    }

    /// Its figures, under a name.
    pub fn figures(&self, name: &str, figures: &mut BTreeMap<String, Figure>) {
        figures.insert(format!("{name}: detected"), (self.detected, self.failed));
        figures.insert(format!("{name}: recall"), self.recall());
        figures.insert(format!("{name}: precision"), self.precision());
        figures.insert(format!("{name}: cause kept"), (self.kept, self.detected));
    }
}
