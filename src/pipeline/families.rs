//! Hosts that have addresses of both families, and which of their connections are tries of one.
//!
//! A client that has an IPv6 and an IPv4 address of a server tries one and, where that is refused or says nothing, the
//! other (RFC 8305 section 5, or one address after the next as `getaddrinfo` gives them). The two connections share no
//! address. They are taken for one client where the second follows on the same port, and
//!
//! - at once, and both clients' packets crossed no router (their TTL is one that hosts begin with) and come from one link
//!   address, or
//! - within seconds, and one of the two clients was told both servers' addresses under the name that the second asks for.
//!
//! Time alone would join strangers: somebody connects to somewhere at every moment.

use std::sync::Arc;

use super::memory::Recent;
use crate::aside::dns::DnsAnswer;
use crate::base::{Addr, Endpoint, Seen, Side, Span, Stamp};
use crate::evidence::{Evidence, Stage};

/// A refusal is followed by the next try at once, or after the usual delay between tries: 250 ms (RFC 8305 section 5),
/// 300 ms in Go (`fallbackDelay` in net/dial.go); it has yet to reach the client, and the try to come back.
const AT_ONCE: Span = Span::from_millis(500);
/// RFC 8305 section 8: a try that says nothing is followed by the next after at most two seconds.
const DELAY: Span = Span::from_secs(2);
/// One name's addresses are tried one after the other even by who is patient with each.
const PATIENT: Span = Span::from_secs(5);

/// A connection that carried data.
#[derive(Clone, Debug)]
struct Won {
    client: Addr,
    started: Stamp,
    /// Its server.
    seen: Seen<Endpoint>,
}

/// What is remembered to find the other try.
#[derive(Debug)]
pub struct Families {
    /// By the client's link address.
    by_link: Recent<[u8; 6], Won>,
    /// By the name asked for.
    by_name: Recent<Arc<str>, Won>,
    /// Who was told an address, and under which name.
    told: Recent<Addr, (Addr, Arc<Seen<DnsAnswer>>)>,
}

impl Families {
    /// Nothing yet; at most this many hosts and names.
    pub fn new(most: usize) -> Self {
        Self { by_link: Recent::new(most, 8), by_name: Recent::new(most, 4), told: Recent::new(most, 4) }
    }

    /// DNS told a client an address by this answer.
    pub fn told(&mut self, client: Addr, address: Addr, answer: Arc<Seen<DnsAnswer>>) {
        self.told.put(address, (client, answer));
    }

    /// Has fetched what [`Self::won`] will look at.
    #[inline]
    pub fn approach(&self, name: &str) {
        self.by_name.approach(name);
    }

    /// A connection carried data.
    pub fn won(&mut self, evidence: &Evidence, seen: &Seen<Endpoint>) {
        let sni = evidence.hello.as_ref().and_then(|hello| hello.value.sni.as_ref());
        let link = own_link(evidence);
        if sni.is_none() && link.is_none() {
            return;
        }
        let won = Won { client: evidence.client.addr, started: evidence.started, seen: seen.clone() };
        if let Some(link) = link {
            self.by_link.put(link, won.clone());
        }
        if let Some(sni) = sni {
            self.by_name.put(sni, won);
        }
    }

    /// The connection by which the client of this one, which was never set up, reached the server at an address of the
    /// other family.
    pub fn reached(&self, evidence: &Evidence) -> Option<Seen<Endpoint>> {
        if evidence.stage != Stage::Tcp || evidence.tcp.syn_ack.is_some() || evidence.tcp.syn.is_none() {
            return None;
        }
        let refused = !evidence.tcp.resets.is_empty() || !evidence.tcp.icmp.is_empty();
        let next = |won: &&Won| {
            won.seen.value.port == evidence.server.port
                && won.seen.value.addr.is_v4() != evidence.server.addr.is_v4()
                && (0..PATIENT.0).contains(&(won.started - evidence.started).0)
        };
        let at_once = |won: &&Won| {
            next(won)
                && if refused {
                    (0..AT_ONCE.0).contains(&(won.started - evidence.ended).0)
                } else {
                    (0..DELAY.0).contains(&(won.started - evidence.started).0)
                }
        };
        let by_link = own_link(evidence).and_then(|link| self.by_link.get(&link).find(at_once));
        let by_name = || {
            self.told.get(&evidence.server.addr).find_map(|(client, answer)| {
                let name = &answer.value.name;
                self.by_name.get(name.as_str()).filter(next).find(|won| {
                    (*client == evidence.client.addr || *client == won.client)
                        && self
                            .told
                            .get(&won.seen.value.addr)
                            .any(|told| told.0 == *client && told.1.value.name == *name)
                })
            })
        };
        by_link.or_else(by_name).map(|won| won.seen.clone())
    }
}

