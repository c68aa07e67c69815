#!/usr/bin/env python3
"""Captures in which a certificate is revoked, or its status could not be told."""
import sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as ser
from lab import case, main, Server, WORK
from pki import CA, TRUST, day, leaf
from revocation_answers import GOOD, REVOKED, UNKNOWN, answer
from stacks import *

URL, CRL = "http://ocsp.example.test/", "http://crl.example.test/ca1.crl"
DER = ser.Encoding.DER


def crl(id, gone, days=(-1, 6)):
    b = x509.CertificateRevocationListBuilder().issuer_name(CA.x509.subject).last_update(day(days[0])).next_update(day(days[1]))
    for c in gone:
        b = b.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(c.x509.serial_number).revocation_date(day(-3)).build())
    b = b.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(CA.privkey.public_key()), False).add_extension(x509.CRLNumber(7), False)
    signed = b.sign(CA.privkey, hashes.SHA256())
    (WORK / f"{id}.crl").write_bytes(signed.public_bytes(DER))
    (WORK / f"{id}.crl.pem").write_bytes(signed.public_bytes(ser.Encoding.PEM))
    return str(WORK / f"{id}.crl.pem")


def responder(file, late=0, port=80):
    return Server([sys.executable, PROGRAMS / "responder.py", file, str(late), str(port)], PYTHON.replace(" ssl", " HTTP responder"), port)


plain = leaf("plain", ocsp=URL, crl=CRL)
staple = leaf("must-staple", ocsp=URL, staple=True)
SEALED = r"C:23/19 C:FIN"

M = dict(reason="staple_missing")
why = "the leaf demands a stapled OCSP answer (must-staple) and the server sends none"
case("revocation/must-staple-nginx-gnutls-tls12", nginx_cert(staple, "1.2"), gnutls(), 1, "OCSP status", "C:al", why, **M)
case("revocation/must-staple-s-server-gnutls-tls12", s_server(staple, "1.2"), gnutls(), 1, "OCSP status", "C:al", why, **M)
case("revocation/must-staple-s-server-gnutls-tls13", s_server(staple), gnutls(), 1, "OCSP status", SEALED, why, visible=False, **M)

R = dict(reason="revoked")
why = "the stapled OCSP answer says that the leaf was revoked three days before the run"
gone = answer("gone", plain, REVOKED)
case("revocation/stapled-revoked-s-server-gnutls-tls12", s_server(plain, "1.2", ["-status_file", gone]), gnutls(), 1, "revoked", "C:al", why, **R)
case("revocation/stapled-revoked-s-server-gnutls-tls13", s_server(plain, None, ["-status_file", gone]), gnutls(), 1, "revoked", SEALED, why, visible=False, **R)
case("revocation/stapled-revoked-nginx-gnutls-tls12", nginx_cert(plain, "1.2", f"ssl_stapling on; ssl_stapling_file {gone};"), gnutls(), 1, "revoked", "C:al", why, **R)
case("revocation/stapled-revoked-nginx-curl-tls12", nginx_cert(plain, "1.2", f"ssl_stapling on; ssl_stapling_file {gone};"), curl(extra=["--cert-status"]), 91, "revocation reason: keyCompromise",
     "C:", why + "; curl --cert-status asks for it and closes after the handshake", **R)
case("revocation/stapled-stale-s-server-curl-tls12", s_server(plain, "1.2", ["-status_file", answer("stale", plain, GOOD, (-20, -6))]), curl(extra=["--cert-status"]), 91, "OCSP response has expired", "C:", "the stapled OCSP answer's nextUpdate was six days before the run; curl --cert-status demands a current one", reason="staple_stale")
case("revocation/staple-missing-curl-tls13", s_server(plain), curl(extra=["--cert-status"]), 91, "No OCSP response", "C:",
     "curl --cert-status demands a stapled answer and the server sends none", reason="staple_missing", visible=False)
case("revocation/stapled-unknown-nginx-curl-tls12", nginx_cert(plain, "1.2", f"ssl_stapling on; ssl_stapling_file {answer('unknown', plain, UNKNOWN)};"),
     curl(extra=["--cert-status", "-v"]), 91, "SSL certificate status: unknown", "C:", "the stapled OCSP answer says that the responder does not know the leaf", reason="status_unknown")

lists = crl("gone", [plain])
why = "the client has a CRL which lists the leaf as revoked"
case("revocation/crl-s-client-tls12", nginx_cert(plain, "1.2"), s_client(extra=["-crl_check", "-CRL", lists]), 1, "certificate revoked", "C:al44", why, **R)
case("revocation/crl-s-client-tls13", s_server(plain), s_client(extra=["-crl_check", "-CRL", lists]), 1, "certificate revoked", "C:al44", why, **R)
case("revocation/crl-curl-tls12", haproxy(f"crt {plain.all} ssl-max-ver TLSv1.2"), curl(extra=["--crlfile", crl("all", [plain])]), 60, "certificate revoked", "C:al", why, **R)
case("revocation/crl-download-s-client-tls12", s_server(plain, "1.2"), s_client(extra=["-crl_check", "-crl_download"], hold=1), 1, "certificate revoked", "C:al44",
     "the client fetches the CRL named in the leaf during the handshake and it lists the leaf", helpers=[responder(str(WORK / "gone.crl"))], **R)
case("revocation/crl-stale-s-client-tls12", s_server(plain, "1.2"), s_client(extra=["-crl_check", "-CRL", crl("stale", [], (-20, -6))]), 1, "CRL has expired", "C:al",
     "the client's CRL should have been renewed six days before the run", reason="crl_stale", side="client", visible=False)

