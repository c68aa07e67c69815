//! `tlswhy show`: one handshake as a ladder of packets.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;

use super::args::ShowArgs;
use super::captures::{Frames, filter};
use super::keep::of_lookup;
use super::vantages::Files;
use super::{Done, Failure, keylog, output};
use crate::aside::dns::qtype;
use crate::base::{FlowKey, Limits, PacketNo, PerSide, Side};
use crate::capture::file::FileReader;
use crate::capture::walk;
use crate::decode::{Decoder, Packet, Segment};
use crate::event::{Id, asked_name};
use crate::evidence::crossing::{Crossing, Vantage};
use crate::evidence::talk::Teller;
use crate::evidence::{Evidence, Stage};
use crate::flow::stream::{Piece, Stream};
use crate::pipeline::{self, Arrival, AsJudged, Judged, Settings, Source};
use crate::report::ladder::{self, Other, Rung};
use crate::tls::codes::HandshakeType;
use crate::tls::hello::{ClientHello, ServerHello};
use crate::tls::idn;
use crate::tls::message;
use crate::tls::record::{Inbound, Unit};

/// Packets of one handshake drawn at most.
const RUNGS: usize = 400;

/// How what is said of a sealed record begins.
const SEALED: &str = "sealed";

/// Attempts remembered to name those of one episode.
const ATTEMPTS: usize = 1 << 17;

/// The attempts of each episode.
#[derive(Default)]
struct Episodes {
    attempts: BTreeMap<u64, Vec<Other>>,
    count: usize,
}

impl Episodes {
    fn add(&mut self, evidence: &Evidence) {
        let Some(episode) = evidence.around.episode.filter(|_| self.count < ATTEMPTS) else { return };
        self.count += 1;
        let (id, started, outcome) = (Id::of(evidence), evidence.started, evidence.outcome);
        let other = Other { id, started, attempt: episode.attempt, outcome };
        self.attempts.entry(episode.id).or_default().push(other);
    }

    /// All but this one, in order.
    fn beside(&mut self, evidence: &Evidence) -> Vec<Other> {
        let id = evidence.around.episode.map(|episode| episode.id);
        let mut others = id.and_then(|id| self.attempts.remove(&id)).unwrap_or_default();
        others.retain(|other| other.id != Id::of(evidence));
        others.sort_by_key(|other| other.attempt);
        others
    }
}

/// Runs `show`.
pub fn run(args: &ShowArgs) -> Result<Done, Failure> {
    if args.id.len() < Id::FEWEST_DIGITS || !args.id.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Failure::Says(format!(
            "'{}' is no id: it has at least {} hexadecimal digits (the table of `tlswhy read` and the field id of events give it)",
            args.id,
            Id::FEWEST_DIGITS
        )));
    }
    let settings = output::settings(&args.shared, true)?;
    keylog::read(&args.shared.keylog, &settings.keys)?;
    if !args.sides.inside.is_empty() {
        return both_sides(args, &settings);
    }
    let mut filter = filter(args.shared.filter.as_deref())?;
    let found = walk::expand(&args.paths);
    for problem in &found.problems {
        eprintln!("tlswhy: {problem}");
    }
    let mut hits: Vec<(std::path::PathBuf, Judged)> = Vec::new();
    let mut episodes = Episodes::default();
    for path in &found.files {
        if path.as_os_str() == "-" {
            return Err(Failure::Says(
                "show reads a capture twice, which standard input cannot be: save it to a file first".into(),
            ));
        }
        let reader = match FileReader::open(path) {
            Ok(reader) => reader.with_keys(&settings.keys),
            Err(error) => {
                eprintln!("tlswhy: {error}");
                continue;
            }
        };
        let mut source =
            Frames { reader, filter: filter.as_mut(), progress: None, done_before: 0, since: 0, over: false };
        pipeline::analyse_here(&mut source, &settings, &mut AsJudged, &mut |judged: Judged| {
            episodes.add(&judged.evidence);
            if Id::of(&judged.evidence).matches(&args.id) {
                hits.push((path.clone(), judged));
            }
        });
    }
    let (path, judged) = the_one(args, &hits)?;
    let rungs = climb(path, &judged.evidence, &settings.limits)?;
    draw(args, judged, &rungs, &mut episodes)
}

