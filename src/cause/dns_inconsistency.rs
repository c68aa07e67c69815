//! The address used is not what DNS gives for the name.
//!
//! # Symptoms
//!
//! One client or one site reaches the wrong server, or none, under a name that works elsewhere: a
//! certificate for another host, a refused connection, a time-out. It often begins at a move to new
//! addresses and ends by itself when caches expire. `NXDOMAIN`, `SERVFAIL`, `Name or service not known`,
//! `Temporary failure in name resolution`.
//!
//! # On the wire
//!
//! A lookup that gave no address, and no address in the ten seconds behind it. Proven where the client asked for the
//! name's HTTPS record or a handshake elsewhere bears the name; else both A and AAAA must have failed, and it is
//! suspected: other programs look names up too.
//!
//! - RCODE 3, 2 or 5: `nxdomain`, `servfail`, `refused`. No record of the kind asked for: `no_address`.
//! - SERVFAIL because signatures are bogus, as an extended error says, or as the same question shows that asks not to
//!   validate: `dnssec_bogus`.
//! - Questions sent again and again that nobody answers, or that an ICMP error answers: `no_answer`.
//! - The answer is 0.0.0.0 or `::`, or an extended error says blocked, censored or filtered: `blocked`.
//!
//! A connection that reached another server than the name's (its certificate names others, or it does not know the
//! name), or none:
//!
//! - No answer in the capture gave the address, hints of HTTPS records included: `address_not_in_answer` (hosts file,
//!   pinned address, proxy, old or hidden answer).
//! - It stood only in an answer whose TTL is over, and a later answer has others: `stale_answer`.
//! - It stood in the first of two answers to one question, and not in the second: `spoofed_answer`.
//! - It is private, and others were given a public one: `private_address`. It is the address of a filter: `blocked`.
//! - Another resolver, or other clients, were given other addresses: `answers_differ`.
//! - The answer led through a CNAME into another zone, and the certificate there names other hosts:
//!   `cname_elsewhere`.
//!
//! None of these is a cause where the server shows a certificate for the name: it is the right one, whatever DNS said.
//! Hosts files and answers cached before the capture began cannot be seen, nor can DNS over TLS, HTTPS or QUIC: where the
//! client uses those (port 853, a known resolver's name), that is said.
//!
//! # Remedy
//!
//! Ask the client's resolver and the zone's own servers for the name, and compare both with the
//! address that was used. Correct the record, the cache or the pinned address that differs.
//!
//! # References
//!
//! - RFC 1034 section 3.6.2 (CNAME), RFC 1035 section 4.1.1 (RCODE) and section 3.2.1 (TTL).
//! - RFC 8767: serving stale answers. RFC 2308: negative caching.
//! - RFC 8914: extended errors (6 is DNSSEC bogus, 15 blocked). RFC 4035 section 5.5: bogus data gives SERVFAIL.
//! - RFC 9460: SVCB and HTTPS records, whose address hints clients may use. RFC 5452: forged answers.
//! - RFC 7858, 8484, 9250, 9462: DNS over TLS, HTTPS and QUIC, and how clients find it.

mod lookup;
#[cfg(test)]
mod tests;

