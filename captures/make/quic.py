#!/usr/bin/env python3
"""QUIC: handshakes that succeed, are rejected, refused or never answered, by aioquic and Chromium. Needs aioquic (PyPI) in the state folder."""
import re, subprocess, time
from lab import Client, Lab, PROGRAMS, WORK, Server, keep, label, main, sh, target_of, told
from pki import STATE, TRUST, authority, leaf
from stacks import CHROMIUM, HOST, chromium, nginx_cert, version

PY = STATE / "quic/bin/python"
AIOQUIC = "aioquic " + version(f"{PY} -c 'import aioquic; print(aioquic.__version__)' 2>/dev/null") if PY.exists() else ""
FIELDS = "frame.number udp.srcport udp.dstport tcp.srcport tcp.flags.syn quic.long.packet_type quic.header_form quic.version tls.handshake.type quic.cc.error_code quic.supported_version icmp.type".split()
ROWS = []
KEYS = WORK / "secrets.log"
done, P = dict(outcome="completed"), "path"


def server(cert, *words):
    return Server([PY, PROGRAMS / "quic.py", "server", cert.chain, cert.key, *words], AIOQUIC, udp=True)


def client(*words, host=HOST, ca=TRUST):
    return Client([PY, PROGRAMS / "quic.py", "client", host, ca, *words], AIOQUIC)


def browser(*words, url=None):
    """Chromium made to speak QUIC from the first packet on."""
    return chromium(extra=[f"--origin-to-force-quic-on={HOST}:443", "--enable-quic", *words], url=url)


def row(name, server, client, exit, says, attempts, why, wire="", rules=(), at="c", keys=False, beside=(), late=0, software="", goes_on=None):
    """One capture. `wire`: a pattern of the packets' words that the run must match. `rules`: commands run in the server's namespace before.
    `beside`: further servers, of TCP. `late`: the capture begins so many seconds after the client.
    `goes_on`: another packet, seconds later, shows that the capture did not end with the attempt. `keys`: both sides' secrets go into the file."""
    ROWS.append(dict(name=name, server=server, client=client, exit=exit, says=says, attempts=attempts, why=why, wire=wire, rules=rules, at=at,
                     keys=KEYS if keys else None, suffix=".pcapng" if keys else ".pcap", beside=beside, late=late, software=software,
                     goes_on=any(a["outcome"] == "failed" for a in attempts) if goes_on is None else goes_on))


def packets(path):
    """A word for each packet: C or S, what it holds. A check of the run, no judgement."""
    args = sum((["-e", f] for f in FIELDS), [])
    out = subprocess.run(["tshark", "-r", str(path), "-o", "tls.keylog_file:", "-T", "fields"] + args, capture_output=True, text=True).stdout
    words = []
    for line in out.splitlines():
        r = dict(zip(FIELDS, line.split("\t")))
        if not r["udp.srcport"] and not r["tcp.srcport"] or r["icmp.type"]:
            words.append("icmp" if r["icmp.type"] else "?")
            continue
        side = "S" if "443" in (r["udp.srcport"], r["tcp.srcport"]) else "C"
        if not r["udp.srcport"]:
            words.append(side + ":tcp")
            continue
        kinds = [{"0": "I", "1": "0", "2": "H", "3": "R"}.get(k, k) for k in r["quic.long.packet_type"].split(",") if k]
        if r["quic.supported_version"]:
            kinds = ["VN"]
        if "0" in r["quic.header_form"] and "False" not in r["quic.header_form"]:
            kinds.append("1")
        said = "".join({"1": "ch", "2": "sh"}.get(t, "") for t in r["tls.handshake.type"].split(","))
        closed = f"cc{r['quic.cc.error_code']}" if r["quic.cc.error_code"] else ""
        words.append(f"{side}:{''.join(kinds)}{'/' + said if said else ''}{'/' + closed if closed else ''}")
    return words


