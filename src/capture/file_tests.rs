use std::io::Cursor;

use super::super::testing::End::{Big, Little};
use super::super::testing::*;
use super::super::{Unit, Why};
use super::*;
use proptest::prelude::*;

const MICROS: u32 = 0xa1b2_c3d4;
const NANOS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

/// Sixty bytes that differ by frame.
fn data(n: u8) -> Vec<u8> {
    (0..60).map(|place| n.wrapping_mul(31).wrapping_add(place)).collect()
}

fn sample_pcap() -> Vec<u8> {
    (0..20).fold(Pcap::new(Little, MICROS), |pcap, n| pcap.record(1_700_000_000 + n, n, &data(n as u8))).bytes
}

fn sample_pcapng() -> Vec<u8> {
    let mut bytes = [section(Little), interface(Little, 1, 0, &[])].concat();
    for n in 0..6 {
        bytes.extend(enhanced(Little, 0, 1_700_000_000_000_000 + n, &data(n as u8)));
        bytes.extend(simple(Little, 60, &data(n as u8)));
    }
    bytes.extend(section(Big));
    bytes.extend(interface(Big, 101, 0, &[(9, &[9])]));
    bytes.extend(enhanced(Big, 0, 1_700_000_000_000_000_000, &data(9)));
    bytes
}

#[test]
fn every_variant_of_pcap_gives_the_same_frames() {
    for end in [Little, Big] {
        for (magic, unit) in [(MICROS, 1), (NANOS, 1_000), (MODIFIED, 1)] {
            let pcap =
                Pcap::new(end, magic).record(7, 5 * unit, &data(1)).claim(8, 6 * unit, 60, 1_500, &data(2));
            let (frames, ending) = read(pcap.bytes);
            assert!(ending.is_clean(), "{end:?} {magic:x}: {ending}");
            assert_eq!(frames, [(1, 7_000_005, 1, data(1), 60), (2, 8_000_006, 1, data(2), 1_500)]);
        }
    }
}

#[test]
fn nanoseconds_are_rounded_down() {
    let (frames, _) = read(Pcap::new(Little, NANOS).record(1, 999_999_999, &data(1)).bytes);
    assert_eq!(frames[0].1, 1_999_999);
}

#[test]
fn old_versions_have_the_original_length_first() {
    for version in [(2, 2), (2, 3), (543, 0)] {
        let pcap = Pcap::with(Big, MICROS, version, 1).claim(1, 0, 1_500, 60, &data(1));
        let (frames, ending) = read(pcap.bytes);
        assert!(ending.is_clean(), "{version:?}");
        assert_eq!((frames[0].3.len(), frames[0].4), (60, 1_500), "{version:?}");
    }
}

#[test]
fn the_upper_half_of_the_link_type_is_not_the_link_type() {
    for end in [Little, Big] {
        let (frames, _) = read(Pcap::with(end, MICROS, (2, 4), 0x2400_0001).record(1, 0, &data(1)).bytes);
        assert_eq!(frames[0].2, 1);
    }
}

#[test]
fn late_stamps_of_pcap_do_not_wrap() {
    let (frames, _) = read(Pcap::new(Little, MICROS).record(u32::MAX, u32::MAX, &data(1)).bytes);
    assert_eq!(frames[0].1, i64::from(u32::MAX) * 1_000_001);
}

#[test]
fn an_empty_frame_is_a_packet() {
    let (frames, ending) =
        read(Pcap::new(Little, MICROS).claim(1, 0, 0, 60, &[]).record(1, 0, &data(1)).bytes);
    assert!(ending.is_clean());
    assert_eq!((frames[0].3.len(), frames[0].4, frames[1].0), (0, 60, 2));
}

#[test]
fn sections_and_interfaces_have_their_own_order_link_type_and_clock() {
    let ext = |end: End, secs: i64| end.u64(secs.cast_unsigned());
    let mut bytes = Vec::new();
    for end in [Big, Little] {
        bytes.extend(section(end));
        bytes.extend(interface(end, 1, 0, &[(2, b"eth0"), (9, &[9])]));
        bytes.extend(interface(end, 101, 0, &[(9, &[0x80 | 10]), (14, &ext(end, 100))]));
        bytes.extend(enhanced(end, 1, 1_536, &data(1)));
        bytes.extend(enhanced(end, 0, 2_000_000_999, &data(2)));
        bytes.extend(interface(end, 113, 0, &[]));
        bytes.extend(enhanced(end, 2, 3_000_000, &data(3)));
    }
    let (frames, ending) = read(bytes);
    assert!(ending.is_clean(), "{ending}");
    let shape: Vec<_> = frames.iter().map(|f| (f.0, f.1, f.2)).collect();
    assert_eq!(
        shape,
        [
            (1, 101_500_000, 101),
            (2, 2_000_000, 1),
            (3, 3_000_000, 113),
            (4, 101_500_000, 101),
            (5, 2_000_000, 1),
            (6, 3_000_000, 113)
        ]
    );
}

