//! Address translation lost, reused or confused the connection.
//!
//! # Symptoms
//!
//! Connections through one gateway hang or are reset, mostly after a pause, after the gateway
//! restarted or failed over, or under load; retries work. From inside the private network a
//! service's public name does not answer while it works from everywhere else (hairpin).
//!
//! # On the wire
//!
//! - A ClientHello without a SYN, under a private client address, that continues a connection set up under a public
//!   one: `untranslated_leak`; under another public one, or seen from the connection that was left: `mapping_lost`.
//! - The server's acknowledgment answered in the client's name by a RST from nearer than the client: the translator has
//!   no such connection, and resets it as every host does (`mapping_lost`). A filter forges resets unasked, and finds
//!   nothing to refuse in an acknowledgment without data. Inside the gateway the same event is mere silence.
//! - A SYN/ACK that fits the SYN and comes from another address than the SYN went to: `hairpin`.
//! - A SYN/ACK that fits the SYN and goes to another client, which resets it; outside, each SYN/ACK reset in the
//!   client's name while the client asks again: `port_reuse`.
//! - The server repeats its SYN/ACK although the client acknowledged: `asymmetric`.
//! - A long pause of the whole connection, which keep-alives end as other packets do, then bytes of the client that meet
//!   silence or a reset: `idle_timeout`. Surer where several connections show how long a pause may be: all longer ones
//!   failed, none shorter.
//! - A SYN answered with an acknowledgment of another connection on the same ports, which the client resets: `port_reuse`;
//!   `paws_drop` where that connection's timestamps are ahead of the SYN's.
//! - SYNs dropped, all with timestamp clocks behind that of a connection of the same address which was set up within the
//!   minute: `paws_drop`.
//! - `port_exhausted` shows no more than unanswered SYNs from one capture point.
//!
//! Inside, a connection whose packets leave under another address ends with a RST without ACK, one round trip after the
//! hello: the server knows no such connection. A filter on the server resets alike.
//! One capture point cannot tell a lost mapping from a firewall's drop. Two can: the connection has
//! the same ClientHello random and the same client sequence numbers on both sides of the gateway.
//! Read together (`--inside`, `--outside`), they prove most of these, where other connections show that the gateway was up and that
//! nothing refuses the hello; `port_exhausted` where all ports were seen held, and one of them given again later.
//!
//! # Remedy
//!
//! Capture on both sides of the gateway. Raise its idle time-outs above the application's pauses, or
//! send keep-alives below them; give it more public ports; keep both directions on one device.
//!
//! # References
//!
//! - RFC 9293 section 3.10.7.1: what a host sends that has no such connection.
//! - RFC 5382: what a NAT owes TCP (idle time-outs of 2 h 4 min, no port overloading, hairpinning).
//! - RFC 7857: updates to it. RFC 6888: carrier-grade NAT, port limits and logs.
//! - RFC 6191: TIME-WAIT and timestamps. RFC 7323 section 5: PAWS, and why shared addresses and timestamps collide.
//! - Linux `nf_conntrack` sysctls: `nf_conntrack_tcp_timeout_established`, `nf_conntrack_tcp_loose`.

mod idle;

