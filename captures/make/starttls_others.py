#!/usr/bin/env python3
"""Captures in which TLS begins within LDAP, XMPP, PostgreSQL, MySQL, NNTP and RDP."""
from lab import WORK, case, main
from pki import authority, leaf
from starttls_servers import *

mine = dict(subject=MAIL, names=(MAIL,))
stranger = authority("stranger", "Unknown Ltd root", None, pathlen=None, aki=False)
good = leaf("good-rsa", key="rsa2048", **mine)
FAULTS = [
    ("expired", "expired_cert", "leaf_expired", "the leaf's notAfter was ten days before the run", leaf("expired", key="rsa2048", days=(-100, -10), **mine)),
    ("unknown-root", "broken_chain", "unknown_root", "the chain ends at a root that the client does not have", leaf("strange", stranger, key="rsa2048", **mine)),
    ("other-name", "name_mismatch", "san_mismatch", "the certificate names mx.example.net, the client asked for mail.example.test",
     leaf("other", key="rsa2048", subject="mx.example.net", names=("mx.example.net",))),
]
SAYS = {"openssl": ("certificate has expired", "unable to get local issuer certificate", "ostname mismatch"),
        "gnutls": ("expired certificate", "issuer is unknown", "does not match")}
ALERTS = (45, 48, 42)
DONE = {"1.2": "C:ccs .*S:ccs .*C:2[13]/", "1.3": "S:23/.*C:23/(53|69) "}
PLAIN = dict(reason="plain_text_peer", visible=True)


def clients(protocol, words, own=None):
    """Rows of (its name, how it is made, whose words it says, whether it rejects in clear behind TLS 1.3)."""
    s_client = ("s-client", lambda tls: openssl(protocol, tls, words), "openssl", True)
    cli = ("gnutls", lambda tls: gnutls_cli(protocol, tls, words), "gnutls", False)
    return [s_client] + ([own] if own else []) + ([cli] if protocol not in ("mysql",) else [])


# protocol: server's name, is it there, how it is made, clients
PROTOCOLS = {
    "ldap": ("slapd", SLAPD and LDAPSEARCH, slapd, clients("ldap", b"", ("ldapsearch", lambda tls: ldapsearch(), "", False))),
    "xmpp": ("prosody", PROSODY, prosody, clients("xmpp", b"</stream:stream>")),
    "postgres": ("postgresql", POSTGRES, postgres, clients("postgres", b"", ("psql", lambda tls: psql(), "openssl", True))),
    "mysql": ("mariadb", MARIADB, mariadb, clients("mysql", b"", ("mariadb", lambda tls: mariadb_client(), "", False))),
    "nntp": ("inn", INN, nnrpd, clients("nntp", b"QUIT\r\n")),
}

for p, (protocol, (word, there, make, rows)) in enumerate(PROTOCOLS.items()):
    if not there:
        print(f"{word} is not there: its rows are left out")
        continue
    within = f"; TLS within {protocol} on {word}'s port {PORTS[protocol]}"
    for c, (client, by, speaks, clear) in enumerate(rows):
        for f, (fault, cause, reason, why, cert) in enumerate(FAULTS):
            tls = ("1.2", "1.3")[(p + c + f) % 2]
            # GnuTLS says 42 of everything, and seals it behind TLS 1.3. MariaDB's client sends no name that packets could be compared with.
            row = dict(reason=reason, visible=tls == "1.2" and (client, fault) != ("mariadb", "other-name") or clear and ALERTS[f] != 42)
            says = SAYS[speaks][f] if speaks and client != "psql" else ""
            case(f"{cause}/{fault}-{protocol}-{word}-{client}-tls{tls.replace('.', '')}", make(cert, tls=tls), by(tls), FAILS, says, "C:hs1", why + within, **row)
        for tls in ("1.2", "1.3"):
            case(f"none/good-{protocol}-{word}-{client}-tls{tls.replace('.', '')}", make(good, tls=tls), by(tls), 0, "", DONE[tls], "the certificate is good" + within)

# ---- the prelude's own failures ----

