//! Who ended an attempt by a reset or by silence: what the packets show gives points to each who may have done it.
//!
//! Every weight stands in one table, `WEIGHTS`, with its source. Signs of one kind are one witness: a filter on a
//! router changes TTL and link address together, so the weightier counts alone. What remains even is not decided.

use super::Certainty;
use crate::base::{Side, Span};
use crate::evidence::tamper::{self, Forged};
use crate::evidence::{Chain, Doubt, Evidence, Reset};

/// Who may have ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The host whose address the reset bears, or the server that says nothing.
    Endpoint,
    /// A filter, an injector or a link that swallows large packets.
    Firewall,
    /// An address translator that forgot the connection.
    Translator,
    /// Chance.
    Loss,
    /// The client, which changed its mind.
    Client,
}

/// What is about the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// From where a reset came.
    Origin,
    /// When.
    Time,
    /// What its alleged sender did behind it.
    Sequel,
    /// What its numbers say.
    Numbers,
    /// In whose name it speaks, and what it answers.
    Role,
    /// What reached the other side.
    Reach,
    /// What others met.
    Others,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Origin, Self::Time, Self::Sequel, Self::Numbers, Self::Role, Self::Reach, Self::Others];
}

/// What is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The reset crossed fewer routers than its alleged sender's packets.
    NearerTtl,
    /// Its TTL is another one, and no nearer.
    OtherTtl,
    /// It came from another link address.
    OtherLink,
    /// It took less than a quarter of the path's round trip.
    FarTooSoon,
    /// It took less than half of it.
    TooSoon,
    /// Its alleged sender sent new bytes behind it.
    NewData,
    /// Its alleged sender acknowledged more behind it.
    NewAck,
    /// Its alleged sender said something behind it.
    WentOn,
    /// It answers in the client's name, and the client, which it did not reach, goes on.
    Unaware,
    /// Its alleged sender had sent beyond its sequence number.
    Behind,
    /// Its timestamp is older than that of its alleged sender's last segment.
    OldTimestamp,
    /// Without ACK it answers nothing.
    Unasked,
    /// Resets of one sender guess ahead.
    SeqChange,
    /// Resets of one sender acknowledge different bytes.
    AckChange,
    /// RST with ACK as a host sends it that closes with unread bytes: TTL, timestamps and IP-ID go on as they were.
    HostsOwn,
    /// It bears the client's address.
    ClientsName,
    /// It answers a segment in the client's name as a host does that has no such connection.
    Answers,
    /// What it answers has a certificate in clear.
    AnswersReadable,
    /// Unasked, from elsewhere than the client, which is still there.
    TwoSpeak,
    /// The same server completes other handshakes.
    OthersComplete,
    /// The same client completes a handshake with the same server under another name.
    OtherNamePasses,
    /// What was sent came again twice or more, and met nothing.
    InVain,
    /// It came once.
    Once,
    /// The peer acknowledged it.
    Arrived,
    /// A pause before it that translators forget connections in.
    Pause,
}

/// What a sign is worth.
struct Weight {
    sign: Sign,
    kind: Kind,
    /// For endpoint, firewall, translator, loss and client.
    points: [i8; 5],
}

const fn weight(sign: Sign, kind: Kind, points: [i8; 5]) -> Weight {
    Weight { sign, kind, points }
}

