#!/usr/bin/env python3
"""QUIC: handshakes that succeed, are rejected, refused or never answered, by aioquic and Chromium. Needs aioquic (PyPI) in the state folder."""
import json, os, re, shutil, signal, subprocess, sys, time
from pathlib import Path
from lab import Client, Lab, OUT, PROGRAMS, WORK, Server, quote, sh
from pki import STATE, TRUST, authority, leaf
from stacks import CHROMIUM, HOST, chromium, nginx_cert, version

PY = STATE / "quic/bin/python"
AIOQUIC = "aioquic " + version(f"{PY} -c 'import aioquic; print(aioquic.__version__)' 2>/dev/null") if PY.exists() else ""
FIELDS = "frame.number udp.srcport udp.dstport tcp.srcport tcp.flags.syn quic.long.packet_type quic.header_form quic.version tls.handshake.type quic.cc.error_code quic.supported_version icmp.type".split()
ROWS = []
done, P = dict(outcome="completed"), "path"


def server(cert, *words):
    return Server([PY, PROGRAMS / "quic.py", "server", cert.chain, cert.key, *words], AIOQUIC)


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
                     keys=keys, beside=beside, late=late, software=software,
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


def target_of(r):
    return OUT / (r["name"] + (".pcapng" if r["keys"] else ".pcap"))


def make(r):
    lab = Lab()
    pcap, secrets = WORK / "run.pcap", WORK / "secrets.log"
    pcap.unlink(missing_ok=True)
    secrets.unlink(missing_ok=True)
    clients = r["client"] if isinstance(r["client"], list) else [r["client"]]
    said = []
    try:
        for rule in r["rules"]:
            sh(f"ip netns exec {lab.name}s {rule}")
        running = []
        for one in [*r["beside"], r["server"]]:
            if one is None:
                continue
            if "quic.py" in str(one.cmd):
                p = lab.spawn("s", one.cmd, one.env)
                for _ in range(200):
                    if subprocess.run(lab.argv("s", ["ss", "-Hlun", "sport = :443"]), capture_output=True).stdout:
                        break
                    time.sleep(0.05)
                    if p.poll() is not None:
                        raise RuntimeError(lab.said(p))
            else:
                p = lab.start(one)
            running.append(p)
        late = None
        if r["late"]:
            late = subprocess.Popen(lab.argv("c", clients[0].cmd), cwd=WORK, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
            time.sleep(r["late"])
        lab.capture(pcap, r["at"])
        for n, one in enumerate(clients):
            if late and n == 0:
                late.wait(30)
                continue
            got, out = lab.run("c", one)
            said.append(f"{one.version} exits {got}" + (f" with '{r['says']}'" if r["says"] else ""))
            if got not in (r["exit"] if isinstance(r["exit"], tuple) else (r["exit"],)) or r["says"] not in out:
                raise AssertionError(f"exit {got}, wanted {r['exit']} and {r['says']!r}; printed:\n{out[-1500:]}\n" + "\n".join(lab.said(p)[-1500:] for p in running))
            lab.quiet(0.3)
        lab.quiet(1.0)
        if r["goes_on"]:                                  # so that silence shows: the capture goes on behind it
            time.sleep(5)
            sh(f"ip netns exec {lab.name}c bash -c 'echo > /dev/udp/198.51.100.30/9'")
            lab.quiet(0.5)
        for p in running:
            lab.stop(p)
        lab.end_capture()
    finally:
        lab.close()
    words = packets(pcap)
    if r["wire"] and not re.search(r["wire"], " ".join(words)):
        raise AssertionError(f"wanted {r['wire']!r} on the wire, got {' '.join(words)}")
    target = target_of(r)
    target.parent.mkdir(parents=True, exist_ok=True)
    if r["keys"]:
        lines = [line for line in secrets.read_text().splitlines() if "HANDSHAKE_TRAFFIC" in line]   # never those of data
        secrets.write_text("\n".join(dict.fromkeys(lines)) + "\n")
        sh(f"editcap -F pcapng --inject-secrets tls,{secrets} {pcap} {target}")
    else:
        shutil.copyfile(pcap, target)
    if target.stat().st_size > 50_000:
        raise AssertionError(f"{target.stat().st_size} bytes")
    first = [n + 1 for n, w in enumerate(words) if re.search("/(ch|sh)|cc|:R|VN|icmp", w)]
    look = sorted(set(first[:6] + [n + 1 for n, w in enumerate(words) if re.search("cc|icmp", w)][:2])) or [1, 2]
    software = list(dict.fromkeys(s for s in [r["server"].version if r["server"] else "", *(b.version for b in r["beside"]), *(c.version for c in clients), r["software"]] if s))
    text = [f"made_by = {quote('make/quic.py; ' + ', '.join(software))}", f"why = {quote(r['why'] + '; ' + '; '.join(dict.fromkeys(said)))}", f"look_at = {look}", 'trust = "lab"']
    for a in r["attempts"]:
        text += ["", "[[attempt]]"]
        text += [f"{k} = {str(v).lower() if isinstance(v, bool) else v if isinstance(v, list) else quote(v)}" for k, v in a.items()]
    target.with_suffix(".toml").write_text("\n".join(text) + "\n")
    print(f"{r['name']}  {target.stat().st_size} B  {' '.join(words)[:300]}", flush=True)


def failed(cause, reason, side, visible, **more):
    return dict(outcome="failed", cause=cause, reason=reason, side=side, visible=visible, **more)


good, SECRETS = leaf("good"), f"secrets={WORK}/secrets.log"
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


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("--")]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bad = 0
    if not AIOQUIC:
        print("no aioquic: QUIC is left out")
    for r in ROWS:
        if words and not any(w in r["name"] for w in words) or target_of(r).exists() and "--again" not in sys.argv:
            continue
        for last in (False, True):
            try:
                make(r)
                break
            except Exception as e:
                if last:
                    bad += 1
                    print(f"NOT MADE {r['name']}: {str(e)[:1500]}", flush=True)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
