//! One shard: the connections whose addresses hash to it.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;

use super::lookups::Lookup;
use super::memory::Recent;
use crate::aside::dns;
use crate::base::{Addr, Direction, Endpoint, FlowKey, Limits, Lost, PacketNo, Seen, Side, Stamp};
use crate::decode::{Datagram, IcmpError, Packet, Segment};
use crate::evidence::around::OcspExchange;
use crate::evidence::attempt::{Attempt, ParseCertificate, Step};
use crate::evidence::exchange::Exchange;
use crate::evidence::{Evidence, Outcome, outcome, upgrade};
use crate::flow::timer::Timers;
use crate::tls::cert::Certificate;
use crate::tls::codes::Version;
use crate::tls::hello::ClientHello;
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
    /// A DNS answer.
    Dns(Box<Lookup>),
    /// A SYN to a TLS port: server, sequence number of the first byte, client.
    Syn(Endpoint, u32, Seen<Endpoint>),
    /// An HTTP server that did not take a connection, and whose: the SYN.
    Unreached(Addr, Seen<Endpoint>),
    /// An OCSP exchange over HTTP, and who asked.
    Ocsp(Addr, Box<Seen<OcspExchange>>),
    /// A SYN/ACK that answers no SYN seen on its addresses: its sender, receiver and acknowledgment.
    StraySynAck(Seen<Endpoint>, Endpoint, u32),
    /// A SYN/ACK went to a client that sent no SYN, and was reset: its server, the acknowledgment, who reset it.
    Astray(Endpoint, u32, Seen<Endpoint>),
    /// A ClientHello on a connection whose SYN was not seen: server, sequence number of the first byte, client.
    Moved(Endpoint, u32, Seen<Endpoint>),
    /// No attempt that this shard has or will have ended before this packet.
    Mark(usize, PacketNo),
}

/// A connection's entry. A finished one costs no more than its key.
#[derive(Debug)]
enum Slot {
    Open(Box<Open>),
    Http(Box<Exchange>),
    Done,
}

#[derive(Debug)]
struct Open {
    attempt: Attempt,
    /// When its timer fires; never later than the attempt's deadline.
    armed: Stamp,
    held: usize,
}

impl ParseCertificate for Parser {
    fn parse(&mut self, der: &[u8]) -> Arc<Certificate> {
        self.certificate(der)
    }

    fn client_hello(&mut self, record_version: Version, body: &[u8]) -> Option<ClientHello> {
        Self::client_hello(self, record_version, body)
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

/// What a shard holds just now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections followed.
    pub open: u64,
    /// Finished connections remembered.
    pub finished: u64,
    /// Bytes of streams held.
    pub bytes_held: u64,
}

/// What a shard does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// An attempt is under way on it.
    Attempt,
    /// It asks for a revocation status.
    Http,
    /// It is finished, or not known.
    Nothing,
}

/// A shard's state.
#[derive(Debug)]
pub struct Shard {
    limits: Arc<Limits>,
    ports: Arc<Ports>,
    table: HashMap<FlowKey, Slot, foldhash::fast::FixedState>,
    done: VecDeque<FlowKey>,
    timers: Timers<(PacketNo, FlowKey)>,
    certs: Parser,
    /// DNS questions by client and transaction.
    asked: Recent<(Endpoint, u16), Seen<()>>,
    held: usize,
    lost: Lost,
    out: Vec<Out>,
    id: usize,
    /// The packet at which it last said how far it is.
    marked: PacketNo,
    /// Attempts that ended and are none of ours, with their last packets; where somebody wants to know.
    unreported: Option<Vec<(FlowKey, PacketNo)>>,
}

impl Shard {
    /// Packets between two marks, at least.
    const MARK: u64 = 1_024;

    /// An empty shard; `id` is its number among all.
    pub fn new(limits: Arc<Limits>, ports: Arc<Ports>, id: usize) -> Self {
        let certs = Parser::new(limits.certificates);
        let asked = limits.asides;
        Self {
            limits,
            ports,
            table: HashMap::with_hasher(foldhash::fast::FixedState::default()),
            done: VecDeque::new(),
            timers: Timers::default(),
            certs,
            asked: Recent::new(asked, 1),
            held: 0,
            lost: Lost::default(),
            out: Vec::new(),
            id,
            marked: PacketNo::default(),
            unreported: None,
        }
    }

