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
//! - A SYN that is sent again and again and never answered: `syn_dropped`; so are SYN/ACKs sent again and again to a
//!   client that goes on asking.
//! - A RST/ACK to the SYN: `port_closed`, or `syn_reset` where other connections show that the server is farther: its
//!   packets have another TTL, and take far longer.
//! - ICMP 3/9, 3/10 or 3/13 (ICMPv6 1/1, 1/5, 1/6) that quotes the connection: `icmp_prohibited`,
//!   the only open word of a filter. Other unreachable codes name a router, not a policy.
//! - A reset right after the ClientHello, from a nearer hop than the server (other TTL), sooner than
//!   the round trip, or from another link address: `reset_after_hello`. Where the real server goes
//!   on speaking behind the reset, it was forged: `injected_reset`; however well it mimics the server, new bytes or a new
//!   acknowledgment of the server contradict it. So do several resets that guess ahead of all that was sent, and a
//!   timestamp that goes back. In the client's name it was forged where it answers nothing and the client's own host is
//!   still there, with another TTL.
//! - A ClientHello sent again without an acknowledgment although the connection was set up, while another name on the
//!   same server is answered: `dropped_after_hello`. A FIN or reset of the server that still acknowledges none of it, later
//!   than one that crossed it on the way, says that the hello never arrived.
//! - Large segments missing while small ones pass, in either direction: `mtu_black_hole`. In front of the hole one
//!   full segment is sent again and again while the receiver acknowledges what stands behind it; behind the hole the
//!   tail alone arrives. Where nothing of a large hello arrives and a small one for the same name does:
//!   `dropped_after_hello` for its size.
//!
//! - What ends three times alike while its like passes shows where a policy acts: on the name, where the client's hello with
//!   another name passes; on the SYN, where another client gets in.
//! - A certificate for just the host asked for, of an authority that inspecting products have, or of one that nobody trusts
//!   while another client is shown a trusted one, and that the client rejects: `intercepted`.
//!
//! - A proxy that says no in clear, by policy (403 or 451 to CONNECT, Squid's `ERR_ACCESS_DENIED`, SOCKS5 reply 2):
//!   `proxy_refused`; because of credentials (407, SOCKS4 replies 92 and 93): `proxy_authentication`. A 407 before the
//!   client showed any is no failure where the next try succeeds. Other codes (500, 502 to 504, SOCKS5 replies 1, 3, 4, 6)
//!   do not say what keeps the proxy from the server.
//! - In SMTP something has written over STARTTLS, in the server's list (`250-XXXXXXXA`) or in the client's command, as
//!   Cisco's inspection of ESMTP does: `starttls_stripped`, `suspected` where the client left without asking.
//!
//! Signs are weighed in one table; events tell them, with signatures of tampering, under `network`.
//! IP-ID 0, window 0 and a missing timestamp prove nothing: every closed Linux socket resets so.
//! Where the client had paused before the bytes that a reset answers, a gateway that lost the connection's state and refuses
//! what it does not know looks like a filter of names: such a reset is `inferred` at most, unless the server shows behind it
//! that it was reached.
//! A TTL alone proves little: a balancer may answer the SYN and another machine the rest.
//! From one capture point a drop by a firewall looks like loss and like a forgotten translation, and a reset by a
//! filter on the server itself like the server's own. A capture on both sides of a router shows packets with two TTLs and
//! link addresses; there neither counts.
//! Captures on both sides of it, read together (`--inside`, `--outside`), prove what was dropped or made there.
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
//! - RFC 9110 sections 9.3.6, 15.5.4 and 15.5.8 (CONNECT, 403, 407), RFC 1928 section 6 (SOCKS5).
//! - RFC 3207 section 6: removal of STARTTLS on the way.
//! - Weaver, Sommer, Paxson: Detecting Forged TCP Reset Packets, NDSS 2009.
//! - Sundara Raman et al.: Global, Passive Detection of Connection Tampering, SIGCOMM 2023.

mod black_hole;
mod contrast;
mod datagrams;
mod in_clear;
mod intercepted;

