"""Captures of a policy on the path that ends the handshake."""

import sys

import net
from net import NAME
from scenes import Scene, View, completed, curl, failed

TO_443 = "-A FORWARD -p tcp --dport 443"
BY_NAME = f"-m string --algo bm --string {NAME}"
SYN, HELLO, RST = "tcp.flags.syn == 1 && tcp.flags.ack == 0", "tls.handshake.type == 1", "tcp.flags.reset == 1"
SYNACK = "tcp.flags.syn == 1 && tcp.flags.ack == 1"
BIG = ",".join(f"protocol-{n:03}" for n in range(120)) + ",http/1.1"


def big_hello(lab):
    """A ClientHello over two segments: the length of one with a post-quantum key share, here a long ALPN list."""
    context = net.tls_context()
    context.set_alpn_protocols(BIG.split(","))
    _, said = net.start_tls(lab.connect(timeout=8), context=context)
    return said


def censor(links, style):
    def server(lab):
        lab.web()
        lab.spawn("cn-gw", [sys.executable, net.HERE / "inject.py", NAME, *links, style], ready="ready")
    return server


def two_names(lab):
    """A name that is let through, then the one that is not: same client, same server."""
    first = lab.on("cn-client", curl(url="https://mail.example.test/", address="").split()
                   + ["--resolve", f"mail.example.test:443:{net.WEB}", "--insecure"], ok=False)
    second = lab.on("cn-client", curl(), ok=False)
    return f"mail: exit {first.returncode}; www: exit {second.returncode}: {second.stderr}"


