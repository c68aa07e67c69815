#!/usr/bin/env python3
"""Captures of TLCP by Tongsuo (the library inside the wheel tongsuopy): SM2 signatures of both sides, good and bad. The
certificates are made by OpenSSL. Without the wheel nothing is made; TLSWHY_TONGSUO names the library where it lies elsewhere."""
import base64, importlib.util, os, subprocess
from pathlib import Path
from lab import Client, PROGRAMS, Server, WORK, case, main
from pki import der, integer
from stacks import HOST, sys

wheel = importlib.util.find_spec("tongsuopy")
LIBRARY = os.environ.get("TLSWHY_TONGSUO") or next((str(p) for d in (wheel.submodule_search_locations if wheel else ())
                                                    for p in Path(d).glob("backends/_tongsuo*.so")), "")
TONGSUO = "Tongsuo of tongsuopy 1.0.1"
ID = "distid:1234567812345678"
CA = str(WORK / "tlcp-ca.pem")


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def key(path):
    openssl("ecparam", "-name", "SM2", "-genkey", "-noout", "-out", path)


def pair(name, subject, damaged=False):
    """Two certificates of one subject, for signatures and for encipherment, as TLCP wants them."""
    for kind, usage in (("sign", "digitalSignature"), ("enc", "keyEncipherment,dataEncipherment,keyAgreement")):
        path = WORK / f"{name}-{kind}"
        key(f"{path}.key")
        openssl("req", "-new", "-key", f"{path}.key", "-sm3", "-sigopt", ID, "-subj", f"/CN={subject}", "-out", f"{path}.csr")
        (WORK / f"{name}.ext").write_text(f"basicConstraints=CA:FALSE\nkeyUsage=critical,{usage}\nsubjectAltName=DNS:{subject}\n")
        openssl("x509", "-req", "-in", f"{path}.csr", "-CA", CA, "-CAkey", WORK / "tlcp-ca.key", "-CAcreateserial", "-sm3", "-sigopt", ID, "-vfyopt", ID,
                "-days", "3650", "-extfile", WORK / f"{name}.ext", "-out", f"{path}.pem")
    if damaged:                                            # a wrong scalar beside the true public point
        path = WORK / f"{name}-sign.key"
        data = base64.b64decode("".join(path.read_text().split("-----")[2].split()))
        scalar = data.index(b"\4\x20") + 2
        data = data[:scalar + 31] + bytes([data[scalar + 31] ^ 0x10]) + data[scalar + 32:]
        path.write_text(f"-----BEGIN EC PRIVATE KEY-----\n{base64.encodebytes(data).decode()}-----END EC PRIVATE KEY-----\n")
    return str(WORK / name)


def server(name, suite, *words):
    return Server([sys.executable, PROGRAMS / "tlcp.py", LIBRARY, "server", "443", CA, suite, name, *words], TONGSUO)


def client(name, suite):
    return Client([sys.executable, PROGRAMS / "tlcp.py", LIBRARY, "client", HOST, "443", CA, suite, name], TONGSUO)


if LIBRARY:
    key(WORK / "tlcp-ca.key")
    openssl("req", "-x509", "-new", "-key", WORK / "tlcp-ca.key", "-sm3", "-sigopt", ID, "-subj", "/CN=tlswhy lab TLCP root", "-days", "3650", "-out", CA)
    good, alice = pair("tlcp-good", HOST), pair("tlcp-alice", "alice")
    bad, mallory = pair("tlcp-bad", HOST, damaged=True), pair("tlcp-mallory", "mallory", damaged=True)
    ECC, ECDHE = "ECC-SM2-SM4-GCM-SM3", "ECDHE-SM2-SM4-CBC-SM3"
    case("none/tlcp-ecc-tongsuo", server(good, ECC, "mutual"), client(alice, ECC), 0, "", "", "near miss of bad SM2 signatures: both sides sign well")
    case("none/tlcp-ecdhe-tongsuo", server(good, ECDHE, "mutual"), client(alice, ECDHE), 0, "", "", "near miss of bad SM2 signatures, with ephemeral keys")
    H = dict(reason="bad_handshake_signature")
    why = "the server's signature key has a wrong scalar beside the true public point, so its signatures are bad"
    case("damaged_key/tlcp-wrong-scalar-ecc-tongsuo", server(bad, ECC), client("-", ECC), 1, "bad signature", "C:al51", why, **H)
    case("damaged_key/tlcp-wrong-scalar-ecdhe-tongsuo", server(bad, ECDHE, "mutual"), client(alice, ECDHE), 1, "bad signature", "C:al51", why, **H)
    case("damaged_key/tlcp-client-wrong-scalar-tongsuo", server(good, ECC, "mutual"), client(mallory, ECC), 1, "decrypt error", "S:al51",
         "the client's signature key has a wrong scalar beside the true public point, so its CertificateVerify is bad", side="client", **H)

if __name__ == "__main__":
    main()
