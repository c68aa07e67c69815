//! `tlswhy live`: the same on interfaces, until interrupted.
//!
//! ```text
//! rings of an interface ─▶ teller ─┐
//! rings of another      ─▶ teller ─┼─▶ scribe: events, packets of failures
//! signals, seconds ─────▶ loop ────┘
//! all of them ─▶ board ◀── metrics endpoint
//! ```
//!
//! A [`teller`] makes events in the thread that judges. Neither it nor the loop ever waits for an output: [`scribe`] does.
//! What is known of the run is on the [`board`].

mod board;
mod scribe;
mod sink;
mod teller;
mod watchers;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;

use super::args::LiveArgs;
use super::config::Reloaded;
use super::keylog::Tails;
use super::notify::Notifier;
use super::output::say;
use super::{Done, Failure, config, output, privileges};
use crate::base::{Lost, Span};
use crate::capture::live::{LiveOptions, LiveReader, elapsed};
use crate::capture::recent::Recent;
use crate::event::{self, Since};
use crate::evidence::Outcome;
use crate::pipeline::{self, LiveRing, Renewal, Renewed, Ring, Settings, Totals};
use crate::report::{self, Style};
use crate::telemetry::Snapshot;
use crate::telemetry::http::Server;

use board::{Board, Watched};
use scribe::{Lines, Outputs, Scribe};
use teller::{Form, Teller};
use watchers::Watchers;

/// The loop looks at signals, links and the time this often.
const ROUND: Duration = Duration::from_millis(200);

/// The flags that signals set.
struct Signals {
    /// SIGINT or SIGTERM: finish and end.
    stop: Arc<AtomicBool>,
    /// SIGHUP: read the configuration again, open the outputs anew.
    reload: Arc<AtomicBool>,
}

impl Signals {
    fn watch() -> Result<Self, Failure> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        use signal_hook::flag::{register, register_conditional_shutdown};
        let (stop, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let failed = |error| Failure::Says(format!("cannot watch for signals: {error}"));
        for signal in [SIGINT, SIGTERM] {
            // A second signal ends the program the hard way.
            register_conditional_shutdown(signal, 1, Arc::clone(&stop)).map_err(failed)?;
            register(signal, Arc::clone(&stop)).map_err(failed)?;
        }
        register(SIGHUP, Arc::clone(&reload)).map_err(failed)?;
        Ok(Self { stop, reload })
    }
}

/// The rings of one interface.
type Rings = Vec<Box<dyn Ring>>;

/// Opens the rings of every interface.
fn open_interfaces(
    args: &LiveArgs,
    rings: usize,
    stop: &Arc<AtomicBool>,
) -> Result<(Vec<Watched>, Vec<Rings>), Failure> {
    let options = LiveOptions {
        promiscuous: !args.no_promiscuous,
        filter: args.shared.filter.clone(),
        ring: u32::try_from(args.ring).unwrap_or(u32::MAX),
        snap: u32::try_from(args.snaplen).unwrap_or(u32::MAX),
    };
    let mut watched = Vec::new();
    let mut all = Vec::new();
    for name in args.all_interfaces() {
        let readers = LiveReader::open_group(name, &options, rings, stop)
            .map_err(|error| Failure::Says(error.to_string()))?;
        let recents: Vec<_> = match &args.write {
            Some(_) => {
                let bytes = usize::try_from(args.recent).unwrap_or(usize::MAX);
                readers.iter().map(|_| Arc::new(Recent::new(bytes))).collect()
            }
            None => Vec::new(),
        };
        let mut told = false;
        let rings: Rings = readers
            .into_iter()
            .enumerate()
            .map(|(n, reader)| {
                let mut ring = LiveRing::new(reader, recents.get(n).cloned());
                // Of both sides of a gateway, packets are compared.
                if !args.no_bypass
                    && args.inside.is_empty()
                    && let Err(why) = ring.bypass_from(args.bypass_from)
                    && !std::mem::replace(&mut told, true)
                {
                    say(format_args!(
                        "{name}: of finished connections the kernel keeps back what the busiest carry, not what all do: {why}"
                    ));
                }
                Box::new(ring) as Box<dyn Ring>
            })
            .collect();
        let gauges = rings.iter().map(|ring| ring.gauges()).collect();
        watched.push(Watched { name: name.clone(), gauges, recents });
        all.push(rings);
    }
    Ok((watched, all))
}

