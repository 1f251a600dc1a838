"""What a restore in a cluster stops, and in which order, against a stand-in for its API server."""

from __future__ import annotations

import sys

import pytest
from lib.api_objects import ObjectServer
from lib.plays import run_play
from lib.render import ROOT

OURS = {"app.kubernetes.io/instance": "mlops"}
# by their names, the order in which an API server lists them
WORKLOADS = [
    ("Deployment", "mlops-backup-log", "backup"),
    ("Deployment", "mlops-mlflow", "mlflow"),
    ("StatefulSet", "mlops-a-database", "postgresql"),
    ("StatefulSet", "mlops-object-store", "object-store"),
]


@pytest.fixture
def server():
    found = ObjectServer("ns")
    for kind, name, component in WORKLOADS:
        found.put("apps/v1", kind, name, {**OURS, "app.kubernetes.io/name": component}, spec={"replicas": 1}, status={})
    # another installation's
    found.put("apps/v1", "StatefulSet", "theirs", {"app.kubernetes.io/name": "postgresql"}, spec={"replicas": 1}, status={})
    yield found
    found.close()


def test_what_is_named_is_halted_in_that_order_and_nothing_else(server, tmp_path):
    stopped = []
    server.react = lambda: stopped.extend(
        name for kind, name, _component in WORKLOADS if name not in stopped and server.get(kind, name)["spec"]["replicas"] == 0
    )
    given = {
        "mlops_kube": server.params,
        "mlops_namespace": "ns",
        "mlops_tools_python": sys.executable,
        "backup_halted": ["backup", "object-store", "postgresql"],
    }
    code, output = run_play(tmp_path, {"tasks": [{"ansible.builtin.include_tasks": str(ROOT / "roles/backup/tasks/halt.yml")}]}, given)
    assert code == 0, output
    assert stopped == ["mlops-backup-log", "mlops-object-store", "mlops-a-database"]
    assert server.get("StatefulSet", "theirs")["spec"]["replicas"] == server.get("Deployment", "mlops-mlflow")["spec"]["replicas"] == 1
