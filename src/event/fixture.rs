//! Attempts for tests: a few ordinary stories told as evidence.

use super::{
    BypassedNow, FileRead, Hygiene, InterfaceNow, KeptNow, OutputNow, Running, Since, Spread, Stats,
};
use crate::aside::dns::DnsAnswer;
use crate::base::{Addr, Cite, Endpoint, Lost, PacketNo, Packets, Seen, Side, Span, Stamp};
use crate::cause::{Cause, Certainty, Diagnosis, Finding, Party};
use crate::decode::TcpFlags;
use crate::evidence::around::{KnownChains, KnownFrom, Method, ShownBefore, StatusExchange};
use crate::evidence::crossing::trace::Mark;
use crate::evidence::crossing::{Beside, Crossed, Crossing, Fate, Sight, Vantage};
use crate::evidence::{Chain, Ending, Evidence, Outcome, Sealing, Stage, TcpFacts};
use crate::tls::cert::{Ahead, AltNames, Certificate, KeyKind, PublicKey};
use crate::tls::codes::{
    AlertDescription, AlertLevel, CipherSuite, ExtensionType, Group, SignatureScheme, Version,
};
use crate::tls::hello::{ClientHello, Offer, ServerHello};
use crate::tls::message::{Alert, ServerKeyExchange};
use crate::tls::ocsp::{self, CertId};
use crate::tls::sealed::SealedRecord;
use std::sync::Arc;

/// 2026-11-23T09:30:00Z.
pub(crate) const T0: Stamp = Stamp::from_secs(1_795_426_200);

fn at(no: u64, millis: i64) -> (Packets, Stamp) {
    (Packets::one(PacketNo(no)), T0 + Span::from_millis(millis))
}

fn seen<T>(value: T, no: u64, millis: i64) -> Seen<T> {
    let (packets, when) = at(no, millis);
    Seen::new(value, packets, when)
}

/// A defect that did not cause a failure.
pub(crate) fn no_ski(client_rejects: Option<bool>) -> Hygiene {
    let says = "the leaf has no subjectKeyIdentifier".to_owned();
    Hygiene { cause: Cause::MissingExtension, reason: "no_ski", says, client_rejects }
}

/// Gives an attempt a hello of Go's.
pub(crate) fn by_go(evidence: &mut Evidence) {
    let extensions = [0, 5, 10, 11, 13, 0xff01, 18, 43, 51].map(ExtensionType).into();
    let hello =
        ClientHello { offer: Arc::new(Offer { extensions, ..Offer::default() }), ..ClientHello::default() };
    evidence.hello = Some(seen(hello, 4, 13).into());
}

/// A sealed attempt in which a record has the size of what another showed in clear.
pub(crate) fn sealed_like(mut sealed: Evidence, clear: &Evidence) -> Evidence {
    let chain = clear.chain.clear().expect("in clear").clone();
    let record = SealedRecord { content_type: 23, len: 900, at: PacketNo(6), when: sealed.started };
    sealed.around.shown_before = Some(ShownBefore::of_size(chain, record, KnownFrom::Server));
    sealed
}

/// A leaf for old.example.com that was valid until 2026-11-01.
pub(crate) fn leaf() -> Certificate {
    Certificate {
        der: Arc::from(&[][..]),
        sha256: [0xab; 32],
        serial: "03A1".into(),
        subject: "CN=old.example.com".into(),
        issuer: "CN=Example CA R3, O=Example".into(),
        subject_der: vec![],
        issuer_der: vec![],
        not_before: Stamp::from_secs(1_785_542_400),
        not_after: Stamp::from_secs(1_793_491_200),
        common_name: Some("old.example.com".into()),
        alt_names: Some(AltNames { dns: vec!["old.example.com".into()], ..AltNames::default() }),
        alt_names_critical: false,
        key: PublicKey { kind: KeyKind::Rsa(2048), spki: vec![] },
        signature_algorithm: "sha256WithRSAEncryption".into(),
        signature_algorithm_der: vec![],
        tbs: 0..0,
        signature: vec![],
        version: 3,
        basic_constraints: None,
        basic_constraints_critical: true,
        key_usage: None,
        extended_key_usage: None,
        authority_key_id: None,
        subject_key_id: None,
        name_constraints: None,
        unknown_critical: vec![],
        must_staple: false,
        ocsp_urls: vec![],
        crl_urls: vec![],
        issuer_urls: vec![],
        scts: (0, None),
        has_policies: false,
        quirks: Vec::new(),
        damage: None,
        ahead: Ahead::default(),
    }
}

