//! The judge of chains beside other verifiers, on certificates that nobody here made, where their folder is there.
//!
//! The folder is `../shared/corpora/certs` beside the checkout, or `certs` in `TLSWHY_CORPORA`. Every disagreement with
//! rustls-webpki, `openssl verify -x509_strict`, GnuTLS or the case's own word stands in `oracles/exceptions.tsv` with the
//! rule that explains it; what the cases are about stands in `oracles/purposes.tsv`. With `TLSWHY_WRITE_ORACLES=FILE` the
//! disagreements go to that file, for whoever keeps the list.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "oracles/cases.rs"]
mod cases;
#[path = "oracles/verifiers.rs"]
mod verifiers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use cases::Case;
use tlswhy::tls::chain::{Defect, Fault};
use verifiers::{Verifier, defects};

/// `case`, `verifier` (or `expected`, the case's own word), what we say, why.
const EXCEPTIONS: &str = include_str!("oracles/exceptions.tsv");
/// `case`, the faults of which one must be named.
const PURPOSES: &str = include_str!("oracles/purposes.tsv");

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split('\t').collect())
}

/// What a strict verifier minds: order and surplus of what was presented are for TLS 1.3 to tolerate (RFC 9846 section
/// 4.4.2), and lifetimes of private certificates are Apple's to mind.
fn minds(case: &Case, defect: &Defect) -> bool {
    if case.reading {
        return defect.fault == Fault::DecodeError;
    }
    !matches!(defect.fault, Fault::WrongOrder | Fault::UnrelatedExtra | Fault::LifetimePrivate)
}

#[test]
fn every_disagreement_with_another_verifier_is_explained() {
    let Some(folder) = cases::folder() else { return };
    let cases = cases::all(&folder);
    let verifiers: Vec<Verifier> = Verifier::ALL.into_iter().filter(|verifier| verifier.is_there()).collect();
    let mut explained: BTreeMap<(&str, &str), (&str, &str)> = BTreeMap::new();
    for row in rows(EXCEPTIONS) {
        let [case, verifier, ours, why] = row[..] else { panic!("four columns: {row:?}") };
        assert!(why.len() > 10, "{case}: a rule, not {why:?}");
        assert!(explained.insert((case, verifier), (ours, why)).is_none(), "{case} {verifier} stands twice");
    }
    let scratch = std::env::temp_dir().join(format!("tlswhy-oracles-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).unwrap();
    let half = cases.len().div_ceil(2);
    let found: Vec<(String, String, &str, String)> = std::thread::scope(|scope| {
        let parts = cases.chunks(half).map(|part| {
            let (verifiers, scratch) = (&verifiers, &scratch);
            scope.spawn(move || {
                part.iter().flat_map(|case| disagreements(case, verifiers, scratch)).collect::<Vec<_>>()
            })
        });
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    std::fs::remove_dir_all(&scratch).unwrap();

    let mut wrong = String::new();
    let mut seen = BTreeSet::new();
    for (case, verifier, ours, detail) in &found {
        seen.insert((case.as_str(), verifier.as_str()));
        match explained.get(&(case.as_str(), verifier.as_str())) {
            Some((said, _)) if said == ours => {}
            _ => writeln!(wrong, "{case}\t{verifier}\t{ours}\t{detail}").unwrap(),
        }
    }
    if let Some(file) = std::env::var_os("TLSWHY_WRITE_ORACLES") {
        std::fs::write(file, &wrong).unwrap();
    }
    assert!(wrong.is_empty(), "not explained in oracles/exceptions.tsv:\n{wrong}");
    let asked =
        |verifier: &str| verifier == "expected" || verifiers.iter().any(|other| other.word() == verifier);
    let stale: Vec<_> = explained.keys().filter(|key| asked(key.1) && !seen.contains(*key)).collect();
    assert!(stale.is_empty(), "explained, but no disagreement any more: {stale:?}");
    eprintln!("{} cases, {} disagreements, each explained", cases.len(), found.len());
}

fn disagreements(
    case: &Case,
    verifiers: &[Verifier],
    scratch: &std::path::Path,
) -> Vec<(String, String, &'static str, String)> {
    let found = defects(case).into_iter().filter(|defect| minds(case, defect));
    let found: Vec<String> = found.map(|defect| defect.says).collect();
    let ours = found.is_empty();
    let word = if ours { "accepted" } else { "rejected" };
    let mut list = Vec::new();
    let mut add = |who: &str, detail: String| list.push((case.id.clone(), who.to_owned(), word, detail));
    if case.expected.is_some_and(|expected| expected != ours) {
        add("expected", format!("{}\t{}", found.join(" | "), case.note));
    }
    for verifier in verifiers {
        if let Some((theirs, says)) = verifier.asked(case, scratch)
            && theirs != ours
        {
            add(verifier.word(), format!("{}\t{says}", found.join(" | ")));
        }
    }
    list
}

#[test]
fn the_defect_named_is_the_one_a_case_is_about() {
    let Some(folder) = cases::folder() else { return };
    let cases: BTreeMap<String, Case> =
        cases::all(&folder).into_iter().map(|case| (case.id.clone(), case)).collect();
    let (mut named, mut known, mut missed) = (0, 0, String::new());
    for row in rows(PURPOSES) {
        let [id, wanted] = row[..] else { panic!("two columns: {row:?}") };
        let case = cases.get(id).unwrap_or_else(|| panic!("no case {id}"));
        let found: Vec<String> = defects(case).iter().map(|defect| format!("{:?}", defect.fault)).collect();
        known += 1;
        if wanted.split('|').any(|fault| found.iter().any(|other| other == fault)) {
            named += 1;
        } else {
            writeln!(missed, "{id}: wants {wanted}, has {found:?}").unwrap();
        }
    }
    eprintln!("{named} of {known} purposes named; missed:\n{missed}");
    assert!(named * 100 >= known * 95, "{named} of {known}; missed:\n{missed}");
}
