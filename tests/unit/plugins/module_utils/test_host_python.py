"""Which interpreter is taken for the services: with stand-ins that answer the probe as other versions would."""

from __future__ import annotations

import json
import os
import pwd
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.mlops.platform.plugins.module_utils import host_python


@pytest.fixture
def interpreter(tmp_path):
    def make(name, version=(3, 11), venv=True, output=None, code=0):
        path = tmp_path / name
        answer = output if output is not None else json.dumps({"version": list(version), "path": str(path), "venv": venv})
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\nexit {code}\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def among(monkeypatch):
    """Let only the given paths be candidates."""
    return lambda *paths: monkeypatch.setattr(host_python, "candidates", lambda given=None: [given] if given else list(paths))


def test_this_interpreter_answers_the_probe():
    answer = host_python.probe(sys.executable, [])
    assert answer["version"] == list(sys.version_info[:2])
    assert os.path.isabs(answer["path"])


def test_candidates_are_real_files_and_each_stands_once():
    found = host_python.candidates()
    assert found[0] == os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    assert len(set(found)) == len(found)
    assert all(os.path.isfile(path) and not os.path.islink(path) for path in found)


def test_only_the_given_one_is_a_candidate():
    assert host_python.candidates("/opt/python/bin/python3") == ["/opt/python/bin/python3"]


def test_the_first_complete_one_is_taken(interpreter, among):
    old, bare, good, later = interpreter("old", (3, 9)), interpreter("bare", venv=False), interpreter("good"), interpreter("later")
    among(old, bare, good, later)
    found, tried = host_python.find()
    assert found["path"] == good
    assert tried == [(old, "version 3.9 is not supported"), (bare, "it has no venv or ensurepip module")]


def test_an_incomplete_one_is_better_than_none(interpreter, among):
    broken, bare, second = interpreter("broken", code=1), interpreter("bare", (3, 12), venv=False), interpreter("second", venv=False)
    among(broken, bare, second)
    found, tried = host_python.find()
    assert (found["path"], found["venv"], found["version"]) == (bare, False, [3, 12])
    assert tried[0] == (broken, "this user cannot execute it")


@pytest.mark.parametrize("output", ["", "Python 3.11.2", "{"])
def test_a_program_that_is_no_python_is_passed_over(interpreter, among, output):
    among(interpreter("other", output=output))
    assert host_python.find()[0] is None


def test_a_path_that_is_not_there_is_passed_over(among):
    among()
    found, tried = host_python.find("/nonexistent/python3")
    assert found is None
    assert tried == [("/nonexistent/python3", "this user cannot execute it")]


@pytest.mark.parametrize("version, supported", [((3, 9), False), ((3, 10), True), ((3, 14), True), ((3, 15), False), ((2, 7), False)])
def test_versions_that_the_lock_files_hold_for(interpreter, among, version, supported):
    among(interpreter("python", version))
    assert (host_python.find()[0] is not None) is supported


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as another user")
def test_it_is_tried_as_the_account_that_will_run_it(interpreter, among, tmp_path):
    private = interpreter("private")
    tmp_path.chmod(0o700)
    among(private)
    nobody = pwd.getpwnam("nobody")
    assert host_python.find(None, None)[0]["path"] == private
    found, tried = host_python.find(None, nobody)
    assert found is None
    assert tried == [(private, "nobody cannot execute it")]


def test_no_account_means_no_prefix():
    assert host_python.as_account(None) == []
    nobody = pwd.getpwnam("nobody")
    assert host_python.as_account(nobody) == ["runuser", "-u", "nobody", "--"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as another user")
def test_an_interpreter_in_a_private_directory_is_no_answer():
    # not pytest's directory, which is private itself
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        interpreter = Path(folder, "python3")
        interpreter.symlink_to(os.path.realpath("/usr/bin/python3"))
        prefix = host_python.as_account(pwd.getpwnam("nobody"))
        Path(folder).chmod(0o755)
        assert host_python.probe(str(interpreter), prefix)["version"]
        Path(folder).chmod(0o700)
        assert host_python.probe(str(interpreter), prefix) is None
