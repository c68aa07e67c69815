#!/usr/bin/env python3
"""Captures in which the two sides share no way to speak, or the server cannot load its own key or certificate."""
import os, subprocess
from lab import CASES, case, main, Server, Client, WORK
from pki import TRUST, leaf, new_key
from stacks import *
import sys

good, rsa = leaf("good"), leaf("good-rsa", key="rsa2048")
OLD = ["-cipher", "DEFAULT@SECLEVEL=0"]

# ---- 8 protocol_version ----
V = dict(reason="version", side="server")
case("protocol_version/tls13-only-nginx-curl-tls12", nginx_cert(good, "1.3"), curl("1.2"), 35, "alert protocol version", "S:al70",
     "the server speaks TLS 1.3 only, the client at most 1.2", **V)
case("protocol_version/tls12-only-s-server-curl-tls13", s_server(good, "1.2"), curl("1.3"), 35, "alert protocol version", "S:al70",
     "the server speaks TLS 1.2 only, the client 1.3 only", **V)
case("protocol_version/tls13-only-gnutls-serv-python-tls12", gnutls_serv(good, "1.3"), python("1.2"), 1, "alert handshake failure", "S:al40",
     "the server speaks TLS 1.3 only, the client 1.2 only", visible=False, **V)
case("protocol_version/tls13-only-java-gnutls-tls12", java_server(good.p12, "1.3"), gnutls("1.2"), 1, "alert", "S:al70",
     "the server speaks TLS 1.3 only, the client 1.2 only", **V)
case("protocol_version/tls13-only-haproxy-node-tls12", haproxy(f"crt {good.all} ssl-min-ver TLSv1.3"), node("1.2"), 1, "alert protocol version", "S:al70",
     "the server speaks TLS 1.3 only, the client 1.2 only", **V)
case("protocol_version/tls10-client-nginx", nginx_cert(good), s_client("1.0", extra=OLD, verify=False), 1, "alert protocol version", "S:al70",
     "the server speaks TLS 1.2 and 1.3, the client 1.0 only", **{**V, "side": "client"})
case("protocol_version/tls10-server-curl", s_server(rsa, "1.0", OLD), curl(), 35, "legacy sigalg disallowed", "C:al",
     "the server speaks TLS 1.0 only, the client 1.2 and 1.3", **V)
case("protocol_version/tls10-server-gnutls", s_server(rsa, "1.0", OLD), gnutls(priority="NORMAL:-VERS-ALL:+VERS-TLS1.2"), 1, "unsupported version", "C:al70",
     "the server speaks TLS 1.0 only, the client 1.2 only", **V)
X = dict(reason="cipher_suite")
case("protocol_version/cipher-s-server-curl-tls12", s_server(good, "1.2", ["-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"]),
     curl("1.2", extra=["--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"]), 35, "alert handshake failure", "S:al40",
     "one suite each, and not the same one", **X)
case("protocol_version/cipher-nginx-curl-tls13", nginx_cert(good, "1.3", "ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;"),
     curl("1.3", extra=["--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256"]), 35, "alert handshake failure", "S:al40",
     "one TLS 1.3 suite each, and not the same one", **X)
case("protocol_version/cipher-rsa-only-client-ecdsa-server-tls12", nginx_cert(good, "1.2"), curl("1.2", extra=["--ciphers", "ECDHE-RSA-AES128-GCM-SHA256"]), 35,
     "alert handshake failure", "S:al40", "the client offers suites with RSA signatures only, the server's key is ECDSA", **X)
case("protocol_version/cipher-gnutls-serv-curl-tls12", gnutls_serv(good, priority="NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+CHACHA20-POLY1305"),
     curl("1.2", extra=["--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"]), 35, "alert handshake failure", "S:al40", "one suite each, and not the same one", **X)
G = dict(reason="group")
case("protocol_version/group-s-server-curl-tls13", s_server(good, "1.3", ["-groups", "P-521"]), curl(extra=["--curves", "X25519"]), 35, "alert handshake failure", "S:al40",
     "the client offers group X25519 only, the server P-521 only", **G)
case("protocol_version/group-nginx-curl-tls12", nginx_cert(rsa, "1.2", "ssl_ecdh_curve secp521r1; ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256;"), curl("1.2", extra=["--curves", "X25519"]), 35,
     "alert handshake failure", "S:al40", "the client offers group X25519 only, the server P-521 only", **G)
