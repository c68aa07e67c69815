"""Runs recorded on the client's host and on the server's host: what happens on the way happens between the two captures. Nobody else
uses the gateway, and the recordings end with the attempt, unless a row says otherwise."""

import sys

import net
from net import NAME
from network_both_firewall import BY_NAME, FAILS, FOUR, HELLO, RST, SIX, SYN, SYNACK
from network_both_nat import DROP_INVALID, FLUSH, STRICT, forgets, lost
from network_stacks import client, named, server
from scenes import both, completed, failed


def ends(name, line, expect, why, inside, outside, together, **more):
    more.setdefault("neighbours", None)
    scene = both(name, line, expect, why + "; recorded on the client's host and on the server's", inside, outside, together, **more)
    scene.views[0].place, scene.views[1].place = ("cn-client", "eth0"), ("cn-server", "eth0")
    return scene


def on(space, *commands, start=None):
    def run(lab):
        (start or server("nginx"))(lab)
        for command in commands:
            lab.on(space, command)
    return run


def firewall_rows():
    unseen = ["nat_drop"]
    for name, soft, kind, tls, rtt, hops, six, target in (
            ("reset-curl", "curl", "nginx", "1.2", 100, 1, False, "REJECT --reject-with tcp-reset"), ("reset-go", "go", "haproxy", None, 20, 3, False, "REJECT --reject-with tcp-reset"),
            ("reset-wget-v6", "wget", "apache", None, 250, 0, True, "REJECT --reject-with tcp-reset"), ("dropped-python", "python", "nginx", None, 100, 0, False, "DROP"),
            ("dropped-node-v6", "node", "haproxy", "1.2", 20, 1, True, "DROP")):
        cut = target != "DROP"
        reason = "reset_after_hello" if cut else "dropped_after_hello"
        yield ends(f"firewall/ends-sni-{name}", client(soft, tls, seconds=6), FAILS, f"the gateway {'resets the client' if cut else 'drops each packet'} when the "
                   "ClientHello names the host", failed("firewall", reason, visible=cut, also=() if cut else unseen),
                   failed("firewall", reason, visible=False, also=unseen), failed("firewall", reason, visible=cut, also=() if cut else unseen, where="gateway"),
                   look=((SYNACK, HELLO) + ((RST,) if cut else ()), (SYNACK,)), never=((), (HELLO,)), hosts=SIX if six else FOUR,
                   server=on("cn-gw", f"{'ip6tables' if six else 'iptables'} -A FORWARD {BY_NAME} -j {target}", start=server(kind)),
                   net={"delay_ms": rtt / 2, "hops": hops, "v6": six}, tools=f"iptables, {named(kind, soft)}")
    for name, style, soft, kind, rtt, hops, six in (("mimic-curl", "mimic", "curl", "nginx", 100, 3, False), ("one-go", "one", "go", "haproxy", 100, 0, False),
                                                    ("kernel-gnutls-v6", "kernel", "gnutls", "apache", 100, 1, True)):
        def start(lab, kind=kind, style=style):
            server(kind)(lab)
            lab.spawn("cn-gw", [sys.executable, net.HERE / "inject.py", NAME, "in0", "out0", style], ready="ready")
        cut = lambda visible=True, at="", more=(): failed("firewall", "injected_reset", visible=visible, where=at, also_outcome=more)
        yield ends(f"firewall/ends-injected-{name}", client(soft), FAILS, f"a box at the gateway forges a reset to each side ({style}); the ClientHello itself reaches "
                   "the server", cut(), cut(style == "one", more=() if style == "one" else ("abandoned",)), cut(True, "gateway"), look=((HELLO, RST), (HELLO, RST)),
                   server=start, net={"delay_ms": rtt / 2, "hops": hops, "v6": six}, hosts=SIX if six else FOUR, tools=f"Python (the box), {named(kind, soft)}")
    hole = lambda visible=True, at="", also=(): failed("firewall", "mtu_black_hole", visible=visible, also=also, where=at)
    yield ends("firewall/ends-mtu-up", client("openssl4", seconds=8), FAILS, "packets over 1400 bytes vanish on the gateway and no ICMP says so: the post-quantum "
               "ClientHello needs more", hole(), hole(False, also=unseen), hole(at="gateway"), look=(("tcp.len > 1200",), (SYNACK,)), hosts=FOUR,
               server=on("cn-gw", "iptables -A FORWARD -i in0 -p tcp -m length --length 1401:65535 -j DROP"), net={"delay_ms": 25, "hops": 1},
               tools="iptables, nginx, pyOpenSSL")
    yield ends("firewall/ends-mtu-down", client("curl", seconds=8), FAILS, "packets over 1400 bytes from the server vanish on the gateway and no ICMP says so",
               hole(), hole(), hole(at="gateway"), look=((HELLO,), (HELLO, "tcp.len > 1200")), hosts=FOUR,
               server=on("cn-gw", "iptables -A FORWARD -i out0 -p tcp -m length --length 1401:65535 -j DROP", start=server("nginx", leaf="big")),
               net={"delay_ms": 50}, tools="iptables, nginx, curl")
    for name, soft, rtt, six, where in (("curl", "curl", 20, False, "cn-client"), ("go-v6", "go", 100, True, "cn-client")):
        gone = lambda visible=False, at="", also=unseen: failed("firewall", "syn_dropped", "client", visible, also, where=at)
        yield ends(f"firewall/client-drops-syn-ack-{name}", client(soft, seconds=8), FAILS, "the client's own filter drops each SYN/ACK that reaches it: both sides "
                   "repeat theirs", gone(), gone(), gone(True, "client_side", ()), look=((SYN, SYNACK), (SYN, SYNACK)), hosts=SIX if six else FOUR,
                   server=on(where, f"{'ip6tables' if six else 'iptables'} -A INPUT -p tcp --sport 443 --tcp-flags SYN,ACK SYN,ACK -j DROP"),
                   net={"delay_ms": rtt / 2, "v6": six}, neighbours={}, tools=f"iptables, nginx, {named(soft)}")
    gone = lambda visible=False, at="", also=unseen: failed("firewall", "dropped_after_hello", "client", visible, also, where=at)
    yield ends("firewall/client-drops-certificate", client("curl", "1.2", seconds=8), FAILS, "the client's own filter drops each segment with a certificate of the "
               "name: its link shows that they arrive, again and again", gone(), gone(), gone(True, "client_side", ()), hosts=FOUR,
               look=((HELLO, "tls.handshake.type == 11"), (HELLO, "tls.handshake.type == 11")),
               server=on("cn-client", "iptables -A INPUT -p tcp --sport 443 -m string --algo bm --string example.test -j DROP"), net={"delay_ms": 20}, neighbours={},
               tools="iptables, nginx, curl")


