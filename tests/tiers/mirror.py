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

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from results import ROOT, Failed

CACHE = ROOT / ".cache" / "mirror"
HOST_LOCKS = sorted((ROOT / "roles" / "local_runtime" / "files").glob("*.txt"))
CONTROLLER_LOCK = ROOT / "requirements" / "controller.txt"
# newest first: glibc 2.36 is Debian 12's
GLIBC = [f"manylinux_2_{minor}" for minor in range(36, 4, -1)] + ["manylinux2014", "manylinux2010", "manylinux1", "linux"]


def lines_for(lock: Path, version: str, machine: str) -> list[str]:
    """Return the requirements of `lock` that hold for the Python `version` on Linux, each with its hashes and without its condition.

    pip judges conditions by the Python that runs it, not by the one that it fetches for.
    """
    facts = {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "os_name": "posix",
        "extra": "",
    }
    found = []
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        specification, *hashes = line.split("#", 1)[0].split(" --hash=")
        if specification.strip():
            requirement = Requirement(specification)
            if requirement.marker is None or requirement.marker.evaluate(facts):
                found.append(" ".join([f"{requirement.name}{requirement.specifier}", *(f"--hash={value.strip()}" for value in hashes)]))
    return found


def fill(locks: list[Path], version: str, machine: str) -> None:
    """Fetch every wheel of `locks` for the Python `version`, such as 3.13. Raises Failed where a lock has none for it."""
    for lock in locks:
        lines = lines_for(lock, version, machine)
        # the content names the work: what has been fetched for the same lines is not fetched again
        key = hashlib.sha256("\n".join([machine, version, *lines]).encode()).hexdigest()
        stamp = CACHE / "complete" / f"{lock.stem}-{version}-{key[:16]}"
        if stamp.exists():
            continue
        stamp.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            wanted = Path(directory, "requirements.txt")
            wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
            command += ["--require-hashes", "--only-binary", ":all:", "--python-version", version, "--implementation", "cp"]
            command += [f"--abi={abi}" for abi in (f"cp{version.replace('.', '')}", "abi3", "none")]
            command += [f"--platform={name}_{machine}" for name in GLIBC] + ["--dest", directory, "--requirement", str(wanted)]
            if subprocess.run(command, check=False).returncode:
                raise Failed(f"{lock.relative_to(ROOT)} has no complete set of wheels for Python {version} on {machine}")
            for wheel in Path(directory).glob("*.whl"):
                folder = CACHE / "pypi.org" / "simple" / canonicalize_name(parse_wheel_filename(wheel.name)[0])
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
