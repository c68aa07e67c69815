//! Floor 3: one attempt to set up TLS, followed from its first packet to its end.
//!
//! * While it runs: [`opening`] keeps a connection that has carried no byte; [`attempt`] drives the TLS reader with two
//!   reassembled streams, [`talk`] reads datagrams; [`upgrade`] follows what comes in clear before TLS. What keys opened is in
//!   [`decryption`].
//! * At its end: [`outcome`] reads from the facts how it ended, [`rejection`] whether a quiet end was a rejection, [`tamper`]
//!   names what a reset looks like.
//! * Beside it: [`around`] holds what other traffic tells of it, among that [`clock`]s, certificates [`known`] from elsewhere
//!   and [`exchange`]s about revocation; [`crossing`] what became of its packets between two vantage points; [`signatures`]
//!   whether what was signed verifies.
//!
//! All of it is written to one [`Evidence`], each fact with its packets: by the attempt while it runs, then by the join. The
//! causes only read it.

pub mod around;
pub mod attempt;
pub mod clock;
pub mod crossing;
pub mod decryption;
pub mod exchange;
#[cfg(test)]
pub mod fixture;
pub mod known;
pub mod opening;
pub mod outcome;
mod pause;
mod prelude;
pub mod rejection;
mod sealing;
pub mod signatures;
pub mod talk;
pub mod tamper;
mod tcp;
pub mod upgrade;

use crate::base::{Endpoint, Lost, PacketNo, Packets, Rare, Seen, Side, Span, Stamp};
use crate::decode::IcmpError;
use crate::tls::cert::Certificate;
use crate::tls::chain::Defects;
use crate::tls::codes::{AlertLevel, ExtensionType, HandshakeType, Version};
use crate::tls::hello::{ClientHello, ServerHello};
use crate::tls::message::{Alert, CertificateRequest, CertificateVerify, ServerKeyExchange};
use crate::tls::ocsp::Response as OcspResponse;
use crate::tls::signature::Verdict;
use crate::tls::stack::Stack;
use std::sync::Arc;

pub use around::Around;
pub use decryption::Decryption;
pub use pause::{Challenge, Pause};
pub use sealing::Sealing;
pub use talk::dtls::DtlsFacts;
pub use talk::quic::QuicFacts;
pub use tcp::{Doubt, Head, Reset, TcpFacts, Trouble};
pub use upgrade::{Protocol, Proxied, Upgrade};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Both sides finished.
    Completed,
    /// Completed from a session or PSK.
    Resumed,
    /// Ended before it completed, or was rejected right after, and somebody wanted it to succeed.
    Failed,
    /// The client walked away with no fault on the wire.
    Abandoned,
    /// The capture does not show enough.
    Incomplete,
    /// A TLS port that speaks something else, and nobody tried TLS.
    NotTls,
}

impl Outcome {
    /// Every outcome, in the order of the summary.
    pub const ALL: [Self; 6] =
        [Self::Completed, Self::Resumed, Self::Failed, Self::Abandoned, Self::Incomplete, Self::NotTls];

    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Resumed => "resumed",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
            Self::Incomplete => "incomplete",
            Self::NotTls => "not_tls",
        }
    }
}

/// What carried an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TLS, or TLCP, in a stream of TCP.
    #[default]
    Tcp,
    /// QUIC.
    Quic,
    /// DTLS.
    Dtls,
}

impl Transport {
    /// Number of the IP protocol beneath.
    pub const fn ip_protocol(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Quic | Self::Dtls => 17,
        }
    }
}

/// How far an attempt got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// A lookup that failed; no packet of its own.
    Dns,
    /// TCP only.
    #[default]
    Tcp,
    /// The ClientHello was sent.
    ClientHello,
    /// The ServerHello came.
    ServerHello,
    /// A certificate came (in clear, or sealed records where it has to be).
    Certificate,
    /// The client sent its key exchange, or its part of TLS 1.3.
    KeyExchange,
    /// A Finished was sent.
    Finished,
    /// Application data flowed.
    Application,
}