/// Runs `live`.
pub fn run(args: &LiveArgs) -> Result<Done, Failure> {
    if !args.inside.is_empty() && !args.interfaces.is_empty() {
        return Err(Failure::Says(
            "give either interfaces (-i), or those inside and outside of a gateway".into(),
        ));
    }
    if !args.inside.is_empty() && args.write.is_some() {
        return Err(Failure::Says(
            "-w keeps packets of one capture point; leave it out with --inside and --outside".into(),
        ));
    }
    let settings = config::usable(args)?;
    let notifier = Notifier::from_environment();
    let signals = Signals::watch()?;
    let (watched, rings) = open_interfaces(args, settings.workers, &signals.stop)?;
    let keylogs = Tails::open(&args.shared.keylog, &settings.keys)?;
    let outputs = Outputs::open(args.output.as_deref(), args.write.as_deref()).map_err(Failure::Says)?;
    let server = args.metrics.as_deref().map(Server::bind).transpose();
    let server = server.map_err(|error| Failure::Says(format!("{error}; see --metrics")))?;
    // Everything is open, and no thread has been started: from here on the program needs no privileges.
    let files = args.output.iter().chain(&args.write).filter(|path| path.as_os_str() != "-");
    let files: Vec<_> = files.cloned().collect();
    privileges::give_up(args, &files)?;
    let board = Arc::new(Board::new(watched, args.write.is_some()));
    let scribe = Scribe::start(outputs, &board, &signals.stop)
        .map_err(|error| Failure::Says(format!("cannot start a thread: {error}")))?;
    let renewal = Renewal::default();
    let listening = match args.inside.as_slice() {
        [] => format!("listening on {}", args.interfaces.join(", ")),
        inside => {
            format!("listening inside on {}, outside on {}", inside.join(", "), args.outside.join(", "))
        }
    };
    say(format_args!("{listening} (interrupt to stop)"));
    notifier.ready(&listening);
    if let Some(server) = &server {
        say(format_args!("metrics at http://{}/metrics", server.address()));
    }
    let live = Loop {
        args: args.clone(),
        notifier,
        alive: elapsed(),
        json: args.json || args.output.is_some() || !std::io::stdout().is_terminal(),
        style: output::style(args.shared.color),
        board: &board,
        scribe,
        renewal: &renewal,
        signals: &signals,
        interval: interval(args),
        told: elapsed(),
        keylogs,
        downs: vec![None; args.all_interfaces().count()],
        clock_sets: 0,
        cut: 0,
    };
    std::thread::scope(|scope| {
        if let Some(server) = &server {
            let board = &*board;
            scope.spawn(move || {
                let mut watchers = Watchers::new(board);
                let over = || board.over.load(Ordering::Relaxed);
                server.serve(elapsed, over, |asked| watchers.answer(asked));
            });
        }
        let done = live.run(scope, rings, &settings);
        board.over.store(true, Ordering::Relaxed);
        done
    })
}

/// The loop and what it holds.
struct Loop<'a> {
    /// As of the last reload.
    args: LiveArgs,
    notifier: Notifier,
    /// When the service manager was last told that all is alive.
    alive: Span,
    json: bool,
    style: Style,
    board: &'a Arc<Board>,
    scribe: Scribe,
    renewal: &'a Renewal,
    signals: &'a Signals,
    /// How often statistics are told, and when they last were; no time: only at the end.
    interval: Span,
    told: Span,
    /// Key logs that grow.
    keylogs: Tails,
    /// What was last said of each interface.
    downs: Vec<Option<String>>,
    /// How often the clock was set, as last said.
    clock_sets: u64,
    /// Failures whose packets had left memory, as last said.
    cut: u64,
}

