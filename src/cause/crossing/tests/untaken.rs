use super::*;

/// The client's SYNs pass, and the server's answers come back to it `answers` times; meanwhile other connections of its own
/// are set up.
fn deaf(answers: &[i64], then: impl FnOnce(&mut Gateway)) -> Evidence {
    asking(|gateway| {
        gateway.send(sent(0, Side::Client, TcpFlags::SYN, 0, 0, 0), Way::Passes);
        for at in answers {
            gateway.send(sent(*at, Side::Server, TcpFlags::SYN | ACK, 0, 1, 0), Way::Passes);
        }
        for at in [1_000, 3_000, 7_000] {
            gateway.send(sent(at, Side::Client, TcpFlags::SYN, 0, 0, 0), Way::Passes);
        }
        gateway.another(2_000);
        then(gateway);
    })
}

#[test]
fn syn_acks_that_the_client_never_takes_though_it_takes_others() {
    let answers = [20, 1_020, 3_020, 7_020];
    let evidence = deaf(&answers, |_| ());
    assert_eq!(said(&evidence), [Some(("syn_dropped", Certainty::Proven)), None]);
    assert_eq!(said(&deaf(&answers[..2], |_| ())), [None, None], "two may be lost by chance");
    let mut alone = deaf(&answers, |_| ());
    alone.around.crossing.as_mut().unwrap().beside.taken = None;
    assert_eq!(said(&alone), [None, None], "nothing may reach it");
    for (flags, why) in [(RST, "it refused it"), (ACK, "it took it")] {
        let last =
            deaf(&answers, |gateway| gateway.send(sent(7_030, Side::Client, flags, 1, 1, 0), Way::Passes));
        assert_eq!(said(&last), [None, None], "{why}");
    }
}

#[test]
fn an_answer_that_the_client_never_takes_though_it_takes_others() {
    let untaken = |size, ack| {
        through(|gateway| {
            gateway.send(hello(25), Way::Passes);
            for at in [47, 300, 900, 2_000] {
                gateway.send(sent(at, Side::Server, ACK, 1, 518, size), Way::Passes);
            }
            gateway.send(sent(6_000, Side::Client, TcpFlags::FIN | ACK, 518, ack, 0), Way::Passes);
        })
    };
    assert_eq!(found(&untaken(900, 1)), Some(("dropped_after_hello", Certainty::Proven)));
    assert_eq!(found(&untaken(1_448, 1)), Some(("mtu_black_hole", Certainty::Proven)));
    assert_eq!(found(&untaken(900, 901)), None, "it had it");
    let mut alone = untaken(900, 1);
    alone.around.crossing.as_mut().unwrap().beside.taken = None;
    assert_eq!(found(&alone), None, "nothing may reach it");
}

#[test]
fn a_client_that_falls_silent_may_be_gone() {
    let evidence = through(|gateway| {
        gateway.send(hello(25), Way::Passes);
        for at in [47, 300, 900, 2_000] {
            gateway.send(sent(at, Side::Server, ACK, 1, 518, 900), Way::Passes);
        }
    });
    assert_eq!(found(&evidence), None);
}

#[test]
fn a_large_segment_that_the_server_never_takes_though_it_has_what_follows() {
    let hole = |asks: Option<i64>, ack| {
        through(|gateway| {
            for at in [25, 300, 900, 2_000] {
                gateway.send(sent(at, Side::Client, ACK, 1, 1, 1_448), Way::Passes);
                if at == 25 {
                    gateway.send(sent(26, Side::Client, ACK, 1_449, 1, 107), Way::Passes);
                }
            }
            if let Some(at) = asks {
                gateway.send(sent(at, Side::Server, ACK, 1, ack, 0), Way::Passes);
            }
        })
    };
    assert_eq!(found(&hole(Some(47), 1)), Some(("mtu_black_hole", Certainty::Proven)));
    assert_eq!(found(&hole(None, 1)), None, "the server may be gone");
    assert_eq!(found(&hole(Some(2_050), 1_556)), None, "it took it in the end");
}
