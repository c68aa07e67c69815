//! Over datagrams: nothing is set up before the first word, and a closed port says so by ICMP.

use super::{EVEN, prohibited};
use crate::base::{Cite, Packets};
use crate::cause::{Certainty, Finding, Judgement, Party};
use crate::evidence::{Ending, Evidence};

/// Judges an attempt over QUIC or DTLS.
pub(super) fn judge(e: &Evidence) -> Judgement {
    if let Some(finding) = prohibited(e) {
        return Judgement::Found(match &e.around.over_tcp {
            Some(tcp) => finding.and(&tcp.at, OVER_TCP),
            None => finding,
        });
    }
    let (Ending::Silence { lasted }, Some(hello)) = (&e.ending.value, &e.hello) else {
        return Judgement::Absent;
    };
    if e.tcp.packets.server > 0 {
        return Judgement::Blind("one capture point cannot tell a filter's drop from loss");
    }
    let again = e.tcp.repeats.client.as_ref();
    let times = again.map_or(1, |again| again.value.saturating_add(1));
    let at: Packets = hello.at.clone();
    let at = again.map_or_else(|| at.clone(), |again| at.clone().and(&again.at));
    let (over_tcp, others) = (&e.around.over_tcp, &e.around.server_completes);
    // What is lost by chance comes again within three tries (RFC 9002 section 6.2).
    if times < 3 || over_tcp.is_none() && others.is_none() {
        return Judgement::Blind(EVEN);
    }
    // A server that speaks no such protocol may say nothing either; that others are answered shows that it does.
    let certainty =
        if over_tcp.is_some() && others.is_some() { Certainty::Inferred } else { Certainty::Suspected };
    let says = format!("the ClientHello was sent {times} times over UDP, and nothing answered in {lasted}");
    let after = Cite::Silence { after: at, lasted: *lasted };
    let mut finding = Finding::new(certainty, "dropped_after_hello", Party::Path, after, says);
    if let Some(tcp) = over_tcp {
        finding = finding.and(&tcp.at, OVER_TCP);
    }
    if let Some(others) = others {
        finding = finding.and(&others.at, "the server completes other handshakes over UDP");
    }
    Judgement::Found(finding)
}

/// The host is there, and the client is let through to it.
const OVER_TCP: &str = "the same client completes a handshake with the same service over TCP meanwhile";

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::*;
    use crate::evidence::Transport;
    use crate::evidence::fixture::{greeted, icmp, resent, seen};

    /// A ClientHello over QUIC, sent so many times more, that nothing answers.
    fn unanswered(times: u32) -> Evidence {
        let mut e = greeted();
        (e.tcp, e.transport) = (<_>::default(), Transport::Quic);
        e.tcp.packets.client = 1 + times;
        e.tcp.bytes.client = 1_200;
        if times > 0 { resent(e, times) } else { e }
    }

    fn over_tcp(mut e: Evidence) -> Evidence {
        e.around.over_tcp = Some(seen(e.server, 40, 4_200));
        e
    }

    fn found(e: &Evidence) -> Option<(Certainty, &'static str, Party)> {
        judge(e).found().map(|finding| (finding.certainty, finding.reason, finding.party))
    }

    #[test]
    fn silence_over_udp_while_tcp_passes() {
        let dropped = Some((Certainty::Suspected, "dropped_after_hello", Party::Path));
        assert_eq!(found(&over_tcp(unanswered(3))), dropped);
        let mut e = over_tcp(unanswered(3));
        e.around.server_completes = Some(seen((), 3, 10));
        assert_eq!(found(&e), Some((Certainty::Inferred, "dropped_after_hello", Party::Path)));
    }

    #[test]
    fn blind_with_silence_alone_or_too_few_tries() {
        for e in [unanswered(3), over_tcp(unanswered(0)), over_tcp(unanswered(1))] {
            assert!(matches!(judge(&e), Judgement::Blind(_)));
        }
    }

    #[test]
    fn absent_where_the_server_answered_and_closed() {
        let mut e = over_tcp(unanswered(3));
        e.tcp.packets.server = 1;
        assert!(matches!(judge(&e), Judgement::Blind(_)), "silence behind an answer");
        e.ending.value = Ending::ConnectionClose { from: crate::base::Side::Server, code: 2 };
        assert_eq!(judge(&e), Judgement::Absent);
    }

    #[test]
    fn icmp_says_what_it_is() {
        let policy = icmp(over_tcp(unanswered(1)), false, 3, 13);
        assert_eq!(found(&policy), Some((Certainty::Proven, "icmp_prohibited", Party::Path)));
        let router = icmp(unanswered(1), false, 3, 3);
        assert_eq!(found(&router), Some((Certainty::Inferred, "icmp_prohibited", Party::Path)));
        let mut own = icmp(unanswered(1), false, 3, 3);
        own.tcp.icmp[0].value.hop.src = own.server.addr;
        assert_eq!(found(&own), Some((Certainty::Suspected, "port_closed", Party::Server)));
    }
}
