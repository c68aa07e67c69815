//! A small HTTP/1.1 server for those who watch the program: Prometheus, an orchestrator, a person with curl.
//!
//! It shares the machine with a capture that must not suffer, so it takes one thread whatever its clients do: every
//! connection has a deadline, requests and their number have bounds, and when all places are taken the connection that has
//! waited longest for its own client leaves. Requests are answered one a connection.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::base::Span;

/// Connections at once. Prometheus, a probe and a person need three.
const CONNECTIONS: usize = 32;
/// Bytes of a request that are read. Prometheus' have about 300.
const REQUEST: usize = 8 << 10;
/// From accepting a connection to its last byte. Scrapers give up after ten seconds by default.
const PATIENCE: Span = Span::from_secs(5);
/// Bytes read and thrown away after an answer, so that closing does not take the answer back (RFC 9112 section 9.6).
const LINGER: usize = 64 << 10;
/// The longest wait for anything; the end of the program is noticed within.
const ROUND_MS: i64 = 200;

/// A listening server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

/// It cannot listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenError {
    /// As asked for.
    pub address: String,
    /// Why not, and what to do.
    pub why: String,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.why)
    }
}

impl std::error::Error for ListenError {}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The metrics.
    Metrics,
    /// Whether the program works.
    Health,
    /// Whether it sees packets.
    Ready,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A line of text.
    pub fn text(status: u16, line: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: format!("{line}\n") }
    }
}

impl Server {
    /// Listens on `ADDRESS:PORT`; a port alone means 127.0.0.1.
    ///
    /// # Errors
    /// It is no address, or it cannot be listened on.
    pub fn bind(asked: &str) -> Result<Self, ListenError> {
        let error = |why: String| ListenError { address: asked.to_owned(), why };
        let addresses: Vec<SocketAddr> = match asked.parse::<u16>() {
            Ok(port) => vec![(Ipv4Addr::LOCALHOST, port).into()],
            Err(_) => asked
                .to_socket_addrs()
                .map_err(|why| {
                    error(format!(
                        "{why} (give ADDRESS:PORT, or a port alone for 127.0.0.1; IPv6 in brackets)"
                    ))
                })?
                .collect(),
        };
        let listener = TcpListener::bind(&*addresses).map_err(|why| {
            error(match why.kind() {
                ErrorKind::AddrInUse => {
                    "address in use (another program listens there, or another tlswhy; choose another port)"
                        .into()
                }
                ErrorKind::PermissionDenied => {
                    "permission denied (ports below 1024 need root; choose another)".into()
                }
                ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
                _ => why.to_string(),
            })
        })?;
        let address = listener.local_addr().map_err(|why| error(why.to_string()))?;
        listener.set_nonblocking(true).map_err(|why| error(why.to_string()))?;
        Ok(Self { listener, address })
    }

    /// Where it listens; the port is known even where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` says so. `clock` gives the time since any fixed moment.
    pub fn serve(
        &self,
        clock: fn() -> Span,
        stop: impl Fn() -> bool,
        mut answer: impl FnMut(Asked) -> Answer,
    ) {
        let mut clients: VecDeque<Client> = VecDeque::with_capacity(CONNECTIONS);
        while !stop() {
            let ready = self.wait(&clients);
            let now = clock();
            let mut events = ready.into_iter();
            let newcomers = events.next().is_some_and(|flags| !flags.is_empty());
            for (client, flags) in clients.iter_mut().zip(events) {
                if !flags.is_empty() {
                    client.step(&mut answer);
                }
            }
            clients.retain(|client| !client.over && now.0 - client.since.0 < PATIENCE.0);
            if newcomers {
                self.accept(&mut clients, now);
            }
        }
    }

