//! Several workers on one capture: all read the same blocks of the file, and each follows the connections that are its own.

use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::ahead;
use super::join::Join;
use super::make::Make;
use super::run::{Merge, Settings, Source, Totals};
use super::shard::{Out, Shard, What};
use crate::aside::dns;
use crate::base::{FlowKey, Lost, PackedKey, PacketNo, Stamp};
use crate::capture::block::Block;
use crate::decode::{BURST, Decoder, Frame, Frames, LinkType, Packet, plain};
use crate::evidence::{Evidence, Outcome};
use crate::tls::chain::verify_ahead;
use crate::tls::trust::Trust;

/// Lots in flight a shard.
const LOTS: usize = 8;
/// What is handed on at once, at least.
const LOT: usize = 32;

/// Takes what has left a shard, and before which moment and packet nothing will.
type HandOn<'a> = &'a mut dyn FnMut(&mut Shard, (Stamp, PacketNo));

/// Blocks in flight a shard: a reader that is ahead waits.
const IN_FLIGHT: usize = 2;

/// As [`super::run::analyse`], with several workers. The calling thread judges: one thread less, and what is made of the
/// judged need not leave it.
pub(super) fn analyse<M: Make>(
    source: &mut (dyn Source + Send),
    settings: &Settings,
    make: &mut M,
    each: &mut dyn FnMut(M::Made),
) -> Totals {
    let workers = settings.workers;
    std::thread::scope(|scope| {
        let (to_join, from_shards) = crossbeam_channel::bounded::<(usize, Vec<Out>, _)>(LOTS * workers);
        // Blocks return empty, since making them anew would take as long as filling them.
        let (give_back, spare) = crossbeam_channel::bounded::<Dealt>(IN_FLIGHT + 2);
        let mut shards = Vec::with_capacity(workers);
        let mut handles = Vec::with_capacity(workers);
        for id in 0..workers {
            let (to_shard, blocks) = crossbeam_channel::bounded::<Arc<Dealt>>(IN_FLIGHT);
            shards.push(to_shard);
            let (to_join, give_back) = (to_join.clone(), give_back.clone());
            handles.push(scope.spawn(move || {
                let mut worker = Worker::new(id, settings);
                let hand_on = &mut |shard: &mut Shard, now| {
                    let prepared = shard.drain().map(|out| prepared(out, &settings.trust)).collect();
                    // The join only stops after every shard has.
                    drop(to_join.send((id, prepared, now)));
                };
                for block in blocks {
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
        let reader = scope.spawn(move || {
            let mut dealer = Dealer { workers, now: Stamp(i64::MIN), totals: Totals::default() };
            while let Some(dealt) = dealer.next(source, spare.try_recv().unwrap_or_default()) {
                let dealt = Arc::new(dealt);
                if shards.iter().any(|to_shard| to_shard.send(Arc::clone(&dealt)).is_err()) {
                    break;
                }
            }
            dealer.totals
        });
        let lost = join(from_shards, settings, make, each);
        let mut totals = reader.join().unwrap_or_default();
        totals.lost.add(&lost);
        for handle in handles {
            if let Ok(lost) = handle.join() {
                totals.lost.add(&lost);
            }
        }
        totals
    })
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
        merge.extend(id, out);
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

/// Looks at the ends of each frame while they are in the cache of whoever read it.
struct Dealer {
    workers: usize,
    now: Stamp,
    totals: Totals,
}

impl Dealer {
    fn next(&mut self, source: &mut dyn Source, spare: Dealt) -> Option<Dealt> {
        let Dealt { block, mut turns } = spare;
        let block = source.block(block)?;
        turns.resize_with(self.workers, Vec::new);
        turns.iter_mut().for_each(Vec::clear);
        for (place, (stamp, frame)) in (0..).zip(block.frames()) {
            self.now = self.now.max(stamp);
            let Some(frame) = frame else { continue };
            self.totals.count(&frame);
            let key = if frame.link == LinkType::ETHERNET { plain::key(frame.data) } else { None };
            let turn = Turn { place, plain: key.is_some(), now: self.now };
            match key {
                Some(key) => {
                    let owner = owner(&key, self.workers);
                    turns.get_mut(owner).into_iter().for_each(|turns| turns.push(turn));
                }
                None => turns.iter_mut().for_each(|turns| turns.push(turn)),
            }
        }
        Some(Dealt { block, turns })
    }
}

/// Does what takes long and needs nothing but the attempt itself, so that it is not left to the one thread that judges.
fn prepared(mut out: Out, trust: &Trust) -> Out {
    if let What::Closed(evidence) = &mut out.what {
        prepare(evidence, trust);
    }
    out
}

/// Signatures of its chains and of what was signed in it, where the join will ask for them.
fn prepare(evidence: &mut Evidence, trust: &Trust) {
    let failed = evidence.outcome == Outcome::Failed;
    if (failed || evidence.outcome == Outcome::Completed) && !evidence.by_fingerprint() {
        for chain in [&evidence.chain, &evidence.client_chain] {
            chain.clear().into_iter().for_each(|chain| verify_ahead(&chain.value, trust));
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
}

impl Worker {
    fn new(id: usize, settings: &Settings) -> Self {
        Self {
            id,
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
        for burst in dealt.turns.get(self.id).map_or(&[][..], Vec::as_slice).chunks(BURST) {
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
        self.shared.expire(self.now);
        self.shard.tick(self.now);
        self.shard.mark(last, self.now);
        hand_on(&mut self.shard, (self.now, PacketNo(0)));
    }

    #[inline]
    fn look_ahead(&self, block: &Block, burst: &[Turn]) {
        if self.shard.is_large() {
            let frames: Frames<'_> = burst.iter().filter_map(|turn| block.frame(turn.place as usize)).collect();
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

/// Who of several follows a connection.
#[inline]
fn owner(key: &PackedKey, workers: usize) -> usize {
    // The digits of pi: which worker it is makes no difference, but to how evenly they are loaded.
    let hash = key.hash([0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344]);
    (hash >> 32) as usize % workers.max(1)
}
