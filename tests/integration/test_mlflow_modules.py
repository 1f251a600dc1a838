"""mlflow_health and mlflow_info on a running platform. Server state is read by urllib alone."""

from __future__ import annotations

import base64
import concurrent.futures
import http.server
import json
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest
from lib.modules import run_module

ONCE = {"wait_timeout": 0, "grace": 0}


class Rest:
    """An independent client."""

    def __init__(self, connection):
        self.base = connection["tracking_uri"].rstrip("/")
        self.context = None
        if self.base.startswith("https"):
            self.context = ssl.create_default_context(cafile=connection.get("ca_bundle"))
        pair = f"{connection['username']}:{connection['password']}".encode()
        self.headers = {"Authorization": "Basic " + base64.b64encode(pair).decode(), "Content-Type": "application/json"}

    def __call__(self, method, endpoint, body=None, **params):
        url = self.base + endpoint + ("?" + urllib.parse.urlencode(params) if params else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, self.headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read().decode()
        return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text.decode()


@pytest.fixture(scope="module")
def rest(mlflow_connection):
    return Rest(mlflow_connection)


@pytest.fixture
def experiment(rest):
    """Give a unique experiment name; delete the experiment afterwards."""
    name = f"health-test-{uuid.uuid4().hex[:12]}"
    yield name
    status, answer = rest("GET", "/api/2.0/mlflow/experiments/get-by-name", experiment_name=name)
    if status == 200:
        rest("POST", "/api/2.0/mlflow/experiments/delete", {"experiment_id": answer["experiment"]["experiment_id"]})


def runs(rest, name, view):
    status, answer = rest("GET", "/api/2.0/mlflow/experiments/get-by-name", experiment_name=name)
    assert status == 200, answer
    body = {"experiment_ids": [answer["experiment"]["experiment_id"]], "run_view_type": view}
    return rest("POST", "/api/2.0/mlflow/runs/search", body)[1].get("runs", [])


def artifacts_of(rest, run):
    path = urllib.parse.urlsplit(run["info"]["artifact_uri"]).path.strip("/")
    status, answer = rest("GET", "/api/2.0/mlflow-artifacts/artifacts", path=f"{path}/health_check")
    assert status == 200, answer
    return answer.get("files", [])


@pytest.mark.parametrize(
    ("depth", "steps"), [("liveness", {"health", "server_info"}), ("database", {"health", "server_info", "read_database"})]
)
def test_well(mlflow_connection, depth, steps):
    result = run_module("mlflow_health", {**mlflow_connection, **ONCE, "depth": depth})
    assert not result.get("failed"), result
    assert (result["status"], result["depth_reached"], result["attempts"], result["changed"]) == ("ok", depth, 1, False)
    assert steps <= set(result["latency_ms"])


def test_roundtrip_leaves_nothing_and_uses_its_run_again(mlflow_connection, rest, experiment):
    arguments = {**mlflow_connection, **ONCE, "depth": "roundtrip", "experiment_name": experiment}
    predicted = run_module("mlflow_health", arguments, check=True)
    assert (predicted["status"], predicted["depth_reached"], predicted["changed"]) == ("ok", "database", True)
    assert "check mode" in predicted["notes"][0]
    assert rest("GET", "/api/2.0/mlflow/experiments/get-by-name", experiment_name=experiment)[0] == 404

    first = run_module("mlflow_health", arguments)
    assert (first["status"], first["depth_reached"], first["changed"], first["leftovers"]) == ("ok", "roundtrip", True, []), first
    assert runs(rest, experiment, "ACTIVE_ONLY") == []
    (kept,) = runs(rest, experiment, "DELETED_ONLY")
    assert artifacts_of(rest, kept) == []

    second = run_module("mlflow_health", arguments)
    assert (second["status"], second["changed"], second["leftovers"]) == ("ok", False, []), second
    assert runs(rest, experiment, "ACTIVE_ONLY") == []
    (again,) = runs(rest, experiment, "DELETED_ONLY")
    assert again["info"]["run_id"] == kept["info"]["run_id"]
    assert artifacts_of(rest, again) == []
    assert len(again["data"]["params"]) == 1
    assert run_module("mlflow_health", arguments, check=True)["changed"] is False


def test_roundtrip_restores_a_deleted_experiment(mlflow_connection, rest, experiment):
    arguments = {**mlflow_connection, **ONCE, "depth": "roundtrip", "experiment_name": experiment}
    assert run_module("mlflow_health", arguments)["changed"] is True
    found = rest("GET", "/api/2.0/mlflow/experiments/get-by-name", experiment_name=experiment)[1]["experiment"]
    assert rest("POST", "/api/2.0/mlflow/experiments/delete", {"experiment_id": found["experiment_id"]})[0] == 200
    assert run_module("mlflow_health", arguments, check=True)["changed"] is True
    result = run_module("mlflow_health", arguments)
    assert (result["status"], result["changed"]) == ("ok", True), result
    assert runs(rest, experiment, "ACTIVE_ONLY") == []


def test_roundtrips_at_the_same_time(mlflow_connection, rest, experiment):
    arguments = {**mlflow_connection, "wait_timeout": 30, "depth": "roundtrip", "experiment_name": experiment}
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda dummy: run_module("mlflow_health", arguments), range(3)))
    assert [result["status"] for result in results] == ["ok"] * 3, results
    assert runs(rest, experiment, "ACTIVE_ONLY") == []


