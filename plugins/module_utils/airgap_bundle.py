# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A bundle's directory: where a file of it is, where it is while it is being made, and what its parts say of it."""

from __future__ import annotations

import hashlib
import os
import shutil

from ansible_collections.mlops.platform.plugins.module_utils import checked_file

# what is not whole yet. Hidden, and removed by the next run: nothing of a killed run has a name that somebody would use
PARTIAL = ".partial"
SUMS = "SHA256SUMS"
SBOM = "sbom.cdx.json"


def place(root, path):
    """Return the path of the bundle's file `path`. Raises checked_file.Failed for one that would be outside."""
    parts = path.split("/")
    if os.path.isabs(path) or {"", ".", "..", PARTIAL} & set(parts):
        raise checked_file.Failed(f"{path} is no path below a bundle")
    return os.path.join(root, *parts)


def partial(root, name):
    """Return the path of a new file or directory `name` on its way into the bundle. What a killed run left there is gone."""
    folder = os.path.join(root, PARTIAL)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    checked_file.remove(path)
    return path


def settle(root, ready, path):
    """Give the whole file `ready` its name in the bundle."""
    target = place(root, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.chmod(ready, 0o644)
    with open(ready, "rb") as stream:
        os.fsync(stream.fileno())
    os.rename(ready, target)


def require_space(root, whole_mb, missing, total):
    """Raise checked_file.Failed where the file system has not the part of `whole_mb` MiB that `missing` of `total` files are."""
    needed = whole_mb * missing // max(total, 1)
    existing = root
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing) or "/"
    free = shutil.disk_usage(existing).free >> 20
    if free < needed:
        raise checked_file.Failed(
            f"the file system of {root} has {free} MiB free, and {missing} missing file(s) need about {needed}."
            " Free some space, choose another airgap_dir, or fewer airgap_parts, airgap_pythons or airgap_machines; what was fetched stays"
        )


def component(kind, name, version, purl, path, total, expression="", licence=""):
    """Return what a part of the bundle says of one file for the list of its components."""
    return {
        "type": kind,
        "name": name,
        "version": version,
        "purl": purl,
        "path": path,
        "sha256": total,
        "expression": expression,
        "licence": licence,
    }


def digest_of(text):
    """Return the SHA-256 of a file with this text."""
    return hashlib.sha256(text.encode()).hexdigest()
