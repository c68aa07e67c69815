//! One ring of an interface followed from its first packet to its end, in a thread of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::ahead;
use super::bypass::Bypass;
use super::clock::{Clock, Eras};
use super::gauges::{Gauges, Kernel, Reading};
use super::judge::Mark;
use super::renewal::Renewal;
use super::retain::Retain;
use super::rings::Ring;
use super::run::{Lent, Settings, Totals};
use super::shard::Shard;
use super::vantages::{Shared, lock};
use crate::base::{Limits, Lost, PacketNo, Span, Stamp};
use crate::decode::{Decoder, Frame, IcmpError, Packet};
use crate::evidence::crossing::Vantage;

/// What was decided is handed on when nothing more lies ready, but no more often than this, so that what judges is neither
/// woken nor fetched into the caches for each.
const HAND: Span = Span::from_millis(5);
/// On a link that never falls silent it is after so many packets, or after so long by their stamps.
const BATCH: usize = 4_096;
const LATEST: Span = Span::from_millis(50);
/// How often the kernel is asked for its counts.
const ASK: Span = Span::from_millis(100);
/// Behind a moment of which nothing more will come.
pub(super) const JUST_BEHIND: Span = Span(1);
/// ICMP errors on their way to other rings. They come one by one; a flood of them may be cut short.
const ERRORS: usize = 1_024;
/// Packets after which errors that other rings saw are looked for.
const LOOK: usize = 64;

/// An ICMP error that another ring saw, the packet's number and when it was captured.
type Told = (IcmpError, PacketNo, Stamp);

/// A ring's end of the exchange of ICMP errors. An error comes from a router, so the kernel deals it to any ring, while
/// the connection that it quotes is followed by one: every ring gets to see it.
pub(super) struct Errors {
    others: Vec<Sender<Told>>,
    inbox: Receiver<Told>,
    /// Those taken from the inbox whose time has not come here.
    early: VecDeque<Told>,
    lost: u64,
}

impl Errors {
    /// The ends of as many rings.
    pub(super) fn between(rings: usize) -> Vec<Self> {
        let ends: Vec<_> = (0..rings).map(|_| crossbeam_channel::bounded(ERRORS)).collect();
        let to = |own: usize| {
            ends.iter()
                .enumerate()
                .filter(|(id, _)| *id != own)
                .map(|(_, (sender, _))| sender.clone())
                .collect()
        };
        let end = |(id, (_, inbox)): (usize, &(_, Receiver<Told>))| Self {
            others: to(id),
            inbox: inbox.clone(),
            early: VecDeque::new(),
            lost: 0,
        };
        ends.iter().enumerate().map(end).collect()
    }

    /// The end of a lone ring.
    pub(super) fn none() -> Self {
        Self { others: Vec::new(), inbox: crossbeam_channel::never(), early: VecDeque::new(), lost: 0 }
    }

    fn tell(&mut self, error: IcmpError, no: PacketNo, stamp: Stamp) {
        for other in &self.others {
            self.lost += u64::from(other.try_send((error, no, stamp)).is_err());
        }
    }

    /// Hands to the shard what others saw before `now`: not earlier, since a quoted packet may still lie in the ring.
    fn take(&mut self, shard: &mut Shard, now: Stamp) {
        let room = ERRORS.saturating_sub(self.early.len());
        self.early.extend(self.inbox.try_iter().take(room));
        while let Some(&(error, no, stamp)) = self.early.front()
            && stamp <= now
        {
            self.early.pop_front();
            shard.packet(&Packet::IcmpError(error), no, stamp, now);
        }
    }
}

/// Whether a ring may lack packets of an attempt that is judged now: the kernel lost some, or the interface was down.
struct Missed {
    /// Losses that are known.
    losses: u64,
    /// When the last of them became known, while it matters.
    last: Option<Stamp>,
    /// An attempt that is judged now may have begun so long ago.
    matters: Span,
}

