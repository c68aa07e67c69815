//! How connections leave: what has waited long enough, what is settled, and what comes of it.

use super::left::{Left, Leftover};
use super::{DONE, NONE, OPENINGS, Open, Out, Over, Shard, State, TABLE_LISTS, TIMERS, What, since};
use crate::base::{PacketNo, Seen, Side, Stamp};
use crate::evidence::opening::{Opening, Reached};
use crate::evidence::{Evidence, Outcome, outcome, upgrade};
use crate::flow::table::{Id, Table};
use crate::flow::timer::Timers;

/// Ports of responders and of servers of lists: HTTP, its alternatives, and that of common responders' manuals.
const HTTP: [u16; 4] = [80, 2560, 8080, 8888];

impl Shard {
    /// Closes everything whose deadline has passed.
    #[cold]
    pub(super) fn expire(&mut self, now: Stamp) {
        while let Some(id) = self.timers.expired(&mut self.table, now) {
            let deadline = match self.table.get(id) {
                State::Open(no) => self.attempts.get_mut(no).map(|open| {
                    open.armed = open.attempt.deadline;
                    open.armed
                }),
                State::Http(no) => self.exchanges.get(no).map(|http| http.deadline),
                State::Dns(no) => self.channels.get(no).map(|channel| channel.deadline),
                State::Idle(no) => self.idle.deadline(no, &self.limits),
                State::Opening(_) | State::Done(_) => None,
            };
            match deadline {
                Some(deadline) if deadline < now => self.close(id, deadline, false),
                Some(deadline) => self.timers.arm(&mut self.table, id, deadline),
                None => {}
            }
        }
        if now > self.openings_due {
            self.openings_due = Stamp(i64::MAX);
            for (_, list) in OPENINGS {
                while let Some(id) = self.table.front(list) {
                    let State::Opening(no) = self.table.get(id) else { break };
                    let Some(deadline) = self.openings.get(no).map(|opening| opening.deadline(&self.limits))
                    else {
                        break;
                    };
                    if deadline >= now {
                        self.openings_due = self.openings_due.min(deadline);
                        break;
                    }
                    self.close(id, deadline, false);
                }
            }
        }
        self.expire_talks(now);
        self.due = self.openings_due.min(self.timers.due()).min(self.talks.due());
    }

    /// The capture ended: closes some of what is open, in order of its beginning. The first packet of what is left, for
    /// which it is to be called again; `None` once nothing is.
    #[must_use = "more may be left"]
    pub fn finish(&mut self, now: Stamp) -> Option<PacketNo> {
        // Each may leave kilobytes, which are to be gone before the next come.
        const AT_ONCE: usize = 1_024;
        // So many ends later its memory is there.
        const AHEAD: usize = 8;
        let mut left = match self.left.take() {
            Some(left) => left,
            None => {
                self.tick(now);
                self.all_open()
            }
        };
        for _ in 0..AT_ONCE {
            if let Some(Left::Connection(id)) = left.ahead(AHEAD) {
                self.approach_end(id);
            }
            match left.next() {
                Some(Left::Connection(id)) => self.close(id, now, true),
                Some(Left::Talk(id)) => self.close_talk(id, now, true),
                None => break,
            }
        }
        let next = left.first();
        self.left = Some(left);
        if next.is_none() {
            // How far time has come, though nothing may have come of the last packets.
            let what = What::Mark(self.id, NONE);
            self.out.push(Out { at: now, no: NONE, what });
        }
        next
    }

    /// Behind [`Self::finish`]: knows no connection any more, and takes the next time for the first.
    pub fn begin_again(&mut self) {
        self.table = Table::new(TABLE_LISTS);
        self.timers = Timers::new(TIMERS);
        self.talks = <_>::default();
        self.openings_due = Stamp(i64::MAX);
        self.due = Stamp(i64::MIN);
        self.left = None;
    }

    fn all_open(&self) -> Leftover {
        let first = |state| match state {
            State::Opening(no) => self.openings.get(no).map(|opening| opening.first),
            State::Open(no) => self.attempts.get(no).map(|open| open.attempt.evidence.first),
            State::Idle(no) => self.idle.first(no),
            State::Http(no) => self.exchanges.get(no).map(|http| http.first),
            State::Dns(no) => self.channels.get(no).map(|channel| channel.first),
            State::Done(_) => None,
        };
        let open = self.table.iter().filter_map(|(id, state)| Some((first(state)?, Left::Connection(id))));
        let talks = self.talks.all_open().map(|(first, id)| (first, Left::Talk(id)));
        Leftover::of(open.chain(talks), self.census().open as usize)
    }

    /// A connection is over for us: what is known of it is taken, and its entry stays for what it may still carry.
    pub(super) fn forget(&mut self, id: Id, now: Stamp) -> Option<Open> {
        let state = self.table.get(id);
        self.table.set(id, State::Done(Over::default().at(now)));
        self.table.place(id, DONE);
        self.forget_silent(now);
        let State::Open(no) = state else { return None };
        let held = self.attempts.get(no)?.held;
        self.note_latest(no, NONE);
        self.held = self.held.saturating_sub(held);
        self.attempts.take(no)
    }

