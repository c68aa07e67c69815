"""Clients and servers of the network's lab by name. Clients find the server in /etc/hosts (a scene's `hosts`)."""

import sys
import time

import net
from net import KEYS, NAME, ROOT, STATE, WEB, WEB6

PROGRAMS = net.HERE / "programs"
SECONDS = 12  # a client gives up after so many
TOOL = {"curl": "curl", "s_client": "OpenSSL", "gnutls": "gnutls-cli", "wget": "wget", "node": "Node.js", "python": "Python",
        "go": "Go", "openssl4": "pyOpenSSL", "nginx": "nginx", "haproxy": "HAProxy", "apache": "Apache", "s_server": "OpenSSL"}


def client(kind, tls=None, name=NAME, seconds=SECONDS, more=""):
    """The command line of a client that asks for one page; `tls` is "1.2", "1.3" or what the client likes."""
    ask = f"(printf 'GET / HTTP/1.0\\r\\nHost: {name}\\r\\n\\r\\n'; sleep 1) | timeout {seconds} "
    dashed = tls or "-"
    lines = {
        "curl": f"curl -sS -m {seconds} -o /dev/null --cacert {ROOT} " + (f"--tlsv{tls} --tls-max {tls} " if tls else "")
                + f"{more} https://{name}/",
        "s_client": f"{ask} openssl s_client -connect {name}:443 -servername {name} -CAfile {ROOT} -verify_return_error"
                    f" -verify_hostname {name} -quiet " + (f"-tls{tls.replace('.', '_')} " if tls else "") + more,
        "gnutls": f"{ask} gnutls-cli --x509cafile {ROOT} -p 443 " + (f"--priority NORMAL:-VERS-ALL:+VERS-TLS{tls} " if tls else "")
                  + f"{more} {name}",
        "wget": f"wget -nv -O /dev/null -t 1 -T {seconds} --ca-certificate {ROOT} "
                + (f"--ciphers NORMAL:-VERS-ALL:+VERS-TLS{tls} " if tls else "") + f"{more} https://{name}/",
        "node": f"timeout {seconds} node {PROGRAMS}/client.js {name} {dashed} {ROOT} {more}",
        "python": f"timeout {seconds} {sys.executable} {PROGRAMS}/client.py {name} {dashed} {ROOT} {more}",
        "go": f"timeout {seconds} {STATE}/go-client {name} {dashed} {ROOT} {more}",
        "openssl4": f"timeout {seconds} {STATE}/venv/bin/python {PROGRAMS}/openssl4.py client {name} {dashed} {ROOT} {more}",
    }
    return ["sh", "-c", lines[kind]]


def ask(lab, line, space="cn-client"):
    """Runs a client's command line to its end: "exit N: what it printed"."""
    done = lab.on(space, line, ok=False)
    return f"exit {done.returncode}: {(done.stderr or done.stdout).strip()[:200]}"


def server(kind, tls="1.2 1.3", leaf="www"):
    """A function of Net that starts a server at WEB (and WEB6); nginx also serves the unrelated site."""
    versions = tls.split()

    def start(lab):
        if kind == "nginx":
            return lab.web(leaf=leaf, versions=" ".join(f"TLSv{version}" for version in versions), extra="client_header_timeout 300s;")
        addresses = [WEB] + [f"[{WEB6}]"] * lab.v6
        folder = lab.work / kind
        folder.mkdir()
        if kind == "haproxy":
            (folder / "site.pem").write_text((KEYS / f"{leaf}.pem").read_text() + (KEYS / f"{leaf}.key").read_text())
            binds = "".join(f"  bind {address.strip('[]')}:443 ssl crt {folder}/site.pem ssl-min-ver TLSv{versions[0]}"
                            f" ssl-max-ver TLSv{versions[-1]}\n" for address in addresses)
            (folder / "haproxy.cfg").write_text(
                "defaults\n  mode http\n  timeout client 300s\n  timeout connect 5s\n  timeout server 20s\n"
                f"frontend web\n{binds}  http-request return status 200 content-type text/plain string hello\n")
            lab.spawn("cn-server", ["haproxy", "-db", "-f", folder / "haproxy.cfg"])
        elif kind == "apache":
            modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
                              for name in ("mpm_event", "authz_core", "dir", "ssl"))
            sites = "".join(f"Listen {address}:443\n<VirtualHost {address}:443>\nSSLEngine on\nSSLCertificateFile {KEYS}/{leaf}.pem\n"
                            f"SSLCertificateKeyFile {KEYS}/{leaf}.key\n</VirtualHost>\n" for address in addresses)
            lab.work.chmod(0o711)  # Apache reads as www-data
            (folder / "index.html").write_text("hello\n")
            (folder / "apache.conf").write_text(
                f"{modules}ServerName {NAME}\nTimeout 300\nUser www-data\nGroup www-data\nPidFile {folder}/pid\nErrorLog {folder}/error.log\nDocumentRoot {folder}\n"
                f"SSLProtocol {' '.join('+TLSv' + version for version in versions)}\nSSLSessionCache none\n{sites}")
            lab.spawn("cn-server", ["apache2", "-D", "FOREGROUND", "-f", folder / "apache.conf"])
        elif kind == "s_server":
            words = ["-tls" + versions[0].replace(".", "_")] if len(versions) == 1 else []
            for address in addresses:
                lab.spawn("cn-server", ["openssl", "s_server", "-accept", f"{address}:443", "-cert", KEYS / f"{leaf}.pem", "-key",
                                        KEYS / f"{leaf}.key", "-www", "-quiet", *words])
        else:
            raise ValueError(kind)
        net.until(lambda: lab._open("cn-server", WEB), 10)
        time.sleep(0.2)
    return start


def named(*kinds):
    """What a label says of the software used."""
    return ", ".join(dict.fromkeys(TOOL.get(kind, kind) for kind in kinds))
