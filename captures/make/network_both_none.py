"""Sound connections, and attempts that their client gave up, each run recorded on both sides of the gateway."""

import signal
import socket
import struct
import threading
import time

import net
from net import NAME, NAT, WEB, WEB6
from network_none import FIN, HELLO, RST, SYN, SYNACK, goodbye, idle_preconnect, long_lived, stop_after_hello
from network_stacks import ask, client, named, server
from scenes import Attempt, both, completed, failed

ABANDONED = Attempt("abandoned")
FOUR, SIX = {NAME: WEB}, {NAME: WEB6}
LINGER = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def same(name, line, expect, why, attempts, look=(HELLO,), **more):
    """Both sides show the same."""
    attempts = attempts if isinstance(attempts, list) else [attempts]
    return both(f"none/{name}", line, expect, why, attempts, attempts, attempts, look=(look, look), **more)


def healthy_rows():
    for name, soft, kind, tls, rtt, hops, six, rule in (
            ("curl-nginx", "curl", "nginx", "1.3", 5, 0, False, None), ("gnutls-haproxy", "gnutls", "haproxy", None, 100, 1, False, None),
            ("node-apache-v6", "node", "apache", None, 20, 3, True, None), ("go-s-server-far", "go", "s_server", "1.2", 250, 0, False, None),
            ("openssl4-nginx", "openssl4", "nginx", None, 20, 3, False, None), ("wget-haproxy", "wget", "haproxy", "1.2", 100, 0, False, None),
            ("s-client-apache", "s_client", "apache", "1.2", 20, 0, False, None), ("python-random-ports", "python", "nginx", None, 100, 0, False,
                                                                                 "iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE --random-fully"),
            ("curl-snat", "curl", "apache", None, 20, 1, False, f"iptables -t nat -A POSTROUTING -o out0 -p tcp -j SNAT --to-source {NAT}:1024-2047")):
        yield same(f"nat-{name}", client(soft, tls), "^exit 0", "nothing is wrong" + ("" if six else ", through address translation"), completed(),
                   server=server(kind), net={"delay_ms": rtt / 2, "hops": hops, "v6": six, "nat": not rule}, gateway=[rule] if rule else [],
                   hosts=SIX if six else FOUR, tools=f"iptables, {named(kind, soft)}")


def lossy_rows():
    every = "-p tcp -m statistic --mode nth --every {} --packet {} -j DROP"
    down, up = f"iptables -A FORWARD -i out0 {every}", f"iptables -A FORWARD -i in0 {every}"
    for name, soft, kind, tls, rtt, rules, at_server in (
            ("gateway-openssl4", "openssl4", "nginx", "1.3", 20, [down.format(4, 1), up.format(5, 2)], []),
            ("gateway-gnutls", "gnutls", "haproxy", "1.2", 100, [down.format(3, 1)], []),
            ("gateway-syn-ack", "curl", "nginx", None, 20, ["iptables -A FORWARD -p tcp --tcp-flags SYN,ACK SYN,ACK -m statistic --mode nth --every 9 --packet 0 -j DROP"], []),
            ("gateway-hello", "go", "apache", None, 100, [f"iptables -A FORWARD -p tcp --dport 443 -m string --algo bm --string {NAME} -m statistic --mode nth --every 2 --packet 0 -j DROP"], []),
            ("gateway-big-flight", "python", "nginx", "1.2", 20, [down.format(3, 2)], []),
            ("beyond-curl", "curl", "haproxy", "1.2", 20, [], [f"iptables -A INPUT {every.format(4, 2)}", f"iptables -A OUTPUT {every.format(5, 1)}"]),
            ("beyond-node-far", "node", "nginx", None, 250, [], [f"iptables -A OUTPUT {every.format(3, 1)}"])):
        def start(lab, kind=kind, at_server=at_server, name=name):
            server(kind, leaf="big" if "big" in name else "www")(lab)
            for command in at_server:
                lab.on("cn-server", command)
        yield same(f"lossy-{name}", client(soft, tls), "^exit 0", "packets are lost " + ("on the gateway" if rules else "beyond it") +
                   "; they are sent again and it works", completed(), server=start, look=(), gateway=rules, net={"delay_ms": rtt / 2}, hosts=FOUR,
                   tools=f"iptables, {named(kind, soft)}")


