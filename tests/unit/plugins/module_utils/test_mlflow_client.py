"""The connection's options and the client: what goes over the wire."""

from __future__ import annotations

import base64
import json
import string

import pytest
from ansible_collections.mlops.platform.plugins.module_utils.mlflow import MlflowConnection, mlflow_argument_spec
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_client import MlflowClient
from ansible_collections.mlops.platform.plugins.module_utils.mlflow_http import HttpTransport, MlflowError, Response, plain_words
from lib.mlflow_transport import FakeTransport


def connect(**options):
    return MlflowConnection({"tracking_uri": "http://mlflow.test:5000", **options})


def answer(body, status=200):
    return Response(status, [("Content-Type", "application/json")], json.dumps(body).encode())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tracking_uri": "sqlite:///mlflow.db"}, "tracking_uri: must be http://"),
        ({"tracking_uri": "http://"}, "tracking_uri: must be http://"),
        ({"tracking_uri": "http://host:port"}, "tracking_uri: its port is not a number"),
        ({"tracking_uri": "http://host?x=1"}, "tracking_uri: must not have a query"),
        ({"username": "a:b", "password": "x"}, "username: a colon"),
        ({"username": "a"}, "username and password: give both or neither"),
        ({"password": "x"}, "username and password: give both or neither"),
        ({"token": "with space"}, "token: may hold printable ASCII"),
        ({"token": "line\nbreak"}, "token: may hold printable ASCII"),
        ({"host_header": "hö.test"}, "host_header: may hold printable ASCII"),
        ({"tracking_uri": "https://host", "ca_bundle": "/nonexistent/ca.pem"}, "ca_bundle: /nonexistent/ca.pem is not a readable file"),
        (
            {"tracking_uri": "https://host", "client_cert": "/nonexistent/c.pem"},
            "client_cert, client_key: /nonexistent/c.pem cannot be used",
        ),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(ValueError, match="^" + said.replace("(", r"\(")):
        connect(**options)


def test_all_wrong_options_in_one_message():
    with pytest.raises(ValueError, match="tracking_uri: .*username: .*token: ") as caught:
        connect(tracking_uri="ftp://host", username="a:b", password="x", token="a b")
    assert "a b" not in str(caught.value)


def test_credentials_in_the_address_are_refused_and_not_repeated():
    with pytest.raises(ValueError, match="must not hold a name or password") as caught:
        connect(tracking_uri="http://user:s3cret@host")
    assert "s3cret" not in str(caught.value)


def test_repr_and_secrets():
    connection = connect(username="u", password="p4ssw0rd", token="t0ken")
    assert repr(connection) == "MlflowConnection('http://mlflow.test:5000', basic)"
    assert connection.secrets == ["p4ssw0rd", "t0ken"]


@pytest.mark.parametrize(
    ("uri", "prefix", "target"),
    [
        ("http://h", None, "/api/x"),
        ("http://h/", "", "/api/x"),
        ("http://h", "/ml", "/ml/api/x"),
        ("http://h", "ml/", "/ml/api/x"),
        ("http://h/ml/", None, "/ml/api/x"),
        ("http://h/outer", "ml", "/outer/ml/api/x"),
    ],
)
def test_prefix(uri, prefix, target):
    transport = FakeTransport(answer({}))
    MlflowClient(connect(tracking_uri=uri, static_prefix=prefix), transport).call("GET", "/api/x")
    assert transport.sent[0][1] == target


def test_unprefixed_leaves_the_static_prefix_out_and_keeps_the_path():
    transport = FakeTransport(answer({}))
    MlflowClient(connect(tracking_uri="http://h/outer", static_prefix="ml"), transport).request("HEAD", "/metrics", unprefixed=True)
    assert transport.sent[0][1] == "/outer/metrics"


