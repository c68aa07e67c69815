"""A small network to make captures in: client - gateway - path - server.

    cn-client  192.168.10.2, 2001:db8:10::2       a second inside host, cn-other, is 192.168.10.3
    cn-gw      192.168.10.1 | 203.0.113.1         NAT, firewall, resolver; 2001:db8:10::1 | 2001:db8:113::1
    cn-path    copies frames with a delay each way; can encapsulate and decapsulate them
    cn-server  203.0.113.10 .20 .30, 198.51.100.10, 2001:db8:113::10 ::20

Captures are taken on the gateway's inside link (in0) or its outside link (out0). Nothing leaves the namespaces. Two labs
run side by side under different TLSWHY_LAB_SPACE: it stands for the "cn" of the names above.
"""

import atexit
import contextlib
import ctypes
import os
import pathlib
import shlex
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
CAPTURES = pathlib.Path(os.environ.get("TLSWHY_LAB_OUT", HERE.parent))  # where captures are written
KEYS = pathlib.Path(os.environ.get("TLSWHY_LAB_KEYS", pathlib.Path.home() / ".cache/tlswhy-captures/network"))
STATE = pathlib.Path(os.environ.get("TLSWHY_LAB_STATE", "/var/tmp/tlswhy-lab"))  # where all.py keeps software that is not Debian's
ROOT = CAPTURES / "lab-root-net.pem"

SPACE = os.environ.get("TLSWHY_LAB_SPACE", "cn")
SPACES = ("cn-client", "cn-other", "cn-gw", "cn-path", "cn-server")
NAME = "www.example.test"
CLIENT, OTHER, GATEWAY, NAT = "192.168.10.2", "192.168.10.3", "192.168.10.1", "203.0.113.1"
WEB, ELSEWHERE, CLOSED, SECOND = "203.0.113.10", "203.0.113.20", "203.0.113.30", "198.51.100.10"
CLIENT6, WEB6, ELSEWHERE6 = "2001:db8:10::2", "2001:db8:113::10", "2001:db8:113::20"
MAC = {"eth0@client": "02:00:00:00:10:02", "eth0@other": "02:00:00:00:10:03", "in0": "02:00:00:00:10:01",
       "out0": "02:00:00:00:71:01", "eth0@server": "02:00:00:00:71:10"}
QUIET = "tcp or udp or icmp or (icmp6 and ip6[40] < 128)"  # no ARP, no neighbour discovery


def real(space):
    """The namespace's name in this run; scripts write cn-client and so on."""
    return SPACE + space.removeprefix("cn")


def run(command, ok=True, **more):
    """Runs a command line (text or list); raises with what it printed when it fails."""
    command = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if ok and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done


