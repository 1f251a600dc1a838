# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a maintainer needs beside the doctor's report: versions, states, the ends of the logs, settings, and a listing without content."""

from __future__ import annotations

import glob
import json
import os
import platform
import stat
import time

from ansible_collections.mlops.platform.plugins.module_utils import (
    doctor_files,
    doctor_place,
    doctor_postgresql,
    doctor_services,
    host_checks,
)
from ansible_collections.mlops.platform.plugins.module_utils.doctor_look import output, read

# the listing of a directory with a million objects is no help
MOST_ENTRIES = 5000
# programs and data: their top alone is listed
SHALLOW = ("runtime", "postgresql", "seaweedfs")


def as_json(value):
    """Return a value as JSON for people."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n"


def listing(root):
    """Return the paths below `root` with mode, owner, size and time, one to a line."""
    lines = []
    for place, folders, names in os.walk(root):
        depth = os.path.relpath(place, root)
        if depth.split(os.sep)[0] in SHALLOW and depth.count(os.sep) >= 1:
            folders[:] = []
        for name in sorted(folders + names):
            if len(lines) >= MOST_ENTRIES:
                return "\n".join([*lines, f"... more than {MOST_ENTRIES} entries"]) + "\n"
            path = os.path.join(place, name)
            found = doctor_files.seen(path)
            if found:
                status = os.lstat(path)
                moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(status.st_mtime))
                lines.append(
                    f"{stat.filemode(status.st_mode)} {found['owner']}:{found['group']} {found['size']:>12} {moment}"
                    f" {os.path.relpath(path, root)}"
                )
    return "\n".join(lines) + "\n"


def logs(plan, limit):
    """Return {name: the end of each log}."""
    found = {}
    for path in sorted(glob.glob(os.path.join(plan["data_dir"], "log", "*.log"))):
        found[f"log/{os.path.basename(path)}"] = read(path, limit) or ""
    if plan["service_manager"] == "systemd":
        for name in plan["services"]:
            text = output(["journalctl", "--unit", f"mlops-{name}", "--lines", "5000", "--no-pager", "--output", "short-iso"], timeout=20)[
                1
            ]
            found[f"log/{name}.log"] = text[-limit:].partition("\n")[2] if len(text) > limit else text
    return found


def settings(plan):
    """Return PostgreSQL's settings that are not its defaults, or why they cannot be had."""
    query = {"settings": "SELECT name, setting, source FROM pg_settings WHERE source <> 'default' ORDER BY 1"}
    if doctor_postgresql.psycopg2 is None:
        return "this Python has no psycopg2\n"
    password = doctor_place.secret(plan, "postgresql_superuser_password")
    answer, said = doctor_postgresql.login(plan, plan["postgresql"]["superuser"], password, "postgres", query)
    if answer is None or isinstance(answer["settings"], str):
        return f"{said or answer['settings']}\n"
    return "".join(f"{name} = {value} ({source})\n" for name, value, source in answer["settings"])


def services(plan):
    """Return the states of the services and who holds the ports, as JSON."""
    found = doctor_services.look(plan)
    return as_json({**found, "holders": {f"{address}:{port}": holder for (address, port), holder in found["holders"].items()}})


def collect(plan, wanted):
    """Return {name: text} of a bundle. What cannot be had says why in its place; secrets are still in it."""
    root = plan["data_dir"]

    def told(make, *arguments):
        try:
            return make(*arguments)
        except Exception as problem:
            return f"{type(problem).__name__}: {problem}\n"

    found = dict(wanted.get("files") or {})
    found["plan.json"] = as_json(plan)
    found["versions.json"] = as_json(
        {
            "kernel": platform.platform(),
            "python": platform.python_version(),
            "distribution": read("/etc/os-release"),
            "environments": host_checks.complete_environments(root),
        }
    )
    found["host.txt"] = "".join(
        f"$ {' '.join(argv)}\n{output(argv)[1]}\n" for argv in (["uptime"], ["df", "-k"], ["df", "-i"], ["free", "-m"], ["date", "-u"])
    )
    found["services.json"] = told(services, plan)
    found["postgresql.txt"] = told(settings, plan)
    found["listing.txt"] = told(listing, root)
    for path in (
        "backup/mlops_backup.prom",
        "etc/traefik/traefik.yml",
        "etc/traefik/routes/mlflow-servers.yml",
        "etc/postgresql/postgresql.conf",
        "etc/postgresql/pg_hba.conf",
    ):
        text = read(os.path.join(root, path), wanted["log_bytes"])
        if text is not None:
            found[path] = text
    found.update(told(logs, plan, wanted["log_bytes"]) if os.path.isdir(os.path.join(root, "log")) else {})
    return found
