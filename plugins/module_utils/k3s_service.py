# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""K3s's systemd unit: its state, and whether it was started with the files that are there now."""

from __future__ import annotations

import glob
import os
import subprocess

from ansible_collections.mlops.platform.plugins.module_utils.checked_file import digest

# written by the unit itself at each start, whoever starts it: sha256sum of the files and name, size and time of the image archives
STARTED = "/run/mlops-k3s.started"
PROPERTIES = ("LoadState", "ActiveState", "SubState", "UnitFileState", "NeedDaemonReload", "NRestarts", "MainPID", "Result")


class Failed(Exception):
    """A command that did not do what it was asked for."""


def call(*command):
    """Run a command and return its output. Raises Failed."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8", "replace")


def systemctl(*arguments):
    """Run systemctl and return its output. Raises Failed."""
    return call("systemctl", *arguments)


def state(unit):
    """Return the properties of a unit, by name. Raises Failed."""
    shown = systemctl("show", unit, *[f"--property={name}" for name in PROPERTIES])
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def present(files, images):
    """Return the lines that a start now would write to STARTED."""
    lines = [f"{total}  {path}" for path in files for total in [digest(path)] if total]
    for path in sorted(glob.glob(os.path.join(images, "*"))):
        status = os.stat(path)
        lines.append(f"{path} {status.st_size} {int(status.st_mtime)}")
    return lines


def started():
    """Return the lines that the last start wrote, or None where no start since the boot did."""
    try:
        with open(STARTED, encoding="utf-8") as stream:
            return stream.read().splitlines()
    except OSError:
        return None


def outdated(files, images):
    """Return the paths that differ from what the running service was started with."""
    before = started()
    if before is None:
        return ["the unit"]
    return sorted({line.split()[0] if line.startswith("/") else line.split()[-1] for line in set(before) ^ set(present(files, images))})