def killed(line, after, how=signal.SIGKILL):
    """A client that is killed in the middle of its handshake."""
    def run(lab):
        process = lab.spawn("cn-client", line)
        time.sleep(after)
        process.send_signal(how)
        return f"exit {process.wait()}"
    return run


def vanishes(lab):
    """The client is gone from one moment to the next, after its ClientHello: nothing of it is heard again."""
    sock = lab.connect()
    sock.sendall(net.client_hello())
    time.sleep(0.03)
    lab.on("cn-client", "ip link set eth0 down")
    time.sleep(6)
    sock.close()
    return "gone"


def says_nothing(lab):
    """Connects and never says hello; the server's patience ends first."""
    sock = lab.connect(timeout=20)
    try:
        return f"{len(sock.recv(10))} bytes"
    except OSError as error:
        return type(error).__name__


def flushed_and_healed(lab):
    """The table is flushed; loose tracking and the same port bring the connection back."""
    sock = lab.connect(timeout=8)
    time.sleep(0.3)
    lab.on("cn-gw", "conntrack -F", ok=False)
    tls, error = net.start_tls(sock)
    lab.on("cn-gw", "conntrack -F", ok=False)
    return net.with_tls(tls, error)


def late_reset_after_close(lab):
    """The client has closed; the server's last data meet a socket that is gone."""
    tls, error = net.start_tls(lab.connect())
    tls.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    tls.setsockopt(*LINGER)
    tls.close()
    return error or "closed"


def unread_close(lab):
    """The client has its answer and closes with more unread: its kernel resets."""
    tls, error = net.start_tls(lab.connect())
    for _ in range(3):
        tls.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    time.sleep(0.5)
    tls.recv(10)
    tls.close()
    return error or "closed"


def both_families(lab):
    lab.web()
    lab.resolver(f"--host-record={NAME},{WEB},{WEB6}")


def preconnects(lab):
    """Three connections at once, of which the page needs one."""
    opened = [net.start_tls(lab.connect()) for _ in range(3)]
    said = net.with_tls(*opened[1])
    time.sleep(1)
    for sock, _ in (opened[0], opened[2]):
        goodbye(sock)
    return said + "".join(error for _, error in opened)


