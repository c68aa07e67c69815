//! One attempt as one line of JSON.

use super::dtls::dtls;
use super::ends::endpoint;
use super::id::{Id, asked_name, community_id};
use super::json::{self, Object, display, object, string, unsigned};
use super::kept::{Choice, Kept};
use super::network::network;
use super::quic::quic;
use super::sealed::sealed;
use super::{Hygiene, SCHEMA, vantages};
use crate::base::{Cite, PacketNo, Packets, Side, Stamp};
use crate::cause::weigh::client_rejects;
use crate::cause::{Cause, Diagnosis, Finding, Proof};
use crate::evidence::{Chain, Decryption, Ending, Evidence, Outcome, Protocol, Stage, Transport, rejection};
use crate::tls::codes::Version;
use crate::tls::message::Alert;

/// Appends the event of one attempt, a line of JSON.
///
/// `diagnosis` counts only where the attempt failed: a cause beside another outcome would be a contradiction, so it is
/// left out. `capture` is the file's or the interface's name.
pub fn handshake(
    evidence: &Evidence,
    diagnosis: Option<&Diagnosis>,
    hygiene: &[Hygiene],
    capture: &str,
    out: &mut Vec<u8>,
) {
    handshake_with(&mut Kept::default(), evidence, diagnosis, hygiene, capture, out);
}

/// As [`handshake`], for a caller that makes many events which then wait. `text` lends its memory; [`Kept::line`] makes a line of
/// it.
pub fn handshake_apart(
    kept: &mut Kept,
    evidence: &Evidence,
    diagnosis: Option<&Diagnosis>,
    hygiene: &[Hygiene],
    capture: &str,
    text: &mut Vec<u8>,
) {
    kept.apart(text, |kept, out| handshake_with(kept, evidence, diagnosis, hygiene, capture, out))
}

/// As [`handshake`], faster for a caller that writes many events: `kept` lives from one to the next.
pub fn handshake_with(
    kept: &mut Kept,
    evidence: &Evidence,
    diagnosis: Option<&Diagnosis>,
    hygiene: &[Hygiene],
    capture: &str,
    out: &mut Vec<u8>,
) {
    let diagnosis = diagnosis.filter(|_| evidence.outcome == Outcome::Failed);
    object(out, |o| {
        o.word("schema", SCHEMA);
        o.word("kind", "handshake");
        kept.stamp(evidence.started, o.key("ts"));
        kept.stamp(evidence.ended, o.key("end_ts"));
        quoted_hex(Id::of(evidence).0, o.key("id"));
        kept.capture(capture, o);
        who(evidence, o);
        o.word("outcome", evidence.outcome.word());
        o.word("stage", evidence.stage.word());
        verdict(evidence, diagnosis, o);
        o.array("hygiene", hygiene, |item, out| {
            object(out, |o| {
                o.word("cause", item.cause.word());
                o.word("reason", item.reason);
                o.string("says", &item.says);
                o.maybe_boolean("client_rejects", item.client_rejects);
            });
        });
        ending(evidence, o);
        network(evidence, o);
        if let Some(facts) = &evidence.quic {
            o.object("quic", |o| quic(facts, o));
        }
        if let Some(facts) = &evidence.dtls {
            o.object("dtls", |o| dtls(evidence, facts, o));
        }
        alert(evidence, o);
        o.object("tls", |o| tls(evidence, kept, o));
        chain("certificates", &evidence.chain, kept, o);
        if evidence.client_chain != Chain::Unsent {
            chain("client_certificates", &evidence.client_chain, kept, o);
        }
        sealed(evidence, o);
        o.object("timing_us", |o| timing(evidence, o));
        if let Some(episode) = evidence.around.episode {
            o.object("episode", |o| {
                quoted_hex(episode.id, o.key("id"));
                o.unsigned("attempt", u64::from(episode.attempt));
                kept.stamp(episode.first, o.key("first_ts"));
            });
        }
        if let Some(crossing) = &evidence.around.crossing {
            let went_well = matches!(evidence.outcome, Outcome::Completed | Outcome::Resumed);
            o.object("vantages", |o| vantages::write(crossing, went_well, o));
        }
        if let Some(keys) = evidence.decryption.keys.word() {
            o.object("decryption", |o| decryption(keys, &evidence.decryption, o));
        }
        if !evidence.lost.is_nothing() {
            o.object("lost", |o| evidence.lost.counted().for_each(|(name, count)| o.unsigned(name, count)));
        }
    });
    out.push(b'\n');
}

