#!/usr/bin/env python3
"""Connections which complete, or nearly, and carry no data, without a fault: health checks, certificate fetchers, preconnects, pools, killed
clients. They look like a client that rejects a certificate late."""
import re, shutil, signal, sys
from pathlib import Path
from lab import case, main, Client, Server, PROGRAMS, WORK
from pki import TRUST, authority, leaf
from stacks import *

OTHER, IP = "intranet.example.test", "198.51.100.20"
good = leaf("good")
BAD = (("self-signed", leaf("self-signed", None), "self-signed"), ("expired", leaf("expired", days=(-100, -10)), "ten days past notAfter"),
       ("other-name", leaf("other", subject=OTHER, names=(OTHER,)), "another host's"),
       ("unknown-root", leaf("stranger", authority("stray", "Unrelated CA", None)), "of an unknown root"))
SERVERS = {"nginx": nginx_cert, "s-server": s_server, "haproxy": lambda c, tls: haproxy(f"crt {c.all} ssl-min-ver TLSv{tls} ssl-max-ver TLSv{tls}"),
           **({"apache": apache} if APACHE else {}), "python": py_server, "node": node_server, "gnutls": gnutls_serv,
           "java": lambda c, tls: java_server(c.p12, tls), **({"rustls": rustls_server} if RUSTLS else {}), **({"openssl4": openssl4_server} if OPENSSL4 else {})}
server_at = lambda n: list(SERVERS)[n % len(SERVERS)]
both, no = ("1.2", "1.3"), lambda tls: tls.replace(".", "")
FINISHED = "C:23/(53|69|74|78|85|90)(?![0-9])"
# the client's Finished, and no application data of the client behind it
UNUSED = {"1.2": r"C:ccs (?!.*C:23/)", "1.3": rf"S:23/.*{FINISHED}(?!.*C:23/(?!(19|24|35)(?![0-9])))"}
USED = {"1.2": r"C:ccs .*S:ccs .*C:23/", "1.3": rf"S:23/.*{FINISHED}.*C:23/"}
unused = dict(outcome="abandoned", also_outcome=["completed"])
gone, used = dict(outcome="abandoned"), dict(outcome="completed")


def unverified(sni, verify):
    return [] if sni and verify else ["no-verify"]


at = lambda sni: HOST if sni else IP
plugin = lambda name, *words: Client([f"/usr/lib/nagios/plugins/{name}", *words, "-p", "443"], "monitoring-plugins " + version("dpkg-query -W -f '${Version}' monitoring-plugins-basic") + " " + name)
CURL_GNUTLS = "/usr/lib/x86_64-linux-gnu/libcurl-gnutls.so.4"
IP_AS_NAME = ("ncat", "ruby")                    # these send the address as a server name
PLUGINS = Path("/usr/lib/nagios/plugins/check_tcp").exists()
named = lambda sni, *words: words if sni else ()
has = shutil.which


def idle(*words, host=HOST, says="ssl"):
    return Client([sys.executable, PROGRAMS / "idle.py", host, "-", TRUST, *words], PYTHON.removesuffix("ssl") + says)


def idle_node(how, *words):
    return Client(["node", PROGRAMS / "idle.js", HOST, "-", TRUST, how, *words], NODE + " tls")


def perl(sni, verify):
    return Client(["perl", "-MIO::Socket::SSL", "-e", f"my $s = IO::Socket::SSL->new(PeerAddr => '{HOST}:443', SSL_ca_file => '{TRUST}', SSL_verify_mode => {int(sni and verify)}, "
                   f"SSL_hostname => '{HOST if sni else ''}') or die $SSL_ERROR; print $s->get_sslversion, ' connected'; $s->close"],
                  "Perl IO::Socket::SSL " + version("perl -MIO::Socket::SSL -e 'print $IO::Socket::SSL::VERSION'"))


