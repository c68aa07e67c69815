//! Builds evidence for the causes' tests: an attempt of a TLS 1.2 and 1.3 client with a round trip
//! of 20 ms, cut off wherever a test wants it.

use super::attempt::Parse;
use super::upgrade::{Protocol, Refusal, Upgrade, Why};
use super::{AlertFrom, Chain, Doubt, Ending, Evidence, Outcome, Reset, Stage};
use crate::aside::dns::DnsAnswer;
use crate::base::{Addr, Direction, Endpoint, FlowKey, PacketNo, Packets, PerSide, Seen, Side, Span, Stamp};
use crate::decode::{Datagram, Hop, IcmpError};
use crate::tls::cert::{Ahead, AltNames, Certificate, PublicKey};
use crate::tls::chain::{Defect, Fault};
use crate::tls::codes::{AlertDescription, AlertLevel, CipherSuite, Group, Version};
use crate::tls::hello::{ClientHello, Offer, ServerHello};
use crate::tls::message::Alert;
use std::sync::Arc;

/// The attempt's client, in private space.
pub const CLIENT: Endpoint = Endpoint { addr: Addr::v4([10, 0, 0, 7]), port: 50_000 };
/// The attempt's server.
pub const SERVER: Endpoint = Endpoint { addr: Addr::v4([203, 0, 113, 5]), port: 443 };
/// When the attempt begins.
pub const START: Stamp = Stamp::from_secs(1_795_000_000);

/// Reads each message anew.
pub struct Parses;

impl Parse for Parses {
    fn certificate(&mut self, der: &[u8]) -> Arc<Certificate> {
        Arc::new(Certificate::parse(der))
    }

    fn client_hello(&mut self, record_version: Version, body: &[u8]) -> Option<ClientHello> {
        ClientHello::parse(record_version, body)
    }
}

/// A fact of packet `no`, `millis` after the start.
pub fn seen<T>(value: T, no: u64, millis: i64) -> Seen<T> {
    Seen::new(value, PacketNo(no), START + Span::from_millis(millis))
}

/// A failed attempt without a packet but the first.
pub fn bare() -> Evidence {
    Evidence { outcome: Outcome::Failed, ..Evidence::new(CLIENT, SERVER, PacketNo(1), START) }
}

/// SYN sent `syns` times, no answer yet.
pub fn syn(syns: u32) -> Evidence {
    let mut e = bare();
    e.tcp.syn = Some(Seen { value: 1000, at: (1..=u64::from(syns)).map(PacketNo).collect(), when: START });
    e.tcp.syns = syns;
    e.tcp.syn_rich = true;
    e.tcp.last_syn = Some(START + Span::from_secs(i64::from(syns) - 1));
    e.tcp.packets.client = syns;
    ends(&mut e, Ending::Silence { lasted: Span::from_secs(60) }, u64::from(syns), 60_000);
    e
}

/// Connected in 20 ms.
pub fn connected() -> Evidence {
    let mut e = syn(1);
    e.tcp.syn_ack = Some(seen(5000, 2, 20));
    e.tcp.syn_acks = 1;
    e.tcp.rtt = Some(Span::from_millis(20));
    e.tcp.established = Some(seen((), 3, 20));
    e.tcp.packets = PerSide { client: 2, server: 1 };
    e.tcp.ttl = PerSide { client: Some((64, 64)), server: Some((55, 55)) };
    e
}

/// An ordinary hello for `www.example.com` of 517 bytes, sent at 21 ms in packet 4.
pub fn greeted() -> Evidence {
    let mut e = connected();
    e.hello = Some(seen(hello(), 4, 21).into());
    e.stage = Stage::ClientHello;
    e.tcp.packets.client = 3;
    e.tcp.bytes.client = 517;
    e.tcp.largest.client = 517;
    ends(&mut e, Ending::Silence { lasted: Span::from_secs(60) }, 4, 60_000);
    e
}

