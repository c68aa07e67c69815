#!/usr/bin/env python3
"""Handshakes with their key logs: what TLS 1.3 seals, and what TLS 1.2 seals behind its Finished, met by every client that writes a log or
by a server that does. The log is inside of the capture, as a Decryption Secrets Block."""
import lab
import matrix
import mutual
from lab import WORK, case, main
from matrix import CLIENTS, DONE, FAULTS, GONE, HAVE, NAMES_FIRST, SEALED, SERVERS, STAPLING, TWO
from pki import leaf
from stacks import *

LOG = str(WORK / "keys.log")
lab.CASES.clear()                                          # those of the tables that were imported

WANTED = ("expired intermediate-expired not-yet-valid self-signed unknown-root missing-intermediate other-name no-san client-auth-only key-usage "
          "name-constraints leaf-signature weak-key stapled-revoked must-staple expired-other-name").split()
MUTE = ("java", "nss")                                      # write no log: the server does
good = leaf("good-rsa", key="rsa2048")
done13, done12 = DONE["1.3"], DONE["1.2"]


def logs(row, name=""):
    """The same client, or server, which writes its secrets."""
    row.env = {**row.env, "SSLKEYLOGFILE": LOG}
    at = next((i for i, word in enumerate(row.cmd) if str(word) in ("s_client", "s_server", "node")), None)
    if at is not None:
        row.cmd = row.cmd[:at + 1] + (["--tls-keylog=" + LOG] if row.cmd[at] == "node" else ["-keylogfile", LOG]) + row.cmd[at + 1:]
    return row


def with_keys(name, server, client, *rest, by="client", suffix=".pcapng", **how):
    """A row whose capture has the keys of its client, or of its server."""
    for row in (client if isinstance(client, list) else [client]) if by == "client" else [server]:
        logs(row)
    case(name, server, client, *rest, suffix=suffix, keys=LOG, **how)


# ---- certificates at fault: what the twin on TLS 1.2 shows in clear ----

for c, (client, (run, code, says, alerts, sealed)) in enumerate(CLIENTS.items()):
    if not HAVE.get(client, True):
        print(f"{client} is not there: its rows are left out")
        continue
    by = "server" if client in MUTE else "client"
    for f, (fault, cause, reason, why, cert) in enumerate(FAULTS):
        if fault not in WANTED or fault not in says:
            continue
        staple = GONE if fault == "stapled-revoked" else None
        if by == "server":
            word = "s-server"
            sv = s_server(cert, "1.3", ["-status_file", staple] if staple else matrix.LOW if fault == "weak-key" else [])
        else:
            word, sv = matrix.server(c + 3 * f + 2, fault, cert, "1.3", staple, client)
        row = dict(cause=cause, reason=reason)
        attempt = {}
        if fault in TWO:
            row["cause"] = NAMES_FIRST[fault].get(client, next(iter(TWO[fault])))
            row["reason"] = TWO[fault][row["cause"]]
            attempt["also"] = [x for x in TWO[fault] if x != row["cause"]]
        alert = alerts[fault]
        wire = (f"C:al{alert}" if isinstance(alert, int) else alert) if sealed is None else sealed
        exit = 35 if fault == "leaf-signature" and client == "curl" else code
        n = 2 if client == "chromium" else 1
        with_keys(f"{row['cause']}/keys-{fault}-{client}-{word}-tls13", sv, run(), exit, says[fault], [wire] * n, why + ("; Chromium opens two connections" if n == 2 else ""),
                  by=by, attempts=[attempt] * n, outcome="failed", visible=True, **row)
    word = "s-server" if by == "server" else list(SERVERS)[c % len(SERVERS)]
    make = s_server if by == "server" else SERVERS[word]
    if client == "chromium":
        fine = dict(outcome="completed", also_outcome=["abandoned"])
        with_keys(f"none/keys-good-{client}-{word}-tls13", make(good, "1.3"), run(), 0, "<html>", ["(?s)C:ccs"] * 2,
                  "nothing is wrong; Chromium opens two connections ahead of need", attempts=[fine, fine])
    else:
        one = run()
        if client == "nss":
            one.cmd = ["timeout", "3"] + one.cmd
        with_keys(f"none/keys-good-{client}-{word}-tls13", make(good, "1.3"), one, 124 if client == "nss" else 0, "" if client == "wget" else "200", done13,
                  "nothing is wrong: near miss of all that keys show", by=by)

# ---- TLS 1.2: what stands behind Finished ----

faults = {word: (cause, reason, why, cert) for word, cause, reason, why, cert in FAULTS}
for fault, client in (("other-name", "curl"), ("expired", "node"), ("expired", "wget"), ("unknown-root", "node"), ("self-signed", "wget"),
                      ("expired", "nss"), ("unknown-root", "nss"), ("other-name", "nss"), ("client-auth-only", "nss")):
    cause, reason, why, cert = faults[fault]
    run, code, says, alerts, _ = CLIENTS[client]
    alert = alerts[fault]
    with_keys(f"{cause}/keys-{fault}-{client}-s-server-tls12", s_server(cert, "1.2"), run(), code, says[fault], f"C:al{alert}" if isinstance(alert, int) else alert, why,
              by="server" if client == "nss" else "client", reason=reason)
