"""Answers recorded from MLflow 3.17.2 (uvicorn), MLflow 2.22.0 (gunicorn) and Traefik 3.7, and the cause that each stands for."""

from __future__ import annotations

import http.client
import socket
import ssl
import string

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.mlflow import MlflowConnection
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_client import MlflowClient
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_diagnosis import (
    ARTIFACT,
    HEALTH,
    READ,
    SERVER_INFO,
    WRITE,
    artifact_cause,
    cause_of,
    is_proxy_off,
)
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_health import logged_models_api
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_http import MlflowError, Response, transport_error
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_remedies import CAUSES, STATUSES, Diagnosis
from lib.mlflow_transport import FakeTransport

NONE = {}
BASIC = {"username": "admin", "password": "correct horse battery"}
TOKEN = {"token": "abc"}
NON_ASCII = {"username": "admin", "password": "correct hörse battery"}

JSON = {"content-type": "application/json"}
TEXT = {"content-type": "text/plain; charset=utf-8"}
HTML = {"content-type": "text/html; charset=utf-8"}
CHALLENGE = {"content-type": "text/html; charset=utf-8", "www-authenticate": 'Basic realm="mlflow"'}
LOGIN = (
    "You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth/index.html#authenticating-to-mlflow "
    "on how to authenticate."
)
NOT_FOUND = (
    "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>The requested URL was not found on the server. "
    "If you entered the URL manually please check your spelling and try again.</p>\n"
)
OUT_OF_DATE = (
    '{"error_code": "INTERNAL_ERROR", "message": "Detected out-of-date database schema (found version acf3f17fdcc7, but expected '
    "dc11669786a5). Take a backup of your database, then run 'mlflow db upgrade <database_uri>' to migrate your database to the latest "
    'schema."}'
)
DATABASE_GONE = (
    '{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "(psycopg2.OperationalError) connection to server at \\"127.0.0.1\\", port 5432 '
    "failed: Connection refused\\n\\tIs the server running on that host and accepting TCP/IP "
    "connections?\\n\\n(Background on this error at: "
    'https://sqlalche.me/e/20/e3q8)"}'
)
READ_ONLY = (
    '{"error_code": "BAD_REQUEST", "message": "(psycopg2.errors.ReadOnlySqlTransaction) cannot execute INSERT in a read-only transaction'
    "\\n\\n[SQL: INSERT INTO experiments (name) VALUES (%(name)s)]\\n[parameters: {'name': 'hidden-value'}]\"}"
)
WRONG_KEY = (
    '{"error_code":"UNAUTHENTICATED","message":"Failed to list artifacts in s3://mlf/artifacts: The request '
    "signature we calculated does not "
    'match the signature you provided. Check your key and signing method."}'
)
NO_BUCKET = (
    '{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Failed to list artifacts in s3://missing-bucket/artifacts: '
    "The specified bucket does "
    'not exist","sqlstate":"KAM00","error_class":"RESOURCE_NOT_FOUND"}'
)
PROXY_OFF = '{"detail":"Artifact serving is disabled. Run `mlflow server` with `--serve-artifacts` to enable."}'
PROXY_OFF_FLASK = (
    "Endpoint: /api/2.0/mlflow-artifacts/artifacts disabled due to the mlflow server running with "
    "`--no-serve-artifacts`. To enable artifacts "
    "server functionality, run `mlflow server` with `--serve-artifacts`"
)
INVALID_HOST = "Invalid Host header - possible DNS rebinding attack detected"

