#!/usr/bin/env python3
"""Captures in which the server demands a client certificate: absent, expired, of an unknown root, for other uses, good."""
from lab import case, main
from pki import TRUST, authority, leaf
from stacks import *

good = leaf("good")
stranger = authority("stranger", "Unknown Ltd root", None, pathlen=None, aki=False)
person = lambda id, **how: leaf(id, subject=id, names=(), **{"use": ("client",), **how})
alice = person("alice")
# word, cause, reason, what was set up, the client's certificate
SITUATIONS = [
    ("absent", "broken_chain", "client_cert_absent", "the server demands a client certificate and the client has none", None),
    ("expired", "expired_cert", "client_cert_expired", "the client's certificate had ended ten days before the run and the server demands one", person("dave", days=(-100, -10))),
    ("unknown", "broken_chain", "client_chain", "the client's certificate is under a root that the server does not have", person("bob", issuer=stranger)),
    ("server-only", "missing_extension", "eku_lacks_client_auth", "the client's certificate has extended key usage serverAuth only", person("carol", use=("server",))),
    ("early", "validity_misconfig", "not_yet_valid", "the client's certificate begins twenty days after the run and the server demands one", person("erin", days=(20, 110))),
]
AUTH = ["-Verify", "2", "-verify_return_error", "-CAfile", TRUST]
SERVERS = {
    "s-server": lambda tls: s_server(good, tls, AUTH),
    "apache": lambda tls: apache(good, tls, f"SSLCACertificateFile {TRUST}\nSSLVerifyClient require\nSSLVerifyDepth 3"),
    "haproxy": lambda tls: haproxy(f"crt {good.all} ca-file {TRUST} verify required ssl-min-ver TLSv{tls} ssl-max-ver TLSv{tls}"),
    "gnutls-serv": lambda tls: gnutls_serv(good, tls, ["--require-client-cert", "--x509cafile", TRUST]),
    "java": lambda tls: java_server(good.p12, tls, [f"need={TRUST}"]),
    "python": lambda tls: py_server(good, tls, [f"clients={TRUST}"]),
    "node": lambda tls: node_server(good, tls, ["-", TRUST]),
    "rustls": lambda tls: rustls_server(good, tls, [f"need={TRUST}"]),
    "openssl4": lambda tls: openssl4_server(good, tls, [f"need={TRUST}"]),
}
pair = lambda c: [f"cert={c.chain}", f"key={c.key}"] if c else []
CLIENTS = {
    "curl": lambda c: curl(extra=["--cert", c.chain, "--key", c.key] if c else []),
    "s-client": lambda c: s_client(extra=["-cert", c.crt, "-key", c.key, *(["-cert_chain", c.above] if c.up else [])] if c else []),
    "python": lambda c: python(extra=pair(c)),
    "node": lambda c: node(extra=pair(c)),
    "java": lambda c: java(extra=[f"p12={c.p12}"] if c else []),
    "gnutls": lambda c: gnutls(extra=["--x509certfile", c.chain, "--x509keyfile", c.key] if c else [], hold=0.6),
    "rustls": lambda c: rustls(extra=pair(c)),
    "go": lambda c: go(extra=pair(c)),
    "openssl4": lambda c: openssl4(extra=pair(c)),
    "wget": lambda c: wget(extra=["--certificate", c.chain, "--private-key", c.key] if c else []),
}
HAVE = {"apache": APACHE, "rustls": RUSTLS, "go": GO, "openssl4": OPENSSL4}
SERVERS = {k: v for k, v in SERVERS.items() if HAVE.get(k, True)}
CLIENTS = {k: v for k, v in CLIENTS.items() if HAVE.get(k, True)}
