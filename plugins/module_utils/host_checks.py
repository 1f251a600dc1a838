# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must be true of a host before anything is installed on it; each check returns problems as (what, remedy)."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import socket
import subprocess

from ansible_collections.mlops.platform.plugins.module_utils import host_ports, host_python

MARKER = ".mlops-installation"
# a Unix socket's path holds at most 107 bytes (sun_path); ours add up to 30 below the data directory
MAX_DATA_DIR = 75
# util-linux on every distribution: to drop privileges and end services with their supervisor, and to install one at a time
PROGRAMS = ("setpriv", "flock")


def data_directory_state(path):
    """Return (state, marker) of a data directory: state missing, empty, ours or foreign; marker the dict in MARKER or None."""
    if not os.path.lexists(path):
        return "missing", None
    if not os.path.isdir(path):
        return "foreign", None
    try:
        with open(os.path.join(path, MARKER), encoding="utf-8") as stream:
            return "ours", json.load(stream)
    except (OSError, ValueError):
        pass
    try:
        return ("foreign" if os.listdir(path) else "empty"), None
    except OSError:
        return "foreign", None


def complete_environments(data_dir):
    """Return the names of the virtual environments in `data_dir` that roles/local_runtime has marked as complete, sorted."""
    return sorted(os.path.basename(os.path.dirname(path)) for path in glob.glob(os.path.join(data_dir, "runtime", "*", ".complete")))


def nearest_existing(path):
    """Return the longest part of an absolute `path` that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def check_data_directory(path, uid, account):
    """Check the place of the data directory. uid: who will own it; account: who must reach it (None: this user)."""
    if not re.fullmatch(r"/[A-Za-z0-9._/@+-]+", path):
        return [
            (
                f"the data directory {path!r} has a character that unit files and scripts cannot carry",
                "set mlops_data_dir to an absolute path of letters, digits and ._@+-",
            )
        ]
    if len(path) > MAX_DATA_DIR:
        return [(f"the data directory {path} is longer than {MAX_DATA_DIR} characters", "set mlops_data_dir to a shorter path")]
    state, marker = data_directory_state(path)
    if state == "foreign":
        return [
            (
                f"the data directory {path} is not empty and was not made by this collection; it was left untouched",
                "set mlops_data_dir to a new or empty directory, or move what is there",
            )
        ]
    if state == "ours" and marker.get("uid") not in (None, uid):
        return [
            (
                f"the installation in {path} belongs to the user id {marker.get('uid')}, and this run would use {uid}",
                "run as the user who installed it, or set mlops_data_dir to another directory",
            )
        ]
    problems = []
    there = nearest_existing(path)
    if state in ("missing", "empty") and not os.access(there, os.W_OK | os.X_OK):
        problems.append((f"{there} is not writable, so {path} cannot be made", "set mlops_data_dir to a place that this user can write"))
    if account is not None:
        reach = [*host_python.as_account(account), "test", "-x", there]
        if subprocess.run(reach, capture_output=True, check=False, cwd="/").returncode != 0:
            problems.append(
                (f"the service user {account.pw_name} cannot enter {there}", "set mlops_data_dir outside of private home directories")
            )
    if os.statvfs(there).f_flag & getattr(os, "ST_NOEXEC", 8):
        problems.append((f"the file system of {there} is mounted noexec", "set mlops_data_dir to one that can hold programs"))
    return problems


def check_space(path, need_mb):
    """Check that the file system of `path` has `need_mb` MiB free."""
    there = nearest_existing(path)
    free = shutil.disk_usage(there).free // 2**20
    if free < need_mb:
        return [
            (
                f"the file system of {there} has {free} MiB free and {need_mb} MiB are needed",
                "free some space or set mlops_data_dir to another file system",
            )
        ]
    return []


def check_ports(ports, data_dir):
    """Check that every wanted port is free or held by a process of this installation.

    ports: a list of dicts name (the variable that sets it), address, port. A process is ours when its working directory lies in data_dir.
    """
    problems = []
    by_key = {}
    for entry in ports:
        by_key.setdefault((entry["address"], entry["port"]), []).append(entry["name"])
    for (address, port), names in by_key.items():
        if len(names) > 1:
            problems.append((f"{' and '.join(names)} are all {address}:{port}", "give each of them a port of its own"))
    for (address, port), holder in host_ports.holders(list(by_key)).items():
        if holder["cwd"] and (holder["cwd"] + "/").startswith(data_dir.rstrip("/") + "/"):
            continue
        who = (
            f"{holder['name']} (process {holder['pid']}, user {holder['user']})" if holder["pid"] else f"a process of user {holder['user']}"
        )
        problems.append((f"port {port} on {address} is in use by {who}", f"stop it or set {by_key[(address, port)][0]} to a free port"))
    return problems


def check_addresses(addresses):
    """Check that each address in {variable: address} is one of this host's."""
    problems = []
    for variable, address in addresses.items():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.bind((address, 0))
        except OSError as error:
            problems.append((f"nothing can listen on {variable} {address}: {error.strerror or error}", "use an address of this host"))
    return problems


