#!/usr/bin/env python3
"""Every fault of a server's certificate, met by every client, on both versions; and the same traffic without the fault."""
import subprocess
from cryptography import x509
from cryptography.x509 import ObjectIdentifier as OID
from lab import case, main
from pki import ROOT, CA, TRUST, Cert, authority, leaf, new_key
from revocation_answers import GOOD, REVOKED, answer
from stacks import *

# ---- the certificates: word, cause, reason, what was set up, certificate ----

stranger = authority("stranger", "Unknown Ltd root", None, pathlen=None, aki=False)
stranger_ca = authority("stranger-ca", "Unknown Ltd CA", stranger)
old_ca = authority("old-ca", "tlswhy lab CA 2", ROOT, days=(-900, -20))
not_ca = authority("not-ca", "tlswhy lab CA 3", ROOT, ca=False, pathlen=None, use=(), key_usage=("digital_signature",))
deep = authority("deep", "tlswhy lab CA 4", CA)
fenced = authority("fenced", "tlswhy lab CA 7", ROOT, extra=[(x509.NameConstraints([x509.DNSName("example.org")], None), True)])
URL = "http://ocsp.example.test/"


def sha1():
    """A leaf whose signature openssl made anew with SHA-1."""
    c = leaf("sha1-own", None)
    subprocess.run(["openssl", "x509", "-in", c.crt, "-CA", CA.crt, "-CAkey", CA.key, "-sha1", "-days", "60", "-set_serial", str(c.x509.serial_number), "-out", c.crt + ".sha1"],
                   check=True, stderr=subprocess.DEVNULL)
    return Cert("sha1", x509.load_pem_x509_certificate(open(c.crt + ".sha1", "rb").read()), c.privkey, [CA.x509])


elsewhere = dict(subject="intranet.example.test", names=("intranet.example.test", "wiki.example.test"))
plain = leaf("plain", ocsp=URL)
FAULTS = [
    ("expired", "expired_cert", "leaf_expired", "the leaf's notAfter was ten days before the run", leaf("expired", days=(-100, -10))),
    ("intermediate-expired", "expired_cert", "intermediate_expired", "the intermediate's notAfter was twenty days before the run, the leaf is valid",
     leaf("under-old", old_ca, key="rsa2048")),
    ("not-yet-valid", "validity_misconfig", "not_yet_valid", "the leaf's notBefore is twenty days after the run", leaf("early", days=(20, 110), key="rsa2048")),
    ("self-signed", "broken_chain", "self_signed", "the leaf is signed by itself", leaf("own", None, key="rsa2048")),
    ("unknown-root", "broken_chain", "unknown_root", "the chain ends at a root that the client does not have", leaf("under-stranger", stranger_ca)),
    ("missing-intermediate", "broken_chain", "missing_intermediate", "the server sends the leaf without its intermediate", leaf("alone", chain=[])),
    ("not-a-ca", "broken_chain", "not_a_ca", "the intermediate has CA:FALSE", leaf("under-not-ca", not_ca)),
    ("path-too-long", "broken_chain", "path_too_long", "an intermediate with path length 0 has another CA below it", leaf("under-deep", deep)),
    ("other-name", "name_mismatch", "san_mismatch", "the certificate names intranet and wiki.example.test, the client asked for www.example.test",
     leaf("other", **elsewhere)),
    ("no-san", "name_mismatch", "no_san", "the certificate has the name as CN only and no SAN", leaf("cn-only", names=())),
    ("client-auth-only", "missing_extension", "eku_lacks_server_auth", "the leaf's extended key usage is clientAuth only",
     leaf("client-only", use=("client",), key="rsa2048")),
    ("key-usage", "missing_extension", "key_usage", "the RSA leaf's key usage has keyCertSign and cRLSign only",
     leaf("sign-only", key="rsa2048", key_usage=("key_cert_sign", "crl_sign"))),
    ("name-constraints", "missing_extension", "name_constraints", "the intermediate's name constraints permit example.org only", leaf("under-fenced", fenced)),
    ("unknown-critical", "missing_extension", "unknown_critical", "the leaf has a critical extension that no client knows",
     leaf("strange", extra=[(x509.UnrecognizedExtension(OID("1.3.6.1.4.1.99999.1"), b"\5\0"), True)])),
    ("stapled-revoked", "revocation", "revoked", "the stapled OCSP answer says that the leaf was revoked three days before the run", plain),
    ("must-staple", "revocation", "staple_missing", "the leaf demands a stapled OCSP answer (must-staple) and the server sends none",
     leaf("must-staple", ocsp=URL, staple=True)),
    ("leaf-signature", "damaged_key", "bad_certificate_signature", "one bit of the signature in the leaf is flipped", leaf("flip", flip=True, key="rsa2048")),
    ("wrong-issuer-key", "damaged_key", "bad_certificate_signature", "the leaf names the intermediate's name and key as issuer but another key signed it",
     leaf("impostor", signer=new_key("ec"))),
    ("weak-key", "damaged_key", "weak_key", "the leaf's RSA key has 1024 bits", leaf("weak", key="rsa1024")),
    ("sha1", "damaged_key", "weak_key", "the leaf is signed with SHA-1", sha1()),
    ("expired-other-name", None, None, "the leaf's notAfter was ten days before the run, and it names intranet.example.test while the client asked for www.example.test",
     leaf("old-other", days=(-100, -10), **elsewhere)),
    ("self-signed-expired", None, None, "the leaf is signed by itself and its notAfter was ten days before the run", leaf("own-old", None, days=(-100, -10))),
]
GONE, FINE = answer("gone", plain, REVOKED), answer("fine", plain, GOOD)
LOW = ["-cipher", "DEFAULT@SECLEVEL=0"]

