"""The network's own causes at a gateway in use: other traffic crosses it before, while and after a connection fails, so that both
captures show that they still ran, and the gateway that it still worked."""

import sys
import threading
import time

import net
from net import NAME, NAT, WEB, WEB6
from network_both_firewall import AT_SERVER, BY_NAME, FAILS, FOUR, GATE, HELLO, RST, SIX, SYN, SYNACK, UNREACHABLE, ruled
from network_both_nat import DROP_INVALID, ESTABLISHED, FLUSH, RESET_INVALID, SNAT, STRICT, forgets_under_reply, lost
from network_stacks import ask, client, named, server
from scenes import begin_late, both, completed, failed

OTHER_WAY = ("192.0.2.1", "192.0.2.2")  # the server's second link, and the router at its other end


def busy(name, line, expect, why, *views, start=None, every=1.5, upload=False, six=False, **more):
    return both(name, line, expect, why, *views, server=start or server("nginx"), neighbours={"every": every, "upload": upload, "six": six}, **more)


def filtered(name, soft, kind, rtt, hops, six, rule, expect, why, views, look, tls="1.2 1.3", leaf="www", seconds=6, tools="", upload=False, more_rules=(), **more):
    """A rule on the gateway's FORWARD chain."""
    start = ruled(server(kind, tls, leaf), GATE, rule, six)

    def started(lab):
        start(lab)
        for space, command in more_rules:
            lab.on(space, command)
    return busy(f"firewall/busy-{name}", client(soft, tls if tls == "1.2" else None, seconds=seconds), expect, why, *views, upload=upload, six=six and upload,
                start=started, look=look, net={"delay_ms": rtt / 2, "hops": hops, "v6": six}, hosts=SIX if six else FOUR,
                tools=f"{'ip6tables' if six else 'iptables'}, {named(kind, soft)}{tools}", **more)


def syn_rows():
    for name, soft, rtt, hops, six in (("curl", "curl", 20, 0, False), ("wget-v6", "wget", 100, 1, True), ("go-far", "go", 250, 3, False),
                                       ("python", "python", 5, 0, False)):
        gone = lambda at="": failed("firewall", "syn_dropped", visible=bool(at), also=() if at else ("nat_drop",), where=at)
        yield filtered(f"syn-dropped-{name}", soft, "nginx", rtt, hops, six, f"-p tcp -d {WEB6 if six else WEB} --dport 443 --syn -j DROP", FAILS,
                       "the gateway drops every SYN to the address and port", (gone(), [], gone("gateway")), ((SYN,), (SYN,)))
    for name, soft, rtt, six, reply in (("net-unreachable", "go", 100, False, "icmp-net-unreachable"), ("host-unreachable", "curl", 20, False, "icmp-host-unreachable")):
        no = lambda at="": failed("firewall", "icmp_prohibited", where=at)
        yield filtered(f"icmp-{name}", soft, "nginx", rtt, 0, six, f"-p tcp -d {WEB} --dport 443 -j REJECT --reject-with {reply}", FAILS,
                       f"the gateway answers the SYN with ICMP ({reply}); the same address is reached on another port", (no(), [], no("gateway")),
                       ((SYN, UNREACHABLE), (SYN,)))


