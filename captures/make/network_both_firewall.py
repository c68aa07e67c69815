"""Policies on the path, each run recorded on both sides of the gateway."""

import sys
import time

import net
from net import ELSEWHERE, ELSEWHERE6, NAME, WEB, WEB6
from network_stacks import ask, client, named, server
from scenes import begin_late, both, completed, failed

SYN, SYNACK = "tcp.flags.syn == 1 && tcp.flags.ack == 0", "tcp.flags.syn == 1 && tcp.flags.ack == 1"
HELLO, RST, FIN = "tls.handshake.type == 1", "tcp.flags.reset == 1", "tcp.flags.fin == 1"
AT_SERVER = f"(ip.src == {WEB} || ipv6.src == {WEB6})"
UNREACHABLE = "icmp.type == 3 || icmpv6.type == 1"
FOUR, SIX = {NAME: WEB}, {NAME: WEB6}
BESIDE = "curl -sS -o /dev/null --cacert {} --resolve parked.example.net:443:{} https://parked.example.net/"
GATE, INPUT = "gateway", "server"  # where a rule stands


def between(line, six=False):
    """The client, with a sound connection to another address before and after: both captures show that they saw."""
    beside = BESIDE.format(net.ROOT, f"[{ELSEWHERE6}]" if six else ELSEWHERE)

    def run(lab):
        said = [ask(lab, beside)]
        time.sleep(0.2)
        said.append(ask(lab, line))
        time.sleep(0.2)
        said.append(ask(lab, beside))
        return "; ".join(said)
    return run


SOUND = [completed()]


def amid(attempt):
    return SOUND + ([attempt] if attempt else []) + SOUND


def ruled(start, where, rule, six=False):
    """The server, and a rule on its own INPUT chain or on the gateway's FORWARD chain."""
    def run(lab):
        start(lab)
        chain, space = ("INPUT", "cn-server") if where == INPUT else ("FORWARD", "cn-gw")
        lab.on(space, f"{'ip6tables' if six else 'iptables'} -A {chain} {rule}")
    return run


def scene(name, line, expect, why, *views, where, rule, kind="nginx", tls="1.2 1.3", six=False, leaf="www", rtt=20, hops=0, soft="curl",
          look=((), ()), net_more=None, more_rules=(), amidst=False, **more):
    """A scene of this table: what every row sets in the same words."""
    start = server(kind, tls, leaf)

    def started(lab):
        ruled(start, where, rule, six)(lab)
        for space, command in more_rules:
            lab.on(space, command)
    options = {"delay_ms": rtt / 2, "hops": hops, "v6": six, **(net_more or {})}
    return both(f"firewall/{name}", between(line, six) if amidst else line, expect, why, *views, look=look, net=options, server=started,
                hosts=SIX if six else FOUR, tools=f"{'ip6tables' if six else 'iptables'}, {named(kind, soft)}", **more)


FAILS = "^exit (?!0)"
AMID = "^exit 0.*; exit (?!0).*; exit 0"


