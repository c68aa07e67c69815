"""Two namespaces joined by a slow wire, a capture of it, and the label beside the capture.

    client 192.0.2.10, 2001:db8:1::10  --- 10 ms ---  server 198.51.100.20, .21, .30, 2001:db8:2::20

Needs root, iproute2, ethtool, tcpdump, tshark, editcap. Nothing leaves the namespaces.
"""
import atexit, heapq, os, re, select, shutil, signal, socket, subprocess, sys, tempfile, time
from dataclasses import dataclass, field
from pathlib import Path

MAKE = Path(__file__).resolve().parent
CAPTURES = MAKE.parent
OUT = Path(os.environ.get("TLSWHY_LAB_OUT", CAPTURES))       # where captures are written
PROGRAMS = MAKE / "programs"
if sys.argv[1:2] != ["wire"]:                          # the relay below needs no files
    WORK = Path(tempfile.mkdtemp(prefix="tlswhy-lab-"))
    os.chmod(WORK, 0o755)
    atexit.register(shutil.rmtree, WORK, True)

HOSTS = """127.0.0.1 localhost
198.51.100.20 xn--bcher-kva.example.test
198.51.100.20 www.example.test shop.example.test mail.example.test a.b.example.test
198.51.100.21 api.example.test
198.51.100.30 ocsp.example.test crl.example.test
2001:db8:2::20 six.example.test dual.example.test
198.51.100.20 dual.example.test smtp.example.test imap.example.test ftp.example.test
"""
UPGRADED = (21, 25, 110, 143)                          # ports where TLS begins after STARTTLS


def sh(cmd):
    subprocess.run(cmd, shell=True, check=True, stdout=subprocess.DEVNULL)


@dataclass
class Server:
    cmd: list                      # None: nothing is started
    version: str
    port: int = 443
    env: dict = field(default_factory=dict)
    dies: str = ""                 # the server is expected not to start, and to say this
    udp: bool = False              # where it listens


@dataclass
class Client:
    cmd: list
    version: str
    stdin: bytes = b""
    env: dict = field(default_factory=dict)
    hold: float = 0                # keep standard input open for so many seconds
    kill: float = 0                # kill the client after so many seconds
    signal: int = signal.SIGKILL   # with this