    /// From now on remembers which connections end without a report.
    pub fn tell_unreported(&mut self) {
        self.unreported.get_or_insert_default();
    }

    /// The connections that ended without a report since the last call, and their last packets.
    pub fn take_unreported(&mut self) -> Vec<(FlowKey, PacketNo)> {
        self.unreported.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What it does with a connection.
    pub fn follows(&self, key: &FlowKey) -> Follows {
        match self.table.get(key) {
            Some(Slot::Open(_)) => Follows::Attempt,
            Some(Slot::Http(_)) => Follows::Http,
            Some(Slot::Done) | None => Follows::Nothing,
        }
    }

    /// From now on counts silent attempts on these ports.
    pub fn renew(&mut self, ports: Arc<Ports>) {
        self.ports = ports;
    }

    /// Takes one packet. `now` is the capture's clock, which never steps back.
    pub fn packet(&mut self, packet: &Packet<'_>, no: PacketNo, stamp: Stamp, now: Stamp) {
        self.tick(now);
        match packet {
            Packet::Segment(segment) => self.segment(segment, no, stamp, now),
            Packet::Datagram(datagram) => self.datagram(datagram, no, stamp, now),
            Packet::IcmpError(error) => self.icmp(error, no, stamp),
            Packet::Other | Packet::Undecodable => {}
        }
    }

    /// Capture time has come to `now`: closes what has waited long enough.
    pub fn tick(&mut self, now: Stamp) {
        while let Some((armed, (first, key))) = self.timers.expired(now) {
            let open = match self.table.get_mut(&key) {
                Some(Slot::Open(open)) => open,
                Some(Slot::Http(http)) if http.first == first => {
                    if http.deadline > armed {
                        self.timers.arm(http.deadline, (first, key));
                    } else {
                        self.close_http(key, armed);
                    }
                    continue;
                }
                _ => continue,
            };
            if open.attempt.evidence.first != first || open.armed != armed {
                continue;
            }
            let deadline = open.attempt.deadline;
            if deadline > armed {
                open.armed = deadline;
                self.timers.arm(deadline, (first, key));
            } else {
                self.close(key, deadline, false);
            }
        }
    }

    /// The capture ended: closes everything.
    pub fn finish(&mut self, now: Stamp) {
        self.tick(now);
        let mut open: Vec<(PacketNo, FlowKey)> = self
            .table
            .iter()
            .filter_map(|(key, slot)| match slot {
                Slot::Open(open) => Some((open.attempt.evidence.first, *key)),
                Slot::Http(http) => Some((http.first, *key)),
                Slot::Done => None,
            })
            .collect();
        open.sort_unstable();
        for (_, key) in open {
            self.close_http(key, now);
            self.close(key, now, true);
        }
    }

    /// The capture has come to packet `no`: says now and then, at the cost of one look at an entry for each
    /// packet, before which packet no attempt of this shard will have ended.
    pub fn mark(&mut self, no: PacketNo, now: Stamp) {
        let since = no.0.saturating_sub(self.marked.0);
        if since < Self::MARK || since < self.table.len() as u64 {
            return;
        }
        self.marked = no;
        let open = self.table.values().filter_map(|slot| match slot {
            Slot::Open(open) => Some(open.attempt.evidence.last),
            Slot::Http(_) | Slot::Done => None,
        });
        let mark = open.min().map_or(no, |last| last.min(no));
        self.out.push(Out { at: now, no: PacketNo(u64::MAX), what: What::Mark(self.id, mark) });
    }

    /// What has left the shard since the last call.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Out> {
        self.out.drain(..)
    }

    /// Whether anything waits to be drained.
    pub fn has_out(&self) -> bool {
        !self.out.is_empty()
    }

    /// What it holds; cheap enough for every batch.
    pub fn census(&self) -> Census {
        let finished = self.done.len().min(self.table.len());
        Census {
            open: (self.table.len() - finished) as u64,
            finished: finished as u64,
            bytes_held: self.held as u64,
        }
    }

    /// What was lost by bounds since the last call.
    pub fn take_lost(&mut self) -> Lost {
        std::mem::take(&mut self.lost)
    }

