"""The lab's certificates. The root lives in a state folder outside the repository, so that later runs can add captures
under the same root; its certificate is committed as captures/lab-root.pem. Everything else is made afresh per run."""
import base64, datetime as dt, ipaddress, os
from pathlib import Path
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as ser
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.hazmat.primitives.asymmetric import ec, rsa, ed25519
from cryptography.x509.oid import NameOID, ExtendedKeyUsageOID as EKU, AuthorityInformationAccessOID as AIA, ObjectIdentifier as OID
from lab import OUT, WORK
try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:                                    # before 47; in certificates from 50 on
    pass

NOW = dt.datetime.now(dt.timezone.utc).replace(microsecond=0, tzinfo=None)
STATE = Path(os.environ.get("TLSWHY_LAB_STATE", "/var/tmp/tlswhy-lab"))
USES = {"server": EKU.SERVER_AUTH, "client": EKU.CLIENT_AUTH, "ocsp": EKU.OCSP_SIGNING}
KEY_USAGE = ("digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign "
             "encipher_only decipher_only").split()
day = lambda n: NOW + dt.timedelta(days=n)


def new_key(kind):
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:] or 2048))
    if kind.startswith("mldsa"):
        return getattr(mldsa, f"MLDSA{kind[5:]}PrivateKey").generate()
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP384R1() if kind == "p384" else ec.SECP256R1())


def pem(thing):
    if hasattr(thing, "private_bytes"):
        return thing.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())
    return thing.public_bytes(ser.Encoding.PEM)


def flipped(cert):
    """The same certificate with one bit of its signature flipped."""
    der = bytearray(cert.public_bytes(ser.Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_certificate(bytes(der))


class Cert:
    """A certificate, its key, and the files which servers read."""

    def __init__(self, id, cert, key, chain):
        self.id, self.x509, self.privkey, self.up = id, cert, key, chain
        for name, data in (("crt", pem(cert)), ("key", pem(key)), ("above", b"".join(map(pem, chain))),
                           ("chain", b"".join(map(pem, [cert] + chain))), ("all", b"".join(map(pem, [cert] + chain + [key])))):
            path = WORK / f"{id}.{name}.pem"
            path.write_bytes(data)
            setattr(self, name, str(path))

    def all_with(self, key):
        """The combined file which haproxy reads, with another key file."""
        path = WORK / f"{self.id}.other.pem"
        path.write_text(open(self.chain).read() + open(key).read())
        return str(path)

    @property
    def p12(self):
        path = WORK / f"{self.id}.p12"
        path.write_bytes(pkcs12.serialize_key_and_certificates(b"lab", self.privkey, self.x509, self.up,
                                                                   ser.BestAvailableEncryption(b"labpass")))
        return str(path)


def dns_name(name):
    """As it is, also where it is not in ASCII and hence not allowed."""
    return x509.DNSName(name) if name.isascii() else x509.DNSName._init_without_validation(name)


def certificate(subject, key, issuer=None, days=(-30, 60), ca=None, pathlen=None, names=(), use=("server",), key_usage=None,
                aki=True, ski=True, staple=False, ocsp=None, crl=None, extra=(), signer=None, critical_ca=True,
                hash=hashes.SHA256()):
    """issuer: a Cert, or None for self-signed; signer: a key which replaces the issuer's."""
    me = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    b = (x509.CertificateBuilder().subject_name(me).issuer_name(issuer.x509.subject if issuer else me)
         .public_key(key.public_key()).serial_number(x509.random_serial_number()))
    # set directly: the builder refuses an inverted lifetime, which is one of the cases
    b._not_valid_before, b._not_valid_after = day(days[0]), day(days[1])
    add = lambda e, critical=False: b.add_extension(e, critical)
    if ca is not None:
        b = add(x509.BasicConstraints(ca, pathlen), critical_ca)
    if key_usage is None:
        key_usage = ("key_cert_sign", "crl_sign", "digital_signature") if ca else ("digital_signature",) + (
            ("key_encipherment",) if isinstance(key, rsa.RSAPrivateKey) else ())
    if key_usage:
        b = add(x509.KeyUsage(**{k: k in key_usage for k in KEY_USAGE}), True)
    if use and not ca:
        b = add(x509.ExtendedKeyUsage([USES[u] for u in use]))
    if names:
        b = add(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() or ":" in n else dns_name(n)
                                             for n in names]))
    if ski:
        b = add(x509.SubjectKeyIdentifier.from_public_key(key.public_key()))
    if aki and issuer:
        b = add(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.privkey.public_key()))
    if staple:
        b = add(x509.TLSFeature([x509.TLSFeatureType.status_request]))
    if ocsp:
        b = add(x509.AuthorityInformationAccess([x509.AccessDescription(AIA.OCSP, x509.UniformResourceIdentifier(ocsp))]))
    if crl:
        b = add(x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier(crl)], None, None, None)]))
    for e, critical in extra:
        b = add(e, critical)
    sign = signer or (issuer.privkey if issuer else key)
    return b.sign(sign, None if not isinstance(sign, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)) else hash)