def hello_rows():
    gone = lambda at="": failed("firewall", "dropped_after_hello", visible=bool(at), also=() if at else ("nat_drop",), where=at)
    for name, soft, kind, tls, rtt, hops, six in (("curl", "curl", "nginx", "1.2 1.3", 20, 0, False), ("go-far", "go", "haproxy", "1.2 1.3", 250, 3, False),
                                                  ("gnutls-v6", "gnutls", "apache", "1.2", 100, 1, True), ("s-client", "s_client", "nginx", "1.2 1.3", 5, 0, False),
                                                  ("node", "node", "haproxy", "1.2", 20, 1, False)):
        yield filtered(f"sni-dropped-{name}", soft, kind, rtt, hops, six, f"{BY_NAME} -j DROP", FAILS, "the gateway drops each ClientHello that names the host",
                       (gone(), gone(), gone("gateway")), ((SYNACK, HELLO), (SYNACK,)), tls=tls)
    by_bytes = "-i out0 -p tcp --sport 443 -m string --algo bm --string example.test"
    for name, soft, kind, rtt, hops, six, reply in (("reset-gnutls", "gnutls", "apache", 100, 1, False, "tcp-reset"), ("reset-go", "go", "haproxy", 5, 3, False, "tcp-reset"),
                                                    ("dropped-curl", "curl", "haproxy", 20, 1, False, ""), ("dropped-python", "python", "apache", 100, 0, False, ""),
                                                    ("dropped-wget-v6", "wget", "nginx", 250, 3, True, "")):
        by = lambda at="", visible=False: failed("firewall", "reset_after_hello" if reply else "dropped_after_hello", visible=visible, also=() if at else ("nat_drop",), where=at)
        yield filtered(f"certificate-{name}", soft, kind, rtt, hops, six, by_bytes + (f" -j REJECT --reject-with {reply}" if reply else " -j DROP"), FAILS,
                       "the gateway " + ("answers the server's segment with a reset in the client's name" if reply else "drops the server's segment") +
                       " when it holds a certificate of the forbidden name", (by(), by(visible=bool(reply)), by("gateway", True)),
                       ((HELLO,), (HELLO, f"{AT_SERVER} && tcp.len > 0") + ((RST,) if reply else ())), tls="1.2", seconds=8)


def late_rows():
    """The inner capture begins when the connection is set up already: the outer one alone has its SYN."""
    def hello_late(lab):
        sock = lab.connect(timeout=6)
        begin_late(lab)
        time.sleep(1)
        return net.start_tls(sock)[1]
    for name, target, expect in (("reset", "REJECT --reject-with tcp-reset", "reset"), ("dropped", "DROP", "timed out|Timeout")):
        gone = lambda at="", more=(): failed("firewall", f"{'reset' if name == 'reset' else 'dropped'}_after_hello", visible=False, also=["nat_drop"], where=at, also_outcome=more)
        yield busy(f"firewall/busy-sni-{name}-inner-late", hello_late, expect, f"the gateway {'resets the client' if name == 'reset' else 'drops each packet'} when the ClientHello "
                   "names the host, a second after the handshake of TCP; the capture on the inside began in between", gone(more=("incomplete",)), gone(), gone("gateway"), late="inside",
                   start=ruled(server("nginx"), GATE, f"{BY_NAME} -j {target}"), look=((HELLO,) + ((RST,) if name == "reset" else ()), (SYNACK,)), net={"delay_ms": 10},
                   tools="iptables, nginx, Python")


def injected_rows():
    for name, style, at, soft, kind, tls, rtt, hops, six in (
            ("one-node-v6", "one", "gw", "node", "haproxy", "1.2 1.3", 20, 1, True), ("mimic-go", "mimic", "gw", "go", "haproxy", "1.2 1.3", 100, 3, False),
            ("kernel-beyond-go", "kernel", "path", "go", "haproxy", "1.2 1.3", 100, 0, False), ("mimic-beyond-python", "mimic", "path", "python", "nginx", "1.2", 100, 3, False)):
        start = server(kind, tls)
        space, links = ("cn-gw", ("in0", "out0")) if at == "gw" else ("cn-path", ("left", "right"))

        def started(lab, start=start, space=space, links=links, style=style):
            start(lab)
            lab.spawn(space, [sys.executable, net.HERE / "inject.py", NAME, *links, style], ready="ready")
        cut = lambda visible, at="", more=(): failed("firewall", "injected_reset", visible=visible, where=at, also_outcome=more)
        outer = cut(False, more=("abandoned",)) if at == "gw" and style in ("mimic", "kernel") else cut(True)
        yield busy(f"firewall/busy-injected-{name}", client(soft), FAILS, f"a box {'at' if at == 'gw' else 'beyond'} the gateway forges a reset to each side ({style}); the "
                   "ClientHello itself reaches the server", cut(True), outer, cut(True, "gateway" if at == "gw" else "server_side"), look=((HELLO, RST), (HELLO, RST)),
                   start=started, net={"delay_ms": rtt / 2, "hops": hops, "v6": six}, hosts=SIX if six else FOUR, tools=f"Python (the box), {named(kind, soft)}")


