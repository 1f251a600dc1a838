# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Archives of container images, fetched by skopeo or podman."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess

from ansible_collections.mlops.platform.plugins.module_utils import checked_file

PROGRAMS = ("skopeo", "podman")
# an image of several GB from a slow registry
TIMEOUT = 3600


def program(wanted):
    """Return the path of the program to use, or None. `wanted` is auto or the name of one."""
    return next((path for name in (PROGRAMS if wanted == "auto" else [wanted]) for path in [shutil.which(name)] if path), None)


def split(reference):
    """Return (name, tag, digest) of an image's reference; what it does not have is empty."""
    rest, _unused, digest = reference.partition("@")
    match = re.fullmatch(r"(.*?)(?::([\w][\w.-]*))?", rest)
    # a colon before a slash is a port's
    name, tag = (match[1], match[2] or "") if "/" not in (match[2] or "") else (rest, "")
    return name, tag, digest


def archive(reference, architecture):
    """Return the path of an image's archive in a bundle."""
    name, tag, digest = split(reference)
    plain = re.sub(r"[^\w.-]", "_", "_".join(part for part in (name, tag or digest.partition(":")[2][:12] or "latest") if part))
    return f"images/{architecture}/{plain}.tar"


def run(*command):
    """Run a program and return its output, in bytes. Raises checked_file.Failed with its own words."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise checked_file.Failed(str(error)) from error
    if done.returncode:
        said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        raise checked_file.Failed(said[-1] if said else f"{command[0]} ended with {done.returncode}")
    return done.stdout


def fetch(path, reference, pinned, architecture, target):
    """Write an image's archive to `target` with the program `path`; return its digest at the registry. Raises checked_file.Failed.

    By a digest the program itself refuses what is something else.
    """
    name, tag, digest = split(reference)
    digest = pinned or digest
    source = f"{name}@{digest}" if digest else f"{name}:{tag or 'latest'}"
    known = f"{name}:{tag or 'latest'}"
    if path.endswith("skopeo"):
        system = ("--override-os", "linux", "--override-arch", architecture)
        # Of the manifest as it is, an image index too. Without --raw skopeo lists all tags besides, and asks the registry itself for them,
        # past a mirror that registries.conf names.
        found = digest or f"sha256:{hashlib.sha256(run(path, 'inspect', '--raw', f'docker://{source}')).hexdigest()}"
        run(path, "copy", "--quiet", *system, f"docker://{name}@{found}", f"docker-archive:{target}:{known}")
        return found
    try:
        run(path, "image", "exists", source)
        there = True
    except checked_file.Failed:
        there = False
    run(path, "pull", "--quiet", "--os", "linux", "--arch", architecture, source)
    try:
        found = digest or run(path, "image", "inspect", "--format", "{{.Digest}}", source).decode("ascii").strip()
        run(path, "tag", source, known)
        run(path, "save", "--quiet", "--format", "docker-archive", "--output", target, known)
    finally:
        if not there:
            run(path, "rmi", "--force", source)
    return found
