//! An attempt over datagrams while it runs: QUIC (RFC 9000) or DTLS (RFC 6347, RFC 9147).
//!
//! A [`Talk`] keeps what any protocol over UDP has: who, when, how many packets of each side. Its reader, one for each
//! protocol, knows what the payloads mean and writes the same facts as an attempt over TCP does.

pub mod dtls;
#[cfg(test)]
mod fixture;
pub mod quic;

use super::attempt::Parse;
use super::{Evidence, Transport};
use crate::base::{Direction, Limits, PacketNo, Side, Stamp};
use crate::decode::Datagram;

/// A protocol over datagrams that sets up TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// QUIC with TLS in it.
    Quic,
    /// DTLS.
    Dtls,
}

impl Protocol {
    /// The protocol that a payload may begin an attempt of, from its first bytes: cheap enough for every datagram.
    #[inline]
    pub fn begun_by(payload: &[u8]) -> Option<Self> {
        match payload {
            // A handshake record: content type 22, a version that counts down from 0xfeff, epoch 0. Cisco's first DTLS and
            // OpenSSL's bear 0x0100.
            [22, 0xfe, 0xfd..=0xff, 0, 0, ..] | [22, 1, 0, 0, 0, ..] => Some(Self::Dtls),
            // Between access point and controller (RFC 5415 section 4.2).
            [1, 0, 0, 0, 22, 0xfe, ..] => Some(Self::Dtls),
            // A long header with the fixed bit (RFC 9000 section 17.2) and a version that is not negotiation's zero.
            [0xc0..=0xff, a, b, c, d, ..] if [*a, *b, *c, *d] != [0; 4] && payload.len() >= quic::LEAST => {
                Some(Self::Quic)
            }
            _ => None,
        }
    }
}

/// What the shard should do with a talk after a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Keep feeding it.
    Open,
    /// It is settled: close it now.
    Settled,
    /// The datagram begins another attempt on the same addresses and ports.
    Another,
    /// It is none of ours: forget it.
    NotOurs,
}

/// A datagram's place in the capture.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its packet.
    pub no: PacketNo,
    /// When it was captured.
    pub stamp: Stamp,
    /// Capture time, which never steps back.
    pub clock: Stamp,
}

/// How an attempt's datagrams are read.
#[derive(Debug)]
enum Reader {
    Quic(Box<quic::Reader>),
    Dtls(Box<dtls::Reader>),
}

/// How an attempt begins.
#[derive(Debug)]
struct Beginning {
    reader: Reader,
    /// Who sent the first datagram seen.
    from: Side,
    /// What tells this attempt from another on the same addresses and ports.
    tag: u32,
}

/// One attempt to set up TLS over datagrams while it runs.
#[derive(Debug)]
pub struct Talk {
    /// The facts so far.
    pub evidence: Box<Evidence>,
    /// Which direction of the flow key is the client's.
    pub client_sends: Direction,
    /// It is settled one way or another when this passes.
    pub deadline: Stamp,
    /// Tells it from another attempt on the same addresses and ports.
    pub tag: u32,
    reader: Reader,
}

impl Talk {
    /// Begins with the first datagram seen, which is yet to be given to [`Self::datagram`]; `None` where it is none of
    /// this protocol. `sends`: the direction of the flow key in which it goes.
    pub fn begin(
        protocol: Protocol,
        datagram: &Datagram<'_>,
        sends: Direction,
        place: Place,
    ) -> Option<Self> {
        let Beginning { reader, from, tag } = match protocol {
            Protocol::Quic => quic::begin(datagram)?,
            Protocol::Dtls => dtls::begin(datagram)?,
        };
        let (client, server, client_sends) = match from {
            Side::Client => (datagram.src(), datagram.dst(), sends),
            Side::Server => (datagram.dst(), datagram.src(), sends.opposite()),
        };
        let mut evidence = Box::new(Evidence::new(client, server, place.no, place.stamp));
        evidence.transport = match protocol {
            Protocol::Quic => Transport::Quic,
            Protocol::Dtls => Transport::Dtls,
        };
        Some(Self { evidence, client_sends, deadline: place.clock, tag, reader })
    }