use super::{Certainty, Finding, Judgement, Party, Reason, crossing};
use crate::base::{Cite, Seen, Side, Span};
use crate::evidence::{Chain, Doubt, Ending, Evidence, Reset, Stage};

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "mapping_lost",
        remedy: "The gateway forgot the connection's translation while it was in use. Find out why: a restart, a fail-over without state, a full table, or a flush.",
        steps: &[
            "Look in the gateway's log for restarts, fail-overs and \"table full\" at that time.",
            "Compare conntrack -C with sysctl net.netfilter.nf_conntrack_max.",
            "Synchronize state between the members of a cluster (conntrackd), and do not flush tables in service.",
        ],
    },
    Reason {
        word: "idle_timeout",
        remedy: "The connection lay idle longer than a device on the path remembers it. Shorten the pause or lengthen the memory.",
        steps: &[
            "Compare the cited pause with the known limits: 350 s (AWS NAT gateway, NLB), 240 s (Azure), 60 s (many load balancers).",
            "Send TCP keep-alives below the limit, or say hello at once after connecting.",
            "Make connection pools drop connections older than the limit.",
        ],
    },
    Reason {
        word: "port_reuse",
        remedy: "The gateway gave a public port to a second connection while the first one was still alive. Its port pool is too small or its rules overlap.",
        steps: &[
            "Look for two inside hosts that share one public address and port towards this server.",
            "Remove overlapping source-NAT rules; add public addresses.",
            "Enable random-fully port selection where the gateway has it.",
        ],
    },
    Reason {
        word: "port_exhausted",
        remedy: "The gateway has no free public port towards this server. Add public addresses, or have clients reuse connections.",
        steps: &[
            "Read the gateway's allocation-failure counter (AWS: ErrorPortAllocation; Azure: SNAT connection count).",
            "Add addresses to the pool.",
            "Reuse connections (keep-alive, HTTP/2) instead of opening one a request.",
        ],
    },
    Reason {
        word: "paws_drop",
        remedy: "Several clients behind one address send TCP timestamps that jump backwards, and the server drops the older ones.",
        steps: &[
            "On servers older than Linux 4.12: sysctl -w net.ipv4.tcp_tw_recycle=0.",
            "Watch nstat -az TcpExtPAWSEstab TcpExtPAWSActive on the server.",
            "As a test, disable timestamps on one client (net.ipv4.tcp_timestamps=0).",
        ],
    },
    Reason {
        word: "asymmetric",
        remedy: "The two directions take different ways, and a stateful device sees only one of them. Make both pass it.",
        steps: &[
            "Trace the route from both ends and compare.",
            "Mend the routing (return route, policy route, source NAT on the load balancer).",
            "Where that cannot be, exempt the flow from state tracking.",
        ],
    },
    Reason {
        word: "hairpin",
        remedy: "Client and server stand behind the same gateway: the server answers directly, and the client does not know that address. The gateway must translate the source as well.",
        steps: &[
            "Enable hairpin NAT (NAT loopback): masquerade inside-to-inside flows of the forwarded port.",
            "Or let inside clients resolve the name to the inside address (split DNS).",
        ],
    },
    Reason {
        word: "untranslated_leak",
        remedy: "Packets left the gateway with their private source address: they matched no translation. Drop invalid packets, and find out why the mapping was lost.",
        steps: &[
            "Add a rule that drops packets in conntrack state INVALID before forwarding.",
            "Look for flushes, fail-overs and full tables on the gateway at that time.",
            "Filter private sources at the edge (BCP 38).",
        ],
    },
];

/// Why nothing is said about plain silence.
const ONE_POINT: &str = "one capture point cannot tell a lost mapping from a firewall's drop";

/// Judges.
pub fn judge(e: &Evidence) -> Judgement {
    match of_attempt(e) {
        Judgement::Blind(_) if e.around.crossing.is_some() => Judgement::Blind(crossing::NEITHER),
        other => other,
    }
}

/// What the attempt shows, on however many sides it was captured.
fn of_attempt(e: &Evidence) -> Judgement {
    if e.stage == Stage::Dns
        || e.fatal_alert().is_some()
        || matches!(e.ending.value, Ending::SealedAlert { .. })
    {
        return Judgement::Absent;
    }
    if let Some(judged) = crossing::nat_drop(e).judged() {
        return judged;
    }
    let found = elsewhere(e).or_else(|| hairpin(e)).or_else(|| port_reuse(e)).or_else(|| lost(e));
    let found = found.or_else(|| asymmetric(e)).or_else(|| challenged(e)).or_else(|| paws(e));
    if let Some(finding) = found.or_else(|| idle::find(e)) {
        return Judgement::Found(finding);
    }
    // A word of TLS by the server shows that both directions worked.
    match e.ending.value {
        Ending::Silence { .. } if e.stage <= Stage::ClientHello => Judgement::Blind(ONE_POINT),
        Ending::Reset { from: Side::Server } if unknown_to_the_server(e) => Judgement::Blind(
            "the server knows no such connection: whether it came to it under another address is seen there only",
        ),
        Ending::Reset { from: Side::Client } if of_client(e).any(|reset| nearer(e, &reset.value)) => {
            Judgement::Blind("a translator that forgot the connection and a filter reset alike")
        }
        _ => Judgement::Absent,
    }
}