def python_server(behaviour):
    """A server of Python's ssl that ends each connection in its own way."""
    def start(lab):
        with net.inside("cn-server"):
            listen = socket.create_server((WEB, 443))
        context = net.ssl.SSLContext(net.ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(net.KEYS / "www.pem", net.KEYS / "www.key")

        def serve():
            while True:
                try:
                    behaviour(listen.accept()[0], context)
                except OSError:
                    return
        lab.listener = listen
        threading.Thread(target=serve, daemon=True).start()
    return start


def reset_at_once(sock, _):
    sock.setsockopt(*LINGER)
    sock.close()


def reset_after_hello(sock, _):
    sock.recv(4096)
    sock.setsockopt(*LINGER)
    sock.close()


def reset_after_fin(sock, context):
    """Answers, waits until the client has closed, and then resets instead of closing."""
    tls = context.wrap_socket(sock, server_side=True)
    tls.recv(4096)
    tls.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
    try:
        while tls.recv(4096):
            pass
    except OSError:
        pass
    time.sleep(0.2)
    tls.setsockopt(*LINGER)
    tls.close()


def reset_after_answer(sock, context):
    """Answers and resets at once, as a server does with a request's rest unread."""
    tls = context.wrap_socket(sock, server_side=True)
    tls.recv(10)
    tls.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
    time.sleep(0.3)
    tls.setsockopt(*LINGER)
    tls.close()


def synproxy(space):
    """The kernel's SYN proxy answers SYNs in the server's name and then splices, with sequence numbers of its own."""
    chain = "FORWARD" if space == "cn-gw" else "INPUT"

    def start(lab):
        lab.web()
        for command in ("sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0", "sysctl -qw net.ipv4.tcp_syncookies=1",
                        "iptables -t raw -A PREROUTING -p tcp --dport 443 --syn -j CT --notrack",
                        f"iptables -A {chain} -p tcp --dport 443 -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --sack-perm --timestamp"
                        " --wscale 7 --mss 1460"):
            lab.on(space, command)
    return start


def balanced(lab):
    """A balancer in front of real servers: the SYN/ACK comes from it, what follows from a host two hops behind."""
    lab.web()
    lab.on("cn-server", "iptables -t mangle -A OUTPUT -p tcp --sport 443 --tcp-flags SYN NONE -j TTL --ttl-dec 2")


def through_haproxy(lab):
    """HAProxy hands TCP on to nginx at another address."""
    lab.web(listen=(net.SECOND,))
    folder = lab.work / "balancer"
    folder.mkdir()
    (folder / "haproxy.cfg").write_text(
        f"defaults\n  mode tcp\n  timeout client 20s\n  timeout connect 5s\n  timeout server 20s\nlisten web\n  bind {WEB}:443\n  server a {net.SECOND}:443\n")
    lab.spawn("cn-server", ["haproxy", "-db", "-f", folder / "haproxy.cfg"])
    net.until(lambda: lab._open("cn-server", WEB))


def many(lab):
    """Ten connections in turn, all sound."""
    return " ".join(net.with_tls(*net.start_tls(lab.connect())) for _ in range(5))


SERVER_GAVE_UP = Attempt("abandoned", also_outcome=("failed", "incomplete"))


def ending_rows():
    for name, soft, rtt, after in (("kill-9-curl", "curl", 400, 0.66), ("ended-wget", "wget", 400, 0.66)):
        how = signal.SIGKILL if "kill" in name else signal.SIGTERM
        yield same(f"client-{name}", killed(client(soft)[2].split(), after, how), r"exit -(9|15)$", "the client is ended by its user while the server's answer "
                   "is on its way", Attempt("abandoned", also_outcome=("incomplete",)), net={"delay_ms": rtt / 2}, hosts=FOUR,
                   tools=f"nginx, {named(soft)}")
    yield same("client-aborts-rst", stop_after_hello(True), "closed", "the client resets 5 ms after its ClientHello, before any answer can be there",
               ABANDONED, look=(HELLO, RST), net={"delay_ms": 25}, tools="nginx, Python")
    yield same("client-aborts-fin", stop_after_hello(False), "closed", "the client closes 5 ms after its ClientHello, before any answer can be there",
               ABANDONED, look=(HELLO, FIN), net={"delay_ms": 50}, tools="nginx, Python")
    yield same("client-vanishes", vanishes, "gone", "the client loses its own link after its ClientHello: the server's answer is sent again and again, and "
               "nobody can tell whether the user left or the link failed", Attempt("abandoned", also_outcome=("incomplete", "failed")),
               net={"delay_ms": 50}, tools="nginx, Python")
    yield same("half-open", says_nothing, "bytes|Error", "the client connects and says nothing; the server ends it after two seconds", ABANDONED,
               look=(SYN, FIN), server=lambda lab: lab.web(extra="client_header_timeout 2s;"), tools="nginx, Python")
    yield same("keep-alive", long_lived, "3 answers", "three requests on one connection, 3 s apart", completed(), look=(HELLO, FIN),
               net={"delay_ms": 50}, tools="nginx, Python")
    yield same("preconnects", preconnects, "^ok$", "three connections at once, of which the client needs one; it closes the others unused",
               [Attempt("completed", also_outcome=("abandoned",)), completed(), Attempt("completed", also_outcome=("abandoned",))], tools="nginx, Python")
    yield same("preconnect-idle", idle_preconnect, "unused", "the client completes the handshake, sends nothing for two seconds and closes",
               Attempt("completed", also_outcome=("abandoned",)), net={"delay_ms": 50, "hops": 1}, tools="nginx, Python")
    yield same("client-resets-at-end", late_reset_after_close, "closed", "the client asks and resets at once, while the answer is on its way", completed(),
               look=(HELLO, RST), net={"delay_ms": 50}, tools="nginx, Python")
    yield same("client-leaves-unread", unread_close, "closed", "the client closes with data unread: its kernel resets", completed(), look=(HELLO,),
               tools="nginx, Python")
    yield same("server-resets-after-fin", client("curl"), "^exit 0", "the server resets after the client's FIN, when all is said", completed(),
               look=(HELLO, RST), server=python_server(reset_after_fin), hosts=FOUR, tools="Python, curl")
    yield same("server-resets-after-answer", client("curl"), "^exit (0|56)", "the server answers and then resets instead of closing", completed(),
               look=(HELLO, RST), server=python_server(reset_after_answer), hosts=FOUR, net={"delay_ms": 50}, tools="Python, curl")
    for name, how, rtt, soft, filters in (("after-accept", reset_at_once, 20, "curl", (SYN, RST)), ("after-accept-far", reset_at_once, 250, "go", (SYN, RST)),
                                          ("after-hello", reset_after_hello, 100, "python", (HELLO, RST))):
        yield same(f"server-resets-{name}", client(soft), "^exit (?!0)", "the server's program itself ends the connection with a reset (SO_LINGER); no "
                   "policy of a path has part in it", SERVER_GAVE_UP, look=filters, server=python_server(how), hosts=FOUR, net={"delay_ms": rtt / 2},
                   tools=f"Python, {named(soft)}")


def path_rows():
    yield both("none/happy-eyeballs-v6-dropped", f"curl -sS -o /dev/null --cacert {net.ROOT} https://{NAME}/", "exit 0",
               "IPv6 is dropped on the gateway; after 200 ms the client tries IPv4 too, and that works", [ABANDONED, completed()], completed(),
               [Attempt("abandoned", where="gateway"), completed()], look=((SYN, HELLO), (HELLO,)), net={"v6": True}, server=both_families,
               gateway=["ip6tables -A FORWARD -p tcp --dport 443 -j DROP"], tools="ip6tables, dnsmasq, nginx, curl")
    yield same("happy-eyeballs-v6-slow", f"curl -sS -o /dev/null --cacert {net.ROOT} https://{NAME}/", "exit 0",
               "IPv6 takes 260 ms a round trip, so that its SYN/ACK comes after IPv4 won", [ABANDONED, completed()], look=(SYN, RST),
               net={"v6": True, "delay6_ms": 130}, server=both_families, tools="dnsmasq, nginx, curl")
    for rtt in (20, 250):
        yield same(f"flushed-and-healed-{rtt}ms", flushed_and_healed, "^ok$", "the gateway's table is flushed twice; loose tracking and the same external "
                   "port bring the connection back", completed(), net={"delay_ms": rtt / 2}, tools="conntrack, iptables, nginx, Python")
    yield same("synproxy-gateway", client("curl"), "^exit 0", "the gateway's SYN proxy answers in the server's name, nearer and at once, and splices "
               "sequence numbers", completed(), look=(SYNACK, HELLO), server=synproxy("cn-gw"), hosts=FOUR, net={"delay_ms": 50, "hops": 1},
               tools="iptables (SYNPROXY), nginx, curl")
    yield same("synproxy-server", client("go"), "^exit 0", "a SYN proxy on the server's host answers SYNs and splices sequence numbers", completed(),
               look=(SYNACK, HELLO), server=synproxy("cn-server"), hosts=FOUR, tools="iptables (SYNPROXY), nginx, Go")
    for name, soft, rtt in (("curl", "curl", 20), ("gnutls", "gnutls", 100)):
        yield same(f"balancer-ttl-{name}", client(soft), "^exit 0", "the SYN/ACK comes from a balancer, all else from a host two hops behind it",
                   completed(), look=(SYNACK, HELLO), server=balanced, hosts=FOUR, net={"delay_ms": rtt / 2}, tools=f"iptables (TTL), nginx, {named(soft)}")
    yield same("balancer-haproxy", client("openssl4"), "^exit 0", "HAProxy hands TCP on to nginx at another address", completed(),
               server=through_haproxy, hosts=FOUR, tools="HAProxy, nginx, pyOpenSSL")
    yield same("five-in-turn", many, "^ok ok ok ok ok$", "five connections in turn, all sound", [completed()] * 5, net={"delay_ms": 2.5, "hops": 1},
               tools="nginx, Python")


def proxying(port_open=True):
    """HAProxy on the gateway takes each connection to the server and opens its own; the bytes of TLS pass as they are."""
    def start(lab):
        if port_open:
            lab.web()
        folder = lab.work / "splice"
        folder.mkdir()
        (folder / "haproxy.cfg").write_text(
            f"defaults\n  mode tcp\n  timeout client 20s\n  timeout connect 3s\n  timeout server 20s\n  retries 0\nlisten web\n  bind 192.168.10.1:8443\n"
            f"  server a {WEB}:443\n")
        lab.on("cn-gw", "iptables -t nat -A PREROUTING -i in0 -p tcp --dport 443 -j REDIRECT --to-ports 8443")
        lab.spawn("cn-gw", ["haproxy", "-db", "-f", folder / "haproxy.cfg"])
        time.sleep(0.7)
    return start


def rewriting_rows():
    """Gateways that change packets, or tell what does not fit, and do no harm."""
    for name, soft, kind, six, rtt, commands, leaf, filters in (
            ("up", "openssl4", "nginx", False, 20, ["ip link set out0 mtu 1400"], "www", ("icmp.type == 3 && icmp.code == 4",)),
            ("up-v6", "openssl4", "haproxy", True, 100, ["ip link set out0 mtu 1400"], "www", ("icmpv6.type == 2",)),
            ("down", "curl", "nginx", False, 100, ["ip link set in0 mtu 1400"], "big", ()),):
        outside = ("icmp.type == 3 && icmp.code == 4",) if name == "down" else ()
        yield both(f"none/path-mtu-{name}", client(soft), "^exit 0", "the gateway's next link takes 1400 bytes only, and its ICMP says so: what was too big is sent again in "
                   "smaller segments", completed(), completed(), completed(), look=((HELLO, *filters), outside), server=server(kind, leaf=leaf), gateway=commands,
                   net={"delay_ms": rtt / 2, "v6": six}, hosts=SIX if six else FOUR, tools=f"Linux (MTU 1400), {named(kind, soft)}")
    for name, soft, kind, rtt, commands, why in (
            ("mss-clamped", "openssl4", "nginx", 20, ["iptables -t mangle -A FORWARD -p tcp --syn -j TCPMSS --set-mss 1200"], "lowers the MSS of both SYNs to 1200"),
            ("stamps-stripped", "curl", "haproxy", 100, ["iptables -t mangle -A FORWARD -p tcp -j TCPOPTSTRIP --strip-options timestamp"], "takes timestamps out of every segment"),
            ("ttl-set", "go", "apache", 20, ["iptables -t mangle -A FORWARD -j TTL --ttl-set 64"], "sets every TTL to 64, so that nobody looks nearer than another"),
            ("dscp-set", "node", "nginx", 100, ["iptables -t mangle -A FORWARD -j DSCP --set-dscp 10"], "marks every packet (DSCP)")):
        yield same(name, client(soft), "^exit 0", f"the gateway {why}; nothing is wrong", completed(), gateway=commands, server=server(kind),
                   net={"delay_ms": rtt / 2, "hops": 1}, hosts=FOUR, tools=f"iptables, {named(kind, soft)}")
    for name, soft, rtt in (("curl", "curl", 20), ("go-far", "go", 250)):
        yield both(f"none/spliced-{name}", client(soft), "^exit 0", "a proxy on the gateway takes the connection and opens its own to the server; the bytes of TLS pass as they "
                   "are: one handshake on two connections", completed(), completed(), completed(), look=((HELLO,), (HELLO,)), server=proxying(), hosts=FOUR,
                   net={"delay_ms": rtt / 2}, tools=f"HAProxy (on the gateway), iptables, nginx, {named(soft)}")
    shut = lambda at="", also=("storage_permission",): failed("firewall", "port_closed", "server", False, also, where=at)
    yield both("firewall/spliced-refused", client("curl"), "^exit (?!0)", "a proxy on the gateway takes the connection and opens its own to the server, where nothing listens: "
               "inside, the proxy accepts and then closes; outside, the host itself resets the SYN",
               shut(also=("storage_permission", "protocol_version")), shut(), shut("server_side"),
               look=((SYNACK,), (SYN, RST)), server=proxying(False), hosts=FOUR, net={"delay_ms": 50}, tools="HAProxy (on the gateway), iptables, curl")


SCENES = [*healthy_rows(), *lossy_rows(), *ending_rows(), *path_rows(), *rewriting_rows()]
