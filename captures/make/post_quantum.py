#!/usr/bin/env python3
"""Captures of certificates by ML-DSA (FIPS 204): sound, expired, damaged, incomplete, and refused by who does not know them."""
import pki
from lab import case, main
from pki import ROOT, authority, leaf
from stacks import *

if VENV and hasattr(pki, "mldsa"):
    sound, above = leaf("mldsa", key="mldsa65"), authority("mldsa-ca", "tlswhy lab ML-DSA CA", ROOT, key="mldsa44")
    case("none/mldsa-leaf-openssl4", openssl4_server(sound), openssl4(), 0, "200", "", "the leaf's key is ML-DSA-65")
    case("none/mldsa-issuer-openssl4", openssl4_server(leaf("mldsa-below", above, key="mldsa65")), openssl4(), 0, "200", "", "the leaf's key is ML-DSA-65, its issuer's ML-DSA-44")
    case("expired_cert/mldsa-leaf-openssl4", openssl4_server(leaf("mldsa-expired", key="mldsa65", days=(-60, -2))), openssl4(), 1, "expired", "C:al45", "the leaf ended two days ago; its key is ML-DSA-65",
         reason="leaf_expired")
    case("broken_chain/mldsa-missing-intermediate-openssl4", openssl4_server(leaf("mldsa-alone", above, key="mldsa65", chain=[])), openssl4(), 1, "issuer certificate", "C:al48",
         "the server sends the leaf without its issuer, whose key is ML-DSA-44", reason="missing_intermediate")
    case("damaged_key/mldsa-flipped-openssl4", openssl4_server(leaf("mldsa-flipped", above, key="mldsa65", flip=True)), openssl4(), 1, "signature failure", "C:al",
         "one bit of the leaf's signature by ML-DSA-44 is flipped", reason="bad_certificate_signature", visible=False)
    for name, made in dict(curl=curl(), java=java()).items():
        case(f"protocol_version/mldsa-server-{name}", openssl4_server(sound), made, tuple(range(1, 256)), "", "S:al40", "the server's key is ML-DSA-65, which the client knows nothing of",
             reason="signature_algorithm", visible=False)
else:
    print("OpenSSL 4, or a cryptography that has ML-DSA, is not there: no captures of ML-DSA")

if __name__ == "__main__":
    main()
