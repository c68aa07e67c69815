"""Several connections in one capture, of which the path spares some: by name, by client, by size, by whom it lets itself be read.
Each run is recorded on both sides of the gateway."""

import time

import net
from net import NAME, WEB, WEB6
from network_both_firewall import BY_NAME, HELLO, RST, SYN, SYNACK
from network_stacks import ask, client, named, server
from scenes import both, completed, failed

MAIL = "mail.example.test"
TWO = {NAME: WEB, MAIL: WEB}
TWO6 = {NAME: WEB6, MAIL: WEB6}


def in_turn(*lines):
    """Clients one after another; each is (namespace, command line)."""
    def run(lab):
        said = []
        for space, line in lines:
            said.append(ask(lab, line, space).split(":")[0])
            time.sleep(0.4)
        return " ".join(said)
    return run


def pattern(*fine):
    return "^" + " ".join("exit 0" if ok else r"exit (?!0)\d+" for ok in fine) + "$"


def spared(name, why, lines, bad, outside_bad, at="gateway", outside=None, **more):
    """`bad` tells the failed attempt of each line, or None; the attempts outside, unless given, are all lines'."""
    seen = [one or completed() for one in bad]
    told = []
    for one in bad:
        told.append(completed() if one is None else failed(one.cause, one.reason, one.side, True, one.also, where=at))
    return both(f"firewall/{name}", in_turn(*lines), pattern(*(one is None for one in bad)), why, seen,
                outside if outside is not None else [outside_bad if one else completed() for one in bad], told, **more)


def name_rows():
    """The same name fails every time, another at the same address never."""
    cut = failed("firewall", "reset_after_hello")
    unseen = failed("firewall", "reset_after_hello", visible=False, also=["nat_drop"])
    gone = failed("firewall", "dropped_after_hello", visible=False, also=["nat_drop"])
    insecure = {"curl": "-k", "go": "no-verify", "node": "no-verify", "openssl4": "no-verify", "gnutls": "--insecure", "wget": "--no-check-certificate"}
    for name, soft, kind, tls, rtt, hops, six, reply in (
            ("reset-curl", "curl", "nginx", None, 20, 0, False, True), ("reset-go-far", "go", "haproxy", None, 250, 3, False, True),
            ("reset-node-v6", "node", "apache", "1.2", 20, 1, True, True), ("dropped-curl", "curl", "nginx", None, 20, 0, False, False),
            ("dropped-gnutls", "gnutls", "haproxy", "1.2", 100, 1, False, False), ("dropped-openssl4-v6", "openssl4", "nginx", None, 20, 0, True, False)):
        let = ("cn-client", client(soft, tls, name=MAIL, more=insecure[soft]))
        barred = ("cn-client", client(soft, tls, seconds=5))
        yield spared(f"name-barred-{name}", f"{NAME} is {'reset' if reply else 'dropped'} by the gateway at each of three tries, {MAIL} at the same "
                     "address passes each time (its certificate is not asked about)", [let, barred] * 3, [None, cut if reply else gone] * 3,
                     unseen if reply else gone, server=_ruled(server(kind), f"{'ip6tables' if six else 'iptables'} -A FORWARD {BY_NAME} "
                                                              + ("-j REJECT --reject-with tcp-reset" if reply else "-j DROP")),
                     net={"delay_ms": rtt / 2, "hops": hops, "v6": six}, hosts=TWO6 if six else TWO, look=((HELLO,) + ((RST,) if reply else ()), (SYNACK,)),
                     tools=f"iptables, {named(kind, soft)}")


def _ruled(start, *commands):
    def run(lab):
        start(lab)
        for command in commands:
            lab.on("cn-gw", command)
    return run


