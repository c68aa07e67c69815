//! Wiring: frames, decoder, shards, join.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::ahead;
use super::batch::Batch;
use super::join::Join;
use super::make::Make;
use super::shard::{Out, Ports, Shard, What};
use crate::aside::dns;
use crate::base::{FlowKey, Limits, Lost, PacketNo, Span, Stamp};
use crate::decode::{Decoder, Frame, Frames, Packet};
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
    /// The next thing, or `None` at the end.
    fn next(&mut self) -> Option<Arrival<'_>>;
}

/// What a source gives.
#[derive(Debug)]
pub enum Arrival<'a> {
    /// Frames.
    Frames(Frames<'a>),
    /// Nothing came, and capture time has passed to here.
    Tick(Stamp),
}

impl<'a> Arrival<'a> {
    /// A lone frame.
    pub fn one(frame: Frame<'a>) -> Self {
        let mut frames = Frames::new();
        frames.push(frame);
        Self::Frames(frames)
    }
}

/// Analyses a source to its end; hands what `make` makes of every judged attempt to `each`, in the thread that judges.
pub fn analyse<M: Make + Send>(
    source: &mut dyn Source,
    settings: &Settings,
    make: &mut M,
    each: &mut (dyn FnMut(M::Made) + Send),
) -> Totals {
    if settings.workers <= 1 {
        analyse_here(source, settings, make, each)
    } else {
        in_threads(source, settings, make, each)
    }
}

/// Puts what shards give into one order: by the time of the decision, then by packet.
#[derive(Default)]
pub(super) struct Merge {
    heap: BinaryHeap<Reverse<Ordered>>,
}

struct Ordered(Out);

