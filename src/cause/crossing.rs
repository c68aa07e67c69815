//! What two vantage points prove: on which side of the gateway a packet was lost or made.
//!
//! [`firewall`] and [`nat_drop`] ask here first. A packet that went in and never came out, or came out and never went in,
//! leaves no doubt about the place. Whether policy or a forgotten translation did it is told by what else passed: a
//! filter chooses by content, a translator that forgot a connection lets nothing of it through, or under another name. That
//! the gateway was up, and had room, is told by others that crossed between two packets that did not.

mod dropped;
mod resets;
mod untaken;

use super::{Cause, Certainty, Finding, Judgement, Party};
use crate::base::{PacketNo, Packets, Side, Span, Stamp};
use crate::evidence::crossing::trace::Mark;
use crate::evidence::crossing::{Crossed, Crossing, Fate, Vantage};
use crate::evidence::{Evidence, Pause};

/// Somebody who waited so long before the hello gave a translator the time to forget.
const PAUSE: Span = Span::from_secs(30);
/// A client that has connected says hello sooner.
const PROMPT: Span = Span::from_millis(300);
/// No translator forgets a connection by chance in between.
const AT_ONCE: Span = Pause::AT_ONCE;

/// Where it was that what one of them alone shows was lost or made.
const PLACE: &str = "between the two capture points";

/// What the two say about a cause of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This.
    Found(Finding),
    /// They show that it was another cause.
    Other,
    /// Nothing that one of them alone does not.
    Nothing,
}

impl Verdict {
    /// The judgement, where they say anything.
    pub fn judged(self) -> Option<Judgement> {
        match self {
            Self::Found(finding) => Some(Judgement::Found(finding)),
            Self::Other => Some(Judgement::Absent),
            Self::Nothing => None,
        }
    }
}

/// What they say about a firewall.
pub fn firewall(evidence: &Evidence) -> Verdict {
    of(evidence, Cause::Firewall)
}

/// What they say about address translation.
pub fn nat_drop(evidence: &Evidence) -> Verdict {
    of(evidence, Cause::NatDrop)
}

/// Whether they prove anything.
pub fn prove(evidence: &Evidence) -> bool {
    let Some(crossing) = &evidence.around.crossing else { return false };
    Across::of(evidence, crossing).judge().iter().any(|(_, finding)| finding.certainty == Certainty::Proven)
}

/// Somebody between the two answers in the server's place: nothing of the connection crosses, though it was handed to the
/// gateway, which makes one of its own to that server meanwhile. Its SYN.
pub fn spliced(evidence: &Evidence) -> Option<PacketNo> {
    let crossing = evidence.around.crossing.as_ref()?;
    let packets = || crossing.packets.iter();
    let made = packets().any(|one| one.mark().is_syn_ack() && one.fate == Fate::Made);
    let beside = &crossing.beside;
    let its = beside.handed == Some(true) && !beside.gateways_own && !beside.lossy;
    beside.gateway_made.filter(|_| made && its && !packets().any(Crossed::passed))
}

/// The translator handed a name on to this client that another had a moment before, and the server answers that one, up to
/// this sequence number: the earlier connection's last packet.
pub fn handed_on(evidence: &Evidence, acknowledges: u32) -> Option<PacketNo> {
    let crossing = evidence.around.crossing.as_ref()?;
    let (last, end) = crossing.beside.handed_on.filter(|_| !crossing.beside.lossy)?;
    let passed = crossing.packets.iter().any(|one| one.mark().is_syn() && one.passed());
    (passed && end == acknowledges).then_some(last)
}

fn of(evidence: &Evidence, cause: Cause) -> Verdict {
    let Some(crossing) = &evidence.around.crossing else { return Verdict::Nothing };
    let found = Across::of(evidence, crossing).judge();
    let decided = !found.is_empty();
    let surest = found.iter().map(|(_, finding)| finding.certainty).max();
    match found.into_iter().find(|(of, _)| *of == cause) {
        Some((_, finding)) => Verdict::Found(finding),
        // What is only suspected leaves the other causes open.
        None if decided && surest > Some(Certainty::Suspected) => Verdict::Other,
        None => Verdict::Nothing,
    }
}

