"""Forges resets when a ClientHello names a host, as a censor beside the path does: it cannot hold packets back.

    inject.py NAME TO_CLIENT_LINK|- TO_SERVER_LINK|- STYLE

STYLE is one of
    one     one bare RST a side, TTL 97
    three   RST/ACKs with sequence numbers further and further ahead, TTLs of their own
    kernel  a bare RST with TTL, DF and IP-ID 0 as the kernel of the host in whose name it is sent would make it
    mimic   RST/ACK that copies TTL, DF, timestamps of the host in whose name it is sent, and counts its IP-ID on
"""

import select
import socket
import struct
import sys

RST, RST_ACK = 0x04, 0x14
STAMPS = b"\1\1\x08\x0a"  # NOP, NOP, timestamps


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


class Segment:
    """A frame that holds TCP over IPv4 or IPv6 without extension headers."""

    def __init__(self, frame):
        self.six = frame[12:14] == b"\x86\xdd"
        start = 54 if self.six else 14 + (frame[14] & 15) * 4
        end = 54 + struct.unpack("!H", frame[18:20])[0] if self.six else 14 + struct.unpack("!H", frame[16:18])[0]
        self.macs = frame[:12]
        self.ends = (frame[22:38], frame[38:54]) if self.six else (frame[26:30], frame[30:34])
        self.ttl = frame[21] if self.six else frame[22]
        self.id = 0 if self.six else struct.unpack("!H", frame[18:20])[0]
        self.df = 0 if self.six else frame[20] & 0x40
        self.ports = (frame[start:start + 2], frame[start + 2:start + 4])
        self.seq, self.ack = struct.unpack("!II", frame[start + 4:start + 12])
        options = frame[start + 20:start + (frame[start + 12] >> 4) * 4]
        self.stamps = struct.unpack("!II", options[4:12]) if options[:4] == STAMPS else None
        self.data = frame[start + (frame[start + 12] >> 4) * 4:end]

    def flow(self):
        return self.ends + self.ports

    def flow_back(self):
        return self.ends[::-1] + self.ports[::-1]


def reset(seen, seq, ack, flags, back, ttl, ip_id=0xd431, df=0, options=b""):
    """A forged RST for the flow of `seen`: back to its sender, or on to its receiver."""
    turn = -1 if back else 1
    source, target = seen.ends[::turn]
    segment = b"".join(seen.ports[::turn]) + struct.pack("!IIBBHHH", seq & 0xffffffff, ack & 0xffffffff,
                                                         (20 + len(options)) << 2, flags, 0, 0, 0) + options
    pseudo = source + target + struct.pack("!IHBB", len(segment), 0, 0, 6) + segment
    segment = segment[:16] + struct.pack("!H", checksum(pseudo)) + segment[18:]
    link = seen.macs[6:12] + seen.macs[:6] if back else seen.macs
    if seen.six:
        return link + b"\x86\xdd" + struct.pack("!IHBB", 0x60000000, len(segment), 6, ttl) + source + target + segment
    head = struct.pack("!BBHHBBBBH", 0x45, 0, 20 + len(segment), ip_id, df, 0, ttl, 6, 0) + source + target
    return link + b"\x08\x00" + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + segment


def forge(style, seen, like, back):
    """What is sent for a ClientHello `seen`; `like` is the last segment of the host in whose name it is sent."""
    end = seen.seq + len(seen.data)
    at, other = (seen.ack, end) if back else (end, seen.ack)
    if style == "one":
        return [reset(seen, at, 0, RST, back, 97)]
    if style == "three":
        return [reset(seen, at + ahead, other, RST_ACK, back, ttl) for ahead, ttl in ((0, 46), (1460, 57), (4380, 103))]
    if style == "kernel":
        return [reset(seen, at, 0, RST, back, like.ttl, 0, 0x40)]
    stamps = ((like.stamps[0] + 1) & 0xffffffff, seen.stamps[0] if back else like.stamps[1]) if like.stamps else None
    options = STAMPS + struct.pack("!II", *stamps) if stamps else b""
    return [reset(seen, at, other, RST_ACK, back, like.ttl, (like.id + 1) & 0xffff if like.id else 0, like.df, options)]


def main():
    name, to_client, to_server, style = sys.argv[1].encode(), *sys.argv[2:5]
    socks, last, done = {}, {}, set()
    for link, back in ((to_client, True), (to_server, False)):
        if link != "-":
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.bind((link, 3))
            socks[s] = back
    print("ready", file=sys.stderr, flush=True)
    while True:
        for s in select.select(list(socks), [], [])[0]:
            frame = s.recv(65535)
            if not (frame[12:14] == b"\x08\x00" and frame[23] == 6 or frame[12:14] == b"\x86\xdd" and frame[20] == 6):
                continue
            seen = Segment(frame)
            named = name in seen.data and seen.data[:1] == b"\x16"
            like = last.get((s, *(seen.flow_back() if socks[s] else seen.flow())))
            last[(s, *seen.flow())] = seen
            if named and like and (s, seen.flow(), seen.seq) not in done:
                done.add((s, seen.flow(), seen.seq))
                for forged in forge(style, seen, like, socks[s]):
                    s.send(forged)


main()
