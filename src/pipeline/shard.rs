//! One shard: follows the connections that are its own, and gives what becomes of them in order of time.
//!
//! Of a file, addresses hash to shards; on interfaces the kernel deals connections to rings, and each has a shard.

mod approach;
mod close;
mod dns;
mod glance;
mod http;
mod idle;
mod left;
mod over;
mod room;
mod talks;
mod watch;

use self::idle::Idles;
use self::over::{Over, seconds, since};
use self::talks::Talks;
pub use watch::{Census, Follows};

use std::sync::Arc;

use super::lookups::Said;
use crate::aside::dns::hidden::Way;
use crate::base::{Addr, Direction, Endpoint, FlowKey, Limits, Lost, PackedKey, PacketNo, Seen, Side, Stamp};
use crate::decode::{IcmpError, Packet, Segment};
use crate::evidence::Evidence;
use crate::evidence::around::StatusExchange;
use crate::evidence::attempt::{Attempt, Parse, Step};
use crate::evidence::exchange::{Exchange, may_be_a_request};
use crate::evidence::opening::{Opening, Reached};
use crate::flow::pool::Pool;
use crate::flow::table::{Id, List, Table};
use crate::flow::timer::Timers;
use crate::tls::cert::Certificate;
use crate::tls::codes::Version;
use crate::tls::hello::ClientHello;
use crate::tls::keys::Keys;
use crate::tls::parser::Parser;

/// What leaves a shard, in order of `at`.
#[derive(Debug)]
pub struct Out {
    /// When it was decided, on capture time.
    pub at: Stamp,
    /// The packet it began with: the order among equals.
    pub no: PacketNo,
    /// What it is.
    pub what: What,
}

/// Kinds of [`Out`].
#[derive(Debug)]
pub enum What {
    /// An attempt has ended.
    Closed(Box<Evidence>),
    /// A DNS question or answer.
    Dns(Box<Said>),
    /// A resolver that an ICMP error says cannot be reached: who asked, whom, and who says so.
    NoResolver(Box<(Endpoint, Endpoint, Seen<Addr>)>),
    /// A client asks a resolver in a way that hides the questions.
    Hidden(Addr, Seen<Way>),
    /// A SYN to a TLS port: server, sequence number of the first byte, client.
    Syn(Endpoint, u32, Seen<Endpoint>),
    /// An HTTP server that did not take a connection, and whose: the SYN.
    Unreached(Addr, Seen<Endpoint>),
    /// An exchange about revocation over HTTP.
    Status(Box<Seen<StatusExchange>>),
    /// An HTTP answer is dated: by whom, and when.
    Dated(Addr, Seen<Stamp>),
    /// A SYN/ACK that answers no SYN seen on its addresses: its sender, receiver and acknowledgment.
    StraySynAck(Seen<Endpoint>, Endpoint, u32),
    /// A SYN/ACK went to a client that sent no SYN, and was reset: its server, the acknowledgment, who reset it.
    Astray(Endpoint, u32, Seen<Endpoint>),
    /// A ClientHello on a connection whose SYN was not seen: server, sequence number of the first byte, client.
    Moved(Endpoint, u32, Seen<Endpoint>),
    /// No attempt that this shard has or will have ended before this packet.
    Mark(usize, PacketNo),
}

/// What is known of a connection; the numbers are places in the shard's pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is over, or was never of interest: nothing is kept but its addresses, and this.
    Done(Over),
    /// It has carried no byte.
    Opening(u32),
    /// Nothing goes on, which is known in few bytes.
    Idle(u32),
    /// An attempt.
    Open(u32),
    /// An HTTP exchange about revocation.
    Http(u32),
    /// Questions to a resolver.
    Dns(u32),
}

impl Default for State {
    fn default() -> Self {
        Self::Done(Over::default())
    }
}

/// An attempt, and the bytes it held when they were last counted.
#[derive(Debug)]
struct Open {
    attempt: Attempt,
    held: usize,
    /// When it is to be looked at; never later than the attempt's deadline.
    armed: Stamp,
}

/// No packet: behind all others.
const NONE: PacketNo = PacketNo(u64::MAX);

/// Finished connections, longest silent first or nearly so.
const DONE: List = List(0);
/// Connections without a byte by how far they got; in each, in order of their deadlines.
const OPENINGS: [(Reached, List); 3] =
    [(Reached::Asked, List(1)), (Reached::Answered, List(2)), (Reached::Established, List(3))];