# what happened | step | credentials | status, headers, body | cause | status of the module
RECORDED = [
    ("wrong Host header", SERVER_INFO, NONE, 403, {"content-type": "text/plain"}, INVALID_HOST, "host_rejected", "host_rejected"),
    ("wrong Host header, logged in", READ, BASIC, 403, {"content-type": "text/plain"}, INVALID_HOST, "host_rejected", "host_rejected"),
    ("no password", READ, NONE, 401, CHALLENGE, LOGIN, "auth_required", "auth_required"),
    ("wrong password", READ, BASIC, 401, CHALLENGE, LOGIN, "auth_failed", "auth_failed"),
    ("token, but MLflow wants basic", READ, TOKEN, 401, CHALLENGE, LOGIN, "auth_failed", "auth_failed"),
    ("401 of a proxy", READ, BASIC, 401, {"www-authenticate": 'Basic realm="traefik"'}, "401 Unauthorized", "proxy_auth", "auth_failed"),
    ("no permission", WRITE, BASIC, 403, HTML, "Permission denied", "forbidden", "auth_failed"),
    ("non-ASCII password, artifact", ARTIFACT, NON_ASCII, 401, CHALLENGE, LOGIN, "non_ascii_credentials", "auth_failed"),
    ("non-ASCII password, wrong", READ, NON_ASCII, 401, CHALLENGE, LOGIN, "auth_failed", "auth_failed"),
    ("PostgreSQL stopped", READ, BASIC, 503, JSON, DATABASE_GONE, "db_unavailable", "db_unavailable"),
    ("schema out of date", SERVER_INFO, NONE, 500, JSON, OUT_OF_DATE, "db_unmigrated", "db_unmigrated"),
    ("schema out of date, logged in", READ, BASIC, 500, JSON, OUT_OF_DATE, "db_unmigrated", "db_unmigrated"),
    ("database read-only", WRITE, NONE, 400, JSON, READ_ONLY, "db_read_only", "db_unavailable"),
    ("object store stopped", ARTIFACT, NONE, 500, TEXT, "Internal Server Error", "artifact_error", "artifact_store_unwritable"),
    ("wrong key, listing", ARTIFACT, NONE, 401, JSON, WRONG_KEY, "artifact_credentials", "artifact_store_unwritable"),
    ("no bucket, listing", ARTIFACT, NONE, 404, JSON, NO_BUCKET, "artifact_bucket", "artifact_store_unwritable"),
    ("static prefix missing", HEALTH, NONE, 404, HTML, NOT_FOUND, "no_such_path", "not_mlflow"),
    ("Traefik without a route", HEALTH, NONE, 404, TEXT, "404 page not found\n", "no_such_path", "not_mlflow"),
    ("Traefik, server refused", HEALTH, NONE, 502, {}, "Bad Gateway", "bad_gateway", "unreachable"),
    ("Traefik, no healthy server", READ, BASIC, 503, TEXT, "no available server\n", "bad_gateway", "unreachable"),
    ("redirect to https", HEALTH, NONE, 301, {"location": "https://mlflow.test/health"}, "Moved", "server_speaks_tls", "tls_error"),
    ("redirect to a login", HEALTH, NONE, 302, {"location": "https://sso.test/login?s=1"}, "", "redirect", "not_mlflow"),
    ("S3 server", HEALTH, NONE, 403, {"content-type": "application/xml"}, "<Error><Code>AccessDenied</Code></Error>", "not_mlflow", "not_mlflow"),  # noqa: E501
    ("Go server with TLS", HEALTH, NONE, 400, {}, "Client sent an HTTP request to an HTTPS server.\n", "server_speaks_tls", "tls_error"),
    ("nginx with TLS", HEALTH, NONE, 400, HTML, "The plain HTTP request was sent to HTTPS port", "server_speaks_tls", "tls_error"),
    ("nginx wants a certificate", HEALTH, NONE, 400, HTML, "No required SSL certificate was sent", "client_certificate_refused", "tls_error"),  # noqa: E501
    ("rate limit", READ, BASIC, 429, TEXT, "Too Many Requests", "rate_limited", "server_error"),
    ("unknown failure", READ, BASIC, 500, HTML, "<!doctype html><title>500</title><h1>Oops</h1>", "server_error", "server_error"),
]  # fmt: skip


def error_of(status, headers, body, connection):
    client = MlflowClient(connection, FakeTransport(Response(status, headers.items(), body.encode())))
    with pytest.raises(MlflowError) as caught:
        client.request("GET", "/any")
    return caught.value


def connect(**options):
    return MlflowConnection({"tracking_uri": "http://mlflow.test:5000", **options})


@pytest.mark.parametrize(("what", "step", "credentials", "status", "headers", "body", "cause", "module_status"), RECORDED)
def test_recorded_answer(what, step, credentials, status, headers, body, cause, module_status):
    connection = connect(**credentials)
    assert cause_of(step, error_of(status, headers, body, connection), connection) == cause, what
    assert CAUSES[cause][0] == module_status


def test_statements_and_their_values_are_cut_off():
    assert "Background" not in error_of(503, JSON, DATABASE_GONE, connect()).message
    error = error_of(400, JSON, READ_ONLY, connect())
    assert error.message == "(psycopg2.errors.ReadOnlySqlTransaction) cannot execute INSERT in a read-only transaction"


