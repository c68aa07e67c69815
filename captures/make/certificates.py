#!/usr/bin/env python3
"""Captures whose certificates are at fault: their dates, chain, names, extensions, keys."""
from cryptography import x509
from cryptography.x509 import ObjectIdentifier as OID
from lab import Client, case, main
from pki import ROOT, CA, TRUST, authority, leaf, new_key, wrong_ec, wrong_rsa
from stacks import *

SEALED = r"C:23/19 C:FIN"           # an alert of TLS 1.3 which the wire hides
SEALED_JAVA = r"C:23/35"
AFTER_FINISHED = r"C:23/(53|69) (S:23/\d+ )*C:FIN"
good = leaf("good")

# ---- 1 expired_cert ----
old = leaf("expired", days=(-100, -10))
old_rsa = leaf("expired-rsa", key="rsa2048", days=(-400, -2))
why = "the leaf's notAfter was ten days before the run"
why_rsa = "the RSA leaf's notAfter was two days before the run"
E = dict(reason="leaf_expired")
case("expired_cert/curl-tls12", s_server(old, "1.2"), curl(), 60, "certificate has expired", "C:al45", why, **E)
case("expired_cert/curl-tls13", s_server(old), curl(), 60, "certificate has expired", "C:al45", why, **E)
case("expired_cert/python-nginx-tls12", nginx_cert(old_rsa, "1.2"), python(), 1, "certificate has expired", "C:al45", why_rsa, **E)
case("expired_cert/python-nginx-tls13", nginx_cert(old), python(), 1, "certificate has expired", "C:al45", why, **E)
case("expired_cert/s-client-rsa-kx-tls12", s_server(old_rsa, "1.2", ["-cipher", "AES128-GCM-SHA256"]), s_client(extra=["-cipher", "DEFAULT"]), 1,
     "certificate has expired", "C:al45", why_rsa + ", RSA key transport", **E)
case("expired_cert/gnutls-tls12", nginx_cert(old, "1.2"), gnutls(), 1, "expired", "C:al42", why, **E)
case("expired_cert/gnutls-tls13", gnutls_serv(old, "1.3"), gnutls(), 1, "expired", SEALED, why, visible=False, **E)
case("expired_cert/java-tls12", s_server(old, "1.2"), java(), 1, "NotAfter", "C:al45", why, **E)
case("expired_cert/java-tls13", java_server(old.p12, "1.3"), java(), 1, "NotAfter", SEALED_JAVA, why, visible=False, **E)
case("expired_cert/nss-tls12", s_server(old, "1.2"), nss(), 254, "expired", "C:21/26", why, **E)
case("expired_cert/nss-tls13", s_server(old), nss(), 254, "expired", SEALED, why, visible=False, **E)
case("expired_cert/node-tls12", node_server(old, "1.2"), node(), 1, "CERT_HAS_EXPIRED", "C:FIN", why, **E)
case("expired_cert/node-tls13", node_server(old), node(), 1, "CERT_HAS_EXPIRED", "C:FIN", why, visible=False, **E)
case("expired_cert/wget-tls12", nginx_cert(old, "1.2"), wget(), 5, "expired", "C:FIN", why, **E)
case("expired_cert/wget-tls13", nginx_cert(old, "1.3"), wget(), 5, "expired", AFTER_FINISHED, why, visible=False, **E)
case("expired_cert/curl-haproxy-tls13", haproxy(f"crt {old.all}"), curl(), 60, "certificate has expired", "C:al45", why, **E)
case("expired_cert/curl-ipv6-tls12", s_server(leaf("expired6", names=("six.example.test",), days=(-100, -10)), "1.2"),
     curl(url="https://six.example.test/"), 60, "certificate has expired", "C:al45", why + "; over IPv6", **E)
case("expired_cert/two-clients-tls12-tls13", s_server(old), [curl("1.2"), gnutls("1.3")], [60, 1], ["has expired", "expired"], ["C:al45", SEALED],
     why + "; the second client meets the certificate that the first one saw in clear, then seals its alert",
     attempts=[E, dict(visible=False, **E)])
case("expired_cert/retry-pcapng-tls12", nginx_cert(old_rsa, "1.2"), [curl(extra=["--retry", "1", "--retry-all-errors", "--retry-delay", "1"])], 60,
     "certificate has expired", ["C:al45", "C:al45"], why_rsa + "; curl tries twice", suffix=".pcapng", **E)

old_ca = authority("old-ca", "tlswhy lab CA 2", ROOT, days=(-900, -20))
under_old = leaf("under-old-ca", old_ca)
why = "the intermediate's notAfter was twenty days before the run, the leaf is valid"
I = dict(reason="intermediate_expired")
case("expired_cert/intermediate-curl-tls12", nginx_cert(under_old, "1.2"), curl(), 60, "certificate has expired", "C:al45", why, **I)
case("expired_cert/intermediate-s-client-tls13", nginx_cert(under_old), s_client(), 1, "certificate has expired", "C:al45", why, **I)
case("expired_cert/intermediate-gnutls-tls12", gnutls_serv(under_old, "1.2"), gnutls(), 1, "expired", "C:al42", why, **I)
case("expired_cert/intermediate-java-tls12", s_server(under_old, "1.2"), java(), 1, "NotAfter", "C:al45", why, **I)