impl Stage {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::ClientHello => "client_hello",
            Self::ServerHello => "server_hello",
            Self::Certificate => "certificate",
            Self::KeyExchange => "key_exchange",
            Self::Finished => "finished",
            Self::Application => "application",
        }
    }
}

/// The certificates a side presented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Chain {
    /// In clear; may be empty (a client that has none).
    Clear(Seen<Vec<Arc<Certificate>>>),
    /// Behind TLS 1.3's encryption; the packets of the sealed flight.
    Sealed(Packets),
    /// The message began but the capture lacks its end.
    Cut(Packets),
    /// Never sent.
    #[default]
    Unsent,
}

impl Chain {
    /// The certificates in clear, leaf first, with their packets.
    pub fn clear(&self) -> Option<&Seen<Vec<Arc<Certificate>>>> {
        match self {
            Self::Clear(chain) => Some(chain),
            _ => None,
        }
    }
}

/// How an attempt was ended, as the wire shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A fatal alert in clear (or a warning that was the last word).
    Alert {
        /// Who sent it.
        from: Side,
        /// What it says.
        alert: Alert,
    },
    /// A sealed record of an alert's size, then the close.
    SealedAlert {
        /// Who sent it.
        from: Side,
        /// Its length in bytes.
        len: u16,
    },
    /// A CONNECTION_CLOSE of QUIC that stands for no alert.
    ConnectionClose {
        /// Who sent it.
        from: Side,
        /// Its error code (RFC 9000 section 20).
        code: u64,
    },
    /// A RST.
    Reset {
        /// Whose address it bears.
        from: Side,
    },
    /// A FIN without an alert.
    Fin {
        /// Who closed first.
        from: Side,
    },
    /// Nothing more came while the capture went on.
    Silence {
        /// How long the capture showed nothing.
        lasted: Span,
    },
    /// The capture ended first.
    CaptureEnded,
    /// It went on to carry application data.
    WentOn,
    /// The name had no address: nothing was sent.
    NoAddress,
    /// The client sent TLS, the peer answered something else; its first bytes, printable.
    PlainText {
        /// Up to 40 characters.
        said: String,
    },
    /// The client asked for TLS in clear, the server said no in clear.
    Refused {
        /// Up to 80 characters of it.
        said: String,
    },
}

/// An alert in clear, or opened, and who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertFrom {
    /// The sender.
    pub from: Side,
    /// What it says.
    pub alert: Alert,
    /// It was sealed, and keys opened it.
    pub sealed: bool,
}

