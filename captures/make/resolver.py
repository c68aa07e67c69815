"""A resolver that says what it is told to: resolver.py ADDRESS KIND=WHAT …

KIND is A, AAAA, HTTPS or *, WHAT an IPv4 address, nodata, servfail, nxdomain, refused or silent, with "+6" for extended error 6
(RFC 8914). The first rule that fits is taken. dnsmasq does not make all of these up.
"""

import socket
import struct
import sys

CODES = {"nodata": 0, "servfail": 2, "nxdomain": 3, "refused": 5}
KINDS = {1: "A", 28: "AAAA", 65: "HTTPS"}
WORDS = {6: b"signature expired", 15: b"on the blocklist", 17: b"filtered for this client"}

address, *rules = sys.argv[1:]
rules = [rule.split("=") for rule in rules]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((address, 53))
print("ready", file=sys.stderr, flush=True)
while True:
    query, client = sock.recvfrom(4096)
    end = 12
    while query[end]:
        end += query[end] + 1
    kind = KINDS.get(struct.unpack("!H", query[end + 1:end + 3])[0], "")
    what = next((what for of, what in rules if of in (kind, "*")), "nodata")
    what, _, error = what.partition("+")
    if what == "silent":
        continue
    rcode = CODES.get(what, 0)
    record = b"" if what in CODES else struct.pack("!HHHIH", 0xc00c, 1, 1, 60, 4) + socket.inet_aton(what)
    opt = b""
    if error:
        # OPT with one option: extended error (15), info code and its text
        note = struct.pack("!H", int(error)) + WORDS[int(error)]
        opt = b"\0" + struct.pack("!HHIHHH", 41, 1232, 0, 4 + len(note), 15, len(note)) + note
    head = query[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, 1 if record else 0, 0, 1 if opt else 0)
    sock.sendto(head + query[12:end + 5] + record + opt, client)
