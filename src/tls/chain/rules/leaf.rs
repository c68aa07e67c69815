//! Rules for the leaf: its names, what its key may do, and what binds public certificates.

use super::super::path::{End, Path};
use super::super::{Defect, Fault, KeyUse, Question};
use super::single::{
    ANY_PURPOSE, DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, critical, dates, purpose, usage_names, weak_key,
};
use super::{Found, Title, title};
use crate::base::Stamp;
use crate::tls::cert::{Certificate, KeyKind};
use crate::tls::idn;
use crate::tls::names::{self, Cover};

const CONTENT_COMMITMENT: u8 = 1;
const DATA_ENCIPHERMENT: u8 = 3;
const KEY_AGREEMENT: u8 = 4;

/// Defects of the leaf itself, whatever its path.
pub(in crate::tls::chain) fn of_leaf(leaf: &Certificate, question: &Question<'_>) -> Vec<Defect> {
    let mut found = Found { list: Vec::new(), question };
    let title = title(leaf, question.uses.role());
    if let Some(damage) = &leaf.damage {
        found.add(Fault::DecodeError, Some(0), format!("{title} is damaged: {damage}"));
    }
    dates(leaf, Some(0), &title, Fault::LeafExpired, &mut found);
    if !question.client {
        host(leaf, &title, &mut found);
    }
    purpose(leaf, Some(0), &title, &mut found);
    key_usage(leaf, &title, &mut found);
    critical(leaf, Some(0), &title, &mut found);
    weak_key(leaf, Some(0), &title, &mut found);
    if let Some((true, _)) = leaf.basic_constraints
        && !leaf.is_self_issued()
    {
        found.add(
            Fault::BasicConstraints,
            Some(0),
            format!("{title} has cA:TRUE in basicConstraints: a CA's certificate is used as a leaf"),
        );
    }
    found.list
}

