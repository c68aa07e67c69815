"""Address translation that lost, reused or confused the connection, each run recorded on both sides of the gateway."""

import threading
import time

import net
from net import CLIENT, NAME, NAT, OTHER, WEB, WEB6
from network_nat import DROP_INVALID, FLUSH, HELLO, RST, STATELESS, STRICT, SYN, SYNACK
from network_stacks import ask, client, named, server
from scenes import begin_late, both, completed, failed

RESET_INVALID = "iptables -A FORWARD -p tcp -m conntrack --ctstate INVALID -j REJECT --reject-with tcp-reset"
SNAT = f"iptables -t nat -A POSTROUTING -o out0 -p tcp -j SNAT --to-source {NAT}"
ESTABLISHED = "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established="
FOUR = {NAME: WEB}
APART = 0.15  # seconds between connections that are opened one after another


def lost(reason, visible=False, at="", also=("firewall",), **more):
    return failed("nat_drop", reason, visible=visible, also=also, where=at, **more)


def forgets(command=FLUSH, pause=0.5, tls=None, late=False):
    """The connection is opened, the gateway forgets it (or worse), the client says hello."""
    def run(lab):
        context = net.tls_context()
        if tls == "1.2":
            context.maximum_version = net.ssl.TLSVersion.TLSv1_2
        sock = lab.connect(timeout=8)
        time.sleep(pause)
        if late:
            begin_late(lab)
        for one in command if isinstance(command, list) else [command]:
            lab.on("cn-gw", one, ok=False)
        return net.start_tls(sock, context=context)[1]
    return run


def forgets_under_reply(line, after):
    """The gateway forgets the connection while the server's answer to a real client's ClientHello is on its way."""
    def run(lab):
        got = []
        asking = threading.Thread(target=lambda: got.append(ask(lab, line)))
        dump = lab.spawn("cn-gw", ["tcpdump", "-i", "out0", "-l", "-n", "-c", "1", "tcp[tcpflags] & tcp-push != 0 and dst port 443"],
                         ready="listening on", stdout=-1)
        asking.start()
        dump.stdout.readline()  # the ClientHello has passed
        time.sleep(after)
        lab.on("cn-gw", FLUSH, ok=False)
        asking.join()
        return got[0]
    return run


