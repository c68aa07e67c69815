//! What is a cause, and what is none.

use super::*;
use crate::evidence::fixture::{alert, answer, answered, bare, certificate, ends, greeted, shown};
use crate::tls::codes::Version;

const OTHER: [u8; 4] = [198, 51, 100, 9];
const OURS: [u8; 4] = [203, 0, 113, 5];

fn found(e: &Evidence) -> (Certainty, &'static str) {
    match judge(e) {
        Judgement::Found(finding) => (finding.certainty, finding.reason),
        other => panic!("{other:?}"),
    }
}

fn misnamed() -> Evidence {
    shown(answered(Version::TLS12), certificate("other.test", &["other.test"]), &[Fault::SanMismatch])
}

#[test]
fn a_failed_lookup_is_proof_where_tls_was_to_follow() {
    for (rcode, error, reason) in
        [(3, None, "nxdomain"), (2, None, "servfail"), (2, Some(22), "servfail"), (2, Some(6), "dnssec_bogus")]
    {
        let mut e = bare();
        e.stage = Stage::Dns;
        let mut said = answer(&[], 0, 0);
        said.value.rcode = rcode;
        said.value.extended_error = error;
        e.around.answers.push(said);
        assert_eq!(found(&e), (Certainty::Suspected, reason));
        e.around.for_tls = Some(Seen::new("a handshake bears the name", crate::base::PacketNo(9), e.ended));
        assert_eq!(found(&e), (Certainty::Proven, reason));
        e.around.cut_short = true;
        assert_eq!(found(&e), (Certainty::Suspected, reason), "the client may have asked elsewhere");
    }
}

#[test]
fn an_address_that_dns_did_not_give() {
    let mut e = alert(misnamed(), Side::Client, 42);
    e.around.answers.push(answer(&[OTHER], 300, 1));
    assert_eq!(found(&e), (Certainty::Inferred, "address_not_in_answer"));
}

#[test]
fn absent_where_any_client_was_given_the_address() {
    let mut e = greeted();
    e.around.answers.push(answer(&[OTHER], 300, 1));
    e.around.answers_to_others.push(answer(&[OURS], 300, 1));
    assert_eq!(judge(&e), Judgement::Absent);
}

#[test]
fn an_old_answer_is_stale_and_a_fresh_one_is_not() {
    let mut e = greeted();
    e.around.answers.push(answer(&[OURS], 300, 661));
    assert_eq!(found(&e), (Certainty::Suspected, "stale_answer"), "the record may stand as it was");
    e.around.answers = vec![answer(&[OURS], 300, 660)];
    assert_eq!(judge(&e), Judgement::Absent);
}

#[test]
fn others_were_given_other_addresses() {
    let mut e = alert(misnamed(), Side::Client, 42);
    e.around.answers_to_others.push(answer(&[OTHER], 300, 1));
    assert_eq!(found(&e), (Certainty::Suspected, "answers_differ"));
}

#[test]
fn an_alias_into_another_zone_with_another_certificate() {
    let mut e = alert(misnamed(), Side::Client, 42);
    let mut said = answer(&[OURS], 300, 1);
    said.value.cnames.push("shop.provider.test".to_owned());
    e.around.answers.push(said);
    assert_eq!(found(&e), (Certainty::Suspected, "cname_elsewhere"));
}

#[test]
fn absent_where_the_certificate_covers_the_name() {
    let named = certificate("www.example.com", &["www.example.com"]);
    let mut e = alert(shown(answered(Version::TLS12), named, &[Fault::LeafExpired]), Side::Client, 45);
    e.around.answers.push(answer(&[OTHER], 300, 1));
    assert_eq!(judge(&e), Judgement::Absent);
}

#[test]
fn an_answer_of_the_other_family_says_nothing() {
    let mut e = greeted();
    let mut said = answer(&[], 300, 1);
    said.value.addresses.push(crate::base::Addr::v6([0x20; 16]));
    e.around.answers.push(said);
    assert!(matches!(judge(&e), Judgement::Blind(_)));
}

