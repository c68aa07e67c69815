//! Floor 3: one attempt to set up TLS, followed from its first packet to its end.
//!
//! [`opening`] keeps a connection that has carried no byte; [`attempt`] drives the TLS reader with two reassembled streams and keeps every fact with its
//! packets; [`outcome`] reads from the facts how the attempt ended, [`rejection`] whether a quiet end was a
//! rejection; [`crossing`] tells what became of packets between two vantage points; [`Evidence`] is the closed, immutable result that the causes judge.

pub mod around;
pub mod attempt;
pub mod clock;
pub mod crossing;
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
pub mod tamper;
pub mod upgrade;

use crate::base::{Blank, Endpoint, Lost, PacketNo, Packets, PerSide, Rare, Seen, Side, Span, Stamp};
use crate::decode::IcmpError;
use crate::tls::cert::Certificate;
use crate::tls::chain::Defect;
use crate::tls::codes::{ExtensionType, HandshakeType, Version};
use crate::tls::hello::{ClientHello, ServerHello};
use crate::tls::message::{Alert, CertificateRequest, CertificateVerify, ServerKeyExchange};
use crate::tls::ocsp::Response as OcspResponse;
use crate::tls::signature::Verdict;
use crate::tls::stack::Stack;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

pub use around::Around;
pub use pause::{Challenge, Pause};
pub use sealing::Sealing;
pub use upgrade::Upgrade;

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

/// TCP's side of the story.
///
/// What went wrong on the way is read like its other fields; of most connections there is nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpFacts {
    /// The SYNs of this attempt, with the first one's stamp; `value` is the initial sequence number.
    pub syn: Option<Seen<u32>>,
    /// Sequence number of the client's first byte.
    pub first_seq: Option<u32>,
    /// How many SYNs.
    pub syns: u32,
    /// Stamp of the last SYN.
    pub last_syn: Option<Stamp>,
    /// The first SYN carried TCP options (scanners often send none or MSS only).
    pub syn_rich: bool,
    /// The SYN/ACKs; `value` is the first one's sequence number.
    pub syn_ack: Option<Seen<u32>>,
    /// How many SYN/ACKs.
    pub syn_acks: u32,
    /// The client's first acknowledgment.
    pub established: Option<Seen<()>>,
    /// SYN to SYN/ACK.
    pub rtt: Option<Span>,
    /// Packets of each side.
    pub packets: PerSide<u32>,
    /// Payload bytes of each side, without repeats.
    pub bytes: PerSide<u64>,
    /// TTLs of each side's packets that are no resets: least and greatest.
    pub ttl: PerSide<Option<(u8, u8)>>,
    /// The link address each side's first packet came from.
    pub link: PerSide<Option<[u8; 6]>>,
    /// The greatest segment that each side's SYN says it takes (RFC 9293 section 3.7.1).
    pub mss: PerSide<Option<u16>>,
    /// The greatest acknowledgment by each side, relative to the peer's first byte.
    pub acked: PerSide<Option<u64>>,
    /// FINs.
    pub fin: PerSide<Option<Seen<()>>>,
    /// Payload bytes that the server had sent when the client closed, by FIN or reset.
    pub sent_before_leave: Option<u64>,
    /// The greatest segment payload that each side sent.
    pub largest: PerSide<u32>,
    /// The client's timestamp clock (RFC 7323 section 3.2): TSval less the milliseconds of capture time, of its first
    /// byte or of a SYN sent again.
    pub clock: Option<u32>,
    /// What went wrong on the way.
    pub trouble: Rare<Trouble>,
}