/// TLS asked for in clear in packet 5, refused in packet 6.
pub fn refused(why: Why) -> Evidence {
    let mut e = connected();
    let said = "454 no TLS".to_owned();
    e.upgrade = Some(Box::new(Upgrade {
        refused: Some(seen(Refusal { why, said: said.clone() }, 6, 80)),
        ..Upgrade::new(Protocol::Smtp, seen((), 5, 60))
    }));
    ends(&mut e, Ending::Refused { said }, 6, 80);
    e
}

/// The hello answered by a TLS 1.2 ServerHello in packet 5.
pub fn answered(version: Version) -> Evidence {
    let mut e = greeted();
    let cipher = CipherSuite(if version.is_tls13() { 0x1301 } else { 0xc02f });
    e.server_hello = Some(seen(ServerHello { version, cipher, ..ServerHello::default() }, 5, 41).into());
    e.stage = Stage::ServerHello;
    e.tcp.packets.server = 2;
    e.tcp.bytes.server = 100;
    e.tcp.acked.server = Some(517);
    e
}

/// What a browser offers.
pub fn hello() -> ClientHello {
    let offer = Offer {
        legacy_version: Version::TLS12,
        ciphers: [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0x009c]
            .map(CipherSuite)
            .to_vec(),
        alpn: vec!["h2".into(), "http/1.1".into()],
        supported_versions: vec![Version::TLS13, Version::TLS12],
        groups: [29, 23, 24].map(Group).to_vec(),
        key_shares: vec![Group(29)],
        ..Offer::default()
    };
    ClientHello {
        record_version: Version::TLS10,
        sni: Some("www.example.com".into()),
        offer: Arc::new(offer),
        ..ClientHello::default()
    }
}

/// Ends it so, in packet `no`.
pub fn ends(e: &mut Evidence, ending: Ending, no: u64, millis: i64) {
    e.ending = seen(ending, no, millis);
    e.last = PacketNo(no).max(e.last);
    e.ended = e.ended.max(e.ending.when);
}

/// Ends it with a fatal alert in packet 9.
pub fn alert(mut e: Evidence, from: Side, code: u8) -> Evidence {
    let alert = Alert { level: AlertLevel::FATAL, description: AlertDescription(code) };
    e.alerts.push(seen(AlertFrom { from, alert, sealed: false }, 9, 62));
    ends(&mut e, Ending::Alert { from, alert }, 9, 62);
    e
}

/// Ends it with a reset in packet 9 that has these doubts.
pub fn reset(mut e: Evidence, from: Side, doubts: &[Doubt]) -> Evidence {
    let ttl = doubts.iter().find_map(|doubt| match doubt {
        Doubt::Ttl(ttl, _) => Some(*ttl),
        _ => None,
    });
    let ttl = ttl.unwrap_or(e.tcp.ttl.of(from).map_or(55, |(least, _)| least));
    let doubts = doubts.iter().map(|&doubt| seen(doubt, 9, 62)).collect();
    let reset = Reset {
        from,
        ttl,
        ip_id: Some(0),
        ip_id_of_host: None,
        dont_fragment: true,
        ack: false,
        seq: 0,
        ack_field: 0,
        window: 0,
        timestamp: None,
        ahead: Some(0),
        sent: e.tcp.bytes,
        after: Some(Span::from_millis(41)),
        paused: Span(0),
        later: 0,
        answers: None,
        doubts,
    };
    e.tcp.resets.push(seen(reset, 9, 62));
    ends(&mut e, Ending::Reset { from }, 9, 62);
    e
}

/// A router on the way.
pub const ROUTER: Addr = Addr::v4([10, 0, 0, 1]);

fn hop(src: Addr, dst: Addr) -> Hop {
    Hop { src, dst, ttl: 64, ip_id: None, dont_fragment: false, link_src: None }
}

/// An ICMP error from this host, that quotes a packet of the client of this IP protocol.
pub fn icmp_error(from: Addr, v6: bool, kind: u8, code: u8, quoted_protocol: u8) -> IcmpError {
    IcmpError {
        hop: hop(from, CLIENT.addr),
        v6,
        kind,
        code,
        mtu: None,
        quoted_src: CLIENT,
        quoted_dst: SERVER,
        quoted_protocol,
        quoted_seq: None,
    }
}

