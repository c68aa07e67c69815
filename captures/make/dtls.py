#!/usr/bin/env python3
"""DTLS: handshakes that succeed, lose packets, are rejected, refused or never answered, by OpenSSL and GnuTLS; WebRTC's by aiortc (PyPI, in the
state folder; without it those are left out)."""
import re, signal, subprocess, threading
from lab import Client, Lab, PROGRAMS, WORK, Server, keep, label, main, sh, target_of, told
from pki import STATE, TRUST, authority, leaf
from stacks import GNUTLS, HOST, OPENSSL, version

PY = STATE / "dtls/bin/python"
AIORTC = "aiortc " + version(f"{PY} -c 'import aiortc; print(aiortc.__version__)' 2>/dev/null") if PY.exists() else ""
FIELDS = ("frame.number udp.srcport dtls.record.content_type dtls.record.epoch dtls.handshake.type dtls.handshake.fragment_offset "
          "dtls.alert_message.desc icmp.type stun.type ip.frag_offset").split()
ROWS = []
LOG = WORK / "dtls-keys.log"


def server(cert, *words, dtls="-dtls1_2"):
    cmd = ["openssl", "s_server", "-accept", "443", dtls, "-cert", cert.crt, "-key", cert.key] + (["-cert_chain", cert.above] if cert.up else [])
    return Server(cmd + list(words), OPENSSL + " s_server", udp=True)


def client(*words, host=HOST, dtls="-dtls1_2", verify=True, hold=0.8, kill=0):
    cmd = ["openssl", "s_client", "-connect", f"{host}:443", "-servername", host, "-CAfile", TRUST, dtls]
    return Client(cmd + (["-verify_return_error", "-verify_hostname", host] if verify else []) + list(words), OPENSSL + " s_client", b"hello\n",
                  hold=0 if kill else hold, kill=kill, signal=signal.SIGTERM)


def gnutls_server(cert, *words, priority="NORMAL"):
    return Server(["gnutls-serv", "--udp", "--echo", "-p", "443", "--x509certfile", cert.chain, "--x509keyfile", cert.key, "--priority", priority, *words], GNUTLS + " gnutls-serv", udp=True)


def gnutls_client(*words, host=HOST, priority="NORMAL", hold=0.8, kill=0):
    return Client(["gnutls-cli", "--udp", "--x509cafile", TRUST, "--priority", priority, host, "-p", "443", *words], GNUTLS + " gnutls-cli", b"hello\n",
                  hold=0 if kill else hold, kill=kill, signal=signal.SIGTERM)


def keyed(client):
    """The same, which writes its secrets."""
    client.env = {**client.env, "SSLKEYLOGFILE": str(LOG)}
    return client


def rtc(side, *words):
    """One end of a WebRTC connection. The two tell each other what they have by files, as by a signalling server."""
    return [PY, PROGRAMS / "webrtc.py", side, WORK / "rtc", *words]


def row(name, server, client, exit, says, attempts, why, wire="", rules=(), lose=0, goes_on=None, keys=False):
    """One capture. `wire`: a pattern of the packets' words that the run must match. `rules`: commands run in the server's namespace before. `lose`: of
    all frames every so many-th is dropped. `goes_on`: another packet, seconds later, shows that the capture did not end with the attempt. `keys`: the
    secrets that the client writes go into the capture."""
    ROWS.append(dict(name=name, server=server, client=client, exit=exit, says=says, attempts=attempts, why=why, wire=wire, rules=rules, lose=lose,
                     keys=LOG if keys else None, suffix=".pcapng" if keys else ".pcap", software="",
                     goes_on=any(a["outcome"] == "failed" for a in attempts) if goes_on is None else goes_on))


def packets(path):
    """A word for each packet: C or S, what its records hold. A check of the run, no judgement."""
    args = sum((["-e", f] for f in FIELDS), [])
    out = subprocess.run(["tshark", "-r", str(path), "-d", "udp.port==443,dtls", "-T", "fields"] + args, capture_output=True, text=True).stdout
    words, client = [], None
    for line in out.splitlines():
        r = dict(zip(FIELDS, line.split("\t")))
        if r["icmp.type"]:
            words.append("icmp")
            continue
        if not r["udp.srcport"]:
            words.append("frag")
            continue
        if "1" in r["dtls.handshake.type"].split(","):
            client = r["udp.srcport"]
        side = "S" if r["udp.srcport"] == "443" or client and r["udp.srcport"] != client else "C"
        said = [f"hs{t}" for t in r["dtls.handshake.type"].split(",") if t] + [f"al{d}" for d in r["dtls.alert_message.desc"].split(",") if d]
        epochs, kinds = r["dtls.record.epoch"].split(","), r["dtls.record.content_type"].split(",")
        said += [f"{k}@{e}" for k, e in zip(kinds, epochs) if e not in ("", "0")] + (["stun"] if r["stun.type"] else [])
        words.append(side + ":" + ",".join(said))
    return words


