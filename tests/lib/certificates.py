"""Certificates of authorities of the tests' own, right and wrong in each way."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

USAGE = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")


def alternative(name):
    """Return a host name or an address as a certificate holds it."""
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def make_certificate(folder, label, *, issuer=None, names=("127.0.0.1",), days=(-1, 1), authority=None):
    """Write <label>.pem and <label>.key; return (path, certificate, key), which may be the issuer of another.

    Without an issuer it is an authority, else a server's for `names`; `authority` says otherwise.
    """
    authority = issuer is None if authority is None else authority
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, label)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer[1].subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[2].public_key()), critical=False)
    if authority:
        usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **dict.fromkeys(USAGE, False))
        builder = builder.add_extension(usage, critical=True)
    elif names:
        builder = builder.add_extension(x509.SubjectAlternativeName([alternative(one) for one in names]), critical=False)
    certificate = builder.sign(issuer[2] if issuer else key, hashes.SHA256())
    path = folder / f"{label}.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path, certificate, key