class Lab:
    """A pair of namespaces which lives for one capture."""

    def __init__(self, delay=0.010, lose=0):
        self.name, self.procs = f"ct-{os.getpid()}", []
        self.etc = {s: Path(f"/etc/netns/{self.name}{s}") for s in "cs"}
        try:
            self.build(delay, lose)
        except Exception:
            self.close()                                  # lest the next row find its namespaces there
            raise

    def build(self, delay, lose):
        n, etc = self.name, self.etc
        for s in "cs":
            sh(f"ip netns add {n}{s}; ip -n {n}{s} link set lo up")
            etc[s].mkdir(parents=True, exist_ok=True)
            (etc[s] / "hosts").write_text(HOSTS)
            (etc[s] / "nsswitch.conf").write_text("hosts: files\n")
            (etc[s] / "resolv.conf").write_text("")
        sh(f"ip netns add {n}w")
        for s, mac in (("c", "02:00:00:00:02:0a"), ("s", "02:00:00:00:64:14")):
            sh(f"ip link add {s} netns {n}{s} address {mac} type veth peer name {s} netns {n}w")
            sh(f"ip netns exec {n}{s} sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.{s}.accept_dad=0")
            sh(f"ip -n {n}{s} link set {s} up; ip -n {n}w link set {s} up")
            for end in (f"{n}{s}", f"{n}w"):
                sh(f"ip netns exec {end} ethtool -K {s} tx off sg off tso off gso off gro off 2>/dev/null")
        for a in ("192.0.2.10/24", "2001:db8:1::10/64 nodad"):
            sh(f"ip -n {n}c addr add {a} dev c")
        for a in ("198.51.100.20/24", "198.51.100.21/24", "198.51.100.30/24", "2001:db8:2::20/64 nodad"):
            sh(f"ip -n {n}s addr add {a} dev s")
        sh(f"ip -n {n}c route add 198.51.100.0/24 dev c; ip -n {n}s route add 192.0.2.0/24 dev s")
        sh(f"ip -n {n}c -6 route add 2001:db8:2::/64 dev c; ip -n {n}s -6 route add 2001:db8:1::/64 dev s")
        macs = {"c": "02:00:00:00:02:0a", "s": "02:00:00:00:64:14"}
        for side, other, addresses in (("c", "s", "198.51.100.20 198.51.100.21 198.51.100.30 2001:db8:2::20"), ("s", "c", "192.0.2.10 2001:db8:1::10")):
            for a in addresses.split():                   # so that the first SYN does not wait for ARP
                sh(f"ip -n {n}{side} neigh replace {a} lladdr {macs[other]} dev {side} nud permanent")
        relay = self.spawn("w", [sys.executable, str(MAKE / "lab.py"), "wire", str(delay), str(lose)])
        self.await_word(relay, "ready")

    def argv(self, side, cmd):
        return ["ip", "netns", "exec", self.name + side] + [str(c) for c in cmd]

    def spawn(self, side, cmd, env={}):
        log = tempfile.TemporaryFile(dir=WORK)
        p = subprocess.Popen(self.argv(side, cmd), stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=WORK,
                             env={**os.environ, **env}, start_new_session=True)
        p.log = log
        self.procs.append(p)
        return p

    def said(self, p):
        p.log.seek(0)
        return p.log.read().decode("utf-8", "replace")

    def await_word(self, p, word, seconds=20):
        until = time.time() + seconds
        while word not in self.said(p):
            if p.poll() is not None or time.time() > until:
                raise RuntimeError(f"no '{word}' from {p.args}: {self.said(p)}")
            time.sleep(0.02)

    def run(self, side, client, timeout=45):
        p = subprocess.Popen(self.argv(side, client.cmd), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, cwd=WORK, env={**os.environ, **client.env},
                             start_new_session=True)
        try:
            if client.kill:
                time.sleep(client.kill)
                os.killpg(p.pid, client.signal)
                out, _ = p.communicate(timeout=timeout)
            elif client.hold:
                p.stdin.write(client.stdin)
                p.stdin.flush()
                time.sleep(client.hold)
                out, _ = p.communicate(timeout=timeout)
            else:
                out, _ = p.communicate(client.stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGTERM)
            out, _ = p.communicate()
        except BrokenPipeError:
            out = p.stdout.read()
            p.wait()
        return p.returncode, out.decode("utf-8", "replace")

    def run_to(self, client, exit, says, running):
        """Run a client that must end with one of these exit codes and print this. Its exit code."""
        got, out = self.run("c", client)
        if got not in (exit if isinstance(exit, tuple) else (exit,)) or says not in out:
            raise AssertionError(f"exit {got}, wanted {exit}; wanted {says!r}; printed:\n{out[-1500:]}\nserver said:\n"
                                 + "\n".join(self.said(p)[-1500:] for p in running))
        return got

    def start(self, server):
        p = self.spawn("s", server.cmd, server.env)
        for _ in range(200):
            if server.dies and p.poll() is not None:
                assert server.dies in self.said(p), self.said(p)
                return p
            got = subprocess.run(self.argv("s", ["ss", "-Hlun" if server.udp else "-Hltn", f"sport = :{server.port}"]), capture_output=True).stdout
            if got and not server.dies:
                return p
            if p.poll() is not None and not server.dies:
                raise RuntimeError(f"server ended: {server.cmd}\n{self.said(p)}")
            time.sleep(0.05)
        raise RuntimeError(f"server does not listen: {server.cmd}\n{self.said(p)}")

    def capture(self, path, side="c"):
        self.path = path
        self.dump = self.spawn(side, ["tcpdump", "-i", side, "-U", "--immediate-mode", "-s", "0", "-Z", "root",
                                      "-w", path, "tcp or udp or icmp"])
        self.await_word(self.dump, "listening on")

    def quiet(self, seconds=0.25):
        size, since = -1, time.time()
        while time.time() - since < seconds:
            time.sleep(0.03)
            now = os.path.getsize(self.path)
            if now != size:
                size, since = now, time.time()

    def go_on(self):
        """One more packet, seconds later: it shows that the capture did not end with the attempt, and so that nobody answered."""
        time.sleep(5)
        sh(f"ip netns exec {self.name}c bash -c 'echo > /dev/udp/198.51.100.30/9'")
        self.quiet(0.5)

    def stop(self, p):
        if p.poll() is None:
            try:
                os.killpg(p.pid, signal.SIGTERM)
                p.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()

    def end_capture(self):
        self.quiet()
        os.kill(self.dump.pid, signal.SIGINT)
        self.dump.wait(5)

    def close(self):
        for p in self.procs[::-1]:
            self.stop(p)
        for s in "csw":
            subprocess.run(["ip", "netns", "del", self.name + s], stderr=subprocess.DEVNULL)
        for d in self.etc.values():
            shutil.rmtree(d, True)


