//! How a connection was opened, read from its packets or told by who kept them in few bytes: an attempt knows the same.

use super::Attempt;
use super::pauses::clock;
use crate::base::{PacketNo, Seen, Side, Span, Stamp};
use crate::decode::Segment;
use crate::evidence::Trouble;

/// A SYN that comes again sooner is a copy (a tap on both sides of a router, a mirror of two ports): no stack resends
/// before some hundred milliseconds (RFC 6298 section 2: one second).
const COPY: Span = Span::from_millis(100);

/// A SYN or a SYN/ACK.
pub(in crate::evidence) struct Syn {
    /// Its sequence number.
    pub seq: u32,
    /// Its place in the capture.
    pub no: PacketNo,
    /// When it was captured.
    pub when: Stamp,
    /// Its TTL on arrival, and its sender's link address.
    pub sender: (u8, Option<[u8; 6]>),
    /// The greatest segment that its sender takes.
    pub mss: Option<u16>,
}

impl Attempt {
    /// Took a plain SYN, its first packet. `rich`: that carried more options than a scanner's.
    pub(in crate::evidence) fn was_asked(&mut self, syn: &Syn, rich: bool) {
        let tcp = &mut self.evidence.tcp;
        (tcp.syns, tcp.last_syn, tcp.syn_rich) = (1, Some(syn.when), rich);
        tcp.syn = Some(Seen::new(syn.seq, syn.no, syn.when));
        self.took_syn(Side::Client, syn, 0);
    }

    /// Took the SYN/ACK that answers it.
    pub(in crate::evidence) fn was_answered(&mut self, syn_ack: &Syn) {
        let tcp = &mut self.evidence.tcp;
        tcp.syn_acks = 1;
        tcp.syn_ack = Some(Seen::new(syn_ack.seq, syn_ack.no, syn_ack.when));
        tcp.rtt = tcp.syn.as_ref().map(|syn| syn_ack.when - syn.when);
        tcp.acked.server = Some(0);
        let asks = tcp.syn.as_ref().map_or(0, |syn| syn.value.wrapping_add(1));
        self.took_syn(Side::Server, syn_ack, asks);
    }

    /// Took the client's acknowledgment of that, which came the way of its SYN.
    pub(in crate::evidence) fn was_established(&mut self, no: PacketNo, when: Stamp) {
        let evidence = &mut *self.evidence;
        (evidence.last, evidence.ended) = (no, when);
        evidence.tcp.established = Some(Seen::new((), no, when));
        evidence.tcp.acked.client = Some(0);
        evidence.tcp.packets.client += 1;
        let asks = evidence.tcp.syn_ack.as_ref().map_or(0, |syn_ack| syn_ack.value.wrapping_add(1));
        self.last_of.client = Some(when);
        self.latest = Some((Side::Client, asks, 0));
    }

    fn took_syn(&mut self, from: Side, syn: &Syn, asks: u32) {
        let evidence = &mut *self.evidence;
        (evidence.last, evidence.ended) = (syn.no, syn.when);
        let (ttl, link) = syn.sender;
        *evidence.tcp.ttl.of_mut(from) = Some((ttl, ttl));
        *evidence.tcp.link.of_mut(from) = link;
        *evidence.tcp.mss.of_mut(from) = syn.mss;
        *evidence.tcp.packets.of_mut(from) = 1;
        self.streams.of_mut(from).start(syn.seq.wrapping_add(1));
        *self.last_of.of_mut(from) = Some(syn.when);
        self.latest = Some((from, asks, 0));
    }

    /// Takes a SYN or a SYN/ACK as it comes: of most connections an opening tells them.
    #[cold]
    pub(super) fn synchronize(&mut self, segment: &Segment<'_>, from: Side, no: PacketNo, now: Stamp) {
        self.streams.of_mut(from).start(segment.seq.wrapping_add(1));
        let tcp = &mut self.evidence.tcp;
        match from {
            Side::Client => {
                if tcp.last_syn.is_none_or(|last| now - last > COPY) {
                    tcp.syns += 1;
                    if tcp.syns > 1 && tcp.syn_again.len() < Trouble::TIMES {
                        tcp.syn_again.push(now);
                    }
                }
                tcp.last_syn = Some(now);
                match &mut tcp.syn {
                    Some(syn) => {
                        syn.at.add(no);
                        tcp.clock = clock(segment, now);
                    }
                    None => {
                        tcp.syn = Some(Seen::new(segment.seq, no, now));
                        tcp.syn_rich = segment.options.timestamp.is_some() || segment.options.sack_permitted;
                    }
                }
            }
            Side::Server => {
                tcp.syn_acks += 1;
                match &mut tcp.syn_ack {
                    Some(syn_ack) => syn_ack.at.add(no),
                    None => {
                        tcp.syn_ack = Some(Seen::new(segment.seq, no, now));
                        // A SYN sent twice leaves open which one was answered.
                        if tcp.syns == 1
                            && let Some(syn) = &tcp.syn
                        {
                            tcp.rtt = Some(now - syn.when);
                        }
                    }
                }
            }
        }
    }
}
