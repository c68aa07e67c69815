//! The score: every capture against the truth that its author wrote beside it.
//!
//! `make score` writes `captures/SCORE.md`; without `TLSWHY_WRITE_SCORE=1` the test compares with it, and fails
//! where a figure fell. What must hold whatever else: no wrong proof, no failure above `suspected` where none was, and few
//! below. `make score OF=FOLDER` writes the score of other captures, labelled in the same way, into their folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use support::judged::{Judged, failed, judged_in, said, word};
use support::stacks::stacks;
use support::tally::{Case, Figure, Tally, at_most_in_a_million, interval, list, percent, wilson};
use support::{captures, lab_roots, label, root, roots_in, tell};
use tlswhy::cause::Cause;

const FILE: &str = "captures/SCORE.md";

/// Of a hundred attempts that are none, so many may be called failed at `suspected`, and so many without a cause.
const MOST_FALSE: usize = 2;

const GROUPS: [&str; 6] = [
    "no version chosen",
    "TLS 1.2 and below",
    "TLS 1.3, alert in clear",
    "TLS 1.3, sealed",
    "network, inside",
    "network, outside",
];

const CERTAINTIES: [&str; 3] = ["proven", "inferred", "suspected"];

/// What any observer of these packets could see of an attempt, in words. `stacks` adds the two fingerprints.
///
/// The findings are one set of cause and reason, whether they became the verdict, stayed behind it or were no
/// failure at all: what was seen, without what was made of it.
fn features(case: &Case, stacks: bool) -> String {
    let vantage = case.judged.label.vantage.as_deref().unwrap_or("end");
    let Some(event) = case.event() else { return format!("{vantage}, no event") };
    let mut seen = BTreeSet::new();
    let findings = list(event, "also").iter().chain(list(event, "hygiene")).chain([event]);
    for finding in findings {
        if let (Some(cause), Some(reason)) = (word(finding, "cause"), word(finding, "reason")) {
            seen.insert(format!("{cause}/{reason}"));
        }
    }
    // What the certificates say by themselves, lest the ceiling be no higher than what the program looks for.
    let certificates = list(event, "certificates");
    let now = word(event, "ts").unwrap();
    for certificate in certificates {
        if word(certificate, "not_after").is_some_and(|end| end < now) {
            seen.insert("past its end".into());
        }
        if word(certificate, "not_before").is_some_and(|start| start > now) {
            seen.insert("before its start".into());
        }
    }
    if let (Some(leaf), Some(sni)) = (certificates.first(), word(event, "sni")) {
        let parent = sni.split_once('.').map_or("", |(_, parent)| parent);
        let covers =
            |name: &Value| name == sni || name.as_str().is_some_and(|n| n.strip_prefix("*.") == Some(parent));
        if !list(leaf, "sans").iter().any(covers) {
            seen.insert("names others".into());
        }
        if leaf["subject"] == leaf["issuer"] {
            seen.insert("leaf signed by itself".into());
        }
    }
    let dns_unseen = list(event, "blind")
        .iter()
        .any(|blind| blind["why"].as_str().is_some_and(|why| why.contains("no DNS answer")));
    let mut vector = format!(
        "{vantage}, {} {}, {} {}, {} by {}, alert {} {} {}, {} certificates, resumed {}, lookup unseen {dns_unseen}, lost {}, {seen:?}",
        event["transport"],
        event["starttls"],
        event["tls"]["version"],
        event["stage"],
        event["ending"]["what"],
        event["ending"]["from"],
        event["alert"]["code"],
        event["alert"]["from"],
        event["alert"]["sealed"],
        certificates.len(),
        event["tls"]["resumed"],
        event.get("lost").is_some(),
    );
    if stacks {
        write!(vector, ", {}, {}", event["tls"]["ja4"], event["tls"]["ja3s"]).unwrap();
    }
    vector
}