SCENES = [
    Scene(curl("--connect-timeout 12"), "exit 28", gateway=[f"iptables {TO_443} --syn -j DROP"], tools="iptables, curl", views=[
        View("firewall/syn-dropped", "inside", "the gateway drops every SYN to port 443", [SYN],
             [failed("firewall", "syn_dropped", visible=False, also=["nat_drop"])])]),
    Scene(curl("--connect-timeout 8"), "exit 28", tools="iptables, nginx, curl",
          gateway=["iptables -A FORWARD -p tcp --sport 443 --tcp-flags SYN,ACK SYN,ACK -j DROP"], views=[
        View("firewall/syn-ack-dropped-inside", "inside", "the gateway lets the SYN out and drops the SYN/ACK", [SYN],
             [failed("firewall", "syn_dropped", visible=False, also=["nat_drop"])]),
        View("firewall/syn-ack-dropped-outside", "outside",
             "the gateway lets the SYN out and drops the SYN/ACK: both sides repeat theirs", [SYN, SYNACK],
             [failed("firewall", "syn_dropped", visible=False, also=["nat_drop"])])]),
    Scene(curl(), "exit 7", gateway=[f"iptables {TO_443} --syn -j REJECT --reject-with tcp-reset"], tools="iptables, curl", views=[
        View("firewall/syn-reset", "inside", "the gateway answers the SYN with RST/ACK at once, with its own TTL", [SYN, RST],
             [failed("firewall", "syn_reset", visible=False, also=["storage_permission"])])]),
    Scene(curl(), "exit 7", tools="Linux (no listener), curl", views=[
        View("firewall/port-closed", "inside", "nothing listens on the address: the host itself resets after a round trip",
             [SYN, RST], [failed("firewall", "port_closed", "server", visible=False, also=["storage_permission"])])],
          server=lambda lab: None),
    Scene(curl(), "exit 7", gateway=[f"iptables {TO_443} -j REJECT --reject-with icmp-admin-prohibited"], tools="iptables, curl",
          views=[View("firewall/icmp-admin-prohibited", "inside", "the gateway answers the SYN with ICMP 3/13, which quotes it",
                      [SYN, "icmp.type == 3 && icmp.code == 13"], [failed("firewall", "icmp_prohibited")])]),
    Scene(curl(), "exit 7", gateway=[f"iptables {TO_443} -j REJECT --reject-with icmp-host-prohibited"], tools="iptables, curl",
          views=[View("firewall/icmp-host-prohibited", "inside", "the gateway answers the SYN with ICMP 3/10, which quotes it",
                      [SYN, "icmp.type == 3 && icmp.code == 10"], [failed("firewall", "icmp_prohibited")])]),
    Scene(curl("-6", address=f"[{net.WEB6}]"), "exit 7", net={"v6": True}, tools="iptables, curl",
          gateway=[f"ip6tables {TO_443} -j REJECT --reject-with icmp6-adm-prohibited"], views=[
        View("firewall/icmp6-admin-prohibited", "inside", "the gateway answers the SYN with ICMPv6 1/1, which quotes it",
             [SYN, "icmpv6.type == 1 && icmpv6.code == 1"], [failed("firewall", "icmp_prohibited")])]),
    Scene(curl("--max-time 8"), "exit 28", tools="iptables, nginx, curl",
          gateway=[f"iptables {TO_443} {BY_NAME} -j REJECT --reject-with icmp-admin-prohibited"], views=[
        View("firewall/icmp-after-hello", "inside",
             "the gateway answers each ClientHello that names the host with ICMP 3/13; Linux goes on resending",
             [HELLO, "icmp.type == 3 && icmp.code == 13"], [failed("firewall", "icmp_prohibited")])]),
    Scene(curl(), "exit 35", tools="iptables, nginx, curl",
          gateway=[f"iptables {TO_443} {BY_NAME} -j REJECT --reject-with tcp-reset"], views=[
        View("firewall/sni-reset-inside", "inside",
             "the gateway resets the connection when a ClientHello names the host: bare RST, a hop nearer, before the round trip",
             [SYNACK, HELLO, RST], [failed("firewall", "reset_after_hello")]),
        View("firewall/sni-reset-outside", "outside",
             "the gateway resets the client when its ClientHello names the host; out here the connection just stays open", [SYNACK],
             [failed("firewall", "reset_after_hello", visible=False, also=["nat_drop"])])]),
    Scene(two_names, "mail: exit 0; www: exit 35", tools="iptables, nginx, curl",
          gateway=[f"iptables {TO_443} {BY_NAME} -j REJECT --reject-with tcp-reset"], views=[
        View("firewall/sni-reset-beside-success", "inside",
             "same client and server: mail.example.test is let through, www.example.test is reset by the gateway", [HELLO, RST],
             [completed(), failed("firewall", "reset_after_hello")])]),
    Scene(curl("--max-time 10"), "exit 28", tools="iptables, nginx, curl", gateway=[f"iptables {TO_443} {BY_NAME} -j DROP"], views=[
        View("firewall/sni-dropped-inside", "inside", "the gateway drops each ClientHello that names the host", [SYNACK, HELLO],
             [failed("firewall", "dropped_after_hello", visible=False, also=["nat_drop"])]),
        View("firewall/sni-dropped-outside", "outside",
             "the gateway drops each ClientHello that names the host: out here only the client's FIN follows the ACK",
             [SYNACK], [failed("firewall", "dropped_after_hello", visible=False, also=["nat_drop"])])]),
    Scene(curl(), "exit 35", server=censor(("in0", "-"), "three"), tools="Python, nginx, curl", views=[
        View("firewall/injected-reset-client", "inside",
             "a box beside the path forges three RST/ACKs to the client; the server's real answer follows them",
             [HELLO, RST, "ip.src == 203.0.113.10 && tcp.flags.reset == 0"], [failed("firewall", "injected_reset")])]),
    Scene(curl(), "exit 35", server=censor(("in0", "out0"), "one"), tools="Python, nginx, curl", views=[
        View("firewall/injected-reset-both-inside", "inside",
             "a box beside the path forges a RST to each side; the server's real ACK follows the RST in its name",
             [HELLO, RST, "ip.src == 203.0.113.10"], [failed("firewall", "injected_reset")]),
        View("firewall/injected-reset-both-outside", "outside",
             "a box beside the path forges a RST to each side; out here one in the client's name follows its ClientHello",
             [HELLO, RST], [failed("firewall", "injected_reset")])]),
    Scene(big_hello, "timed out|TimeoutError", tools="iptables, nginx, Python",
          gateway=["iptables -A FORWARD -i in0 -p tcp -m length --length 1401:65535 -j DROP"], views=[
        View("firewall/mtu-black-hole-up-inside", "inside",
             "packets over 1400 bytes vanish on their way to the server and no ICMP says so: the ClientHello's first segment is resent",
             ["tcp.len > 1300", "tcp.options.sack_le"],
             [failed("firewall", "mtu_black_hole")]),
        View("firewall/mtu-black-hole-up-outside", "outside",
             "packets over 1400 bytes vanish before this link: the ClientHello's first segment never comes",
             [SYNACK, "tcp.len > 0", "tcp.options.sack_le"],
             [failed("firewall", "mtu_black_hole", visible=False, also=["nat_drop"])])]),
    Scene(curl("--max-time 10"), "exit 28", tools="iptables, nginx, curl", server=lambda lab: lab.web(leaf="big"),
          gateway=["iptables -A FORWARD -i out0 -p tcp -m length --length 1401:65535 -j DROP"], views=[
        View("firewall/mtu-black-hole-down-inside", "inside",
             "packets over 1400 bytes from the server vanish and no ICMP says so: the flight's tail arrives, its start never does",
             [HELLO, "ip.src == 203.0.113.10 && tcp.len > 0"], [failed("firewall", "mtu_black_hole")]),
        View("firewall/mtu-black-hole-down-outside", "outside",
             "packets over 1400 bytes from the server vanish behind this link and no ICMP says so: full segments are resent",
             [HELLO, "tcp.len > 1300", "tcp.options.sack_le"], [failed("firewall", "mtu_black_hole")])]),
]