/// `decryption`: what keys opened.
fn decryption(keys: &'static str, decryption: &Decryption, o: &mut Object<'_>) {
    o.word("keys", keys);
    o.unsigned("opened", u64::from(decryption.opened));
    o.unsigned("failed", u64::from(decryption.failed));
    for side in [Side::Client, Side::Server] {
        let of = decryption.held.iter().filter(|(from, ..)| *from == side);
        o.array(side.word(), of, |(_, _, held), out| display(held, out));
    }
}

/// `transport` to `alpn`: the two ends and what the client asked for.
fn who(evidence: &Evidence, o: &mut Object<'_>) {
    let version =
        evidence.version().or_else(|| evidence.hello.as_ref().map(|hello| hello.value.legacy_version));
    let transport = match evidence.transport {
        Transport::Tcp if version == Some(Version::TLCP) => "tlcp",
        Transport::Tcp => "tcp",
        Transport::Quic => "quic",
        Transport::Dtls => "dtls",
    };
    o.word("transport", transport);
    o.maybe_word("starttls", evidence.prelude.map(Protocol::word));
    if let Some(to) = &evidence.proxied {
        o.object("proxied", |o| {
            o.string("host", &to.value.host);
            o.unsigned("port", u64::from(to.value.port));
        });
    }
    let server = (evidence.stage != Stage::Dns).then_some(evidence.server);
    endpoint(evidence.client, o.key("client"));
    o.maybe("server", server, endpoint);
    o.maybe("community_id", server, |server, out| {
        out.push(b'"');
        out.extend_from_slice(&community_id(evidence.client, server, evidence.transport.ip_protocol()));
        out.push(b'"');
    });
    o.maybe_string("sni", asked_name(evidence));
    let asked = evidence.hello.as_ref().map(|hello| &hello.value.alpn).filter(|alpn| !alpn.is_empty());
    o.maybe("alpn", asked, |alpn, out| json::array(out, alpn, |protocol, out| string(protocol, out)));
}

/// What [`verdict`] writes where there is none, as most often: ten members at the cost of one.
const NO_VERDICT: &[u8] = br#""cause":null,"reason":null,"side":null,"certainty":null,"proofs":[],"also":[],"candidates":[],"blind":[],"remedy":null,"remedy_steps":[]"#;

/// `cause` to `remedy_steps`.
fn verdict(evidence: &Evidence, diagnosis: Option<&Diagnosis>, o: &mut Object<'_>) {
    if diagnosis.is_none() {
        return o.members(|out| out.extend_from_slice(NO_VERDICT));
    }
    let primary = diagnosis.and_then(|diagnosis| diagnosis.primary.as_ref());
    match primary {
        Some((cause, finding)) => self::finding(*cause, finding, o),
        None => {
            o.null("cause");
            o.null("reason");
            o.null("side");
            o.null("certainty");
            o.array("proofs", [], |(): (), _| ());
        }
    }
    o.array("also", diagnosis.map_or(&[][..], |d| &d.also), |(cause, finding), out| {
        object(out, |o| {
            self::finding(*cause, finding, o);
            o.maybe_boolean("client_rejects", client_rejects(evidence, finding));
        });
    });
    let candidates = diagnosis.filter(|_| primary.is_none()).map_or(&[][..], |d| &d.candidates);
    o.array("candidates", candidates, |cause, out| string(cause.word(), out));
    o.array("blind", diagnosis.map_or(&[][..], |d| &d.blind), |(cause, why), out| {
        object(out, |o| {
            o.word("cause", cause.word());
            o.string("why", why);
        });
    });
    let reason = primary
        .and_then(|(cause, finding)| cause.reasons().iter().find(|reason| reason.word == finding.reason));
    o.maybe_string("remedy", reason.map(|reason| reason.remedy));
    o.array("remedy_steps", reason.map_or(&[][..], |reason| reason.steps), |step, out| string(step, out));
}

fn finding(cause: Cause, finding: &Finding, o: &mut Object<'_>) {
    o.word("cause", cause.word());
    o.word("reason", finding.reason);
    o.word("side", finding.party.word());
    o.word("certainty", finding.certainty.word());
    o.array("proofs", &finding.proofs, |proof, out| object(out, |o| self::proof(proof, o)));
}

