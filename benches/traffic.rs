//! Makes captures of any size: real handshakes, copied with fresh addresses, ports, sequence numbers, randoms,
//! certificate serial numbers and times, among bulk transfer, DNS, HTTP and other UDP. The same seed gives the
//! same file.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tlswhy::base::Limits;
use tlswhy::capture::file::FileReader;
use tlswhy::decode::{Decoder, Packet, TcpFlags};

/// What a capture is to be.
pub struct Plan {
    pub name: &'static str,
    /// About how large, in bytes.
    pub bytes: u64,
    /// Whether anything but short handshakes is in it.
    pub mixed: bool,
}

/// What a capture came to.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Made {
    pub packets: u64,
    pub bytes: u64,
    pub handshakes: u64,
    pub completed: u64,
}

/// A handshake of our own captures: the first connection of a file.
struct Template {
    segments: Vec<Told>,
    completes: bool,
}

/// One segment of a template; numbers count from each side's first.
struct Told {
    after: i64,
    from_client: bool,
    seq: u32,
    ack: u32,
    flags: u8,
    payload: Vec<u8>,
}

const TEMPLATES: [(&str, bool); 4] = [
    ("captures/none/plain-https-tls12.pcap", true),
    ("captures/none/plain-https-inside.pcap", true),
    ("captures/odd/base-big-flight.pcap", true),
    ("captures/firewall/sni-reset-inside.pcap", false),
];
const NAMES: &str = "captures/none/dns-alias-works.pcap";

/// 2026-11-23T11:00:00Z: the certificates in the templates are valid then.
const BEGIN: i64 = 1_795_431_600_000_000;
/// Mean time between connections. A mixed capture has 100 kB for each, the other one 5 kB.
const MIXED_GAP: u64 = 25_000;
const SHORT_GAP: u64 = 2_000;
const SEGMENT: u32 = 1_448;
/// A sealed record of full size, RFC 9846 section 5.2.
const RECORD: usize = 5 + 16_384 + 17;

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// One packet to come.
struct Emit {
    at: i64,
    from_client: bool,
    seq: u32,
    ack: u32,
    flags: u8,
    payload: Payload,
}

enum Payload {
    Bytes(Vec<u8>),
    /// This much of an endless stream of sealed records, from this place.
    Bulk(usize, usize),
}

/// A conversation: client, then server.
struct Talk {
    addresses: [[u8; 4]; 2],
    ports: [u16; 2],
    udp: bool,
    emits: VecDeque<Emit>,
}

struct Maker {
    random: Random,
    templates: Vec<Template>,
    dns: [Vec<u8>; 2],
    bulk: Vec<u8>,
    talks: u64,
    made: Made,
}

/// Writes the capture.
///
/// # Errors
/// The templates cannot be read or the file cannot be written.
pub fn make(path: &Path, plan: &Plan, root: &Path) -> io::Result<Made> {
    let mut maker = Maker::new(root)?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
    out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    out.write_all(&262_144_u32.to_le_bytes())?;
    out.write_all(&1_u32.to_le_bytes())?;
    maker.made.bytes = 24;
    let mut due: BinaryHeap<Reverse<(i64, u64)>> = BinaryHeap::new();
    let mut talks: HashMap<u64, Talk> = HashMap::new();
    let (mut clock, mut id) = (BEGIN, 0);
    let mut frame = Vec::with_capacity(2_048);
    loop {
        while maker.made.bytes < plan.bytes && due.peek().is_none_or(|Reverse((at, _))| *at >= clock) {
            for talk in maker.start(clock, plan.mixed) {
                if let Some(first) = talk.emits.front() {
                    due.push(Reverse((first.at, id)));
                    talks.insert(id, talk);
                    id += 1;
                }
            }
            clock += maker.random.below(2 * if plan.mixed { MIXED_GAP } else { SHORT_GAP }) as i64;
        }
        let Some(Reverse((_, which))) = due.pop() else { break };
        let Some(talk) = talks.get_mut(&which) else { continue };
        if let Some(emit) = talk.emits.pop_front() {
            build(talk, &emit, &maker.bulk, &mut frame);
            let length = (frame.len() as u32).to_le_bytes();
            out.write_all(&((emit.at / 1_000_000) as u32).to_le_bytes())?;
            out.write_all(&((emit.at % 1_000_000) as u32).to_le_bytes())?;
            out.write_all(&length)?;
            out.write_all(&length)?;
            out.write_all(&frame)?;
            maker.made.packets += 1;
            maker.made.bytes += 16 + frame.len() as u64;
        }
        match talk.emits.front() {
            Some(next) => due.push(Reverse((next.at, which))),
            None => drop(talks.remove(&which)),
        }
    }
    out.flush()?;
    Ok(maker.made)
}