# ---- near misses: the same traffic without the fault ----

under_stranger = leaf("under-stranger")
NEAR = [
    ("renewed", "near miss of an expired leaf: it was renewed an hour before the run", leaf("renewed", days=(-0.05, 89)), TRUST),
    ("last-hours", "near miss of an expired leaf: it has two hours left", leaf("last-hours", days=(-89, 0.08), key="rsa2048"), TRUST),
    ("complete-chain", "near miss of a missing intermediate: the server sends it, and the root too", leaf("complete", chain=[CA.x509, ROOT.x509]), TRUST),
    ("private-root", "near miss of an unknown root: the chain ends at another root, which this client has", under_stranger, stranger.crt),
    ("alias", "near miss of a name mismatch: the CN is another host's but the SAN has the name",
     leaf("alias", subject="intranet.example.test", names=("intranet.example.test", "www.example.test")), TRUST),
    ("wildcard", "near miss of a name mismatch: the name is covered by a wildcard", leaf("wild", subject="*.example.test", names=("*.example.test",)), TRUST),
    ("both-uses", "near miss of a wrong extended key usage: it has clientAuth and serverAuth", leaf("both", use=("client", "server"), key="rsa2048"), TRUST),
    ("stapled-good", "near miss of a revoked leaf: the stapled OCSP answer says good", leaf("must-staple"), TRUST),
    ("stranger-extension", "near miss of an unknown critical extension: it is not critical",
     leaf("mild", extra=[(x509.UnrecognizedExtension(OID("1.3.6.1.4.1.99999.1"), b"\5\0"), False)]), TRUST),
]

# ---- the servers, taken in turn ----

limit = lambda tls: f"ssl-min-ver TLSv{tls} ssl-max-ver TLSv{tls}"
SERVERS = {
    "nginx": nginx_cert, "apache": apache, "s-server": s_server, "haproxy": lambda c, tls: haproxy(f"crt {c.all} {limit(tls)}"),
    "gnutls-serv": gnutls_serv, "java": lambda c, tls: java_server(c.p12, tls), "node": node_server, "python": py_server,
    "rustls": rustls_server, "openssl4": openssl4_server,
}
SERVERS = {name: make for name, make in SERVERS.items() if not (name == "apache" and not APACHE or name == "rustls" and not RUSTLS or name == "openssl4" and not OPENSSL4)}
STAPLING = {
    "s-server": lambda c, tls, staple: s_server(c, tls, ["-status_file", staple]),
    "nginx": lambda c, tls, staple: nginx_cert(c, tls, f"ssl_stapling on; ssl_stapling_file {staple};"),
    "rustls": lambda c, tls, staple: rustls_server(c, tls, [f"staple={staple}"]),
}


