//! TLS 1.3 without keys: how many sealed rejections are found, and how often their cause is, where the server's
//! certificates are known from another handshake or from a file.
//!
//! Most captures of sealed rejections have a twin: the same fault, met on TLS 1.2, where the certificate is in clear. Each is
//! judged alone, together with its twin as one capture, and with the twin's certificates as a file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use support::judged::{Judged, Pair, failed, judged_in, said, word};
use support::pcap::Pcap;
use support::tally::{Figure, percent};
use support::{Attempt, Scratch, base64, lab_roots, root, run, tell};

/// Every capture as it is judged alone, once for all tests.
fn everything() -> &'static [Judged] {
    static ALL: OnceLock<Vec<Judged>> = OnceLock::new();
    ALL.get_or_init(|| judged_in(Path::new("captures"), &lab_roots()))
}

/// Causes for which a certificate, of the server or of the client, is rejected.
const OF_CERTIFICATES: [&str; 7] = [
    "expired_cert",
    "broken_chain",
    "name_mismatch",
    "damaged_key",
    "validity_misconfig",
    "missing_extension",
    "revocation",
];

/// An attempt labelled as the rejection of a certificate that TLS 1.3 seals, without an alert in clear.
struct Sealed<'a> {
    judged: &'a Judged,
    attempt: &'a Attempt,
    event: &'a Value,
}

impl<'a> Sealed<'a> {
    fn of(judged: &'a Judged, pair: &'a Pair) -> Option<Self> {
        let (attempt, event) = (pair.attempt.as_ref()?, pair.event.as_ref()?);
        let of_certificate = attempt.cause.as_deref().is_some_and(|cause| OF_CERTIFICATES.contains(&cause));
        let sealed = word(&event["tls"], "version") == Some("TLS 1.3")
            && word(event, "transport") == Some("tcp")
            && event["alert"]["sealed"] != false
            && event["certificates"].as_array().is_some_and(Vec::is_empty);
        (judged.counted && attempt.outcome == "failed" && of_certificate && sealed).then_some(Self {
            judged,
            attempt,
            event,
        })
    }

    fn by_client(&self) -> bool {
        self.attempt.side.as_deref() == Some("server")
    }

    fn name(&self) -> String {
        self.judged.path.display().to_string()
    }

    fn right(&self, event: &Value) -> bool {
        word(event, "cause").is_some_and(|cause| self.attempt.has_cause(cause))
    }

    /// The same attempt among other events.
    fn among<'e>(&self, events: &'e [Value]) -> Option<&'e Value> {
        events.iter().find(|event| {
            event["client"] == self.event["client"] && word(event, "ts") == word(self.event, "ts")
        })
    }
}

fn sealed(judged: &[Judged]) -> Vec<Sealed<'_>> {
    judged
        .iter()
        .flat_map(|judged| judged.pairs.iter().filter_map(move |pair| Sealed::of(judged, pair)))
        .collect()
}

