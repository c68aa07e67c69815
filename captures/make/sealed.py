#!/usr/bin/env python3
"""A certificate that TLS 1.3 seals, rejected, beside a handshake on TLS 1.2 in which the same server shows it in clear: before, or behind.
The rows use the certificates, the clients and their words of matrix.py."""
import shutil
from lab import CASES, WORK, Client, case, main
import matrix
from matrix import CLIENTS, FAULTS, GONE, HAVE, LOW
from pki import TRUST, leaf
from stacks import *

CASES.clear()                                              # matrix.py makes its own
faults = {word: rest for word, *rest in FAULTS}
good = leaf("plain-good")
# What the servers speak is chosen by each client.
SERVERS = {"nginx": nginx_cert, "gnutls-serv": gnutls_serv, "java": lambda c: java_server(c.p12), "rustls": rustls_server, "s-server": s_server,
           "haproxy": lambda c: haproxy(f"crt {c.all}"), "python": py_server, "node": node_server, "apache": apache, "openssl4": openssl4_server}
SERVERS = {name: make for name, make in SERVERS.items() if HAVE.get(name, True) and not (name == "apache" and not APACHE or name == "rustls" and not RUSTLS)}
onlooker = lambda: curl("1.2", extra=["-k"])
COMPLETED, LOOK = dict(outcome="completed", cause=None, reason=None, side=None, visible=None), "C:ccs .*S:ccs .*C:23/"
# how each client is told to speak TLS 1.3 only; Chromium does by default
RUNS = {"gnutls": lambda: gnutls("1.3"), "rustls": lambda: rustls("1.3"), "java": lambda: java("1.3"), "chromium": chromium, "node": lambda: node("1.3"),
        "wget": lambda: wget(extra=["--secure-protocol=TLSv1_3"]), "nss": lambda: nss("1.3"), "go": lambda: go("1.3")}
RUNS = {name: run for name, run in RUNS.items() if HAVE.get(name, True)}
CHOSEN = ("expired", "unknown-root", "missing-intermediate", "self-signed", "other-name", "not-yet-valid", "client-auth-only", "leaf-signature",
          "intermediate-expired", "name-constraints", "no-san", "unknown-critical")
SHOWN = "; the same server shows it in clear to a client that does not verify, on TLS 1.2, {}"


def row(name, server, client, code, says, wire, why, attempt, behind=False, count=1, look=onlooker):
    """One onlooker, before the client that rejects or behind it."""
    many = [dict(attempt)] * count
    clients, codes, words = [look(), client], [0, code], ["200", says]
    wires, attempts = [LOOK] + [wire] * count, [COMPLETED] + many
    if behind:
        clients, codes, words, wires, attempts = clients[::-1], codes[::-1], words[::-1], wires[1:] + wires[:1], many + [COMPLETED]
    case(name, server, clients, codes, says=words, wire=wires, why=why, attempts=attempts)


n = 0
for c, client in enumerate(RUNS):
    _, code, says, _, sealed = CLIENTS[client]
    for f, fault in enumerate(CHOSEN):
        if fault not in says or (c + f) % 2 and f >= 8:
            continue
        cause, reason, why, cert = faults[fault]
        names = [s for s in SERVERS if s != matrix.AVOID.get(client)]
        server = names[(c + 3 * f) % len(names)]
        behind = (c + f) % 3 == 0
        quiet = client in ("node", "wget")
        attempt = dict(outcome="failed", cause=cause, reason=reason, side="server", visible=not quiet)
        row(f"{cause}/shown-{fault}-{client}-{server}", SERVERS[server](cert), RUNS[client](), code, says[fault], sealed,
            why + SHOWN.format("behind it" if behind else "before"), attempt, behind, 2 if client == "chromium" else 1)

# curl compares the name behind the handshake.
cause, reason, why, cert = faults["other-name"]
for server in ("nginx", "rustls", "gnutls-serv"):
    row(f"{cause}/shown-other-name-curl-{server}", SERVERS[server](cert), curl("1.3"), 60, "no alternative certificate subject name matches", r"C:23/(53|69) .*C:23/19",
        why + SHOWN.format("before"), dict(outcome="failed", cause=cause, reason=reason, side="server", visible=False))

# The answer stapled, or missing, tells by its size.
revoked, missing = faults["stapled-revoked"], faults["must-staple"]
for client, server, make in (("gnutls", "s-server", lambda: s_server(revoked[3], extra=["-status_file", GONE])),
                             ("chromium", "nginx", lambda: nginx_cert(revoked[3], None, f"ssl_stapling on; ssl_stapling_file {GONE};")),
                             ("wget", "rustls", lambda: rustls_server(revoked[3], None, [f"staple={GONE}"]))):
    if client in RUNS:
        _, code, says, _, sealed = CLIENTS[client]
        row(f"revocation/shown-stapled-revoked-{client}-{server}", make(), RUNS[client](), code, says["stapled-revoked"], sealed, revoked[2] + SHOWN.format("before"),
            dict(outcome="failed", cause="revocation", reason="revoked", side="server", visible=client != "wget"), count=2 if client == "chromium" else 1,
            look=lambda: s_client("1.2", extra=["-status", "-quiet"], verify=False))
