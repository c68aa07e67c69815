//! A policy on the path ended it: a packet filter, an inspecting middlebox, or a link that swallows
//! large packets.
//!
//! # Symptoms
//!
//! Connections time out or are reset for some users, networks or host names only, and work from
//! elsewhere; the server's log shows nothing at all, or a connection that never said a word.
//! `connection reset by peer`, `SSL_ERROR_SYSCALL`, `Connection timed out`, `No route to host`.
//! Where only browsers with a post-quantum key share fail, look for `mtu_black_hole`.
//!
//! # On the wire
//!
//! - A SYN that is sent again and again and never answered: `syn_dropped`.
//! - A RST/ACK to the SYN: `port_closed`, or `syn_reset` where it contradicts the server it names.
//! - ICMP 3/9, 3/10 or 3/13 (ICMPv6 1/1, 1/5, 1/6) that quotes the connection: `icmp_prohibited`,
//!   the only open word of a filter. Other unreachable codes name a router, not a policy.
//! - A reset right after the ClientHello, from a nearer hop than the server (other TTL), sooner than
//!   the round trip, or from another link address: `reset_after_hello`. Where the real server goes
//!   on speaking behind the reset, it was forged: `injected_reset`.
//! - A ClientHello sent again without an acknowledgment although the connection was set up:
//!   `dropped_after_hello`. A FIN or reset of the server that still acknowledges none of it says
//!   that the hello never arrived.
//! - Large segments missing while small ones pass, in either direction: `mtu_black_hole`.
//!
//! IP-ID 0, window 0 and a missing timestamp prove nothing: every closed Linux socket resets so.
//! From one capture point a drop by a firewall looks like loss and like a forgotten translation.
//!
//! # Remedy
//!
//! Capture on both sides of the suspected device. What enters and does not leave names the culprit.
//! Then allow the flow, or have the policy answer with ICMP 3/13 so that failures explain themselves.
//!
//! # References
//!
//! - RFC 792, RFC 1812 section 5.2.7.1 and RFC 4443 section 3.1: unreachable, and its codes.
//! - RFC 9293 section 3.10: resets. RFC 3360: resets by firewalls considered harmful.
//! - RFC 4821, RFC 8899: path MTU discovery that needs no ICMP. RFC 2923: black holes.
//! - Weaver, Sommer, Paxson: Detecting Forged TCP Reset Packets, NDSS 2009.
//! - Sundara Raman et al.: Global, Passive Detection of Connection Tampering, SIGCOMM 2023.

use super::{Certainty, Finding, Judgement, Party, Reason};
use crate::base::{Cite, Packets, Seen, Side, Span};
use crate::evidence::{Doubt, Ending, Evidence, Reset, Stage};

