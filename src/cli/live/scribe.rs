//! Who writes: events and the packets of failed handshakes, in a thread of its own, so that an output that is slow or full
//! holds up nobody else.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::super::output::say;
use super::board::Board;
use super::sink::Sink;
use crate::base::Stamp;
use crate::capture::live::clock;
use crate::capture::recent::KeptFrame;
use crate::capture::write::PcapngWriter;

/// Bytes that wait to be written. An output that is stuck for longer than it takes to fill them loses events, not packets.
const QUEUE: u64 = 64 << 20;
/// How long the end waits for an output that takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lines to be written together.
#[derive(Debug, Default)]
pub struct Lines {
    /// The lines.
    pub bytes: Vec<u8>,
    /// Each event among them: where it ends, when it was decided, and when its attempt ended.
    pub events: Vec<(usize, Stamp, Stamp)>,
}

/// What there is to do.
enum Job {
    Lines(Lines),
    /// Packets of one failed handshake.
    Packets(Vec<KeptFrame>),
    Reopen,
    /// Says when all before it has been done.
    Tell(Sender<()>),
}

/// How the thread ended.
enum Ended {
    Well,
    /// Nobody reads standard output any more.
    Closed,
}

/// The outputs, opened.
pub struct Outputs {
    sink: Sink,
    keeper: Option<Keeper>,
}

impl Outputs {
    /// Opens them: the file of -o or standard output, and the file of -w.
    ///
    /// # Errors
    /// One cannot be opened, in words.
    pub fn open(events: Option<&Path>, packets: Option<&Path>) -> Result<Self, String> {
        let sink = match events {
            Some(path) if path != Path::new("-") => Sink::file(path)?,
            _ => Sink::stdout().map_err(|error| format!("cannot write to standard output: {error}"))?,
        };
        Ok(Self { sink, keeper: packets.map(Keeper::open).transpose()? })
    }
}

/// The way to the thread that writes, for whoever has something to be written.
#[derive(Clone)]
pub struct Pen {
    jobs: Sender<(Job, u64)>,
    board: Arc<Board>,
}

/// The thread that writes.
pub struct Scribe {
    pen: Pen,
    ended: Receiver<Ended>,
}

impl Scribe {
    /// Starts the thread. It sets `stop` when nobody reads standard output any more.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(outputs: Outputs, board: &Arc<Board>, stop: &Arc<AtomicBool>) -> std::io::Result<Self> {
        let (jobs, to_do) = crossbeam_channel::unbounded::<(Job, u64)>();
        let (tell, ended) = crossbeam_channel::bounded(1);
        let desk = Desk {
            outputs,
            board: Arc::clone(board),
            stop: Arc::clone(stop),
            ended: Ended::Well,
            failing: None,
        };
        std::thread::Builder::new()
            .name("scribe".into())
            .spawn(move || drop(tell.send(desk.work(&to_do))))?;
        Ok(Self { pen: Pen { jobs, board: Arc::clone(board) }, ended })
    }

    /// Another way to it. It goes on until all are gone.
    pub fn pen(&self) -> Pen {
        self.pen.clone()
    }

    /// Has all that waits written, and ends. Says whether standard output was closed by its reader.
    pub fn finish(self) -> bool {
        let Self { pen: Pen { jobs, board }, ended } = self;
        drop(jobs);
        let waiting = || board.queued.load(Ordering::Relaxed);
        let mut before = waiting();
        loop {
            match ended.recv_timeout(PATIENCE) {
                Ok(ended) => return matches!(ended, Ended::Closed),
                // A slow output is waited for as long as it takes anything.
                Err(_) if waiting() < before => before = waiting(),
                Err(_) => {
                    say(format_args!(
                        "the output takes nothing; {} bytes of events are left behind",
                        waiting()
                    ));
                    return false;
                }
            }
        }
    }
}

impl Pen {
    /// Has lines written.
    pub fn write(&self, lines: Lines) {
        let (cost, events) = (lines.bytes.len() as u64, lines.events.len() as u64);
        if !self.put(Job::Lines(lines), cost) {
            self.board.account().output.lost += events;
        }
    }

    /// Has packets of a failed handshake written.
    pub fn keep(&self, packets: Vec<KeptFrame>) {
        let bytes: usize =
            packets.iter().map(|packet| packet.frame().data.len() + size_of::<KeptFrame>()).sum();
        let count = packets.len() as u64;
        if !self.put(Job::Packets(packets), bytes as u64) {
            self.board.account().kept.lost += count;
        }
    }

    /// Has the files opened anew, after what waits has been written.
    pub fn reopen(&self) {
        self.put(Job::Reopen, 0);
    }

    /// Waits until what waits has been written, but not for an output that takes nothing.
    pub fn settle(&self) {
        let (tell, told) = crossbeam_channel::bounded(1);
        if self.put(Job::Tell(tell), 0) {
            let _ = told.recv_timeout(PATIENCE);
        }
    }