def test_failed_upload_is_explained_by_the_listing():
    connection = connect()
    put = error_of(500, TEXT, "Internal Server Error", connection)
    assert artifact_cause(put, None, connection) == ("artifact_refused", "HTTP 500: Internal Server Error")
    cause, words = artifact_cause(put, error_of(401, JSON, WRONG_KEY, connection), connection)
    assert cause == "artifact_credentials"
    assert words.startswith("HTTP 500: Internal Server Error; listing: HTTP 401: Failed to list artifacts in s3://mlf")
    assert artifact_cause(put, error_of(404, JSON, NO_BUCKET, connection), connection)[0] == "artifact_bucket"
    assert artifact_cause(put, error_of(500, HTML, "<html>Internal Server Error</html>", connection), connection)[0] == "artifact_error"


@pytest.mark.parametrize("body", [PROXY_OFF, PROXY_OFF_FLASK])
def test_artifact_proxy_off(body):
    assert is_proxy_off(error_of(503, JSON, body, connect()))
    assert not is_proxy_off(error_of(503, JSON, DATABASE_GONE, connect()))


def verification_error(code):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "words of OpenSSL"
    return error


def ssl_error(reason):
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


TRANSPORT = [
    (socket.gaierror(-2, "Name or service not known"), True, HEALTH, "dns"),
    (ConnectionRefusedError(111, "Connection refused"), True, HEALTH, "refused"),
    (OSError(113, "No route to host"), True, HEALTH, "no_route"),
    (TimeoutError("timed out"), True, HEALTH, "timeout_connect"),
    (TimeoutError("timed out"), False, HEALTH, "no_answer"),
    (TimeoutError("timed out"), False, SERVER_INFO, "db_no_answer"),
    (TimeoutError("timed out"), False, READ, "db_no_answer"),
    (TimeoutError("timed out"), False, ARTIFACT, "artifact_error"),
    (http.client.RemoteDisconnected("Remote end closed connection without response"), False, HEALTH, "closed"),
    (ConnectionResetError(104, "Connection reset by peer"), False, HEALTH, "closed"),
    (http.client.BadStatusLine("SSH-2.0-OpenSSH_9.2\r\n"), False, HEALTH, "not_http"),
    (http.client.BadStatusLine("\x15\x03\x01\x00\x02\x02\x16"), False, HEALTH, "server_speaks_tls"),
    (verification_error(10), True, HEALTH, "certificate_expired"),
    (verification_error(9), True, HEALTH, "certificate_not_yet_valid"),
    (verification_error(18), True, HEALTH, "unknown_ca"),
    (verification_error(20), True, HEALTH, "unknown_ca"),
    (verification_error(62), True, HEALTH, "name_mismatch"),
    (verification_error(64), True, HEALTH, "name_mismatch"),
    (verification_error(66), True, HEALTH, "certificate_refused"),
    (ssl_error("WRONG_VERSION_NUMBER"), True, HEALTH, "server_speaks_plain_http"),
    (ssl_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), False, HEALTH, "client_certificate_refused"),
    (ssl_error("NO_PROTOCOLS_AVAILABLE"), True, HEALTH, "handshake_failed"),
]


@pytest.mark.parametrize(("exc", "connecting", "step", "cause"), TRANSPORT)
def test_failed_connection(exc, connecting, step, cause):
    assert cause_of(step, transport_error(exc, connecting), connect()) == cause


def test_every_remedy_can_be_written_and_every_cause_has_a_status():
    facts = dict.fromkeys(["uri", "host", "user", "experiment", "client_version", "server_version"], "X")
    for cause in CAUSES:
        diagnosis = Diagnosis(cause, "words", READ, facts)
        assert diagnosis.status in STATUSES
        assert not set("{}") & set(diagnosis.remedy)
        assert diagnosis.remedy.endswith((".", "`."))
    assert STATUSES[0] == "ok"


def test_remedies_differ_by_cause():
    remedies = [remedy for dummy, dummy, remedy in CAUSES.values()]
    assert len(set(remedies)) == len(remedies)


LOGGED_MODEL_ABSENT = (
    '{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Logged model with ID \'m-probe\' not found.", "sqlstate": "KAM00", '
    '"error_class": "RESOURCE_NOT_FOUND"}'
)


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [(404, LOGGED_MODEL_ABSENT, True), (404, NOT_FOUND, False), (401, LOGIN, None), (503, DATABASE_GONE, None)],
)
def test_logged_models_probe(status, body, answer):
    client = MlflowClient(connect(), FakeTransport(Response(status, [], body.encode())))
    assert logged_models_api(client) is answer


def test_secrets_are_masked_in_the_servers_words():
    connection = connect(username="u", password=string.printable.strip())
    error = error_of(500, TEXT, f"echo: {connection.password}", connection)
    assert connection.password not in error.message
    assert "********" in error.message