/// The reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        word: "syn_dropped",
        remedy: "Nothing answered the SYN. Find out where it stops: at a filter, at a dead host, or at a route that does not lead back.",
        steps: &[
            "Capture at the server's interface: does the SYN arrive, does a SYN/ACK leave?",
            "Trace the path on the same port: tcptraceroute -n HOST PORT.",
            "Allow the client's network to the port in host firewall, security group and edge filter.",
        ],
    },
    Reason {
        word: "syn_reset",
        remedy: "The SYN was reset by something that is not the server. Find the device that rejects the port and let the flow through.",
        steps: &[
            "Compare the reset's TTL with that of other packets from the server: the difference counts the hops.",
            "Look for reject-with tcp-reset rules on devices that many hops away.",
            "Allow the flow there and try again.",
        ],
    },
    Reason {
        word: "icmp_prohibited",
        remedy: "A router said that policy forbids the connection. Its address is the ICMP error's source: change the rule there.",
        steps: &[
            "Read the source address of the cited ICMP error: that is the device.",
            "Find its rule for this client, server and port.",
            "Allow the flow, or tell the client's owner that it is meant to be closed.",
        ],
    },
    Reason {
        word: "reset_after_hello",
        remedy: "The connection was reset as the ClientHello passed: something read the host name or the fingerprint and refused it.",
        steps: &[
            "Try the same server with another host name: openssl s_client -connect HOST:443 -servername example.org.",
            "Ask the owners of inspecting devices on the path for their log of the host name.",
            "Exempt the host name or its category from the block.",
        ],
    },
    Reason {
        word: "dropped_after_hello",
        remedy: "The connection was set up, and the ClientHello never got through. Look for a device that inspects host names, or one that lost the connection's state.",
        steps: &[
            "Capture on the server's side: is the hello there?",
            "Try another host name, and a smaller hello (curl --curves X25519): which one passes?",
            "Allow the host name, or mend the state table or the MTU accordingly.",
        ],
    },
    Reason {
        word: "injected_reset",
        remedy: "The reset was forged: the side whose address it bears went on speaking, or several traits contradict it. Find the device that injects.",
        steps: &[
            "Count hops by the reset's TTL to place the injector.",
            "Ask the owners of intrusion prevention, web filters and carrier boxes at that distance for their logs.",
            "Exempt the flow; as a last resort take another path (VPN).",
        ],
    },
    Reason {
        word: "mtu_black_hole",
        remedy: "Full-size packets vanish while small ones pass: the path's MTU is smaller than both ends believe, and the ICMP that would say so is filtered.",
        steps: &[
            "Measure: ping -M do -s 1472 HOST, then smaller until it passes.",
            "Let ICMP 3/4 and ICMPv6 type 2 through every filter on the path.",
            "Clamp the MSS at the tunnel or PPPoE end (iptables --clamp-mss-to-pmtu), or lower the interface MTU.",
            "As a stopgap on Linux hosts: sysctl net.ipv4.tcp_mtu_probing=1.",
        ],
    },
    Reason {
        word: "port_closed",
        remedy: "The address refuses the port: nobody listens there, or a filter in front of it rejects as a closed port would.",
        steps: &[
            "On the server: ss -ltnp | grep :PORT. Start the service if nothing listens.",
            "If it listens, check that it is bound to this address, not to 127.0.0.1 alone.",
            "If it listens here, look for reject rules in the host firewall and load balancer.",
        ],
    },
    Reason {
        word: "intercepted",
        remedy: "A middlebox answers in the server's place with a certificate of its own. Trust its authority on the client, or exempt the host from inspection.",
        steps: &[
            "Compare the issuer that the client sees with the one seen from elsewhere.",
            "Install the inspecting device's root on clients that are meant to be inspected.",
            "Exempt hosts with pinned or client certificates from inspection.",
        ],
    },
];

/// Longer than this, a packet may not fit a tunnel's MTU: the least MTU of IPv6 less its headers.
const LARGE: u32 = 1_200;
/// A reset later than this after the ClientHello does not answer it.
const PROMPT: Span = Span::from_secs(2);