def wire(delay, lose):
    """Forward every frame between the links c and s, `delay` seconds late; drop every `lose`-th frame that is no ARP."""
    socks = {}
    for name, other in (("c", "s"), ("s", "c")):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind((name, 3))
        socks[other] = s
    out = {socks["s"]: socks["c"], socks["c"]: socks["s"]}   # received here, sent there
    print("ready", flush=True)
    queue, n, lost = [], 0, 0
    while True:
        wait = max(0, queue[0][0] - time.monotonic()) if queue else None
        for s in select.select(list(out), [], [], wait)[0]:
            frame, addr = s.recvfrom(65536)
            if addr[2] != 4:                                  # not what we sent ourselves
                n += 1
                if lose and frame[12:14] in (b"\x08\0", b"\x86\xdd"):
                    lost += 1
                    if lost % lose == 0:
                        continue
                heapq.heappush(queue, (time.monotonic() + delay, n, out[s], frame))
        while queue and queue[0][0] <= time.monotonic():
            _, _, s, frame = heapq.heappop(queue)
            s.send(frame)


# ---- reading back, only to check that the capture holds what was meant, and to number its packets ----

FIELDS = ("frame.number tcp.stream tcp.srcport tcp.dstport tcp.flags.syn tcp.flags.fin tcp.flags.reset tcp.len "
          "tls.record.content_type tls.record.opaque_type tls.record.length tls.handshake.type "
          "tls.alert_message.desc http.request.method http.response.code").split()


def packets(path, port):
    args = sum((["-e", f] for f in FIELDS), [])
    decode = [] if port in UPGRADED and port != 21 else ["-d", f"tcp.port=={port},tls"]
    out = subprocess.run(["tshark", "-r", str(path), *decode, "-o", "tls.keylog_file:", "-T", "fields"]
                         + args, capture_output=True, text=True, check=True).stdout
    rows = []
    for line in out.splitlines():
        r = dict(zip(FIELDS, line.split("\t")))
        for k in ("frame.number", "tcp.stream", "tcp.srcport", "tcp.dstport", "tcp.len"):
            r[k] = int(r[k]) if r[k] else -1
        for k in ("tls.record.content_type", "tls.record.opaque_type", "tls.record.length", "tls.handshake.type",
                  "tls.alert_message.desc"):
            r[k] = [int(x) for x in r[k].split(",") if x]
        for k in ("syn", "fin", "reset"):
            r[k] = r.pop("tcp.flags." + k) in ("1", "True")
        rows.append(r)
    return rows


def streams(path, port):
    """One list of packets for each TCP connection to the port."""
    rows = packets(path, port)
    ids = []
    for r in rows:
        if port in (r["tcp.srcport"], r["tcp.dstport"]) and r["tcp.stream"] not in ids:
            ids.append(r["tcp.stream"])
    return [[r for r in rows if r["tcp.stream"] == i] for i in ids]


def shape(stream, port):
    """What each side sent, e.g. 'C:ch S:sh,23/29,… C:al45 C:R': a check, not a judgement."""
    words = []
    for r in stream:
        side = "S" if r["tcp.srcport"] == port else "C"
        types = r["tls.record.content_type"] + r["tls.record.opaque_type"]   # records in clear precede sealed ones
        said = [f"hs{t}" for t in r["tls.handshake.type"]] + [f"al{d}" for d in r["tls.alert_message.desc"]]
        said += [f"{t}/{n}" for t, n in zip(types, r["tls.record.length"])
                 if t == 23 or (t == 21 and not r["tls.alert_message.desc"])]
        if 20 in types:
            said.append("ccs")
        if not types and r["tcp.len"] > 0:
            said.append(f"raw{r['tcp.len']}")
        if r["fin"]:
            said.append("FIN")
        if r["reset"]:
            said.append("RST")
        if r["syn"]:
            said.append("SYN")
        words += [f"{side}:{w}" for w in said]
    return " ".join(words)