/// All weights. Three points are what the studies and the laboratory call a contradiction (RFC 9293 and no stack allow
/// it), two what one other reading explains, one what fits.
#[rustfmt::skip]
const WEIGHTS: [Weight; 25] = [
    //                                        endpoint, firewall, translator, loss, client
    // A balancer or another machine behind the address may answer from nearer, and mostly from as far.
    weight(Sign::NearerTtl,       Kind::Origin,  [0, 2, 0, 0, 0]),
    weight(Sign::OtherTtl,        Kind::Origin,  [0, 1, 0, 0, 0]),
    // Measured: REJECT on a router; hosts that share an address also share a link address there.
    weight(Sign::OtherLink,       Kind::Origin,  [0, 3, 0, 0, 0]),
    // Nobody answers from beyond before a packet can have come there. The first round trip may have taken longer than
    // the path does: addresses were looked up, a queue was full.
    weight(Sign::FarTooSoon,      Kind::Time,    [0, 3, 0, 0, 0]),
    weight(Sign::TooSoon,         Kind::Time,    [0, 1, 0, 0, 0]),
    // RFC 9293 section 3.10.7: who resets has no connection to go on with (Weaver et al., RST_SEQ_DATA). Packets out of
    // order explain neither: a reset of the same host would stand behind those bytes, or acknowledge as much.
    weight(Sign::NewData,         Kind::Sequel,  [0, 3, 0, 0, 0]),
    weight(Sign::NewAck,          Kind::Sequel,  [0, 3, 0, 0, 0]),
    // Packets out of order would look so.
    weight(Sign::WentOn,          Kind::Sequel,  [0, 1, 0, 0, 0]),
    // Measured: a translator that forgets a connection resets what it cannot deliver, and the client speaks on through it.
    weight(Sign::Unaware,         Kind::Sequel,  [0, 3, 2, 0, 0]),
    // Weaver et al., DATA_SEQ_RST; balancers that reset for a host remember its numbers badly.
    weight(Sign::Behind,          Kind::Numbers, [0, 1, 0, 0, 0]),
    // RFC 7323 section 5.4: a host's clock does not go back.
    weight(Sign::OldTimestamp,    Kind::Numbers, [0, 3, 0, 0, 0]),
    // RFC 9293 allows it (section 3.10.5), though no stack whose source was read does so; what it answers may be lost.
    weight(Sign::Unasked,         Kind::Numbers, [0, 1, 0, 0, 0]),
    // Weaver et al., RST_SEQ_CHANGE; where the capture lost bytes, a host that resets each segment looks so too.
    weight(Sign::SeqChange,       Kind::Numbers, [0, 2, 0, 0, 0]),
    // Weaver et al., RST_ACK_CHANGE; a stack that resets each segment of a window with ACK does so too.
    weight(Sign::AckChange,       Kind::Numbers, [0, 2, 0, 0, 0]),
    // Measured: close() with unread bytes, Linux. Injectors can mimic it, so it counts only uncontradicted.
    weight(Sign::HostsOwn,        Kind::Origin,  [2, 0, 0, 0, 0]),
    // Clients reset for reasons of their own, as users leave.
    weight(Sign::ClientsName,     Kind::Role,    [0, 0, 0, 0, 1]),
    // RFC 9293 section 3.10.7.1; measured: a translator that forgot the connection.
    weight(Sign::Answers,         Kind::Role,    [0, 0, 2, 0, 0]),
    weight(Sign::AnswersReadable, Kind::Role,    [0, 0, 3, 0, 0]),
    // A translator does not speak unasked, and a client not with two voices.
    weight(Sign::TwoSpeak,        Kind::Role,    [0, 3, 0, 0, -1]),
    weight(Sign::OthersComplete,  Kind::Others,  [0, 1, 0, 0, 0]),
    // A filter of names lets others through, as a translator that forgot one connection does not choose.
    weight(Sign::OtherNamePasses, Kind::Others,  [0, 2, 0, 0, 0]),
    // RFC 6298: what is lost by chance comes again within three tries.
    weight(Sign::InVain,          Kind::Reach,   [0, 1, 1, -2, 0]),
    weight(Sign::Once,            Kind::Reach,   [0, 0, 0, 1, 0]),
    weight(Sign::Arrived,         Kind::Reach,   [1, 0, 0, 0, 0]),
    // RFC 5382 section 5, and the shorter time-outs of clouds and of Linux.
    weight(Sign::Pause,           Kind::Others,  [0, 0, 2, 0, 0]),
];

/// From so many points over all others on it is proven, where two kinds of signs show it.
const PROVEN: i32 = 5;
/// From so many on it is inferred.
const INFERRED: i32 = 3;
/// A pause worth a word: shorter ones no device forgets.
const PAUSE: Span = Span::from_secs(30);