A = dict(reason="signature_algorithm")
case("protocol_version/signature-s-client-tls13", s_server(good, "1.3"), s_client("1.3", extra=["-sigalgs", "rsa_pss_rsae_sha256"]), 1, "alert handshake failure", "S:al40",
     "the client accepts RSA-PSS signatures only, the server's key is ECDSA", **A)
case("protocol_version/signature-s-client-tls12", s_server(rsa, "1.2"), s_client("1.2", extra=["-sigalgs", "ECDSA+SHA256"]), 1, "alert handshake failure", "S:al40",
     "the client accepts ECDSA signatures only, the server's key is RSA", **A)
P = dict(reason="alpn")
case("protocol_version/alpn-s-server-python-tls12", s_server(good, "1.2", ["-alpn", "h2"]), python(extra=["alpn=http/1.1"]), 1, "no application protocol", "S:al120",
     "the server speaks h2 only, the client http/1.1 only", **P)
case("protocol_version/alpn-nginx-s-client-tls13", nginx_cert(good), s_client(extra=["-alpn", "h2"]), 1, "no application protocol", "S:al120",
     "the server speaks http/1.1 only, the client h2 only", **P)
case("protocol_version/alpn-java-java-tls13", java_server(good.p12, "1.3", ["alpn=h2"]), java(extra=["alpn=mqtt"]), 1, "no_application_protocol", "S:al120",
     "the server speaks h2 only, the client mqtt only", **P)
case("protocol_version/alpn-node-python-tls13", node_server(good, "1.3", ["h2"]), python(extra=["alpn=mqtt"]), 1, "no application protocol", "S:al120",
     "the server speaks h2 only, the client mqtt only", **P)
case("protocol_version/fallback-scsv-s-client-tls12", s_server(good), s_client("1.2", extra=["-fallback_scsv"]), 1, "inappropriate fallback", "S:al86",
     "the client says that it fell back to TLS 1.2 and the server speaks 1.3", reason="fallback_scsv", side="client")
W = dict(reason="weak_parameters")
dh = WORK / "dh.pem"
dh.write_text(subprocess.run(["openssl", "dhparam", "1024"], capture_output=True, text=True, check=True).stdout)
(WORK / "dh.security").write_text("jdk.tls.disabledAlgorithms=DH keySize < 2048\njdk.certpath.disabledAlgorithms=MD5\n")
case("protocol_version/weak-dh-curl-tls12", s_server(rsa, "1.2", ["-cipher", "DHE-RSA-AES128-GCM-SHA256@SECLEVEL=0", "-dhparam", str(dh)]), curl(), 35,
     "dh key too small", "C:al40", "the server chose a DH group of 1024 bits, the client demands 2048", **W)
case("protocol_version/weak-dh-java-tls12", s_server(rsa, "1.2", ["-cipher", "DHE-RSA-AES128-GCM-SHA256@SECLEVEL=0", "-dhparam", str(dh)]),
     java(opts=["-Djava.security.properties=" + str(WORK / "dh.security")]), 1, "does not comply to algorithm constraints", "C:al",
     "the server chose a DH group of 1024 bits, the client demands 2048", **W)
T = dict(reason="plain_text_peer")
plain = Server([sys.executable, PROGRAMS / "server.py", "443", "-", "-", "-", "raw"], PYTHON.replace(" ssl", " plain HTTP server"))
case("protocol_version/plain-http-nginx-curl", nginx("server { listen 443; }"), curl(), 35, "wrong version number", "C:hs1 S:raw",
     "port 443 speaks plain HTTP: nginx without the ssl flag", **T)
case("protocol_version/plain-http-python-gnutls", plain, gnutls(), 1, "unexpected TLS packet", "C:hs1 S:raw", "port 443 speaks plain HTTP", **T)
case("protocol_version/plain-smtp-s-client", Server(plain.cmd[:-1] + ["banner=220 mail.example.test ESMTP"], PYTHON.replace(" ssl", " plain text server")),
     s_client(), 1, "wrong version number", "S:raw", "the port greets in plain SMTP and the client speaks TLS from the start", **T)
case("protocol_version/plain-http-nginx-java", nginx("server { listen 443; }"), java(), 1, "Unsupported or unrecognized SSL message", "C:hs1 S:raw",
     "port 443 speaks plain HTTP: nginx without the ssl flag", **T)