AVOID = {"chromium": "gnutls-serv", "rustls": "gnutls-serv", "go": "java"}      # the first asks for a client certificate, which puts off some; the second resets


def server(n, fault, cert, tls, staple=None, client=""):
    """The n-th server which can show this certificate: its word and row."""
    if staple:
        names = [s for s in STAPLING if s in SERVERS]
        return names[n % len(names)], STAPLING[names[n % len(names)]](cert, tls, staple)
    if fault in ("weak-key", "sha1"):                     # the others refuse to load it
        return "s-server", s_server(cert, tls, LOW)
    names = [s for s in SERVERS if fault != "key-usage" or s != "gnutls-serv"]         # which sends alert 40 instead
    if staple is None and names[n % len(names)] == AVOID.get(client) and fault in ("key-usage", "must-staple", "no-san", *(n[0] for n in NEAR)):
        return "nginx", nginx_cert(cert, tls)
    return names[n % len(names)], SERVERS[names[n % len(names)]](cert, tls)


# ---- the clients: how to run one, its exit code after a rejection, what it prints for each fault, and its alerts ----
# A fault without words is accepted. Where a client meets two faults, its words say which one it named.

OPENSSL_SAYS = {
    "expired": "certificate has expired", "intermediate-expired": "certificate has expired", "not-yet-valid": "certificate is not yet valid",
    "self-signed": "self-signed certificate", "unknown-root": "unable to get local issuer certificate",
    "missing-intermediate": "unable to get local issuer certificate", "not-a-ca": "invalid CA certificate", "path-too-long": "path length constraint exceeded",
    "client-auth-only": "unsuitable certificate purpose", "key-usage": "unsuitable certificate purpose", "name-constraints": "permitted subtree violation",
    "unknown-critical": "unhandled critical extension", "leaf-signature": "certificate signature failure", "wrong-issuer-key": "certificate signature failure",
    "weak-key": "EE certificate key too weak", "sha1": "CA signature digest algorithm too weak", "expired-other-name": "certificate has expired",
    "self-signed-expired": "self-signed certificate",
}
OPENSSL_ALERTS = {
    "expired": 45, "intermediate-expired": 45, "not-yet-valid": 42, "self-signed": 48, "unknown-root": 48, "missing-intermediate": 48, "not-a-ca": 48,
    "path-too-long": 48, "other-name": 42, "no-san": 42, "client-auth-only": 43, "key-usage": 43, "name-constraints": 46, "unknown-critical": 46,
    "leaf-signature": 51, "wrong-issuer-key": 51, "weak-key": 42, "sha1": 42, "expired-other-name": 45, "self-signed-expired": 48,
}
NAMED = {**OPENSSL_SAYS, "other-name": "ostname mismatch", "expired-other-name": "ostname mismatch"}
NAMED_ALERTS = {**OPENSSL_ALERTS, "expired-other-name": 42}
CURL_SAYS = {**OPENSSL_SAYS, "other-name": "no alternative certificate subject name matches", "leaf-signature": "EVP lib", "wrong-issuer-key": "EVP lib"}
NODE_SAYS = {**OPENSSL_SAYS, "missing-intermediate": "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "not-a-ca": "key usage does not include certificate signing",
        "other-name": "ERR_TLS_CERT_ALTNAME_INVALID", "self-signed-expired": "CERT_HAS_EXPIRED"}
del NODE_SAYS["weak-key"]
JAVA_SAYS = {
    "expired": "NotAfter", "intermediate-expired": "NotAfter", "not-yet-valid": "NotBefore", "self-signed": "unable to find valid certification path",
    "unknown-root": "unable to find valid certification path", "missing-intermediate": "unable to find valid certification path",
    "not-a-ca": "keyCertSign bit is not set", "path-too-long": "pathLenConstraint violated", "other-name": "No subject alternative DNS name matching",
    "client-auth-only": "Extended key usage does not permit", "key-usage": "KeyUsage does not allow digital signatures",
    "name-constraints": "name constraints check failed", "unknown-critical": "unrecognized critical extension", "leaf-signature": "Signature does not match",
    "wrong-issuer-key": "Signature does not match", "expired-other-name": "NotAfter", "self-signed-expired": "unable to find valid certification path",
}
JAVA_ALERTS = {fault: 46 for fault in JAVA_SAYS} | {"expired": 45, "intermediate-expired": 45, "expired-other-name": 45, "not-yet-valid": 42,
                                               "leaf-signature": 42, "wrong-issuer-key": 42}
