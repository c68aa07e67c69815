"""The path between gateway and server: copies frames between two links, each way late by a fixed time.

    path.py DELAY_MS DELAY6_MS HOPS WRAP LEFT RIGHT        one hop
    path.py DELAY_MS DELAY6_MS HOPS WRAP LEFT T0 T1 RIGHT  two hops; between T0 and T1 every IP packet is encapsulated

HOPS is taken from each packet's TTL, as so many routers would. WRAP is "-" or one of `WRAPS`.
"""

import heapq
import itertools
import select
import socket
import struct
import sys
import time

A, B = "198.18.0.1", "198.18.0.2"  # the tunnel's ends


def ipv4(proto, payload, source, target):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), next(IDS) & 0xffff, 0, 62, proto, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    return head[:10] + struct.pack("!H", ~total & 0xffff) + head[12:] + payload


def udp(port, payload):
    return struct.pack("!HHHH", 49152 + len(payload) % 1024, port, 8 + len(payload), 0) + payload


def ether(kind):
    return b"\x02\x00\x00\x00\x12\x02" + b"\x02\x00\x00\x00\x12\x01" + struct.pack("!H", kind)


def untagged(frame):
    """The kernel may have taken the outer tag off already."""
    while frame[12:14] in (b"\x81\x00", b"\x88\xa8"):
        frame = frame[:12] + frame[16:]
    return frame


IDS = itertools.count(1)
OUTER = 20  # outer IPv4 header
# Each row: the frame as it is on the tunnel's link, and the inner frame (or None) read back from it.
# `f` is a whole Ethernet frame, f[12:14] its EtherType, f[14:] its IP packet; `up` tells the direction.
ends = lambda up: (A, B) if up else (B, A)
v4 = lambda proto, payload, up: ether(0x0800) + ipv4(proto, payload, *ends(up))
WRAPS = {
    "vlan": (lambda f, up: f[:12] + b"\x81\x00\x00\x65" + f[12:], lambda t: untagged(t)),
    "qinq": (lambda f, up: f[:12] + b"\x88\xa8\x00\x0a\x81\x00\x00\x65" + f[12:], lambda t: untagged(t)),
    "mpls": (lambda f, up: ether(0x8847) + struct.pack("!II", 1001 << 12 | 62, 2002 << 12 | 1 << 8 | 62) + f[14:],
             lambda t: t[22:]),
    "gre": (lambda f, up: v4(47, b"\0\0" + f[12:14] + f[14:], up), lambda t: t[14 + OUTER + 4:]),
    "gre-key": (lambda f, up: v4(47, b"\x20\0" + f[12:14] + struct.pack("!I", 77) + f[14:], up),
                lambda t: t[14 + OUTER + 8:]),
    "ipip": (lambda f, up: v4(4 if f[12:14] == b"\x08\0" else 41, f[14:], up), lambda t: t[14 + OUTER:]),
    "geneve": (lambda f, up: v4(17, udp(6081, b"\0\0\x65\x58" + struct.pack("!I", 42 << 8) + f), up),
               lambda t: t[14 + OUTER + 16:]),
    "gtp": (lambda f, up: v4(17, udp(2152, struct.pack("!BBHI", 0x30, 0xff, len(f) - 14, 9) + f[14:]), up),
            lambda t: t[14 + OUTER + 16:]),
    "pppoe": (lambda f, up: ether(0x8864) + struct.pack("!BBHHH", 0x11, 0, 1, len(f) - 12,
                                                        0x21 if f[12:14] == b"\x08\0" else 0x57) + f[14:],
              lambda t: t[22:]),
    "erspan": (lambda f, up: v4(47, struct.pack("!HHI", 0x1000, 0x88be, next(IDS)) + struct.pack("!II", 0x1000000a, 0)
                                + f, up), lambda t: t[14 + OUTER + 16:]),
}
def aged(frame, hops):
    """The frame as it is behind so many routers."""
    if frame[12:14] == b"\x86\xdd":
        if frame[20] == 58 and 133 <= frame[54] <= 137:  # neighbour discovery, which stays on its link
            return frame
        return frame[:21] + bytes([max(frame[21] - hops, 1)]) + frame[22:]
    if frame[12:14] != b"\x08\x00":
        return frame
    head = bytearray(frame[14:14 + (frame[14] & 15) * 4])
    head[8], head[10:12] = max(head[8] - hops, 1), b"\0\0"
    total = sum(struct.unpack(f"!{len(head) // 2}H", head))
    total = (total & 0xffff) + (total >> 16)
    head[10:12] = struct.pack("!H", ~(total + (total >> 16)) & 0xffff)
    return frame[:14] + bytes(head) + frame[14 + len(head):]


WHOLE_FRAME_INSIDE = ("vlan", "qinq", "geneve", "erspan")


def main():
    delay, delay6 = float(sys.argv[1]) / 1e3, float(sys.argv[2]) / 1e3
    routers, wrap, links = int(sys.argv[3]), sys.argv[4], sys.argv[5:]
    socks = []
    for link in links:
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind((link, 3))
        socks.append(s)
    # (from, to, is it going up, what to do with the frame)
    plain = lambda frame, up: aged(frame, routers) if routers else frame
    if len(links) == 2:
        hops = {socks[0]: (socks[1], True, plain), socks[1]: (socks[0], False, plain)}
    else:
        into, out_of = WRAPS[wrap]
        headers = {}

        def enter(frame, up):
            if frame[12:14] not in (b"\x08\x00", b"\x86\xdd"):
                return frame
            headers[up, frame[14] >> 4] = frame[:14]
            return into(frame, up)

        def leave(frame, up):
            if frame[12:14] == b"\x08\x06" or (wrap in ("mpls", "pppoe") and frame[12:14] not in (b"\x88\x47", b"\x88\x64")):
                return frame
            inner = out_of(frame)
            return inner if wrap in WHOLE_FRAME_INSIDE else headers.get((up, inner[0] >> 4), b"") + inner

        hops = {socks[0]: (socks[1], True, enter), socks[1]: (socks[0], False, leave),
                socks[2]: (socks[3], True, leave), socks[3]: (socks[2], False, enter)}
        delay, delay6 = delay / 2, delay6 / 2
    queue, order = [], itertools.count()
    while True:
        wait = max(0, queue[0][0] - time.monotonic()) if queue else None
        for s in select.select(socks, [], [], wait)[0]:
            frame, (_, _, kind, _, _) = s.recvfrom(65535)
            if kind == 4:  # PACKET_OUTGOING: our own
                continue
            to, up, change = hops[s]
            hold = delay6 if frame[12:14] == b"\x86\xdd" else delay
            heapq.heappush(queue, (time.monotonic() + hold, next(order), to, change(frame, up)))
        while queue and queue[0][0] <= time.monotonic():
            _, _, to, frame = heapq.heappop(queue)
            try:
                to.send(frame)
            except OSError:
                pass  # the link is down while the namespaces go away


main()