/// What went wrong on the way of a connection's segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Another link address that each side's packets came from: a capture on both sides of a router sees two.
    pub other_link: PerSide<Option<[u8; 6]>>,
    /// Segments each side sent again with bytes already seen, and when the last was.
    pub repeats: PerSide<Option<Seen<u32>>>,
    /// Bytes of each side that the peer acknowledged though the capture lacks them, behind the last one seen.
    pub unseen: PerSide<u64>,
    /// Bytes of each side that the capture lacks between others.
    pub gap: PerSide<u64>,
    /// The first byte of each side that never came although later ones did, and that the peer never acknowledged:
    /// the network lost it, not the capture.
    pub hole: PerSide<Option<Seen<u64>>>,
    /// How many bytes that hole has.
    pub hole_bytes: PerSide<u64>,
    /// What each side says it has beyond what it acknowledges: the last selective acknowledgment (RFC 2018) while the
    /// first byte it lacks stayed the same. Offsets of the peer's bytes.
    pub sacked: PerSide<Option<Seen<(u64, u64)>>>,
    /// Segments of each side sent again that begin at the first byte which the peer lacks.
    pub head: PerSide<Option<Seen<Head>>>,
    /// When each side sent bytes again, first eight.
    pub repeated: PerSide<Vec<Stamp>>,
    /// When the SYN was sent again, first eight; copies are none.
    pub syn_again: Vec<Stamp>,
    /// Resets, first eight.
    pub resets: Vec<Seen<Reset>>,
    /// ICMP errors that quote this connection, first eight.
    pub icmp: Vec<Seen<IcmpError>>,
    /// The last pause of the whole connection that the client ended with bytes: those packets, and when they came.
    pub pause: Option<Seen<Pause>>,
    /// Acknowledgments by which the server answered the SYN, as who has another connection on these ports does (RFC 9293
    /// section 3.10.7.4).
    pub challenge: Option<Seen<Challenge>>,
}

impl Trouble {
    /// Times kept of what is sent again and again.
    pub const TIMES: usize = 8;
}

impl Blank for Trouble {
    const BLANK: &'static Self = &Self {
        other_link: PerSide { client: None, server: None },
        repeats: PerSide { client: None, server: None },
        unseen: PerSide { client: 0, server: 0 },
        gap: PerSide { client: 0, server: 0 },
        hole: PerSide { client: None, server: None },
        hole_bytes: PerSide { client: 0, server: 0 },
        sacked: PerSide { client: None, server: None },
        head: PerSide { client: None, server: None },
        repeated: PerSide { client: Vec::new(), server: Vec::new() },
        syn_again: Vec::new(),
        resets: Vec::new(),
        icmp: Vec::new(),
        pause: None,
        challenge: None,
    };
}

impl Deref for TcpFacts {
    type Target = Trouble;

    #[inline]
    fn deref(&self) -> &Trouble {
        &self.trouble
    }
}

/// To be written only where something did go wrong: it is kept from then on.
impl DerefMut for TcpFacts {
    #[inline]
    fn deref_mut(&mut self) -> &mut Trouble {
        &mut self.trouble
    }
}

/// The segment that a sender repeats because nothing behind it can be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its first byte.
    pub offset: u64,
    /// Its least payload.
    pub size: u32,
    /// How often it was sent again.
    pub times: u32,
}

/// A RST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Whose address it bears.
    pub from: Side,
    /// TTL on arrival.
    pub ttl: u8,
    /// IPv4 identification.
    pub ip_id: Option<u16>,
    /// IPv4 identification of the latest other packet from that address.
    pub ip_id_of_host: Option<u16>,
    /// IPv4 don't-fragment bit; always true for IPv6.
    pub dont_fragment: bool,
    /// ACK was set too.
    pub ack: bool,
    /// Its sequence number.
    pub seq: u32,
    /// Its acknowledgment field, whether or not ACK says that it means something.
    pub ack_field: u32,
    /// Window as sent.
    pub window: u16,
    /// Timestamp value (RFC 7323), where it has the option.
    pub timestamp: Option<u32>,
    /// How far its sequence number is beyond all that this side sent or the peer acknowledged; negative behind it.
    /// `None` where nothing of this side was seen before.
    pub ahead: Option<i64>,
    /// Payload bytes of each side before it.
    pub sent: PerSide<u64>,
    /// How long after the peer's latest packet it came.
    pub after: Option<Span>,
    /// Segments behind it that bear the same address and are no resets.
    pub later: u32,
    /// Payload of the peer's segment that it answers as a host does that has no such connection: nothing of this side
    /// came since, ACK is not set, and the sequence number is the one which that segment asked for (RFC 9293 section
    /// 3.10.7.1).
    pub answers: Option<u32>,
    /// What contradicts that this side sent it; empty where nothing does.
    pub doubts: Vec<Seen<Doubt>>,
}