GNUTLS_SAYS = {
    "expired": "expired certificate", "intermediate-expired": "expired certificate", "not-yet-valid": "not yet valid certificate",
    "self-signed": "certificate issuer is unknown", "unknown-root": "certificate issuer is unknown", "missing-intermediate": "certificate issuer is unknown",
    "not-a-ca": "certificate issuer is not a CA", "path-too-long": "violates the signer's constraints", "other-name": "name in the certificate does not match",
    "client-auth-only": "does not match the intended purpose", "key-usage": "Key usage violation", "name-constraints": "violates the signer's constraints",
    "unknown-critical": "unknown critical extension", "stapled-revoked": "certificate chain is revoked", "must-staple": "OCSP status is missing",
    "leaf-signature": "signature in the certificate is invalid", "wrong-issuer-key": "signature in the certificate is invalid",
    "sha1": "insecure algorithm", "expired-other-name": "expired certificate. The name", "self-signed-expired": "issuer is unknown. The certificate chain uses expired",
}
WGET_SAYS = {fault: "is not trusted" for fault in GNUTLS_SAYS if fault not in ("client-auth-only", "key-usage")} | {
    "expired": "has expired", "intermediate-expired": "has expired", "not-yet-valid": "not yet activated", "self-signed": "have a known issuer",
    "unknown-root": "have a known issuer", "missing-intermediate": "have a known issuer", "not-a-ca": "was not a CA", "other-name": "does not match hostname",
    "stapled-revoked": "has been revoked", "sha1": "insecure algorithm", "expired-other-name": "has expired", "self-signed-expired": "have a known issuer"}
