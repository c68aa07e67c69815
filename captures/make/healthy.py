#!/usr/bin/env python3
"""Captures of handshakes that succeed, or end without a fault: what must never be called a failure."""
import sys
from cryptography import x509
from cryptography.x509 import ObjectIdentifier as OID
from lab import case, main, Client, Server, WORK
from pki import ROOT, TRUST, authority, leaf
from stacks import *

good, rsa = leaf("good"), leaf("good-rsa", key="rsa2048")
DONE12, DONE13 = r"C:ccs .*S:ccs .*C:23/", r"S:23/.*C:23/(53|69|85) .*C:23/"
RESUMED12 = r"S:hs2 S:ccs .*C:ccs .*C:23/"
AUTH = ["-Verify", "2", "-verify_return_error", "-CAfile", TRUST]
first = dict(outcome="completed")
again = dict(outcome="resumed")
ok = "the certificate is good and the answer arrived"
case("none/ecdhe-curl-nginx-tls12", nginx_cert(good, "1.2"), curl(), 0, "200", DONE12, ok)
case("none/ecdhe-rsa-python-haproxy-tls12", haproxy(f"crt {rsa.all} ssl-max-ver TLSv1.2"), python(), 0, "200", DONE12, ok)
case("none/rsa-kx-s-client-tls12", s_server(rsa, "1.2", ["-cipher", "AES128-GCM-SHA256"]), s_client(extra=["-quiet"]), 0, "", DONE12, ok + ", RSA key transport")
case("none/curl-nginx-tls13", nginx_cert(good), curl(), 0, "200", DONE13, ok)
case("none/gnutls-gnutls-serv-tls13", gnutls_serv(good, "1.3"), gnutls(), 0, "Handshake was completed", DONE13, ok)
case("none/node-node-tls13", node_server(rsa), node(), 0, "200", DONE13, ok)
case("none/java-java-tls12", java_server(good.p12, "1.2"), java(), 0, "200", DONE12, ok)
case("none/java-java-tls13", java_server(good.p12, "1.3"), java(), 0, "200", DONE13, ok)
case("none/wget-nginx-tls13", nginx_cert(good, "1.3"), wget(), 0, "", DONE13, ok)
case("none/curl-ipv6-tls13", nginx_cert(leaf("six", names=("six.example.test",))), curl(url="https://six.example.test/"), 0, "200", DONE13, ok + " over IPv6")
case("none/ed25519-s-server-curl-pcapng-tls13", s_server(leaf("ed", key="ed25519")), curl(), 0, "200", DONE13, ok + ", an Ed25519 key", suffix=".pcapng")
case("none/alpn-h2-curl-tls13", nginx(f"server {{ listen 443 ssl http2; ssl_certificate {good.chain}; ssl_certificate_key {good.key}; ssl_protocols TLSv1.2 TLSv1.3; }}"),
     curl(), 0, "200 2", DONE13, ok + ", HTTP/2 agreed by ALPN")
case("none/retry-request-s-client-tls13", s_server(good, "1.3", ["-groups", "P-521"]), s_client(extra=["-groups", "X25519:P-521", "-quiet"]), 0, "", r"C:hs1 S:hs2 .*C:hs1 .*S:hs2",
     "the server asks for another key share (HelloRetryRequest) and the handshake goes on")
case("none/resumed-python-nginx-tls12", nginx_cert(good, "1.2", "ssl_session_cache shared:a:1m;"), python(extra=["twice"]), 0, "reused", [DONE12, RESUMED12],
     "the second connection resumes the session of the first", attempts=[first, again])
case("none/resumed-python-s-server-tls13", s_server(good), python(extra=["twice"]), 0, "reused", [DONE13, DONE13],
     "the second connection resumes the session of the first", attempts=[first, again])
case("none/resumed-java-nginx-tls12", nginx_cert(good, "1.2", "ssl_session_cache shared:a:1m; ssl_session_tickets off;"), java(extra=["twice"]), 0, "200", [DONE12, RESUMED12],
     "the second connection resumes the session of the first by its session id", attempts=[first, again])
sess, early = WORK / "session.pem", WORK / "early.txt"
early.write_bytes(GET)
case("none/early-data-s-client-tls13", s_server(good, "1.3", ["-early_data"], www=False),
     [s_client(extra=["-sess_out", str(sess)], hold=2), s_client(extra=["-sess_in", str(sess), "-early_data", str(early)], hold=2)],
     [0, 0], ["", "Early data was accepted"], [DONE13, r"C:hs1 .*C:23/.* S:hs2"], "the second connection resumes the first and sends its request as early data (0-RTT)",
     attempts=[first, again])
alice = leaf("alice", subject="alice", names=(), use=("client",))
mine = ["--cert", alice.chain, "--key", alice.key]
case("none/mutual-curl-tls12", s_server(good, "1.2", AUTH), curl(extra=mine), 0, "200", r"S:hs13.*C:hs11.*" + DONE12, "both sides show good certificates")
case("none/mutual-curl-tls13", s_server(good, "1.3", AUTH), curl(extra=mine), 0, "200", DONE13, "both sides show good certificates")
case("none/client-cert-absent-nginx-curl-tls12", nginx_cert(good, "1.2", f"ssl_client_certificate {TRUST}; ssl_verify_client on;"), curl(), 0, "400", DONE12,
     "nginx completes the handshake without the client's certificate and answers HTTP 400: no failure of TLS")