type Findings = Vec<(Cause, Finding)>;

/// The packets of a connection, as the rules ask for them.
struct Across<'a> {
    evidence: &'a Evidence,
    crossing: &'a Crossing,
    syns: Vec<&'a Crossed>,
    syn_acks: Vec<&'a Crossed>,
    /// What the client sent with payload.
    said: Vec<&'a Crossed>,
    /// What the server sent behind its SYN/ACK that is no reset.
    answers: Vec<&'a Crossed>,
    /// Resets; what comes behind the client's own close ended nothing.
    resets: Vec<&'a Crossed>,
}

impl<'a> Across<'a> {
    fn of(evidence: &'a Evidence, crossing: &'a Crossing) -> Self {
        let packets = || crossing.packets.iter();
        Self {
            evidence,
            crossing,
            syns: packets().filter(|one| one.from == Side::Client && one.mark().is_syn()).collect(),
            syn_acks: packets().filter(|one| one.from == Side::Server && one.mark().is_syn_ack()).collect(),
            said: packets()
                .filter(|one| one.from == Side::Client && one.mark().payload > 0 && !one.mark().flags.rst())
                .collect(),
            answers: packets()
                .filter(|one| {
                    let flags = one.mark().flags;
                    one.from == Side::Server && !flags.syn() && !flags.rst()
                })
                .collect(),
            resets: packets().take_while(|one| !closes(one)).filter(|one| one.mark().flags.rst()).collect(),
        }
    }

    fn judge(&self) -> Findings {
        let crosses = self.crossing.packets.iter().any(Crossed::passed);
        let beside = &self.crossing.beside;
        if !crosses {
            // Nothing of it was seen on the other side: it may have had no business there.
            let outer = self.crossing.near == Vantage::Outside;
            if beside.gateways_own || beside.handed == Some(false) || beside.handed.is_none() && outer {
                return Vec::new();
            }
            let begun = || self.hello_dropped().filter(|_| self.begun());
            let mut found =
                self.prohibited().or_else(|| self.unanswered()).or_else(begun).unwrap_or_default();
            if beside.handed.is_none() {
                for (_, finding) in &mut found {
                    finding.certainty = finding.certainty.min(Certainty::Inferred);
                }
            }
            return found;
        }
        let rules: [fn(&Self) -> Option<Findings>; 10] = [
            Self::prohibited,
            Self::unanswered,
            Self::syn_ack_untaken,
            Self::astray,
            Self::renamed,
            Self::hello_dropped,
            Self::reset_made,
            Self::answer_dropped,
            Self::answer_untaken,
            Self::large_untaken,
        ];
        rules.iter().find_map(|rule| rule(self)).unwrap_or_default()
    }

    /// Two witnesses prove; a capture that lost packets is none.
    fn sure(&self, witnesses: usize) -> Certainty {
        if witnesses >= 2 && !self.crossing.beside.lossy && !self.crossing.lacks() {
            Certainty::Proven
        } else {
            Certainty::Inferred
        }
    }