impl Maker {
    fn new(root: &Path) -> io::Result<Self> {
        let mut random = Random(20_261_123);
        let templates = TEMPLATES.iter().map(|(name, completes)| template(&root.join(name), *completes));
        let mut bulk = vec![0; 64 * RECORD];
        random.fill(&mut bulk);
        for record in bulk.chunks_mut(RECORD) {
            record[..5].copy_from_slice(&[23, 3, 3, 0x40, 0x11]);
        }
        bulk.extend_from_within(..SEGMENT as usize);
        Ok(Self {
            templates: templates.collect::<io::Result<_>>()?,
            dns: question_and_answer(&root.join(NAMES))?,
            random,
            bulk,
            talks: 0,
            made: Made::default(),
        })
    }

    /// Two addresses and ports that no other talk has together.
    fn talk(&mut self, server_port: u16, udp: bool) -> Talk {
        let n = self.talks;
        self.talks += 1;
        let server = self.random.below(256) as u8;
        Talk {
            addresses: [[10, 1, 0, (n % 250) as u8 + 1], [198, 18, 7, server]],
            ports: [32_768 + (n / 250 % 28_000) as u16, server_port],
            udp,
            emits: VecDeque::new(),
        }
    }

    fn start(&mut self, at: i64, mixed: bool) -> Vec<Talk> {
        let mut talks = Vec::new();
        if mixed && self.random.below(2) == 0 {
            talks.push(self.names(at));
        }
        let which = if self.random.below(50) == 0 { 3 } else { self.random.below(3) as usize };
        let segments = match (mixed && which < 3, self.random.below(10)) {
            (false, _) => 0,
            (true, 0) => 300 + self.random.below(240) as u32,
            (true, _) => 4 + self.random.below(16) as u32,
        };
        talks.push(self.handshake(at + 20_000, which, segments));
        if mixed && self.random.below(2) == 0 {
            talks.push(self.http(at + 5_000));
        }
        if mixed && self.random.below(3) == 0 {
            talks.push(self.datagrams(at + 7_000));
        }
        talks
    }

    fn handshake(&mut self, at: i64, which: usize, bulk: u32) -> Talk {
        let mut talk = self.talk(443, false);
        let begins = [self.random.next() as u32, self.random.next() as u32];
        let template = &self.templates[which];
        self.made.handshakes += 1;
        self.made.completed += u64::from(template.completes);
        // The transfer comes with the server's last data.
        let last = template.segments.iter().rposition(|told| !told.from_client && !told.payload.is_empty());
        let mut moved = [0_u32; 2];
        let mut now = at;
        for (place, told) in template.segments.iter().enumerate() {
            let side = usize::from(!told.from_client);
            now += told.after;
            let mut payload = told.payload.clone();
            freshen(&mut payload, talk.addresses[1][3], &mut self.random);
            let seq = begins[side].wrapping_add(told.seq).wrapping_add(moved[side]);
            let acks = told.flags & TcpFlags::ACK != 0;
            let ack =
                if acks { begins[1 - side].wrapping_add(told.ack).wrapping_add(moved[1 - side]) } else { 0 };
            let next = seq.wrapping_add(payload.len() as u32);
            let (from_client, flags) = (told.from_client, told.flags);
            talk.emits.push_back(Emit {
                at: now,
                from_client,
                seq,
                ack,
                flags,
                payload: Payload::Bytes(payload),
            });
            if bulk > 0 && last == Some(place) {
                now = transfer(&mut talk, now, next, ack, bulk);
                moved[1] = bulk * SEGMENT;
            }
        }
        talk
    }