/// The facts of one attempt to set up TLS.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Who sent the SYN or the ClientHello.
    pub client: Endpoint,
    /// The other end.
    pub server: Endpoint,
    /// First packet.
    pub first: PacketNo,
    /// Last packet.
    pub last: PacketNo,
    /// Stamp of the first packet.
    pub started: Stamp,
    /// Stamp of the last packet.
    pub ended: Stamp,
    /// What carried it.
    pub transport: Transport,
    /// What QUIC shows beside TLS; `None` over anything else.
    pub quic: Option<Box<QuicFacts>>,
    /// What DTLS shows beside TLS; `None` over anything else.
    pub dtls: Option<Box<DtlsFacts>>,
    /// The protocol that was upgraded in clear before TLS (`smtp`, `imap`, …), or the proxy
    /// prelude (`http_connect`, `socks`); `None` where TLS came first.
    pub prelude: Option<Protocol>,
    /// Where the client had a proxy lead it.
    pub proxied: Option<Box<Seen<Proxied>>>,
    /// The client's request for TLS in clear, and the answer.
    pub upgrade: Option<Box<Upgrade>>,
    /// How it ended.
    pub outcome: Outcome,
    /// How far it got.
    pub stage: Stage,
    /// What ended it.
    pub ending: Seen<Ending>,
    /// TCP's side. Of datagrams: packets, bytes, TTLs, link addresses and ICMP errors, and nothing else.
    pub tcp: TcpFacts,
    /// The ClientHello (the last, where a HelloRetryRequest asked for another).
    pub hello: Option<Box<Seen<ClientHello>>>,
    /// The HelloRetryRequest.
    pub retry: Option<Box<Seen<ServerHello>>>,
    /// The ServerHello.
    pub server_hello: Option<Box<Seen<ServerHello>>>,
    /// The server's certificates.
    pub chain: Chain,
    /// The stapled OCSP answer (TLS 1.2).
    pub staple: Option<Box<Seen<OcspResponse>>>,
    /// Answers stapled beside it for the certificates above the leaf, with their places (RFC 6961).
    pub further_staples: Vec<(u8, OcspResponse)>,
    /// ServerKeyExchange.
    pub key_exchange: Option<Box<Seen<ServerKeyExchange>>>,
    /// Whether its signature verifies by the leaf's key; `None` where there was none to check.
    pub key_exchange_verdict: Option<Verdict>,
    /// CertificateRequest.
    pub certificate_request: Option<Box<Seen<CertificateRequest>>>,
    /// ServerHelloDone.
    pub server_hello_done: Option<Seen<()>>,
    /// The client's certificates.
    pub client_chain: Chain,
    /// ClientKeyExchange.
    pub client_key_exchange: Option<Seen<()>>,
    /// CertificateVerify by the client in clear (TLS 1.2 and older).
    pub certificate_verify: Option<Box<Seen<CertificateVerify>>>,
    /// Whether it verifies by the key of the client's certificate; `None` where there was none to check.
    pub certificate_verify_verdict: Option<Verdict>,
    /// Alerts in clear, or opened, in order, first eight.
    pub alerts: Vec<Seen<AlertFrom>>,
    /// The version in the header of the server's last record.
    pub server_record: Option<Version>,
    /// What the sealed part shows.
    pub sealing: Rare<Sealing>,
    /// What keys opened of it.
    pub decryption: Rare<Decryption>,
    /// A message that never became whole: its sender, type, bytes had and bytes wanted.
    pub unfinished: Option<(Side, HandshakeType, usize, usize)>,
    /// Everything wrong with the server's chain, judged at capture time.
    pub defects: Defects,
    /// Everything wrong with the client's chain, judged at capture time.
    pub client_defects: Defects,
    /// What other traffic tells.
    pub around: Rare<Around>,
    /// What was lost of this attempt.
    pub lost: Rare<Lost>,
}

impl Evidence {
    /// Alerts kept.
    const ALERTS: usize = 8;

    /// Nothing but who, and where it begins.
    pub fn new(client: Endpoint, server: Endpoint, no: PacketNo, now: Stamp) -> Self {
        Self {
            client,
            server,
            first: no,
            last: no,
            started: now,
            ended: now,
            transport: Transport::Tcp,
            quic: None,
            dtls: None,
            prelude: None,
            proxied: None,
            upgrade: None,
            outcome: Outcome::Incomplete,
            stage: Stage::Tcp,
            ending: Seen::new(Ending::CaptureEnded, no, now),
            tcp: TcpFacts::default(),
            hello: None,
            retry: None,
            server_hello: None,
            chain: Chain::Unsent,
            staple: None,
            further_staples: Vec::new(),
            key_exchange: None,
            key_exchange_verdict: None,
            certificate_request: None,
            server_hello_done: None,
            client_chain: Chain::Unsent,
            client_key_exchange: None,
            certificate_verify: None,
            certificate_verify_verdict: None,
            alerts: Vec::new(),
            server_record: None,
            sealing: Rare::default(),
            decryption: Rare::default(),
            unfinished: None,
            defects: Defects::default(),
            client_defects: Defects::default(),
            around: Rare::default(),
            lost: Rare::default(),
        }
    }

