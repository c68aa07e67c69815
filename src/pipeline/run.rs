//! Wiring: frames, decoder, shards, join.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;
use std::sync::Arc;

use smallvec::SmallVec;

use super::ahead;
use super::join::Join;
use super::make::Make;
use super::shard::{Out, Ports, Shard, What};
use crate::aside::dns;
use crate::base::{FlowKey, Limits, Lost, PackedKey, PacketNo, Span, Stamp};
use crate::capture::block::Block;
use crate::decode::{BURST, Decoder, Frame, Frames, LinkType, Packet, plain};
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
    /// The next thing, or `None` at the end, and ever after.
    fn next(&mut self) -> Option<Arrival<'_>>;

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
    /// More do not wait, even if time stands still: some captures have one stamp for all packets.
    const MOST: usize = 1 << 15;

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
        let passed = |Reverse(first): &Reverse<Ordered>| (first.0.at, first.0.no) < watermark;
        while self.heap.len() > Self::MOST || self.heap.peek().is_some_and(passed) {
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

/// Blocks in flight a shard: a reader that is ahead waits.
const IN_FLIGHT: usize = 8;

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
        // Blocks return empty, since making them anew would take as long as filling them.
        let (give_back, spare) = crossbeam_channel::bounded::<Block>(IN_FLIGHT);
        let mut shards = Vec::with_capacity(workers);
        let mut handles = Vec::with_capacity(workers);
        for id in 0..workers {
            let (to_shard, blocks) = crossbeam_channel::bounded::<Arc<Block>>(IN_FLIGHT);
            shards.push(to_shard);
            let (to_join, give_back) = (to_join.clone(), give_back.clone());
            handles.push(scope.spawn(move || {
                let mut worker = Worker::new(id, settings);
                for block in blocks {
                    worker.read(&block);
                    if let Some(block) = Arc::into_inner(block) {
                        // One too many goes.
                        drop(give_back.try_send(block));
                    }
                    let out: Vec<Out> = worker.shard.drain().collect();
                    if to_join.send((id, out, (worker.now, PacketNo(0)))).is_err() {
                        break;
                    }
                }
                let Worker { mut shard, now, .. } = worker;
                while let Some(next) = shard.finish(now) {
                    drop(to_join.send((id, shard.drain().collect(), (now, next))));
                }
                let out: Vec<Out> = shard.drain().collect();
                // The join only stops after every shard has.
                drop(to_join.send((id, out, (Stamp(i64::MAX), PacketNo(0)))));
                worker.plain.finish();
                worker.shared.finish();
                let mut lost = shard.take_lost();
                lost.add(&worker.plain.take_lost());
                // All have decoded the same.
                if id == 0 {
                    lost.add(&worker.shared.take_lost());
                }
                lost
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
        while let Some(block) = source.block(spare.try_recv().unwrap_or_default()) {
            block.frames().for_each(|frame| totals.count(&frame));
            let block = Arc::new(block);
            if shards.iter().any(|to_shard| to_shard.send(Arc::clone(&block)).is_err()) {
                break;
            }
        }
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

/// One of several that read the same blocks. To look at another's packet costs a few instructions; to hand each packet to
/// the one whose it is would cost a copy of it.
struct Worker {
    id: usize,
    workers: usize,
    shard: Shard,
    /// Decodes frames whose ends are known at a glance, and which are its own.
    plain: Decoder,
    /// Decodes all others, as every worker does: fragments, tunnels, other links.
    shared: Decoder,
    now: Stamp,
}

impl Worker {
    fn new(id: usize, settings: &Settings) -> Self {
        Self {
            id,
            workers: settings.workers,
            shard: Shard::new(Arc::clone(&settings.limits), Arc::clone(&settings.ports), id),
            plain: Decoder::new(&settings.limits),
            shared: Decoder::new(&settings.limits),
            now: Stamp(i64::MIN),
        }
    }

    /// Takes what is its own of a block.
    fn read(&mut self, block: &Block) {
        // Its own plain frames, each with the capture's clock, that wait for being looked up together.
        let mut waiting: Frames<'_> = Frames::new();
        let mut clocks: SmallVec<[Stamp; BURST]> = SmallVec::new();
        for frame in block.frames() {
            self.now = self.now.max(frame.stamp);
            let ends = if frame.link == LinkType::ETHERNET { plain::ends(frame.data) } else { None };
            if let Some((src, dst)) = ends {
                if self.owner(FlowKey::of(src, dst).0) == self.id {
                    waiting.push(frame);
                    clocks.push(self.now);
                }
                if waiting.len() < BURST {
                    continue;
                }
            }
            self.take(&mut waiting, &mut clocks);
            if ends.is_none() {
                self.take_other(&frame);
            }
        }
        self.take(&mut waiting, &mut clocks);
        let (until, last) = block.until();
        self.now = self.now.max(until);
        self.shared.expire(self.now);
        self.shard.tick(self.now);
        self.shard.mark(last, self.now);
    }

    fn take(&mut self, waiting: &mut Frames<'_>, clocks: &mut SmallVec<[Stamp; BURST]>) {
        ahead::look(&self.shard, waiting);
        for (frame, now) in waiting.iter().zip(clocks.iter()) {
            let packet = self.plain.decode(frame);
            self.shard.packet(&packet, frame.no, frame.stamp, *now);
        }
        waiting.clear();
        clocks.clear();
    }

    fn take_other(&mut self, frame: &Frame<'_>) {
        let (workers, id) = (self.workers, self.id);
        let packet = self.shared.decode(frame);
        let key = match &packet {
            Packet::Segment(segment) => FlowKey::of(segment.src(), segment.dst()).0,
            Packet::IcmpError(error) => FlowKey::of(error.quoted_src, error.quoted_dst).0,
            Packet::Datagram(datagram) if dns::may_be(datagram.src_port, datagram.dst_port) => {
                FlowKey::default()
            }
            _ => return,
        };
        if owner(key, workers) == id {
            self.shard.packet(&packet, frame.no, frame.stamp, self.now);
        }
    }

    #[inline]
    fn owner(&self, key: FlowKey) -> usize {
        owner(key, self.workers)
    }
}

/// Who of several follows a connection.
#[inline]
fn owner(key: FlowKey, workers: usize) -> usize {
    let hash = foldhash::fast::FixedState::default().hash_one(PackedKey::from(key));
    #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    let chosen = (hash >> 32) as usize % workers.max(1);
    chosen
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
    fn where_time_stands_still_what_was_decided_does_not_pile_up() {
        let judged = AtomicUsize::new(0);
        // A table so small that connections end for want of room.
        let limits = Limits { flows: 1_000, held_events: 100, ..Limits::default() };
        let settings = Settings {
            workers: 1,
            limits: Arc::new(limits),
            ports: Arc::new(Ports::new(&[443])),
            trust: Arc::new(Trust::empty("none")),
            in_order: true,
        };
        let mut source = Standing { sent: 0, bytes: Vec::new(), judged: &judged, before_the_end: 0 };
        analyse_here(&mut source, &settings, &mut AsJudged, &mut |_: Judged| {
            judged.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(judged.load(Ordering::SeqCst), Standing::CONNECTIONS as usize);
        assert!(source.before_the_end > 1_000, "{} of all", source.before_the_end);
    }
}
