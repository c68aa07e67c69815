//! The certificates of captures, with who serves them and what is wrong with them.

use super::json::{array, object, string};
use super::{SCHEMA, certificate, ends};
use crate::base::{Endpoint, Stamp};
use crate::cause::Cause;
use crate::cause::faults::{placed, placed_of_client};
use crate::evidence::{Chain, Evidence, Outcome};
use crate::tls::cert::Certificate;
use crate::tls::chain::{Defect, Fault};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

/// What a certificate was presented as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A server's own.
    Server,
    /// A client's own.
    Client,
    /// Behind one of these.
    Issuer,
}

impl Role {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Issuer => "issuer",
        }
    }
}

/// A defect as cause, reason and words.
pub type Told = (Cause, &'static str, String);

/// Handshakes with one server or of one client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    /// In clear.
    pub handshakes: u64,
    /// Sealed, told by size.
    pub sealed: u64,
}

/// A certificate, and what was seen of it.
#[derive(Clone, Debug)]
pub struct Item {
    /// Itself.
    pub certificate: Arc<Certificate>,
    /// What it was presented as, the first of [`Role`] where it was several.
    pub role: Role,
    /// When it was presented first.
    pub first: Stamp,
    /// And last.
    pub last: Stamp,
    /// Handshakes in which it was presented in clear.
    pub handshakes: u64,
    /// Handshakes of TLS 1.3 in which a sealed record has just the size that it and its issuers give, with a server that
    /// showed them in clear before or for a name for which they were given: another of that size would look the same.
    pub sealed: u64,
    /// Of those in clear, failed.
    pub failed: u64,
    /// Who presented it, under which name, and how often; [`Inventory::SERVERS`] at most.
    pub served: BTreeMap<(Endpoint, Option<Arc<str>>), Served>,
    /// Handshakes of others that presented it.
    pub served_by_more: u64,
    /// What is wrong with it, each defect once.
    pub defects: Vec<(Fault, Told)>,
}

/// Certificates by their SHA-256, within a bound.
#[derive(Debug, Default)]
pub struct Inventory {
    items: HashMap<[u8; 32], Item, RandomState>,
    /// Certificates that found no place.
    pub beyond: u64,
}

impl Inventory {
    /// Certificates kept: some 5 kB each.
    pub const MOST: usize = 100_000;
    /// Servers and names kept of one certificate.
    pub const SERVERS: usize = 64;
    /// Defects kept of one certificate.
    const DEFECTS: usize = 32;

    /// Takes what an attempt presented in clear, and what a sealed record has the size of.
    pub fn add(&mut self, evidence: &Evidence) {
        if let (Chain::Sealed(_), Some(before)) = (&evidence.chain, &evidence.around.shown_before) {
            for (place, certificate) in before.chain.value.iter().enumerate() {
                let role = if place == 0 { Role::Server } else { Role::Issuer };
                let Some(item) = self.item(certificate, role, evidence.started) else { continue };
                item.sealed += 1;
                item.serves(evidence, evidence.server, true);
            }
        }
        let chains = [
            (evidence.chain.clear(), &evidence.defects, Role::Server, evidence.server),
            (evidence.client_chain.clear(), &evidence.client_defects, Role::Client, evidence.client),
        ];
        for (chain, defects, role, by) in chains {
            let Some(chain) = chain else { continue };
            let place_reason = if role == Role::Client { placed_of_client } else { placed };
            for (place, certificate) in chain.value.iter().enumerate() {
                let role = if place == 0 { role } else { Role::Issuer };
                let Some(item) = self.item(certificate, role, evidence.started) else { continue };
                item.seen(evidence, role, by);
                let of_this = defects.iter().filter(|defect| defect.cert == Some(place));
                of_this.for_each(|defect| item.judged(defect, place_reason(defect.fault)));
            }
        }
    }

    fn item(&mut self, certificate: &Arc<Certificate>, role: Role, when: Stamp) -> Option<&mut Item> {
        if !self.items.contains_key(&certificate.sha256) && self.items.len() >= Self::MOST {
            self.beyond += 1;
            return None;
        }
        Some(self.items.entry(certificate.sha256).or_insert_with(|| Item {
            certificate: Arc::clone(certificate),
            role,
            first: when,
            last: when,
            handshakes: 0,
            sealed: 0,
            failed: 0,
            served: BTreeMap::new(),
            served_by_more: 0,
            defects: Vec::new(),
        }))
    }

    /// Everything, the soonest to expire first.
    pub fn by_expiry(&self) -> Vec<&Item> {
        let mut items: Vec<_> = self.items.values().collect();
        items.sort_by_key(|item| (item.certificate.not_after, item.certificate.sha256));
        items
    }
}