def syn_rows():
    to = lambda six: f"-p tcp -d {WEB6 if six else WEB} --dport 443"
    for name, soft, where, rtt, hops, six in (
            ("curl", "curl", GATE, 20, 0, False), ("wget-v6", "wget", GATE, 100, 1, True), ("go-far", "go", GATE, 250, 3, False),
            ("at-server", "python", INPUT, 20, 1, False), ("at-server-v6", "curl", INPUT, 5, 0, True)):
        gone = lambda visible, at, also=("nat_drop",): failed("firewall", "syn_dropped", visible=visible, also=also, where=at)
        at = "gateway" if where == GATE else "server_side"
        yield scene(f"syn-dropped-{name}", client(soft, seconds=8), AMID,
                    f"the {where} drops every SYN to the address; other connections pass before and after", amid(gone(False, "")),
                    amid(None if where == GATE else gone(False, "")), amid(gone(True, at, ()) if where == GATE else gone(False, at)), where=where,
                    rule=f"{to(six)} --syn -j DROP", six=six, rtt=rtt, hops=hops, soft=soft, look=((SYN,), (SYN,)), amidst=True,
                    net_more={"v6": six})
    for name, soft, where, rtt, hops, six in (
            ("curl", "curl", GATE, 20, 0, False), ("gnutls-v6", "gnutls", GATE, 100, 1, True), ("node-far", "node", GATE, 250, 3, False),
            ("at-server", "python", INPUT, 20, 0, False), ("at-server-hops", "go", INPUT, 100, 3, False)):
        no = lambda visible, at="": failed("firewall", "syn_reset", visible=visible, also=["storage_permission"], where=at)
        yield scene(f"syn-reset-{name}", client(soft), AMID,
                    f"the {where} answers the SYN with RST/ACK" + (", which never reached the server" if where == GATE else
                                                                   ", as a closed port would")
                    + "; other connections pass before and after", amid(no(False)), amid(None if where == GATE else no(False)),
                    amid(no(where == GATE, "gateway" if where == GATE else "server_side")), where=where,
                    rule=f"{to(six)} --syn -j REJECT --reject-with tcp-reset", six=six, rtt=rtt, hops=hops, soft=soft,
                    look=((SYN, RST), (SYN,) if where == GATE else (SYN, RST)), amidst=True)
    for name, soft, rtt, hops, six in (("curl", "curl", 20, 0, False), ("s-client", "s_client", 5, 1, False), ("wget", "wget", 100, 3, False),
                                       ("python-v6", "python", 250, 0, True)):
        shut = lambda at="": failed("firewall", "port_closed", "server", visible=False, also=["storage_permission"], where=at)
        yield both(f"firewall/port-closed-{name}", client(soft), FAILS, "nothing listens on the address: the host itself resets after a round trip",
                   shut(), shut(), shut("server_side"), look=((SYN, RST), (SYN, RST)), server=lambda lab: None,
                   net={"delay_ms": rtt / 2, "hops": hops, "v6": six}, hosts=SIX if six else FOUR, tools=f"Linux (no listener), {named(soft)}")
    for name, soft, where, kind, rtt, six in (
            ("port-unreachable", "curl", GATE, "icmp-port-unreachable", 20, False), ("admin-prohibited", "python", GATE, "icmp-admin-prohibited", 100, False),
            ("host-prohibited", "wget", GATE, "icmp-host-prohibited", 5, False), ("net-unreachable", "go", GATE, "icmp-net-unreachable", 250, False),
            ("v6-admin-prohibited", "curl", GATE, "icmp6-adm-prohibited", 20, True), ("v6-port-unreachable", "node", GATE, "icmp6-port-unreachable", 100, True),
            ("port-unreachable-at-server", "s_client", INPUT, "icmp-port-unreachable", 20, False),
            ("admin-prohibited-at-server", "gnutls", INPUT, "icmp-admin-prohibited", 100, False),
            ("v6-admin-prohibited-at-server", "curl", INPUT, "icmp6-adm-prohibited", 20, True)):
        no = lambda at="": failed("firewall", "icmp_prohibited", where=at)
        yield scene(f"icmp-{name}", client(soft), AMID, f"the {where} answers the SYN with ICMP ({kind}), which quotes it", amid(no()),
                    amid(None if where == GATE else no()), amid(no("gateway" if where == GATE else "server_side")), where=where,
                    rule=f"{to(six)} -j REJECT --reject-with {kind}", six=six, rtt=rtt, soft=soft, amidst=True,
                    look=((SYN, UNREACHABLE), (SYN,) if where == GATE else (SYN, UNREACHABLE)))


BY_NAME = f"-p tcp --dport 443 -m string --algo bm --string {NAME}"