#[test]
fn blind_without_a_name_or_an_answer() {
    let mut e = greeted();
    ends(&mut e, Ending::Reset { from: Side::Server }, 5, 41);
    assert_eq!(judge(&e), Judgement::Blind("no DNS answer for the name is in the capture"));
    e.hello.as_mut().unwrap().value.sni = None;
    assert_eq!(judge(&e), Judgement::Blind("the client sent no name in clear"));
}

#[test]
fn absent_where_a_protocol_alert_explains() {
    let mut e = alert(greeted(), Side::Server, 70);
    e.around.answers.push(answer(&[OTHER], 300, 1));
    assert_eq!(judge(&e), Judgement::Absent);
}

fn given(addresses: &[[u8; 4]], ttl: u32, secs: i64, resolver: u8) -> Seen<DnsAnswer> {
    let mut said = answer(addresses, ttl, secs);
    said.value.resolver = Addr::v4([10, 0, 0, resolver]);
    said
}

fn lookup() -> Evidence {
    Evidence { stage: Stage::Dns, ..bare() }
}

#[test]
fn a_server_that_is_not_reached_at_another_address_is_only_suspected() {
    let mut e = greeted();
    e.around.answers.push(answer(&[OTHER], 300, 1));
    assert_eq!(found(&e), (Certainty::Suspected, "address_not_in_answer"));
    let mut e = alert(greeted(), Side::Server, 112);
    e.around.answers.push(answer(&[OTHER], 300, 1));
    assert_eq!(found(&e), (Certainty::Inferred, "address_not_in_answer"));
}

#[test]
fn a_hint_of_a_service_record_is_an_answer() {
    let mut e = alert(misnamed(), Side::Client, 42);
    let mut said = answer(&[OTHER], 300, 1);
    said.value.hints.push(e.server.addr);
    e.around.answers.push(said);
    assert_eq!(judge(&e), Judgement::Absent);
}

#[test]
fn an_address_of_another_name_may_serve_both() {
    let mut e = alert(misnamed(), Side::Client, 42);
    e.around.answers.push(answer(&[OTHER], 300, 1));
    let mut other = answer(&[OURS], 300, 1);
    other.value.name = "other.test".to_owned();
    e.around.names_of_server.push(other);
    assert_eq!(found(&e), (Certainty::Suspected, "address_not_in_answer"));
}

#[test]
fn a_record_that_moved_makes_an_answer_stale_as_soon_as_it_is_over() {
    let moved = |ttl, age| {
        let mut e = greeted();
        e.around.answers = vec![answer(&[OTHER], 300, 1), answer(&[OURS], ttl, age)];
        judge(&e)
    };
    assert!(matches!(moved(5, 10), Judgement::Found(f) if f.reason == "stale_answer" && f.certainty == Certainty::Inferred));
    assert_eq!(moved(6, 10), Judgement::Absent);
    // The newest gives it still.
    let mut e = greeted();
    e.around.answers_to_others.push(answer(&[OURS], 300, 1));
    e.around.answers.push(answer(&[OURS], 5, 100));
    assert_eq!(judge(&e), Judgement::Absent);
}

#[test]
fn a_private_address_where_others_are_given_a_public_one() {
    let server = crate::base::Addr::v4([10, 9, 9, 9]);
    let mut e = greeted();
    e.server.addr = server;
    e.around.answers.push(answer(&[[10, 9, 9, 9]], 300, 1));
    assert_eq!(judge(&e), Judgement::Absent, "many names are private");
    e.around.answers_to_others.push(answer(&[OTHER], 300, 1));
    assert_eq!(found(&e), (Certainty::Inferred, "private_address"));
    e.around.answers_to_others = vec![answer(&[[10, 8, 8, 8]], 300, 1)];
    assert_eq!(judge(&e), Judgement::Absent);
}