/// Prints the ladder of one attempt, and what belongs to the same episode.
fn draw(args: &ShowArgs, judged: &Judged, rungs: &[Rung], episodes: &mut Episodes) -> Result<Done, Failure> {
    let style = output::style(args.shared.color);
    let others = episodes.beside(&judged.evidence);
    let diagnosis = judged.diagnosis.as_ref();
    let mut rungs = rungs.to_vec();
    say_opened(&mut rungs, &judged.evidence);
    let text = ladder::render(&judged.evidence, diagnosis, &judged.hygiene, &rungs, &others, style);
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Done::Well)
}

/// Says of sealed records what keys opened in them.
fn say_opened(rungs: &mut [Rung], evidence: &Evidence) {
    for rung in rungs {
        let of = |(from, no, _): &&(Side, PacketNo, _)| *from == rung.from && *no == rung.no;
        let held: Vec<_> =
            evidence.decryption.held.iter().filter(of).map(|(.., held)| held.to_string()).collect();
        let sealed: Vec<_> = rung.what.iter_mut().filter(|what| what.starts_with(SEALED)).collect();
        // Each its own message, or all in one record; else which is in which is not told.
        if sealed.len() == held.len() {
            sealed.into_iter().zip(held).for_each(|(what, held)| *what += &format!(": {held}"));
        } else if let [one] = &mut *sealed.into_iter().collect::<Vec<_>>() {
            if !held.is_empty() {
                **one += &format!(": {}", held.join(", "));
            }
        } else if !held.is_empty() {
            rung.what.push(format!("opened: {}", held.join(", ")));
        }
    }
}

/// The one hit, or hits on the same attempt.
fn the_one<'a, T>(args: &ShowArgs, hits: &'a [(T, Judged)]) -> Result<&'a (T, Judged), Failure> {
    let Some(first) = hits.first() else {
        return Err(Failure::Says(format!(
            "no handshake here has an id that begins with {} (`tlswhy read` lists the failed ones, `tlswhy read --json` all)",
            args.id
        )));
    };
    if let Some((_, other)) = hits.get(1)
        && Id::of(&other.evidence) != Id::of(&first.1.evidence)
    {
        let ids: Vec<_> = hits.iter().map(|(_, judged)| Id::of(&judged.evidence).to_string()).collect();
        return Err(Failure::Says(format!("{} begins several ids: {}", args.id, ids.join(", "))));
    }
    Ok(first)
}

/// Draws a handshake as both sides of a gateway saw it.
fn both_sides(args: &ShowArgs, settings: &Settings) -> Result<Done, Failure> {
    let mut files = Files::find(&args.sides)?;
    let filter = args.shared.filter.as_deref();
    let mut hits = Vec::new();
    let mut episodes = Episodes::default();
    files.analyse(filter, settings, &mut AsJudged, &mut |judged: Judged| {
        episodes.add(&judged.evidence);
        if Id::of(&judged.evidence).matches(&args.id) {
            hits.push(((), judged));
        }
    })?;
    let ((), judged) = the_one(args, &hits)?;
    let mut rungs = Vec::new();
    if let Some(crossing) = &judged.evidence.around.crossing {
        let (mut inside, mut outside) = files.open(filter)?;
        for (source, vantage) in [(&mut inside, Vantage::Inside), (&mut outside, Vantage::Outside)] {
            name_packets(source, vantage, crossing, &settings.limits, &mut rungs);
        }
    }
    draw(args, judged, &rungs, &mut episodes)
}