def hello_rows():
    for name, soft, where, kind, tls, rtt, hops, six in (
            ("curl-tls12", "curl", GATE, "nginx", "1.2", 20, 1, False), ("s-client-apache", "s_client", GATE, "apache", "1.2 1.3", 5, 0, False),
            ("gnutls-haproxy", "gnutls", GATE, "haproxy", "1.2 1.3", 100, 3, False), ("wget-far", "wget", GATE, "nginx", "1.3", 250, 0, False),
            ("node-v6", "node", GATE, "haproxy", "1.2 1.3", 20, 1, True), ("go-s-server", "go", GATE, "s_server", "1.2", 100, 0, False),
            ("openssl4", "openssl4", GATE, "nginx", "1.2 1.3", 20, 0, False), ("python-v6", "python", GATE, "apache", "1.2", 5, 3, True),
            ("at-server-curl", "curl", INPUT, "nginx", "1.2 1.3", 20, 0, False), ("at-server-go", "go", INPUT, "haproxy", "1.3", 100, 3, False),
            ("at-server-gnutls-v6", "gnutls", INPUT, "apache", "1.2", 20, 1, True)):
        cut = lambda visible, at="", also=(): failed("firewall", "reset_after_hello", visible=visible, also=also, where=at)
        gate = where == GATE
        yield scene(f"sni-reset-{name}", client(soft), FAILS,
                    f"the {where} resets the client when its ClientHello names the host" + ("; out here the connection just stays open" if gate else
                                                                                            ", with the server's own TTL and round trip"),
                    cut(gate), cut(False, also=["nat_drop"] if gate else ()), cut(gate, "gateway" if gate else "server_side"), where=where,
                    rule=f"{BY_NAME} -j REJECT --reject-with tcp-reset", kind=kind, tls=tls, rtt=rtt, hops=hops, six=six, soft=soft,
                    look=((SYNACK, HELLO, RST), (SYNACK,) if gate else (SYNACK, HELLO, RST)))
    for name, soft, where, kind, tls, rtt, hops, six in (
            ("go", "go", GATE, "nginx", "1.2 1.3", 20, 0, False), ("s-client-haproxy", "s_client", GATE, "haproxy", "1.2", 100, 1, False),
            ("gnutls-v6", "gnutls", GATE, "apache", "1.2 1.3", 5, 0, True), ("openssl4", "openssl4", GATE, "nginx", "1.3", 20, 3, False),
            ("node-far", "node", GATE, "s_server", "1.2", 250, 0, False), ("at-server-curl", "curl", INPUT, "nginx", "1.2 1.3", 20, 0, False),
            ("at-server-wget-v6", "wget", INPUT, "haproxy", "1.2 1.3", 100, 1, True)):
        gone = lambda at="": failed("firewall", "dropped_after_hello", visible=at == "gateway", also=() if at == "gateway" else ("nat_drop",), where=at)
        gate = where == GATE
        yield scene(f"sni-dropped-{name}", client(soft, seconds=6), FAILS, f"the {where} drops each ClientHello that names the host", gone(), gone(),
                    gone("gateway" if gate else "server_side"), where=where, rule=f"{BY_NAME} -j DROP", kind=kind, tls=tls, rtt=rtt, hops=hops,
                    six=six, soft=soft, look=((SYNACK, HELLO), (SYNACK,) if gate else (SYNACK, HELLO)))
    for name, soft, kind, reply, rtt, six in (("curl", "curl", "nginx", "icmp-admin-prohibited", 20, False),
                                              ("python-far", "python", "haproxy", "icmp-host-prohibited", 250, False),
                                              ("go-v6", "go", "nginx", "icmp6-adm-prohibited", 100, True),
                                              ("port-s-client", "s_client", "apache", "icmp-port-unreachable", 5, False)):
        no = lambda visible, at="", also=(): failed("firewall", "icmp_prohibited", visible=visible, also=also, where=at)
        yield scene(f"icmp-after-hello-{name}", client(soft, seconds=6), FAILS,
                    f"the gateway answers each ClientHello that names the host with {reply}; Linux goes on resending", no(True),
                    no(False, also=["nat_drop"]), no(True, "gateway"), where=GATE, rule=f"{BY_NAME} -j REJECT --reject-with {reply}", kind=kind,
                    rtt=rtt, six=six, soft=soft, look=((HELLO, UNREACHABLE), (SYNACK,)))