hard = java(extra=["ocsp"])
why = "the client asks the responder named in the leaf and demands an answer"
index = WORK / "index.txt"
index.write_text(f"R\t{day(60):%y%m%d%H%M%SZ}\t{day(-3):%y%m%d%H%M%SZ},keyCompromise\t{plain.x509.serial_number:X}\tunknown\t/CN=www.example.test\n")
real = Server(["openssl", "ocsp", "-index", index, "-port", "80", "-rsigner", CA.crt, "-rkey", CA.key, "-CA", CA.crt, "-ndays", "7"], OPENSSL + " ocsp", 80)
case("revocation/ocsp-revoked-java-tls12", s_server(plain, "1.2"), hard, 1, "revoked", "C:al", why + "; it says revoked", helpers=[real], **R)
case("revocation/ocsp-revoked-java-tls13", s_server(plain), hard, 1, "revoked", r"C:23/35", why + "; it says revoked, in clear on port 80", helpers=[real], **R)
case("revocation/ocsp-down-java-tls12", s_server(plain, "1.2"), hard, 1, "Connection refused", "C:al", why + "; its port is closed", reason="responder_down")
later = WORK / "later.ocsp"
later.write_bytes(bytes.fromhex("30030a0103"))
case("revocation/ocsp-try-later-java-tls12", s_server(plain, "1.2"), hard, 1, "TRY_LATER", "C:al", why + "; it says tryLater", helpers=[responder(str(later))], reason="try_later")
case("revocation/ocsp-try-later-java-tls13", s_server(plain), hard, 1, "TRY_LATER", r"C:23/35", why + "; it says tryLater, in clear on port 80", helpers=[responder(str(later))],
     reason="try_later")
case("revocation/ocsp-unknown-java-tls12", s_server(plain, "1.2"), hard, 1, "revocation status is unknown", "C:al", why + "; it says that it does not know the leaf",
     helpers=[responder(answer("unknown2", plain, UNKNOWN))], reason="status_unknown")
case("revocation/ocsp-slow-java-tls12", s_server(plain, "1.2"), java(extra=["ocsp"], opts=["-Dcom.sun.security.ocsp.timeout=3"]), 1, "timed out", "C:al",
     why + " within three seconds; it takes eight", helpers=[responder(answer("good", plain, GOOD), 8)], reason="responder_slow")

def openssl_ocsp(index, port, signer=CA):
    return Server(["openssl", "ocsp", "-index", index, "-port", str(port), "-rsigner", signer.crt, "-rkey", signer.key, "-CA", CA.crt, "-ndays", "7"], OPENSSL + " ocsp", port)


def indexed(id, c, gone):
    path = WORK / f"{id}.index"
    path.write_text((f"R\t{day(60):%y%m%d%H%M%SZ}\t{day(-3):%y%m%d%H%M%SZ},superseded" if gone else f"V\t{day(60):%y%m%d%H%M%SZ}\t")
                    + f"\t{c.x509.serial_number:X}\tunknown\t/CN=www.example.test\n")
    return path


fetches = ["-crl_check", "-crl_download"]
case("revocation/crl-stale-download-s-client-tls12", s_server(plain, "1.2"), s_client(extra=fetches, hold=1), 1, "CRL has expired", "C:al",
     "the client fetches the CRL named in the leaf during the handshake; it should have been renewed six days before the run",
     helpers=[responder(crl("stale-list", [], (-20, -6)).replace(".pem", ""))], reason="crl_stale")
case("none/crl-download-s-client-tls12", s_server(plain, "1.2"), s_client(extra=fetches, hold=1), 0, "", "S:23",
     "the client fetches the CRL named in the leaf during the handshake; it is current and lists another certificate",
     helpers=[responder(crl("others", [staple]).replace(".pem", ""))])

elsewhere = leaf("elsewhere", ocsp="http://ocsp.example.test:8889/status", crl=CRL)
case("revocation/ocsp-post-other-port-gnutls-tls12", s_server(elsewhere, "1.2"), gnutls(extra=["--ocsp"], hold=1), 1, "revoked", "C:",
     "the client asks the responder named in the leaf, by POST on port 8889; it says that the leaf was revoked three days before the run",
     helpers=[openssl_ocsp(indexed("elsewhere", elsewhere, True), 8889)], **R)

delegate = leaf("delegate", subject="tlswhy lab OCSP", names=(), use=("ocsp",))
case("revocation/ocsp-delegated-java-tls12", s_server(plain, "1.2"), hard, 1, "revoked", "C:al", "the client asks the responder named in the leaf and demands an answer; it says revoked, signed by a responder that the CA entitled to",
     helpers=[openssl_ocsp(indexed("delegated", plain, True), 80, delegate)], **R)
case("none/ocsp-delegated-java-tls12", s_server(plain, "1.2"), java(extra=["ocsp"]), 0, "", "S:23", "the client asks the responder named in the leaf and demands an answer; it says good, signed by a responder that the CA entitled to",
     helpers=[openssl_ocsp(indexed("delegated-good", plain, False), 80, delegate)])
foreign = leaf("foreign", subject="tlswhy lab foreign", names=())
case("revocation/ocsp-foreign-signer-java-tls12", s_server(plain, "1.2"), hard, 1, "", "C:al", "the client asks the responder named in the leaf and demands an answer; it says good, signed with a server's certificate that is not for OCSPSigning",
     helpers=[openssl_ocsp(indexed("foreign", plain, False), 80, foreign)], reason="answer_untrusted")

if __name__ == "__main__":
    main()
