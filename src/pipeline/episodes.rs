//! Which failures are one story: the attempts of one client to one service that follow each other, and the success that
//! ends them.
//!
//! A program that is refused tries again, and a browser tries several times at once. What follows within [`RETRY`] of the
//! end before belongs together, whatever the addresses behind the name and however each attempt ended.

use std::sync::Arc;

use super::memory::Recent;
use crate::base::{Addr, Endpoint, PacketNo, Span, Stamp};
use crate::event::Id;
use crate::evidence::around::Episode;
use crate::evidence::{Ending, Evidence, Stage};

/// The next attempt begins within this of the end of the one before. Programs wait one second, then twice as long each
/// time, most of them up to half a minute.
const RETRY: Span = Span::from_secs(30);

/// A service as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Service {
    /// The name asked for in TLS, and the port.
    Name(Arc<str>, u16),
    /// Where no name was asked for.
    Address(Endpoint),
    /// A name that DNS did not resolve.
    Lookup(String),
}

/// Where an attempt waits to be judged: when, and its first packet.
pub type Place = (Stamp, PacketNo);

/// What is known of one client and one service.
#[derive(Clone, Debug, Default)]
struct Story {
    told: Option<Told>,
    /// The end of the latest success.
    success: Option<Stamp>,
    /// Failures not yet judged, in the order in which they will be.
    waiting: Vec<Place>,
}

/// The failures told so far.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// The first one's.
    id: Id,
    /// When the first one began.
    first: Stamp,
    count: u32,
    /// When the latest of them ended.
    ended: Stamp,
}

impl Told {
    fn of(evidence: &Evidence) -> Self {
        Self { id: Id::of(evidence), first: evidence.started, count: 1, ended: given_up(evidence) }
    }

    /// Whether an attempt that began and ended then belongs to it. One that began before the first took longer; one that
    /// ended before it is of a clock that was set back.
    fn goes_on(&self, started: Stamp, ended: Stamp) -> bool {
        started - self.ended <= RETRY && ended >= self.first
    }

    /// Whether it ended before this success did.
    fn is_over(&self, success: Option<Stamp>) -> bool {
        success.is_some_and(|success| self.ended <= success)
    }

    /// The story to which a failure belongs.
    fn with(told: Option<Self>, success: Option<Stamp>, failed: &Evidence) -> Self {
        let over = |told: &Self| told.is_over(success.filter(|success| *success < failed.started));
        match told {
            Some(told) if told.goes_on(failed.started, given_up(failed)) && !over(&told) => {
                Self { count: told.count.saturating_add(1), ended: told.ended.max(given_up(failed)), ..told }
            }
            _ => Self::of(failed),
        }
    }

    fn episode(self, attempt: u32) -> Episode {
        Episode { id: self.id.0, attempt, first: self.first }
    }
}

/// When the client gave up: who says nothing more waited as long as the capture shows it.
fn given_up(evidence: &Evidence) -> Stamp {
    match evidence.ending.value {
        Ending::Silence { lasted } => evidence.ended + lasted,
        _ => evidence.ended,
    }
}

/// The failures of each client and service.
#[derive(Debug)]
pub struct Episodes {
    stories: Recent<(Addr, Service), Story>,
    /// Whoever begins later belongs to none of them: most successes need look no further.
    open_until: Stamp,
}

impl Episodes {
    /// Nothing yet; at most this many clients and services.
    pub fn new(most: usize) -> Self {
        Self { stories: Recent::new(most, 1), open_until: Stamp(i64::MIN) }
    }

    /// Failures of one story that a success looks at before they are judged. Of a client that fails more often within some
    /// seconds it says too few.
    const WAITING: usize = 64;

    /// A failure is to be judged later.
    pub fn waits(&mut self, evidence: &Evidence, place: Place) {
        let key = key(evidence);
        self.open_until = self.open_until.max(given_up(evidence) + RETRY);
        match self.stories.newest_mut(&key) {
            Some(story) if story.waiting.len() >= Self::WAITING => {}
            Some(story) => {
                let at = story.waiting.partition_point(|other| *other < place);
                story.waiting.insert(at, place);
            }
            None => self.stories.put(key, Story { waiting: vec![place], ..Story::default() }),
        }
    }

