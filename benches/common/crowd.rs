//! Many connections at once: a gateway's, and a flood's.

use std::io;
use std::path::Path;

use tlswhy::decode::TcpFlags;

use super::frame::{self, Emit, Made, Payload, Random, Talk, Writer};
use super::traffic::{BEGIN, Maker, Stage};

/// Connections that are all open before their packets are counted.
#[derive(Clone, Copy)]
pub struct Crowd {
    pub flows: u64,
    /// Packets spread over all of them, one after another on a connection chosen by chance.
    pub packets: u64,
}

/// SYNs of ever new clients, half to port 443 and half to port 80, or lookups of ever new names, amid real handshakes.
#[derive(Clone, Copy)]
pub struct Flood {
    pub syns: u64,
    /// Real handshakes. Their clients are in 10.1.0.0/16, where no SYN of the flood comes from.
    pub handshakes: u64,
}

/// How often connections of a crowd open, in microseconds: a million in ten seconds.
const OPENING: i64 = 10;
/// Microseconds between the packets that follow.
const FOLLOWING: i64 = 8;
/// Microseconds between two SYNs of a flood: five million in a minute.
const FLOODING: i64 = 12;
/// Bytes of data in a packet that carries any.
const DATA: usize = 200;
/// The templates of finished connections: TLS 1.2 and 1.3.
const FINISHED: [usize; 2] = [0, 1];

const SYN: u8 = TcpFlags::SYN;
const ACK: u8 = TcpFlags::ACK;

/// What a connection of a crowd has done when all are open. One of four has each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Connected, and not a byte.
    Silent,
    /// Something that is not TLS.
    Plain,
    /// A ClientHello that the server has acknowledged, not answered.
    Midway,
    /// A finished handshake.
    Finished,
}

const KINDS: [Kind; 4] = [Kind::Silent, Kind::Plain, Kind::Midway, Kind::Finished];

/// An open connection: its number in the crowd says who, this how far both sides are.
#[derive(Clone, Copy)]
struct Open {
    client: u32,
    server: u32,
}

/// Writes a crowd. Of the same connections, one of fewer packets is the beginning of one of more.
pub fn crowd(path: &Path, plan: &Crowd, root: &Path) -> io::Result<Made> {
    let mut maker = Maker::new(root, false)?;
    let mut out = Writer::create(path, frame::bulk(&mut maker.random))?;
    let mut stage = Stage::default();
    let mut open = Vec::new();
    for n in 0..plan.flows {
        let at = BEGIN + n as i64 * OPENING;
        let (talk, numbers) = opening(&mut maker, n, at);
        stage.enter(talk);
        open.push(numbers);
        while stage.next().is_some_and(|next| next < at) {
            stage.step(&mut out)?;
        }
    }
    while stage.step(&mut out)? {}
    let mut random = Random(plan.flows);
    let mut now = BEGIN + plan.flows as i64 * OPENING + 1_000_000;
    for _ in 0..plan.packets {
        now += FOLLOWING;
        let n = random.below(plan.flows);
        let who = between(n);
        let emit = following(kind(n), &mut open[n as usize], now, &mut random);
        out.packet(&who, &emit)?;
    }
    let made = out.finish()?;
    Ok(Made { handshakes: maker.made.handshakes, ..made })
}

fn kind(n: u64) -> Kind {
    KINDS[(Random(n).next() % 4) as usize]
}

/// Who speaks on the connection of this number: 64 connections a client, 4,096 servers.
fn between(n: u64) -> Talk {
    let [client_1, client_2, client_3] = [(n / 64) >> 16, (n / 64) >> 8, n / 64].map(|part| part as u8);
    let server = Random(n).next() >> 32;
    let port = match kind(n) {
        Kind::Plain => 80,
        Kind::Silent if n.is_multiple_of(2) => 8_080,
        _ => 443,
    };
    Talk {
        addresses: [
            [10, 64 | client_1, client_2, client_3],
            [198, 18, (server >> 8) as u8 & 15, server as u8],
        ],
        ports: [32_768 + (n % 64) as u16 * 400 + (n / 64 % 400) as u16, port],
        udp: false,
        emits: std::collections::VecDeque::new(),
    }
}