fn hello() -> ClientHello {
    let offer = Offer {
        legacy_version: Version::TLS12,
        ciphers: [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030].map(CipherSuite).to_vec(),
        extensions: [0, 10, 13, 16, 43].map(ExtensionType).to_vec(),
        alpn: vec!["h2".into(), "http/1.1".into()],
        supported_versions: vec![Version::TLS13, Version::TLS12],
        groups: [29, 23, 24].map(Group).to_vec(),
        signature_schemes: [0x0403, 0x0804, 0x0401].map(SignatureScheme).to_vec(),
        ..Offer::default()
    };
    ClientHello {
        record_version: Version::TLS10,
        random: [7; 32],
        sni: Some("www.example.com".into()),
        offer: Arc::new(offer),
        ..ClientHello::default()
    }
}

/// A TLS 1.2 handshake that completed.
pub(crate) fn completed() -> Evidence {
    let mut sealing = Sealing::default();
    sealing.finished.client = Some(seen((), 8, 30));
    sealing.finished.server = Some(seen((), 9, 42));
    let client = Endpoint { addr: Addr::v4([192, 0, 2, 10]), port: 50_123 };
    let server = Endpoint { addr: Addr::v4([198, 51, 100, 7]), port: 443 };
    Evidence {
        last: PacketNo(12),
        ended: T0 + Span::from_millis(60),
        outcome: Outcome::Completed,
        stage: Stage::Application,
        ending: seen(Ending::WentOn, 10, 50),
        tcp: TcpFacts {
            syn: Some(seen(0x1234_5678, 1, 0)),
            syns: 1,
            rtt: Some(Span::from_millis(12)),
            ..TcpFacts::default()
        },
        hello: Some(seen(hello(), 4, 13).into()),
        server_hello: Some(
            seen(
                ServerHello {
                    version: Version::TLS12,
                    legacy_version: Version::TLS12,
                    cipher: CipherSuite(0xc02f),
                    ..ServerHello::default()
                },
                6,
                27,
            )
            .into(),
        ),
        chain: Chain::Clear(seen(vec![Arc::new(leaf())], 6, 27)),
        key_exchange: Some(
            seen(
                ServerKeyExchange {
                    group: Some(Group(29)),
                    scheme: Some(SignatureScheme(0x0804)),
                    ..ServerKeyExchange::default()
                },
                6,
                27,
            )
            .into(),
        ),
        sealing: sealing.into(),
        ..Evidence::new(client, server, PacketNo(1), T0)
    }
}

/// The client refused an expired leaf.
pub(crate) fn expired() -> Evidence {
    let alert = Alert { level: AlertLevel::FATAL, description: AlertDescription::CERTIFICATE_EXPIRED };
    Evidence {
        outcome: Outcome::Failed,
        stage: Stage::Certificate,
        ending: seen(Ending::Alert { from: Side::Client, alert }, 8, 29),
        sealing: Sealing::default().into(),
        ended: T0 + Span::from_millis(31),
        ..completed()
    }
}

