//! Do a CA's name constraints forbid a certificate? (RFC 5280 section 4.2.1.10)

use super::cert::{
    COMMON_NAME, Canonical, Certificate, EMAIL, NameConstraints, Subtree, canonical_name, values_of_name,
};
use super::names::{literal, under};
use std::borrow::Cow;
use std::net::IpAddr;

/// Comparisons of one name with one subtree, at most: OpenSSL's bound (`NAME_CHECK_MAX` in crypto/x509/v3_ncons.c).
const COMPARISONS: usize = 1 << 20;

/// A name that constraints bind.
enum Name<'a> {
    Dns(Cow<'a, str>),
    Ip(IpAddr),
    Email(Cow<'a, str>),
    Uri(&'a str),
    Directory(Canonical),
    Other(u8),
}

/// The first name of a certificate that constraints forbid, and the subtree that does. `leaf`: where no dNSName is there,
/// a common name that looks like a host's counts as one, as OpenSSL and GnuTLS have it.
pub fn forbidden(constraints: &NameConstraints, cert: &Certificate, leaf: bool) -> Option<String> {
    let names = names(cert, leaf);
    let trees = constraints.permitted.len() + constraints.excluded.len();
    if names.len().saturating_mul(trees) > COMPARISONS {
        return Some(format!(
            "s cannot be told: {} names and {trees} subtrees are too many to compare",
            names.len()
        ));
    }
    names.iter().find_map(|name| breach(constraints, name))
}

fn names(cert: &Certificate, leaf: bool) -> Vec<Name<'_>> {
    let mut list = Vec::new();
    if cert.subject_der.len() > 2
        && let Some(subject) = canonical_name(&cert.subject_der)
    {
        list.push(Name::Directory(subject));
        list.extend(
            values_of_name(&cert.subject_der, &EMAIL).into_iter().map(|email| Name::Email(email.into())),
        );
    }
    if let Some(alt) = &cert.alt_names {
        list.extend(alt.dns.iter().map(|name| Name::Dns(name.as_str().into())));
        list.extend(alt.ips.iter().map(|&ip| Name::Ip(ip)));
        list.extend(alt.emails.iter().map(|email| Name::Email(email.as_str().into())));
        list.extend(alt.uris.iter().map(|uri| Name::Uri(uri)));
        list.extend(alt.directories.iter().filter_map(|name| Some(Name::Directory(canonical_name(name)?))));
        list.extend(alt.others.iter().map(|&tag| Name::Other(tag)));
    }
    if leaf && cert.alt_names.as_ref().is_none_or(|alt| alt.dns.is_empty()) {
        let common = values_of_name(&cert.subject_der, &COMMON_NAME).into_iter();
        list.extend(common.filter(|name| looks_like_a_host(name)).map(|name| Name::Dns(name.into())));
    }
    list
}

/// At least two labels of letters, digits and hyphens.
fn looks_like_a_host(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    name.contains('.')
        && literal(name).is_none()
        && name.strip_prefix("*.").unwrap_or(name).split('.').all(label)
}

fn breach(constraints: &NameConstraints, name: &Name<'_>) -> Option<String> {
    if let Some(tree) = constraints.excluded.iter().find(|tree| holds(tree, name, true) == Some(true)) {
        return Some(format!(" {} is in the excluded subtree {}", said(name), subtree(tree)));
    }
    let mut bound = false;
    for tree in &constraints.permitted {
        match holds(tree, name, false) {
            Some(true) => return None,
            Some(false) => bound = true,
            None => {}
        }
    }
    let kin = || constraints.permitted.iter().filter(|tree| holds(tree, name, false).is_some());
    let trees = || kin().take(5).map(subtree).collect::<Vec<_>>().join(", ");
    bound.then(|| format!(" {} is in no permitted subtree ({})", said(name), trees()))
}

/// Whether the name is in the subtree; `None` where they are of different kinds. Kinds that are not compared are taken
/// for excluded and for not permitted (RFC 5280 section 4.2.1.10: process the constraint or reject the certificate).
fn holds(tree: &Subtree, name: &Name<'_>, excluding: bool) -> Option<bool> {
    Some(match (tree, name) {
        (Subtree::Dns(tree), Name::Dns(name)) => {
            let bare = name.strip_prefix("*.").unwrap_or(name);
            // A wildcard may stand for a name in an excluded subtree right below it.
            let reaches = || {
                excluding
                    && bare.len() < name.len()
                    && tree.split_once('.').is_some_and(|(_, up)| up.eq_ignore_ascii_case(bare))
            };
            within(bare, tree) || reaches()
        }
        (Subtree::Ip(net, mask), Name::Ip(ip)) => match (ip, net, mask) {
            (IpAddr::V4(ip), IpAddr::V4(net), IpAddr::V4(mask)) => ip & mask == net & mask,
            (IpAddr::V6(ip), IpAddr::V6(net), IpAddr::V6(mask)) => ip & mask == net & mask,
            _ => return None,
        },
        (Subtree::Email(tree), Name::Email(name)) => email(name, tree),
        // A URI without a host, or with an address, is in no subtree, and in every excluded one.
        (Subtree::Uri(tree), Name::Uri(name)) => match host(name) {
            Some(host) => at_host(host, tree),
            None => excluding,
        },
        (Subtree::Directory(tree), Name::Directory(name)) => {
            canonical_name(tree).is_some_and(|tree| name.starts_with(&tree))
        }
        (Subtree::Other(tree), Name::Other(name)) if tree & 0x1f == name & 0x1f => excluding,
        _ => return None,
    })
}

/// A mailbox equals one (its local part letter by letter), or is at a host, or below a domain.
fn email(name: &str, tree: &str) -> bool {
    let Some((local, host)) = name.rsplit_once('@') else { return false };
    match tree.rsplit_once('@') {
        Some((wanted, at)) => wanted == local && at.eq_ignore_ascii_case(host),
        None => at_host(host, tree),
    }
}

/// A host is this one, or with a dot in front is below it.
fn at_host(host: &str, tree: &str) -> bool {
    match tree.strip_prefix('.') {
        Some(parent) => under(host, parent),
        None => tree.is_empty() || host.eq_ignore_ascii_case(tree),
    }
}

/// The host of a URI (RFC 3986 section 3.2); `None` where there is none, or an address.
fn host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.starts_with('[') {
        return None;
    }
    let host = host.split(':').next().filter(|host| !host.is_empty())?;
    literal(host).is_none().then_some(host)
}