use super::{Certainty, Finding, Judgement, Party, Reason};
use crate::aside::dns::hidden::Way;
use crate::aside::dns::{DnsAnswer, ExtendedError, qtype};
use crate::base::{Addr, Cite, Seen, Side, Span};
use crate::evidence::around::Rival;
use crate::evidence::upgrade::Why;
use crate::evidence::{Chain, Ending, Evidence, Protocol, Stage};
use crate::tls::chain::Fault;
use crate::tls::names::{self, Cover};

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "proxy_lookup_failed",
        remedy: "The proxy looked the name up and found no address. Mend the name, or the resolver that the proxy uses.",
        steps: &[
            "Look the name up on the proxy itself: dig NAME.",
            "If it resolves elsewhere, correct the proxy's resolver, or its split view.",
            "If it does not, correct the name that the client asks for.",
        ],
    },
    Reason {
        word: "address_not_in_answer",
        remedy: "The client connected to an address that DNS did not give for the name. Find where it took the address from, and correct that.",
        steps: &[
            "On the client: getent hosts NAME, and compare with dig NAME.",
            "Look for the address in the hosts file, in proxy settings and in the application's configuration.",
            "Clear the resolver's and the application's caches (Java keeps addresses for the life of the process under a security manager).",
        ],
    },
    Reason {
        word: "stale_answer",
        remedy: "The client used an address after its TTL had run out. Restart or reconfigure what keeps it, and leave the old server up until caches are empty.",
        steps: &[
            "Find the cache that ignores the TTL: application, JVM (networkaddress.cache.ttl), proxy (nginx resolves at start).",
            "Make it resolve again, e.g. nginx resolver with a variable upstream.",
            "Before the next move lower the TTL, and serve on both addresses for at least the old TTL.",
        ],
    },
    Reason {
        word: "nxdomain",
        remedy: "The name does not exist for this resolver. Correct the name, publish it, or use the resolver that knows it.",
        steps: &[
            "dig NAME @RESOLVER and dig +trace NAME: does the zone know it?",
            "Check spelling and search suffixes on the client.",
            "For private names, send clients to the inside resolver (split DNS, VPN).",
        ],
    },
    Reason {
        word: "servfail",
        remedy: "The resolver could not get an answer for the name: the zone's servers fail, or its signatures do not validate.",
        steps: &[
            "dig NAME @RESOLVER, then with +cd: if that answers, DNSSEC validation failed.",
            "dig +trace NAME: which server does not answer?",
            "Mend the delegation, the servers or the signatures.",
        ],
    },
    Reason {
        word: "cname_elsewhere",
        remedy: "The name is an alias into another zone, whose server shows a certificate that does not name it. Register the name with that provider, or correct the alias.",
        steps: &[
            "dig NAME CNAME: does the target still belong to you?",
            "Add the name as a custom domain at the provider, so that its certificate covers it.",
            "Remove aliases to services you gave up: strangers can claim them.",
        ],
    },
    Reason {
        word: "answers_differ",
        remedy: "Clients are given different addresses for one name, and this one does not work. Compare the answers by resolver and site.",
        steps: &[
            "dig NAME at each resolver, and at each of the zone's own servers.",
            "Check serial numbers: is a secondary behind (dig SOA)?",
            "Take the failing address out of rotation, or mend the server behind it.",
        ],
    },
    Reason {
        word: "dnssec_bogus",
        remedy: "The zone's signatures do not validate, and a validating resolver withholds the answer. Mend the chain of DS, DNSKEY and RRSIG.",
        steps: &[
            "delv NAME or dnsviz.net: which record fails?",
            "Compare the DS at the parent with the zone's DNSKEY.",
            "Sign again, or withdraw the DS and wait for its TTL.",
        ],
    },
    Reason {
        word: "refused",
        remedy: "The resolver will not answer this client for this name. Let it, or send the client to a resolver that does.",
        steps: &[
            "dig NAME @RESOLVER from the client: REFUSED names an access list or a server without recursion.",
            "Check the resolver's access list (BIND allow-query and allow-recursion, Unbound access-control).",
            "Check which resolvers the client was given: DHCP, VPN, resolv.conf.",
        ],
    },
    Reason {
        word: "no_answer",
        remedy: "No resolver that the client asked said anything. Bring the resolver back, or mend the way to it.",
        steps: &[
            "dig NAME @RESOLVER +tries=1 from the client, then from the resolver itself.",
            "Does the resolver run and listen on port 53, UDP and TCP?",
            "Look for a filter between both, and for a second resolver that the client could use.",
        ],
    },
    Reason {
        word: "no_address",
        remedy: "The name exists and has no address of the kind that was asked for. Publish one, or ask for the right name.",
        steps: &[
            "dig NAME A, dig NAME AAAA: which one is missing?",
            "Check whether a record was removed, or stands under another name (with or without www).",
        ],
    },
    Reason {
        word: "spoofed_answer",
        remedy: "Two answers came to one question and contradict each other; the client takes the first, and somebody on the path may have made it up. Find who answers first.",
        steps: &[
            "Capture port 53 at the client and at the resolver: which answer did the resolver send?",
            "Compare TTL and arrival time of both: a forged one is mostly nearer and faster.",
            "Ask over TLS or HTTPS, or let a validating resolver answer.",
        ],
    },
    Reason {
        word: "private_address",
        remedy: "DNS gives this client a private or loopback address for a name that has a public one for others. Correct the record or the view, or send the client to the resolver that is meant for it.",
        steps: &[
            "dig NAME at each resolver: which one gives the private address?",
            "Split DNS: is the client on the side that the view is for (VPN down)?",
            "Remove test records such as 127.0.0.1 from the zone.",
        ],
    },
    Reason {
        word: "blocked",
        remedy: "The resolver withholds the name by policy: a blocklist, a filter or an order. Allow the name there, or leave it.",
        steps: &[
            "Look the name up in the resolver's blocklist or response policy zone, and allow it if it is wanted.",
            "Ask the operator of the resolver why it is listed.",
        ],
    },
];

