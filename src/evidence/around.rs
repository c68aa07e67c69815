//! What traffic beside an attempt tells about it.

use super::clock::Clocks;
use super::crossing::Crossing;
pub use super::known::{KnownChains, KnownFrom, ShownBefore};
use crate::aside::dns::DnsAnswer;
use crate::aside::dns::hidden::Way;
use crate::base::{Addr, Blank, Endpoint, PacketNo, Seen, Span, Stamp};
use crate::tls::cert::Certificate;
use crate::tls::codes::{CipherSuite, Version};
use crate::tls::crl::Crl;
use crate::tls::ocsp::{CertId, Outcome, Response as OcspResponse};
use std::sync::Arc;

/// What other flows of the same capture tell about one attempt.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// DNS answers this client got before the attempt for the SNI, or for a name to which records of the SNI's services
    /// lead; newest first, at most eight. Where no hello came, for the name under which it was given the server's address
    /// last. Of a lookup that failed: what it was told.
    pub answers: Vec<Seen<DnsAnswer>>,
    /// Answers that other clients got for the SNI, newest first, at most four.
    pub answers_to_others: Vec<Seen<DnsAnswer>>,
    /// Questions of this client for the SNI that got two answers, which contradict each other; newest first, at most two.
    pub rivals: Vec<Rival>,
    /// The client has asked a resolver where no packet shows it; cites that connection.
    pub hidden_dns: Option<Seen<Way>>,
    /// DNS answers in which this client was given the server's address, whatever the name; newest first, at most four.
    pub names_of_server: Vec<Seen<DnsAnswer>>,
    /// A handshake of the same client with the same server name or address that completed within
    /// the sibling window; cites its packets.
    pub sibling: Option<Seen<Endpoint>>,
    /// A handshake of the same client with the same server address under another name that completed within the sibling
    /// window.
    pub other_name: Option<Seen<Endpoint>>,
    /// Of a ClientHello that takes more than one segment: the size of that of [`Self::sibling`], which completed with the
    /// same server under the same name, where it fits one.
    pub smaller_hello: Option<Seen<u32>>,
    /// Other handshakes with this server (address and port, over TCP or over datagrams as this one) that completed, whoever the client and
    /// whatever the SNI, within the capture so far.
    pub server_completes: Option<Seen<()>>,
    /// This server speaks national protocols or suites (TLCP, RFC 8998) in another handshake.
    pub national: Option<National>,
    /// What is known of the key of the encrypted ClientHello.
    pub ech: Option<Ech>,
    /// Of an attempt over datagrams: the same client reached the same service over TCP at about the same time.
    pub over_tcp: Option<Seen<Endpoint>>,
    /// Failures of the same client at the same step with unrelated servers, at most four.
    pub same_failure_elsewhere: Vec<Seen<Endpoint>>,
    /// Failures of the same client with the same server at the same step, with the same offer.
    pub repeats: u32,
    /// This client asks this server for one highest version after another: it probes what the server takes.
    pub probes_versions: bool,
    /// Of a sealed certificate: the likeliest of those known from elsewhere that its sizes fit.
    pub shown_before: Option<ShownBefore>,
    /// Of a sealed certificate: what is known for this server or name, and how much of it fits; `None` where nothing is.
    pub known_chains: Option<Box<KnownChains>>,
    /// Of a client's certificate that is sealed: those which the same client showed in clear, where a record has their size.
    pub client_shown_before: Option<Box<ShownBefore>>,
    /// Other certificates that the same server showed in clear earlier; looked for where a signature is to be explained.
    pub shown_earlier: Option<Seen<Vec<Arc<Certificate>>>>,
    /// Exchanges about revocation by this client that began during the attempt, at most four.
    pub ocsp: Vec<Seen<StatusExchange>>,
    /// A presented certificate that is revoked, as traffic up to the attempt's end says; cites the answer or list.
    pub revoked: Option<Seen<Revoked>>,
    /// The issuer of the last presented certificate, where it is a root that is known.
    pub issuer: Option<Arc<Certificate>>,
    /// An HTTP server (port 80) that this client could not connect to during the attempt; cites the SYN.
    pub unreached: Option<Seen<Endpoint>>,
    /// A SYN/ACK that fits this attempt's SYN but came from another address.
    pub stray_syn_ack: Option<Seen<Endpoint>>,
    /// A SYN/ACK of this server that fits this attempt's SYN went to another client, which reset it.
    pub astray: Option<Seen<Endpoint>>,
    /// How packets of the same server reached the same client in other connections.
    pub path: Option<Seen<Path>>,
    /// The same TCP connection seen under another client address: this attempt's bytes left
    /// untranslated, or under another translation.
    pub other_address: Option<Seen<Endpoint>>,
    /// Of a lookup that failed: the questions that nobody answered.
    pub unanswered: Option<Seen<Unanswered>>,
    /// Of a lookup that failed: the capture ended so soon that its client may have gone on elsewhere.
    pub cut_short: bool,
    /// Of a lookup that failed: what shows that TLS was to follow.
    pub for_tls: Option<Seen<&'static str>>,
    /// What is known of the clocks of client, server and capture.
    pub clocks: Clocks,
    /// The client tries many ports or hosts without a byte: a scan.
    pub scan: bool,
    /// The story of which this failure is a part, or which this success ended.
    pub episode: Option<Episode>,
    /// Further attempts at this server that ended like this one, beside one that passed.
    pub contrast: Option<Contrast>,
    /// What pauses connections on this path survived, where this one did not survive its own.
    pub pauses: Option<Pauses>,
    /// Another chain that the same server showed another client for the same name at about the same time.
    pub shown_to_other: Option<ShownToOther>,
    /// Connections of the same client address with this server whose timestamp clock is ahead of this one's, and which
    /// were set up within the minute; cites the last.
    pub clock_behind: Option<Seen<Span>>,
    /// What became of each packet between two vantage points, where there are two.
    pub crossing: Option<Box<Crossing>>,
}

