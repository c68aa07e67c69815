//! Which lookups are attempts, and what handshakes are compared with.

use super::*;
use crate::aside::dns::parse;
use crate::aside::dns::testing::{ASKED, answer, label, question, record};
use crate::evidence::fixture::{CLIENT, SERVER, START, greeted};

const RESOLVER: Endpoint = Endpoint { addr: Addr::v4([192, 0, 2, 53]), port: 53 };
const SECOND: Endpoint = Endpoint { addr: Addr::v4([192, 0, 2, 54]), port: 53 };
const NAME: &str = "www.example.com";
const GIVEN: [u8; 4] = [198, 51, 100, 1];

/// Questions and answers as they come, one a second, in packets from 1.
struct Scene {
    lookups: Lookups,
    no: u64,
    client: Endpoint,
    resolver: Endpoint,
    ttl: u8,
}

impl Scene {
    fn new() -> Self {
        Self::of(8)
    }

    fn of(most: usize) -> Self {
        let lookups = Lookups::new(Span::from_secs(10), most, 64);
        Self { lookups, no: 0, client: CLIENT, resolver: RESOLVER, ttl: 60 }
    }

    fn say(&mut self, bytes: &[u8]) -> Option<Answer> {
        self.no += 1;
        let when = START + Span::from_secs(i64::try_from(self.no).unwrap());
        let message = Seen::new(parse(bytes).unwrap(), PacketNo(self.no), when);
        let said = Said { client: self.client, resolver: self.resolver, ttl: self.ttl, message };
        self.lookups.take(said, when)
    }

    /// A question; its transaction is the kind.
    fn ask(&mut self, name: &str, kind: u16) -> &mut Self {
        self.say(&question(kind, name, kind));
        self
    }

    fn tell(&mut self, name: &str, kind: u16, rcode: u8, flags: u8, records: &[Vec<u8>]) -> &mut Self {
        let mut bytes = answer([0x81, flags | rcode], name, kind, records);
        bytes[..2].copy_from_slice(&kind.to_be_bytes());
        self.say(&bytes);
        self
    }

    /// An answer without an address, of this code; with 0 it gives one.
    fn answer(&mut self, name: &str, kind: u16, rcode: u8) -> &mut Self {
        self.gives(name, kind, rcode, if rcode == 0 && kind != 65 { &[GIVEN] } else { &[] })
    }

    fn gives(&mut self, name: &str, kind: u16, rcode: u8, addresses: &[[u8; 4]]) -> &mut Self {
        let records: Vec<_> = addresses.iter().map(|four| record(&ASKED, 1, 60, four)).collect();
        self.tell(name, kind, rcode, 0x80, &records)
    }

    /// A question and its answer.
    fn turn(&mut self, name: &str, kind: u16, rcode: u8) -> &mut Self {
        self.ask(name, kind).answer(name, kind, rcode)
    }

    fn next(&mut self, secs: i64) -> Option<Box<Evidence>> {
        let now = START + Span::from_secs(secs);
        self.lookups.next_before(now, now, &|_, _, _| false)
    }

    /// Name, whether it was for TLS, and the code of its first answer.
    fn judged(&mut self) -> Vec<(String, bool, Option<u16>)> {
        let mut all = Vec::new();
        while let Some(e) = self.next(1_000) {
            let first = e.around.answers.first().map(|answer| answer.value.rcode);
            let name = crate::event::asked_name(&e).unwrap().to_owned();
            all.push((name, e.around.for_tls.is_some(), first));
        }
        all
    }

    fn misses(&mut self, turns: &[(&str, u16, u8)]) -> Vec<(String, bool, Option<u16>)> {
        for (name, kind, rcode) in turns {
            self.turn(name, *kind, *rcode);
        }
        self.judged()
    }
}

fn misses(turns: &[(&str, u16, u8)]) -> Vec<(String, bool, Option<u16>)> {
    Scene::new().misses(turns)
}

fn missed(for_tls: bool, rcode: u16) -> Vec<(String, bool, Option<u16>)> {
    vec![(NAME.to_owned(), for_tls, Some(rcode))]
}