use super::culprit::{Culprit, Sign, Weighed};
use super::{Certainty, Finding, Judgement, Party, Reason, crossing};
use crate::base::{Cite, Packets, Seen, Side, Span};
use crate::evidence::tamper::{self, Forged};
use crate::evidence::{Doubt, Ending, Evidence, Reset, Stage, Transport};

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
        remedy: "The ClientHello never got through. Look for a device that inspects host names, or one that lost the connection's state.",
        steps: &[
            "Capture on the server's side: is the hello there?",
            "Try another host name, and a smaller hello (curl --curves X25519): which one passes?",
            "Allow the host name, or mend the state table or the MTU accordingly.",
            "Over QUIC or DTLS: let UDP on the server's port pass both ways, or have clients use TCP.",
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
        word: "proxy_refused",
        remedy: "The proxy does not lead there, by its own policy. Allow the host and port on the proxy, or have the client go another way.",
        steps: &[
            "Read the proxy's answer in the event, and its log of that moment.",
            "Look for the rule: host and category lists, ports that CONNECT may use (Squid's SSL_ports, tinyproxy's ConnectPort).",
            "Allow the host and the port, or exempt it from the proxy on the client (no_proxy).",
        ],
    },
    Reason {
        word: "proxy_authentication",
        remedy: "The proxy wants credentials that the client has not, or that it does not take. Set the client's user and password for the proxy.",
        steps: &[
            "See in the event whether the client showed credentials, and which schemes the proxy asks for.",
            "Set them on the client (curl --proxy-user, proxy settings of the service), or renew what has expired.",
            "Exempt programs that cannot authenticate by address or by host.",
        ],
    },
    Reason {
        word: "starttls_stripped",
        remedy: "Something between client and server removes STARTTLS, so that mail goes in clear or not at all. Find the device that inspects SMTP and let STARTTLS pass.",
        steps: &[
            "On Cisco ASA: policy-map type inspect esmtp, then allow-tls; or no inspect esmtp (PIX: no fixup protocol smtp 25).",
            "Compare what EHLO lists on the server itself with what the client sees.",
            "Have senders insist on TLS (MTA-STS, DANE), so that removal cannot pass unseen.",
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

/// Why nothing is said about plain silence.
const EVEN: &str = "one capture point cannot tell a filter's drop from a lost mapping or a dead path";
/// A reset later than this after the ClientHello does not answer it.
const PROMPT: Span = Span::from_secs(2);

pub use intercepted::hygiene;

/// Judges.
pub fn judge(e: &Evidence) -> Judgement {
    if e.transport != Transport::Tcp {
        return if ended_otherwise(e) { Judgement::Absent } else { datagrams::judge(e) };
    }
    if let Some(judgement) = in_clear::judge(e) {
        return judgement;
    }
    // What both sides of a gateway show needs no comparison with other attempts.
    let crossed = if ended_otherwise(e) { None } else { crossing::firewall(e).judged() };
    if crossed.is_none()
        && let Some(finding) = intercepted::find(e).or_else(|| contrast::find(e))
    {
        return Judgement::Found(finding);
    }
    match crossed.unwrap_or_else(|| alone(e)) {
        Judgement::Found(finding) => Judgement::Found(contrast::with(e, finding)),
        Judgement::Blind(_) if e.around.crossing.is_some() => Judgement::Blind(crossing::NEITHER),
        other => other,
    }
}

/// A lookup failed, or TLS itself said why it ends.
fn ended_otherwise(e: &Evidence) -> bool {
    e.stage == Stage::Dns
        || e.fatal_alert().is_some()
        || matches!(e.ending.value, Ending::SealedAlert { .. })
}

/// What the attempt shows by itself.
fn alone(e: &Evidence) -> Judgement {
    if ended_otherwise(e) {
        return Judgement::Absent;
    }
    if let Some(finding) = prohibited(e) {
        return Judgement::Found(finding);
    }
    if e.tcp.syn.is_some() && e.tcp.syn_ack.is_none() && e.hello.is_none() {
        return unconnected(e);
    }
    if let Some(finding) = doubted_reset(e).or_else(|| black_hole::find(e)) {
        return Judgement::Found(finding);
    }
    let Some(hello) = &e.hello else { return half_open(e) };
    if e.stage > Stage::ClientHello || e.retry.is_some() || e.tcp.bytes.server > 0 {
        return match e.ending.value {
            Ending::Reset { from: Side::Client }
                if e.tcp.resets.iter().any(|reset| !reset.value.doubts.is_empty()) =>
            {
                Judgement::Blind("a filter and a translator that forgot the connection reset alike")
            }
            Ending::Silence { .. } => {
                Judgement::Blind("one capture point cannot tell a filter's drop from loss")
            }
            _ => Judgement::Absent,
        };
    }
    let unacknowledged = e.tcp.acked.server.unwrap_or(0) == 0;
    match &e.ending.value {
        Ending::Reset { from: Side::Server } if repeats(e).is_some() && lacks_all(e) => {
            Judgement::Found(never_arrived(e, hello.at.clone()))
        }
        // A FIN that was under way already crosses the hello.
        Ending::Fin { from: Side::Server } if e.tcp.acked.server == Some(0) => {
            if e.ending.when - hello.when > crossing(e) {
                Judgement::Found(never_arrived(e, hello.at.clone()))
            } else {
                Judgement::Absent
            }
        }
        Ending::Reset { from: Side::Server } if e.ending.when - hello.when < PROMPT => {
            let reset = e.tcp.resets.iter().find(|reset| reset.value.from == Side::Server);
            let suspected =
                reset.and_then(|reset| Weighed::reset(e, &reset.value).certainty(Culprit::Firewall));
            match e.around.server_completes.as_ref().filter(|_| suspected.is_some()) {
                Some(other) => {
                    let says = "the connection was reset right after the ClientHello";
                    let finding = Finding::new(
                        Certainty::Suspected,
                        "reset_after_hello",
                        Party::Path,
                        &e.ending.at,
                        says,
                    );
                    let finding = finding.and(&other.at, "the same server completes other handshakes");
                    Judgement::Found(match &e.around.smaller_hello {
                        Some(small) => finding.and(&small.at, smaller(small.value)),
                        None => finding,
                    })
                }
                None => Judgement::Blind("a filter can reset as the server itself would"),
            }
        }
        Ending::Reset { from: Side::Server } if unacknowledged => {
            Judgement::Blind("a filter can reset as the server itself would")
        }
        Ending::Silence { .. } if !unacknowledged => {
            Judgement::Blind("the hello arrived: whether the answer was sent is seen at the server only")
        }
        Ending::Silence { lasted } => {
            let after = repeats(e).map_or_else(|| hello.at.clone(), |again| hello.at.clone().and(&again.at));
            let after = Cite::Silence { after, lasted: *lasted };
            let says =
                format!("the connection was set up, and the ClientHello was never acknowledged in {lasted}");
            silent(e, Finding::new(Certainty::Suspected, "dropped_after_hello", Party::Path, after, says))
        }
        _ => Judgement::Absent,
    }
}

/// Nothing answered: the finding, where more speaks for a filter than for all others.
fn silent(e: &Evidence, finding: Finding) -> Judgement {
    let weighed = Weighed::silence(e);
    // Without its SYN/ACK a capture that sees one direction only would look so.
    if e.tcp.syn_ack.is_none() || !weighed.shows(Sign::InVain) {
        return Judgement::Blind("one capture point cannot tell a filter's drop from loss");
    }
    if weighed.lead(Culprit::Firewall) <= 0 {
        return Judgement::Blind(EVEN);
    }
    Judgement::Found(match &e.around.other_name {
        Some(other) => finding.and(&other.at, "another name on the same server is answered meanwhile"),
        None => finding,
    })
}

/// As long as a word of the server that does not yet know of the client's last may take to come.
fn crossing(e: &Evidence) -> Span {
    let rtt = e.tcp.rtt.unwrap_or(Span::from_secs(1));
    Span(rtt.0.saturating_mul(2).saturating_add(Span::from_millis(100).0))
}

fn repeats(e: &Evidence) -> Option<&Seen<u32>> {
    e.tcp.repeats.client.as_ref()
}

/// What a hello of this size that passes says of a larger one.
fn smaller(size: u32) -> String {
    format!("a ClientHello of {size} bytes for the same name passes: it is the size")
}

/// The server's reset acknowledges no byte of the hello. One without ACK does not say so: it comes of a server that knows
/// no such connection, because somebody reset it meanwhile.
fn lacks_all(e: &Evidence) -> bool {
    let reset = e.tcp.resets.iter().map(|seen| &seen.value).find(|reset| reset.from == Side::Server);
    e.tcp.acked.server.unwrap_or(0) == 0
        && reset.is_some_and(|reset| reset.ack && Some(reset.ack_field) == e.tcp.first_seq)
}

/// The server closed and acknowledged none of the hello.
fn never_arrived(e: &Evidence, hello: Packets) -> Finding {
    // One that was sent once may have been lost by chance.
    let certainty = if repeats(e).is_some() { Certainty::Inferred } else { Certainty::Suspected };
    let says = "the server ended the connection and had acknowledged no byte of the ClientHello";
    Finding::new(certainty, "dropped_after_hello", Party::Path, &e.ending.at, says)
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
    let policy =
        e.tcp.icmp.iter().find(|seen| by_policy(seen.value.v6, seen.value.kind, seen.value.code));
    let any = policy.or_else(|| e.tcp.icmp.iter().find(|seen| seen.value.unreachable()))?;
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
    } else if port && error.hop.src == e.server.addr && e.transport != Transport::Tcp {
        // RFC 1122 section 4.1.3.1: so says a host that has no such port, and REJECT on it.
        Finding::new(Certainty::Suspected, "port_closed", Party::Server, &any.at, words)
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
    if e.around.stray_syn_ack.is_some() || e.around.astray.is_some() {
        return Judgement::Absent; // an answer did come, from elsewhere or to elsewhere
    }
    if let (Some(reset), Some(path)) = (e.refused_by_another(), &e.around.path) {
        let took = reset.when - e.tcp.last_syn.unwrap_or(syn.when);
        let (least, most) = path.value.ttl;
        let usual = if least == most { least.to_string() } else { format!("{least} to {most}") };
        let other = format!("other packets of the server come with TTL {usual} after {}", path.value.rtt);
        let says = format!("the SYN was answered in {took} by a reset with TTL {}", reset.value.ttl);
        // Where machines share an address, one of them may be nearer.
        return Judgement::Found(
            Finding::new(Certainty::Inferred, "syn_reset", Party::Path, &reset.at, says).and(&path.at, other),
        );
    }
    if let Some(reset) = e.tcp.resets.iter().find(|reset| reset.value.from == Side::Server) {
        let weighed = Weighed::reset(e, &reset.value);
        if let Some(certainty) = weighed.certainty(Culprit::Firewall).filter(|_| weighed.contradicted()) {
            let says = "the SYN was answered by a reset";
            let finding = Finding::new(certainty, "syn_reset", Party::Path, &reset.at, says);
            return Judgement::Found(contradictions(e, &reset.value, finding));
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

/// A SYN/ACK, and no byte behind it.
fn half_open(e: &Evidence) -> Judgement {
    if e.tcp.syn_acks < 2 || e.tcp.established.is_some() || e.around.other_address.is_some() {
        return Judgement::Absent;
    }
    let (Some(syn), Some(syn_ack)) = (&e.tcp.syn, &e.tcp.syn_ack) else { return Judgement::Absent };
    if e.tcp.resets.iter().any(|reset| reset.value.from == Side::Client) {
        return Judgement::Blind("a filter can reset in the client's name");
    }
    match e.ending.value {
        Ending::Silence { lasted } if e.tcp.syns >= 2 => Judgement::Found(
            Finding::new(
                Certainty::Suspected,
                "syn_dropped",
                Party::Path,
                Cite::Silence { after: syn_ack.at.clone(), lasted },
                format!("the server answered {} times, and the client does not hear it", e.tcp.syn_acks),
            )
            .and(&syn.at, format!("it asked {} times", e.tcp.syns)),
        ),
        Ending::Silence { .. } => {
            Judgement::Blind("whether the client heard the SYN/ACK is seen on its own side only")
        }
        _ => Judgement::Absent,
    }
}

fn spell(doubt: Doubt) -> String {
    match doubt {
        Doubt::Ttl(ttl, usual) => format!("the reset's TTL is {ttl}, its alleged sender's {usual}"),
        Doubt::LinkAddress => {
            "the reset came from another link address than its alleged sender's packets".to_owned()
        }
        Doubt::TooSoon(took, rtt) => format!("the reset came after {took}, the path's round trip is {rtt}"),
        Doubt::SenderWentOn => "the alleged sender went on speaking behind the reset".to_owned(),
        Doubt::NewAck => "the alleged sender acknowledged more behind the reset".to_owned(),
        Doubt::NewData => "the alleged sender sent new bytes behind the reset".to_owned(),
        Doubt::OldTimestamp => "the reset's timestamp is before that of its alleged sender's last segment".to_owned(),
        Doubt::Unasked => "the reset has no ACK, as an answer has none, and answers nothing".to_owned(),
        Doubt::BehindSequence => {
            "the alleged sender had already sent beyond the reset's sequence number".to_owned()
        }
    }
}

/// A reset that something contradicts.
fn doubted_reset(e: &Evidence) -> Option<Finding> {
    let hello = e.hello.as_ref()?;
    let Ending::Reset { .. } = e.ending.value else { return None };
    let behind = e.tcp.resets.iter().filter(|reset| reset.at.first() > hello.at.first());
    let weighed = behind.map(|reset| (reset, Weighed::reset(e, &reset.value)));
    let (reset, weighed) = weighed
        .filter(|(_, weighed)| weighed.contradicted())
        .max_by_key(|(_, weighed)| weighed.lead(Culprit::Firewall))?;
    let certainty = weighed.certainty(Culprit::Firewall)?;
    let forged = [
        Sign::NewAck,
        Sign::NewData,
        Sign::Unaware,
        Sign::TwoSpeak,
        Sign::SeqChange,
        Sign::AckChange,
    ];
    let forged = forged.into_iter().any(|sign| weighed.shows(sign));
    // A server that goes on without the hello was spared it by who reset.
    let forged = forged || weighed.shows(Sign::WentOn) && e.tcp.acked.server != Some(0);
    let reason = if forged { "injected_reset" } else { "reset_after_hello" };
    let says = format!("the connection was reset in the name of the {}", reset.value.from);
    let finding = Finding::new(certainty, reason, Party::Path, &reset.at, says);
    let finding = contradictions(e, &reset.value, finding);
    Some(if reset.value.may_be_forgetful() {
        let paused = reset.value.paused;
        let says = format!("it ends a silence of {paused}, in which a gateway may have forgotten the connection");
        finding.and(&reset.at, says)
    } else {
        finding
    })
}

/// Adds what contradicts that the alleged sender sent the reset.
fn contradictions(e: &Evidence, reset: &Reset, mut finding: Finding) -> Finding {
    let says_more = reset.doubts.iter().any(|doubt| matches!(doubt.value, Doubt::NewAck | Doubt::NewData));
    for doubt in &reset.doubts {
        if !(says_more && doubt.value == Doubt::SenderWentOn) {
            finding = finding.and(&doubt.at, spell(doubt.value));
        }
    }
    for (test, at) in tamper::forged(e, reset.from) {
        finding = match test {
            Forged::RstSeqChange => finding.and(at, "the resets guess ahead of all that their alleged sender had sent"),
            Forged::RstAckChange => finding.and(at, "the resets acknowledge different bytes"),
            // Told as doubts.
            Forged::RstSeqData | Forged::DataSeqRst => finding,
        };
    }
    finding
}

#[cfg(test)]
mod tests;