for client, server in (("gnutls", "haproxy"), ("wget", "nginx")):
    _, code, says, _, sealed = CLIENTS[client]
    row(f"revocation/shown-must-staple-{client}-{server}", SERVERS[server](missing[3]), RUNS[client](), code, says["must-staple"], sealed, missing[2] + SHOWN.format("before"),
        dict(outcome="failed", cause="revocation", reason="staple_missing", side="server", visible=client != "wget"))

# Sizes of their own: a short tag, another key share asked for, padding.
expired = faults["expired"]
attempt = dict(outcome="failed", cause="expired_cert", reason="leaf_expired", side="server", visible=True)
gone = expired[2] + SHOWN.format("before")
row("expired_cert/shown-expired-ccm8-gnutls-s-server", s_server(expired[3], None, ["-ciphersuites", "TLS_AES_128_CCM_8_SHA256"]),
    gnutls(priority="NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-CCM-8"), 1, "expired certificate", "C:(ccs C:)?23/11", gone + "; the suite has a tag of 8 bytes", attempt)
row("expired_cert/shown-expired-retry-java-s-server", s_server(expired[3], None, ["-groups", "P-384"]), java("1.3"), 1, "NotAfter", "S:hs2 .*C:hs1 .*S:hs2.*C:23/35",
    gone + "; the server asks for another key share (HelloRetryRequest)", attempt)
row("expired_cert/shown-expired-padded-gnutls-s-server", s_server(expired[3], None, ["-record_padding", "512"]), gnutls("1.3"), 1, "expired certificate",
    "C:(ccs C:)?23/19", gone + "; the server pads its records to 512 bytes", dict(attempt, visible=False))
row("expired_cert/shown-expired-requested-rustls-s-server", s_server(expired[3], None, ["-verify", "2", "-CAfile", TRUST]), rustls("1.3"), 1, "certificate expired",
    "C:(ccs C:)?23/19", gone + "; the server asks for a client certificate", attempt)

# The certificate is replaced between the two handshakes.
renewed, older = leaf("renewed-since", key="rsa2048"), leaf("older", days=(-60, 30))


def replaced(first, second):
    """nginx, and a program that has it load the other certificate."""
    d = WORK / f"replaced-{first.id}"
    d.mkdir()
    shutil.copy(first.chain, d / "chain.pem")
    shutil.copy(first.key, d / "key.pem")
    server = nginx(f"ssl_certificate {d}/chain.pem; ssl_certificate_key {d}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;", first="daemon off;")
    pid = server.cmd[2] / "pid"
    swap = Client(["sh", "-c", f"cp {second.chain} {d}/chain.pem; cp {second.key} {d}/key.pem; kill -HUP $(cat {pid}); sleep 1; echo replaced"], "sh")
    return server, swap


for word, first, second, attempt, why in (
        ("renewed", expired[3], renewed, COMPLETED, "the expired certificate that it showed before was replaced: the second client is content"),
        ("worse", renewed, expired[3], dict(outcome="failed", cause="expired_cert", reason="leaf_expired", side="server", visible=False),
         "the server's certificate was replaced by an expired one of another size")):
    server, swap = replaced(first, second)
    failed = attempt is not COMPLETED
    case(f"{'expired_cert' if failed else 'none'}/replaced-{word}-rustls-nginx", server, [onlooker(), swap, rustls("1.3")], [0, 0, int(failed)], says=["200", "replaced", "expired" if failed else "200"],
         wire=[LOOK, "C:(ccs C:)?23/19" if failed else "C:23/"], why=why, attempts=[COMPLETED, attempt])

# Near misses: who does not verify, and leaves without a request, beside a certificate that others would reject.
unused = dict(outcome="completed", also_outcome=["abandoned"])
for word, cert, make, server, client in (
        ("expired", expired[3], nginx_cert, "nginx", lambda: go("1.3", extra=["no-verify", "silent"])),
        ("expired", expired[3], rustls_server, "rustls", lambda: rustls("1.3", extra=["no-verify", "silent"])),
        ("other-name", faults["other-name"][3], SERVERS["java"], "java", lambda: java("1.3", extra=["no-verify", "no-name", "silent"])),
        ("self-signed", faults["self-signed"][3], gnutls_serv, "gnutls-serv", lambda: gnutls("1.3", extra=["--insecure"], stdin=b"", hold=0.2)),
        ("unknown-root", faults["unknown-root"][3], SERVERS["haproxy"], "haproxy", lambda: s_client("1.3", stdin=b"", verify=False, hold=0.2))):
    run = client()
    stack = run.version.split()[0].lower().replace(".", "")
    case(f"none/shown-{word}-unused-{stack}-{server}", make(cert), [onlooker(), run], [0, 0], says=["200", ""], wire=[LOOK, r"C:23/(53|69|85)"],
         why="a client that does not verify finishes the handshake and leaves without a request" + SHOWN.format("before"), attempts=[COMPLETED, unused])

if __name__ == "__main__":
    main()