def php(sni, verify):
    yes = lambda x: "true" if x else "false"
    return Client(["php", "-r", f"$c = stream_context_create(['ssl' => ['cafile' => '{TRUST}', 'capture_peer_cert' => true, 'SNI_enabled' => {yes(sni)}, 'verify_peer' => {yes(sni and verify)}, "
                   f"'verify_peer_name' => {yes(sni and verify)}]]); $s = stream_socket_client('ssl://{HOST}:443', $e, $m, 5, STREAM_CLIENT_CONNECT, $c) or die($m); "
                   "print_r(array_keys(stream_context_get_params($s)['options']['ssl'])); fclose($s);"], "PHP " + version("php -r 'echo PHP_VERSION;'"))


def ruby(sni, verify):
    mode = "PEER" if sni and verify else "NONE"
    return Client(["ruby", "-rnet/http", "-e", f"Net::HTTP.start('{at(sni)}', 443, use_ssl: true, ca_file: '{TRUST}', verify_mode: OpenSSL::SSL::VERIFY_{mode}) {{ |h| puts h.peer_cert.subject }}"],
                  "Ruby " + version("ruby -e 'puts RUBY_VERSION'") + " Net::HTTP")


def socat(sni, verify, hold=0):
    trust = f"cafile={TRUST}" if sni and verify else "verify=0"
    return Client(["socat", "-", f"OPENSSL:{HOST}:443,{trust}{'' if sni else ',no-sni=1'}"], "socat " + version("socat -V | sed -n 2p", word=2), hold=hold)


def ncat(sni, verify):
    trust = ["--ssl-verify", "--ssl-trustfile", TRUST] if sni and verify else []
    return Client(["ncat", "--ssl", *trust, at(sni), "443"], version("ncat --version", word=slice(0, 3)))


def closing(c, *without, add=()):
    """The client with its standard input closed at once."""
    c.cmd, c.stdin, c.hold = [w for w in c.cmd if w not in without] + list(add), b"", 0
    return c


def showing(sni, verify, *add):
    c = closing(s_client(verify=False), *([] if sni else ["-servername"]), add=add)
    if not sni:
        c.cmd.remove(HOST)
        c.cmd.append("-noservername")
    return c