def say(server):
    try:
        server.stdin.write(b"welcome\n")
        server.stdin.flush()
    except OSError:
        pass


def make(r):
    lab = Lab(lose=r["lose"])
    pcap = WORK / "run.pcap"
    for old in (pcap, WORK / "rtc.offer", WORK / "rtc.answer", LOG):
        old.unlink(missing_ok=True)
    clients = r["client"] if isinstance(r["client"], list) else [r["client"]]
    ended, running = [], []
    try:
        for rule in r["rules"]:
            sh(f"ip netns exec {lab.name}s {rule}")
        lab.capture(pcap, "c")
        if r["server"]:
            p = lab.start(r["server"]) if r["server"].udp else lab.spawn("s", r["server"].cmd, r["server"].env)     # WebRTC's waits for an offer
            running.append(p)
        for one in clients:
            if r["server"] and "s_server" in r["server"].cmd:      # it sends what it reads
                threading.Timer(0.4, say, [p]).start()
            ended.append(lab.run_to(one, r["exit"], r["says"], running))
            lab.quiet(0.3)
        if r["goes_on"]:
            lab.go_on()
        for p in running:
            lab.stop(p)
        lab.end_capture()
    finally:
        lab.close()
    words = packets(pcap)
    if r["wire"] and not re.search(r["wire"], " ".join(words)):
        raise AssertionError(f"wanted {r['wire']!r} on the wire, got {' '.join(words)}\n" + "\n".join(lab.said(p)[-800:] for p in running))
    keep(pcap, target_of(r), r["keys"])
    look = [n + 1 for n, w in enumerate(words) if re.search(r"hs(1|2|3|11)\b|al\d|icmp", w)]
    look = sorted(set(look[:6] + [n + 1 for n, w in enumerate(words) if re.search(r"al\d|icmp", w)][:2])) or [1]
    programs = [one for one in (r["server"], *clients) if one]
    label(r, "dtls.py", programs, told(clients, ended, [r["says"]] * len(clients)), look, r["attempts"])
    print(f"{r['name']}  {target_of(r).stat().st_size} B  {' '.join(words)[:400]}", flush=True)


def failed(cause, reason, side="server", visible=True, **more):
    return [dict(outcome="failed", cause=cause, reason=reason, side=side, visible=visible, **more)]


done, again = dict(outcome="completed"), dict(outcome="resumed")
good, rsa = leaf("good"), leaf("good-rsa", key="rsa4096")
expired = leaf("expired", days=(-100, -10))
itself = leaf("self-signed", None)
stray = authority("stray", "Unrelated CA", None)
stranger = leaf("stranger", stray)
misnamed = leaf("other", subject="intranet.example.test", names=("intranet.example.test",))
alice = leaf("alice", subject="alice", names=(), use=("client",))
dave = leaf("dave", subject="dave", names=(), use=("client",), days=(-100, -10))
mallory = leaf("mallory", stray, subject="mallory", names=(), use=("client",))
MUST = ("-Verify", "2", "-verify_return_error", "-CAfile", TRUST)
mine = lambda cert: ("-cert", cert.crt, "-key", cert.key, *(("-cert_chain", cert.above) if cert.up else ()))
ASKS = r"C:hs1 S:hs3 C:hs1 S:hs2"
FINE = r"22@1.*22@1.*C:23@1"
WEAK = "DEFAULT:@SECLEVEL=0"
session = WORK / "dtls-session.pem"