impl Blank for Around {
    const BLANK: &'static Self = &Self {
        answers: Vec::new(),
        answers_to_others: Vec::new(),
        rivals: Vec::new(),
        hidden_dns: None,
        names_of_server: Vec::new(),
        sibling: None,
        other_name: None,
        smaller_hello: None,
        server_completes: None,
        national: None,
        ech: None,
        over_tcp: None,
        same_failure_elsewhere: Vec::new(),
        repeats: 0,
        probes_versions: false,
        shown_before: None,
        known_chains: None,
        client_shown_before: None,
        shown_earlier: None,
        ocsp: Vec::new(),
        revoked: None,
        issuer: None,
        unreached: None,
        stray_syn_ack: None,
        astray: None,
        path: None,
        other_address: None,
        unanswered: None,
        cut_short: false,
        for_tls: None,
        clocks: Clocks { client: None, server: None, agrees: None, against: Vec::new() },
        scan: false,
        episode: None,
        contrast: None,
        pauses: None,
        shown_to_other: None,
        clock_behind: None,
        crossing: None,
    };
}

/// What other handshakes of a server say of its national cryptography.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct National {
    /// It chose this version and suite, or answered in TLCP's records; cites that.
    pub seen: Seen<(Version, Option<CipherSuite>)>,
    /// It has chosen other suites too.
    pub also_others: bool,
}

/// What other traffic says of the key by which a hello was encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ech {
    /// DNS gave the client this key under this public name, for this name; cites the answer.
    pub told: Option<Seen<Arc<str>>>,
    /// The key by which the client got through to the same server under the same name afterwards; cites that ServerHello.
    pub again: Option<Seen<u8>>,
}

