//! What went in behind the handshake of TCP and did not come out.

use super::{AT_ONCE, Across, FORGOT, Findings, PAUSE, PLACE, PROMPT, all, dropped};
use crate::base::{Cite, PacketNo, Side, Span};
use crate::cause::{Cause, Certainty, Finding, Party};
use crate::evidence::Chain;
use crate::evidence::crossing::{Crossed, LARGE};

/// Time alone makes no translator forget a connection sooner.
const SHORT: Span = Span::from_secs(2);
/// So many connections that all failed behind their pauses are no chance.
const SEVERAL: u32 = 3;
/// What a hello shows that is just like one that got no answer.
const SPARED: &str =
    "the same hello on another connection passed meanwhile, and was answered: nothing refuses it";

impl<'a> Across<'a> {
    /// Nothing of what the client said came out, or only its smaller segments.
    pub(super) fn hello_dropped(&self) -> Option<Findings> {
        let lost: Vec<_> = self.said.iter().copied().filter(|one| dropped(one)).collect();
        let first = lost.first()?;
        let begin = first.mark().seq;
        // A segment that came out when sent again was lost by chance; not so where the client had left by then.
        let again = |one: &&Crossed| one.passed() && one.mark().seq == begin && !one.mark().flags.fin();
        if self.said.iter().any(again) {
            return None;
        }
        let through: Vec<_> = self.said.iter().copied().filter(|one| one.passed()).collect();
        let gone = || format!("the client's bytes went in and did not come out, {}", PLACE);
        if let Some(findings) = self.too_large(&lost, &through) {
            return Some(findings);
        }
        // Only what was sent at the beginning: the rest of a long connection is another matter.
        if self.evidence.tcp.bytes.server > 0 {
            return None;
        }
        let pause = self.pause(first);
        if let Some(reset) = self.made_near() {
            return Some(self.rejected(reset, &lost, pause));
        }
        if lost.len() < 2 {
            return None;
        }
        let when = first.mark().when;
        let later = |one: &&Crossed| {
            one.from == Side::Client
                && one.near.is_some_and(|near| near.mark.when > when)
                && one.mark().payload == 0
        };
        if let Some(bare) = self.crossing.packets.iter().filter(later).find(|one| one.passed()) {
            // It may be too large for the path where nothing as large is seen to pass.
            let fits = lost.iter().any(|one| self.fits(one));
            let by = if fits { "content" } else { "content, or by its size" };
            let says = format!("a later packet of the client without bytes did: it was chosen by {by}");
            let finding =
                Finding::new(self.sure(lost.len()), "dropped_after_hello", Party::Path, all(&lost), gone())
                    .and(bare.at(), says);
            return Some(vec![(Cause::Firewall, finding)]);
        }
        let later = |reset: &&Crossed| reset.far.is_some_and(|far| far.mark.when > when);
        if let Some(reset) = self.made_far().filter(later).filter(|_| pause > AT_ONCE) {
            let (certainty, reason) = self.forgot(pause);
            let spared = self.spared();
            let certainty = if spared.is_some() { certainty } else { Certainty::Inferred };
            let finding =
                Finding::new(certainty, reason, Party::Path, reset.at(), FORGOT).and(all(&lost), gone());
            return Some(vec![(Cause::NatDrop, with(finding, spared))]);
        }
        // From the SYN/ACK on nothing came out, though the server repeats it.
        let unheard = self.bare().any(dropped) && !self.bare().any(Crossed::passed);
        if unheard && self.syn_acks.len() >= 2 {
            let finding = Finding::new(Certainty::Inferred, "asymmetric", Party::Path, all(&lost), gone())
                .and(
                    all(&self.syn_acks),
                    "nor did the acknowledgment that the server awaits: it repeats its SYN/ACK",
                );
            return Some(vec![(Cause::NatDrop, finding)]);
        }
        Some(self.filter_or_translator(&lost, pause, &gone()))
    }

    /// A hello just like this one that nothing refused.
    pub(super) fn spared(&self) -> Option<PacketNo> {
        self.crossing.beside.alike.spares()
    }

    /// It is so small that every path takes it, or others as large crossed.
    pub(super) fn fits(&self, one: &Crossed) -> bool {
        let size = one.mark().payload;
        size < LARGE || *self.crossing.beside.largest.of(one.from) >= size
    }

    /// All longer pauses on this path were too long, and no shorter one.
    fn limited(&self) -> bool {
        self.evidence.around.pauses.as_ref().is_some_and(|pauses| {
            let passed = pauses.longest_passed.as_ref();
            pauses.failed.value >= SEVERAL && passed.is_some_and(|seen| seen.value < pauses.shortest_failed)
        })
    }

