//! `tlswhy read`: files to events or to a report.

use std::io::Write;

use super::args::ReadArgs;
use super::captures::{Captures, Frames};
use super::keep::Wanted;
use super::vantages::Files;
use super::{Done, Failure, keylog, output};
use crate::capture::write::PcapngWriter;
use crate::event::{self, Kept, Line, Stats, StatusTally, Tally};
use crate::evidence::Outcome;
use crate::pipeline::{self, Judged, Make, Settings, Told, Totals};
use crate::report;

/// Makes lines of judged attempts, or keeps those that failed for the table; counts them.
struct Scribe {
    json: bool,
    kept: Kept,
    line: Vec<u8>,
    tally: Tally,
    statuses: StatusTally,
    wanted: Option<Wanted>,
    capture: String,
}

impl Scribe {
    fn new(json: bool, capture: String) -> Self {
        Self {
            json,
            kept: Kept::default(),
            line: Vec::with_capacity(4096),
            tally: Tally::default(),
            statuses: StatusTally::default(),
            wanted: None,
            capture,
        }
    }

    fn count(&mut self, judged: &Judged) {
        self.tally.add(&judged.evidence, judged.diagnosis.as_ref());
        if judged.evidence.outcome == Outcome::Failed
            && let Some(wanted) = &mut self.wanted
        {
            wanted.add(judged);
        }
    }

    /// Writes the event, and lets go of what it was made of.
    #[inline(never)]
    fn write(&mut self, judged: Judged) {
        self.count(&judged);
        let Judged { evidence, diagnosis, hygiene, .. } = &judged;
        let (kept, text) = (&mut self.kept, &mut self.line);
        event::handshake_apart(kept, evidence, diagnosis.as_ref(), hygiene, &self.capture, text);
    }
}

/// An attempt as it waits to be printed.
struct Waiting {
    /// Its event.
    event: Line,
    /// Itself, where the table shows it.
    failed: Option<Box<Judged>>,
}

impl Make for Scribe {
    type Made = Waiting;

    /// Part of its caller, so that what it gives is written where it will wait: a line's own text is far away.
    #[inline]
    fn make(&mut self, judged: Judged) -> Waiting {
        if self.json {
            self.write(judged);
            return Waiting { event: self.kept.line(&self.line), failed: None };
        }
        self.count(&judged);
        let failed = judged.evidence.outcome == Outcome::Failed;
        Waiting { event: Line::default(), failed: failed.then(|| Box::new(judged)) }
    }

    #[inline]
    fn approach(made: &Waiting) {
        made.event.approach();
    }

    fn status(&mut self, told: Told) -> Option<Waiting> {
        self.statuses.add(&told.seen.value);
        if !self.json {
            return None;
        }
        self.line.clear();
        event::revocation(&told.seen, &told.known(&self.capture), &mut self.line);
        Some(Waiting { event: self.line.as_slice().into(), failed: None })
    }
}

/// Lines on their way to standard output.
#[derive(Default)]
struct Page {
    events: Vec<u8>,
    failed: Vec<Judged>,
}

impl Page {
    /// Bytes at which it is written: one call of the system for some twenty events.
    const FULL: usize = 1 << 16;
    /// Failures at which it is handed on.
    const MOST: usize = 64;

    /// Adds a line. Whether it is full.
    fn add(&mut self, line: Waiting) -> bool {
        line.event.write(&mut self.events);
        self.failed.extend(line.failed.map(|failed| *failed));
        self.events.len() >= Self::FULL || self.failed.len() >= Self::MOST
    }
}

/// Where pages go.
struct Desk<'a> {
    out: std::io::StdoutLock<'a>,
    failures: report::Failures,
    error: Option<std::io::Error>,
}

