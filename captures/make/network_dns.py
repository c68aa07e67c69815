"""Captures where the address used is not what DNS gives for the name: lookup and connection in one file."""

import contextlib
import sys
import time

import net
from net import CLOSED, ELSEWHERE, GATEWAY, NAME, WEB
from scenes import Scene, View, completed, curl, failed

SYN, HELLO, RST = "tcp.flags.syn == 1 && tcp.flags.ack == 0", "tls.handshake.type == 1", "tcp.flags.reset == 1"
ANSWER, CERTIFICATE, ALERT = "dns.flags.response == 1", "tls.handshake.type == 11", "tls.alert_message"
TLS12 = "--tls-max 1.2"
NAT53 = net.SECOND  # a resolver behind the translation
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


def answering(*rules, resolvers=(GATEWAY,), options="timeout:2 attempts:2", web=False):
    """Resolvers that answer by rules (dnsmasq does not make every code up)."""
    def server(lab):
        if web:
            lab.web()
        lab.client_file("resolv.conf", "".join(f"nameserver {address}\n" for address in resolvers) + f"options {options}\n")
        lab.spawn("cn-gw", [sys.executable, net.HERE / "resolver.py", GATEWAY, *rules], ready="ready")
    return server


def also(server, *more):
    """Further preparations behind a server's."""
    def both(lab):
        server(lab)
        for step in more:
            step(lab)
    return both


def dnsmasq(lab, space, address, *options):
    lab.spawn(space, ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                      f"--listen-address={address}", "--bind-interfaces", "--pid-file=", "--user=root", *options])
    time.sleep(0.4)


def behind(*options):
    """A second resolver, behind the gateway."""
    return lambda lab: dnsmasq(lab, "cn-server", NAT53, *options)


def resolv_conf(text):
    return lambda lab: lab.client_file("resolv.conf", text)


def browser(command):
    """As browsers do, the client asks for the name's HTTPS record too."""
    def client(lab):
        lab.on("cn-client", f"dig +tries=1 +time=2 {NAME} HTTPS", ok=False)
        done = lab.on("cn-client", command, ok=False)
        return f"exit {done.returncode}: {done.stderr}"
    return client


def and_later(client):
    """Behind it the capture goes on for long enough to see that the client gave up, with something else."""
    def both(lab):
        said = client(lab)
        time.sleep(11)
        with contextlib.suppress(OSError):
            lab.connect(port=9)
        return said
    return both


def bogus_zone(lab):
    """BIND serves a zone whose signatures ran out, Unbound validates it on the gateway."""
    folder = lab.work / "zone"
    folder.mkdir()
    folder.chmod(0o755)
    lab.work.chmod(0o755)
    (folder / "db").write_text(f"$TTL 60\n@ SOA ns.example.test. host.example.test. 1 3600 600 86400 60\n@ NS ns\nns A {NAT53}\n"
                               f"www A {WEB}\n")
    in_zone = dict(cwd=folder)
    key = net.run("dnssec-keygen -q -a ECDSAP256SHA256 -f KSK example.test", **in_zone).stdout.strip()
    net.run("dnssec-keygen -q -a ECDSAP256SHA256 example.test", **in_zone)
    net.run("dnssec-signzone -S -o example.test -P -s 20260101000000 -e 20260201000000 db", **in_zone)
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on {{ {NAT53}; }}; listen-on-v6 {{ none; }}; recursion no; pid-file none;'
        f' session-keyfile none; }};\ncontrols {{ }};\nzone "example.test" {{ type primary; file "db.signed"; }};\n')
    lab.spawn("cn-server", ["named", "-g", "-c", folder / "named.conf"], ready="running")
    anchor = next(line for line in (folder / f"{key}.key").read_text().splitlines() if not line.startswith(";"))
    (folder / "unbound.conf").write_text(
        f"server:\n interface: {GATEWAY}\n access-control: 0.0.0.0/0 allow\n username: \"\"\n chroot: \"\"\n directory: {folder}\n"
        f" pidfile: \"\"\n use-syslog: no\n do-ip6: no\n ede: yes\n val-log-level: 1\n do-not-query-localhost: no\n"
        f" local-zone: \"test.\" nodefault\n trust-anchor: \"{anchor}\"\n"
        f"stub-zone:\n name: example.test\n stub-addr: {NAT53}\nremote-control:\n control-enable: no\n")
    lab.client_file("resolv.conf", f"nameserver {GATEWAY}\noptions timeout:2 attempts:2 edns0\n")
    lab.spawn("cn-gw", ["unbound", "-d", "-c", folder / "unbound.conf"])
    time.sleep(1)


