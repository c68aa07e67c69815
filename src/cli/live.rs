//! `tlswhy live`: the same on interfaces, until interrupted.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::args::LiveArgs;
use super::{Done, Failure, output};
use crate::capture::live::{Live, LiveOptions, LiveReader};
use crate::event::{self, FileRead, Kept, Stats};
use crate::evidence::Outcome;
use crate::pipeline::{self, Arrival, AsJudged, Judged, Source, Totals};
use crate::report;

struct Interface {
    reader: LiveReader,
    failed: Option<String>,
}

impl Source for Interface {
    fn next(&mut self) -> Option<Arrival<'_>> {
        match self.reader.next() {
            Ok(Live::Frame(frame)) => Some(Arrival::Frame(frame)),
            Ok(Live::Tick(stamp)) => Some(Arrival::Tick(stamp)),
            Ok(Live::Stopped) => None,
            Err(error) => {
                self.failed = Some(error.to_string());
                None
            }
        }
    }
}

/// Runs `live`.
pub fn run(args: &LiveArgs) -> Result<Done, Failure> {
    let settings = output::settings(&args.shared, false)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second signal ends the program the hard way.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Failure::Says(format!("cannot watch for signals: {error}")))?;
    }
    let options = LiveOptions {
        promiscuous: !args.no_promiscuous,
        filter: args.shared.filter.clone(),
        ..LiveOptions::default()
    };
    let mut interfaces = Vec::new();
    for name in &args.interfaces {
        let reader = LiveReader::open(name, &options, Arc::clone(&stop))
            .map_err(|error| Failure::Says(error.to_string()))?;
        interfaces.push(Interface { reader, failed: None });
    }
    eprintln!("tlswhy: listening on {} (interrupt to stop)", args.interfaces.join(", "));
    let json = args.json || !std::io::stdout().is_terminal();
    let style = output::style(args.shared.color);
    let (send, receive) = crossbeam_channel::bounded::<(usize, Judged)>(4096);
    let mut stats = Stats::default();
    let mut problems = 0_usize;
    std::thread::scope(|scope| -> Result<(), Failure> {
        let handles: Vec<_> = interfaces
            .iter_mut()
            .enumerate()
            .map(|(n, interface)| {
                let send = send.clone();
                let settings = &settings;
                scope.spawn(move || {
                    let each = &mut |judged| drop(send.send((n, judged)));
                    pipeline::analyse(interface, settings, &mut AsJudged, each)
                })
            })
            .collect();
        drop(send);
        let mut out = std::io::stdout().lock();
        let mut certificates = Kept::default();
        let mut line = Vec::new();
        let mut failed: Option<std::io::Error> = None;
        for (n, judged) in receive {
            stats.tally.add(&judged.evidence, judged.diagnosis.as_ref());
            let name = args.interfaces.get(n).map_or("", String::as_str);
            if failed.is_some() {
                continue;
            }
            line.clear();
            if json {
                event::handshake_with(
                    &mut certificates,
                    &judged.evidence,
                    judged.diagnosis.as_ref(),
                    &judged.hygiene,
                    name,
                    &mut line,
                );
            } else if judged.evidence.outcome == Outcome::Failed {
                let text = report::text::line(&judged.evidence, judged.diagnosis.as_ref(), style);
                line.extend_from_slice(text.as_bytes());
            }
            // An event is worth nothing while it waits in a buffer.
            failed = out.write_all(&line).and_then(|()| out.flush()).err();
            if failed.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        let totals: Vec<Totals> =
            handles.into_iter().map(|handle| handle.join().unwrap_or_default()).collect();
        if let Some(error) = failed {
            return Err(error.into());
        }
        for (totals, name) in totals.iter().zip(&args.interfaces) {
            let file = FileRead { name: name.clone(), packets: totals.packets, stopped: None };
            output::add(&mut stats, totals, file);
        }
        Ok(())
    })?;
    for (interface, file) in interfaces.iter_mut().zip(&mut stats.files) {
        stats.lost.kernel_dropped += interface.reader.stats().kernel_dropped;
        if let Some(failed) = interface.failed.take() {
            eprintln!("tlswhy: {failed}");
            file.stopped = Some(failed);
            problems += 1;
        }
    }
    let mut out = std::io::stdout().lock();
    if json {
        let mut line = Vec::new();
        event::stats(&stats, &mut line);
        out.write_all(&line)?;
    } else {
        let text = report::text::render(&stats, &report::Failures::default(), style);
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    Ok(if problems > 0 {
        Done::Partly
    } else if args.exit_code && stats.tally.outcome(Outcome::Failed) > 0 {
        Done::Failures
    } else {
        Done::Well
    })
}