    /// The last packet of the client that came out before this one went in.
    fn before(&self, first: &Crossed) -> Option<&'a Crossed> {
        let when = first.near.map(|near| near.mark.when);
        let earlier = |one: &&Crossed| {
            one.from == Side::Client && one.passed() && one.near.map(|near| near.mark.when) < when
        };
        self.crossing.packets.iter().rfind(earlier)
    }

    /// When this was seen, by the inner clock.
    fn when(&self, mark: &Mark) -> Stamp {
        mark.when - self.crossing.clock(mark.no)
    }

    /// How long nothing of the connection had passed when this was said; very long where nothing is seen to have.
    fn pause(&self, said: &Crossed) -> Span {
        let when = self.when(said.mark());
        let known = |one: &&Crossed| matches!(one.fate, Fate::Passed(_) | Fate::Unknown(_));
        let seen = self.crossing.packets.iter().filter(known).map(|one| self.when(one.mark()));
        seen.filter(|seen| *seen < when).max().map_or(PAUSE, |last| when - last)
    }

    /// It was under way on the far side before the near capture began.
    fn begun(&self) -> bool {
        let unseen = |one: &&Crossed| one.near.is_none() && matches!(one.fate, Fate::Unknown(_));
        self.crossing.packets.iter().filter(unseen).any(|one| one.mark().is_syn_ack())
    }

    /// Adds that to a finding about this packet.
    fn with_before(&self, finding: Finding, first: &Crossed) -> Finding {
        match self.before(first) {
            Some(before) => finding.and(before.at(), "up to here the client's packets came out"),
            None => finding,
        }
    }

    /// The client's packets that carry nothing, from its first acknowledgment on.
    fn bare(&self) -> impl Iterator<Item = &'a Crossed> {
        self.crossing.packets.iter().filter(|one| {
            let mark = one.mark();
            let signs = mark.flags.syn() || mark.flags.rst();
            one.from == Side::Client && one.near.is_some() && mark.payload == 0 && !signs
        })
    }

    /// The client closed behind that moment, its FIN came out under the connection's name, and nothing of it had come out
    /// before: of what it forgot, no translator makes a FIN the beginning.
    fn closed_under_its_name(&self, after: Stamp) -> Option<&'a Crossed> {
        let name = self.syns.iter().find_map(|one| one.far).map(|far| far.client)?;
        let behind =
            |one: &&Crossed| one.from == Side::Client && one.far.is_some_and(|far| far.mark.when > after);
        let made = |one: &&Crossed| one.fate != Fate::Made;
        let first = self.crossing.packets.iter().filter(behind).find(made)?;
        let named = first.far.is_some_and(|far| far.client == name);
        (closes(first) && named).then_some(first)
    }

    /// Made between the two, on the client's side.
    fn made_near(&self) -> Option<&'a Crossed> {
        self.resets.iter().copied().find(|one| one.from == Side::Server && one.fate == Fate::Made)
    }

    /// Made between the two, on the server's side.
    fn made_far(&self) -> Option<&'a Crossed> {
        self.resets.iter().copied().find(|one| one.from == Side::Client && one.fate == Fate::Made)
    }

    /// What the gateway refused, it said itself by ICMP.
    fn prohibited(&self) -> Option<Findings> {
        let (near, far) = &self.crossing.icmp;
        // Who finds no way to a host finds none to its other ports.
        let host = match self.crossing.beside.to_host {
            (Some(before), Some(after)) => Some((before, after)),
            _ => None,
        };
        let said = near.iter().find(|seen| {
            let error = &seen.value;
            match (error.v6, error.kind, error.code) {
                (false, 3, 3 | 9 | 10 | 13) | (true, 1, 1 | 4 | 5 | 6) => true,
                (false, 3, 0 | 1) | (true, 1, 0 | 3) => host.is_some(),
                _ => false,
            }
        })?;
        // One that came from farther away passed the outer capture point.
        let refused: Vec<_> =
            self.syns.iter().chain(&self.said).copied().filter(|one| dropped(one)).collect();
        if !far.is_empty() || refused.is_empty() || self.evidence.tcp.bytes.server > 0 {
            return None;
        }
        let error = &said.value;
        let says = format!(
            "{} said by ICMP{} {}/{} that it let nothing through, {}",
            error.hop.src,
            if error.v6 { "v6" } else { "" },
            error.kind,
            error.code,
            PLACE
        );
        let mut finding = Finding::new(self.sure(2), "icmp_prohibited", Party::Path, &said.at, says)
            .and(all(&refused), "what it refused went in and did not come out");
        if let Some((before, after)) = host {
            let both = [before, after].into_iter().collect::<Packets>();
            finding = finding.and(both, "before and after, SYNs to another port of that host came out");
        }
        Some(vec![(Cause::Firewall, finding)])
    }

    /// SYNs that no SYN/ACK answered.
    fn unanswered(&self) -> Option<Findings> {
        let first = self.syns.first()?;
        if self.syn_acks.iter().any(|one| one.passed() || one.near.is_some()) || !self.said.is_empty() {
            return None;
        }
        let left: Vec<_> = self.syns.iter().copied().filter(|one| one.passed()).collect();
        let refused = self.resets.iter().copied().find(|one| one.from == Side::Server);
        if left.is_empty() {
            if first.near.is_none() || !self.syns.iter().all(|one| dropped(one)) {
                return None;
            }
            return match refused {
                Some(reset) if reset.fate == Fate::Made => {
                    Some(vec![(Cause::Firewall, self.syn_reset(reset))])
                }
                Some(_) => None,
                None => self.never_left(),
            };
        }
        if let Some(reset) = refused.filter(|reset| reset.passed()) {
            let says = format!(
                "the reset came from beyond the gateway: {} refused the connection",
                self.evidence.server
            );
            let finding = Finding::new(self.sure(2), "port_closed", Party::Server, reset.at(), says)
                .and(all(&left), "the SYN that was refused had left");
            return Some(vec![(Cause::Firewall, finding)]);
        }
        if let Some(reset) = refused.filter(|reset| reset.fate == Fate::Made && self.syn_acks.is_empty()) {
            return Some(vec![(Cause::Firewall, self.syn_reset(reset))]);
        }
        // The answers that came were not let in.
        let kept: Vec<_> = self.syn_acks.iter().copied().filter(|one| dropped(one)).collect();
        if kept.is_empty() {
            return None;
        }
        let says = format!("{} SYN/ACKs of the server went in and did not come out, {}", kept.len(), PLACE);
        if let Some(reset) = self.made_far() {
            let finding = Finding::new(self.sure(2), "mapping_lost", Party::Path, reset.at(), FORGOT)
                .and(all(&kept), says);
            return Some(vec![(Cause::NatDrop, finding)]);
        }
        let finding = Finding::new(self.sure(kept.len()), "syn_dropped", Party::Path, all(&kept), says)
            .and(all(&left), "the SYNs that they answer had left");
        Some(vec![(Cause::Firewall, finding)])
    }

    fn syn_reset(&self, reset: &Crossed) -> Finding {
        let says = format!("the reset that answered the SYN was made {}", PLACE);
        Finding::new(self.sure(2), "syn_reset", Party::Path, reset.at(), says)
            .and(all(&self.syns), "no SYN came out on the other side")
    }

    /// No SYN came out, and nothing answered: policy, or a translator that has no port left towards this server.
    fn never_left(&self) -> Option<Findings> {
        let beside = &self.crossing.beside;
        // A gateway that says why, says of no policy that it finds no way or no host.
        if self.syns.len() < 2 || !self.crossing.icmp.0.is_empty() {
            return None;
        }
        let says = format!("{} SYNs went in and none came out, {}", self.syns.len(), PLACE);
        let finding = |certainty, reason, says: &str| {
            Finding::new(certainty, reason, Party::Path, all(&self.syns), says)
        };
        let pool = beside.translated && beside.renumbered && !beside.to_server;
        if pool && beside.held > 0 {
            let held = format!("{says}, while {} connections to the same server held ports", beside.held);
            if !beside.pool_is_held {
                return Some(vec![
                    (Cause::NatDrop, finding(Certainty::Suspected, "port_exhausted", &held)),
                    (Cause::Firewall, finding(Certainty::Suspected, "syn_dropped", &says)),
                ]);
            }
            let held = format!("{held}: all ports that were seen in use, which it had used again before");
            // It refuses neither this client nor this server: one of those ports is all that it waits for.
            let certainty = match (beside.meanwhile, beside.freed) {
                (Some(_), Some(_)) if beside.of_client && beside.pool_is_whole => self.sure(2),
                _ => Certainty::Inferred,
            };
            let mut finding = finding(certainty, "port_exhausted", &held);
            if let Some(other) = beside.meanwhile {
                finding = finding.and(other, "meanwhile a SYN to another server came out");
            }
            if let Some(later) = beside.freed {
                finding = finding.and(later, "a later SYN to this server came out, from one of these ports");
            }
            return Some(vec![(Cause::NatDrop, finding)]);
        }
        // Others came through meanwhile, so there was room, and neither capture was blind.
        let crowded = beside.translated && beside.strangers && !beside.to_server;
        // A translator that has ports of its own may have none left for this client.
        let quota = beside.moves_ports && !beside.of_client;
        let between = beside.meanwhile.filter(|_| !crowded && !quota && !beside.lost_too);
        let certainty = if between.is_some() { self.sure(2) } else { Certainty::Inferred };
        let mut finding = finding(certainty, "syn_dropped", &says);
        if let Some(other) = between {
            finding = finding.and(other, "meanwhile another connection's SYN came out");
        }
        Some(vec![(Cause::Firewall, finding)])
    }

    /// The SYN/ACK was delivered to somebody who had not asked, or came another way than the SYN went.
    fn astray(&self) -> Option<Findings> {
        let client = self.evidence.client;
        let ends = |one: &&Crossed| one.near.map(|near| near.client);
        let asked = self.syns.iter().find_map(&ends)?;
        let astray = self.syn_acks.iter().copied().find(|one| ends(one).is_some_and(|to| to != asked));
        if let Some(astray) = astray.filter(|one| one.passed())
            && !self.syn_acks.iter().any(|one| one.passed() && ends(one) == Some(asked))
        {
            let to = ends(&astray).unwrap_or(client);
            let says = format!("the SYN/ACK that answers {asked} was delivered to {to}");
            let finding = Finding::new(self.sure(2), "port_reuse", Party::Path, astray.at(), says)
                .and(all(&self.syns), format!("the client asked {} times", self.syns.len()));
            return Some(vec![(Cause::NatDrop, finding)]);
        }
        // Not seen outside though it was seen inside: it took another way.
        let around = self.syn_acks.iter().copied().find(|one| one.fate == Fate::Made)?;
        let lost: Vec<_> = self.said.iter().copied().filter(|one| dropped(one)).collect();
        let left: Vec<_> = self.syns.iter().copied().filter(|one| one.passed()).collect();
        // Had it passed unseen, the acknowledgment would have passed too.
        let unheard = self.bare().any(dropped) && !self.bare().any(Crossed::passed);
        if left.is_empty() || !unheard || lost.len() < 2 || self.said.iter().any(|one| one.passed()) {
            return None;
        }
        let says = "the SYN/ACK did not come through the gateway: the server's packets take another way";
        let finding = Finding::new(self.sure(2), "asymmetric", Party::Path, around.at(), says)
            .and(all(&left), "the SYN that it answers had left through it")
            .and(all(&lost), "what the client sent then went in and did not come out");
        Some(vec![(Cause::NatDrop, finding)])
    }

    /// The hello came out under another name than the SYN.
    fn renamed(&self) -> Option<Findings> {
        let syn = self.syns.iter().copied().find(|one| one.passed())?;
        let was = syn.far?.client;
        let hello = self
            .said
            .iter()
            .copied()
            .find(|one| one.passed() && one.far.is_some_and(|far| far.client != was))?;
        let (now, own) = (hello.far?.client, hello.near?.client);
        if self.said.iter().any(|one| one.passed() && one.far.is_some_and(|far| far.client == was)) {
            return None;
        }
        let says = if now == own {
            format!("the ClientHello left untranslated, as {now}; the SYN had left as {was}")
        } else {
            format!("the ClientHello left as {now}, the SYN had left as {was}")
        };
        let mut finding = Finding::new(self.sure(2), "mapping_lost", Party::Path, hello.at(), says)
            .and(syn.at(), "the SYN");
        if let Some(reset) = self.resets.iter().find(|one| one.from == Side::Server && one.passed()) {
            finding = finding.and(reset.at(), "the server does not know that name and resets it");
        }
        Some(vec![(Cause::NatDrop, finding)])
    }
}

/// Why nothing is said where both sides were captured and show nothing.
pub const NEITHER: &str = "neither capture point shows what ended it";
/// What a reset behind the hello had no part in.
const PASSED: &str = "the ClientHello had passed";
/// Why a translator's own reset proves that it forgot.
const FORGOT: &str =
    "the gateway itself reset the server's packet, as a host does that knows no such connection";

/// The client closed, and its FIN came out.
fn closes(one: &Crossed) -> bool {
    one.from == Side::Client && one.mark().flags.fin() && one.passed()
}

fn dropped(one: &Crossed) -> bool {
    one.fate == Fate::Dropped
}

/// All their packets.
fn all(of: &[&Crossed]) -> Packets {
    of.iter().flat_map(|one| [one.near, one.far]).flatten().map(|sight| sight.mark.no).collect()
}

#[cfg(test)]
mod tests;
