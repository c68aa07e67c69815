//! What crossed the gateway again and again, and its receiver never took: it was lost beyond the capture point on that side.
//!
//! That the receiver was there, and knew the connection, is told by what it sent behind the copies; that nothing refuses it
//! as such, by what else it took meanwhile.

use super::{Across, Findings, all};
use crate::base::{Side, Stamp};
use crate::cause::{Cause, Finding, Party};
use crate::evidence::Chain;
use crate::evidence::crossing::trace::Mark;
use crate::evidence::crossing::{Crossed, LARGE, Sight};

/// So many copies of a packet that are all lost are no chance.
const IN_VAIN: usize = 3;
/// Where it was lost that came out to the client.
const CLIENTS: &str = "on the client's side of both capture points";
/// What the client's other connections tell.
const TAKEN: &str = "meanwhile the client took the answer to another connection of its own";

impl<'a> Across<'a> {
    /// The server's SYN/ACKs came to the client, which went on asking and refused none.
    pub(super) fn syn_ack_untaken(&self) -> Option<Findings> {
        let asked = self.syns.iter().find_map(|syn| syn.near)?;
        let answers =
            |one: &Sight| one.client == asked.client && one.mark.ack == asked.mark.seq.wrapping_add(1);
        let came: Vec<_> = self
            .syn_acks
            .iter()
            .copied()
            .filter(|one| one.passed() && one.near.as_ref().is_some_and(answers))
            .collect();
        let first = came.first()?.near?.mark.when;
        let again: Vec<_> = self
            .syns
            .iter()
            .copied()
            .filter(|syn| syn.near.is_some_and(|near| near.mark.when > first))
            .collect();
        // It neither acknowledged nor refused any of them.
        let silent = self.said.is_empty() && self.resets.is_empty() && self.bare().next().is_none();
        if !silent || came.len() < IN_VAIN || again.len() < 2 {
            return None;
        }
        let taken = self.crossing.beside.taken?;
        let says =
            format!("{} SYN/ACKs of the server came out, and the client took none, {CLIENTS}", came.len());
        let finding = Finding::new(self.sure(2), "syn_dropped", Party::Path, all(&came), says)
            .and(all(&again), "it went on asking")
            .and(taken, TAKEN);
        Some(vec![(Cause::Firewall, finding)])
    }

    /// What the server answered came to the client again and again, which still asked for its first byte.
    pub(super) fn answer_untaken(&self) -> Option<Findings> {
        let near = |one: &Crossed| one.near.filter(|_| one.passed()).map(|near| near.mark);
        let (came, third, place) = repeated(&self.answers, near)?;
        let acknowledges = |one: &&Crossed| {
            let mark = one.near.map(|near| near.mark);
            mark.is_some_and(|mark| mark.flags.ack() && !mark.flags.rst() && ahead(mark.ack, place))
        };
        let own = || self.crossing.packets.iter().filter(|one| one.from == Side::Client);
        if own().any(|one| acknowledges(&one)) {
            return None;
        }
        let later = |one: &&Crossed| {
            let mark = one.near.map(|near| near.mark);
            mark.is_some_and(|mark| mark.when > third && mark.ack == place && !mark.flags.rst())
        };
        let behind = own().find(later)?;
        let taken = self.crossing.beside.taken?;
        let fits = came.iter().all(|one| self.fits(one));
        let (reason, by) = match self.evidence.chain {
            _ if fits => ("dropped_after_hello", "content"),
            Chain::Clear(_) | Chain::Cut(_) => ("dropped_after_hello", "content, or by its size"),
            _ => ("mtu_black_hole", "size, or by its content"),
        };
        let says = format!(
            "what the server answered came out {} times, and the client never took it: chosen by its {by}, {CLIENTS}",
            came.len()
        );
        let finding = Finding::new(self.sure(came.len()), reason, Party::Path, all(&came), says)
            .and(behind.at(), "behind these the client sent this, and still asked for the first byte")
            .and(taken, TAKEN);
        Some(vec![(Cause::Firewall, finding)])
    }

    /// A large segment of the client went out again and again, and the server took smaller ones behind it alone.
    pub(super) fn large_untaken(&self) -> Option<Findings> {
        let far = |one: &Crossed| one.far.filter(|_| one.passed()).map(|far| far.mark);
        let (out, _, place) = repeated(&self.said, far)?;
        let size = out.iter().map(|one| one.mark().payload).min()?;
        let smaller: Vec<_> = self
            .said
            .iter()
            .copied()
            .filter(|one| far(one).is_some_and(|mark| mark.payload < size && ahead(mark.seq, place)))
            .collect();
        let tail = smaller.first().and_then(|one| far(one))?;
        let replies = || self.answers.iter().copied();
        let acks = |one: &Crossed| one.far.map(|far| far.mark).filter(|mark| mark.flags.ack());
        if size < LARGE || replies().filter_map(acks).any(|mark| ahead(mark.ack, place)) {
            return None;
        }
        // Sent at once by who has got a segment with a hole before it (RFC 5681 section 4.2).
        let asks = |one: &&Crossed| acks(one).is_some_and(|mark| mark.ack == place && mark.when > tail.when);
        let hole = replies().find(asks)?;
        let says = format!(
            "a segment of {size} bytes went out {} times, and the server never took it: chosen by its size, or by its content, \
             on the server's side of both capture points",
            out.len()
        );
        let finding = Finding::new(self.sure(out.len()), "mtu_black_hole", Party::Path, all(&out), says)
            .and(all(&smaller), "smaller ones behind it went out as well")
            .and(hole.at(), "the server has these, and still asks for what is before them");
        Some(vec![(Cause::Firewall, finding)])
    }
}

/// Whether one sequence number lies behind the other.
fn ahead(this: u32, that: u32) -> bool {
    this.wrapping_sub(that).cast_signed() > 0
}

/// The first of these packets with payload that was seen so often that chance took no copy: its copies, when the last of those
/// came that make it so, and its sequence number there. `at`: the packet where its receiver is.
fn repeated<'a>(
    of: &[&'a Crossed],
    at: impl Fn(&Crossed) -> Option<Mark>,
) -> Option<(Vec<&'a Crossed>, Stamp, u32)> {
    let place_of = |one: &Crossed| at(one).filter(|mark| mark.payload > 0).map(|mark| mark.seq);
    let copies = |place| of.iter().copied().filter(move |one| place_of(one) == Some(place));
    let place = of.iter().filter_map(|one| place_of(one)).find(|place| copies(*place).count() >= IN_VAIN)?;
    let enough = at(copies(place).nth(IN_VAIN - 1)?)?.when;
    Some((copies(place).collect(), enough, place))
}
