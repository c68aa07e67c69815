"""Handshakes in unusual wrapping: tunnels, proxies, other protocols on TLS ports, odd links. For files changed afterwards see odd.py."""

import os
import sys
import time

import net
from net import NAME, SECOND, WEB
from scenes import Attempt, Scene, View, completed, curl, failed

HELLO, FIN, SYN = "tls.handshake.type == 1", "tcp.flags.fin == 1", "tcp.flags.syn == 1 && tcp.flags.ack == 0"
TUNNEL = ("cn-path", "tunnel0")
NOT_TLS = Attempt("not_tls")


def tunnel(kind, why, mtu=1400, expect="exit 0", attempts=None, server=None, options=""):
    attempts = attempts or [completed()]
    return Scene(curl(options), expect, net={"wrap": kind, "mtu": mtu}, server=server,
                 tools="nginx, curl, Python (the tunnel's ends)", views=[
        View(f"odd/tunnel-{kind}" if kind not in ("vlan", "qinq") else f"odd/{kind}", "outside", why, [HELLO], attempts,
             place=TUNNEL, only="")])


def helper(kind, space="cn-server", address=WEB):
    """Starts one of the small servers of peers.py."""
    def server(lab):
        if kind in ("connect", "socks5"):
            lab.web()
        lab.spawn(space, [sys.executable, net.HERE / "peers.py", kind, address, net.KEYS], ready="ready")
    return server


def ssh(lab):
    """An SSH server that was put on port 443; the client is ssh-keyscan, which only reads keys."""
    key = lab.work / "host"
    net.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    (lab.work / "sshd_config").write_text(f"ListenAddress {WEB}:443\nHostKey {key}\nPidFile none\nUsePAM no\n")
    os.makedirs("/run/sshd", exist_ok=True)
    lab.spawn("cn-server", ["/usr/sbin/sshd", "-D", "-f", lab.work / "sshd_config"])
    time.sleep(0.5)


def vxlan(lab):
    """The kernel's VXLAN between gateway and server, capture on the link below it."""
    for space, link, own, peer, address in (("cn-gw", "out0", "203.0.113.1", "203.0.113.10", "172.16.5.1"),
                                            ("cn-server", "eth0", "203.0.113.10", "203.0.113.1", "172.16.5.2")):
        lab.on(space, f"ip link add vx0 type vxlan id 77 dstport 4789 local {own} remote {peer} dev {link}")
        lab.on(space, f"ip addr add {address}/24 dev vx0")
        lab.on(space, "ip link set vx0 mtu 1400 up")
    lab.on("cn-gw", "iptables -t nat -A POSTROUTING -o vx0 -j MASQUERADE")
    lab.web(listen=("172.16.5.2",))
    lab.on("cn-gw", ["curl", "-sk", "-o", "/dev/null", "https://172.16.5.2/"], ok=False)


def upload(lab):
    """A ClientHello longer than the link's MTU, handed to the link as one super-segment."""
    context = net.tls_context()
    context.set_alpn_protocols([f"protocol-{n:03}" for n in range(280)] + ["http/1.1"])
    sock, error = net.start_tls(lab.connect(), context=context)
    sock.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
    sock.recv(4096)
    sock.close()
    return error or "200"


def fragmenting(lab):
    lab.on("cn-server", "sysctl -qw net.ipv4.ip_no_pmtu_disc=1")
    lab.on("cn-gw", "ip link set in0 mtu 600")
    lab.web(leaf="big")


