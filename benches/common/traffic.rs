//! Makes captures of any size: real handshakes, copied with fresh addresses, ports, sequence numbers, randoms,
//! certificate serial numbers, names and times, among bulk transfer, DNS, HTTP and other UDP. The same seed gives
//! the same file.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::path::Path;

use tlswhy::base::Limits;
use tlswhy::capture::file::FileReader;
use tlswhy::decode::{Decoder, Packet, TcpFlags};

use super::frame::{self, Emit, Made, Payload, Random, SEGMENT, Talk, Writer};

/// What a capture is to be.
#[derive(Clone, Copy)]
pub struct Plan {
    /// About how large, in bytes.
    pub bytes: u64,
    /// Whether anything but short handshakes is in it.
    pub mixed: bool,
    /// Every certificate and name occurs once. Otherwise those of a few hundred servers come again and again,
    /// which flatters a program that remembers what it parsed.
    pub unique: bool,
}

/// A handshake of our own captures: the first connection of a file.
pub struct Template {
    pub segments: Vec<Told>,
    completes: bool,
}

/// One segment of a template; numbers count from each side's first.
pub struct Told {
    pub after: i64,
    pub from_client: bool,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub payload: Vec<u8>,
}

/// File, whether it completes, how often of 100 it is taken.
const TEMPLATES: [(&str, bool, u64); 6] = [
    // TLS 1.2, one EC certificate.
    ("captures/none/plain-https-tls12.pcap", true, 14),
    // TLS 1.3, a small flight.
    ("captures/none/plain-https-inside.pcap", true, 14),
    // TLS 1.3, a flight of 4 kB.
    ("captures/odd/base-big-flight.pcap", true, 30),
    // TLS 1.2, an RSA certificate and its issuer's.
    ("captures/none/both-uses-rustls-openssl4-tls12.pcap", true, 20),
    // TLS 1.2, two EC certificates and a page.
    ("captures/none/private-root-s-client-s-server-tls12.pcap", true, 20),
    // A firewall's reset after the hello.
    ("captures/firewall/sni-reset-inside.pcap", false, 2),
];
const NAMES: &str = "captures/none/dns-alias-works.pcap";
/// The name in all templates.
const NAME: &[u8; 16] = b"www.example.test";

/// 2026-11-24T12:00:00Z: the certificates in the templates are valid then.
pub const BEGIN: i64 = 1_795_521_600_000_000;
/// Mean time between connections. A mixed capture has 100 kB for each, the other one 6 kB.
const MIXED_GAP: u64 = 25_000;
const SHORT_GAP: u64 = 2_000;

pub struct Maker {
    pub random: Random,
    pub templates: Vec<Template>,
    dns: [Vec<u8>; 2],
    talks: u64,
    unique: bool,
    pub made: Made,
}

/// Conversations under way, told packet by packet in the order of time.
#[derive(Default)]
pub struct Stage {
    due: BinaryHeap<Reverse<(i64, u64)>>,
    talks: HashMap<u64, Talk>,
    id: u64,
}

impl Stage {
    pub fn enter(&mut self, talk: Talk) {
        if let Some(first) = talk.emits.front() {
            self.due.push(Reverse((first.at, self.id)));
            self.talks.insert(self.id, talk);
            self.id += 1;
        }
    }

    /// When the next packet is due.
    pub fn next(&self) -> Option<i64> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Writes the next packet, if there is one.
    pub fn step(&mut self, out: &mut Writer) -> io::Result<bool> {
        let Some(Reverse((_, which))) = self.due.pop() else { return Ok(false) };
        if let Some(talk) = self.talks.get_mut(&which) {
            if let Some(emit) = talk.emits.pop_front() {
                out.packet(talk, &emit)?;
            }
            match talk.emits.front() {
                Some(next) => self.due.push(Reverse((next.at, which))),
                None => drop(self.talks.remove(&which)),
            }
        }
        Ok(true)
    }
}

/// Writes the capture.
///
/// # Errors
/// The templates cannot be read or the file cannot be written.
pub fn make(path: &Path, plan: &Plan, root: &Path) -> io::Result<Made> {
    let mut maker = Maker::new(root, plan.unique)?;
    let out = Writer::create(path, frame::bulk(&mut maker.random))?;
    play(maker, out, Stage::default(), plan)
}