@contextlib.contextmanager
def inside(space):
    """Sockets made in this block belong to the namespace, and stay there after it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{real(space)}") as there:
        if libc.setns(there.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"cannot enter {space}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), 0)


class Net:
    """The namespaces, built on entry and removed on exit together with every process started in them."""

    def __init__(self, delay_ms=10, delay6_ms=None, v6=False, nat=True, other=False, mtu=1500, wrap=None,
                 relay=True, offload=False, hops=0):
        self.delay, self.delay6 = delay_ms, delay6_ms or delay_ms
        self.v6, self.nat, self.other, self.mtu, self.wrap = v6, nat, other, mtu, wrap
        self.relay, self.offload, self.hops = relay, offload, hops
        self.running, self.work = [], pathlib.Path(tempfile.mkdtemp(prefix=f"{SPACE}-"))

    def __enter__(self):
        atexit.register(self.close)
        self.close()
        self.work.mkdir(exist_ok=True)
        for space in SPACES:
            run(f"ip netns add {real(space)}")
            self.on(space, "ip link set lo up")
            for scope in ("all", "default"):
                self.on(space, f"sysctl -qw net.ipv6.conf.{scope}.disable_ipv6={0 if self.v6 and space != 'cn-path' else 1}")
                self.on(space, f"sysctl -qw net.ipv6.conf.{scope}.accept_dad=0")
        self.on("cn-client", "sysctl -qw net.ipv4.tcp_timestamps=1")
        if self.other:
            self._bridge()
        else:
            self._veth("cn-client", "eth0", "cn-gw", "in0")
        if self.relay:
            self._veth("cn-gw", "out0", "cn-path", "left")
            self._veth("cn-server", "eth0", "cn-path", "right")
            if self.wrap:
                self._veth("cn-path", "tunnel0", "cn-path", "tunnel1")
                for name in ("tunnel0", "tunnel1"):
                    self.on("cn-path", f"ip link set {name} mtu 1600")
        else:
            self._veth("cn-gw", "out0", "cn-server", "eth0")
        self._addresses()
        if self.relay:
            ends = ["left", "right"] if not self.wrap else ["left", "tunnel0", "tunnel1", "right"]
            self.spawn("cn-path", [sys.executable, HERE / "path.py", self.delay, self.delay6, self.hops, self.wrap or "-", *ends])
        if self.nat:
            self.on("cn-gw", "iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE")
        for address in (WEB, WEB6) if self.v6 else (WEB,):
            until(lambda: self._reaches(address))  # resolves the neighbours: the first SYN then pays one round trip only
        self.on("cn-gw", "conntrack -F", ok=False)
        return self

    def __exit__(self, *_):
        self.close()
        for file in sorted(self.work.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        self.work.rmdir()

    def close(self):
        for process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(3)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.running = []
        for space in SPACES:
            name = real(space)
            if os.path.exists(f"/run/netns/{name}"):
                run(f"ip netns del {name}")
            for file in ("resolv.conf", "hosts"):
                pathlib.Path(f"/etc/netns/{name}/{file}").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                os.rmdir(f"/etc/netns/{name}")

    # -- building

    def _veth(self, space, name, peer_space, peer):
        run(f"ip -n {real(space)} link add {name} type veth peer name {peer} netns {real(peer_space)}")
        for where, link in ((space, name), (peer_space, peer)):
            mac = MAC.get(link if link != "eth0" else f"eth0@{where[3:]}")
            if mac:
                self.on(where, f"ip link set {link} address {mac}")
            if not self.offload:
                for feature in ("tx", "tso", "gso", "gro"):
                    self.on(where, f"ethtool -K {link} {feature} off", ok=False)
            self.on(where, f"ip link set {link} mtu {self.mtu} up")

    def _bridge(self):
        self.on("cn-gw", f"ip link add in0 address {MAC['in0']} type bridge")
        self._veth("cn-client", "eth0", "cn-gw", "port1")
        self._veth("cn-other", "eth0", "cn-gw", "port2")
        for link in ("port1", "port2"):
            self.on("cn-gw", f"ip link set {link} master in0")
        self.on("cn-gw", "ip link set in0 up")
        self.on("cn-gw", "sysctl -qw net.bridge.bridge-nf-call-iptables=0", ok=False)  # bridged packets stay untranslated
        self.on("cn-other", f"ip addr add {OTHER}/24 dev eth0")
        self.on("cn-other", f"ip route add default via {GATEWAY}")

    def _addresses(self):
        self.on("cn-client", f"ip addr add {CLIENT}/24 dev eth0")
        self.on("cn-client", f"ip route add default via {GATEWAY}")
        self.on("cn-gw", f"ip addr add {GATEWAY}/24 dev in0")
        self.on("cn-gw", f"ip addr add {NAT}/24 dev out0")
        self.on("cn-gw", f"ip route add 198.51.100.0/24 via {WEB}")
        self.on("cn-gw", "sysctl -qw net.ipv4.ip_forward=1")
        for address in (f"{WEB}/24", f"{ELSEWHERE}/24", f"{CLOSED}/24", f"{SECOND}/24"):
            self.on("cn-server", f"ip addr add {address} dev eth0")
        self.on("cn-server", f"ip route add default via {NAT}")
        if self.v6:
            self.on("cn-client", f"ip addr add {CLIENT6}/64 dev eth0 nodad")
            self.on("cn-gw", "ip addr add 2001:db8:10::1/64 dev in0 nodad")
            self.on("cn-gw", "ip addr add 2001:db8:113::1/64 dev out0 nodad")
            self.on("cn-gw", "sysctl -qw net.ipv6.conf.all.forwarding=1")
            for address in (WEB6, ELSEWHERE6):
                self.on("cn-server", f"ip addr add {address}/64 dev eth0 nodad")
            self.on("cn-client", "ip route add default via 2001:db8:10::1")
            self.on("cn-server", "ip route add default via 2001:db8:113::1")

    def _reaches(self, address):
        try:
            self.connect(address, port=9, timeout=1).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False

    # -- using

    def on(self, space, command, ok=True, **more):
        words = shlex.split(command) if isinstance(command, str) else list(command)
        return run(["ip", "netns", "exec", real(space), *words], ok=ok, **more)

    def spawn(self, space, command, ready=None, **more):
        """Starts a process in a namespace; waits for a word on its standard error when `ready` is given."""
        words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
        more.setdefault("stdout", subprocess.DEVNULL)
        more.setdefault("stderr", subprocess.PIPE if ready else subprocess.DEVNULL)
        process = subprocess.Popen(["ip", "netns", "exec", real(space), *words], **more)
        self.running.append(process)
        if ready:
            for line in process.stderr:
                if ready in line.decode(errors="replace"):
                    break
            threading.Thread(target=process.stderr.read, daemon=True).start()
        return process

    def capture(self, place, file, only=QUIET, more=()):
        """Starts tcpdump on a link of the gateway (or (namespace, link)); stop it with `stop`."""
        space, link = ("cn-gw", place) if isinstance(place, str) else place
        pathlib.Path(file).parent.mkdir(parents=True, exist_ok=True)
        return self.spawn(space, ["tcpdump", "-i", link, "-U", "--immediate-mode", "-Z", "root", *more, "-w", file, only],
                          ready="listening on")

    def stop(self, process, settle=0.3):
        time.sleep(settle)
        process.terminate()
        process.wait()

    def resolver(self, *options):
        """dnsmasq on the gateway; the client uses it."""
        self.client_file("resolv.conf", f"nameserver {GATEWAY}\noptions timeout:2 attempts:2\n")
        self.spawn("cn-gw", ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                             f"--listen-address={GATEWAY}", "--bind-interfaces", "--pid-file=", "--user=root",
                             *options])
        time.sleep(0.4)

    def client_file(self, name, text, space="cn-client"):
        folder = pathlib.Path(f"/etc/netns/{real(space)}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    def web(self, *, leaf="www", versions="TLSv1.2 TLSv1.3", space="cn-server", listen=(WEB, SECOND), extra=""):
        """nginx: the leaf asked for on `listen`, the leaf of an unrelated site on ELSEWHERE."""
        sites = [(address, leaf) for address in listen]
        if space == "cn-server":
            sites.append((ELSEWHERE, "parked"))
            if self.v6:
                sites += [(f"[{WEB6}]", leaf), (f"[{ELSEWHERE6}]", "parked")]
        text = "".join(
            f"server {{ listen {address}:443 ssl; ssl_certificate {KEYS}/{name}.pem; ssl_certificate_key {KEYS}/{name}.key;"
            f" location / {{ return 200 'hello\\n'; }} }}\n" for address, name in sites)
        folder = self.work / f"nginx-{space}"
        folder.mkdir()
        (folder / "nginx.conf").write_text(
            f"user root; worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
            "events { worker_connections 64; }\n"
            f"http {{ access_log off; ssl_protocols {versions}; server_tokens off; ssl_session_cache shared:s:1m; {extra}\n"
            f" client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;"
            f" uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n{text}}}\n")
        self.spawn(space, ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
        until(lambda: self._open(space, listen[0]))

    def _open(self, space, address):
        with inside(space), socket.socket() as s:
            return s.connect_ex((address.strip("[]"), 443)) == 0

    def connect(self, address=WEB, port=443, space="cn-client", timeout=10, source=0):
        with inside(space):
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            s.settimeout(timeout)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if source:
                s.bind(("", source))
            s.connect((address, port))
            return s


def until(true, seconds=5):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError("gave up waiting")
        time.sleep(0.05)


def tls_context():
    return ssl.create_default_context(cafile=str(ROOT))


def start_tls(sock, name=NAME, context=None):
    """The handshake of Python's ssl over a connected socket; returns what it printed: "" or the error."""
    try:
        return (context or tls_context()).wrap_socket(sock, server_hostname=name), ""
    except (OSError, ssl.SSLError) as error:
        return None, f"{type(error).__name__}: {error}"