/// A name in a dNSName subtree: itself or below it; a leading dot asks for below, as many CAs write.
fn within(name: &str, tree: &str) -> bool {
    match tree.strip_prefix('.') {
        _ if tree.is_empty() => true,
        Some(parent) => under(name, parent),
        None => name.eq_ignore_ascii_case(tree) || under(name, tree),
    }
}

fn said(name: &Name<'_>) -> String {
    match name {
        Name::Uri(name) => (*name).to_owned(),
        Name::Ip(ip) => ip.to_string(),
        Name::Dns(name) | Name::Email(name) => name.to_string(),
        Name::Directory(name) => directory(name),
        Name::Other(tag) => format!("of kind {}", tag & 0x1f),
    }
}

fn subtree(tree: &Subtree) -> String {
    match tree {
        Subtree::Dns(tree) | Subtree::Email(tree) | Subtree::Uri(tree) => format!("{tree:?}"),
        Subtree::Ip(net, mask) => format!("{net} mask {mask}"),
        Subtree::Directory(name) => {
            canonical_name(name).map_or_else(|| "unreadable".to_owned(), |name| directory(&name))
        }
        Subtree::Other(tag) => format!("of kind {}", tag & 0x1f),
    }
}

fn directory(name: &Canonical) -> String {
    let values = name.iter().map(|(_, value)| value.as_str()).filter(|value| !value.is_empty());
    format!("{:?}", values.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::cert::AltNames;

    fn cert(alt: AltNames) -> Certificate {
        let mut cert = Certificate::parse(&[]);
        cert.alt_names = Some(alt);
        cert
    }

    fn breaks(permitted: Option<Subtree>, excluded: Option<Subtree>, alt: AltNames) -> bool {
        let constraints = NameConstraints {
            permitted: permitted.into_iter().collect(),
            excluded: excluded.into_iter().collect(),
        };
        forbidden(&constraints, &cert(alt), true).is_some()
    }

    fn dns(name: &str) -> AltNames {
        AltNames { dns: vec![name.to_owned()], ..AltNames::default() }
    }

    #[test]
    fn hosts_are_bound_with_what_is_below_them() {
        let tree = |name: &str| Some(Subtree::Dns(name.to_owned()));
        for (permitted, name, breach) in [
            ("example.com", "a.example.com", false),
            ("example.com", "example.com", false),
            (".example.com", "a.example.com", false),
            (".example.com", "example.com", true),
            ("example.com", "notexample.com", true),
            ("", "anything.test", false),
        ] {
            assert_eq!(breaks(tree(permitted), None, dns(name)), breach, "{name} in {permitted}");
        }
        assert!(breaks(None, tree("bar.example.com"), dns("*.example.com")), "it may stand for bar");
        assert!(!breaks(tree("bar.example.com"), None, dns("*.bar.example.com")));
    }

    #[test]
    fn mailboxes_hosts_and_domains_bind_addresses_of_mail() {
        let mail = |name: &str| AltNames { emails: vec![name.to_owned()], ..AltNames::default() };
        for (permitted, name, breach) in [
            ("a@example.com", "a@EXAMPLE.com", false),
            ("a@example.com", "A@example.com", true),
            ("example.com", "a@example.com", false),
            ("example.com", "a@mail.example.com", true),
            (".example.com", "a@mail.example.com", false),
            ("*@example.com", "b@example.com", true),
        ] {
            let tree = Some(Subtree::Email(permitted.to_owned()));
            assert_eq!(breaks(tree, None, mail(name)), breach, "{name} in {permitted}");
        }
    }

    #[test]
    fn addresses_and_places_are_bound() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let net = || Some(Subtree::Ip(ip("192.0.2.0"), ip("255.255.255.0")));
        let at = |text: &str| AltNames { ips: vec![ip(text)], ..AltNames::default() };
        assert!(breaks(None, net(), at("192.0.2.1")));
        assert!(!breaks(net(), None, at("192.0.2.1")));
        assert!(breaks(net(), None, at("198.51.100.1")));
        assert!(!breaks(net(), None, dns("example.com")), "another kind");
        let uri = |text: &str| AltNames { uris: vec![text.to_owned()], ..AltNames::default() };
        let tree = || Some(Subtree::Uri(".example.com".to_owned()));
        assert!(!breaks(tree(), None, uri("http://u@a.example.com:80/x")));
        assert!(breaks(tree(), None, uri("http://example.com/")));
        assert!(breaks(tree(), None, uri("mailto:nobody")));
    }

    #[test]
    fn a_kind_that_is_not_compared_is_not_let_pass() {
        let other = AltNames { others: vec![0xa0], ..AltNames::default() };
        assert!(breaks(Some(Subtree::Other(0xa0)), None, other.clone()));
        assert!(breaks(None, Some(Subtree::Other(0xa0)), other));
        assert!(!breaks(None, Some(Subtree::Other(0xa0)), dns("example.com")));
    }

    #[test]
    fn more_than_can_be_compared_is_told() {
        let trees = (0..2_000).map(|n| Subtree::Dns(format!("t{n}.test"))).collect();
        let constraints = NameConstraints { permitted: trees, excluded: Vec::new() };
        let names =
            AltNames { dns: (0..1_000).map(|n| format!("t{n}.test")).collect(), ..AltNames::default() };
        assert!(forbidden(&constraints, &cert(names), true).is_some_and(|says| says.contains("too many")));
    }
}
