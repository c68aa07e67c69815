//! What the source promises of itself: floors, pages, captures per cause, sizes, no panics.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::path::{Path, PathBuf};

use support::{files, label, root, stem, text};
use tlswhy::cause::Cause;

/// Each module and its floor. A module sees only the floors below its own.
const FLOORS: [(&str, u8); 15] = [
    ("allocator", 0), // the program's
    ("base", 0),
    ("decode", 1),
    ("tls", 1),
    ("aside", 1),
    ("flow", 2),
    ("evidence", 3),
    ("cause", 4),
    ("event", 5),
    ("capture", 6),
    ("confine", 6),
    ("report", 6),
    ("telemetry", 6),
    ("pipeline", 7),
    ("cli", 8),
];

/// Lines that a file may have.
const CEILING: usize = 600;

/// From whom to whom, although the floors forbid it, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Bytes that a capture may have.
const CAPTURE_BYTES: u64 = 50_000;

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|&(_, floor)| floor)
}

/// The sources that are built into the program: without files that only tests include.
fn sources() -> Vec<(PathBuf, Vec<(usize, String)>)> {
    let all: Vec<_> =
        files("src").into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")).collect();
    let mut only_tests = Vec::new();
    for path in &all {
        let parent = path.parent().unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let inner =
            if ["mod", "lib", "main"].contains(&name) { parent.to_owned() } else { parent.join(name) };
        let text = text(path);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for (n, _) in lines.iter().enumerate().filter(|(_, line)| is_test_attribute(line)) {
            let mut rest = lines[n + 1..].iter().skip_while(|line| line.starts_with("#["));
            let module = rest.next().and_then(|line| {
                let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
                line.strip_prefix("mod ")?.strip_suffix(';')
            });
            if let Some(module) = module {
                let named = lines[n + 1..].iter().take(2).find_map(|line| {
                    line.strip_prefix("#[path = \"")?.strip_suffix("\"]").map(|file| parent.join(file))
                });
                only_tests.push(named.unwrap_or_else(|| inner.join(format!("{module}.rs"))));
                only_tests.push(inner.join(module));
            }
        }
    }
    all.into_iter()
        .filter(|path| !only_tests.iter().any(|tests| path.starts_with(tests)))
        .map(|path| {
            let lines = built(&text(&path));
            (path, lines)
        })
        .collect()
}

fn is_test_attribute(line: &str) -> bool {
    line.trim().starts_with("#[cfg(") && line.contains("test") && !line.contains("not(test)")
}

/// The lines outside comments and outside what `#[cfg(test)]` covers, with their numbers from 1.
///
/// rustfmt's shape is relied on: an item ends at a line with the indent of its attribute.
fn built(text: &str) -> Vec<(usize, String)> {
    let mut kept = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((n, line)) = lines.next() {
        if is_test_attribute(line) {
            let indent = line.len() - line.trim_start().len();
            for (_, line) in lines.by_ref() {
                let here = line.len() - line.trim_start().len();
                let trimmed = line.trim();
                let one_line = here == indent && (trimmed.ends_with(';') || trimmed.ends_with(','));
                if here == indent && (trimmed.starts_with('}') || one_line || trimmed.ends_with("{}")) {
                    break;
                }
            }
            continue;
        }
        if !line.trim_start().starts_with("//") {
            kept.push((n + 1, line.to_owned()));
        }
    }
    kept
}