old_root = authority("old-root", "tlswhy lab old root", None, days=(-4000, -15), pathlen=None, aki=False)
under_old_root = leaf("under-old-root", old_root, chain=[old_root.x509])
case("expired_cert/root-curl-tls12", s_server(under_old_root, "1.2"), curl(ca=old_root.crt), 60, "certificate has expired", "C:al45",
     "the server sends its own root, which the client trusts and which ended fifteen days before the run", reason="root_expired")

old_client = leaf("old-client", subject="alice", names=(), use=("client",), days=(-100, -10))
AUTH = ["-Verify", "2", "-verify_return_error", "-CAfile", TRUST]
why = "the client's certificate had ended ten days before the run and the server demands one"
C = dict(reason="client_cert_expired", side="client")
case("expired_cert/client-cert-curl-tls12", s_server(good, "1.2", AUTH), curl(extra=["--cert", old_client.chain, "--key", old_client.key]), 60,
     "SSL certificate verification failed", "S:al45", why, **C)
case("expired_cert/client-cert-python-tls12", s_server(good, "1.2", AUTH), python(extra=[f"cert={old_client.chain}", f"key={old_client.key}"]), 1,
     "CERTIFICATE_EXPIRED", "S:al45", why, **C)
case("expired_cert/client-cert-java-tls12", java_server(good.p12, "1.2", [f"need={TRUST}"]),
     curl(extra=["--cert", old_client.chain, "--key", old_client.key]), 35, "alert certificate unknown", "S:al46", why, **C)
case("expired_cert/client-cert-curl-tls13", s_server(good, "1.3", AUTH), curl(extra=["--cert", old_client.chain, "--key", old_client.key]), 56,
     "alert certificate expired", "S:23/19 (S|C):FIN", why, visible=False, **C)

# ---- 2 broken_chain ----
alone = leaf("alone", chain=[])
why = "the server sends the leaf without its intermediate"
M = dict(reason="missing_intermediate")
case("broken_chain/missing-intermediate-curl-tls12", nginx_cert(alone, "1.2"), curl(), 60, "unable to get local issuer certificate", "C:al48", why, **M)
case("broken_chain/missing-intermediate-s-client-tls13", s_server(alone), s_client(), 1, "unable to get local issuer", "C:al48", why, **M)
case("broken_chain/missing-intermediate-java-tls12", node_server(alone, "1.2"), java(), 1, "unable to find valid certification path", "C:al46", why, **M)
case("broken_chain/missing-intermediate-gnutls-tls12", gnutls_serv(alone, "1.2"), gnutls(), 1, "NOT trusted", "C:al42", why, **M)
case("broken_chain/missing-intermediate-wget-tls13", nginx_cert(alone, "1.3"), wget(), 5, "ERROR", AFTER_FINISHED, why, visible=False, **M)
case("broken_chain/missing-intermediate-nss-tls13", s_server(alone), nss(), 254, "issuer", SEALED, why, visible=False, **M)

stranger = authority("stranger", "Unknown Ltd root", None, pathlen=None, aki=False)
stranger_ca = authority("stranger-ca", "Unknown Ltd CA", stranger)
under_stranger = leaf("under-stranger", stranger_ca)
why = "the chain ends at a root that the client does not have"
U = dict(reason="unknown_root")
case("broken_chain/unknown-root-python-tls12", nginx_cert(under_stranger, "1.2"), python(), 1, "unable to get local issuer", "C:al48", why, **U)
case("broken_chain/unknown-root-curl-tls13", haproxy(f"crt {under_stranger.all}"), curl(), 60, "unable to get local issuer", "C:al48", why, **U)
case("broken_chain/unknown-root-nss-tls12", s_server(under_stranger, "1.2"), nss(), 254, "issuer", "C:21/26", why, **U)
case("broken_chain/unknown-root-gnutls-tls13", gnutls_serv(under_stranger), gnutls(), 1, "NOT trusted", SEALED, why, visible=False, **U)
case("broken_chain/public-roots-curl-tls12", nginx_cert(good, "1.2"), curl(ca=None), 60, "unable to get local issuer", "C:al48",
     "the client has the public roots only, the server a certificate of a private root", trust="mozilla", **U)
case("broken_chain/root-sent-curl-tls12", s_server(leaf("root-sent", stranger_ca, chain=[stranger_ca.x509, stranger.x509]), "1.2"), curl(), 60,
     "self-signed certificate in certificate chain", "C:al48", "the server sends its unknown root too", **U)

