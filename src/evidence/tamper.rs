//! Names for what resets and silences look like on the wire: evidence, no verdicts.
//!
//! Two lists. The nineteen signatures of tampering, by how far the connection was (Sundara Raman et al.: Global, Passive
//! Detection of Connection Tampering, SIGCOMM 2023, table 1); most connections that match one were ended by nobody but
//! their client, as the same study says. And the four tests for forged resets (Weaver, Sommer, Paxson: Detecting Forged
//! TCP Reset Packets, NDSS 2009, appendix A), which no host passes that keeps to RFC 9293.
//!
//! The study reads packets in the client's name, at the server. Here the same words stand for resets in either side's
//! name: those of the side that was reset first.

use super::{Doubt, Ending, Evidence, Outcome, Reset};
use crate::base::{Packets, Seen, Side, Span};

/// How far the connection was: what its client had sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A SYN.
    Syn,
    /// The acknowledgment of the SYN/ACK, and no byte.
    Ack,
    /// Its first flight, mostly the ClientHello; the server has said nothing.
    Psh,
    /// Bytes, and the server bytes as well.
    Data,
}

/// What followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Nothing (∅).
    Silence,
    /// One reset without ACK; in [`Step::Syn`] and [`Step::Data`] several as well.
    Rst,
    /// One reset with ACK; in [`Step::Syn`] and [`Step::Data`] several as well.
    RstAck,
    /// Resets of both kinds.
    RstAndRstAck,
    /// Several resets without ACK.
    Rsts,
    /// Several resets with ACK.
    RstAcks,
    /// Several resets without ACK whose acknowledgment fields are equal (RST=RST).
    RstsEqualAck,
    /// Several resets without ACK whose acknowledgment fields differ (RST≠RST).
    RstsDifferentAck,
    /// Several resets without ACK, the acknowledgment field of one of them zero (RST;RST₀).
    RstsOneZeroAck,
}

/// One of the nineteen signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub Step, pub Followed);

impl Signature {
    /// Every signature with its word in events.
    pub const ALL: [(Self, &'static str); 19] = [
        (Self(Step::Syn, Followed::Silence), "post_syn_silence"),
        (Self(Step::Syn, Followed::Rst), "post_syn_rst"),
        (Self(Step::Syn, Followed::RstAck), "post_syn_rst_ack"),
        (Self(Step::Syn, Followed::RstAndRstAck), "post_syn_rst_and_rst_ack"),
        (Self(Step::Ack, Followed::Silence), "post_ack_silence"),
        (Self(Step::Ack, Followed::Rst), "post_ack_rst"),
        (Self(Step::Ack, Followed::Rsts), "post_ack_rsts"),
        (Self(Step::Ack, Followed::RstAck), "post_ack_rst_ack"),
        (Self(Step::Ack, Followed::RstAcks), "post_ack_rst_acks"),
        (Self(Step::Psh, Followed::Silence), "post_psh_silence"),
        (Self(Step::Psh, Followed::Rst), "post_psh_rst"),
        (Self(Step::Psh, Followed::RstAck), "post_psh_rst_ack"),
        (Self(Step::Psh, Followed::RstAndRstAck), "post_psh_rst_and_rst_ack"),
        (Self(Step::Psh, Followed::RstAcks), "post_psh_rst_acks"),
        (Self(Step::Psh, Followed::RstsEqualAck), "post_psh_rsts_equal_ack"),
        (Self(Step::Psh, Followed::RstsDifferentAck), "post_psh_rsts_different_ack"),
        (Self(Step::Psh, Followed::RstsOneZeroAck), "post_psh_rsts_one_zero_ack"),
        (Self(Step::Data, Followed::Rst), "post_data_rst"),
        (Self(Step::Data, Followed::RstAck), "post_data_rst_ack"),
    ];

    /// The word in events; `None` where the list has no such signature.
    pub fn word(self) -> Option<&'static str> {
        Self::ALL.iter().find(|(signature, _)| *signature == self).map(|(_, word)| *word)
    }
}

