//! Looking connections up some packets ahead, so that the memory of many is fetched at once.

use smallvec::SmallVec;

use super::shard::Shard;
use crate::base::FlowKey;
use crate::decode::{BURST, Frames, LinkType, plain};

/// Looks ahead where that pays. Nothing is taken from it but time: what a frame's connection is will be found out when its
/// turn comes.
#[inline]
pub(super) fn look(shard: &Shard, frames: &Frames<'_>) {
    if shard.is_large() && frames.len() > 1 {
        look_at(shard, frames);
    }
}

#[inline(never)]
fn look_at(shard: &Shard, frames: &Frames<'_>) {
    let ends = frames
        .iter()
        .filter(|frame| frame.link == LinkType::ETHERNET)
        .filter_map(|frame| plain::ends(frame.data));
    let hashes: SmallVec<[u64; BURST]> =
        ends.map(|(src, dst)| shard.approach(FlowKey::of(src, dst).0)).collect();
    hashes.iter().for_each(|&hash| shard.approach_connection(hash));
    let attempts: SmallVec<[u32; BURST]> =
        hashes.iter().filter_map(|&hash| shard.approach_state(hash)).collect();
    attempts.iter().for_each(|&attempt| shard.approach_facts(attempt));
}