own = leaf("self-signed", None, ca=None)
own_rsa = leaf("self-signed-rsa", None, key="rsa2048", ca=True, key_usage=("digital_signature", "key_encipherment", "key_cert_sign"))
why = "the leaf is signed by itself"
S = dict(reason="self_signed")
case("broken_chain/self-signed-curl-tls12", nginx_cert(own, "1.2"), curl(), 60, "self-signed certificate", "C:al48", why, **S)
case("broken_chain/self-signed-ca-curl-tls12", stunnel(own_rsa, "sslVersion = TLSv1.2"), curl(), 60, "self-signed certificate", "C:al48", why + " and marked as a CA", **S)
case("broken_chain/self-signed-java-tls13", node_server(own), java(), 1, "unable to find valid certification path", SEALED_JAVA, why, visible=False, **S)
case("broken_chain/self-signed-java-tls12", java_server(own.p12, "1.2"), java(), 1, "unable to find valid certification path", "C:al46", why, **S)
case("broken_chain/self-signed-node-tls12", py_server(own, "1.2"), node(), 1, "DEPTH_ZERO_SELF_SIGNED_CERT", "C:FIN", why, **S)
case("broken_chain/self-signed-s-client-tls13", py_server(own), s_client(), 1, "self-signed certificate", "C:al48", why, **S)

not_ca = authority("not-ca", "tlswhy lab CA 3", ROOT, ca=False, pathlen=None, use=(), key_usage=("digital_signature",))
under_not_ca = leaf("under-not-ca", not_ca)
case("broken_chain/not-a-ca-s-client-tls12", s_server(under_not_ca, "1.2"), s_client(), 1, "invalid CA certificate", "C:al48",
     "the intermediate has CA:FALSE", reason="not_a_ca")
case("broken_chain/not-a-ca-gnutls-tls12", s_server(under_not_ca, "1.2"), gnutls(), 1, "NOT trusted", "C:al42", "the intermediate has CA:FALSE", reason="not_a_ca")
deep = authority("deep", "tlswhy lab CA 4", CA)
case("broken_chain/path-too-long-curl-tls12", nginx_cert(leaf("under-deep", deep), "1.2"), curl(), 60, "path length constraint exceeded", "C:al48",
     "an intermediate with path length 0 has another CA below it", reason="path_too_long")

why = "the server demands a client certificate and the client has none"
A = dict(reason="client_cert_absent", side="client")
case("broken_chain/client-cert-absent-curl-tls12", s_server(good, "1.2", AUTH), curl(), 35, "alert handshake failure", "S:al40", why, **A)
case("broken_chain/client-cert-absent-java-tls12", java_server(good.p12, "1.2", [f"need={TRUST}"]), curl(), 35, "alert ", "S:al4[02]", why, **A)   # Java 17.0.15 says 42, 17.0.21 says 40
case("broken_chain/client-cert-absent-python-gnutls-tls12", py_server(good, "1.2", [f"clients={TRUST}"]), gnutls(), 1, "Received alert [40]", "S:al40", why, **A)
case("broken_chain/client-cert-absent-curl-tls13", s_server(good, "1.3", AUTH), curl(), 56, "alert certificate required", "S:23/19 (S|C):FIN", why, visible=False, **A)
case("broken_chain/client-cert-absent-gnutls-tls13", gnutls_serv(good, "1.3", ["--require-client-cert", "--x509cafile", TRUST]), curl(), 56, "alert certificate required", "S:23/19 (S|C):FIN",
     why, visible=False, **A)
bob = leaf("bob", stranger_ca, subject="bob", names=(), use=("client",))
case("broken_chain/client-chain-curl-tls12", s_server(good, "1.2", AUTH), curl(extra=["--cert", bob.chain, "--key", bob.key]), 35, "alert unknown ca", "S:al48",
     "the client's certificate is under a root that the server does not have", reason="client_chain", side="client")
case("broken_chain/client-chain-haproxy-tls12", haproxy(f"crt {good.all} ca-file {TRUST} verify required ssl-max-ver TLSv1.2"),
     curl(extra=["--cert", bob.chain, "--key", bob.key]), 35, "alert unknown ca", "S:al48",
     "the client's certificate is under a root that the server does not have", reason="client_chain", side="client")

# ---- 7 name_mismatch ----
other = leaf("other", subject="intranet.example.test", names=("intranet.example.test", "wiki.example.test"))
why = "the certificate names intranet and wiki.example.test, the client asked for www.example.test"
N = dict(reason="san_mismatch")
case("name_mismatch/python-tls12", nginx_cert(other, "1.2"), python(), 1, "Hostname mismatch", "C:al42", why, **N)
case("name_mismatch/python-tls13", nginx_cert(other), python(), 1, "Hostname mismatch", "C:al42", why, visible=False, **N)
case("name_mismatch/s-client-tls12", s_server(other, "1.2"), s_client(), 1, "ostname mismatch", "C:al42", why, **N)
case("name_mismatch/curl-tls12", nginx_cert(other, "1.2"), curl(), 60, "no alternative certificate subject name matches", "C:FIN",
     why + "; curl completes the handshake and closes without a request", **N)
case("name_mismatch/curl-tls13", nginx_cert(other), curl(), 60, "no alternative certificate subject name matches", "C:FIN",
     why + "; curl completes the handshake and closes without a request", visible=False, **N)
