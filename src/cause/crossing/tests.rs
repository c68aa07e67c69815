use super::{Certainty, Verdict, firewall, nat_drop};
use crate::base::{Endpoint, PacketNo, Side, Span};
use crate::decode::TcpFlags;
use crate::evidence::Evidence;
use crate::evidence::around::Pauses;
use crate::evidence::crossing::Beside;
use crate::evidence::crossing::fixture::{Gateway, NAT, Way, hello, sent};
use crate::evidence::fixture::{CLIENT, greeted, icmp, seen, syn};

mod untaken;

const ACK: u8 = TcpFlags::ACK;
const RST: u8 = TcpFlags::RST;

/// What both causes say: reason and certainty.
fn said(evidence: &Evidence) -> [Option<(&'static str, Certainty)>; 2] {
    [firewall(evidence), nat_drop(evidence)].map(|verdict| match verdict {
        Verdict::Found(finding) => Some((finding.reason, finding.certainty)),
        Verdict::Other | Verdict::Nothing => None,
    })
}

fn found(evidence: &Evidence) -> Option<(&'static str, Certainty)> {
    let [firewall, nat_drop] = said(evidence);
    firewall.or(nat_drop)
}

/// An attempt that said hello, through this gateway; other connections crossed before, meanwhile and behind.
fn through(script: impl FnOnce(&mut Gateway)) -> Evidence {
    beside(1_000, script)
}

/// The same; the one in the middle crossed at this time.
fn beside(meanwhile: i64, script: impl FnOnce(&mut Gateway)) -> Evidence {
    let mut gateway = Gateway::default();
    gateway.another(-3_000);
    gateway.connect();
    script(&mut gateway);
    gateway.another(meanwhile);
    gateway.another(8_000);
    gateway.until(60_000);
    let mut evidence = greeted();
    evidence.around.crossing = gateway.crossing().map(Box::new);
    evidence
}

/// SYNs that nobody answers, through this gateway.
fn asking(script: impl FnOnce(&mut Gateway)) -> Evidence {
    let mut gateway = Gateway::default();
    gateway.another(-3_000);
    script(&mut gateway);
    gateway.until(60_000);
    let mut evidence = syn(3);
    evidence.around.crossing = gateway.crossing().map(Box::new);
    evidence
}

fn syns(gateway: &mut Gateway, way: Way) {
    for at in [0, 1_000, 3_000] {
        gateway.send(sent(at, Side::Client, TcpFlags::SYN, 0, 0, 0), way);
    }
}

fn hellos(gateway: &mut Gateway, at: i64, way: Way) {
    for later in [0, 300, 900, 2_100] {
        gateway.send(hello(at + later), way);
    }
}

#[test]
fn a_syn_that_never_left_while_others_did() {
    let evidence = asking(|gateway| {
        syns(gateway, Way::Dropped);
        gateway.another(2_000);
    });
    assert_eq!(said(&evidence), [Some(("syn_dropped", Certainty::Proven)), None]);
}

#[test]
fn where_nobody_else_came_through_meanwhile_the_gateway_may_have_been_down() {
    let evidence = asking(|gateway| syns(gateway, Way::Dropped));
    assert_eq!(found(&evidence), Some(("syn_dropped", Certainty::Inferred)));
    let behind = asking(|gateway| {
        syns(gateway, Way::Dropped);
        gateway.another(4_000);
    });
    assert_eq!(found(&behind), Some(("syn_dropped", Certainty::Inferred)));
    let hellos_only = beside(-1_000, |gateway| hellos(gateway, 25, Way::Dropped));
    assert_eq!(found(&hellos_only), Some(("dropped_after_hello", Certainty::Inferred)));
}

#[test]
fn a_translator_with_ports_of_its_own_may_have_none_left_for_one_client() {
    let mut evidence = asking(|gateway| {
        syns(gateway, Way::Dropped);
        gateway.another(2_000);
    });
    let crossing = evidence.around.crossing.as_mut().unwrap();
    (crossing.beside.moves_ports, crossing.beside.of_client) = (true, false);
    assert_eq!(found(&evidence), Some(("syn_dropped", Certainty::Inferred)));
    let crossing = evidence.around.crossing.as_mut().unwrap();
    (crossing.beside.moves_ports, crossing.beside.lost_too) = (false, true);
    assert_eq!(found(&evidence), Some(("syn_dropped", Certainty::Inferred)), "its table may be full");
}

#[test]
fn a_connection_that_was_not_handed_to_the_gateway_is_none_of_its() {
    let mut evidence = asking(|gateway| {
        syns(gateway, Way::Dropped);
        gateway.another(4_000);
    });
    if let Some(crossing) = &mut evidence.around.crossing {
        crossing.beside.handed = Some(false);
    }
    assert_eq!(said(&evidence), [None, None]);
}

#[test]
fn ports_that_others_hold_leave_two_readings_of_a_syn_that_never_left() {
    let mut evidence = asking(|gateway| syns(gateway, Way::Dropped));
    if let Some(crossing) = &mut evidence.around.crossing {
        crossing.beside.renumbered = true;
        crossing.beside.held = 2;
    }
    let both = [("syn_dropped", Certainty::Suspected), ("port_exhausted", Certainty::Suspected)];
    assert_eq!(said(&evidence), both.map(Some));
    if let Some(crossing) = &mut evidence.around.crossing {
        crossing.beside.pool_is_held = true;
    }
    assert_eq!(said(&evidence), [None, Some(("port_exhausted", Certainty::Inferred))]);
}

#[test]
fn a_whole_pool_that_is_held_and_then_freed_was_exhausted() {
    let held = |change: fn(&mut Beside)| {
        let mut evidence = asking(|gateway| {
            syns(gateway, Way::Dropped);
            gateway.another(2_000);
        });
        let beside = &mut evidence.around.crossing.as_mut().unwrap().beside;
        (beside.renumbered, beside.held, beside.to_server) = (true, 2, false);
        (beside.pool_is_held, beside.pool_is_whole, beside.freed) = (true, true, Some(PacketNo(40)));
        change(beside);
        said(&evidence)[1]
    };
    assert_eq!(held(|_| {}), Some(("port_exhausted", Certainty::Proven)));
    let inferred = Some(("port_exhausted", Certainty::Inferred));
    assert_eq!(held(|beside| beside.freed = None), inferred, "nobody got a port again");
    assert_eq!(held(|beside| beside.pool_is_whole = false), inferred, "there may be ports in between");
    assert_eq!(held(|beside| beside.meanwhile = None), inferred, "nothing else crossed");
}

#[test]
fn a_host_that_is_reached_on_another_port_is_not_unreachable() {
    let refused = |to_host| {
        let mut evidence = asking(|gateway| syns(gateway, Way::Dropped));
        let said = icmp(syn(3), false, 3, 1).tcp.icmp.remove(0);
        let crossing = evidence.around.crossing.as_mut().unwrap();
        crossing.icmp.0.push(said);
        crossing.beside.to_host = to_host;
        found(&evidence)
    };
    let [before, after] = [Some(PacketNo(1)), Some(PacketNo(90))];
    assert_eq!(refused((before, after)), Some(("icmp_prohibited", Certainty::Proven)));
    assert_eq!(refused((before, None)), None, "the way to it may have gone");
}

#[test]
fn a_refusal_is_the_gateways_or_the_servers() {
    let refused = |way| {
        asking(|gateway| {
            gateway.send(sent(0, Side::Client, TcpFlags::SYN, 0, 0, 0), way);
            let answer = if way == Way::Passes { Way::Passes } else { Way::Made };
            gateway.send(sent(20, Side::Server, RST | ACK, 0, 1, 0), answer);
        })
    };
    assert_eq!(found(&refused(Way::Dropped)), Some(("syn_reset", Certainty::Proven)));
    assert_eq!(found(&refused(Way::Passes)), Some(("port_closed", Certainty::Proven)));
}

#[test]
fn syn_acks_that_are_not_let_in() {
    let evidence = asking(|gateway| {
        syns(gateway, Way::Passes);
        for at in [20, 1_020] {
            gateway.send(sent(at, Side::Server, TcpFlags::SYN | ACK, 0, 1, 0), Way::Dropped);
        }
    });
    assert_eq!(found(&evidence), Some(("syn_dropped", Certainty::Proven)));
}

#[test]
fn a_syn_ack_that_another_host_gets() {
    let evidence = asking(|gateway| {
        syns(gateway, Way::Passes);
        gateway.names.0 = Endpoint { port: 999, ..CLIENT };
        gateway.send(sent(3_020, Side::Server, TcpFlags::SYN | ACK, 0, 1, 0), Way::Passes);
    });
    assert_eq!(said(&evidence), [None, Some(("port_reuse", Certainty::Proven))]);
}

#[test]
fn a_hello_that_was_refused_on_the_way() {
    let evidence = through(|gateway| {
        gateway.send(hello(25), Way::Dropped);
        gateway.send(sent(26, Side::Server, RST, 1, 0, 0), Way::Made);
    });
    assert_eq!(said(&evidence), [Some(("reset_after_hello", Certainty::Proven)), None]);
}

#[test]
fn behind_a_long_pause_a_translator_may_have_refused_it() {
    let mut evidence = through(|gateway| {
        gateway.send(hello(40_000), Way::Dropped);
        gateway.send(sent(40_001, Side::Server, RST, 1, 0, 0), Way::Made);
    });
    evidence.tcp.established = Some(seen((), 3, 21));
    let both = [("reset_after_hello", Certainty::Suspected), ("idle_timeout", Certainty::Suspected)];
    assert_eq!(said(&evidence), both.map(Some));
}

#[test]
fn a_reset_that_came_through_was_not_made_here() {
    let evidence = through(|gateway| {
        gateway.send(hello(25), Way::Passes);
        gateway.send(sent(46, Side::Server, RST, 1, 0, 0), Way::Passes);
    });
    assert_eq!(said(&evidence), [None, None]);
}

#[test]
fn a_forged_reset_while_the_server_goes_on() {
    let forged = |goes_on: bool| {
        through(|gateway| {
            gateway.send(hello(25), Way::Passes);
            gateway.send(sent(26, Side::Server, RST, 1, 0, 0), Way::Made);
            if goes_on {
                gateway.send(sent(46, Side::Server, ACK, 1, 518, 900), Way::Passes);
            }
        })
    };
    assert_eq!(found(&forged(true)), Some(("injected_reset", Certainty::Proven)));
    assert_eq!(
        found(&forged(false)),
        Some(("injected_reset", Certainty::Inferred)),
        "a capture may have missed it"
    );
}

#[test]
fn a_prompt_hello_that_never_leaves_is_a_filters_and_a_late_one_may_be_a_translators() {
    let prompt = through(|gateway| hellos(gateway, 25, Way::Dropped));
    assert_eq!(said(&prompt), [Some(("dropped_after_hello", Certainty::Proven)), None]);
    let late = through(|gateway| hellos(gateway, 3_000, Way::Dropped));
    let both = [("dropped_after_hello", Certainty::Suspected), ("idle_timeout", Certainty::Suspected)];
    assert_eq!(said(&late), both.map(Some));
    let idle = through(|gateway| hellos(gateway, 40_000, Way::Dropped));
    assert_eq!(said(&idle), [None, Some(("idle_timeout", Certainty::Inferred))]);
}

/// The same hello crossed on another connection between two copies of this one.
fn spared(mut evidence: Evidence) -> Evidence {
    evidence.around.crossing.as_mut().unwrap().beside.alike.between = Some(PacketNo(77));
    evidence
}

#[test]
fn a_hello_that_another_connection_gets_through_was_forgotten_not_refused() {
    let lost = |at, other| beside(other, |gateway| hellos(gateway, at, Way::Dropped));
    let evidence = spared(lost(700, 1_500));
    assert_eq!(said(&evidence), [None, Some(("mapping_lost", Certainty::Proven))]);
    let down = spared(lost(700, -1_000));
    assert_eq!(
        said(&down),
        [None, Some(("mapping_lost", Certainty::Inferred))],
        "the gateway may have been down"
    );
    let mut long = spared(lost(12_000, 13_000));
    assert_eq!(
        said(&long),
        [None, Some(("idle_timeout", Certainty::Inferred))],
        "it may not have been the time"
    );
    let shorter = Some(seen(Span::from_secs(8), 60, 9));
    let failed = seen(4, 61, 30);
    long.around.pauses =
        Some(Pauses { failed, shortest_failed: Span::from_secs(11), longest_passed: shorter });
    assert_eq!(said(&long), [None, Some(("idle_timeout", Certainty::Proven))]);
}

#[test]
fn a_hello_that_was_reset_while_its_like_passed_and_the_server_was_reset_too() {
    let refused = |server_too: bool| {
        through(|gateway| {
            gateway.send(hello(700), Way::Dropped);
            gateway.send(sent(701, Side::Server, RST, 1, 0, 0), Way::Made);
            if server_too {
                gateway.send(sent(5_000, Side::Server, ACK | TcpFlags::FIN, 1, 1, 0), Way::Dropped);
                gateway.send(sent(5_001, Side::Client, RST, 1, 0, 0), Way::Made);
            }
        })
    };
    let both = [("reset_after_hello", Certainty::Suspected), ("mapping_lost", Certainty::Suspected)];
    assert_eq!(said(&refused(true)), both.map(Some), "a filter may have forgotten what it refused");
    assert_eq!(said(&spared(refused(true))), [None, Some(("mapping_lost", Certainty::Proven))]);
    assert_eq!(said(&spared(refused(false))), [None, Some(("mapping_lost", Certainty::Inferred))]);
}

#[test]
fn a_hello_that_vanishes_while_bare_packets_pass() {
    let evidence = through(|gateway| {
        hellos(gateway, 3_000, Way::Dropped);
        gateway.send(sent(6_000, Side::Client, ACK | TcpFlags::FIN, 518, 1, 0), Way::Passes);
    });
    assert_eq!(said(&evidence), [Some(("dropped_after_hello", Certainty::Proven)), None]);
}

#[test]
fn what_came_out_when_sent_again_was_lost_by_chance() {
    let evidence = through(|gateway| {
        gateway.send(hello(25), Way::Dropped);
        gateway.send(hello(300), Way::Dropped);
        gateway.send(hello(900), Way::Passes);
    });
    assert_eq!(said(&evidence), [None, None]);
}

#[test]
fn a_hello_under_another_name_than_its_syn() {
    for name in [CLIENT, Endpoint { port: 1_025, ..NAT }] {
        let evidence = through(|gateway| {
            gateway.names.1 = name;
            gateway.send(hello(700), Way::Passes);
            gateway.send(sent(720, Side::Server, RST, 1, 0, 0), Way::Passes);
            gateway.names.1 = NAT;
        });
        assert_eq!(said(&evidence), [None, Some(("mapping_lost", Certainty::Proven))], "{name}");
    }
}

#[test]
fn a_translator_resets_even_an_acknowledgment_and_a_filter_only_what_it_reads() {
    let forgot = through(|gateway| {
        gateway.send(hello(25), Way::Passes);
        gateway.send(sent(46, Side::Server, ACK, 1, 518, 0), Way::Dropped);
        gateway.send(sent(47, Side::Client, RST, 518, 0, 0), Way::Made);
    });
    assert_eq!(said(&forgot), [None, Some(("mapping_lost", Certainty::Proven))]);
    let filter = through(|gateway| {
        gateway.send(hello(25), Way::Passes);
        gateway.send(sent(46, Side::Server, ACK, 1, 518, 0), Way::Passes);
        gateway.send(sent(47, Side::Server, ACK, 1, 518, 1_100), Way::Dropped);
        gateway.send(sent(48, Side::Client, RST, 518, 0, 0), Way::Made);
    });
    assert_eq!(said(&filter), [Some(("reset_after_hello", Certainty::Proven)), None]);
}

#[test]
fn a_client_whose_packets_passed_and_do_so_no_more_was_forgotten() {
    let refused = |way| {
        through(|gateway| {
            gateway.send(hello(25), Way::Passes);
            gateway.send(sent(46, Side::Server, ACK, 1, 518, 1_100), Way::Dropped);
            gateway.send(sent(47, Side::Client, RST, 518, 0, 0), Way::Made);
            gateway.send(hello(900), way);
            gateway.send(hello(2_100), way);
        })
    };
    let both = [("reset_after_hello", Certainty::Suspected), ("mapping_lost", Certainty::Inferred)];
    assert_eq!(said(&refused(Way::Dropped)), both.map(Some), "a filter may block all that follows");
    assert_eq!(said(&spared(refused(Way::Dropped))), [None, Some(("mapping_lost", Certainty::Proven))]);
    assert_eq!(said(&refused(Way::Passes)), [Some(("reset_after_hello", Certainty::Proven)), None]);
}

#[test]
fn what_the_gateway_resets_behind_the_clients_own_close_ended_nothing() {
    let patience = through(|gateway| {
        gateway.send(hello(25), Way::Passes);
        gateway.send(sent(46, Side::Server, ACK, 1, 518, 0), Way::Passes);
        gateway.send(sent(6_000, Side::Client, TcpFlags::FIN | ACK, 518, 1, 0), Way::Passes);
        gateway.send(sent(6_500, Side::Server, ACK, 1, 519, 0), Way::Dropped);
        gateway.send(sent(6_501, Side::Client, RST, 519, 0, 0), Way::Made);
    });
    assert_eq!(said(&patience), [None, None]);
}

#[test]
fn large_segments_alone_vanish() {
    let hole = |tail| {
        through(|gateway| {
            gateway.send(hello(25), Way::Passes);
            for at in [46, 300, 900] {
                gateway.send(sent(at, Side::Server, ACK, 1, 518, 1_448), Way::Dropped);
                gateway.send(sent(at, Side::Server, ACK, 1_449, 518, 1_448), Way::Dropped);
            }
            gateway.send(sent(47, Side::Server, ACK, 2_897, 518, tail), Way::Passes);
        })
    };
    assert_eq!(found(&hole(700)), Some(("mtu_black_hole", Certainty::Proven)));
    assert_eq!(found(&hole(1_448)), None, "one of full size came through");
}

/// Of a hello in two segments the first vanishes each time; the other passed then.
fn headless(tail_at: i64) -> Evidence {
    through(|gateway| {
        gateway.send(sent(tail_at, Side::Client, ACK, 1_449, 1, 107), Way::Passes);
        for at in [25, 300, 900, 2_000] {
            gateway.send(sent(at, Side::Client, ACK, 1, 1, 1_448), Way::Dropped);
        }
    })
}

#[test]
fn one_large_segment_among_smaller_ones_was_chosen_by_size_or_by_content() {
    assert_eq!(found(&headless(26)), Some(("mtu_black_hole", Certainty::Proven)));
    assert_eq!(
        found(&headless(24)),
        Some(("mtu_black_hole", Certainty::Inferred)),
        "nothing passed from then on: the connection may have been forgotten"
    );
}

#[test]
fn one_large_segment_may_have_been_chosen_by_content_unless_others_vanish_too() {
    let mut evidence = headless(24);
    assert_eq!(found(&evidence), Some(("mtu_black_hole", Certainty::Inferred)));
    let beside = &mut evidence.around.crossing.as_mut().unwrap().beside;
    beside.swallowed.client = Some((1_400, PacketNo(50)));
    assert_eq!(found(&evidence), Some(("mtu_black_hole", Certainty::Proven)));
    evidence.around.crossing.as_mut().unwrap().beside.largest.client = 1_448;
    assert_eq!(found(&evidence), Some(("dropped_after_hello", Certainty::Proven)), "the path takes them");
}

#[test]
fn an_answer_that_is_kept_back_while_bare_packets_of_the_server_come_in() {
    let kept = |size, bare_at| {
        through(|gateway| {
            gateway.send(hello(25), Way::Passes);
            gateway.send(sent(bare_at, Side::Server, ACK, 1, 518, 0), Way::Passes);
            for at in [47, 300, 900] {
                gateway.send(sent(at, Side::Server, ACK, 1, 518, size), Way::Dropped);
            }
        })
    };
    assert_eq!(found(&kept(900, 400)), Some(("dropped_after_hello", Certainty::Proven)));
    assert_eq!(
        found(&kept(900, 46)),
        Some(("dropped_after_hello", Certainty::Inferred)),
        "it may have been forgotten since"
    );
    assert_eq!(found(&kept(1_448, 400)).unwrap().1, Certainty::Proven, "too large, or refused: policy both");
    assert_eq!(found(&kept(1_448, 46)).unwrap().1, Certainty::Inferred);
}

#[test]
fn a_client_that_closes_under_its_name_was_never_forgotten() {
    let closes = |way| {
        through(|gateway| {
            gateway.send(hello(25), Way::Passes);
            gateway.send(sent(400, Side::Server, ACK, 1, 518, 900), Way::Dropped);
            gateway.send(sent(401, Side::Client, RST, 518, 0, 0), Way::Made);
            gateway.send(sent(6_000, Side::Client, TcpFlags::FIN | ACK, 518, 1, 0), way);
        })
    };
    assert_eq!(said(&closes(Way::Passes)), [Some(("reset_after_hello", Certainty::Proven)), None]);
    assert_eq!(found(&closes(Way::Dropped)), Some(("reset_after_hello", Certainty::Inferred)));
}

#[test]
fn a_reset_that_comes_in_sooner_than_the_server_answers_was_forged_on_the_way() {
    let forged = |at, goes_on| {
        through(|gateway| {
            gateway.send(hello(25), Way::Passes);
            gateway.send(sent(at, Side::Server, RST | ACK, 1, 518, 0), Way::Passes);
            if goes_on {
                gateway.send(sent(46, Side::Server, ACK, 1, 518, 900), Way::Passes);
            }
        })
    };
    assert_eq!(found(&forged(27, true)), Some(("injected_reset", Certainty::Proven)));
    assert_eq!(found(&forged(27, false)), None, "the server may be nearer than it was");
    assert_eq!(found(&forged(44, true)), None, "the server has had the time");
    let both = through(|gateway| {
        gateway.send(hello(25), Way::Passes);
        gateway.send(sent(27, Side::Server, RST | ACK, 1, 518, 0), Way::Passes);
        gateway.send(sent(46, Side::Server, ACK, 1, 518, 900), Way::Passes);
        gateway.send(sent(47, Side::Client, RST | ACK, 518, 901, 0), Way::Made);
    });
    assert_eq!(found(&both), Some(("injected_reset", Certainty::Proven)), "whatever else was made");
}

#[test]
fn a_gateway_that_answers_in_the_servers_place() {
    let taken = |own: Option<PacketNo>| {
        let mut evidence = asking(|gateway| {
            gateway.send(sent(0, Side::Client, TcpFlags::SYN, 0, 0, 0), Way::Dropped);
            gateway.send(sent(1, Side::Server, TcpFlags::SYN | ACK, 0, 1, 0), Way::Made);
        });
        evidence.around.crossing.as_mut().unwrap().beside.gateway_made = own;
        super::spliced(&evidence)
    };
    assert_eq!(taken(Some(PacketNo(9))), Some(PacketNo(9)));
    assert_eq!(taken(None), None, "its packets may take another way");
}

#[test]
fn a_name_that_another_client_had() {
    let mut evidence = asking(|gateway| syns(gateway, Way::Passes));
    evidence.around.crossing.as_mut().unwrap().beside.handed_on = Some((PacketNo(5), 777));
    assert_eq!(super::handed_on(&evidence, 777), Some(PacketNo(5)));
    assert_eq!(super::handed_on(&evidence, 778), None, "the server answers somebody else");
}

#[test]
fn a_syn_ack_that_took_another_way() {
    let around = |way| {
        asking(|gateway| {
            gateway.send(sent(0, Side::Client, TcpFlags::SYN, 0, 0, 0), Way::Passes);
            gateway.send(sent(20, Side::Server, TcpFlags::SYN | ACK, 0, 1, 0), Way::Made);
            gateway.send(sent(21, Side::Client, ACK, 1, 1, 0), way);
            hellos(gateway, 25, Way::Dropped);
        })
    };
    assert_eq!(said(&around(Way::Dropped)), [None, Some(("asymmetric", Certainty::Proven))]);
    let missed = said(&around(Way::Passes));
    assert_eq!(missed[1], None, "the gateway knows the connection: the outer capture lacks the SYN/ACK");
}

#[test]
fn a_capture_that_counted_losses_proves_nothing() {
    let mut evidence = through(|gateway| {
        gateway.send(hello(25), Way::Dropped);
        gateway.send(sent(26, Side::Server, RST, 1, 0, 0), Way::Made);
    });
    if let Some(crossing) = &mut evidence.around.crossing {
        crossing.beside.lossy = true;
    }
    assert_eq!(found(&evidence), Some(("reset_after_hello", Certainty::Inferred)));
}

#[test]
fn blind_where_the_other_capture_had_ended() {
    let mut gateway = Gateway::default();
    gateway.connect();
    hellos(&mut gateway, 25, Way::Dropped);
    let mut evidence = greeted();
    evidence.around.crossing = gateway.crossing().map(Box::new);
    assert_eq!(said(&evidence), [None, None]);
}
