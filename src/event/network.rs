//! `network`: how an attempt ended on the level of TCP and ICMP, in facts with their packets.

use super::ends::address;
use super::json::{Object, array, integer, object, string, unsigned};
use crate::base::{Packets, Seen, Side, Span, Stamp};
use crate::decode::IcmpError;
use crate::evidence::tamper::{Signature, forged, signature};
use crate::evidence::{Ending, Evidence, Outcome, Reset};

/// Whether there is something to tell: an ICMP error, or an end by reset or silence, of an attempt that did not complete.
fn tells(e: &Evidence) -> bool {
    if matches!(e.outcome, Outcome::Completed | Outcome::Resumed) {
        return false;
    }
    let by_network = matches!(e.ending.value, Ending::Reset { .. } | Ending::Silence { .. });
    // One SYN of a scan or a flood has nothing to tell.
    let told = e.outcome == Outcome::Failed || !e.tcp.resets.is_empty() || resent(e);
    let doubted = e.tcp.resets.iter().any(|reset| !reset.value.doubts.is_empty());
    doubted || !e.tcp.icmp.is_empty() || by_network && told
}

/// What was sent came again.
fn resent(e: &Evidence) -> bool {
    e.tcp.syns > 1 || e.tcp.repeats.client.is_some() || e.tcp.repeats.server.is_some()
}

/// Writes `network`, where there is something to tell.
pub(super) fn network(e: &Evidence, o: &mut Object<'_>) {
    if tells(e) {
        o.object("network", |o| facts(e, o));
    }
}

fn facts(e: &Evidence, o: &mut Object<'_>) {
    if let Some(syn) = &e.tcp.syn
        && e.tcp.syns > 1
    {
        o.object("syn", |o| {
            o.unsigned("tries", e.tcp.syns.into());
            spacing(Some(syn.when), &e.tcp.syn_again, o);
        });
    }
    if let Some(word) = signature(e).and_then(Signature::word) {
        o.word("tampering", word);
    }
    let mut tests: Vec<_> =
        [Side::Client, Side::Server].into_iter().flat_map(|side| forged(e, side)).collect();
    tests.sort_by_key(|(test, _)| *test);
    tests.dedup_by_key(|(test, _)| *test);
    if !tests.is_empty() {
        o.array("forged", tests, |(test, _), out| string(test.word(), out));
    }
    if !e.tcp.resets.is_empty() {
        o.array("resets", &e.tcp.resets, |seen, out| object(out, |o| reset(e, seen, o)));
    }
    if !e.tcp.icmp.is_empty() {
        o.array("icmp", &e.tcp.icmp, |seen, out| object(out, |o| icmp(seen, o)));
    }
    let sides = || [Side::Client, Side::Server].into_iter();
    if sides().any(|side| e.tcp.repeats.of(side).is_some()) {
        o.object("repeats", |o| {
            for side in sides() {
                if let Some(repeats) = e.tcp.repeats.of(side) {
                    o.object(side.word(), |o| {
                        o.unsigned("times", repeats.value.into());
                        let since = e.hello.as_ref().filter(|_| side == Side::Client).map(|hello| hello.when);
                        spacing(since, e.tcp.repeated.of(side), o);
                        o.array("packets", repeats.at.iter(), |no, out| unsigned(no.0, out));
                    });
                }
            }
        });
    }
    if sides().any(|side| e.tcp.sacked.of(side).is_some()) {
        o.object("sacked", |o| {
            for side in sides() {
                if let Some(sacked) = e.tcp.sacked.of(side) {
                    o.object(side.word(), |o| {
                        o.unsigned("from", sacked.value.0);
                        o.unsigned("to", sacked.value.1);
                        o.array("packets", sacked.at.iter(), |no, out| unsigned(no.0, out));
                    });
                }
            }
        });
    }
    if sides().any(|side| e.tcp.fin.of(side).is_some()) {
        o.object("fins", |o| {
            for side in sides() {
                if let Some(no) = e.tcp.fin.of(side).as_ref().and_then(|fin| fin.at.first()) {
                    o.unsigned(side.word(), no.0);
                }
            }
        });
    }
}

/// `spacing_us`: from each try to the next, the first eight. `since`: when the first was sent, where that is known.
fn spacing(since: Option<Stamp>, times: &[Stamp], o: &mut Object<'_>) {
    let from = since.iter().chain(times);
    let spaces: Vec<Span> = from.clone().zip(from.skip(1)).map(|(one, next)| *next - *one).collect();
    o.array("spacing_us", spaces, |space, out| integer(space.micros(), out));
}

fn first(at: &Packets) -> u64 {
    at.first().unwrap_or_default().0
}

