"""Signed OCSP answers of the lab's CA, as files."""
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as ser
from cryptography.x509 import ocsp
from lab import WORK
from pki import CA, day

GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN


def answer(id, c, status, days=(-1, 6)):
    """A signed OCSP answer about c, as a file."""
    gone = status == REVOKED
    b = ocsp.OCSPResponseBuilder().add_response(c.x509, CA.x509, hashes.SHA1(), status, day(days[0]), day(days[1]), day(-3) if gone else None,
                                                x509.ReasonFlags.key_compromise if gone else None)
    path = WORK / f"{id}.ocsp"
    path.write_bytes(b.responder_id(ocsp.OCSPResponderEncoding.HASH, CA.x509).sign(CA.privkey, hashes.SHA256()).public_bytes(ser.Encoding.DER))
    return str(path)