def flush_rows():
    """Lost before the ClientHello: it leaks, or is dropped, or answered with a reset, or gets a new port or address."""
    for name, rule, kind, rtt, hops, tls in (("masquerade", None, "nginx", 100, 1, "1.2"), ("snat", SNAT, "haproxy", 20, 0, None),
                                             ("snat-far", SNAT, "apache", 250, 3, None)):
        for way, more, expect in (("", [], "reset|Reset"), ("-silent", [DROP_INVALID], "timed out|Timeout"),
                                  ("-refused", [RESET_INVALID], "reset|Reset")):
            leak = not way
            yield both(f"nat_drop/mapping-lost{way}-{name}", forgets(tls=tls), expect,
                       "the gateway's table was flushed before the ClientHello; it " + {
                           "": "leaves with its private source address, the server resets what it does not know",
                           "-silent": "is dropped as invalid", "-refused": "is answered with a reset, as invalid"}[way],
                       lost("mapping_lost"), [lost("mapping_lost", visible=True, also=()), lost("untranslated_leak", visible=True, also=())] if leak
                       else lost("mapping_lost"), lost("mapping_lost", visible=leak, at="gateway", also=() if leak else ("firewall",)),
                       look=((SYNACK, HELLO) + (() if way == "-silent" else (RST,)), (SYNACK,) + ((f"ip.src == {CLIENT}", RST) if leak else ())),
                       gateway=[STRICT, *more] + ([rule] if rule else []), server=server(kind),
                       net={"delay_ms": rtt / 2, "hops": hops, "nat": not rule}, tools=f"conntrack, iptables, {named(kind)}, Python")
    for name, rule, kind, rtt, tls in (("random", "iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE --random", "nginx", 100, "1.2"),
                                       ("random-fully", "iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE --random-fully", "haproxy", 20, None),
                                       ("snat-random-fully", SNAT + " --random-fully", "s_server", 250, None)):
        yield both(f"nat_drop/new-port-{name}", forgets(tls=tls), "reset|Reset",
                   "the gateway's table was flushed before the ClientHello, which leaves from another external port; the server resets that",
                   lost("mapping_lost"), [lost("mapping_lost"), lost("mapping_lost", visible=True, also=())],
                   lost("mapping_lost", visible=True, at="gateway", also=()), look=((HELLO, RST), (SYN, HELLO, RST)), gateway=[rule],
                   server=server(kind), net={"delay_ms": rtt / 2, "nat": False}, tools=f"conntrack, iptables, {named(kind)}, Python")
    second = "203.0.113.2"
    for name, kind, rtt in (("nginx", "nginx", 20), ("haproxy-far", "haproxy", 250)):
        move = [f"iptables -t nat -R POSTROUTING 1 -o out0 -p tcp -j SNAT --to-source {second}", FLUSH]
        yield both(f"nat_drop/new-address-{name}", forgets(move), "reset|Reset",
                   "the gateway went over to another external address before the ClientHello, which leaves from there; the server resets that",
                   lost("mapping_lost"), [lost("mapping_lost"), lost("mapping_lost", visible=True, also=())],
                   lost("mapping_lost", visible=True, at="gateway", also=()), look=((HELLO, RST), (SYN, HELLO, RST, f"ip.src == {second}")),
                   gateway=[SNAT, f"ip addr add {second}/24 dev out0"], server=server(kind), net={"delay_ms": rtt / 2, "nat": False},
                   tools=f"conntrack, iptables, {named(kind)}, Python")
    yield both("nat_drop/mapping-lost-silent-inner-late", forgets(late=True), "timed out|Timeout",
               "the gateway's table was flushed before the ClientHello, which it drops as invalid; the capture on the inside began after the TCP handshake",
               lost("mapping_lost", also_outcome=("incomplete",)), lost("mapping_lost"), lost("mapping_lost", at="gateway"), late="inside",
               look=((HELLO,), (SYNACK,)), gateway=[STRICT, DROP_INVALID], net={"delay_ms": 20}, tools="conntrack, iptables, nginx, Python")
    loss = "iptables -A FORWARD -p tcp -m statistic --mode nth --every 4 --packet 1 -j DROP"
    yield both("nat_drop/mapping-lost-lossy", forgets(), "reset|Reset", "the gateway's table was flushed before the ClientHello, which leaves with its private source "
               "address; every fourth packet is lost on the gateway", lost("mapping_lost"),
               [lost("mapping_lost", visible=True, also=()), lost("untranslated_leak", visible=True, also=())],
               lost("mapping_lost", visible=True, at="gateway", also=()), look=((HELLO, RST), (f"ip.src == {CLIENT}", RST)), gateway=[STRICT, loss],
               net={"delay_ms": 50}, tools="conntrack, iptables, nginx, Python")
    yield both("nat_drop/mapping-lost-silent-lossy", forgets(), "timed out|Timeout", "the gateway's table was flushed before the ClientHello, which it drops as "
               "invalid; every fourth packet is lost on the gateway", lost("mapping_lost"), lost("mapping_lost"), lost("mapping_lost", at="gateway"),
               look=((SYNACK, HELLO), (SYNACK,)), gateway=[STRICT, DROP_INVALID, loss], net={"delay_ms": 50}, tools="conntrack, iptables, nginx, Python")
    yield both("nat_drop/new-port-lossy", forgets(), "reset|Reset", "the gateway's table was flushed before the ClientHello, which leaves from another external port; "
               "every fourth packet is lost on the gateway", lost("mapping_lost"), [lost("mapping_lost"), lost("mapping_lost", visible=True, also=())],
               lost("mapping_lost", visible=True, at="gateway", also=()), look=((HELLO, RST), (SYN, HELLO, RST)),
               gateway=["iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE --random-fully", loss], net={"delay_ms": 20, "nat": False},
               tools="conntrack, iptables, nginx, Python")


