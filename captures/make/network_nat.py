"""Captures of address translation that lost, reused or confused the connection."""

import time

import net
from net import CLIENT, NAT, OTHER, WEB
from scenes import Scene, View, completed, failed

SYN, HELLO, RST = "tcp.flags.syn == 1 && tcp.flags.ack == 0", "tls.handshake.type == 1", "tcp.flags.reset == 1"
SYNACK = "tcp.flags.syn == 1 && tcp.flags.ack == 1"
STRICT = "sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0"  # a flow seen in its middle is not picked up again
DROP_INVALID = "iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP"
FLUSH = "conntrack -F"


def flush_before_hello(lab):
    """The connection is opened, the gateway forgets it, the client says hello."""
    sock = lab.connect(timeout=8)
    time.sleep(0.5)
    lab.on("cn-gw", FLUSH, ok=False)
    return net.start_tls(sock)[1]


def flush_before_answer(lab):
    """The gateway forgets the connection while the server's answer is on its way."""
    sock = lab.connect(timeout=8)
    time.sleep(0.3)
    sock.sendall(net.client_hello())
    time.sleep(0.03)
    lab.on("cn-gw", FLUSH, ok=False)
    try:
        return f"{len(sock.recv(4096))} bytes"
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def idle_before_hello(lab):
    """As a browser does that connects early and uses the socket later."""
    sock = lab.connect(timeout=8)
    time.sleep(6)
    return net.start_tls(sock)[1]


def one_port_too_few(lab):
    """Two connections hold the NAT's two ports to this server; a third finds none."""
    held, said = [], []
    for _ in range(2):
        sock, error = net.start_tls(lab.connect())
        held.append(sock)
        said.append(error or "ok")
        time.sleep(0.1)
    try:
        lab.connect(timeout=8)
        said.append("ok")
    except OSError as error:
        said.append(f"{type(error).__name__}: {error}")
    for sock in held:
        sock.close()
    return ", ".join(said)


def plain_connect(lab):
    try:
        lab.connect(timeout=6)
        return "ok"
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def plain_hello(lab):
    return net.start_tls(lab.connect(timeout=8))[1]


# A translator without state of its own: every answer goes to the host that took the port last.
STATELESS = """
table ip cn {
  chain early { type filter hook prerouting priority raw; policy accept;
    notrack
    iifname "out0" ip daddr 203.0.113.1 ip daddr set %s
  }
  chain late { type filter hook postrouting priority srcnat; policy accept;
    oifname "out0" ip saddr 192.168.10.0/24 ip saddr set 203.0.113.1
  }
}"""


def stateless_to(host):
    def server(lab):
        lab.web()
        lab.on("cn-gw", "nft -f -", input=STATELESS % host)
    return server


def inside_server(lab):
    lab.web(space="cn-other", listen=(OTHER,))