#[test]
fn a_simple_packet_has_the_last_stamp_and_the_snap_length_of_interface_0() {
    let bytes = [
        section(Little),
        interface(Little, 1, 40, &[]),
        enhanced(Little, 0, 77, &data(1)),
        simple(Little, 60, &data(2)[..40]),
    ];
    let (frames, ending) = read(bytes.concat());
    assert!(ending.is_clean(), "{ending}");
    assert_eq!(frames[1], (2, 77, 1, data(2)[..40].to_vec(), 60));
}

#[test]
fn the_obsolete_packet_block_is_read() {
    let end = Big;
    let body =
        [&end.u16(0)[..], &end.u16(9), &end.u32(0), &end.u32(42), &end.u32(60), &end.u32(90), &data(1)]
            .concat();
    let (frames, ending) = read([section(end), interface(end, 1, 0, &[]), block(end, 2, &body)].concat());
    assert!(ending.is_clean(), "{ending}");
    assert_eq!(frames, [(1, 42, 1, data(1), 90)]);
}

#[test]
fn blocks_that_wireshark_numbers_use_up_a_number() {
    let cases = [
        (4, false),
        (5, false),
        (8, false),
        (9, true),
        (10, false),
        (0x0bad, true),
        (0x4000_0bad, true),
        (0x204, true),
        (0x205, false),
        (0x208, false),
        (0x216, true),
        (0x221, true),
        (0x777, false),
        (0x8000_0001, false),
    ];
    for (kind, counts) in cases {
        let bytes = [
            section(Little),
            interface(Little, 1, 0, &[]),
            block(Little, kind, &[0; 24]),
            enhanced(Little, 0, 1, &data(1)),
        ];
        let (frames, ending) = read(bytes.concat());
        assert!(ending.is_clean());
        assert_eq!((frames[0].0, ending.packets), (1 + u64::from(counts), 1), "{kind:#x}");
    }
}

#[test]
fn a_length_without_its_padding_is_understood() {
    let mut packet = enhanced(Little, 0, 1, &data(1)[..59]);
    let honest = packet.len();
    packet[4..8].copy_from_slice(&Little.u32(91));
    packet[honest - 4..].copy_from_slice(&Little.u32(91));
    let bytes =
        [section(Little), interface(Little, 1, 0, &[]), packet, enhanced(Little, 0, 2, &data(2))].concat();
    let (frames, ending) = read(bytes);
    assert!(ending.is_clean(), "{ending}");
    assert_eq!(frames.len(), 2);
}

#[test]
fn key_logs_are_handed_on_with_their_place_and_other_secrets_are_not() {
    let secrets = |kind: u32, log: &[u8]| {
        let len = Little.u32(log.len() as u32);
        block(Little, 10, &[&Little.u32(kind)[..], &len, log].concat())
    };
    let line = |random: &str| format!("CLIENT_RANDOM {} {}", random.repeat(32), "00".repeat(48)).into_bytes();
    let bytes = [
        section(Little),
        interface(Little, 1, 0, &[]),
        enhanced(Little, 0, 1, &data(1)),
        secrets(0x544c_534b, &line("aa")),
        secrets(0x5747_4b4c, &line("bb")),
    ];
    let keys = crate::tls::keys::Keys::default();
    let mut reader = open(bytes.concat()).unwrap().with_keys(&keys);
    while reader.next().is_some() {}
    let known = |random, packet| keys.find(&[random; 32], PacketNo(packet)).is_some();
    assert_eq!([known(0xaa, 1), known(0xaa, 2), known(0xbb, 2)], [false, true, false]);
}