/// For each attempt labelled as failed, whether an observer who answers each vector with the word that is right
/// most often gives the right one. `not failed` is a word like the causes.
fn reachable<'a>(cases: &'a [Case<'a>], stacks: bool) -> Vec<(&'a Case<'a>, bool)> {
    let mut alike: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        alike.entry(features(case, stacks)).or_default().push(case);
    }
    let mut reached = Vec::new();
    for cases in alike.values() {
        let benign = cases.iter().filter(|case| case.truth().is_none()).count();
        let times = |word| cases.iter().filter(|case| case.has_cause(word)).count();
        let best = Cause::ALL.map(Cause::word).into_iter().max_by_key(|word| times(word)).unwrap();
        for case in cases.iter().filter(|case| case.truth().is_some()) {
            reached.push((*case, times(best) > benign && case.has_cause(best)));
        }
    }
    reached
}

/// How many of the attempts that belong.
fn count(reached: &[(&Case, bool)], belongs: impl Fn(&Case) -> bool) -> Figure {
    let these = reached.iter().filter(|(case, _)| belongs(case));
    (these.clone().filter(|(_, right)| *right).count(), these.count())
}

/// A share of another share, both of the same whole, in percent.
fn of_ceiling(recall: Figure, ceiling: Figure) -> String {
    if ceiling.0 == 0 { "–".into() } else { format!("{:.0} %", 100.0 * recall.0 as f64 / ceiling.0 as f64) }
}

/// Everything that is written and compared.
struct Score {
    text: String,
    figures: BTreeMap<String, Figure>,
    wrong_proofs: Vec<String>,
    /// Failures reported where none was, with how sure.
    false_failures: Vec<(Option<String>, String)>,
    /// Attempts labelled as not failed.
    benign: usize,
}

impl Score {
    fn of(captures: &[Judged]) -> Self {
        let cases: Vec<_> = captures
            .iter()
            .flat_map(|judged| judged.pairs.iter().map(move |pair| Case { judged, pair }))
            .collect();
        let mut score = Self {
            text: String::new(),
            figures: BTreeMap::new(),
            wrong_proofs: Vec::new(),
            false_failures: Vec::new(),
            benign: cases.iter().filter(|case| case.truth().is_none()).count(),
        };
        score.head(captures, &cases);
        score.matrix(&cases);
        score.causes(&cases);
        score.groups(&cases);
        score.ceiling(&cases);
        score.stacks(&cases);
        score.differences(&cases);
        score.block();
        score
    }

    fn say(&mut self, text: &str) {
        self.text += text;
        self.text += "\n";
    }

    fn figure(&mut self, name: &str, figure: Figure) {
        self.figures.insert(name.to_owned(), figure);
    }

    fn head(&mut self, captures: &[Judged], cases: &[Case]) {
        let tally = Tally::of(cases);
        let uncounted: Vec<_> = captures
            .iter()
            .filter(|judged| !judged.counted)
            .map(|judged| format!("`{}`", judged.path.display()))
            .collect();
        let labelled =
            tally.failed + tally.benign - cases.iter().filter(|case| case.pair.attempt.is_none()).count();
        let right = cases.iter().filter(|case| case.outcome_right()).count();
        self.say("# Score\n\nWritten by `make score`; do not edit. The labels beside the captures are the truth; brackets hold Wilson's 95 % interval.\n");
        self.say("| | |\n|---|---|");
        self.say(&format!("| captures | {} |", captures.len()));
        self.say(&format!("| attempts labelled | {labelled} |"));
        self.say(&format!("| of them failed | {} |", tally.failed));
        self.say(&format!("| outcome right | {} |", interval((right, labelled))));
        self.say(&format!(
            "| failed attempts reported as failed | {} |",
            interval((tally.detected, tally.failed))
        ));
        self.say(&format!(
            "| failed attempts given a cause (coverage) | {} |",
            interval((tally.named, tally.failed))
        ));
        self.say(&format!(
            "| failed attempts given the right cause (recall) | {} |",
            interval(tally.recall())
        ));
        self.say(&format!("| causes given that are right (precision) | {} |", interval(tally.precision())));
        self.say(&format!(
            "| captures in which the program finds another number of attempts | {}{}{} |",
            uncounted.len(),
            if uncounted.is_empty() { "" } else { ": " },
            uncounted.join(", ")
        ));
        self.say("\nA cause in the label's `also`, and an outcome in its `also_outcome`, count as right. Where the program finds another\nnumber of attempts, they are paired in order so that most outcomes agree.");
        self.figure("outcome", (right, labelled));
        self.figure("coverage", (tally.named, tally.failed));
        tally.figures("all", &mut self.figures);
    }

