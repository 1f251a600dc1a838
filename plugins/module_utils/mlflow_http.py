# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HTTP to an MLflow server with the standard library: one kept connection, and errors that say which layer failed.

Redirects are never followed: they would carry the credentials to another address.
"""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
import time

# uvicorn closes a connection that was idle for 5 s (its --timeout-keep-alive): reconnect before it does
IDLE_LIMIT_SECONDS = 4
# a server's words in an error: enough for a database driver's message, short enough for a terminal
MESSAGE_LIMIT = 1000

# OpenSSL's X509_V_ERR_* numbers (openssl/x509_vfy.h)
_VERIFY_CAUSES = {
    9: "certificate_not_yet_valid",
    10: "certificate_expired",
    18: "unknown_ca",
    19: "unknown_ca",
    20: "unknown_ca",
    21: "unknown_ca",
    23: "certificate_revoked",
    62: "name_mismatch",
    64: "name_mismatch",
}


class MlflowError(Exception):
    """A request that did not succeed.

    kind is "http" (an answer with an error status), "not_json" (a success that is not MLflow's), or the layer that failed: "dns",
    "refused", "no_route", "timeout_connect", "timeout_read", "closed", "not_http", or "tls" with the reason in cause.
    """

    def __init__(self, kind, message, *, status_code=None, error_code=None, cause=None, headers=None):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status_code = status_code
        self.error_code = error_code
        self.cause = cause
        self.headers = headers or {}

    @property
    def words(self):
        """Return the message with the HTTP status before it, where there was one."""
        return f"HTTP {self.status_code}: {self.message}" if self.status_code else self.message


class Response:
    """A complete answer: status, headers (names in lower case), body (bytes)."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    @property
    def text(self):
        """Return the body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")


def plain_words(text):
    """Return an HTML page or a text on one line, without markup, cut to MESSAGE_LIMIT."""
    if re.search(r"<\s*(!doctype|html|head|body)\b", text[:2000], re.IGNORECASE):
        text = re.sub(r"(?is)<(script|style).*?</\1\s*>", " ", text)
        text = re.sub(r"(?s)<[^>]*>", " ", text)
    text = " ".join(text.split())
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 3] + "..."


def transport_error(exc, connecting):
    """Return the MlflowError for an exception of socket, ssl or http.client; connecting says whether the connection stood yet."""
    words = plain_words(str(exc)) or type(exc).__name__
    if isinstance(exc, ssl.SSLCertVerificationError):
        return MlflowError("tls", exc.verify_message or words, cause=_VERIFY_CAUSES.get(exc.verify_code, "certificate_refused"))
    if isinstance(exc, ssl.SSLError):
        reason = (exc.reason or "").upper()
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
            return MlflowError("tls", words, cause="server_speaks_plain_http")
        if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason or "BAD_CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
            return MlflowError("tls", words, cause="client_certificate_refused")
        return MlflowError("tls", words, cause="handshake_failed")
    if isinstance(exc, socket.gaierror):
        return MlflowError("dns", words)
    if isinstance(exc, (socket.timeout, TimeoutError)):
        return MlflowError("timeout_connect" if connecting else "timeout_read", words)
    if isinstance(exc, http.client.BadStatusLine) and not isinstance(exc, http.client.RemoteDisconnected):
        line = exc.line if isinstance(exc.line, str) else repr(exc.line)
        # a TLS record of type alert: 0x15, then the protocol version 3.x
        if line.startswith("\x15\x03"):
            return MlflowError("tls", "the port answered with a TLS alert", cause="server_speaks_tls")
        return MlflowError("not_http", f"the first line of the answer is {line[:80]!r}")
    if isinstance(exc, ConnectionRefusedError):
        return MlflowError("refused", words)
    if isinstance(exc, (http.client.HTTPException, ConnectionError)):
        return MlflowError("closed", words)
    if isinstance(exc, OSError) and exc.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL):
        return MlflowError("no_route", words)
    return MlflowError("closed", words)


class HttpTransport:
    """One kept connection to one host."""

    def __init__(self, scheme, host, port, timeout, context=None):
        """Take where to connect; context is the ssl.SSLContext for https, built by the caller."""
        self.timeout = timeout
        self._scheme, self._host, self._port, self._context = scheme, host, port, context
        self._connection = None
        self._last_used = 0.0

    def close(self):
        """Close the connection; the next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(self, method, target, headers, body=None):
        """Send one request and return its Response, whatever its status; raise MlflowError when there is no complete answer.

        A GET on a kept connection that the server has closed meanwhile is sent again; anything else never is.
        """
        if self._connection is not None and time.monotonic() - self._last_used > IDLE_LIMIT_SECONDS:
            self.close()
        reused = self._connection is not None
        try:
            return self._send(method, target, headers, body)
        except MlflowError as exc:
            self.close()
            if not (reused and exc.kind == "closed" and method in ("GET", "HEAD")):
                raise
        try:
            return self._send(method, target, headers, body)
        except MlflowError:
            self.close()
            raise

    def _send(self, method, target, headers, body):
        connecting = self._connection is None
        try:
            if connecting:
                self._connection = self._open()
                connecting = False
            if self._connection.sock is not None:
                self._connection.sock.settimeout(self.timeout)
            self._connection.request(method, target, body, headers)
            answer = self._connection.getresponse()
            response = Response(answer.status, answer.getheaders(), answer.read())
        except (OSError, http.client.HTTPException) as exc:
            raise transport_error(exc, connecting) from exc
        if answer.will_close:
            self.close()
        self._last_used = time.monotonic()
        return response

    def _open(self):
        if self._scheme == "https":
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self.timeout, context=self._context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self.timeout)
        connection.connect()
        return connection