def make(r):
    lab = Lab()
    pcap = WORK / "run.pcap"
    for old in (pcap, KEYS):
        old.unlink(missing_ok=True)
    clients = r["client"] if isinstance(r["client"], list) else [r["client"]]
    ended = []
    try:
        for rule in r["rules"]:
            sh(f"ip netns exec {lab.name}s {rule}")
        running = [lab.start(one) for one in (*r["beside"], r["server"]) if one]
        late = None
        if r["late"]:
            late = subprocess.Popen(lab.argv("c", clients[0].cmd), cwd=WORK, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
            time.sleep(r["late"])
        lab.capture(pcap, r["at"])
        for n, one in enumerate(clients):
            if late and n == 0:
                late.wait(30)
                continue
            ended.append(lab.run_to(one, r["exit"], r["says"], running))
            lab.quiet(0.3)
        lab.quiet(1.0)
        if r["goes_on"]:
            lab.go_on()
        for p in running:
            lab.stop(p)
        lab.end_capture()
    finally:
        lab.close()
    words = packets(pcap)
    if r["wire"] and not re.search(r["wire"], " ".join(words)):
        raise AssertionError(f"wanted {r['wire']!r} on the wire, got {' '.join(words)}")
    if r["keys"]:
        lines = [line for line in KEYS.read_text().splitlines() if "HANDSHAKE_TRAFFIC" in line]      # never those of data
        KEYS.write_text("\n".join(dict.fromkeys(lines)) + "\n")
    keep(pcap, target_of(r), r["keys"])
    first = [n + 1 for n, w in enumerate(words) if re.search("/(ch|sh)|cc|:R|VN|icmp", w)]
    look = sorted(set(first[:6] + [n + 1 for n, w in enumerate(words) if re.search("cc|icmp", w)][:2])) or [1, 2]
    programs = [one for one in (r["server"], *r["beside"], *clients) if one]
    followed = clients[bool(late):]
    label(r, "quic.py", programs, told(followed, ended, [r["says"]] * len(followed)), look, r["attempts"])
    print(f"{r['name']}  {target_of(r).stat().st_size} B  {' '.join(words)[:300]}", flush=True)


def failed(cause, reason, side, visible, **more):
    return dict(outcome="failed", cause=cause, reason=reason, side=side, visible=visible, **more)


good, SECRETS = leaf("good"), f"secrets={KEYS}"
expired = leaf("expired", days=(-100, -10))
itself = leaf("self-signed", None)
stranger = leaf("stranger", authority("stray", "Unrelated CA", None))
misnamed = leaf("other", subject="intranet.example.test", names=("intranet.example.test",))
ANSWERED = "answered over QUIC"
FINE = r"C:.*I/ch.* S:.*/sh.*C:[^ ]*1"

if AIOQUIC:
    row("none/quic-v1-aioquic", server(good), client(), 0, ANSWERED, [done], "QUIC version 1", FINE)
    row("none/quic-v2-aioquic", server(good, "versions=2"), client("versions=2"), 0, ANSWERED, [done], "QUIC version 2 (RFC 9369) from the first packet on")
    row("none/quic-retry-aioquic", server(good, "retry"), client(), 0, ANSWERED, [done], "the server asks for the address to be confirmed by a Retry packet", r"C:I/ch S:R C:I")
    row("none/quic-version-negotiation-aioquic", server(good), client("versions=reserved,1"), 0, ANSWERED, [done], "the client begins with a reserved version, the server lists its own, the client begins anew", "S:VN")
    row("none/quic-early-data-aioquic", server(good, "tickets"), client("resume"), 0, ANSWERED, [done, dict(outcome="resumed")], "two connections; the second resumes the first with early data", "C:I*0")
    row("none/quic-new-connection-id-aioquic", server(good), client("new-id"), 0, ANSWERED, [done], "the client goes on with another connection ID", FINE)
    row("none/quic-rebound-port-aioquic", server(good), client("rebind"), 0, ANSWERED, [done], "the client goes on from another port, as behind a translator that forgot it", FINE)
    row("none/quic-begun-before-the-capture-aioquic", server(good), [client("new-id"), client()], 0, ANSWERED, [done], "the capture begins behind the first connection's first packets, and shows a second one whole", late=0.9)
    row("none/quic-left-at-once-aioquic", server(good), client("leave"), 0, ANSWERED, [dict(outcome="completed", also_outcome=["abandoned"])], "the client connects and leaves without a request")
    row("expired_cert/quic-aioquic", server(expired), client(), 1, "Certificate is no longer valid", [failed("expired_cert", "leaf_expired", "server", False)], "the leaf's notAfter was ten days before the run; the client's CONNECTION_CLOSE is in a Handshake packet")
    row("expired_cert/quic-keys-aioquic", server(expired), client(SECRETS), 1, "Certificate is no longer valid", [failed("expired_cert", "leaf_expired", "server", True)],
        "the leaf's notAfter was ten days before the run; the secrets of the handshake are in the file", keys=True)
    row("broken_chain/quic-self-signed-aioquic", server(itself), client(), 1, "self", [failed("broken_chain", "self_signed", "server", False)], "a certificate that signs itself")
    row("broken_chain/quic-self-signed-keys-aioquic", server(itself), client(SECRETS), 1, "self", [failed("broken_chain", "self_signed", "server", True)], "a certificate that signs itself; the secrets of the handshake are in the file", keys=True)
    row("broken_chain/quic-unknown-root-v2-aioquic", server(stranger, "versions=2"), client("versions=2"), 1, "unable to get", [failed("broken_chain", "unknown_root", "server", False)], "a root that the client does not know, over QUIC version 2")
    row("name_mismatch/quic-aioquic", server(misnamed), client(), 1, "doesn't match", [failed("name_mismatch", "san_mismatch", "server", False)], "the certificate names another host")
    row("name_mismatch/quic-keys-v2-aioquic", server(misnamed, "versions=2"), client("versions=2", SECRETS), 1, "doesn't match", [failed("name_mismatch", "san_mismatch", "server", True)],
        "the certificate names another host, over QUIC version 2; the secrets of the handshake are in the file", keys=True)
    row("protocol_version/quic-alpn-aioquic", server(good, "alpn=hq-interop"), client("alpn=h3"), 1, "no answer", [failed("protocol_version", "alpn", "server", True)],
        "the client offers h3 only, the server has hq-interop only", "S:[^ ]*cc")
    row("protocol_version/quic-version-aioquic", server(good, "versions=2"), client("versions=1"), 1, "no answer", [failed("protocol_version", "version", "server", True)],
        "the client speaks version 1 only, the server version 2 only: it lists that", "S:VN")
    block = ["iptables -I INPUT -p udp --dport 443 -j DROP"]
    row("firewall/quic-dropped-fallback-tcp", server(good), client("fallback", "wait=4"), 0, "answered over TCP",
        [failed("firewall", "dropped_after_hello", P, True), done], "the server's host drops UDP 443; the client falls back to TCP after four seconds", "C:I/ch C:I.* C:tcp", rules=block, beside=[nginx_cert(good)])
    row("firewall/quic-prohibited-fallback-tcp", server(good), client("fallback", "wait=4"), 0, "answered over TCP",
        [failed("firewall", "icmp_prohibited", P, True), done], "UDP 443 is rejected with ICMP administratively prohibited; the client falls back to TCP", "icmp.*C:tcp",
        rules=["iptables -I INPUT -p udp --dport 443 -j REJECT --reject-with icmp-admin-prohibited"], beside=[nginx_cert(good)])
    row("firewall/quic-port-closed-fallback-tcp", None, client("fallback", "wait=4"), 0, "answered over TCP",
        [failed("firewall", "port_closed", "server", True, also=["firewall"]), done], "nobody listens on UDP 443: the server's host says so by ICMP; the client falls back to TCP", "icmp.*C:tcp", beside=[nginx_cert(good)])
    row("firewall/quic-dropped-no-fallback", server(good), client("wait=5"), 1, "no answer", [failed("firewall", "dropped_after_hello", P, False)], "the server's host drops UDP 443; the client gives up after five seconds", rules=block)
if AIOQUIC and CHROMIUM:
    row("none/quic-v1-chromium", server(good), browser(), 0, "hello", [done], "Chromium, made to speak QUIC from the first packet on", FINE)
    for name, folder, cert, reason, error in (("expired", "expired_cert", expired, "leaf_expired", "ERR_CERT_DATE_INVALID"), ("unknown-root", "broken_chain", stranger, "unknown_root", "ERR_CERT_AUTHORITY_INVALID"),
                                              ("other-name", "name_mismatch", misnamed, "san_mismatch", "ERR_CERT_COMMON_NAME_INVALID")):
        row(f"{folder}/quic-{name}-chromium", server(cert), browser(), 0, "", [failed(folder, reason, "server", False)], f"Chromium over QUIC meets a certificate at fault: {error}")


if __name__ == "__main__":
    if not AIOQUIC:
        print("no aioquic: QUIC is left out")
    main(ROWS, make)