fetch = lambda sni, verify: Client([sys.executable, "-c", f"import ssl; print(ssl.get_server_certificate(('{at(sni)}', 443)))"], PYTHON + " get_server_certificate")
SAID = "closed without a request"
# word, can it be had, client (with SNI?, verifying?), exit code, what it says, what it is
CHECKS = (
    ("haproxy", True, lambda s, v: checker("check-ssl verify none" + (f" check-sni {HOST}" if s else "")), 124, "", "a load balancer's health check, which does not verify"),
    ("check-tcp", PLUGINS, lambda s, v: plugin("check_tcp", "-S", "-H", HOST, *named(s, f"--sni={HOST}")), 0, "TCP OK", "a monitor's check_tcp -S, which does not verify"),
    ("check-http-cert", PLUGINS, lambda s, v: plugin("check_http", "-H", HOST, "-C", "1", *named(s, "--sni")), (0, 2), "ertificate", "a monitor's check_http -C, which reads the certificate's dates and leaves"),
    ("python", True, lambda s, v: idle(*named(not s, "no-sni"), *unverified(s, v)), 0, SAID, "a script connects and closes the socket"),
    ("python-unwrap", True, lambda s, v: idle("unwrap", *named(not s, "no-sni"), *unverified(s, v)), 0, SAID, "a script connects and takes leave with close_notify"),
    ("libcurl", True, lambda s, v: idle("libcurl=libcurl.so.4", *unverified(s, v), host=at(s), says="with libcurl " + CURL.split()[1]), 0, "No error", "a program with CURLOPT_CONNECT_ONLY"),
    ("go", GO, lambda s, v: go(host=at(s), extra=["silent", *unverified(s, v)]), 0, SAID, "a program connects and closes"),
    ("java", True, lambda s, v: java(host=at(s), extra=["silent", *([] if s and v else ["no-verify", "no-name"])]), 0, SAID, "a program makes the handshake and closes the socket"),
    ("rustls", RUSTLS, lambda s, v: rustls(host=at(s), extra=["silent", *unverified(s, v)]), 0, SAID, "a program connects and closes"),
    ("node-end", True, lambda s, v: idle_node("end", *named(not s, "no-sni"), *unverified(s, v)), 0, SAID, "a script ends the socket once it is connected"),
    ("node-destroy", True, lambda s, v: idle_node("destroy", *named(not s, "no-sni"), *unverified(s, v)), 0, SAID, "a script destroys the socket once it is connected"),
    ("nss", True, lambda s, v: closing(nss(host=at(s), extra=["-Q"] + ([] if s and v else ["-o"]))), 0, "", "tstclnt -Q, which leaves once the handshake is done"),
    ("s-client", True, lambda s, v: showing(s, v), 0, "DONE", "openssl s_client with an empty input, which does not verify"),
    ("gnutls", True, lambda s, v: closing(gnutls(extra=[*named(s, "--sni-hostname", HOST), *named(not s, "--disable-sni"), *([] if s and v else ["--insecure"])])), 0,
     "Handshake was completed", "gnutls-cli with an empty input"),
    ("socat", has("socat"), socat, 0, "", "socat with an empty input"),
    ("ncat", has("ncat"), ncat, 0, "", "ncat --ssl with an empty input"),
    ("perl", Path("/usr/share/perl5/IO/Socket/SSL.pm").exists(), perl, 0, "connected", "a script connects and closes"),
    ("php", has("php"), php, 0, "peer_certificate", "a script which fetches the certificate"),
    ("ruby", has("ruby"), ruby, 0, "example.test", "a script which opens an HTTP session and ends it without a request"),
    ("showcerts", True, lambda s, v: showing(s, v, "-showcerts"), 0, "BEGIN CERTIFICATE", "openssl s_client -showcerts with an empty input, to fetch the chain"),
    ("libcurl-gnutls", Path(CURL_GNUTLS).exists(), lambda s, v: idle(f"libcurl={CURL_GNUTLS}", *unverified(s, v), host=at(s), says="with libcurl-gnutls " + CURL.split()[1]), 0, "No error",
     "a program with CURLOPT_CONNECT_ONLY and GnuTLS"),
    ("node-abort", True, lambda s, v: idle_node("abort", *named(not s, "no-sni"), *unverified(s, v)), 0, SAID, "a script takes its request back once it is connected"),
    ("fetch-python", True, fetch, 0, "BEGIN CERTIFICATE", "ssl.get_server_certificate, which does not verify"),
)
for n, (word, there, run, code, says, what) in enumerate(CHECKS):
    bad, worse = BAD[n % 4], BAD[(n + 1) % 4]
    nameless = ("ip-sni", "; it sends the address as the server name") if word in IP_AS_NAME else ("no-sni", "; it sends no server name")
    plan = [("1.2", True, good, "", "good"), ("1.3", True, good, "", "good"), (both[n % 2], False, good, nameless[0] + "-", "good" + nameless[1]),
            ("1.2", True, bad[1], bad[0] + "-", bad[2]), ("1.3", n % 3 > 0, worse[1], worse[0] + ("-" if n % 3 else f"-{nameless[0]}-"), worse[2] + ("" if n % 3 else nameless[1]))]
    if word == "node-destroy":                                 # behind TLS 1.3 it leaves as Node does when it rejects
        plan += [("1.3", False, good, nameless[0] + "-", "good" + nameless[1])] + [("1.3", True, b[1], b[0] + "-", b[2]) for b in BAD if b is not worse]
    for i, (tls, sni, cert, tag, state) in enumerate(plan if there else ()):
        name = server_at(3 * n + i)
        wire, label = (r"S:23/\S+ (?!.*C:(23/|ccs))", gone) if word in ("node-destroy", "node-abort") and tls == "1.3" else (UNUSED[tls], unused)    # it ends before its Finished is sent
        case(f"none/unused-{word}-{tag}{name}-tls{no(tls)}", SERVERS[name](cert, tls), run(sni, cert is good), code, says, wire,
             f"{what}; the certificate is {state}", attempts=[label])


# ---- scanners: how many connections they make is theirs to decide ----
def scanned(shapes):
    """All are a scanner's. It finished some handshakes, and the server refused some; an alert behind the scanner's FIN is noise."""
    also = lambda s: ["failed"] if re.search("^(?!.*C:(FIN|RST).*S:al).*S:al", s) else ["completed"] if re.search(rf"C:hs16 .*S:ccs|{FINISHED}", s) else None
    return [dict(gone, **({"also_outcome": also(s)} if also(s) else {})) for s in shapes]