    fn matrix(&mut self, cases: &[Case]) {
        let causes = Cause::ALL.map(Cause::word);
        self.say("\n## Confusion\n\nRows are labels, columns verdicts, numbered as the rows. A cause in `also` counts in the row's own column.\n");
        let numbers: String = (1..=causes.len()).map(|n| format!(" {n} |")).collect();
        self.say(&format!("| |{numbers} undetermined | not failed | no event |"));
        self.say(&format!("|---|{}", "---:|".repeat(causes.len() + 3)));
        let rows = causes.iter().map(|&cause| Some(cause)).chain([None]);
        for (n, truth) in rows.enumerate() {
            let these: Vec<_> = cases.iter().filter(|case| case.truth() == truth).collect();
            let verdict = |case: &Case| {
                let named = case.named().filter(|_| !case.right()).or(truth.filter(|_| case.right()));
                match (case.event(), named) {
                    (None, _) => causes.len() + 2,
                    (Some(_), Some(cause)) => causes.iter().position(|&word| word == cause).unwrap(),
                    (Some(event), None) => causes.len() + usize::from(!failed(event)),
                }
            };
            let cells: String = (0..causes.len() + 3)
                .map(|column| match these.iter().filter(|case| verdict(case) == column).count() {
                    0 => " |".to_owned(),
                    count => format!(" {count} |"),
                })
                .collect();
            let name = truth.map_or("not failed".to_owned(), |cause| format!("{} {cause}", n + 1));
            self.say(&format!("| {name} |{cells}"));
        }
    }

    fn causes(&mut self, cases: &[Case]) {
        self.say("\n## By cause\n\n| | recall | precision |\n|---|---:|---:|");
        for cause in Cause::ALL.map(Cause::word) {
            let recall = Tally::of(cases.iter().filter(|case| case.truth() == Some(cause))).recall();
            let precision = Tally::of(cases.iter().filter(|case| case.named() == Some(cause))).precision();
            self.say(&format!("| {cause} | {} | {} |", interval(recall), interval(precision)));
            self.figure(&format!("{cause}: recall"), recall);
            self.figure(&format!("{cause}: precision"), precision);
        }
        self.say("\n## By certainty\n\nA false failure is an attempt labelled as not failed and reported as failed.\n\n| | precision | false failures |\n|---|---:|---:|");
        let benign = cases.iter().filter(|case| case.truth().is_none()).count();
        for certainty in CERTAINTIES.into_iter().map(Some).chain([None]) {
            let these: Vec<_> = cases
                .iter()
                .filter(|case| {
                    case.event().is_some_and(|event| failed(event) && word(event, "certainty") == certainty)
                })
                .collect();
            let tally = Tally::of(these.iter().copied());
            let false_failures = tally.benign - tally.quiet;
            let name = certainty.unwrap_or("undetermined");
            self.say(&format!("| {name} | {} | {false_failures} of {benign} |", interval(tally.precision())));
            self.figure(&format!("{name}: precision"), tally.precision());
            self.figure(&format!("{name}: benign attempts left alone"), (benign - false_failures, benign));
        }
        let sound = cases.iter().filter(|case| case.truth().is_none());
        let blamed = sound.filter(|case| case.blames_network()).count();
        self.say(&format!(
            "\nOf {benign} sound attempts {blamed} are laid to a firewall or to address translation, as proven or inferred: at most {:.0} in a million, with 95 % certainty (rule of three), as far as others are like these.",
            at_most_in_a_million(blamed, benign)
        ));
    }

