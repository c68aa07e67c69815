//! Wiring of interfaces: one thread a ring, each with its own decoder and shard, and one join for all.
//!
//! The kernel deals packets to the rings, so nothing is handed from thread to thread but what leaves a shard.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::ahead;
use super::gauges::{Gauges, Kernel, Link, Reading};
use super::join::Join;
use super::make::Make;
use super::renewal::Renewal;
use super::retain::Retain;
use super::run::{Arrival, Merge, Settings, Source, Totals};
use super::shard::{Out, Shard};
use crate::base::{Lost, PacketNo, Span, Stamp};
use crate::capture::live::{Live, LiveReader};
use crate::capture::recent::Recent;
use crate::decode::{Decoder, IcmpError, Packet};

/// A source that runs in a thread of its own and tells how it is.
///
/// A tick says that nothing more lies ready: what was decided so far is handed on before it waits, unless that was done
/// just before; so a source that gave packets ticks again soon.
pub trait Ring: Source + Send {
    /// Where it tells.
    fn gauges(&self) -> Arc<Gauges>;

    /// What the kernel says of it now.
    fn kernel(&mut self) -> Kernel;

    /// Where packets wait until it is known whether they are wanted; `None` where none are.
    fn recent(&self) -> Option<Arc<Recent>> {
        None
    }

    /// From now on gives what this filter matches; it is known to compile.
    fn refilter(&mut self, filter: Option<&str>);
}

/// A ring of an interface.
pub struct LiveRing {
    reader: LiveReader,
    gauges: Arc<Gauges>,
    recent: Option<Arc<Recent>>,
    link: Link,
    now: Stamp,
}

impl LiveRing {
    /// Reads from here, and keeps in `recent` what may be wanted later.
    pub fn new(reader: LiveReader, recent: Option<Arc<Recent>>) -> Self {
        Self { reader, gauges: Gauges::new(), recent, link: Link::default(), now: Stamp::default() }
    }
}

impl Source for LiveRing {
    fn next(&mut self) -> Option<Arrival<'_>> {
        match self.reader.next() {
            Live::Frames(frames) => return Some(Arrival::Frames(frames)),
            Live::Tick(stamp) => self.now = stamp,
            Live::Down(why) => self.link.down = Some(why),
            Live::Up => {
                self.link.down = None;
                self.link.returned += 1;
            }
            Live::Stopped => return None,
        }
        Some(Arrival::Tick(self.now))
    }
}

impl Ring for LiveRing {
    fn gauges(&self) -> Arc<Gauges> {
        Arc::clone(&self.gauges)
    }

    fn kernel(&mut self) -> Kernel {
        let stats = self.reader.stats();
        Kernel {
            received: stats.received,
            dropped: stats.kernel_dropped,
            interface_dropped: stats.interface_dropped,
            link: self.link.clone(),
        }
    }

    fn recent(&self) -> Option<Arc<Recent>> {
        self.recent.clone()
    }

    fn refilter(&mut self, filter: Option<&str>) {
        self.reader.refilter(filter);
    }
}

/// Packets after which what was decided is handed on, on a link that never falls silent.
const BATCH: usize = 4_096;
/// What was decided is handed on no more often than this while packets come, so that the join is not woken for each.
const HAND: Span = Span::from_millis(5);
/// How often the kernel is asked for its counts.
const ASK: Span = Span::from_millis(100);
/// Batches in flight a ring.
const IN_FLIGHT: usize = 64;
/// Behind a moment of which nothing more will come: a lone ring's last, and any ring's end.
const JUST_BEHIND: Span = Span(1);
/// ICMP errors on their way to other rings. They come one by one; a flood of them may be cut short.
const ERRORS: usize = 1_024;
/// Packets after which errors that other rings saw are looked for.
const LOOK: usize = 64;

/// An ICMP error that another ring saw, the packet's number and when it was captured.
type Told = (IcmpError, PacketNo, Stamp);

/// A batch of one ring: its number, what left its shard, and the stamp before which nothing more will.
type Handed = (usize, Vec<Out>, Stamp);