    /// What there is to do: for the listener first, then for each client.
    fn wait(&self, clients: &VecDeque<Client>) -> Vec<PollFlags> {
        let mut fds = Vec::with_capacity(1 + clients.len());
        fds.push(PollFd::new(&self.listener, PollFlags::IN));
        fds.extend(clients.iter().map(|client| {
            let wanted = if client.answering() { PollFlags::OUT } else { PollFlags::IN };
            PollFd::new(&client.stream, wanted)
        }));
        let timeout = Timespec { tv_sec: 0, tv_nsec: ROUND_MS * 1_000_000 };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => fds.iter().map(PollFd::revents).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Takes one who waits; in a full house who has been there longest makes room.
    fn accept(&self, clients: &mut VecDeque<Client>, now: Span) {
        let Ok((stream, _)) = self.listener.accept() else {
            // Out of descriptors, or already gone: without a pause the next rounds would do nothing else.
            return std::thread::sleep(Duration::from_millis(5));
        };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        if clients.len() >= CONNECTIONS {
            clients.pop_front();
        }
        clients.push_back(Client::new(stream, now));
    }
}

/// One connection.
#[derive(Debug)]
struct Client {
    stream: TcpStream,
    since: Span,
    request: Vec<u8>,
    answer: Vec<u8>,
    sent: usize,
    lingered: usize,
    over: bool,
}

impl Client {
    fn new(stream: TcpStream, since: Span) -> Self {
        Self { stream, since, request: Vec::new(), answer: Vec::new(), sent: 0, lingered: 0, over: false }
    }

    fn answering(&self) -> bool {
        self.sent < self.answer.len()
    }

    /// Does what can be done without waiting.
    fn step(&mut self, answer: &mut impl FnMut(Asked) -> Answer) {
        let done = if self.answering() {
            self.send()
        } else if self.answer.is_empty() {
            self.receive(answer)
        } else {
            self.linger()
        };
        match done {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.over = true,
        }
    }

    fn receive(&mut self, answer: &mut impl FnMut(Asked) -> Answer) -> io::Result<()> {
        let mut piece = [0; 2_048];
        let len = self.stream.read(&mut piece)?;
        if len == 0 {
            self.over = true;
            return Ok(());
        }
        self.request.extend_from_slice(piece.get(..len).unwrap_or_default());
        let whole = self.request.windows(4).any(|end| end == b"\r\n\r\n")
            || self.request.windows(2).any(|end| end == b"\n\n");
        if !whole && self.request.len() < REQUEST {
            return Ok(());
        }
        let reply =
            if whole { understand(&self.request) } else { Err(Answer::text(431, "the request is too long")) };
        let (reply, head_only) = match reply {
            Ok((asked, head_only)) => (answer(asked), head_only),
            Err(refusal) => (refusal, false),
        };
        self.answer = render(&reply, head_only);
        self.request = Vec::new();
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        self.sent += self.stream.write(self.answer.get(self.sent..).unwrap_or_default())?;
        if !self.answering() {
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// Waits for the client to close.
    fn linger(&mut self) -> io::Result<()> {
        let mut piece = [0; 2_048];
        let len = self.stream.read(&mut piece)?;
        self.lingered += len;
        self.over = len == 0 || self.lingered > LINGER;
        Ok(())
    }
}

/// What a request asks for, and whether for the head alone; else the refusal.
fn understand(request: &[u8]) -> Result<(Asked, bool), Answer> {
    let bad = || Answer::text(400, "this is no HTTP request");
    let line = request.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| bad())?;
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad());
    };
    if !version.starts_with("HTTP/1.") {
        return Err(bad());
    }
    if !["GET", "HEAD"].contains(&method) {
        return Err(Answer::text(405, "only GET and HEAD are answered here"));
    }
    let path = target.split('?').next().unwrap_or_default();
    let asked = match path {
        "/metrics" => Asked::Metrics,
        "/healthz" => Asked::Health,
        "/readyz" => Asked::Ready,
        _ => return Err(Answer::text(404, "there are /metrics, /healthz and /readyz")),
    };
    Ok((asked, method == "HEAD"))
}

