//! Segments of full size vanish while smaller ones pass, and no ICMP says so (RFC 2923 section 2.1).
//!
//! Who stands in front of the hole sees a segment sent again and again and, by selective acknowledgments, that what
//! stands behind it arrived. Who stands behind the hole sees the tail alone, and the receiver asking for the head.

use crate::base::{Cite, Side, Span};
use crate::cause::{Certainty, Finding, Party};
use crate::evidence::{Ending, Evidence};

/// Longer than this, a packet may not fit a tunnel's MTU: the least MTU of IPv6 less its headers.
const LARGE: u32 = 1_200;
/// What one Ethernet segment holds.
const SEGMENT: u32 = 1_460;
/// What is lost by chance has come again by then.
const LONG: Span = Span::from_millis(1_500);
/// What the timestamps option takes from a segment (RFC 7323 appendix A).
const TIMESTAMPS: u32 = 12;

/// Finds one in either direction, from either side.
pub fn find(e: &Evidence) -> Option<Finding> {
    let quiet =
        matches!(e.ending.value, Ending::Silence { .. } | Ending::Fin { .. } | Ending::Reset { .. });
    let went_on = e.client_key_exchange.is_some() || !e.sealing.records.client.is_empty();
    if !quiet || went_on || lasted(e) < LONG {
        return None;
    }
    down_behind(e).or_else(|| down_before(e)).or_else(|| up_before(e)).or_else(|| up_behind(e))
}

/// How long the client had waited in the end.
fn lasted(e: &Evidence) -> Span {
    let since = e.hello.as_ref().map(|hello| hello.when);
    let since = since.or(e.tcp.established.as_ref().map(|established| established.when)).unwrap_or(e.started);
    match e.ending.value {
        Ending::Silence { lasted } => lasted,
        _ => e.ending.when - since,
    }
}

/// The payload of a segment as large as both sides allow; `None` where the capture lacks a SYN.
fn full(e: &Evidence) -> Option<u32> {
    let (client, server) = (e.tcp.mss.client?, e.tcp.mss.server?);
    Some(u32::from(client.min(server)).saturating_sub(TIMESTAMPS))
}

/// The tail of the server's flight came, full segments before it never did.
fn down_behind(e: &Evidence) -> Option<Finding> {
    let hole = e.tcp.hole.server.as_ref()?;
    let lacks = e.tcp.acked.client.is_some_and(|acked| acked <= hole.value);
    let missing = e.tcp.hole_bytes.server;
    // Where one segment of full size arrived, the path takes them.
    let none_arrived = match full(e) {
        Some(full) => e.tcp.largest.server < full,
        None => u64::from(e.tcp.largest.server) < missing,
    };
    if !lacks || e.tcp.unseen.server > 0 || missing < u64::from(LARGE) || !none_arrived {
        return None;
    }
    let says = format!(
        "the server's flight arrived but for {missing} bytes in front of it: no segment over {} bytes came",
        e.tcp.largest.server
    );
    Some(match &e.tcp.sacked.client {
        Some(sacked) => Finding::new(Certainty::Inferred, "mtu_black_hole", Party::Path, &sacked.at, says)
            .and(&hole.at, "the client acknowledged what came, and asked for the rest in vain"),
        None => Finding::new(Certainty::Suspected, "mtu_black_hole", Party::Path, &hole.at, says),
    })
}

/// The server repeats a full segment; the client has what stands behind it.
fn down_before(e: &Evidence) -> Option<Finding> {
    let head = e.tcp.head.server.as_ref()?;
    let sacked = e.tcp.sacked.client.as_ref()?;
    let (left, right) = sacked.value;
    let lacks = e.tcp.acked.client.is_some_and(|acked| acked <= head.value.offset);
    if head.value.times < 3 || head.value.size < LARGE || left <= head.value.offset || !lacks {
        return None;
    }
    // What arrived in one piece is smaller than what did not.
    let smaller = right.saturating_sub(left) < u64::from(head.value.size);
    let certainty = if smaller { Certainty::Inferred } else { Certainty::Suspected };
    let says = format!(
        "the server sent a segment of {} bytes again {} times, and the client goes on to lack it",
        head.value.size, head.value.times
    );
    Some(
        Finding::new(certainty, "mtu_black_hole", Party::Path, &head.at, says)
            .and(&sacked.at, "the client has smaller segments that stand behind it"),
    )
}

