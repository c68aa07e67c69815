//! Every capture against the truth that its author wrote beside it.
//!
//! Printed whole with `cargo test --test labels -- --nocapture`: a table with a row per cause, then each
//! disagreement. What must hold whatever else: no wrong proof, and no failure where none was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use support::{Attempt, Label, captures, lab_roots, label, run};

/// Attempts whose outcome must be right, in percent.
const OUTCOMES_RIGHT: usize = 90;

/// What came of the attempts with one cause.
#[derive(Default)]
struct Row {
    labels: usize,
    outcome: usize,
    cause: usize,
    undetermined: usize,
    wrong: usize,
}

#[derive(Default)]
struct Account {
    rows: BTreeMap<String, Row>,
    disagreements: Vec<String>,
    wrong_proofs: Vec<String>,
    false_failures: Vec<String>,
    counts: usize,
}

/// Handshakes by capture, in order of their first packets.
fn handshakes(roots: &[String]) -> BTreeMap<String, Vec<Value>> {
    let mut args = vec!["read".to_owned(), "--json".to_owned()];
    args.extend_from_slice(roots);
    args.push("captures".to_owned());
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in run(&args).handshakes() {
        found.entry(event["capture"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    for events in found.values_mut() {
        events.sort_by_key(|event| event["ts"].as_str().unwrap().to_owned());
    }
    found
}

fn word<'a>(event: &'a Value, field: &str) -> Option<&'a str> {
    event[field].as_str()
}

/// What was said, for people.
fn said(event: &Value) -> String {
    let mut said = word(event, "outcome").unwrap().to_owned();
    if let Some(cause) = word(event, "cause") {
        said += &format!(
            " {cause}/{} {}",
            word(event, "reason").unwrap_or("-"),
            word(event, "certainty").unwrap_or("-")
        );
    }
    said
}

impl Attempt {
    fn told(&self) -> String {
        match &self.cause {
            None => self.outcome.clone(),
            Some(cause) => {
                format!("{} {cause}{}", self.outcome, if self.visible { "" } else { " (not visible)" })
            }
        }
    }

    fn has_outcome(&self, event: &Value) -> bool {
        let outcome = word(event, "outcome").unwrap();
        outcome == self.outcome || self.also_outcome.iter().any(|also| also == outcome)
    }

    fn has_cause(&self, cause: &str) -> bool {
        self.cause.as_deref() == Some(cause) || self.also.iter().any(|also| also == cause)
    }
}

impl Account {
    fn capture(&mut self, path: &Path, label: &Label, events: &[Value]) {
        let name = path.display();
        if label.attempts.len() == events.len() {
            for (attempt, event) in label.attempts.iter().zip(events) {
                self.attempt(path, attempt, event);
            }
            return;
        }
        // Which event belongs to which attempt is not known; what holds for all of them still must.
        self.counts += 1;
        let told: Vec<_> = label.attempts.iter().map(Attempt::told).collect();
        let line = format!(
            "{name}: {} attempts [{}], got {} [{}]",
            told.len(),
            told.join(", "),
            events.len(),
            events.iter().map(said).collect::<Vec<_>>().join(", ")
        );
        for attempt in &label.attempts {
            self.row(attempt).labels += 1;
        }
        let failed = events.iter().filter(|event| word(event, "outcome") == Some("failed"));
        let may_fail = label.attempts.iter().filter(|attempt| {
            attempt.outcome == "failed" || attempt.also_outcome.iter().any(|also| also == "failed")
        });
        if failed.clone().count() > may_fail.count() {
            self.false_failures.push(line.clone());
        }
        for event in failed.filter(|event| word(event, "certainty") == Some("proven")) {
            let cause = word(event, "cause").unwrap();
            if !label.attempts.iter().any(|attempt| attempt.has_cause(cause)) {
                self.wrong_proofs.push(line.clone());
            }
        }
        self.disagreements.push(line);
    }

    fn row(&mut self, attempt: &Attempt) -> &mut Row {
        let name = attempt.cause.clone().unwrap_or_else(|| format!("({})", attempt.outcome));
        self.rows.entry(name).or_default()
    }

    fn attempt(&mut self, path: &Path, attempt: &Attempt, event: &Value) {
        let line = format!(
            "{}: expected {}, got {} [id {}]",
            path.display(),
            attempt.told(),
            said(event),
            word(event, "id").unwrap()
        );
        let right = attempt.has_outcome(event);
        let failed = word(event, "outcome") == Some("failed");
        let cause = word(event, "cause");
        let proven = word(event, "certainty") == Some("proven");
        let row = self.row(attempt);
        row.labels += 1;
        row.outcome += usize::from(right);
        let mut disagrees = !right;
        if right && failed {
            match cause {
                None => {
                    row.undetermined += 1;
                    disagrees = attempt.visible;
                }
                Some(cause) if attempt.has_cause(cause) => row.cause += 1,
                Some(_) => {
                    row.wrong += 1;
                    disagrees = attempt.visible || proven;
                }
            }
        }
        if failed && !right {
            self.false_failures.push(line.clone());
        }
        if proven && !cause.is_some_and(|cause| attempt.has_cause(cause)) {
            self.wrong_proofs.push(line.clone());
        }
        if disagrees {
            self.disagreements.push(line);
        }
    }

    fn print(&self) {
        println!("{:<22} {:>6} {:>8} {:>6} {:>6} {:>6}", "", "labels", "outcome", "cause", "undet.", "wrong");
        for (name, row) in &self.rows {
            println!(
                "{name:<22} {:>6} {:>8} {:>6} {:>6} {:>6}",
                row.labels, row.outcome, row.cause, row.undetermined, row.wrong
            );
        }
        println!("\n{} captures with another number of attempts than told", self.counts);
        println!("{} disagreements", self.disagreements.len());
        for line in &self.disagreements {
            println!("  {line}");
        }
    }
}

#[test]
fn no_wrong_proof_no_false_failure_and_nine_of_ten_outcomes_right() {
    let by_lab = handshakes(&lab_roots());
    let by_mozilla = handshakes(&[]);
    let mut account = Account::default();
    for path in captures() {
        let label = label(&path);
        let events = if label.lab { &by_lab } else { &by_mozilla };
        account.capture(&path, &label, events.get(path.to_str().unwrap()).map_or(&[], Vec::as_slice));
    }
    account.print();
    let labels: usize = account.rows.values().map(|row| row.labels).sum();
    let right: usize = account.rows.values().map(|row| row.outcome).sum();
    println!("{right} of {labels} outcomes right");
    let mut broken = Vec::new();
    if !account.wrong_proofs.is_empty() {
        broken.push(format!("wrong proofs:\n  {}", account.wrong_proofs.join("\n  ")));
    }
    if !account.false_failures.is_empty() {
        broken.push(format!("failures where none was:\n  {}", account.false_failures.join("\n  ")));
    }
    if right * 100 < labels * OUTCOMES_RIGHT {
        broken.push(format!("{right} of {labels} outcomes are right, fewer than {OUTCOMES_RIGHT} %"));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_label_speaks_in_known_words() {
    let outcomes = ["completed", "resumed", "failed", "abandoned", "incomplete", "not_tls"];
    let causes = tlswhy::cause::Cause::ALL.map(tlswhy::cause::Cause::word);
    for path in captures() {
        for attempt in label(&path).attempts {
            let name = path.display();
            assert!(outcomes.contains(&attempt.outcome.as_str()), "{name}: {}", attempt.outcome);
            assert!(attempt.also_outcome.iter().all(|word| outcomes.contains(&word.as_str())), "{name}");
            assert_eq!(attempt.outcome == "failed", attempt.cause.is_some(), "{name}");
            for cause in attempt.cause.iter().chain(&attempt.also) {
                assert!(causes.contains(&cause.as_str()), "{name}: {cause}");
            }
        }
    }
}
