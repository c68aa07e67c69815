"""Captures where the address used is not what DNS gives for the name: lookup and connection in one file."""

import sys
import time

import net
from net import CLOSED, ELSEWHERE, GATEWAY, NAME, WEB
from scenes import Scene, View, completed, curl, failed

SYN, HELLO, RST = "tcp.flags.syn == 1 && tcp.flags.ack == 0", "tls.handshake.type == 1", "tcp.flags.reset == 1"
ANSWER, CERTIFICATE, ALERT = "dns.flags.response == 1", "tls.handshake.type == 11", "tls.alert_message"
TLS12 = "--tls-max 1.2"
DIG = f"dig +tries=1 +time=3 {NAME} A"


def site(*options, **web):
    def server(lab):
        lab.web(**web)
        lab.resolver(*options)
    return server


def hosts_file(address):
    """An entry left in the client's hosts file."""
    def server(lab):
        lab.web()
        lab.resolver(f"--host-record={NAME},{WEB}")
        lab.client_file("hosts", f"127.0.0.1 localhost\n{address} {NAME}\n")
    return server


def answering(code):
    """A resolver that answers with one response code (dnsmasq does not make every code up)."""
    def server(lab):
        lab.client_file("resolv.conf", f"nameserver {GATEWAY}\noptions timeout:2 attempts:2\n")
        lab.spawn("cn-gw", [sys.executable, net.HERE / "resolver.py", GATEWAY, code], ready="ready")
    return server


def dig_then(command):
    """Somebody looks the name up where we can see it; then the client connects."""
    def client(lab):
        lab.on("cn-client", DIG)
        time.sleep(0.2)
        done = lab.on("cn-client", command, ok=False)
        return f"exit {done.returncode}: {done.stderr}"
    return client


def stale(lab):
    """An application that keeps its first answer, although its time to live of 1 s is over and the record was moved."""
    records = lab.work / "hosts"
    records.write_text(f"{CLOSED} {NAME}\n")
    lab.client_file("resolv.conf", f"nameserver {GATEWAY}\n")
    dnsmasq = lab.spawn("cn-gw", ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                                  f"--addn-hosts={records}", "--local-ttl=1", f"--listen-address={GATEWAY}",
                                  "--bind-interfaces", "--pid-file=", "--user=root"])
    time.sleep(0.4)
    old = lab.on("cn-client", f"dig +short {NAME} A").stdout.strip()
    time.sleep(2)
    records.write_text(f"{WEB} {NAME}\n")
    dnsmasq.send_signal(1)  # SIGHUP: read the records again
    time.sleep(2)
    lab.on("cn-client", DIG)  # another application, with the new answer
    time.sleep(0.3)
    done = lab.on("cn-client", curl(address=old), ok=False)
    return f"exit {done.returncode}: {done.stderr}"


def two_resolvers(lab):
    """Inside and outside resolvers disagree; the client asks both and uses the second."""
    lab.on("cn-client", DIG)
    lab.on("cn-client", f"{DIG} @{NAT53}")
    time.sleep(0.2)
    done = lab.on("cn-client", curl(TLS12, address=ELSEWHERE), ok=False)
    return f"exit {done.returncode}: {done.stderr}"


NAT53 = "198.51.100.10"


def second_resolver(lab):
    lab.web()
    lab.resolver(f"--host-record={NAME},{WEB}")
    lab.spawn("cn-server", ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                            f"--listen-address={NAT53}", "--bind-interfaces", "--pid-file=", "--user=root",
                            f"--host-record={NAME},{ELSEWHERE}"])
    time.sleep(0.4)


ELSEWHERE_CNAME = [f"--cname={NAME},parked.example.net", f"--host-record=parked.example.net,{ELSEWHERE}"]


