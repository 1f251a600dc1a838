"""Runs one module of this collection in a process of its own, as Ansible does, without a playbook's overhead."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
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


def run_module(name, args, *, check=False, diff=False, env=None):
    """Run module `name` with `args`; return its result as a dict, with `stderr` added where the module wrote some.

    A module that ends with fail_json returns a dict with failed=True; anything that is not JSON raises AssertionError.
    """
    arguments = dict(args, _ansible_check_mode=check, _ansible_diff=diff)
    done = subprocess.run(
        [sys.executable, "-c", _RUNNER, str(ROOT / "collections"), name],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    assert lines and lines[-1].startswith("{"), f"{name} printed no result:\n{done.stdout}\n{done.stderr}"
    result = json.loads(lines[-1])
    if done.stderr:
        result["stderr"] = done.stderr
    return result


def run_in_process(name, args, *, check=False, diff=False):
    """Run module `name` as run_module() does, but in this process, which is a hundred times faster. Warnings may be missing."""
    main = importlib.import_module(f"ansible_collections.mlops.platform.plugins.modules.{name}").main
    printed = io.StringIO()
    arguments = dict(args, _ansible_check_mode=check, _ansible_diff=diff)
    with patch_module_args(arguments), contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main()
    return json.loads(printed.getvalue().strip().splitlines()[-1])
