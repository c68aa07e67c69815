//! What the commands share: roots, settings, colours, the run of one source.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Failure;
use super::args::{Shared, When};
use crate::event::{FileRead, Stats};
use crate::pipeline::shard::Ports;
use crate::pipeline::{Settings, Totals};
use crate::report::Style;
use crate::tls::given::Given;
use crate::tls::trust::{Trust, TrustError};

/// A line on standard error. Where nobody reads it any more, the work goes on.
pub fn say(line: impl std::fmt::Display) {
    drop(writeln!(std::io::stderr(), "tlswhy: {line}"));
}

/// How to print for people on standard output.
pub fn style(when: When) -> Style {
    let terminal = std::io::stdout().is_terminal();
    let colour = match when {
        When::Always => true,
        When::Never => false,
        When::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let width =
        if terminal { terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)) } else { None };
    Style { colour, width: width.unwrap_or(100) }
}

/// The settings of an analysis.
pub fn settings(shared: &Shared, in_order: bool) -> Result<Settings, Failure> {
    let workers = match shared.workers {
        None => 1,
        Some(0) => processors(),
        Some(workers) => workers.min(256),
    };
    Ok(Settings {
        workers,
        limits: Arc::new(shared.limits.clone()),
        ports: Arc::new(Ports::new(&shared.ports)),
        trust: Arc::new(trust(&shared.trust)?),
        given: Arc::new(given(&shared.certs)?),
        keys: crate::tls::keys::Keys::default(),
        in_order,
    })
}

/// Bytes of a file from which a second worker gains more than it costs to begin.
const LARGE: u64 = 32 << 20;

/// The settings for one file: as many workers as are fastest, unless it was said how many. More than two wait for whoever judges.
pub fn for_file(settings: &Settings, said: Option<usize>, size: Option<u64>) -> Settings {
    let large = size.is_some_and(|size| size >= LARGE);
    let workers = if said.is_none() && large { processors().min(2) } else { settings.workers };
    Settings { workers, ..settings.clone() }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The roots of `--trust`.
fn trust(wanted: &[String]) -> Result<Trust, Failure> {
    let mut all: Option<Trust> = None;
    for word in wanted {
        let one = match word.as_str() {
            "mozilla" => Trust::mozilla(),
            "system" => system()?,
            path => from_path(Path::new(path))?,
        };
        match &mut all {
            Some(trust) => trust.extend(&one),
            None => all = Some(one),
        }
    }
    Ok(all.unwrap_or_else(Trust::mozilla))
}

fn system() -> Result<Trust, Failure> {
    for file in Trust::SYSTEM_FILES {
        if let Ok(bytes) = std::fs::read(file) {
            return Trust::from_pem("system", &bytes)
                .map_err(|error| Failure::Says(format!("{file}: {error}")));
        }
    }
    Err(Failure::Says(format!(
        "this system has no bundle of roots at any of {} (install ca-certificates, or use --trust mozilla)",
        Trust::SYSTEM_FILES.join(", ")
    )))
}

/// The certificates of `--certs`.
fn given(paths: &[PathBuf]) -> Result<Given, Failure> {
    let mut given = Given::default();
    for path in paths {
        let before = given.len();
        each_file(path, "certificates", |bytes| given.add(bytes))?;
        if given.len() == before {
            return Err(Failure::Says(format!("{}: no certificate inside", path.display())));
        }
    }
    Ok(given)
}

fn from_path(path: &Path) -> Result<Trust, Failure> {
    let mut trust = Trust::empty(&path.display().to_string());
    each_file(path, "roots (--trust takes mozilla, system, a PEM or DER file, or a folder)", |bytes| {
        trust.extend(&Trust::from_pem(&path.display().to_string(), bytes)?);
        Ok(())
    })?;
    if trust.is_empty() {
        return Err(Failure::Says(format!("{}: no certificate inside", path.display())));
    }
    Ok(trust)
}

/// Hands over the contents of a file, or of each file of a folder, which may hold other files too.
fn each_file(
    path: &Path,
    what: &str,
    mut take: impl FnMut(&[u8]) -> Result<(), TrustError>,
) -> Result<(), Failure> {
    let cannot = |path: &Path, error: std::io::Error| {
        Failure::Says(format!("cannot read {}: {error}; it should hold {what}", path.display()))
    };
    let folder = path.is_dir();
    let mut files: Vec<PathBuf> = Vec::new();
    if folder {
        for entry in std::fs::read_dir(path).map_err(|error| cannot(path, error))? {
            let file = entry.map_err(|error| cannot(path, error))?.path();
            if file.is_file() {
                files.push(file);
            }
        }
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    for file in files {
        let bytes = std::fs::read(&file).map_err(|error| cannot(&file, error))?;
        match take(&bytes) {
            Err(error) if !folder => return Err(Failure::Says(format!("{}: {error}", file.display()))),
            _ => {}
        }
    }
    Ok(())
}

/// Adds what one source amounted to.
pub fn add(stats: &mut Stats, totals: &Totals, file: FileRead) {
    stats.packets += totals.packets;
    stats.bytes += totals.bytes;
    stats.first = [stats.first, totals.first].into_iter().flatten().min();
    stats.last = [stats.last, totals.last].into_iter().flatten().max();
    stats.lost.add(&totals.lost);
    stats.files.push(file);
}
