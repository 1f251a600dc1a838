"""Tests of roles/mlflow/files/mlflow_rolling_restart.py against a stand-in of Traefik's API and of the processes."""

from __future__ import annotations

import base64
import fcntl
import importlib.util
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "roles" / "mlflow" / "files" / "mlflow_rolling_restart.py"
# what a "restart" is here: note who was listed meanwhile, and revive the process
RESTART = """
import json, sys
from pathlib import Path
folder, url, code = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
document = json.loads((folder / "routes" / "mlflow-servers.yml").read_text())
listed = [server["url"] for server in document["http"]["services"]["mlflow"]["loadBalancer"]["servers"]]
with (folder / "restarts").open("a") as stream:
    stream.write(json.dumps({"url": url, "listed": listed}) + "\\n")
print("the manager's own words")
sys.exit(code)
"""


@pytest.fixture
def rolling(monkeypatch):
    spec = importlib.util.spec_from_file_location("mlflow_rolling_restart", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0)
    return module


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        code, body = self.server.answer(self.path, self.headers.get("Authorization"))
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


@pytest.fixture
def serve():
    servers = []

    def make(answer):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.answer = answer
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


class Platform:
    """Traefik, the processes and the files between them."""

    def __init__(self, folder, serve, processes):
        self.folder, self.dead, self.stale, self.down = folder, set(), None, set()
        (folder / "routes").mkdir()
        self.file = folder / "routes" / "mlflow-servers.yml"
        (folder / "api.auth").write_text("mlops:an: odd password\n")
        (folder / "ready.auth").write_text("admin:secret\n")
        (folder / "restart.py").write_text(RESTART)
        self.codes = {}
        self.api = serve(self.traefik)
        self.urls = sorted(serve(lambda path, login, number=number: self.process(number, path, login)) for number in range(processes))
        self.numbers = {}
        self.list(self.urls)
        self.file.chmod(0o640)

    def list(self, urls):
        servers = [{"url": url} for url in urls]
        balancer = {"servers": servers, "healthCheck": {"path": "/health"}}
        self.file.write_text(json.dumps({"http": {"services": {"mlflow": {"loadBalancer": balancer}}}}))

    def listed(self):
        return [server["url"] for server in json.loads(self.file.read_text())["http"]["services"]["mlflow"]["loadBalancer"]["servers"]]

    def traefik(self, path, login):
        if login != "Basic " + base64.b64encode(b"mlops:an: odd password").decode():
            return 401, b""
        if path != "/api/http/services/mlflow@file":
            return 404, b""
        servers = self.stale if self.stale is not None else self.listed()
        status = {url: "DOWN" if url in self.down else "UP" for url in servers}
        return 200, json.dumps({"loadBalancer": {"servers": [{"url": url} for url in servers]}, "serverStatus": status}).encode()

    def process(self, number, path, login):
        assert path == "/api/2.0/mlflow/experiments/search?max_results=1"
        if login != "Basic " + base64.b64encode(b"admin:secret").decode():
            return 401, b""
        return (503, b"no database") if number in self.dead else (200, b"{}")

    def restarts(self):
        path = self.folder / "restarts"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def arguments(self, urls=None, *more):
        found = ["--servers-file", str(self.file), "--api", self.api, "--api-auth-file", str(self.folder / "api.auth")]
        found += ["--ready-auth-file", str(self.folder / "ready.auth"), "--confirm-timeout", "30", "--ready-timeout", "30"]
        for url in urls or self.urls:
            command = f"{sys.executable} {self.folder}/restart.py {self.folder} {url} {self.codes.get(url, 0)}"
            found += ["--server", url, command]
        return [*found, *more]


@pytest.fixture
def platform(tmp_path, serve):
    return Platform(tmp_path, serve, 3)


def last_json(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_each_process_is_out_while_it_restarts_and_all_others_serve(rolling, platform, capsys):
    before = json.loads(platform.file.read_text())
    assert rolling.main(platform.arguments()) == 0
    assert platform.restarts() == [{"url": url, "listed": [u for u in platform.urls if u != url]} for url in platform.urls]
    assert last_json(capsys)["restarted"] == platform.urls
    # the same document as before, and the same mode
    assert json.loads(platform.file.read_text()) == before
    assert platform.file.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in platform.file.parent.iterdir()) == ["mlflow-servers.yml"]


def test_only_the_named_processes_are_restarted(rolling, platform):
    assert rolling.main(platform.arguments(platform.urls[1:2], "--server", platform.urls[2], f"{sys.executable} -c pass")) == 0
    assert [entry["url"] for entry in platform.restarts()] == platform.urls[1:2]
    assert platform.listed() == platform.urls


