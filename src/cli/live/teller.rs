//! Who tells of attempts: makes the event of each where it is judged, and has the packets of those that failed saved.

use std::sync::Arc;

use super::super::keep::Wanted;
use super::board::Board;
use super::scribe::{Lines, Pen};
use crate::base::{FlowKey, Limits};
use crate::event::{self, Kept};
use crate::evidence::Outcome;
use crate::pipeline::{Judged, Make, Told};
use crate::report::{self, Style};

/// Bytes of events after which they are handed on although more are coming.
const FULL: usize = 1 << 16;

/// What of an attempt is told.
#[derive(Clone, Copy)]
pub enum Form {
    /// An event of every one.
    Events,
    /// A line for people of those that failed.
    Lines(Style),
}

/// For one interface.
pub struct Teller {
    /// Its place on the board.
    interface: usize,
    /// Its name in events.
    pub name: String,
    board: Arc<Board>,
    pen: Pen,
    form: Form,
    limits: Arc<Limits>,
    kept: Kept,
    /// Lines that wait for others to be written with.
    lines: Lines,
}

impl Teller {
    /// Has told nothing yet.
    pub fn new(interface: usize, board: &Arc<Board>, pen: Pen, form: Form, limits: &Arc<Limits>) -> Self {
        let (board, limits) = (Arc::clone(board), Arc::clone(limits));
        let name =
            board.interfaces.get(interface).map(|interface| interface.name.clone()).unwrap_or_default();
        Self { interface, name, board, pen, form, limits, kept: Kept::default(), lines: Lines::default() }
    }
}

impl Make for Teller {
    type Made = ();

    /// Counts an attempt, makes its event, and saves its packets where it failed.
    fn make(&mut self, judged: Judged) {
        let Judged { evidence, diagnosis, hygiene, decided } = &judged;
        let diagnosis = diagnosis.as_ref();
        self.board.account().judged(evidence, diagnosis);
        let Some(interface) = self.board.interfaces.get(self.interface) else { return };
        let failed = evidence.outcome == Outcome::Failed;
        let lines = &mut self.lines;
        let before = lines.bytes.len();
        match self.form {
            Form::Events => {
                let (kept, name) = (&mut self.kept, &self.name);
                event::handshake_with(kept, evidence, diagnosis, hygiene, name, &mut lines.bytes);
            }
            Form::Lines(style) if failed => {
                lines.bytes.extend_from_slice(report::text::line(evidence, diagnosis, style).as_bytes());
            }
            Form::Lines(_) => {}
        }
        if lines.bytes.len() > before {
            lines.events.push((lines.bytes.len(), *decided, evidence.ended));
        }
        if !interface.recents.is_empty() {
            if failed {
                let saved = Wanted::rescue(&judged, &interface.recents, &self.limits);
                if saved.cut {
                    self.board.account().kept.cut += 1;
                }
                if !saved.frames.is_empty() {
                    self.pen.keep(saved.frames);
                }
            } else {
                let (key, _) = FlowKey::of(evidence.client, evidence.server);
                interface.recents.iter().for_each(|recent| recent.let_go(&key, evidence.last));
            }
        }
        if self.lines.bytes.len() >= FULL {
            self.pause();
        }
    }

    /// Counts an exchange about revocation, and makes its event.
    fn status(&mut self, told: Told) -> Option<()> {
        let exchange = &told.seen.value;
        self.board.account().statuses.add(exchange);
        if let Form::Events = self.form {
            let lines = &mut self.lines;
            event::revocation(&told.seen, &told.known(&self.name), &mut lines.bytes);
            lines.events.push((lines.bytes.len(), told.decided, exchange.ended));
        }
        if self.lines.bytes.len() >= FULL {
            self.pause();
        }
        None
    }

    fn pause(&mut self) {
        if !self.lines.bytes.is_empty() {
            self.pen.write(std::mem::take(&mut self.lines));
        }
    }
}