# every server against several clients, and the other way about
limit = lambda tls: f"ssl-min-ver TLSv{tls} ssl-max-ver TLSv{tls}"
SERVERS = {
    "nginx": nginx_cert, "apache": APACHE and apache, "s-server": s_server, "haproxy": lambda c, t: haproxy(f"crt {c.all} {limit(t)}"), "gnutls-serv": gnutls_serv,
    "java": lambda c, t: java_server(c.p12, t), "node": node_server, "python": py_server, "rustls": RUSTLS and rustls_server, "openssl4": OPENSSL4 and openssl4_server,
}
CLIENTS = {
    "curl": (curl, 35, "alert"), "s-client": (s_client, 1, "alert"), "python": (python, 1, "alert"), "node": (node, 1, "alert"), "java": (java, 1, "fatal alert"),
    "gnutls": (gnutls, 1, "alert"), "wget": (lambda t: wget(extra=[f"--ciphers=NORMAL:-VERS-ALL:+VERS-TLS{t}"]), 4, "alert"), "nss": (nss, 254, "PROTOCOL_VERSION_ALERT"),
    "chromium": (CHROMIUM and (lambda t: chromium(extra=[f"--ssl-version-max=tls{t}", f"--ssl-version-min=tls{t}"])), 0, "ERR_SSL_VERSION_OR_CIPHER_MISMATCH"),
    "rustls": (RUSTLS and rustls, 1, "fatal alert"), "go": (GO and go, 1, "remote error"), "openssl4": (OPENSSL4 and openssl4, 1, "alert"),
}
for s, (server, made) in enumerate(SERVERS.items()):
    for theirs, ours, steps in (("1.3", "1.2", (0, 6)), ("1.2", "1.3", (2, 9))):
        for step in steps:
            client = list(CLIENTS)[(s + step) % len(CLIENTS)]
            run, code, says = CLIENTS[client]
            name = f"protocol_version/tls{theirs.replace('.', '')}-only-{server}-{client}-tls{ours.replace('.', '')}"
            if not made or not run or name in {c["name"] for c in CASES}:
                continue
            vague = (server, theirs) == ("gnutls-serv", "1.2")
            case(name, made(good, theirs), run(ours), code, says,
                 ["S:al40" if vague else "S:al70"] * (4 if client == "chromium" else 1),
                 f"the server speaks TLS {theirs} only, the client {ours} only" + ("; Chromium tries four times" if client == "chromium" else ""), **{**V, "visible": not vague})

servers = {
    "s-server": lambda: s_server(good, "1.3", ["-alpn", "h2"]), "s-server-tls12": lambda: s_server(good, "1.2", ["-alpn", "h2"]),
    "java": lambda: java_server(good.p12, "1.2", ["alpn=h2"]), "node": lambda: node_server(good, None, ["h2"]), "nginx": lambda: nginx_cert(good, "1.2"),
    **({"rustls-tls12": lambda: rustls_server(good, "1.2", ["alpn=h2"]), "rustls-tls13": lambda: rustls_server(good, "1.3", ["alpn=h2"])} if RUSTLS else {}),
}
clients = {"python": (lambda a: python(extra=[f"alpn={a}"]), "no application protocol"), "node": (lambda a: node(extra=[f"alpn={a}"]), "no application protocol"),
           "java": (lambda a: java(extra=[f"alpn={a}"]), "no_application_protocol"), "gnutls": (lambda a: gnutls(extra=[f"--alpn={a}"]), "No supported application protocol"),
           "s-client": (lambda a: s_client(extra=["-alpn", a]), "no application protocol"), **({"go": (lambda a: go(extra=[f"alpn={a}"]), "no application protocol")} if GO else {}),
           **({"rustls": (lambda a: rustls(extra=[f"alpn={a}"]), "NoApplicationProtocol")} if RUSTLS else {}),
           **({"openssl4": (lambda a: openssl4(extra=[f"alpn={a}"]), "no application protocol")} if OPENSSL4 else {})}
for s, (server, made) in enumerate(servers.items()):
    for step in (0, 3):
        client = list(clients)[(s + step) % len(clients)]
        run, says = clients[client]
        sealed = server == "rustls-tls13"                      # after ServerHello
        case(f"protocol_version/alpn-{server}-{client}-mqtt", made(), run("mqtt"), 1, says, "S:hs2 (S:ccs )?S:23/19" if sealed else "S:al120",
             "the server speaks " + ("http/1.1" if server == "nginx" else "h2") + " only, the client mqtt only", **{**P, "visible": not sealed})
