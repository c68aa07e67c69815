//! Scripts connections through a gateway, for tests.

use super::{Both, Crossing, Vantage};
use crate::base::{Addr, Endpoint, PacketNo, Side, Span, Stamp};
use crate::decode::{Frame, Hop, LinkType, Packet, Segment, TcpFlags, TcpOptions};
use crate::evidence::Evidence;
use crate::evidence::fixture::{CLIENT, SERVER, START};

/// The client behind the gateway.
pub const NAT: Endpoint = Endpoint { addr: Addr::v4([198, 51, 100, 1]), port: 50_000 };
/// First sequence numbers.
const ISN: (u32, u32) = (1_000, 5_000);
/// What a packet takes through the gateway.
const THROUGH: Span = Span(50);

/// Where a packet is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// On both sides.
    Passes,
    /// Where it comes from.
    Dropped,
    /// Where it goes.
    Made,
}

/// A packet of the script; numbers count from the first of each side's.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Milliseconds after the start.
    pub at: i64,
    /// Its sender.
    pub from: Side,
    /// Its flags.
    pub flags: u8,
    /// Bytes that the sender sent before.
    pub seq: u32,
    /// Bytes that it acknowledges.
    pub ack: u32,
    /// Its payload.
    pub payload: u32,
}

/// Both sides of a gateway, and what it does to packets.
pub struct Gateway {
    /// What was seen.
    pub both: Both,
    /// The client's name outside, and inside.
    pub names: (Endpoint, Endpoint),
    /// Added to the client's sequence numbers on the way out.
    pub raised: u32,
    /// Packets so far, of each side.
    numbers: (u64, u64),
    /// First sequence numbers of client and server.
    pub isn: (u32, u32),
}

impl Default for Gateway {
    /// Nothing sent yet.
    fn default() -> Self {
        let both = Both::new(100, Some(Span(0)));
        Self { both, names: (CLIENT, NAT), raised: 0, numbers: (0, 0), isn: ISN }
    }
}

impl Gateway {
    /// A packet, as long as the payload says.
    pub fn send(&mut self, sent: Sent, way: Way) {
        let at = START + Span::from_millis(sent.at);
        let outward = sent.from == Side::Client;
        let (first, then) =
            if outward { (Vantage::Inside, Vantage::Outside) } else { (Vantage::Outside, Vantage::Inside) };
        if way != Way::Made {
            self.see(first, &sent, at, 64);
        }
        if way != Way::Dropped {
            self.see(then, &sent, at + THROUGH, 63);
        }
    }

    /// SYN, SYN/ACK and ACK pass.
    pub fn connect(&mut self) {
        let (syn, ack) = (TcpFlags::SYN, TcpFlags::ACK);
        self.send(sent(0, Side::Client, syn, 0, 0, 0), Way::Passes);
        self.send(sent(20, Side::Server, syn | ack, 0, 1, 0), Way::Passes);
        self.send(sent(21, Side::Client, ack, 1, 1, 0), Way::Passes);
    }

    /// Another client's connection to another server, at this time: its SYN and the answer pass.
    pub fn another(&mut self, at: i64) {
        let own = (self.names, self.isn);
        self.names = (Endpoint { port: 7_000, ..CLIENT }, Endpoint { port: 7_000, ..NAT });
        self.isn = (self.isn.0.wrapping_add(at.unsigned_abs() as u32 + 77), 9);
        self.send(sent(at, Side::Client, TcpFlags::SYN, 0, 0, 0), Way::Passes);
        self.send(sent(at + 20, Side::Server, TcpFlags::SYN | TcpFlags::ACK, 0, 1, 0), Way::Passes);
        self.send(sent(at + 21, Side::Client, TcpFlags::ACK, 1, 1, 0), Way::Passes);
        (self.names, self.isn) = own;
    }

    /// Both captures run until then.
    pub fn until(&mut self, at: i64) {
        let at = START + Span::from_millis(at);
        self.both.inside.pass(at);
        self.both.outside.pass(at);
    }

    /// What became of the client's connection.
    pub fn crossing(&self) -> Option<Crossing> {
        let mut evidence = Evidence::new(CLIENT, SERVER, PacketNo(1), START);
        evidence.tcp.syn = Some(crate::base::Seen::new(ISN.0, PacketNo(1), START));
        let no = self.both.inside.of_attempt(&evidence)?;
        let mut crossing = self.both.crossing(Vantage::Inside, no)?;
        crossing.beside = self.both.beside(Vantage::Inside, no, &crossing);
        Some(crossing)
    }

    fn see(&mut self, vantage: Vantage, sent: &Sent, when: Stamp, ttl: u8) {
        let (client, number, raised) = match vantage {
            Vantage::Inside => (self.names.0, &mut self.numbers.0, 0),
            Vantage::Outside => (self.names.1, &mut self.numbers.1, self.raised),
        };
        *number += 1;
        let no = vantage.mark(PacketNo(*number));
        let (src, dst, own, peers) = match sent.from {
            Side::Client => (client, SERVER, self.isn.0.wrapping_add(raised), self.isn.1),
            Side::Server => (SERVER, client, self.isn.1, self.isn.0.wrapping_add(raised)),
        };
        // The first bytes tell one place of the stream from another.
        let payload = vec![sent.seq as u8; sent.payload as usize];
        let hello: &[u8] = &[22, 3, 1, 0, 0, 1];
        let payload = if sent.from == Side::Client && sent.seq == 1 && sent.payload > 6 {
            [hello, payload.get(6..).unwrap_or_default()].concat()
        } else {
            payload
        };
        let segment = Segment {
            hop: Hop {
                src: src.addr,
                dst: dst.addr,
                ttl,
                ip_id: Some(0),
                dont_fragment: true,
                link_src: None,
            },
            src_port: src.port,
            dst_port: dst.port,
            seq: own.wrapping_add(sent.seq),
            ack: peers.wrapping_add(sent.ack),
            flags: TcpFlags(sent.flags),
            window: 7,
            options: TcpOptions::default(),
            payload: &payload,
            payload_wire_len: sent.payload,
        };
        // Stations: 1 inside, 2 the gateway, 3 outside.
        let here = if vantage == Vantage::Inside { 1 } else { 3 };
        let enters = (vantage == Vantage::Inside) == (sent.from == Side::Client);
        let (from, to) = if enters { (here, 2) } else { (2, here) };
        let data = [[to; 6], [from; 6]].concat();
        let frame = Frame { no, stamp: when, link: LinkType::ETHERNET, data: &data, wire_len: 60 };
        self.both.of_mut(vantage).packet(&Packet::Segment(segment), &frame, no);
    }
}

/// A packet.
pub fn sent(at: i64, from: Side, flags: u8, seq: u32, ack: u32, payload: u32) -> Sent {
    Sent { at, from, flags, seq, ack, payload }
}

/// The client's hello of 517 bytes.
pub fn hello(at: i64) -> Sent {
    sent(at, Side::Client, TcpFlags::ACK, 1, 1, 517)
}