/// The signature that an attempt ended with; `None` where it has none of the list, or either side had closed by FIN.
pub fn signature(e: &Evidence) -> Option<Signature> {
    if matches!(e.outcome, Outcome::Completed | Outcome::Resumed) || e.tcp.syn.is_none() {
        return None;
    }
    let Some(first) = e.tcp.resets.first() else {
        let silent = matches!(e.ending.value, Ending::Silence { .. }) && e.tcp.fin.server.is_none();
        let sent = e.tcp.bytes;
        let step = step(e.tcp.established.is_some(), sent.client, sent.server);
        return (silent && step < Step::Data).then_some(Signature(step, Followed::Silence));
    };
    let closed = |side| e.tcp.fin.of(side).as_ref().is_some_and(|fin| fin.at.first() < first.at.first());
    if closed(Side::Client) || closed(Side::Server) {
        return None;
    }
    let established = e.tcp.established.as_ref().is_some_and(|seen| seen.at.first() < first.at.first());
    let step = step(established, first.value.sent.client, first.value.sent.server);
    let resets =
        || e.tcp.resets.iter().map(|seen| &seen.value).filter(|reset| reset.from == first.value.from);
    Some(Signature(step, followed(step, resets))).filter(|signature| signature.word().is_some())
}

fn step(established: bool, client: u64, server: u64) -> Step {
    match (client, server) {
        (0, 0) if established => Step::Ack,
        (0, 0) => Step::Syn,
        (_, 0) => Step::Psh,
        _ => Step::Data,
    }
}

fn followed<'a, I: Iterator<Item = &'a Reset>>(step: Step, resets: impl Fn() -> I) -> Followed {
    let bare = || resets().filter(|reset| !reset.ack);
    let several_count = matches!(step, Step::Ack | Step::Psh);
    match (bare().count(), resets().filter(|reset| reset.ack).count()) {
        (1.., 1..) => Followed::RstAndRstAck,
        (0, 2..) if several_count => Followed::RstAcks,
        (0, _) => Followed::RstAck,
        (2.., 0) if step == Step::Ack => Followed::Rsts,
        (2.., 0) if step == Step::Psh => {
            let zero = bare().filter(|reset| reset.ack_field == 0).count();
            let first = bare().next().map(|reset| reset.ack_field);
            if bare().all(|reset| Some(reset.ack_field) == first) {
                Followed::RstsEqualAck
            } else if zero > 0 {
                Followed::RstsOneZeroAck
            } else {
                Followed::RstsDifferentAck
            }
        }
        _ => Followed::Rst,
    }
}

/// A test for forged resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forged {
    /// Of two resets the second has a sequence number over the first's, beyond all that its side had sent: an injector
    /// guesses ahead, a host resets where it stands or where it is asked.
    RstSeqChange,
    /// The same sender sends new bytes behind the reset, from its sequence number on.
    RstSeqData,
    /// The reset stands behind bytes that its sender had already sent: an injector was slower than they.
    DataSeqRst,
    /// Successive resets acknowledge different bytes.
    RstAckChange,
}

impl Forged {
    /// The word in events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::RstSeqChange => "rst_seq_change",
            Self::RstSeqData => "rst_seq_data",
            Self::DataSeqRst => "data_seq_rst",
            Self::RstAckChange => "rst_ack_change",
        }
    }
}

/// Between two resets that belong together, at most.
const TOGETHER: Span = Span::from_secs(2);
/// A FIN and a keep-alive move a host's place by one each: nearer is no guess.
const NEAR: i64 = 2;