nmap = lambda script, host=HOST: Client(["nmap", "-n", "-Pn", "--max-retries", "1", "--script", script, "-p", "443", host], version("nmap --version", word=slice(0, 3)) + " " + script)
sslscan = lambda *words: Client(["sslscan", "--no-colour", "--no-renegotiation", "--no-compression", "--no-heartbleed", *words, HOST], "sslscan " + version("sslscan --version", 0, -1))
hellos = lambda name: Client([sys.executable, PROGRAMS / "hellos.py", IP, name], PYTHON.replace(" ssl", " raw ClientHellos"))
few = "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;"
for n, tls in enumerate(both):
    name, cert, state = BAD[n]
    if has("nmap"):
        case(f"none/scan-ssl-cert-nmap-tls{no(tls)}", nginx_cert(good, tls), nmap("ssl-cert"), 0, "ssl-cert", "C:SYN", "nmap fetches the certificate, which is good", attempts=scanned)
        case(f"none/scan-ssl-cert-{name}-nmap-tls{no(tls)}", s_server(cert, tls), nmap("ssl-cert"), 0, "ssl-cert", "C:SYN", f"nmap fetches the certificate, which is {state}", attempts=scanned)
        case(f"none/scan-ssl-cert-no-sni-nmap-tls{no(tls)}", nginx_cert(cert, tls), nmap("ssl-cert", IP), 0, "ssl-cert", "C:SYN",
             f"nmap fetches the certificate of an address; it is {state}", attempts=scanned)
        case(f"none/scan-ciphers-nmap-tls{no(tls)}", nginx_cert(good, tls, few), nmap("ssl-enum-ciphers"), 0, "ssl-enum-ciphers", "C:SYN", "nmap tries the server's versions and ciphers", attempts=scanned)
    if has("sslscan"):
        case(f"none/scan-certificate-sslscan-tls{no(tls)}", nginx_cert(cert, tls), sslscan("--no-ciphersuites", "--no-fallback", "--no-groups", f"--sni-name={HOST}"), 0, "Subject", "C:SYN",
             f"a scanner tries the versions and reads the certificate, which is {state}", attempts=scanned)
        case(f"none/scan-ciphers-sslscan-tls{no(tls)}", nginx_cert(good, tls, few), sslscan("--no-groups"), 0, "Preferred", "C:SYN", "a scanner tries the server's versions and ciphers", attempts=scanned)
    word, made = (("nginx", nginx_cert), ("s-server", s_server))[n]
    case(f"none/scan-hellos-{word}", made(good), hellos(HOST), 0, "9 ", "C:hs1 S:", "a fingerprinting scanner's ten ClientHellos", attempts=scanned)
    case(f"none/scan-hellos-no-sni-{name}-tls{no(tls)}", haproxy(f"crt {cert.all} ssl-max-ver TLSv{tls}"), hellos("-"), 0, "9 ", "C:hs1 S:",
         f"a fingerprinting scanner's ten ClientHellos without a server name; the certificate is {state}", attempts=scanned)

