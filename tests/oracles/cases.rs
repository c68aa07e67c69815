//! Questions to verifiers, from four suites.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tlswhy::tls::cert::Certificate;
use tlswhy::tls::trust;

/// OpenSSL's own questions to its certificates: leaf, purpose, trusted, untrusted.
const OPENSSL: &str = include_str!("openssl.tsv");

/// 2026-11-01, within the validity of whatever is meant to be valid.
pub const NOW: i64 = 1_793_491_200;

/// A question to a verifier.
pub struct Case {
    /// `limbo:rfc5280::aki::critical-aki`, `pkits:…`, `openssl:…`, `zlint:…`.
    pub id: String,
    pub leaf: Vec<u8>,
    pub untrusted: Vec<Vec<u8>>,
    pub roots: Vec<Vec<u8>>,
    /// A DNS name or an address.
    pub host: Option<String>,
    pub client: bool,
    /// Seconds since 1970.
    pub at: i64,
    /// What the suite says: accepted or not.
    pub expected: Option<bool>,
    pub note: String,
    /// Only whether it can be read is asked.
    pub reading: bool,
}

pub fn folder() -> Option<PathBuf> {
    let corpora = std::env::var_os("TLSWHY_CORPORA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"), PathBuf::from);
    let folder = corpora.join("certs");
    if folder.join("certs.tsv").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: there are no third-party certificates at {}", folder.display());
    None
}

pub fn all(folder: &Path) -> Vec<Case> {
    let mut cases = limbo(folder);
    cases.extend(pkits(folder));
    cases.extend(openssl(folder));
    cases.extend(zlint(folder));
    cases
}

fn certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    trust::certificates(bytes).unwrap_or_default()
}

fn limbo(folder: &Path) -> Vec<Case> {
    let text = std::fs::read(folder.join("limbo.json")).unwrap();
    let suite: Value = serde_json::from_slice(&text).unwrap();
    let pems = |list: &Value| {
        let list = list.as_array().unwrap().iter();
        list.flat_map(|pem| certificates(pem.as_str().unwrap().as_bytes())).collect::<Vec<_>>()
    };
    let cases = suite["testcases"].as_array().unwrap().iter();
    cases
        .filter_map(|case| {
            let text = |field: &str| case[field].as_str().unwrap_or_default().to_owned();
            let leaf = text("peer_certificate");
            // A certificate that is no certificate is a case too.
            let leaf = certificates(leaf.as_bytes()).into_iter().next()?;
            let at = case["validation_time"].as_str().map_or(NOW, seconds);
            let peer = &case["expected_peer_name"];
            let host = matches!(peer["kind"].as_str(), Some("DNS" | "IP"))
                .then(|| peer["value"].as_str().unwrap().to_owned());
            // Revocation lists and limits of depth are not asked here.
            let features = case["features"].as_array().unwrap();
            let other = features.iter().any(|feature| feature == "has-crl" || feature == "max-chain-depth");
            Some(Case {
                id: format!("limbo:{}", text("id")),
                leaf,
                untrusted: pems(&case["untrusted_intermediates"]),
                roots: pems(&case["trusted_certs"]),
                host,
                client: case["validation_kind"] == "CLIENT",
                at,
                expected: (!other).then(|| case["expected_result"] == "SUCCESS"),
                note: text("description").chars().take(90).collect::<String>().replace('\n', " "),
                reading: false,
            })
        })
        .collect()
}

/// RFC 3339 with offset zero.
fn seconds(text: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days since 1970 of a date, by Hinnant's algorithm.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    days * 86_400 + number(11..13) * 3_600 + number(14..16) * 60 + number(17..19)
}

/// Certificates of a folder by their file's name without ending.
fn by_name(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = files.iter().filter_map(|file| {
        let name = file.file_stem()?.to_str()?.to_owned();
        Some((name, certificates(&std::fs::read(file).unwrap()).into_iter().next()?))
    });
    read.collect()
}

/// The NIST's suite. Lists of revoked certificates, and policies that only an application asks for, are left out.
fn pkits(folder: &Path) -> Vec<Case> {
    let authorities = by_name(&folder.join("pkits/ca"));
    let root = authorities["TrustAnchorRootCertificate"].clone();
    let parsed: Vec<Arc<Certificate>> =
        authorities.values().map(|der| Arc::new(Certificate::parse(der))).collect();
    let table = std::fs::read_to_string(folder.join("certs.tsv")).unwrap();
    let of_table: BTreeMap<&str, (&str, &str)> = table
        .lines()
        .filter_map(|line| {
            let mut columns = line.split('\t');
            let name = columns.next()?.strip_prefix("certs/pkits/ee/")?.strip_suffix(".crt")?;
            let (_, expected, cause) = (columns.next()?, columns.next()?, columns.next()?);
            Some((name, (expected, cause)))
        })
        .collect();
    let leaves = by_name(&folder.join("pkits/ee"));
    leaves
        .into_iter()
        .map(|(name, leaf)| {
            let (expected, cause) = of_table[name.as_str()];
            Case {
                id: format!("pkits:{name}"),
                untrusted: issuers(&leaf, &parsed, &root),
                leaf,
                roots: vec![root.clone()],
                host: None,
                client: false,
                at: NOW,
                expected: (cause != "6").then_some(expected == "SUCCESS"),
                note: cause.to_owned(),
                reading: false,
            }
        })
        .collect()
}

/// Whatever could be above a certificate, by names alone.
fn issuers(leaf: &[u8], pool: &[Arc<Certificate>], root: &[u8]) -> Vec<Vec<u8>> {
    let mut found: Vec<Arc<Certificate>> = Vec::new();
    let mut names = vec![Certificate::parse(leaf).issuer_der];
    while let Some(name) = names.pop() {
        for cert in pool.iter().filter(|cert| tlswhy::tls::cert::same_name(&cert.subject_der, &name)) {
            if *cert.der != *root && !found.contains(cert) {
                names.push(cert.issuer_der.clone());
                found.push(cert.clone());
            }
        }
    }
    found.into_iter().map(|cert| cert.der.to_vec()).collect()
}

fn openssl(folder: &Path) -> Vec<Case> {
    let certs = by_name(&folder.join("openssl"));
    let rows = OPENSSL.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    rows.map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [leaf, purpose, trusted, untrusted, expected] = columns[..] else {
            panic!("five columns: {line}")
        };
        let named = |names: &str| {
            let names = names.split(' ').filter(|name| !name.is_empty());
            names
                .map(|name| certs.get(name).unwrap_or_else(|| panic!("no certificate {name}")).clone())
                .collect::<Vec<_>>()
        };
        Case {
            id: format!("openssl:{leaf}/{}/{}", trusted.replace(' ', "+"), untrusted.replace(' ', "+")),
            leaf: named(leaf).remove(0),
            untrusted: named(untrusted),
            roots: named(trusted),
            host: None,
            client: purpose == "client",
            at: NOW,
            expected: Some(expected == "accepted"),
            note: String::new(),
            reading: false,
        }
    })
    .collect()
}

/// Certificates for a linter: nobody has their issuers, so only whether they can be read is asked of verifiers.
fn zlint(folder: &Path) -> Vec<Case> {
    let certs = by_name(&folder.join("zlint"));
    certs
        .into_iter()
        .map(|(name, leaf)| Case {
            id: format!("zlint:{name}"),
            at: Certificate::parse(&leaf).not_before.secs(),
            leaf,
            untrusted: Vec::new(),
            roots: Vec::new(),
            host: None,
            client: false,
            expected: None,
            note: String::new(),
            reading: true,
        })
        .collect()
}