/// Until when a capture of this byte order ran, of whose packets the last has this stamp.
fn ran_until(end: End, last: u64, statistics: &[Vec<u8>]) -> Option<i64> {
    let packets = [enhanced(end, 0, 5, &data(1)), enhanced(end, 0, last, &data(2))].concat();
    let begin = [section(end), interface(end, 1, 0, &[])].concat();
    let mut reader = open([begin, packets, statistics.concat()].concat()).unwrap();
    while reader.next().is_some() {
        assert_eq!(reader.ran_until(), None, "it is not read to its end");
    }
    reader.ran_until().map(|until| until.0)
}

#[test]
fn a_capture_says_until_when_it_ran() {
    for end in [Little, Big] {
        let says = |code, count| {
            statistics(end, 0, &[(2, &[9; 8]), (3, &ticks(end, 7_000_000_000)), (code, &end.u64(count))])
        };
        assert_eq!(ran_until(end, 6, &[says(4, 2)]), Some(7_000_000_000));
        assert_eq!(ran_until(end, 6, &[says(6, 2)]), Some(7_000_000_000));
        assert_eq!(ran_until(end, 6, &[says(4, 1), says(4, 2)]), Some(7_000_000_000), "the last counts");
    }
    let until = |index, until, count: u64| {
        statistics(Little, index, &[(3, &ticks(Little, until)), (4, &Little.u64(count))])
    };
    let other = |seconds| [interface(Little, 1, 0, &[(9, &[0])]), until(1, seconds, 0)].concat();
    assert_eq!(
        ran_until(Little, 6, &[until(0, 9_000_000, 2), other(8)]),
        Some(8_000_000),
        "the earliest counts"
    );
    // tlswhy goes on with a file by a section of its own.
    let next =
        [section(Little), interface(Little, 1, 0, &[]), enhanced(Little, 0, 9, &data(3)), until(0, 99, 1)];
    assert_eq!(ran_until(Little, 6, &[until(0, 7, 2), next.concat()]), Some(99));
}

#[test]
fn nobody_is_believed_who_says_that_it_ended_elsewhere_or_holds_less_than_was_captured() {
    const DAY: u64 = 86_400_000_000;
    let says =
        |until, count: u64| statistics(Little, 0, &[(3, &ticks(Little, until)), (4, &Little.u64(count))]);
    let ran = |said: Vec<u8>| ran_until(Little, 1_000, &[said]);
    assert_eq!(ran(says(1_000 + DAY, 2)), Some(1_000 + DAY.cast_signed()));
    for (said, why) in [
        (says(999, 2), "before its last packet"),
        (says(1_001 + DAY, 2), "more than a day behind it"),
        (says(u64::MAX, 2), "at the end of time"),
        (says(2_000, 3), "more was captured"),
        (says(2_000, 1), "less was captured"),
        (statistics(Little, 0, &[(3, &ticks(Little, 2_000))]), "nobody counted"),
        (statistics(Little, 0, &[(4, &Little.u64(2))]), "no end"),
        (statistics(Little, 0, &[(3, &[1, 2]), (4, &[3])]), "short options"),
        (statistics(Little, 7, &[(3, &ticks(Little, 2_000)), (4, &Little.u64(2))]), "of no interface"),
        ([says(2_000, 2), interface(Little, 1, 0, &[])].concat(), "one interface says nothing"),
        ([says(2_000, 2), block(Little, 5, &[])].concat()[..40].to_vec(), "it is cut short"),
        ([says(2_000, u64::MAX), interface(Little, 1, 0, &[]), says(2_000, 3)].concat(), "absurd numbers"),
    ] {
        assert_eq!(ran(said), None, "{why}");
    }
}

#[test]
fn a_file_cut_anywhere_gives_ever_more_packets_and_says_so() {
    for sample in [sample_pcap(), sample_pcapng()] {
        let (whole, ending) = read(sample.clone());
        assert!(ending.is_clean());
        let mut most = 0;
        for len in 0..sample.len() {
            let Ok(mut reader) = open(&sample[..len]) else {
                assert_eq!(most, 0);
                continue;
            };
            let mut count = 0;
            while let Some(frame) = reader.next() {
                assert_eq!((frame.no.0, frame.data), (whole[count].0, &whole[count].3[..]));
                count += 1;
            }
            assert!(count >= most);
            most = count;
            let stopped = reader.ending().stopped.as_ref();
            assert!(stopped.is_none_or(|s| matches!(s.why, Why::CutShort { .. })), "{}", reader.ending());
        }
    }
}

