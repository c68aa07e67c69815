#!/usr/bin/env python3
"""More captures without a fault: aborts at each step, health checks, scans, resumption, retry requests, loss, renegotiation, address races."""
import os, shutil
from lab import case, main, Client, PROGRAMS, WORK
from pki import TRUST, leaf
from stacks import *

good, rsa = leaf("good", names=(HOST, "dual.example.test")), leaf("good-rsa", key="rsa2048")
old = leaf("expired", days=(-100, -10))
DONE12, DONE13 = r"C:ccs .*S:ccs .*C:23/", r"S:23/.*C:23/(53|69|74|78|85|90) .*C:23/"
DONE = {"1.2": DONE12, "1.3": DONE13}
first, again, gone = dict(outcome="completed"), dict(outcome="resumed"), dict(outcome="abandoned")
either = dict(outcome="completed", also_outcome=["abandoned"])
both = ("1.2", "1.3")
no = lambda tls: tls.replace(".", "")

# ---- aborts: a round trip takes 600 ms here, so that the client is surely killed where it is meant ----
clients = {"curl": curl, "node": node, "python": python, **({"rustls": rustls} if RUSTLS else {}), **({"go": go} if GO else {})}
for n, (word, run) in enumerate(clients.items()):
    tls = both[n % 2]
    server = (nginx_cert, s_server, py_server, haproxy, node_server)[n]
    made = haproxy(f"crt {good.all} ssl-max-ver TLSv{tls}") if server is haproxy else server(good, tls)
    for step, after, wire, outcome, why in (
            ("syn", 0.4, "^C:SYN S:SYN C:RST$", gone, "the SYN/ACK is on its way"),
            ("hello", 0.95, r"C:hs1 .*C:(FIN|RST)", gone, "the server's flight is on its way"),
            ("finished", 1.6, r"C:(hs16|ccs|23/).*C:(FIN|RST)", either if tls == "1.3" else dict(gone, also_outcome=["completed"]),
             "its Finished is on its way")):
        r = run()
        r.kill = after
        case(f"none/killed-after-{step}-{word}-tls{no(tls)}", made, r, -9, "", wire, f"the user kills the client while {why}", attempts=[outcome], delay=0.3)
step = lambda *words: Client([sys.executable, PROGRAMS / "steps.py", HOST, *words], PYTHON)
for n, (what, words, wire, why) in enumerate((
        ("preconnect-no-bytes", ("connect", "fin", "2"), "^C:SYN S:SYN C:FIN", "a browser-like preconnect: connected for two seconds, not a byte sent"),
        ("preconnect-no-bytes-rst", ("connect", "rst", "1"), "^C:SYN S:SYN C:RST", "connected for a second, not a byte sent, then reset"),
        ("stopped-in-hello", ("part", "fin", "0.5"), "C:raw60 .*C:FIN", "the client sends 60 bytes of its ClientHello and leaves half a second later"),
        ("half-open", ("part", "rst", "3"), "C:raw60 .*C:RST", "the client sends 60 bytes of its ClientHello, holds the connection open for three seconds and resets it"),
        ("stopped-after-hello", ("hello", "fin"), "C:hs1 .*C:FIN", "the client leaves at once after its ClientHello"),
        ("stopped-after-hello-rst", ("hello", "rst"), "C:hs1 .*C:RST", "the client resets at once after its ClientHello"),
        ("stopped-after-flight", ("flight", "fin", "1"), "C:hs1 S:hs2 .*C:FIN", "the client reads the server's flight, waits a second and leaves"),
        ("stopped-after-flight-rst", ("flight", "rst", "1"), "C:hs1 S:hs2 .*C:RST", "the client reads the server's flight, waits a second and resets"))):
    for tls in both:
        made = (nginx_cert, apache if APACHE else s_server, node_server, s_server)[n % 4](good, tls)
        case(f"none/{what}-tls{no(tls)}", made, step(*words), 0, "stopped after", wire, why,
             attempts=[dict(gone, also_outcome=["failed"]) if "flight" in what else gone])

# ---- health checks and scans ----

case("none/health-check-haproxy-tcp", nginx_cert(good), checker(""), 124, "", "^C:SYN S:SYN C:(RST|FIN)", "a load balancer's check connects and closes", outcome="abandoned")
for tls in both:
    case(f"none/health-check-haproxy-tls{no(tls)}", nginx_cert(good, tls), checker(f"check-ssl verify required ca-file {TRUST}"), 124, "", "S:ccs",
         "a load balancer's check makes a TLS handshake and closes", attempts=[either])
    case(f"none/health-check-unverified-haproxy-tls{no(tls)}", nginx_cert(old, tls), checker("check-ssl verify none"), 124, "", "S:ccs",
         "a load balancer's check makes a TLS handshake and closes; it does not verify the expired leaf", attempts=[either])
    case(f"expired_cert/health-check-haproxy-tls{no(tls)}", nginx_cert(old, tls), checker(f"check-ssl verify required ca-file {TRUST}"), 124, "SSL handshake failure", "C:al",
         "a load balancer's check verifies the leaf, whose notAfter was ten days before the run", reason="leaf_expired", visible=tls == "1.2")
    case(f"none/monitor-s-client-tls{no(tls)}", s_server(good, tls), s_client(stdin=b"", hold=0), 0, "", "C:(21|23)/", "a monitor completes the handshake and closes", attempts=[either])