/// What is to be said of [`expired`].
pub(crate) fn expired_diagnosis() -> Diagnosis {
    let finding = Finding::new(
        Certainty::Proven,
        "leaf_expired",
        Party::Server,
        PacketNo(6),
        "the leaf's notAfter is 2026-11-01, 22 d before this handshake",
    )
    .and(PacketNo(8), "the client rejects it: fatal certificate_expired (45)");
    let also = Finding::new(
        Certainty::Inferred,
        "san_mismatch",
        Party::Server,
        PacketNo(6),
        "the leaf names old.example.com, not www.example.com",
    );
    Diagnosis {
        primary: Some((Cause::ExpiredCert, finding)),
        also: vec![(Cause::NameMismatch, also)],
        blind: vec![(Cause::Revocation, "no OCSP answer in the capture")],
        candidates: vec![],
    }
}

/// Three SYNs without an answer.
pub(crate) fn syn_dropped() -> Evidence {
    let mut after = Packets::one(PacketNo(21));
    after.add(PacketNo(25));
    after.add(PacketNo(30));
    Evidence {
        client: Endpoint { addr: Addr(0x2001_0db8_0000_0000_0000_0000_0000_0010), port: 41_000 },
        server: Endpoint { addr: Addr(0x2001_0db8_00ff_0000_0000_0000_0000_0007), port: 8443 },
        started: T0 + Span::from_secs(65),
        ended: T0 + Span::from_secs(68),
        outcome: Outcome::Failed,
        stage: Stage::Tcp,
        ending: Seen::new(Ending::Silence { lasted: Span::from_secs(30) }, after, T0 + Span::from_secs(68)),
        tcp: TcpFacts { syns: 3, ..TcpFacts::default() },
        hello: None,
        server_hello: None,
        chain: Chain::Unsent,
        key_exchange: None,
        sealing: Sealing::default().into(),
        ..completed()
    }
}

/// What is to be said of [`syn_dropped`].
pub(crate) fn syn_dropped_diagnosis() -> Diagnosis {
    let evidence = syn_dropped();
    let cite = Cite::Silence { after: evidence.ending.at, lasted: Span::from_secs(30) };
    let finding = Finding::new(
        Certainty::Inferred,
        "syn_dropped",
        Party::Path,
        cite,
        "three SYNs were left without any answer, while other ports of the same host answer",
    );
    Diagnosis { primary: Some((Cause::Firewall, finding)), ..Diagnosis::default() }
}

/// TLS 1.3, ended by a sealed alert of the client.
pub(crate) fn sealed_alert() -> Evidence {
    let mut evidence = expired();
    evidence.client.addr = Addr::v4([192, 0, 2, 11]);
    evidence.ending = seen(Ending::SealedAlert { from: Side::Client, len: 19 }, 17, 3_200);
    if let Some(answer) = &mut evidence.server_hello {
        answer.value.version = Version::TLS13;
        answer.value.cipher = CipherSuite(0x1301);
        answer.value.group = Some(Group(0x11ec));
    }
    evidence.started = T0 + Span::from_secs(3);
    evidence.chain = Chain::Sealed(Packets::one(PacketNo(15)));
    evidence.key_exchange = None;
    evidence
}

/// The same with the records of the flight, which have the size of certificates that the server showed in clear.
pub(crate) fn sealed_rejection() -> Evidence {
    let mut evidence = sealed_alert();
    let answered = evidence.server_hello.as_ref().expect("an answer").when;
    let record = |len, no| SealedRecord { content_type: 23, len, at: PacketNo(no), when: answered };
    evidence.sealing.records.server = [23, 895, 96, 53].map(|len| record(len, 15)).into();
    evidence.sealing.records.client = vec![record(19, 17)].into();
    let chain = Seen::new(vec![Arc::new(leaf())], PacketNo(3), T0);
    let before = ShownBefore::of_size(chain, record(895, 15), KnownFrom::Server);
    evidence.around.known_chains =
        Some(Box::new(KnownChains { known: 2, fitting: vec![before.clone()], changed: None }));
    evidence.around.shown_before = Some(before);
    evidence
}

