//! Records cut from a byte stream, handshake messages rejoined across them.

mod header;
mod joiner;
mod unit;

use self::header::{
    ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER, Header, PROBE, header, is_clear_hello, is_clear_message,
};
pub use self::header::{MOST_BODY, starts_tls};
pub use self::joiner::{Joiner, Partial};
pub use self::unit::{Read, Unit};
use super::codes::{AlertDescription, AlertLevel, HandshakeType, Version};
use super::message::Alert;
use crate::base::{PacketNo, Packets, Stamp};

/// After a gap, this many bytes may pass before a record must have started: two whole records.
const MOST_SEARCH: usize = 2 * (HEADER + MOST_BODY);

/// What is being read.
#[derive(Clone, Debug)]
enum State {
    /// A record's header; at the start of the stream perhaps an SSL 2.0 one.
    Header,
    /// A record's body.
    Body(Body),
    /// Anything, until a plausible header turns up; counts the bytes passed.
    Search(usize),
    /// Nothing more.
    Dead,
}

/// A record whose header has been read.
#[derive(Clone, Debug)]
struct Body {
    content_type: u8,
    version: Version,
    /// Length as the header says.
    len: u16,
    /// Bytes still to come.
    left: usize,
    /// Packets so far.
    at: Packets,
    /// Packets of the header, until the first clear message takes them.
    lead: Packets,
    how: How,
}

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Passed over, then reported as sealed.
    Sealed,
    /// Collected, then reported as sealed with its bytes.
    Kept,
    /// Passed over silently: it was reported already.
    Junk,
    /// Collected (alerts, ChangeCipherSpec): at most [`PROBE`] bytes.
    Small,
    /// Collected until it is known whether it is clear.
    Probe,
    /// Handshake messages in clear.
    Clear,
    /// An SSL 2.0 ClientHello.
    Sslv2,
}

/// One direction of one connection: cuts its bytes into records and rejoins handshake messages. It can stop and
/// go on at any byte; the units do not depend on how the bytes were dealt out.
///
/// Nothing is buffered but an incomplete clear handshake message, up to the limit given.
#[derive(Clone, Debug)]
pub struct Inbound {
    state: State,
    /// Header bytes, or the first bytes of a body that is collected.
    buf: Fixed,
    /// Packets of the header bytes.
    header_at: Packets,
    /// No record has been read yet.
    fresh: bool,
    /// ChangeCipherSpec has passed: handshake records are sealed unless they prove otherwise.
    changed: bool,
    /// A gap may have hidden ChangeCipherSpec.
    unsure: bool,
    /// Version of the last record, which a search prefers.
    version: Option<Version>,
    joiner: Joiner,
    /// How sealed bodies are read.
    sealed: How,
    /// The sealed body that is being collected.
    kept: Vec<u8>,
}

/// A few bytes on the stack.
#[derive(Clone, Copy, Debug)]
struct Fixed {
    bytes: [u8; PROBE],
    len: usize,
}

impl Fixed {
    const EMPTY: Self = Self { bytes: [0; PROBE], len: 0 };

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    /// Takes bytes until `want` are held (at most [`PROBE`]); gives back the rest.
    fn fill<'a>(&mut self, bytes: &'a [u8], want: usize) -> &'a [u8] {
        let n = want.min(PROBE).saturating_sub(self.len).min(bytes.len());
        let (head, rest) = bytes.split_at_checked(n).unwrap_or((bytes, &[]));
        if let Some(room) = self.bytes.get_mut(self.len..self.len + head.len()) {
            room.copy_from_slice(head);
            self.len += head.len();
        }
        rest
    }

    /// Drops the first byte.
    fn shift(&mut self) {
        self.bytes.copy_within(1.., 0);
        self.len = self.len.saturating_sub(1);
    }
}

impl Inbound {
    /// The version in the last record's header.
    pub fn record_version(&self) -> Option<Version> {
        self.version
    }