impl Item {
    fn seen(&mut self, evidence: &Evidence, role: Role, by: Endpoint) {
        self.role = self.role.min(role);
        self.first = self.first.min(evidence.started);
        self.last = self.last.max(evidence.started);
        self.handshakes += 1;
        self.failed += u64::from(evidence.outcome == Outcome::Failed);
        self.serves(evidence, by, false);
    }

    fn serves(&mut self, evidence: &Evidence, by: Endpoint, sealed: bool) {
        // Clients have another port each time.
        let by = if by == evidence.client { Endpoint { port: 0, ..by } } else { by };
        let sni = evidence.hello.as_ref().and_then(|hello| hello.value.sni.clone());
        let key = (by, sni);
        if self.served.len() >= Inventory::SERVERS && !self.served.contains_key(&key) {
            self.served_by_more += u64::from(!sealed);
        } else {
            let served = self.served.entry(key).or_default();
            *(if sealed { &mut served.sealed } else { &mut served.handshakes }) += 1;
        }
    }

    fn judged(&mut self, defect: &Defect, (cause, reason): (Cause, &'static str)) {
        let hygiene = || (cause, reason, defect.says.clone());
        // What is said of dates names the moment: the last one stands.
        let of_dates = defect.fault.is_of_the_moment();
        let known = self
            .defects
            .iter()
            .position(|(fault, known)| known.2 == defect.says || (of_dates && *fault == defect.fault));
        match known {
            Some(place) => {
                if let Some((_, known)) = self.defects.get_mut(place).filter(|_| of_dates) {
                    *known = hygiene();
                }
            }
            None if self.defects.len() < Inventory::DEFECTS => self.defects.push((defect.fault, hygiene())),
            None => {}
        }
    }

    /// Whole days from a moment to the end of validity; negative where that is past.
    pub fn days_left(&self, from: Stamp) -> i64 {
        (self.certificate.not_after.secs() - from.secs()).div_euclid(86_400)
    }
}

/// Appends the event of a certificate, a line of JSON. `now`: the last packet.
pub fn certificate_event(item: &Item, now: Stamp, out: &mut Vec<u8>) {
    object(out, |o| {
        o.string("schema", SCHEMA);
        o.string("kind", "certificate");
        o.display("ts", &item.last);
        o.display("first_ts", &item.first);
        o.word("role", item.role.word());
        certificate::members(&item.certificate, o);
        let left = item.days_left(now);
        super::json::integer(left, o.key("days_left"));
        o.unsigned("handshakes", item.handshakes);
        o.unsigned("sealed_handshakes", item.sealed);
        o.unsigned("failed", item.failed);
        served(item, |served| served.handshakes, o.key("served_by"));
        served(item, |served| served.sealed, o.key("sealed_by"));
        o.unsigned("served_by_more", item.served_by_more);
        let out = o.key("defects");
        array(out, &item.defects, |(_, (cause, reason, says)), out| {
            object(out, |o| {
                o.word("cause", cause.word());
                o.word("reason", reason);
                string(says, o.key("says"));
            });
        });
    });
    out.push(b'\n');
}

/// Those who presented it, with how often, leaving out who never did.
fn served(item: &Item, count: impl Fn(&Served) -> u64, out: &mut Vec<u8>) {
    let ends = item.served.iter().map(|(end, served)| (end, count(served))).filter(|(_, count)| *count > 0);
    array(out, ends, |((by, sni), count), out| {
        object(out, |o| {
            ends::address(by.addr, o.key("ip"));
            o.maybe_integer("port", (by.port != 0).then_some(i64::from(by.port)));
            o.maybe_string("sni", sni.as_deref());
            o.unsigned("handshakes", count);
        });
    });
}

/// Writes certificates as comma-separated values (RFC 4180), the names of the columns first.
pub fn certificates_csv(items: &[&Item], now: Stamp, out: impl Write) -> std::io::Result<()> {
    let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    rows.write_record(COLUMNS)?;
    for item in items {
        rows.write_record(cells(item, now))?;
    }
    rows.flush()
}

const COLUMNS: [&str; 16] = [
    "subject",
    "names",
    "issuer",
    "serial",
    "not_before",
    "not_after",
    "days_left",
    "key",
    "signature_algorithm",
    "sha256",
    "role",
    "handshakes",
    "failed",
    "served_by",
    "defects",
    "sealed_handshakes",
];

fn cells(item: &Item, now: Stamp) -> [String; COLUMNS.len()] {
    let cert = &item.certificate;
    let names: Vec<_> = cert.alt_names.iter().flat_map(|names| names.hosts()).collect();
    let in_clear = item.served.iter().filter(|(_, served)| served.handshakes > 0);
    let served = in_clear.map(|(end, _)| end).map(|(by, sni)| match sni {
        Some(sni) => format!("{} ({sni})", shown(*by)),
        None => shown(*by),
    });
    let more = (item.served_by_more > 0).then(|| "and others".to_owned());
    let served: Vec<_> = served.chain(more).collect();
    let defects: Vec<_> =
        item.defects.iter().map(|(_, (_, reason, says))| format!("{reason}: {says}")).collect();
    let mut sha256 = Vec::with_capacity(64);
    super::json::hex(&cert.sha256, &mut sha256);
    [
        text(&cert.subject),
        text(&names.join(" ")),
        text(&cert.issuer),
        cert.serial.clone(),
        cert.not_before.to_string(),
        cert.not_after.to_string(),
        item.days_left(now).to_string(),
        text(&cert.key.kind.to_string()),
        text(&cert.signature_algorithm),
        String::from_utf8_lossy(&sha256).into_owned(),
        item.role.word().to_owned(),
        item.handshakes.to_string(),
        item.failed.to_string(),
        text(&served.join("; ")),
        text(&defects.join("; ")),
        item.sealed.to_string(),
    ]
}

/// What a peer wrote, on one line, and such that no spreadsheet takes it for a formula.
fn text(written: &str) -> String {
    let clean = written.chars().filter(|&c| !super::is_unprintable(c));
    let quote = written.starts_with(['=', '+', '-', '@', '\t', '\r']).then_some('\'');
    quote.into_iter().chain(clean).collect()
}

/// An address; of clients without the port.
pub fn shown(by: Endpoint) -> String {
    if by.port == 0 { by.addr.to_string() } else { by.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;

    fn inventory() -> Inventory {
        let mut inventory = Inventory::default();
        for port in 0..3 {
            let mut evidence = fixture::expired();
            evidence.client.port += port;
            let says = format!("the leaf has notAfter X, {port} before the capture at {port}");
            evidence.defects = vec![Defect { fault: Fault::LeafExpired, cert: Some(0), says }].into();
            inventory.add(&evidence);
        }
        inventory
    }

    #[test]
    fn a_certificate_is_listed_once_with_all_who_serve_it() {
        let inventory = inventory();
        let items = inventory.by_expiry();
        let leaf = items.iter().find(|item| item.role == Role::Server).unwrap();
        assert_eq!((leaf.handshakes, leaf.failed, leaf.served.len()), (3, 3, 1));
        assert_eq!(leaf.defects.len(), 1, "one defect, told of the last moment: {:?}", leaf.defects);
    }

    #[test]
    fn a_sealed_handshake_is_counted_apart_where_a_record_has_the_size_of_known_certificates() {
        let mut inventory = inventory();
        let sealed = fixture::sealed_alert();
        inventory.add(&sealed);
        let counts = |inventory: &Inventory| {
            let items = inventory.by_expiry();
            let leaf = items.iter().find(|item| item.role == Role::Server).unwrap();
            (leaf.handshakes, leaf.sealed, leaf.served.values().map(|served| served.sealed).sum::<u64>())
        };
        assert_eq!(counts(&inventory), (3, 0, 0), "nothing tells whose it is");
        inventory.add(&fixture::sealed_like(sealed.clone(), &fixture::expired()));
        assert_eq!(counts(&inventory), (3, 1, 1));
        // What was given beforehand need not have been shown.
        let mut given = Inventory::default();
        given.add(&fixture::sealed_like(sealed, &fixture::expired()));
        assert_eq!(counts(&given), (0, 1, 1));
        let mut out = Vec::new();
        certificate_event(given.by_expiry()[0], Stamp(0), &mut out);
        let event: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&event["handshakes"], &event["sealed_handshakes"]), (&0.into(), &1.into()));
        assert_eq!(event["served_by"], serde_json::json!([]));
        assert_eq!(event["sealed_by"][0]["handshakes"], 1);
    }

    #[test]
    fn days_are_counted_from_the_last_packet() {
        let inventory = inventory();
        let item = inventory.by_expiry()[0];
        let end = item.certificate.not_after;
        assert_eq!(item.days_left(end), 0);
        assert_eq!(item.days_left(Stamp::from_secs(end.secs() + 1)), -1);
        assert_eq!(item.days_left(Stamp::from_secs(end.secs() - 86_400)), 1);
    }

    #[test]
    fn a_cell_cannot_become_a_formula_or_another_row() {
        assert_eq!(text("=cmd()"), "'=cmd()");
        assert_eq!(text("a\nb"), "ab");
        let mut out = Vec::new();
        let inventory = inventory();
        certificates_csv(&inventory.by_expiry(), Stamp(0), &mut out).unwrap();
        let rows: Vec<_> = csv::Reader::from_reader(&out[..]).into_records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), inventory.items.len());
        assert!(rows.iter().all(|row| row.len() == COLUMNS.len()));
        assert!(rows.iter().any(|row| row[14].contains("the leaf has notAfter X, 2 before the capture")));
    }
}