def mtu_rows():
    hole = lambda visible=True, at="", also=(): failed("firewall", "mtu_black_hole", visible=visible, also=also, where=at)
    for name, kind, rtt, hops, size, six in (("openssl4", "nginx", 20, 0, 1400, False), ("openssl4-far", "haproxy", 250, 3, 1432, False), ("openssl4-v6", "nginx", 100, 1, 1380, True)):
        yield filtered(f"mtu-up-{name}", "openssl4", kind, rtt, hops, six, f"-i in0 -p tcp -m length --length {size + 1}:65535 -j DROP", FAILS,
                       f"packets over {size} bytes vanish on their way to the server and no ICMP says so: neither the post-quantum ClientHello nor other uploads get through",
                       (hole(), hole(False, also=["nat_drop"]), hole(at="gateway")), (("tcp.len > 1200",), (SYNACK,)), seconds=8, upload=True)


def forgotten(command, again, kind="nginx"):
    """A sound connection; another one, which the gateway forgets before its ClientHello; meanwhile and then sound ones again."""
    def run(lab):
        said = [net.with_tls(*net.start_tls(lab.connect()))]
        time.sleep(0.3)
        sock = lab.connect(timeout=9)
        time.sleep(0.6)
        lab.on("cn-gw", FLUSH, ok=False)
        got = []
        late = threading.Thread(target=lambda: got.append(net.start_tls(sock)[1]))
        late.start()
        time.sleep(0.5)
        for pause in again:
            said.append(net.with_tls(*net.start_tls(lab.connect())))
            time.sleep(pause)
        late.join()
        time.sleep(1)
        return f"{' '.join(said)}: {got[0]}"
    return run


def nat_rows():
    quick = lambda: server("nginx")
    fine = completed()
    for way, reject, expect in (("silent", DROP_INVALID, "timed out|Timeout"), ("refused", RESET_INVALID, "reset|Reset")):
        for name, rule, rtt, hops in (("masquerade", None, 100, 1), ("snat", SNAT, 20, 0), ("snat-far", SNAT, 250, 3)):
            def start(lab):
                lab.web(extra="client_header_timeout 5s;")
            yield busy(f"nat_drop/busy-mapping-lost-{way}-{name}", forgotten(FLUSH, (1.5, 1.5)), f"^ok ok ok: .*({expect})",
                       f"the gateway's table was flushed before the ClientHello, which is {'dropped' if way == 'silent' else 'answered with a reset'} as invalid; connections "
                       "before and after work, and the server gives up after 5 s", [fine, lost("mapping_lost"), fine, fine], [fine, lost("mapping_lost"), fine, fine],
                       [fine, lost("mapping_lost", visible=True, at="gateway", also=()), fine, fine], look=((SYNACK, HELLO) + ((RST,) if way == "refused" else ()), (SYNACK,)),
                       gateway=[STRICT, reject] + ([rule] if rule else []), start=start, net={"delay_ms": rtt / 2, "hops": hops, "nat": not rule},
                       tools="conntrack, iptables, nginx, Python")
    for name, soft, kind in (("node", "node", "s_server"), ("wget", "wget", "haproxy")):
        line = client(soft, "1.2", seconds=8)

        def run(lab, line=line):
            said = [ask(lab, line).split(":")[0]]
            said.append(forgets_under_reply(line, 0.35)(lab).split(":")[0])
            said.append(ask(lab, line).split(":")[0])
            return " ".join(said)
        seen = lost("mapping_lost", also_outcome=("completed",))
        yield busy(f"nat_drop/busy-flushed-under-finished-{name}", run, r"^exit 0 exit (?!0)\d+ exit 0$",
                   "the gateway's table was flushed while the server's Finished (TLS 1.2) was on its way: the NAT's own address resets the server; the same client's connections "
                   "before and after work", [fine, lost("mapping_lost"), fine], [fine, seen, fine], [fine, lost("mapping_lost", visible=True, at="gateway", also=()), fine],
                   look=((HELLO, "tls.handshake.type == 2"), (f"{RST} && ip.src == {NAT}",)), gateway=[STRICT, DROP_INVALID], start=server(kind, "1.2"),
                   net={"delay_ms": 125}, hosts=FOUR, tools=f"conntrack, iptables, {named(kind, soft)}")