fn render(answer: &Answer, head_only: bool) -> Vec<u8> {
    let reason = match answer.status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let allow = if answer.status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let mut bytes = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\n\
         Connection: close\r\n\r\n",
        answer.status,
        answer.content_type,
        answer.body.len()
    )
    .into_bytes();
    if !head_only {
        bytes.extend_from_slice(answer.body.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

    /// The server's clock, which only the tests of patience move.
    static CLOCK: AtomicI64 = AtomicI64::new(0);

    struct Running {
        address: SocketAddr,
        stop: Arc<AtomicBool>,
        thread: Option<std::thread::JoinHandle<()>>,
    }

    impl Running {
        fn new(clock: fn() -> Span) -> Self {
            let server = Server::bind("0").unwrap();
            let (address, stop) = (server.address(), Arc::new(AtomicBool::new(false)));
            let told = Arc::clone(&stop);
            let thread = std::thread::spawn(move || {
                server.serve(
                    clock,
                    || told.load(Ordering::SeqCst),
                    |asked| match asked {
                        Asked::Metrics => Answer::text(200, &"m".repeat(300_000)),
                        Asked::Health => Answer::text(200, "ok"),
                        Asked::Ready => Answer::text(503, "no interface is up"),
                    },
                );
            });
            Self { address, stop, thread: Some(thread) }
        }

        fn connect(&self) -> TcpStream {
            let stream = TcpStream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream
        }

        fn says(&self, request: &[u8]) -> String {
            let mut stream = self.connect();
            stream.write_all(request).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.stop.store(true, Ordering::SeqCst);
            self.thread.take().unwrap().join().unwrap();
        }
    }

    fn still() -> Span {
        Span(0)
    }

    #[test]
    fn pages_are_answered_with_their_status_and_length() {
        let server = Running::new(still);
        let cases: [(&[u8], &str, &str); 8] = [
            (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n"),
            (b"GET /healthz?x=1 HTTP/1.0\n\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n"),
            (b"HEAD /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", "Content-Length: 3\r\n"),
            (b"GET /readyz HTTP/1.1\r\n\r\n", "HTTP/1.1 503 Service Unavailable\r\n", "no interface is up"),
            (b"GET /etc/passwd HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found\r\n", "/metrics"),
            (
                b"POST /metrics HTTP/1.1\r\n\r\n",
                "HTTP/1.1 405 Method Not Allowed\r\n",
                "Allow: GET, HEAD\r\n",
            ),
            (b"\x16\x03\x01\x02\x00\n\n", "HTTP/1.1 400 Bad Request\r\n", "no HTTP"),
            (b"PRI * HTTP/2.0\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "no HTTP"),
        ];
        for (request, begins, holds) in cases {
            let text = server.says(request);
            assert!(text.starts_with(begins) && text.contains(holds), "{request:?}: {text}");
        }
        assert!(!server.says(b"HEAD /healthz HTTP/1.1\r\n\r\n").ends_with("ok\n"));
        let metrics = server.says(b"GET /metrics HTTP/1.1\r\n\r\n");
        assert!(metrics.ends_with(&format!("\r\n\r\n{}\n", "m".repeat(300_000))), "{}", metrics.len());
    }

    #[test]
    fn a_request_without_end_is_refused_and_the_refusal_arrives() {
        let server = Running::new(still);
        let mut stream = server.connect();
        let endless = [&b"GET /metrics HTTP/1.1\r\nX: "[..], &[b'a'; 60_000]].concat();
        stream.write_all(&endless).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
    }

    #[test]
    fn a_crowd_that_says_nothing_does_not_keep_others_out() {
        let server = Running::new(still);
        let crowd: Vec<_> = (0..CONNECTIONS * 3).map(|_| server.connect()).collect();
        let text = server.says(b"GET /healthz HTTP/1.1\r\n\r\n");
        assert!(text.ends_with("ok\n"), "{text}");
        drop(crowd);
    }

    #[test]
    fn who_is_slow_is_left_when_patience_ends() {
        let server = Running::new(|| Span(CLOCK.load(Ordering::SeqCst)));
        let mut stream = server.connect();
        stream.write_all(b"GET /metr").unwrap();
        // The answer to another shows that this one has been taken.
        assert!(server.says(b"GET /healthz HTTP/1.1\r\n\r\n").ends_with("ok\n"));
        CLOCK.store(PATIENCE.0 + 1, Ordering::SeqCst);
        let left = stream.read(&mut [0; 10]);
        assert!(matches!(left, Ok(0) | Err(_)), "{left:?}");
        assert!(left.as_ref().err().is_none_or(|error| error.kind() != ErrorKind::WouldBlock), "{left:?}");
    }

    #[test]
    fn an_address_that_is_taken_or_none_is_told_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let said = Server::bind(&port.to_string()).unwrap_err().to_string();
        assert!(said.starts_with(&format!("cannot listen on {port}: address in use")), "{said}");
        let said = Server::bind("here").unwrap_err().to_string();
        assert!(said.contains("give ADDRESS:PORT"), "{said}");
        assert!(Server::bind("0").unwrap().address().ip().is_loopback());
    }
}
