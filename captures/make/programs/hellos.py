"""hellos.py ADDRESS NAME [COUNT]: ten ClientHellos made by hand, each on a connection of its own, as fingerprinting scanners (JARM) send them.
Each connection is closed once the server has answered. NAME - : no server name."""
import os, socket, struct, sys

address, name, *count = sys.argv[1:]
OLD = [0xC02F, 0xC030, 0xC02B, 0xC02C, 0xCCA8, 0xCCA9, 0xC013, 0xC014, 0xC009, 0xC00A, 0x9C, 0x9D, 0x2F, 0x35, 0x0A]
NEW = [0x1301, 0x1302, 0x1303]
grease = [0x0A0A]
block = lambda form, data: struct.pack(form, len(data)) + data
ext = lambda kind, data=b"": struct.pack("!H", kind) + block("!H", data)


def hello(version, ciphers, versions=(), alpn=(b"h2", b"http/1.1"), backwards=False, greased=False):
    ciphers = (grease if greased else []) + ciphers
    x = [ext(0, block("!H", b"\0" + block("!H", name.encode())))] if name != "-" else []
    x += [ext(23), ext(1, b"\1"), ext(0xFF01, b"\0"), ext(10, block("!H", struct.pack("!4H", 29, 23, 24, 25))), ext(11, b"\1\0"), ext(35)]
    x += [ext(16, block("!H", b"".join(block("!B", a) for a in alpn)))] if alpn else []
    x += [ext(13, block("!H", struct.pack("!9H", 0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201)))]
    if versions:
        x += [ext(51, block("!H", struct.pack("!HH", 29, 32) + os.urandom(32))), ext(45, b"\1\1"), ext(43, block("!B", struct.pack(f"!{len(versions)}H", *versions)))]
    x += [ext(0x0A0A)] if greased else []
    body = struct.pack("!H", version) + os.urandom(32) + block("!B", os.urandom(32)) + block("!H", struct.pack(f"!{len(ciphers)}H", *ciphers))
    body += b"\1\0" + block("!H", b"".join(x[::-1] if backwards else x))
    return b"\x16" + struct.pack("!H", min(version, 0x0303) if version < 0x0303 else 0x0301) + block("!H", b"\1" + struct.pack("!I", len(body))[1:] + body)


both, thirteen = (0x0304, 0x0303), (0x0304,)
hellos = [hello(0x0303, OLD), hello(0x0303, OLD[::-1]), hello(0x0303, OLD[1::2] + OLD[::2], alpn=()), hello(0x0303, OLD[:4], backwards=True),
          hello(0x0303, OLD[len(OLD) // 2:] + OLD[:len(OLD) // 2], greased=True), hello(0x0302, OLD), hello(0x0303, NEW + OLD, both),
          hello(0x0303, (NEW + OLD)[::-1], both, alpn=()), hello(0x0303, NEW, thirteen), hello(0x0303, OLD + NEW, both, greased=True, backwards=True)]
for n, h in enumerate(hellos[:int(count[0]) if count else 10]):
    s = socket.create_connection((address, 443), 5)
    s.sendall(h)
    answer = s.recv(1484)
    s.close()
    print(n, {b"\x16": "ServerHello", b"\x15": "alert"}.get(answer[:1], "closed"))
