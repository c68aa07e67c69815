"""A table's row, how it is run, captured, labelled and checked."""

import contextlib
import dataclasses
import json
import re
import subprocess
import time

import net
from neighbours import Neighbours


@dataclasses.dataclass
class Attempt:
    """One TLS attempt as its author knows it to be."""
    outcome: str
    cause: str = ""
    reason: str = ""
    side: str = ""
    visible: bool = True
    also: tuple = ()
    stage: str = ""
    also_outcome: tuple = ()
    where: str = ""  # of [[together]]: where it happened, seen from the two points of capture


@dataclasses.dataclass
class View:
    """One capture of a scene: where it was taken, what is true of it, where to look (tshark filters)."""
    name: str
    vantage: str
    why: str
    look_at: list
    attempts: list
    only: str = net.QUIET
    place: object = None  # a link of the gateway, or (namespace, link); default by vantage
    tcpdump: tuple = ()
    never: tuple = ()   # tshark filters that match nothing
    late: bool = False  # begun by the client's function, with `begin_late`


@dataclasses.dataclass
class Scene:
    client: object  # a command line for cn-client, or a function of Net that returns what the client printed
    expect: str     # regular expression for "exit N: what the client printed"
    views: list
    net: dict = dataclasses.field(default_factory=dict)
    server: object = None       # a function of Net; default: nginx
    gateway: list = dataclasses.field(default_factory=list)  # commands on the gateway
    tools: str = "nginx, curl"
    settle: float = 0.5
    together: list = dataclasses.field(default_factory=list)  # attempts, as one sees them who has both captures of a pair
    tries: int = 1  # where chance decides whether the scene shows what it is for
    hosts: dict = dataclasses.field(default_factory=dict)     # the clients' /etc/hosts: name to address
    neighbours: dict | None = None  # of others who use the gateway meanwhile, and go on behind it: options of Neighbours; None: nobody


def completed(**more):
    return Attempt("completed", **more)


def failed(cause, reason, side="path", visible=True, also=(), **more):
    return Attempt("failed", cause, reason, side, visible, tuple(also), **more)


def both(name, client, expect, why, inside, outside, together, look=((), ()), never=((), ()), late="", **more):
    """A run that is recorded on both sides of the gateway: NAME-inside and NAME-outside. Others use the gateway meanwhile, and the
    recording goes on behind the attempt; where one side begins late nobody does, unless `neighbours` is given."""
    listed = lambda attempts: attempts if isinstance(attempts, list) else [attempts]
    views = [View(f"{name}-{side}", side, why, list(filters), listed(attempts), never=unwanted, late=late == side)
             for side, attempts, filters, unwanted in (("inside", inside, look[0], never[0]), ("outside", outside, look[1], never[1]))]
    more.setdefault("neighbours", None if late else {})
    return Scene(client, expect, views, together=listed(together), **more)


def begin_late(lab):
    """Begins the captures that a scene wants begun late."""
    lab.dumps += [lab.capture(*wanted) for wanted in lab.late]


def curl(options="", url=f"https://{net.NAME}/", address=net.WEB):
    pin = f"--resolve {net.NAME}:443:{address} " if address else ""
    return f"curl -sS -o /dev/null --cacert {net.ROOT} {pin}{options} {url}"


VERSIONS = {
    "nginx": (["nginx", "-v"], r"nginx/(\S+)"), "curl": (["curl", "--version"], r"curl (\S+)"),
    "iptables": (["iptables", "--version"], r"v(\S+)"), "OpenSSL": (["openssl", "version"], r"OpenSSL (\S+)"),
    "Python": (["python3", "--version"], r"Python (\S+)"), "dnsmasq": (["dnsmasq", "--version"], r"version (\S+)"),
    "gnutls-cli": (["gnutls-cli", "--version"], r"gnutls-cli (\S+)"), "conntrack": (["conntrack", "--version"], r"v(\S+)"),
    "dig": (["dig", "-v"], r"DiG (\d[\d.]*)"), "editcap": (["editcap", "--version"], r"(\d+\.\d+\.\d+)"),
    "nftables": (["nft", "--version"], r"v(\S+)"), "tcpdump": (["tcpdump", "--version"], r"version (\S+)"),
    "BIND": (["named", "-v"], r"BIND (\d[\d.]*)"), "Unbound": (["unbound", "-V"], r"Version (\S+)"),
    "kdig": (["kdig", "-V"], r"(\d+\.\d+\.\d+)"),
    "OpenSSH": (["ssh", "-V"], r"OpenSSH_([^ ,]+)"), "wget": (["wget", "--version"], r"Wget (\S+)"),
    "Node.js": (["node", "--version"], r"v(\S+)"), "Go": (["go", "version"], r"go(\d\S+)"),
    "mitmproxy": ([net.STATE / "mitm/bin/mitmdump", "--version"], r"Mitmproxy: (\S+)"),
    "pyOpenSSL": ([net.STATE / "venv/bin/python", "-m", "OpenSSL.debug"], r"pyOpenSSL: (\S+)"),
    "Apache": (["apache2", "-v"], r"Apache/(\S+)"), "HAProxy": (["haproxy", "-v"], r"version (\S+)"),
}


