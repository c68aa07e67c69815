//! `tlswhy read`: files to events or to a report.

use std::io::{IsTerminal as _, Write};
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::ReadArgs;
use super::keep::Wanted;
use super::{Done, Failure, output};
use crate::capture::file::FileReader;
use crate::capture::filter::Filter;
use crate::capture::walk;
use crate::capture::write::PcapngWriter;
use crate::event::{self, FileRead, Kept, Stats};
use crate::evidence::Outcome;
use crate::pipeline::{self, Arrival, Judged, Settings, Source, Totals};
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
            if self.since == 1 << 14 {
                self.since = 0;
                bar.set_position(self.done_before + self.reader.bytes_read());
            }
        }
        let Some(filter) = &mut self.filter else { return self.reader.next().map(Arrival::Frame) };
        // What a filter refuses only passes time.
        let frame = self.reader.next()?;
        Some(if filter.matches(&frame) { Arrival::Frame(frame) } else { Arrival::Tick(frame.stamp) })
    }
}

/// Where judged attempts go: events or rows.
struct Desk<'a> {
    json: Option<std::io::BufWriter<std::io::StdoutLock<'a>>>,
    certificates: Kept,
    line: Vec<u8>,
    stats: Stats,
    failures: report::Failures,
    wanted: Option<Wanted>,
    error: Option<std::io::Error>,
}

impl Desk<'_> {
    fn take(&mut self, judged: &Judged, capture: &str) {
        let diagnosis = judged.diagnosis.as_ref();
        self.stats.tally.add(&judged.evidence, diagnosis);
        if judged.evidence.outcome == Outcome::Failed {
            self.failures.add(&judged.evidence, diagnosis, capture);
            if let Some(wanted) = &mut self.wanted {
                wanted.add(&judged.evidence);
            }
        }
        if let Some(out) = &mut self.json
            && self.error.is_none()
        {
            self.line.clear();
            event::handshake_with(
                &mut self.certificates,
                &judged.evidence,
                diagnosis,
                &judged.hygiene,
                capture,
                &mut self.line,
            );
            self.error = out.write_all(&self.line).err();
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
    let stdout = std::io::stdout();
    let desk = Mutex::new(Desk {
        json: args.json.then(|| std::io::BufWriter::with_capacity(1 << 16, stdout.lock())),
        certificates: Kept::default(),
        line: Vec::with_capacity(4096),
        stats: Stats::default(),
        failures: report::Failures::default(),
        wanted: None,
        error: None,
    });
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
            lock(&desk).wanted = Some(Wanted::default());
        }
        let mut source =
            Frames { reader, filter: filter.as_mut(), progress: progress.as_ref(), done_before, since: 0 };
        let totals = one_file(&mut source, &name, &settings, &desk);
        done_before += source.reader.bytes_read();
        let ending = source.reader.ending();
        let stopped = (!ending.is_clean()).then(|| ending.to_string());
        if let Some(stopped) = &stopped {
            eprintln!("tlswhy: {stopped}");
        }
        let mut desk = lock(&desk);
        let file = FileRead { name, packets: source.reader.packets_read(), stopped };
        output::add(&mut desk.stats, &totals, file);
        if let Some(error) = desk.error.take() {
            return Err(error.into());
        }
        if let (Some(writer), Some(wanted)) = (&mut writer, desk.wanted.take()) {
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
    let mut desk = desk.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(mut out) = desk.json.take() {
        let mut line = Vec::new();
        event::stats(&desk.stats, &mut line);
        out.write_all(&line)?;
        out.flush()?;
    } else {
        let text = report::text::render(&desk.stats, &desk.failures, output::style(args.shared.color));
        std::io::stdout().lock().write_all(text.as_bytes())?;
    }
    let failures = desk.stats.tally.outcome(Outcome::Failed);
    Ok(if problems > 0 {
        Done::Partly
    } else if args.exit_code && failures > 0 {
        Done::Failures
    } else {
        Done::Well
    })
}

fn lock<'a, 'b>(desk: &'a Mutex<Desk<'b>>) -> std::sync::MutexGuard<'a, Desk<'b>> {
    desk.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn one_file(source: &mut Frames<'_>, name: &str, settings: &Settings, desk: &Mutex<Desk<'_>>) -> Totals {
    // Standard output's lock stays in this thread; with several workers the judging thread only lends events.
    if settings.workers <= 1 {
        let mut desk = lock(desk);
        pipeline::analyse_here(source, settings, &mut |judged| desk.take(&judged, name))
    } else {
        let (send, receive) = crossbeam_channel::bounded::<Judged>(1024);
        std::thread::scope(|scope| {
            let analysis = scope.spawn(move || {
                pipeline::analyse(source, settings, &mut |judged| {
                    // The receiver outlives the analysis.
                    drop(send.send(judged));
                })
            });
            let mut desk = lock(desk);
            for judged in receive {
                desk.take(&judged, name);
            }
            analysis.join().unwrap_or_default()
        })
    }
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
