use proptest::prelude::*;

use super::super::super::testing::{Sent, ends};
use super::super::tests::run_on;
use super::super::{everything, op};
use super::*;

const SNAP: u32 = 4_096;

/// What a frame's program says, with a filter behind it that takes everything: whether it passes.
fn passes(program: &[Instruction], frame: &[u8], lot: u32) -> bool {
    let whole = [program, &everything(SNAP)].concat();
    assert!(whole.len() <= 4_096, "more than the kernel takes");
    let said = run_on(&whole, frame, lot);
    assert!([0, SNAP].contains(&said));
    said > 0
}

fn sent() -> impl Strategy<Value = Sent> {
    let fragment = prop_oneof![4 => Just(0x4000_u16), 1 => Just(0x2000_u16), 1 => Just(185_u16)];
    (ends(), any::<u8>(), 0_usize..3, fragment, 0_usize..3).prop_map(
        |((src, dst), flags, tags, fragment, payload)| Sent {
            tags,
            fragment,
            ..between(src, dst, flags, payload)
        },
    )
}

/// A segment with so many bytes.
fn between(src: Endpoint, dst: Endpoint, flags: u8, payload: usize) -> Sent {
    Sent { src, dst, flags, tags: 0, fragment: 0, options: 0, payload: vec![0x17; payload] }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn only_packets_of_these_connections_are_kept_back_and_none_that_begins_or_ends_one(
        kept in prop::collection::vec(ends(), 0..40),
        sent in prop::collection::vec(sent(), 1..40),
        lot in 1_u32..64,
    ) {
        let flows: Vec<FlowKey> = kept.iter().map(|(src, dst)| FlowKey::of(*src, *dst).0).collect();
        let program = bypass(&flows);
        for sent in sent {
            let frame = sent.frame();
            let turns = sent.flags & (TcpFlags::FIN | TcpFlags::SYN | TcpFlags::RST) != 0;
            let fragment = sent.src.addr.is_v4() && sent.fragment & 0x3fff != 0;
            let must = !flows.contains(&sent.key()) || turns || fragment || sent.tags > 1;
            let passed = passes(&program, &frame, lot);
            prop_assert!(passed || !must, "{sent:?}");
            prop_assert!(passes(&program, &frame, 64), "one of as many passes");
            prop_assert_eq!(passed, passes(&program, &sent.back().frame(), lot), "both directions");
            // Who looks at a frame knows whether the program could have kept it back.
            prop_assert!(passed || reachable(&frame) == Some(sent.key()));
        }
    }

    #[test]
    fn no_bytes_whatever_are_kept_back_that_belong_to_no_such_connection(
        kept in prop::collection::vec(ends(), 1..8),
        sent in sent(),
        changes in prop::collection::vec((0_usize..80, any::<u8>()), 0..6),
        len in 0_usize..100,
    ) {
        let flows: Vec<FlowKey> = kept.iter().map(|(src, dst)| FlowKey::of(*src, *dst).0).collect();
        let mut frame = sent.frame();
        for (at, value) in changes {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        frame.truncate(len);
        if !passes(&bypass(&flows), &frame, 1) {
            prop_assert!(reachable(&frame).is_some_and(|key| flows.contains(&key)), "{frame:x?}");
        }
    }
}

fn connection(n: u16, v6: bool) -> FlowKey {
    let [a, b] = n.to_be_bytes();
    let addr = |last: u8| {
        if v6 {
            Addr::v6([0x20, a, b, 7, 9, 0, 0, 0, 0, 0, 0, 0, 1, a, b, last])
        } else {
            Addr::v4([10, a, b, last])
        }
    };
    FlowKey::of(Endpoint { addr: addr(1), port: 40_000 + n }, Endpoint { addr: addr(2), port: 443 }).0
}

#[test]
fn as_many_as_are_ever_kept_back_are_found_each() {
    for v6 in [false, true] {
        let flows: Vec<FlowKey> = (0..96).map(|n| connection(n, v6)).collect();
        let program = bypass(&flows);
        println!("{} instructions, {v6}", program.len());
        for flow in &flows {
            let sent = between(flow.high, flow.low, 0x18, 9);
            assert!(!passes(&program, &sent.frame(), 5), "{flow:?}");
            assert!(!passes(&program, &Sent { tags: 1, ..sent.back() }.frame(), 5), "{flow:?}");
        }
        assert!((96..999).map(|n| connection(n, v6)).all(|flow| {
            let sent = between(flow.low, flow.high, 0x10, 0);
            passes(&program, &sent.frame(), 5)
        }));
    }
}

#[test]
fn the_filter_behind_it_still_says_what_passes_otherwise() {
    let flow = connection(1, false);
    let refuse = [bypass(&[flow]), vec![Instruction { code: op::RETURN, jt: 0, jf: 0, k: 0 }]].concat();
    let other = connection(2, false);
    let sent = between(other.low, other.high, 0x10, 0);
    assert_eq!(run_on(&refuse, &sent.frame(), 0), 0);
    assert!(bypass(&[]).is_empty());
}