def tools(names):
    """"nginx, curl" -> "nginx 1.22.1, curl 7.88.1"."""
    said = []
    for name in re.split(r",\s*", names):
        command, pattern = VERSIONS.get(name, (None, None))
        if not command:
            said.append(name)
            continue
        done = subprocess.run(command, capture_output=True, text=True)
        said.append(f"{name} {re.search(pattern, done.stdout + done.stderr).group(1)}")
    return ", ".join(said)


def play(scene, table):
    """Runs one scene and leaves its captures and labels; raises when the client did not say what was expected."""
    with net.Net(**scene.net) as lab:
        if scene.hosts:
            for space in ("cn-client", "cn-other"):
                lab.client_file("hosts", "".join(f"{address} {name}\n" for name, address in scene.hosts.items()), space)
        (scene.server or net.Net.web)(lab)
        for command in scene.gateway:
            lab.on("cn-gw", command)
        lab.on("cn-gw", "conntrack -F", ok=False)
        lab.dumps, lab.late = [], []
        for view in scene.views:
            place = view.place or {"inside": "in0", "outside": "out0"}[view.vantage]
            wanted = (place, net.CAPTURES / f"{view.name}.pcap", view.only, view.tcpdump)
            if view.late:
                lab.late.append(wanted)
            else:
                lab.dumps.append(lab.capture(*wanted))
        used = scene.neighbours is not None
        with Neighbours(lab, **scene.neighbours) if used else contextlib.nullcontext():
            if callable(scene.client):
                said = scene.client(lab)
            else:
                done = lab.on("cn-client", scene.client, ok=False)
                said = f"exit {done.returncode}: {(done.stderr or done.stdout).strip()}"
        said = " ".join(said.split())
        time.sleep(scene.settle)
        for dump in lab.dumps:
            lab.stop(dump)
    if not re.search(scene.expect, said):
        raise RuntimeError(f"{scene.views[0].name}: expected /{scene.expect}/, the client said: {said}")
    said = said if len(said) < 300 else said[:140] + " … " + said[-140:]
    for view in scene.views:
        label(view, f"make/{table}.py; {tools(scene.tools)}", said, together=scene.together, used=used)


def label(view, made_by, said="", suffix=".pcap", together=(), used=False):
    """Writes the label beside the capture and checks both against what tshark reads."""
    capture = net.CAPTURES / f"{view.name}{suffix}"
    size = capture.stat().st_size
    assert size < 50_000, f"{view.name}: {size} bytes"
    packets, complaint = numbers(capture, "frame")
    assert packets, f"{view.name}: empty"
    look = []
    for wanted in view.look_at:
        found, _ = numbers(capture, wanted)
        assert found, f"{view.name}: no packet matches {wanted}"
        look += found[:3]
    for unwanted in view.never:
        assert not numbers(capture, unwanted)[0], f"{view.name}: a packet matches {unwanted}"
    streams = tls_streams(capture)
    wanted = len([a for a in view.attempts if a.stage != "dns"])
    if streams != wanted:
        print(f"  note: {view.name}: {wanted} attempts labelled, tshark shows {streams} connections to TLS ports or with a ClientHello")
    why = view.why + ("; meanwhile other connections pass the gateway, to its end" if used else "")
    why = f"{why}; the client said {said!r}" if said else why
    lines = [f"made_by = {text(made_by)}", f"why = {text(why)}", f"look_at = {sorted(set(look))[:12]}",
             'trust = "lab"', f"vantage = {text(view.vantage)}"]
    for kind, attempts in (("attempt", view.attempts), ("together", together)):
        for attempt in attempts:
            lines += ["", f"[[{kind}]]", *told(attempt)]
    (net.CAPTURES / f"{view.name}.toml").write_text("\n".join(lines) + "\n")
    print(f"  {view.name}: {len(packets)} packets, {size} bytes, look_at {sorted(set(look))[:12]}"
          + (f", tshark: {complaint}" if complaint else ""))


def told(attempt):
    """The lines of an attempt."""
    lines = [f"outcome = {text(attempt.outcome)}"]
    if attempt.also_outcome:
        lines.append(f"also_outcome = {json.dumps(list(attempt.also_outcome))}")
    if attempt.outcome == "failed":
        lines += [f"cause = {text(attempt.cause)}", f"reason = {text(attempt.reason)}", f"side = {text(attempt.side)}",
                  f"visible = {str(attempt.visible).lower()}"]
        if attempt.also:
            lines.append(f"also = {json.dumps(list(attempt.also))}")
    if attempt.stage:
        lines.append(f"stage = {text(attempt.stage)}")
    if attempt.where:
        lines.append(f"where = {text(attempt.where)}")
    return lines


def text(value):
    return json.dumps(value, ensure_ascii=False)


def numbers(capture, wanted):
    done = subprocess.run(["tshark", "-r", capture, "-Y", wanted, "-T", "fields", "-e", "frame.number"],
                          capture_output=True, text=True)
    if done.returncode and "cut short" not in done.stderr:
        raise RuntimeError(f"{capture}: tshark: {done.stderr}")
    complaint = [line for line in done.stderr.splitlines() if "Running as user" not in line]
    return [int(line) for line in done.stdout.split()], " ".join(complaint)


def tls_streams(capture):
    done = subprocess.run(["tshark", "-r", capture, "-Y",
                           "(tcp.port == 443 && tcp.flags.syn == 1 && tcp.flags.ack == 0) || tls.handshake.type == 1",
                           "-T", "fields", "-e", "tcp.stream"], capture_output=True, text=True)
    return len(set(re.findall(r"\d+", done.stdout)))
