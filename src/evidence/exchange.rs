//! Exchanges about revocation over HTTP: who asked what on one connection, and what came of it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::around::{Method, StatusExchange};
use crate::aside::http::{Asked, Reading, RequestHead, Response as Answered, ResponseReader};
use crate::base::{Direction, Endpoint, Limits, PacketNo, Packets, Seen, Stamp};
use crate::decode::Segment;
use crate::flow::stream::{Piece, Stream};
use crate::tls::crl::Crl;
use crate::tls::ocsp::{self, Response};

/// Longest request kept: nonces and several certificates stay far below.
const REQUEST: usize = 16 << 10;
/// Requests that wait for their answers on one connection; clients that ask ahead at all ask for few.
const WAITING: usize = 16;
/// Longest host and target told.
const URL: usize = 512;

/// One HTTP connection on which a status or a list was asked for.
#[derive(Debug)]
pub struct Exchange {
    client: Endpoint,
    responder: Endpoint,
    client_sends: Direction,
    request: Vec<u8>,
    /// When and where the request that is being read began.
    began: Option<(PacketNo, Stamp)>,
    to_responder: Stream,
    to_client: Stream,
    reader: ResponseReader,
    /// When and where the answer that is being read began.
    answering: Option<(PacketNo, Stamp)>,
    waiting: VecDeque<Question>,
    done: Vec<Seen<StatusExchange>>,
    /// Exchanges told.
    count: u32,
    broken: bool,
    /// Given up when this passes.
    pub deadline: Stamp,
    /// The packet it began with.
    pub first: PacketNo,
    /// The latest packet of what is not yet told.
    pub last: PacketNo,
    ended: Stamp,
}

/// A request that waits for its answer; `about` is `None` where it is none of ours.
#[derive(Debug)]
struct Question {
    about: Option<StatusExchange>,
    at: Packets,
    when: Stamp,
}

impl Exchange {
    /// Begins where a client's first bytes look like a request for a status or a list.
    pub fn begin(segment: &Segment<'_>, client_sends: Direction, no: PacketNo, now: Stamp) -> Option<Self> {
        if !may_be_a_request(segment.payload) {
            return None;
        }
        let may = match RequestHead::read(segment.payload) {
            Reading::Done(head) => {
                matches!(head.asked(segment.payload), Asked::Ocsp(_) | Asked::OcspBody | Asked::Crl)
            }
            // The head goes on in the next segment.
            Reading::NeedMore => segment.payload.len() > 4,
            _ => false,
        };
        may.then(|| Self {
            client: segment.src(),
            responder: segment.dst(),
            client_sends,
            request: Vec::new(),
            began: None,
            to_responder: Stream::default(),
            to_client: Stream::default(),
            reader: ResponseReader::new(),
            answering: None,
            waiting: VecDeque::new(),
            done: Vec::new(),
            count: 0,
            broken: false,
            deadline: now,
            first: no,
            last: no,
            ended: now,
        })
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
        if self.awaits() && !segment.payload.is_empty() {
            (self.last, self.ended) = (no, stamp);
        }
        let from_client = direction == self.client_sends;
        let stream = if from_client { &mut self.to_responder } else { &mut self.to_client };
        let mut pieces: Vec<(Vec<u8>, PacketNo, Stamp)> = Vec::new();
        let mut broken = false;
        stream.push(
            segment.seq,
            segment.payload,
            segment.payload_wire_len,
            no,
            stamp,
            limits.holes_per_side,
            limits.bytes_per_side,
            &mut |piece| match piece {
                Piece::Bytes(bytes, no, when) => pieces.push((bytes.to_vec(), no, when)),
                _ => broken = true,
            },
        );
        for (bytes, no, when) in pieces {
            if from_client {
                self.ask(&bytes, no, when, limits);
            } else {
                self.answer(&bytes, no, when, limits);
            }
        }
        // What lacks bytes cannot be cut into messages any more.
        self.broken |= broken;
        if segment.flags.fin() && !from_client {
            self.server_ends(limits);
        }
        self.broken || segment.flags.rst() || (segment.flags.fin() && !from_client)
    }

    /// Whether an answer is awaited.
    fn awaits(&self) -> bool {
        self.began.is_some() || !self.waiting.is_empty()
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.request.capacity()
            + self.to_responder.held_bytes()
            + self.to_client.held_bytes()
            + self.reader.held_bytes()
    }