def check_units(data_dir, folder="/etc/systemd/system"):
    """Check that the units of this collection in `folder`, of which a host has one set, are those of the installation in `data_dir`."""
    others = set()
    for path in glob.glob(os.path.join(folder, "mlops-*.service")):
        with open(path, encoding="utf-8") as stream:
            match = re.search(r"^WorkingDirectory=(.+)$", stream.read(), re.MULTILINE)
        if match and not (match.group(1) + "/").startswith(data_dir.rstrip("/") + "/"):
            others.add(match.group(1))
    if not others:
        return []
    return [
        (
            f"the systemd units of this host belong to another installation, which works in {', '.join(sorted(others))}",
            "set mlops_data_dir to that installation's, or remove it first with playbooks/reset.yml",
        )
    ]


def supervisor_process(data_dir):
    """Return the id of the supervisor that runs the services of `data_dir`, or None."""
    try:
        with open(os.path.join(data_dir, "run", "supervisord.pid"), encoding="ascii") as stream:
            pid = int(stream.read())
        # the number may be another process's by now
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as stream:
            return pid if os.path.join(data_dir, "etc", "supervisord.conf") in stream.read().split("\0") else None
    except (OSError, ValueError):
        return None


def units_in_use(data_dir, folder):
    """Return the units in `folder` of the installation in `data_dir`, if systemd runs them or will at the next boot, else an empty list."""
    own = []
    for path in sorted(glob.glob(os.path.join(folder, "mlops-*.service"))):
        with open(path, encoding="utf-8") as stream:
            match = re.search(r"^WorkingDirectory=(.+)$", stream.read(), re.MULTILINE)
        if match and (match.group(1) + "/").startswith(data_dir.rstrip("/") + "/"):
            own.append(os.path.basename(path))
    if not own or os.path.lexists(os.path.join(folder, "multi-user.target.wants", "mlops.target")):
        return own
    # 0: one of them is active
    return own if subprocess.run(["systemctl", "--quiet", "is-active", *own], capture_output=True, check=False).returncode == 0 else []


def check_manager(manager, data_dir, booted, folder="/etc/systemd/system"):
    """Check that the installation is not run by the other service manager than `manager`. booted: whether this host has systemd."""
    if manager == "systemd":
        pid = supervisor_process(data_dir) if booted else None
        other, runs = "supervisor", f"a supervisor (process {pid})" if pid else ""
    else:
        units = units_in_use(data_dir, folder) if booted else []
        other, runs = "systemd", f"systemd ({', '.join(units)})" if units else ""
    if not runs:
        return []
    return [
        (
            f"mlops_service_manager is {manager} here, and the services of {data_dir} are run by {runs}",
            f"stop them first: make down ARGS='-e mlops_service_manager={other}', or playbooks/down.yml with it; or set it to {other}",
        )
    ]


def check_programs():
    """Check that the operating system's own programs which the services need are there."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return [(f"missing programs: {', '.join(missing)}", "install the package util-linux")] if missing else []


def check_python(given, account, root):
    """Check for an interpreter that the services can run. Returns (found, problems); found is host_python's dict or None."""
    found, tried = host_python.find(given, account)
    reasons = "; ".join(f"{path}: {reason}" for path, reason in tried)
    versions = ", ".join(f"{major}.{minor}" for major, minor in reversed(host_python.VERSIONS))
    if found is None and not (root and not given):
        remedy = "install Python 3.11 or set mlops_python to an interpreter that the service user can execute"
        return None, [(f"no Python of version {versions} for the services ({reasons or 'none is installed'})", remedy)]
    if found is not None and not found["venv"] and not root:
        remedy = "apt-get install python3-venv (Debian, Ubuntu), or set mlops_python to a complete interpreter"
        return found, [(f"{found['path']} has no venv or ensurepip module", remedy)]
    return found, []