/// The signs of one ending, and what they are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighed {
    signs: Vec<Sign>,
    /// For endpoint, firewall, translator, loss and client.
    points: [i32; 5],
    /// Of how many kinds there are signs that weigh two points or more, for each.
    witnesses: [usize; 5],
    /// However many points: the sort of packet leaves another reading.
    most: Certainty,
}

impl Weighed {
    /// Of a reset.
    pub fn reset(e: &Evidence, reset: &Reset) -> Self {
        let has = |test: fn(&Doubt) -> bool| reset.doubts.iter().any(|doubt| test(&doubt.value));
        let ttl = has(|doubt| matches!(doubt, Doubt::Ttl(..)));
        let link = has(|doubt| *doubt == Doubt::LinkAddress);
        let went_on = has(|doubt| *doubt == Doubt::SenderWentOn);
        let (new_data, new_ack) =
            (has(|doubt| *doubt == Doubt::NewData), has(|doubt| *doubt == Doubt::NewAck));
        let nearer = e.tcp.ttl.of(reset.from).is_some_and(|usual| reset.nearer_than(usual));
        let far_too_soon =
            has(|doubt| matches!(doubt, Doubt::TooSoon(took, rtt) if took.0.saturating_mul(4) < rtt.0));
        let tests = tamper::forged(e, reset.from);
        let forged = |test| tests.iter().any(|(known, _)| *known == test);
        let in_clients_name = reset.from == Side::Client;
        // Its own host answers the server: nothing on the way to it was forgotten.
        let own_answer = e.tcp.resets.iter().any(|other| {
            other.value.from == Side::Client && other.value.answers.is_some() && other.value.doubts.is_empty()
        });
        let asked = reset.answers.is_some() && !own_answer;
        let of_translator = in_clients_name && asked;
        let readable = matches!(e.chain, Chain::Clear(_) | Chain::Cut(_));
        let shown = [
            (Sign::NearerTtl, ttl && nearer),
            (Sign::OtherTtl, ttl && !nearer),
            (Sign::OtherLink, link),
            (Sign::FarTooSoon, far_too_soon),
            (Sign::TooSoon, has(|doubt| matches!(doubt, Doubt::TooSoon(..)))),
            (Sign::NewData, new_data && !of_translator),
            (Sign::NewAck, new_ack && !of_translator),
            (Sign::WentOn, went_on),
            (Sign::Unaware, of_translator && (new_data || new_ack)),
            (Sign::Behind, has(|doubt| *doubt == Doubt::BehindSequence)),
            (Sign::OldTimestamp, has(|doubt| *doubt == Doubt::OldTimestamp)),
            (Sign::Unasked, has(|doubt| *doubt == Doubt::Unasked)),
            (Sign::SeqChange, forged(Forged::RstSeqChange)),
            (Sign::AckChange, forged(Forged::RstAckChange)),
            (Sign::HostsOwn, reset.doubts.is_empty() && as_the_host(reset)),
            (Sign::ClientsName, in_clients_name),
            (Sign::Answers, of_translator),
            (Sign::AnswersReadable, of_translator && readable && reset.answers > Some(0)),
            (Sign::TwoSpeak, in_clients_name && !asked && (own_answer || went_on) && (ttl || link)),
            (Sign::OthersComplete, e.around.server_completes.is_some()),
        ];
        // A translator on the way to the client, which this capture cannot see behind, speaks in its name; and one that forgot
        // the connection in a pause may refuse the client's next bytes, from as near and as soon as a filter.
        let translators = in_clients_name || reset.may_be_forgetful();
        let most = if translators { Certainty::Inferred } else { Certainty::Proven };
        Self::of(&shown, most)
    }