def root():
    """The lab root, from the state folder; made, and added to lab-root.pem beside the captures, when there is none."""
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    OUT.mkdir(parents=True, exist_ok=True)
    crt, key, public = STATE / "root.pem", STATE / "root.key", OUT / "lab-root.pem"
    if not key.exists():
        k = new_key("ec")
        start = dt.datetime(2020, 1, 1)
        cert = certificate("tlswhy lab root", k, ca=True, days=((start - NOW).total_seconds() / 86400,
                           (start.replace(year=2050) - NOW).total_seconds() / 86400), aki=False)
        key.touch(0o600)
        key.write_bytes(pem(k))
        crt.write_bytes(pem(cert))
    have = public.read_text() if public.exists() else ""
    if crt.read_text() not in have:
        public.write_text(have + crt.read_text())
    return Cert("root", x509.load_pem_x509_certificate(crt.read_bytes()), ser.load_pem_private_key(key.read_bytes(), None), [])


ROOT = root()
TRUST = ROOT.crt


def sent_above(issuer):
    """The issuers which a well-made server sends: all but the root."""
    return [] if issuer is None or issuer.x509.subject == issuer.x509.issuer else [issuer.x509] + issuer.up


def authority(id, subject, issuer, key="ec", chain=None, flip=False, **how):
    k = new_key(key)
    how = {"days": (-400, 1500), "ca": True, "pathlen": 0, **how}
    c = certificate(subject, k, issuer, **how)
    if flip:
        c = flipped(c)
    return Cert(id, c, k, sent_above(issuer) if chain is None else chain)


CA = authority("ca", "tlswhy lab CA 1", ROOT)
_made = {}


def leaf(id, issuer=CA, key="ec", subject="www.example.test", names=("www.example.test",), chain=None, flip=False, sign_key=None, **how):
    """A leaf certificate, made once per run and id. chain: what the server sends above it (default: the whole path but the root)."""
    if id not in _made:
        k = new_key(key)
        c = certificate(subject, k, issuer, names=names, **how)
        if flip:
            c = flipped(c)
        if chain is None:
            chain = sent_above(issuer)
        _made[id] = Cert(id, c, sign_key or k, chain)
    return _made[id]


def der(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    return bytes([tag]) + (bytes([n]) if n < 128 else (lambda b: bytes([128 + len(b)]) + b)(n.to_bytes((n.bit_length() + 7) // 8, "big"))) + body


def integer(n):
    return der(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def pem_file(id, label, data):
    path = WORK / f"{id}.key.pem"
    path.write_text(f"-----BEGIN {label}-----\n{base64.encodebytes(data).decode()}-----END {label}-----\n")
    return str(path)


def wrong_rsa(c):
    """The key file of c with a wrong private exponent, and without the factors' true helpers."""
    n = c.privkey.private_numbers()
    d = n.d ^ 0x10
    c.key = pem_file(c.id + "-wrong", "RSA PRIVATE KEY", der(48, *map(integer, [0, n.public_numbers.n, 65537, d, n.p, n.q, d % (n.p - 1), d % (n.q - 1), n.iqmp])))
    return c


def wrong_ec(c):
    """The key file of c with a wrong private scalar beside the true public point."""
    n = c.privkey.private_numbers()
    point = b"\0\4" + n.public_numbers.x.to_bytes(32, "big") + n.public_numbers.y.to_bytes(32, "big")
    c.key = pem_file(c.id + "-wrong", "EC PRIVATE KEY", der(48, integer(1), der(4, (n.private_value ^ 0x10).to_bytes(32, "big")),
                     der(0xa0, bytes.fromhex("06082a8648ce3d030107")), der(0xa1, der(3, point))))
    return c
