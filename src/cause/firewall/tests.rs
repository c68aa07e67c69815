use super::*;
use crate::evidence::around::Path;
use crate::evidence::fixture::{
    alert, answered, certificate, connected, ends, greeted, icmp, resent, reset, seen, shown, syn,
};
use crate::tls::codes::Version;

fn found(e: &Evidence) -> (Certainty, &'static str) {
    match judge(e) {
        Judgement::Found(finding) => (finding.certainty, finding.reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_administrative_prohibition_is_proof() {
    assert_eq!(found(&icmp(syn(2), false, 3, 13)), (Certainty::Proven, "icmp_prohibited"));
    assert_eq!(found(&icmp(syn(1), true, 1, 1)), (Certainty::Proven, "icmp_prohibited"));
}

#[test]
fn another_unreachable_code_is_no_proof() {
    assert_eq!(found(&icmp(syn(2), false, 3, 3)), (Certainty::Inferred, "icmp_prohibited"));
    assert_eq!(found(&icmp(syn(2), false, 3, 1)), (Certainty::Suspected, "icmp_prohibited"));
}

#[test]
fn fragmentation_needed_is_no_prohibition() {
    assert_eq!(found(&icmp(syn(3), false, 3, 4)), (Certainty::Suspected, "syn_dropped"));
}

#[test]
fn unanswered_syns_are_suspected_drops() {
    assert_eq!(found(&syn(3)), (Certainty::Suspected, "syn_dropped"));
    assert!(matches!(judge(&syn(1)), Judgement::Blind(_)));
}

#[test]
fn a_refused_syn_is_a_closed_port_unless_doubted() {
    assert_eq!(found(&reset(syn(1), Side::Server, &[])), (Certainty::Suspected, "port_closed"));
    let doubted = reset(syn(1), Side::Server, &[Doubt::LinkAddress]);
    assert_eq!(found(&doubted), (Certainty::Inferred, "syn_reset"));
}

#[test]
fn two_independent_doubts_prove_an_injection() {
    let e = reset(greeted(), Side::Server, &[Doubt::Ttl(64, 55), Doubt::SenderWentOn, Doubt::NewAck]);
    assert_eq!(found(&e), (Certainty::Proven, "injected_reset"));
    let e = reset(greeted(), Side::Server, &[Doubt::Ttl(64, 55), Doubt::SenderWentOn]);
    assert_eq!(found(&e), (Certainty::Inferred, "injected_reset"), "packets out of order look so too");
    let soon = Doubt::TooSoon(Span(71), Span::from_millis(20));
    let e = reset(greeted(), Side::Server, &[Doubt::Ttl(64, 55), soon]);
    assert_eq!(found(&e), (Certainty::Proven, "reset_after_hello"));
}

/// A reset from nearer and sooner than the server, behind so much silence.
fn behind_silence(millis: i64) -> Evidence {
    let soon = Doubt::TooSoon(Span(71), Span::from_millis(20));
    let mut e = reset(greeted(), Side::Server, &[Doubt::Ttl(64, 55), soon]);
    e.tcp.resets[0].value.paused = Span::from_millis(millis);
    e
}

#[test]
fn a_gateway_that_forgot_the_connection_in_a_pause_refuses_the_hello_as_a_filter_does() {
    assert_eq!(found(&behind_silence(100)), (Certainty::Proven, "reset_after_hello"));
    assert_eq!(found(&behind_silence(500)), (Certainty::Inferred, "reset_after_hello"));
}

#[test]
fn nothing_was_forgotten_where_the_server_says_new_things_behind_the_reset() {
    let mut e = behind_silence(500);
    e.tcp.resets[0].value.doubts.push(seen(Doubt::NewAck, 10, 63));
    assert_eq!(found(&e), (Certainty::Proven, "injected_reset"));
}

#[test]
fn what_nothing_contradicts_stays_unsaid_behind_a_pause_too() {
    let mut e = behind_silence(500);
    e.tcp.resets[0].value.doubts.clear();
    assert!(matches!(judge(&e), Judgement::Blind(_)));
}

#[test]
fn ttl_and_link_address_are_one_witness() {
    let e = reset(greeted(), Side::Server, &[Doubt::Ttl(64, 55), Doubt::LinkAddress]);
    assert_eq!(found(&e), (Certainty::Inferred, "reset_after_hello"));
}

#[test]
fn an_unasked_reset_in_the_name_of_a_client_that_is_there_is_inferred() {
    let went_on = reset(greeted(), Side::Client, &[Doubt::Ttl(63, 64), Doubt::SenderWentOn]);
    assert_eq!(found(&went_on), (Certainty::Inferred, "injected_reset"));
    let mut e = reset(greeted(), Side::Client, &[Doubt::Ttl(97, 64)]);
    assert_eq!(found(&e), (Certainty::Suspected, "reset_after_hello"), "it may be the client's last word");
    let mut own = reset(greeted(), Side::Client, &[]).tcp.resets.remove(0);
    own.value.answers = Some(0);
    e.tcp.resets.push(own);
    assert_eq!(found(&e), (Certainty::Inferred, "injected_reset"));
}

#[test]
fn a_reset_in_the_clients_name_that_answers_the_server_may_be_a_translators() {
    let mut e = reset(greeted(), Side::Client, &[Doubt::Ttl(65, 64), Doubt::SenderWentOn]);
    e.tcp.resets[0].value.answers = Some(0);
    assert_eq!(found(&e), (Certainty::Suspected, "injected_reset"));
}

#[test]
fn a_reset_in_the_clients_name_behind_a_certificate_in_clear_has_two_readings() {
    let shown = shown(answered(Version::TLS12), certificate("a.test", &["a.test"]), &[]);
    let mut e = reset(shown, Side::Client, &[Doubt::Ttl(65, 64)]);
    e.tcp.resets[0].value.answers = Some(1_400);
    assert!(matches!(judge(&e), Judgement::Blind(_)));
}

#[test]
fn another_ttl_alone_may_be_another_machine() {
    let nearer = reset(greeted(), Side::Server, &[Doubt::Ttl(56, 55)]);
    assert_eq!(found(&nearer), (Certainty::Suspected, "reset_after_hello"));
    let farther = reset(greeted(), Side::Server, &[Doubt::Ttl(54, 55)]);
    assert_eq!(found(&farther), (Certainty::Suspected, "reset_after_hello"));
}

#[test]
fn a_first_round_trip_that_took_longer_does_not_make_the_next_reset_too_soon() {
    let soon = |took| reset(greeted(), Side::Server, &[Doubt::TooSoon(Span::from_millis(took), Span::from_millis(20))]);
    assert_eq!(found(&soon(1)), (Certainty::Inferred, "reset_after_hello"));
    assert_eq!(found(&soon(9)), (Certainty::Suspected, "reset_after_hello"));
}

#[test]
fn a_refusal_from_nearer_than_the_server_is_a_filters() {
    let mut e = syn(1);
    let mut refusal = reset(syn(1), Side::Server, &[]).tcp.resets.remove(0);
    refusal.when = e.started + Span(100);
    e.tcp.resets.push(refusal);
    let path = |ttl, millis| Some(seen(Path { ttl: (ttl, ttl), rtt: Span::from_millis(millis) }, 7, 900));
    e.around.path = path(54, 20);
    assert_eq!(found(&e), (Certainty::Inferred, "syn_reset"));
    for (ttl, millis) in [(55, 20), (54, 0)] {
        e.around.path = path(ttl, millis);
        assert_eq!(found(&e), (Certainty::Suspected, "port_closed"), "{ttl} {millis}");
    }
}

#[test]
fn syn_acks_that_the_client_does_not_hear_are_dropped_somewhere() {
    let mut e = syn(3);
    e.tcp.syn_ack = Some(seen(5, 2, 1));
    e.tcp.syn_acks = 3;
    assert_eq!(found(&e), (Certainty::Suspected, "syn_dropped"));
    e.tcp.syns = 1;
    assert!(matches!(judge(&e), Judgement::Blind(_)), "the client may have heard it, and the server not the client");
}

#[test]
fn a_fin_that_crosses_the_hello_says_nothing_of_it() {
    let mut e = greeted();
    e.tcp.acked.server = Some(0);
    ends(&mut e, Ending::Fin { from: Side::Server }, 5, 35);
    assert_eq!(judge(&e), Judgement::Absent);
}
#[test]
fn a_plain_reset_by_the_server_is_no_firewall() {
    assert!(matches!(judge(&reset(greeted(), Side::Server, &[])), Judgement::Blind(_)));
}

#[test]
fn a_plain_reset_is_suspected_where_the_server_serves_others() {
    let mut e = reset(greeted(), Side::Server, &[]);
    e.around.server_completes = Some(seen((), 1, 0));
    assert_eq!(found(&e), (Certainty::Suspected, "reset_after_hello"));
}

#[test]
fn a_hello_resent_in_vain_is_a_filters_where_another_name_passes() {
    let mut e = resent(greeted(), 4);
    assert_eq!(judge(&e), Judgement::Blind(EVEN), "a translator that forgot the connection drops alike");
    e.around.other_name = Some(seen(e.server, 20, 300));
    assert_eq!(found(&e), (Certainty::Suspected, "dropped_after_hello"));
    let mut once = resent(greeted(), 1);
    once.around.other_name = e.around.other_name.clone();
    assert!(matches!(judge(&once), Judgement::Blind(_)), "it may have been lost by chance");
    e.hello.as_mut().unwrap().when = e.started + Span::from_secs(360);
    assert_eq!(judge(&e), Judgement::Blind(EVEN), "it lay idle before");
}

#[test]
fn a_late_fin_that_acknowledges_nothing_shows_that_the_hello_never_arrived() {
    let mut e = resent(greeted(), 4);
    e.tcp.acked.server = Some(0);
    ends(&mut e, Ending::Fin { from: Side::Server }, 20, 60_000);
    assert_eq!(found(&e), (Certainty::Inferred, "dropped_after_hello"));
    e.tcp.repeats.client = None;
    assert_eq!(found(&e), (Certainty::Suspected, "dropped_after_hello"), "it may have been lost by chance");
}

#[test]
fn a_late_reset_says_that_the_hello_never_arrived_if_it_acknowledges_nothing() {
    let mut e = reset(resent(greeted(), 2), Side::Server, &[]);
    (e.tcp.first_seq, e.tcp.acked.server) = (Some(1_001), Some(0));
    assert!(matches!(judge(&e), Judgement::Blind(_)), "a server that knows no such connection resets so");
    let reset = &mut e.tcp.resets[0].value;
    (reset.ack, reset.ack_field) = (true, 1_001);
    assert_eq!(found(&e), (Certainty::Inferred, "dropped_after_hello"));
    e.tcp.resets[0].value.ack_field = 1_518;
    assert!(matches!(judge(&e), Judgement::Blind(_)), "it has the hello");
}

#[test]
fn a_fin_that_acknowledges_the_hello_is_the_servers_word() {
    let mut e = greeted();
    e.tcp.acked.server = Some(517);
    ends(&mut e, Ending::Fin { from: Side::Server }, 5, 41);
    assert_eq!(judge(&e), Judgement::Absent);
}

#[test]
fn absent_where_an_alert_explains() {
    assert_eq!(judge(&alert(greeted(), Side::Client, 45)), Judgement::Absent);
    assert_eq!(judge(&alert(icmp(greeted(), false, 3, 13), Side::Server, 70)), Judgement::Absent);
}

#[test]
fn absent_where_the_connection_was_only_set_up() {
    assert_eq!(judge(&connected()), Judgement::Absent);
}

#[test]
fn an_injector_that_looks_like_the_host_is_found_by_what_the_host_goes_on_to_say() {
    for more in [Doubt::NewData, Doubt::NewAck] {
        let e = reset(greeted(), Side::Server, &[Doubt::SenderWentOn, more]);
        assert_eq!(found(&e), (Certainty::Inferred, "injected_reset"));
    }
    let mut e = reset(greeted(), Side::Server, &[Doubt::SenderWentOn]);
    assert_eq!(found(&e), (Certainty::Suspected, "injected_reset"), "it may have been sent before the reset");
    e.tcp.acked.server = Some(0);
    assert_eq!(found(&e).1, "reset_after_hello", "the server goes on without the hello");
}
