//! `vantages`: what became of a handshake's packets between two capture points.

use super::ends::endpoint;
use super::json::{Object, object, unsigned};
use crate::base::{PacketNo, Span};
use crate::evidence::crossing::{Crossed, Crossing, Fate, Vantage};

/// Packets told of one handshake.
const MOST: usize = 64;

/// Writes it; without the packets where all went well.
pub(super) fn write(crossing: &Crossing, went_well: bool, o: &mut Object<'_>) {
    o.word("client_side", crossing.near.word());
    o.maybe_integer("clock_offset_us", Some(crossing.ahead.micros()));
    o.maybe_integer("through_us", crossing.through.map(Span::micros));
    let (mut inside, mut outside) = (crossing.near_ends, crossing.far_ends);
    if crossing.near == Vantage::Outside {
        std::mem::swap(&mut inside, &mut outside);
    }
    for (name, ends) in [("inside", inside), ("outside", outside)] {
        o.maybe(name, ends, |(client, server), out| {
            object(out, |o| {
                endpoint(client, o.key("client"));
                endpoint(server, o.key("server"));
            });
        });
    }
    o.array("packets", crossing.packets.iter().take(if went_well { 0 } else { MOST }), |crossed, out| {
        object(out, |o| packet(crossed, o))
    });
}

fn packet(crossed: &Crossed, o: &mut Object<'_>) {
    let of = |outside: bool| {
        let numbers = [crossed.near, crossed.far].into_iter().flatten().map(|sight| sight.mark.no);
        numbers.into_iter().find(|no: &PacketNo| no.is_outside() == outside)
    };
    for (name, no) in [("inside", of(false)), ("outside", of(true))] {
        if let Some(no) = no {
            unsigned(no.number(), o.key(name));
        }
    }
    o.word("from", crossed.from.word());
    o.word("fate", crossed.fate.word());
    match crossed.fate {
        Fate::Passed(took) => o.maybe_integer("took_us", Some(took.micros())),
        Fate::Unknown(why) => o.word("why", why),
        Fate::Dropped | Fate::Made => {}
    }
    if crossed.rewritten {
        o.boolean("rewritten", true);
    }
}