    fn put(&self, job: Job, cost: u64) -> bool {
        let fits = self.board.queued.load(Ordering::Relaxed) + cost <= QUEUE;
        if fits {
            self.board.queued.fetch_add(cost, Ordering::Relaxed);
        }
        fits && self.jobs.send((job, cost)).is_ok()
    }
}

/// The thread's own.
struct Desk {
    outputs: Outputs,
    board: Arc<Board>,
    stop: Arc<AtomicBool>,
    ended: Ended,
    /// Events lost since the output began to fail.
    failing: Option<u64>,
}

impl Desk {
    fn work(mut self, to_do: &Receiver<(Job, u64)>) -> Ended {
        for (job, cost) in to_do {
            match job {
                Job::Lines(lines) => self.lines(&lines),
                Job::Packets(packets) => {
                    if let Some(keeper) = &mut self.outputs.keeper {
                        keeper.write(&packets, &self.board);
                    }
                }
                Job::Reopen => self.reopen(),
                Job::Tell(tell) => drop(tell.send(())),
            }
            self.board.queued.fetch_sub(cost, Ordering::Relaxed);
        }
        if let Some(keeper) = &mut self.outputs.keeper {
            keeper.close();
        }
        self.ended
    }

    fn lines(&mut self, lines: &Lines) {
        if matches!(self.ended, Ended::Closed) {
            return;
        }
        let (taken, error) = self.outputs.sink.write(&lines.bytes);
        let now = clock();
        let mut account = self.board.account();
        let mut lost = 0;
        for &(end, decided, ended) in &lines.events {
            if end <= taken {
                account.written(now - decided, decided - ended);
            } else {
                lost += 1;
            }
        }
        account.output.lost += lost;
        account.output.errors += u64::from(error.is_some());
        drop(account);
        let name = self.outputs.sink.name();
        match (error, self.failing) {
            (Some(error), _) if error.kind() == ErrorKind::BrokenPipe && self.outputs.sink.is_stdout() => {
                self.ended = Ended::Closed;
                self.stop.store(true, Ordering::Relaxed);
            }
            (Some(error), None) => {
                let why = crate::capture::plainly(&error);
                say(format_args!("cannot write to {name}: {why}; events are lost until it takes them again"));
                self.failing = Some(lost);
            }
            (Some(_), Some(so_far)) => self.failing = Some(so_far + lost),
            (None, Some(so_far)) => {
                say(format_args!("{name} takes events again; {so_far} were lost"));
                self.failing = None;
            }
            (None, None) => {}
        }
    }

    fn reopen(&mut self) {
        let packets = self.outputs.keeper.as_mut().map_or(Ok(()), Keeper::reopen);
        for why in [self.outputs.sink.reopen(), packets].into_iter().filter_map(Result::err) {
            say(format_args!("{why}; what was open stays in use"));
        }
    }
}

/// The file of packets.
struct Keeper {
    path: PathBuf,
    writer: Option<PcapngWriter>,
    /// Packets lost since it began to fail.
    failing: Option<u64>,
}

impl Keeper {
    fn open(path: &Path) -> Result<Self, String> {
        let writer = PcapngWriter::append(path).map_err(|error| error.to_string())?;
        Ok(Self { path: path.to_owned(), writer: Some(writer), failing: None })
    }

    fn reopen(&mut self) -> Result<(), String> {
        let writer = PcapngWriter::append(&self.path).map_err(|error| error.to_string())?;
        self.close();
        self.writer = Some(writer);
        Ok(())
    }

    fn write(&mut self, packets: &[KeptFrame], board: &Board) {
        let Some(writer) = &mut self.writer else { return };
        let mut written = 0;
        // What the buffer holds when the disk is full is written when it no longer is, so no block is ever cut.
        let done = packets
            .iter()
            .try_for_each(|packet| writer.write(&packet.frame(), None).map(|()| written += 1))
            .and_then(|()| writer.flush());
        let lost = packets.len() as u64 - written;
        let mut account = board.account();
        account.kept.packets += written;
        account.kept.lost += lost;
        account.kept.handshakes += u64::from(written > 0);
        drop(account);
        match (done, self.failing) {
            (Err(error), None) => {
                say(format_args!(
                    "cannot write {}: {}; packets are lost until it takes them again",
                    error.name, error.why
                ));
                self.failing = Some(lost);
            }
            (Err(_), Some(so_far)) => self.failing = Some(so_far + lost),
            (Ok(()), Some(so_far)) => {
                say(format_args!("{} takes packets again; {so_far} were lost", self.path.display()));
                self.failing = None;
            }
            (Ok(()), None) => {}
        }
    }

    fn close(&mut self) {
        if let Some(Err(error)) = self.writer.take().map(PcapngWriter::finish) {
            say(error);
        }
    }
}
