"""The proof after a rotation: an old password that still opens something is told, and one that is remembered for a moment is waited for."""

from __future__ import annotations

import base64
import http.server
import importlib.util
import socket
import threading

import pytest
from lib.render import ROOT

spec = importlib.util.spec_from_file_location("rotate_refused", ROOT / "roles/rotate/files/rotate_refused.py")
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
NOTHING = {"postgresql": {"logins": []}, "s3": {"keys": []}, "mlflow": {"password": ""}, "scraper": {"password": ""}}


def mlflow(url, seconds, processes=1):
    """Return the part of a request about MLflow, all of whose processes are at `url`."""
    return {"urls": [url] * processes, "ca": "", "username": "admin", "password": "old", "seconds": seconds}


@pytest.fixture
def server():
    """A server that gives `answers` one after the other, the last one for ever; `asked` has the logins."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 - http.server's name
            made.asked.append(base64.b64decode(self.headers["Authorization"].split()[1]).decode())
            self.send_response(made.answers.pop(0) if len(made.answers) > 1 else made.answers[0])
            self.end_headers()

        def log_message(self, *_words):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.answers, made.asked = [], []
        made.url = f"http://127.0.0.1:{made.server_port}"
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_a_login_that_is_remembered_for_a_moment_is_waited_for(server):
    server.answers = [200, 401]
    verified = []
    program.verify({**NOTHING, "mlflow": mlflow(server.url, 30)}, verified)
    assert verified == ["MLflow: the old password of admin"]
    assert server.asked == ["admin:old"] * 2


def test_each_process_is_asked(server):
    server.answers = [401, 200, 401]
    program.verify({**NOTHING, "mlflow": mlflow(server.url, 30, 2)}, [])
    assert len(server.asked) == 3


@pytest.mark.parametrize("answer", [200, 500])
def test_one_that_is_not_refused_is_told(server, answer):
    server.answers = [answer]
    verified = []
    with pytest.raises(program.VerificationError, match=f"MLflow answers {answer} to the old password of admin"):
        program.verify({**NOTHING, "mlflow": mlflow(server.url, 0)}, verified)
    assert verified == []


def test_a_server_that_does_not_answer_proves_nothing():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        login = {"username": "mlflow", "database": "mlflow", "password": "old"}
        with pytest.raises(program.VerificationError, match="answers to the old password of mlflow"):
            program.verify({**NOTHING, "postgresql": {"host": "127.0.0.1", "port": port, "sslmode": "prefer", "logins": [login]}}, [])
