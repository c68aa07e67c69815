//! Requests for revocation status over HTTP, while their answers are awaited.

use super::around::{Answer, Method, StatusExchange};
use crate::aside::http::{Asked, Reading, RequestHead, Response as HttpResponse, ResponseReader};
use crate::base::{Direction, Endpoint, Limits, PacketNo, Packets, Seen, Stamp};
use crate::decode::Segment;
use crate::flow::stream::{Piece, Stream};
use crate::tls::crl::Crl;
use crate::tls::ocsp::{self, Response};
use std::collections::VecDeque;
use std::sync::Arc;

/// Longest request kept: nonces and several certificates stay far below.
const REQUEST: usize = 16 << 10;
/// Requests without an answer on one connection.
const PIPELINED: usize = 8;
/// Longest URL kept.
const URL: usize = 512;

/// One HTTP connection on which a client asks for revocation status.
#[derive(Debug)]
pub struct Exchange {
    client: Endpoint,
    responder: Endpoint,
    client_sends: Direction,
    request: Vec<u8>,
    /// Requests that are whole, the oldest first; `None` stands for one about something else.
    asked: VecDeque<Option<Question>>,
    /// What came of earlier ones.
    done: Vec<Seen<StatusExchange>>,
    to_responder: Stream,
    to_client: Stream,
    reader: ResponseReader,
    /// The first byte of the answer that is being read.
    answering: Option<Stamp>,
    /// Bytes of a list that are kept.
    room: usize,
    /// Given up when this passes.
    pub deadline: Stamp,
    /// The packet it began with.
    pub first: PacketNo,
    /// The latest packet.
    pub last: PacketNo,
}

/// A whole request.
#[derive(Debug)]
struct Question {
    method: Method,
    url: String,
    request: ocsp::Request,
    at: Packets,
    when: Stamp,
}

impl Exchange {
    /// Begins where a client's first bytes look like a request for a status or a list, of which `room` bytes are kept.
    pub fn begin(
        segment: &Segment<'_>,
        client_sends: Direction,
        no: PacketNo,
        now: Stamp,
        room: usize,
    ) -> Option<Self> {
        if !matches!(segment.payload, [b'G', b'E', b'T', b' ', ..] | [b'P', b'O', b'S', b'T', b' ', ..]) {
            return None;
        }
        let Reading::Done(head) = RequestHead::read(segment.payload) else { return None };
        let asked = head.asked(segment.payload);
        matches!(asked, Asked::Ocsp(_) | Asked::OcspBody | Asked::Crl).then(|| Self {
            client: segment.src(),
            responder: segment.dst(),
            client_sends,
            request: Vec::new(),
            asked: VecDeque::new(),
            done: Vec::new(),
            to_responder: Stream::default(),
            to_client: Stream::default(),
            reader: ResponseReader::keeping(room),
            answering: None,
            room,
            deadline: now,
            first: no,
            last: no,
        })
    }

    /// Who asks.
    pub fn client(&self) -> Endpoint {
        self.client
    }

    /// Takes a segment. Whether the connection is over.
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
        self.last = no;
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
            } else {
                self.answering.get_or_insert(when);
                if let Reading::Done(response) = self.reader.push(&bytes) {
                    self.answered(&response, no, when);
                }
            }
        }
        if segment.flags.fin()
            && !from_client
            && let Reading::Done(response) = self.reader.finish()
        {
            self.answered(&response, no, stamp);
        }
        segment.flags.rst() || (segment.flags.fin() && !from_client)
    }

    fn ask(&mut self, bytes: &[u8], no: PacketNo, when: Stamp) {
        if self.asked.len() >= PIPELINED || self.request.len() + bytes.len() > REQUEST {
            return;
        }
        self.request.extend_from_slice(bytes);
        while let Reading::Done(head) = RequestHead::read(&self.request) {
            let len = head.len + head.content_length.unwrap_or(0);
            if self.request.len() < len {
                return;
            }
            let asked = head.asked(&self.request);
            self.request.drain(..len);
            let (method, request) = match asked {
                Asked::Ocsp(der) => {
                    let method = if head.method == "GET" { Method::OcspGet } else { Method::OcspPost };
                    (method, ocsp::read_request(&der).unwrap_or_default())
                }
                Asked::Crl => (Method::Crl, ocsp::Request::default()),
                _ => {
                    self.asked.push_back(None);
                    continue;
                }
            };
            let url = if head.target.starts_with('/') {
                format!("http://{}{}", head.host, head.target)
            } else {
                head.target
            };
            let url = url.chars().take(URL).collect();
            self.asked.push_back(Some(Question { method, url, request, at: no.into(), when }));
        }
    }

    /// An answer is whole.
    fn answered(&mut self, response: &HttpResponse, no: PacketNo, when: Stamp) {
        self.reader = ResponseReader::keeping(self.room);
        let began = self.answering.take();
        let Some(Some(question)) = self.asked.pop_front() else { return };
        let body = match question.method {
            Method::Crl => Crl::read(&response.body).map(|crl| Answer::Crl(Arc::new(crl))),
            _ => Response::read(&response.body).map(|answer| Answer::Ocsp(Box::new(answer))),
        };
        let answer = match body {
            Some(answer) => answer,
            None if !response.whole => Answer::Cut,
            None => Answer::Other,
        };
        let exchange = self.made(question, Some(response.status), answer, Some((no, began, when)));
        self.done.push(exchange);
    }

    fn made(
        &self,
        question: Question,
        status: Option<u16>,
        answer: Answer,
        answered: Option<(PacketNo, Option<Stamp>, Stamp)>,
    ) -> Seen<StatusExchange> {
        let Question { method, url, request, mut at, when } = question;
        if let Some((no, ..)) = answered {
            at.add_all(&no.into());
        }
        let value = StatusExchange {
            client: self.client,
            responder: self.responder,
            method,
            url,
            ids: request.ids,
            nonce: request.nonce,
            status,
            answer,
            first_byte_us: answered.and_then(|(_, began, _)| began).map(|began| (began - when).micros()),
            took_us: answered.map(|(.., ended)| (ended - when).micros()),
            ended: answered.map_or(when, |(.., ended)| ended),
            signed: None,
        };
        Seen { value, at, when }
    }

    /// What came of requests since the last call.
    pub fn take_done(&mut self) -> Vec<Seen<StatusExchange>> {
        std::mem::take(&mut self.done)
    }

    /// The connection is over: requests that found no answer.
    pub fn close(mut self) -> Vec<Seen<StatusExchange>> {
        let mut status = self.reader.status();
        for question in std::mem::take(&mut self.asked).into_iter().flatten() {
            let exchange = self.made(question, status.take(), Answer::None, None);
            self.done.push(exchange);
        }
        self.done
    }
}
