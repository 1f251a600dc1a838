"""The collection's archive: builds it, says what must not be in it, and installs it where ansible-test wants a collection."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from pathlib import Path

from results import ROOT, Failed

# what a build of a used clone would carry along by mistake
UNWANTED = re.compile(
    r"(^|/)(\.git|\.venv|\.cache|\.ansible|\.ci|\.pytest_cache|\.ruff_cache|__pycache__|collections|molecule|ansible_collections)(/|$)"
    r"|^tests/output(/|$)|\.(pyc|tar\.gz|log|retry|pem|key)$"
)
WANTED = {
    "MANIFEST.json",
    "README.md",
    "bindep.txt",
    "meta/execution-environment.yml",
    "meta/runtime.yml",
    "playbooks/site.yml",
    "requirements.txt",
    "requirements.yml",
}
# measured 0.4 MB: ten times that is a mistake
MAX_BYTES = 4 * 2**20


def build(directory: Path) -> Path:
    """Build the archive into `directory` and return its path. Raises Failed."""
    command = ["ansible-galaxy", "collection", "build", "--output-path", str(directory)]
    done = subprocess.run(command, cwd=ROOT, check=False)
    built = list(directory.glob("mlops-platform-*.tar.gz"))
    if done.returncode or len(built) != 1:
        raise Failed(f"ansible-galaxy collection build ended with code {done.returncode}")
    return built[0]


def problems(archive: Path) -> list[str]:
    """Return what is wrong with the content of `archive`."""
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    names = {member.name for member in members}
    found = [f"{name} is missing" for name in sorted(WANTED - names)]
    found += [f"{name} does not belong there" for name in sorted(names) if UNWANTED.search(name)]
    found += [f"{member.name} is a link" for member in members if member.issym() or member.islnk()]
    if archive.stat().st_size > MAX_BYTES:
        found.append(f"it has {archive.stat().st_size} bytes, more than {MAX_BYTES}")
    return found


def install(archive: Path, directory: Path) -> Path:
    """Install `archive` below `directory` and return the collection's own directory. Raises Failed."""
    command = ["ansible-galaxy", "collection", "install", "--no-deps", "--force", "--offline", "-p", str(directory), str(archive)]
    # the directory is a collections path from here on: without the variable the program warns that nothing will find it
    if subprocess.run(command, check=False, env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(directory)}).returncode:
        raise Failed("the built collection cannot be installed")
    return directory / "ansible_collections" / "mlops" / "platform"