def reply_rows():
    answer = f"ip.src == {WEB} && tcp.len > 0"
    for name, soft, kind, tls, passing in (("curl", "curl", "nginx", None, False), ("go-tls12", "go", "haproxy", "1.2", False),
                                           ("gnutls-passing", "gnutls", "apache", None, True), ("openssl4", "openssl4", "nginx", "1.3", False)):
        yield both(f"nat_drop/flushed-under-reply-{name}", forgets_under_reply(client(soft, tls, seconds=8), 0.02), "^exit (?!0)",
                   "the gateway's table was flushed while the server's answer was on its way: the NAT's own address resets the server",
                   lost("mapping_lost"), [lost("mapping_lost", visible=True, also=())] + [lost("untranslated_leak", visible=True, also=())] * passing,
                   lost("mapping_lost", visible=True, at="gateway", also=()), look=((HELLO,), (HELLO, f"{RST} && ip.src == {NAT}")),
                   never=((answer,), ()), gateway=[STRICT] + ([] if passing else [DROP_INVALID]), server=server(kind), net={"delay_ms": 125},
                   hosts=FOUR, tools=f"conntrack, iptables, {named(kind, soft)}")
    for name, soft, kind in (("node", "node", "s_server"), ("wget", "wget", "haproxy")):
        seen = lost("mapping_lost", also_outcome=("completed",))
        yield both(f"nat_drop/flushed-under-finished-{name}", forgets_under_reply(client(soft, "1.2", seconds=8), 0.35), "^exit (?!0)",
                   "the gateway's table was flushed while the server's Finished (TLS 1.2) was on its way: the NAT's own address resets the server",
                   lost("mapping_lost"), seen, lost("mapping_lost", visible=True, at="gateway", also=()),
                   look=((HELLO, "tls.handshake.type == 2"), (f"{RST} && ip.src == {NAT}",)), never=((f"{answer} && tls.record.content_type == 20",), ()),
                   gateway=[STRICT, DROP_INVALID], server=server(kind, "1.2"), net={"delay_ms": 125}, hosts=FOUR,
                   tools=f"conntrack, iptables, {named(kind, soft)}")


def holding(count, line):
    """So many connections hold the NAT's ports to this server; a real client finds none."""
    def run(lab):
        held = []
        for _ in range(count):
            held.append(net.start_tls(lab.connect()))
            time.sleep(0.1)
        said = ask(lab, line)
        for sock, _ in held:
            sock.close()
        return said + "".join(error for _, error in held)
    return run


def port_rows():
    for name, soft, ports, rtt, rule in (("two-curl", "curl", 2, 20, "iptables -t nat -A POSTROUTING -p tcp -o out0 -j MASQUERADE --to-ports 40000-40001"),
                                         ("four-go", "go", 4, 100, f"{SNAT}:40000-40003"), ("three-wget", "wget", 3, 250, f"{SNAT}:50000-50002")):
        full = lost("port_exhausted")
        yield both(f"nat_drop/ports-exhausted-{name}", holding(ports, client(soft, seconds=8)), "^exit (?!0)[^/]*$",
                   f"the gateway has {ports} external ports for this server; so many connections hold them, the next gets no answer",
                   [completed()] * ports + [full], [completed()] * ports, [completed()] * ports + [lost("port_exhausted", at="gateway")],
                   look=((SYN,), (SYN,)), gateway=[rule], net={"delay_ms": rtt / 2, "nat": False}, hosts=FOUR,
                   tools=f"iptables, nginx, Python, {named(soft)}")
    for name, soft, rtt, hops in (("curl", "curl", 20, 0), ("gnutls-far", "gnutls", 250, 3)):
        def start(lab):
            lab.web()
            lab.on("cn-gw", "nft -f -", input=STATELESS % OTHER)
        yield both(f"nat_drop/port-collision-{name}", client(soft, seconds=6), "^exit (?!0)",
                   "a stateless translator delivers the SYN/ACK to another inside host that has the port, and that one resets it",
                   lost("port_reuse", visible=True, also=()), lost("port_reuse"), lost("port_reuse", visible=True, at="gateway", also=()),
                   look=((SYN, SYNACK, f"{RST} && ip.src == {OTHER}"), (SYN, SYNACK, RST)), server=start, hosts=FOUR,
                   net={"delay_ms": rtt / 2, "hops": hops, "nat": False, "other": True}, tools=f"nftables (stateless translation), nginx, {named(soft)}")
    for name, soft in (("curl", "curl"), ("python", "python")):
        scene = both(f"nat_drop/hairpin-{name}", client(soft, seconds=6), "^exit (?!0)",
                     "the gateway redirects the SYN to a server beside the client, which answers directly, from its own address; inside is the "
                     "client's link, outside the server's, behind the translation", lost("hairpin", visible=True, also=()), lost("hairpin"),
                     lost("hairpin", visible=True, at="gateway", also=()), look=((SYN, SYNACK, RST), (SYN, SYNACK)),
                     server=lambda lab: lab.web(space="cn-other", listen=(OTHER,)), net={"other": True}, hosts=FOUR,
                     gateway=[f"iptables -t nat -A PREROUTING -i in0 -d {WEB} -p tcp --dport 443 -j DNAT --to-destination {OTHER}"],
                     tools=f"iptables, nginx, {named(soft)}")
        scene.views[0].place, scene.views[1].place = ("cn-client", "eth0"), ("cn-other", "eth0")
        yield scene