fn proof(proof: &Proof, o: &mut Object<'_>) {
    packets(proof.cite.packets(), o);
    o.string("says", &proof.says);
    if let Cite::Silence { lasted, .. } = &proof.cite {
        o.maybe_integer("silence_us", Some(lasted.micros()));
    }
}

/// `packets`, and `outside` where some are of the outer of two vantage points.
fn packets(packets: &Packets, o: &mut Object<'_>) {
    let of = |outside: bool| packets.iter().filter(move |no| no.is_outside() == outside);
    o.array("packets", of(false), |no, out| unsigned(no.number(), out));
    if packets.last().is_some_and(PacketNo::is_outside) {
        o.array("outside", of(true), |no, out| unsigned(no.number(), out));
    }
}

/// `ending`: what ended the attempt, whoever judged it.
fn ending(evidence: &Evidence, o: &mut Object<'_>) {
    let (what, from) = match &evidence.ending.value {
        Ending::Alert { from, .. } => ("alert", Some(*from)),
        Ending::SealedAlert { from, .. } => ("sealed_alert", Some(*from)),
        Ending::ConnectionClose { from, .. } => ("connection_close", Some(*from)),
        Ending::Reset { from } => ("reset", Some(*from)),
        Ending::Fin { from } => ("fin", Some(*from)),
        Ending::Silence { .. } => ("silence", None),
        Ending::CaptureEnded => ("capture_ended", None),
        Ending::WentOn => ("went_on", None),
        Ending::NoAddress => ("no_address", None),
        Ending::PlainText { .. } => ("plain_text", Some(Side::Server)),
        Ending::Refused { .. } => ("refused", Some(Side::Server)),
    };
    o.object("ending", |o| {
        o.word("what", what);
        o.maybe_word("from", from.map(Side::word));
        packets(&evidence.ending.at, o);
        match &evidence.ending.value {
            Ending::Silence { lasted } => o.maybe_integer("silence_us", Some(lasted.micros())),
            Ending::PlainText { said } | Ending::Refused { said } => o.string("said", said),
            _ => {}
        }
        if let Some(quiet) = rejection::quiet(evidence) {
            o.word("says", quiet);
        }
    });
}

/// `alert`: the one that ended it, else the first fatal one in clear, else the first.
fn alert(evidence: &Evidence, o: &mut Object<'_>) {
    let mut sealed = evidence.ended_by_opened_alert();
    let shown = match &evidence.ending.value {
        Ending::Alert { from, alert } => Some((*from, Some(*alert))),
        Ending::SealedAlert { from, .. } => Some((*from, None)),
        _ => {
            let fatal = |alert: &Alert| alert.level == crate::tls::codes::AlertLevel::FATAL;
            let alerts = || evidence.alerts.iter().map(|alert| &alert.value);
            let first = alerts().find(|seen| fatal(&seen.alert)).or_else(|| alerts().next());
            sealed = first.is_some_and(|seen| seen.sealed);
            first.map(|seen| (seen.from, Some(seen.alert)))
        }
    };
    o.maybe("alert", shown, |(from, alert), out| {
        object(out, |o| {
            o.maybe_string("level", alert.map(|alert| alert.level.word()));
            o.maybe_integer("code", alert.map(|alert| i64::from(alert.description.0)));
            o.maybe_string("name", alert.and_then(|alert| alert.description.name()));
            o.word("from", from.word());
            o.boolean("sealed", alert.is_none() || sealed);
        });
    });
}