    /// What is sure of a translator that forgot: whether time alone made it.
    pub(super) fn forgot(&self, pause: Span) -> (Certainty, &'static str) {
        match pause {
            _ if self.limited() => (self.sure(2), "idle_timeout"),
            _ if pause < SHORT => (self.sure(2), "mapping_lost"),
            _ => (Certainty::Inferred, "idle_timeout"),
        }
    }

    /// Something crossed between two of these: neither the gateway nor a link of it was down.
    fn worked(&self, lost: &[&Crossed]) -> bool {
        let when = |one: &Crossed| one.mark().when - self.crossing.clock(one.mark().no);
        let Some((first, last)) = lost.first().zip(lost.last()) else { return false };
        let between = |one: &&Crossed| one.passed() && when(one) > when(first) && when(one) < when(last);
        let alike = self.evidence.around.contrast.as_ref().map_or(0, |contrast| contrast.alike.value);
        self.crossing.beside.went_on
            || alike >= SEVERAL
            || self.crossing.packets.iter().any(|one| between(&one))
    }

    /// A reset in the server's name answered what did not come out.
    fn rejected(&self, reset: &Crossed, lost: &[&Crossed], pause: Span) -> Findings {
        let says = format!("the reset was made {}: it came from no server", PLACE);
        let finding = |certainty, reason| {
            let finding = Finding::new(certainty, reason, Party::Path, reset.at(), says.clone())
                .and(all(lost), "what it answers did not come out");
            lost.first().map_or(finding.clone(), |first| self.with_before(finding, first))
        };
        // Some translators reset what they no longer know, but not what they came to know just now.
        if pause <= AT_ONCE {
            return vec![(Cause::Firewall, finding(self.sure(2), "reset_after_hello"))];
        }
        // The server's own packet was reset as well, by the gateway itself.
        let unknown = self.made_far().filter(|_| self.answers.iter().any(|one| dropped(one)));
        let (spared, (certainty, reason)) = (self.spared(), self.forgot(pause));
        if spared.is_some() || self.limited() {
            let sure = spared.is_some() && (unknown.is_some() || self.limited());
            let certainty = if sure { certainty } else { Certainty::Inferred };
            let mut finding = with(finding(certainty, reason), spared);
            if let Some(unknown) = unknown {
                finding = finding.and(unknown.at(), FORGOT);
            }
            return vec![(Cause::NatDrop, finding)];
        }
        vec![
            (Cause::NatDrop, finding(Certainty::Suspected, forgotten(pause))),
            (Cause::Firewall, finding(Certainty::Suspected, "reset_after_hello")),
        ]
    }

    /// Nothing of the connection came out any more: a filter of connections and a translator that forgot look alike, but for
    /// the time that it had to forget, and for the others that it spares.
    fn filter_or_translator(&self, lost: &[&Crossed], pause: Span, gone: &str) -> Findings {
        let after = Cite::Packets(all(lost));
        let finding = |certainty, reason, says: String| {
            let finding = Finding::new(certainty, reason, Party::Path, after.clone(), says);
            lost.first().map_or(finding.clone(), |first| self.with_before(finding, first))
        };
        let policy =
            |certainty| (Cause::Firewall, finding(certainty, "dropped_after_hello", gone.to_owned()));
        let forgot = |certainty, reason| {
            let says = format!("{gone}; the hello came {pause} after the set-up");
            (Cause::NatDrop, finding(certainty, reason, says))
        };
        let worked = self.worked(lost);
        let spared = self.spared();
        if spared.is_some() && pause >= PROMPT {
            let (certainty, reason) = self.forgot(pause);
            let certainty = if worked && lost.len() >= 3 { certainty } else { Certainty::Inferred };
            let (cause, finding) = forgot(certainty, reason);
            return vec![(cause, with(finding, spared))];
        }
        // The same name came through on another connection: no filter of names is in the way.
        let named = self.evidence.sni().is_some() && self.evidence.around.sibling.is_some();
        if pause >= PAUSE || named && pause >= PROMPT {
            return vec![forgot(Certainty::Inferred, forgotten(pause))];
        }
        if pause >= PROMPT || spared.is_some() {
            return vec![forgot(Certainty::Suspected, forgotten(pause)), policy(Certainty::Suspected)];
        }
        // The translator knew the connection a moment before, and the gateway went on to let others through.
        let known = self.bare().any(Crossed::passed);
        let fits = lost.iter().all(|one| self.fits(one));
        let prove = worked && fits && known && lost.len() >= 3 && pause <= AT_ONCE;
        vec![policy(if prove { self.sure(2) } else { Certainty::Inferred })]
    }