    /// What is shown, and what it is worth: of the signs of one kind the weightiest counts.
    fn of(shown: &[(Sign, bool)], most: Certainty) -> Self {
        let signs: Vec<_> = shown.iter().filter(|(_, shown)| *shown).map(|(sign, _)| *sign).collect();
        let (mut points, mut witnesses) = ([0; 5], [0; 5]);
        let weights: Vec<_> = WEIGHTS.iter().filter(|weight| signs.contains(&weight.sign)).collect();
        for kind in Kind::ALL {
            for ((sum, witnesses), place) in points.iter_mut().zip(&mut witnesses).zip(0..) {
                let of_kind = weights.iter().filter(|weight| weight.kind == kind);
                let given = of_kind.filter_map(|weight| weight.points.get::<usize>(place).copied());
                let given = i32::from(given.max_by_key(|points| points.abs()).unwrap_or(0));
                *sum += given;
                *witnesses += usize::from(given >= 2);
            }
        }
        Self { signs, points, witnesses, most }
    }

    /// Of silence to a SYN or to the client's first bytes.
    pub fn silence(e: &Evidence) -> Self {
        let times = match (&e.hello, &e.tcp.repeats.client) {
            (Some(_), repeats) => repeats.as_ref().map_or(1, |repeats| repeats.value + 1),
            (None, _) => e.tcp.syns,
        };
        let pause = e.hello.as_ref().zip(e.tcp.established.as_ref()).is_some_and(|(hello, established)| {
            hello.when - established.when >= PAUSE && e.prelude.is_none()
        });
        let shown = [
            (Sign::InVain, times >= if e.hello.is_some() { 3 } else { 2 }),
            (Sign::Once, times < 2),
            (Sign::Arrived, e.tcp.acked.server.is_some_and(|acked| acked > 0)),
            (Sign::OtherNamePasses, e.around.sibling.is_none() && e.around.other_name.is_some()),
            (Sign::Pause, pause),
        ];
        Self::of(&shown, Certainty::Inferred)
    }

    /// Whether this is among the signs.
    pub fn shows(&self, sign: Sign) -> bool {
        self.signs.contains(&sign)
    }

    /// Something contradicts that the host sent it whose address it bears.
    pub fn contradicted(&self) -> bool {
        let against = |kind| matches!(kind, Kind::Origin | Kind::Time | Kind::Sequel | Kind::Numbers);
        let weights = WEIGHTS.iter().filter(|weight| self.shows(weight.sign));
        weights
            .into_iter()
            .any(|weight| against(weight.kind) && weight.points.get(Culprit::Firewall as usize) > Some(&0))
    }

    fn points(&self, culprit: Culprit) -> i32 {
        self.points.get(culprit as usize).copied().unwrap_or(0)
    }

    /// By how many points this one leads all others; negative where another leads.
    pub fn lead(&self, culprit: Culprit) -> i32 {
        const ALL: [Culprit; 5] =
            [Culprit::Endpoint, Culprit::Firewall, Culprit::Translator, Culprit::Loss, Culprit::Client];
        let others = ALL.into_iter().filter(|other| *other != culprit).map(|other| self.points(other)).max();
        self.points(culprit) - others.unwrap_or(0).max(0)
    }

    /// How surely it was this one. `None` where nothing shows it, or more shows another.
    pub fn certainty(&self, culprit: Culprit) -> Option<Certainty> {
        let lead = self.lead(culprit);
        let witnesses = self.witnesses.get(culprit as usize).copied().unwrap_or(0);
        let certainty = match lead {
            PROVEN.. if witnesses >= 2 => Certainty::Proven,
            INFERRED.. => Certainty::Inferred,
            0.. if self.points(culprit) > 0 => Certainty::Suspected,
            _ => return None,
        };
        Some(certainty.min(self.most))
    }
}

