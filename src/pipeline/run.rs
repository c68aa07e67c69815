//! Wiring: frames, decoder, shards, join.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use super::join::Join;
use super::make::Make;
use super::shard::{Out, Ports, Shard, What};
use super::{ahead, workers};
use crate::base::{Limits, Lost, PacketNo, Span, Stamp};
use crate::capture::block::Block;
use crate::capture::pieces::Pieces;
use crate::decode::{Decoder, Frame, Frames};
use crate::tls::given::Given;
use crate::tls::keys::Keys;
use crate::tls::trust::Trust;

/// What every analysis shares.
#[derive(Clone)]
pub struct Settings {
    /// Threads that follow connections; one means everything in the calling thread.
    pub workers: usize,
    /// Bounds.
    pub limits: Arc<Limits>,
    /// Ports on which an attempt counts even without a byte.
    pub ports: Arc<Ports>,
    /// Roots.
    pub trust: Arc<Trust>,
    /// Certificates given beforehand.
    pub given: Arc<Given>,
    /// Keys that open sealed records: of a key log, or of the capture itself.
    pub keys: Keys,
    /// Events in order of their ends (files) or as soon as they are decided (interfaces).
    pub in_order: bool,
}

/// What one capture amounted to.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Frames analysed.
    pub packets: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Earliest stamp.
    pub first: Option<Stamp>,
    /// Latest stamp.
    pub last: Option<Stamp>,
    /// Losses of the whole run, beside those that events name.
    pub lost: Lost,
}

/// Where frames come from: lent a few at a time.
pub trait Source {
    /// The next thing, or `None` at the end, and ever after.
    fn next(&mut self) -> Option<Arrival<'_>>;

    /// Lends the next thing, where it need not be moved; false at the end, and ever after.
    fn lend(&mut self, take: &mut dyn FnMut(Lent<'_>)) -> bool {
        lend_next(self, take)
    }

    /// What several threads may read ahead of [`Self::block`], where there is such a thing; asked once, before the first.
    fn pieces(&mut self) -> Option<Arc<Pieces>> {
        None
    }

    /// The next frames with their bytes, for several threads; `None` at the end. `spare` is to be filled again.
    fn block(&mut self, spare: Block) -> Option<Block> {
        let mut block = spare.emptied();
        let mut any = false;
        while !block.is_full()
            && let Some(arrival) = self.next()
        {
            any = true;
            match arrival {
                Arrival::Frames(frames) => frames.iter().for_each(|frame| block.push(frame)),
                Arrival::Tick(stamp) => {
                    block.pass(stamp, PacketNo(0));
                    break;
                }
            }
        }
        any.then_some(block)
    }
}

/// What a source gives.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one, and none is kept")]
pub enum Arrival<'a> {
    /// Frames.
    Frames(Frames<'a>),
    /// Nothing came, and capture time has passed to here.
    Tick(Stamp),
}

/// What a source lends.
#[derive(Clone, Copy, Debug)]
pub enum Lent<'a> {
    /// Frames.
    Frames(&'a [Frame<'a>]),
    /// Nothing came, and capture time has passed to here.
    Tick(Stamp),
}