/// Where the lists of the timers begin.
const TIMERS: List = List(4);
/// All lists.
const TABLE_LISTS: u32 = TIMERS.0 + Timers::LISTS;

/// The list of connections without a byte that got that far.
fn list_of(reached: Reached) -> List {
    match reached {
        Reached::Asked => List(1),
        Reached::Answered => List(2),
        Reached::Established => List(3),
    }
}

impl Parse for Parser {
    fn certificate(&mut self, der: &[u8]) -> Arc<Certificate> {
        Self::certificate(self, der)
    }

    fn client_hello(&mut self, record_version: Version, body: &[u8]) -> Option<ClientHello> {
        Self::client_hello(self, record_version, body)
    }

    fn keys(&self) -> Option<&Keys> {
        Some(Self::keys(self))
    }
}

/// The ports on which an attempt counts even if it never carried a byte.
#[derive(Clone, Debug)]
pub struct Ports(Box<[bool]>);

impl Ports {
    /// HTTPS and its usual alternatives, news, mail, LDAP, DNS, FTP, telnet, IRC, Docker, SIP, TURN, AMQP, WinRM,
    /// Kubernetes, syslog and MQTT over TLS.
    pub const DEFAULT: [u16; 29] = [
        443, 465, 563, 587, 636, 853, 989, 990, 992, 993, 994, 995, 2376, 3269, 4430, 4433, 4443, 5061, 5349,
        5671, 5986, 6443, 6514, 6697, 8243, 8443, 8883, 9443, 10443,
    ];

    /// These ports.
    pub fn new(ports: &[u16]) -> Self {
        let mut table = vec![false; 1 << 16].into_boxed_slice();
        for &port in ports {
            if let Some(entry) = table.get_mut(usize::from(port)) {
                *entry = true;
            }
        }
        Self(table)
    }

    /// Whether this is one of them.
    pub fn contains(&self, port: u16) -> bool {
        self.0.get(usize::from(port)).copied().unwrap_or(false)
    }
}

/// A shard's state.
#[derive(Debug)]
pub struct Shard {
    limits: Arc<Limits>,
    ports: Arc<Ports>,
    table: Table<State>,
    openings: Pool<Opening>,
    idle: Idles,
    attempts: Pool<Open>,
    /// The latest packet of each, by its place: looked over for every mark.
    latest: Vec<PacketNo>,
    exchanges: Pool<Exchange>,
    channels: Pool<dns::Channel>,
    talks: Talks,
    timers: Timers,
    /// No connection without a byte is given up until this has passed.
    openings_due: Stamp,
    /// Nothing at all happens until this has passed.
    due: Stamp,
    parser: Parser,
    held: usize,
    lost: Lost,
    out: Vec<Out>,
    id: usize,
    /// The packet at which it last said how far it is.
    marked: PacketNo,
    /// Once the capture has ended: what is still to be closed.
    left: Option<left::Leftover>,
    /// Connections that ended and are none of ours, with their last packets; where somebody wants to know.
    unreported: Option<Vec<(FlowKey, PacketNo)>>,
}

/// A packet's place in the capture.
#[derive(Clone, Copy, Debug)]
struct Place {
    no: PacketNo,
    stamp: Stamp,
    /// The capture's clock, which never steps back.
    now: Stamp,
}

impl Shard {
    /// Packets between two marks, at least.
    const MARK: u64 = 1_024;

    /// An empty shard; `id` is its number among all.
    pub fn new(limits: Arc<Limits>, ports: Arc<Ports>, id: usize) -> Self {
        let parser = Parser::new(limits.certificates);
        Self {
            limits,
            ports,
            table: Table::new(TABLE_LISTS),
            openings: Pool::default(),
            idle: Idles::default(),
            attempts: Pool::default(),
            latest: Vec::new(),
            exchanges: Pool::default(),
            channels: Pool::default(),
            talks: Talks::default(),
            timers: Timers::new(TIMERS),
            openings_due: Stamp(i64::MAX),
            due: Stamp(i64::MIN),
            parser,
            held: 0,
            lost: Lost::default(),
            out: Vec::new(),
            id,
            marked: PacketNo::default(),
            left: None,
            unreported: None,
        }
    }

    /// The same, with the keys that open sealed records.
    pub fn with_keys(mut self, keys: &Keys) -> Self {
        self.parser.ask(keys.clone());
        self
    }

