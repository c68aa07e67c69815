//! What TCP itself shows of an attempt: its opening, its losses, its resets.

use super::{Challenge, Pause};
use crate::base::{Blank, PerSide, Rare, Seen, Side, Span, Stamp};
use crate::decode::IcmpError;
use std::ops::{Deref, DerefMut};

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
    /// ICMP errors kept.
    pub const ICMP: usize = 8;
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
    /// The longest silence of the connection that bytes of the client ended since the server last spoke.
    pub paused: Span,
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
    /// A gateway may have forgotten the connection before what this answers, and refuse what it takes for no connection's.
    /// Not where the side that it speaks for still hears the other, or says new things.
    pub fn may_be_forgetful(&self) -> bool {
        let reached = |doubt: &Seen<Doubt>| matches!(doubt.value, Doubt::NewAck | Doubt::NewData);
        self.from == Side::Server && self.paused > Pause::AT_ONCE && !self.doubts.iter().any(reached)
    }

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