#[test]
fn a_filters_portal_or_a_filters_word() {
    let mut e = alert(misnamed(), Side::Client, 42);
    e.server.addr = Addr::v4([208, 91, 112, 55]);
    e.around.answers.push(answer(&[[208, 91, 112, 55]], 300, 1));
    assert_eq!(found(&e), (Certainty::Inferred, "blocked"));
    let mut e = alert(misnamed(), Side::Client, 42);
    let mut said = answer(&[OURS], 300, 1);
    e.around.answers.push(said.clone());
    assert_eq!(judge(&e), Judgement::Absent);
    said.value.extended_error = Some(15);
    e.around.answers = vec![said];
    assert_eq!(found(&e), (Certainty::Inferred, "blocked"));
}

#[test]
fn the_first_of_two_answers_led_elsewhere() {
    let mut e = alert(misnamed(), Side::Client, 42);
    let (first, second) = (answer(&[OURS], 300, 2), answer(&[OTHER], 300, 1));
    e.around.answers.push(first.clone());
    assert_eq!(judge(&e), Judgement::Absent);
    e.around.rivals.push(crate::evidence::around::Rival { first, second, ttl: (60, 55) });
    assert_eq!(found(&e), (Certainty::Inferred, "spoofed_answer"));
}

#[test]
fn absent_where_two_answers_led_to_the_names_own_server() {
    let named = certificate("www.example.com", &["www.example.com"]);
    let mut e = alert(shown(answered(Version::TLS12), named, &[Fault::UnknownRoot]), Side::Client, 48);
    let (first, second) = (answer(&[OURS], 300, 2), answer(&[OTHER], 300, 1));
    e.around.rivals.push(crate::evidence::around::Rival { first, second, ttl: (60, 55) });
    assert_eq!(judge(&e), Judgement::Absent);
}

#[test]
fn another_resolver_says_something_else() {
    for (resolver, want) in [(2, Some(Certainty::Inferred)), (1, None)] {
        let mut e = alert(misnamed(), Side::Client, 42);
        e.around.answers = vec![given(&[OURS], 300, 1, 1), given(&[OTHER], 300, 2, resolver)];
        match want {
            Some(certainty) => assert_eq!(found(&e), (certainty, "answers_differ")),
            None => assert_eq!(judge(&e), Judgement::Absent, "one resolver may give one address after the other"),
        }
    }
}

#[test]
fn an_alias_whose_target_the_certificate_names() {
    let provider = certificate("shop.provider.test", &["shop.provider.test"]);
    let mut e = alert(shown(answered(Version::TLS12), provider, &[Fault::SanMismatch]), Side::Client, 42);
    let mut said = answer(&[OURS], 300, 1);
    said.value.cnames.push("shop.provider.test".to_owned());
    e.around.answers.push(said);
    assert_eq!(found(&e), (Certainty::Inferred, "cname_elsewhere"));
}

#[test]
fn a_translated_address_was_given_in_its_own_kind() {
    let mut six = [0; 16];
    six[..4].copy_from_slice(&[0, 0x64, 0xff, 0x9b]);
    six[12..].copy_from_slice(&OTHER);
    let mut other = answer(&[], 300, 1);
    other.value.addresses.push(Addr::v6([0x20; 16]));
    for (four, absent) in [(OTHER, true), (OURS, false)] {
        let mut e = alert(misnamed(), Side::Client, 42);
        e.server.addr = Addr::v6(six);
        e.around.answers = vec![other.clone(), answer(&[four], 300, 1)];
        assert_eq!(judge(&e) == Judgement::Absent, absent);
    }
}

#[test]
fn a_name_that_hides_another_is_never_asked_for() {
    let mut e = alert(misnamed(), Side::Client, 42);
    e.around.answers.push(answer(&[OTHER], 300, 1));
    let mut true_name = answer(&[OURS], 300, 1);
    (true_name.value.name, true_name.value.ech) = ("hidden.example.com".to_owned(), true);
    e.around.names_of_server.push(true_name);
    assert_eq!(judge(&e), Judgement::Absent);
}

#[test]
fn blind_behind_a_proxy_that_looks_names_up() {
    let mut e = alert(misnamed(), Side::Client, 42);
    e.around.answers.push(answer(&[OTHER], 300, 1));
    e.prelude = Some(Protocol::HttpConnect);
    assert!(matches!(judge(&e), Judgement::Blind(_)));
}