/// Says what each packet of one side is.
fn name_packets(
    source: &mut dyn Source,
    vantage: Vantage,
    crossing: &Crossing,
    limits: &Limits,
    rungs: &mut Vec<Rung>,
) {
    let mut wanted: HashMap<PacketNo, Side> = HashMap::new();
    for crossed in &crossing.packets {
        let sights = [crossed.near, crossed.far].into_iter().flatten();
        let here = sights.filter(|sight| sight.mark.no.is_outside() == (vantage == Vantage::Outside));
        wanted.extend(here.map(|sight| (sight.mark.no, crossed.from)));
    }
    let mut decoder = Decoder::new(limits);
    // Several connections of one handshake: each has streams of its own.
    let mut sides: HashMap<FlowKey, PerSide<Direction>> = HashMap::new();
    while let Some(arrival) = source.next() {
        let Arrival::Frames(frames) = arrival else { continue };
        for frame in &frames {
            let (no, when) = (vantage.mark(frame.no), frame.stamp);
            let Packet::Segment(segment) = decoder.decode(frame) else { continue };
            let Some(&from) = wanted.get(&no) else { continue };
            let (key, _) = FlowKey::of(segment.src(), segment.dst());
            let what = sides.entry(key).or_default().of_mut(from).say(&segment, no, when, limits);
            rungs.push(Rung { no, when, from, what, len: segment.payload_wire_len, note: None });
        }
    }
}

/// Reads the file again and says what each packet of the attempt is.
fn climb(path: &Path, evidence: &Evidence, limits: &Limits) -> Result<Vec<Rung>, Failure> {
    let mut reader = FileReader::open(path).map_err(|error| Failure::Says(error.to_string()))?;
    let mut decoder = Decoder::new(limits);
    let (key, _) = FlowKey::of(evidence.client, evidence.server);
    let mut rungs = Vec::new();
    let mut sides: PerSide<Direction> = PerSide::default();
    let mut teller = Teller::new(evidence.transport);
    while let Some(frame) = reader.next() {
        if frame.no > evidence.last || rungs.len() >= RUNGS {
            break;
        }
        let (no, when) = (frame.no, frame.stamp);
        match decoder.decode(&frame) {
            Packet::Datagram(datagram)
                if no >= evidence.first && FlowKey::of(datagram.src(), datagram.dst()).0 == key =>
            {
                let Some(teller) = &mut teller else { continue };
                let from = if datagram.src() == evidence.client { Side::Client } else { Side::Server };
                let what = teller.say(&datagram, from);
                rungs.push(Rung { no, when, from, what, len: datagram.payload_wire_len, note: None });
            }
            Packet::Segment(segment)
                if teller.is_none()
                    && no >= evidence.first
                    && FlowKey::of(segment.src(), segment.dst()).0 == key =>
            {
                let from = if segment.src() == evidence.client { Side::Client } else { Side::Server };
                let what = sides.of_mut(from).say(&segment, no, when, limits);
                let len = segment.payload_wire_len;
                let odd = segment.flags.rst() || segment.flags.syn();
                let note = odd.then(|| format!("ttl {}", segment.hop.ttl));
                rungs.push(Rung { no, when, from, what, len, note });
            }
            Packet::IcmpError(error)
                if no >= evidence.first && FlowKey::of(error.quoted_src, error.quoted_dst).0 == key =>
            {
                // The error answers who sent the packet that it quotes.
                let from = if error.quoted_src == evidence.client { Side::Server } else { Side::Client };
                let kind = if error.v6 { "ICMPv6" } else { "ICMP" };
                let what = vec![format!("{kind} {}/{} from {}", error.kind, error.code, error.hop.src)];
                rungs.push(Rung {
                    no,
                    when,
                    from,
                    what,
                    len: 0,
                    note: Some(format!("ttl {}", error.hop.ttl)),
                });
            }
            ref packet if evidence.stage == Stage::Dns && no >= evidence.first => {
                let name = asked_name(evidence).unwrap_or_default();
                let Some((from, message)) = of_lookup(packet, evidence.client.addr, name) else {
                    continue;
                };
                let kind = qtype::name(message.qtype)
                    .map_or_else(|| format!("type {}", message.qtype), str::to_owned);
                let what = vec![if message.is_response {
                    let rcode = message
                        .rcode
                        .name()
                        .map_or_else(|| format!("code {}", message.rcode.0), str::to_owned);
                    format!("DNS answer {kind}: {rcode}")
                } else {
                    format!("DNS question {kind} {name}")
                }];
                let len = match packet {
                    Packet::Datagram(datagram) => u32::try_from(datagram.payload.len()).unwrap_or(u32::MAX),
                    Packet::Segment(segment) => segment.payload_wire_len,
                    _ => 0,
                };
                rungs.push(Rung { no, when, from, what, len, note: None });
            }
            _ => {}
        }
    }
    Ok(rungs)
}