# ---- preconnects and pools ----
image = Server([sys.executable, PROGRAMS / "responder.py", good.crt, "3"], "HTTP responder", 80)
for n, tls in enumerate(both):
    for i, seconds in enumerate((1, 5, 30)):
        name = ("nginx", "s-server", "node", "gnutls", "nginx", "python")[3 * n + i]
        case(f"none/pool-idle-{seconds}-python-{name}-tls{no(tls)}", SERVERS[name](good, tls), idle("pool", f"idle={seconds}", says="http.client"), 0, SAID, UNUSED[tls],
             f"a pool connects ahead of need and closes {seconds} s later", attempts=[unused])
    case(f"none/pool-agent-node-nginx-tls{no(tls)}", nginx_cert(good, tls), idle_node("agent", f"idle={1 + 3 * n}"), 0, SAID, UNUSED[tls],
         "a keep-alive agent's socket, which is destroyed without a request", attempts=[unused])
    case(f"none/pool-agent-{BAD[n][0]}-node-s-server-tls{no(tls)}", s_server(BAD[n][1], tls), idle_node("agent", "no-verify", "idle=1"), 0, SAID, UNUSED[tls],
         f"a keep-alive agent's socket, which is destroyed without a request; it does not verify, and the certificate is {BAD[n][2]}", attempts=[unused])
    case(f"none/pool-spare-python-nginx-tls{no(tls)}", nginx_cert(good, tls), idle("spare", "idle=1", says="http.client"), 0, SAID, [USED[tls], UNUSED[tls]],
         "a pool of two connections, of which one serves a request", attempts=[used, unused])
    case(f"none/pool-spare-go-nginx-tls{no(tls)}", nginx_cert(good, tls), go(extra=["pool"]), 0, "reused true", [USED[tls], UNUSED[tls]],
         "net/http dials for a second request, which then takes the first one's connection: the new one stays unused", attempts=[used, unused]) if GO else None
    for name, made, seconds in (("nginx", nginx_cert(good, tls, "client_header_timeout 2;"), 4), ("haproxy", SERVERS["haproxy"](good, tls), 7),
                                *((("apache", apache(good, tls, "Timeout 2"), 4),) if APACHE else ())):
        case(f"none/pool-server-closes-python-{name}-tls{no(tls)}", made, idle("pool", f"idle={seconds}", says="http.client"), 0, SAID, rf"{UNUSED[tls]}.*S:FIN",
             "a pool connects ahead of need, and the server closes the idle connection", attempts=[unused])
    if CHROMIUM:
        page, late = WORK / "preconnect.html", WORK / "preconnect-late.html"
        page.write_text(f"<!doctype html><link rel=preconnect href=https://{HOST}><p>hello")
        late.write_text(page.read_text() + "<img src=http://ocsp.example.test/slow.png>")
        case(f"none/preconnect-chromium-nginx-tls{no(tls)}", nginx_cert(good, tls), chromium(url=late.as_uri()), 0, "hello", UNUSED[tls],
             "a page asks for a preconnect which nothing uses; the browser is closed three seconds later", attempts=[unused], helpers=[image])
        case(f"none/preconnect-cut-chromium-apache-tls{no(tls)}", (apache if APACHE else nginx_cert)(good, tls), chromium(url=page.as_uri()), 0, "hello", r"C:hs1 S:hs2 (?!.*C:(hs16|23/)).*C:(FIN|RST)",
             "a page asks for a preconnect, and the browser is closed before it has answered the server's flight", attempts=[gone])
        stay = chromium(url=page.as_uri(), extra=["--remote-debugging-port=0"])
        stay.cmd.remove("--dump-dom")
        stay.kill, stay.signal = (8, 16)[n], signal.SIGTERM
        case(f"none/preconnect-killed-chromium-node-tls{no(tls)}", node_server(good, tls), stay, (0, -15, 143), "", UNUSED[tls],
             "a page asks for a preconnect which nothing uses; then the browser is ended with SIGTERM", attempts=[unused])

# ---- killed ----
holding = {"s-client": s_client(), "gnutls": gnutls(), "python": idle("idle=20"), "node": idle_node("end", "idle=20"), "nss": nss(),
           **({"socat": socat(True, True)} if has("socat") else {}), **({"ncat": ncat(True, True)} if has("ncat") else {})}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
for n, (word, run) in enumerate(holding.items()):
    for i, tls in enumerate(both):
        sign = SIGNALS[(n + i) % 3]
        name = ("nginx", "s-server", "node", "haproxy")[(n + i) % 4]
        c = Client(run.cmd, run.version, kill=2, signal=sign)
        case(f"none/killed-connected-{word}-{name}-tls{no(tls)}", SERVERS[name](good, tls), c, (-sign, 128 + sign, 0, 130, 1), "", UNUSED[tls],
             f"the client has finished the handshake and is ended with {sign.name}", attempts=[unused])