#[test]
fn both_kinds_of_addresses_refused_are_one_suspected_attempt() {
    let mut scene = Scene::new();
    scene.turn(NAME, 1, 3).turn(NAME, 28, 3);
    assert!(scene.next(12).is_none());
    let evidence = scene.next(13).unwrap();
    assert_eq!((evidence.first, evidence.last), (PacketNo(1), PacketNo(4)));
    assert_eq!((evidence.stage, evidence.outcome), (Stage::Dns, Outcome::Failed));
    assert!(evidence.around.for_tls.is_none());
    assert!(scene.judged().is_empty());
}

#[test]
fn one_kind_alone_counts_where_the_name_is_known_to_be_for_tls() {
    for rcode in [2, 3, 5] {
        assert_eq!(misses(&[(NAME, 1, rcode)]), []);
        assert_eq!(misses(&[(NAME, 65, rcode), (NAME, 1, rcode)]), missed(true, rcode.into()));
    }
    let mut scene = Scene::new();
    scene.turn(NAME, 1, 2);
    scene.lookups.spoken(SERVER.addr, &NAME.into(), Seen::new((), PacketNo(9), START));
    assert_eq!(scene.judged(), missed(true, 2));
}

#[test]
fn a_name_that_is_found_in_the_end_was_not_missed() {
    assert_eq!(misses(&[(NAME, 1, 2), (NAME, 28, 2), (NAME, 1, 0)]), []);
    assert_eq!(misses(&[("www.corp", 1, 3), ("www.corp", 28, 3), ("www.corp.example.com", 1, 0)]), []);
    assert_eq!(misses(&[("www.example.com.corp", 1, 3), ("www.example.com.corp", 28, 3), (NAME, 1, 0)]), []);
}

#[test]
fn a_name_that_has_one_kind_of_address_was_not_missed() {
    let web = (NAME, 65, 0);
    assert_eq!(misses(&[(NAME, 1, 0), web, (NAME, 28, 3)]), []);
    assert_eq!(misses(&[(NAME, 28, 0), web, (NAME, 1, 3)]), []);
    let removed = [(NAME, 1, 0), web, web, web, web, web, web, (NAME, 1, 3)];
    assert_eq!(misses(&removed), missed(true, 3));
}

#[test]
fn a_client_that_reached_or_greeted_the_name_had_an_address_from_elsewhere() {
    let refused = [(NAME, 65, 3), (NAME, 1, 3)];
    let mut scene = Scene::new();
    scene.turn(NAME, 65, 3).turn(NAME, 1, 3);
    let later = START + Span::from_secs(60);
    assert!(
        scene
            .lookups
            .next_before(later, later, &|client, name, _| client == CLIENT.addr && name == NAME)
            .is_none()
    );
    let mut scene = Scene::new();
    let hello = Seen::new((), PacketNo(9), START + Span::from_secs(60));
    scene.lookups.spoken(CLIENT.addr, &NAME.into(), hello);
    assert_eq!(scene.misses(&refused), []);
}

#[test]
fn what_a_search_list_appends_is_no_other_attempt() {
    let list = [NAME, "www.example.com.lan"];
    for names in [list, [list[1], list[0]]] {
        let searched = names.map(|name| [(name, 1, 3), (name, 28, 3)]).concat();
        assert_eq!(misses(&searched), missed(false, 3), "{names:?}");
    }
}

#[test]
fn probes_and_discovery_are_no_attempts() {
    for name in
        ["qzvkwjfl", "wpad.example.com", "_ldap._tcp.example.com", "1.2.0.192.in-addr.arpa", "tv.local"]
    {
        assert_eq!(misses(&[(name, 1, 3), (name, 28, 3)]), [], "{name}");
    }
}

#[test]
fn names_refused_and_found_in_turn_stay_within_the_bound() {
    let mut scene = Scene::of(8);
    scene.lookups.wait = Span::from_secs(1_000);
    for turn in 0..40 {
        scene.turn(NAME, 1, if turn % 2 == 0 { 3 } else { 0 });
    }
    let waiting: usize = scene.lookups.due.iter().map(VecDeque::len).sum();
    assert_eq!((waiting, scene.lookups.dropped()), (8, 12));
}