if APACHE and GO:
    case("protocol_version/alpn-apache-go-tls13", apache(good, "1.3"), go(extra=["alpn=mqtt"]), 1, "server selected unadvertised ALPN protocol", "C:23/19",
         "the client speaks mqtt only; Apache names http/1.1 all the same, and the client refuses that", **{**P, "visible": False})
if APACHE:
    case("protocol_version/alpn-apache-s-client-tls13", apache(good, "1.3"), s_client(extra=["-alpn", "mqtt"]), 1, "bad extension", "C:al",
         "the client speaks mqtt only; Apache names http/1.1 all the same, and the client refuses that", **{**P, "visible": False})
case("none/alpn-ignored-haproxy-s-client", haproxy(f"crt {good.all} alpn h2"), s_client(extra=["-alpn", "mqtt", "-quiet"]), 0, "", "C:23/",
     "the client offers mqtt, the server does not know it and goes on without ALPN: near miss of a protocol mismatch")

AES256, AES128 = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"
suites = {
    "1.2": ([("nginx", nginx_cert(good, "1.2", f"ssl_ciphers {AES256};")), ("apache", APACHE and apache(good, "1.2", f"SSLCipherSuite {AES256}")),
             ("haproxy", haproxy(f"crt {good.all} ssl-max-ver TLSv1.2 ciphers {AES256}")), ("s-server", s_server(good, "1.2", ["-cipher", AES256]))],
            {"curl": (curl("1.2", extra=["--ciphers", AES128]), 35), "s-client": (s_client("1.2", extra=["-cipher", AES128]), 1),
             "node": (node("1.2", extra=[f"ciphers={AES128}"]), 1), "gnutls": (gnutls(priority="NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM"), 1),
             "java": (java("1.2", opts=["-Djdk.tls.client.cipherSuites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]), 1)}),
    "1.3": ([("apache", APACHE and apache(good, "1.3", "SSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384")),
             ("haproxy", haproxy(f"crt {good.all} ssl-min-ver TLSv1.3 ciphersuites TLS_AES_256_GCM_SHA384")),
             ("s-server", s_server(good, "1.3", ["-ciphersuites", "TLS_AES_256_GCM_SHA384"]))],
            {"node": (node("1.3", extra=["ciphers=TLS_CHACHA20_POLY1305_SHA256"]), 1), "s-client": (s_client("1.3", extra=["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]), 1),
             "gnutls": (gnutls(priority="NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305"), 1),
             "java": (java("1.3", opts=["-Djdk.tls.client.cipherSuites=TLS_CHACHA20_POLY1305_SHA256"]), 1)}),
}
for tls, (servers, clients) in suites.items():
    for s, (server, made) in enumerate(servers):
        for step in (0, 2):
            client = list(clients)[(s + step) % len(clients)]
            if made:
                case(f"protocol_version/cipher-{server}-{client}-only-tls{tls.replace('.', '')}", made, clients[client][0], clients[client][1], "alert", "S:al40",
                     "one suite each, and not the same one", **X)
groups = [("nginx", lambda t: nginx_cert(good, t, "ssl_ecdh_curve secp521r1;")), ("apache", APACHE and (lambda t: apache(good, t, "SSLOpenSSLConfCmd Curves P-521"))),
          ("haproxy", lambda t: haproxy(f"crt {good.all} {limit(t)} curves P-521")), ("s-server", lambda t: s_server(good, t, ["-groups", "P-521"])),
          ("rustls", RUSTLS and (lambda t: rustls_server(good, t, ["groups=p384"])))]
clients = {"curl": (lambda t: curl(t, extra=["--curves", "X25519"]), 35), "s-client": (lambda t: s_client(t, extra=["-groups", "X25519"]), 1),
           "gnutls": (lambda t: gnutls(priority=f"NORMAL:-VERS-ALL:+VERS-TLS{t}:-GROUP-ALL:+GROUP-X25519"), 1),
           "java": (lambda t: java(t, opts=["-Djdk.tls.namedGroups=x25519"]), 1)}
for s, (server, made) in enumerate(groups):
    for step, tls in ((0, "1.2"), (1, "1.3"), (2, "1.2"), (3, "1.3")):
        client = list(clients)[(s + step) % len(clients)]
        if made:
            case(f"protocol_version/group-{server}-{client}-only-tls{tls.replace('.', '')}", made(tls), clients[client][0](tls), clients[client][1], "alert", "S:al40",
                 "the client offers group X25519 only, the server has " + ("P-384" if server == "rustls" else "P-521") + " only", **G)

# ---- 10 storage_permission ----
R = dict(reason="internal_error_before_certificate")
store = WORK / "store"
store.mkdir()


def kept(name, cert=None, key=None, mode=0o644, key_mode=0o600):
    for ext, source, m in (("crt", cert, mode), ("key", key, key_mode)):
        if source:
            (store / f"{name}.{ext}").write_text(source if source.startswith("-----") else open(source).read())
            os.chmod(store / f"{name}.{ext}", m)


os.chmod(store, 0o755)
kept("www.example.test", good.chain, good.key)                       # worker may not read the key
kept("shop.example.test", good.chain)                                # no key at all
kept("api.example.test", key=good.key, key_mode=0o644)               # no certificate
kept("mail.example.test", good.chain, "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEI\n", key_mode=0o644)   # key cut off
kept("a.b.example.test", good.chain, leaf("alien").key, key_mode=0o644)                                # key of another certificate
worker = dict(first="daemon off; user www-data;")
dynamic = lambda tls: nginx(f"ssl_certificate {store}/$ssl_server_name.crt; ssl_certificate_key {store}/$ssl_server_name.key; ssl_protocols {tls};", **worker)
url = lambda n: f"https://{n}.example.test/"
both = "TLSv1.2 TLSv1.3"
why = "nginx reads the key for each connection (a variable in its path) and its worker may not read it: mode 0600, owner root"
case("storage_permission/key-unreadable-curl-tls12", dynamic("TLSv1.2"), curl(), 35, "alert internal error", "S:al80", why, **R)
case("storage_permission/key-unreadable-curl-tls13", dynamic(both), curl(), 35, "alert internal error", "S:al80", why, **R)
case("storage_permission/key-unreadable-java-tls13", dynamic(both), java(), 1, "internal_error", "S:al80", why, **R)
case("storage_permission/key-absent-python-tls12", dynamic("TLSv1.2"), python(host="shop.example.test"), 1, "ALERT_INTERNAL_ERROR", "S:al80",
     "nginx reads the key for each connection and the file is not there", **R)
case("storage_permission/certificate-absent-gnutls-tls13", dynamic(both), gnutls(host="api.example.test"), 1, "Internal error", "S:al80",
     "nginx reads the certificate for each connection and the file is not there",  **R)
case("storage_permission/key-cut-off-node-tls13", dynamic(both), node(host="mail.example.test"), 1, "internal error", "S:al80",
     "nginx reads the key for each connection and the file is cut off", **R)
case("storage_permission/key-of-another-curl-tls13", dynamic(both), curl(url=url("a.b")), 35, "alert internal error", "S:al80",
     "nginx reads the key for each connection and it belongs to another certificate", **R)
kept("two", good.chain, good.key)
case("storage_permission/one-host-of-two-tls12",
     nginx(f"server {{ listen 443 ssl; server_name www.example.test; ssl_certificate {good.chain}; ssl_certificate_key {good.key}; ssl_protocols TLSv1.2; }} "
           f"server {{ listen 443 ssl; server_name shop.example.test; ssl_certificate {store}/two.crt; ssl_certificate_key {store}/$ssl_server_name.key; }}", **worker),
     [curl(), curl(url=url("shop"))], [0, 35], ["200", "alert internal error"], ["C:FIN", "S:al80"],
     "of two hosts on one nginx, www has its key and that of shop is absent",
     attempts=[dict(outcome="completed", cause=None, reason=None, side=None, visible=None), R])
N = dict(reason="no_certificate_loaded")
why = "the server has no certificate at all"
case("storage_permission/no-certificate-s-server-curl-tls12", s_server(None, "1.2"), curl(), 35, "alert handshake failure", "S:al40", why, visible=False, **N)
case("storage_permission/no-certificate-s-server-curl-tls13", s_server(None, "1.3"), curl("1.3"), 35, "alert", "S:al", why, visible=False, **N)
case("storage_permission/no-certificate-java-curl-tls12", java_server(None, "1.2"), curl(), 35, "alert handshake failure", "S:al40", why, visible=False, **N)
case("storage_permission/no-certificate-java-java-tls13", java_server(None, "1.3"), java(), 1, "handshake_failure", "S:23/65 S:23/35", why + "; its alert comes sealed, after ServerHello", visible=False, **N)
case("storage_permission/no-certificate-node-python-tls12", node_server(None), python("1.2"), 1, "ALERT_HANDSHAKE_FAILURE", "S:al40", why, visible=False, **N)
case("storage_permission/no-certificate-python-gnutls-tls13", py_server(None), gnutls(), 1, "alert", "S:al40", why, visible=False, **N)
snake = leaf("snake", None, subject="localhost", names=("localhost",), key="rsa2048", days=(-900, 2750), ca=False, use=(), key_usage=())
case("storage_permission/snakeoil-nginx-curl-tls12", nginx_cert(snake, "1.2"), curl(), 60, "self-signed certificate", "C:al48",
     "the server uses a placeholder certificate like the one a distribution installs: self-signed, ten years, for localhost", reason="snakeoil_certificate")
case("storage_permission/snakeoil-haproxy-python-tls12", haproxy(f"crt {snake.all} ssl-max-ver TLSv1.2"), python(), 1, "self-signed certificate", "C:al48",
     "the server uses a placeholder certificate like the one a distribution installs: self-signed, ten years, for localhost", reason="snakeoil_certificate")
L = dict(reason="listener_gone", visible=False)
case("storage_permission/listener-gone-nginx-curl", nginx(f"ssl_certificate {good.chain}; ssl_certificate_key {store}/gone.key;", dies="cannot load certificate key"),
     curl(), 7, "Couldn't connect to server", "C:SYN S:RST", "nginx does not start as its key file is absent ('cannot load certificate key'); the port is closed", **L)
case("storage_permission/listener-gone-haproxy-python", Server(haproxy(f"crt {store}/gone.pem").cmd, HAPROXY, dies="unable to stat SSL certificate"),
     python(), 1, "refused", "C:SYN S:RST", "haproxy does not start as its certificate file is absent ('unable to stat SSL certificate'); the port is closed", **L)

if RUSTLS:
    case("storage_permission/no-certificate-rustls-curl-tls12", rustls_server(None, "1.2"), curl(), 35, "alert", "S:al", why, visible=False, **N)
    case("storage_permission/no-certificate-rustls-java-tls13", rustls_server(None, "1.3"), java(), 1, "fatal alert", "S:", why, visible=False, **N)
if APACHE:
    gone = apache(good, key=f"{store}/gone.key")
    gone.dies = ""
    for client, run, code, says in (("curl", curl(), 7, "Couldn't connect to server"), ("go", GO and go(), 1, "refused"), ("java", java(), 1, "refused"), ("node", node(), 1, "ECONNREFUSED"),
                                    ("rustls", RUSTLS and rustls(), 1, "refused"), ("wget", wget(), 4, "refused")):
        if run:
            case(f"storage_permission/listener-gone-apache-{client}", Server(gone.cmd, APACHE, dies="does not exist or is empty"), run, code, says, "C:SYN S:RST",
                 "Apache does not start as its key file is absent; the port is closed", **L)
    for client, run, code, says in (("python", python(), 1, "self-signed certificate"), ("java", java(), 1, "valid certification path"), ("go", GO and go(), 1, "not www.example.test"),
                                    ("rustls", RUSTLS and rustls(), 1, "UnknownIssuer"), ("gnutls", gnutls(), 1, "issuer is unknown")):
        if run:
            case(f"storage_permission/snakeoil-apache-{client}-tls12", apache(snake, "1.2"), run, code, says, "C:al",
                 "the server uses a placeholder certificate like the one a distribution installs: self-signed, ten years, for localhost", reason="snakeoil_certificate")
for client, run, code, says in (("rustls", RUSTLS and rustls(), 1, "InternalError"), ("go", GO and go(), 1, "internal error"), ("wget", wget(), 4, "Internal error"),
                                ("openssl4", OPENSSL4 and openssl4(), 1, "internal error"), ("nss", nss(), 254, "INTERNAL_ERROR_ALERT")):
    for tls in ("1.2", "1.3"):
        if run:
            case(f"storage_permission/key-unreadable-{client}-tls{tls.replace('.', '')}", dynamic("TLSv" + tls), run, code, says, "S:al80",
                 "nginx reads the key for each connection (a variable in its path) and its worker may not read it: mode 0600, owner root", **R)
if CHROMIUM:
    case("storage_permission/key-unreadable-chromium-tls13", dynamic(both), chromium(), 0, "ERR_SSL_PROTOCOL_ERROR", ["S:al80"] * 4,
         "nginx reads the key for each connection (a variable in its path) and its worker may not read it: mode 0600, owner root; Chromium tries four times", **R)

if __name__ == "__main__":
    main()
