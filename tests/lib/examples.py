"""Runs the EXAMPLES of modules as they stand: as one playbook, at -vvv and with --diff, so that what a secret may leak into is there."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from lib.platform_secrets import as_variables

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}


def examples(name):
    """Return the text of a module's EXAMPLES."""
    return importlib.import_module(f"ansible_collections.mlops.platform.plugins.modules.{name}").EXAMPLES


def play(folder, text, variables, environment=None):
    """Run `text`, a list of tasks, on this machine; return (exit status, output, the recap's counters). The play lies in `folder`."""
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": yaml.safe_load(text)}
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    given = folder / "vars.yml"
    given.touch(mode=0o600)
    given.write_text(as_variables({**variables, "ansible_python_interpreter": sys.executable}), encoding="utf-8")
    command = [Path(sys.executable).with_name("ansible-playbook"), "-vvv", "--diff", "-i", "localhost,", "-e", f"@{given}"]
    done = subprocess.run(
        [*map(str, command), str(folder / "play.yml")],
        cwd=ROOT,
        env={**os.environ, **SETTINGS, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    recap = output.rpartition("PLAY RECAP")[2].splitlines()[1:2]
    counters = dict(pair.split("=") for pair in " ".join(recap).partition(":")[2].split())
    return done.returncode, output, {name: int(number) for name, number in counters.items()}