impl Missed {
    /// What a client sends again without an answer, and waits between.
    const AGAIN: Span = Span::from_secs(120);

    fn new(limits: &Limits) -> Self {
        let matters = Span(limits.idle.0 + limits.stall.0 + limits.sibling.0 + Self::AGAIN.0);
        Self { losses: 0, last: None, matters }
    }

    /// Takes what the kernel says. `None` where there is nothing to say; of several rings each says again what another
    /// took back.
    fn look(&mut self, kernel: &Kernel, now: Stamp) -> Option<bool> {
        let Kernel { dropped, link, .. } = kernel;
        let losses = dropped + link.returned;
        let is_new = losses > self.losses || link.down.is_some();
        self.losses = losses;
        let before = self.last;
        self.last = if is_new { Some(now) } else { before.filter(|last| now - *last < self.matters) };
        (before.is_some() || is_new).then_some(self.last.is_some())
    }
}

/// Where what leaves a shard goes: the shard, the era of what it holds, and the mark behind that. False once nobody takes
/// it any more.
pub(super) type HandOn<'a> = &'a mut dyn FnMut(&mut Shard, u64, Mark) -> bool;

/// What a ring's thread holds.
pub(super) struct Follow<'a> {
    decoder: Decoder,
    shard: Shard,
    retain: Option<Retain>,
    /// Where the kernel is to keep back what finished connections carry.
    bypass: Option<Bypass>,
    /// Where both sides of a gateway are read: which this is, and what both saw.
    seen: Option<(Vantage, Shared)>,
    missed: Missed,
    errors: Errors,
    clock: Clock,
    eras: &'a Eras,
    renewal: &'a Renewal,
    /// The renewal taken over last.
    newest: u64,
    hand_on: HandOn<'a>,
    gauges: Arc<Gauges>,
    reading: Reading,
    totals: Totals,
    lost: Lost,
    /// When the kernel was asked, and when something was handed on; that also by the clock that nobody sets.
    asked: Stamp,
    handed: Stamp,
    handed_at: Span,
    /// Packets since then.
    since: usize,
    /// It ticked twice, and no packet came between.
    silent: bool,
    /// It ticked last.
    ticked: bool,
}

impl<'a> Follow<'a> {
    /// The `id`-th ring of an interface, nothing read yet.
    pub(super) fn new(
        id: usize,
        ring: &dyn Ring,
        settings: &Settings,
        renewal: &'a Renewal,
        eras: &'a Eras,
        errors: Errors,
        hand_on: HandOn<'a>,
    ) -> Self {
        let limits = &settings.limits;
        let mut shard =
            Shard::new(Arc::clone(limits), Arc::clone(&settings.ports), id).with_keys(&settings.keys);
        let retain = ring.recent().map(Retain::new);
        if retain.is_some() {
            shard.tell_unreported();
        }
        Self {
            decoder: Decoder::new(&settings.limits),
            shard,
            retain,
            bypass: Bypass::of(ring),
            seen: None,
            missed: Missed::new(limits),
            errors,
            clock: Clock::new(),
            eras,
            renewal,
            newest: 0,
            hand_on,
            gauges: ring.gauges(),
            reading: Reading::default(),
            totals: Totals::default(),
            lost: Lost::default(),
            asked: Stamp(i64::MIN),
            handed: Stamp(i64::MIN),
            handed_at: Span::default(),
            since: 0,
            silent: false,
            ticked: false,
        }
    }

    /// It is one side of a gateway.
    pub(super) fn at(mut self, vantage: Vantage, both: &Shared) -> Self {
        self.seen = Some((vantage, Shared::clone(both)));
        self
    }

