//! What traffic beside an attempt tells about it.

use crate::aside::dns::DnsAnswer;
use crate::base::{Blank, Endpoint, Seen, Span};
use crate::tls::cert::Certificate;
use crate::tls::ocsp::Response as OcspResponse;
use crate::tls::sealed::SealedRecord;
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
    /// OCSP exchanges by this client that overlap the attempt, at most four.
    pub ocsp: Vec<Seen<OcspExchange>>,
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
        ocsp: Vec::new(),
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

/// An OCSP exchange over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct OcspExchange {
    /// The responder.
    pub responder: Endpoint,
    /// Serial numbers asked about, upper-case hexadecimal.
    pub serials: Vec<String>,
    /// HTTP status; `None` while unanswered.
    pub status: Option<u16>,
    /// The answer.
    pub response: Option<OcspResponse>,
    /// Request to answer in microseconds; `None` while unanswered.
    pub took_us: Option<i64>,
}
