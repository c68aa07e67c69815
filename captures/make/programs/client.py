"""client.py HOST VERSION CA [word...]: one HTTPS request with Python's ssl module, trusting CA.
Words: no-cn (as urllib3 2), strict (as Python 3.13), cert=FILE key=FILE, alpn=NAME, silent (no request), twice (resume),
idle=SECONDS (keep-alive probes before the request), pha (show a certificate after the handshake when asked)."""
import socket, ssl, sys, time

host, version, ca, *words = sys.argv[1:]
opt = dict(w.partition("=")[::2] for w in words)
ctx = ssl.create_default_context(cafile=ca)
if version != "-":
    ctx.minimum_version = ctx.maximum_version = ssl.TLSVersion["TLSv" + version.replace(".", "_")]
if "no-cn" in opt:
    ctx.hostname_checks_common_name = False
if "strict" in opt:
    ctx.verify_flags |= ssl.VERIFY_X509_STRICT
if "cert" in opt:
    ctx.load_cert_chain(opt["cert"], opt["key"])
if "alpn" in opt:
    ctx.set_alpn_protocols(opt["alpn"].split(","))
ctx.post_handshake_auth = "pha" in opt
session = None
try:
    for _ in range(2 if "twice" in opt else 1):
        with ctx.wrap_socket(socket.create_connection((host, 443), 10), server_hostname=host, session=session) as s:
            if "silent" in opt:
                print(s.version(), "closed without a request")
                continue
            if "idle" in opt:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
                time.sleep(float(opt["idle"]))
            s.sendall(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            body = s.recv(65536)
            while s.recv(65536):
                pass
            session = s.session
            print(s.version(), "reused" if s.session_reused else "new", body.split(b"\r\n")[0].decode())
except (OSError, ssl.SSLError) as e:
    sys.exit(f"{type(e).__name__}: {e}")