#[test]
fn too_many_that_wait_are_counted() {
    let mut scene = Scene::of(8);
    for n in 0..10 {
        scene.turn(&format!("n{n}.example.com"), 1, 3);
    }
    assert_eq!(scene.lookups.dropped(), 2);
}

#[test]
fn no_such_record_counts_where_tls_was_to_follow() {
    let both = |web: bool| {
        let mut scene = Scene::new();
        if web {
            scene.turn(NAME, 65, 0);
        }
        scene.ask(NAME, 1).gives(NAME, 1, 0, &[]).ask(NAME, 28).gives(NAME, 28, 0, &[]).judged()
    };
    assert_eq!(both(true), missed(true, 0));
    assert_eq!(both(false), []);
    let mut scene = Scene::new();
    scene.turn(NAME, 65, 0).turn(NAME, 1, 0).ask(NAME, 28).gives(NAME, 28, 0, &[]);
    assert_eq!(scene.judged(), [], "most names have no AAAA record");
}

#[test]
fn addresses_that_lead_nowhere_are_none() {
    for nowhere in [[0, 0, 0, 0], [127, 0, 0, 1]] {
        let mut scene = Scene::new();
        scene.turn(NAME, 65, 0).ask(NAME, 1).gives(NAME, 1, 0, &[nowhere]);
        assert_eq!(scene.judged(), missed(true, 0));
        let mut scene = Scene::new();
        scene.turn(NAME, 65, 0).ask(NAME, 1).gives(NAME, 1, 0, &[nowhere, GIVEN]);
        assert_eq!(scene.judged(), []);
    }
}

#[test]
fn a_name_of_a_networks_own_zone_may_mean_the_client_itself() {
    let own = "build.example.lan";
    let mut scene = Scene::new();
    scene.turn(own, 65, 0).ask(own, 1).gives(own, 1, 0, &[[127, 0, 0, 1]]);
    assert_eq!(scene.judged(), []);
    let mut scene = Scene::new();
    scene.turn(own, 65, 0).ask(own, 1).gives(own, 1, 0, &[[0, 0, 0, 0]]);
    assert_eq!(scene.judged().len(), 1, "the unspecified address leads nobody anywhere");
}

#[test]
fn a_cut_answer_says_nothing_yet() {
    let mut scene = Scene::new();
    scene.turn(NAME, 65, 0).ask(NAME, 1);
    let mut cut = answer([0x83, 0x80], NAME, 1, &[]);
    cut[..2].copy_from_slice(&[0, 1]);
    scene.say(&cut);
    assert_eq!(scene.judged(), []);
}

#[test]
fn an_alias_of_services_is_an_answer() {
    let mut scene = Scene::new();
    let alias = [&[0, 0][..], &label("svc.example.net")].concat();
    scene.turn(NAME, 1, 3).ask(NAME, 65).tell(NAME, 65, 0, 0x80, &[record(&ASKED, 65, 60, &alias)]);
    assert_eq!(scene.judged(), []);
}

#[test]
fn questions_that_nobody_answers_are_one_attempt() {
    let mut scene = Scene::new();
    scene.ask(NAME, 65).ask(NAME, 1).ask(NAME, 28).ask(NAME, 1).ask(NAME, 28);
    assert!(scene.next(14).is_none());
    let evidence = scene.next(1_000).unwrap();
    let silence = evidence.around.unanswered.as_ref().unwrap();
    assert_eq!((silence.value.times, silence.value.resolvers.as_slice()), ((2, 2), &[RESOLVER.addr][..]));
    assert_eq!((evidence.first, evidence.last), (PacketNo(2), PacketNo(5)));
    assert!(evidence.around.for_tls.is_some() && scene.judged().is_empty());
}