    fn groups(&mut self, cases: &[Case]) {
        self.say("\n## By group\n\nOf the attempts labelled as failed. Network causes are firewall, nat_drop and dns_inconsistency; their vantage is the label's.\nThe others are grouped by the version that ServerHello chose and by a TLS alert in clear, as the event reads them.\n\"Kept\" is the share with the true cause among the verdict, the further findings or the candidates.\n");
        self.say(Tally::HEAD.trim_end());
        for group in GROUPS {
            let tally =
                Tally::of(cases.iter().filter(|case| case.truth().is_some() && case.group() == group));
            self.say(tally.row(group).trim_end());
            tally.figures(group, &mut self.figures);
        }
        for (visible, name) in [(true, "visible"), (false, "not visible")] {
            let tally = Tally::of(cases.iter().filter(|case| {
                case.truth().is_some()
                    && case.pair.attempt.as_ref().is_some_and(|attempt| attempt.visible == visible)
            }));
            self.say(tally.row(name).trim_end());
            tally.figures(name, &mut self.figures);
        }
    }

    fn ceiling(&mut self, cases: &[Case]) {
        self.say("\n## What could be seen\n\nAttempts whose visible features are the same cannot be told apart. An observer who answers each vector of features with\nthe word that is right most often (a cause, or \"not failed\") reaches the ceiling: nobody with these features names more\ncauses rightly in all without calling more sound attempts failed. A single cause can stand above its ceiling.\n\nThe features: vantage, transport, STARTTLS, version, stage, how it ended and by whom, alert (code, sender, sealed),\nnumber of certificates in clear, resumption, whether the lookup is in the capture, whether bytes were lost, and the set\nof defects and network findings without regard to which became the verdict; dates and names the test reads from the\ncertificates itself. The last column adds the fingerprints (JA4, JA3S). An attempt without an event has the vector\n\"no event\". A vector that few attempts share is right too easily: both ceilings are upper bounds.\n");
        self.say("| | recall | ceiling | of it | ceiling with fingerprints | of it |\n|---|---:|---:|---:|---:|---:|");
        let plain = reachable(cases, false);
        let stacks = reachable(cases, true);
        let mut row = |name: &str, belongs: &dyn Fn(&Case) -> bool| {
            let recall =
                Tally::of(cases.iter().filter(|case| case.truth().is_some() && belongs(case))).recall();
            let (low, high) = (count(&plain, belongs), count(&stacks, belongs));
            self.say(&format!(
                "| {name} | {} | {} | {} | {} | {} |",
                percent(recall),
                percent(low),
                of_ceiling(recall, low),
                percent(high),
                of_ceiling(recall, high)
            ));
        };
        for cause in Cause::ALL.map(Cause::word) {
            row(cause, &|case| case.truth() == Some(cause));
        }
        for group in GROUPS {
            row(group, &|case| case.group() == group);
        }
        row("all", &|_| true);
    }

    fn stacks(&mut self, cases: &[Case]) {
        self.say("\n## By stack\n\nNo rule was learnt from the captures: the rules come from the protocol and from the stacks' sources. So each row is\nalso what leaving that stack out of any training would give; a row that falls behind shows where the rules depend on a stack.");
        let of = cases.iter().map(|case| stacks(&case.judged.label)).collect::<Vec<_>>();
        for (role, name) in [(0, "client"), (1, "server")] {
            let stack = |n: usize| if role == 0 { &of[n].0 } else { &of[n].1 };
            self.say(&format!("\n{}", Tally::HEAD.trim_end().replacen("| |", &format!("| {name} |"), 1)));
            let names: BTreeSet<_> = (0..cases.len()).map(stack).collect();
            for stack_name in names {
                let these = (0..cases.len()).filter(|&n| stack(n) == stack_name).map(|n| &cases[n]);
                let tally = Tally::of(these.filter(|case| case.truth().is_some()));
                if tally.failed > 0 {
                    self.say(tally.row(stack_name).trim_end());
                    self.figures.insert(format!("{name} {stack_name}: recall"), tally.recall());
                    self.figures.insert(format!("{name} {stack_name}: precision"), tally.precision());
                }
            }
        }
    }

