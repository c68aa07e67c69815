//! The address used is not what DNS gives for the name.
//!
//! # Symptoms
//!
//! One client or one site reaches the wrong server, or none, under a name that works elsewhere: a
//! certificate for another host, a refused connection, a time-out. It often begins at a move to new
//! addresses and ends by itself when caches expire. `NXDOMAIN`, `SERVFAIL`, `Name or service not known`.
//!
//! # On the wire
//!
//! - DNS answers with RCODE 3 or 2 for the name, and no address in the ten seconds behind them: `nxdomain`,
//!   `servfail`. Proven where the client asked for the name's HTTPS record or a handshake elsewhere bears the
//!   name; else both A and AAAA must have been refused, and it is suspected: other programs look names up too.
//! - A connection for a name (SNI) to an address that no answer in the capture gave for it, which
//!   then fails: `address_not_in_answer` (hosts file, pinned address, proxy, forged or old answer).
//! - The address stood only in an answer whose TTL had run out long ago: `stale_answer`.
//! - Other clients of the same capture were given other addresses: `answers_differ`.
//! - The answer led through a CNAME into another zone, and the certificate there names other hosts:
//!   `cname_elsewhere`.
//! - A resolver that validates answers SERVFAIL where signatures are bogus, and says so in an extended error:
//!   `dnssec_bogus`.
//!
//! DNS over TLS or HTTPS, hosts files and answers cached before the capture began cannot be seen.
//! A server that shows a certificate for the name is the right one, whatever DNS said.
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
//! - RFC 8914: extended errors (6 is DNSSEC bogus). RFC 4035 section 5.5: bogus data gives SERVFAIL.
//! - RFC 9460: SVCB and HTTPS records, whose address hints clients may use.

use super::{Certainty, Finding, Judgement, Party, Reason};
use crate::aside::dns::DnsAnswer;
use crate::base::{Cite, Packets, Seen, Side, Span};
use crate::evidence::{Chain, Ending, Evidence, Stage};
use crate::tls::chain::Fault;

/// The reasons.
pub const REASONS: &[Reason] = &[
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
];

/// Clocks and pre-fetching make addresses live a little longer than their TTL.
const GRACE: Span = Span::from_secs(60);

/// Extended errors of a failed validation (RFC 8914 sections 4.7 to 4.13): bogus, expired, not yet valid, and keys and
/// records that are missing.
const DNSSEC_FIRST: u16 = 6;
const DNSSEC_LAST: u16 = 12;

/// Judges.
pub fn judge(e: &Evidence) -> Judgement {
    if e.stage == Stage::Dns {
        return lookup(e);
    }
    let misnamed = misnamed(e);
    let named = matches!(e.chain, Chain::Clear(_)) && !misnamed;
    if named || elsewhere_explained(e, misnamed) {
        return Judgement::Absent;
    }
    if e.sni().is_none() {
        return Judgement::Blind("the client sent no name in clear");
    }
    let address = e.server.addr;
    // Only answers of the address's own kind could have held it.
    let fits = |answer: &&Seen<DnsAnswer>| {
        answer.value.rcode == 0 && answer.value.addresses.iter().any(|given| given.is_v4() == address.is_v4())
    };
    let gave = |answer: &&Seen<DnsAnswer>| answer.value.addresses.contains(&address);
    let ours = || e.around.answers.iter().filter(fits);
    let theirs = || e.around.answers_to_others.iter().filter(fits);
    if let Some(answer) = ours().find(gave) {
        return given(e, answer, misnamed);
    }
    let given_otherwise = e.around.names_of_server.iter().any(|answer| {
        // The name itself may be asked through an alias: then the server's address came with it.
        e.sni()
            .is_some_and(|sni| answer.value.name == sni || answer.value.cnames.iter().any(|name| name == sni))
    });
    if given_otherwise || theirs().any(|answer| gave(&answer)) {
        return Judgement::Absent;
    }
    if let Some(answer) = ours().next() {
        let says = format!("DNS gave {} for {}", list(answer), answer.value.name);
        let certainty = if misnamed || unreached(e) { Certainty::Inferred } else { Certainty::Suspected };
        return Judgement::Found(
            Finding::new(certainty, "address_not_in_answer", Party::Client, &answer.at, says)
                .and(whole(e), format!("the client connected to {address}")),
        );
    }
    if let Some(answer) = theirs().next() {
        let says = format!("other clients were given {} for {}", list(answer), answer.value.name);
        return Judgement::Found(
            Finding::new(Certainty::Suspected, "answers_differ", Party::Path, &answer.at, says)
                .and(whole(e), format!("this client connected to {address}")),
        );
    }
    Judgement::Blind("no DNS answer for the name is in the capture")
}