def from_port(r, port):
    return r["tcp.srcport"] == port


def telling(stream, port):
    """The packets a reader needs: ClientHello, the server's first flight, certificate, alerts, and how it ended."""
    look, last = [], None
    for r in stream:
        n, from_server = r["frame.number"], from_port(r, port)
        hs = r["tls.handshake.type"]
        if 1 in hs or 2 in hs or 11 in hs or 22 in hs or r["tls.alert_message.desc"]:
            look.append(n)
        if not from_server and (r["tls.record.length"] and 1 not in hs):
            last = n
        if (r["fin"] or r["reset"]) and not any(x < 0 for x in look):
            look.append(-n)
    ended = [-x for x in look if x < 0]
    look = [x for x in look if x > 0]
    alerts = any(r["tls.alert_message.desc"] for r in stream)
    if not alerts:
        look += [r["frame.number"] for r in stream if from_port(r, port) and last and r["frame.number"] > last
                 and any(n in (19, 35) for n in r["tls.record.length"])][:1]      # the server's sealed alert or close_notify
        look += ended[:1] + ([last] if last and last not in look else [])
    if not look:
        look = [r["frame.number"] for r in stream[:2]]
    return sorted(set(look))


# ---- cases ----

CASES = []


def case(name, server, client, exit, says, wire, why, reason="", side="server", visible=True, outcome=None, cause=None,
         trust="lab", helpers=(), capture_at="c", look=None, attempts=None, suffix=".pcap", software="", delay=0.010, lose=0, whole=True, clock=0, keys=None):
    """A row of the tables. `name` is "folder/name"; the folder is the cause unless `cause` says otherwise.

    server   a Server, or a list
    client   a Client, or a list, run one after the other; then exit, says, wire are lists too
    exit     the exit code which the client must have, or a tuple of those it may have
    says     text which the client must print ("" for none)
    wire     a regular expression which the connection's shape must match; one per attempt when a list
    attempts a list of dicts (outcome, cause, reason, side, visible), where they differ from each other; or a function
             from the list of shapes to them, where a scanner decides how many connections it makes
    helpers  servers which are no TLS attempt (OCSP, CRL)
    delay    of each frame on the wire, in seconds
    lose     drop every so many-th frame
    whole    each connection must end within the capture
    clock    seconds by which the capturing host's clock is ahead
    keys     the file into which the row's programs write their secrets; it goes into the capture (pcapng only)
    """
    folder = name.split("/")[0]
    outcome = outcome or ("completed" if folder == "none" else "failed")
    one = dict(outcome=outcome)
    if outcome == "failed":
        one.update(cause=cause or folder, reason=reason, side=side, visible=visible)
    many = lambda x: x if isinstance(x, list) else [x]
    CASES.append(dict(name=name, servers=many(server), clients=many(client), exit=many(exit), says=many(says), wire=many(wire),
                      why=why, attempts=attempts if callable(attempts) else [{**one, **a} for a in attempts] if attempts else [one] * len(many(wire)), trust=trust,
                      helpers=list(helpers), at=capture_at, look=look, suffix=suffix, script=Path(sys.argv[0]).name, software=software,
                      delay=delay, lose=lose, whole=whole, clock=clock, keys=keys))


