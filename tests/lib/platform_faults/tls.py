"""Faults of certificates, keys and the authority."""

from __future__ import annotations

import contextlib
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from lib.certificates import make_certificate
from lib.platform_faults.planting import fault, kept


def authority(platform):
    """Return the platform's authority as make_certificate() takes an issuer."""
    certificate = x509.load_pem_x509_certificate((platform.data_dir / "ca.crt").read_bytes())
    key = serialization.load_pem_private_key((platform.data_dir / "tls/ca.key").read_bytes(), None)
    return None, certificate, key


@contextlib.contextmanager
def certificate(platform, **options):
    """Put another certificate in the place of the entry point's, and let Traefik read it."""
    names = {"names": ("localhost", "127.0.0.1"), **options}
    path, _certificate, _key = make_certificate(platform.scratch, "planted", **names)
    routes = platform.data_dir / "etc/traefik/routes/platform.yml"
    with kept(platform.data_dir / "tls/ingress.crt") as there, kept(platform.data_dir / "tls/ingress.key") as key, kept(routes):
        there.write_bytes(path.read_bytes())
        key.write_bytes(path.with_suffix(".key").read_bytes())
        routes.write_text(routes.read_text() + "# planted\n")
        yield
    # the other way as well: the certificate is read when this file changes
    with kept(routes):
        routes.write_text(routes.read_text() + "# back\n")
        time.sleep(1)


@fault("certificate-expired", "certificate-untrusted", because={"certificate-untrusted": ["certificate-expired"]})
def certificate_expired(platform, plan):
    with certificate(platform, issuer=authority(platform), days=(-9, -2)):
        yield {}


@fault("certificate-expires")
def certificate_that_expires_soon(platform, plan):
    with certificate(platform, issuer=authority(platform), days=(-9, 5)):
        yield {}


@fault("certificate-name/127.0.0.1")
def certificate_for_other_names(platform, plan):
    with certificate(platform, issuer=authority(platform), names=("localhost",), days=(-1, 90)):
        yield {}


@fault("certificate-authority", "certificate-untrusted", because={"certificate-untrusted": ["certificate-authority"]})
def certificate_of_another_authority(platform, plan):
    other = make_certificate(platform.scratch, "other-authority", days=(-1, 90))
    with certificate(platform, issuer=other, days=(-1, 90)):
        yield {}


@fault("certificate-key-mismatch")
def key_of_another_certificate(platform, plan):
    path = make_certificate(platform.scratch, "other")[0].with_suffix(".key")
    with kept(platform.data_dir / "tls/ingress.key") as key:
        key.write_bytes(path.read_bytes())
        yield {}


@fault("authority-missing", "certificate-untrusted", because={"certificate-untrusted": ["authority-missing"]})
def authority_missing(platform, plan):
    path = platform.data_dir / "ca.crt"
    path.rename(platform.data_dir / "ca.moved")
    yield {}
    (platform.data_dir / "ca.moved").rename(path)
