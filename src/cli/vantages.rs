//! `--inside` and `--outside` of `read` and `show`: the captures of each side as one source.

use std::path::PathBuf;

use super::args::Sides;
use super::captures::filter;
use super::{Failure, output};
use crate::base::{Limits, PacketNo, Span, Stamp};
use crate::capture::file::FileReader;
use crate::capture::filter::Filter;
use crate::capture::walk;
use crate::event::{FileRead, Stats};
use crate::pipeline::vantages::clocks;
use crate::pipeline::{self, Arrival, Make, Settings, Source};
use crate::tls::keys::Keys;

/// Captures of one side, one behind another; packets are numbered through.
pub(super) struct Chain {
    files: std::vec::IntoIter<PathBuf>,
    reader: Option<FileReader>,
    /// The reader gave its last frame.
    over: bool,
    filter: Option<Filter>,
    /// Packets of the files before.
    before: u64,
    last: Stamp,
    /// What was wrong with files, in words.
    pub problems: Vec<String>,
    /// Files that could not be opened.
    pub unreadable: usize,
    /// Where the keys inside of captures go.
    keys: Keys,
}

impl Chain {
    /// Of these files.
    pub fn new(files: Vec<PathBuf>, expression: Option<&str>) -> Result<Self, Failure> {
        Ok(Self {
            files: files.into_iter(),
            reader: None,
            over: true,
            filter: filter(expression)?,
            before: 0,
            last: Stamp(i64::MIN),
            problems: Vec::new(),
            unreadable: 0,
            keys: Keys::default(),
        })
    }

    /// Opens the next file that can be opened; `None` behind the last.
    fn turn(&mut self) -> Option<()> {
        if let Some(reader) = self.reader.take() {
            self.before += reader.packets_read();
            let ending = reader.ending();
            if !ending.is_clean() {
                self.problems.push(ending.to_string());
            }
        }
        self.reader = loop {
            match FileReader::open(&self.files.next()?) {
                Ok(reader) => break Some(reader.with_keys(&self.keys)),
                Err(error) => {
                    self.unreadable += 1;
                    self.problems.push(error.to_string());
                }
            }
        };
        self.over = false;
        Some(())
    }

    /// Until when the last of the captures ran; said once.
    fn ran_until(&mut self) -> Option<Stamp> {
        let until = self.reader.as_ref().filter(|_| self.files.len() == 0)?.ran_until()?;
        let later = until > self.last;
        self.last = until.max(self.last);
        later.then_some(until)
    }

    /// Packets read so far.
    pub fn packets(&self) -> u64 {
        self.before + self.reader.as_ref().map_or(0, FileReader::packets_read)
    }
}

impl Source for Chain {
    fn next(&mut self) -> Option<Arrival<'_>> {
        if self.over {
            if let Some(until) = self.ran_until() {
                return Some(Arrival::Tick(until));
            }
            self.turn()?;
        }
        let Self { reader, over, filter, before, last, .. } = self;
        let reader = reader.as_mut()?;
        let Some(filter) = filter else {
            return Some(match reader.burst() {
                Some(mut frames) => {
                    for frame in &mut frames {
                        frame.no = PacketNo(frame.no.0 + *before);
                        *last = frame.stamp.max(*last);
                    }
                    Arrival::Frames(frames)
                }
                None => {
                    *over = true;
                    Arrival::Tick(*last)
                }
            });
        };
        Some(match reader.next() {
            Some(mut frame) => {
                frame.no = PacketNo(frame.no.0 + *before);
                *last = frame.stamp.max(*last);
                if filter.matches(&frame) { Arrival::one(frame) } else { Arrival::Tick(frame.stamp) }
            }
            None => {
                *over = true;
                Arrival::Tick(*last)
            }
        })
    }
}

/// The files of both sides.
pub(super) struct Files {
    inside: Vec<PathBuf>,
    outside: Vec<PathBuf>,
    /// `in.pcap + out.pcap`.
    pub name: String,
    /// Folders that could not be looked into.
    pub problems: usize,
}

impl Files {
    /// Looks for them.
    pub fn find(sides: &Sides) -> Result<Self, Failure> {
        let (inside, outside) = (walk::expand(&sides.inside), walk::expand(&sides.outside));
        for problem in inside.problems.iter().chain(&outside.problems) {
            eprintln!("tlswhy: {problem}");
        }
        for (files, option) in [(&inside.files, "--inside"), (&outside.files, "--outside")] {
            if files.is_empty() {
                return Err(Failure::Says(format!("there is no capture in the folders of {option}")));
            }
            if files.iter().any(|file| file.as_os_str() == "-") {
                return Err(Failure::Says(format!(
                    "{option} reads a capture twice, which standard input cannot be: save it to a file first"
                )));
            }
        }
        let name = format!("{} + {}", joined(&inside.files), joined(&outside.files));
        let problems = inside.problems.len() + outside.problems.len();
        Ok(Self { inside: inside.files, outside: outside.files, name, problems })
    }

    /// The options that name them.
    pub fn options(&self) -> String {
        let sides = [("--inside", &self.inside), ("--outside", &self.outside)];
        let named = sides.iter().flat_map(|(option, files)| files.iter().map(move |file| (option, file)));
        named.map(|(option, file)| format!("{option} {}", file.display())).collect::<Vec<_>>().join(" ")
    }

    /// Both sides, from the beginning.
    pub fn open(&self, expression: Option<&str>) -> Result<(Chain, Chain), Failure> {
        Ok((Chain::new(self.inside.clone(), expression)?, Chain::new(self.outside.clone(), expression)?))
    }

    /// How far the outer clock is ahead, as a first reading tells.
    pub fn clocks(&self, expression: Option<&str>, limits: &Limits) -> Result<Option<Span>, Failure> {
        let (mut inside, mut outside) = self.open(expression)?;
        Ok(clocks::ahead(&mut inside, &mut outside, limits))
    }

    /// Has both analysed, and sums up. Says what was wrong on standard error.
    pub fn analyse<M: Make>(
        &mut self,
        expression: Option<&str>,
        settings: &Settings,
        make: &mut M,
        each: &mut dyn FnMut(M::Made),
    ) -> Result<Stats, Failure> {
        let ahead = self.clocks(expression, &settings.limits)?;
        match ahead {
            Some(ahead) if ahead.0.abs() >= Span::from_millis(100).0 => {
                let (by, which) = (Span(ahead.0.abs()), if ahead.0 > 0 { "ahead of" } else { "behind" });
                output::say(format_args!("the clock outside is {by} {which} that inside; they are aligned"));
            }
            Some(_) => {}
            None => output::say(
                "the two sides have no connection in common: each is judged alone (do both captures show this gateway, \
                 at the same time?)",
            ),
        }
        let (mut inside, mut outside) = self.open(expression)?;
        for chain in [&mut inside, &mut outside] {
            chain.keys = settings.keys.clone();
        }
        let totals = pipeline::analyse_both(&mut inside, &mut outside, ahead, settings, make, each);
        let mut stats = Stats::default();
        let sides = [(&inside, &self.inside), (&outside, &self.outside)];
        for ((chain, files), totals) in sides.into_iter().zip(&totals) {
            chain.problems.iter().for_each(|problem| eprintln!("tlswhy: {problem}"));
            let stopped = chain.problems.first().cloned();
            self.problems += chain.unreadable;
            output::add(
                &mut stats,
                totals,
                FileRead { name: joined(files), packets: chain.packets(), stopped },
            );
        }
        Ok(stats)
    }
}

fn joined(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