impl Ordered {
    fn key(&self) -> (Stamp, PacketNo, u8) {
        let rank = match self.0.what {
            What::Syn(..) => 0,
            What::StraySynAck(..) | What::Unreached(..) | What::Astray(..) | What::Moved(..) => 1,
            What::Dns(_) => 2,
            What::Ocsp(..) => 3,
            What::Closed(..) => 4,
            What::Mark(..) => 5,
        };
        (self.0.at, self.0.no, rank)
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
    pub(super) fn push(&mut self, out: Out) {
        self.heap.push(Reverse(Ordered(out)));
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
    fn release_to<M: Make>(
        &mut self,
        watermark: (Stamp, PacketNo),
        join: &mut Join<M>,
        each: &mut dyn FnMut(M::Made),
    ) {
        while self.heap.peek().is_some_and(|Reverse(first)| (first.0.at, first.0.no) < watermark) {
            if let Some(Reverse(first)) = self.heap.pop() {
                join.take(first.0, each);
            }
        }
    }

    pub(super) fn finish<M: Make>(mut self, join: &mut Join<M>, each: &mut dyn FnMut(M::Made)) {
        while let Some(Reverse(first)) = self.heap.pop() {
            join.take(first.0, each);
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

/// As [`analyse`] with one worker: everything in the calling thread, so `each` need not leave it.
pub fn analyse_here<M: Make>(
    source: &mut dyn Source,
    settings: &Settings,
    make: &mut M,
    each: &mut dyn FnMut(M::Made),
) -> Totals {
    let mut totals = Totals::default();
    let mut decoder = Decoder::new(&settings.limits);
    let mut shard = Shard::new(Arc::clone(&settings.limits), Arc::clone(&settings.ports), 0);
    let (limits, trust) = (Arc::clone(&settings.limits), Arc::clone(&settings.trust));
    let mut join = Join::making(make, limits, trust, settings.in_order, 1);
    let mut merge = Merge::default();
    let mut now = Stamp(i64::MIN);
    while let Some(arrival) = source.next() {
        match arrival {
            Arrival::Frames(frames) => {
                ahead::look(&shard, &frames);
                for frame in &frames {
                    totals.count(frame);
                    let before = now;
                    now = before.max(frame.stamp);
                    if now - before > STEP && before > Stamp(i64::MIN) {
                        for step in
                            (1..STEPS).map(|n| before + Span(n * STEP.0)).take_while(|&step| step < now)
                        {
                            shard.tick(step);
                            for out in shard.drain() {
                                merge.push(out);
                            }
                            merge.release(step, &mut join, each);
                        }
                    }
                    let packet = decoder.decode(frame);
                    shard.packet(&packet, frame.no, frame.stamp, now);
                    shard.mark(frame.no, now);
                    if shard.has_out() {
                        for out in shard.drain() {
                            merge.push(out);
                        }
                        merge.release(now, &mut join, each);
                    }
                }
            }
            Arrival::Tick(stamp) => {
                now = now.max(stamp);
                decoder.expire(now);
                shard.tick(now);
                // Nothing may leave the shard for long: what waits for a sibling is judged by the clock alone.
                if !settings.in_order {
                    for out in shard.drain() {
                        merge.push(out);
                    }
                    merge.release(now, &mut join, each);
                    join.advance(now, each);
                } else if shard.has_out() {
                    for out in shard.drain() {
                        merge.push(out);
                    }
                    merge.release(now, &mut join, each);
                }
            }
        }
    }
    while let Some(next) = shard.finish(now) {
        for out in shard.drain() {
            merge.push(out);
        }
        merge.release_to((now, next), &mut join, each);
    }
    for out in shard.drain() {
        merge.push(out);
    }
    merge.finish(&mut join, each);
    decoder.finish();
    totals.lost.add(&decoder.take_lost());
    totals.lost.add(&shard.take_lost());
    totals.lost.add(&join.lost());
    totals
}

/// Packets a batch, and bytes: enough to make a hand-over vanish, little enough to stay in cache.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 256 << 10;
/// Shards learn of passing time this often where no packets tell it.
const TICK: Span = Span::from_millis(50);
/// Batches in flight a shard.
const IN_FLIGHT: usize = 16;

fn in_threads<M: Make + Send>(
    source: &mut dyn Source,
    settings: &Settings,
    make: &mut M,
    each: &mut (dyn FnMut(M::Made) + Send),
) -> Totals {
    let workers = settings.workers;
    let mut totals = Totals::default();
    std::thread::scope(|scope| {
        let (to_join, from_shards) = crossbeam_channel::bounded(IN_FLIGHT * workers);
        let mut shards = Vec::with_capacity(workers);
        let mut handles = Vec::with_capacity(workers);
        for id in 0..workers {
            let (to_shard, batches) = crossbeam_channel::bounded::<Batch>(IN_FLIGHT);
            let (give_back, spare) = crossbeam_channel::bounded::<Batch>(IN_FLIGHT);
            shards.push(Lane { to_shard, spare });
            let to_join = to_join.clone();
            let limits = Arc::clone(&settings.limits);
            let ports = Arc::clone(&settings.ports);
            handles.push(scope.spawn(move || {
                let mut shard = Shard::new(limits, ports, id);
                let mut now = Stamp(i64::MIN);
                for mut batch in batches {
                    batch.each(|packet, no, stamp, now| shard.packet(&packet, no, stamp, now));
                    now = batch.watermark;
                    shard.tick(now);
                    shard.mark(batch.last, now);
                    batch.clear();
                    // One too many goes.
                    drop(give_back.try_send(batch));
                    let out: Vec<Out> = shard.drain().collect();
                    if to_join.send((id, out, (now, PacketNo(0)))).is_err() {
                        break;
                    }
                }
                while let Some(next) = shard.finish(now) {
                    drop(to_join.send((id, shard.drain().collect(), (now, next))));
                }
                let out: Vec<Out> = shard.drain().collect();
                // The join only stops after every shard has.
                drop(to_join.send((id, out, (Stamp(i64::MAX), PacketNo(0)))));
                shard.take_lost()
            }));
        }
        drop(to_join);
        let join = scope.spawn(move || {
            let (limits, trust) = (Arc::clone(&settings.limits), Arc::clone(&settings.trust));
            let mut join = Join::making(make, limits, trust, settings.in_order, workers);
            let mut merge = Merge::default();
            let mut marks = vec![(Stamp(i64::MIN), PacketNo(0)); workers];
            for (id, out, watermark) in from_shards {
                for out in out {
                    merge.push(out);
                }
                if let Some(mark) = marks.get_mut(id) {
                    *mark = watermark;
                }
                // What is left when all have finished is released in order below.
                let least = marks.iter().copied().min().unwrap_or_default();
                if least.0 < Stamp(i64::MAX) {
                    merge.release_to(least, &mut join, each);
                    if !settings.in_order {
                        join.advance(least.0, each);
                    }
                }
            }
            merge.finish(&mut join, each);
            join.lost()
        });
        deal(source, settings, &shards, &mut totals);
        drop(shards);
        for handle in handles {
            if let Ok(lost) = handle.join() {
                totals.lost.add(&lost);
            }
        }
        if let Ok(lost) = join.join() {
            totals.lost.add(&lost);
        }
    });
    totals
}

/// The way to a shard and back: batches return empty, since making them anew would take as long as filling them.
struct Lane {
    to_shard: crossbeam_channel::Sender<Batch>,
    spare: crossbeam_channel::Receiver<Batch>,
}

/// Decodes, and deals packets to the shards by their addresses.
fn deal(source: &mut dyn Source, settings: &Settings, shards: &[Lane], totals: &mut Totals) {
    let mut decoder = Decoder::new(&settings.limits);
    let mut batches: Vec<Batch> = shards.iter().map(|_| Batch::default()).collect();
    let mut now = Stamp(i64::MIN);
    let hasher = foldhash::fast::FixedState::default();
    let flush = |batches: &mut Vec<Batch>, now: Stamp, last: PacketNo| {
        for (batch, lane) in batches.iter_mut().zip(shards) {
            let mut full = std::mem::replace(batch, lane.spare.try_recv().unwrap_or_default());
            full.watermark = now;
            full.last = last;
            if lane.to_shard.send(full).is_err() {
                return;
            }
        }
    };
    let mut dealt = 0;
    let mut flushed = now;
    let mut last = PacketNo::default();
    while let Some(arrival) = source.next() {
        match arrival {
            Arrival::Frames(frames) => {
                for frame in &frames {
                    totals.count(frame);
                    now = now.max(frame.stamp);
                    last = frame.no;
                    let packet = decoder.decode(frame);
                    let key = match &packet {
                        Packet::Segment(segment) => FlowKey::of(segment.src(), segment.dst()).0,
                        Packet::IcmpError(error) => FlowKey::of(error.quoted_src, error.quoted_dst).0,
                        Packet::Datagram(datagram) if dns::may_be(datagram.src_port, datagram.dst_port) => {
                            FlowKey::default()
                        }
                        _ => continue,
                    };
                    #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
                    let chosen = hasher.hash_one(key) as usize % batches.len().max(1);
                    if let Some(batch) = batches.get_mut(chosen) {
                        batch.push(&packet, frame.no, frame.stamp, now);
                        dealt += 1;
                        if batch.len() >= BATCH || batch.bytes() >= BATCH_BYTES || dealt >= BATCH * 4 {
                            dealt = 0;
                            flush(&mut batches, now, last);
                        }
                    }
                }
            }
            Arrival::Tick(stamp) => {
                now = now.max(stamp);
                decoder.expire(now);
                // A filter's refused packets tick too: far more often than timers need.
                if now.0.saturating_sub(flushed.0) >= TICK.0 {
                    flushed = now;
                    dealt = 0;
                    flush(&mut batches, now, last);
                }
            }
        }
    }
    flush(&mut batches, now, last);
    decoder.finish();
    totals.lost.add(&decoder.take_lost());
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
        let settings = Settings {
            workers: 1,
            limits: Arc::new(Limits::default()),
            ports: Arc::new(Ports::new(&[443])),
            trust: Arc::new(Trust::empty("none")),
            in_order: false,
        };
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
}
