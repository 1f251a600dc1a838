"""Runs one module of this collection in a process of its own, as Ansible does, without a playbook's overhead."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from ansible.module_utils.testing import patch_module_args

ROOT = Path(__file__).resolve().parents[2]
_RUNNER = """
import json, runpy, sys
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
_AnsibleCollectionFinder(paths=[sys.argv[1]])._install()
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.load(sys.stdin)):
    runpy.run_module("ansible_collections.mlops.platform.plugins.modules." + sys.argv[2], run_name="__main__", alter_sys=True)
"""


# Whether run_module() forks the process of a module from one where its imports are loaded, which most of its time is. The conftest.py of
# the unit and the integration tests set it; where modules start daemons, or are measured, they run as Ansible runs them.
FORKED = False


@functools.cache
def server():
    """Return the connection to a process that runs modules, see lib.module_server. It ends when this process does."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "lib.module_server", str(ROOT / "collections"), str(there.fileno())]
    with there:
        process = subprocess.Popen(command, pass_fds=[there.fileno()], cwd=ROOT / "tests")
    atexit.register(lambda: (here.close(), process.wait()))
    return here


def run_forked(name, arguments, environ):
    """Run module `name` in a process that is forked from one where its imports are loaded; return (output, errors)."""
    request = {"name": name, "arguments": arguments, "environ": environ, "directory": os.getcwd()}
    with tempfile.TemporaryFile("w+") as asked, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        json.dump(request, asked)
        asked.seek(0)
        end, end_of_module = os.pipe()
        with open(end, "rb") as ended:
            socket.send_fds(server(), [b"."], [asked.fileno(), output.fileno(), errors.fileno(), end_of_module])
            os.close(end_of_module)
            ended.read()
        output.seek(0)
        errors.seek(0)
        return output.read().decode(), errors.read().decode()


def run_anew(name, arguments, environ):
    """Run module `name` in a new process; return (output, errors)."""
    command = [sys.executable, "-c", _RUNNER, str(ROOT / "collections"), name]
    done = subprocess.run(command, input=json.dumps(arguments), capture_output=True, text=True, env=environ, check=False)
    return done.stdout, done.stderr


def run_module(name, args, *, check=False, diff=False, env=None):
    """Run module `name` with `args`; return its result as a dict, with `stderr` added where the module wrote some.

    A module that ends with fail_json returns a dict with failed=True; anything that is not JSON raises AssertionError.
    """
    arguments = dict(args, _ansible_check_mode=check, _ansible_diff=diff)
    # what an interpreter reads as it starts, or where it finds libraries, needs one that starts
    run = run_forked if FORKED and not any(key.startswith("PYTHON") for key in env or ()) else run_anew
    output, errors = run(name, arguments, {**os.environ, **(env or {})})
    lines = output.strip().splitlines()
    assert lines and lines[-1].startswith("{"), f"{name} printed no result:\n{output}\n{errors}"
    result = json.loads(lines[-1])
    if errors:
        result["stderr"] = errors
    return result


def run_in_process(name, args, *, check=False, diff=False):
    """Run module `name` as run_module() does, but in this process, which is a hundred times faster. Warnings may be missing."""
    main = importlib.import_module(f"ansible_collections.mlops.platform.plugins.modules.{name}").main
    printed = io.StringIO()
    arguments = dict(args, _ansible_check_mode=check, _ansible_diff=diff)
    with patch_module_args(arguments), contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main()
    return json.loads(printed.getvalue().strip().splitlines()[-1])