/// Clocks and pre-fetching make addresses live a little longer than their TTL.
const GRACE: Span = Span::from_secs(60);
/// Answers that are further apart may differ because records were changed.
const SAME_TIME: Span = Span::from_secs(3_600);

/// Where filters send clients instead of the names that they block: FortiGuard's portal, Palo Alto Networks' sinkhole, and
/// Cisco Umbrella's block pages (146.112.61.104 to .110), as their operators document.
const SINKHOLES: [(Addr, Addr); 3] = [
    (Addr::v4([208, 91, 112, 55]), Addr::v4([208, 91, 112, 55])),
    (Addr::v4([72, 5, 65, 111]), Addr::v4([72, 5, 65, 111])),
    (Addr::v4([146, 112, 61, 104]), Addr::v4([146, 112, 61, 110])),
];

/// How well a failure fits a wrong address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It may.
    May,
    /// Nobody was reached who speaks TLS.
    Unreached,
    /// The server is another name's: it shows their certificate, or does not know this name.
    Another,
}

impl Fit {
    /// What a finding is worth that another server explains.
    fn worth(self) -> Certainty {
        if self == Self::Another { Certainty::Inferred } else { Certainty::Suspected }
    }
}

/// The proxy says that the name has no address.
fn behind_proxy(e: &Evidence) -> Option<Finding> {
    let (Ending::Refused { said }, Some(upgrade)) = (&e.ending.value, &e.upgrade) else { return None };
    (upgrade.why() == Some(Why::NoName)).then(|| {
        let name = e.proxied.as_ref().map_or("the name", |to| &*to.value.host);
        let says = format!("the proxy found no address for {name}: \"{said}\"");
        Finding::new(Certainty::Inferred, "proxy_lookup_failed", Party::Path, &e.ending.at, says)
            .and(&upgrade.asked.at, "the client asked the proxy for it")
    })
}