case("name_mismatch/java-tls12", s_server(other, "1.2"), java(), 1, "No subject alternative DNS name matching", "C:al46", why, **N)
case("name_mismatch/java-tls13", s_server(other), java(), 1, "No subject alternative DNS name matching", SEALED_JAVA, why, visible=False, **N)
case("name_mismatch/gnutls-tls12", gnutls_serv(other, "1.2"), gnutls(), 1, "does not match", "C:al42", why, **N)
case("name_mismatch/nss-tls12", s_server(other, "1.2"), nss(), 254, "does not match", "C:21/26", why, **N)
case("name_mismatch/node-tls12", node_server(other, "1.2"), node(), 1, "ERR_TLS_CERT_ALTNAME_INVALID", "C:FIN", why, **N)
case("name_mismatch/wget-tls12", nginx_cert(other, "1.2"), wget(), 5, "does not match", "C:FIN", why, **N)
case("name_mismatch/ip-curl-tls12", nginx_cert(good, "1.2"), curl(url="https://198.51.100.20/"), 60, "no alternative certificate subject name matches", "C:FIN",
     "the client asked for the address 198.51.100.20, the certificate names www.example.test only", reason="ip_not_in_san")
case("name_mismatch/ip-python-tls12", s_server(good, "1.2"), python(host="198.51.100.20"), 1, "IP address mismatch", "C:al42",
     "the client asked for the address 198.51.100.20, the certificate names www.example.test only", reason="ip_not_in_san")
wild = leaf("wild", subject="*.example.test", names=("*.example.test", "example.test"))
W = dict(reason="wildcard_depth")
why = "the certificate names *.example.test, the client asked for a.b.example.test"
case("name_mismatch/wildcard-python-tls12", nginx_cert(wild, "1.2"), python(host="a.b.example.test"), 1, "Hostname mismatch", "C:al42", why, **W)
case("name_mismatch/wildcard-gnutls-tls12", gnutls_serv(wild, "1.2"), gnutls(host="a.b.example.test"), 1, "does not match", "C:al42", why, **W)
IDN, UNICODE = "xn--bcher-kva.example.test", "bücher.example.test"
spelled, unspelled = leaf("idn", names=(IDN,)), leaf("idn-unicode", names=(UNICODE,))
why = f"the certificate names {UNICODE} in UTF-8 instead of A-labels, the client asked for {IDN}"
A = dict(reason="idn_not_a_label")
case("name_mismatch/idn-unicode-san-s-client-tls12", s_server(unspelled, "1.2"), s_client(host=IDN), 1, "ostname mismatch", "C:al42", why, **A)
case("name_mismatch/idn-unicode-san-python-tls12", nginx_cert(unspelled, "1.2"), python(host=UNICODE), 1, "Hostname mismatch", "C:al42", why, **A)
case("name_mismatch/idn-unicode-san-curl-tls12", nginx_cert(unspelled, "1.2"), curl(url=f"https://{UNICODE}/", env={"LC_ALL": "C.UTF-8"}), 60,
     "no alternative certificate subject name matches", "C:FIN", why + "; curl completes the handshake and closes without a request", **A)
AS_SENT = ["-servername", UNICODE, "-verify_hostname", UNICODE]
case("name_mismatch/idn-unicode-sni-s-client-tls12", s_server(spelled, "1.2"), s_client(extra=AS_SENT), 1, "ostname mismatch", "C:al42",
     f"the certificate names {IDN}, the client asked for {UNICODE} in UTF-8 instead of A-labels", side="client", **A)
case("none/idn-curl-tls12", nginx_cert(spelled, "1.2"), curl(url=f"https://{UNICODE}/", env={"LC_ALL": "C.UTF-8"}), 0, "200", "C:ccs .*S:ccs .*C:23/",
     f"the certificate names {IDN}; curl spells {UNICODE} so")
case("none/idn-unicode-both-s-client-tls12", s_server(unspelled, "1.2"), s_client(extra=AS_SENT), 0, "", "C:ccs .*S:ccs .*C:23/",
     f"the certificate names {UNICODE} in UTF-8, the client asks for it so: OpenSSL compares octets")
cn_only = leaf("cn-only", names=())
case("name_mismatch/no-san-python-tls12", nginx_cert(cn_only, "1.2"), python(extra=["no-cn"]), 1, "Hostname mismatch", "C:al42",
     "the certificate has the name as CN only and no SAN; the client looks at the SAN only, as urllib3 2 does", reason="no_san")
case("name_mismatch/no-san-python-tls13", s_server(cn_only), python(extra=["no-cn"]), 1, "Hostname mismatch", "C:al42",
     "the certificate has the name as CN only and no SAN; the client looks at the SAN only, as urllib3 2 does", reason="no_san", visible=False)
vhosts = lambda default: nginx(f"server {{ listen 443 ssl default_server; ssl_protocols TLSv1.2; {default} }} "
                               f"server {{ listen 443 ssl; server_name www.example.test; ssl_certificate {good.chain}; ssl_certificate_key {good.key}; }}")
case("name_mismatch/default-certificate-python-tls12", vhosts(f"ssl_certificate {other.chain}; ssl_certificate_key {other.key};"),
     [python(), python(host="shop.example.test")], [0, 1], ["200", "Hostname mismatch"], ["C:FIN", "C:al42"],
     "nginx has a host www and a default host with another certificate; shop has no host of its own",
     attempts=[dict(outcome="completed", cause=None, reason=None, side=None, visible=None), dict(reason="default_certificate")])
