//! QUIC's part of an attempt over datagrams: Initial packets are opened and read, the others counted by what they are. Where
//! there are keys, `unsealing` opens Handshake packets too.

mod facts;
mod outcome;
mod teller;
mod unsealing;

use std::ops::Range;

use smallvec::SmallVec;

pub use facts::{Closed, Confirmed, Latest, QuicFacts};
pub use teller::Teller;

use self::unsealing::Unsealing;
use super::{Beginning, Place, Step};
use crate::base::{Limits, PacketNo, PerSide, Seen, Side, Span, Stamp};
use crate::decode::Datagram;
use crate::evidence::attempt::Parse;
use crate::evidence::{AlertFrom, Chain, Evidence, Stage};
use crate::tls::codes::{AlertDescription, AlertLevel, HandshakeType, Version};
use crate::tls::hello::ServerHello;
use crate::tls::message::Alert;
use crate::tls::quic::QuicVersion;
use crate::tls::quic::crypto::{Message, Stream};
use crate::tls::quic::frames::{Close, Frame, Frames, frames};
use crate::tls::quic::header::{Cid, Kind, Long, Packet, packets};
use crate::tls::quic::protection::PacketKey;

/// The shortest datagram that may begin an attempt. A client's first is padded to 1,200 bytes (RFC 9000 section 14.1), but a
/// capture may begin behind it: the least that header protection can be taken off (RFC 9001 section 5.4.2).
pub(super) const LEAST: usize = 1 + 4 + 2 + 1 + 4 + 16;
/// Datagrams with Initial packets have at least so many bytes, but for acknowledgments of servers (RFC 9000 section 14.1).
const PADDED: u32 = 1_200;

/// The keys of Initial packets, and from what they were derived.
#[derive(Debug)]
struct Keys {
    version: QuicVersion,
    /// Destination of the client's packet.
    destination: Cid,
    keys: PerSide<PacketKey>,
    /// Greatest packet number of each side.
    largest: PerSide<Option<u64>>,
}

impl Keys {
    fn new(version: QuicVersion, destination: Cid) -> Option<Self> {
        Self::by(version.salt()?, version, destination)
    }

    fn by(salt: &[u8; 20], version: QuicVersion, destination: Cid) -> Option<Self> {
        let keys = PacketKey::initial_by(salt, version, &destination)?;
        Some(Self { version, destination, keys, largest: PerSide::default() })
    }

    /// Opens a packet of this side.
    fn open(&mut self, from: Side, packet: &Long<'_>, room: &mut Vec<u8>) -> Option<Range<usize>> {
        let largest = self.largest.of_mut(from);
        let (number, payload) = self.keys.of(from).open(packet, *largest, room)?;
        *largest = (*largest).max(Some(number));
        Some(payload)
    }

    fn fits(&self, packet: &Long<'_>) -> bool {
        self.version == packet.version && self.destination == packet.to
    }
}

/// Reads the datagrams of one attempt.
#[derive(Debug)]
pub struct Reader {
    /// More than one behind a Retry or another version; four at most.
    keys: SmallVec<[Box<Keys>; 1]>,
    facts: QuicFacts,
    /// What a Retry asked the client to send to.
    retry: Option<Cid>,
    /// Handshake bytes in Initial packets.
    crypto: PerSide<Stream>,
    /// Handshake packets, where there may be keys.
    unsealing: Option<Box<Unsealing>>,
    closed: bool,
}

/// The first Initial packet of a datagram.
fn initial<'a>(payload: &'a [u8]) -> Option<Long<'a>> {
    packets(payload).find_map(|packet| match packet {
        Packet::Long(long) if long.kind == Kind::Initial => Some(long),
        _ => None,
    })
}