impl Reset {
    /// It crossed fewer routers than packets with these TTLs, if each began with one that hosts begin with.
    pub fn nearer_than(&self, (least, most): (u8, u8)) -> bool {
        let hops = |ttl: u8| match ttl {
            0..=64 => 64 - ttl,
            65..=128 => 128 - ttl,
            _ => 255 - ttl,
        };
        hops(self.ttl) < hops(least).min(hops(most))
    }
}

/// Why a reset was not sent by the host whose address it bears (causes.md, rule 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Its TTL is not the sender's: `(reset's, sender's)`.
    Ttl(u8, u8),
    /// It came from another link address.
    LinkAddress,
    /// It came sooner after what it answers than the path's round trip: `(took, round trip)`.
    TooSoon(Span, Span),
    /// The same sender went on sending or acknowledging behind it, which packets out of order would look like as well.
    SenderWentOn,
    /// Behind it the same sender acknowledged what it had not before, nor in the reset.
    NewAck,
    /// Behind it the same sender sent bytes that it had not sent before, from the reset's sequence number on.
    NewData,
    /// The sender had already sent beyond its sequence number.
    BehindSequence,
    /// Its timestamp is before that of the sender's latest segment, behind which it stands.
    OldTimestamp,
    /// Without ACK, as a host resets that has no such connection, and yet beyond all that the peer asked for.
    Unasked,
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

/// An alert in clear and who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertFrom {
    /// The sender.
    pub from: Side,
    /// What it says.
    pub alert: Alert,
}

/// One attempt to set up TLS, closed.
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
    /// The protocol that was upgraded in clear before TLS (`smtp`, `imap`, …), or the proxy
    /// prelude (`http_connect`, `socks`); `None` where TLS came first.
    pub prelude: Option<&'static str>,
    /// The client's request for TLS in clear, and the answer.
    pub upgrade: Option<Box<Upgrade>>,
    /// How it ended.
    pub outcome: Outcome,
    /// How far it got.
    pub stage: Stage,
    /// What ended it.
    pub ending: Seen<Ending>,
    /// TCP's side.
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
    /// Alerts in clear, in order, first eight.
    pub alerts: Vec<Seen<AlertFrom>>,
    /// What the sealed part shows.
    pub sealing: Rare<Sealing>,
    /// A message that never became whole: its sender, type, bytes had and bytes wanted.
    pub unfinished: Option<(Side, HandshakeType, usize, usize)>,
    /// Everything wrong with the server's chain, judged at capture time.
    pub defects: Arc<[Defect]>,
    /// Everything wrong with the client's chain, judged at capture time.
    pub client_defects: Arc<[Defect]>,
    /// What other traffic tells.
    pub around: Rare<Around>,
    /// What was lost of this attempt.
    pub lost: Rare<Lost>,
}

impl Evidence {
    /// Nothing but who, and where it begins.
    pub fn new(client: Endpoint, server: Endpoint, no: PacketNo, now: Stamp) -> Self {
        Self {
            client,
            server,
            first: no,
            last: no,
            started: now,
            ended: now,
            prelude: None,
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
            sealing: Rare::default(),
            unfinished: None,
            defects: Arc::default(),
            client_defects: Arc::default(),
            around: Rare::default(),
            lost: Rare::default(),
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
        let older = self.version().is_some_and(|version| !version.is_tls13());
        let refused = self
            .retry
            .as_ref()
            .is_some_and(|retry| !retry.value.extensions.contains(&ExtensionType::ENCRYPTED_CLIENT_HELLO));
        offered && !older && !refused
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
