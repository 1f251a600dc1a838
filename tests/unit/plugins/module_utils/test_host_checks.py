"""Every problem that a host can have, and that its message names the value and the remedy's variable."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import host_checks, host_python

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as another user")


def texts(problems):
    assert all(what and remedy for what, remedy in problems)
    return [what for what, remedy in problems]


def mark(path, **content):
    path.mkdir(exist_ok=True)
    (path / host_checks.MARKER).write_text(json.dumps(content))
    return str(path)


def test_states_of_a_data_directory(tmp_path):
    assert host_checks.data_directory_state(str(tmp_path / "none")) == ("missing", None)
    assert host_checks.data_directory_state(str(tmp_path)) == ("empty", None)
    (tmp_path / "file").write_text("somebody's")
    assert host_checks.data_directory_state(str(tmp_path)) == ("foreign", None)
    assert host_checks.data_directory_state(str(tmp_path / "file")) == ("foreign", None)
    assert host_checks.data_directory_state(mark(tmp_path / "ours", uid=7)) == ("ours", {"uid": 7})


def test_a_link_that_leads_nowhere_is_not_missing(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert host_checks.data_directory_state(str(tmp_path / "link")) == ("foreign", None)


def test_a_damaged_marker_makes_a_directory_foreign(tmp_path):
    (tmp_path / host_checks.MARKER).write_text("{")
    assert host_checks.data_directory_state(str(tmp_path)) == ("foreign", None)


@pytest.mark.parametrize("path", ["relative/path", "/srv/a b", "/srv/$HOME", "/srv/a%b", "/srv/ä", "/srv/a'b", "/srv/a\nb", ""])
def test_a_path_that_a_unit_file_cannot_carry_is_refused(path):
    (problem,) = host_checks.check_data_directory(path, None, None)
    assert repr(path) in problem[0]
    assert "mlops_data_dir" in problem[1]


def test_a_path_too_long_for_a_socket_is_refused():
    longest = "/" + "a" * (host_checks.MAX_DATA_DIR - 1)
    assert "longer than" in texts(host_checks.check_data_directory(longest + "a", None, None))[0]
    assert not [what for what in texts(host_checks.check_data_directory(longest, None, None)) if "longer" in what]


def test_somebody_elses_directory_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("")
    (what,) = texts(host_checks.check_data_directory(short(tmp_path), None, None))
    assert "was not made by this collection" in what


def short(path):
    """`path` below a short link: pytest's own directories may be too long for a socket."""
    if len(str(path)) <= host_checks.MAX_DATA_DIR:
        return str(path)
    pytest.skip(f"the temporary directory {path} is longer than a data directory may be")
    return None


def test_our_directory_of_another_user_is_refused(tmp_path):
    path = mark(tmp_path / "ours", uid=os.geteuid() + 1)
    (what,) = texts(host_checks.check_data_directory(short(path), os.geteuid(), None))
    assert f"belongs to the user id {os.geteuid() + 1}" in what
    mark(tmp_path / "ours", uid=os.geteuid())
    assert host_checks.check_data_directory(path, os.geteuid(), None) == []


def test_a_missing_directory_in_a_writable_one_is_fine(tmp_path):
    assert host_checks.check_data_directory(short(tmp_path / "a" / "b"), None, None) == []


@ROOT_ONLY
def test_a_private_home_above_it_is_told(tmp_path):
    tmp_path.chmod(0o700)
    nobody = pwd.getpwnam("nobody")
    whats = texts(host_checks.check_data_directory(short(tmp_path / "data"), None, nobody))
    assert whats == [f"the service user nobody cannot enter {tmp_path}"]


def test_a_place_without_write_permission_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(host_checks.os, "access", lambda *_arguments: False)
    assert "is not writable" in texts(host_checks.check_data_directory(short(tmp_path / "data"), None, None))[0]


def test_noexec_is_told(tmp_path, monkeypatch):
    flags = type("Flags", (), {"f_flag": os.ST_NOEXEC})
    monkeypatch.setattr(host_checks.os, "statvfs", lambda _path: flags)
    assert "noexec" in texts(host_checks.check_data_directory(short(tmp_path / "data"), None, None))[0]


