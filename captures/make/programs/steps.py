"""steps.py HOST STEP END: a client that stops after a step of the handshake, waits, and ends.
STEP: connect, part (of the ClientHello), hello, flight. END: fin, rst. A third word: seconds to wait."""
import contextlib, socket, ssl, struct, sys, time

host, step, end, *wait = sys.argv[1:]
ctx = ssl.create_default_context()
ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
out = ssl.MemoryBIO()
tls = ctx.wrap_bio(ssl.MemoryBIO(), out, server_hostname=host)
with contextlib.suppress(ssl.SSLWantReadError):
    tls.do_handshake()
hello = out.read()
s = socket.create_connection((host, 443), 10)
if step == "part":
    s.sendall(hello[:60])
elif step in ("hello", "flight"):
    s.sendall(hello)
if step == "flight":
    s.recv(65536)
time.sleep(float(wait[0]) if wait else 0)
if end == "rst":
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
print("stopped after", step)