/// Analyses all rings of one interface until each ends; has every judged attempt made into what it becomes as soon as it
/// is decided, in the thread that judges (the calling one where there is one ring), and tells when nothing more is decided
/// for the moment. What `renewal` offers is taken over meanwhile. One [`Totals`] a ring, in their order.
pub fn analyse_rings<M: Make<Made = ()> + Send>(
    mut rings: Vec<Box<dyn Ring>>,
    settings: &Settings,
    renewal: &Renewal,
    make: &mut M,
) -> Vec<Totals> {
    let count = rings.len();
    if count == 1
        && let Some(mut ring) = rings.pop()
    {
        return vec![alone(&mut *ring, settings, renewal, make)];
    }
    std::thread::scope(|scope| {
        let (to_join, from_rings) = crossbeam_channel::bounded::<Handed>(IN_FLIGHT * count);
        let handles: Vec<_> = rings
            .into_iter()
            .zip(Errors::between(count))
            .enumerate()
            .map(|(id, (mut ring, errors))| {
                let to_join = to_join.clone();
                scope.spawn(move || {
                    follow(id, &mut *ring, settings, renewal, errors, &mut |shard, mark| {
                        to_join.send((id, shard.drain().collect(), mark)).is_ok()
                    })
                })
            })
            .collect();
        drop(to_join);
        let join = scope.spawn(move || judge(&from_rings, count, settings, renewal, make));
        let mut totals: Vec<Totals> =
            handles.into_iter().map(|handle| handle.join().unwrap_or_default()).collect();
        if let (Ok(lost), Some(first)) = (join.join(), totals.first_mut()) {
            first.lost.add(&lost);
        }
        totals
    })
}

/// A single ring: judged in its own thread, which costs no waking of another, and frees what it made itself. The kernel's
/// ring has room for what comes while a signature is verified.
fn alone<M: Make<Made = ()>>(
    ring: &mut dyn Ring,
    settings: &Settings,
    renewal: &Renewal,
    make: &mut M,
) -> Totals {
    let errors =
        Errors { others: Vec::new(), inbox: crossbeam_channel::never(), early: VecDeque::new(), lost: 0 };
    let mut judge = Judge::new(1, settings, make);
    let mut totals = follow(0, ring, settings, renewal, errors, &mut |shard, mark| {
        judge.take(0, shard.drain(), mark, renewal);
        true
    });
    totals.lost.add(&judge.finish());
    totals
}

/// A ring's end of the exchange of ICMP errors. An error comes from a router, so the kernel deals it to any ring, while
/// the connection that it quotes is followed by one: every ring gets to see it.
struct Errors {
    others: Vec<Sender<Told>>,
    inbox: Receiver<Told>,
    /// Those taken from the inbox whose time has not come here.
    early: VecDeque<Told>,
    lost: u64,
}

impl Errors {
    fn between(rings: usize) -> Vec<Self> {
        let ends: Vec<_> = (0..rings).map(|_| crossbeam_channel::bounded(ERRORS)).collect();
        let to = |own: usize| {
            ends.iter()
                .enumerate()
                .filter(|(id, _)| *id != own)
                .map(|(_, (sender, _))| sender.clone())
                .collect()
        };
        let end = |(id, (_, inbox)): (usize, &(_, Receiver<Told>))| Self {
            others: to(id),
            inbox: inbox.clone(),
            early: VecDeque::new(),
            lost: 0,
        };
        ends.iter().enumerate().map(end).collect()
    }

    fn tell(&mut self, error: IcmpError, no: PacketNo, stamp: Stamp) {
        for other in &self.others {
            self.lost += u64::from(other.try_send((error, no, stamp)).is_err());
        }
    }

    /// Hands to the shard what others saw before `now`: not earlier, since a quoted packet may still lie in the ring.
    fn take(&mut self, shard: &mut Shard, now: Stamp) {
        let room = ERRORS.saturating_sub(self.early.len());
        self.early.extend(self.inbox.try_iter().take(room));
        while let Some(&(error, no, stamp)) = self.early.front()
            && stamp <= now
        {
            self.early.pop_front();
            shard.packet(&Packet::IcmpError(error), no, stamp, now);
        }
    }
}