/// Lends what [`Source::next`] gives.
pub fn lend_next<S: Source + ?Sized>(source: &mut S, take: &mut dyn FnMut(Lent<'_>)) -> bool {
    match source.next() {
        Some(Arrival::Frames(frames)) => take(Lent::Frames(&frames)),
        Some(Arrival::Tick(stamp)) => take(Lent::Tick(stamp)),
        None => return false,
    }
    true
}

impl<'a> Arrival<'a> {
    /// A lone frame.
    pub fn one(frame: Frame<'a>) -> Self {
        let mut frames = Frames::new();
        frames.push(frame);
        Self::Frames(frames)
    }
}

/// Analyses a source to its end, here or by several threads; hands what `make` makes of every judged attempt to `each`, in the
/// calling thread.
pub fn analyse<M: Make>(
    source: &mut (dyn Source + Send),
    settings: &Settings,
    make: &mut M,
    each: &mut dyn FnMut(M::Made),
) -> Totals {
    if settings.workers <= 1 {
        analyse_here(source, settings, make, each)
    } else {
        workers::analyse(source, settings, make, each)
    }
}

/// Puts what shards give into one order: by the time of the decision, then by packet.
#[derive(Default)]
pub(super) struct Merge {
    /// What each shard gave in order, which is nearly everything.
    lanes: Vec<VecDeque<Ordered>>,
    /// The rest.
    heap: BinaryHeap<Reverse<Ordered>>,
    /// How many wait.
    waiting: usize,
}

struct Ordered(Out);

impl Ordered {
    fn key(&self) -> (Stamp, PacketNo, u8, u16) {
        let rank = match self.0.what {
            What::Syn(..) => 0,
            What::StraySynAck(..)
            | What::Unreached(..)
            | What::Astray(..)
            | What::Moved(..)
            | What::Dated(..)
            | What::NoResolver(..)
            | What::Hidden(..) => 1,
            What::Dns(_) => 2,
            What::Status(..) => 3,
            What::Closed(..) => 4,
            What::Mark(..) => 5,
        };
        // A segment may carry several.
        let transaction = if let What::Dns(said) = &self.0.what { said.message.value.id } else { 0 };
        (self.0.at, self.0.no, rank, transaction)
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Ordered {}
impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Merge {
    /// More do not wait, even if time stands still: some captures have one stamp for all packets.
    const MOST: usize = 1 << 15;

    /// Takes what this shard gave, and has the join foresee it.
    pub(super) fn extend<M: Make>(
        &mut self,
        shard: usize,
        outs: impl IntoIterator<Item = Out>,
        join: &Join<M>,
    ) {
        if self.lanes.len() <= shard {
            self.lanes.resize_with(shard + 1, VecDeque::new);
        }
        let Some(lane) = self.lanes.get_mut(shard) else { return };
        for out in outs.into_iter().inspect(|out| join.foresee(out)).map(Ordered) {
            self.waiting += 1;
            if lane.back().is_none_or(|last| *last <= out) {
                lane.push_back(out);
            } else {
                self.heap.push(Reverse(out));
            }
        }
    }

    /// Takes out the first, if it is among those that may go.
    fn pop_if(&mut self, may_go: impl Fn(&Out) -> bool) -> Option<Out> {
        let lane =
            self.lanes.iter_mut().filter(|lane| !lane.is_empty()).min_by(|a, b| a.front().cmp(&b.front()));
        let first = lane.as_ref().and_then(|lane| lane.front());
        let out = match (first, self.heap.peek()) {
            (Some(first), Some(Reverse(other))) if other < first => None,
            (first, _) => first,
        };
        let from_lane = out.is_some();
        let out = out.or_else(|| self.heap.peek().map(|Reverse(other)| other))?;
        if !may_go(&out.0) {
            return None;
        }
        self.waiting -= 1;
        if from_lane { lane?.pop_front() } else { self.heap.pop().map(|Reverse(out)| out) }
            .map(|Ordered(out)| out)
    }

    /// Hands on what was decided before `watermark`.
    pub(super) fn release<M: Make>(
        &mut self,
        watermark: Stamp,
        join: &mut Join<M>,
        each: &mut dyn FnMut(M::Made),
    ) {
        self.release_to((watermark, PacketNo(0)), join, each);
    }

    /// Hands on what was decided before this, or then and began before this packet.
    pub(super) fn release_to<M: Make>(
        &mut self,
        watermark: (Stamp, PacketNo),
        join: &mut Join<M>,
        each: &mut dyn FnMut(M::Made),
    ) {
        let passed = |out: &Out| (out.at, out.no) < watermark;
        loop {
            let full = self.waiting > Self::MOST;
            let Some(out) = self.pop_if(|out| full || passed(out)) else { break };
            join.take(out, each);
        }
        join.make_decided(each);
    }

    pub(super) fn finish<M: Make>(mut self, join: &mut Join<M>, each: &mut dyn FnMut(M::Made)) {
        while let Some(out) = self.pop_if(|_| true) {
            join.take(out, each);
        }
        join.finish(each);
    }
}

impl Totals {
    /// Several as one.
    pub fn sum(all: &[Self]) -> Self {
        let mut sum = Self::default();
        for one in all {
            sum.packets += one.packets;
            sum.bytes += one.bytes;
            sum.first = [sum.first, one.first].into_iter().flatten().min();
            sum.last = sum.last.max(one.last);
            sum.lost.add(&one.lost);
        }
        sum
    }

    /// Several frames at once.
    pub(super) fn count_all(&mut self, frames: &[Frame<'_>]) {
        let Some(Frame { stamp, .. }) = frames.first() else { return };
        let (mut first, mut last) = (*stamp, *stamp);
        for frame in frames {
            self.bytes += frame.data.len() as u64;
            (first, last) = (first.min(frame.stamp), last.max(frame.stamp));
        }
        self.packets += frames.len() as u64;
        self.first = [self.first, Some(first)].into_iter().flatten().min();
        self.last = self.last.max(Some(last));
    }

    pub(super) fn count(&mut self, frame: &Frame<'_>) {
        self.packets += 1;
        self.bytes += frame.data.len() as u64;
        self.first = Some(self.first.map_or(frame.stamp, |first| first.min(frame.stamp)));
        self.last = Some(self.last.map_or(frame.stamp, |last| last.max(frame.stamp)));
    }
}

/// Where a capture's clock leaps, time passes in steps: what the end of each connection leaves behind is to be gone
/// before the next ones end. Behind so many steps nothing is open any more.
const STEP: Span = Span::from_secs(1);
const STEPS: i64 = 1_024;

/// Packets after which what came of them is judged. To judge takes more code than the first cache of instructions holds, and
/// so does to follow packets: taken in turns they push each other out.
const LOT: usize = 256;

/// As [`analyse`] with one worker: everything in the calling thread.
pub fn analyse_here<M: Make>(
    source: &mut dyn Source,
    settings: &Settings,
    make: &mut M,
    each: &mut dyn FnMut(M::Made),
) -> Totals {
    let mut here = Here {
        totals: Totals::default(),
        decoder: Decoder::new(&settings.limits),
        shard: Shard::new(Arc::clone(&settings.limits), Arc::clone(&settings.ports), 0)
            .with_keys(&settings.keys),
        join: Join::making(make, settings, settings.in_order, 1),
        merge: Merge::default(),
        now: Stamp(i64::MIN),
        taken: 0,
        in_order: settings.in_order,
        each,
    };
    while source.lend(&mut |lent| match lent {
        Lent::Frames(frames) => here.frames(frames),
        Lent::Tick(stamp) => here.tick(stamp),
    }) {}
    here.finish()
}

/// All that takes part where one thread does everything.
struct Here<'a, M: Make> {
    totals: Totals,
    decoder: Decoder,
    shard: Shard,
    join: Join<&'a mut M>,
    merge: Merge,
    now: Stamp,
    /// Frames since what came of them was judged.
    taken: usize,
    in_order: bool,
    each: &'a mut dyn FnMut(M::Made),
}

impl<M: Make> Here<'_, M> {
    fn frames(&mut self, frames: &[Frame<'_>]) {
        ahead::look(&self.shard, frames);
        self.totals.count_all(frames);
        for frame in frames {
            let before = self.now;
            self.now = before.max(frame.stamp);
            if self.now.0.abs_diff(before.0) > STEP.0.unsigned_abs() && before > Stamp(i64::MIN) {
                self.leap(before);
            }
            self.shard.frame(&mut self.decoder, frame, self.now);
            self.shard.mark(frame.no, self.now);
            if self.shard.has_out() {
                self.merge.extend(0, self.shard.drain(), &self.join);
            }
        }
        self.taken += frames.len();
        if self.taken >= LOT {
            self.taken = 0;
            self.release(self.now);
        }
    }

    /// Time leapt from `before` to now.
    #[cold]
    fn leap(&mut self, before: Stamp) {
        let now = self.now;
        let steps = (1..STEPS).map(|n| before + Span(n * STEP.0));
        for step in steps.take_while(|&step| step < now) {
            self.shard.tick(step);
            self.release(step);
        }
    }

    fn tick(&mut self, stamp: Stamp) {
        self.now = self.now.max(stamp);
        self.shard.tick(self.now);
        self.release(self.now);
        // Nothing may leave the shard for long: what waits for a sibling is judged by the clock alone.
        if !self.in_order {
            self.join.advance(self.now, self.each);
        }
    }

    /// Has judged what was decided before this.
    fn release(&mut self, watermark: Stamp) {
        self.merge.extend(0, self.shard.drain(), &self.join);
        self.merge.release(watermark, &mut self.join, self.each);
    }

    fn finish(mut self) -> Totals {
        while let Some(next) = self.shard.finish(self.now) {
            self.merge.extend(0, self.shard.drain(), &self.join);
            self.merge.release_to((self.now, next), &mut self.join, self.each);
        }
        self.merge.extend(0, self.shard.drain(), &self.join);
        self.merge.finish(&mut self.join, self.each);
        self.decoder.finish();
        let mut totals = self.totals;
        totals.lost.add(&self.decoder.take_lost());
        totals.lost.add(&self.shard.take_lost());
        totals.lost.add(&self.join.lost());
        totals
    }
}

#[cfg(test)]
impl Settings {
    /// One worker, events in order, and nothing that is trusted.
    pub(super) fn plain(limits: Limits) -> Self {
        Self {
            workers: 1,
            limits: Arc::new(limits),
            ports: Arc::new(Ports::new(&[443])),
            trust: Arc::new(Trust::empty("none")),
            given: Arc::default(),
            keys: Keys::default(),
            in_order: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::LinkType;
    use crate::pipeline::{AsJudged, Judged};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A refused SYN, then a silent link: only ticks, a second apart. Counts what was judged before the end.
    struct Idle<'a> {
        frames: Vec<Vec<u8>>,
        at: i64,
        judged: &'a AtomicUsize,
        before_the_end: usize,
    }

    impl Source for Idle<'_> {
        fn next(&mut self) -> Option<Arrival<'_>> {
            self.at += 1;
            let stamp = Stamp::from_secs(self.at);
            match usize::try_from(self.at).ok().and_then(|n| self.frames.get(n - 1)) {
                Some(data) => Some(Arrival::one(Frame {
                    no: PacketNo(self.at.cast_unsigned()),
                    stamp,
                    link: LinkType::ETHERNET,
                    data,
                    wire_len: u32::try_from(data.len()).unwrap(),
                })),
                None if self.at < 60 => Some(Arrival::Tick(stamp)),
                None => {
                    self.before_the_end = self.judged.load(Ordering::SeqCst);
                    None
                }
            }
        }
    }

    #[test]
    fn a_failure_on_an_idle_link_is_told_before_the_end() {
        use etherparse::{PacketBuilder, TcpOptionElement};
        let built = |builder: etherparse::PacketBuilderStep<etherparse::TcpHeader>| {
            let mut bytes = Vec::new();
            builder.write(&mut bytes, &[]).unwrap();
            bytes
        };
        let (client, server) = ([192, 0, 2, 1], [198, 51, 100, 2]);
        let syn = PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4(client, server, 64)
            .tcp(40_000, 443, 7, 64_240)
            .syn()
            .options(&[TcpOptionElement::SelectiveAcknowledgementPermitted])
            .unwrap();
        let reset = PacketBuilder::ethernet2([2; 6], [1; 6])
            .ipv4(server, client, 64)
            .tcp(443, 40_000, 0, 0)
            .rst()
            .ack(8);
        let judged = AtomicUsize::new(0);
        let settings = Settings { in_order: false, ..Settings::plain(Limits::default()) };
        let frames = vec![built(syn), built(reset)];
        let mut source = Idle { frames, at: 0, judged: &judged, before_the_end: 0 };
        let mut decided = None;
        analyse_here(&mut source, &settings, &mut AsJudged, &mut |told: Judged| {
            judged.fetch_add(1, Ordering::SeqCst);
            decided = Some(told.decided - told.evidence.ended);
        });
        assert_eq!(source.before_the_end, 1);
        // What could still have come late, and a sibling, were waited for, and not longer.
        let Limits { after_end, sibling, .. } = *settings.limits;
        assert_eq!(decided, Some(Span(after_end.0 + sibling.0)));
    }

    /// Refused connections, all stamped alike, as some writers stamp everything.
    struct Standing<'a> {
        sent: u32,
        bytes: Vec<u8>,
        judged: &'a AtomicUsize,
        before_the_end: usize,
    }

    impl Standing<'_> {
        const CONNECTIONS: u32 = 40_000;
    }

    impl Source for Standing<'_> {
        fn next(&mut self) -> Option<Arrival<'_>> {
            use etherparse::PacketBuilder;
            let (connection, resets) = (self.sent / 2, self.sent % 2 == 1);
            if connection == Self::CONNECTIONS {
                self.before_the_end = self.judged.load(Ordering::SeqCst);
                return None;
            }
            self.sent += 1;
            let [_, b, c, d] = connection.to_be_bytes();
            let (client, server) = ([10, b, c, d], [198, 51, 100, 2]);
            self.bytes.clear();
            let tcp = if resets {
                PacketBuilder::ipv4(server, client, 64).tcp(443, 40_000, 0, 0).rst().ack(8)
            } else {
                PacketBuilder::ipv4(client, server, 64).tcp(40_000, 443, 7, 64_240).syn()
            };
            tcp.write(&mut self.bytes, &[]).unwrap();
            Some(Arrival::one(Frame {
                no: PacketNo(u64::from(self.sent)),
                stamp: Stamp::from_secs(1),
                link: LinkType::RAW,
                data: &self.bytes,
                wire_len: u32::try_from(self.bytes.len()).unwrap(),
            }))
        }
    }

    #[test]
    fn what_shards_give_leaves_in_order_of_time_and_packet() {
        let out = |shard, at, no| {
            let what = What::Mark(shard, PacketNo(no));
            Out { at: Stamp(at), no: PacketNo(no), what }
        };
        let settings = Settings::plain(Limits::default());
        let (mut merge, join) = (Merge::default(), Join::making(AsJudged, &settings, true, 2));
        // Out of order within a shard, and between two.
        merge.extend(1, [out(1, 3, 4), out(1, 5, 1), out(1, 5, 9), out(1, 5, 2), out(1, 8, 7)], &join);
        merge.extend(0, [out(0, 1, 9), out(0, 5, 3), out(0, 4, 6), out(0, 9, 8)], &join);
        let left = |merge: &mut Merge, until: i64| -> Vec<_> {
            let next = || merge.pop_if(|out| out.at < Stamp(until)).map(|out| (out.at.0, out.no.0));
            std::iter::from_fn(next).collect()
        };
        assert_eq!(left(&mut merge, 5), [(1, 9), (3, 4), (4, 6)]);
        merge.extend(0, [out(0, 5, 5)], &join);
        assert_eq!(left(&mut merge, 9), [(5, 1), (5, 2), (5, 3), (5, 5), (5, 9), (8, 7)]);
        assert_eq!((left(&mut merge, 10), merge.waiting), (vec![(9, 8)], 0));
    }

    #[test]
    fn where_time_stands_still_what_was_decided_does_not_pile_up() {
        let judged = AtomicUsize::new(0);
        // A table so small that connections end for want of room.
        let limits = Limits { flows: 1_000, held_events: 100, ..Limits::default() };
        let settings = Settings::plain(limits);
        let mut source = Standing { sent: 0, bytes: Vec::new(), judged: &judged, before_the_end: 0 };
        analyse_here(&mut source, &settings, &mut AsJudged, &mut |_: Judged| {
            judged.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(judged.load(Ordering::SeqCst), Standing::CONNECTIONS as usize);
        assert!(source.before_the_end > 1_000, "{} of all", source.before_the_end);
    }
}