/// The lookup itself failed.
fn lookup(e: &Evidence) -> Judgement {
    let Some(answer) = e.around.answers.first() else {
        return Judgement::Blind("no DNS answer for the name is in the capture");
    };
    let name = &answer.value.name;
    let (reason, says) = match (answer.value.rcode, answer.value.extended_error) {
        (3, _) => ("nxdomain", format!("the resolver says that {name} does not exist")),
        (2, Some(DNSSEC_FIRST..=DNSSEC_LAST)) => {
            ("dnssec_bogus", format!("the resolver found the signatures of {name} to be bogus"))
        }
        (2, _) => ("servfail", format!("the resolver could not resolve {name}")),
        _ => return Judgement::Absent,
    };
    let answers: Packets = e.around.answers.iter().flat_map(|answer| answer.at.iter()).collect();
    // Without a trace of TLS, another protocol may have been meant.
    Judgement::Found(match &e.around.for_tls {
        Some(seen) => Finding::new(Certainty::Proven, reason, Party::Server, &answers, says)
            .and(seen.at.clone(), seen.value.to_owned()),
        None => Finding::new(Certainty::Suspected, reason, Party::Server, &answers, says),
    })
}

/// The certificate names other hosts.
fn misnamed(e: &Evidence) -> bool {
    !e.may_hide_name()
        && e.defects.iter().any(|defect| {
        matches!(defect.fault, Fault::SanMismatch | Fault::NoSan | Fault::WildcardDepth | Fault::IpNotInSan)
    })
}

/// The server was not reached, or did not answer as a TLS server of the name would.
fn unreached(e: &Evidence) -> bool {
    e.server_hello.is_none()
        && matches!(
            e.ending.value,
            Ending::Silence { .. }
                | Ending::Reset { .. }
                | Ending::Fin { from: Side::Server }
                | Ending::PlainText { .. }
        )
        || e.fatal_alert().is_some_and(|(from, alert, _)| from == Side::Server && alert.description.0 == 112)
}

/// An alert that a wrong address does not bring about.
fn elsewhere_explained(e: &Evidence, misnamed: bool) -> bool {
    !misnamed
        && e.fatal_alert().is_some_and(|(from, alert, _)| match from {
            Side::Client => !matches!(alert.description.0, 42 | 46 | 48),
            Side::Server => !matches!(alert.description.0, 40 | 80 | 112),
        })
}

/// DNS gave the address: it may have been long ago, or for another zone.
fn given(e: &Evidence, newest: &Seen<DnsAnswer>, misnamed: bool) -> Judgement {
    let age = e.started - newest.when;
    let fresh = Span::from_secs(i64::from(newest.value.ttl).saturating_mul(2));
    if age > Span(fresh.0.saturating_add(GRACE.0)) && newest.value.ttl > 0 {
        let says = format!(
            "the answer that gave {} was {age} old, and good for {} s",
            e.server.addr, newest.value.ttl
        );
        return Judgement::Found(
            Finding::new(Certainty::Inferred, "stale_answer", Party::Client, &newest.at, says)
                .and(whole(e), "the connection to it"),
        );
    }
    let target = newest.value.cnames.last();
    if misnamed
        && let (Some(sni), Some(target)) = (e.sni(), target)
        && zone(sni) != zone(target)
        && let Chain::Clear(chain) = &e.chain
    {
        let says = format!("{sni} is an alias of {target}");
        return Judgement::Found(
            Finding::new(Certainty::Suspected, "cname_elsewhere", Party::Server, &newest.at, says)
                .and(&chain.at, "the certificate there names other hosts"),
        );
    }
    Judgement::Absent
}

/// The last two labels: coarse, and only ever used to tell that two names are strangers.
fn zone(name: &str) -> Vec<&str> {
    name.trim_end_matches('.').rsplit('.').take(2).collect()
}