/// The client repeats the first segment of a hello that takes more than one. Where nothing of it arrives but a small
/// hello for the same name does, something on the path does not bear its size.
fn up_before(e: &Evidence) -> Option<Finding> {
    let hello = e.hello.as_ref()?;
    let again = e.tcp.repeats.of(Side::Client).as_ref()?;
    let (size, largest) = (e.tcp.bytes.client, e.tcp.largest.client);
    // Where the sender's card cuts, the capture sees one segment larger than any on the wire.
    let several = size > u64::from(largest) || largest > SEGMENT;
    if !several || e.tcp.bytes.server > 0 || e.tcp.acked.server.unwrap_or(0) > 0 || again.value < 2 {
        return None;
    }
    let (sacked, small) = (&e.tcp.sacked.server, &e.around.smaller_hello);
    // The server asks for the beginning when what stands behind it comes; of a connection that is not let through
    // nothing comes.
    let asked = e.tcp.acked.server == Some(0) && e.tcp.packets.server > e.tcp.syn_acks;
    let (certainty, reason) = match (sacked, small) {
        (Some(_), _) if largest >= LARGE => (Certainty::Inferred, "mtu_black_hole"),
        (None, Some(_)) if asked && largest >= LARGE => (Certainty::Inferred, "mtu_black_hole"),
        (None, None) if asked && largest >= LARGE => (Certainty::Suspected, "mtu_black_hole"),
        (_, Some(_)) => (Certainty::Inferred, "dropped_after_hello"),
        (_, None) => return None,
    };
    let says = format!(
        "the ClientHello takes {size} bytes in segments of up to {largest}; the first was never acknowledged"
    );
    let mut finding = Finding::new(certainty, reason, Party::Path, &hello.at, says)
        .and(&again.at, format!("sent again {} times", again.value));
    if let Some(sacked) = sacked {
        finding = finding.and(&sacked.at, "the server has the smaller segments that stand behind it");
    }
    if let Some(small) = small {
        finding = finding.and(&small.at, super::smaller(small.value));
    } else if let Some(other) = &e.around.server_completes {
        finding = finding.and(&other.at, "the same server completes other handshakes");
    }
    Some(finding)
}

