# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which versions of MLflow's client a server has answered: what its processes note (roles/mlflow/files/mlflow_clients.py).

It needs nothing but Python, as the doctor asks it on hosts that have nothing else. The files are the services' own, and root reads them:
so nothing is waited for, followed or taken that is no version with a time.
"""

from __future__ import annotations

import glob
import json
import os
import re
import stat
import time

# a process notes a hundred versions
MOST_BYTES = 65536
VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6}){1,3}[0-9A-Za-z.+-]{0,24}")
# a pod's line of its log; longer ones are none
LINE = re.compile(rf"mlops-client (?P<version>{VERSION.pattern}) (?P<when>[0-9]{{9,11}})")
# a clock that was set back leaves times to come: those of a day are taken for now
DAY = 86400


def content(path):
    """Return the text of a file of the services, "" for whatever else is there."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as stream:
            return stream.read(MOST_BYTES).decode("utf-8", "replace") if stat.S_ISREG(os.fstat(handle).st_mode) else ""
    except OSError:
        return ""


def noted(text, now):
    """Return {version: seconds since 1970} of the text of one file; what cannot be that is left out."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return believed(found.items(), now) if isinstance(found, dict) else {}


def believed(pairs, now):
    """Return {version: seconds since 1970} of pairs; the latest of each counts, and what cannot be that is left out."""
    merged = {}
    for version, when in pairs:
        if VERSION.fullmatch(version) and isinstance(when, (int, float)) and not isinstance(when, bool) and 0 < when < now + DAY:
            merged[version] = max(int(min(when, now)), merged.get(version, 0))
    return merged


def in_log(text, now):
    """Return {version: seconds since 1970} of a pod's log."""
    lines = (LINE.fullmatch(line) for line in text.splitlines())
    return believed(((found["version"], int(found["when"])) for found in lines if found), now)


def read(data_dir, now=None):
    """Return {version: when it was last answered} of all processes, of those too that are no more."""
    now = time.time() if now is None else now
    paths = sorted(glob.glob(os.path.join(glob.escape(data_dir), "mlflow", "mlflow-*", "clients.json")))
    return believed((pair for path in paths for pair in noted(content(path), now).items()), now)