fn opening(maker: &mut Maker, n: u64, at: i64) -> (Talk, Open) {
    let mut talk = between(n);
    if kind(n) == Kind::Finished {
        // The whole template up to its end; no close.
        let which = FINISHED[(n / 8 % 2) as usize];
        talk.emits = maker.handshake(at, Some(which), 0, 1).emits;
        let close = talk.emits.iter().position(|emit| emit.flags & TcpFlags::FIN != 0);
        talk.emits.truncate(close.unwrap_or(usize::MAX).saturating_sub(1));
        let numbers = [true, false].map(|from_client| {
            let said = talk.emits.iter().filter(|emit| emit.from_client == from_client);
            said.map(|emit| emit.seq.wrapping_add(length(emit))).next_back().unwrap_or(0)
        });
        return (talk, Open { client: numbers[0], server: numbers[1] });
    }
    let [mine, theirs] = [maker.random.next() as u32, maker.random.next() as u32];
    let (mut client, mut server) = (mine.wrapping_add(1), theirs.wrapping_add(1));
    talk.segment(at, true, mine, 0, SYN, Vec::new());
    talk.segment(at + 20_000, false, theirs, client, SYN | ACK, Vec::new());
    talk.segment(at + 20_050, true, client, server, ACK, Vec::new());
    match kind(n) {
        Kind::Plain => {
            let get =
                b"GET / HTTP/1.1\r\nHost: files.example.net\r\nUser-Agent: curl/7.88.1\r\n\r\n".to_vec();
            let asked = client.wrapping_add(get.len() as u32);
            talk.segment(at + 20_100, true, client, server, ACK | 8, get);
            client = asked;
            let mut page = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec();
            page.resize(DATA, b'x');
            talk.segment(at + 40_000, false, server, client, ACK | 8, page);
            server = server.wrapping_add(DATA as u32);
        }
        Kind::Midway => {
            let whole = maker.handshake(at, Some(FINISHED[1]), 0, 1);
            let hello = whole.emits.into_iter().find_map(|emit| match emit.payload {
                Payload::Bytes(bytes) if emit.from_client && !bytes.is_empty() => Some(bytes),
                _ => None,
            });
            let hello = hello.unwrap_or_default();
            let said = client.wrapping_add(hello.len() as u32);
            talk.segment(at + 21_000, true, client, server, ACK | 8, hello);
            client = said;
            talk.segment(at + 41_000, false, server, client, ACK, Vec::new());
        }
        Kind::Silent | Kind::Finished => {}
    }
    (talk, Open { client, server })
}

fn length(emit: &Emit) -> u32 {
    match &emit.payload {
        Payload::Bytes(bytes) => bytes.len() as u32,
        Payload::Bulk(_, length) => *length as u32,
    }
}

/// One more packet of an open connection, of the kind that keeps it as it is.
fn following(kind: Kind, open: &mut Open, at: i64, random: &mut Random) -> Emit {
    let (client, server) = (open.client, open.server);
    let data = match kind {
        // A probe whether the other side is there, or that it is.
        Kind::Silent | Kind::Midway => {
            let from_client = random.below(2) == 0;
            let (seq, ack) = if from_client { (client, server) } else { (server, client) };
            return Emit { at, from_client, seq, ack, flags: ACK, payload: Payload::Bytes(Vec::new()) };
        }
        Kind::Plain => vec![b'x'; DATA],
        Kind::Finished => {
            let mut record = vec![0; DATA];
            random.fill(&mut record);
            record[..5].copy_from_slice(&[23, 3, 3, 0, (DATA - 5) as u8]);
            record
        }
    };
    open.server = server.wrapping_add(DATA as u32);
    Emit { at, from_client: false, seq: server, ack: client, flags: ACK, payload: Payload::Bytes(data) }
}

/// What a flood is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// SYNs.
    Syns,
    /// Questions for names that nobody asked for before, and their answers.
    Names,
}