SHORT = [f"sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_{state}=1" for state in ("time_wait", "close", "last_ack", "close_wait", "fin_wait")]


def churning(count, line):
    """So many connections use the NAT's ports one after another; then they hold them all, and a real client finds none; then they
    are freed, and it finds one."""
    def run(lab):
        said = []
        for _ in range(count + 1):
            said.append(net.with_tls(*net.start_tls(lab.connect())))
            time.sleep(1.6)
        held = []
        for _ in range(count):
            held.append(net.start_tls(lab.connect()))
            time.sleep(0.1)
        said.append(ask(lab, line).split(":")[0])
        for sock, error in held:
            said.append(net.with_tls(sock, error))
        time.sleep(2)
        said.append(ask(lab, line).split(":")[0])
        return " ".join(said)
    return run


def port_rows():
    for name, soft, ports, rtt, rule in (("two-curl", "curl", 2, 20, "iptables -t nat -A POSTROUTING -p tcp -o out0 -j MASQUERADE --to-ports 40000-40001"),
                                         ("four-go", "go", 4, 100, f"{SNAT}:40000-40003"), ("three-wget", "wget", 3, 250, f"{SNAT}:50000-50002")):
        fine, full = completed(), lambda at="": lost("port_exhausted", visible=bool(at), at=at, also=() if at else ("firewall",))
        before, after = [fine] * (2 * ports + 1), [fine]
        yield busy(f"nat_drop/busy-ports-exhausted-{name}", churning(ports, client(soft, seconds=6)),
                   "^" + "ok " * (ports + 1) + r"exit (?!0)\d+ " + "ok " * ports + "exit 0$",
                   f"the gateway has {ports} external ports for this server, which connections use one after another; then so many hold them, and the next gets no answer; once they "
                   "are freed it does", before + [full()] + after, before + after, before + [full("gateway")] + after, look=((SYN,), (SYN,)), gateway=[rule, *SHORT],
                   net={"delay_ms": rtt / 2, "nat": False}, every=2.5, hosts=FOUR, tools=f"iptables, nginx, Python, {named(soft)}")


def quota_rows():
    """A filter that counts connections at a gateway that takes ports from a pool looks like ports that ran out, and leaves both readings."""
    def run(lab):
        said = [net.with_tls(*net.start_tls(lab.connect()))]
        time.sleep(1.6)
        held = []
        for _ in range(2):
            held.append(net.start_tls(lab.connect()))
            time.sleep(0.1)
        said.append(ask(lab, client("curl", seconds=6)).split(":")[0])
        for sock, error in held:
            said.append(net.with_tls(sock, error))
        time.sleep(2)
        said.append(ask(lab, client("curl", seconds=6)).split(":")[0])
        return " ".join(said)
    fine, no = completed(), lambda at="": failed("firewall", "syn_dropped", visible=False, also=["nat_drop"], where=at)
    yield busy("firewall/busy-limit-dropped-of-a-pool", run, r"^ok exit (?!0)\d+ ok ok exit 0$",
               "the gateway lets a client have two connections to the server at once and drops the third's SYN; it gives each one of ten external ports",
               [fine] * 3 + [no(), fine], [fine] * 4, [fine] * 3 + [no("gateway"), fine], look=((SYN,), (SYN,)),
               gateway=["iptables -t nat -A POSTROUTING -p tcp -o out0 -j MASQUERADE --to-ports 40000-40009", *SHORT,
                        "iptables -A FORWARD -p tcp --syn --dport 443 -m connlimit --connlimit-above 2 -j DROP"],
               net={"delay_ms": 10, "nat": False}, every=2.5, hosts=FOUR, tools="iptables, nginx, Python, curl")


