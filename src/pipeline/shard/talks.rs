//! Attempts over datagrams: a table of their own, since a connection of TCP may have the same ends.

use super::{Out, Place, Shard, What, seconds, since};
use crate::aside::dns::{self, hidden};
use crate::base::{Direction, FlowKey, PackedKey, PacketNo, Seen, Stamp};
use crate::decode::{Datagram, IcmpError};
use crate::evidence::talk::{self, Protocol, Step, Talk};
use crate::flow::pool::Pool;
use crate::flow::table::{Id, List, Table};
use crate::flow::timer::Timers;

/// What is known of two ends; the number is a place in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// An attempt.
    Open(u32),
    /// The attempt is over: when its latest packet came, in seconds of capture time, and its tag, by which what comes late is
    /// told from another attempt.
    Done(u32, u32),
}

impl Default for State {
    fn default() -> Self {
        Self::Done(0, 0)
    }
}

/// Finished ones, longest silent first or nearly so.
const DONE: List = List(0);
/// Where the lists of the timers begin.
const TIMERS: List = List(1);

/// An attempt, and the bytes it held when they were last counted.
#[derive(Debug)]
struct Open {
    talk: Talk,
    held: usize,
    /// When it is to be looked at; never later than the talk's deadline.
    armed: Stamp,
}

/// All attempts over datagrams of one shard.
#[derive(Debug)]
pub(super) struct Talks {
    table: Table<State>,
    open: Pool<Open>,
    timers: Timers,
}

impl Default for Talks {
    fn default() -> Self {
        Self {
            table: Table::new(TIMERS.0 + Timers::LISTS),
            open: Pool::default(),
            timers: Timers::new(TIMERS),
        }
    }
}

impl Talks {
    /// Attempts under way.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Finished ones remembered.
    pub fn finished(&self) -> usize {
        self.table.len().saturating_sub(self.open.len())
    }

    /// The latest packet of each attempt under way.
    pub fn latest(&self) -> impl Iterator<Item = PacketNo> {
        self.open.iter().map(|open| open.talk.evidence.last)
    }

    /// The first packet of each attempt under way.
    pub fn all_open(&self) -> impl Iterator<Item = (PacketNo, Id)> {
        self.table.iter().filter_map(|(id, state)| match state {
            State::Open(no) => Some((self.open.get(no)?.talk.evidence.first, id)),
            State::Done(..) => None,
        })
    }

    /// Whether an attempt between these ends is under way.
    pub fn follows(&self, key: &FlowKey) -> bool {
        if self.open.is_empty() {
            return false;
        }
        let known = self.table.find(&(*key).into()).map(|id| self.table.get(id));
        matches!(known, Some(State::Open(_)))
    }

    /// Nothing is due until this has passed.
    pub fn due(&self) -> Stamp {
        if self.open.is_empty() { Stamp(i64::MAX) } else { self.timers.due() }
    }
}

impl Shard {
    /// Reads a datagram: to or from a resolver, or of an attempt.
    pub(super) fn datagram(&mut self, datagram: &Datagram<'_>, place: Place) {
        if dns::may_be(datagram.src_port, datagram.dst_port) {
            return self.of_resolver(datagram, place);
        }
        if hidden::opens_quic(datagram.dst_port, datagram.payload) {
            let client = datagram.hop.src;
            let what = What::Hidden(client, Seen::new(hidden::Way::Quic, place.no, place.stamp));
            self.out.push(Out { at: place.now, no: place.no, what });
        }
        let begins = Protocol::begun_by(datagram.payload);
        // Nearly every datagram is none of ours.
        if begins.is_some() || !self.talks.open.is_empty() {
            self.of_talk(datagram, begins, place);
        }
    }

    fn of_talk(&mut self, datagram: &Datagram<'_>, begins: Option<Protocol>, place: Place) {
        let (key, sends) = FlowKey::of(datagram.src(), datagram.dst());
        let key = PackedKey::from(key);
        let known = self.talks.table.find(&key);
        match known.map(|id| (id, self.talks.table.get(id))) {
            Some((id, State::Open(no))) => self.feed_talk(id, no, datagram, sends, begins, place),
            // It renews nothing: where no other attempt is under way it is not even looked up.
            Some((_, State::Done(..))) if begins.is_none() => {}
            // As if its entry had left, which it does when others come.
            Some((id, State::Done(seen, _))) if since(seen, place.now) > self.limits.remembered => {
                self.talks.table.remove(id);
                self.begin_talk(None, key, datagram, sends, begins, place);
            }
            Some((id, State::Done(_, tag))) => {
                self.talks.table.set(id, State::Done(seconds(place.now), tag));
                self.begin_talk(known, key, datagram, sends, begins, place);
            }
            None => self.begin_talk(None, key, datagram, sends, begins, place),
        }
    }

