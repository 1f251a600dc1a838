"""Runs pytest on one directory for the tiers that are pytest's."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path


def main(directory: str) -> int:
    """Run pytest on `directory` with the command line's JUnit file and arguments, and those of MLOPS_PYTEST_ARGS; return its exit code."""
    if not list(Path(directory).rglob("test_*.py")):
        print(f"{directory} holds no test_*.py")
        return 1
    xml, *arguments = sys.argv[1:]
    extra = shlex.split(os.environ.get("MLOPS_PYTEST_ARGS", ""))
    command = [sys.executable, "-m", "pytest", directory, f"--junitxml={xml}", "--color=no", "--durations=10", *arguments, *extra]
    print(shlex.join(command), flush=True)
    return subprocess.run(command, check=False).returncode
