"""Tests of roles/mlflow/files/mlflow_verify.py without MLflow: what it refuses to call verified, and that it always cleans up.

The whole path against a real server is what every run of the playbook ends with.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lib.certificates import make_certificate

SCRIPT = Path(__file__).parents[2] / "roles" / "mlflow" / "files" / "mlflow_verify.py"
ADMIN = {"username": "admin", "password": "pass: wörd"}
LOGIN = "Basic " + base64.b64encode("admin:pass: wörd".encode()).decode()
HOSTS = ["platform.example", "platform.example:8443"]


@pytest.fixture(scope="module")
def verify():
    spec = importlib.util.spec_from_file_location("mlflow_verify", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(self.server.answer(self.headers.get("Authorization"), self.headers["Host"]))
        self.end_headers()

    def log_message(self, *_args):
        pass


@pytest.fixture
def server():
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


def closed(login, host):
    """What a server answers that is as it should be."""
    if host not in (*HOSTS, None) and not host.startswith("127.0.0.1:"):
        return 403
    return 200 if login == LOGIN else 401


@pytest.fixture
def verification(verify, server):
    # __init__ imports MLflow's client, which these steps do not use
    found = verify.Verification.__new__(verify.Verification)
    found.request = {"tracking_uri": f"http://127.0.0.1:{server.server_port}", "ca": "", "admin": ADMIN, "hosts": HOSTS}
    found.verified = []
    return found


def test_a_closed_server_is_verified(server, verification):
    server.answer = closed
    verification.refusals()
    assert len(verification.verified) == 4
    assert "wrong Host header is refused (403)" in verification.verified


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda login, host: 200 if login is None else closed(login, host), "no password: the server answered 200"),
        (lambda login, host: 200 if login else 401, "wrong password: the server answered 200"),
        (lambda login, host: 200 if login == LOGIN else 401, "wrong Host header: the server answered 200"),
        (lambda login, host: 403 if host == HOSTS[1] else closed(login, host), f"Host header {HOSTS[1]}: answered 403"),
        (lambda login, host: 503, "no password: the server answered 503"),
    ],
)
def test_a_server_that_is_open_or_closed_to_its_users_is_not(verify, server, verification, answer, words):
    server.answer = answer
    with pytest.raises(verify.VerificationError, match=words):
        verification.refusals()


@pytest.fixture
def secured(verify, tmp_path):
    """Return a function that looks at a server whose certificate an authority of the test's own has signed; it takes the file to trust."""
    root = make_certificate(tmp_path, "root")
    pair = make_certificate(tmp_path, "server", issuer=root)[0]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair, pair.with_suffix(".key"))
    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.answer = closed
    found.socket = context.wrap_socket(found.socket, server_side=True)
    threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True).start()

    def look(ca):
        verification = verify.Verification.__new__(verify.Verification)
        verification.request = {"tracking_uri": f"https://127.0.0.1:{found.server_port}", "ca": ca and str(root[0])}
        return verification.status_of()

    yield look, str(root[0])
    found.shutdown()
    found.server_close()


def test_a_certificate_is_held_against_the_authorities_that_were_given(secured):
    look, _root = secured
    assert look("its own") == 401


def test_a_certificate_that_nobody_here_trusts_is_told_with_the_variable(verify, secured):
    look, _root = secured
    with pytest.raises(verify.VerificationError, match="unable to get local issuer certificate.*the system.*ingress_tls_ca"):
        look("")


def test_the_systems_authorities_are_known_where_none_are_given(verify, secured, monkeypatch):
    look, root = secured
    # what OpenSSL takes in place of the system's file
    monkeypatch.setenv("SSL_CERT_FILE", root)
    assert look("") == 401
    assert verify.system_authorities() == root


class Recorder:
    """Stands for the steps: each notes its name, and those in `failing` raise."""

    STEPS = ("refusals", "make_user", "log_run", "load_back", "look_into_bucket", "clean_up")

    def __init__(self, *failing):
        self.calls, self.verified = [], []
        for name in self.STEPS:
            setattr(self, name, lambda name=name: self.call(name, name in failing))

    def call(self, name, fails):
        self.calls.append(name)
        if fails:
            raise RuntimeError(f"{name} went wrong")


def test_all_steps_are_taken_in_order(verify):
    steps = Recorder()
    assert verify.run(steps) is None
    assert steps.calls == list(Recorder.STEPS)
    assert steps.verified == ["all of it was removed again"]


@pytest.mark.parametrize("failing", ["make_user", "log_run", "load_back", "look_into_bucket"])
def test_what_was_made_is_removed_after_any_failure(verify, failing):
    steps = Recorder(failing)
    assert verify.run(steps) == f"RuntimeError: {failing} went wrong"
    assert steps.calls == [*Recorder.STEPS[: Recorder.STEPS.index(failing) + 1], "clean_up"]
    assert steps.verified == []


def test_nothing_is_made_on_a_server_that_is_open(verify):
    steps = Recorder("refusals")
    assert verify.run(steps) == "RuntimeError: refusals went wrong"
    assert steps.calls == ["refusals"]


def test_a_failed_clean_up_is_a_failure(verify):
    assert verify.run(Recorder("clean_up")) == "RuntimeError: clean_up went wrong"


def test_clean_up_tries_every_part_and_names_those_that_failed(verify):
    calls = []

    def fail(what):
        calls.append(what)
        raise OSError(f"{what} cannot be removed")

    client = type("Client", (), {name: lambda self, value, name=name: fail(name) for name in ("delete_run", "delete_experiment")})
    found = verify.Verification.__new__(verify.Verification)
    found.mlflow = type("Mlflow", (), {"MlflowClient": client})
    found.run = type("Run", (), {"info": type("Info", (), {"run_id": "r1"})})
    found.experiment, found.model, found.bucket, found.request = "1", None, None, {}
    found.remove_user = lambda: calls.append("user")
    with pytest.raises(verify.VerificationError) as caught:
        found.clean_up()
    assert calls == ["delete_run", "delete_experiment", "user"]
    assert "run: delete_run cannot be removed" in str(caught.value)
    assert "experiment: delete_experiment cannot be removed" in str(caught.value)


def test_secrets_are_read_from_standard_input_alone():
    done = subprocess.run([sys.executable, SCRIPT, "ignored"], input="{}", capture_output=True, text=True, check=False)
    assert done.returncode != 0
    # a request without its keys: it was read, and found wanting
    assert "KeyError" in done.stderr
    assert json.dumps(ADMIN) not in SCRIPT.read_text(encoding="utf-8")
