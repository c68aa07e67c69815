"""A resolver that answers every question with one code: resolver.py ADDRESS CODE, or "bogus" for SERVFAIL with EDE 6."""

import socket
import struct
import sys

address, code = sys.argv[1:]
rcode = 2 if code == "bogus" else int(code)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((address, 53))
print("ready", file=sys.stderr, flush=True)
while True:
    query, client = sock.recvfrom(4096)
    end = 12
    while query[end]:
        end += query[end] + 1
    # OPT with one option: extended error (15), info code 6 and its text (RFC 8914)
    note = struct.pack("!H", 6) + b"signature expired"
    opt = b"\0" + struct.pack("!HHIHHH", 41, 1232, 0, 4 + len(note), 15, len(note)) + note if code == "bogus" else b""
    head = query[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, 0, 0, 1 if opt else 0)
    sock.sendto(head + query[12:end + 5] + opt, client)