#[test]
fn who_asks_once_may_have_been_answered_out_of_sight() {
    let mut scene = Scene::new();
    scene.ask(NAME, 65).ask(NAME, 1);
    assert_eq!(scene.judged(), []);
    // Unless the resolver's host says that nobody is there.
    let mut scene = Scene::new();
    scene.ask(NAME, 65).ask(NAME, 1);
    scene.lookups.unreachable(CLIENT, RESOLVER, Seen::new(RESOLVER.addr, PacketNo(3), START));
    assert_eq!(scene.judged(), [(NAME.to_owned(), true, None)]);
}

#[test]
fn another_resolver_that_answers_is_enough() {
    let mut scene = Scene::new();
    scene.ask(NAME, 65).ask(NAME, 1).ask(NAME, 1);
    scene.resolver = SECOND;
    scene.turn(NAME, 1, 0);
    assert_eq!(scene.judged(), []);
    let mut scene = Scene::new();
    scene.turn(NAME, 65, 2).turn(NAME, 1, 2);
    scene.resolver = SECOND;
    assert_eq!(scene.turn(NAME, 1, 0).judged(), []);
}

#[test]
fn at_the_captures_end_patience_is_needed() {
    for (asked, attempts) in [(2, 0), (5, 1)] {
        let mut scene = Scene::new();
        scene.ask(NAME, 65);
        for _ in 0..asked {
            scene.ask(NAME, 1);
        }
        let ended = START + Span::from_secs(i64::try_from(scene.no).unwrap());
        let next = scene.lookups.next_before(Stamp(i64::MAX), ended, &|_, _, _| false);
        assert_eq!(usize::from(next.is_some()), attempts, "{asked}");
    }
}

#[test]
fn two_answers_to_one_question_that_contradict_each_other() {
    let mut scene = Scene::new();
    scene.turn(NAME, 65, 0).ask(NAME, 1).answer(NAME, 1, 3);
    scene.ttl = 50;
    scene.answer(NAME, 1, 0);
    let evidence = scene.next(1_000).unwrap();
    let rival = &evidence.around.rivals[0];
    assert_eq!((rival.first.value.rcode, rival.second.value.rcode, rival.ttl), (3, 0, (60, 50)));
}

#[test]
fn a_question_sent_twice_may_have_two_answers() {
    let mut scene = Scene::new();
    scene.turn(NAME, 65, 0).ask(NAME, 1).ask(NAME, 1).answer(NAME, 1, 2).answer(NAME, 1, 0);
    assert_eq!(scene.judged(), []);
    assert!(told(&scene).rivals.is_empty());
}

#[test]
fn what_is_found_without_validation_alone_stays_missed() {
    let mut scene = Scene::new();
    scene.turn(NAME, 65, 2).turn(NAME, 1, 2).ask(NAME, 1).tell(
        NAME,
        1,
        0,
        0x90,
        &[record(&ASKED, 1, 60, &GIVEN)],
    );
    let evidence = scene.next(1_000).unwrap();
    assert!(
        evidence.around.answers.iter().any(|answer| answer.value.unchecked && answer.value.has_address())
    );
    // Some resolvers ask so always, and validate themselves.
    let mut scene = Scene::new();
    scene.turn(NAME, 65, 0).ask(NAME, 1).tell(NAME, 1, 0, 0x90, &[record(&ASKED, 1, 60, &GIVEN)]);
    assert_eq!(scene.judged(), []);
}

/// What a handshake of the client, which begins in a minute, is compared with.
fn told(scene: &Scene) -> Around {
    let mut e = greeted();
    e.started = START + Span::from_secs(60);
    scene.lookups.told.tell(&mut e);
    Around::clone(&e.around)
}

#[test]
fn a_handshake_is_compared_with_its_own_clients_answers_and_with_others() {
    let mut scene = Scene::new();
    scene.turn(NAME, 1, 0).ask(NAME, 28).gives(NAME, 28, 0, &[]);
    scene.client.addr = Addr::v4([10, 0, 0, 8]);
    scene.ask(NAME, 1).gives(NAME, 1, 0, &[[203, 0, 113, 5]]);
    let around = told(&scene);
    assert_eq!(around.answers.iter().filter(|answer| answer.value.has_address()).count(), 1);
    assert_eq!((around.answers.len(), around.answers_to_others.len()), (2, 1));
    assert_eq!(around.names_of_server, [], "others were given the server's address");
    assert_eq!(around.answers[1].value.resolver, RESOLVER.addr);
}