/// Few connections that carry most of the packets once their handshakes are over, beside others.
#[derive(Clone, Copy)]
pub struct Busy {
    pub connections: u64,
    /// Bytes of the others.
    pub bytes: u64,
}

/// Writes such a capture. Ten of eleven packets are those of the busy connections, however many, where there are 20 MB of others.
///
/// # Errors
/// As [`make`].
pub fn busy(path: &Path, plan: &Busy, root: &Path) -> io::Result<Made> {
    const SEGMENTS: u64 = 162_000;
    #[expect(clippy::cast_possible_truncation, reason = "less than all")]
    let segments = (SEGMENTS / plan.connections.max(1)) as u32;
    let mut maker = Maker::new(root, false)?;
    let out = Writer::create(path, frame::bulk(&mut maker.random))?;
    let mut stage = Stage::default();
    let others = Plan { bytes: plan.bytes, mixed: true, unique: false };
    let lasts = (plan.bytes / 100_000 * MIXED_GAP) as i64;
    for n in 0..plan.connections {
        let begin = BEGIN + n as i64 * 1_000;
        let mut talk = maker.handshake(begin, Some(3), segments, 1);
        let own = talk.emits.back().map_or(1, |last| last.at - begin);
        // They go on for as long as there are others.
        talk.emits.iter_mut().for_each(|emit| emit.at = begin + (emit.at - begin) * lasts / own);
        stage.enter(talk);
    }
    let most = others.bytes + SEGMENTS * 1_630;
    play(maker, out, stage, &Plan { bytes: most, ..others })
}

fn play(mut maker: Maker, mut out: Writer, mut stage: Stage, plan: &Plan) -> io::Result<Made> {
    let mut clock = BEGIN;
    loop {
        while out.made.bytes < plan.bytes && stage.next().is_none_or(|at| at >= clock) {
            for talk in maker.start(clock, plan.mixed) {
                stage.enter(talk);
            }
            clock += maker.random.below(2 * if plan.mixed { MIXED_GAP } else { SHORT_GAP }) as i64;
        }
        if !stage.step(&mut out)? {
            break;
        }
    }
    let made = out.finish()?;
    Ok(Made { handshakes: maker.made.handshakes, completed: maker.made.completed, ..made })
}