def lossy_rows():
    """The same beside losses, and with a capture that begins late on one side."""
    loss = [("cn-server", "iptables -A INPUT -p tcp -m statistic --mode nth --every 5 --packet 1 -j DROP")]
    cut = lambda visible, at="", also=(): failed("firewall", "reset_after_hello", visible=visible, also=also, where=at)
    yield scene("sni-reset-lossy", client("curl"), FAILS, "the gateway resets the client when its ClientHello names the host; every fifth packet "
                "to the server is lost", cut(True), cut(False, also=["nat_drop"]), cut(True, "gateway"), where=GATE,
                rule=f"{BY_NAME} -j REJECT --reject-with tcp-reset", more_rules=loss, look=((HELLO, RST), (SYNACK,)))
    gone = lambda at="": failed("firewall", "dropped_after_hello", visible=bool(at), also=() if at else ("nat_drop",), where=at)
    yield scene("sni-dropped-lossy", client("go", seconds=6), FAILS, "the gateway drops each packet when the ClientHello names the host; every fourth packet of "
                "the server is lost", gone(), gone(), gone("gateway"), where=GATE, rule=f"{BY_NAME} -j DROP", soft="go", rtt=100,
                more_rules=[("cn-server", "iptables -A OUTPUT -p tcp -m statistic --mode nth --every 4 --packet 0 -j DROP")],
                look=((SYNACK, HELLO), (SYNACK,)))
    hole = lambda visible, at="", also=(): failed("firewall", "mtu_black_hole", visible=visible, also=also, where=at)
    yield scene("mtu-up-lossy", client("openssl4", seconds=8), FAILS, "packets over 1400 bytes vanish on their way to the server, and every fourth other one",
                hole(True), hole(False, also=["nat_drop"]), hole(True, "gateway"), where=GATE, rule="-i in0 -p tcp -m length --length 1401:65535 -j DROP",
                more_rules=[("cn-gw", "iptables -A FORWARD -p tcp -m statistic --mode nth --every 4 --packet 3 -j DROP")], soft="openssl4",
                look=(("tcp.len > 1200",), (SYNACK,)))
    shut = lambda at="": failed("firewall", "syn_dropped", visible=bool(at), also=() if at else ("nat_drop",), where=at)
    yield scene("syn-dropped-lossy", client("curl", seconds=8), AMID, "the gateway drops every SYN to the address, and every sixth packet of all else; the "
                "connections to another address work", amid(shut()), amid(None), amid(shut("gateway")), where=GATE, rule=f"-p tcp -d {WEB} --dport 443 --syn -j DROP",
                more_rules=[("cn-gw", "iptables -A FORWARD -p tcp -m statistic --mode nth --every 6 --packet 4 -j DROP")], look=((SYN,), (SYN,)), amidst=True)

    def hello_late(lab):
        sock = lab.connect(timeout=5)
        begin_late(lab)
        return net.start_tls(sock)[1]
    why = "the {} {} when the ClientHello names the host; the capture on the {} began after the TCP handshake"
    began = ("incomplete",)
    late = cut(False, also=["nat_drop"])  # without the SYN/ACK nobody knows the server's TTL and round trip
    late.also_outcome = began
    yield scene("sni-reset-inner-late", hello_late, "reset", why.format("gateway", "resets the client", "inside"), late, cut(False, also=["nat_drop"]),
                cut(True, "gateway"), where=GATE, rule=f"{BY_NAME} -j REJECT --reject-with tcp-reset", late="inside", soft="python", rtt=100,
                look=((HELLO, RST), (SYNACK,)))
    late = cut(False)
    late.also_outcome = began
    yield scene("sni-reset-outer-late", hello_late, "reset", why.format("server's host", "resets the client", "outside"), cut(False), late,
                cut(False, "server_side"), where=INPUT, rule=f"{BY_NAME} -j REJECT --reject-with tcp-reset", late="outside", soft="python", rtt=100,
                look=((HELLO, RST), (HELLO, RST)))
    gone = lambda at="", more=(): failed("firewall", "dropped_after_hello", visible=False, also=["nat_drop"], where=at, also_outcome=more)
    yield scene("sni-dropped-inner-late", hello_late, "timed out|Timeout", why.format("gateway", "drops each packet", "inside"), gone(more=began), gone(),
                gone("gateway"), where=GATE, rule=f"{BY_NAME} -j DROP", late="inside", soft="python", look=((HELLO,), (SYNACK,)))


