//! Does a certificate cover the host asked for? (RFC 9525)

use super::cert::{AltNames, Certificate};
use super::idn;
use std::net::IpAddr;

/// What comparing names gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// A name matches.
    Covers,
    /// The certificate names other hosts.
    SanMismatch,
    /// There is no subjectAltName; `common_name_fits` tells whether a verifier that still looks at
    /// the common name would be content (RFC 9525 section 2 forbids looking).
    NoSan {
        /// The subject's common name matches.
        common_name_fits: bool,
    },
    /// An address was asked for, and no iPAddress entry is it.
    IpNotInSan,
    /// A wildcard would match if it covered more, or fewer, labels than one.
    WildcardDepth,
    /// A name matches once it is spelled in A-labels, and was not sent so (RFC 5280 section 7.2, RFC 6066 section 3):
    /// verifiers compare octets.
    IdnNotALabel {
        /// It is the client that asked in Unicode; else the certificate has it so.
        by_client: bool,
    },
}

/// Names in Unicode that are spelled in A-labels, of one certificate: each takes a microsecond, and a hostile certificate
/// has thousands.
const MOST_UNICODE: usize = 256;

/// Compares the host asked for with the names of a certificate (RFC 9525 section 6). `host` may
/// be an address literal, with or without brackets, and may end in a dot; one in Unicode stands for its A-labels.
pub fn covers(cert: &Certificate, host: &str) -> Cover {
    let sent = host.strip_suffix('.').unwrap_or(host);
    if let Some(ip) = literal(sent) {
        return covers_ip(cert, ip);
    }
    let spelled = idn::a_labels(sent);
    let by_client = spelled.is_some();
    let host = spelled.as_deref().unwrap_or(sent);
    let Some(names) = &cert.alt_names else {
        let common_name_fits = cert.common_name.as_deref().is_some_and(|name| matches(name, host));
        return Cover::NoSan { common_name_fits };
    };
    // Verifiers compare octets: what both sides write in Unicode alike is found.
    if names.dns.iter().any(|name| matches(name, sent)) {
        return Cover::Covers;
    }
    if by_client && names.dns.iter().any(|name| matches(name, host)) {
        return Cover::IdnNotALabel { by_client };
    }
    let mut unicode = names.dns.iter().filter(|name| !name.is_ascii()).take(MOST_UNICODE);
    if unicode.any(|name| idn::a_labels(name).is_some_and(|name| matches(&name, host))) {
        return Cover::IdnNotALabel { by_client: false };
    }
    if names.dns.iter().any(|name| misses_by_depth(name, host)) {
        return Cover::WildcardDepth;
    }
    if names.is_empty() {
        return Cover::NoSan { common_name_fits: false };
    }
    Cover::SanMismatch
}

/// Compares an address asked for with the iPAddress entries (RFC 9525 section 6.5).
pub fn covers_ip(cert: &Certificate, ip: IpAddr) -> Cover {
    match &cert.alt_names {
        Some(AltNames { ips, .. }) if ips.contains(&ip) => Cover::Covers,
        Some(_) => Cover::IpNotInSan,
        None => {
            let fits = cert.common_name.as_deref().and_then(literal) == Some(ip);
            Cover::NoSan { common_name_fits: fits }
        }
    }
}

/// The host as an address, if it is one.
pub fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// One presented name against the host: equal but for case, or a wildcard that is the whole
/// leftmost label and stands for exactly one label (RFC 9525 section 6.3). The wildcard needs two
/// labels behind it, as every verifier demands.
fn matches(presented: &str, host: &str) -> bool {
    let presented = presented.strip_suffix('.').unwrap_or(presented);
    if presented.is_empty() || host.is_empty() {
        return false;
    }
    if presented.eq_ignore_ascii_case(host) {
        return !presented.contains('*');
    }
    let Some(parent) = presented.strip_prefix("*.") else { return false };
    let Some((label, rest)) = host.split_once('.') else { return false };
    !label.is_empty() && parent.contains('.') && !parent.contains('*') && parent.eq_ignore_ascii_case(rest)
}

/// A wildcard whose parent is the host itself, or an ancestor of it by more than one label.
fn misses_by_depth(presented: &str, host: &str) -> bool {
    let presented = presented.strip_suffix('.').unwrap_or(presented);
    let Some(parent) = presented.strip_prefix("*.") else { return false };
    if !parent.contains('.') {
        return false;
    }
    parent.eq_ignore_ascii_case(host) || under(host, parent)
}