@pytest.mark.parametrize("password", [string.printable.strip() + " ", "a:b:c", "пароль-漢字-🔑"])
def test_basic_credentials_are_utf8_and_keep_every_character(password):
    transport = FakeTransport(answer({}))
    MlflowClient(connect(username="ü", password=password, token="ignored"), transport).call("GET", "/x")
    scheme, encoded = transport.sent[0][2]["Authorization"].split(" ")
    assert (scheme, base64.b64decode(encoded).decode("utf-8")) == ("Basic", f"ü:{password}")


def test_token_host_and_json():
    transport = FakeTransport(answer({"a": 1}))
    got = MlflowClient(connect(token="t0ken", host_header="other.test"), transport).call("POST", "/x", json={"k": "ü"})
    method, dummy, headers, body = transport.sent[0]
    assert (got, method, json.loads(body)) == ({"a": 1}, "POST", {"k": "ü"})
    assert headers["Authorization"] == "Bearer t0ken"
    assert headers["Host"] == "other.test"
    assert headers["Content-Type"] == "application/json"


def test_anonymous_sends_no_credentials():
    transport = FakeTransport(answer({}))
    MlflowClient(connect(username="", password=""), transport).call("GET", "/x", params={"a": "b c&d"})
    assert "Authorization" not in transport.sent[0][2]
    assert transport.sent[0][1] == "/x?a=b+c%26d"


def test_pages_follow_the_token_by_get_and_post():
    for method, place in (("GET", 1), ("POST", 3)):
        transport = FakeTransport(answer({"items": [1, 2], "next_page_token": "abc"}), answer({"items": [3]}))
        assert list(MlflowClient(connect(), transport).pages(method, "/x", "items", json={}, params={})) == [1, 2, 3]
        sent = transport.sent[1][place]
        assert "abc" in (sent if isinstance(sent, str) else sent.decode())


@pytest.mark.parametrize("body", [b"<html><body>Sign in</body></html>", b"[1]", b'"text"'])
def test_a_success_that_is_not_mlflows(body):
    with pytest.raises(MlflowError) as caught:
        MlflowClient(connect(), FakeTransport(Response(200, [], body))).call("GET", "/x")
    assert caught.value.kind == "not_json"


def test_error_of_mlflow_and_of_fastapi():
    for body, code, words in (
        ({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"}, "RESOURCE_DOES_NOT_EXIST", "gone"),
        ({"detail": "off"}, None, "off"),
        ({"detail": [{"loc": "x"}]}, None, '{"detail": [{"loc": "x"}]}'),
    ):
        with pytest.raises(MlflowError) as caught:
            MlflowClient(connect(), FakeTransport(answer(body, 404))).call("GET", "/x")
        assert (caught.value.status_code, caught.value.error_code, caught.value.message) == (404, code, words)


def test_plain_words():
    assert plain_words("<!DOCTYPE html><html><style>p{}</style><title>No</title>\n<p>way</p></html>") == "No way"
    assert plain_words("1 < 2\n and  <b>") == "1 < 2 and <b>"
    assert len(plain_words("x" * 5000)) == 1000


def test_get_is_sent_again_on_a_connection_that_the_server_closed_but_post_is_not():
    calls = []

    class Transport(HttpTransport):
        def _send(self, method, target, headers, body):
            calls.append(method)
            if len(calls) == 2:
                raise MlflowError("closed", "gone")
            self._connection, self._last_used = type("Open", (), {"close": lambda self: None})(), float("inf")
            return Response(200, [], b"")

    transport = Transport("http", "h", 80, 1)
    for method in ("GET", "GET"):
        transport.request(method, "/", {})
    assert calls == ["GET", "GET", "GET"]
    calls.clear()
    transport = Transport("http", "h", 80, 1)
    transport.request("GET", "/", {})
    with pytest.raises(MlflowError):
        transport.request("POST", "/", {})
    assert calls == ["GET", "POST"]


@pytest.mark.parametrize(("value", "expected"), [("true", False), ("1", False), ("TRUE", False), ("false", True), ("", True)])
def test_insecure_tls_of_the_environment(monkeypatch, value, expected):
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", value)
    function, names = mlflow_argument_spec()["validate_certs"]["fallback"]
    assert function(*names) is expected