/// An ICMP error from a router that quotes the SYN or what followed, in packet 8.
pub fn icmp(mut e: Evidence, v6: bool, kind: u8, code: u8) -> Evidence {
    e.tcp.icmp.push(seen(icmp_error(ROUTER, v6, kind, code, 6), 8, 30));
    e
}

/// A datagram between client and server, and which way it goes.
pub fn datagram(from: Side, payload: &[u8]) -> (Datagram<'_>, Direction) {
    let (source, target) = match from {
        Side::Client => (CLIENT, SERVER),
        Side::Server => (SERVER, CLIENT),
    };
    let (hop, payload_wire_len) = (hop(source.addr, target.addr), payload.len() as u32);
    let (src_port, dst_port) = (source.port, target.port);
    let (_, sends) = FlowKey::of(source, target);
    (Datagram { hop, src_port, dst_port, payload, payload_wire_len }, sends)
}

/// Bytes of the client sent again `times` times, in packets from 10.
pub fn resent(mut e: Evidence, times: u32) -> Evidence {
    let at: Packets = (10..10 + u64::from(times)).map(PacketNo).collect();
    e.tcp.repeats.client = Some(Seen { value: times, at, when: START + Span::from_secs(5) });
    e
}

/// A DNS answer for `www.example.com`, `secs` before the attempt, in packet 1.
pub fn answer(addresses: &[[u8; 4]], ttl: u32, secs: i64) -> Seen<DnsAnswer> {
    let addresses = addresses.iter().map(|&four| Addr::v4(four)).collect();
    let value = DnsAnswer {
        name: "www.example.com".to_owned(),
        qtype: 1,
        rcode: 0,
        addresses,
        ttl,
        cnames: Vec::new(),
        ..DnsAnswer::default()
    };
    seen(value, 1, -1000 * secs)
}

/// A certificate with this common name and these alternative names; nothing in it verifies.
pub fn certificate(common_name: &str, names: &[&str]) -> Arc<Certificate> {
    let name = format!("CN={common_name}");
    Arc::new(Certificate {
        der: Arc::from(Vec::new()),
        sha256: [0; 32],
        serial: "01".to_owned(),
        subject: name.clone(),
        issuer: name.clone(),
        subject_der: name.clone().into_bytes(),
        issuer_der: name.into_bytes(),
        not_before: START - Span::from_secs(86_400),
        not_after: START + Span::from_secs(86_400),
        common_name: Some(common_name.to_owned()),
        alt_names: Some(AltNames {
            dns: names.iter().map(|&name| name.to_owned()).collect(),
            ..AltNames::default()
        }),
        alt_names_critical: false,
        key: PublicKey::default(),
        signature_algorithm: "sha256WithRSAEncryption".to_owned(),
        signature_algorithm_der: Vec::new(),
        tbs: 0..0,
        signature: Vec::new(),
        version: 3,
        basic_constraints: None,
        basic_constraints_critical: true,
        key_usage: None,
        extended_key_usage: None,
        authority_key_id: None,
        subject_key_id: None,
        name_constraints: None,
        unknown_critical: Vec::new(),
        must_staple: false,
        ocsp_urls: Vec::new(),
        crl_urls: Vec::new(),
        issuer_urls: Vec::new(),
        scts: (0, None),
        has_policies: false,
        quirks: Vec::new(),
        damage: None,
        ahead: Ahead::default(),
    })
}

/// The server's certificate in clear in packet 6, with these defects.
pub fn shown(mut e: Evidence, leaf: Arc<Certificate>, faults: &[Fault]) -> Evidence {
    e.chain = Chain::Clear(seen(vec![leaf], 6, 41));
    e.stage = Stage::Certificate;
    e.defects =
        faults.iter().map(|&fault| Defect { fault, cert: Some(0), says: format!("{fault:?}") }).collect();
    e
}