    /// Reads the ring to its end.
    pub(super) fn run(mut self, ring: &mut dyn Ring) -> Totals {
        loop {
            let elapsed = ring.elapsed();
            let more = ring.lend(&mut |lent| match lent {
                Lent::Frames(frames) => self.frames(frames, elapsed),
                Lent::Tick(stamp) => self.tick(stamp, elapsed),
            });
            if !more {
                break;
            }
            let now = self.clock.now();
            let pause = self.silent || self.ticked && elapsed.0 - self.handed_at.0 >= HAND.0;
            if !pause && self.since < BATCH && now - self.handed < LATEST {
                continue;
            }
            self.since = 0;
            (self.handed, self.handed_at) = (now, elapsed);
            if !self.hand_on(now) {
                break;
            }
            self.lost.add(&self.decoder.take_lost());
            self.lost.add(&self.shard.take_lost());
            self.lost.asides_dropped += std::mem::take(&mut self.errors.lost);
            self.let_go();
            if let Some(bypass) = &mut self.bypass {
                bypass.settle(ring, &self.shard, now, self.totals.packets);
                self.lost.handshakes_bypassed += bypass.take_unfollowed();
                self.reading.bypassed = bypass.told();
            }
            if now - self.asked >= ASK {
                self.asked = now;
                self.reading.kernel = ring.kernel();
                if let Some(newer) = self.renewal.newer(&mut self.newest) {
                    self.shard.renew(newer.ports);
                    ring.refilter(newer.filter.as_deref());
                }
            }
            self.look();
            self.gauges.tell(&self.reading);
        }
        self.close_all();
        // Whether anybody takes it no longer matters.
        (self.hand_on)(&mut self.shard, self.clock.era(), Mark::END);
        self.let_go();
        self.decoder.finish();
        self.lost.add(&self.decoder.take_lost());
        self.lost.add(&self.shard.take_lost());
        if let Some(bypass) = &mut self.bypass {
            self.lost.handshakes_bypassed += bypass.take_unfollowed();
            self.reading.bypassed = bypass.told();
        }
        self.reading.kernel = ring.kernel();
        self.look();
        self.totals.lost.clone_from(&self.reading.lost);
        self.gauges.settle(self.reading);
        self.totals
    }