/// Attempts at one server that ended alike, and one that passed although one thing alone was different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contrast {
    /// How many ended alike, this one among them; cites the ends of the others, and when the first of all began.
    pub alike: Seen<u32>,
    /// What passed behind the first of them.
    pub passed: Seen<Passed>,
    /// This client reached the same address on another port meanwhile.
    pub other_port: Option<Seen<u16>>,
}

/// What was different about the connection that passed. That of another client came between two of those that ended
/// alike: whoever listens did not go and come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The same client asked with the same offer for another name, or for none.
    Name(Option<Arc<str>>),
    /// Another client asked.
    Client(Addr),
}

/// Pauses of connections between a client's network and a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// How many met no answer behind their pause, this one among them; cites the others.
    pub failed: Seen<u32>,
    /// The shortest of those pauses.
    pub shortest_failed: Span,
    /// The longest pause that was survived, 0 where connections without one worked meanwhile; cites it.
    pub longest_passed: Option<Seen<Span>>,
}

/// What another client was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownToOther {
    /// Who.
    pub client: Addr,
    /// The certificates, leaf first; they lead to a trusted root.
    pub chain: Seen<Vec<Arc<Certificate>>>,
    /// The server's packets crossed fewer routers on their way to this client than to the other.
    pub nearer: bool,
}

/// Attempts of one client to one service that failed one after the other, and the success that ended them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Episode {
    /// The name of its first attempt.
    pub id: u64,
    /// Place of this attempt in it, from 1. For the success: one more than failed.
    pub attempt: u32,
    /// When its first attempt began.
    pub first: Stamp,
}

/// Two answers to one question, which was sent once. A client takes the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// The one that came first.
    pub first: Seen<DnsAnswer>,
    /// The one that came behind it.
    pub second: Seen<DnsAnswer>,
    /// TTLs (or hop limits) of the packets that carried them.
    pub ttl: (u8, u8),
}

/// Questions for one name, whose resolvers said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The name asked for.
    pub name: String,
    /// How often each kind of address was asked for, A and AAAA.
    pub times: (u32, u32),
    /// Who was asked, at most four.
    pub resolvers: Vec<Addr>,
    /// An ICMP error says that a resolver, or its port, cannot be reached.
    pub unreachable: Option<Seen<Addr>>,
}

/// A way through the network, as one connection showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Least and greatest TTL of the server's packets.
    pub ttl: (u8, u8),
    /// SYN to SYN/ACK.
    pub rtt: Span,
}

/// How a status was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// OCSP by GET (RFC 6960 appendix A.1).
    OcspGet,
    /// OCSP by POST.
    OcspPost,
    /// A download of a revocation list.
    Crl,
}

impl Method {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OcspGet => "ocsp_get",
            Self::OcspPost => "ocsp_post",
            Self::Crl => "crl",
        }
    }
}

/// What is wrong with an exchange about revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusTrouble {
    /// No answer came.
    Unanswered,
    /// The answer is no HTTP.
    NoHttp,
    /// An HTTP status from 400 on.
    HttpError,
    /// The responder says tryLater.
    TryLater,
    /// The responder says unauthorized.
    Unauthorized,
    /// The responder says malformedRequest.
    MalformedRequest,
    /// The responder says that it failed.
    ResponderError,
    /// HTTP that holds neither an answer nor a list.
    NoAnswer,
    /// It took longer than [`StatusExchange::SLOW`].
    Slow,
}

impl StatusTrouble {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::NoHttp => "no_http",
            Self::HttpError => "http_error",
            Self::TryLater => "try_later",
            Self::Unauthorized => "unauthorized",
            Self::MalformedRequest => "malformed_request",
            Self::ResponderError => "responder_error",
            Self::NoAnswer => "no_answer",
            Self::Slow => "slow",
        }
    }
}