    /// Takes one packet. `now` is the capture's clock, which never steps back.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>, no: PacketNo, stamp: Stamp, now: Stamp) {
        self.tick(now);
        let place = Place { no, stamp, now };
        match packet {
            Packet::Segment(segment) => self.segment(segment, place),
            Packet::Datagram(datagram) => self.datagram(datagram, place),
            Packet::IcmpError(error) => self.icmp(error, place),
            Packet::Other | Packet::Undecodable => {}
        }
    }

    /// Capture time has come to `now`: closes what has waited long enough.
    #[inline]
    pub fn tick(&mut self, now: Stamp) {
        if now > self.due {
            self.expire(now);
        }
    }

    /// The capture has come to packet `no`: says now and then, at the cost of one look at an entry for each
    /// packet, before which packet no attempt of this shard will have ended.
    #[inline]
    pub fn mark(&mut self, no: PacketNo, now: Stamp) {
        let since = no.0.saturating_sub(self.marked.0);
        if since >= Self::MARK
            && since
                >= (self.attempts.len() + self.idle.len() + self.exchanges.len() + self.talks.open()) as u64
        {
            self.say_mark(no, now);
        }
    }

    /// What has left the shard since the last call.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Out> {
        self.out.drain(..)
    }

    /// How much waits to be drained.
    #[inline]
    pub fn outs(&self) -> usize {
        self.out.len()
    }

    /// Whether anything waits to be drained.
    #[inline]
    pub fn has_out(&self) -> bool {
        !self.out.is_empty()
    }

    /// What was lost by bounds since the last call.
    pub fn take_lost(&mut self) -> Lost {
        std::mem::take(&mut self.lost)
    }

    fn say_mark(&mut self, no: PacketNo, now: Stamp) {
        self.marked = no;
        let attempts = self.latest.iter().copied().chain(self.idle.latest());
        // In each list, the first one's latest packet came before all others'.
        let openings = OPENINGS.iter().filter_map(|(_, list)| {
            let State::Opening(no) = self.table.get(self.table.front(*list)?) else { return None };
            self.openings.get(no).map(Opening::last)
        });
        let exchanges = self.exchanges.iter().filter_map(Exchange::pending);
        let all = attempts.chain(openings).chain(exchanges).chain(self.talks.latest());
        let mark = all.min().map_or(no, |last| last.min(no));
        self.out.push(Out { at: now, no: PacketNo(u64::MAX), what: What::Mark(self.id, mark) });
    }

    #[inline(never)]
    fn segment(&mut self, segment: &Segment<'_>, place: Place) {
        let (key, direction) = FlowKey::of(segment.src(), segment.dst());
        let key = PackedKey::from(key);
        self.segment_of(self.table.find_known(&key), || key, direction, segment, place);
    }

    /// A segment of a connection. `known`: its entry, and what that says. `key`: its addresses, which few ask for.
    #[inline(always)] // on the short way, and on that of all others
    fn segment_of(
        &mut self,
        known: Option<(Id, State)>,
        key: impl Fn() -> PackedKey,
        direction: Direction,
        segment: &Segment<'_>,
        place: Place,
    ) {
        let Some((id, state)) = known else { return self.unknown(key(), direction, segment, place) };
        match state {
            State::Done(over) if self.has_forgotten(over, place.now) => {
                self.table.remove(id);
                self.unknown(key(), direction, segment, place);
            }
            State::Done(_) if is_syn(segment) => {
                self.begin(Some(id), key(), direction, segment, Side::Client, place)
            }
            // Another request on a connection that is kept open.
            State::Done(over) if may_be_a_request(segment.payload) => {
                self.table.set(id, State::Done(over.at(place.now)));
                self.ask(Some(id), key(), direction, segment, place);
            }
            State::Done(over) => {
                self.table.set(id, State::Done(over.at(place.now)));
                self.hear(segment, place);
            }
            State::Opening(no) => {
                let Some(opening) = self.openings.get_mut(no) else { return };
                if opening.take(segment, direction, place.no, place.stamp, place.now) {
                    let opening = *opening;
                    self.wait(id, &opening);
                } else if !self.stays_idle(id, no, direction, segment, place) {
                    self.wake(id, direction, segment, place);
                }
            }
            State::Idle(no) => {
                if !self.idle.take(no, segment, direction, place) {
                    self.wake(id, direction, segment, place);
                }
            }
            State::Open(no) => self.of_attempt(id, no, direction, segment, place),
            State::Http(no) => {
                self.of_exchange(id, no, direction, segment, place);
            }
            State::Dns(no) => self.of_channel(id, no, direction, segment, place),
        }
    }

    #[inline(never)]
    fn of_attempt(&mut self, id: Id, no: u32, direction: Direction, segment: &Segment<'_>, place: Place) {
        let Some(Open { attempt, .. }) = self.attempts.get(no) else { return };
        let from = if direction == attempt.client_sends { Side::Client } else { Side::Server };
        if is_syn(segment) && attempt.is_new_connection(segment, from) {
            let key = PackedKey::from(self.table.key(id));
            self.close(id, place.now, false);
            let known = self.table.find(&key);
            self.begin(known, key, direction, segment, Side::Client, place);
        } else {
            self.feed(id, no, segment, from, place);
        }
    }

    /// A segment of a connection that is not in the table.
    fn unknown(&mut self, key: PackedKey, direction: Direction, segment: &Segment<'_>, place: Place) {
        let flags = segment.flags;
        if flags.rst() {
            return;
        }
        let from = if flags.syn() {
            if flags.ack() { Side::Server } else { Side::Client }
        } else {
            // Content type handshake, then the type of the message.
            match segment.payload {
                [22, 3, _, _, _, 1, ..] | [22, 1, 1, _, _, 1, ..] => Side::Client,
                [22, 3, _, _, _, 2, ..] | [22, 1, 1, _, _, 2, ..] => Side::Server,
                // A later request on a connection that is kept open.
                [b'G' | b'P', ..] => {
                    return self.ask(None, key, direction, segment, place);
                }
                [b'H', ..] => return self.hear(segment, place),
                [_, _, ..] if crate::aside::dns::may_be(segment.src_port, segment.dst_port) => {
                    return self.follow_channel(None, key, direction, segment, place);
                }
                _ => return,
            }
        };
        if flags.syn() && flags.ack() {
            let what = What::StraySynAck(
                Seen::new(segment.src(), place.no, place.stamp),
                segment.dst(),
                segment.ack,
            );
            self.out.push(Out { at: place.now, no: place.no, what });
        }
        self.begin(None, key, direction, segment, from, place);
    }

    /// A connection begins. `known`: its entry, which is done.
    fn begin(
        &mut self,
        known: Option<Id>,
        key: PackedKey,
        direction: Direction,
        segment: &Segment<'_>,
        from: Side,
        place: Place,
    ) {
        let Place { no, stamp, now } = place;
        let (client, server, client_sends) = match from {
            Side::Client => (segment.src(), segment.dst(), direction),
            Side::Server => (segment.dst(), segment.src(), direction.opposite()),
        };
        let tls_port = self.ports.contains(server.port);
        if from == Side::Client && segment.flags.syn() && tls_port {
            let what = What::Syn(server, segment.seq.wrapping_add(1), Seen::new(client, no, stamp));
            self.out.push(Out { at: now, no, what });
        }
        if from == Side::Client && !segment.flags.syn() {
            let what = What::Moved(server, segment.seq, Seen::new(client, no, stamp));
            self.out.push(Out { at: now, no, what });
        }
        let id = known.unwrap_or_else(|| self.entry(key, now));
        if from == Side::Client
            && let Some(opening) = Opening::new(segment, client_sends, no, stamp, now)
        {
            let place = self.openings.put(opening);
            self.table.set(id, State::Opening(place));
            self.wait(id, &opening);
            return;
        }
        let kept = self.follow(id, now, || Attempt::new(client, server, client_sends, tls_port, no, stamp));
        self.of_attempt(id, kept, direction, segment, place);
    }

    /// Has a connection without a byte wait for its next packet.
    fn wait(&mut self, id: Id, opening: &Opening) {
        let list = list_of(opening.reached());
        self.table.place(id, list);
        self.openings_due = self.openings_due.min(opening.deadline(&self.limits));
        self.due = self.due.min(self.openings_due);
    }

    /// More comes of a connection than could be known in few bytes.
    fn wake(&mut self, id: Id, direction: Direction, segment: &Segment<'_>, place: Place) {
        if let Some(no) = self.promote(id, place.now) {
            self.of_attempt(id, no, direction, segment, place);
        }
    }

    /// Makes an attempt of a connection that is known in few bytes.
    fn promote(&mut self, id: Id, now: Stamp) -> Option<u32> {
        match self.table.get(id) {
            State::Opening(no) => {
                let opening = self.openings.take(no)?;
                let key = self.table.key(id);
                let tls_port = self.ports.contains(opening.ends(&key).1.port);
                let no = self.follow(id, now, || opening.attempt(&key, tls_port));
                opening.tell(&mut self.attempts.get_mut(no)?.attempt, &self.limits);
                Some(no)
            }
            State::Idle(no) => {
                let attempt = self.attempt_of_idle(id, no)?;
                Some(self.follow(id, now, || attempt))
            }
            _ => None,
        }
    }

    /// Keeps an attempt, to be looked at before long. It is made where it stays.
    #[inline]
    fn follow(&mut self, id: Id, now: Stamp, make: impl FnOnce() -> Attempt) -> u32 {
        self.make_way(id, now);
        let armed = now + self.limits.after_end;
        let no = self.attempts.put_with(|| Open { attempt: make(), held: 0, armed });
        if self.latest.len() <= no as usize {
            self.latest.resize(no as usize + 1, NONE);
        }
        self.table.set(id, State::Open(no));
        self.arm(id, armed);
        no
    }

    /// Notes the latest packet of an attempt.
    fn note_latest(&mut self, kept: u32, last: PacketNo) {
        if let Some(latest) = self.latest.get_mut(kept as usize) {
            *latest = last;
        }
    }

    fn arm(&mut self, id: Id, deadline: Stamp) {
        self.timers.arm(&mut self.table, id, deadline);
        self.due = self.due.min(self.timers.due());
    }

    /// Called in one place, of which it then is a part.
    fn feed(&mut self, id: Id, kept: u32, segment: &Segment<'_>, from: Side, place: Place) {
        let Some(open) = self.attempts.get_mut(kept) else { return };
        let Place { no, stamp, now } = place;
        let step = open.attempt.segment(segment, from, no, stamp, now, &self.limits, &mut self.parser);
        match step {
            Step::Open => {
                let last = open.attempt.evidence.last;
                // Half of the room is left to what every verdict needs.
                let roomy = self.held <= self.limits.bytes_per_shard / 2;
                // What brings no bytes leaves what is held as it was.
                if segment.payload_wire_len > 0 || !roomy {
                    let held = open.attempt.held(roomy);
                    self.held = self.held.saturating_sub(open.held).saturating_add(held);
                    open.held = held;
                }
                let deadline = open.attempt.deadline;
                if self.held > self.limits.bytes_per_shard {
                    open.attempt.evidence.lost.bytes_dropped += open.held as u64;
                    return self.close(id, now, true);
                }
                if deadline < open.armed {
                    open.armed = deadline;
                    self.arm(id, deadline);
                }
                self.note_latest(kept, last);
            }
            Step::Settled => self.close(id, now, false),
            Step::NotOurs => {
                self.forget(id, now);
                self.leave_unreported(id, no);
                let (key, sends) = FlowKey::of(segment.src(), segment.dst());
                if crate::aside::dns::may_be(segment.src_port, segment.dst_port) {
                    self.follow_channel(Some(id), key.into(), sends, segment, place);
                } else if from == Side::Client {
                    self.ask(Some(id), key.into(), sends, segment, place);
                }
            }
        }
    }

    fn icmp(&mut self, error: &IcmpError, place: Place) {
        if error.quoted_protocol != 6 {
            self.icmp_of_talk(error, place);
            return self.no_resolver(error, place);
        }
        let (key, _) = FlowKey::of(error.quoted_src, error.quoted_dst);
        let Some(id) = self.table.find(&key.into()) else { return };
        let no = match self.table.get(id) {
            State::Open(no) => Some(no),
            State::Opening(_) | State::Idle(_) => self.promote(id, place.now),
            State::Done(_) | State::Http(_) | State::Dns(_) => None,
        };
        if let Some((no, open)) = no.and_then(|no| Some((no, self.attempts.get_mut(no)?))) {
            open.attempt.evidence.icmp(*error, place.no, place.stamp);
            let last = open.attempt.evidence.last;
            self.note_latest(no, last);
        }
    }
}

fn is_syn(segment: &Segment<'_>) -> bool {
    segment.flags.syn() && !segment.flags.ack()
}

#[cfg(test)]
mod tests;
