//! Both sides of a gateway on interfaces: their rings, and one thread that judges.

use std::cell::RefCell;
use std::rc::Rc;

use super::super::clock::Eras;
use super::super::follow::{Errors, Follow};
use super::super::join::Judged;
use super::super::judge::{Judge, Mark};
use super::super::make::Make;
use super::super::renewal::Renewal;
use super::super::rings::Ring;
use super::super::run::{Settings, Totals};
use super::super::shard::{Out, Shard};
use super::super::statuses::Told;
use super::{Side, lock, shared};
use crate::base::Span;
use crate::evidence::Evidence;
use crate::evidence::crossing::Vantage;

/// Batches in flight a ring.
const IN_FLIGHT: usize = 64;

/// A batch of one ring, as in `rings`.
type Handed = (usize, u64, Vec<Out>, Mark);

/// A [`Side`] whose events leave at once.
struct Teller<M>(Side<M>);

impl<M: Make<Made = ()>> Make for Teller<M> {
    type Made = ();

    fn make(&mut self, judged: Judged) {
        self.0.make(judged);
    }

    fn look_across(&mut self, evidence: &mut Evidence) {
        self.0.look_across(evidence);
    }

    fn status(&mut self, told: Told) -> Option<()> {
        self.0.status(told).map(drop)
    }

    fn pause(&mut self) {
        self.0.pause();
    }
}

/// As [`super::super::rings::analyse_rings`], with the rings of both sides of a gateway: the `inner` first ones are those of
/// the inner side. One host reads them all, so there is one clock.
pub fn analyse_rings_of_both<M: Make<Made = ()> + Send>(
    rings: Vec<Box<dyn Ring>>,
    inner: usize,
    settings: &Settings,
    renewal: &Renewal,
    make: &mut M,
) -> Vec<Totals> {
    let count = rings.len();
    let eras = &Eras::default();
    let both = &shared(&settings.limits, Some(Span(0)));
    let vantage = |id: usize| if id < inner { Vantage::Inside } else { Vantage::Outside };
    std::thread::scope(|scope| {
        let (to_join, from_rings) = crossbeam_channel::bounded::<Handed>(IN_FLIGHT * count.max(1));
        // An ICMP error of one side says nothing of a connection on the other.
        let errors = Errors::between(inner).into_iter().chain(Errors::between(count.saturating_sub(inner)));
        let handles: Vec<_> = rings
            .into_iter()
            .zip(errors)
            .enumerate()
            .map(|(id, (mut ring, errors))| {
                let to_join = to_join.clone();
                scope.spawn(move || {
                    let hand_on = &mut |shard: &mut Shard, era, mark| {
                        to_join.send((id, era, shard.drain().collect(), mark)).is_ok()
                    };
                    Follow::new(id, &*ring, settings, renewal, eras, errors, hand_on)
                        .at(vantage(id), both)
                        .run(&mut *ring)
                })
            })
            .collect();
        drop(to_join);
        let join = scope.spawn(move || {
            let make = Rc::new(RefCell::new(make));
            let judge_of = |vantage| {
                let side = Side { vantage, both: both.clone(), make: Rc::clone(&make), told_before: false };
                Judge::new(count, settings, Teller(side))
            };
            let (mut inside, mut outside) = (judge_of(Vantage::Inside), judge_of(Vantage::Outside));
            for (id, era, outs, mark) in from_rings {
                // Each waits for the rings of the other too: what they saw by then is asked for.
                let (own, other) = match vantage(id) {
                    Vantage::Inside => (&mut inside, &mut outside),
                    Vantage::Outside => (&mut outside, &mut inside),
                };
                other.take(id, era, [], mark, renewal);
                own.take(id, era, outs, mark, renewal);
            }
            let mut lost = inside.finish();
            lost.add(&outside.finish());
            lost
        });
        let mut totals: Vec<Totals> =
            handles.into_iter().map(|handle| handle.join().unwrap_or_default()).collect();
        if let (Ok(lost), Some(first)) = (join.join(), totals.first_mut()) {
            first.lost.add(&lost);
            let both = lock(both);
            first.lost.crossings_dropped = both.inside.missing + both.outside.missing;
        }
        totals
    })
}