NSS_SAYS = {
    "expired": "SEC_ERROR_EXPIRED_CERTIFICATE", "intermediate-expired": "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE", "not-yet-valid": "SEC_ERROR_EXPIRED_CERTIFICATE",
    "self-signed": "SEC_ERROR_CA_CERT_INVALID", "unknown-root": "SEC_ERROR_UNKNOWN_ISSUER", "missing-intermediate": "SEC_ERROR_UNKNOWN_ISSUER",
    "not-a-ca": "SEC_ERROR_UNKNOWN_ISSUER", "path-too-long": "SEC_ERROR_PATH_LEN_CONSTRAINT_INVALID", "other-name": "SSL_ERROR_BAD_CERT_DOMAIN",
    "client-auth-only": "SEC_ERROR_INADEQUATE_CERT_TYPE", "key-usage": "SEC_ERROR_INADEQUATE_KEY_USAGE", "name-constraints": "SEC_ERROR_CERT_NOT_IN_NAME_SPACE",
    "unknown-critical": "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION", "leaf-signature": "SEC_ERROR_BAD_SIGNATURE", "wrong-issuer-key": "SEC_ERROR_BAD_SIGNATURE",
    "expired-other-name": "SEC_ERROR_EXPIRED_CERTIFICATE", "self-signed-expired": "SEC_ERROR_EXPIRED_CERTIFICATE",
}
CHROMIUM_SAYS = {
    "expired": "ERR_CERT_DATE_INVALID", "intermediate-expired": "ERR_CERT_DATE_INVALID", "not-yet-valid": "ERR_CERT_DATE_INVALID",
    "self-signed": "ERR_CERT_AUTHORITY_INVALID", "unknown-root": "ERR_CERT_AUTHORITY_INVALID", "missing-intermediate": "ERR_CERT_AUTHORITY_INVALID",
    "not-a-ca": "ERR_CERT_INVALID", "path-too-long": "ERR_CERT_INVALID", "other-name": "ERR_CERT_COMMON_NAME_INVALID", "no-san": "ERR_CERT_COMMON_NAME_INVALID",
    "client-auth-only": "ERR_CERT_INVALID", "key-usage": "ERR_SSL_KEY_USAGE_INCOMPATIBLE", "name-constraints": "ERR_CERT_INVALID",
    "unknown-critical": "ERR_CERT_INVALID", "stapled-revoked": "ERR_CERT_REVOKED", "leaf-signature": "ERR_CERT_AUTHORITY_INVALID",
    "wrong-issuer-key": "ERR_CERT_AUTHORITY_INVALID", "sha1": "ERR_CERT_INVALID", "expired-other-name": "ERR_CERT_COMMON_NAME_INVALID",
    "self-signed-expired": "ERR_CERT_AUTHORITY_INVALID",
}
RUSTLS_SAYS = {
    "expired": "certificate expired", "intermediate-expired": "certificate expired", "not-yet-valid": "certificate not valid yet", "self-signed": "UnknownIssuer",
    "unknown-root": "UnknownIssuer", "missing-intermediate": "UnknownIssuer", "not-a-ca": "EndEntityUsedAsCa", "path-too-long": "PathLenConstraintViolated",
    "other-name": "certificate not valid for name", "no-san": "certificate not valid for name", "client-auth-only": "does not allow extended key usage",
    "name-constraints": "NameConstraintViolation", "unknown-critical": "UnsupportedCriticalExtension", "leaf-signature": "BadSignature",
    "wrong-issuer-key": "BadSignature", "weak-key": "BadSignature", "sha1": "nsupportedSignatureAlgorithm", "expired-other-name": "certificate expired",
    "self-signed-expired": "certificate expired",
}
RUSTLS_ALERTS = {**OPENSSL_ALERTS, "not-yet-valid": 45, "not-a-ca": 46, "path-too-long": 46, "weak-key": 51, "sha1": 51, "self-signed-expired": 45}
GO_SAYS = {
    "expired": "is after", "intermediate-expired": "is after", "not-yet-valid": "is before", "self-signed": "signed by unknown authority",
    "unknown-root": "signed by unknown authority", "missing-intermediate": "signed by unknown authority", "not-a-ca": "cannot sign this kind of certificate",
    "path-too-long": "too many intermediates", "other-name": "not www.example.test", "no-san": "relies on legacy Common Name", "client-auth-only": "incompatible key usage",
    "name-constraints": "is not permitted by any constraint", "unknown-critical": "unhandled critical extension", "leaf-signature": "verification failure",
    "wrong-issuer-key": "verification failure", "sha1": "insecure algorithm", "expired-other-name": "is after", "self-signed-expired": "is after",
}
# which of two faults the words name
NAMES_FIRST = {"expired-other-name": {"python": "name_mismatch", "s-client": "name_mismatch", "chromium": "name_mismatch"},
               "self-signed-expired": {c: "expired_cert" for c in ("node", "rustls", "go", "nss")}}
TWO = {"expired-other-name": dict(expired_cert="leaf_expired", name_mismatch="san_mismatch"),
       "self-signed-expired": dict(broken_chain="self_signed", expired_cert="leaf_expired")}

each = lambda alert, says: {fault: alert for fault in says}
SEALED = "C:(ccs C:)?23/19"
CLEAR = None                                                # the same alert in clear on TLS 1.3
# word: how to run it, exit, words, alerts or what stands for them on 1.2, and on 1.3
CLIENTS = {
    "curl": (curl, 60, CURL_SAYS, {**OPENSSL_ALERTS, "other-name": "C:FIN"}, CLEAR),
    "s-client": (s_client, 1, NAMED, NAMED_ALERTS, CLEAR),
    "python": (lambda: python(extra=["no-cn"]), 1, {**NAMED, "no-san": "Hostname mismatch"}, NAMED_ALERTS, CLEAR),
    "openssl4": (openssl4, 1, OPENSSL_SAYS, OPENSSL_ALERTS, CLEAR),
    "node": (node, 1, NODE_SAYS, each("C:FIN", NODE_SAYS), "C:FIN"),
    "java": (java, 1, JAVA_SAYS, JAVA_ALERTS, "C:23/35"),
    "gnutls": (gnutls, 1, GNUTLS_SAYS, each(42, GNUTLS_SAYS) | {"key-usage": 80}, SEALED),
    "wget": (wget, 5, WGET_SAYS, each("C:FIN", WGET_SAYS), r"C:23/(53|69|85) .*C:(FIN|RST)"),
    "nss": (nss, 254, NSS_SAYS, each("C:(21/26|al)", NSS_SAYS), SEALED),
    "chromium": (chromium, 0, CHROMIUM_SAYS, each(46, CHROMIUM_SAYS) | {"key-usage": "C:FIN"}, SEALED),
    "rustls": (rustls, 1, RUSTLS_SAYS, RUSTLS_ALERTS, SEALED),
    "go": (go, 1, GO_SAYS, each(42, GO_SAYS), SEALED),
}
HAVE = {"chromium": CHROMIUM, "rustls": RUSTLS, "go": GO, "openssl4": OPENSSL4}
DONE = {"1.2": "C:ccs .*S:ccs .*C:23/", "1.3": "S:23/.*C:23/(53|69|74|78|85|90) .*C:23/"}
PLAIN = (43, 44, 45, 48, 51)                                # alerts of one reading


