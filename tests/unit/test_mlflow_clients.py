"""What MLflow's processes note of their clients (roles/mlflow/files/mlflow_clients.py): versions, and nothing of anybody else."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import stat

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import clients_seen
from lib.generated import ROOT
from lib.render import platform, services

SPEC = importlib.util.spec_from_file_location("mlflow_clients", ROOT / "roles/mlflow/files/mlflow_clients.py")
mlflow_clients = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mlflow_clients)
AGENT = "mlflow-python-client/3.16.0"
SEARCH = "/api/2.0/mlflow/experiments/search"
NOW = 1_800_000_000
# MLflow answers these to everybody, and some of them with 404
OPEN = (
    "/",
    "/health",
    "/health/api/x",
    "/version",
    "/static-files/index.html",
    "/static-files/api/x",
    "/api/3.0/mlflow/server-info",
    "/api/3.0/mlflow/server-info/",
)


class Asked:
    """An application that answers with a status, and a clock."""

    def __init__(self, path, notes=None):
        self.time, self.status, self.path, self.seen = float(NOW), 200, path, []
        self.clients = mlflow_clients.Clients(self, notes or mlflow_clients.File(path), lambda: self.time)

    async def __call__(self, scope, receive, send):
        self.seen.append(scope)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    def ask(self, agent=AGENT, path=SEARCH, method="POST"):
        """Ask once, and return the messages of the answer."""
        sent = []
        headers = [(b"host", b"a"), *([(b"user-agent", agent.encode("latin-1"))] if agent is not None else [])]

        async def send(message):
            sent.append(message)

        asyncio.run(self.clients({"type": "http", "method": method, "path": path, "headers": headers}, None, send))
        return sent

    def notes(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {}


@pytest.fixture
def asked(tmp_path):
    return Asked(tmp_path / "clients.json")


def test_a_client_is_noted_with_the_time_and_its_answer_is_untouched(asked):
    assert [message["type"] for message in asked.ask()] == ["http.response.start", "http.response.body"]
    assert asked.notes() == {"3.16.0": NOW}
    assert [one.name for one in asked.path.parent.iterdir()] == ["clients.json"]


@pytest.mark.parametrize(
    ("agent", "version"),
    [
        ("mlflow-python-client/1.28.0", "1.28.0"),
        ("mlflow-python-client/3.18.0rc1", "3.18.0rc1"),
        ("mlflow-python-client/3.18.0.dev0", "3.18.0.dev0"),
        # a plug-in of MLflow's adds to it
        ("mlflow-python-client/3.17.2 airflow/3.0", "3.17.2"),
        ("airflow/3.0 mlflow-python-client/3.17.2", "3.17.2"),
        (None, None),
        ("", None),
        ("curl/8.5.0", None),
        ("Mozilla/5.0 (X11; Linux x86_64)", None),
        ("mlflow-java-client/3.17.2", None),
        ("not-mlflow-python-client/3.17.2", None),
        ("mlflow-python-client/", None),
        ("mlflow-python-client/3", None),
        ("mlflow-python-client/../../etc/passwd", None),
        ('mlflow-python-client/3.17.2"}', None),
        ("mlflow-python-client/3.17.2\xff\xfe", None),
        ("mlflow-python-client/" + "9" * 5000, None),
        ("x" * 5000 + " mlflow-python-client/3.17.2", None),
    ],
)
def test_only_versions_of_mlflows_own_client_are_noted(asked, agent, version):
    assert len(asked.ask(agent)) == 2
    assert asked.notes() == ({version: NOW} if version else {})


@pytest.mark.parametrize(
    ("status", "noted"), [(200, True), (201, True), (404, True), (401, False), (403, False), (307, False), (400, False), (500, False)]
)
def test_who_is_not_let_in_has_no_word_in_it(asked, status, noted):
    asked.status = status
    asked.ask()
    assert bool(asked.notes()) is noted


@pytest.mark.parametrize("method, path", [("OPTIONS", SEARCH), *(("GET", path) for path in OPEN)])
def test_what_needs_no_login_tells_nothing(asked, method, path):
    asked.ask(path=path, method=method)
    assert asked.notes() == {}


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "PUT"])
def test_all_that_a_client_does_counts(asked, method):
    asked.ask(method=method)
    assert asked.notes() == {"3.16.0": NOW}


def test_what_is_no_request_passes(asked):
    for kind in ("lifespan", "websocket"):
        asyncio.run(asked.clients({"type": kind}, None, lambda message: asyncio.sleep(0)))
    assert [scope["type"] for scope in asked.seen] == ["lifespan", "websocket"] and asked.notes() == {}


def test_a_version_is_written_once_in_ten_minutes(asked):
    asked.ask()
    asked.path.unlink()
    asked.time += 599
    asked.ask()
    assert asked.notes() == {}
    asked.time += 1
    asked.ask()
    assert asked.notes() == {"3.16.0": NOW + 600}


def test_a_login_that_was_refused_first_is_noted_with_the_next_request(asked):
    asked.status = 401
    asked.ask()
    asked.status = 200
    asked.ask()
    assert asked.notes() == {"3.16.0": NOW}


def test_what_earlier_processes_noted_stays_and_what_was_deleted_is_forgotten(asked):
    asked.path.write_text('{"2.9.2": 5, "3.16.0": 6}')
    asked.ask()
    assert asked.notes() == {"2.9.2": 5, "3.16.0": NOW}
    asked.path.unlink()
    asked.ask("mlflow-python-client/3.17.2")
    assert asked.notes() == {"3.17.2": NOW}


@pytest.mark.parametrize("content", ["", "{", '{"3.16.0": 17', "[]", "null", '{"3.17.2": "x", "3.1.0": true}', "\x00\x01"])
def test_a_damaged_file_is_begun_anew(asked, content):
    asked.path.write_text(content)
    asked.ask()
    assert asked.notes() == {"3.16.0": NOW}


def test_a_disk_that_takes_nothing_stops_no_request(asked):
    asked.path.mkdir()
    assert len(asked.ask()) == 2
    assert len(Asked(asked.path.parent / "none" / "clients.json").ask()) == 2


def test_nobody_makes_it_grow(asked):
    for number in range(mlflow_clients.MOST + 20):
        asked.time += 1
        asked.ask(f"mlflow-python-client/1.{number}.0")
    assert len(asked.notes()) == len(asked.clients.noted) == mlflow_clients.MOST
    assert "1.0.0" not in asked.notes() and f"1.{mlflow_clients.MOST + 19}.0" in asked.notes()
    assert asked.path.stat().st_size < 8192


def test_each_process_starts_it_and_is_restarted_with_it():
    for item in services(platform()):
        if item["name"].startswith("mlflow-"):
            command = [str(word) for word in item["command"]]
            assert command[command.index("--app-dir") + 1] == "/var/lib/mlops/bin"
            assert "/var/lib/mlops/bin/mlflow_clients.py" in item["config_files"]
            # clients.json is written where it is started
            assert item["directory"] == f"/var/lib/mlops/mlflow/{item['name']}"


def test_the_program_is_no_ones_to_run_alone():
    assert not (ROOT / "roles/mlflow/files/mlflow_clients.py").stat().st_mode & stat.S_IXUSR


def test_a_pod_writes_a_version_into_its_log_once_in_an_hour(capsys):
    asked = Asked(None, mlflow_clients.Log())
    for _request in range(3):
        asked.ask()
        asked.time += mlflow_clients.EVERY_IN_LOG - 1
    assert capsys.readouterr().out == f"mlops-client 3.16.0 {NOW}\nmlops-client 3.16.0 {NOW + 2 * (mlflow_clients.EVERY_IN_LOG - 1)}\n"


def test_what_a_pod_writes_is_what_is_read(capsys):
    asked = Asked(None, mlflow_clients.Log())
    asked.ask()
    asked.ask("mlflow-python-client/3.18.0.dev0 airflow/3.0")
    assert clients_seen.in_log(capsys.readouterr().out, NOW) == {"3.16.0": NOW, "3.18.0.dev0": NOW}
