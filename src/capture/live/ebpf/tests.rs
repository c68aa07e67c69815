//! The programs run in the kernel, where this user may load them.

use proptest::prelude::*;

use super::super::program::{compiled, everything, reachable};
use super::super::testing::{Sent, ends};
use super::*;
use crate::base::{Addr, Endpoint, FlowKey};
use crate::capture::filter::compile;
use crate::decode::{LinkType, TcpFlags};

const SNAP: u32 = 4_096;

/// A filter in front of a map, where the kernel takes one.
fn behind(user: &[Instruction]) -> Option<MapFilter> {
    // By this secret no two connections of these tests share a slot.
    match Map::new(7).and_then(|map| MapFilter::new(user, Some(Arc::new(map)))) {
        Ok(filter) => Some(filter),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

impl MapFilter {
    fn passes(&self, frame: &[u8]) -> bool {
        let said = self.program.run(frame).expect("it runs");
        assert!([0, SNAP].contains(&said), "{said}");
        said > 0
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let flags = prop_oneof![Just(TcpFlags::ACK), any::<u8>()];
    let fragment = prop_oneof![6 => Just(0x4000_u16), 1 => Just(0x2000_u16), 1 => Just(185_u16)];
    let payload = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 1..9),
        Just(b"GET /".to_vec()),
        Just(b"POST ".to_vec()),
        Just(b"GE".to_vec()),
        Just(b"HTTP/1.1 200".to_vec()),
        (any::<u8>(), 0_u8..4, 0_usize..9).prop_map(|(any, kind, len)| {
            let mut hello = vec![22, any % 4, any, 0, 40, kind, 0, 0, 36];
            hello.truncate(len);
            hello
        }),
    ];
    (ends(), flags, 0_usize..3, fragment, 0_usize..4, payload).prop_map(
        |((src, dst), flags, tags, fragment, options, payload)| Sent {
            src,
            dst,
            flags,
            tags,
            fragment,
            options,
            payload,
        },
    )
}

/// A quiet segment between two ends.
fn quiet(n: u16) -> Sent {
    let end = |last, port| Endpoint { addr: Addr::v4([10, 0, 0, last]), port };
    let (src, dst) = (end(1, n), end(2, 443));
    Sent { src, dst, flags: TcpFlags::ACK, tags: 0, fragment: 0, options: 3, payload: vec![23; 40] }
}

#[test]
fn quiet_segments_of_listed_connections_are_kept_back_in_both_directions_and_no_others() {
    let Some(filter) = behind(&everything(SNAP)) else { return };
    let map = Arc::clone(filter.map());
    let config = ProptestConfig::with_cases(2_000);
    proptest!(config, |(
        kept in prop::collection::vec(ends(), 0..40),
        all in prop::collection::vec(sent(), 1..40),
    )| {
        // Everything before is forgotten.
        let published = map.told.all()[0].load(Ordering::Relaxed) + Map::EPOCH;
        map.publish(published);
        let mut listed: Vec<FlowKey> = kept.iter().map(|(src, dst)| FlowKey::of(*src, *dst).0).collect();
        listed.iter().for_each(|key| { map.list(&(*key).into(), published + 1); });
        for sent in all {
            let fragment = sent.src.addr.is_v4() && sent.fragment & 0x3fff != 0;
            let seen = !fragment && sent.tags < 2;
            let kept = seen && listed.contains(&sent.key()) && !sent.tells() && sent.payload.first() != Some(&b'H');
            let before = map.kept_back();
            prop_assert_eq!(filter.passes(&sent.frame()), !kept, "{:?}", sent);
            let len = sent.frame().len() as u64;
            let after = if kept { (before.0 + 1, before.1 + len) } else { before };
            prop_assert_eq!(map.kept_back(), after);
            if seen && sent.tells() {
                listed.retain(|key| *key != sent.key());
            }
            let back = Sent { flags: 16, payload: vec![], ..sent.back() };
            prop_assert_eq!(filter.passes(&back.frame()), !(seen && listed.contains(&sent.key())));
        }
    });
}

#[test]
fn no_bytes_whatever_are_kept_back_that_belong_to_no_listed_connection() {
    let Some(filter) = behind(&everything(SNAP)) else { return };
    proptest!(ProptestConfig::with_cases(4_000), |(
        sent in sent(),
        changes in prop::collection::vec((0_usize..80, any::<u8>()), 0..6),
        len in 14_usize..100,
    )| {
        filter.map().list(&sent.key().into(), u64::MAX);
        let mut frame = sent.frame();
        for (at, value) in changes {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        frame.truncate(len);
        if !filter.passes(&frame) {
            // Connections of other cases are listed as well.
            prop_assert!(reachable(&frame).is_some_and(|key| {
                !filter.map().list(&key.into(), u64::MAX)
            }), "{frame:x?}");
        }
    });
}

#[test]
fn a_connection_is_listed_once_its_telling_segments_have_been_seen() {
    let Some(filter) = behind(&everything(SNAP)) else { return };
    let (map, quiet) = (filter.map(), quiet(40_000));
    let key = quiet.key().into();
    let syn = Sent { flags: TcpFlags::SYN, ..quiet.clone() }.frame();
    map.publish(7);
    assert!(filter.passes(&syn));
    assert!(!map.list(&key, 7), "the SYN may lie in the ring still");
    assert!(filter.passes(&quiet.frame()));
    assert!(map.list(&key, 8));
    assert!(!filter.passes(&quiet.frame()) && !filter.passes(&quiet.back().frame()));
    assert!(!map.list(&key, 8), "it is listed already");
    assert!(filter.passes(&syn) && filter.passes(&quiet.frame()), "another one begins in its place");
}

#[test]
fn an_entry_holds_for_an_epoch_at_most_and_not_all_end_at_once() {
    let Some(filter) = behind(&everything(SNAP)) else { return };
    let map = filter.map();
    let all: Vec<Sent> = (1_000..1_200).map(quiet).collect();
    map.publish(1);
    all.iter().for_each(|one| assert!(map.list(&one.key().into(), 1)));
    let kept = |published| {
        map.publish(published);
        all.iter().filter(|one| !filter.passes(&one.frame())).count()
    };
    assert_eq!(kept(1), 200);
    assert!((70..130).contains(&kept(Map::EPOCH / 2)), "half of them");
    assert_eq!(kept(1 + Map::EPOCH), 0);
}

#[test]
fn programs_translated_match_what_libpcap_says() {
    const EXPRESSIONS: [&str; 14] = [
        "",
        "tcp port 443",
        "tcp dst portrange 1000-1002 and not net 10.0.3.0/24",
        "ip6 or host 10.0.2.9",
        "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
        "ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2) > 4",
        "len > 70 and less 75",
        "ether host 02:02:02:02:02:02",
        "ip[6:2] & 0x3fff != 0",
        "tcp[0:2] % 3 = 1 or tcp[2:2] / 7 = 63",
        "tcp[0:2] * 3 > 3005 and tcp[3] ^ 0x55 < 200",
        "ip[12:4] / (tcp[13] & 3) > 7",
        "not tcp",
    ];
    for expression in EXPRESSIONS {
        let program = compile(LinkType::ETHERNET, expression).unwrap();
        let Some(filter) = behind(&compiled(&program, SNAP).unwrap()) else { return };
        proptest!(ProptestConfig::with_cases(300), |(sent in sent(), len in 14_usize..100)| {
            let mut frame = sent.frame();
            frame.truncate(len);
            prop_assert_eq!(filter.passes(&frame), program.filter(&frame), "{}: {:?}", expression, sent);
        });
    }
}

#[test]
fn a_filter_that_asks_the_kernel_for_more_than_bytes_is_not_translated() {
    let ancillary = Instruction { code: 0x20, jt: 0, jf: 0, k: (-0x1000_i32 + 48).cast_unsigned() };
    let end = everything(SNAP);
    let two = [Instruction { code: 0x15, jt: 0, jf: 1, k: 0 }, end[0], everything(7)[0]];
    for program in [vec![ancillary, end[0]], two.to_vec(), vec![]] {
        assert!(filter::filter(&program, 0, 0, 0).is_none());
    }
}