case("name_mismatch/unrecognized-name-nginx-tls12", vhosts("ssl_reject_handshake on;"), curl(url="https://shop.example.test/"), 35, "unrecognized name", "S:al112",
     "nginx has a host www and rejects handshakes for other names (ssl_reject_handshake)", reason="unrecognized_name")
case("name_mismatch/unrecognized-name-haproxy-tls13", haproxy(f"crt {good.all} strict-sni"), curl(url="https://shop.example.test/"), 35, "unrecognized name", "S:al",
     "haproxy with strict-sni has a certificate for www only", reason="unrecognized_name")
case("name_mismatch/unrecognized-name-java-tls12", java_server(good.p12, "1.2", ["sni=www.example.test"]), curl(url="https://shop.example.test/"), 35,
     "unrecognized name", "S:al112", "the Java server accepts the name www.example.test only", reason="unrecognized_name")
case("name_mismatch/unrecognized-name-java-tls13", java_server(good.p12, "1.3", ["sni=www.example.test"]), gnutls(host="shop.example.test"), 1, "Received alert [112]", "S:al112", "the Java server accepts the name www.example.test only", reason="unrecognized_name")

# ---- 9 damaged_key ----
flip = leaf("flip", flip=True)
flip_rsa = leaf("flip-rsa", key="rsa2048", flip=True)
why = "one bit of the signature in the leaf is flipped"
B = dict(reason="bad_certificate_signature")
case("damaged_key/leaf-signature-curl-tls12", nginx_cert(flip, "1.2"), curl(), 35, "EVP lib", "C:al51", why, **B)
case("damaged_key/leaf-signature-s-client-tls13", s_server(flip_rsa), s_client(), 1, "certificate signature failure", "C:al51", why, **B)
case("damaged_key/leaf-signature-java-tls12", s_server(flip, "1.2"), java(), 1, "signature", "C:al42", why, **B)
case("damaged_key/leaf-signature-gnutls-tls12", gnutls_serv(flip, "1.2"), gnutls(), 1, "signature", "C:al42", why, **B)
case("damaged_key/leaf-signature-nss-tls13", s_server(flip), nss(), 254, "SEC_ERROR_BAD_SIGNATURE", SEALED, why, visible=False, **B)
flip_ca = authority("flip-ca", "tlswhy lab CA 5", ROOT, flip=True)
case("damaged_key/intermediate-signature-python-tls12", nginx_cert(leaf("under-flip", flip_ca), "1.2"), python(), 1, "certificate signature failure", "C:al51",
     "one bit of the signature in the intermediate is flipped", **B)
impostor = leaf("impostor", signer=new_key("ec"))
case("damaged_key/wrong-issuer-key-curl-tls12", s_server(impostor, "1.2"), curl(), 35, "EVP lib", "C:al51",
     "the leaf names the intermediate's name and key as issuer but another key signed it", **B)

bad_rsa, bad_ec = wrong_rsa(leaf("bad-rsa", key="rsa2048")), wrong_ec(leaf("bad-ec"))
H = dict(reason="bad_handshake_signature")
why = "the server's key file has a wrong private exponent beside the true modulus, so its signatures are bad"
case("damaged_key/wrong-exponent-nginx-curl-tls12", nginx_cert(bad_rsa, "1.2"), curl(), 35, "octet invalid", "C:al51", why, **H)
case("damaged_key/wrong-exponent-nginx-s-client-tls13", nginx_cert(bad_rsa), s_client(), 1, "bad signature", "C:al51", why, **H)
why = "the server's key file has a wrong scalar beside the true public point, so its signatures are bad"
case("damaged_key/wrong-scalar-s-server-curl-tls12", s_server(bad_ec, "1.2"), curl(), 35, "bad signature", "C:al51", why, **H)
case("damaged_key/wrong-scalar-s-server-gnutls-tls12", s_server(bad_ec, "1.2"), gnutls(), 1, "Public key signature verification has failed", "C:al", why, **H)
case("damaged_key/wrong-scalar-s-server-java-tls12", s_server(bad_ec, "1.2"), java(), 1, "ignature", "C:al", why, **H)
case("damaged_key/wrong-scalar-s-server-node-tls13", s_server(bad_ec), node(), 1, "bad signature", "C:FIN", why + "; node closes without an alert", visible=False, **H)
case("damaged_key/wrong-scalar-haproxy-python-tls13", haproxy(f"crt {bad_ec.all_with(bad_ec.key)}"), python(), 1, "BAD_SIGNATURE", "C:al51", why, **H)
K = dict(reason="key_mismatch")
why = "the server's key store pairs its certificate with the key of another one"
alien = leaf("alien")
case("damaged_key/key-mismatch-java-curl-tls12", java_server(good.p12, "1.2", [f"wrongkey={alien.p12}"]), curl(), 35, "bad signature", "C:al51", why, **K)
case("damaged_key/key-mismatch-java-python-tls13", java_server(good.p12, "1.3", [f"wrongkey={alien.p12}"]), python(), 1, "BAD_SIGNATURE", "C:al51", why, **K)
case("damaged_key/key-mismatch-java-java-tls12", java_server(good.p12, "1.2", [f"wrongkey={alien.p12}"]), java(), 1, "ignature", "C:al", why, **K)
if RUSTLS:
    for client, run, code, says, wire, sealed in (
            ("curl", curl, 35, "bad signature", "C:al51", "C:al51"), ("python", python, 1, "BAD_SIGNATURE", "C:al51", "C:al51"), ("java", java, 1, "ignature", "C:al", SEALED_JAVA),
            ("gnutls", gnutls, 1, "signature verification has failed", "C:al", "C:(ccs C:)?23/19"), ("rustls", rustls, 1, "BadSignature", "C:al51", "C:(ccs C:)?23/19"),
            ("go", GO and go, 1, "signature", "C:al", "C:(ccs C:)?23/19"), ("openssl4", OPENSSL4 and openssl4, 1, "bad signature", "C:al51", "C:al51"),
            ("node", node, 1, "bad signature", "C:", "C:")):
        for tls in ("1.2", "1.3"):
            if run:
                case(f"damaged_key/key-mismatch-rustls-{client}-tls{tls.replace('.', '')}", rustls_server(good, tls, key=alien.key), run(), code, says, wire if tls == "1.2" else sealed,
                     why, visible=tls == "1.2" or "al51" in sealed, **K)