def client_rows():
    """One inside host may, the other may not."""
    barred = "iptables -A FORWARD -s 192.168.10.3 -p tcp --dport 443"
    for name, soft, rtt, rule, reason, look in (
            ("syn-reset-curl", "curl", 20, f"{barred} --syn -j REJECT --reject-with tcp-reset", "syn_reset", RST),
            ("syn-reset-go", "go", 100, f"{barred} --syn -j REJECT --reject-with tcp-reset", "syn_reset", RST),
            ("syn-dropped-wget", "wget", 20, f"{barred} --syn -j DROP", "syn_dropped", SYN),
            ("icmp-gnutls", "gnutls", 100, f"{barred} -j REJECT --reject-with icmp-admin-prohibited", "icmp_prohibited", "icmp.type == 3"),
            ("hello-reset-python", "python", 250, f"{barred} -m string --algo bm --string {NAME} -j REJECT --reject-with tcp-reset", "reset_after_hello", RST)):
        also = {"syn_reset": ["storage_permission"], "syn_dropped": ["nat_drop"]}.get(reason, [])
        no = failed("firewall", reason, also=also)
        before = reason == "reset_after_hello"
        outside = [completed(), failed("firewall", reason, visible=False, also=["nat_drop"])] * 2 if before else [completed()] * 2
        yield spared(f"client-barred-{name}", f"192.168.10.3 is turned away by the gateway ({reason}), 192.168.10.2 is let through to the same port; each twice",
                     [("cn-client", client(soft)), ("cn-other", client(soft, seconds=5))] * 2, [None, no] * 2, None, outside=outside,
                     server=server("nginx"), gateway=[rule], net={"delay_ms": rtt / 2, "other": True}, hosts=TWO, look=((HELLO, look), (HELLO,)),
                     tools=f"iptables, nginx, {named(soft)}")


def size_rows():
    """The post-quantum ClientHello fails, the small one to the same name passes."""
    for name, small, kind, rtt, hops, six, rule, reason, reset in (
            ("hole-curl", "curl", "nginx", 20, 0, False, "-p tcp -m length --length 1401:65535 -j DROP", "mtu_black_hole", False),
            ("hole-go-far", "go", "haproxy", 250, 3, False, "-p tcp -m length --length 1301:65535 -j DROP", "mtu_black_hole", False),
            ("hole-gnutls-v6", "gnutls", "apache", 100, 1, True, "-p tcp -m length --length 1401:65535 -j DROP", "mtu_black_hole", False),
            ("filter-curl", "curl", "nginx", 20, 0, False, "-p tcp --dport 443 -m length --length 901:65535 -j REJECT --reject-with tcp-reset", "reset_after_hello", True),
            ("filter-python-v6", "python", "haproxy", 100, 0, True, "-p tcp --dport 443 -m length --length 901:65535 -j REJECT --reject-with tcp-reset", "reset_after_hello", True)):
        no = failed("firewall", reason, also=["protocol_version"] if reset else [])
        lines = [("cn-client", client(small)), ("cn-client", client("openssl4", seconds=6))] * 2
        yield spared(f"size-{name}", f"segments over {'900' if reset else '1300'} bytes or more are {'reset' if reset else 'dropped'} on their way to the "
                     "server: the post-quantum ClientHello fails, the small one to the same name passes; each twice", lines, [None, no] * 2,
                     failed("firewall", reason, visible=False, also=["nat_drop", "protocol_version"]),
                     server=_ruled(server(kind), f"{'ip6tables' if six else 'iptables'} -A FORWARD -i in0 {rule}"),
                     net={"delay_ms": rtt / 2, "hops": hops, "v6": six}, hosts=TWO6 if six else TWO,
                     look=((HELLO, RST if reset else "tcp.len > 1200"), (HELLO, SYNACK)), tools=f"iptables, {named(kind, small, 'openssl4')}")


ISSUERS = {  # subjects as the products' default authorities have them
    "fortigate": (("C", "US"), ("ST", "California"), ("L", "Sunnyvale"), ("O", "Fortinet"), ("OU", "Certificate Authority"), ("CN", "FortiGate CA")),
    "zscaler": (("C", "US"), ("ST", "California"), ("O", "Zscaler Inc."), ("OU", "Zscaler Inc."), ("CN", "Zscaler Intermediate Root CA (zscalertwo.net)")),
    "sophos": (("C", "GB"), ("O", "Sophos"), ("CN", "Sophos SSL CA_C01001A2B3C4D5E")),
    "proxy": (("O", "Example Networks"), ("CN", "Example Networks Inspection CA")),
}


