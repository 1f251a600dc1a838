"""A package index for the test hosts: the wheels that the lock files name, fetched once and served in PyPI's layout.

Hosts that each fetch a gigabyte would make the tests as slow as the network. Nothing is weakened by it: pip compares every file with the
lock's hashes when it is fetched here, and again when a host installs it. It is what `mlops_mirror` and MLOPS_MIRROR point at.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from results import ROOT, Failed

# what makes bundles for users; it imports nothing of the collection
sys.path.insert(0, str(ROOT / "plugins" / "module_utils"))
import airgap_wheels as wheels  # noqa: E402

CACHE = ROOT / ".cache" / "mirror"
HOST_LOCKS = sorted((ROOT / "roles" / "local_runtime" / "files").glob("*.txt"))
CONTROLLER_LOCK = ROOT / "requirements" / "controller.txt"
# Debian 12's
GLIBC = "2.36"


def fill(locks: list[Path], version: str, machine: str) -> None:
    """Fetch every wheel of `locks` for the Python `version`, such as 3.13. Raises Failed where a lock has none for it."""
    for lock in locks:
        lines = [package.line for package in wheels.wanted(lock.read_text(encoding="utf-8"), version, machine)]
        # the content names the work: what has been fetched for the same lines is not fetched again
        key = hashlib.sha256("\n".join([machine, version, *lines]).encode()).hexdigest()
        stamp = CACHE / "complete" / f"{lock.stem}-{version}-{key[:16]}"
        if stamp.exists():
            continue
        stamp.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            wanted = Path(directory, "requirements.txt")
            wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
            command = wheels.download(sys.executable, version, machine, GLIBC, directory, str(wanted))
            if subprocess.run(command, check=False).returncode:
                raise Failed(f"{lock.relative_to(ROOT)} has no complete set of wheels for Python {version} on {machine}")
            for wheel in Path(directory).glob("*.whl"):
                folder = CACHE / "pypi.org" / "simple" / wheels.parts(wheel.name)[0]
                folder.mkdir(parents=True, exist_ok=True)
                shutil.move(wheel, folder / wheel.name)
        stamp.touch()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and, as an index's page, the list of a directory; says nothing of what went well."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Leave out the line per request."""


@contextmanager
def serve():
    """Serve the mirror on all addresses for as long as the block runs; gives the port."""
    with ThreadingHTTPServer(("", 0), partial(Quiet, directory=str(CACHE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