weak = leaf("weak", key="rsa1024")
why = "the leaf's RSA key has 1024 bits, the client demands 2048"
case("damaged_key/weak-key-curl-tls12", s_server(weak, "1.2", ["-cipher", "DEFAULT@SECLEVEL=0"]), curl(), 60, "EE certificate key too weak", "C:al42", why, reason="weak_key")
case("damaged_key/weak-key-python-tls13", s_server(weak, None, ["-cipher", "DEFAULT@SECLEVEL=0"]), python(), 1, "EE certificate key too weak", "C:al42", why,
     reason="weak_key", visible=False)
junk = x509.UnrecognizedExtension(OID("2.5.29.17"), bytes.fromhex("3082ffff820f7777"))
torn = leaf("torn", key="rsa2048", names=(), extra=[(junk, False)])
why = "the value of the leaf's subjectAltName is no valid DER: its length runs past the end"
case("damaged_key/decode-error-curl-tls12", s_server(torn, "1.2"), curl(), 35, "invalid certificate", "C:al", why, reason="decode_error")
case("damaged_key/decode-error-gnutls-tls12", s_server(torn, "1.2"), gnutls(), 1, "Error in the certificate", "C:al", why, reason="decode_error")

# ---- 11 validity_misconfig ----
early = leaf("early", days=(20, 110))
why = "the leaf's notBefore is twenty days after the run"
Y = dict(reason="not_yet_valid")
case("validity_misconfig/not-yet-valid-curl-tls12", nginx_cert(early, "1.2"), curl(), 60, "certificate is not yet valid", "C:al42", why, **Y)
case("validity_misconfig/not-yet-valid-python-tls13", nginx_cert(early), python(), 1, "certificate is not yet valid", "C:al42", why, visible=False, **Y)
case("validity_misconfig/not-yet-valid-gnutls-tls12", gnutls_serv(early, "1.2"), gnutls(), 1, "not yet", "C:al42", why, **Y)
case("validity_misconfig/not-yet-valid-java-tls12", java_server(early.p12, "1.2"), java(), 1, "NotBefore", "C:al42", why, **Y)
case("validity_misconfig/not-yet-valid-java-tls13", java_server(early.p12, "1.3"), java(), 1, "NotBefore", SEALED_JAVA, why, visible=False, **Y)
case("validity_misconfig/not-yet-valid-nss-tls12", s_server(early, "1.2"), nss(), 254, "SEC_ERROR_EXPIRED_CERTIFICATE", "C:21/26", why, **Y)
case("validity_misconfig/not-yet-valid-nss-tls13", s_server(early), nss(), 254, "SEC_ERROR_EXPIRED_CERTIFICATE", SEALED, why, visible=False, **Y)
case("validity_misconfig/not-yet-valid-node-tls13", node_server(early), node(), 1, "CERT_NOT_YET_VALID", "C:FIN", why, visible=False, **Y)
soon_ca = authority("soon-ca", "tlswhy lab CA 6", ROOT, days=(3, 2000))
case("validity_misconfig/intermediate-not-yet-valid-curl-tls12", s_server(leaf("under-soon", soon_ca), "1.2"), curl(), 60, "certificate is not yet valid", "C:al42",
     "the intermediate's notBefore is three days after the run", **Y)
K = dict(reason="client_clock", side="client")
case("validity_misconfig/client-clock-behind-curl-tls12", nginx_cert(good, "1.2"), curl(fake="2021-01-01 12:00:00"), 60, "certificate is not yet valid", "C:al42",
     "the certificate is good; the client's clock stands at January 2021 (libfaketime)", **K)
case("validity_misconfig/client-clock-behind-s-client-tls13", nginx_cert(good), s_client(extra=["-attime", "1609502400"]), 1, "certificate is not yet valid", "C:al42",
     "the certificate is good; the client verifies as of January 2021 (-attime)", visible=False, **K)