#[test]
fn a_byte_changed_anywhere_never_panics() {
    for sample in [sample_pcap(), sample_pcapng()] {
        for place in 0..sample.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = sample.clone();
                bytes[place] = value;
                if let Ok(mut reader) = open(bytes) {
                    while reader.next().is_some() {}
                }
            }
        }
    }
}

#[test]
fn packed_files_give_the_frames_of_plain_ones() {
    for sample in [sample_pcap(), sample_pcapng()] {
        let plain = read(sample.clone());
        let zst = zstd::encode_all(&sample[..], 3).unwrap();
        let (front, back) = sample.split_at(333);
        assert_eq!(read(gzip(&sample)), plain);
        assert_eq!(read([gzip(front), gzip(back)].concat()), plain, "several members");
        assert_eq!(read(gzip(&zst)), plain);
        assert_eq!(read(zst), plain);
    }
}

#[test]
fn a_packed_file_cut_short_is_read_as_far_as_it_goes() {
    let all = (0..2_000).fold(Pcap::new(Little, MICROS), |pcap, n| pcap.record(n, n, &data((n % 251) as u8)));
    let packed = gzip(&all.bytes);
    let (frames, ending) = read(&packed[..packed.len() / 2]);
    assert!(frames.len() > 100 && frames.len() < 2_000, "{}", frames.len());
    let Some(Stopped { why: Why::Input(_), no, .. }) = ending.stopped else { panic!("{ending}") };
    assert_eq!(no, frames.len() as u64 + 1);
}

#[test]
fn a_damaged_check_sum_does_not_take_packets_away() {
    let mut packed = gzip(&sample_pcap());
    let len = packed.len();
    packed[len - 6] ^= 1;
    let (frames, ending) = read(packed);
    assert_eq!(frames.len(), 20);
    assert!(!ending.is_clean());
}

/// Gives one byte a call, as a slow pipe may.
struct Slow(Cursor<Vec<u8>>);

impl Read for Slow {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(1);
        self.0.read(&mut buf[..len])
    }
}

#[test]
fn a_pipe_gives_each_frame_as_soon_as_its_bytes_are_there() {
    let sample = sample_pcap();
    let second = 24 + 2 * 76;
    let mut reader = FileReader::from_reader("pipe".into(), Box::new(Slow(Cursor::new(sample)))).unwrap();
    reader.next().unwrap();
    reader.next().unwrap();
    assert_eq!(reader.bytes_read(), second);
    assert_eq!(reader.size(), None);
}

#[test]
fn a_record_that_claims_too_much_ends_a_file_with_nothing_behind_it() {
    let pcap = Pcap::new(Little, MICROS).record(1, 0, &data(1)).claim(1, 1, 4_325_376, 60, &data(2));
    let (frames, ending) = read(pcap.bytes);
    assert_eq!(frames.len(), 1);
    assert_eq!(
        ending.to_string(),
        "test: record 2 (at byte 100) claims 4 325 376 bytes, limit 262 144; stopped after 1 packet"
    );
}

#[test]
fn reading_goes_on_behind_a_damaged_record_header() {
    let mut pcap =
        (0..6).fold(Pcap::new(Little, MICROS), |pcap, n| pcap.record(1_000 + n, 0, &data(n as u8)));
    let at = pcap.bytes.len();
    pcap.bytes.extend([0x42; 30]);
    let pcap = (6..9).fold(pcap, |pcap, n| pcap.record(1_000 + n, 0, &data(n as u8)));
    let (frames, ending) = read(pcap.bytes);
    assert_eq!(frames.len(), 9);
    assert_eq!(frames[8], (9, 1_008_000_000, 1, data(8), 60));
    let skipped = ending.skipped.as_ref().unwrap();
    assert_eq!((skipped.bytes, skipped.first.offset, skipped.first.no), (30, at as u64, 7));
    assert!(!ending.is_clean());
    assert!(ending.to_string().ends_with(
        "limit 262 144; skipped 30 bytes, so packets from 7 on have other numbers than elsewhere; \
         read to the end, 9 packets"
    ));
}

