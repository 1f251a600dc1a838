"""Servers that are broken on purpose: MLflow processes of the tests' own, on SQLite.

They need a Python with MLflow: MLOPS_TEST_MLFLOW_PYTHON, or the one that runs the tests. uvicorn is run as a service runs it, as
`mlflow server` itself would refuse to start with a schema that is out of date.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time

import pytest
from lib.modules import run_module

PYTHON = os.environ.get("MLOPS_TEST_MLFLOW_PYTHON", sys.executable)
ONCE = {"wait_timeout": 0, "grace": 0}


@pytest.fixture(scope="module", autouse=True)
def _mlflow():
    found = subprocess.run([PYTHON, "-c", "import mlflow.version"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"{PYTHON} has no MLflow: set MLOPS_TEST_MLFLOW_PYTHON")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """One MLflow on SQLite, with artifacts at a given place."""

    def __init__(self, folder, artifacts, **environment):
        self.port = free_port()
        self.connection = {"tracking_uri": f"http://127.0.0.1:{self.port}"}
        self.log = folder / f"server-{self.port}.log"
        command = [PYTHON, "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(self.port), "mlflow.server.fastapi_app:app"]
        # what `mlflow server` itself hands to uvicorn (mlflow/server/constants.py)
        settings = {
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(artifacts),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **environment,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **settings}, cwd=folder, stdout=log, stderr=log)

    def __enter__(self):
        until = time.monotonic() + 120
        while time.monotonic() < until and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.2)
        self.__exit__()
        raise AssertionError(self.log.read_text(encoding="utf-8", errors="replace")[-2000:])

    def __exit__(self, *dummy):
        self.process.terminate()
        self.process.wait(30)


def health(server, **options):
    return run_module("mlflow_health", {**server.connection, **ONCE, "timeout": 60, **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder with a migrated database."""
    path = tmp_path_factory.mktemp("mlflow")
    with Server(path, path / "artifacts") as server:
        result = health(server, depth="roundtrip", client_version="3.0.0")
        assert (result["status"], result["depth_reached"], result["leftovers"]) == ("ok", "roundtrip", []), result
        assert not [item for item in (path / "artifacts").rglob("*") if item.is_file()]
        info = run_module("mlflow_info", server.connection)
        assert (info["user"], info["features"]["basic_auth"], info["counts"]["users"]) == (None, False, None)
        refused = run_module("mlflow_user", {**server.connection, "name": "x", "user_password": "long-enough-password"})
        assert "does not run with --app-name basic-auth" in refused["msg"]
    return path


@pytest.mark.parametrize(
    ("destination", "cause"),
    [("not-a-folder/artifacts", "artifact_refused"), ("s3://bucket/artifacts", "artifact_error")],
)
def test_artifact_store_unwritable(folder, destination, cause):
    (folder / "not-a-folder").write_text("a file in the way", encoding="utf-8")
    # a closed port for the object store
    environment = {
        "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_MAX_ATTEMPTS": "1",
    }
    target = destination if "://" in destination else folder / destination
    with Server(folder, target, **environment) as server:
        result = health(server, depth="roundtrip")
        shallow = health(server)
    assert (result["status"], result["cause"], result["depth_reached"]) == ("artifact_store_unwritable", cause, "database"), result
    assert (result["step"], result["leftovers"]) == ("artifact", [])
    assert shallow["status"] == "ok"
    with sqlite3.connect(folder / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'").fetchone() == (0,)


def test_without_artifact_proxy(folder):
    with Server(folder, folder / "artifacts", _MLFLOW_SERVER_SERVE_ARTIFACTS="false") as server:
        result = health(server, depth="roundtrip")
        info = run_module("mlflow_info", server.connection)
    assert (result["status"], result["depth_reached"]) == ("ok", "roundtrip"), result
    assert result["notes"] == ["artifacts were not checked: the server runs with --no-serve-artifacts"]
    assert info["features"]["artifact_proxy"] is False


def test_static_prefix(folder):
    with Server(folder, folder / "artifacts", _MLFLOW_STATIC_PREFIX="/ml") as server:
        right = health(server, depth="roundtrip", static_prefix="/ml")
        in_uri = health(server, depth="roundtrip", tracking_uri=server.connection["tracking_uri"] + "/ml/")
        missing = health(server)
        info = run_module("mlflow_info", {**server.connection, "static_prefix": "ml"})
    assert (right["status"], right["depth_reached"]) == (in_uri["status"], in_uri["depth_reached"]) == ("ok", "roundtrip"), (right, in_uri)
    assert (missing["status"], missing["cause"]) == ("not_mlflow", "no_such_path")
    assert info["features"]["static_prefix"] == "/ml"


def test_schema_out_of_date(folder):
    with sqlite3.connect(folder / "mlflow.db") as database:
        (version,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    try:
        with Server(folder, folder / "artifacts") as server:
            for depth in ("liveness", "database"):
                result = health(server, depth=depth)
                assert (result["status"], result["depth_reached"]) == ("db_unmigrated", "none"), result
                assert "mlflow db upgrade" in result["remedy"]
                assert "451aebb31d03" in result["message"]
    finally:
        with sqlite3.connect(folder / "mlflow.db") as database:
            database.execute("UPDATE alembic_version SET version_num = ?", (version,))


def test_waits_for_a_server_that_starts(folder):
    server = Server(folder, folder / "artifacts")
    try:
        result = run_module("mlflow_health", {**server.connection, "wait_timeout": 120, "delay": 0.2, "depth": "liveness"})
        assert (result["status"], result["seen"][0]["cause"], result["seen"][-1]["status"]) == ("ok", "refused", "ok"), result
        assert result["attempts"] > 1
    finally:
        server.process.terminate()
        server.process.wait(30)
    stopped = run_module("mlflow_health", {**server.connection, "wait_timeout": 10, "expect": ["unreachable"]})
    assert (stopped["status"], stopped["cause"]) == ("unreachable", "refused")