def with_tls(sock, error, request=True):
    """Asks for the page over what `start_tls` returned, and closes."""
    if sock is None:
        return error
    try:
        with sock:
            if request:
                sock.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
                sock.recv(4096)
        return "ok"
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def client_hello(name=NAME, context=None):
    """The bytes of one ClientHello, for clients that stop in the middle of a handshake."""
    out = ssl.MemoryBIO()
    half = (context or tls_context()).wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        half.do_handshake()
    return out.read()


# -- certificates: P-256, one root, leaves signed by it directly

LEAVES = {
    "www": [NAME],
    "parked": ["parked.example.net"],
    "big": [NAME] + [f"site-{n:03}.customer-of-the-hosting-company.example.test" for n in range(60)],
    "mail": ["mail.example.test"],
    "doh": ["dns.google"],
}


def certificates():
    """Makes what is missing. The keys stay outside the repository; a new root is added to those of earlier captures."""
    CAPTURES.mkdir(parents=True, exist_ok=True)
    KEYS.mkdir(parents=True, exist_ok=True)
    KEYS.chmod(0o700)
    if not (KEYS / "root.key").exists():
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
             "-subj", "/CN=tlswhy lab root (network)", "-addext", "basicConstraints=critical,CA:TRUE",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", KEYS / "root.key", "-out", KEYS / "root.pem"])
    have, mine = ROOT.read_text() if ROOT.exists() else "", (KEYS / "root.pem").read_text()
    if mine not in have:
        ROOT.write_text(have + mine)
    for name, hosts in LEAVES.items():
        if (KEYS / f"{name}.pem").exists() and not run(["openssl", "x509", "-checkend", "86400", "-noout", "-in",
                                                        KEYS / f"{name}.pem"], ok=False).returncode:
            continue
        (KEYS / f"{name}.ext").write_text(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName=" + ",".join(f"DNS:{h}" for h in hosts))
        run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", f"/CN={hosts[0]}", "-keyout", KEYS / f"{name}.key", "-out", KEYS / f"{name}.csr"])
        run(["openssl", "x509", "-req", "-in", KEYS / f"{name}.csr", "-CA", KEYS / "root.pem", "-CAkey", KEYS / "root.key",
             "-days", "90", "-extfile", KEYS / f"{name}.ext", "-out", KEYS / f"{name}.pem"])
