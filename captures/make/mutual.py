#!/usr/bin/env python3
"""Captures in which the server demands a client certificate: absent, expired, of an unknown root, for other uses, good."""
from lab import case, main
from pki import TRUST, authority, leaf, wrong_ec, wrong_rsa
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
SAYS = {"curl": "SSL", "s-client": "alert", "python": "ALERT", "node": "alert", "java": "Received fatal alert", "gnutls": "alert", "rustls": "received fatal alert",
        "go": "remote error", "openssl4": "alert", "wget": ""}
EXITS = {"curl": (35, 56, 60), "wget": 4}
# alerts on TLS 1.2: a number, or what stands for it (Java 17.0.15 says 42 of an absent certificate, 17.0.21 says 40)
OPENSSL = {"absent": 40, "expired": 45, "unknown": 48, "server-only": 43, "early": 42}
ALERTS = {"java": {"absent": "S:al4[02]", "expired": 46, "unknown": 46, "server-only": 46, "early": 46}, "rustls": {**OPENSSL, "absent": 116, "early": 45},
          "gnutls-serv": {"absent": 50}, "node": {**{s: "S:FIN" for s in OPENSSL}, "absent": 40}}
SEALED = {"java": "S:23/35", "node": "C:23/.*S:FIN"}
PICKY = ("java", "go", "wget")                              # show no certificate when the server names other issuers

for s, (server, make) in enumerate(SERVERS.items()):
    for i, (fault, cause, reason, why, cert) in enumerate(SITUATIONS):
        for tls in ("1.2", "1.3"):
            clients = [c for c in CLIENTS if fault != "unknown" or c not in PICKY]
            client = clients[(s + 2 * i + 5 * (tls == "1.3")) % len(clients)]
            name = f"client-cert-{fault}-{server}-{client}-tls{tls.replace('.', '')}"
            if server == "gnutls-serv" and fault != "absent":
                case(f"none/{name}", make(tls), CLIENTS[client](cert), 0, "", {"1.2": "C:ccs .*S:ccs .*C:23/", "1.3": r"C:23/\d+ .*C:23/"}[tls],
                     why + "; gnutls-serv demands one and does not verify it: a matter of hygiene")
                continue
            silent = server == "node" and fault != "absent"
            alert = ALERTS.get(server, OPENSSL)[fault]
            wire = SEALED.get(server, "S:23/19") if tls == "1.3" and (silent or server != "node") else "S:23/19" if tls == "1.3" else f"S:al{alert}" if isinstance(alert, int) else alert
            exit = (0, 1, 4, 35, 52, 56) if silent else EXITS.get(client, 1)
            case(f"{cause}/{name}", make(tls), CLIENTS[client](cert), exit, "" if silent else SAYS[client], wire,
                 why + ("; Node closes after the handshake and says nothing" if silent else ""), reason=reason, side="client", visible=tls == "1.2")
    client = list(CLIENTS)[(s + 3) % len(CLIENTS)]
    tls = ("1.2", "1.3")[s % 2]
    case(f"none/client-cert-good-{server}-{client}-tls{tls.replace('.', '')}", make(tls), CLIENTS[client](alice), 0, "", {"1.2": "C:ccs .*S:ccs .*C:23/", "1.3": r"C:23/\d+ .*C:23/"}[tls],
         "near miss of a bad client certificate: both sides show good ones")

# The client's key file is damaged: its certificate is good, what it signs is not.
broken = {"wrong-scalar": ("scalar beside the true public point", wrong_ec(person("frank"))),
          "wrong-exponent": ("private exponent beside the true modulus", wrong_rsa(person("grace", key="rsa2048")))}
for word, server, client, tls, wire in (
        ("wrong-scalar", "s-server", "s-client", "1.2", "S:al51"), ("wrong-exponent", "python", "python", "1.2", "S:al51"), ("wrong-scalar", "java", "node", "1.2", "S:al"),
        ("wrong-exponent", "gnutls-serv", "curl", "1.2", "S:al"), ("wrong-scalar", "s-server", "python", "1.3", "S:23/19")):
    what, cert = broken[word]
    case(f"damaged_key/client-{word}-{server}-{client}-tls{tls.replace('.', '')}", SERVERS[server](tls), CLIENTS[client](cert), EXITS.get(client, 1), SAYS[client], wire,
         f"the client's key file has a wrong {what}, so its CertificateVerify is bad", reason="bad_handshake_signature", side="client", visible=tls == "1.2")
# The client's certificate is under a root that is known elsewhere, but this server names and knows another.
for server, make, client, wire in (
        ("s-server", s_server(good, "1.2", ["-Verify", "2", "-verify_return_error", "-CAfile", stranger.crt]), "s-client", "S:al48"),
        ("java", java_server(good.p12, "1.2", [f"need={stranger.crt}"]), "python", "S:al46"),
        ("node", node_server(good, "1.2", ["-", stranger.crt]), "curl", "S:")):
    case(f"broken_chain/client-cert-not-named-{server}-{client}-tls12", make, CLIENTS[client](alice), (0, 1, 35, 52, 56), "", wire,
         "the client's certificate is under the lab's root, and the server names and knows another one only", reason="client_chain", side="client")

if __name__ == "__main__":
    main()
