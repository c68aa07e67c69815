//! Enough of HTTP/1.1 (RFC 9112) to see OCSP exchanges and CRL downloads, which go in clear.
//!
//! This floor hands on bytes; reading them as OCSP is for whoever asks.

use super::date;
use crate::base::{Stamp, base64};

/// Longest head read, in bytes: requests to responders are below 1 kB.
const HEAD: usize = 8 << 10;
/// Longest body kept, in bytes, unless more is allowed: OCSP messages are below 5 kB.
const BODY: usize = 64 << 10;

/// What came of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// More bytes are needed.
    NeedMore,
    /// This is no HTTP/1.
    NotHttp,
    /// A bound was reached.
    TooLong,
    /// Read.
    Done(T),
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// `GET`, `POST`, …
    pub method: String,
    /// The request target as sent.
    pub target: String,
    /// The Host field, empty where absent.
    pub host: String,
    /// The Content-Type field without parameters, lower case.
    pub content_type: String,
    /// The Content-Length field.
    pub content_length: Option<usize>,
    /// Bytes of the head, the empty line included.
    pub len: usize,
}

/// What a request asks for, as far as revocation goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The status of certificates: the OCSP request, DER.
    Ocsp(Vec<u8>),
    /// The same, but the body has not come completely.
    OcspBody,
    /// A certificate revocation list.
    Crl,
    /// An issuer's certificate (RFC 5280 section 4.2.2.1).
    Issuer,
    /// Something else.
    Other,
}

impl RequestHead {
    /// Reads the head at the start of the client's direction, all of it from the first byte on.
    pub fn read(stream: &[u8]) -> Reading<Self> {
        const METHODS: [&[u8]; 3] = [b"GET ", b"POST ", b"HEAD "];
        if !METHODS.iter().any(|method| starts_alike(stream, method)) {
            return Reading::NotHttp;
        }
        let (head, len) = match head(stream) {
            Reading::Done(found) => found,
            Reading::NeedMore => return Reading::NeedMore,
            Reading::NotHttp => return Reading::NotHttp,
            Reading::TooLong => return Reading::TooLong,
        };
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
            return Reading::NotHttp;
        };
        if !version.starts_with("HTTP/1.") {
            return Reading::NotHttp;
        }
        let fields = Fields::read(lines);
        Reading::Done(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            host: fields.host,
            content_type: fields.content_type,
            content_length: fields.content_length,
            len,
        })
    }

    /// What is asked for; `stream` is the client's direction from the head's first byte on (RFC
    /// 6960 appendix A.1 for OCSP over HTTP).
    pub fn asked(&self, stream: &[u8]) -> Asked {
        if self.method == "POST" && self.content_type == "application/ocsp-request" {
            let len = self.content_length.unwrap_or(0);
            let body = stream.get(self.len..).and_then(|body| body.get(..len));
            return match body {
                Some(body) if looks_like_request(body) => Asked::Ocsp(body.to_vec()),
                Some(_) => Asked::Other,
                None => Asked::OcspBody,
            };
        }
        if self.method != "GET" {
            return Asked::Other;
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let ends = |endings: &[&str]| {
            let path = path.to_ascii_lowercase();
            endings.iter().any(|ending| path.ends_with(ending))
        };
        if ends(&[".crl"]) {
            return Asked::Crl;
        }
        if ends(&[".js", ".css", ".html", ".png"]) {
            return Asked::Other;
        }
        if ends(&[".crt", ".cer", ".der", ".p7c", ".p7b"]) {
            return Asked::Issuer;
        }
        // Base64 may hold slashes: every suffix of the path may be the request.
        let path = undo_percent(path);
        let starts = path.match_indices('/').map(|(at, _)| at + 1);
        for start in starts.take(8) {
            let text = path.get(start..).unwrap_or_default();
            // Every request starts with a SEQUENCE, 0x30: `M`.
            if text.starts_with('M')
                && let Some(der) = base64::decode(text)
                && looks_like_request(&der)
            {
                return Asked::Ocsp(der);
            }
        }
        // Some lists have no such ending: what the answer holds tells.
        let names_crl = |text: &str| text.to_ascii_lowercase().contains("crl");
        if names_crl(&self.target) || names_crl(&self.host) { Asked::Crl } else { Asked::Other }
    }

    /// Bytes of the request, its body included.
    pub fn whole(&self) -> usize {
        self.len.saturating_add(self.content_length.unwrap_or(0))
    }
}