    /// Takes some of the longest silent out of those that are finished. One that goes on is looked at again later.
    fn forget_silent(&mut self, now: Stamp) {
        const LOOKS: usize = 4;
        for _ in 0..LOOKS {
            let Some(id) = self.table.front(DONE) else { return };
            let State::Done(over) = self.table.get(id) else { return };
            if since(over.seen, now) <= self.limits.remembered {
                return self.table.place(id, DONE);
            }
            self.table.remove(id);
        }
    }

    /// Ends what is known of a connection.
    pub(super) fn close(&mut self, id: Id, at: Stamp, capture_ended: bool) {
        match self.table.get(id) {
            State::Open(_) => {
                if let Some(open) = self.forget(id, at) {
                    self.close_attempt(id, open, at, capture_ended);
                }
            }
            State::Opening(no) => {
                if let Some(opening) = self.openings.take(no) {
                    self.close_opening(id, opening, at, capture_ended, false);
                }
            }
            State::Idle(no) => self.close_idle(id, no, at, capture_ended, false),
            State::Http(no) => {
                let Some(mut http) = self.exchanges.take(no) else { return };
                self.held = self.held.saturating_sub(http.held());
                self.forget(id, at);
                let no = http.first;
                let told = |seen: Seen<_>| Out { at, no, what: What::Status(Box::new(seen)) };
                let closed = http.close();
                self.out.extend(closed.into_iter().map(told));
            }
            State::Dns(no) => {
                let Some(channel) = self.channels.take(no) else { return };
                self.held = self.held.saturating_sub(channel.held());
                self.forget(id, at);
            }
            State::Done(_) => {}
        }
    }

    /// What comes of a connection without a byte. A hello on it would begin another attempt.
    pub(super) fn close_opening(
        &mut self,
        id: Id,
        opening: Opening,
        at: Stamp,
        capture_ended: bool,
        evicted: bool,
    ) {
        let key = self.table.key(id);
        let (client, server) = opening.ends(&key);
        let no = opening.first;
        if self.ports.contains(server.port) {
            let mut attempt = opening.into_attempt(&key, true, &self.limits);
            if evicted {
                attempt.evidence.lost.flows_evicted += 1;
            }
            let evidence = attempt.close(at, capture_ended, &self.limits, &mut self.parser);
            if !self.tell(evidence, at) {
                self.leave_unreported(id, opening.last());
            }
            return self.table.remove(id);
        }
        self.leave_unreported(id, opening.last());
        self.table.remove(id);
        if HTTP.contains(&server.port) && opening.reached() == Reached::Asked {
            // Responders and lists of revocation are asked over HTTP.
            let seen = Seen::new(server, no, opening.started);
            self.out.push(Out { at, no, what: What::Unreached(client.addr, seen) });
        }
    }

    /// What comes of an attempt.
    pub(super) fn close_attempt(&mut self, id: Id, open: Open, at: Stamp, capture_ended: bool) {
        let evidence = open.attempt.close(at, capture_ended, &self.limits, &mut self.parser);
        let (last, speaks_tls) = (evidence.last, outcome::speaks_tls(&evidence));
        if !self.tell(evidence, at) {
            self.leave_unreported(id, last);
        }
        if speaks_tls {
            if let State::Done(over) = self.table.get(id) {
                self.table.set(id, State::Done(Over { tls: true, ..over }));
            }
        } else {
            // It may still turn to TLS: a hello on the same connection begins another attempt.
            self.table.remove(id);
        }
    }

    /// Hands on what a connection's end tells; whether as an attempt.
    fn tell(&mut self, evidence: Box<Evidence>, at: Stamp) -> bool {
        let tls_port = self.ports.contains(evidence.server.port);
        let tried =
            outcome::speaks_tls(&evidence) || upgrade::counts(&evidence, |port| self.ports.contains(port));
        if !tls_port && !tried {
            // Responders and lists of revocation are asked over HTTP.
            let silent = evidence.tcp.syn_ack.is_none();
            if HTTP.contains(&evidence.server.port)
                && silent
                && let Some(syn) = &evidence.tcp.syn
            {
                let seen = syn.clone().map(|_| evidence.server);
                self.out.push(Out {
                    at,
                    no: evidence.first,
                    what: What::Unreached(evidence.client.addr, seen),
                });
            }
            return false;
        }
        // A lone SYN/ACK whose SYN went elsewhere is told as an aside.
        if evidence.tcp.syn.is_none() && !outcome::speaks_tls(&evidence) {
            let reset = evidence.tcp.resets.iter().find(|reset| reset.value.from == Side::Client);
            if let (Some(syn_ack), Some(reset)) = (&evidence.tcp.syn_ack, reset) {
                let cited = syn_ack.at.clone().and(&reset.at);
                let seen = Seen { value: evidence.client, at: cited, when: reset.when };
                // A reset of what was not asked for takes its sequence number from the acknowledgment.
                let what = What::Astray(evidence.server, reset.value.seq, seen);
                self.out.push(Out { at, no: evidence.first, what });
            }
            return false;
        }
        if evidence.outcome == Outcome::NotTls && !tls_port {
            return false;
        }
        self.out.push(Out { at, no: evidence.first, what: What::Closed(evidence) });
        true
    }
}