case("validity_misconfig/client-clock-ahead-python-tls12", nginx_cert(good, "1.2"), python(fake="2035-01-01 12:00:00"), 1, "certificate has expired", "C:al45",
     "the certificate is good; the client's clock stands at January 2035 (libfaketime)", **K)
case("validity_misconfig/client-clock-ahead-curl-tls13", nginx_cert(good), curl(fake="2035-01-01 12:00:00"), 60, "certificate has expired", "C:al45",
     "the certificate is good; the client's clock stands at January 2035 (libfaketime)", visible=False, **K)
api = leaf("api", subject="api.example.test", names=("api.example.test",), key="rsa2048")
case("validity_misconfig/client-clock-two-servers-tls12",
     nginx(f"server {{ listen 198.51.100.20:443 ssl; ssl_protocols TLSv1.2; ssl_certificate {good.chain}; ssl_certificate_key {good.key}; }} "
           f"server {{ listen 198.51.100.21:443 ssl; ssl_protocols TLSv1.2; ssl_certificate {api.chain}; ssl_certificate_key {api.key}; }}"),
     [curl(fake="2021-01-01 12:00:00"), curl(fake="2021-01-01 12:00:00", url="https://api.example.test/")], [60, 60], ["not yet valid"] * 2, ["C:al42"] * 2,
     "both servers' certificates are good; the client's clock stands at January 2021 (libfaketime)", attempts=[K, K])
alice = leaf("alice", subject="alice", names=(), use=("client",))
case("validity_misconfig/server-clock-curl-tls12", s_server(good, "1.2", AUTH, fake="2021-01-01 12:00:00"), curl(extra=["--cert", alice.chain, "--key", alice.key]), 35,
     "alert bad certificate", "S:al42", "the client's certificate is good; the server's clock stands at January 2021 (libfaketime)", reason="server_clock")
pause = Client(["sleep", "3"], "")
plain = [curl(url="http://198.51.100.20/"), curl(url="http://198.51.100.30/")]
dates = "; the dates of HTTP answers show the server's"
right = nginx("server { listen 198.51.100.30:80; }", 80)
if OPENSSL4:
    late = openssl4("1.2", extra=["time"], fake="5 years ago")
    case("validity_misconfig/client-clock-told-openssl4-tls12",
         nginx(f"server {{ listen 80; }} server {{ listen 443 ssl; ssl_protocols TLSv1.2; ssl_certificate {good.chain}; ssl_certificate_key {good.key}; }}"),
         [plain[0], late, pause, late], [0, 1, 0, 1], ["200", "not yet valid", "", "not yet valid"], ["C:al42"] * 2,
         "the certificate is good; the client's clock is five years behind (libfaketime), and its hellos tell it" + dates, attempts=[K, K])
case("validity_misconfig/server-clock-dated-curl-tls12", s_server(good, "1.2", AUTH, fake="5 years ago"),
     plain + [curl(extra=["--cert", alice.chain, "--key", alice.key])], [0, 0, 35], ["200", "200", "alert bad certificate"], "S:al42",
     "the client's certificate is good; the server's clock is five years behind (libfaketime)" + dates + ", and another's", reason="server_clock",
     helpers=[dated("5 years ago"), right])
NAMED = nginx(f"server {{ listen 80; }} server {{ listen 443 ssl; ssl_protocols TLSv1.2; ssl_certificate {api.chain}; ssl_certificate_key {api.key}; }}")
case("name_mismatch/capture-clock-behind-python-tls12", NAMED, plain + [python()], [0, 0, 1], ["200", "200", "Hostname mismatch"], "C:al42",
     "the leaf names api.example.test only, the client asked for www.example.test; the capturing host's clock is five years behind (editcap -t)"
     "; the dates of HTTP answers show it", reason="san_mismatch", clock=-157766400)
inverted = leaf("inverted", days=(-5, -370))
inverted2 = leaf("inverted2", days=(60, -30))
case("validity_misconfig/inverted-curl-tls12", s_server(inverted, "1.2"), curl(), 60, "certificate has expired", "C:al45",
     "the leaf's notAfter is a year before its notBefore, both in the past", reason="lifetime_inverted")
case("validity_misconfig/inverted-gnutls-tls12", s_server(inverted2, "1.2"), gnutls(), 1, "not yet valid", "C:al42",
     "the leaf's notBefore and notAfter are exchanged", reason="lifetime_inverted")

