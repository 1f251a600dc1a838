"""A home directory for ansible-test, kept between runs: in it ansible-test keeps one environment per test, named by its requirements' hash.

It is not the user's, because two things must be put into it:

- ansible-test drops the environment variables of pip, so the settings (an index, certificates) go into a pip.conf;
- it fetches pip's bootstrap program from a host that is often out of reach, and takes a file in its cache instead. Ours installs
  the same version of pip from the index that pip is configured with.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from results import ROOT, Failed

HOME = ROOT / ".cache" / "ansible-test"
# of PyPI's pip-24.2-py3-none-any.whl
PIP_HASHES = {"24.2": "2cd581cf58ab7fcfca4ce8efa6dcacd0de5bf8d0a3eb9ec927e07405f4d9e2a2"}
BOOTSTRAP = """\
# Installs pip from the wheel beside this file, in place of https://bootstrap.pypa.io/get-pip.py
import os, runpy, sys

wheel = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pip-{version}-py3-none-any.whl")
sys.path.insert(0, wheel)
sys.argv = ["pip", "install", "--disable-pip-version-check", "--no-index", wheel]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def pip_settings() -> str:
    """Return a pip.conf with what pip is set to by files and by the environment."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    # NAME='VALUE' lines; what pip calls ":env:" comes first and wins over the files
    found = dict(re.findall(r"^(?:global|install)\.([\w-]+)=(.*)$", listed, re.M))
    found.update(re.findall(r"^:env:\.([\w-]+)=(.*)$", listed, re.M))
    lines = [f"{name} = {ast.literal_eval(value)}".replace("\n", "\n  ") for name, value in sorted(found.items())]
    return "\n".join(["[global]", *lines, ""])


def pip_version() -> str:
    """Return the version of pip that this ansible-test bootstraps."""
    from ansible_test._internal import python_requirements

    found = re.search(r"pip='([\d.]+)'", Path(python_requirements.__file__).read_text(encoding="utf-8"))
    if not found or found[1] not in PIP_HASHES:
        raise Failed(
            f"ansible-test bootstraps pip {found and found[1]}: add the hash of its wheel to PIP_HASHES in tests/tiers/sanity_home.py"
        )
    return found[1]


def prepare() -> Path:
    """Make the home directory, or complete it, and return its path. Raises Failed."""
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    settings = HOME / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True, exist_ok=True)
    # an index's address may hold a password
    settings.touch(mode=0o600)
    settings.write_text(pip_settings(), encoding="utf-8")
    version = pip_version()
    wheel = cache / f"pip-{version}-py3-none-any.whl"
    if not wheel.exists():
        requirement = HOME / "pip.txt"
        requirement.write_text(f"pip=={version} --hash=sha256:{PIP_HASHES[version]}\n", encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "-r",
            str(requirement),
            "-d",
            str(cache),
        ]
        if subprocess.run(command, check=False, env={**os.environ, "PIP_NO_INPUT": "1"}).returncode:
            raise Failed(f"pip {version}, which ansible-test needs for its environments, cannot be fetched")
    (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(BOOTSTRAP.format(version=version), encoding="utf-8")
    return HOME
