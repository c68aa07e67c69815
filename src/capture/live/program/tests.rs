use super::*;
use crate::decode::LinkType;

/// Runs a program as the kernel does: on a packet of this EtherType, `packet` from its network header on. A load beyond
/// its end returns 0.
fn run(program: &[Instruction], ether_type: u16, packet: &[u8]) -> u32 {
    let frame = [&[0; 12][..], &ether_type.to_be_bytes(), packet].concat();
    run_on(program, &frame, 0)
}

/// The same on a frame, with what the kernel draws by lot.
pub(super) fn run_on(program: &[Instruction], frame: &[u8], lot: u32) -> u32 {
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let load = |offset: u32, len: usize| -> Option<u32> {
            if offset == ETHER_TYPE + 56 {
                return Some(lot);
            }
            let from = match offset {
                ETHER_TYPE => 12,
                0..0x1000 => offset as usize,
                offset => 14_usize.checked_add_signed(offset.wrapping_sub(NETWORK).cast_signed() as isize)?,
            };
            let bytes = frame.get(from..from.checked_add(len)?)?;
            Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
        };
        let loaded = match code {
            op::LOAD_LEN => Some(u32::try_from(frame.len()).ok()),
            op::LOAD_WORD => Some(load(k, 4)),
            op::LOAD_HALF => Some(load(k, 2)),
            op::LOAD_BYTE => Some(load(k, 1)),
            op::LOAD_WORD_AT_X => Some(load(x.wrapping_add(k), 4)),
            op::LOAD_HALF_AT_X => Some(load(x.wrapping_add(k), 2)),
            op::LOAD_BYTE_AT_X => Some(load(x.wrapping_add(k), 1)),
            _ => None,
        };
        match loaded {
            Some(Some(value)) => {
                a = value;
                continue;
            }
            Some(None) => return 0,
            None => {}
        }
        match code {
            op::A_IS => a = k,
            op::A_FROM_MEMORY => a = memory[k as usize],
            op::X_IS => x = k,
            op::X_FROM_MEMORY => x = memory[k as usize],
            op::STORE => memory[k as usize] = a,
            op::STORE_X => memory[k as usize] = x,
            op::X_FROM_A => x = a,
            op::ADD_X => a = a.wrapping_add(x),
            op::MULTIPLY => a = a.wrapping_mul(k),
            op::AND => a &= k,
            op::SHIFT_LEFT => a <<= k,
            op::SHIFT_RIGHT => a >>= k,
            op::XOR_X => a ^= x,
            op::OR_X => a |= x,
            op::JUMP => at += k as usize,
            op::JUMP_EQUAL => at += usize::from(if a == k { jt } else { jf }),
            op::JUMP_FROM => at += usize::from(if a >= k { jt } else { jf }),
            op::JUMP_ABOVE_X => at += usize::from(if a > x { jt } else { jf }),
            op::JUMP_BITS => at += usize::from(if a & k != 0 { jt } else { jf }),
            op::RETURN => return k,
            op::RETURN_A => return a,
            other => panic!("operation {other:#x}"),
        }
    }
}

fn v4(protocol: u8, src: u8, dst: u8, fragment: u16, ports: (u16, u16)) -> Vec<u8> {
    let [f0, f1] = fragment.to_be_bytes();
    let head = [0x45, 0, 0, 40, 0, 7, f0, f1, 64, protocol, 0, 0, 192, 0, 2, src, 198, 51, 100, dst];
    [&head[..], &ports.0.to_be_bytes(), &ports.1.to_be_bytes(), &[0; 16]].concat()
}

fn v6(next: u8, src: u8, dst: u8, ports: (u16, u16)) -> Vec<u8> {
    let mut head = [0; 40];
    (head[0], head[6], head[7]) = (0x60, next, 64);
    (head[8], head[23], head[24], head[39]) = (0x20, src, 0x20, dst);
    [&head[..], &ports.0.to_be_bytes(), &ports.1.to_be_bytes(), &[0; 16]].concat()
}