/// What tests say of resets in `from`'s name, each with its packets; in the order of [`Forged`].
pub fn forged(e: &Evidence, from: Side) -> Vec<(Forged, Packets)> {
    let mut found: Vec<(Forged, Packets)> = Vec::new();
    let mut note = |test: Forged, at: Packets| match found.iter_mut().find(|(known, _)| *known == test) {
        Some((_, packets)) => packets.add_all(&at),
        None => found.push((test, at)),
    };
    let resets = || e.tcp.resets.iter().filter(|reset| reset.value.from == from);
    for (one, two) in resets().zip(resets().skip(1)) {
        let both = || one.at.clone().and(&two.at);
        if two.when - one.when >= TOGETHER || left(e, one) {
            continue;
        }
        let over = two.value.seq.wrapping_sub(one.value.seq).cast_signed();
        if i64::from(over) > NEAR && two.value.ahead.is_some_and(|ahead| ahead > NEAR) {
            note(Forged::RstSeqChange, both());
        }
        // The field means something only with ACK; injectors fill it without (RST≠RST).
        let (first, second) = (one.value.ack_field, two.value.ack_field);
        if first != 0 && second != 0 && first != second {
            note(Forged::RstAckChange, both());
        }
    }
    for reset in resets() {
        for doubt in &reset.value.doubts {
            match doubt.value {
                Doubt::NewData => note(Forged::RstSeqData, reset.at.clone().and(&doubt.at)),
                Doubt::BehindSequence => note(Forged::DataSeqRst, doubt.at.clone()),
                _ => {}
            }
        }
    }
    found.sort_by_key(|(test, _)| *test);
    found
}