/// One ring to its end.
fn follow(
    id: usize,
    ring: &mut dyn Ring,
    settings: &Settings,
    renewal: &Renewal,
    mut errors: Errors,
    hand_on: &mut dyn FnMut(&mut Shard, Stamp) -> bool,
) -> Totals {
    let gauges = ring.gauges();
    let mut retain = ring.recent().map(Retain::new);
    let mut newest = 0;
    let mut totals = Totals::default();
    let mut reading = Reading::default();
    let mut lost = Lost::default();
    let mut decoder = Decoder::new(&settings.limits);
    let mut shard = Shard::new(Arc::clone(&settings.limits), Arc::clone(&settings.ports), id);
    if retain.is_some() {
        shard.tell_unreported();
    }
    let mut now = Stamp(i64::MIN);
    let (mut asked, mut handed) = (now, now);
    let mut since = 0;
    let mut came = false;
    loop {
        match ring.next() {
            None => break,
            Some(Arrival::Frames(frames)) => {
                ahead::look(&shard, &frames);
                for frame in &frames {
                    totals.count(frame);
                    now = now.max(frame.stamp);
                    let packet = decoder.decode(frame);
                    match &mut retain {
                        None => shard.packet(&packet, frame.no, frame.stamp, now),
                        Some(retain) => retain.packet(&mut shard, &packet, frame, now),
                    }
                    if let Packet::IcmpError(error) = packet {
                        errors.tell(error, frame.no, frame.stamp);
                    }
                }
                let before = since;
                since += frames.len();
                came = true;
                if before / LOOK != since / LOOK {
                    errors.take(&mut shard, now);
                }
                if since < BATCH {
                    continue;
                }
            }
            Some(Arrival::Tick(stamp)) => {
                now = now.max(stamp);
                decoder.expire(now);
                errors.take(&mut shard, now);
                shard.tick(now);
            }
        }
        if std::mem::take(&mut came) && now - handed < HAND {
            continue;
        }
        since = 0;
        handed = now;
        if !hand_on(&mut shard, now) {
            break;
        }
        lost.add(&decoder.take_lost());
        lost.add(&shard.take_lost());
        lost.asides_dropped += std::mem::take(&mut errors.lost);
        if let Some(retain) = &retain {
            retain.let_go(&mut shard);
        }
        if now - asked >= ASK {
            asked = now;
            reading.kernel = ring.kernel();
            if let Some(newer) = renewal.newer(&mut newest) {
                shard.renew(newer.ports);
                ring.refilter(newer.filter.as_deref());
            }
        }
        look(&mut reading, &totals, &lost, &shard);
        gauges.tell(&reading);
    }
    errors.take(&mut shard, now);
    // Each end may leave kilobytes, which are to be gone before the next come.
    while shard.finish(now).is_some() && hand_on(&mut shard, now + JUST_BEHIND) {}
    // Whether anybody takes it no longer matters.
    hand_on(&mut shard, Stamp(i64::MAX));
    if let Some(retain) = &retain {
        retain.let_go(&mut shard);
    }
    decoder.finish();
    lost.add(&decoder.take_lost());
    lost.add(&shard.take_lost());
    reading.kernel = ring.kernel();
    look(&mut reading, &totals, &lost, &shard);
    totals.lost.clone_from(&reading.lost);
    gauges.settle(reading);
    totals
}

fn look(reading: &mut Reading, totals: &Totals, lost: &Lost, shard: &Shard) {
    let census = shard.census();
    reading.turns += 1;
    reading.packets = totals.packets;
    reading.bytes = totals.bytes;
    reading.first = totals.first;
    reading.last = totals.last;
    reading.flows_open = census.open;
    reading.flows_finished = census.finished;
    reading.bytes_held = census.bytes_held;
    reading.lost.clone_from(lost);
    reading.lost.kernel_dropped = reading.kernel.dropped;
}

/// The join's thread.
fn judge<M: Make<Made = ()>>(
    from_rings: &Receiver<Handed>,
    rings: usize,
    settings: &Settings,
    renewal: &Renewal,
    make: &mut M,
) -> Lost {
    let mut judge = Judge::new(rings, settings, make);
    for (id, outs, mark) in from_rings {
        judge.take(id, outs, mark, renewal);
    }
    judge.finish()
}

/// The join of an interface: waits for every ring's capture time to pass before it judges.
struct Judge<M: Make<Made = ()>> {
    join: Join<M>,
    merge: Merge,
    /// How far each ring is.
    marks: Vec<Stamp>,
    newest: u64,
}

impl<M: Make<Made = ()>> Judge<M> {
    fn new(rings: usize, settings: &Settings, make: M) -> Self {
        let (limits, trust) = (Arc::clone(&settings.limits), Arc::clone(&settings.trust));
        Self {
            join: Join::making(make, limits, trust, false, rings),
            merge: Merge::default(),
            marks: vec![Stamp(i64::MIN); rings],
            newest: 0,
        }
    }