/// Judges.
pub fn judge(e: &Evidence) -> Judgement {
    if e.stage == Stage::Dns
        || e.fatal_alert().is_some()
        || matches!(e.ending.value, Ending::SealedAlert { .. })
    {
        return Judgement::Absent;
    }
    if let Some(finding) = prohibited(e) {
        return Judgement::Found(finding);
    }
    if e.tcp.syn.is_some() && e.tcp.syn_ack.is_none() && e.hello.is_none() {
        return unconnected(e);
    }
    if let Some(finding) = doubted_reset(e) {
        return Judgement::Found(finding);
    }
    if let Some(finding) = black_hole(e) {
        return Judgement::Found(finding);
    }
    let Some(hello) = &e.hello else { return Judgement::Absent };
    if e.stage > Stage::ClientHello || e.retry.is_some() || e.tcp.bytes.server > 0 {
        return match e.ending.value {
            Ending::Silence { .. } => {
                Judgement::Blind("one capture point cannot tell a filter's drop from loss")
            }
            _ => Judgement::Absent,
        };
    }
    let unacknowledged = e.tcp.acked.server.unwrap_or(0) == 0;
    match &e.ending.value {
        Ending::Reset { from: Side::Server } if unacknowledged && repeats(e).is_some() => {
            Judgement::Found(never_arrived(e, hello.at.clone()))
        }
        Ending::Fin { from: Side::Server } if e.tcp.acked.server == Some(0) => {
            Judgement::Found(never_arrived(e, hello.at.clone()))
        }
        Ending::Reset { from: Side::Server } if e.ending.when - hello.when < PROMPT => {
            match &e.around.server_completes {
                Some(other) => Judgement::Found(
                    Finding::new(
                        Certainty::Suspected,
                        "reset_after_hello",
                        Party::Path,
                        &e.ending.at,
                        "the connection was reset right after the ClientHello",
                    )
                    .and(&other.at, "the same server completes other handshakes"),
                ),
                None => Judgement::Absent,
            }
        }
        Ending::Silence { lasted } if unacknowledged => {
            let after = repeats(e).map_or_else(|| hello.at.clone(), |again| hello.at.clone().and(&again.at));
            let finding = Finding::new(
                Certainty::Suspected,
                "dropped_after_hello",
                Party::Path,
                Cite::Silence { after, lasted: *lasted },
                format!("the connection was set up, and the ClientHello was never acknowledged in {lasted}"),
            );
            // Without a repeat even a capture that sees one direction only would look so.
            if e.tcp.syn_ack.is_some() && repeats(e).is_some_and(|again| again.value >= 2) {
                Judgement::Found(finding)
            } else {
                Judgement::Blind("one capture point cannot tell a filter's drop from loss")
            }
        }
        _ => Judgement::Absent,
    }
}

fn repeats(e: &Evidence) -> Option<&Seen<u32>> {
    e.tcp.repeats.client.as_ref()
}

/// The server closed and acknowledged none of the hello.
fn never_arrived(e: &Evidence, hello: Packets) -> Finding {
    Finding::new(
        Certainty::Inferred,
        "dropped_after_hello",
        Party::Path,
        &e.ending.at,
        "the server ended the connection and had acknowledged no byte of the ClientHello",
    )
    .and(hello, "the ClientHello that did not arrive")
}

/// An ICMP error that names a policy.
fn prohibited(e: &Evidence) -> Option<Finding> {
    // Once TLS was spoken to the end of the hello's answer, the path was open.
    let heeded = e.stage <= Stage::ClientHello && e.tcp.bytes.server == 0;
    if !heeded {
        return None;
    }
    let by_policy = |v6: bool, kind: u8, code: u8| match (v6, kind) {
        (false, 3) => matches!(code, 9 | 10 | 13),
        (true, 1) => matches!(code, 1 | 5 | 6),
        _ => false,
    };
    let unreachable = |v6: bool, kind: u8, code: u8| if v6 { kind == 1 } else { kind == 3 && code != 4 };
    let said = |seen: &&Seen<crate::decode::IcmpError>, test: &dyn Fn(bool, u8, u8) -> bool| {
        test(seen.value.v6, seen.value.kind, seen.value.code)
    };
    let policy = e.tcp.icmp.iter().find(|seen| said(seen, &by_policy));
    let any = policy.or_else(|| e.tcp.icmp.iter().find(|seen| said(seen, &unreachable)))?;
    let error = &any.value;
    let words = format!(
        "{} says by ICMP{} {}/{} that the connection is {}",
        error.hop.src,
        if error.v6 { "v6" } else { "" },
        error.kind,
        error.code,
        if policy.is_some() { "prohibited by policy" } else { "unreachable" },
    );
    let port = matches!((error.v6, error.kind, error.code), (false, 3, 3) | (true, 1, 4));
    Some(if policy.is_some() {
        Finding::new(Certainty::Proven, "icmp_prohibited", Party::Path, &any.at, words)
    } else if port && error.hop.src == e.server.addr {
        // A TCP host answers a closed port with a reset; ICMP port unreachable is what REJECT sends.
        Finding::new(Certainty::Inferred, "icmp_prohibited", Party::Server, &any.at, words)
    } else if port {
        Finding::new(Certainty::Inferred, "icmp_prohibited", Party::Path, &any.at, words)
    } else {
        Finding::new(Certainty::Suspected, "icmp_prohibited", Party::Path, &any.at, words)
    })
}