def injected_rows():
    for name, style, at, soft, kind, tls, rtt, hops, six in (
            ("one-curl", "one", "gw", "curl", "nginx", "1.2", 100, 1, False), ("three-go", "three", "gw", "go", "haproxy", "1.3", 20, 0, False),
            ("kernel-python", "kernel", "gw", "python", "apache", "1.2 1.3", 100, 3, False), ("mimic-curl", "mimic", "gw", "curl", "nginx", "1.2 1.3", 20, 0, False),
            ("mimic-gnutls-far", "mimic", "gw", "gnutls", "nginx", "1.2", 250, 3, False), ("one-node-v6", "one", "gw", "node", "haproxy", "1.2 1.3", 20, 1, True),
            ("mimic-wget-v6", "mimic", "gw", "wget", "nginx", "1.3", 100, 0, True), ("one-beyond", "one", "path", "s_client", "nginx", "1.2 1.3", 100, 0, False),
            ("three-beyond", "three", "path", "curl", "apache", "1.2", 20, 1, False), ("kernel-beyond", "kernel", "path", "go", "haproxy", "1.2 1.3", 100, 0, False),
            ("mimic-beyond", "mimic", "path", "python", "s_server", "1.2", 100, 3, False), ("lossy-curl", "three", "gw", "curl", "nginx", "1.2", 100, 1, False),
            ("lossy-mimic", "mimic", "gw", "go", "haproxy", "1.2 1.3", 100, 3, False)):
        start = server(kind, tls)
        space, links = ("cn-gw", ("in0", "out0")) if at == "gw" else ("cn-path", ("left", "right"))

        def started(lab, start=start, space=space, links=links, style=style, lossy="lossy" in name):
            start(lab)
            if lossy:
                lab.on("cn-server", "iptables -A OUTPUT -p tcp -m statistic --mode nth --every 3 --packet 1 -j DROP")
            lab.spawn(space, [sys.executable, net.HERE / "inject.py", NAME, *links, style], ready="ready")
        cut = lambda visible, at="", more=(): failed("firewall", "injected_reset", visible=visible, where=at, also_outcome=more)
        # out here the forged reset is all that a client does that leaves, where it looks like one of the client's own
        outer = cut(False, more=("abandoned",)) if at == "gw" and style in ("mimic", "kernel") else cut(True)
        yield both(f"firewall/injected-{name}", client(soft), FAILS,
                   f"a box {'at the gateway' if at == 'gw' else 'beyond the gateway, before the server,'} forges a reset to each side ({style}); "
                   "the ClientHello itself reaches the server" + ("; every third packet of the server is lost" if "lossy" in name else ""),
                   cut(True), outer, cut(True, "gateway" if at == "gw" else "server_side"), look=((HELLO, RST), (HELLO, RST)), server=started,
                   net={"delay_ms": rtt / 2, "hops": hops, "v6": six}, hosts=SIX if six else FOUR, tools=f"Python (the box), {named(kind, soft)}")


def certificate_rows():
    by_bytes = "-i out0 -p tcp --sport 443 -m string --algo bm --string example.test"
    for name, soft, kind, rtt, hops, six, reply in (
            ("reset-curl", "curl", "nginx", 20, 0, False, "tcp-reset"), ("reset-gnutls", "gnutls", "apache", 100, 1, False, "tcp-reset"),
            ("reset-go", "go", "haproxy", 5, 3, False, "tcp-reset"), ("reset-node-v6", "node", "s_server", 20, 0, True, "tcp-reset"),
            ("dropped-curl", "curl", "haproxy", 20, 1, False, ""), ("dropped-python", "python", "apache", 100, 0, False, ""),
            ("dropped-s-client", "s_client", "s_server", 5, 0, False, ""), ("dropped-wget-v6", "wget", "nginx", 250, 3, True, "")):
        gone = lambda at="": failed("firewall", "reset_after_hello" if reply else "dropped_after_hello", visible=False, also=["nat_drop"], where=at)
        outside = gone()
        outside.visible = bool(reply)
        together = gone("gateway")
        together.visible, together.also = True, ()
        yield scene(f"certificate-{name}", client(soft, "1.2", seconds=8), FAILS,
                    "the gateway " + ("answers the server's segment with a reset in the client's name" if reply else "drops the server's segment")
                    + " when it holds a certificate of the forbidden name", gone(), outside, together, where=GATE,
                    rule=by_bytes + (f" -j REJECT --reject-with {reply}" if reply else " -j DROP"), kind=kind, tls="1.2", rtt=rtt, hops=hops, six=six,
                    soft=soft, look=((HELLO,), (HELLO, "tls.handshake.type == 11") + ((RST,) if reply else ())))


