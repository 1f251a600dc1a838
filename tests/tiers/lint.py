"""Tier lint: each linter is one test, on the whole repository."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from results import ROOT, Failed, Results

SKIP = {".git", ".venv", ".cache", ".ansible", "collections", "output", "node_modules"}


def shell_scripts() -> list[str]:
    """Return the repository's programs that a shell runs: those whose first line names one. Templates are none yet."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(set(folders) - SKIP)
        for name in names:
            path = Path(folder, name)
            if path.suffix == ".j2" or not path.is_file():
                continue
            with path.open("rb") as stream:
                first = stream.readline(100)
            if first.startswith(b"#!") and first.split(b"#!")[1].split()[-1].rsplit(b"/", 1)[-1] in (b"sh", b"bash", b"dash"):
                found.append(str(path.relative_to(ROOT)))
    return sorted(found)


LINTERS = {
    "ansible-lint": ["ansible-lint", "--offline", "--nocolor", "--strict"],
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "--diff", "."],
    "yamllint": ["yamllint", "--strict", "."],
    "shellcheck": ["shellcheck", "--color=never", *shell_scripts()],
    "antsibull-changelog": ["antsibull-changelog", "lint"],
}


def main() -> int:
    """Run every linter, whatever the others say, and return the exit code."""
    results = Results(Path(sys.argv[1]))
    for name, command in LINTERS.items():
        with results.test(name):
            print("$", shlex.join(command), flush=True)
            code = subprocess.run(command, check=False).returncode
            if code:
                raise Failed(f"`{shlex.join(command)}` ended with code {code}")
    return results.exit_code()


if __name__ == "__main__":
    sys.exit(main())
