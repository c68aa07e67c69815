"""Command lines of the servers and clients, as Server and Client rows."""
import shutil, subprocess, sys
from lab import Client, Server, PROGRAMS, WORK
from pki import TRUST

HOST = "www.example.test"
GET = f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode()


def version(cmd, line=0, word=slice(None)):
    p = subprocess.run(cmd, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return " ".join(p.stdout.splitlines()[line].split()[word])


OPENSSL = version("openssl version", word=slice(0, 2))
CURL = version("curl --version", word=slice(0, 2))
GNUTLS = "GnuTLS " + version("gnutls-cli --version", word=slice(1, 2))
NGINX = version("nginx -v 2>&1", word=slice(2, 3)).replace("/", " ")
JAVA = "Java " + version("java -version 2>&1", word=slice(2, 3)).strip('"')
NODE = "Node.js " + version("node --version")
PYTHON = "Python " + version(f"{sys.executable} --version", word=slice(1, 2)) + " ssl"
WGET = "wget " + version("wget --version", word=slice(2, 3)) + " (GnuTLS)"
HAPROXY = "HAProxy " + version("haproxy -v", word=slice(2, 3))
STUNNEL = version("stunnel4 -version 2>&1 | grep '^stunnel'", word=slice(0, 2))
NSS = "NSS " + (version("dpkg-query -W -f '${Version}' libnss3-tools") if shutil.which("dpkg-query") else "")


# ---- clients; tls is None (the client's default), "1.0" … "1.3" ----

def curl(tls=None, url=f"https://{HOST}/", ca=TRUST, extra=(), fake=None, env={}):
    v = [] if tls is None else [f"--tlsv{tls}", "--tls-max", tls]
    cmd = ["curl", "-sS", "-m", "12", "-o", "/dev/null", "-w", "%{http_code} %{http_version}\n"] + (["--cacert", ca] if ca else []) + v
    return Client((["faketime", fake] if fake else []) + cmd + list(extra) + [url], CURL, env=env)


def s_client(tls=None, host=HOST, ca=TRUST, extra=(), stdin=GET, hold=0.4, verify=True, port=443, fake=None):
    cmd = ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", host, "-CAfile", ca]
    if verify:
        cmd += ["-verify_return_error", "-verify_hostname", host]
    if tls:
        cmd.append("-tls" + tls.replace(".", "_").replace("1_0", "1"))
    return Client((["faketime", fake] if fake else []) + cmd + list(extra), OPENSSL + " s_client", stdin, hold=hold)


def gnutls(tls=None, host=HOST, ca=TRUST, extra=(), stdin=GET, priority=None, hold=0.4, fake=None):
    priority = priority or ("NORMAL" + (f":-VERS-ALL:+VERS-TLS{tls}" if tls else ""))
    return Client((["faketime", fake] if fake else []) + ["gnutls-cli", "--x509cafile", ca, "--priority", priority, host, "-p", "443"] + list(extra), GNUTLS + " gnutls-cli",
                  stdin, hold=hold)


def python(tls=None, host=HOST, ca=TRUST, extra=(), fake=None):
    return Client((["faketime", fake] if fake else []) + [sys.executable, PROGRAMS / "client.py", host, tls or "-", ca] + list(extra), PYTHON)


def node(tls=None, host=HOST, ca=TRUST, extra=(), fake=None):
    return Client((["faketime", fake] if fake else []) + ["node", PROGRAMS / "client.js", host, tls or "-", ca] + list(extra), NODE)


def java(tls=None, host=HOST, ca=TRUST, extra=(), opts=(), fake=None):
    return Client((["faketime", fake] if fake else []) + ["java", "-XX:TieredStopAtLevel=1"] + list(opts) + [PROGRAMS / "Client.java", host, tls or "-", ca] + list(extra), JAVA)


def wget(tls=None, host=HOST, ca=TRUST, extra=()):
    return Client(["wget", "-nv", "-O", "/dev/null", "-t", "1", "-T", "10", "--ca-certificate", ca] + list(extra) + [f"https://{host}/"], WGET)


def nss(tls=None, host=HOST, ca=TRUST, extra=(), fake=None):
    db = WORK / "nssdb"
    if not db.exists():
        db.mkdir()
        subprocess.run(["certutil", "-N", "-d", f"sql:{db}", "--empty-password"], check=True)
        subprocess.run(["certutil", "-A", "-d", f"sql:{db}", "-n", "root", "-t", "C,,", "-i", ca], check=True)
    v = ["-V", f"tls{tls}:tls{tls}"] if tls else ["-V", "tls1.2:tls1.3"]
    return Client((["faketime", fake] if fake else []) + ["tstclnt", "-h", host, "-p", "443", "-d", f"sql:{db}"] + v + list(extra), NSS + " tstclnt", GET, hold=0.4)


# ---- servers ----

def s_server(cert=None, tls=None, extra=(), port=443, www=True, fake=None, env={}):
    cmd = ["openssl", "s_server", "-accept", str(port)]
    if cert:
        cmd += ["-cert", cert.crt, "-key", cert.key] + (["-cert_chain", cert.above] if cert.up else [])
    else:
        cmd += ["-nocert"]
    if www:
        cmd += ["-www"]
    if tls:
        cmd.append("-tls" + tls.replace(".", "_").replace("1_0", "1"))
    return Server((["faketime", fake] if fake else []) + cmd + list(extra), OPENSSL + " s_server", port, env)


def nginx(server, port=443, dies="", first="daemon off; master_process off;", count=[0]):
    """server: the inside of a server block, or several whole blocks."""
    count[0] += 1
    d = WORK / f"nginx{count[0]}"
    (d / "tmp").mkdir(parents=True)
    (d / "index.html").write_text("<p>It works.\n")
    if "server {" not in server:
        server = f"server {{ listen {port} ssl; listen [::]:{port} ssl; {server} }}"
    temp = " ".join(f"{k}_temp_path {d}/tmp;" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (d / "nginx.conf").write_text(f"{first} pid {d}/pid; error_log stderr; events {{ }} http {{ access_log off; {temp} root {d}; keepalive_timeout 5; {server} }}\n")
    return Server(["nginx", "-p", d, "-e", "stderr", "-c", d / "nginx.conf"], NGINX, port, dies=dies)


def nginx_cert(cert, tls=None, extra=""):
    protocols = "TLSv1.2 TLSv1.3" if tls is None else f"TLSv{tls}"
    return nginx(f"ssl_certificate {cert.chain}; ssl_certificate_key {cert.key}; ssl_protocols {protocols}; {extra}")


def gnutls_serv(cert, tls=None, extra=(), priority=None):
    priority = priority or ("NORMAL" + (f":-VERS-ALL:+VERS-TLS{tls}" if tls else ""))
    return Server(["gnutls-serv", "--http", "--x509certfile", cert.chain, "--x509keyfile", cert.key, "-p", "443", "--priority", priority]
                  + list(extra), GNUTLS + " gnutls-serv")


def java_server(p12=None, tls=None, extra=()):
    return Server(["java", "-XX:TieredStopAtLevel=1", PROGRAMS / "Server.java", "443", p12 or "-", tls or "-"] + list(extra), JAVA + " SSLServerSocket")


def node_server(cert=None, tls=None, extra=()):
    return Server(["node", PROGRAMS / "server.js", "443", cert.chain if cert else "-", cert.key if cert else "-", tls or "-"] + list(extra), NODE + " https")


def py_server(cert=None, tls=None, extra=()):
    return Server([sys.executable, PROGRAMS / "server.py", "443", cert.chain if cert else "-", cert.key if cert else "-", tls or "-"] + list(extra), PYTHON + " server")


def haproxy(bind, count=[0]):
    count[0] += 1
    f = WORK / f"haproxy{count[0]}.cfg"
    f.write_text("defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
                 f"frontend f\n  bind :443 ssl {bind}\n  http-request return status 200 content-type text/plain string hello\n")
    return Server(["haproxy", "-db", "-f", f], HAPROXY)


def stunnel(cert, extra="", count=[0]):
    count[0] += 1
    f = WORK / f"stunnel{count[0]}.conf"
    f.write_text(f"foreground = yes\npid =\n[https]\naccept = 443\nconnect = 127.0.0.1:80\ncert = {cert.chain}\nkey = {cert.key}\n{extra}\n")
    return Server(["stunnel4", f], STUNNEL)
