"""The program that tells the kubelet whether MLflow answers."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from lib.render import ODD, ROOT

FILES = ROOT / "roles" / "mlflow" / "files"


class Server(BaseHTTPRequestHandler):
    """Answers with the status that its server has, and keeps what it was asked."""

    def do_GET(self):  # noqa: N802 - http.server's name
        self.server.seen.append((self.path, self.headers["Host"], self.headers["Authorization"]))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b'{"error_code": "TEMPORARILY_UNAVAILABLE"}')

    def log_message(self, *_args):
        """Say nothing."""


@pytest.fixture
def ready(tmp_path):
    """Return a function that runs the probe against a server with the given status."""
    (tmp_path / "username").write_text("admin")
    (tmp_path / "password").write_text(ODD)

    def run(status):
        with HTTPServer(("127.0.0.1", 0), Server) as server:
            server.status, server.seen = status, []
            threading.Thread(target=server.serve_forever, daemon=True).start()
            done = probe(server.server_port)
            server.shutdown()
        return done.returncode, done.stdout, server.seen

    def probe(port):
        command = [sys.executable, "-I", "-S", str(FILES / "mlflow_ready.py"), "http", str(tmp_path), str(port)]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    run.probe = probe
    return run


@pytest.mark.parametrize("status, code", [(200, 0), (401, 0), (503, 1), (500, 1), (403, 1)])
def test_readiness_is_the_databases_answer(ready, status, code):
    found, printed, seen = ready(status)
    assert found == code
    ((path, host, login),) = seen
    assert path.startswith("/api/2.0/mlflow/experiments/search?")
    assert host.startswith("127.0.0.1:")
    assert base64.b64decode(login.removeprefix("Basic ")).decode() == f"admin:{ODD}"
    # the kubelet puts it into the pod's events
    assert printed.split()[1:3] == ([str(status), printed.split()[2]] if code else [])


def test_readiness_without_a_server(ready):
    done = ready.probe(1)
    assert (done.returncode, done.stdout.split(":")[0]) == (1, "ConnectionRefusedError")