#[test]
fn before_a_hello_the_name_that_gave_the_address_stands_for_it() {
    let mut e = crate::evidence::fixture::syn(3);
    e.around.answers = vec![answer(&[OTHER], 300, 1), answer(&[OURS], 5, 10)];
    assert_eq!(judge(&e), Judgement::Blind("the client sent no name in clear"));
    e.around.names_of_server = vec![answer(&[OURS], 5, 10)];
    assert_eq!(found(&e), (Certainty::Inferred, "stale_answer"));
}

#[test]
fn a_name_that_does_not_exist_and_is_used_all_the_same() {
    let mut e = alert(misnamed(), Side::Client, 42);
    let mut said = answer(&[], 0, 1);
    said.value.rcode = 3;
    e.around.answers.push(said);
    assert_eq!(found(&e), (Certainty::Inferred, "nxdomain"));
}

#[test]
fn blind_where_the_client_hides_its_questions() {
    let mut e = alert(misnamed(), Side::Client, 42);
    e.around.answers.push(answer(&[OTHER], 300, 1));
    for (way, word) in [(Way::Tls, "TLS"), (Way::Https, "HTTPS"), (Way::Quic, "QUIC")] {
        e.around.hidden_dns = Some(Seen::new(way, crate::base::PacketNo(3), e.started));
        assert!(matches!(judge(&e), Judgement::Blind(why) if why.contains(word)));
    }
    // Nor is an old answer the last that the client got.
    e.around.answers = vec![answer(&[OTHER], 5, 10), answer(&[OURS], 5, 100)];
    assert!(matches!(judge(&e), Judgement::Absent));
}

#[test]
fn silence_of_resolvers_is_inferred_and_an_error_proves_it() {
    use crate::evidence::around::Unanswered;
    let resolvers = vec![Addr::v4([10, 0, 0, 1])];
    let silence = Unanswered { name: "www.example.com".into(), times: (2, 2), resolvers, unreachable: None };
    let mut e = lookup();
    assert!(matches!(judge(&e), Judgement::Blind(_)));
    e.around.unanswered = Some(Seen::new(silence, crate::base::PacketNo(1), e.started));
    assert_eq!(found(&e), (Certainty::Suspected, "no_answer"));
    e.around.for_tls = Some(Seen::new("a handshake bears the name", crate::base::PacketNo(9), e.ended));
    assert_eq!(found(&e), (Certainty::Inferred, "no_answer"));
    let error = Seen::new(Addr::v4([10, 0, 0, 1]), crate::base::PacketNo(2), e.started);
    e.around.unanswered.as_mut().unwrap().value.unreachable = Some(error);
    assert_eq!(found(&e), (Certainty::Proven, "no_answer"));
}

#[test]
fn of_several_answers_the_one_that_tells_most_is_the_reason() {
    for (codes, reason) in [([2, 3], "nxdomain"), ([5, 2], "servfail"), ([0, 5], "refused"), ([0, 0], "no_address")] {
        let mut e = lookup();
        e.around.answers = codes.map(|rcode| {
            let mut said = answer(&[], 0, 0);
            said.value.rcode = rcode;
            said
        }).into();
        assert_eq!(found(&e).1, reason);
    }
    for (address, reason) in [([0, 0, 0, 0], "blocked"), ([127, 0, 0, 1], "private_address")] {
        let mut e = lookup();
        e.around.answers.push(answer(&[address], 60, 0));
        e.around.for_tls = Some(Seen::new("a handshake bears the name", crate::base::PacketNo(9), e.ended));
        assert_eq!(found(&e), (Certainty::Inferred, reason));
    }
}

#[test]
fn an_answer_without_validation_shows_what_validation_withheld() {
    let mut e = lookup();
    let (mut refused, mut unchecked) = (answer(&[], 0, 1), answer(&[OURS], 60, 0));
    refused.value.rcode = 2;
    unchecked.value.unchecked = true;
    e.around.answers = vec![refused, unchecked];
    e.around.for_tls = Some(Seen::new("a handshake bears the name", crate::base::PacketNo(9), e.ended));
    assert_eq!(found(&e), (Certainty::Inferred, "dnssec_bogus"));
}