#[test]
fn one_plausible_header_is_not_enough_to_go_on() {
    let mut pcap = Pcap::new(Little, MICROS).record(1_000, 0, &data(1));
    pcap.bytes.extend([0x42; 30]);
    let mut pcap = pcap.record(1_000, 0, &data(2));
    pcap.bytes.extend([0x43; 300_000]);
    let (frames, ending) = read(pcap.bytes);
    assert_eq!(frames.len(), 1);
    assert!(ending.stopped.is_some());
}

#[test]
fn a_file_of_nothing_but_damage_takes_linear_time() {
    let mut pcap =
        (0..3).fold(Pcap::new(Little, MICROS), |pcap, n| pcap.record(1_000 + n, 0, &data(n as u8)));
    for n in 0..20_000 {
        pcap.bytes.extend([0x42; 17]);
        pcap = (0..3).fold(pcap, |pcap, _| pcap.record(1_000 + n, 0, &data(1)));
    }
    let (frames, ending) = read(pcap.bytes);
    assert_eq!(frames.len(), 60_003);
    assert_eq!(ending.skipped.unwrap().places, 20_000);
}

#[test]
fn hostile_blocks_end_the_file_with_their_reason() {
    let claim = |kind: u32, len: u32, body: &[u8]| {
        [&Little.u32(kind)[..], &Little.u32(len), body, &Little.u32(len)].concat()
    };
    let packet = |captured: u32| {
        let words = [0, 0, 5, captured, captured].map(|n| Little.u32(n)).concat();
        block(Little, 6, &[&words[..], &data(1)].concat())
    };
    let mut lengths = enhanced(Little, 0, 1, &data(1));
    let last = lengths.len() - 4;
    lengths[last..].copy_from_slice(&Little.u32(64));
    let mut order = section(Little);
    order[8] = 9;
    let mut version = section(Little);
    version[12] = 7;
    let cases: [(Vec<u8>, &str); 12] = [
        (claim(6, 70_000_000, &[]), "claims 70 000 000 bytes, limit 16 777 216"),
        (claim(6, u32::MAX, &[]), "claims 4 294 967 295 bytes, limit 16 777 216"),
        (claim(6, 0, &[]), "claims 0 bytes, its kind has at least 12"),
        (claim(6, 11, &[]), "claims 12 bytes, its kind has at least 32"),
        (claim(0x0a0d_0d0a, 12, &Little.u32(0x1a2b_3c4d)), "claims 12 bytes, its kind has at least 28"),
        (block(Little, 3, &[]), "claims 12 bytes, its kind has at least 16"),
        (lengths, "claims 92 bytes in front and 64 behind"),
        (packet(61), "claims a packet of 61 bytes and has room for 60"),
        (packet(u32::MAX), "claims a packet of 4 294 967 295 bytes and has room for 60"),
        (enhanced(Little, 4, 1, &data(1)), "names interface 4, its section describes 1"),
        (order, "has the unknown byte-order mark 0x093c2b1a"),
        (version, "has the unknown version 7.0"),
    ];
    for (bad, why) in cases {
        let front =
            [section(Little), interface(Little, 1, 0, &[]), enhanced(Little, 0, 1, &data(1))].concat();
        let offset = front.len();
        let (frames, ending) = read([front, bad, enhanced(Little, 0, 2, &data(2))].concat());
        assert_eq!(frames.len(), 1, "{why}");
        assert_eq!(
            ending.to_string(),
            format!("test: block 4 (at byte {offset}) {why}; stopped after 1 packet")
        );
        assert_eq!(ending.stopped.unwrap().unit, Unit::Block);
    }
}

#[test]
fn a_frame_is_never_longer_than_the_bound() {
    let long = vec![9; PACKET_MOST_TEST + 5];
    let bytes = [section(Little), interface(Little, 1, 0, &[]), enhanced(Little, 0, 1, &long)].concat();
    let (frames, ending) = read(bytes);
    assert!(ending.is_clean());
    assert_eq!((frames[0].3.len(), frames[0].4 as usize), (PACKET_MOST_TEST, PACKET_MOST_TEST + 5));
}

const PACKET_MOST_TEST: usize = super::super::PACKET_MOST;

#[test]
fn blocks_longer_than_the_buffer_are_read() {
    let bytes = [
        section(Little),
        interface(Little, 1, 0, &[]),
        block(Little, 4, &vec![0; 15 << 20]),
        enhanced(Little, 0, 1, &data(1)),
    ];
    let (frames, ending) = read(bytes.concat());
    assert!(ending.is_clean(), "{ending}");
    assert_eq!(frames.len(), 1);
}

