//! Resets made between the two vantage points behind a hello that had passed.

use super::dropped::with;
use super::{AT_ONCE, Across, FORGOT, Findings, PASSED, PLACE, all, dropped};
use crate::base::{Side, Span};
use crate::cause::{Cause, Certainty, Finding, Party};
use crate::evidence::Chain;
use crate::evidence::crossing::Crossed;

/// A server that is nearer answers so soon that nobody can be told from it by time.
const FAR: Span = Span::from_millis(4);

impl<'a> Across<'a> {
    /// The hello came out; somebody between the two reset one side or both.
    pub(super) fn reset_made(&self) -> Option<Findings> {
        let hello = self.said.iter().copied().find(|one| one.passed())?;
        let (near, far) = (self.made_near(), self.made_far());
        if near.is_none() {
            let beyond = self.made_beyond(hello);
            if far.is_none() || beyond.is_some() {
                return beyond;
            }
        }
        let behind = |one: &&&Crossed| {
            one.far.is_some_and(|far| hello.far.is_some_and(|h| far.mark.when >= h.mark.when))
        };
        let answers: Vec<_> = self.answers.iter().filter(behind).copied().collect();
        if let Some(reset) = near {
            let says = format!("a reset in the server's name was made {}", PLACE);
            // The server did not end it: it answered all the same.
            let went_on = answers.iter().find(|one| {
                one.far.zip(reset.near).is_some_and(|(far, reset)| {
                    far.mark.when - self.crossing.clock(far.mark.no)
                        > reset.mark.when - self.crossing.clock(reset.mark.no)
                })
            });
            // One that answers what the server sent in vain is no companion of this one.
            let beside = far.is_some() && !answers.iter().any(|one| dropped(one));
            let witnesses = 1 + usize::from(went_on.is_some()) + usize::from(beside);
            let mut finding =
                Finding::new(self.sure(witnesses), "injected_reset", Party::Path, reset.at(), says)
                    .and(hello.at(), PASSED);
            if let Some(went_on) = went_on {
                finding = finding.and(went_on.at(), "the server answered it all the same");
            }
            if let Some(far) = far {
                finding =
                    finding.and(far.at(), "another reset, in the client's name, was made for the server");
            }
            return Some(vec![(Cause::Firewall, finding)]);
        }
        Some(self.reset_for_the_server(far?, hello, &answers))
    }

    /// The reset came in from beyond, sooner than the server can answer: somebody on the way made it, and the server went on.
    fn made_beyond(&self, hello: &Crossed) -> Option<Findings> {
        let at = |one: &Crossed| one.far.map(|far| far.mark.when);
        let reset = self.resets.iter().copied().find(|one| one.from == Side::Server && one.passed())?;
        let took = at(reset)? - at(hello)?;
        let trip = at(self.syn_acks.first()?)? - at(self.syns.first()?)?;
        if took < Span(0) || took.0.saturating_mul(4) > trip.0 || trip < FAR {
            return None;
        }
        // The server has the hello, and answers when it can.
        let heard = |one: &&Crossed| {
            let mark = one.mark();
            let acked = mark.flags.ack() && mark.ack.wrapping_sub(hello.mark().seq).cast_signed() > 0;
            at(one).is_some_and(|when| Some(when) > at(reset)) && one.passed() && acked
        };
        let went_on = self.answers.iter().copied().find(heard)?;
        let says = format!(
            "a reset in the server's name came in {took} after the ClientHello had left: from there the server answers in {trip}"
        );
        let finding = Finding::new(self.sure(2), "injected_reset", Party::Path, reset.at(), says)
            .and(hello.at(), PASSED)
            .and(went_on.at(), "the server answered it all the same");
        Some(vec![(Cause::Firewall, finding)])
    }