/// Seconds since the epoch of an event's first packet.
fn second(event: &Value) -> i64 {
    let stamp = word(event, "ts").unwrap();
    let number = |range: std::ops::Range<usize>| stamp[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days from the civil calendar (proleptic Gregorian), years beginning in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 719_469;
    days * 86_400 + number(11..13) * 3_600 + number(14..16) * 60 + number(17..19)
}

/// What a capture is made by, and the first word of its name: the fault.
fn family(judged: &Judged) -> (&str, &str) {
    let script = judged.label.made_by.split(';').next().unwrap();
    let name = judged.path.file_stem().unwrap().to_str().unwrap();
    (script, name.split('-').next().unwrap())
}

/// The capture in which the same fault was met in clear, made as near to it as can be: of a server by the same name at the same
/// address, of a client anywhere.
fn twin<'a>(of: &Sealed<'_>, all: &'a [Judged]) -> Option<&'a Judged> {
    let (script, fault) = family(of.judged);
    let in_clear = if of.by_client() { "certificates" } else { "client_certificates" };
    let shows = |judged: &&Judged| {
        let pair = judged.pairs.first();
        let (attempt, event) = pair.and_then(|pair| pair.attempt.as_ref().zip(pair.event.as_ref())).unzip();
        judged.path.extension().is_some_and(|end| end == "pcap")
            && attempt
                .is_some_and(|attempt| attempt.outcome == "failed" && attempt.reason == of.attempt.reason)
            && event.is_some_and(|event| {
                let same = |field: &str| event[field] == of.event[field];
                event[in_clear].as_array().is_some_and(|shown| !shown.is_empty())
                    && (!of.by_client() || same("server") && same("sni"))
            })
    };
    all.iter().filter(shows).max_by_key(|judged| {
        let event = judged.pairs[0].event.as_ref().unwrap();
        let apart = (second(event) - second(of.event)).abs();
        (family(judged) == (script, fault), apart < 7_200, -apart)
    })
}

/// The packets of a capture, where its format is the plain one.
fn pcap(judged: &Judged) -> Option<Pcap> {
    Pcap::parse(&std::fs::read(root().join(&judged.path)).unwrap())
}

/// The certificates that a server shows in clear, as PEM.
fn chain_in_clear(pcap: &Pcap) -> Option<String> {
    let sent = pcap.said_by_server();
    let (mut handshake, mut rest) = (Vec::new(), &sent[..]);
    while let [22, _, _, high, low, behind @ ..] = rest {
        let len = usize::from(*high) << 8 | usize::from(*low);
        handshake.extend_from_slice(behind.get(..len)?);
        rest = &behind[len..];
    }
    let long = |bytes: &[u8]| bytes[..3].iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    let mut messages = &handshake[..];
    while messages.len() > 4 {
        let (kind, len) = (messages[0], long(&messages[1..]));
        if kind == 11 {
            let mut list = messages.get(7..4 + len)?;
            let mut pem = String::new();
            while list.len() > 3 {
                let len = long(list);
                pem += &pem_of(list.get(3..3 + len)?);
                list = &list[3 + len..];
            }
            return Some(pem);
        }
        messages = messages.get(4 + len..)?;
    }
    None
}

fn pem_of(der: &[u8]) -> String {
    let digits = base64(der);
    let lines: String = digits
        .as_bytes()
        .chunks(64)
        .map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()))
        .collect();
    format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
}

/// Both as one capture: what was in clear comes three seconds before.
fn together(sealed: &Sealed<'_>, twin: &Pcap) -> Option<Vec<u8>> {
    let (capture, shown) = (pcap(sealed.judged)?, twin.tcp_only());
    let at = u32::try_from(second(sealed.event) - 3).unwrap();
    // Other ports, lest the two be one connection.
    Some(capture.with(shown.later(at, 4_000, 10).iter().chain(&capture.packets)))
}

