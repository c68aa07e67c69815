//! Handshake messages rejoined across records.

use std::borrow::Cow;

use super::{Read, Unit};
use crate::base::{PacketNo, Packets, Stamp};
use crate::tls::codes::{HandshakeType, Version};

/// A handshake message that is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Its type.
    pub kind: HandshakeType,
    /// Version of the record its first byte came in.
    pub record_version: Version,
    /// Bytes of the whole body.
    pub want: usize,
    /// The body's first bytes.
    pub body: Vec<u8>,
    /// The packets that carried them.
    pub at: Packets,
}

/// Where in the handshake stream reading stands.
#[derive(Clone, Debug)]
enum Place {
    /// Inside a message's four-byte header.
    Head { buf: [u8; 4], have: usize, version: Version, at: Packets },
    /// Inside a body that is kept.
    Body(Partial),
    /// Inside a body that is lost or too long: this many bytes are left of it.
    Lost(usize),
}

impl Place {
    /// Between two messages.
    fn start() -> Self {
        Self::Head { buf: [0; 4], have: 0, version: Version(0), at: Packets::none() }
    }
}

/// Rejoins one direction's messages, in clear or once they are opened.
#[derive(Clone, Debug)]
pub struct Joiner {
    limit: usize,
    place: Place,
    /// The newest message that was cut.
    cut: Option<Partial>,
}

impl Joiner {
    /// Bytes of a message that are kept at most.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Begins between two messages. `limit` as for [`super::Inbound::new`].
    pub fn new(limit: usize) -> Self {
        Self { limit, place: Place::start(), cut: None }
    }

    /// Whether a message has begun and not ended.
    pub(super) fn is_inside(&self) -> bool {
        !matches!(self.place, Place::Head { have: 0, .. })
    }

    /// The message under way, or the newest that was cut.
    pub fn partial(&self) -> Option<&Partial> {
        match &self.place {
            Place::Body(partial) => Some(partial),
            _ => self.cut.as_ref(),
        }
    }

    /// Bytes of memory held.
    pub fn held(&self) -> usize {
        let live = if let Place::Body(partial) = &self.place { partial.body.capacity() } else { 0 };
        live + self.cut.as_ref().map_or(0, |partial| partial.body.capacity())
    }

    /// Ends the message under way, keeping what was read of it; gives its packets. `None`: there was none, or it
    /// was lost already.
    pub fn cut(&mut self) -> Option<Packets> {
        if !self.is_inside() {
            return None;
        }
        match std::mem::replace(&mut self.place, Place::start()) {
            Place::Head { have: 0, .. } | Place::Lost(_) => None,
            Place::Head { at, .. } => Some(at),
            Place::Body(partial) => {
                let at = partial.at.clone();
                self.cut = Some(partial);
                Some(at)
            }
        }
    }

    /// `n` bytes are missing. `false`: a boundary lies among them, so what follows cannot be placed.
    pub(super) fn skip(&mut self, n: usize) -> bool {
        let left = match &self.place {
            Place::Head { .. } => None,
            Place::Body(partial) => (partial.want - partial.body.len()).checked_sub(n),
            Place::Lost(left) => left.checked_sub(n),
        };
        self.cut();
        match left {
            None => false,
            Some(0) => true,
            Some(left) => {
                self.place = Place::Lost(left);
                true
            }
        }
    }

    /// Starts a message whose header was read elsewhere.
    pub(super) fn begin(
        &mut self,
        kind: HandshakeType,
        record_version: Version,
        want: usize,
        at: Packets,
        first: &[u8],
    ) {
        let mut body = Vec::with_capacity(want.min(self.limit));
        body.extend_from_slice(first);
        self.place = Place::Body(Partial { kind, record_version, want, body, at });
    }

    /// Adds bytes to the message under way.
    pub(super) fn extend(&mut self, bytes: &[u8], at: PacketNo) {
        if let Place::Body(partial) = &mut self.place {
            let n = partial.want.min(self.limit).saturating_sub(partial.body.len()).min(bytes.len());
            partial.body.extend_from_slice(bytes.get(..n).unwrap_or_default());
            partial.at.add(at);
        }
    }

    /// Takes the message under way.
    pub(super) fn take(&mut self) -> Option<Partial> {
        match std::mem::replace(&mut self.place, Place::start()) {
            Place::Body(partial) => Some(partial),
            _ => None,
        }
    }

    /// Reads the clear bytes of a record that lies whole in one packet, as [`Self::feed`]. So do nearly always its messages.
    #[inline]
    pub fn feed_whole<'a>(
        &mut self,
        mut bytes: &'a [u8],
        record_version: Version,
        at: PacketNo,
        when: Stamp,
        out: &mut impl FnMut(Read<'a>),
    ) -> bool {
        while !self.is_inside()
            && let Some((kind, body, behind)) = self.whole(bytes)
        {
            self.make_room(body.len());
            let unit = Unit::Handshake { kind, record_version, body: body.into() };
            out(Read { unit, at: at.into(), when });
            bytes = behind;
        }
        bytes.is_empty() || self.feed(bytes, record_version, at.into(), at, when, out)
    }

