//! The captures as the program judges them, each event beside the attempt that the label tells of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tlswhy::base::Stamp;

use super::{Attempt, Label, captures_in, label, run};

/// An attempt of a label and the event of it; one of them may be missing.
#[derive(Clone, Debug)]
pub struct Pair {
    pub attempt: Option<Attempt>,
    pub event: Option<Value>,
}

/// A capture, its label, and what was said of its attempts.
#[derive(Clone, Debug)]
pub struct Judged {
    pub path: PathBuf,
    pub label: Label,
    pub pairs: Vec<Pair>,
    /// Whether the program found as many attempts as the label has.
    pub counted: bool,
}

/// A word of an event.
pub fn word<'a>(event: &'a Value, field: &str) -> Option<&'a str> {
    event[field].as_str()
}

/// The time in an event (RFC 3339, UTC, microseconds).
pub fn stamp(text: &str) -> Option<Stamp> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    // Days since the epoch, the year beginning in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let seconds = 3_600 * number(11..13)? + 60 * number(14..16)? + number(17..19)?;
    Some(Stamp((86_400 * days + seconds) * 1_000_000 + number(20..26)?))
}

/// Whether the event is of a failure.
pub fn failed(event: &Value) -> bool {
    word(event, "outcome") == Some("failed")
}

/// What was said, for people.
pub fn said(event: &Value) -> String {
    let mut said = word(event, "outcome").expect("an outcome").to_owned();
    if let Some(cause) = word(event, "cause") {
        said += &format!(
            " {cause}/{} {}",
            word(event, "reason").unwrap_or("-"),
            word(event, "certainty").unwrap_or("-")
        );
    }
    said
}

/// Handshakes by capture, in order of their first packets.
pub fn by_capture(events: Vec<Value>) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in events {
        found.entry(word(&event, "capture").expect("a name").to_owned()).or_default().push(event);
    }
    for events in found.values_mut() {
        events.sort_by_key(|event| word(event, "ts").expect("a stamp").to_owned());
    }
    found
}

/// The handshakes of a folder, judged by these roots; none: the public ones.
pub fn handshakes(folder: &Path, roots: &[String]) -> Vec<Value> {
    let mut args = ["read", "--json", "--workers", "1"].map(str::to_owned).to_vec();
    args.extend_from_slice(roots);
    args.push(folder.to_str().expect("a name in UTF-8").to_owned());
    let ran = run(&args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.handshakes()
}

/// Attempts and events side by side. Labels tell no ports, only the order of first packets; where the numbers
/// differ, the pairs are those that keep both orders and agree on the most outcomes.
fn aligned(attempts: &[Attempt], events: &[Value]) -> Vec<Pair> {
    if attempts.len() == events.len() {
        let pair = |(a, e): (&Attempt, &Value)| Pair { attempt: Some(a.clone()), event: Some(e.clone()) };
        return attempts.iter().zip(events).map(pair).collect();
    }
    let (rows, columns) = (attempts.len(), events.len());
    let agree =
        |row: usize, column: usize| attempts[row].has_outcome(word(&events[column], "outcome").unwrap_or(""));
    // The best that the attempts from `row` on and the events from `column` on can reach; a pair counts one,
    // agreement one more.
    let mut best = vec![vec![0_usize; columns + 1]; rows + 1];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let paired = best[row + 1][column + 1] + 1 + usize::from(agree(row, column));
            best[row][column] = paired.max(best[row + 1][column]).max(best[row][column + 1]);
        }
    }
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row < rows || column < columns {
        let here = best[row][column];
        let both = row < rows
            && column < columns
            && here == best[row + 1][column + 1] + 1 + usize::from(agree(row, column));
        let attempt_alone = !both && row < rows && (column == columns || here == best[row + 1][column]);
        pairs.push(Pair {
            attempt: (both || attempt_alone).then(|| attempts[row].clone()),
            event: (!attempt_alone).then(|| events[column].clone()),
        });
        row += usize::from(both || attempt_alone);
        column += usize::from(!attempt_alone);
    }
    pairs
}

/// Every capture of a folder; `roots` are the laboratory's.
pub fn judged_in(folder: &Path, roots: &[String]) -> Vec<Judged> {
    let by_lab = by_capture(handshakes(folder, roots));
    let by_mozilla = by_capture(handshakes(folder, &[]));
    captures_in(folder)
        .into_iter()
        .map(|path| {
            let label = label(&path);
            let events = if label.lab { &by_lab } else { &by_mozilla };
            let events = events.get(path.to_str().expect("UTF-8")).map_or(&[][..], Vec::as_slice);
            let counted = events.len() == label.attempts.len();
            let pairs = aligned(&label.attempts, events);
            Judged { path, label, pairs, counted }
        })
        .collect()
}