/// The name asked for against the names presented.
fn host(leaf: &Certificate, title: &Title<'_>, found: &mut Found<'_>) {
    let names = || match &leaf.alt_names {
        Some(names) if names.dns.is_empty() => {
            names::few(&names.ips.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
        Some(names) => names::few(&names.dns),
        None => String::new(),
    };
    let Some(host) = found.question.host else {
        // Without a name, only a certificate for addresses alone can be seen not to fit.
        if let (Some(ip), Some(alt)) = (found.question.server_ip, &leaf.alt_names)
            && alt.dns.is_empty()
            && !alt.ips.is_empty()
            && !alt.ips.contains(&ip)
        {
            let says = format!("{title} names the addresses {}, not the server's {ip}", names());
            found.add(Fault::IpNotInSan, Some(0), says);
        }
        return;
    };
    let (fault, says) = match names::covers(leaf, host) {
        Cover::Covers => return,
        Cover::SanMismatch => {
            (Fault::SanMismatch, format!("{title} names {}, not {host} (RFC 9525 section 6.3)", names()))
        }
        Cover::WildcardDepth => (
            Fault::WildcardDepth,
            format!(
                "{title} names {}: a wildcard stands for one label only, and {host} has another depth (RFC 9525 section 6.3)",
                names()
            ),
        ),
        Cover::IdnNotALabel { by_client: true } => (
            Fault::IdnNotALabel,
            format!(
                "the client asks for {host} in Unicode instead of A-labels, {} (RFC 6066 section 3); {title} names {}",
                idn::a_labels(host).unwrap_or_default(),
                names()
            ),
        ),
        Cover::IdnNotALabel { by_client: false } => (
            Fault::IdnNotALabel,
            format!(
                "{title} names {} in Unicode instead of A-labels (RFC 5280 section 7.2): verifiers do not find {host} there",
                names()
            ),
        ),
        Cover::IpNotInSan => (
            Fault::IpNotInSan,
            format!("{title} names {}, no iPAddress entry is {host} (RFC 9525 section 6.5)", names()),
        ),
        Cover::NoSan { common_name_fits } => {
            let fits = if common_name_fits { "fits" } else { "does not fit either" };
            (
                Fault::NoSan,
                format!(
                    "{title} has no subjectAltName; its common name {fits}, but is not looked at (RFC 9525 section 2)"
                ),
            )
        }
    };
    found.add(fault, Some(0), says);
}

/// keyUsage of a leaf against what the handshake asks of its key (RFC 5246 section 7.4.2).
fn key_usage(leaf: &Certificate, title: &Title<'_>, found: &mut Found<'_>) {
    let Some(usage) = leaf.key_usage else { return };
    let has = |bit: u8| usage >> bit & 1 == 1;
    let signs = has(DIGITAL_SIGNATURE);
    let rsa = matches!(leaf.key.kind, KeyKind::Rsa(_));
    let enciphers = has(KEY_ENCIPHERMENT) || has(DATA_ENCIPHERMENT) || has(KEY_AGREEMENT);
    let lack = match found.question.uses {
        KeyUse::PairSigns if !signs && !has(CONTENT_COMMITMENT) => {
            "digitalSignature, which TLCP's first certificate is for"
        }
        KeyUse::PairEnciphers if !enciphers => "keyEncipherment, which TLCP's second certificate is for",
        KeyUse::PairSigns | KeyUse::PairEnciphers => return,
        _ if found.question.client && !signs => "digitalSignature, which a client's CertificateVerify needs",
        KeyUse::Signs if !signs => "digitalSignature, which this key exchange needs",
        KeyUse::Decrypts if rsa && !has(KEY_ENCIPHERMENT) => "keyEncipherment, which RSA key transport needs",
        KeyUse::Unknown if rsa && !signs && !has(KEY_ENCIPHERMENT) => "digitalSignature and keyEncipherment",
        KeyUse::Unknown if !rsa && !signs && !has(KEY_AGREEMENT) => "digitalSignature",
        _ => return,
    };
    found.add(
        Fault::KeyUsage,
        Some(0),
        format!("{title} has keyUsage {} without {lack}", usage_names(usage)),
    );
}

/// Rules that depend on who trusts the path: those of the CA/Browser Forum (Baseline Requirements 2.2.6) bind publicly
/// trusted certificates only; Apple's systems limit the lifetime of all.
pub(in crate::tls::chain) fn of_public_leaf(
    leaf: &Certificate,
    path: &Path,
    question: &Question<'_>,
    list: &mut Vec<Defect>,
) {
    if question.client || path.steps.len() < 2 || leaf.not_after < leaf.not_before {
        return;
    }
    let title = title(leaf, question.uses.role());
    let issued = leaf.scts.1.unwrap_or(leaf.not_before);
    let days = lifetime_days(leaf);
    let dates = || format!("{days} days ({} to {})", leaf.not_before.date(), leaf.not_after.date());
    if !matches!(path.end, End::Trusted { public: true }) {
        if days > PRIVATE_DAYS && issued.secs() >= PRIVATE_SINCE {
            let says = format!(
                "{title} is valid for {}: Apple's systems take {PRIVATE_DAYS} days at most, private roots included (support.apple.com/103769)",
                dates()
            );
            list.push(Defect { fault: Fault::LifetimePrivate, cert: Some(0), says });
        }
        return;
    }
    let longest = longest_lifetime(issued);
    if days > longest {
        let says = format!(
            "{title} is valid for {}; public certificates issued on {} may be for {longest} days (Baseline Requirements section 6.3.2)",
            dates(),
            issued.date()
        );
        list.push(Defect { fault: Fault::LifetimeTooLong, cert: Some(0), says });
    }
    if issued.secs() >= BASELINE_2 {
        let breach =
            |says: String| Defect { fault: Fault::Profile, cert: Some(0), says: format!("{title} {says}") };
        list.extend(baseline(leaf).into_iter().map(breach));
    }
}

/// Apple's limit for certificates that a user or an administrator trusts, in days.
const PRIVATE_DAYS: i64 = 825;
/// It holds for those issued from 2019-07-01.
const PRIVATE_SINCE: i64 = 1_561_939_200;
/// Version 2.0.0 of the Baseline Requirements, with profiles of certificates, is in force since 2023-09-15.
const BASELINE_2: i64 = 1_694_736_000;

/// What the profile of subscriber certificates forbids (Baseline Requirements section 7.1.2.7) and verifiers let pass.
fn baseline(leaf: &Certificate) -> Vec<String> {
    let purposes = leaf.extended_key_usage.as_deref();
    let any = purposes.is_some_and(|purposes| purposes.iter().any(|oid| oid == ANY_PURPOSE));
    let access = !leaf.issuer_urls.is_empty() || !leaf.ocsp_urls.is_empty();
    let alike = |name: &String, common: &str| name.eq_ignore_ascii_case(common);
    let unnamed = leaf.common_name.as_deref().filter(|common| {
        let Some(alt) = &leaf.alt_names else { return false };
        !alt.dns.iter().any(|name| alike(name, common)) && !alt.ips.iter().any(|ip| ip.to_string() == *common)
    });
    let rules = [
        (purposes.is_none(), "7.1.2.7.6", "has no extKeyUsage"),
        (any, "7.1.2.7.10", "has anyExtendedKeyUsage"),
        (!leaf.has_policies, "7.1.2.7.6", "has no certificatePolicies"),
        (!access, "7.1.2.7.6", "has no authorityInfoAccess"),
        (
            leaf.alt_names_critical && leaf.subject_der.len() > 2,
            "7.1.2.7.12",
            "has a subject, yet a critical subjectAltName",
        ),
        (unnamed.is_some(), "7.1.4.3", "has a common name that is none of its subjectAltNames"),
    ];
    let broken = rules.into_iter().filter(|(wrong, ..)| *wrong);
    broken.map(|(_, section, says)| format!("{says} (Baseline Requirements section {section})")).collect()
}

/// Whole days of validity, both ends included; any second more counts a day.
fn lifetime_days(cert: &Certificate) -> i64 {
    let seconds = cert.not_after.secs().saturating_sub(cert.not_before.secs()).saturating_add(1);
    seconds.saturating_add(86_399) / 86_400
}

/// The longest validity allowed, in days, by the day of issue (Baseline Requirements section 6.3.2
/// and its history).
fn longest_lifetime(issued: Stamp) -> i64 {
    const TABLE: [(i64, i64); 6] = [
        (1_868_227_200, 47),   // from 2029-03-15
        (1_805_068_800, 100),  // from 2027-03-15
        (1_773_532_800, 200),  // from 2026-03-15
        (1_598_918_400, 398),  // from 2020-09-01
        (1_519_862_400, 825),  // from 2018-03-01
        (1_427_846_400, 1188), // from 2015-04-01 (39 months)
    ];
    const FIVE_YEARS: i64 = 1827;
    let row = TABLE.into_iter().find(|(from, _)| issued.secs() >= *from);
    row.map_or(FIVE_YEARS, |(_, days)| days)
}
