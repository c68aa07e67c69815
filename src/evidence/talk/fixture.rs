//! Feeds an attempt over datagrams, for tests of its readers.

use super::{Place, Protocol, Step, Talk};
use crate::base::{Limits, PacketNo, Side, Span};
use crate::evidence::Evidence;
use crate::evidence::attempt::Parse;
use crate::evidence::fixture::{START, datagram};

/// An attempt, and how far it is.
pub(super) struct Feed<P> {
    /// Once a datagram has begun it.
    pub talk: Option<Talk>,
    no: u64,
    /// Milliseconds since it began.
    at: i64,
    /// What came of the last datagram.
    pub last: Step,
    /// What reads messages.
    pub parser: P,
}

impl<P: Parse> Feed<P> {
    pub(super) fn new(parser: P) -> Self {
        Self { talk: None, no: 0, at: 0, last: Step::Open, parser }
    }

    /// A datagram, so many milliseconds after the one before.
    pub(super) fn send(&mut self, from: Side, payload: &[u8], after: i64) {
        self.at += after;
        self.no += 1;
        let (datagram, sends) = datagram(from, payload);
        let stamp = START + Span::from_millis(self.at);
        let place = Place { no: PacketNo(self.no), stamp, clock: stamp };
        if self.talk.is_none() {
            let begun = Protocol::begun_by(payload);
            self.talk = begun.and_then(|protocol| Talk::begin(protocol, &datagram, sends, place));
        }
        if let Some(talk) = &mut self.talk {
            self.last = talk.datagram(&datagram, sends, place, &Limits::default(), &mut self.parser);
        }
    }

    /// Nothing more comes for so many seconds.
    pub(super) fn ends(&mut self, secs: i64, capture_ended: bool) -> Box<Evidence> {
        let now = START + Span::from_millis(self.at) + Span::from_secs(secs);
        self.talk.take().unwrap().close(now, capture_ended, &mut self.parser)
    }
}
