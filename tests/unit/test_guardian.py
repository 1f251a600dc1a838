"""Tests of roles/local_host/files/guardian.py with real processes: a supervisor of a few lines, and services that end or do not."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "roles" / "local_host" / "files" / "guardian.py"
# long enough for the slowest machine; no test waits so long unless it fails
PATIENCE = 60
# a supervisor: it starts the guardian as its child, writes its pid file, and says so
SUPERVISOR = """
import os, subprocess, sys, time
data_dir, guardian, successor = sys.argv[1:]
# as the real one does: what a program says goes through a pipe to its supervisor, and the pipe dies with it
child = subprocess.Popen([sys.executable, guardian, data_dir, successor], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
open(os.path.join(data_dir, "run", "supervisord.pid"), "w").write(f"{os.getpid()}\\n")
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def guardian():
    spec = importlib.util.spec_from_file_location("guardian", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data_dir(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "log").mkdir()
    return tmp_path


@pytest.fixture
def start():
    """Start a process that is ended with the test."""
    started = []

    def run(*command, **options):
        process = subprocess.Popen(command, **options)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def sleeper(start, directory, *, stubborn=False):
    """A process that works in `directory`; a stubborn one takes no notice of SIGTERM."""
    program = "import signal, time; {}print('ready', flush=True); time.sleep(600)"
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN); " if stubborn else ""
    process = start(sys.executable, "-c", program.format(ignore), cwd=directory, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def record(data_dir, name, text):
    (data_dir / "run" / f"{name}.pid").write_text(f"{text}\n")


def test_services_are_those_of_the_pid_files_that_work_below_the_directory(guardian, data_dir, start, tmp_path_factory):
    ours = sleeper(start, data_dir / "run")
    record(data_dir, "ours", ours.pid)
    # its number was taken by somebody else's process
    record(data_dir, "reused", sleeper(start, tmp_path_factory.mktemp("elsewhere")).pid)
    record(data_dir, "half-written", "")
    record(data_dir, "ended", 2**22 + 1)
    record(data_dir, "supervisord", sleeper(start, data_dir).pid)
    assert guardian.services(str(data_dir)) == [ours.pid]
    assert guardian.services(f"{data_dir}/") == [ours.pid]


def test_a_directory_whose_name_only_begins_alike_is_another_one(guardian, data_dir, start):
    other = data_dir.with_name(data_dir.name + "-2")
    other.mkdir()
    record(data_dir, "stranger", sleeper(start, other).pid)
    assert guardian.services(str(data_dir)) == []


def test_waiting_for_a_process_that_is_gone_returns(guardian):
    process = subprocess.Popen(["true"])
    process.wait()
    guardian.wait_for_end_of(process.pid)


def test_end_kills_what_does_not_end_and_leaves_others_alone(guardian, data_dir, start, monkeypatch, tmp_path_factory, capsys):
    monkeypatch.setattr(guardian, "GRACE_SECONDS", 0.3)
    stubborn = sleeper(start, data_dir, stubborn=True)
    stranger = sleeper(start, tmp_path_factory.mktemp("elsewhere"))
    record(data_dir, "stubborn", stubborn.pid)
    record(data_dir, "stranger", stranger.pid)
    guardian.end(str(data_dir))
    assert stubborn.wait(PATIENCE) == -signal.SIGKILL
    assert stranger.poll() is None
    assert f"process {stubborn.pid} did not end" in capsys.readouterr().out


def test_end_sends_nothing_to_a_service_that_ends_by_itself(guardian, data_dir, start, monkeypatch, capsys):
    service = sleeper(start, data_dir)
    record(data_dir, "service", service.pid)
    killed, send = [], os.kill
    # the pause of the loop is when the service ends
    monkeypatch.setattr(
        guardian.time, "sleep", lambda _seconds: service.poll() is None and (send(service.pid, signal.SIGTERM), service.wait())
    )
    monkeypatch.setattr(guardian.os, "kill", lambda pid, _number: killed.append(pid))
    guardian.end(str(data_dir))
    monkeypatch.undo()
    assert killed == []
    assert capsys.readouterr().out == ""


@pytest.fixture
def supervised(data_dir, start):
    """A supervisor with its guardian, and the program that would be the next supervisor."""
    successor = data_dir / "supervisord"
    successor.write_text(f'#!/bin/sh\necho "$$ $@" > {data_dir}/successor.new\nmv {data_dir}/successor.new {data_dir}/successor\n')
    successor.chmod(0o700)
    supervisor = start(sys.executable, "-c", SUPERVISOR, data_dir, SCRIPT, successor, stdout=subprocess.PIPE, text=True)
    pid = int(supervisor.stdout.readline())
    yield supervisor, pid, data_dir / "successor"
    if not gone(pid):
        os.kill(pid, signal.SIGKILL)


def waits(pid):
    """Whether the guardian has opened its descriptor of the supervisor."""
    return any("pidfd" in str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink())


def test_a_killed_supervisor_is_replaced_after_its_services_are_gone(data_dir, start, supervised):
    supervisor, pid, successor = supervised
    service = sleeper(start, data_dir)
    record(data_dir, "service", service.pid)
    until(lambda: waits(pid), "the guardian does not watch the supervisor")
    assert not successor.exists()
    supervisor.kill()
    supervisor.wait()
    log = data_dir / "log" / "guardian.log"
    until(lambda: log.exists() and log.read_text(), "the guardian says nothing in its log")
    assert log.read_text() == f"the supervisor (process {supervisor.pid}) is gone: starting another\n"
    # the service is still there, and so no second supervisor may come: given time to do it wrong, it does not
    for _unused in range(25):
        time.sleep(0.02)
        assert not successor.exists()
    service.terminate()
    service.wait()
    until(successor.exists, "nothing took the supervisor's place")
    # exec: the guardian itself became the successor
    assert successor.read_text().split() == [str(pid), "-c", str(data_dir / "etc" / "supervisord.conf")]


def test_an_orderly_shutdown_brings_nothing_back(supervised):
    supervisor, pid, successor = supervised
    until(lambda: waits(pid), "the guardian does not watch the supervisor")
    # supervisord ends its programs with SIGTERM before it ends itself
    os.kill(pid, signal.SIGTERM)
    until(lambda: gone(pid), "the guardian did not end")
    supervisor.terminate()
    supervisor.wait()
    assert not successor.exists()