/// A lookup that gave no address.
pub(crate) fn nxdomain() -> Evidence {
    let mut evidence = syn_dropped();
    evidence.stage = Stage::Dns;
    evidence.server = Endpoint::default();
    let answer = DnsAnswer {
        name: "gone.example.com".into(),
        qtype: 1,
        rcode: 3,
        addresses: vec![],
        ttl: 0,
        cnames: vec![],
        ..DnsAnswer::default()
    };
    evidence.around.answers.push(seen(answer, 2, 5));
    evidence
}

/// A run over two files with eight expired leaves, two dropped SYNs, two undetermined and 48 successes.
pub(crate) fn stats() -> Stats {
    let mut stats = Stats {
        packets: 40_311,
        bytes: 12_345_678,
        first: Some(T0),
        last: Some(T0 + Span::from_millis(731_500)),
        lost: Lost { snapped_packets: 3, ..Lost::default() },
        files: vec![
            FileRead { name: "a.pcapng".into(), packets: 40_000, stopped: None },
            FileRead {
                name: "b.pcap".into(),
                packets: 311,
                stopped: Some("stopped after 311 packets: cut short".into()),
            },
        ],
        ..Stats::default()
    };
    for _ in 0..48 {
        stats.tally.add(&completed(), None);
    }
    for _ in 0..8 {
        stats.tally.add(&expired(), Some(&expired_diagnosis()));
    }
    for _ in 0..2 {
        stats.tally.add(&syn_dropped(), Some(&syn_dropped_diagnosis()));
        stats.tally.add(&sealed_alert(), None);
    }
    let mut abandoned = completed();
    abandoned.outcome = Outcome::Abandoned;
    stats.tally.add(&abandoned, None);
    stats
}

pub(crate) fn running() -> Running {
    let span = |micros| Span(micros);
    let mut since_last = Since { time: Span::from_secs(60), packets: 311, bytes: 40_000, ..Since::default() };
    since_last.tally.add(&completed(), None);
    Running {
        last: false,
        at: T0 + Span::from_secs(800),
        uptime: Span::from_secs(801),
        since_last,
        interfaces: vec![
            InterfaceNow {
                name: "eth0".into(),
                packets: 40_000,
                received: 40_003,
                bypassed: BypassedNow { connections: 2, packets: 630, bytes: 0 },
                ..InterfaceNow::default()
            },
            InterfaceNow {
                name: "eth1".into(),
                down: Some("it is down".into()),
                returned: 1,
                clock_sets: 0,
                packets: 311,
                received: 311,
                dropped: 3,
                interface_dropped: 2,
                bypassed: BypassedNow::default(),
            },
        ],
        flows_open: 12,
        flows_finished: 40,
        bytes_held: 4_096,
        queues: vec![("output_bytes", 3)],
        latency: Spread { count: 9, p50: span(800), p99: span(2_000), max: span(2_100) },
        wait: Spread { count: 9, p50: span(12_000_000), p99: span(12_100_000), max: span(12_100_000) },
        output: OutputNow { events: 61, lost: 2, errors: 1 },
        kept: Some(KeptNow { handshakes: 12, packets: 170, cut: 1, lost: 0, held_bytes: 70_000 }),
        reloads: (1, 0),
    }
}

