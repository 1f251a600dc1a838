# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finds a Python interpreter that a given user can execute and that can make virtual environments."""

from __future__ import annotations

import json
import os
import subprocess
import sys

# newest first; the wheels of all components exist for 3.10 to 3.14
VERSIONS = ((3, 14), (3, 13), (3, 12), (3, 11), (3, 10))
DIRECTORIES = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
# what a candidate is asked: its version, its real path, and whether it can make an environment with pip inside
PROBE = (
    "import json, os, sys, importlib.util as u;"
    "print(json.dumps({'version': list(sys.version_info[:2]), 'path': os.path.realpath(getattr(sys, '_base_executable', sys.executable)),"
    "'venv': bool(u.find_spec('venv') and u.find_spec('ensurepip'))}))"
)


def candidates(given=None):
    """Return the paths to try, in order: only `given` where that is set, else this interpreter's base and the system's."""
    if given:
        return [given]
    own = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    named = [f"{directory}/python{major}.{minor}" for major, minor in VERSIONS for directory in DIRECTORIES]
    # one entry per real file: /usr/bin/python3 and python3.11 are the same
    paths = [own, *named, "/usr/bin/python3", "/usr/local/bin/python3"]
    return list(dict.fromkeys(os.path.realpath(path) for path in paths if os.path.exists(path)))


def as_account(account):
    """Return the argument prefix that runs a program as `account` (a pwd.struct_passwd), [] for None: the user who runs this.

    runuser, not setpriv: setpriv keeps root's capabilities until the program is executed, and so finds programs in directories that
    the account cannot enter.
    """
    return [] if account is None else ["runuser", "-u", account.pw_name, "--"]


def probe(path, prefix):
    """Run PROBE with the interpreter `path`, as another user where `prefix` (an argument list) makes it one.

    Returns the probe's dict, or None where that user cannot run it.
    """
    try:
        done = subprocess.run([*prefix, path, "-Ic", PROBE], capture_output=True, text=True, timeout=30, check=False, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    try:
        return json.loads(done.stdout)
    except ValueError:
        return None


def find(given=None, account=None):
    """Find an interpreter of a supported version that an account can execute.

    given: the only path to try. account: its pwd.struct_passwd, or None for the user who runs this.
    Returns (found, tried): found is the probe's dict - the first with venv=True, else the first at all - or None; tried is a list of
    (path, reason) of those that were passed over.
    """
    prefix = as_account(account)
    second, tried = None, []
    for path in candidates(given):
        answer = probe(path, prefix)
        if answer is None:
            tried.append((path, f"{account.pw_name if account else 'this user'} cannot execute it"))
        elif tuple(answer["version"]) not in VERSIONS:
            tried.append((path, f"version {'.'.join(map(str, answer['version']))} is not supported"))
        elif not answer["venv"]:
            tried.append((path, "it has no venv or ensurepip module"))
            second = second or dict(answer, path=path)
        else:
            return dict(answer, path=path), tried
    return second, tried
