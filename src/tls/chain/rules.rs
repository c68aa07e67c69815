//! What a verifier could hold against a path, rule by rule.

use super::path::{End, Path, Place, Step};
use super::{Defect, Fault, KeyUse, Question};
use crate::base::{Span, Stamp};
use crate::tls::cert::{Certificate, KeyKind};
use crate::tls::names::{self, Cover};

const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const ANY_PURPOSE: &str = "2.5.29.37.0";

/// keyUsage bits (RFC 5280 section 4.2.1.3).
const DIGITAL_SIGNATURE: u8 = 0;
const KEY_ENCIPHERMENT: u8 = 2;
const KEY_AGREEMENT: u8 = 4;
const KEY_CERT_SIGN: u8 = 5;

/// CAs that the stores distrust, and keys that were published: a part of the root's subject, since
/// when (seconds; the later where stores differ), and why.
const DISTRUSTED: [(&str, i64, &str); 14] = [
    ("DigiNotar", 1_314_835_200, "a CA removed by all stores in September 2011 after its compromise"), // 2011-09-01
    ("CNNIC", 1_427_932_800, "a CA distrusted by Mozilla and Chrome since April 2015"), // 2015-04-02
    ("WoSign", 1_485_388_800, "a CA distrusted by all stores since January 2017"),      // 2017-01-26
    ("StartCom", 1_485_388_800, "a CA distrusted by all stores since January 2017"),    // 2017-01-26
    ("Symantec", 1_540_252_800, "a CA distrusted by all stores since October 2018"),    // 2018-10-23
    ("GeoTrust Inc", 1_540_252_800, "a Symantec brand, distrusted by all stores since October 2018"), // 2018-10-23
    ("thawte\\, Inc", 1_540_252_800, "a Symantec brand, distrusted by all stores since October 2018"), // 2018-10-23
    ("VeriSign\\, Inc", 1_540_252_800, "a Symantec brand, distrusted by all stores since October 2018"), // 2018-10-23
    ("Certinomis", 1_562_630_400, "a CA removed by Mozilla in July 2019"), // 2019-07-09
    ("TrustCor", 1_669_766_400, "a CA distrusted by Mozilla and Microsoft since November 2022"), // 2022-11-30
    ("E-Tugra", 1_690_761_600, "a CA removed by Mozilla and Chrome in summer 2023"), // 2023-07-31
    ("Superfish", 1_424_304_000, "a CA whose private key was published in February 2015"), // 2015-02-19
    ("eDellRoot", 1_448_236_800, "a CA whose private key was published in November 2015"), // 2015-11-23
    ("DSDTestProvider", 1_448_323_200, "a CA whose private key was published in November 2015"), // 2015-11-24
];

/// What the rules so far have found.
struct Found<'a> {
    list: Vec<Defect>,
    question: &'a Question<'a>,
}

impl Found<'_> {
    fn add(&mut self, fault: Fault, cert: Option<usize>, says: String) {
        self.list.push(Defect { fault, cert, says });
    }
}

/// `the leaf CN=a`, `the intermediate CN=b`, `the root CN=c`.
fn title(cert: &Certificate, role: &str) -> String {
    format!("the {role} {}", cert.called())
}