    /// Each attempt with another outcome or cause than told, and what must not be.
    fn differences(&mut self, cases: &[Case]) {
        self.say("\n## Differences\n\nOther outcomes, wrong causes, and visible causes left undetermined.\n");
        for case in cases {
            let told = case.pair.attempt.as_ref().map_or("nothing".into(), |attempt| attempt.told());
            let got = case.event().map_or("nothing".into(), said);
            let line = format!("{}: expected {told}, got {got}", case.judged.path.display());
            let visible = case.pair.attempt.as_ref().is_some_and(|attempt| attempt.visible);
            let wrong = case.named().is_some() && !case.right();
            if !case.outcome_right() || wrong || (visible && !case.right()) {
                self.say(&format!("- {line}"));
            }
            if wrong && case.event().is_some_and(|event| word(event, "certainty") == Some("proven")) {
                self.wrong_proofs.push(line.clone());
            }
            if case.detected() && !case.may_fail() {
                let certainty = case.event().and_then(|event| word(event, "certainty")).map(str::to_owned);
                self.false_failures.push((certainty, line));
            }
        }
    }

    /// The figures for the next comparison.
    fn block(&mut self) {
        self.say("\n## Figures\n\nThe test compares with these: right, of.\n\n```toml");
        let lines: Vec<_> =
            self.figures.iter().map(|(name, (right, of))| format!("\"{name}\" = [{right}, {of}]")).collect();
        self.say(&lines.join("\n"));
        self.say("```");
    }
}