fn list(answer: &Seen<DnsAnswer>) -> String {
    let mut text: Vec<_> = answer.value.addresses.iter().take(4).map(ToString::to_string).collect();
    if answer.value.addresses.len() > 4 {
        text.push("…".to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{alert, answer, answered, bare, certificate, ends, greeted, shown};
    use crate::tls::codes::Version;

    const OTHER: [u8; 4] = [198, 51, 100, 9];
    const OURS: [u8; 4] = [203, 0, 113, 5];

    fn found(e: &Evidence) -> (Certainty, &'static str) {
        match judge(e) {
            Judgement::Found(finding) => (finding.certainty, finding.reason),
            other => panic!("{other:?}"),
        }
    }

    fn misnamed() -> Evidence {
        shown(answered(Version::TLS12), certificate("other.test", &["other.test"]), &[Fault::SanMismatch])
    }

    #[test]
    fn a_failed_lookup_is_proof_where_tls_was_to_follow() {
        for (rcode, error, reason) in
            [(3, None, "nxdomain"), (2, None, "servfail"), (2, Some(22), "servfail"), (2, Some(6), "dnssec_bogus")]
        {
            let mut e = bare();
            e.stage = Stage::Dns;
            let mut said = answer(&[], 0, 0);
            said.value.rcode = rcode;
            said.value.extended_error = error;
            e.around.answers.push(said);
            assert_eq!(found(&e), (Certainty::Suspected, reason));
            e.around.for_tls = Some(Seen::new("a handshake bears the name", crate::base::PacketNo(9), e.ended));
            assert_eq!(found(&e), (Certainty::Proven, reason));
        }
    }

    #[test]
    fn an_address_that_dns_did_not_give() {
        let mut e = alert(misnamed(), Side::Client, 42);
        e.around.answers.push(answer(&[OTHER], 300, 1));
        assert_eq!(found(&e), (Certainty::Inferred, "address_not_in_answer"));
    }

    #[test]
    fn absent_where_any_client_was_given_the_address() {
        let mut e = greeted();
        e.around.answers.push(answer(&[OTHER], 300, 1));
        e.around.answers_to_others.push(answer(&[OURS], 300, 1));
        assert_eq!(judge(&e), Judgement::Absent);
    }

    #[test]
    fn an_old_answer_is_stale_and_a_fresh_one_is_not() {
        let mut e = greeted();
        e.around.answers.push(answer(&[OURS], 300, 661));
        assert_eq!(found(&e), (Certainty::Inferred, "stale_answer"));
        e.around.answers = vec![answer(&[OURS], 300, 660)];
        assert_eq!(judge(&e), Judgement::Absent);
    }

    #[test]
    fn others_were_given_other_addresses() {
        let mut e = greeted();
        e.around.answers_to_others.push(answer(&[OTHER], 300, 1));
        assert_eq!(found(&e), (Certainty::Suspected, "answers_differ"));
    }

    #[test]
    fn an_alias_into_another_zone_with_another_certificate() {
        let mut e = alert(misnamed(), Side::Client, 42);
        let mut said = answer(&[OURS], 300, 1);
        said.value.cnames.push("shop.provider.test".to_owned());
        e.around.answers.push(said);
        assert_eq!(found(&e), (Certainty::Suspected, "cname_elsewhere"));
    }

    #[test]
    fn absent_where_the_certificate_covers_the_name() {
        let named = certificate("www.example.com", &["www.example.com"]);
        let mut e = alert(shown(answered(Version::TLS12), named, &[Fault::LeafExpired]), Side::Client, 45);
        e.around.answers.push(answer(&[OTHER], 300, 1));
        assert_eq!(judge(&e), Judgement::Absent);
    }

    #[test]
    fn an_answer_of_the_other_family_says_nothing() {
        let mut e = greeted();
        let mut said = answer(&[], 300, 1);
        said.value.addresses.push(crate::base::Addr::v6([0x20; 16]));
        e.around.answers.push(said);
        assert!(matches!(judge(&e), Judgement::Blind(_)));
    }

    #[test]
    fn blind_without_a_name_or_an_answer() {
        let mut e = greeted();
        ends(&mut e, Ending::Reset { from: Side::Server }, 5, 41);
        assert_eq!(judge(&e), Judgement::Blind("no DNS answer for the name is in the capture"));
        e.hello.as_mut().unwrap().value.sni = None;
        assert_eq!(judge(&e), Judgement::Blind("the client sent no name in clear"));
    }

    #[test]
    fn absent_where_a_protocol_alert_explains() {
        let mut e = alert(greeted(), Side::Server, 70);
        e.around.answers.push(answer(&[OTHER], 300, 1));
        assert_eq!(judge(&e), Judgement::Absent);
    }
}
