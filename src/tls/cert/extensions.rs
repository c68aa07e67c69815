//! Certificate extensions (RFC 5280 section 4.2 and others).

use super::super::der::{Der, Tlv, dotted, small, tag};
use super::{AltNames, Certificate, NameConstraints, Subtree, quirks};
use crate::base::Stamp;
use std::net::IpAddr;

/// URLs kept of each kind; certificates in use have one or two.
const URLS: usize = 16;
/// Extensions read; certificates in use have about ten.
const EXTENSIONS: usize = 128;
/// Unknown critical extensions and key purposes named.
const OIDS: usize = 32;

/// Reads `[3] Extensions`. The first thing wrong goes to `cert.damage`.
pub(super) fn read(list: &Tlv<'_>, cert: &mut Certificate) {
    let mut outer = list.inside();
    let Some(list) = outer.want(tag::SEQUENCE) else {
        return damage(cert, "the extensions are unreadable".to_owned());
    };
    let mut seen: Vec<&[u8]> = Vec::new();
    let mut extensions = list.inside();
    while seen.len() < EXTENSIONS
        && let Some(extension) = extensions.want(tag::SEQUENCE)
    {
        let mut fields = extension.inside();
        let Some(oid) = fields.want(tag::OID) else {
            return damage(cert, "an extension has no identifier".to_owned());
        };
        let flag = fields.want(tag::BOOLEAN);
        let critical = flag.is_some_and(|flag| flag.body.iter().any(|&bit| bit != 0));
        let Some(value) = fields.want(tag::OCTET_STRING) else {
            return damage(cert, format!("the extension {} has no value", title(oid.body)));
        };
        if seen.contains(&oid.body) {
            damage(
                cert,
                format!("the extension {} occurs more than once (RFC 5280 section 4.2)", title(oid.body)),
            );
            continue; // the first stands
        }
        seen.push(oid.body);
        if one(oid.body, value.body, critical, cert).is_none() {
            let says = format!("the extension {} is malformed", title(oid.body));
            if matters(oid.body) {
                damage(cert, says);
            } else {
                quirks::add(cert, says);
            }
        }
        quirks::of_extension(oid.body, flag.map(|flag| flag.body), value.body, critical, cert);
    }
    if !extensions.is_empty() {
        damage(cert, "the extensions end early, or are too many".to_owned());
    }
}

/// Keeps the first complaint.
fn damage(cert: &mut Certificate, says: String) {
    if cert.damage.is_none() {
        cert.damage = Some(says);
    }
}

/// Verifiers refuse a certificate for this extension's encoding: those that decide a path. URLs,
/// policies, timestamps and features are for others to read.
fn matters(oid: &[u8]) -> bool {
    matches!(oid, [0x55, 0x1d, 14 | 15 | 17 | 19 | 30 | 35 | 37])
}

/// Key identifiers and authorityInfoAccess MUST NOT be critical (RFC 5280 sections 4.2.1.1, 4.2.1.2,
/// 4.2.2.1); OpenSSL refuses them as unhandled where they are.
fn never_critical(oid: &[u8]) -> bool {
    matches!(oid, [0x55, 0x1d, 14 | 35] | [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01])
}

/// The name of an extension, else its dotted OID.
pub(super) fn title(oid: &[u8]) -> String {
    let name = match oid {
        [0x55, 0x1d, last] => match last {
            14 => "subjectKeyIdentifier",
            15 => "keyUsage",
            17 => "subjectAltName",
            19 => "basicConstraints",
            30 => "nameConstraints",
            31 => "cRLDistributionPoints",
            32 => "certificatePolicies",
            35 => "authorityKeyIdentifier",
            36 => "policyConstraints",
            37 => "extKeyUsage",
            54 => "inhibitAnyPolicy",
            _ => return dotted(oid),
        },
        [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01] => "authorityInfoAccess",
        _ => return dotted(oid),
    };
    name.to_owned()
}