row("none/dtls12-openssl", server(good), client(), 0, "", [done], "DTLS 1.2 with a HelloVerifyRequest, as OpenSSL has it by default: small fragments", ASKS + ".*" + FINE)
row("none/dtls12-listen-openssl", server(good, "-listen"), client(), 0, "", [done], "the server keeps nothing of a client before the second hello (DTLSv1_listen)", ASKS + ".*" + FINE)
row("none/dtls12-gnutls", gnutls_server(good), gnutls_client(), 0, "Handshake was completed", [done], "DTLS 1.2 with a HelloVerifyRequest", ASKS + ".*" + FINE)
row("none/dtls12-openssl-gnutls-serv", gnutls_server(good), client(), 0, "", [done], "DTLS 1.2 with a HelloVerifyRequest", ASKS + ".*" + FINE)
row("none/dtls10-openssl", server(good, "-cipher", WEAK, dtls="-dtls1"), client("-cipher", WEAK, dtls="-dtls1"), 0, "", [done], "DTLS 1.0", ASKS + ".*" + FINE)
row("none/dtls12-fragments-openssl", server(rsa, "-mtu", "300"), client("-mtu", "300"), 0, "", [done], "the server's certificates in fragments of 300 bytes", r"S:hs11 S:hs11.*" + FINE)
row("none/dtls12-lossy-openssl", server(rsa, "-mtu", "500"), client(), 0, "", [done], "every fifth frame is lost on the way, and the handshake completes all the same", FINE, lose=5)
row("none/dtls12-lossy-gnutls", gnutls_server(rsa, "--mtu", "500"), gnutls_client(), 0, "Handshake was completed", [done],
    "every fourth frame is lost on the way, and the handshake completes all the same", "", lose=4)
row("none/dtls12-mutual-openssl", server(good, *MUST), client(*mine(alice)), 0, "", [done], "both sides show good certificates", "hs13.*hs15.*" + FINE)
row("none/dtls12-resumed-openssl", server(good), [client("-sess_out", str(session)), client("-sess_in", str(session))], 0, "", [done, again], "the second handshake resumes the session of the first")
row("none/dtls12-cbc-openssl", server(rsa, "-cipher", "AES128-SHA"), client("-cipher", "AES128-SHA"), 0, "", [done], "RSA key transport and CBC", FINE)
row("none/dtls12-self-signed-accepted-openssl", server(itself), client(verify=False), 0, "", [done], "a certificate that signs itself, and the client does not verify", FINE)
row("expired_cert/dtls12-openssl", server(expired), client(), 1, "certificate has expired", failed("expired_cert", "leaf_expired"), "the leaf's notAfter was ten days before the run", "C:al45")
row("expired_cert/dtls10-openssl", server(expired, "-cipher", WEAK, dtls="-dtls1"), client("-cipher", WEAK, dtls="-dtls1"), 1, "certificate has expired", failed("expired_cert", "leaf_expired"),
    "the leaf's notAfter was ten days before the run, over DTLS 1.0", "C:al45")
row("expired_cert/dtls12-gnutls", gnutls_server(expired), gnutls_client(), 1, "expired", failed("expired_cert", "leaf_expired"), "the leaf's notAfter was ten days before the run", "C:al")
row("broken_chain/dtls12-self-signed-openssl", server(itself), client(), 1, "self", failed("broken_chain", "self_signed"), "a certificate that signs itself", "C:al48")
row("broken_chain/dtls12-unknown-root-openssl", server(stranger), client(), 1, "unable to get", failed("broken_chain", "unknown_root"), "a root that the client does not know", "C:al48")
row("broken_chain/dtls12-unknown-root-fragments-openssl", server(leaf("stranger-rsa", stray, key="rsa4096"), "-mtu", "300"), client(), 1, "unable to get", failed("broken_chain", "unknown_root"),
    "a root that the client does not know; certificates in fragments of 300 bytes", "C:al48")
row("broken_chain/dtls12-client-cert-absent-openssl", server(good, *MUST), client(), (0, 1), "", failed("broken_chain", "client_cert_absent", "client"), "the server wants a certificate, the client has none", "S:al")
row("broken_chain/dtls12-client-unknown-root-openssl", server(good, *MUST), client(*mine(mallory)), (0, 1), "", failed("broken_chain", "client_chain", "client"),
    "the client's certificate has a root that the server does not know", "S:al48")