/// SYNs without a SYN/ACK.
fn unconnected(e: &Evidence) -> Judgement {
    let Some(syn) = &e.tcp.syn else { return Judgement::Absent };
    if e.around.stray_syn_ack.is_some() {
        return Judgement::Absent; // an answer did come, from elsewhere
    }
    if let Some(reset) = e.tcp.resets.iter().find(|reset| reset.value.from == Side::Server) {
        if let Some(doubt) = reset.value.doubts.first() {
            let certainty = if doubts(&reset.value) >= 2 { Certainty::Proven } else { Certainty::Inferred };
            return Judgement::Found(
                Finding::new(
                    certainty,
                    "syn_reset",
                    Party::Path,
                    &reset.at,
                    "the SYN was answered by a reset",
                )
                .and(&doubt.at, spell(doubt.value)),
            );
        }
        return Judgement::Found(
            Finding::new(
                Certainty::Suspected,
                "port_closed",
                Party::Server,
                &reset.at,
                format!("{} refused the connection with a reset", e.server),
            )
            .and(&syn.at, "the SYN that was refused"),
        );
    }
    match e.ending.value {
        Ending::Silence { lasted } if e.tcp.syns >= 2 => Judgement::Found(Finding::new(
            Certainty::Suspected,
            "syn_dropped",
            Party::Path,
            Cite::Silence { after: syn.at.clone(), lasted },
            format!("{} SYNs, and nothing answered in {lasted}", e.tcp.syns),
        )),
        _ => Judgement::Blind("one unanswered SYN may have been lost by chance"),
    }
}

/// Kinds of doubt about a reset; each kind counts once.
fn doubts(reset: &Reset) -> usize {
    let has = |test: fn(&Doubt) -> bool| usize::from(reset.doubts.iter().any(|doubt| test(&doubt.value)));
    // A filter on the same router changes TTL and link address together: the two are one witness.
    has(|doubt| matches!(doubt, Doubt::Ttl(..) | Doubt::LinkAddress))
        + has(|doubt| matches!(doubt, Doubt::TooSoon(..)))
        + has(|doubt| matches!(doubt, Doubt::SenderWentOn))
        + has(|doubt| matches!(doubt, Doubt::BehindSequence))
}

fn spell(doubt: Doubt) -> String {
    match doubt {
        Doubt::Ttl(ttl, usual) => format!("the reset's TTL is {ttl}, its alleged sender's {usual}"),
        Doubt::LinkAddress => {
            "the reset came from another link address than its alleged sender's packets".to_owned()
        }
        Doubt::TooSoon(took, rtt) => format!("the reset came after {took}, the path's round trip is {rtt}"),
        Doubt::SenderWentOn => "the alleged sender went on speaking behind the reset".to_owned(),
        Doubt::BehindSequence => {
            "the alleged sender had already sent beyond the reset's sequence number".to_owned()
        }
    }
}

/// A reset that something contradicts.
fn doubted_reset(e: &Evidence) -> Option<Finding> {
    let hello = e.hello.as_ref()?;
    let Ending::Reset { .. } = e.ending.value else { return None };
    let reset = e
        .tcp
        .resets
        .iter()
        .filter(|reset| reset.at.first() > hello.at.first())
        .max_by_key(|reset| doubts(&reset.value))?;
    let has = |test: fn(&Doubt) -> bool| reset.value.doubts.iter().any(|doubt| test(&doubt.value));
    let near = has(|doubt| matches!(doubt, Doubt::Ttl(..) | Doubt::LinkAddress));
    let soon = has(|doubt| matches!(doubt, Doubt::TooSoon(..)));
    let went_on = has(|doubt| matches!(doubt, Doubt::SenderWentOn));
    let certainty = match doubts(&reset.value) {
        0 => return None,
        1 if near || soon => Certainty::Inferred,
        1 => Certainty::Suspected,
        // Reordering can put a packet behind a reset that carries a sequence number it passed.
        _ if near || soon => Certainty::Proven,
        _ => Certainty::Inferred,
    };
    // A translator that forgot the connection resets the server in the client's name: nat_drop too.
    let certainty =
        if reset.value.from == Side::Client { certainty.min(Certainty::Suspected) } else { certainty };
    let reason = if went_on { "injected_reset" } else { "reset_after_hello" };
    let says = format!("the connection was reset in the name of the {}", reset.value.from);
    let mut finding = Finding::new(certainty, reason, Party::Path, &reset.at, says);
    for doubt in &reset.value.doubts {
        finding = finding.and(&doubt.at, spell(doubt.value));
    }
    Some(finding)
}

