"""The environment that roles/mlflow renders, against what the pinned MLflow's own `mlflow server` would hand to its workers.

The role runs uvicorn itself. So a variable that a new MLflow begins to set must show here before it is pinned. Needs a Python with that
MLflow: MLOPS_TEST_MLFLOW_PYTHON.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from lib.render import platform, services

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests" / "lib" / "mlflow_upstream.py"
# set by upstream after its own bootstrap; with it create_app would not make the first administrator, and the role has its own step for that
LEFT_OUT = {"_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED"}
# any value will do, as long as all processes have the same
ANY_VALUE = {"_MLFLOW_SERVER_BOOT_ID"}


@pytest.fixture(scope="module")
def ours():
    """Environment of the first process, as its environment files hold it, and its command."""
    roles = platform()
    (service,) = [item for item in services(roles) if item["name"] == "mlflow-15001"]
    shared = roles.value("mlflow_server_environment | combine(mlflow_environment)")
    return {**shared, **service["environment"]}, [str(word) for word in service["command"]]


@pytest.fixture(scope="module")
def upstream(ours, tmp_path_factory, request):
    if hasattr(request.config, "mlflow_python"):
        # the conftest's Python is the platform's: it has to be there
        request.getfixturevalue("platform")
    python = os.environ.get("MLOPS_TEST_MLFLOW_PYTHON")
    if not python:
        pytest.skip("MLOPS_TEST_MLFLOW_PYTHON is not set: it names a Python with the pinned MLflow")
    environment, _unused = ours
    home = tmp_path_factory.mktemp("upstream")
    options = {
        "app-name": "basic-auth",
        "host": "127.0.0.1",
        "port": "15001",
        "workers": "1",
        "backend-store-uri": environment["_MLFLOW_SERVER_FILE_STORE"],
        "artifacts-destination": environment["_MLFLOW_SERVER_ARTIFACT_DESTINATION"],
        "allowed-hosts": environment["MLFLOW_SERVER_ALLOWED_HOSTS"],
        "cors-allowed-origins": environment["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"],
        "x-frame-options": environment["MLFLOW_SERVER_X_FRAME_OPTIONS"],
        "expose-prometheus": str(home / "metrics"),
    }
    command = [python, "-I", str(PROGRAM), *(word for name, value in options.items() for word in (f"--{name}", value))]
    # what upstream reads from its environment, and nothing of ours that it would set itself
    given = ("MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    env = {name: environment[name] for name in given}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=home, env={**env, "HOME": str(home), "PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_python_has_the_pinned_mlflow(upstream):
    pinned = re.search(r"^mlflow\[?.*==([\d.]+)", (ROOT / "roles/local_runtime/files/mlflow.in").read_text(), re.M).group(1)
    assert upstream["version"] == pinned


def test_every_variable_that_upstream_sets_is_set(ours, upstream):
    environment, _unused = ours
    assert {name: value for name, value in upstream["env"].items() if name not in environment}.keys() <= LEFT_OUT


def test_every_variable_has_upstreams_value(ours, upstream):
    environment, _unused = ours
    # this test's own directory; the role gives each process one
    other = {*LEFT_OUT, *ANY_VALUE, "prometheus_multiproc_dir"}
    theirs = {name: value for name, value in upstream["env"].items() if name not in other}
    assert {name: str(environment[name]) for name in theirs} == theirs


def test_nothing_private_to_upstream_is_invented(ours, upstream):
    environment, _unused = ours
    assert {name for name in environment if name.startswith("_MLFLOW")} <= set(upstream["env"])


def test_the_command_starts_upstreams_application(ours, upstream):
    """Within the one that notes versions of clients."""
    _unused, command = ours
    # python -m uvicorn OPTIONS --factory APPLICATION
    assert command[command.index("--factory") + 1] == "mlflow_clients:create_app"
    module, _colon, function = "mlflow.server.auth:create_app".partition(":")
    assert f"{module}:{function}" in upstream["command"] and "--factory" in upstream["command"]
    assert f"from {module} import {function} as " in (ROOT / "roles/mlflow/files/mlflow_clients.py").read_text()
