"""Command lines of the servers and clients, as Server and Client rows."""
import os, shutil, subprocess, sys
from lab import Client, Server, PROGRAMS, WORK
from pki import STATE, TRUST

HOST = "www.example.test"
GET = f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode()


def version(cmd, line=0, word=slice(None)):
    p = subprocess.run(cmd, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    words = p.stdout.splitlines()[line].split()[word]
    return words if isinstance(words, str) else " ".join(words)


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


CHROMIUM = version("chromium --version 2>/dev/null", word=slice(0, 2)) if shutil.which("chromium") else ""
APACHE = version("apache2 -v", word=slice(2, 3)).replace("/", " ") if shutil.which("apache2") else ""
POSTFIX = "Postfix " + version("postconf -d mail_version", word=slice(2, 3)) if shutil.which("postconf") else ""
DOVECOT = "Dovecot " + version("dovecot --version", word=slice(0, 1)) if shutil.which("dovecot") else ""
VSFTPD = version("vsftpd -v 0>&1", word=slice(0, 3)).replace(": version", "") if shutil.which("vsftpd") else ""


def built():
    """The small programs in Rust and Go, and a Python with OpenSSL 4; each is "" where it cannot be had."""
    rust, go, venv = STATE / "rustls/release/lab-rustls", STATE / "go-client", STATE / "venv/bin/python"
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if shutil.which("cargo"):
        subprocess.run(["cargo", "build", "-q", "--release", "--locked", "--target-dir", STATE / "rustls"], cwd=PROGRAMS / "rustls", **quiet)
    if shutil.which("go"):
        subprocess.run(["go", "build", "-o", go, "client.go"], cwd=PROGRAMS / "go", env={**os.environ, "GOCACHE": str(STATE / "go"), "GO111MODULE": "off"}, **quiet)
    return [p if p.exists() else "" for p in (rust, go, venv)]


RUSTLS_PROGRAM, GO_PROGRAM, VENV = built()
RUSTLS = "rustls " + version(f"grep -A1 'name = \"rustls\"' {PROGRAMS}/rustls/Cargo.lock | tail -1", word=2).strip('"') if RUSTLS_PROGRAM else ""
GO = "Go " + version("go version", word=slice(2, 3)).removeprefix("go") if GO_PROGRAM else ""
OPENSSL4 = ""
if VENV:
    said = subprocess.run([VENV, "-c", "import OpenSSL; from OpenSSL import SSL; print('pyOpenSSL', OpenSSL.__version__, "
                           "'(' + ' '.join(SSL.SSLeay_version(0).decode().split()[:2]) + ')')"], capture_output=True, text=True)
    OPENSSL4 = said.stdout.strip()


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


def dated(fake):
    """An HTTP server of .20 whose answers are dated by its own clock."""
    return Server(["faketime", fake, sys.executable, "-m", "http.server", "80", "--bind", "198.51.100.20"], PYTHON.removesuffix(" ssl") + " http.server", 80)


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


def rustls(tls=None, host=HOST, ca=TRUST, extra=()):
    return Client([RUSTLS_PROGRAM, "client", host, tls or "-", ca] + list(extra), RUSTLS)


def go(tls=None, host=HOST, ca=TRUST, extra=(), fake=None):
    return Client([GO_PROGRAM, host, tls or "-", ca] + list(extra), GO)


def openssl4(tls=None, host=HOST, ca=TRUST, extra=(), fake=None):
    return Client((["faketime", fake] if fake else []) + [VENV, PROGRAMS / "openssl4.py", "client", host, tls or "-", ca] + list(extra), OPENSSL4)


def chromium(tls=None, host=HOST, ca=TRUST, extra=(), url=None, count=[0]):
    """A fresh profile for each run; the root is in the user's NSS database. It prints the page, or its own page about the error."""
    count[0] += 1
    home = WORK / f"chromium{count[0]}"
    db = home / ".pki/nssdb"
    db.mkdir(parents=True)
    subprocess.run(["certutil", "-N", "-d", f"sql:{db}", "--empty-password"], check=True)
    if ca:
        subprocess.run(["certutil", "-A", "-d", f"sql:{db}", "-n", "root", "-t", "C,,", "-i", ca], check=True)
    quiet = ("--disable-background-networking --disable-component-update --disable-sync --no-first-run --disable-default-apps "
             "--disable-gpu --disable-features=OptimizationHints,MediaRouter,Translate").split()
    return Client(["chromium", "--headless", "--no-sandbox", f"--user-data-dir={home}/profile", *quiet, *extra, "--dump-dom", url or f"https://{host}/"],
                  CHROMIUM, env={"HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)})


def checker(words, count=[0]):
    """HAProxy, which only checks one server's health, once."""
    count[0] += 1
    f = WORK / f"check{count[0]}.cfg"
    f.write_text("defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 2s\n  timeout server 2s\nfrontend f\n  bind 127.0.0.1:8443\n  default_backend b\n"
                 f"backend b\n  server s 198.51.100.20:443 check inter 30s {words}\n")
    return Client(["timeout", "1.5", "haproxy", "-db", "-f", f], HAPROXY + " health check")


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


def rustls_server(cert=None, tls=None, extra=(), key=None):
    return Server([RUSTLS_PROGRAM, "server", "443", cert.chain if cert else "-", key or (cert.key if cert else "-"), tls or "-"] + list(extra), RUSTLS + " server")


def openssl4_server(cert, tls=None, extra=()):
    return Server([VENV, PROGRAMS / "openssl4.py", "server", cert.chain, cert.key, tls or "-"] + list(extra), OPENSSL4 + " server")


def apache(cert, tls=None, extra="", key=None, dies="", count=[0]):
    count[0] += 1
    d = WORK / f"apache{count[0]}"
    d.mkdir()
    (d / "index.html").write_text("<p>It works.\n")
    modules = "\n".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in "mpm_event authz_core ssl dir mime socache_shmcb".split())
    protocols = "TLSv1.2 TLSv1.3" if tls is None else f"TLSv{tls}"
    (d / "httpd.conf").write_text(f"""ServerRoot {d}\nPidFile {d}/pid\nDefaultRuntimeDir {d}\nErrorLog /dev/stderr\nServerName {HOST}\n{modules}
Listen 443\nDocumentRoot {d}\nUser www-data\nGroup www-data\nTypesConfig /dev/null\nKeepAliveTimeout 5\nServerTokens Prod
SSLSessionCache none\n<Directory />\nRequire all granted\n</Directory>\nDirectoryIndex index.html
<VirtualHost *:443>\nServerName {HOST}\nSSLEngine on\nSSLProtocol -all {" ".join("+" + p for p in protocols.split())}
SSLCertificateFile {cert.chain}\nSSLCertificateKeyFile {key or cert.key}\n{extra}\n</VirtualHost>\n""")
    return Server(["apache2", "-X", "-f", d / "httpd.conf"], APACHE, dies=dies)


# ---- servers that speak plain text first, and TLS after STARTTLS (or on a port of its own) ----

def postfix(cert=None, tls=None, key=None, extra="", port=25, count=[0]):
    """Postfix's SMTP server in a folder of its own."""
    count[0] += 1
    d = WORK / f"postfix{count[0]}"
    for name, owner in (("", None), ("queue", None), ("data", "postfix")):
        (d / name).mkdir()
        if owner:
            shutil.chown(d / name, owner)
    protocols = ">=TLSv1.2" if tls is None else f">=TLSv{tls}, <=TLSv{tls}"
    files = f"smtpd_tls_cert_file = {cert.chain}\nsmtpd_tls_key_file = {key or cert.key}\n" if cert else ""
    (d / "main.cf").write_text(f"""compatibility_level = 3.6\nqueue_directory = {d}/queue\ndata_directory = {d}/data\nmyhostname = mail.example.test
mydestination =\ninet_interfaces = all\nmaillog_file = {d}/log\nmaillog_file_prefixes = /\nsmtpd_tls_security_level = may\nsmtpd_tls_mandatory_protocols = {protocols}
smtpd_tls_protocols = {protocols}\nsmtpd_peername_lookup = no\nsmtputf8_enable = no\nalias_maps =\n{files}{extra}\n""")
    row = lambda name, kind, command, private="-": f"{name} {kind} {private} - n - {1 if name in ('postlog', 'tlsmgr', 'anvil') else '-'} {command}\n"
    wrapped = " -o smtpd_tls_wrappermode=yes" if port == 465 else ""
    (d / "master.cf").write_text(row(port, "inet", "smtpd" + wrapped, "n") + row("postlog", "unix-dgram", "postlogd", "n")
                                 + "".join(row(n, "unix", c) for n, c in (("tlsmgr", "tlsmgr"), ("rewrite", "trivial-rewrite"), ("anvil", "anvil"),
                                                                            ("proxymap", "proxymap"), ("cleanup", "cleanup"))))
    return Server(["sh", "-c", f"postfix -c {d} check 2>/dev/null; MAIL_CONFIG={d} exec /usr/lib/postfix/sbin/master -c {d} -d"], POSTFIX, port)


def dovecot(cert, tls=None, key=None, port=143, extra="", count=[0]):
    count[0] += 1
    d = WORK / f"dovecot{count[0]}"
    d.mkdir()
    floor = "" if tls is None else f"ssl_min_protocol = TLSv{tls}\n"
    ports = {"imap": (143, 993), "pop3": (110, 995)}
    kind = "imap" if port in ports["imap"] else "pop3"
    listeners = "".join(f"\ninet_listener {kind}{'s' if p > 900 else ''} {{\n port = {p if p == port else 0}\n ssl = {'yes' if p > 900 else 'no'}\n}}\n" for p in ports[kind])
    (d / "conf").write_text(f"""base_dir = {d}/run\nstate_dir = {d}/state\nlog_path = /dev/stderr\nprotocols = {kind}\nlisten = *\nssl = yes\nssl_cert = <{cert.chain}
ssl_key = <{key or cert.key}\n{floor}service {kind}-login {{{listeners}}}
passdb {{\n driver = static\n args = password=labpass\n}}\nuserdb {{\n driver = static\n args = uid=mail gid=mail home={d}/home\n}}\nfirst_valid_uid = 1\nfirst_valid_gid = 1\nmail_location = maildir:~/mail\n{extra}\n""")
    (d / "home").mkdir()
    shutil.chown(d / "home", "mail", "mail")
    return Server(["dovecot", "-F", "-c", d / "conf"], DOVECOT, port)


def vsftpd(cert, tls=None, key=None, port=21, dies="", count=[0]):
    count[0] += 1
    f, root = WORK / f"vsftpd{count[0]}.conf", WORK / "ftp"
    root.mkdir(exist_ok=True)
    f.write_text(f"""listen=YES\nbackground=NO\nanonymous_enable=YES\nallow_anon_ssl=YES\nno_anon_password=YES\nanon_root={root}\nsecure_chroot_dir={root}
ssl_enable=YES\nssl_ciphers=HIGH\nrsa_cert_file={cert.chain}\nrsa_private_key_file={key or cert.key}\nrequire_ssl_reuse=NO\nimplicit_ssl={"YES" if port == 990 else "NO"}
listen_port={port}\nftpd_banner=lab\nseccomp_sandbox=NO\n""")
    return Server(["vsftpd", f], VSFTPD, port, dies=dies)


def upgrade(protocol, tls=None, host="mail.example.test", ca=TRUST, extra=(), verify=True):
    """openssl s_client which upgrades with STARTTLS, then says goodbye."""
    port, bye = {"smtp": (25, "QUIT\r\n"), "imap": (143, "a LOGOUT\r\n"), "pop3": (110, "QUIT\r\n"), "ftp": (21, "QUIT\r\n")}[protocol]
    c = s_client(tls, host, ca, ["-starttls", protocol, "-crlf", *extra], bye.replace("\r", "").encode(), 0.6, verify, port)
    return c


def mail_curl(url, tls=None, ca=TRUST, extra=()):
    v = [] if tls is None else [f"--tlsv{tls}", "--tls-max", tls]
    return Client(["curl", "-sS", "-m", "12", "--ssl-reqd", "--cacert", ca, *v, *extra, url], CURL)