/// A SEQUENCE that fills the bytes and starts with another SEQUENCE.
fn looks_like_request(der: &[u8]) -> bool {
    match der {
        [0x30, len @ 0..=0x7f, 0x30, ..] => der.len() == usize::from(*len) + 2,
        [0x30, 0x81, len, 0x30, ..] => der.len() == usize::from(*len) + 3,
        [0x30, 0x82, high, low, 0x30, ..] => der.len() == usize::from(u16::from_be_bytes([*high, *low])) + 4,
        _ => false,
    }
}

/// RFC 3986 section 2.1.
fn undo_percent(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(octet) if octet.is_ascii() => {
                plain.push(char::from(octet));
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                plain.push('%');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// A response, complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The Content-Type field without parameters, lower case.
    pub content_type: String,
    /// The Content-Length field.
    pub content_length: Option<usize>,
    /// The sender's time (see [`date::clock`]).
    pub clock: Option<Stamp>,
    /// The body, its chunks joined; cut at 64 KiB, then `whole` is false.
    pub body: Vec<u8>,
    /// The body is all there.
    pub whole: bool,
}

/// Reads one response from the server's direction, piece by piece.
#[derive(Clone, Debug, Default)]
pub struct ResponseReader {
    held: Vec<u8>,
    state: State,
    response: Response,
    /// Bytes of the body that are kept, where more than usual.
    most: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes are missing.
    Length(usize),
    /// Until the connection ends.
    UntilClose,
    /// A chunk's size line is next.
    ChunkSize,
    /// So many bytes of a chunk, with its line end, are missing.
    Chunk(usize),
    /// Behind the last chunk, until an empty line.
    Trailer,
    Done,
    NotHttp,
}

impl ResponseReader {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing read yet; keeps so many bytes of a body that looks like a list (DER or PEM).
    pub fn of_list(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.held.capacity() + self.response.body.capacity()
    }

    /// Takes what came behind a response that is done: the beginning of the next.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// The status code, once the head is read.
    pub fn status(&self) -> Option<u16> {
        (self.response.status != 0).then_some(self.response.status)
    }

    /// Takes the next bytes of the stream, in order. After `Done`, `NotHttp` and `TooLong` further
    /// bytes are ignored, and the answer stays the same.
    pub fn push(&mut self, bytes: &[u8]) -> Reading<Response> {
        let mut rest = bytes;
        while !rest.is_empty() && self.needs_more() {
            // In pieces, so that what is held stays bounded whatever comes.
            let (piece, after) = rest.split_at(rest.len().min(4096));
            rest = after;
            self.held.extend_from_slice(piece);
            while self.step() {}
        }
        if self.state == State::Done {
            let room = BODY.saturating_sub(self.held.len()).min(rest.len());
            self.held.extend_from_slice(rest.get(..room).unwrap_or_default());
        }
        self.reading()
    }

    /// The stream has ended: a body that is delimited by the end of the connection is complete, any
    /// other is handed out as it is, `whole` false.
    pub fn finish(&mut self) -> Reading<Response> {
        match self.state {
            State::Head => Reading::NotHttp,
            State::UntilClose => {
                self.response.whole = self.response.body.len() < self.most();
                self.state = State::Done;
                self.reading()
            }
            State::NotHttp => Reading::NotHttp,
            _ => {
                self.state = State::Done;
                self.reading()
            }
        }
    }

    fn needs_more(&self) -> bool {
        !matches!(self.state, State::Done | State::NotHttp)
    }

    fn reading(&self) -> Reading<Response> {
        match self.state {
            State::Done if self.response.status == 0 => Reading::TooLong,
            State::Done => Reading::Done(self.response.clone()),
            State::NotHttp => Reading::NotHttp,
            _ => Reading::NeedMore,
        }
    }

    /// One step with what is held; false where it needs more, or is at its end.
    fn step(&mut self) -> bool {
        match self.state {
            State::Head => self.read_head(),
            State::Length(missing) => {
                let got = self.keep(missing);
                self.state = State::Length(missing - got);
                if missing == got {
                    self.complete();
                }
                false
            }
            State::UntilClose => {
                self.keep(usize::MAX);
                false
            }
            State::ChunkSize => self.chunk_size(),
            State::Trailer => {
                let Some(end) = self.held.iter().position(|&octet| octet == b'\n') else {
                    if self.held.len() > HEAD {
                        self.state = State::Done;
                    }
                    return false;
                };
                let empty = self.held.drain(..=end).all(|octet| matches!(octet, b'\r' | b'\n'));
                if empty {
                    self.state = State::Done;
                }
                !empty
            }
            State::Chunk(missing) => {
                // The last two bytes are the line end.
                let data = missing.saturating_sub(2);
                let got = self.keep(data);
                let missing = missing - got;
                if missing > 2 || self.held.len() < missing {
                    self.state = State::Chunk(missing);
                    return false;
                }
                self.held.drain(..missing);
                self.state = State::ChunkSize;
                true
            }
            State::Done | State::NotHttp => false,
        }
    }

    fn read_head(&mut self) -> bool {
        if !starts_alike(&self.held, b"HTTP/1.") {
            self.state = State::NotHttp;
            return false;
        }
        let (status, fields, len) = match head(&self.held) {
            Reading::NeedMore => return false,
            Reading::TooLong => {
                self.state = State::Done;
                return false;
            }
            Reading::NotHttp => {
                self.state = State::NotHttp;
                return false;
            }
            Reading::Done((head, len)) => {
                let mut lines = head.lines();
                let status =
                    lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
                (status, Fields::read(lines), len)
            }
        };
        let Some(status @ 100..=999) = status else {
            self.state = State::NotHttp;
            return false;
        };
        let clock = self.held.get(..len).and_then(date::clock);
        self.held.drain(..len);
        if status < 200 {
            return true; // an interim response; the real one follows (RFC 9110 section 15.2)
        }
        self.response.status = status;
        self.response.content_type = fields.content_type;
        self.response.content_length = fields.content_length;
        self.response.clock = clock;
        self.state = match fields.content_length {
            _ if matches!(status, 204 | 304) => State::Length(0),
            _ if fields.chunked => State::ChunkSize,
            Some(len) => State::Length(len),
            None => State::UntilClose,
        };
        if self.state == State::Length(0) {
            self.complete();
        }
        true
    }

    fn chunk_size(&mut self) -> bool {
        let Some(end) = self.held.iter().position(|&octet| octet == b'\n') else {
            if self.held.len() > 256 {
                self.state = State::Done; // no size line is so long
            }
            return false;
        };
        let line: Vec<u8> = self.held.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line);
        let digits = line.split(';').next().unwrap_or_default().trim();
        match usize::from_str_radix(digits, 16) {
            Ok(0) => {
                self.complete();
                self.state = State::Trailer;
            }
            Ok(size) if size <= u32::MAX as usize => self.state = State::Chunk(size + 2),
            _ => self.state = State::Done,
        }
        self.needs_more()
    }

    /// Moves up to `most` held bytes to the body, or drops them where the body is full.
    fn keep(&mut self, most: usize) -> usize {
        let take = self.held.len().min(most);
        if self.response.body.is_empty() && !matches!(self.held.first(), None | Some(0x30 | b'-')) {
            self.most = 0; // no list
        }
        let room = self.most().saturating_sub(self.response.body.len()).min(take);
        self.response.body.extend(self.held.iter().take(room));
        self.held.drain(..take);
        take
    }

    fn most(&self) -> usize {
        self.most.max(BODY)
    }

    fn complete(&mut self) {
        let most = self.most();
        let cut =
            self.response.content_length.is_some_and(|len| len > most) || self.response.body.len() >= most;
        self.response.whole = !cut;
        self.state = State::Done;
    }
}