/// The hello was answered by a reset as a host sends it that has no such connection (RFC 9293 section 3.10.7.1); a
/// program that closes sends its own with ACK.
fn unknown_to_the_server(e: &Evidence) -> bool {
    let reset = e.tcp.resets.iter().find(|reset| reset.value.from == Side::Server);
    e.stage == Stage::ClientHello
        && e.tcp.bytes.server == 0
        && e.tcp.syn_ack.is_some()
        && reset.is_some_and(|reset| !reset.value.ack)
}

/// Resets in the client's name.
fn of_client(e: &Evidence) -> impl Iterator<Item = &Seen<Reset>> {
    e.tcp.resets.iter().filter(|reset| reset.value.from == Side::Client)
}

/// The same bytes under another client address.
fn elsewhere(e: &Evidence) -> Option<Finding> {
    let other = e.around.other_address.as_ref()?;
    let (ours, theirs) = (e.client.addr, other.value.addr);
    Some(if ours.is_private() && !theirs.is_private() {
        Finding::new(
            Certainty::Proven,
            "untranslated_leak",
            Party::Path,
            &other.at,
            format!("the same connection was seen from {theirs}: {ours} left the gateway untranslated"),
        )
    } else {
        Finding::new(
            Certainty::Inferred,
            "mapping_lost",
            Party::Path,
            &other.at,
            format!("the same connection was seen from {}, and from {}", other.value, e.client),
        )
    })
}

/// A SYN/ACK from an address that was not asked.
fn hairpin(e: &Evidence) -> Option<Finding> {
    let stray = e.around.stray_syn_ack.as_ref()?;
    if e.tcp.syn_ack.is_some() {
        return None;
    }
    let says = format!("a SYN/ACK that fits this SYN came from {}, not from {}", stray.value, e.server);
    let finding = Finding::new(Certainty::Proven, "hairpin", Party::Path, &stray.at, says);
    Some(match &e.tcp.syn {
        Some(syn) => finding.and(&syn.at, "the SYN"),
        None => finding,
    })
}

/// The SYN/ACK went to another host, which reset it, and the client asks on.
fn port_reuse(e: &Evidence) -> Option<Finding> {
    let syn = e.tcp.syn.as_ref()?;
    let asked = format!("the client asked {} times", e.tcp.syns);
    if let Some(astray) = &e.around.astray
        && e.tcp.syn_ack.is_none()
    {
        let says = format!("the SYN/ACK that answers this SYN went to {}, which reset it", astray.value);
        return Some(
            Finding::new(Certainty::Inferred, "port_reuse", Party::Path, &astray.at, says).and(&syn.at, asked),
        );
    }
    // Who sent a SYN does not reset its answer and ask again: another did, whose way here is as long or shorter.
    let reset = of_client(e).find(|reset| e.tcp.last_syn.is_some_and(|last| last > reset.when))?;
    if e.hello.is_some() || e.tcp.syns < 2 || e.tcp.syn_acks < 2 || !e.tcp.syn_rich {
        return None;
    }
    let says = "the SYN/ACK was reset in the name of the client, which asked again";
    Some(
        Finding::new(Certainty::Suspected, "port_reuse", Party::Path, &reset.at, says).and(&syn.at, asked),
    )
}

/// It came from nearer than the client, as from a translator on the way to it.
fn nearer(e: &Evidence, reset: &Reset) -> bool {
    let other_ttl = reset.doubts.iter().any(|doubt| matches!(doubt.value, Doubt::Ttl(..)));
    other_ttl && e.tcp.ttl.client.is_some_and(|ttl| reset.nearer_than(ttl))
}

