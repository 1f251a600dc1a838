# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a failed request to the cause of the failure.

Found by experiment with MLflow 3.17.2; the tests hold it to that server's recorded answers.
"""

from __future__ import annotations

import re

# steps of a health check; the word says what the server had to do
HEALTH, SERVER_INFO, READ, WRITE, ARTIFACT = "health", "server_info", "read_database", "write_database", "artifact"

_TRANSPORT = {
    "dns": "dns",
    "refused": "refused",
    "no_route": "no_route",
    "timeout_connect": "timeout_connect",
    "closed": "closed",
    "not_http": "not_http",
    "not_json": "not_mlflow",
}
# words of SQLAlchemy, its drivers and PostgreSQL/SQLite in MLflow's error messages, most specific first
_DATABASE_WORDS = (
    ("db_unmigrated", r"out-of-date database schema|no such (table|column)|UndefinedTable|UndefinedColumn|Can't locate revision"),
    ("db_read_only", r"read-only transaction|ReadOnlySqlTransaction|readonly database"),
    ("db_full", r"DiskFull|No space left on device|database or disk is full"),
    ("db_unavailable", r"OperationalError|InterfaceError|could not connect|server closed the connection|QueuePool limit"),
)
_ARTIFACT_WORDS = (
    ("artifact_bucket", r"specified bucket does not exist|NoSuchBucket|bucket.{0,40}(not found|does not exist)"),
    ("artifact_credentials", r"signature we calculated|SignatureDoesNotMatch|InvalidAccessKeyId|access key.{0,40}does not exist|"
     r"Unable to locate credentials|AccessDenied|Access Denied"),
)  # fmt: skip


def cause_of(step, error, connection):
    """Return the key of mlflow_remedies.CAUSES for an MlflowError that a step met."""
    if error.kind == "tls":
        return error.cause
    if error.kind == "timeout_read":
        return {HEALTH: "no_answer", ARTIFACT: "artifact_error"}.get(step, "db_no_answer")
    if error.kind != "http":
        return _TRANSPORT[error.kind]
    status, words = error.status_code, error.message
    if 300 <= status < 400:
        return "server_speaks_tls" if _to_https(error, connection) else "redirect"
    if status == 421 or (status == 403 and "Invalid Host header" in words):
        return "host_rejected"
    if status == 400 and re.search(r"HTTP request (to|was sent to) (an )?HTTPS", words):
        return "server_speaks_tls"
    if status == 400 and "No required SSL certificate was sent" in words:
        return "client_certificate_refused"
    if status == 429:
        return "rate_limited"
    if step == ARTIFACT and error.error_code and status not in (400, 404):
        return _first(_ARTIFACT_WORDS, words) or ("artifact_credentials" if status in (401, 403) else "artifact_error")
    if step != ARTIFACT and error.error_code:
        # whatever the status: MLflow answers 400 to some of the database's errors
        known = _first(_DATABASE_WORDS, words)
        if known or error.error_code == "TEMPORARILY_UNAVAILABLE":
            return known or "db_unavailable"
    if status in (401, 403, 407):
        return _refusal(step, error, connection)
    if status >= 500:
        return _server_failure(step, error)
    if step == ARTIFACT:
        return _first(_ARTIFACT_WORDS, words) or "artifact_error"
    if status == 404 and not error.error_code:
        return "no_such_path"
    return "server_error" if error.error_code else "not_mlflow"


def artifact_cause(put_error, list_error, connection):
    """Return the cause of a failed upload, and its words.

    A failed PUT answers a bare "Internal Server Error"; listing the same folder asks the store too, and says why it fails. A listing that
    works means a store that can be read and not written.
    """
    cause = cause_of(ARTIFACT, put_error, connection)
    if cause not in ("artifact_error", "server_error"):
        return cause, put_error.words
    if list_error is None:
        return "artifact_refused", put_error.words
    listed = cause_of(ARTIFACT, list_error, connection)
    if listed.startswith("artifact_"):
        return listed, put_error.words if put_error.message == list_error.message else f"{put_error.words}; listing: {list_error.words}"
    return cause, put_error.words


def is_proxy_off(error):
    """Return whether an artifact route says that the server runs with --no-serve-artifacts."""
    return error.kind == "http" and error.status_code == 503 and "--serve-artifacts" in error.message


def _refusal(step, error, connection):
    realm = error.headers.get("www-authenticate", "")
    if error.status_code == 403:
        # /health asks nobody for a permission in MLflow
        return "not_mlflow" if step in (HEALTH, SERVER_INFO) else "forbidden"
    if connection.authentication == "none":
        return "auth_required"
    if error.status_code == 407 or (realm and "mlflow" not in realm):
        return "proxy_auth"
    if step == ARTIFACT and not connection.ascii_credentials:
        return "non_ascii_credentials"
    return "auth_failed"


def _server_failure(step, error):
    if error.status_code in (502, 503, 504) and not error.error_code:
        return "bad_gateway"
    return "artifact_error" if step == ARTIFACT else "server_error"


def _to_https(error, connection):
    return connection.scheme == "http" and error.headers.get("location", "").startswith(f"https://{connection.host}")


def _first(patterns, words):
    for cause, pattern in patterns:
        if re.search(pattern, words, re.IGNORECASE | re.DOTALL):
            return cause
    return None