fn tls(evidence: &Evidence, kept: &mut Kept, o: &mut Object<'_>) {
    let hello = evidence.hello.as_ref().map(|hello| &hello.value);
    let answer = evidence.server_hello.as_ref().map(|answer| &answer.value);
    let exchange = evidence.key_exchange.as_ref().map(|exchange| &exchange.value);
    let retry = evidence.retry.as_ref().map(|retry| &retry.value);
    let group = answer
        .and_then(|answer| answer.group)
        .or_else(|| exchange.and_then(|exchange| exchange.group))
        .or_else(|| retry.and_then(|retry| retry.group));
    let choice = Choice {
        answer,
        group,
        scheme: exchange
            .and_then(|exchange| exchange.scheme)
            .or_else(|| evidence.decryption.server_verify.as_ref().and_then(|verify| verify.value.scheme)),
        resumed: evidence.outcome == Outcome::Resumed || answer.is_some_and(|answer| answer.psk),
        hello_retry: retry.is_some(),
    };
    kept.choice(&choice, o);
    // Of a hello that the capture cut in QUIC, what is missing would make another fingerprint.
    match hello.filter(|hello| !(hello.malformed && evidence.quic.is_some())) {
        Some(hello) => kept.hello(&hello.offer, o),
        None => ["ja3", "ja4", "client_stack", "offered"].into_iter().for_each(|name| o.null(name)),
    }
    o.maybe("ech", hello.filter(|hello| hello.ech), |hello, out| {
        object(out, |o| {
            o.maybe_integer("config_id", hello.ech_key.map(i64::from));
            o.boolean("genuine", evidence.ech_is_genuine());
            let told = evidence.around.ech.as_ref().and_then(|ech| ech.told.as_ref());
            o.maybe_string("name", told.map(|told| &*told.value));
            o.boolean("refused", evidence.ech_is_refused());
        });
    });
}

fn chain(name: &str, chain: &Chain, kept: &mut Kept, o: &mut Object<'_>) {
    let shown = chain.clear().map_or(&[][..], |chain| &chain.value);
    o.array(name, shown, |shown, out| kept.certificate(shown, out));
}

fn quoted_hex(number: u64, out: &mut Vec<u8>) {
    let digit = |at: u32| match (number >> (60 - 4 * at) & 15) as u8 {
        n @ 0..10 => b'0' + n,
        n => b'a' - 10 + n,
    };
    let mut text = [b'"'; 18];
    for (place, at) in text.iter_mut().skip(1).zip(0..16) {
        *place = digit(at);
    }
    out.extend_from_slice(&text);
}

