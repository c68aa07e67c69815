"""Command lines of servers that begin in clear, beside those in stacks.py: LDAP, XMPP, PostgreSQL, MariaDB, NNTP, RDP, and proxies; and their clients."""
import os, shutil, subprocess
from lab import Client, Server, WORK
from pki import TRUST
from stacks import CURL, GNUTLS, OPENSSL, gnutls, s_client

MAIL = "mail.example.test"
FAILS = tuple(range(1, 256))                              # exit codes of a client that fails, whichever it has for that
PORTS = dict(ldap=389, xmpp=5222, postgres=5432, mysql=3306, nntp=119)


def package(name, command):
    """'name version' by Debian's package, or "" where the command is not there."""
    if not (shutil.which(command) or os.path.exists(command)):
        return ""
    p = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name.split()[-1]], capture_output=True, text=True)
    return p.stdout.split("-")[0].split("+")[0].split(":")[-1]


def named(title, debian, command):
    version = package(debian, command)
    return f"{title} {version}" if version else ""


BIN = "/usr/lib/postgresql/15/bin"
SLAPD, LDAPSEARCH = named("OpenLDAP slapd", "slapd", "slapd"), named("OpenLDAP ldapsearch", "ldap-utils", "ldapsearch")
PROSODY = named("Prosody", "prosody", "prosody")
POSTGRES, PSQL = named("PostgreSQL", "postgresql-15", BIN + "/postgres"), named("psql", "postgresql-client-15", BIN + "/psql")
MARIADB = named("MariaDB", "mariadb-server", "mariadbd")
INN = named("INN nnrpd", "inn2", "/usr/lib/news/bin/nnrpd")
XRDP, FREERDP = named("xrdp", "xrdp", "xrdp"), named("FreeRDP", "freerdp2-x11", "xfreerdp")
SQUID = named("Squid", "squid", "squid")
TINYPROXY = named("tinyproxy", "tinyproxy-bin", "tinyproxy")
DANTE = named("Dante", "dante-server", "danted")
MICROSOCKS = named("microsocks", "microsocks", "microsocks")


def folder(name, owner=None, count=[0]):
    count[0] += 1
    d = WORK / f"{name}{count[0]}"
    d.mkdir()
    if owner:
        shutil.chown(d, owner, owner)
    return d


def given_to(owner, d, cert, key=None):
    """Copies of certificate and key that only `owner` reads; their paths."""
    files = []
    for name, path in (("cert.pem", cert.chain), ("key.pem", key or cert.key)):
        shutil.copy(path, d / name)
        shutil.chown(d / name, owner, owner)
        (d / name).chmod(0o600)
        files.append(d / name)
    return files


def tls_of(tls):
    return f"TLSv{tls}"


# ---- servers ----

def slapd(cert=None, tls=None):
    """It has nothing but its root entry. Debian's uses GnuTLS."""
    d = folder("slapd")
    files = f"TLSCertificateFile {cert.chain}\nTLSCertificateKeyFile {cert.key}\n" if cert else ""
    # GnuTLS's priorities.
    if cert and tls:
        files += f"TLSCipherSuite NORMAL:-VERS-ALL:+VERS-TLS{tls}\n"
    (d / "conf").write_text(f"include /etc/ldap/schema/core.schema\npidfile {d}/pid\n{files}")
    return Server(["slapd", "-h", "ldap://0.0.0.0:389", "-f", d / "conf", "-d", "0"], SLAPD, 389)


def prosody(cert=None, tls=None):
    d = folder("prosody", "prosody")
    if cert:
        given_to("prosody", d, cert)
    ssl = f'ssl = {{ certificate = "{d}/cert.pem", key = "{d}/key.pem"' + (f', protocol = "tlsv{tls.replace(".", "_")}"' if tls else "") + " }" if cert else ""
    (d / "prosody.cfg.lua").write_text(f"""pidfile = "{d}/pid"\ndata_path = "{d}"\nrun_as_root = true\nlog = {{ debug = "{d}/log" }}\nmodules_enabled = {{ {'"tls"; ' if cert else ''}"saslauth"; "disco" }}
modules_disabled = {{ "s2s" }}\nc2s_ports = {{ 5222 }}\nc2s_interfaces = {{ "*" }}\ns2s_ports = {{ }}\nhttp_ports = {{ }}\nhttps_ports = {{ }}\nauthentication = "internal_plain"
c2s_require_encryption = false\n{ssl}\nVirtualHost "{MAIL}"\n""")
    return Server(["prosody", "--config", d / "prosody.cfg.lua", "-F"], PROSODY, 5222)