    /// Takes an alert. Whether it is fatal.
    fn alert(&mut self, said: AlertFrom, seen: Seen<()>) -> bool {
        if self.alerts.len() < Self::ALERTS {
            self.alerts.push(seen.map(|()| said));
        }
        said.alert.level == AlertLevel::FATAL
    }

    /// Takes an ICMP error that quotes a packet of this attempt.
    pub fn icmp(&mut self, error: IcmpError, no: PacketNo, now: Stamp) {
        self.last = self.last.max(no);
        self.ended = self.ended.max(now);
        if self.tcp.icmp.len() < Trouble::ICMP {
            self.tcp.icmp.push(Seen::new(error, no, now));
        }
    }

    /// The server's certificates: in clear, or known from an earlier handshake.
    pub fn known_chain(&self) -> Option<&Seen<Vec<Arc<Certificate>>>> {
        self.chain.clear().or_else(|| self.around.shown_before.as_ref().map(|before| &before.chain))
    }

    /// The negotiated version, or what the client offered best.
    pub fn version(&self) -> Option<Version> {
        self.server_hello.as_ref().map(|hello| hello.value.version)
    }

    /// The client's TLS stack, where its hello tells.
    pub fn stack(&self) -> Option<Stack> {
        self.hello.as_ref().and_then(|hello| Stack::of(&hello.value))
    }

    /// The host name asked for.
    pub fn sni(&self) -> Option<&str> {
        self.hello.as_ref().and_then(|hello| hello.value.sni.as_deref())
    }

    /// The name asked for may not be the one in clear: the client offered an encrypted ClientHello, whose own name is
    /// sealed, and nothing shows that the server did not take it. Before TLS 1.3 it cannot, and a HelloRetryRequest
    /// without the extension says that it does not (RFC 9849 sections 6.1.4 and 6.1.6). GREASE looks the same on
    /// purpose (section 6.2).
    pub fn may_hide_name(&self) -> bool {
        let offered = self.hello.as_ref().is_some_and(|hello| hello.value.ech);
        offered && !self.ech_is_refused()
    }

    /// The server shows that it did not take the encrypted ClientHello, in clear.
    pub fn ech_is_refused(&self) -> bool {
        let older = self.version().is_some_and(|version| !version.is_tls13());
        let asked_without = self
            .retry
            .as_ref()
            .is_some_and(|retry| !retry.value.extensions.contains(&ExtensionType::ENCRYPTED_CLIENT_HELLO));
        older || asked_without
    }

    /// The encrypted ClientHello is no GREASE: the client was told of its key, or its stack brings none without a key (Go).
    pub fn ech_is_genuine(&self) -> bool {
        let told = self.around.ech.as_ref().is_some_and(|ech| ech.told.is_some());
        self.hello.as_ref().is_some_and(|hello| hello.value.ech) && (told || self.stack() == Some(Stack::Go))
    }

    /// The reset of the SYN, where other connections show that it came from nearer than the server is: with a TTL that
    /// the server's packets do not have, and well before its round trip.
    pub fn refused_by_another(&self) -> Option<&Seen<Reset>> {
        let (syn, path) = (self.tcp.syn.as_ref()?, self.around.path.as_ref()?);
        if self.tcp.syn_ack.is_some() {
            return None;
        }
        let reset = self.tcp.resets.iter().find(|reset| reset.value.from == Side::Server)?;
        let took = reset.when - self.tcp.last_syn.unwrap_or(syn.when);
        let (least, most) = path.value.ttl;
        let rtt = path.value.rtt;
        (!(least..=most).contains(&reset.value.ttl) && rtt > Span::from_millis(1) && took.0 * 4 < rtt.0)
            .then_some(reset)
    }

    /// The fatal alert in clear that ended it, with who sent it.
    pub fn fatal_alert(&self) -> Option<(Side, Alert, &Packets)> {
        match &self.ending.value {
            Ending::Alert { from, alert } => Some((*from, *alert, &self.ending.at)),
            _ => None,
        }
    }
}