    fn frames(&mut self, frames: &[Frame<'_>], elapsed: Span) {
        ahead::look(&self.shard, frames);
        self.totals.count_all(frames);
        for frame in frames {
            self.pass(frame.stamp, elapsed);
            let now = self.clock.now();
            let plain = self.decoder.plain(frame);
            if let Some(plain) = &plain
                && self.seen.is_none()
                && self.retain.is_none()
                && self.bypass.as_mut().is_none_or(|bypass| bypass.passes_over(plain))
            {
                self.shard.glance(plain, frame, now);
                continue;
            }
            let packet = match plain {
                Some(plain) => Packet::Segment(plain.segment()),
                None => self.decoder.layers(frame),
            };
            if let Some(bypass) = &mut self.bypass
                && !bypass.sees(&packet, frame, &self.shard)
            {
                continue;
            }
            let marked = self.seen.as_ref().map(|(vantage, both)| {
                let no = vantage.mark(frame.no);
                lock(both).of_mut(*vantage).packet(&packet, frame, no);
                Frame { no, ..*frame }
            });
            let frame = marked.as_ref().unwrap_or(frame);
            match &mut self.retain {
                None => self.shard.packet(&packet, frame.no, frame.stamp, now),
                Some(retain) => retain.packet(&mut self.shard, &packet, frame, now),
            }
            if let Packet::IcmpError(error) = packet {
                self.errors.tell(error, frame.no, frame.stamp);
            }
        }
        let before = self.since;
        self.since += frames.len();
        (self.silent, self.ticked) = (false, false);
        if before / LOOK != self.since / LOOK {
            self.errors.take(&mut self.shard, self.clock.now());
        }
    }

    fn tick(&mut self, stamp: Stamp, elapsed: Span) {
        self.silent = std::mem::replace(&mut self.ticked, true);
        self.pass(stamp, elapsed);
        let now = self.clock.now();
        if let Some((vantage, both)) = &self.seen {
            lock(both).of_mut(*vantage).pass(now);
        }
        self.decoder.expire(now);
        self.errors.take(&mut self.shard, now);
        self.shard.tick(now);
    }

    /// Capture time comes to this stamp; where the clock was set, another era begins with it.
    #[inline]
    fn pass(&mut self, stamp: Stamp, elapsed: Span) {
        if self.clock.is_set(stamp, elapsed, self.eras) {
            self.turn();
        }
        self.clock.pass(stamp, elapsed);
    }

    #[cold]
    fn turn(&mut self) {
        self.close_all();
        let before = self.clock.era();
        self.clock.turn(self.eras);
        let mark = Mark { era: self.clock.era(), stamp: Stamp(i64::MIN) };
        (self.hand_on)(&mut self.shard, before, mark);
        self.let_go();
        self.shard.begin_again();
        if let Some(bypass) = &mut self.bypass {
            bypass.let_all_pass();
        }
        self.decoder.finish();
        (self.asked, self.handed) = (Stamp(i64::MIN), Stamp(i64::MIN));
        self.reading.clock_sets += 1;
    }

    /// Ends everything that is open.
    fn close_all(&mut self) {
        let now = self.clock.now();
        self.errors.take(&mut self.shard, now);
        self.errors.early.clear();
        // Each end may leave kilobytes, which are to be gone before the next come.
        while self.shard.finish(now).is_some() && self.hand_on(now + JUST_BEHIND) {}
    }

    /// Hands on what was decided; nothing more that is will have been before this.
    fn hand_on(&mut self, stamp: Stamp) -> bool {
        let era = self.clock.era();
        (self.hand_on)(&mut self.shard, era, Mark { era, stamp })
    }

    fn let_go(&mut self) {
        if let Some(retain) = &self.retain {
            retain.let_go(&mut self.shard);
        }
    }

    /// Reads off how it is.
    fn look(&mut self) {
        let (reading, totals, census) = (&mut self.reading, &self.totals, self.shard.census());
        reading.turns += 1;
        reading.packets = totals.packets;
        reading.bytes = totals.bytes;
        reading.first = totals.first;
        reading.last = totals.last;
        reading.flows_open = census.open;
        reading.flows_finished = census.finished;
        reading.bytes_held = census.bytes_held;
        reading.lost.clone_from(&self.lost);
        reading.lost.kernel_dropped = reading.kernel.dropped;
        self.own_up();
    }

    /// Says to who compares both sides of a gateway whether packets may lack here.
    fn own_up(&mut self) {
        let Some((vantage, both)) = &self.seen else { return };
        if let Some(lossy) = self.missed.look(&self.reading.kernel, self.clock.now()) {
            lock(both).of_mut(*vantage).lossy = lossy;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::gauges::Link;

    fn kernel(dropped: u64, returned: u64, down: Option<&str>) -> Kernel {
        Kernel { dropped, link: Link { down: down.map(str::to_owned), returned }, ..Kernel::default() }
    }

    #[test]
    fn packets_lack_for_as_long_as_an_attempt_may_last() {
        let mut missed = Missed::new(&Limits::default());
        let at = Stamp::from_secs;
        assert_eq!(missed.look(&kernel(0, 0, None), at(0)), None);
        assert_eq!(missed.look(&kernel(7, 0, None), at(1)), Some(true));
        assert_eq!(missed.look(&kernel(7, 0, None), at(600)), Some(true));
        assert_eq!(missed.look(&kernel(7, 0, None), at(1_000)), Some(false), "it is taken back once");
        assert_eq!(missed.look(&kernel(7, 0, None), at(1_001)), None);
        assert_eq!(missed.look(&kernel(7, 0, Some("down")), at(1_002)), Some(true));
        assert_eq!(missed.look(&kernel(7, 0, Some("down")), at(2_000)), Some(true));
        assert_eq!(missed.look(&kernel(7, 1, None), at(2_001)), Some(true));
        assert_eq!(missed.look(&kernel(7, 1, None), at(3_000)), Some(false));
    }
}