/// `connect`: SYN to SYN/ACK. `client_hello_to_server_hello`: between the two that agreed (after a HelloRetryRequest: the
/// second ClientHello). `handshake`: that ClientHello to the later Finished.
fn timing(evidence: &Evidence, o: &mut Object<'_>) {
    let hello = evidence.hello.as_ref().map(|hello| hello.when);
    let answer = evidence.server_hello.as_ref().map(|answer| answer.when);
    let finished = &evidence.sealing.finished;
    let finished = finished.client.as_ref().zip(finished.server.as_ref()).map(|(c, s)| c.when.max(s.when));
    let since_hello = |then: Option<Stamp>| hello.zip(then).map(|(hello, then)| (then - hello).micros());
    o.maybe_integer("connect", evidence.tcp.rtt.map(|rtt| rtt.micros()));
    o.maybe_integer("client_hello_to_server_hello", since_hello(answer));
    o.maybe_integer("handshake", since_hello(finished));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{PacketNo, Seen, Span};
    use crate::event::{certificate_json, fixture};
    use crate::evidence::around::Ech;
    use serde_json::{Value, json};

    fn event(evidence: &Evidence, diagnosis: Option<&Diagnosis>) -> Value {
        let mut out = Vec::new();
        handshake(evidence, diagnosis, &[], "trace.pcapng", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with('\n') && text.matches('\n').count() == 1);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn no_verdict_is_written_as_an_empty_one() {
        let mut out = Vec::new();
        json::members(&mut out, |o| verdict(&fixture::completed(), Some(&Diagnosis::default()), o));
        assert_eq!(str::from_utf8(&out), str::from_utf8(NO_VERDICT));
    }

    #[test]
    fn a_line_whose_pieces_lie_apart_is_the_same_whole() {
        let (mut kept, mut text) = (Kept::default(), Vec::new());
        for evidence in [fixture::completed(), fixture::expired(), fixture::completed(), fixture::expired()] {
            let (mut whole, mut written) = (Vec::new(), Vec::new());
            handshake(&evidence, None, &[], "a.pcap", &mut whole);
            handshake_apart(&mut kept, &evidence, None, &[], "a.pcap", &mut text);
            kept.line(&text).write(&mut written);
            assert_eq!(str::from_utf8(&written), str::from_utf8(&whole));
            // What is written at once is not taken apart.
            written.clear();
            handshake_with(&mut kept, &evidence, None, &[], "a.pcap", &mut written);
            assert_eq!(written, whole);
        }
        let (mut whole, completed) = (Vec::new(), fixture::completed());
        handshake_apart(&mut kept, &completed, None, &[], "a.pcap", &mut text);
        kept.line(&text).write(&mut whole);
        assert!(text.len() < whole.len(), "something lies apart");
    }

    #[test]
    fn a_failure_carries_its_verdict_and_its_packets() {
        let event = event(&fixture::expired(), Some(&fixture::expired_diagnosis()));
        assert_eq!(event["schema"], "tlswhy/1");
        assert_eq!(event["ts"], "2026-11-23T09:30:00.000000Z");
        assert_eq!(event["outcome"], "failed");
        assert_eq!(event["cause"], "expired_cert");
        assert_eq!(event["reason"], "leaf_expired");
        assert_eq!(event["side"], "server");
        assert_eq!(event["certainty"], "proven");
        assert_eq!(event["proofs"][0]["packets"], json!([6]));
        assert_eq!(event["also"][0]["cause"], "name_mismatch");
        assert_eq!(event["blind"][0]["cause"], "revocation");
        assert_eq!(event["candidates"], json!([]));
        assert_eq!(
            event["alert"],
            json!({"level": "fatal", "code": 45, "name": "certificate_expired", "from": "client", "sealed": false})
        );
        assert_eq!(event["stage"], "certificate");
        assert_eq!(event["client"], json!({"ip": "192.0.2.10", "port": 50123}));
        assert_eq!(event["tls"]["version"], "TLS 1.2");
        assert_eq!(event["tls"]["offered"]["versions"], json!(["TLS 1.3", "TLS 1.2"]));
        assert_eq!(event["certificates"][0]["subject"], "CN=old.example.com");
        assert_eq!(event["timing_us"]["connect"], 12_000);
        assert_eq!(event["timing_us"]["client_hello_to_server_hello"], 14_000);
        assert_eq!(event["timing_us"]["handshake"], Value::Null);
        assert!(event.get("lost").is_none());
    }

    #[test]
    fn of_two_vantage_points_each_packet_is_told_by_its_number_there() {
        let event = event(&fixture::crossed(), Some(&fixture::crossed_diagnosis()));
        assert_eq!(event["proofs"][0], json!({"packets": [5], "says": "the reset was made here"}));
        assert_eq!(event["proofs"][1], json!({"packets": [1], "outside": [3], "says": "the SYN passed"}));
        let told = &event["vantages"];
        assert_eq!((&told["client_side"], &told["clock_offset_us"]), (&json!("inside"), &json!(-13)));
        assert_eq!(told["outside"], Value::Null);
        let fates = [
            json!({"inside": 1, "outside": 3, "from": "client", "fate": "passed", "took_us": 70}),
            json!({"inside": 4, "from": "client", "fate": "dropped"}),
            json!({"inside": 5, "from": "server", "fate": "made"}),
            json!({"inside": 9, "from": "client", "fate": "unknown", "why": "the other capture had ended"}),
        ];
        assert_eq!(told["packets"], json!(fates));
    }

    #[test]
    fn a_success_names_no_cause_even_when_given_one() {
        let event = event(&fixture::completed(), Some(&fixture::expired_diagnosis()));
        assert_eq!(event["outcome"], "completed");
        for null in ["cause", "reason", "side", "certainty", "remedy", "alert"] {
            assert_eq!(event[null], Value::Null, "{null}");
        }
        for empty in ["proofs", "also", "candidates", "blind", "remedy_steps", "hygiene"] {
            assert_eq!(event[empty], json!([]), "{empty}");
        }
    }

    #[test]
    fn an_undetermined_failure_lists_what_remains() {
        let diagnosis =
            Diagnosis { candidates: vec![Cause::ExpiredCert, Cause::BrokenChain], ..Diagnosis::default() };
        let event = event(&fixture::sealed_alert(), Some(&diagnosis));
        assert_eq!(event["cause"], Value::Null);
        assert_eq!(event["candidates"], json!(["expired_cert", "broken_chain"]));
        assert_eq!(event["certificates"], json!([]));
        assert_eq!(
            event["alert"],
            json!({"level": null, "code": null, "name": null, "from": "client", "sealed": true})
        );
    }

    #[test]
    fn an_encrypted_hello_shows_its_key_and_whose_it_is() {
        let mut evidence = fixture::completed();
        assert_eq!(event(&evidence, None)["tls"]["ech"], Value::Null);
        let hello = &mut evidence.hello.as_mut().unwrap().value;
        (hello.ech, hello.ech_key) = (true, Some(7));
        evidence.server_hello.as_mut().unwrap().value.version = Version::TLS13;
        let unknown = json!({ "config_id": 7, "genuine": false, "name": null, "refused": false });
        assert_eq!(event(&evidence, None)["tls"]["ech"], unknown);
        let told = Seen::new("www.test".into(), PacketNo(2), evidence.started);
        evidence.around.ech = Some(Ech { told: Some(told), again: None });
        let genuine = json!({ "config_id": 7, "genuine": true, "name": "www.test", "refused": false });
        assert_eq!(event(&evidence, None)["tls"]["ech"], genuine);
        evidence.server_hello.as_mut().unwrap().value.version = Version::TLS12;
        assert_eq!(event(&evidence, None)["tls"]["ech"]["refused"], true);
    }

    #[test]
    fn a_silence_says_how_long_it_was() {
        let event = event(&fixture::syn_dropped(), Some(&fixture::syn_dropped_diagnosis()));
        assert_eq!(event["proofs"][0]["silence_us"], 30_000_000);
        assert_eq!(event["ending"]["what"], "silence");
        assert_eq!(event["tls"]["version"], Value::Null);
        assert_eq!(event["tls"]["offered"], Value::Null);
        assert_eq!(event["tls"]["client_stack"], Value::Null);
        assert_eq!(event["sni"], Value::Null);
    }

    #[test]
    fn a_failed_lookup_has_a_name_and_no_server() {
        let event = event(&fixture::nxdomain(), None);
        assert_eq!(event["stage"], "dns");
        assert_eq!(event["server"], Value::Null);
        assert_eq!(event["community_id"], Value::Null);
        assert_eq!(event["sni"], "gone.example.com");
    }

    #[test]
    fn a_hostile_name_stays_inside_its_string() {
        let mut evidence = fixture::expired();
        let sni = "a\",\"outcome\":\"completed\0\n\u{9b}\u{202e}";
        evidence.hello.as_mut().unwrap().value.sni = Some(sni.into());
        evidence.hello.as_mut().unwrap().value.alpn = vec!["\u{0}h2\\".into()];
        let event = event(&evidence, None);
        assert_eq!(event["sni"], sni);
        assert_eq!(event["alpn"][0], "\u{0}h2\\");
        assert_eq!(event["outcome"], "failed");
    }

    #[test]
    fn the_chinese_protocol_is_its_own_transport() {
        let mut evidence = fixture::completed();
        evidence.server_hello.as_mut().unwrap().value.version = Version::TLCP;
        assert_eq!(event(&evidence, None)["transport"], "tlcp");
    }

    #[test]
    fn what_was_lost_is_named() {
        let mut evidence = fixture::completed();
        evidence.lost.gap_bytes = 1_448;
        assert_eq!(event(&evidence, None)["lost"], json!({"gap_bytes": 1448}));
    }

    #[test]
    fn a_warning_before_a_success_is_shown_unsealed() {
        let mut evidence = fixture::completed();
        let alert = Alert {
            level: crate::tls::codes::AlertLevel::WARNING,
            description: crate::tls::codes::AlertDescription::UNRECOGNIZED_NAME,
        };
        let from = crate::evidence::AlertFrom { from: Side::Server, alert, sealed: false };
        evidence.alerts.push(Seen::new(from, PacketNo(6), Stamp(0)));
        assert_eq!(event(&evidence, None)["alert"]["name"], "unrecognized_name");
        assert_eq!(event(&evidence, None)["alert"]["level"], "warning");
    }

    #[test]
    fn what_was_kept_makes_the_same_event() {
        let (evidence, diagnosis) = (fixture::expired(), fixture::expired_diagnosis());
        let mut cache = Kept::default();
        let mut plain = Vec::new();
        handshake(&evidence, Some(&diagnosis), &[], "x", &mut plain);
        for _ in 0..2 {
            let mut line = Vec::new();
            handshake_with(&mut cache, &evidence, Some(&diagnosis), &[], "x", &mut line);
            assert_eq!(line, plain);
        }
        assert!(String::from_utf8(plain).unwrap().contains(&certificate_json(&fixture::leaf())));
    }

    #[test]
    fn a_silence_that_ended_it_is_measured() {
        let mut evidence = fixture::completed();
        evidence.ending.value = Ending::Silence { lasted: Span::from_secs(60) };
        assert_eq!(event(&evidence, None)["ending"]["silence_us"], 60_000_000);
    }
}