def mtu_rows():
    up = lambda size: f"-i in0 -p tcp -m length --length {size + 1}:65535 -j DROP"
    down = lambda size: f"-i out0 -p tcp -m length --length {size + 1}:65535 -j DROP"
    hole = lambda visible, at="", also=(): failed("firewall", "mtu_black_hole", visible=visible, also=also, where=at)
    full = "tcp.len > 1200"
    for name, kind, tls, rtt, hops, size, six in (("openssl4", "nginx", "1.3", 20, 0, 1400, False), ("openssl4-far", "haproxy", "1.2 1.3", 250, 3, 1492 - 60, False),
                                                  ("openssl4-v6", "nginx", "1.2 1.3", 100, 1, 1380, True)):
        yield scene(f"mtu-up-{name}", client("openssl4", seconds=8), FAILS, f"packets over {size} bytes vanish on their way to the server and no ICMP "
                    "says so: the post-quantum ClientHello needs more", hole(True), hole(False, also=["nat_drop"]), hole(True, "gateway"), where=GATE,
                    rule=up(size), kind=kind, tls=tls, rtt=rtt, hops=hops, six=six, soft="openssl4", look=((full,), (SYNACK,)))
    yield scene("mtu-up-at-server", client("openssl4", seconds=8), FAILS, "packets over 1300 bytes to the server vanish beyond both points: the "
                "post-quantum ClientHello's first segment is resent", hole(True), hole(True), hole(True, "server_side"), where=INPUT,
                rule="-p tcp -m length --length 1301:65535 -j DROP", soft="openssl4", look=((full,), (full,)))
    for name, soft, kind, tls, rtt, hops, size, six in (
            ("curl", "curl", "nginx", "1.2", 20, 0, 1400, False), ("go", "go", "haproxy", "1.2 1.3", 100, 1, 1300, False),
            ("gnutls-far", "gnutls", "apache", "1.3", 250, 3, 1420, False), ("wget-v6", "wget", "nginx", "1.2 1.3", 20, 0, 1380, True)):
        yield scene(f"mtu-down-{name}", client(soft, seconds=8), FAILS, f"packets over {size} bytes from the server vanish and no ICMP says so: the "
                    "flight's tail arrives, its start never does", hole(True), hole(True), hole(True, "gateway"), where=GATE, rule=down(size),
                    kind=kind, tls=tls, rtt=rtt, hops=hops, six=six, soft=soft, leaf="big", look=((HELLO, f"{AT_SERVER} && tcp.len > 0"), (HELLO, full)))


def tries(count, line):
    """A client that tries again and again, a little apart."""
    def run(lab):
        said = []
        for _ in range(count):
            said.append(ask(lab, line).split(":")[0])
            time.sleep(0.3)
        return " ".join(said)
    return run


def retry_rows():
    cut = lambda at="", visible=True, also=(): failed("firewall", "reset_after_hello", visible=visible, also=also, where=at)
    for name, soft, line, expect in (("loop", "s_client", tries(10, client("s_client")), "(exit (?!0)\\d+ ?){10}"), ("loop-go", "go", tries(10, client("go")), "(exit (?!0)\\d+ ?){10}"),
                                     ("curl-retry", "curl", client("curl", seconds=40, more="--retry 9 --retry-all-errors --retry-delay 1"), FAILS)):
        yield scene(f"sni-reset-ten-tries-{name}", line, expect, "the gateway resets the client when its ClientHello names the host; ten tries",
                    [cut()] * 10, [cut(visible=False, also=["nat_drop"])] * 10, [cut("gateway")] * 10, where=GATE,
                    rule=f"{BY_NAME} -j REJECT --reject-with tcp-reset", soft=soft, look=((HELLO, RST), (SYNACK,)))
    gone = lambda at="": failed("firewall", "dropped_after_hello", visible=bool(at), also=() if at else ("nat_drop",), where=at)
    yield scene("sni-dropped-ten-tries", tries(10, client("curl", seconds=2)), "(exit 28 ){9}", "the gateway drops each ClientHello that names the "
                "host; ten tries of two seconds", [gone()] * 10, [gone()] * 10, [gone("gateway")] * 10, where=GATE, rule=f"{BY_NAME} -j DROP",
                look=((HELLO,), (SYNACK,)), neighbours={"every": 0.9})
    shut = lambda at="": failed("firewall", "syn_reset", visible=bool(at), also=["storage_permission"], where=at)
    yield scene("syn-reset-ten-tries", between(client("curl", seconds=40, more="--retry 9 --retry-all-errors --retry-delay 1")), AMID,
                "the gateway answers the SYN with RST/ACK; ten tries, a sound connection to another address before and after",
                SOUND + [shut()] * 10 + SOUND, SOUND * 2, SOUND + [shut("gateway")] * 10 + SOUND, where=GATE,
                rule=f"-p tcp -d {WEB} --dport 443 --syn -j REJECT --reject-with tcp-reset", look=((SYN, RST), (SYN,)))


SCENES = [*syn_rows(), *hello_rows(), *injected_rows(), *certificate_rows(), *mtu_rows(), *retry_rows(), *lossy_rows()]