def postgres(cert=None, tls=None):
    first = WORK / "postgres"
    if not first.exists():
        first.mkdir()
        shutil.chown(first, "postgres", "postgres")
        subprocess.run(["runuser", "-u", "postgres", "--", BIN + "/initdb", "-N", "-A", "trust", "-D", first], check=True, stdout=subprocess.DEVNULL, cwd="/")
    d = folder("postgres", "postgres")
    subprocess.run(["cp", "-a", f"{first}/.", d], check=True)
    (d / "pg_hba.conf").write_text("host all all all trust\n")
    words = ["-c", "listen_addresses=*", "-c", f"unix_socket_directories={d}", "-c", "fsync=off"]
    if cert:
        chain, key = given_to("postgres", d, cert)
        words += ["-c", "ssl=on", "-c", f"ssl_cert_file={chain}", "-c", f"ssl_key_file={key}"]
        words += ["-c", f"ssl_min_protocol_version={tls_of(tls)}", "-c", f"ssl_max_protocol_version={tls_of(tls)}"] if tls else []
    return Server(["runuser", "-u", "postgres", "--", BIN + "/postgres", "-D", d, *words], POSTGRES, 5432)


def mariadb(cert=None, tls=None):
    first = WORK / "mariadb"
    if not first.exists():
        first.mkdir()
        shutil.chown(first, "mysql", "mysql")
        subprocess.run(["mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={first}", "--skip-test-db"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    d = folder("mariadb", "mysql")
    subprocess.run(["cp", "-a", f"{first}/.", d], check=True)
    words = ["--skip-ssl"]
    if cert:
        chain, key = given_to("mysql", d, cert)
        words = [f"--ssl-cert={chain}", f"--ssl-key={key}"] + ([f"--tls-version={tls_of(tls)}"] if tls else [])
    return Server(["mariadbd", "--no-defaults", "--user=mysql", f"--datadir={d}", f"--socket={d}/s", f"--pid-file={d}/pid", "--port=3306", "--bind-address=0.0.0.0",
                   "--skip-grant-tables", "--skip-name-resolve", *words], MARIADB, 3306)


def nnrpd(cert=None, key=None, tls=None):
    if not os.path.exists("/var/spool/news/overview/group.index"):
        subprocess.run(["runuser", "-u", "news", "--", "/usr/lib/news/bin/makehistory", "-O", "-x", "-F"], check=True, stdout=subprocess.DEVNULL, cwd="/")
    d = folder("inn", "news")
    text = open("/etc/news/inn.conf").read().splitlines()
    files = dict(zip(("tlscertfile", "tlskeyfile"), map(str, given_to("news", d, cert, key)))) if cert else {}
    if tls:
        files["tlsprotocols"] = f"[ {tls_of(tls)} ]"
    words = dict(domain="example.test", pathhost=MAIL, fromhost=MAIL, nnrpdloadlimit=0, **files)
    lines = [line for line in text if line.split(":")[0].strip() not in words]
    (d / "inn.conf").write_text("\n".join(lines + [f"{k}: {v}" for k, v in words.items()]) + "\n")
    (d / "readers.conf").write_text('auth "all" {\n default: "<all>"\n}\naccess "all" {\n users: "*"\n newsgroups: "*"\n}\n')
    return Server(["/usr/lib/news/bin/nnrpd", "-D", "-f", "-p", "119", "-c", d / "readers.conf"], INN, 119, env={"INNCONF": str(d / "inn.conf")})


def xrdp(layer, cert=None, tls=None):
    """layer: tls, rdp, or negotiate."""
    d = folder("xrdp")
    chain, key = (cert.chain, cert.key) if cert else (d / "none.pem", d / "none.key")
    protocols = "TLSv1.2, TLSv1.3" if tls is None else tls_of(tls)
    (d / "ini").write_text(f"""[Globals]\nini_version=1\nfork=true\nport=tcp://:3389\nuse_vsock=false\nsecurity_layer={layer}\ncrypt_level=high\ncertificate={chain}\nkey_file={key}
ssl_protocols={protocols}\nautorun=\nallow_channels=true\nbitmap_compression=true\n[Logging]\nLogFile={d}/log\nLogLevel=INFO\nEnableSyslog=false\n[Channels]\n[Xorg]\nname=Xorg\nlib=libxup.so\nusername=ask\npassword=ask\nip=127.0.0.1\nport=-1\n""")
    return Server(["xrdp", "--nodaemon", "-c", d / "ini"], XRDP, 3389)


def squid(rules="http_access allow all", extra=""):
    d = folder("squid", "proxy")
    (d / "conf").write_text(f"""http_port 3128\npid_filename none\ncache_log {d}/log\naccess_log none\ncoredump_dir {d}\ncache deny all\nhosts_file /etc/hosts\ndns_timeout 1 seconds
dns_nameservers 198.51.100.30\nvisible_hostname proxy.example.test\nshutdown_lifetime 0 seconds\nconnect_retries 0\nforward_max_tries 1\nnetdb_filename none\npinger_enable off\n{extra}\n{rules}\n""")
    return Server(["squid", "-N", "-f", d / "conf"], SQUID, 3128)


def passwords():
    """Squid's check of user bob with password labpass."""
    f = WORK / "squid.passwords"
    if not f.exists():
        f.write_text("bob:" + subprocess.run(["openssl", "passwd", "-apr1", "labpass"], capture_output=True, text=True, check=True).stdout)
    return f"auth_param basic program /usr/lib/squid/basic_ncsa_auth {f}\nauth_param basic realm lab\nacl known proxy_auth REQUIRED\n"


def names():
    """A resolver on .30 that knows no name under test."""
    return Server(["dnsmasq", "-k", "-R", "-h", "-u", "root", "--local=/test/", "--listen-address=198.51.100.30", "--bind-interfaces", "--pid-file="], "dnsmasq", 53)


def tinyproxy(extra=""):
    d = folder("tinyproxy")
    (d / "conf").write_text(f"Port 8888\nTimeout 10\nMaxClients 10\nAllow 0.0.0.0/0\nLogLevel Error\n{extra}\n")
    return Server(["tinyproxy", "-d", "-c", d / "conf"], TINYPROXY, 8888)


def danted(rules):
    d = folder("danted")
    (d / "conf").write_text(f"""logoutput: {d}/log\ninternal: 198.51.100.20 port = 1080\nexternal: 198.51.100.20\nclientmethod: none\nsocksmethod: none\nuser.privileged: root\nuser.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\n{rules}\n""")
    return Server(["danted", "-f", d / "conf", "-p", d / "pid"], DANTE, 1080)


PASS = "socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }"
BLOCK = "socks block { from: 0.0.0.0/0 to: 0.0.0.0/0 port = 443 }\n" + PASS


def microsocks(extra=()):
    return Server(["microsocks", "-p", "1080", *extra], MICROSOCKS, 1080)


# ---- clients ----

def openssl(protocol, tls=None, words=b""):
    """openssl s_client, which upgrades and then says goodbye or nothing."""
    extra = ["-starttls", protocol] + (["-xmpphost", MAIL] if protocol == "xmpp" else [])
    return s_client(tls, MAIL, TRUST, extra, words, 0.6, True, PORTS[protocol])


def gnutls_cli(protocol, tls=None, words=b"", hold=0.6):
    c = gnutls(tls, MAIL, extra=["--starttls-proto=" + protocol], stdin=words, hold=hold)
    c.cmd[c.cmd.index("443")] = str(PORTS[protocol])
    return c


def ldapsearch(insist=True, env={}):
    return Client(["ldapsearch", "-x", "-ZZ" if insist else "-Z", "-H", f"ldap://{MAIL}", "-s", "base", "-b", "", "-o", "nettimeout=8"], LDAPSEARCH + " (GnuTLS)",
                  env={"LDAPTLS_CACERT": TRUST, **env})


def psql(mode="verify-full", tls=None):
    words = f"host={MAIL} user=postgres dbname=postgres sslmode={mode} sslrootcert={TRUST} connect_timeout=8"
    if tls:
        words += f" ssl_min_protocol_version={tls_of(tls)} ssl_max_protocol_version={tls_of(tls)}"
    return Client([BIN + "/psql", words, "-tc", "select 'works'"], PSQL, env={"HOME": str(WORK)})


def mariadb_client(words=("--ssl", "--ssl-verify-server-cert"), ca=TRUST):
    return Client(["mariadb", "--no-defaults", "-h", MAIL, "-u", "root", "--connect-timeout=8", *words, *([f"--ssl-ca={ca}"] if ca else []), "-Ne", "select 'works'"], MARIADB + " client")


def xfreerdp(sec="tls", words=("/cert:deny",)):
    return Client(["xvfb-run", "-a", "xfreerdp", f"/v:{MAIL}", "/u:bob", "/p:labpass", f"/sec:{sec}", "+auth-only", "/log-level:INFO", *words], FREERDP, env={"HOME": str(WORK), "SSL_CERT_FILE": TRUST})
