# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one rule of which MLflow client works with which MLflow server.

docs/compatibility.md shows the measurements behind it, and tests/unit/test_compatibility.py holds it against them. It needs nothing but
Python, as the doctor asks it on hosts that have nothing else.
"""

from __future__ import annotations

import re

# LIMITED: it logs and reads runs, artifacts and models; what only the newer side has, or no longer has, fails alone
WORKS, LIMITED, FAILS = "works", "limited", "fails"
# The oldest major version of a client for which servers of a major version still have everything, where it is not all older ones.
OLDEST = {2: 2}


def release(version):
    """Return (major, minor) of a version such as 3.17.2, v3.18.0rc1 or 3, or None."""
    match = re.match(r"v?(\d+)(?:\.(\d+))?(?![0-9])", str(version or ""))
    return (int(match[1]), int(match[2] or 0)) if match else None


def major(version):
    """Return the major number of a version, or None."""
    found = release(version)
    return found[0] if found else None


def is_newer(client, server):
    """Return whether a client is of a newer minor or major version than a server."""
    return release(client) > release(server)


def oldest(server):
    """Return the oldest major version of a client for which a server has everything; one that nobody has measured is like the last one."""
    known = [number for number in OLDEST if number <= major(server)]
    return OLDEST[max(known)] if known else 0


def judge(client, server):
    """Return WORKS, LIMITED or FAILS for two versions. Raises ValueError for a text that is no version."""
    for version in (client, server):
        if release(version) is None:
            raise ValueError(f"{version!r} is not a version such as 3.17.2")
    if major(client) > major(server):
        return FAILS
    return LIMITED if is_newer(client, server) or major(client) < oldest(server) else WORKS


def edges(server):
    """Return the versions at which judge() may change for this server: of two that no edge lies between, both get the same."""
    number, minor = release(server)
    return [f"{oldest(server)}.0", f"{number}.{minor + 1}", f"{number + 1}.0"]


def bounds(server):
    """Return the requirement that leaves out every client that cannot work with this server, such as "<4"."""
    return f"<{major(server) + 1}"


def advice(client, server):
    """Return the requirement with which a client of another version should be replaced."""
    number, minor = release(server)
    if judge(client, server) == FAILS:
        return bounds(server)
    return f"<{number}.{minor + 1}" if is_newer(client, server) else f"=={server}"


def is_incompatible(client_version, server_version, has_logged_models):
    """Return whether a client cannot work with a server that may not tell its version.

    server_version may be None: then has_logged_models, the answer of the API through which clients from 3.0 on log models, decides.
    """
    if release(server_version) is not None:
        return judge(client_version, server_version) == FAILS
    return major(client_version) >= 3 and has_logged_models is False