SCENES = [
    tunnel("vlan", "one VLAN tag (101)", mtu=1500),
    tunnel("qinq", "two VLAN tags (802.1ad 10, 802.1Q 101)", mtu=1500),
    tunnel("mpls", "two MPLS labels"),
    tunnel("gre", "IP in GRE"),
    tunnel("gre-key", "IP in GRE with a key"),
    tunnel("ipip", "IPv4 in IPv4"),
    tunnel("geneve", "Ethernet in GENEVE"),
    tunnel("gtp", "IP in GTP-U"),
    tunnel("pppoe", "PPPoE session"),
    tunnel("erspan", "Ethernet in ERSPAN type II"),
    Scene(curl("-6", address=f"[{net.WEB6}]"), "exit 0", net={"wrap": "ipip", "mtu": 1400, "v6": True},
          tools="nginx, curl, Python (the tunnel's ends)", views=[
        View("odd/tunnel-6in4", "outside", "IPv6 in IPv4 (protocol 41)", [HELLO], [completed()], place=TUNNEL, only="")]),
    Scene(curl(address="172.16.5.2"), "exit 0", server=vxlan, tools="Linux (vxlan), nginx, curl", views=[
        View("odd/tunnel-vxlan", "outside", "Ethernet in the kernel's VXLAN", [HELLO], [completed()], only="udp port 4789")]),
    Scene(curl("--tls-max 1.2"), "exit 60", net={"wrap": "gre", "mtu": 1400}, server=lambda lab: lab.web(leaf="parked"),
          tools="nginx, curl, Python (the tunnel's ends)", views=[
        View("odd/tunnel-gre-name-mismatch", "outside", "inside GRE, a certificate that names parked.example.net only",
             [HELLO, "tls.handshake.type == 11"], [failed("name_mismatch", "san_mismatch", "server")], place=TUNNEL, only="")]),
    Scene(curl(), "exit 0", server=fragmenting, tools="Linux (gateway with an MTU of 600, server without DF), nginx, curl", views=[
        View("odd/ipv4-fragments", "inside", "the server's big packets reach the client in IPv4 fragments",
             [HELLO, "ip.flags.mf == 1", "ip.frag_offset > 0"], [completed()], only="ip")]),
    Scene(curl(), "exit 0", views=[
        View("odd/cooked-sll2", "inside", "tcpdump -i any on the client: Linux cooked v2", [HELLO], [completed()],
             place=("cn-client", "any")),
        View("odd/cooked-sll", "inside", "tcpdump -i any -y LINUX_SLL on the client: Linux cooked v1", [HELLO], [completed()],
             place=("cn-client", "any"), tcpdump=("-y", "LINUX_SLL")),
        View("odd/any-on-the-gateway", "inside",
             "tcpdump -i any on the gateway: every packet twice, before and after its translation (two flows, one handshake)",
             [HELLO], [completed(), completed()], place=("cn-gw", "any")),
        View("odd/nanosecond", "inside", "nanosecond pcap", [HELLO], [completed()], tcpdump=("--nano",)),
        View("odd/snaplen-96", "inside", "tcpdump -s 96: no ClientHello is whole", [SYN, FIN], [Attempt("incomplete")],
             tcpdump=("-s", "96"))]),
    Scene(curl(), "exit 0", net={"relay": False, "offload": True}, server=lambda lab: lab.web(leaf="big"), views=[
        View("odd/offload-down", "inside", "segments larger than the MTU with unfinished checksums, as on a host with TSO: the server's flight",
             [HELLO, "tcp.len > 1460"], [completed()])]),
    Scene(upload, "200", net={"relay": False, "offload": True}, tools="nginx, Python", views=[
        View("odd/offload-up", "inside", "the ClientHello is one segment larger than the MTU with an unfinished checksum, as on a host with TSO",
             [HELLO, "tcp.len > 1460"], [completed()])]),
    Scene(f"curl -sS -o /dev/null http://{WEB}:443/", "exit 0", server=helper("http"), tools="Python (http.server), curl", views=[
        View("odd/http-on-443", "inside", "plain HTTP on port 443", ["tcp.len > 0"], [NOT_TLS])]),
    Scene(f"ssh-keyscan -T 5 -p 443 -t ed25519 {WEB}", "exit 0", server=ssh, tools="OpenSSH", views=[
        View("odd/ssh-on-443", "inside", "SSH on port 443", ["tcp.len > 0"], [NOT_TLS])]),
    Scene(curl(), "exit 35.*wrong version number", server=helper("http"), tools="Python (http.server), curl", views=[
        View("odd/tls-to-plain-http", "inside", "the client says hello to a server of plain HTTP, which answers 400 in clear",
             [HELLO, "tcp.srcport == 443 && tcp.len > 0"],
             [failed("protocol_version", "plain_text_peer", "server")])]),
    Scene(curl(f"--proxy http://{SECOND}:3128", address=""), "exit 0", server=helper("connect", address=SECOND),
          tools="Python (proxy), nginx, curl", views=[
        View("odd/http-connect", "inside", "TLS after HTTP CONNECT to a proxy on port 3128", ["tcp.len > 0", HELLO], [completed()])]),
    Scene(curl(f"--proxy http://{SECOND}:3128", url="https://nowhere.example.test/", address=""), "exit 56",
          server=helper("connect", address=SECOND), tools="Python (proxy), curl", views=[
        View("odd/http-connect-refused", "inside", "the proxy leads to www.example.test alone, and answers 502 without a reason: TLS is never tried", ["tcp.len > 0"],
             [failed("firewall", "proxy_refused", visible=False)])]),
    Scene(curl(f"--socks5-hostname {SECOND}:1080", address=""), "exit 0", server=helper("socks5", address=SECOND),
          tools="Python (proxy), nginx, curl", views=[
        View("odd/socks5", "inside", "TLS after SOCKS5 to a proxy on port 1080", ["tcp.len > 0", HELLO], [completed()])]),
    Scene(["sh", "-c", f"echo QUIT | openssl s_client -connect {WEB}:25 -starttls smtp -CAfile {net.ROOT} "
           "-verify_return_error -servername mail.example.test -verify_hostname mail.example.test -quiet"],
          "exit 0", server=helper("smtp"), tools="Python (SMTP), OpenSSL", views=[
        View("odd/starttls-smtp", "inside", "TLS after STARTTLS on port 25", ["tcp.len > 0", HELLO], [completed()])]),
    Scene(["sh", "-c", f"echo QUIT | openssl s_client -connect {WEB}:25 -starttls smtp -CAfile {net.ROOT} -tls1_2 "
           "-verify_return_error -servername smtp.example.test -verify_hostname smtp.example.test -quiet"],
          "exit 1.*[Hh]ostname mismatch", server=helper("smtp"), tools="Python (SMTP), OpenSSL", views=[
        View("odd/starttls-smtp-name-mismatch", "inside",
             "TLS after STARTTLS; the certificate names mail.example.test, the client wants smtp.example.test",
             [HELLO, "tls.handshake.type == 11", "tls.alert_message"], [failed("name_mismatch", "san_mismatch", "server")])]),
    Scene(["sh", "-c", f"echo QUIT | openssl s_client -connect {WEB}:25 -starttls smtp -CAfile {net.ROOT} "
           "-servername mail.example.test -quiet"], "exit 1", server=helper("smtp-454"), tools="Python (SMTP), OpenSSL", views=[
        View("odd/starttls-smtp-454", "inside", "the server offers STARTTLS and answers 454 TLS not available",
             ["tcp.len > 0"], [failed("storage_permission", "no_certificate_loaded", "server", visible=False, also=["protocol_version"])])]),
    Scene(curl(), "exit 0", server=lambda lab: lab.web(leaf="big"), views=[
        View("odd/base-big-flight", "inside", "a server flight over several segments, nothing wrong", [HELLO], [completed()])]),
]