impl Loop<'_> {
    fn run<'scope>(
        mut self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        rings: Vec<Rings>,
        settings: &'scope Settings,
    ) -> Result<Done, Failure>
    where
        Self: 'scope,
    {
        // Nothing is sent: it is closed when the last analysis is over.
        let (over, all_over) = crossbeam_channel::bounded::<()>(0);
        let renewal = self.renewal;
        let form = if self.json { Form::Events } else { Form::Lines(self.style) };
        if !self.args.inside.is_empty() {
            return self.both_sides(scope, rings, settings, form);
        }
        let analyses: Vec<_> = rings
            .into_iter()
            .enumerate()
            .map(|(n, rings)| {
                let mut teller = Teller::new(n, self.board, self.scribe.pen(), form, &settings.limits);
                let over = over.clone();
                scope.spawn(move || {
                    let totals = pipeline::analyse_rings(rings, settings, renewal, &mut teller);
                    drop((teller, over));
                    totals
                })
            })
            .collect();
        drop(over);
        while let Err(RecvTimeoutError::Timeout) = all_over.recv_timeout(ROUND) {
            self.round();
        }
        self.notifier.stopping();
        let totals = analyses.into_iter().flat_map(|analysis| analysis.join().unwrap_or_default());
        let totals = Totals::sum(&totals.collect::<Vec<_>>());
        self.end(totals.lost)
    }

    /// The same on both sides of a gateway: one analysis of all rings.
    fn both_sides<'scope>(
        mut self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        rings: Vec<Rings>,
        settings: &'scope Settings,
        form: Form,
    ) -> Result<Done, Failure>
    where
        Self: 'scope,
    {
        let (over, all_over) = crossbeam_channel::bounded::<()>(0);
        let renewal = self.renewal;
        let inner = rings.iter().take(self.args.inside.len()).map(Vec::len).sum();
        let mut teller = Teller::new(0, self.board, self.scribe.pen(), form, &settings.limits);
        teller.name = format!("{} + {}", self.args.inside.join(", "), self.args.outside.join(", "));
        let analysis = scope.spawn(move || {
            let rings = rings.into_iter().flatten().collect();
            let totals =
                pipeline::vantages::analyse_rings_of_both(rings, inner, settings, renewal, &mut teller);
            drop((teller, over));
            totals
        });
        while let Err(RecvTimeoutError::Timeout) = all_over.recv_timeout(ROUND) {
            self.round();
        }
        self.notifier.stopping();
        let totals = Totals::sum(&analysis.join().unwrap_or_default());
        self.end(totals.lost)
    }

    /// Has lines written that are no events of attempts.
    fn write(&self, bytes: Vec<u8>) {
        self.scribe.pen().write(Lines { bytes, events: Vec::new() });
    }

    /// What is due a few times a second.
    fn round(&mut self) {
        self.board.beat();
        self.keylogs.follow();
        if self.signals.reload.swap(false, Ordering::Relaxed) {
            self.reload();
        }
        if self.notifier.due().is_some_and(|due| elapsed().0 - self.alive.0 >= due.0) {
            self.alive = elapsed();
            let rings = self.board.interfaces.iter().flat_map(|interface| &interface.gauges);
            self.notifier.alive(rings.map(|gauges| gauges.read().turns));
        }
        for (interface, said) in self.board.interfaces.iter().zip(&mut self.downs) {
            let down = interface.link().down;
            if down != *said {
                match &down {
                    Some(why) => say(format_args!("{}: {why}; waiting for it to come back", interface.name)),
                    None => say(format_args!("{} is back", interface.name)),
                }
                *said = down;
            }
        }
        let sets = self.board.interfaces.iter().map(|interface| interface.reading().clock_sets).max();
        if let Some(sets) = sets.filter(|sets| *sets > self.clock_sets) {
            self.clock_sets = sets;
            say(format_args!("the clock was set: what was under way ends there, as at the end of a capture"));
        }
        if self.interval.0 > 0 && elapsed().0 - self.told.0 >= self.interval.0 {
            self.told = elapsed();
            self.statistics();
        }
    }

    /// Tells how it goes.
    fn statistics(&mut self) {
        let snapshot = self.board.turn(None);
        self.say_losses(&snapshot);
        if self.json {
            let mut line = Vec::new();
            event::running(&snapshot.totals, &snapshot.now, &mut line);
            self.write(line);
        } else {
            let now = &snapshot.now;
            let since = &now.since_last;
            let bypassed: u64 = now.interfaces.iter().map(|interface| interface.bypassed.packets).sum();
            let left = if bypassed > 0 {
                format!("; some {bypassed} packets of finished connections left in the kernel so far")
            } else {
                String::new()
            };
            say(format_args!(
                "{}: {} packets ({} lost), {} handshakes, {} failed; {} open{left}",
                since.time,
                since.packets,
                since.kernel_dropped,
                since.tally.attempts(),
                since.tally.outcome(Outcome::Failed),
                now.flows_open
            ));
        }
    }

    /// Says what has been lost since the last time, and what helps.
    fn say_losses(&mut self, snapshot: &Snapshot) {
        let Since { kernel_dropped, time, .. } = snapshot.now.since_last;
        if kernel_dropped > 0 {
            say(format_args!(
                "the kernel lost {kernel_dropped} packets in the last {time} (more --workers or a larger --ring help)"
            ));
        }
        let cut = snapshot.now.kept.map_or(0, |kept| kept.cut);
        if cut > self.cut {
            let more = cut - self.cut;
            say(format_args!(
                "of {more} failed handshakes packets had left memory before the verdict (--recent gives more room)"
            ));
            self.cut = cut;
        }
    }

    /// SIGHUP: takes over what may change while it runs, and has the outputs opened anew. What is wrong leaves all as it
    /// was.
    fn reload(&mut self) {
        self.notifier.reloading();
        let said = match config::reload(&self.args) {
            Ok(Reloaded { args, settings: Settings { trust, ports, .. }, says }) => {
                self.renewal.offer(Renewed { trust, ports, filter: args.shared.filter.clone() });
                self.interval = interval(&args);
                self.args = args;
                self.scribe.pen().reopen();
                self.keylogs.reopen();
                self.board.account().reloads.0 += 1;
                format!("{says}; outputs opened anew")
            }
            Err(why) => {
                self.board.account().reloads.1 += 1;
                format!("the new configuration is refused and the old one stays in force: {why}")
            }
        };
        say(&said);
        self.notifier.ready(&said);
    }

    /// Tells the totals and closes the outputs.
    fn end(mut self, lost: Lost) -> Result<Done, Failure> {
        self.scribe.pen().settle();
        let snapshot = self.board.turn(Some(lost));
        let mut last = Vec::new();
        if self.json {
            event::running(&snapshot.totals, &snapshot.now, &mut last);
        } else {
            last = report::text::render(&snapshot.totals, &report::Failures::default(), self.style).into();
        }
        self.write(last);
        self.say_losses(&snapshot);
        if self.scribe.finish() {
            return Err(Failure::ClosedPipe);
        }
        let failed = snapshot.totals.tally.outcome(Outcome::Failed) > 0;
        Ok(if self.args.exit_code && failed { Done::Failures } else { Done::Well })
    }
}

fn interval(args: &LiveArgs) -> Span {
    Span::from_secs(i64::try_from(args.stats_interval).unwrap_or(i64::MAX))
}