def nat_rows():
    for name, kind, rtt, more, expect in (("leaking", "nginx", 100, [], "reset|Reset"), ("silent", "haproxy", 20, [DROP_INVALID], "timed out|Timeout")):
        leak = not more
        yield ends(f"nat_drop/ends-mapping-lost-{name}", forgets(), expect, "the gateway's table was flushed before the ClientHello, which it " +
                   ("passes untranslated" if leak else "drops"), lost("mapping_lost"),
                   [lost("mapping_lost", leak, also=() if leak else ("firewall",))] + [lost("untranslated_leak", True, also=())] * leak,
                   lost("mapping_lost", leak, "gateway", () if leak else ("firewall",)), look=((HELLO,), (SYNACK,) + ((RST,) if leak else ())),
                   gateway=[STRICT, *more], server=server(kind), net={"delay_ms": rtt / 2, "hops": 1}, tools=f"conntrack, iptables, {named(kind)}, Python")
    yield ends("nat_drop/ends-new-port", forgets(FLUSH), "reset|Reset", "the gateway's table was flushed before the ClientHello, which leaves from another external port",
               lost("mapping_lost"), [lost("mapping_lost"), lost("mapping_lost", True, also=())], lost("mapping_lost", True, "gateway", ()),
               look=((HELLO, RST), (SYN, HELLO, RST)), gateway=["iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE --random-fully"],
               net={"delay_ms": 50, "nat": False}, tools="conntrack, iptables, nginx, Python")


def none_rows():
    for name, soft, kind, tls, rtt, hops, six in (("curl", "curl", "nginx", None, 100, 3, False), ("gnutls-v6", "gnutls", "haproxy", None, 20, 1, True),
                                                  ("openssl4", "openssl4", "apache", None, 250, 0, False), ("go-tls12", "go", "s_server", "1.2", 5, 1, False)):
        yield ends(f"none/ends-{name}", client(soft, tls), "^exit 0", "nothing is wrong", completed(), completed(), completed(), look=((HELLO,), (HELLO,)),
                   server=server(kind), net={"delay_ms": rtt / 2, "hops": hops, "v6": six}, hosts=SIX if six else FOUR, tools=named(kind, soft))
    every = "-p tcp -m statistic --mode nth --every {} --packet {} -j DROP"
    yield ends("none/ends-lossy", client("curl", "1.2"), "^exit 0", "every fourth packet down and fifth packet up is lost on the gateway; it works all the same",
               completed(), completed(), completed(), look=((), ()), hosts=FOUR, net={"delay_ms": 20},
               server=on("cn-gw", f"iptables -A FORWARD -i out0 {every.format(4, 1)}", f"iptables -A FORWARD -i in0 {every.format(5, 3)}"), tools="iptables, nginx, curl")


SCENES = [*firewall_rows(), *nat_rows(), *none_rows()]