def intercepting(product, only="192.168.10.3", tls="1.2 1.3", start=None):
    """mitmproxy on the gateway takes the connections of one inside host, with an authority of this name."""
    def run(lab):
        (start or server("nginx", tls))(lab)
        folder = lab.work / "mitm"
        folder.mkdir()
        subject = "".join(f"/{key}={value}" for key, value in ISSUERS[product])
        net.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", subject, "-addext",
                 "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", folder / "key.pem", "-out", folder / "ca.pem"])
        (folder / "mitmproxy-ca.pem").write_text((folder / "key.pem").read_text() + (folder / "ca.pem").read_text())
        lab.on("cn-gw", f"iptables -t nat -A PREROUTING -i in0 -s {only} -p tcp --dport 443 -j REDIRECT --to-ports 8443")
        lab.spawn("cn-gw", [net.STATE / "mitm/bin/mitmdump", "-q", "--mode", "transparent", "--listen-port", "8443", "--set", f"confdir={folder}",
                            "--set", f"ssl_verify_upstream_trusted_ca={net.ROOT}"])
        net.until(lambda: _listens(lab, 8443), 20)
        lab.on("cn-gw", "conntrack -F", ok=False)
        lab.authority = folder / "ca.pem"
    return run


def _listens(lab, port):
    with net.inside("cn-gw"), net.socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def trusting(soft, tls):
    """The intercepted client, once as it is and once with the interceptor's authority among its roots."""
    def run(lab):
        said = []
        for space, root in (("cn-client", None), ("cn-other", None), ("cn-client", None), ("cn-other", lab.authority)):
            line = client(soft, tls)
            if root:
                line = [*line[:2], line[2].replace(str(net.ROOT), str(root))]
            said.append(ask(lab, line, space).split(":")[0])
            time.sleep(0.5)
        return " ".join(said)
    return run


def time_rows():
    """The same client, name and server: first it works, then a rule is added."""
    for name, soft, kind, rtt, rule, reason, look in (
            ("sni-reset", "curl", "nginx", 20, f"{BY_NAME} -j REJECT --reject-with tcp-reset", "reset_after_hello", RST),
            ("sni-dropped", "go", "haproxy", 100, f"{BY_NAME} -j DROP", "dropped_after_hello", HELLO),
            ("syn-dropped", "wget", "nginx", 20, f"-p tcp -d {WEB} --dport 443 --syn -j DROP", "syn_dropped", SYN),
            ("icmp", "python", "apache", 100, f"-p tcp -d {WEB} --dport 443 -j REJECT --reject-with icmp-admin-prohibited", "icmp_prohibited", "icmp.type == 3")):
        def run(lab, soft=soft, rule=rule):
            said = [ask(lab, client(soft)).split(":")[0] for _ in range(2)]
            lab.on("cn-gw", f"iptables -I FORWARD {rule}")
            time.sleep(1)
            return " ".join(said + [ask(lab, client(soft, seconds=5)).split(":")[0] for _ in range(2)])
        silent = reason in ("dropped_after_hello", "syn_dropped")
        no = lambda at="", reason=reason, silent=silent: failed("firewall", reason, visible=bool(at) or not silent, also=["nat_drop"] if silent else [], where=at)
        hello = "hello" in reason
        yield both(f"firewall/rule-added-{name}", run, pattern(True, True, False, False), f"two connections work, then the gateway gets a rule ({reason}), and the "
                   "same client fails twice at the same name and address", [completed()] * 2 + [no()] * 2,
                   [completed()] * 2 + ([failed("firewall", reason, visible=False, also=["nat_drop"])] * 2 if hello else []),
                   [completed()] * 2 + [no("gateway")] * 2, look=((HELLO, look), (HELLO,)), server=server(kind), net={"delay_ms": rtt / 2}, hosts=TWO,
                   tools=f"iptables, {named(kind, soft)}")