    fn http(&mut self, at: i64) -> Talk {
        let mut talk = self.talk(80, false);
        let [mine, theirs] = [self.random.next() as u32, self.random.next() as u32];
        let get =
            b"GET /file.bin HTTP/1.1\r\nHost: files.example.net\r\nUser-Agent: curl/7.88.1\r\n\r\n".to_vec();
        let asked = mine.wrapping_add(1 + get.len() as u32);
        let data = theirs.wrapping_add(1);
        let say = |talk: &mut Talk, at, from_client, seq, ack, flags, payload| {
            talk.emits.push_back(Emit { at, from_client, seq, ack, flags, payload: Payload::Bytes(payload) });
        };
        let (syn, ack) = (TcpFlags::SYN, TcpFlags::ACK);
        say(&mut talk, at, true, mine, 0, syn, Vec::new());
        say(&mut talk, at + 9_000, false, theirs, mine.wrapping_add(1), syn | ack, Vec::new());
        say(&mut talk, at + 9_050, true, mine.wrapping_add(1), data, ack, Vec::new());
        say(&mut talk, at + 9_100, true, mine.wrapping_add(1), data, ack | 8, get);
        let segments = 8 + self.random.below(16) as u32;
        let mut now = at + 20_000;
        for n in 0..segments {
            let mut payload = vec![b'x'; SEGMENT as usize];
            if n == 0 {
                payload[..19].copy_from_slice(b"HTTP/1.1 200 OK\r\n\r\n");
            }
            let seq = data.wrapping_add(n * SEGMENT);
            say(&mut talk, now, false, seq, asked, ack, payload);
            say(&mut talk, now + 40, true, asked, seq.wrapping_add(SEGMENT), ack, Vec::new());
            now += 120;
        }
        let end = data.wrapping_add(segments * SEGMENT);
        say(&mut talk, now, false, end, asked, ack | TcpFlags::FIN, Vec::new());
        say(&mut talk, now + 60, true, asked, end.wrapping_add(1), ack | TcpFlags::FIN, Vec::new());
        say(&mut talk, now + 9_000, false, end.wrapping_add(1), asked.wrapping_add(1), ack, Vec::new());
        talk
    }

    fn names(&mut self, at: i64) -> Talk {
        let mut talk = self.talk(53, true);
        let id = (self.random.next() as u16).to_be_bytes();
        for (n, (from_client, message)) in
            [(true, &self.dns[0]), (false, &self.dns[1])].into_iter().enumerate()
        {
            let mut message = message.clone();
            message[..2].copy_from_slice(&id);
            talk.say(at + 4_000 * n as i64, from_client, message);
        }
        talk
    }

    /// As QUIC looks from outside.
    fn datagrams(&mut self, at: i64) -> Talk {
        let mut talk = self.talk(443, true);
        for n in 0..24_i64 {
            let from_client = n % 6 == 0;
            let mut message = vec![0; if from_client { 60 } else { 1_200 }];
            self.random.fill(&mut message);
            message[0] = 0x40 | (message[0] & 0x3f);
            talk.say(at + 400 * n, from_client, message);
        }
        talk
    }
}

impl Talk {
    fn say(&mut self, at: i64, from_client: bool, message: Vec<u8>) {
        self.emits.push_back(Emit {
            at,
            from_client,
            seq: 0,
            ack: 0,
            flags: 0,
            payload: Payload::Bytes(message),
        });
    }
}

/// Data from the server, and an acknowledgment of every second segment. Returns the time of the last.
fn transfer(talk: &mut Talk, mut now: i64, begin: u32, client: u32, segments: u32) -> i64 {
    for n in 0..segments {
        now += 90;
        let seq = begin.wrapping_add(n * SEGMENT);
        let payload = Payload::Bulk((n * SEGMENT) as usize, SEGMENT as usize);
        talk.emits.push_back(Emit {
            at: now,
            from_client: false,
            seq,
            ack: client,
            flags: TcpFlags::ACK,
            payload,
        });
        if n % 2 == 1 {
            let (ack, payload) = (seq.wrapping_add(SEGMENT), Payload::Bytes(Vec::new()));
            let flags = TcpFlags::ACK;
            talk.emits.push_back(Emit { at: now + 30, from_client: true, seq: client, ack, flags, payload });
        }
    }
    now + 40
}

/// Makes a hello's random new, and gives each server a certificate with a serial number of its own (its
/// signature then no longer fits, which costs as much to find as that it does).
fn freshen(payload: &mut [u8], server: u8, random: &mut Random) {
    if let [22, 3, _, _, _, 1 | 2, _, _, _, 3, 3, rest @ ..] = payload
        && let Some(hello_random) = rest.get_mut(..32)
    {
        random.fill(hello_random);
    }
    // Version 3, then the tag of the serial number.
    let version = [0xa0, 3, 2, 1, 2, 2];
    if let Some(at) = payload.windows(version.len()).position(|window| window == version)
        && let Some(serial) = payload.get_mut(at + 10)
    {
        *serial ^= server;
    }
}

