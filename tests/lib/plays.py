"""Runs a play of a test's own, such as one that includes a file of a role, as a user would: in a process, without the clone's settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from lib.platform_secrets import as_variables
from lib.render import ROOT


def run_play(folder, play, given, *options, **environment):
    """Run `play` (a dictionary) in `folder` on this machine with the variables `given`; return (exit code, output)."""
    (folder / "play.yml").write_text(yaml.dump([{"hosts": "localhost", "gather_facts": False, **play}]), encoding="utf-8")
    (folder / "given.yml").write_text(as_variables(given), encoding="utf-8")
    # what the clone's ansible.cfg has for the processors' sake, and nothing of its other settings
    (folder / "ansible.cfg").write_text("[defaults]\ninternal_poll_interval = 0.02\n[connection]\npipelining = true\n", encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "play.yml", "-e", "@given.yml", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_"))},
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            **environment,
        },
    )
    return done.returncode, done.stdout + done.stderr