def test_space(tmp_path):
    free = shutil.disk_usage(tmp_path).free // 2**20
    assert host_checks.check_space(str(tmp_path / "a" / "b"), free // 2) == []
    ((what, remedy),) = host_checks.check_space(str(tmp_path / "a" / "b"), free * 2 + 1000)
    assert f"{free * 2 + 1000} MiB are needed" in what
    assert str(tmp_path) in what
    assert "mlops_data_dir" in remedy


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_in_use_is_told_with_its_holder(listening):
    ports = [{"name": "a_port", "address": "127.0.0.1", "port": listening}]
    ((what, remedy),) = host_checks.check_ports(ports, "/nonexistent")
    assert what.startswith(f"port {listening} on 127.0.0.1 is in use by ")
    assert f"process {os.getpid()}" in what
    assert remedy == "stop it or set a_port to a free port"


def test_a_port_of_our_own_processes_is_none_of_our_problems(listening):
    ports = [{"name": "a_port", "address": "127.0.0.1", "port": listening}]
    assert host_checks.check_ports(ports, os.getcwd()) == []
    assert host_checks.check_ports(ports, os.getcwd() + "-2") != []


def test_two_variables_with_one_port_are_told():
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    ports = [{"name": name, "address": "127.0.0.1", "port": free} for name in ("one_port", "other_port")]
    assert texts(host_checks.check_ports(ports, "/nonexistent")) == [f"one_port and other_port are all 127.0.0.1:{free}"]


def test_addresses_of_this_host_and_of_others():
    # 192.0.2.0/24 is nobody's (RFC 5737)
    problems = host_checks.check_addresses({"mine": "127.0.0.1", "theirs": "192.0.2.1", "wrong": "no-address"})
    assert [what.split()[4:6] for what in texts(problems)] == [["theirs", "192.0.2.1:"], ["wrong", "no-address:"]]


def test_missing_programs_are_told_with_their_package(monkeypatch):
    assert host_checks.check_programs() == []
    monkeypatch.setattr(host_checks.shutil, "which", lambda _name: None)
    ((what, remedy),) = host_checks.check_programs()
    assert "setpriv" in what
    assert "util-linux" in remedy


FOUND = {"path": "/usr/bin/python3", "version": [3, 11], "venv": True}


@pytest.mark.parametrize(
    "answer, given, root, wanted, problems",
    [
        ((FOUND, []), None, False, FOUND, 0),
        ((None, [("/usr/bin/python3", "version 3.9 is not supported")]), None, False, None, 1),
        # root may install the distribution's
        ((None, []), None, True, None, 0),
        # but not in place of one that was asked for by name
        ((None, [("/opt/python", "this user cannot execute it")]), "/opt/python", True, None, 1),
        (({**FOUND, "venv": False}, []), None, False, {**FOUND, "venv": False}, 1),
        (({**FOUND, "venv": False}, []), None, True, {**FOUND, "venv": False}, 0),
    ],
)
def test_interpreters(monkeypatch, answer, given, root, wanted, problems):
    monkeypatch.setattr(host_python, "find", lambda *_arguments: answer)
    found, told = host_checks.check_python(given, None, root)
    assert found == wanted
    assert len(told) == problems
    for path, reason in answer[1] if problems else []:
        assert f"{path}: {reason}" in told[0][0]


@pytest.fixture
def supervisor(tmp_path):
    """A data directory whose pid file names a process with the command line of its supervisor."""
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", "import time; time.sleep(60)", "supervisord", "-c", f"{tmp_path}/etc/supervisord.conf"]
    with subprocess.Popen(command) as process:
        (tmp_path / "run" / "supervisord.pid").write_text(f"{process.pid}\n", encoding="ascii")
        # the command line is this one only after the exec
        while str(tmp_path) not in Path(f"/proc/{process.pid}/cmdline").read_text(encoding="utf-8"):
            time.sleep(0.01)
        yield process
        process.kill()


def test_another_manager_while_the_supervisor_runs_is_a_problem(tmp_path, supervisor):
    ((what, remedy),) = host_checks.check_manager("systemd", str(tmp_path), booted=True)
    assert f"process {supervisor.pid}" in what
    assert "make down ARGS='-e mlops_service_manager=supervisor'" in remedy
    assert host_checks.check_manager("supervisor", str(tmp_path), booted=False) == []
    supervisor.kill()
    supervisor.wait()
    assert host_checks.check_manager("systemd", str(tmp_path), booted=True) == []


def test_the_number_of_another_process_is_no_supervisor(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "supervisord.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
    assert host_checks.check_manager("systemd", str(tmp_path), booted=True) == []
    assert host_checks.check_manager("systemd", str(tmp_path / "none"), booted=True) == []


def test_another_manager_while_systemd_runs_or_will_run_the_units_is_a_problem(tmp_path, monkeypatch):
    def check(data_dir="/srv/one", booted=True):
        return host_checks.check_manager("supervisor", data_dir, booted, str(tmp_path))

    def systemctl(text):
        program = tmp_path / "bin" / "systemctl"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    systemctl("exit 1")
    assert check() == []
    (tmp_path / "mlops-postgresql.service").write_text("[Service]\nWorkingDirectory=/srv/one/postgresql/18\n", encoding="utf-8")
    # as make down leaves them: neither active nor started at the next boot
    assert check() == []
    systemctl('[ "$*" = "--quiet is-active mlops-postgresql.service" ]')
    ((what, remedy),) = check()
    assert "mlops-postgresql.service" in what and "mlops_service_manager=systemd" in remedy
    # another installation's, and a container on whose disk they are
    assert check("/srv/on") == [] and check(booted=False) == []
    systemctl("exit 1")
    (tmp_path / "multi-user.target.wants").mkdir()
    (tmp_path / "multi-user.target.wants" / "mlops.target").symlink_to("/etc/systemd/system/mlops.target")
    assert len(check()) == 1


def test_units_of_another_installation_are_a_problem(tmp_path):
    (tmp_path / "mlops-postgresql.service").write_text("[Service]\nWorkingDirectory=/srv/one/postgresql/18\n", encoding="utf-8")
    assert host_checks.check_units("/srv/one", str(tmp_path)) == []
    ((what, remedy),) = host_checks.check_units("/srv/on", str(tmp_path))
    assert "/srv/one/postgresql/18" in what
    assert "mlops_data_dir" in remedy