    /// Takes one datagram between the two ends.
    pub fn datagram(
        &mut self,
        datagram: &Datagram<'_>,
        sends: Direction,
        place: Place,
        limits: &Limits,
        parser: &mut impl Parse,
    ) -> Step {
        let from = if sends == self.client_sends { Side::Client } else { Side::Server };
        let evidence = &mut *self.evidence;
        let step = match &mut self.reader {
            Reader::Quic(reader) => reader.datagram(evidence, datagram, from, place, limits, parser),
            Reader::Dtls(reader) => reader.datagram(evidence, datagram, from, place, limits, parser),
        };
        if matches!(step, Step::Another | Step::NotOurs) {
            return step;
        }
        (evidence.last, evidence.ended) = (place.no, place.stamp);
        let tcp = &mut evidence.tcp;
        *tcp.packets.of_mut(from) += 1;
        *tcp.bytes.of_mut(from) += u64::from(datagram.payload_wire_len);
        let ttl = datagram.hop.ttl;
        let (least, most) = tcp.ttl.of(from).unwrap_or((ttl, ttl));
        *tcp.ttl.of_mut(from) = Some((least.min(ttl), most.max(ttl)));
        let largest = tcp.largest.of_mut(from);
        *largest = (*largest).max(datagram.payload_wire_len);
        if tcp.link.of(from).is_none() {
            *tcp.link.of_mut(from) = datagram.hop.link_src;
        }
        if datagram.payload.len() < datagram.payload_wire_len as usize {
            evidence.lost.snapped_packets += 1;
        }
        self.deadline = place.clock
            + match &self.reader {
                Reader::Quic(reader) => reader.patience(&self.evidence, limits),
                Reader::Dtls(reader) => reader.patience(&self.evidence, limits),
            };
        step
    }

    /// Nothing more comes. `now` is capture time; `capture_ended` says that the capture stopped, not the attempt.
    pub fn close(self, now: Stamp, capture_ended: bool, parser: &mut impl Parse) -> Box<Evidence> {
        let mut evidence = self.evidence;
        match self.reader {
            Reader::Quic(reader) => reader.close(&mut evidence, now, capture_ended, parser),
            Reader::Dtls(reader) => reader.close(&mut evidence, now, capture_ended, parser),
        }
        evidence
    }

    /// Bytes held, for the shard's bound.
    pub fn held(&self) -> usize {
        match &self.reader {
            Reader::Quic(reader) => reader.held(),
            Reader::Dtls(reader) => reader.held(),
        }
    }
}

/// Says in words what each datagram of an attempt holds, for a ladder of its packets.
#[derive(Debug)]
pub enum Teller {
    /// Of QUIC.
    Quic(Box<quic::Teller>),
    /// Of DTLS.
    Dtls(dtls::Teller),
}

impl Teller {
    /// For an attempt over this transport; `None` where it has no datagrams.
    pub fn new(transport: Transport) -> Option<Self> {
        match transport {
            Transport::Tcp => None,
            Transport::Quic => Some(Self::Quic(<_>::default())),
            Transport::Dtls => Some(Self::Dtls(<_>::default())),
        }
    }

    /// What one datagram holds, each part in a word or two.
    pub fn say(&mut self, datagram: &Datagram<'_>, from: Side) -> Vec<String> {
        match self {
            Self::Quic(teller) => teller.say(datagram, from),
            Self::Dtls(teller) => teller.say(datagram, from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_what_may_begin() {
        let long = |first: u8, version: u32| {
            let mut payload = vec![0; quic::LEAST];
            payload[0] = first;
            payload[1..5].copy_from_slice(&version.to_be_bytes());
            payload
        };
        assert_eq!(Protocol::begun_by(&long(0xc3, 1)), Some(Protocol::Quic));
        assert_eq!(
            Protocol::begun_by(&long(0xc3, 0)),
            None,
            "version negotiation answers, and begins nothing"
        );
        assert_eq!(Protocol::begun_by(&long(0x43, 1)), None, "a short header");
        assert_eq!(Protocol::begun_by(&[22, 0xfe, 0xfd, 0, 0, 0, 0]), Some(Protocol::Dtls));
        assert_eq!(Protocol::begun_by(&[23, 0xfe, 0xfd, 0, 1, 0, 0]), None, "application data");
        assert_eq!(Protocol::begun_by(&[0x80; 40]), None, "media of RTP");
        assert_eq!(Protocol::begun_by(&[]), None);
    }
}