def asymmetric_rows():
    only_known = ["iptables -P FORWARD DROP", "iptables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED,UNTRACKED -j ACCEPT",
                  "iptables -A FORWARD -p tcp --syn -j ACCEPT"]
    for name, soft, kind, rtt, hops, six, rules in (
            ("curl", "curl", "nginx", 20, 0, False, ["iptables -t raw -A PREROUTING -i out0 -j NOTRACK", DROP_INVALID]),
            ("go-far", "go", "haproxy", 250, 3, False, ["iptables -t raw -A PREROUTING -i out0 -j NOTRACK", *only_known]),
            ("wget-v6", "wget", "apache", 100, 1, True, ["ip6tables -t raw -A PREROUTING -i out0 -p tcp -j NOTRACK",
                                                      "ip6tables -A FORWARD -p tcp -m conntrack --ctstate INVALID -j DROP"])):
        yield both(f"nat_drop/asymmetric-{name}", client(soft, seconds=8), "^exit (?!0)",
                   "a stateful gateway that never saw the SYN/ACK (it came another way) drops the client's ACK and ClientHello: the server repeats "
                   "its SYN/ACK", lost("asymmetric"), lost("asymmetric"), lost("asymmetric", at="gateway"), look=((SYN, SYNACK, HELLO), (SYN, SYNACK)),
                   gateway=rules, server=server(kind), net={"delay_ms": rtt / 2, "hops": hops, "nat": False, "v6": six},
                   hosts={NAME: WEB6} if six else FOUR, tools=f"iptables, {named(kind, soft)}")