for word, cipher, version in (("aes128-cbc-sha", "AES128-SHA", "1.2"), ("aes256-cbc-sha384", "ECDHE-RSA-AES256-SHA384", "1.2"), ("aes128-cbc-sha256", "AES128-SHA256", "1.2"),
                              ("ccm8", "AES128-CCM8", "1.2"), ("ccm", "AES256-CCM", "1.2"), ("chacha20", "ECDHE-RSA-CHACHA20-POLY1305", "1.2"),
                              ("aes256-cbc-sha", "AES256-SHA", "1.1"), ("aes128-cbc-sha", "AES128-SHA", "1.0")):
    weak = ["-cipher", cipher + ":@SECLEVEL=0"]
    for etm in (True, False) if "cbc" in word and version == "1.2" else (True,):
        plain = [] if etm else ["-no_etm"]
        with_keys(f"none/keys-{word}{'' if etm else '-mac-first'}-s-client-s-server-tls{version.replace('.', '')}", s_server(good, version, weak),
                  s_client(version, extra=weak + plain), 0, "", "C:ccs .*S:ccs",
                  f"nothing is wrong; records are sealed by {cipher}" + ("" if etm or "cbc" not in word else ", which a MAC precedes (no encrypt-then-MAC)"))

# ---- certificates of clients ----

for s, (server, make) in enumerate(mutual.SERVERS.items()):
    for i, (fault, cause, reason, why, cert) in enumerate(mutual.SITUATIONS):
        clients = [c for c in mutual.CLIENTS if c not in MUTE and (fault != "unknown" or c not in mutual.PICKY)]
        client = clients[(s + 2 * i) % len(clients)]
        name = f"keys-client-cert-{fault}-{server}-{client}-tls13"
        if server == "gnutls-serv" and fault != "absent":
            continue
        silent = server == "node" and fault != "absent"
        wire = mutual.SEALED.get(server, "S:23/19") if silent or server != "node" else "S:23/19"
        exit = (0, 1, 4, 35, 52, 56) if silent else mutual.EXITS.get(client, 1)
        with_keys(f"{cause}/{name}", make("1.3"), mutual.CLIENTS[client](cert), exit, "" if silent else mutual.SAYS[client], wire,
                  why + ("; Node closes after the handshake and says nothing" if silent else ""), reason=reason, side="client", visible=True)
    client = [c for c in mutual.CLIENTS if c not in MUTE and (c, server) != ("gnutls", "java")][s % 8]      # to which Java 17 says user_canceled
    with_keys(f"none/keys-client-cert-good-{server}-{client}-tls13", make("1.3"), mutual.CLIENTS[client](mutual.alice), 0, "", r"C:23/\d+ .*C:23/",
              "near miss of a bad client certificate: both sides show good ones")
what, cert = mutual.broken["wrong-scalar"]
for server, client in (("s-server", "python"), ("python", "s-client"), ("haproxy", "curl")):
    with_keys(f"damaged_key/keys-client-wrong-scalar-{server}-{client}-tls13", mutual.SERVERS[server]("1.3"), mutual.CLIENTS[client](cert), mutual.EXITS.get(client, 1),
              mutual.SAYS[client], "S:23/19", f"the client's key file has a wrong {what}, so its CertificateVerify is bad", reason="bad_handshake_signature", side="client", visible=True)

# ---- resumption, another key share, early data ----

first, again = dict(outcome="completed"), dict(outcome="resumed")
with_keys("none/keys-resumed-python-s-server-tls13", s_server(good), python(extra=["twice"]), 0, "reused", [done13, done13],
          "the second connection resumes the session of the first", attempts=[first, again])
with_keys("none/keys-resumed-python-nginx-tls12", nginx_cert(good, "1.2", "ssl_session_cache shared:a:1m;"), python(extra=["twice"]), 0, "reused",
          [done12, "S:ccs .*C:ccs .*C:23/"], "the second connection resumes the session of the first", attempts=[first, again])
with_keys("none/keys-retry-request-s-client-s-server-tls13", s_server(good, "1.3", ["-groups", "P-521"]), s_client(extra=["-groups", "X25519:P-521", "-quiet"]), 0, "",
          r"C:hs1 S:hs2 .*C:hs1 .*S:hs2", "the server asks for another key share (HelloRetryRequest) and the handshake goes on")
cause, reason, why, cert = faults["expired"]
with_keys("expired_cert/keys-expired-retry-request-s-client-s-server-tls13", s_server(cert, "1.3", ["-groups", "P-521"]), s_client(extra=["-groups", "X25519:P-521"]), 1,
          "certificate has expired", r"C:hs1 S:hs2 .*C:hs1 .*S:hs2.*C:al45", why + ", and the server asks for another key share first (HelloRetryRequest)", reason=reason)
sess, early = WORK / "session.pem", WORK / "early.txt"
early.write_bytes(GET)
with_keys("none/keys-early-data-s-client-s-server-tls13", s_server(good, "1.3", ["-early_data"], www=False),
          [s_client(extra=["-sess_out", str(sess)], hold=2), s_client(extra=["-sess_in", str(sess), "-early_data", str(early)], hold=2)],
          [0, 0], ["", "Early data was accepted"], [done13, r"C:hs1 .*C:23/.* S:hs2"], "the second connection resumes the first and sends its request as early data (0-RTT)",
          attempts=[first, again])
for n, suite in enumerate(("TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256", "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256")):
    word = suite.lower().removeprefix("tls_").removesuffix("_sha256").replace("_", "-")
    with_keys(f"expired_cert/keys-{word}-s-client-s-server-tls13", s_server(cert, "1.3", ["-ciphersuites", suite]), s_client(extra=["-ciphersuites", suite]), 1,
              "certificate has expired", "C:al45", why + f", and records are sealed by {suite}", reason=reason)

if __name__ == "__main__":
    main()