impl Desk<'_> {
    fn new() -> Self {
        Self { out: std::io::stdout().lock(), failures: report::Failures::default(), error: None }
    }

    /// Writes what all came to. `partly`: not everything could be read.
    fn sum_up(
        mut self,
        mut stats: Stats,
        scribe: Scribe,
        args: &ReadArgs,
        partly: bool,
    ) -> Result<Done, Failure> {
        stats.tally = scribe.tally;
        stats.revocation = scribe.statuses;
        if args.json {
            let mut line = Vec::new();
            event::stats(&stats, &mut line);
            self.out.write_all(&line)?;
        } else {
            let text = report::text::render(&stats, &self.failures, output::style(args.shared.color));
            self.out.write_all(text.as_bytes())?;
        }
        self.out.flush()?;
        let failures = stats.tally.outcome(Outcome::Failed);
        Ok(if partly {
            Done::Partly
        } else if args.exit_code && failures > 0 {
            Done::Failures
        } else {
            Done::Well
        })
    }

    /// Writes a page and empties it.
    fn write(&mut self, page: &mut Page, capture: &str) {
        if self.error.is_none() {
            self.error = self.out.write_all(&page.events).err();
        }
        page.events.clear();
        for judged in page.failed.drain(..) {
            self.failures.add(&judged.evidence, judged.diagnosis.as_ref(), capture);
        }
    }
}

/// Runs `read`.
pub fn run(args: &ReadArgs) -> Result<Done, Failure> {
    let settings = output::settings(&args.shared, true)?;
    keylog::read(&args.shared.keylog, &settings.keys)?;
    if !args.sides.inside.is_empty() {
        return both_sides(args, &settings);
    }
    let mut captures = Captures::find(&args.paths, args.shared.filter.as_deref(), args.no_progress)?
        .with_keys(&settings.keys);
    if captures.files.is_empty() {
        return Ok(Done::Partly);
    }
    if args.write.is_some() && captures.files.iter().any(|file| file.as_os_str() == "-") {
        return Err(Failure::Says(
            "-w reads a capture twice, which standard input cannot be: save it to a file first".into(),
        ));
    }
    let mut writer = match &args.write {
        Some(path) => Some(PcapngWriter::create(path).map_err(|error| Failure::Says(error.to_string()))?),
        None => None,
    };
    let mut desk = Desk::new();
    let mut scribe = Scribe::new(args.json, String::new());
    let stats = captures.each(|source, path, name| {
        if args.write.is_some() {
            scribe.wanted = Some(Wanted::default());
        }
        name.clone_into(&mut scribe.capture);
        let settings = output::for_file(&settings, args.shared.workers, source.reader.size());
        let totals = one_file(source, &settings, &mut scribe, &mut desk);
        if let Some(error) = desk.error.take() {
            return Err(error.into());
        }
        if let (Some(writer), Some(wanted)) = (&mut writer, scribe.wanted.take()) {
            wanted.copy(path, &settings.limits, writer)?;
        }
        Ok(totals)
    })?;
    if let Some(writer) = writer {
        writer.finish().map_err(|error| Failure::Says(error.to_string()))?;
    }
    desk.sum_up(stats, scribe, args, captures.problems > 0)
}

/// Reads both sides of a gateway.
fn both_sides(args: &ReadArgs, settings: &Settings) -> Result<Done, Failure> {
    let mut files = Files::find(&args.sides)?;
    let mut desk = Desk::new();
    desk.failures.sources = Some(files.options());
    let mut scribe = Scribe::new(args.json, files.name.clone());
    let mut page = Page::default();
    let capture = files.name.clone();
    let stats = files.analyse(args.shared.filter.as_deref(), settings, &mut scribe, &mut |line| {
        if page.add(line) {
            desk.write(&mut page, &capture);
        }
    })?;
    desk.write(&mut page, &capture);
    if let Some(error) = desk.error.take() {
        return Err(error.into());
    }
    desk.sum_up(stats, scribe, args, files.problems > 0)
}

fn one_file(
    source: &mut Frames<'_>,
    settings: &Settings,
    scribe: &mut Scribe,
    desk: &mut Desk<'_>,
) -> Totals {
    let capture = scribe.capture.clone();
    let mut page = Page::default();
    let totals = pipeline::analyse(source, settings, scribe, &mut |line| {
        if page.add(line) {
            desk.write(&mut page, &capture);
        }
    });
    desk.write(&mut page, &capture);
    totals
}
