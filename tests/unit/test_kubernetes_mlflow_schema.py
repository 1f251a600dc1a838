"""The Jobs and steps around the schema of MLflow's databases in a cluster."""

from __future__ import annotations

import os
import subprocess

import pytest
from lib.kubernetes_mlflow import jobs, objects
from lib.render import ROOT

FILES = ROOT / "roles" / "mlflow" / "files"


def test_a_job_is_named_by_all_that_it_is_made_of():
    def name(**overrides):
        (job,) = jobs(objects(**overrides))
        return job["metadata"]["name"]

    before = name()
    assert name(mlflow_replicas=3, mlflow_environment={"A": "b"}, password="another") == before
    changes = (
        {"mlflow_image": "registry.example.org/mlflow:4"},
        {"mlops_node_selector": {"a": "b"}},
        {"mlops_image_pull_secrets": ["login"]},
        {"postgresql_engine": "external", "postgresql_external_host": "db.example.com"},
        {"mlops_image_pull_policy": "Always"},
    )
    names = [name(**change) for change in changes]
    assert len({before, *names}) == len(changes) + 1


@pytest.fixture
def schema_step(tmp_path):
    """Return a function that runs a step with a mlflow_schema.py that ends with the given codes, one after the other."""
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "python"
    stub.write_text(
        '#!/bin/sh\necho "$2" >>"$STATE/calls"\nset -- $(cat "$STATE/codes")\ncode=$1; shift\necho "$*" >"$STATE/codes"\nexit "$code"\n'
    )
    stub.chmod(0o755)
    (tmp_path / "bin" / "sleep").symlink_to("/bin/true")

    def run(step, *codes):
        (tmp_path / "codes").write_text(" ".join(map(str, codes)))
        (tmp_path / "calls").write_text("")
        (tmp_path / "word").write_text("")
        environ = {"PATH": f"{tmp_path}/bin:{os.defpath}", "STATE": str(tmp_path), "TERMINATION_LOG": str(tmp_path / "word")}
        done = subprocess.run(["/bin/sh", str(FILES / "mlflow_schema.sh"), step], env=environ, check=False, capture_output=True)
        return done.returncode, (tmp_path / "word").read_text(), (tmp_path / "calls").read_text().split()

    return run


@pytest.mark.parametrize(
    "step, codes, wanted",
    [
        ("prepare", [0], (0, "current", ["check"])),
        ("prepare", [10, 0], (0, "created", ["check", "upgrade"])),
        ("prepare", [10, 15], (15, "", ["check", "upgrade"])),
        # a server of the older version may run
        ("prepare", [11], (0, "behind", ["check"])),
        ("prepare", [12], (12, "", ["check"])),
        ("prepare", [13, 13, 0], (0, "current", ["check"] * 3)),
        ("upgrade", [0], (0, "upgraded", ["upgrade"])),
        ("upgrade", [15], (15, "", ["upgrade"])),
        ("gate", [0], (0, "", ["check"])),
        ("gate", [10], (10, "", ["check"])),
        ("gate", [13] * 31, (13, "", ["check"] * 31)),
    ],
)
def test_steps_around_the_schema(schema_step, step, codes, wanted):
    assert schema_step(step, *codes) == wanted