def forging(answer, ttl=57):
    """Somebody on the gateway answers before the resolver behind it does."""
    def server(lab):
        lab.web()
        lab.client_file("resolv.conf", f"nameserver {NAT53}\noptions timeout:2 attempts:2\n")
        dnsmasq(lab, "cn-server", NAT53, f"--host-record={NAME},{WEB}")
        lab.on("cn-gw", "iptables -t raw -A OUTPUT -o in0 -p udp --sport 53 -j NOTRACK")  # else translation gives it another port
        lab.spawn("cn-gw", [sys.executable, net.HERE / "forger.py", "in0", answer, ttl], ready="ready")
    return server


def others_find_it(lab):
    """Another inside host is sent to the real server; then the client looks the name up."""
    lab.on("cn-other", f"dig +tries=1 +time=3 {NAME} A @{NAT53}")
    lab.on("cn-other", curl(address=WEB), ok=False)
    time.sleep(0.3)
    done = lab.on("cn-client", curl("--connect-timeout 4", address=""), ok=False)
    return f"exit {done.returncode}: {done.stderr}"


def sinkhole(lab):
    """The filter's portal, with a certificate of its own."""
    lab.on("cn-server", f"ip addr add {PORTAL}/32 dev eth0")
    lab.on("cn-gw", f"ip route add {PORTAL}/32 via {WEB}")
    lab.web(leaf="parked", listen=(PORTAL,))


def encrypted(lab):
    """Unbound answers over TLS behind the gateway; nobody answers in clear."""
    folder = lab.work / "dot"
    folder.mkdir()
    (folder / "unbound.conf").write_text(
        f"server:\n interface: {NAT53}@853\n tls-port: 853\n tls-service-key: {net.KEYS}/parked.key\n"
        f" tls-service-pem: {net.KEYS}/parked.pem\n access-control: 0.0.0.0/0 allow\n username: \"\"\n chroot: \"\"\n"
        f" directory: {folder}\n pidfile: \"\"\n use-syslog: no\n do-ip6: no\n module-config: \"iterator\"\n"
        f" local-zone: \"example.test.\" static\n local-data: \"{NAME}. 60 A {WEB}\"\nremote-control:\n control-enable: no\n")
    lab.spawn("cn-server", ["unbound", "-d", "-c", folder / "unbound.conf"])
    time.sleep(1)


def over_https(lab):
    """Unbound answers over HTTPS under the name of a public resolver; nobody answers in clear."""
    folder = lab.work / "doh"
    folder.mkdir()
    (folder / "unbound.conf").write_text(
        f"server:\n interface: {NAT53}@443\n https-port: 443\n tls-service-key: {net.KEYS}/doh.key\n"
        f" tls-service-pem: {net.KEYS}/doh.pem\n access-control: 0.0.0.0/0 allow\n username: \"\"\n chroot: \"\"\n"
        f" directory: {folder}\n pidfile: \"\"\n use-syslog: no\n do-ip6: no\n module-config: \"iterator\"\n"
        f" local-zone: \"example.test.\" static\n local-data: \"{NAME}. 60 A {WEB}\"\nremote-control:\n control-enable: no\n")
    lab.web(listen=(WEB,))
    lab.spawn("cn-server", ["unbound", "-d", "-c", folder / "unbound.conf"])
    time.sleep(1)


DOH = f"-4 --doh-url https://dns.google/dns-query --resolve dns.google:443:{NAT53}"