row("name_mismatch/dtls12-openssl", server(misnamed), client(), 1, "hostname mismatch", failed("name_mismatch", "san_mismatch"), "the certificate names another host", "C:al42")
row("protocol_version/dtls12-cipher-suite-openssl", server(good), client("-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), 1, "alert", failed("protocol_version", "cipher_suite"),
    "the server has an EC key, the client takes RSA suites alone", "S:al40")
row("protocol_version/dtls10-version-openssl", server(good), client("-cipher", WEAK, dtls="-dtls1"), 1, "alert", failed("protocol_version", "version"), "the client speaks DTLS 1.0 alone, the server 1.2 alone", "S:al70")
row("firewall/dtls12-port-closed-openssl", None, client(), 1, "", failed("firewall", "port_closed", also=["firewall"]), "nobody listens on UDP 443: the server's host says so by ICMP", "icmp")
row("firewall/dtls12-prohibited-openssl", server(good), client(kill=5), (0, 1, -15), "", failed("firewall", "icmp_prohibited", "path"), "UDP 443 is rejected with ICMP administratively prohibited", "icmp",
    rules=["iptables -I INPUT -p udp --dport 443 -j REJECT --reject-with icmp-admin-prohibited"])
row("firewall/dtls12-dropped-openssl", server(good), client(kill=9), (0, 1, -15), "", failed("firewall", "dropped_after_hello", "path", False), "the server's host drops UDP 443; the client sends its hello again and again", r"C:hs1 C:hs1 C:hs1",
    rules=["iptables -I INPUT -p udp --dport 443 -j DROP"])
row("firewall/dtls12-dropped-gnutls", gnutls_server(good), gnutls_client(kill=9), (0, 1, -15), "", failed("firewall", "dropped_after_hello", "path", False), "the server's host drops UDP 443; the client sends its hello again and again", r"C:hs1 C:hs1 C:hs1",
    rules=["iptables -I INPUT -p udp --dport 443 -j DROP"])
logs = ("-keylogfile", str(LOG))
row("none/keys-dtls12-openssl", server(good), client(*logs), 0, "", [done], "DTLS 1.2 with its key log", ASKS + ".*" + FINE, keys=True)
row("none/keys-dtls10-openssl", server(good, "-cipher", WEAK, dtls="-dtls1"), client("-cipher", WEAK, *logs, dtls="-dtls1"), 0, "", [done], "DTLS 1.0 with its key log", ASKS + ".*" + FINE, keys=True)
row("none/keys-dtls12-mutual-openssl", server(good, *MUST), client(*mine(alice), *logs), 0, "", [done], "both sides show good certificates, with the key log", "hs13.*hs15.*" + FINE, keys=True)
row("none/keys-dtls12-resumed-openssl", server(good), [client("-sess_out", str(session), *logs), client("-sess_in", str(session), *logs)], 0, "", [done, again],
    "the second handshake resumes the session of the first, with the key log", keys=True)
row("none/keys-dtls12-chacha20-lossy-openssl", server(rsa, "-mtu", "500", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"), client(*logs), 0, "", [done],
    "every fifth frame is lost on the way, and the handshake completes all the same; with the key log", FINE, lose=5, keys=True)
row("none/keys-dtls12-cbc-openssl", server(rsa, "-cipher", "AES128-SHA"), client("-cipher", "AES128-SHA", *logs), 0, "", [done], "RSA key transport and CBC, with the key log", FINE, keys=True)
row("none/keys-dtls12-cbc-mac-first-openssl", server(rsa, "-cipher", "AES256-SHA256", "-no_etm"), client("-cipher", "AES256-SHA256", "-no_etm", *logs), 0, "", [done],
    "CBC which a MAC precedes (no encrypt-then-MAC), with the key log", FINE, keys=True)
row("expired_cert/keys-dtls12-client-cert-expired-openssl", server(good, *MUST), client(*mine(dave), *logs), (0, 1), "", failed("expired_cert", "client_cert_expired", "client"),
    "the client's certificate had ended ten days before the run and the server demands one; with the key log", "S:al45", keys=True)
row("none/keys-dtls12-gnutls", gnutls_server(good), keyed(gnutls_client()), 0, "Handshake was completed", [done], "DTLS 1.2 by GnuTLS with its key log", ASKS + ".*" + FINE, keys=True)
if AIORTC:
    peer = lambda *words: Server(rtc("answer", *words), AIORTC)
    page = lambda *words: Client(rtc("offer", *words), AIORTC)
    row("none/webrtc-aiortc", peer(), page(), 0, "connected", [done], "WebRTC: STUN and DTLS with use_srtp on one port, certificates that sign themselves, each known by its fingerprint", r"stun.*hs1.*22@1")
    row("none/webrtc-data-aiortc", peer("data"), page("data"), 0, "connected", [done], "WebRTC's data channel: STUN, then DTLS, then SCTP in it", r"stun.*hs1.*23@1")


if __name__ == "__main__":
    if not AIORTC:
        print("no aiortc: WebRTC is left out")
    main(ROWS, make)
