//! Looking connections up some packets ahead, so that the memory of many is fetched at once.

use smallvec::SmallVec;

use super::shard::Shard;
use crate::decode::{BURST, Frame, LinkType, plain};
use crate::flow::table::Id;

/// Looks ahead where that pays. Nothing is taken from it but time: what a frame's connection is will be found out when its
/// turn comes.
#[inline]
pub(super) fn look(shard: &Shard, frames: &[Frame<'_>]) {
    if shard.is_large() && frames.len() > 1 {
        look_at(shard, frames);
    }
}

#[inline(never)]
fn look_at(shard: &Shard, frames: &[Frame<'_>]) {
    let mut hashes: SmallVec<[u64; BURST]> = SmallVec::new();
    for frame in frames {
        if frame.link == LinkType::ETHERNET
            && let Some(key) = plain::key(frame.data)
        {
            hashes.push(shard.approach(&key));
        }
    }
    let mut likely: SmallVec<[Id; BURST]> = SmallVec::new();
    for &hash in &hashes {
        if let Some(id) = shard.approach_connection(hash) {
            likely.push(id);
        }
    }
    let mut attempts: SmallVec<[u32; BURST]> = SmallVec::new();
    for &id in &likely {
        if let Some(attempt) = shard.approach_state(id) {
            attempts.push(attempt);
        }
    }
    attempts.iter().for_each(|&attempt| shard.approach_facts(attempt));
}