#[test]
fn what_is_no_capture_is_refused_with_its_reason() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "cannot read test: it is empty"),
        (b"a", "cannot read test: it is neither pcap nor pcapng; it begins with 61"),
        (
            b"hello world",
            "cannot read test: it is neither pcap nor pcapng; it begins with 68 65 6c 6c 6f 20 77 6f",
        ),
        (&[0xd4, 0xc3, 0xb2, 0xa1], "cannot read test: it ends inside its header, 4 of 24 bytes are there"),
        (
            &[0x0a, 0x0d, 0x0d, 0x0a, 28],
            "cannot read test: it ends inside its header, 5 of 28 bytes are there",
        ),
        (&Pcap::with(Big, MICROS, (1, 0), 1).bytes, "cannot read test: format version 1.0 is unknown"),
        (
            b"BZh91AY&",
            "cannot read test: it is neither pcap nor pcapng; it begins with 42 5a 68 39 31 41 59 26 (bzip2: \
             unpack it with bunzip2 first)",
        ),
        (&[0x1f, 0x8b, 0x08, 0x00], "cannot read test: unexpected end of file"),
    ];
    for (bytes, said) in cases {
        assert_eq!(open(bytes).err().as_deref(), Some(said));
    }
}

#[test]
fn paths_that_cannot_be_opened_say_why() {
    let said = |path: &str| FileReader::open(Path::new(path)).err().map(|error| error.to_string());
    assert_eq!(said("/no/such").as_deref(), Some("cannot read /no/such: no such file or folder"));
    assert_eq!(said("/").as_deref(), Some("cannot read /: it is a folder"));
}

proptest! {
    #[test]
    fn random_bytes_behind_a_header_never_panic(
        magic in 0..8_usize, bytes in proptest::collection::vec(any::<u8>(), 0..400)
    ) {
        let header = [
            Pcap::new(Little, MICROS).bytes,
            Pcap::new(Big, NANOS).bytes,
            Pcap::with(Little, MODIFIED, (2, 3), 1).bytes,
            Pcap::new(Little, MICROS).record(0, 0, &data(1)).bytes,
            section(Little),
            [section(Big), interface(Big, 1, 0, &[])].concat(),
            [section(Little), interface(Little, 1, 0, &[]), Little.u32(6).to_vec()].concat(),
            Vec::new(),
        ];
        if let Ok(mut reader) = open([&header[magic][..], &bytes].concat()) {
            let mut last = 0;
            while let Some(frame) = reader.next() {
                prop_assert!(frame.no.0 > last && frame.data.len() <= frame.wire_len as usize);
                last = frame.no.0;
            }
            prop_assert!(reader.ending().reached);
        }
    }

    #[test]
    fn random_blocks_with_right_lengths_never_panic(
        blocks in proptest::collection::vec((0..11_u32, proptest::collection::vec(any::<u8>(), 0..60)), 0..8)
    ) {
        let mut bytes = [section(Little), interface(Little, 1, 0, &[])].concat();
        for (kind, body) in &blocks {
            bytes.extend(block(Little, *kind, body));
        }
        let mut reader = open(bytes).unwrap();
        while reader.next().is_some() {}
        prop_assert!(reader.ending().reached);
    }
}

#[test]
fn frames_that_are_lent_are_those_that_come_one_by_one() {
    let many =
        |end, magic| (0..3_000).fold(Pcap::new(end, magic), |pcap, n| pcap.record(n, 0, &data(n as u8)));
    let captures = [many(Little, MICROS).bytes, many(Big, NANOS).bytes, many(Little, MODIFIED).bytes];
    for bytes in captures.into_iter().chain([sample_pcapng(), sample_pcap()[..900].to_vec()]) {
        let said = |frame: &Frame<'_>| (frame.no, frame.stamp, frame.data.to_vec(), frame.wire_len);
        let (mut lending, mut single) = (open(bytes.clone()).unwrap(), open(bytes).unwrap());
        let mut lent = Vec::new();
        while lending.lend(&mut |frames| lent.extend(frames.iter().map(said))) {}
        let one_by_one: Vec<_> = std::iter::from_fn(|| single.next().map(|frame| said(&frame))).collect();
        assert_eq!(lent, one_by_one);
        assert_eq!(format!("{:?}", lending.ending()), format!("{:?}", single.ending()));
    }
}