def asymmetric_rows():
    """The server's packets come through another router of the client's network, and not through the gateway."""
    def another_way(kind):
        def start(lab):
            server(kind)(lab)
            lab._veth("cn-other", "eth1", "cn-server", "eth1")
            lab.on("cn-other", f"ip addr add {OTHER_WAY[1]}/30 dev eth1")
            lab.on("cn-server", f"ip addr add {OTHER_WAY[0]}/30 dev eth1")
            lab.on("cn-other", "sysctl -qw net.ipv4.ip_forward=1")
            for space in ("cn-other", "cn-server", "cn-client"):
                for link in ("all", "default", "eth0") + (("eth1",) if space != "cn-client" else ()):
                    lab.on(space, f"sysctl -qw net.ipv4.conf.{link}.rp_filter=0")
            lab.on("cn-server", f"ip rule add from {WEB} to 192.168.10.0/24 table 7")
            lab.on("cn-server", f"ip route add default via {OTHER_WAY[1]} table 7")
            lab.on("cn-other", "ping -c 1 -W 1 192.168.10.2", ok=False)
            lab.on("cn-other", f"ping -c 1 -W 1 {OTHER_WAY[0]}", ok=False)
            lab.on("cn-gw", "sysctl -qw net.ipv4.conf.all.send_redirects=0")
        return start
    for name, soft, kind, rtt, hops in (("curl", "curl", "nginx", 20, 0), ("go-far", "go", "haproxy", 250, 3), ("wget", "wget", "apache", 100, 1)):
        one = lambda at="": lost("asymmetric", visible=bool(at), at=at, also=() if at else ("firewall",))
        scene = busy(f"nat_drop/busy-asymmetric-{name}", client(soft, seconds=6), FAILS,
                     "the server's packets come to the client through another router; the gateway never sees them, knows no connection and drops the client's acknowledgment and "
                     "ClientHello; inside is the client's link", one(), one(), one("gateway"), look=((SYN, SYNACK, HELLO), (SYN,)), never=((), (f"{SYNACK} && ip.src == {WEB} && tcp.srcport == 443",)),
                     gateway=[STRICT, DROP_INVALID], start=another_way(kind), net={"delay_ms": rtt / 2, "hops": hops, "nat": False, "other": True}, hosts=FOUR,
                     tools=f"iptables, {named(kind, soft)}")
        scene.views[0].place = ("cn-client", "eth0")
        yield scene


def after_gaps(plan):
    """Connections opened at these times, each used after a gap of its own."""
    def run(lab):
        said = [""] * len(plan)

        def one(n, begin, gap):
            time.sleep(begin)
            sock = lab.connect(timeout=8)
            time.sleep(gap)
            said[n] = net.with_tls(*net.start_tls(sock)).split(":")[0]
        threads = [threading.Thread(target=one, args=(n, *when)) for n, when in enumerate(plan)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return " ".join(said)
    return run


def idle_rows():
    """The gateway forgets idle connections after ten seconds. Long gaps and short ones end at the same times."""
    plan = ((0, 2), (0.4, 13), (0.8, 15), (1.2, 6), (1.6, 18), (7, 7), (11, 4), (15, 5), (16, 8))
    limit = 10
    for name, way, rtt, kind in (("silent", DROP_INVALID, 20, "nginx"), ("silent-far", DROP_INVALID, 250, "haproxy"), ("refused", RESET_INVALID, 100, "nginx")):
        silent = way == DROP_INVALID
        bad = [gap > limit for _, gap in plan]
        mark = lambda late, visible=False, at="": lost("idle_timeout", visible=visible, at=at, also=("firewall",) if not at else ()) if late else completed()
        yield busy(f"nat_drop/busy-idle-{name}", after_gaps(plan), "^" + " ".join(("TimeoutError" if silent else "ConnectionResetError") if late else "ok" for late in bad) + "$",
                   f"the gateway forgets idle connections after {limit} s and then {'drops' if silent else 'resets'} what it does not know; the client opened nine, at different "
                   f"times, and said hello after {', '.join(str(gap) for _, gap in plan)} s", [mark(late, True) for late in bad], [mark(late) for late in bad],
                   [mark(late, True, "gateway") for late in bad], look=((SYNACK, HELLO), (SYNACK,)), gateway=[STRICT, f"{ESTABLISHED}{limit}", way], start=server(kind),
                   net={"delay_ms": rtt / 2}, every=4, tools=f"iptables, {named(kind)}, Python")


SCENES = [*syn_rows(), *hello_rows(), *late_rows(), *injected_rows(), *mtu_rows(), *nat_rows(), *port_rows(), *quota_rows(), *asymmetric_rows(), *idle_rows()]