/// One extension's value; `None` where it is malformed.
fn one(oid: &[u8], value: &[u8], critical: bool, cert: &mut Certificate) -> Option<()> {
    let mut value = Der(value);
    if critical && never_critical(oid) && cert.unknown_critical.len() < OIDS {
        cert.unknown_critical.push(dotted(oid));
    }
    match oid {
        [0x55, 0x1d, 14] => cert.subject_key_id = Some(value.want(tag::OCTET_STRING)?.body.to_vec()),
        [0x55, 0x1d, 15] => cert.key_usage = Some(key_usage(value.want(tag::BIT_STRING)?.body)?),
        [0x55, 0x1d, 17] => {
            cert.alt_names_critical = critical;
            cert.alt_names = Some(alt_names(&value.want(tag::SEQUENCE)?)?);
        }
        [0x55, 0x1d, 19] => {
            let mut fields = value.want(tag::SEQUENCE)?.inside();
            let ca = fields.want(tag::BOOLEAN).is_some_and(|flag| flag.body.iter().any(|&bit| bit != 0));
            let length = match fields.want(tag::INTEGER) {
                Some(length) => Some(small(length.body)?),
                None => None,
            };
            cert.basic_constraints = Some((ca, length));
            cert.basic_constraints_critical = critical;
            if !fields.is_empty() {
                return None;
            }
        }
        [0x55, 0x1d, 30] => cert.name_constraints = Some(name_constraints(&value.want(tag::SEQUENCE)?)?),
        [0x55, 0x1d, 31] => cert.crl_urls = crl_urls(&value.want(tag::SEQUENCE)?)?,
        [0x55, 0x1d, 32] => {
            cert.has_policies = true;
            value.want(tag::SEQUENCE)?;
        }
        [0x55, 0x1d, 35] => {
            let id = value.want(tag::SEQUENCE)?.inside().want(tag::context_primitive(0));
            cert.authority_key_id = Some(id.map(|id| id.body.to_vec()).unwrap_or_default());
        }
        [0x55, 0x1d, 37] => cert.extended_key_usage = Some(purposes(&value.want(tag::SEQUENCE)?)?),
        // authorityInfoAccess
        [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01] => access(&value.want(tag::SEQUENCE)?, cert)?,
        // TLS feature (RFC 7633)
        [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x18] => {
            let mut features = value.want(tag::SEQUENCE)?.inside();
            cert.must_staple = features.any(|feature| small(feature.body) == Some(5));
        }
        // signed certificate timestamps (RFC 6962 section 3.3)
        [0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02] => {
            cert.scts = timestamps(value.want(tag::OCTET_STRING)?.body)?;
        }
        // subjectDirectoryAttributes, issuerAltName, policyMappings, policyConstraints,
        // freshestCRL, inhibitAnyPolicy, subjectInfoAccess: understood to be without effect here
        [0x55, 0x1d, 9 | 18 | 33 | 36 | 46 | 54] | [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x0b] => {
            return Some(());
        }
        other => {
            if critical && cert.unknown_critical.len() < OIDS {
                cert.unknown_critical.push(dotted(other));
            }
            return Some(());
        }
    }
    value.is_empty().then_some(())
}

/// Bit 0 (digitalSignature) comes first on the wire, in the highest place.
fn key_usage(body: &[u8]) -> Option<u16> {
    let (&unused, octets) = body.split_first()?;
    if unused > 7 {
        return None;
    }
    let first = octets.first().copied().unwrap_or(0).reverse_bits();
    let second = octets.get(1).copied().unwrap_or(0).reverse_bits();
    Some(u16::from(first) | u16::from(second) << 8)
}

/// The names; `None` where an element is broken or an address is neither 4 nor 16 bytes long.
fn alt_names(list: &Tlv<'_>) -> Option<AltNames> {
    let mut names = AltNames::default();
    let mut elements = list.inside();
    let mut sound = true;
    for element in elements.by_ref() {
        let text = || String::from_utf8_lossy(element.body).into_owned();
        match element.tag {
            0x81 => names.emails.push(text()),
            0x82 => names.dns.push(text()),
            0x86 => names.uris.push(text()),
            0x87 => match address(element.body) {
                Some(ip) => names.ips.push(ip),
                None => sound = false,
            },
            0xa4 => names.directories.push(element.body.to_vec()),
            other => names.others.push(other),
        }
    }
    (sound && elements.is_empty()).then_some(names)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => Some(IpAddr::from(*octets.first_chunk::<4>()?)),
        16 => Some(IpAddr::from(*octets.first_chunk::<16>()?)),
        _ => None,
    }
}

