"""The module host_processes with real processes: lists, waits, and ends nothing."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import yaml
from ansible_collections.mlops.platform.plugins.modules import host_processes
from lib.modules import run_module


@pytest.fixture
def worker(tmp_path):
    """A process that works in a directory below tmp_path."""
    (tmp_path / "data" / "service").mkdir(parents=True)
    program = "print('ready', flush=True); import time; time.sleep(600)"
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(command, cwd=tmp_path / "data" / "service", stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_processes_below_the_directory_are_listed(tmp_path, worker):
    result = run_module("host_processes", {"directory": str(tmp_path / "data")})
    assert result["changed"] is False
    (process,) = result["processes"]
    assert process["pid"] == worker.pid
    assert process["cwd"] == str((tmp_path / "data" / "service").resolve())
    assert process["summary"] == f"{process['name']} (process {worker.pid}) in {process['cwd']}"
    assert worker.poll() is None


def test_a_name_that_only_begins_alike_is_another_directory(tmp_path, worker):
    assert run_module("host_processes", {"directory": str(tmp_path / "data" / "serv")})["processes"] == []


def test_a_link_to_the_directory_is_the_directory(tmp_path, worker):
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert len(run_module("host_processes", {"directory": str(tmp_path / "link")})["processes"]) == 1


def test_waiting_ends_when_the_last_process_has_ended(tmp_path, worker):
    # while the module starts, or while it waits
    threading.Timer(1, worker.terminate).start()
    # the parent has to collect it: /proc keeps a dead child until then
    threading.Thread(target=worker.wait, daemon=True).start()
    result = run_module("host_processes", {"directory": str(tmp_path / "data"), "state": "absent", "wait_timeout": 60})
    assert result["processes"] == []
    assert not result.get("failed")


def test_waiting_in_vain_names_what_still_runs_and_ends_nothing(tmp_path, worker):
    result = run_module("host_processes", {"directory": str(tmp_path / "data"), "state": "absent", "wait_timeout": 0})
    assert result["failed"]
    assert f"(process {worker.pid})" in result["msg"]
    assert worker.poll() is None


def test_check_mode_does_not_wait(tmp_path, worker):
    arguments = {"directory": str(tmp_path / "data"), "state": "absent", "wait_timeout": 600}
    assert len(run_module("host_processes", arguments, check=True)["processes"]) == 1


def test_a_directory_that_is_not_there_has_no_processes(tmp_path):
    assert run_module("host_processes", {"directory": str(tmp_path / "none")})["processes"] == []


def test_a_process_that_ends_meanwhile_is_left_out(tmp_path):
    (tmp_path / "12").mkdir()
    (tmp_path / "12" / "comm").write_text("gone\n")
    assert host_processes.below("/", str(tmp_path)) == []


def test_examples_are_tasks():
    assert all("mlops.platform.host_processes" in task for task in yaml.safe_load(host_processes.EXAMPLES))