/// Judges.
pub fn judge(e: &Evidence) -> Judgement {
    if e.stage == Stage::Dns {
        return lookup::judge(e);
    }
    if let Some(finding) = behind_proxy(e) {
        return Judgement::Found(finding);
    }
    let misnamed = misnamed(e);
    let named = matches!(e.chain, Chain::Clear(_)) && !misnamed;
    if named || elsewhere_explained(e, misnamed) {
        return Judgement::Absent;
    }
    if e.proxied.is_some() || e.prelude.is_some_and(Protocol::is_proxy) {
        return Judgement::Blind("the client connects through a proxy, which looks the name up");
    }
    // Before a hello, the name under which the client was given the address stands for the one it meant.
    let meant = e.around.names_of_server.first().filter(|_| e.hello.is_none());
    let Some(sni) = e.sni().or(meant.map(|answer| answer.value.name.as_str())) else {
        return Judgement::Blind("the client sent no name in clear");
    };
    let fit = match e.fatal_alert() {
        _ if misnamed => Fit::Another,
        Some((Side::Server, alert, _)) if alert.description.0 == 112 => Fit::Another,
        _ if unreached(e) => Fit::Unreached,
        _ => Fit::May,
    };
    let address = e.server.addr;
    // Only answers of the address's own kind could have held it.
    let of_its_kind = |answer: &&Seen<DnsAnswer>| answer.value.given().any(|given| given.is_v4() == address.is_v4());
    let ours = || e.around.answers.iter().filter(of_its_kind);
    let theirs = || e.around.answers_to_others.iter().filter(of_its_kind);
    let contradicted = |rival: &&Rival| rival.first.value.gives(address) && !rival.second.value.gives(address);
    if let Some(rival) = e.around.rivals.iter().find(contradicted) {
        let says = format!("the first answer gave {address} for {}", rival.first.value.name);
        let (first, second) = rival.ttl;
        let hops =
            if first == second { String::new() } else { format!(", with TTL {second} instead of {first}") };
        let other = format!("a second answer to the same question gave {}{hops}", list(&rival.second));
        return Judgement::Found(
            Finding::new(fit.worth(), "spoofed_answer", Party::Path, &rival.first.at, says)
                .and(&rival.second.at, other)
                .and(whole(e), "the client used the first"),
        );
    }
    if let Some(answer) = ours().find(|answer| answer.value.gives(address)) {
        return given(e, answer, fit);
    }
    let by_alias = |answer: &Seen<DnsAnswer>| answer.value.name == sni || answer.value.cnames.iter().any(|name| name == sni);
    // A name that hides the true one (RFC 9849) is the provider's, and nobody asks for it.
    let by_alias = |answer: &Seen<DnsAnswer>| by_alias(answer) || answer.value.ech;
    // The name itself may be asked through an alias: then the server's address came with it.
    if e.around.names_of_server.iter().any(by_alias) || translated(e) || theirs().any(|answer| answer.value.gives(address)) {
        return Judgement::Absent;
    }
    if let Some(answer) = ours().next() {
        if let Some(why) = hidden(e) {
            return Judgement::Blind(why);
        }
        // Known by another name, the address may serve both.
        let elsewhere = !e.around.names_of_server.is_empty();
        let certainty = if elsewhere { Certainty::Suspected } else { fit.worth() };
        let says = format!("DNS gave {} for {}", list(answer), answer.value.name);
        return Judgement::Found(
            Finding::new(certainty, "address_not_in_answer", Party::Client, &answer.at, says)
                .and(whole(e), format!("the client connected to {address}")),
        );
    }
    let its_kind = if address.is_v4() { qtype::A } else { qtype::AAAA };
    let denied = |answer: &&Seen<DnsAnswer>| answer.value.rcode != 0 && answer.value.qtype == its_kind;
    if let Some(answer) = e.around.answers.iter().find(denied)
        && fit > Fit::May
        && hidden(e).is_none()
        && e.around.names_of_server.is_empty()
    {
        let (reason, says) = lookup::refusal(answer);
        return Judgement::Found(
            Finding::new(fit.worth(), reason, Party::Server, &answer.at, says)
                .and(whole(e), format!("the client connected to {address} all the same")),
        );
    }
    if let Some(answer) = theirs().next().filter(|_| fit == Fit::Another) {
        let says = format!("other clients were given {} for {}", list(answer), answer.value.name);
        return Judgement::Found(
            Finding::new(Certainty::Suspected, "answers_differ", Party::Path, &answer.at, says)
                .and(whole(e), format!("this client connected to {address}")),
        );
    }
    Judgement::Blind(hidden(e).unwrap_or("no DNS answer for the name is in the capture"))
}