if SLAPD and LDAPSEARCH:
    # OpenLDAP says unavailable (52) of TLS that nobody set up.
    none = "slapd has no certificate set and answers StartTLS with protocolError or unavailable"
    also = [dict(also=["storage_permission"])]
    case("protocol_version/no-tls-ldap-slapd-ldapsearch", slapd(), ldapsearch(), FAILS, "", "S:raw", none, attempts=also, reason="plain_text_peer", visible=False)
    case("protocol_version/no-tls-ldap-slapd-s-client", slapd(), openssl("ldap"), FAILS, "", "S:raw", none, attempts=also, reason="plain_text_peer", visible=False)
    case("none/no-tls-ldap-slapd-ldapsearch-goes-on", slapd(), ldapsearch(False), 0, "", "S:raw", none + "; the client goes on in clear (-Z)", outcome="abandoned")
if PROSODY:
    none = "Prosody runs without its TLS module and answers the request with an error"
    case("protocol_version/no-tls-xmpp-prosody-gnutls", prosody(), gnutls_cli("xmpp", None, b"", 1.5), FAILS, "", "S:raw", none, reason="plain_text_peer", visible=False)
if POSTGRES:
    none = "ssl is off in PostgreSQL, which answers SSLRequest with N"
    case("protocol_version/no-tls-postgres-postgresql-psql", postgres(), psql("require"), 2, "server does not support SSL", "S:raw1", none, **PLAIN)
    case("protocol_version/no-tls-postgres-postgresql-s-client", postgres(), openssl("postgres"), FAILS, "", "S:raw1", none, **PLAIN)
    case("protocol_version/no-tls-postgres-postgresql-gnutls", postgres(), gnutls_cli("postgres", None, b"", 1), FAILS, "", "S:raw1", none, **PLAIN)
    case("none/no-tls-postgres-postgresql-psql-goes-on", postgres(), psql("prefer"), 0, "works", "S:raw1", none + "; the client goes on in clear (sslmode=prefer)", outcome="abandoned")
if INN:
    broken, alien = WORK / "broken.key", leaf("alien", key="rsa2048")
    broken.write_text("-----BEGIN PRIVATE KEY-----\nMHcCAQEEI\n-----END PRIVATE KEY-----\n")
    for fault, key, why in (("key-cut-off", broken, "its key file is cut off"), ("key-of-another", alien.key, "its key belongs to another certificate")):
        why = f"nnrpd offers STARTTLS although {why}"
        for client, by in (("s-client", lambda: openssl("nntp")), ("gnutls", lambda: gnutls_cli("nntp", None, b"", 1))):
            case(f"storage_permission/{fault}-nntp-inn-{client}", nnrpd(good, key), by(), FAILS, "", "C:raw10 S:raw", why, reason="no_certificate_loaded", visible=False)
if XRDP and FREERDP:
    good_ec = leaf("good", **mine)
    rdp = "; TLS within RDP on xrdp's port 3389"
    for tls in ("1.2", "1.3"):
        n = tls.replace(".", "")
        case(f"none/good-rdp-xrdp-freerdp-tls{n}", xrdp("tls", good, tls), xfreerdp(), tuple(range(256)), "", DONE[tls], "the certificate is good" + rdp)
        for f, (fault, cause, reason, why, cert) in enumerate(FAULTS):
            # FreeRDP asks the certificate by itself, behind the whole handshake.
            case(f"{cause}/{fault}-rdp-xrdp-freerdp-tls{n}", xrdp("tls", cert, tls), xfreerdp(), FAILS, "", "C:hs1", why + rdp, reason=reason, visible=tls == "1.2")
    case("protocol_version/no-tls-rdp-xrdp-freerdp", xrdp("rdp", good), xfreerdp(), FAILS, "", "S:raw", "security_layer is rdp: xrdp takes no TLS", **PLAIN)
    case("storage_permission/no-certificate-rdp-xrdp-freerdp", xrdp("tls"), xfreerdp(), FAILS, "", "S:raw",
         "security_layer is tls and the certificate's file is absent", reason="no_certificate_loaded", visible=False)

if __name__ == "__main__":
    main()