/// An exchange about revocation over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusExchange {
    /// Who asked.
    pub client: Endpoint,
    /// The responder, or who publishes the list.
    pub responder: Endpoint,
    /// How.
    pub method: Method,
    /// The Host field.
    pub host: String,
    /// The request target, empty where it is the request itself.
    pub target: String,
    /// Certificates asked about.
    pub asked: Vec<CertId>,
    /// The request's nonce.
    pub nonce: Option<Vec<u8>>,
    /// The responder's time when it began to answer.
    pub clock: Option<Stamp>,
    /// HTTP status; `None` while unanswered, 0 where the answer is no HTTP.
    pub status: Option<u16>,
    /// The answer.
    pub response: Option<OcspResponse>,
    /// The list.
    pub crl: Option<Arc<Crl>>,
    /// The answer was longer than what is kept, or ended early.
    pub cut: bool,
    /// The request's last byte to the answer's first in microseconds; `None` while unanswered.
    pub first_us: Option<i64>,
    /// The request's last byte to the answer's last.
    pub took_us: Option<i64>,
    /// Its first packet.
    pub first: PacketNo,
    /// Its last packet.
    pub last: PacketNo,
    /// The last packet's stamp.
    pub ended: Stamp,
    /// Its number on its connection, from 0.
    pub nth: u32,
}

impl StatusExchange {
    /// An answer that takes longer makes clients give up.
    pub const SLOW: Span = Span::from_secs(2);

    /// What is wrong with the exchange as such, whatever the answer says of certificates.
    pub fn trouble(&self) -> Option<StatusTrouble> {
        Some(match (self.status, &self.response, &self.crl) {
            (None, ..) => StatusTrouble::Unanswered,
            (Some(0), ..) => StatusTrouble::NoHttp,
            (Some(400..), ..) => StatusTrouble::HttpError,
            (_, Some(response), _) if response.outcome != Outcome::Successful => match response.outcome {
                Outcome::TryLater => StatusTrouble::TryLater,
                Outcome::Unauthorized => StatusTrouble::Unauthorized,
                Outcome::MalformedRequest => StatusTrouble::MalformedRequest,
                _ => StatusTrouble::ResponderError,
            },
            // What was cut here may be whole for the client.
            (_, None, None) if self.cut => return None,
            (_, None, None) => StatusTrouble::NoAnswer,
            _ if self.took_us.is_some_and(|took| Span(took) > Self::SLOW) => StatusTrouble::Slow,
            _ => return None,
        })
    }

    /// The answer's nonce is another than the request's (RFC 9654 section 2.1): it was made for somebody else.
    pub fn nonce_differs(&self) -> bool {
        let answered = self.response.as_ref().and_then(|response| response.nonce.as_ref());
        matches!((&self.nonce, answered), (Some(asked), Some(answered)) if asked != answered)
    }

    /// Which of these certificates it is about: one asked for by serial and issuer (name, and key where the issuer's
    /// certificate is among them), or one of the list's issuer.
    pub fn about(&self, chain: &[Arc<Certificate>]) -> Option<usize> {
        let of_issuer = |id: &CertId, cert: &Certificate| {
            let issuer = chain.iter().find(|other| other.subject_der == cert.issuer_der);
            issuer.is_none_or(|issuer| id.is_issued_by(issuer) != Some(false))
        };
        chain.iter().position(|cert| {
            self.asked.iter().any(|id| id.is_of(cert) && of_issuer(id, cert))
                || self.crl.as_ref().is_some_and(|crl| crl.issuer_der == cert.issuer_der)
                || self.method == Method::Crl
                    && self.crl.is_none()
                    && cert.crl_urls.iter().any(|url| url.ends_with(&self.target) && url.contains(&self.host))
        })
    }
}

/// A presented certificate that an answer or a list seen in the capture says is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Which certificate, 0 = leaf.
    pub certificate: usize,
    /// What a person calls it.
    pub called: String,
    /// `a CRL` or `an OCSP answer`.
    pub by: &'static str,
    /// When it was revoked.
    pub at: Stamp,
    /// CRLReason (RFC 5280 section 5.3.1).
    pub reason: Option<u32>,
    /// The issuer's signature over it was verified.
    pub verified: bool,
}