    /// It was judged: no failure, or the next of its story.
    pub fn judged(&mut self, evidence: &Evidence, failed: bool) -> Option<Episode> {
        let key = key(evidence);
        let known = self.stories.newest_mut(&key);
        if !failed {
            known?.waiting.retain(|(_, first)| *first != evidence.first);
            return None;
        }
        let mut story = known.map(std::mem::take).unwrap_or_default();
        story.waiting.retain(|(_, first)| *first != evidence.first);
        self.open_until = self.open_until.max(given_up(evidence) + RETRY);
        let told = Told::with(story.told, story.success, evidence);
        self.stories.put(key, Story { told: Some(told), ..story });
        Some(told.episode(told.count))
    }

    /// What a success ends, if anything. `waiting` gives what waits at a place, unless it is no failure beside this
    /// success.
    pub fn ended_by<'a>(
        &mut self,
        evidence: &Evidence,
        waiting: impl Fn(&Place) -> Option<&'a Evidence>,
    ) -> Option<Episode> {
        if evidence.started > self.open_until {
            return None;
        }
        let (client, asked) = key(evidence);
        // Attempts that ended before a hello asked for no name.
        let unnamed = Service::Address(evidence.server);
        let unnamed = (asked != unnamed).then_some(unnamed);
        let mut ended = None;
        for service in [Some(asked), unnamed].into_iter().flatten() {
            let Some(story) = self.stories.newest_mut(&(client, service)) else { continue };
            let before = story.success.replace(evidence.ended);
            let failures = story.waiting.iter().filter_map(&waiting);
            let told = failures.fold(story.told, |told, failed| Some(Told::with(told, before, failed)));
            let ends = |told: &Told| {
                told.goes_on(evidence.started, evidence.ended)
                    && told.first <= evidence.started
                    && !told.is_over(before)
            };
            let told = told.filter(ends).map(|told| told.episode(told.count.saturating_add(1)));
            ended = ended.or(told);
        }
        ended
    }
}