    /// What has come of it since the last call.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Seen<StatusExchange>> {
        self.done.drain(..)
    }

    /// No exchange that is not yet told ended before this packet; `None` where none waits.
    pub fn pending(&self) -> Option<PacketNo> {
        let asked = self.waiting.iter().filter_map(|question| question.at.last());
        self.awaits().then(|| asked.min().unwrap_or(self.last).min(self.last))
    }

    fn ask(&mut self, bytes: &[u8], no: PacketNo, when: Stamp, limits: &Limits) {
        if self.request.len() + bytes.len() > REQUEST || self.waiting.len() >= WAITING {
            self.broken = true;
            return;
        }
        self.began.get_or_insert((no, when));
        (self.last, self.ended) = (no, when);
        self.request.extend_from_slice(bytes);
        loop {
            let head = match RequestHead::read(&self.request) {
                Reading::Done(head) => head,
                Reading::NeedMore => return,
                Reading::NotHttp | Reading::TooLong => {
                    self.broken = true;
                    return;
                }
            };
            let asked = head.asked(&self.request);
            if self.request.len() < head.whole() {
                return;
            }
            let (began, _) = self.began.unwrap_or((no, when));
            let mut at = Packets::one(began);
            at.add(no);
            let about = self.question(&head, asked, began);
            if self.waiting.is_empty() {
                self.await_answer(about.as_ref(), limits);
            }
            self.waiting.push_back(Question { about, at, when });
            self.request.drain(..head.whole().min(self.request.len()));
            self.began = None;
            if self.request.is_empty() {
                return;
            }
            self.began = Some((no, when));
        }
    }

    fn question(&self, head: &RequestHead, asked: Asked, first: PacketNo) -> Option<StatusExchange> {
        let (method, der) = match asked {
            Asked::Ocsp(der) if head.method == "POST" => (Method::OcspPost, der),
            Asked::Ocsp(der) => (Method::OcspGet, der),
            Asked::Crl => (Method::Crl, Vec::new()),
            Asked::OcspBody | Asked::Issuer | Asked::Other => return None,
        };
        let short = |text: &str| text.chars().take(URL).collect::<String>();
        Some(StatusExchange {
            client: self.client,
            responder: self.responder,
            method,
            host: short(&head.host),
            // The path of a GET for OCSP is the request itself.
            target: if method == Method::OcspGet { String::new() } else { short(&head.target) },
            asked: ocsp::read_request(&der).unwrap_or_default(),
            nonce: ocsp::request_nonce(&der),
            clock: None,
            status: None,
            response: None,
            crl: None,
            cut: false,
            first_us: None,
            took_us: None,
            first,
            last: first,
            ended: Stamp::default(),
            nth: 0,
        })
    }

    /// The next answer is to be read as this question's.
    fn await_answer(&mut self, about: Option<&StatusExchange>, limits: &Limits) {
        let list = about.is_some_and(|about| about.method == Method::Crl);
        self.reader = if list { ResponseReader::of_list(limits.list_bytes) } else { ResponseReader::new() };
        self.answering = None;
    }

    fn answer(&mut self, bytes: &[u8], no: PacketNo, when: Stamp, limits: &Limits) {
        let mut rest = bytes.to_vec();
        while !rest.is_empty() && !self.waiting.is_empty() {
            self.answering.get_or_insert((no, when));
            (self.last, self.ended) = (no, when);
            match self.reader.push(&rest) {
                Reading::Done(response) => {
                    rest = self.reader.take_rest();
                    self.answered(Some(response), no, when, limits);
                }
                Reading::NeedMore => return,
                Reading::NotHttp | Reading::TooLong => {
                    self.answered(None, no, when, limits);
                    self.broken = true;
                    return;
                }
            }
        }
    }

    fn server_ends(&mut self, limits: &Limits) {
        if self.answering.is_some()
            && let Reading::Done(response) = self.reader.finish()
        {
            self.answered(Some(response), self.last, self.ended, limits);
        }
    }

    /// The first question has its answer.
    fn answered(&mut self, response: Option<Answered>, no: PacketNo, when: Stamp, limits: &Limits) {
        let Some(question) = self.waiting.pop_front() else { return };
        let began = self.answering.take();
        if let Some(mut told) = question.about {
            let mut at = question.at;
            if let Some((first, first_when)) = began {
                at.add(first);
                told.first_us = Some((first_when - question.when).micros());
            }
            at.add(no);
            told.took_us = Some((when - question.when).micros());
            (told.last, told.ended) = (no, when);
            let mut ours = true;
            match response {
                Some(response) => {
                    told.status = Some(response.status);
                    told.clock = response.clock;
                    told.cut = !response.whole;
                    if told.method == Method::Crl {
                        let crl = Crl::read(&response.body, limits.list_entries).map(Arc::new);
                        let named = told
                            .target
                            .split('?')
                            .next()
                            .is_some_and(|path| path.to_ascii_lowercase().ends_with(".crl"));
                        ours = crl.is_some() || named || response.content_type == "application/pkix-crl";
                        told.crl = crl;
                    } else {
                        told.response = Response::read(&response.body);
                    }
                }
                // Something that is no HTTP.
                None => told.status = Some(0),
            }
            if ours {
                self.tell(told, at, question.when);
            }
        }
        let next = self.waiting.front().and_then(|question| question.about.clone());
        self.await_answer(next.as_ref(), limits);
    }

    fn tell(&mut self, mut told: StatusExchange, at: Packets, when: Stamp) {
        told.nth = self.count;
        self.count += 1;
        self.done.push(Seen { value: told, at, when });
    }

    /// The connection is over: what had no answer is told as that.
    pub fn close(&mut self) -> Vec<Seen<StatusExchange>> {
        let (status, began) = (self.reader.status(), self.answering);
        for (n, question) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            let Some(mut told) = question.about else { continue };
            let list = told.method == Method::Crl;
            let named = told.target.to_ascii_lowercase().contains(".crl");
            if list && !named {
                continue; // nothing says that it was one
            }
            if n == 0 {
                told.status = status;
                told.first_us = began.map(|(_, first)| (first - question.when).micros());
            }
            let last = question.at.last().unwrap_or(told.first);
            (told.last, told.ended) =
                if n == 0 { (self.last.max(last), self.ended) } else { (last, question.when) };
            self.tell(told, question.at, question.when);
        }
        std::mem::take(&mut self.done)
    }
}

/// The first bytes of a request that may be about revocation.
pub fn may_be_a_request(payload: &[u8]) -> bool {
    matches!(payload, [b'G', b'E', b'T', b' ', ..] | [b'P', b'O', b'S', b'T', b' ', ..])
}