/// The server was reset in the client's name by the translator.
///
/// A translator that forgot the connection has no socket for what the server sends, and resets it as every host does: it
/// answers, with the sequence number that was asked for, from nearer than the client. It does so to a bare
/// acknowledgment too, in which no filter finds anything to refuse.
fn lost(e: &Evidence) -> Option<Finding> {
    let hello = e.hello.as_ref()?;
    let behind = || of_client(e).filter(|reset| reset.at.first() > hello.at.first());
    // Where the client's own host answers as well, it was reached: nothing was forgotten.
    if behind().any(|reset| !nearer(e, &reset.value)) {
        return None;
    }
    let reset = behind().next()?;
    let payload = reset.value.answers?;
    let heard = e.client_key_exchange.is_some()
        || e.sealing.finished.client.is_some()
        || e.tcp.acked.client.is_some_and(|acked| acked > 0);
    // A certificate in clear is a thing to refuse.
    if heard || payload > 0 && matches!(e.chain, Chain::Clear(_) | Chain::Cut(_)) {
        return None;
    }
    let (certainty, what) = match payload {
        0 if reset.value.ip_id.unwrap_or(0) == 0 => (Certainty::Inferred, "bare acknowledgment"),
        0 => (Certainty::Suspected, "bare acknowledgment"),
        _ => (Certainty::Suspected, "flight"),
    };
    let says = format!("the server's {what} was answered by a reset in the client's name from nearer than the client");
    let mut finding = Finding::new(certainty, "mapping_lost", Party::Path, &reset.at, says);
    if let Some(again) = &e.tcp.repeats.server {
        finding = finding.and(&again.at, format!("the server sent its flight again {} times", again.value));
    }
    Some(finding)
}

/// The server does not hear that it was heard.
fn asymmetric(e: &Evidence) -> Option<Finding> {
    let established = e.tcp.established.as_ref()?;
    let syn_ack = e.tcp.syn_ack.as_ref()?;
    let late = syn_ack.at.last() > established.at.first();
    let heard = e.tcp.acked.server.is_some_and(|acked| acked > 0) || e.tcp.bytes.server > 0;
    if e.tcp.syn_acks < 2 || !late || heard {
        return None;
    }
    Some(
        Finding::new(
            Certainty::Suspected,
            "asymmetric",
            Party::Path,
            &syn_ack.at,
            format!("the server sent its SYN/ACK {} times", e.tcp.syn_acks),
        )
        .and(&established.at, "although the client had acknowledged it"),
    )
}

/// The SYN answered with an acknowledgment of another connection, which the client resets.
///
/// A host does so that has a connection with these addresses and ports, open or not long closed (RFC 9293 sections
/// 3.10.7.4 and 3.6.1, RFC 5961 section 4). Behind a translator another client may have had it; or the client itself. One
/// that has just been closed makes way for a SYN whose timestamp is newer (RFC 6191): an older one is another host's.
fn challenged(e: &Evidence) -> Option<Finding> {
    let (syn, challenge) = (e.tcp.syn.as_ref()?, e.tcp.challenge.as_ref()?);
    let reset = of_client(e).find(|reset| reset.value.seq == challenge.value.asks)?;
    if e.tcp.syn_ack.is_some() {
        return None;
    }
    let says = "the server answered the SYN with an acknowledgment of another connection on these ports";
    let (certainty, reason, party) = match challenge.value.ahead {
        Some(ahead) if ahead > OLDER => (Certainty::Inferred, "paws_drop", Party::Path),
        _ => (Certainty::Suspected, "port_reuse", Party::Path),
    };
    let (earlier, certainty) = match crossing::handed_on(e, challenge.value.asks) {
        Some(earlier) => (Some(earlier), Certainty::Proven),
        None => (None, certainty),
    };
    let finding = Finding::new(certainty, reason, party, &challenge.at, says);
    let finding = match earlier {
        Some(earlier) => finding.and(earlier, "the gateway had given that connection of another client the same port"),
        None => finding,
    };
    let finding = match challenge.value.ahead {
        Some(ahead) if ahead > OLDER => {
            let says = format!("that connection's timestamps are {ahead} ahead of the SYN's: another host's");
            finding.and(&challenge.at, says)
        }
        _ => finding,
    };
    Some(finding.and(&reset.at, "which the client reset").and(&syn.at, "the SYN"))
}

