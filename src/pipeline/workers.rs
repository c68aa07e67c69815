//! Several workers on one capture: all look at the same blocks of the file, and each follows the connections that are its own.
//! Whoever of them has little to do reads on for all: pieces of a file each for itself, at once with others; where records begin
//! in them, and whose they are, only in turn.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use crossbeam_channel::{Receiver, Sender};

use super::ahead;
use super::join::Join;
use super::make::Make;
use super::run::{Merge, Settings, Source, Totals};
use super::shard::{Out, Shard, What};
use crate::aside::dns;
use crate::base::{FlowKey, Lost, PackedKey, PacketNo, Stamp, prefetch};
use crate::capture::block::Block;
use crate::capture::pieces::Pieces;
use crate::decode::{BURST, Decoder, Frame, Frames, LinkType, Packet, plain};
use crate::evidence::{Evidence, Outcome};
use crate::tls::chain::{Verified, verify_ahead};
use crate::tls::trust::Trust;

/// Lots in flight a shard.
const LOTS: usize = 8;
/// Blocks of a file that a worker reads before it hands on what little came of them: each time the join is woken.
const KEPT: u32 = 4;
/// What is handed on at once, at least.
const LOT: usize = 32;

/// Takes what has left a shard, and before which moment and packet nothing will.
type HandOn<'a> = &'a mut dyn FnMut(&mut Shard, (Stamp, PacketNo));

/// Blocks that wait for a shard at most: who reads waits for it.
const IN_FLIGHT: usize = 8;
/// Blocks waiting for a worker below which it reads a piece more, and deals where nobody does, before it takes the first of them.
const FEW: usize = 4;