    fn take(&mut self, id: usize, outs: impl IntoIterator<Item = Out>, mark: Stamp, renewal: &Renewal) {
        if let Some(newer) = renewal.newer(&mut self.newest) {
            self.join.renew(newer.trust);
        }
        for out in outs {
            self.merge.push(out);
        }
        if let Some(of_ring) = self.marks.get_mut(id) {
            *of_ring = mark;
        }
        // A ring that has ended holds nobody back; what is left when all have is released in `finish`.
        let mut least = self.marks.iter().copied().min().unwrap_or_default();
        if least < Stamp(i64::MAX) {
            if self.marks.len() == 1 {
                least = least + JUST_BEHIND; // nobody else can still give something of this moment
            }
            self.merge.release(least, &mut self.join, &mut drop);
            self.join.advance(least, &mut drop);
        }
        self.join.pause();
    }

    fn finish(mut self) -> Lost {
        self.merge.finish(&mut self.join, &mut drop);
        self.join.pause();
        self.join.lost()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Limits;
    use crate::decode::Frame;
    use crate::decode::LinkType;
    use crate::evidence::Outcome;
    use crate::pipeline::Judged;
    use crate::pipeline::shard::Ports;
    use crate::tls::trust::Trust;
    use etherparse::PacketBuilder;

    /// A ring with these packets, a tick behind each; then ticks a second apart.
    struct Scripted {
        frames: Vec<(i64, Vec<u8>)>,
        number: u64,
        rings: u64,
        at: usize,
        seconds: i64,
    }

    impl Source for Scripted {
        fn next(&mut self) -> Option<Arrival<'_>> {
            let Some((millis, data)) = self.frames.get(self.at) else {
                self.seconds += 1;
                // The others have a moment to say what they saw.
                std::thread::yield_now();
                return (self.seconds < 60).then_some(Arrival::Tick(Stamp::from_secs(self.seconds)));
            };
            self.at += 1;
            self.number += self.rings;
            Some(Arrival::one(Frame {
                no: PacketNo(self.number),
                stamp: Stamp(millis * 1_000),
                link: LinkType::RAW,
                data,
                wire_len: u32::try_from(data.len()).unwrap(),
            }))
        }
    }

    impl Ring for Scripted {
        fn gauges(&self) -> Arc<Gauges> {
            Gauges::new()
        }
        fn kernel(&mut self) -> Kernel {
            Kernel::default()
        }
        fn refilter(&mut self, _: Option<&str>) {}
    }

    /// Keeps them all, and notes whether there was a pause behind the last.
    #[derive(Default)]
    struct All {
        judged: Vec<Judged>,
        paused: bool,
    }

    impl Make for All {
        type Made = ();

        fn make(&mut self, judged: Judged) {
            self.judged.push(judged);
            self.paused = false;
        }

        fn pause(&mut self) {
            self.paused = true;
        }
    }

    #[test]
    fn an_icmp_error_reaches_the_ring_that_follows_what_it_quotes() {
        let (client, server, router) = ([192, 0, 2, 1], [198, 51, 100, 2], [203, 0, 113, 9]);
        let built = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = Vec::new();
            write(&mut bytes);
            bytes
        };
        let syn = built(&|to| {
            let syn = PacketBuilder::ipv4(client, server, 64).tcp(40_000, 443, 7, 64_240).syn();
            syn.write(to, &[]).unwrap();
        });
        // Administratively prohibited, with the SYN quoted.
        let error = built(&|to| {
            let error = PacketBuilder::ipv4(router, client, 64).icmpv4_raw(3, 13, [0; 4]);
            error.write(to, &syn).unwrap();
        });
        let settings = Settings {
            workers: 2,
            limits: Arc::new(Limits::default()),
            ports: Arc::new(Ports::new(&[443])),
            trust: Arc::new(Trust::empty("none")),
            in_order: false,
        };
        // The error lies in a ring that has come to it long before the SYN's ring has come to the SYN.
        let ring = |frames, number| Scripted { frames, number, rings: 2, at: 0, seconds: 0 };
        let rings: Vec<Box<dyn Ring>> =
            vec![Box::new(ring(vec![(100, syn)], 0)), Box::new(ring(vec![(101, error)], 1))];
        let mut all = All::default();
        let totals = analyse_rings(rings, &settings, &Renewal::default(), &mut all);
        let All { judged, paused } = all;
        assert!(paused, "behind the last one");
        assert_eq!(totals.iter().map(|totals| totals.packets).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(judged.len(), 1);
        assert_eq!(judged[0].evidence.outcome, Outcome::Failed);
        assert_eq!(judged[0].evidence.tcp.icmp.len(), 1);
    }
}
