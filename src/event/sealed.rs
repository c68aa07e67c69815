//! `sealed`: what the sizes and the order of sealed records tell of a TLS 1.3 handshake that failed, and which known
//! certificates have them.

use super::json::{Object, array, hex_string, object, unsigned};
use crate::evidence::around::{KnownChains, ShownBefore};
use crate::evidence::{Evidence, Outcome};
use crate::tls::sealed::{Item, Reading, key_of_signature};

/// Writes `sealed`, where there is something to tell.
pub(super) fn sealed(e: &Evidence, o: &mut Object<'_>) {
    if e.outcome == Outcome::Failed
        && let Some(reading) = e.sealed_reading()
    {
        o.object("sealed", |o| facts(e, &reading, o));
    }
}

fn facts(e: &Evidence, reading: &Reading, o: &mut Object<'_>) {
    o.array("server", &reading.parts.server, item);
    o.array("client", &reading.parts.client, item);
    let bytes = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
    o.maybe_integer("certificate_bytes", reading.certificate.map(|(len, _)| bytes(len)));
    o.maybe_string("key", reading.signature.and_then(key_of_signature).as_deref());
    o.maybe_integer("client_certificate_bytes", reading.client_certificate.map(|(len, _)| bytes(len)));
    o.boolean("certificate_requested", reading.certificate_requested());
    if let Some(known) = &e.around.known_chains {
        chains(known, e.around.shown_before.as_ref(), o);
    }
}

fn item(item: &Item, out: &mut Vec<u8>) {
    object(out, |o| {
        o.word("part", item.part.word());
        o.unsigned("bytes", item.len.into());
        o.unsigned("packet", item.at.number());
    });
}

fn chains(known: &KnownChains, chosen: Option<&ShownBefore>, o: &mut Object<'_>) {
    o.unsigned("chains_known", known.known.into());
    o.unsigned("chains_fit", u64::try_from(known.fitting.len()).unwrap_or(u64::MAX));
    if let Some(chosen) = chosen {
        o.object("chain", |o| {
            o.word("from", chosen.from.word());
            o.word("fit", chosen.fit.word());
            o.boolean("sure", chosen.is_sure());
            o.unsigned("lacks", u64::try_from(chosen.lacks).unwrap_or(u64::MAX));
            let fingerprints = chosen.chain.value.iter().map(|cert| cert.sha256);
            array(o.key("sha256"), fingerprints, |sha256, out| hex_string(&sha256, out));
            if !chosen.from.is_given() {
                array(o.key("packets"), chosen.chain.at.iter(), |no, out| unsigned(no.number(), out));
            }
        });
    } else if let Some(no) = known.changed {
        o.object("changed", |o| {
            o.unsigned("packet", no.number());
            o.string("says", "none of the certificates known for this server fits: it serves another one than in this packet");
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{fixture, handshake};
    use serde_json::{Value, json};

    fn told(evidence: &Evidence) -> Value {
        let mut out = Vec::new();
        handshake(evidence, None, &[], "a.pcap", &mut out);
        let event: Value = serde_json::from_slice(&out).unwrap();
        event["sealed"].clone()
    }

    #[test]
    fn a_sealed_rejection_tells_what_was_sent_and_which_chain_fits() {
        let sealed = told(&fixture::sealed_rejection());
        let parts = |side: &str| -> Vec<String> {
            sealed[side]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["part"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(
            parts("server"),
            ["encrypted_extensions", "certificate", "certificate_verify", "finished"]
        );
        assert_eq!(parts("client"), ["alert"]);
        assert_eq!((&sealed["certificate_bytes"], &sealed["key"]), (&json!(878), &json!("P-256")));
        assert_eq!((&sealed["chains_known"], &sealed["chains_fit"]), (&json!(2), &json!(1)));
        let chain = &sealed["chain"];
        assert_eq!(
            (&chain["from"], &chain["fit"], &chain["sure"]),
            (&json!("server"), &json!("exact"), &json!(true))
        );
        assert_eq!(chain["packets"], json!([3]));
    }

    #[test]
    fn a_chain_that_has_changed_is_told() {
        let mut evidence = fixture::sealed_rejection();
        evidence.around.shown_before = None;
        let changed =
            KnownChains { known: 1, changed: Some(crate::base::PacketNo(3)), ..KnownChains::default() };
        evidence.around.known_chains = Some(Box::new(changed));
        let sealed = told(&evidence);
        assert_eq!((&sealed["chains_fit"], &sealed["changed"]["packet"]), (&json!(0), &json!(3)));
    }

    #[test]
    fn what_completed_or_has_no_sealed_record_tells_nothing() {
        let mut evidence = fixture::sealed_rejection();
        evidence.outcome = Outcome::Completed;
        assert_eq!(told(&evidence), Value::Null);
        assert_eq!(told(&fixture::sealed_alert()), Value::Null);
    }
}