def quote(s):
    return '"' + s.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def keep(pcap, target, keys=None):
    """The capture in its place; as pcapng with the secrets of a file where the target is one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".pcapng":
        sh(f"editcap -F pcapng {f'--inject-secrets tls,{keys}' if keys else ''} {pcap} {target}")
    else:
        shutil.copyfile(pcap, target)
    if target.stat().st_size > 50_000:
        raise AssertionError(f"{target.stat().st_size} bytes")


def told(clients, ended, says):
    """How each client ended, in words."""
    return [f"{one.version} exits {code}" + (f" with '{words}'" if words else "") for one, code, words in zip(clients, ended, says)]


def label(row, script, programs, ends, look, attempts):
    """The label beside a row's capture."""
    uniq = lambda xs: list(dict.fromkeys(x for x in xs if x))
    software = uniq([one.version for one in programs] + [row["software"]])
    text = [f"made_by = {quote('make/' + script + '; ' + ', '.join(software))}",
            f"why = {quote(row['why'] + '; ' + '; '.join(uniq(ends)))}",
            f"look_at = {look}", f"trust = {quote(row.get('trust', 'lab'))}"]
    for a in attempts:
        text += ["", "[[attempt]]"]
        text += [f"{k} = {str(v).lower() if isinstance(v, bool) else list(map(str, v)) if isinstance(v, list) else quote(v)}" for k, v in a.items() if v is not None]
    target_of(row).with_suffix(".toml").write_text("\n".join(text) + "\n")


def make(c):
    lab = Lab(c["delay"], c["lose"])
    pcap = WORK / "run.pcap"
    pcap.unlink(missing_ok=True)
    if c["keys"]:
        Path(c["keys"]).unlink(missing_ok=True)
    ended = []
    try:
        running = [lab.start(s) for s in c["helpers"] if s.cmd]
        running += [lab.start(s) for s in c["servers"] if s.cmd]
        lab.capture(pcap, c["at"])
        for cl, code, says in zip(c["clients"], c["exit"], c["says"]):
            ended.append(lab.run_to(cl, code, says, running))
            lab.quiet(max(0.12, 3 * c["delay"]))
        lab.quiet()
        for p in running:
            lab.stop(p)
        lab.end_capture()
    finally:
        lab.close()
    port = c["servers"][0].port
    found = streams(pcap, port)
    shapes = [shape(s, port) for s in found]
    attempts = c["attempts"](shapes) if callable(c["attempts"]) else c["attempts"]
    if len(found) != len(attempts):
        raise AssertionError(f"{len(found)} connections: {shapes}")
    for sh_, want in zip(shapes, c["wire"]):
        if not re.search(want, sh_):
            raise AssertionError(f"wanted {want!r} on the wire, got {sh_}")
    for s, sh_ in zip(found, shapes):
        if c["whole"] and not (s[0]["syn"] and (sh_.count("FIN") >= 2 or "RST" in sh_)):
            raise AssertionError(f"connection not whole: {sh_}")
    if c["clock"]:
        sh(f"editcap -F pcap -t {c['clock']} {pcap} {pcap}.set; mv {pcap}.set {pcap}")
    keep(pcap, target_of(c), c["keys"])
    look = c["look"](found) if c["look"] else sum((telling(s, port) for s in found), [])
    if not c["look"]:
        look = sorted(look + [r["frame.number"] for r in packets(pcap, port) if 80 in (r["tcp.srcport"], r["tcp.dstport"])
                              and (r["http.request.method"] or r["http.response.code"] or r["reset"])])
    label(c, c["script"], c["helpers"] + c["servers"] + c["clients"], told(c["clients"], ended, c["says"]), look, attempts)
    print(f"{c['name']}  {target_of(c).stat().st_size} B  {' | '.join(shapes)}", flush=True)


def target_of(c):
    return OUT / (c["name"] + c["suffix"])


def main(rows=CASES, make=make):
    """Make the rows whose name contains any argument, or all of them. What is there already stays, unless --again is given."""
    words = [w for w in sys.argv[1:] if not w.startswith("--")]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))      # so that the namespaces go when a run is stopped
    signal.signal(signal.SIGINT, signal.default_int_handler)     # so that no client ignores it in a run behind a shell
    bad = 0
    for c in rows:
        if words and not any(w in c["name"] for w in words) or target_of(c).exists() and "--again" not in sys.argv:
            continue
        for last in (False, True):
            try:
                make(c)
                break
            except Exception as e:
                if last:
                    bad += 1
                    print(f"NOT MADE {c['name']}: {e}", flush=True)
    print(f"{bad} of {Path(sys.argv[0]).name} were not made", flush=True) if bad else None
    sys.exit(bool(bad))


if __name__ == "__main__" and sys.argv[1:2] == ["wire"]:
    wire(float(sys.argv[2]), int(sys.argv[3]))