/// The link address of the client itself: its packets crossed no router.
fn own_link(evidence: &Evidence) -> Option<[u8; 6]> {
    let whole = |ttl: u8| matches!(ttl, 64 | 128 | 255);
    let (least, most) = (*evidence.tcp.ttl.of(Side::Client))?;
    (least == most && whole(least)).then_some(())?;
    *evidence.tcp.link.of(Side::Client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{SERVER, START, greeted, reset, seen, syn};

    const LINK: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const SIX: Endpoint = Endpoint { addr: Addr::v6([0x20; 16]), port: 443 };
    const CLIENT_SIX: Endpoint = Endpoint { addr: Addr::v6([0x21; 16]), port: 50_001 };

    /// A connection over IPv4 that begins so many milliseconds after [`refused`] ended, seen beside the client.
    fn won(millis: i64) -> Evidence {
        let mut e = greeted();
        e.started = START + Span::from_millis(62 + millis);
        e.tcp.link.client = Some(LINK);
        e
    }

    /// A SYN over IPv6 that was refused, seen beside the client.
    fn refused() -> Evidence {
        let mut e = reset(syn(1), Side::Server, &[]);
        (e.client, e.server) = (CLIENT_SIX, SIX);
        e.ended = e.ending.when;
        e.tcp.link.client = Some(LINK);
        e.tcp.ttl.client = Some((64, 64));
        e
    }

    fn answer() -> Arc<Seen<DnsAnswer>> {
        Arc::new(seen(DnsAnswer { name: "www.example.com".into(), ..DnsAnswer::default() }, 1, 0))
    }

    fn families(winners: &[Evidence]) -> Families {
        let mut families = Families::new(8);
        for e in winners {
            families.won(e, &seen(e.server, 9, 100));
        }
        families
    }

    #[test]
    fn one_host_that_goes_on_at_once_with_its_other_family() {
        assert_eq!(families(&[won(1)]).reached(&refused()).map(|seen| seen.value), Some(SERVER));
    }

    #[test]
    fn absent_a_second_later_on_another_port_or_before() {
        let mut other_port = won(1);
        other_port.server.port = 8_443;
        for (why, e) in [("later", won(1_000)), ("before", won(-30)), ("another port", other_port)] {
            assert_eq!(families(&[e]).reached(&refused()), None, "{why}");
        }
    }

    #[test]
    fn absent_for_the_same_family() {
        let mut e = refused();
        (e.client, e.server) = (greeted().client, Endpoint { port: 443, ..greeted().client });
        assert_eq!(families(&[won(1)]).reached(&e), None);
    }

    #[test]
    fn blind_behind_a_router_without_dns() {
        let (mut loser, mut winner) = (refused(), won(1));
        loser.tcp.ttl.client = Some((63, 63));
        winner.tcp.ttl.client = Some((63, 63));
        let mut families = families(&[winner]);
        assert_eq!(families.reached(&loser), None);
        let told = greeted().client.addr;
        families.told(told, SIX.addr, answer());
        assert_eq!(families.reached(&loser), None, "the winner's address was not told under the name");
        families.told(told, SERVER.addr, answer());
        assert_eq!(families.reached(&loser).map(|seen| seen.value), Some(SERVER));
    }

    #[test]
    fn a_syn_without_an_answer_is_followed_within_two_seconds() {
        let mut e = refused();
        e.tcp.resets.clear();
        assert!(families(&[won(188)]).reached(&e).is_some());
        assert!(families(&[won(2_100)]).reached(&e).is_none());
    }

    #[test]
    fn one_name_holds_tries_together_that_are_seconds_apart() {
        for (millis, joined) in [(3_000, true), (6_000, false)] {
            let mut families = families(&[won(millis)]);
            assert_eq!(families.reached(&refused()), None, "the link alone does not");
            for address in [SIX.addr, SERVER.addr] {
                families.told(greeted().client.addr, address, answer());
            }
            assert_eq!(families.reached(&refused()).is_some(), joined, "{millis}");
        }
    }

    #[test]
    fn absent_where_the_server_answered() {
        let mut e = refused();
        e.tcp.syn_ack = Some(seen(1, 2, 20));
        assert_eq!(families(&[won(1)]).reached(&e), None);
    }
}