fn behind(head: &[u8], packet: &[u8]) -> Vec<u8> {
    [head, packet].concat()
}

#[test]
fn both_directions_of_a_connection_are_dealt_alike_on_every_link() {
    let dealer = dealer();
    let mirror = |packet: &[u8]| {
        let mut packet = packet.to_vec();
        let (from, len) = if packet[0] == 0x45 { (12, 4) } else { (8, 16) };
        packet[from..from + 2 * len].rotate_left(len);
        packet[from + 2 * len..][..4].rotate_left(2);
        packet
    };
    let pppoe = |v6: bool| [0x11, 0, 0, 1, 0, 42, 0, if v6 { 0x57 } else { 0x21 }];
    let rows: [(&str, u16, Vec<u8>); 6] = [
        ("IPv4", 0x0800, vec![]),
        ("IPv6", 0x86dd, vec![]),
        ("a second VLAN tag, IPv4", 0x8100, vec![0, 5, 0x08, 0x00]),
        ("a second VLAN tag, IPv6", 0x88a8, vec![0, 5, 0x86, 0xdd]),
        ("PPPoE, IPv4", 0x8864, pppoe(false).to_vec()),
        ("PPPoE, IPv6", 0x8864, pppoe(true).to_vec()),
    ];
    for (name, ether_type, head) in rows {
        let there = match name.ends_with('6') {
            true => v6(6, 1, 2, (40_000, 443)),
            false => v4(6, 1, 2, 0, (40_000, 443)),
        };
        let ring = run(&dealer, ether_type, &behind(&head, &there));
        assert_eq!(ring, run(&dealer, ether_type, &behind(&head, &mirror(&there))), "{name}");
        let bare = if name.ends_with('6') { 0x86dd } else { 0x0800 };
        assert_eq!(ring, run(&dealer, bare, &there), "{name}: it is the same connection");
        assert_ne!(ring, 0, "{name}");
    }
}

#[test]
fn connections_are_spread_and_tunnels_stay_together() {
    let dealer = dealer();
    let rings = |packets: &dyn Fn(u16) -> Vec<u8>| {
        let of = |n: u16| run(&dealer, 0x0800, &packets(n)) % 8;
        let mut counts = [0; 8];
        (0..800).for_each(|n| counts[of(n) as usize] += 1);
        counts
    };
    let ports = rings(&|n| v4(6, 1, 2, 0, (30_000 + n, 443)));
    assert!(ports.iter().all(|count| (50..=150).contains(count)), "{ports:?}");
    let hosts = rings(&|n| v4(6, (n % 200) as u8, (n / 200) as u8, 0, (40_000, 443)));
    assert!(hosts.iter().all(|count| (50..=150).contains(count)), "{hosts:?}");
    // VXLAN chooses its source port by the connection inside, and so differs by direction.
    for packets in [
        &(|n: u16| v4(17, 1, 2, 0, (30_000 + n, 4789))) as &dyn Fn(u16) -> Vec<u8>,
        &|n| v4(47, 1, 2, 0, (n, n)),
        &|n| v4(6, 1, 2, 0x2000, (n, 443)),
        &|n| v4(6, 1, 2, 1 + n, (n, n)),
    ] {
        assert_eq!(rings(packets).iter().filter(|count| **count > 0).count(), 1);
    }
}

#[test]
fn a_compiled_expression_is_taken_over_with_another_snap_length() {
    let compiled = crate::capture::filter::compile(LinkType::ETHERNET, "tcp port 443").unwrap();
    let program = compiled_to(&compiled);
    assert_eq!(program.len(), compiled.get_instructions().len());
    let returns: Vec<u32> =
        program.iter().filter(|step| step.code == op::RETURN).map(|step| step.k).collect();
    assert!(returns.contains(&4_096) && returns.iter().all(|k| [0, 4_096].contains(k)), "{returns:?}");
}

fn compiled_to(program: &BpfProgram) -> Vec<Instruction> {
    compiled(program, 4_096).unwrap()
}