    /// An attempt begins, if it does. `known`: the entry of its ends, which is done.
    fn begin_talk(
        &mut self,
        known: Option<Id>,
        key: PackedKey,
        datagram: &Datagram<'_>,
        sends: Direction,
        begins: Option<Protocol>,
        place: Place,
    ) {
        let Some(talk) = begins.and_then(|begins| Talk::begin(begins, datagram, sends, at(place))) else {
            return;
        };
        if let Some(id) = known
            && let State::Done(_, tag) = self.talks.table.get(id)
            && tag == talk.tag
        {
            return; // a late copy of what began the last one
        }
        // Each takes some kilobytes, and a spoofed datagram is enough to begin one.
        if self.talks.open.len() >= self.limits.under_way / 4 {
            self.evict_talk(place.now);
        }
        let id = match known {
            Some(id) => id,
            None => {
                self.forget_talks(place.now);
                self.talks.table.insert(key, State::default())
            }
        };
        let armed = place.now + self.limits.after_end;
        let no = self.talks.open.put(Open { talk, held: 0, armed });
        self.talks.table.set(id, State::Open(no));
        self.arm_talk(id, armed);
        self.feed_talk(id, no, datagram, sends, None, place);
    }

    fn feed_talk(
        &mut self,
        id: Id,
        no: u32,
        datagram: &Datagram<'_>,
        sends: Direction,
        begins: Option<Protocol>,
        place: Place,
    ) {
        let Some(open) = self.talks.open.get_mut(no) else { return };
        match open.talk.datagram(datagram, sends, at(place), &self.limits, &mut self.parser) {
            Step::Open => {
                let held = open.talk.held();
                self.held = self.held.saturating_sub(open.held).saturating_add(held);
                open.held = held;
                let deadline = open.talk.deadline;
                if deadline < open.armed {
                    open.armed = deadline;
                    self.arm_talk(id, deadline);
                }
                // One in the middle of its handshake is worth more than one of a flood that has waited longer.
                if self.held > self.limits.bytes_per_shard {
                    self.evict_talk(place.now);
                }
            }
            Step::Settled => self.close_talk(id, place.now, false),
            Step::Another => {
                let key = PackedKey::from(self.talks.table.key(id));
                self.close_talk(id, place.now, false);
                self.begin_talk(Some(id), key, datagram, sends, begins, place);
            }
            Step::NotOurs => {}
        }
    }

    fn arm_talk(&mut self, id: Id, deadline: Stamp) {
        self.talks.timers.arm(&mut self.talks.table, id, deadline);
        self.due = self.due.min(self.talks.timers.due());
    }

    /// Closes every attempt whose deadline has passed.
    pub(super) fn expire_talks(&mut self, now: Stamp) {
        while let Some(id) = self.talks.timers.expired(&mut self.talks.table, now) {
            let State::Open(no) = self.talks.table.get(id) else { continue };
            let Some(open) = self.talks.open.get_mut(no) else { continue };
            open.armed = open.talk.deadline;
            let deadline = open.armed;
            if deadline < now {
                self.close_talk(id, deadline, false);
            } else {
                self.talks.timers.arm(&mut self.talks.table, id, deadline);
            }
        }
    }

    /// Gives up the attempt that would have been given up next.
    fn evict_talk(&mut self, now: Stamp) {
        // Who is not due has gone on since it was armed.
        const LOOKS: usize = 64;
        for look in 1.. {
            let Some((id, _)) = self.talks.timers.soonest(&mut self.talks.table) else { return };
            let State::Open(no) = self.talks.table.get(id) else { continue };
            let Some(open) = self.talks.open.get_mut(no) else { continue };
            let deadline = open.talk.deadline;
            if deadline > std::mem::replace(&mut open.armed, deadline) && look < LOOKS {
                self.talks.timers.arm(&mut self.talks.table, id, deadline);
                continue;
            }
            open.talk.evidence.lost.flows_evicted += 1;
            self.lost.flows_evicted += 1;
            return self.close_talk(id, now, true);
        }
    }

    /// Takes some of the longest silent out of those that are finished.
    fn forget_talks(&mut self, now: Stamp) {
        const LOOKS: usize = 4;
        let full = self.talks.table.len() >= self.limits.flows / 4;
        for _ in 0..LOOKS {
            let Some(id) = self.talks.table.front(DONE) else { return };
            let State::Done(seen, _) = self.talks.table.get(id) else { return };
            if !full && since(seen, now) <= self.limits.remembered {
                return self.talks.table.place(id, DONE);
            }
            self.talks.table.remove(id);
        }
    }

    /// Ends an attempt.
    pub(super) fn close_talk(&mut self, id: Id, at: Stamp, capture_ended: bool) {
        let State::Open(no) = self.talks.table.get(id) else { return };
        let Some(Open { talk, held, .. }) = self.talks.open.take(no) else { return };
        self.held = self.held.saturating_sub(held);
        self.talks.table.set(id, State::Done(seconds(at), talk.tag));
        self.talks.table.place(id, DONE);
        let evidence = talk.close(at, capture_ended, &mut self.parser);
        self.out.push(Out { at, no: evidence.first, what: What::Closed(evidence) });
    }

    /// An ICMP error that quotes a datagram.
    pub(super) fn icmp_of_talk(&mut self, error: &IcmpError, place: Place) {
        if self.talks.open.is_empty() {
            return;
        }
        let (key, _) = FlowKey::of(error.quoted_src, error.quoted_dst);
        let Some(id) = self.talks.table.find(&key.into()) else { return };
        let State::Open(no) = self.talks.table.get(id) else { return };
        if let Some(open) = self.talks.open.get_mut(no) {
            open.talk.evidence.icmp(*error, place.no, place.stamp);
        }
    }
}

/// The same for the talk.
fn at(Place { no, stamp, now }: Place) -> talk::Place {
    talk::Place { no, stamp, clock: now }
}
