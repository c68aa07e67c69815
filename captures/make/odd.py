#!/usr/bin/env python3
"""Odd files made from captures that network.py made: cut, reordered, rewritten, compressed. `odd.py` makes all of them.

Needs editcap, tshark, gzip and zstd. What is there
already stays, unless --again is given. Each row: name, the capture it comes from, what was done, its attempts.
"""

import dataclasses
import gzip
import shutil
import struct
import sys
from pathlib import Path

import net
import scenes
from scenes import Attempt, View, completed, failed

HELLO, SYN = "tls.handshake.type == 1", "tcp.flags.syn == 1 && tcp.flags.ack == 0"
GOOD, GOOD12, RESET, BIG = ("none/plain-https-inside", "none/plain-https-tls12", "firewall/sni-reset-inside", "odd/base-big-flight")
INCOMPLETE = Attempt("incomplete")


def read(file):
    """(head, packets): a little-endian microsecond pcap as tcpdump writes it; a packet is (seconds, micros, length, bytes)."""
    data = Path(file).read_bytes()
    assert data[:4] == b"\xd4\xc3\xb2\xa1", f"{file}: not a little-endian microsecond pcap"
    at, packets = 24, []
    while at < len(data):
        seconds, micros, held, length = struct.unpack("<IIII", data[at:at + 16])
        packets.append((seconds, micros, length, data[at + 16:at + 16 + held]))
        at += 16 + held
    return data[:24], packets


def write(file, head, packets, order="<"):
    head = struct.pack(order + "IHHiIII", *struct.unpack("<IHHiIII", head))
    Path(file).write_bytes(head + b"".join(struct.pack(order + "IIII", s, u, len(p), n) + p for s, u, n, p in packets))


def rewrite(change, order="<"):
    """A change of the list of packets."""
    def make(source, target):
        head, packets = read(source)
        write(target, head, change(packets), order)
    return make


def from_client(packet):
    return packet[3][26:30] == bytes((192, 168, 10, 2))


def payload(packet):
    frame = packet[3]
    return struct.unpack("!H", frame[16:18])[0] - 20 - (frame[46] >> 4) * 4 if frame[23] == 6 else 0


def swapped(packets):
    """Of the server's data segments each second one comes before the first; the times stay in order."""
    packets = list(packets)
    data = [n for n, packet in enumerate(packets) if payload(packet) > 0 and not from_client(packet)]
    for n, m in zip(data[::2], data[1::2]):
        one, two = packets[n], packets[m]
        packets[n], packets[m] = (*one[:2], *two[2:]), (*two[:2], *one[2:])
    return packets


def backwards_clock(packets):
    """The packets keep their times and are stored in another order, as when two queues of a card are merged badly."""
    packets = list(packets)
    for n in range(0, len(packets) - 3, 4):
        packets[n + 1], packets[n + 2] = packets[n + 2], packets[n + 1]
    return packets


def doubled(packets):
    """Every packet twice, as from a mirror of both ports."""
    return [copy for packet in packets for copy in (packet, (packet[0], packet[1] + 3, *packet[2:]) if packet[1] < 999_990 else packet)]


def cut_in_packet(source, target):
    """The file ends in the middle of the server's flight."""
    head, packets = read(source)
    flight = next(n for n, packet in enumerate(packets) if payload(packet) > 0 and not from_client(packet))
    write(target, head, packets[:flight + 1])
    data = Path(target).read_bytes()
    Path(target).write_bytes(data[:-payload(packets[flight]) // 2])


def two_interfaces(source, target):
    """A pcapng with an Ethernet and a cooked (SLL) interface; the handshake is on the second."""
    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    def packet(interface, stamp, data):
        micros = stamp[0] * 1_000_000 + stamp[1]
        return block(6, struct.pack("<IIIII", interface, micros >> 32, micros & 0xffffffff, len(data), stamp[2]) + data)

    _, first = read(net.CAPTURES / "firewall/syn-reset.pcap")
    _, second = read(source)
    out = block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1))
    out += block(1, struct.pack("<HHI", 1, 0, 262144)) + block(1, struct.pack("<HHI", 113, 0, 262144))
    shift = second[0][0] - first[0][0]
    out += b"".join(packet(0, (s + shift, u, n), p) for s, u, n, p in first)
    out += b"".join(packet(1, (s, u, n), p) for s, u, n, p in second)
    Path(target).write_bytes(out)