/// One direction while it is drawn.
#[derive(Default)]
struct Direction {
    stream: Stream,
    inbound: Option<Inbound>,
}

impl Direction {
    fn say(
        &mut self,
        segment: &Segment<'_>,
        no: crate::base::PacketNo,
        when: crate::base::Stamp,
        limits: &Limits,
    ) -> Vec<String> {
        let mut what = Vec::new();
        let flags = segment.flags;
        if flags.syn() {
            what.push(if flags.ack() { "SYN ACK".into() } else { "SYN".into() });
            self.stream.start(segment.seq.wrapping_add(1));
        }
        if segment.payload_wire_len > 0 {
            let mut units = Vec::new();
            let inbound = self.inbound.get_or_insert_with(|| Inbound::new(limits.bytes_per_side));
            let seq = segment.seq.wrapping_add(u32::from(flags.syn()));
            let took = self.stream.push(
                seq,
                segment.payload,
                segment.payload_wire_len,
                no,
                when,
                limits.holes_per_side,
                limits.bytes_per_side,
                &mut |piece| match piece {
                    Piece::Bytes(bytes, no, when) => inbound.feed(bytes, no, when, &mut |read| {
                        units.push(read.unit.into_owned());
                    }),
                    Piece::Gap(bytes, no, when) => {
                        inbound.gap(bytes, no, when, &mut |read| units.push(read.unit))
                    }
                },
            );
            what.extend(units.iter().filter_map(named));
            if took.fresh == 0 {
                what.push("retransmission".into());
            } else if took.ahead {
                what.push("out of order".into());
            } else if what.is_empty() {
                what.push("data".into());
            }
        }
        if flags.fin() {
            what.push("FIN".into());
        }
        if flags.rst() {
            what.push(if flags.ack() { "RST ACK".into() } else { "RST".into() });
        }
        if what.is_empty() {
            what.push("ACK".into());
        }
        what
    }
}

/// What a unit is, for a rung.
fn named(unit: &Unit) -> Option<String> {
    Some(match unit {
        Unit::Handshake { kind: HandshakeType::CLIENT_HELLO, record_version, body } => {
            let hello = ClientHello::parse(*record_version, body)?;
            let sni =
                hello.sni.as_deref().map(|sni| format!(" sni={}", idn::for_people(sni))).unwrap_or_default();
            format!("ClientHello{sni} {}", hello.highest_version())
        }
        Unit::Handshake { kind: HandshakeType::SERVER_HELLO, body, .. } => {
            let hello = ServerHello::parse(body)?;
            let name = if hello.retry { "HelloRetryRequest" } else { "ServerHello" };
            format!("{name} {} {}", hello.version, hello.cipher)
        }
        Unit::Handshake { kind: HandshakeType::CERTIFICATE, body, .. } => {
            let count = message::certificates(body).map_or(0, |list| list.ders.len());
            format!("Certificate ({count})")
        }
        Unit::Handshake { kind, .. } => {
            kind.name().map_or_else(|| format!("handshake message {}", kind.0), str::to_owned)
        }
        Unit::Sslv2ClientHello { .. } => "ClientHello in SSL 2.0 framing".into(),
        Unit::Alert(alert) => format!("{} alert {}", alert.level.word(), alert.description),
        Unit::ChangeCipherSpec => "ChangeCipherSpec".into(),
        Unit::Sealed { content_type: 23, len } => format!("{SEALED} {len} B"),
        Unit::Sealed { content_type, len } => format!("{SEALED} {len} B (type {content_type})"),
        Unit::Kept { body, .. } => format!("{SEALED} {} B", body.len()),
        Unit::Malformed(why) => format!("malformed: {why}"),
        Unit::NotTls => "not TLS".into(),
        Unit::Gap { bytes } => format!("{bytes} B missing"),
    })
}