SCENES = [
    Scene(flush_before_hello, "reset", gateway=[STRICT], net={"nat": True}, tools="conntrack, iptables, nginx, Python", views=[
        View("nat_drop/mapping-lost-inside", "inside",
             "the gateway's table was flushed before the ClientHello; it passes untranslated, the server resets what it does not know",
             [HELLO, RST], [failed("nat_drop", "mapping_lost", visible=False, also=["firewall"])]),
        View("nat_drop/mapping-lost-outside", "outside",
             "the gateway's table was flushed before the ClientHello, which leaves with its private source address; the server resets it",
             [SYN, f"ip.src == {CLIENT}", RST],
             [failed("nat_drop", "mapping_lost"), failed("nat_drop", "untranslated_leak")])]),
    Scene(flush_before_hello, "timed out|Timeout", gateway=[STRICT, DROP_INVALID], tools="conntrack, iptables, nginx, Python", views=[
        View("nat_drop/mapping-lost-silent-inside", "inside",
             "the gateway's table was flushed half a second after the handshake of TCP; it then drops the ClientHello as invalid",
             [SYNACK, HELLO], [failed("nat_drop", "mapping_lost", visible=False, also=["firewall"])]),
        View("nat_drop/mapping-lost-silent-outside", "outside",
             "the gateway's table was flushed before the ClientHello, which never comes out here", [SYNACK],
             [failed("nat_drop", "mapping_lost", visible=False, also=["firewall"])])]),
    Scene(flush_before_answer, "timed out|Timeout", net={"delay_ms": 100}, gateway=[STRICT, DROP_INVALID],
          tools="conntrack, iptables, nginx, Python", views=[
        View("nat_drop/flushed-under-reply-inside", "inside",
             "the gateway's table was flushed while the server's answer was on its way: silence", [HELLO],
             [failed("nat_drop", "mapping_lost", visible=False, also=["firewall"])]),
        View("nat_drop/flushed-under-reply-outside", "outside",
             "the gateway's table was flushed while the server's answer was on its way: the NAT's own address resets the server, at TTL 64 "
             "where the client's packets had 63", [HELLO, f"{RST} && ip.src == {NAT}"],
             [failed("nat_drop", "mapping_lost")])]),
    Scene(flush_before_hello, "reset", net={"nat": False}, tools="conntrack, iptables, nginx, Python",
          gateway=["iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE --random"], views=[
        View("nat_drop/new-port-inside", "inside",
             "the gateway's table was flushed before the ClientHello, which got a new external port; the server resets that",
             [HELLO, RST], [failed("nat_drop", "mapping_lost", visible=False, also=["firewall"])]),
        View("nat_drop/new-port-outside", "outside",
             "the gateway's table was flushed before the ClientHello, which leaves from another external port than the SYN did",
             [SYN, HELLO, RST],
             [failed("nat_drop", "mapping_lost", visible=False, also=["firewall"]), failed("nat_drop", "mapping_lost")])]),
    Scene(idle_before_hello, "timed out|Timeout", tools="iptables, nginx, Python",
          gateway=[STRICT, DROP_INVALID, "sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established=3"], views=[
        View("nat_drop/idle-timeout-inside", "inside",
             "the gateway forgets idle connections after 3 s; the client opened one, waited 6 s and said hello: silence",
             [SYNACK, HELLO], [failed("nat_drop", "idle_timeout", visible=False, also=["firewall"])]),
        View("nat_drop/idle-timeout-outside", "outside",
             "the gateway forgets idle connections after 3 s; the client's hello after 6 s never comes out here", [SYNACK],
             [failed("nat_drop", "idle_timeout", visible=False, also=["firewall"])])]),
    Scene(one_port_too_few, "ok, ok, .*(timed out|Timeout)", net={"nat": False}, tools="iptables, nginx, Python",
          gateway=["iptables -t nat -A POSTROUTING -p tcp -o out0 -j MASQUERADE --to-ports 40000-40001"], views=[
        View("nat_drop/ports-exhausted-inside", "inside",
             "the gateway has two external ports for this server; two connections hold them, the third gets no answer", [SYN],
             [completed(), completed(), failed("nat_drop", "port_exhausted", visible=False, also=["firewall"])])]),
    Scene(plain_connect, "timed out|Timeout", net={"nat": False, "other": True}, server=stateless_to(OTHER),
          tools="nftables (stateless translation), nginx, Python", views=[
        View("nat_drop/port-collision-inside", "inside",
             "the gateway delivers the SYN/ACK to another inside host, which resets it", [SYN, SYNACK, f"{RST} && ip.src == {OTHER}"],
             [failed("nat_drop", "port_reuse")]),
        View("nat_drop/port-collision-outside", "outside",
             "the gateway delivers the SYN/ACK to another inside host, which resets it: each SYN/ACK is reset", [SYN, SYNACK, RST],
             [failed("nat_drop", "port_reuse", visible=False, also=["firewall"])])]),
    Scene(plain_connect, "timed out|Timeout", net={"other": True}, server=inside_server, tools="iptables, nginx, Python",
          gateway=[f"iptables -t nat -A PREROUTING -i in0 -d {WEB} -p tcp --dport 443 -j DNAT --to-destination {OTHER}"], views=[
        View("nat_drop/hairpin-inside", "inside",
             "the gateway redirects the SYN to a server beside the client, which answers directly, from its own address",
             [SYN, SYNACK, RST], [failed("nat_drop", "hairpin")], place=("cn-client", "eth0"))]),
    Scene(plain_hello, "timed out|Timeout", net={"nat": False}, tools="iptables, nginx, Python",
          gateway=["iptables -t raw -A PREROUTING -i out0 -j NOTRACK", DROP_INVALID], views=[
        View("nat_drop/asymmetric-inside", "inside",
             "a stateful gateway that never saw the SYN/ACK (it came another way) drops the client's ACK and ClientHello: "
             "the server repeats its SYN/ACK", [SYN, SYNACK, HELLO], [failed("nat_drop", "asymmetric", visible=False, also=["firewall"])])]),
]