/// The address is a translator's for an IPv4 address that DNS gave: it holds that in its last octets, as all prefixes of 96
/// bits do (RFC 6052 section 2.2).
fn translated(e: &Evidence) -> bool {
    let address = e.server.addr;
    let four = Addr(Addr::v4([0; 4]).0 | address.0 & 0xffff_ffff);
    !address.is_v4() && e.around.answers.iter().any(|answer| answer.value.gives(four))
}

/// Why the client's own answers cannot be seen.
fn hidden(e: &Evidence) -> Option<&'static str> {
    Some(match e.around.hidden_dns.as_ref()?.value {
        Way::Tls => "the client asks its resolver over TLS, which hides the answers",
        Way::Https => "the client asks its resolver over HTTPS, which hides the answers",
        Way::Quic => "the client asks its resolver over QUIC, which hides the answers",
    })
}

/// The certificate names other hosts.
fn misnamed(e: &Evidence) -> bool {
    !e.may_hide_name()
        && e.defects.iter().any(|defect| {
        matches!(defect.fault, Fault::SanMismatch | Fault::NoSan | Fault::WildcardDepth | Fault::IpNotInSan)
    })
}

/// The server was not reached, or did not answer as a TLS server would.
fn unreached(e: &Evidence) -> bool {
    e.server_hello.is_none()
        && matches!(
            e.ending.value,
            Ending::Silence { .. }
                | Ending::Reset { .. }
                | Ending::Fin { from: Side::Server }
                | Ending::PlainText { .. }
        )
        || e.tcp.syn_ack.is_none() && !e.tcp.icmp.is_empty()
}

/// An alert that a wrong address does not bring about.
fn elsewhere_explained(e: &Evidence, misnamed: bool) -> bool {
    !misnamed
        && e.fatal_alert().is_some_and(|(from, alert, _)| match from {
            Side::Client => !matches!(alert.description.0, 42 | 46 | 48),
            Side::Server => !matches!(alert.description.0, 40 | 80 | 112),
        })
}

/// DNS gave the address: by whose policy, long ago, to this client alone, or for another zone.
fn given(e: &Evidence, newest: &Seen<DnsAnswer>, fit: Fit) -> Judgement {
    let address = e.server.addr;
    let gave = format!("DNS gave {address} for {}", newest.value.name);
    let sinkhole = SINKHOLES.iter().any(|(first, last)| (first..=last).contains(&&address));
    let policy = newest.value.extended_error.is_some_and(|code| ExtendedError(code).is_policy());
    if sinkhole || policy {
        let why = match newest.value.error_words() {
            Some(words) if policy => format!("{gave}, and says: {words}"),
            _ => format!("{gave}, which is where a filter sends clients"),
        };
        let finding = Finding::new(fit.worth(), "blocked", Party::Path, &newest.at, why);
        return Judgement::Found(finding.and(whole(e), "the connection to it"));
    }
    let others = || e.around.answers.iter().chain(&e.around.answers_to_others);
    let apart = |other: &&Seen<DnsAnswer>| {
        other.value.given().any(|given| given.is_v4() == address.is_v4())
            && !other.value.gives(address)
            && (other.when - newest.when).0.abs() < SAME_TIME.0
    };
    if address.is_private()
        && fit > Fit::May
        && let Some(public) = others().filter(apart).find(|other| !other.value.given().any(Addr::is_private))
    {
        let says = format!("{gave}, which is private");
        return Judgement::Found(
            Finding::new(Certainty::Inferred, "private_address", Party::Server, &newest.at, says)
                .and(&public.at, format!("another answer gave {}", list(public)))
                .and(whole(e), "the connection to the private one"),
        );
    }
    if let Some(finding) = stale(e, newest, fit) {
        return Judgement::Found(finding);
    }
    if fit == Fit::Another
        && let (Some(sni), Some(target)) = (e.sni(), newest.value.cnames.last())
        && zone(sni) != zone(target)
        && let Chain::Clear(chain) = &e.chain
    {
        // The server is the one that the alias names, and knows itself by that name.
        let own = chain.value.first().is_some_and(|leaf| names::covers(leaf, target) == Cover::Covers);
        let certainty = if own { Certainty::Inferred } else { Certainty::Suspected };
        let says = format!("{sni} is an alias of {target}");
        let shown = if own { "the certificate there is for the alias alone" } else { "the certificate there names other hosts" };
        return Judgement::Found(
            Finding::new(certainty, "cname_elsewhere", Party::Server, &newest.at, says).and(&chain.at, shown),
        );
    }
    let by_another = |other: &&Seen<DnsAnswer>| other.value.resolver != newest.value.resolver;
    if fit == Fit::Another
        && let Some(other) = e.around.answers.iter().filter(apart).find(by_another)
    {
        return Judgement::Found(
            Finding::new(Certainty::Inferred, "answers_differ", Party::Server, &newest.at, gave)
                .and(&other.at, format!("another resolver gave {}", list(other)))
                .and(whole(e), format!("the connection to {address}")),
        );
    }
    if fit == Fit::Another
        && let Some(other) = e.around.answers_to_others.iter().find(apart)
    {
        return Judgement::Found(
            Finding::new(Certainty::Suspected, "answers_differ", Party::Server, &newest.at, gave)
                .and(&other.at, format!("other clients were given {}", list(other))),
        );
    }
    Judgement::Absent
}