fn build(talk: &Talk, emit: &Emit, bulk: &[u8], frame: &mut Vec<u8>) {
    let payload = match &emit.payload {
        Payload::Bytes(bytes) => bytes.as_slice(),
        Payload::Bulk(from, length) => {
            let from = from % (64 * RECORD);
            &bulk[from..from + length]
        }
    };
    let (from, to) = if emit.from_client { (0, 1) } else { (1, 0) };
    let syn = emit.flags & TcpFlags::SYN != 0;
    let header = if talk.udp { 8 } else { 32 + if syn { 8 } else { 0 } };
    let length = (20 + header + payload.len()) as u16;
    frame.clear();
    frame.extend([2, 0, 0, 0, 0, to as u8 + 1, 2, 0, 0, 0, 0, from as u8 + 1, 8, 0, 0x45, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend(((emit.at / 7) as u16).to_be_bytes());
    frame.extend([0x40, 0, if emit.from_client { 64 } else { 52 }, if talk.udp { 17 } else { 6 }, 0, 0]);
    frame.extend(talk.addresses[from]);
    frame.extend(talk.addresses[to]);
    let check = checksum(&frame[14..], 0);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    frame.extend(talk.ports[from].to_be_bytes());
    frame.extend(talk.ports[to].to_be_bytes());
    if talk.udp {
        frame.extend((length - 20).to_be_bytes());
        frame.extend([0, 0]);
    } else {
        frame.extend(emit.seq.to_be_bytes());
        frame.extend(emit.ack.to_be_bytes());
        frame.extend([(header as u8 / 4) << 4, emit.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        if syn {
            frame.extend([2, 4, 5, 0xb4, 4, 2]);
        } else {
            frame.extend([1, 1]);
        }
        frame.extend([8, 10]);
        frame.extend(((emit.at / 1_000) as u32).to_be_bytes());
        frame.extend((((emit.at - 20_000) / 1_000) as u32).to_be_bytes());
        if syn {
            frame.extend([1, 3, 3, 7]);
        }
    }
    frame.extend_from_slice(payload);
    if !talk.udp {
        // RFC 9293 section 3.1: over the pseudo header as well.
        let pseudo = 6 + u32::from(length - 20) + u32::from(!checksum(&frame[26..34], 0));
        let check = checksum(&frame[34..], pseudo);
        frame[50..52].copy_from_slice(&check.to_be_bytes());
    }
}

/// The Internet checksum, RFC 1071.
fn checksum(bytes: &[u8], begin: u32) -> u16 {
    let pairs =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from));
    let mut sum = begin + pairs.sum::<u32>();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

fn template(path: &Path, completes: bool) -> io::Result<Template> {
    let mut reader = FileReader::open(path).map_err(|error| io::Error::other(error.to_string()))?;
    let mut decoder = Decoder::new(&Limits::default());
    let mut segments: Vec<Told> = Vec::new();
    let (mut ends, mut begins, mut before) = (None, [0_u32; 2], 0);
    while let Some(frame) = reader.next() {
        let Packet::Segment(segment) = decoder.decode(&frame) else { continue };
        let (client, server) = *ends.get_or_insert((segment.src(), segment.dst()));
        let from_client = (client, server) == (segment.src(), segment.dst());
        if !from_client && (server, client) != (segment.src(), segment.dst()) {
            continue;
        }
        let side = usize::from(!from_client);
        if segment.flags.syn() {
            begins[side] = segment.seq;
        }
        let after = if before == 0 { 0 } else { frame.stamp.0 - before };
        before = frame.stamp.0;
        let (seq, ack) = (segment.seq.wrapping_sub(begins[side]), segment.ack.wrapping_sub(begins[1 - side]));
        let (flags, payload) = (segment.flags.0, segment.payload.to_vec());
        segments.push(Told { after, from_client, seq, ack, flags, payload });
    }
    if segments.is_empty() {
        return Err(io::Error::other(format!("{}: no connection", path.display())));
    }
    Ok(Template { segments, completes })
}

/// The last question of a capture that has an answer, and the answer.
fn question_and_answer(path: &Path) -> io::Result<[Vec<u8>; 2]> {
    let mut reader = FileReader::open(path).map_err(|error| io::Error::other(error.to_string()))?;
    let mut decoder = Decoder::new(&Limits::default());
    let (mut questions, mut answers) = (Vec::new(), Vec::new());
    while let Some(frame) = reader.next() {
        if let Packet::Datagram(datagram) = decoder.decode(&frame) {
            let message = datagram.payload.to_vec();
            if datagram.src_port == 53 { answers.push(message) } else { questions.push(message) }
        }
    }
    for answer in answers.into_iter().rev() {
        if let Some(question) = questions.iter().find(|question| question.get(..2) == answer.get(..2)) {
            return Ok([question.clone(), answer]);
        }
    }
    Err(io::Error::other(format!("{}: no answered question", path.display())))
}