SCENES = [
    Scene(dig_then(curl(TLS12, address="")), "exit 60", server=hosts_file(ELSEWHERE), tools="dnsmasq, dig, nginx, curl", views=[
        View("dns_inconsistency/hosts-file-elsewhere", "inside",
             f"DNS says {WEB}; the client's hosts file says {ELSEWHERE}, a server of other names",
             [ANSWER, SYN, HELLO, CERTIFICATE], [failed("dns_inconsistency", "address_not_in_answer", "client", also=["name_mismatch"])])]),
    Scene(dig_then(curl(address="")), "exit 60", server=hosts_file(ELSEWHERE), tools="dnsmasq, dig, nginx, curl", views=[
        View("dns_inconsistency/hosts-file-elsewhere-sealed", "inside",
             f"DNS says {WEB}; the client's hosts file says {ELSEWHERE}, a server of other names, seen through TLS 1.3",
             [ANSWER, SYN, HELLO],
             [failed("dns_inconsistency", "address_not_in_answer", "client", visible=False, also=["name_mismatch"])])]),
    Scene(dig_then(curl(address=CLOSED)), "exit 7", server=site(f"--host-record={NAME},{WEB}"), tools="dnsmasq, dig, curl", views=[
        View("dns_inconsistency/refused-at-another-address", "inside",
             f"DNS says {WEB}; curl --resolve uses {CLOSED}, where nothing listens", [ANSWER, SYN, RST],
             [failed("dns_inconsistency", "address_not_in_answer", "client", visible=False, also=["firewall", "storage_permission"])])]),
    Scene(stale, "exit 7", server=lambda lab: lab.web(), tools="dnsmasq, dig, nginx, curl", views=[
        View("dns_inconsistency/stale-answer", "inside",
             f"the application keeps {CLOSED}, answered 4 s ago for 1 s; by now DNS says {WEB}", [ANSWER, SYN, RST],
             [failed("dns_inconsistency", "stale_answer", "client", also=["firewall", "storage_permission"])])]),
    Scene(curl(address=""), "exit 6", server=site("--local=/example.test/"), tools="dnsmasq, curl", views=[
        View("dns_inconsistency/nxdomain", "inside", "the resolver says that the name does not exist; no connection follows",
             ["dns.flags.rcode == 3"], [failed("dns_inconsistency", "nxdomain", "server", stage="dns")])]),
    Scene(curl(address=""), "exit 6", server=answering("2"), tools="Python (resolver), curl", views=[
        View("dns_inconsistency/servfail", "inside", "the resolver answers SERVFAIL; no connection follows",
             ["dns.flags.rcode == 2"], [failed("dns_inconsistency", "servfail", "server", stage="dns")])]),
    Scene(curl(address=""), "exit 6", server=answering("bogus"), tools="Python (resolver), curl", views=[
        View("dns_inconsistency/dnssec-bogus", "inside",
             "the resolver answers SERVFAIL with extended error 6, DNSSEC Bogus (RFC 8914); no connection follows",
             ["dns.flags.rcode == 2"], [failed("dns_inconsistency", "dnssec_bogus", "server", stage="dns")])]),
    Scene(curl(TLS12, address=""), "exit 60", server=site(*ELSEWHERE_CNAME), tools="dnsmasq, nginx, curl", views=[
        View("dns_inconsistency/cname-elsewhere", "inside",
             "the name is an alias of parked.example.net, whose server has a certificate for that name only",
             [ANSWER, SYN, HELLO, CERTIFICATE], [failed("dns_inconsistency", "cname_elsewhere", "server", also=["name_mismatch"])])]),
    Scene(two_resolvers, "exit 60", server=second_resolver, tools="dnsmasq, dig, nginx, curl", views=[
        View("dns_inconsistency/answers-differ", "inside",
             f"one resolver says {WEB}, another {ELSEWHERE}; the client uses the second, a server of other names",
             [ANSWER, SYN, HELLO, CERTIFICATE], [failed("dns_inconsistency", "answers_differ", "server", also=["name_mismatch"])])]),
    # Near misses: the same traffic where nothing fails.
    Scene(dig_then(curl(address=net.SECOND)), "exit 0", server=site(f"--host-record={NAME},{WEB}"), tools="dnsmasq, dig, nginx, curl",
          views=[View("none/dns-other-address-works", "inside",
                      f"DNS says {WEB}; curl --resolve uses {net.SECOND}, which serves the same site", [ANSWER, SYN, HELLO], [completed()])]),
    Scene(curl(address=""), "exit 0", server=site(f"--cname={NAME},edge.example.net", f"--host-record=edge.example.net,{WEB}"),
          tools="dnsmasq, nginx, curl",
          views=[View("none/dns-alias-works", "inside", "the name is an alias of edge.example.net, whose server has a certificate for it",
                      [ANSWER, SYN, HELLO], [completed()])]),
]
