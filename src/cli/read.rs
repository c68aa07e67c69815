//! `tlswhy read`: files to events or to a report.

use std::io::{IsTerminal as _, Write};

use indicatif::{ProgressBar, ProgressStyle};

use super::args::ReadArgs;
use super::keep::Wanted;
use super::{Done, Failure, output};
use crate::capture::block::Block;
use crate::capture::file::FileReader;
use crate::capture::filter::Filter;
use crate::capture::walk;
use crate::capture::write::PcapngWriter;
use crate::event::{self, FileRead, Kept, Stats, StatusTally, Tally};
use crate::evidence::Outcome;
use crate::pipeline::{self, Arrival, Judged, Make, Settings, Source, Told, Totals};
use crate::report;

/// A file as a source of frames, with a filter and a progress bar.
pub(super) struct Frames<'a> {
    pub reader: FileReader,
    pub filter: Option<&'a mut Filter>,
    pub progress: Option<&'a ProgressBar>,
    pub done_before: u64,
    pub since: u32,
}

impl Source for Frames<'_> {
    fn next(&mut self) -> Option<Arrival<'_>> {
        if let Some(bar) = self.progress {
            self.since += 1;
            if self.since == 1 << 9 {
                self.since = 0;
                bar.set_position(self.done_before + self.reader.bytes_read());
            }
        }
        let Some(filter) = &mut self.filter else { return self.reader.burst().map(Arrival::Frames) };
        // What a filter refuses only passes time.
        let frame = self.reader.next()?;
        Some(if filter.matches(&frame) { Arrival::one(frame) } else { Arrival::Tick(frame.stamp) })
    }

    fn block(&mut self, spare: Block) -> Option<Block> {
        let mut block = self.reader.block(spare)?;
        if let Some(bar) = self.progress {
            bar.set_position(self.done_before + self.reader.bytes_read());
        }
        if let Some(filter) = &mut self.filter {
            block.retain(|frame| filter.matches(frame));
        }
        Some(block)
    }
}

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

/// An attempt as it waits to be printed.
struct Line {
    /// Its event.
    event: Box<[u8]>,
    /// Itself, where the table shows it.
    failed: Option<Box<Judged>>,
}

impl Make for Scribe {
    type Made = Line;

    fn make(&mut self, judged: Judged) -> Line {
        let Judged { evidence, diagnosis, hygiene, .. } = &judged;
        self.tally.add(evidence, diagnosis.as_ref());
        let failed = evidence.outcome == Outcome::Failed;
        if failed && let Some(wanted) = &mut self.wanted {
            wanted.add(evidence);
        }
        self.line.clear();
        if self.json {
            let capture = &self.capture;
            event::handshake_with(
                &mut self.kept,
                evidence,
                diagnosis.as_ref(),
                hygiene,
                capture,
                &mut self.line,
            );
        }
        Line {
            event: Box::from(self.line.as_slice()),
            failed: (failed && !self.json).then(|| Box::new(judged)),
        }
    }