/// It goes on as its host did: with ACK, where the stream stands, with timestamps, the next IP-ID or so.
fn as_the_host(reset: &Reset) -> bool {
    /// Other connections of the host may have taken some between.
    const NEXT: u16 = 64;
    let follows = |(now, before): (u16, u16)| now != 0 && (1..=NEXT).contains(&now.wrapping_sub(before));
    let continues = reset.ip_id.zip(reset.ip_id_of_host).is_none_or(follows);
    reset.ack && reset.ahead == Some(0) && reset.timestamp.is_some() && continues
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::fixture::{answered, greeted, resent, reset, seen, syn};
    use crate::tls::codes::Version;

    fn weighed(doubts: &[Doubt]) -> Weighed {
        of(&reset(greeted(), Side::Server, doubts))
    }

    fn of(e: &Evidence) -> Weighed {
        Weighed::reset(e, &e.tcp.resets[0].value)
    }

    #[test]
    fn each_sign_has_one_weight() {
        for (n, weight) in WEIGHTS.iter().enumerate() {
            assert!(WEIGHTS[..n].iter().all(|other| other.sign != weight.sign), "{:?}", weight.sign);
        }
    }

    #[test]
    fn nothing_contradicts_a_plain_reset() {
        let plain = weighed(&[]);
        assert!(!plain.contradicted());
        assert_eq!(plain.certainty(Culprit::Firewall), None);
    }

    #[test]
    fn a_ttl_alone_proves_little_and_link_address_beside_it_is_the_same_witness() {
        let certainty = |doubts: &[Doubt]| weighed(doubts).certainty(Culprit::Firewall);
        assert_eq!(certainty(&[Doubt::Ttl(54, 55)]), Some(Certainty::Suspected));
        assert_eq!(certainty(&[Doubt::Ttl(64, 55)]), Some(Certainty::Suspected));
        assert_eq!(certainty(&[Doubt::Ttl(64, 55), Doubt::LinkAddress]), Some(Certainty::Inferred));
    }

    #[test]
    fn two_kinds_of_contradictions_prove_it() {
        let soon = Doubt::TooSoon(Span(71), Span::from_millis(20));
        let proofs: [&[Doubt]; 3] =
            [&[Doubt::Ttl(64, 55), soon], &[soon, Doubt::NewAck], &[Doubt::LinkAddress, Doubt::NewData]];
        for doubts in proofs {
            assert_eq!(weighed(doubts).certainty(Culprit::Firewall), Some(Certainty::Proven), "{doubts:?}");
        }
        let near = Doubt::TooSoon(Span::from_millis(9), Span::from_millis(20));
        assert_eq!(
            weighed(&[near, Doubt::BehindSequence]).certainty(Culprit::Firewall),
            Some(Certainty::Suspected)
        );
    }

    #[test]
    fn a_clock_that_goes_back_is_a_contradiction_and_an_answer_to_nothing_is_odd() {
        assert_eq!(weighed(&[Doubt::OldTimestamp]).certainty(Culprit::Firewall), Some(Certainty::Inferred));
        assert_eq!(weighed(&[Doubt::Unasked]).certainty(Culprit::Firewall), Some(Certainty::Suspected));
        let clients = reset(greeted(), Side::Client, &[Doubt::OldTimestamp]);
        assert_eq!(of(&clients).certainty(Culprit::Firewall), Some(Certainty::Suspected));
    }

    #[test]
    fn resets_that_disagree_are_a_contradiction_beside_another() {
        let mut e = reset(greeted(), Side::Server, &[]);
        let mut second = e.tcp.resets[0].clone();
        (second.value.seq, second.value.ahead) = (1_460, Some(1_460));
        e.tcp.resets.push(second);
        assert_eq!(
            of(&e).certainty(Culprit::Firewall),
            Some(Certainty::Suspected),
            "the capture may lack bytes"
        );
        e.tcp.resets[0].value.doubts.push(seen(Doubt::NewData, 10, 63));
        assert_eq!(of(&e).certainty(Culprit::Firewall), Some(Certainty::Proven));
        e.tcp.resets[0].value.doubts.clear();
        (e.tcp.resets[1].value.seq, e.tcp.resets[1].value.ahead) = (0, Some(0));
        (e.tcp.resets[0].value.ack_field, e.tcp.resets[1].value.ack_field) = (7, 8);
        assert_eq!(of(&e).certainty(Culprit::Firewall), Some(Certainty::Suspected), "some stacks do so");
    }

    #[test]
    fn what_goes_on_as_the_host_did_is_the_hosts_unless_contradicted() {
        let mut e = reset(greeted(), Side::Server, &[]);
        e.around.server_completes = Some(seen((), 1, 0));
        assert_eq!(of(&e).certainty(Culprit::Firewall), Some(Certainty::Suspected));
        let own = &mut e.tcp.resets[0].value;
        (own.ack, own.timestamp, own.ip_id, own.ip_id_of_host) = (true, Some(7), Some(41), Some(40));
        assert_eq!(of(&e).certainty(Culprit::Firewall), None);
        assert_eq!(of(&e).certainty(Culprit::Endpoint), Some(Certainty::Suspected));
        e.tcp.resets[0].value.doubts = vec![seen(Doubt::SenderWentOn, 10, 63), seen(Doubt::NewData, 10, 63)];
        assert_eq!(of(&e).certainty(Culprit::Firewall), Some(Certainty::Inferred), "it was mimicked");
    }

    #[test]
    fn in_the_clients_name_nothing_is_proven() {
        let doubts = [Doubt::Ttl(80, 64), Doubt::LinkAddress, Doubt::SenderWentOn, Doubt::NewData];
        let mut e = reset(greeted(), Side::Client, &doubts);
        assert_eq!(of(&e).certainty(Culprit::Firewall), Some(Certainty::Inferred));
        e.tcp.resets[0].value.answers = Some(0);
        assert!(!of(&e).shows(Sign::TwoSpeak), "it was asked");
        let mut own = reset(greeted(), Side::Client, &[]).tcp.resets.remove(0);
        own.value.answers = Some(0);
        e.tcp.resets.push(own);
        assert!(of(&e).shows(Sign::TwoSpeak), "the client's own host was asked, and answers");
    }

    #[test]
    fn a_client_that_goes_on_does_not_know_of_a_reset_that_answered_the_server_in_its_name() {
        let mut e =
            reset(greeted(), Side::Client, &[Doubt::Ttl(65, 64), Doubt::SenderWentOn, Doubt::NewData]);
        assert_eq!(of(&e).certainty(Culprit::Firewall), Some(Certainty::Inferred), "unasked");
        e.tcp.resets[0].value.answers = Some(287);
        assert_eq!(
            of(&e).certainty(Culprit::Firewall),
            Some(Certainty::Suspected),
            "a translator speaks so too"
        );
    }

    #[test]
    fn silence_leaves_filter_and_translator_even() {
        for e in [syn(3), resent(greeted(), 4)] {
            let weighed = Weighed::silence(&e);
            assert_eq!((weighed.lead(Culprit::Firewall), weighed.lead(Culprit::Translator)), (0, 0));
            assert!(weighed.lead(Culprit::Loss) < 0);
        }
        assert!(Weighed::silence(&syn(1)).lead(Culprit::Loss) > 0);
    }

    #[test]
    fn another_name_that_passes_tips_the_scales_and_so_does_a_pause() {
        let mut e = resent(greeted(), 4);
        e.around.other_name = Some(seen(e.server, 1, 0));
        assert_eq!(Weighed::silence(&e).lead(Culprit::Firewall), 2);
        e.around.sibling = e.around.other_name.clone();
        assert_eq!(Weighed::silence(&e).lead(Culprit::Firewall), 0, "the same name passes too");
        let mut e = resent(greeted(), 4);
        e.hello.as_mut().unwrap().when = e.started + Span::from_secs(360);
        assert_eq!(Weighed::silence(&e).lead(Culprit::Translator), 2);
    }

    #[test]
    fn an_answer_of_a_translator_to_a_readable_flight_is_its_own() {
        let mut e = reset(answered(Version::TLS13), Side::Client, &[Doubt::Ttl(65, 64)]);
        e.tcp.resets[0].value.answers = Some(0);
        assert_eq!(of(&e).certainty(Culprit::Translator), Some(Certainty::Suspected));
    }
}