    fn segment(&mut self, segment: &Segment<'_>, no: PacketNo, stamp: Stamp, now: Stamp) {
        let (src, dst) = (segment.src(), segment.dst());
        let (key, direction) = FlowKey::of(src, dst);
        match self.table.get_mut(&key) {
            Some(Slot::Open(open)) => {
                let attempt = &mut open.attempt;
                let from = if direction == attempt.client_sends { Side::Client } else { Side::Server };
                if attempt.is_new_connection(segment, from) {
                    self.close(key, now, false);
                    self.open(key, direction, segment, Side::Client, no, stamp, now);
                    return;
                }
                self.feed(key, segment, from, no, stamp, now);
            }
            Some(Slot::Http(http)) => {
                if http.segment(segment, direction, no, stamp, now, &self.limits) {
                    self.close_http(key, now);
                }
            }
            Some(Slot::Done) => {
                if segment.flags.syn() && !segment.flags.ack() {
                    self.open(key, direction, segment, Side::Client, no, stamp, now);
                }
            }
            None => {
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
                        [b'G' | b'P', ..] if segment.dst_port == 80 => {
                            return self.ask(key, segment, no, stamp, now);
                        }
                        _ => return,
                    }
                };
                if flags.syn() && flags.ack() {
                    let what = What::StraySynAck(Seen::new(src, no, stamp), dst, segment.ack);
                    self.out.push(Out { at: now, no, what });
                }
                self.open(key, direction, segment, from, no, stamp, now);
            }
        }
    }

    /// Follows an HTTP connection whose client asks for a revocation status.
    fn ask(&mut self, key: FlowKey, segment: &Segment<'_>, no: PacketNo, stamp: Stamp, now: Stamp) {
        let sends = FlowKey::of(segment.src(), segment.dst()).1;
        if let Some(mut http) = Exchange::begin(segment, sends, no, now) {
            if self.table.len() >= self.limits.flows && !self.table.contains_key(&key) {
                self.make_room(now);
            }
            http.segment(segment, sends, no, stamp, now, &self.limits);
            self.timers.arm(http.deadline, (no, key));
            self.table.insert(key, Slot::Http(Box::new(http)));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a segment with its place")]
    fn open(
        &mut self,
        key: FlowKey,
        direction: Direction,
        segment: &Segment<'_>,
        from: Side,
        no: PacketNo,
        stamp: Stamp,
        now: Stamp,
    ) {
        if self.table.len() >= self.limits.flows && !self.table.contains_key(&key) {
            self.make_room(now);
        }
        let (client, server, client_sends) = match from {
            Side::Client => (segment.src(), segment.dst(), direction),
            Side::Server => (segment.dst(), segment.src(), opposite(direction)),
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
        let attempt = Attempt::new(client, server, client_sends, tls_port, no, stamp);
        let armed = now + self.limits.after_end;
        self.timers.arm(armed, (no, key));
        self.table.insert(key, Slot::Open(Box::new(Open { attempt, armed, held: 0 })));
        self.feed(key, segment, from, no, stamp, now);
    }

    fn feed(
        &mut self,
        key: FlowKey,
        segment: &Segment<'_>,
        from: Side,
        no: PacketNo,
        stamp: Stamp,
        now: Stamp,
    ) {
        let Some(Slot::Open(open)) = self.table.get_mut(&key) else { return };
        let step = open.attempt.segment(segment, from, no, stamp, now, &self.limits, &mut self.certs);
        match step {
            Step::Open => {
                if open.attempt.deadline < open.armed {
                    open.armed = open.attempt.deadline;
                    self.timers.arm(open.armed, (open.attempt.evidence.first, key));
                }
                let held = open.attempt.held();
                self.held = self.held.saturating_sub(open.held).saturating_add(held);
                open.held = held;
                if self.held > self.limits.bytes_per_shard {
                    open.attempt.evidence.lost.bytes_dropped += held as u64;
                    self.close(key, now, true);
                }
            }
            Step::Settled => self.close(key, now, false),
            Step::NotOurs => {
                self.forget(key);
                self.leave_unreported(key, no);
                if from == Side::Client {
                    self.ask(key, segment, no, stamp, now);
                }
            }
        }
    }

    fn forget(&mut self, key: FlowKey) -> Option<Box<Open>> {
        let old = self.table.insert(key, Slot::Done);
        self.done.push_back(key);
        if self.done.len() > self.limits.finished
            && let Some(oldest) = self.done.pop_front()
            && matches!(self.table.get(&oldest), Some(Slot::Done))
        {
            self.table.remove(&oldest);
        }
        match old {
            Some(Slot::Open(open)) => {
                self.held = self.held.saturating_sub(open.held);
                Some(open)
            }
            _ => None,
        }
    }

    fn close_http(&mut self, key: FlowKey, at: Stamp) {
        if !matches!(self.table.get(&key), Some(Slot::Http(_))) {
            return;
        }
        if let Some(Slot::Http(http)) = self.table.insert(key, Slot::Done) {
            let no = http.first;
            if let Some((client, seen)) = http.close() {
                self.out.push(Out { at, no, what: What::Ocsp(client.addr, Box::new(seen)) });
            }
        }
    }

    fn close(&mut self, key: FlowKey, at: Stamp, capture_ended: bool) {
        let Some(open) = self.forget(key) else { return };
        let evidence = open.attempt.close(at, capture_ended, &self.limits, &mut self.certs);
        let last = evidence.last;
        if !self.report(key, evidence, at) {
            self.leave_unreported(key, last);
        }
    }

    fn leave_unreported(&mut self, key: FlowKey, last: PacketNo) {
        if let Some(unreported) = &mut self.unreported {
            unreported.push((key, last));
        }
    }

    /// Hands on what a connection's end tells; whether as an attempt.
    fn report(&mut self, key: FlowKey, evidence: Box<Evidence>, at: Stamp) -> bool {
        let tls_port = self.ports.contains(evidence.server.port);
        let tried = outcome::speaks_tls(&evidence) || upgrade::counts(&evidence);
        if !outcome::speaks_tls(&evidence) {
            // It may still turn to TLS: a hello on the same connection begins another attempt.
            self.table.remove(&key);
        }
        if !tls_port && !tried {
            // Responders and lists of revocation are asked over HTTP.
            let silent = evidence.tcp.syn_ack.is_none();
            if evidence.server.port == 80
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

    /// Makes room in a full table: finished connections first, then the open one that waited longest.
    fn make_room(&mut self, now: Stamp) {
        while let Some(key) = self.done.pop_front() {
            if matches!(self.table.get(&key), Some(Slot::Done)) {
                self.table.remove(&key);
                return;
            }
        }
        while let Some((_, (first, key))) = self.timers.expired(Stamp(i64::MAX)) {
            let Some(Slot::Open(open)) = self.table.get_mut(&key) else { continue };
            if open.attempt.evidence.first != first {
                continue;
            }
            open.attempt.evidence.lost.flows_evicted += 1;
            self.lost.flows_evicted += 1;
            self.close(key, now, true);
            self.table.remove(&key);
            return;
        }
    }

    fn datagram(&mut self, datagram: &Datagram<'_>, no: PacketNo, stamp: Stamp, now: Stamp) {
        if !dns::may_be(datagram.src_port, datagram.dst_port) {
            return;
        }
        let Some(message) = dns::parse(datagram.payload) else { return };
        let source = Endpoint { addr: datagram.hop.src, port: datagram.src_port };
        let target = Endpoint { addr: datagram.hop.dst, port: datagram.dst_port };
        if message.is_response {
            let asked = self.asked.get(&(target, message.id)).next().cloned();
            let answer = Seen::new(message.answer, no, stamp);
            let lookup = Lookup { client: target, resolver: source, asked, answer };
            self.out.push(Out { at: now, no, what: What::Dns(Box::new(lookup)) });
        } else {
            self.asked.put((source, message.id), Seen::new((), no, stamp));
        }
    }

    fn icmp(&mut self, error: &IcmpError, no: PacketNo, stamp: Stamp) {
        if error.quoted_protocol != 6 {
            return;
        }
        let (key, _) = FlowKey::of(error.quoted_src, error.quoted_dst);
        if let Some(Slot::Open(open)) = self.table.get_mut(&key) {
            open.attempt.icmp(*error, no, stamp);
        }
    }
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::LowToHigh => Direction::HighToLow,
        Direction::HighToLow => Direction::LowToHigh,
    }
}
