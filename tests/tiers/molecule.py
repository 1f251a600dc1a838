"""Tier molecule: every scenario below molecule/, each one test, on disposable hosts with systemd."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hosts
from results import ROOT, Failed, Results, Skipped


def main() -> int:
    """Run the scenarios one after the other and return the exit code."""
    xml, *arguments = sys.argv[1:]
    results = Results(Path(xml))
    results.write()
    environ = {**os.environ, "MLOPS_TEST_HOSTS": str(hosts.PROGRAM), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}
    for scenario in sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")):
        with results.test(scenario):
            if hosts.obstacle():
                raise Skipped(hosts.obstacle())
            command = ["molecule", "test", "-s", scenario, *arguments]
            code = subprocess.run(command, env=environ, check=False).returncode
            if code:
                raise Failed(f"`{' '.join(command)}` ended with code {code}")
    return results.exit_code()


if __name__ == "__main__":
    sys.exit(main())