    /// Only large segments are missing.
    fn too_large(&self, lost: &[&Crossed], through: &[&Crossed]) -> Option<Findings> {
        let least = lost.iter().map(|one| one.mark().payload).min()?;
        let most = through.iter().map(|one| one.mark().payload).max()?;
        // Those of others crossed: the path takes them.
        let from = lost.first()?.from;
        let fit = *self.crossing.beside.largest.of(from) >= least;
        if least < LARGE || most >= least || lost.len() < 3 || fit {
            return None;
        }
        let mut places: Vec<_> = lost.iter().map(|one| one.mark().seq).collect();
        places.sort_unstable();
        places.dedup();
        // Of one segment, its content may have been the reason; nothing in a server's first flight of TLS 1.3 can be.
        let sealed = from == Side::Server && matches!(self.evidence.chain, Chain::Sealed(_) | Chain::Unsent);
        let others = *self.crossing.beside.swallowed.of(from);
        let size = places.len() >= 2 || sealed || others.is_some();
        // A smaller one crossed between two copies: the gateway was up and knew the connection, and whatever made it choose
        // is policy.
        let when = |one: &Crossed| self.when(one.mark());
        let (first, last) =
            (lost.iter().map(|one| when(one)).min()?, lost.iter().map(|one| when(one)).max()?);
        let chosen = through.iter().any(|one| when(one) >= first && when(one) < last);
        let certainty = if size || chosen { self.sure(2) } else { Certainty::Inferred };
        let says = format!(
            "segments of {least} bytes and more of the {from} went in and did not come out, {}",
            PLACE
        );
        let by = if size { "" } else { ": it was chosen by its size, or by its content" };
        let mut finding = Finding::new(certainty, "mtu_black_hole", Party::Path, all(lost), says)
            .and(all(through), format!("smaller ones, of up to {most} bytes, did{by}"));
        if let Some((size, last)) = others {
            finding = finding
                .and(last, format!("nor did one of {size} bytes of another connection, with other content"));
        }
        Some(vec![(Cause::Firewall, finding)])
    }

    /// What the server answered was kept back.
    pub(super) fn answer_dropped(&self) -> Option<Findings> {
        let carrying = |one: &&Crossed| one.mark().payload > 0;
        let kept: Vec<_> = self.answers.iter().copied().filter(carrying).filter(|one| dropped(one)).collect();
        let let_in: Vec<_> =
            self.answers.iter().copied().filter(carrying).filter(|one| one.passed()).collect();
        let first = kept.first()?.mark().seq;
        if kept.len() < 3 || let_in.iter().any(|one| one.mark().seq == first) {
            return None;
        }
        if let Some(findings) = self.too_large(&kept, &let_in) {
            return Some(findings);
        }
        let large = kept.iter().all(|one| !self.fits(one));
        // One that passed behind the first that did not shows that the connection was known all the time.
        let begun = kept.first()?.far?.mark.when;
        let bare = |one: &&Crossed| one.passed() && one.mark().payload == 0;
        let later = |one: &Crossed| one.far.is_some_and(|far| far.mark.when > begun);
        let behind = self.answers.iter().copied().filter(bare).find(|one| later(one));
        let known = behind.or_else(|| self.closed_under_its_name(begun));
        let bare = known.or_else(|| self.answers.iter().copied().find(bare))?;
        let says = format!("what the server answered went in and did not come out, {}", PLACE);
        let (reason, by) = if large && !matches!(self.evidence.chain, Chain::Clear(_) | Chain::Cut(_)) {
            ("mtu_black_hole", "its size, or by its content")
        } else if large {
            ("dropped_after_hello", "its content, or by its size")
        } else {
            ("dropped_after_hello", "its content")
        };
        let certainty = if known.is_some() { self.sure(2) } else { Certainty::Inferred };
        let says_bare = format!("a packet without bytes did: it was chosen by {by}");
        let finding =
            Finding::new(certainty, reason, Party::Path, all(&kept), says).and(bare.at(), says_bare);
        Some(vec![(Cause::Firewall, finding)])
    }
}

/// Adds the hello that shows that nothing refuses this one.
pub(super) fn with(finding: Finding, spared: Option<PacketNo>) -> Finding {
    match spared {
        Some(hello) => finding.and(hello, SPARED),
        None => finding,
    }
}

/// Time alone makes a translator forget, or something else did.
fn forgotten(pause: Span) -> &'static str {
    if pause >= SHORT { "idle_timeout" } else { "mapping_lost" }
}