/// As [`super::run::analyse`], with several workers. The calling thread judges: one thread less, and what is made of the
/// judged need not leave it.
pub(super) fn analyse<M: Make>(
    source: &mut (dyn Source + Send),
    settings: &Settings,
    make: &mut M,
    each: &mut dyn FnMut(M::Made),
) -> Totals {
    let workers = settings.workers;
    let verified = &Verified::default();
    std::thread::scope(|scope| {
        let (to_join, from_shards) = crossbeam_channel::bounded::<(usize, Vec<Out>, _)>(LOTS * workers);
        // Blocks return empty, since making them anew would take as long as filling them.
        let (give_back, spare) = crossbeam_channel::bounded::<Dealt>(IN_FLIGHT + 2);
        let (to_shards, queues): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| crossbeam_channel::bounded::<Arc<Dealt>>(IN_FLIGHT)).unzip();
        let pieces = source.pieces();
        let dealer = Dealer { source, to_shards, spare, now: Stamp(i64::MIN), totals: Totals::default() };
        let dealer = Arc::new(Mutex::new(dealer));
        let mut handles = Vec::with_capacity(workers);
        for (id, blocks) in queues.into_iter().enumerate() {
            let (to_join, give_back, dealer) = (to_join.clone(), give_back.clone(), Arc::clone(&dealer));
            let pieces = pieces.clone();
            handles.push(scope.spawn(move || {
                // Who waits for a pipe wants to see what came.
                let keep = if pieces.is_some() { KEPT } else { 1 };
                let mut worker = Worker::new(id, keep, settings);
                let hand_on = &mut |shard: &mut Shard, now| {
                    let prepared =
                        shard.drain().map(|out| prepared(out, &settings.trust, verified)).collect();
                    // The join only stops after every shard has.
                    drop(to_join.send((id, prepared, now)));
                };
                while let Some(block) = next_block(id, &blocks, &dealer, pieces.as_deref()) {
                    worker.read(&block, hand_on);
                    if let Some(block) = Arc::into_inner(block) {
                        // One too many goes.
                        drop(give_back.try_send(block));
                    }
                }
                let Worker { mut shard, now, .. } = worker;
                while let Some(next) = shard.finish(now) {
                    hand_on(&mut shard, (now, next));
                }
                hand_on(&mut shard, (Stamp(i64::MAX), PacketNo(0)));
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
        let lost = join(from_shards, settings, make, each);
        let mut totals = Totals::default();
        totals.lost.add(&lost);
        for handle in handles {
            if let Ok(lost) = handle.join() {
                totals.lost.add(&lost);
            }
        }
        Totals::sum(&[free(&dealer).map(|dealer| dealer.totals.clone()).unwrap_or_default(), totals])
    })
}

/// The next block of those that wait for a worker, after reading on where few wait. `None` at the end.
fn next_block(
    id: usize,
    blocks: &Receiver<Arc<Dealt>>,
    dealer: &Mutex<Dealer<'_>>,
    pieces: Option<&Pieces>,
) -> Option<Arc<Dealt>> {
    if blocks.len() < FEW {
        // Which nobody waits for.
        pieces.inspect(|pieces| pieces.read_ahead(id));
        if let Some(mut dealer) = free(dealer) {
            match pieces {
                // What another read is in that one's cache.
                Some(pieces) => while pieces.is_here(id) && dealer.has_room() && dealer.deal() {},
                None => {
                    let _ = dealer.has_room() && dealer.deal();
                }
            }
        }
    }
    if let Ok(block) = blocks.try_recv() {
        return Some(block);
    }
    // Never waits for the dealer itself: who has it may wait for room among these blocks.
    if let Some(mut dealer) = free(dealer)
        && blocks.is_empty()
    {
        dealer.deal();
    }
    // Else somebody reads, and deals it or ends.
    blocks.recv().ok()
}

/// The dealer, unless another worker has it.
fn free<'a, 'b>(dealer: &'a Mutex<Dealer<'b>>) -> Option<MutexGuard<'a, Dealer<'b>>> {
    match dealer.try_lock() {
        Ok(free) => Some(free),
        // Whoever failed meanwhile is gone; the rest of the file is read by the others.
        Err(TryLockError::Poisoned(free)) => Some(free.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Judges what the shards give, in one order, until all have finished. What was lost of it.
fn join<M: Make>(
    from_shards: Receiver<(usize, Vec<Out>, (Stamp, PacketNo))>,
    settings: &Settings,
    make: &mut M,
    each: &mut dyn FnMut(M::Made),
) -> Lost {
    let mut join = Join::making(make, settings, settings.in_order, settings.workers);
    let mut merge = Merge::default();
    let mut marks = vec![(Stamp(i64::MIN), PacketNo(0)); settings.workers];
    for (id, out, watermark) in from_shards {
        merge.extend(id, out, &join);
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
}

/// A block, and which of its frames each worker has to look at.
#[derive(Default)]
struct Dealt {
    block: Block,
    turns: Vec<Vec<Turn>>,
}

/// A frame that a worker has to look at.
#[derive(Clone, Copy)]
struct Turn {
    /// Its place in the block.
    place: u32,
    /// Its ends are known at a glance, and it is this worker's; else every worker has to decode it to know.
    plain: bool,
    /// The capture's clock, which never steps back.
    now: Stamp,
}

/// Reads blocks, and looks at the ends of each frame while they are in the cache of whoever read it.
struct Dealer<'a> {
    source: &'a mut (dyn Source + Send),
    to_shards: Vec<Sender<Arc<Dealt>>>,
    spare: Receiver<Dealt>,
    now: Stamp,
    totals: Totals,
}

impl Dealer<'_> {
    /// Whether a block more need not wait for anybody.
    fn has_room(&self) -> bool {
        self.to_shards.iter().all(|to_shard| to_shard.len() < IN_FLIGHT)
    }

    /// Gives the next block to every worker; at the end, tells them so. Whether there was one.
    fn deal(&mut self) -> bool {
        // A file that grows behind its end is not read on.
        if self.to_shards.is_empty() {
            return false;
        }
        let spare = self.spare.try_recv().unwrap_or_default();
        let next = self.next(spare).map(Arc::new);
        match &next {
            // Who is gone takes nothing any more.
            Some(dealt) => self.to_shards.iter().for_each(|shard| drop(shard.send(Arc::clone(dealt)))),
            None => self.to_shards.clear(),
        }
        next.is_some()
    }

    fn next(&mut self, spare: Dealt) -> Option<Dealt> {
        let Dealt { block, mut turns } = spare;
        let block = self.source.block(block)?;
        let workers = self.to_shards.len();
        turns.resize_with(workers, Vec::new);
        turns.iter_mut().for_each(Vec::clear);
        for (place, (stamp, frame)) in (0..).zip(block.frames()) {
            self.now = self.now.max(stamp);
            let Some(frame) = frame else { continue };
            self.totals.count(&frame);
            let key = if frame.link == LinkType::ETHERNET { plain::key(frame.data) } else { None };
            let turn = Turn { place, plain: key.is_some(), now: self.now };
            match key {
                Some(key) => {
                    let owner = owner(&key, workers);
                    turns.get_mut(owner).into_iter().for_each(|turns| turns.push(turn));
                }
                None => turns.iter_mut().for_each(|turns| turns.push(turn)),
            }
        }
        Some(Dealt { block, turns })
    }
}

/// Does what takes long and needs nothing but the attempt itself, so that it is not left to the one thread that judges.
fn prepared(mut out: Out, trust: &Trust, verified: &Verified) -> Out {
    if let What::Closed(evidence) = &mut out.what {
        prepare(evidence, trust, verified);
    }
    out
}

/// Signatures of its chains and of what was signed in it, where the join will ask for them.
fn prepare(evidence: &mut Evidence, trust: &Trust, verified: &Verified) {
    let failed = evidence.outcome == Outcome::Failed;
    if (failed || evidence.outcome == Outcome::Completed) && !evidence.by_fingerprint() {
        for chain in [&evidence.chain, &evidence.client_chain] {
            chain.clear().into_iter().for_each(|chain| verify_ahead(&chain.value, trust, verified));
        }
    }
    if (failed && evidence.chain.clear().is_some() || evidence.outcome == Outcome::Abandoned)
        && evidence.is_signed_by_server()
    {
        evidence.verify_signatures();
    }
}

/// One of several that read the same blocks. To hand each packet to the one whose it is would cost a copy of it.
struct Worker {
    id: usize,
    workers: usize,
    shard: Shard,
    /// Decodes frames whose ends are known at a glance, and which are its own.
    plain: Decoder,
    /// Decodes all others, as every worker does: fragments, tunnels, other links.
    shared: Decoder,
    now: Stamp,
    /// Blocks behind each of which what came of them is handed on, and how many they are by now.
    keep: u32,
    kept: u32,
}

impl Worker {
    fn new(id: usize, keep: u32, settings: &Settings) -> Self {
        Self {
            id,
            keep,
            kept: 0,
            workers: settings.workers,
            shard: Shard::new(Arc::clone(&settings.limits), Arc::clone(&settings.ports), id)
                .with_keys(&settings.keys),
            plain: Decoder::new(&settings.limits),
            shared: Decoder::new(&settings.limits),
            now: Stamp(i64::MIN),
        }
    }

    /// Takes what is its own of a block. Hands on what comes of it in small lots, while it is in a cache.
    fn read(&mut self, dealt: &Dealt, hand_on: HandOn<'_>) {
        let turns = dealt.turns.get(self.id).map_or(&[][..], Vec::as_slice);
        // One burst ahead of the one that is looked at.
        let mut ahead = turns.chunks(BURST);
        fetch(&dealt.block, ahead.next().unwrap_or_default());
        for burst in turns.chunks(BURST) {
            fetch(&dealt.block, ahead.next().unwrap_or_default());
            self.look_ahead(&dealt.block, burst);
            for turn in burst {
                let Some(frame) = dealt.block.frame(turn.place as usize) else { continue };
                self.now = turn.now;
                if turn.plain {
                    self.shard.frame(&mut self.plain, &frame, self.now);
                } else {
                    self.take_other(&frame);
                }
                if self.shard.outs() >= LOT {
                    // What was due before is decided first: nothing may come of it behind this.
                    self.shard.tick(self.now);
                    hand_on(&mut self.shard, (self.now, PacketNo(0)));
                }
            }
        }
        let (until, last) = dealt.block.until();
        self.now = self.now.max(until);
        self.shard.tick(self.now);
        self.shard.mark(last, self.now);
        self.kept += 1;
        if self.kept >= self.keep {
            self.kept = 0;
            hand_on(&mut self.shard, (self.now, PacketNo(0)));
        }
    }

    #[inline]
    fn look_ahead(&self, block: &Block, burst: &[Turn]) {
        if self.shard.is_large() {
            let frames: Frames<'_> =
                burst.iter().filter_map(|turn| block.frame(turn.place as usize)).collect();
            ahead::look(&self.shard, &frames);
        }
    }

    fn take_other(&mut self, frame: &Frame<'_>) {
        let packet = self.shared.decode(frame);
        let key = match &packet {
            Packet::Segment(segment) => FlowKey::of(segment.src(), segment.dst()).0,
            Packet::IcmpError(error) => FlowKey::of(error.quoted_src, error.quoted_dst).0,
            Packet::Datagram(datagram) if dns::may_be(datagram.src_port, datagram.dst_port) => {
                FlowKey::default()
            }
            Packet::Datagram(datagram) => FlowKey::of(datagram.src(), datagram.dst()).0,
            _ => return,
        };
        if owner(&PackedKey::from(key), self.workers) == self.id {
            self.shard.packet(&packet, frame.no, frame.stamp, self.now);
        }
    }
}

/// Has the headers of frames on their way here: most likely another processor read them.
#[inline]
fn fetch(block: &Block, turns: &[Turn]) {
    for turn in turns {
        let data = block.frame(turn.place as usize).map_or(&[][..], |frame| frame.data);
        // Ethernet's, IPv4's and TCP's have their ends here, and lie in two lines at most.
        for place in [0, 53] {
            data.get(place).into_iter().for_each(prefetch);
        }
    }
}

/// Who of several follows a connection.
#[inline]
fn owner(key: &PackedKey, workers: usize) -> usize {
    // The digits of pi: which worker it is makes no difference, but to how evenly they are loaded.
    let hash = key.hash([0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344]);
    (hash >> 32) as usize % workers.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Limits;
    use crate::pipeline::{Arrival, AsJudged, Judged};

    /// Refused connections in blocks of one packet, so that workers meet where they read.
    struct Small {
        next: u32,
        most: u32,
        bytes: Vec<u8>,
    }

    impl Source for Small {
        fn next(&mut self) -> Option<Arrival<'_>> {
            use etherparse::PacketBuilder;
            if self.next == self.most {
                return None;
            }
            self.next += 1;
            let stamp = Stamp::from_secs(1) + crate::base::Span(i64::from(self.next));
            // Each block ends by a tick.
            if self.next.is_multiple_of(2) {
                return Some(Arrival::Tick(stamp));
            }
            let connection = self.next / 4;
            let [_, b, c, d] = connection.to_be_bytes();
            let (client, server) = ([10, b, c, d], [198, 51, 100, 2]);
            self.bytes.clear();
            if self.next % 4 == 1 {
                let syn = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(client, server, 64);
                syn.tcp(40_000, 443, 7, 64_240).syn().write(&mut self.bytes, &[]).unwrap();
            } else {
                let reset = PacketBuilder::ethernet2([2; 6], [1; 6]).ipv4(server, client, 64);
                reset.tcp(443, 40_000, 0, 0).rst().ack(8).write(&mut self.bytes, &[]).unwrap();
            }
            Some(Arrival::one(Frame {
                no: PacketNo(u64::from(self.next)),
                stamp,
                link: LinkType::ETHERNET,
                data: &self.bytes,
                wire_len: u32::try_from(self.bytes.len()).unwrap(),
            }))
        }
    }

    #[test]
    fn however_workers_meet_every_packet_is_read_and_all_come_to_an_end() {
        let judged = |workers| {
            let settings = Settings { workers, ..Settings::plain(Limits::default()) };
            let mut all = Vec::new();
            let mut source = Small { next: 0, most: 4_000, bytes: Vec::new() };
            let totals =
                super::super::run::analyse(&mut source, &settings, &mut AsJudged, &mut |told: Judged| {
                    all.push((told.evidence.client, told.evidence.last, told.evidence.outcome));
                });
            assert_eq!(totals.packets, 2_000, "{workers} workers");
            all
        };
        let one = judged(1);
        assert_eq!(one.len(), 1_000);
        for workers in [2, 3, 7] {
            assert!(judged(workers) == one, "{workers} workers");
        }
    }
}