def accepted(name, client, sv, tls, why, run=None):
    """A row in which the client takes the certificate and is served."""
    if client == "chromium":                              # it opens two connections and may use one only
        fine = dict(outcome="completed", also_outcome=["abandoned"])
        case(name, sv, run or chromium(), 0, "<html>", ["(?s)C:ccs"] * 2, why + "; Chromium opens two connections ahead of need", attempts=[fine, fine])
        return
    r = run or CLIENTS[client][0]()
    code = 0
    if client == "nss":                                   # it waits for the user after the answer
        r.cmd, code = ["timeout", "3"] + r.cmd, 124
    case(name, sv, r, code, "" if client == "wget" else "200", DONE[tls], why)


for c, (client, (run, code, says, alerts, sealed)) in enumerate(CLIENTS.items()):
    if not HAVE.get(client, True):
        print(f"{client} is not there: its rows are left out")
        continue
    for f, (fault, cause, reason, why, cert) in enumerate(FAULTS):
        for tls in ("1.2", "1.3"):
            word, sv = server(c + 3 * f + 5 * (tls == "1.3"), fault, cert, tls, GONE if fault == "stapled-revoked" else None, client)
            end = f"{fault}-{client}-{word}-tls{tls.replace('.', '')}"
            if fault not in says:
                accepted(f"none/{end}", client, sv, tls, why + "; this client does not mind")
                continue
            row = dict(cause=cause, reason=reason)
            alert = alerts[fault]
            clear = isinstance(alert, int) and (tls == "1.2" or sealed is CLEAR)
            if fault in TWO:
                row["cause"] = NAMES_FIRST[fault].get(client, next(iter(TWO[fault])))
                row["reason"] = TWO[fault][row["cause"]]
            row["visible"] = tls == "1.2" or clear and alert in PLAIN
            wire = (f"C:al{alert}" if isinstance(alert, int) else alert) if tls == "1.2" or sealed is CLEAR else sealed
            attempt = {}
            if fault in TWO and not (clear and alert in PLAIN):
                attempt["also"] = [x for x in TWO[fault] if x != row["cause"]]
            if fault in ("leaf-signature", "wrong-issuer-key") and client == "curl":
                exit = 35
            else:
                exit = code
            n = 2 if client == "chromium" else 1
            case(f"{row['cause']}/{end}", sv, run(), exit, says[fault], [wire] * n, why + ("; Chromium opens two connections" if n == 2 else ""),
                 attempts=[attempt] * n, outcome="failed", **row)

STAPLE = answer("must-staple-good", leaf("must-staple"), GOOD)
for c, client in enumerate(CLIENTS):
    if not HAVE.get(client, True):
        continue
    for f, (near, why, cert, ca) in enumerate(NEAR):
        tls = ("1.2", "1.3")[(c + f) % 2]
        if client == "nss" and ca != TRUST:               # its database is made once, with the lab's root
            continue
        how = dict(ca=ca, extra=["no-cn"]) if client == "python" else dict(ca=ca)
        word, sv = server(2 * c + 3 * f + 1, near, cert, tls, STAPLE if near == "stapled-good" else None, client)
        accepted(f"none/{near}-{client}-{word}-tls{tls.replace('.', '')}", client, sv, tls, why, {**{k: v[0] for k, v in CLIENTS.items()}, "python": python}[client](**how))

if __name__ == "__main__":
    main()