def limit_rows():
    """So many connections at once, and no more."""
    for name, rule, reason, rtt in (("reset", "REJECT --reject-with tcp-reset", "syn_reset", 20), ("dropped", "DROP", "syn_dropped", 100)):
        def run(lab):
            held = [net.start_tls(lab.connect()) for _ in range(3)]
            said = ["ok" if not error else error for _, error in held]
            said.append(ask(lab, client("curl", seconds=5)).split(":")[0])
            for sock, error in held:
                said.append(net.with_tls(sock, error))
            time.sleep(0.5)
            said.append(ask(lab, client("curl", seconds=5)).split(":")[0])
            return " ".join(said)
        no = lambda at="", reason=reason: failed("firewall", reason, visible=bool(at) and reason == "syn_reset",
                                                 also=["storage_permission" if reason == "syn_reset" else "nat_drop"], where=at)
        yield both(f"firewall/limit-{name}", run, r"^ok ok ok exit (?!0)\d+ ok ok ok exit 0$", f"the gateway lets a client have three connections to the server at once; "
                   f"the fourth's SYN is {'reset' if reason == 'syn_reset' else 'dropped'}; when the three are closed the next one works",
                   [completed()] * 3 + [no(), completed()], [completed()] * 4, [completed()] * 3 + [no("gateway"), completed()], look=((HELLO, SYN), (HELLO,)),
                   gateway=[f"iptables -A FORWARD -p tcp --syn --dport 443 -m connlimit --connlimit-above 3 -j {rule}"], net={"delay_ms": rtt / 2}, hosts=TWO,
                   tools="iptables, nginx, Python, curl")


def crowd_rows():
    """One failure among many sound connections of two hosts and several clients."""
    for name, target, reason in (("reset", "REJECT --reject-with tcp-reset", "reset_after_hello"), ("dropped", "DROP", "dropped_after_hello")):
        more = {"curl": "-k", "go": "no-verify", "node": "no-verify"}
        fine = [(space, client(soft, name=MAIL, more=more[soft])) for space in ("cn-client", "cn-other") for soft in ("curl", "go", "node")]
        lines = fine[:4] + [("cn-client", client("curl", seconds=5))] + fine[4:]
        no = failed("firewall", reason, visible=target != "DROP", also=["nat_drop"] if target == "DROP" else [])
        yield spared(f"among-many-{name}", f"{NAME} is {'reset' if target != 'DROP' else 'dropped'} by the gateway once, among six sound connections of two hosts to "
                     f"{MAIL} at the same address", lines, [None] * 4 + [no] + [None] * 2, failed("firewall", reason, visible=False, also=["nat_drop"]),
                     server=_ruled(server("nginx"), f"iptables -A FORWARD {BY_NAME} -j {target}"), net={"delay_ms": 10, "other": True}, hosts=TWO,
                     look=((HELLO,), (HELLO,)), tools="iptables, nginx, curl, Go, Node.js")


def interception_rows():
    """Two inside hosts, one of them intercepted: one address shows certificates of different issuers."""
    for name, product, soft, tls, rtt, hops in (
            ("fortigate-curl", "fortigate", "curl", "1.2", 20, 0), ("zscaler-python", "zscaler", "python", "1.2", 100, 1),
            ("sophos-go", "sophos", "go", "1.2", 20, 3), ("proxy-wget", "proxy", "wget", "1.2", 250, 0),
            ("fortigate-curl-tls13", "fortigate", "curl", "1.3", 20, 0), ("zscaler-node-tls13", "zscaler", "node", "1.3", 100, 0)):
        clear = tls == "1.2"
        taken = lambda at="": failed("firewall", "intercepted", visible=clear, also=["broken_chain"], where=at)
        yield both(f"firewall/intercepted-{name}", trusting(soft, tls), pattern(True, False, True, True),
                   f"the gateway takes the connections of 192.168.10.3 and shows a certificate by \"{ISSUERS[product][-1][1]}\"; 192.168.10.2 gets the "
                   "server's own. The fourth connection trusts that authority. Outside are the proxy's own connections to the server",
                   [completed(), taken(), completed(), completed()], [completed(also_outcome=("abandoned",))] * 4,
                   [completed(), taken("gateway"), completed(also_outcome=("abandoned",)), completed(), completed(), completed()],
                   look=((HELLO,) + (("tls.handshake.type == 11",) if clear else ()), (HELLO,)), server=intercepting(product), net={"delay_ms": rtt / 2, "hops": hops, "other": True},
                   hosts=TWO, tools=f"mitmproxy, iptables, nginx, {named(soft)}", settle=1)


SCENES = [*name_rows(), *client_rows(), *size_rows(), *time_rows(), *limit_rows(), *crowd_rows(), *interception_rows()]