/// The head of what the client sent never came; what stands behind it did.
fn up_behind(e: &Evidence) -> Option<Finding> {
    let hole = e.tcp.hole.client.as_ref()?;
    let lacks = e.tcp.acked.server == Some(0) && e.tcp.packets.server > e.tcp.syn_acks;
    if e.hello.is_some() || hole.value > 0 || !lacks || e.tcp.bytes.server > 0 {
        return None;
    }
    let missing = e.tcp.hole_bytes.client;
    let reason = if missing >= u64::from(LARGE) { "mtu_black_hole" } else { "dropped_after_hello" };
    // A translator that forgot the connection lets nothing of it through.
    let after = Cite::Silence { after: hole.at.clone(), lasted: lasted(e) };
    let says = format!("the client's first {missing} bytes never came here, though what stands behind them did");
    Some(
        Finding::new(Certainty::Suspected, reason, Party::Path, after, says)
            .and(&hole.at, "the server lacks them too: it acknowledges no byte"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::PerSide;
    use crate::evidence::Head;
    use crate::evidence::fixture::{answered, connected, ends, greeted, resent, seen};
    use crate::tls::codes::Version;

    fn found(e: &Evidence) -> Option<(Certainty, &'static str)> {
        find(e).map(|finding| (finding.certainty, finding.reason))
    }

    /// The tail of a flight of 4,172 bytes came, its first 2,896 did not.
    fn headless() -> Evidence {
        let mut e = greeted();
        e.tcp.mss = PerSide { client: Some(1_460), server: Some(1_460) };
        e.tcp.acked = PerSide { client: Some(0), server: Some(517) };
        e.tcp.bytes.server = 1_275;
        e.tcp.largest.server = 1_200;
        e.tcp.hole.server = Some(seen(0, 7, 60));
        e.tcp.hole_bytes.server = 2_896;
        e.tcp.sacked.client = Some(seen((2_896, 4_171), 7, 60));
        e
    }

    #[test]
    fn a_flight_without_its_head() {
        assert_eq!(found(&headless()), Some((Certainty::Inferred, "mtu_black_hole")));
        let mut unsaid = headless();
        unsaid.tcp.sacked = PerSide::default();
        assert_eq!(found(&unsaid), Some((Certainty::Suspected, "mtu_black_hole")));
    }

    #[test]
    fn absent_where_a_segment_of_full_size_came() {
        let mut e = headless();
        e.tcp.largest.server = 1_448;
        assert_eq!(found(&e), None);
    }

    #[test]
    fn absent_while_it_may_come_again() {
        let mut e = headless();
        ends(&mut e, Ending::Fin { from: Side::Client }, 9, 700);
        assert_eq!(found(&e), None);
    }

    #[test]
    fn a_small_hole_is_loss() {
        let mut e = headless();
        e.tcp.hole_bytes.server = 600;
        assert_eq!(found(&e), None);
    }

    /// The server repeats its first segment.
    fn repeated() -> Evidence {
        let mut e = answered(Version::TLS13);
        e.tcp.acked.client = Some(0);
        e.tcp.head.server = Some(seen(Head { offset: 0, size: 1_448, times: 5 }, 8, 2_000));
        e.tcp.sacked.client = Some(seen((2_896, 4_171), 7, 60));
        e
    }

    #[test]
    fn a_full_segment_repeated_though_smaller_ones_behind_it_arrived() {
        assert_eq!(found(&repeated()), Some((Certainty::Inferred, "mtu_black_hole")));
        let mut e = repeated();
        e.tcp.sacked.client = Some(seen((1_448, 4_344), 7, 60));
        assert_eq!(found(&e), Some((Certainty::Suspected, "mtu_black_hole")), "another full one may have");
        e.tcp.sacked.client = None;
        assert_eq!(found(&e), None, "nothing shows that anything arrived");
    }

    #[test]
    fn absent_where_the_repeated_segment_is_small_or_was_acknowledged() {
        let mut e = repeated();
        e.tcp.head.server = Some(seen(Head { offset: 0, size: 300, times: 5 }, 8, 2_000));
        assert_eq!(found(&e), None);
        let mut e = repeated();
        e.tcp.acked.client = Some(1_448);
        assert_eq!(found(&e), None);
    }

    /// A hello of two segments, sent again four times.
    fn large() -> Evidence {
        let mut e = resent(greeted(), 4);
        e.tcp.bytes.client = 1_750;
        e.tcp.largest.client = 1_448;
        e
    }

    #[test]
    fn a_large_hello_whose_tail_alone_passes() {
        let mut e = large();
        e.tcp.sacked.server = Some(seen((1_448, 1_750), 6, 50));
        assert_eq!(found(&e), Some((Certainty::Inferred, "mtu_black_hole")));
        let mut e = large();
        (e.tcp.acked.server, e.tcp.packets.server, e.tcp.syn_acks) = (Some(0), 2, 1);
        assert_eq!(found(&e), Some((Certainty::Suspected, "mtu_black_hole")), "it asks for the beginning");
        e.around.smaller_hello = Some(seen(517, 20, 300));
        assert_eq!(found(&e), Some((Certainty::Inferred, "mtu_black_hole")));
    }

    #[test]
    fn a_large_hello_of_which_nothing_passes_is_stopped_for_its_size_only_where_a_small_one_passes() {
        for largest in [1_448, 536, 1_750] {
            let mut e = large();
            e.tcp.largest.client = largest;
            e.around.server_completes = Some(seen((), 1, 0));
            assert_eq!(found(&e), None, "{largest}: the name may be at fault, or a translator");
            e.around.smaller_hello = Some(seen(517, 20, 300));
            assert_eq!(found(&e), Some((Certainty::Inferred, "dropped_after_hello")), "{largest}");
            e.tcp.acked.server = Some(536);
            assert_eq!(found(&e), None, "{largest}: its beginning arrived");
        }
    }

    #[test]
    fn behind_the_hole_the_tail_of_the_hello_is_all_that_comes() {
        let mut e = connected();
        e.tcp.packets = PerSide { client: 3, server: 2 };
        e.tcp.acked.server = Some(0);
        e.tcp.hole.client = Some(seen(0, 4, 30));
        e.tcp.hole_bytes.client = 1_448;
        assert_eq!(found(&e), Some((Certainty::Suspected, "mtu_black_hole")));
        e.tcp.hole_bytes.client = 517;
        assert_eq!(found(&e), Some((Certainty::Suspected, "dropped_after_hello")), "a FIN behind a small hello");
        e.tcp.acked.server = Some(1_448);
        assert_eq!(found(&e), None, "the server has it: the capture does not");
    }
}