    /// Reads clear bytes of one record. `lead`: packets of the record's header, where these are its first bytes; the
    /// message that they belong to cites them. `false`: they are no handshake messages; the rest of the record is
    /// worth nothing.
    pub fn feed<'a>(
        &mut self,
        mut bytes: &'a [u8],
        record_version: Version,
        mut lead: Packets,
        at: PacketNo,
        when: Stamp,
        out: &mut impl FnMut(Read<'a>),
    ) -> bool {
        lead.add(at);
        while !bytes.is_empty() {
            // Nearly always a message lies whole in one piece.
            if !self.is_inside()
                && let Some((kind, body, behind)) = self.whole(bytes)
            {
                self.make_room(body.len());
                out(Read {
                    unit: Unit::Handshake { kind, record_version, body: body.into() },
                    at: lead,
                    when,
                });
                (bytes, lead) = (behind, at.into());
                continue;
            }
            match &mut self.place {
                Place::Head { buf, have, version, at: packets } => {
                    if *have == 0 {
                        *version = record_version;
                    }
                    packets.add_all(&lead);
                    let n = bytes.len().min(buf.len() - *have);
                    let (head, rest) = bytes.split_at_checked(n).unwrap_or((bytes, &[]));
                    if let Some(room) = buf.get_mut(*have..*have + head.len()) {
                        room.copy_from_slice(head);
                    }
                    *have += head.len();
                    bytes = rest;
                    let kind = HandshakeType(buf[0]);
                    if !kind.is_known() {
                        let packets = std::mem::take(packets);
                        self.place = Place::start();
                        out(Read {
                            unit: Unit::Malformed("an unknown handshake message"),
                            at: packets,
                            when,
                        });
                        return false;
                    }
                    if *have < buf.len() {
                        return true;
                    }
                    let want = u32::from_be_bytes([0, buf[1], buf[2], buf[3]]) as usize;
                    let (version, packets) = (*version, std::mem::take(packets));
                    if want > self.limit {
                        self.place = Place::Lost(want);
                        out(Read {
                            unit: Unit::Malformed("a handshake message over the limit"),
                            at: packets,
                            when,
                        });
                    } else {
                        self.make_room(want);
                        let body = Vec::with_capacity(want.min(bytes.len()));
                        self.place =
                            Place::Body(Partial { kind, record_version: version, want, body, at: packets });
                    }
                }
                Place::Body(partial) => {
                    let n = bytes.len().min(partial.want - partial.body.len());
                    let (mine, rest) = bytes.split_at_checked(n).unwrap_or((bytes, &[]));
                    let room = partial.body.capacity() - partial.body.len();
                    if room < mine.len() {
                        // Doubling, but never beyond the message.
                        let more = partial.body.len().max(mine.len()).min(partial.want - partial.body.len());
                        partial.body.reserve_exact(more);
                    }
                    partial.body.extend_from_slice(mine);
                    partial.at.add_all(&lead);
                    bytes = rest;
                }
                Place::Lost(left) => {
                    let n = bytes.len().min(*left);
                    *left -= n;
                    bytes = bytes.get(n..).unwrap_or_default();
                }
            }
            if self.finish(when, out) {
                lead = at.into();
            }
        }
        true
    }

    /// The message that bytes begin with, where it lies whole in them, and what is behind it.
    #[inline]
    fn whole<'a>(&self, bytes: &'a [u8]) -> Option<(HandshakeType, &'a [u8], &'a [u8])> {
        let (&[kind, a, b, c], rest) = bytes.split_first_chunk()?;
        let (kind, want) = (HandshakeType(kind), u32::from_be_bytes([0, a, b, c]) as usize);
        let (body, behind) = rest.split_at_checked(want)?;
        (want <= self.limit && kind.is_known()).then_some((kind, body, behind))
    }

    /// A message of this many bytes begins: the one that was cut goes where both are too much.
    fn make_room(&mut self, want: usize) {
        if self.cut.as_ref().is_some_and(|cut| cut.body.len() + want > self.limit) {
            self.cut = None;
        }
    }

    /// Reports the message under way if it is complete, and says whether one has ended.
    fn finish<'a>(&mut self, when: Stamp, out: &mut impl FnMut(Read<'a>)) -> bool {
        match &mut self.place {
            Place::Body(partial) if partial.body.len() == partial.want => {
                let Some(Partial { kind, record_version, body, at, .. }) = self.take() else { return false };
                let body = Cow::Owned(body);
                out(Read { unit: Unit::Handshake { kind, record_version, body }, at, when });
                true
            }
            Place::Lost(0) => {
                self.place = Place::start();
                true
            }
            _ => false,
        }
    }
}