fn key(evidence: &Evidence) -> (Addr, Service) {
    let service = match evidence.hello.as_ref().and_then(|hello| hello.value.sni.as_ref()) {
        Some(name) => Service::Name(Arc::clone(name), evidence.server.port),
        None if evidence.stage == Stage::Dns => {
            Service::Lookup(crate::event::asked_name(evidence).unwrap_or_default().to_owned())
        }
        None => Service::Address(evidence.server),
    };
    (evidence.client.addr, service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Side;
    use crate::evidence::fixture::{START, greeted, reset, syn};

    /// A reset hello, so many seconds on; it takes 62 ms.
    fn refused(secs: i64) -> Evidence {
        let mut e = reset(greeted(), Side::Server, &[]);
        e.client.port += u16::try_from(secs).unwrap();
        e.first = PacketNo(secs.cast_unsigned() * 100 + 1);
        e.started = START + Span::from_secs(secs);
        e.ended = e.started + Span::from_millis(62);
        e
    }

    fn told(episodes: &mut Episodes, secs: i64) -> (u64, u32) {
        let episode = episodes.judged(&refused(secs), true).unwrap();
        (episode.id, episode.attempt)
    }

    fn id(secs: i64) -> u64 {
        Id::of(&refused(secs)).0
    }

    #[test]
    fn ten_resets_that_follow_each_other_are_one_story() {
        let mut episodes = Episodes::new(8);
        for (attempt, secs) in (1..).zip([0, 1, 3, 7, 15, 31, 61, 91, 121, 151]) {
            assert_eq!(told(&mut episodes, secs), (id(0), attempt));
        }
    }

    #[test]
    fn absent_after_a_longer_pause_for_another_name_or_another_client() {
        let mut episodes = Episodes::new(8);
        assert_eq!(told(&mut episodes, 0), (id(0), 1));
        assert_eq!(told(&mut episodes, 31), (id(31), 1), "later");
        let (mut name, mut client) = (refused(32), refused(32));
        name.hello.as_mut().unwrap().value.sni = Some("other.example.com".into());
        client.client.addr = Addr::v4([10, 0, 0, 8]);
        for other in [name, client] {
            assert_eq!(episodes.judged(&other, true).map(|episode| episode.attempt), Some(1));
        }
        assert_eq!(told(&mut episodes, 33), (id(31), 2));
    }

    #[test]
    fn a_clock_that_was_set_back_begins_another() {
        let mut episodes = Episodes::new(8);
        assert_eq!(told(&mut episodes, 500), (id(500), 1));
        assert_eq!(told(&mut episodes, 0), (id(0), 1));
    }

    #[test]
    fn whichever_address_the_name_has_it_is_one_service() {
        let mut episodes = Episodes::new(8);
        episodes.judged(&refused(0), true);
        let mut next = refused(1);
        next.server.addr = Addr::v4([203, 0, 113, 6]);
        assert_eq!(episodes.judged(&next, true).map(|episode| episode.attempt), Some(2));
    }

    #[test]
    fn a_success_ends_the_story_once() {
        let mut episodes = Episodes::new(8);
        let none = |_: &Place| None;
        assert_eq!(episodes.ended_by(&refused(0), none), None, "no story");
        told(&mut episodes, 1);
        told(&mut episodes, 2);
        let ends = episodes.ended_by(&refused(3), none).unwrap();
        assert_eq!((ends.id, ends.attempt, ends.first), (id(1), 3, refused(1).started));
        assert_eq!(episodes.ended_by(&refused(4), none), None, "it had ended");
        assert_eq!(told(&mut episodes, 5), (id(5), 1), "another story");
    }

    #[test]
    fn failures_that_wait_to_be_judged_are_counted_before_the_success() {
        let mut episodes = Episodes::new(8);
        let (first, second) = (refused(0), refused(1));
        let places = [(Stamp(20), first.first), (Stamp(21), second.first)];
        episodes.waits(&second, places[1]);
        episodes.waits(&first, places[0]);
        let both = |place: &Place| Some(if *place == places[0] { &first } else { &second });
        let ends = episodes.ended_by(&refused(2), both).unwrap();
        assert_eq!((ends.id, ends.attempt), (id(0), 3));
        // Judged after the success, they are still the story that it ended.
        assert_eq!(told(&mut episodes, 0), (id(0), 1));
        assert_eq!(told(&mut episodes, 1), (id(0), 2));
        assert_eq!(told(&mut episodes, 3), (id(3), 1));
    }

    #[test]
    fn a_client_that_fails_without_end_makes_no_success_slow() {
        let mut episodes = Episodes::new(8);
        let e = refused(0);
        for n in 0..1_000 {
            episodes.waits(&e, (Stamp(n), e.first));
        }
        let ends = episodes.ended_by(&refused(1), |_| Some(&e)).unwrap();
        assert_eq!(ends.attempt, 65);
    }

    #[test]
    fn who_lost_a_race_has_no_part_in_it() {
        let mut episodes = Episodes::new(8);
        let loser = syn(1);
        episodes.waits(&loser, (Stamp(9), loser.first));
        let mut winner = syn(1);
        winner.first = PacketNo(7);
        assert_eq!(episodes.ended_by(&winner, |_| None), None);
        assert_eq!(episodes.judged(&loser, false), None);
        assert_eq!(episodes.judged(&winner, true).map(|episode| episode.attempt), Some(1));
    }

    #[test]
    fn attempts_that_got_no_further_than_tcp_are_ended_by_a_success_with_a_name() {
        let mut episodes = Episodes::new(8);
        episodes.judged(&syn(3), true);
        let mut success = refused(4);
        success.server = syn(3).server;
        assert_eq!(episodes.ended_by(&success, |_| None).map(|episode| episode.attempt), Some(2));
    }

    #[test]
    fn who_waits_in_silence_has_not_ended() {
        let mut episodes = Episodes::new(8);
        let first = syn(6); // silent for 60 s
        episodes.judged(&first, true);
        let mut next = syn(6);
        next.started = first.ended + Span::from_secs(80);
        assert_eq!(episodes.judged(&next, true).map(|episode| episode.attempt), Some(2));
    }
}
