//! An OCSP request over HTTP while its answer is awaited.

use super::around::OcspExchange;
use crate::aside::http::{Asked, Reading, RequestHead, ResponseReader};
use crate::base::{Direction, Endpoint, Limits, PacketNo, Packets, Seen, Stamp};
use crate::decode::Segment;
use crate::flow::stream::{Piece, Stream};
use crate::tls::ocsp::{self, Response};

/// Longest request kept: nonces and several certificates stay far below.
const REQUEST: usize = 16 << 10;

/// One HTTP connection that began with an OCSP request.
#[derive(Debug)]
pub struct Exchange {
    client: Endpoint,
    responder: Endpoint,
    client_sends: Direction,
    request: Vec<u8>,
    serials: Vec<String>,
    asked: Option<Seen<()>>,
    to_responder: Stream,
    to_client: Stream,
    reader: ResponseReader,
    answered: Option<(Packets, Stamp, u16, Option<Response>)>,
    /// Given up when this passes.
    pub deadline: Stamp,
    /// The packet it began with.
    pub first: PacketNo,
}

impl Exchange {
    /// Begins where a client's first bytes look like an OCSP request.
    pub fn begin(segment: &Segment<'_>, client_sends: Direction, no: PacketNo, now: Stamp) -> Option<Self> {
        if !matches!(segment.payload, [b'G', b'E', b'T', b' ', ..] | [b'P', b'O', b'S', b'T', b' ', ..]) {
            return None;
        }
        let may = match RequestHead::read(segment.payload) {
            Reading::Done(head) => {
                matches!(head.asked(segment.payload), Asked::Ocsp(_) | Asked::OcspBody)
            }
            _ => false,
        };
        may.then(|| Self {
            client: segment.src(),
            responder: segment.dst(),
            client_sends,
            request: Vec::new(),
            serials: Vec::new(),
            asked: None,
            to_responder: Stream::default(),
            to_client: Stream::default(),
            reader: ResponseReader::new(),
            answered: None,
            deadline: now,
            first: no,
        })
    }

    /// Takes a segment. Whether the exchange is over.
    pub fn segment(
        &mut self,
        segment: &Segment<'_>,
        direction: Direction,
        no: PacketNo,
        stamp: Stamp,
        clock: Stamp,
        limits: &Limits,
    ) -> bool {
        self.deadline = clock + limits.linger;
        let from_client = direction == self.client_sends;
        let stream = if from_client { &mut self.to_responder } else { &mut self.to_client };
        let mut pieces: Vec<(Vec<u8>, PacketNo, Stamp)> = Vec::new();
        stream.push(
            segment.seq,
            segment.payload,
            segment.payload_wire_len,
            no,
            stamp,
            limits.holes_per_side,
            limits.bytes_per_side,
            &mut |piece| {
                if let Piece::Bytes(bytes, no, when) = piece {
                    pieces.push((bytes.to_vec(), no, when));
                }
            },
        );
        for (bytes, no, when) in pieces {
            if from_client {
                self.ask(&bytes, no, when);
            } else if self.answered.is_none()
                && let Reading::Done(response) = self.reader.push(&bytes)
            {
                let body = Response::read(&response.body);
                self.answered = Some((no.into(), when, response.status, body));
            }
        }
        self.answered.is_some() || segment.flags.rst() || (segment.flags.fin() && !from_client)
    }

    fn ask(&mut self, bytes: &[u8], no: PacketNo, when: Stamp) {
        if self.asked.is_some() || self.request.len() + bytes.len() > REQUEST {
            return;
        }
        self.request.extend_from_slice(bytes);
        if let Reading::Done(head) = RequestHead::read(&self.request)
            && let Asked::Ocsp(der) = head.asked(&self.request)
        {
            let ids = ocsp::read_request(&der).unwrap_or_default();
            self.serials = ids.into_iter().map(|id| id.serial).collect();
            self.asked = Some(Seen::new((), no, when));
        }
    }

    /// What came of it, and who asked; `None` where the request never was whole.
    pub fn close(self) -> Option<(Endpoint, Seen<OcspExchange>)> {
        let asked = self.asked?;
        let mut at = asked.at;
        let (when, status, response) = match self.answered {
            Some((packets, when, status, response)) => {
                at.add_all(&packets);
                (Some(when), Some(status), response)
            }
            None => (None, self.reader.status(), None),
        };
        let value = OcspExchange {
            responder: self.responder,
            serials: self.serials,
            status,
            response,
            took_us: when.map(|when| (when - asked.when).micros()),
        };
        Some((self.client, Seen { value, at, when: asked.when }))
    }
}