    /// Reads from the start of a stream. `limit`: bytes kept while a handshake message is incomplete; a longer
    /// message is reported as malformed and passed over.
    pub fn new(limit: usize) -> Self {
        Self {
            state: State::Header,
            buf: Fixed::EMPTY,
            header_at: Packets::none(),
            fresh: true,
            changed: false,
            unsure: false,
            version: None,
            joiner: Joiner::new(limit),
            sealed: How::Sealed,
            kept: Vec::new(),
        }
    }

    /// From the next record on, sealed ones are reported with their bytes: somebody may have the keys.
    pub fn keep_sealed(&mut self) {
        self.sealed = How::Kept;
    }

    /// Feeds the next bytes of the stream, with the packet that carried them. Calls `out` for every unit read.
    pub fn feed<'a>(
        &mut self,
        mut bytes: &'a [u8],
        at: PacketNo,
        when: Stamp,
        out: &mut impl FnMut(Read<'a>),
    ) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Header => self.header(bytes, at, when, out),
                State::Body(_) => self.body(bytes, at, when, out),
                State::Search(passed) => self.search(bytes, passed, at, when, out),
                State::Dead => return,
            };
        }
    }

    /// `bytes` of the stream are missing here. A gap inside a body that need not be read is passed over; one
    /// inside a clear message gives [`Unit::Gap`], and reading goes on at the next known boundary; behind one
    /// that hides a boundary, a plausible record header is searched.
    pub fn gap<'a>(&mut self, bytes: u64, at: PacketNo, when: Stamp, out: &mut impl FnMut(Read<'a>)) {
        if bytes == 0 {
            return;
        }
        let missing = |at: Packets| Read { unit: Unit::Gap { bytes }, at, when };
        let State::Body(body) = &mut self.state else {
            if !matches!(self.state, State::Dead) {
                out(missing(std::mem::take(&mut self.header_at).and(&at.into())));
                self.lose();
            }
            return;
        };
        let inside = usize::try_from(bytes).ok().filter(|&n| n <= body.left);
        if matches!(body.how, How::Probe | How::Kept) {
            body.how = How::Sealed;
            self.kept = Vec::new();
        }
        if !matches!(body.how, How::Sealed | How::Junk) || inside.is_none() {
            let mut packets = body.at.clone();
            packets.add(at);
            out(missing(packets));
        }
        let Some(n) = inside else {
            self.lose();
            return;
        };
        match body.how {
            How::Clear => {
                if !self.joiner.skip(n) {
                    body.how = How::Junk;
                    self.unsure = true;
                }
            }
            // Its header says it all: the body can only be one byte of value 1.
            How::Small if body.content_type == CHANGE_CIPHER_SPEC => {
                out(Read { unit: Unit::ChangeCipherSpec, at: body.at.clone(), when });
                self.changed = true;
                body.how = How::Junk;
            }
            How::Small | How::Sslv2 => body.how = How::Junk,
            How::Sealed | How::Kept | How::Junk | How::Probe => {}
        }
        body.left -= n;
        if body.left == 0 {
            self.end_body(when, out);
        }
    }

    /// Type, bytes held and bytes wanted of a handshake message that is incomplete so far, or that a gap or
    /// another record cut (while nothing newer is).
    pub fn pending(&self) -> Option<(HandshakeType, usize, usize)> {
        self.partial().map(|partial| (partial.kind, partial.body.len(), partial.want))
    }

    /// That message with the bytes at hand: a cut Certificate often still shows the leaf.
    pub fn partial(&self) -> Option<&Partial> {
        self.joiner.partial()
    }

    /// Bytes of memory held for an incomplete message.
    pub fn held(&self) -> usize {
        self.joiner.held() + self.kept.capacity()
    }

    /// Whether ChangeCipherSpec has passed in this direction.
    pub const fn changed(&self) -> bool {
        self.changed
    }

    /// Whether nothing more will be read: the stream is not TLS, or its records could not be found again.
    pub const fn is_dead(&self) -> bool {
        matches!(self.state, State::Dead)
    }

    /// The place in the stream is not known any more.
    fn lose(&mut self) {
        self.joiner.cut();
        self.buf.clear();
        self.kept = Vec::new();
        self.header_at = Packets::none();
        self.fresh = false;
        self.unsure = true;
        self.state = State::Search(0);
    }

    fn header<'a>(
        &mut self,
        bytes: &'a [u8],
        at: PacketNo,
        when: Stamp,
        out: &mut impl FnMut(Read<'a>),
    ) -> &'a [u8] {
        // Nearly always the header lies whole in one packet.
        if self.buf.len == 0
            && let Some((head, rest)) = bytes.split_at_checked(HEADER)
            && let Header::Record { content_type, version, len } = header(head, self.fresh)
        {
            let how = self.enter(content_type, version, len, when, out);
            // And so does its body.
            if let Some((body, behind)) = rest.split_at_checked(len.into()) {
                let unit = match how {
                    How::Clear => {
                        self.joiner.feed_whole(body, version, at, when, out);
                        return behind;
                    }
                    How::Kept => Some(Unit::Kept { content_type, version, body: body.to_vec() }),
                    How::Sealed => Some(Unit::Sealed { content_type, len }),
                    How::Small if content_type == CHANGE_CIPHER_SPEC && body == [1] => {
                        self.changed = true;
                        Some(Unit::ChangeCipherSpec)
                    }
                    How::Probe if self.is_sealed(body) => Some(Unit::Sealed { content_type, len }),
                    _ => None,
                };
                if let Some(unit) = unit {
                    out(Read { unit, at: at.into(), when });
                    return behind;
                }
            }
            self.begin(content_type, version, len, at.into(), how, when, out);
            return rest;
        }
        let mut rest = bytes;
        self.header_at.add(at);
        let (unit, why) = loop {
            match header(self.buf.as_slice(), self.fresh) {
                Header::Want(_) if rest.is_empty() => return rest,
                Header::Want(n) => rest = self.buf.fill(rest, n),
                Header::Alien => break (Unit::NotTls, None),
                Header::TooLong => break (Unit::NotTls, Some("a record longer than 2^14 + 2048 bytes")),
                Header::Record { content_type, version, len } => {
                    self.buf.clear();
                    let packets = std::mem::take(&mut self.header_at);
                    let how = self.enter(content_type, version, len, when, out);
                    self.begin(content_type, version, len, packets, how, when, out);
                    return rest;
                }
                Header::Sslv2(len) => {
                    let packets = std::mem::take(&mut self.header_at);
                    self.begin_sslv2(len, packets);
                    return rest;
                }
            }
        };
        let packets = std::mem::take(&mut self.header_at);
        if let Some(why) = why {
            out(Read { unit: Unit::Malformed(why), at: packets.clone(), when });
        }
        out(Read { unit, at: packets, when });
        self.joiner.cut();
        self.state = State::Dead;
        &[]
    }

    /// Whether this whole handshake record behind ChangeCipherSpec is sealed, and nobody may have its keys.
    fn is_sealed(&self, body: &[u8]) -> bool {
        let first = body.get(..PROBE).unwrap_or(body);
        let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
        self.changed && self.sealed == How::Sealed && !body.is_empty() && !is_clear_hello(first, len)
    }

    /// A record's header is complete: how its body is to be read.
    fn enter<'a>(
        &mut self,
        content_type: u8,
        version: Version,
        len: u16,
        when: Stamp,
        out: &mut impl FnMut(Read<'a>),
    ) -> How {
        self.fresh = false;
        self.version = Some(version);
        self.buf.clear();
        let how = match content_type {
            CHANGE_CIPHER_SPEC if self.changed && len != 1 => self.sealed,
            CHANGE_CIPHER_SPEC => How::Small,
            ALERT if len == 2 || (!self.changed && matches!(len, 4 | 6 | 8)) => How::Small,
            HANDSHAKE if self.joiner.is_inside() => How::Clear,
            HANDSHAKE if self.changed || self.unsure => How::Probe,
            HANDSHAKE => How::Clear,
            _ => self.sealed,
        };
        // An alert may break a message off; anything else between its parts is an error (RFC 9846 section 5.1).
        if !matches!(content_type, HANDSHAKE | ALERT)
            && let Some(packets) = self.joiner.cut()
        {
            out(Read {
                unit: Unit::Malformed("a handshake message broken off by another record"),
                at: packets,
                when,
            });
        }
        how
    }

    /// Begins to read a record's body.
    #[expect(clippy::too_many_arguments, reason = "a header with its place")]
    fn begin<'a>(
        &mut self,
        content_type: u8,
        version: Version,
        len: u16,
        at: Packets,
        how: How,
        when: Stamp,
        out: &mut impl FnMut(Read<'a>),
    ) {
        let lead = if how == How::Clear { at.clone() } else { Packets::none() };
        self.state = State::Body(Body { content_type, version, len, left: len.into(), at, lead, how });
        if len == 0 {
            self.end_body(when, out);
        }
    }

    /// An SSL 2.0 ClientHello's header is complete; its bytes behind the length are in the buffer.
    fn begin_sslv2(&mut self, len: u16, at: Packets) {
        self.fresh = false;
        let body = self.buf.as_slice().get(2..).unwrap_or_default();
        let left = usize::from(len).saturating_sub(body.len());
        self.joiner.begin(HandshakeType::CLIENT_HELLO, Version::SSL2, len.into(), at.clone(), body);
        self.buf.clear();
        self.state = State::Body(Body {
            content_type: HANDSHAKE,
            version: Version::SSL2,
            len,
            left,
            at,
            lead: Packets::none(),
            how: How::Sslv2,
        });
    }

    fn body<'a>(
        &mut self,
        bytes: &'a [u8],
        at: PacketNo,
        when: Stamp,
        out: &mut impl FnMut(Read<'a>),
    ) -> &'a [u8] {
        let State::Body(body) = &mut self.state else { return bytes };
        let (mine, rest) = bytes.split_at_checked(body.left).unwrap_or((bytes, &[]));
        body.left -= mine.len();
        body.at.add(at);
        match body.how {
            How::Sealed | How::Junk => {}
            How::Kept => self.kept.extend_from_slice(mine),
            How::Small => {
                self.buf.fill(mine, PROBE);
            }
            How::Sslv2 => self.joiner.extend(mine, at),
            How::Clear => Self::clear(&mut self.joiner, body, mine, at, when, out),
            How::Probe => {
                let unread = self.buf.fill(mine, PROBE);
                let first = self.buf.as_slice();
                let enough = if self.changed { PROBE } else { 4 };
                if first.len() >= enough.min(body.len.into()) {
                    let clear = if self.changed {
                        is_clear_hello(first, body.len)
                    } else {
                        is_clear_message(first, body.len, self.joiner.limit())
                    };
                    if clear {
                        body.how = How::Clear;
                        body.lead = body.at.clone();
                        let first = self.buf;
                        self.buf.clear();
                        Self::clear(&mut self.joiner, body, first.as_slice(), at, when, &mut |read| {
                            out(Read { unit: read.unit.into_owned(), at: read.at, when: read.when });
                        });
                        Self::clear(&mut self.joiner, body, unread, at, when, out);
                    } else {
                        body.how = self.sealed;
                        self.changed = true;
                        if body.how == How::Kept {
                            self.kept.extend_from_slice(first);
                            self.kept.extend_from_slice(unread);
                        }
                    }
                }
            }
        }
        if matches!(&self.state, State::Body(body) if body.left == 0) {
            self.end_body(when, out);
        }
        rest
    }

    /// Passes clear handshake bytes on; a message that makes no sense turns the rest of the record into junk.
    fn clear<'a>(
        joiner: &mut Joiner,
        body: &mut Body,
        bytes: &'a [u8],
        at: PacketNo,
        when: Stamp,
        out: &mut impl FnMut(Read<'a>),
    ) {
        let lead = std::mem::take(&mut body.lead);
        if body.how == How::Clear && !joiner.feed(bytes, body.version, lead, at, when, out) {
            body.how = How::Junk;
        }
    }

    /// A record's last byte has been read.
    fn end_body<'a>(&mut self, when: Stamp, out: &mut impl FnMut(Read<'a>)) {
        let State::Body(Body { content_type, version, len, at, how, .. }) =
            std::mem::replace(&mut self.state, State::Header)
        else {
            return;
        };
        match how {
            How::Junk | How::Clear => {}
            How::Sealed => out(Read { unit: Unit::Sealed { content_type, len }, at, when }),
            How::Kept => {
                let body = std::mem::take(&mut self.kept);
                out(Read { unit: Unit::Kept { content_type, version, body }, at, when });
            }
            // Only a record without a body ends while it is being probed.
            How::Probe => {}
            How::Sslv2 => {
                if let Some(partial) = self.joiner.take() {
                    out(Read { unit: Unit::Sslv2ClientHello { body: partial.body }, at: partial.at, when });
                }
            }
            How::Small => match (content_type, self.buf.as_slice()) {
                (CHANGE_CIPHER_SPEC, [1]) => {
                    self.changed = true;
                    out(Read { unit: Unit::ChangeCipherSpec, at, when });
                }
                (CHANGE_CIPHER_SPEC, _) => {
                    out(Read { unit: Unit::Malformed("a ChangeCipherSpec of another shape"), at, when });
                }
                (_, pairs) if pairs.chunks(2).all(|pair| matches!(pair, [1 | 2, _])) => {
                    for pair in pairs.chunks(2) {
                        if let &[level, description] = pair {
                            let alert = Alert {
                                level: AlertLevel(level),
                                description: AlertDescription(description),
                            };
                            out(Read { unit: Unit::Alert(alert), at: at.clone(), when });
                        }
                    }
                }
                _ => out(Read { unit: Unit::Sealed { content_type, len }, at, when }),
            },
        }
        self.buf.clear();
    }

    /// Looks for a plausible header behind a gap.
    fn search<'a>(
        &mut self,
        bytes: &'a [u8],
        mut passed: usize,
        at: PacketNo,
        when: Stamp,
        out: &mut impl FnMut(Read<'a>),
    ) -> &'a [u8] {
        let mut rest = bytes;
        while let Some((byte, behind)) = rest.split_at_checked(1) {
            rest = behind;
            self.buf.fill(byte, HEADER);
            self.header_at.add(at);
            while self.buf.len > 0 {
                match header(self.buf.as_slice(), false) {
                    Header::Want(_) => break,
                    Header::Record { content_type, version, len } if self.is_plausible(version, len) => {
                        let packets = std::mem::take(&mut self.header_at);
                        let how = self.enter(content_type, version, len, when, out);
                        self.begin(content_type, version, len, packets, how, when, out);
                        return rest;
                    }
                    _ => {
                        self.buf.shift();
                        passed += 1;
                        if self.buf.len == 0 {
                            self.header_at = Packets::none();
                        }
                    }
                }
            }
            if passed > MOST_SEARCH {
                out(Read { unit: Unit::NotTls, at: at.into(), when });
                self.state = State::Dead;
                return &[];
            }
        }
        self.state = State::Search(passed);
        rest
    }

    /// Whether a header found by searching may be one: a body, and the version of the records before.
    fn is_plausible(&self, version: Version, len: u16) -> bool {
        len > 0
            && (version == Version::TLS12
                || self.version.is_none_or(|known| {
                    // A first hello says TLS 1.0 whatever follows.
                    known == version || (known == Version::TLS10 && version == Version::TLS11)
                }))
    }
}

#[cfg(test)]
mod tests;
