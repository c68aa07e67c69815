#!/usr/bin/env python3
"""Captures in which TLS begins behind HTTP's CONNECT or SOCKS."""
from lab import case, main
from pki import authority, leaf
from stacks import HOST, curl, nginx_cert, s_client
from starttls_servers import *

good, expired = leaf("good"), leaf("expired", days=(-100, -10))
strange = leaf("strange", authority("stranger", "Unknown Ltd root", None, pathlen=None, aki=False))
other = leaf("other", subject="other.example.net", names=("other.example.net",))
FAULTS = [("expired", "expired_cert", "leaf_expired", expired, 45, "the leaf's notAfter was ten days before the run"),
          ("unknown-root", "broken_chain", "unknown_root", strange, 48, "the chain ends at a root that the client does not have"),
          ("other-name", "name_mismatch", "san_mismatch", other, None, "the certificate names another host")]
DONE = {"1.2": "C:ccs .*S:ccs .*C:2[13]/", "1.3": "S:23/.*C:23/(53|69) .*C:23/"}
PROXY = "198.51.100.20"


def through(way, tls=None, url=f"https://{HOST}/", extra=()):
    words = {"squid": ["-x", f"http://{PROXY}:3128"], "tinyproxy": ["-x", f"http://{PROXY}:8888"], "socks5": ["--socks5-hostname", f"{PROXY}:1080"],
             "socks5-address": ["--socks5", f"{PROXY}:1080"], "socks4": ["--socks4", f"{PROXY}:1080"], "socks4a": ["--socks4a", f"{PROXY}:1080"]}[way]
    return curl(tls, url, extra=[*words, *extra])


def by_s_client(tls=None):
    c = s_client(tls)
    c.cmd += ["-proxy", f"{PROXY}:3128"]
    return c


WAYS = [("squid", SQUID, squid), ("tinyproxy", TINYPROXY, tinyproxy), ("socks5", DANTE, lambda: danted(PASS)), ("socks5", MICROSOCKS, microsocks)]
for w, (way, there, make) in enumerate(WAYS):
    if not there:
        continue
    word = {"squid": "http-connect-squid", "tinyproxy": "http-connect-tinyproxy"}.get(way, f"{way}-{there.split()[0].lower()}")
    behind = f"; TLS behind {there}"
    for tls in ("1.2", "1.3"):
        case(f"none/good-{word}-curl-tls{tls.replace('.', '')}", [make(), nginx_cert(good, tls)], through(way, tls), 0, "200", DONE[tls], "the certificate is good" + behind)
    for f, (fault, cause, reason, cert, alert, why) in enumerate(FAULTS):
        tls = ("1.2", "1.3")[(w + f) % 2]
        case(f"{cause}/{fault}-{word}-curl-tls{tls.replace('.', '')}", [make(), nginx_cert(cert, tls)], through(way, tls), 60, "", f"C:al{alert}" if alert else "C:FIN", why + behind,
             reason=reason, visible=tls == "1.2" or alert is not None)

REFUSED = dict(reason="proxy_refused", side="path")
ASKED = dict(reason="proxy_authentication", side="client")
UNREACHED = dict(visible=False)
if SQUID:
    web = nginx_cert(good)
    deny = "Squid's rules deny CONNECT"
    case("firewall/denied-http-connect-squid-curl", squid("http_access deny all"), through("squid"), 56, "403", "S:raw", deny, **REFUSED)
    case("firewall/denied-http-connect-squid-s-client", squid("http_access deny all"), by_s_client(), 1, "403", "S:raw", deny, **REFUSED)
    auth = squid("http_access allow known\nhttp_access deny all", passwords())
    case("firewall/no-credentials-http-connect-squid-curl", auth, through("squid"), 56, "407", "S:raw", "Squid asks for a password, and the client has none", **ASKED)
    case("firewall/wrong-credentials-http-connect-squid-curl", auth, through("squid", extra=["--proxy-user", "bob:wrong"]), 56, "407", "S:raw", "Squid does not take the client's password", **ASKED)
    case("none/credentials-http-connect-squid-curl", [auth, web], through("squid", extra=["--proxy-user", "bob:labpass"]), 0, "200", "C:23/", "the client shows its password at once")
    case("none/credentials-asked-http-connect-squid-curl", [auth, web], through("squid", extra=["--proxy-anyauth", "--proxy-user", "bob:labpass"]), 0, "200", "C:23/",
         "the client shows its password once it was asked, on the same connection")
    nowhere = "https://nowhere.example.test/"
    case("dns_inconsistency/no-name-http-connect-squid-curl", squid(), through("squid", url=nowhere), 56, "response 50", "S:raw",
         "Squid's resolver says that the name does not exist, and Squid that it cannot forward", reason="proxy_lookup_failed", side="path", helpers=[names()], visible=False)
    # What keeps the proxy away is told by Squid's own header; a closed port looks the same whatever the reason.
    case("storage_permission/closed-http-connect-squid-curl", squid(), through("squid"), 56, "503", "S:raw", "nothing listens on port 443 behind the proxy",
         reason="listener_gone", attempts=[dict(also=["firewall"])], visible=False)
if TINYPROXY:
    case("firewall/denied-http-connect-tinyproxy-curl", tinyproxy("ConnectPort 563"), through("tinyproxy"), 56, "403", "S:raw", "tinyproxy lets CONNECT to port 563 alone pass", **REFUSED)
    case("storage_permission/closed-http-connect-tinyproxy-curl", tinyproxy(), through("tinyproxy"), 56, "50", "S:raw", "nothing listens on port 443 behind the proxy",
         reason="listener_gone", attempts=[dict(also=["firewall"])], visible=False)
if DANTE:
    for way in ("socks5", "socks5-address"):
        case(f"firewall/denied-{way}-dante-curl", danted(BLOCK), through(way), 97, "", "S:raw", "Dante's rules block port 443", **REFUSED)
    case("storage_permission/closed-socks5-dante-curl", danted(PASS), through("socks5"), 97, "", "S:raw", "nothing listens on port 443 behind the proxy",
         reason="listener_gone", attempts=[dict(also=["firewall"])], visible=False)
if MICROSOCKS:
    case("storage_permission/closed-socks5-microsocks-curl", microsocks(), through("socks5"), 97, "", "S:raw", "nothing listens on port 443 behind the proxy",
         reason="listener_gone", attempts=[dict(also=["firewall"])], visible=False)

if __name__ == "__main__":
    main()