/// The answer that gave the address had run out.
fn stale(e: &Evidence, newest: &Seen<DnsAnswer>, fit: Fit) -> Option<Finding> {
    let age = e.started - newest.when;
    let ttl = Span::from_secs(i64::from(newest.value.ttl));
    let twice = Span(ttl.0.saturating_mul(2));
    let address = e.server.addr;
    if newest.value.ttl == 0 || age < twice || hidden(e).is_some() {
        return None;
    }
    // What the name has now: to this client, or to others.
    let later = e.around.answers.iter().chain(&e.around.answers_to_others).filter(|other| {
        other.when > newest.when && other.value.given().any(|given| given.is_v4() == address.is_v4())
    });
    if later.clone().any(|other| other.value.gives(address)) {
        return None;
    }
    let moved = later.max_by_key(|other| other.when);
    if moved.is_none() && age <= Span(twice.0.saturating_add(GRACE.0)) {
        return None;
    }
    let certainty = match fit {
        Fit::Another => Certainty::Inferred,
        Fit::Unreached if moved.is_some() => Certainty::Inferred,
        Fit::Unreached => Certainty::Suspected,
        Fit::May => return None,
    };
    let says = format!("the answer that gave {address} was {age} old, and good for {} s", newest.value.ttl);
    let mut finding = Finding::new(certainty, "stale_answer", Party::Client, &newest.at, says);
    if let Some(moved) = moved {
        finding = finding.and(&moved.at, format!("since then DNS gives {}", list(moved)));
    }
    Some(finding.and(whole(e), "the connection to it"))
}

/// The last two labels: coarse, and only ever used to tell that two names are strangers.
fn zone(name: &str) -> Vec<&str> {
    name.trim_end_matches('.').rsplit('.').take(2).collect()
}

fn list(answer: &Seen<DnsAnswer>) -> String {
    let mut text: Vec<_> = answer.value.given().take(4).map(|address| address.to_string()).collect();
    match answer.value.given().count() {
        0 => return "none".to_owned(),
        5.. => text.push("…".to_owned()),
        _ => {}
    }
    text.join(", ")
}

/// The packet that names server and host.
fn whole(e: &Evidence) -> Cite {
    match &e.hello {
        Some(hello) => (&hello.at).into(),
        None => e.first.into(),
    }
}