/// Large segments vanish, small ones pass.
fn black_hole(e: &Evidence) -> Option<Finding> {
    if !matches!(e.ending.value, Ending::Silence { .. } | Ending::Fin { .. } | Ending::Reset { .. }) {
        return None;
    }
    if e.stage > Stage::ServerHello {
        return None;
    }
    // The tail of the server's flight came, its first bytes never did, and nobody acknowledged them.
    if let Some(hole) = &e.tcp.hole.server
        && e.tcp.unseen.server == 0
        && hole.value == 0
        && e.server_hello.is_none()
    {
        return Some(Finding::new(
            Certainty::Inferred,
            "mtu_black_hole",
            Party::Path,
            &hole.at,
            "the tail of the server's flight arrived, its first full segments never did",
        ));
    }
    let hello = e.hello.as_ref()?;
    let again = repeats(e)?;
    let large = e.tcp.largest.client >= LARGE && e.tcp.bytes.client > u64::from(e.tcp.largest.client);
    if !large || e.tcp.bytes.server > 0 || e.tcp.acked.server.unwrap_or(0) > 0 || again.value < 2 {
        return None;
    }
    let size = e.tcp.bytes.client;
    let largest = e.tcp.largest.client;
    let says = format!(
        "the ClientHello takes {size} bytes in segments of up to {largest}; the first was never acknowledged"
    );
    let finding = Finding::new(Certainty::Suspected, "mtu_black_hole", Party::Path, &hello.at, says)
        .and(&again.at, format!("sent again {} times", again.value));
    Some(match &e.around.server_completes {
        Some(other) => {
            let mut finding = finding.and(&other.at, "the same server completes other handshakes");
            finding.certainty = Certainty::Inferred;
            finding
        }
        None => finding,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{alert, connected, ends, greeted, icmp, resent, reset, seen, syn};

    fn found(e: &Evidence) -> (Certainty, &'static str) {
        match judge(e) {
            Judgement::Found(finding) => (finding.certainty, finding.reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_administrative_prohibition_is_proof() {
        assert_eq!(found(&icmp(syn(2), false, 3, 13)), (Certainty::Proven, "icmp_prohibited"));
        assert_eq!(found(&icmp(syn(1), true, 1, 1)), (Certainty::Proven, "icmp_prohibited"));
    }

    #[test]
    fn another_unreachable_code_is_no_proof() {
        assert_eq!(found(&icmp(syn(2), false, 3, 3)), (Certainty::Inferred, "icmp_prohibited"));
        assert_eq!(found(&icmp(syn(2), false, 3, 1)), (Certainty::Suspected, "icmp_prohibited"));
    }

    #[test]
    fn fragmentation_needed_is_no_prohibition() {
        assert_eq!(found(&icmp(syn(3), false, 3, 4)), (Certainty::Suspected, "syn_dropped"));
    }

    #[test]
    fn unanswered_syns_are_suspected_drops() {
        assert_eq!(found(&syn(3)), (Certainty::Suspected, "syn_dropped"));
        assert!(matches!(judge(&syn(1)), Judgement::Blind(_)));
    }

    #[test]
    fn a_refused_syn_is_a_closed_port_unless_doubted() {
        assert_eq!(found(&reset(syn(1), Side::Server, &[])), (Certainty::Suspected, "port_closed"));
        let doubted = reset(syn(1), Side::Server, &[Doubt::LinkAddress]);
        assert_eq!(found(&doubted), (Certainty::Inferred, "syn_reset"));
    }

    #[test]
    fn two_independent_doubts_prove_an_injection() {
        let e = reset(greeted(), Side::Server, &[Doubt::Ttl(64, 55), Doubt::SenderWentOn]);
        assert_eq!(found(&e), (Certainty::Proven, "injected_reset"));
        let soon = Doubt::TooSoon(Span(71), Span::from_millis(20));
        let e = reset(greeted(), Side::Server, &[Doubt::Ttl(64, 55), soon]);
        assert_eq!(found(&e), (Certainty::Proven, "reset_after_hello"));
    }

    #[test]
    fn ttl_and_link_address_are_one_witness() {
        let e = reset(greeted(), Side::Server, &[Doubt::Ttl(64, 55), Doubt::LinkAddress]);
        assert_eq!(found(&e), (Certainty::Inferred, "reset_after_hello"));
    }

    #[test]
    fn a_reset_in_the_clients_name_is_only_suspected() {
        let e = reset(greeted(), Side::Client, &[Doubt::Ttl(63, 64), Doubt::SenderWentOn]);
        assert_eq!(found(&e), (Certainty::Suspected, "injected_reset"));
    }

    #[test]
    fn a_plain_reset_by_the_server_is_no_firewall() {
        assert_eq!(judge(&reset(greeted(), Side::Server, &[])), Judgement::Absent);
    }

    #[test]
    fn a_plain_reset_is_suspected_where_the_server_serves_others() {
        let mut e = reset(greeted(), Side::Server, &[]);
        e.around.server_completes = Some(seen((), 1, 0));
        assert_eq!(found(&e), (Certainty::Suspected, "reset_after_hello"));
    }

    #[test]
    fn a_hello_resent_in_vain_was_dropped_as_far_as_seen() {
        assert_eq!(found(&resent(greeted(), 4)), (Certainty::Suspected, "dropped_after_hello"));
    }

    #[test]
    fn a_late_fin_that_acknowledges_nothing_shows_that_the_hello_never_arrived() {
        let mut e = resent(greeted(), 4);
        e.tcp.acked.server = Some(0);
        ends(&mut e, Ending::Fin { from: Side::Server }, 20, 60_000);
        assert_eq!(found(&e), (Certainty::Inferred, "dropped_after_hello"));
    }

    #[test]
    fn a_fin_that_acknowledges_the_hello_is_the_servers_word() {
        let mut e = greeted();
        e.tcp.acked.server = Some(517);
        ends(&mut e, Ending::Fin { from: Side::Server }, 5, 41);
        assert_eq!(judge(&e), Judgement::Absent);
    }

    #[test]
    fn a_large_hello_that_never_passes_is_a_black_hole() {
        let mut e = resent(greeted(), 4);
        e.tcp.bytes.client = 1_750;
        e.tcp.largest.client = 1_448;
        assert_eq!(found(&e), (Certainty::Suspected, "mtu_black_hole"));
        e.around.server_completes = Some(seen((), 1, 0));
        assert_eq!(found(&e), (Certainty::Inferred, "mtu_black_hole"));
    }

    #[test]
    fn a_flight_without_its_head_is_a_black_hole() {
        let mut e = greeted();
        e.tcp.hole.server = Some(seen(0, 7, 60));
        assert_eq!(found(&e), (Certainty::Inferred, "mtu_black_hole"));
    }

    #[test]
    fn absent_where_an_alert_explains() {
        assert_eq!(judge(&alert(greeted(), Side::Client, 45)), Judgement::Absent);
        assert_eq!(judge(&alert(icmp(greeted(), false, 3, 13), Side::Server, 70)), Judgement::Absent);
    }

    #[test]
    fn absent_where_the_connection_was_only_set_up() {
        assert_eq!(judge(&connected()), Judgement::Absent);
    }
}