    fn status(&mut self, told: Told) -> Option<Line> {
        self.statuses.add(&told.seen.value);
        if !self.json {
            return None;
        }
        self.line.clear();
        let known = event::StatusKnown {
            subjects: &told.subjects,
            signature: told.signature,
            waited_for: &told.waited_for,
            capture: &self.capture,
        };
        event::revocation(&told.seen, &known, &mut self.line);
        Some(Line { event: Box::from(self.line.as_slice()), failed: None })
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
    fn add(&mut self, line: Line) -> bool {
        self.events.extend_from_slice(&line.event);
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

/// Opens the filter, if one is asked for.
pub(super) fn filter(expression: Option<&str>) -> Result<Option<Filter>, Failure> {
    expression.map(Filter::new).transpose().map_err(|error| Failure::Says(error.to_string()))
}

/// Runs `read`.
pub fn run(args: &ReadArgs) -> Result<Done, Failure> {
    let settings = output::settings(&args.shared, true)?;
    let mut filter = filter(args.shared.filter.as_deref())?;
    let found = walk::expand(&args.paths);
    let mut problems = 0_usize;
    for problem in &found.problems {
        eprintln!("tlswhy: {problem}");
        problems += 1;
    }
    if found.files.is_empty() {
        return if problems > 0 {
            Ok(Done::Partly)
        } else {
            Err(Failure::Says("there is no capture in the folders given (looked for pcap and pcapng files, also .gz and .zst)".into()))
        };
    }
    if args.write.is_some() && found.files.iter().any(|file| file.as_os_str() == "-") {
        return Err(Failure::Says(
            "-w reads a capture twice, which standard input cannot be: save it to a file first".into(),
        ));
    }
    let mut writer = match &args.write {
        Some(path) => Some(PcapngWriter::create(path).map_err(|error| Failure::Says(error.to_string()))?),
        None => None,
    };
    let size: u64 =
        found.files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|meta| meta.len()).sum();
    let progress = progress(size, args.no_progress);
    let mut desk = Desk { out: std::io::stdout().lock(), failures: report::Failures::default(), error: None };
    let mut scribe = Scribe {
        json: args.json,
        kept: Kept::default(),
        line: Vec::with_capacity(4096),
        tally: Tally::default(),
        statuses: StatusTally::default(),
        wanted: None,
        capture: String::new(),
    };
    let mut stats = Stats::default();
    let mut done_before = 0;
    for path in &found.files {
        let name = path.display().to_string();
        let reader = match FileReader::open(path) {
            Ok(reader) => reader,
            Err(error) => {
                eprintln!("tlswhy: {error}");
                problems += 1;
                continue;
            }
        };
        if args.write.is_some() {
            scribe.wanted = Some(Wanted::default());
        }
        let mut source =
            Frames { reader, filter: filter.as_mut(), progress: progress.as_ref(), done_before, since: 0 };
        scribe.capture.clone_from(&name);
        let totals = one_file(&mut source, &settings, &mut scribe, &mut desk);
        done_before += source.reader.bytes_read();
        let ending = source.reader.ending();
        let stopped = (!ending.is_clean()).then(|| ending.to_string());
        if let Some(stopped) = &stopped {
            eprintln!("tlswhy: {stopped}");
        }
        let file = FileRead { name, packets: source.reader.packets_read(), stopped };
        output::add(&mut stats, &totals, file);
        if let Some(error) = desk.error.take() {
            return Err(error.into());
        }
        if let (Some(writer), Some(wanted)) = (&mut writer, scribe.wanted.take()) {
            wanted.copy(path, &settings.limits, writer)?;
        }
    }
    if let Some(filter) = &filter {
        for (link, why) in filter.refused() {
            eprintln!("tlswhy: the filter cannot speak of link type {}: {why}", link.0);
        }
    }
    if let Some(bar) = progress {
        bar.finish_and_clear();
    }
    if let Some(writer) = writer {
        writer.finish().map_err(|error| Failure::Says(error.to_string()))?;
    }
    stats.tally = scribe.tally;
    stats.revocation = scribe.statuses;
    if args.json {
        let mut line = Vec::new();
        event::stats(&stats, &mut line);
        desk.out.write_all(&line)?;
    } else {
        let text = report::text::render(&stats, &desk.failures, output::style(args.shared.color));
        desk.out.write_all(text.as_bytes())?;
    }
    desk.out.flush()?;
    let failures = stats.tally.outcome(Outcome::Failed);
    Ok(if problems > 0 {
        Done::Partly
    } else if args.exit_code && failures > 0 {
        Done::Failures
    } else {
        Done::Well
    })
}

fn one_file(
    source: &mut Frames<'_>,
    settings: &Settings,
    scribe: &mut Scribe,
    desk: &mut Desk<'_>,
) -> Totals {
    let capture = scribe.capture.clone();
    let mut page = Page::default();
    if settings.workers <= 1 {
        let totals = pipeline::analyse_here(source, settings, scribe, &mut |line| {
            if page.add(line) {
                desk.write(&mut page, &capture);
            }
        });
        desk.write(&mut page, &capture);
        return totals;
    }
    // Standard output's lock stays in this thread; the judging thread hands it pages.
    let (send, receive) = crossbeam_channel::bounded::<Page>(16);
    std::thread::scope(|scope| {
        let analysis = scope.spawn(move || {
            let totals = pipeline::analyse(source, settings, scribe, &mut |line| {
                if page.add(line) {
                    // The receiver outlives the analysis.
                    drop(send.send(std::mem::take(&mut page)));
                }
            });
            drop(send.send(page));
            totals
        });
        for mut page in receive {
            desk.write(&mut page, &capture);
        }
        analysis.join().unwrap_or_default()
    })
}

/// A bar for long reads on a terminal; small files never show one.
fn progress(size: u64, unwanted: bool) -> Option<ProgressBar> {
    if unwanted || size < 32 << 20 || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::new(size);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    Some(bar)
}