/// Defects of the leaf itself, whatever its path.
pub(super) fn of_leaf(leaf: &Certificate, question: &Question<'_>) -> Vec<Defect> {
    let mut found = Found { list: Vec::new(), question };
    let title = title(leaf, "leaf");
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

/// Dates against capture time (RFC 5280 section 4.1.2.5: both ends are inclusive, whole seconds).
fn dates(cert: &Certificate, place: Option<usize>, title: &str, expired: Fault, found: &mut Found<'_>) {
    let unread = Stamp::default();
    let (begin, end, at) = (cert.not_before, cert.not_after, found.question.at);
    if end < begin && end != unread {
        found.add(
            Fault::LifetimeInverted,
            place,
            format!("{title} has notAfter {end} before notBefore {begin}: it was never valid"),
        );
    } else if at.secs() > end.secs() && end != unread {
        let (end, at, since) = apart(end, at);
        found.add(expired, place, format!("{title} has notAfter {end}, {since} before the capture at {at}"));
    } else if at.secs() < begin.secs() && begin != unread {
        let (at, begin, until) = apart(at, begin);
        found.add(
            Fault::NotYetValid,
            place,
            format!("{title} has notBefore {begin}, {until} after the capture at {at}"),
        );
    }
}

/// Two moments as precisely as they differ, and how far apart they are.
fn apart(earlier: Stamp, later: Stamp) -> (String, String, Span) {
    let span = later - earlier;
    if span.micros() > 2 * 86_400_000_000 {
        (earlier.date(), later.date(), span)
    } else {
        (earlier.to_string(), later.to_string(), span)
    }
}

/// The name asked for against the names presented.
fn host(leaf: &Certificate, title: &str, found: &mut Found<'_>) {
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

/// extendedKeyUsage (RFC 5280 section 4.2.1.12; of CAs as all verifiers in use do).
fn purpose(cert: &Certificate, place: Option<usize>, title: &str, found: &mut Found<'_>) {
    let Some(purposes) = &cert.extended_key_usage else { return };
    let (fault, wanted, word) = if found.question.client {
        (Fault::EkuLacksClientAuth, CLIENT_AUTH, "clientAuth")
    } else {
        (Fault::EkuLacksServerAuth, SERVER_AUTH, "serverAuth")
    };
    // Server Gated Cryptography of old intermediates stands for serverAuth.
    let gated = |oid: &String| place != Some(0) && wanted == SERVER_AUTH && oid == "2.16.840.1.113730.4.1";
    if !purposes.iter().any(|oid| oid == wanted || oid == ANY_PURPOSE || gated(oid)) {
        let listed: Vec<String> = purposes.iter().map(|oid| purpose_name(oid)).collect();
        found.add(fault, place, format!("{title} has extKeyUsage {} without {word}", names::few(&listed)));
    }
}

fn purpose_name(oid: &str) -> String {
    match oid {
        SERVER_AUTH => "serverAuth",
        CLIENT_AUTH => "clientAuth",
        "1.3.6.1.5.5.7.3.3" => "codeSigning",
        "1.3.6.1.5.5.7.3.4" => "emailProtection",
        "1.3.6.1.5.5.7.3.8" => "timeStamping",
        "1.3.6.1.5.5.7.3.9" => "OCSPSigning",
        other => other,
    }
    .to_owned()
}

/// keyUsage of a leaf against what the handshake asks of its key (RFC 5246 section 7.4.2).
fn key_usage(leaf: &Certificate, title: &str, found: &mut Found<'_>) {
    let Some(usage) = leaf.key_usage else { return };
    let has = |bit: u8| usage >> bit & 1 == 1;
    let signs = has(DIGITAL_SIGNATURE);
    let rsa = matches!(leaf.key.kind, KeyKind::Rsa(_));
    let lack = match found.question.uses {
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

fn usage_names(usage: u16) -> String {
    const NAMES: [&str; 9] = [
        "digitalSignature",
        "nonRepudiation",
        "keyEncipherment",
        "dataEncipherment",
        "keyAgreement",
        "keyCertSign",
        "cRLSign",
        "encipherOnly",
        "decipherOnly",
    ];
    let set = NAMES.iter().enumerate().filter(|(bit, _)| usage >> bit & 1 == 1);
    let names: Vec<&str> = set.map(|(_, name)| *name).collect();
    if names.is_empty() { "(none)".to_owned() } else { names.join(", ") }
}

/// RFC 5280 section 4.2: a critical extension that is not understood forbids the use.
fn critical(cert: &Certificate, place: Option<usize>, title: &str, found: &mut Found<'_>) {
    if let Some(first) = cert.unknown_critical.first() {
        let what = match first.as_str() {
            "1.3.6.1.4.1.11129.2.4.3" => "the poison of a precertificate (RFC 6962 section 3.1)".to_owned(),
            _ => names::few(&cert.unknown_critical),
        };
        let says = format!("{title} has a critical extension that verifiers do not know: {what}");
        found.add(Fault::UnknownCritical, place, says);
    }
}

/// Keys below 112 bits of security (NIST SP 800-57 part 1; OpenSSL's security level 2).
fn weak_key(cert: &Certificate, place: Option<usize>, title: &str, found: &mut Found<'_>) {
    let weak = match &cert.key.kind {
        KeyKind::Rsa(bits) | KeyKind::Dsa(bits) if *bits < 2048 => "below the 2048 bits that verifiers want",
        KeyKind::Dsa(_) => "which no TLS stack accepts any more",
        // secp192r1, sect163k1, secp160k1, secp160r1
        KeyKind::Ec(curve)
            if matches!(
                curve.as_str(),
                "1.2.840.10045.3.1.1" | "1.3.132.0.1" | "1.3.132.0.9" | "1.3.132.0.8"
            ) =>
        {
            "below 224 bits"
        }
        _ => return,
    };
    found.add(Fault::WeakKey, place, format!("{title} has the key {}, {weak}", cert.key.kind));
}

/// Signatures over MD5 and SHA-1, which verifiers refuse but on roots.
fn weak_signature(cert: &Certificate, place: Option<usize>, title: &str, found: &mut Found<'_>) {
    let algorithm = cert.signature_algorithm.to_ascii_lowercase();
    let hash = ["md2", "md4", "md5", "sha1"].into_iter().find(|hash| algorithm.contains(hash));
    if let Some(hash) = hash {
        let says = format!(
            "{title} is signed with {}: verifiers refuse {}",
            cert.signature_algorithm,
            if hash == "sha1" { "SHA-1 since 2017".to_owned() } else { hash.to_uppercase() }
        );
        found.add(Fault::WeakSignature, place, says);
    }
}

/// Defects of everything above the leaf, and of the way the path ends.
pub(super) fn along(path: &Path, question: &Question<'_>) -> Vec<Defect> {
    let mut found = Found { list: Vec::new(), question };
    let last = path.steps.len().saturating_sub(1);
    let self_signed = matches!(path.end, End::SelfSigned);
    let trusted = matches!(path.end, End::Trusted { .. });
    for (height, step) in path.steps.iter().enumerate() {
        let cert = &*step.cert;
        let place = step.presented();
        let top = height == last && (trusted || self_signed);
        // Nobody checks the signature of a certificate that is trusted or that signs itself.
        if !top {
            weak_signature(cert, place, &title(cert, role(height, false)), &mut found);
        }
        if height == 0 {
            continue;
        }
        let title = title(cert, role(height, top));
        if let Some(damage) = &cert.damage {
            found.add(Fault::DecodeError, place, format!("{title} is damaged: {damage}"));
        }
        let expired = if top { Fault::RootExpired } else { Fault::IntermediateExpired };
        dates(cert, place, &title, expired, &mut found);
        weak_key(cert, place, &title, &mut found);
        critical(cert, place, &title, &mut found);
        issuer(path, height, top && trusted, &title, &mut found);
    }
    ending(path, &mut found);
    found.list
}

fn role(height: usize, top: bool) -> &'static str {
    match (height, top) {
        (0, _) => "leaf",
        (_, true) => "root",
        (_, false) => "intermediate",
    }
}

/// What a certificate must be to issue the one below it. Trusted roots are trusted whatever they
/// say of themselves (RFC 5280 section 6.1.1 takes name and key only), but for cA:FALSE, a path
/// length and name constraints, which OpenSSL and others honour.
fn issuer(path: &Path, height: usize, root: bool, title: &str, found: &mut Found<'_>) {
    let Some(Step { cert, .. }) = path.steps.get(height) else { return };
    let place = path.steps.get(height).and_then(Step::presented);
    let below = path.steps.get(..height).unwrap_or_default();
    match cert.basic_constraints {
        Some((true, _)) => {}
        Some((false, _)) => {
            found.add(
                Fault::NotACa,
                place,
                format!("{title} has cA:FALSE, yet it issued {}", below_name(below)),
            );
        }
        None if cert.version == 1 && root => {}
        None if root => {}
        None => found.add(
            Fault::NotACa,
            place,
            format!("{title} has no basicConstraints with cA:TRUE, yet it issued {}", below_name(below)),
        ),
    }
    if let (Some(false), false) = (cert.may(KEY_CERT_SIGN), root) {
        let usage = usage_names(cert.key_usage.unwrap_or_default());
        found.add(
            Fault::NotACa,
            place,
            format!("{title} has keyUsage {usage} without keyCertSign, yet it issued {}", below_name(below)),
        );
    }
    if let Some((_, Some(most))) = cert.basic_constraints {
        // Self-issued certificates do not count (RFC 5280 section 4.2.1.9), nor does the leaf.
        let between = below.iter().skip(1).filter(|step| !step.cert.is_self_issued()).count();
        if between > usize::try_from(most).unwrap_or(usize::MAX) {
            found.add(
                Fault::PathTooLong,
                place,
                format!(
                    "{title} allows {most} intermediates below it (pathLenConstraint), the path has {between}"
                ),
            );
        }
    }
    if !root {
        purpose(cert, place, title, found);
    }
    if let Some(constraints) = &cert.name_constraints {
        // Self-issued intermediates are exempt (RFC 5280 section 6.1.3).
        let mut bound =
            below.iter().enumerate().filter(|(low, step)| *low == 0 || !step.cert.is_self_issued());
        let breach = bound.find_map(|(low, step)| Some((low, names::forbidden(constraints, &step.cert)?)));
        if let Some((low, why)) = breach {
            let says = format!("{title} has nameConstraints: the {}'s name {why}", role(low, false));
            found.add(Fault::NameConstraints, place, says);
        }
    }
}

fn below_name(below: &[Step]) -> String {
    below.last().map(|step| step.cert.called()).unwrap_or_default()
}

/// The way a path ends.
fn ending(path: &Path, found: &mut Found<'_>) {
    let Some(top) = path.steps.last() else { return };
    let cert = &*top.cert;
    let height = path.steps.len() - 1;
    let what = title(cert, role(height, false));
    let at = found.question.at;
    let distrusted =
        DISTRUSTED.iter().find(|(part, since, _)| cert.issuer.contains(part) && at.secs() >= *since);
    let (fault, says) = match &path.end {
        End::Trusted { .. } if distrusted.is_none() || path.steps.len() < 2 => return,
        End::GaveUp => (
            Fault::UnknownRoot,
            format!("no path to a trusted root was found from {what} before the bound on signature checks"),
        ),
        End::TooDeep => (
            Fault::PathTooLong,
            format!("the path has {} certificates and reaches no root", path.steps.len()),
        ),
        End::BadSignature { issuer } => (
            Fault::BadCertificateSignature,
            format!(
                "the signature ({}) of {what} does not verify with the key ({}) of its issuer {}",
                cert.signature_algorithm,
                issuer.key.kind,
                issuer.called()
            ),
        ),
        _ if distrusted.is_some() => {
            let why = distrusted.map(|(.., why)| *why).unwrap_or_default();
            (Fault::DistrustedCa, format!("the path ends at {}, {why}", cert.issuer))
        }
        End::Trusted { .. } => return,
        End::SelfSigned if height == 0 => (
            Fault::SelfSigned,
            format!("{what} is signed by its own key (subject = issuer) and is not among the trusted roots"),
        ),
        End::SelfSigned => (
            Fault::UnknownRoot,
            format!(
                "the path ends in the self-signed root {}, which is not among the trusted roots",
                cert.called()
            ),
        ),
        End::SameNameOtherKey => (
            Fault::UnknownRoot,
            format!(
                "{what} bears its own name as issuer, but another key signed it, which was neither presented nor is trusted"
            ),
        ),
        End::NoIssuer { namesake: Some(namesake) } => (
            Fault::UnknownRoot,
            format!(
                "the issuer of {what} is {}; the certificate by that name (serial {}) has another key, its key identifier is not the one asked for",
                cert.issuer, namesake.serial
            ),
        ),
        End::NoIssuer { namesake: None } if cert.issuer_der.is_empty() => {
            (Fault::UnknownRoot, format!("the issuer of {what} cannot be read"))
        }
        End::NoIssuer { namesake: None } if like_a_root(&cert.issuer) => (
            Fault::UnknownRoot,
            format!(
                "the issuer {} of {what} was not presented and is not among the trusted roots; by its name it is a root",
                cert.issuer
            ),
        ),
        End::NoIssuer { namesake: None } => {
            let fetch = match cert.issuer_urls.first() {
                Some(url) => format!("; it can be had from {url}"),
                None => String::new(),
            };
            (
                Fault::MissingIntermediate,
                format!(
                    "{what} was issued by {}, but no certificate of that name was presented or is known, and no trusted root bears it{fetch}",
                    cert.issuer
                ),
            )
        }
    };
    found.add(fault, top.presented(), says);
}

/// The issuer calls itself a root.
fn like_a_root(name: &str) -> bool {
    name.split(|letter: char| !letter.is_alphanumeric()).any(|word| {
        let word = word.to_ascii_lowercase();
        word == "root" || word == "rootca"
    })
}

/// Rules that bind publicly trusted certificates only (CA/Browser Forum's Baseline Requirements
/// 2.2.6): lifetime, authorityKeyIdentifier of the leaf, subjectKeyIdentifier of CAs.
pub(super) fn of_public_leaf(
    leaf: &Certificate,
    path: &Path,
    question: &Question<'_>,
    list: &mut Vec<Defect>,
) {
    let public = matches!(path.end, End::Trusted { public: true });
    if !public || question.client || path.steps.len() < 2 {
        return;
    }
    let title = title(leaf, "leaf");
    let issued = leaf.scts.1.unwrap_or(leaf.not_before);
    let days = lifetime_days(leaf);
    let longest = longest_lifetime(issued);
    if days > longest && leaf.not_after >= leaf.not_before {
        let says = format!(
            "{title} is valid for {days} days ({} to {}); public certificates issued on {} may be for {longest} days (Baseline Requirements section 6.3.2)",
            leaf.not_before.date(),
            leaf.not_after.date(),
            issued.date()
        );
        list.push(Defect { fault: Fault::LifetimeTooLong, cert: Some(0), says });
    }
    if leaf.authority_key_id.is_none() {
        let says = format!("{title} has no authorityKeyIdentifier (RFC 5280 section 4.2.1.1)");
        list.push(Defect { fault: Fault::NoAki, cert: Some(0), says });
    }
    for step in path.steps.iter().skip(1).filter(|step| step.cert.subject_key_id.is_none()) {
        if matches!(step.place, Place::Presented(_)) {
            let says = format!(
                "the CA {} has no subjectKeyIdentifier (RFC 5280 section 4.2.1.2)",
                step.cert.called()
            );
            list.push(Defect { fault: Fault::NoSki, cert: step.presented(), says });
        }
    }
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

/// Order and surplus of what was presented (RFC 5246 section 7.4.2: each certificate MUST certify
/// the one before it; RFC 9846 section 4.4.2: SHOULD, and be tolerant).
pub(super) fn of_presentation(path: &Path, question: &Question<'_>, list: &mut Vec<Defect>) {
    let used: Vec<usize> = path.steps.iter().filter_map(Step::presented).collect();
    if let Some((above, below)) = used.iter().zip(used.iter().skip(1)).find(|(above, below)| above > below) {
        let says = format!(
            "the certificates are presented out of order: number {} is the issuer of number {}",
            below + 1,
            above + 1
        );
        list.push(Defect { fault: Fault::WrongOrder, cert: Some(*below), says });
    }
    let leaf_later = || {
        let others = question.presented.iter().enumerate().skip(1);
        let mut others = others.filter(|(_, cert)| !cert.is_ca() && !cert.is_self_issued());
        others.find(|(_, cert)| {
            question.presented.first().is_some_and(|first| cert.issuer_der == first.subject_der)
        })
    };
    if let Some(first) = question.presented.first()
        && first.is_ca()
        && let Some((place, leaf)) = leaf_later()
    {
        let says =
            format!("the leaf {} is presented as number {}, behind its issuer", leaf.called(), place + 1);
        list.push(Defect { fault: Fault::WrongOrder, cert: Some(place), says });
    }
    for (place, cert) in question.presented.iter().enumerate().skip(1).take(32) {
        let related = used.contains(&place)
            || path.steps.iter().any(|step| {
                step.cert.sha256 == cert.sha256
                    || step.cert.issuer_der == cert.subject_der
                    || step.cert.subject_der == cert.subject_der
            })
            || question.presented.first().is_some_and(|first| cert.issuer_der == first.subject_der);
        if !related {
            let says = format!(
                "certificate number {} ({}) belongs to no path from the leaf",
                place + 1,
                cert.called()
            );
            list.push(Defect { fault: Fault::UnrelatedExtra, cert: Some(place), says });
        }
    }
}