#[test]
fn answers_for_the_target_of_a_service_are_the_names_own() {
    let mut scene = Scene::new();
    let alias = [&[0, 0][..], &label("svc.example.net")].concat();
    scene.ask(NAME, 65).tell(NAME, 65, 0, 0x80, &[record(&ASKED, 65, 60, &alias)]);
    scene.ask("svc.example.net", 1).gives("svc.example.net", 1, 0, &[[203, 0, 113, 5]]);
    let around = told(&scene);
    assert!(around.answers.iter().any(|answer| answer.value.gives(SERVER.addr)));
    // XMPP and its like ask for the service, and greet the domain.
    let mut scene = Scene::new();
    let srv = [&[0, 10, 0, 1, 20, 103][..], &label("chat.example.net")].concat();
    let service = format!("_xmpps-client._tcp.{NAME}");
    scene.ask(&service, 33).tell(&service, 33, 0, 0x80, &[record(&ASKED, 33, 60, &srv)]);
    scene.ask("chat.example.net", 1).gives("chat.example.net", 1, 0, &[[203, 0, 113, 5]]);
    assert!(told(&scene).answers.iter().any(|answer| answer.value.gives(SERVER.addr)));
}

#[test]
fn a_flood_of_names_by_one_client_takes_no_room_from_others() {
    let mut scene = Scene::new();
    scene.turn(NAME, 1, 0);
    scene.client.addr = Addr::v4([10, 0, 0, 66]);
    for n in 0..3_000 {
        // A second apart, they would be no flood.
        scene.no = 10;
        scene.turn(&format!("n{n}.example.net"), 1, u8::from(n % 2 == 0) * 3);
    }
    assert!(scene.lookups.dropped() > 1_000);
    scene.client = CLIENT;
    // The first thousand, which were not yet a flood, took the oldest places.
    scene.turn(NAME, 1, 0);
    scene.client.addr = Addr::v4([10, 0, 0, 66]);
    for n in 3_000..6_000 {
        scene.no = 10;
        scene.turn(&format!("n{n}.example.net"), 1, u8::from(n % 2 == 0) * 3);
    }
    assert_eq!(told(&scene).answers.len(), 1);
}

#[test]
fn what_a_client_was_told_when_it_connected_outlives_a_flood_by_many() {
    let flood = |scene: &mut Scene, from: u32| {
        for n in from..from + 300 {
            scene.client.addr = Addr::v4((0x2d00_0000 + n).to_be_bytes());
            scene.turn(&format!("n{n}.example.net"), 1, 0);
        }
        (scene.client, scene.no) = (CLIENT, 1);
    };
    for connects in [false, true] {
        let mut scene = Scene::of(256);
        flood(&mut scene, 0);
        scene.turn(NAME, 1, 0);
        if connects {
            scene.lookups.told.connects(CLIENT, SERVER);
        }
        flood(&mut scene, 300);
        assert_eq!(told(&scene).answers.len(), usize::from(connects));
    }
}

#[test]
fn who_hides_its_questions_is_known_from_then_on() {
    use crate::aside::dns::hidden::{DISCOVERY, Way};
    let mut scene = Scene::new();
    let params = [0, 4, 0, 4, 203, 0, 113, 5];
    let service = [&[0, 1][..], &label("dns.example.net"), &params].concat();
    scene.ask(DISCOVERY, 64).tell(DISCOVERY, 64, 0, 0x80, &[record(&ASKED, 64, 60, &service)]);
    assert!(scene.lookups.told.is_designated(CLIENT.addr, SERVER.addr));
    assert!(!scene.lookups.told.is_designated(SERVER.addr, SERVER.addr));
    for (secs, known) in [(59, true), (61, false)] {
        let how = Seen::new(Way::Tls, PacketNo(1), START + Span::from_secs(secs));
        scene.lookups.told.hides(CLIENT.addr, how);
        assert_eq!(told(&scene).hidden_dns.is_some(), known);
    }
}