fn name_constraints(fields: &Tlv<'_>) -> Option<NameConstraints> {
    let mut found = NameConstraints::default();
    let mut fields = fields.inside();
    for (place, list) in [(0, &mut found.permitted), (1, &mut found.excluded)] {
        let Some(subtrees) = fields.want(tag::context(place)) else { continue };
        for subtree in subtrees.inside() {
            list.push(self::subtree(&subtree.inside().next()?)?);
        }
    }
    fields.is_empty().then_some(found)
}

/// A GeneralName as the base of a subtree.
fn subtree(base: &Tlv<'_>) -> Option<Subtree> {
    let text = || String::from_utf8_lossy(base.body).into_owned();
    Some(match base.tag {
        0x81 => Subtree::Email(text()),
        0x82 => Subtree::Dns(text().to_ascii_lowercase()),
        0x86 => Subtree::Uri(text().to_ascii_lowercase()),
        0x87 => {
            let (net, mask) = base.body.split_at_checked(base.body.len() / 2)?;
            Subtree::Ip(address(net)?, address(mask)?)
        }
        0xa4 => Subtree::Directory(base.body.to_vec()),
        other => Subtree::Other(other),
    })
}

/// The URIs of distributionPoint.fullName.
fn crl_urls(points: &Tlv<'_>) -> Option<Vec<String>> {
    let mut urls = Vec::new();
    let mut points = points.inside();
    while let Some(point) = points.want(tag::SEQUENCE) {
        let name = point.inside().want(tag::context(0)).and_then(|name| name.inside().want(tag::context(0)));
        for uri in name.iter().flat_map(Tlv::inside).filter(|name| name.tag == 0x86) {
            push(&mut urls, uri.body);
        }
    }
    points.is_empty().then_some(urls)
}

fn push(urls: &mut Vec<String>, uri: &[u8]) {
    if urls.len() < URLS {
        urls.push(String::from_utf8_lossy(uri).into_owned());
    }
}

fn access(list: &Tlv<'_>, cert: &mut Certificate) -> Option<()> {
    let mut list = list.inside();
    while let Some(description) = list.want(tag::SEQUENCE) {
        let mut fields = description.inside();
        let method = fields.want(tag::OID)?;
        let place = fields.next()?;
        match (method.body, place.tag) {
            ([0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01], 0x86) => push(&mut cert.ocsp_urls, place.body),
            ([0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02], 0x86) => {
                push(&mut cert.issuer_urls, place.body)
            }
            _ => {}
        }
    }
    list.is_empty().then_some(())
}

fn purposes(list: &Tlv<'_>) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut list = list.inside();
    while let Some(purpose) = list.want(tag::OID) {
        if found.len() < OIDS {
            found.push(dotted(purpose.body));
        }
    }
    list.is_empty().then_some(found)
}

/// How many, and the earliest.
fn timestamps(list: &[u8]) -> Option<(usize, Option<Stamp>)> {
    let (len, mut rest) = list.split_first_chunk::<2>()?;
    if usize::from(u16::from_be_bytes(*len)) != rest.len() {
        return None;
    }
    let mut count = 0;
    let mut earliest: Option<Stamp> = None;
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let (sct, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        rest = after;
        count += 1;
        // version, log, then milliseconds since the epoch
        let Some((&[0], sct)) = sct.split_first_chunk::<1>() else { continue };
        let Some(millis) = sct.get(32..40).and_then(|millis| millis.first_chunk::<8>()) else { continue };
        let millis = i64::try_from(u64::from_be_bytes(*millis)).unwrap_or(i64::MAX);
        let stamp = Stamp(millis.saturating_mul(1000));
        earliest = Some(earliest.map_or(stamp, |earliest| earliest.min(stamp)));
    }
    rest.is_empty().then_some((count, earliest))
}
