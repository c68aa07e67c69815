"""Benign network behaviour: nothing to report, or an attempt that its client gave up."""

import signal
import socket
import struct
import time

import net
from net import CLIENT, CLOSED, ELSEWHERE, NAME, WEB, WEB6
from scenes import Attempt, Scene, View, completed, curl

SYN, HELLO, RST, FIN = ("tcp.flags.syn == 1 && tcp.flags.ack == 0", "tls.handshake.type == 1", "tcp.flags.reset == 1",
                        "tcp.flags.fin == 1")
SYNACK = "tcp.flags.syn == 1 && tcp.flags.ack == 1"
ABANDONED = Attempt("abandoned")


def both_families(lab):
    lab.web()
    lab.resolver(f"--host-record={NAME},{WEB},{WEB6}")


def stop_after_hello(reset):
    """A user who leaves: the ClientHello is out, the answer not yet in."""
    def client(lab):
        sock = lab.connect()
        sock.sendall(net.client_hello())
        time.sleep(0.005)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        return "closed"
    return client


def cancelled_curl(lab):
    """Ctrl-C while the TLS handshake waits for the server's answer."""
    process = lab.spawn("cn-client", curl())
    time.sleep(0.45)  # one round trip is 300 ms
    process.send_signal(signal.SIGINT)
    return f"exit {process.wait()}"


def scan(lab):
    """SYNs from a raw socket with the marks of zmap; the kernel resets what comes back."""
    with net.inside("cn-client"):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for target in (WEB, ELSEWHERE, CLOSED):
        tcp = struct.pack("!HHIIBBHHH", 45678, 443, 0x1badcafe, 0, 0x50, 2, 65535, 0, 0)
        pseudo = socket.inet_aton(CLIENT) + socket.inet_aton(target) + struct.pack("!BBH", 0, 6, len(tcp)) + tcp
        total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
        total = (total & 0xffff) + (total >> 16)
        check = ~(total + (total >> 16)) & 0xffff
        tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 54321, 0, 255, 6, 0, socket.inet_aton(CLIENT), socket.inet_aton(target))
        raw.sendto(head + tcp, (target, 0))
        time.sleep(0.1)
    return "sent"


def health_checks(lab):
    """A load balancer's TCP check, from the gateway: connect, close; every two seconds, some with a reset."""
    for n in range(4):
        with net.inside("cn-gw"):
            sock = socket.create_connection((WEB, 443), timeout=3)
        if n % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        time.sleep(2)
    return "4 checks"


def goodbye(sock):
    """close_notify, then FIN; nginx answers with its FIN alone, which Python calls an error."""
    try:
        sock.unwrap()
    except OSError:
        pass
    sock.close()


def long_lived(lab):
    """Three requests on one connection, seconds apart."""
    sock, error = net.start_tls(lab.connect())
    for _ in range(3):
        sock.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        sock.recv(4096)
        time.sleep(3)
    goodbye(sock)
    return error or "3 answers"


def reset_after_transfer(lab):
    """The client has what it wanted and closes with the server's close_notify unread."""
    sock, error = net.start_tls(lab.connect())
    sock.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
    sock.recv(4096)
    time.sleep(0.3)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    return error or "200"


def idle_preconnect(lab):
    """A browser that opens a connection early and never needs it."""
    sock, error = net.start_tls(lab.connect())
    time.sleep(2)
    goodbye(sock)
    return error or "unused"


def twice_with_a_ticket(lab):
    context = net.tls_context()
    first, error = net.start_tls(lab.connect(), context=context)
    first.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    first.recv(4096)
    session = first.session
    first.close()
    second = context.wrap_socket(lab.connect(), server_hostname=NAME, session=session)
    second.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    second.recv(4096)
    reused = second.session_reused
    second.close()
    return f"reused {reused}"