if shutil.which("nmap"):
    scan = lambda *words: Client(["nmap", "-n", "-Pn", "--max-retries", "0", *words, "-p", "443", "198.51.100.20"], version("nmap --version", word=slice(0, 3)))
    case("none/scan-syn-nmap", nginx_cert(good), scan("-sS"), 0, "443/tcp open", "^C:SYN S:SYN C:RST", "a SYN scan: the scanner's kernel resets the answer", outcome="abandoned")
    case("none/scan-connect-nmap", nginx_cert(good), scan("-sT"), 0, "443/tcp open", "^C:SYN S:SYN C:RST", "a connect scan", outcome="abandoned")
for word, made, code, says in (("apache", APACHE and apache(good), 0, "400"), ("haproxy", haproxy(f"crt {good.all}"), 52, "Empty reply"),
                                ("s-server", s_server(good), 52, "Empty reply"), ("node", node_server(good), 52, "Empty reply"),
                                ("rustls", RUSTLS and rustls_server(good), 1, "HTTP/0.9"), ("java", java_server(good.p12), 1, "HTTP/0.9")):
    if made:
        case(f"none/plain-http-to-tls-port-{word}-curl", made, curl(url=f"http://{HOST}:443/"), code, says, "C:raw", "the client speaks plain HTTP to the TLS port",
             outcome="not_tls")
case("none/plain-http-server-curl", nginx("server { listen 443; }"), curl(url=f"http://{HOST}:443/"), 0, "200", "C:raw", "plain HTTP on port 443, as both sides want it", outcome="not_tls")

# ---- resumption, early data, retry requests ----
case("none/resumed-curl-python-tls12", py_server(good, "1.2"), curl(extra=[f"https://{HOST}/two", "-o", "/dev/null"]), 0, "200", [DONE12, r"S:hs2 .*S:ccs .*C:ccs .*C:23/"],
     "curl's second connection resumes the session of the first", attempts=[first, again])
case("none/resumed-curl-python-tls13", py_server(good, "1.3"), curl(extra=[f"https://{HOST}/two", "-o", "/dev/null"]), 0, "200", [DONE13, DONE13],
     "curl's second connection resumes the session of the first", attempts=[first, again])
case("none/resumed-java-java-tls13", java_server(good.p12, "1.3"), java(extra=["twice"]), 0, "200", [DONE13, DONE13],
     "the second connection resumes the session of the first", attempts=[first, again])
for tls in both:
    if tls == "1.2":
        case(f"none/resumed-gnutls-nginx-tls{no(tls)}", nginx_cert(good, tls, "ssl_session_cache shared:a:1m;"), gnutls(tls, extra=["--resume"], hold=1), 0, "This is a resumed session",
             ["C:ccs|C:23/", "C:ccs|C:23/"], "the client reconnects and resumes (gnutls-cli --resume)", attempts=[first, again])
    if RUSTLS:
        case(f"none/resumed-rustls-rustls-tls{no(tls)}", rustls_server(good, tls), rustls(extra=["twice"]), 0, "Resumed", [DONE[tls], r"C:hs1 S:hs2 .*C:23/"],
             "the second connection resumes the session of the first", attempts=[first, again])
    sess = WORK / f"sess{tls}.pem"
    keys = []
    for n in (1, 2):
        keys.append(WORK / f"ticket{tls}{n}.key")
        keys[-1].write_bytes(os.urandom(80))
    hosts = "".join(f"server {{ listen 198.51.100.2{n}:443 ssl; ssl_protocols TLSv{tls}; ssl_certificate {good.chain}; ssl_certificate_key {good.key}; ssl_session_ticket_key {k}; }} "
                    for n, k in enumerate(keys))
    elsewhere = s_client(tls, extra=["-sess_in", str(sess)], hold=1)
    elsewhere.cmd[elsewhere.cmd.index(f"{HOST}:443")] = "198.51.100.21:443"
    case(f"none/ticket-of-another-server-tls{no(tls)}", nginx(hosts), [s_client(tls, extra=["-sess_out", str(sess)], hold=1), elsewhere], [0, 0], ["", "New, TLSv"],
         [DONE[tls], DONE[tls]], "the client shows a ticket of one server to another, which cannot read it: a whole handshake follows", attempts=[first, first])