/// Writes a flood.
pub fn flood(path: &Path, plan: &Flood, of: Of, root: &Path) -> io::Result<Made> {
    let mut maker = Maker::new(root, true)?;
    let mut out = Writer::create(path, frame::bulk(&mut maker.random))?;
    let mut stage = Stage::default();
    let lasts = plan.syns as i64 * FLOODING;
    // They begin over the first nine tenths; every third takes thirty times as long as it did.
    let every = (lasts * 9 / 10 / plan.handshakes.max(1) as i64).max(1);
    let mut begun = 0;
    let mut seed = 0;
    for n in 0..plan.syns as i64 {
        let at = BEGIN + n * FLOODING;
        while begun < plan.handshakes && begun as i64 * every <= n * FLOODING {
            let slow = if begun % 3 == 0 { 30 } else { 1 };
            let which = (begun % maker.templates.len() as u64) as usize;
            let talk = maker.handshake(at, Some(which), 0, slow);
            stage.enter(talk);
            begun += 1;
        }
        while stage.next().is_some_and(|next| next < at) {
            stage.step(&mut out)?;
        }
        match of {
            Of::Syns => {
                let (talk, emit) = stranger(&mut seed, at);
                out.packet(&talk, &emit)?;
            }
            Of::Names => {
                let mut talk = lookup(n as u32, at);
                while let Some(emit) = talk.emits.pop_front() {
                    out.packet(&talk, &emit)?;
                }
            }
        }
    }
    while stage.step(&mut out)? {}
    let made = out.finish()?;
    Ok(Made { handshakes: maker.made.handshakes, completed: maker.made.completed, ..made })
}

/// A SYN from an address and port that no other has together.
fn stranger(seed: &mut u64, at: i64) -> (Talk, Emit) {
    loop {
        *seed += 1;
        // Odd numbers have inverses modulo a power of two: no two seeds give the same 48 bits.
        let spread = seed.wrapping_mul(0x9e37_79b9_7f4b) & 0xffff_ffff_ffff;
        let address = ((spread >> 16) as u32).to_be_bytes();
        let port = spread as u16;
        if matches!(address[0], 0 | 10 | 127 | 198 | 224..) || port == 0 {
            continue;
        }
        let servers = Random(*seed).next();
        let talk = Talk {
            addresses: [address, [198, 18, 7, servers as u8]],
            ports: [port, if seed.is_multiple_of(2) { 443 } else { 80 }],
            udp: false,
            emits: std::collections::VecDeque::new(),
        };
        let seq = (servers >> 32) as u32;
        let payload = Payload::Bytes(Vec::new());
        return (talk, Emit { at, from_client: true, seq, ack: 0, flags: SYN, payload });
    }
}

/// A question for a name of its own, and the answer. A third is asked by one bot, and does not exist or is never answered; all
/// others by hosts that come once, and are given an address.
fn lookup(n: u32, at: i64) -> Talk {
    let bot = n.is_multiple_of(3);
    let [a, b, c, d] = n.to_be_bytes();
    let client = if bot { [45, 66, 66, 66] } else { [45, b, c, d] };
    let resolver = [198, 18, 0, 53];
    let mut talk = Talk {
        addresses: [client, resolver],
        ports: [0x8000 | n as u16, 53],
        udp: true,
        emits: std::collections::VecDeque::new(),
    };
    let message = |flags: [u8; 2], answers: u8| {
        let mut dns = vec![c, d, flags[0], flags[1], 0, 1, 0, answers, 0, 0, 0, 0, 8];
        dns.extend(format!("{n:08x}").as_bytes());
        dns.extend(b"\x05flood\x04test\0\0\x01\0\x01");
        dns
    };
    talk.datagram(at, true, message([1, 0], 0));
    if !bot {
        let mut answer = message([0x81, 0x80], 1);
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 9, a ^ d]);
        talk.datagram(at + 5, false, answer);
    } else if n.is_multiple_of(2) {
        talk.datagram(at + 5, false, message([0x81, 0x83], 0));
    }
    talk
}
