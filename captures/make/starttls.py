#!/usr/bin/env python3
"""Captures in which TLS begins after STARTTLS: SMTP, IMAP, POP3 and FTP."""
from lab import case, main, WORK
from pki import ROOT, TRUST, authority, leaf
from stacks import *

MAIL = "mail.example.test"
mine = dict(subject=MAIL, names=(MAIL,))
stranger = authority("stranger", "Unknown Ltd root", None, pathlen=None, aki=False)
FAULTS = [
    ("expired", "expired_cert", "leaf_expired", "the leaf's notAfter was ten days before the run", leaf("expired", days=(-100, -10), **mine)),
    ("other-name", "name_mismatch", "san_mismatch", "the certificate names mx.example.net, the client asked for mail.example.test",
     leaf("other", subject="mx.example.net", names=("mx.example.net",))),
    ("unknown-root", "broken_chain", "unknown_root", "the chain ends at a root that the client does not have", leaf("strange", stranger, **mine)),
    ("self-signed", "broken_chain", "self_signed", "the leaf is signed by itself", leaf("own", None, key="rsa2048", **mine)),
    ("not-yet-valid", "validity_misconfig", "not_yet_valid", "the leaf's notBefore is twenty days after the run", leaf("early", days=(20, 110), **mine)),
    ("missing-intermediate", "broken_chain", "missing_intermediate", "the server sends the leaf without its intermediate", leaf("alone", chain=[], key="rsa2048", **mine)),
]
SAYS = {"expired": "certificate has expired", "unknown-root": "unable to get local issuer certificate", "self-signed": "self-signed certificate",
        "not-yet-valid": "certificate is not yet valid", "missing-intermediate": "unable to get local issuer certificate"}
ALERTS = {"expired": 45, "other-name": 42, "unknown-root": 48, "self-signed": 48, "not-yet-valid": 42, "missing-intermediate": 48}
GNUTLS_SAYS = {"expired": "expired certificate", "other-name": "does not match", "unknown-root": "issuer is unknown", "self-signed": "issuer is unknown",
               "not-yet-valid": "not yet valid", "missing-intermediate": "issuer is unknown"}
good, good_rsa = leaf("good", **mine), leaf("good-rsa", key="rsa2048", **mine)

PROTOCOLS = {
    "smtp": ("postfix", POSTFIX, postfix, mail_curl, f"smtp://{MAIL}", ["-X", "NOOP"]),
    "imap": ("dovecot", DOVECOT, dovecot, mail_curl, f"imap://{MAIL}/", ["-u", "bob:labpass"]),
    "pop3": ("dovecot", DOVECOT, lambda c, tls=None, **how: dovecot(c, tls, port=110, **how), mail_curl, f"pop3://{MAIL}/", ["-u", "bob:labpass"]),
    "ftp": ("vsftpd", VSFTPD, vsftpd, mail_curl, f"ftp://{MAIL}/", ["-I"]),
}
DONE = {"1.2": "C:ccs .*S:ccs .*C:2[13]/", "1.3": "S:23/.*C:23/(53|69) .*C:23/"}


def gnutls_upgrade(protocol, tls, port):
    c = gnutls(tls, MAIL, extra=["--starttls-proto=" + protocol], stdin=b"QUIT\r\n" if protocol != "imap" else b"a LOGOUT\r\n", hold=0.6)
    c.cmd[c.cmd.index("443")] = str(port)
    return c