def over_tls_then(address, options=""):
    """The name is looked up over TLS; then the client connects."""
    def client(lab):
        said = lab.on("cn-client", f"kdig +tls @{NAT53} {NAME} A", ok=False)
        assert WEB in said.stdout, said
        time.sleep(0.2)
        done = lab.on("cn-client", curl(options, address=address), ok=False)
        return f"exit {done.returncode}: {done.stderr}"
    return client


def first_then(first, second):
    """Two commands of the client, the second's end is told."""
    def client(lab):
        lab.on("cn-client", first, ok=False)
        time.sleep(0.2)
        done = lab.on("cn-client", second, ok=False)
        return f"exit {done.returncode}: {done.stderr}"
    return client


def stale_elsewhere(works):
    """An application keeps its first answer, whose time to live of 1 s is over; the record was moved."""
    def client(lab):
        old = net.SECOND if works else ELSEWHERE
        records = lab.work / "hosts"
        records.write_text(f"{old} {NAME}\n")
        lab.client_file("resolv.conf", f"nameserver {GATEWAY}\n")
        process = lab.spawn("cn-gw", ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                                      f"--addn-hosts={records}", "--local-ttl=1", f"--listen-address={GATEWAY}",
                                      "--bind-interfaces", "--pid-file=", "--user=root"])
        time.sleep(0.4)
        kept = lab.on("cn-client", f"dig +short {NAME} A").stdout.strip()
        time.sleep(2)
        records.write_text(f"{WEB} {NAME}\n")
        process.send_signal(1)
        time.sleep(1.5)
        lab.on("cn-client", DIG)
        time.sleep(0.3)
        done = lab.on("cn-client", curl(TLS12, address=kept), ok=False)
        return f"exit {done.returncode}: {done.stderr}"
    return client


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


def second_resolver(lab):
    lab.web()
    lab.resolver(f"--host-record={NAME},{WEB}")
    lab.spawn("cn-server", ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                            f"--listen-address={NAT53}", "--bind-interfaces", "--pid-file=", "--user=root",
                            f"--host-record={NAME},{ELSEWHERE}"])
    time.sleep(0.4)


PORTAL = "208.91.112.55"  # where FortiGuard sends clients
DROP53 = "iptables -A INPUT -p udp --dport 53 -j DROP"
LONG = [NAME] + [f"{60 * 'x'}.{60 * 'y'}.{60 * 'z'}.{n}.example.test" for n in range(4)]
ELSEWHERE_CNAME = [f"--cname={NAME},parked.example.net", f"--host-record=parked.example.net,{ELSEWHERE}"]