def test_a_single_process_is_restarted_in_place(rolling, platform):
    platform.list(platform.urls[:1])
    assert rolling.main(platform.arguments(platform.urls[:1])) == 0
    assert platform.restarts() == [{"url": platform.urls[0], "listed": platform.urls[:1]}]
    assert platform.listed() == platform.urls[:1]


def test_a_process_that_does_not_come_back_stays_out_and_the_others_are_left_alone(rolling, tmp_path, serve, capsys):
    platform = Platform(tmp_path, serve, 3)
    platform.dead = {0, 1, 2}
    assert rolling.main(platform.arguments(None, "--ready-timeout", "0.2")) == 1
    assert platform.listed() == platform.urls[1:]
    assert [entry["url"] for entry in platform.restarts()] == platform.urls[:1]
    error = capsys.readouterr().err
    assert platform.urls[0] in error
    assert "503" in error


def test_the_next_run_begins_with_the_process_that_is_out(rolling, platform):
    platform.list(platform.urls[:2])
    assert rolling.main(platform.arguments()) == 0
    assert [entry["url"] for entry in platform.restarts()] == [platform.urls[2], *platform.urls[:2]]
    assert platform.listed() == platform.urls


def test_a_restart_command_that_fails_is_told_with_its_words(rolling, platform, capsys):
    platform.codes[platform.urls[0]] = 7
    assert rolling.main(platform.arguments()) == 1
    error = capsys.readouterr().err
    assert "ended with 7" in error
    assert "the manager's own words" in error
    assert platform.listed() == platform.urls[1:]


def test_a_command_that_is_not_there_is_told(rolling, platform, capsys):
    arguments = platform.arguments()
    commands = [number for number, word in enumerate(arguments) if word.startswith(sys.executable)]
    arguments[commands[0]] = "/nonexistent/program"
    assert rolling.main(arguments) == 1
    assert "/nonexistent/program" in capsys.readouterr().err


def test_nothing_is_restarted_before_traefik_has_let_go(rolling, platform, capsys):
    platform.stale = platform.urls
    assert rolling.main(platform.arguments(None, "--confirm-timeout", "0.2")) == 1
    assert platform.restarts() == []
    assert "Traefik has" in capsys.readouterr().err


def test_a_process_counts_as_back_when_traefiks_health_check_says_so(rolling, platform, capsys):
    platform.down = {platform.urls[0]}
    assert rolling.main(platform.arguments(None, "--confirm-timeout", "0.2")) == 1
    assert [entry["url"] for entry in platform.restarts()] == platform.urls[:1]
    assert "health check says DOWN" in capsys.readouterr().err


def test_the_last_server_is_never_taken_out(rolling, platform, capsys):
    platform.list(platform.urls[:1])
    # the second one, which is out, does not come back: so the first one must stay
    platform.codes[platform.urls[1]] = 1
    arguments = platform.arguments([platform.urls[0], platform.urls[1]])
    assert rolling.main(arguments) == 1
    assert platform.listed() == platform.urls[:1]
    balancer = rolling.Balancer(platform.file, "mlflow", platform.api, platform.folder / "api.auth", 1)
    with pytest.raises(rolling.StepError, match="the only server that is left"):
        balancer.set(platform.urls[0], listed=False)
    assert platform.listed() == platform.urls[:1]


def test_two_runs_at_once_are_refused(rolling, platform, capsys):
    folder = os.open(platform.file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        assert rolling.main(platform.arguments()) == 3
    finally:
        os.close(folder)
    assert platform.restarts() == []
    assert "another run" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"http": {"services": {"other": {}}}}', "not json"])
def test_a_file_of_another_form_is_told_and_left_alone(rolling, platform, text, capsys):
    platform.file.write_text(text)
    assert rolling.main(platform.arguments()) == 1
    assert "no JSON with http.services.mlflow" in capsys.readouterr().err
    assert platform.file.read_text() == text
    assert platform.restarts() == []


def test_a_wrong_login_of_the_api_is_told_and_restarts_nothing(rolling, platform, capsys):
    (platform.folder / "api.auth").write_text("mlops:wrong\n")
    assert rolling.main(platform.arguments(None, "--confirm-timeout", "0.2")) == 1
    captured = capsys.readouterr()
    assert "401" in captured.err
    assert "wrong" not in captured.out + captured.err
    assert platform.restarts() == []


def test_a_proxy_of_the_environment_is_not_asked(rolling, platform, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert rolling.main(platform.arguments(platform.urls[:1])) == 0