/// Somebody had left before: a FIN of either side, or a reset of the peer.
fn left(e: &Evidence, reset: &Seen<Reset>) -> bool {
    let before = |at: &Packets| at.first() < reset.at.first();
    [Side::Client, Side::Server]
        .into_iter()
        .filter_map(|side| e.tcp.fin.of(side).as_ref())
        .any(|fin| before(&fin.at))
        || e.tcp.resets.iter().any(|other| other.value.from != reset.value.from && before(&other.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::PacketNo;
    use crate::evidence::fixture::{answered, connected, ends, greeted, resent, reset, seen, syn};
    use crate::tls::codes::Version;

    /// What follows, one reset for each pair of ACK and acknowledgment field.
    fn ended(mut e: Evidence, resets: &[(bool, u32)]) -> Option<&'static str> {
        for (n, &(ack, ack_field)) in (9..).zip(resets) {
            let mut one = reset(e.clone(), Side::Server, &[]).tcp.resets.pop().unwrap();
            (one.at, one.value.ack, one.value.ack_field) = (PacketNo(n).into(), ack, ack_field);
            e.tcp.resets.push(one);
        }
        signature(&e).and_then(Signature::word)
    }

    #[test]
    fn each_signature_is_named() {
        const BARE: (bool, u32) = (false, 0);
        const ACK: (bool, u32) = (true, 7);
        type Case = (Evidence, &'static [(bool, u32)], &'static str);
        let cases: [Case; 19] = [
            (syn(3), &[], "post_syn_silence"),
            (syn(1), &[BARE], "post_syn_rst"),
            (syn(1), &[ACK, ACK], "post_syn_rst_ack"),
            (syn(1), &[BARE, ACK], "post_syn_rst_and_rst_ack"),
            (connected(), &[], "post_ack_silence"),
            (connected(), &[BARE], "post_ack_rst"),
            (connected(), &[BARE, BARE], "post_ack_rsts"),
            (connected(), &[ACK], "post_ack_rst_ack"),
            (connected(), &[ACK, ACK], "post_ack_rst_acks"),
            (greeted(), &[], "post_psh_silence"),
            (greeted(), &[BARE], "post_psh_rst"),
            (greeted(), &[ACK], "post_psh_rst_ack"),
            (greeted(), &[ACK, BARE], "post_psh_rst_and_rst_ack"),
            (greeted(), &[ACK, ACK], "post_psh_rst_acks"),
            (greeted(), &[(false, 7), (false, 7)], "post_psh_rsts_equal_ack"),
            (greeted(), &[(false, 7), (false, 8)], "post_psh_rsts_different_ack"),
            (greeted(), &[(false, 7), BARE], "post_psh_rsts_one_zero_ack"),
            (answered(Version::TLS12), &[BARE], "post_data_rst"),
            (answered(Version::TLS12), &[ACK], "post_data_rst_ack"),
        ];
        for (n, (e, resets, word)) in cases.into_iter().enumerate() {
            assert_eq!(ended(e, resets), Some(word));
            assert_eq!(Signature::ALL[n].1, word, "each is tried once");
        }
    }

    #[test]
    fn no_signature_behind_a_fin_or_without_the_beginning() {
        let mut e = reset(greeted(), Side::Client, &[]);
        e.tcp.fin.client = Some(seen((), 5, 30));
        assert_eq!(signature(&e), None, "it had said goodbye");
        let mut e = reset(greeted(), Side::Server, &[]);
        e.tcp.syn = None;
        assert_eq!(signature(&e), None);
        let mut e = resent(greeted(), 3);
        ends(&mut e, Ending::CaptureEnded, 12, 9_000);
        assert_eq!(signature(&e), None, "the capture stopped, not the connection");
        e.outcome = Outcome::Completed;
        assert_eq!(signature(&reset(e, Side::Client, &[])), None);
    }

    /// Two resets in the server's name, the second so far over the first and so far ahead of the stream, with these
    /// acknowledgment fields.
    fn two(over: u32, ahead: i64, fields: (u32, u32)) -> Evidence {
        let mut e = reset(greeted(), Side::Server, &[]);
        let mut second = e.tcp.resets[0].clone();
        second.at = PacketNo(10).into();
        (second.value.seq, second.value.ahead) = (over, Some(ahead));
        (e.tcp.resets[0].value.ack_field, second.value.ack_field) = fields;
        e.tcp.resets.push(second);
        e
    }

    fn tests(e: &Evidence) -> Vec<Forged> {
        forged(e, Side::Server).into_iter().map(|(test, _)| test).collect()
    }

    #[test]
    fn a_second_reset_that_guesses_ahead_was_forged() {
        assert_eq!(tests(&two(1_460, 1_460, (0, 0))), [Forged::RstSeqChange]);
        assert_eq!(forged(&two(1_460, 1_460, (0, 0)), Side::Server)[0].1.iter().count(), 2);
        assert_eq!(tests(&two(1_460, 0, (0, 0))), [], "the host had come so far");
        assert_eq!(tests(&two(2, 2, (0, 0))), [], "a FIN takes one number");
        let mut late = two(1_460, 1_460, (0, 0));
        late.tcp.resets[1].when = late.tcp.resets[0].when + TOGETHER;
        assert_eq!(tests(&late), []);
        let mut closed = two(1_460, 1_460, (0, 0));
        closed.tcp.fin.client = Some(seen((), 5, 30));
        assert_eq!(tests(&closed), [], "behind a FIN hosts reset in many ways");
    }

    #[test]
    fn resets_that_acknowledge_different_bytes_disagree() {
        assert_eq!(tests(&two(0, 0, (7, 8))), [Forged::RstAckChange]);
        assert_eq!(tests(&two(0, 0, (7, 7))), []);
        assert_eq!(tests(&two(0, 0, (7, 0))), [], "no ACK, no field");
    }

    #[test]
    fn bytes_behind_and_in_front_of_a_reset() {
        let e = reset(greeted(), Side::Server, &[Doubt::NewData, Doubt::BehindSequence]);
        assert_eq!(tests(&e), [Forged::RstSeqData, Forged::DataSeqRst]);
        assert_eq!(forged(&e, Side::Client), []);
        assert_eq!(tests(&reset(greeted(), Side::Server, &[Doubt::SenderWentOn])), []);
    }
}