# ---- 12 missing_extension ----
client_only = leaf("client-only", use=("client",))
why = "the leaf's extended key usage is clientAuth only"
X = dict(reason="eku_lacks_server_auth")
case("missing_extension/eku-curl-tls12", nginx_cert(client_only, "1.2"), curl(), 60, "unsuitable certificate purpose", "C:al43", why, **X)
case("missing_extension/eku-s-client-tls13", s_server(client_only), s_client(), 1, "unsuitable certificate purpose", "C:al43", why, **X)
case("missing_extension/eku-java-tls12", s_server(client_only, "1.2"), java(), 1, "xtended key usage", "C:al46", why, **X)
case("missing_extension/eku-java-tls13", s_server(client_only), java(), 1, "xtended key usage", SEALED_JAVA, why, visible=False, **X)
case("missing_extension/eku-gnutls-tls12", gnutls_serv(client_only, "1.2"), gnutls(), 1, "does not match the intended purpose", "C:al42", why, **X)
case("missing_extension/eku-nss-tls12", s_server(client_only, "1.2"), nss(), 254, "SEC_ERROR_INADEQUATE_CERT_TYPE", "C:21/26", why, **X)
case("missing_extension/eku-node-tls12", node_server(client_only, "1.2"), node(), 1, "INVALID_PURPOSE", "C:FIN", why, **X)
server_only = leaf("server-only", subject="carol", names=())
case("missing_extension/eku-client-curl-tls12", s_server(good, "1.2", AUTH), curl(extra=["--cert", server_only.chain, "--key", server_only.key]), 35,
     "alert unsupported certificate", "S:al43", "the client's certificate has extended key usage serverAuth only", reason="eku_lacks_client_auth", side="client")
agree = leaf("agree", key_usage=("key_agreement",))
why = "the ECDSA leaf's key usage has keyAgreement and lacks digitalSignature"
case("missing_extension/key-usage-curl-tls12", s_server(agree, "1.2"), curl(), 35, "alert handshake failure", "S:al40", why, reason="key_usage", visible=False)
certs_only = leaf("certs-only", key_usage=("key_cert_sign", "crl_sign"))
case("missing_extension/key-usage-curl-tls13", s_server(certs_only), curl(), 60, "unsuitable certificate purpose", "C:al43",
     "the ECDSA leaf's key usage has keyCertSign and cRLSign only", reason="key_usage")
case("missing_extension/key-usage-gnutls-tls13", s_server(certs_only), gnutls(), 1, "Key usage violation", SEALED, "the ECDSA leaf's key usage has keyCertSign and cRLSign only",
     reason="key_usage", visible=False)
sign_only = leaf("sign-only", key="rsa2048", key_usage=("key_cert_sign", "crl_sign"))
case("missing_extension/key-usage-python-tls12", nginx_cert(sign_only, "1.2"), python(), 1, "unsuitable certificate purpose", "C:al43",
     "the RSA leaf's key usage has keyCertSign and cRLSign only", reason="key_usage")
fenced = authority("fenced", "tlswhy lab CA 7", ROOT, extra=[(x509.NameConstraints([x509.DNSName("example.org")], None), True)])
why = "the intermediate's name constraints permit example.org only"
L = dict(reason="name_constraints")
under_fenced = leaf("under-fenced", fenced)
case("missing_extension/name-constraints-curl-tls12", nginx_cert(under_fenced, "1.2"), curl(), 60, "permitted subtree violation", "C:al46", why, **L)
case("missing_extension/name-constraints-python-tls13", nginx_cert(under_fenced), python(), 1, "permitted subtree violation", "C:al46", why, visible=False, **L)
case("missing_extension/name-constraints-java-tls12", s_server(under_fenced, "1.2"), java(), 1, "name constraints", "C:al46", why, **L)
strange = leaf("strange", extra=[(x509.UnrecognizedExtension(OID("1.3.6.1.4.1.99999.1"), b"\5\0"), True)])
why = "the leaf has a critical extension that no client knows"
Q = dict(reason="unknown_critical")
case("missing_extension/unknown-critical-s-client-tls12", s_server(strange, "1.2"), s_client(), 1, "unhandled critical extension", "C:al46", why, **Q)
case("missing_extension/unknown-critical-curl-tls13", s_server(strange), curl(), 60, "unhandled critical extension", "C:al46", why, visible=False, **Q)
case("missing_extension/unknown-critical-gnutls-tls12", gnutls_serv(strange, "1.2"), gnutls(), 1, "unknown critical extension", "C:al42", why, **Q)
case("missing_extension/unknown-critical-nss-tls12", s_server(strange, "1.2"), nss(), 254, "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION", "C:21/26", why, **Q)
case("missing_extension/no-aki-python-strict-tls12", nginx_cert(leaf("no-aki", aki=False), "1.2"), python(extra=["strict"]), 1, "Missing Authority Key Identifier", "C:al",
     "the leaf lacks an authority key identifier and the client verifies strictly, as Python 3.13 does", reason="no_aki")
bare_ca = authority("bare-ca", "tlswhy lab CA 8", ROOT, ski=False)
case("missing_extension/no-ski-python-strict-tls12", nginx_cert(leaf("under-bare", bare_ca), "1.2"), python(extra=["strict"]), 1, "Missing Subject Key Identifier", "C:al",
     "the intermediate lacks a subject key identifier and the client verifies strictly, as Python 3.13 does", reason="no_ski")
loose_ca = authority("loose-ca", "tlswhy lab CA 9", ROOT, critical_ca=False)
case("missing_extension/basic-constraints-python-strict-tls12", nginx_cert(leaf("under-loose", loose_ca), "1.2"), python(extra=["strict"]), 1,
     "Basic Constraints of CA cert not marked critical", "C:al",
     "the intermediate's basic constraints are not critical and the client verifies strictly, as Python 3.13 does", reason="basic_constraints")

if __name__ == "__main__":
    main()