/// `host` ends in `.parent`.
pub(super) fn under(host: &str, parent: &str) -> bool {
    let (host, parent) = (host.as_bytes(), parent.as_bytes());
    let Some(cut) = host.len().checked_sub(parent.len()) else { return false };
    let Some((front, back)) = host.split_at_checked(cut) else { return false };
    front.last() == Some(&b'.') && back.eq_ignore_ascii_case(parent)
}

/// The first names of a list, for messages.
pub fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(dns: &[&str], ips: &[&str]) -> Certificate {
        let mut cert = Certificate::parse(&[]);
        let dns = dns.iter().map(|&name| name.to_owned()).collect();
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        cert.alt_names = Some(AltNames { dns, ips, ..AltNames::default() });
        cert
    }

    #[test]
    fn names_match_as_rfc_9525_says() {
        let cases = [
            ("example.com", "example.com", Cover::Covers),
            ("EXAMPLE.com", "example.COM", Cover::Covers),
            ("example.com", "example.com.", Cover::Covers),
            ("example.com.", "example.com", Cover::Covers),
            ("*.example.com", "www.example.com", Cover::Covers),
            ("*.example.com", "a.b.example.com", Cover::WildcardDepth),
            ("*.example.com", "example.com", Cover::WildcardDepth),
            ("*.com", "example.com", Cover::SanMismatch),
            ("w*.example.com", "www.example.com", Cover::SanMismatch),
            ("www.*.com", "www.example.com", Cover::SanMismatch),
            ("*", "localhost", Cover::SanMismatch),
            ("example.com", "example.org", Cover::SanMismatch),
            ("example.com", "notexample.com", Cover::SanMismatch),
            ("*.example.com", ".example.com", Cover::SanMismatch),
            ("192.0.2.1", "192.0.2.1", Cover::IpNotInSan),
            // A wildcard stands for an A-label too, and is never a part of one (RFC 9525 section 6.3).
            ("*.example.com", "xn--bcher-kva.example.com", Cover::Covers),
            ("*.xn--bcher-kva.example", "www.xn--bcher-kva.example", Cover::Covers),
            ("XN--Bcher-KVA.example", "xn--bcher-kva.example", Cover::Covers),
            ("xn--*.example.com", "xn--bcher-kva.example.com", Cover::SanMismatch),
            ("xn--b*-kva.example.com", "xn--bcher-kva.example.com", Cover::SanMismatch),
        ];
        for (presented, host, want) in cases {
            let got = covers(&naming(&[presented], &[]), host);
            let want = if host == ".example.com" { Cover::WildcardDepth } else { want };
            assert_eq!(got, want, "{presented} for {host}");
        }
    }

    #[test]
    fn names_in_unicode_are_compared_as_a_labels_and_said_to_be_none() {
        let (certificate, client) =
            (Cover::IdnNotALabel { by_client: false }, Cover::IdnNotALabel { by_client: true });
        for (presented, host, want) in [
            ("bücher.example", "xn--bcher-kva.example", certificate),
            ("*.bücher.example", "www.xn--bcher-kva.example", certificate),
            ("bücher.example", "bücher.example", Cover::Covers),
            ("bücher.example", "BÜCHER.example", certificate),
            ("xn--bcher-kva.example", "bücher.example", client),
            ("xn--bcher-kva.example", "BÜCHER.example.", client),
            ("*.example.com", "bücher.example.com", Cover::Covers),
            ("bücher.example", "xn--bcher-kvb.example", Cover::SanMismatch),
            ("example.com", "bücher.example", Cover::SanMismatch),
        ] {
            assert_eq!(covers(&naming(&[presented], &[]), host), want, "{presented} for {host}");
        }
        let both = naming(&["bücher.example", "xn--bcher-kva.example"], &[]);
        assert_eq!(covers(&both, "xn--bcher-kva.example"), Cover::Covers);
    }

    #[test]
    fn addresses_match_ip_entries_only() {
        let cert = naming(&["example.com"], &["192.0.2.1", "2001:db8::1"]);
        assert_eq!(covers(&cert, "192.0.2.1"), Cover::Covers);
        assert_eq!(covers(&cert, "[2001:db8::1]"), Cover::Covers);
        assert_eq!(covers(&cert, "192.0.2.2"), Cover::IpNotInSan);
    }

    #[test]
    fn a_missing_san_is_told_apart_from_a_wrong_one() {
        let mut cert = Certificate::parse(&[]);
        cert.common_name = Some("example.com".to_owned());
        assert_eq!(covers(&cert, "example.com"), Cover::NoSan { common_name_fits: true });
        assert_eq!(covers(&cert, "example.org"), Cover::NoSan { common_name_fits: false });
    }
}
