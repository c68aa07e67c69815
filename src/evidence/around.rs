//! What traffic beside an attempt tells about it.

use crate::aside::dns::DnsAnswer;
use crate::base::{Addr, Blank, Endpoint, Seen, Span, Stamp};
use crate::tls::cert::Certificate;
use crate::tls::crl::{Crl, Revoked};
use crate::tls::ocsp::{CertId, Response as OcspResponse};
use crate::tls::sealed::SealedRecord;
use crate::tls::signature::Verdict;
use std::sync::Arc;

/// What other flows of the same capture tell about one attempt.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// DNS answers this client got for the SNI before the attempt, newest first, at most four.
    pub answers: Vec<Seen<DnsAnswer>>,
    /// Answers that other clients got for the SNI, newest first, at most four.
    pub answers_to_others: Vec<Seen<DnsAnswer>>,
    /// DNS answers in which this client was given the server's address, whatever the name; newest first, at most four.
    pub names_of_server: Vec<Seen<DnsAnswer>>,
    /// A handshake of the same client with the same server name or address that completed within
    /// the sibling window; cites its packets.
    pub sibling: Option<Seen<Endpoint>>,
    /// Other handshakes with this server (address and port) that completed, whoever the client and
    /// whatever the SNI, within the capture so far.
    pub server_completes: Option<Seen<()>>,
    /// Failures of the same client at the same step with unrelated servers, at most four.
    pub same_failure_elsewhere: Vec<Seen<Endpoint>>,
    /// Failures of the same client with the same server at the same step, with the same offer.
    pub repeats: u32,
    /// This client asks this server for one highest version after another: it probes what the server takes.
    pub probes_versions: bool,
    /// Of a sealed certificate: those that the same server showed in clear for the same SNI in an earlier handshake, where
    /// a sealed record has just their size.
    pub shown_before: Option<ShownBefore>,
    /// Other certificates that the same server showed in clear earlier; looked for where a signature is to be explained.
    pub shown_earlier: Option<Seen<Vec<Arc<Certificate>>>>,
    /// Requests for revocation status by this client that overlap the attempt, at most four.
    pub status: Vec<Seen<StatusExchange>>,
    /// The list fetched by this client shortly before the attempt or within it that was out of date by then.
    pub stale_list: Option<Seen<Stamp>>,
    /// The first certificate of the chain that a list seen up to the attempt's end names.
    pub listed: Option<Seen<Listed>>,
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
    /// Of a lookup that failed: what shows that TLS was to follow.
    pub for_tls: Option<Seen<&'static str>>,
    /// The client tries many ports or hosts without a byte: a scan.
    pub scan: bool,
}

impl Blank for Around {
    const BLANK: &'static Self = &Self {
        answers: Vec::new(),
        answers_to_others: Vec::new(),
        names_of_server: Vec::new(),
        sibling: None,
        server_completes: None,
        same_failure_elsewhere: Vec::new(),
        repeats: 0,
        probes_versions: false,
        shown_before: None,
        shown_earlier: None,
        status: Vec::new(),
        stale_list: None,
        listed: None,
        unreached: None,
        stray_syn_ack: None,
        astray: None,
        path: None,
        other_address: None,
        for_tls: None,
        scan: false,
    };
}

/// A way through the network, as one connection showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Least and greatest TTL of the server's packets.
    pub ttl: (u8, u8),
    /// SYN to SYN/ACK.
    pub rtt: Span,
}

/// Certificates known from an earlier handshake, or given beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownBefore {
    /// Leaf first, as shown then.
    pub chain: Seen<Vec<Arc<Certificate>>>,
    /// The sealed record of this handshake that has their size.
    pub record: SealedRecord,
    /// They were given beforehand for this name, not shown in the traffic.
    pub given: bool,
}

/// How a status was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// OCSP by GET (RFC 6960 appendix A.1).
    OcspGet,
    /// OCSP by POST.
    OcspPost,
    /// A list was fetched (RFC 5280 section 4.2.1.13).
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

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing.
    None,
    /// More than is kept.
    Cut,
    /// Neither a status nor a list.
    Other,
    /// A status.
    Ocsp(Box<OcspResponse>),
    /// A list.
    Crl(Arc<Crl>),
}

/// A request for revocation status over HTTP, and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusExchange {
    /// Who asked.
    pub client: Endpoint,
    /// Who was asked.
    pub responder: Endpoint,
    /// How.
    pub method: Method,
    /// For what, 512 characters at most.
    pub url: String,
    /// Certificates asked about; empty for a list.
    pub ids: Vec<CertId>,
    /// The request's nonce.
    pub nonce: Option<Vec<u8>>,
    /// HTTP status; `None` while unanswered.
    pub status: Option<u16>,
    /// The answer.
    pub answer: Answer,
    /// Request to the answer's first byte in microseconds; `None` while unanswered.
    pub first_byte_us: Option<i64>,
    /// Request to the whole answer in microseconds; `None` while unanswered.
    pub took_us: Option<i64>,
    /// When the answer was whole; where it never was, when it was asked for.
    pub ended: Stamp,
    /// Whether the issuer of the certificate asked about signed the answer, or somebody entitled; `None` where the issuer is
    /// not known.
    pub signed: Option<Verdict>,
}

impl StatusExchange {
    /// The status told.
    pub fn response(&self) -> Option<&OcspResponse> {
        match &self.answer {
            Answer::Ocsp(response) => Some(response),
            _ => None,
        }
    }

    /// The list told.
    pub fn crl(&self) -> Option<&Arc<Crl>> {
        match &self.answer {
            Answer::Crl(crl) => Some(crl),
            _ => None,
        }
    }

    /// The answer's nonce against the request's (RFC 9654): `None` where not both have one.
    pub fn same_nonce(&self) -> Option<bool> {
        Some(self.nonce.as_ref()? == self.response()?.nonce.as_ref()?)
    }
}

/// A certificate that a list names, and the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its place in the chain, leaf 0.
    pub place: usize,
    /// What the list says.
    pub revoked: Revoked,
    /// Whether the list's signature was verified.
    pub verified: bool,
    /// Who fetched the list last.
    pub fetched_by: Addr,
}