    /// Only the server was reset, in the client's name: by a translator that forgot, or by a filter that read its answer.
    fn reset_for_the_server(&self, reset: &Crossed, hello: &Crossed, answers: &[&Crossed]) -> Findings {
        let kept: Vec<_> = answers.iter().copied().filter(|one| dropped(one)).collect();
        let let_in: Vec<_> = answers.iter().copied().filter(|one| one.passed()).collect();
        let when = |one: &Crossed| one.far.map(|far| far.mark.when);
        let says = format!("a reset in the client's name was made {}", PLACE);
        let filtered = |certainty, reason| {
            let mut finding = Finding::new(certainty, reason, Party::Path, reset.at(), says.clone());
            if !kept.is_empty() {
                finding = finding.and(all(&kept), "what it answers went in and did not come out");
            }
            finding = finding.and(hello.at(), PASSED);
            if !let_in.is_empty() {
                finding = finding.and(all(&let_in), "other packets of the server came in");
            }
            (Cause::Firewall, finding)
        };
        let forgot = |certainty| {
            let finding = Finding::new(certainty, "mapping_lost", Party::Path, reset.at(), FORGOT)
                .and(all(&kept), "nothing that the server sent from then on came in")
                .and(hello.at(), PASSED);
            (Cause::NatDrop, finding)
        };
        // The one that it answers; what went missing long before says nothing of it.
        let just = |one: &&&Crossed| {
            let apart = when(reset).zip(when(one)).map(|(reset, one)| reset - one);
            apart.is_some_and(|apart| apart >= Span(0) && apart <= AT_ONCE)
        };
        let Some(first) = kept.iter().rfind(just) else {
            return vec![filtered(self.sure(1), "injected_reset")];
        };
        if let_in.iter().any(|one| when(one) > when(first)) {
            return vec![filtered(self.sure(2), "reset_after_hello")]; // the connection was known all the time
        }
        let reset_at = reset.far.map(|far| far.mark.when);
        if reset_at.is_some_and(|when| self.closed_under_its_name(when).is_some()) {
            return vec![filtered(self.sure(2), "reset_after_hello")];
        }
        // A filter finds nothing to refuse in a bare acknowledgment, nor behind the certificate.
        if first.mark().payload == 0 {
            return vec![forgot(self.sure(2))];
        }
        // What the client sent from then on.
        let ended = reset.far.map(|far| self.when(&far.mark));
        let later = |one: &&Crossed| {
            let own = one.from == Side::Client && !one.mark().flags.rst();
            own && one.near.is_some_and(|near| Some(self.when(&near.mark)) > ended)
        };
        let said: Vec<_> = self.crossing.packets.iter().filter(later).collect();
        let vanished: Vec<_> = said.iter().copied().filter(|one| dropped(one)).collect();
        let gone = !vanished.is_empty() && !said.iter().any(|one| one.passed());
        let spared = self.spared();
        let sure = if gone && spared.is_some() { self.sure(2) } else { Certainty::Inferred };
        let handed_on = let_in.iter().any(|one| one.mark().payload > 0);
        if handed_on && !matches!(self.evidence.chain, Chain::Unsent | Chain::Cut(_)) {
            // Nothing refuses this server's handshakes, and of this one nothing passes either way any more.
            let (cause, finding) = forgot(sure);
            return vec![(cause, with(finding, spared))];
        }
        // Who reads answers lets the client go on, and who forgot does not, unless a filter blocks all that follows.
        if gone && vanished.len() >= 2 {
            let (cause, finding) = forgot(sure);
            let finding = finding.and(all(&vanished), "nor did what the client sent from then on come out");
            let policy = spared.is_none().then(|| filtered(Certainty::Suspected, "reset_after_hello"));
            return std::iter::once((cause, with(finding, spared))).chain(policy).collect();
        }
        // A moment before, it was known.
        let began = first.far.map(|far| far.mark.when);
        let earlier = self.crossing.packets.iter().filter(|one| one.passed()).filter_map(when);
        let before = earlier.filter(|passed| Some(*passed) < began).max();
        if before.zip(began).is_some_and(|(before, began)| began - before <= AT_ONCE) {
            return vec![filtered(self.sure(2), "reset_after_hello")];
        }
        vec![filtered(Certainty::Inferred, "reset_after_hello"), forgot(Certainty::Suspected)]
    }
}