def test_client_versions(mlflow_connection):
    arguments = {**mlflow_connection, **ONCE}
    version = run_module("mlflow_health", {**arguments, "client_version": "2.22.0"})["server_version"]
    next_major = f"{int(version.split('.')[0]) + 1}.0.0"
    result = run_module("mlflow_health", {**arguments, "client_version": next_major})
    assert (result["failed"], result["status"], result["depth_reached"]) == (True, "client_incompatible", "database")
    assert version in result["remedy"]


@pytest.mark.parametrize(
    ("options", "status", "cause", "depth"),
    [
        ({"username": "", "password": ""}, "auth_required", "auth_required", "liveness"),
        ({"password": "wrong-password-1"}, "auth_failed", "auth_failed", "liveness"),
        ({"username": "nobody-of-that-name"}, "auth_failed", "auth_failed", "liveness"),
        ({"password": "falsches-Paßwort-漢字"}, "auth_failed", "auth_failed", "liveness"),
        ({"host_header": "rebinding.example.org"}, "host_rejected", "host_rejected", "none"),
        ({"static_prefix": "/no-such-prefix"}, "not_mlflow", "no_such_path", "none"),
    ],
)
def test_refusals(mlflow_connection, options, status, cause, depth):
    result = run_module("mlflow_health", {**mlflow_connection, **ONCE, **options})
    assert result["failed"] is True
    assert (result["status"], result["cause"], result["depth_reached"]) == (status, cause, depth), result
    assert result["remedy"] in result["msg"]
    expected = run_module("mlflow_health", {**mlflow_connection, **ONCE, **options, "expect": [status]})
    assert not expected.get("failed")


def test_a_token_is_refused_and_harms_nobody(mlflow_connection):
    """MLflow 3.17 with its cache of logins answers 500 to anything but basic authentication: refused, but nobody else may notice."""
    token = {**mlflow_connection, **ONCE, "username": "", "password": "", "token": "t0ken"}
    for _attempt in range(4):
        assert run_module("mlflow_health", token)["status"] in ("auth_failed", "server_error")
        assert run_module("mlflow_health", {**mlflow_connection, **ONCE})["status"] == "ok"


def test_liveness_needs_no_login(mlflow_connection):
    result = run_module("mlflow_health", {**mlflow_connection, **ONCE, "username": "", "password": "", "depth": "liveness"})
    assert (result["status"], result["server_version"]) == ("ok", None)


def test_no_permission_on_the_experiment(mlflow_connection, rest, experiment):
    name, password = f"reader-{uuid.uuid4().hex[:8]}", "reader-password-1"
    administrator = {**mlflow_connection, **ONCE, "depth": "roundtrip", "experiment_name": experiment}
    assert run_module("mlflow_health", administrator)["status"] == "ok"
    assert rest("POST", "/api/2.0/mlflow/users/create", {"username": name, "password": password})[0] == 200
    try:
        result = run_module("mlflow_health", {**administrator, "username": name, "password": password})
        assert (result["status"], result["cause"], result["depth_reached"]) == ("auth_failed", "forbidden", "database"), result
        assert experiment in result["remedy"]
    finally:
        rest("DELETE", "/api/2.0/mlflow/users/delete", {"username": name})


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_nothing_there(mlflow_connection):
    for uri, cause in ((f"http://127.0.0.1:{free_port()}", "refused"), ("http://no-such-host.invalid", "dns")):
        result = run_module("mlflow_health", {**mlflow_connection, **ONCE, "tracking_uri": uri})
        assert (result["status"], result["cause"], result["depth_reached"]) == ("unreachable", cause, "none"), result


