//! Wiring of interfaces: one thread a ring, each with its own decoder and shard, and one join for all.
//!
//! The kernel deals packets to the rings, so nothing is handed from thread to thread but what leaves a shard.

use std::sync::Arc;

use super::clock::Eras;
use super::follow::{Errors, Follow};
use super::gauges::{Gauges, Kernel, Link};
use super::judge::{Judge, Mark};
use super::make::Make;
use super::renewal::Renewal;
use super::run::{Arrival, Lent, Settings, Source, Totals};
use super::shard::{Out, Shard};
use crate::base::{FlowKey, Span, Stamp};
use crate::capture::live::{BypassMap, Live, LiveReader, clock, elapsed};
use crate::capture::recent::Recent;

/// A source that runs in a thread of its own and tells how it is.
///
/// A tick says that nothing more lies ready: what was decided so far is handed on before it waits, unless that was done
/// just before; so a source that gave packets ticks again soon.
pub trait Ring: Source + Send {
    /// Where it tells.
    fn gauges(&self) -> Arc<Gauges>;

    /// What the kernel says of it now.
    fn kernel(&mut self) -> Kernel;

    /// The time that has passed, by a clock that nobody sets.
    fn elapsed(&self) -> Span;

    /// Where packets wait until it is known whether they are wanted; `None` where none are.
    fn recent(&self) -> Option<Arc<Recent>> {
        None
    }

    /// From now on gives what this filter matches; it is known to compile.
    fn refilter(&mut self, filter: Option<&str>);

    /// From how many packets a second on the kernel is to keep to itself what finished connections carry; `None` where it is not,
    /// or cannot.
    fn bypasses_from(&self) -> Option<u64> {
        None
    }

    /// As [`LiveReader::bypass_map`].
    fn bypass_map(&self) -> Option<Arc<BypassMap>> {
        None
    }

    /// As [`LiveReader::bypass`].
    fn bypass(&mut self, _: &[FlowKey]) -> Option<(usize, Stamp)> {
        None
    }
}

/// A ring of an interface.
pub struct LiveRing {
    reader: LiveReader,
    gauges: Arc<Gauges>,
    recent: Option<Arc<Recent>>,
    link: Link,
    bypasses_from: Option<u64>,
}

impl LiveRing {
    /// Reads from here, and keeps in `recent` what may be wanted later.
    pub fn new(reader: LiveReader, recent: Option<Arc<Recent>>) -> Self {
        Self { reader, gauges: Gauges::new(), recent, link: Link::default(), bypasses_from: None }
    }

    /// Leaves to the kernel what finished connections carry while so many packets pass in a second, where it can: what all of them
    /// do by a map, and the busiest ones' where that may not be.
    ///
    /// # Errors
    /// Why it may not be.
    pub fn bypass_from(&mut self, packets: u64) -> Result<(), String> {
        if !self.reader.may_bypass() {
            return Ok(());
        }
        self.bypasses_from = Some(packets);
        self.reader.bypass_by_map()
    }
}

impl Source for LiveRing {
    fn next(&mut self) -> Option<Arrival<'_>> {
        match self.reader.next() {
            Live::Frames(frames) => Some(Arrival::Frames(frames)),
            said => self.link.note(said).map(Arrival::Tick),
        }
    }

    fn lend(&mut self, take: &mut dyn FnMut(Lent<'_>)) -> bool {
        let said = self.reader.next();
        if let Live::Frames(frames) = &said {
            take(Lent::Frames(frames));
            return true;
        }
        self.link.note(said).map(|stamp| take(Lent::Tick(stamp))).is_some()
    }
}