/// The keys with which a client's first Initial packet opens.
fn opened_as_first(packet: &Long<'_>) -> Option<Box<Keys>> {
    let salts = [packet.version.salt(), packet.version.other_salt()];
    salts.into_iter().flatten().find_map(|salt| {
        let keys = Keys::by(salt, packet.version, packet.to)?;
        keys.keys.client.open(packet, None, &mut Vec::new())?;
        Some(Box::new(keys))
    })
}

/// Tells attempts between the same ends apart: the client's ID, or the one it made up for the server where it has none.
fn tag(packet: &Long<'_>) -> u32 {
    let id = if packet.from.is_empty() { packet.to } else { packet.from };
    id.bytes().iter().fold(1, |tag: u32, &byte| tag.wrapping_mul(0x0100_0193) ^ u32::from(byte))
}

/// Whether this datagram begins an attempt.
pub(super) fn begin(datagram: &Datagram<'_>) -> Option<Beginning> {
    let begins = |keys: Option<Box<Keys>>, version, from, tag| {
        let reader = Reader {
            keys: keys.into_iter().collect(),
            facts: QuicFacts { version, ..QuicFacts::default() },
            retry: None,
            crypto: PerSide::default(),
            unsealing: None,
            closed: false,
        };
        Some(Beginning { reader: super::Reader::Quic(Box::new(reader)), from, tag })
    };
    // Where nothing else tells, servers have the lower port.
    let by_port = if datagram.dst_port <= datagram.src_port { Side::Client } else { Side::Server };
    if let Some(Packet::Unknown(version)) = packets(datagram.payload).next() {
        return if version.is_google() { begins(None, version, by_port, version.0) } else { None };
    }
    let packet = initial(datagram.payload)?;
    match opened_as_first(&packet) {
        Some(keys) => begins(Some(keys), packet.version, Side::Client, tag(&packet)),
        // The capture began behind the first one, or cut it.
        None if datagram.payload_wire_len >= PADDED => begins(None, packet.version, by_port, tag(&packet)),
        None => None,
    }
}

impl Reader {
    /// Keys at once.
    const KEYS: usize = 4;