fn read(path: &Path, more: &[String]) -> Vec<Value> {
    let mut args = ["read", "--json", "--no-progress", "--workers", "1"].map(str::to_owned).to_vec();
    // The laboratory's roots alone: the public ones take longer to read than the packets.
    args.extend(["--trust".to_owned(), "captures/lab-root.pem".to_owned()]);
    args.extend_from_slice(more);
    args.push(path.to_str().unwrap().to_owned());
    let ran = run(&args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.handshakes()
}

/// What came of sealed rejections whose server's certificates are known.
#[derive(Default)]
struct Known {
    all: usize,
    found: usize,
    right: usize,
    /// Causes named with this certainty, and the right ones.
    verdicts: BTreeMap<String, Figure>,
    wrong: Vec<String>,
}

impl Known {
    fn count(&mut self, sealed: &Sealed<'_>, event: &Value) {
        let right = sealed.right(event);
        self.all += 1;
        self.found += usize::from(failed(event));
        self.right += usize::from(right);
        if let Some(certainty) = word(event, "certainty") {
            let (rights, of) = self.verdicts.entry(certainty.to_owned()).or_default();
            *rights += usize::from(right);
            *of += 1;
        }
        if !right {
            let truth = sealed.attempt.told();
            self.wrong.push(format!("{}: {truth}, said {}", sealed.name(), said(event)));
        }
    }

    fn tell(&self, how: &str) {
        let of = |word: &str| percent(self.verdicts.get(word).copied().unwrap_or_default());
        tell(&format!(
            "sealed, {how}: found {}, the cause first {}; inferred and right {}, suspected and right {}",
            percent((self.found, self.all)),
            percent((self.right, self.all)),
            of("inferred"),
            of("suspected"),
        ));
    }

    /// At least so many of a hundred.
    fn holds(&self, how: &str) {
        self.tell(how);
        let wrong = self.wrong.join("\n");
        assert!(100 * self.found >= 98 * self.all, "{how}: found {} of {}\n{wrong}", self.found, self.all);
        assert!(100 * self.right >= 92 * self.all, "{how}: right {} of {}\n{wrong}", self.right, self.all);
        let (right, of) = self.verdicts.get("inferred").copied().unwrap_or_default();
        assert!(100 * right >= 98 * of, "{how}: of what is inferred {right} of {of} are right\n{wrong}");
        assert_eq!(self.verdicts.get("proven"), None, "{how}: sizes prove nothing\n{wrong}");
    }
}

#[test]
fn sealed_rejections_are_found_and_explained_by_what_is_known_of_the_server() {
    let scratch = Scratch::new("sealed");
    let all = everything();
    let attempts = sealed(all);
    let missed: Vec<_> = attempts.iter().filter(|it| !failed(it.event)).map(Sealed::name).collect();
    tell(&format!("sealed, alone: found {}", percent((attempts.len() - missed.len(), attempts.len()))));
    assert!(attempts.len() >= 360, "the captures are there: {}", attempts.len());
    assert!(100 * missed.len() <= 2 * attempts.len(), "not found: {missed:#?}");

    // Of those whose twin is another capture: as one capture, and with its certificates in a file.
    let (mut beside, mut given, mut shown, mut alone) =
        (Known::default(), Known::default(), Known::default(), 0);
    let folder = scratch.path("together");
    std::fs::create_dir_all(&folder).unwrap();
    let mut twins = Vec::new();
    for (n, attempt) in attempts.iter().filter(|it| it.by_client()).enumerate() {
        let capture_shows = attempt.judged.pairs.iter().filter_map(|pair| pair.event.as_ref());
        if capture_shows
            .into_iter()
            .any(|event| event["certificates"].as_array().is_some_and(|it| !it.is_empty()))
        {
            shown.count(attempt, attempt.event);
            continue;
        }
        let twin = twin(attempt, all).filter(|_| attempt.judged.path.extension().unwrap() == "pcap");
        let Some((twin, pem)) = twin.and_then(|twin| Some((pcap(twin)?, chain_in_clear(&pcap(twin)?)?)))
        else {
            alone += 1;
            continue;
        };
        let name = format!("{n}.pcap");
        std::fs::write(folder.join(&name), together(attempt, &twin).unwrap()).unwrap();
        twins.push((attempt, name, pem));
    }
    let events = read(&folder, &[]);
    for (attempt, name, pem) in &twins {
        let of_file: Vec<_> = events
            .iter()
            .filter(|event| {
                word(event, "capture")
                    .is_some_and(|path| Path::new(path).file_name().unwrap() == name.as_str())
            })
            .cloned()
            .collect();
        let event = attempt.among(&of_file).unwrap_or_else(|| panic!("{}: not in {name}", attempt.name()));
        beside.count(attempt, event);
        let file: PathBuf = scratch.write("chain.pem", pem.as_bytes());
        let more = ["--certs".to_owned(), file.to_str().unwrap().to_owned()];
        let events = read(&root().join(&attempt.judged.path), &more);
        given.count(attempt, attempt.among(&events).unwrap());
    }
    tell(&format!(
        "sealed: {} have a twin, {} show the certificate in the same capture, {alone} neither",
        twins.len(),
        shown.all
    ));
    beside.holds("beside a handshake of the same server in clear");
    given.holds("with the server's certificates in a file");
    shown.holds("where the same capture shows the certificate");
    let all = (twins.len(), shown.all);
    assert!(all.0 >= 190 && all.1 >= 95, "the captures are there: {all:?}");
}

#[test]
fn nothing_healthy_is_called_failed_above_suspected_whatever_certificates_are_known() {
    let scratch = Scratch::new("sealed-healthy");
    let all = everything();
    // Every chain that any capture shows in clear.
    let mut chains: Vec<_> = all
        .iter()
        .filter(|judged| judged.path.extension().is_some_and(|end| end == "pcap"))
        .filter_map(|judged| chain_in_clear(&pcap(judged)?))
        .collect();
    chains.sort_unstable();
    chains.dedup();
    let file = scratch.write("chains.pem", chains.concat().as_bytes());
    tell(&format!("sealed, healthy: judged with {} chains", chains.len()));
    let mut roots = lab_roots();
    roots.extend(["--certs".to_owned(), file.to_str().unwrap().to_owned()]);
    let (mut healthy, mut called) = (0, BTreeMap::<String, Vec<String>>::new());
    for folder in ["captures/none", "captures/odd"] {
        let judged = judged_in(Path::new(folder), &roots);
        for (judged, pair) in
            judged.iter().flat_map(|judged| judged.pairs.iter().map(move |pair| (judged, pair)))
        {
            let Some((attempt, event)) = pair.attempt.as_ref().zip(pair.event.as_ref()) else { continue };
            if attempt.has_outcome("failed") || word(&event["tls"], "version") != Some("TLS 1.3") {
                continue;
            }
            healthy += 1;
            if failed(event) {
                let certainty = word(event, "certainty").unwrap_or("no cause").to_owned();
                called.entry(certainty).or_default().push(judged.path.display().to_string());
            }
        }
    }
    let counts: Vec<_> = called.iter().map(|(how, which)| format!("{how} {}", which.len())).collect();
    tell(&format!("sealed, healthy: of {healthy} called failed: {}", counts.join(", ")));
    for sure in ["proven", "inferred"] {
        assert_eq!(called.get(sure), None, "{sure}");
    }
    let sum: usize = called.values().map(Vec::len).sum();
    assert!(healthy >= 520 && 100 * sum <= 3 * healthy, "{called:#?}");
}

#[test]
fn a_clients_sealed_certificate_is_judged_by_what_it_shows_in_clear() {
    let scratch = Scratch::new("sealed-client");
    let all = everything();
    let attempts = sealed(all);
    let shown =
        |it: &&Sealed<'_>| !it.by_client() && it.attempt.reason.as_deref() != Some("client_cert_absent");
    let mut beside = Known::default();
    for attempt in attempts.iter().filter(shown) {
        let Some(bytes) = twin(attempt, all).and_then(|twin| together(attempt, &pcap(twin)?)) else {
            continue;
        };
        let events = read(&scratch.write("together.pcap", &bytes), &[]);
        beside.count(attempt, attempt.among(&events).unwrap());
    }
    assert!(beside.all >= 32, "{}", beside.all);
    beside.holds("of clients, beside a handshake in clear");
}

/// The last attempt of a lab capture that is judged alone, or with certificates given.
fn last_of(name: &str, more: &[String]) -> Value {
    read(&root().join("captures").join(name), more).pop().unwrap()
}

#[test]
fn a_replaced_certificate_is_told_by_its_size() {
    let event = last_of("expired_cert/replaced-worse-rustls-nginx.pcap", &[]);
    let sealed = &event["sealed"];
    assert_eq!(
        (&sealed["chains_known"], &sealed["chains_fit"]),
        (&Value::from(1), &Value::from(0)),
        "{sealed}"
    );
    assert_eq!(sealed["changed"]["packet"], 6, "{sealed}");
    assert_eq!(sealed["key"], "P-256");
    assert_eq!(event["cause"], Value::Null, "nobody knows the new one");
    let renewed = last_of("none/replaced-renewed-rustls-nginx.pcap", &[]);
    assert_eq!(renewed["outcome"], "completed");
    assert!(renewed.get("sealed").is_none());
}

#[test]
fn behind_padding_the_only_chain_known_is_suspected() {
    let event = last_of("expired_cert/shown-expired-padded-gnutls-s-server.pcap", &[]);
    assert_eq!(event["sealed"]["certificate_bytes"], Value::Null);
    assert_eq!(event["sealed"]["chain"]["fit"], "hidden");
    assert_eq!((word(&event, "cause"), word(&event, "certainty")), (Some("expired_cert"), Some("suspected")));
}

#[test]
fn a_missing_intermediate_is_told_by_the_size_of_the_leaf_alone() {
    let scratch = Scratch::new("sealed-missing");
    let missing = root().join("captures/broken_chain/shown-missing-intermediate-java-apache.pcap");
    let missing = Pcap::parse(&std::fs::read(missing).unwrap()).unwrap();
    // The intermediate that the server should send stands behind another leaf of the same run.
    let whole = root().join("captures/expired_cert/shown-expired-rustls-java.pcap");
    let whole = chain_in_clear(&Pcap::parse(&std::fs::read(whole).unwrap()).unwrap()).unwrap();
    let intermediate = &whole[whole.rfind("-----BEGIN").unwrap()..];
    let chain = chain_in_clear(&missing).unwrap() + intermediate;
    let file = scratch.write("chain.pem", chain.as_bytes());
    let last = missing.last_connection();
    let alone = scratch.write("alone.pcap", &last.whole());
    let more = ["--certs".to_owned(), file.to_str().unwrap().to_owned()];
    let event = read(&alone, &more).pop().unwrap();
    let chain = &event["sealed"]["chain"];
    assert_eq!(
        (&chain["from"], &chain["lacks"], &chain["fit"]),
        (&"given".into(), &1.into(), &"exact".into()),
        "{event}"
    );
    assert_eq!(
        (word(&event, "reason"), word(&event, "certainty")),
        (Some("missing_intermediate"), Some("inferred"))
    );
}