def lookup(reason, side="server"):
    """A lookup that kept its client from the site."""
    return failed("dns_inconsistency", reason, side, stage="dns")


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
    Scene(curl(address=""), "exit 6", server=answering("*=servfail"), tools="Python (resolver), curl", views=[
        View("dns_inconsistency/servfail", "inside", "the resolver answers SERVFAIL; no connection follows",
             ["dns.flags.rcode == 2"], [failed("dns_inconsistency", "servfail", "server", stage="dns")])]),
    Scene(curl(address=""), "exit 6", server=answering("*=servfail+6"), tools="Python (resolver), curl", views=[
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
    Scene(and_later(browser(curl(address=""))), "exit 6", server=answering("*=refused"), tools="Python (resolver), dig, curl", views=[
        View("dns_inconsistency/refused", "inside", "the resolver refuses every question; no connection follows",
             ["dns.flags.rcode == 5"], [lookup("refused")])]),
    Scene(and_later(browser(curl(address=""))), "exit 6", server=answering("*=servfail", resolvers=(GATEWAY, NAT53)), tools="Python (resolver), dig, curl",
          views=[View("dns_inconsistency/servfail-and-silence", "inside",
                      "the first resolver answers SERVFAIL, nobody listens at the second; no connection follows",
                      ["dns.flags.rcode == 2", "icmp.type == 3"], [lookup("servfail")])]),
    Scene(and_later(browser(curl(address=""))), "exit 6", server=resolv_conf(f"nameserver {GATEWAY}\noptions timeout:1 attempts:2\n"),
          gateway=[DROP53], tools="iptables, dig, curl", views=[
              View("dns_inconsistency/no-answer", "inside", "the gateway drops questions to its resolver; no connection follows",
                   ["dns.flags.response == 0"], [lookup("no_answer", "path")])]),
    Scene(and_later(browser(curl(address=""))), "exit 6", server=resolv_conf(f"nameserver {GATEWAY}\noptions timeout:1 attempts:2\n"),
          tools="dig, curl", views=[
              View("dns_inconsistency/no-answer-port-closed", "inside",
                   "no resolver runs on the gateway, whose kernel says so by ICMP; no connection follows",
                   ["dns.flags.response == 0", "icmp.type == 3"], [lookup("no_answer", "path")])]),
    Scene(and_later(browser(curl(address=""))), "exit 6", server=site("--local=/example.test/", f"--txt-record={NAME},moved"), tools="dnsmasq, dig, curl", views=[
        View("dns_inconsistency/no-address", "inside", "the name has a TXT record and no address; no connection follows",
             ["dns.flags.response == 1"], [lookup("no_address")])]),
    Scene(and_later(browser(curl(address=""))), "exit 6", server=also(site("--local=/test/"), resolv_conf(
        f"nameserver {GATEWAY}\nsearch corp.example.test example.test\noptions ndots:5\n")), tools="dnsmasq, dig, curl", views=[
            View("dns_inconsistency/nxdomain-search-list", "inside",
                 "with two search suffixes and ndots 5, neither the name nor what the list makes of it exists; no connection follows",
                 ["dns.flags.rcode == 3"], [lookup("nxdomain")])]),
    Scene(and_later(browser(curl(address=""))), "exit 6", server=also(site("--local=/example.test/"), resolv_conf(
        f"nameserver {GATEWAY}\noptions use-vc\n")), tools="dnsmasq, dig, curl", views=[
            View("dns_inconsistency/nxdomain-tcp", "inside", "the client asks over TCP; the name does not exist, no connection follows",
                 ["dns.flags.rcode == 3"], [lookup("nxdomain")])]),
    Scene(and_later(browser(curl(address=""))), "exit 6", server=bogus_zone, tools="BIND, Unbound, dig, curl", views=[
        View("dns_inconsistency/dnssec-expired-unbound", "inside",
             "the zone's signatures ran out; Unbound validates and answers SERVFAIL; no connection follows",
             ["dns.flags.rcode == 2"], [lookup("dnssec_bogus")])]),
    Scene(and_later(browser(curl(address=""))), "exit 7", server=site("--address=/example.test/#"), tools="dnsmasq, dig, curl", views=[
        View("dns_inconsistency/blocked-unspecified", "inside",
             "a blocklist of dnsmasq gives 0.0.0.0 and :: for the name; the client connects to itself, which the wire does not show",
             ["dns.flags.response == 1"], [lookup("blocked", "path")])]),
    Scene(and_later(browser(curl(address=""))), "exit 6", server=answering("*=nxdomain+15", options="edns0"), tools="Python (resolver), dig, curl", views=[
        View("dns_inconsistency/blocked-extended-error", "inside",
             "the resolver answers NXDOMAIN with extended error 15, Blocked (RFC 8914); no connection follows",
             ["dns.flags.rcode == 3"], [lookup("blocked", "path")])]),
    Scene(curl(TLS12, address=""), "exit 60", server=also(lambda lab: lab.resolver(f"--host-record={NAME},{PORTAL}"), sinkhole),
          tools="dnsmasq, nginx, curl", views=[
              View("dns_inconsistency/blocked-portal", "inside",
                   f"the resolver gives {PORTAL}, the portal of a filter, which has a certificate of its own",
                   [ANSWER, SYN, HELLO, CERTIFICATE], [failed("dns_inconsistency", "blocked", also=["name_mismatch"])])]),
    Scene(and_later(others_find_it), "exit (7|28)", net={"other": True}, server=also(site(f"--host-record={NAME},127.0.0.1"), behind(
        f"--host-record={NAME},{WEB}")), tools="dnsmasq, dig, nginx, curl", views=[
            View("dns_inconsistency/private-address-loopback", "inside",
                 f"one resolver gives 127.0.0.1 for the name, another {WEB}; who uses the first connects to itself",
                 [ANSWER, SYN, HELLO], [completed(), lookup("private_address")])]),
    Scene(others_find_it, "exit 7", net={"other": True}, server=also(site(f"--host-record={NAME},10.20.30.40"), behind(
        f"--host-record={NAME},{WEB}")), tools="dnsmasq, dig, nginx, curl",
          views=[View("dns_inconsistency/private-address-outside", "inside",
                      f"the client's resolver gives 10.20.30.40, which is not routed here; another gives {WEB}, and that works",
                      [ANSWER, SYN], [completed(), failed("dns_inconsistency", "private_address", "server", also=["firewall", "nat_drop"])])]),
    Scene(curl(TLS12, address=""), "exit 60", server=forging(ELSEWHERE), tools="dnsmasq, Python (forger), nginx, curl", views=[
        View("dns_inconsistency/spoofed-answer", "inside",
             f"somebody on the path answers {ELSEWHERE} before the resolver says {WEB}; a server of other names is there",
             [ANSWER, SYN, HELLO, CERTIFICATE], [failed("dns_inconsistency", "spoofed_answer", also=["name_mismatch"])])]),
    Scene(and_later(browser(curl("-4", address=""))), "exit 6", server=forging("nxdomain"), tools="dnsmasq, Python (forger), dig, curl", views=[
        View("dns_inconsistency/spoofed-nxdomain", "inside",
             f"somebody on the path answers NXDOMAIN before the resolver says {WEB}; no connection follows",
             ["dns.flags.rcode == 3", ANSWER], [lookup("spoofed_answer", "path")])]),
    Scene(stale_elsewhere(False), "exit 60", server=lambda lab: lab.web(), tools="dnsmasq, dig, nginx, curl", views=[
        View("dns_inconsistency/stale-answer-elsewhere", "inside",
             f"the application keeps {ELSEWHERE}, answered 4 s ago for 1 s; a server of other names is there by now",
             [ANSWER, SYN, HELLO, CERTIFICATE], [failed("dns_inconsistency", "stale_answer", "client", also=["name_mismatch"])])]),
    Scene(over_tls_then(CLOSED), "exit 7", server=encrypted, tools="Unbound, kdig, curl", views=[
        View("dns_inconsistency/hidden-refused-at-another-address", "inside",
             f"DNS says {WEB}, asked over TLS on port 853; curl --resolve uses {CLOSED}, where nothing listens",
             ["tcp.dstport == 853", SYN, RST], [completed(), failed("dns_inconsistency", "address_not_in_answer", "client", visible=False,
                                                                    also=["firewall", "storage_permission"])])]),
    Scene(first_then(curl(DOH, address=""), curl(TLS12, address=ELSEWHERE)), "exit 60", server=over_https, tools="Unbound, nginx, curl", views=[
        View("dns_inconsistency/hidden-elsewhere", "inside",
             f"DNS says {WEB}, asked over HTTPS under the name dns.google; curl --resolve then uses {ELSEWHERE}, a server of other names",
             [SYN, HELLO, CERTIFICATE], [completed(), completed(), failed("dns_inconsistency", "address_not_in_answer", "client", visible=False,
                                                                         also=["name_mismatch"])])]),
    # Near misses: the same traffic where nothing fails.
    Scene(stale_elsewhere(True), "exit 0", server=lambda lab: lab.web(), tools="dnsmasq, dig, nginx, curl", views=[
        View("none/dns-stale-answer-works", "inside",
             f"the application keeps {net.SECOND}, answered 4 s ago for 1 s; the record was moved, the old server still serves",
             [ANSWER, SYN, HELLO], [completed()])]),
    Scene(curl(address=""), "exit 0", server=forging(net.SECOND), tools="dnsmasq, Python (forger), nginx, curl", views=[
        View("none/dns-two-answers-work", "inside",
             f"somebody on the path answers {net.SECOND} before the resolver says {WEB}; both serve the site",
             [ANSWER, SYN, HELLO], [completed()])]),
    Scene(browser(curl(address="")), "exit 0", server=also(site(f"--host-record={NAME},{WEB}", "--local=/test/"), resolv_conf(
        f"nameserver {GATEWAY}\nsearch corp.example.test example.test\noptions ndots:5\n")), tools="dnsmasq, dig, nginx, curl", views=[
            View("none/dns-search-list-works", "inside",
                 "what two search suffixes make of the name does not exist; the name does", ["dns.flags.rcode == 3", SYN, HELLO], [completed()])]),
    Scene(browser(curl(address="")), "exit 0", server=also(answering("*=servfail", resolvers=(GATEWAY, NAT53), web=True), behind(
        f"--host-record={NAME},{WEB}")), tools="Python (resolver), dnsmasq, dig, nginx, curl", views=[
            View("none/dns-second-resolver-works", "inside", "the first resolver answers SERVFAIL, the second gives the address",
                 ["dns.flags.rcode == 2", SYN, HELLO], [completed()])]),
    Scene(browser(curl(address="")), "exit 0", server=also(answering("*=silent", resolvers=(GATEWAY, NAT53), options="timeout:1", web=True), behind(
        f"--host-record={NAME},{WEB}")), tools="Python (resolver), dnsmasq, dig, nginx, curl", views=[
            View("none/dns-first-resolver-silent", "inside", "the first resolver says nothing, the second gives the address",
                 ["dns.flags.response == 0", SYN, HELLO], [completed()])]),
    Scene(browser(curl(address="")), "exit 0", server=answering(f"A={WEB}", "*=servfail", web=True), tools="Python (resolver), dig, nginx, curl",
          views=[View("none/dns-aaaa-servfail-works", "inside", "the resolver gives an address for A and SERVFAIL for AAAA and HTTPS",
                      ["dns.flags.rcode == 2", SYN, HELLO], [completed()])]),
    Scene(browser(curl(address="")), "exit 0", server=answering(f"A={WEB}", "AAAA=silent", options="timeout:1 attempts:2", web=True),
          tools="Python (resolver), dig, nginx, curl", settle=4,
          views=[View("none/dns-aaaa-silent-works", "inside", "the resolver gives an address for A and never answers for AAAA",
                      ["dns.flags.response == 0", SYN, HELLO], [completed()])]),
    Scene(browser(curl(address="")), "exit 0", server=site(*[f"--cname={a},{b}" for a, b in zip(LONG, LONG[1:])],
                                                          f"--host-record={LONG[-1]},{WEB}"),
          tools="dnsmasq, dig, nginx, curl", views=[
              View("none/dns-cut-then-tcp", "inside", "the name is an alias of an alias of so long names that the answer is cut; the client asks again over TCP",
                   ["dns.flags.truncated == 1", SYN, HELLO], [completed()])]),
    Scene(first_then(f"dig +tries=1 {NAME} HTTPS", curl(address="")), "exit 0", server=also(site("--local=/example.test/"), lambda lab: lab.client_file(
        "hosts", f"127.0.0.1 localhost\n{WEB} {NAME}\n")), tools="dnsmasq, dig, nginx, curl", views=[
            View("none/dns-nxdomain-hosts-file-works", "inside", "DNS does not know the name; the client's hosts file does",
                 ["dns.flags.rcode == 3", SYN, HELLO], [completed()])]),
    Scene(first_then(f"dig +tries=1 {NAME} A @{NAT53}", curl(address="")), "exit 0", server=also(site(f"--host-record={NAME},{WEB}"), behind(
        f"--host-record={NAME},{net.SECOND}")), tools="dnsmasq, dig, nginx, curl", views=[
            View("none/dns-answers-differ-works", "inside", f"one resolver says {WEB}, another {net.SECOND}; both serve the site",
                 [ANSWER, SYN, HELLO], [completed()])]),
    Scene(curl(address=""), "exit 0", net={"other": True}, server=also(site(f"--host-record={NAME},{net.OTHER}"), lambda lab: lab.web(
        space="cn-other", listen=(net.OTHER,))), tools="dnsmasq, nginx, curl",
          views=[View("none/dns-private-address-works", "inside", f"DNS gives {net.OTHER}, a private address, for the name; the site is there",
                      [ANSWER, SYN, HELLO], [completed()], place="port1")]),
    Scene(first_then(f"dig +tries=1 ads.example.test A", curl(address="")), "exit 0", server=site(
        f"--host-record={NAME},{WEB}", "--address=/ads.example.test/#"), tools="dnsmasq, dig, nginx, curl", views=[
            View("none/dns-blocked-unused", "inside", "a blocklist gives 0.0.0.0 for another name that is looked up; the site is found",
                 [ANSWER, SYN, HELLO], [completed()])]),
    Scene(browser(curl(address="")), "exit 0", server=also(bogus_zone, lambda lab: lab.web(listen=(WEB,)), resolv_conf(
        f"nameserver {GATEWAY}\nnameserver {NAT53}\noptions timeout:2 attempts:2 edns0\n")), tools="BIND, Unbound, dig, nginx, curl", views=[
            View("none/dns-bogus-second-resolver-works", "inside",
                 "the zone's signatures ran out; Unbound validates and answers SERVFAIL, the second server does not validate and gives the address",
                 ["dns.flags.rcode == 2", SYN, HELLO], [completed()])]),
    Scene(browser(curl(address="")), "exit 0", server=also(answering("*=refused", resolvers=(GATEWAY, NAT53), web=True), behind(
        f"--host-record={NAME},{WEB}")), tools="Python (resolver), dnsmasq, dig, nginx, curl", views=[
            View("none/dns-refused-second-resolver-works", "inside", "the first resolver refuses every question, the second gives the address",
                 ["dns.flags.rcode == 5", SYN, HELLO], [completed()])]),
    Scene(browser(curl(address="")), "exit 0", net={"v6": True}, server=site(f"--host-record={NAME},{net.WEB6}", "--local=/example.test/"), tools="dnsmasq, dig, nginx, curl",
          views=[View("none/dns-no-ipv4-address-works", "inside", "the name has an AAAA record and no A record; the site is reached over IPv6",
                      [ANSWER, SYN, HELLO], [completed()])]),
    Scene(first_then(DIG, curl(address="")), "exit 0", server=also(
        site("--address=/example.test/#"), lambda lab: lab.client_file("hosts", f"127.0.0.1 localhost\n{WEB} {NAME}\n")),
          tools="dnsmasq, dig, nginx, curl", views=[
              View("none/dns-blocked-hosts-file-works", "inside", "a blocklist gives 0.0.0.0 for the name; the client's hosts file has its address",
                   [ANSWER, SYN, HELLO], [completed()])]),
    Scene(over_tls_then(WEB), "exit 0", server=also(lambda lab: lab.web(), encrypted), tools="Unbound, kdig, nginx, curl", views=[
        View("none/dns-over-tls-works", "inside", "the name is looked up over TLS, on port 853; the site is found",
             ["tcp.dstport == 853", SYN, HELLO], [completed(), completed()])]),
    Scene(dig_then(curl(address=net.SECOND)), "exit 0", server=site(f"--host-record={NAME},{WEB}"), tools="dnsmasq, dig, nginx, curl",
          views=[View("none/dns-other-address-works", "inside",
                      f"DNS says {WEB}; curl --resolve uses {net.SECOND}, which serves the same site", [ANSWER, SYN, HELLO], [completed()])]),
    Scene(curl(address=""), "exit 0", server=site(f"--cname={NAME},edge.example.net", f"--host-record=edge.example.net,{WEB}"),
          tools="dnsmasq, nginx, curl",
          views=[View("none/dns-alias-works", "inside", "the name is an alias of edge.example.net, whose server has a certificate for it",
                      [ANSWER, SYN, HELLO], [completed()])]),
]