def editcap(*options):
    return lambda source, target: net.run(["editcap", *options, source, target])


def gzipped(source, target):
    with open(source, "rb") as plain, gzip.GzipFile(target, "wb", mtime=0) as packed:
        shutil.copyfileobj(plain, packed)


def zstd(source, target):
    net.run(["zstd", "-q", "-f", "-19", source, "-o", target])


@dataclasses.dataclass
class Odd:
    name: str
    source: str
    why: str
    make: object
    look_at: list
    attempts: list
    suffix: str = ".pcap"


ROWS = [
    Odd("truncated-file", GOOD, "the file ends in the middle of the server's flight", cut_in_packet, [HELLO], [INCOMPLETE]),
    Odd("starts-mid-handshake", GOOD12, "the capture starts after the ClientHello", rewrite(lambda p: p[4:]), ["frame.number == 1"], [INCOMPLETE]),
    Odd("starts-mid-flow", GOOD, "the capture starts in application data", rewrite(lambda p: p[11:]), ["frame.number == 1"], [INCOMPLETE]),
    Odd("stops-after-hello", GOOD, "the capture stops right after the ClientHello", rewrite(lambda p: p[:4]), [HELLO], [INCOMPLETE]),
    Odd("client-only", GOOD, "only the client's packets were captured", rewrite(lambda p: [x for x in p if from_client(x)]), [HELLO], [INCOMPLETE]),
    Odd("server-only", GOOD, "only the server's packets were captured", rewrite(lambda p: [x for x in p if not from_client(x)]),
        ["frame.number == 1"], [INCOMPLETE]),
    Odd("reordered", BIG, "neighbouring data segments of the server changed places", rewrite(swapped), [HELLO], [completed()]),
    Odd("stored-out-of-order", GOOD, "the packets are stored out of the order of their times", rewrite(backwards_clock), ["tcp"], [completed()]),
    Odd("duplicated", GOOD, "every packet was captured twice", rewrite(doubled), [HELLO], [completed()]),
    Odd("duplicated-failure", RESET, "every packet was captured twice", rewrite(doubled), [HELLO, "tcp.flags.reset == 1"],
        [failed("firewall", "reset_after_hello")]),
    Odd("big-endian", GOOD, "a big-endian pcap", rewrite(lambda p: p, ">"), [HELLO], [completed()]),
    Odd("hole-in-flight", BIG, "the capture lost the second segment of the server's flight; the client acknowledged it",
        rewrite(lambda p: [x for n, x in enumerate(p) if n != [m for m, y in enumerate(p) if payload(y) > 1000][1]]), [HELLO], [completed()]),
    Odd("pcapng", RESET, "pcapng", editcap("-F", "pcapng"), [HELLO, "tcp.flags.reset == 1"],
        [failed("firewall", "reset_after_hello")], ".pcapng"),
    Odd("pcapng-two-interfaces", "odd/cooked-sll", "an Ethernet and a Linux cooked interface in one pcapng", two_interfaces, [SYN, HELLO],
        [failed("firewall", "syn_reset", visible=False, also=["storage_permission"]), completed()], ".pcapng"),
    Odd("gzip", RESET, "gzip", gzipped, [HELLO, "tcp.flags.reset == 1"], [failed("firewall", "reset_after_hello")], ".pcap.gz"),
    Odd("zstd", RESET, "zstd", zstd, [HELLO, "tcp.flags.reset == 1"], [failed("firewall", "reset_after_hello")], ".pcap.zst"),
]


def main():
    for row in ROWS:
        source, target = net.CAPTURES / f"{row.source}.pcap", net.CAPTURES / f"odd/{row.name}{row.suffix}"
        if target.exists() and "--again" not in sys.argv:
            continue
        row.make(source, target)
        scenes.label(View(f"odd/{row.name}", "inside", f"{row.why}; made from {row.source}.pcap", row.look_at, row.attempts),
                     f"make/odd.py; {scenes.tools('editcap')}" if row.suffix == ".pcapng" and row.name == "pcapng" else "make/odd.py",
                     suffix=row.suffix)


if __name__ == "__main__":
    main()
