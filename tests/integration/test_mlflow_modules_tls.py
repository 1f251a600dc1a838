"""TLS before a running platform: a terminator of the test's own, with certificates that are right and wrong in each way."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import urllib.parse
import uuid

import pytest
from lib.certificates import make_certificate
from lib.modules import run_module

ONCE = {"wait_timeout": 0, "grace": 0}


class TlsFront:
    """Ends TLS with a certificate and passes the bytes on to the platform."""

    def __init__(self, certificate, backend, client_ca=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        if client_ca:
            self.context.load_verify_locations(client_ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
            # in TLS 1.3 the client learns of the refusal after its handshake, if the alert arrives before the reset
            self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.backend = urllib.parse.urlsplit(backend)

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return f"https://127.0.0.1:{self.listener.getsockname()[1]}{self.backend.path}"

    def __exit__(self, *dummy):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            front = self.context.wrap_socket(peer, server_side=True)
            back = socket.create_connection((self.backend.hostname, self.backend.port or (443 if self.backend.scheme == "https" else 80)))
            if self.backend.scheme == "https":
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                back = context.wrap_socket(back, server_hostname=self.backend.hostname)
            with front, back:
                self._relay(front, back)
        except OSError:
            peer.close()

    @staticmethod
    def _relay(front, back):
        """Pass bytes both ways until one end closes, in one thread: a TLS connection must not be read and written at once."""
        other = {front: back, back: front}
        while True:
            decrypted = [end for end in other if isinstance(end, ssl.SSLSocket) and end.pending()]
            for source in decrypted or select.select(list(other), [], [])[0]:
                source.setblocking(False)  # what arrived may be a session ticket alone, behind which no data comes
                try:
                    chunk = source.recv(65536)
                except ssl.SSLWantReadError:
                    continue
                finally:
                    source.setblocking(True)
                if not chunk:
                    return
                other[source].sendall(chunk)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    return folder, make_certificate(folder, "own-ca"), make_certificate(folder, "other-ca")


@pytest.mark.parametrize(
    ("certificate", "ca", "validate", "cause"),
    [
        ({}, "own-ca", True, None),
        ({}, "other-ca", True, "unknown_ca"),
        ({}, None, True, "unknown_ca"),
        ({}, None, False, None),
        ({"days": (-3, -1)}, "own-ca", True, "certificate_expired"),
        ({"days": (1, 3)}, "own-ca", True, "certificate_not_yet_valid"),
        ({"names": ["192.0.2.1"]}, "own-ca", True, "name_mismatch"),
    ],
)
def test_certificates(mlflow_connection, authority, certificate, ca, validate, cause):
    folder, own, dummy = authority
    path = make_certificate(folder, f"server-{uuid.uuid4().hex[:8]}", issuer=own, **certificate)[0]
    with TlsFront(path, mlflow_connection["tracking_uri"]) as uri:
        result = run_module(
            "mlflow_health",
            {
                **mlflow_connection,
                **ONCE,
                "tracking_uri": uri,
                "host_header": urllib.parse.urlsplit(mlflow_connection["tracking_uri"]).netloc,
                "ca_bundle": str(folder / f"{ca}.pem") if ca else None,
                "validate_certs": validate,
            },
        )
        plain = run_module("mlflow_health", {**mlflow_connection, **ONCE, "tracking_uri": uri.replace("https", "http", 1)})
    assert (result["status"], result["cause"]) == ("tls_error" if cause else "ok", cause), result
    # plain HTTP to a TLS port: servers answer with an alert, or close
    assert (plain["status"], plain["cause"]) in [("tls_error", "server_speaks_tls"), ("unreachable", "closed")]


def test_client_certificate(mlflow_connection, authority):
    folder, own, dummy = authority
    server, client = (make_certificate(folder, f"{label}-{uuid.uuid4().hex[:8]}", issuer=own)[0] for label in ("server", "client"))
    with TlsFront(server, mlflow_connection["tracking_uri"], client_ca=folder / "own-ca.pem") as uri:
        arguments = {
            **mlflow_connection,
            **ONCE,
            "tracking_uri": uri,
            "host_header": urllib.parse.urlsplit(mlflow_connection["tracking_uri"]).netloc,
            "ca_bundle": str(folder / "own-ca.pem"),
        }
        without = run_module("mlflow_health", arguments)
        given = run_module("mlflow_health", {**arguments, "client_cert": str(client), "client_key": str(client.with_suffix(".key"))})
    assert (without["status"], without["cause"]) == ("tls_error", "client_certificate_refused"), without
    assert given["status"] == "ok", given