impl Maker {
    pub fn new(root: &Path, unique: bool) -> io::Result<Self> {
        let templates = TEMPLATES.iter().map(|(name, completes, _)| template(&root.join(name), *completes));
        Ok(Self {
            templates: templates.collect::<io::Result<_>>()?,
            dns: question_and_answer(&root.join(NAMES))?,
            random: Random(20_261_123),
            talks: 0,
            unique,
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
        let which = choose(&mut self.random);
        let segments = match (mixed && self.templates[which].completes, self.random.below(10)) {
            (false, _) => 0,
            (true, 0) => 300 + self.random.below(240) as u32,
            (true, _) => 4 + self.random.below(16) as u32,
        };
        let which = (self.unique || !self.templates[which].completes).then_some(which);
        talks.push(self.handshake(at + 20_000, which, segments, 1));
        if mixed && self.random.below(2) == 0 {
            talks.push(self.http(at + 5_000));
        }
        if mixed && self.random.below(3) == 0 {
            talks.push(self.datagrams(at + 7_000));
        }
        talks
    }

    /// A handshake of a template (none: always the same for a server), `slow` times as long as it was, with so many segments of bulk.
    pub fn handshake(&mut self, at: i64, which: Option<usize>, bulk: u32, slow: i64) -> Talk {
        let mut talk = self.talk(443, false);
        let begins = [self.random.next() as u32, self.random.next() as u32];
        let server = u64::from(talk.addresses[1][3]);
        let template = &self.templates[which.unwrap_or_else(|| choose(&mut Random(server)))];
        self.made.handshakes += 1;
        self.made.completed += u64::from(template.completes);
        let (name, serial) = if self.unique {
            (name(self.made.handshakes), self.random.next())
        } else {
            (name(server), server)
        };
        // The transfer comes with the server's last data that is no alert.
        let last = template.segments.iter().rposition(|told| !told.from_client && told.payload.len() > 100);
        let mut moved = [0_u32; 2];
        let mut now = at;
        let mut certified = false;
        for (place, told) in template.segments.iter().enumerate() {
            let side = usize::from(!told.from_client);
            now += told.after * slow;
            let mut payload = told.payload.clone();
            // The issuer's certificate stays as it is: servers share it.
            let serial = if certified { 0 } else { serial };
            certified |= freshen(&mut payload, &name, serial, &mut self.random);
            let seq = begins[side].wrapping_add(told.seq).wrapping_add(moved[side]);
            let acks = told.flags & TcpFlags::ACK != 0;
            let ack =
                if acks { begins[1 - side].wrapping_add(told.ack).wrapping_add(moved[1 - side]) } else { 0 };
            let next = seq.wrapping_add(payload.len() as u32);
            talk.segment(now, told.from_client, seq, ack, told.flags, payload);
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
        let (syn, ack) = (TcpFlags::SYN, TcpFlags::ACK);
        talk.segment(at, true, mine, 0, syn, Vec::new());
        talk.segment(at + 9_000, false, theirs, mine.wrapping_add(1), syn | ack, Vec::new());
        talk.segment(at + 9_050, true, mine.wrapping_add(1), data, ack, Vec::new());
        talk.segment(at + 9_100, true, mine.wrapping_add(1), data, ack | 8, get);
        let segments = 8 + self.random.below(16) as u32;
        let mut now = at + 20_000;
        for n in 0..segments {
            let mut payload = vec![b'x'; SEGMENT as usize];
            if n == 0 {
                payload[..19].copy_from_slice(b"HTTP/1.1 200 OK\r\n\r\n");
            }
            let seq = data.wrapping_add(n * SEGMENT);
            talk.segment(now, false, seq, asked, ack, payload);
            talk.segment(now + 40, true, asked, seq.wrapping_add(SEGMENT), ack, Vec::new());
            now += 120;
        }
        let end = data.wrapping_add(segments * SEGMENT);
        talk.segment(now, false, end, asked, ack | TcpFlags::FIN, Vec::new());
        talk.segment(now + 60, true, asked, end.wrapping_add(1), ack | TcpFlags::FIN, Vec::new());
        talk.segment(now + 9_000, false, end.wrapping_add(1), asked.wrapping_add(1), ack, Vec::new());
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
            talk.datagram(at + 4_000 * n as i64, from_client, message);
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
            talk.datagram(at + 400 * n, from_client, message);
        }
        talk
    }
}

/// The place of a template, each as often as its share says.
fn choose(random: &mut Random) -> usize {
    let mut drawn = random.below(100);
    let place = TEMPLATES.iter().position(|(_, _, share)| match drawn.checked_sub(*share) {
        Some(rest) => {
            drawn = rest;
            false
        }
        None => true,
    });
    place.unwrap_or(0)
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
            talk.segment(now + 30, true, client, seq.wrapping_add(SEGMENT), TcpFlags::ACK, Vec::new());
        }
    }
    now + 40
}

/// Makes a hello's random new, writes the server's name, and gives its certificate a serial number of its own (whose
/// signature then no longer fits, which costs as much to find as that it does). Whether there was a certificate.
fn freshen(payload: &mut [u8], name: &[u8; 16], serial: u64, random: &mut Random) -> bool {
    if let [22, 3, _, _, _, 1 | 2, _, _, _, 3, 3, rest @ ..] = payload
        && let Some(hello_random) = rest.get_mut(..32)
    {
        random.fill(hello_random);
    }
    let mut from = 0;
    while let Some(at) = find(&payload[from..], NAME) {
        payload[from + at..][..NAME.len()].copy_from_slice(name);
        from += at + NAME.len();
    }
    // Version 3, then the tag of the serial number, its length, and a first byte that stays positive.
    let Some(at) = find(payload, &[0xa0, 3, 2, 1, 2, 2]) else { return false };
    let length = payload.get(at + 6).map_or(0, |&length| usize::from(length));
    if let Some(digits) = payload.get_mut(at + 8..at + 7 + length) {
        for (digit, new) in digits.iter_mut().zip(serial.to_le_bytes()) {
            *digit ^= new;
        }
    }
    true
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    let &first = word.first()?;
    (0..(text.len() + 1).saturating_sub(word.len()))
        .find(|&at| text[at] == first && text[at..].starts_with(word))
}

/// A name as long as the templates' and like no other number's.
fn name(mut number: u64) -> [u8; 16] {
    let mut name = *b"00000000.ab.test";
    for digit in name[..8].iter_mut().rev() {
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize];
        number /= 36;
    }
    name
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