fn reset(e: &Evidence, seen: &Seen<Reset>, o: &mut Object<'_>) {
    let reset = &seen.value;
    o.unsigned("packet", first(&seen.at));
    o.word("from", reset.from.word());
    o.word("flags", if reset.ack { "rst_ack" } else { "rst" });
    o.unsigned("seq", reset.seq.into());
    o.unsigned("ack", reset.ack_field.into());
    o.unsigned("window", reset.window.into());
    o.unsigned("ttl", reset.ttl.into());
    o.maybe("ttl_of_host", *e.tcp.ttl.of(reset.from), |(least, most), out| {
        array(out, [least, most], |ttl, out| unsigned(ttl.into(), out));
    });
    o.maybe_integer("ip_id", reset.ip_id.map(i64::from));
    o.maybe_integer("ip_id_of_host", reset.ip_id_of_host.map(i64::from));
    o.boolean("df", reset.dont_fragment);
    o.maybe_integer("timestamp", reset.timestamp.map(i64::from));
    o.maybe_integer("after_us", reset.after.map(|after| after.micros()));
    o.maybe_integer("rtt_us", e.tcp.rtt.map(|rtt| rtt.micros()));
    o.unsigned("later", reset.later.into());
}

fn icmp(seen: &Seen<IcmpError>, o: &mut Object<'_>) {
    let error = &seen.value;
    o.unsigned("packet", first(&seen.at));
    address(error.hop.src, o.key("from"));
    o.boolean("v6", error.v6);
    o.unsigned("type", error.kind.into());
    o.unsigned("code", error.code.into());
    o.maybe_integer("mtu", error.mtu.map(i64::from));
    o.maybe_integer("quoted_seq", error.quoted_seq.map(i64::from));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Endpoint;
    use crate::evidence::fixture;
    use crate::evidence::{Doubt, Stage};
    use serde_json::{Value, json};

    fn told(e: &Evidence) -> Value {
        let mut out = Vec::new();
        object(&mut out, |o| network(e, o));
        serde_json::from_slice::<Value>(&out).unwrap()["network"].clone()
    }

    #[test]
    fn a_forged_reset_is_told_with_what_contradicts_it() {
        let e = fixture::reset(fixture::greeted(), Side::Server, &[Doubt::SenderWentOn, Doubt::NewData]);
        let told = told(&e);
        assert_eq!(told["tampering"], "post_psh_rst");
        assert_eq!(told["forged"], json!(["rst_seq_data"]));
        let reset = &told["resets"][0];
        assert_eq!(
            (&reset["packet"], &reset["from"], &reset["flags"]),
            (&json!(9), &json!("server"), &json!("rst"))
        );
        assert_eq!((&reset["ttl_of_host"], &reset["rtt_us"]), (&json!([55, 55]), &json!(20_000)));
    }

    #[test]
    fn syns_in_vain_are_told_with_their_spacing() {
        let mut e = fixture::syn(3);
        e.tcp.syn_again = vec![fixture::START + Span::from_secs(1), fixture::START + Span::from_secs(3)];
        assert_eq!(
            told(&e),
            json!({"syn": {"tries": 3, "spacing_us": [1_000_000, 2_000_000]}, "tampering": "post_syn_silence"})
        );
        let prohibited = told(&fixture::icmp(fixture::syn(1), false, 3, 13));
        assert_eq!(
            (&prohibited["icmp"][0]["from"], &prohibited["icmp"][0]["code"]),
            (&json!("10.0.0.1"), &json!(13))
        );
    }

    #[test]
    fn what_is_resent_is_told_with_its_spacing() {
        let mut e = fixture::resent(fixture::greeted(), 2);
        let hello = e.hello.as_ref().unwrap().when;
        e.tcp.repeated.client = vec![hello + Span::from_millis(200), hello + Span::from_millis(600)];
        let told = told(&e);
        assert_eq!(
            told["repeats"],
            json!({"client": {"times": 2, "spacing_us": [200_000, 400_000], "packets": [10, 11]}})
        );
    }

    #[test]
    fn nothing_is_told_of_what_completed_or_ended_otherwise() {
        let mut e = fixture::reset(fixture::greeted(), Side::Client, &[]);
        e.outcome = Outcome::Completed;
        assert_eq!(told(&e), Value::Null);
        assert_eq!(told(&fixture::alert(fixture::greeted(), Side::Server, 40)), Value::Null);
        let mut lookup = fixture::bare();
        (lookup.stage, lookup.server) = (Stage::Dns, Endpoint { port: 443, ..lookup.server });
        fixture::ends(&mut lookup, Ending::NoAddress, 1, 0);
        assert_eq!(told(&lookup), Value::Null);
    }
}