/// The figures of a score that was written; none where they cannot be read.
fn written(text: &str) -> BTreeMap<String, Figure> {
    let block = text
        .rsplit_once("```toml\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .map_or("", |(block, _)| block);
    let table: toml::Table = block.parse().unwrap_or_default();
    let number = |value: &toml::Value| usize::try_from(value.as_integer().unwrap()).unwrap();
    table.into_iter().map(|(name, value)| (name, (number(&value[0]), number(&value[1])))).collect()
}

/// Figures whose share fell or which are gone, and figures that rose. A share of nothing is neither.
fn changes(before: &BTreeMap<String, Figure>, now: &BTreeMap<String, Figure>) -> (Vec<String>, Vec<String>) {
    let (mut fell, mut rose) = (Vec::new(), Vec::new());
    for (name, &old) in before.iter().filter(|(_, old)| old.1 > 0) {
        let Some(&new) = now.get(name) else {
            fell.push(format!("{name}: from {} to nothing", percent(old)));
            continue;
        };
        let line = format!("{name}: from {} to {}", percent(old), percent(new));
        match (new.0 * old.1).cmp(&(old.0 * new.1)) {
            std::cmp::Ordering::Less if new.1 > 0 => fell.push(line),
            std::cmp::Ordering::Greater => rose.push(line),
            _ => {}
        }
    }
    (fell, rose)
}

/// The differences from the labels that a score lists.
fn differences(text: &str) -> BTreeSet<&str> {
    text.lines().filter(|line| line.starts_with("- captures/")).collect()
}

#[test]
fn no_wrong_proof_no_false_failure_and_no_figure_below_the_committed_one() {
    if let Some(folder) = std::env::var_os("TLSWHY_SCORE_OF") {
        let folder = Path::new(&folder);
        let text = Score::of(&judged_in(folder, &roots_in(folder))).text;
        std::fs::write(folder.join("SCORE.md"), text).unwrap();
        return tell(&format!("the score is in {}", folder.join("SCORE.md").display()));
    }
    let score = Score::of(&judged_in(Path::new("captures"), &lab_roots()));
    let write = std::env::var_os("TLSWHY_WRITE_SCORE").is_some_and(|value| value == "1");
    let before = std::fs::read_to_string(root().join(FILE)).unwrap_or_default();
    let committed = written(&before);
    let (fell, rose) = changes(&committed, &score.figures);
    let (told, today) = (differences(&before), differences(&score.text));
    today.difference(&told).for_each(|line| println!("new {line}"));
    told.difference(&today).for_each(|line| println!("gone {line}"));
    let mut broken = Vec::new();
    if write {
        std::fs::write(root().join(FILE), &score.text).unwrap();
    } else {
        assert!(!committed.is_empty(), "{FILE} has no figures; write it: make score");
        if !fell.is_empty() {
            broken.push(format!(
                "fell below {FILE}; if that is meant (other captures, a fault that is mended): make score\n  {}",
                fell.join("\n  ")
            ));
        } else if before != score.text {
            tell(&format!("{FILE} is behind; write it anew: make score"));
        }
    }
    for line in &rose {
        tell(&format!("better: {line}"));
    }
    if !score.wrong_proofs.is_empty() {
        broken.push(format!("wrong proofs:\n  {}", score.wrong_proofs.join("\n  ")));
    }
    let unsure = |certainty: &Option<String>| certainty.as_deref().is_none_or(|word| word == "suspected");
    let lines = |these: &[&(Option<String>, String)]| {
        these.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n  ")
    };
    let (few, sure): (Vec<_>, Vec<_>) =
        score.false_failures.iter().partition(|(certainty, _)| unsure(certainty));
    if !sure.is_empty() {
        broken.push(format!("failures, and surely, where none was:\n  {}", lines(&sure)));
    }
    for certainty in [Some("suspected"), None] {
        let these: Vec<_> = few.iter().copied().filter(|(word, _)| word.as_deref() == certainty).collect();
        if these.len() * 100 > score.benign * MOST_FALSE {
            broken.push(format!(
                "over {MOST_FALSE} % of {} called failed:\n  {}",
                score.benign,
                lines(&these)
            ));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_share_that_falls_is_named_and_one_that_rises_is_not_a_fault() {
    let before =
        BTreeMap::from([("a".to_owned(), (9, 10)), ("b".to_owned(), (1, 2)), ("c".to_owned(), (0, 0))]);
    let now =
        BTreeMap::from([("a".to_owned(), (17, 20)), ("b".to_owned(), (3, 4)), ("c".to_owned(), (0, 1))]);
    let (fell, rose) = changes(&before, &now);
    assert_eq!(fell, ["a: from 9/10 90.0 % to 17/20 85.0 %"]);
    assert_eq!(rose, ["b: from 1/2 50.0 % to 3/4 75.0 %"]);
}

#[test]
fn the_interval_is_wilsons() {
    let (low, high) = wilson((8, 10));
    assert!((low - 49.0).abs() < 0.1 && (high - 94.3).abs() < 0.1, "{low} {high}");
}

#[test]
fn what_was_never_seen_among_many_is_rare_among_a_million() {
    assert!((at_most_in_a_million(0, 3_000) - 1_000.0).abs() < 1e-6);
    let one = at_most_in_a_million(1, 3_000);
    assert!(one > 1_000.0 && one < 2_000.0, "{one}");
    assert!((at_most_in_a_million(0, 1) - 1e6).abs() < 1e-6);
}

#[test]
fn a_label_speaks_in_known_words() {
    let outcomes = ["completed", "resumed", "failed", "abandoned", "incomplete", "not_tls"];
    let causes = Cause::ALL.map(Cause::word);
    for path in captures() {
        let name = path.display();
        let label = label(&path);
        for attempt in label.attempts.iter().chain(&label.together) {
            assert!(outcomes.contains(&attempt.outcome.as_str()), "{name}: {}", attempt.outcome);
            assert!(attempt.also_outcome.iter().all(|word| outcomes.contains(&word.as_str())), "{name}");
            assert_eq!(attempt.outcome == "failed", attempt.cause.is_some(), "{name}");
            for cause in attempt.cause.iter().chain(&attempt.also) {
                assert!(causes.contains(&cause.as_str()), "{name}: {cause}");
            }
            let place = attempt.place.as_deref();
            assert!(
                place.is_none_or(|place| ["client_side", "gateway", "server_side"].contains(&place)),
                "{name}: {place:?}"
            );
        }
    }
}