impl Link {
    /// Takes note of what a reader says beside frames. What time it is, unless it has stopped.
    fn note(&mut self, said: Live<'_>) -> Option<Stamp> {
        match said {
            Live::Tick(stamp) => return Some(stamp),
            Live::Down(why) => self.down = Some(why),
            Live::Up => {
                self.down = None;
                self.returned += 1;
            }
            Live::Frames(_) | Live::Stopped => return None,
        }
        // The time of the last tick would look like a clock that was set back.
        Some(clock())
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

    fn elapsed(&self) -> Span {
        elapsed()
    }

    fn recent(&self) -> Option<Arc<Recent>> {
        self.recent.clone()
    }

    fn refilter(&mut self, filter: Option<&str>) {
        self.reader.refilter(filter);
    }

    fn bypasses_from(&self) -> Option<u64> {
        self.bypasses_from
    }

    fn bypass_map(&self) -> Option<Arc<BypassMap>> {
        self.reader.bypass_map()
    }

    fn bypass(&mut self, flows: &[FlowKey]) -> Option<(usize, Stamp)> {
        self.reader.bypass(flows)
    }
}

/// Batches in flight a ring.
const IN_FLIGHT: usize = 64;

/// A batch of one ring: its number, what left its shard and of which era that is, and how far the ring is.
type Handed = (usize, u64, Vec<Out>, Mark);

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
    let eras = &Eras::default();
    std::thread::scope(|scope| {
        let (to_join, from_rings) = crossbeam_channel::bounded::<Handed>(IN_FLIGHT * count);
        let handles: Vec<_> = rings
            .into_iter()
            .zip(Errors::between(count))
            .enumerate()
            .map(|(id, (mut ring, errors))| {
                let to_join = to_join.clone();
                scope.spawn(move || {
                    let hand_on = &mut |shard: &mut Shard, era, mark| {
                        to_join.send((id, era, shard.drain().collect(), mark)).is_ok()
                    };
                    Follow::new(id, &*ring, settings, renewal, eras, errors, hand_on).run(&mut *ring)
                })
            })
            .collect();
        drop(to_join);
        let join = scope.spawn(move || {
            let mut judge = Judge::new(count, settings, make);
            for (id, era, outs, mark) in from_rings {
                judge.take(id, era, outs, mark, renewal);
            }
            judge.finish()
        });
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
    let mut judge = Judge::new(1, settings, make);
    let hand_on = &mut |shard: &mut Shard, era, mark| {
        judge.take(0, era, shard.drain(), mark, renewal);
        true
    };
    let eras = Eras::default();
    let mut totals = Follow::new(0, ring, settings, renewal, &eras, Errors::none(), hand_on).run(ring);
    totals.lost.add(&judge.finish());
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Limits, PacketNo};
    use crate::decode::Frame;
    use crate::decode::LinkType;
    use crate::evidence::Outcome;
    use crate::pipeline::Judged;
    use etherparse::{PacketBuilder, TcpOptionElement};

    /// A ring with these packets, by their times in milliseconds; then ticks a second apart.
    struct Scripted {
        frames: Vec<(i64, Vec<u8>)>,
        number: u64,
        rings: u64,
        at: usize,
        seconds: i64,
        elapsed: Span,
    }

    impl Source for Scripted {
        fn next(&mut self) -> Option<Arrival<'_>> {
            let Some((millis, data)) = self.frames.get(self.at) else {
                self.seconds += 1;
                self.elapsed.0 += 1_000_000;
                // The others have a moment to say what they saw.
                std::thread::yield_now();
                let last = self.frames.last().map_or(0, |(millis, _)| millis / 1_000);
                return (self.seconds < 60).then_some(Arrival::Tick(Stamp::from_secs(last + self.seconds)));
            };
            self.at += 1;
            self.number += self.rings;
            self.elapsed.0 += 1_000;
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
        fn elapsed(&self) -> Span {
            self.elapsed
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
        let settings = Settings { workers: 2, in_order: false, ..Settings::plain(Limits::default()) };
        // The error lies in a ring that has come to it long before the SYN's ring has come to the SYN.
        let ring = |frames, number| Scripted {
            frames,
            number,
            rings: 2,
            at: 0,
            seconds: 0,
            elapsed: Span::default(),
        };
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

    const CLIENT: [u8; 4] = [192, 0, 2, 1];
    const SERVER: [u8; 4] = [198, 51, 100, 2];

    fn syn(port: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Without options it would be a scanner's.
        let syn = PacketBuilder::ipv4(CLIENT, SERVER, 64)
            .tcp(port, 443, 7, 64_240)
            .syn()
            .options(&[TcpOptionElement::SelectiveAcknowledgementPermitted])
            .unwrap();
        syn.write(&mut bytes, &[]).unwrap();
        bytes
    }

    fn refusal(port: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        let reset = PacketBuilder::ipv4(SERVER, CLIENT, 64).tcp(443, port, 0, 0).rst().ack(8);
        reset.write(&mut bytes, &[]).unwrap();
        bytes
    }

    /// What is judged of rings with these packets, and how often each saw the clock being set.
    fn judged(rings: Vec<Vec<(i64, Vec<u8>)>>) -> (Vec<Judged>, Vec<u64>) {
        let settings =
            Settings { workers: rings.len(), in_order: false, ..Settings::plain(Limits::default()) };
        let count = rings.len() as u64;
        let rings: Vec<_> = rings
            .into_iter()
            .zip(0..)
            .map(|(frames, number)| {
                let gauges = Gauges::new();
                let ring =
                    Scripted { frames, number, rings: count, at: 0, seconds: 0, elapsed: Span::default() };
                (Told { ring, gauges: Arc::clone(&gauges) }, gauges)
            })
            .collect();
        let (rings, gauges): (Vec<_>, Vec<_>) = rings.into_iter().unzip();
        let rings = rings.into_iter().map(|ring| Box::new(ring) as Box<dyn Ring>).collect();
        let mut all = All::default();
        analyse_rings(rings, &settings, &Renewal::default(), &mut all);
        (all.judged, gauges.iter().map(|gauges| gauges.read().clock_sets).collect())
    }

    /// A ring whose gauges are watched.
    struct Told {
        ring: Scripted,
        gauges: Arc<Gauges>,
    }

    impl Source for Told {
        fn next(&mut self) -> Option<Arrival<'_>> {
            self.ring.next()
        }
    }

    impl Ring for Told {
        fn gauges(&self) -> Arc<Gauges> {
            Arc::clone(&self.gauges)
        }
        fn kernel(&mut self) -> Kernel {
            Kernel::default()
        }
        fn elapsed(&self) -> Span {
            self.ring.elapsed
        }
        fn refilter(&mut self, _: Option<&str>) {}
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_clock_set_forward_makes_nobody_silent() {
        let frames = vec![(1_000, syn(40_000)), (1_000 + HOUR, syn(40_001)), (1_040 + HOUR, refusal(40_001))];
        let (judged, sets) = judged(vec![frames]);
        let outcomes: Vec<_> = judged.iter().map(|judged| judged.evidence.outcome).collect();
        assert_eq!((outcomes, sets), (vec![Outcome::Incomplete, Outcome::Failed], vec![1]));
    }

    #[test]
    fn a_clock_set_back_holds_up_no_verdict() {
        let frames = vec![
            (HOUR, syn(40_000)),
            (HOUR + 40, refusal(40_000)),
            (1_000, syn(40_001)),
            (1_040, refusal(40_001)),
        ];
        // The second ring, where there is one, sees the time pass and no packet.
        for rings in [vec![frames.clone()], vec![frames.clone(), Vec::new()]] {
            let (judged, _) = judged(rings);
            let failed = judged.iter().filter(|judged| judged.evidence.outcome == Outcome::Failed);
            let waited: Vec<_> = failed.map(|judged| judged.decided - judged.evidence.ended).collect();
            assert_eq!(waited.len(), 2);
            assert!(waited.iter().all(|wait| *wait <= Span::from_secs(13)), "{waited:?}");
        }
    }
}