SCENES = [
    Scene(curl(), "exit 0", views=[
        View("none/plain-https-inside", "inside", "nothing is wrong", [HELLO], [completed()]),
        View("none/plain-https-outside", "outside", "nothing is wrong", [HELLO], [completed()])]),
    Scene(curl("--tls-max 1.2"), "exit 0", views=[
        View("none/plain-https-tls12", "inside", "nothing is wrong, TLS 1.2", [HELLO], [completed()])]),
    Scene(curl(address=""), "exit 0", net={"v6": True}, server=both_families, tools="ip6tables, dnsmasq, nginx, curl",
          gateway=["ip6tables -A FORWARD -p tcp --dport 443 -j DROP"], views=[
        View("none/happy-eyeballs-no-ipv6", "inside",
             "IPv6 is dropped on the path; after 200 ms the client tries IPv4 too, and that works", [SYN, HELLO], [ABANDONED, completed()])]),
    Scene(curl(address=""), "exit 0", net={"v6": True, "delay6_ms": 130}, server=both_families, tools="dnsmasq, nginx, curl", views=[
        View("none/happy-eyeballs-slow-ipv6", "inside",
             "IPv6 takes 260 ms a round trip, so that its SYN/ACK comes after IPv4 won", [SYN, SYNACK, RST], [ABANDONED, completed()])]),
    Scene(curl(), "exit 0", tools="iptables, nginx, curl",
          gateway=["iptables -A FORWARD -p tcp --dport 443 --syn -m statistic --mode nth --every 100000 --packet 0 -j DROP"], views=[
        View("none/syn-lost-once", "inside", "the first SYN is lost, the second answered", [SYN, SYNACK], [completed()])]),
    Scene(curl("--tls-max 1.2"), "exit 0", tools="iptables, nginx, curl",
          gateway=["iptables -A FORWARD -p tcp -i out0 -m statistic --mode nth --every 4 --packet 2 -j DROP",
                   "iptables -A FORWARD -p tcp -i in0 -m statistic --mode nth --every 5 --packet 3 -j DROP"], views=[
        View("none/lossy-inside", "inside", "every fourth packet down and fifth packet up is lost; it works all the same",
             [HELLO, "tcp.analysis.retransmission"], [completed()]),
        View("none/lossy-outside", "outside", "every fourth packet down and fifth packet up is lost; it works all the same",
             ["tcp.analysis.retransmission"], [completed()])]),
    Scene(stop_after_hello(False), "closed", tools="nginx, Python", views=[
        View("none/user-abort-fin", "inside", "the client closes 5 ms after its ClientHello, before any answer can be there",
             [HELLO, FIN], [ABANDONED])]),
    Scene(stop_after_hello(True), "closed", tools="nginx, Python", views=[
        View("none/user-abort-rst", "inside", "the client resets 5 ms after its ClientHello, before any answer can be there",
             [HELLO, RST], [ABANDONED])]),
    Scene(cancelled_curl, "exit (130|-2)", net={"delay_ms": 150}, views=[
        View("none/user-abort-ctrl-c", "inside", "the user stops curl while the server's answer is on its way", [HELLO, FIN], [ABANDONED])]),
    Scene(scan, "sent", tools="nginx, Python (raw socket)", views=[
        View("none/port-scan", "inside", "a scanner probes three addresses with option-less SYNs, IP-ID 54321, TTL 255; its kernel resets the answers",
             [SYN, RST], [ABANDONED, ABANDONED, ABANDONED])]),
    Scene(health_checks, "4 checks", tools="nginx, Python", views=[
        View("none/health-check", "outside", "a load balancer connects and closes every two seconds, sending nothing", [SYN, FIN, RST], [ABANDONED] * 4)]),
    Scene(long_lived, "3 answers", tools="nginx, Python", views=[
        View("none/keep-alive", "inside", "three requests on one connection, 3 s apart", [HELLO, FIN], [completed()])]),
    Scene(reset_after_transfer, "200", tools="nginx, Python", views=[
        View("none/reset-after-transfer", "inside", "the client resets after the answer and the server's close_notify", [HELLO, RST], [completed()])]),
    Scene(idle_preconnect, "unused", tools="nginx, Python", views=[
        View("none/preconnect-unused", "inside", "the client completes the handshake, sends nothing for two seconds and closes",
             [HELLO, FIN], [completed()])]),
    Scene(twice_with_a_ticket, "reused True", tools="nginx, Python", views=[
        View("none/resumed", "inside", "the second connection resumes the first one's session", [HELLO], [completed(), Attempt("resumed")])]),
]