class LoginPage(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = b"<!DOCTYPE html><html><title>Sign in</title></html>"
        status = 302 if self.path.startswith("/moved") else 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/taken")
        self.end_headers()
        self.wfile.write(page)
        self.server.seen.append((self.path, self.headers.get("Authorization")))

    def log_message(self, *args):
        pass


def test_other_programs_on_the_port(mlflow_connection):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), LoginPage) as server:
        server.seen = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        page = run_module("mlflow_health", {**mlflow_connection, **ONCE, "tracking_uri": uri})
        moved = run_module("mlflow_health", {**mlflow_connection, **ONCE, "tracking_uri": uri + "/moved"})
        tls = run_module("mlflow_health", {**mlflow_connection, **ONCE, "tracking_uri": uri.replace("http", "https"), "ca_bundle": None})
        server.shutdown()
        seen = list(server.seen)
    assert (page["status"], page["cause"]) == ("not_mlflow", "not_mlflow")
    assert (moved["status"], moved["cause"]) == ("not_mlflow", "redirect")
    assert (tls["status"], tls["cause"]) == ("tls_error", "server_speaks_plain_http")
    # the redirect was not followed
    assert [path for path, dummy in seen] == ["/health", "/moved/health"]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            peer = listener.accept()[0]
            peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            peer.recv(1)
            peer.close()

        threading.Thread(target=greet, daemon=True).start()
        result = run_module("mlflow_health", {**mlflow_connection, **ONCE, "tracking_uri": f"http://127.0.0.1:{listener.getsockname()[1]}"})
    assert (result["status"], result["cause"]) == ("not_mlflow", "not_http")


def test_info(mlflow_connection, rest):
    result = run_module("mlflow_info", mlflow_connection)
    assert not result.get("failed"), result
    assert result["version"] == rest("GET", "/version")[1]
    assert result["user"]["name"] == mlflow_connection["username"]
    assert result["features"]["basic_auth"] is True
    assert result["features"]["logged_models"] is True
    assert result["server_info"] == rest("GET", "/api/3.0/mlflow/server-info")[1]
    assert result["features"]["prometheus_metrics"] is (rest("GET", "/metrics")[0] == 200)
    assert result["counts"]["users"] == len(rest("GET", "/api/2.0/mlflow/users/list")[1]["users"])


def test_info_sees_where_there_are_metrics(platform, mlflow_connection, rest):
    """Each process counts its own and shows them when it is asked directly; through the public address there are none."""
    assert rest("GET", "/metrics")[0] == 404
    assert run_module("mlflow_info", {**mlflow_connection, "gather": ["features"]})["features"]["prometheus_metrics"] is False
    for port in platform.mlflow_ports:
        direct = {**mlflow_connection, "tracking_uri": f"http://127.0.0.1:{port}"}
        status, answer = Rest(direct)("GET", "/metrics")
        assert status == 200 and "mlflow_http_request_total" in answer
        assert run_module("mlflow_info", {**direct, "gather": ["features"]})["features"]["prometheus_metrics"] is True


def test_info_counts(mlflow_connection, rest):
    before = run_module("mlflow_info", {**mlflow_connection, "gather": ["counts"]})["counts"]
    name = f"info-test-{uuid.uuid4().hex[:12]}"
    made = rest("POST", "/api/2.0/mlflow/experiments/create", {"name": name})[1]["experiment_id"]
    assert rest("POST", "/api/2.0/mlflow/registered-models/create", {"name": name})[0] == 200
    try:
        during = run_module("mlflow_info", {**mlflow_connection, "gather": ["counts"]})
        assert "features" not in during
        assert during["counts"]["experiments"] == before["experiments"] + 1
        assert during["counts"]["registered_models"] == before["registered_models"] + 1
    finally:
        rest("DELETE", "/api/2.0/mlflow/registered-models/delete", {"name": name})
        rest("POST", "/api/2.0/mlflow/experiments/delete", {"experiment_id": made})
    after = run_module("mlflow_info", {**mlflow_connection, "gather": ["counts"]})["counts"]
    assert after == {**before, "deleted_experiments": before["deleted_experiments"] + 1}


def test_info_refused(mlflow_connection):
    result = run_module("mlflow_info", {**mlflow_connection, "password": "wrong-password-1"})
    assert (result["failed"], result["status"]) == (True, "auth_failed")
    assert "Reading the server failed" in result["msg"]