/// The stream starts with these letters, or may yet.
fn starts_alike(stream: &[u8], letters: &[u8]) -> bool {
    stream.iter().zip(letters).all(|(one, other)| one == other)
}

/// The text before the empty line, and how many bytes it takes with it.
fn head(stream: &[u8]) -> Reading<(String, usize)> {
    let window = stream.get(..HEAD.min(stream.len())).unwrap_or_default();
    let end = window.windows(4).position(|four| four == b"\r\n\r\n");
    match end {
        Some(end) => {
            let text = String::from_utf8_lossy(window.get(..end).unwrap_or_default()).into_owned();
            Reading::Done((text, end + 4))
        }
        None if stream.len() >= HEAD => Reading::TooLong,
        None => Reading::NeedMore,
    }
}

#[derive(Default)]
struct Fields {
    host: String,
    content_type: String,
    content_length: Option<usize>,
    chunked: bool,
}

impl Fields {
    fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut fields = Self::default();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "host" => fields.host = value.to_ascii_lowercase(),
                "content-type" => {
                    fields.content_type =
                        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                }
                "content-length" => fields.content_length = value.parse().ok(),
                "transfer-encoding" => fields.chunked = value.to_ascii_lowercase().contains("chunked"),
                _ => {}
            }
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REQUEST: [u8; 6] = [0x30, 4, 0x30, 2, 0x30, 0];

    fn asked(stream: &[u8]) -> Asked {
        match RequestHead::read(stream) {
            Reading::Done(head) => head.asked(stream),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_ocsp_request_is_known_by_post_and_by_get() {
        let mut post = b"POST /ocsp HTTP/1.1\r\nHost: o\r\nContent-Type: application/ocsp-request\r\nContent-Length: 6\r\n\r\n".to_vec();
        assert_eq!(asked(&post), Asked::OcspBody);
        post.extend(REQUEST);
        assert_eq!(asked(&post), Asked::Ocsp(REQUEST.to_vec()));
        let get = b"GET /a/MAQwAjAA HTTP/1.1\r\nHost: o\r\n\r\n";
        assert_eq!(asked(get), Asked::Ocsp(REQUEST.to_vec()));
        assert_eq!(asked(b"GET /MAQwAjA%41 HTTP/1.1\r\n\r\n"), Asked::Ocsp(REQUEST.to_vec()));
    }

    #[test]
    fn other_downloads_are_told_apart() {
        assert_eq!(asked(b"GET /r3.CRL?x HTTP/1.1\r\n\r\n"), Asked::Crl);
        assert_eq!(asked(b"GET /r3.crt HTTP/1.0\r\n\r\n"), Asked::Issuer);
        assert_eq!(asked(b"GET /Makefile HTTP/1.1\r\n\r\n"), Asked::Other);
        assert_eq!(RequestHead::read(b"\x16\x03\x01"), Reading::NotHttp);
        assert_eq!(RequestHead::read(b"GE"), Reading::NeedMore);
        assert_eq!(RequestHead::read(&[b"GET /".as_slice(), &[b'a'; 9000]].concat()), Reading::TooLong);
    }

    fn all_at_every_cut(stream: &[u8]) -> Vec<Reading<Response>> {
        (0..=stream.len())
            .map(|cut| {
                let mut reader = ResponseReader::new();
                reader.push(&stream[..cut]);
                reader.push(&stream[cut..])
            })
            .collect()
    }

    #[test]
    fn a_body_is_read_by_length_and_by_chunks_wherever_the_stream_is_cut() {
        for stream in [
            &b"HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response; x\r\nContent-Length: 5\r\n\r\nhello"[..],
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        ] {
            for reading in all_at_every_cut(stream) {
                let Reading::Done(response) = reading else { panic!("{reading:?}") };
                assert_eq!((response.status, response.body.as_slice(), response.whole), (200, &b"hello"[..], true));
                assert_eq!(response.content_type, "application/ocsp-response");
            }
        }
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        let mut reader = ResponseReader::new();
        assert_eq!(reader.push(b"HTTP/1.0 503 Busy\r\n\r\ntry"), Reading::NeedMore);
        assert_eq!(reader.status(), Some(503));
        let Reading::Done(response) = reader.finish() else { panic!() };
        assert_eq!((response.body.as_slice(), response.whole), (&b"try"[..], true));
    }

    #[test]
    fn a_long_body_is_cut_at_the_bound() {
        let mut reader = ResponseReader::new();
        reader.push(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        let mut last = Reading::NeedMore;
        for _ in 0..1000 {
            last = reader.push(&[7; 1000]);
        }
        let Reading::Done(response) = last else { panic!("{last:?}") };
        assert_eq!((response.body.len(), response.whole), (BODY, false));
    }

    #[test]
    fn a_stream_that_ends_early_is_not_whole() {
        let mut reader = ResponseReader::new();
        reader.push(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
        let Reading::Done(response) = reader.finish() else { panic!() };
        assert!(!response.whole);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 0usize..400) {
            let stream = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(), &bytes].concat();
            let mut reader = ResponseReader::new();
            let cut = cut.min(stream.len());
            reader.push(&stream[..cut]);
            reader.push(&stream[cut..]);
            reader.finish();
            let get = [b"GET /".as_slice(), &bytes, b" HTTP/1.1\r\n\r\n"].concat();
            if let Reading::Done(head) = RequestHead::read(&get) {
                head.asked(&get);
            }
        }
    }
}
