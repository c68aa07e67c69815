//! An attempt whose first packets were kept in few bytes: it knows from them what it would have read from the packets.

use super::Attempt;
use crate::base::{PacketNo, Seen, Side, Stamp};

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
}
