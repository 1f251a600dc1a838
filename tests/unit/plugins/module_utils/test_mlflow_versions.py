"""Which version of MLflow may follow which, and which one is installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.module_utils import mlflow_installed, mlflow_versions

ROOT = Path(__file__).resolve().parents[4]
COMMON = yaml.safe_load((ROOT / "roles" / "common" / "vars" / "main.yml").read_text())
LOCKS = COMMON["mlops_mlflow_locks"]
BOTH = ["3.16.0", "3.17.2"]


@pytest.mark.parametrize("wanted, present", [("3.17.2", "3.16.0"), ("3.17.2", "3.17.2"), ("3.16.0", None), ("3.17.2", "3.16.3")])
def test_what_may_follow(wanted, present):
    assert mlflow_versions.problems(wanted, present, BOTH) == []


@pytest.mark.parametrize(
    "wanted, present, what, remedy",
    [
        ("3.16.0", "3.17.2", "an older one cannot read", "set it to 3.17.2"),
        ("3.9.0", "3.16.0", "cannot install", "3.16.0, 3.17.2"),
        ("newest", None, "cannot install", "3.16.0, 3.17.2"),
        ("3.17.2", "3.9.0", "not a tested one", "upgrade to 3.16.0 first"),
        ("3.17.2", "2.22.0", "not a tested one", "upgrade to 3.16.0 first"),
    ],
)
def test_what_is_refused(wanted, present, what, remedy):
    ((found, hint),) = mlflow_versions.problems(wanted, present, BOTH)
    assert what in found
    assert remedy in hint


def test_numbers_are_compared_as_numbers():
    assert mlflow_versions.problems("3.9.0", "3.16.0", ["3.9.0", "3.16.0"]) != []
    assert mlflow_versions.parse("3.9.0") < mlflow_versions.parse("3.16.0")


def test_every_version_has_its_lock_and_every_lock_its_version():
    files = {path.stem for path in (ROOT / "roles/local_runtime/files").glob("mlflow*.txt")}
    assert set(LOCKS.values()) == files
    for version, lock in LOCKS.items():
        text = (ROOT / f"roles/local_runtime/files/{lock}.txt").read_text()
        assert re.search(r"^mlflow==(\S+)", text, re.M)[1] == version
    assert COMMON["mlops_mlflow_default"] == max(LOCKS, key=mlflow_versions.parse)
    assert LOCKS[COMMON["mlops_mlflow_default"]] == "mlflow"


def test_the_versions_that_a_user_may_name_are_told_him():
    for path in ("roles/mlflow/defaults/main.yml", "roles/mlflow/meta/argument_specs.yml", "docs/upgrade.md"):
        assert [version for version in LOCKS if version not in (ROOT / path).read_text()] == [], path


def settings(tmp_path, environment="mlflow-py3.11-aa", complete=True):
    runtime = tmp_path / "runtime" / environment
    (runtime / "lib/python3.11/site-packages/mlflow-3.16.0.dist-info").mkdir(parents=True)
    (runtime / "lib/python3.11/site-packages/mlflow_skinny-3.16.0.dist-info").mkdir()
    if complete:
        (runtime / ".complete").touch()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/mlflow.env").write_text(f'HOME="/x"\nPATH="{runtime}/bin:/usr/bin"\n')


def test_the_installed_one_is_that_of_the_settings(tmp_path):
    settings(tmp_path)
    assert mlflow_installed.installed(str(tmp_path)) == {"environment": "mlflow-py3.11-aa", "version": "3.16.0"}


def test_an_environment_that_is_not_complete_has_no_version(tmp_path):
    settings(tmp_path, complete=False)
    assert mlflow_installed.installed(str(tmp_path)) == {"environment": "mlflow-py3.11-aa", "version": None}


def test_without_settings_nothing_is_installed(tmp_path):
    assert mlflow_installed.installed(str(tmp_path)) is None
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/mlflow.env").write_text('PATH="/somewhere/else/bin:/bin"\n')
    assert mlflow_installed.installed(str(tmp_path)) is None
