//! Resolvers that are asked where no packet shows it: over TLS (RFC 7858), over HTTPS (RFC 8484), over QUIC (RFC 9250).
//!
//! DNS over TLS and over QUIC have a port of their own. DNS over HTTPS looks as any other HTTPS; what tells it is the
//! resolver's name in the hello, or that the client's own resolver named it by discovery (RFC 9462). A resolver that runs under
//! a name of its own, or that clients address without one, is not seen.

use std::cmp::Ordering;

use crate::base::Endpoint;

/// The port of DNS over TLS and DNS over QUIC (RFC 7858 section 3.1, RFC 9250 section 4.1.1).
pub const PORT: u16 = 853;

/// The name by which clients ask their resolver for its encrypted kin (RFC 9462 section 4).
pub const DISCOVERY: &str = "_dns.resolver.arpa";

/// How a client hides its questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// DNS over TLS.
    Tls,
    /// DNS over HTTPS.
    Https,
    /// DNS over QUIC.
    Quic,
}

/// Hosts of public resolvers over HTTPS, as their operators document them and as browsers and systems have them built in
/// (the lists of Chromium's `net/dns/public/doh_provider_entry.cc`, of Firefox's trusted resolvers, and of Windows and Apple).
/// In order of [`by_length`].
const HOSTS: [&str; 47] = [
    "dns.sb",
    "dns0.eu",
    "doh.pub",
    "dot.pub",
    "doh360.cn",
    "dns.google",
    "doh.dns.sb",
    "doh.cox.net",
    "odvr.nic.cz",
    "dns.twnic.tw",
    "dns.quad9.net",
    "dns.switch.ch",
    "dns.alidns.com",
    "dns.google.com",
    "dns.levonet.sk",
    "dns.nextdns.io",
    "dns9.quad9.net",
    "dns.adguard.com",
    "dns.mullvad.net",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "doh.opendns.com",
    "doh.xfinity.com",
    "one.one.one.one",
    "dns.controld.com",
    "dns64.dns.google",
    "doh.quickline.ch",
    "public.dns.iij.jp",
    "cloudflare-dns.com",
    "dns.cloudflare.com",
    "dns.adguard-dns.com",
    "doh-01.spectrum.com",
    "base.dns.mullvad.net",
    "freedns.controld.com",
    "doh.cleanbrowsing.org",
    "firefox.dns.nextdns.io",
    "adblock.dns.mullvad.net",
    "anycast.uncensoreddns.org",
    "chrome.cloudflare-dns.com",
    "family.cloudflare-dns.com",
    "mozilla.cloudflare-dns.com",
    "unfiltered.adguard-dns.com",
    "security.cloudflare-dns.com",
    "dns.digitale-gesellschaft.ch",
    "doh.familyshield.opendns.com",
    "private.canadianshield.cira.ca",
    "1dot1dot1dot1.cloudflare-dns.com",
];

/// Shorter names first: every hello's is looked for, and lengths are soon compared.
fn by_length(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// Whether a TLS connection to this server, under this name, carries DNS.
pub fn way(server: Endpoint, sni: Option<&str>) -> Option<Way> {
    if server.port == PORT {
        return Some(Way::Tls);
    }
    // Each customer of these has a name below theirs.
    let of_customer = |sni: &str| sni.ends_with(".dns.nextdns.io") || sni.ends_with(".d.adguard-dns.com");
    let is_host = |sni: &str| HOSTS.binary_search_by(|host| by_length(host, sni)).is_ok();
    let known = |sni: &str| is_host(sni) || of_customer(sni);
    sni.is_some_and(known).then_some(Way::Https)
}

/// Whether a datagram to this port opens a QUIC connection: a long header with the fixed bit (RFC 9000 section 17.2).
pub fn opens_quic(dst_port: u16, payload: &[u8]) -> bool {
    dst_port == PORT && payload.first().is_some_and(|first| first & 0xc0 == 0xc0) && payload.len() >= 1_200
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Addr;

    fn way_of(port: u16, sni: &str) -> Option<Way> {
        way(Endpoint { addr: Addr::v4([192, 0, 2, 1]), port }, Some(sni))
    }

    #[test]
    fn the_hosts_are_in_order_so_that_all_are_found() {
        assert!(HOSTS.is_sorted_by(|one, other| by_length(one, other).is_lt()));
        assert!(HOSTS.iter().all(|host| way_of(443, host) == Some(Way::Https)));
    }

    #[test]
    fn a_port_of_its_own_or_a_known_name_tells() {
        assert_eq!(way_of(853, "anything.example"), Some(Way::Tls));
        assert_eq!(way_of(443, "abc123.dns.nextdns.io"), Some(Way::Https));
        assert_eq!(way_of(443, "www.example.com"), None);
        assert_eq!(way_of(443, "notdns.google"), None);
    }

    #[test]
    fn only_a_long_header_opens_quic() {
        assert!(opens_quic(853, &[0xc3; 1_200]));
        assert!(!opens_quic(853, &[0x43; 1_200]));
        assert!(!opens_quic(443, &[0xc3; 1_200]));
        assert!(!opens_quic(853, &[0xc3; 40]));
    }
}