old = leaf("expired", days=(-100, -10))
case("none/expired-accepted-curl-tls12", nginx_cert(old, "1.2"), curl(extra=["-k"]), 0, "200", DONE12,
     "the leaf had expired ten days before the run and the client does not verify (curl -k): a matter of hygiene")
case("none/self-signed-accepted-curl-tls12", nginx_cert(leaf("self-signed", None), "1.2"), curl(extra=["-k"]), 0, "200", DONE12,
     "the leaf is self-signed and the client does not verify (curl -k): a matter of hygiene")
case("none/no-san-accepted-curl-tls12", nginx_cert(leaf("cn-only", names=()), "1.2"), curl(), 0, "200", DONE12, "the leaf has no SAN and the client falls back to its CN")
case("none/ten-years-accepted-curl-tls12", nginx_cert(leaf("ten-years", days=(-400, 3250)), "1.2"), curl(), 0, "200", DONE12,
     "the leaf is valid for ten years; clients do not mind under a private root")
stray = authority("stray", "Unrelated CA", None)
g = leaf("tangled", chain=[stray.x509] + good.up)
case("none/unrelated-extra-curl-tls12", nginx_cert(g, "1.2"), curl(), 0, "200", DONE12, "the server sends an unrelated certificate between leaf and intermediate; the client does not mind")
inner = authority("inner", "tlswhy lab CA 1b", authority("outer", "tlswhy lab CA 1a", ROOT, pathlen=1))
shuffled = leaf("shuffled", inner, chain=inner.up + [inner.x509])
case("none/wrong-order-curl-tls12", nginx_cert(shuffled, "1.2"), curl(), 0, "200", DONE12, "the server sends its two intermediates in the wrong order; the client sorts them")
torn = leaf("torn", key="rsa2048", names=(), extra=[(x509.UnrecognizedExtension(OID("2.5.29.17"), bytes.fromhex("3082ffff820f7777")), False)])
case("none/damaged-san-accepted-java-tls12", s_server(torn, "1.2"), java(), 0, "200", DONE12, "the leaf's subjectAltName is no valid DER; this client falls back to the CN")
case("none/renewed-curl-tls12", nginx_cert(leaf("renewed", days=(-0.05, 89)), "1.2"), curl(), 0, "200", DONE12, "near miss of an expired leaf: it was renewed an hour before the run")
case("none/last-day-curl-tls12", nginx_cert(leaf("last-day", days=(-89, 0.9)), "1.2"), curl(), 0, "200", DONE12, "near miss of an expired leaf: it still has most of a day")
case("none/wildcard-curl-tls12", nginx_cert(leaf("wild", subject="*.example.test", names=("*.example.test",)), "1.2"), curl(), 0, "200", DONE12,
     "near miss of a name mismatch: the name is covered by a wildcard")
case("none/second-name-python-tls13", nginx_cert(leaf("second-name", subject="intranet.example.test", names=("intranet.example.test", "www.example.test"))), python(), 0, "200", DONE13,
     "near miss of a name mismatch: the CN is another host's but the SAN has the name")
case("none/failed-then-repaired-tls12", nginx_cert(leaf("other", subject="intranet.example.test", names=("intranet.example.test",)), "1.2"),
     [curl(), curl(extra=["-k"])], [60, 0], ["no alternative certificate subject name matches", "200"], ["C:FIN", DONE12],
     "the name does not match, so the user repeats the request with -k",
     attempts=[dict(outcome="failed", cause="name_mismatch", reason="san_mismatch", side="server", visible=True), first])
quiet = "a client which connects ahead of need: it completes the handshake, sends nothing and closes"
case("none/preconnect-python-tls12", nginx_cert(good, "1.2"), python(extra=["silent"]), 0, "closed without a request", "S:ccs", quiet)
case("none/preconnect-python-tls13", nginx_cert(good), python(extra=["silent"]), 0, "closed without a request", "C:23/", quiet)
bare = Client([sys.executable, "-c", "import socket; socket.create_connection(('198.51.100.20', 443)).close()"], PYTHON.replace(" ssl", " socket"))
case("none/health-check-tcp", nginx_cert(good), [bare, curl()], [0, 0], ["", "200"], ["^C:SYN S:SYN C:FIN S:FIN$", DONE13],
     "a health check connects and closes without a byte; then a client is served", attempts=[dict(outcome="abandoned"), first])
case("none/plain-http-to-tls-port-nginx-curl", nginx_cert(good), curl(url="http://www.example.test:443/"), 0, "400", "C:raw",
     "the client speaks plain HTTP to the TLS port and nginx answers 400", outcome="not_tls")
if OPENSSL4:
    pq_client = Client([VENV, PROGRAMS / "pq.py", "client", HOST, TRUST], OPENSSL4)
    case("none/post-quantum-pyopenssl-tls13", Server([VENV, PROGRAMS / "pq.py", "server", good.chain, good.key], OPENSSL4), pq_client, 0, "MLKEM", DONE13,
         ok + "; the key exchange is X25519MLKEM768, so the ClientHello takes two segments")
    case("none/post-quantum-hello-nginx-tls13", nginx_cert(good), pq_client, 0, "200", DONE13, "a post-quantum ClientHello of two segments; the server chooses a classic group")
else:
    print("OpenSSL 4 is not there: no post-quantum captures")

if __name__ == "__main__":
    main()