/// A timestamp so far behind is another clock's.
const OLDER: Span = Span::from_secs(1);

/// SYNs of clients whose timestamp clocks are behind that of another behind the same address (RFC 7323 section 5): servers
/// that remember one clock an address drop them, as Linux before 4.12 did with `tcp_tw_recycle`.
fn paws(e: &Evidence) -> Option<Finding> {
    let (syn, behind) = (e.tcp.syn.as_ref()?, e.around.clock_behind.as_ref()?);
    let Ending::Silence { lasted } = e.ending.value else { return None };
    let cite = Cite::Silence { after: syn.at.clone(), lasted };
    let finding =
        Finding::new(Certainty::Suspected, "paws_drop", Party::Server, cite, "the SYNs met no answer");
    let says = format!(
        "within a minute the server took one of the same address whose timestamp clock is {} ahead, as of all that it dropped",
        behind.value
    );
    Some(finding.and(&behind.at, says))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Addr, Endpoint, PacketNo, Packets};
    use crate::evidence::Challenge;
    use crate::evidence::fixture::{
        CLIENT, START, alert, answered, certificate, ends, greeted, reset, seen, shown, syn,
    };
    use crate::tls::codes::Version;

    fn found(e: &Evidence) -> (Certainty, &'static str) {
        match judge(e) {
            Judgement::Found(finding) => (finding.certainty, finding.reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_private_address_outside_is_proof() {
        let mut e = reset(greeted(), Side::Server, &[]);
        e.around.other_address = Some(seen(Endpoint { addr: Addr::v4([198, 51, 100, 1]), port: 7 }, 2, 0));
        assert_eq!(found(&e), (Certainty::Proven, "untranslated_leak"));
    }

    #[test]
    fn two_translations_of_one_connection_mean_a_lost_mapping() {
        let mut e = reset(greeted(), Side::Server, &[]);
        e.client.addr = Addr::v4([198, 51, 100, 1]);
        e.around.other_address = Some(seen(Endpoint { port: 7, ..e.client }, 2, 0));
        assert_eq!(found(&e), (Certainty::Inferred, "mapping_lost"));
    }

    #[test]
    fn an_answer_from_another_address_is_a_hairpin() {
        let mut e = syn(3);
        e.around.stray_syn_ack = Some(seen(Endpoint { port: 443, ..CLIENT }, 2, 1));
        assert_eq!(found(&e), (Certainty::Proven, "hairpin"));
    }

    /// The server's segment with this payload is answered by a reset in the client's name.
    fn answers(e: Evidence, ttl: u8, payload: Option<u32>) -> Evidence {
        let mut e = reset(e, Side::Client, &[Doubt::Ttl(ttl, 53)]);
        e.tcp.ttl.client = Some((53, 53));
        e.tcp.resets[0].value.answers = payload;
        e
    }

    #[test]
    fn an_acknowledgment_reset_by_the_gateway_means_a_lost_mapping() {
        assert_eq!(found(&answers(greeted(), 54, Some(0))), (Certainty::Inferred, "mapping_lost"));
        let windows = answers(greeted(), 118, Some(0));
        assert_eq!(found(&windows), (Certainty::Inferred, "mapping_lost"), "one router fewer, whatever it began with");
    }

    #[test]
    fn a_flight_reset_from_nearer_may_have_been_refused_for_what_it_says() {
        assert_eq!(found(&answers(answered(Version::TLS13), 54, Some(1_400))), (Certainty::Suspected, "mapping_lost"));
        let clear = shown(answered(Version::TLS12), certificate("a.test", &["a.test"]), &[]);
        assert!(matches!(judge(&answers(clear, 54, Some(1_400))), Judgement::Blind(_)));
    }

    #[test]
    fn a_translator_is_on_the_way_and_does_not_speak_unasked() {
        let unasked = answers(greeted(), 54, None);
        assert!(!matches!(judge(&unasked), Judgement::Found(_)), "it was forged");
        let farther = answers(greeted(), 40, Some(0));
        assert_eq!(judge(&farther), Judgement::Absent);
        let mut both = answers(greeted(), 54, Some(0));
        both.tcp.resets.extend(reset(greeted(), Side::Client, &[]).tcp.resets.clone());
        assert!(!matches!(judge(&both), Judgement::Found(_)), "the client's own host answers too");
    }

    #[test]
    fn syn_acks_reset_while_the_client_asks_on_mean_a_reused_port() {
        let mut e = reset(syn(3), Side::Client, &[]);
        e.tcp.syn_ack = Some(seen(5, 2, 1));
        e.tcp.syn_acks = 1;
        assert!(!matches!(judge(&e), Judgement::Found(_)), "the SYN may be a copy");
        e.tcp.syn_acks = 2;
        assert_eq!(found(&e), (Certainty::Suspected, "port_reuse"));
        e.tcp.last_syn = Some(START);
        assert!(!matches!(judge(&e), Judgement::Found(_)), "it was killed while it waited");
    }

    #[test]
    fn a_syn_ack_that_another_host_resets_went_to_a_reused_port() {
        let mut e = syn(3);
        e.around.astray = Some(seen(Endpoint { addr: Addr::v4([10, 0, 0, 8]), port: 50_000 }, 2, 1));
        assert_eq!(found(&e), (Certainty::Inferred, "port_reuse"));
    }

    #[test]
    fn a_bare_reset_of_the_hello_is_of_a_server_that_knows_no_such_connection() {
        let mut e = reset(greeted(), Side::Server, &[]);
        assert!(matches!(judge(&e), Judgement::Blind(_)));
        e.tcp.resets[0].value.ack = true;
        assert_eq!(judge(&e), Judgement::Absent, "a program closed it");
    }

    #[test]
    fn syn_acks_repeated_behind_the_acknowledgment_are_asymmetric() {
        let mut e = greeted();
        e.tcp.syn_acks = 3;
        let at: Packets = [2, 6, 7].map(PacketNo).into_iter().collect();
        e.tcp.syn_ack = Some(Seen { at, ..seen(5000, 2, 20) });
        assert_eq!(found(&e), (Certainty::Suspected, "asymmetric"));
        e.tcp.acked.server = Some(517);
        assert!(matches!(judge(&e), Judgement::Blind(_)));
    }

    #[test]
    fn a_syn_that_is_answered_for_another_connection() {
        let mut e = reset(syn(2), Side::Client, &[]);
        let challenge = Challenge { asks: 777, ahead: None };
        e.tcp.challenge = Some(seen(challenge, 2, 20));
        assert!(!matches!(judge(&e), Judgement::Found(_)), "what the client reset is something else");
        e.tcp.resets[0].value.seq = 777;
        assert_eq!(found(&e), (Certainty::Suspected, "port_reuse"));
        for (millis, reason) in [(-400_000, "port_reuse"), (90_000_000, "paws_drop")] {
            let ahead = Some(Span::from_millis(millis));
            e.tcp.challenge = Some(seen(Challenge { ahead, ..challenge }, 2, 20));
            assert_eq!(found(&e).1, reason);
        }
        assert_eq!(found(&e).0, Certainty::Inferred);
        e.tcp.syn_ack = Some(seen(5, 3, 30));
        assert!(!matches!(judge(&e), Judgement::Found(_)), "it was answered too");
    }

    #[test]
    fn clocks_that_are_all_behind_mean_paws() {
        let mut e = syn(3);
        e.around.clock_behind = Some(seen(Span::from_secs(4), 20, 9_000));
        assert_eq!(found(&e), (Certainty::Suspected, "paws_drop"));
    }

    #[test]
    fn plain_silence_cannot_be_told_from_a_firewall() {
        assert_eq!(judge(&syn(3)), Judgement::Blind(ONE_POINT));
    }

    #[test]
    fn absent_where_a_peer_spoke_last() {
        assert_eq!(judge(&alert(greeted(), Side::Server, 40)), Judgement::Absent);
        let mut e = greeted();
        ends(&mut e, Ending::Fin { from: Side::Server }, 5, 41);
        assert_eq!(judge(&e), Judgement::Absent);
    }
}