    /// Takes one datagram. Nothing is noted of one that is another's or none of ours.
    pub(super) fn datagram(
        &mut self,
        evidence: &mut Evidence,
        datagram: &Datagram<'_>,
        from: Side,
        place: Place,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> Step {
        let first = initial(datagram.payload);
        let mut asked_anew = false;
        if let Some(first) = &first
            && self.is_fresh(first, from)
            && let Some(keys) = opened_as_first(first)
        {
            if !self.goes_on(first, from) {
                return Step::Another;
            }
            if self.facts.version != first.version {
                self.facts.first_version.get_or_insert(self.facts.version);
                self.facts.version = first.version;
                // Another version, another ClientHello.
                self.crypto = PerSide::default();
                if let Some(unsealing) = &mut self.unsealing {
                    unsealing.unsealed.flights = <_>::default();
                }
                if evidence.server_hello.is_none() {
                    evidence.hello = None;
                }
            }
            asked_anew = true;
            if self.keys.len() < Self::KEYS {
                self.keys.insert(0, keys);
            }
        }
        if self.unsealing.is_none()
            && let Some(keys) = parser.keys().filter(|keys| keys.are_there(place.no))
        {
            self.unsealing = Some(Box::new(Unsealing::new(keys.clone(), limits)));
        }
        let seen = |value| Seen::new(value, place.no, place.stamp);
        let mut latest = Latest {
            no: place.no,
            when: place.stamp,
            len: datagram.payload_wire_len,
            handshake: false,
            one_rtt: false,
        };
        let mut room = Vec::new();
        let (mut initials, mut known) = (0, 0);
        for packet in packets(datagram.payload) {
            match packet {
                Packet::Long(long) => {
                    if self.facts.ids.of(from).is_none() || from == Side::Server {
                        *self.facts.ids.of_mut(from) = Some(long.from);
                    }
                    match long.kind {
                        Kind::Initial => {
                            initials += 1;
                            let opened = self.open(&long, from, &mut room);
                            match opened.and_then(|payload| room.get(payload)) {
                                Some(payload) => {
                                    known += usize::from(!self.frames(
                                        evidence,
                                        frames(payload, long.version),
                                        from,
                                        place,
                                        limits,
                                        parser,
                                    ));
                                }
                                None => self.facts.unopened += 1,
                            }
                        }
                        Kind::ZeroRtt => count(&mut self.facts.early_data, place),
                        Kind::Handshake => {
                            latest.handshake = true;
                            if let Some(unsealing) = &mut self.unsealing {
                                unsealing.keep(&long, from, place.no, place.stamp);
                            }
                        }
                    }
                    if from == Side::Server && long.version != self.facts.version {
                        // RFC 9368 section 2.3: the server's first packet says which one it chose.
                        self.facts.first_version.get_or_insert(self.facts.version);
                        self.facts.version = long.version;
                    }
                }
                Packet::Retry { from: id, .. } if from == Side::Server => {
                    self.retry = Some(id);
                    self.facts.retry.get_or_insert(seen(()));
                    if evidence.hello.is_some() {
                        evidence.stage = evidence.stage.max(Stage::ClientHello);
                    }
                }
                Packet::Negotiation { versions, .. } if from == Side::Server => {
                    let listed = versions.iter().copied().filter(|version| !version.is_reserved()).collect();
                    self.facts.negotiation.get_or_insert_with(|| Seen::new(listed, place.no, place.stamp));
                }
                Packet::Short(_) => latest.one_rtt = true,
                Packet::Retry { .. } | Packet::Negotiation { .. } | Packet::Unknown(_) => {}
            }
        }
        if initials > 0 {
            *self.facts.initials.of_mut(from) += 1;
            let again = initials == known && !asked_anew && evidence.server_hello.is_none();
            if again && from == Side::Client {
                // The same bytes again: no answer came in time.
                count(&mut evidence.tcp.repeats.client, place);
                if evidence.tcp.repeated.client.len() < crate::evidence::Trouble::TIMES {
                    evidence.tcp.repeated.client.push(place.stamp);
                }
            }
        }
        if latest.handshake {
            count(self.facts.handshakes.of_mut(from), place);
            if from == Side::Server {
                evidence.stage = evidence.stage.max(Stage::Certificate);
                evidence.sealing.finished.server.get_or_insert(seen(()));
            }
        }
        if let Some(unsealing) = &mut self.unsealing {
            self.closed |= unsealing.open(&mut self.facts, evidence, false, parser);
        }
        if latest.one_rtt {
            self.one_rtt(evidence, datagram.payload_wire_len, from, place);
        }
        *self.facts.latest.of_mut(from) = Some(latest);
        // A client that closes without ever having been answered has given up: what it tries next comes behind it.
        let gave_up = self.closed && from == Side::Client && evidence.tcp.packets.server == 0;
        if gave_up || self.facts.confirmed == Confirmed::WentOn { Step::Settled } else { Step::Open }
    }

    /// A datagram with a 1-RTT packet.
    fn one_rtt(&mut self, evidence: &mut Evidence, len: u32, from: Side, place: Place) {
        let facts = &mut self.facts;
        match facts.one_rtt.of_mut(from) {
            Some(seen) => seen.value = seen.value.saturating_add(1),
            none => *none = Some(Seen::new(1, place.no, place.stamp)),
        }
        // Without an answer in clear that it belongs to, a short header says nothing.
        if facts.handshakes.server.is_none() && evidence.server_hello.is_none() {
            return;
        }
        let next = match (facts.confirmed, from) {
            (Confirmed::No, Side::Client) => Confirmed::Asked,
            (Confirmed::Asked, Side::Server) => Confirmed::Answered,
            (Confirmed::Answered, Side::Client) => Confirmed::WentOn,
            (same, _) => same,
        };
        if next >= Confirmed::Asked {
            evidence.sealing.finished.client.get_or_insert(Seen::new((), place.no, place.stamp));
            evidence.stage = evidence.stage.max(Stage::Finished);
        }
        if next >= Confirmed::Answered {
            *evidence.sealing.application.of_mut(from) += u64::from(len);
        }
        if next == Confirmed::WentOn {
            evidence.stage = Stage::Application;
        }
        facts.confirmed = next;
    }

    /// The packet may be a client's first, of this attempt or of another.
    fn is_fresh(&self, packet: &Long<'_>, from: Side) -> bool {
        let fits = self.keys.iter().any(|keys| keys.fits(packet));
        // What the server sends goes to the client's own ID, or to none.
        !(fits || from == Side::Server && !self.keys.is_empty())
    }

    /// Whether such a packet is the client's next word in this attempt: it answers a Retry or a list of versions, or
    /// bears the same ID of its own.
    fn goes_on(&self, packet: &Long<'_>, from: Side) -> bool {
        let facts = &self.facts;
        if from == Side::Server || self.keys.is_empty() {
            return false;
        }
        let same = facts.ids.client.is_some_and(|id| !id.is_empty() && id == packet.from);
        let negotiated = facts.negotiation.is_some() && packet.version != facts.version;
        same || negotiated || self.retry == Some(packet.to)
    }

    /// Opens an Initial packet.
    fn open(&mut self, packet: &Long<'_>, from: Side, room: &mut Vec<u8>) -> Option<Range<usize>> {
        let known = self.keys.iter().any(|keys| keys.version == packet.version);
        if !known
            && from == Side::Server
            && self.keys.len() < Self::KEYS
            && let Some(first) = self.keys.first()
            && let Some(keys) = Keys::new(packet.version, first.destination)
        {
            // The server chose another version (RFC 9368 section 2.3): the client's ID stays.
            self.keys.push(Box::new(keys));
        }
        let mut keys = self.keys.iter_mut().filter(|keys| keys.version == packet.version);
        keys.find_map(|keys| keys.open(from, packet, room))
    }

    /// Reads the frames of an Initial packet. Whether they say anything new.
    fn frames(
        &mut self,
        evidence: &mut Evidence,
        said: Frames<'_>,
        from: Side,
        place: Place,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> bool {
        let (mut fresh, mut any) = (false, false);
        for frame in said {
            match frame {
                Frame::Crypto { offset, data } => {
                    any = true;
                    let stream = self.crypto.of_mut(from);
                    fresh |= stream.push(offset, data, place.no, place.stamp, limits.bytes_per_side);
                }
                Frame::Close(close) => {
                    any = true;
                    fresh = true;
                    self.closed = true;
                    closed(&mut self.facts, evidence, close, from, (place.no, place.stamp), false);
                }
                Frame::Other => {}
            }
        }
        while let Some(message) = self.crypto.of_mut(from).message() {
            self.message(evidence, message, from, parser);
        }
        fresh || !any
    }

    fn message(&mut self, evidence: &mut Evidence, message: Message, from: Side, parser: &mut impl Parse) {
        if let Some(unsealing) = &mut self.unsealing {
            unsealing.unsealed.flights.add(from, message.kind, message.body());
        }
        let seen = |message: Message| Seen { value: (), at: message.at, when: message.when };
        match (from, message.kind) {
            (Side::Client, HandshakeType::CLIENT_HELLO) => {
                let again = evidence.retry.is_some() && evidence.server_hello.is_none();
                // RFC 9001 section 4: there are no records, hence no version of theirs.
                if (evidence.hello.is_none() || again)
                    && let Some(hello) = parser.client_hello(Version::TLS12, message.body())
                {
                    evidence.hello = Some(Box::new(seen(message).map(|()| hello)));
                    evidence.stage = evidence.stage.max(Stage::ClientHello);
                }
            }
            (Side::Server, HandshakeType::SERVER_HELLO) => {
                let Some(hello) = ServerHello::parse(message.body()) else {
                    evidence.lost.malformed_messages += 1;
                    return;
                };
                if hello.retry && evidence.retry.is_none() {
                    evidence.retry = Some(Box::new(seen(message).map(|()| hello)));
                } else if !hello.retry && evidence.server_hello.is_none() {
                    if !hello.psk {
                        evidence.chain = Chain::Sealed(message.at.clone());
                    }
                    evidence.server_hello = Some(Box::new(seen(message).map(|()| hello)));
                    evidence.stage = evidence.stage.max(Stage::ServerHello);
                }
            }
            _ => {}
        }
    }

    /// How long to wait for the next datagram before the attempt is taken as it stands.
    pub(super) fn patience(&self, evidence: &Evidence, limits: &Limits) -> Span {
        if self.closed {
            limits.after_end
        } else if self.facts.confirmed >= Confirmed::Asked {
            limits.linger
        } else if evidence.tcp.packets.server == 0 {
            limits.syn_answer
        } else {
            limits.stall
        }
    }

    /// Writes how it ended.
    pub(super) fn close(
        mut self,
        evidence: &mut Evidence,
        now: Stamp,
        capture_ended: bool,
        parser: &mut impl Parse,
    ) {
        for side in [Side::Client, Side::Server] {
            let stream = self.crypto.of_mut(side);
            if let Some((kind, have, want)) = stream.unfinished() {
                evidence.unfinished.get_or_insert((side, kind, have, want));
            }
            if stream.dropped > 0 {
                evidence.lost.bytes_dropped += stream.dropped;
            }
            // A hello whose end never came is read as far as it goes.
            let (cut, at) = stream.cut();
            if side == Side::Client
                && evidence.hello.is_none()
                && let [1, _, _, _, body @ ..] = cut
                && let Some(hello) = parser.client_hello(Version::TLS12, body)
            {
                evidence.hello = Some(Box::new(Seen { value: hello, at, when: evidence.ended }));
                evidence.stage = evidence.stage.max(Stage::ClientHello);
            }
        }
        if let Some(mut unsealing) = self.unsealing.take() {
            unsealing.open(&mut self.facts, evidence, true, parser);
            unsealing.conclude(evidence);
        }
        outcome::settle(evidence, &self.facts, now, capture_ended);
        evidence.quic = Some(Box::new(self.facts));
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        let unsealing = self.unsealing.as_ref().map_or(0, |unsealing| unsealing.held());
        let crypto = self.crypto.client.held() + self.crypto.server.held();
        crypto + unsealing + self.keys.len() * size_of::<Keys>()
    }
}

/// One more of them.
fn count(counted: &mut Option<Seen<u32>>, place: Place) {
    match counted {
        Some(seen) => {
            seen.value = seen.value.saturating_add(1);
            seen.at.add(place.no);
            seen.when = place.stamp;
        }
        none => *none = Some(Seen::new(1, place.no, place.stamp)),
    }
}

/// A CONNECTION_CLOSE that everyone can read. What stands for an alert of TLS is kept as one, too.
fn closed(
    facts: &mut QuicFacts,
    evidence: &mut Evidence,
    close: Close<'_>,
    from: Side,
    (no, when): (PacketNo, Stamp),
    sealed: bool,
) {
    const WORDS: usize = 80;
    if let Some(description) = Close::alert(close.code).filter(|_| !close.application)
        && evidence.alerts.is_empty()
    {
        let alert = Alert { level: AlertLevel::FATAL, description: AlertDescription(description) };
        evidence.alert(AlertFrom { from, alert, sealed }, Seen::new((), no, when));
    }
    if facts.close.is_none() {
        let shown = close.reason.iter().take(WORDS);
        let shown = shown.map(|&byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' });
        facts.close = Some(Seen::new(Closed { from, code: close.code, reason: shown.collect() }, no, when));
    }
}

#[cfg(test)]
mod tests;