/// The modules of the crate that a text names.
fn named(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let word = |text: &str| -> String {
            text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
        };
        if let Some(list) = rest.strip_prefix('{') {
            let (mut depth, mut item) = (0, String::new());
            for c in list.chars() {
                match c {
                    '}' if depth == 0 => break,
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(word(&std::mem::take(&mut item))),
                    _ if depth == 0 => item.push(c),
                    _ => {}
                }
            }
            found.push(word(&item));
        } else {
            found.push(word(rest));
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn a_module_sees_only_the_floors_below_its_own() {
    let mut wrong = Vec::new();
    for (path, lines) in sources() {
        let inside = path.strip_prefix("src").unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let Some(own) = floor(module) else {
            wrong.push(format!("{}: no floor is known for {module}", path.display()));
            continue;
        };
        let text = lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n");
        for other in named(&text) {
            let allowed = other == module
                || floor(&other).is_some_and(|floor| floor < own)
                || EXCEPTIONS.iter().any(|(from, to, _)| *from == module && *to == other);
            if !allowed {
                wrong.push(format!("{}: {module} names {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_cause_does_not_see_another() {
    for cause in Cause::ALL {
        let path = Path::new("src/cause").join(format!("{}.rs", cause.word()));
        for (n, line) in built(&text(&path)) {
            for other in Cause::ALL.into_iter().filter(|other| *other != cause) {
                let word = other.word();
                let seen = [format!("super::{word}"), format!("cause::{word}")];
                assert!(
                    !seen.iter().any(|seen| line.contains(seen.as_str())),
                    "{}:{n}: {line}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn no_file_is_longer_than_the_ceiling() {
    let long: Vec<_> = files("src")
        .into_iter()
        .chain(files("tests"))
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| (text(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > CEILING)
        .collect();
    assert!(long.is_empty(), "more than {CEILING} lines: {long:?}");
}

#[test]
fn nothing_that_is_built_panics_on_purpose() {
    let mut found = Vec::new();
    for (path, lines) in sources() {
        for (n, line) in lines {
            if [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!("]
                .iter()
                .any(|call| line.contains(call))
            {
                found.push(format!("{}:{n}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_core_reads_no_clock_and_opens_nothing() {
    let mut found = Vec::new();
    for (path, lines) in sources() {
        let module = path.iter().nth(1).unwrap().to_str().unwrap();
        if floor(module).is_none_or(|floor| floor > 5) {
            continue;
        }
        for (n, line) in lines {
            if [
                "Instant::now",
                "SystemTime",
                "std::fs",
                "std::net::Tcp",
                "std::net::Udp",
                "std::thread",
                "std::env",
            ]
            .iter()
            .any(|call| line.contains(call))
            {
                found.push(format!("{}:{n}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_cause_has_a_page() {
    let mut missing = Vec::new();
    for cause in Cause::ALL {
        for heading in ["Symptoms", "On the wire", "Remedy", "References"] {
            if !cause.source().lines().any(|line| line.trim_end() == format!("//! # {heading}")) {
                missing.push(format!("{}: {heading}", cause.word()));
            }
        }
        if cause.reasons().is_empty() {
            missing.push(format!("{}: reasons", cause.word()));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_cause_has_labelled_captures() {
    let folders = Cause::ALL.map(|cause| (cause.word(), 3)).into_iter().chain([("none", 10), ("odd", 10)]);
    for (folder, least) in folders {
        let captures: Vec<_> =
            files(format!("captures/{folder}")).into_iter().filter(|path| stem(path).is_some()).collect();
        assert!(
            captures.len() >= least,
            "captures/{folder} has {} captures, {least} are due",
            captures.len()
        );
        for capture in captures {
            let size = std::fs::metadata(root().join(&capture)).unwrap().len();
            assert!(size <= CAPTURE_BYTES, "{} has {size} bytes", capture.display());
            let label = label(&capture);
            if Cause::from_word(folder).is_some() {
                // The outer capture of a pair may show none of what was held back inside.
                let mut attempts = label.attempts.iter().chain(&label.together);
                let named = attempts.any(|attempt| attempt.cause.as_deref() == Some(folder));
                assert!(named, "{}: no attempt of its label has the cause {folder}", capture.display());
            }
        }
    }
}

#[test]
fn every_label_has_its_capture() {
    let stems: Vec<_> = support::captures().iter().filter_map(|path| stem(path)).collect();
    for file in files("captures") {
        let is_label = file.extension().is_some_and(|extension| extension == "toml");
        if is_label && !file.starts_with("captures/make") {
            assert!(stems.contains(&file.with_extension("")), "{} stands alone", file.display());
        }
    }
}

#[test]
fn what_tests_alone_build_is_left_out() {
    let text =
        "use a;\n#[cfg(test)]\nmod tests {\n    fn f() {\n    }\n}\nuse b;\n#[cfg(test)]\nmod c;\nuse d;\n";
    let kept: Vec<_> = built(text).into_iter().map(|(n, line)| format!("{n} {line}")).collect();
    assert_eq!(kept, ["1 use a;", "7 use b;", "10 use d;"]);
    assert_eq!(
        named("use crate::{base, tls::{a, b}, flow};\ncrate::event::x"),
        ["base", "tls", "flow", "event"]
    );
}
