//! Resets made between the two vantage points behind a hello that had passed.

use super::{AT_ONCE, Across, FORGOT, Findings, PASSED, all, dropped};
use crate::cause::{Cause, Certainty, Finding, Party};
use crate::evidence::Chain;
use crate::evidence::crossing::Crossed;

impl<'a> Across<'a> {
    /// The hello came out; somebody between the two reset one side or both.
    pub(super) fn reset_made(&self) -> Option<Findings> {
        let hello = self.said.iter().copied().find(|one| one.passed())?;
        let (near, far) = (self.made_near(), self.made_far());
        if near.is_none() && far.is_none() {
            return None;
        }
        let behind = |one: &&&Crossed| {
            one.far.is_some_and(|far| hello.far.is_some_and(|h| far.mark.when >= h.mark.when))
        };
        let answers: Vec<_> = self.answers.iter().filter(behind).copied().collect();
        if let Some(reset) = near {
            let says = format!("a reset in the server's name was made {}", self.place());
            // The server did not end it: it answered all the same.
            let went_on = answers.iter().find(|one| {
                one.far.zip(reset.near).is_some_and(|(far, reset)| {
                    far.mark.when - self.crossing.clock(far.mark.no)
                        > reset.mark.when - self.crossing.clock(reset.mark.no)
                })
            });
            let witnesses = 1 + usize::from(went_on.is_some()) + usize::from(far.is_some());
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

    /// Only the server was reset, in the client's name: by a translator that forgot, or by a filter that read its answer.
    fn reset_for_the_server(&self, reset: &Crossed, hello: &Crossed, answers: &[&Crossed]) -> Findings {
        let kept: Vec<_> = answers.iter().copied().filter(|one| dropped(one)).collect();
        let let_in: Vec<_> = answers.iter().copied().filter(|one| one.passed()).collect();
        let when = |one: &Crossed| one.far.map(|far| far.mark.when);
        let says = format!("a reset in the client's name was made {}", self.place());
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
        let Some(first) = kept.first() else { return vec![filtered(self.sure(1), "injected_reset")] };
        if let_in.iter().any(|one| when(one) > when(first)) {
            return vec![filtered(self.sure(2), "reset_after_hello")]; // the connection was known all the time
        }
        // A filter finds nothing to refuse in a bare acknowledgment, nor behind the certificate.
        if first.mark().payload == 0 {
            return vec![forgot(self.sure(2))];
        }
        if let_in.iter().any(|one| one.mark().payload > 0)
            && !matches!(self.evidence.chain, Chain::Unsent | Chain::Cut(_))
        {
            return vec![forgot(Certainty::Inferred)];
        }
        // A moment before, it was known.
        let before = let_in.last().and_then(|one| when(one)).zip(when(first));
        if before.is_some_and(|(before, first)| first - before <= AT_ONCE) {
            return vec![filtered(self.sure(2), "reset_after_hello")];
        }
        vec![filtered(Certainty::Inferred, "reset_after_hello"), forgot(Certainty::Suspected)]
    }
}
