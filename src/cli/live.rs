//! `tlswhy live`: the same on interfaces, until interrupted.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::args::LiveArgs;
use super::notify::Notifier;
use super::{Done, Failure, config, output, privileges};
use crate::capture::live::{LiveOptions, LiveReader};
use crate::event::{self, FileRead, Kept, Stats};
use crate::evidence::Outcome;
use crate::pipeline::{self, Judged, LiveRing, Ring, Totals};
use crate::report;

/// Runs `live`.
pub fn run(args: &LiveArgs) -> Result<Done, Failure> {
    let settings = config::usable(args)?;
    let mut notifier = Notifier::from_environment();
    let stop = Arc::new(AtomicBool::new(false));
    let reload = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&reload))
        .map_err(|error| Failure::Says(format!("cannot watch for signals: {error}")))?;
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
        let readers = LiveReader::open_group(name, &options, settings.workers, &stop)
            .map_err(|error| Failure::Says(error.to_string()))?;
        let rings: Vec<Box<dyn Ring>> =
            readers.into_iter().map(|reader| Box::new(LiveRing::new(reader)) as Box<dyn Ring>).collect();
        interfaces.push(rings);
    }
    let gauges: Vec<_> = interfaces.iter().flatten().map(|ring| ring.gauges()).collect();
    privileges::give_up(args, &[])?;
    let listening = format!("listening on {}", args.interfaces.join(", "));
    eprintln!("tlswhy: {listening} (interrupt to stop)");
    notifier.ready(&listening);
    let json = args.json || !std::io::stdout().is_terminal();
    let style = output::style(args.shared.color);
    let (send, receive) = crossbeam_channel::bounded::<(usize, Judged)>(4096);
    let mut stats = Stats::default();
    std::thread::scope(|scope| -> Result<(), Failure> {
        let handles: Vec<_> = interfaces
            .into_iter()
            .enumerate()
            .map(|(n, rings)| {
                let send = send.clone();
                let settings = &settings;
                scope.spawn(move || {
                    pipeline::analyse_rings(rings, settings, &mut |judged| drop(send.send((n, judged))))
                })
            })
            .collect();
        drop(send);
        // Provisional: the loop of intervals will do this.
        let stopped = &stop;
        scope.spawn(move || {
            let step = std::time::Duration::from_millis(100);
            let mut slept = std::time::Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(step);
                slept += step;
                if reload.swap(false, Ordering::Relaxed) {
                    notifier.reloading();
                    match config::reload(args) {
                        Ok(new) => eprintln!("tlswhy: {}", new.says),
                        Err(why) => eprintln!("tlswhy: {why}"),
                    }
                    notifier.ready(&listening);
                }
                if notifier.due().is_some_and(|due| slept >= due) {
                    slept = std::time::Duration::ZERO;
                    notifier.alive(gauges.iter().map(|gauges| gauges.read().turns));
                    let packets: u64 = gauges.iter().map(|gauges| gauges.read().packets).sum();
                    notifier.status(&format!("{listening}, {packets} packets"));
                }
            }
            notifier.stopping();
        });
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
        let totals: Vec<Vec<Totals>> =
            handles.into_iter().map(|handle| handle.join().unwrap_or_default()).collect();
        if let Some(error) = failed {
            return Err(error.into());
        }
        for (rings, name) in totals.iter().zip(&args.interfaces) {
            let packets = rings.iter().map(|totals| totals.packets).sum();
            let file = FileRead { name: name.clone(), packets, stopped: None };
            output::add(&mut stats, &Totals::sum(rings), file);
        }
        Ok(())
    })?;
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
    Ok(if args.exit_code && stats.tally.outcome(Outcome::Failed) > 0 { Done::Failures } else { Done::Well })
}