/// Exchanges about revocation: one that says revoked, one without an answer, a list.
pub fn exchanges() -> Vec<Seen<StatusExchange>> {
    let evidence = completed();
    let id = CertId {
        hash: "1.3.14.3.2.26".into(),
        issuer_name_hash: vec![1; 20],
        issuer_key_hash: vec![2; 20],
        serial: "05A0".into(),
    };
    let mut response = ocsp::Response::read(&[0x30, 3, 0x0a, 1, 3]).unwrap();
    response.outcome = ocsp::Outcome::Successful;
    response.nonce = Some(vec![9]);
    response.answers.push(ocsp::Answer {
        id: id.clone(),
        status: ocsp::Status::Revoked { at: Stamp(0), reason: Some(1) },
        this_update: Stamp(0),
        next_update: Some(Stamp(9)),
    });
    let answered = StatusExchange {
        client: evidence.client,
        responder: evidence.server,
        method: Method::OcspPost,
        host: "ocsp.example.com".into(),
        target: "/".into(),
        asked: vec![id],
        nonce: Some(vec![9]),
        clock: None,
        status: Some(200),
        response: Some(response),
        crl: None,
        cut: false,
        first_us: Some(20_000),
        took_us: Some(21_000),
        first: PacketNo(4),
        last: PacketNo(6),
        ended: Stamp(21_000),
        nth: 0,
    };
    let unanswered = StatusExchange {
        method: Method::OcspGet,
        target: String::new(),
        status: None,
        response: None,
        first_us: None,
        took_us: None,
        ..answered.clone()
    };
    let list = StatusExchange {
        method: Method::Crl,
        asked: Vec::new(),
        nonce: None,
        response: None,
        crl: crate::tls::crl::Crl::read(&crate::tls::crl::tests::any(), 9).map(std::sync::Arc::new),
        ..answered.clone()
    };
    assert!(list.crl.is_some());
    [answered, unanswered, list].map(|exchange| Seen::new(exchange, PacketNo(4), Stamp(0))).into()
}

/// A ClientHello that a gateway dropped, and the reset that it made for the client; both sides were captured.
pub(crate) fn crossed() -> Evidence {
    let mut evidence = syn_dropped();
    let (client, server) = (evidence.client, evidence.server);
    let seen_as = |no: u64, outside: bool, from: Side, flags: u8| Sight {
        mark: Mark {
            no: if outside { PacketNo(no).outside() } else { PacketNo(no) },
            when: T0,
            from,
            flags: TcpFlags(flags),
            ttl: 64,
            ip_id: None,
            seq: 1,
            ack: 0,
            payload: 0,
            digest: 0,
            greets: false,
            mss: None,
        },
        client,
        server,
    };
    let packet = |from, near: Option<Sight>, far: Option<Sight>, fate| Crossed {
        from,
        near,
        far,
        fate,
        rewritten: false,
    };
    let syn = TcpFlags::SYN;
    let packets = vec![
        packet(
            Side::Client,
            Some(seen_as(1, false, Side::Client, syn)),
            Some(seen_as(3, true, Side::Client, syn)),
            Fate::Passed(Span(70)),
        ),
        packet(Side::Client, Some(seen_as(4, false, Side::Client, TcpFlags::ACK)), None, Fate::Dropped),
        packet(Side::Server, Some(seen_as(5, false, Side::Server, TcpFlags::RST)), None, Fate::Made),
        packet(
            Side::Client,
            Some(seen_as(9, false, Side::Client, TcpFlags::ACK)),
            None,
            Fate::Unknown("the other capture had ended"),
        ),
    ];
    evidence.around.crossing = Some(Box::new(Crossing {
        near: Vantage::Inside,
        near_tells: true,
        ahead: Span(-13),
        through: None,
        near_ends: Some((client, server)),
        far_ends: None,
        packets,
        icmp: (Vec::new(), Vec::new()),
        beside: Beside::default(),
    }));
    evidence
}

/// What is to be said of [`crossed`].
pub(crate) fn crossed_diagnosis() -> Diagnosis {
    let at: Packets = [PacketNo(1), PacketNo(3).outside()].into_iter().collect();
    let finding = Finding::new(
        Certainty::Proven,
        "reset_after_hello",
        Party::Path,
        PacketNo(5),
        "the reset was made here",
    )
    .and(at, "the SYN passed");
    Diagnosis { primary: Some((Cause::Firewall, finding)), ..Diagnosis::default() }
}