# a round trip takes 600 ms here
wide = leaf("wide", names=(HOST, *(f"host-{i:04}.sub.example.test" for i in range(600))))     # its flight takes two round trips
slow = {"wget": wget(), "s-client": s_client(), "gnutls": gnutls(), "nss": nss(), "curl": curl()}
for n, (word, run) in enumerate(slow.items()):
    for i, (step, after, cert, wire, label, why) in enumerate((
            ("hello", 0.95, good, r"^C:SYN S:SYN C:hs1 .*C:(FIN|RST)", gone, "the server's flight is on its way"),
            ("half-flight", 1.5, wide, r"C:hs1 S:hs2 (?!.*C:(hs16|23/)).*C:(FIN|RST)", gone, "the second half of the server's long flight is on its way"),
            ("finished", 1.65, good, r"C:(hs16|ccs|23/).*C:(FIN|RST)", unused, "its Finished is on its way, or has just arrived"))):
        tls, sign = both[(n + i) % 2], SIGNALS[(n + i) % 3]
        name = ("nginx", "s-server", "haproxy")[(n + i) % 3]
        c = Client(run.cmd, run.version, kill=after, signal=sign)
        case(f"none/killed-{step}-{word}-{sign.name.lower()}-{name}-tls{no(tls)}", SERVERS[name](cert, tls), c, (-sign, 128 + sign, 0, 130), "", wire, f"the client is ended with {sign.name} while {why}",
             attempts=[label], delay=0.3)
asked = leaf("asked", ocsp="http://ocsp.example.test/")
later = Server([sys.executable, PROGRAMS / "responder.py", good.crt, "20"], "HTTP responder", 80)
for n, tls in enumerate(both):
    c = java(extra=["ocsp"])
    c.kill, c.signal = 7, SIGNALS[1 + n]
    case(f"none/killed-after-flight-java-nginx-tls{no(tls)}", nginx_cert(asked, tls), c, (128 + c.signal, -c.signal), "", r"C:hs1 S:hs2 (?!.*C:(hs16|ccs .*C:23)).*C:(FIN|RST)",
         f"the client holds the server's flight and waits for an OCSP answer when it is ended with {c.signal.name}", attempts=[dict(gone, also_outcome=["failed"])], helpers=[later])

# ---- an answer which does not come, or has no body ----
for n, tls in enumerate(both):
    waits = nginx_cert(good, tls, "location / { proxy_pass http://127.0.0.1; }")
    case(f"none/no-answer-timeout-curl-tls{no(tls)}", waits, curl(extra=["-m", "1"]), 28, "timed out", USED[tls], "the server is slow to answer and the user's --max-time ends it", attempts=[used], helpers=[later])
    case(f"none/no-answer-timeout-wget-tls{no(tls)}", s_server(good, tls, www=False), wget(extra=["-T", "1"]), 4, "timed out", USED[tls], "the server does not answer and the client's timeout ends it", attempts=[used])
    hit = curl()
    hit.kill, hit.signal = 1.5, signal.SIGINT
    case(f"none/no-answer-interrupted-curl-tls{no(tls)}", s_server(good, tls, www=False), hit, -2, "", USED[tls], "the server does not answer and the user presses Ctrl-C", attempts=[used])
    mute = nginx_cert(good, tls, "location / { return 444; }")
    case(f"none/no-answer-closed-wget-tls{no(tls)}", mute, wget(), 4, "non-properly terminated", USED[tls], "the server takes the request and closes without an answer", attempts=[used])
    case(f"none/no-answer-closed-curl-tls{no(tls)}", mute, curl(), 52, "Empty reply", USED[tls], "the server takes the request and closes without an answer", attempts=[used])
    case(f"none/head-wget-tls{no(tls)}", nginx_cert(good, tls), wget(extra=["--spider"]), 0, "200 OK", USED[tls], "wget --spider: a request without a body in the answer", attempts=[used])
    case(f"none/head-curl-tls{no(tls)}", node_server(good, tls), curl(extra=["-I"]), 0, "200", USED[tls], "curl -I: a request without a body in the answer", attempts=[used])
    if PLUGINS:
        case(f"none/health-check-http-tls{no(tls)}", nginx_cert(BAD[n][1], tls), plugin("check_http", "-S", "--sni", "-H", HOST), 0, "HTTP OK", USED[tls],
             f"a monitor's check_http -S, which does not verify; the certificate is {BAD[n][2]}", attempts=[used])

if __name__ == "__main__":
    main()