def after_gaps(gaps, fresh):
    """Connections opened at once, and used after these seconds each; then others, opened and used at once when so much time has passed."""
    def run(lab):
        said = [""] * (len(gaps) + len(fresh))

        def one(n, begin, gap):
            time.sleep(begin)
            sock = lab.connect(timeout=8)
            time.sleep(gap)
            said[n] = net.with_tls(*net.start_tls(sock)).split(":")[0]
        plan = [(n * APART, gap) for n, gap in enumerate(gaps)] + [(begin, 0) for begin in fresh]
        threads = [threading.Thread(target=one, args=(n, *when)) for n, when in enumerate(plan)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return " ".join(said)
    return run


def idle_rows():
    """The gateway forgets idle connections after so many seconds; each connection says hello after a pause of its own."""
    for name, limit, gaps, ways, rtt, kind in (
            ("60s", 60, (40, 50, 56, 58, 62, 64, 70, 75), [DROP_INVALID], 20, "nginx"),
            ("60s-again", 60, (5, 20, 45, 57, 61, 63, 66, 90), [DROP_INVALID], 100, "haproxy"),
            ("20s", 20, (2, 10, 15, 18, 22, 23, 26, 30), [DROP_INVALID], 250, "nginx"),
            ("20s-refused", 20, (4, 12, 17, 19, 21, 24, 28, 40), [RESET_INVALID], 20, "apache"),
            ("20s-leaking", 20, (3, 8, 14, 18, 22, 25, 29, 35), [], 100, "nginx")):
        fresh = (next(gap for gap in gaps if gap > limit) + 3, gaps[-1] + 4)
        bad = [gap > limit for gap in gaps] + [False] * len(fresh)
        silent, leaking = ways == [DROP_INVALID], not ways
        expect = "^" + " ".join(("TimeoutError" if silent else "ConnectionResetError") if late else "ok" for late in bad) + "$"
        mark = lambda late, visible=False, at="": lost("idle_timeout", visible=visible, at=at) if late else completed()
        begun = [n * APART for n in range(len(gaps))] + list(fresh)
        outside = [(when, mark(late)) for when, late in zip(begun, bad)]
        if leaking:
            outside += [(n * APART + gap, failed("nat_drop", "untranslated_leak")) for n, gap in enumerate(gaps) if gap > limit]
        outside = [attempt for _, attempt in sorted(outside, key=lambda one: one[0])]
        yield both(f"nat_drop/idle-{name}", after_gaps(gaps, fresh), expect,
                   f"the gateway forgets idle connections after {limit} s and then " +
                   ("drops what it does not know" if silent else "leaks it untranslated" if leaking else "resets what it does not know") +
                   f"; the client opened eight and said hello after {', '.join(map(str, gaps))} s; two more, opened later, said it at once", [mark(late, True) for late in bad], outside,
                   [mark(late, True, "gateway") for late in bad], look=((SYNACK, HELLO), (SYNACK,)), gateway=[STRICT, f"{ESTABLISHED}{limit}", *ways],
                   server=server(kind), net={"delay_ms": rtt / 2}, neighbours={"every": limit / 12}, tools=f"iptables, {named(kind)}, Python")


def port_handed_on(line):
    """Two hosts use one external port soon after each other. Linux begins each connection's timestamps by chance: in about one
    of two runs the second's are the older ones, which is what the rows want."""
    def run(lab):
        tls, error = net.start_tls(lab.connect())
        tls.sendall(f"GET / HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode())
        while tls.recv(4096):
            pass
        time.sleep(0.3)  # the server has closed first, and keeps the port in TIME_WAIT
        tls.close()
        time.sleep(3)  # the mapping is gone, the server's TIME_WAIT is not
        return f"{error or 'ok'}; {ask(lab, line, 'cn-other')}"
    return run


def reuse_rows():
    """An external port that is handed on too early meets the server's TIME_WAIT, which drops by timestamp (PAWS)."""
    one_port = [f"{SNAT}:40000", "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_time_wait=1", "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_close=1",
                "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_last_ack=1", "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_close_wait=1",
                "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_fin_wait=1"]
    for name, soft, rtt, stays in (("curl", "curl", 20, True), ("go-far", "go", 250, True), ("curl", "curl", 20, False), ("wget", "wget", 100, False)):
        def start(lab, stays=stays):
            server("apache")(lab)
            lab.on("cn-server", f"sysctl -qw net.ipv4.tcp_rfc1337={int(stays)}")
        why = ("the translator hands an external port on after 3 s to another host, whose timestamps are older: the server still has the port in TIME_WAIT "
               "and answers its SYN with the old connection's ACK, which the client resets; ")
        again = f"{SYN} && tcp.analysis.retransmission"
        drop = lost("paws_drop")
        yield both(f"nat_drop/paws-{name}" if stays else f"none/port-handed-on-{name}", port_handed_on(client(soft, seconds=10)),
                   "^ok; exit (?!0)" if stays else "^ok; exit 0",
                   why + ("with tcp_rfc1337 the server stays in TIME_WAIT and goes on so" if stays else "that ends TIME_WAIT, and the second SYN is answered"),
                   [completed(), drop if stays else completed()], [completed(), lost("paws_drop", visible=True, also=()) if stays else completed()],
                   [completed(), lost("paws_drop", visible=True, at="server_side", also=()) if stays else completed()], look=((again, RST), (again, RST)),
                   gateway=one_port, server=start, net={"delay_ms": rtt / 2, "nat": False, "other": True}, hosts=FOUR, tries=8,
                   tools=f"iptables, Linux (TIME_WAIT), Apache, Python, {named(soft)}")


SCENES = [*flush_rows(), *reply_rows(), *port_rows(), *asymmetric_rows(), *reuse_rows(), *idle_rows()]