early, sess = WORK / "early.txt", WORK / "early.pem"
early.write_bytes(GET)
case("none/early-data-nginx-s-client-tls13", nginx_cert(good, "1.3", "ssl_early_data on;"),
     [s_client(extra=["-sess_out", str(sess)], hold=1), s_client(extra=["-sess_in", str(sess), "-early_data", str(early)], hold=1, stdin=b"")],
     [0, 0], ["", "Early data was accepted"], [DONE13, r"C:hs1 .*C:23/.* S:hs2"], "the second connection resumes the first and sends its request as early data (0-RTT)",
     attempts=[first, again])
RETRY = r"C:hs1 S:hs2 .*C:hs1 .*S:hs2.*C:23/"
p384 = s_server(good, "1.3", ["-groups", "P-384"])
for word, run in (("curl", curl(extra=["--curves", "X25519:P-384"])), ("node", node()), ("java", java()), ("go", GO and go()), ("rustls", RUSTLS and rustls()), ("openssl4", OPENSSL4 and openssl4()), ("wget", wget())):
    if run:
        case(f"none/retry-request-{word}-tls13", p384, run, 0, "" if word in ("wget", "gnutls") else "200", RETRY,
             "the server wants group P-384 and asks for another key share (HelloRetryRequest); the handshake goes on")
if CHROMIUM:
    case("none/retry-request-chromium-tls13", p384, chromium(), 0, "<html>", [r"C:hs1 S:hs2 .*C:hs1"] * 2,
         "the server wants group P-384 and asks for another key share (HelloRetryRequest); the handshake goes on; Chromium opens two connections", attempts=[either, either])

# ---- within a connection ----
for tls in both:
    case(f"none/keep-alive-python-tls{no(tls)}", nginx_cert(good, tls, "client_header_timeout 20;"), python(extra=["idle=5"]), 0, "200", DONE[tls],
         "connected for five seconds with TCP keep-alive probes, then a request")
case("none/renegotiation-s-client-tls12", s_server(good, "1.2", ["-client_renegotiation"]), s_client(stdin=b"R\n", hold=1), 0, "RENEGOTIATING", r"C:ccs .*S:ccs .*C:22/|C:ccs .*S:ccs .*",
     "the client renegotiates on the connection")
case("none/key-update-s-client-tls13", s_server(good, "1.3"), s_client(stdin=b"K\n", hold=1), 0, "KEYUPDATE", r"S:23/.*C:23/69 .*C:23/", "the client renews its keys on the connection (KeyUpdate)")
alice = leaf("alice", subject="alice", names=(), use=("client",))
if APACHE:
    asks = f"SSLCACertificateFile {TRUST}\n<Location />\nSSLVerifyClient require\nSSLVerifyDepth 3\n</Location>"
    case("none/renegotiation-apache-curl-tls12", apache(good, "1.2", asks), curl(extra=["--cert", alice.chain, "--key", alice.key]), 0, "200", DONE12,
         "the server asks for the client's certificate in a second handshake on the connection, when it has seen the request")
    case("none/post-handshake-auth-apache-python-tls13", apache(good, "1.3", asks), python(extra=[f"cert={alice.chain}", f"key={alice.key}", "pha"]), 0, "200", DONE13,
         "the server asks for the client's certificate after the handshake, when it has seen the request")

# ---- loss ----
for n, (word, run) in enumerate((("curl", curl()), ("python", python()), ("java", java()), ("node", node()), ("gnutls", gnutls(hold=3)), ("s-client", s_client(extra=["-quiet"], hold=3)))):
    for lose, tls in ((4, both[n % 2]), (6, both[(n + 1) % 2])):
        made = (nginx_cert, s_server, node_server)[n % 3](rsa, tls)
        case(f"none/lossy-{lose}-{word}-tls{no(tls)}", made, run, 0, "" if word in ("gnutls", "s-client") else "200", "C:SYN.*C:hs1",
             f"every {lose}th frame is lost on the wire, and all the same it works", lose=lose)

# ---- two addresses ----
DUAL = "dual.example.test"
v4 = lambda: nginx(f"server {{ listen 443 ssl; ssl_certificate {good.chain}; ssl_certificate_key {good.key}; }}")
case("none/two-addresses-race-curl", nginx_cert(good), curl(url=f"https://{DUAL}/", extra=["--happy-eyeballs-timeout-ms", "5"]), 0, "200", ["C:23/", "^C:SYN S:SYN C:(RST|FIN)"],
     "the client tries IPv6 and 5 ms later IPv4; IPv6 wins and the other connection is dropped", attempts=[first, gone])
for word, run in (("curl", curl(url=f"https://{DUAL}/")), ("python", python(host=DUAL)), ("node", node(host=DUAL)), ("go", GO and go(host=DUAL))):
    if run:
        case(f"none/ipv6-refused-{word}", v4(), run, 0, "200", ["^C:SYN S:RST$", "C:23/"], "nothing listens on the IPv6 address; the client goes on with IPv4",
             attempts=[dict(gone, also_outcome=["failed"]), first])

if __name__ == "__main__":
    main()