for p, (protocol, (word, there, make, by_curl, url, words)) in enumerate(PROTOCOLS.items()):
    if not there:
        print(f"{word} is not there: its rows are left out")
        continue
    port = {"smtp": 25, "imap": 143, "pop3": 110, "ftp": 21}[protocol]
    name = lambda fault, client, tls: f"{fault}-{protocol}-{word}-{client}-tls{tls.replace('.', '')}"
    for f, (fault, cause, reason, why, cert) in enumerate(FAULTS):
        why += f"; TLS after STARTTLS on {word}'s port {port}"
        for client in ("s-client", "curl", "gnutls"):
            tls = ("1.2", "1.3")[(p + f + (client == "curl")) % 2]
            row = dict(reason=reason, visible=tls == "1.2" or client != "gnutls" and ALERTS[fault] != 42)
            says, wire = SAYS.get(fault), f"C:al{ALERTS[fault]}"
            if client == "s-client":
                case(f"{cause}/{name(fault, client, tls)}", make(cert, tls), upgrade(protocol, tls), 1, says or "ostname mismatch", wire, why, **row)
            elif client == "curl":
                case(f"{cause}/{name(fault, client, tls)}", make(cert, tls), by_curl(url, tls, extra=words), 60, says or "no alternative certificate subject name",
                     wire if says else "C:FIN", why, **row)
            else:
                case(f"{cause}/{name(fault, client, tls)}", make(cert, tls), gnutls_upgrade(protocol, tls, port), 1, GNUTLS_SAYS[fault],
                     "C:al42" if tls == "1.2" else "C:(ccs C:)?23/19", why, **row)
    for tls, cert in (("1.2", good_rsa), ("1.3", good)):
        ok = f"the certificate is good; TLS after STARTTLS on {word}'s port {port}"
        case(f"none/{name('good', 's-client', tls)}", make(cert, tls), upgrade(protocol, tls), 0, "Verify return code: 0", DONE[tls], ok)
        case(f"none/{name('good', 'curl', tls)}", make(cert, tls), by_curl(url, tls, extra=words), 0, "", DONE[tls], ok)
    case(f"none/{name('expired-accepted', 'curl', '1.2')}", make(FAULTS[0][4], "1.2"), by_curl(url, "1.2", extra=[*words, "-k"]), 0, "", DONE["1.2"],
         FAULTS[0][3] + "; the client does not verify (curl -k): a matter of hygiene")

# ---- the server cannot load its key or certificate ----

broken = WORK / "broken.key"
broken.write_text("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEI\n-----END EC PRIVATE KEY-----\n")
alien = leaf("alien")
N = dict(reason="no_certificate_loaded", visible=False)
if POSTFIX:
    also = [dict(also=["protocol_version"])]
    for fault, key, why in (("key-absent", "/nowhere/mail.key", "its key file is absent"), ("key-cut-off", broken, "its key file is cut off"),
                            ("key-of-another", alien.key, "its key belongs to another certificate")):
        why = f"Postfix offers STARTTLS although {why}, and answers 454 TLS not available"
        case(f"storage_permission/{fault}-smtp-postfix-curl", postfix(good, key=key), mail_curl(f"smtp://{MAIL}", extra=["-X", "NOOP"]), 64, "denied, code 454",
             "S:raw", why, attempts=also, **N)
        case(f"storage_permission/{fault}-smtp-postfix-s-client", postfix(good, key=key), upgrade("smtp"), 1, "wrong version number", "S:raw",
             why + "; the client sends its ClientHello all the same", attempts=also, **N)
    case("storage_permission/no-certificate-smtp-postfix-gnutls", postfix(None), gnutls_upgrade("smtp", "1.3", 25), 2, "Timeout", "S:raw",
         "Postfix offers STARTTLS and has no certificate; it answers 454 TLS not available", attempts=also, **N)
if DOVECOT:
    for protocol, port in (("imap", 143), ("pop3", 110)):
        url = f"{protocol}://{MAIL}/"
        for fault, key, why in (("key-cut-off", broken, "its key file is cut off"), ("key-of-another", alien.key, "its key belongs to another certificate")):
            why = f"Dovecot offers STARTTLS although {why}, and says goodbye after it"
            if fault == "key-cut-off":       # a race: the client says one thing or another
                case(f"storage_permission/{fault}-{protocol}-dovecot-curl", dovecot(good, key=key, port=port), mail_curl(url, extra=["-u", "bob:labpass"]),
                     (8, 35), "curl: (", "S:raw", why, **N)
            case(f"storage_permission/{fault}-{protocol}-dovecot-s-client", dovecot(good, key=key, port=port), upgrade(protocol), 1, "", "S:raw", why, **N)
    for port, protocol in ((993, "imaps"), (995, "pop3s")):
        case(f"storage_permission/key-cut-off-{protocol}-dovecot-curl", dovecot(good, key=broken, port=port), mail_curl(f"{protocol}://{MAIL}/", extra=["-u", "bob:labpass"]),
             35, "", "C:hs1", f"Dovecot's key file is cut off; it closes port {port} after the ClientHello", **N)

if __name__ == "__main__":
    main()
