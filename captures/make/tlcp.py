#!/usr/bin/env python3
"""Captures of TLCP and of TLS 1.3 with SM2 (RFC 8998) by Tongsuo (the library inside the wheel tongsuopy): both sides sound; certificates
expired, untrusted, misnamed, in each other's place; signatures good and bad; clients and servers that speak the other family of protocols.
The certificates are made by OpenSSL. Without the wheel nothing is made; TLSWHY_TONGSUO names the library where it lies elsewhere."""
import base64, importlib.util, os, subprocess
from pathlib import Path
from lab import Client, OUT, PROGRAMS, Server, WORK, case, main
from pki import STATE, leaf
from stacks import *

wheel = importlib.util.find_spec("tongsuopy")
LIBRARY = os.environ.get("TLSWHY_TONGSUO") or next((str(p) for d in (wheel.submodule_search_locations if wheel else ())
                                                    for p in Path(d).glob("backends/_tongsuo*.so")), "")
TONGSUO = "Tongsuo of tongsuopy 1.0.1"
ID = "distid:1234567812345678"
ROOT = STATE / "tlcp-root"                             # .key and .pem, kept as the lab's root is
CA = f"{ROOT}.pem"


def openssl(*words, at=None):
    subprocess.run((["faketime", at] if at else []) + ["openssl", *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def key(path):
    openssl("ecparam", "-name", "SM2", "-genkey", "-noout", "-out", path)


def root(path, subject, days="9000", usage="keyCertSign,cRLSign"):
    """A certificate that signs itself, beside its key."""
    key(f"{path}.key")
    openssl("req", "-x509", "-new", "-key", f"{path}.key", "-sm3", "-sigopt", ID, "-subj", f"/CN={subject}", "-days", days, "-addext", f"keyUsage=critical,{usage}",
            "-out", f"{path}.pem")
    return path


def issue(path, subject, usage, by, at=None, days="365", ca=False):
    key(f"{path}.key")
    openssl("req", "-new", "-key", f"{path}.key", "-sm3", "-sigopt", ID, "-subj", f"/CN={subject}", "-out", f"{path}.csr")
    names = "" if ca else f"subjectAltName=DNS:{subject}\n"
    Path(f"{path}.ext").write_text(f"basicConstraints=critical,CA:{str(ca).upper()}\nkeyUsage=critical,{usage}\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n{names}")
    openssl("x509", "-req", "-in", f"{path}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAserial", WORK / "tlcp.srl", "-CAcreateserial", "-sm3", "-sigopt", ID, "-vfyopt", ID,
            "-days", days, "-extfile", f"{path}.ext", "-out", f"{path}.pem", at=at)
    return path


USAGE = {"sign": "digitalSignature", "enc": "keyEncipherment,dataEncipherment,keyAgreement"}


def pair(name, subject=None, by=ROOT, damaged=False, sign={}, enc={}):
    """Two certificates of one subject, for signatures and for encipherment, as TLCP wants them; sign and enc: what one of them has otherwise."""
    for kind, usage in USAGE.items():
        issue(WORK / f"{name}-{kind}", subject or HOST, usage, **{"by": by, **(sign if kind == "sign" else enc)})
    if damaged:                                            # a wrong scalar beside the true public point
        path = WORK / f"{name}-sign.key"
        data = base64.b64decode("".join(path.read_text().split("-----")[2].split()))
        scalar = data.index(b"\4\x20") + 2
        data = data[:scalar + 31] + bytes([data[scalar + 31] ^ 0x10]) + data[scalar + 32:]
        path.write_text(f"-----BEGIN EC PRIVATE KEY-----\n{base64.encodebytes(data).decode()}-----END EC PRIVATE KEY-----\n")
    return str(WORK / name)


def server(name, suite, *words):
    return Server([sys.executable, PROGRAMS / "tlcp.py", LIBRARY, "server", "443", CA, suite, name, *words], TONGSUO)


def client(name, suite, *words, ca=CA):
    return Client([sys.executable, PROGRAMS / "tlcp.py", LIBRARY, "client", HOST, "443", ca, suite, name, *words], TONGSUO)


if LIBRARY:
    if not Path(CA).exists():
        root(ROOT, "tlswhy lab TLCP root")
    trusted = OUT / "lab-root.pem"
    if Path(CA).read_text() not in trusted.read_text():
        trusted.write_text(trusted.read_text() + Path(CA).read_text())
    ECC, ECDHE, CBC = "ECC-SM2-SM4-GCM-SM3", "ECDHE-SM2-SM4-CBC-SM3", "ECC-SM2-SM4-CBC-SM3"
    GCM13, CCM13 = "TLS_SM4_GCM_SM3", "TLS_SM4_CCM_SM3"
    NAMED = f"check={HOST}", f"sni={HOST}"
    PAST, COMING = dict(at="-90 days", days="60"), dict(at="+30 days", days="60")
    good, alice = pair("tlcp-good"), pair("tlcp-alice", "alice")
    bad, mallory = pair("tlcp-bad", damaged=True), pair("tlcp-mallory", "mallory", damaged=True)
    stray = root(WORK / "tlcp-stray", "somebody's TLCP root")
    middle = issue(WORK / "tlcp-middle", "tlswhy lab TLCP CA 1", "keyCertSign,cRLSign", ROOT, ca=True)
    below = pair("tlcp-below", by=middle)
    ordinary = leaf("tlcp-rsa", key="rsa2048")

    # ---- sound ----
    near = "near miss of bad SM2 signatures: both sides sign well"
    case("none/tlcp-ecc-tongsuo", server(good, ECC, "mutual"), client(alice, ECC), 0, "", "", near)
    case("none/tlcp-ecdhe-tongsuo", server(good, ECDHE, "mutual"), client(alice, ECDHE), 0, "", "", near + ", with ephemeral keys")
    case("none/tlcp-named-tongsuo", server(good, CBC), client("-", CBC, *NAMED), 0, "", "", "the server alone has certificates, and the client checks its name")
    case("none/tlcp-intermediate-tongsuo", server(below, ECC, f"above={middle}.pem"), client("-", ECC, *NAMED), 0, "", "",
         "signing certificate, encryption certificate, then the CA that issued both")
    case("none/tlcp-resumed-tongsuo", server(good, ECC), client("-", ECC, *NAMED, "twice"), 0, "", ["", ""], "the second handshake takes up the first's session",
         attempts=[{}, dict(outcome="resumed")])
    case("none/tlcp-and-tls-tongsuo", server(good, ECC, f"also={ordinary.crt},{ordinary.key}"), [client("-", ECC, *NAMED), curl("1.2", extra=["-k"])], [0, 0], ["", "200"], ["", ""],
         "one server speaks TLCP and TLS, each to the client that asks for it")
    case("none/tls13-sm4-gcm-tongsuo", server(good, GCM13, "tls13"), client("-", GCM13, "tls13", *NAMED), 0, "", "", "TLS 1.3 with an SM2 certificate and SM4 in GCM mode (RFC 8998)")
    case("none/tls13-sm4-ccm-tongsuo", server(good, CCM13, "tls13"), client("-", CCM13, "tls13", *NAMED), 0, "", "", "TLS 1.3 with an SM2 certificate and SM4 in CCM mode (RFC 8998)")

    # ---- signatures ----
    H = dict(reason="bad_handshake_signature")
    why = "the server's signature key has a wrong scalar beside the true public point, so its signatures are bad"
    case("damaged_key/tlcp-wrong-scalar-ecc-tongsuo", server(bad, ECC), client("-", ECC), 1, "bad signature", "C:al51", why, **H)
    case("damaged_key/tlcp-wrong-scalar-ecdhe-tongsuo", server(bad, ECDHE, "mutual"), client(alice, ECDHE), 1, "bad signature", "C:al51", why, **H)
    case("damaged_key/tlcp-client-wrong-scalar-tongsuo", server(good, ECC, "mutual"), client(mallory, ECC), 1, "decrypt error", "S:al51",
         "the client's signature key has a wrong scalar beside the true public point, so its CertificateVerify is bad", side="client", **H)

    # ---- dates ----
    old, early = pair("tlcp-old", sign=PAST, enc=PAST), pair("tlcp-early", sign=COMING, enc=COMING)
    E = dict(reason="leaf_expired")
    case("expired_cert/tlcp-pair-tongsuo", server(old, ECC), client("-", ECC, *NAMED), 1, "certificate verify failed", "C:al45", "both certificates of the server ended 30 days ago", **E)
    case("expired_cert/tlcp-signing-tongsuo", server(pair("tlcp-old-sign", sign=PAST), CBC), client("-", CBC, *NAMED), 1, "certificate verify failed", "C:al45",
         "the server's signing certificate ended 30 days ago, the one for encryption is valid", **E)
    case("expired_cert/tlcp-encryption-tongsuo", server(pair("tlcp-old-enc", enc=PAST), ECC), client("-", ECC, *NAMED), 1, "certificate verify failed", "C:al45",
         "the server's encryption certificate ended 30 days ago, the one for signing is valid", **E)
    case("expired_cert/tlcp-ecdhe-tongsuo", server(old, ECDHE, "mutual"), client(alice, ECDHE, *NAMED), 1, "certificate verify failed", "C:al45", "both certificates of the server ended 30 days ago", **E)
    case("expired_cert/tlcp-client-tongsuo", server(good, ECC, "mutual"), client(pair("tlcp-old-alice", "alice", sign=PAST, enc=PAST), ECC), 1, "certificate expired", "S:al45",
         "both certificates of the client ended 30 days ago", reason="client_cert_expired", side="client")
    case("expired_cert/tls13-sm2-tongsuo", server(old, GCM13, "tls13"), client("-", GCM13, "tls13", *NAMED), 1, "certificate verify failed", "C:al45",
         "TLS 1.3 with an SM2 certificate that ended 30 days ago", **E)
    case("validity_misconfig/tlcp-not-yet-tongsuo", server(early, ECC), client("-", ECC, *NAMED), 1, "certificate verify failed", "C:al42", "both certificates of the server begin in 30 days",
         reason="not_yet_valid")

    # ---- trust and names ----
    U = dict(reason="unknown_root")
    strayed = pair("tlcp-strayed", by=stray)
    case("broken_chain/tlcp-unknown-root-tongsuo", server(strayed, ECC), client("-", ECC, *NAMED), 1, "certificate verify failed", "C:al48", "both certificates are by a root that the client does not know", **U)
    case("broken_chain/tlcp-unknown-root-ecdhe-tongsuo", server(strayed, ECDHE), client(alice, ECDHE, *NAMED), 1, "certificate verify failed", "C:al48",
         "both certificates are by a root that the client does not know", **U)
    case("broken_chain/tls13-sm2-unknown-root-tongsuo", server(strayed, GCM13, "tls13"), client("-", GCM13, "tls13", *NAMED), 1, "certificate verify failed", "C:al48",
         "TLS 1.3 with an SM2 certificate by a root that the client does not know", **U)
    case("broken_chain/tlcp-missing-intermediate-tongsuo", server(below, ECC), client("-", ECC, *NAMED), 1, "certificate verify failed", "C:al48",
         "signing and encryption certificate without the CA that issued both", reason="missing_intermediate")
    case("broken_chain/tlcp-self-signed-tongsuo", server(str(WORK / "tlcp-self"), ECC), client("-", ECC, *NAMED), 1, "certificate verify failed", "C:al48", "both certificates sign themselves", reason="self_signed")
    for kind, usage in USAGE.items():
        root(WORK / f"tlcp-self-{kind}", HOST, "365", usage)
    case("broken_chain/tlcp-client-unknown-root-tongsuo", server(good, ECC, "mutual"), client(pair("tlcp-eve", "eve", by=stray), ECC), 1, "unknown ca", "S:al48",
         "the client's certificates are by a root that the server does not know", reason="client_chain", side="client")
    case("broken_chain/tlcp-client-without-tongsuo", server(good, ECC, "mutual"), client("-", ECC), 1, "handshake failure", "S:al40", "the server demands certificates, the client has none",
         reason="client_cert_absent", side="client")
    case("broken_chain/tlcp-ecdhe-client-without-tongsuo", server(good, ECDHE), client("-", ECDHE), 1, "", "C:hs11 C:al80", "ECDHE takes certificates of both sides, the client has none",
         reason="client_cert_absent", side="client")
    N = dict(reason="san_mismatch")
    case("name_mismatch/tlcp-tongsuo", server(pair("tlcp-other", "shop.example.test"), ECC), client("-", ECC, *NAMED), 1, "certificate verify failed", "C:al42",
         "both certificates are of another host", **N)
    case("name_mismatch/tls13-sm2-tongsuo", server(pair("tlcp-other", "shop.example.test"), GCM13, "tls13"), client("-", GCM13, "tls13", *NAMED), 1, "certificate verify failed", "C:al42",
         "TLS 1.3 with an SM2 certificate of another host", visible=False, **N)

    # ---- no pair ----
    case("storage_permission/tlcp-no-pair-tongsuo", server("-", ECC), client("-", f"{ECC}:{CBC}:ECDHE-SM2-SM4-GCM-SM3:{ECDHE}", *NAMED), 1, "handshake failure", "S:al40", "the server speaks TLCP and has no certificates", reason="no_certificate_loaded", visible=False)

    # ---- nothing in common ----
    X = dict(reason="cipher_suite")
    case("protocol_version/tlcp-suite-tongsuo", server(good, ECC), client(alice, ECDHE), 1, "handshake failure", "S:al40", "the server speaks ECC_SM4_GCM_SM3 only, the client ECDHE_SM4_CBC_SM3", **X)

    # GM servers and international clients: what each client says to a server that speaks TLCP alone, or TLS 1.3 with SM2 alone.
    G = dict(reason="gm_only", side="server")
    ANY, BEFORE = tuple(range(1, 256)), dict(outcome="completed", cause=None, reason=None, side=None, visible=None)
    gm, mute, gm13 = server(good, ECC), server(good, ECC, "mute"), server(good, GCM13, "tls13")
    tlcp, sm2 = client("-", ECC, *NAMED), client("-", GCM13, "tls13", *NAMED)
    for name, made in dict(curl=curl(), curl12=curl("1.2"), gnutls=gnutls(), java=java(), nss=nss(), rustls=rustls(), go=go(), node=node(), openssl4=openssl4(), wget=wget()).items():
        case(f"protocol_version/gm-server-{name}", gm, made, ANY, "", "S:al40", "the server speaks TLCP alone, the client TLS", **G)
    for name, made in dict(curl=curl(), gnutls=gnutls(), java=java(), node=node("1.2")).items():
        case(f"protocol_version/gm-server-known-{name}", gm, [tlcp, made], [0, ANY], ["", ""], ["", "S:al40"],
             "the server speaks TLCP alone, to a client that does so too, and to one that speaks TLS", attempts=[BEFORE, {}], **G)
        case(f"protocol_version/gm-server-mute-known-{name}", mute, [tlcp, made], [0, ANY], ["", ""], ["", "hs1 S:FIN"],
             "the server speaks TLCP alone, to a client that does so too; on one that speaks TLS it closes", attempts=[BEFORE, {}], **G)
    case("protocol_version/gm-server-mute-curl", mute, curl(), ANY, "", "hs1 S:FIN", "the server speaks TLCP alone, and closes on a client that speaks TLS", visible=False, **G)
    case("protocol_version/sm2-tls13-server-curl", gm13, curl(), ANY, "", "S:al40", "the server has an SM2 certificate and SM4 suites of TLS 1.3 alone, the client has none of them", visible=False, **G)
    for name, made in dict(curl=curl(), java=java()).items():
        case(f"protocol_version/sm2-tls13-server-known-{name}", gm13, [sm2, made], [0, ANY], ["", ""], ["", "S:al40"],
             "the server has an SM2 certificate and SM4 suites of TLS 1.3 alone, to a client that has them too, and to one that has not", attempts=[BEFORE, {}], **G)

    # The reverse: a client that speaks TLCP alone.
    C = dict(reason="gm_only", side="client")
    sound = leaf("good")
    for name, made in {"nginx": nginx_cert(sound), "s-server": s_server(sound), "gnutls-serv": gnutls_serv(sound), "java": java_server(sound.p12), "node": node_server(sound),
                       "python": py_server(sound), "haproxy": haproxy(f"crt {sound.all}"), "stunnel": stunnel(sound), "rustls": rustls_server(sound),
                       "openssl4": openssl4_server(sound), "apache": apache(sound)}.items():
        case(f"protocol_version/tlcp-client-{name}", made, client("-", ECC, *NAMED), ANY, "", "", "the client speaks TLCP alone, the server TLS", **C)
    case("protocol_version/tlcp-client-known-stunnel", stunnel(sound), [curl(), client("-", ECC, *NAMED)], [(0, 52, 56), ANY], ["", ""], ["", ""], "the server speaks TLS to one client, the other speaks TLCP alone",
         attempts=[dict(outcome="completed", cause=None, reason=None, side=None, visible=None), {}], **C)

if __name__ == "__main__":
    main()
