//! The captures of a command line, read one after another.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, output};
use crate::base::{PacketNo, Stamp};
use crate::capture::block::Block;
use crate::capture::file::FileReader;
use crate::capture::filter::Filter;
use crate::capture::pieces::Pieces;
use crate::capture::walk;
use crate::event::{FileRead, Stats};
use crate::pipeline::run::{self, Lent};
use crate::pipeline::{Arrival, Source, Totals};
use crate::tls::keys::Keys;

/// A file as a source of frames, with a filter and a progress bar.
pub(super) struct Frames<'a> {
    pub reader: FileReader,
    pub filter: Option<&'a mut Filter>,
    pub progress: Option<&'a ProgressBar>,
    pub done_before: u64,
    pub since: u32,
    /// It was said until when the capture ran.
    pub over: bool,
}

impl Frames<'_> {
    /// Until when the capture ran, behind its last frame; said once.
    fn end(&mut self) -> Option<Stamp> {
        if std::mem::replace(&mut self.over, true) { None } else { self.reader.ran_until() }
    }
}

impl Source for Frames<'_> {
    fn next(&mut self) -> Option<Arrival<'_>> {
        self.look_at_progress();
        if self.reader.ending().reached {
            return self.end().map(Arrival::Tick);
        }
        // The first time that nothing comes, nothing is said: until when it ran is known then.
        let nothing = crate::decode::Frames::new();
        let Some(filter) = &mut self.filter else {
            return Some(Arrival::Frames(self.reader.burst().unwrap_or(nothing)));
        };
        // What a filter refuses only passes time.
        Some(match self.reader.next() {
            Some(frame) if filter.matches(&frame) => Arrival::one(frame),
            Some(frame) => Arrival::Tick(frame.stamp),
            None => Arrival::Frames(nothing),
        })
    }

    fn lend(&mut self, take: &mut dyn FnMut(Lent<'_>)) -> bool {
        if self.filter.is_some() {
            return run::lend_next(self, take);
        }
        self.look_at_progress();
        self.reader.lend(&mut |frames| take(Lent::Frames(frames)))
            || self.end().map(|until| take(Lent::Tick(until))).is_some()
    }

    fn pieces(&mut self) -> Option<Arc<Pieces>> {
        self.reader.pieces()
    }

    fn block(&mut self, spare: Block) -> Option<Block> {
        let Some(mut block) = self.reader.block(spare) else {
            let mut block = Block::default();
            block.pass(self.end()?, PacketNo(0));
            return Some(block);
        };
        if let Some(bar) = self.progress {
            bar.set_position(self.done_before + self.reader.bytes_read());
        }
        if let Some(filter) = &mut self.filter {
            block.retain(|frame| filter.matches(frame));
        }
        Some(block)
    }
}

impl Frames<'_> {
    /// Moves the progress bar now and then.
    fn look_at_progress(&mut self) {
        if let Some(bar) = self.progress {
            self.since += 1;
            if self.since == 1 << 9 {
                self.since = 0;
                bar.set_position(self.done_before + self.reader.bytes_read());
            }
        }
    }
}

/// Opens the filter, if one is asked for.
pub(super) fn filter(expression: Option<&str>) -> Result<Option<Filter>, Failure> {
    expression.map(Filter::new).transpose().map_err(|error| Failure::Says(error.to_string()))
}

/// Captures found, and what could not be read of them.
pub(super) struct Captures {
    /// In the order to read them.
    pub files: Vec<PathBuf>,
    /// Files and folders that could not be read; each was said.
    pub problems: usize,
    filter: Option<Filter>,
    no_progress: bool,
    keys: Keys,
}

impl Captures {
    /// Looks for them.
    pub fn find(paths: &[PathBuf], expression: Option<&str>, no_progress: bool) -> Result<Self, Failure> {
        let filter = filter(expression)?;
        let found = walk::expand(paths);
        for problem in &found.problems {
            eprintln!("tlswhy: {problem}");
        }
        if found.files.is_empty() && found.problems.is_empty() {
            return Err(Failure::Says("there is no capture in the folders given (looked for pcap and pcapng files, also .gz and .zst)".into()));
        }
        let keys = Keys::default();
        Ok(Self { files: found.files, problems: found.problems.len(), filter, no_progress, keys })
    }

    /// Files away the keys inside of captures here.
    pub fn with_keys(mut self, keys: &Keys) -> Self {
        self.keys = keys.clone();
        self
    }

    /// Has each of them analysed by `run`, which gets the frames, the path and the name, and sums up.
    pub fn each(
        &mut self,
        mut run: impl FnMut(&mut Frames<'_>, &Path, &str) -> Result<Totals, Failure>,
    ) -> Result<Stats, Failure> {
        let sizes = self.files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|meta| meta.len());
        let progress = progress(sizes.sum(), self.no_progress);
        let mut stats = Stats::default();
        let mut done_before = 0;
        for path in &self.files {
            let name = path.display().to_string();
            let reader = match FileReader::open(path) {
                Ok(reader) => reader.with_keys(&self.keys),
                Err(error) => {
                    eprintln!("tlswhy: {error}");
                    self.problems += 1;
                    continue;
                }
            };
            let (filter, progress) = (self.filter.as_mut(), progress.as_ref());
            let mut source = Frames { reader, filter, progress, done_before, since: 0, over: false };
            let totals = run(&mut source, path, &name)?;
            done_before += source.reader.bytes_read();
            let ending = source.reader.ending();
            let stopped = (!ending.is_clean()).then(|| ending.to_string());
            if let Some(stopped) = &stopped {
                eprintln!("tlswhy: {stopped}");
            }
            let file = FileRead { name, packets: source.reader.packets_read(), stopped };
            output::add(&mut stats, &totals, file);
        }
        if let Some(filter) = &self.filter {
            for (link, why) in filter.refused() {
                eprintln!("tlswhy: the filter cannot speak of link type {}: {why}", link.0);
            }
        }
        if let Some(bar) = progress {
            bar.finish_and_clear();
        }
        Ok(stats)
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
